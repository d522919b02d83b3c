"""``chat``: the terminal UI; one turn from ``-m`` or stdin; or a conversation in line mode."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vault_sessions.cli.door import (
    Door,
    SessionName,
    json_option,
    pass_door,
    print_json,
    say,
)
from vault_sessions.cli.telling import (
    heard,
    hint_providers,
    noting,
    session_line,
    tell_notices,
    tell_tidied,
    waiting,
)
from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import safe, safe_line

if TYPE_CHECKING:
    from vault_sessions.lifecycle.desk import Conversation
    from vault_sessions.lifecycle.turns import Turn
    from vault_sessions.rules.resume import Decision
    from vault_sessions.workspace import Workspace


@click.command("chat")
@click.option("-s", "--session", type=SessionName(), metavar="NAME", help="This session.")
@click.option("--new", is_flag=True, help="A new session; the present one is ended.")
@click.option("-p", "--provider", metavar="P", help="Who answers: openai, ollama, offline, …")
@click.option("--model", metavar="M", help="Which of its models.")
@click.option("--skill", metavar="S", help="Instructions from a skill file.")
@click.option("-m", "--message", metavar="TEXT", help="One turn; - reads the message from stdin.")
@click.option("--plain", is_flag=True, help="Line mode: no screen of its own.")
@click.option("--private", is_flag=True, help="Nothing is stored.")
@click.option("--why", is_flag=True, help="Say which session would be opened and why; do nothing.")
@json_option
@pass_door
def chat_command(
    door: Door,
    session: str | None,
    new: bool,
    provider: str | None,
    model: str | None,
    skill: str | None,
    message: str | None,
    plain: bool,
    private: bool,
    why: bool,
    as_json: bool,
) -> None:
    """Talk. Comes back to this place's conversation within the resume window."""
    if new and session is not None:
        raise click.UsageError("--new and --session exclude each other.")
    text = None if why else _message(message)
    _leave_in_order()
    if text is None and not (why or plain or as_json):
        from vault_sessions.cli import full_screen

        if full_screen.fits():
            from vault_sessions.tui import Wanted

            full_screen.converse(door, Wanted(session, new, provider, model, skill, private))
            return
    typed = text if message in (None, "-") else None
    with _given_back(door, typed):
        workspace = door.workspace
        decision, warnings = _decide(workspace, session, new, private)
        for warning in warnings:
            door.note(f"Warning: {warning}")
        if why:
            _explain(decision, as_json)
            return
        if text is not None and not text.strip():
            raise click.UsageError("The message is empty.")
        if not private:
            tell_tidied(door)
        conversation = workspace.chat.begin(
            decision, provider=provider, model=model, skill=skill, private=private
        )
        if text is not None:
            _one_turn(door, conversation, decision, text, as_json)
            return
    from vault_sessions.cli.lines import converse

    converse(door, conversation, decision)


@contextmanager
def _given_back(door: Door, text: str | None) -> Iterator[None]:
    """What came from stdin is nowhere else: when it can't be saved, it is printed on stderr."""
    try:
        yield
    except (VaultSessionsError, OSError) as error:
        if text and not isinstance(error, BrokenPipeError) and not door.said(text):
            click.echo(f"Not saved, so here it is again:\n{safe(text)}", err=True)
        raise


def _leave_in_order() -> None:
    """A closed window or a kill ends the program as Ctrl-C does: what had arrived is kept."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, leave)


def _message(given: str | None) -> str | None:
    """What is to be said: ``-m``, stdin for ``-m -`` or a pipe; None: a conversation."""
    if given is not None and given != "-":
        return _readable(given)
    if given == "-" or not sys.stdin.isatty():
        data = sys.stdin.buffer.read()
        return data.decode("utf-8-sig", "replace").rstrip("\n")
    return None


def _readable(text: str) -> str:
    """Arguments that are not UTF-8 come with surrogates, which no transcript can hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _decide(
    workspace: Workspace, session: str | None, new: bool, private: bool
) -> tuple[Decision, list[str]]:
    if session is not None:
        return workspace.chat.decide_named(session)
    if private and not new:
        # what is private does not go on in a session that is kept
        from vault_sessions.rules.resume import Decision

        return Decision("new", None, "private: nothing is stored"), []
    return workspace.chat.decide(new=new), []


def _explain(decision: Decision, as_json: bool) -> None:
    if as_json:
        print_json(decision._asdict())
        return
    if decision.session_id is not None:
        say(f"Would resume {decision.session_id}: {decision.reason}.")
    else:
        name = f" named {decision.name!r}" if decision.name else ""
        say(f"Would begin a new session{name}: {decision.reason}.")
    if decision.ends is not None:
        say(f"It would end {decision.ends}.")
    if decision.runner_up is not None:
        say(f"Runner-up: {safe_line(decision.runner_up)}")
    for label, why in decision.considered[:10]:
        say(f"  {safe_line(label)}: {safe_line(why)}")


def _one_turn(
    door: Door, conversation: Conversation, decision: Decision, text: str, as_json: bool
) -> None:
    from vault_sessions.cli import correcting
    from vault_sessions.cli.stream import Stream

    workspace = door.workspace
    if line := workspace.chat.resumed(decision):
        door.note(safe_line(line))
    if conversation.provider == "offline" and not conversation.private:
        hint_providers(door)
    tell_notices(door, conversation)
    stream = Stream(quiet=as_json)
    try:
        turn = workspace.chat.take_turn(
            text,
            on_text=heard(door, conversation, stream),
            on_wait=waiting(door),
            on_note=noting(door),
        )
    finally:
        stream.close()
    tell_notices(door, conversation)
    if as_json:
        print_json(_turn_fields(turn, conversation))
    door.note(session_line(turn, conversation))
    if turn.error is not None:
        raise turn.error
    if turn.status is None and turn.session_id is not None and not conversation.private:
        sys.stdout.flush()
        correcting.after_turn(door, text)
        _tidy_up(door, turn.session_id)
    if turn.status == "cancelled":
        raise KeyboardInterrupt


def _tidy_up(door: Door, session_id: str) -> None:
    """What may be due after an answer, for ten seconds at most; the rest waits for the next run."""
    from vault_sessions.background import Background

    behind = Background(door.workspace.another)
    behind.after_turn(session_id)
    behind.look()
    behind.finish()
    for notice in behind.notices():
        door.note(notice)


def _turn_fields(turn: Turn, conversation: Conversation) -> dict[str, Any]:
    return {
        "session_id": turn.session_id,
        "name": conversation.name,
        "reply": turn.text,
        "status": turn.status,
        "error": str(turn.error) if turn.error else None,
        "provider": turn.provider,
        "model": turn.model,
        "usage": turn.usage,
    }

"""Line mode: a conversation in a plain terminal, with slash commands."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from vault_sessions.background import Background
from vault_sessions.cli.door import Door
from vault_sessions.cli.full_screen import finish
from vault_sessions.cli.stream import Stream
from vault_sessions.cli.telling import (
    come_back,
    heard,
    hint_providers,
    noting,
    tell_notices,
    waiting,
)
from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import safe, safe_line

if TYPE_CHECKING:
    from vault_sessions.lifecycle.compacting import Status
    from vault_sessions.lifecycle.desk import Conversation
    from vault_sessions.rules.resume import Decision

HELP = """\
/new              begin a new session; this one is ended
/sessions         the newest sessions; chat -s NAME opens one
/title TEXT       set this session's topic
/skill [NAME]     use a skill, or list them
/model [P] [M]    another provider or model for this session
/compact [WHAT]   summarize what was said, but for the newest; WHAT is to be kept of it
/search WORDS     search in everything
/memory           what is remembered
/why              why this session was opened
/quit             leave (Ctrl-D too)
Ctrl-C stops an answer; what had arrived is kept. A line that begins with // is said with one /."""


def converse(door: Door, conversation: Conversation, decision: Decision) -> None:
    """Read, answer, repeat, until the person leaves. Meanwhile the mirror is kept fresh."""
    with suppress(ImportError):
        import readline  # noqa: F401  # line editing and history for input()
    door.converses = True
    chat = _Chat(door, conversation, decision)
    chat.open()
    heard: list[str] = []
    live = door.workspace.live(say=heard.append)
    if not conversation.private:
        live.start(delay=0.3)
        chat.behind.look()
    try:
        _converse(door, chat, heard)
    finally:
        live.stop()


def _converse(door: Door, chat: _Chat, heard: list[str]) -> None:
    while True:
        try:
            text = input("> ")
        except EOFError:
            click.echo()
            break
        except KeyboardInterrupt:
            click.echo("\n(/quit or Ctrl-D leaves)", err=True)
            continue
        while heard:  # not in the middle of what was being typed
            door.note(heard.pop(0))
        for notice in chat.behind.notices():
            door.note(notice)
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if not text.strip():
            continue
        try:
            if text.startswith("/") and not text.startswith("//"):
                if chat.command(text) == "quit":
                    break
            else:
                chat.say(text[1:] if text.startswith("//") else text)
        except VaultSessionsError as error:
            click.echo(f"Error: {safe(str(error))}", err=True)
        except BrokenPipeError:
            raise
        except OSError as error:  # what was typed is on the screen and in the history
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"Error: {safe(f'{where}{error.strerror or error}')}", err=True)
    chat.close()


class _Chat:
    """The open conversation of a terminal, and what is done behind it."""

    def __init__(self, door: Door, conversation: Conversation, decision: Decision) -> None:
        self.door = door
        self.behind = Background(door.workspace.another, delay=0.3)
        self.conversation = conversation
        self.decision = decision

    def open(self) -> None:
        door = self.door
        if line := door.workspace.chat.resumed(self.decision):
            door.note(safe_line(line))
            self._recap()
        elif self.conversation.private:
            door.note("Private: nothing of this is stored.")
        else:
            name = f" {self.conversation.name!r}" if self.conversation.name else ""
            door.note(f"A new session{name}. /help lists what you can do.")
        if self.conversation.provider == "offline":
            door.note("No model is set up: the offline assistant looks things up in your vault.")
            if not self.conversation.private:
                hint_providers(door)
        tell_notices(door, self.conversation)
        self._ask_offers()

    def _ask_offers(self) -> None:
        """What came up in the background is asked before anything is said."""
        from vault_sessions.cli import correcting

        if self.conversation.private:
            return
        try:
            correcting.ask_offers(self.door)
        except VaultSessionsError as error:
            click.echo(f"Error: {safe(str(error))}", err=True)

    def _recap(self) -> None:
        """The last exchanges, as they were said."""
        count = self.door.workspace.settings.recap_exchanges
        if not count:
            return
        spoken = [
            m for m in self.conversation.messages if m.role in ("user", "assistant") and m.text
        ]
        starts = [i for i, m in enumerate(spoken) if m.role == "user"][-count:]
        for message in spoken[starts[0] :] if starts else []:
            lead = "> " if message.role == "user" else ""
            click.echo(f"{lead}{_shortened(safe(message.text))}")

    def say(self, text: str) -> None:
        from vault_sessions.cli import correcting

        workspace = self.door.workspace
        if again := workspace.chat.next_session():
            self.door.note(f"A new session: {again.reason}.")
            now = self.conversation
            chosen = (now.provider, now.model) if now.switched else (None, None)
            self.conversation = workspace.chat.begin(
                again, provider=chosen[0], model=chosen[1], skill=now.skill, private=now.private
            )
            self.decision = again
            if not now.private:
                self.behind.look()
        stream = Stream()
        try:
            on_text = heard(self.door, self.conversation, stream)
            turn = workspace.chat.take_turn(
                text, on_text=on_text, on_wait=waiting(self.door), on_note=noting(self.door)
            )
        finally:
            stream.close()
        tell_notices(self.door, self.conversation)
        if turn.status == "cancelled":
            self.door.note("(stopped; what had arrived is kept)")
        if turn.error is not None:
            raise turn.error
        click.echo()
        correcting.after_turn(self.door, text)
        if turn.session_id is not None and not self.conversation.private:
            self.behind.after_turn(turn.session_id)

    def command(self, line: str) -> str | None:
        """Do what a slash command says; "quit" to leave."""
        name, _, rest = line[1:].partition(" ")
        rest = rest.strip()
        match name:
            case "quit" | "exit" | "q":
                return "quit"
            case "help" | "?":
                click.echo(HELP)
            case "new":
                before = self.conversation
                self.conversation = self.door.workspace.chat.begin_anew(
                    private=self.conversation.private
                )
                self.door.note("A new session.")
                tell_notices(self.door, self.conversation)
                if before.session_id is not None and not before.private:
                    self.behind.end(before.session_id)
            case "sessions":
                self._sessions()
            case "title":
                self._title(rest)
            case "skill":
                self._skill(rest)
            case "model":
                self._model(rest)
            case "compact":
                self._compact(rest)
            case "search":
                self._search(rest)
            case "memory":
                for which in ("user", "facts"):
                    path, text = self.door.workspace.memory.file(which)
                    click.echo(f"=== {safe_line(path)}\n{safe(text.strip())}\n")
            case "why":
                click.echo(safe(f"{self.decision.reason}"))
            case _:
                click.echo(f"There is no command /{safe_line(name)}. /help lists them.", err=True)
        return None

    def _sessions(self) -> None:
        from vault_sessions.formats.times import local_time

        for session in self.door.workspace.list(limit=20):
            when = local_time(session.updated_at)[:16]
            given = f"  ({session.id})" if session.label != session.id else ""
            click.echo(f"{when:<16}  {safe_line(session.label)}{given}")

    def _title(self, text: str) -> None:
        if self.conversation.private:
            click.echo("Private: nothing is stored, so there is no topic to set.", err=True)
            return
        if self.conversation.session_id is None or not text:
            first = "" if self.conversation.session_id else "Say something first, then "
            click.echo(f"{first}/title TEXT", err=True)
            return
        changed = self.door.workspace.set_topic(self.conversation.session_id, text)
        self.door.note(f"Topic: {safe_line(changed.topic or '')}")

    def _skill(self, name: str) -> None:
        workspace = self.door.workspace
        if name:
            workspace.chat.use_skill(name)
            self.door.note(f"Skill: {safe_line(name)}")
            return
        for stem, skill in workspace.chat.skills().items():
            mark = "*" if stem == self.conversation.skill else " "
            click.echo(f"{mark} {safe_line(stem)}  {safe_line(skill.description)}")

    def _model(self, rest: str) -> None:
        workspace = self.door.workspace
        if rest.strip():
            workspace.chat.use_model(*workspace.models.named(rest))
        now = self.conversation
        click.echo(safe_line(f"{now.provider} {now.model or ''}"))

    def _compact(self, keep: str) -> None:
        session_id = self.conversation.session_id
        if self.conversation.private:
            click.echo("Private: nothing is stored, so there is nothing to summarize.", err=True)
            return
        if session_id is None:
            click.echo("Say something first.", err=True)
            return

        def tell(status: Status) -> None:
            if status.stage == "summarizing":
                self.door.note(f"Summarizing {status.message_count} messages …")

        try:
            done = self.door.workspace.compaction.now(session_id, keep=keep, on_status=tell)
        except KeyboardInterrupt:
            click.echo("\n(stopped; nothing was summarized)", err=True)
            return
        if isinstance(done, str):
            self.door.note(f"Nothing was summarized: {done}.")
            return
        click.echo(safe(done.record.summary))
        self.door.note(
            f"{done.record.message_range} are sent as this summary from now on, which saves about "
            f"{done.saved} tokens a turn; the transcript is as it was."
        )

    def _search(self, words: str) -> None:
        from vault_sessions.cli.searching import print_hits

        print_hits(self.door.workspace.search(words, limit=10), as_json=False)

    def close(self) -> None:
        """Leave, saying how to come back; what was begun behind the conversation is awaited."""
        if self.conversation.session_id is not None and not self.conversation.private:
            come_back(self.door, self.conversation.name or self.conversation.session_id)
        sys.stdout.flush()
        finish(self.door, self.behind)


def _shortened(text: str, lines: int = 8) -> str:
    parts = text.split("\n")
    return text if len(parts) <= lines else "\n".join([*parts[:lines], "…"])

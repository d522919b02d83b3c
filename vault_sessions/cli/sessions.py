"""``list``, ``show``, ``rename``, ``path``, ``edit``."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from vault_sessions import atomic
from vault_sessions.cli.door import (
    MAX_LIMIT,
    Door,
    SessionName,
    Since,
    json_option,
    on_terminal,
    pass_door,
    print_json,
    say,
    session_fields,
    styled,
)
from vault_sessions.formats.display import fit, safe, safe_line, width
from vault_sessions.formats.times import format_time, local_time

if TYPE_CHECKING:
    from vault_sessions.model import Compaction, Message, Problem, Session
    from vault_sessions.workspace.showing import Shown


@click.command("list")
@click.option("--provider", metavar="P", help="Only sessions with this provider.")
@click.option("--since", type=Since(), help="Only those active since (24h 7d 2w 3m 2026-11-21).")
@click.option("--limit", type=click.IntRange(0, MAX_LIMIT), metavar="N", help="At most so many.")
@click.option(
    "--sort",
    type=click.Choice(["updated", "created", "name", "messages"]),
    default="updated",
    show_default=True,
)
@json_option
@pass_door
def list_command(
    door: Door,
    provider: str | None,
    since: datetime | None,
    limit: int | None,
    sort: Any,
    as_json: bool,
) -> None:
    """All sessions, the newest activity first; none is hidden."""
    workspace = door.workspace
    which: dict[str, Any] = {"provider": provider, "since": since, "limit": limit, "sort": sort}
    if as_json:
        print_json([session_fields(session) for session in workspace.list(**which)])
    elif on_terminal():
        _print_table(workspace.list(**which))
    else:
        names = workspace.names(**which)
        sys.stdout.write("".join(f"{safe_line(name)}\n" for name in names))
    if files := workspace.problem_files():
        plural = "s have" if files > 1 else " has"
        door.note(f"{files} file{plural} problems; 'show' names those of a session.")


def _print_table(sessions: list[Session]) -> None:
    from shutil import get_terminal_size

    if not sessions:
        say("No sessions yet. Begin one: vault-sessions chat")
        return
    heads = ["", "Name", "Topic", "Created", "Updated", "Messages", "Model", "Provider"]
    rows = [
        [
            _mark(s),
            safe_line(s.name or s.id),
            safe_line(s.topic or ""),
            local_time(s.created_at),
            local_time(s.updated_at),
            str(s.message_count),
            safe_line(s.model or ""),
            safe_line(s.provider or ""),
        ]
        for s in sessions
    ]
    room = get_terminal_size().columns
    widths = [max(width(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    # the texts of no fixed length are cut, the longest first; on a narrow terminal provider and
    # model are left out
    flexible = [1, 2, 6]
    least = [min(wide, 8) if i in flexible else wide for i, wide in enumerate(widths)]
    shown = len(heads)
    while shown > 6 and sum(least[:shown]) + 2 * (shown - 1) > room:
        shown -= 1
    flexible = [i for i in flexible if i < shown]
    while sum(widths[:shown]) + 2 * (shown - 1) > room:
        longest = max(flexible, key=lambda i: widths[i])
        if widths[longest] <= 8:
            break
        widths[longest] -= 1
    for row in [heads, *rows]:
        cells = [fit(cell, widths[i]) for i, cell in enumerate(row[:shown])]
        padded = [
            " " * (widths[i] - width(cell)) + cell
            if i == 5
            else cell + " " * (widths[i] - width(cell))
            for i, cell in enumerate(cells)
        ]
        line = "  ".join(padded).rstrip()
        click.echo(styled(line, bold=True) if row is heads else line)
    click.echo("● open   … ending   ! has problems")


def _mark(session: Session) -> str:
    mark = {"open": "●", "ending": "…", "ended": " "}[session.status]
    return mark + ("!" if session.problems else " ")


@click.command("show")
@click.argument("session", type=SessionName())
@click.option(
    "--last", type=click.IntRange(0, MAX_LIMIT), metavar="N", help="Only the last N messages."
)
@click.option("--all-branches", is_flag=True, help="Every message of the file, in its order.")
@click.option("--raw", is_flag=True, help="The transcript's bytes, as they are.")
@json_option
@pass_door
def show_command(
    door: Door, session: str, last: int | None, all_branches: bool, raw: bool, as_json: bool
) -> None:
    """One conversation: its active branch, and what is wrong in its files."""
    workspace = door.workspace
    if raw:
        data = workspace.transcript_bytes(session)
        if on_terminal():
            say(data.decode("utf-8", "replace").rstrip("\n"))
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    shown = workspace.show(session)
    messages = [m for m in shown.transcript.messages if all_branches or m.id in shown.active]
    if last is not None:
        messages = messages[len(messages) - min(last, len(messages)) :]
    if as_json:
        print_json(_as_json(shown, messages))
        return
    if on_terminal():
        _render(shown, messages)
    else:
        _print_plain(shown, messages)
    for path, found in shown.problems:
        door.note(_problem_line(path, found))


def _as_json(shown: Shown, messages: list[Message]) -> dict[str, Any]:
    return {
        **session_fields(shown.session),
        "messages": [
            {
                **message.fields,
                "id": message.id,
                "role": message.role,
                "content": message.fields.get("content") or "",
                "created_at": format_time(message.created_at) if message.created_at else None,
                "line": message.line,
                "active": message.id in shown.active,
                "covered": message.id in shown.covered,
            }
            for message in messages
        ],
        "compactions": [
            {**compaction._asdict(), "in_force": compaction == shown.in_force}
            for compaction in shown.meta.compactions
        ],
        "problem_list": _problem_list(shown),
    }


def _problem_list(shown: Shown) -> list[dict[str, Any]]:
    return [
        {
            "line": found.line,
            "column": found.column,
            "code": found.code,
            "message": found.message,
        }
        for _, found in shown.problems
    ]


def _problem_line(path: str, found: Problem) -> str:
    return f"{path}:{found.line}:{found.column}: {found.code}: {found.message}"


def _heading(shown: Shown) -> list[str]:
    session = shown.session
    lines = [session.name or session.topic or session.id]
    if session.name and session.topic:
        lines[0] += f" — {session.topic}"
    made = " · ".join(
        part
        for part in (
            session.id,
            local_time(session.created_at),
            " ".join(part for part in (session.provider, session.model) if part),
            f"{session.message_count} messages",
            session.status,
        )
        if part
    )
    return [safe_line(lines[0]), safe_line(made)]


def _who(message: Message) -> str:
    """The line above a message: who said it, when, and how it ended."""
    who = {"user": "you"}.get(message.role, message.role)
    if message.role == "tool" and message.fields.get("name"):
        who = f"tool {message.fields['name']}"
    parts = [who]
    if message.created_at is not None:
        parts.append(local_time(format_time(message.created_at)))
    if status := message.fields.get("status"):
        parts.append(status)
    return safe_line(" · ".join(parts))


def _body(message: Message) -> str:
    text = safe(message.text)
    for call in message.fields.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            said = f"→ {function.get('name')}({function.get('arguments')})"
            text += ("\n" if text else "") + safe_line(said)
    return text


def _summarized_before(shown: Shown, messages: list[Message]) -> int | None:
    """Before which of the messages the summary stands: behind the last of those that it covers."""
    if shown.in_force is None:
        return None
    places = (place for place, message in enumerate(messages) if message.id in shown.covered)
    return max(places, default=-1) + 1


def _summary_line(compaction: Compaction, covered: int) -> str:
    """What is summarized, how and when."""
    by = " ".join(part for part in (compaction.provider, compaction.model) if part)
    parts = [
        f"Messages 1-{covered} are sent to a model as this summary",
        compaction.method + (f" by {by}" if by else ""),
        local_time(compaction.compacted_at),
    ]
    return safe_line(" · ".join(part for part in parts if part))


def _print_plain(shown: Shown, messages: list[Message]) -> None:
    for line in _heading(shown):
        say(line)
    summarized = _summarized_before(shown, messages)
    for place in range(len(messages) + 1):
        if place == summarized and shown.in_force is not None:
            say(f"\n=== {_summary_line(shown.in_force, len(shown.covered))}")
            say(f"{safe(shown.in_force.summary)}\n===")
        if place < len(messages):
            say(f"\n--- {_who(messages[place])}")
            say(_body(messages[place]))


def _render(shown: Shown, messages: list[Message]) -> None:
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.rule import Rule
    from rich.text import Text

    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(color_system=None) if plain else Console()
    title, made = _heading(shown)
    console.print(Text(title, style="bold"))
    console.print(Text(made, style="dim"))
    styles = {"user": "cyan", "assistant": "green"}
    summarized = _summarized_before(shown, messages)
    for place in range(len(messages) + 1):
        if place == summarized and shown.in_force is not None:
            line = Text(_summary_line(shown.in_force, len(shown.covered)), style="yellow")
            console.print()
            console.print(Rule(line, characters="═", align="left", style="yellow"))
            console.print(Markdown(safe(shown.in_force.summary), hyperlinks=False))
            console.print(Rule(characters="═", style="yellow"))
        if place < len(messages):
            message = messages[place]
            style = styles.get(message.role, "magenta")
            console.print()
            console.print(Rule(Text(_who(message), style=style), align="left", style="dim"))
            console.print(Markdown(_body(message), hyperlinks=False))


@click.command("rename")
@click.argument("session", type=SessionName())
@click.argument("new")
@click.option("--topic", is_flag=True, help="Set the topic instead of the name.")
@json_option
@pass_door
def rename_command(door: Door, session: str, new: str, topic: bool, as_json: bool) -> None:
    """Give a session a NEW name (or topic); its files keep theirs."""
    workspace = door.workspace
    changed = workspace.set_topic(session, new) if topic else workspace.rename(session, new)
    if as_json:
        print_json(session_fields(changed))
    else:
        what = "Topic" if topic else "Name"
        say(
            f"{what} of {changed.id}: {safe_line((changed.topic if topic else changed.name) or '')}"
        )


@click.command("path")
@click.argument("session", type=SessionName())
@json_option
@pass_door
def path_command(door: Door, session: str, as_json: bool) -> None:
    """Where a transcript is."""
    found = door.workspace.find(session)
    if as_json:
        print_json({"id": found.id, "path": found.path})
    else:
        sys.stdout.write(door.workspace.vault.absolute(found.path) + "\n")


@click.command("edit")
@click.argument("session", type=SessionName())
@json_option
@pass_door
def edit_command(door: Door, session: str, as_json: bool) -> None:
    """Open a transcript in $EDITOR, then say what changed and which lines have problems."""
    workspace = door.workspace
    before = workspace.show(session)
    absolute = workspace.vault.absolute(before.session.path)
    atomic.check_regular(absolute)  # an editor would follow a link out of the vault
    _run_editor(absolute)
    old = {m.id: m.fields for m in before.transcript.messages}
    workspace.repair.edited(before.session.id, old)
    after = workspace.show(before.session.id)
    new = {m.id: m.fields for m in after.transcript.messages}
    changed = sum(1 for key in old.keys() & new.keys() if old[key] != new[key])
    added, removed = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    if as_json:
        counts = {"changed": changed, "added": added, "removed": removed}
        print_json({**counts, "problem_list": _problem_list(after)})
        return
    parts = [
        f"{count} {what}"
        for count, what in ((changed, "changed"), (added, "added"), (removed, "removed"))
        if count
    ]
    say(f"Messages: {', '.join(parts)}." if parts else "No message changed.")
    for path, found in after.problems:
        say(_problem_line(path, found))


def _run_editor(path: str) -> None:
    import shlex
    import subprocess

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.run([*shlex.split(editor), path], check=False).returncode
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"The editor {editor!r} can't be run ({error}). Set EDITOR."
        ) from error
    if code != 0:
        raise click.ClickException(f"The editor {editor!r} ended with code {code}.")

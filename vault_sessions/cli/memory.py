"""``memory``: long-term memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from vault_sessions.cli.door import MAX_LIMIT, Door, json_option, pass_door, print_json, say
from vault_sessions.formats.display import safe_line
from vault_sessions.formats.times import local_time

if TYPE_CHECKING:
    from vault_sessions.memory.facts import Outcome, Why
    from vault_sessions.model import Change, Proposal


@click.group("memory")
def memory_command() -> None:
    """Long-term memory: what is known, and where it stands."""


@memory_command.command("show")
@click.argument("what", type=click.Choice(["facts", "user", "summaries"]), required=False)
@json_option
@pass_door
def show_command(door: Door, what: str | None, as_json: bool) -> None:
    """The memory files as they are: all, or facts, user or summaries."""
    workspace = door.workspace
    files: list[tuple[str, str]] = []
    if what in (None, "user"):
        files.append(workspace.memory.file("user"))
    if what in (None, "facts"):
        files.append(workspace.memory.file("facts"))
    if what in (None, "summaries"):
        files += workspace.memory.summaries()
    files = [(path, text) for path, text in files if text]
    if as_json:
        print_json([{"path": path, "text": text} for path, text in files])
        return
    if not files:
        door.note("Nothing is remembered yet.")
    for index, (path, text) in enumerate(files):
        if len(files) > 1:
            say(("\n" if index else "") + f"=== {path}")
        say(text.rstrip("\n"))


@memory_command.command("search")
@click.argument("query")
@click.option("--limit", type=click.IntRange(0, MAX_LIMIT), default=20, show_default=True)
@json_option
@pass_door
def search_command(door: Door, query: str, limit: int, as_json: bool) -> None:
    """Search in facts, the picture of the user, and summaries."""
    from vault_sessions.cli.searching import print_hits

    found: Any = door.workspace.search(query, where="memory", sort="relevance", limit=limit)
    print_hits(found, as_json)


@memory_command.command("add")
@click.argument("text")
@click.option("--section", metavar="S", help="Facts (as a rule), Goals, Preferences, …")
@json_option
@pass_door
def add_command(door: Door, text: str, section: str | None, as_json: bool) -> None:
    """Remember something: a bullet of facts.md.

    What it puts another value to is replaced, if we wrote it; of your own text you are asked.
    """
    workspace = door.workspace
    outcome = workspace.memory.remember(text, section)
    changes = list(outcome.changes)
    for offer in outcome.offers:
        said = None if as_json else _asked(door, offer)
        if said is not None:
            changes.append(workspace.memory.apply(offer, said))
        else:
            changes += workspace.memory.remember(text, section, beside=True).changes
            door.note(f"Added beside your own text: “{safe_line(offer.old or '')}”.")
    if as_json:
        print_json([change._asdict() for change in changes])
        return
    for change in changes:
        say(_told(change))
    _tell_skipped(door, outcome)


def _asked(door: Door, offer: Proposal) -> str | None:
    """What the owner wants in the place of their own text; None: nothing, or nobody is there."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    door.converses = True
    return door.confirm(offer)


def _tell_skipped(door: Door, outcome: Outcome) -> None:
    for candidate, reason in outcome.skipped:
        door.note(f"Not added, {reason}: “{safe_line(candidate.text)}”.")


@memory_command.command("why")
@click.argument("text")
@json_option
@pass_door
def why_command(door: Door, text: str, as_json: bool) -> None:
    """Where a fact comes from: the message, and what became of it since."""
    why = door.workspace.memory.why(text)
    if as_json:
        print_json(_why_fields(why))
        return
    where = f"{why.file}:{why.line}" if why.file else "not in memory any more"
    say(f"“{safe_line(why.text)}” ({where})")
    for change in why.changes:
        say(f"  {local_time(change.at)}  {_edit(change)}  ({_maker(change)})")
    if why.message is not None:
        say(f"Session {why.session_id}, line {why.message.line}:")
        for line in why.message.text.split("\n"):
            say(f"  > {line}")
    say(_state(why))


def _state(why: Why) -> str:
    match why.state:
        case "there":
            return "The message says so still."
        case "edited":
            return "That message was edited since this was learned from it."
        case "deleted":
            return f"The message it came from (session {why.session_id}) was deleted since."
    if why.changes:
        return "No message is named for it."
    return "Written by you: no change of ours made it."


def _why_fields(why: Why) -> dict[str, Any]:
    message = why.message
    return {
        "text": why.text,
        "file": why.file,
        "line": why.line,
        "session_id": why.session_id,
        "message_id": why.message_id,
        "message": message.text if message else None,
        "created_at": message.fields.get("created_at") if message else None,
        "state": why.state,
        "changes": [change._asdict() for change in why.changes],
    }


@memory_command.command("log")
@json_option
@pass_door
def log_command(door: Door, as_json: bool) -> None:
    """Every change that was made to memory, the newest first."""
    changes = door.workspace.memory.log()
    if as_json:
        print_json([change._asdict() for change in reversed(changes)])
        return
    if not changes:
        door.note("Nothing was changed in memory yet.")
    undone = {change.undoes for change in changes}
    for change in reversed(changes):
        mark = " (taken back)" if change.id in undone else ""
        say(f"{safe_line(change.id)}  {local_time(change.at)}  {_told(change)}{mark}")


@memory_command.command("undo")
@click.argument("change_id", metavar="[ID]", required=False)
@json_option
@pass_door
def undo_command(door: Door, change_id: str | None, as_json: bool) -> None:
    """Take back a change of memory: the latest, or the one of that id (see: memory log)."""
    change = door.workspace.memory.undo(change_id)
    if as_json:
        print_json(change._asdict())
    else:
        say(_told(change))


def _told(change: Change) -> str:
    section = f" › {change.section}" if change.section else ""
    return f"{safe_line(change.file + section)}: {_edit(change)}"


def _edit(change: Change) -> str:
    old, new = (f"“{safe_line(text)}”" if text else "" for text in (change.old, change.new))
    what = f"{old} → {new or '(taken out)'}" if old else new
    return f"{what} (undo)" if change.undoes else what


def _maker(change: Change) -> str:
    where = f", session {change.session_id}" if change.session_id else ""
    return safe_line(change.by + where)

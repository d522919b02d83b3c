"""``memory``: long-term memory."""

from __future__ import annotations

from typing import Any

import click

from vault_sessions.cli.door import MAX_LIMIT, Door, json_option, pass_door, print_json, say


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
        files.append(workspace.memory_file("user"))
    if what in (None, "facts"):
        files.append(workspace.memory_file("facts"))
    if what in (None, "summaries"):
        files += workspace.summaries()
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

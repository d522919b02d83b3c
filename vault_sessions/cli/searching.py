"""``search``."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from vault_sessions.cli.door import (
    MAX_LIMIT,
    Door,
    SessionName,
    Since,
    json_option,
    on_terminal,
    pass_door,
    print_json,
    styled,
)
from vault_sessions.formats.display import safe_line
from vault_sessions.formats.times import local_time

if TYPE_CHECKING:
    from vault_sessions.model import Hit


@click.command("search")
@click.argument("query")
@click.option("--any", "any_word", is_flag=True, help="As a question: any word, best first.")
@click.option(
    "--in",
    "where",
    type=click.Choice(["sessions", "memory", "all"]),
    default="all",
    show_default=True,
)
@click.option("--sort", type=click.Choice(["newest", "relevance"]))
@click.option("--role", type=click.Choice(["user", "assistant", "system", "tool"]))
@click.option("--since", type=Since(), help="Only what was said since (24h 7d 2w 3m 2026-11-21).")
@click.option("--session", type=SessionName(), metavar="S", help="Only in this session.")
@click.option("--limit", type=click.IntRange(0, MAX_LIMIT), default=20, show_default=True)
@json_option
@pass_door
def search_command(
    door: Door,
    query: str,
    any_word: bool,
    where: Any,
    sort: Any,
    role: str | None,
    since: datetime | None,
    session: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Full-text search: words ANDed, "a phrase", word*, -not; the newest first."""
    hits = door.workspace.search(
        query,
        any_word=any_word,
        where=where,
        sort=sort,
        role=role,
        since=since,
        session=session,
        limit=limit,
    )
    print_hits(hits, as_json)
    if not hits and not as_json and on_terminal():
        door.note("Nothing found.")


def print_hits(hits: list[Hit], as_json: bool) -> None:
    """Results: JSON; two lines each on a terminal; piped, ``path:line: snippet``."""
    if as_json:
        print_json([hit_fields(hit) for hit in hits])
        return
    for hit in hits:
        where = f"{safe_line(hit.path)}:{hit.line}"
        if on_terminal():
            title = safe_line(hit.name or hit.topic or hit.section or hit.session_id or hit.kind)
            said = " · ".join(part for part in (local_time(hit.created_at), hit.role) if part)
            click.echo(f"{styled(title, bold=True)}  {said}  {styled(where, dim=True)}")
            click.echo(f"    {safe_line(hit.snippet)}")
        else:
            sys.stdout.write(f"{where}: {safe_line(hit.snippet)}\n")


def hit_fields(hit: Hit) -> dict[str, Any]:
    """The keys of ``search --json``."""
    keys = "kind session_id name topic message_id role created_at path line snippet score"
    return {key: getattr(hit, key) for key in keys.split()}

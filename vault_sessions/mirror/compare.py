"""Does the mirror say what the files say? Row by row, one session or memory file at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vault_sessions.mirror.store import (
    Mirror,
    _message_rows,
    _session_row,
    _summary,
    _usage_rows,
)
from vault_sessions.model import FileState, Found, Passage, Problem, Session

_SESSION = f"SELECT session, {', '.join(Session._fields)}, name_key FROM sessions WHERE id=?"
_MESSAGES = (
    "SELECT id, role, content, created_at, line, active FROM messages WHERE session=? ORDER BY line"
)
_SUMMARIES = (
    "SELECT id, through_message_id, message_count, message_range, summary, token_count, method, "
    "provider, model, compacted_at FROM message_summaries WHERE session=?"
)
_PASSAGES = "SELECT line, kind, section, text, session_id, created_at FROM memory WHERE path=?"
_PROBLEMS = 'SELECT line, "column", code, severity, message FROM problems WHERE path=?'


def session_differs(mirror: Mirror, found: Found) -> str | None:
    """What the mirror says otherwise than a session's files; None: nothing."""
    rows = mirror.rows(_SESSION, found.session.id)
    if found.copy_of is not None:
        return "it has rows of a conflict copy" if rows else _files_differ(mirror, found)
    if not rows:
        return "it has nothing of this session"
    number, *row = rows[0]
    messages = mirror.rows(_MESSAGES, number)
    wanted = [row[2:8] for row in _message_rows(number, found)]
    if len(messages) != len(wanted):
        return f"it has {len(messages)} messages, the file {len(wanted)}"
    for said, meant in zip(messages, wanted, strict=True):
        if said != meant:
            return f"it has the message of line {meant[4]} otherwise"
    if tuple(row) != _session_row(found.session):
        names = [*Session._fields, "name_key"]
        columns = zip(names, row, _session_row(found.session), strict=True)
        return f"it has another {next(name for name, said, meant in columns if said != meant)}"
    if _sorted(mirror.rows(_SUMMARIES, number)) != _sorted(
        (c.id, c.through_message_id, *_summary(c)) for c in found.meta.compactions
    ):
        return "it has other compactions"
    sql = "SELECT type, key, value FROM session_context WHERE session=?"
    if _sorted(mirror.rows(sql, number)) != _sorted(found.meta.context):
        return "it has other context items"
    usage = mirror.rows("SELECT * FROM usage WHERE session=?", number)
    if _sorted(usage) != _sorted(_usage_rows(number, found)):
        return "it has other numbers"
    return _files_differ(mirror, found)


def _files_differ(mirror: Mirror, found: Found) -> str | None:
    for state in found.files:
        problems = [p for path, p in found.problems if path == state.path]
        if said := file_differs(mirror, state, problems):
            return said
    return None


def file_differs(mirror: Mirror, state: FileState, problems: Iterable[Problem]) -> str | None:
    """What the mirror says otherwise about one file's state and problems; None: nothing."""
    known = mirror.file(state.path)
    if known is None:
        return "it does not know the file"
    if (known.stamp, known.known_end, known.lines) != (state.stamp, state.known_end, state.lines):
        return "it takes the file to be another one"
    if known.hash_end == state.hash_end and known.hash != state.hash:
        return "it has another hash of the file"
    wanted = [(p.line, p.column, p.code, p.severity, p.message) for p in problems]
    if _sorted(mirror.rows(_PROBLEMS, state.path)) != _sorted(wanted):
        return "it has other problems"
    return None


def memory_differs(
    mirror: Mirror, state: FileState, passages: Iterable[Passage], problems: Iterable[Problem]
) -> str | None:
    """What the mirror says otherwise than a Markdown file; None: nothing."""
    wanted = [(p.line, p.kind, p.section, p.text, p.session_id, p.created_at) for p in passages]
    if _sorted(mirror.rows(_PASSAGES, state.path)) != _sorted(wanted):
        return "it has other passages"
    return file_differs(mirror, state, problems)


def strangers(mirror: Mirror, sessions: Iterable[str]) -> list[tuple[str, str]]:
    """Sessions that the mirror has beyond these: id and path."""
    there = set(sessions)
    return [row for row in mirror.rows("SELECT id, path FROM sessions") if row[0] not in there]


def index_differs(mirror: Mirror) -> bool:
    """Are there messages or passages that the full-text index lacks, or has beyond them?

    What the index says of each is not looked at: that takes as long as making it. SQLite itself
    says whether its pages and indexes are what they should be.
    """
    if mirror.rows("PRAGMA integrity_check(1)") != [("ok",)]:
        return True
    for table, key in (("messages", "message"), ("memory", "passage")):
        sql = (
            f"SELECT EXISTS(SELECT {key} FROM {table} EXCEPT SELECT id FROM {table}_fts_docsize) "
            f"OR EXISTS(SELECT id FROM {table}_fts_docsize EXCEPT SELECT {key} FROM {table})"
        )
        if mirror.rows(sql)[0][0]:
            return True
    sql = (
        "SELECT EXISTS(SELECT 1 FROM messages WHERE session NOT IN (SELECT session FROM sessions))"
    )
    return bool(mirror.rows(sql)[0][0])


def _sorted(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, rows), key=repr)

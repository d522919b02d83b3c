"""Questions to the mirror: lists, names, candidates, full-text search. Nothing here writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vault_sessions.formats.fulltext import Query, cut_snippet
from vault_sessions.formats.ids import name_key
from vault_sessions.formats.names import META, TRANSCRIPT
from vault_sessions.formats.session import SOON
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.mirror.store import Mirror, place_of, time_of
from vault_sessions.model import Hit, Problem, Session, problem

if TYPE_CHECKING:
    from vault_sessions.rules.stats import Length, Said

COMMON = 10_000
"""Ranking this many messages by bm25 takes some 15 ms; a query that matches more is narrowed."""

POOL = 200
"""Of a question's matches so many of the best say which sessions are about it."""

_ACTIVITY = """CASE WHEN s.updated_at <= :limit THEN s.updated_at ELSE coalesce(
  (SELECT max(m.created_at) FROM messages m WHERE m.session = s.session
     AND m.role IN ('user', 'assistant') AND m.created_at <= :limit),
  CASE WHEN s.created_at <= :limit THEN s.created_at END) END"""
_SORTS = {
    "updated": "{activity} DESC NULLS LAST, s.id DESC",
    "created": "s.created_at DESC NULLS LAST, s.id DESC",
    "name": "s.name IS NULL, s.name_key, s.id",
    "messages": "s.message_count DESC, s.id DESC",
}


_PROBLEMS = """s.problems + (s.name_key IS NOT NULL AND EXISTS(
  SELECT 1 FROM sessions o WHERE o.name_key = s.name_key AND o.session <> s.session))"""


def _columns(activity: str) -> str:
    """A session's row; that another has its name too is no file's fault, but counts."""
    special = {"updated_at": activity, "problems": _PROBLEMS}
    return ", ".join(
        f"{special[column]} AS {column}" if column in special else f"s.{column}"
        for column in Session._fields
    )


def _limit(now: datetime) -> str:
    return format_time(now + SOON)


def list_sessions(
    mirror: Mirror,
    now: datetime,
    *,
    provider: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    sort: str = "updated",
) -> list[Session]:
    """All sessions, or those of a provider or with activity since then, in the order wanted."""
    rows = _listed(mirror, now, None, provider, since, limit, sort)
    return [Session._make(row) for row in rows]


def list_names(
    mirror: Mirror,
    now: datetime,
    *,
    provider: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    sort: str = "updated",
) -> list[str]:
    """As list_sessions, but only each one's name, or id where it has none."""
    what = "coalesce(s.name, s.id)"
    return [row[0] for row in _listed(mirror, now, what, provider, since, limit, sort)]


def _listed(
    mirror: Mirror,
    now: datetime,
    what: str | None,
    provider: str | None,
    since: datetime | None,
    limit: int | None,
    sort: str,
) -> list[Any]:
    values = {"limit": _limit(now), "provider": provider, "count": -1 if limit is None else limit}
    activity = _activity(mirror, now)
    where = ["s.provider = :provider"] if provider is not None else []
    if since is not None:
        values["since"] = format_time(since)
        where.append(f"{activity} >= :since")
    sql = f"SELECT {what or _columns(activity)} FROM sessions s"
    if where:
        sql += f" WHERE {' AND '.join(where)}"
    order = _SORTS[sort].format(activity=activity)
    return mirror.rows_named(f"{sql} ORDER BY {order} LIMIT :count", values)


def _activity(mirror: Mirror, now: datetime) -> str:
    """The SQL for a session's last activity: its column, if none lies in the future."""
    future = mirror.rows("SELECT 1 FROM sessions WHERE updated_at > ? LIMIT 1", _limit(now))
    return _ACTIVITY if future else "s.updated_at"


def candidates(mirror: Mirror, now: datetime, after: datetime) -> list[Session]:
    """Sessions that could be resumed by themselves: open, asked something, active since then.

    Sessions without any usable time are not among them.
    """
    sql = (
        f"SELECT {_columns(_ACTIVITY)} FROM sessions s WHERE s.ended_at IS NULL "
        f"AND s.ending IS NULL AND s.user_messages > 0 AND s.updated_at >= :after "
        f"AND {_ACTIVITY} >= :after ORDER BY 6 DESC, s.id DESC"
    )
    values = {"limit": _limit(now), "after": format_time(after)}
    return [Session._make(row) for row in mirror.rows_named(sql, values)]


def not_ended(mirror: Mirror, now: datetime) -> list[Session]:
    """Sessions that are open or ending, the newest activity first."""
    sql = (
        f"SELECT {_columns(_ACTIVITY)} FROM sessions s WHERE s.ended_at IS NULL "
        f"ORDER BY {_ACTIVITY} DESC NULLS LAST, s.id DESC"
    )
    return [Session._make(row) for row in mirror.rows_named(sql, {"limit": _limit(now)})]


def find_sessions(mirror: Mirror, now: datetime, given: str, shortest: int = 1) -> list[Session]:
    """Sessions of that name, or else of that id, or else whose id begins so (with at least
    ``shortest`` characters given), the most recently active first."""
    given = given.encode("utf-8", "replace").decode()  # an argument may be no valid text
    values = {"limit": _limit(now), "given": given, "key": name_key(given.strip())}
    select = f"SELECT {_columns(_ACTIVITY)} FROM sessions s WHERE "
    order = " ORDER BY updated_at DESC NULLS LAST, s.id"
    for where in ("s.name_key = :key", "s.id = :given"):
        if rows := mirror.rows_named(select + where + order, values):
            return [Session._make(row) for row in rows]
    if len(given) < shortest or not given or not given.isascii():
        return []
    values["end"] = given[:-1] + chr(ord(given[-1]) + 1)
    where = "s.id >= :given AND s.id < :end"
    return [Session._make(row) for row in mirror.rows_named(select + where + order, values)]


def problems(mirror: Mirror) -> list[tuple[str, Problem]]:
    """All that is wrong in the vault's files, with their paths."""
    rows = mirror.rows('SELECT path, line, "column", code, message, severity FROM problems')
    return sorted([(row[0], Problem._make(row[1:])) for row in rows] + name_twice(mirror))


def named(mirror: Mirror, name: str, but: str | None) -> str | None:
    """The id of a session, but that one, that has this name, or it for an id."""
    rows = mirror.rows(
        "SELECT id FROM sessions WHERE (name_key = ? OR id = ?) AND id IS NOT ?",
        name_key(name),
        name,
        but,
    )
    return rows[0][0] if rows else None


def name_twice(mirror: Mirror) -> list[tuple[str, Problem]]:
    """The metadata files of sessions that have one name."""
    rows = mirror.rows(
        "SELECT path, name FROM sessions WHERE name_key IN (SELECT name_key FROM sessions "
        "WHERE name_key IS NOT NULL GROUP BY name_key HAVING count(*) > 1)"
    )
    return [
        (
            path.removesuffix(TRANSCRIPT) + META,
            problem("name-twice", f"another session has the name {name!r} too; rename one"),
        )
        for path, name in rows
    ]


def problem_files(mirror: Mirror) -> int:
    """How many files have errors or warnings."""
    sql = "SELECT DISTINCT path FROM problems WHERE severity != 'note'"
    return len({row[0] for row in mirror.rows(sql)} | {path for path, _ in name_twice(mirror)})


# --- numbers -------------------------------------------------------------------------------------


def said(mirror: Mirror) -> list[Said]:
    """What was said in all sessions, by quarters of an hour, and by whom."""
    from vault_sessions.formats.usage import QUARTER
    from vault_sessions.rules.stats import Said

    times: dict[int, datetime | None] = {0: None}
    found = []
    for session, quarter, *others in mirror.rows(
        "SELECT s.id, u.quarter, "
        "CASE WHEN u.provider || u.model = '' THEN s.provider ELSE u.provider END, "
        "CASE WHEN u.provider || u.model = '' THEN s.model ELSE u.model END, "
        "u.user, u.assistant, u.tool, u.system, u.tokens_in, u.tokens_out "
        "FROM usage u JOIN sessions s USING(session)"
    ):
        if quarter not in times:
            times[quarter] = datetime.fromtimestamp(quarter * QUARTER, UTC)
        found.append(Said(session, times[quarter], *others))
    return found


def lengths(mirror: Mirror, now: datetime, count: int) -> list[Length]:
    """The longest sessions, so many, and those with the most messages."""
    from vault_sessions.rules.stats import Length

    span = f"strftime('%s', {_activity(mirror, now)}) - strftime('%s', s.created_at)"
    found: dict[str, Length] = {}
    for order in ("seconds DESC, messages DESC", "messages DESC, seconds DESC"):
        rows = mirror.rows_named(
            f"SELECT s.id, s.name, s.topic, s.message_count AS messages, "
            f"coalesce(max(0, {span}), 0) AS seconds FROM sessions s WHERE s.message_count > 0 "
            f"ORDER BY {order}, s.id LIMIT :count",
            {"limit": _limit(now), "count": count},
        )
        found.update((row[0], Length._make(row)) for row in rows)
    return list(found.values())


# --- full text -----------------------------------------------------------------------------------


def search(
    mirror: Mirror,
    query: Query,
    *,
    newest: bool,
    limit: int,
    where: str = "all",
    role: str | None = None,
    since: datetime | None = None,
    session_id: str | None = None,
    not_session: str | None = None,
    answers_of_models: bool = False,
) -> list[Hit]:
    """Messages and memory that match, the newest or the most relevant first.

    ``where``: sessions, memory or all; a role leaves memory out. ``answers_of_models``: without
    what the offline assistant said and what tools found, which only quotes others.
    """
    if query.expression is None or limit <= 0:
        return []
    hits: list[Hit] = []
    if where != "memory":
        only = []
        if answers_of_models:
            only.append("NOT (m.role = 'assistant' AND s.provider IS 'offline')")
            only.append("m.role != 'tool'")
        hits = _messages(mirror, query, newest, limit, role, since, session_id, not_session, only)
    if where != "sessions" and role is None:
        hits += _memory(mirror, query, newest, limit, since, session_id)
        hits.sort(key=lambda hit: hit.score, reverse=True)
    return hits[:limit]


def _messages(
    mirror: Mirror,
    query: Query,
    newest: bool,
    limit: int,
    role: str | None,
    since: datetime | None,
    session_id: str | None,
    not_session: str | None,
    conditions: list[str],
) -> list[Hit]:
    by_session = bool(query.terms) and not newest
    expression, oldest = (query.expression, None) if newest else _affordable(mirror, query)
    conditions = ["messages_fts MATCH ?", *conditions]
    values: list[Any] = [expression]
    if oldest is not None:
        conditions.append("f.rowid >= ?")
        values.append(oldest)
    if since is not None:
        conditions += ["f.rowid >= ?", "m.created_at >= ?"]
        values += [place_of(since), format_time(since)]
    if session_id is not None:
        bounds = mirror.rows(
            "SELECT session, min(message), max(message) FROM messages WHERE session = "
            "(SELECT session FROM sessions WHERE id=?)",
            session_id,
        )[0]
        if bounds[0] is None:
            return []
        conditions += ["m.session = ?", "f.rowid >= ?", "f.rowid <= ?"]
        values += bounds
    if role is not None:
        conditions.append("m.role = ?")
        values.append(role)
    if not_session is not None:
        conditions.append("s.id != ?")
        values.append(not_session)
    rows = mirror.rows(
        f"SELECT s.id, s.name, s.topic, m.id, m.role, m.created_at, s.path, m.line, m.content, "
        f"{'f.rowid' if newest else 'f.rank'} "
        f"FROM messages_fts f CROSS JOIN messages m ON m.message = f.rowid "
        f"JOIN sessions s ON s.session = m.session "
        f"WHERE {' AND '.join(conditions)} ORDER BY {'f.rowid DESC' if newest else 'f.rank'} "
        f"LIMIT {max(limit, POOL) if by_session else limit:d}",
        *values,
    )
    if by_session:
        rows = _by_session(rows, query.months)[:limit]
    return [
        Hit(
            "message",
            session,
            name,
            topic,
            message,
            said_by,
            at,
            path,
            line,
            cut_snippet(text, query.words),
            time_of(rank) if newest else -rank,
            text,
            None,
        )
        for session, name, topic, message, said_by, at, path, line, text, rank in rows
    ]


def _by_session(rows: list[Any], months: tuple[str, ...]) -> list[Any]:
    """A question's matches, the best of each session ranked by all of that session's together.

    They are added up as cubes, so that one good match outweighs many poor ones. What was said in
    a month that the question names counts half as much again.
    """
    if months:
        rows = [(*row[:-1], row[-1] * _in_month(row[5], months)) for row in rows]
        rows.sort(key=lambda row: float(row[-1]))
    cubes: dict[str, float] = {}
    for row in rows:
        cubes[row[0]] = cubes.get(row[0], 0.0) - row[-1] ** 3
    # the first of a session is its best; after it has stood for all, the others for themselves
    ranked = [(*row[:-1], min(row[-1], -(cubes.pop(row[0], 0.0) ** (1 / 3)))) for row in rows]
    ranked.sort(key=lambda row: float(row[-1]))
    return ranked


def _in_month(created_at: str | None, months: tuple[str, ...]) -> float:
    return 1.5 if created_at is not None and created_at[5:7] in months else 1.0


def _affordable(mirror: Mirror, query: Query) -> tuple[str | None, int | None]:
    """What to rank of a query that matches very many messages, and from which rowid on.

    A question goes by its rarer words alone, where it has some: common ones weigh next to nothing
    in bm25 and cost nearly all of its time. Else the newest matches are ranked.
    """
    expression = query.expression
    oldest = _common_from(mirror, expression)
    if oldest is None or len(query.terms) < 2:
        return expression, oldest
    rarer = [term for term in query.terms if _common_from(mirror, term) is None]
    if not rarer:
        return expression, oldest
    return " OR ".join(rarer), None


def _common_from(mirror: Mirror, expression: str | None) -> int | None:
    """Where the newest COMMON matches begin; None when there are no more than that."""
    found = mirror.rows(
        "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ? "
        f"ORDER BY rowid DESC LIMIT 1 OFFSET {COMMON}",
        expression,
    )
    return int(found[0][0]) if found else None


def _memory(
    mirror: Mirror,
    query: Query,
    newest: bool,
    limit: int,
    since: datetime | None,
    session_id: str | None,
) -> list[Hit]:
    conditions = ["memory_fts MATCH ?"]
    values: list[Any] = [query.expression]
    if since is not None:
        conditions.append("p.created_at >= ?")
        values.append(format_time(since))
    if session_id is not None:
        conditions.append("p.session_id = ?")
        values.append(session_id)
    order = "p.created_at DESC NULLS LAST, p.passage" if newest else "f.rank"
    rows = mirror.rows(
        f"SELECT p.kind, p.session_id, s.name, s.topic, p.created_at, p.path, p.line, p.text, "
        f"{'0.0' if newest else 'f.rank'}, p.section "
        f"FROM memory_fts f JOIN memory p ON p.passage = f.rowid "
        f"LEFT JOIN sessions s ON s.id = p.session_id "
        f"WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT {limit:d}",
        *values,
    )
    return [
        Hit(
            kind,
            session,
            name,
            topic,
            None,
            None,
            at,
            path,
            line,
            cut_snippet(text, query.words),
            _age_score(at) if newest else -rank,
            text,
            section,
        )
        for kind, session, name, topic, at, path, line, text, rank, section in rows
    ]


def _age_score(created_at: str | None) -> float:
    """Newest first as a score: seconds since 1970, 0 where no time is known."""
    at = parse_time(created_at)
    return at.timestamp() if at else 0.0

"""The sessions that Atmos keeps in ``.atmos/sessions/sessions.db``, in our terms.

Tables: sessions, messages, session_context, message_summaries. Times are texts as Go prints them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import covered_hash, message_line, parse
from vault_sessions.model import ROLES
from vault_sessions.transfer.store import Broken, Line, Row, Store, Told, is_utf8, text

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?"
    r"\s*(?:(Z)|([+-])(\d\d):?(\d\d)(?:\s+[A-Z0-9+:-]+)?|(UTC|GMT))?(?:\s+m=[+-][0-9.]+)?",
    re.ASCII | re.IGNORECASE,
)
_CONCATENATED = "SUMMARY OF EARLIER CONVERSATION:"
"""How a summary begins that Atmos makes without a model: the beginning of each message."""


def read(store: Store, wrong: list[str]) -> Iterator[Told | Broken]:
    """Every session, in the order of its making; ``wrong`` gets what belongs to none."""
    messages = store.by_session("messages", wrong)
    context = store.by_session("session_context", wrong)
    summaries = store.by_session("message_summaries", wrong)
    for row in store.rows("sessions", wrong):
        session = text(row.get("id"))
        if not session:
            yield Broken("", text(row.get("name")), "the session has no id")
            continue
        left_out: list[str] = []
        numbers = messages.pop(session, [])
        lines = list(_lines(store, numbers, left_out))
        if not lines and left_out:
            yield Broken(session, text(row.get("name")), left_out[0])
            continue
        meta = _meta(row, lines, left_out)
        meta["context"] = _context(store, context.get(session, []), left_out)
        meta["compactions"] = _compactions(store, summaries.get(session, []), lines, left_out)
        yield Told(session, text(row.get("name")), meta, tuple(lines), tuple(left_out))
    for session, numbers in messages.items():
        yield Broken(session, None, f"{len(numbers)} messages of a session that is not there")


def _lines(store: Store, numbers: Sequence[int], left_out: list[str]) -> Iterator[Line]:
    parent = None
    for number in numbers:
        row = store.row("messages", number, left_out)
        if row is None:
            continue
        role, content = text(row.get("role")), text(row.get("content"))
        if role not in ROLES:
            left_out.append(f"message {number}: unknown role {str(role)[:40]!r}")
            continue
        name = f"atmos-{number}"
        fields: dict[str, Any] = {"role": role, "content": content or "", "id": name}
        at = parse_time(row.get("created_at"))
        if at is not None:
            fields["created_at"] = format_time(at)
        if row.get("archived") not in (None, 0, b"", b"0", b"false"):
            fields["archived"] = True
        if not is_utf8(row.get("content")):
            left_out.append(f"message {number}: bytes that are no UTF-8, replaced by �")
        yield Line(name, parent, fields)
        parent = name


def _meta(row: Row, lines: Sequence[Line], left_out: list[str]) -> dict[str, Any]:
    created = parse_time(row.get("created_at"))
    meta: dict[str, Any] = {"created_at": format_time(created) if created else None}
    if created is None and lines:
        meta["created_at"] = next((t for x in lines if (t := x.fields.get("created_at"))), None)
    for key, column in (
        ("provider", "provider"),
        ("model", "model"),
        ("skill", "skill"),
        ("directory", "project_path"),
    ):
        value = text(row.get(column))
        meta[key] = value if value and value != "unknown" else None
    meta["metadata"] = _own(text(row.get("metadata")) or "null", left_out)
    return meta


def _own(stored: str, left_out: list[str]) -> dict[str, Any] | None:
    """The owner's own mapping."""
    try:
        own = orjson.loads(stored)
        orjson.dumps(own)  # what is nested deeper than that could not be written
    except (TypeError, ValueError):
        left_out.append("its metadata is no valid JSON")
        return None
    if own and not isinstance(own, dict):
        left_out.append("its metadata is no mapping")
    return own if own and isinstance(own, dict) else None


def _context(store: Store, numbers: Sequence[int], left_out: list[str]) -> list[Row] | None:
    """The context items, one for each type and key: the newest."""
    found: dict[tuple[str, str], str] = {}
    for number in numbers:
        row = store.row("session_context", number, left_out)
        if row is not None:
            pair = text(row.get("context_type")) or "", text(row.get("context_key")) or ""
            found[pair] = text(row.get("context_value")) or ""
    items = [{"type": kind, "key": key, "value": value} for (kind, key), value in found.items()]
    return items or None


def _compactions(
    store: Store, numbers: Sequence[int], lines: Sequence[Line], left_out: list[str]
) -> list[Row] | None:
    """The summaries that a model wrote, each with those before it folded in.

    Only while they cover the messages from the first one on without a gap. Those made without a
    model are not worth their place: the messages themselves are there.
    """
    if not numbers:
        return None
    places = {line.id: index for index, line in enumerate(lines)}
    branch = parse(b"".join(message_line(line.fields) for line in lines)).messages
    found: list[Row] = []
    texts: list[str] = []
    covered = 0
    for number in numbers:
        row = store.row("message_summaries", number, left_out)
        ids = _message_ids(row.get("original_message_ids")) if row else None
        said = (text(row.get("summary_content")) or "").strip() if row else ""
        if row is None or not ids or not said or said.startswith(_CONCATENATED):
            break
        indexes = [places.get(f"atmos-{each}", -1) for each in ids]
        if sorted(indexes) != list(range(covered, covered + len(ids))):
            break
        covered += len(ids)
        texts.append(said)
        at = parse_time(row.get("compacted_at"))
        found.append(
            {
                "id": text(row.get("id")) or f"atmos-summary-{number}",
                "through_message_id": lines[covered - 1].id,
                "message_count": covered,
                "message_range": f"Messages 1-{covered}",
                "covered_hash": covered_hash(branch[:covered]),
                "summary": "\n\n".join(texts),
                "token_count": sum((len(each.encode()) + 3) // 4 for each in texts),
                "method": "ai",
                "provider": text(row.get("provider")) or None,
                "model": None,
                "compacted_at": format_time(at) if at else None,
            }
        )
    return found or None


def _message_ids(stored: object) -> list[int]:
    try:
        ids = orjson.loads(text(stored) or "")
    except ValueError:
        return []
    return [each for each in ids if isinstance(each, int)] if isinstance(ids, list) else []


def parse_time(value: object) -> datetime | None:
    """An instant as Go or SQLite has written it; None for none, the zero time, or an unreadable.

    ``2025-10-30 14:30:00.123456789 -0500 CDT m=+0.412345678``: the first offset counts, the rest
    is for people. RFC 3339, and SQLite's own form, which is in UTC. A number: seconds since 1970,
    or thousandths where it would be beyond the year 5138.

    >>> parse_time("2025-10-30 14:30:00.123456789 -0500 CDT m=+0.41").isoformat()
    '2025-10-30T19:30:00.123456+00:00'
    """
    if isinstance(value, int | float):
        return from_epoch(value if abs(value) < 1e11 else value / 1000)
    found = _TIME.fullmatch((text(value) or "").strip())
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    micro = int((found[7] or "0")[:6].ljust(6, "0"))
    offset = timedelta(0)
    if found[9]:
        offset = timedelta(hours=int(found[10]), minutes=int(found[11]))
        offset = -offset if found[9] == "-" else offset
    try:
        at = datetime(year, month, day, hour, minute, second, micro, timezone(offset))
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if at.year > 1 else None  # Go's zero time


def from_epoch(seconds: float) -> datetime | None:
    """Seconds since 1970 as an instant; None where that is no time anything was written at."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        return None

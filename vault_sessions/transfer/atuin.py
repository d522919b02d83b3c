"""The sessions that Atuin AI keeps in ``ai_sessions.db``, in our terms.

Tables: sessions, session_events (seven types, each event with the one before it as its parent),
session_metadata. Times are seconds since 1970. Each event becomes a line of its own, with the
event's id: so nothing is lost, and a later import knows what it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from vault_sessions.formats.ids import is_message_id
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.transfer.atmos import from_epoch
from vault_sessions.transfer.store import Broken, Line, Row, Store, Told, is_utf8, text


class _Event(NamedTuple):
    """An event that could be read. ``own_id`` is the store's, ``id`` the line's."""

    id: str
    own_id: str
    parent: str | None
    fields: dict[str, Any]


def read(store: Store, wrong: list[str]) -> Iterator[Told | Broken]:
    """Every session, in the order of its making; ``wrong`` gets what belongs to none."""
    events = store.by_session("session_events", wrong)
    for row in store.rows("sessions", wrong):
        session = text(row.get("id"))
        if not session:
            yield Broken("", None, "the session has no id")
            continue
        left_out: list[str] = []
        lines = _lines(store, events.pop(session, []), text(row.get("head_id")), left_out)
        if not lines and left_out:
            yield Broken(session, None, left_out[0])
            continue
        yield Told(session, None, _meta(row, lines), tuple(lines), tuple(left_out))
    for session, numbers in events.items():
        yield Broken(session, None, f"{len(numbers)} events of a session that is not there")


def _meta(row: Row, lines: Sequence[Line]) -> dict[str, Any]:
    times = [at for line in lines if (at := line.fields.get("created_at"))]
    meta: dict[str, Any] = {
        "created_at": _time(row.get("created_at")) or (min(times) if times else None),
        "directory": text(row.get("directory")) or None,
        "git_root": text(row.get("git_root")) or None,
        "provider": "atuin",
    }
    if row.get("archived_at") is not None:
        archived = _time(row.get("archived_at"))
        ended = max(filter(None, (archived, *times)), default=meta["created_at"])
        if ended is not None:
            meta["ended_at"] = ended
            meta["end_reason"] = "new"  # only its /new archives a session
            meta["duration_seconds"] = _seconds_between(meta["created_at"], ended)
    return meta


def _seconds_between(start: str | None, end: str) -> float | None:
    first, last = parse_time(start), parse_time(end)
    return max(0.0, (last - first).total_seconds()) if first and last else None


def _time(value: object) -> str | None:
    """Seconds since 1970 as a time; None for what is none."""
    try:
        at = from_epoch(float(text(value) or ""))
    except ValueError:
        return None
    return format_time(at) if at else None


def _lines(
    store: Store, numbers: Sequence[int], head: str | None, left_out: list[str]
) -> list[Line]:
    events: list[_Event] = []
    parents: dict[str, str | None] = {}  # of those that could not be read, too
    taken: set[str] = set()
    for number, row in _in_order(store, numbers, left_out):
        own_id = text(row.get("id")) or f"row-{number}"
        parent = text(row.get("parent_id")) or None
        parents.setdefault(own_id, parent)
        fields = _fields(row, own_id, left_out)
        if fields is None:
            continue
        name = _free(own_id if is_message_id(own_id) else f"atuin-{number}", taken)
        fields["id"] = name
        if (at := _time(row.get("created_at"))) is not None:
            fields["created_at"] = at
        if run := text(row.get("invocation_id")):
            fields["invocation_id"] = run
        events.append(_Event(name, own_id, parent, fields))
    return _parents_first(events, parents, head)


def _in_order(store: Store, numbers: Sequence[int], left_out: list[str]) -> list[tuple[int, Row]]:
    """The rows in Atuin's own order: by time, then as they were written."""
    rows = [
        (number, row)
        for number in numbers
        if (row := store.row("session_events", number, left_out)) is not None
    ]
    times: list[float] = []
    for _, row in rows:
        at = row.get("created_at")
        # one that has no time stays where it is
        times.append(float(at) if isinstance(at, int | float) else times[-1] if times else 0.0)
    order = sorted(range(len(rows)), key=times.__getitem__)
    return [rows[place] for place in order]


def _free(name: str, taken: set[str]) -> str:
    free, n = name, 1
    while free in taken:
        n += 1
        free = f"{name}-{n}"
    taken.add(free)
    return free


def _parents_first(
    events: Sequence[_Event], parents: dict[str, str | None], head: str | None
) -> list[Line]:
    """The events as lines, each behind its parent; the head of the session last, where it is an
    end.

    The parent of one whose own could not be read is the nearest above it that could; where there
    is none, or parents go in a circle, it is the line before.
    """
    above = _above(events, parents)
    waiting: dict[str | None, list[_Event]] = {}
    order: dict[str, Line] = {}

    def place(event: _Event, parent: str | None) -> None:
        ready = [(event, parent)]
        while ready:
            event, parent = ready.pop()
            order[event.id] = Line(event.id, parent, event.fields)
            ready += [(child, event.id) for child in reversed(waiting.pop(event.id, []))]

    for event in events:
        parent = above[event.id]
        if parent is None or parent in order:
            place(event, parent)
        else:
            waiting.setdefault(parent, []).append(event)
    for event in events:
        if event.id not in order:
            waiting[above[event.id]].remove(event)
            place(event, next(reversed(order), None))
    lines = list(order.values())
    ends = {event.own_id: event.id for event in events}.get(head or "")
    if ends is not None and not any(line.parent == ends for line in lines):
        lines.sort(key=lambda line: line.id == ends)  # stable: only that one moves
    return lines


def _above(events: Sequence[_Event], parents: dict[str, str | None]) -> dict[str, str | None]:
    """The parent of each line by id; None: a start."""
    names: dict[str, str] = {}
    for event in events:
        names.setdefault(event.own_id, event.id)
    is_chain = any(event.parent in names for event in events)
    above: dict[str, str | None] = {}
    previous: str | None = None
    for event in events:
        seen: set[str] = set()
        parent = event.parent
        while parent is not None and parent not in names and parent not in seen:
            seen.add(parent)
            parent = parents.get(parent)
        known = names.get(parent or "")
        # without any parent at all it is no tree of starts, but a store that keeps none
        is_start = event.parent is None and is_chain
        above[event.id] = known if known or is_start else previous
        previous = event.id
    return above


# --- the seven types of events -------------------------------------------------------------------


def _fields(row: Row, own_id: str, left_out: list[str]) -> dict[str, Any] | None:
    """The line for an event, less its id and time; None where it can't be read, which is told."""
    where = f"event {own_id[:80]}"
    kind = text(row.get("event_type")) or ""
    if not is_utf8(row.get("event_data")):
        left_out.append(f"{where}: bytes that are no UTF-8, replaced by �")
    try:
        data = orjson.loads(text(row.get("event_data")) or "")
    except ValueError as error:
        left_out.append(f"{where}: its data is no valid JSON ({error})")
        return None
    if not isinstance(data, dict):
        left_out.append(f"{where}: its data is no JSON object")
        return None
    try:
        fields, used = _message(kind, data)
    except (KeyError, TypeError, ValueError) as error:
        left_out.append(f"{where}: {error.args[0]}")
        return None
    rest = {
        key: value for key, value in data.items() if key not in used and value not in (None, False)
    }
    if kind not in _PLAIN or rest:
        fields["atuin"] = {"event": kind, **rest}
    return fields


_PLAIN = ("user_message", "text", "tool_call", "tool_result")
"""Types that an ordinary line says all about."""


def _message(kind: str, data: Row) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The line of an event, and the keys of its data that are in it. Raises ValueError."""
    match kind:
        case "user_message":
            return {"role": "user", "content": _said(data, "content")}, ("content",)
        case "text":
            return {"role": "assistant", "content": _said(data, "content")}, ("content",)
        case "tool_call":
            given = orjson.dumps(data.get("input")).decode()
            function = {"name": _said(data, "name"), "arguments": given}
            call = {"id": _said(data, "id"), "type": "function", "function": function}
            line = {"role": "assistant", "content": "", "tool_calls": [call]}
            return line, ("id", "name", "input")
        case "tool_result":
            content = data.get("content")
            line = {
                "role": "tool",
                "content": content if isinstance(content, str) else "",
                "tool_call_id": _said(data, "tool_use_id"),
            }
            return line, ("tool_use_id", *(["content"] if isinstance(content, str) else []))
        case "out_of_band_output":
            # what the program itself showed: to no model, so it must not be an instruction to one
            return {"role": "assistant", "content": _said(data, "content")}, ("content",)
        case "system_context":
            return {"role": "system", "content": _said(data, "content")}, ("content",)
        case "skill_invocation":
            head = f"[Loaded skill: {_said(data, 'name')}]"
            if isinstance(arguments := data.get("arguments"), str):
                head += f"\n[Arguments: {arguments}]"
            return {"role": "user", "content": f"{head}\n\n{_said(data, 'content')}"}, ("content",)
    raise ValueError(f"unknown type {kind[:40]!r}")


def _said(data: Row, key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise ValueError(f"its data has no text {key!r}")
    return value

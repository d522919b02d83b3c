"""A session's metadata: ``<id>.meta.json`` ⇄ Meta. Only our own keys are ever changed.

Reading drops nothing: a field of the wrong type is reported and left alone. Writing replaces the
bytes of the values that change; every other byte, unknown keys and hand edits included, stays.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import orjson

from vault_sessions.formats.ids import clean_name
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.model import (
    Candidate,
    Compaction,
    ContextItem,
    Ending,
    Meta,
    Problem,
    problem,
)

BOM = b"\xef\xbb\xbf"
ENDING = ("ending", "ended_at", "end_reason", "duration_seconds")
"""The marks of an ending: they go when the session goes on."""
VERSION = 1

_TEXTS = (
    *("topic", "topic_source", "provider", "model", "skill"),
    *("directory", "git_root", "end_reason", "learned_through", "summary_file"),
)
_TIMES = ("created_at", "ended_at")


class UnreadableMeta(ValueError):
    """The text is no JSON object, so it can't be changed without losing some of it."""


def parse_meta(data: bytes, stem: str) -> tuple[Meta, list[Problem]]:
    """What the bytes say. Unreadable bytes give an empty Meta and the reason."""
    try:
        fields = orjson.loads(data.removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        why = f"not valid JSON: {error.msg}; everything is derived from the transcript instead"
        return Meta(), [problem("meta-unreadable", why, error.lineno, error.colno)]
    if not isinstance(fields, dict):
        return Meta(), [problem("meta-unreadable", "not a JSON object", 1, 1)]
    problems: list[Problem] = []
    values: dict[str, Any] = {"fields": fields}
    for key in _TEXTS:
        if (value := fields.get(key)) is not None:
            if isinstance(value, str):
                values[key] = value
            else:
                problems.append(_wrong(key, "text"))
    for key in _TIMES:
        if (value := fields.get(key)) is not None:
            values[key] = parse_time(value)
            if values[key] is None:
                problems.append(_wrong(key, "a time with an offset"))
    if (version := fields.get("version")) is not None:
        if isinstance(version, int) and not isinstance(version, bool):
            values["version"] = version
            if version > VERSION:
                why = f"version {version} is newer than this program; it is read, never rewritten"
                problems.append(problem("future-version", why))
        else:
            problems.append(_wrong("version", "a number"))
    if (name := fields.get("name")) is not None:
        values["name"] = clean_name(name) if isinstance(name, str) else None
        if values["name"] is None:
            problems.append(_wrong("name", "1–100 characters without control characters"))
    if (given := fields.get("id")) is not None:
        values["id"] = _text(given)
        if given != stem:
            what = repr(given[:80]) if isinstance(given, str) else "no text"
            problems.append(problem("meta-mismatch", f"id is {what}, not the stem"))
    _read_objects(fields, values, problems)
    return Meta(**values), problems


def _wrong(key: str, wanted: str) -> Problem:
    return problem("meta-unreadable", f"{key} is not {wanted}; it is ignored", severity="warning")


def _read_objects(fields: dict[str, Any], values: dict[str, Any], problems: list[Problem]) -> None:
    if (ending := fields.get("ending")) is not None:
        if isinstance(ending, dict) and isinstance(ending.get("reason"), str):
            values["ending"] = Ending(ending["reason"], _text(ending.get("at")) or "")
        else:
            problems.append(_wrong("ending", "an object with a reason"))
    if (source := fields.get("source")) is not None:
        if isinstance(source, dict):
            values["source"] = source
        else:
            problems.append(_wrong("source", "an object"))
    if (seconds := fields.get("duration_seconds")) is not None:
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            values["duration_seconds"] = float(seconds)
        else:
            problems.append(_wrong("duration_seconds", "a number"))
    if fields.get("compactions"):
        values["compactions"] = tuple(_read_compactions(fields["compactions"], problems))
    if fields.get("pending_facts"):
        values["pending_facts"] = tuple(_read_candidates(fields["pending_facts"], problems))
    if fields.get("context"):
        values["context"] = tuple(_read_context(fields["context"], problems))


def _read_compactions(records: object, problems: list[Problem]) -> list[Compaction]:
    good = []
    listed: list[Any] = records if isinstance(records, list) else [records]
    for record in listed:
        match record:
            case {
                "id": str(name),
                "through_message_id": str(through),
                "covered_hash": str(covered),
                "summary": str(summary),
            }:
                count, tokens = record.get("message_count"), record.get("token_count")
                good.append(
                    Compaction(
                        name,
                        through,
                        count if isinstance(count, int) else 0,
                        _text(record.get("message_range")) or "",
                        covered,
                        summary,
                        tokens if isinstance(tokens, int) else None,
                        _text(record.get("method")) or "",
                        _text(record.get("provider")),
                        _text(record.get("model")),
                        _text(record.get("compacted_at")),
                    )
                )
            case _:
                problems.append(_wrong("a compaction", "a complete record"))
    return good


def _read_candidates(records: object, problems: list[Problem]) -> list[Candidate]:
    good = []
    listed: list[Any] = records if isinstance(records, list) else [records]
    for record in listed:
        match record:
            case {
                "section": str(section),
                "text": str(text),
                "message_id": str(message),
                "quote": str(quote),
            }:
                replaces = _text(record.get("replaces"))
                good.append(Candidate(section, text, message, quote, replaces))
            case _:
                problems.append(_wrong("a pending fact", "{section, text, message_id, quote}"))
    return good


def _read_context(items: object, problems: list[Problem]) -> list[ContextItem]:
    good: dict[tuple[str, str], ContextItem] = {}
    for item in items if isinstance(items, list) else [items]:
        match item:
            case {"type": str(kind), "key": str(key), "value": str(value)}:
                good[kind, key] = ContextItem(kind, key, value)
            case _:
                problems.append(_wrong("a context item", "{type, key, value} of texts"))
    return list(good.values())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def meta_fields(data: bytes) -> dict[str, Any]:
    """The whole object; an empty one where there are no bytes. Raises UnreadableMeta."""
    try:
        fields = orjson.loads(data.removeprefix(BOM)) if data.strip() else {}
    except orjson.JSONDecodeError as error:
        raise UnreadableMeta(str(error)) from error
    if not isinstance(fields, dict):
        raise UnreadableMeta("not a JSON object")
    return fields


def changed_meta(data: bytes | None, changes: dict[str, Any]) -> bytes:
    """The metadata with these keys set (None: removed); all else stays as it is, byte for byte.

    Datetimes are written as RFC 3339. ``data`` None: a new file. Raises UnreadableMeta.
    """
    text = "{}\n"
    if data is not None and data.strip():
        meta_fields(data)
        text = data.decode()
    for key, value in changes.items():
        text = _with_key(text, key, _plain(value))
    return text.encode(errors="replace")  # a path that is not UTF-8 has lone surrogates


def _plain(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value


def _with_key(text: str, key: str, value: Any) -> str:
    """The text of an object with one member set or, for None, removed."""
    members, close = _members(text)
    same = [member for member in members if member[0] == key]
    if value is None:
        while same:
            text = _without(text, members, same[-1])
            members, close = _members(text)
            same = [member for member in members if member[0] == key]
        return text
    written = json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n  ")
    if same:
        _, _, start, end = same[-1]
        return text[:start] + written + text[end:]
    member = f"{json.dumps(key)}: {written}"
    if members:
        end = members[-1][3]
        return f"{text[:end]},\n  {member}{text[end:]}"
    open_at = text.index("{") + 1
    return f"{text[:open_at]}\n  {member}\n{text[close:]}"


_Member = tuple[str, int, int, int]
"""A member of an object: its key, where the key, the value and what follows begin."""


def _without(text: str, members: list[_Member], member: _Member) -> str:
    place = members.index(member)
    if place + 1 < len(members):
        return text[: member[1]] + text[members[place + 1][1] :]
    start = members[place - 1][3] if place else text.index("{") + 1
    return text[:start] + text[member[3] :]


def _members(text: str) -> tuple[list[_Member], int]:
    """Where the members of the one object in a valid JSON text stand, and where it closes."""
    decode = json.JSONDecoder().raw_decode
    members: list[_Member] = []
    try:
        at = _skip(text, text.index("{") + 1)
        while text[at] != "}":
            key, end = decode(text, at)
            value_at = _skip(text, _skip(text, end) + 1)  # behind the colon
            _, end = decode(text, value_at)
            members.append((key, at, value_at, end))
            at = _skip(text, end)
            if text[at] == ",":
                at = _skip(text, at + 1)
        return members, at
    except RecursionError as error:
        raise UnreadableMeta("nested too deep") from error


def _skip(text: str, at: int) -> int:
    """The place of the next character that is no white space."""
    while text[at] in " \t\r\n":
        at += 1
    return at


# --- context items -------------------------------------------------------------------------------


def with_context(items: object, kind: str, key: str, value: str) -> list[Any]:
    """The ``context`` of a meta with this value for a type and key; what can't be read of it, and
    what else stands in an item, stays."""
    listed: list[Any] = [] if items is None else list(items) if isinstance(items, list) else [items]
    there = False
    for place, item in enumerate(listed):
        if isinstance(item, dict) and (item.get("type"), item.get("key")) == (kind, key):
            listed[place] = {**item, "value": value}
            there = True
    return listed if there else [*listed, {"type": kind, "key": key, "value": value}]

"""Two versions of a session's metadata and what they both come from become one, key by key.

A value that one side changed is that side's; where both changed it, a rule by its key decides
(docs/format.md, Merging), else the greater one. Values are moved as they are written: numbers,
escapes, inner layout stay. Absent is least, then null: so an edit wins over a removal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import orjson

from vault_sessions.formats.merge import LONG_AGO, Merged
from vault_sessions.formats.merge_order import merged_order, three_way
from vault_sessions.formats.meta import BOM, ENDING, VERSION
from vault_sessions.formats.times import parse_time

_Members = dict[str, str]
"""The members of an object: each value as it is written."""

_Both = Callable[[str, str, str, str], str]
"""Decides between two changed values: the layout's indent, base, ours, theirs; absent is empty."""

_TOPIC = ("topic", "topic_source")
_SOURCES = ("fallback", "import", "generated", "user")
_SPACE = " \t\r\n"


def merge_meta(
    base: bytes | None, ours: bytes, theirs: bytes, last_activity: datetime | None = None
) -> Merged:
    """The metadata of two sides. ``base`` None: no common ancestor is known.

    ``last_activity``: that of the merged transcript. An older ``ended_at`` counts as null: someone
    went on with the session elsewhere.
    """
    one, other = _object(ours), _object(theirs)
    if one is None or other is None:
        return _without_unreadable(one, other, (base, ours, theirs))
    newest = max(_version(one), _version(other))
    if newest > VERSION:
        later = max((_version(one), ours), (_version(other), theirs))[1]
        data = three_way(base or b"", ours, theirs, lambda *_: later)
        note = f"version {newest} is newer than this program: one side was kept whole"
        return Merged(data, (note,))
    had = (_object(base) if base is not None else None) or {}
    merged = _merged_members(*(_still_ended(side, last_activity) for side in (had, one, other)))
    # a side that says just this keeps its layout
    same = [data for data, side in ((ours, one), (theirs, other)) if _equal(side, merged)]
    return Merged(min(same) if same else (_written(merged, "") + "\n").encode())


def _without_unreadable(
    one: _Members | None, other: _Members | None, versions: tuple[bytes | None, bytes, bytes]
) -> Merged:
    """What can't be read can't be merged, but most of it can be derived again."""
    base, ours, theirs = versions
    if one is None and other is None:
        data = three_way(base or b"", ours, theirs, max)
        return Merged(data, ("neither side's metadata can be read: one was kept whole",))
    note = "one side's metadata can't be read: the other side's was kept"
    return Merged(theirs if one is None else ours, (note,))


def _version(members: _Members) -> int:
    value = _value(members.get("version", ""))
    return value if isinstance(value, int) and not isinstance(value, bool) else VERSION


def _still_ended(members: _Members, last_activity: datetime | None) -> _Members:
    """The members less the marks of an ending after which someone went on."""
    ended_at = parse_time(_value(members.get("ended_at", "")))
    if last_activity is None or ended_at is None or ended_at >= last_activity:
        return members
    gone = ENDING[1:]
    return {key: raw for key, raw in members.items() if key not in gone}


def _equal(one: _Members, other: _Members) -> bool:
    """The same values, written alike, in the same order?"""
    return list(one.items()) == list(other.items())


def _merged_members(base: _Members, ours: _Members, theirs: _Members) -> _Members:
    """The whole object: first what goes together, then key by key."""
    together: _Members = {}
    for keys, strength in ((_TOPIC, _topic_strength), (ENDING, _ending_strength)):
        was, mine, yours = (
            tuple(side.get(key, "") for key in keys) for side in (base, ours, theirs)
        )
        chosen = _three_way(was, mine, yours, _stronger(strength))
        together.update(zip(keys, chosen, strict=True))
    rules: dict[str, _Both] = {"compactions": _united, "context": _united}
    return _by_key(base, ours, theirs, together, rules)


def _by_key(
    base: _Members,
    ours: _Members,
    theirs: _Members,
    decided: Mapping[str, str],
    rules: Mapping[str, _Both],
    indent: str = "",
) -> _Members:
    """An object whose values are merged one by one, and the order of its keys."""
    merged: _Members = dict(decided)
    for key in {**ours, **theirs}:
        if key not in merged:
            was, mine, yours = (side.get(key, "") for side in (base, ours, theirs))
            both = partial(rules.get(key, _greater), indent + "  ", was)
            merged[key] = _three_way(was, mine, yours, both)
    kept = {key for key, raw in merged.items() if raw}
    order = merged_order(list(base), list(ours), list(theirs), kept, rank=str, spell=str)
    return {key: merged[key] for key in order}


_Raw = TypeVar("_Raw", str, tuple[str, ...])


def _three_way(base: _Raw, ours: _Raw, theirs: _Raw, both: Callable[[_Raw, _Raw], _Raw]) -> _Raw:
    """The value that one side changed: in what it means or, failing that, in how it is written."""
    was, mine, yours = _meaning(base), _meaning(ours), _meaning(theirs)
    if mine == yours:
        return three_way(base, ours, theirs, max)
    if mine == was:
        return theirs
    return ours if yours == was else both(ours, theirs)


def _stronger(
    strength: Callable[[tuple[str, ...]], Any],
) -> Callable[[tuple[str, ...], tuple[str, ...]], tuple[str, ...]]:
    """Of values that go together the stronger ones, then the greater."""

    def order(values: tuple[str, ...]) -> tuple[Any, ...]:
        return strength(values), [_weight(raw) for raw in values]

    return lambda ours, theirs: max(ours, theirs, key=order)


def _topic_strength(values: tuple[str, ...]) -> int:
    """The owner's topic over a generated one over a fallback; an import's between these two."""
    source = _value(values[1])
    return _SOURCES.index(source) if source in _SOURCES and _value(values[0]) else -1


def _ending_strength(values: tuple[str, ...]) -> datetime:
    """The later end; none is least."""
    return parse_time(_value(values[1])) or LONG_AGO


# --- values --------------------------------------------------------------------------------------


def _value(raw: str) -> Any:
    return json.loads(raw) if raw else None


def _meaning(raw: str | tuple[str, ...]) -> Any:
    """A value, or each of several, in the one way to write it."""
    if isinstance(raw, tuple):
        return tuple(map(_meaning, raw))
    return json.dumps(json.loads(raw), sort_keys=True) if raw else ""


def _weight(raw: str) -> tuple[bool, bool, str, str]:
    """By this the greater of two values is found: absent, null, then by bytes."""
    meaning = _meaning(raw)
    return bool(raw), meaning != "null", meaning, raw


def _greatest(*raws: str) -> str:
    return max(raws, key=_weight)


def _greater(indent: str, base: str, ours: str, theirs: str) -> str:
    """Objects key by key; of other values the greater."""
    if not (ours.startswith("{") and theirs.startswith("{")):
        return _greatest(ours, theirs)
    had = _parts(base) if base.startswith("{") else {}
    return _written(_by_key(had, _parts(ours), _parts(theirs), {}, {}, indent), indent)


def _united(indent: str, base: str, ours: str, theirs: str) -> str:
    """Two lists of records: each once, by its id or its type and key.

    A record is taken whole: half of one compaction and half of another would be neither.
    """
    if not (ours.startswith("[") and theirs.startswith("[")):
        return _greatest(ours, theirs)
    had = _records(base) if base.startswith("[") else {}
    one, other = _records(ours), _records(theirs)
    merged: _Members = {}
    for name in {**one, **other}:
        was, mine, yours = (side.get(name, "") for side in (had, one, other))
        merged[name] = _three_way(was, mine, yours, _greatest)
    kept = {name for name, raw in merged.items() if raw}

    def rank(name: str) -> tuple[datetime, str]:
        record = _value(merged[name])
        made = record.get("compacted_at") if isinstance(record, dict) else None
        return parse_time(made) or LONG_AGO, name

    order = merged_order(list(had), list(one), list(other), kept, rank, spell=str)
    united = [merged[name] for name in order]
    same = [raw for raw, side in ((ours, one), (theirs, other)) if list(side.values()) == united]
    return _greatest(*same) if same else _bracketed("[", united, "]", indent)


def _records(raw: str) -> dict[str, str]:
    """The elements of a list by what tells them apart; of two alike the last counts."""
    records: dict[str, str] = {}
    for element in _parts(raw).values():
        match json.loads(element):
            case {"id": str(name)}:
                key = json.dumps(["id", name])
            case {"type": str(kind), "key": str(name)}:
                key = json.dumps(["key", kind, name])
            case value:
                key = json.dumps(["value", value], sort_keys=True)
        records[key] = element
    return records


# --- text ----------------------------------------------------------------------------------------


def _object(data: bytes) -> _Members | None:
    """The members of the one object that the bytes are; None if they are anything else."""
    data = data.removeprefix(BOM)
    try:
        if isinstance(orjson.loads(data), dict):
            text = data.decode().strip(_SPACE)
            _meaning(text)  # deeper than Python goes?
            return _parts(text)
    except (ValueError, RecursionError):
        pass
    return None


def _parts(raw: str) -> _Members:
    """The members of an object, or the elements of a list by their places, as written."""
    decode = json.JSONDecoder().raw_decode
    parts: _Members = {}
    at = _skip(raw, 1)
    while raw[at] not in "]}":
        key: str = str(len(parts))
        if raw[0] == "{":
            key, at = decode(raw, at)
            at = _skip(raw, _skip(raw, at) + 1)  # behind the colon
        _, end = decode(raw, at)
        parts.pop(key, None)  # of two members of one key the last counts
        parts[key] = raw[at:end]
        at = _skip(raw, end)
        if raw[at] == ",":
            at = _skip(raw, at + 1)
    return parts


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _written(members: _Members, indent: str) -> str:
    """An object at a depth as the program lays it out."""
    lines = [f"{json.dumps(key, ensure_ascii=False)}: {raw}" for key, raw in members.items()]
    return _bracketed("{", lines, "}", indent)


def _bracketed(opening: str, parts: Iterable[str], closing: str, indent: str) -> str:
    inner = f",\n{indent}  ".join(parts)
    return f"{opening}\n{indent}  {inner}\n{indent}{closing}" if inner else opening + closing

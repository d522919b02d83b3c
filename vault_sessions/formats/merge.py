"""Two versions of a transcript and what they both come from become one (docs/format.md, Merging).

Line by line, whatever the lines say: what can't be read is a line too. Nothing is lost that neither
side deleted, no marker is added, and it does not matter who merges first or how often.

The outcome has no byte order mark, no blank lines, LF behind each line. Where there is nothing to
merge (the sides are equal, or one is the base) it is the bytes of the changed side, as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from vault_sessions.formats.ids import is_message_id
from vault_sessions.formats.merge_order import Line, merged_lines, numbered, shared
from vault_sessions.formats.times import parse_time
from vault_sessions.formats.transcript import BOM, MAX_LINE

NO_BASE = "a deletion can't be seen without a common ancestor: what one side only has was kept"

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""Stands for a time that is not known."""


class Merged(NamedTuple):
    """The bytes of a merge, and what a person may want to know about it."""

    data: bytes
    notes: tuple[str, ...] = ()


def merge_transcript(base: bytes | None, ours: bytes, theirs: bytes) -> Merged:
    """A transcript of two sides. ``base`` None: no common ancestor is known."""
    return _merge_lines(base, ours, theirs, _message_rank)


def merge_changes(base: bytes | None, ours: bytes, theirs: bytes) -> Merged:
    """``changes.jsonl`` of two sides: a line each once, sorted in time where both added some."""
    return _merge_lines(base, ours, theirs, _change_rank)


_Fields = dict[str, Any]


def _merge_lines(
    base: bytes | None,
    ours: bytes,
    theirs: bytes,
    rank_of: Callable[[_Fields], tuple[int, datetime]],
) -> Merged:
    if ours in (theirs, base):
        return Merged(theirs)
    if theirs == base:
        return Merged(ours)
    read = _Reader()
    one, other = _texts(ours), _texts(theirs)
    completed = (
        numbered(_completed(ours, one, other, read)),
        numbered(_completed(theirs, other, one, read)),
    )
    if base is None:
        lines_before = shared(*completed, spell=lambda line: line[0])
    else:
        lines_before = numbered(_texts(base))

    def rank(line: Line) -> tuple[int, datetime, Line]:
        return *rank_of(read[line[0]]), line

    ids = {
        text: name
        for version in (lines_before, *completed)
        for text, _ in version
        if is_message_id(name := read[text].get("id"))
    }
    merged = merged_lines(lines_before, *completed, ids, rank)
    data = b"".join(text + b"\n" for text, _ in merged)
    notes = [] if base is not None or set(completed[0]) == set(completed[1]) else [NO_BASE]
    notes.extend(_both_changed(merged, ids, completed))
    return Merged(data, tuple(notes))


class _Reader(dict[bytes, _Fields]):
    """The JSON object that a line is, each parsed once; for any other line an empty one."""

    def __missing__(self, text: bytes) -> _Fields:
        fields = None
        try:
            if len(text) <= MAX_LINE:
                fields = orjson.loads(text)
        except ValueError:
            pass
        self[text] = fields if isinstance(fields, dict) else {}
        return self[text]


def _texts(data: bytes) -> list[bytes]:
    """The texts of a version's lines, without the blank ones."""
    return [text for raw in data.removeprefix(BOM).split(b"\n") if (text := raw.strip())]


def _completed(data: bytes, texts: list[bytes], others: list[bytes], read: _Reader) -> list[bytes]:
    """The texts; a last one that was cut off is the line of the other side that it begins.

    Not a line that this side has as well: then what is cut off is something else.
    """
    if data.endswith(b"\n") or not texts or read[texts[-1]]:
        return texts
    torn = texts[-1]
    whole = [text for text in others if text.startswith(torn)]
    if not whole or torn in whole:
        return texts
    known = set(texts)
    whole = [text for text in whole if text not in known]
    return [*texts[:-1], min(whole)] if whole else texts


def _message_rank(fields: _Fields) -> tuple[int, datetime]:
    """Users over all others, so that turns stay whole, and where they branch over both."""
    if fields.get("role") != "user":
        kind = 0
    else:
        kind = 2 if "parent_id" in fields else 1
    return kind, parse_time(fields.get("created_at")) or LONG_AGO


def _change_rank(fields: _Fields) -> tuple[int, datetime]:
    return 0, parse_time(fields.get("at")) or LONG_AGO


def _both_changed(
    merged: Iterable[Line], ids: dict[bytes, str], sides: Iterable[Iterable[Line]]
) -> list[str]:
    """A note for each id of which the merge has more forms than either side had."""
    forms: dict[str, set[bytes]] = {}
    for text, _ in merged:
        if text in ids:
            forms.setdefault(ids[text], set()).add(text)
    several = {name: texts for name, texts in forms.items() if len(texts) > 1}
    if not several:
        return []
    had = [{text for text, _ in side} for side in sides]
    return [
        f"both sides changed the message {name}: both forms were kept"
        for name, texts in several.items()
        if not any(texts <= side for side in had)
    ]

"""Two versions of a transcript and what they both come from become one (docs/format.md, Merging).

Line by line, whatever the lines say: what can't be read is a line too. Nothing is lost that neither
side deleted, no marker is added, and it does not matter who merges first or how often.

The outcome has no byte order mark, no blank lines, LF behind each line. Where there is nothing to
merge (the sides are equal, or one is the base) it is the bytes of the changed side as they are,
unless that one's end was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from vault_sessions.formats.ids import is_message_id
from vault_sessions.formats.merge_order import Line, itself, merged_lines, numbered, shared
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
    if ours == theirs:
        return Merged(ours)
    changed = theirs if ours == base else ours
    if base in (ours, theirs) and changed.endswith(b"\n"):  # else its last line may be torn
        return Merged(changed)
    read = _Reader()
    completed = [numbered(texts) for texts in _completed(ours, theirs, read)]
    if base is None:
        lines_before = shared(completed[0], completed[1], itself)
    else:
        lines_before = numbered(_texts(base))

    def rank(line: Line) -> tuple[int, datetime, Line]:
        return *rank_of(read[line[0]]), line

    ids = _shared_ids([*lines_before, *completed[0], *completed[1]], read)
    merged = merged_lines(lines_before, completed[0], completed[1], ids, rank)
    data = b"".join(text + b"\n" for text in merged)
    notes = [] if base is not None or set(completed[0]) == set(completed[1]) else [NO_BASE]
    notes.extend(_both_changed(merged, ids, completed))
    return Merged(data, tuple(notes))


def _shared_ids(lines: Iterable[Line], read: _Reader) -> dict[bytes, str]:
    """The ids that several lines have, by the text of each of these lines.

    Any other id says nothing that its line does not, and most are such.
    """
    first: dict[str, Line] = {}
    ids: dict[bytes, str] = {}
    for line in dict.fromkeys(lines):
        name = read[line[0]].get("id")
        if name is not None and is_message_id(name):
            other = first.setdefault(name, line)
            if other is not line:
                ids[other[0]] = ids[line[0]] = name
    return ids


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


def _completed(ours: bytes, theirs: bytes, read: _Reader) -> list[list[bytes]]:
    """The texts of both sides; a last one that was cut off is the line of the other that it begins.

    Of two such the longer is looked at first: the other may be its beginning.
    """
    sides = [_texts(ours), _texts(theirs)]
    torn = [
        (texts[-1], side)
        for side, (data, texts) in enumerate(zip((ours, theirs), sides, strict=True))
        if texts and not data.endswith(b"\n") and not read[texts[-1]]
    ]
    for start, side in sorted(torn, reverse=True):
        *known, _ = sides[side]
        begun = [text for text in sides[1 - side] if text.startswith(start)]
        if start in begun and start not in known:
            continue  # the other side has the piece, as a line
        # nor a line that this side has as well: then it is the beginning of something else
        if whole := set(begun).difference(known, [start]):
            sides[side] = [*known, min(whole)]
    return sides


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
    merged: Iterable[bytes], ids: dict[bytes, str], sides: Iterable[Iterable[Line]]
) -> list[str]:
    """A note for each id of which the merge has more forms than either side had."""
    forms: dict[str, set[bytes]] = {}
    for text in merged:
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

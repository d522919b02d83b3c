"""Two versions of a memory file and what they both come from become one: section by section, and
in each bullet by bullet (a paragraph counts as one).

What a side put in the place of a bullet is that bullet, changed. One that both sides changed, each
in its own way, stays in both forms, the second with ``<!-- conflict -->`` behind it. A person
decides by removing the mark, or a form.

The outcome has LF, no byte order mark and no white space at the end. Where there is nothing to
merge it is the bytes of the changed side, as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vault_sessions.formats.memory import BULLET, FENCE, HEADING, SOURCE
from vault_sessions.formats.merge import NO_BASE, Merged
from vault_sessions.formats.merge_order import (
    Line,
    itself,
    kept_lines,
    merged_lines,
    merged_order,
    numbered,
    shared,
    three_way,
)
from vault_sessions.formats.meta import BOM

MARK = "<!-- conflict -->"

_MARKED = re.compile(rf"(?s)(.*\S)\s*{MARK}")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_WORD = re.compile(r"\w+")
_FEW = 100_000  # comparisons; of longer lists the first replaces the first


class _Block(NamedTuple):
    """A heading, bullet or paragraph, its text without the mark; and how many blank lines stand
    before it, behind a block of which kind (none: it is the file's first)."""

    kind: str
    text: bytes
    is_marked: bool = False
    after: str = ""
    gap: int = 0


class _Section(NamedTuple):
    """A heading (None before the file's first) and what stands under it."""

    heading: _Block | None
    blocks: dict[Line, _Block]


_Sections = dict[Line, _Section]
_Three = tuple[_Sections, _Sections, _Sections]


def merge_bullets(base: bytes | None, ours: bytes, theirs: bytes) -> Merged:
    """``facts.md`` or ``user.md`` of two sides. ``base`` None: no common ancestor is known."""
    if ours in (theirs, base):
        return Merged(theirs)
    if theirs == base:
        return Merged(ours)
    old_front, had = _read(base or b"")
    our_front, one = _read(ours)
    their_front, other = _read(theirs)
    notes = []
    if base is None:
        had = _shared_sections(one, other)
        if not _names(one) == _names(other) == _names(had):
            notes.append(NO_BASE)
    blocks: list[tuple[_Block, tuple[_Block | None, ...]]] = []
    for key, texts, conflicts in _merged_sections((had, one, other)):
        sections = [side.get(key, _Section(None, {})) for side in (had, one, other)]
        headings = tuple(section.heading for section in sections)
        if heading := headings[1] or headings[2]:
            blocks.append((heading, headings))
        for line in numbered(texts):
            forms = tuple(section.blocks.get(line) for section in sections)
            block = forms[1] or forms[2]
            assert block, "what stays stands on a side"
            is_marked = _is_marked(*forms) or line[0] in conflicts
            blocks.append((block._replace(is_marked=is_marked), forms))
        notes.extend(f"changed on both sides: {_shown(text)}" for text in sorted(conflicts))
    front = three_way(old_front, our_front, their_front, max)
    return Merged(front + _written(blocks), tuple(notes))


def _merged_sections(versions: _Three) -> Iterator[tuple[Line, list[bytes], set[bytes]]]:
    """The sections that stay, in their order: the texts in each and those that get a mark."""
    base, ours, theirs = versions
    texts: dict[Line, list[bytes]] = {}
    conflicts: dict[Line, set[bytes]] = {}
    for key in {**ours, **theirs}:
        lines = [list(side[key].blocks) if key in side else [] for side in versions]
        texts[key], conflicts[key] = _merged_blocks(*lines)
    # a section that one side took out stays with what the other has put in
    kept = kept_lines(base, ours, theirs) | {key for key, found in texts.items() if found}
    for key in merged_order(list(base), list(ours), list(theirs), kept, itself, itself):
        yield key, texts[key], conflicts[key]


def _merged_blocks(
    base: list[Line], ours: list[Line], theirs: list[Line]
) -> tuple[list[bytes], set[bytes]]:
    """A section's texts, and the second forms of what both sides changed."""
    mine, yours = _changed(base, ours), _changed(base, theirs)
    units: dict[bytes, Line] = {}
    for old, new in (*mine.items(), *yours.items()):
        units[new[0]] = min(old, units.get(new[0], old))
    units.update((old[0], old) for old in {**mine, **yours})
    conflicts = {
        max(mine[old], yours[old], key=_block_rank)[0]
        for old in mine.keys() & yours.keys()
        if mine[old] not in theirs and yours[old] not in ours
    }
    return merged_lines(base, ours, theirs, units, _block_rank, are_guessed=True), conflicts


def _block_rank(line: Line) -> tuple[str, Line]:
    """What was learned first stands first; the owner's own lines before that."""
    source = SOURCE.search(line[0].decode(errors="replace"))
    return source[1] if source else "", line


# --- what became of what -------------------------------------------------------------------------


def _changed(base: list[Line], side: list[Line]) -> dict[Line, Line]:
    """Which lines of the base this side changed, and into what."""
    common = set(base) & set(side)
    gone, new = _between(base, common), _between(side, common)
    changed: dict[Line, Line] = {}
    for place, lines in gone.items():
        changed.update(_pairs(lines, new.get(place, [])))
    return changed


def _between(lines: list[Line], common: set[Line]) -> dict[Line | None, list[Line]]:
    """The lines of one version only, by the common line that they follow."""
    found: dict[Line | None, list[Line]] = {}
    place: Line | None = None
    for line in lines:
        if line in common:
            place = line
        else:
            found.setdefault(place, []).append(line)
    return found


def _pairs(gone: list[Line], new: list[Line]) -> Iterator[tuple[Line, Line]]:
    """Each with the one that shares most words with it; one and one that are left, whatever they
    say."""
    if len(gone) * len(new) > _FEW:
        yield from zip(gone, new, strict=False)
        return
    words = {line: _words(line) for line in (*gone, *new)}
    left, unlike = list(new), []
    for old in gone:
        alike = {
            line: len(words[old] & words[line]) / len(words[old] | words[line]) for line in left
        }
        best = max(left, key=alike.__getitem__, default=None)
        if best and alike[best]:
            left.remove(best)
            yield old, best
        else:
            unlike.append(old)
    if len(unlike) == len(left) == 1:
        yield unlike[0], left[0]


def _words(line: Line) -> set[str]:
    """The words of a line, not of the comment that tells where it comes from; never none."""
    text = _COMMENT.sub("", line[0].decode(errors="replace"))
    return set(_WORD.findall(text.casefold())) or {text}


# --- reading -------------------------------------------------------------------------------------


def _read(data: bytes) -> tuple[bytes, _Sections]:
    """Front matter as it is, and the sections by their headings, equal ones told apart."""
    lines = data.removeprefix(BOM).decode(errors="surrogateescape").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    front: list[str] = []
    if lines[0].rstrip() == "---":
        ends = (place for place, line in enumerate(lines) if place and line.rstrip() == "---")
        end = next(ends, -1) + 1
        front, lines = lines[:end], lines[end:]
    headings: list[_Block | None] = [None]
    blocks: list[list[_Block]] = [[]]
    for block in _blocks(lines):
        if block.kind == "heading":
            headings.append(block)
            blocks.append([])
        else:
            blocks[-1].append(block)
    keys = numbered(heading.text if heading else b"" for heading in headings)
    sections = {
        key: _Section(heading, dict(zip(numbered(b.text for b in inside), inside, strict=True)))
        for key, heading, inside in zip(keys, headings, blocks, strict=True)
    }
    return "".join(f"{line}\n" for line in front).encode(errors="surrogateescape"), sections


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """Headings, bullets and paragraphs; as formats.memory finds them, with every byte."""
    kind, after, gap = "", "", 0
    block: list[str] = []
    is_fenced = False
    for line in [*lines, ""]:
        is_fence = FENCE.fullmatch(line) is not None
        heading = not is_fenced and not is_fence and HEADING.match(line)
        bullet = not is_fenced and not is_fence and BULLET.match(line)
        is_blank = not is_fenced and not line.strip()
        if block and (heading or bullet or is_blank or kind == "heading"):
            yield _block(kind, block, after, gap)
            after, gap, block = kind, 0, []
        if is_blank:
            gap += 1
            continue
        if not block:
            kind = "heading" if heading else "bullet" if bullet else "text"
        block.append(line)
        is_fenced ^= is_fence
    if block:  # a fence was never closed
        yield _block(kind, block, after, gap)


def _block(kind: str, lines: list[str], after: str, gap: int) -> _Block:
    text = "\n".join(lines).rstrip()
    marked = _MARKED.fullmatch(text) if kind != "heading" and text.endswith(MARK) else None
    text = marked[1] if marked else text
    return _Block(kind, text.encode(errors="surrogateescape"), marked is not None, after, gap)


def _names(sections: _Sections) -> set[tuple[Line, Line | None]]:
    """What stands in a file, wherever."""
    names: set[tuple[Line, Line | None]] = {(key, None) for key in sections}
    return names.union((key, line) for key, found in sections.items() for line in found.blocks)


def _shared_sections(ours: _Sections, theirs: _Sections) -> _Sections:
    """What both sides have, for want of a base; of blank lines and marks nothing is known."""
    found: _Sections = {}
    for key in shared(list(ours), list(theirs), itself):
        one, other = ours[key].blocks, theirs[key].blocks
        blocks = {
            line: _Block(
                one[line].kind, line[0], one[line].is_marked and other[line].is_marked, "?"
            )
            for line in shared(list(one), list(other), itself)
        }
        heading = ours[key].heading
        found[key] = _Section(heading and heading._replace(after="?"), blocks)
    return found


# --- writing -------------------------------------------------------------------------------------


def _is_marked(base: _Block | None, ours: _Block | None, theirs: _Block | None) -> bool:
    """Has the block a mark? A mark that was removed is not put back."""
    if ours is None or theirs is None:
        return any(block.is_marked for block in (ours, theirs) if block)
    was = base is not None and base.is_marked
    return three_way(was, ours.is_marked, theirs.is_marked, max)


def _gap(block: _Block, forms: tuple[_Block | None, ...], after: str) -> int:
    """The blank lines before a block: as on the sides where it stands behind such a block too."""
    was, mine, yours = (form.gap if form and form.after == after else None for form in forms)
    if mine is not None and yours is not None:
        return min(mine, yours) if was is None else three_way(was, mine, yours, min)
    for gap in (mine, yours):
        if gap is not None:
            return gap
    return 0 if after == "" or block.kind == after == "bullet" else 1


def _written(blocks: list[tuple[_Block, tuple[_Block | None, ...]]]) -> bytes:
    parts: list[bytes] = []
    after = ""
    for block, forms in blocks:
        parts.append(b"\n" * _gap(block, forms, after) + block.text)
        if block.is_marked:
            # behind a fence it would be no fence any more
            last = block.text.rpartition(b"\n")[2].decode(errors="replace")
            parts.append(("\n" if FENCE.fullmatch(last) else " ").encode() + MARK.encode())
        parts.append(b"\n")
        after = block.kind
    return b"".join(parts)


def _shown(text: bytes) -> str:
    """A text in a note: its first words, without comments."""
    plain = " ".join(_COMMENT.sub("", text.decode(errors="replace")).split())
    return plain if len(plain) <= 60 else plain[:59] + "…"

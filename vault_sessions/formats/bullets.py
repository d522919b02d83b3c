"""Changes of ``facts.md`` and ``user.md``, byte for byte: one bullet, one sentence or the body of
one section is another, every other byte stays.

Line ends, a byte order mark, a last line without an end and bytes that are not UTF-8 stay as they
are. What is a bullet and under which heading it stands is as ``formats.memory`` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from vault_sessions.formats.changes import one_line
from vault_sessions.formats.memory import (
    BULLET,
    FENCE,
    HEADING,
    SOURCE,
    heading_title,
    read_document,
    without_comments,
)
from vault_sessions.formats.merge_memory import MARK

_BOM = "\ufeff"
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]*(?=\s|$)|[。！？][」』）]*")
_GIT_MARKS = re.compile(r"^(?:<{7}|>{7})(?: |\r?$)", re.MULTILINE)


class NotThere(ValueError):
    """What is to be changed does not stand in the file, or more than once."""


class Bullet(NamedTuple):
    """A bullet or (``is_bullet`` false) a paragraph: where it stands, and what it says.

    ``text`` is without comments, with the line breaks of the file as LF. ``start`` and ``end`` are
    offsets in the decoded file, behind the bullet's mark; ``first`` and ``last`` its lines from 0.
    ``is_disputed``: both sides of a merge changed it, and a person has yet to choose.
    """

    section: str | None
    line: int
    text: str
    is_bullet: bool
    source: tuple[str, str, str] | None
    is_disputed: bool
    start: int
    end: int
    first: int
    last: int


class Spot(NamedTuple):
    """Exactly one bullet, paragraph or sentence of a file; ``text`` is what it says now."""

    bullet: Bullet
    text: str
    start: int
    end: int
    is_whole: bool


class _Heading(NamedTuple):
    level: int
    title: str
    line: int


class _File(NamedTuple):
    lines: list[str]
    offsets: list[int]
    headings: list[_Heading]
    bullets: list[Bullet]
    is_open: bool


def decoded(data: bytes) -> str:
    """The file as text that can be encoded again to the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def read_bullets(data: bytes) -> list[Bullet]:
    """The bullets and paragraphs of a memory file, in their order."""
    return _read(data).bullets


def is_conflicted(data: bytes) -> bool:
    """Has git left both sides of a merge in the file?"""
    return len(_GIT_MARKS.findall(decoded(data))) > 1


def comment(day: str, session_id: str | None, message_id: str | None) -> str | None:
    """Where a bullet comes from; None where that is not known, or can't stand in a comment."""
    text = f"<!-- {day} {session_id}#{message_id} -->"
    if not session_id or not message_id or "-->" in text[:-3]:
        return None
    return text if SOURCE.fullmatch(text) else None


# --- finding -------------------------------------------------------------------------------------


def find(data: bytes, text: str) -> list[Spot]:
    """The bullets and paragraphs that say this, white space aside; where there are none, the
    sentences (one or several in a row)."""
    wanted = one_line(text)
    bullets = read_bullets(data)
    whole = [
        Spot(bullet, bullet.text, bullet.start, bullet.end, True)
        for bullet in bullets
        if one_line(bullet.text) == wanted
    ]
    if whole or not wanted:
        return whole
    text = decoded(data)
    near = [bullet for bullet in bullets if wanted in one_line(bullet.text)]
    return [spot for bullet in near for spot in _sentences(text, bullet, wanted)]


def _sentences(text: str, bullet: Bullet, wanted: str) -> list[Spot]:
    """Where a bullet or paragraph says this in whole sentences."""
    raw = _COMMENT.sub(lambda found: "\0" * len(found[0]), text[bullet.start : bullet.end])
    words = r"\s+".join(map(re.escape, wanted.split(" ")))
    found = []
    for match in re.finditer(words, raw):
        before, end = raw[: match.start()].strip("\0 \t\r\n"), match.end()
        closing = _SENTENCE_END.match(raw, end)
        if closing and not _ends(raw[:end]):
            end = closing.end()
        begins = not before or _ends(before)
        if begins and (_ends(raw[:end]) or not raw[end:].strip("\0 \t\r\n")):
            said = raw[match.start() : end].replace("\r\n", "\n")
            start = bullet.start + match.start()
            found.append(Spot(bullet, said, start, bullet.start + end, False))
    return found


def _ends(text: str) -> bool:
    """Is the end of the text that of a sentence?"""
    end = text[-8:]
    return any(found.end() == len(end) for found in _SENTENCE_END.finditer(end))


# --- changing ------------------------------------------------------------------------------------


def replaced(data: bytes, spot: Spot, new: str, source: str | None) -> bytes:
    """The file with another text in that place. Comments of the owner's stay behind it; that of
    where the old text comes from is ``source`` now."""
    text = decoded(data)
    new = new.replace("\n", _line_end(text))
    if spot.is_whole:
        comments = _COMMENT.findall(text[spot.start : spot.end])
        kept = [each for each in comments if not SOURCE.fullmatch(each)]
        new = " ".join([new, *([source] if source else []), *kept])
    elif _ends(spot.text) and not _ends(new):
        new += _SENTENCE_END.findall(spot.text)[-1]
    return _encoded(text[: spot.start] + new + text[spot.end :])


def removed(data: bytes, spot: Spot) -> bytes:
    """The file without that bullet, paragraph or sentence."""
    text = decoded(data)
    rest = text[spot.bullet.start : spot.start] + text[spot.end : spot.bullet.end]
    if spot.is_whole or not without_comments(rest).strip():
        return _without_lines(data, spot.bullet.first, spot.bullet.last)
    start, end = spot.start, spot.end
    behind = text[end : spot.bullet.end]
    if behind.strip():
        end += len(behind) - len(behind.lstrip())
    else:
        before = text[spot.bullet.start : start]
        start -= len(before) - len(before.rstrip())
    return _encoded(text[:start] + text[end:])


def _without_lines(data: bytes, first: int, last: int) -> bytes:
    """The file without these lines; two blank lines do not come together by it."""
    file = _read(data)
    lines = file.lines
    before = lines[first - 1] if first else None
    after = lines[last + 1] if last + 1 < len(lines) else None
    are_blank = [line is not None and not line.strip(_BLANK) for line in (before, after)]
    if all(are_blank) and last + 2 < len(lines):
        last += 1
    kept = lines[:first] + lines[last + 1 :]
    if first == len(kept) and first and not lines[last].endswith("\n"):
        # the last line had no end, and the one that is last now has none
        kept[-1] = kept[-1].removesuffix("\n").removesuffix("\r")
    bom = _BOM if first == 0 and lines[0].startswith(_BOM) else ""
    return _encoded(bom + "".join(kept))


_BLANK = " \t\r\n" + _BOM


def appended(
    data: bytes, section: str, text: str, source: str | None, order: Sequence[str] = ()
) -> bytes:
    """The file with one more bullet at the end of a section; one that is not there is made, in its
    place among ``order``, else at the end."""
    file = _read(data)
    bullet = f"- {text}" + (f" {source}" if source else "")
    heading = _find_heading(file, section)
    if heading is None:
        return _with_new_section(file, section, bullet, order)
    stop = _next_heading(file, heading.line, 6)
    inside = [b for b in file.bullets if heading.line < b.first < stop]
    bullets = [b for b in inside if b.is_bullet]
    is_cut = file.is_open and stop == len(file.lines)  # by a fence that was never closed
    if bullets:
        last = bullets[-1]
        at = last.first if is_cut and last is file.bullets[-1] else last.last + 1
        return _inserted(file, at, [bullet])
    if inside and not is_cut:
        return _inserted(file, inside[-1].last + 1, ["", bullet])
    return _under_heading(file, heading.line, [bullet])


def _under_heading(file: _File, line: int, new: Sequence[str]) -> bytes:
    """The file with the first lines of a section: a blank line before them, and behind them where
    something follows; but none where its headings stand together without."""
    rest = file.lines[line + 1 :]
    if not rest:
        return _inserted(file, line + 1, ["", *new])
    if rest[0].strip():
        gap = [] if any(heading.line == line + 1 for heading in file.headings) else [""]
        return _inserted(file, line + 1, [*new, *gap])
    gap = [""] if len(rest) > 1 and rest[1].strip() else []
    return _inserted(file, line + 2, [*new, *gap])


def _with_new_section(file: _File, section: str, bullet: str, order: Sequence[str]) -> bytes:
    names = [name.casefold() for name in order]
    if section.casefold() in names:
        later = names[names.index(section.casefold()) + 1 :]
        behind = [h for h in file.headings if h.level == 2 and h.title.casefold() in later]
        if behind:
            return _inserted(file, behind[0].line, [f"## {section}", "", bullet, ""])
    return _at_end(file, [f"## {section}", "", bullet])


def _at_end(file: _File, new: Sequence[str]) -> bytes:
    """The file with one more section."""
    at = len(file.lines)
    while at and not file.lines[at - 1].strip(_BLANK):
        at -= 1
    fence = ["```"] if file.is_open else []
    return _inserted(file, at, [*fence, *([""] if at else []), *new])


def section_body(data: bytes, section: str) -> str | None:
    """What stands under a heading, up to the next of level 1 or 2; None where it is not there."""
    file = _read(data)
    heading = _find_heading(file, section)
    if heading is None:
        return None
    stop = _next_heading(file, heading.line, 2)
    return "".join(file.lines[heading.line + 1 : stop]).replace("\r\n", "\n").strip()


def with_body(data: bytes, section: str, body: str) -> bytes:
    """The file with another text under a heading; one that is not there is made at the end."""
    file = _read(data)
    heading = _find_heading(file, section)
    lines = body.strip().split("\n") if body.strip() else []
    if heading is None:
        return _at_end(file, [f"## {section}", "", *lines])
    stop = _next_heading(file, heading.line, 2)
    first, last = heading.line + 1, stop
    while first < last and not file.lines[first].strip():
        first += 1
    while first < last and not file.lines[last - 1].strip():
        last -= 1
    if first == last:
        return _under_heading(file, heading.line, lines) if lines else data
    if not lines:
        return _without_lines(data, first, last - 1)
    text, start = "".join(file.lines), file.offsets[first]
    end = file.offsets[last - 1] + len(file.lines[last - 1].rstrip("\r\n"))
    return _encoded(text[:start] + _line_end(text).join(lines) + text[end:])


def _inserted(file: _File, at: int, new: Sequence[str]) -> bytes:
    """The file with these lines before its line ``at``; a last line that had no end has none."""
    end = _line_end("".join(file.lines))
    lines = list(file.lines)
    bom = _BOM if lines and lines[0].startswith(_BOM) else ""
    if bom:
        lines[0] = lines[0].removeprefix(_BOM)
    if lines == [""]:
        lines, at = [], 0
    added = [line + end for line in new]
    if at >= len(lines) and lines and not lines[-1].endswith("\n"):
        lines[-1] += end
        added[-1] = added[-1].removesuffix(end)
    return _encoded(bom + "".join([*lines[:at], *added, *lines[at:]]))


def _line_end(text: str) -> str:
    """The line end of most lines."""
    windows = text.count("\r\n")
    return "\r\n" if windows * 2 > text.count("\n") else "\n"


# --- reading -------------------------------------------------------------------------------------


def _find_heading(file: _File, section: str) -> _Heading | None:
    """The heading of that title; of several the one of level 2."""
    named = [h for h in file.headings if h.title.casefold() == section.casefold()]
    return min(named, key=lambda h: (h.level != 2, h.level == 1, h.line), default=None)


def _next_heading(file: _File, line: int, level: int) -> int:
    """The line of the next heading of at most this level; the number of lines where there is
    none."""
    after = (h.line for h in file.headings if h.line > line and h.level <= level)
    return next(after, len(file.lines))


@lru_cache(maxsize=4)  # one edit reads the same bytes several times
def _read(data: bytes) -> _File:
    """As ``formats.memory.blocks``, with the place of everything."""
    text = decoded(data)
    lines = _split(text)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    first_line = _first_line(data, text, len(lines))
    headings: list[_Heading] = []
    found: list[Bullet] = []
    section: str | None = None
    is_fenced = False
    start = -1  # of the block that is open: its first line
    at = 0  # and the offset where its text begins
    is_bullet = False

    def close(end: int) -> None:
        nonlocal start
        if start >= 0:
            bullet = _bullet(text, section, is_bullet, at, offsets[end], start, end - 1)
            if bullet is not None:
                found.append(bullet)
        start = -1

    for number in range(first_line, len(lines)):
        whole = lines[number].rstrip("\n").removesuffix("\r")
        line = whole.removeprefix(_BOM) if number == 0 else whole
        if number == first_line and number:  # a body behind front matter is read stripped
            line = line.lstrip()
        skipped = len(whole) - len(line)
        if FENCE.fullmatch(line):
            is_fenced = not is_fenced
        elif not is_fenced:
            heading, mark = HEADING.match(line), BULLET.match(line)
            if heading or mark or not line.strip():
                close(number)
            if heading:
                title = heading_title(heading[2])
                section = title or None
                headings.append(_Heading(len(heading[1]), title, number))
                continue
            if mark:
                if line[mark.end() :].strip():
                    start, at, is_bullet = number, offsets[number] + skipped + mark.end(), True
                continue
            if not line.strip():
                continue
        if start < 0:
            start, at, is_bullet = number, offsets[number] + skipped, False
    close(len(lines))
    return _File(lines, offsets, headings, _disputed(found), is_fenced)


def _split(text: str) -> list[str]:
    """The lines with their ends; only LF ends one."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _first_line(data: bytes, text: str, count: int) -> int:
    """The first line behind the front matter, from 0."""
    if not text.removeprefix(_BOM).lstrip().startswith("---"):
        return 0
    document = read_document(data)
    return document.body_line - 1 if document.body else count


def _bullet(
    text: str, section: str | None, is_bullet: bool, start: int, end: int, first: int, last: int
) -> Bullet | None:
    raw = text[start:end]
    trimmed = raw.rstrip()
    start += len(raw) - len(raw.lstrip())
    end -= len(raw) - len(trimmed)
    said = without_comments(text[start:end].replace("\r\n", "\n")).strip()
    if not said:
        return None
    source = SOURCE.search(text, start, end)
    marks = text[start:end].rstrip().endswith(MARK)
    origin = (source[1], source[2], source[3]) if source else None
    return Bullet(section, first + 1, said, is_bullet, origin, marks, start, end, first, last)


def _disputed(found: list[Bullet]) -> list[Bullet]:
    """A form with a mark has its other form right before it."""
    return [
        bullet._replace(is_disputed=True)
        if index + 1 < len(found)
        and found[index + 1].is_disputed
        and found[index + 1].section == bullet.section
        else bullet
        for index, bullet in enumerate(found)
    ]

"""What is wrong in a file, mended: pure functions from bytes to bytes. Done twice is done once.

A line that can be read is never changed, but for the bytes of an id that two lines bear. A line
that can't be read is made readable where nothing has to be guessed; else it goes out of the file.
Whoever writes the outcome keeps the original (docs/problems.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import orjson

from vault_sessions.formats.ids import is_message_id
from vault_sessions.formats.merge import Merged, merge_changes, merge_transcript
from vault_sessions.formats.meta import UnreadableMeta, changed_meta, parse_meta
from vault_sessions.formats.transcript import BOM, _is_message, _pretty_printed, parse
from vault_sessions.model import ROLES, Problem

_MENDABLE = (
    *("torn-tail", "bad-line", "glued", "pretty-printed", "conflict-marker", "not-utf8"),
    *("too-long", "duplicate-id", "bom", "crlf"),
)
_HUNK = re.compile(
    rb"""(?mx)
    ^<<<<<<<[^\n]*\n            ((?:(?!<<<<<<<|\|\|\|\|\|\|\||=======|>>>>>>>)[^\n]*\n)*)
    (?:^\|\|\|\|\|\|\|[^\n]*\n  ((?:(?!<<<<<<<|\|\|\|\|\|\|\||=======|>>>>>>>)[^\n]*\n)*))?
    ^=======[^\n]*\n            ((?:(?!<<<<<<<|\|\|\|\|\|\|\||=======|>>>>>>>)[^\n]*\n)*)
    ^>>>>>>>[^\n]*(?:\n|\Z)
    """
)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]', re.DOTALL)
_LAST_COMMA = re.compile(rb",(?=\s*[}\]])")
_CONTROL = re.compile(rb"[\0-\x1f]")
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    rb"|\\.",
    re.DOTALL,
)
_AROUND = b" \t\r\n\x0b\x0c\0,"
_UNSEEN = [mark.encode() for mark in "\ufeff\u200b\u2060\u00a0\u2028\u2029"]
_TRIES = 64


class Mended(NamedTuple):
    """The bytes of a mended file, and what was done, for a person; nothing: it is as it was."""

    data: bytes
    done: tuple[str, ...] = ()


# --- transcripts ---------------------------------------------------------------------------------


def mend_transcript(data: bytes) -> Mended:
    """All that can be mended in a transcript."""
    done = []
    for fix, tell in _FIXES:
        mended = fix(data)
        if mended != data:
            done.append(tell(data, mended))
            data = mended
    return Mended(data, tuple(done))


def is_mendable(found: Problem) -> bool:
    """Is this kind of problem of a transcript mended? A field that is ignored is the owner's."""
    return found.code in _MENDABLE and (found.code, found.severity) != ("bad-line", "warning")


def as_utf8(data: bytes) -> bytes:
    """A transcript that was saved in UTF-16, in UTF-8."""
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data
    try:
        text = data.decode("utf-16").encode()
    except UnicodeError:
        return data
    return text if parse(text).messages else data


def without_bom(data: bytes) -> bytes:
    """Without the byte order mark at the start."""
    while data.startswith(BOM):
        data = data[len(BOM) :]
    return data


def without_cr(data: bytes) -> bytes:
    """With LF for CR LF."""
    if b"\r\n" not in data:
        return data
    *lines, tail = data.split(b"\n")
    return b"\n".join([*(raw.rstrip(b"\r") for raw in lines), tail])


def merge_conflicts(
    data: bytes, merge: Callable[[bytes | None, bytes, bytes], Merged] = merge_transcript
) -> bytes:
    """With the two sides of git's conflicts merged, by the base part where there is one.

    Markers without their counterparts stay.
    """
    sides = conflict_sides(data)
    return data if sides is None else merge(*sides).data


def conflict_sides(data: bytes) -> tuple[bytes | None, bytes, bytes] | None:
    """Base (None: not in the file), ours and theirs, of a file with conflict markers."""
    hunks = list(_HUNK.finditer(data)) if b"<<<<<<<" in data else []
    if not hunks:
        return None
    base = None
    if all(hunk[2] is not None for hunk in hunks):
        base = _HUNK.sub(rb"\2", data)
    return base, _HUNK.sub(rb"\1", data), _HUNK.sub(rb"\3", data)


def join_spread(data: bytes) -> bytes:
    """With each message that is spread over several lines on one."""
    lines, bad = _unreadable(data)
    spread = _pretty_printed(lines, bad)
    if not spread:
        return data
    newcomers = _Newcomers(data)
    joined: list[bytes] = []
    at = 0
    for first, last in sorted(spread.items()):
        parts = [text for raw in lines[first : last + 1] if (text := raw.strip())]
        whole = b" ".join(parts).removesuffix(b",").rstrip()
        joined += [*lines[at:first], *newcomers.fitted([whole])]
        at = last + 1
    joined += lines[at:] or [b""]
    return b"\n".join(joined)


def split_glued(data: bytes) -> bytes:
    """With each of several objects on a line on a line of its own."""
    return _with_lines(data, lambda text: _pieces(text) if text[:1] == b"{" else [text])


def mend_lines(data: bytes) -> bytes:
    """With those lines readable in which it is plain what was meant: NUL bytes or commas around,
    raw control characters in a text, Latin-1, half of a surrogate pair, a last brace left off,
    or a comma too many, a role in capitals, a number for a text, a list of messages. Bytes that
    can't be known become U+FFFD."""
    return _with_lines(data, _mended_line)


def _with_lines(data: bytes, change: Callable[[bytes], list[bytes]]) -> bytes:
    """With what is made of each line that can't be read."""
    lines, bad = _unreadable(data)
    if not bad:
        return data
    newcomers = _Newcomers(data)
    gone = []
    for index in bad:
        text = lines[index].strip()
        made = change(text)
        if made != [text]:
            lines[index] = b"\n".join(newcomers.fitted(made))
            if not lines[index]:
                gone.append(index)
    return _without(lines, gone)


class _Newcomers:
    """Finds room for messages that become readable among those that are: these keep their places
    and ids."""

    def __init__(self, data: bytes) -> None:
        lines = data.split(b"\n")
        messages = parse(data).messages
        self._ids = {message.id for message in messages}
        self._texts = {lines[message.line - 1].strip() for message in messages}

    def fitted(self, texts: Iterable[bytes]) -> list[bytes]:
        """The texts less the messages that are there already, with other ids for ids that are."""
        return [fitted for text in texts if (fitted := self._fit(text)) is not None]

    def _fit(self, text: bytes) -> bytes | None:
        given = orjson.loads(text).get("id") if _is_message(text) else None
        if not is_message_id(given):
            return text
        if text in self._texts:
            return None
        self._texts.add(text)
        name, n = str(given), 1
        while name in self._ids:
            n += 1
            name = f"{given}~{n}"
        self._ids.add(name)
        # where there is no room for a number, the reader tells them apart
        return _with_number(text, f"~{n}") if n > 1 and is_message_id(name) else text


def _with_number(text: bytes, number: str) -> bytes:
    """A line with a number behind its own id."""
    place = _value_at(text, "id")
    assert place, "a line with an id has it somewhere"
    end = place[1] - 1
    return text[:end] + number.encode() + text[end:]


def without_unreadable(data: bytes) -> bytes:
    """Without the lines that can't be read."""
    lines, bad = _unreadable(data)
    return _without(lines, bad) if bad else data


def with_unique_ids(data: bytes) -> bytes:
    """Each line once, and of other texts with one id the later ones called ``<id>~n``, as the
    reader calls them."""
    read = parse(data)
    if not any(found.code == "duplicate-id" for found in read.problems):
        return data
    lines = data.split(b"\n")
    messages = {message.line: message for message in read.messages}
    again = []
    for found in read.problems:
        if found.code != "duplicate-id":
            continue
        message = messages.get(found.line)
        if message is None:
            again.append(found.line - 1)
            continue
        own = message.fields.get("id")
        if is_message_id(own) and is_message_id(message.id) and own != message.id:
            at = found.line - 1
            lines[at] = _with_number(lines[at], message.id[len(str(own)) :])
    return _without(lines, again)


def put_back(data: bytes, lines: Sequence[tuple[str, bytes | None]], after: Sequence[str]) -> bytes:
    """With those of the kept lines (id, text) that stand nowhere in the file put behind the last
    of ``after`` that does; where none does: at the end. A line without a text is only a place: what
    comes behind it in ``lines`` stands behind it, if it stands."""
    rows, bad = _unreadable(data)
    texts = {raw.strip() for raw in rows}
    places = {message.id: message.line for message in parse(data).messages}

    def place_of(name: str) -> int:
        """The number of the line that has this id, or holds it and can't be read; 0: none."""
        if name in places or name.startswith("h-"):
            return places.get(name, 0)
        own, mark, number = name.rpartition("~")
        quoted = f'"{own if mark and number.isdigit() else name}"'.encode()
        return next((index + 1 for index in bad if quoted in rows[index]), 0)

    at = max(map(place_of, after), default=0)
    end = len(rows) if rows[-1].strip() else len(rows) - 1
    behind: dict[int, list[bytes]] = {}
    for name, text in lines:
        place = place_of(name)
        if place or text is None or text.strip() in texts:
            at = max(at, place)
        else:
            behind.setdefault(at or end, []).append(text.strip())
    if not behind:
        return data
    if end == len(rows):
        rows.append(b"")  # what is put behind the last line needs its newline
    for place, new in sorted(behind.items(), reverse=True):
        rows[place:place] = new
    return b"\n".join(rows)


def _unreadable(data: bytes) -> tuple[list[bytes], list[int]]:
    """The lines as they are, and the places of those that are neither messages nor blank."""
    read = parse(data)
    good = {message.line for message in read.messages}
    good.update(found.line for found in read.problems if found.code == "duplicate-id")
    lines = data.split(b"\n")
    return lines, [i for i, raw in enumerate(lines) if i + 1 not in good and raw.strip()]


def _without(lines: list[bytes], places: Iterable[int]) -> bytes:
    """The lines less some of them; what then stands last ends with its newline."""
    out = set(places)
    kept = [raw for i, raw in enumerate(lines) if i not in out]
    if len(lines) - 1 in out:
        kept.append(b"")
    return b"\n".join(kept)


def count_lines(data: bytes) -> int:
    """How many lines are not blank."""
    return sum(1 for raw in data.split(b"\n") if raw.strip())


def _count(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"


_Tell = Callable[[bytes, bytes], str]


def _said(text: str) -> _Tell:
    return lambda before, after: text


def _told_lines(one: str, many: str) -> _Tell:
    """Tells how many lines were changed where they stand."""

    def tell(before: bytes, after: bytes) -> str:
        bad = len(_unreadable(before)[1]) - len(_unreadable(after)[1])
        return _count(max(bad, 1), one, many)

    return tell


def _told_out(before: bytes, after: bytes) -> str:
    number = count_lines(before) - count_lines(after)
    return _count(number, "unreadable line taken out", "unreadable lines taken out")


_FIXES: tuple[tuple[Callable[[bytes], bytes], _Tell], ...] = (
    (as_utf8, _said("UTF-16 made UTF-8")),
    (without_bom, _said("byte order mark removed")),
    (without_cr, _said("line ends made LF")),
    (merge_conflicts, _said("both sides of a git conflict merged")),
    (join_spread, _said("messages spread over several lines joined")),
    (split_glued, _said("objects on one line split")),
    (mend_lines, _told_lines("line made readable", "lines made readable")),
    (without_unreadable, _told_out),
    (with_unique_ids, _said("doubled ids told apart, doubled lines removed")),
)


# --- one line ------------------------------------------------------------------------------------


def _pieces(text: bytes) -> list[bytes]:
    """The objects that stand glued on a line, and what is left between them and behind.

    Between two objects only white space and commas go. Before a message that ends the line may be
    one that was cut off.
    """
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return [text]
    pieces: list[str] = []
    decode = json.JSONDecoder().raw_decode
    at = 0
    while decoded.startswith("{", at):
        try:
            end = decode(decoded, at)[1]
        except (ValueError, RecursionError):
            break
        pieces.append(decoded[at:end])
        at = _skip(decoded, end)
    rest = decoded[at:]
    return [piece.encode() for piece in (*pieces, *_from_the_end(rest)) if piece]


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r,":
        at += 1
    return at


def _from_the_end(text: str) -> list[str]:
    """The whole messages at the end of a line, and before them the rest."""
    pieces: list[str] = []
    end, tries = len(text), _TRIES
    if text.startswith("{"):
        for place in reversed([found.start() for found in re.finditer(r'\{\s*"', text)][1:]):
            whole = text[place:end].rstrip(" \t\r,")
            # within a list or another object it is no message of its own
            inside = text[:place].rstrip()[-1:] in "[:,"
            if not inside and _is_message(whole.encode()):
                pieces.insert(0, whole)
                end, tries = place, _TRIES
            else:
                tries -= 1
                if not tries:
                    break
    return [text[:end], *pieces]


def _mended_line(line: bytes) -> list[bytes]:
    """The line as one message or several; as it is where it is not plain what was meant."""
    text = line
    for step in (_bare, _decoded, _escaped, _without_last_commas, _closed, _worded):
        text = step(text)
        if _reads(text):
            return [text]
    if text.startswith(b"[") and text.endswith(b"]"):
        pieces = _pieces(_bare(text[1:-1]))
        if pieces and all(map(_reads, pieces)):
            return pieces
    return [line]


def _reads(text: bytes) -> bool:
    return _is_message(text) and len(parse(text).messages) == 1


def _bare(text: bytes) -> bytes:
    """Without what can't be seen, and commas, around."""
    for _ in range(_TRIES):
        before, text = text, text.strip(_AROUND)
        for mark in _UNSEEN:
            text = text.removeprefix(mark).removesuffix(mark)
        if text == before:
            break
    return text


def _decoded(text: bytes) -> bytes:
    """In UTF-8: all of it from Windows-1252, or with U+FFFD for the bytes that can't be known."""
    try:
        text.decode()
    except UnicodeDecodeError:
        if text.decode("utf-8", "ignore").isascii():
            try:
                return text.decode("cp1252").encode()
            except UnicodeDecodeError:
                pass
        return text.decode("utf-8", "replace").encode()
    return text


def _escaped(text: bytes) -> bytes:
    """With control characters in texts escaped, and half a surrogate pair as U+FFFD."""
    if not _CONTROL.search(text) and b"\\u" not in text:
        return text

    def control(found: re.Match[bytes]) -> bytes:
        return b"\\u%04x" % found[0][0]

    def half(found: re.Match[bytes]) -> bytes:
        return b"\\ufffd" if found[1] else found[0]

    return _STRING.sub(lambda s: _ESCAPE.sub(half, _CONTROL.sub(control, s[0])), text)


def _closed(text: bytes) -> bytes:
    """With the last brace, if that is all that is left off. (A number may have been longer.)"""
    closed = text + b"}"
    return closed if not text[-1:].isdigit() and _is_message(closed) else text


def _worded(text: bytes) -> bytes:
    """With role and content as they are meant: ``User``, ``42``, one part that is not in a list."""
    try:
        fields = orjson.loads(text)
    except ValueError:
        return text
    if not isinstance(fields, dict):
        return text
    role, content = fields.get("role"), fields.get("content")
    if isinstance(role, str) and role not in ROLES and role.strip().lower() in ROLES:
        text = _with_value(text, "role", lambda raw: orjson.dumps(role.strip().lower()))
    if isinstance(content, bool | int | float):
        text = _with_value(text, "content", lambda raw: b'"' + raw + b'"')
    elif isinstance(content, dict):
        text = _with_value(text, "content", lambda raw: b"[" + raw + b"]")
    return text


def _with_value(text: bytes, key: str, change: Callable[[bytes], bytes]) -> bytes:
    place = _value_at(text, key)
    if place is None:
        return text
    start, end = place
    return text[:start] + change(text[start:end]) + text[end:]


def _value_at(text: bytes, key: str) -> tuple[int, int] | None:
    """Where the value of an object's own member stands; of several of one key the last counts.

    However deep the object is nested: the parser of the standard library gives up early.
    """
    depth, start, found = 0, -1, None
    name = b""
    is_it = False
    for token in _TOKEN.finditer(text):
        what = token[0]
        if what in (b"{", b"["):
            depth += 1
            continue
        if depth == 1 and what in (b",", b"}") and is_it:
            found, is_it = (start, token.start()), False
        if what in (b"}", b"]"):
            depth -= 1
        elif depth == 1 and what == b":":
            start, is_it = token.end(), orjson.loads(name) == key
        elif depth == 1 and what != b",":
            name = what
    if found is None:
        return None
    value = text[found[0] : found[1]]
    start = found[0] + len(value) - len(value.lstrip())
    return start, start + len(value.strip())


# --- metadata and memory -------------------------------------------------------------------------


def mend_meta(data: bytes, stem: str, last_activity: datetime | None = None) -> Mended:
    """All that can be mended in a session's metadata.

    ``last_activity`` of the session: an ending that is older does not count when sides are merged.
    """
    from vault_sessions.formats.merge_meta import merge_meta

    done = []
    if (sides := conflict_sides(data)) is not None:
        merged = merge_meta(*sides, last_activity).data
        if _is_object(merged):
            data = merged
            done.append("both sides of a git conflict merged")
    if not _is_object(data):
        plain = _without_last_commas(data)
        if _is_object(plain):
            data = plain
            done.append("commas before a closing bracket removed")
    codes = {found.code for found in parse_meta(data, stem)[1]}
    if "meta-mismatch" in codes and "future-version" not in codes:
        with suppress(UnreadableMeta):  # nested too deep to be taken apart
            data = changed_meta(data, {"id": stem})
            done.append("id set to the file's")
    return Mended(data, tuple(done))


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(orjson.loads(data.removeprefix(BOM)), dict)
    except ValueError:
        return False


def _without_last_commas(data: bytes) -> bytes:
    """Without the comma that a hand leaves behind the last member when it takes one out."""
    if not _LAST_COMMA.search(data):
        return data
    pattern = re.compile(_STRING.pattern + b"|" + _LAST_COMMA.pattern, re.DOTALL)
    return pattern.sub(lambda found: b"" if found[0] == b"," else found[0], data)


def mend_memory(name: str, data: bytes) -> Mended:
    """A file of memory (by its name) with the two sides of git's conflicts merged."""
    from vault_sessions.formats.merge_memory import merge_bullets

    if conflict_sides(data) is None:
        return Mended(data)
    merge = merge_changes if name == "changes.jsonl" else merge_bullets
    return Mended(merge_conflicts(data, merge), ("both sides of a git conflict merged",))


def conflict_lines(data: bytes) -> list[int]:
    """The numbers of the lines where git's conflicts begin."""
    if b"<<<<<<<" not in data:
        return []
    return [data.count(b"\n", 0, hunk.start()) + 1 for hunk in _HUNK.finditer(data)]

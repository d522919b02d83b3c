"""Checkpoints as JSON, indented by two spaces."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from vault_sessions.formats.checkpoint import (
    MIB,
    Checkpoint,
    CheckpointError,
    CheckpointMessage,
    Original,
    Reading,
    is_text,
    message_fields,
    not_utf8,
    original_fields,
    parts,
    pieces,
)

_BATCH = 500
_TRANSCRIPT = (b'"transcript": "', b'"transcript":"')
_TO_QUOTE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_MARKED = "(read by pieces)"
_MARK = b'"(read by pieces)"'
# in a valid file a quote inside a text has a backslash before it
_MESSAGES = re.compile(rb'"messages"\s*:\s*\[')
_BEHIND = (b'"context"', b'"statistics"', b'"vault_sessions"')
_BETWEEN = re.compile(rb"\}\s*,\s*\{")
_GUESSES = 20


def encode(checkpoint: Checkpoint) -> Iterator[bytes]:
    """The file, in pieces. Raises CheckpointError for what is nested too deep."""
    before = b"{\n"
    for key, value in parts(checkpoint):
        yield before + b'  "' + key.encode() + b'": '
        if key == "messages":
            yield from _messages(value)
        elif isinstance(value, Original):
            yield from _original(value)
        else:
            yield _indented(value, b"  ")
        before = b",\n"
    yield b"\n}\n"


def decode(data: bytes) -> Any:
    """The document that the bytes are; the transcript in it may be bytes already.

    Raises CheckpointError with line and column.
    """
    document = _by_pieces(data)
    return _whole(data) if document is None else document


def _by_pieces(data: bytes) -> Any:
    """The document, its messages and its transcript read piece by piece: as one text with a single
    emoji the transcript would take four times its size. None: it must be read whole.

    Where a piece ends is guessed. That every piece is valid, and what is left is, with a mark in
    the place of each, proves the guess.
    """
    spans = [_span_of_messages(data), _span_of_transcript(data)]
    left, at = bytearray(), 0
    for begin, end in sorted(spans):
        if begin < end:
            if begin < at:
                return None
            left += data[at:begin] + _MARK
            at = end
    left += data[at:]
    if left.count(_MARK) != sum(begin < end for begin, end in spans):
        return None  # somebody has said just that
    try:
        document = orjson.loads(left)
        del left
        (begin, end), (first, last) = spans
        if begin < end:
            if document["messages"] != _MARKED:  # it was another's member of that name
                return None
            document["messages"] = _listed(data, begin + 1, end - 1)
        if first < last:
            ours = document["vault_sessions"]
            if ours["transcript"] != _MARKED:
                return None
            ours["transcript"] = _unescaped(data, first + 1, last - 1)
    except (orjson.JSONDecodeError, KeyError, TypeError, UnicodeEncodeError):
        return None
    return document


def _span_of_transcript(data: bytes) -> tuple[int, int]:
    """From its first quote through its last; nothing where there is none."""
    found = ((data.rfind(key), len(key)) for key in _TRANSCRIPT)
    start = max((at + length for at, length in found if at >= 0), default=0)
    end = _TO_QUOTE.match(data, start) if start else None
    return (start - 1, end.end()) if end else (0, 0)


def _span_of_messages(data: bytes) -> tuple[int, int]:
    """From the bracket that opens their list through the one that closes it, for what stands
    behind it begins with a known key; nothing where it does not."""
    begins = _MESSAGES.search(data)
    if begins is None:
        return 0, 0
    start = begins.end() - 1
    for key in _BEHIND:
        found = data.find(key, start)
        end = data.rfind(b"]", start, found) + 1 if found > 0 else 0
        if end and not data[end:found].strip(b" \t\r\n,"):
            return start, end
    return 0, 0


def _listed(data: bytes, at: int, end: int) -> Reading:
    """The members of a list. Raises JSONDecodeError where they can't be told apart."""
    reading = Reading()
    while at < end or not len(reading):
        piece, at = _members(data, at, end)
        for message in piece:
            reading.add(message)
        if at >= end:
            break
    return reading


def _members(data: bytes, at: int, end: int) -> tuple[list[Any], int]:
    """Some members from there on, and where the next ones begin. Raises JSONDecodeError."""
    look = at + MIB
    for _ in range(_GUESSES):
        cut = _BETWEEN.search(data, look, end) if look < end else None
        stop = cut.start() + 1 if cut else end
        try:
            members: list[Any] = orjson.loads(b"[" + data[at:stop] + b"]")
            return members, cut.end() - 1 if cut else end
        except orjson.JSONDecodeError:
            if cut is None:
                raise
            look = cut.end()
    members = orjson.loads(b"[" + data[at:end] + b"]")
    return members, end


def _unescaped(data: bytes, at: int, end: int) -> bytes:
    """What stands between the quotes of a JSON text."""
    text = bytearray()
    while at < end:
        # an object's end and an escaped newline: nothing that belongs together is cut there
        cut = data.find(b"}\\n", at + MIB, end)
        cut = end if cut < 0 else cut + 3
        text += orjson.loads(b'"' + data[at:cut] + b'"').encode()
        at = cut
    return bytes(text)


def _whole(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if data.startswith(b"\xef\xbb\xbf"):
            why = "not valid JSON: it begins with a byte order mark"
            raise CheckpointError(why, 1, 1) from None
        if broken := not_utf8(data):
            raise CheckpointError("not UTF-8 text", *broken) from None
        raise CheckpointError(f"not valid JSON: {error.msg}", error.lineno, error.colno) from None


def _indented(value: Any, indent: bytes) -> bytes:
    # a JSON text has newlines between its tokens only
    return _dumped(value).replace(b"\n", b"\n" + indent)


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except TypeError:
        raise CheckpointError("the metadata is nested too deep for a checkpoint") from None


def _messages(messages: Sequence[CheckpointMessage]) -> Iterator[bytes]:
    before = b"["
    for at in range(0, len(messages), _BATCH):
        batch = _indented(list(map(message_fields, messages[at : at + _BATCH])), b"  ")
        yield before + batch[1:-4]  # without its brackets
        before = b","
    yield b"\n  ]"


def _original(original: Original) -> Iterator[bytes]:
    """``vault_sessions``; the transcript piece by piece, never as one text in memory."""
    fields = _indented(original_fields(original), b"  ")
    yield fields[:-4] + b"," if len(fields) > 2 else b"{"
    if not is_text(original.transcript):
        yield b'\n    "transcript_base64": "' + base64.b64encode(original.transcript)
    else:
        yield b'\n    "transcript": "'
        for piece in pieces(original.transcript):
            yield orjson.dumps(piece.decode())[1:-1]
    yield b'"\n  }'

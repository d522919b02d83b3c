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
    is_text,
    message_fields,
    original_fields,
    parts,
    pieces,
)

_BATCH = 500
_TRANSCRIPT = b'"transcript": "'
_QUOTE = re.compile(rb'(?<!\\)(?:\\\\)*"')
_MARK = "(read by pieces)"


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
    """The document, its transcript read piece by piece: as one text with a single emoji it would
    take four times its size. None: it must be read whole."""
    start = data.rfind(_TRANSCRIPT) + len(_TRANSCRIPT)
    if start < len(_TRANSCRIPT):
        return None
    end = _QUOTE.search(data, start)
    if end is None:
        return None
    try:
        document = orjson.loads(data[:start] + _MARK.encode() + data[end.end() - 1 :])
        ours = document["vault_sessions"]
        if ours["transcript"] != _MARK:  # it was another's member of that name
            return None
        ours["transcript"] = _unescaped(data, start, end.end() - 1)
    except (orjson.JSONDecodeError, KeyError, TypeError, UnicodeEncodeError):
        return None
    return document


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
        try:
            data.decode()
        except UnicodeDecodeError as broken:
            line = data.count(b"\n", 0, broken.start) + 1
            column = broken.start - data.rfind(b"\n", 0, broken.start)
            raise CheckpointError("not UTF-8 text", line, column) from None
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

"""A transcript's lines in few bytes, beside their messages: to have a line itself when it is gone.

What a message's row has anyway (content, id, time) is replaced by a control character, which no
JSON text holds; what is left is much the same in all lines, and compresses well: those of a whole
session together, one that comes later against an example.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import orjson

Row = tuple[str, str, str | None]
"""What is known of a message without its line: content, id, time as it is stored."""

_AT_ONCE = 1 << 20
_WINDOW = -13
"""8 KiB: to make ready what looks back further takes twenty times as long as a line, for a
hundredth of the size."""
_MEMORY = 6
_CONTENT = b'"content":'
_EXAMPLE = (
    b'"archived":true,"status":"error","status":"cancelled","name":"","tool_call_id":"call_",'
    b'"tool_calls":[{"id":"call_","type":"function","function":{"name":"","arguments":"{}"}}],'
    b'"parent_id":null,{"role":"system",\3}'
    b'{"role":"assistant",\3,"invocation_id":"01'
    b'-7","provider":"openai","model":"gpt-","usage":{"prompt_tokens":1,"completion_tokens":2,'
    b'"total_tokens":3}}{"role":"user",\3,"invocation_id":"019'
)


def packed(line: bytes, content: str, name: str, created_at: str | None) -> bytes:
    """What ``unpacked`` needs, beside the message's content, id and time, to give the line."""
    compressor = _compressor()
    return compressor.compress(_emptied(line, content, name, created_at)) + compressor.flush()


def packed_all(lines: Iterable[bytes], rows: Iterable[Row]) -> bytes:
    """What ``emptied_all`` needs, beside what is known of each message, to give these lines."""
    compressor = _compressor()
    packed_lines, some, size, between = [], [], 0, b""
    for line, (content, name, created_at) in zip(lines, rows, strict=True):
        emptied = _emptied(line, content, name, created_at)
        some.append(emptied)
        size += len(emptied)
        if size > _AT_ONCE:  # all of them may be more than should be in memory
            packed_lines.append(compressor.compress(between + b"\n".join(some)))
            some, size, between = [], 0, b"\n"
    packed_lines.append(compressor.compress(between + b"\n".join(some) if some else b""))
    return b"".join(packed_lines) + compressor.flush()


def emptied_all(rest: bytes) -> list[bytes]:
    """For each of the lines that were packed together what ``filled`` makes it of. Raises
    ValueError for what was not packed so."""
    return _decompressed(rest).split(b"\n")


def _compressor() -> zlib._Compress:
    return zlib.compressobj(6, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=_EXAMPLE)


def _decompressed(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(-15, zdict=_EXAMPLE).decompress(data)
    except zlib.error as error:
        raise ValueError("not a packed line") from error


def _emptied(line: bytes, content: str, name: str, created_at: str | None) -> bytes:
    # what is put in its place stands nowhere else, so ``filled`` finds just that
    known = _side_by_side(content, name, created_at)
    at = line.find(_CONTENT)  # to look for all of a long text takes longer than to read it
    if at > 0 and line.startswith(known, at):
        return line[:at] + b"\3" + line[at + len(known) :]
    rest = line.replace(orjson.dumps(content), b"\0", 1).replace(orjson.dumps(name), b"\1", 1)
    return rest.replace(orjson.dumps(created_at), b"\2", 1) if created_at else rest


def _side_by_side(content: str, name: str, created_at: str | None) -> bytes:
    """As they stand in most lines, ours among them."""
    return orjson.dumps({"content": content, "id": name, "created_at": created_at})[1:-1]


def unpacked(rest: bytes, content: str, name: str, created_at: str | None) -> bytes:
    """The line that was packed. Raises ValueError for what was not."""
    return filled(_decompressed(rest), content, name, created_at)


def plain_line(role: str, content: str, name: str, created_at: str | None) -> bytes:
    """A line that says what a message's row says, where nothing else is known of it."""
    fields = {"role": role, "content": content, "id": name, "created_at": created_at}
    if name.startswith("h-"):  # derived from the line, which had none
        del fields["id"]
    return orjson.dumps({key: value for key, value in fields.items() if value is not None})


def filled(rest: bytes, content: str, name: str, created_at: str | None) -> bytes:
    """The line again, from what was left of it and what is known of its message."""
    if b"\3" in rest:
        return rest.replace(b"\3", _side_by_side(content, name, created_at), 1)
    if created_at:
        rest = rest.replace(b"\2", orjson.dumps(created_at), 1)
    rest = rest.replace(b"\1", orjson.dumps(name), 1)
    # the content last: it may quote an id or a time, but no control character
    return rest.replace(b"\0", orjson.dumps(content), 1)

"""A transcript's line in few bytes, beside its message: to have the line itself when it is gone.

What a message's row has anyway (content, id, time) is replaced by a control character, which no
JSON text holds; what is left is much the same in all lines and compresses well against an example.
"""

from __future__ import annotations

import zlib

import orjson

_EXAMPLE = (
    b'"archived":true,"status":"error","status":"cancelled","name":"","tool_call_id":"call_",'
    b'"tool_calls":[{"id":"call_","type":"function","function":{"name":"","arguments":"{}"}}],'
    b'"parent_id":null,{"role":"system","content":\0,"id":\1,"created_at":\2}'
    b'{"role":"assistant","content":\0,"id":\1,"created_at":\2,"invocation_id":"01'
    b'-7","provider":"openai","model":"gpt-","usage":{"prompt_tokens":1,"completion_tokens":2,'
    b'"total_tokens":3}}{"role":"user","content":\0,"id":\1,"created_at":\2,"invocation_id":"019'
)


def packed(line: bytes, content: str, name: str, created_at: str | None) -> bytes:
    """What ``unpacked`` needs, beside the message's content, id and time, to give the line."""
    rest = line
    for mark, value in _marks(content, name, created_at):
        rest = rest.replace(value, mark, 1)
    if _filled(rest, content, name, created_at) != line:
        rest = line
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=_EXAMPLE)
    return compressor.compress(rest) + compressor.flush()


def unpacked(rest: bytes, content: str, name: str, created_at: str | None) -> bytes:
    """The line that was packed. Raises ValueError for what was not."""
    try:
        text = zlib.decompressobj(-15, zdict=_EXAMPLE).decompress(rest)
    except zlib.error as error:
        raise ValueError("not a packed line") from error
    return _filled(text, content, name, created_at)


def plain_line(role: str, content: str, name: str, created_at: str | None) -> bytes:
    """A line that says what a message's row says, where nothing else is known of it."""
    fields = {"role": role, "content": content, "id": name, "created_at": created_at}
    if name.startswith("h-"):  # derived from the line, which had none
        del fields["id"]
    return orjson.dumps({key: value for key, value in fields.items() if value is not None})


def _marks(content: str, name: str, created_at: str | None) -> list[tuple[bytes, bytes]]:
    values = [(b"\0", content), (b"\1", name), *([(b"\2", created_at)] if created_at else [])]
    return [(mark, orjson.dumps(value)) for mark, value in values]


def _filled(rest: bytes, content: str, name: str, created_at: str | None) -> bytes:
    # the content last: it may quote an id or a time, but no control character
    for mark, value in reversed(_marks(content, name, created_at)):
        rest = rest.replace(mark, value, 1)
    return rest

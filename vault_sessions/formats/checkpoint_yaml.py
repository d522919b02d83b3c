"""Checkpoints as YAML: written in double quotes and ASCII, read without its traps.

Other styles broke one nasty text in ninety. Reading goes by the parser's events: no aliases, no
tags that make objects, and what stands without quotes stays as it is written until it is known
whether text is wanted there.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from vault_sessions.formats.checkpoint import (
    MAX_DEPTH,
    Checkpoint,
    CheckpointError,
    Original,
    Plain,
    is_text,
    message_fields,
    original_fields,
    parts,
    pieces,
    too_deep,
)

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_PLAIN_KEY = re.compile("[a-z_]{1,40}")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_CORE = "tag:yaml.org,2002:"
_TEXT, _BINARY = f"{_CORE}str", f"{_CORE}binary"
_GUESSED = {f"{_CORE}{kind}" for kind in ("int", "float", "bool", "null", "timestamp")}


# --- writing -------------------------------------------------------------------------------------


def encode(checkpoint: Checkpoint) -> Iterator[bytes]:
    """The file, in pieces. Raises CheckpointError for what is nested too deep."""
    for key, value in parts(checkpoint):
        if key == "messages":
            yield b"messages:\n"
            for message in value:
                yield _block(message_fields(message), "    ").replace("    ", "  - ", 1).encode()
        elif isinstance(value, Original):
            yield from _original(value)
        else:
            if too_deep(value):
                raise CheckpointError("the metadata is nested too deep for a checkpoint")
            yield _block({key: value}, "").encode()


def _original(original: Original) -> Iterator[bytes]:
    fields = original_fields(original)
    if too_deep(fields):
        raise CheckpointError("the metadata is nested too deep for a checkpoint")
    yield b"vault_sessions:\n"
    yield _block(fields, "  ").encode()
    if not is_text(original.transcript):
        yield b'  transcript_base64: "' + base64.b64encode(original.transcript)
    else:
        yield b'  transcript: "'
        for piece in pieces(original.transcript):
            yield _escaped(piece.decode())
    yield b'"\n'


def _block(fields: dict[str, Any], indent: str) -> str:
    """The members of a mapping, each on lines of its own."""
    return "".join(
        f"{indent}{_key(key, indent)}{_value(each, indent)}" for key, each in fields.items()
    )


def _key(key: str, indent: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and key not in _WORDS:
        return f"{key}:"
    quoted = _scalar(key)
    # only short keys may stand before their colon
    return f"{quoted}:" if len(quoted) < 500 else f"? {quoted}\n{indent}:"


def _value(value: Any, indent: str) -> str:
    """What stands behind a colon, to the end of its last line."""
    if isinstance(value, dict) and value:
        return "\n" + _block(value, indent + "  ")
    if isinstance(value, list | tuple) and value:
        return "\n" + "".join(_item(each, indent + "  ") for each in value)
    return f" {_scalar(value)}\n"


def _item(value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{indent}-{_value(value, indent)}"
    return f"{indent}- {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return f'"{_escaped(value).decode()}"'
    if isinstance(value, dict | list | tuple):
        return "[]" if isinstance(value, list | tuple) else "{}"
    return "null" if value is None else str(value).lower()  # true, 12, 1.5e+30


def _escaped(text: str) -> bytes:
    """The text as it stands between double quotes."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    text = text.replace("\t", "\\t").replace("\r", "\\r")
    if _CONTROL.search(text):
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text.encode("ascii", "backslashreplace")  # Python's escapes are YAML's


# --- reading -------------------------------------------------------------------------------------


def decode(data: bytes) -> Any:
    """The document that the bytes are, scalars without quotes as Plain.

    Raises CheckpointError with line and column.
    """
    import yaml

    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError("not UTF-8 text", *_place(data, error.start)) from None
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder()
    try:
        for event in yaml.parse(data, Loader=loader):
            builder.take(type(event).__name__, event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = error.problem or error.context or "unreadable"
        raise CheckpointError(f"not valid YAML: {what}", line, column) from None
    except yaml.reader.ReaderError as error:
        place = _place(data, error.position)
        raise CheckpointError(f"not valid YAML: {error.reason}", *place) from None
    return builder.root


def _place(data: bytes, offset: int) -> tuple[int, int]:
    return data.count(b"\n", 0, offset) + 1, offset - data.rfind(b"\n", 0, offset)


_NOTHING: Any = object()


class _Builder:
    """Makes dicts, lists and texts of a parser's events; ``root`` is the document."""

    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[Any] = []
        self._keys: list[Any] = []
        self._lines: list[dict[str, int]] = []

    def take(self, kind: str, event: Any) -> None:
        """The next event. Raises CheckpointError for what is not accepted."""
        if kind in ("AliasEvent", "ScalarEvent", "MappingStartEvent", "SequenceStartEvent"):
            if event.anchor is not None:
                raise _refused("aliases (*) and anchors (&) are not accepted", event)
            if kind == "ScalarEvent":
                self._put(_scalar_of(event), event)
            else:
                self._begin({} if kind == "MappingStartEvent" else [], event)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._open.pop()
            self._keys.pop()
            self._lines.pop()
        elif kind == "DocumentStartEvent":
            if self.root is not None:
                raise _refused("a second document begins", event)
            self.root = _NOTHING

    def _begin(self, value: Any, event: Any) -> None:
        if event.tag not in (None, "!", f"{_CORE}map", f"{_CORE}seq"):
            raise _refused(f"the tag {event.tag[:60]} is not accepted", event)
        if len(self._open) == MAX_DEPTH:
            raise _refused("nested too deep", event)
        self._put(value, event)
        self._open.append(value)
        self._keys.append(_NOTHING)
        self._lines.append({})

    def _put(self, value: Any, event: Any) -> None:
        if not self._open:
            self.root = value
        elif isinstance(self._open[-1], list):
            self._open[-1].append(value)
        elif self._keys[-1] is _NOTHING:
            self._put_key(value, event)
        else:
            self._open[-1][self._keys[-1]] = value
            self._keys[-1] = _NOTHING

    def _put_key(self, value: Any, event: Any) -> None:
        if not isinstance(value, str):
            raise _refused("a key is not text", event)
        key = str(value)
        lines = self._lines[-1]
        if key in lines:
            raise _refused(f"the key {key[:60]!r} stands on line {lines[key]} already", event)
        lines[key] = event.start_mark.line + 1
        self._keys[-1] = key


def _scalar_of(event: Any) -> str:
    tag = event.tag
    if tag is None or tag == "!" or tag == _TEXT or tag in _GUESSED:
        is_plain = (tag is None and not event.style) or tag in _GUESSED
        return Plain(event.value) if is_plain else str(event.value)
    if tag == _BINARY:  # how Go writes a text that is no UTF-8
        try:
            return base64.b64decode(event.value).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise _refused("not base64, though its tag says so", event) from None
    raise _refused(f"the tag {tag[:60]} is not accepted", event)


def _refused(why: str, event: Any) -> CheckpointError:
    mark = event.start_mark
    return CheckpointError(f"not valid YAML: {why}", mark.line + 1, mark.column + 1)

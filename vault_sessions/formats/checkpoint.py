"""Checkpoints: a session as one file that travels, to Atmos and back. Values and their rules.

How they are written as JSON, YAML and Markdown is in the three modules beside this one. A
*document* is what a file says, as dicts and lists; ``checked`` makes a Checkpoint of it or says
what is wrong. See docs/checkpoints.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, overload

import orjson

from vault_sessions.formats.times import parse_time
from vault_sessions.model import ROLES

Format = Literal["json", "yaml", "markdown"]

VERSION = "1.0"
UNKNOWN = "unknown"
"""The provider or model of a session that has none: a checkpoint must name both."""

MIB = 1024 * 1024
LIMITS: dict[Format, int] = {"json": 256 * MIB, "yaml": 32 * MIB, "markdown": 256 * MIB}
"""The largest files that are read; none larger is written."""

ENDINGS: dict[str, Format] = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".md": "markdown",
    ".markdown": "markdown",
}
MAX_DEPTH = 100

_ROLES = ("user", "assistant", "system", "tool")
_VERSION = re.compile(r"1\.[0-9]+")
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_YAML_TIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[ \t]+([0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?))?"
)
GO_ZERO = datetime(1, 1, 1, tzinfo=UTC)
"""What Go writes where there is no time."""


class CheckpointError(ValueError):
    """No checkpoint, or not a valid one; ``line`` and ``column`` count from 1 (0: not known)."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Plain(str):
    """A YAML scalar without quotes: text where text is wanted, else what it looks like."""

    __slots__ = ()


class CheckpointMessage(NamedTuple):
    """A message of the active branch. ``archived``: a compaction covers it."""

    role: str
    content: str
    created_at: datetime | None = None
    archived: bool = False


class CheckpointSession(NamedTuple):
    """Where and with what a session was made. ``metadata`` is the owner's own mapping."""

    name: str
    provider: str
    model: str
    skill: str | None = None
    project_path: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    metadata: dict[str, Any] | None = None


class CheckpointContext(NamedTuple):
    """What was attached to a session."""

    project_instructions: str | None = None
    files_accessed: tuple[str, ...] = ()
    working_directory: str | None = None


class CheckpointStatistics(NamedTuple):
    """Counts; the first is compared with the messages when a file is read."""

    message_count: int
    user_messages: int = 0
    assistant_messages: int = 0
    total_tokens: int = 0
    tool_calls: int = 0


class Original(NamedTuple):
    """What Atmos has no place for: the session's id, its metadata (None: it had none) and its
    transcript, byte for byte."""

    id: str | None
    meta: dict[str, Any] | None
    transcript: bytes


class Checkpoint(NamedTuple):
    """A session as it travels."""

    version: str
    exported_at: datetime | None
    exported_by: str | None
    session: CheckpointSession
    messages: Sequence[CheckpointMessage]
    context: CheckpointContext
    statistics: CheckpointStatistics
    original: Original | None = None


def format_of_path(path: str) -> Format | None:
    """The format that a file's ending names, in any case; None: none."""
    lower = path.lower()
    return next((kind for ending, kind in ENDINGS.items() if lower.endswith(ending)), None)


def format_of_content(data: bytes) -> Format:
    """The format that a file's beginning shows."""
    if data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return "json"
    return "markdown" if re.search(rb"^### Message 1 - [A-Z]", data, re.MULTILINE) else "yaml"


def exact_time(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, or with microseconds where there are any."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    # a fifth of the time of isoformat
    text = orjson.dumps(instant, option=orjson.OPT_UTC_Z).decode()[1:-2]
    if not instant.microsecond:
        text += ".000"
    return (text if instant.microsecond % 1000 else text[:23]) + "Z"


# --- writing -------------------------------------------------------------------------------------


def parts(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    """The members of a checkpoint's document, in their order, optional ones only where they say
    something; all JSON values but for ``messages`` (see ``message_fields``) and the Original."""
    yield "version", checkpoint.version
    if checkpoint.exported_at is not None:
        yield "exported_at", exact_time(checkpoint.exported_at)
    if checkpoint.exported_by:
        yield "exported_by", checkpoint.exported_by
    yield "session", _filled(checkpoint.session._asdict(), "name", "provider", "model")
    yield "messages", checkpoint.messages
    if context := _filled(checkpoint.context._asdict()):
        yield "context", context
    counts = ("message_count", "user_messages", "assistant_messages")
    yield "statistics", _filled(checkpoint.statistics._asdict(), *counts)
    if checkpoint.original is not None:
        yield "vault_sessions", checkpoint.original


def _filled(fields: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        key: exact_time(value) if isinstance(value, datetime) else value
        for key, value in fields.items()
        if value or key in required
    }


def message_fields(message: CheckpointMessage) -> dict[str, Any]:
    """A message as a member of the list in a document."""
    role, content, at, archived = message
    fields: dict[str, Any] = {"role": role, "content": content}
    if at is not None:
        fields["created_at"] = exact_time(at)
    if archived:
        fields["archived"] = True
    return fields


def original_fields(original: Original) -> dict[str, Any]:
    """The short members of ``vault_sessions``; its transcript is the writer's own affair."""
    fields = {"id": original.id, "meta": original.meta}
    return {key: value for key, value in fields.items() if value is not None}


def pieces(data: bytes, size: int = MIB) -> Iterator[bytes]:
    """The data in pieces of about this size, cut behind newlines only."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at + size) + 1 or len(data)
        yield data[at:end]
        at = end


def is_text(data: bytes) -> bool:
    """Is it UTF-8?"""
    return not_utf8(data) is None


def not_utf8(data: bytes) -> tuple[int, int] | None:
    """Line and column of the first byte that is not UTF-8; None: all of it is."""
    at = 0
    for piece in pieces(data):
        try:
            piece.decode()
        except UnicodeDecodeError as error:
            at += error.start
            return data.count(b"\n", 0, at) + 1, at - data.rfind(b"\n", 0, at)
        at += len(piece)
    return None


def too_deep(value: Any, left: int = MAX_DEPTH - 3) -> bool:
    """Is a JSON value nested deeper than is read again?"""
    children: Any = ()
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    else:
        return False
    return left == 0 or any(too_deep(child, left - 1) for child in children)


# --- reading -------------------------------------------------------------------------------------


def checked(document: Any, *, name: str | None = None) -> Checkpoint:
    """The checkpoint that a document is; ``name`` stands in for its session's.

    The document's messages and transcript are taken out of it. Raises CheckpointError at the first
    rule that it breaks, in the order of docs/checkpoints.md.
    """
    if _is_null(document):
        document = {}
    if not isinstance(document, dict):
        raise CheckpointError("not a checkpoint: not an object with keys and values", 1, 1)
    version = _version(document.get("version"))
    given = _mapping(document.get("session"), "session")
    session_name = name or _required(given, "name")
    provider, model = _required(given, "provider"), _required(given, "model")
    reading = _listed(document.pop("messages", None))
    if not len(reading):
        raise CheckpointError("checkpoint must contain at least one message")
    messages = reading.messages()
    session = CheckpointSession(
        session_name,
        provider,
        model,
        _text(given.get("skill"), "session skill"),
        _text(given.get("project_path"), "session project_path"),
        _time(given.get("created_at"), "session", "created_at"),
        _time(given.get("updated_at"), "session", "updated_at"),
        resolved(_mapping(given.get("metadata"), "session metadata")) or None,
    )
    exported_at = _time(document.get("exported_at"), "checkpoint", "exported_at")
    statistics = _statistics(document.get("statistics"), len(messages))
    return Checkpoint(
        version,
        exported_at,
        _text(document.get("exported_by"), "exported_by"),
        session,
        messages,
        _context(document.get("context")),
        statistics,
        _original(document.pop("vault_sessions", None)),
    )


def _version(value: Any) -> str:
    version = _text(value, "checkpoint version")
    if not version:
        raise CheckpointError("checkpoint version is missing")
    if not _VERSION.fullmatch(version):
        what = version[:40]
        raise CheckpointError(f"unsupported checkpoint version: {what} (expected: {VERSION})")
    return version


def _required(session: dict[str, Any], key: str) -> str:
    value = _text(session.get(key), f"session {key}")
    if not value:
        raise CheckpointError(f"session {key} is required")
    return value


class CompactMessages(Sequence[CheckpointMessage]):
    """Messages in a little more memory than their bytes: as a text, one with a single emoji takes
    four times as much, and one of a letter two hundred times."""

    def __init__(self, messages: Iterable[CheckpointMessage] = ()) -> None:
        self._texts = bytearray()
        self._ends = array("Q")
        self._times = array("q")
        self._kinds = bytearray()
        for message in messages:
            self.append(message)

    def append(self, message: CheckpointMessage) -> None:
        """Add one behind the others."""
        role, content, at, archived = message
        self._texts += content.encode(errors="surrogatepass")
        self._ends.append(len(self._texts))
        self._times.append(_NO_TIME if at is None else (at - GO_ZERO) // _MICROSECOND)
        self._kinds.append(ROLES.index(role) << 1 | archived)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> CheckpointMessage: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[CheckpointMessage]: ...
    def __getitem__(self, place: int | slice) -> CheckpointMessage | Sequence[CheckpointMessage]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(len(self))))
        place = range(len(self))[place]
        begin = self._ends[place - 1] if place else 0
        content = self._texts[begin : self._ends[place]].decode(errors="surrogatepass")
        at, kind = self._times[place], self._kinds[place]
        time = None if at == _NO_TIME else GO_ZERO + timedelta(microseconds=at)
        return CheckpointMessage(ROLES[kind >> 1], content, time, bool(kind & 1))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(mine == yours for mine, yours in zip(self, other, strict=True))
        )

    def __hash__(self) -> int:
        return hash(tuple(self))


_NO_TIME = -1
_MICROSECOND = timedelta(microseconds=1)


class Reading:
    """Messages of a document as they are read, one by one; the first rule that one of them breaks
    is told at the end, rule by rule."""

    def __init__(self) -> None:
        self._found = CompactMessages()
        self._count = 0
        self._wrong: dict[int, CheckpointError] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, message: Any) -> None:
        """The next member of the list."""
        self._count += 1
        if not self._wrong:
            rule = 0
            try:
                role = _role(message, self._count)
                rule = 1
                content = _content(message, self._count)
                rule = 2
                at = _time(message.get("created_at"), "message", "created_at", self._count)
                archived = _flag(message.get("archived"), self._count)
                self._found.append(CheckpointMessage(role, content, at, archived))
            except CheckpointError as error:
                self._wrong[rule] = error
            return
        # something is wrong already: an earlier rule may still be broken
        for rule, check in enumerate((_role, _content)):
            try:
                if rule < min(self._wrong):
                    check(message, self._count)
            except CheckpointError as error:
                self._wrong[rule] = error

    def messages(self) -> CompactMessages:
        """All of them. Raises CheckpointError."""
        if self._wrong:
            raise self._wrong[min(self._wrong)]
        return self._found


def _listed(value: Any) -> Reading:
    if isinstance(value, Reading):
        return value
    if not isinstance(value, list) and not _is_null(value):
        raise CheckpointError("messages is not a list")
    reading = Reading()
    for message in () if _is_null(value) else value:
        reading.add(message)
    return reading


def _role(message: Any, number: int) -> str:
    if not isinstance(message, dict):
        raise CheckpointError(f"message is not an object: message {number}")
    role = _text(message.get("role"), "message role", f": message {number}")
    if not role:
        raise CheckpointError(f"message role is required: message {number}")
    if role not in ROLES:
        raise CheckpointError(
            f"invalid message role: message {number} has role {role[:40]!r} "
            f"(expected: {', '.join(_ROLES)})"
        )
    return role


def _content(message: dict[str, Any], number: int) -> str:
    return _text(message.get("content"), "message content", f": message {number}") or ""


def _statistics(value: Any, found: int) -> CheckpointStatistics:
    given = _mapping(value, "statistics")
    counts = {
        key: _count(given.get(key), f"statistics {key}") for key in CheckpointStatistics._fields
    }
    if counts["message_count"] != found:
        raise CheckpointError(
            f"statistics message count does not match actual messages: count is "
            f"{counts['message_count']} but found {found}"
        )
    return CheckpointStatistics(**counts)


def _context(value: Any) -> CheckpointContext:
    given = _mapping(value, "context")
    files = given.get("files_accessed")
    if not isinstance(files, list) and not _is_null(files):
        raise CheckpointError("context files_accessed is not a list")
    listed = files if isinstance(files, list) else []
    names = [_text(each, "a file in context files_accessed") for each in listed]
    return CheckpointContext(
        _text(given.get("project_instructions"), "context project_instructions"),
        tuple(each for each in names if each),
        _text(given.get("working_directory"), "context working_directory"),
    )


def _original(value: Any) -> Original | None:
    """What we added ourselves; None where somebody has changed it so that it can't be used."""
    if not isinstance(value, dict):
        return None
    text, encoded = value.pop("transcript", None), value.pop("transcript_base64", None)
    try:
        if isinstance(text, bytes):
            data = text
        elif isinstance(text, str):
            data = text.encode()
        elif isinstance(encoded, str):
            data = base64.b64decode(encoded, validate=True)
        else:
            return None
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    name, meta = value.get("id"), value.get("meta")
    return Original(
        str(name) if isinstance(name, str) else None,
        resolved(meta) if isinstance(meta, dict) else None,
        data,
    )


def _is_null(value: Any) -> bool:
    return value is None or (type(value) is Plain and resolved(value) is None)


def _text(value: Any, what: str, where: str = "") -> str | None:
    if _is_null(value):
        return None
    if not isinstance(value, str):
        raise CheckpointError(f"{what} is not text{where}")
    return str(value)


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if _is_null(value):
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(f"{what} is not an object")
    return value


def _flag(value: Any, number: int) -> bool:
    if isinstance(value, Plain):
        value = resolved(value)
    if value is not None and not isinstance(value, bool):
        raise CheckpointError(f"message archived is neither true nor false: message {number}")
    return bool(value)


def _count(value: Any, what: str) -> int:
    if isinstance(value, Plain):
        value = resolved(value)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise CheckpointError(f"{what} is not a whole number")
    return value


def _time(value: Any, what: str, key: str, number: int = 0) -> datetime | None:
    """An instant; None where there is none, or Go's, which stands for none."""
    if _is_null(value):
        return None
    at = None
    if isinstance(value, str):
        if _RFC_3339.fullmatch(value):
            at = parse_time(value.upper())
        elif isinstance(value, Plain):
            at = _yaml_time(value)
    if at is None:
        where = f"message {number}" if number else what
        said = repr(str(value)[:60]) if isinstance(value, str) else "no text"
        raise CheckpointError(
            f"{what} time can't be read: {where} has {key} {said} "
            f"(expected: RFC 3339, such as 2025-10-31T10:00:00Z)"
        )
    return None if at == GO_ZERO else at


def _yaml_time(text: str) -> datetime | None:
    """A day, or a time without an offset, which YAML takes for UTC."""
    found = _YAML_TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, clock = found.groups()
    clock = "00:00:00" if clock is None else clock.zfill(8) if "." not in clock else clock
    return parse_time(f"{year}-{month:0>2}-{day:0>2}T{clock}Z")


# --- scalars of YAML where no text is wanted -----------------------------------------------------

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"[-+]?[0-9]{1,4000}"), int),
    (re.compile(r"0o[0-7]{1,100}"), lambda text: int(text, 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,100}"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
)


def resolved(value: Any) -> Any:
    """A value with unquoted scalars as what YAML 1.2 takes them for; JSON can say all of it."""
    if isinstance(value, dict):
        return {str(key): resolved(each) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each) for each in value]
    if type(value) is not Plain:
        return value
    if value in _WORDS:
        return _WORDS[value]
    for pattern, make in _NUMBERS:
        if pattern.fullmatch(value):
            number = make(value)
            try:
                # as it would be in JSON: no infinity, whole numbers of 64 bits
                return number if orjson.loads(orjson.dumps(number)) == number else str(value)
            except TypeError:
                return str(value)
    return str(value)

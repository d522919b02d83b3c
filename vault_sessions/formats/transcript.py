"""Transcripts: bytes ⇄ messages. Reading is forgiving and throws nothing away.

A line that is no message becomes a Problem and stays where it is; its neighbours count. Only the
byte ``\\n`` ends a line (``str.splitlines`` would cut at U+2028 and others). See docs/format.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from operator import eq
from typing import Any, NamedTuple

import orjson

from vault_sessions.formats.ids import is_message_id
from vault_sessions.formats.times import parse_time
from vault_sessions.model import ROLES, Message, Problem, Transcript, problem

BOM = b"\xef\xbb\xbf"
MAX_LINE = 64 * 1024 * 1024

_AT_ONCE = 1 << 20
_ONE = {role: role for role in ROLES}
_BAD_TIME = "created_at has no offset or can't be read; the message counts, without time"
_NO_FIELDS: dict[str, Any] = {}

_NONE = type(None)
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "invocation_id": (str, _NONE),
    "parent_id": (str, _NONE),
    "model": (str, _NONE),
    "provider": (str, _NONE),
    "usage": (dict, _NONE),
    "tool_calls": (list, _NONE),
    "tool_call_id": (str, _NONE),
    "name": (str, _NONE),
    "status": (str, _NONE),
    "archived": (bool, _NONE),
}
_STATUS = ("cancelled", "error", None)
_LOOKED_AT = {"status", "parent_id", "tool_calls"}
_MANY_KINDS = 1000
_MANY_KEYS = 50
_Kind = tuple[tuple[tuple[str, tuple[type, ...]], ...], bool]
_MARKERS = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")


def parse(data: bytes, first_line: int = 1, *, lean: bool = False) -> Transcript:
    """Read a whole transcript, or its end from a line start on (``first_line`` is its number).

    ``lean``: less than half the memory, for one that is large; ``fields`` lacks what the message
    says itself (id, role, text, time).
    """
    start = len(BOM) if first_line == 1 and data.startswith(BOM) else 0
    read = _read(data, start, first_line, None, lean=lean)
    if _has_twins(read.messages, lean=lean):
        lines = data[start:].split(b"\n")
        texts = [lines[message.line - first_line].strip() for message in read.messages]
        twice: list[Problem] = []
        names = _told_apart(read.messages, texts, twice)
        del texts, lines
        read = _read(data, start, first_line, names, lean=lean)
        read.problems.extend(twice)
    messages, problems = read.messages, read.problems
    if start:
        problems.append(problem("bom", "the file begins with a byte order mark", 1, 1))
    if read.crlf:
        problems.append(problem("crlf", "lines end with CR LF", read.crlf, 0))
    if read.bad:
        problems.extend(_diagnose(data[start:].split(b"\n"), read.bad, read.tail, first_line))
    if read.branches:
        _find_parents(messages, read.branches, problems)
    if read.has_tools:
        problems.extend(_unpaired_tools(messages))
    problems.sort()
    end = data.rfind(b"\n") + 1
    return Transcript(tuple(messages), tuple(problems), len(data), end, read.tail + first_line - 1)


def _has_twins(messages: Sequence[Message], *, lean: bool) -> bool:
    """Do two of them have one id?"""
    if not lean:
        return len({message.id for message in messages}) != len(messages)
    # a set of a million takes 100 MB; and as they are made, ids are in order already
    ids = sorted(message.id for message in messages)
    return any(map(eq, ids, islice(ids, 1, None)))


class _Lean(Message):
    """A message that keeps its text as UTF-8 if it is not ASCII: as a str, one with a single emoji
    takes four times its size."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The content as plain text."""
        text: str | bytes = self[2]
        return text if isinstance(text, str) else text.decode(errors="surrogatepass")


class _Read(NamedTuple):
    """The good lines as messages; ``bad``: the others, counted from 0; ``crlf``: the first line
    that ends so, or 0; ``branches``: places and what they say of their parents; ``tail``: the piece
    behind the last newline, counted from 0."""

    messages: list[Message]
    problems: list[Problem]
    bad: list[int]
    crlf: int
    branches: list[tuple[int, object]]
    has_tools: bool
    tail: int


def _read(
    data: bytes,
    start: int,
    first_line: int,
    names: Sequence[str | None] | None,
    *,
    lean: bool,
) -> _Read:
    """Every line once. ``names``: the ids of the good ones, None for one that repeats another;
    else they are made, and two may be equal."""
    messages: list[Message] = []
    problems: list[Problem] = []
    bad: list[int] = []
    branches: list[tuple[int, object]] = []
    equal_before: dict[str, int] = {}
    tools = False
    crlf = good = 0
    before = -1
    line = first_line - 1
    loads = orjson.loads
    kinds: dict[tuple[str, ...], _Kind] = {}  # few: most lines have the same fields
    # half the time of Message._make
    make = partial(tuple.__new__, _Lean if lean else Message)
    given_names = iter(names or ())
    for lines in _lines(data, start):
        for raw in lines:
            line += 1
            text = raw.strip()
            if text is not raw and not crlf and raw[-1:] == b"\r":
                crlf = line
            if not text:
                continue
            try:
                if len(raw) > MAX_LINE:
                    raise ValueError
                fields = loads(text)
                # a message by the table of docs/format.md, or an exception
                content = fields.get("content")
                # one text for all of them
                fields["role"] = role = _ONE[fields["role"]]
                if type(content) is not str and content is not None and not _are_parts(content):
                    raise ValueError
            except (ValueError, KeyError, AttributeError, TypeError):
                bad.append(line - first_line)
                continue
            name = fields.get("id")
            if not is_message_id(name):
                name = _made_id(line, name, text, equal_before, problems)
            if names is not None and (name := next(given_names)) is None:
                continue
            if role == "tool":
                tools = True
            keys = tuple(fields)
            optional, is_simple = kinds.get(keys) or _kind(keys, kinds)
            for key, types in optional:
                if type(fields[key]) not in types:
                    fields = _without_wrong(line, fields, problems)
                    break
            if not is_simple:
                fields = _with_good_status(line, fields, problems)
                if "parent_id" in fields:
                    branches.append((good, fields["parent_id"]))
                if "tool_calls" in fields:
                    tools = True
            stamp = fields.get("created_at")
            created_at = None
            if stamp is not None:
                created_at = parse_time(stamp)
                if created_at is None:
                    problems.append(problem("bad-time", _BAD_TIME, line, 1))
            said: Any = content if type(content) is str else content_text(content)
            if lean:
                fields = _lean(fields, name, created_at)
                if not said.isascii():
                    said = said.encode(errors="surrogatepass")
            messages.append(make((name, role, said, created_at, before, line, fields)))
            before = good
            # one number for what is the same: a million of them are 32 MB
            good = line if line == good + 1 else good + 1
    tail = line - first_line
    if crlf == line and crlf:  # what stands behind the last newline may be cut off there
        crlf = 0
    return _Read(messages, problems, bad, crlf, branches, tools, tail)


def _lines(data: bytes, start: int) -> Iterator[list[bytes]]:
    """The pieces between newlines, so many at once that they are not all in memory."""
    while (end := data.find(b"\n", start + _AT_ONCE) + 1) > 0:
        yield data[start : end - 1].split(b"\n")
        start = end
    yield data[start:].split(b"\n")


def _made_id(
    line: int, given: object, text: bytes, equal_before: dict[str, int], problems: list[Problem]
) -> str:
    """The id of a line that has none, or none that can be one."""
    if given is not None:
        why = "id is not 1–200 printable characters without spaces; it counts as missing"
        problems.append(problem("bad-line", why, line, 1, "warning"))
    name = derived_id(text, 0)
    count = equal_before.get(name, 0)
    equal_before[name] = count + 1
    return derived_id(text, count) if count else name


def _lean(fields: dict[str, Any], name: str, created_at: datetime | None) -> dict[str, Any]:
    """The fields less those that the message says itself."""
    del fields["role"]
    if fields.get("id") == name:
        del fields["id"]
    if created_at is not None:
        del fields["created_at"]
    if type(fields.get("content")) is str:
        del fields["content"]
    else:
        fields.setdefault("content")
    return fields or _NO_FIELDS


def _are_parts(content: object) -> bool:
    """Is this a list of OpenAI content parts?"""
    return isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
    )


def content_text(content: object) -> str:
    """Content as plain text: the text parts joined by newlines, others as ``[type]``."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = []
    for part in content:
        text = part.get("text")
        texts.append(text if isinstance(text, str) else f"[{part['type']}]")
    return "\n".join(texts)


def _kind(keys: tuple[str, ...], kinds: dict[tuple[str, ...], _Kind]) -> _Kind:
    """Which fields of a line with these are optional ones, and whether their types are all that is
    to be looked at."""
    optional = tuple((key, _OPTIONAL[key]) for key in keys if key in _OPTIONAL)
    found = optional, _LOOKED_AT.isdisjoint(keys)
    if len(kinds) < _MANY_KINDS and len(keys) <= _MANY_KEYS:  # else they may be all of a file
        kinds[keys] = found
    return found


def _with_good_status(line: int, fields: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The fields less a status that is none, which is reported; the file keeps it."""
    if "status" in fields and fields["status"] not in _STATUS:
        problems.append(_ignored(line, "status", "cancelled or error"))
        return {key: value for key, value in fields.items() if key != "status"}
    return fields


def _without_wrong(line: int, fields: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The fields less those of a wrong type, each reported; the file keeps them."""
    good = {}
    for key, value in fields.items():
        types = _OPTIONAL.get(key)
        if types and type(value) not in types:
            problems.append(_ignored(line, key, types[0].__name__))
        else:
            good[key] = value
    return good


def _ignored(line: int, key: str, wanted: str) -> Problem:
    why = f"{key} is not {wanted}; it is ignored, the message counts"
    return problem("bad-line", why, line, 1, "warning")


def derived_id(text: bytes, equal_before: int) -> str:
    """The id of a line without one: it changes when the line is edited."""
    digest = hashlib.sha256(text + b"\0" + str(equal_before).encode())
    return "h-" + digest.hexdigest()[:16]


def _told_apart(
    messages: Sequence[Message], texts: Sequence[bytes], problems: list[Problem]
) -> list[str | None]:
    """Ids made unique: the same text counts once (None: it repeats an earlier line); another text
    gets ``<id>~n``."""
    taken = {message.id for message in messages}
    seen: dict[str, set[bytes]] = {}
    last: dict[str, int] = {}
    result: list[str | None] = []
    for message, text in zip(messages, texts, strict=True):
        name, line = message.id, message.line
        before = seen.setdefault(name, set())
        if text in before:
            problems.append(problem("duplicate-id", f"the same line again: {name}", line, 1))
            result.append(None)
            continue
        if before:
            n = last.get(name, 1) + 1
            while f"{name}~{n}" in taken:
                n += 1
            last[name] = n
            taken.add(f"{name}~{n}")
            why = f"another message has the id {name}; this one is called {name}~{n}"
            problems.append(problem("duplicate-id", why, line, 1))
            result.append(f"{name}~{n}")
        else:
            result.append(name)
        before.add(text)
    return result


def _find_parents(
    messages: list[Message], branches: list[tuple[int, object]], problems: list[Problem]
) -> None:
    places = {message.id: index for index, message in enumerate(messages)}
    for index, parent_id in branches:
        if parent_id is None:
            parent = -1
        else:
            parent = places.get(str(parent_id), index)
            if parent >= index:
                what = "unknown" if str(parent_id) not in places else "not earlier"
                why = f"parent_id is {what}: {str(parent_id)[:80]!r}; the line before is taken"
                problems.append(problem("unknown-parent", why, messages[index].line, 1))
                parent = index - 1
        messages[index] = messages[index]._replace(parent=parent)


def _unpaired_tools(messages: Sequence[Message]) -> list[Problem]:
    """Tool calls without a result behind them, and results without a call before them."""
    waiting: dict[str, list[int]] = {}  # some servers give several calls one id
    problems = []
    for message in messages:
        for call in tool_call_ids(message):
            waiting.setdefault(call, []).append(message.line)
        if message.role == "tool":
            call = _call_id(message.fields.get("tool_call_id"))
            if waiting.get(call):
                waiting[call].pop(0)
            else:
                why = f"a tool result without its call: {call[:80]!r}"
                problems.append(problem("tool-pair", why, message.line, 1))
    for call, lines in waiting.items():
        why = f"a tool call without a result: {call[:80]!r}"
        problems.extend(problem("tool-pair", why, line, 1) for line in lines)
    return problems


def tool_call_ids(message: Message) -> list[str]:
    """The ids of the calls in an assistant message."""
    calls = message.fields.get("tool_calls")
    if message.role != "assistant" or not isinstance(calls, list):
        return []
    return [_call_id(call.get("id")) for call in calls if isinstance(call, dict)]


def _call_id(value: object) -> str:
    return value if isinstance(value, str) else ""


def active_branch(messages: Sequence[Message]) -> list[Message]:
    """The walk from the last message over its parents, first message first."""
    branch: list[Message] = []
    index = len(messages) - 1
    while index >= 0:
        branch.append(messages[index])
        index = messages[index].parent
    branch.reverse()
    return branch


def exchanges(branch: Iterable[Message]) -> int:
    """Answered user messages: each followed, before the next one, by an answer with text that
    is not an error."""
    count = 0
    asked = False
    for message in branch:
        if message.role == "user":
            asked = True
        elif asked and message.role == "assistant" and message.text.strip():
            answered = message.fields.get("status") != "error"
            count += answered
            asked = not answered
    return count


def covered_hash(covered: Iterable[Message]) -> str:
    """SHA-256 over role and content of the messages that a compaction covers."""
    digest = hashlib.sha256()
    for message in covered:
        pair = [message.role, _content(message)]
        try:
            line = orjson.dumps(pair, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
        except (
            TypeError
        ):  # content parts nested deeper (254) than orjson writes, though it reads it
            line = message_line({"role": message.role, "content": message.text})
        digest.update(line)
    return digest.hexdigest()


def _content(message: Message) -> Any:
    """The content as written, of a lean message too."""
    fields = message.fields
    return fields.get("content") if "role" in fields else fields.get("content", message.text)


def message_line(fields: dict[str, Any]) -> bytes:
    """One line of a transcript with its newline. Text must be valid Unicode (no surrogates)."""
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


# --- what is wrong with a line -------------------------------------------------------------------


def _diagnose(lines: list[bytes], bad: list[int], tail: int, first_line: int) -> Iterable[Problem]:
    """A Problem for each bad line, but one for an object that is spread over several."""
    spread = _pretty_printed(lines, bad)
    skip_to = -1
    for index in bad:
        if index < skip_to:
            continue
        number = index + first_line
        end = spread.get(index)
        if end is not None:
            why = f"one message is spread over lines {number}–{end + first_line}; join them"
            yield problem("pretty-printed", why, number, 1)
            skip_to = end + 1
        else:
            yield _one_bad_line(lines[index], number, index == tail)


def _pretty_printed(lines: list[bytes], bad: list[int]) -> dict[int, int]:
    """Where a message is spread over lines none of which is one: its first line and its last."""
    spread: dict[int, int] = {}
    tries = 1_000  # that end in an error; a file may consist of nothing else
    for first, last in _runs(lines, bad):
        text = b"\n".join(lines[first : last + 1]).decode(errors="replace")
        starts = [0]
        starts.extend(found.end() for found in re.finditer("\n", text))
        at = first  # an object is looked for from here on
        for index in range(first, last):
            if index < at or not tries or not lines[index].lstrip().startswith(b"{"):
                continue
            begin = text.index("{", starts[index - first])
            try:
                end = json.JSONDecoder().raw_decode(text, begin)[1]
            except json.JSONDecodeError as error:
                tries -= 1
                at = first + bisect_right(starts, error.pos) - 1  # nothing begins inside of it
                continue
            except (ValueError, RecursionError):
                tries -= 1
                continue
            until = first + bisect_right(starts, end - 1) - 1
            at = until + 1
            if until > index and _is_message(
                b"\n".join(lines[index:at]).strip().removesuffix(b",")
            ):
                spread[index] = until
    return spread


def _runs(lines: list[bytes], bad: list[int]) -> Iterable[tuple[int, int]]:
    """First and last of the bad lines that stand together, blank lines between them or not."""
    run: list[int] = []
    for index in bad:
        if len(lines[index]) > MAX_LINE:
            continue
        if run and all(not lines[between].strip() for between in range(run[-1] + 1, index)):
            run.append(index)
            continue
        if len(run) > 1:
            yield run[0], run[-1]
        run = [index]
    if len(run) > 1:
        yield run[0], run[-1]


def _is_message(text: bytes) -> bool:
    try:
        value = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("role") in ROLES


def _one_bad_line(raw: bytes, number: int, is_tail: bool) -> Problem:
    if len(raw) > MAX_LINE:
        return problem("too-long", f"the line has {len(raw):,} bytes (at most 64 MiB)", number, 1)
    text = raw.strip()
    indent = len(raw) - len(raw.lstrip()) + 1
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        if is_tail:
            return problem("torn-tail", "the last line is cut off", number, indent)
        return problem("not-utf8", "the line is not UTF-8 text", number, indent + error.start)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if text.startswith(_MARKERS):
            return problem("conflict-marker", "a merge conflict marker", number, indent)
        if _is_glued(decoded):
            return problem("glued", "several objects on one line", number, indent)
        if is_tail:
            return problem("torn-tail", "the last line is cut off", number, indent)
        reason = "it holds NUL bytes" if b"\0" in text else error.msg
        column = indent + len(decoded[: error.pos].encode())  # the parser counts characters
        return problem("bad-line", f"not valid JSON: {reason}", number, column)
    return problem("bad-line", _why_no_message(value), number, indent)


def _why_no_message(value: object) -> str:
    if not isinstance(value, dict):
        return "not a JSON object"
    if "role" not in value:
        return "the object has no role"
    role = value["role"]
    if role not in ROLES:
        what = repr(role[:40]) if isinstance(role, str) else f"of type {type(role).__name__}"
        return f"unknown role {what} (one of: {', '.join(ROLES)})"
    return "content is neither text nor a list of content parts"


def _is_glued(text: str) -> bool:
    """Two objects or more on a line; the first or the last may be cut off."""
    if not text.startswith("{"):
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(text)
        return text[end:].lstrip(" \t\r,").startswith("{")
    except (ValueError, RecursionError):
        pass
    # a torn one before a whole one: the last place from which a message can be read to the end
    places = [found.start() for found in re.finditer(r'\{\s*"', text)]
    return any(_is_message(text[place:].encode()) for place in reversed(places[1:][-64:]))

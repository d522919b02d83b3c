"""Transcripts: bytes ⇄ messages. Reading is forgiving and throws nothing away.

A line that is no message becomes a Problem and stays where it is; its neighbours count. Only the
byte ``\\n`` ends a line (``str.splitlines`` would cut at U+2028 and others). See docs/format.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from vault_sessions.formats.ids import is_message_id
from vault_sessions.formats.times import parse_time
from vault_sessions.model import ROLES, Message, Problem, Transcript, problem

BOM = b"\xef\xbb\xbf"
MAX_LINE = 64 * 1024 * 1024

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
_MARKERS = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")


def parse(data: bytes, first_line: int = 1) -> Transcript:
    """Read a whole transcript, or its end from a line start on (``first_line`` is its number)."""
    problems: list[Problem] = []
    start = 0
    if first_line == 1 and data.startswith(BOM):
        problems.append(problem("bom", "the file begins with a byte order mark", 1, 1))
        start = len(BOM)
    lines = data[start:].split(b"\n") if start else data.split(b"\n")
    tail = len(lines) - 1  # the piece behind the last newline; empty when the file ends well
    texts: list[bytes] = []
    found: list[tuple[int, dict[str, Any]]] = []
    bad: list[int] = []
    loads = orjson.loads
    crlf = 0
    for index, raw in enumerate(lines):
        if raw[-1:] == b"\r" and not crlf and index != tail:
            crlf = index + first_line
        text = raw.strip()
        if not text:
            continue
        try:
            if len(raw) > MAX_LINE:
                raise ValueError
            fields = loads(text)
            # a message by the table of docs/format.md, or an exception
            content = fields.get("content")
            if fields["role"] not in ROLES or not (
                content is None or type(content) is str or _are_parts(content)
            ):
                raise ValueError
        except (ValueError, KeyError, AttributeError):
            bad.append(index)
            continue
        texts.append(text)
        found.append((index + first_line, fields))
    if crlf:
        problems.append(problem("crlf", "lines end with CR LF", crlf, 0))
    if bad:
        problems.extend(_diagnose(lines, bad, tail, first_line))
    messages = _messages(found, texts, problems)
    problems.sort()
    end = data.rfind(b"\n") + 1
    return Transcript(messages, tuple(problems), len(data), end, tail + first_line - 1)


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


def _messages(
    found: list[tuple[int, dict[str, Any]]], texts: list[bytes], problems: list[Problem]
) -> tuple[Message, ...]:
    """The good lines as messages, with ids made unique and parents found."""
    ids = _unique_ids(found, texts, problems)
    messages: list[Message] = []
    branches: list[tuple[int, object]] = []
    tools = False
    optional = _OPTIONAL
    make = Message._make
    for (line, fields), name in zip(found, ids, strict=True):
        if name is None:
            continue
        content = fields.get("content")
        for key, value in fields.items():
            if key in optional and type(value) not in optional[key]:
                fields = _without_wrong(line, fields, problems)
                break
        if "status" in fields and fields["status"] not in _STATUS:
            problems.append(_ignored(line, "status", "cancelled or error"))
            fields = {key: value for key, value in fields.items() if key != "status"}
        stamp = fields.get("created_at")
        created_at = None
        if stamp is not None:
            created_at = parse_time(stamp)
            if created_at is None:
                why = "created_at has no offset or can't be read; the message counts, without time"
                problems.append(problem("bad-time", why, line, 1))
        index = len(messages)
        if "parent_id" in fields:
            branches.append((index, fields["parent_id"]))
        if fields["role"] == "tool" or "tool_calls" in fields:
            tools = True
        text = content if type(content) is str else content_text(content)
        messages.append(make((name, fields["role"], text, created_at, index - 1, line, fields)))
    if branches:
        _find_parents(messages, branches, problems)
    if tools:
        problems.extend(_unpaired_tools(messages))
    return tuple(messages)


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


def _unique_ids(
    found: list[tuple[int, dict[str, Any]]], texts: list[bytes], problems: list[Problem]
) -> list[str | None]:
    """An id for every message line; None for a line that repeats an earlier one."""
    ids: list[str] = []
    equal_before: dict[bytes, int] = {}
    for (line, fields), text in zip(found, texts, strict=True):
        given = fields.get("id")
        if is_message_id(given):
            ids.append(given)  # type: ignore[arg-type]  # is_message_id says it is a str
            continue
        if given is not None:
            why = "id is not 1–200 printable characters without spaces; it counts as missing"
            problems.append(problem("bad-line", why, line, 1, "warning"))
        count = equal_before.get(text, 0)
        equal_before[text] = count + 1
        ids.append(derived_id(text, count))
    if len(set(ids)) == len(ids):
        return list(ids)
    return _told_apart(found, texts, ids, problems)


def derived_id(text: bytes, equal_before: int) -> str:
    """The id of a line without one: it changes when the line is edited."""
    digest = hashlib.sha256(text + b"\0" + str(equal_before).encode())
    return "h-" + digest.hexdigest()[:16]


def _told_apart(
    found: list[tuple[int, dict[str, Any]]],
    texts: list[bytes],
    ids: list[str],
    problems: list[Problem],
) -> list[str | None]:
    """Equal ids: the same text counts once; another text gets ``<id>~n``."""
    taken = set(ids)
    seen: dict[str, set[bytes]] = {}
    last: dict[str, int] = {}
    result: list[str | None] = []
    for (line, _), text, name in zip(found, texts, ids, strict=True):
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
        pair = [message.role, message.fields.get("content")]
        try:
            line = orjson.dumps(pair, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
        except (
            TypeError
        ):  # content parts nested deeper (254) than orjson writes, though it reads it
            line = message_line({"role": message.role, "content": message.text})
        digest.update(line)
    return digest.hexdigest()


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

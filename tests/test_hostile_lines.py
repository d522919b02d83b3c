"""Lines that no program should write, each between good neighbours that must survive."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

import pytest

from vault_sessions.formats.transcript import (
    active_branch,
    covered_hash,
    exchanges,
    message_line,
    parse,
)
from vault_sessions.model import Message, Problem, Transcript

ABOVE = message_line({"role": "user", "content": "above", "id": "above"})
BELOW = message_line({"role": "assistant", "content": "below", "id": "below"})
USER = b'{"role":"user","content":'


class Kind(NamedTuple):
    """A hostile line. ``code``: of its one problem, None for none. ``tail``: the code where it
    stands last without a newline. ``messages``: how many it gives. ``seconds``: it may take."""

    name: str
    line: bytes
    code: str | None
    messages: int = 0
    tail: str = "torn-tail"
    seconds: float = 1.0


def bad(name: str, line: bytes) -> Kind:
    """A line that is not JSON: torn where it is the tail."""
    return Kind(name, line, "bad-line")


def no_message(name: str, line: bytes) -> Kind:
    """A line of valid JSON that is no message: never torn."""
    return Kind(name, line, "bad-line", tail="bad-line")


def odd(name: str, line: bytes, code: str | None = None) -> Kind:
    """A line that is a message all the same, with or without a problem."""
    return Kind(name, line, code, 1, code or "")


def user(content: str, more: str = "") -> bytes:
    """A user's line with raw JSON for its content and more members."""
    return f'{{"role":"user","content":{content}{more}}}'.encode()


def field(key: str, value: str) -> bytes:
    """A user's line with one more member, as raw JSON."""
    return user('"x"', f',"{key}":{value}')


DEEP = 1_100
KINDS = [
    bad("NaN", user("NaN")),
    bad("Infinity", field("x", "Infinity")),
    bad("minus Infinity", field("x", "-Infinity")),
    bad("1e999", field("x", "1e999")),
    bad("leading zero", field("x", "01")),
    bad("plus sign", field("x", "+1")),
    bad("hexadecimal", field("x", "0x1f")),
    odd("2**64", field("x", "18446744073709551616")),
    odd("minus zero", field("x", "-0")),
    odd("a tiny exponent", field("x", "1e-999999")),
    bad("a huge exponent", field("x", "1e99999999999")),
    bad("a number of 5,000 digits", field("x", "9" * 5_000)),
    odd("a fraction of 5,000 digits", field("x", "0." + "1" * 5_000)),
    bad("half a surrogate pair, escaped", user('"\\ud800"')),
    bad("surrogates the wrong way round", user('"\\udc00\\ud800"')),
    Kind("half a surrogate pair, raw", USER + b'"\xed\xa0\x80"}', "not-utf8"),
    Kind("a surrogate pair in CESU-8", USER + b'"\xed\xa0\xbd\xed\xb8\x80"}', "not-utf8"),
    Kind("overlong UTF-8", USER + b'"\xc0\xaf"}', "not-utf8"),
    Kind("a lone continuation byte", USER + b'"\x80"}', "not-utf8"),
    Kind("a character cut in the middle", USER + b'"\xe6\x97"}', "not-utf8"),
    Kind("beyond U+10FFFF", USER + b'"\xf4\x90\x80\x80"}', "not-utf8"),
    Kind("Latin-1", USER + b'"caf\xe9"}', "not-utf8"),
    Kind("bytes FE FF", b"\xfe\xff", "not-utf8"),
    Kind("UTF-16 LE with BOM", user('"x"').decode().encode("utf-16"), "not-utf8"),
    bad("UTF-16 BE", user('"x"').decode().encode("utf-16-be")),
    bad("UTF-32 LE", user('"x"').decode().encode("utf-32-le")),
    bad("NUL bytes", b"\0" * 64),
    bad("a NUL in a text", user('"a\0b"')),
    bad("a NUL behind", user('"x"') + b"\0"),
    odd("an escaped NUL", user('"a\\u0000b"')),
    bad("a control character in a text", user('"\x1b[2J"')),
    bad("a tab in a text", user('"a\tb"')),
    bad("nested arrays", b"[" * DEEP + b"]" * DEEP),
    bad("nested objects", b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    bad("nested in an unknown field", field("x", "[" * DEEP + "]" * DEEP)),
    bad("nested and not closed", b"[" * 200_000),
    bad("nested objects, not closed", b'{"a":' * 200_000),
    odd("nested 900 deep", field("x", "[" * 900 + "]" * 900)),
    no_message("a role nested 1,000 deep", b'{"role":' + b"[" * 1000 + b"]" * 1000 + b"}"),
    odd("an id nested 1,000 deep", field("id", "[" * 1000 + "]" * 1000), "bad-line"),
    odd("a parent nested 1,000 deep", field("parent_id", "[" * 1000 + "]" * 1000), "bad-line"),
    odd("content parts nested 500 deep", user('[{"type":"x","y":' + "[" * 500 + "]" * 500 + "}]")),
    Kind("65 MiB", USER + b'"' + b"x" * (65 << 20) + b'"}', "too-long", 0, "too-long", 10),
    bad("a byte order mark", b"\xef\xbb\xbf" + user('"x"')),
    odd("a byte order mark in a text", user('"\ufeff"')),
    bad("zero-width spaces around", "\u200b".encode() + user('"x"') + "\u200b".encode()),
    bad("no-break space before", "\u00a0".encode() + user('"x"')),
    bad("U+2028 before", "\u2028".encode() + user('"x"')),
    bad("U+2028 between tokens", user('\u2028"x"')),
    odd("U+2028 in a text", user('"a\u2028b"')),
    odd("U+2029 in a text", user('"a\u2029b"')),
    odd("U+0085 in a text", user('"a\u0085b"')),
    bad("a vertical tab between tokens", user('\x0b"x"')),
    odd("vertical tab and form feed around", b"\x0b\x0c" + user('"x"') + b"\x0c\x0b"),
    odd("indented by a tab", b"\t" + user('"x"')),
    odd("spaces between all tokens", b' { "role" : "user" , "content" : "x" } '),
    odd("CR LF", user('"x"') + b"\r", "crlf"),
    Kind("glued", user('"x"') + user('"y"'), "glued", 0, "glued"),
    Kind("glued by a space", user('"x"') + b" " + user('"y"'), "glued", 0, "glued"),
    Kind("glued by CR", user('"x"') + b"\r" + user('"y"'), "glued", 0, "glued"),
    Kind("torn and glued", b'{"role":"assistant","conte' + user('"y"'), "glued", 0, "glued"),
    Kind("torn in an escape", b'{"role":"user","content":"a\\' + user('"y"'), "glued", 0, "glued"),
    Kind("glued, the last torn", user('"x"') + b'{"role":"us', "glued", 0, "glued"),
    Kind("ten thousand glued", user('"x"') * 10_000, "glued", 0, "glued"),
    bad("closed twice", user('"x"') + b"}"),
    bad("words behind", user('"x"') + b" sent from my phone"),
    bad("torn", b'{"role":"user","content":"hel'),
    bad("torn in a key", b'{"ro'),
    bad("an opening brace", b"{"),
    bad("a closing brace", b"}"),
    bad("a quote", b'"'),
    bad("a comma", b","),
    no_message("an empty object", b"{}"),
    no_message("an array", b'[{"role":"user","content":"x"}]'),
    no_message("a number", b"42"),
    no_message("a negative number", b"-1"),
    no_message("a text", b'"hello"'),
    no_message("null", b"null"),
    no_message("true", b"true"),
    no_message("no role", b'{"content":"x"}'),
    no_message("role null", b'{"role":null,"content":"x"}'),
    no_message("role a number", b'{"role":1,"content":"x"}'),
    no_message("role a list", b'{"role":["user"],"content":"x"}'),
    no_message("role an object", b'{"role":{"user":1},"content":"x"}'),
    no_message("role unknown", b'{"role":"function","content":"x"}'),
    no_message("role in upper case", b'{"role":"USER","content":"x"}'),
    no_message("role with a space", b'{"role":"user ","content":"x"}'),
    no_message("role of a million letters", b'{"role":"' + b"u" * 1_000_000 + b'"}'),
    no_message("key in upper case", b'{"Role":"user","content":"x"}'),
    no_message("content a number", user("1")),
    no_message("content true", user("true")),
    no_message("content an object", user("{}")),
    no_message("content a list of texts", user('["a"]')),
    no_message("content a list of lists", user("[[]]")),
    no_message("a part without a type", user('[{"text":"x"}]')),
    no_message("a part of a numeric type", user('[{"type":1}]')),
    odd("a part without a text", user('[{"type":"text"}]')),
    odd("a part whose text is a list", user('[{"type":"text","text":[]}]')),
    odd("content null", user("null")),
    odd("role twice, the last counts", b'{"role":"robot","role":"user","content":"x"}'),
    odd("content twice, the last counts", user('1,"content":"x"')),
    odd("id a number", field("id", "5"), "bad-line"),
    odd("id a list", field("id", "[]"), "bad-line"),
    odd("id true", field("id", "true"), "bad-line"),
    odd("id empty", field("id", '""'), "bad-line"),
    odd("id of spaces", field("id", '"a b"'), "bad-line"),
    odd("id of 201 characters", field("id", '"' + "i" * 201 + '"'), "bad-line"),
    odd("id with a control character", field("id", '"a\\u001b[31m"'), "bad-line"),
    odd("id with a right-to-left override", field("id", '"\u202eabc"'), "bad-line"),
    odd("id in Hebrew", field("id", '"\u05d0\u05d1"')),
    odd("id of 200 characters", field("id", '"' + "i" * 200 + '"')),
    *(
        odd(f"created_at {written}", field("created_at", written), "bad-time")
        for written in (
            '""',
            '"now"',
            '"2026-11-21"',
            '"2026-11-21T08:05:12"',
            '"2026-02-30T08:05:12Z"',
            '"2026-11-21T25:05:12Z"',
            '"2026-11-21T08:05:12+99:00"',
            '"0001-01-01T00:00:00+14:00"',
            '"Sat, 21 Nov 2026 08:05:12 GMT"',
            '"\\u0000"',
            "1763712312",
            "1e300",
            "{}",
            "[]",
            "true",
        )
    ),
    odd("created_at in week form", field("created_at", '"2026-W47-6T08:05Z"')),
    odd("created_at null", field("created_at", "null")),
    odd("parent itself", field("id", '"me"')[:-1] + b',"parent_id":"me"}', "unknown-parent"),
    odd("parent unknown", field("parent_id", '"nobody"'), "unknown-parent"),
    odd("parent empty", field("parent_id", '""'), "unknown-parent"),
    odd("parent a number", field("parent_id", "7"), "bad-line"),
    odd("tool_calls a text", field("tool_calls", '"get_weather"'), "bad-line"),
    odd("tool_calls of nulls", field("tool_calls", "[null,1,[]]")),
    odd("a call nobody answers", b'{"role":"assistant","tool_calls":[{"id":[1]}]}', "tool-pair"),
    odd(
        "a result nobody asked for", b'{"role":"tool","tool_call_id":"c","content":""}', "tool-pair"
    ),
    odd("usage a list", field("usage", "[1,2]"), "bad-line"),
    odd("usage of texts", field("usage", '{"total_tokens":"many"}')),
    odd("status unknown", field("status", '"done"'), "bad-line"),
    odd("archived a number", field("archived", "1"), "bad-line"),
    bad("a comment", b"// " + user('"x"')),
    bad("a comment behind", user('"x"') + b" // hello"),
    bad("a comment inside", user('/* x */"x"')),
    bad("a hash comment", b"# notes"),
    bad("a trailing comma", user('"x",')),
    bad("a comma behind", user('"x"') + b","),
    bad("a missing comma", b'{"role":"user" "content":"x"}'),
    bad("single quotes", b"{'role':'user','content':'x'}"),
    bad("bare keys", b'{role:"user",content:"x"}'),
    bad("Python", b"{'role': 'user', 'content': None}"),
    bad("a bytes literal", b"b'" + user('"x"') + b"'"),
    bad("YAML", b"- role: user"),
    bad("CSV", b"user,hello,2026-11-21"),
    bad("HTML", b"<html><body>502 Bad Gateway</body></html>"),
    bad("an SSE line", b"data: " + user('"x"')),
    bad("a percent", b"100% done %s %d {0}"),
    bad("base64", b"eyJyb2xlIjoidXNlciJ9"),
    bad("escaped as a text without quotes", b'{\\"role\\":\\"user\\"}'),
    bad("curly quotes", "{“role”:“user”}".encode()),
    bad("an unknown escape", user('"\\x41"')),
    bad("a short unicode escape", user('"\\u12"')),
    odd("unicode escapes", b'{"\\u0072ole":"\\u0075ser","content":"\\u00e9\\ud83d\\ude00"}'),
    odd("an astral character", user('"😀𠮷"')),
    odd("a noncharacter", user('"\uffff"')),
    odd("ten thousand combining marks", user('"' + "\u0301" * 10_000 + '"')),
    Kind("marker of ours", b"<<<<<<< HEAD", "conflict-marker", 0, "conflict-marker"),
    Kind("marker of the base", b"||||||| 4f2a1b9", "conflict-marker", 0, "conflict-marker"),
    Kind("marker between", b"=======", "conflict-marker", 0, "conflict-marker"),
    Kind("marker of theirs", b">>>>>>> branch", "conflict-marker", 0, "conflict-marker"),
    Kind("indented marker", b"  ======= ", "conflict-marker", 0, "conflict-marker"),
    bad("a short marker", b"<<<<<< HEAD"),
    odd(
        "100,000 keys",
        user('"x"', "," + ",".join(f'"k{number}":{number}' for number in range(100_000))),
    ),
    odd("a key of a million letters", user('"x"', ',"' + "k" * 1_000_000 + '":1')),
    odd("an empty key", user('"x"', ',"":1')),
    odd("a key __proto__", field("__proto__", "{}")),
    odd("a text of 5 MB", user(json.dumps("word " * 1_000_000))),
    bad("a text of 5 MB, not closed", USER + b'"' + b"a" * 5_000_000),
    bad("5 MB of quotes", b'"' * 5_000_000),
    bad("a million pieces that could begin a message", b'{"role":"user",' * 300_000),
]


def own_problems(read: Transcript, line: int) -> list[Problem]:
    """The problems of that line."""
    return [found for found in read.problems if found.line == line]


def read_in_time(data: bytes, kind: Kind) -> Transcript:
    """Parse, and use what was parsed, within the time that the kind may take."""
    begun = time.perf_counter()
    read = parse(data)
    exchanges(active_branch(read.messages))
    covered_hash(read.messages)
    assert time.perf_counter() - begun < kind.seconds
    return read


def check(read: Transcript, kind: Kind, line: int, code: str | None) -> None:
    """The line gives its messages and its problem, and nothing else is wrong."""
    assert len([message for message in read.messages if message.line == line]) == kind.messages
    assert [found.code for found in read.problems] == ([code] if code else [])
    for found in read.problems:
        assert found.line == line
        assert found.column >= (0 if code == "crlf" else 1)
        assert found.message.isprintable()
        assert len(found.message) < 300


def neighbour(read: Transcript, name: str) -> Message:
    """The good message of that id."""
    (found,) = [message for message in read.messages if message.id == name]
    return found


def test_the_kinds_are_many_and_have_names_of_their_own() -> None:
    """So that a failure says which."""
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 60


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name[:40])
def test_between_neighbours(kind: Kind) -> None:
    """Both neighbours are messages, unchanged, and the problem is on line 2."""
    read = read_in_time(ABOVE + kind.line + b"\n" + BELOW, kind)
    above, below = neighbour(read, "above"), neighbour(read, "below")
    assert (above.text, above.line, above.parent) == ("above", 1, -1)
    assert (below.text, below.line) == ("below", 3)
    check(read, kind, 2, kind.code)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name[:40])
def test_as_the_first_line(kind: Kind) -> None:
    """A byte order mark is at home there."""
    read = read_in_time(kind.line + b"\n" + BELOW, kind)
    assert neighbour(read, "below").line == 2
    if kind.name == "a byte order mark":
        assert [found.code for found in read.problems] == ["bom"]
    else:
        check(read, kind, 1, kind.code)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name[:40])
def test_as_the_last_line(kind: Kind) -> None:
    """With a newline it is as anywhere else; without one it may be torn, and a CR is no CR LF."""
    whole = read_in_time(ABOVE + kind.line + b"\n", kind)
    assert neighbour(whole, "above").line == 1
    check(whole, kind, 2, kind.code)
    tail = read_in_time(ABOVE + kind.line, kind)
    assert neighbour(tail, "above").line == 1
    check(tail, kind, 2, None if kind.tail in ("", "crlf") else kind.tail)
    assert tail.known_end == len(ABOVE)

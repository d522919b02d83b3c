"""What docs/format.md says about transcripts, rule by rule."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from vault_sessions.formats.transcript import (
    BOM,
    active_branch,
    covered_hash,
    derived_id,
    exchanges,
    message_line,
    parse,
)
from vault_sessions.model import Transcript


def line(content: Any = "hi", role: str = "user", **fields: Any) -> bytes:
    """A message line."""
    return message_line({"role": role, "content": content, **fields})


def codes(transcript: Transcript) -> list[tuple[int, str]]:
    """Line and code of each problem."""
    return [(found.line, found.code) for found in transcript.problems]


def texts(transcript: Transcript) -> list[str]:
    """The messages' texts."""
    return [message.text for message in transcript.messages]


# --- lines ---------------------------------------------------------------------------------------


def test_the_smallest_line_a_person_may_type_is_a_message() -> None:
    """Role and content are enough; everything else is derived."""
    read = parse(b'{"role":"user","content":"hi"}')
    (message,) = read.messages
    assert (message.role, message.text, message.created_at) == ("user", "hi", None)
    assert (message.line, message.parent) == (1, -1)
    assert read.problems == ()


def test_an_empty_file_is_a_transcript_without_messages() -> None:
    """Nothing is wrong with it."""
    assert parse(b"") == Transcript((), (), 0, 0, 0)
    assert parse(b"\n \n\t\n").messages == ()
    assert parse(b"\n \n\t\n").problems == ()


def test_only_the_newline_byte_ends_a_line() -> None:
    """U+2028, U+2029, U+0085, form feed and vertical tab inside a text cut nothing."""
    odd = "a\u2028b\u2029c\u0085d\x0ce\x0bf"
    read = parse(line(odd) + line("next"))
    assert texts(read) == [odd, "next"]
    assert [message.line for message in read.messages] == [1, 2]


def test_blank_lines_are_skipped_but_counted() -> None:
    """Line numbers are those of the file."""
    read = parse(b"\n" + line("a") + b"  \n\t\n" + line("b"))
    assert [(m.text, m.line) for m in read.messages] == [("a", 2), ("b", 5)]
    assert read.problems == ()


def test_the_last_newline_may_be_missing() -> None:
    """A tail that parses is a message, whoever is live."""
    read = parse(line("a") + line("b").rstrip())
    assert texts(read) == ["a", "b"]
    assert read.problems == ()


def test_a_byte_order_mark_is_noted_and_no_part_of_the_first_text() -> None:
    """The derived id is that of the line without it."""
    read = parse(BOM + line("a"))
    assert codes(read) == [(1, "bom")]
    assert read.messages[0].id == parse(line("a")).messages[0].id
    assert parse(BOM).messages == ()


def test_a_byte_order_mark_counts_at_the_start_of_the_file_only() -> None:
    """In the middle it makes the line unreadable; read from the middle on there is none."""
    assert codes(parse(line("a") + BOM + line("b"))) == [(2, "bad-line")]
    assert codes(parse(BOM + line("b"), first_line=2)) == [(2, "bad-line")]


def test_crlf_is_noted_once_at_its_first_line_and_is_no_part_of_the_text() -> None:
    """Ids do not change when line ends do."""
    data = line("a") + line("b") + line("c")
    read = parse(line("a") + (line("b") + line("c")).replace(b"\n", b"\r\n"))
    assert codes(read) == [(2, "crlf")]
    assert [m.id for m in read.messages] == [m.id for m in parse(data).messages]
    assert codes(parse(b"\r\n" + line("a"))) == [(1, "crlf")]
    assert codes(parse(line("a").rstrip() + b"\r")) == []


@pytest.mark.parametrize("around", [b"  ", b"\t", b"\x0b", b"\x0c"])
def test_white_space_around_a_line_is_no_part_of_its_text(around: bytes) -> None:
    """Indented by hand, it stays the same message."""
    plain = line("a").rstrip()
    (message,) = parse(around + plain + around + b"\n").messages
    assert message.id == derived_id(plain, 0)


def test_size_known_end_and_lines_tell_where_to_read_on() -> None:
    """``known_end`` is behind the last newline, ``lines`` the lines before it."""
    whole, tail = BOM + line("a") + b"\n" + line("b"), b'{"role":"us'
    read = parse(whole + tail)
    assert (read.size, read.known_end, read.lines) == (len(whole + tail), len(whole), 3)
    again = parse((whole + line("c"))[read.known_end :], read.lines + 1)
    assert [(m.text, m.line) for m in again.messages] == [("c", 4)]
    assert again.lines == 4


# --- what is no message --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        (b"what?", 1),
        (b'  {"role":"user","content":"\xc3\xa9" x}', 33),
        (b'{"role":"user","content":NaN}', 26),
        (b"[1]", 1),
        (b"42", 1),
        (b"null", 1),
        (b'"text"', 1),
        (b'{"content":"no role"}', 1),
        (b'{"role":"User","content":"x"}', 1),
        (b'{"role":["user"],"content":"x"}', 1),
        (b'{"role":"user","content":7}', 1),
        (b'   {"role":"user","content":{}}', 4),
        (b'{"role":"user","content":[1]}', 1),
        (b'{"role":"user","content":[{"text":"no type"}]}', 1),
    ],
)
def test_a_line_that_is_no_message_is_a_bad_line_with_its_column_in_bytes(
    bad: bytes, column: int
) -> None:
    """It is left out; its neighbours count."""
    read = parse(line("before") + bad + b"\n" + line("after"))
    assert texts(read) == ["before", "after"]
    (found,) = read.problems
    assert (found.code, found.line, found.column) == ("bad-line", 2, column)
    assert found.severity == "error"


def test_bytes_that_are_not_utf8_are_reported_with_line_and_column() -> None:
    """The column counts bytes from the start of the line."""
    read = parse(line("a") + b'  {"role":"user","content":"caf\xe9"}\n' + line("b"))
    (found,) = read.problems
    assert (found.code, found.line, found.column) == ("not-utf8", 2, 32)
    assert texts(read) == ["a", "b"]


@pytest.mark.parametrize(
    "tail", [b'{"role":"user","cont', b"{", b'{"role":"user","content":"caf\xc3', b"\0\0\0\0"]
)
def test_a_tail_that_does_not_parse_is_torn(tail: bytes) -> None:
    """Only without a newline behind it: with one it is a bad line."""
    read = parse(line("a") + tail)
    assert codes(read) == [(2, "torn-tail")]
    assert texts(read) == ["a"]
    assert codes(parse(line("a") + tail + b"\n"))[0][1] in ("bad-line", "not-utf8")


@pytest.mark.parametrize(
    "glued",
    [
        line("a").rstrip() + line("b").rstrip(),
        line("a").rstrip() + b" , " + line("b").rstrip(),
        line("a").rstrip() + b"\r" + line("b").rstrip() + b"\r" + line("c").rstrip(),
        line("a").rstrip() + b'{"role":"assis',
        b'{"role":"assistant","content":"cut o' + line("b").rstrip(),
        b'{"role":"assistant","usage":{"total' + b'{"id": "x", "role": "user"}',
    ],
    ids=["two", "comma", "carriage returns", "last torn", "first torn", "role not first"],
)
def test_several_objects_on_a_line_are_glued(glued: bytes) -> None:
    """A torn write with another message right behind it, or a lost newline."""
    read = parse(line("before") + glued + b"\n" + line("after"))
    assert codes(read) == [(2, "glued")]
    assert texts(read) == ["before", "after"]


def test_a_bad_line_whose_text_quotes_an_object_is_not_glued() -> None:
    """Only what reads as a message to the end of the line counts."""
    quoted = b'{"role":"user","content":"see {\\"role\\":\\"user\\"} there"'
    assert codes(parse(quoted + b"\n")) == [(1, "bad-line")]
    assert codes(parse(b'7 {"role":"user"}\n')) == [(1, "bad-line")]


@pytest.mark.parametrize("indent", [1, 2, 4, "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_pretty_printed_message_is_one_problem(indent: int | str, end: str) -> None:
    """However many lines and nested values it has."""
    value = {"role": "user", "content": [{"type": "text", "text": "} {"}], "usage": {"a": {}}}
    spread = json.dumps(value, indent=indent).replace("\n", end) + end
    read = parse(line("a") + spread.encode() + line("b"))
    assert (2, "pretty-printed") in codes(read)
    assert len([code for _, code in codes(read) if code != "crlf"]) == 1
    assert texts(read) == ["a", "b"]


def test_two_pretty_printed_messages_are_two_problems() -> None:
    """In a row, with a comma or a blank line between them, or broken by hand."""
    one = b'{\n  "role": "user",\n  "content": "x"\n},\n\n'
    broken = b'{"role":"user",\n"content":"y"}\n'
    assert codes(parse(one + one + broken)) == [
        (1, "pretty-printed"),
        (6, "pretty-printed"),
        (11, "pretty-printed"),
    ]


def test_a_message_inside_of_an_unclosed_object_counts() -> None:
    """A good line is never taken for a part of a spread one."""
    read = parse(b'{\n"role":"user",\n' + line("good") + b'"content":"x"\n}\n')
    assert texts(read) == ["good"]
    assert {code for _, code in codes(read)} == {"bad-line"}


@pytest.mark.parametrize("mark", [b"<<<<<<< HEAD", b"||||||| base", b"=======", b">>>>>>> theirs"])
def test_conflict_markers_are_told_from_other_bad_lines(mark: bytes) -> None:
    """The messages of both sides count."""
    read = parse(line("a") + mark + b"\n" + line("b"))
    assert codes(read) == [(2, "conflict-marker")]
    assert texts(read) == ["a", "b"]


def test_thousands_of_broken_lines_are_read_in_linear_time() -> None:
    """No line is looked at again for each of the others."""
    for bad in (b"{\n", b'{"a":\n', b'{"role":"user","content":"x\n', b'{"a":[1,\n'):
        read = parse(bad * 20_000)
        assert len(read.problems) == 20_000


# --- ids -----------------------------------------------------------------------------------------


def test_a_line_without_an_id_gets_one_from_its_text() -> None:
    """``h-`` and 16 hex digits of SHA-256 over the text, NUL, and the number of equal lines."""
    text = line("hi").rstrip()
    read = parse(line("hi") * 3)
    wanted = ["h-" + hashlib.sha256(text + b"\0" + n).hexdigest()[:16] for n in (b"0", b"1", b"2")]
    assert [message.id for message in read.messages] == wanted
    assert read.problems == ()
    assert derived_id(text, 1) == wanted[1]


def test_an_edited_line_without_an_id_gets_another() -> None:
    """The id stands for the text."""
    assert parse(line("a")).messages[0].id != parse(line("b")).messages[0].id


@pytest.mark.parametrize("good", ["1", "x" * 200, "é", "a~2", "שלום", "msg#1/2"])
def test_an_id_is_1_to_200_printable_characters(good: str) -> None:
    """Taken as it is."""
    read = parse(line(id=good))
    assert read.messages[0].id == good
    assert read.problems == ()


@pytest.mark.parametrize(
    "bad", ["", "a b", "x" * 201, "a\n", "a\x1b", "\u202eb", "a\u200bb", "\u3000", 7, True, [], {}]
)
def test_any_other_id_counts_as_missing_and_is_reported(bad: Any) -> None:
    """The message counts, under a derived id."""
    read = parse(line(id=bad))
    (message,) = read.messages
    assert message.id == derived_id(line(id=bad).rstrip(), 0)
    assert [(p.code, p.severity) for p in read.problems] == [("bad-line", "warning")]


def test_an_id_of_null_is_missing() -> None:
    """It is not reported."""
    read = parse(line(id=None))
    assert read.messages[0].id.startswith("h-")
    assert read.problems == ()


def test_the_same_line_again_counts_once_at_its_first_place() -> None:
    """White space around it makes no difference."""
    read = parse(line("a", id="x") + line("b", id="y") + b"  " + line("a", id="x"))
    assert [m.id for m in read.messages] == ["x", "y"]
    assert codes(read) == [(3, "duplicate-id")]


def test_another_line_of_the_same_id_gets_a_number() -> None:
    """The smallest from 2 that no line bears."""
    data = line("a", id="x") + line("b", id="x") + line("c", id="x~2") + line("d", id="x")
    read = parse(data + line("b", id="x"))
    assert [m.id for m in read.messages] == ["x", "x~3", "x~2", "x~4"]
    assert codes(read) == [(2, "duplicate-id"), (4, "duplicate-id"), (5, "duplicate-id")]


def test_tens_of_thousands_of_lines_of_one_id_are_told_apart_at_once() -> None:
    """The numbers are counted up, not searched for."""
    data = b"".join(b'{"role":"user","content":"%d","id":"x"}\n' % n for n in range(30_000))
    assert parse(data).messages[-1].id == "x~30000"


# --- parents and branches ------------------------------------------------------------------------


def test_without_a_parent_the_line_before_is_meant() -> None:
    """Bad lines and repeated ones are no messages."""
    read = parse(line("a", id="a") + b"bad\n" + line("b", id="b") + line("a", id="a") + line("c"))
    assert [m.parent for m in read.messages] == [-1, 0, 1]


def test_a_parent_is_an_earlier_message_and_null_a_start() -> None:
    """The active branch is the walk from the last message."""
    data = line("a", id="a") + line("b", id="b") + line("c", id="c", parent_id="a")
    read = parse(data + line("d", id="d"))
    assert [m.parent for m in read.messages] == [-1, 0, 0, 2]
    assert [m.id for m in active_branch(read.messages)] == ["a", "c", "d"]
    again = parse(data + line("e", id="e", parent_id=None))
    assert [m.id for m in active_branch(again.messages)] == ["e"]
    assert again.problems == ()


def test_a_parent_may_be_named_by_its_derived_or_numbered_id() -> None:
    """As ``show`` prints them."""
    first = derived_id(line("a").rstrip(), 0)
    data = line("a") + line("b", id="x") + line("c", id="x") + line("d", parent_id="x~2")
    assert parse(data).messages[3].parent == 2
    assert parse(data + line("e", parent_id=first)).messages[4].parent == 0


@pytest.mark.parametrize("parent", ["b", "c", "nobody", "", " ", "\x1b[2J" * 100])
def test_an_unknown_or_later_parent_is_reported_and_the_line_before_taken(parent: str) -> None:
    """Its own id is not earlier either."""
    read = parse(line("a", id="a") + line("b", id="b", parent_id=parent) + line("c", id="c"))
    assert codes(read) == [(2, "unknown-parent")]
    assert [m.parent for m in read.messages] == [-1, 0, 1]
    assert read.problems[0].message.isprintable()


def test_no_messages_have_no_active_branch() -> None:
    """And no exchanges."""
    assert active_branch([]) == []
    assert exchanges([]) == 0


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-21T08:05:12.123Z",
        "2026-11-21t08:05:12.123z",
        "2026-11-21 09:05:12.123+01:00",
        "2026-11-21T03:05:12.123456789-05:00",
    ],
)
def test_a_time_with_any_offset_is_read(written: str) -> None:
    """In UTC."""
    read = parse(line(created_at=written))
    at = read.messages[0].created_at
    assert at is not None
    assert at.replace(microsecond=123_000) == datetime(2026, 11, 21, 8, 5, 12, 123_000, UTC)
    assert read.problems == ()


@pytest.mark.parametrize(
    "written",
    ["", "yesterday", "2026-11-21T08:05:12", "2026-02-30T08:05:12Z", 0, 1.5, [], {}, True],
)
def test_an_unreadable_time_is_noted_and_the_message_counts(written: Any) -> None:
    """Its time is unknown; so it is where there is none, which is not worth a note."""
    read = parse(line(created_at=written))
    assert read.messages[0].created_at is None
    assert [(p.code, p.severity) for p in read.problems] == [("bad-time", "note")]
    assert parse(line(created_at=None)).problems == ()


# --- content and the optional fields -------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}], "a\n[image_url]"),
        ([{"type": "refusal", "text": None}], "[refusal]"),
    ],
)
def test_content_is_text_or_parts_and_null_is_empty(content: Any, text: str) -> None:
    """The fields keep it as it was written."""
    read = parse(line(content))
    assert read.messages[0].text == text
    assert read.messages[0].fields["content"] == content
    assert read.problems == ()


def test_absent_content_is_empty() -> None:
    """As in an answer that only calls tools."""
    assert parse(b'{"role":"assistant"}').messages[0].text == ""


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("invocation_id", 1),
        ("parent_id", 7),
        ("model", ["m"]),
        ("provider", {}),
        ("usage", []),
        ("tool_calls", "call"),
        ("tool_call_id", 1),
        ("name", False),
        ("status", "broken"),
        ("status", 3),
        ("archived", "yes"),
        ("archived", 1),
    ],
)
def test_an_optional_field_of_the_wrong_type_is_ignored_and_reported(key: str, bad: Any) -> None:
    """The message and its other fields count."""
    read = parse(line("a", id="a") + line("b", **{key: bad, "x": bad}))
    assert texts(read) == ["a", "b"]
    assert key not in read.messages[1].fields
    assert read.messages[1].fields["x"] == bad
    assert [(p.line, p.code, p.severity) for p in read.problems] == [(2, "bad-line", "warning")]


@pytest.mark.parametrize("status", ["cancelled", "error", None])
def test_the_status_of_an_answer_that_was_cut_short_is_kept(status: str | None) -> None:
    """Its partial text too."""
    read = parse(line("par", "assistant", status=status))
    assert (read.messages[0].text, read.messages[0].fields["status"]) == ("par", status)
    assert read.problems == ()


def test_null_is_no_wrong_type() -> None:
    """Other tools write it for what is not there."""
    keys = "invocation_id model provider usage tool_calls tool_call_id name status archived"
    nulls: dict[str, Any] = dict.fromkeys(keys.split())
    assert parse(line("x", **nulls)).problems == ()


def test_unknown_fields_are_kept() -> None:
    """Whatever they hold."""
    fields = {"role": "user", "content": "x", "timestamp": 1, "x": {"y": [1, None, "é"]}}
    assert parse(message_line(fields)).messages[0].fields == fields


# --- tools ---------------------------------------------------------------------------------------


def call(*ids: Any) -> bytes:
    """An answer that calls tools."""
    return line(None, "assistant", tool_calls=[{"id": name, "type": "function"} for name in ids])


def test_a_call_with_its_result_is_right() -> None:
    """Also several in one answer, in any order, and of one id (as some servers give them)."""
    results = line("2", "tool", tool_call_id="b") + line("1", "tool", tool_call_id="a")
    assert parse(call("a", "b") + results).problems == ()
    same = line("1", "tool", tool_call_id="") + line("2", "tool", tool_call_id="")
    assert parse(call("", "") + same).problems == ()


def test_a_call_without_a_result_and_a_result_without_a_call_are_reported() -> None:
    """A result before its call is without it."""
    read = parse(line("r", "tool", tool_call_id="a") + call("a"))
    assert codes(read) == [(1, "tool-pair"), (2, "tool-pair")]
    assert codes(parse(call("a") + call("a") + line("r", "tool", tool_call_id="a"))) == [
        (2, "tool-pair")
    ]


@pytest.mark.parametrize("calls", [[1], [None], ["x"], [{}], [{"id": 5}], [{"id": [[[]]]}]])
def test_calls_of_a_strange_form_do_no_harm(calls: list[Any]) -> None:
    """At most they are reported as calls without a result."""
    read = parse(line("x", "assistant", tool_calls=calls))
    assert texts(read) == ["x"]
    assert {code for _, code in codes(read)} <= {"tool-pair"}


# --- exchanges and the hash of what a compaction covers ------------------------------------------


def test_exchanges_are_answered_user_messages() -> None:
    """Errors, empty answers and a second answer do not count."""
    asked, answer = line("q"), line("a", "assistant")
    for data, wanted in (
        (asked, 0),
        (answer, 0),
        (asked + answer, 1),
        (asked + answer + answer, 1),
        (asked + asked + answer, 1),
        (asked + line(" ", "assistant") + line("r", "tool") + answer, 1),
        (asked + line("x", "assistant", status="error"), 0),
        (asked + line("x", "assistant", status="error") + answer, 1),
        (asked + line("x", "assistant", status="cancelled"), 1),
        ((asked + answer) * 3, 3),
    ):
        assert exchanges(parse(data).messages) == wanted, data


def test_the_covered_hash_is_that_of_docs_format() -> None:
    """SHA-256 over role and content, keys sorted, a newline behind each."""
    messages = parse(line([{"type": "text", "text": "é"}]) + line("b", "assistant")).messages
    written = b'["user",[{"text":"\xc3\xa9","type":"text"}]]\n["assistant","b"]\n'
    assert covered_hash(messages) == hashlib.sha256(written).hexdigest()


def test_the_covered_hash_sees_every_edit_of_role_and_content_only() -> None:
    """Not an id, a time or a space."""
    base = covered_hash(parse(line("a")).messages)
    assert covered_hash(parse(b'{ "content":"a", "id":"x", "role":"user" }').messages) == base
    assert covered_hash(parse(line("b")).messages) != base
    assert covered_hash(parse(line("a", "system")).messages) != base


def test_content_nested_deeper_than_orjson_writes_can_be_hashed() -> None:
    """It reads 1,024 levels and writes 254."""
    deep = orjson.Fragment(b"[" * 600 + b"]" * 600)
    (message,) = parse(line([{"type": "text", "text": "a", "x": deep}])).messages
    assert len(covered_hash([message])) == 64

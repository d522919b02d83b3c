"""What holds for every input, not only for those that someone thought of."""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from vault_sessions.formats.display import fit, safe, safe_json, safe_line, width
from vault_sessions.formats.fulltext import (
    Query,
    cut_snippet,
    grams,
    has_cjk,
    question_query,
    search_query,
)
from vault_sessions.formats.ids import (
    ALPHABET,
    clean_name,
    is_message_id,
    is_session_id,
    name_key,
    new_session_id,
    started_at,
    uuid7,
)
from vault_sessions.formats.memory import read_document, read_passages, section_text
from vault_sessions.formats.meta import changed_meta, parse_meta
from vault_sessions.formats.names import file_kind
from vault_sessions.formats.session import describe
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.formats.transcript import (
    active_branch,
    covered_hash,
    exchanges,
    message_line,
    parse,
)
from vault_sessions.formats.usage import count_usage
from vault_sessions.mirror.schema import TOKENIZER
from vault_sessions.model import ROLES, Meta, Transcript

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
ANY_TEXT = st.text(max_size=200)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OUR_FIELDS = (
    *("role", "content", "id", "created_at", "invocation_id", "parent_id", "model", "provider"),
    *("usage", "tool_calls", "tool_call_id", "name", "status", "archived"),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.floats(0, 253_402_000_000, allow_nan=False)  # to the end of 9999
SINCE_1970 = SECONDS.map(lambda seconds: EPOCH + timedelta(seconds=seconds))
INSTANTS = SINCE_1970 | SECONDS.filter(lambda seconds: seconds < 62_135_000_000).map(
    lambda seconds: EPOCH - timedelta(seconds=seconds)
)


@st.composite
def message_fields(draw: st.DrawFn) -> dict[str, Any]:
    """A message as a program would write it, with any unknown fields."""
    unknown = draw(st.dictionaries(TEXTS.filter(lambda key: key not in OUR_FIELDS), VALUES))
    part = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
    fields = {
        "role": draw(st.sampled_from(ROLES)),
        "content": draw(TEXTS | st.none() | st.lists(part, max_size=3)),
        **unknown,
    }
    if draw(st.booleans()):
        fields["id"] = draw(st.uuids().map(str))
    if draw(st.booleans()):
        fields["created_at"] = format_time(draw(INSTANTS))
    if draw(st.booleans()):
        fields["archived"] = draw(st.booleans())
    return fields


def plain(number: int, text: str = "x") -> bytes:
    """A line with an id of its own."""
    return message_line({"role": "user", "content": text, "id": f"id-{number}"})


def sound(read: Transcript) -> None:
    """What is true of every transcript, whatever its bytes."""
    messages = read.messages
    assert len({message.id for message in messages}) == len(messages)
    assert all(-1 <= message.parent < index for index, message in enumerate(messages))
    assert [message.line for message in messages] == sorted(message.line for message in messages)
    branch = active_branch(messages)
    assert branch[-1:] == list(messages[-1:])
    assert exchanges(branch) <= len(branch)
    assert len(covered_hash(branch)) == 64
    assert list(read.problems) == sorted(read.problems)
    assert read.known_end <= read.size
    describe("20261121-080512-7k3q9d", read, Meta(), 0, "x")


# --- transcripts ---------------------------------------------------------------------------------


@given(message_fields())
def test_what_is_written_is_read_again(fields: dict[str, Any]) -> None:
    """Every field of every JSON message, unknown ones included; one line, one newline."""
    line = message_line(fields)
    assert line.count(b"\n") == 1
    read = parse(line)
    (message,) = read.messages
    assert message.fields == fields
    assert message.role == fields["role"]
    assert {found.code for found in read.problems} <= {"tool-pair"}
    assert message.id == fields.get("id", message.id)
    assert (message.created_at is None) == ("created_at" not in fields)


@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf")
@example(b'{"role":"user"')
def test_any_bytes_are_read(data: bytes) -> None:
    """Nothing raises, and what is read is sound."""
    read = parse(data)
    sound(read)
    assert read.size == len(data)


PIECES = st.sampled_from(
    [
        *(b'{"role":', b'"user"', b'"content":', b'"x"', b"}", b"{", b"[", b"]", b",", b":", b"\n"),
        *(b"\r\n", b" ", b'"id":"a"', b'"id":"a~2"', b'"parent_id":"a"', b'"parent_id":null'),
        *(b'{"role":"user","content":"x"}', b'{"role":"user","content":"x","id":"a"}\n'),
        *(b'{"role":"tool","tool_call_id":"c"}\n', b"\xef\xbb\xbf", b"\xff", b"\0", b"\\", b'"'),
        *(b"<<<<<<< a\n", b"=======\n", b"NaN", b"1e999", b'"\\ud800"', b"\xe2\x80\xa8"),
        b'{"role":"assistant","tool_calls":[{"id":"c"}]}\n',
    ]
)


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_any_pieces_of_transcripts_are_read(data: bytes) -> None:
    """Much likelier to be nearly right than any bytes."""
    sound(parse(data))


ODD = st.sampled_from(
    [
        *(
            None,
            True,
            1,
            1.5,
            "",
            "a",
            "b",
            "a~2",
            "é",
            "👍",
            "x" * 201,
            "error",
            "cancelled",
            "tool",
        ),
        *([], {}, [{"type": "text", "text": "hé"}], [{"type": "image"}], [{"id": "c"}], "c"),
        *("2026-11-21T08:05:12.123Z", "2026-11-21T08:05:12+02:00", "9999-12-31T23:59:59-01:00"),
        *({"prompt_tokens": 3}, {"total_tokens": "x"}, "user", "assistant"),
    ]
)
ODD_LINES = st.dictionaries(st.sampled_from((*OUR_FIELDS, "x")), ODD, max_size=8).map(
    lambda fields: message_line({"role": "user", "content": "x", **fields})
)


@given(st.lists(ODD_LINES | PIECES | st.binary(max_size=9), max_size=20).map(b"".join))
def test_a_lean_reading_says_the_same(data: bytes) -> None:
    """Of ``fields`` it has all that the message does not say itself, and nothing else."""
    whole, lean = parse(data), parse(data, lean=True)
    sound(lean)
    assert lean[1:] == whole[1:]
    assert covered_hash(lean.messages) == covered_hash(whole.messages)
    assert describe("s", lean, Meta(), 0, "x") == describe("s", whole, Meta(), 0, "x")
    for active in (None, {message.id for message in active_branch(whole.messages)}):
        counted = [count_usage(read.messages, active, ("p", "m")) for read in (lean, whole)]
        assert counted[0] == counted[1]
    for mine, yours in zip(lean.messages, whole.messages, strict=True):
        assert (mine.id, mine.role, mine.text) == (yours.id, yours.role, yours.text)
        assert mine[3:6] == yours[3:6]
        said = {"role": yours.role, "id": yours.id, "content": yours.text}
        if yours.created_at is not None:
            said["created_at"] = yours.fields["created_at"]
        left = {key: value for key, value in yours.fields.items() if said.get(key, ...) != value}
        unsaid = {**left, "content": yours.fields.get("content")}
        assert mine.fields in (left, unsaid)


def test_a_long_transcript_is_read_by_pieces() -> None:
    """Nothing happens at the places where it is cut: numbers of lines, ids, problems are those of
    the parts."""
    part = plain(1, "é" * 500) + b"broken\r\n\n" + message_line({"role": "user"})
    data = part * 5000
    assert len(data) > 4 << 20
    read = parse(data)
    sound(read)
    assert [message.line for message in read.messages] == [1, *range(4, 20_001, 4)]
    assert len({message.id for message in read.messages}) == 5001
    lines = {
        code: [p.line for p in read.problems if p.code == code] for code in ("bad-line", "crlf")
    }
    assert lines == {"bad-line": list(range(2, 20_001, 4)), "crlf": [2]}
    assert (read.lines, read.known_end) == (20_000, len(data))
    lean = parse(data, lean=True)
    assert lean[1:] == read[1:]
    assert [message[:6] for message in read.messages] == [
        (*message[:2], message.text, *message[3:6]) for message in lean.messages
    ]


HOSTILE = st.one_of(
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
    st.lists(PIECES, max_size=8).map(lambda pieces: b"".join(pieces).replace(b"\n", b"")),
)


@given(st.lists(HOSTILE | st.none(), max_size=20))
def test_every_good_line_among_bad_ones_is_found_in_order(kinds: list[bytes | None]) -> None:
    """Whatever stands between them."""
    lines = [plain(n) if bad is None else bad + b"\n" for n, bad in enumerate(kinds)]
    read = parse(b"".join(lines))
    sound(read)
    found = [message.line for message in read.messages if message.id.startswith("id-")]
    assert found == [number for number, bad in enumerate(kinds, 1) if bad is None]


@given(st.lists(st.integers(0, 30), unique=True, max_size=12), st.integers(0, 12), st.booleans())
def test_reading_the_end_gives_what_reading_the_whole_gives(
    numbers: list[int], cut: int, bom: bool
) -> None:
    """For plain lines with ids of their own, cut where a line begins."""
    first = (b"\xef\xbb\xbf" if bom and numbers and cut else b"") + b"".join(
        map(plain, numbers[:cut])
    )
    second = b"".join(map(plain, numbers[cut:]))
    whole, start = parse(first + second), parse(first)
    end = parse(second, start.lines + 1)
    known = len(start.messages)
    assert whole.messages[:known] == start.messages
    assert [m._replace(parent=m.parent + known) for m in end.messages] == list(
        whole.messages[known:]
    )
    assert (end.lines, start.known_end + end.known_end) == (whole.lines, whole.known_end)


# --- metadata ------------------------------------------------------------------------------------

SPACES = st.text(" \t\r\n", max_size=3)
RAW_SCALARS = st.sampled_from(
    [
        *("1.10", "1e5", "-0", "0.1000000000000000055", str(2**80), "null", "true", '"é\\u00e9"'),
        *('"\\ud83d\\ude00"', '"a,}{\\"]:"', '""', "[]", "{}", "[ 1 , 2]", '{"name":"inner"}'),
        *('{ "a" : [ { } , null ] }', '"\\/"', '"\u2028"'),
    ]
)
RAW_KEYS = st.sampled_from(
    ['"name"', '"topic"', '"mine"', '"x"', '"\\u006eame"', '"a b"', '""', '"é"', '"version"']
)


@st.composite
def raw_objects(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Members of a JSON object as someone wrote them: raw key and raw value."""
    return draw(st.lists(st.tuples(RAW_KEYS, RAW_SCALARS), max_size=6))


@st.composite
def raw_texts(draw: st.DrawFn, members: list[tuple[str, str]]) -> str:
    """The text of an object with any white space."""

    def space() -> str:
        return draw(SPACES)

    inner = ",".join(f"{space()}{key}{space()}:{space()}{value}{space()}" for key, value in members)
    return f"{space()}{{{inner or space()}}}{space()}"


@settings(max_examples=200)
@given(
    st.data(),
    raw_objects(),
    st.dictionaries(st.sampled_from(["name", "topic", "ending"]), VALUES, max_size=3),
    st.booleans(),
)
def test_changing_our_keys_leaves_all_other_bytes_as_they_are(
    data: st.DataObject, members: list[tuple[str, str]], changes: dict[str, Any], bom: bool
) -> None:
    """White space, order, numbers, escapes, doubled keys: and the result has the new values."""
    text = data.draw(raw_texts(members))
    before = text.encode("utf-8-sig" if bom else "utf-8")
    after = changed_meta(before, changes)
    expected = json.loads(text)
    for key, value in changes.items():
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    assert json.loads(after.decode("utf-8-sig")) == expected
    others = [(k, v) for k, v in members if json.loads(k) not in changes]
    rest = after.decode()
    for key, value in others:  # each stands there still, in its order, as it was written
        found = re.compile(rf"{re.escape(key)}[ \t\r\n]*:[ \t\r\n]*{re.escape(value)}").search(rest)
        assert found, (key, value)
        rest = rest[found.end() :]
    if all(value is None and key not in json.loads(text) for key, value in changes.items()):
        assert after == before


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_a_new_metadata_file_holds_what_was_given(changes: dict[str, Any]) -> None:
    """Nothing for None; an indented object with a newline behind it."""
    written = changed_meta(None, changes)
    assert written.endswith(b"}\n")
    assert json.loads(written) == {k: v for k, v in changes.items() if v is not None}


@given(st.binary(max_size=100) | st.builds(orjson.dumps, VALUES))
def test_any_metadata_is_read(data: bytes) -> None:
    """What can't be used is reported, never raised."""
    meta, problems = parse_meta(data, "stem")
    if not data.lstrip(b"\xef\xbb\xbf \n\t\r").startswith(b"{"):
        assert (meta, [found.code for found in problems]) == (Meta(), ["meta-unreadable"])


META_KEYS = (
    *("version", "id", "name", "topic", "topic_source", "created_at", "ending", "ended_at"),
    *("end_reason", "duration_seconds", "compactions", "context", "source", "metadata", "model"),
)


@given(st.dictionaries(st.sampled_from(META_KEYS), VALUES, max_size=6))
def test_any_value_of_a_known_key_is_read(fields: dict[str, Any]) -> None:
    """The session can be listed whatever stands there."""
    meta, _ = parse_meta(orjson.dumps(fields), "stem")
    assert meta.fields == fields
    describe("stem", parse(b""), meta, 0, "x")


# --- times, ids, names ---------------------------------------------------------------------------


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_an_instant_written_is_read_again_to_the_millisecond(at: datetime, minutes: int) -> None:
    """Always 24 characters, in UTC, and sorted as text they are sorted in time."""
    there = at.astimezone(timezone(timedelta(minutes=minutes)))
    written = format_time(there)
    assert len(written) == 24
    assert written.endswith("Z")
    read = parse_time(written)
    assert read == at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert parse_time(there.isoformat()) == at


@given(ANY_TEXT | VALUES)
def test_any_value_may_be_asked_for_its_time(value: object) -> None:
    """None or an instant in UTC."""
    at = parse_time(value)
    assert at is None or at.utcoffset() == timedelta(0)


@given(SINCE_1970, SINCE_1970, st.integers(0, 2**80 - 1), st.integers(0, 2**80 - 1))
def test_message_ids_are_of_version_7_and_in_time_order(
    one: datetime, other: datetime, first: int, second: int
) -> None:
    """The milliseconds since 1970 stand in front."""
    ids = [UUID(uuid7(one, first)), UUID(uuid7(other, second))]
    for at, made in zip((one, other), ids, strict=True):
        assert (made.version, made.variant) == (7, "specified in RFC 4122")
        assert made.int >> 80 == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
            milliseconds=1
        )
        assert is_message_id(str(made))
    if other - one >= timedelta(milliseconds=1):
        assert str(ids[0]) < str(ids[1])


@given(INSTANTS, st.integers(0, 2**30 - 1), st.text(min_size=1, max_size=5))
def test_session_ids_tell_their_start_and_nothing_behind_them_makes_another(
    at: datetime, random: int, more: str
) -> None:
    """Six characters of the alphabet; different bits, different ids."""
    assume(at.year >= 1000)
    made = new_session_id(at, random)
    assert re.fullmatch(rf"\d{{8}}-\d{{6}}-[{ALPHABET}]{{6}}", made)
    assert is_session_id(made)
    assert started_at(made) == at.replace(microsecond=0)
    assert not is_session_id(made + more)
    assert started_at(made + more) is None
    assert new_session_id(at, random ^ 1) != made


@given(st.text(max_size=90))
def test_a_session_id_is_a_safe_file_name(stem: str) -> None:
    """On every system."""
    assert is_session_id(stem) == (file_kind(stem + ".jsonl") == "transcript")
    if is_session_id(stem):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", stem)


@given(st.text(max_size=120))
def test_names_are_the_same_in_every_form_of_writing(name: str) -> None:
    """Composed or not; what is stored is trimmed, NFC, and stays so."""
    assert name_key(unicodedata.normalize("NFD", name)) == name_key(name)
    assert name_key(unicodedata.normalize("NFC", name)) == name_key(name)
    clean = clean_name(name)
    if clean is not None:
        assert clean_name(clean) == clean == clean.strip()
        assert 0 < len(clean) <= 100


@given(st.text("abcxyzäöüéßñ äÖÜÉ", max_size=20))
def test_case_makes_no_difference_to_a_name(name: str) -> None:
    """Nor does the width of its letters."""
    assert name_key(name.upper()) == name_key(name.lower()) == name_key(name)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
    assert name_key(wide) == name_key(name)


# --- display -------------------------------------------------------------------------------------

NASTY = st.text(
    st.one_of(
        st.sampled_from("\x1b\x9b\x9d\x90\x07\x9c\\[]PX^_0;8m31hJ?\r\b\n\t\x00\x7f\x85"),
        st.sampled_from("\u202e\u2066\u200b\u200d\u2028\u2029\ufeff\ufe0f\U000e0041\U000e0100\xad"),
        st.characters(),
    ),
    max_size=60,
)


def is_harmless(text: str, allowed: str = "") -> bool:
    """No control, bidi, zero-width, tag or variation selector characters."""
    for character in text:
        if character in allowed:
            continue
        code = ord(character)
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            return False
        if unicodedata.bidirectional(character) in (
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"),
        ):
            # noncharacters are of class BN too; a terminal shows a box for them
            if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
                continue
            return False
        if character in "\u200e\u200f\u061c\u034f" or 0xFE00 <= code <= 0xFE0F:
            return False
        if 0xE0000 <= code <= 0xE0FFF:
            return False
    return True


@settings(max_examples=300)
@given(NASTY)
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    """In ``safe`` but newline and tab, in ``safe_line`` not even those; twice is as once."""
    assert is_harmless(safe(text), "\n\t")
    assert is_harmless(safe_line(text))
    assert safe(safe(text)) == safe(text)
    assert safe_line(safe_line(text)) == safe_line(text)


@given(st.text(st.characters(categories=("L", "N", "P", "Sm", "Sc")), max_size=60))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    """Of any script."""
    assume(is_harmless(text) and not set(text) & set("\u115f\u1160\u3164\uffa0"))
    assert safe(text) == text


@settings(max_examples=200)
@given(st.recursive(NASTY.filter(str.isprintable) | TEXTS | SCALARS, st.lists, max_leaves=6))
def test_safe_json_means_the_same_and_is_harmless(value: Any) -> None:
    """Whoever wrote it: orjson or json."""
    document = orjson.dumps(value)
    shown = safe_json(document)
    assert orjson.loads(shown) == value
    assert is_harmless(shown.decode())
    indented = json.dumps(value, ensure_ascii=False, indent=2)
    assert json.loads(safe_json(indented.encode())) == value


@given(TEXTS, st.integers(0, 80))
def test_a_line_is_cut_to_the_columns_there_are(text: str, columns: int) -> None:
    """Never wider; whole where it fits."""
    line = safe_line(text)
    assert width(fit(line, columns)) <= columns
    if width(line) <= columns:
        assert fit(line, columns) == line


# --- full text -----------------------------------------------------------------------------------


@cache
def index() -> sqlite3.Connection:
    """An index as the mirror has it, empty."""
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE VIRTUAL TABLE t USING fts5(content, grams, tokenize='{TOKENIZER}')")
    return database


def found(query: Query, *rows: str) -> list[int]:
    """The places of the rows that a query finds."""
    database = index()
    database.execute("DELETE FROM t")
    for place, row in enumerate(rows):
        values = (place, row, grams(row))
        database.execute("INSERT INTO t(rowid, content, grams) VALUES(?, ?, ?)", values)
    if query.expression is None:
        return []
    sql = "SELECT rowid, snippet(t, 0, '', '', '…', 24) FROM t WHERE t MATCH ? ORDER BY rank"
    return sorted(row[0] for row in database.execute(sql, (query.expression,)))


OPERATORS = st.sampled_from(
    [
        *('"', "*", "-", "--", "^", "(", ")", ":", "+", "AND", "OR", "NOT", "NEAR(", "NEAR/2", "{"),
        *(
            "content:",
            "grams :",
            '""',
            '"*',
            "-*",
            "'",
            ";",
            "\\",
            "%",
            "\0",
            "a*b",
            "**",
            '-"',
            ",",
        ),
        *(
            "日本",
            "の",
            "한국어",
            "Straße",
            "e\u0301",
            "\u2e80",
            "\ufdfa",
            "½",
            "\ud800",
            "👍",
            "_",
        ),
    ]
)
QUERIES = st.one_of(
    ANY_TEXT,
    st.lists(OPERATORS | st.text(max_size=3), max_size=30).map(" ".join),
    st.lists(OPERATORS, max_size=30).map("".join),
)


@settings(max_examples=300)
@given(QUERIES)
@example("NEAR(a b) AND")
@example('"')
@example("-a")
def test_any_input_is_a_query_that_the_index_understands(text: str) -> None:
    """Operators of the index's language are words like any other."""
    found(search_query(text), "some text", "日本語")
    found(question_query(text), "some text", "日本語")
    cut_snippet(text, search_query(text).words)
    cut_snippet("some text", search_query(text).words)


def test_a_thousand_words_are_a_query() -> None:
    """Far beyond the depth at which the index refuses a tree of operators."""
    words = [f"word{number}" for number in range(1_000)]
    text = " ".join(words)
    assert found(search_query(text), text, "word1") == [0]
    assert found(question_query(text), text, "word1", "none") == [0, 1]
    assert found(search_query(f"word1 {' '.join('-' + w for w in words[2:])}"), text, "word1") == [
        1
    ]
    assert found(search_query(f'"{text}"'), text, "word1") == [0]
    for lengthy in ("日本語" * 1_600, "a " * 2_500, '"a b" ' * 800, "-x y " * 1_000, "の " * 2_000):
        found(search_query(lengthy), "some text")
        found(question_query(lengthy), "some text")


CJK = "日本語漢字東京都今日天気ひらがなカタカナー한국어서울々〇𠮷"


@settings(max_examples=200)
@given(
    st.text(CJK, min_size=1, max_size=12),
    st.data(),
    st.sampled_from(["", "x", "Python ", "、", "123"]),
    st.sampled_from(["", "y", " end", "。", "です"]),
)
def test_any_part_of_a_run_without_spaces_finds_the_row(
    run: str, data: st.DataObject, before: str, after: str
) -> None:
    """From one character on, quoted or not, whatever stands beside the run."""
    start = data.draw(st.integers(0, len(run) - 1))
    end = data.draw(st.integers(start + 1, len(run)))
    part = run[start:end]
    row = before + run + after
    assert has_cjk(row)
    for typed in (part, f'"{part}"'):
        assert found(search_query(typed), "other words", row) == [1]
    if found(question_query(part), row) != [0]:
        raise AssertionError(part)


@given(st.text(CJK, min_size=1, max_size=6), st.text(CJK, min_size=2, max_size=4))
def test_what_is_in_no_run_is_not_found(run: str, other: str) -> None:
    """Pairs that stand apart are no phrase."""
    assume(other not in run)
    assert found(search_query(other), run) == []


@given(
    st.text(CJK, max_size=4),
    st.sampled_from(["Python", "café", "naïve", "API2"]),
    st.text(CJK, max_size=4),
)
def test_a_latin_word_inside_of_a_run_is_found(before: str, word: str, after: str) -> None:
    """Accents and case folded, in whatever form the row has them."""
    bare = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    for written in (word, unicodedata.normalize("NFD", word)):
        row = before + written + after
        for typed in (word, bare, word.upper(), bare.lower(), f"{bare[:3]}*"):
            assert found(search_query(typed), row) == [0], (typed, row)


# --- memory --------------------------------------------------------------------------------------


@given(st.binary(max_size=200) | NASTY.map(lambda text: text.encode(errors="replace")))
@example(b"---\na: !!timestamp x\n---\n")
@example(b"---\na: !!int ''\n---\n")
@example(b"---\na: !!bool x\n---\n")
@example(b"---\n[1, 2]: x\n? {}\n---\n")
@example(b"---\na: 2026-13-45\n---\n")
def test_any_markdown_is_read(data: bytes) -> None:
    """Broken or not."""
    for name in ("facts.md", "user.md", "session-2026-11-21-x.md"):
        passages, _ = read_passages(name, data)
        assert all(passage.text.strip() and passage.line >= 1 for passage in passages)
    section_text(read_document(data).body, "Facts")

"""What is wrong in a file is mended: nothing readable is lost or changed, done twice is done once.

A line that can be read keeps its bytes (but for an id that two bear) and its place among the
others; what can't be mended goes out of the file, whose original is kept elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_hostile_lines import KINDS

from vault_sessions.formats import mend
from vault_sessions.formats.merge import merge_changes
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.transcript import BOM, message_line, parse

PROBLEMS = Path(__file__).parent / "problem_vault" / "atlas" / "memory" / "sessions"
ABOVE = message_line({"role": "user", "content": "above", "id": "above"})
BELOW = message_line({"role": "assistant", "content": "below", "id": "below"})
HI = b'{"role":"user","content":"hi"}'

some = settings(max_examples=120, deadline=None)


def mended(data: bytes) -> bytes:
    """The outcome of all fixes."""
    return mend.mend_transcript(data).data


def contents(data: bytes) -> list[str]:
    """What the messages say."""
    return [message.text for message in parse(data).messages]


def between(line: bytes) -> bytes:
    """A line between two good ones."""
    return ABOVE + line + b"\n" + BELOW


def out_of(line: bytes) -> list[str]:
    """What the messages say that come of a bad line."""
    first, *inside, last = contents(mended(between(line)))
    assert (first, last) == ("above", "below")
    return inside


# --- laws ----------------------------------------------------------------------------------------

ids = st.sampled_from(["absent", "m1", "m2", "m3", "m1~2", "bad id", "x" * 200, 'q"\\'])
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": st.sampled_from(["a", "b", "東京", "", None, 'say "{', '{"role":"user"}']),
        "id": ids,
    },
    optional={
        "parent_id": st.sampled_from(["m1", "m3", None, "nobody"]),
        "created_at": st.sampled_from(["2026-11-21T08:05:12.123Z", "yesterday"]),
        "x": st.sampled_from([1, {"role": "user", "content": "inner"}, [{"role": "user"}]]),
    },
).map(lambda fields: message_line({k: v for k, v in fields.items() if v != "absent"}).strip())
torn = st.builds(lambda line, n: line[: max(1, n % len(line))], messages, st.integers(1, 400))
glued = st.lists(st.one_of(messages, torn), min_size=2, max_size=4).flatmap(
    lambda parts: st.sampled_from([b"", b",", b" ", b"\r"]).map(lambda mark: mark.join(parts))
)
pretty = messages.map(lambda line: orjson.dumps(orjson.loads(line), option=orjson.OPT_INDENT_2))
markers = st.sampled_from([b"<<<<<<< ours", b"||||||| base", b"=======", b">>>>>>> theirs"])
junk = st.one_of(
    st.binary(max_size=12).map(lambda some_bytes: some_bytes.replace(b"\n", b"")),
    st.sampled_from([b"[]", b"{}", b"\0\0", BOM, b"NaN", b"[" + HI + b"]", HI + b",", HI[:-1]]),
)
lines = st.one_of(messages, messages, messages, torn, glued, pretty, junk, markers)
files = st.builds(
    lambda start, some_lines, mark, end: start + mark.join(some_lines) + end,
    st.sampled_from([b"", b"", BOM]),
    st.lists(lines, max_size=9),
    st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n"]),
    st.sampled_from([b"\n", b""]),
)


def readable(data: bytes) -> list[bytes]:
    """The lines that are messages, each once, less the bytes of their own ids."""
    rows = data.removeprefix(BOM).split(b"\n")
    read = parse(data)
    kept = []
    for message in read.messages:
        text = rows[message.line - 1].strip()
        place = mend._value_at(text, "id")
        kept.append(text if place is None else text[: place[0]] + text[place[1] :])
    return kept


def is_part(few: list[bytes], many: list[bytes]) -> bool:
    """Do the few stand among the many, in their order?"""
    rest = iter(many)
    return all(one in rest for one in few)


@some
@given(files)
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(HI + b"\r")
def test_mended_twice_is_mended_once(data: bytes) -> None:
    """The second time nothing is done, and nothing is said to be done."""
    once = mended(data)
    assert mend.mend_transcript(once) == mend.Mended(once)


@some
@given(files)
def test_a_mended_file_has_no_problem_that_is_mended(data: bytes) -> None:
    """But for an id that has no room for its number."""
    left = [found for found in parse(mended(data)).problems if mend.is_mendable(found)]
    long = [found for found in left if "x" * 200 in found.message or "h-" in found.message]
    assert left == long


def without_whole_conflicts(data: bytes) -> bool:
    return mend.conflict_sides(data) is None


@some
@given(files.filter(without_whole_conflicts))
def test_what_could_be_read_can_be_read_in_its_order_with_its_bytes(data: bytes) -> None:
    """Nothing readable is lost, moved or changed, but for ids."""
    assert is_part(readable(data), readable(mended(data)))


@some
@given(files.filter(without_whole_conflicts))
def test_ids_are_those_that_the_reader_gave(data: bytes) -> None:
    """Where nothing new becomes readable, each message has the id by which it was known."""
    before, after = parse(data).messages, parse(mended(data)).messages
    if len(before) == len(after):
        assert [message.id for message in before] == [message.id for message in after]


@some
@given(st.lists(messages, max_size=5), st.lists(messages, max_size=4), st.lists(messages))
def test_of_a_conflict_without_a_base_no_line_is_lost(
    before: list[bytes], ours: list[bytes], theirs: list[bytes]
) -> None:
    """Each text of either side is there."""
    parts = [*before, b"<<<<<<< HEAD", *ours, b"=======", *theirs, b">>>>>>> other", b""]
    data = b"\n".join(parts)
    texts = set(readable(data))
    assert texts <= set(readable(mended(data)))
    assert not any(found.code == "conflict-marker" for found in parse(mended(data)).problems)


@some
@given(
    st.lists(messages, max_size=6, unique=True),
    st.lists(messages, max_size=6, unique=True),
    st.integers(0, 6),
)
def test_putting_back_twice_is_putting_back_once(
    present: list[bytes], more: list[bytes], keep: int
) -> None:
    """And what was put back can be read, behind what stood before it."""
    whole = b"".join(line + b"\n" for line in dict.fromkeys([*present, *more]))
    cut = b"".join(whole.splitlines(keepends=True)[:keep])
    rows = whole.split(b"\n")
    every = [(message.id, rows[message.line - 1]) for message in parse(whole).messages]
    known = [message.id for message in parse(cut).messages]
    after, lost = [i for i, _ in every if i in known], [p for p in every if p[0] not in known]
    once = mend.put_back(cut, lost, after)
    assert mend.put_back(once, lost, after) == once
    assert set(cut.split(b"\n")) <= set(once.split(b"\n"))


# --- by example ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in PROBLEMS.glob("*.jsonl")))
def test_the_files_with_problems_are_mended(name: str) -> None:
    """Nothing is left that is mended; what could be read stays."""
    data = (PROBLEMS / name).read_bytes()
    assert not [found for found in parse(mended(data)).problems if mend.is_mendable(found)]
    assert is_part(readable(data), readable(mended(data)))


@pytest.mark.parametrize("kind", [k for k in KINDS if len(k.line) < 1 << 17], ids=lambda k: k.name)
def test_hostile_lines_are_mended_or_go(kind: object) -> None:
    """Their neighbours stay, byte for byte."""
    line = kind.line  # type: ignore[attr-defined]
    for data in (between(line), ABOVE + line):
        once = mended(data)
        assert once.startswith(ABOVE)
        assert not [found for found in parse(once).problems if mend.is_mendable(found)]
        assert mended(once) == once
    assert mended(between(line)).endswith(BELOW)


@pytest.mark.parametrize(
    ("line", "inside"),
    [
        (HI + HI, ["hi", "hi"]),
        (HI + b", " + HI, ["hi", "hi"]),
        (b'{"role":"assistant","conte' + HI, ["hi"]),
        (b'{"ro' + HI + HI, ["hi", "hi"]),
        (HI + b'{"role":"us', ["hi"]),
        (b'{"role":"user","x":[' + HI, []),
        (b"\0\0\0" + HI, ["hi"]),
        (BOM + HI, ["hi"]),
        (HI + b",", ["hi"]),
        (HI[:-1], ["hi"]),
        (HI[:-2], []),
        (b'{"role":"user","content":"hi","n":1', []),
        (b'{"role":"user","content":"hi",}', ["hi"]),
        (b'{"role":"user","content":"a\tb"}', ["a\tb"]),
        (b'{"role":"user","content":"a\0b"}', ["a\0b"]),
        (b'{"role":"user","content":"caf\xe9 \x80"}', ["café €"]),
        ('{"role":"user","content":"caf\u00e9 '.encode() + b'\xe9"}', ["café \ufffd"]),
        (b'{"role":"user","content":"cut \\ud83d"}', ["cut \ufffd"]),
        (b'{"role":"user","content":"\\ud83d\\ude00 \\\\ud83d"}', ["😀 \\ud83d"]),
        (b'{"role":"User ","content":"hi"}', ["hi"]),
        (b'{"role":"user","content":42.10}', ["42.10"]),
        (b'{"role":"user","content":{"type":"text","text":"hi"}}', ["hi"]),
        (b"[" + HI + b", " + HI + b"]", ["hi", "hi"]),
        (b'{"role":"function","content":"hi"}', []),
        (b'{"role":"user","content":NaN}', []),
    ],
)
def test_what_is_plainly_meant_becomes_readable(line: bytes, inside: list[str]) -> None:
    """And nothing else."""
    if contents(between(line))[1:-1] != inside:
        assert out_of(line) == inside


def test_a_pretty_printed_message_keeps_its_tokens() -> None:
    """Numbers, escapes and the order of keys stay as they were typed."""
    spread = b'{\n  "role": "user",\n\n  "content": "caf\\u00e9",\r\n  "n": 1.10\n},'
    assert b'{ "role": "user", "content": "caf\\u00e9", "n": 1.10 }' in mended(between(spread))


def test_a_torn_tail_goes_and_the_next_line_can_be_appended() -> None:
    """The file ends with a newline."""
    assert mended(ABOVE + b'{"role":"assi') == ABOVE
    assert mended(b'{"role":"assi') == b""


def test_a_doubled_id_gets_its_number_and_a_doubled_line_goes() -> None:
    """Only the id's bytes change."""
    one = b'{ "id" : "m\\u0031" , "role":"user","content":"one"}\n'
    two = b'{ "id" : "m\\u0031" , "role":"user","content":"two"}\n'
    assert mended(one + one + two) == one + two.replace(b"m\\u0031", b"m\\u0031~2")


def test_an_id_without_room_for_a_number_stays() -> None:
    """The line could not be found by another one."""
    name = "x" * 200
    data = b"".join(message_line({"role": "user", "content": c, "id": name}) for c in "ab")
    assert mend.mend_transcript(data) == mend.Mended(data)


def test_fields_that_are_ignored_and_times_and_parents_are_the_owners() -> None:
    """They are warnings or notes; no line that can be read is changed for them."""
    data = message_line({"role": "user", "content": "a", "model": 7, "created_at": "soon"})
    data += message_line({"role": "tool", "content": "b", "parent_id": "nobody"})
    assert mended(data) == data


def test_utf_16_becomes_utf_8() -> None:
    """As Windows' Notepad saves it."""
    text = (ABOVE + BELOW).decode().replace("above", "élan")
    assert mended(text.encode("utf-16")) == text.encode()


def test_the_base_of_a_conflict_counts() -> None:
    """What one side deleted is gone, what both added is there once."""
    x = [message_line({"role": "user", "content": c, "id": c}).decode() for c in "abcd"]
    a, b, c, d = x
    hunk = f"{a}<<<<<<< ours\n{b}{c}||||||| base\n{b}=======\n{c}{d}>>>>>>> theirs\n"
    assert sorted(contents(mended(hunk.encode()))) == ["a", "c", "d"]
    without = hunk.replace(f"||||||| base\n{b}", "")
    assert sorted(contents(mended(without.encode()))) == ["a", "b", "c", "d"]


def test_stray_markers_go_and_the_lines_between_stay() -> None:
    """They are no conflict of git's any more."""
    data = b"=======\n" + ABOVE + b"<<<<<<< HEAD\n" + BELOW
    assert mended(data) == ABOVE + BELOW


def test_a_note_is_made_of_all_that_was_done() -> None:
    """In words for a person, with how many lines were taken out."""
    done = mend.mend_transcript(BOM + ABOVE + b"?\n!\n" + HI + HI + b"\n").done
    assert done == (
        "byte order mark removed",
        "objects on one line split",
        "2 unreadable lines taken out",
    )


# --- putting back --------------------------------------------------------------------------------


def kept(*names: str) -> list[tuple[str, bytes]]:
    return [(name, message_line({"role": "user", "content": name, "id": name})) for name in names]


def file_of(*names: str) -> bytes:
    return b"".join(line for _, line in kept(*names))


@pytest.mark.parametrize(
    ("there", "lost", "after", "outcome"),
    [
        ("ab", "cd", "ab", "abcd"),
        ("abx", "cd", "ab", "abcdx"),
        ("ax", "cd", "ab", "acdx"),
        ("x", "cd", "ab", "xcd"),
        ("", "cd", "ab", "cd"),
        ("abd", "cd", "ab", "abcd"),
        ("abcx", "cd", "ab", "abcdx"),
        ("abcd", "cd", "ab", "abcd"),
        ("ab", "cd", "", "abcd"),
    ],
)
def test_lines_are_put_back_in_their_place(there: str, lost: str, after: str, outcome: str) -> None:
    """Behind the last one before them that stands; none twice."""
    assert mend.put_back(file_of(*there), kept(*lost), list(after)) == file_of(*outcome)


def test_lines_are_put_behind_one_without_newline_and_a_broken_one() -> None:
    """Which gets its newline; an id in a line that can't be read shows the place as well."""
    assert mend.put_back(file_of("a").strip(), kept("b"), ["a"]) == file_of("a", "b")
    broken = b'{"role":"user","id":"a","conte\n'
    data = broken + file_of("x")
    assert mend.put_back(data, kept("b"), ["a"]) == broken + file_of("b", "x")


def test_a_line_that_stands_broken_is_not_put_back() -> None:
    """It is there, if not readable."""
    broken = file_of("a") + b'{"id":"b","role":'
    assert mend.put_back(broken, kept("b"), ["a"]) == broken


# --- metadata and memory -------------------------------------------------------------------------


def test_an_id_of_another_session_is_set_right() -> None:
    """Every other byte stays."""
    done = mend.mend_meta(b'{ "id": "b",\n "x": 1.0 }', "a")
    assert done.data == b'{ "id": "a",\n "x": 1.0 }'
    assert mend.mend_meta(done.data, "a") == mend.Mended(done.data)


def test_a_newer_version_is_left_alone() -> None:
    """Whatever its id."""
    data = b'{"version": 2, "id": "b"}'
    assert mend.mend_meta(data, "a") == mend.Mended(data)


def test_a_comma_too_many_is_removed() -> None:
    """The mistake that hands make in JSON."""
    data = b'{"name": "a,}", "context": [1,\n],\n}'
    assert parse_meta(data, "s")[1]
    assert mend.mend_meta(data, "s").data == b'{"name": "a,}", "context": [1\n]\n}'


def test_conflicts_in_metadata_are_merged() -> None:
    """Key by key, by the base where there is one."""
    data = (
        b'{\n<<<<<<< ours\n  "name": "x",\n  "topic": "t"\n||||||| base\n  "name": "x"\n=======\n'
        b'  "name": "y"\n>>>>>>> theirs\n}\n'
    )
    fields = orjson.loads(mend.mend_meta(data, "s").data)
    assert fields == {"name": "y", "topic": "t"}


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"name": ', b"<<<<<<< a\n{\n=======\n[\n>>>>>>> b\n"]
)
def test_metadata_that_says_nothing_is_left_alone(data: bytes) -> None:
    """Nothing can be known of it."""
    assert mend.mend_meta(data, "s") == mend.Mended(data)


def test_conflicts_in_memory_are_merged() -> None:
    """Bullet by bullet; they are found by line."""
    data = b"# Facts\n\n<<<<<<< a\n- one\n=======\n- two\n>>>>>>> b\n"
    assert mend.conflict_lines(data) == [3]
    done = mend.mend_memory("facts.md", data)
    assert b"- one\n" in done.data
    assert b"- two\n" in done.data
    assert b"<<<" not in done.data
    assert mend.mend_memory("facts.md", done.data) == mend.Mended(done.data)


def test_a_heading_underlined_by_equals_signs_is_no_conflict() -> None:
    """Markdown has that."""
    data = b"Facts\n=======\n\n- one\n"
    assert mend.conflict_lines(data) == []
    assert mend.mend_memory("facts.md", data).data == data


def test_conflicts_in_the_log_of_changes_are_merged() -> None:
    """A line each once."""
    one, two = (orjson.dumps({"id": x, "at": "2026-11-21T08:00:00Z"}) + b"\n" for x in "ab")
    data = b"<<<<<<< a\n" + one + two + b"=======\n" + two + b">>>>>>> b\n"
    assert mend.mend_memory("changes.jsonl", data).data == merge_changes(None, one + two, two).data

"""Two sides of a file become one: nothing is lost that neither deleted, no marker is added, and it
does not matter who merges first, or how often.

In the examples a word is a line: ``A`` a user's message with that id, ``a`` an assistant's, ``a'``
the same message edited, ``A/`` a user's message with a ``parent_id``, ``-x`` a line that is no
JSON, ``=x`` an assistant's message without an id; a digit is the second it was written in.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vault_sessions.formats.memory import read_passages
from vault_sessions.formats.merge import (
    NO_BASE,
    Merged,
    merge_changes,
    merge_transcript,
)
from vault_sessions.formats.merge_memory import merge_bullets
from vault_sessions.formats.merge_meta import merge_meta
from vault_sessions.formats.transcript import message_line, parse

Merge = Callable[[bytes | None, bytes, bytes], Merged]

some = settings(max_examples=150, deadline=None)
many = settings(max_examples=20_000, deadline=None)


# --- transcripts, by example ---------------------------------------------------------------------


def line(word: str) -> bytes:
    """The line that a word stands for, without a newline."""
    if word.startswith("-"):
        return word.encode()
    found = re.fullmatch(r"(=?)([A-Za-z]+)(/?)('*)([0-9]?)", word)
    assert found, word
    no_id, name, branch, edits, second = found.groups()
    fields: dict[str, Any] = {"role": "user" if name.isupper() else "assistant"}
    fields |= {"content": name + edits} | ({} if no_id else {"id": name})
    if second:
        fields["created_at"] = f"2026-11-21T08:00:0{second}.000Z"
    if branch:
        fields["parent_id"] = None
    return message_line(fields).strip()


def lines(words: str) -> bytes:
    """The transcript that the words stand for."""
    return b"".join(line(word) + b"\n" for word in words.split())


def words(data: bytes, *known: str) -> str:
    """The words that a transcript's lines stand for, out of those of the known transcripts."""
    names = {line(word): word for text in known for word in text.split()}
    return " ".join(names[text.strip()] for text in data.splitlines())


EXAMPLES = {
    "both append": ("A b", "A b C", "A b D", "A b C D"),
    "both append turns: they stay whole, in the order of time": (
        "A1 b1",
        "A1 b1 C2 d6 E7 f7",
        "A1 b1 G4 h5",
        "A1 b1 C2 d6 G4 h5 E7 f7",
    ),
    "both append the same line": ("A b", "A b C", "A b C", "A b C"),
    "both append the same line, and each another one": ("A", "A C d", "A C e", "A C d e"),
    "one deletes while the other appends": ("A b C d", "A b", "A b C d E", "A b E"),
    "one deletes in the middle while the other appends": ("A b C d", "A d", "A b C d E", "A d E"),
    "both delete the same line": ("A b C", "A C D", "A C E", "A C D E"),
    "both edit one line": ("A b C", "A b' C", "A b'' C", "A b' b'' C"),
    "both edit one line alike": ("A b C", "A b' C D", "A b' C", "A b' C D"),
    "each edits another line": ("A b C d", "A b' C d", "A b C d'", "A b' C d'"),
    "one edits what the other deletes": ("A b C", "A b' C", "A C", "A b' C"),
    "one edits the answer while the other deletes it and goes on": (
        "A b",
        "A b'",
        "A C d",
        "A b' C d",
    ),
    "one edits while the other appends": ("A b", "A b'", "A b C", "A b' C"),
    "both insert at the same place": ("A d", "A B d", "A C d", "A B C d"),
    "one moves a line, the other edits it": ("A B C", "B C A", "A' B C", "B C A'"),
    "both move lines: the smaller order": ("A B C", "B A C", "C A B", "B A C"),
    "both branch": ("A b", "A b C/1 d2", "A b E/3 f4", "A b C/1 d2 E/3 f4"),
    "one branches while the other goes on: the branch is the newer": (
        "A b",
        "A b C/1 d2 E3 f4",
        "A b G5 h6",
        "A b G5 h6 C/1 d2 E3 f4",
    ),
    "cherry-pick, then merge": ("A b", "A b C d E f", "A b E f", "A b C d E f"),
    "rebase: the lines of one side stand behind the other's": (
        "A b",
        "A b C1 d1 E2 f2",
        "A b E2 f2",
        "A b C1 d1 E2 f2",
    ),
    "bad lines are lines": ("A -x b", "A -x b -y", "A -x C -z", "A -x -y C -z"),
    "a bad line that one side mends": ("A -x", "A b", "A -x C", "A b C"),
    "equal lines without an id": ("=a", "=a =a", "=a B", "=a =a B"),
    "equal lines, one of which goes": ("=a B =a", "=a B", "=a B =a C", "=a B C"),
    "a line is copied here and deleted there": ("A b", "A b b", "A", "A b b"),
    "an id twice already": ("A b b' C", "A b b' C D", "A b' C", "A b' C D"),
    "all is deleted while the other appends": ("A b", "", "A b C", "C"),
    "all is deleted on both sides": ("A b", "", "", ""),
    "nothing in common": ("", "A b", "C d", "A b C d"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_merge(name: str) -> None:
    """Whoever merges, and however often."""
    base, ours, theirs, expected = EXAMPLES[name]
    merge = partial(merge_transcript, lines(base))
    merged = merge(lines(ours), lines(theirs)).data
    assert words(merged, ours, theirs) == expected
    assert merge(lines(theirs), lines(ours)).data == merged
    assert merge(merged, lines(ours)).data == merge(merged, lines(theirs)).data == merged


def test_both_forms_of_a_message_are_kept_and_told() -> None:
    """The reader then reports a double id."""
    merged = merge_transcript(lines("A b C"), lines("A b' C"), lines("A b'' C"))
    assert merged.notes == ("both sides changed the message b: both forms were kept",)
    assert [found.code for found in parse(merged.data).problems] == ["duplicate-id"]
    again = merge_transcript(lines("A b C"), merged.data, lines("A b'' C"))
    assert again == (merged.data, ())


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n\n \n", b" \t\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n"])
def test_the_layout_is_of_no_account(start: bytes, end: bytes) -> None:
    """Line ends, a byte order mark, blank lines, a final newline: LF and no mark come out."""
    base, ours, theirs = lines("A b"), lines("A b C"), lines("A b D")
    odd = start + theirs.replace(b"\n", b"\r\n").removesuffix(b"\r\n") + end
    expected = (lines("A b C D"), ())
    assert merge_transcript(base, ours, odd) == expected
    assert merge_transcript(odd, ours, theirs) == (ours, ())
    assert merge_transcript(base, ours.removesuffix(b"\n"), odd) == expected
    crlf = base.replace(b"\n", b"\r\n")  # git's autocrlf, on one side or as the base
    assert merge_transcript(crlf, ours, theirs) == expected
    assert merge_transcript(base, crlf, theirs) == (theirs, ())


def test_where_there_is_nothing_to_merge_no_byte_changes() -> None:
    """However the file is laid out."""
    odd = b"\xef\xbb\xbf\n" + lines("A b").replace(b"\n", b"\r\n") + b'{"role":"us'
    for base in (b"", lines("C"), None, odd):
        assert merge_transcript(base, odd, odd) == (odd, ())
    odd += b" \n\n"
    for base in (b"", lines("C"), lines("A")):
        assert merge_transcript(base, base, odd) == merge_transcript(base, odd, base) == (odd, ())


def test_without_a_base_all_lines_stay_and_that_is_said() -> None:
    """A deletion can't be told from an addition."""
    merged = merge_transcript(None, lines("A b C d"), lines("A d E"))
    assert merged == (lines("A b C d E"), (NO_BASE,))
    assert merge_transcript(None, lines("A d E"), lines("A b C d")) == merged
    assert merge_transcript(None, merged.data, lines("A d E")) == merged


def test_without_a_base_both_forms_of_a_message_stay_together() -> None:
    """Which one is the older is not known."""
    merged = merge_transcript(None, lines("A b C d"), lines("A b' C"))
    assert merged.data == lines("A b b' C d")
    assert merged.notes[1:] == ("both sides changed the message b: both forms were kept",)


def test_without_a_base_two_orders_become_one() -> None:
    """The smaller counts as the one that both come from, so the other has moved it."""
    assert merge_transcript(None, lines("A B"), lines("B A C")).data == lines("B A C")
    assert merge_transcript(None, lines("B A"), lines("A B C")).data == lines("B C A")


@pytest.mark.parametrize("base", [lines("A"), None])
def test_a_line_cut_off_is_the_whole_one_of_the_other_side(base: bytes | None) -> None:
    """A torn write, or half of a file on its way."""
    torn = lines("A b")[:-8]
    assert merge_transcript(base, torn, lines("A b C")).data == lines("A b C")
    assert merge_transcript(base, lines("A b C"), torn).data == lines("A b C")
    both = merge_transcript(base, torn, lines("A b")[:-4]).data
    assert both == lines("A b")[:-4] + b"\n", "the longer one, of two"
    other = merge_transcript(base, torn, lines("A C")).data
    assert other == lines("A") + torn.split(b"\n")[1] + b"\n" + lines("C")
    ended = merge_transcript(base, torn + b"\n", lines("A b C")).data
    assert torn + b"\n" in ended, "with a newline it is a line"


def test_a_line_cut_off_is_not_one_that_its_own_side_has() -> None:
    """Then it is the beginning of something else."""
    torn = lines("A b") + line("b")[:20]
    merged = merge_transcript(lines("A"), torn, lines("A b C")).data
    assert merged == lines("A b") + line("b")[:20] + b"\n" + lines("C")


def test_lines_of_any_kind_are_merged() -> None:
    """Not UTF-8, NUL, U+2028, huge, deep, a conflict marker: each stays where it is."""
    odd = [
        *(b"\xff\xfe", b"\0\0", b'{"role":"user","content":"a\xe2\x80\xa8b"}', b"[" * 2000, b"5"),
        *(b"<<<<<<< ours", b"x" * 100_000, b'{"id":"a"}', b'{"id":5,"role":[]}', b"null"),
    ]
    text = b"".join(found + b"\n" for found in odd)
    merged = merge_transcript(text, text + lines("A"), lines("B") + text)
    assert merged == (lines("B") + text + lines("A"), ())


# --- transcripts, for every edit -----------------------------------------------------------------

SECONDS = st.sampled_from([None, None, 0, 1, 2, 3])
MESSAGES = st.builds(
    lambda name, content, role, second, branch: orjson.dumps(
        {"role": role, "content": content, "id": f"m{name}"}
        | ({} if second is None else {"created_at": f"2026-01-01T00:00:0{second}Z"})
        | ({"parent_id": None} if branch == 0 else {})
    ),
    *(st.integers(0, 9), st.integers(0, 2), st.sampled_from(["user", "assistant"]), SECONDS),
    st.integers(0, 4),
)
LINES = st.one_of(
    MESSAGES,
    MESSAGES,
    st.sampled_from(
        [
            *(
                b"bad",
                b"worse",
                b"{",
                b"<<<<<<< ours",
                b"\xff",
                b'{"role":"user"}',
                b"\xe2\x80\xa8",
            ),
            b'{"role":"assistant","content":"ok"}',
        ]
    ),
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "delete", "edit", "insert", "move", "copy"]),
        st.integers(0, 99),
        st.integers(0, 99),
        LINES,
    ),
    max_size=5,
)
Edits = list[tuple[str, int, int, bytes]]


def edited(before: list[bytes], edits: Edits) -> list[bytes]:
    """What someone does to a file."""
    after = list(before)
    for kind, place, other, new in edits:
        at, to = place % (len(after) + 1), other % (len(after) + 1)
        if kind == "append":
            after.append(new)
        elif kind == "insert":
            after.insert(at, new)
        elif at == len(after):
            continue
        elif kind == "delete":
            del after[at]
        elif kind == "move":
            after.insert(to, after.pop(at))
        elif kind == "copy":
            after.insert(to, after[at])
        elif after[at].startswith(b'{"role"'):
            after[at] = orjson.dumps({**orjson.loads(after[at]), "content": other % 4})
        else:
            after[at] = new
    return after


def joined(texts: list[bytes]) -> bytes:
    return b"".join(text + b"\n" for text in texts)


@st.composite
def three(draw: st.DrawFn, sides: int = 2) -> tuple[bytes, ...]:
    """A file and what became of it on some sides; sometimes one side goes on from another."""
    base = draw(st.lists(LINES, max_size=6))
    versions = [base]
    for _ in range(sides):
        start = versions[-1] if draw(st.integers(0, 4)) == 0 else base
        versions.append(edited(start, draw(EDITS)))
    return tuple(map(joined, versions))


def laws(merge: Merge, base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """What holds for every merge with a base."""
    merged = merge(base, ours, theirs).data
    assert merge(base, theirs, ours).data == merged, "symmetric"
    assert merge(base, ours, ours).data == ours, "both alike"
    assert merge(base, base, ours).data == merge(base, ours, base).data == ours, "one only"
    for side in (ours, theirs):
        assert merge(base, merged, side).data == merged, "again"
        assert merge(base, side, merged).data == merged, "again, the other way"
    return merged


def loses_nothing(base: bytes, ours: bytes, theirs: bytes, merged: bytes) -> None:
    """Lines are counted: what only was added, or taken from, is there as often as it should."""
    had, one, other, now = (
        Counter(data.split(b"\n")[:-1]) for data in (base, ours, theirs, merged)
    )
    for text in had | one | other | now:
        most, least = max(one[text], other[text]), min(one[text], other[text])
        assert now[text] == (most if most > had[text] else least), text


def transcript_laws(versions: tuple[bytes, ...]) -> None:
    base, ours, theirs = versions
    merged = laws(merge_transcript, base, ours, theirs)
    loses_nothing(base, ours, theirs, merged)


@some
@given(three())
def test_laws_of_transcripts(versions: tuple[bytes, ...]) -> None:
    """For appends, deletions, edits, insertions, moves, copies, branches and bad lines."""
    transcript_laws(versions)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@many
@given(three())
def test_laws_of_transcripts_slow(versions: tuple[bytes, ...]) -> None:
    """The same, many times."""
    transcript_laws(versions)


COPIES = st.lists(st.sampled_from([b'{"role":"user"}', b'{"role":"tool"}', b"a", b"b"]), max_size=8)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@many
@given(COPIES, COPIES, COPIES)
def test_laws_of_files_full_of_equal_lines_slow(
    base: list[bytes], ours: list[bytes], theirs: list[bytes]
) -> None:
    """That have nothing to do with one another."""
    transcript_laws((joined(base), joined(ours), joined(theirs)))


def content(data: bytes) -> list[bytes]:
    return sorted(data.split(b"\n"))


def associative(versions: tuple[bytes, ...]) -> None:
    base, *sides = versions
    merge = partial(merge_transcript, base)
    left = merge(merge(sides[0], sides[1]).data, sides[2]).data
    right = merge(sides[0], merge(sides[1], sides[2]).data).data
    assert content(left) == content(right)


@some
@given(three(3))
def test_three_machines_end_with_the_same_lines(versions: tuple[bytes, ...]) -> None:
    """Whichever two merge first."""
    associative(versions)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@many
@given(three(3))
def test_three_machines_end_with_the_same_lines_slow(versions: tuple[bytes, ...]) -> None:
    """The same, many times."""
    associative(versions)


@st.composite
def appends(draw: st.DrawFn, sides: int) -> tuple[bytes, ...]:
    """A file, and what appending and deleting made of it: each message has an id of its own, and
    some are appended by several."""
    messages = draw(st.lists(MESSAGES, max_size=14))
    messages = [orjson.dumps({**orjson.loads(m), "id": f"m{n}"}) for n, m in enumerate(messages)]
    cut = draw(st.integers(0, len(messages)))
    base, new = messages[:cut], messages[cut:]
    versions = [base]
    for _ in range(sides):
        left = [text for text in base if draw(st.integers(0, 3))]
        added = draw(st.permutations(new)) if draw(st.booleans()) else new
        versions.append(left + [text for text in added if draw(st.booleans())])
    return tuple(map(joined, versions))


def same_order(versions: tuple[bytes, ...]) -> None:
    base, *sides = versions
    merge = partial(merge_transcript, base)
    left = merge(merge(sides[0], sides[1]).data, sides[2]).data
    assert merge(sides[0], merge(sides[1], sides[2]).data).data == left


@some
@given(appends(3))
def test_three_machines_that_append_and_delete_end_with_the_same_file(
    versions: tuple[bytes, ...],
) -> None:
    """Whichever two merge first."""
    same_order(versions)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@many
@given(appends(3))
def test_three_machines_that_append_and_delete_end_with_the_same_file_slow(
    versions: tuple[bytes, ...],
) -> None:
    """The same, many times."""
    same_order(versions)


@some
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 3)), max_size=12))
def test_turns_stay_whole(turns: list[tuple[bool, int, int]]) -> None:
    """Each user message and its answers are appended by one side, at whatever time."""
    sides: tuple[list[str], list[str]] = ([], [])
    for number, (side, second, answers) in enumerate(turns):
        name = "abcdefghijkl"[number]
        sides[side].append(f"{name.upper()}{second} ")
        sides[side][-1] += " ".join(f"{name * (n + 2)}{second}" for n in range(answers))
    base = lines("X y")
    merged = merge_transcript(base, *(base + lines(" ".join(side)) for side in sides)).data
    for turn in (*sides[0], *sides[1]):
        assert lines(turn) in merged


@some
@given(three(), st.integers(1, 60), st.booleans())
def test_a_cut_off_end_follows_the_laws_too(
    versions: tuple[bytes, ...], cut: int, both: bool
) -> None:
    """Nothing is lost but a beginning of what is there whole."""
    base, ours, theirs = versions
    ours = ours[:-cut]
    theirs = theirs[: -cut // 2] if both else theirs
    merged = merge_transcript(base, ours, theirs).data
    assert merge_transcript(base, theirs, ours).data == merged
    for side in (ours, theirs):
        assert merge_transcript(base, merged, side).data.split() == merged.split()
    for side, other in ((ours, theirs), (theirs, ours)):
        torn = side.rpartition(b"\n")[2].strip()
        kept = [text.strip() for text in merged.split(b"\n")]
        if torn and torn not in base.split(b"\n"):
            assert any(text.startswith(torn) for text in kept), (torn, other)


def layout(data: bytes, crlf: bool, bom: bool, end: bytes) -> bytes:
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    return (b"\xef\xbb\xbf" if bom else b"") + data + end


@some
@given(
    three(),
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.sampled_from([b"", b"\n", b" \n\r\n"])),
        min_size=3,
        max_size=3,
    ),
)
def test_the_layout_changes_no_merge(
    versions: tuple[bytes, ...], layouts: list[tuple[bool, bool, bytes]]
) -> None:
    """CRLF, a byte order mark and blank lines, on any side."""
    base, ours, theirs = (layout(v, *how) for v, how in zip(versions, layouts, strict=True))
    merged = merge_transcript(base, ours, theirs).data
    expected = merge_transcript(*versions).data
    assert plain(merged) == plain(expected)


def plain(data: bytes) -> list[bytes]:
    """The texts of a file's lines."""
    texts = (text.strip() for text in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    return [text for text in texts if text]


@some
@given(three())
def test_without_a_base_no_line_is_lost(versions: tuple[bytes, ...]) -> None:
    """As often as on the side that has it more often; symmetric."""
    _, ours, theirs = versions
    merged = merge_transcript(None, ours, theirs)
    assert merge_transcript(None, theirs, ours) == merged
    one, other, now = (Counter(d.split(b"\n")[:-1]) for d in (ours, theirs, merged.data))
    assert now == one | other
    assert (NO_BASE in merged.notes) == (one != other)
    again = Counter(merge_transcript(None, merged.data, ours).data.split(b"\n")[:-1])
    assert again == now


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 2000])
def test_ten_megabytes_are_merged_in_under_a_second(size: int) -> None:
    """Each side deleted, edited and appended; of the processor's time, whoever else uses it."""
    base = [
        orjson.dumps({"role": ("user", "assistant")[n % 2], "content": "x" * size, "id": f"m{n}"})
        for n in range(10_000_000 // (size + 50))
    ]
    sides = []
    for name, place in (("a", 11), ("b", 22)):
        new = [line(f"A{n % 10}").replace(b'"A"', f'"{name}{n}"'.encode()) for n in range(200)]
        side = [*base[:place], *base[place + 1 :], *new]
        side[place * 2] = side[place * 2].replace(b"xx", b"yy", 1)
        sides.append(joined(side))
    start = time.process_time()
    merged = merge_transcript(joined(base), *sides).data
    assert time.process_time() - start < 1
    assert merged.count(b"\n") == len(base) - 2 + 400


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_every_message_of_a_long_transcript_edited_on_both_sides() -> None:
    """Takes as long as any other merge, not its square."""
    base = [
        message_line({"role": "user", "content": "x" * 99, "id": f"m{n}"}) for n in range(30000)
    ]
    ours, theirs = (b"".join(base).replace(b"xx", new) for new in (b"aa", b"bb"))
    for known in (b"".join(base), None):
        merged = merge_transcript(known, ours, theirs)
        assert merged.data.count(b"\n") == 60_000
        assert len(merged.notes) == 30_000 + (known is None)


# --- changes.jsonl -------------------------------------------------------------------------------


def change(number: int, at: int, new: str = "x") -> bytes:
    fields = {"id": f"c{number}", "at": f"2026-01-01T00:00:{at:02d}.000Z", "file": "facts.md"}
    return message_line({**fields, "new": new})


def test_changes_are_united_in_time() -> None:
    """Each once; what one side removed (a secret) stays removed."""
    base = change(1, 1) + change(2, 2)
    ours = base + change(3, 5) + change(5, 7)
    theirs = change(1, 1) + change(4, 3) + change(3, 5)
    merged = merge_changes(base, ours, theirs)
    assert merged.data == change(1, 1) + change(4, 3) + change(3, 5) + change(5, 7)
    assert merge_changes(base, theirs, ours) == merged
    assert merge_changes(None, change(1, 1), change(2, 0)).data == change(2, 0) + change(1, 1)


# --- metadata ------------------------------------------------------------------------------------


def meta(**fields: Any) -> bytes:
    return (json.dumps(fields, ensure_ascii=False, indent=2) + "\n").encode()


def merged_meta(
    base: dict[str, Any] | None, ours: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, Any]:
    """Merged both ways round."""
    was = None if base is None else meta(**base)
    merged = merge_meta(was, meta(**ours), meta(**theirs))
    assert merge_meta(was, meta(**theirs), meta(**ours)) == merged
    found: dict[str, Any] = json.loads(merged.data)
    assert merged.data == meta(**found), "laid out as the program does"
    return found


def test_each_key_is_of_the_side_that_changed_it() -> None:
    """Set, changed, removed; unknown ones too; in their order."""
    base = {"version": 1, "id": "a", "model": "m", "skill": "s", "mine": [1]}
    ours = {"version": 1, "id": "a", "name": "n", "model": "m2", "skill": "s", "mine": [1]}
    theirs = {"version": 1, "id": "a", "model": "m", "mine": [1, 2], "new": None}
    assert list(merged_meta(base, ours, theirs).items()) == [
        *(("version", 1), ("id", "a"), ("name", "n"), ("model", "m2"), ("mine", [1, 2])),
        ("new", None),
    ]


@pytest.mark.parametrize(
    ("one", "other", "kept"),
    [
        ("a", "b", "b"),
        (None, "b", "b"),
        (1, 10, 10),
        ([1], [2], [2]),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": 1}, "text", {"a": 1}),
    ],
)
def test_of_two_changed_values_the_greater_objects_key_by_key(
    one: object, other: object, kept: object
) -> None:
    """By bytes; null is less than any."""
    for base in (None, {}, {"metadata": "old"}):
        found = merged_meta(base, {"metadata": one}, {"metadata": other})
        assert found == {"metadata": kept}


def test_an_object_is_merged_key_by_key_with_its_base() -> None:
    """What one side removed is gone."""
    found = merged_meta(
        {"metadata": {"a": 1, "b": 1, "c": {"d": 1}}},
        {"metadata": {"b": 2, "c": {"d": 1, "e": 2}}},
        {"metadata": {"a": 1, "b": 1, "c": {}}},
    )
    assert found == {"metadata": {"b": 2, "c": {"e": 2}}}


TOPICS = ["user", "generated", "import", "fallback"]


@pytest.mark.parametrize(("stronger", "weaker"), list(pairwise(TOPICS)))
def test_the_owners_topic_is_over_a_generated_one_over_a_fallback(
    stronger: str, weaker: str
) -> None:
    """Whatever they say; topic and source go together."""
    best = {"topic": "a", "topic_source": stronger}
    for base in (None, {}, {"topic": "z", "topic_source": "fallback"}):
        assert merged_meta(base, best, {"topic": "b", "topic_source": weaker}) == best
        assert merged_meta(base, best, {"topic": "b"}) == best
    assert merged_meta({"topic": "b", "topic_source": weaker}, best, {}) == best
    later = {"topic": "b", "topic_source": stronger}
    assert merged_meta({}, best, later) == later
    assert merged_meta(best, later, best) == later, "one side changed it"
    cleared: dict[str, Any] = {"topic": None, "topic_source": stronger}
    other = {"topic": "b", "topic_source": weaker}
    assert merged_meta({"topic": "c", "topic_source": weaker}, cleared, {**other}) == other


def test_compactions_and_context_are_united() -> None:
    """By id, by type and key; what one side took out is gone; the later compaction stands last."""

    def made(name: str, hour: int) -> dict[str, Any]:
        return {"id": name, "summary": name, "compacted_at": f"2026-01-01T{hour:02d}:00:00Z"}

    def item(key: str, value: str) -> dict[str, str]:
        return {"type": "component", "key": key, "value": value}

    found = merged_meta(
        {"compactions": [made("a", 1)], "context": [item("x", "1"), item("y", "1")]},
        {"compactions": [made("a", 1), made("c", 3)], "context": [item("x", "2"), item("z", "1")]},
        {
            "compactions": [made("a", 1), made("b", 2), made("d", 4)],
            "context": [item("x", "3"), item("y", "1"), item("z", "1")],
        },
    )
    assert [record["id"] for record in found["compactions"]] == ["a", "b", "c", "d"]
    assert found["context"] == [item("x", "3"), item("z", "1")]
    assert merged_meta(None, {"context": [item("x", "1")]}, {"context": [item("x", "2")]}) == {
        "context": [item("x", "2")]
    }


def ended(hour: int, reason: str) -> dict[str, Any]:
    at = f"2026-01-01T{hour:02d}:00:00.000Z"
    return {"ended_at": at, "end_reason": reason, "duration_seconds": hour}


def test_the_ending_is_taken_whole_the_later_one() -> None:
    """Nothing of the other; an end is over a beginning of one."""
    begun = {"ending": {"reason": "new", "at": "2026-01-01T23:00:00.000Z"}}
    assert merged_meta({}, ended(1, "window"), ended(2, "daily")) == ended(2, "daily")
    assert merged_meta({}, begun, ended(1, "idle")) == ended(1, "idle")
    assert merged_meta(ended(1, "idle"), {}, ended(1, "idle")) == {}, "gone on with"
    assert merged_meta(ended(1, "idle"), {}, ended(3, "new")) == ended(3, "new")


def test_an_end_before_the_last_activity_is_none() -> None:
    """One machine ended it, the other went on with it."""
    base = meta(id="a")
    ours, theirs = meta(id="a", **ended(2, "idle")), meta(id="a", name="n")
    at = datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert json.loads(merge_meta(base, ours, theirs, at).data) == {
        "id": "a",
        "name": "n",
        **ended(2, "idle"),
    }
    later = at.replace(microsecond=1000)
    assert json.loads(merge_meta(base, ours, theirs, later).data) == {"id": "a", "name": "n"}
    assert merge_meta(ours, ours, ours, later).data == base


def test_values_are_moved_as_they_are_written() -> None:
    """Numbers, escapes, layout; a side that says it all keeps its bytes."""
    base = b'{"a": 1.10, "b": 100000000000000000000001, "c": "\\u00e9"}'
    ours = b'{"a": 1.10, "b": 100000000000000000000001, "c": "\\u00e9", "d": { "e":1 }}'
    theirs = b'{"a": 1.100, "b": 100000000000000000000001, "c": "\\u00e9"}'
    merged = merge_meta(base, ours, theirs).data
    assert merged == (
        b'{\n  "a": 1.100,\n  "b": 100000000000000000000001,\n  "c": "\\u00e9",\n'
        b'  "d": { "e":1 }\n}\n'
    )
    assert merge_meta(base, ours, base).data == ours


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"a": 1', b"\xff", b'{"a":' * 900])
def test_metadata_that_cannot_be_read_gives_way(broken: bytes) -> None:
    """Everything in it but the names is derived."""
    good = meta(name="n")
    for base in (None, good, broken):
        assert merge_meta(base, broken, good) == merge_meta(base, good, broken)
        assert merge_meta(base, broken, good).data == good
        assert merge_meta(base, broken, good).notes
    assert merge_meta(good, broken, b"{ ").notes == merge_meta(None, b"{ ", broken).notes
    assert merge_meta(broken, good, meta(name="o")).data == meta(name="o")


@pytest.mark.parametrize("deep", [300, 900, 5000])
def test_metadata_nested_too_deep_is_merged_or_cannot_be_read(deep: int) -> None:
    """No error either way."""
    odd = b'{"a":' + b"[" * deep + b"]" * deep + b"}"
    assert merge_meta(meta(a=1), odd, meta(a=1, b=2)).data in (
        odd[:-1] + b',\n  "b": 2\n}\n',
        b'{\n  "a": ' + odd[5:-1] + b',\n  "b": 2\n}\n',
        meta(a=1, b=2),
    )


def test_metadata_of_a_newer_version_is_not_rewritten() -> None:
    """Its side is kept whole."""
    newer = meta(version=2, name="a", other=1)
    merged = merge_meta(meta(), newer, meta(version=1, name="b"))
    assert merged.data == newer
    assert "version 2 is newer" in merged.notes[0]
    changed = meta(version=2, name="0")
    assert merge_meta(newer, newer, changed).data == changed


NAMES = st.sampled_from(
    ["name", "topic", "topic_source", "ended_at", "end_reason", "ending", "metadata", "mine", "x"]
)
SMALL = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["a", "é", "user", "fallback"])
)
TIMES = st.sampled_from(["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "soon"])
RECORDS = st.lists(
    st.one_of(
        SMALL,
        st.builds(lambda n, t: {"id": n, "compacted_at": t}, st.sampled_from("abc"), TIMES),
        st.builds(
            lambda k, v: {"type": "setting", "key": k, "value": v}, st.sampled_from("ab"), SMALL
        ),
    ),
    max_size=4,
)
METAS = st.dictionaries(
    NAMES, SMALL | TIMES | st.dictionaries(NAMES, SMALL | st.dictionaries(NAMES, SMALL)), max_size=5
).flatmap(
    lambda fields: st.builds(
        lambda more: {**fields, **more},
        st.dictionaries(st.sampled_from(["compactions", "context"]), RECORDS),
    )
)


def meta_laws(versions: tuple[dict[str, Any], ...]) -> None:
    base, ours, theirs, others = (meta(**version) for version in versions)
    laws(merge_meta, base, ours, theirs)
    merge = partial(merge_meta, base)
    left = json.loads(merge(merge(ours, theirs).data, others).data)
    assert json.loads(merge(ours, merge(theirs, others).data).data).keys() == left.keys()


@some
@given(st.tuples(METAS, METAS, METAS, METAS))
def test_laws_of_metadata(versions: tuple[dict[str, Any], ...]) -> None:
    """For any change of any key; lists of records too."""
    meta_laws(versions)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@many
@given(st.tuples(METAS, METAS, METAS, METAS))
def test_laws_of_metadata_slow(versions: tuple[dict[str, Any], ...]) -> None:
    """The same, many times."""
    meta_laws(versions)


# --- memory --------------------------------------------------------------------------------------

FACTS = """\
# What I know about Maya

## Facts

- Lives in Austin <!-- 2026-07-12 a#m1 -->
- Drives a RAV4
- Allergic to hazelnuts <!-- 2026-07-12 a#m2 -->

## Goals

- Run a half marathon

## Projects
"""


def facts(*changes: tuple[str, str]) -> bytes:
    """The facts with these parts replaced."""
    text = FACTS
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text.encode()


def merged_facts(ours: bytes, theirs: bytes, base: bytes | None = FACTS.encode()) -> str:
    """Merged both ways round, and again."""
    merged = merge_bullets(base, ours, theirs)
    assert merge_bullets(base, theirs, ours) == merged
    if base is not None:
        for side in (ours, theirs):
            assert merge_bullets(base, merged.data, side).data == merged.data
    return merged.data.decode()


AUSTIN = "- Lives in Austin <!-- 2026-07-12 a#m1 -->"
DENVER = "- Lives in Denver <!-- 2026-11-20 b#m7 -->"
BOISE = "- Lives in Boise, Idaho <!-- 2026-11-21 c#m9 -->"


def test_each_side_changes_another_bullet() -> None:
    """One replaced, one removed, some added, in different sections."""
    ours = facts((AUSTIN, DENVER), ("## Goals\n", "## Goals\n\n- Learn to bake"))
    theirs = facts(("- Drives a RAV4\n", ""), ("## Projects\n", "## Projects\n\n- Atlas\n"))
    assert merged_facts(ours, theirs) == FACTS.replace(AUSTIN, DENVER).replace(
        "- Drives a RAV4\n", ""
    ).replace("## Goals\n", "## Goals\n\n- Learn to bake").replace(
        "## Projects\n", "## Projects\n\n- Atlas\n"
    )


def test_a_bullet_that_both_changed_stays_in_both_forms() -> None:
    """Where it stood; the second is marked, and told of; the mark is no part of the text."""
    ours, theirs = facts((AUSTIN, DENVER)), facts((AUSTIN, BOISE))
    assert merged_facts(ours, theirs) == FACTS.replace(
        AUSTIN, f"{DENVER}\n{BOISE} <!-- conflict -->"
    )
    merged = merge_bullets(FACTS.encode(), ours, theirs)
    assert merged.notes == ("changed on both sides: - Lives in Boise, Idaho",)
    passages, _ = read_passages("facts.md", merged.data)
    assert [passage.text for passage in passages[:2]] == [
        "Lives in Denver",
        "Lives in Boise, Idaho",
    ]
    assert passages[1].session_id == "c"


def test_a_mark_that_a_person_removed_stays_away() -> None:
    """With the form that they did not want, or without."""
    both = facts((AUSTIN, f"{DENVER}\n{BOISE} <!-- conflict -->"))
    more = facts(
        (AUSTIN, f"{DENVER}\n{BOISE} <!-- conflict -->"), ("## Goals\n", "## Goals\n\n- Bake")
    )
    for decided in (f"{DENVER}\n{BOISE}", BOISE, DENVER):
        chosen = facts((AUSTIN, decided))
        assert merged_facts(chosen, more, both) == chosen.decode().replace(
            "## Goals\n", "## Goals\n\n- Bake"
        )


def test_a_bullet_changed_here_and_removed_there_stays_as_changed() -> None:
    """In its place."""
    ours, theirs = facts((AUSTIN, DENVER)), facts((AUSTIN + "\n", ""))
    assert merged_facts(ours, theirs) == FACTS.replace(AUSTIN, DENVER)


def test_bullets_added_on_both_sides_stand_in_the_order_of_their_days() -> None:
    """Not as two lists."""
    empty = "## Projects\n"
    ours = facts((empty, "## Projects\n\n- b <!-- 2026-11-20 a#1 -->\n"))
    theirs = facts((empty, "## Projects\n\n- c <!-- 2026-11-19 b#1 -->\n- a\n"))
    assert merged_facts(ours, theirs) == FACTS + (
        "\n- c <!-- 2026-11-19 b#1 -->\n- a\n- b <!-- 2026-11-20 a#1 -->\n"
    )


def test_a_section_that_one_side_removed_stays_with_what_the_other_added() -> None:
    """Only that."""
    ours = facts(("## Goals\n\n- Run a half marathon\n\n", ""))
    theirs = facts(("- Run a half marathon", "- Run a half marathon\n- Learn to bake"))
    assert merged_facts(ours, theirs) == FACTS.replace("- Run a half marathon", "- Learn to bake")
    assert merged_facts(ours, facts(("RAV4", "bike"))) == ours.decode().replace("RAV4", "bike")


def test_paragraphs_continued_bullets_and_front_matter() -> None:
    """A paragraph counts as a bullet, and so does one of several lines or with a fence in it."""
    base = b"---\na: 1\n---\n# Me\n\n## Snapshot\n\nOld words.\nMore.\n\n- a\n  b\n"
    ours = base.replace(b"Old words.\nMore.", b"My words.\n\n```\n- no bullet\n\n```").replace(
        b"a: 1", b"a: 2"
    )
    theirs = base.replace(b"Old words.\nMore.", b"Theirs.").replace(b"  b", b"  c")
    assert merged_facts(ours, theirs, base) == (
        "---\na: 2\n---\n# Me\n\n## Snapshot\n\nMy words.\n\nTheirs. <!-- conflict -->\n\n"
        "```\n- no bullet\n\n```\n\n- a\n  c\n"
    )


def test_a_mark_does_not_open_a_fence_again() -> None:
    """It stands on a line of its own behind one."""
    base, ours, theirs = b"```\nx\n```\n", b"```\ny\n```\n", b"```\nz\n```\n"
    merged = merged_facts(ours, theirs, base)
    assert merged == "```\ny\n```\n\n```\nz\n```\n<!-- conflict -->\n"


def test_memory_without_a_base() -> None:
    """All stays and that is said; without marks, for nobody knows what became of what."""
    ours, theirs = facts((AUSTIN, DENVER)), facts((AUSTIN, BOISE))
    assert merged_facts(ours, theirs, None) == FACTS.replace(AUSTIN, f"{DENVER}\n{BOISE}")
    assert merge_bullets(None, ours, theirs).notes == (NO_BASE,)
    assert merge_bullets(None, ours, ours) == (ours, ())


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\n- a\xff\n", b"---\n", b"- a\r\n- b\r\n", b"```\n"]
)
def test_any_bytes_are_kept(data: bytes) -> None:
    """Not UTF-8, an open front matter or fence, CRLF: LF comes out."""
    merged = merge_bullets(data, data + b"\n\n- mine", b"# First\n\n" + data).data
    for text in (*data.split(), b"- mine", b"# First"):
        assert text in merged


WORDS = st.sampled_from(
    ["Lives in Austin", "Lives in Denver", "Drives a bike", "Runs", "Reads", "a"]
)
BULLETS = st.builds(
    lambda text, source: f"- {text}{source}",
    WORDS,
    st.sampled_from(["", "", " <!-- 2026-01-01 a#1 -->", " <!-- 2026-01-02 b#2 -->"]),
)
SECTIONS = st.sampled_from(["## Facts", "## Goals", "## Preferences"])


def written(sections: dict[str, list[str]]) -> str:
    """A memory file with these bullets under these headings."""
    return "\n".join(
        f"{heading}\n" + ("\n" if found else "") + "".join(f"{bullet}\n" for bullet in found)
        for heading, found in sections.items()
    )


FILES = st.dictionaries(SECTIONS, st.lists(BULLETS, max_size=5, unique=True), max_size=3).map(
    written
)


def memory_laws(base: str, ours: str, theirs: str) -> None:
    versions = base.encode(), ours.encode(), theirs.encode()
    merged = laws(merge_bullets, *versions).decode()
    loses_no_bullet(base, ours, theirs, merged)


def loses_no_bullet(base: str, ours: str, theirs: str, merged: str) -> None:
    """Section by section, whether marked or not."""
    had, one, other, now = (bullets(text) for text in (base, ours, theirs, merged))
    assert now == one & other | (one ^ other) - had


def bullets(text: str) -> set[tuple[str, str]]:
    found = set()
    heading = ""
    for row in text.split("\n"):
        if row.startswith("#"):
            heading = row
        elif row:
            found.add((heading, row.removesuffix(" <!-- conflict -->")))
    return found


@some
@given(FILES, FILES, FILES)
@example("## Facts\n\n- Lives in Austin\n", "", "## Facts\n\n- Lives in Denver\n- a\n")
def test_laws_of_memory(base: str, ours: str, theirs: str) -> None:
    """For any three lists of facts."""
    memory_laws(base, ours, theirs)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@many
@given(FILES, FILES, FILES)
def test_laws_of_memory_slow(base: str, ours: str, theirs: str) -> None:
    """The same, many times."""
    memory_laws(base, ours, theirs)

"""Long-term memory in Markdown: what is read from it."""

from __future__ import annotations

import time

import pytest

from vault_sessions.formats.memory import (
    Block,
    blocks,
    read_document,
    read_passages,
    read_skill,
    section_text,
)
from vault_sessions.model import Passage

FACTS = b"""## Facts

- Soaks chickpeas for twelve hours <!-- 2026-11-21 20261121-080512-7k3q9d#01ab -->
- Owner's own bullet
  that goes on
* another kind

## Goals

1. On-call pages below 5 a week

A paragraph
of two lines.

## Preferences
"""


def test_bullets_and_paragraphs_are_blocks_with_heading_and_line() -> None:
    """The bullet's mark is no part of the text; a line that goes on belongs to it."""
    assert blocks(FACTS.decode())[1:] == [
        Block("Facts", 4, "Owner's own bullet\n  that goes on"),
        Block("Facts", 6, "another kind"),
        Block("Goals", 10, "On-call pages below 5 a week"),
        Block("Goals", 12, "A paragraph\nof two lines."),
    ]


def test_a_fact_tells_where_it_comes_from() -> None:
    """From the comment behind it, which is no part of the text."""
    passages, problems = read_passages("facts.md", FACTS)
    assert problems == []
    assert passages[0] == Passage(
        "fact",
        3,
        "Facts",
        "Soaks chickpeas for twelve hours",
        "20261121-080512-7k3q9d",
        "2026-11-21T00:00:00.000Z",
    )
    assert passages[1].session_id is None
    assert passages[1].created_at is None


@pytest.mark.parametrize(
    "comment",
    [
        "<!-- just a note -->",
        "<!-- 2026-11-21 -->",
        "<!-- 2026-11-21 no-message -->",
        "<!--2026-11-21 a#b-->",
        "<!-- ２０２６-11-21 a#b -->",
    ],
)
def test_another_comment_is_no_provenance_and_no_text(comment: str) -> None:
    """Also one over several lines; one that is not closed is text."""
    (passage,), _ = read_passages("facts.md", f"- a fact {comment}\n".encode())
    assert (passage.text, passage.session_id) == ("a fact", None)
    (passage,), _ = read_passages("facts.md", b"- a fact <!-- open\n")
    assert passage.text == "a fact <!-- open"
    (passage,), _ = read_passages("facts.md", b"a <!--\nhidden\n--> b\n")
    assert passage.text == "a  b"


def test_an_impossible_date_is_no_time() -> None:
    """The session is known all the same."""
    (passage,), _ = read_passages("facts.md", b"- a <!-- 2026-99-99 s#m -->\n")
    assert (passage.session_id, passage.created_at) == ("s", None)


@pytest.mark.parametrize(
    ("line", "section"),
    [
        ("## Facts", "Facts"),
        ("# Facts #", "Facts"),
        ("## Facts ##  ", "Facts"),
        ("## C#", "C#"),
        ("## C# ##", "C#"),
        ("###### Deep", "Deep"),
        ("##\tTab", "Tab"),
        ("## ", None),
        ("#hashtag", None),
        ("####### seven", None),
    ],
)
def test_headings(line: str, section: str | None) -> None:
    """Closing #s are no part of them, a # that belongs to a word is."""
    assert blocks(f"{line}\n\ntext")[-1].section == section


def test_a_fenced_block_is_one_block() -> None:
    """What looks like a bullet or a heading in it is code."""
    text = "```sh\n# no heading\n- no bullet\n\nlast\n```\n\nafter"
    found = blocks(text)
    assert [block.line for block in found] == [1, 8]
    assert found[0].section is None
    assert len(blocks("```inline```\n\n- a\n- b")) == 3


def test_a_section_goes_to_the_next_heading_of_its_level() -> None:
    """Found in any case; empty where there is none."""
    text = "# Maya\n## Preferences\n- tea\n### Food\n- lentils\n## Snapshot\nWorks in Austin.\n"
    assert section_text(text, "snapshot") == "Works in Austin."
    assert section_text(text, "Preferences") == "- tea\n### Food\n- lentils"
    assert section_text(text, "Nothing") == ""


SUMMARY = b"""---
session_id: 20261121-080512-7k3q9d
topic: "Q2: planning"
started_at: 2026-11-21T08:05:12.000Z
ended_at: 2026-11-21T09:05:12.000Z
---

# Q2 planning

## Summary

Three goals.
"""


def test_front_matter_is_read_and_the_body_knows_its_line() -> None:
    """So that a passage's line is that of the file."""
    document = read_document(SUMMARY)
    assert document.front["topic"] == "Q2: planning"
    assert (document.body_line, document.problems) == (8, ())
    passages, _ = read_passages("session-2026-11-21-q2.md", SUMMARY)
    assert passages == [
        Passage(
            "summary",
            12,
            "Summary",
            "Three goals.",
            "20261121-080512-7k3q9d",
            "2026-11-21T09:05:12.000Z",
        )
    ]


def test_crlf_and_a_byte_order_mark_make_no_difference() -> None:
    """Lines and texts are the same."""
    windows = b"\xef\xbb\xbf" + SUMMARY.replace(b"\n", b"\r\n")
    assert read_passages("x.md", windows) == read_passages("x.md", SUMMARY)


@pytest.mark.parametrize(
    ("front", "line"),
    [
        ("a: [1, 2", 3),
        ('b: 1\na: "not closed', None),
        ("a: *unknown", 2),
        ("a: &x 1\nb: *x", 3),
        ("b: 1\na: b: c", 3),
        ("\tb: 1", 2),
        ("a: \x07", None),
        ("a: 2026-13-45", 1),
        ("a: !!timestamp soon", 1),
        ("a: !!int ''", 1),
        ("a: !!bool maybe", 1),
        ("a: !!python/object/apply:os.system [ls]", 1),
        ("[a]: b", 1),
        ("a: " + "[" * 200, 2),
        ("a: " + "[" * 60_000, 2),
        ("a: " + "x" * 70_000, 1),
        ("a: " + "9" * 5_000, 1),
    ],
    ids=lambda value: str(value)[:20],
)
def test_front_matter_that_is_refused_is_body_and_a_problem(front: str, line: int | None) -> None:
    """The text below it is found, at its line."""
    passages, problems = read_passages("x.md", f"---\n{front}\n---\n\nBelow.\n".encode())
    assert [found.code for found in problems] == ["memory-unreadable"]
    assert line is None or problems[0].line == line
    assert passages[-1].text == "Below."
    assert passages[-1].line == 5 + front.count("\n")


@pytest.mark.parametrize(
    "front",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a {k: 1}\n"
        + "".join(
            f"{name}: &{name} {{<<: [{','.join(['*' + before] * 9)}]}}\n"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a [*a]",
        "a: " + "1:" * 20_000 + "1",
    ],
    ids=["billion laughs", "merge keys", "itself", "sexagesimal"],
)
def test_a_yaml_bomb_is_harmless(front: str) -> None:
    """Under a second, and no gigabytes."""
    begun = time.perf_counter()
    read_passages("x.md", f"---\n{front}\n---\n\nBelow.\n".encode())
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("---\n---\nbody\n", "body"),
        ("---\n\n---\n\nbody", "body"),
        ("---\na: 1\n---\n", ""),
        ("\n\n---\na: 1\n---\nbody", "body"),
        ("----\na: 1\n-----\nbody", "body"),
    ],
)
def test_odd_but_right_front_matter(text: str, body: str) -> None:
    """Empty, behind blank lines, between longer rules."""
    document = read_document(text.encode())
    assert (document.body.strip(), document.problems) == (body, ())


@pytest.mark.parametrize(
    "text",
    ["---\nJust text\n---\nbelow", "---\n- a\n- b\n---\nbelow", "---\nnever closed", "--- x"],
)
def test_a_horizontal_rule_begins_no_front_matter(text: str) -> None:
    """All of it is body, and nothing is wrong."""
    document = read_document(text.encode())
    assert (document.front, document.body, document.problems) == ({}, text, ())


def test_bytes_that_are_not_utf8_are_replaced_and_reported_with_their_line() -> None:
    """The rest is still found."""
    passages, problems = read_passages("facts.md", b"- good\n- caf\xe9\n")
    assert [(found.code, found.line) for found in problems] == [("memory-unreadable", 2)]
    assert [passage.text for passage in passages] == ["good", "caf\ufffd"]


def test_front_matter_of_the_wrong_types_is_no_obstacle() -> None:
    """A time without an offset is none."""
    text = b"---\nsession_id: 5\nended_at: 2026-11-21 08:05:12\n---\n- x\n"
    (passage,), problems = read_passages("x.md", text)
    assert (passage.session_id, passage.created_at, problems) == (None, None, [])


def test_the_snapshot_is_that_of_the_user_file() -> None:
    """The kind follows from the file's name."""
    (passage,), _ = read_passages("user.md", b"## Snapshot\n\nWorks in Austin.\n")
    assert (passage.kind, passage.section) == ("snapshot", "Snapshot")


def test_a_skill_has_a_name_a_description_and_instructions() -> None:
    """The name falls back to the file's."""
    skill = read_skill("reviewer", b"---\nname: Reviewer\ndescription: reads code\n---\nBe kind.\n")
    assert skill == ("Reviewer", "reads code", "Be kind.")
    assert read_skill("writer", b"Write.\n") == ("writer", "", "Write.")
    assert read_skill("x", b"---\nname: 5\n---\nWrite.\n").name == "x"


@pytest.mark.parametrize(
    "text",
    [
        "# " + "#" * 200_000 + "x",
        "# " + " " * 200_000 + "x",
        "<!--" * 100_000,
        "<!-- a -->" * 20_000 + "<!--" * 50_000,
        "-" * 300_000,
        "- " * 100_000,
        "---\n" * 50_000,
        "```\n" * 50_000,
    ],
    ids=["hashes", "spaces", "open comments", "comments", "dashes", "bullets", "rules", "fences"],
)
def test_long_lines_of_one_kind_take_linear_time(text: str) -> None:
    """Under a second."""
    begun = time.perf_counter()
    read_passages("facts.md", text.encode())
    section_text(text, "Facts")
    assert time.perf_counter() - begun < 1

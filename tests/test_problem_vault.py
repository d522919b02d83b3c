"""The vault with problems: each file shows what tests/problem_vault/expected.json says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from vault_sessions.formats.ids import name_key
from vault_sessions.formats.memory import read_passages
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.names import beginnings, file_kind, session_of
from vault_sessions.formats.transcript import active_branch, parse

ROOT = Path(__file__).parent / "problem_vault"
SESSIONS = ROOT / "atlas" / "memory" / "sessions"
LONG_TERM = ROOT / "atlas" / "memory" / "long-term"

Found = list[tuple[int, str]]

BY_NAME = {
    "conflict-copy": "conflict-copy",
    "unknown": "unknown-file",
    "not-downloaded": "not-downloaded",
}
MESSAGES = {
    "good.jsonl": [1, 3, 5],
    "torn-tail.jsonl": [1, 2],
    "bad-line.jsonl": [1, 3, 5],
    "glued.jsonl": [1, 3],
    "pretty-printed.jsonl": [1, 2, 10],
    "conflict-marker.jsonl": [1, 3, 5, 7],
    "not-utf8.jsonl": [1, 3],
    "duplicate-id.jsonl": [1, 2, 4, 5, 6],
    "unknown-parent.jsonl": [1, 2, 3, 4, 5, 6, 7, 8],
    "bad-time.jsonl": [1, 2, 3, 4, 5, 6, 7],
    "tool-pair.jsonl": [1, 2, 3, 4, 5, 6, 7, 8, 9],
    "bom.jsonl": [1, 2],
    "crlf.jsonl": [1, 2, 3],
    "nul-bytes.jsonl": [1, 3, 5],
    "too-deep.jsonl": [1, 3],
    "nan.jsonl": [1, 3, 5],
    "array-line.jsonl": [1, 3, 7],
    "unknown-role.jsonl": [1, 3, 7],
    "content-type.jsonl": [1, 3, 5, 6, 7, 9],
    "lone-surrogate.jsonl": [1, 3],
}
"""The lines that are messages, as README.md says."""


@cache
def expected() -> dict[str, Found]:
    """File name → line and code of each problem."""
    read = json.loads((ROOT / "expected.json").read_text())
    return {name: [(one["line"], one["code"]) for one in found] for name, found in read.items()}


def names_in(folder: Path) -> list[str]:
    """The files that are there."""
    return sorted(path.name for path in folder.iterdir())


def ids_of(name: str) -> set[str]:
    """The ids of a transcript's messages."""
    return {message.id for message in parse((SESSIONS / name).read_bytes()).messages}


def meta_name(name: str) -> str | None:
    """The key of a session's name."""
    meta = parse_meta((SESSIONS / name).read_bytes(), session_of(name))[0]
    return name_key(meta.name) if meta.name else None


def problems_of(name: str) -> Found:
    """What the formats say of a file, and what follows from its neighbours."""
    kind = file_kind(name)
    data = (SESSIONS / name).read_bytes()
    there = names_in(SESSIONS)
    if kind == "transcript":
        for stem in beginnings(session_of(name)):
            if f"{stem}.jsonl" in there and ids_of(name) & ids_of(f"{stem}.jsonl"):
                return [(0, "conflict-copy")]
        return [(found.line, found.code) for found in parse(data).problems]
    if kind == "meta":
        stem = session_of(name)
        found = [(one.line, one.code) for one in parse_meta(data, stem)[1]]
        if f"{stem}.jsonl" not in there:
            found.append((0, "meta-orphan"))
        metas = [other for other in there if file_kind(other) == "meta" and other != name]
        if meta_name(name) and meta_name(name) in {meta_name(other) for other in metas}:
            found.append((0, "name-twice"))
        return found
    return [(0, BY_NAME[kind])] if kind in BY_NAME else []


@pytest.mark.parametrize("name", names_in(SESSIONS))
def test_a_file_of_the_sessions_folder_has_the_problems_expected(name: str) -> None:
    """Exactly these, on these lines."""
    assert problems_of(name) == expected()[name]


@pytest.mark.parametrize("name", names_in(LONG_TERM))
def test_a_file_of_long_term_memory_has_the_problems_expected(name: str) -> None:
    """A file that is not listed has none."""
    _, problems = read_passages(name, (LONG_TERM / name).read_bytes())
    assert [(found.line, found.code) for found in problems] == expected().get(name, [])


@pytest.mark.parametrize("name", MESSAGES)
def test_all_other_lines_are_messages(name: str) -> None:
    """Good neighbours survive."""
    read = parse((SESSIONS / name).read_bytes())
    assert [message.line for message in read.messages] == MESSAGES[name]


def test_every_file_that_is_expected_is_there() -> None:
    """None was lost on the way here."""
    assert set(expected()) <= {*names_in(SESSIONS), *names_in(LONG_TERM)}


def test_the_active_branch_takes_the_line_before_for_unknown_parents() -> None:
    """Line 8 names a good one: line 2."""
    read = parse((SESSIONS / "unknown-parent.jsonl").read_bytes())
    assert [message.line for message in active_branch(read.messages)] == [1, 2, 8]


def test_the_doubled_id_of_another_text_gets_a_number() -> None:
    """``~2``."""
    messages = parse((SESSIONS / "duplicate-id.jsonl").read_bytes()).messages
    assert messages[3].id == messages[1].id + "~2"


def test_text_below_broken_front_matter_is_found() -> None:
    """The whole file is body."""
    name = "session-2026-01-05-memory-unreadable.md"
    passages, _ = read_passages(name, (LONG_TERM / name).read_bytes())
    assert passages[-1].text == "The text below must still be found."

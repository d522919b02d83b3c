"""Two machines chat in one vault, carried over by the real Syncthing, rclone bisync and Unison.

Whether they take turns or talk at the same time: when both have mended what the tool left, every
line that either wrote stands once in both. ``scripts/test -m sync`` runs these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from synctools import FACTS, TOOLS, Machine, Tool, is_installed, kept_files

pytestmark = [pytest.mark.sync, pytest.mark.timeout(600)]


class Pair(NamedTuple):
    """Two machines and what joins them."""

    one: Machine
    other: Machine
    tool: Tool

    def written(self, session: str) -> list[bytes]:
        """What either machine wrote in a session."""
        return [*self.one.written.get(session, []), *self.other.written.get(session, [])]


@pytest.fixture(params=TOOLS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    kind = TOOLS[request.param]
    if not is_installed(kind):
        pytest.skip(f"{kind.program} is not installed")
    one, other = Machine(tmp_path / "one"), Machine(tmp_path / "other")
    one.output("init", str(one.vault))
    other.vault.mkdir()
    tool = kind(tmp_path / "tool", one.vault, other.vault)
    try:
        tool.start()
        yield Pair(one, other, tool)
    finally:
        tool.stop()


def mend(pair: Pair) -> None:
    """``doctor --fix`` on both machines, and a sync; then nothing is wrong any more.

    With a tool that takes two new files for a conflict though they are equal, what both mended is
    set aside once more: then one mends, and the other gets it.
    """
    one, other, tool = pair
    one.run("doctor", "--fix")
    other.run("doctor", "--fix")
    tool.settle()
    if not tool.mended_on_both:
        one.run("doctor", "--fix")
        tool.settle()
    assert one.problems() == other.problems() == []


def check(pair: Pair, session: str, *, may_be_back: tuple[bytes, ...] = ()) -> None:
    """Each line that was written stands once, on both machines in the same file."""
    assert pair.one.lines(session) == pair.other.lines(session)
    found = Counter(pair.one.lines(session))
    wanted = Counter(pair.written(session))
    for line in may_be_back:
        del wanted[line]
        assert found.pop(line, 1) == 1
    assert wanted - found == Counter(), "lost"
    assert found - wanted == Counter(), "twice, or nobody's"


def check_that_it_is_done(pair: Pair) -> None:
    """Both have the same files, and to mend and sync again changes nothing."""
    before = kept_files(pair.one.vault)
    assert kept_files(pair.other.vault) == before
    for machine in (pair.one, pair.other):
        machine.output("doctor", "--fix")
    pair.tool.settle()
    for machine in (pair.one, pair.other):
        assert machine.problems() == []
        assert kept_files(machine.vault) == before


def test_they_take_turns(pair: Pair) -> None:
    """Nothing is to be mended."""
    trip = pair.one.begin("trip", "Where to?")
    for number in range(3):
        pair.tool.settle()
        pair.other.chat(trip, f"To the sea, {number}?")
        pair.tool.settle()
        pair.one.chat(trip, f"By train, {number}?")
    pair.tool.settle()
    assert pair.one.problems() == pair.other.problems() == []
    check(pair, trip)
    check_that_it_is_done(pair)


def test_they_talk_at_the_same_time(pair: Pair) -> None:
    """In one session, and its metadata, memory and other sessions are changed too."""
    one, other, tool = pair
    trip = one.begin("trip", "Where to?")
    tool.settle()
    other.chat(trip, "To the sea?")
    tool.settle()

    tool.part()
    one.chat(trip, "By train?", "Or by car?")
    one.output("rename", trip, "journey")
    one.add_fact("Gets seasick.")
    garden = one.begin("garden", "What grows in the shade?")
    other.chat(trip, "With the dog?")
    other.output("rename", trip, "A week at the sea", "--topic")
    other.add_fact("Has a dog.")
    kitchen = other.begin("kitchen", "What is for dinner?")
    tool.settle()

    mend(pair)
    for session in (trip, garden, kitchen):
        check(pair, session)
    if tool.keeps_copies:
        for machine in (one, other):
            meta = machine.meta(trip)
            assert meta["topic"] == "A week at the sea"
            assert meta["name"] in ("trip", "journey")  # without a common ancestor: which is new?
            facts = (machine.vault / FACTS).read_text()
            assert facts.count("- Gets seasick.\n") == facts.count("- Has a dog.\n") == 1
    check_that_it_is_done(pair)


def test_one_deletes_while_the_other_talks(pair: Pair) -> None:
    """A deletion can't be seen without a common ancestor: the line may be back, once."""
    one, other, tool = pair
    trip = one.begin("trip", "Where to?")
    one.chat(trip, "By train?", "Or by car?")
    tool.settle()
    tool.part()
    gone = one.delete_line(trip, 2)
    other.chat(trip, "With the dog?")
    tool.settle()
    mend(pair)
    check(pair, trip, may_be_back=(gone,))
    check_that_it_is_done(pair)


def test_they_go_on_before_anybody_mends(pair: Pair) -> None:
    """Copies of copies: three times both say something, and only then somebody looks."""
    one, other, tool = pair
    if not tool.mended_on_both:
        pytest.skip(f"{tool.name} leaves no session to go on with")
    trip = one.begin("trip", "Where to?")
    for number in range(3):
        tool.settle()
        tool.part()
        one.chat(trip, f"By train, {number}?", f"Or by car, {number}?")
        other.chat(trip, f"With the dog, {number}?")
    tool.settle()
    mend(pair)
    check(pair, trip)
    check_that_it_is_done(pair)

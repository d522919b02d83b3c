"""Branches: what is said again stands beside what was said first, and nothing is lost.

What is one branch, and which there are (pure); then turns on a real server, with the files, the
mirror, the prompt and doctor looked at.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import OpenAIServer

from vault_sessions import Workspace
from vault_sessions.errors import VaultError
from vault_sessions.formats.transcript import active_branch, covered_hash, parse
from vault_sessions.lifecycle import standing
from vault_sessions.model import Message
from vault_sessions.rules import branches
from vault_sessions.rules.branches import Fork

# --- which branches there are --------------------------------------------------------------------


def tree(*parents: int) -> list[Message]:
    """Messages m0, m1, … with these parents."""
    return [
        Message(f"m{index}", "user", str(index), None, parent, index + 1, {})
        for index, parent in enumerate(parents)
    ]


def ids(messages: list[Message]) -> str:
    return " ".join(message.id for message in messages)


STRAIGHT = tree(-1, 0, 1, 2)
#       m0 ─ m1 ─ m2 ─ m3
#         │     └ m4 ─ m5
#         └ m6 ─ m7
#       m8
BUSHY = tree(-1, 0, 1, 2, 1, 4, 0, 6, -1)


def test_a_straight_conversation_has_one_branch() -> None:
    assert branches.tips(STRAIGHT) == ["m3"]
    assert branches.forks(STRAIGHT, STRAIGHT) == {}
    assert branches.tip(STRAIGHT, 0) == 3
    assert ids(branches.through(STRAIGHT, 3)) == "m0 m1 m2 m3"


def test_no_messages_are_no_branch() -> None:
    assert branches.tips([]) == []
    assert branches.forks([], []) == {}
    assert branches.through([], -1) == []


def test_branches_that_part_last_are_neighbours() -> None:
    assert branches.tips(BUSHY) == ["m3", "m5", "m7", "m8"]


def test_the_newest_branch_through_a_message() -> None:
    assert [branches.tip(BUSHY, index) for index in range(9)] == [7, 5, 3, 3, 5, 5, 7, 7, 8]


def test_the_messages_that_others_stand_beside() -> None:
    branch = branches.through(BUSHY, 5)
    assert ids(branch) == "m0 m1 m4 m5"
    assert branches.forks(BUSHY, branch) == {
        "m0": Fork(0, ("m0", "m8")),
        "m1": Fork(0, ("m1", "m6")),
        "m4": Fork(1, ("m2", "m4")),
    }


@st.composite
def trees(draw: st.DrawFn) -> list[Message]:
    count = draw(st.integers(0, 30))
    return tree(*(draw(st.integers(-1, index - 1)) for index in range(count)))


@given(trees())
def test_every_message_is_on_a_branch_and_every_branch_can_be_reached(
    messages: list[Message],
) -> None:
    places = {message.id: index for index, message in enumerate(messages)}
    found = [branches.through(messages, places[tip]) for tip in branches.tips(messages)]
    assert {message.id for branch in found for message in branch} == places.keys()
    assert len({branch[-1].id for branch in found}) == len(found)
    for index in range(len(messages)):
        tip = branches.tip(messages, index)
        assert messages[index] in branches.through(messages, tip)
        assert messages[tip].id in branches.tips(messages)
    if messages:
        assert branches.through(messages, len(messages) - 1) == active_branch(messages)
    for branch in found:
        for name, fork in branches.forks(messages, branch).items():
            assert fork.ids[fork.at] == name
            assert len(fork.ids) > 1


def test_a_long_conversation_is_walked_without_recursion() -> None:
    messages = tree(*range(-1, 20_000), 10_000)
    assert branches.tips(messages) == ["m20000", "m20001"]


# --- turns ---------------------------------------------------------------------------------------


class Place:
    """A vault whose assistant answers with what it was asked, and the one session in it."""

    def __init__(self, tmp_path: Path, server: OpenAIServer) -> None:
        self.server = server
        self.vault = tmp_path / "notes"
        self.sessions = self.vault / "atlas/memory/sessions"
        self.sessions.mkdir(parents=True)
        self.config = tmp_path / "config"
        self.settings()

    def settings(self, **sessions: Any) -> None:
        local = {"base_url": self.server.base_url, "model": "test-model"}
        ai: dict[str, Any] = {"default_provider": "local", "providers": {"local": local}}
        ai["sessions"] = sessions
        self.config.mkdir(exist_ok=True)
        settings = {"ai": ai, "memory": {"auto": False}}
        (self.config / "config.yaml").write_bytes(orjson.dumps(settings))  # JSON is YAML

    @contextmanager
    def workspace(self, *said: str, session: str | None = None) -> Iterator[Workspace]:
        """The conversation, open, once this was said in it."""
        with Workspace.open(self.vault, directory=str(self.vault)) as workspace:
            named = workspace.chat.decide_named(session)[0] if session else None
            workspace.chat.begin(named or workspace.chat.decide())
            for text in said:
                workspace.chat.take_turn(text)
            yield workspace

    @property
    def transcript(self) -> Path:
        (path,) = self.sessions.glob("*.jsonl")
        return path

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.transcript.read_bytes().splitlines()]

    def id_of(self, text: str, role: str = "user") -> str:
        """The id of the last line that says this."""
        found = [x["id"] for x in self.lines() if (x["role"], x["content"]) == (role, text)]
        return str(found[-1])

    def asked(self) -> list[str]:
        """What the server got last: who said what, without the system message and the notes of
        the time between two runs."""
        messages = self.server.requests[-1].body["messages"]
        said = [f"{m['role'][0]}:{m['content']}" for m in messages if m["role"] != "system"]
        return [without_notes(text) for text in said]


def spoken(workspace: Workspace) -> list[str]:
    """The branch that one stands on."""
    conversation = workspace.chat.conversation
    assert conversation is not None
    return [without_notes(f"{m.role[0]}:{m.text}") for m in standing.branch(conversation)]


def without_notes(text: str) -> str:
    """Less the notes of the time between two runs; the server says them after us."""
    return re.sub(r"\[\d+ seconds? later\]\n", "", text)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("VAULT_SESSIONS_", "OPENAI_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    for kind in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind}", str(tmp_path / kind.lower()))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with OpenAIServer() as server:
        yield Place(tmp_path, server)


def test_what_is_said_again_goes_on_from_before_it(place: Place) -> None:
    with place.workspace("one", "two", "three") as ws:
        before = place.transcript.read_bytes()
        turn = ws.chat.say_again(place.id_of("two"), "2")
        assert turn.text == "2"
        assert place.asked() == ["u:one", "a:one", "u:2"]
        assert spoken(ws) == ["u:one", "a:one", "u:2", "a:2"]
    assert place.transcript.read_bytes().startswith(before), "nothing was changed or taken out"
    said, answer = place.lines()[6:]
    assert said["parent_id"] == place.id_of("one", "assistant")
    assert "parent_id" not in answer
    assert all("parent_id" not in line for line in place.lines()[:6])


def test_the_first_message_said_again_begins_the_conversation_anew(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        assert place.asked() == ["u:1"]
        ws.chat.take_turn("next")
        assert place.asked() == ["u:1", "a:1", "u:next"]
    first, _, following, _ = place.lines()[4:]
    assert first["parent_id"] is None
    assert "parent_id" not in following


def test_another_answer_is_the_same_message_on_a_branch_of_its_own(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        place.server.reply("another answer")
        assert ws.chat.retry().text == "another answer"
        assert place.asked() == ["u:one", "a:one", "u:two"]
        assert spoken(ws) == ["u:one", "a:one", "u:two", "a:another answer"]
        ws.chat.retry()
        assert place.asked() == ["u:one", "a:one", "u:two"]
        messages = ws.chat.conversation.messages if ws.chat.conversation else []
        fork = branches.forks(messages, active_branch(messages))[messages[-2].id]
        assert (fork.at, len(fork.ids)) == (2, 3)


def test_parts_that_are_no_text_are_said_again_too(place: Place) -> None:
    with place.workspace("one"):
        pass
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = [{"type": "text", "text": "what is this?"}, image]
    line = {"role": "user", "content": parts, "id": "look", "rating": 5}
    with place.transcript.open("ab") as file:
        file.write(orjson.dumps(line) + b"\n" + b'{"role":"assistant","content":"a cat"}\n')
    with place.workspace() as ws:
        ws.chat.retry()
    said = place.lines()[-2]
    assert said["content"] == parts
    assert "rating" not in said, "that was said of the other line"


def test_one_stands_on_another_branch_until_something_is_said_there(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        before = place.transcript.read_bytes()
        ws.chat.stand_on(place.id_of("two"))
        assert spoken(ws) == ["u:one", "a:one", "u:two", "a:two"]
        assert place.transcript.read_bytes() == before, "choosing writes nothing"
        assert ws.list()[0].message_count == 2, "the newest branch is still the active one"
        ws.chat.take_turn("three")
        assert place.asked() == ["u:one", "a:one", "u:two", "a:two", "u:three"]
        ws.chat.take_turn("four")
        assert ws.list()[0].message_count == 8
    three, _, four, _ = place.lines()[6:]
    assert three["parent_id"] == place.id_of("two", "assistant")
    assert "parent_id" not in four


def test_after_a_new_start_one_stands_on_the_newest_branch(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        ws.chat.stand_on(place.id_of("two"))
    with place.workspace() as ws:
        assert spoken(ws) == ["u:1", "a:1"]


def test_any_message_of_a_branch_leads_to_its_newest_end(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("two"), "2")
        ws.chat.say_again(place.id_of("one"), "1")
        ws.chat.stand_on(place.id_of("one", "assistant"))
        assert spoken(ws) == ["u:one", "a:one", "u:2", "a:2"]
        ws.chat.stand_on(place.id_of("1"))
        assert spoken(ws) == ["u:1", "a:1"]
        ws.chat.take_turn("next")
    assert "parent_id" not in place.lines()[-2], "that is the newest branch already"


def test_what_is_on_another_branch_can_be_said_again(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        ws.chat.say_again(place.id_of("two"), "2")
        assert place.asked() == ["u:one", "a:one", "u:2"]
        ws.chat.stand_on(place.id_of("1"))
        ws.chat.retry()
        assert place.asked() == ["u:1"]


def test_only_what_the_user_said_can_be_said_again(place: Place) -> None:
    with place.workspace("one") as ws:
        with pytest.raises(VaultError, match="Only what you said yourself"):
            ws.chat.say_again(place.id_of("one", "assistant"), "no")
        for act in (lambda: ws.chat.say_again("gone", "no"), lambda: ws.chat.stand_on("gone")):
            with pytest.raises(VaultError, match="not in this conversation any more"):
                act()
        ws.chat.begin_anew()
        with pytest.raises(VaultError, match="Nothing was said yet"):
            ws.chat.retry()
    assert len(place.lines()) == 2


def test_a_private_conversation_branches_too_and_writes_nothing(place: Place) -> None:
    with Workspace.open(place.vault) as ws:
        ws.chat.begin(ws.chat.decide(), private=True)
        ws.chat.take_turn("one")
        ws.chat.take_turn("two")
        messages = ws.chat.conversation.messages if ws.chat.conversation else []
        ws.chat.say_again(messages[0].id, "1")
        assert place.asked() == ["u:1"]
        ws.chat.stand_on(messages[2].id)
        ws.chat.take_turn("three")
        assert place.asked() == ["u:one", "a:one", "u:two", "a:two", "u:three"]
    assert list(place.sessions.iterdir()) == []


# --- a message without an answer -----------------------------------------------------------------


def test_a_message_that_waits_for_its_answer_gets_it(place: Place) -> None:
    """Nothing is said twice, to the model neither."""
    with place.workspace("one") as ws:
        place.server.refuse_key()
        assert ws.chat.take_turn("two").error is not None
        ws.chat.retry()
        assert place.asked() == ["u:one", "a:one", "u:two"]
        said = [line["content"] for line in place.lines()]
        assert said == ["one", "one", "two", "two"]
        assert all("parent_id" not in line for line in place.lines())


def test_a_message_that_waits_on_an_older_branch_is_said_on_a_new_one(place: Place) -> None:
    """An answer never says what it belongs to: it stands behind its question."""
    with place.workspace("one") as ws:
        place.server.refuse_key()
        ws.chat.take_turn("two")
        ws.chat.say_again(place.id_of("one"), "1")
        ws.chat.stand_on(place.id_of("two"))
        ws.chat.retry()
        assert place.asked() == ["u:one", "a:one", "u:two"]
    said, answer = place.lines()[-2:]
    assert said["parent_id"] == place.id_of("one", "assistant")
    assert (answer["content"], "parent_id" in answer) == ("two", False)


def test_in_other_words_it_stands_beside_the_one_without_an_answer(place: Place) -> None:
    with place.workspace("one") as ws:
        place.server.refuse_key()
        ws.chat.take_turn("tow")
        ws.chat.say_again(place.id_of("tow"), "two")
        assert place.asked() == ["u:one", "a:one", "u:two"]
        assert spoken(ws) == ["u:one", "a:one", "u:two", "a:two"]


def test_a_partial_answer_stays_on_its_branch(place: Place) -> None:
    with place.workspace("one") as ws:
        place.server.disconnect("so far", after=1)
        assert ws.chat.take_turn("two").error is not None
        ws.chat.retry()
        assert spoken(ws) == ["u:one", "a:one", "u:two", "a:two"]
    assert "so far" in [line["content"] for line in place.lines()]


def test_killed_between_the_message_and_its_answer(place: Place, tmp_path: Path) -> None:
    """The line that was said again is on disk, on its branch; asked again, it gets its answer."""
    with place.workspace("one", "two"):
        pass
    answer = threading.Event()
    place.server.reply("never heard", before=answer)
    before = len(place.server.requests)
    pid = os.fork()
    if pid == 0:
        try:
            with place.workspace() as ws:
                ws.chat.say_again(place.id_of("one"), "1")
        finally:
            os._exit(1)
    place.server.wait_for_requests(before + 1)
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    answer.set()
    assert place.lines()[-1]["content"] == "1"
    with place.workspace() as ws:
        assert spoken(ws) == ["u:1"]
        ws.chat.retry()
        assert spoken(ws) == ["u:1", "a:1"]
        assert ws.list()[0].message_count == 2
        ws.chat.stand_on(place.id_of("two"))
        assert spoken(ws) == ["u:one", "a:one", "u:two", "a:two"]
    assert [line["content"] for line in place.lines()] == ["one", "one", "two", "two", "1", "1"]


def test_an_ended_session_that_gets_an_answer_is_open_again(place: Place) -> None:
    with place.workspace("one") as ws:
        place.server.refuse_key()
        ws.chat.take_turn("two")
        session = place.transcript.stem
    with Workspace.open(place.vault) as ws:
        ws.endings.end(session, offline=True)
        assert ws.list()[0].ended_at is not None
        ws.chat.begin(ws.chat.decide_named(session)[0])
        ws.chat.retry()
        assert ws.list()[0].ended_at is None


# --- what others do to the file ------------------------------------------------------------------


def test_a_change_on_disk_leaves_one_on_the_branch(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        ws.chat.stand_on(place.id_of("two"))
        data = place.transcript.read_bytes()
        place.transcript.write_bytes(data.replace(b'"content":"two"', b'"content":"TWO"'))
        assert ws.chat.refresh()
        assert spoken(ws) == ["u:one", "a:one", "u:TWO", "a:TWO"]
        ws.chat.take_turn("three")
        assert place.asked() == ["u:one", "a:one", "u:TWO", "a:TWO", "u:three"]


def test_a_branch_that_is_taken_out_is_left_and_that_is_said(place: Place) -> None:
    with place.workspace("one", "two", "three") as ws:
        ws.chat.say_again(place.id_of("two"), "2")
        ws.chat.stand_on(place.id_of("three"))
        lines = place.transcript.read_bytes().splitlines(keepends=True)
        place.transcript.write_bytes(b"".join(lines[:4] + lines[6:]))
        assert ws.chat.refresh()
        assert spoken(ws) == ["u:one", "a:one", "u:2", "a:2"]
        conversation = ws.chat.conversation
        assert conversation is not None
        assert "That branch is gone from the file; this is the newest one." in conversation.notices


def test_what_another_program_says_on_the_branch_is_taken_along(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        ws.chat.stand_on(place.id_of("two"))
        with place.workspace(session=place.transcript.stem) as other:
            other.chat.stand_on(place.id_of("two"))
            other.chat.take_turn("theirs")
        ws.chat.take_turn("mine")
        assert place.asked()[-3:] == ["u:theirs", "a:theirs", "u:mine"]
        assert spoken(ws)[-4:] == ["u:theirs", "a:theirs", "u:mine", "a:mine"]


def test_what_another_program_says_elsewhere_is_not_in_the_way(place: Place) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        ws.chat.stand_on(place.id_of("two"))
        with place.workspace(session=place.transcript.stem) as other:
            other.chat.take_turn("theirs")
        assert spoken(ws) == ["u:one", "a:one", "u:two", "a:two"]
        ws.chat.take_turn("mine")
        assert place.asked() == ["u:one", "a:one", "u:two", "a:two", "u:mine"]


def test_lines_typed_by_hand_can_be_branched_from(place: Place) -> None:
    (place.sessions / "by-hand.jsonl").write_bytes(
        b'{"role":"user","content":"one"}\n{"role":"assistant","content":"1"}\n'
        b'{"role":"user","content":"two"}\n{"role":"assistant","content":"2"}\n'
    )
    with Workspace.open(place.vault) as ws:
        conversation = ws.chat.begin(ws.chat.decide_named("by-hand")[0])
        ws.chat.say_again(conversation.messages[2].id, "zwei")
        assert place.asked() == ["u:one", "a:1", "u:zwei"]
        assert [
            f.problem.code for f in ws.repair.examine() if f.problem.code == "unknown-parent"
        ] == []


# --- everything else in the house ----------------------------------------------------------------


def test_doctor_and_the_mirror_agree_with_the_files(place: Place) -> None:
    with place.workspace("one", "two", "three") as ws:
        ws.chat.say_again(place.id_of("two"), "2")
        assert ws.list()[0].message_count == 4
        ws.chat.say_again(place.id_of("one"), "1")
        assert ws.list()[0].message_count == 2
        ws.chat.take_turn("more")
        assert ws.list()[0].message_count == 4
        ws.chat.stand_on(place.id_of("three"))
        ws.chat.take_turn("four")
        assert ws.list()[0].message_count == 8
        found = [finding.problem for finding in ws.repair.examine()]
        assert [problem for problem in found if problem.severity != "note"] == []
        before = ws.list()
        ws.reindex()
        assert ws.list() == before
        shown = ws.show(place.transcript.stem)
        assert len(shown.active) == 8
        assert len(shown.transcript.messages) == 14


def test_every_branch_is_found_by_search(place: Place) -> None:
    with place.workspace("apple", "banana") as ws:
        ws.chat.say_again(place.id_of("apple"), "cherry")
        hits = {hit.text for word in ("banana", "cherry") for hit in ws.search(word)}
        assert hits >= {"banana", "cherry"}


def test_a_summary_holds_for_the_branches_that_it_is_part_of(place: Place) -> None:
    """One that covers messages before the fork is in force on both, one behind it on its own."""
    place.settings(auto_compact={"use_ai_summary": False, "preserve_recent": 2})
    with place.workspace(*(f"number {n}" for n in range(8))) as ws:
        session = place.transcript.stem
        ws.compaction.now(session)  # covers all but the last exchange
        ws.chat.say_again(place.id_of("number 7"), "seven")
        assert place.asked() == ["u:seven"], "the fork is behind what is covered"
        ws.chat.say_again(place.id_of("number 3"), "three")
        assert place.asked() == [
            *(f"{who}:number {n}" for n in range(3) for who in "ua"),
            "u:three",
        ], "covered messages of another branch are no summary of this one"
        ws.compaction.now(session)
        ws.chat.take_turn("on")
        assert place.asked() == ["u:three", "a:three", "u:on"]
        ws.chat.stand_on(place.id_of("seven"))
        ws.chat.take_turn("there")
        whole = spoken(ws)[:-1]
        assert place.asked() == whole[-len(place.asked()) :]
        assert len(place.asked()) < len(whole), "a summary stands for the beginning there, too"
        meta = ws.meta(session)
        assert len(meta.compactions) == 2
        for compaction in meta.compactions:
            messages = parse(place.transcript.read_bytes()).messages
            index = branches.place(messages, compaction.through_message_id)
            assert index is not None
            assert covered_hash(branches.through(messages, index)) == compaction.covered_hash


def test_an_export_has_the_branch_that_goes_on(place: Place, tmp_path: Path) -> None:
    with place.workspace("one", "two") as ws:
        ws.chat.say_again(place.id_of("one"), "1")
        out = tmp_path / "out.json"
        ws.transfer.export(place.transcript.stem, str(out))
    exported = orjson.loads(out.read_bytes())
    assert [message["content"] for message in exported["messages"]] == ["1", "1"]

"""History from other programs: what Atmos and Atuin AI keep comes over whole, once, and only read.

The stores are real SQLite files with the peers' own tables.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home, make_home, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from vault_sessions.errors import VaultError
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.transcript import active_branch, parse
from vault_sessions.model import Meta, Transcript
from vault_sessions.rules.compaction import in_force
from vault_sessions.state import NAMES, State
from vault_sessions.transfer.atmos import parse_time
from vault_sessions.transfer.foreign import Imported, import_store, kind_of
from vault_sessions.vault import open_vault

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

# cloudposse/atmos, pkg/ai/session/sqlite.go (schemaMigrations), at commit 0a1cb4480b
ATMOS = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, project_path TEXT NOT NULL, model TEXT NOT NULL,
    provider TEXT NOT NULL, skill TEXT NOT NULL DEFAULT '', created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL, metadata TEXT);
CREATE INDEX idx_sessions_name ON sessions(project_path, name);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL,
    content TEXT NOT NULL, created_at TIMESTAMP NOT NULL, archived BOOLEAN DEFAULT 0,
    FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE);
CREATE INDEX idx_messages_session_id ON messages(session_id);
CREATE TABLE session_context (
    session_id TEXT NOT NULL, context_type TEXT NOT NULL, context_key TEXT NOT NULL,
    context_value TEXT,
    FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE);
CREATE TABLE message_summaries (
    id TEXT PRIMARY KEY, session_id TEXT NOT NULL, provider TEXT NOT NULL DEFAULT '',
    original_message_ids TEXT NOT NULL, message_range TEXT NOT NULL, summary_content TEXT NOT NULL,
    token_count INTEGER NOT NULL, compacted_at TIMESTAMP NOT NULL,
    FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE);
"""
# atuinsh/atuin, crates/atuin-ai/migrations, at commit 824c8716d8
ATUIN = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, head_id TEXT, server_session_id TEXT, directory TEXT, git_root TEXT,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER);
CREATE TABLE session_events (
    id TEXT PRIMARY KEY, session_id TEXT NOT NULL, parent_id TEXT, invocation_id TEXT NOT NULL,
    event_type TEXT NOT NULL, event_data TEXT NOT NULL, created_at INTEGER NOT NULL,
    FOREIGN KEY (session_id) REFERENCES sessions(id));
CREATE INDEX idx_session_events_session_id ON session_events(session_id);
CREATE TABLE session_metadata (
    session_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (session_id, key), FOREIGN KEY (session_id) REFERENCES sessions(id));
"""
GO_TIME = "2025-10-30 14:30:00.123456789 -0500 CDT m=+0.412345678"
START = 1_761_852_600  # 2025-10-30T19:30:00Z


class Desk:
    """A vault in a folder of its own, and a store beside it."""

    def __init__(self, folder: Path, ddl: str = ATMOS) -> None:
        self.home: Home = make_home(folder)
        self.vault = open_vault(str(self.home.vault))
        self.state = State(str(folder / "state"))
        self.store = folder / "their" / "store.db"
        self.store.parent.mkdir(exist_ok=True)
        if ddl:
            self.write(ddl)

    def write(self, script: str = "", *statements: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.store)) as store:
            store.execute("PRAGMA synchronous = OFF")
            store.executescript(script)
            for sql, *values in statements:
                store.execute(sql, values)
            store.commit()

    def bring(self, **options: Any) -> list[Imported]:
        return import_store(self.vault, self.state, str(self.store), NOW, lambda bits: 7, **options)

    def one(self, **options: Any) -> Imported:
        (done,) = self.bring(**options)
        return done

    def outcomes(self, **options: Any) -> list[str]:
        return [done.outcome for done in self.bring(**options)]

    def transcript(self, session_id: str | None) -> Transcript:
        found = parse((self.home.sessions / f"{session_id}.jsonl").read_bytes())
        assert found.problems == ()
        return found

    def lines(self, session_id: str | None) -> list[dict[str, Any]]:
        return [message.fields for message in self.transcript(session_id).messages]

    def meta(self, session_id: str | None) -> Meta:
        data = (self.home.sessions / f"{session_id}.meta.json").read_bytes()
        meta, problems = parse_meta(data, str(session_id))
        assert problems == []
        return meta

    # --- rows ---

    def atmos_session(self, name: str = "vpc", id: str | None = "s1", **other: Any) -> None:
        row = {
            "project_path": "/home/dev/infra",
            "model": "claude",
            "provider": "anthropic",
            "created_at": GO_TIME,
            "updated_at": GO_TIME,
            "metadata": "null",
            **other,
        }
        self._insert("sessions", {"id": id, "name": name, **row})

    def atmos_messages(self, *said: tuple[str, Any], session: str = "s1", **other: Any) -> None:
        for role, content in said:
            row = {"role": role, "content": content, "created_at": GO_TIME, **other}
            self._insert("messages", {"session_id": session, **row})

    def atuin_session(self, id: str = "s1", **other: Any) -> None:
        row = {"directory": "/src/app/lib", "git_root": "/src/app", "created_at": START}
        self._insert("sessions", {"id": id, "updated_at": START, **row, **other})

    def event(
        self, id: str, kind: str, parent: str | None, session: str = "s1", /, **data: Any
    ) -> None:
        self.raw_event(id, kind, parent, orjson.dumps(data).decode(), session=session)

    def raw_event(
        self,
        id: str,
        kind: str,
        parent: str | None,
        data: Any,
        at: Any = START,
        session: str = "s1",
    ) -> None:
        row = {"id": id, "session_id": session, "parent_id": parent, "invocation_id": "run-1"}
        row |= {"event_type": kind, "event_data": data, "created_at": at}
        self._insert("session_events", row)

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        self.write("", (f"INSERT INTO {table} ({columns}) VALUES ({marks})", *row.values()))


@pytest.fixture
def atmos(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def atuin(tmp_path: Path) -> Desk:
    return Desk(tmp_path, ATUIN)


def contents(lines: Iterable[dict[str, Any]]) -> list[str]:
    return [line["content"] for line in lines]


# --- what a store is -----------------------------------------------------------------------------


def test_a_store_is_recognised_by_its_tables(tmp_path: Path) -> None:
    assert kind_of(str(Desk(tmp_path / "a").store)) == "atmos"
    assert kind_of(str(Desk(tmp_path / "b", ATUIN).store)) == "atuin"
    assert kind_of(str(Desk(tmp_path / "c", "CREATE TABLE sessions (id)").store)) is None
    # tables of the same names, as our own mirror's, are not enough; nor is a view
    mirror = "CREATE TABLE sessions (id); CREATE TABLE messages (session_id, role, text)"
    assert kind_of(str(Desk(tmp_path / "d", mirror).store)) is None
    view = "CREATE VIEW sessions AS SELECT 1 id; CREATE TABLE session_events (id, session_id)"
    assert kind_of(str(Desk(tmp_path / "e", view).store)) is None


def test_other_files_are_no_stores(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "")
    assert kind_of(str(desk.store)) is None
    for data in (b"", b"{}", b"SQLite format 3"):
        desk.store.write_bytes(data)
        assert kind_of(str(desk.store)) is None
    os.mkfifo(tmp_path / "pipe")
    assert kind_of(str(tmp_path / "pipe")) is None
    assert kind_of(str(tmp_path)) is None
    with pytest.raises(VaultError, match="no SQLite file"):
        desk.bring()
    desk.store.unlink()
    with pytest.raises(VaultError, match="There is no file"):
        desk.bring()


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "CREATE TABLE history (id)")
    with pytest.raises(VaultError, match="neither the tables of Atmos"):
        desk.bring()


# --- Atmos ---------------------------------------------------------------------------------------


def test_an_atmos_session_comes_over_whole(atmos: Desk) -> None:
    atmos.atmos_session(skill="terraform", metadata='{"ticket":"INFRA-142","n":2}')
    atmos.atmos_messages(("user", "Which CIDR?"), archived=1)
    atmos.atmos_messages(("assistant", "10.2.0.0/16"), ("system", "Be brief."), ("user", "ok"))
    for value in ("old", "new"):
        atmos.write(
            "", ("INSERT INTO session_context VALUES ('s1', 'stack_file', 'prod.yaml', ?)", value)
        )
    done = atmos.one()
    assert done == Imported("s1", done.session_id, "vpc", "imported", "")
    assert str(done.session_id).startswith("20251030-193000-")
    lines = atmos.lines(done.session_id)
    assert [line["role"] for line in lines] == ["user", "assistant", "system", "user"]
    assert [line.get("archived") for line in lines] == [True, None, None, None]
    assert lines[0]["created_at"] == "2025-10-30T19:30:00.123Z"
    assert not any("parent_id" in line for line in lines)
    meta = atmos.meta(done.session_id)
    assert (meta.name, meta.directory, meta.git_root) == ("vpc", "/home/dev/infra", None)
    assert (meta.provider, meta.model, meta.skill) == ("anthropic", "claude", "terraform")
    assert meta.created_at == datetime(2025, 10, 30, 19, 30, 0, 123000, tzinfo=UTC)
    assert meta.fields["metadata"] == {"ticket": "INFRA-142", "n": 2}
    assert meta.context == (("stack_file", "prod.yaml", "new"),)
    assert meta.source == {"kind": "atmos", "id": "s1", "through": "atmos-4"}
    assert meta.ended_at is None


def test_messages_stand_in_the_order_they_were_written_whatever_zone_they_bear(
    atmos: Desk,
) -> None:
    """Sorted as text, as Atmos does it, the second would come first."""
    atmos.atmos_session()
    atmos.atmos_messages(("user", "first"), created_at="2025-11-01 08:00:00 +0000 UTC m=+1.5")
    atmos.atmos_messages(("assistant", "second"), created_at="2025-11-01 03:00:01 -0500 -0500")
    assert contents(atmos.lines(atmos.one().session_id)) == ["first", "second"]


def test_a_session_without_messages_is_not_brought_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.atmos_session("empty", "s0")
    desk.atmos_session()
    desk.atmos_messages(("user", "hi"))
    assert [(done.name, done.outcome, done.why) for done in desk.bring()] == [
        ("empty", "skipped", "it has no messages"),
        ("vpc", "imported", ""),
    ]


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        (GO_TIME, "2025-10-30T19:30:00.123456+00:00"),
        ("2025-10-31 09:15:00.5 -0500 CDT m=+61.000000001", "2025-10-31T14:15:00.500000+00:00"),
        ("2025-11-01 08:00:00 +0000 UTC m=-1.5", "2025-11-01T08:00:00+00:00"),
        ("2025-10-31 10:00:00 -0500 -0500", "2025-10-31T15:00:00+00:00"),
        ("2025-10-31 10:00:00 +0545 +0545 m=+0.1", "2025-10-31T04:15:00+00:00"),
        ("2025-10-31 10:00:00.000000001 +0530 IST", "2025-10-31T04:30:00+00:00"),
        ("2025-10-31 10:00:00.25-07:00", "2025-10-31T17:00:00.250000+00:00"),
        ("2025-10-31T10:00:00Z", "2025-10-31T10:00:00+00:00"),
        ("2025-10-31T10:00:00.123456789+02:00", "2025-10-31T08:00:00.123456+00:00"),
        ("2025-10-31 10:00:00", "2025-10-31T10:00:00+00:00"),
        ("2025-10-31 10:00:00 UTC", "2025-10-31T10:00:00+00:00"),
        ("  2025-10-31 10:00:00 +0000 UTC \n", "2025-10-31T10:00:00+00:00"),
        ("1969-07-20 20:17:40 +0000 UTC", "1969-07-20T20:17:40+00:00"),
        (b"2025-10-31 10:00:00 +0000 UTC", "2025-10-31T10:00:00+00:00"),
        (START, "2025-10-30T19:30:00+00:00"),
        (START * 1000 + 5, "2025-10-30T19:30:00.005000+00:00"),
        (float(START), "2025-10-30T19:30:00+00:00"),
    ],
)
def test_times_are_read_as_go_and_sqlite_write_them(written: Any, instant: str) -> None:
    at = parse_time(written)
    assert at is not None
    assert at.isoformat() == instant


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "yesterday",
        "0001-01-01 00:00:00 +0000 UTC",
        "2025-02-30 10:00:00 +0000 UTC",
        "2025-10-31 24:00:00 +0000 UTC",
        "2025-10-31 10:00:00 +9900 XXX",
        "2025-10-31 10:00:00 EST",
        "10000-01-01 00:00:00 +0000 UTC",
        "9999-12-31 23:59:59 -0500 EST",
        "2025-10-31",
        "٢٠٢٥-10-31 10:00:00 +0000 UTC",
        b"\xff\xfe",
        0,
        -5,
        float("inf"),
        float("nan"),
        1e300,
    ],
)
def test_a_time_that_is_none_is_unknown(written: Any) -> None:
    assert parse_time(written) is None


@given(st.text() | st.binary() | st.integers() | st.floats())
def test_no_stored_value_breaks_the_reading_of_times(written: Any) -> None:
    at = parse_time(written)
    assert at is None or at.tzinfo is UTC


def test_a_message_without_a_time_counts(atmos: Desk) -> None:
    atmos.atmos_session(created_at="0001-01-01 00:00:00 +0000 UTC")
    atmos.atmos_messages(("user", "when?"), created_at="soon")
    atmos.atmos_messages(("assistant", "now"))
    done = atmos.one()
    assert [line.get("created_at") for line in atmos.lines(done.session_id)] == [
        None,
        "2025-10-30T19:30:00.123Z",
    ]
    assert str(done.session_id).startswith("20251030-193000-")


def _summary(desk: Desk, id: str, ids: str, text: str) -> None:
    row = (id, "s1", "anthropic", ids, "Messages 1-2", text, 9, GO_TIME)
    desk.write("", ("INSERT INTO message_summaries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row))


def test_summaries_of_a_model_are_in_force_each_with_those_before_it(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(*[("user", f"{n}") for n in range(6)])
    _summary(atmos, "c1", "[1,2]", "They met.")
    _summary(atmos, "c2", "[3,4]", "They chose SQLite.")
    done = atmos.one()
    compactions = atmos.meta(done.session_id).compactions
    assert [each.message_range for each in compactions] == ["Messages 1-2", "Messages 1-4"]
    branch = active_branch(atmos.transcript(done.session_id).messages)
    found = in_force(branch, compactions)
    assert found is not None
    assert (found[0].summary, found[1]) == ("They met.\n\nThey chose SQLite.", 4)


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ("[1,2]", "SUMMARY OF EARLIER CONVERSATION:\n\n[user]: 0"),
        ("[2,3]", "A gap before it."),
        ("[1,99]", "A message that is not there."),
        ("[1,1]", "One message twice."),
        ("not json", "x"),
        ('{"1": 2}', "x"),
        ("[[]]", "x"),
        ("[]", "x"),
        ("[1]", "  "),
    ],
)
def test_a_summary_that_does_not_cover_the_beginning_is_left(
    atmos: Desk, ids: str, text: str
) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(*[("user", f"{n}") for n in range(4)])
    _summary(atmos, "c1", ids, text)
    done = atmos.one()
    assert done.outcome == "imported"
    assert atmos.meta(done.session_id).compactions == ()


# --- names ---------------------------------------------------------------------------------------


def test_a_taken_name_gets_a_number(atmos: Desk) -> None:
    """Atmos keeps names by project; here they are unique, whatever their case."""
    home = atmos.home
    (home.sessions / "old.jsonl").write_bytes(b'{"role":"user","content":"x"}\n')
    (home.sessions / "old.meta.json").write_bytes(b'{"version":1,"id":"old","name":"VPC"}')
    for number, name in enumerate(("vpc", "ｖｐｃ", "old", "ｏｌｄ-2")):
        atmos.atmos_session(name, f"s{number}")
        atmos.atmos_messages(("user", "hi"), session=f"s{number}")
    assert [done.name for done in atmos.bring()] == ["vpc-2", "ｖｐｃ-3", "old-2", "ｏｌｄ-2-2"]


def test_a_name_that_can_be_none_here_is_made_one(atmos: Desk) -> None:
    names = ["x" * 200, "x" * 200, "a\nb\x00c\u2028d", " \t ", ""]
    for number, name in enumerate(names):
        atmos.atmos_session(name, f"s{number}")
        atmos.atmos_messages(("user", "hi"), session=f"s{number}")
    done = atmos.bring()
    assert [each.name for each in done] == ["x" * 100, "x" * 98 + "-2", "a b c d", None, None]
    for each in done:
        assert atmos.meta(each.session_id).name == each.name


def test_one_session_is_chosen_by_name_or_id(atmos: Desk) -> None:
    for number, name in enumerate(("vpc", "vpc", "eks")):
        atmos.atmos_session(name, f"{number}-5b0c")
        atmos.atmos_messages(("user", "hi"), session=f"{number}-5b0c")
    assert [done.name for done in atmos.bring(name="eks")] == ["eks"]
    assert [done.name for done in atmos.bring(name="vpc")] == ["vpc", "vpc-2"]
    assert [done.outcome for done in atmos.bring(name="2-5b")] == ["skipped"]
    with pytest.raises(VaultError, match="There is no session 'nope' in"):
        atmos.bring(name="nope")


# --- Atuin ---------------------------------------------------------------------------------------


def test_the_seven_types_of_events(atuin: Desk) -> None:
    atuin.atuin_session()
    atuin.event("e1", "user_message", None, content="list files")
    atuin.event("e2", "text", "e1", content="Let me look.")
    given = {"command": "ls -la", "n": 2**53, "deep": [{"a": None}]}
    atuin.event("e3", "tool_call", "e2", id="tc_1", name="execute_shell_command", input=given)
    atuin.event(
        "e4", "tool_result", "e3", tool_use_id="tc_1", content="a b", is_error=True, remote=False
    )
    atuin.event("e5", "out_of_band_output", "e4", name="System", command="/help", content="Help!")
    atuin.event("e6", "system_context", "e5", content="[Note: a new invocation]")
    atuin.event("e7", "skill_invocation", "e6", name="verse", arguments="short", content="Rhyme.")
    done = atuin.one()
    assert done == Imported("s1", done.session_id, None, "imported", "")
    lines = atuin.lines(done.session_id)
    assert [(line["id"], line["role"]) for line in lines] == [
        ("e1", "user"),
        ("e2", "assistant"),
        ("e3", "assistant"),
        ("e4", "tool"),
        ("e5", "assistant"),
        ("e6", "system"),
        ("e7", "user"),
    ]
    (call,) = lines[2]["tool_calls"]
    assert (call["id"], call["type"]) == ("tc_1", "function")
    assert call["function"]["name"] == "execute_shell_command"
    assert orjson.loads(call["function"]["arguments"]) == given
    assert (lines[3]["tool_call_id"], lines[3]["content"]) == ("tc_1", "a b")
    assert lines[3]["atuin"] == {"event": "tool_result", "is_error": True}
    assert lines[4]["atuin"] == {
        "event": "out_of_band_output",
        "name": "System",
        "command": "/help",
    }
    assert lines[6]["content"] == "[Loaded skill: verse]\n[Arguments: short]\n\nRhyme."
    assert {line["invocation_id"] for line in lines} == {"run-1"}
    assert {line["created_at"] for line in lines} == {"2025-10-30T19:30:00.000Z"}
    assert not any("parent_id" in line for line in lines)
    assert "atuin" not in lines[0]


def test_a_result_that_atuin_s_server_keeps_is_said_to_be_so(atuin: Desk) -> None:
    atuin.atuin_session()
    atuin.event("e1", "tool_call", None, id="t", name="search", input=None)
    atuin.event(
        "e2", "tool_result", "e1", tool_use_id="t", content="", remote=True, content_length=4096
    )
    line = atuin.lines(atuin.one().session_id)[1]
    assert line["atuin"] == {"event": "tool_result", "remote": True, "content_length": 4096}


def test_places_and_endings_are_kept(atuin: Desk) -> None:
    atuin.atuin_session("open")
    atuin.atuin_session("old", archived_at=START + 90)
    atuin.atuin_session("odd", archived_at=0)
    for session in ("open", "old", "odd"):
        atuin.event(f"e-{session}", "user_message", None, session, content="hi")
    went_on, old, odd = (atuin.meta(done.session_id) for done in atuin.bring())
    assert (went_on.directory, went_on.git_root) == ("/src/app/lib", "/src/app")
    assert went_on.ended_at is None
    assert old.ended_at == datetime(2025, 10, 30, 19, 31, 30, tzinfo=UTC)
    assert (old.end_reason, old.duration_seconds) == ("new", 90.0)
    assert odd.ended_at == datetime(2025, 10, 30, 19, 30, tzinfo=UTC)
    statuses = {row["id"]: row["status"] for row in atuin.home.json("list")}
    assert sorted(statuses.values()) == ["ended", "ended", "open"]


def _parents(desk: Desk, session_id: str | None) -> list[tuple[str, str | None]]:
    """Each message and the one before it, as our own reader takes them."""
    messages = desk.transcript(session_id).messages
    return [(m.id, messages[m.parent].id if m.parent >= 0 else None) for m in messages]


def test_branches_are_kept_and_the_head_is_last(atuin: Desk) -> None:
    atuin.atuin_session(head_id="b2")
    for name, parent in (("r", None), ("b1", "r"), ("b2", "b1"), ("c1", "r"), ("c2", "c1")):
        atuin.event(name, "user_message", parent, content=name)
    done = atuin.one()
    assert _parents(atuin, done.session_id) == [
        ("r", None),
        ("b1", "r"),
        ("c1", "r"),
        ("c2", "c1"),
        ("b2", "b1"),
    ]
    branch = active_branch(atuin.transcript(done.session_id).messages)
    assert [message.id for message in branch] == ["r", "b1", "b2"]
    assert atuin.one().outcome == "skipped"


def test_a_second_start_is_a_start(atuin: Desk) -> None:
    atuin.atuin_session()
    for name, parent in (("a", None), ("b", "a"), ("c", None)):
        atuin.event(name, "user_message", parent, content=name)
    assert _parents(atuin, atuin.one().session_id)[-1] == ("c", None)


def test_without_any_parents_each_follows_the_one_before(atuin: Desk) -> None:
    atuin.atuin_session()
    for name in "abc":
        atuin.event(name, "user_message", None, content=name)
    assert _parents(atuin, atuin.one().session_id) == [("a", None), ("b", "a"), ("c", "b")]


def test_a_parent_that_is_later_by_its_time_comes_first(atuin: Desk) -> None:
    atuin.atuin_session()
    atuin.raw_event("b", "text", "a", '{"content":"b"}', START)
    atuin.raw_event("a", "user_message", None, '{"content":"a"}', START + 5)
    atuin.raw_event("c", "user_message", "b", '{"content":"c"}', START + 9)
    assert _parents(atuin, atuin.one().session_id) == [("a", None), ("b", "a"), ("c", "b")]


def test_an_event_without_a_time_stays_where_it_is(atuin: Desk) -> None:
    atuin.atuin_session()
    for name, at in (("a", START), ("b", "noon"), ("c", START), ("d", START + 1)):
        atuin.raw_event(name, "text", None, orjson.dumps({"content": name}).decode(), at)
    assert contents(atuin.lines(atuin.one().session_id)) == ["a", "b", "c", "d"]


def test_unknown_parents_and_circles_lead_to_the_line_before(atuin: Desk) -> None:
    atuin.atuin_session()
    links = (("a", None), ("b", "nobody"), ("c", "d"), ("d", "e"), ("e", "c"), ("f", "f"))
    for name, parent in links:
        atuin.event(name, "user_message", parent, content=name)
    found = _parents(atuin, atuin.one().session_id)
    assert found[0] == ("a", None)
    assert dict(found)["b"] == "a"
    assert sorted(name for name, _ in found) == list("abcdef")


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9)),
        max_size=10,
        unique_by=lambda x: x[0],
    ),
    st.none() | st.integers(0, 9),
)
def test_every_event_comes_over_once_behind_its_parent(
    links: list[tuple[int, int | None]], head: int | None
) -> None:
    from vault_sessions.transfer.atuin import _Event, _parents_first

    events = [
        _Event(f"e{name}", f"e{name}", None if above is None else f"e{above}", {})
        for name, above in links
    ]
    parents = {event.own_id: event.parent for event in events}
    lines = _parents_first(events, parents, None if head is None else f"e{head}")
    names = [line.id for line in lines]
    assert sorted(names) == sorted(event.id for event in events)
    for index, line in enumerate(lines):
        assert line.parent is None or line.parent in names[:index]


# --- bad rows ------------------------------------------------------------------------------------


def test_one_bad_event_does_not_stop_the_rest(atuin: Desk) -> None:
    atuin.atuin_session()
    atuin.event("e1", "user_message", None, content="hi")
    atuin.raw_event("e2", "text", "e1", "{not json")
    atuin.raw_event("e3", "text", "e2", "[]")
    atuin.event("e4", "text", "e3", content=7)
    atuin.event("e5", "banana", "e4", content="x")
    atuin.event("e6", "tool_call", "e5", id="t", input={})
    atuin.raw_event("e7", "text", "e6", '{"content":"' + "[" * 5 + '"}')
    atuin.raw_event(
        "e8", "tool_call", "e7", '{"id":"t","name":"n","input":' + "[" * 500 + "]" * 500 + "}"
    )
    done = atuin.one()
    assert done.outcome == "imported"
    assert done.why.startswith("not all of it: event e2: its data is no valid JSON (")
    assert done.why.endswith("(and 5 more)")
    assert _parents(atuin, done.session_id) == [("e1", None), ("e7", "e1")]
    assert atuin.one().outcome == "skipped"


def test_what_is_no_utf8_comes_over_as_far_as_it_can_be_read(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", b"caf\xe9 \xf0\x9f\x98\x80 \x00 end"))
    done = atmos.one()
    assert contents(atmos.lines(done.session_id)) == ["caf� \U0001f600 \x00 end"]
    assert done.why == "not all of it: message 1: bytes that are no UTF-8, replaced by �"


def test_odd_types_in_the_columns_of_atmos(tmp_path: Path) -> None:
    """The tables without their NOT NULL, as older and other versions may have them."""
    desk = Desk(tmp_path, ATMOS.replace(" NOT NULL", ""))
    desk.atmos_session(None, None)  # type: ignore[arg-type]
    desk.atmos_session("nulls", "s1", project_path=None, model=None, provider=None, metadata=None)
    desk.atmos_session("bad", "s2", metadata="{oops", model="unknown", created_at=-1)
    desk.atmos_messages(("user", None), ("user", 12), ("user", 1.5), ("tool", "x"))
    desk.atmos_messages((None, "no role"), ("robot", "?"), ("", "empty"))  # type: ignore[arg-type]
    desk.atmos_messages(("user", "hi"), session="s2", created_at=None)
    desk.atmos_messages(("user", "lost"), session="s9")
    nameless, nulls, bad, lost = desk.bring()
    assert (nameless.outcome, nameless.why) == ("failed", "the session has no id")
    assert (nulls.outcome, nulls.why) == (
        "imported",
        "not all of it: message 5: unknown role 'None' (and 2 more)",
    )
    found = parse((desk.home.sessions / f"{nulls.session_id}.jsonl").read_bytes()).messages
    assert [message.text for message in found] == ["", "12", "1.5", "x"]
    assert desk.meta(nulls.session_id).directory is None
    assert bad.why == "not all of it: its metadata is no valid JSON"
    assert str(bad.session_id).startswith("20261121-120000-")
    assert desk.meta(bad.session_id).model is None
    assert (lost.source_id, lost.outcome) == ("s9", "failed")


@pytest.mark.parametrize(
    "stored", ["{oops", "[1]", "7", "[" * 1100 + "]" * 1100, '{"a":' + "[" * 500 + "]" * 500 + "}"]
)
def test_metadata_that_can_not_be_kept_is_told(atmos: Desk, stored: str) -> None:
    atmos.atmos_session(metadata=stored)
    atmos.atmos_messages(("user", "hi"))
    done = atmos.one()
    assert done.outcome == "imported"
    assert done.why.startswith("not all of it: its metadata is no ")
    assert "metadata" not in atmos.meta(done.session_id).fields


def test_a_session_of_which_nothing_can_be_read_fails(atuin: Desk) -> None:
    atuin.atuin_session()
    atuin.raw_event("e1", "text", None, "")
    done = atuin.one()
    assert (done.outcome, done.session_id) == ("failed", None)
    assert list(atuin.home.sessions.iterdir()) == []


def test_ids_that_come_twice(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ATUIN.replace("TEXT PRIMARY KEY", "TEXT"))
    desk.atuin_session()
    desk.atuin_session()
    desk.event("e1", "user_message", None, content="a")
    desk.event("e1", "text", "e1", content="b")
    desk.event("odd id", "text", "e1", content="c")
    first, second = desk.bring()
    assert [line["id"] for line in desk.lines(first.session_id)] == ["e1", "e1-2", "atuin-3"]
    assert (second.outcome, second.why) == ("failed", "another session of the store has this id")
    assert desk.outcomes() == ["skipped", "failed"]


def test_a_message_longer_than_a_line_may_be_is_left_out(
    atmos: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vault_sessions.transfer import foreign, store

    monkeypatch.setattr(foreign, "MAX_LINE", 1_000)
    monkeypatch.setattr(store, "MAX_LINE", 2_000)
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"), ("assistant", "x" * 1_500), ("user", "y" * 5_000))
    atmos.atmos_messages(("assistant", "b"))
    done = atmos.one()
    assert contents(atmos.lines(done.session_id)) == ["a", "b"]
    assert done.why.endswith("(and 1 more)")
    assert _parents(atmos, done.session_id)[1] == ("atmos-4", "atmos-1")


# --- damaged, locked and live stores -------------------------------------------------------------


def _filled(desk: Desk, sessions: int = 30) -> None:
    with closing(sqlite3.connect(desk.store)) as store:
        for number in range(sessions):
            row = (f"s{number}", f"name {number}", "/p", "m", "p", "", GO_TIME, GO_TIME, "null")
            store.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            for each in range(4):
                said = (f"s{number}", "user", f"message {each} " + "x" * 2_000, GO_TIME)
                sql = (
                    "INSERT INTO messages (session_id, role, content, created_at) VALUES (?,?,?,?)"
                )
                store.execute(sql, said)
        store.commit()


def test_a_damaged_store_gives_what_can_be_read_or_says_why_not(tmp_path: Path) -> None:
    """Pages of zeros, noise and a cut, at every place of the file: never a traceback."""
    desk = Desk(tmp_path)
    _filled(desk, 6)
    whole = desk.store.read_bytes()
    some = 0
    for start in range(0, len(whole), 4096):
        for damage in (bytes(4096), random.Random(start).randbytes(4096), None):
            end = len(whole) if damage is None else start + 4096
            desk.store.write_bytes(whole[:start] + (damage or b"") + whole[end:])
            try:
                done = desk.bring(dry_run=damage is not None)
            except VaultError as error:
                said = str(error)
                assert str(desk.store) in said  # one of several ways it may end
                continue
            some += any(each.outcome == "imported" for each in done)
            assert all(each.why for each in done if each.outcome == "failed")
    assert some > len(whole) / 4096
    for path in desk.home.sessions.glob("*.jsonl"):
        assert len(desk.transcript(path.stem).messages) <= 4


def test_a_store_in_use_is_read_with_what_is_only_in_its_log(atmos: Desk) -> None:
    """A WAL that nobody has merged yet, and a writer in the middle of a transaction."""
    atmos.atmos_session()
    with closing(sqlite3.connect(atmos.store, isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode = WAL").fetchall()
        live.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        sql = "INSERT INTO messages (session_id, role, content, created_at) VALUES (?, ?, ?, ?)"
        live.execute(sql, ("s1", "user", "in the log", GO_TIME))
        live.execute("BEGIN IMMEDIATE")
        live.execute("DELETE FROM messages")
        before = tree(atmos.store.parent)
        assert Path(f"{atmos.store}-wal").stat().st_size > 0
        done = atmos.one()
        assert contents(atmos.lines(done.session_id)) == ["in the log"]
        assert tree(atmos.store.parent) == before


def test_a_store_whose_writer_died_is_read_as_it_was_before_its_last_transaction(
    atmos: Desk,
) -> None:
    """A journal is left behind: SQLite would roll it back in the store itself."""
    atmos.atmos_session()
    atmos.atmos_messages(("user", "kept"))
    script = (
        "import sqlite3, os, sys\n"
        "store = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "store.execute('PRAGMA cache_size = 1')\n"
        "store.execute('BEGIN')\n"
        "store.execute(\"UPDATE messages SET content = 'torn'\")\n"
        "for n in range(50):\n"
        "    store.execute('INSERT INTO messages (session_id, role, content, created_at) '\n"
        "        'VALUES (?, ?, ?, ?)', ('s1', 'user', 'x' * 9000, ''))\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(atmos.store)], check=False)
    before = tree(atmos.store.parent)
    assert f"{atmos.store.name}-journal" in before
    assert contents(atmos.lines(atmos.one().session_id)) == ["kept"]
    assert tree(atmos.store.parent) == before


def test_a_store_in_a_folder_that_can_only_be_read(atmos: Desk) -> None:
    atmos.write("PRAGMA journal_mode = WAL")
    atmos.atmos_session()
    atmos.atmos_messages(("user", "hi"))
    atmos.store.chmod(0o400)
    atmos.store.parent.chmod(0o500)
    try:
        assert atmos.one().outcome == "imported"
        assert [path.name for path in atmos.store.parent.iterdir()] == [atmos.store.name]
    finally:
        atmos.store.parent.chmod(0o700)


def test_a_link_to_a_store_is_followed_with_its_log(atmos: Desk, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(atmos.store)
    with closing(sqlite3.connect(atmos.store)) as live:
        live.execute("PRAGMA journal_mode = WAL")
        atmos.atmos_session()
        atmos.atmos_messages(("user", "hi"))
        atmos.store = tmp_path / "link.db"
        assert atmos.one().outcome == "imported"


def test_nothing_of_the_store_stays_behind(
    atmos: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    atmos.atmos_session()
    atmos.atmos_messages(("user", "hi"))
    atmos.bring()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_trigger_or_a_view_of_the_store_runs_nothing(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "hi"))
    atmos.write(
        "CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM sessions; END;"
        "DROP TABLE session_context; CREATE VIEW session_context AS SELECT 1/0 AS session_id"
    )
    assert atmos.one().outcome == "imported"


# --- again ---------------------------------------------------------------------------------------


def test_again_brings_nothing_and_writes_nothing(atmos: Desk) -> None:
    _filled(atmos, 3)
    atmos.bring()
    before = tree(atmos.home.vault)
    assert [(done.outcome, done.why) for done in atmos.bring()] == [("skipped", "unchanged")] * 3
    assert tree(atmos.home.vault) == before


def test_what_the_source_has_gained_is_appended(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"), ("assistant", "b"))
    first = atmos.one()
    old = (atmos.home.sessions / f"{first.session_id}.jsonl").read_bytes()
    # compacted there since: the flag of old messages changes, which is no edit
    atmos.write("UPDATE messages SET archived = 1")
    atmos.atmos_messages(("user", "c"), ("assistant", "d"))
    again = atmos.one()
    assert again == Imported("s1", first.session_id, "vpc", "updated", "2 new messages")
    new = (atmos.home.sessions / f"{first.session_id}.jsonl").read_bytes()
    assert new.startswith(old)
    assert contents(atmos.lines(first.session_id)) == ["a", "b", "c", "d"]
    assert atmos.outcomes() == ["skipped"]


def test_a_branch_that_the_source_has_gained_keeps_its_parent(atuin: Desk) -> None:
    atuin.atuin_session(head_id="b")
    for name, parent in (("r", None), ("a", "r"), ("b", "r"), ("c", "a")):
        atuin.event(name, "user_message", parent, content=name)
    session_id = atuin.one().session_id
    atuin.event("d", "user_message", "a", content="d")
    atuin.event("e", "text", "d", content="e")
    atuin.write("UPDATE sessions SET head_id = 'e'")
    assert atuin.one().why == "2 new messages"
    assert dict(_parents(atuin, session_id)) == {
        "r": None,
        "a": "r",
        "b": "r",
        "c": "a",
        "d": "a",
        "e": "d",
    }
    assert atuin.outcomes() == ["skipped"]


def test_a_session_that_was_ended_there_since_ends_here(atuin: Desk) -> None:
    atuin.atuin_session()
    atuin.event("e1", "user_message", None, content="hi")
    session_id = atuin.one().session_id
    atuin.write(f"UPDATE sessions SET archived_at = {START + 60}")
    assert atuin.one() == Imported("s1", session_id, None, "updated", "ended in the source")
    assert atuin.meta(session_id).end_reason == "new"
    assert atuin.outcomes() == ["skipped"]


LINE = b'{"role":"user","content":"here","id":"mine"}\n'


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda data: data + LINE, id="gone on here"),
        pytest.param(lambda data: data.replace(b'"b"', b'"B"'), id="a word changed"),
        pytest.param(lambda data: b"".join(data.splitlines(True)[1:]), id="the first taken out"),
        pytest.param(lambda data: b"".join(data.splitlines(True)[:-1]), id="the last taken out"),
        pytest.param(lambda data: b"", id="all taken out"),
        pytest.param(lambda data: b"<<<<<<< ours\n" + data, id="broken"),
    ],
)
def test_what_was_changed_here_is_left_alone(atmos: Desk, edit: Any) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"), ("assistant", "b"))
    path = atmos.home.sessions / f"{atmos.one().session_id}.jsonl"
    path.write_bytes(edit(path.read_bytes()))
    atmos.atmos_messages(("user", "c"))
    before = tree(atmos.home.vault)
    done = atmos.one()
    assert done.outcome == "skipped"
    assert done.why.startswith("changed here; ")
    assert done.why.endswith("of the source not brought over")
    assert tree(atmos.home.vault) == before


def test_gone_on_here_and_nothing_new_there_is_unchanged(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"))
    path = atmos.home.sessions / f"{atmos.one().session_id}.jsonl"
    path.write_bytes(path.read_bytes() + LINE)
    assert atmos.one().why == "unchanged"


def test_renamed_and_noted_here_it_is_still_the_same(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"))
    session_id = atmos.one().session_id
    atmos.home.output("rename", "vpc", "network")
    atmos.atmos_messages(("assistant", "b"))
    assert atmos.one() == Imported("s1", session_id, "network", "updated", "1 new message")


def test_a_session_open_in_a_chat_is_left_alone(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"))
    session_id = str(atmos.one().session_id)
    atmos.atmos_messages(("assistant", "b"))
    lease = State(atmos.state.folder).lease(session_id, NOW)
    assert lease is not None
    assert atmos.one().why == "open in a chat; end that and import again"
    lease.release()
    assert atmos.one().outcome == "updated"


def test_two_machines_give_a_session_the_same_id(tmp_path: Path) -> None:
    """So that what both import into a synced vault is one session."""
    ids = []
    for machine in ("one", "two"):
        desk = Desk(tmp_path / machine, ATUIN)
        desk.atuin_session()
        desk.event("e1", "user_message", None, content="hi")
        ids.append(desk.one().session_id)
    assert ids[0] == ids[1]


def test_an_id_that_is_taken_is_not_taken_twice(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "hi"))
    first = atmos.one().session_id
    (atmos.home.sessions / f"{first}.meta.json").unlink()
    (atmos.home.sessions / f"{first}.jsonl").write_bytes(LINE)
    second = atmos.one()
    assert second.outcome == "imported"
    assert second.session_id != first


def test_a_session_that_lost_its_metadata_gets_it_again(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "hi"))
    first = atmos.one()
    (atmos.home.sessions / f"{first.session_id}.meta.json").unlink()
    assert atmos.one() == first
    assert atmos.meta(first.session_id).name == "vpc"


def test_metadata_of_a_newer_program_is_left_alone(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "hi"))
    path = atmos.home.sessions / f"{atmos.one().session_id}.meta.json"
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    atmos.atmos_messages(("user", "more"))
    before = tree(atmos.home.vault)
    assert atmos.one().outcome == "skipped"
    assert tree(atmos.home.vault) == before


@pytest.mark.parametrize("ending", [".jsonl", ".meta.json"])
def test_a_session_that_is_only_in_the_cloud_is_not_made_again(atmos: Desk, ending: str) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "hi"))
    name = f"{atmos.one().session_id}{ending}"
    (atmos.home.sessions / name).rename(atmos.home.sessions / f".{name}.icloud")
    before = tree(atmos.home.vault)
    atmos.atmos_messages(("user", "more"))
    done = atmos.one()
    assert (done.outcome, done.why) == (
        "skipped",
        "kept in the cloud, not on this machine; not read",
    )
    assert tree(atmos.home.vault) == before


# --- writing -------------------------------------------------------------------------------------


def test_a_dry_run_says_the_same_and_writes_nothing(atmos: Desk) -> None:
    _filled(atmos, 2)
    atmos.atmos_session("name 0", "s9")
    atmos.atmos_messages(("user", "hi"), session="s9")
    before = tree(atmos.home.vault)
    dry = atmos.bring(dry_run=True)
    assert tree(atmos.home.vault) == before
    real = atmos.bring()
    assert [done._replace(session_id=None) for done in real] == dry
    assert [done.name for done in dry] == ["name 0", "name 1", "name 0-2"]
    atmos.atmos_messages(("user", "more"), session="s9")
    before = tree(atmos.home.vault)
    assert [done.outcome for done in atmos.bring(dry_run=True)][-1] == "updated"
    assert tree(atmos.home.vault) == before


def test_killed_at_any_write_the_next_import_completes_it(tmp_path: Path) -> None:
    """The process dies before each file gets its name; what is there is whole, then and after."""
    killer = (
        "import os, sys\n"
        "from datetime import datetime, UTC\n"
        "from vault_sessions.state import State\n"
        "from vault_sessions.vault import open_vault\n"
        "from vault_sessions.transfer.foreign import import_store\n"
        "left = int(sys.argv[4])\n"
        "def dying(call):\n"
        "    def named(*names):\n"
        "        global left\n"
        "        left -= 1\n"
        "        if left < 0: os._exit(9)\n"
        "        call(*names)\n"
        "    return named\n"
        "os.replace, os.rename, os.link = map(dying, (os.replace, os.rename, os.link))\n"
        "vault, state = open_vault(sys.argv[1]), State(sys.argv[2])\n"
        "import_store(vault, state, sys.argv[3], datetime.now(UTC), lambda n: 7)\n"
    )
    for writes in range(5):
        desk = Desk(tmp_path / str(writes))
        _filled(desk, 2)
        names = (desk.vault.root, desk.state.folder, str(desk.store), str(writes))
        done = subprocess.run([sys.executable, "-c", killer, *names], check=False)
        assert done.returncode == (9 if writes < 4 else 0)
        for path in desk.home.sessions.glob("[!.]*.jsonl"):
            assert len(desk.transcript(path.stem).messages) == 4
        desk.bring()
        assert desk.outcomes() == ["skipped", "skipped"]
        sessions = {path.stem for path in desk.home.sessions.glob("[!.]*.jsonl")}
        assert {desk.meta(stem).name for stem in sessions} == {"name 0", "name 1"}
        assert len(sessions) == 2


def test_a_session_without_its_transcript_gets_it_again(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"))
    session_id = atmos.one().session_id
    (atmos.home.sessions / f"{session_id}.jsonl").unlink()
    assert atmos.one() == Imported("s1", session_id, "vpc", "imported", "")
    assert contents(atmos.lines(session_id)) == ["a"]


def test_killed_in_the_middle_of_appending_the_next_import_completes_it(atmos: Desk) -> None:
    atmos.atmos_session()
    atmos.atmos_messages(("user", "a"))
    session_id = atmos.one().session_id
    atmos.atmos_messages(("assistant", "b"), ("user", "c"))
    path = atmos.home.sessions / f"{session_id}.jsonl"
    old = path.read_bytes()
    assert atmos.one().outcome == "updated"
    whole = path.read_bytes()
    meta = atmos.home.sessions / f"{session_id}.meta.json"
    meta.write_bytes(meta.read_bytes().replace(b'"atmos-3"', b'"atmos-1"'))
    path.write_bytes(whole[: len(old) + 20])
    atmos.one()
    found = parse(path.read_bytes())
    assert [message.text for message in found.messages] == ["a", "b", "c"]


def test_two_imports_at_once_bring_a_session_over_once(atmos: Desk) -> None:
    _filled(atmos, 10)
    script = (
        "import sys\n"
        "from datetime import datetime, UTC\n"
        "from vault_sessions.state import State\n"
        "from vault_sessions.vault import open_vault\n"
        "from vault_sessions.transfer.foreign import import_store\n"
        "vault, state = open_vault(sys.argv[1]), State(sys.argv[2])\n"
        "import_store(vault, state, sys.argv[3], datetime.now(UTC), lambda n: 7)\n"
    )
    names = (atmos.vault.root, atmos.state.folder, str(atmos.store))
    with atmos.state.lock(NAMES):
        both = [subprocess.Popen([sys.executable, "-c", script, *names]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(list(atmos.home.sessions.glob("*.jsonl"))) == 10


def test_a_vault_that_can_not_be_written_is_said_for_each(atmos: Desk) -> None:
    if os.geteuid() == 0:
        # root may write anywhere: a file in the place of the folder stops it too
        shutil.rmtree(atmos.home.sessions)
        atmos.home.sessions.write_bytes(b"")
    else:
        atmos.home.sessions.chmod(0o500)
    _filled(atmos, 2)
    done = atmos.bring()
    assert [each.outcome for each in done] == ["failed", "failed"]
    assert all("atlas/memory/sessions" in each.why for each in done)


def test_what_was_brought_over_is_listed_and_found(atuin: Desk) -> None:
    atuin.atuin_session()
    atuin.event("e1", "user_message", None, content="how do I unzip a tarball?")
    atuin.event("e2", "tool_call", "e1", id="t", name="run", input={"command": "tar xf"})
    atuin.event("e3", "tool_result", "e2", tool_use_id="t", content="done", is_error=False)
    session_id = atuin.one().session_id
    (row,) = atuin.home.json("list")
    assert (row["id"], row["problems"], row["message_count"]) == (session_id, 0, 3)
    (hit,) = atuin.home.json("search", "tarball")
    assert hit["session_id"] == session_id
    assert atuin.home.run("doctor").returncode == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers() | st.text() | st.binary(),
            st.none() | st.integers() | st.floats() | st.text() | st.binary(),
            st.none() | st.text() | st.integers(-(2**63), 2**63 - 1) | st.floats(),
        ),
        max_size=6,
    )
)
def test_no_row_of_any_types_stops_an_import(rows: Sequence[tuple[Any, ...]]) -> None:
    from tempfile import TemporaryDirectory

    loose = "CREATE TABLE sessions (id, project_path, name, created_at, metadata);"
    loose += "CREATE TABLE messages (session_id, role, content, created_at, archived)"
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder), loose)
        for number, (one, two, three) in enumerate(rows):
            small = one if not isinstance(one, int) or abs(one) < 2**63 else 1
            session = ("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", small, two, two, three, two)
            said = ("INSERT INTO messages VALUES (?, 'user', ?, ?, ?)", small, two, three, number)
            try:
                desk.write("", session, said)
            except (sqlite3.Error, UnicodeEncodeError, OverflowError):
                return
        for done in desk.bring():
            if done.session_id:
                desk.transcript(done.session_id)
                desk.meta(done.session_id)
        assert {done.outcome for done in desk.bring()} <= {"skipped", "failed"}

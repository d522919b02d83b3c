"""``SessionManager``: what Atmos's Go package offers, over files that anybody may edit."""

from __future__ import annotations

import multiprocessing
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home, make_home, message, write_session

import vault_sessions
from vault_sessions import SessionManager, Workspace, session_manager
from vault_sessions.errors import NameTaken, SessionGone, SessionNotFound, VaultError
from vault_sessions.formats.transcript import active_branch, covered_hash, parse
from vault_sessions.session_manager import (
    CONTEXT_TYPE_ATMOS_MD,
    CONTEXT_TYPE_COMPONENT,
    CONTEXT_TYPE_STACK_FILE,
    DEFAULT_MAX_SESSIONS,
    DEFAULT_RETENTION_DAYS,
    CompactConfig,
    ContextItem,
    CreateSessionParams,
    ExportOptions,
    ImportOptions,
    Message,
    default_compact_config,
    validate_checkpoint_file,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = make_home(tmp_path)
    for name in ("CACHE", "STATE", "CONFIG"):
        name = f"VAULT_SESSIONS_{name}"
        monkeypatch.setenv(name, home.environment[name])
    return home


@pytest.fixture
def ws(home: Home) -> Iterator[Workspace]:
    with Workspace.open(home.vault, clock=lambda: NOW, directory=str(home.folder)) as ws:
        yield ws


@pytest.fixture
def sessions(ws: Workspace) -> SessionManager:
    return SessionManager(ws)


def repository(folder: Path) -> Path:
    (folder / ".git").mkdir(parents=True)
    return folder


def stamp(days: float, seconds: float = 0) -> str:
    """So long before now."""
    at = NOW - timedelta(days=days, seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def meta_of(home: Home, session_id: str) -> dict[str, Any]:
    path = home.sessions / f"{session_id}.meta.json"
    fields: dict[str, Any] = orjson.loads(path.read_bytes())
    return fields


def chat_session(home: Home, stem: str, count: int, **meta: Any) -> None:
    lines = [
        message(f"line {n}", "assistant" if n % 2 else "user", id=f"m{n}", created_at=stamp(1, -n))
        for n in range(count)
    ]
    write_session(home, stem, *lines, **{"version": 1, "id": stem, **meta})


# --- sessions ------------------------------------------------------------------------------------


def test_a_session_is_made_with_what_was_given(sessions: SessionManager, home: Home) -> None:
    """Its metadata is on disk at once; a transcript comes with the first message."""
    made = sessions.create_session(
        "vpc-migration", "gpt-5", "openai", "reviewer", {"ticket": "INFRA-142", "n": [1, None]}
    )
    assert made._asdict() == {
        "id": made.id,
        "name": "vpc-migration",
        "project_path": str(home.folder),
        "model": "gpt-5",
        "provider": "openai",
        "skill": "reviewer",
        "created_at": NOW,
        "updated_at": NOW,
        "metadata": {"ticket": "INFRA-142", "n": [1, None]},
        "message_count": 0,
    }
    assert sessions.get_session(made.id) == made
    assert sessions.get_session_by_name("VPC-Migration") == made
    assert sessions.list_sessions() == [made]
    assert sorted(p.name for p in home.sessions.iterdir()) == [f"{made.id}.meta.json"]
    assert meta_of(home, made.id)["metadata"] == {"ticket": "INFRA-142", "n": [1, None]}


def test_a_session_needs_no_name(sessions: SessionManager) -> None:
    """Atmos makes one of the time; here it has none, and its id and topic tell it apart."""
    made = sessions.create_session()
    assert made.name is None
    assert sessions.create_session("").name is None
    assert sessions.get_messages(made.id) == []


def test_parameters_are_values_too(sessions: SessionManager, tmp_path: Path) -> None:
    """Each has the fields of the call that it is for."""
    made = sessions.create_session(**CreateSessionParams("x", metadata={"a": 1})._asdict())
    assert (made.name, made.metadata) == ("x", {"a": 1})
    sessions.add_message(made.id, "user", "hi")
    sessions.export_session(made.id, tmp_path / "x.md", **ExportOptions()._asdict())
    assert sessions.import_session(tmp_path / "x.md", **ImportOptions("y")._asdict()).name == "y"


def test_names_are_unique_in_the_vault(ws: Workspace, tmp_path: Path) -> None:
    """Whatever the project, and folded; Atmos keeps them by project."""
    one, two = (SessionManager(ws, tmp_path / name) for name in ("one", "two"))
    one.create_session("Plan")
    with pytest.raises(NameTaken, match="'plan' is the name of"):
        two.create_session("plan")
    with pytest.raises(SessionNotFound, match=r"no session named 'Plan' in .*/two\."):
        two.get_session_by_name("Plan")
    other = two.create_session("other")
    with pytest.raises(NameTaken):
        two.update_session(other._replace(name="PLAN"))


@pytest.mark.parametrize("name", ["a\nb", "x" * 101, " "])
def test_what_can_be_no_name_is_refused(sessions: SessionManager, name: str) -> None:
    with pytest.raises(VaultError, match="can't be a name"):
        sessions.create_session(name)
    assert sessions.list_sessions() == []


@pytest.mark.parametrize("metadata", [{"at": object()}, {1: 2}, {"big": 1 << 70}, {"s": "\ud800"}])
def test_metadata_is_what_json_can_hold(sessions: SessionManager, metadata: Any) -> None:
    with pytest.raises(VaultError, match="Only what JSON can hold"):
        sessions.create_session("x", metadata=metadata)
    assert sessions.list_sessions() == []


def test_an_id_is_given_whole(sessions: SessionManager) -> None:
    """Neither a name nor the beginning of an id is one."""
    made = sessions.create_session("named")
    for given in ("named", made.id[:15], "", "nobody"):
        with pytest.raises(SessionNotFound, match="no session of the id"):
            sessions.get_session(given)
        with pytest.raises(SessionNotFound):
            sessions.add_message(given, "user", "x")
        with pytest.raises(SessionNotFound):
            sessions.get_messages(given)
        with pytest.raises(SessionNotFound):
            sessions.delete_session(given)
        with pytest.raises(SessionNotFound):
            sessions.add_context(given, "setting", "k", "v")
    with pytest.raises(SessionNotFound):
        sessions.get_session_by_name(made.id)


def test_update_writes_what_differs(sessions: SessionManager, home: Home) -> None:
    """What somebody else wrote into the metadata meanwhile stays; what is derived is not set."""
    made = sessions.create_session("before", metadata={"a": 1})
    path = home.sessions / f"{made.id}.meta.json"
    path.write_text(path.read_text().replace('"version"', '"mine": "kept",\n  "version"'))
    done = sessions.update_session(
        made._replace(name="after", model="m2", skill="s", metadata={"b": 2}, updated_at=None)
    )
    assert (done.name, done.model, done.skill, done.metadata) == ("after", "m2", "s", {"b": 2})
    assert done.updated_at == NOW
    assert meta_of(home, made.id)["mine"] == "kept"
    written = path.read_bytes()
    assert sessions.update_session(done) == done
    assert path.read_bytes() == written
    cleared = sessions.update_session(done._replace(name=None, model=None, metadata={}))
    assert (cleared.name, cleared.model, cleared.metadata) == (None, None, {})
    assert "metadata" not in meta_of(home, made.id)
    with pytest.raises(SessionNotFound):
        sessions.update_session(made._replace(id="nobody"))


def test_edits_on_disk_are_seen(sessions: SessionManager, home: Home) -> None:
    """A long-lived manager asks the files, not its memory."""
    made = sessions.create_session("one")
    (home.sessions / f"{made.id}.jsonl").write_bytes(message("typed by hand"))
    assert sessions.get_message_count(made.id) == 1
    assert [m.content for m in sessions.get_messages(made.id)] == ["typed by hand"]
    path = home.sessions / f"{made.id}.meta.json"
    path.write_text(path.read_text().replace('"one"', '"two"'))
    assert sessions.get_session(made.id).name == "two"
    write_session(home, "notes", message("hello"))
    assert sessions.get_session("notes").message_count == 1


def test_delete_moves_to_the_trash(sessions: SessionManager, ws: Workspace) -> None:
    """In Atmos it is gone; here restore brings it back. None that is open in a chat is taken."""
    made = sessions.create_session("one")
    sessions.add_message(made.id, "user", "hi")
    lease = ws.state.lease(made.id, NOW)
    assert lease is not None
    with pytest.raises(VaultError, match="open in a chat"):
        sessions.delete_session(made.id)
    lease.release()
    sessions.delete_session(made.id)
    assert sessions.list_sessions() == []
    with pytest.raises(SessionNotFound):
        sessions.get_messages(made.id)
    assert ws.trash.restore("one").id == made.id
    assert sessions.get_message_count(made.id) == 1


def test_none_is_hidden(ws: Workspace, home: Home) -> None:
    """In Atmos max_sessions cuts the list off; here only ended sessions go, and to the trash."""
    for number in range(60):
        write_session(home, f"s{number:02}", message("hi", created_at=stamp(number + 1)))
    assert DEFAULT_MAX_SESSIONS is None
    assert len(SessionManager(ws).list_sessions()) == 60
    few = SessionManager(ws, max_sessions=10)
    few.create_session("new")
    assert len(few.list_sessions()) == 61
    assert few.list_sessions()[0].name == "new"


def test_too_many_sessions_lose_the_oldest_ended_ones(ws: Workspace, home: Home) -> None:
    """When one more is made, of this project only, and never one that is open."""
    ours, theirs = str(home.folder / "ours"), str(home.folder / "theirs")
    for days in range(1, 6):
        line = message("hi", created_at=stamp(days))
        ended = {"ended_at": stamp(days)} if days != 5 else {}
        write_session(home, f"ours{days}", line, directory=ours, **ended)
        write_session(home, f"theirs{days}", line, directory=theirs, ended_at=stamp(days))
    manager = SessionManager(ws, ours, max_sessions=4)
    made = manager.create_session()
    left = {row.id for row in manager.list_sessions()}
    assert left == {made.id, "ours1", "ours2", "ours5"}
    assert len(SessionManager(ws, theirs).list_sessions()) == 5
    assert {one.session_id for one in ws.trash.sessions()} == {"ours3", "ours4"}


def test_no_limit_may_be_said_in_two_ways(ws: Workspace, home: Home) -> None:
    """In Go 0 is what nobody has set; it costs no session here."""
    write_session(home, "done", message("hi", created_at=stamp(3)), ended_at=stamp(2))
    SessionManager(ws, max_sessions=0).create_session()
    assert len(SessionManager(ws).list_sessions()) == 2


# --- projects ------------------------------------------------------------------------------------


def test_a_project_is_a_repository_or_a_directory(ws: Workspace, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "deep").mkdir()
    inner, outer = SessionManager(ws, repo / "deep"), SessionManager(ws, str(repo))
    made = inner.create_session("here")
    assert made.project_path == str(repo)
    assert outer.list_sessions() == [made]
    plain = SessionManager(ws, tmp_path)
    other = plain.create_session("there")
    assert other.project_path == str(tmp_path)
    assert plain.list_sessions() == [other]
    assert {row.name for row in SessionManager(ws).list_sessions()} == {"here", "there"}
    assert inner.get_session(other.id) == other


def test_what_atmos_recorded_belongs_to_its_project(
    ws: Workspace, home: Home, tmp_path: Path
) -> None:
    """It knows a directory only, which may lie inside a repository."""
    repo = repository(tmp_path / "repo")
    chat_session(home, "old", 2, directory=str(repo / "infra"))
    assert len(SessionManager(ws, repo / "infra").list_sessions()) == 1
    assert SessionManager(ws, repo).list_sessions() == []


def test_a_folder_whose_name_is_no_utf8_is_a_project_too(ws: Workspace, tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    manager = SessionManager(ws, folder)
    made = manager.create_session("x")
    manager.add_message(made.id, "user", "hi")
    manager.export_session(made.id, tmp_path / "x.json")
    copy = SessionManager(ws).import_session(tmp_path / "x.json", name="y", project_path=folder)
    assert {row.id for row in manager.list_sessions()} == {made.id, copy.id}


# --- clean ---------------------------------------------------------------------------------------


def test_clean_is_exact_and_counts(sessions: SessionManager, home: Home) -> None:
    """At least so many days ago, to the millisecond; what is kept is not counted."""
    write_session(home, "exactly", message("a", created_at=stamp(30)))
    write_session(home, "younger", message("b", created_at=stamp(30, -0.001)))
    write_session(home, "older", message("c", created_at=stamp(31)))
    assert DEFAULT_RETENTION_DAYS == 30
    assert sessions.clean_old_sessions() == 2
    assert [row.id for row in sessions.list_sessions()] == ["younger"]
    assert sessions.clean_old_sessions(31) == 0
    assert sessions.clean_old_sessions(10**12) == 0
    assert sessions.clean_old_sessions(0) == 1


@pytest.mark.parametrize("days", [-1, 1.5, True, "30", None, float("nan")])
def test_clean_takes_whole_days_only(sessions: SessionManager, home: Home, days: Any) -> None:
    """Atmos takes -1 for thirty."""
    write_session(home, "old", message("a", created_at=stamp(300)))
    with pytest.raises(VaultError, match="give a whole number of days"):
        sessions.clean_old_sessions(days)
    assert len(sessions.list_sessions()) == 1


def test_clean_stays_in_its_project(ws: Workspace, home: Home, tmp_path: Path) -> None:
    """Atmos's deletes the old sessions of every project in the database."""
    ours, theirs = repository(tmp_path / "ours"), repository(tmp_path / "theirs")
    for name, repo in (("a", ours), ("b", theirs)):
        lines = message("hi", created_at=stamp(99))
        write_session(home, name, lines, git_root=str(repo), directory=str(repo))
    write_session(home, "nowhere", message("hi", created_at=stamp(99)))
    assert SessionManager(ws, ours).clean_old_sessions(30) == 1
    assert {row.id for row in SessionManager(ws).list_sessions()} == {"b", "nowhere"}
    assert SessionManager(ws).clean_old_sessions(30) == 2


def test_clean_leaves_what_is_in_use(sessions: SessionManager, ws: Workspace, home: Home) -> None:
    write_session(home, "open", message("hi", created_at=stamp(99)))
    lease = ws.state.lease("open", NOW)
    assert lease is not None
    assert sessions.clean_old_sessions() == 0
    lease.release()
    assert sessions.clean_old_sessions() == 1


# --- messages ------------------------------------------------------------------------------------


def test_messages_come_back_as_they_were_said(
    sessions: SessionManager, ws: Workspace, home: Home
) -> None:
    made = sessions.create_session("talk")
    said = [
        sessions.add_message(made.id, role, text)
        for role, text in [
            ("system", "Be brief."),
            ("user", "Which CIDR?\n\u2028\0 é 🦊"),
            ("assistant", ""),
        ]
    ]
    assert sessions.get_messages(made.id) == said
    assert sessions.get_active_messages(made.id) == said
    assert sessions.get_messages_with_compaction(made.id) == said
    assert sessions.get_message_count(made.id) == 3
    assert sessions.get_session(made.id).message_count == 3
    assert [(m.session_id, m.created_at, m.archived, m.is_summary) for m in said] == [
        (made.id, NOW, False, False)
    ] * 3
    lines = (home.sessions / f"{made.id}.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["role"] for line in lines] == ["system", "user", "assistant"]
    assert [hit.session_id for hit in ws.search("CIDR")] == [made.id]


def test_a_limit_gives_the_newest(sessions: SessionManager, home: Home) -> None:
    """Atmos gives the oldest."""
    chat_session(home, "chat", 6)
    assert [m.id for m in sessions.get_messages("chat", 2)] == ["m4", "m5"]
    assert [m.id for m in sessions.get_active_messages("chat", limit=1)] == ["m5"]
    for limit in (0, -1, 6, 99):
        assert len(sessions.get_messages("chat", limit)) == 6


def test_times_do_not_change_the_order(sessions: SessionManager, home: Home) -> None:
    """Atmos sorts by time as text; a message without one, or from another zone, stays in place."""
    write_session(
        home,
        "zones",
        message("first", id="a", created_at="2026-11-21T12:00:00+05:00"),
        message("second", "assistant", id="b"),
        message("third", id="c", created_at="2026-11-21T08:00:00Z"),
    )
    got = sessions.get_messages("zones")
    assert [m.content for m in got] == ["first", "second", "third"]
    assert [m.created_at for m in got] == [
        datetime(2026, 11, 21, 7, tzinfo=UTC),
        None,
        datetime(2026, 11, 21, 8, tzinfo=UTC),
    ]


def test_the_active_branch_counts(sessions: SessionManager, home: Home) -> None:
    write_session(
        home,
        "branched",
        message("a", id="a"),
        message("b", "assistant", id="b"),
        message("c", id="c"),
        message("b again", id="d", parent_id="a"),
    )
    assert [m.id for m in sessions.get_messages("branched")] == ["a", "d"]
    assert sessions.get_message_count("branched") == 2


@pytest.mark.parametrize("role", ["tool", "User", "", None])
def test_roles_are_checked(sessions: SessionManager, role: Any) -> None:
    made = sessions.create_session()
    with pytest.raises(VaultError, match="give user, assistant or system"):
        sessions.add_message(made.id, role, "x")
    with pytest.raises(VaultError, match="is text, not dict"):
        sessions.add_message(made.id, "user", {"a": 1})  # type: ignore[arg-type]
    assert sessions.get_messages(made.id) == []


def test_what_is_no_text_is_replaced(sessions: SessionManager) -> None:
    """A lone surrogate has no bytes in UTF-8; it costs no message."""
    made = sessions.create_session()
    said = sessions.add_message(made.id, "user", "a\ud800b")
    assert sessions.get_messages(made.id) == [said]
    assert said.content == "a?b"


def test_a_deleted_transcript_is_not_made_again(sessions: SessionManager, home: Home) -> None:
    made = sessions.create_session()
    sessions.add_message(made.id, "user", "one")
    (home.sessions / f"{made.id}.jsonl").unlink()
    (home.sessions / f"{made.id}.meta.json").unlink()
    with pytest.raises((SessionGone, SessionNotFound)):
        sessions.add_message(made.id, "user", "two")
    assert list(home.sessions.iterdir()) == []


def test_a_message_goes_on_with_an_ended_session(sessions: SessionManager, home: Home) -> None:
    """As a chat does that is told its name: the marks of the ending go."""
    chat_session(home, "done", 2, ended_at=stamp(0.5), end_reason="new", duration_seconds=5)
    chat_session(home, "ending", 2, ending={"reason": "new", "at": stamp(0.5)})
    for name in ("done", "ending"):
        sessions.add_message(name, "assistant", "an answer is no going on")
        assert meta_of(home, name).keys() & {"ended_at", "ending"}
        sessions.add_message(name, "user", "one more thing")
        assert not meta_of(home, name).keys() & {"ended_at", "ending", "end_reason"}


def _say(vault: str, session_id: str, who: int) -> None:
    with Workspace.open(vault) as ws:
        for number in range(10):
            SessionManager(ws).add_message(session_id, "user", f"{who}-{number}")
            SessionManager(ws).add_context(session_id, "setting", f"{who}-{number}", "x")


def test_processes_that_write_at_once_lose_nothing(sessions: SessionManager, home: Home) -> None:
    """Neither a message nor a context item."""
    made = sessions.create_session("shared")
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_say, args=(str(home.vault), made.id, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    wanted = {f"{who}-{number}" for who in range(3) for number in range(10)}
    assert {m.content for m in sessions.get_messages(made.id)} == wanted
    assert sessions.get_message_count(made.id) == 30
    assert {item.context_key for item in sessions.get_context(made.id)} == wanted


def _name(vault: str, made: Any) -> None:
    with Workspace.open(vault) as ws:
        try:
            made.put(SessionManager(ws).create_session("wanted").id)
        except NameTaken:
            made.put(None)


def test_of_processes_that_want_a_name_one_gets_it(sessions: SessionManager, home: Home) -> None:
    spawn = multiprocessing.get_context("spawn")
    made = spawn.SimpleQueue()
    rivals = [spawn.Process(target=_name, args=(str(home.vault), made)) for _ in range(3)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    got = sorted(filter(None, (made.get() for _ in rivals)))
    assert got == [session.id for session in sessions.list_sessions()]
    assert len(got) == 1


def test_the_mirror_agrees_after_everything(
    sessions: SessionManager, ws: Workspace, tmp_path: Path
) -> None:
    """Doctor, which reads all files anew and compares, finds nothing wrong."""
    one = sessions.create_session("one", metadata={"a": 1})
    two = sessions.create_session()
    for made in (one, two):
        sessions.add_message(made.id, "user", "hello")
        sessions.add_message(made.id, "assistant", "hi")
        sessions.add_context(made.id, "setting", "k", made.id)
    sessions.update_session(one._replace(name="uno", skill="s"))
    sessions.export_session(one.id, tmp_path / "one.json", include_context=True)
    sessions.import_session(tmp_path / "one.json", name="three", project_path=tmp_path)
    sessions.delete_context(two.id)
    sessions.delete_session(two.id)
    assert [found for found in ws.repair.examine() if found.problem.severity != "note"] == []


# --- summaries -----------------------------------------------------------------------------------


def compacted(home: Home, stem: str, count: int, *through: int) -> None:
    """A session with a summary through each of these messages."""
    chat_session(home, stem, count)
    branch = active_branch(parse((home.sessions / f"{stem}.jsonl").read_bytes()).messages)
    records = [
        {
            "id": f"c{number}",
            "through_message_id": f"m{last}",
            "message_count": last + 1,
            "message_range": f"Messages 1-{last + 1}",
            "covered_hash": covered_hash(branch[: last + 1]),
            "summary": f"Summary {number}.",
            "token_count": 3,
            "method": "ai",
            "provider": "openai",
            "model": "gpt-5",
            "compacted_at": stamp(0.5),
        }
        for number, last in enumerate(through)
    ]
    chat_session(home, stem, count, compactions=records)


def test_the_summary_stands_before_what_follows_it(sessions: SessionManager, home: Home) -> None:
    """In Atmos it is sorted in by the time it was made, behind the messages it precedes."""
    compacted(home, "long", 8, 1, 3)
    got = sessions.get_messages_with_compaction("long")
    assert [m.id for m in got] == ["c1", "m4", "m5", "m6", "m7"]
    assert got[0] == Message(
        "c1", "long", "system", "Summary 1.", NOW - timedelta(days=0.5), is_summary=True
    )
    assert [m.id for m in sessions.get_messages_with_compaction("long", 1)] == ["c1", "m7"]
    assert [m.id for m in sessions.get_active_messages("long")] == ["m4", "m5", "m6", "m7"]
    assert [m.archived for m in sessions.get_messages("long")] == [True] * 4 + [False] * 4
    assert [(s.id, s.original_message_ids) for s in sessions.get_summaries("long")] == [
        ("c0", ("m0", "m1")),
        ("c1", ("m0", "m1", "m2", "m3")),
    ]
    one = sessions.get_summaries("long")[1]
    assert (one.session_id, one.provider, one.message_range) == ("long", "openai", "Messages 1-4")
    assert (one.summary_content, one.token_count) == ("Summary 1.", 3)


def test_an_edited_message_is_not_summed_up(sessions: SessionManager, home: Home) -> None:
    """The summary before it is in force again; without one the messages themselves are active."""
    compacted(home, "long", 8, 1, 3)
    path = home.sessions / "long.jsonl"
    path.write_bytes(path.read_bytes().replace(b"line 3", b"line three"))
    assert [m.id for m in sessions.get_messages_with_compaction("long", 9)][:2] == ["c0", "m2"]
    path.write_bytes(path.read_bytes().replace(b"line 0", b"line nought"))
    assert sessions.get_active_messages("long")[0].id == "m0"
    assert not any(m.is_summary for m in sessions.get_messages_with_compaction("long"))


def test_markers_are_a_setting(home: Home) -> None:
    compacted(home, "long", 4, 1)
    flags = {"ai.sessions.auto_compact.show_summary_markers": "true"}
    with Workspace.open(home.vault, flags=flags) as ws:
        first = SessionManager(ws).get_messages_with_compaction("long")[0]
    assert first.content == "[SUMMARY: Messages 1-2]\nSummary 0.\n[END SUMMARY]"


def test_archived_elsewhere_is_still_active(sessions: SessionManager, home: Home) -> None:
    """No summary here stands for it, so a model is sent it."""
    write_session(home, "imported", message("old", archived=True), message("new"))
    assert [m.archived for m in sessions.get_messages("imported")] == [True, False]
    assert len(sessions.get_active_messages("imported")) == 2


def test_should_compact_is_the_arithmetic_of_the_settings(
    sessions: SessionManager, home: Home
) -> None:
    chat_session(home, "short", 37)
    chat_session(home, "due", 38)
    assert sessions.should_compact(sessions.get_active_messages("short")) is None
    said = sessions.get_active_messages("due")
    plan = sessions.should_compact(said, 50, default_compact_config())
    assert plan is not None
    assert plan == sessions.should_compact(said)
    assert (plan.session_id, plan.total_messages) == ("due", 38)
    assert (plan.messages_to_compact, plan.messages_to_keep) == (tuple(said[:14]), tuple(said[14:]))
    assert plan.estimated_savings == 14 * 2
    assert plan.reason == "38 messages, 38 make a summary due; the first 14 are folded in"


def test_should_compact_takes_other_settings(sessions: SessionManager, home: Home) -> None:
    chat_session(home, "chat", 100)
    said = sessions.get_active_messages("chat")
    off = default_compact_config()._replace(enabled=False)
    assert sessions.should_compact(said, 50, off) is None
    assert sessions.should_compact(said, 0) is None
    assert sessions.should_compact([], 4) is None
    exact = CompactConfig(True, 0.58, 0.58, 10, True, False)
    plan = sessions.should_compact(said, 100, exact)
    assert plan is not None
    assert len(plan.messages_to_compact) == 58  # 57.99999999999999 in binary
    summed = [said[0]._replace(is_summary=True), *said[1:]]
    plan = sessions.should_compact(summed, 50)
    assert plan is not None
    assert plan.messages_to_compact[0] == said[1]


# --- context -------------------------------------------------------------------------------------


def test_context_has_one_value_for_a_type_and_key(sessions: SessionManager, home: Home) -> None:
    """Atmos adds another row each time."""
    made = sessions.create_session()
    sessions.add_context(made.id, CONTEXT_TYPE_COMPONENT, "vpc", "1")
    sessions.add_context(made.id, CONTEXT_TYPE_STACK_FILE, "vpc", "2")
    sessions.add_context(made.id, CONTEXT_TYPE_COMPONENT, "vpc", "drei 🦊")
    assert sessions.get_context(made.id) == [
        ContextItem(made.id, "component", "vpc", "drei 🦊"),
        ContextItem(made.id, "stack_file", "vpc", "2"),
    ]
    with pytest.raises(VaultError, match="Context is text, not int"):
        sessions.add_context(made.id, "setting", "k", 5)  # type: ignore[arg-type]
    sessions.delete_context(made.id)
    sessions.delete_context(made.id)
    assert sessions.get_context(made.id) == []
    assert "context" not in meta_of(home, made.id)


def test_context_that_was_typed_by_hand_stays(sessions: SessionManager, home: Home) -> None:
    """Also what can't be read of it, and what else an item says."""
    items = [{"type": "query", "key": "q", "value": "x", "note": "mine"}, {"type": "odd"}]
    chat_session(home, "hand", 1, context=items)
    sessions.add_context("hand", "query", "q", "y")
    sessions.add_context("hand", "setting", "k", "v")
    assert meta_of(home, "hand")["context"] == [
        {"type": "query", "key": "q", "value": "y", "note": "mine"},
        {"type": "odd"},
        {"type": "setting", "key": "k", "value": "v"},
    ]
    chat_session(home, "single", 1, context={"type": "query", "key": "a", "value": "b"})
    sessions.add_context("single", "query", "c", "d")
    assert len(sessions.get_context("single")) == 2
    write_session(home, "bare", message("hi"))
    sessions.add_context("bare", "setting", "k", "v")
    assert meta_of(home, "bare")["id"] == "bare"


def test_context_is_in_the_mirror_and_travels(
    sessions: SessionManager, ws: Workspace, tmp_path: Path
) -> None:
    made = sessions.create_session("with-context")
    sessions.add_message(made.id, "user", "hi")
    sessions.add_context(made.id, CONTEXT_TYPE_ATMOS_MD, "ATMOS.md", "Use /20 subnets.")
    sessions.add_context(made.id, "setting", "region", "eu-west-1")
    mirror = sqlite3.connect(f"file:{ws.mirror_path}?mode=ro", uri=True)
    rows = mirror.execute("SELECT type, key, value FROM session_context ORDER BY type").fetchall()
    mirror.close()
    assert rows == [
        ("atmos_md", "ATMOS.md", "Use /20 subnets."),
        ("setting", "region", "eu-west-1"),
    ]
    file = tmp_path / "with.yaml"
    sessions.export_session(made.id, file, include_context=True)
    again = sessions.import_session(file, name="again")
    assert [item[1:] for item in sessions.get_context(again.id)] == rows
    bare = sessions.import_session(file, name="bare", include_context=False)
    assert sessions.get_context(bare.id) == []
    sessions.export_session(made.id, tmp_path / "without.json")
    assert b"subnets" not in (tmp_path / "without.json").read_bytes()


# --- files that travel ---------------------------------------------------------------------------


def test_export_and_import(sessions: SessionManager, home: Home, tmp_path: Path) -> None:
    made = sessions.create_session("vpc", "gpt-5", "openai", metadata={"ticket": "A-1"})
    sessions.add_message(made.id, "user", "Which CIDR?")
    file = tmp_path / "vpc.json"
    done = sessions.export_session_by_name("VPC", file)
    assert (done.session_id, done.message_count) == (made.id, 1)
    with pytest.raises(VaultError, match="exists already"):
        sessions.export_session(made.id, file)
    with pytest.raises(VaultError, match="names no format"):
        sessions.export_session(made.id, tmp_path / "vpc.txt")
    with pytest.raises(NameTaken):
        sessions.import_session(file)
    copy = sessions.import_session(file, name="copy")
    assert copy == made._replace(id=copy.id, name="copy", message_count=1)
    texts = [(home.sessions / f"{one.id}.jsonl").read_bytes() for one in (made, copy)]
    assert texts[0] == texts[1]
    replaced = sessions.import_session(file, overwrite_existing=True)
    assert (replaced.name, replaced.metadata) == ("vpc", {"ticket": "A-1"})
    assert made.id not in {row.id for row in sessions.list_sessions()}


def test_an_import_belongs_to_the_project_it_is_made_in(ws: Workspace, tmp_path: Path) -> None:
    """The manager's, or the one given; of no project: where the file says."""
    one, two = (SessionManager(ws, repository(tmp_path / name)) for name in ("one", "two"))
    made = one.create_session("plan")
    one.add_message(made.id, "user", "hi")
    file = tmp_path / "plan.json"
    one.export_session(made.id, file)
    assert two.import_session(file, name="a").project_path == str(tmp_path / "two")
    given = two.import_session(file, name="b", project_path=tmp_path)
    assert given.project_path == str(tmp_path)
    assert SessionManager(ws).import_session(file, name="c").project_path == made.project_path


def test_an_import_replaces_nothing_of_another_project(ws: Workspace, tmp_path: Path) -> None:
    one, two = (SessionManager(ws, repository(tmp_path / name)) for name in ("one", "two"))
    made = one.create_session("plan")
    one.add_message(made.id, "user", "hi")
    file = tmp_path / "plan.json"
    one.export_session(made.id, file)
    with pytest.raises(NameTaken, match="of another project"):
        two.import_session(file, overwrite_existing=True)
    assert two.list_sessions() == []
    assert one.import_session(file, overwrite_existing=True).project_path == made.project_path
    assert {one.session_id for one in ws.trash.sessions()} == {made.id}


def test_a_file_is_checked_without_an_import(sessions: SessionManager, tmp_path: Path) -> None:
    made = sessions.create_session("vpc")
    sessions.add_message(made.id, "user", "hi")
    file = tmp_path / "vpc.yaml"
    sessions.export_session(made.id, file)
    read = validate_checkpoint_file(file)
    assert (read.version, read.session.name, read.messages[0].content) == ("1.0", "vpc", "hi")
    assert read.statistics.message_count == 1
    file.write_text(file.read_text().replace('"1.0"', '"2.0"'))
    with pytest.raises(VaultError, match=r"unsupported checkpoint version: 2\.0"):
        validate_checkpoint_file(file)
    with pytest.raises(VaultError):
        validate_checkpoint_file(tmp_path / "nowhere.json")
    assert len(sessions.list_sessions()) == 1


# --- the module ----------------------------------------------------------------------------------


def test_its_names(ws: Workspace) -> None:
    """``__all__`` is sorted as ruff sorts it, each name is there, and the manager at the top."""
    for name in session_manager.__all__:
        assert hasattr(session_manager, name)
    assert vault_sessions.SessionManager is SessionManager
    assert session_manager.CHECKPOINT_VERSION == "1.0"
    with SessionManager(ws) as sessions:
        sessions.create_session("x")
    sessions.close()
    with pytest.raises(AttributeError):
        sessions.create_session()._replace(id="x").id = "y"  # type: ignore[misc]


def test_the_defaults_of_compaction() -> None:
    assert default_compact_config() == CompactConfig(True, 0.75, 0.4, 10, True, False)


def test_the_example_in_the_documentation_runs(home: Home, tmp_path: Path) -> None:
    """And prints what stands below it."""
    page = (DOCS / "atmos.md").read_text(encoding="utf-8")
    program, printed = re.findall(r"```python\n(.*?)```\n+```\n(.*?)```", page, re.DOTALL)[0]
    script = tmp_path / "example.py"
    script.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=home.vault,
        env={**os.environ, **home.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (printed, "")

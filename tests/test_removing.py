"""``delete``, ``restore`` and ``clean``: sessions to the trash and back, and for good."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import SESSIONS, Home, message, tree, write_session

from vault_sessions.model import Session
from vault_sessions.rules.retention import older_than, too_many

NOW = datetime.now(UTC)


def stamp(days: float) -> str:
    """So many days ago."""
    at = NOW - timedelta(days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def session(home: Home, stem: str, days: float = 0, text: str = "hello", **meta: Any) -> Path:
    lines = [
        message(text, id=f"{stem}-1", created_at=stamp(days)),
        message("yes", "assistant", id=f"{stem}-2", created_at=stamp(days)),
    ]
    return write_session(home, stem, *lines, **meta)


def ids(home: Home) -> set[str]:
    return {row["id"] for row in home.json("list")}


def in_trash(home: Home) -> list[str]:
    found = (home.vault / ".vault-sessions/trash").rglob("*.json*")
    return sorted(path.name for path in found if path.name != "manifest.json")


# --- which ---------------------------------------------------------------------------------------


def row(name: str, updated: str | None, **fields: Any) -> Session:
    given: dict[str, Any] = dict.fromkeys(Session._fields)
    given |= {"id": name, "updated_at": updated, "message_count": 1, "user_messages": 1}
    return Session(**{**given, "problems": 0, "path": "", **fields})


AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("updated", "span", "goes"),
    [
        ("2026-11-20T12:00:00.000Z", timedelta(days=1), True),  # at least so long ago
        ("2026-11-20T12:00:00.001Z", timedelta(days=1), False),
        ("2026-11-21T11:00:00.000Z", timedelta(hours=1), True),  # hours are hours
        ("2026-11-21T11:59:59.000Z", timedelta(), True),  # nothing is everything
        ("2027-01-01T00:00:00.000Z", timedelta(hours=1), False),
        (None, timedelta(days=1), False),
        (None, timedelta(), True),
    ],
)
def test_what_is_old(updated: str | None, span: timedelta, goes: bool) -> None:
    found = older_than([row("a", updated)], span, AT, set())
    assert bool(found.go) is goes


def test_what_is_in_use_stays() -> None:
    rows = [row(name, "2026-01-01T00:00:00.000Z") for name in "ab"]
    found = older_than(rows, timedelta(days=1), AT, {"a"})
    assert [s.id for s in found.go] == ["b"]
    assert [s.id for s in found.in_use] == ["a"]


def test_the_oldest_ended_ones_beyond_the_most() -> None:
    """Open ones count, but never go."""
    rows = [
        row(f"{n}", f"2026-01-0{n}T00:00:00.000Z", ended_at="x" if n != 2 else None)
        for n in range(1, 6)
    ]
    assert [s.id for s in too_many(rows, 3, set()).go] == ["1", "3"]
    assert too_many(rows, 5, set()).go == ()
    assert [s.id for s in too_many(rows, 0, set()).go] == ["1", "3", "4", "5"]


# --- delete and restore --------------------------------------------------------------------------


def test_a_deleted_session_comes_back_as_it_was(home: Home) -> None:
    session(home, "plan", name="Q2 plan", extra={"mine": 1})
    session(home, "other")
    before = tree(home.sessions)
    assert "Deleted Q2 plan (plan)" in home.output("delete", "q2 plan", "--yes")
    assert ids(home) == {"other"}
    assert home.output("search", "hello", "--json").count('"plan"') == 0
    assert in_trash(home) == ["plan.jsonl", "plan.meta.json"]
    (row,) = home.json("restore", "--list")
    assert (row["id"], row["name"], row["why"]) == ("plan", "Q2 plan", "delete")
    assert "Restored Q2 plan (plan)" in home.output("restore", "Q2 plan")
    assert tree(home.sessions) == before
    assert ids(home) == {"plan", "other"}
    assert in_trash(home) == []


def test_without_a_terminal_it_needs_a_yes(home: Home) -> None:
    session(home, "plan")
    assert "--yes" in home.error("delete", "plan", code=2)
    assert ids(home) == {"plan"}


def test_on_a_terminal_it_asks(home: Home) -> None:
    session(home, "plan")
    shown = home.screen("delete", "plan", typed="n\n")
    assert "Move plan to the trash?" in shown.text
    assert ids(home) == {"plan"}
    home.screen("delete", "plan", typed="y\n")
    assert ids(home) == set()


def test_a_session_that_is_open_is_not_deleted(home: Home) -> None:
    session(home, "plan")
    from vault_sessions.state import State

    home.output("rename", "plan", "Plan")
    (folder,) = (home.folder / "state").iterdir()
    lease = State(str(folder)).lease("plan", NOW)
    assert lease is not None
    try:
        assert "open in a chat" in home.error("delete", "plan", "--yes")
    finally:
        lease.release()
    assert ids(home) == {"plan"}


def test_conflict_copies_go_with_their_session(home: Home) -> None:
    """Else what is left of them would become the session again."""
    path = session(home, "20260105-100000-abc234")
    copy = path.with_name("20260105-100000-abc234.sync-conflict-20260106-100000-ABCDEFG.jsonl")
    copy.write_bytes(path.read_bytes())
    home.output("delete", "20260105", "--yes")
    assert os.listdir(home.sessions) == []
    home.output("restore", "20260105-100000-abc234")
    assert path.exists()


def test_nothing_is_put_over_what_is_there_now(home: Home) -> None:
    path = session(home, "plan")
    home.output("delete", "plan", "--yes")
    path.write_bytes(message("another"))
    assert "is there already" in home.error("restore", "plan")
    assert path.read_bytes() == message("another")


def test_a_name_that_is_taken_meanwhile_gets_a_number(home: Home) -> None:
    session(home, "a", name="Plan")
    home.output("delete", "a", "--yes")
    session(home, "b", name="plan")
    assert "Restored Plan-2 (a)" in home.output("restore", "a")
    assert {row["name"] for row in home.json("list")} == {"plan", "Plan-2"}


def test_what_is_not_in_the_trash_is_said(home: Home) -> None:
    assert "restore --list" in home.error("restore", "nothing")
    assert "Which session" in home.error("restore", code=2)


def test_a_manifest_from_elsewhere_leads_nowhere(home: Home) -> None:
    """The trash is synced too, perhaps by somebody else."""
    entry = home.vault / ".vault-sessions/trash/2026-01-01/000000-evil"
    entry.mkdir(parents=True)
    files = [{"path": path} for path in ("../../outside.jsonl", "/etc/passwd", f"{SESSIONS}/x")]
    entry.joinpath("manifest.json").write_bytes(
        orjson.dumps({"at": stamp(1), "why": "?", "moved": True, "files": files})
    )
    assert home.json("restore", "--list") == []
    assert home.json("clean", "--trash", "--yes") == {"removed": 1}
    assert not entry.exists()


# --- clean ---------------------------------------------------------------------------------------


def test_clean_moves_what_was_last_active_long_ago(home: Home) -> None:
    session(home, "old", 40)
    session(home, "new", 1)
    assert "old" in home.output("clean", "--dry-run")
    assert ids(home) == {"old", "new"}
    assert home.output("clean", "--yes") == "Deleted 1 session(s) older than 30d\n"
    assert ids(home) == {"new"}
    assert home.output("clean", "--yes") == "No sessions to clean.\n"
    home.output("restore", "old")
    assert ids(home) == {"old", "new"}


def test_clean_leaves_memory_alone(home: Home) -> None:
    session(home, "old", 40)
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text("## Facts\n- likes tea <!-- 2026-01-01 old#old-1 -->\n")
    home.output("clean", "--older-than", "0d", "--yes")
    assert "likes tea" in facts.read_text()
    assert ids(home) == set()


@pytest.mark.parametrize("span", ["-1d", "1.5d", "1 d", "d", "10", "3y", "", "1d2h"])
def test_a_span_that_is_none_names_what_is_taken(home: Home, span: str) -> None:
    said = home.error("clean", f"--older-than={span}", "--yes", code=2)
    assert "24h, 7d, 2w or 3m" in said


def test_more_than_half_may_go_at_once(home: Home) -> None:
    """It was asked for: nobody takes it for a drive that is not there."""
    for number in range(30):
        session(home, f"s{number}", 40)
    session(home, "new")
    assert "Deleted 30 session(s)" in home.output("clean", "--yes")
    assert ids(home) == {"new"}


def test_the_trash_is_emptied_by_age(home: Home) -> None:
    session(home, "a")
    home.output("delete", "a", "--yes")
    assert "0 entries" in home.output("clean", "--trash", "--older-than", "1d", "--yes")
    assert len(in_trash(home)) == 1
    assert "1 entry" in home.output("clean", "--trash", "--yes")
    assert in_trash(home) == []
    assert "There is no session" in home.error("restore", "a")


def test_max_sessions_holds_at_the_start_of_a_chat(home: Home) -> None:
    for number in range(4):
        session(home, f"s{number}", 10 - number, ended_at=stamp(1))
    home.output("config", "set", "ai.sessions.max_sessions", "2")
    done = home.run("chat", "--new", "-m", "hello")
    assert "max_sessions" in done.stderr
    assert ids(home) >= {"s2", "s3"}
    assert not ids(home) & {"s0", "s1"}


# --- for good ------------------------------------------------------------------------------------

SECRET = "xylophonequagmire"


def everywhere(home: Home) -> list[str]:
    """Where the word stands, in any file of the vault, the cache and the state."""
    found = []
    for folder in ("vault", "cache", "state"):
        for name, data in tree(home.folder / folder).items():
            if SECRET.encode() in data or SECRET[:10].encode() in data:
                found.append(f"{folder}/{name}")
    return found


def test_what_is_purged_stands_nowhere_any_more(home: Home) -> None:
    """Not in the mirror's free pages, the full-text index, the trash, nor among kept lines."""
    path = session(home, "secret", text=f"the word is {SECRET}", name=f"about {SECRET}")
    for number in range(5):
        session(home, f"other{number}", text="something else")
    home.output("list")
    home.output("search", SECRET)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    path.write_bytes(b"")
    home.output("list")  # kept: it is missing now
    home.run("doctor", "--fix")
    path.write_bytes(path.read_bytes() + b"broken\n")
    home.run("doctor", "--fix")  # a copy in the trash
    assert len(everywhere(home)) >= 4
    home.output("delete", "secret", "--purge", "--yes")
    assert everywhere(home) == []
    assert len(ids(home)) == 5
    assert len(json.loads(home.output("search", "something", "--json"))) == 5


def test_with_memory_its_summary_and_facts_go_too(home: Home) -> None:
    session(home, "old", text="hello", name="Old one")
    memory = home.vault / "atlas/memory/long-term"
    facts = memory / "facts.md"
    mine = "## Facts\n- my own\n"
    facts.write_text(mine + f"- likes {SECRET} <!-- 2026-01-01 old#old-1 -->\n- last\n")
    summary = memory / "session-2026-01-01-old.md"
    summary.write_text(f"---\nsession_id: old\n---\n# Old\n\n## Summary\n{SECRET}\n")
    changes = home.vault / "atlas/memory/changes.jsonl"
    log = {"id": "1", "file": "facts.md", "new": f"likes {SECRET}", "session_id": "old"}
    kept = orjson.dumps({"id": "2", "new": "my own", "session_id": "b"}) + b"\n"
    changes.write_bytes(orjson.dumps(log) + b"\n" + kept)
    home.output("search", SECRET)
    done = home.run("delete", "old", "--with-memory", "--purge", "--yes")
    assert SECRET in done.stderr  # shown before it goes
    assert facts.read_text() == mine + "- last\n"
    assert changes.read_bytes() == kept
    assert not summary.exists()
    assert everywhere(home) == []


def test_with_memory_but_to_the_trash(home: Home) -> None:
    session(home, "old")
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text("- likes tea <!-- 2026-01-01 old#old-1 -->\n- last\n")
    home.output("delete", "old", "--with-memory", "--yes")
    assert facts.read_text() == "- last\n"
    (kept,) = (home.vault / ".vault-sessions/trash").rglob("facts.md")
    assert "likes tea" in kept.read_text()


def test_conflict_copies_known_by_what_they_say_go_and_come_back_too(home: Home) -> None:
    """Left behind, one would be a session of its own, with all that was erased."""
    path = session(home, "plan", text=SECRET)
    for name in ("plan-LAPTOP.jsonl", "plan (1).jsonl", "plan 2.jsonl"):
        path.with_name(name).write_bytes(path.read_bytes())
    session(home, "plan-b")  # another session, which shares no message
    before = tree(home.sessions)
    home.output("delete", "plan", "--yes")
    assert ids(home) == {"plan-b"}
    assert [row["id"] for row in home.json("restore", "--list")] == ["plan"]
    home.output("restore", "plan")
    assert tree(home.sessions) == before
    home.output("delete", "plan", "--purge", "--yes")
    assert ids(home) == {"plan-b"}
    assert everywhere(home) == []


def test_a_marked_copy_comes_back_with_its_session(home: Home) -> None:
    path = session(home, "20260105-100000-abc234")
    copy = path.with_name("20260105-100000-abc234.sync-conflict-20260106-100000-ABCDEFG.jsonl")
    copy.write_bytes(path.read_bytes() + message("only here"))
    before = tree(home.sessions)
    home.output("delete", "20260105", "--yes")
    home.output("restore", "20260105-100000-abc234")
    assert tree(home.sessions) == before


def test_what_killed_programs_left_is_erased_too(home: Home) -> None:
    """A temporary file beside the transcript; copies in the trash whose manifest was never
    written."""
    path = session(home, "plan", text=SECRET)
    left = home.vault / ".vault-sessions/trash/2026-01-01/101500-0badf00d" / SESSIONS
    left.mkdir(parents=True)
    for name in ("plan.jsonl", ".plan.jsonl.17-4.tmp", "plan-LAPTOP.jsonl"):
        left.joinpath(name).write_bytes(path.read_bytes())
    left.joinpath("other.jsonl").write_bytes(b"another's\n")
    path.with_name(".plan.jsonl.123-456.tmp").write_bytes(path.read_bytes())
    home.output("delete", "plan", "--purge", "--yes")
    assert everywhere(home) == []
    assert os.listdir(left) == ["other.jsonl"]
    assert "0 entries" in home.output("clean", "--trash", "--older-than", "99999m", "--yes")
    assert "1 entry" in home.output("clean", "--trash", "--older-than", "1d", "--yes")
    assert in_trash(home) == []


def test_what_is_in_the_trash_can_be_purged(home: Home) -> None:
    session(home, "plan", text=SECRET, name="Plan")
    session(home, "other")
    home.output("list")
    home.output("delete", "plan", "--yes")
    assert everywhere(home)
    assert "Erased Plan (plan)" in home.output("delete", "Plan", "--purge", "--yes")
    assert everywhere(home) == []
    assert "There is no session" in home.error("delete", "Plan", "--purge", "--yes")


@pytest.mark.slow
def test_nothing_is_erased_while_the_mirror_is_being_read(home: Home) -> None:
    """A reader holds the mirror's old pages: they would stay. Once it is done, all goes."""
    import sqlite3

    session(home, "plan", text=SECRET)
    home.output("list")
    (mirror,) = (home.folder / "cache").rglob("mirror.db")
    reader = sqlite3.connect(mirror, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM messages").fetchall()
    assert "Nothing was erased" in home.error("delete", "plan", "--purge", "--yes")
    reader.close()
    assert ids(home) == {"plan"}
    home.output("delete", "plan", "--purge", "--yes")
    assert everywhere(home) == []


def test_what_was_edited_away_before_is_erased_from_the_mirror_too(home: Home) -> None:
    path = session(home, "plan")
    home.output("list")
    path.write_bytes(path.read_bytes() + message(f"the word is {SECRET}", id="x"))
    home.output("list")
    path.write_bytes(path.read_bytes().replace(SECRET.encode(), b"nothing"))
    home.output("list")
    home.output("delete", "plan", "--purge", "--yes")
    assert everywhere(home) == []


def test_copies_of_memory_in_the_trash_forget_it_too(home: Home) -> None:
    session(home, "old")
    session(home, "b")
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text(
        f"- likes {SECRET} <!-- 2026-01-01 old#old-1 -->\n- tea <!-- 2026-01-01 b#b-1 -->\n- own\n"
    )
    home.output("delete", "b", "--with-memory", "--yes")
    home.output("delete", "old", "--with-memory", "--purge", "--yes")
    assert everywhere(home) == []
    (kept,) = (home.vault / ".vault-sessions/trash").rglob("facts.md")
    assert kept.read_text() == "- tea <!-- 2026-01-01 b#b-1 -->\n- own\n"


def test_a_link_in_the_trash_leads_nowhere(home: Home, tmp_path: Path) -> None:
    """Not out of it: what it points to is neither restored from nor erased."""
    victim = tmp_path / "elsewhere" / SESSIONS / "plan.jsonl"
    victim.parent.mkdir(parents=True)
    victim.write_bytes(message("precious"))
    session(home, "plan")
    trash = home.vault / ".vault-sessions/trash"
    entry = trash / "2026-01-01/000000-evil"
    entry.mkdir(parents=True)
    entry.joinpath("atlas").symlink_to(tmp_path / "elsewhere/atlas")
    files = [{"path": f"{SESSIONS}/plan.jsonl"}, {"path": "mine.jsonl"}]
    manifest = {"at": stamp(1), "why": "?", "moved": True, "files": files}
    entry.joinpath("manifest.json").write_bytes(orjson.dumps(manifest))
    entry.joinpath("mine.jsonl").write_bytes(b"")
    trash.joinpath("2026-01-02").symlink_to(tmp_path / "elsewhere")
    assert home.json("restore", "--list") == []
    home.output("delete", "plan", "--purge", "--yes")
    assert "There is no session" in home.error("restore", "plan")
    home.output("clean", "--trash", "--yes")
    assert victim.read_bytes() == message("precious")


def test_a_deletion_cut_short_and_asked_for_again_comes_back_whole(home: Home) -> None:
    """Its metadata and its transcript are in the trash at two times."""
    path = session(home, "old", 40, name="Oldie", extra=1)
    before = tree(home.sessions)
    for given in ("Oldie", "old"):
        home.output("clean", "--yes")
        (moved,) = (home.vault / ".vault-sessions/trash").rglob("old.jsonl")
        moved.rename(path)
        home.output("clean", "--yes")
        assert "Restored Oldie (old)" in home.output("restore", given)
        assert tree(home.sessions) == before


def test_of_one_id_the_last_deleted_comes_back(home: Home) -> None:
    """Also of those of one second; where the other one is, is said."""
    for text in ("first", "second", "third"):
        session(home, "plan", text=text)
        home.output("delete", "plan", "--yes")
    home.output("restore", "plan")
    assert b"third" in (home.sessions / "plan.jsonl").read_bytes()
    assert ".vault-sessions/trash/" in home.error("restore", "plan")


def test_any_span_is_long_enough_for_the_trash(home: Home) -> None:
    session(home, "a")
    home.output("delete", "a", "--yes")
    said = home.output("clean", "--trash", "--older-than", "999999m", "--yes")
    assert said == "Emptied the trash: 0 entries removed\n"


def test_clean_says_in_json_whether_it_was_a_dry_run(home: Home) -> None:
    assert home.json("clean", "--yes") == {"deleted": [], "dry_run": False}
    assert home.json("clean", "--dry-run") == {"deleted": [], "dry_run": True}


def test_after_many_went_the_mirror_is_as_a_new_one(home: Home) -> None:
    """The full-text index is told when many go, and writes on as before."""
    for number in range(600):
        session(home, f"s{number}", 40, text=f"apple number{number}")
    session(home, "new", text="apple pie")
    home.output("list")
    home.output("clean", "--yes")
    assert "mirror-differs" not in home.run("doctor").stdout
    assert [hit["session_id"] for hit in home.json("search", "apple")] == ["new"]
    session(home, "newer", text="apple tart")
    assert len(home.json("search", "apple")) == 2


def test_what_was_put_back_only_by_half_is_put_back_whole(home: Home) -> None:
    """A trash on another disk that turned read-only: copied out of it, and still in it."""
    path = session(home, "plan", name="Plan")
    before = tree(home.sessions)
    home.output("delete", "plan", "--yes")
    (kept,) = (home.vault / ".vault-sessions/trash").rglob("plan.jsonl")
    path.write_bytes(kept.read_bytes())
    home.output("restore", "Plan")
    assert tree(home.sessions) == before
    assert in_trash(home) == []


def test_a_deletion_that_stops_leaves_the_others_whole(home: Home) -> None:
    """Not all metadata goes before the first transcript does."""
    for name in ("a", "b", "c"):
        session(home, name, name=f"Name {name}")
    from vault_sessions import removal
    from vault_sessions.state import State
    from vault_sessions.vault import Vault

    class Killed(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        removal.delete(
            Vault(str(home.vault)), State(str(home.folder)), ["a", "b", "c"], "test", NOW, stop
        )
    left = set(tree(home.sessions))
    assert {"b.jsonl", "b.meta.json", "c.jsonl", "c.meta.json"} <= left


def test_progress_goes_from_nothing_to_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the moving and the mirror, never back."""
    from vault_sessions import Workspace

    for number in range(130):
        session(home, f"s{number:03}", name=f"n{number}")
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    seen: list[float] = []
    with Workspace.open(str(home.vault)) as workspace:
        names = [each.id for each in workspace.list()]
        workspace.trash.delete(names, progress=lambda done, total: seen.append(done / total))
        assert workspace.list() == []
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert 0.9 < seen[-1] <= 1


def test_where_no_trash_can_be_nothing_is_moved(home: Home) -> None:
    """And that is what is said."""
    path = session(home, "fruit")
    (home.vault / ".vault-sessions").mkdir(exist_ok=True)
    (home.vault / ".vault-sessions/trash").write_text("in the way")
    done = home.run("delete", "fruit", "--yes")
    assert done.returncode == 1
    assert "Nothing was changed." in done.stderr
    assert path.exists()

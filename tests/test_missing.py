"""An older copy saved over newer messages: they are kept, then put back, asked for or reported."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home, message, tree, write_session
from hypothesis import given
from hypothesis import strategies as st

from vault_sessions import Workspace, guard
from vault_sessions.formats.rest import (
    emptied_all,
    filled,
    packed,
    packed_all,
    plain_line,
    unpacked,
)
from vault_sessions.lifecycle.desk import Conversation
from vault_sessions.model import Loss
from vault_sessions.rules.missing import Case, Chat, count_missing, decide, in_place
from vault_sessions.state import KEPT_SECONDS, State

NOW = datetime(2026, 11, 21, 8, 5, 12, tzinfo=UTC)
OLDER = Chat(own=True, again=False, empty=False, quiet=True, only_end=False)


# --- what is missing -----------------------------------------------------------------------------


def ids(data: bytes) -> set[str]:
    from vault_sessions.formats.transcript import parse

    return {message.id for message in parse(data).messages}


@pytest.mark.parametrize(
    ("now", "count"),
    [
        ("a b c d", 0),
        ("a b c", 1),
        ("a b", 2),
        ("a", 3),
        ("", 4),
        ("x", 4),  # whatever else stands there
        ("a b x", 2),
        ("a c d", 0),  # out of the middle: the owner's edit
        ("a d", 0),
        ("d", 0),
        ("b a", 2),
        ("a b c d e", 0),
    ],
)
def test_the_longest_end_of_which_nothing_stands(now: str, count: int) -> None:
    data = b"".join(message(name, id=name * 8) for name in now.split())
    assert count_missing([name * 8 for name in "abcd"], data, ids(data)) == count


def test_a_broken_line_still_holds_its_id() -> None:
    data = message("a", id="first-1") + b'{"role":"user","content":"b","id":"second-2"'
    assert count_missing(["first-1", "second-2"], data, ids(data)) == 0


@pytest.mark.parametrize("count", [10, 1000])
def test_of_many_as_of_few_the_broken_line_holds_its_id(count: int) -> None:
    """Thousands of ids are not looked for one by one in all of a long file."""
    names = [f"id-{number:05d}" for number in range(count)]
    assert count_missing(names, message("x", id=names[1])[:-3], ()) == count - 2


def test_a_message_of_a_doubled_id_stands_while_the_id_does() -> None:
    data = message("a", id="twice-1")
    assert count_missing(["twice-1", "twice-1~2"], data, ids(data)) == 0


def test_an_edited_line_without_an_id_is_not_missing() -> None:
    before = message("a") + message("b")
    edited = message("a") + message("b!")
    known = ordered(before)
    assert count_missing(known, edited, ids(edited)) == 0
    assert count_missing(known, message("a"), ids(message("a"))) == 1


@pytest.mark.parametrize(
    ("seen", "put_back", "order"),
    [
        ("abc", [], "abc"),
        ("abecd", [("cd", "ab")], "abcde"),
        ("abecdgf", [("cd", "ab"), ("f", "abcde")], "abcdefg"),
        ("abecd", [("cd", "abx")], "abcde"),  # x was deleted
        ("abecd", [("cd", "")], "abecd"),  # they stood at the very beginning: who knows
        ("abcde", [("cd", "ab")], "abcde"),
        ("abe", [("cd", "ab")], "abe"),
        ("abecd", [("dc", "ab")], "abcde"),
    ],
)
def test_where_messages_would_stand_that_were_put_back(
    seen: str, put_back: list[tuple[str, str]], order: str
) -> None:
    """Behind what stood before them when they were lost."""
    assert "".join(in_place(seen, put_back)) == order


def ordered(data: bytes) -> list[str]:
    from vault_sessions.formats.transcript import parse

    return [message.id for message in parse(data).messages]


# --- what is done about it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "what"),
    [
        (Case(), "report"),
        (Case(chat=OLDER), "put back"),
        (Case(chat=OLDER._replace(only_end=True)), "ask"),
        (Case(chat=OLDER._replace(own=False)), "report"),
        (Case(chat=OLDER._replace(again=True)), "report"),
        (Case(chat=OLDER._replace(again=True, only_end=True)), "report"),
        (Case(chat=OLDER._replace(empty=True)), "report"),
        (Case(chat=OLDER._replace(quiet=False)), "report"),
        (Case(in_copy=True, chat=OLDER), "wait"),
        (Case(in_copy=True, git_moved=True, sessions=9), "wait"),
        (Case(git_busy=True, chat=OLDER), "wait"),
        (Case(git_busy=True, git_moved=True), "wait"),
        (Case(git_moved=True, chat=OLDER), "tell"),
        (Case(sessions=3, chat=OLDER), "put back"),
        (Case(sessions=4, chat=OLDER), "tell"),
    ],
)
def test_every_case_of_the_decision(case: Case, what: str) -> None:
    assert decide(case).what == what


# --- lines in few bytes --------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=40)
printed = st.binary(max_size=60).map(lambda data: bytes(byte for byte in data if byte > 31))
names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40)


@given(texts, names, texts | st.none(), printed, printed)
def test_a_packed_line_comes_back(
    content: str, name: str, at: str | None, before: bytes, behind: bytes
) -> None:
    line = before + orjson.dumps({"id": name, "content": content, "created_at": at}) + behind
    assert unpacked(packed(line, content, name, at), content, name, at) == line


@given(st.lists(st.tuples(texts, names, texts | st.none(), st.permutations(range(4)), texts)))
def test_lines_that_were_packed_together_come_back(rows: list[Any]) -> None:
    """In whatever order their fields stand."""
    lines = []
    for content, name, at, order, other in rows:
        fields = {"content": content, "id": name, "created_at": at, "x": other}
        keys = list(fields)
        lines.append(orjson.dumps({"role": "user"} | {keys[i]: fields[keys[i]] for i in order}))
    known = [row[:3] for row in rows]
    rests = emptied_all(packed_all(lines, known))
    assert [filled(rest, *row) for rest, row in zip(rests, known, strict=False)] == lines


def test_many_lines_are_packed_piece_by_piece() -> None:
    known = [("x", f"id-{number}", None) for number in range(3000)]
    lines = [plain_line("user", *row[:2], None) + b" " * 1000 for row in known]
    rests = emptied_all(packed_all(iter(lines), iter(known)))
    assert [filled(rest, *row) for rest, row in zip(rests, known, strict=True)] == lines


def test_what_was_not_packed_is_refused() -> None:
    with pytest.raises(ValueError, match="not a packed line"):
        unpacked(b"\xff\xff", "a", "b", None)


def test_without_its_line_a_message_is_what_its_row_says() -> None:
    line = plain_line("user", "hi", "id-1", "2026-11-21T08:05:12.000Z")
    fields = {"role": "user", "content": "hi", "id": "id-1"}
    assert orjson.loads(line) == {**fields, "created_at": "2026-11-21T08:05:12.000Z"}
    assert orjson.loads(plain_line("user", "hi", "h-12", None)) == {"role": "user", "content": "hi"}


# --- outside of a chat ---------------------------------------------------------------------------


def lines(count: int, first: int = 0, **fields: Any) -> list[bytes]:
    made = []
    for number in range(first, first + count):
        at = f"2026-11-20T08:{number:02}:00.000Z"
        role = "assistant" if number % 2 else "user"
        made.append(message(f"text {number}", role, id=f"id-{number:04}", created_at=at, **fields))
    return made


def codes(home: Home) -> list[tuple[str, str]]:
    said = home.run("doctor", "--json")
    found = [p for p in orjson.loads(said.stdout) if p["severity"] != "note"]
    return [(p["path"].rpartition("/")[2], p["code"]) for p in found]


def state_of(home: Home) -> State:
    (folder,) = (home.folder / "state").iterdir()
    return State(str(folder))


@contextmanager
def at_work(home: Home, **options: Any) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        for key, value in home.environment.items():
            if key.startswith("VAULT_"):
                patch.setenv(key, value)
        with Workspace.open(home.vault, environment=home.environment, **options) as workspace:
            yield workspace


def missing_in(workspace: Workspace) -> list[str]:
    workspace.sync()
    return [path for path, found in workspace.problems() if found.code == "missing-messages"]


def test_lines_that_vanish_from_the_end_are_kept_as_they_were(home: Home) -> None:
    """With every field, spaces and odd numbers: the file's own bytes."""
    odd = b'{ "role":"user", "content" : "caf\\u00e9", "id":"odd-1", "x":1.50, "y":[ ] }\n'
    path = write_session(home, "talk", *lines(3), odd)
    with at_work(home) as workspace:
        assert missing_in(workspace) == []
        path.write_bytes(b"".join(lines(2)))
        assert missing_in(workspace) == ["atlas/memory/sessions/talk.jsonl"]
        (loss,) = guard.open_losses(workspace.vault, workspace.state)
    assert [line + b"\n" for _, line in loss.lines] == [*lines(1, 2), odd]
    assert loss.after == ("id-0000", "id-0001")
    (session,) = home.json("list")
    assert session["problems"] == 1


def test_every_line_comes_back_as_it_was_however_long_ago_it_was_read(home: Home) -> None:
    """Also after a rebuild, an edit in the middle, and with lines that came one by one."""
    own = [line[:-2] + b', "mine": [%d, 1.0 ]}\n' % n for n, line in enumerate(lines(30))]
    path = write_session(home, "talk", *own[:20])
    home.output("list")
    with path.open("ab") as file:
        file.write(b"".join(own[20:25]))
    home.output("list")
    own[3] = own[3].replace(b"text 3", b"text three")
    path.write_bytes(b"".join(own[:25]))
    home.output("list")
    with path.open("ab") as file:
        file.write(b"".join(own[25:]))
    home.output("list")
    path.write_bytes(b"".join(own[:2]))
    home.run("doctor", "--fix")
    assert path.read_bytes() == b"".join(own)
    home.output("reindex")
    path.write_bytes(b"".join(own[:2]))
    home.run("doctor", "--fix")
    assert path.read_bytes() == b"".join(own)


def test_what_is_gone_from_the_middle_is_the_owners_edit(home: Home) -> None:
    path = write_session(home, "talk", *lines(4))
    with at_work(home) as workspace:
        workspace.sync()
        path.write_bytes(b"".join([*lines(1), *lines(2, 2)]))
        assert missing_in(workspace) == []
        assert workspace.state.losses() == []


def test_an_emptied_file_misses_all_and_a_deleted_one_nothing(home: Home) -> None:
    path = write_session(home, "talk", *lines(4))
    with at_work(home) as workspace:
        workspace.sync()
        path.write_bytes(b"")
        assert len(missing_in(workspace)) == 1
        path.unlink()
        assert missing_in(workspace) == []
        path.write_bytes(b"".join(lines(1)))
        assert len(missing_in(workspace)) == 1


def test_lines_that_come_back_are_not_missing_any_more(home: Home) -> None:
    path = write_session(home, "talk", *lines(4))
    with at_work(home) as workspace:
        workspace.sync()
        path.write_bytes(b"".join(lines(2)))
        assert len(missing_in(workspace)) == 1
        with path.open("ab") as file:
            file.write(b"".join(lines(2, 2)))
        assert missing_in(workspace) == []
        assert workspace.state.losses() == []


def test_a_loss_is_forgotten_only_when_the_mirror_has_its_lines(home: Home) -> None:
    """They may be overwritten again between one look at the file and the next."""
    path = write_session(home, "talk", *lines(4))
    older = b"".join(lines(2))
    with at_work(home) as workspace:
        workspace.sync()
        path.write_bytes(older)
        assert len(missing_in(workspace)) == 1
        path.write_bytes(b"".join(lines(4)))
        vault, state = workspace.vault, workspace.state
        guard.review(vault, state, NOW, lambda session_id: older)
        assert len(state.losses()) == 1
        guard.review(vault, state, NOW, lambda session_id: path.read_bytes())
        assert state.losses() == []


def test_a_second_loss_is_kept_beside_the_first(home: Home) -> None:
    path = write_session(home, "talk", *lines(6))
    with at_work(home) as workspace:
        workspace.sync()
        path.write_bytes(b"".join(lines(4)))
        workspace.sync()
        path.write_bytes(b"".join(lines(2)))
        workspace.sync()
        found = guard.open_losses(workspace.vault, workspace.state)
    assert [[name for name, _ in loss.lines] for loss in found] == [
        ["id-0004", "id-0005"],
        ["id-0002", "id-0003"],
    ]


def tell_a_story(workspace: Workspace, path: Path, rng: random.Random) -> int:
    """Lines are appended, any earlier text is saved again, what is missing is put back at the end,
    in any order, each of which the mirror sees; how many lines there were."""
    vault, state, made = workspace.vault, workspace.state, 2
    texts = [b"".join(lines(2))]
    path.write_bytes(texts[0])
    workspace.sync()
    for step in range(rng.randrange(3, 12)):
        what = rng.choice(("append", "append", "save", "put back"))
        now = texts[-1]
        if what == "append":
            more = rng.choice((1, 2))
            now += b"".join(lines(more, made))
            made += more
        elif what == "save":
            now = rng.choice(texts)
        else:
            losses = guard.open_losses(vault, state, path.stem)
            missing = dict(line for loss in losses for line in loss.lines)
            now += b"".join(text + b"\n" for text in missing.values())
        texts.append(now)
        path.write_bytes(now)
        os.utime(path, ns=(10**18 + step * 10**9,) * 2)
        workspace.sync()
    return made


def check_stories(home: Home, seeds: Iterable[int]) -> None:
    """After each, doctor finds every line and brings it back, once."""
    with at_work(home) as workspace:
        for seed in seeds:
            path = home.sessions / f"story-{seed}.jsonl"
            made = tell_a_story(workspace, path, random.Random(seed))
            list(workspace.repair.mend())
            assert sorted(path.read_bytes().splitlines(True)) == sorted(lines(made)), seed
            path.unlink()
            workspace.sync()


def test_no_line_is_lost_whichever_copy_is_saved(home: Home) -> None:
    """The last four lost one before what was put back was thought of in its place."""
    check_stories(home, (*range(12), 40, 95, 150, 204))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_in_many_stories_no_line_is_lost(home: Home) -> None:
    check_stories(home, range(1000, 2000))


@pytest.mark.parametrize("copy", ["ab", "abc", "abe", "a", "abecd"])
@pytest.mark.parametrize("is_lost_before", [False, True])
def test_after_what_was_put_back_an_even_older_copy_loses_nothing(
    home: Home, copy: str, is_lost_before: bool
) -> None:
    """c and d were lost and stand behind e, which was written meanwhile. The copy that is saved now
    may be older than all of that, or as it was in between; or two come one after the other."""
    line = dict(zip("abcdef", lines(6), strict=True))

    def text(names: str) -> bytes:
        return b"".join(line[name] for name in names)

    path = write_session(home, "talk", text("abcd"))
    with at_work(home) as workspace:
        workspace.sync()
        for names in ("abe", "abecd", "abecdf"):
            path.write_bytes(text(names))
            workspace.sync()
        if is_lost_before:
            path.write_bytes(text("ab"))
            workspace.sync()
        path.write_bytes(text(copy))
        assert missing_in(workspace) == ["atlas/memory/sessions/talk.jsonl"]
    home.output("doctor", "--fix")
    assert path.read_bytes() == text("abecdf" if copy == "abecd" else "abcdef")
    assert codes(home) == []


def test_doctor_puts_them_back_in_their_place(home: Home) -> None:
    """Before what was written behind the older copy; a second run finds nothing."""
    path = write_session(home, "talk", *lines(4))
    home.output("list")
    path.write_bytes(b"".join([*lines(2), message("new", id="new-1")]))
    assert ("talk.jsonl", "missing-messages") in codes(home)
    home.run("doctor", "--fix")
    assert path.read_bytes() == b"".join([*lines(4), message("new", id="new-1")])
    assert codes(home) == []


def test_doctor_accepts_that_they_are_gone(home: Home) -> None:
    path = write_session(home, "talk", *lines(4))
    home.output("list")
    path.write_bytes(b"".join(lines(2)))
    home.output("list")
    home.output("doctor", "--forget", "talk")
    assert codes(home) == []
    home.run("doctor", "--fix")
    assert path.read_bytes() == b"".join(lines(2))


def test_where_they_are_kept(home: Home) -> None:
    """In the state folder, readable by the owner alone; never in the mirror or the vault."""
    path = write_session(home, "talk", *lines(2), message("secret-word", id="s-1"))
    home.output("list")
    path.write_bytes(b"".join(lines(2)))
    home.output("list")
    for folder in ("vault", "cache"):
        assert not any(b"secret-word" in data for data in tree(home.folder / folder).values())
    (kept,) = (home.folder / "state").glob("*/kept/talk.json")
    assert b"secret-word" in kept.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_settled_lines_are_forgotten_after_thirty_days(home: Home) -> None:
    state = State(str(home.folder / "state"))
    state.put_settled(Loss("talk", "2026-11-21T08:05:12.000Z", (("a", b"{}"),), (), "settled"))
    (path,) = (home.folder / "state").glob("kept/settled/*.json")
    soon, late = (NOW + timedelta(seconds=KEPT_SECONDS + off) for off in (-9, 9))
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    state.sweep_kept(soon)
    assert path.exists()
    state.sweep_kept(late)
    assert not path.exists()


def test_where_they_can_not_be_kept_nothing_is_forgotten(home: Home) -> None:
    """The mirror goes on knowing them, until they can be."""
    path = write_session(home, "talk", *lines(4))
    told: list[str] = []
    with at_work(home, say=told.append) as workspace:
        workspace.sync()
        path.write_bytes(b"".join(lines(2)))
        blocked = Path(workspace.state.folder) / "kept"
        blocked.parent.mkdir(parents=True, exist_ok=True)
        blocked.write_bytes(b"")
        workspace.sync()
        assert any("can't be kept" in text for text in told)
        assert workspace.list()[0].message_count == 4
        blocked.unlink()
        assert len(missing_in(workspace)) == 1
        assert workspace.list()[0].message_count == 2


def test_what_can_not_be_kept_survives_doctor_fix(home: Home) -> None:
    """A new mirror would forget the only copy; none is made until the lines can be kept."""
    path = write_session(home, "talk", *lines(4))
    home.output("list")
    path.write_bytes(b"".join(lines(2)))
    (folder,) = (home.folder / "cache").glob("vault-*")
    blocked = home.folder / "state" / folder.name / "kept"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_bytes(b"")
    done = home.run("doctor", "--fix")
    assert done.returncode == 1
    assert "missing-messages" in done.stdout
    blocked.unlink()
    home.output("doctor", "--fix")
    assert path.read_bytes() == b"".join(lines(4))


def test_a_new_mirror_does_not_forget_what_the_old_one_knew(home: Home) -> None:
    """Overwritten and reindexed before anything looked."""
    path = write_session(home, "talk", *lines(4))
    home.output("list")
    path.write_bytes(b"".join(lines(2)))
    home.output("reindex")
    assert codes(home) == [("talk.jsonl", "missing-messages")]
    home.output("doctor", "--fix")
    assert path.read_bytes() == b"".join(lines(4))


def test_show_names_them_too(home: Home) -> None:
    path = write_session(home, "talk", *lines(4))
    home.output("list")
    path.write_bytes(b"".join(lines(2)))
    (session,) = home.json("list")
    shown = home.json("show", "talk")
    assert [one["code"] for one in shown["problem_list"]] == ["missing-messages"]
    assert session["problems"] == shown["problems"] == 1


def test_a_message_that_was_added_in_utf_16_is_not_lost_to_what_is_put_back(home: Home) -> None:
    """An editor saved the file in UTF-16: for the guard all ids are gone."""
    path = write_session(home, "talk", *lines(2))
    home.output("list")
    new = message("typed in the editor", id="new-1")
    path.write_bytes(b"".join([*lines(2), new]).decode().encode("utf-16"))
    home.output("doctor", "--fix")
    assert path.read_bytes() == b"".join([*lines(2), new])


def test_what_stands_in_a_conflict_copy_waits_for_it(home: Home) -> None:
    """That problem comes first; if the copy goes without being merged, the lines are missing."""
    path = write_session(home, "talk", *lines(4))
    with at_work(home) as workspace:
        workspace.sync()
        copy = home.sessions / "talk.sync-conflict-20261121-080512-ABCDEFG.jsonl"
        os.rename(path, copy)
        path.write_bytes(b"".join(lines(2)))
        assert missing_in(workspace) == []
        assert [loss.status for loss in workspace.state.losses()] == ["waiting"]
        copy.unlink()
        assert len(missing_in(workspace)) == 1


def test_a_copy_that_holds_only_some_of_them_is_not_enough(home: Home) -> None:
    path = write_session(home, "talk", *lines(4))
    with at_work(home) as workspace:
        workspace.sync()
        copy = home.sessions / "talk.sync-conflict-20261121-080512-ABCDEFG.jsonl"
        copy.write_bytes(b"".join(lines(3)))
        path.write_bytes(b"".join(lines(2)))
        assert len(missing_in(workspace)) == 1


def test_more_than_three_sessions_at_once_are_told_and_left(home: Home) -> None:
    """A backup was put there."""
    paths = [write_session(home, f"talk{n}", *lines(4)) for n in range(4)]
    told: list[str] = []
    with at_work(home, say=told.append) as workspace:
        workspace.sync()
        for path in paths:
            path.write_bytes(b"".join(lines(2)))
        assert missing_in(workspace) == []
        notice = told[-1]
        count = len(told)
        assert "4 sessions have lost messages at once" in notice
        assert "kept for 30 days" in notice
        assert missing_in(workspace) == []
        assert len(told) == count
        kept = list((Path(workspace.state.folder) / "kept/settled").iterdir())
    assert len(kept) == 4


def git(home: Home, *arguments: str) -> None:
    environment = {
        **home.environment,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
    }
    who = ["-c", "user.name=maya", "-c", "user.email=maya@example.org"]
    command = ["git", "-C", str(home.vault), *who, *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def test_what_a_checkout_of_another_commit_takes_away_is_told_and_left(home: Home) -> None:
    path = write_session(home, "talk", *lines(2))
    git(home, "init", "-q")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "two")
    path.write_bytes(b"".join(lines(4)))
    git(home, "commit", "-qam", "four")
    told: list[str] = []
    with at_work(home, say=told.append) as workspace:
        workspace.sync()
        git(home, "checkout", "-q", "HEAD~1")
        assert path.read_bytes() == b"".join(lines(2))
        assert missing_in(workspace) == []
        assert "git has put another commit in place" in told[-1]
        git(home, "checkout", "-q", "-")
        assert missing_in(workspace) == []
        assert workspace.list()[0].message_count == 4


def test_git_restore_of_one_file_is_reported(home: Home) -> None:
    """HEAD has not moved: the newer lines were in no commit."""
    path = write_session(home, "talk", *lines(2))
    git(home, "init", "-q")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "two")
    path.write_bytes(b"".join(lines(4)))
    with at_work(home) as workspace:
        workspace.sync()
        git(home, "restore", ".")
        assert len(missing_in(workspace)) == 1


@pytest.mark.parametrize("mark", ["index.lock", "rebase-merge", "MERGE_HEAD", "MERGE_AUTOSTASH"])
def test_while_git_is_in_the_middle_of_something_nothing_is_decided(home: Home, mark: str) -> None:
    path = write_session(home, "talk", *lines(4))
    git(home, "init", "-q")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "four")
    with at_work(home) as workspace:
        workspace.sync()
        sign = home.vault / ".git" / mark
        if mark == "rebase-merge":
            sign.mkdir()
        else:
            sign.write_bytes(b"")
        path.write_bytes(b"".join(lines(2)))
        assert missing_in(workspace) == []
        if mark == "rebase-merge":
            sign.rmdir()
        else:
            sign.unlink()
        assert len(missing_in(workspace)) == 1


def test_a_line_appended_to_an_older_copy_is_kept_with_what_is_missing(home: Home) -> None:
    """Between two programs: one saved an older copy, the other's answer went behind it."""
    path = write_session(home, "talk", *lines(4), directory=str(home.vault))
    with at_work(home) as workspace:
        workspace.sync()
        path.write_bytes(b"".join(lines(2)))
        done = home.run("chat", "-s", "talk", "-m", "What did I say?")
        assert done.returncode == 0, done.stderr
        assert len(missing_in(workspace)) == 1
    home.run("doctor", "--fix")
    kept = path.read_bytes()
    assert kept.startswith(b"".join(lines(4)))
    assert kept.count(b"What did I say?") >= 1


# --- in a chat -----------------------------------------------------------------------------------


class Talk:
    """A live chat with the offline assistant, and what it was asked."""

    def __init__(self, workspace: Workspace, answers: list[bool], asked: list[str]) -> None:
        self.workspace = workspace
        self.answers = answers
        self.asked = asked
        self.conversation: Conversation = workspace.chat.begin(workspace.chat.decide(new=True))

    def say(self, text: str) -> list[str]:
        """One turn; what the chat had to say about itself."""
        self.conversation.notices.clear()
        self.workspace.chat.take_turn(text)
        return list(self.conversation.notices)

    @property
    def path(self) -> Path:
        vault = self.workspace.vault
        return Path(vault.absolute(vault.transcript(self.conversation.session_id or "")))

    def texts(self) -> list[str]:
        found = [orjson.loads(line) for line in self.path.read_bytes().splitlines()]
        return [line["content"] for line in found if line["role"] == "user"]


@pytest.fixture
def talk(home: Home) -> Iterator[Talk]:
    answers: list[bool] = []
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return answers.pop(0)

    with at_work(home, ask=ask) as workspace:
        yield Talk(workspace, answers, asked)


def first_lines(data: bytes, count: int) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:count])


def test_an_older_copy_with_an_edit_is_mended_without_a_question(talk: Talk) -> None:
    talk.say("one")
    older = talk.path.read_bytes().replace(b'"one"', b'"ONE"', 1)
    talk.say("two")
    newer = talk.path.read_bytes()
    talk.path.write_bytes(older)
    notices = talk.say("three")
    assert "Put back 2 messages that an older copy of the file had overwritten." in notices
    assert "1 message changed on disk." in notices
    assert talk.asked == []
    assert talk.texts() == ["ONE", "two", "three"]
    for line in newer.splitlines()[2:]:
        assert talk.path.read_bytes().count(line) == 1
    assert guard.open_losses(talk.workspace.vault, talk.workspace.state) == []
    assert missing_in(talk.workspace) == []


@pytest.mark.parametrize("yes", [True, False])
def test_where_only_the_end_is_gone_the_person_is_asked(talk: Talk, yes: bool) -> None:
    """No: it was on purpose, and is not undone later."""
    talk.say("one")
    older = talk.path.read_bytes()
    talk.say("two")
    talk.path.write_bytes(older)
    talk.answers.append(yes)
    talk.say("three")
    assert talk.asked == ["Put back 2 messages?"]
    assert talk.texts() == (["one", "two", "three"] if yes else ["one", "three"])
    talk.say("four")
    assert len(talk.asked) == 1
    assert missing_in(talk.workspace) == []


def test_a_second_time_it_is_reported(talk: Talk) -> None:
    """Perhaps another program saves its own copy again and again."""
    talk.say("one")
    older = talk.path.read_bytes()
    talk.say("two")
    talk.path.write_bytes(older)
    talk.answers.append(True)
    talk.say("three")
    talk.path.write_bytes(older)
    (notice, _) = talk.say("four")
    assert "vanished from the end" in notice
    assert "doctor --fix" in notice
    assert "--forget" in notice
    assert talk.texts() == ["one", "four"]
    assert len(missing_in(talk.workspace)) == 1


def test_an_emptied_file_is_reported(talk: Talk) -> None:
    talk.say("one")
    talk.path.write_bytes(b"")
    notices = talk.say("two")
    assert any("vanished from the end" in notice for notice in notices)
    assert talk.asked == []
    assert talk.texts() == ["two"]
    assert len(missing_in(talk.workspace)) == 1


def test_what_somebody_else_wrote_is_reported(talk: Talk) -> None:
    talk.say("one")
    older = talk.path.read_bytes()
    with talk.path.open("ab") as file:
        file.write(message("by hand", id="hand-1"))
    talk.say("two")
    talk.path.write_bytes(older)
    notices = talk.say("three")
    assert any("vanished from the end" in notice for notice in notices)
    assert talk.texts() == ["one", "three"]


def test_a_message_out_of_the_middle_stays_out(talk: Talk) -> None:
    for text in ("one", "two", "three"):
        talk.say(text)
    kept = [line for line in talk.path.read_bytes().splitlines() if b'"two"' not in line]
    talk.path.write_bytes(b"\n".join(kept) + b"\n")
    talk.say("four")
    assert talk.texts() == ["one", "three", "four"]
    assert talk.workspace.state.losses() == []


def test_a_message_out_of_the_middle_stays_out_when_the_end_is_put_back(talk: Talk) -> None:
    for text in ("one", "two"):
        talk.say(text)
    kept = [line for line in talk.path.read_bytes().splitlines() if b'"one"' not in line]
    talk.say("three")
    talk.path.write_bytes(b"\n".join(kept) + b"\n")
    talk.say("four")
    assert talk.texts() == ["two", "three", "four"]


def test_while_git_is_busy_nothing_is_put_back(talk: Talk, home: Home) -> None:
    git(home, "init", "-q")
    talk.say("one")
    older = talk.path.read_bytes()
    talk.say("two")
    (home.vault / ".git/MERGE_HEAD").write_bytes(b"")
    talk.path.write_bytes(older.replace(b'"one"', b'"ONE"', 1))
    talk.say("three")
    assert talk.texts() == ["ONE", "three"]
    (home.vault / ".git/MERGE_HEAD").unlink()
    assert len(missing_in(talk.workspace)) == 1


def test_an_older_copy_saved_while_the_model_answers(talk: Talk) -> None:
    """Before the answer is written, the question is put back: they stand in their order."""
    talk.say("one")
    older = talk.path.read_bytes().replace(b'"one"', b'"ONE"', 1)
    once = [True]

    def overwrite(piece: str) -> None:
        if once:
            once.clear()
            talk.path.write_bytes(older)

    talk.workspace.chat.take_turn("two", on_text=overwrite)
    found = [orjson.loads(line) for line in talk.path.read_bytes().splitlines()]
    assert [line["role"] for line in found] == ["user", "assistant"] * 2
    assert [line["content"] for line in found if line["role"] == "user"] == ["ONE", "two"]


def test_a_session_file_that_is_gone_is_not_missing_messages(talk: Talk) -> None:
    talk.say("one")
    first = talk.path
    first.unlink()
    notices = talk.say("two")
    assert any("is gone; going on in a new session" in notice for notice in notices)
    assert not first.exists()
    assert talk.workspace.state.losses() == []


def test_a_file_that_an_editor_moved_away_for_a_moment_is_waited_for(home: Home) -> None:
    """A look in that moment does not forget the messages that its old text lacks."""
    path = write_session(home, "talk", *lines(4))
    with at_work(home) as workspace:
        workspace.sync()
        path.rename(path.with_name("talk.jsonl~"))
        saving = threading.Timer(0.1, path.write_bytes, [b"".join(lines(2))])
        saving.start()
        assert len(missing_in(workspace)) == 1
        saving.join()
    home.run("doctor", "--fix")
    assert path.read_bytes() == b"".join(lines(4))


def test_a_file_that_is_gone_is_gone_after_that(home: Home) -> None:
    path = write_session(home, "talk", *lines(4))
    home.output("list")
    path.unlink()
    assert home.output("list") == ""

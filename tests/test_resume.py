"""Which session ``chat`` opens (docs/policies): the decision as a table, then on real files."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_sessions import Workspace
from vault_sessions.errors import AmbiguousSession, VaultError
from vault_sessions.formats.times import format_time
from vault_sessions.rules.resume import (
    Candidate,
    Decision,
    Place,
    Rules,
    ago,
    decide,
    last_reset,
    reset_due,
    resumed_line,
    span,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)
HERE = Place("/home/ada")
REPO = Place("/src/app/lib", "/src/app")


def a_session(
    name: str = "s",
    ago: timedelta = HOUR,
    directory: str | None = "/home/ada",
    git_root: str | None = None,
    in_use: bool = False,
) -> Candidate:
    return Candidate(name, name, NOW - ago, directory, git_root, in_use)


def opened(*candidates: Candidate, place: Place = HERE, **rules: Any) -> str | None:
    return decide(candidates, place, Rules(**rules), NOW).session_id


# --- the window ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "resumed"),
    [
        (timedelta(0), True),
        (4 * HOUR - MS, True),
        (4 * HOUR, False),
        (4 * HOUR + MS, False),
        (-5 * MINUTE, True),
    ],
)
def test_the_window_is_open_for_less_than_four_hours(age: timedelta, resumed: bool) -> None:
    assert (opened(a_session(ago=age)) == "s") is resumed


@pytest.mark.parametrize("age", [timedelta(0), HOUR, -MINUTE])
def test_a_window_of_0_is_never_open(age: timedelta) -> None:
    decision = decide([a_session(ago=age)], HERE, Rules(timedelta(0)), NOW)
    assert decision.action == "new"
    assert decision.reason == "sessions are never resumed by themselves (resume_window is 0)"


def test_nothing_to_resume() -> None:
    assert decide([], HERE, Rules(), NOW) == Decision(
        "new", None, "no open session here was active within the window"
    )


# --- the scope -----------------------------------------------------------------------------------

VAULT_REPO = "/home/ada/notes"


@pytest.mark.parametrize(
    ("scope", "directory", "git_root", "place", "resumed"),
    [
        # workspace: in a repository, the same root
        ("workspace", "/src/app", "/src/app", REPO, True),
        ("workspace", "/src/other", "/src/other", REPO, False),
        ("workspace", "/src/app/lib", None, REPO, False),
        # a linked worktree has its own root
        ("workspace", "/src/app-fix", "/src/app-fix", REPO, False),
        # anywhere else: any that was not begun in a repository
        ("workspace", "/home/ada", None, HERE, True),
        ("workspace", "/elsewhere", None, HERE, True),
        ("workspace", None, None, HERE, True),
        ("workspace", "/src/app", "/src/app", HERE, False),
        # the vault's own repository counts as none, here and there
        ("workspace", "/home/ada", None, Place(VAULT_REPO, VAULT_REPO, VAULT_REPO), True),
        ("workspace", VAULT_REPO, VAULT_REPO, Place("/home/ada", None, VAULT_REPO), True),
        ("workspace", VAULT_REPO, VAULT_REPO, Place(VAULT_REPO, VAULT_REPO, VAULT_REPO), True),
        ("workspace", "/src/app", "/src/app", Place(VAULT_REPO, VAULT_REPO, VAULT_REPO), False),
        ("workspace", VAULT_REPO, VAULT_REPO, Place("/src/app", "/src/app", VAULT_REPO), False),
        # another machine's repository is none of this one's
        ("workspace", "/Users/ada/app", "/Users/ada/app", REPO, False),
        ("workspace", "/Users/ada", None, HERE, True),
        # directory: the same directory or the same root
        ("directory", "/home/ada", None, HERE, True),
        ("directory", "/home/ada/sub", None, HERE, False),
        ("directory", None, None, HERE, False),
        ("directory", "/src/app/test", "/src/app", REPO, True),
        ("directory", "/src/app/lib", None, REPO, True),
        ("directory", "/src/other", "/src/other", REPO, False),
        # vault: all
        ("vault", "/src/other", "/src/other", REPO, True),
        ("vault", None, None, HERE, True),
    ],
)
def test_the_scope(
    scope: str, directory: str | None, git_root: str | None, place: Place, resumed: bool
) -> None:
    candidate = a_session(directory=directory, git_root=git_root)
    assert (opened(candidate, place=place, scope=scope) == "s") is resumed


def test_the_same_directory_first_then_the_newest() -> None:
    far = a_session("far", MINUTE, "/elsewhere")
    older = a_session("older", 3 * HOUR)
    newer = a_session("newer", 2 * HOUR)
    assert opened(far, older, newer) == "newer"
    assert opened(far, older) == "older"
    assert opened(far, a_session("farther", 2 * MINUTE, "/other")) == "far"


def test_one_in_use_is_passed_over() -> None:
    assert opened(a_session("used", MINUTE, in_use=True), a_session("free")) == "free"
    assert opened(a_session("used", MINUTE, in_use=True)) is None


# --- runner-up and reasons -----------------------------------------------------------------------


def test_the_decision_names_the_runner_up_and_says_what_spoke_against_the_others() -> None:
    found = [
        a_session("old", 5 * HOUR),
        a_session("used", MINUTE, in_use=True),
        a_session("second", 2 * HOUR),
        a_session("first", 25 * MINUTE),
        a_session("away", HOUR, "/src/app", "/src/app"),
    ]
    decision = decide(found, HERE, Rules(), NOW)
    assert decision.session_id == "first"
    assert decision.reason == "it is this directory's most recent session, active 25 minutes ago"
    assert decision.runner_up == "second"
    assert dict(decision.considered[2:]) == {
        "used": "open in another window",
        "away": "begun elsewhere (/src/app)",
        "old": "last active 5 hours ago, the window is 4 hours",
    }


def test_without_a_second_that_fits_the_runner_up_is_the_newest_that_does_not() -> None:
    found = [a_session("first"), a_session("old", 5 * HOUR), a_session("older", 6 * HOUR)]
    assert decide(found, HERE, Rules(), NOW).runner_up == "old"
    assert decide(found[1:], HERE, Rules(), NOW).runner_up == "old"
    assert decide(found[:1], HERE, Rules(), NOW).runner_up is None


@given(st.permutations([a_session(str(n), n * HOUR) for n in range(6)]))
def test_the_order_in_which_they_are_found_does_not_matter(found: list[Candidate]) -> None:
    assert decide(found, HERE, Rules(), NOW).session_id == "0"


# --- --new ---------------------------------------------------------------------------------------


def test_new_ends_the_one_that_would_have_been_resumed() -> None:
    decision = decide([a_session("b", 2 * HOUR), a_session("a")], HERE, Rules(), NOW, new=True)
    assert (decision.action, decision.session_id, decision.ends) == ("new", None, "a")


@pytest.mark.parametrize(
    "other",
    [
        a_session(in_use=True),
        a_session(ago=4 * HOUR),
        a_session(directory="/src/app", git_root="/src/app"),
    ],
)
def test_new_ends_none_that_would_not_have_been_resumed(other: Candidate) -> None:
    decision = decide([other], HERE, Rules(), NOW, new=True)
    assert (decision.action, decision.ends) == ("new", None)


# --- the reset policy ----------------------------------------------------------------------------

DENVER, BERLIN = ZoneInfo("America/Denver"), ZoneInfo("Europe/Berlin")


def test_manual_never_resets() -> None:
    assert reset_due(NOW - timedelta(days=900), Rules(reset="manual"), NOW) is None


@pytest.mark.parametrize(
    ("quiet", "due"), [(2 * HOUR - MS, False), (2 * HOUR, True), (3 * HOUR, True)]
)
def test_idle_resets_after_idle_minutes(quiet: timedelta, due: bool) -> None:
    rules = Rules(reset="idle", idle=timedelta(minutes=120))
    assert bool(reset_due(NOW - quiet, rules, NOW)) is due


def test_a_reset_refuses_the_winner_and_takes_no_other_in_its_place() -> None:
    found = [a_session("here", 3 * HOUR), a_session("newer elsewhere", MINUTE, "/elsewhere")]
    decision = decide(found, HERE, Rules(reset="idle"), NOW)
    assert (decision.action, decision.runner_up) == ("new", "here")
    assert decision.reason == "idle for 3 hours (reset: idle, 2 hours)"


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        # the day begins at 04:00: 11:00 UTC in Denver's winter
        ("2026-11-21T10:29:00Z", "2026-11-21T10:59:59.999Z", False),
        ("2026-11-21T10:29:00Z", "2026-11-21T11:00:00Z", True),
        ("2026-11-21T11:00:00Z", "2026-11-21T14:00:00Z", False),
        ("2026-11-21T10:59:59.999Z", "2026-11-21T14:00:00Z", True),
        # not within 30 minutes of the last word
        ("2026-11-21T10:45:00Z", "2026-11-21T11:14:59.999Z", False),
        ("2026-11-21T10:45:00Z", "2026-11-21T11:15:00Z", True),
    ],
)
def test_daily_resets_at_daily_at(last: str, now: str, due: bool) -> None:
    rules = Rules(timedelta(days=2), reset="daily", daily_at=time(4), zone=DENVER)
    asked = reset_due(datetime.fromisoformat(last), rules, datetime.fromisoformat(now))
    assert bool(asked) is due


@pytest.mark.parametrize(
    ("zone", "now", "reset"),
    [
        # an ordinary day, and just before it begins
        (DENVER, "2026-11-21T09:30:00Z", "2026-11-21T09:30:00Z"),
        (DENVER, "2026-11-21T09:29:59.999Z", "2026-11-20T09:30:00Z"),
        (BERLIN, "2026-11-21T01:30:00Z", "2026-11-21T01:30:00Z"),
        (BERLIN, "2026-11-21T01:29:59.999Z", "2026-11-20T01:30:00Z"),
        # east of Greenwich the local day may be the next one already
        (ZoneInfo("Pacific/Kiritimati"), "2026-11-21T12:30:00Z", "2026-11-21T12:30:00Z"),
        # the gap (Denver 8 March, Berlin 29 March): 02:30 by the offset before it
        (DENVER, "2026-03-08T09:30:00Z", "2026-03-08T09:30:00Z"),
        (DENVER, "2026-03-08T09:29:59Z", "2026-03-07T09:30:00Z"),
        (DENVER, "2026-03-09T08:29:59Z", "2026-03-08T09:30:00Z"),
        (DENVER, "2026-03-09T08:30:00Z", "2026-03-09T08:30:00Z"),
        (BERLIN, "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z"),
        (BERLIN, "2026-03-29T01:29:59Z", "2026-03-28T01:30:00Z"),
        # the overlap (Denver 1 November, Berlin 25 October): the first of the two
        (BERLIN, "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
        (BERLIN, "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z"),
        (BERLIN, "2026-10-26T01:29:59Z", "2026-10-25T00:30:00Z"),
        (DENVER, "2026-11-01T09:30:00Z", "2026-11-01T09:30:00Z"),
    ],
)
def test_the_newest_reset_by_local_clocks(zone: ZoneInfo, now: str, reset: str) -> None:
    found = last_reset(time(2, 30), zone, datetime.fromisoformat(now))
    assert found == datetime.fromisoformat(reset)
    assert found.tzinfo is UTC


def test_where_clocks_show_it_twice_the_first_counts() -> None:
    """Denver shows 01:30 at 07:30 and at 08:30 UTC on 1 November."""
    for now in ("2026-11-01T07:30:00Z", "2026-11-01T08:30:00Z", "2026-11-01T20:00:00Z"):
        assert last_reset(time(1, 30), DENVER, datetime.fromisoformat(now)) == datetime(
            2026, 11, 1, 7, 30, tzinfo=UTC
        )


def test_over_the_gap_ages_compare_in_utc() -> None:
    """From 01:45 to 03:14 local time are 29 minutes when clocks skip an hour."""
    last = datetime(2026, 3, 8, 8, 45, tzinfo=UTC)
    rules = Rules(reset="daily", daily_at=time(3), zone=DENVER)
    assert reset_due(last, rules, last + 29 * MINUTE) is None
    assert reset_due(last, rules, last + 30 * MINUTE) is not None


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001  # in UTC, below
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.sampled_from(["America/Denver", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_a_reset_is_never_in_the_future_nor_older_than_a_day_and_an_hour(
    now: datetime, daily_at: time, name: str
) -> None:
    now = now.replace(tzinfo=UTC)
    found = last_reset(daily_at, ZoneInfo(name), now)
    assert timedelta(0) <= now - found <= timedelta(hours=25)


def test_without_a_zone_the_systems_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import time as clock

    monkeypatch.setenv("TZ", "America/Denver")
    clock.tzset()
    try:
        now = datetime(2026, 3, 8, 12, tzinfo=UTC)
        assert last_reset(time(2, 30), None, now) == last_reset(time(2, 30), DENVER, now)
    finally:
        monkeypatch.undo()
        clock.tzset()


def test_the_line_of_resumption_has_an_end() -> None:
    """Whatever somebody has written into the metadata."""
    assert resumed_line("the move", NOW - HOUR, NOW).startswith('Resumed "the move" (last active 1')
    assert resumed_line("t" * 10_000, None, NOW) == f'Resumed "{"t" * 199}…" · /new starts afresh'


def test_lengths_of_time_in_words() -> None:
    assert span(timedelta(seconds=1)) == "1 second"
    assert span(90 * MINUTE) == "1 hour"
    assert span(timedelta(days=3)) == "3 days"
    assert ago(timedelta(seconds=59)) == "just now"
    assert ago(25 * MINUTE) == "25 minutes ago"


# --- on real files -------------------------------------------------------------------------------


class Vault:
    """A vault in a folder, a directory to be in, and a clock that stands still."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "notes"
        self.home = tmp_path / "home"
        self.sessions = self.root / "atlas/memory/sessions"
        self.sessions.mkdir(parents=True)
        self.home.mkdir()
        self.now = NOW

    def add(self, session_id: str, *messages: dict[str, Any], **meta: Any) -> str:
        lines = b"".join(orjson.dumps(message) + b"\n" for message in messages)
        (self.sessions / f"{session_id}.jsonl").write_bytes(lines)
        meta = {"version": 1, "id": session_id, "directory": str(self.home), **meta}
        (self.sessions / f"{session_id}.meta.json").write_bytes(orjson.dumps(meta))
        return session_id

    @contextmanager
    def workspace(self, directory: Path | None = None, **flags: str) -> Iterator[Workspace]:
        """``flags``: settings of ai.sessions."""
        settings = {f"ai.sessions.{key}": value for key, value in flags.items()}
        with Workspace.open(
            self.root, clock=lambda: self.now, directory=str(directory or self.home), flags=settings
        ) as workspace:
            yield workspace

    def opened(self, directory: Path | None = None, **flags: str) -> str | None:
        with self.workspace(directory, **flags) as workspace:
            return workspace.chat.decide().session_id


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    for name in [name for name in os.environ if name.startswith("VAULT_SESSIONS_")]:
        monkeypatch.delenv(name)
    for kind in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind}", str(tmp_path / kind.lower()))
    return Vault(tmp_path)


def said(age: timedelta, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": "hi", "created_at": format_time(NOW - age)}


def test_exactly_four_hours_on_disk(vault: Vault) -> None:
    vault.add("exact", said(4 * HOUR))
    assert vault.opened() is None
    vault.add("less", said(4 * HOUR - MS))
    assert vault.opened() == "less"


def test_system_and_tool_lines_are_no_activity(vault: Vault) -> None:
    vault.add("old", said(5 * HOUR), said(MINUTE, "system"), said(MINUTE, "tool"))
    assert vault.opened() is None
    vault.add("answered", said(5 * HOUR), said(MINUTE, "assistant"))
    assert vault.opened() == "answered"


@pytest.mark.parametrize(
    ("ahead", "next_older", "resumed"),
    [
        (5 * MINUTE, 5 * HOUR, True),  # within the tolerance it counts
        (5 * MINUTE + MS, 5 * HOUR, False),  # beyond it, the next older one counts
        (5 * MINUTE + MS, 3 * HOUR, True),
        (timedelta(days=9), 3 * HOUR, True),
    ],
)
def test_a_stamp_in_the_future(
    vault: Vault, ahead: timedelta, next_older: timedelta, resumed: bool
) -> None:
    vault.add("s", said(next_older), said(-ahead))
    assert (vault.opened() == "s") is resumed


@pytest.mark.parametrize(
    ("started", "resumed"), [(HOUR, True), (4 * HOUR, False), (-10 * MINUTE, False)]
)
def test_with_stamps_of_the_future_only_the_start_counts(
    vault: Vault, started: timedelta, resumed: bool
) -> None:
    vault.add("s", said(-HOUR), created_at=format_time(NOW - started))
    assert (vault.opened() == "s") is resumed


def test_without_any_usable_stamp_the_start_counts_by_meta_or_id(vault: Vault) -> None:
    vault.add("nothing", {"role": "user", "content": "hi"})
    assert vault.opened() is None
    by_id = vault.add("20261121-090000-7k3q9d", {"role": "user", "content": "hi"})
    assert vault.opened() == by_id
    vault.add(by_id, {"role": "user", "content": "hi"}, created_at="2026-11-20T09:00:00Z")
    assert vault.opened() is None


@pytest.mark.parametrize(
    "meta",
    [
        {"ended_at": "2026-11-21T11:30:00.000Z"},
        {"ending": {"reason": "new", "at": "2026-11-21T11:30:00.000Z"}},
    ],
)
def test_an_ended_or_ending_one_comes_back_by_name_only(vault: Vault, meta: dict[str, Any]) -> None:
    vault.add("s", said(HOUR), name="Plan", **meta)
    assert vault.opened() is None
    with vault.workspace() as workspace:
        assert workspace.chat.decide_named("plan")[0].session_id == "s"


def test_without_a_user_message_there_is_nothing_to_resume(vault: Vault) -> None:
    vault.add("s", said(HOUR, "assistant"), said(HOUR, "system"))
    assert vault.opened() is None


def test_a_window_of_years_is_one(vault: Vault) -> None:
    vault.add("s", said(timedelta(days=1000)))
    assert vault.opened(resume_window="999999w") == "s"


def git(folder: Path, *arguments: str) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(
        ["git", *names, *arguments], cwd=folder, env=env, check=True, capture_output=True
    )


def test_a_repository_and_its_linked_worktree_are_two_places(vault: Vault, tmp_path: Path) -> None:
    app, sub, fix = tmp_path / "app", tmp_path / "app/src", tmp_path / "fix"
    sub.mkdir(parents=True)
    git(app, "init", "-q")
    git(app, "commit", "-q", "--allow-empty", "-m", "begin")
    git(app, "worktree", "add", "-q", str(fix))
    vault.add("in app", said(HOUR))  # no id of a session: ignored
    in_app = vault.add("app", said(HOUR), directory=str(app), git_root=str(app))
    in_fix = vault.add("fix", said(HOUR), directory=str(fix), git_root=str(fix))
    at_home = vault.add("home", said(2 * HOUR))
    assert vault.opened(app) == vault.opened(sub) == in_app
    assert vault.opened(fix) == in_fix
    assert vault.opened() == at_home


def test_a_vault_that_is_a_repository_is_no_workspace_of_its_own(vault: Vault) -> None:
    git(vault.root, "init", "-q")
    in_vault = vault.add("v", said(HOUR), directory=str(vault.root), git_root=str(vault.root))
    assert vault.opened(vault.root) == vault.opened() == in_vault
    at_home = vault.add("h", said(MINUTE))
    assert vault.opened() == at_home
    assert vault.opened(vault.root) == in_vault  # the same directory first


def test_links_lead_to_the_same_place(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(vault.home)
    vault.add("s", said(HOUR))
    assert vault.opened(tmp_path / "link", scope="directory") == "s"


# --- in use --------------------------------------------------------------------------------------

HOLD = """
import sys
from vault_sessions import Workspace
with Workspace.open(sys.argv[1]) as workspace:
    workspace.chat.begin(workspace.chat.decide_named("s")[0])
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(vault: Vault) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the session "s" open."""
    vault.add("s", said(HOUR))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(vault.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_that_another_process_holds_is_not_resumed(
    vault: Vault, holder: subprocess.Popen[str]
) -> None:
    assert vault.opened() is None
    holder.communicate("")
    assert vault.opened() == "s"


def test_one_killed_is_free_at_once(vault: Vault, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert vault.opened() == "s"


def test_one_stopped_still_holds_it(vault: Vault, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGSTOP)
    os.waitpid(holder.pid, os.WUNTRACED)
    assert vault.opened() is None


def test_new_does_not_end_one_in_use(vault: Vault, holder: subprocess.Popen[str]) -> None:
    with vault.workspace() as workspace:
        decision = workspace.chat.decide(new=True)
        assert decision.ends is None
        # nor one that was opened between the decision and its execution
        workspace.chat.begin(decision._replace(ends="s"))
        assert workspace.find("s").status == "open"


def test_one_in_use_may_be_opened_by_name_and_that_is_said(
    vault: Vault, holder: subprocess.Popen[str]
) -> None:
    with vault.workspace() as workspace:
        conversation = workspace.chat.begin(workspace.chat.decide_named("s")[0])
        assert f"open elsewhere too (process {holder.pid}" in conversation.notices[0]
        # /new leaves it to the other one
        workspace.chat.begin_anew()
        assert workspace.find("s").status == "open"


def test_new_marks_the_one_it_follows_as_ending(vault: Vault) -> None:
    vault.add("s", said(HOUR))
    with vault.workspace() as workspace:
        workspace.chat.begin(workspace.chat.decide(new=True))
        assert workspace.find("s").status == "ending"
        assert workspace.show("s").meta.ending is not None
    meta = orjson.loads((vault.sessions / "s.meta.json").read_bytes())
    assert meta["ending"] == {"reason": "new", "at": format_time(NOW)}
    assert vault.opened() is None


def test_so_is_one_that_went_on_after_its_end(vault: Vault) -> None:
    """It ended here, somebody went on there, and git put both together."""
    vault.add("s", said(HOUR), ended_at="2026-11-20T08:00:00.000Z", end_reason="idle")
    with vault.workspace() as workspace:
        assert workspace.find("s").status == "open"
        workspace.chat.begin(workspace.chat.decide(new=True))
        assert workspace.find("s").status == "ending"
        meta = workspace.show("s").meta
        assert (meta.ended_at, meta.end_reason) == (None, None)


def test_a_private_chat_ends_nothing(vault: Vault) -> None:
    vault.add("s", said(HOUR))
    with vault.workspace() as workspace:
        workspace.chat.begin(workspace.chat.decide(new=True), private=True)
        assert workspace.find("s").status == "open"


def test_what_was_open_before_is_given_free(vault: Vault) -> None:
    for name in ("a", "b"):
        vault.add(name, said(HOUR))
    with vault.workspace() as workspace, vault.workspace() as other:
        workspace.chat.begin(workspace.chat.decide_named("a")[0])
        workspace.chat.begin(workspace.chat.decide_named("b")[0])
        assert other.chat.decide().session_id == "a"


# --- by name -------------------------------------------------------------------------------------

ID = "20261121-080512-7k3q9d"


@pytest.mark.parametrize("given", ["Plan", "plan", " ＰＬＡＮ ", ID, ID[:15], ID[:20]])
def test_a_session_asked_for_whatever_its_age(vault: Vault, given: str) -> None:
    vault.add(ID, said(timedelta(days=900)), name="Plan")
    with vault.workspace() as workspace:
        decision, warnings = workspace.chat.decide_named(given)
    assert (decision.action, decision.session_id, warnings) == ("resume", ID, [])


@pytest.mark.parametrize("given", [ID[:14], "2026", "Plans", "pla"])
def test_anything_else_is_a_new_name(vault: Vault, given: str) -> None:
    """Also a beginning of an id that is too short to be meant as one."""
    vault.add(ID, said(HOUR), name="Plan")
    with vault.workspace() as workspace:
        decision, _ = workspace.chat.decide_named(given)
    assert (decision.action, decision.session_id, decision.name) == ("new", None, given)


def test_a_beginning_of_several_ids_is_ambiguous(vault: Vault) -> None:
    both = [vault.add(ID, said(HOUR)), vault.add(ID[:-1] + "e", said(HOUR))]
    with vault.workspace() as workspace, pytest.raises(AmbiguousSession) as caught:
        workspace.chat.decide_named(ID[:15])
    assert all(session_id in str(caught.value) for session_id in both)


@pytest.mark.parametrize("given", ["", " ", "a\nb", "x" * 101, "\udcff"])
def test_what_can_be_no_name_is_refused(vault: Vault, given: str) -> None:
    with vault.workspace() as workspace, pytest.raises(VaultError, match="can't be a name"):
        workspace.chat.decide_named(given)


def test_two_of_one_name_from_two_machines(vault: Vault) -> None:
    """The more recently active one is opened; the warning names both."""
    vault.add("older", said(3 * HOUR), name="Plan")
    vault.add("newer", said(2 * HOUR), name="plan")
    with vault.workspace() as workspace:
        decision, warnings = workspace.chat.decide_named("PLAN")
    assert (decision.session_id, decision.runner_up) == ("newer", "older")
    assert len(warnings) == 1
    assert "newer" in warnings[0]
    assert "older" in warnings[0]
    assert "rename older" in warnings[0]


# --- while a chat runs ---------------------------------------------------------------------------


def test_the_policy_is_asked_again_before_each_message(vault: Vault) -> None:
    vault.add("s", said(HOUR))
    with vault.workspace(reset="idle") as workspace:
        workspace.chat.begin(workspace.chat.decide())
        vault.now = NOW + timedelta(minutes=119)  # opening it counts as activity
        assert workspace.chat.next_session() is None
        vault.now = NOW + timedelta(minutes=120)
        decision = workspace.chat.next_session()
        assert decision is not None
        assert decision.reason == "idle for 2 hours (reset: idle, 2 hours)"


def test_what_another_chat_said_in_it_meanwhile_is_activity(vault: Vault) -> None:
    vault.add("s", said(HOUR))
    with vault.workspace(reset="idle") as workspace:
        workspace.chat.begin(workspace.chat.decide())
        vault.add("s", said(HOUR), said(-HOUR))
        vault.now = NOW + timedelta(minutes=150)
        assert workspace.chat.next_session() is None


def test_the_newest_time_counts_not_the_last_line(vault: Vault) -> None:
    vault.add("s", said(-HOUR), said(HOUR), said(-timedelta(days=9)), said(-2 * HOUR, "tool"))
    with vault.workspace(reset="idle") as workspace:
        workspace.chat.begin(workspace.chat.decide_named("s")[0])
        vault.now = NOW + timedelta(minutes=179)
        assert workspace.chat.next_session() is None
        vault.now = NOW + timedelta(minutes=180)
        assert workspace.chat.next_session() is not None


def test_a_private_conversation_is_never_made_a_kept_one(vault: Vault) -> None:
    vault.add("s", said(HOUR))
    with vault.workspace(reset="idle") as workspace:
        workspace.chat.begin(workspace.chat.decide_named("s")[0], private=True)
        vault.now = NOW + timedelta(days=9)
        assert workspace.chat.next_session() is None


# --- --why ---------------------------------------------------------------------------------------


def everything(*folders: Path) -> dict[str, str]:
    """Every path, with its bytes' hash and its time."""
    found = {}
    for folder in folders:
        for path in sorted([folder, *folder.rglob("*")]):
            if path.exists():
                data = path.read_bytes() if path.is_file() else b""
                digest = hashlib.sha256(data).hexdigest()
                found[str(path)] = f"{digest} {path.stat().st_mtime_ns}"
    return found


@pytest.mark.parametrize(
    "arguments", [[], ["--new"], ["-s", "Plan"], ["-s", "other"], ["--private"]]
)
def test_why_writes_nothing(
    vault: Vault, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add("s", said(datetime.now(UTC) - NOW), name="Plan")
    vault.add("t", said(HOUR))
    monkeypatch.chdir(vault.home)
    command = [sys.executable, "-m", "vault_sessions", "chat", "--why", "--vault", str(vault.root)]
    before = everything(vault.root, tmp_path / "state", tmp_path / "config")
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Would ")
    assert everything(vault.root, tmp_path / "state", tmp_path / "config") == before


def test_why_says_what_would_be_opened_and_the_runner_up(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vault_sessions.cli import run

    since = datetime.now(UTC) - NOW
    vault.add("first", said(25 * MINUTE - since))
    vault.add("second", said(2 * HOUR - since), name="The second")
    monkeypatch.chdir(vault.home)
    assert run(["--vault", str(vault.root), "chat", "--why"]) == 0
    out = capsys.readouterr().out
    assert "Would resume first: it is this directory's most recent session, active 25" in out
    assert "Runner-up: The second" in out
    assert run(["--vault", str(vault.root), "chat", "--why", "--new", "--json"]) == 0
    decision = orjson.loads(capsys.readouterr().out)
    assert (decision["action"], decision["ends"]) == ("new", "first")

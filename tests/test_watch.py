"""What is edited while a program runs is in the mirror at once, and nothing is missed for long."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from home import Home, make_home, message, write_many, write_session

from vault_sessions import Workspace, watch
from vault_sessions import vault as vaults
from vault_sessions.folders import vault_folder
from vault_sessions.live import Live
from vault_sessions.state import State, Watcher
from vault_sessions.vault import Vault

PATIENCE = 90


def until(what: Callable[[], Any]) -> Any:
    """Wait for something to be so."""
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.005)
    return found


class Watched:
    """A running ``watch``: its lines, as they come."""

    def __init__(self, home: Home, process: subprocess.Popen[str]) -> None:
        self.home = home
        self.process = process
        self.lines: list[str] = []
        self._queue: Queue[str | None] = Queue()
        self._threads = [
            threading.Thread(target=self._read, args=(stream,))
            for stream in (process.stdout, process.stderr)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def close(self) -> None:
        """Nothing of it runs any more."""
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()

    def wait(self, beginning: str) -> str:
        """The next line that begins so."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                raise AssertionError(f"no line {beginning!r} after {self.lines}") from None
            if line is not None:
                self.lines.append(line)
                if line.startswith(beginning):
                    return line

    def all_so_far(self) -> list[str]:
        """Every line until now."""
        with suppress(Empty):
            while True:
                if (line := self._queue.get_nowait()) is not None:
                    self.lines.append(line)
        return self.lines

    def pause(self) -> None:
        """It does nothing any more, until SIGCONT."""
        self.process.send_signal(signal.SIGSTOP)
        threads = list(Path(f"/proc/{self.process.pid}/task").glob("*/status"))
        until(lambda: all("State:\tT" in thread.read_text() for thread in threads))

    def end(self, number: int = signal.SIGINT) -> int:
        """Its exit code when it gets a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def watching(home: Home, *before: str) -> Iterator[Watched]:
    """``watch``, ready. ``before``: a program that starts it."""
    process = subprocess.Popen(
        [*before, *home.command("watch")],
        cwd=home.folder,
        env={**home.environment, "VAULT_SESSIONS_VAULT": str(home.vault)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watched = Watched(home, process)
    try:
        watched.wait("Watching")
        yield watched
    finally:
        watched.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = make_home(tmp_path)
    write_many(home, 3)
    return home


@pytest.fixture
def variables(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Workspace in this process finds the same mirror and state as the program's."""
    for name, value in home.environment.items():
        if name.startswith("VAULT_SESSIONS_"):
            monkeypatch.setenv(name, value)


def state_of(home: Home) -> State:
    name = os.path.basename(vault_folder("state", str(home.vault)))
    return State(str(home.folder / "state" / name))


def asked(home: Home) -> Watcher:
    """What the watching process says of itself, once it can be asked."""

    def found() -> Watcher | None:
        watcher = state_of(home).watcher()
        return watcher if watcher is not None and watcher.folders else None

    answer: Watcher = until(found)
    return answer


def found(home: Home, word: str) -> list[str]:
    return [hit["session_id"] for hit in home.json("search", word)]


def cookies(home: Home) -> list[str]:
    return vaults.cookies(Vault(str(home.vault)))


def _taken(vault: Vault, cookie: str) -> bool:
    return not vaults.cookie_there(vault, cookie)


def in_mirror(home: Home, word: str) -> int:
    """Messages that have the word, as the file of the mirror has them; nothing is looked at."""
    import sqlite3

    (path,) = (home.folder / "cache").glob("*/mirror.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        sql = "SELECT count(*) FROM messages WHERE content LIKE ?"
        (count,) = connection.execute(sql, (f"%{word}%",)).fetchone()
    connection.close()
    return int(count)


# --- edits ---------------------------------------------------------------------------------------


def test_every_way_of_saving_is_an_edit(home: Home) -> None:
    """An append, a rename over the file, a file moved away and written anew, a truncating write."""
    path = home.sessions / "s000.jsonl"
    with watching(home) as watched:
        with path.open("ab") as file:
            file.write(message("quince"))
        assert watched.wait("changed") == "changed s000"
        until(lambda: in_mirror(home, "quince"))

        new = home.sessions / ".new"
        new.write_bytes(path.read_bytes() + message("medlar"))
        new.rename(path)
        watched.wait("changed s000")
        until(lambda: in_mirror(home, "medlar"))

        data = path.read_bytes() + message("loquat")
        path.rename(home.sessions / "s000.jsonl~")
        path.write_bytes(data)
        watched.wait("changed s000")
        until(lambda: in_mirror(home, "loquat"))

        path.write_bytes(message("only this"))
        watched.wait("changed s000")
        until(lambda: not in_mirror(home, "loquat"))
        assert not [line for line in watched.all_so_far() if line.startswith("gone")]


def test_memory_and_new_sessions_are_told_by_name_or_path(home: Home) -> None:
    with watching(home) as watched:
        facts = home.vault / "atlas/memory/long-term/facts.md"
        facts.write_text("# Facts\n\n## Facts\n\n- Has a persimmon tree.\n")
        assert watched.wait("memory") == "memory atlas/memory/long-term/facts.md"
        write_session(home, "t1", message("hello"), name="Orchard plans")
        watched.wait("changed Orchard plans")
        facts.write_text("# Facts\n")
        watched.wait("memory")
        for name in (".hidden", "4913", ".s000.jsonl.swp"):
            (home.sessions / name).write_text("x")
        write_session(home, "t2", message("hello"))
        watched.wait("changed t2")
        assert not [line for line in watched.all_so_far() if "4913" in line or "swp" in line]


def test_a_deletion_counts_after_a_second_look_and_not_when_the_file_comes_back(
    home: Home,
) -> None:
    back = home.sessions / "s001.jsonl"
    kept = back.read_bytes()
    with watching(home) as watched:
        started = time.monotonic()
        (home.sessions / "s000.jsonl").unlink()
        back.unlink()
        until(lambda: not (state_of(home).watcher() or Watcher(None)).folders)  # not to be asked
        assert in_mirror(home, "number 0") == 2
        back.write_bytes(kept)
        assert watched.wait("gone") == "gone s000"
        assert time.monotonic() - started >= 2
        assert in_mirror(home, "number 0") == 0
        assert in_mirror(home, "number 1") == 2
        asked(home)
        assert [line for line in watched.all_so_far() if line.startswith("gone")] == ["gone s000"]


def test_others_take_a_deletion_at_once(home: Home) -> None:
    with watching(home):
        (home.sessions / "s000.jsonl").unlink()
        assert "s000" not in home.output("list").split()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_the_mirror_is_what_a_new_one_would_be(home: Home, seed: int) -> None:
    """No event is missed and none is taken for another: five thousand edits of every kind, as fast
    as they come, and nobody but the watcher looks."""
    write_many(home, 40)
    chance = random.Random(seed)
    with watching(home):
        asked(home)
        for number in range(5000):
            _edit(home, chance, number)
        asked(home)  # no file is waited for any more
        vault = Vault(str(home.vault))
        cookie = vaults.leave_cookie(vault)
        assert cookie is not None
        until(lambda: _taken(vault, cookie))
        seen = rows(home)
    home.output("reindex")
    assert seen == rows(home)


def _edit(home: Home, chance: random.Random, number: int) -> None:
    path = home.sessions / f"s{chance.randrange(40):03}.jsonl"
    line = message(f"edit {number}")
    match chance.randrange(8):
        case 0:
            path.unlink(missing_ok=True)
        case 1:
            path.write_bytes(line)
        case 2 | 3 if path.exists():
            new = path.with_name(".new")
            new.write_bytes(path.read_bytes() + line)
            new.rename(path)
        case 4:
            path.with_name(f"{path.stem}.meta.json").write_bytes(b'{"topic": "t%d"}' % number)
        case 5 if path.exists():
            path.rename(path.with_name(f"s{chance.randrange(40):03}.jsonl"))
        case 6:
            (home.vault / "atlas/memory/long-term/facts.md").write_text(f"## Facts\n- {number}\n")
        case _:
            with path.open("ab") as file:
                file.write(line)


def rows(home: Home) -> list[list[Any]]:
    """What the mirror says of sessions, messages and memory, but for the places of rows."""
    import sqlite3

    (path,) = (home.folder / "cache").glob("*/mirror.db")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    joined = "messages m JOIN sessions s USING(session)"
    try:
        found = [
            connection.execute(sql).fetchall()
            for sql in (
                "SELECT id, topic, updated_at, message_count, problems FROM sessions ORDER BY id",
                f"SELECT s.id, line, m.id, content FROM {joined} ORDER BY s.id, line, m.id",
                "SELECT path, line, section, text FROM memory ORDER BY path, line",
                "SELECT path, size, mtime_ns, inode FROM files ORDER BY path",
            )
        ]
    finally:
        connection.close()
    return found


def test_a_burst_is_one_look(home: Home) -> None:
    with watching(home) as watched:
        for number in range(400):
            write_session(home, f"burst{number}", message(f"gooseberry {number}"))
        until(lambda: in_mirror(home, "gooseberry") == 400)
        for _ in range(400):
            watched.wait("changed burst")
        assert len({line for line in watched.lines if line.startswith("changed burst")}) == 400


def test_most_sessions_gone_at_once_stay_in_the_mirror(home: Home) -> None:
    write_many(home, 30)
    with watching(home) as watched:
        for number in range(25):
            (home.sessions / f"s{number:03}.jsonl").unlink()
        said = watched.wait("Warning: 25 of 30 sessions are gone")
        assert "reindex" in said
        assert in_mirror(home, "number 7 ") == 2
        assert not state_of(home).watcher().folders  # type: ignore[union-attr]
        write_session(home, "s031", message("still alive"))
        watched.wait("changed s031")


@pytest.mark.soak
def test_what_is_still_gone_after_a_minute_is_gone(home: Home) -> None:
    write_many(home, 30)
    with watching(home) as watched:
        for number in range(25):
            (home.sessions / f"s{number:03}.jsonl").unlink()
        watched.wait("Warning: 25 of 30 sessions are gone")
        for _ in range(4):
            watched.wait("gone")
        until(lambda: not in_mirror(home, "number 7 "))
        asked(home)


def test_a_folder_that_is_replaced_is_followed(home: Home) -> None:
    with watching(home) as watched:
        old = home.vault / "aside"
        home.sessions.rename(old)
        shutil.copytree(old, home.sessions)
        write_session(home, "s000", message("mulberry"))
        until(lambda: in_mirror(home, "mulberry"))
        (old / "s001.jsonl").write_bytes(message("not in the vault any more"))
        write_session(home, "s002", message("elderberry"))
        until(lambda: in_mirror(home, "elderberry"))
        assert not in_mirror(home, "any more")
        asked(home)
        assert found(home, "elderberry") == ["s002"]
        assert not [line for line in watched.all_so_far() if line.startswith("gone")]


@pytest.mark.soak
def test_a_folder_that_is_not_there_yet_is_waited_for(home: Home) -> None:
    aside = home.folder / "aside"
    (home.vault / "atlas").rename(aside)
    with watching(home):
        aside.rename(home.vault / "atlas")
        until(lambda: in_mirror(home, "number 1"))
        asked(home)
        write_session(home, "s000", message("mulberry"))
        until(lambda: in_mirror(home, "mulberry"))
        (home.vault / "atlas").rename(aside)
        until(lambda: not (state_of(home).watcher() or Watcher(None)).folders)
        assert in_mirror(home, "mulberry")
        aside.rename(home.vault / "atlas")
        asked(home)
        write_session(home, "s001", message("sloe"))
        until(lambda: in_mirror(home, "sloe"))


@pytest.mark.soak
def test_a_vault_that_is_replaced_is_followed(home: Home) -> None:
    """No event tells it: it is seen when the folders are compared, every five seconds."""
    with watching(home):
        copy = home.folder / "copy"
        shutil.copytree(home.vault, copy)
        home.vault.rename(home.folder / "aside")
        copy.rename(home.vault)
        write_session(home, "s000", message("mulberry"))
        assert found(home, "mulberry") == ["s000"]  # who asks sees that it is another folder
        asked(home)
        write_session(home, "s001", message("sloe"))
        until(lambda: in_mirror(home, "sloe"))


# --- cookies -------------------------------------------------------------------------------------


def test_a_cookie_is_taken_away_once_everything_before_it_is_in_the_mirror(home: Home) -> None:
    vault = Vault(str(home.vault))
    with watching(home):
        asked(home)
        for number in range(50):
            with (home.sessions / f"s{number % 3:03}.jsonl").open("ab") as file:
                file.write(message(f"currant{number}."))
            cookie = vaults.leave_cookie(vault)
            assert cookie is not None
            until(partial(_taken, vault, cookie))
            assert in_mirror(home, f"currant{number}.") == 1


@pytest.mark.usefixtures("variables")
def test_who_asks_sees_every_edit(home: Home) -> None:
    with watching(home), Workspace.open(home.vault) as ws:
        asked(home)
        for number in range(30):
            write_session(home, "s000", message(f"currant{number}"))
            assert len(ws.search(f"currant{number}")) == 1
        assert cookies(home) == []


@pytest.mark.soak
@pytest.mark.usefixtures("variables")
def test_who_asks_sees_every_edit_three_hundred_times(home: Home) -> None:
    write_many(home, 500)
    with watching(home), Workspace.open(home.vault) as ws:
        asked(home)
        stale = 0
        for number in range(300):
            with (home.sessions / f"s{number:03}.jsonl").open("ab") as file:
                file.write(message(f"currant{number}"))
            stale += len(ws.search(f"currant{number}")) != 1
        assert stale == 0


def test_a_watcher_that_was_killed_is_not_asked(home: Home) -> None:
    with watching(home) as watched:
        asked(home)
        watched.end(signal.SIGKILL)
        assert state_of(home).watcher() is None
        write_session(home, "s000", message("mulberry"))
        assert found(home, "mulberry") == ["s000"]
        assert cookies(home) == []
    with watching(home):
        write_session(home, "s000", message("sloe"))
        assert found(home, "sloe") == ["s000"]


def test_a_watcher_that_does_not_answer_is_not_waited_for(home: Home) -> None:
    with watching(home) as watched:
        asked(home)
        watched.pause()
        write_session(home, "s000", message("mulberry"))
        assert found(home, "mulberry") == ["s000"]
        assert cookies(home) == []
        watched.process.send_signal(signal.SIGCONT)
        write_session(home, "s001", message("sloe"))
        until(lambda: in_mirror(home, "sloe"))


def test_what_somebody_who_was_killed_left_is_cleared_away(home: Home) -> None:
    cookie = home.sessions / f"{vaults.COOKIE}1-abc"
    cookie.write_bytes(b"")
    notes = home.sessions / f"{vaults.COOKIE}notes"
    notes.write_bytes(b"somebody's own")
    with watching(home):
        until(lambda: not cookie.exists())
    assert notes.read_bytes() == b"somebody's own"


def test_a_cookie_is_no_file_of_the_vault(home: Home) -> None:
    before = home.json("list")
    (home.sessions / f"{vaults.COOKIE}1-abc").write_bytes(b"")
    assert home.json("list") == before
    assert home.json("show", "s000")["problem_list"] == []


def test_a_read_only_vault_is_watched_and_looked_at(home: Home) -> None:
    """Nobody can leave a cookie there, so nobody asks."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    read_only = ["unshare", "-m", "sh", "-c", mount, str(home.vault)]
    if subprocess.run([*read_only, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    with watching(home, *read_only) as watched:
        write_session(home, "s000", message("mulberry"))
        watched.wait("changed s000")
        asked(home)
        done = subprocess.run(
            [*read_only, *home.command("--vault", str(home.vault), "search", "mulberry")],
            env=home.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert "mulberry" in done.stdout
        assert watched.end() == 130


def test_a_mirror_that_is_made_anew_is_followed(home: Home) -> None:
    with watching(home):
        before = asked(home)
        home.output("reindex")
        write_session(home, "s000", message("mulberry"))
        assert found(home, "mulberry") == ["s000"]
        until(lambda: in_mirror(home, "mulberry"))
        until(lambda: asked(home).generation not in ("", before.generation))
        for path in (home.folder / "cache").glob("*/mirror.db*"):
            path.unlink()
        write_session(home, "s001", message("sloe"))
        assert found(home, "sloe") == ["s001"]
        write_session(home, "s002", message("hawthorn"))
        until(lambda: in_mirror(home, "hawthorn"))


# --- one a vault ---------------------------------------------------------------------------------


def test_a_second_watch_says_who_watches(home: Home) -> None:
    with watching(home) as watched:
        said = home.error("watch")
        assert f"Process {watched.process.pid} is watching this vault already" in said
        assert watched.end() == 130
    with watching(home):
        pass


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_in_order(home: Home, number: int, code: int) -> None:
    with watching(home) as watched:
        asked(home)
        assert watched.end(number) == code
        assert state_of(home).watcher() is None
        assert cookies(home) == []
        assert not [line for line in watched.all_so_far() if "Traceback" in line]


def test_once_reconciles_and_leaves(home: Home) -> None:
    home.output("list")
    write_session(home, "s000", message("mulberry"))
    (home.sessions / "s001.jsonl").unlink()
    assert home.output("watch", "--once").splitlines() == ["changed s000", "gone s001"]
    assert home.output("watch", "--once") == ""
    write_session(home, "s002", message("sloe"))
    assert home.json("watch", "--once") == [{"change": "changed", "what": "s002"}]


@pytest.mark.usefixtures("variables")
def test_the_next_one_takes_over(home: Home) -> None:
    with Workspace.open(home.vault) as ws:
        first, second = ws.live(), ws.live()
        first.start()
        try:
            asked(home)
            second.start()
            assert not second.take()
            first.stop()
            asked(home)
            write_session(home, "s000", message("mulberry"))
            until(lambda: in_mirror(home, "mulberry"))
        finally:
            first.stop()
            second.stop()
        assert state_of(home).watcher() is None


@pytest.mark.usefixtures("variables")
def test_who_waits_for_its_turn_hears_of_changes_all_the_same(home: Home) -> None:
    """Which session it is only the one that watches knows."""
    news: Queue[tuple[str, str]] = Queue()
    with Workspace.open(home.vault) as ws:
        first, second = ws.live(), ws.live(heard=lambda kind, text: news.put((kind, text)))
        first.start()
        try:
            asked(home)
            second.start()
            assert news.get(timeout=PATIENCE) == ("ready", "")
            write_session(home, "s000", message("mulberry"))
            assert news.get(timeout=PATIENCE) == ("changed", "")
            assert in_mirror(home, "mulberry")
        finally:
            first.stop()
            second.stop()


@pytest.mark.usefixtures("variables")
def test_what_another_has_mirrored_is_told_too(home: Home) -> None:
    """Also where so much has changed that all files are looked at."""
    news: Queue[tuple[str, str]] = Queue()
    mirrored = threading.Event()

    def heard(kind: str, text: str) -> None:
        news.put((kind, text))
        assert mirrored.wait(PATIENCE)

    with Workspace.open(home.vault) as ws:
        live = ws.live(heard=heard)
        live.start()
        try:
            assert news.get(timeout=PATIENCE) == ("ready", "")
            write_many(home, 150)
            ws.sync()
            mirrored.set()
            missing = {f"s{number:03}" for number in range(150)}
            while missing:
                kind, text = news.get(timeout=PATIENCE)
                assert kind == "changed"
                missing.discard(text)
        finally:
            mirrored.set()
            live.stop()


def test_a_conversation_watches_too(home: Home) -> None:
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        home.command("chat", "--plain"),
        cwd=home.vault,
        env={**home.environment, "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""

    def read_until(text: bytes) -> None:
        nonlocal shown
        end = time.monotonic() + PATIENCE
        while text not in shown:
            assert select.select([ours], [], [], end - time.monotonic())[0], shown
            shown += os.read(ours, 65536)

    try:
        read_until(b"> ")
        assert asked(home).pid == process.pid
        write_session(home, "s000", message("mulberry"))
        until(lambda: in_mirror(home, "mulberry"))
        assert not select.select([ours], [], [], 0)[0], "printed while somebody may be typing"
        os.write(ours, b"/quit\n")
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert state_of(home).watcher() is None


# --- what the system does not tell ---------------------------------------------------------------


def test_lost_events_are_made_up_for(home: Home) -> None:
    """More events than the kernel keeps, while nobody reads them; the edit is among the lost."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    noise = [home.sessions / "s001.jsonl", home.sessions / "s002.jsonl"]
    with watching(home) as watched:
        asked(home)
        watched.pause()
        files = [os.open(path, os.O_WRONLY) for path in noise]
        for number in range(limit + 100):
            os.pwrite(files[number % 2], b"{", 0)
        for fd in files:
            os.close(fd)
        write_session(home, "s000", message("mulberry"))
        watched.process.send_signal(signal.SIGCONT)
        until(lambda: in_mirror(home, "mulberry"))
        write_session(home, "s000", message("sloe"))
        until(lambda: in_mirror(home, "sloe"))


def _reader_fails(observer: Any) -> None:
    """What is read is empty from now on, as when the descriptor is closed by somebody."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, observer.reader._inotify_fd)
    os.close(null)


def _dispatcher_fails(observer: Any) -> None:
    observer.event_queue.put("no event")


def _emitter_fails(observer: Any) -> None:
    (emitter,) = observer.emitters
    emitter._inotify._move_event_grouper._queue.put("no event")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify")
@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("kill", [_reader_fails, _dispatcher_fails, _emitter_fails])
def test_a_thread_that_died_is_replaced(home: Home, kill: Callable[[Any], None]) -> None:
    others = set(threading.enumerate())
    with Workspace.open(home.vault) as ws:
        live: Live = ws.live()
        live.start()
        try:
            asked(home)
            until(lambda: time.monotonic() >= live._hear_at)
            before = live._watch._observer
            kill(before)
            write_session(home, "s000", message("mulberry"))
            until(lambda: live._watch._observer not in (None, before))
            until(lambda: in_mirror(home, "mulberry"))
            asked(home)
            write_session(home, "s001", message("sloe"))
            until(lambda: in_mirror(home, "sloe"))
        finally:
            live.stop()
        left = [t.name for t in set(threading.enumerate()) - others if "live" in t.name]
        assert left == []


@pytest.mark.soak
def test_without_watches_the_files_are_looked_at(home: Home) -> None:
    """The kernel's limit leaves folders unwatched; that is said once, and nobody is to ask."""
    few = ["unshare", "-U", "-r", "sh", "-c", 'echo 2 > /proc/sys/user/max_inotify_watches && "$@"']
    if subprocess.run([*few, "sh", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a user namespace")
    few[-1] = few[-1].replace('"$@"', 'exec "$@"')
    with watching(home, *few, "sh") as watched:
        (said,) = [line for line in watched.lines if "not all told" in line]
        assert "max_user_watches" in said
        for word in ("mulberry", "sloe"):
            write_session(home, "s000", message(word))
            assert found(home, word) == ["s000"]
            watcher = state_of(home).watcher()
            assert watcher is not None
            assert watcher.folders == ""
            until(partial(in_mirror, home, word))
        write_session(home, "s001", message("hawthorn"))
        until(lambda: in_mirror(home, "hawthorn"))
        assert len([line for line in watched.all_so_far() if "not all told" in line]) == 1


@pytest.mark.soak
def test_a_folder_behind_a_link_is_looked_at(home: Home) -> None:
    elsewhere = home.vault / "elsewhere"
    home.sessions.rename(elsewhere)
    home.sessions.symlink_to(elsewhere)
    with watching(home) as watched:
        (said,) = [line for line in watched.lines if "not all told" in line]
        assert "atlas/memory/sessions is reached by a link" in said
        write_session(home, "s000", message("mulberry"))
        until(lambda: in_mirror(home, "mulberry"))


@pytest.mark.soak
@pytest.mark.usefixtures("variables")
def test_nothing_but_the_end_of_the_program_ends_it(home: Home) -> None:
    """Whatever goes wrong in its thread is told, and it begins anew."""
    told: list[str] = []

    def heard(kind: str, what: str) -> None:
        if what == "s000":
            raise RuntimeError("the listener is broken")

    with Workspace.open(home.vault) as ws:
        live = ws.live(say=told.append, heard=heard)
        live.start()
        try:
            asked(home)
            write_session(home, "s000", message("mulberry"))
            until(lambda: [text for text in told if "the listener is broken" in text])
            write_session(home, "s001", message("sloe"))
            until(lambda: in_mirror(home, "sloe"))
            asked(home)
        finally:
            live.stop()


def test_file_systems_that_do_not_tell_are_known_by_their_kind(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:40 / /mnt/my\\040drive rw shared:1 - fuse.rclone drive: rw\n"
        "3 1 0:41 / /mnt/c rw - 9p drvfs rw\n"
        "4 1 0:42 / /home/me rw - nfs4 server:/me rw\n"
        "5 4 8:2 / /home/me/disk rw - fuseblk /dev/sdb1 rw\n"
    )
    kinds = {
        "/srv/notes": None,
        "/mnt/my drive/notes": "fuse.rclone",
        "/mnt/c": "9p",
        "/mnt/cellar": None,
        "/home/me/notes": "nfs4",
        "/home/me/disk/notes": None,
    }
    assert {path: watch.silent(path, str(mounts)) for path in kinds} == kinds
    assert watch.silent("/srv", str(tmp_path / "none")) is None


# --- debouncing ----------------------------------------------------------------------------------


def test_paths_are_handed_on_when_they_are_quiet_and_a_steady_writer_is_heard_too() -> None:
    heard = watch.Watch(".now")
    assert heard.wait(0) == watch.Batch()
    for _ in range(5):
        heard.note("/a")
    assert heard.wait(PATIENCE) == watch.Batch(("/a",))
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.001):
            heard.note("/steady")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert heard.wait(PATIENCE) == watch.Batch(("/steady",))
    finally:
        stop.set()
        writer.join()


def test_a_name_that_is_not_debounced_brings_all_before_it_along() -> None:
    heard = watch.Watch(".now")
    heard.note("/v/a")
    heard.note("/v/.now-1")
    assert heard.wait(0) == watch.Batch(("/v/a", "/v/.now-1"))


def test_a_burst_is_no_list_of_paths_but_a_look_at_everything() -> None:
    heard = watch.Watch(".now")
    for number in range(watch.BURST + 1):
        heard.note(f"/v/{number}")
    assert heard.wait(PATIENCE).look


def test_the_help_says_that_there_is_one_a_vault(home: Home) -> None:
    assert re.search(r"one a\s+vault", home.output("watch", "--help"))

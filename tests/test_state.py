"""Locks and leases: what belongs to this machine, seen from several processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from vault_sessions.state import Holder, State

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 21, 8, 5, 12, tzinfo=UTC)
SESSION = "20261121-080512-7k3q9d"

OTHER = """
import sys
from datetime import UTC, datetime
from vault_sessions.state import State
state = State(sys.argv[1])
for line in sys.stdin:
    match line.split():
        case ["lease", session]:
            lease = state.lease(session, datetime(2026, 11, 21, tzinfo=UTC))
            print("yes" if lease else "no", flush=True)
        case ["release"]:
            lease.release()
            print("done", flush=True)
        case ["lock", session]:
            print("waiting", flush=True)
            with state.lock(session):
                print("locked", flush=True)
                sys.stdin.readline()
            print("unlocked", flush=True)
"""


class Other:
    """Another process that does as it is told."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def tell(self, command: str) -> None:
        """Say something to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """Its next answer."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, command: str) -> str:
        """Say something, wait for the answer."""
        self.tell(command)
        return self.hear()

    def stop(self) -> None:
        """SIGSTOP, as when the machine sleeps; returns when it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A folder that is not there yet."""
    return State(str(tmp_path / "state"))


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[], Other]]:
    """Makes processes, and ends them."""
    made: list[Other] = []

    def make() -> Other:
        made.append(Other(tmp_path / "state"))
        return made[-1]

    yield make
    for process in made:
        process.kill()


def mode(path: str) -> int:
    """The permission bits."""
    return stat.S_IMODE(os.stat(path).st_mode)


# --- locks ---------------------------------------------------------------------------------------


def test_a_lock_keeps_another_process_waiting(state: State, other: Callable[[], Other]) -> None:
    """Until it is given free."""
    process = other()
    order = []
    with state.lock(SESSION):
        assert process.ask(f"lock {SESSION}") == "waiting"
        order.append("first")
    assert process.hear() == "locked"
    order.append("second")
    process.tell("go on")
    assert process.hear() == "unlocked"
    assert order == ["first", "second"]


def test_a_lock_that_another_process_holds_can_not_be_had(
    state: State, other: Callable[[], Other]
) -> None:
    """It is an flock on a side file; another session's is free."""
    import fcntl

    process = other()
    process.ask(f"lock {SESSION}")
    assert process.hear() == "locked"
    with open(os.path.join(state.folder, "locks", SESSION), "rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with state.lock("another"):
            pass
        process.kill()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_is_given_free_when_the_work_fails(state: State) -> None:
    """Whatever was raised."""
    with pytest.raises(ValueError, match="work"), state.lock(SESSION):
        raise ValueError("work")
    with state.lock(SESSION):
        pass


def test_files_are_private_and_so_are_their_folders(state: State) -> None:
    """0600 and 0700."""
    with state.lock(SESSION):
        lease = state.lease(SESSION, NOW)
    state.log_call({"kind": "chat"})
    assert lease is not None
    assert mode(state.folder) == 0o700
    for kind in ("locks", "leases"):
        assert mode(os.path.join(state.folder, kind)) == 0o700
        assert mode(os.path.join(state.folder, kind, SESSION)) == 0o600
    assert mode(os.path.join(state.folder, "calls.jsonl")) == 0o600
    lease.release()


# --- leases --------------------------------------------------------------------------------------


def test_without_a_lease_nothing_is_leased_and_nothing_is_made(state: State) -> None:
    """Asking leaves no trace."""
    assert not state.is_leased(SESSION)
    assert not state.wrote(SESSION)
    assert state.leased() == set()
    assert state.holder(SESSION) == Holder(None, None)
    assert not os.path.exists(state.folder)


def test_a_lease_is_seen_while_it_is_held_and_remembered_after(state: State) -> None:
    """Releasing it twice does no harm."""
    lease = state.lease(SESSION, NOW)
    assert lease is not None
    assert state.is_leased(SESSION)
    assert state.leased() == {SESSION}
    assert state.holder(SESSION) == Holder(os.getpid(), "2026-11-21T08:05:12.000Z")
    assert state.lease(SESSION, NOW) is None
    lease.release()
    lease.release()
    assert not state.is_leased(SESSION)
    assert state.leased() == set()
    assert state.wrote(SESSION)
    again = state.lease(SESSION, NOW)
    assert again is not None
    again.release()


def test_only_one_process_has_a_lease(state: State, other: Callable[[], Other]) -> None:
    """Another session's is free."""
    first, second = other(), other()
    assert first.ask(f"lease {SESSION}") == "yes"
    assert second.ask(f"lease {SESSION}") == "no"
    assert second.ask("lease another") == "yes"
    assert state.lease(SESSION, NOW) is None
    assert state.holder(SESSION).pid == first.process.pid
    assert state.leased() == {SESSION, "another"}
    assert first.ask("release") == "done"
    assert second.ask(f"lease {SESSION}") == "yes"


def test_a_lease_is_free_when_its_holder_was_killed(
    state: State, other: Callable[[], Other]
) -> None:
    """At once, though the file still tells of it."""
    process = other()
    assert process.ask(f"lease {SESSION}") == "yes"
    assert state.is_leased(SESSION)
    process.kill()
    assert not state.is_leased(SESSION)
    assert state.wrote(SESSION)
    lease = state.lease(SESSION, NOW)
    assert lease is not None
    assert state.holder(SESSION).pid == os.getpid()
    lease.release()


def test_a_sleeping_holder_keeps_its_lease(state: State, other: Callable[[], Other]) -> None:
    """However long the lid is closed."""
    process = other()
    assert process.ask(f"lease {SESSION}") == "yes"
    process.stop()
    assert state.is_leased(SESSION)
    assert state.lease(SESSION, NOW) is None
    process.process.send_signal(signal.SIGCONT)
    assert process.ask("release") == "done"
    assert not state.is_leased(SESSION)


def test_somebody_who_only_asks_does_not_keep_a_lease_from_being_had(state: State) -> None:
    """To ask takes the lock for some microseconds."""
    import threading

    lease = state.lease(SESSION, NOW)
    assert lease is not None
    lease.release()
    asking = threading.Event()

    def ask() -> None:
        while not asking.is_set():
            state.is_leased(SESSION)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(100):
            lease = state.lease(SESSION, NOW)
            assert lease is not None
            lease.release()
    finally:
        asking.set()
        thread.join()


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"pid":"x"}', b'{"pid":1}', b"\xff"])
def test_a_lease_file_with_junk_names_no_holder(state: State, junk: bytes) -> None:
    """It is only shown to people."""
    lease = state.lease(SESSION, NOW)
    assert lease is not None
    Path(state.folder, "leases", SESSION).write_bytes(junk)
    assert state.holder(SESSION) == Holder(None, None)
    assert state.is_leased(SESSION)
    lease.release()


# --- the log of model calls ----------------------------------------------------------------------


def test_a_call_is_a_line_of_the_log(state: State) -> None:
    """Appended."""
    records: list[dict[str, Any]] = [
        {"kind": "chat", "tokens": 5},
        {"kind": "topic", "outcome": "é\n"},
    ]
    for record in records:
        state.log_call(record)
    lines = Path(state.folder, "calls.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line) for line in lines] == records

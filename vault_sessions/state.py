"""What belongs to this machine and not to the vault: locks, leases and the log of model calls.

A lock is an flock on a side file, never on a transcript: an editor that replaces the file would
make it worthless. A lease is an flock held while a session is open; the kernel frees it at once
when the process dies, and it survives a machine's sleep. What is written in a lease file is only
shown to people.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from vault_sessions import atomic
from vault_sessions.errors import VaultError
from vault_sessions.formats.times import format_time

NAMES = ".names"
"""The lock under which a name is looked up and given: names are unique in the vault."""


class Holder(NamedTuple):
    """Who has a session open, as far as its lease file says."""

    pid: int | None
    since: str | None


class Lease:
    """A session held open by this process until ``release`` or the end of the process."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def release(self) -> None:
        """Give the session free; harmless when done twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class State:
    """The vault's sub-folder of the user's state folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @contextmanager
    def lock(self, session_id: str) -> Iterator[None]:
        """The session's lock, waited for; held for one append or one rewrite."""
        fd = self._open("locks", session_id)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def lease(self, session_id: str, now: datetime) -> Lease | None:
        """Hold the session open; None when another process does."""
        fd = self._open("leases", session_id)
        for left in range(20, -1, -1):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # perhaps only somebody's is_leased, which takes it for some microseconds
                if not left:
                    os.close(fd)
                    return None
                time.sleep(0.002)
        with suppress(OSError):  # only shown to people: a full disk is no reason to refuse
            os.ftruncate(fd, 0)
            os.write(fd, orjson.dumps({"pid": os.getpid(), "since": format_time(now)}))
        return Lease(fd)

    def is_leased(self, session_id: str) -> bool:
        """Is the session open in some process now?"""
        try:
            fd = os.open(self._path("leases", session_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def leased(self) -> set[str]:
        """All sessions that are open in some process now."""
        try:
            names = os.listdir(os.path.join(self.folder, "leases"))
        except FileNotFoundError:
            return set()
        return {name for name in names if self.is_leased(name)}

    def wrote(self, session_id: str) -> bool:
        """Has this machine ever written to the session? (It then had a lease on it.)"""
        return os.path.exists(self._path("leases", session_id))

    def holder(self, session_id: str) -> Holder:
        """Who holds the lease, for showing."""
        try:
            said = orjson.loads(atomic.read_file(self._path("leases", session_id))[0])
            return Holder(int(said["pid"]), str(said["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Holder(None, None)

    def first_time(self, what: str) -> bool:
        """Is this the first time that this is asked? (For what is said once.)"""
        try:
            fd = os.open(self._path("said", what), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            os.close(self._open("said", what))
            return True
        except OSError:
            return False
        os.close(fd)
        return True

    def log_call(self, record: dict[str, Any]) -> None:
        """Add a line to ``calls.jsonl``: kind, session, model, tokens, time, outcome; no text."""
        atomic.make_folder(self.folder)
        path = os.path.join(self.folder, "calls.jsonl")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(path, flags, atomic.FILE_MODE)
        try:
            os.write(fd, orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        finally:
            os.close(fd)

    def _path(self, kind: str, name: str) -> str:
        return os.path.join(self.folder, kind, name)

    def _open(self, kind: str, name: str) -> int:
        path = self._path(kind, name)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            try:
                return os.open(path, flags, atomic.FILE_MODE)
            except FileNotFoundError:
                atomic.make_folder(os.path.dirname(path))
                return os.open(path, flags, atomic.FILE_MODE)
        except OSError as error:
            raise VaultError(
                f"{path}: {error.strerror}. Locks are kept there; VAULT_SESSIONS_STATE names "
                f"another folder for them."
            ) from error

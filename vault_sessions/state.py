"""What belongs to this machine and not to the vault: locks, leases and the log of model calls.

A lock is an flock on a side file, never on a transcript: an editor that replaces the file would
make it worthless. A lease is an flock held while a session is open; the kernel frees it at once
when the process dies, and it survives a machine's sleep. What is written in a lease file is only
shown to people.
"""

from __future__ import annotations

import fcntl
import hashlib
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
from vault_sessions.model import Loss

NAMES = ".names"
"""The lock under which a name is looked up and given: names are unique in the vault."""

MEMORY = ".memory"
"""The lock under which memory files are changed."""

KEPT = ".kept"
"""The lock under which lines that vanished from a transcript are kept, put back or accepted."""


KEPT_SECONDS = 30 * 86400


def _kept(loss: Loss) -> dict[str, Any]:
    lines = [[name, line.decode()] for name, line in loss.lines]
    return {
        "at": loss.at,
        "lines": lines,
        "after": loss.after,
        "status": loss.status,
        "head": loss.head,
        "places": loss.places,
    }


def _loss(session_id: str, kept: dict[str, Any]) -> Loss:
    lines = tuple((str(name), str(line).encode()) for name, line in kept["lines"])
    after = tuple(map(str, kept["after"]))
    places = tuple(map(str, kept.get("places", ())))
    return Loss(session_id, str(kept["at"]), lines, after, kept["status"], kept["head"], places)


class Holder(NamedTuple):
    """Who has a session open, as far as its lease file says."""

    pid: int | None
    since: str | None


class Lease:
    """A session held open by this process until ``release`` or the end of the process."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def release(self) -> None:
        """Give the session free, without a trace; harmless when done twice."""
        if self._fd is not None:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


class Watcher(NamedTuple):
    """What the process that watches the vault says of itself: which folders it hears, and which
    mirror it keeps fresh. Empty texts: it is not to be asked just now."""

    pid: int | None
    folders: str = ""
    generation: str = ""


class Watching(Lease):
    """This process is the one that watches the vault, until ``release`` or its end."""

    def tell(self, folders: str = "", generation: str = "") -> None:
        """Say for what it can be asked; without texts: not to be asked."""
        record = {"pid": os.getpid(), "folders": folders, "generation": generation}
        if self._fd is not None:
            with suppress(OSError):  # who can't read it looks at the files
                data = orjson.dumps(record)
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, data, 0)


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
        fd = self._hold("leases", session_id)
        if fd is None:
            return None
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
            names = atomic.names_in(os.path.join(self.folder, "leases"))
        except FileNotFoundError:
            return set()
        return {name for name in names if self.is_leased(name)}

    def stale_leases(self) -> list[str]:
        """Sessions that a process had open which is gone and did not give them free."""
        try:
            names = sorted(atomic.names_in(os.path.join(self.folder, "leases")))
        except FileNotFoundError:
            return []
        return [name for name in names if self.holder(name).pid and not self.is_leased(name)]

    def clear_lease(self, session_id: str) -> bool:
        """Remove the trace of a process that is gone; False: another has the session open."""
        fd = self._open("leases", session_id)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    def wrote(self, session_id: str) -> bool:
        """Has this machine ever written to the session? (It then had a lease on it.)"""
        return os.path.exists(self._path("leases", session_id))

    def written(self) -> set[str]:
        """All sessions that this machine has ever written to."""
        try:
            return set(atomic.names_in(os.path.join(self.folder, "leases")))
        except FileNotFoundError:
            return set()

    def wait(self, session_id: str) -> None:
        """Something of the session waits for the owner's answer that no file of theirs says."""
        os.close(self._open("waiting", session_id))

    def waiting(self) -> list[str]:
        """The sessions of which something waits."""
        try:
            return sorted(atomic.names_in(os.path.join(self.folder, "waiting")))
        except OSError:
            return []

    def wait_no_more(self, session_id: str) -> None:
        """It was answered."""
        with suppress(OSError):
            atomic.remove_file(self._path("waiting", session_id))

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

    def was_first(self, what: str) -> bool:
        """Has ``first_time`` been asked this before?"""
        return os.path.exists(self._path("said", what))

    # --- lines that vanished from a transcript ---

    def losses(self) -> list[Loss]:
        """All that is kept and not settled, the oldest first; what can't be read is left out."""
        try:
            names = atomic.names_in(os.path.join(self.folder, "kept"))
        except OSError:
            return []
        found: list[Loss] = []
        for name in names:
            if name.endswith(".json"):
                with suppress(VaultError):
                    found += self.losses_of(name.removesuffix(".json"))
        return sorted(found, key=lambda loss: (loss.at, loss.session_id))

    def losses_of(self, session_id: str) -> list[Loss]:
        """What is kept of one session and not settled, the oldest first. Raises VaultError when
        that can't be read: it must not be taken for nothing."""
        path = self._path("kept", f"{session_id}.json")
        try:
            kept = orjson.loads(atomic.read_file(path)[0])
            return [_loss(session_id, loss) for loss in kept]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise VaultError(f"{path}: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            return []

    def put_losses(self, session_id: str, losses: list[Loss]) -> None:
        """Keep these of one session, durably, in place of what was kept. Raises OSError."""
        path = self._path("kept", f"{session_id}.json")
        if losses:
            atomic.make_folder(os.path.dirname(path))
            atomic.replace_file(path, orjson.dumps([_kept(loss) for loss in losses]))
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)

    def put_settled(self, loss: Loss) -> None:
        """Keep lines that nobody waits for any more. Raises OSError."""
        digest = hashlib.sha256(repr(loss.lines).encode()).hexdigest()[:12]
        path = self._path("kept/settled", f"{loss.session_id}.{digest}.json")
        atomic.make_folder(os.path.dirname(path))
        atomic.replace_file(path, orjson.dumps([_kept(loss)]))

    def settled_of(self, session_id: str) -> list[Loss]:
        """What was kept of one session and is settled, the oldest first; what can't be read is left
        out."""
        found: list[Loss] = []
        for path in self._settled_paths(session_id):
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                kept = orjson.loads(atomic.read_file(path)[0])
                found += [_loss(session_id, loss) for loss in kept]
        return sorted(found, key=lambda loss: loss.at)

    def _settled_paths(self, session_id: str) -> list[str]:
        folder = os.path.join(self.folder, "kept", "settled")
        try:
            names = atomic.names_in(folder)
        except OSError:
            return []
        return [os.path.join(folder, name) for name in names if name.startswith(f"{session_id}.")]

    def forget(self, session_id: str) -> None:
        """Remove what is known of a session that was erased: kept lines, lease and lock.

        Its lock may be held. Raises VaultError.
        """
        paths = self._settled_paths(session_id)
        paths.append(self._path("kept", f"{session_id}.json"))
        paths += [self._path(kind, session_id) for kind in ("leases", "locks", "work")]
        for path in paths:
            try:
                atomic.remove_file(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise VaultError(f"{path}: {error.strerror}. It was not erased.") from error

    def sweep_kept(self, now: datetime) -> None:
        """Forget settled lines after 30 days, and those of a session that nobody asked about."""
        for kind in ("kept", "kept/settled"):
            folder = os.path.join(self.folder, kind)
            with suppress(OSError):
                for name in atomic.names_in(folder):
                    path = os.path.join(folder, name)
                    age = now.timestamp() - os.lstat(path).st_mtime
                    if name.endswith(".json") and age > KEPT_SECONDS:
                        os.unlink(path)

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

    def work(self, session_id: str) -> Lease | None:
        """Be the one that works a session up: a compaction, an ending. None: another is, in this
        process or another one."""
        fd = self._hold("work", session_id)
        return Lease(fd) if fd is not None else None

    def _hold(self, kind: str, name: str) -> int | None:
        """The file, locked for this process; None when another process has it so."""
        fd = self._open(kind, name)
        for left in range(20, -1, -1):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                # perhaps only somebody who asks who has it, which takes some microseconds
                if left:
                    time.sleep(0.002)
        os.close(fd)
        return None

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

    # --- the one process that watches the vault ---

    def watch(self) -> Watching | None:
        """Be the one that watches; None when another process is. Raises VaultError."""
        fd = self._hold("watch", "lock")
        if fd is None:
            return None
        watching = Watching(fd)
        watching.tell()
        return watching

    def watcher(self) -> Watcher | None:
        """The process that watches the vault now; None: there is none."""
        try:
            fd = os.open(self._path("watch", "lock"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            said = orjson.loads(os.pread(fd, 4096, 0))
            return Watcher(int(said["pid"]), str(said["folders"]), str(said["generation"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Watcher(None)
        finally:
            os.close(fd)

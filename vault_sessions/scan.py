"""The shared eyes: what is in the vault now. Walks and reads, never writes.

``look`` compares by stamp without opening a file; ``read_session`` and ``read_memory`` open one
session or one Markdown file and say what is in it and what is wrong with it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from vault_sessions import atomic
from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.names import beginnings, file_kind, session_of, storable
from vault_sessions.formats.session import describe
from vault_sessions.formats.transcript import parse
from vault_sessions.model import (
    FileState,
    Found,
    Meta,
    Passage,
    Problem,
    Stamp,
    Transcript,
    problem,
)
from vault_sessions.vault import Vault

EMPTY = Transcript((), (), 0, 0, 0)


class Look(NamedTuple):
    """Every file of the vault that counts, unopened: by folder, each as (name, its stamp)."""

    files: dict[str, list[tuple[str, int, int, int, int, int]]]
    folders_there: bool

    def digest(self) -> str:
        """The same while no file was added, removed, changed or renamed."""
        import marshal

        return hashlib.blake2b(marshal.dumps(self.files, 2), digest_size=16).hexdigest()

    def stamps(self) -> dict[str, Stamp]:
        """Path → stamp."""
        return {
            f"{folder}/{storable(entry[0])}": Stamp._make(map(_signed, entry[1:]))
            for folder, entries in self.files.items()
            for entry in entries
        }


def look(vault: Vault) -> Look:
    """Stat every file in the folders of sessions and memory."""
    files: dict[str, list[tuple[str, int, int, int, int, int]]] = {}
    there = True
    for folder in (vault.sessions, vault.long_term, vault.identity):
        markdown = folder != vault.sessions
        found = files[folder] = []
        try:
            # by the open folder: a whole path would be walked anew for every file, a fifth slower
            with _opened(vault.absolute(folder)) as number, os.scandir(number) as entries:
                for entry in entries:
                    name = entry.name
                    if markdown and not (name.endswith(".md") and name != "persona.md"):
                        continue
                    try:
                        s = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    found.append(
                        (name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
                    )
        except OSError:
            # not there, no folder, or not ours to read: of memory that is said when it is asked for
            there = there and markdown
    return Look(files, there)


@contextmanager
def _opened(folder: str) -> Iterator[int]:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield number
    finally:
        os.close(number)


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file's state."""
    fields = (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    return Stamp._make(map(_signed, fields))


def _signed(number: int) -> int:
    """In 64 bits with a sign, as SQLite has them: inodes of some file systems and times after 2262
    need the last one."""
    return number if -(1 << 63) <= number < 1 << 63 else number - (1 << 64)


def unsure(stamp: Stamp, now_ns: int) -> bool:
    """Could the file change again without its stamp showing it?

    Yes within 10 ms of its last change, or 2 s where the file system keeps whole seconds.
    """
    whole_seconds = stamp.mtime_ns % 1_000_000_000 == 0
    return now_ns - stamp.mtime_ns < (2_000_000_000 if whole_seconds else 10_000_000)


def read_session(
    vault: Vault, session_id: str, now_ns: int, siblings: Callable[[str], Iterable[str]]
) -> Found | None:
    """One session as its files are now; None when neither is there.

    ``siblings(id)``: the sessions of which this one could be a copy by its name.
    """
    path, meta_path = vault.transcript(session_id), vault.meta(session_id)
    files: list[FileState] = []
    problems: list[tuple[str, Problem]] = []
    transcript, meta = EMPTY, Meta()
    read = _read(vault, path, now_ns, problems, files)
    if read is not None:
        data, stamp, again = read
        transcript = parse(data)
        problems += [(path, found) for found in transcript.problems]
        digest = hashlib.sha256(memoryview(data)[: transcript.known_end]).hexdigest()
        end = transcript.known_end
        files.append(FileState(path, stamp, again, digest, end, end, transcript.lines))
    read_meta = _read(vault, meta_path, now_ns, problems, files)
    if read_meta is not None:
        data, stamp, again = read_meta
        meta, wrong = parse_meta(data, session_id)
        problems += [(meta_path, found) for found in wrong]
        files.append(FileState(meta_path, stamp, again, "", 0, 0, 0))
        if read is None:
            why = "metadata without a transcript: a session without messages"
            if not os.path.lexists(vault.absolute(path)):
                problems.append((meta_path, problem("meta-orphan", why)))
    if not files and not problems:
        return None
    copied = _copied_session(vault, transcript, siblings(session_id))
    if copied is not None:
        why = f"a conflict copy of {copied}: shares messages with it"
        problems = [(path, problem("conflict-copy", why))]
    weighty = sum(1 for _, found in problems if found.severity != "note")
    session = describe(session_id, transcript, meta, weighty, path)
    return Found(session, transcript, meta, tuple(files), tuple(problems), copied)


def _read(
    vault: Vault,
    path: str,
    now_ns: int,
    problems: list[tuple[str, Problem]],
    files: list[FileState],
) -> tuple[bytes, Stamp, bool] | None:
    """A file's bytes and stamp, and whether it must be looked at again.

    None: it is not there; or it can't be read, which is added to ``problems`` and ``files``.
    """
    absolute = vault.absolute(path)
    try:
        data, status = atomic.read_file(absolute)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = f"can't be read: {error.strerror}"
        if isinstance(error, atomic.NotRegular):
            why = "not a regular file; it is not read"
        problems.append((path, problem("unknown-file", why)))
        with suppress(FileNotFoundError):
            files.append(FileState(path, stamp_of(os.lstat(absolute)), False, "", 0, 0, 0))
        return None
    stamp = stamp_of(status)
    return data, stamp, len(data) != stamp.size or unsure(stamp, now_ns)


def _copied_session(vault: Vault, transcript: Transcript, siblings: Iterable[str]) -> str | None:
    """The session with which this one shares a message, among those it could be a copy of."""
    ids: set[str] | None = None
    for sibling in siblings:
        if ids is None:
            ids = {message.id for message in transcript.messages}
        try:
            data, _ = vaults.read_transcript(vault, sibling)
        except (FileNotFoundError, VaultError):
            continue
        if any(message.id in ids for message in parse(data).messages):
            return sibling
    return None


def possible_originals(session_id: str, exists: Callable[[str], bool]) -> list[str]:
    """Sessions of which this stem could be a copy: its beginnings that are there."""
    return [stem for stem in beginnings(session_id) if exists(stem)]


def read_memory(
    vault: Vault, path: str, now_ns: int
) -> tuple[FileState, list[Passage], list[Problem]] | None:
    """One Markdown file of memory; None when it is not there. Links inside the vault are
    followed, others reported."""
    from vault_sessions.formats.memory import read_passages

    name = os.path.basename(path)
    try:
        status = os.lstat(vault.absolute(path))
    except FileNotFoundError:
        return None
    stamp = stamp_of(status)
    state = FileState(path, stamp, unsure(stamp, now_ns), "", 0, 0, 0)
    if stat.S_ISLNK(status.st_mode) and not vaults.is_link_inside(vault, path):
        why = "a symbolic link out of the vault (or to nothing); it is not followed"
        return state, [], [problem("unknown-file", why)]
    try:
        data = vaults.read_bytes(vault, path)
    except VaultError as error:
        return state, [], [problem("memory-unreadable", str(error))]
    if data is None:
        return None
    passages, problems = read_passages(name, data)
    return state, passages, problems


def read_other(path: str) -> list[Problem]:
    """What is to be said of a file in the sessions folder that is no session's."""
    name = os.path.basename(path)
    kind = file_kind(name)
    if kind == "conflict-copy":
        return [problem("conflict-copy", "a conflict copy left by a sync tool; no session")]
    if kind == "not-downloaded":
        return [problem("not-downloaded", "kept in the cloud, not on this machine; not read")]
    if kind == "unknown":
        return [problem("unknown-file", "not a session, not a file we know; it is left alone")]
    return []


def session_paths(vault: Vault, session_id: str) -> tuple[str, str]:
    """The two files of a session, from the root."""
    return vault.transcript(session_id), vault.meta(session_id)


def part_of(vault: Vault, path: str) -> tuple[str, str]:
    """What a path from the root belongs to: a session (id), memory or another file (path)."""
    folder, _, name = path.rpartition("/")
    if folder == vault.sessions:
        kind = file_kind(name)
        if kind in ("transcript", "meta"):
            return "session", session_of(name)
        return "other", path
    return "memory", path

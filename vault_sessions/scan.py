"""The shared eyes: what is in the vault now. Walks and reads, never writes.

``look`` compares by stamp without opening a file; ``read_session`` and ``read_memory`` open one
session or one Markdown file and say what is in it and what is wrong with it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from vault_sessions import atomic
from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.names import (
    MARKDOWN,
    META,
    TRANSCRIPT,
    beginnings,
    copy_name,
    file_kind,
    in_cloud,
    is_ignored,
    perhaps_copy_of,
    session_of,
    storable,
    stub_of,
)
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

_HAS_FLAGS = hasattr(os.stat_result, "st_flags")
_SF_DATALESS = 0x40000000  # macOS: the file's bytes are in the cloud only
LARGE = 4 << 20
"""Bytes of a transcript from which on memory counts for more than a tenth of the time."""
AWAY = "kept in the cloud, not on this machine; not read"
"""What is said of a file that is not downloaded."""


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
                    if not _counts(name, markdown):
                        continue
                    try:
                        if markdown and entry.is_symlink():
                            s = _linked(vault, f"{folder}/{storable(name)}")
                        else:
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


def _linked(vault: Vault, path: str) -> os.stat_result:
    """The state of what a link inside the vault leads to, which changes when that is edited; of
    another link its own. Raises FileNotFoundError."""
    absolute = vault.absolute(path)
    with suppress(OSError):
        if vaults.is_link_inside(vault, path):
            return os.stat(absolute)
    return os.lstat(absolute)


def counts(vault: Vault, path: str) -> bool:
    """Would ``look`` show a file of this path (from the root)?"""
    folder, _, name = path.rpartition("/")
    return _counts(name, folder != vault.sessions)


def _counts(name: str, markdown: bool) -> bool:
    """Is it a file of which something is known or said? Temporary ones must not disturb."""
    if name[0] == ".":
        return name.endswith(".icloud") and (not markdown or ".md." in name)
    if not markdown:
        return True
    if name.endswith(MARKDOWN):
        return name[0] != "~" or not is_ignored(name)
    return ".md." in name and copy_name(name) is not None


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
    vault: Vault,
    session_id: str,
    now_ns: int,
    siblings: Callable[[str], Iterable[str]],
    *,
    lean: bool = False,
) -> Found | None:
    """One session as its files are now; None when neither is there.

    ``siblings(id)``: the sessions of which this one could be a copy by its name. ``lean``: a large
    transcript is read as ``parse`` does with that name.
    """
    path, meta_path = vault.transcript(session_id), vault.meta(session_id)
    files: list[FileState] = []
    problems: list[tuple[str, Problem]] = []
    transcript, meta, whole = EMPTY, Meta(), None
    read = _read(vault, path, now_ns, problems, files)
    if read is not None:
        whole, stamp, again = read
        transcript = parse(whole, lean=lean and len(whole) > LARGE)
        problems += [(path, found) for found in transcript.problems]
        digest = hashlib.sha256(memoryview(whole)[: transcript.known_end]).hexdigest()
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
            if not os.path.lexists(vault.absolute(path)) and not is_away(vault, path):
                problems.append((meta_path, problem("meta-orphan", why)))
    if not files and not problems:
        return None
    if read is not None:
        copied = _copied_session(vault, transcript, siblings(session_id))
        why = f"a conflict copy of {copied}: shares messages with it; doctor --fix merges it"
    else:
        copied = _copied_meta(vault, meta, session_id)
        why = f"a conflict copy of {copied}{META}: says the same id; doctor --fix merges it"
    if copied is not None:
        problems = [(path if read is not None else meta_path, problem("conflict-copy", why))]
    weighty = sum(1 for _, found in problems if found.severity != "note")
    session = describe(session_id, transcript, meta, weighty, path)
    return Found(session, transcript, meta, tuple(files), tuple(problems), copied, whole)


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
        if _HAS_FLAGS and is_dataless(away := os.lstat(absolute)):
            problems.append((path, problem("not-downloaded", AWAY)))
            files.append(FileState(path, stamp_of(away), False, "", 0, 0, 0))
            return None
        limit = atomic.LARGEST if path.endswith(TRANSCRIPT) else atomic.LARGEST_TEXT
        data, status = atomic.read_file(absolute, limit=limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = f"can't be read: {error.strerror}"
        if isinstance(error, atomic.NotRegular):
            why = "not a regular file; it is not read"
        # why it can't be read may pass (a disk's error, a missing permission): looked at again
        again = not isinstance(error, atomic.NotRegular)
        with suppress(FileNotFoundError):
            files.append(FileState(path, stamp_of(os.lstat(absolute)), again, "", 0, 0, 0))
            problems.append((path, problem("unknown-file", why)))
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


def _copied_meta(vault: Vault, meta: Meta, session_id: str) -> str | None:
    """The session whose metadata this is a copy of, for metadata alone: both say its id."""
    if meta.id is None or meta.id == session_id or meta.id not in beginnings(session_id):
        return None
    return meta.id if _meta_id(vault, f"{vault.sessions}/{meta.id}{META}") == meta.id else None


def _meta_id(vault: Vault, path: str) -> object:
    """The id that a metadata file says; None where it says none or can't be read."""
    try:
        data, _ = atomic.read_file(vault.absolute(path))
    except OSError:
        return None
    return parse_meta(data, "")[0].id


def possible_originals(session_id: str, exists: Callable[[str], bool]) -> list[str]:
    """Sessions of which this stem could be a copy: its beginnings that are there."""
    return [stem for stem in beginnings(session_id) if exists(stem)]


def read_memory(
    vault: Vault, path: str, now_ns: int
) -> tuple[FileState, list[Passage], list[Problem]] | None:
    """One Markdown file of memory; None when it is not there. Links inside the vault are
    followed, others reported. A conflict copy has no passages: they would be found twice."""
    from vault_sessions.formats.memory import read_passages

    name = os.path.basename(path)
    try:
        status = os.lstat(vault.absolute(path))
    except FileNotFoundError:
        return None
    is_link = stat.S_ISLNK(status.st_mode)
    stamp = stamp_of(_linked(vault, path) if is_link else status)
    state = FileState(path, stamp, unsure(stamp, now_ns), "", 0, 0, 0)
    if in_cloud(name) or is_dataless(status):
        return state, [], [problem("not-downloaded", AWAY)]
    if name == "persona.md":  # no memory, but another file may be a copy of it
        return state, [], []
    if is_link and not vaults.is_link_inside(vault, path):
        why = "a symbolic link out of the vault (or to nothing); it is not followed"
        return state, [], [problem("unknown-file", why)]
    if (original := copy_of(vault, path)) is not None:
        return state, [], [_copy_problem(original)]
    try:
        data = vaults.read_bytes(vault, path)
    except VaultError as error:
        state = state._replace(unsure=True)  # why it can't be read may pass
        return state, [], [problem("memory-unreadable", str(error))]
    if data is None:
        return None
    passages, problems = read_passages(name, data)
    return state, passages, problems


def read_other(vault: Vault, path: str) -> list[Problem]:
    """What is to be said of a file in the sessions folder that is no session's."""
    kind = file_kind(os.path.basename(path))
    if kind == "not-downloaded":
        return [problem("not-downloaded", AWAY)]
    if kind in ("conflict-copy", "unknown"):
        if (original := copy_of(vault, path)) is not None:
            return [_copy_problem(original)]
        return [problem("unknown-file", "not a session, not a file we know; it is left alone")]
    return []


def _copy_problem(original: str) -> Problem:
    name = os.path.basename(original)
    return problem("conflict-copy", f"a conflict copy of {name}; doctor --fix merges it")


def copy_of(vault: Vault, path: str) -> str | None:
    """The file, from the root, of which this one is a conflict copy; None: it is none.

    By its name, or, where anybody may have given it that name, by what both files say. (For a
    session's own two files ``read_session`` knows.)
    """
    folder, _, name = path.rpartition("/")
    copy = copy_name(name)
    if copy is not None and not _has_copies(vault, f"{folder}/{copy.original}"):
        return None
    if copy is not None and copy.is_certain:
        return f"{folder}/{copy.original}"
    for original in perhaps_copy_of(name, copy):
        there = f"{folder}/{original}"
        is_marked = copy is not None and original == copy.original
        if (
            _has_copies(vault, there)
            and os.path.lexists(vault.absolute(there))
            and _agree(vault, there, path, is_marked)
        ):
            return there
    return None


def _has_copies(vault: Vault, path: str) -> bool:
    """Is a file of this path one whose copies are known: of a session, of memory?"""
    folder, _, name = path.rpartition("/")
    if folder == vault.sessions:
        return not name.endswith(MARKDOWN)
    return name.endswith(MARKDOWN) or path == vault.changes


def _agree(vault: Vault, original: str, path: str, is_marked: bool) -> bool:
    """Do two files say the same, at least in part, so that one is a copy of the other?

    ``is_marked``: the name of the second is one that a sync tool would make of the first's.
    """
    if any(is_away(vault, each) for each in (original, path)):
        return False
    if original.endswith(META):
        said = _meta_id(vault, original)
        return said is not None and said == _meta_id(vault, path)
    try:
        if original.endswith(TRANSCRIPT):
            one, other = (atomic.read_file(vault.absolute(p))[0] for p in (original, path))
            if original == vault.changes:
                return not set(one.split(b"\n")).isdisjoint(filter(None, other.split(b"\n")))
            return not _ids(one).isdisjoint(_ids(other))
        page, copy = (vaults.read_bytes(vault, each) for each in (original, path))
    except (OSError, VaultError):
        return False
    if page is None or copy is None:
        return False
    # the owner's own variants (persona-formal.md) have much in common too
    is_list = os.path.basename(original) in ("facts.md", "user.md")
    return _is_same_page(page, copy, is_marked or is_list)


def _ids(data: bytes) -> set[str]:
    return {message.id for message in parse(data).messages}


def _is_same_page(one: bytes, other: bytes, by_text: bool) -> bool:
    """Are two Markdown files versions of one: of the same session or, where that is not said (and
    if it counts), with most of their bullets and paragraphs in common?"""
    from vault_sessions.formats.memory import read_document, read_passages

    sessions = [read_document(data).front.get("session_id") for data in (one, other)]
    if None not in sessions:
        return sessions[0] == sessions[1]
    mine, yours = ({p.text for p in read_passages("", data)[0]} for data in (one, other))
    return by_text and 2 * len(mine & yours) > min(len(mine), len(yours))


def copies(vault: Vault) -> dict[str, str]:
    """Every conflict copy in the folders of sessions and memory, and what it is a copy of; also
    of the log of changes and of skills, which no scan looks at.

    Both from the root; the second may not be there. Raises VaultError.
    """
    found: dict[str, str] = {}
    changes = os.path.dirname(vault.changes)
    for folder in (vault.sessions, vault.long_term, vault.identity, vault.skills, changes):
        names = vaults.list_names(vault, folder)
        there = set(names)
        for name in sorted(names):
            path = f"{folder}/{name}"
            if is_ignored(name) or not (folder == changes or counts(vault, path)):
                continue
            if folder == vault.sessions and file_kind(name) in ("transcript", "meta"):
                original = _original_of_session(vault, session_of(name), there)
                if original is not None:
                    ending = TRANSCRIPT if name.endswith(TRANSCRIPT) else META
                    found[path] = f"{folder}/{original}{ending}"
            elif (
                not in_cloud(name)
                and (of := copy_of(vault, path)) is not None
                and (folder != changes or of == vault.changes)
                and (folder != vault.skills or _is_sure(name))
            ):
                found[path] = of
    return {path: _first(found, path) for path in found}


def _is_sure(name: str) -> bool:
    copy = copy_name(name)
    return copy is not None and copy.is_certain


def _original_of_session(vault: Vault, session_id: str, names: set[str]) -> str | None:
    """The session of which that one is a conflict copy, by what its files say."""
    paths = session_paths(vault, session_id)
    siblings = possible_originals(session_id, lambda stem: f"{stem}{TRANSCRIPT}" in names)
    is_alone = f"{session_id}{TRANSCRIPT}" not in names
    if not (siblings or (is_alone and beginnings(session_id))):
        return None
    if any(is_away(vault, path) for path in paths):
        return None
    if is_alone:
        meta = Meta(id=said) if isinstance(said := _meta_id(vault, paths[1]), str) else Meta()
        return _copied_meta(vault, meta, session_id)
    try:
        data, _ = vaults.read_transcript(vault, session_id)
    except (FileNotFoundError, VaultError):
        return None
    return _copied_session(vault, parse(data), siblings)


def _first(copied: dict[str, str], path: str) -> str:
    """What a copy, or a copy of a copy, goes back to. (An original's name is always shorter.)"""
    while path in copied:
        path = copied[path]
    return path


def is_dataless(status: os.stat_result) -> bool:
    """macOS: is the file in the cloud only? To read it would download it."""
    return bool(getattr(status, "st_flags", 0) & _SF_DATALESS)


def is_away(vault: Vault, path: str) -> bool:
    """Is a file (from the root) in the cloud only: without its bytes, or a stub in its place?"""
    absolute = vault.absolute(path)
    try:
        return is_dataless(os.lstat(absolute))
    except OSError:
        return os.path.lexists(vault.absolute(stub_path(path)))


def stub_path(path: str) -> str:
    """Where the stub of a file stands that is kept in the cloud, from the root."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{stub_of(name)}"


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


def files_of(vault: Vault, session_ids: Collection[str]) -> dict[str, list[str]]:
    """The files of each of these sessions, conflict copies of them included, from the root. Raises
    VaultError."""
    found: dict[str, list[str]] = {session_id: [] for session_id in session_ids}
    copied = copies(vault)
    for name in vaults.list_names(vault, vault.sessions):
        path = f"{vault.sessions}/{name}"
        original = copied.get(path, path).rpartition("/")[2]
        if (owner := owner_of(name, found) or owner_of(original, found)) is not None:
            found[owner].append(path)
    return found


def owner_of(name: str, session_ids: Collection[str]) -> str | None:
    """The one of these sessions that a file belongs to, by its name."""
    if file_kind(name) in ("transcript", "meta"):
        owner = session_of(name)
    else:
        copy = copy_name(name)
        owner = session_of(copy.original) if copy is not None and copy.is_certain else ""
    return owner if owner in session_ids else None

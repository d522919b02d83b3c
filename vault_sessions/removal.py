"""Sessions to the trash and back, and for good: what ``delete``, ``clean`` and ``restore`` do.

A session is its transcript, its metadata and their conflict copies: what is left of these would
become the session again. Long-term memory is left alone, unless it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from typing import NamedTuple

import orjson

from vault_sessions import atomic, guard, scan
from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats import memory
from vault_sessions.formats.bullets import section_body, with_body
from vault_sessions.formats.changes import one_line, read_changes
from vault_sessions.formats.ids import name_key
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.names import (
    META,
    TRANSCRIPT,
    copy_name,
    file_kind,
    perhaps_copy_of,
    session_of,
)
from vault_sessions.formats.transcript import parse
from vault_sessions.state import MEMORY, State
from vault_sessions.vault import Vault, trash

LOCKED_AT_ONCE = 100


class Trashed(NamedTuple):
    """A session in the trash: which time it was put there, its id, name and files."""

    entry: trash.Entry
    session_id: str
    name: str | None
    files: tuple[str, ...]


class Learned(NamedTuple):
    """What long-term memory has from a session: its summaries' paths, and bullets as
    (path, line as it stands)."""

    summaries: tuple[str, ...]
    bullets: tuple[tuple[str, str], ...]


# --- to the trash --------------------------------------------------------------------------------


def delete(
    vault: Vault,
    state: State,
    session_ids: Sequence[str],
    why: str,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Move sessions to the trash; the paths that are gone. None of them may be in use.

    Raises VaultError; what had been moved by then is in the trash.
    """
    # metadata first: killed in between, a transcript that is left is a session, metadata is none;
    # and one session after the other, so that the others are still whole
    paths = [
        path
        for files in scan.files_of(vault, session_ids).values()
        for path in sorted(files, key=lambda path: path.endswith(TRANSCRIPT))
    ]
    if not paths:
        return []
    with ExitStack() as locks:
        # of a few; a chat that says something to one of many finds its file gone, and goes on
        # in a new session
        for session_id in sorted(session_ids) if len(session_ids) <= LOCKED_AT_ONCE else ():
            locks.enter_context(state.lock(session_id))
        trash.throw_away(vault, paths, why, now, progress)
    for session_id in session_ids:
        guard.settle(state, session_id)
    return paths


# --- and back ------------------------------------------------------------------------------------


def trashed(vault: Vault) -> list[Trashed]:
    """The sessions in the trash, the latest first. Copies of what was replaced are none."""
    found = []
    for entry in trash.entries(vault):
        sessions: dict[str, list[str]] = {}
        for path in entry.files if entry.moved else ():
            folder, _, name = path.rpartition("/")
            if folder == vault.sessions and file_kind(name) in ("transcript", "meta"):
                sessions.setdefault(session_of(name), []).append(path)
        for path in entry.files if sessions else ():
            folder, _, name = path.rpartition("/")
            is_session = file_kind(name) in ("transcript", "meta")
            copy = copy_name(name) if folder == vault.sessions and not is_session else None
            if copy is not None and (owner := session_of(copy.original)) in sessions:
                sessions[owner].append(path)
        for copied, original in _copied(vault, entry, sessions):
            sessions[original] += sessions.pop(copied)
        for session_id, files in sessions.items():
            called = _name(vault, entry, session_id, files)
            found.append(Trashed(entry, session_id, called, tuple(files)))
    return found


def _copied(
    vault: Vault, entry: trash.Entry, session_ids: Collection[str]
) -> list[tuple[str, str]]:
    """Of the sessions put in the trash together, those that are conflict copies of others by what
    they say, the longest name first."""
    found = []
    held = set(entry.files)
    for session_id in sorted(session_ids, key=len, reverse=True):
        path = vault.transcript(session_id)
        name = path.rpartition("/")[2]
        for original in map(session_of, perhaps_copy_of(name, copy_name(name))):
            if original in session_ids and original != session_id:
                its = vault.transcript(original)
                if {path, its} <= held and _share(vault, entry, path, its):
                    found.append((session_id, original))
                    break
    return found


def _share(vault: Vault, entry: trash.Entry, one: str, other: str) -> bool:
    mine, yours = (
        {m.id for m in parse(trash.read(vault, entry, p)).messages} for p in (one, other)
    )
    return not mine.isdisjoint(yours)


def _name(vault: Vault, entry: trash.Entry, session_id: str, files: Collection[str]) -> str | None:
    path = vault.meta(session_id)
    if path not in files:
        return None
    try:
        return parse_meta(trash.read(vault, entry, path), session_id)[0].name
    except VaultError:
        return None


def find_trashed(candidates: Iterable[Trashed], given: str) -> Trashed:
    """The latest one of that id, name or beginning of an id. Raises VaultError."""
    wanted = given.strip()
    by_prefix: dict[str, Trashed] = {}
    for one in candidates:
        is_named = one.name is not None and name_key(one.name) == name_key(wanted)
        if one.session_id == wanted or is_named:
            return one
        if wanted and one.session_id.startswith(wanted):
            by_prefix.setdefault(one.session_id, one)
    if len(by_prefix) == 1:
        return next(iter(by_prefix.values()))
    if by_prefix:
        some = ", ".join(sorted(by_prefix)[:8])
        raise VaultError(f"{given!r} is ambiguous: {some}.\nGive the whole id.")
    raise VaultError(
        f"There is no session {given!r} in the trash.\nSee them all: vault-sessions restore --list"
    )


def whole(vault: Vault, candidates: Iterable[Trashed], one: Trashed) -> list[Trashed]:
    """That one, and what else there is of its session: a deletion that was cut short and then asked
    for again has put its files there at two times."""
    parts, held = [one], set(one.files)
    for other in candidates:
        if (
            other.session_id == one.session_id
            and held.isdisjoint(other.files)
            and not any(os.path.lexists(vault.absolute(path)) for path in other.files)
        ):
            parts.append(other)
            held.update(other.files)
    return parts


def restore(vault: Vault, state: State, parts: Sequence[Trashed]) -> None:
    """Put a session back where it was. Raises VaultError: something is there now."""
    with state.lock(parts[0].session_id):
        for one in parts:
            files = sorted(one.files, key=lambda path: not path.endswith(TRANSCRIPT))
            trash.put_back(vault, one.entry, files)
    for one in parts:
        left = one.entry._replace(files=tuple(p for p in one.entry.files if p not in one.files))
        if not left.files:
            trash.forget(vault, left)


def empty_trash(vault: Vault, before: datetime) -> int:
    """Remove for good what was put in the trash at ``before`` or earlier; how many times that was.

    Raises VaultError.
    """
    gone = 0
    for entry in trash.entries(vault):
        if entry.at is None or entry.at <= before:
            trash.forget(vault, entry)
            gone += 1
    return gone


# --- for good ------------------------------------------------------------------------------------


def purge(vault: Vault, state: State, session_id: str) -> list[str]:
    """Erase a session: its files, every copy of them in the trash, what is kept of it on this
    machine. The paths that are gone. Raises VaultError.

    Its own files go last, the metadata at the very end: killed before, it is still found by its
    name and can be erased again.
    """
    with state.lock(session_id):
        paths = scan.files_of(vault, [session_id])[session_id]
        ids = _message_ids(vault, paths)
        for entry in trash.entries(vault):
            held = {path for path in entry.files if _is_part(vault, entry, path, session_id, ids)}
            if held:
                trash.forget(vault, entry, held)
        state.forget(session_id)
        own = vault.transcript(session_id), vault.meta(session_id)
        last = [path for path in own if path in paths]
        others = [path for path in paths if path not in own]
        vaults.erase(vault, [*others, *_unfinished(vault, session_id)])
        for path in last:
            vaults.erase(vault, [path])
    return paths


def _message_ids(vault: Vault, paths: Iterable[str]) -> set[str]:
    """The ids of all messages in these transcripts."""
    found: set[str] = set()
    for path in paths:
        if path.endswith(TRANSCRIPT):
            with suppress(VaultError):
                data = vaults.read_bytes(vault, path) or b""
                found.update(message.id for message in parse(data).messages)
    return found


def _is_part(
    vault: Vault, entry: trash.Entry, path: str, session_id: str, ids: Collection[str]
) -> bool:
    """Is a file of the trash one of the session's: by its name, or, where that could be another's
    too, because it shares a message with it?"""
    folder, _, name = path.rpartition("/")
    if folder != vault.sessions:
        return False
    if scan.owner_of(name, [session_id]) is not None or _is_unfinished(name, session_id):
        return True
    copy = copy_name(name)
    could_be = {session_of(each) for each in perhaps_copy_of(name, copy)}
    if session_id not in could_be:
        return False
    if not name.endswith(TRANSCRIPT):
        return _says_id(trash.read(vault, entry, path), session_id)
    return any(m.id in ids for m in parse(trash.read(vault, entry, path)).messages)


def _says_id(data: bytes, session_id: str) -> bool:
    return parse_meta(data, session_id)[0].id == session_id


def _unfinished(vault: Vault, session_id: str) -> list[str]:
    """What a program that was killed while it wrote the session's files has left beside them."""
    names = vaults.list_names(vault, vault.sessions)
    return [f"{vault.sessions}/{name}" for name in names if _is_unfinished(name, session_id)]


def _is_unfinished(name: str, session_id: str) -> bool:
    return any(atomic.is_leftover(name, f"{session_id}{end}") for end in (TRANSCRIPT, META))


# --- what was learned from it --------------------------------------------------------------------


def learned(vault: Vault, session_id: str) -> Learned:
    """What long-term memory has from a session."""
    summaries, bullets = [], []
    for name in vaults.list_names(vault, vault.long_term):
        path = f"{vault.long_term}/{name}"
        if not name.endswith(".md") or scan.copy_of(vault, path) is not None:
            continue
        data = vaults.read_bytes(vault, path) or b""
        if name.startswith("session-"):
            if memory.read_document(data).front.get("session_id") == session_id:
                summaries.append(path)
        else:
            bullets += [(path, line) for line in _bullets_from(data, session_id)]
    return Learned(tuple(sorted(summaries)), tuple(bullets))


def _bullets_from(data: bytes, session_id: str) -> list[str]:
    """The lines of bullets whose comment says that they come from that session."""
    text = data.decode("utf-8", "surrogateescape")
    return [
        line
        for line in text.split("\n")
        if memory.BULLET.match(line)
        and any(found[2] == session_id for found in memory.SOURCE.finditer(line))
    ]


def unlearn(
    vault: Vault,
    state: State,
    session_id: str,
    found: Learned,
    why: str,
    now: datetime,
    *,
    for_good: bool,
) -> list[str]:
    """Take out of long-term memory what was learned from a session; the paths that changed.

    ``for_good``: without a copy in the trash, and the log of changes forgets it too. Raises
    VaultError.
    """
    by_file: dict[str, list[str]] = {}
    for path, line in found.bullets:
        by_file.setdefault(path, []).append(line)
    with state.lock(MEMORY):
        for path, lines in by_file.items():
            if not for_good:
                trash.keep(vault, [path], why, now, move=False)
            vaults.change_file(vault, path, partial(_without, lines))
        pictures = _erase_picture(vault) if for_good and by_file else []
        if for_good:
            _unlearn_in_trash(vault, session_id, found)
            vaults.change_file(vault, vault.changes, partial(_without_changes, session_id))
            vaults.erase(vault, found.summaries)
        elif found.summaries:
            trash.throw_away(vault, found.summaries, why, now)
    return [*by_file, *found.summaries, *pictures]


def _erase_picture(vault: Vault) -> list[str]:
    """Take out the snapshot in ``user.md``, if we wrote it, and the log of it: it may say what is
    to be forgotten. The next end of a session draws it anew."""
    path = f"{vault.identity}/user.md"
    log = read_changes(vaults.read_bytes(vault, vault.changes) or b"")
    drawn = [change for change in log if (change.file, change.section) == ("user.md", "Snapshot")]
    ours = one_line(drawn[-1].new or "") if drawn else ""
    done = False

    def without(data: bytes) -> bytes:
        nonlocal done
        done = bool(ours) and one_line(section_body(data, "Snapshot") or "") == ours
        return with_body(data, "Snapshot", "") if done else data

    if not ours or vaults.read_bytes(vault, path) is None:
        return []
    vaults.change_file(vault, path, without)
    if not done:
        return []
    ids = {change.id for change in drawn}
    vaults.change_file(vault, vault.changes, partial(_without_ids, ids))
    return [path]


def _without_ids(ids: set[str], data: bytes) -> bytes:
    """The log of changes without those."""
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines if not ids & {c.id for c in read_changes(line)})


def _unlearn_in_trash(vault: Vault, session_id: str, found: Learned) -> None:
    """Take the same out of the copies of memory that are in the trash."""
    for entry in trash.entries(vault):
        for path in entry.files:
            if not path.startswith(f"{vault.long_term}/") or not path.endswith(".md"):
                continue
            data = trash.read(vault, entry, path)
            if memory.read_document(data).front.get("session_id") == session_id:
                trash.forget(vault, entry, {path})
            else:
                said = {line for where, line in found.bullets if where == path}
                lines = [*_bullets_from(data, session_id)]
                lines += [each for each in said if each not in lines]
                trash.rewrite(vault, entry, path, partial(_without, lines))


def _without_changes(session_id: str, data: bytes) -> bytes:
    """The log of changes without what was changed because of that session."""
    return b"".join(
        line for line in data.splitlines(keepends=True) if not _is_change_of(session_id, line)
    )


def _is_change_of(session_id: str, line: bytes) -> bool:
    try:
        return bool(orjson.loads(line)["session_id"] == session_id)
    except (ValueError, KeyError, TypeError):
        return False


def _without(lines: Sequence[str], data: bytes) -> bytes:
    """The file without these lines, each once; every other byte stays."""
    left = list(lines)
    kept = []
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if line in left:
            left.remove(line)
        else:
            kept.append(line)
    return "\n".join(kept).encode("utf-8", "surrogateescape")

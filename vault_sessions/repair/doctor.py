"""What is wrong in a vault, and its mending.

``examine`` reads every file anew, compares the mirror with what it has read, and looks at git, at
leases and at who else could read the vault. ``mend`` does what can be done without losing anything:
each file that is replaced is in the trash first, under the session's lock, and if somebody saves it
meanwhile it is done over. Killed anywhere, or run by two at once, the outcome is the same.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from vault_sessions import atomic, guard, scan
from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats import mend as fixes
from vault_sessions.formats.ids import is_session_id, name_key
from vault_sessions.formats.mend import Mended
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.names import META, TRANSCRIPT
from vault_sessions.formats.session import last_activity
from vault_sessions.formats.transcript import parse
from vault_sessions.mirror import compare
from vault_sessions.mirror.store import Mirror
from vault_sessions.model import FileState, Found, Loss, Problem, Stamp, problem
from vault_sessions.rules.missing import count_missing
from vault_sessions.scan import Look
from vault_sessions.state import MEMORY, State
from vault_sessions.vault import Vault, trash

TRIES = 20

_NO_USE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What fails for one file so fails for all."""

_OUT = "doctor --fix mends it or takes it out, and keeps the original in the trash"
_ADVICE = {
    "torn-tail": _OUT,
    "bad-line": _OUT,
    "glued": "doctor --fix splits it",
    "pretty-printed": "doctor --fix does",
    "conflict-marker": "doctor --fix merges both sides",
    "not-utf8": _OUT,
    "too-long": _OUT,
    "duplicate-id": "doctor --fix settles it",
    "unknown-parent": "name an earlier message in it, or take it out",
    "bad-time": "write it like 2026-11-21T08:05:12.123Z",
    "tool-pair": "the model is told so; nothing has to be done",
    "bom": "harmless; doctor --fix removes it",
    "crlf": "harmless; doctor --fix makes them LF",
    "meta-unreadable": "correct it by hand, or delete the file: what can be derived is",
    "meta-mismatch": "doctor --fix sets it; if it is a copy, delete it",
    "meta-orphan": "if it is left over, delete it",
    "future-version": "update vault-sessions",
    "not-downloaded": "let your cloud drive download it",
    "unknown-file": "if it is no business of the vault, move it elsewhere",
    "memory-unreadable": "correct the lines between the dashes",
}
_IGNORED_FIELD = "correct the field"


class Finding(NamedTuple):
    """Something wrong, where (from the vault's root), and whether ``mend`` does something."""

    path: str
    problem: Problem
    fixable: bool


class Fixed(NamedTuple):
    """What was done to a file, and where its original is in the trash. ``error``: why not."""

    path: str
    done: tuple[str, ...]
    kept: str | None = None
    error: str | None = None


# --- what is wrong -------------------------------------------------------------------------------


def examine(
    vault: Vault, state: State, mirror: Mirror | None, now: datetime, seen: Look
) -> list[Finding]:
    """All that is wrong, by path, line and column.

    ``seen`` is a look at the files from before the mirror was last reconciled with them: what has
    changed since is not compared. ``mirror`` None: it can't be compared now.
    """
    found = [
        *_examine_files(vault, state, mirror, now, seen),
        *_examine_modes(vault),
        *_examine_leases(vault, state),
        *_examine_git(vault),
    ]
    return sorted(set(found), key=lambda one: (one.path, one.problem, one.fixable))


def _examine_files(
    vault: Vault, state: State, mirror: Mirror | None, now: datetime, seen: Look
) -> Iterator[Finding]:
    stamps = seen.stamps()
    parts = dict.fromkeys(scan.part_of(vault, path) for path in sorted(stamps))
    losses = guard.open_losses(vault, state)
    names: dict[str, list[tuple[str, str]]] = {}
    now_ns = nanoseconds(now)
    sessions: set[str] = set()

    def siblings(session_id: str) -> list[str]:
        there = f"{vault.sessions}/{{}}{TRANSCRIPT}".format
        return scan.possible_originals(session_id, lambda stem: there(stem) in stamps)

    for kind, name in parts:
        if kind != "session":
            yield from _examine_other(vault, mirror, kind, name, now_ns, stamps)
            continue
        found = scan.read_session(vault, name, now_ns, siblings)
        if found is None:
            continue
        found = _with_losses(found, losses)
        fixable = _fixable(vault, found)
        yield from (Finding(path, _advised(p), fixable(path, p)) for path, p in found.problems)
        if found.copy_of is None:
            sessions.add(name)
            if found.session.name is not None:
                same = names.setdefault(name_key(found.session.name), [])
                same.append((vault.meta(name), found.session.name))
        if mirror is not None and all(stamps.get(f.path) == f.stamp for f in found.files):
            said = compare.session_differs(mirror, found)
            if said is not None and _is_still(vault, found.files):
                # a new mirror would forget the only copy of what could not be kept
                yield _not_kept(mirror, found) or _difference(found.session.path, said)
    yield from _names_twice(names)
    yield from _examine_changes(vault)
    if mirror is not None:
        for _, path in compare.strangers(mirror, sessions):
            if not os.path.lexists(vault.absolute(path)) and path not in stamps:
                yield _difference(path, "it has a session that is gone")
        if compare.index_differs(mirror):
            yield _difference(vault.sessions, "its full-text index has other rows")


def _is_still(vault: Vault, files: Iterable[FileState]) -> bool:
    """Is every file as it was when it was read, and so not being written to just now?"""
    try:
        return all(scan.stamp_of(os.lstat(vault.absolute(f.path))) == f.stamp for f in files)
    except OSError:
        return False


def _with_losses(found: Found, losses: Iterable[Loss]) -> Found:
    """The session with what is to be said of its missing messages, as the mirror has it."""
    missing = guard.problem_of(losses, found.session.id)
    if missing is None or found.copy_of is not None or found.data is None:
        return found
    session = found.session._replace(problems=found.session.problems + 1)
    problems = (*found.problems, (found.session.path, missing))
    return found._replace(session=session, problems=problems)


def _fixable(vault: Vault, found: Found) -> Callable[[str, Problem], bool]:
    """Tells which problems of a session ``mend`` would remove: those that it then has no more."""
    left: dict[str, set[str]] = {}
    path, meta_path = vault.transcript(found.session.id), vault.meta(found.session.id)
    if found.data is not None and any(
        where == path and fixes.is_mendable(p) for where, p in found.problems
    ):
        mended = parse(fixes.mend_transcript(found.data).data)
        left[path] = {p.code for p in mended.problems if fixes.is_mendable(p)}
    if any(where == meta_path for where, _ in found.problems):
        data = _meta_bytes(vault, found.session.id)
        mended_meta = fixes.mend_meta(data, found.session.id).data
        left[meta_path] = {p.code for p in parse_meta(mended_meta, found.session.id)[1]}

    def is_fixable(where: str, one: Problem) -> bool:
        if one.code in ("conflict-copy", "missing-messages"):
            return True
        if where == path:
            return fixes.is_mendable(one) and one.code not in left.get(path, ())
        mendable = one.code in ("meta-unreadable", "meta-mismatch")
        return mendable and one.code not in left.get(where, ())

    return is_fixable


def _meta_bytes(vault: Vault, session_id: str) -> bytes:
    try:
        return vaults.read_meta(vault, session_id) or b""
    except VaultError:
        return b""


def _examine_other(
    vault: Vault,
    mirror: Mirror | None,
    kind: str,
    path: str,
    now_ns: int,
    stamps: dict[str, Stamp],
) -> Iterator[Finding]:
    """A Markdown file of memory, or a file that is no session's."""
    if kind != "memory":
        for one in scan.read_other(vault, path):
            yield Finding(path, _advised(one), one.code == "conflict-copy")
        return
    read = scan.read_memory(vault, path, now_ns)
    if read is None:
        return
    state, passages, problems = read
    if mirror is not None and stamps.get(path) == state.stamp:
        said = compare.memory_differs(mirror, state, passages, problems)
        if said is not None and _is_still(vault, [state]):
            yield _difference(path, said)
    for one in problems:
        yield Finding(path, _advised(one), one.code == "conflict-copy")
    if os.path.basename(path) in ("facts.md", "user.md"):
        yield from _conflicts(vault, path)


def _examine_changes(vault: Vault) -> Iterator[Finding]:
    return _conflicts(vault, _changes(vault))


def _changes(vault: Vault) -> str:
    return f"{vault.folder}/memory/changes.jsonl"


def _conflicts(vault: Vault, path: str) -> Iterator[Finding]:
    """Conflicts that git has left in a file of memory."""
    try:
        data = vaults.read_bytes(vault, path) or b""
    except VaultError:
        return
    for line in fixes.conflict_lines(data):
        yield Finding(path, _advised(problem("conflict-marker", "a merge conflict", line, 1)), True)


def _names_twice(names: dict[str, list[tuple[str, str]]]) -> Iterator[Finding]:
    for same in names.values():
        for path, name in same if len(same) > 1 else ():
            others = ", ".join(
                os.path.basename(other).removesuffix(META) for other, _ in same if other != path
            )
            why = f"session {others} has the name {name!r} too; vault-sessions rename gives another"
            yield Finding(path, problem("name-twice", why), False)


def _not_kept(mirror: Mirror, found: Found) -> Finding | None:
    """What is to be said of missing messages that only the mirror has, if there are any."""
    if found.data is None or found.copy_of is not None:
        return None
    ids_now = {message.id for message in found.transcript.messages}
    if not count_missing(mirror.message_ids(found.session.id), found.data, ids_now):
        return None
    why = (
        "messages are missing from the end, and can't be kept (is the state folder full, or not "
        "to be written to?): mend that, then run doctor again, and no reindex before"
    )
    return Finding(found.session.path, problem("missing-messages", why), False)


def _difference(path: str, what: str) -> Finding:
    why = f"the mirror is not what the file says: {what}; doctor --fix makes a new one"
    return Finding(path, problem("mirror-differs", why), True)


def _advised(found: Problem) -> Problem:
    """The problem with what to do about it."""
    advice = _ADVICE.get(found.code)
    if found.code in ("bad-line", "meta-unreadable") and found.severity == "warning":
        advice = _IGNORED_FIELD
    if advice is None or "doctor --fix" in found.message:
        return found
    return found._replace(message=f"{found.message}; {advice}")


def _examine_modes(vault: Vault) -> Iterator[Finding]:
    """A note for each folder that others can look into."""
    for path in (vault.sessions, vault.long_term, vault.identity):
        try:
            mode = os.stat(vault.absolute(path)).st_mode
            # whoever may enter a folder may open what he knows the name of
            others = mode & (stat.S_IXGRP | stat.S_IXOTH) and _has_open_file(vault.absolute(path))
        except OSError:
            continue
        if mode & 0o066 or others:
            why = (
                f"other users of this machine can get at what is in it (mode {mode & 0o777:03o}); "
                f"if they should not: chmod -R go= {path}"
            )
            yield Finding(path, problem("readable-by-others", why), False)


def _has_open_file(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(
            entry.is_file(follow_symlinks=False) and entry.stat().st_mode & 0o066
            for entry in entries
        )


def _examine_leases(vault: Vault, state: State) -> Iterator[Finding]:
    for name in state.stale_leases():
        if is_session_id(name):
            holder = state.holder(name)
            why = (
                f"process {holder.pid} had it open since {holder.since} and is gone without having "
                f"closed it (killed?); harmless; doctor --fix clears that"
            )
            yield Finding(vault.transcript(name), problem("stale-lease", why), True)


def _examine_git(vault: Vault) -> Iterator[Finding]:
    from vault_sessions import git

    why = git.driver_problem(vault.root, vault.folder)
    if why is not None:
        yield Finding(".gitattributes", problem("driver-missing", why), False)


def nanoseconds(now: datetime) -> int:
    """An instant as nanoseconds since 1970, as file stamps count."""
    return int((now - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


# --- mending -------------------------------------------------------------------------------------


def mend(
    vault: Vault, state: State, now: datetime, saved: Callable[[str | None], None]
) -> Iterator[Fixed]:
    """Mend what can be mended: conflict copies, then missing messages, then lines.

    ``saved`` hears of each session that was changed, while its lock is held; None: of others, when
    it is not. Raises VaultError when a folder can't be read, or nothing can be written.
    """
    yield from _heal(vault, state, now)
    saved(None)
    for session_id in sorted({one.session_id for one in guard.open_losses(vault, state)}):
        yield from _put_back(vault, state, session_id, now, saved)
    for kind, name in dict.fromkeys(
        scan.part_of(vault, path) for path in sorted(scan.look(vault).stamps())
    ):
        if kind == "session":
            yield from _mend_session(vault, state, name, now, saved)
        elif os.path.basename(name) in ("facts.md", "user.md"):
            yield from _mend_memory(vault, state, name, now)
    yield from _mend_memory(vault, state, _changes(vault), now)
    for name in state.stale_leases():
        if is_session_id(name) and state.clear_lease(name):
            yield Fixed(vault.transcript(name), ("the trace of a killed process cleared",))
    saved(None)


def _heal(vault: Vault, state: State, now: datetime) -> Iterator[Fixed]:
    from vault_sessions.repair.copies import heal_copies

    for one in heal_copies(vault, state, now):
        names = ", ".join(os.path.basename(copy) for copy in one.copies)
        done = (f"merged with {names}",) if names else ()
        yield Fixed(one.original, (*done, *one.notes), None, one.error)


def _put_back(
    vault: Vault,
    state: State,
    session_id: str,
    now: datetime,
    saved: Callable[[str | None], None],
) -> Iterator[Fixed]:
    """Messages that are missing from a session stand in their place again."""
    path = vault.transcript(session_id)

    def fix(data: bytes) -> Mended:
        # else what is put back could not be read beside it
        utf8 = fixes.as_utf8(data)
        done = ("UTF-16 made UTF-8",) if utf8 != data else ()
        data = utf8
        before = fixes.count_lines(data)
        for loss in guard.open_in(state, session_id, data):
            data = fixes.put_back(data, guard.to_put_back(loss), loss.after)
        count = fixes.count_lines(data) - before
        what = "1 message" if count == 1 else f"{count} messages"
        return Mended(data, (*done, f"{what} put back") if count else done)

    fixed = _rewrite(vault, state, path, session_id, fix, now, saved)
    if fixed is not None:
        yield fixed
    if fixed is None or fixed.error is None:
        guard.settle(state, session_id)
        saved(session_id)


def _mend_session(
    vault: Vault,
    state: State,
    session_id: str,
    now: datetime,
    saved: Callable[[str | None], None],
) -> Iterator[Fixed]:
    path, meta_path = scan.session_paths(vault, session_id)
    data = _bytes(vault, path)
    lost = bool(state.losses_of(session_id)) if data else False
    if data and any(fixes.is_mendable(found) for found in parse(data).problems):
        fixed = _rewrite(vault, state, path, session_id, fixes.mend_transcript, now, saved)
        if fixed is not None:
            yield fixed
            if not lost and state.losses_of(session_id):
                # what stood only in the base part of a conflict was deleted by one side
                guard.settle(state, session_id)
                saved(session_id)
    meta = _bytes(vault, meta_path)
    if meta and parse_meta(meta, session_id)[1]:
        activity = last_activity(data or b"", now)

        def fix(before: bytes) -> Mended:
            return fixes.mend_meta(before, session_id, activity)

        fixed = _rewrite(vault, state, meta_path, session_id, fix, now, saved)
        if fixed is not None:
            yield fixed


def _bytes(vault: Vault, path: str) -> bytes | None:
    """A file's bytes; None where it can't be read, which ``examine`` says."""
    try:
        return None if scan.is_away(vault, path) else atomic.read_file(vault.absolute(path))[0]
    except OSError:
        return None


def _mend_memory(vault: Vault, state: State, path: str, now: datetime) -> Iterator[Fixed]:
    name = os.path.basename(path)
    with suppress(VaultError):  # a link within the vault is followed
        real = os.path.realpath(vaults.check_inside(vault, path))
        path = os.path.relpath(real, os.path.realpath(vault.root))
    data = _bytes(vault, path)
    if data and fixes.conflict_lines(data):

        def fix(before: bytes) -> Mended:
            return fixes.mend_memory(name, before)

        fixed = _rewrite(vault, state, path, MEMORY, fix, now, lambda _: None)
        if fixed is not None:
            yield fixed


def _rewrite(
    vault: Vault,
    state: State,
    path: str,
    lock: str,
    fix: Callable[[bytes], Mended],
    now: datetime,
    saved: Callable[[str | None], None],
) -> Fixed | None:
    """Put what ``fix`` makes of a file in its place, the original being in the trash by then.

    None: there is nothing to be done.
    """
    try:
        for _ in range(TRIES):
            with state.lock(lock):
                data, status = atomic.read_file(vault.absolute(path))
                mended = fix(data)
                if mended.data == data:
                    return None
                why = f"doctor: {'; '.join(mended.done)}"
                kept = trash.keep(vault, [path], why, now, move=False)
                try:
                    vaults.write_file(vault, path, mended.data, must_be=status)
                except atomic.FileChanged:
                    continue
                if lock != MEMORY:
                    saved(lock)
                return Fixed(path, mended.done, f"{kept}/{path}")
    except FileNotFoundError:
        return None
    except (VaultError, OSError) as error:
        said = error if isinstance(error, VaultError) else VaultError(f"{path}: {error.strerror}.")
        cause = error.__cause__ if isinstance(error, VaultError) else error
        if isinstance(cause, OSError) and cause.errno in _NO_USE:
            raise said from error
        return Fixed(path, (), None, str(said))
    why = f"{path} is being changed by another program again and again; try later."
    return Fixed(path, (), None, why)

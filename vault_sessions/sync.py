"""Files → mirror: the only module that decides what the mirror gets.

``sync`` compares stamps and re-reads what changed; ``rebuild`` fills a new mirror; ``appended``
adds a line of our own without reading anything. All three leave what a fresh rebuild would.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from vault_sessions import atomic, scan
from vault_sessions.formats.names import TRANSCRIPT
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.formats.transcript import parse
from vault_sessions.mirror.store import Builder, Mirror, guarded
from vault_sessions.model import FileState, Message, Stamp
from vault_sessions.vault import Vault

MASS = 20
GRACE = timedelta(seconds=60)


class Changes(NamedTuple):
    """What a sync found: sessions and memory files that changed, sessions that are gone.

    ``halted``: too much is gone at once, nothing was done; the text says what to do.
    ``vanished``: files that are not there, which does not count yet (see ``sync``).
    """

    sessions: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    halted: str | None = None
    vanished: tuple[str, ...] = ()


def sync(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    paths: Iterable[str] | None = None,
    *,
    sure: Collection[str] | None = None,
    wait_ms: int = 5000,
) -> Changes:
    """Make the mirror what the files say, looking at ``paths`` (from the root) or at all.

    ``sure``: of the files that are not there only these are taken as deleted, the others are left
    as they were and named in ``vanished`` (an editor may be about to put the new one in its place).
    None: all. Nothing is opened or written when no stamp differs. Raises MirrorBusy, MirrorDamaged.
    """
    if paths is not None:
        with mirror.transaction(wait_ms):
            wanted, vanished = set(paths), set[str]()
            if sure is not None:
                vanished = {
                    path
                    for path in wanted.difference(sure)
                    if mirror.file(path) and not os.path.lexists(vault.absolute(path))
                }
            changes = _refresh(vault, mirror, now, wanted - vanished)
            return changes._replace(vanished=tuple(sorted(vanished)))
    seen = scan.look(vault)
    digest = seen.digest()
    if mirror.info("digest") == digest and not (again := mirror.unsure()):
        return Changes()
    with mirror.transaction(wait_ms):
        again = mirror.unsure()
        known, present = mirror.stamps(), seen.stamps()
        changed = {path for path, stamp in present.items() if known.get(path) != stamp}
        gone = [path for path in known if path not in present]
        if halted := _too_much_gone(vault, mirror, now, known, gone, seen.folders_there):
            return Changes(halted=halted)
        vanished = set() if sure is None else set(gone).difference(sure)
        changes = _refresh(vault, mirror, now, {*changed, *gone, *again} - vanished)
        mirror.note("digest", None if vanished else digest)
    return changes._replace(vanished=tuple(sorted(vanished)))


def rebuild(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fill an empty mirror from all files. ``progress(done, total)`` counts sessions."""
    with guarded():
        builder = Builder(mirror)
        seen = scan.look(vault)
        parts: dict[tuple[str, str], None] = {}
        stamps = seen.stamps()
        for path in sorted(stamps):
            parts[scan.part_of(vault, path)] = None
        transcripts = vault.sessions + "/"

        def siblings(session_id: str) -> list[str]:
            return scan.possible_originals(
                session_id, lambda stem: f"{transcripts}{stem}{TRANSCRIPT}" in stamps
            )

        total = sum(1 for kind, _ in parts if kind == "session")
        done = 0
        now_ns = nanoseconds(now)
        for kind, name in parts:
            if kind != "session":
                _refresh_other(vault, mirror, now, kind, name)
                continue
            found = scan.read_session(vault, name, now_ns, siblings)
            if found is not None and found.copy_of is None:
                builder.add_session(found)
            elif found is not None:
                for state in found.files:
                    mirror.put_file(state)
                    wrong = [p for path, p in found.problems if path == state.path]
                    mirror.put_problems(state.path, wrong)
            done += 1
            if progress is not None and done % 64 == 0:
                progress(done, total)
        mirror.note("digest", seen.digest())
        mirror.note("built_at", format_time(now))
        builder.finish()


def appended(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    session_id: str,
    where: atomic.Appended,
    line: bytes,
) -> None:
    """Mirror a message that we appended to a session under its lock, without reading the file.

    Raises MirrorBusy when the mirror is not free within 200 ms: the path is left for later.
    """
    path = vault.transcript(session_id)
    with mirror.transaction(200):
        known = mirror.file(path)
        before = scan.stamp_of(where.before) if where.before is not None else None
        stamp = scan.stamp_of(where.after)
        added = False
        if (
            known is not None
            and known.stamp == before
            and known.known_end == where.offset == known.stamp.size
            and stamp.size == where.offset + len(line)
        ):
            added = _add_lines(mirror, now, session_id, known, line, stamp, None)
        if not added:
            _refresh(vault, mirror, now, {path})


def _too_much_gone(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    known: dict[str, Stamp],
    gone: list[str],
    folder_there: bool,
) -> str | None:
    """Why nothing is taken out: the folder is missing, or most sessions vanished at once.

    An unmounted drive looks like that. It counts when it is still so after 60 s with the folder
    there, or when the owner says ``reindex``.
    """
    before = sum(1 for path in known if path.endswith(TRANSCRIPT))
    lost = sum(1 for path in gone if path.endswith(TRANSCRIPT))
    if not lost or (folder_there and (before < MASS or lost * 2 <= before)):
        mirror.note("gone_since", None)
        return None
    what = f"{lost} of {before} sessions are gone from {vault.absolute(vault.sessions)}"
    if not folder_there:
        mirror.note("gone_since", None)
        what = f"{vault.absolute(vault.sessions)} is gone"
    else:
        since = parse_time(mirror.info("gone_since"))
        if since is None:
            mirror.note("gone_since", format_time(now))
        elif now - since >= GRACE:
            mirror.note("gone_since", None)
            return None
    return f"{what}; the mirror keeps them for now. If that is so: vault-sessions reindex"


def _refresh(vault: Vault, mirror: Mirror, now: datetime, paths: set[str]) -> Changes:
    """Re-read what these paths belong to and make its rows new, inside a transaction."""
    sessions: set[str] = set()
    memory: list[str] = []
    gone: list[str] = []
    for path in sorted(paths):
        kind, name = scan.part_of(vault, path)
        if kind == "session":
            sessions.add(name)
        else:
            _refresh_other(vault, mirror, now, kind, name)
            if kind == "memory":
                memory.append(name)
    sessions |= _possible_copies(vault, mirror, sessions)

    def siblings(session_id: str) -> list[str]:
        return scan.possible_originals(session_id, _exists(vault))

    for session_id in sorted(sessions):
        if _grown(vault, mirror, now, session_id):
            continue
        found = scan.read_session(vault, session_id, nanoseconds(now), siblings)
        there = {state.path for state in found.files} if found else set()
        absent = [p for p in scan.session_paths(vault, session_id) if p not in there]
        mirror.forget_files(absent)
        if found is None or found.copy_of is not None:
            mirror.remove_session(session_id)
        if found is None:
            gone.append(session_id)
        elif found.copy_of is None:
            mirror.put_session(found)
        else:
            for state in found.files:
                mirror.put_file(state)
        if found is not None:
            for path in scan.session_paths(vault, session_id):
                mirror.put_problems(path, [p for where, p in found.problems if where == path])
    return Changes(tuple(sorted(sessions - set(gone))), tuple(memory), tuple(gone))


def _exists(vault: Vault) -> Callable[[str], bool]:
    """Is there a transcript of this stem?"""
    return lambda stem: os.path.exists(vault.absolute(f"{vault.sessions}/{stem}{TRANSCRIPT}"))


def _possible_copies(vault: Vault, mirror: Mirror, sessions: Iterable[str]) -> set[str]:
    """Sessions whose standing depends on one of these: theirs begin with its id and - or _."""
    copies: set[str] = set()
    prefix = vault.sessions + "/"
    for session_id in sessions:
        for mark in "-_":
            first = f"{prefix}{session_id}{mark}"
            for path in mirror.paths_between(first, first[:-1] + chr(ord(mark) + 1)):
                kind, name = scan.part_of(vault, path)
                if kind == "session":
                    copies.add(name)
    return copies


def _refresh_other(vault: Vault, mirror: Mirror, now: datetime, kind: str, path: str) -> None:
    """A memory file, or a file in the sessions folder that is no session's."""
    if kind == "memory":
        read = scan.read_memory(vault, path, nanoseconds(now))
        if read is None:
            mirror.remove_memory(path)
            mirror.forget_files([path])
        else:
            mirror.put_memory(*read)
        return
    try:
        status = os.lstat(vault.absolute(path))
    except FileNotFoundError:
        mirror.forget_files([path])
        return
    mirror.put_file(FileState(path, scan.stamp_of(status), False, "", 0, 0, 0))
    mirror.put_problems(path, scan.read_other(path))


def _grown(vault: Vault, mirror: Mirror, now: datetime, session_id: str) -> bool:
    """Mirror only the end of a transcript that has grown; False: the session is read whole.

    That the beginning is the one we know is proved by its hash. What may be a conflict copy is
    read whole: the line that it shares with the other may be in the end.
    """
    path = vault.transcript(session_id)
    known = mirror.file(path)
    if known is None or known.hash_end != known.known_end or not known.known_end:
        return False
    if scan.possible_originals(session_id, _exists(vault)):
        return False
    meta = mirror.file(vault.meta(session_id))
    if _stamp_now(vault, vault.meta(session_id)) != (meta.stamp if meta else None):
        return False
    try:
        grown = _read_end(vault.absolute(path), known)
    except OSError:
        return False
    if grown is None:
        return False
    data, digest, stamp = grown
    return _add_lines(mirror, now, session_id, known, data, stamp, digest)


def _read_end(path: str, known: FileState) -> tuple[bytes, str, Stamp] | None:
    """What stands behind the part that is known, the hash of everything through the last
    newline, and the stamp; None when the part that is known has changed or nothing was added."""
    digest = hashlib.sha256()
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0, opener=_no_follow) as file:
        status = os.fstat(file.fileno())
        stamp = scan.stamp_of(status)
        left = known.hash_end
        if stamp.size <= left or stamp.inode != known.stamp.inode:
            return None
        while left:
            count = file.readinto(view[: min(left, len(buffer))])
            if not count:
                return None
            digest.update(view[:count])
            left -= count
        if digest.hexdigest() != known.hash:
            return None
        data = file.read(stamp.size - known.hash_end)
    if data is None or len(data) != stamp.size - known.hash_end:
        return None
    digest.update(data[: data.rfind(b"\n") + 1])
    return data, digest.hexdigest(), stamp


def _no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _stamp_now(vault: Vault, path: str) -> Stamp | None:
    try:
        return scan.stamp_of(os.lstat(vault.absolute(path)))
    except OSError:
        return None


def _add_lines(
    mirror: Mirror,
    now: datetime,
    session_id: str,
    known: FileState,
    data: bytes,
    stamp: Stamp,
    digest: str | None,
) -> bool:
    """Add the messages of lines that stand behind all that is known of a transcript.

    False, and nothing is done, unless each simply continues the conversation. ``digest``: the hash
    of the file through its last newline; None for a line of our own, which is not hashed.
    """
    ours = digest is None
    end = parse(data, known.lines + 1)
    if end.problems or not all(map(_is_plain, end.messages)):
        return False
    if not mirror.can_continue(session_id, end.messages, known.path, fresh_ids=ours):
        return False
    state = FileState(
        known.path,
        stamp,
        # a line of our own proves nothing about what stands before it
        scan.unsure(stamp, nanoseconds(now)) or (ours and known.unsure),
        known.hash if digest is None else digest,
        known.hash_end if digest is None else known.known_end + end.known_end,
        known.known_end + end.known_end,
        end.lines,
    )
    mirror.add_messages(session_id, end.messages, state)
    return True


def _is_plain(message: Message) -> bool:
    """Does it stand for itself: with an id and a time of its own, no branch, no tools?"""
    fields = message.fields
    return (
        fields.get("id") == message.id
        and message.created_at is not None
        and "parent_id" not in fields
        and message.role != "tool"
        and "tool_calls" not in fields
    )


def nanoseconds(now: datetime) -> int:
    """An instant as nanoseconds since 1970, as file stamps count."""
    return int((now - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000

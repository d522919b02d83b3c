"""Files → mirror: the only module that decides what the mirror gets.

``sync`` compares stamps and re-reads what changed; ``rebuild`` fills a new mirror; ``appended``
adds a line of our own without reading anything. All three leave what a fresh rebuild would.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from vault_sessions import atomic, scan
from vault_sessions.errors import VaultError
from vault_sessions.formats.names import TRANSCRIPT, in_cloud, where_copies_stand
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.formats.transcript import parse
from vault_sessions.mirror.store import Builder, Mirror, guarded
from vault_sessions.model import FileState, Found, Loss, Message, Stamp, problem
from vault_sessions.state import State
from vault_sessions.vault import Vault

MASS = 20
MANY = 500
"""Files of so many that the full-text index is told before."""
GRACE = timedelta(seconds=60)


class Changes(NamedTuple):
    """What a sync found: sessions and memory files that changed, sessions that are gone.

    ``halted``: too much is gone at once, nothing was done; the text says what to do.
    ``vanished``: files that are not there, which does not count yet (see ``sync``). ``notices``:
    what a person is told, once.
    """

    sessions: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    halted: str | None = None
    vanished: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def sync(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    paths: Iterable[str] | None = None,
    *,
    sure: Collection[str] | None = None,
    state: State | None = None,
    wait_ms: int = 5000,
    progress: Callable[[int, int], None] | None = None,
) -> Changes:
    """Make the mirror what the files say, looking at ``paths`` (from the root) or at all.

    ``sure``: of the files that are not there only these are taken as deleted, the others are left
    as they were and named in ``vanished`` (an editor may be about to put the new one in its place).
    None: all. ``state`` keeps messages that vanished from the end of a transcript; None: nothing is
    kept. Nothing is opened or written when no stamp differs. Raises MirrorBusy, MirrorDamaged.
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
            with mirror.many() if len(wanted) >= MANY else nullcontext():
                changes = _refresh(vault, mirror, now, wanted - vanished, state, progress=progress)
            return changes._replace(vanished=tuple(sorted(vanished)))
    seen = scan.look(vault)
    digest = seen.digest()
    waiting = state is not None and any(one.status == "waiting" for one in state.losses())
    if mirror.info("digest") == digest and not waiting and not mirror.unsure():
        return Changes()
    with mirror.transaction(wait_ms):
        again = mirror.unsure()
        known, present = mirror.stamps(), seen.stamps()
        changed = {path for path, stamp in present.items() if known.get(path) != stamp}
        gone = [p for p in known if p not in present and scan.stub_path(p) not in present]
        if halted := _too_much_gone(vault, mirror, now, known, gone, seen.folders_there):
            return Changes(halted=halted)
        vanished = set() if sure is None else set(gone).difference(sure)
        wanted = {*changed, *gone, *again} - vanished
        with mirror.many() if len(wanted) >= MANY else nullcontext():
            changes = _refresh(vault, mirror, now, wanted, state)
        mirror.note("digest", None if vanished else digest)
        if not vanished:
            mirror.note("gone_since", None)
    return changes._replace(vanished=tuple(sorted(vanished)))


def rebuild(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
    state: State | None = None,
) -> None:
    """Fill an empty mirror from all files. ``progress(done, total)`` counts sessions."""
    from vault_sessions import git, guard  # not needed by who finds nothing changed

    losses = guard.open_losses(vault, state) if state is not None else []
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
            found = scan.read_session(vault, name, now_ns, siblings, lean=True)
            if found is not None and found.copy_of is None:
                builder.add_session(with_losses(found, losses))
            elif found is not None:
                for one in found.files:
                    mirror.put_file(one)
                    wrong = [p for path, p in found.problems if path == one.path]
                    mirror.put_problems(one.path, wrong)
            done += 1
            if progress is not None and done % 64 == 0:
                progress(done, total)
        mirror.note("digest", seen.digest())
        mirror.note("built_at", format_time(now))
        mirror.note("head", git.head(vault.root))
        builder.finish()


def appended(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    session_id: str,
    where: atomic.Appended,
    line: bytes,
    state: State | None = None,
) -> Changes:
    """Mirror a message that we appended to a session under its lock, without reading the file.

    Raises MirrorBusy when the mirror is not free within 200 ms: the path is left for later.
    """
    from vault_sessions import git

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
        if added:
            head = git.head(vault.root)
            if head != mirror.info("head"):
                mirror.note("head", head)
            return Changes((session_id,))
        return _refresh(vault, mirror, now, {path}, state, {session_id: line})


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
            return None
    return f"{what}; the mirror keeps them for now. If that is so: vault-sessions reindex"


def _refresh(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    paths: set[str],
    state: State | None,
    written: dict[str, bytes] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Changes:
    """Re-read what these paths belong to and make its rows new, inside a transaction.

    ``written``: lines that were written to sessions just now, by us.
    """
    from vault_sessions import git

    sessions: set[str] = set()
    memory: list[str] = []
    gone: list[str] = []
    notices: list[str] = []
    for path in sorted(paths | _possible_copies(vault, mirror, paths)):
        kind, name = scan.part_of(vault, path)
        if kind == "session":
            sessions.add(name)
        elif scan.counts(vault, path):
            _refresh_other(vault, mirror, now, kind, name)
            if kind == "memory":
                memory.append(name)
    waited_for = {one.session_id for one in state.losses()} if state is not None else set()
    lost: dict[str, Found] = {}
    head = mirror.info("head")
    for done, session_id in enumerate(sorted(sessions)):
        if progress is not None and done % 64 == 0:
            progress(done, len(sessions))
        if _is_away(vault, mirror, session_id):
            continue
        if session_id not in waited_for and _grown(vault, mirror, now, session_id):
            continue
        found = _read_session(vault, now, session_id)
        if found is None:
            gone.append(session_id)
        elif state is not None:
            try:
                line = (written or {}).get(session_id)
                if (
                    _guard_session(mirror, state, found, line, now, head)
                    or session_id in waited_for
                ):
                    lost[session_id] = found
            except VaultError as error:  # the mirror goes on knowing the lines
                notices.append(str(error))
                if (known := mirror.file(vault.transcript(session_id))) is not None:
                    mirror.put_file(known._replace(unsure=True))
                continue
        _put(vault, mirror, session_id, found)
    if state is not None and (waited_for or lost):
        notices += _judge_losses(vault, mirror, now, state, lost, head)
    mirror.note("head", git.head(vault.root))
    return Changes(
        tuple(sorted(sessions - set(gone))), tuple(memory), tuple(gone), notices=tuple(notices)
    )


def _read_session(vault: Vault, now: datetime, session_id: str) -> Found | None:
    def siblings(stem: str) -> list[str]:
        return scan.possible_originals(stem, _exists(vault))

    return scan.read_session(vault, session_id, nanoseconds(now), siblings, lean=True)


def _put(vault: Vault, mirror: Mirror, session_id: str, found: Found | None) -> None:
    """Make a session's rows what was found; None: it is gone."""
    if found is not None and _is_unreadable(found) and mirror.message_ids(session_id):
        # that may pass, and without its rows nobody would miss what is overwritten meanwhile
        path = found.session.path
        if (known := mirror.file(path)) is not None:
            mirror.put_file(known._replace(unsure=True))
        mirror.put_problems(path, [p for where, p in found.problems if where == path])
        return
    there = {one.path for one in found.files} if found else set()
    absent = [path for path in scan.session_paths(vault, session_id) if path not in there]
    mirror.forget_files(absent)
    if found is None or found.copy_of is not None:
        mirror.remove_session(session_id)
    if found is not None:
        if found.copy_of is None:
            mirror.put_session(found)
        else:
            for one in found.files:
                mirror.put_file(one)
        for path in scan.session_paths(vault, session_id):
            mirror.put_problems(path, [p for where, p in found.problems if where == path])


def _is_unreadable(found: Found) -> bool:
    """Is there a transcript that can't be read just now (a disk's error, a missing permission)?"""
    state = next((one for one in found.files if one.path == found.session.path), None)
    return found.data is None and state is not None and state.unsure


def _guard_session(
    mirror: Mirror, state: State, found: Found, line: bytes | None, now: datetime, head: str | None
) -> bool:
    """Keep what is missing from the end of a transcript as the mirror knows it; was there anything?

    ``line``: was written behind it just now, and counts as known. Raises VaultError when it can't
    be kept.
    """
    from vault_sessions import guard
    from vault_sessions.rules.missing import missing

    if found.data is None or found.copy_of is not None:
        return False
    ids = mirror.message_ids(found.session.id)
    if not ids and line is None:
        return False
    ids_now = {message.id for message in found.transcript.messages}
    own: list[tuple[str, bytes]] = []
    if line is not None:
        own = [(message.id, line.strip()) for message in parse(line).messages]
        own = [(name, text) for name, text in own if text not in found.data]
    session_id = found.session.id
    known = [*ids, *(name for name, _ in own)]
    if ids_now.issuperset(known):
        return False
    order = guard.in_place(state, session_id, known)
    gone = missing(known, order, found.data, ids_now)
    if not gone:
        return False
    first = next(place for place, name in enumerate(known) if name in gone)
    seen = mirror.last_lines(session_id, len(ids) - first) if first < len(ids) else []
    lines = {name: text for name, text in [*seen, *own] if name in gone}
    guard.keep(state, guard.loss(session_id, known, order, lines, now, head))
    return True


def _judge_losses(
    vault: Vault,
    mirror: Mirror,
    now: datetime,
    state: State,
    lost: dict[str, Found],
    head: str | None,
) -> list[str]:
    """What becomes of kept lines; the problems of their sessions follow. Notices for a person.

    ``lost``: sessions as they were read, guarded and mirrored just now. What was read otherwise is
    guarded and mirrored first: who forgets a loss because its lines stand again must know that the
    mirror has them, for they may be overwritten again at any moment.
    """
    from vault_sessions import guard

    read: dict[str, Found | None] = dict(lost)

    def mirrored(session_id: str) -> bytes | None:
        if session_id not in read:
            found = _read_session(vault, now, session_id)
            if found is not None:
                _guard_session(mirror, state, found, None, now, head)
                _put(vault, mirror, session_id, found)
            read[session_id] = found
        found = read[session_id]
        return found.data if found is not None else None

    try:
        reviewed = guard.review(vault, state, now, mirrored)
        losses = guard.open_losses(vault, state)
    except VaultError as error:
        return [str(error)]
    for session_id in reviewed.sessions | lost.keys():
        mirrored(session_id)
        if (found := read[session_id]) is not None:
            _put(vault, mirror, session_id, with_losses(found, losses))
    return list(reviewed.notices)


def with_losses(found: Found, losses: Collection[Loss]) -> Found:
    """The session with what is to be said of messages that are missing from it."""
    if not losses:
        return found
    from vault_sessions import guard

    missing = guard.problem_of(losses, found.session.id)
    if missing is None or found.copy_of is not None or found.data is None:
        return found
    session = found.session._replace(problems=found.session.problems + 1)
    return found._replace(
        session=session, problems=(*found.problems, (found.session.path, missing))
    )


def _exists(vault: Vault) -> Callable[[str], bool]:
    """Is there a transcript of this stem?"""
    return lambda stem: os.path.exists(vault.absolute(f"{vault.sessions}/{stem}{TRANSCRIPT}"))


def _possible_copies(vault: Vault, mirror: Mirror, paths: Iterable[str]) -> set[str]:
    """Files whose standing depends on one of these: by their names they could be copies of it."""
    copies: set[str] = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if (file := in_cloud(name)) is not None:  # a stub says that the file itself is away
            copies.add(f"{folder}/{file}")
            name = file
        for first, last in where_copies_stand(name):
            copies.update(mirror.paths_between(f"{folder}/{first}", f"{folder}/{last}"))
    return copies


def _refresh_other(vault: Vault, mirror: Mirror, now: datetime, kind: str, path: str) -> None:
    """A memory file, or a file in the sessions folder that is no session's."""
    stamp = _stamp_now(vault, path)
    read = scan.read_memory(vault, path, nanoseconds(now)) if kind == "memory" else None
    is_known = mirror.file(path) is not None
    if is_known and scan.is_away(vault, path):  # its rows stay as they are
        if read is not None:
            mirror.put_file(read[0])
            mirror.put_problems(path, read[2])
    elif read is not None:
        mirror.put_memory(*read)
    elif kind == "memory" or stamp is None:
        mirror.remove_memory(path)
        mirror.forget_files([path])
    else:
        again = scan.unsure(stamp, nanoseconds(now))
        mirror.put_file(FileState(path, stamp, again, "", 0, 0, 0))
        mirror.put_problems(path, scan.read_other(vault, path))


def _is_away(vault: Vault, mirror: Mirror, session_id: str) -> bool:
    """Is a file of a session that is known in the cloud only? Then its rows stay as they are."""
    away = [p for p in scan.session_paths(vault, session_id) if scan.is_away(vault, p)]
    known = [one for path in away if (one := mirror.file(path)) is not None]
    for one in known:
        if (stamp := _stamp_now(vault, one.path)) is not None:
            mirror.put_file(one._replace(stamp=stamp, unsure=False))
            mirror.put_problems(one.path, [problem("not-downloaded", scan.AWAY)])
    return bool(known)


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
        if not left < stamp.size <= atomic.LARGEST or stamp.inode != known.stamp.inode:
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
    lines = data.split(b"\n")
    texts = [lines[message.line - known.lines - 1].strip() for message in end.messages]
    mirror.add_messages(session_id, zip(end.messages, texts, strict=True), state)
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


def take_out(vault: Vault, mirror: Mirror, session_ids: Iterable[str]) -> None:
    """Take sessions out of the mirror whose files are about to be erased. Raises MirrorBusy,
    MirrorDamaged."""
    with mirror.transaction():
        for session_id in session_ids:
            _put(vault, mirror, session_id, None)
        mirror.note("digest", None)

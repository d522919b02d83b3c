"""Messages that vanish from the end of a transcript are kept, and what becomes of them is judged.

An editor with an old buffer, or a sync tool, may save an older copy over newer messages; no lock
prevents it. The lines go to the state folder first, never into the vault or the mirror: they may be
a secret that the owner has just deleted. Then ``rules.missing`` decides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats.names import beginnings, copy_name, file_kind, session_of
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.model import Loss, Problem, problem
from vault_sessions.rules import missing
from vault_sessions.rules.missing import Case, Chat, Decision, absent, decide
from vault_sessions.state import KEPT, State
from vault_sessions.vault import Vault

AFTER = 100
AT_ONCE = timedelta(seconds=2)


class Reviewed(NamedTuple):
    """What a review came to: the sessions whose standing may have changed, and what is told."""

    sessions: frozenset[str]
    notices: tuple[str, ...]


def in_place(state: State, session_id: str, ids: Sequence[str]) -> list[str]:
    """The ids of a transcript as they would stand had nothing been put back at its end."""
    losses = state.settled_of(session_id)
    with suppress(VaultError):  # then it is said where they are to be kept
        losses += state.losses_of(session_id)
    losses.sort(key=lambda one: one.at)
    return missing.in_place(ids, [({name for name, _ in one.lines}, one.after) for one in losses])


def loss(
    session_id: str,
    ids: Sequence[str],
    order: Sequence[str],
    lines: Mapping[str, bytes],
    now: datetime,
    head: str | None,
) -> Loss:
    """The missing ``lines``, by their ids. ``ids``: all of the transcript as it was last seen;
    ``order``: the same as ``in_place`` has them."""
    seen = tuple((name, lines[name]) for name in ids if name in lines)
    first = next((place for place, name in enumerate(order) if name in lines), len(order))
    before = tuple(order[max(0, first - AFTER) : first])
    return Loss(session_id, format_time(now), seen, before, "waiting", head, tuple(order[first:]))


def keep(state: State, found: Loss) -> None:
    """Keep the lines of a loss, durably, but for those that are kept already.

    Raises VaultError when they can't be: then nothing may be done that forgets them.
    """
    try:
        with state.lock(KEPT):
            known = state.losses_of(found.session_id)
            names = {name for one in known for name, _ in one.lines}
            lines = tuple(line for line in found.lines if line[0] not in names)
            if lines:
                state.put_losses(found.session_id, [*known, found._replace(lines=lines)])
    except OSError as error:
        raise VaultError(
            f"Messages that vanished from session {found.session_id} can't be kept: "
            f"{error.strerror}."
        ) from error


def settle(state: State, session_id: str, ids: Collection[str] | None = None) -> bool:
    """Nobody waits for a session's kept lines any more (``ids``: for those of these messages);
    False if nobody did.

    Raises VaultError.
    """
    with _kept_in_order(state):
        before = state.losses_of(session_id)
        after = [
            one
            for one in before
            if ids is not None and not any(name in ids for name, _ in one.lines)
        ]
        _put(state, session_id, before, after)
    return after != before


@contextmanager
def _kept_in_order(state: State) -> Iterator[None]:
    try:
        with state.lock(KEPT):
            yield
    except OSError as error:
        raise VaultError(f"{state.folder}: {error.strerror}.") from error


def _put(state: State, session_id: str, before: list[Loss], after: list[Loss]) -> None:
    """Put others in place of a session's losses; those that are left out are settled."""
    waited_for = {one.lines for one in after}
    for one in before:
        if one.lines not in waited_for:
            state.put_settled(one._replace(status="settled"))
    state.put_losses(session_id, after)


def open_losses(vault: Vault, state: State, session_id: str | None = None) -> list[Loss]:
    """What is missing and waits for ``doctor``, of one session or all, less the lines that stand
    in the file again. Of a session whose file is gone nothing is missing."""
    losses = state.losses() if session_id is None else state.losses_of(session_id)
    found = []
    for name in dict.fromkeys(one.session_id for one in losses):
        found += open_in(state, name, _bytes(vault, name))
    return found


def open_in(state: State, session_id: str, data: bytes | None) -> list[Loss]:
    """What is missing from these bytes of a session and waits for ``doctor``."""
    return [
        one._replace(lines=left)
        for one in state.losses_of(session_id)
        if one.status == "open" and (left := _left(one, data))
    ]


def to_put_back(one: Loss) -> list[tuple[str, bytes | None]]:
    """The lines of a loss in their places, among the ids of those that stood between (None)."""
    lines = dict(one.lines)
    return [(name, lines.get(name)) for name in one.places or lines]


def problem_of(losses: Iterable[Loss], session_id: str) -> Problem | None:
    """What is to be said of a session's losses."""
    count = sum(len(one.lines) for one in losses if one.session_id == session_id)
    if not count:
        return None
    what = "1 message is" if count == 1 else f"{count} messages are"
    return problem(
        "missing-messages",
        f"{what} missing from the end (an older copy was saved over the file?), and kept: "
        f"doctor --fix puts back, doctor --forget {session_id} accepts it",
    )


def is_waiting(state: State) -> bool:
    """Is there a loss that is not decided yet?"""
    return any(one.status == "waiting" for one in state.losses())


def review(
    vault: Vault, state: State, now: datetime, mirrored: Callable[[str], bytes | None]
) -> Reviewed:
    """Decide about all losses anew, but for what only a chat can say. Raises VaultError.

    One that was decided stays as it was, unless its lines stand again, or stand in a conflict copy.
    ``mirrored(id)``: the bytes of a session as the mirror has them now; a loss is forgotten only if
    its lines stand in those.
    """
    losses = state.losses()
    changed: set[str] = set()
    told: dict[str, list[str]] = {}
    for session_id in {one.session_id for one in losses}:
        data = _bytes(vault, session_id)
        if data is not None and not all(
            _left(one, data) for one in losses if one.session_id == session_id
        ):
            data = mirrored(session_id)
        if data is None:
            continue
        with _kept_in_order(state):
            before = state.losses_of(session_id)
            after: list[Loss] = []
            for one in before:
                if not _left(one, data):
                    continue
                decision = _judge(vault, one, data, losses)
                if decision.what == "tell":
                    told.setdefault(decision.reason, []).append(session_id)
                else:
                    waits = decision.what == "wait"
                    after.append(one._replace(status="waiting" if waits else "open"))
            if after != before:
                _put(state, session_id, before, after)
                changed.add(session_id)
    if changed:
        state.sweep_kept(now)
    return Reviewed(frozenset(changed), tuple(_notice(state, *item) for item in told.items()))


def decide_in_chat(
    vault: Vault, state: State, session_id: str, ids: Collection[str], chat: Chat
) -> Decision:
    """What a live chat does about messages that are missing from the end of its session."""
    data = _bytes(vault, session_id) or b""
    losses = state.losses()
    for one in losses:
        is_this = one.session_id == session_id and any(name in ids for name, _ in one.lines)
        if is_this and _left(one, data):
            return _judge(vault, one, data, losses, chat)
    return Decision("wait", "nothing is missing")


def _judge(
    vault: Vault, one: Loss, data: bytes, losses: Sequence[Loss], chat: Chat | None = None
) -> Decision:
    from vault_sessions import git

    busy = moved = False
    if one.status == "waiting":  # what a commit made later has in it proves nothing
        path = vault.transcript(one.session_id)
        busy = git.is_busy(vault.root)
        if one.head is not None and one.head != git.head(vault.root):
            moved = git.equals_head(vault.root, path, data)
    return decide(Case(_in_copy(vault, one), busy, moved, _at_once(one, losses), chat))


def _at_once(one: Loss, losses: Iterable[Loss]) -> int:
    """How many sessions lost messages when this one did."""
    at = parse_time(one.at)
    near = set()
    for other in losses:
        other_at = parse_time(other.at)
        if at is not None and other_at is not None and abs(other_at - at) <= AT_ONCE:
            near.add(other.session_id)
    return max(len(near), 1)


def _left(one: Loss, data: bytes | None) -> tuple[tuple[str, bytes], ...]:
    """The lines at the end of a loss that stand nowhere in the bytes, in their places.

    One before a line that stands was taken out of the middle: the whole end was missing only while
    an editor was half through with its saving.
    """
    if data is None:
        return ()
    lines = dict(one.lines)
    gone = dict(_absent(one, data))
    places = [name for name in one.places or lines if name in lines]
    left: set[str] = set()
    for order in (list(lines), places):
        left.update(takewhile(gone.__contains__, reversed(order)))
    return tuple((name, lines[name]) for name in places if name in left)


def _absent(one: Loss, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The lines that stand nowhere in the bytes."""
    derived = any(name.startswith("h-") for name, _ in one.lines)
    texts = {line.strip() for line in data.split(b"\n")} if derived else set()
    gone = absent([name for name, _ in one.lines if not name.startswith("h-")], data)
    for name, line in one.lines:
        if line not in texts if name.startswith("h-") else name in gone:
            yield name, line


def _bytes(vault: Vault, session_id: str) -> bytes | None:
    try:
        return vaults.read_transcript(vault, session_id)[0]
    except (FileNotFoundError, VaultError):
        return None


def _in_copy(vault: Vault, one: Loss) -> bool:
    """Do all the lines stand in one conflict copy of the session?"""
    own = os.path.basename(vault.transcript(one.session_id))
    for name in vaults.list_names(vault, vault.sessions):
        copy = copy_name(name)
        of_content = file_kind(name) == "transcript" and one.session_id in beginnings(
            session_of(name)
        )
        if of_content or (copy is not None and copy.original == own):
            with suppress(VaultError):
                data = vaults.read_bytes(vault, f"{vault.sessions}/{name}")
                if data and not any(_absent(one, data)):
                    return True
    return False


def _notice(state: State, reason: str, sessions: list[str]) -> str:
    some = ", ".join(sorted(sessions)[:3]) + (" …" if len(sessions) > 3 else "")
    return (
        f"The newest messages of {some} are gone ({reason}); nothing was put back. "
        f"They are kept for 30 days in {state.folder}/kept/settled."
    )

"""Were the newest messages taken out on purpose, or has an older copy been saved over them?

``missing`` says what is gone; ``decide`` what is to be done about it. See "An older copy is
saved over newer messages" in docs/format.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

MANY = 3
"""More sessions than this that lose messages at once: a backup or another state of the folder was
put there, and that is not undone."""
FEW = 64
"""So many ids are looked for in all bytes of a file, one after the other."""


def count_missing(ids: Sequence[str], data: bytes, ids_now: Collection[str]) -> int:
    """How many messages are missing: the longest end of ``ids`` (a transcript's as it was last
    seen) of which none stands anywhere in the bytes now. A broken line still holds its id.

    A line without an id of its own can't be told from one that was edited: while there is such a
    line that was not there before, those that are gone count as edited.
    """
    known = set(ids)
    edited = any(_is_derived(name) and name not in known for name in ids_now)
    stands = _Standing(data)
    count = 0
    for name in reversed(ids):
        if name in ids_now or (_is_derived(name) and edited) or name in stands:
            break
        count += 1
    return count


def in_place(
    ids: Sequence[str], put_back: Iterable[tuple[Collection[str], Sequence[str]]]
) -> list[str]:
    """A transcript's ids in the order in which they would stand had nothing been put back at its
    end. ``put_back``: messages that were once missing, and the ids that stood before them then (the
    nearest last); the oldest loss first."""
    order = list(ids)
    for names, before in put_back:
        moved = [name for name in order if name in names]
        rest = [name for name in order if name not in names]
        nearest = next((name for name in reversed(before) if name in rest), None)
        if moved and nearest is not None:
            at = rest.index(nearest) + 1
            order = [*rest[:at], *moved, *rest[at:]]
    return order


def missing(
    ids: Sequence[str], order: Sequence[str], data: bytes, ids_now: Collection[str]
) -> set[str]:
    """The ids that are missing: from the end of a transcript as it was last seen, or from its end
    as ``in_place`` has it. (A copy saved over it may be older than what was put back, or younger
    and without it.)"""
    gone: set[str] = set()
    for each in (ids, order):
        gone.update(each[len(each) - count_missing(each, data, ids_now) :])
    return gone


def absent(names: Iterable[str], data: bytes) -> set[str]:
    """Those of the ids that stand nowhere in the bytes."""
    stands = _Standing(data)
    return {name for name in names if name not in stands}


class _Standing:
    """The ids that stand somewhere in the bytes.

    Each is looked for in all of them. From FEW on that would take minutes in a long transcript:
    then it is looked for among what stands between quotation marks.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = FEW
        self._quoted: set[bytes] = set()

    def __contains__(self, name: str) -> bool:
        if self._left > 0:
            self._left -= 1
            return _written(name) in self._data
        if not self._quoted:
            self._quoted = {part.strip(b"\\") for part in self._data.split(b'"')}
        return _written(name) in self._quoted


def _is_derived(name: str) -> bool:
    return name.startswith("h-")


def _written(name: str) -> bytes:
    """An id as it stands in a line; of one that was told apart (``…~2``) the line's own."""
    own, mark, number = name.rpartition("~")
    return (own if mark and number.isdigit() else name).encode()


class Chat(NamedTuple):
    """How the loss looks to a chat that has the session open.

    ``own``: it wrote all that is missing; ``again``: some of it was put back before; ``empty`` and
    ``quiet`` (for 300 ms) are of the file; ``only_end``: nothing else in it has changed.
    """

    own: bool
    again: bool
    empty: bool
    quiet: bool
    only_end: bool


class Case(NamedTuple):
    """What is known around a loss. ``sessions`` that lost messages at once, this one included."""

    in_copy: bool = False
    git_busy: bool = False
    git_moved: bool = False
    sessions: int = 1
    chat: Chat | None = None


class Decision(NamedTuple):
    """What to do, and why."""

    what: Literal["wait", "tell", "put back", "ask", "report"]
    reason: str


def decide(case: Case) -> Decision:
    """What becomes of missing messages, once they are kept.

    ``wait``: nothing yet; ``tell``: once, and nothing is restored; ``ask`` the person whether to
    put them back; ``report``: the problem ``missing-messages``.
    """
    if case.in_copy:
        return Decision("wait", "they stand in a conflict copy, which is to be merged first")
    if case.git_busy:
        return Decision("wait", "git is in the middle of something")
    if case.git_moved:
        return Decision("tell", "git has put another commit in place")
    if case.sessions > MANY:
        return Decision("tell", f"{case.sessions} sessions have lost messages at once")
    chat = case.chat
    if chat is None or not chat.own or chat.again or chat.empty or not chat.quiet:
        return Decision("report", "it can't be said that this was not on purpose")
    if chat.only_end:
        return Decision("ask", "only the end is gone: it may be on purpose")
    return Decision("put back", "an older copy with other changes was saved over them")

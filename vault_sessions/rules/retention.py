"""Which sessions are old enough to go (``clean``), and which are too many (``max_sessions``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from vault_sessions.formats.times import parse_time
from vault_sessions.model import Session


class Retention(NamedTuple):
    """The sessions that go, the oldest activity first, and those that would but are in use."""

    go: tuple[Session, ...]
    in_use: tuple[Session, ...]


def older_than(
    sessions: Iterable[Session], span: timedelta, now: datetime, in_use: Collection[str]
) -> Retention:
    """Those whose last activity is at least ``span`` ago. One without any time is never old, but a
    span of nothing is everything."""
    old = [
        session
        for session in sessions
        if not span or ((at := _activity(session)) is not None and now - at >= span)
    ]
    return _split(old, in_use)


def too_many(sessions: Iterable[Session], most: int, in_use: Collection[str]) -> Retention:
    """The oldest ended ones beyond ``most`` sessions in all."""
    everything = list(sessions)
    ended = sorted((s for s in everything if s.status == "ended"), key=_age)
    return _split(ended[: max(len(everything) - most, 0)], in_use)


def _split(sessions: list[Session], in_use: Collection[str]) -> Retention:
    ordered = sorted(sessions, key=_age)
    return Retention(
        tuple(s for s in ordered if s.id not in in_use),
        tuple(s for s in ordered if s.id in in_use),
    )


def _age(session: Session) -> tuple[str, str]:
    return session.updated_at or "", session.id


def _activity(session: Session) -> datetime | None:
    return parse_time(session.updated_at)

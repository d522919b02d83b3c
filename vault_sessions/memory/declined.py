"""What the owner said no to: not asked again for that entry in that session, and not learned from
it either. Only this machine knows, by a hash."""

from __future__ import annotations

import hashlib

from vault_sessions.rules.facts import fold
from vault_sessions.state import State


def decline(state: State, session_id: str, old: str | None, new: str | None) -> None:
    """The owner does not want that entry changed (``old`` None: that fact added)."""
    state.first_time(_marker(session_id, old, new))


def is_declined(state: State, session_id: str | None, old: str | None, new: str | None) -> bool:
    """Did the owner say no to a change of that entry, or to that new fact, in that session?"""
    return session_id is not None and state.was_first(_marker(session_id, old, new))


def _marker(session_id: str, old: str | None, new: str | None) -> str:
    what = f"entry {fold(old)}" if old is not None else f"fact {fold(new or '')}"
    return f"no-{session_id}-{hashlib.sha256(what.encode()).hexdigest()[:24]}"

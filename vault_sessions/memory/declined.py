"""What the owner said no to: not asked again for that entry in that session, and not learned from
it either. Only this machine knows, by a hash."""

from __future__ import annotations

import hashlib

from vault_sessions.rules.facts import fold
from vault_sessions.state import State


def decline(
    state: State, session_id: str, old: str | None, new: str | None, message_id: str | None = None
) -> None:
    """The owner does not want that entry changed (``old`` None: that fact added), whatever words
    somebody finds for what that message says."""
    state.first_time(_marker(session_id, old, new))
    if message_id is not None:
        state.first_time(_of_message(session_id, message_id))


def is_declined(state: State, session_id: str | None, old: str | None, new: str | None) -> bool:
    """Did the owner say no to a change of that entry, or to that new fact, in that session?"""
    return session_id is not None and state.was_first(_marker(session_id, old, new))


def is_of_declined(state: State, session_id: str | None, message_id: str | None) -> bool:
    """Did the owner say no to remembering what that message says?"""
    if session_id is None or message_id is None:
        return False
    return state.was_first(_of_message(session_id, message_id))


def _of_message(session_id: str, message_id: str) -> str:
    return f"no-{session_id}-{hashlib.sha256(f'message {message_id}'.encode()).hexdigest()[:24]}"


def _marker(session_id: str, old: str | None, new: str | None) -> str:
    what = f"entry {fold(old)}" if old is not None else f"fact {fold(new or '')}"
    return f"no-{session_id}-{hashlib.sha256(what.encode()).hexdigest()[:24]}"

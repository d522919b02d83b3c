"""The first mark of an ending, and its removal."""

from __future__ import annotations

from typing import Any

from vault_sessions import vault as vaults
from vault_sessions.formats.meta import ENDING, parse_meta
from vault_sessions.formats.session import describe
from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import parse
from vault_sessions.lifecycle.desk import Desk, Saved
from vault_sessions.model import Meta


def mark_ending(desk: Desk, session_id: str, reason: str) -> None:
    """Mark a session as ending: it is resumed by name only. Harmless when it is marked or ended.

    Not one that is open somewhere. Raises VaultError.
    """
    if desk.state.is_leased(session_id):
        return
    with desk.state.lock(session_id):
        data = vaults.read_meta(desk.vault, session_id)
        meta = parse_meta(data, session_id)[0] if data is not None else Meta()
        if meta.ending is not None or _has_ended(desk, session_id, meta):
            return
        mark = {"reason": reason, "at": format_time(desk.now())}
        # an older end, after which it went on, is none
        changes: dict[str, Any] = dict.fromkeys(ENDING) if meta.ended_at is not None else {}
        changes["ending"] = mark
        vaults.change_meta(desk.vault, session_id, changes)
    desk.saved(Saved(session_id))


def _has_ended(desk: Desk, session_id: str, meta: Meta) -> bool:
    """Has it an end that nothing was said after? (On another machine somebody may have.)"""
    if meta.ended_at is None:
        return False
    try:
        transcript = parse(vaults.read_transcript(desk.vault, session_id)[0])
    except FileNotFoundError:
        return True
    return describe(session_id, transcript, meta, 0, "").ended_at is not None


def unmark_ending(desk: Desk, session_id: str) -> None:
    """Take the marks of an ending from a session that goes on. Raises VaultError."""
    with desk.state.lock(session_id):
        data = vaults.read_meta(desk.vault, session_id)
        meta = parse_meta(data, session_id)[0] if data is not None else Meta()
        if meta.ended_at is None and meta.ending is None:
            return
        vaults.change_meta(desk.vault, session_id, dict.fromkeys(ENDING))
    desk.saved(Saved(session_id))

"""Sessions that programs write to without a chat."""

from __future__ import annotations

import os
from typing import Any

from vault_sessions import vault as vaults
from vault_sessions.errors import SessionGone
from vault_sessions.formats.ids import new_session_id, uuid7
from vault_sessions.formats.times import format_time
from vault_sessions.lifecycle.changes import comes_back
from vault_sessions.lifecycle.desk import Desk, Saved


def create_session(desk: Desk, fields: dict[str, Any]) -> str:
    """A session without messages: metadata only. Its id. The caller holds the lock of names.

    Raises VaultError.
    """
    now = desk.now()
    while True:
        session_id = new_session_id(now, desk.random(30))
        paths = desk.vault.transcript(session_id), desk.vault.meta(session_id)
        with desk.state.lock(session_id):
            if not any(os.path.lexists(desk.vault.absolute(path)) for path in paths):
                changes = {"name": None, "created_at": now, **fields}
                vaults.change_meta(desk.vault, session_id, changes)
                break
    _mark_as_ours(desk, session_id)
    desk.saved(Saved(session_id))
    return session_id


def add_message(
    desk: Desk, session_id: str, role: str, content: str, *, create: bool
) -> dict[str, Any]:
    """Append one message to a session, which need not be open here; the line as it was written.

    ``create``: it may have no transcript yet. Raises SessionGone, VaultError.
    """
    _mark_as_ours(desk, session_id)
    while True:
        now = desk.now()
        fields = {
            "role": role,
            "content": content.encode("utf-8", "replace").decode(),  # no lone surrogates
            "id": uuid7(now, desk.random(80)),
            "created_at": format_time(now),
            "invocation_id": desk.invocation_id,
        }
        try:
            with desk.state.lock(session_id):
                saved = vaults.append_message(desk.vault, session_id, fields, create=create)
        except SessionGone:
            if not comes_back(desk.vault.absolute(desk.vault.transcript(session_id))):
                raise
        else:
            desk.saved(Saved(session_id, *saved))
            return fields


def _mark_as_ours(desk: Desk, session_id: str) -> None:
    """A session that this machine wrote to has had a lease here."""
    lease = desk.state.lease(session_id, desk.now())
    if lease is not None:
        lease.release()

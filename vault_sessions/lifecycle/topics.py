"""A session's topic: made when it is due, from its first exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vault_sessions import vault as vaults
from vault_sessions.errors import BadAnswer
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.transcript import active_branch, parse
from vault_sessions.lifecycle.desk import Desk, Saved
from vault_sessions.model import Message, Meta

if TYPE_CHECKING:
    from vault_sessions.lifecycle.asking import Who


def give_topic_if_due(desk: Desk, session_id: str, who: Who | None) -> str | None:
    """After a turn: a topic, if one is due; which. ``who`` None: without a model.

    Raises ProviderError (it stays due), VaultError.
    """
    from vault_sessions.rules import topic

    if not desk.settings.topic_auto:
        return None
    meta, branch = read_session(desk, session_id)
    if not topic.due(branch, meta) or (who is None and meta.topic is not None):
        return None
    return give_topic(desk, session_id, branch, meta, who)


def give_topic(
    desk: Desk,
    session_id: str,
    branch: Sequence[Message],
    meta: Meta,
    who: Who | None,
    *,
    at_the_end: bool = False,
) -> str | None:
    """Make a topic and set it, unless somebody has set one meanwhile; which one it is.

    ``at_the_end``: a model that answers with nonsense is not asked again. Raises ProviderError,
    VaultError.
    """
    from vault_sessions.rules.topic import fallback_topic

    text, source = "", "generated"
    if who is not None:
        from vault_sessions.lifecycle.asking import ask_topic

        try:
            text = ask_topic(desk, who, session_id, branch)
        except BadAnswer:
            if not at_the_end:
                raise
    if not text:
        if meta.topic is not None:  # no better than the fallback that it has
            return None
        text, source = fallback_topic(branch), "fallback"
    if not text:
        return None
    return text if _set(desk, session_id, meta, text, source) else None


def _set(desk: Desk, session_id: str, seen: Meta, text: str, source: str) -> bool:
    is_set = False

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        nonlocal is_set
        is_set = (fields.get("topic"), fields.get("topic_source")) == (
            seen.fields.get("topic"),
            seen.fields.get("topic_source"),
        )
        return {"topic": text, "topic_source": source} if is_set else {}

    with desk.state.lock(session_id):
        vaults.change_meta(desk.vault, session_id, change)
    if is_set:
        desk.saved(Saved(session_id))
    return is_set


def read_session(desk: Desk, session_id: str) -> tuple[Meta, list[Message]]:
    """A session's metadata and its active branch, as they are now. Raises VaultError."""
    data = vaults.read_meta(desk.vault, session_id)
    meta = parse_meta(data, session_id)[0] if data is not None else Meta()
    try:
        transcript = parse(vaults.read_transcript(desk.vault, session_id)[0])
    except FileNotFoundError:
        return meta, []
    return meta, active_branch(transcript.messages)

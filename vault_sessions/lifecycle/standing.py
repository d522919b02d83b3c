"""On which branch of a conversation one stands: the newest one, until another is chosen; once
something was said there, it is the newest one itself. Nothing is written by choosing."""

from __future__ import annotations

from typing import Any

from vault_sessions.errors import VaultError
from vault_sessions.lifecycle.changes import refresh
from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.model import Message
from vault_sessions.rules import branches


def stand_on(desk: Desk, conversation: Conversation, message_id: str) -> None:
    """Stand on the newest branch that this message is on. Raises VaultError: it is on none."""
    refresh(desk, conversation)
    tip = branches.tip(conversation.messages, _place(conversation, message_id))
    is_newest = tip == len(conversation.messages) - 1
    conversation.stand = None if is_newest else conversation.messages[tip].id


def branch(conversation: Conversation) -> list[Message]:
    """The messages of the branch that one stands on."""
    return branches.through(conversation.messages, _end(conversation))


def behind(conversation: Conversation) -> dict[str, Any]:
    """What a line says so that it goes on with the branch that one stands on."""
    messages, end = conversation.messages, _end(conversation)
    return {"parent_id": messages[end].id} if end < len(messages) - 1 else {}


def in_place_of(conversation: Conversation, message_id: str, text: str) -> dict[str, Any] | Message:
    """The user's line that says a message of theirs again, on a branch beside it; the message
    itself, where it is unchanged and an answer is all it lacks. Raises VaultError."""
    index = _place(conversation, message_id)
    before = conversation.messages[index]
    if before.role != "user":
        raise VaultError("Only what you said yourself can be said again.")
    said: dict[str, Any] = {"role": "user", "content": text}
    if text == before.text:
        if branches.unanswered(conversation.messages, index):
            return before
        own = before.fields
        said = {key: own[key] for key in ("role", "content", "name") if key in own}
    parent = conversation.messages[before.parent].id if before.parent >= 0 else None
    return {**said, "parent_id": parent}


def last_said(conversation: Conversation) -> Message:
    """The user's last message on the branch one stands on. Raises VaultError: there is none."""
    said = [message for message in branch(conversation) if message.role == "user"]
    if not said:
        raise VaultError("Nothing was said yet that could be said again.")
    return said[-1]


def _end(conversation: Conversation) -> int:
    """The place of the branch's last message; -1: there is none."""
    messages = conversation.messages
    stand = branches.place(messages, conversation.stand) if conversation.stand else None
    return len(messages) - 1 if stand is None else branches.tip(messages, stand)


def _place(conversation: Conversation, message_id: str) -> int:
    index = branches.place(conversation.messages, message_id)
    if index is None:
        raise VaultError("That message is not in this conversation any more.")
    return index

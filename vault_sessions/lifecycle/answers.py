"""An answer: what the model is sent, and what comes back; or what the offline assistant finds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from vault_sessions.errors import ContextTooLong, ProviderError
from vault_sessions.formats.times import format_time
from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.lifecycle.material import gather
from vault_sessions.model import OFFLINE, Message
from vault_sessions.rules import context

if TYPE_CHECKING:
    from vault_sessions.assistant.provider import Reply


def answer(
    desk: Desk,
    conversation: Conversation,
    asked: Message,
    on_text: Callable[[str], None],
    on_wait: Callable[[float, str], None],
) -> tuple[str | None, dict[str, int] | None]:
    """Say the answer to ``on_text``; which model gave it, and its usage."""
    if conversation.provider == OFFLINE:
        from vault_sessions.assistant import offline

        # a model has this session before it anyway; here it is looked up like any other
        found = [hit for hit in desk.recall(asked.text, None) if hit.message_id != asked.id]
        text = offline.answer(asked.text, found)
        on_text(text)
        return OFFLINE, None
    from vault_sessions.assistant import provider as providers

    found = desk.recall(asked.text, conversation.session_id)
    chosen = desk.settings.providers[conversation.provider]
    call = providers.prepare(chosen, conversation.model, desk.environment)
    conversation.model = call.model
    limits = context.Limits(
        desk.settings.max_history_messages, desk.settings.max_history_tokens, chosen.context_tokens
    )
    material = gather(desk, conversation, asked, found)
    prompt = context.build(material, limits)

    def ask() -> Reply:
        started = desk.now()
        outcome, reply = "cancelled", None
        try:
            reply = providers.stream(call, prompt, on_text, on_wait)
            outcome = "ok"
            return reply
        except ProviderError as error:
            outcome = type(error).__name__
            raise
        finally:
            _log(desk, conversation, call.model, reply, started, outcome)

    try:
        reply = ask()
    except ContextTooLong:
        shorter = context.build(material, context.halved(material, limits))
        if shorter == prompt:
            raise
        prompt = shorter
        reply = ask()
    return reply.model, reply.usage


def _log(
    desk: Desk,
    conversation: Conversation,
    model: str,
    reply: Reply | None,
    started: datetime,
    outcome: str,
) -> None:
    if conversation.private:
        return
    record = {
        "at": format_time(started),
        "kind": "chat",
        "session": conversation.session_id,
        "provider": conversation.provider,
        "model": reply.model if reply else model,
        "usage": reply.usage if reply else None,
        "seconds": round((desk.now() - started).total_seconds(), 3),
        "outcome": outcome,
    }
    try:
        desk.state.log_call(record)
    except OSError:
        conversation.notices.append("The log of model calls can't be written.")

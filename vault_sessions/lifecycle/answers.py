"""An answer: what the model is sent, and what comes back; or what the offline assistant finds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from vault_sessions import vault as vaults
from vault_sessions.errors import (
    ContextTooLong,
    ProviderError,
    VaultError,
)
from vault_sessions.formats.memory import read_document, section_text
from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import active_branch
from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.lifecycle.opening import instructions, is_copy
from vault_sessions.model import OFFLINE, Hit, Message
from vault_sessions.rules import compaction, context
from vault_sessions.vault import Vault

if TYPE_CHECKING:
    from vault_sessions.assistant.provider import Reply

EXCERPTS = 6
_EXCERPT_LENGTH = 800


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
    material = _material(desk, conversation, asked, found)
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


def _material(
    desk: Desk, conversation: Conversation, asked: Message, found: list[Hit]
) -> context.Material:
    """What this turn's prompt is made of; whatever has become of the file, it ends with what was
    asked."""
    from vault_sessions.assistant.offline import best_quotes, source

    vault, settings = desk.vault, desk.settings
    branch = [m for m in active_branch(conversation.messages) if m.id != asked.id]
    branch.append(asked)
    excerpts = [
        context.Excerpt(quote.text[:_EXCERPT_LENGTH], source(quote.hit))
        for quote in best_quotes(asked.text, found, EXCERPTS)
    ]
    persona = _identity(desk, conversation, "persona.md")
    snapshot = section_text(_identity(desk, conversation, "user.md"), "Snapshot")
    memory_map = _memory_map(vault)
    skill = instructions(desk, conversation)
    moved = conversation.meta.directory not in (None, desk.place.directory)
    texts = [snapshot, *memory_map, *(part for excerpt in excerpts for part in excerpt)]
    return context.Material(
        branch,
        persona,
        skill,
        snapshot,
        memory_map,
        excerpts,
        compaction.in_force(branch, conversation.meta.compactions),
        settings.show_summary_markers,
        context.safe_fence(f"quoted-{desk.random(32):08x}", texts),
        desk.place.directory if moved else None,
    )


def _identity(desk: Desk, conversation: Conversation, name: str) -> str:
    """The body of persona.md or user.md; one that can't be read is told, and left out."""
    try:
        data = vaults.read_bytes(desk.vault, f"{desk.vault.identity}/{name}")
    except VaultError as error:
        conversation.notices.append(str(error))
        return ""
    return read_document(data).body if data else ""


def _memory_map(vault: Vault) -> list[str]:
    """The memory files there are: those by name, and the newest summaries."""
    names = sorted(
        name
        for name in vaults.list_names(vault, vault.long_term)
        if name.endswith(".md") and not is_copy(name)
    )
    summaries = [name for name in names if name.startswith("session-")]
    lines = [f"{vault.long_term}/{name}" for name in names if not name.startswith("session-")]
    lines.append(f"{vault.identity}/user.md")
    if summaries:
        newest = ", ".join(reversed(summaries[-8:]))
        lines.append(f"{len(summaries)} session summaries, the newest: {newest}")
    return lines


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

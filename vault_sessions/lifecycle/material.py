"""What a turn's prompt is made of, read from the vault."""

from __future__ import annotations

from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats.memory import read_document, section_text
from vault_sessions.formats.transcript import active_branch
from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.lifecycle.opening import instructions, is_copy
from vault_sessions.model import Hit, Message
from vault_sessions.rules import compaction, context
from vault_sessions.vault import Vault

EXCERPTS = 6
_EXCERPT_LENGTH = 800


def gather(
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

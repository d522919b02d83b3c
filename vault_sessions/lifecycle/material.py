"""What a turn's prompt is made of, read from the vault."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vault_sessions import vault as vaults
from vault_sessions.atomic import same_state
from vault_sessions.errors import VaultError
from vault_sessions.formats.memory import read_document, section_text
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.transcript import active_branch
from vault_sessions.lifecycle.compacting import fold_half, make_room
from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.lifecycle.opening import instructions, is_copy
from vault_sessions.model import Compaction, Hit, Message
from vault_sessions.rules import branches, compaction, context
from vault_sessions.vault import Vault

EXCERPTS = 6
_EXCERPT_LENGTH = 800


def gather(
    desk: Desk, conversation: Conversation, asked: Message, found: list[Hit]
) -> context.Material:
    """What this turn's prompt is made of; whatever has become of the file, it ends with what was
    asked. What would be left out of it, because it is too much, is summarized first."""
    from vault_sessions.assistant.offline import best_quotes, source

    vault, settings = desk.vault, desk.settings
    branch = _branch(conversation.messages, asked)
    force = _in_force(desk, conversation, branch)
    if make_room(desk, conversation, branch[force[1] if force else 0 :]):
        force = _in_force(desk, conversation, branch)
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
    if force is not None:
        texts.append(force[0].summary)
    return context.Material(
        branch,
        persona,
        skill,
        snapshot,
        memory_map,
        excerpts,
        force,
        settings.show_summary_markers,
        context.safe_fence(f"quoted-{desk.random(32):08x}", texts),
        desk.place.directory if moved else None,
    )


def _branch(messages: Sequence[Message], asked: Message) -> list[Message]:
    """The branch that ends with what was asked; somebody may have gone on with another one."""
    index = branches.place(messages, asked.id)
    if index is None:
        return [*active_branch(messages), asked]
    return branches.through(messages, index)


def folded(
    desk: Desk, conversation: Conversation, material: context.Material
) -> tuple[Compaction, int] | None:
    """Summarize half of what a model finds too long: the compaction in force then, and how many
    messages it covers; None: it could not be done."""
    if not fold_half(desk, conversation):
        return None
    return _in_force(desk, conversation, material.branch)


def _in_force(
    desk: Desk, conversation: Conversation, branch: Sequence[Message]
) -> tuple[Compaction, int] | None:
    """The compaction in force, of those that the metadata has now: another program, or a thread of
    this one, may have made it since the session was opened."""
    if conversation.session_id is not None and not conversation.private:
        _refresh_meta(desk, conversation, conversation.session_id)
    records = conversation.meta.compactions
    if conversation.force is not None:
        force, of, last = conversation.force
        # each reading makes new values: the same one stands behind the same messages, so that
        # thousands of them need not be hashed at every turn
        if of is records and len(branch) >= force[1] and branch[force[1] - 1] is last:
            return force
    found = compaction.in_force(branch, records)
    conversation.force = (found, records, branch[found[1] - 1]) if found else None
    return found


def _refresh_meta(desk: Desk, conversation: Conversation, session_id: str) -> None:
    try:
        now = os.lstat(desk.vault.absolute(desk.vault.meta(session_id)))
        if conversation.meta_seen is None or not same_state(now, conversation.meta_seen):
            data = vaults.read_meta(desk.vault, session_id)
            if data is not None:
                conversation.meta = parse_meta(data, session_id)[0]
            conversation.meta_seen = now
    except FileNotFoundError:
        conversation.meta_seen = None
    except (OSError, VaultError) as error:  # no obstacle: the conversation is there
        conversation.notices.append(str(error))


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

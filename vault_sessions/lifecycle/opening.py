"""Which provider, model and skill a conversation has; a new one, and one that goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from vault_sessions import vault as vaults
from vault_sessions.config import Settings
from vault_sessions.errors import (
    ProviderUnusable,
    VaultError,
)
from vault_sessions.formats.memory import Skill, read_skill
from vault_sessions.formats.names import copy_name
from vault_sessions.formats.times import local_time
from vault_sessions.lifecycle.desk import Conversation, Desk, read
from vault_sessions.model import OFFLINE, Message, Session
from vault_sessions.rules.resume import Candidate
from vault_sessions.vault import Vault


def candidate(session: Session, last_activity: datetime, in_use: bool) -> Candidate:
    """A session as the decision to resume sees it."""
    return Candidate(
        session.id, session.label, last_activity, session.directory, session.git_root, in_use
    )


def open_new(
    desk: Desk,
    *,
    name: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    skill: str | None = None,
    private: bool = False,
) -> Conversation:
    """A conversation without a session yet; its files are written with the first message."""
    chosen = provider or desk.settings.default_provider
    check_provider(desk.settings, chosen)
    skill = skill or desk.settings.default_skill
    if skill:
        find_skill(desk, skill)
    return Conversation(
        chosen, None, name, model, skill, private, desk.now(), switched=bool(provider or model)
    )


def open_session(
    desk: Desk,
    session_id: str,
    *,
    provider: str | None = None,
    model: str | None = None,
    skill: str | None = None,
    private: bool = False,
) -> Conversation:
    """Go on with a session, with the provider, model and skill it was made with."""
    conversation = Conversation(
        desk.settings.default_provider, session_id, private=private, opened_at=desk.now()
    )
    read(desk, conversation)
    meta = conversation.meta
    conversation.name = meta.name
    if skill:
        find_skill(desk, skill)
    conversation.skill = skill or meta.skill
    instructions(desk, conversation)
    _choose_provider(desk, conversation, provider, model)
    if not private:
        conversation.lease = desk.state.lease(session_id, desk.now())
        if conversation.lease is None:
            holder = desk.state.holder(session_id)
            since = local_time(holder.since)[:16]
            who = f" (process {holder.pid}, since {since})" if holder.pid else ""
            conversation.notices.append(
                f"This session is open elsewhere too{who}. Both may go on: each sees what the "
                f"other said at its next turn."
            )
    return conversation


def _choose_provider(
    desk: Desk, conversation: Conversation, provider: str | None, model: str | None
) -> None:
    """The flag's; else the session's own where it is usable here; else the default."""
    default = desk.settings.default_provider
    own, own_model = conversation.meta.provider, conversation.meta.model
    last, last_model = _last_provider(conversation.messages)
    own = own or last
    if own_model is None and own == last:
        own_model = last_model
    conversation.switched = bool(provider or model)
    if provider:
        check_provider(desk.settings, provider)
        conversation.provider = provider
        conversation.model = model or (own_model if provider == own else None)
    elif own in (None, OFFLINE):
        conversation.provider, conversation.model = default, model
    elif own in desk.settings.providers and _usable(desk, own):
        conversation.provider, conversation.model = own, model or own_model
    else:
        conversation.provider, conversation.model = default, model
        conversation.notices.append(
            f"This session was made with {own}, which is not usable here; {default} answers."
        )


def _usable(desk: Desk, provider: str) -> bool:
    from vault_sessions.assistant.provider import usable

    return usable(desk.settings.providers[provider], desk.environment)


def _last_provider(messages: Sequence[Message]) -> tuple[str | None, str | None]:
    for message in reversed(messages):
        if message.role == "assistant" and message.fields.get("provider"):
            return message.fields["provider"], message.fields.get("model")
    return None, None


def check_provider(settings: Settings, name: str) -> None:
    """Raises ProviderUnusable for a provider that is not known."""
    if name != OFFLINE and name not in settings.providers:
        known = ", ".join((OFFLINE, *sorted(settings.providers)))
        raise ProviderUnusable(f"There is no provider {name!r}. Known: {known}.")


def find_skill(desk: Desk, name: str) -> Skill:
    """A skill by the stem of its file or its name. Raises VaultError, listing what there is."""
    skills = list_skills(desk)
    for stem, skill in skills.items():
        if name.casefold() in (stem.casefold(), skill.name.casefold()):
            return skill
    known = ", ".join(skills) or "none"
    raise VaultError(
        f"There is no skill {name!r} (there are: {known}).\n"
        f"A skill is a Markdown file in {desk.vault.skills}/ or {desk.user_skills}/."
    )


def instructions(desk: Desk, conversation: Conversation) -> str:
    """The text of the conversation's skill; one that is not here any more is told and left."""
    if not conversation.skill:
        return ""
    try:
        return find_skill(desk, conversation.skill).instructions
    except VaultError:
        conversation.notices.append(
            f"The skill {conversation.skill!r} of this session is not here; going on without."
        )
        conversation.skill = None
        return ""


def list_skills(desk: Desk) -> dict[str, Skill]:
    """All skills by stem; the vault's before the user's own."""
    skills: dict[str, Skill] = {}
    own = Vault(os.path.realpath(desk.user_skills), "")
    for vault, folder in ((own, "."), (desk.vault, desk.vault.skills)):
        for name in sorted(vaults.list_names(vault, folder)):
            if name.endswith(".md") and not name.startswith(".") and not is_copy(name):
                with suppress(VaultError):  # a link out of the vault, say, is no skill
                    data = vaults.read_bytes(vault, f"{folder}/{name}")
                    if data is not None:
                        skills[name[:-3]] = read_skill(name[:-3], data)
    return skills


def is_copy(name: str) -> bool:
    """Is it a conflict copy, by its name?"""
    copy = copy_name(name)
    return copy is not None and copy.is_certain

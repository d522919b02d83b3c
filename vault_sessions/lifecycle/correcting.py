"""Corrections of memory that the person makes in passing: found, asked about, saved on a yes."""

from __future__ import annotations

from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.memory import Kit, declined, facts, summaries
from vault_sessions.model import Change, Message, Proposal
from vault_sessions.rules.corrections import detect
from vault_sessions.rules.facts import fold
from vault_sessions.rules.proposing import propose


def correction(
    desk: Desk, conversation: Conversation, text: str, message_id: str | None = None
) -> Proposal | None:
    """What to ask the owner, who said this in the conversation (``message_id`` None: in its newest
    message that says so); None: it corrects nothing, that is known already, the model has done it
    in answering, or they said no to it before. Raises VaultError."""
    session_id = conversation.session_id
    if conversation.private or session_id is None or not desk.settings.memory_corrections:
        return None
    found = detect(text)
    if found is None:
        return None
    message_id = message_id or _said_in(conversation.messages, text)
    if message_id and any(change.message_id == message_id for change in facts.log(desk.vault)):
        return None
    entries = facts.entries(desk.vault)
    proposal = propose(found, entries, session_id=session_id, message_id=message_id)
    if proposal is None or _is_declined(desk, conversation, proposal):
        return None
    return proposal


def _said_in(messages: list[Message], text: str) -> str | None:
    said = (m.id for m in reversed(messages) if m.role == "user" and m.text == text)
    return next(said, None)


def _is_declined(desk: Desk, conversation: Conversation, proposal: Proposal) -> bool:
    asked = {(one.old, one.old or one.new) for one in conversation.declined}
    return (proposal.old, proposal.old or proposal.new) in asked or declined.is_declined(
        desk.state, conversation.session_id, proposal.old, proposal.new
    )


def save(desk: Desk, proposal: Proposal, text: str) -> Change:
    """Do what the owner said yes to, with the text as they left it; it is answered then, wherever
    it was offered. Raises VaultError: nothing was changed."""
    if text and proposal.new is None:  # it was to go, and they wrote another text instead
        proposal = proposal._replace(new=text)
    change = facts.apply(_kit(desk), proposal, text)
    desk.wrote(facts.paths(desk.vault))
    return change


def decline(desk: Desk, conversation: Conversation, proposal: Proposal) -> None:
    """The owner said no: that entry is not asked about again in this session."""
    conversation.declined.add(proposal._replace(session_id=None, message_id=None))
    if conversation.session_id is not None:
        declined.decline(
            desk.state, conversation.session_id, proposal.old, proposal.new, proposal.message_id
        )


def offers(desk: Desk) -> list[Proposal]:
    """What the owner has not yet been asked about, as the summaries say it; what memory does not
    say any more is settled in passing. Raises VaultError."""
    if not desk.settings.memory_corrections:
        return []
    found = [*summaries.open_offers(desk.vault, desk.state), *_left_in_metadata(desk)]
    if not found:
        return []
    said = {fold(entry.text) for entry in facts.entries(desk.vault)}
    waiting = []
    for offer in found:
        is_of_facts = offer.file == "facts.md"
        gone = is_of_facts and offer.old is not None and fold(offer.old) not in said
        known = is_of_facts and offer.new is not None and fold(offer.new) in said
        if gone or known:
            settle(desk, offer)
        else:
            waiting.append(offer)
    return waiting


def _left_in_metadata(desk: Desk) -> list[Proposal]:
    """Of the sessions whose summary the owner has edited, so that it could not say them."""
    from vault_sessions.lifecycle.learning import offers_left

    left: list[Proposal] = []
    for session_id in desk.state.waiting():
        offers = offers_left(desk, session_id)
        if offers is not None:  # None: another program is at it
            waiting = [one for one in offers if not summaries.is_settled(desk.state, one)]
            left += waiting
            if not waiting:
                desk.state.wait_no_more(session_id)
    return left


def settle(desk: Desk, offer: Proposal) -> None:
    """The owner has answered an offer: it is not asked again. Raises VaultError."""
    desk.wrote(summaries.settle(_kit(desk), offer))


def _kit(desk: Desk) -> Kit:
    return Kit(desk.vault, desk.state, desk.now(), desk.random)

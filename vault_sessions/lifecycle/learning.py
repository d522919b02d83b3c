"""What the user said, into long-term memory: found, journalled in the metadata, then applied.

Two steps, so that a kill between or in them neither loses nor repeats: one write of the metadata
says what was found (``pending_facts``) and through which message (``learned_through``); then that
is merged into ``facts.md`` and taken from the metadata. What only the owner may decide stays there
until the end of the session asks them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vault_sessions import vault as vaults
from vault_sessions.errors import BadAnswer
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.transcript import active_branch, parse
from vault_sessions.lifecycle.desk import Desk, Saved
from vault_sessions.memory import Kit
from vault_sessions.model import Candidate, Message, Meta, Proposal

if TYPE_CHECKING:
    from vault_sessions.lifecycle.asking import Who
    from vault_sessions.memory.facts import Outcome

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def learn_through(
    desk: Desk,
    session_id: str,
    branch: Sequence[Message],
    through_id: str | None,
    who: Who | None,
    *,
    learn: bool = False,
) -> Outcome:
    """Learn from what the user said since ``learned_through``, through that message of the branch
    (None: nothing new, only what is pending). What came of it, and of what was pending before.

    Nothing where ``memory.auto`` is off; of an imported session only what was said after the
    import. ``learn``: asked for by the owner, so both are learned from. ``who`` None: without a
    model. The caller holds ``state.work``.

    What is to be offered to the owner is in the outcome each time, and stays in ``pending_facts``.
    Raises ProviderError: the model failed and nothing was recorded; VaultError.
    """
    from vault_sessions.memory.facts import Outcome

    if not desk.settings.memory_auto and not learn:
        return Outcome((), (), ())
    meta = read_meta(desk, session_id)
    before = _apply(desk, session_id, branch, meta)  # the model is told what memory says
    said = _unlearned(branch, through_id, meta, learn)
    if not said:
        return before
    _journal(desk, session_id, meta, said, who, learn)
    outcome = _apply(desk, session_id, branch, read_meta(desk, session_id))
    return outcome._replace(changes=before.changes + outcome.changes)


def offers_left(desk: Desk, session_id: str) -> list[Proposal] | None:
    """What is pending of a session and only the owner may decide. None: it is being worked up.
    Raises VaultError."""
    work = desk.state.work(session_id)
    if work is None:
        return None
    try:
        data, _ = vaults.read_transcript(desk.vault, session_id)
        branch = active_branch(parse(data).messages)
        return list(_apply(desk, session_id, branch, read_meta(desk, session_id)).offers)
    except FileNotFoundError:
        return []
    finally:
        work.release()


def read_meta(desk: Desk, session_id: str) -> Meta:
    """A session's metadata as it is now. Raises VaultError."""
    data = vaults.read_meta(desk.vault, session_id)
    return parse_meta(data, session_id)[0] if data is not None else Meta()


# --- what was not yet learned from ---------------------------------------------------------------


def _unlearned(
    branch: Sequence[Message], through_id: str | None, meta: Meta, learn: bool
) -> Sequence[Message]:
    """The messages to learn from, all roles; the last one is ``through_id``."""
    ids = [message.id for message in branch]
    if through_id not in ids:
        return ()
    start = place_after(ids, meta.learned_through)
    if meta.source is not None:
        imported = meta.source.get("through")
        if not learn:
            if not isinstance(imported, str):
                return ()
            start = max(start, place_after(ids, imported))
        elif meta.source.get("learned") is not True:
            start = 0
    return branch[start : ids.index(through_id) + 1]


def place_after(ids: Sequence[str], through: str | None) -> int:
    """The place behind that message in a branch. One that is not there (it was taken out, or
    stands on another branch) had its time in its id, as all ids of ours have."""
    if through is None:
        return 0
    if through in ids:
        return ids.index(through) + 1
    if not _UUID7.fullmatch(through):
        return 0
    before = (place for place, name in enumerate(ids) if _UUID7.fullmatch(name) and name < through)
    return max(before, default=-1) + 1


# --- first step: found and journalled ------------------------------------------------------------


def _journal(
    desk: Desk,
    session_id: str,
    meta: Meta,
    said: Sequence[Message],
    who: Who | None,
    learn: bool,
) -> None:
    """Find facts and write them down with how far was read, in one write. Where another program
    has done that meanwhile, theirs counts."""
    found = _found(desk, session_id, said, who)
    records = [{k: v for k, v in c._asdict().items() if v is not None} for c in found]

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        if fields.get("learned_through") != meta.fields.get("learned_through"):
            return {}
        changes: dict[str, Any] = {"learned_through": said[-1].id}
        pending = [*_listed(fields.get("pending_facts")), *records]
        if pending:
            changes["pending_facts"] = pending
        source = fields.get("source")
        if learn and isinstance(source, dict):
            changes["source"] = {**source, "learned": True}
        return changes

    _change(desk, session_id, change)


def _found(
    desk: Desk, session_id: str, said: Sequence[Message], who: Who | None
) -> list[Candidate]:
    """What the user's messages say that is worth remembering, each checked against its message."""
    from vault_sessions.rules.facts import checked

    spoken = [m for m in said if m.role == "user" and m.text.strip()]
    if not spoken:
        return []
    messages = {message.id: message for message in spoken}
    if who is None:
        found = _stated(spoken)
    else:
        from vault_sessions.lifecycle.asking import ask_facts, is_hopeless
        from vault_sessions.memory import facts

        try:
            found = ask_facts(desk, who, session_id, spoken, facts.entries(desk.vault))
        except BadAnswer:
            if not is_hopeless(desk, session_id, "facts", spoken[0].id):
                raise
            found = _stated(spoken)
    good = []
    for candidate in found:
        if checked(candidate, messages) is None:
            good.append(candidate)
        else:
            _tell_secret(desk, candidate)
    return good


def _stated(spoken: Sequence[Message]) -> list[Candidate]:
    """What they state of themselves in words that need no model."""
    from vault_sessions.rules.statements import statements

    return [
        Candidate(stated.section, stated.text, message.id, stated.quote)
        for message in spoken
        for stated in statements(message.text)
    ]


def _tell_secret(desk: Desk, candidate: Candidate) -> None:
    from vault_sessions.rules.secrets import secret_in

    what = secret_in(candidate.text) or secret_in(candidate.quote)
    if what is not None:
        desk.say(f"Not remembered: it looks like {what}.")


# --- second step: applied ------------------------------------------------------------------------


def _apply(desk: Desk, session_id: str, branch: Sequence[Message], meta: Meta) -> Outcome:
    """Merge what is pending into memory, then take it from the metadata, but for what the owner is
    to be asked. What no message supports any more is dropped: it was edited, or never was ours."""
    from vault_sessions.memory import facts
    from vault_sessions.rules.facts import checked

    if not meta.pending_facts:
        return facts.Outcome((), (), ())
    messages = {message.id: message for message in branch}
    good = [one for one in meta.pending_facts if checked(one, messages) is None]
    kit = Kit(desk.vault, desk.state, desk.now(), desk.random)
    outcome = facts.learn(kit, good, session_id)
    if outcome.changes:
        desk.wrote(facts.paths(desk.vault))
    waiting = {(offer.message_id, _key(offer.new)) for offer in outcome.offers}
    done = {
        _identity(one._asdict())
        for one in meta.pending_facts
        if one not in good or (one.message_id, _key(one.text)) not in waiting
    }

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        records = _listed(fields.get("pending_facts"))
        left = [record for record in records if _identity(record) not in done]
        return {"pending_facts": left or None}

    if done:
        _change(desk, session_id, change)
    return outcome


def _key(text: str | None) -> str:
    """A text as an offer has it."""
    from vault_sessions.rules.facts import clean_text

    return clean_text(text or "")


def _identity(record: Any) -> tuple[Any, ...]:
    if not isinstance(record, dict):
        return ()
    return tuple(record.get(key) for key in ("section", "text", "message_id", "quote"))


def _listed(records: Any) -> list[Any]:
    if records is None:
        return []
    return list(records) if isinstance(records, list) else [records]


def _change(desk: Desk, session_id: str, change: Any) -> None:
    with desk.state.lock(session_id):
        vaults.change_meta(desk.vault, session_id, change)
    desk.saved(Saved(session_id))

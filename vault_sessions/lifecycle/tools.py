"""What the model's tools do: each call is answered with a result, whatever was wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.assistant import offline, tools
from vault_sessions.errors import VaultError, VaultSessionsError
from vault_sessions.formats.display import safe_line
from vault_sessions.formats.memory import BULLET, SOURCE
from vault_sessions.formats.times import parse_since
from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.memory import Kit
from vault_sessions.model import Hit, Message, Proposal
from vault_sessions.vault import Vault

CALLS = 10
"""Calls of one reply that are done; the others are answered with an error."""
LONGEST_FILE = 16_000
_LONGEST_PASSAGE = 600
_SHARED = 0.4
"""The part of a fact's content words that the user has to have said."""


class Done(NamedTuple):
    """What came of a call: the result that the model gets, and a line for the person."""

    result: str
    note: str


class Said(NamedTuple):
    """What a call is made in: the message that is answered, the active branch, the ids of the
    messages that the model has before it anyway, and what the user said no to in this answer."""

    asked: Message
    branch: Sequence[Message]
    sent: Collection[str]
    declined: set[Proposal]


def offered(desk: Desk, conversation: Conversation) -> list[dict[str, Any]]:
    """The tools of a request: a private conversation only reads; nothing is remembered by itself
    where ``memory.auto`` is off."""
    stored = not conversation.private
    return tools.definitions(remember=stored and desk.settings.memory_auto, update=stored)


def names(definitions: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """What the offered tools are called."""
    return tuple(one["function"]["name"] for one in definitions)


def do(
    desk: Desk, conversation: Conversation, said: Said, call: tools.Call, there: tuple[str, ...]
) -> Done:
    """Do what a call asks for; ``there``: the names of the tools that were offered.

    Nothing that is wrong with it is raised but Ctrl-C: the model is told.
    """
    try:
        wanted = tools.read_call(call.name, call.arguments, there)
        match wanted:
            case tools.RememberFact():
                return _remember(desk, conversation, said, wanted)
            case tools.MemorySearch():
                return _search(desk, conversation, said, wanted)
            case tools.ReadMemoryFile():
                return _read(desk, wanted)
        return _update(desk, conversation, said, wanted)
    except tools.BadCall as error:
        return Done(_json({"error": str(error)}), f"{call.name} was called wrongly: {error}.")
    except (VaultSessionsError, OSError) as error:
        return Done(_json({"error": str(error)}), f"{call.name}: {error}")


def refused(why: str) -> str:
    """The result of a call that was not done."""
    return _json({"error": why})


# --- remember_fact -------------------------------------------------------------------------------


def _remember(
    desk: Desk, conversation: Conversation, said: Said, wanted: tools.RememberFact
) -> Done:
    source = _source(wanted.fact, said)
    if source is None:
        why = "the user has not said so in this conversation; use the user's own words"
        return Done(_json({"error": why}), f"Not remembered: “{_short(wanted.fact)}” ({why}).")
    section = wanted.category.capitalize()
    return remember(desk, conversation, wanted.fact, section, source, "model", said)


def remember(
    desk: Desk,
    conversation: Conversation,
    text: str,
    section: str,
    message_id: str,
    by: str,
    said: Said | None = None,
) -> Done:
    """Put a fact into memory, as the rules of merging have it; where it would replace something of
    the owner's, they are asked. Raises VaultError."""
    from vault_sessions.memory import facts

    kit = _kit(desk)
    session_id = conversation.session_id
    try:
        outcome = facts.remember(
            kit, text, section, session_id=session_id, message_id=message_id, by=by
        )
    except VaultError as error:  # a secret, say
        return Done(_json({"error": str(error)}), str(error))
    if outcome.changes:
        desk.wrote(facts.paths(desk.vault))
        change = outcome.changes[-1]
        fields = {"ok": True, "file": change.file, "section": change.section}
        if change.old is not None:
            fields |= {"old": change.old, "new": change.new}
        return Done(_json(fields), f"Remembered: {_change(change.old, change.new, change)}")
    for proposal in outcome.offers:
        return _offer(desk, conversation, proposal, by, said)
    why = outcome.skipped[0][1] if outcome.skipped else "it is known already"
    return Done(_json({"ok": False, "reason": why}), f"Not remembered: “{_short(text)}” ({why}).")


def _source(fact: str, said: Said) -> str | None:
    """The message of the user that a fact is from; None: they said nothing of the kind of
    themselves. A model may have it from a passage, from what they quote or suppose, or from
    nowhere."""
    from vault_sessions.rules.evidence import own_words

    words = offline.stems(fact)
    if not words:
        return None
    found: set[str] = set()
    best, most = None, 0
    for message in reversed([*said.branch, said.asked]):
        if message.role != "user":
            continue
        here = offline.said_in(words, own_words(message.text))
        found |= here
        if len(here) > most:
            best, most = message.id, len(here)
    return best if len(found) >= len(words) * _SHARED else None


# --- update_memory -------------------------------------------------------------------------------


def _update(desk: Desk, conversation: Conversation, said: Said, wanted: tools.UpdateMemory) -> Done:
    from vault_sessions.memory import facts
    from vault_sessions.rules.secrets import secret_in

    new = _one_line(wanted.new_text)
    if what := secret_in(new):
        why = f"the new text looks like it holds {what}, which is not stored"
        return Done(_json({"error": why}), f"Not changed: {why}.")
    found = facts.locate(desk.vault, wanted.file, _one_line(wanted.old_text))
    if found.text == new:
        why = "that is what it says already"
        return Done(_json({"ok": False, "reason": why}), f"Not changed: {why}.")
    proposal = Proposal(
        wanted.file,
        found.bullet.section,
        found.text,
        new or None,
        conversation.session_id,
        said.asked.id,
    )
    return _offer(desk, conversation, proposal, "model", said)


def _offer(
    desk: Desk, conversation: Conversation, proposal: Proposal, by: str, said: Said | None = None
) -> Done:
    """Ask the owner, and do as they say. What they said no to is not asked twice in one answer;
    when they come back to it later, it is."""
    from vault_sessions.memory import facts

    bare = proposal._replace(session_id=None, message_id=None)
    declined = said.declined if said is not None else set()
    text = None
    if bare not in declined:
        # before the answer: leaving with Ctrl-C is no yes, and it is not asked again at once
        declined.add(bare)
        conversation.declined.add(bare)
        text = desk.confirm(proposal)
    if text is None:
        why = "the user did not agree to it; don't ask again"
        shown = _change(proposal.old, proposal.new, proposal)
        return Done(_json({"ok": False, "reason": why}), f"Not changed: {shown}")
    conversation.declined.discard(bare)
    if text and proposal.new is None:  # it was to go, and they wrote another text instead
        proposal = proposal._replace(new=text)
    change = facts.apply(_kit(desk), proposal, text, by)
    desk.wrote(facts.paths(desk.vault))
    fields = {"ok": True, "file": change.file, "old": change.old, "new": change.new}
    return Done(_json(fields), f"Changed: {_change(change.old, change.new, change)}")


def _one_line(text: str) -> str:
    """A bullet or sentence as it is meant: without its mark, its source, comments."""
    bare = SOURCE.sub("", text)
    if mark := BULLET.match(bare):
        bare = bare[mark.end() :]
    return safe_line(bare.replace("<!--", "").replace("-->", ""))


def _change(old: str | None, new: str | None, where: Any) -> str:
    """``“old” → “new” (facts.md › Facts)``."""
    parts = [f"“{_short(text)}”" for text in (old, new) if text]
    if not new:
        parts.append("(taken out)")
    section = f" › {where.section}" if where.section else ""
    return f"{' → '.join(parts)} ({where.file}{section})"


# --- memory_search -------------------------------------------------------------------------------


def _search(desk: Desk, conversation: Conversation, said: Said, wanted: tools.MemorySearch) -> Done:
    try:
        since = parse_since(wanted.since, desk.now()) if wanted.since else None
    except ValueError as error:
        raise tools.BadCall(str(error)) from None
    where = {"long-term": "memory", "sessions": "sessions", "all": "all"}[wanted.kind]
    before_it = {said.asked.id, *said.sent}
    hits = [
        hit
        for hit in desk.look_up(wanted.query, where, since, wanted.limit + len(before_it))
        if hit.role != "tool"
        and not (hit.session_id == conversation.session_id and hit.message_id in before_it)
    ][: wanted.limit]
    count = f"{len(hits)} passage{'' if len(hits) == 1 else 's'}"
    return Done(
        _json({"results": [_result(hit) for hit in hits]}),
        f"Searched memory for “{_short(wanted.query)}”: {count}.",
    )


def _result(hit: Hit) -> dict[str, Any]:
    text = hit.text if len(hit.text) <= _LONGEST_PASSAGE else hit.snippet or hit.text
    return {
        "kind": hit.kind,
        "source": safe_line(offline.source(hit)),
        "path": hit.path,
        "text": text[:_LONGEST_PASSAGE].strip(),
    }


# --- read_memory_file ----------------------------------------------------------------------------


def _read(desk: Desk, wanted: tools.ReadMemoryFile) -> Done:
    path = memory_path(desk.vault, wanted.path)
    text = vaults.read_text(desk.vault, path) if path is not None else None
    if text is None or path is None:
        known = _readable(desk.vault)
        by_name = {os.path.basename(name): name for name in known}
        close = get_close_matches(os.path.basename(wanted.path), by_name, 5, 0.3)
        nearest = [by_name[name] for name in close] or known[:5]
        fields = {"error": f"no such file: {wanted.path}", "nearest": nearest}
        return Done(_json(fields), f"There is no memory file {_short(wanted.path)}.")
    fields = {"path": path, "text": text[:LONGEST_FILE]}
    if len(text) > LONGEST_FILE:
        fields["cut"] = (
            f"these are the first {LONGEST_FILE:,} of {len(text):,} characters; "
            f"memory_search finds the rest"
        )
    return Done(_json(fields), f"Read {path}.")


def memory_path(vault: Vault, given: str) -> str | None:
    """The path from the root of a Markdown file of the memory or identity folder, given so, from
    the assistant's folder, or by its name; None: there is none. Raises VaultError for any other
    place, however it is reached."""
    folders = (vault.long_term, vault.identity)
    root = os.path.join(vault.root, "")
    named = given.removeprefix(root).removeprefix("./")
    parts = named.split("/")
    if not all(part.strip() and not part.startswith(".") and part.isprintable() for part in parts):
        raise _outside(vault, given)
    for start in ("", f"{vault.folder}/", f"{vault.folder}/memory/", *(f"{f}/" for f in folders)):
        path = start + named
        if not os.path.lexists(vault.absolute(path)):
            continue
        real = vaults.real_path_inside(vault, path)
        homes = [os.path.join(vaults.real_path_inside(vault, f), "") for f in folders]
        if path.endswith(".md") and real.endswith(".md") and real.startswith(tuple(homes)):
            return path
        raise _outside(vault, given)
    return None


def _outside(vault: Vault, given: str) -> VaultError:
    return VaultError(
        f"{_short(given)} can't be read: only the Markdown files of {vault.long_term}/ and "
        f"{vault.identity}/ can."
    )


def _readable(vault: Vault) -> list[str]:
    """The files that can be read."""
    return [
        f"{folder}/{name}"
        for folder in (vault.identity, vault.long_term)
        for name in sorted(vaults.list_names(vault, folder))
        if name.endswith(".md") and not name.startswith(".")
    ]


# --- small things --------------------------------------------------------------------------------


def _kit(desk: Desk) -> Kit:
    return Kit(desk.vault, desk.state, desk.now(), desk.random)


def _json(fields: dict[str, Any]) -> str:
    return tools.clean(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def _short(text: str) -> str:
    line = safe_line(text)
    return line if len(line) <= 120 else line[:119] + "…"

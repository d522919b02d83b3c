"""Facts in ``facts.md``: learned, remembered, corrected, taken back, and where each comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Literal, NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats import bullets
from vault_sessions.formats.bullets import NotThere, Spot
from vault_sessions.formats.changes import is_ours, one_line
from vault_sessions.formats.ids import is_session_id, uuid7
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.formats.transcript import parse
from vault_sessions.memory import Kit, journal
from vault_sessions.memory.declined import is_declined, is_of_declined
from vault_sessions.memory.journal import FACTS, SNAPSHOT, USER, Overtaken, path_of
from vault_sessions.model import Candidate, Change, Message, Proposal
from vault_sessions.rules.facts import (
    SECTIONS,
    Entry,
    clean_text,
    merge,
    refused_text,
    section_named,
)
from vault_sessions.rules.secrets import secret_in
from vault_sessions.rules.words import content_words
from vault_sessions.state import MEMORY
from vault_sessions.vault import Vault

_TRIES = 5


class Outcome(NamedTuple):
    """What came of candidates: the edits made, what only the owner may decide, and what was left
    out with the reason."""

    changes: tuple[Change, ...]
    offers: tuple[Proposal, ...]
    skipped: tuple[tuple[Candidate, str], ...]


class Why(NamedTuple):
    """Where a text of memory comes from.

    ``file`` and ``line``: where it stands, None: nowhere any more. ``changes``: how it came to be,
    the latest last; none: the owner wrote it. ``message``: what it was learned from, as it is now;
    ``state`` says what became of that: unknown (no message is named), deleted, edited, there.
    """

    text: str
    file: str | None
    line: int | None
    changes: tuple[Change, ...]
    session_id: str | None
    message_id: str | None
    message: Message | None
    state: Literal["unknown", "there", "edited", "deleted"]


def paths(vault: Vault) -> list[str]:
    """The files that an edit of memory may have written, from the root."""
    return [path_of(vault, FACTS), path_of(vault, USER), vault.changes]


def log(vault: Vault) -> list[Change]:
    """All changes that we made to memory, the oldest first. Raises VaultError."""
    return journal.read_log(vault)


def entries(vault: Vault) -> list[Entry]:
    """All that stands in ``facts.md``, in its order. Raises VaultError."""
    data = vaults.read_bytes(vault, path_of(vault, FACTS))
    return _entries(data, log(vault)) if data is not None else []


def _entries(data: bytes, changes: list[Change]) -> list[Entry]:
    ours = is_ours(changes, FACTS)
    return [
        Entry(
            bullet.section or "",
            bullet.line,
            one_line(bullet.text),
            bullet.is_bullet and not bullet.is_disputed and one_line(bullet.text) in ours,
            bullet.source,
        )
        for bullet in bullets.read_bullets(data)
    ]


# --- learning ------------------------------------------------------------------------------------


def learn(kit: Kit, candidates: Sequence[Candidate], session_id: str | None) -> Outcome:
    """Merge candidates into ``facts.md``, in one step. They were ``checked``.

    Again with the same ones, killed or not in between, it does nothing twice: what was learned
    from a message once is not learned from it again, also when the owner has taken it out since.
    Raises VaultError; then nothing was done.
    """
    with kit.state.lock(MEMORY):
        journal.recover(kit)
        for _ in range(_TRIES if candidates else 0):
            data, changes = journal.read_file(kit.vault, FACTS), log(kit.vault)
            outcome = _plan(kit, candidates, session_id, data, changes, "model")
            try:
                _write(kit, FACTS, outcome.changes, data)
            except Overtaken:
                continue
            return outcome
    if not candidates:
        return Outcome((), (), ())
    raise VaultError(f"{path_of(kit.vault, FACTS)} is being changed again and again; try later.")


def remember(
    kit: Kit,
    text: str,
    section: str | None = None,
    *,
    session_id: str | None = None,
    message_id: str | None = None,
    by: str = "model",
    beside: bool = False,
) -> Outcome:
    """Put a fact into a section (None: Facts) of ``facts.md``, merged with what is there;
    ``beside``: whatever else is there, but not twice.

    Raises VaultError: it looks like a secret, says nothing, is too long; or can't be written.
    """
    name = section_named(section or SECTIONS[0])
    if name is None:
        raise VaultError(f"There is no section {section!r}; there are: {', '.join(SECTIONS)}.")
    if why := refused_text(text):
        raise VaultError(f"Not remembered: {why}.")
    candidate = Candidate(name, clean_text(text), message_id or "", "")
    with kit.state.lock(MEMORY):
        journal.recover(kit)
        for _ in range(_TRIES):
            data, changes = journal.read_file(kit.vault, FACTS), log(kit.vault)
            outcome = _plan(kit, [candidate], session_id, data, changes, by, beside=beside)
            try:
                _write(kit, FACTS, outcome.changes, data)
            except Overtaken:
                continue
            return outcome
    raise VaultError(f"{path_of(kit.vault, FACTS)} is being changed again and again; try later.")


def _plan(
    kit: Kit,
    candidates: Sequence[Candidate],
    session_id: str | None,
    data: bytes,
    changes: list[Change],
    by: str,
    *,
    beside: bool = False,
) -> Outcome:
    """What is to be done, in the order of the candidates: each sees what those before it did."""
    known = _entries(data, changes)
    said = _Times(kit.vault)
    learned = {
        (c.session_id, c.message_id, one_line(c.new))
        for c in changes
        if c.file == FACTS and c.new is not None and c.message_id
    }
    made: list[Change] = []
    offers: list[Proposal] = []
    skipped: list[tuple[Candidate, str]] = []
    for candidate in candidates:
        text, section = clean_text(candidate.text), section_named(candidate.section)
        message_id = candidate.message_id or None
        why = refused_text(candidate.text)
        if section is None:
            why = f"there is no section {candidate.section!r}"
        elif why is None and by == "model" and (session_id, message_id, text) in learned:
            why = "it was learned from that message before"
        if why is not None or section is None:
            skipped.append((candidate, why or ""))
            continue
        verdict = merge(known, candidate)
        entry = verdict.entry
        replaced = entry if verdict.what == "replace" and by == "model" else None
        if replaced and said.is_later(replaced.text, changes, said.at(session_id, message_id)):
            skipped.append((candidate, "what was said of it later is known"))
            continue
        said_no = by == "model" and (
            is_declined(kit.state, session_id, entry.text if entry else None, text)
            or is_of_declined(kit.state, session_id, message_id)
        )
        if said_no and verdict.what != "skip":
            skipped.append((candidate, "the owner said no to that"))
        elif verdict.what == "skip":
            skipped.append((candidate, verdict.reason))
        elif entry is None or beside:
            change = _change(kit, len(made), FACTS, section, None, text, by)
            made.append(change._replace(session_id=session_id, message_id=message_id))
            known.append(Entry(section, 0, text, True))
        elif verdict.what == "offer":
            where = entry.section or None
            offers.append(Proposal(FACTS, where, entry.text, text, session_id, message_id))
        else:
            change = _change(kit, len(made), FACTS, entry.section or None, entry.text, text, by)
            made.append(change._replace(session_id=session_id, message_id=message_id))
            known[known.index(entry)] = entry._replace(text=text, is_ours=True)
    return Outcome(tuple(_hashed(kit.vault, made)), tuple(offers), tuple(skipped))


class _Times:
    """When things were said; sessions may end in another order than they were held."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._read: dict[str | None, dict[str, Message]] = {}

    def at(self, session_id: str | None, message_id: str | None) -> datetime | None:
        """When a message was written; None: nobody knows."""
        if session_id not in self._read:
            self._read[session_id] = _messages(self._vault, session_id)
        message = self._read[session_id].get(message_id or "")
        return message.created_at if message is not None else None

    def is_later(self, text: str, changes: Sequence[Change], than: datetime | None) -> bool:
        """Was a text of memory said later than that?"""
        made = [c for c in changes if c.file == FACTS and c.new and one_line(c.new) == text]
        if than is None or not made:
            return False
        said = self.at(made[-1].session_id, made[-1].message_id) or parse_time(made[-1].at)
        return said is not None and said > than


def _change(
    kit: Kit, number: int, file: str, section: str | None, old: str | None, new: str | None, by: str
) -> Change:
    """A change of now; those made together are a millisecond apart, so that they keep their
    order."""
    at = kit.now + timedelta(milliseconds=number)
    name = uuid7(at, kit.random(80))
    return Change(name, format_time(at), file, section, old, new, by=by)


def _write(kit: Kit, file: str, changes: Sequence[Change], before: bytes) -> None:
    if changes:
        journal.write(kit, file, [(change, _comment(change)) for change in changes], before)


def _comment(change: Change) -> str | None:
    return bullets.comment(change.at[:10], change.session_id, change.message_id)


# --- where it comes from -------------------------------------------------------------------------


def _messages(vault: Vault, session_id: str | None) -> dict[str, Message]:
    """The messages of a session by their ids, also those on other branches."""
    if not session_id or not is_session_id(session_id):
        return {}
    try:
        data, _ = vaults.read_transcript(vault, session_id)
    except (FileNotFoundError, VaultError):
        return {}
    return {message.id: message for message in parse(data).messages}


def _hash(message: Message) -> str:
    return hashlib.sha256(message.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _hashed(vault: Vault, changes: Sequence[Change]) -> list[Change]:
    """With what their messages say now, so that an edit of one is seen."""
    said: dict[str | None, dict[str, Message]] = {}
    found = []
    for change in changes:
        if change.session_id not in said:
            said[change.session_id] = _messages(vault, change.session_id)
        message = said[change.session_id].get(change.message_id or "")
        found.append(change._replace(message_hash=_hash(message)) if message else change)
    return found


def why(vault: Vault, text: str) -> Why:
    """Where a text of memory comes from: one that stands in ``facts.md`` or ``user.md``, or did.

    A part of it will do, if only one says it. Raises VaultError, which lists the nearest.
    """
    changes = log(vault)
    found = _standing(vault, text)
    logged = None if found else _logged(changes, text)
    if found is not None:
        file, said, line = found[0], one_line(found[1].text), found[1].bullet.line
        source = found[1].bullet.source
    elif logged is not None:
        (file, said), line, source = logged, None, None
    else:
        raise VaultError(_not_found(vault, text))
    chain = _chain(changes, file, said)
    made = [c for c in chain if c.new is not None and one_line(c.new) == said and c.message_id]
    # the comment in the file counts; the log knows what the message said then
    if source is not None:
        made = [c for c in made if (c.session_id, c.message_id) == source[1:]]
    last = made[-1] if made else None
    session_id = source[1] if source else last.session_id if last else None
    message_id = source[2] if source else last.message_id if last else None
    message = _messages(vault, session_id).get(message_id or "")
    state: Literal["unknown", "there", "edited", "deleted"] = "unknown"
    if message_id is not None:
        state = _state(message, last.message_hash if last else None, said)
    place = file if line is not None else None
    return Why(said, place, line, tuple(chain), session_id, message_id, message, state)


def _standing(vault: Vault, text: str) -> tuple[str, Spot] | None:
    """Where it stands, word for word, or else as a part of one bullet. Raises VaultError: of
    several."""
    parts: list[tuple[str, Spot]] = []
    for file in (FACTS, USER):
        data = vaults.read_bytes(vault, path_of(vault, file)) or b""
        spots = bullets.find(data, text)
        if spots:
            return file, spots[0]
        wanted = one_line(text).casefold()
        for bullet in bullets.read_bullets(data):
            if wanted and wanted in one_line(bullet.text).casefold():
                spot = Spot(bullet, bullet.text, bullet.start, bullet.end, True)
                parts.append((file, spot))
    if len(parts) > 1:
        some = ", ".join(f"“{_short(spot.text)}”" for _, spot in parts[:4])
        raise VaultError(f"Several parts of memory say “{_short(text)}”: {some}.")
    return parts[0] if parts else None


def _logged(changes: Sequence[Change], text: str) -> tuple[str, str] | None:
    """A text that stood in memory once."""
    wanted = one_line(text).casefold()
    for change in reversed(changes):
        for said in (change.new, change.old):
            if said is not None and one_line(said).casefold() == wanted:
                return change.file, one_line(said)
    return None


def _chain(changes: Sequence[Change], file: str | None, text: str) -> list[Change]:
    """How a text came to be: the change that made it, the one that made what it replaced, …, and
    what became of it."""
    found: list[Change] = []
    wanted: str | None = text
    for change in reversed(changes):
        if wanted is None or change.file != file:
            continue
        if change.new is not None and one_line(change.new) == wanted:
            found.insert(0, change)
            wanted = None if change.old is None else one_line(change.old)
        elif not found and change.old is not None and one_line(change.old) == wanted:
            found.insert(0, change)
            continue
    return found


def _state(
    message: Message | None, hashed: str | None, text: str
) -> Literal["there", "edited", "deleted"]:
    """What became of a message. Of one learned from before its hash was kept, its words tell."""
    if message is None:
        return "deleted"
    if hashed is not None:
        return "there" if hashed == _hash(message) else "edited"
    said, meant = set(content_words(message.text)), content_words(text)
    return "there" if not meant or any(word in said for word in meant) else "edited"


# --- what the owner says yes to ------------------------------------------------------------------


def locate(vault: Vault, file: str, old_text: str) -> Spot:
    """The one bullet or sentence of a memory file that says this. Raises VaultError: none or
    several do; it lists the nearest."""
    data = journal.read_file(vault, file)
    spots = bullets.find(data, old_text)
    if len(spots) == 1:
        return spots[0]
    if spots:
        lines = ", ".join(str(spot.bullet.line) for spot in spots)
        raise VaultError(f"{file} says “{_short(old_text)}” more than once (lines {lines}).")
    raise VaultError(f"{file} does not say “{_short(old_text)}”.{_nearest(data, old_text)}")


def _nearest(data: bytes, text: str) -> str:
    said = {one_line(bullet.text).casefold(): bullet for bullet in bullets.read_bullets(data)}
    near = get_close_matches(one_line(text).casefold(), said, 3, 0.3)
    words = set(content_words(text))
    near += [key for key, b in said.items() if key not in near and words & {*content_words(b.text)}]
    shown = [f"“{_short(one_line(said[key].text), 120)}”" for key in near[:3]]
    return f"\nThe nearest: {', '.join(shown)}" if shown else ""


def _not_found(vault: Vault, text: str) -> str:
    data = b"".join(vaults.read_bytes(vault, path_of(vault, f)) or b"" for f in (FACTS, USER))
    return f"Memory does not say “{_short(text)}”.{_nearest(data, text)}"


def _short(text: str, most: int = 60) -> str:
    text = one_line(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def apply(kit: Kit, proposal: Proposal, text: str, by: str = "user") -> Change:
    """Make a change that was said yes to: ``text`` in the place of ``proposal.old``, or new;
    ``proposal.new`` None takes the old one out. A text is never put there twice.

    Raises VaultError: the old text is not there (any more) exactly once, the new one looks like a
    secret, or the file can't be written.
    """
    path = path_of(kit.vault, proposal.file)
    with kit.state.lock(MEMORY):
        journal.recover(kit)
        for _ in range(_TRIES):
            data, changes = journal.read_file(kit.vault, proposal.file), log(kit.vault)
            old, section = _old(kit.vault, data, proposal)
            new = _new(proposal, text, old)
            if old is not None and new is not None and one_line(old) == one_line(new):
                raise VaultError(f"{path} says that already.")
            if old is None and (done := _done(data, changes, proposal, new)):
                return done
            change = _change(kit, 0, proposal.file, section, old, new, by)
            change = change._replace(session_id=proposal.session_id, message_id=proposal.message_id)
            (change,) = _hashed(kit.vault, [change])
            try:
                _write(kit, proposal.file, [change], data)
            except Overtaken as error:
                if old is None:
                    raise VaultError(f"{path}: {error}.") from error
                continue
            return change
    raise VaultError(f"{path} is being changed again and again; try later.")


def _old(vault: Vault, data: bytes, proposal: Proposal) -> tuple[str | None, str | None]:
    """The text that goes, as it stands in the file, and its section."""
    is_snapshot = proposal.file == USER and proposal.section == SNAPSHOT
    if is_snapshot:
        body = bullets.section_body(data, SNAPSHOT) or None
        if one_line(body or "") == one_line(proposal.old or ""):
            return body, SNAPSHOT
        if proposal.old is None or _says_new(body, proposal):
            return None, SNAPSHOT
    if proposal.old is None:
        return None, proposal.section or (SECTIONS[0] if proposal.file == FACTS else "Preferences")
    try:
        spot = journal.the_one(data, proposal.old, proposal.section)
    except NotThere:
        if proposal.new is not None and bullets.find(data, proposal.new):
            return None, proposal.section
        spot = locate(vault, proposal.file, proposal.old)
    return spot.text, spot.bullet.section


def _says_new(body: str | None, proposal: Proposal) -> bool:
    return body is not None and one_line(body) == one_line(proposal.new or "")


def _new(proposal: Proposal, text: str, old: str | None) -> str | None:
    """The text that comes, fit to stand there."""
    if proposal.new is None:
        return None
    if proposal.file == USER and proposal.section == SNAPSHOT:
        # sentences, whose last full stop stays
        clean = clean_text(text)
        stop = text.rstrip()[-1:]
        clean += stop if stop in (".", "。") and not clean.endswith(stop) else ""
    else:
        clean = clean_text(text)
    if not clean:
        raise VaultError("There is no text to save.")
    if what := secret_in(clean):
        raise VaultError(f"Not saved: it looks like {what}.")
    return clean


def _done(
    data: bytes, changes: Sequence[Change], proposal: Proposal, new: str | None
) -> Change | None:
    """The change, where it was made before (by one who was killed before it could say so)."""
    if new is None or not changes:
        return None
    last = changes[-1]
    is_same = last.file == proposal.file and one_line(last.new or "") == one_line(new)
    same_old = one_line(last.old or "") == one_line(proposal.old or "")
    is_there = proposal.section == SNAPSHOT or bool(bullets.find(data, new))
    is_same = is_same and same_old and last.session_id == proposal.session_id
    return last if is_same and is_there else None


# --- taking back ---------------------------------------------------------------------------------


def undo(kit: Kit, change_id: str | None = None) -> Change:
    """Take back a change, by its id or the beginning of it; None: the latest that was neither
    taken back nor takes back another. Raises VaultError."""
    with kit.state.lock(MEMORY):
        was_begun = journal.recover(kit)
        changes = log(kit.vault)
        if was_begun and change_id is None and changes[-1].undoes is not None:
            return changes[-1]
        change = _to_undo(changes, change_id)
        inverse = _inverse(kit, changes, change)
        origin = _origin(changes, change)
        source = _comment(origin) if origin and inverse.new is not None else None
        data = journal.read_file(kit.vault, change.file)
        try:
            journal.write(kit, change.file, [(inverse, source)], data)
        except Overtaken as error:
            raise VaultError(_cannot_undo(changes, change)) from error
        return inverse


def _to_undo(changes: Sequence[Change], change_id: str | None) -> Change:
    undone = {change.undoes for change in changes}
    if change_id is None:
        for change in reversed(changes):
            if change.undoes is None and change.id not in undone:
                return change
        raise VaultError("There is no change of memory to take back.")
    found = [change for change in changes if change.id == change_id] or [
        change for change in changes if change_id and change.id.startswith(change_id)
    ]
    if len(found) > 1:
        raise VaultError(
            f"{len(found)} changes begin with {change_id!r}.\nSee them: vault-sessions memory log"
        )
    if not found:
        raise VaultError(
            f"There is no change {change_id!r}.\nSee them all: vault-sessions memory log"
        )
    if found[0].id in undone:
        raise VaultError(f"The change {found[0].id} was taken back already.")
    return found[0]


def _inverse(kit: Kit, changes: Sequence[Change], change: Change) -> Change:
    inverse = _change(kit, 0, change.file, change.section, change.new, change.old, "user")
    return inverse._replace(undoes=change.id)


def _origin(changes: Sequence[Change], change: Change) -> Change | None:
    """The change that made the text which comes back."""
    if change.old is None:
        return None
    earlier = changes[: changes.index(change)]
    same = (c for c in reversed(earlier) if c.file == change.file and c.new is not None)
    return next((c for c in same if one_line(c.new or "") == one_line(change.old)), None)


def _cannot_undo(changes: Sequence[Change], change: Change) -> str:
    later = changes[changes.index(change) + 1 :]
    if change.new is not None:
        for other in later:
            if other.file == change.file and other.old == change.new:
                return (
                    f"“{_short(change.new)}” was changed again since.\n"
                    f"Take that back first: vault-sessions memory undo {other.id}"
                )
        return f"{change.file} does not say “{_short(change.new)}” any more: it was edited since."
    return f"{change.file} says “{_short(change.old or '')}” already."

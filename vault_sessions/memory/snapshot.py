"""The picture of the user: ``## Snapshot`` in ``user.md``, ours until the owner edits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.formats.bullets import section_body
from vault_sessions.formats.changes import one_line
from vault_sessions.formats.ids import uuid7
from vault_sessions.formats.memory import read_document, section_text
from vault_sessions.formats.times import format_time
from vault_sessions.memory import Kit, journal
from vault_sessions.model import Change, Proposal
from vault_sessions.state import MEMORY
from vault_sessions.vault import Vault

FILE, SECTION = "user.md", "Snapshot"


class Picture(NamedTuple):
    """What ``user.md`` says: the text of the snapshot, the preferences, and what the owner calls
    themselves there (None: nothing). ``is_ours``: nobody has edited the snapshot."""

    text: str
    preferences: str
    name: str | None
    is_ours: bool


def read(vault: Vault, changes: Sequence[Change]) -> Picture:
    """The picture as it is; ``changes``: all that we made to memory. Raises VaultError."""
    data = vaults.read_bytes(vault, f"{vault.identity}/{FILE}")
    body = read_document(data).body if data is not None else ""
    text = section_body(data or b"", SECTION) or ""
    last = _last(changes)
    ours = "" if last is None else last.new or ""
    name = next((line[2:].strip() for line in body.split("\n") if line.startswith("# ")), None)
    if name is not None and (not name or name.casefold() in ("about me", "user", "me")):
        name = None
    return Picture(text, section_text(body, "Preferences"), name, one_line(text) == one_line(ours))


def _last(changes: Sequence[Change]) -> Change | None:
    """Our latest edit of it."""
    for change in reversed(changes):
        if change.file == FILE and change.section == SECTION:
            return change
    return None


def recover(kit: Kit) -> bool:
    """Complete an edit of memory that was cut short by a kill; was there one? Raises VaultError."""
    with kit.state.lock(MEMORY):
        return journal.recover(kit)


def update(
    kit: Kit, picture: Picture, text: str, session_id: str
) -> tuple[Change | None, Proposal | None]:
    """Put another text there: what changed. Where the owner has edited theirs it is only offered.
    Nothing where it says the same. Raises VaultError."""
    text = one_line(text)
    if not text or text == one_line(picture.text):
        return None, None
    old = picture.text or None
    proposal = Proposal(FILE, SECTION, old, text, session_id)
    if not picture.is_ours:
        return None, proposal
    name, at = uuid7(kit.now, kit.random(80)), format_time(kit.now)
    change = Change(name, at, FILE, SECTION, old, text, session_id)
    with kit.state.lock(MEMORY):
        journal.recover(kit)
        before = journal.read_file(kit.vault, FILE)
        if one_line(section_body(before, SECTION) or "") != one_line(picture.text):
            return None, proposal
        try:
            journal.write(kit, FILE, [(change, None)], before)
        except journal.Overtaken:
            return None, proposal
    return change, None

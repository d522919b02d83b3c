"""An edit of memory in one step, whenever we are killed: a line in ``changes.jsonl``, and the file.

What is about to be done is noted on this machine first. Then comes the line, then the file, then
the note goes. Who finds a note finds out how far it came: without the line nothing was done; with
it the file is made what it should be, if it is not so already. Nothing is logged twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

import orjson

from vault_sessions import atomic
from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats import bullets
from vault_sessions.formats.bullets import NotThere
from vault_sessions.formats.changes import change_line, one_line, read_changes
from vault_sessions.memory import Kit
from vault_sessions.model import Change
from vault_sessions.rules.facts import SECTIONS
from vault_sessions.vault import Vault

FACTS, USER = "facts.md", "user.md"
SNAPSHOT = "Snapshot"
_NEW_FILES = {
    FACTS: "# Facts\n\n" + "\n".join(f"## {name}\n" for name in SECTIONS),
    USER: "# About me\n\n## Preferences\n\n## Snapshot\n",
}


class Overtaken(Exception):
    """The owner has saved the file meanwhile, and what was to be changed is not there any more.
    Nothing was done."""


def path_of(vault: Vault, file: str) -> str:
    """Where ``facts.md`` or ``user.md`` is, from the root. Raises VaultError for another file."""
    if file == FACTS:
        return f"{vault.long_term}/{FACTS}"
    if file == USER:
        return f"{vault.identity}/{USER}"
    raise VaultError(f"{file!r} is not changed by this program; {FACTS} and {USER} are.")


def read_file(vault: Vault, file: str) -> bytes:
    """A memory file as it is; as a new one where there is none. Raises VaultError."""
    data = vaults.read_bytes(vault, path_of(vault, file))
    return _NEW_FILES[file].encode() if data is None else data


def read_log(vault: Vault) -> list[Change]:
    """All changes that we made, the oldest first. Raises VaultError."""
    return read_changes(vaults.read_bytes(vault, vault.changes) or b"")


# --- one change, on the bytes of a file ----------------------------------------------------------


def edited(data: bytes, change: Change, source: str | None) -> bytes:
    """What a change makes of a file. ``source``: the comment behind a new bullet.

    Raises NotThere when the old text is not there exactly once, or the new one is already.
    """
    if change.file == USER and change.section == SNAPSHOT:
        return _with_snapshot(data, change)
    if change.old is None:
        assert change.new is not None
        if bullets.find(data, change.new):
            raise NotThere(f"“{change.new}” is there already")
        order = SECTIONS if change.file == FACTS else ()
        section = change.section or (SECTIONS[0] if change.file == FACTS else "Preferences")
        return bullets.appended(data, section, change.new, source, order)
    spot = the_one(data, change.old, change.section)
    if change.new is None:
        return bullets.removed(data, spot)
    return bullets.replaced(data, spot, change.new, source)


def the_one(data: bytes, text: str, section: str | None = None) -> bullets.Spot:
    """The one bullet or sentence that says this; of several the one in that section. Raises
    NotThere."""
    spots = bullets.find(data, text)
    if len(spots) > 1:
        spots = [s for s in spots if s.bullet.section == section] or spots
    if len(spots) != 1:
        raise NotThere(f"it stands there {len(spots)} times" if spots else "it is not there")
    return spots[0]


def _with_snapshot(data: bytes, change: Change) -> bytes:
    """The whole section, or a sentence of it."""
    body = bullets.section_body(data, SNAPSHOT) or ""
    if one_line(body) == one_line(change.old or ""):
        return bullets.with_body(data, SNAPSHOT, change.new or "")
    if change.old is None:
        raise NotThere("the snapshot says something already")
    spot = the_one(data, change.old, SNAPSHOT)
    if change.new is None:
        return bullets.removed(data, spot)
    return bullets.replaced(data, spot, change.new, None)


# --- the step ------------------------------------------------------------------------------------


def write(kit: Kit, file: str, changes: Sequence[tuple[Change, str | None]], before: bytes) -> None:
    """Make these changes of one file, all or none; each with the comment of its bullet. They were
    decided on these bytes. The caller holds the lock. Raises Overtaken, VaultError."""
    path = path_of(kit.vault, file)
    if bullets.is_conflicted(before):
        raise VaultError(
            f"{path} holds both sides of a merge, so it is not changed.\n"
            f"Merge them: vault-sessions doctor --fix"
        )
    if not all(_is_unicode(text) for change, _ in changes for text in (change.old, change.new)):
        raise VaultError(f"{path} says it in bytes that are not UTF-8, so it is not changed.")
    after = _all_edits(before, changes)
    _note(kit, file, changes, before, after)
    try:
        appended = vaults.append_changes(kit.vault, [change_line(each) for each, _ in changes])
    except VaultError:
        _forget(kit)
        raise
    try:
        _edit(kit.vault, file, lambda data: _all_edits(data, changes))
    except (VaultError, Overtaken) as error:
        was_made = _says(kit.vault, file, after)  # only the disk did not confirm it
        if was_made or vaults.take_back_changes(kit.vault, appended):
            _forget(kit)
        raise error
    _forget(kit)


def _is_unicode(text: str | None) -> bool:
    """No bytes of the file that are not UTF-8: no log can say them."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def _all_edits(data: bytes, changes: Sequence[tuple[Change, str | None]]) -> bytes:
    try:
        for change, source in changes:
            data = edited(data, change, source)
    except NotThere as error:
        raise Overtaken(str(error)) from error
    return data


def _edit(vault: Vault, file: str, edit: Callable[[bytes], bytes]) -> None:
    """Edit the file, made where it is not there."""
    path = path_of(vault, file)
    for _ in range(20):
        seen = False

        def change(data: bytes) -> bytes:
            nonlocal seen
            seen = True
            return edit(data)

        if vaults.read_bytes(vault, path) is None:
            new = edit(_NEW_FILES[file].encode())
            if vaults.make_file(vault, path, new):
                return
        vaults.change_file(vault, path, change)
        if seen:
            return
    raise VaultError(f"{path} is being changed by another program again and again; try later.")


def _says(vault: Vault, file: str, after: bytes) -> bool:
    with suppress(VaultError):
        return vaults.read_bytes(vault, path_of(vault, file)) == after
    return False


# --- the note ------------------------------------------------------------------------------------


def _note_path(kit: Kit) -> str:
    return os.path.join(kit.state.folder, "memory", "writing.json")


def _note(
    kit: Kit, file: str, changes: Sequence[tuple[Change, str | None]], before: bytes, after: bytes
) -> None:
    note = {
        "file": file,
        "changes": [[change._asdict(), source] for change, source in changes],
        "before": _digest(before),
        "after": _digest(after),
    }
    path = _note_path(kit)
    try:
        atomic.make_folder(os.path.dirname(path))
        # after a power cut the log says what was meant, and the file is what the disk has
        atomic.replace_file(path, orjson.dumps(note), durable=False)
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}. Nothing was changed.") from error


def _forget(kit: Kit) -> None:
    with suppress(OSError):
        atomic.remove_file(_note_path(kit))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def recover(kit: Kit) -> bool:
    """Complete what one who was killed has begun; was there something? The caller holds the lock.

    Raises VaultError.
    """
    try:
        note = orjson.loads(atomic.read_file(_note_path(kit))[0])
        file = str(note["file"])
        changes = [(Change(**fields), source) for fields, source in note["changes"]]
        states = (str(note["before"]), str(note["after"]))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise VaultError(f"{_note_path(kit)}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError):
        _forget(kit)
        return False
    logged = {change.id for change in read_log(kit.vault)}
    begun = [(change, source) for change, source in changes if change.id in logged]
    if begun:
        _complete(kit.vault, file, begun, *states)
    _forget(kit)
    return bool(begun)


def _complete(
    vault: Vault, file: str, changes: Sequence[tuple[Change, str | None]], before: str, after: str
) -> None:
    """Make the file what was logged. One that the owner has saved meanwhile is theirs: in it only
    what still says the old text is changed."""

    def edit(data: bytes) -> bytes:
        now = _digest(data)
        if now == after:
            return data
        for change, source in changes:
            if now != before and change.old is None:
                continue  # the new bullet was perhaps there, and the owner has removed it
            with suppress(NotThere):
                data = edited(data, change, source)
        return data

    _edit(vault, file, edit)

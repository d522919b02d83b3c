"""The summaries of sessions: found, written, renewed while nobody has edited them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.formats import summary as summaries
from vault_sessions.formats.names import copy_name, is_ignored
from vault_sessions.formats.summary import (
    LEARNED,
    TO_CONFIRM,
    ReadSummary,
    Summary,
    offer_key,
)
from vault_sessions.memory import Kit
from vault_sessions.model import Proposal
from vault_sessions.state import MEMORY, State
from vault_sessions.vault import Vault

SNAPSHOT = "Snapshot"


class Found(NamedTuple):
    """A session's summary: its path from the root, and what was read of it."""

    path: str
    read: ReadSummary


def find(vault: Vault, session_id: str, known: str | None = None) -> Found | None:
    """A session's summary, whatever its name; ``known``: where it was last. Raises VaultError."""
    paths = [known] if known is not None and _is_summary(vault, known) else []
    for path in [*paths, *_paths(vault)]:
        if _session_of(vault, path) != session_id:
            continue
        data = vaults.read_bytes(vault, path)
        if data is not None and (read := summaries.read(data)).session_id == session_id:
            return Found(path, read)
    return None


def _session_of(vault: Vault, path: str) -> str | None:
    """The session that a summary is of; a file that is as it was is not read again."""
    try:
        state = os.stat(vault.absolute(path))
    except OSError:
        return None
    stamp = state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    return _read_session_of(vault, path, stamp)


@lru_cache(maxsize=8192)
def _read_session_of(vault: Vault, path: str, stamp: tuple[int, ...]) -> str | None:
    data = vaults.read_bytes(vault, path)
    return summaries.read(data).session_id if data is not None else None


def _is_summary(vault: Vault, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == vault.long_term and _may_be(name)


def _may_be(name: str) -> bool:
    if not name.endswith(".md") or name == "facts.md" or is_ignored(name):
        return False
    copy = copy_name(name)
    return copy is None or not copy.is_certain


def _paths(vault: Vault) -> Iterator[str]:
    for name in sorted(vaults.list_names(vault, vault.long_term), reverse=True):
        if _may_be(name):
            yield f"{vault.long_term}/{name}"


def write(
    kit: Kit, summary: Summary, found: Found | None, started: datetime, zone: tzinfo | None = None
) -> str:
    """Write a summary: a new file, or in place of an older one of ours. Its path from the root.

    One that the owner has edited meanwhile stays as it is. Raises VaultError.
    """
    data = summaries.render(summary)
    with kit.state.lock(MEMORY):
        if found is not None:
            vaults.change_file(kit.vault, found.path, lambda old: _renewed(old, data, summary))
            return found.path
        name = summaries.file_name(started, summary.topic, summary.session_id, zone)
        path = f"{kit.vault.long_term}/{name}"
        number = 2
        while not vaults.make_file(kit.vault, path, data):
            path = f"{kit.vault.long_term}/{name.removesuffix('.md')}-{number}.md"
            number += 1
        return path


def _renewed(old: bytes, new: bytes, summary: Summary) -> bytes:
    """The new text, with what the owner was not asked about yet; an old one that they have edited
    as it is."""
    read = summaries.read(old)
    if not read.is_ours or read.session_id != summary.session_id:
        return old
    for heading in (LEARNED, TO_CONFIRM):
        if lines := summaries.section_bullets(old, heading):
            new = summaries.with_section(new, heading, tuple(lines))
    return new


class Completed(NamedTuple):
    """Does a summary say now what it should (False: the owner has edited it), and is that new?"""

    is_said: bool
    changed: bool


def complete(kit: Kit, path: str, learned: Sequence[str], offers: Sequence[Proposal]) -> Completed:
    """Say in a summary of ours what was learned, and what the owner is to be asked about besides
    what stands there. Raises VaultError."""
    changed = is_said = False

    def change(data: bytes) -> bytes:
        nonlocal changed, is_said
        read = summaries.read(data)
        is_said = read.is_ours
        if not is_said:
            return data
        new = data
        if list(learned) != summaries.section_bullets(data, LEARNED):
            new = summaries.with_section(new, LEARNED, tuple(learned))
        lines = summaries.section_bullets(data, TO_CONFIRM)
        there = {offer_key(offer) for line in lines if (offer := summaries.read_offer(line))}
        wanted = {offer_key(offer): offer for offer in offers}
        day = kit.now.astimezone().date()
        added = [
            summaries.offer_line(offer, day, read.session_id)
            for key, offer in wanted.items()
            if key not in there and not is_settled(kit.state, offer)
        ]
        if added:
            new = summaries.with_section(new, TO_CONFIRM, (*lines, *added))
        changed = new != data
        return new

    with kit.state.lock(MEMORY):
        vaults.change_file(kit.vault, path, change)
    return Completed(is_said, changed)


# --- what the owner is asked about ---------------------------------------------------------------


def open_offers(vault: Vault, state: State) -> list[Proposal]:
    """The changes that the owner has not been asked about yet, those of the newest summaries
    first. Of the picture of the user only the newest. Raises VaultError."""
    found: dict[tuple[str | None, ...], Proposal] = {}
    for path in _paths(vault):
        data = vaults.read_bytes(vault, path)
        if data is None or f"## {TO_CONFIRM}".encode() not in data:
            continue
        for line in summaries.section_bullets(data, TO_CONFIRM):
            offer = summaries.read_offer(line)
            if offer is not None and not is_settled(state, offer):
                is_snapshot = offer.section == SNAPSHOT and offer.file == "user.md"
                found.setdefault((SNAPSHOT,) if is_snapshot else offer_key(offer), offer)
    return list(found.values())


def is_settled(state: State, offer: Proposal) -> bool:
    """Has the owner answered it, in a summary that we must not change?"""
    return state.was_first(_marker(offer))


def settle(kit: Kit, offer: Proposal) -> list[str]:
    """The owner has answered: the offer goes from the summaries that say it; from one that they
    have edited it can't, so this machine remembers. The paths that changed. Raises VaultError."""
    key = offer_key(offer)
    changed: list[str] = []

    def without(data: bytes) -> bytes:
        if not summaries.read(data).is_ours:
            return data
        lines = summaries.section_bullets(data, TO_CONFIRM)
        left = [line for line in lines if not _says(line, key)]
        return data if left == lines else summaries.with_section(data, TO_CONFIRM, tuple(left))

    kit.state.first_time(_marker(offer))
    with kit.state.lock(MEMORY):
        for path in _paths(kit.vault):
            before = vaults.read_bytes(kit.vault, path)
            if before is not None and f"## {TO_CONFIRM}".encode() in before:
                vaults.change_file(kit.vault, path, without)
                if without(before) != before:
                    changed.append(path)
    return changed


def _says(line: str, key: tuple[str | None, ...]) -> bool:
    offer = summaries.read_offer(line)
    return offer is not None and offer_key(offer) == key


def _marker(offer: Proposal) -> str:
    digest = hashlib.sha256(repr(offer_key(offer)).encode()).hexdigest()[:24]
    return f"offer-{digest}"

"""Conflict copies that sync tools leave behind go back into their originals.

The common ancestor is not known, so the shared lines stand for it (formats.merge). Three steps for
each original, and a crash between any two loses nothing: the old original is kept in the trash and
the merged one takes its place; what each copy says is found again in what stands there now; only
then the copy goes to the trash. What can't be merged is left as it is, and that is said.

Which file is the original and which the copy differs from machine to machine, so that makes no
difference: all versions are equal, and where one has all that the others have, it is the outcome.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from vault_sessions import atomic, scan
from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats.memory import read_document
from vault_sessions.formats.merge import Merged, merge_changes, merge_transcript
from vault_sessions.formats.merge_memory import MARK, merge_bullets
from vault_sessions.formats.merge_meta import merge_meta
from vault_sessions.formats.meta import UnreadableMeta, changed_meta, parse_meta
from vault_sessions.formats.names import META, TRANSCRIPT, session_of
from vault_sessions.formats.session import last_activity
from vault_sessions.formats.transcript import BOM
from vault_sessions.state import MEMORY, State
from vault_sessions.vault import Vault, trash

_TRIES = 20
_GAVE_WAY = "a summary that nobody had edited gave way to one that was edited, or a later one"


class Healed(NamedTuple):
    """What became of the copies of one file. All paths are from the vault's root.

    ``copies``: those whose content stands in the original now; they are in the trash. ``error``:
    what was left as it is, and why; None: nothing was.
    """

    original: str
    copies: tuple[str, ...]
    notes: tuple[str, ...]
    error: str | None


class _How(NamedTuple):
    """How versions of a file become one.

    ``merge`` two; None: they can't be merged. ``holds(one, other)``: does one say all that the
    other says? ``read`` raises VaultError for a version that may not be touched.
    """

    merge: Callable[[bytes, bytes], Merged] | None
    holds: Callable[[bytes, bytes], bool]
    read: Callable[[str, bytes], bytes] = lambda _, data: data


class _Left(Exception):
    """Why files are left as they are."""


def heal_copies(vault: Vault, state: State, now: datetime) -> list[Healed]:
    """Merge every conflict copy into its original. Doing it again changes nothing.

    The mirror is for the caller to bring up to date. Raises VaultError when a folder can't be read.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for copy, original in scan.copies(vault).items():
        lock = session_of(os.path.basename(original))
        lock = lock if original.startswith(vault.sessions + "/") else MEMORY
        groups.setdefault(lock, {}).setdefault(original, []).append(copy)
    healed: list[Healed] = []
    for lock, group in sorted(groups.items()):
        try:
            with state.lock(lock):
                healed += _heal_group(vault, group, now)
        except VaultError as error:
            healed += [Healed(original, (), (), str(error)) for original in group]
    return healed


def _heal_group(vault: Vault, group: dict[str, list[str]], now: datetime) -> list[Healed]:
    """The files of one session, or of memory, under their lock."""
    # the transcript comes first: what a session's ending is worth depends on its last message
    healed = [_merge(vault, original, group[original], now) for original in sorted(group)]
    # and its copies go last: by what they share a copy of the metadata is known for what it is
    return [_drop(vault, one, now) for one in reversed(healed)][::-1]


def _merge(vault: Vault, original: str, copies: list[str], now: datetime) -> Healed:
    """Put what all versions say in the place of the original; ``copies``: those it holds."""
    for _ in range(_TRIES):
        try:
            return _merge_once(vault, original, copies, now)
        except atomic.FileChanged:
            continue
        except _Left as left:
            return Healed(original, (), (), str(left))
        except VaultError as error:
            return Healed(original, (), (), str(error))
        except OSError as error:
            why = f"{original}: {error.strerror}; its conflict copies are left as they are"
            return Healed(original, (), (), why)
    why = f"{original} is being changed by another program again and again; try later"
    return Healed(original, (), (), why)


def _merge_once(vault: Vault, original: str, copies: list[str], now: datetime) -> Healed:
    how = _how(vault, original, now)
    versions, left = _read_copies(vault, copies, how)
    if not versions:
        return Healed(original, (), (), _joined(left))
    before, state = _read_original(vault, original)
    known = [] if before is None else [how.read(original, before)]
    united = _united([*known, *versions.values()], how)
    if united is None or not all(how.holds(united.data, one) for one in versions.values()):
        names = ", ".join(os.path.basename(path) for path in versions)
        raise _Left(
            f"{original}: both it and {names} were edited; they are left as they are. "
            f"Take what you want from one into the other, then delete the one"
        )
    if united.data != before:
        if before is not None:
            why = "conflict copies were merged into it"
            trash.keep(vault, [original], why, now, move=False)
        vaults.write_file(vault, original, united.data, must_be=state)
    proved = _proved(vault, original, versions, how)
    lost = [path for path in versions if path not in proved]
    left += [f"{path} has been changed meanwhile; it is left for the next time" for path in lost]
    return Healed(original, tuple(proved), united.notes, _joined(left))


def _read_copies(
    vault: Vault, copies: Iterable[str], how: _How
) -> tuple[dict[str, bytes], list[str]]:
    """The copies by their paths, and why others are left as they are."""
    versions: dict[str, bytes] = {}
    left: list[str] = []
    for path in copies:
        try:
            if scan.is_away(vault, path):
                left.append(f"{path} is in the cloud only; download it first")
                continue
            data, _ = atomic.read_file(vault.absolute(path))
            versions[path] = how.read(path, data)
        except VaultError as error:
            left.append(str(error))
        except OSError as error:
            left.append(f"{path}: {error.strerror}; it is left as it is")
    return versions, left


def _read_original(vault: Vault, path: str) -> tuple[bytes | None, os.stat_result | None]:
    """The original, or nothing where there is none. Raises _Left, OSError."""
    if scan.is_away(vault, path):
        raise _Left(f"{path} is in the cloud only; download it first, then its copies are merged")
    try:
        return atomic.read_file(vault.absolute(path))
    except FileNotFoundError:
        return None, None


def _united(versions: list[bytes], how: _How) -> Merged | None:
    """One version that says what all say, the same whichever of them is called the original."""
    different = sorted(set(versions))
    whole = [one for one in different if all(how.holds(one, other) for other in different)]
    if whole:
        has_all = all(_words(other) <= _words(whole[0]) for other in different)
        return Merged(whole[0], () if how.merge is not None or has_all else (_GAVE_WAY,))
    if how.merge is None:
        return None
    united, notes = different[0], list[str]()
    for version in different[1:]:
        united, said = how.merge(united, version)
        notes += said
    return Merged(united, tuple(dict.fromkeys(notes)))


def _proved(vault: Vault, original: str, copies: Iterable[str], how: _How) -> list[str]:
    """The copies all of which stands in the original, both as they are on disk now."""
    data = how.read(original, atomic.read_file(vault.absolute(original))[0])
    proved: list[str] = []
    for path in copies:
        try:
            copy = how.read(path, atomic.read_file(vault.absolute(path))[0])
        except (OSError, VaultError):
            continue
        if how.holds(data, copy):
            proved.append(path)
    return proved


def _drop(vault: Vault, healed: Healed, now: datetime) -> Healed:
    """Move the copies that are not needed any more to the trash."""
    if not healed.copies:
        return healed
    why = f"merged into {healed.original}"
    try:
        folder = trash.keep(vault, healed.copies, why, now, move=True)
    except VaultError as error:
        said = _joined([*([healed.error] if healed.error else []), str(error)])
        return healed._replace(copies=(), error=said)
    what = "the copy is" if len(healed.copies) == 1 else "the copies are"
    return healed._replace(notes=(*healed.notes, f"{what} in {folder}"))


def _joined(texts: list[str]) -> str | None:
    return "; ".join(texts) if texts else None


# --- what holds what -----------------------------------------------------------------------------


def _how(vault: Vault, original: str, now: datetime) -> _How:
    """How versions of this file become one."""
    name = os.path.basename(original)
    if original == vault.changes:
        return _How(lambda one, other: merge_changes(None, one, other), _holds_lines)
    if name.endswith(TRANSCRIPT):
        return _How(lambda one, other: merge_transcript(None, one, other), _holds_lines)
    if name.endswith(META):
        return _how_meta(vault, session_of(name), now)
    if name in ("facts.md", "user.md"):

        def merge(one: bytes, other: bytes) -> Merged:
            return merge_bullets(None, one, other)

        return _How(merge, lambda one, other: _words(other) <= _words(one))
    return _How(None, _holds_page)


def _texts(data: bytes) -> list[bytes]:
    return [text for raw in data.removeprefix(BOM).split(b"\n") if (text := raw.strip())]


def _holds_lines(one: bytes, other: bytes) -> bool:
    """Has one transcript each line of the other, as often?

    A last line that was cut off is there too if it begins a line that the other side lacks.
    """
    there, wanted = Counter(_texts(one)), _texts(other)
    if Counter(wanted) <= there:
        return True
    if not wanted or other.endswith(b"\n") or _is_object(wanted[-1]):
        return False
    *known, start = wanted
    begun = {text for text in there if text.startswith(start)}.difference(wanted)
    return bool(begun) and Counter(known) <= there


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except ValueError:
        return False


def _how_meta(vault: Vault, session_id: str, now: datetime) -> _How:
    try:
        activity = last_activity(vaults.read_transcript(vault, session_id)[0], now)
    except (FileNotFoundError, VaultError):
        activity = None

    def merge(one: bytes, other: bytes) -> Merged:
        return merge_meta(None, one, other, activity)

    def holds(one: bytes, other: bytes) -> bool:
        return one == other or _value(merge(one, other).data) == _value(one)

    def read(path: str, data: bytes) -> bytes:
        vaults.check_version(path, data)
        said = parse_meta(data, session_id)[0].id
        if said is None or said == session_id:
            return data
        try:  # the copy of a session bears its own stem
            return changed_meta(data, {"id": session_id})
        except UnreadableMeta:
            return data

    return _How(merge, holds, read)


def _value(data: bytes) -> Any:
    """What JSON means; for anything else the bytes."""
    try:
        return orjson.loads(data.removeprefix(BOM))
    except ValueError:
        return data


def _words(data: bytes) -> Counter[tuple[bytes, ...]]:
    """The lines of a page, white space and our marks apart."""
    lines = data.removeprefix(BOM).replace(MARK.encode(), b"").split(b"\n")
    return Counter(tuple(words) for line in lines if (words := line.split()))


def _holds_page(one: bytes, other: bytes) -> bool:
    """Has one page each line of the other, or is the other a summary of the same session that we
    wrote and nobody has edited, and no later one?"""
    if _words(other) <= _words(one):
        return True
    mine, yours = read_document(one), read_document(other)
    session_id = yours.front.get("session_id")
    if session_id is None or session_id != mine.front.get("session_id"):
        return False
    if not _is_generated(yours.front, yours.body):
        return False
    later = _age(mine.front, one) > _age(yours.front, other)
    return later or not _is_generated(mine.front, mine.body)


def _is_generated(front: dict[str, Any], body: str) -> bool:
    """Is the body of a summary as we wrote it?"""
    digest = hashlib.sha256(body.strip().encode("utf-8", "surrogatepass")).hexdigest()
    return front.get("generated_hash") == digest


def _age(front: dict[str, Any], data: bytes) -> tuple[int, str, bytes]:
    count = front.get("message_count")
    return count if isinstance(count, int) else -1, str(front.get("ended_at")), data

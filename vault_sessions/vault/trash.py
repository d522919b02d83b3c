"""The vault's trash: what was deleted or replaced, by UTC date, each time with a manifest.

``<date>/<time>-<random>/`` holds every file at its path from the vault's root. See docs/format.md.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from vault_sessions import atomic
from vault_sessions.errors import VaultError
from vault_sessions.formats.names import on_disk, storable
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.vault import MARK, Vault, check_inside

TRASH = f"{MARK}/trash"
MANIFEST = "manifest.json"
_NO_TIME = datetime.min.replace(tzinfo=UTC)


class Entry(NamedTuple):
    """One time that something was put there. ``folder``: of the trash, from the vault's root;
    ``files``: where they were, from the root; only those that are there. ``moved``: false for
    copies of what was replaced, and where no manifest says anything (whoever made the copies was
    killed before he wrote it)."""

    folder: str
    at: datetime | None
    why: str
    moved: bool
    files: tuple[str, ...]


def keep(vault: Vault, paths: Iterable[str], why: str, now: datetime, *, move: bool) -> str:
    """Copy or move regular files (from the root) into the trash; on disk when this returns.

    Returns the folder of the trash that has them, from the root. It holds a manifest, which is
    there before anything is moved. The caller holds the locks of the sessions concerned. Raises
    VaultError: then nothing was copied, and what had been moved already is in the trash.
    """
    given = list(dict.fromkeys(paths))
    contents = {path: _read_for_trash(vault, path) for path in given}
    folder = _new_folder(now)
    inside = check_inside(vault, folder)
    moving = False
    try:
        _ignore_trash(vault)
        files = [
            {
                "path": path,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "mode": f"{mode:04o}",
            }
            for path, (data, mode) in contents.items()
        ]
        manifest = {"at": format_time(now), "why": why, "moved": move, "files": files}
        for path in given:
            atomic.make_folder(os.path.dirname(vault.absolute(f"{folder}/{path}")))
        atomic.make_folder(inside)
        text = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        if not move:
            for path, (data, _) in contents.items():
                atomic.replace_file(vault.absolute(f"{folder}/{path}"), data)
        atomic.replace_file(os.path.join(inside, MANIFEST), text)
        moving = move
        for path in given if move else ():
            atomic.move_file(vault.absolute(path), vault.absolute(f"{folder}/{path}"))
    except OSError as error:
        if not moving:
            from shutil import rmtree

            rmtree(inside, ignore_errors=True)
        left = f"What was moved is in {folder}." if moving else "Nothing was changed."
        name = error.filename or inside
        raise VaultError(f"The trash: {name}: {error.strerror}. {left}") from error
    return folder


def _read_for_trash(vault: Vault, path: str) -> tuple[bytes, int]:
    """A file's bytes and mode. Raises VaultError for what may not or can't be put in the trash."""
    _check_plain(path)
    check_inside(vault, os.path.dirname(path))
    try:
        data, status = atomic.read_file(vault.absolute(path))
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}. Nothing was changed.") from error
    return data, stat.S_IMODE(status.st_mode)


def _ignore_trash(vault: Vault) -> None:
    """Keep the trash out of git, unless the owner has settled that."""
    path = check_inside(vault, f"{MARK}/.gitignore")
    atomic.make_folder(os.path.dirname(path))
    if not os.path.lexists(path):
        atomic.replace_file(path, b"trash/\n")


def _new_folder(now: datetime) -> str:
    at = now.astimezone(UTC)
    return f"{TRASH}/{at:%Y-%m-%d}/{at:%H%M%S}-{os.urandom(4).hex()}"


def throw_away(
    vault: Vault,
    paths: Sequence[str],
    why: str,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Move many files (from the root) into the trash, unread, by one rename each; on disk when this
    returns. What is not there any more is passed over. ``progress(done, total)``.

    Returns the folder of the trash. Raises VaultError; what had been moved by then is in it.
    """
    folder = _new_folder(now)
    inside = check_inside(vault, folder)
    for path in paths:
        _check_plain(path)
    folders = {os.path.dirname(path) for path in paths}
    try:
        _ignore_trash(vault)
        for parent in folders:
            check_inside(vault, parent)
            atomic.make_folder(os.path.join(inside, parent))
        files = [{"path": path} for path in paths]
        manifest = {"at": format_time(now), "why": why, "moved": True, "files": files}
        text = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        atomic.replace_file(os.path.join(inside, MANIFEST), text)
        atomic.move_files(
            [(vault.absolute(path), vault.absolute(f"{folder}/{path}")) for path in paths],
            progress,
        )
    except OSError as error:
        name = error.filename or inside
        left = f"What was moved is in {folder}."
        if not any(os.path.lexists(vault.absolute(f"{folder}/{path}")) for path in paths):
            from shutil import rmtree

            rmtree(inside, ignore_errors=True)
            left = "Nothing was changed."
        raise VaultError(f"The trash: {name}: {error.strerror}. {left}") from error
    return folder


def entries(vault: Vault) -> list[Entry]:
    """All that is in the trash, the newest first."""
    top = check_inside(vault, TRASH)
    found = [
        _entry(vault, storable(f"{TRASH}/{day}/{name}"))
        for day in _folders(top)
        for name in _folders(os.path.join(top, day))
    ]
    # the folders' names have seconds only
    return sorted(found, key=lambda one: (one.at or _NO_TIME, one.folder), reverse=True)


def _folders(path: str) -> list[str]:
    """The folders in a folder; a link is none: it may lead anywhere."""
    try:
        with os.scandir(path) as there:
            return [one.name for one in there if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _entry(vault: Vault, folder: str) -> Entry:
    """What a folder of the trash has, and says of itself. It may have come from another machine."""
    inside = vault.absolute(folder)
    files = tuple(sorted(_files(inside)))
    try:
        said = orjson.loads(atomic.read_file(os.path.join(inside, MANIFEST))[0])
        at, why, moved = parse_time(said.get("at")), str(said.get("why", "")), bool(said["moved"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Entry(folder, _time_of(folder), "", False, files)
    return Entry(folder, at or _time_of(folder), why, moved, files)


def _files(inside: str) -> Iterator[str]:
    """The regular files of an entry, from its folder; links are not followed."""
    for parent, _, names in os.walk(inside):
        below = os.path.relpath(parent, inside)
        for name in names:
            path = name if below == "." else f"{below}/{name}"
            if path != MANIFEST and _is_file(os.path.join(parent, name)):
                yield storable(path)


def _time_of(folder: str) -> datetime | None:
    """When something was put in a folder of the trash, by its name."""
    day, name = folder.split("/")[-2:]
    try:
        return datetime.strptime(f"{day} {name[:6]}Z", "%Y-%m-%d %H%M%S%z")
    except ValueError:
        return None


def read(vault: Vault, entry: Entry, path: str) -> bytes:
    """One file of the trash. Raises VaultError."""
    try:
        return atomic.read_file(vault.absolute(f"{entry.folder}/{path}"))[0]
    except OSError as error:
        raise VaultError(f"{entry.folder}/{path}: {error.strerror}.") from error


def put_back(vault: Vault, entry: Entry, paths: Iterable[str]) -> None:
    """Move files of the trash to where they were; nothing may be there now.

    Raises VaultError; then none was moved, or what failed is still in the trash.
    """
    wanted = list(paths)
    there = set()
    for path in wanted:
        _check_plain(path)
        if os.path.lexists(check_inside(vault, os.path.dirname(path)) + "/" + path.split("/")[-1]):
            if _is_same(vault.absolute(path), vault.absolute(f"{entry.folder}/{path}")):
                there.add(path)  # a try before this one could copy it, but not remove it here
                continue
            raise VaultError(
                f"{path} is there already; nothing was put back.\n"
                f"Delete or move that first; the other stays in {entry.folder}."
            )
    try:
        for path in wanted:
            if path in there:
                atomic.remove_file(vault.absolute(f"{entry.folder}/{path}"))
                continue
            atomic.make_folder(os.path.dirname(vault.absolute(path)))
            atomic.move_file(vault.absolute(f"{entry.folder}/{path}"), vault.absolute(path))
    except OSError as error:
        raise VaultError(
            f"The trash: {error.filename or entry.folder}: {error.strerror}."
        ) from error


def forget(vault: Vault, entry: Entry, paths: Collection[str] | None = None) -> None:
    """Remove files of the trash for good (None: the whole entry). Raises VaultError."""
    from shutil import rmtree

    inside = check_inside(vault, entry.folder)
    gone = entry.files if paths is None else tuple(p for p in entry.files if p in paths)
    try:
        if set(gone) == set(entry.files):
            rmtree(inside)
            atomic.sync_folder(os.path.dirname(inside))
            with suppress(OSError):  # the day's folder, once it is empty
                os.rmdir(os.path.dirname(inside))
            return
        for path in gone:
            atomic.remove_file(vault.absolute(f"{entry.folder}/{path}"))
        for parent in {os.path.dirname(f"{inside}/{on_disk(path)}") for path in gone}:
            atomic.sync_folder(parent)
    except OSError as error:
        raise VaultError(
            f"The trash: {error.filename or entry.folder}: {error.strerror}."
        ) from error


def _is_same(one: str, other: str) -> bool:
    """Do two regular files say the same?"""
    try:
        return atomic.read_file(one)[0] == atomic.read_file(other)[0]
    except OSError:
        return False


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return {"", ".", ".."}.isdisjoint(parts) and parts[0] != MANIFEST and "\0" not in path


def _check_plain(path: str) -> None:
    if not _is_plain(path):
        raise VaultError(f"{path!r} can't be put in the trash: not a plain path from the root.")


def rewrite(vault: Vault, entry: Entry, path: str, change: Callable[[bytes], bytes]) -> None:
    """Make a file of the trash what ``change`` makes of its bytes. Raises VaultError."""
    absolute = vault.absolute(f"{entry.folder}/{path}")
    data = read(vault, entry, path)
    if (new := change(data)) == data:
        return
    try:
        atomic.replace_file(absolute, new)
    except OSError as error:
        raise VaultError(f"{entry.folder}/{path}: {error.strerror}. It was not erased.") from error

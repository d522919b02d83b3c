"""The one safe writer: append a line, replace a file. After either returns, the bytes are on disk.

Appending as docs/format.md has it, under a lock that the caller holds. A whole file is written by
temp + fsync + rename + fsync of the folder, in the same folder, keeping an existing file's mode.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

FILE_MODE = 0o600
FOLDER_MODE = 0o700
LARGEST = 1 << 30
"""Bytes of a file that is read at once; a hole of terabytes costs its author nothing."""
LARGEST_TEXT = 64 << 20
"""The same for what a person writes: metadata, memory, skills."""

_O_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LEFTOVER = re.compile(r"\..*\.\d+-\d+\.tmp", re.DOTALL)
_OLD_NS = 24 * 3600 * 1_000_000_000


class NotRegular(OSError):
    """The path is a symbolic link, a folder, a FIFO or a device: it is never written through."""


class Appended(NamedTuple):
    """Where a line landed: the offset of its first byte, and the file's state just before
    (None: the append made the file) and just after."""

    offset: int
    before: os.stat_result | None
    after: os.stat_result


def append_line(path: str, line: bytes, *, create: bool) -> Appended:
    """Append one line (with its newline) durably; a torn line before it is closed first.

    Raises FileNotFoundError when the file is not there and ``create`` is false, NotRegular, and
    OSError (a full disk, a failing one: what was written of the line is cut off again).
    """
    for _ in range(100):
        made = False
        try:
            check_regular(path)
        except FileNotFoundError:
            if not create:
                raise
            made = True
        flags = _O_APPEND | (os.O_CREAT | os.O_EXCL if made else 0)
        try:
            fd = os.open(path, flags, FILE_MODE)
        except FileExistsError:
            continue
        except FileNotFoundError:
            if made or not create:
                raise
            continue
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise NotRegular(errno.EINVAL, "not a regular file", path) from error
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise NotRegular(errno.EINVAL, "not a regular file", path)
            offset = _append(fd, before.st_size, line)
            after = _still_there(path, before)
            if made:
                sync_folder(os.path.dirname(path))
        except OSError:
            if made:
                _unmake(path, fd, len(line))
            raise
        finally:
            os.close(fd)
        if after is not None:
            return Appended(offset, None if made else before, after)
        # an editor or a sync tool put another file in its place: the line must be in that one
    raise OSError(errno.EAGAIN, "the file is replaced again and again", path)


def _append(fd: int, size: int, line: bytes) -> int:
    """Write the line at the end of the file in one call, durably; the offset where it begins."""
    closing = b""
    if size and os.pread(fd, 1, size - 1) != b"\n":
        closing = b"\n"
    data = closing + line
    written = os.write(fd, data)
    try:
        if written != len(data):
            why = "the disk is full: the line could not be written whole"
            raise OSError(errno.ENOSPC, why)
        _sync(fd)
    except OSError:
        # who is told that it was not saved must not find it saved
        with suppress(OSError):
            # only our own part, and only if nobody has written behind it
            if os.fstat(fd).st_size == size + written:
                os.ftruncate(fd, size)
        raise
    return size + len(closing)


def _unmake(path: str, fd: int, size: int) -> None:
    """Remove a file that was made for one line which failed: no session was begun."""
    with suppress(OSError):
        now = os.fstat(fd)
        if now.st_size in (0, size) and _still_there(path, now):
            _uninterrupted(os.unlink, path)


def _still_there(path: str, written: os.stat_result) -> os.stat_result | None:
    """The state of the file at ``path``, if it is the one that was written."""
    try:
        now = os.lstat(path)
    except FileNotFoundError:
        return None
    return now if (now.st_dev, now.st_ino) == (written.st_dev, written.st_ino) else None


def check_regular(path: str) -> os.stat_result:
    """``lstat`` of a regular file. Raises FileNotFoundError, NotRegular."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular(errno.EINVAL, "not a regular file", path)
    return status


def read_file(path: str, start: int = 0, *, limit: int = LARGEST) -> tuple[bytes, os.stat_result]:
    """The bytes from ``start`` on, and the file's state before they were read.

    Never blocks on a FIFO. Raises FileNotFoundError, NotRegular, OSError (EFBIG: over ``limit``).
    """
    try:
        fd = os.open(path, _READ_ONLY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotRegular(errno.EINVAL, "not a regular file", path) from error
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegular(errno.EINVAL, "not a regular file", path)
        if status.st_size > limit:
            why = f"larger than {limit >> 20:,} MiB"
            raise OSError(errno.EFBIG, why, path)
        if start:
            os.lseek(fd, start, os.SEEK_SET)
        # one byte more than there should be: a short read is the end of the file
        expected = max(status.st_size - start, 0)
        data = os.read(fd, expected + 1)
        if len(data) == expected:
            return data, status
        pieces = [data]
        while pieces[-1]:
            pieces.append(os.read(fd, 1 << 20))
        return (data if len(pieces) == 2 else b"".join(pieces)), status
    finally:
        os.close(fd)


def replace_file(
    path: str, data: bytes, *, must_be: os.stat_result | None = None, durable: bool = True
) -> None:
    """Put a whole file in place at once.

    ``must_be``: the state of the file that ``data`` was made from; when it has changed since,
    FileChanged is raised and nothing is written. ``durable`` False: it survives our being killed,
    but perhaps no power cut. Raises NotRegular, NotSynced, OSError; after all but NotSynced the old
    content is there.
    """
    mode = FILE_MODE
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(check_regular(path).st_mode)
    temporary = _temporary(path)
    try:
        written = _write_whole(temporary, data, mode, durable=durable)
        if must_be is not None and not _is_still(path, must_be):
            raise FileChanged(errno.EAGAIN, "the file was changed in the meantime", path)
        _uninterrupted(os.replace, temporary, path)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            remove_file(temporary)
        raise
    if durable:
        _confirm(path, written)


def create_file(path: str, data: bytes) -> None:
    """Put a whole file at once where nothing is yet; never half of it, whenever we are killed.

    Raises FileChanged when something is there, NotSynced, OSError.
    """
    temporary = _temporary(path)
    try:
        written = _write_whole(temporary, data, FILE_MODE)
        try:
            _uninterrupted(os.link, temporary, path)
        except FileExistsError as error:
            raise FileChanged(error.errno, "a file has appeared there", path) from error
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise
            # a file system without hard links
            if os.path.lexists(path):
                raise FileChanged(errno.EEXIST, "a file has appeared there", path) from error
            _uninterrupted(os.rename, temporary, path)
    finally:
        with suppress(OSError):
            remove_file(temporary)
    _confirm(path, written)


def _temporary(path: str) -> str:
    """A name beside a file: a dot-file that ends in .tmp is ignored by every reader."""
    mark = f"{os.getpid()}-{threading.get_ident()}"
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)[:40]}.{mark}.tmp")


def is_leftover(name: str, of: str) -> bool:
    """Is it by its name a temporary file for one called ``of``?"""
    return name.startswith(f".{of[:40]}.") and _LEFTOVER.fullmatch(name) is not None


def _write_whole(path: str, data: bytes, mode: int, *, durable: bool = True) -> int:
    """Write a temporary file; the time of it in nanoseconds."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            _sync(fd)
        return os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)


def _confirm(path: str, written: int) -> None:
    """Make a file's new place durable. Raises NotSynced."""
    folder = os.path.dirname(path)
    _sweep(folder, written)
    try:
        sync_folder(folder)
    except OSError as error:
        why = f"the new content is there, but the disk does not confirm it ({error.strerror})"
        raise NotSynced(error.errno, why, path) from error


class FileChanged(OSError):
    """Somebody saved the file between our reading and our writing it."""


class NotSynced(OSError):
    """The file has its new content, but it may not survive a power cut."""


_swept: set[str] = set()


def _sweep(folder: str, now_ns: int) -> None:
    """Remove temporary files that a killed program left a day ago or earlier; once a run.

    ``now_ns`` is the folder's own clock: the time of a file that was just written there.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for name in filter(_LEFTOVER.fullmatch, names_in(folder)):
            path = os.path.join(folder, name)
            with suppress(OSError):
                if now_ns - check_regular(path).st_mtime_ns > _OLD_NS:
                    _uninterrupted(os.unlink, path)


def _uninterrupted(call: Callable[..., None], *arguments: Any) -> None:
    """Call again when a signal came in between, which Python does not do for renames and the like
    (a network file system says so)."""
    while True:
        try:
            return call(*arguments)
        except InterruptedError:
            continue


def _is_still(path: str, state: os.stat_result) -> bool:
    try:
        return same_state(os.lstat(path), state)
    except FileNotFoundError:
        return False


def same_state(one: os.stat_result, other: os.stat_result) -> bool:
    """Same file, same size, same time of the last change."""
    return (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) == (
        other.st_dev,
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
    )


def move_file(path: str, target: str) -> None:
    """Move a regular file to where nothing is yet; durable when this returns.

    Onto another file system it is copied, and goes only if it is still what was copied. Raises
    FileChanged, NotRegular, OSError.
    """
    check_regular(path)
    try:
        _uninterrupted(os.rename, path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        data, state = read_file(path)
        replace_file(target, data)
        if not _is_still(path, state):
            os.unlink(target)
            raise FileChanged(errno.EAGAIN, "the file was changed in the meantime", path) from error
        os.unlink(path)
    sync_folder(os.path.dirname(target))
    sync_folder(os.path.dirname(path))


def make_folder(path: str) -> bool:
    """Make a folder and those above it, private to the user; False if it was there."""
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_folder(parent)
    try:
        _uninterrupted(os.mkdir, path, FOLDER_MODE)
    except FileExistsError:
        return False
    sync_folder(parent)
    return True


def remove_file(path: str) -> None:
    """Remove a file. Raises FileNotFoundError, OSError."""
    _uninterrupted(os.unlink, path)


def names_in(folder: str) -> list[str]:
    """The names in a folder. Raises FileNotFoundError, OSError."""
    while True:
        try:
            return os.listdir(folder or ".")
        except InterruptedError:
            continue


def sync_folder(path: str) -> None:
    """Make a new or renamed entry of the folder durable, where the file system can."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _sync(fd: int) -> None:
    """fsync; on macOS F_FULLFSYNC, without which the drive may keep the bytes in its cache."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fsync(fd)


def create_files(files: Sequence[tuple[str, bytes]]) -> None:
    """Put whole files, all in one folder, where nothing is yet: all, or after an error none.

    All are on disk under other names before the first gets its own, so that one who is killed
    between two of them is killed between two renames. Raises FileChanged, NotSynced, OSError.
    """
    made: list[str] = []
    written = 0
    try:
        for path, data in files:
            written = _write_whole(_temporary(path), data, FILE_MODE)
        for path, _ in files:
            if os.path.lexists(path):
                raise FileChanged(errno.EEXIST, "a file has appeared there", path)
            _uninterrupted(os.rename, _temporary(path), path)
            made.append(path)
    except BaseException:
        for path in [*made, *(_temporary(path) for path, _ in files)]:
            with suppress(OSError):
                remove_file(path)
        raise
    _confirm(files[0][0], written)


def move_files(
    moves: Sequence[tuple[str, str]], progress: Callable[[int, int], None] | None = None
) -> None:
    """Move many files to where nothing is yet, on one file system; durable when this returns.

    One that is not there any more is passed over. ``progress(done, total)``. Raises OSError; those
    before the one that failed have been moved.
    """
    folders: dict[str, None] = {}
    try:
        for done, (path, target) in enumerate(moves):
            with suppress(FileNotFoundError):
                try:
                    _uninterrupted(os.rename, path, target)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    move_file(path, target)
                folders[os.path.dirname(target)] = folders[os.path.dirname(path)] = None
            if progress is not None and done % 64 == 0:
                progress(done, len(moves))
    finally:
        for folder in folders:
            sync_folder(folder)


def take_back(path: str, appended: Appended) -> bool:
    """Cut off again what was appended, if nobody has written to the file since; was it done?

    Raises OSError.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not same_state(os.fstat(fd), appended.after):
            return False
        os.ftruncate(fd, appended.offset)
        _sync(fd)
        return True
    finally:
        os.close(fd)

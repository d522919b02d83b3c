"""The one safe writer: append a line, replace a file. After either returns, the bytes are on disk.

Appending as docs/format.md has it, under a lock that the caller holds. A whole file is written by
temp + fsync + rename + fsync of the folder, in the same folder, keeping an existing file's mode.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from contextlib import suppress
from typing import NamedTuple

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_O_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
    OSError (a full disk: what was written of the line is cut off again).
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
            _sync(fd)
            after = _still_there(path, before)
        except OSError:
            if made and os.fstat(fd).st_size == 0 and _still_there(path, os.fstat(fd)):
                os.unlink(path)  # no session was begun
            raise
        finally:
            os.close(fd)
        if made:
            sync_folder(os.path.dirname(path))
        if after is not None:
            return Appended(offset, None if made else before, after)
        # an editor or a sync tool put another file in its place: the line must be in that one
    raise OSError(errno.EAGAIN, "the file is replaced again and again", path)


def _append(fd: int, size: int, line: bytes) -> int:
    """Write the line at the end of the file in one call; the offset where it begins."""
    closing = b""
    if size and os.pread(fd, 1, size - 1) != b"\n":
        closing = b"\n"
    data = closing + line
    written = os.write(fd, data)
    if written != len(data):
        # only our own part, and only if nobody has written behind it
        if os.fstat(fd).st_size == size + written:
            os.ftruncate(fd, size)
        raise OSError(errno.ENOSPC, "the disk is full: the line could not be written whole")
    return size + len(closing)


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


def read_file(path: str, start: int = 0) -> tuple[bytes, os.stat_result]:
    """The bytes from ``start`` on, and the file's state before they were read.

    Never blocks on a FIFO. Raises FileNotFoundError, NotRegular, OSError.
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


def replace_file(path: str, data: bytes, *, must_be: os.stat_result | None = None) -> None:
    """Put a whole file in place at once.

    ``must_be``: the state of the file that ``data`` was made from; when it has changed since,
    FileChanged is raised and nothing is written. Raises NotRegular, OSError.
    """
    folder = os.path.dirname(path)
    mode = FILE_MODE
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(check_regular(path).st_mode)
    # a dot-file that ends in .tmp: ignored by every reader of the vault
    mark = f"{os.getpid()}-{threading.get_ident()}"
    temporary = os.path.join(folder, f".{os.path.basename(path)[:40]}.{mark}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, mode)
    try:
        try:
            os.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            _sync(fd)
        finally:
            os.close(fd)
        if must_be is not None and not _is_still(path, must_be):
            raise FileChanged(errno.EAGAIN, "the file was changed in the meantime", path)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_folder(folder)


class FileChanged(OSError):
    """Somebody saved the file between our reading and our writing it."""


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


def make_folder(path: str) -> bool:
    """Make a folder and those above it, private to the user; False if it was there."""
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_folder(parent)
    try:
        os.mkdir(path, FOLDER_MODE)
    except FileExistsError:
        return False
    sync_folder(parent)
    return True


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

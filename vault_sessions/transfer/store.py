"""Another program's SQLite store, read without touching it, and a session as it tells one.

The store is never opened in its place: SQLite would write there (locks, a shared-memory file, the
roll-back of a journal), and its owner may be writing. A private copy is read, and removed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any, Literal, NamedTuple

from vault_sessions.errors import VaultError
from vault_sessions.formats.transcript import MAX_LINE

Kind = Literal["atmos", "atuin"]
Row = dict[str, Any]

_MAGIC = b"SQLite format 3\0"
_SIDE_FILES = ("", "-wal", "-journal")
_TRIES = 20


class Line(NamedTuple):
    """A message: its id, the id of the one before it in the conversation (None: a start), and the
    fields of its line but for ``parent_id``."""

    id: str
    parent: str | None
    fields: dict[str, Any]


class Told(NamedTuple):
    """A session as a store tells it, in our terms.

    ``id`` is the store's. ``meta`` has the keys of a metadata file but ``id``, ``name`` and
    ``source``. ``left_out``: what could not be brought over, and why.
    """

    id: str
    name: str | None
    meta: dict[str, Any]
    lines: tuple[Line, ...]
    left_out: tuple[str, ...] = ()


class Broken(NamedTuple):
    """A session of a store that can't be brought over."""

    id: str
    name: str | None
    why: str


def is_sqlite(path: str) -> bool:
    """Is it a regular file that begins as SQLite's do? (Links are followed.)"""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and os.read(fd, len(_MAGIC)) == _MAGIC
    except OSError:
        return False
    finally:
        os.close(fd)


class Store:
    """An open copy of a store. Text comes as it is stored; use ``text`` to read it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> set[str]:
        """The columns of a table; empty where there is none. Raises sqlite3.Error."""
        kinds = self._connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
        )
        if kinds.fetchone() is None:
            return set()
        rows = self._connection.execute(f"SELECT name FROM pragma_table_info('{table}')")
        return {name.decode(errors="replace") for (name,) in rows}

    def rows(self, table: str, wrong: list[str]) -> Iterator[Row]:
        """Every row that can be read, in the order of writing; what can't is told in ``wrong``."""
        for number in self._numbers(table, wrong):
            row = self.row(table, number, wrong)
            if row is not None:
                yield row

    def by_session(self, table: str, wrong: list[str]) -> dict[str, list[int]]:
        """The rowids of a table by its ``session_id``, in the order of writing."""
        found: dict[str, list[int]] = {}
        if not self.columns(table):
            return found
        try:
            # NOT INDEXED: an index may be damaged where the table is not
            for session, number in self._connection.execute(
                f"SELECT session_id, rowid FROM {table} NOT INDEXED ORDER BY rowid"
            ):
                found.setdefault(text(session) or "", []).append(number)
        except sqlite3.Error as error:
            wrong.append(f"{table} can't be read to its end: {error}")
        return found

    def row(self, table: str, number: int, wrong: list[str]) -> Row | None:
        """One row by its rowid; None where it can't be read, which is told in ``wrong``."""
        try:
            cursor = self._connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,))
            values = cursor.fetchone()
        except sqlite3.Error as error:
            wrong.append(f"row {number} of {table} can't be read: {error}")
            return None
        if values is None:
            wrong.append(f"row {number} of {table} can't be found: the store is damaged")
            return None
        names = [column[0] for column in cursor.description]
        return dict(zip(names, values, strict=True))

    def _numbers(self, table: str, wrong: list[str]) -> list[int]:
        found: list[int] = []
        if not self.columns(table):
            return found
        try:
            for (number,) in self._connection.execute(
                f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid"
            ):
                found.append(number)
        except sqlite3.Error as error:
            wrong.append(f"{table} can't be read to its end: {error}")
        return found


@contextmanager
def opened(path: str) -> Iterator[Store]:
    """The store at ``path``, as it was at one moment. Raises VaultError."""
    try:
        with tempfile.TemporaryDirectory(prefix="vault-sessions-") as folder:
            copy = os.path.join(folder, "store.db")
            _copy_at_rest(os.path.realpath(path), copy)
            connection = sqlite3.connect(copy)
            try:
                connection.text_factory = bytes
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_LINE)
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                yield Store(connection)
            finally:
                connection.close()
    except sqlite3.Error as error:
        raise VaultError(f"{path} can't be read: {error}. Nothing more was imported.") from error
    except OSError as error:
        name = error.filename or path
        raise VaultError(f"{name}: {error.strerror}. Nothing more was imported.") from error


def _copy_at_rest(path: str, copy: str) -> None:
    """Copy the store with what is in its log, while nobody writes to either."""
    for left in range(_TRIES, -1, -1):
        before = _states(path)
        for ending in _SIDE_FILES:
            with suppress(FileNotFoundError):
                os.unlink(copy + ending)
            with suppress(FileNotFoundError):  # gone since we looked: then again
                if before[ending] is not None:
                    shutil.copyfile(path + ending, copy + ending)
        if _states(path) == before:
            return
        if left:
            sleep(0.05)
    raise VaultError(f"{path} is being written to all the time.\nTry again when it is at rest.")


def _states(path: str) -> dict[str, tuple[int, ...] | None]:
    found: dict[str, tuple[int, ...] | None] = {}
    for ending in _SIDE_FILES:
        try:
            s = os.stat(path + ending)
            found[ending] = (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
        except FileNotFoundError:
            found[ending] = None
    return found


def text(value: object) -> str | None:
    """A stored value as text, whatever its type; None for NULL. What is no UTF-8 is replaced."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)


def is_utf8(value: object) -> bool:
    """Can the value be read without replacing anything?"""
    try:
        return not isinstance(value, bytes) or value.decode() is not None
    except UnicodeDecodeError:
        return False

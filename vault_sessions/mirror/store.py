"""The SQLite mirror as a file: opening, transactions, what one session's rows are, a new one.

Rowids of messages follow the messages' time, so that the newest hits of a full-text search are
the last ones of its list. The mirror is a copy: losing it, or its last second, costs a re-read.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from vault_sessions import atomic
from vault_sessions.errors import MirrorBusy, MirrorDamaged, MirrorError
from vault_sessions.formats.fulltext import grams
from vault_sessions.formats.ids import name_key
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.formats.transcript import BOM, active_branch
from vault_sessions.mirror.schema import APPLICATION_ID, INDEXES, TABLES, VERSION
from vault_sessions.model import FileState, Found, Message, Passage, Problem, Session, Stamp

if TYPE_CHECKING:
    from vault_sessions.formats.rest import Row

T = TypeVar("T")

FILE = "mirror.db"
GATE = "writing.lock"
"""Locked by every writer together, and by who makes a new mirror alone for the last moment."""
_GATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_PAUSE_MS = 5
_LONGEST_MS = 60_000
_FEW = 1 << 20
_BATCH = 500
"""So many messages of the mirror are held beside those of a file, to be compared."""
TICKS = 8
"""Rowids per second: a finer clock makes the index larger, a coarser one the order."""
_EPOCH = 946_684_800  # 2000-01-01
_KNOWN = itemgetter(4, 2, 5)
"""Of a message's row what ``formats.rest`` calls one."""

_SESSION_COLUMNS = (*Session._fields, "name_key")
_PUT_SESSION = (
    f"INSERT INTO sessions({', '.join(_SESSION_COLUMNS)}) "
    f"VALUES({', '.join('?' * len(_SESSION_COLUMNS))}) ON CONFLICT(id) DO UPDATE SET "
    + ", ".join(f"{column}=excluded.{column}" for column in _SESSION_COLUMNS[1:])
    + " RETURNING session"
)
_NEW_SESSION = (
    f"INSERT INTO sessions(session, {', '.join(_SESSION_COLUMNS)}) "
    f"VALUES({', '.join('?' * (len(_SESSION_COLUMNS) + 1))})"
)
_PUT_MESSAGE = "INSERT INTO messages VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_FILE = "INSERT OR REPLACE INTO files VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_PROBLEM = "INSERT INTO problems VALUES(?, ?, ?, ?, ?, ?)"
_PUT_REST = "INSERT OR REPLACE INTO rests VALUES(?, ?)"
_PUT_SUMMARY = "INSERT INTO message_summaries VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_CONTEXT = "INSERT INTO session_context VALUES(?, ?, ?, ?)"
_PUT_GRAMS = "INSERT INTO temp.grams VALUES(?, ?)"
_PUT_USAGE = "INSERT INTO usage VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_USAGE = f"{_PUT_USAGE} ON CONFLICT DO UPDATE SET " + ", ".join(
    f"{column} = {column} + excluded.{column}"
    for column in ("user", "assistant", "tool", "system", "tokens_in", "tokens_out")
)
_PUT_PASSAGE = "INSERT INTO memory VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
_FILLING = (
    *(_NEW_SESSION, _PUT_FILE, _PUT_PROBLEM, _PUT_USAGE, _PUT_SUMMARY, _PUT_CONTEXT),
    *(_PUT_REST, _PUT_MESSAGE, _PUT_GRAMS),
)
_AT_ONCE = 1 << 20
_A_MESSAGE = 500
"""Bytes that its row takes in memory, beside its text."""
_INDEX = "INSERT INTO messages_fts(rowid, content, grams) VALUES(?, ?, ?)"
_UNINDEX = "INSERT INTO messages_fts(messages_fts, rowid, content, grams) VALUES('delete', ?, ?, ?)"


class Mirror:
    """An open mirror. ``path`` None: it is kept in memory."""

    def __init__(self, connection: sqlite3.Connection, path: str | None) -> None:
        self.connection = connection
        self.path = path

    def close(self) -> None:
        """Close the file; what was committed is there for the next start."""
        self.connection.close()

    # --- reading and writing as a whole ---

    @contextmanager
    def transaction(self, wait_ms: int = 5000) -> Iterator[None]:
        """One writer at a time; nothing is kept when the block raises.

        Raises MirrorBusy when another process writes for longer than ``wait_ms``,
        MirrorDamaged.
        """
        run = self.connection.execute
        with guarded():
            run(f"PRAGMA busy_timeout={wait_ms:d}")
        gate = self._begin(wait_ms)
        try:
            with guarded():
                yield
                run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                run("ROLLBACK")
            raise
        finally:
            if gate:
                os.close(gate)

    def _begin(self, wait_ms: int) -> int:
        """Begin to write, but not while a new mirror takes the place; what ``_pass_gate`` gave."""
        for left in range(wait_ms // _PAUSE_MS, -1, -1):
            with guarded():
                self.connection.execute("BEGIN IMMEDIATE")
            gate = self._pass_gate()
            if gate is not None:
                return gate
            # the new one needs SQLite's own lock too
            self.connection.execute("ROLLBACK")
            if left:
                time.sleep(_PAUSE_MS / 1000)
        raise MirrorBusy("the mirror is being made anew")

    def _pass_gate(self) -> int | None:
        """A lock that keeps ``no_writers`` waiting, to be closed; 0 where there can be none. None:
        no writer may begin now."""
        if self.path is None or os.path.basename(self.path) != FILE:
            return 0
        try:
            gate = os.open(os.path.join(os.path.dirname(self.path), GATE), _GATE_FLAGS, 0o600)
        except OSError:
            return 0  # a folder that can't be written: there no mirror is made anew either
        try:
            fcntl.flock(gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(gate)
            return None
        except OSError:  # a file system without such locks
            os.close(gate)
            return 0
        return gate

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a query. Raises MirrorDamaged."""
        with guarded():
            return self.connection.execute(sql, values).fetchall()

    def rows_named(self, sql: str, values: dict[str, Any]) -> list[Any]:
        """As ``rows``, with named values."""
        with guarded():
            return self.connection.execute(sql, values).fetchall()

    def info(self, key: str) -> str | None:
        """One of the mirror's own notes."""
        found = self.rows("SELECT value FROM info WHERE key=?", key)
        return found[0][0] if found else None

    def note(self, key: str, value: str | None) -> None:
        """Set one of the mirror's own notes, inside a transaction; None removes it."""
        if value is None:
            self.connection.execute("DELETE FROM info WHERE key=?", (key,))
        else:
            self.connection.execute("INSERT OR REPLACE INTO info VALUES(?, ?)", (key, value))

    # --- files ---

    def stamps(self) -> dict[str, Stamp]:
        """The stamp of every file that has been read."""
        rows = self.rows("SELECT path, dev, inode, size, mtime_ns, ctime_ns FROM files")
        return {row[0]: Stamp._make(row[1:]) for row in rows}

    def unsure(self) -> list[str]:
        """Files that must be looked at again although their stamp is the same."""
        return [row[0] for row in self.rows("SELECT path FROM files WHERE unsure")]

    def file(self, path: str) -> FileState | None:
        """What is known of one file."""
        found = self.rows("SELECT * FROM files WHERE path=?", path)
        if not found:
            return None
        name, *stamp, unsure, digest, hash_end, known_end, lines = found[0]
        return FileState(name, Stamp(*stamp), bool(unsure), digest, hash_end, known_end, lines)

    def paths_between(self, first: str, last: str) -> list[str]:
        """Known files from ``first`` on and before ``last``, by bytes."""
        rows = self.rows("SELECT path FROM files WHERE path >= ? AND path < ?", first, last)
        return [row[0] for row in rows]

    def put_file(self, state: FileState) -> None:
        """Remember a file's state."""
        self.connection.execute(_PUT_FILE, _file_row(state))

    def forget_files(self, paths: Iterable[str]) -> None:
        """Forget files and what was wrong with them."""
        for path in paths:
            self.connection.execute("DELETE FROM files WHERE path=?", (path,))
            self.connection.execute("DELETE FROM problems WHERE path=?", (path,))

    def put_problems(self, path: str, problems: Iterable[Problem]) -> None:
        """What is wrong with one file, in place of what was."""
        self.connection.execute("DELETE FROM problems WHERE path=?", (path,))
        self.connection.executemany(_PUT_PROBLEM, [_problem_row(path, p) for p in problems])

    # --- sessions ---

    def put_session(self, found: Found) -> None:
        """Make one session's rows what its files say. Messages that are the same stay."""
        run = self.connection.execute
        (number,) = run(_PUT_SESSION, _session_row(found.session)).fetchone()
        for state in found.files:
            self.put_file(state)
            self.put_problems(state.path, [p for path, p in found.problems if path == state.path])
        for table in ("message_summaries", "session_context", "usage"):
            run(f"DELETE FROM {table} WHERE session=?", (number,))
        self._put_extras(number, found)
        run(_PUT_REST, (number, _rests(_message_rows(number, found), found)))
        old: dict[str, int] = dict(
            run("SELECT id, message FROM messages WHERE session=?", (number,)).fetchall()
        )
        if not old and _in_order(found):
            self._put_in_order(_message_rows(number, found))
            return
        new: list[tuple[Any, ...]] = []
        for rows in _batches(_message_rows(number, found)):
            there = self._messages([old.pop(row[2]) for row in rows if row[2] in old])
            for row in rows:
                before = there.get(row[2])
                if before is not None and before[3:6] == row[3:6]:
                    if before[6:] != row[6:]:
                        sql = "UPDATE messages SET line=?, active=?, rest=NULL WHERE message=?"
                        run(sql, (row[6], row[7], before[0]))
                else:
                    if before is not None:
                        self._remove_message(before)
                    new.append(row)
        for places in _batches(old.values()):
            for row in self._messages(places).values():
                self._remove_message(row)
        self._put_in_order(sorted(new, key=lambda row: int(row[0])))

    def _messages(self, places: list[int]) -> dict[str, tuple[Any, ...]]:
        """These rows, by the ids of their messages."""
        sql = f"SELECT * FROM messages WHERE message IN ({', '.join('?' * len(places))})"
        return {row[2]: row for row in self.connection.execute(sql, places)}

    def _put_in_order(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add messages, ordered by the places that they want."""
        wanted = place = 0
        for row in rows:
            # many may want one place (no times at all): each looks behind the one before
            place = self._add_message(row, place + 1 if row[0] == wanted else row[0])
            wanted = row[0]

    def can_continue(
        self, session_id: str, messages: Iterable[Message], path: str, *, fresh_ids: bool
    ) -> bool:
        """May these messages be added behind a session's others without reading its file?

        Not when one of their ids is known there (``fresh_ids``: they were made just now), or when
        what is derived from the whole file (its times, its model, whether it has ended, a parent
        that was unknown, a line that was cut off) could come out another way.
        """
        run = self.connection.execute
        found = run(
            "SELECT session, created_at, updated_at, provider, model, ended_at FROM sessions "
            "WHERE id=?",
            (session_id,),
        ).fetchone()
        if found is None or found[1] is None or found[1] == found[2] or found[5] is not None:
            return False
        number, _, _, provider, model, _ = found
        for message in messages:
            fields = message.fields
            said = fields.get("provider"), fields.get("model")
            if message.role == "assistant" and said[1] and said != (provider, model):
                return False
            sql = "SELECT 1 FROM messages WHERE session=? AND id=?"
            if not fresh_ids and run(sql, (number, message.id)).fetchone():
                return False
        sql = "SELECT 1 FROM problems WHERE path=? AND code IN ('unknown-parent', 'torn-tail')"
        return run(sql, (path,)).fetchone() is None

    def add_messages(
        self, session_id: str, messages: Iterable[tuple[Message, bytes]], state: FileState
    ) -> None:
        """Add messages for which ``can_continue`` said yes, each with its line."""
        from vault_sessions.formats.rest import packed
        from vault_sessions.formats.usage import count_usage

        run = self.connection.execute
        sql = "SELECT session, updated_at, provider, model FROM sessions WHERE id=?"
        number, updated, *own = run(sql, (session_id,)).fetchone()
        count = asked = 0
        added = []
        for message, text in messages:
            at = _time_text(message)
            place = place_of(message.created_at) or 1
            row = (place, number, message.id, message.role, message.text, at, message.line, 1)
            self._add_message((*row, packed(text, message.text, message.id, at)), place)
            added.append(message)
            count += 1
            asked += message.role == "user"
            if at and message.role in ("user", "assistant"):
                updated = max(updated, at)
        run(
            "UPDATE sessions SET message_count = message_count + ?, "
            "user_messages = user_messages + ?, updated_at = ? WHERE session=?",
            (count, asked, updated, number),
        )
        for counted in count_usage(added, None, (own[0], own[1])):
            run(_ADD_USAGE, (number, *counted))
        self.put_file(state)

    @contextmanager
    def many(self) -> Iterator[None]:
        """In a transaction that changes thousands of messages: half the time, for the full-text
        index then writes few large segments and merges none in between."""
        _configure_index(self, hashsize=16 << 20, automerge=0)
        yield
        _configure_index(self, hashsize=1 << 20, automerge=4)

    def scrub(self, remove: Callable[[], None]) -> None:
        """Do what takes rows out, so that nothing of them is left in the file. Raises MirrorBusy
        (then something may be), MirrorDamaged."""
        with guarded():
            run = self.connection.execute
            run("PRAGMA secure_delete=ON").fetchall()
            try:
                remove()
                for table in ("messages_fts", "memory_fts"):
                    run(f"INSERT INTO {table}({table}) VALUES('optimize')")
                # what another took out, or what was changed before, may stand in unused pages
                run("VACUUM")
                (is_busy, *_) = run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                run("PRAGMA secure_delete=OFF").fetchall()
        if is_busy:
            raise MirrorBusy("the mirror is being read by another program")

    def version(self) -> int:
        """Another number once another connection has written to the mirror."""
        return int(self.rows("PRAGMA data_version")[0][0])

    def message_ids(self, session_id: str) -> list[str]:
        """The ids of a session's messages as last seen, in the file's order."""
        sql = (
            "SELECT m.id FROM messages m JOIN sessions s USING(session) WHERE s.id=? "
            "ORDER BY m.line, m.message"
        )
        return [row[0] for row in self.rows(sql, session_id)]

    def last_lines(self, session_id: str, count: int) -> list[tuple[str, bytes]]:
        """The ids and lines of a session's last messages as last seen, in the file's order."""
        from vault_sessions.formats.rest import emptied_all, plain_line

        sql = (
            "SELECT m.id, m.role, m.content, m.created_at, m.rest FROM messages m "
            "JOIN sessions s USING(session) WHERE s.id=? ORDER BY m.line, m.message"
        )
        rows = self.rows(sql, session_id)
        packed_rows = self.rows(
            "SELECT lines FROM rests JOIN sessions USING(session) WHERE id=?", session_id
        )
        try:
            together = iter(emptied_all(packed_rows[0][0]) if packed_rows else ())
        except ValueError:
            together = iter(())
        found = []
        for number, (name, role, content, at, rest) in enumerate(rows, count - len(rows)):
            # those that were seen to come one by one stand behind those that were read together
            emptied = next(together, b"") if rest is None else b""
            if number >= 0:
                line = _line(emptied, rest, (content, name, at))
                found.append((name, line or plain_line(role, content, name, at)))
        return found

    def remove_session(self, session_id: str) -> None:
        """Take a session's rows out."""
        run = self.connection.execute
        found = run("SELECT session FROM sessions WHERE id=?", (session_id,)).fetchone()
        if found is None:
            return
        for row in run("SELECT * FROM messages WHERE session=?", found).fetchall():
            self._remove_message(row)
        for table in ("message_summaries", "session_context", "usage", "rests", "sessions"):
            run(f"DELETE FROM {table} WHERE session=?", found)

    def _add_message(self, row: tuple[Any, ...], place: int) -> int:
        """Add a message at the first free place from this one on; returns the place."""
        run = self.connection.execute
        later = run("SELECT message FROM messages WHERE message >= ? ORDER BY message", (place,))
        for (taken,) in later:
            if taken != place:
                break
            place += 1
        later.close()
        run(_PUT_MESSAGE, (place, *row[1:]))
        run(_INDEX, (place, row[4], grams(row[4])))
        return place

    def _remove_message(self, row: tuple[Any, ...]) -> None:
        run = self.connection.execute
        run(_UNINDEX, (row[0], row[4], grams(row[4])))
        run("DELETE FROM messages WHERE message=?", (row[0],))

    def _put_extras(self, number: int, found: Found) -> None:
        """Compactions, context items and numbers of a session that has none in the mirror."""
        for sql, rows in _extras(number, found):
            self.connection.executemany(sql, rows)

    # --- memory ---

    def put_memory(
        self, state: FileState, passages: Iterable[Passage], problems: Iterable[Problem]
    ) -> None:
        """One Markdown file's passages, in place of what was known of it."""
        self.remove_memory(state.path)
        run = self.connection.execute
        for p in passages:
            values = (None, state.path, p.line, p.kind, p.section, p.text)
            row = run(_PUT_PASSAGE, (*values, p.session_id, p.created_at))
            sql = "INSERT INTO memory_fts(rowid, content, grams) VALUES(?, ?, ?)"
            run(sql, (row.lastrowid, p.text, grams(p.text)))
        self.put_file(state)
        self.put_problems(state.path, problems)

    def remove_memory(self, path: str) -> None:
        """Take a Markdown file's passages out."""
        run = self.connection.execute
        for number, text in run(
            "SELECT passage, text FROM memory WHERE path=?", (path,)
        ).fetchall():
            sql = (
                "INSERT INTO memory_fts(memory_fts, rowid, content, grams) "
                "VALUES('delete', ?, ?, ?)"
            )
            run(sql, (number, text, grams(text)))
            run("DELETE FROM memory WHERE passage=?", (number,))


class Builder:
    """A mirror that is filled for the first time: rows first, the full-text index at the end, in
    the order of time. Nobody else sees it, so nothing in it needs to survive a crash."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._used: set[int] = set()
        self._next_free: dict[int, int] = {}
        self._sessions = self._size = 0
        self._waiting: dict[str, list[tuple[Any, ...]]] = {sql: [] for sql in _FILLING}
        run = mirror.connection.execute
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-131072"):
            run(f"PRAGMA {pragma}").fetchall()
        run("BEGIN")
        run("CREATE TEMP TABLE grams(message INTEGER PRIMARY KEY, grams TEXT)")
        # few large segments (16 MiB instead of 1), merged once at the end and not over and over
        _configure_index(mirror, hashsize=16 << 20, automerge=0, crisismerge=1999)

    def add_session(self, found: Found) -> None:
        """Add a session that is not in the mirror yet."""
        self._sessions = number = self._sessions + 1
        waiting = self._waiting
        waiting[_NEW_SESSION].append((number, *_session_row(found.session)))
        waiting[_PUT_FILE] += map(_file_row, found.files)
        waiting[_PUT_PROBLEM] += [_problem_row(path, p) for path, p in found.problems]
        for sql, some in _extras(number, found):
            waiting[sql] += some
        rows = list(_message_rows(number, found))
        waiting[_PUT_REST].append((number, _rests(rows, found)))
        used = self._used
        for at, row in enumerate(rows):
            place = row[0]
            if place in used:
                place = self._free_from(place)
                rows[at] = (place, *row[1:])
            used.add(place)
            text = row[4]
            if not text.isascii() and (pairs := grams(text)) is not None:
                waiting[_PUT_GRAMS].append((place, pairs))
        waiting[_PUT_MESSAGE] += rows
        self._size += found.session.message_count * _A_MESSAGE + len(found.data or b"")
        if self._size > _AT_ONCE:
            self._write()

    def _write(self) -> None:
        """Add what waits. (The rows of each session alone would take a tenth longer.)"""
        for sql, rows in self._waiting.items():
            if rows:
                self.mirror.connection.executemany(sql, rows)
                rows.clear()
        self._size = 0

    def _free_from(self, place: int) -> int:
        start = place
        place = self._next_free.get(start, start)
        while place in self._used:
            place += 1
        self._next_free[start] = place + 1
        return place

    def finish(self) -> None:
        """Build the indexes; after it the mirror is whole."""
        from threading import Thread

        self._write()
        flushing = Thread(target=_flush, args=(self.mirror.path,))
        if self.mirror.path is not None:
            # on its way to the disk meanwhile: what is left to the end would be waited for
            flushing.start()
        try:
            self._index()
        finally:
            if self.mirror.path is not None:
                # before the file gets its name: closing it drops the locks of all who have it open
                flushing.join()

    def _index(self) -> None:
        run = self.mirror.connection.execute
        run(
            "INSERT INTO messages_fts(rowid, content, grams) SELECT m.message, m.content, g.grams "
            "FROM messages m LEFT JOIN temp.grams g USING(message) ORDER BY m.message"
        )
        run("DROP TABLE temp.grams")
        for index in INDEXES.strip().split(";")[:-1]:
            run(index)
        for table in ("messages_fts", "memory_fts"):
            run(f"INSERT INTO {table}({table}) VALUES('optimize')")
        # Appends leave small segments, which are merged a few pages at a time. That 16 of them
        # are merged at once is left off: one append in 400 would take 4 s, for the large one too.
        _configure_index(self.mirror, hashsize=1 << 20, automerge=4)
        run("COMMIT")


def _configure_index(mirror: Mirror, **options: int) -> None:
    for table in ("messages_fts", "memory_fts"):
        for option, value in options.items():
            sql = f"INSERT INTO {table}({table}, rank) VALUES(?, ?)"
            mirror.connection.execute(sql, (option, value))


# --- opening -------------------------------------------------------------------------------------


@contextmanager
def guarded() -> Iterator[None]:
    """SQLite's errors as ours: busy, or damaged (and so to be rebuilt)."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # without a code: text that is not UTF-8
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise MirrorBusy("the mirror is busy") from error
        if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA):
            raise MirrorDamaged(f"the mirror is not as expected ({error})") from error
        raise MirrorError(f"the mirror can't be used: {error}") from error
    except sqlite3.DatabaseError as error:
        raise MirrorDamaged(f"the mirror is damaged ({error})") from error


def open_mirror(folder: str, vault: str) -> Mirror:
    """The mirror of a vault (real path and folder as one text) in its cache folder.

    Raises MirrorDamaged when it is missing, corrupt, of another schema or of another vault,
    MirrorError when it can't be used there at all.
    """
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        raise MirrorDamaged("there is no mirror yet")
    mirror = Mirror(_connect(path), path)
    try:
        check(mirror, vault)
    except MirrorBusy:
        raise MirrorError("the mirror is locked by another program") from None
    except MirrorError:
        mirror.close()
        raise
    return mirror


def check(mirror: Mirror, vault: str) -> None:
    """Raises MirrorDamaged unless this is a whole mirror of that vault."""
    (version,) = mirror.rows("PRAGMA user_version")[0]
    if version != VERSION:
        age = "an older" if version < VERSION else "a newer"
        raise MirrorDamaged(f"the mirror has {age} schema")
    if mirror.info("vault") != vault:
        raise MirrorDamaged("the mirror is of another vault")


def memory_mirror(vault: str) -> Mirror:
    """An empty mirror in memory."""
    mirror = Mirror(_connect(":memory:"), None)
    _make_tables(mirror, vault)
    return mirror


@contextmanager
def no_writers(folder: str) -> Iterator[None]:
    """Nobody writes to the mirror while the block runs: what a new one has not seen yet, nobody has
    seen in the old one either. Raises MirrorError."""
    try:
        gate = os.open(os.path.join(folder, GATE), _GATE_FLAGS, 0o600)
    except OSError as error:
        raise MirrorError(f"the cache folder can't be written ({error.strerror})") from error
    try:
        for left in range(_LONGEST_MS // _PAUSE_MS, -1, -1):
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not left:
                    raise MirrorError("the mirror is being written by another program") from error
            time.sleep(_PAUSE_MS / 1000)
        yield
    finally:
        os.close(gate)


def remove_unfinished(folder: str) -> None:
    """Remove the new mirror that a killed process did not finish; one in the making is waited for.

    Raises MirrorError.
    """
    with _writable():
        lock = os.open(os.path.join(folder, "rebuild.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _remove(os.path.join(folder, "building.db"))
        finally:
            os.close(lock)


@contextmanager
def new_mirror(folder: str, vault: str, wait: bool = True) -> Iterator[Mirror]:
    """An empty mirror beside the present one, which it replaces when the block ends well.

    Readers see the old one until then. The new one is copied into the old file by SQLite's backup
    API: replacing a database file that someone has open corrupts it. One at a time; raises
    MirrorBusy if not ``wait`` and another process is at it, MirrorError.
    """
    with _writable():
        atomic.make_folder(folder)
        lock = os.open(os.path.join(folder, "rebuild.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    building = os.path.join(folder, "building.db")
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise MirrorBusy("another process is rebuilding the mirror") from error
        with _writable():
            _remove(building)
            # what SQLite makes beside it gets the mode of the file
            os.close(os.open(building, os.O_CREAT | os.O_EXCL, atomic.FILE_MODE))
        with guarded():
            mirror = Mirror(_connect(building), building)
            try:
                _make_tables(mirror, vault)
                yield mirror
                with _writable():
                    _take_place(mirror, os.path.join(folder, FILE))
            finally:
                mirror.close()
                with suppress(OSError):  # the next one begins with it
                    _remove(building)
    finally:
        os.close(lock)


def _take_place(mirror: Mirror, path: str) -> None:
    """Put a whole mirror in the place of the one at ``path``, in one transaction for its readers.

    The rebuild's lock is held. Where there is no mirror, or something that is none (which nobody
    has open as one either), the new file gets the name; else its pages are copied.
    """
    if not os.path.exists(path) or not _is_mirror(path):
        _remove(path)
        mirror.connection.execute("PRAGMA journal_mode=WAL").fetchall()
        mirror.close()
        # before it has the name; else the first append that empties the log would wait for it
        _flush(str(mirror.path))
        os.link(str(mirror.path), path)
        return
    target = _connect(path)
    try:
        target.execute("PRAGMA busy_timeout=60000")
        mirror.connection.backup(target)
        target.execute("PRAGMA journal_mode=WAL").fetchall()
    finally:
        target.close()


def _is_mirror(path: str) -> bool:
    """Is it a mirror, of whatever version? (A backup can't be made into garbage, nor into a
    database with pages of another size.)"""
    try:
        connection = _connect(path)
    except MirrorDamaged:
        return False
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        (found,) = connection.execute("PRAGMA application_id").fetchone()
        return bool(found == APPLICATION_ID)
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def _connect(path: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except sqlite3.Error as error:
        raise MirrorError(f"the mirror can't be opened ({error})") from error
    try:
        with guarded():
            # no fsync at each commit: the mirror can be rebuilt, the files can't
            connection.execute("PRAGMA synchronous=NORMAL")
    except MirrorError:
        connection.close()
        raise
    return connection


def _make_tables(mirror: Mirror, vault: str) -> None:
    # messages of some hundred bytes leave less room unused on pages of 8 KiB: 4% of the file
    mirror.connection.execute("PRAGMA page_size=8192")
    mirror.connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    mirror.connection.executescript(TABLES)
    mirror.connection.execute(f"PRAGMA user_version={VERSION}")
    mirror.note("vault", vault)
    # another one for each mirror that is made: who watches says for which one it speaks
    mirror.note("generation", os.urandom(8).hex())


def _flush(path: str) -> None:
    """fsync a file; where that fails, a power cut may cost the mirror, which is a copy."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def _writable() -> Iterator[None]:
    """The operating system's errors as ours."""
    try:
        yield
    except OSError as error:
        raise MirrorError(f"the cache folder can't be written ({error.strerror})") from error


def _remove(path: str) -> None:
    for suffix in ("-wal", "-shm", "-journal", ""):
        with suppress(FileNotFoundError):
            atomic.remove_file(path + suffix)


# --- rows ----------------------------------------------------------------------------------------


def time_of(place: int) -> float:
    """The seconds since 1970 that a rowid stands for."""
    return place / TICKS + _EPOCH


def place_of(at: datetime | None) -> int | None:
    """The rowid that a time asks for: ticks since 2000; at least 1."""
    return None if at is None else max(1, int((at.timestamp() - _EPOCH) * TICKS))


def _rests(rows: Iterable[tuple[Any, ...]], found: Found) -> bytes:
    """What the lines of a session's messages say beyond their rows."""
    from vault_sessions.formats.rest import packed_all  # not needed by who only reads

    lines = _lines(found.data or b"", found.transcript.messages)
    return packed_all(lines, map(_KNOWN, rows))


def _lines(data: bytes, messages: Sequence[Message]) -> Iterable[bytes]:
    """The line of each message, without what is around it."""
    if len(data) < _FEW:
        lines = data.removeprefix(BOM).split(b"\n")
        return [lines[message[5] - 1].strip() for message in messages]
    return _lines_one_by_one(data, messages)


def _lines_one_by_one(data: bytes, messages: Iterable[Message]) -> Iterator[bytes]:
    """The same; all the lines of a large transcript would take more memory than itself."""
    number, begin, end = 0, 0, -1
    for message in messages:
        while number < message.line:
            begin, end = end + 1, data.find(b"\n", end + 1)
            end = len(data) if end < 0 else end
            number += 1
        yield data[begin:end].removeprefix(BOM).strip()


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _in_order(found: Found) -> bool:
    """Does no message ask for a place before that of the one before it?"""
    messages = found.transcript.messages
    last = parse_time(found.session.created_at) if messages and not messages[0].created_at else None
    for message in messages:
        at = message.created_at
        if at is not None:
            if last is not None and at < last:
                return False
            last = at
    return True


def _line(emptied: bytes, rest: bytes | None, row: Row) -> bytes:
    """A message's line; empty where it can't be had."""
    from vault_sessions.formats.rest import filled, unpacked

    if rest is None:
        return filled(emptied, *row)
    try:
        return unpacked(rest, *row)
    except ValueError:
        return b""


def _message_rows(number: int, found: Found) -> Iterator[tuple[Any, ...]]:
    """The rows of a session's messages; a message without time stands behind the one before."""
    messages = found.transcript.messages
    branch = _branch(found)
    place = place_of(parse_time(found.session.created_at)) or 1
    for message in messages:
        at = message.created_at
        if at is not None:
            place = max(1, int((at.timestamp() - _EPOCH) * TICKS))
        name = message.id
        active = 1 if branch is None or name in branch else 0
        yield (
            place,
            number,
            name,
            message.role,
            message.text,
            _time_text(message),
            message.line,
            active,
            None,
        )


def _branch(found: Found) -> set[str] | None:
    """The ids on the active branch; None: all messages are on it."""
    messages = found.transcript.messages
    if len(messages) == found.session.message_count:
        return None
    return {message.id for message in active_branch(messages)}


def _usage_rows(number: int, found: Found) -> list[tuple[Any, ...]]:
    """The rows of a session's numbers."""
    from vault_sessions.formats.usage import count_usage

    own = found.session.provider, found.session.model
    rows = count_usage(found.transcript.messages, _branch(found), own)
    return [(number, *row) for row in sorted(rows)]


def _time_text(message: Message) -> str | None:
    if message.created_at is None:
        return None
    written: str = message.fields.get("created_at", "")
    # what we write ourselves is in the right form already
    if len(written) == 24 and written[23] + written[10] + written[19] + written[7] == "ZT.-":
        return written
    return format_time(message.created_at)


def _extras(number: int, found: Found) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """A session's rows beside its messages: numbers, compactions, context items."""
    meta = found.meta
    yield _PUT_USAGE, _usage_rows(number, found)
    if meta.compactions:
        yield (
            _PUT_SUMMARY,
            [(number, c.id, c.through_message_id, *_summary(c)) for c in meta.compactions],
        )
    if meta.context:
        yield _PUT_CONTEXT, [(number, *item) for item in meta.context]


def _session_row(session: Session) -> tuple[Any, ...]:
    return (*session, name_key(session.name) if session.name else None)


def _file_row(state: FileState) -> tuple[Any, ...]:
    return (state.path, *state.stamp, *state[2:])


def _problem_row(path: str, found: Problem) -> tuple[Any, ...]:
    return (path, found.line, found.column, found.code, found.severity, found.message)


def _summary(c: Any) -> tuple[Any, ...]:
    return (
        c.message_count,
        c.message_range,
        c.summary,
        c.token_count,
        c.method,
        c.provider,
        c.model,
        c.compacted_at,
    )

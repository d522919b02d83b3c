"""History from other programs: the stores of Atmos and Atuin AI, brought over and never written.

Safe to repeat: a session knows where it came from (``source`` in its metadata: the store's kind,
the id there, and ``through``, the last message that was brought over). What is there already is not
brought over again, and what was cut off in between the next import completes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats.ids import clean_name, name_key, new_session_id
from vault_sessions.formats.meta import VERSION, changed_meta, parse_meta
from vault_sessions.formats.names import file_kind, session_of
from vault_sessions.formats.times import parse_time
from vault_sessions.formats.transcript import MAX_LINE, message_line, parse
from vault_sessions.model import Meta
from vault_sessions.scan import AWAY, is_away, session_paths
from vault_sessions.state import NAMES, State
from vault_sessions.transfer import atmos, atuin
from vault_sessions.transfer.store import Broken, Kind, Line, Store, Told, is_sqlite, opened
from vault_sessions.vault import Vault

Outcome = Literal["imported", "updated", "skipped", "failed"]


class Imported(NamedTuple):
    """What became of one session of a store: ``source_id`` there, ``session_id`` here.

    ``name``: what it is called here, or would be. ``why`` is empty where all went as it should.
    """

    source_id: str
    session_id: str | None
    name: str | None
    outcome: Outcome
    why: str


def kind_of(path: str) -> Kind | None:
    """Whose store is it, by its tables? None: no SQLite file, or another one.

    Raises VaultError for one that can't be read.
    """
    if not is_sqlite(path):
        return None
    with opened(path) as store:
        return _kind(store)


def _kind(store: Store) -> Kind | None:
    sessions = store.columns("sessions")
    if {"id", "project_path"} <= sessions and store.columns("messages") >= _MESSAGES:
        return "atmos"
    if "id" in sessions and store.columns("session_events") >= _EVENTS:
        return "atuin"
    return None


_MESSAGES = {"session_id", "role", "content"}
_EVENTS = {"id", "session_id", "event_type", "event_data"}


def import_store(
    vault: Vault,
    state: State,
    path: str,
    now: datetime,
    random: Callable[[int], int],
    *,
    name: str | None = None,
    dry_run: bool = False,
) -> list[Imported]:
    """Bring over every session of a store, or those of one name or id (or a beginning of the id).

    What became of each, in the store's order; one that fails does not stop the others. Takes the
    lock of names and those of the sessions. Raises VaultError: no store, none of that name, or
    the vault can't be read.
    """
    if not os.path.exists(path):
        raise VaultError(f"There is no file {path}.")
    if not is_sqlite(path):
        raise VaultError(f"{path} is no SQLite file, so no store of Atmos or Atuin AI.")
    with opened(path) as store:
        kind = _kind(store)
        if kind is None:
            raise VaultError(
                f"{path} is not known: it has neither the tables of Atmos (sessions, messages) nor "
                f"those of Atuin AI (sessions, session_events)."
            )
        wrong: list[str] = []
        read = atmos.read if kind == "atmos" else atuin.read
        # while names are given: two imports at once must not bring a session over twice
        with state.lock(NAMES):
            work = _Import(vault, state, kind, now, random, dry_run, _known(vault))
            done = [_take(work, told) for told in _chosen(read(store, wrong), name)]
    if name is not None and not done:
        raise VaultError(
            f"There is no session {name!r} in {path}.\nWithout -n all of its sessions are imported."
        )
    return done + [Imported("", None, None, "failed", why) for why in wrong]


def _chosen(told: Iterable[Told | Broken], name: str | None) -> Iterator[Told | Broken]:
    """The sessions that are meant; each id once."""
    seen: set[str] = set()
    for each in told:
        if name is not None and name != each.name and not (name and each.id.startswith(name)):
            continue
        if each.id in seen and isinstance(each, Told):
            yield Broken(each.id, each.name, "another session of the store has this id")
            continue
        seen.add(each.id)
        yield each


# --- what the vault has --------------------------------------------------------------------------


class _Known(NamedTuple):
    """What the vault has already: sessions by where they came from, and taken names by key."""

    sources: dict[tuple[str, str], str]
    names: set[str]
    ids: set[str]


def _known(vault: Vault) -> _Known:
    known = _Known({}, set(), set())
    for file in vaults.list_names(vault, vault.sessions):
        kind = file_kind(file)
        if kind not in ("transcript", "meta"):
            continue
        session_id = session_of(file)
        known.ids.add(session_id)
        known.names.add(name_key(session_id))
        if kind == "meta":
            meta = _meta(vault, session_id)
            if meta.name:
                known.names.add(name_key(meta.name))
            source = meta.source or {}
            pair = source.get("kind"), source.get("id")
            if all(isinstance(part, str) for part in pair):
                known.sources.setdefault((str(pair[0]), str(pair[1])), session_id)
    return known


def _meta(vault: Vault, session_id: str) -> Meta:
    """A session's metadata; empty where it can't be read."""
    try:
        data = vaults.read_meta(vault, session_id)
    except VaultError:
        data = None
    return parse_meta(data, session_id)[0] if data is not None else Meta()


# --- one session ---------------------------------------------------------------------------------


class _Import(NamedTuple):
    """What an import works with."""

    vault: Vault
    state: State
    kind: Kind
    now: datetime
    random: Callable[[int], int]
    dry_run: bool
    known: _Known


def _take(work: _Import, told: Told | Broken) -> Imported:
    """Bring one session over, or what is new in it."""
    session_id = work.known.sources.get((work.kind, told.id))
    try:
        if isinstance(told, Broken):
            return Imported(told.id, session_id, told.name, "failed", told.why)
        told = _writable(told)
        if session_id is not None and _is_away(work.vault, session_id):
            return Imported(told.id, session_id, told.name, "skipped", AWAY)
        if session_id is not None:
            with work.state.lock(session_id):
                return _update(work, session_id, told)
        if not told.lines:
            why = _left_out(told) or "it has no messages"
            return Imported(told.id, None, told.name, "skipped", why)
        return _make(work, told)
    except VaultError as error:
        return Imported(told.id, session_id, told.name, "failed", str(error))
    except OSError as error:
        why = f"{error.filename or work.vault.root}: {error.strerror}"
        return Imported(told.id, session_id, told.name, "failed", why)


def _writable(told: Told) -> Told:
    """Without the messages that no line can hold, which is told."""
    good: list[Line] = []
    left_out = list(told.left_out)
    replaced: dict[str, str | None] = {}
    for line in told.lines:
        parent = line.parent
        while parent in replaced:
            parent = replaced[parent]
        try:
            if len(message_line(line.fields)) > MAX_LINE:
                raise ValueError("longer than a line may be (64 MiB)")
            good.append(line._replace(parent=parent))
        except (TypeError, ValueError) as error:  # TypeError: orjson's, nested too deep
            left_out.append(f"message {line.id}: {error}")
            replaced[line.id] = parent
    return told._replace(lines=tuple(good), left_out=tuple(left_out))


def _make(work: _Import, told: Told) -> Imported:
    """A new session for it."""
    name = _free_name(told.name, work.known.names)
    lines = b"".join(_as_lines(told.lines, None))
    session_id = _free_id(work, told, lines)
    if _is_away(work.vault, session_id):
        return Imported(told.id, session_id, told.name, "skipped", AWAY)
    done = Imported(told.id, session_id, name, "imported", _left_out(told))
    if work.dry_run:
        done = done._replace(session_id=None)
    else:
        source = {"kind": work.kind, "id": told.id, "through": told.lines[-1].id}
        meta = {"name": name, **told.meta, "source": source}
        written = {key: value for key, value in meta.items() if value is not None}
        with work.state.lock(session_id):
            if session_id in work.known.ids:
                vaults.change_meta(work.vault, session_id, written)
            else:
                data = changed_meta(None, {"version": 1, "id": session_id, **written})
                vaults.make_session(work.vault, session_id, lines, data)
    work.known.sources[work.kind, told.id] = session_id
    work.known.ids.add(session_id)
    if name:
        work.known.names.add(name_key(name))
    return done


def _free_id(work: _Import, told: Told, lines: bytes) -> str:
    """An id by its start and where it came from, so that two machines give it the same one.

    One that is taken only where it is this very session, left without its metadata, or may be so
    (a file of it is in the cloud only).
    """
    started = parse_time(told.meta.get("created_at")) or work.now
    digest = hashlib.sha256(f"{work.kind}\0{told.id}".encode(errors="replace")).digest()
    session_id = new_session_id(started, int.from_bytes(digest[:4], "big"))
    if _is_away(work.vault, session_id):
        return session_id
    while session_id in work.known.ids and not _is_left(work.vault, session_id, lines):
        session_id = new_session_id(started, work.random(30))
    return session_id


def _is_away(vault: Vault, session_id: str) -> bool:
    return any(is_away(vault, path) for path in session_paths(vault, session_id))


def _is_left(vault: Vault, session_id: str, lines: bytes) -> bool:
    """Is it a transcript without metadata that says just this?"""
    if os.path.lexists(vault.absolute(vault.meta(session_id))):
        return False
    try:
        return vaults.read_transcript(vault, session_id)[0] == lines
    except (FileNotFoundError, VaultError):
        return False


def _free_name(given: str | None, taken: set[str]) -> str | None:
    """The name as it may be here; with -2 and so on behind it where it is taken."""
    printable = "".join(c if c.isprintable() else " " for c in given or "")
    base = clean_name(" ".join(printable.split())[:100])
    if base is None:
        return None
    name, n = base, 1
    while name_key(name) in taken:
        n += 1
        ending = f"-{n}"
        name = f"{base[: 100 - len(ending)].rstrip()}{ending}"
    return name


def _as_lines(lines: Sequence[Line], before: str | None) -> list[bytes]:
    """The lines of a transcript behind that message: a parent is named where it is another one."""
    written = []
    for line in lines:
        branch = {} if line.parent == before else {"parent_id": line.parent}
        written.append(message_line({**line.fields, **branch}))
        before = line.id
    return written


def _left_out(told: Told) -> str:
    if not told.left_out:
        return ""
    more = f" (and {len(told.left_out) - 1} more)" if len(told.left_out) > 1 else ""
    return f"not all of it: {told.left_out[0]}{more}"


# --- one that is here already --------------------------------------------------------------------


def _update(work: _Import, session_id: str, told: Told) -> Imported:
    """Bring over what is new in the source, if nobody has changed here what came from it."""
    vault = work.vault
    meta = _meta(vault, session_id)

    def done(outcome: Outcome, why: str) -> Imported:
        return Imported(told.id, session_id, meta.name, outcome, why)

    path = vault.transcript(session_id)
    is_there = os.path.lexists(vault.absolute(path))
    data = vaults.read_transcript(vault, session_id)[0] if is_there else b""
    here = parse(data)
    known = {message.id: message.fields for message in here.messages}
    new = [line for line in told.lines if line.id not in known]
    changes = _changes(meta, told, bool(new))
    if not new and not changes:
        return done("skipped", "unchanged")
    # a line cut off at the end may be our own: whole it is new
    is_broken = any(p.severity == "error" and p.code != "torn-tail" for p in here.problems)
    if is_there and (is_broken or _is_edited(told.lines, known, _through(meta))):
        if not new:
            return done("skipped", "unchanged, but for what was changed here")
        return done("skipped", f"changed here; {_count(new)} of the source not brought over")
    if meta.version > VERSION:
        return done("skipped", "its metadata is of a newer version of this program")
    if work.state.is_leased(session_id):
        return done("skipped", "open in a chat; end that and import again")
    if not work.dry_run:
        if not is_there:
            lines = _as_lines(told.lines, None)
            vaults.write_file(vault, path, b"".join(lines), must_be=None)
        elif new:
            lines = _as_lines(new, here.messages[-1].id if here.messages else None)
            vaults.append_lines(vault, session_id, [line.rstrip(b"\n") for line in lines])
        vaults.change_meta(vault, session_id, changes)
    if not is_there:
        return done("imported", _left_out(told))
    if new:
        return done("updated", "; ".join(filter(None, (_count(new), _left_out(told)))))
    return done("updated", "ended in the source" if "ended_at" in changes else "new summaries")


def _count(new: Sequence[Line]) -> str:
    return f"{len(new)} new message{'s' if len(new) > 1 else ''}"


def _through(meta: Meta) -> str | None:
    through = (meta.source or {}).get("through")
    return through if isinstance(through, str) else None


def _is_edited(
    lines: Sequence[Line], known: dict[str, dict[str, Any]], through: str | None
) -> bool:
    """Is a message that was imported gone or changed, or has one been added?

    Whether it is archived, and which one it names as its parent, may differ.
    """
    places = {line.id: index for index, line in enumerate(lines)}
    if not known.keys() <= places.keys():
        return True
    reached = max((places.get(name, -1) for name in (*known, through or "")), default=-1)
    brought = lines[: reached + 1]
    return len(brought) != len(known) or any(
        _essence(known[line.id]) != _essence(line.fields) for line in brought
    )


def _essence(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if k not in ("archived", "parent_id")}


def _changes(meta: Meta, told: Told, has_new: bool) -> dict[str, Any]:
    """What is new in the metadata: how far it was brought over, an ending, and summaries."""
    changes: dict[str, Any] = {}
    if has_new:
        changes["source"] = {**(meta.source or {}), "through": told.lines[-1].id}
    if "ended_at" in told.meta and meta.ended_at is None and meta.ending is None:
        ending = ("ended_at", "end_reason", "duration_seconds")
        changes.update({key: told.meta[key] for key in ending if key in told.meta})
    known = {compaction.id for compaction in meta.compactions}
    summaries = [each for each in told.meta.get("compactions") or () if each["id"] not in known]
    if summaries:
        changes["compactions"] = [*(meta.fields.get("compactions") or ()), *summaries]
    return changes

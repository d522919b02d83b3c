"""Checkpoints out of the vault and into it: a session's files ⇄ one file anywhere.

Export reads the vault, never the mirror. Import checks everything before it writes anything; the
session it makes is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple, cast

import orjson

from vault_sessions import atomic, scan
from vault_sessions import vault as vaults
from vault_sessions.errors import NameTaken, SessionNotFound, VaultError
from vault_sessions.formats import checkpoint_json, checkpoint_markdown
from vault_sessions.formats.checkpoint import (
    GO_ZERO,
    LIMITS,
    MIB,
    UNKNOWN,
    VERSION,
    Checkpoint,
    CheckpointContext,
    CheckpointError,
    CheckpointMessage,
    CheckpointSession,
    CheckpointStatistics,
    CompactMessages,
    Format,
    Original,
    checked,
    exact_time,
    format_of_content,
    format_of_path,
    message_fields,
)
from vault_sessions.formats.ids import clean_name, new_session_id, started_at, uuid7
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.names import TRANSCRIPT
from vault_sessions.formats.session import describe
from vault_sessions.formats.times import parse_time
from vault_sessions.formats.transcript import (
    MAX_LINE,
    active_branch,
    message_line,
    parse,
    tool_call_ids,
)
from vault_sessions.model import Message, Meta, Transcript
from vault_sessions.rules.compaction import in_force
from vault_sessions.state import NAMES, State
from vault_sessions.vault import Vault, trash

Random = Callable[[int], int]
"""So many random bits, as a number."""

SQLITE = b"SQLite format 3\0"
SOURCE = "checkpoint"
"""The ``source.kind`` of a session that another program exported."""

_INSTRUCTIONS = ("ATMOS.md", "AGENTS.md")
_FOR_MESSAGES_GONE = ("compactions", "learned_through", "pending_facts")


class Exported(NamedTuple):
    """A session as it was exported; ``data`` is its file where none was written. ``warning``: what
    it lacks, and why."""

    session_id: str
    name: str
    path: str | None
    format: Format
    message_count: int
    data: bytes | bytearray = b""
    warning: str = ""


class ImportedCheckpoint(NamedTuple):
    """A session as it was imported; ``session_id`` None: it would be, nothing was written.

    ``replaced``: the session that is in the trash now. ``edited``: the file's messages are not
    those of the transcript that came with it, so they were taken and it was not.
    """

    session_id: str | None
    name: str | None
    message_count: int
    replaced: str | None
    edited: bool

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.name or self.session_id or "without a name"


# --- out -----------------------------------------------------------------------------------------


def export(
    vault: Vault,
    session_id: str,
    path: str | None,
    now: datetime,
    *,
    by: str | None = None,
    kind: Format | None = None,
    include_context: bool = False,
    include_metadata: bool = True,
    force: bool = False,
) -> Exported:
    """Write a session's checkpoint to a file, or, with ``path`` None, give its bytes.

    ``kind`` None: the format that the path names. Raises VaultError: an existing file without
    ``force``, a session without messages or too large, a file that can't be written.
    """
    kind = kind or (format_of_path(path) if path is not None else "json")
    if kind is None:
        raise VaultError(f"{path}: the ending names no format (.json, .yaml, .yml, .md).")
    if path is not None:
        check_target(path, force=force)
    checkpoint = make_checkpoint(
        vault, session_id, now, by=by, context=include_context, metadata=include_metadata
    )
    done = Exported(
        session_id,
        checkpoint.session.name,
        path,
        kind,
        len(checkpoint.messages),
        warning=_lacking(vault, checkpoint),
    )
    if kind == "markdown":  # it has no place for the transcript itself
        checkpoint = checkpoint._replace(original=None)
    data = _encoded(checkpoint, kind)
    del checkpoint
    if path is None:
        return done._replace(data=data)
    _write(path, data, force=force)
    return done


def _lacking(vault: Vault, checkpoint: Checkpoint) -> str:
    original = checkpoint.original
    if original is None or original.id is None or original.meta is not None:
        return ""
    path = vault.meta(original.id)
    if not os.path.lexists(vault.absolute(path)):
        return ""
    return f"{path} can't be read, so it is not in the checkpoint."


def check_target(path: str, *, force: bool) -> None:
    """Raises VaultError for a path at which no checkpoint may be written."""
    if not os.path.lexists(path):
        return
    if os.path.isdir(path):
        raise VaultError(f"{path} is a folder. Name a file in it, or export --all to it.")
    if not os.path.isfile(path) or os.path.islink(path):
        raise VaultError(f"{path} is not a regular file; nothing is written through it.")
    if not force:
        raise VaultError(f"{path} exists already.\nReplace it with --force, or name another file.")


def make_checkpoint(
    vault: Vault,
    session_id: str,
    now: datetime,
    *,
    by: str | None = None,
    context: bool = False,
    metadata: bool = True,
) -> Checkpoint:
    """A session as a checkpoint. Raises SessionNotFound, VaultError."""
    try:
        data = vaults.read_transcript(vault, session_id)[0]
    except FileNotFoundError:
        data = b""
    read = vaults.read_meta(vault, session_id)
    if not data and read is None:
        raise SessionNotFound(f"The files of {session_id!r} are gone.")
    is_large = len(data) > scan.LARGE
    transcript = parse(data, lean=is_large)
    meta = parse_meta(read or b"{}", session_id)[0]
    branch = active_branch(transcript.messages)
    messages = (CompactMessages if is_large else tuple)(_messages(branch, meta))
    if not len(messages):
        label = meta.name or session_id
        raise VaultError(f"Session {label!r} has no messages; a checkpoint needs at least one.")
    session = _session(session_id, transcript, meta)
    attached = _context(meta) if context else CheckpointContext()
    original = None
    if metadata:
        fields = None if read is None or not _is_object(read) else dict(meta.fields)
        if fields is not None and not context:
            fields.pop("context", None)
        original = Original(session_id, fields, data)
    else:
        by = None
        session = session._replace(metadata=None, project_path=None)
        attached = attached._replace(working_directory=None)
    return Checkpoint(
        VERSION, now, by, session, messages, attached, _statistics(len(messages), branch), original
    )


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(orjson.loads(data.removeprefix(b"\xef\xbb\xbf")), dict)
    except orjson.JSONDecodeError:
        return False


def _messages(branch: list[Message], meta: Meta) -> Iterator[CheckpointMessage]:
    """What a checkpoint holds of the active branch."""
    force = in_force(branch, meta.compactions) if meta.compactions else None
    covered = force[1] if force else 0
    for place, message in enumerate(branch):
        role, at = message.role, message.created_at
        if role != "tool":
            archived = place < covered or message.fields.get("archived") is True
            at = None if at == GO_ZERO else at
            yield tuple.__new__(CheckpointMessage, (role, message.text, at, archived))


def _session(session_id: str, transcript: Transcript, meta: Meta) -> CheckpointSession:
    row = describe(session_id, transcript, meta, 0, "")
    own = meta.fields.get("metadata")
    return CheckpointSession(
        meta.name or session_id,
        row.provider or UNKNOWN,
        row.model or UNKNOWN,
        meta.skill or None,
        meta.git_root or meta.directory,
        meta.created_at or parse_time(row.created_at),
        parse_time(row.updated_at),
        own if isinstance(own, dict) and own else None,
    )


def _context(meta: Meta) -> CheckpointContext:
    said = [item.value for item in meta.context if item.type == "atmos_md"]
    files = tuple(item.key for item in meta.context if item.type == "stack_file")
    instructions = said[0] if said else _instructions_in(meta.directory)
    return CheckpointContext(instructions, files, meta.directory)


def _instructions_in(directory: str | None) -> str | None:
    """What ATMOS.md or AGENTS.md says there; links are not followed: they could lead anywhere."""
    if directory is None or not os.path.isabs(directory):
        return None
    for name in _INSTRUCTIONS:
        with suppress(OSError, ValueError):
            path = os.path.join(directory, name)
            if atomic.check_regular(path).st_size <= MIB:
                return atomic.read_file(path)[0].decode("utf-8-sig", "replace")
    return None


def _statistics(count: int, branch: list[Message]) -> CheckpointStatistics:
    tokens = calls = 0
    for message in branch:
        fields = message.fields
        if "usage" in fields:
            used = fields["usage"]
            total = used.get("total_tokens") if isinstance(used, dict) else None
            tokens += total if isinstance(total, int) and total > 0 else 0
        if "tool_calls" in fields:
            calls += len(tool_call_ids(message))
    roles = [message.role for message in branch]
    return CheckpointStatistics(count, roles.count("user"), roles.count("assistant"), tokens, calls)


def _encoded(checkpoint: Checkpoint, kind: Format) -> bytearray:
    """The file. Raises VaultError when it would be too large to be imported."""
    limit = LIMITS[kind]
    name = checkpoint.session.name
    data = bytearray()
    try:
        if checkpoint.original is not None and kind != "markdown":
            _check_size(len(checkpoint.original.transcript), limit, name, kind)
        for piece in _writer(kind)(checkpoint):
            data += piece
            _check_size(len(data), limit, name, kind)
    except CheckpointError as error:
        raise VaultError(f"Session {name!r} can't be exported: {error}.") from None
    return data


def _check_size(size: int, limit: int, name: str, kind: Format) -> None:
    if size > limit:
        other = " As JSON it may be 256 MiB: -f json" if kind == "yaml" else ""
        raise VaultError(
            f"Session {name!r} is too large: a {kind} checkpoint has at most {limit // MIB} MiB, "
            f"else it could not be imported again.{other}"
        )


def _writer(kind: Format) -> Any:
    if kind == "yaml":
        from vault_sessions.formats import checkpoint_yaml

        return checkpoint_yaml.encode
    return checkpoint_json.encode if kind == "json" else checkpoint_markdown.encode


def _write(path: str, data: bytes | bytearray, *, force: bool) -> None:
    """Put the whole file in place at once, private to the user; what stands there goes only with
    ``force``. Raises VaultError."""
    target = os.path.abspath(path)
    whole = cast("bytes", data)  # it is only read, and a copy would take as much memory again
    try:
        if force and os.path.lexists(target):
            os.chmod(target, atomic.FILE_MODE)  # what takes its place keeps its mode
            atomic.replace_file(target, whole)
        else:
            atomic.create_file(target, whole)
    except atomic.FileChanged:
        raise VaultError(f"{path} exists already.\nReplace it with --force.") from None
    except FileNotFoundError:
        folder = os.path.dirname(target)
        raise VaultError(f"There is no folder {folder}. Nothing was written.") from None
    except atomic.NotSynced as error:
        raise VaultError(f"{path}: {error.strerror}.") from error
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}. Nothing was written.") from error


# --- in ------------------------------------------------------------------------------------------


def read_input(path: str) -> bytes:
    """A file's bytes, at most as many as a checkpoint may have; of a database only the beginning.

    Raises VaultError: it can't be read, or is too large.
    """
    limit = max(LIMITS.values())
    try:
        with open(path, "rb") as file:
            data = file.read(len(SQLITE))
            if data != SQLITE and os.fstat(file.fileno()).st_size <= limit:
                data += file.read(limit + 1 - len(data))
            elif data != SQLITE:
                raise VaultError(f"{path}: too large: a checkpoint has at most {limit // MIB} MiB.")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a path"
        raise VaultError(f"{path}: {why}.") from error
    return data


def read_checkpoint(
    label: str, data: bytes, kind: Format | None = None, *, name: str | None = None
) -> Checkpoint:
    """The checkpoint that a file's bytes are; ``label`` is what messages call it.

    ``kind`` None: as its name ends, else as its content looks. Raises VaultError.
    """
    kind = kind or format_of_path(label) or format_of_content(data)
    limit = LIMITS[kind]
    if len(data) > limit:
        raise VaultError(f"{label}: too large: a {kind} checkpoint has at most {limit // MIB} MiB.")
    try:
        return checked(_reader(kind)(data), name=name)
    except CheckpointError as error:
        where = f":{error.line}:{error.column}" if error.line else ""
        raise VaultError(f"{label}{where}: {error}") from None


def _reader(kind: Format) -> Any:
    if kind == "yaml":
        from vault_sessions.formats import checkpoint_yaml

        return checkpoint_yaml.decode
    return checkpoint_json.decode if kind == "json" else checkpoint_markdown.decode


def import_checkpoint(
    vault: Vault,
    state: State,
    label: str,
    data: bytes,
    now: datetime,
    random: Random,
    holders: Callable[[str], list[str]],
    *,
    name: str | None = None,
    kind: Format | None = None,
    include_context: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
) -> ImportedCheckpoint:
    """Make a session of a checkpoint.

    ``holders(name)``: the sessions that have this name now, or it for an id. Raises NameTaken,
    VaultError; then nothing was written, unless it says so.
    """
    checkpoint = read_checkpoint(label, data, kind, name=name)
    count = len(checkpoint.messages)
    if checkpoint.original is None:
        new = _Restored(
            *_new_meta(checkpoint, label, name, include_context=include_context),
            _begun(checkpoint),
        )
    else:
        # the messages beside those of the transcript would be too much for the memory; if they
        # turn out to be others, they are read a second time
        begun, said = _begun(checkpoint), _digest(checkpoint.messages)
        checkpoint = checkpoint._replace(messages=())
        new = _restored(checkpoint, label, name, begun, said, include_context=include_context)
        if new.edited:
            checkpoint = read_checkpoint(label, data, kind, name=name)
    del data
    given = checkpoint.session.name
    with state.lock(NAMES):
        old = _to_replace(state, label, new.name or given, new.name, holders, overwrite)
        if dry_run:
            return ImportedCheckpoint(None, new.name, count, old, new.edited)
        session_id = _fresh_id(vault, new.begun or now, random)
        transcript = new.transcript
        if transcript is None:
            transcript = _lines(checkpoint, label, new.begun or now, random)
        meta = None if new.meta is None else {**new.meta, "id": session_id}
        vaults.make_session(vault, session_id, transcript, _meta_bytes(meta))
        if old is not None:
            _throw_away(vault, state, old, session_id, now)
    return ImportedCheckpoint(session_id, new.name, count, old, new.edited)


class _Restored(NamedTuple):
    """What a checkpoint makes; ``transcript`` None: its messages are to be written anew."""

    name: str | None
    meta: dict[str, Any] | None
    begun: datetime | None
    transcript: bytes | None = None
    edited: bool = False


def _restored(
    checkpoint: Checkpoint,
    label: str,
    name: str | None,
    begun: datetime | None,
    said: str,
    *,
    include_context: bool,
) -> _Restored:
    """The session that was exported; ``said`` is the digest of the file's messages."""
    original, given = checkpoint.original, checkpoint.session
    assert original is not None
    fields = dict(original.meta) if original.meta is not None else {}
    transcript = parse(original.transcript, lean=True)
    meta = parse_meta(orjson.dumps(fields), original.id or "")[0]
    same = _digest(_messages(active_branch(transcript.messages), meta)) == said
    before = _session(original.id or "", transcript, meta)
    del transcript
    if not same:
        for key in _FOR_MESSAGES_GONE:
            fields.pop(key, None)
    if not include_context:
        fields.pop("context", None)
    # what somebody changed in the file since it was written
    for key in ("provider", "model", "skill", "metadata"):
        value = getattr(given, key)
        if value != getattr(before, key):
            fields[key] = None if value == UNKNOWN else value
    if name is not None or given.name != before.name:
        fields["name"] = _name(label, name or given.name)
    new_name = parse_meta(orjson.dumps(fields), "")[0].name
    whole = None if original.meta is None and not fields else fields
    if whole and original.meta is None:
        whole = {"version": 1, "id": "", **fields}
    return _Restored(new_name, whole, begun, original.transcript if same else None, not same)


def _digest(messages: Iterable[CheckpointMessage]) -> str:
    """Equal for equal messages only."""
    digest = hashlib.sha256()
    for message in messages:
        digest.update(message_line(message_fields(message)))
    return digest.hexdigest()


def _begun(checkpoint: Checkpoint) -> datetime | None:
    """When the session began, for its id and for messages without a time."""
    times = chain([checkpoint.session.created_at], (m.created_at for m in checkpoint.messages))
    return next((at for at in times if at is not None and at >= _EPOCH), None)


def _name(label: str, given: str) -> str | None:
    """The name as it is stored; None for one of our ids, which stands for no name."""
    if started_at(given) is not None:
        return None
    name = clean_name(given)
    if name is None:
        raise VaultError(
            f"{label}: {given[:40]!r} can't be a session's name (1–100 characters, none of them "
            f"control characters).\nGive it another: --name NAME"
        )
    return name


def _new_meta(
    checkpoint: Checkpoint, label: str, name: str | None, *, include_context: bool
) -> tuple[str | None, dict[str, Any]]:
    """Name and metadata for a session that another program exported."""
    session, context = checkpoint.session, checkpoint.context
    directory = context.working_directory or session.project_path
    items = []
    if include_context and context.project_instructions:
        value = context.project_instructions
        items.append({"type": "atmos_md", "key": _INSTRUCTIONS[0], "value": value})
    if include_context:
        files = dict.fromkeys(context.files_accessed)
        items += [{"type": "stack_file", "key": path, "value": ""} for path in files]
    own_name = _name(label, name or session.name)
    meta = {
        "version": 1,
        "id": "",
        "name": own_name,
        "created_at": exact_time(session.created_at) if session.created_at else None,
        "provider": None if session.provider == UNKNOWN else session.provider,
        "model": None if session.model == UNKNOWN else session.model,
        "skill": session.skill,
        "directory": directory,
        "git_root": session.project_path if session.project_path != directory else None,
        "context": items,
        "source": {"kind": SOURCE, "id": session.name},
        "metadata": session.metadata,
    }
    return own_name, {
        key: value for key, value in meta.items() if value is not None or key == "name"
    }


def _lines(checkpoint: Checkpoint, label: str, begun: datetime, random: Random) -> bytes:
    """A transcript of the messages. Raises VaultError for one too long for a line."""
    lines = bytearray()  # each line that orjson makes would keep a kilobyte, were it kept
    for number, message in enumerate(checkpoint.messages, 1):
        fields: dict[str, Any] = {
            "role": message.role,
            "content": message.content,
            "id": uuid7(max(message.created_at or begun, _EPOCH), random(80)),
        }
        if message.created_at is not None:
            fields["created_at"] = exact_time(message.created_at)
        if message.archived:
            fields["archived"] = True
        line = message_line(fields)
        lines += line
        if len(line) > MAX_LINE:
            at_most = MAX_LINE // MIB
            raise VaultError(f"{label}: message {number} is too large: at most {at_most} MiB.")
    return cast("bytes", lines)  # it is only written, and a copy would take as much memory again


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _meta_bytes(meta: dict[str, Any] | None) -> bytes | None:
    if meta is None:
        return None
    return orjson.dumps(meta, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _to_replace(
    state: State,
    label: str,
    wanted: str,
    name: str | None,
    holders: Callable[[str], list[str]],
    overwrite: bool,
) -> str | None:
    """The session that the new one replaces. Raises NameTaken, VaultError."""
    if name is None and not overwrite:
        return None
    found = holders(wanted)
    if not found:
        return None
    if not overwrite:
        raise NameTaken(
            f"{label}: session {wanted!r} exists already ({found[0]}).\n"
            f"Import it under another name: --name NAME; or replace that one: --overwrite"
        )
    if len(found) > 1:
        raise VaultError(
            f"{label}: {' and '.join(found[:8])} are all named {wanted!r}; which one is to be "
            f"replaced?\nRename the others: vault-sessions rename {found[-1]} NAME"
        )
    if state.is_leased(found[0]):
        raise VaultError(
            f"{label}: session {wanted!r} ({found[0]}) is open in a chat; it can't be replaced now."
        )
    return found[0]


def _fresh_id(vault: Vault, begun: datetime, random: Random) -> str:
    while True:
        session_id = new_session_id(begun, random(30))
        paths = vault.transcript(session_id), vault.meta(session_id)
        if not any(os.path.lexists(vault.absolute(path)) for path in paths):
            return session_id


def _throw_away(vault: Vault, state: State, old: str, new: str, now: datetime) -> None:
    """Move the replaced session to the trash. Raises VaultError, naming the new one."""
    try:
        with state.lock(old):
            # the metadata first: a transcript alone is a session, metadata alone is none; what is
            # left of its conflict copies would become the session again
            paths = sorted(
                scan.files_of(vault, [old])[old], key=lambda path: path.endswith(TRANSCRIPT)
            )
            trash.keep(vault, paths, f"import --overwrite: {new}", now, move=True)
    except VaultError as error:
        raise VaultError(f"Imported as {new}, but {old} is still there. {error}") from error

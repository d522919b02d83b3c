"""Atmos's Go ``session`` package for Python programs, thin over the Workspace.

    from vault_sessions import SessionManager, Workspace

    with Workspace.open("~/notes") as ws:
        sessions = SessionManager(ws)
        made = sessions.create_session("vpc-migration")
        sessions.add_message(made.id, "user", "Which CIDR?")

Names and fields are Go's in snake case; what differs in meaning is in docs/atmos.md. Files are the
truth here too: what others write to them meanwhile is seen. All errors are VaultSessionsErrors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from vault_sessions.config import Settings
from vault_sessions.errors import NameTaken, SessionNotFound, VaultError, VaultSessionsError
from vault_sessions.formats.checkpoint import VERSION as CHECKPOINT_VERSION
from vault_sessions.formats.checkpoint import (
    Checkpoint,
    CheckpointContext,
    CheckpointMessage,
    CheckpointSession,
    CheckpointStatistics,
    Format,
)
from vault_sessions.formats.ids import name_key
from vault_sessions.formats.times import parse_time
from vault_sessions.workspace import Workspace
from vault_sessions.workspace.core import git_root, path_text

if TYPE_CHECKING:
    from vault_sessions import model
    from vault_sessions.transfer.checkpoints import Exported

__all__ = [
    "CHECKPOINT_VERSION",
    "CONTEXT_TYPE_ATMOS_MD",
    "CONTEXT_TYPE_COMPONENT",
    "CONTEXT_TYPE_QUERY",
    "CONTEXT_TYPE_SETTING",
    "CONTEXT_TYPE_STACK_FILE",
    "DEFAULT_MAX_SESSIONS",
    "DEFAULT_RETENTION_DAYS",
    "ROLE_ASSISTANT",
    "ROLE_SYSTEM",
    "ROLE_USER",
    "Checkpoint",
    "CheckpointContext",
    "CheckpointMessage",
    "CheckpointSession",
    "CheckpointStatistics",
    "CompactConfig",
    "CompactPlan",
    "CompactResult",
    "CompactStatus",
    "ContextItem",
    "CreateSessionParams",
    "ExportOptions",
    "ImportOptions",
    "Message",
    "Session",
    "SessionManager",
    "Summary",
    "default_compact_config",
    "validate_checkpoint_file",
]

ROLE_USER = "user"
ROLE_ASSISTANT = "assistant"
ROLE_SYSTEM = "system"

CONTEXT_TYPE_STACK_FILE = "stack_file"
CONTEXT_TYPE_COMPONENT = "component"
CONTEXT_TYPE_SETTING = "setting"
CONTEXT_TYPE_QUERY = "query"
CONTEXT_TYPE_ATMOS_MD = "atmos_md"

DEFAULT_RETENTION_DAYS = 30
DEFAULT_MAX_SESSIONS: int | None = None
"""No limit: a memory does not lose its eleventh session by default."""

Path = str | os.PathLike[str]


# --- values --------------------------------------------------------------------------------------


class Session(NamedTuple):
    """A conversation. ``name`` None: it has none. ``project_path``: its git root, else directory.

    ``updated_at`` is its last activity; ``message_count`` counts the active branch; ``metadata``
    is the owner's own.
    """

    id: str
    name: str | None
    project_path: str | None
    model: str | None
    provider: str | None
    skill: str | None
    created_at: datetime | None
    updated_at: datetime | None
    metadata: dict[str, Any]
    message_count: int


class Message(NamedTuple):
    """A message; ``content`` as text. ``created_at`` None: not known.

    ``archived``: a summary stands for it, or it was archived where it was imported from.
    ``is_summary``: it is no message of the conversation but the summary of what came before.
    """

    id: str
    session_id: str
    role: str
    content: str
    created_at: datetime | None = None
    archived: bool = False
    is_summary: bool = False


class ContextItem(NamedTuple):
    """Something attached to a session: one value for a type and key."""

    session_id: str
    context_type: str
    context_key: str
    context_value: str


class Summary(NamedTuple):
    """A summary and the messages for which it stands, from the first on.

    ``original_message_ids`` is empty for one that belongs to another branch.
    """

    id: str
    session_id: str
    provider: str | None
    original_message_ids: tuple[str, ...]
    message_range: str
    summary_content: str
    token_count: int | None
    compacted_at: datetime | None


class CreateSessionParams(NamedTuple):
    """What ``create_session`` takes, as a value: ``create_session(**params._asdict())``."""

    name: str | None = None
    model: str | None = None
    provider: str | None = None
    skill: str | None = None
    metadata: Mapping[str, Any] | None = None


class ExportOptions(NamedTuple):
    """What ``export_session`` takes: ``export_session(id, path, **options._asdict())``."""

    include_context: bool = False
    include_metadata: bool = True
    format: Format | None = None


class ImportOptions(NamedTuple):
    """What ``import_session`` takes: ``import_session(path, **options._asdict())``."""

    name: str | None = None
    project_path: Path | None = None
    overwrite_existing: bool = False
    include_context: bool = True


class CompactConfig(NamedTuple):
    """When a conversation is summarized, and how much of it."""

    enabled: bool
    trigger_threshold: float
    compact_ratio: float
    preserve_recent: int
    use_ai_summary: bool
    show_summary_markers: bool


class CompactPlan(NamedTuple):
    """What a summary would stand for. ``estimated_savings``: the tokens of these messages."""

    session_id: str
    total_messages: int
    messages_to_compact: tuple[Message, ...]
    messages_to_keep: tuple[Message, ...]
    estimated_savings: int
    reason: str


class CompactStatus(NamedTuple):
    """How far a compaction is: ``starting``, ``summarizing``, ``completed`` or ``failed``.

    ``estimated_savings``: tokens; when completed, what it came to. ``error``: why it failed.
    """

    stage: str
    message_count: int
    estimated_savings: int
    error: VaultSessionsError | None = None


class CompactResult(NamedTuple):
    """What a compaction made: the summary, and the messages for which it stands from now on."""

    summary_id: str
    original_message_ids: tuple[str, ...]
    summary_content: str
    token_count: int
    compacted_at: datetime | None


def default_compact_config() -> CompactConfig:
    """The settings of compaction where nobody has set any."""
    return _compact_config(Settings())


def _compact_config(settings: Settings) -> CompactConfig:
    return CompactConfig(
        settings.compact_enabled,
        float(settings.trigger_threshold),
        float(settings.compact_ratio),
        settings.preserve_recent,
        settings.use_ai_summary,
        settings.show_summary_markers,
    )


def validate_checkpoint_file(path: Path) -> Checkpoint:
    """What a checkpoint file says; nothing is imported. Raises VaultError, saying what is wrong."""
    from vault_sessions.transfer import checkpoints

    label = os.fspath(path)
    return checkpoints.read_checkpoint(label, checkpoints.read_input(label))


# --- the manager ---------------------------------------------------------------------------------


class SessionManager:
    """The sessions of a project, or (``project_path`` None) all of the vault.

    A project is a git repository, else a directory. It limits ``list_sessions``,
    ``get_session_by_name``, ``clean_old_sessions``, ``max_sessions`` and what an import may
    replace; an id is good for any session. ``max_sessions``: when one more is created, the oldest
    ended ones beyond it go to the trash; None or 0: no limit.
    """

    def __init__(
        self,
        workspace: Workspace,
        project_path: Path | None = None,
        max_sessions: int | None = DEFAULT_MAX_SESSIONS,
    ) -> None:
        self._workspace = workspace
        self._project = None if project_path is None else _Project.of(project_path)
        self._max_sessions = max_sessions
        self._on_compact: Callable[[CompactStatus], None] | None = None

    def __enter__(self) -> SessionManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the workspace; harmless when done twice."""
        self._workspace.close()

    # --- sessions ---

    def create_session(
        self,
        name: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        skill: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """A session without messages. Raises NameTaken: names are unique in the vault, whatever
        the project; VaultError."""
        fields = {
            "name": name,
            "model": model,
            "provider": provider,
            "skill": skill,
            "metadata": None if metadata is None else dict(metadata),
        }
        directory = self._project.path if self._project is not None else None
        made = self._workspace.create_session(fields, directory=directory)
        self._tidy()
        return self._session(made)

    def get_session(self, session_id: str) -> Session:
        """The session of exactly that id, of whatever project. Raises SessionNotFound."""
        return self._session(self._row(session_id))

    def get_session_by_name(self, name: str) -> Session:
        """The session of that name in this project; upper and lower case are the same. Of two that
        two machines gave it, the more recently active. Raises SessionNotFound."""
        key = name_key(name.strip())
        for row in self._rows(self._workspace.called(name)):
            if row.name is not None and name_key(row.name) == key:
                return self._session(row)
        where = f" in {self._project.root}" if self._project is not None else ""
        raise SessionNotFound(f"There is no session named {name!r}{where}.")

    def list_sessions(self) -> list[Session]:
        """All of them, the most recently active first; none is hidden."""
        return [self._session(row) for row in self._rows(self._workspace.list())]

    def update_session(self, session: Session) -> Session:
        """Write what differs in name, model, provider, skill and metadata; all else is derived or
        never changes. The session as it is then. Raises SessionNotFound, NameTaken, VaultError."""
        now = self.get_session(session.id)
        changes = {
            field: getattr(session, field)
            for field in ("name", "model", "provider", "skill", "metadata")
            if getattr(session, field) != getattr(now, field)
        }
        if not changes:
            return now
        return self._session(self._workspace.change_session(session.id, changes))

    def delete_session(self, session_id: str) -> None:
        """Move a session to the trash, from where ``restore`` brings it back.

        Raises SessionNotFound; VaultError: it is open in a chat.
        """
        self._workspace.trash.delete([self._row(session_id).id])

    def clean_old_sessions(self, retention_days: int = DEFAULT_RETENTION_DAYS) -> int:
        """Move those to the trash whose last activity is at least so many days (of 24 hours) ago,
        0 is all of them; how many these were. None that is open in a chat. Raises VaultError."""
        if type(retention_days) is not int or retention_days < 0:
            raise VaultError(f"{retention_days!r}: give a whole number of days, 0 or more.")
        span = timedelta(days=min(retention_days, timedelta.max.days))
        old = self._rows(self._workspace.trash.old_sessions(span).go)
        if old:
            self._workspace.trash.delete([row.id for row in old], f"clean {retention_days}d")
        return len(old)

    def _tidy(self) -> None:
        if self._max_sessions is None or self._max_sessions <= 0:
            return
        from vault_sessions.rules.retention import too_many

        rows = self._rows(self._workspace.list())
        go = too_many(rows, self._max_sessions, self._workspace.state.leased()).go
        if go:
            self._workspace.trash.delete([row.id for row in go], "max_sessions")

    # --- messages ---

    def add_message(self, session_id: str, role: str, content: str) -> Message:
        """Append a message; it is on disk when this returns. Nobody is asked for an answer.

        Raises SessionNotFound; VaultError: another role than user, assistant or system, or it
        can't be written.
        """
        if role not in (ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM):
            raise VaultError(f"role {role!r}: give user, assistant or system.")
        if not isinstance(content, str):
            raise VaultError(f"The content of a message is text, not {type(content).__name__}.")
        line = self._workspace.add_message(self._row(session_id).id, role, content)
        at = parse_time(line["created_at"])
        return Message(line["id"], session_id, role, line["content"], at)

    def get_messages(self, session_id: str, limit: int = 0) -> list[Message]:
        """The active branch in its order; with a limit the newest so many. Raises
        SessionNotFound."""
        return _newest(self._read(session_id).messages, limit)

    def get_active_messages(self, session_id: str, limit: int = 0) -> list[Message]:
        """Those that no summary stands for, which a model is sent as they are; with a limit the
        newest so many. Raises SessionNotFound."""
        read = self._read(session_id)
        return _newest(read.messages[read.covered :], limit)

    def get_message_count(self, session_id: str) -> int:
        """How many messages the active branch has. Raises SessionNotFound."""
        return self._row(session_id).message_count

    def get_summaries(self, session_id: str) -> list[Summary]:
        """The summaries, in the order they were made; each has those before it folded in. Raises
        SessionNotFound."""
        read = self._read(session_id)
        ids = [message.id for message in read.messages]
        return [_summary(session_id, one, ids) for one in read.compactions]

    def get_messages_with_compaction(self, session_id: str, limit: int = 0) -> list[Message]:
        """What a model would be sent of it: the summary in force, if there is one, then the
        messages behind it; with a limit the newest so many of these. It compacts nothing. Raises
        SessionNotFound."""
        read = self._read(session_id)
        active = _newest(read.messages[read.covered :], limit)
        if read.in_force is None:
            return active
        return [self._summary_message(session_id, read.in_force), *active]

    def _summary_message(self, session_id: str, one: model.Compaction) -> Message:
        text = one.summary
        if self._workspace.settings.show_summary_markers:
            text = f"[SUMMARY: {one.message_range}]\n{text}\n[END SUMMARY]"
        at = parse_time(one.compacted_at)
        return Message(one.id, session_id, ROLE_SYSTEM, text, at, is_summary=True)

    def should_compact(
        self,
        messages: Sequence[Message],
        max_messages: int | None = None,
        config: CompactConfig | None = None,
    ) -> CompactPlan | None:
        """Would these active messages of a session be summarized now, and how many? None: no.

        What is not given is as in the settings; ``max_messages`` 0: only their tokens count.
        Nothing is read or written.
        """
        from vault_sessions.rules.compaction import CompactRules, plan
        from vault_sessions.rules.context import tokens

        settings = self._workspace.settings
        chosen = config or _compact_config(settings)
        most = settings.max_history_messages if max_messages is None else max_messages
        rules = CompactRules(
            max(most, 0),
            settings.max_history_tokens,
            str(chosen.trigger_threshold),  # the decimal that was written: 0.29 is 0.29
            str(chosen.compact_ratio),
            chosen.preserve_recent,
            chosen.enabled,
        )
        said = tuple(message for message in messages if not message.is_summary)
        decision = plan([_plain(message) for message in said], rules)
        if not decision.k:
            return None
        fold = said[: decision.k]
        savings = sum(tokens(message.content) for message in fold)
        return CompactPlan(
            said[0].session_id, len(said), fold, said[decision.k :], savings, decision.reason
        )

    def compact(self, plan: CompactPlan, config: CompactConfig | None = None) -> CompactResult:
        """Summarize the messages of a plan, by the session's model or (``use_ai_summary`` false)
        by their beginnings; facts are learned from them first. The transcript stays as it is.

        Raises SessionNotFound; ProviderError: the model failed; VaultError: the conversation is
        not what was planned for. Then no summary was made.
        """
        session_id = self._row(plan.session_id).id
        chosen = config or _compact_config(self._workspace.settings)
        done = self._workspace.compaction.exactly(
            session_id,
            [message.id for message in plan.messages_to_compact],
            use_ai=chosen.use_ai_summary,
            on_status=lambda status: self._tell_compacting(CompactStatus(*status)),
        )
        record = done.record
        return CompactResult(
            record.id,
            tuple(message.id for message in done.folded),
            record.summary,
            record.token_count or 0,
            parse_time(record.compacted_at),
        )

    def set_compact_status_callback(self, callback: Callable[[CompactStatus], None] | None) -> None:
        """Who hears how far ``compact`` is; None: nobody."""
        self._on_compact = callback

    def _tell_compacting(self, status: CompactStatus) -> None:
        if self._on_compact is not None:
            self._on_compact(status)

    # --- context ---

    def add_context(
        self, session_id: str, context_type: str, context_key: str, context_value: str
    ) -> None:
        """Attach a value to a session, in place of the one that this type and key had. Raises
        SessionNotFound, VaultError."""
        for text in (context_type, context_key, context_value):
            if not isinstance(text, str):
                raise VaultError(f"Context is text, not {type(text).__name__}.")
        session_id = self._row(session_id).id
        self._workspace.add_context(session_id, context_type, context_key, context_value)

    def get_context(self, session_id: str) -> list[ContextItem]:
        """What is attached to a session. Raises SessionNotFound."""
        items = self._workspace.meta(self._row(session_id).id).context
        return [ContextItem(session_id, *item) for item in items]

    def delete_context(self, session_id: str) -> None:
        """Take away all that is attached to a session. Raises SessionNotFound, VaultError."""
        self._workspace.delete_context(self._row(session_id).id)

    # --- files that travel ---

    def export_session(
        self,
        session_id: str,
        path: Path,
        *,
        include_context: bool = False,
        include_metadata: bool = True,
        format: Format | None = None,
    ) -> Exported:
        """Write a checkpoint, in the format that the file's ending names; an existing file is not
        replaced. Raises SessionNotFound, VaultError."""
        return self._workspace.transfer.export(
            self._row(session_id).id,
            os.fspath(path),
            format=format,
            include_context=include_context,
            include_metadata=include_metadata,
        )

    def export_session_by_name(
        self,
        name: str,
        path: Path,
        *,
        include_context: bool = False,
        include_metadata: bool = True,
        format: Format | None = None,
    ) -> Exported:
        """As ``export_session``, for the session of that name in this project."""
        return self.export_session(
            self.get_session_by_name(name).id,
            path,
            format=format,
            include_context=include_context,
            include_metadata=include_metadata,
        )

    def import_session(
        self,
        path: Path,
        *,
        name: str | None = None,
        project_path: Path | None = None,
        overwrite_existing: bool = False,
        include_context: bool = True,
    ) -> Session:
        """Make a session of a checkpoint, in that project, else in this manager's, else where the
        file says. What it replaces goes to the trash.

        Raises NameTaken: another session has the name, or one of another project is to be
        replaced; VaultError. Then nothing was written.
        """
        workspace, file = self._workspace, os.fspath(path)
        project = self._project if project_path is None else _Project.of(project_path)
        options: dict[str, Any] = {
            "name": name,
            "include_context": include_context,
            "overwrite": overwrite_existing,
        }
        if overwrite_existing and project is not None:
            old = workspace.transfer.import_checkpoint(file, **options, dry_run=True).replaced
            if old is not None and not project.has(other := workspace.find(old)):
                raise NameTaken(
                    f"{file}: session {other.label!r} ({old}) is of another project; it is not "
                    f"replaced."
                )
        done = workspace.transfer.import_checkpoint(file, **options)
        assert done.session_id is not None
        if project is not None:
            place = {"directory": project.directory, "git_root": project.git_root}
            workspace.change_session(done.session_id, place)
        return self.get_session(done.session_id)

    # --- reading ---

    def _row(self, session_id: str) -> model.Session:
        """The session of exactly that id. Raises SessionNotFound."""
        for row in self._workspace.called(session_id):
            if row.id == session_id:
                return row
        raise SessionNotFound(f"There is no session of the id {session_id!r}.")

    def _rows(self, rows: Sequence[model.Session]) -> list[model.Session]:
        """Those of this project."""
        project = self._project
        return [row for row in rows if project is None or project.has(row)]

    def _session(self, row: model.Session) -> Session:
        own = self._workspace.meta(row.id).fields.get("metadata")
        return Session(
            row.id,
            row.name,
            row.git_root or row.directory,
            row.model,
            row.provider,
            row.skill,
            parse_time(row.created_at),
            parse_time(row.updated_at),
            own if isinstance(own, dict) else {},
            row.message_count,
        )

    def _read(self, session_id: str) -> _Read:
        shown = self._workspace.show(self._row(session_id).id)
        branch = [m for m in shown.transcript.messages if m.id in shown.active]
        messages = [
            Message(
                message.id,
                session_id,
                message.role,
                message.text,
                message.created_at,
                message.id in shown.covered or message.fields.get("archived") is True,
            )
            for message in branch
        ]
        return _Read(messages, len(shown.covered), shown.in_force, shown.meta.compactions)


class _Project(NamedTuple):
    """Where sessions belong together: in a git work tree, else in a directory. ``directory`` and
    ``git_root`` as metadata has them, which is UTF-8."""

    path: str
    directory: str
    git_root: str | None

    @classmethod
    def of(cls, path: Path) -> _Project:
        """The project that a path is in."""
        real = os.path.realpath(os.path.expanduser(os.fspath(path)))
        root = git_root(real)
        return cls(real, path_text(real), root and path_text(root))

    @property
    def root(self) -> str:
        """Where it begins."""
        return self.git_root or self.directory

    def has(self, row: model.Session) -> bool:
        """Is the session of this project? What Atmos recorded has no git root."""
        here = (self.git_root, self.directory)
        return any(place is not None and place in here for place in (row.git_root, row.directory))


class _Read(NamedTuple):
    """A session's active branch, and how many of it the summary in force stands for."""

    messages: list[Message]
    covered: int
    in_force: model.Compaction | None
    compactions: tuple[model.Compaction, ...]


def _newest(messages: list[Message], limit: int) -> list[Message]:
    return messages[-limit:] if limit > 0 else messages


def _summary(session_id: str, one: model.Compaction, ids: list[str]) -> Summary:
    through = one.through_message_id
    covered = ids[: ids.index(through) + 1] if through in ids else []
    return Summary(
        one.id,
        session_id,
        one.provider,
        tuple(covered),
        one.message_range,
        one.summary,
        one.token_count,
        parse_time(one.compacted_at),
    )


def _plain(message: Message) -> model.Message:
    from vault_sessions.model import Message as Line

    return Line(message.id, message.role, message.content, message.created_at, -1, 0, {})

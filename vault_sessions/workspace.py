"""The hall: a vault, its mirror and the rules at work. One short method a use case.

    from vault_sessions import Workspace

    with Workspace.open("~/notes") as ws:
        print(ws.search("denver")[0].snippet)

This is the only module that says "then sync", and the only one that reads the clock.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vault_sessions import config, folders, sync
from vault_sessions import vault as vaults
from vault_sessions.errors import (
    AmbiguousSession,
    NameTaken,
    ProviderError,
    SessionNotFound,
    VaultError,
)
from vault_sessions.formats.fulltext import question_query, search_query
from vault_sessions.formats.ids import clean_name, name_key, uuid7
from vault_sessions.formats.session import SOON
from vault_sessions.keeper import Keeper
from vault_sessions.mirror import queries
from vault_sessions.mirror.store import Mirror
from vault_sessions.model import (
    LOCAL,
    OFFLINE,
    Change,
    Compaction,
    Hit,
    Meta,
    Problem,
    Proposal,
    Session,
    Transcript,
)
from vault_sessions.state import NAMES, State
from vault_sessions.vault import Vault

if TYPE_CHECKING:
    from vault_sessions.formats.checkpoint import Format
    from vault_sessions.formats.memory import Skill
    from vault_sessions.lifecycle.asking import Who
    from vault_sessions.lifecycle.compacting import Compacted, Status
    from vault_sessions.lifecycle.desk import Conversation, Desk, Saved
    from vault_sessions.lifecycle.endings import Ended
    from vault_sessions.lifecycle.turns import Turn
    from vault_sessions.live import Live
    from vault_sessions.memory import Kit
    from vault_sessions.memory.facts import Outcome, Why
    from vault_sessions.removal import Learned, Trashed
    from vault_sessions.repair.doctor import Finding, Fixed
    from vault_sessions.rules.ending import Due
    from vault_sessions.rules.facts import Entry
    from vault_sessions.rules.resume import Decision
    from vault_sessions.rules.retention import Retention
    from vault_sessions.rules.stats import Stats
    from vault_sessions.transfer.checkpoints import Exported, ImportedCheckpoint
    from vault_sessions.transfer.foreign import Imported


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _random_bits(count: int) -> int:
    """As ``secrets.randbits``, whose import costs every start 3 ms."""
    return int.from_bytes(os.urandom((count + 7) // 8)) >> (-count % 8)


def path_text(path: str) -> str:
    """A path as it is stored: one that is no UTF-8 can't be written as it is."""
    return os.fsencode(path).decode("utf-8", "replace")


def _user() -> str | None:
    """The name of the account that runs the program."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def _quiet(text: str) -> None:
    """Nobody listens."""


def _yes(question: str) -> bool:
    """Nobody is there to be asked."""
    return True


def _unasked(proposal: Proposal) -> str | None:
    """Nobody is there to be asked, so memory is not changed."""
    return None


class Shown(NamedTuple):
    """One session, read from its files: its row, its messages and what is wrong in them.

    ``active`` holds the ids of the messages on the active branch, ``covered`` those of them that
    ``in_force``, the compaction in force, stands for.
    """

    session: Session
    transcript: Transcript
    meta: Meta
    problems: tuple[tuple[str, Problem], ...]
    active: frozenset[str]
    in_force: Compaction | None = None
    covered: frozenset[str] = frozenset()


class Answering(NamedTuple):
    """Who can be asked: the ``model`` they have by themselves, and why they can't be asked now."""

    name: str
    model: str | None
    fault: str


class Workspace:
    """A vault at work. Open it with ``Workspace.open``; close it, or use it in a ``with``."""

    def __init__(
        self,
        vault: Vault,
        settings: config.Settings,
        *,
        say: Callable[[str], None] = _quiet,
        ask: Callable[[str], bool] = _yes,
        confirm: Callable[[Proposal], str | None] = _unasked,
        clock: Callable[[], datetime] = _utc_now,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
    ) -> None:
        self.vault = vault
        self.settings = settings
        self.state = State(folders.vault_folder("state", vault.root))
        self._say = say
        self._ask = ask
        self._confirm = confirm
        self._clock = clock
        self._environment = dict(os.environ if environment is None else environment)
        self._directory = os.path.realpath(directory or os.getcwd())
        self._invocation = uuid7(clock(), _random_bits(80))
        self._conversation: Conversation | None = None
        self._topic_tried: str | None = None
        self._keeper = Keeper(vault, self.state, say, clock)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        say: Callable[[str], None] = _quiet,
        ask: Callable[[str], bool] = _yes,
        confirm: Callable[[Proposal], str | None] = _unasked,
        clock: Callable[[], datetime] = _utc_now,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
    ) -> Workspace:
        """Open a vault: ``path``, else the nearest one above ``directory`` (the present one),
        else the one that the settings name.

        ``flags`` are settings by key that win over all others; ``say`` gets notices for a person,
        ``ask`` a question whose answer is yes or no, ``confirm`` a change of memory to be
        confirmed: it returns the text to save, None for no.
        Raises VaultError, ConfigError.
        """
        env = dict(os.environ if environment is None else environment)
        user_file = user_settings()
        given = os.fspath(path) if path is not None else env.get("VAULT_SESSIONS_VAULT")
        folder = env.get("VAULT_SESSIONS_FOLDER") or "atlas"
        root = given or vaults.find_vault(directory or os.getcwd(), folder)
        if root is None:
            root = config.load(user_file, None, env).vault
        if root is None:
            raise VaultError(
                "There is no vault here or above.\n"
                "Make one: vault-sessions init DIR; or name one: --vault DIR"
            )
        root = os.path.abspath(os.path.expanduser(root))
        if not os.path.isdir(root):
            raise VaultError(
                f"There is no folder {root}.\nMake a vault: vault-sessions init {root}"
            )
        kept = os.path.join(folders.vault_folder("cache", root), "settings.json")
        vault_file = vaults.check_inside(Vault(root), vaults.SETTINGS)
        settings = config.load(user_file, vault_file, env, dict(flags or {}), kept)
        for warning in settings.warnings:
            say(f"Warning: {warning}")
        vault = vaults.open_vault(root, settings.folder)
        return cls(
            vault,
            settings,
            say=say,
            ask=ask,
            confirm=confirm,
            clock=clock,
            environment=env,
            directory=directory,
        )

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the open conversation and the mirror; harmless when done twice."""
        if self._conversation is not None and self._conversation.lease is not None:
            self._conversation.lease.release()
            self._conversation = None
        self._keeper.close()

    # --- the mirror ---

    @property
    def mirror_path(self) -> str:
        """Where the SQLite file of this vault is (or would be)."""
        return self._keeper.path

    def sync(self) -> None:
        """Reconcile the mirror with the files now."""
        self._keeper.reconcile()

    def live(
        self,
        *,
        say: Callable[[str], None] = _quiet,
        heard: Callable[[str, str], None] | None = None,
    ) -> Live:
        """An observer that keeps the mirror fresh in a thread of its own, from its ``start`` to
        its ``stop``. ``say`` and ``heard`` are called in that thread."""
        from vault_sessions.live import Live

        return Live(self.vault, self.state, self._clock, say=say, heard=heard)

    def reindex(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Make a new mirror; readers keep the old one until it is whole. Returns how many
        sessions it has."""
        return self._keeper.reindex(progress)

    # --- what is wrong ---

    def doctor(self) -> builtins.list[Finding]:
        """All that is wrong: in the files, read anew, in the mirror, in git's set-up, in locks."""
        from vault_sessions import scan
        from vault_sessions.repair import doctor

        seen = scan.look(self.vault)
        changes = self._keeper.reconcile()
        whole = changes is not None and changes.halted is None
        if not whole:
            self._say("Warning: the mirror could not be compared with the files just now.")

        def ask(mirror: Mirror) -> builtins.list[Finding]:
            compared = mirror if whole else None
            return doctor.examine(self.vault, self.state, compared, self._clock(), seen)

        return self._keeper.ask(ask)

    def mend(self) -> Iterator[Fixed]:
        """Mend what can be mended without losing anything, one file after another; the original of
        each is in the trash. Raises VaultError."""
        from vault_sessions.repair import doctor

        def saved(session_id: str | None) -> None:
            if session_id is None:
                self._keeper.reconcile()
            else:
                self._keeper.saved(session_id, None, b"")

        self._keeper.reconcile()  # what is missing from a file is kept before it is changed
        yield from doctor.mend(self.vault, self.state, self._clock(), saved)

    def forget_loss(self, given: str) -> bool:
        """Accept that messages are missing from a session; False: none were. Raises
        SessionNotFound, AmbiguousSession, VaultError."""
        from vault_sessions import guard

        self._keeper.reconcile()
        session_id = self.find(given).id
        was_open = guard.settle(self.state, session_id)
        self._keeper.saved(session_id, None, b"")
        return was_open

    def edited(self, session_id: str, shown: Collection[str]) -> None:
        """Take in a transcript that the owner has edited. Of the messages that were before their
        eyes none is missing now: they took it out. What came meanwhile may be."""
        from vault_sessions import guard

        self._keeper.reconcile()
        for loss in self.state.losses_of(session_id):
            names = [name for name, _ in loss.lines]
            if all(name in shown for name in names):
                guard.settle(self.state, session_id, names)
        self._keeper.saved(session_id, None, b"")

    # --- reading ---

    def list(
        self,
        *,
        provider: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
        sort: Literal["updated", "created", "name", "messages"] = "updated",
    ) -> builtins.list[Session]:
        """All sessions, the newest activity first; what was changed on disk meanwhile is seen."""
        now = self._clock()
        return self._keeper.ask_fresh(
            lambda mirror: queries.list_sessions(
                mirror, now, provider=provider, since=since, limit=limit, sort=sort
            )
        )

    def names(
        self,
        *,
        provider: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
        sort: Literal["updated", "created", "name", "messages"] = "updated",
    ) -> builtins.list[str]:
        """As ``list``, but only each session's name, or its id where it has none."""
        now = self._clock()
        return self._keeper.ask_fresh(
            lambda mirror: queries.list_names(
                mirror, now, provider=provider, since=since, limit=limit, sort=sort
            )
        )

    def search(
        self,
        query: str,
        *,
        any_word: bool = False,
        where: Literal["sessions", "memory", "all"] = "all",
        sort: Literal["newest", "relevance"] | None = None,
        role: str | None = None,
        since: datetime | None = None,
        session: str | None = None,
        limit: int = 20,
    ) -> builtins.list[Hit]:
        """Full text: words ANDed, newest first; ``any_word``: asked as a question, most relevant
        first. ``session`` is a name or an id."""
        compiled = question_query(query) if any_word else search_query(query)
        newest = (sort or ("relevance" if any_word else "newest")) == "newest"
        session_id = self.find(session).id if session is not None else None
        return self._keeper.ask_fresh(
            lambda mirror: queries.search(
                mirror,
                compiled,
                newest=newest,
                limit=limit,
                where=where,
                role=role,
                since=since,
                session_id=session_id,
            )
        )

    def find(self, given: str) -> Session:
        """The session of that name, id or unique beginning of an id.

        Raises SessionNotFound, AmbiguousSession.
        """
        now = self._clock()
        found = self._keeper.ask(lambda mirror: queries.find_sessions(mirror, now, given))
        if not found:  # perhaps another program made it just now
            found = self._keeper.ask_fresh(lambda m: queries.find_sessions(m, now, given))
        if not found:
            raise SessionNotFound(
                f"There is no session {given!r}.\nSee them all: vault-sessions list"
            )
        if len(found) > 1:
            some = ", ".join(f"{s.id} ({s.label})" for s in found[:8])
            more = f" and {len(found) - 8} more" if len(found) > 8 else ""
            raise AmbiguousSession(f"{given!r} is ambiguous: {some}{more}.\nGive the whole id.")
        return found[0]

    def show(self, given: str) -> Shown:
        """One session, read from its files. Raises SessionNotFound, AmbiguousSession."""
        from vault_sessions import guard, scan
        from vault_sessions.formats.transcript import active_branch
        from vault_sessions.rules.compaction import in_force

        session = self.find(given)
        found = scan.read_session(self.vault, session.id, sync.nanoseconds(self._clock()), _none)
        if found is None:
            raise SessionNotFound(f"The files of {given!r} are gone.")
        losses = guard.open_losses(self.vault, self.state, session.id)
        found = sync.with_losses(found, losses)
        branch = active_branch(found.transcript.messages)
        active = frozenset(message.id for message in branch)
        force, count = in_force(branch, found.meta.compactions) or (None, 0)
        covered = frozenset(message.id for message in branch[:count])
        meta_path = self.vault.meta(session.id)
        twice = [p for p in self._keeper.ask(queries.name_twice) if p[0] == meta_path]
        # the activity in the list leaves out stamps in the future; the row keeps it so
        row = found.session._replace(
            updated_at=session.updated_at, problems=found.session.problems + len(twice)
        )
        problems = (*found.problems, *twice)
        return Shown(row, found.transcript, found.meta, problems, active, force, covered)

    def meta(self, session_id: str) -> Meta:
        """What a session's metadata says now; nothing where it can't be read."""
        from vault_sessions.formats.meta import parse_meta

        try:
            data = vaults.read_meta(self.vault, session_id)
        except VaultError as error:
            self._say(f"Warning: {error}")
            return Meta()
        return Meta() if data is None else parse_meta(data, session_id)[0]

    def called(self, given: str) -> builtins.list[Session]:
        """The sessions that have this name now, or it for an id (not its beginning), the most
        recently active first; several have it where two machines gave it."""
        now = self._clock()
        whole = len(given) + 1
        return self._keeper.ask_fresh(lambda m: queries.find_sessions(m, now, given, whole))

    def transcript_bytes(self, given: str) -> bytes:
        """A session's transcript as it is on disk; empty for one without messages."""
        try:
            return vaults.read_transcript(self.vault, self.find(given).id)[0]
        except FileNotFoundError:
            return b""

    def stats(self) -> Stats:
        """Sessions, messages and tokens, by model, week, month and day; days are local ones."""
        from vault_sessions.rules.stats import TOP, count

        now = self._clock()
        return self._keeper.ask_fresh(
            lambda mirror: count(queries.said(mirror), queries.lengths(mirror, now, TOP))
        )

    def problem_files(self) -> int:
        """How many files have errors or warnings."""
        return self._keeper.ask(queries.problem_files)

    def problems(self) -> builtins.list[tuple[str, Problem]]:
        """All that is wrong in the vault's files, by path."""
        return self._keeper.ask(queries.problems)

    def memory_file(self, which: Literal["facts", "user"]) -> tuple[str, str]:
        """facts.md or user.md: its path from the root, and its text (empty: not there)."""
        folder = self.vault.long_term if which == "facts" else self.vault.identity
        path = f"{folder}/{which}.md"
        return path, self._text_of(path)

    def _text_of(self, path: str) -> str:
        """A file's text; one that can't be read is told, and hides no other."""
        try:
            return vaults.read_text(self.vault, path) or ""
        except VaultError as error:
            self._say(f"Warning: {error}")
            return ""

    def summaries(self) -> builtins.list[tuple[str, str]]:
        """The session summaries, newest first: path from the root and text."""
        return [(path, self._text_of(path)) for path in self.summary_paths()]

    def summary_paths(self) -> builtins.list[str]:
        """The files of the session summaries, newest first: paths from the root."""
        names = vaults.list_names(self.vault, self.vault.long_term)
        return [
            f"{self.vault.long_term}/{name}"
            for name in sorted(names, reverse=True)
            if name.startswith("session-") and name.endswith(".md")
        ]

    def memory_text(self, path: str) -> str:
        """A memory file's text, by its path from the root; empty: it is not there. Raises
        VaultError."""
        return vaults.read_text(self.vault, path) or ""

    # --- changing ---

    def rename(self, given: str, new: str) -> Session:
        """Give a session a name, unique in the vault. Raises NameTaken, VaultError."""
        session = self.find(given)
        return self.change_session(session.id, {"name": self.checked_name(new)})

    def change_session(self, given: str, changes: Mapping[str, Any]) -> Session:
        """Set its name, provider, model, skill, directory, git_root or metadata; None removes one.

        Raises SessionNotFound, AmbiguousSession, NameTaken, VaultError.
        """
        session = self.find(given)
        fields = self._meta_fields(changes)
        name = fields.get("name")
        if name is None:
            self._change_meta(session.id, fields)
            return self.find(session.id)
        with self.state.lock(NAMES):
            self._keeper.reconcile()
            other = self._keeper.ask(lambda mirror: queries.named(mirror, name, session.id))
            if other is not None:
                raise NameTaken(f"{name!r} is the name of {other} already (or its id).")
            self._change_meta(session.id, fields)
        return self.find(session.id)

    def create_session(
        self, fields: Mapping[str, Any] | None = None, *, directory: str | None = None
    ) -> Session:
        """A session without messages; ``fields`` as in ``change_session``. ``directory``: where it
        belongs; None: where the program runs. Raises NameTaken, VaultError."""
        from vault_sessions.lifecycle import direct

        wanted = self._meta_fields(fields or {})
        where = self._directory if directory is None else os.path.realpath(directory)
        root = git_root(where)
        wanted |= {"directory": path_text(where), "git_root": root and path_text(root)}
        name = wanted.get("name")
        with self.state.lock(NAMES):
            other = self._named(name) if name is not None else None
            if other is not None:
                raise NameTaken(f"{name!r} is the name of {other} already (or its id).")
            session_id = direct.create_session(self._desk(), wanted)
        return self.find(session_id)

    def _meta_fields(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be written, made sure that it can be. Raises VaultError."""
        import orjson

        fields = {key: value or None for key, value in changes.items()}
        if (name := fields.get("name")) is not None:
            fields["name"] = self.checked_name(name)
        try:
            checked: dict[str, Any] = orjson.loads(orjson.dumps(fields))
        except TypeError as error:
            raise VaultError(f"Only what JSON can hold can be stored: {error}.") from error
        return checked

    def add_message(self, given: str, role: str, content: str) -> dict[str, Any]:
        """Append a message that nobody answers; it is on disk when this returns. The line as it
        was written. Raises SessionNotFound, AmbiguousSession, SessionGone, VaultError."""
        from vault_sessions.lifecycle import direct, endings

        session = self.find(given)
        desk, is_new = self._desk(), session.message_count == 0
        line = direct.add_message(desk, session.id, role, content, create=is_new)
        if role == "user":
            try:
                endings.unmark_ending(desk, session.id)
            except VaultError as error:
                self._say(f"Warning: {error}")
        return line

    def add_context(self, given: str, kind: str, key: str, value: str) -> None:
        """Attach something to a session: one value for a type and key. Raises SessionNotFound,
        AmbiguousSession, VaultError."""
        from vault_sessions.formats.meta import with_context

        self._change_meta(
            self.find(given).id,
            lambda fields: {"context": with_context(fields.get("context"), kind, key, value)},
        )

    def delete_context(self, given: str) -> None:
        """Take away all that is attached to a session. Raises as ``add_context``."""
        self._change_meta(self.find(given).id, {"context": None})

    def _named(self, name: str) -> str | None:
        """The session that has the name now, on disk."""
        self._keeper.reconcile()
        return self._keeper.ask(lambda mirror: queries.named(mirror, name, None))

    def checked_name(self, name: str) -> str:
        """A name as it is stored. Raises VaultError for what can't be one."""
        clean = clean_name(name)
        if clean is None:
            raise VaultError(
                f"{name[:40]!r} can't be a name: 1–100 characters, none of them control characters."
            )
        return clean

    def set_topic(self, given: str, topic: str) -> Session:
        """Set a session's topic; it is the owner's from now on and never replaced."""
        session = self.find(given)
        text = " ".join(topic.split())[:200]
        if not text:
            raise VaultError("A topic has at least one character.")
        self._change_meta(session.id, {"topic": text, "topic_source": "user"})
        return self.find(session.id)

    def _change_meta(
        self,
        session_id: str,
        changes: dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        with self.state.lock(session_id):
            vaults.change_meta(self.vault, session_id, changes)
        self._keeper.saved(session_id, None, b"")

    # --- files that travel ---

    def export_session(
        self,
        given: str,
        path: str | None,
        *,
        format: Format | None = None,
        include_context: bool = False,
        include_metadata: bool = True,
        force: bool = False,
    ) -> Exported:
        """Write a session to a file (None: its bytes are in the result), in the format that its
        ending names. Raises SessionNotFound, AmbiguousSession, VaultError."""
        from vault_sessions.transfer import checkpoints

        return checkpoints.export(
            self.vault,
            self.find(given).id,
            path,
            self._clock(),
            by=_user() if include_metadata else None,
            kind=format,
            include_context=include_context,
            include_metadata=include_metadata,
            force=force,
        )

    def import_checkpoint(
        self,
        path: str,
        data: bytes | None = None,
        *,
        name: str | None = None,
        format: Format | None = None,
        include_context: bool = True,
        overwrite: bool = False,
        dry_run: bool = False,
    ) -> ImportedCheckpoint:
        """Make a session of a checkpoint, whose bytes may be given; all is checked before anything
        is written. Raises NameTaken, VaultError."""
        from vault_sessions.transfer import checkpoints

        done = checkpoints.import_checkpoint(
            self.vault,
            self.state,
            path,
            checkpoints.read_input(path) if data is None else data,
            self._clock(),
            _random_bits,
            self._holders,
            name=name,
            kind=format,
            include_context=include_context,
            overwrite=overwrite,
            dry_run=dry_run,
        )
        if done.session_id is not None:
            self._keeper.saved(done.session_id, None, b"")
            if done.replaced is not None:
                gone = self.vault.transcript(done.replaced), self.vault.meta(done.replaced)
                self._keeper.changed(gone)
        return done

    def import_store(
        self, path: str, *, name: str | None = None, dry_run: bool = False
    ) -> builtins.list[Imported]:
        """Bring over the sessions in another program's database, or the one of that name. Raises
        VaultError."""
        from vault_sessions.transfer import foreign

        try:
            return foreign.import_store(
                self.vault,
                self.state,
                path,
                self._clock(),
                _random_bits,
                name=name,
                dry_run=dry_run,
            )
        finally:
            self._keeper.reconcile()

    def _holders(self, name: str) -> builtins.list[str]:
        """The sessions that have this name now, on disk, or it for an id."""
        now = self._clock()
        self._keeper.reconcile()
        whole = len(name) + 1  # the beginning of an id is none
        found = self._keeper.ask(lambda mirror: queries.find_sessions(mirror, now, name, whole))
        return [session.id for session in found]

    # --- taking away ---

    def old_sessions(self, span: timedelta) -> Retention:
        """The sessions whose last activity is at least ``span`` ago."""
        from vault_sessions.rules import retention

        everything = self.list()
        return retention.older_than(everything, span, self._clock(), self.state.leased())

    def tidy(self) -> builtins.list[Session]:
        """Move the oldest ended sessions beyond ``max_sessions`` to the trash; which these were."""
        most = self.settings.max_sessions
        if most is None:
            return []
        from vault_sessions.rules import retention

        go = retention.too_many(self.list(), most, self.state.leased()).go
        self.delete([session.id for session in go], "max_sessions")
        return [*go]

    def delete(
        self,
        session_ids: Sequence[str],
        why: str = "delete",
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Move sessions to the trash. ``progress(done, total)`` counts the files, and then as much
        again for the mirror. Raises VaultError: one is in use."""
        from vault_sessions import removal

        def moving(done: int, total: int) -> None:
            if progress is not None:
                progress(done, 2 * total)

        def mirroring(done: int, total: int) -> None:
            if progress is not None:
                progress(total + done, 2 * total)

        self._refuse_in_use(session_ids)
        now = self._clock()
        paths = removal.delete(self.vault, self.state, session_ids, why, now, moving)
        self._keeper.changed(paths, progress=mirroring)

    def purge(self, *session_ids: str) -> None:
        """Erase sessions for good, on this machine. Raises VaultError: one is in use; MirrorError:
        another program reads the mirror."""
        from vault_sessions import removal

        self._refuse_in_use(session_ids)

        def erase_files() -> set[str]:
            return {
                path
                for session_id in session_ids
                for path in removal.purge(self.vault, self.state, session_id)
            }

        self._keeper.erase(session_ids, erase_files)

    def _refuse_in_use(self, session_ids: Sequence[str]) -> None:
        leased = self.state.leased()
        for session_id in session_ids:
            if session_id in leased:
                raise VaultError(f"Session {session_id} is open in a chat; leave that first.")

    def learned_from(self, session_id: str) -> Learned:
        """What long-term memory has from a session."""
        from vault_sessions import removal

        return removal.learned(self.vault, session_id)

    def unlearn(self, session_id: str, found: Learned, *, for_good: bool = False) -> None:
        """Take that out of long-term memory. Raises VaultError: the session is in use."""
        from vault_sessions import removal

        self._refuse_in_use([session_id])
        now, why = self._clock(), f"delete {session_id}"
        paths = removal.unlearn(
            self.vault, self.state, session_id, found, why, now, for_good=for_good
        )
        self._keeper.changed(paths, for_good=for_good)

    def trashed(self) -> builtins.list[Trashed]:
        """The sessions in the trash, the latest first."""
        from vault_sessions import removal

        return removal.trashed(self.vault)

    def find_trashed(self, given: str) -> Trashed | None:
        """The session of that name or id in the trash, the latest one."""
        from vault_sessions import removal

        try:
            return removal.find_trashed(self.trashed(), given)
        except VaultError:
            return None

    def restore(self, given: str) -> Session:
        """Bring a session back from the trash, by its name or id; a name that is taken by now gets
        a number. Raises VaultError."""
        from vault_sessions import removal

        trashed = self.trashed()
        one = removal.find_trashed(trashed, given)
        parts = removal.whole(self.vault, trashed, one)
        name = next((part.name for part in parts if part.name is not None), None)
        with self.state.lock(NAMES):
            taken = self._named(name) if name is not None else None
            removal.restore(self.vault, self.state, parts)
            self._keeper.changed([path for part in parts for path in part.files])
            if taken is not None and name is not None:
                self._change_meta(one.session_id, {"name": self._free_name(name)})
        return self.find(one.session_id)

    def _free_name(self, name: str) -> str:
        number = 2
        while self._named(f"{name[:90]}-{number}") is not None:
            number += 1
        return f"{name[:90]}-{number}"

    def empty_trash(self, span: timedelta) -> int:
        """Remove for good what was put in the trash at least ``span`` ago; how many times that
        was. Raises VaultError."""
        from vault_sessions import removal

        try:
            before = self._clock() - span
        except OverflowError:  # longer ago than the calendar goes back
            return 0
        return removal.empty_trash(self.vault, before)

    # --- memory ---

    def memory_entries(self) -> builtins.list[Entry]:
        """All that stands in facts.md. Raises VaultError."""
        from vault_sessions.memory import facts

        return facts.entries(self.vault)

    def memory_log(self) -> builtins.list[Change]:
        """All changes that we made to memory, the oldest first. Raises VaultError."""
        from vault_sessions.memory import facts

        return facts.log(self.vault)

    def memory_why(self, text: str) -> Why:
        """Where a text of memory comes from, and what its message says now. Raises VaultError."""
        from vault_sessions.memory import facts

        return facts.why(self.vault, text)

    def remember(self, text: str, section: str | None = None, *, beside: bool = False) -> Outcome:
        """Put a fact of the owner's into facts.md, merged with what is there; ``beside``: whatever
        else is there. What would replace a bullet of the owner's is offered, not done.

        Raises VaultError: it looks like a secret, there is no such section, …
        """
        from vault_sessions.memory import facts

        with self._memory_written():
            return facts.remember(self._kit(), text, section, by="user", beside=beside)

    def memory_apply(self, proposal: Proposal, text: str) -> Change:
        """Make a change of memory that the owner said yes to. Raises VaultError."""
        from vault_sessions.memory import facts

        with self._memory_written():
            return facts.apply(self._kit(), proposal, text)

    def memory_undo(self, change_id: str | None = None) -> Change:
        """Take back a change of memory, by its id or the beginning of it; None: the latest.

        Raises VaultError.
        """
        from vault_sessions.memory import facts

        with self._memory_written():
            return facts.undo(self._kit(), change_id)

    def _kit(self) -> Kit:
        from vault_sessions.memory import Kit

        return Kit(self.vault, self.state, self._clock(), _random_bits)

    @contextmanager
    def _memory_written(self) -> Iterator[None]:
        """The mirror has what memory says afterwards, also when an error came behind a write."""
        from vault_sessions.memory import facts

        try:
            yield
        finally:
            self._keeper.changed(facts.paths(self.vault))

    # --- corrections ---

    def correction(self, text: str, message_id: str | None = None) -> Proposal | None:
        """What to ask the owner, who has just said that in the open conversation (``message_id``
        None: in its newest message that says so); None: there is nothing to be asked. Raises
        VaultError."""
        from vault_sessions.lifecycle import correcting

        if self._conversation is None:
            return None
        return correcting.correction(self._desk(), self._conversation, text, message_id)

    def save_correction(self, proposal: Proposal, text: str) -> Change:
        """Make a change of memory that the owner said yes to, with the text as they left it.
        Raises VaultError: nothing was changed."""
        from vault_sessions.lifecycle import correcting

        return correcting.save(self._desk(), proposal, text)

    def decline(self, proposal: Proposal) -> None:
        """The owner said no: it is not asked again in the open conversation."""
        from vault_sessions.lifecycle import correcting

        if self._conversation is not None:
            correcting.decline(self._desk(), self._conversation, proposal)

    def offers(self) -> builtins.list[Proposal]:
        """The changes of memory that came up in the background and wait for the owner's answer.
        Raises VaultError."""
        from vault_sessions.lifecycle import correcting

        return correcting.offers(self._desk())

    def settle_offer(self, proposal: Proposal) -> None:
        """The owner has answered one of these: it is not asked again. Raises VaultError."""
        from vault_sessions.lifecycle import correcting

        correcting.settle(self._desk(), proposal)

    # --- talking ---

    def decide(self, *, new: bool = False) -> Decision:
        """Which session ``chat`` would open here and now, and why. Writes nothing."""
        from vault_sessions.formats.times import parse_time
        from vault_sessions.lifecycle.opening import candidate
        from vault_sessions.rules.resume import decide

        now = self._clock()
        settings = self.settings
        # a little wider than the window, so that the decision can say what just missed it
        wide = max(min(settings.resume_window, timedelta(days=36_500)) * 2, timedelta(days=2))
        after = now - wide
        found = self._keeper.ask_fresh(lambda mirror: queries.candidates(mirror, now, after))
        in_use = self.state.leased() if found else set()
        open_here = [
            candidate(session, at, session.id in in_use)
            for session in found
            if (at := parse_time(session.updated_at)) is not None
        ]
        return decide(open_here, self._place(), self._resume_rules(), now, new=new)

    def _resume_rules(self) -> Any:
        from datetime import time

        from vault_sessions.rules.resume import Rules

        settings = self.settings
        return Rules(
            settings.resume_window,
            settings.scope,
            settings.reset,
            timedelta(minutes=settings.idle_minutes),
            time.fromisoformat(settings.daily_at),
        )

    def decide_named(self, given: str) -> tuple[Decision, builtins.list[str]]:
        """As ``decide``, for a session asked for by name or id; and warnings.

        Raises AmbiguousSession, VaultError for what can't be a new name.
        """
        from vault_sessions.rules.resume import Decision

        now = self._clock()
        name = self.checked_name(given)
        found = self._keeper.ask(lambda mirror: queries.find_sessions(mirror, now, given, 15))
        if not found:
            return Decision("new", None, f"there is no session named {name!r}", name), []
        named = found[0].name is not None and name_key(found[0].name) == name_key(given.strip())
        if len(found) > 1 and not named:
            self.find(given)
        warnings = []
        if len(found) > 1:
            both = " and ".join(session.id for session in found)
            warnings.append(
                f"{both} have the same name; the more recently active is opened. "
                f"Rename one: vault-sessions rename {found[-1].id} NAME"
            )
        runner_up = found[1].id if len(found) > 1 else None
        decision = Decision("resume", found[0].id, "it was asked for by name", runner_up=runner_up)
        return decision, warnings

    def begin(
        self,
        decision: Decision,
        *,
        provider: str | None = None,
        model: str | None = None,
        skill: str | None = None,
        private: bool = False,
    ) -> Conversation:
        """Open what was decided; nothing is written until something is said, but that a session
        which this one follows is marked as ending."""
        from vault_sessions.lifecycle import endings, opening

        self.leave()
        desk = self._desk()
        options: dict[str, Any] = {
            "provider": provider,
            "model": model,
            "skill": skill,
            "private": private,
        }
        if decision.session_id is not None:
            conversation = opening.open_session(desk, decision.session_id, **options)
        else:
            conversation = opening.open_new(desk, name=decision.name, **options)
        if decision.ends is not None and not private:
            endings.mark_ending(desk, decision.ends, "new")
        self._conversation = conversation
        return conversation

    @property
    def conversation(self) -> Conversation | None:
        """The open conversation; it belongs to the thread that opened it."""
        return self._conversation

    def refresh(self) -> bool:
        """Re-read the open conversation if a file of it has changed. Was it so?"""
        from vault_sessions.lifecycle import changes

        conversation = self._conversation
        if conversation is None:
            return False
        before, meta = conversation.seen, conversation.meta
        changes.refresh(self._desk(), conversation)
        if conversation.session_id is not None and not conversation.private:
            conversation.meta = self.meta(conversation.session_id)
            conversation.name = conversation.meta.name
        return conversation.seen is not before or conversation.meta != meta

    def take_turn(
        self,
        text: str,
        *,
        session: str | None = None,
        on_text: Callable[[str], None] = _quiet,
        on_wait: Callable[[float, str], None] = lambda seconds, why: None,
        on_note: Callable[[str], None] = _quiet,
        again: str | None = None,
    ) -> Turn:
        """Say something and get an answer, in the open conversation, in ``session`` (a name or
        id), or in the one that the rules choose.

        ``again``: as ``say_again``, of the message with that id. ``on_note`` hears of each call of
        a tool. Failures of the model are in the Turn; what was said is on disk. Raises VaultError.
        """
        from vault_sessions.lifecycle import turns

        if session is not None:
            self.leave()
            decision, warnings = self.decide_named(session)
            for warning in warnings:
                self._say(f"Warning: {warning}")
            self.begin(decision)
        elif self._conversation is None:
            self.begin(self.decide())
        conversation = self._conversation
        assert conversation is not None
        return turns.take_turn(self._desk(), conversation, text, on_text, on_wait, on_note, again)

    def say_again(self, message_id: str, text: str, **heard: Any) -> Turn:
        """Say an earlier message of the user's again, as it was or in other words: a branch of the
        open conversation beside it, which stays as it is. One that still waits for its answer,
        unchanged, gets it. ``heard``: as for ``take_turn``. Raises VaultError."""
        return self.take_turn(text, again=message_id, **heard)

    def retry(self, **heard: Any) -> Turn:
        """Get another answer to what was said last in the open conversation. Raises VaultError."""
        from vault_sessions.lifecycle import changes, standing

        if self._conversation is None:
            raise VaultError("No conversation is open in which something could be said again.")
        changes.refresh(self._desk(), self._conversation)
        said = standing.last_said(self._conversation)
        return self.say_again(said.id, said.text, **heard)

    def stand_on(self, message_id: str) -> None:
        """Go to the newest branch of the open conversation that this message is on; what is said
        next is said there. Raises VaultError: the message is not there any more."""
        from vault_sessions.lifecycle import standing

        if self._conversation is not None:
            standing.stand_on(self._desk(), self._conversation, message_id)

    # --- endings and topics ---

    def end(self, given: str, *, offline: bool = False, learn: bool = False) -> Ended:
        """End a session now: topic, summary, facts, the picture of the user. ``offline``: without
        a model; ``learn``: memory learns from it even if it was imported.

        Raises SessionNotFound, AmbiguousSession, VaultError; ProviderError: it stays ``ending``.
        """
        from vault_sessions.lifecycle import endings

        session = self.find(given)
        desk = self._desk()
        return endings.end_session(desk, session.id, "command", offline=offline, learn=learn)

    def complete_ending(self, session_id: str) -> Ended | None:
        """End a session that is marked as ending; None: it is not, somebody goes on with it.
        Raises as ``end``."""
        from vault_sessions.lifecycle import endings

        mark = self.meta(session_id).ending
        return endings.end_session(self._desk(), session_id, mark.reason) if mark else None

    def unended(self) -> builtins.list[Session]:
        """The sessions that have not ended, the newest activity first."""
        now = self._clock()
        return self._keeper.ask_fresh(lambda mirror: queries.not_ended(mirror, now))

    def after_turn(self, session_id: str) -> None:
        """What may be due after an answer: a topic, a compaction. Raises ProviderError, VaultError:
        it is tried again after the next one."""
        from vault_sessions.errors import BadAnswer
        from vault_sessions.lifecycle import compacting, topics

        desk, who = self._desk(), self._who(session_id)
        try:
            self._topic_tried = session_id
            topics.give_topic_if_due(desk, session_id, who)
        except BadAnswer:
            pass  # nothing to be told of: the next turn tries again
        finally:
            compacting.compact_if_due(desk, session_id, who)

    def look_after(self) -> Iterator[Ended]:
        """End the sessions of this machine whose time is over, and those whose ending was cut
        short, five at most; then make topics that are missing. What failed says why; where the
        model can't be reached nothing more is tried."""
        from vault_sessions.errors import BadAnswer, ProviderError
        from vault_sessions.lifecycle import topics

        failed = False
        for done in self._end_each(self._ending_now()):
            yield done
            failed = done.error is not None
        desk = self._desk()
        for session_id in () if failed else self._without_topic():
            if session_id == self._topic_tried:  # just now, after its turn
                continue
            try:
                topics.give_topic_if_due(desk, session_id, self._who(session_id))
            except (BadAnswer, VaultError):
                continue
            except ProviderError:
                return

    def end_all(
        self,
        session_ids: Sequence[str] | None = None,
        *,
        offline: bool = False,
        learn: bool = False,
    ) -> Iterator[Ended]:
        """As ``end``, one after another: these sessions, or all that have not ended, those first
        that were left first. What went wrong with one is in its result; after a model that can't
        be reached no more come."""
        from vault_sessions.rules.ending import Due

        if session_ids is None:
            session_ids = [session.id for session in reversed(self.unended())]
        dues = [Due(session_id, "command") for session_id in session_ids]
        return self._end_each(dues, offline=offline, learn=learn)

    def _end_each(
        self, dues: Sequence[Due], *, offline: bool = False, learn: bool = False
    ) -> Iterator[Ended]:
        from vault_sessions.errors import BadAnswer, ProviderError
        from vault_sessions.lifecycle import endings

        paths: set[str] = set()  # mirrored together: each by itself takes as long as its ending

        def saved(what: Saved) -> None:
            paths.update((self.vault.transcript(what.session_id), self.vault.meta(what.session_id)))

        desk = self._desk()._replace(saved=saved, wrote=paths.update)
        try:
            for name, reason in dues:
                try:
                    yield endings.end_session(desk, name, reason, offline=offline, learn=learn)
                except (BadAnswer, VaultError) as error:
                    yield endings.Ended(name, name, "ending", error=str(error))
                except ProviderError as error:
                    yield endings.Ended(name, name, "ending", error=str(error))
                    return
        finally:
            if paths:
                self._keeper.changed(paths)

    def _ending_now(self) -> builtins.list[Due]:
        from vault_sessions.rules.ending import ends_by_itself

        rows, ours = self.unended(), self.state.written()
        rules, now = self._resume_rules(), self._clock()
        perhaps = ends_by_itself(rows, rules, now, ours, (), len(rows))
        in_use = {due.session_id for due in perhaps if self.state.is_leased(due.session_id)}
        return ends_by_itself(rows, rules, now, ours, in_use)

    def _without_topic(self) -> builtins.list[str]:
        from vault_sessions.rules.ending import lacks_topic

        if not self.settings.topic_auto:
            return []
        has_model = self.settings.default_provider != OFFLINE
        return lacks_topic(self.unended(), self.state.written(), has_model=has_model)

    def another(
        self,
        say: Callable[[str], None] = _quiet,
        *,
        ask: Callable[[str], bool] = _yes,
        confirm: Callable[[Proposal], str | None] = _unasked,
        follows: bool = False,
    ) -> Workspace:
        """The same vault for another thread: with a mirror of its own, and nobody to be asked but
        by these. ``follows``: a thread of this process watches the vault, and keeps the mirror
        fresh."""
        other = Workspace(
            self.vault,
            self.settings,
            say=say,
            ask=ask,
            confirm=confirm,
            clock=self._clock,
            environment=self._environment,
            directory=self._directory,
        )
        if follows:
            other._keeper = Keeper(self.vault, self.state, say, self._clock, follows=True)
        return other

    # --- compaction ---

    def compact(
        self,
        given: str,
        *,
        keep: str = "",
        on_status: Callable[[Status], None] = lambda status: None,
    ) -> Compacted | str:
        """Summarize a session's messages but for the newest, for the prompts to come; ``keep``:
        what the summary is to keep. A text says why there was nothing to do.

        Raises ProviderError, VaultError: nothing was recorded.
        """
        from vault_sessions.lifecycle import compacting

        session_id = self.find(given).id
        who = self._who(session_id)
        return compacting.compact_now(self._desk(), session_id, who, keep=keep, on_status=on_status)

    def compact_messages(
        self,
        session_id: str,
        messages: Sequence[str],
        *,
        use_ai: bool,
        on_status: Callable[[Status], None] = lambda status: None,
    ) -> Compacted:
        """Summarize exactly these messages (ids), which must be the first ones behind the summary
        in force. Raises ProviderError, VaultError: nothing was recorded."""
        from vault_sessions.lifecycle import compacting

        choose = compacting.exactly(messages)
        done = compacting.compact(
            self._desk(),
            session_id,
            self._who(session_id),
            choose,
            use_ai=use_ai,
            on_status=on_status,
        )
        if isinstance(done, str):
            raise VaultError(f"Session {session_id} was not summarized: {done}.")
        return done

    def _who(self, session_id: str) -> Who | None:
        """The model that works on a session: the one it is talking to, where it is open here."""
        from vault_sessions.lifecycle.asking import Who, who

        open_one = self._conversation
        if open_one is not None and open_one.session_id == session_id:
            offline = open_one.provider == OFFLINE
            return None if offline else Who(open_one.provider, open_one.model)
        return who(self._desk(), self.meta(session_id))

    def said(self, text: str) -> bool:
        """Was it said in the open conversation in this run? (Then it is on disk.)"""
        spoken = self._conversation.messages if self._conversation is not None else []
        ours = [m for m in spoken if m.fields.get("invocation_id") == self._invocation]
        return any(m.role == "user" and m.text == text for m in ours)

    def next_session(self) -> Decision | None:
        """Whether the reset policy wants a new session before the next message."""
        from vault_sessions.lifecycle import changes
        from vault_sessions.rules.resume import Decision, reset_due

        conversation = self._conversation
        if conversation is None or conversation.session_id is None or conversation.private:
            return None
        changes.refresh(self._desk(), conversation)
        now = self._clock()
        times = [
            message.created_at
            for message in conversation.messages
            if message.role in ("user", "assistant") and message.created_at is not None
        ]
        known = [at for at in times if at <= now + SOON]
        last = max([*known, *([conversation.opened_at] if conversation.opened_at else [])])
        reason = reset_due(last, self._resume_rules(), now)
        return Decision("new", None, reason) if reason else None

    def new_conversation(self, **options: Any) -> Conversation:
        """Begin afresh; the open conversation, if it has a session, is marked as ending."""
        from vault_sessions.rules.resume import Decision

        before = self._conversation
        ends = before.session_id if before is not None and not before.private else None
        self.leave()
        return self.begin(Decision("new", None, "asked for", ends=ends), **options)

    def leave(self) -> None:
        """Give the open conversation free; nothing more is written for it."""
        from vault_sessions.lifecycle import desk

        if self._conversation is not None:
            desk.release(self._conversation)
            self._conversation = None

    def skills(self) -> dict[str, Skill]:
        """The skills there are, by the stem of their file."""
        from vault_sessions.lifecycle import opening

        return opening.list_skills(self._desk())

    def use_skill(self, name: str | None) -> None:
        """Use a skill from now on; None: none. Raises VaultError when there is no such skill."""
        from vault_sessions.lifecycle import opening

        if name is not None:
            opening.find_skill(self._desk(), name)
        if self._conversation is not None:
            self._conversation.skill = name
            self._keep_choice({"skill": name})

    def use_model(self, provider: str | None, model: str | None) -> None:
        """Use another provider or model from now on; an empty model: the provider's own. Raises
        ProviderUnusable, saying what to set."""
        now = self._conversation
        if now is None:
            return
        if provider is not None:
            self.check_provider(provider)
            if provider != now.provider:
                now.model = None
            now.provider = provider
        if model is not None:
            now.model = model or None
        now.switched = True
        self._keep_choice({"provider": now.provider, "model": now.model})

    def _keep_choice(self, fields: dict[str, Any]) -> None:
        """Save it in the session at once, so that it is there again if nothing more is said."""
        now = self._conversation
        if now is None or now.session_id is None or now.private:
            return
        try:
            self._change_meta(now.session_id, fields)
        except VaultError as error:  # it is used all the same, and saved with the next message
            now.notices.append(str(error))
        else:
            now.meta = self.meta(now.session_id)

    def check_provider(self, name: str) -> None:
        """Raises ProviderUnusable, saying what to set, for one that can't be asked."""
        from vault_sessions.assistant import provider as providers
        from vault_sessions.lifecycle import opening

        opening.check_provider(self.settings, name)
        if name != OFFLINE:
            providers.check(self.settings.providers[name], self._environment)

    def providers(self) -> builtins.list[Answering]:
        """Who can be asked to answer: the offline assistant, and all that the settings know."""
        found = [Answering(OFFLINE, None, "")]
        for name, provider in sorted(self.settings.providers.items()):
            fault = ""
            try:
                self.check_provider(name)
            except ProviderError as error:
                fault = str(error)
            found.append(Answering(name, provider.model, fault))
        return found

    def models_of(self, provider: str) -> builtins.list[str]:
        """The models that a provider's server names; none where it can't be asked."""
        from vault_sessions.assistant import provider as providers

        if provider not in self.settings.providers:
            return []
        try:
            return providers.listed(self.settings.providers[provider], self._environment)
        except ProviderError:
            return []

    def check_new(
        self, name: str | None, provider: str | None, model: str | None, skill: str | None
    ) -> dict[str, str]:
        """What is wrong with what a new session is to have, by field; empty: nothing."""
        from vault_sessions.lifecycle import opening

        faults: dict[str, str] = {}
        try:
            if name is not None and (taken := self._named(self.checked_name(name))) is not None:
                faults["name"] = f"That is the name of {taken} already (or its id)."
        except VaultError as error:
            faults["name"] = str(error)
        try:
            self.check_provider(provider or self.settings.default_provider)
        except ProviderError as error:
            faults["provider"] = str(error)
        try:
            if skill is not None:
                opening.find_skill(self._desk(), skill)
        except VaultError as error:
            faults["skill"] = str(error)
        return faults

    def hints(self) -> builtins.list[str]:
        """Where nobody was chosen to answer: who could be. Once for a key, each time for a server
        that runs on this machine."""
        if self.settings.provider_chosen:
            return []
        told = [
            f"{name} is running on this machine: chat -p {name} talks to it."
            for name in self.running_models()
        ]
        for variable, name in self.unused_keys():
            if variable == config.PRESETS[name].api_key_env:
                told.append(
                    f"{variable} is set: chat -p {name} would use it "
                    f"(always: vault-sessions config set ai.default_provider {name})."
                )
        return told

    def running_models(self) -> builtins.list[str]:
        """Model servers on this machine that answer, when no provider was ever chosen."""
        if self.settings.provider_chosen:
            return []
        from vault_sessions.assistant.local import running

        return running(self.settings.providers[name] for name in LOCAL)

    def unused_keys(self) -> builtins.list[tuple[str, str]]:
        """Keys in the environment for which no provider was chosen, as (variable, provider); each
        is told once."""
        private = self._conversation is not None and self._conversation.private
        if self.settings.provider_chosen or private:  # what was told once is kept
            return []
        return [
            (provider.api_key_env, provider.name)
            for provider in self.settings.providers.values()
            if provider.api_key_env
            and self._environment.get(provider.api_key_env)
            and self.state.first_time(f"key-{provider.name}")
        ]

    def _desk(self) -> Desk:
        from vault_sessions.lifecycle.desk import Desk

        return Desk(
            self.vault,
            self.state,
            self.settings,
            self._place(),
            self._environment,
            self._invocation,
            self._clock,
            _random_bits,
            self._recall,
            self._named,
            lambda saved: self._keeper.saved(*saved),
            self._ask,
            os.path.join(folders.user_folder("config"), "skills"),
            self._keeper.changed,
            self._confirm,
            self._say,
            self._look_up,
        )

    def _place(self) -> Any:
        from vault_sessions.rules.resume import Place

        root = os.path.realpath(self.vault.root)
        here = git_root(self._directory)
        return Place(path_text(self._directory), here and path_text(here), git_root(root))

    def _recall(self, question: str, session_id: str | None) -> builtins.list[Hit]:
        """Passages that may answer a question, from memory and from other sessions."""
        compiled = question_query(question)

        def ask(mirror: Mirror) -> list[Hit]:
            found = queries.search(
                mirror,
                compiled,
                newest=False,
                limit=40,
                where="sessions",
                answers_of_models=True,
                not_session=session_id,
            )
            return found + queries.search(mirror, compiled, newest=False, limit=20, where="memory")

        return self._keeper.ask(ask)

    def _look_up(
        self, query: str, where: str, since: datetime | None, limit: int
    ) -> builtins.list[Hit]:
        """Passages that have words of a query, the most relevant first."""
        compiled = question_query(query)
        return self._keeper.ask_fresh(
            lambda mirror: queries.search(
                mirror,
                compiled,
                newest=False,
                limit=limit,
                where=where,
                since=since,
                answers_of_models=True,
            )
        )


def _none(session_id: str) -> list[str]:
    return []


def git_root(directory: str) -> str | None:
    """The root of the git work tree around a directory (a linked one has its own); real path."""
    here = os.path.realpath(directory)
    while True:
        if os.path.exists(os.path.join(here, ".git")):
            return here
        parent = os.path.dirname(here)
        if parent == here:
            return None
        here = parent


def user_settings() -> str:
    """The path of the user's own settings file."""
    return os.path.join(folders.user_folder("config"), "config.yaml")

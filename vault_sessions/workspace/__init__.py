"""The hall: a vault, its mirror and the rules at work. One short method a use case.

    from vault_sessions import Workspace

    with Workspace.open("~/notes") as ws:
        print(ws.search("denver")[0].snippet)

``Workspace`` is the door: opening, the mirror, reading sessions and changing them. All else is in
its parts, each made when it is first asked for. This is the only package that says "then sync",
and the only one that reads the clock.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from vault_sessions import config, folders
from vault_sessions import vault as vaults
from vault_sessions.errors import NameTaken, VaultError
from vault_sessions.formats.fulltext import question_query, search_query
from vault_sessions.mirror import queries
from vault_sessions.model import Hit, Meta, Problem, Proposal, Session
from vault_sessions.state import NAMES
from vault_sessions.vault import Vault
from vault_sessions.workspace.core import (
    Core,
    assemble,
    checked_name,
    find_root,
    git_root,
    path_text,
    quiet,
    unasked,
    utc_now,
    yes,
)

if TYPE_CHECKING:
    from vault_sessions.live import Live
    from vault_sessions.rules.stats import Stats
    from vault_sessions.workspace.chat import Chat
    from vault_sessions.workspace.compaction import Compaction
    from vault_sessions.workspace.corrections import Corrections
    from vault_sessions.workspace.endings import Endings
    from vault_sessions.workspace.memory import Memory
    from vault_sessions.workspace.models import Models
    from vault_sessions.workspace.repair import Repair
    from vault_sessions.workspace.showing import Shown
    from vault_sessions.workspace.transfer import Transfer
    from vault_sessions.workspace.trash import Trash


class Workspace:
    """A vault at work. Open it with ``Workspace.open``; close it, or use it in a ``with``."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.vault = core.vault
        self.settings = core.settings
        self.state = core.state

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        say: Callable[[str], None] = quiet,
        ask: Callable[[str], bool] = yes,
        confirm: Callable[[Proposal], str | None] = unasked,
        clock: Callable[[], datetime] = utc_now,
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
        root = find_root(path, directory, env)
        kept = os.path.join(folders.vault_folder("cache", root), "settings.json")
        vault_file = vaults.check_inside(Vault(root), vaults.SETTINGS)
        user_file = folders.user_settings()
        settings = config.load(user_file, vault_file, env, dict(flags or {}), kept)
        for warning in settings.warnings:
            say(f"Warning: {warning}")
        core = assemble(
            vaults.open_vault(root, settings.folder),
            settings,
            say=say,
            ask=ask,
            confirm=confirm,
            clock=clock,
            environment=env,
            directory=directory,
        )
        return cls(core)

    def another(
        self,
        say: Callable[[str], None] = quiet,
        *,
        ask: Callable[[str], bool] = yes,
        confirm: Callable[[Proposal], str | None] = unasked,
        follows: bool = False,
    ) -> Workspace:
        """The same vault for another thread: with a mirror of its own, and nobody to be asked but
        by these. ``follows``: a thread of this process watches the vault, and keeps the mirror
        fresh."""
        core = assemble(
            self.vault,
            self.settings,
            say=say,
            ask=ask,
            confirm=confirm,
            clock=self.core.clock,
            environment=self.core.environment,
            directory=self.core.directory,
            follows=follows,
        )
        return Workspace(core)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the open conversation and the mirror; harmless when done twice."""
        held = self.core.held
        if held.conversation is not None and held.conversation.lease is not None:
            held.conversation.lease.release()
            held.conversation = None
        self.core.keeper.close()

    # --- the parts ---

    @cached_property
    def chat(self) -> Chat:
        """Conversations: which one is opened, the one that is open, its turns."""
        from vault_sessions.workspace.chat import Chat

        return Chat(self.core)

    @cached_property
    def models(self) -> Models:
        """Who can be asked for an answer."""
        from vault_sessions.workspace.models import Models

        return Models(self.core)

    @cached_property
    def compaction(self) -> Compaction:
        """Summaries that stand for the beginning of a session."""
        from vault_sessions.workspace.compaction import Compaction

        return Compaction(self.core)

    @cached_property
    def endings(self) -> Endings:
        """Ending sessions, and what is done behind a conversation."""
        from vault_sessions.workspace.endings import Endings

        return Endings(self.core)

    @cached_property
    def memory(self) -> Memory:
        """What is known of the owner, and every change made to it."""
        from vault_sessions.workspace.memory import Memory

        return Memory(self.core)

    @cached_property
    def corrections(self) -> Corrections:
        """Changes of memory that the owner is asked about."""
        from vault_sessions.workspace.corrections import Corrections

        return Corrections(self.core)

    @cached_property
    def trash(self) -> Trash:
        """Deleting sessions, and bringing them back."""
        from vault_sessions.workspace.trash import Trash

        return Trash(self.core)

    @cached_property
    def transfer(self) -> Transfer:
        """Sessions as files that travel."""
        from vault_sessions.workspace.transfer import Transfer

        return Transfer(self.core)

    @cached_property
    def repair(self) -> Repair:
        """What is wrong, and mending it."""
        from vault_sessions.workspace.repair import Repair

        return Repair(self.core)

    # --- the mirror ---

    @property
    def mirror_path(self) -> str:
        """Where the SQLite file of this vault is (or would be)."""
        return self.core.keeper.path

    def sync(self) -> None:
        """Reconcile the mirror with the files now."""
        self.core.keeper.reconcile()

    def live(
        self,
        *,
        say: Callable[[str], None] = quiet,
        heard: Callable[[str, str], None] | None = None,
    ) -> Live:
        """An observer that keeps the mirror fresh in a thread of its own, from its ``start`` to
        its ``stop``. ``say`` and ``heard`` are called in that thread."""
        from vault_sessions.live import Live

        return Live(self.vault, self.state, self.core.clock, say=say, heard=heard)

    def reindex(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Make a new mirror; readers keep the old one until it is whole. Returns how many
        sessions it has."""
        return self.core.keeper.reindex(progress)

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
        now = self.core.clock()
        return self.core.keeper.ask_fresh(
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
        now = self.core.clock()
        return self.core.keeper.ask_fresh(
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
        return self.core.keeper.ask_fresh(
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
        return self.core.find(given)

    def called(self, given: str) -> builtins.list[Session]:
        """The sessions that have this name now, or it for an id (not its beginning), the most
        recently active first; several have it where two machines gave it."""
        now = self.core.clock()
        whole = len(given) + 1
        return self.core.keeper.ask_fresh(lambda m: queries.find_sessions(m, now, given, whole))

    def show(self, given: str) -> Shown:
        """One session, read from its files. Raises SessionNotFound, AmbiguousSession."""
        from vault_sessions.workspace.showing import show

        return show(self.core, given)

    def meta(self, session_id: str) -> Meta:
        """What a session's metadata says now; nothing where it can't be read."""
        return self.core.meta(session_id)

    def transcript_bytes(self, given: str) -> bytes:
        """A session's transcript as it is on disk; empty for one without messages."""
        try:
            return vaults.read_transcript(self.vault, self.find(given).id)[0]
        except FileNotFoundError:
            return b""

    def stats(self) -> Stats:
        """Sessions, messages and tokens, by model, week, month and day; days are local ones."""
        from vault_sessions.rules.stats import TOP, count

        now = self.core.clock()
        return self.core.keeper.ask_fresh(
            lambda mirror: count(queries.said(mirror), queries.lengths(mirror, now, TOP))
        )

    def problem_files(self) -> int:
        """How many files have errors or warnings."""
        return self.core.keeper.ask(queries.problem_files)

    def problems(self) -> builtins.list[tuple[str, Problem]]:
        """All that is wrong in the vault's files, by path."""
        return self.core.keeper.ask(queries.problems)

    # --- changing ---

    def create_session(
        self, fields: Mapping[str, Any] | None = None, *, directory: str | None = None
    ) -> Session:
        """A session without messages; ``fields`` as in ``change_session``. ``directory``: where it
        belongs; None: where the program runs. Raises NameTaken, VaultError."""
        from vault_sessions.lifecycle import direct
        from vault_sessions.workspace.desk import desk_of

        wanted = self._meta_fields(fields or {})
        where = self.core.directory if directory is None else os.path.realpath(directory)
        root = git_root(where)
        wanted |= {"directory": path_text(where), "git_root": root and path_text(root)}
        name = wanted.get("name")
        with self.state.lock(NAMES):
            other = self.core.named(name) if name is not None else None
            if other is not None:
                raise NameTaken(f"{name!r} is the name of {other} already (or its id).")
            session_id = direct.create_session(desk_of(self.core), wanted)
        return self.find(session_id)

    def change_session(self, given: str, changes: Mapping[str, Any]) -> Session:
        """Set its name, provider, model, skill, directory, git_root or metadata; None removes one.

        Raises SessionNotFound, AmbiguousSession, NameTaken, VaultError.
        """
        session = self.find(given)
        fields = self._meta_fields(changes)
        name = fields.get("name")
        if name is None:
            self.core.change_meta(session.id, fields)
            return self.find(session.id)
        with self.state.lock(NAMES):
            self.core.keeper.reconcile()
            other = self.core.keeper.ask(lambda mirror: queries.named(mirror, name, session.id))
            if other is not None:
                raise NameTaken(f"{name!r} is the name of {other} already (or its id).")
            self.core.change_meta(session.id, fields)
        return self.find(session.id)

    def _meta_fields(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be written, made sure that it can be. Raises VaultError."""
        import orjson

        fields = {key: value or None for key, value in changes.items()}
        if (name := fields.get("name")) is not None:
            fields["name"] = checked_name(name)
        try:
            checked: dict[str, Any] = orjson.loads(orjson.dumps(fields))
        except TypeError as error:
            raise VaultError(f"Only what JSON can hold can be stored: {error}.") from error
        return checked

    def rename(self, given: str, new: str) -> Session:
        """Give a session a name, unique in the vault. Raises NameTaken, VaultError."""
        session = self.find(given)
        return self.change_session(session.id, {"name": checked_name(new)})

    def set_topic(self, given: str, topic: str) -> Session:
        """Set a session's topic; it is the owner's from now on and never replaced."""
        session = self.find(given)
        text = " ".join(topic.split())[:200]
        if not text:
            raise VaultError("A topic has at least one character.")
        self.core.change_meta(session.id, {"topic": text, "topic_source": "user"})
        return self.find(session.id)

    def add_message(self, given: str, role: str, content: str) -> dict[str, Any]:
        """Append a message that nobody answers; it is on disk when this returns. The line as it
        was written. Raises SessionNotFound, AmbiguousSession, SessionGone, VaultError."""
        from vault_sessions.lifecycle import direct, endings
        from vault_sessions.workspace.desk import desk_of

        session = self.find(given)
        desk, is_new = desk_of(self.core), session.message_count == 0
        line = direct.add_message(desk, session.id, role, content, create=is_new)
        if role == "user":
            try:
                endings.unmark_ending(desk, session.id)
            except VaultError as error:
                self.core.say(f"Warning: {error}")
        return line

    def add_context(self, given: str, kind: str, key: str, value: str) -> None:
        """Attach something to a session: one value for a type and key. Raises SessionNotFound,
        AmbiguousSession, VaultError."""
        from vault_sessions.formats.meta import with_context

        self.core.change_meta(
            self.find(given).id,
            lambda fields: {"context": with_context(fields.get("context"), kind, key, value)},
        )

    def delete_context(self, given: str) -> None:
        """Take away all that is attached to a session. Raises as ``add_context``."""
        self.core.change_meta(self.find(given).id, {"context": None})

"""What every part of a workspace is handed: the open vault, its mirror, the clock and the ears."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from vault_sessions import config, folders
from vault_sessions import vault as vaults
from vault_sessions.errors import AmbiguousSession, SessionNotFound, VaultError
from vault_sessions.formats.ids import clean_name, uuid7
from vault_sessions.keeper import Keeper
from vault_sessions.mirror import queries
from vault_sessions.model import Meta, Proposal, Session
from vault_sessions.state import State
from vault_sessions.vault import Vault

if TYPE_CHECKING:
    from vault_sessions.lifecycle.desk import Conversation


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def random_bits(count: int) -> int:
    """As ``secrets.randbits``, whose import costs every start 3 ms."""
    return int.from_bytes(os.urandom((count + 7) // 8)) >> (-count % 8)


def quiet(text: str) -> None:
    """Nobody listens."""


def yes(question: str) -> bool:
    """Nobody is there to be asked."""
    return True


def unasked(proposal: Proposal) -> str | None:
    """Nobody is there to be asked, so memory is not changed."""
    return None


class Held:
    """The one thing that changes while a workspace is open: the conversation that is open in it."""

    def __init__(self) -> None:
        self.conversation: Conversation | None = None


class Core(NamedTuple):
    """What the parts share. They know it and nothing of each other.

    ``say`` gets notices for a person, ``ask`` a question whose answer is yes or no, ``confirm`` a
    change of memory: the text to save, None for no. ``directory`` is where the program runs;
    ``invocation`` names this run of it.
    """

    vault: Vault
    settings: config.Settings
    state: State
    keeper: Keeper
    say: Callable[[str], None]
    ask: Callable[[str], bool]
    confirm: Callable[[Proposal], str | None]
    clock: Callable[[], datetime]
    environment: dict[str, str]
    directory: str
    invocation: str
    held: Held

    def find(self, given: str) -> Session:
        """The session of that name, id or unique beginning of an id.

        Raises SessionNotFound, AmbiguousSession.
        """
        now = self.clock()
        found = self.keeper.ask(lambda mirror: queries.find_sessions(mirror, now, given))
        if not found:  # perhaps another program made it just now
            found = self.keeper.ask_fresh(lambda m: queries.find_sessions(m, now, given))
        if not found:
            raise SessionNotFound(
                f"There is no session {given!r}.\nSee them all: vault-sessions list"
            )
        if len(found) > 1:
            some = ", ".join(f"{s.id} ({s.label})" for s in found[:8])
            more = f" and {len(found) - 8} more" if len(found) > 8 else ""
            raise AmbiguousSession(f"{given!r} is ambiguous: {some}{more}.\nGive the whole id.")
        return found[0]

    def named(self, name: str) -> str | None:
        """The session that has the name now, on disk."""
        self.keeper.reconcile()
        return self.keeper.ask(lambda mirror: queries.named(mirror, name, None))

    def meta(self, session_id: str) -> Meta:
        """What a session's metadata says now; nothing where it can't be read."""
        from vault_sessions.formats.meta import parse_meta

        try:
            data = vaults.read_meta(self.vault, session_id)
        except VaultError as error:
            self.say(f"Warning: {error}")
            return Meta()
        return Meta() if data is None else parse_meta(data, session_id)[0]

    def change_meta(
        self,
        session_id: str,
        changes: dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """Change a session's metadata, value by value, and mirror it. Raises VaultError."""
        with self.state.lock(session_id):
            vaults.change_meta(self.vault, session_id, changes)
        self.keeper.saved(session_id, None, b"")

    def refuse_in_use(self, session_ids: Sequence[str]) -> None:
        """Raises VaultError for sessions of which one is open in a chat."""
        leased = self.state.leased()
        for session_id in session_ids:
            if session_id in leased:
                raise VaultError(f"Session {session_id} is open in a chat; leave that first.")


def assemble(
    vault: Vault,
    settings: config.Settings,
    *,
    say: Callable[[str], None] = quiet,
    ask: Callable[[str], bool] = yes,
    confirm: Callable[[Proposal], str | None] = unasked,
    clock: Callable[[], datetime] = utc_now,
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
    follows: bool = False,
) -> Core:
    """The core of a vault that was opened; the mirror is opened when it is first asked.
    ``follows``: as in ``Keeper``."""
    state = State(folders.vault_folder("state", vault.root))
    return Core(
        vault,
        settings,
        state,
        Keeper(vault, state, say, clock, follows=follows),
        say,
        ask,
        confirm,
        clock,
        dict(os.environ if environment is None else environment),
        os.path.realpath(directory or os.getcwd()),
        uuid7(clock(), random_bits(80)),
        Held(),
    )


def find_root(
    path: str | os.PathLike[str] | None, directory: str | None, environment: dict[str, str]
) -> str:
    """The root of the vault that is meant, as ``Workspace.open`` says. Raises VaultError,
    ConfigError."""
    given = os.fspath(path) if path is not None else environment.get("VAULT_SESSIONS_VAULT")
    folder = environment.get("VAULT_SESSIONS_FOLDER") or "atlas"
    root = given or vaults.find_vault(directory or os.getcwd(), folder)
    if root is None:
        root = config.load(folders.user_settings(), None, environment).vault
    if root is None:
        raise VaultError(
            "There is no vault here or above.\n"
            "Make one: vault-sessions init DIR; or name one: --vault DIR"
        )
    root = os.path.abspath(os.path.expanduser(root))
    if not os.path.isdir(root):
        raise VaultError(f"There is no folder {root}.\nMake a vault: vault-sessions init {root}")
    return root


def checked_name(name: str) -> str:
    """A name as it is stored. Raises VaultError for what can't be one."""
    clean = clean_name(name)
    if clean is None:
        raise VaultError(
            f"{name[:40]!r} can't be a name: 1–100 characters, none of them control characters."
        )
    return clean


def path_text(path: str) -> str:
    """A path as it is stored: one that is no UTF-8 can't be written as it is."""
    return os.fsencode(path).decode("utf-8", "replace")


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

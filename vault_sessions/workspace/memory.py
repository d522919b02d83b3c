"""``ws.memory``: what is known of the owner, as files say it, and every change made to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from vault_sessions import removal
from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.memory import Kit, facts
from vault_sessions.model import Change, Proposal
from vault_sessions.workspace.core import Core, random_bits

if TYPE_CHECKING:
    from vault_sessions.memory.facts import Outcome, Why
    from vault_sessions.removal import Learned
    from vault_sessions.rules.facts import Entry


class Memory:
    """Facts, the picture of the user and the summaries of sessions."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- reading ---

    def file(self, which: Literal["facts", "user"]) -> tuple[str, str]:
        """facts.md or user.md: its path from the root, and its text (empty: not there)."""
        vault = self._core.vault
        path = f"{vault.long_term if which == 'facts' else vault.identity}/{which}.md"
        return path, self._told(path)

    def text(self, path: str) -> str:
        """A memory file's text, by its path from the root; empty: it is not there. Raises
        VaultError."""
        return vaults.read_text(self._core.vault, path) or ""

    def _told(self, path: str) -> str:
        """A file's text; one that can't be read is told, and hides no other."""
        try:
            return self.text(path)
        except VaultError as error:
            self._core.say(f"Warning: {error}")
            return ""

    def summaries(self) -> list[tuple[str, str]]:
        """The session summaries, newest first: path from the root and text."""
        return [(path, self._told(path)) for path in self.summary_paths()]

    def summary_paths(self) -> list[str]:
        """The files of the session summaries, newest first: paths from the root."""
        folder = self._core.vault.long_term
        names = vaults.list_names(self._core.vault, folder)
        return [
            f"{folder}/{name}"
            for name in sorted(names, reverse=True)
            if name.startswith("session-") and name.endswith(".md")
        ]

    def entries(self) -> list[Entry]:
        """All that stands in facts.md. Raises VaultError."""
        return facts.entries(self._core.vault)

    def log(self) -> list[Change]:
        """All changes that we made to memory, the oldest first. Raises VaultError."""
        return facts.log(self._core.vault)

    def why(self, text: str) -> Why:
        """Where a text of memory comes from, and what its message says now. Raises VaultError."""
        return facts.why(self._core.vault, text)

    # --- changing ---

    def remember(self, text: str, section: str | None = None, *, beside: bool = False) -> Outcome:
        """Put a fact of the owner's into facts.md, merged with what is there; ``beside``: whatever
        else is there. What would replace a bullet of the owner's is offered, not done.

        Raises VaultError: it looks like a secret, there is no such section, …
        """
        with self._written():
            return facts.remember(self._kit(), text, section, by="user", beside=beside)

    def apply(self, proposal: Proposal, text: str) -> Change:
        """Make a change of memory that the owner said yes to. Raises VaultError."""
        with self._written():
            return facts.apply(self._kit(), proposal, text)

    def undo(self, change_id: str | None = None) -> Change:
        """Take back a change of memory, by its id or the beginning of it; None: the latest.

        Raises VaultError.
        """
        with self._written():
            return facts.undo(self._kit(), change_id)

    def _kit(self) -> Kit:
        return Kit(self._core.vault, self._core.state, self._core.clock(), random_bits)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """The mirror has what memory says afterwards, also when an error came behind a write."""
        try:
            yield
        finally:
            self._core.keeper.changed(facts.paths(self._core.vault))

    # --- what a session left in it ---

    def learned_from(self, session_id: str) -> Learned:
        """What long-term memory has from a session."""
        return removal.learned(self._core.vault, session_id)

    def unlearn(self, session_id: str, found: Learned, *, for_good: bool = False) -> None:
        """Take that out of long-term memory. Raises VaultError: the session is in use."""
        core = self._core
        core.refuse_in_use([session_id])
        now, why = core.clock(), f"delete {session_id}"
        paths = removal.unlearn(
            core.vault, core.state, session_id, found, why, now, for_good=for_good
        )
        core.keeper.changed(paths, for_good=for_good)

"""``ws.trash``: sessions leave the vault and come back, or are erased."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from vault_sessions import removal
from vault_sessions.errors import VaultError
from vault_sessions.mirror import queries
from vault_sessions.model import Session
from vault_sessions.removal import Trashed
from vault_sessions.rules import retention
from vault_sessions.rules.retention import Retention
from vault_sessions.state import NAMES
from vault_sessions.workspace.core import Core


class Trash:
    """What was deleted, until it is restored or the trash is emptied."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- which are to go ---

    def old_sessions(self, span: timedelta) -> Retention:
        """The sessions whose last activity is at least ``span`` ago."""
        core, everything = self._core, self._all()
        return retention.older_than(everything, span, core.clock(), core.state.leased())

    def tidy(self) -> list[Session]:
        """Move the oldest ended sessions beyond ``max_sessions`` to the trash; which these were."""
        most = self._core.settings.max_sessions
        if most is None:
            return []
        go = retention.too_many(self._all(), most, self._core.state.leased()).go
        self.delete([session.id for session in go], "max_sessions")
        return [*go]

    def _all(self) -> list[Session]:
        now = self._core.clock()
        return self._core.keeper.ask_fresh(lambda mirror: queries.list_sessions(mirror, now))

    # --- going ---

    def delete(
        self,
        session_ids: Sequence[str],
        why: str = "delete",
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Move sessions to the trash. ``progress(done, total)`` counts the files, and then as much
        again for the mirror. Raises VaultError: one is in use."""

        def moving(done: int, total: int) -> None:
            if progress is not None:
                progress(done, 2 * total)

        def mirroring(done: int, total: int) -> None:
            if progress is not None:
                progress(total + done, 2 * total)

        core = self._core
        core.refuse_in_use(session_ids)
        paths = removal.delete(core.vault, core.state, session_ids, why, core.clock(), moving)
        core.keeper.changed(paths, progress=mirroring)

    def purge(self, *session_ids: str) -> None:
        """Erase sessions for good, on this machine. Raises VaultError: one is in use; MirrorError:
        another program reads the mirror."""
        core = self._core
        core.refuse_in_use(session_ids)

        def erase_files() -> set[str]:
            return {
                path
                for session_id in session_ids
                for path in removal.purge(core.vault, core.state, session_id)
            }

        core.keeper.erase(session_ids, erase_files)

    # --- in the trash ---

    def sessions(self) -> list[Trashed]:
        """The sessions in the trash, the latest first."""
        return removal.trashed(self._core.vault)

    def find(self, given: str) -> Trashed | None:
        """The session of that name or id in the trash, the latest one."""
        try:
            return removal.find_trashed(self.sessions(), given)
        except VaultError:
            return None

    def restore(self, given: str) -> Session:
        """Bring a session back from the trash, by its name or id; a name that is taken by now gets
        a number. Raises VaultError."""
        core = self._core
        trashed = self.sessions()
        one = removal.find_trashed(trashed, given)
        parts = removal.whole(core.vault, trashed, one)
        name = next((part.name for part in parts if part.name is not None), None)
        with core.state.lock(NAMES):
            taken = core.named(name) if name is not None else None
            removal.restore(core.vault, core.state, parts)
            core.keeper.changed([path for part in parts for path in part.files])
            if taken is not None and name is not None:
                core.change_meta(one.session_id, {"name": self._free_name(name)})
        return core.find(one.session_id)

    def _free_name(self, name: str) -> str:
        number = 2
        while self._core.named(f"{name[:90]}-{number}") is not None:
            number += 1
        return f"{name[:90]}-{number}"

    def empty(self, span: timedelta) -> int:
        """Remove for good what was put in the trash at least ``span`` ago; how many times that
        was. Raises VaultError."""
        try:
            before = self._core.clock() - span
        except OverflowError:  # longer ago than the calendar goes back
            return 0
        return removal.empty_trash(self._core.vault, before)

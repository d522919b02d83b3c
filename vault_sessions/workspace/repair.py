"""``ws.repair``: what is wrong in the vault, and mending it without losing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vault_sessions import guard, scan
from vault_sessions.mirror.store import Mirror
from vault_sessions.repair import doctor
from vault_sessions.repair.doctor import Finding, Fixed
from vault_sessions.workspace.core import Core


class Repair:
    """Finds what is wrong, mends it, and settles messages that are missing."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def examine(self) -> list[Finding]:
        """All that is wrong: in the files, read anew, in the mirror, in git's set-up, in locks."""
        core = self._core
        seen = scan.look(core.vault)
        changes = core.keeper.reconcile()
        whole = changes is not None and changes.halted is None
        if not whole:
            core.say("Warning: the mirror could not be compared with the files just now.")

        def ask(mirror: Mirror) -> list[Finding]:
            compared = mirror if whole else None
            return doctor.examine(core.vault, core.state, compared, core.clock(), seen)

        return core.keeper.ask(ask)

    def mend(self) -> Iterator[Fixed]:
        """Mend what can be mended without losing anything, one file after another; the original of
        each is in the trash. Raises VaultError."""
        core = self._core

        def saved(session_id: str | None) -> None:
            if session_id is None:
                core.keeper.reconcile()
            else:
                core.keeper.saved(session_id, None, b"")

        core.keeper.reconcile()  # what is missing from a file is kept before it is changed
        yield from doctor.mend(core.vault, core.state, core.clock(), saved)

    def forget_loss(self, given: str) -> bool:
        """Accept that messages are missing from a session; False: none were. Raises
        SessionNotFound, AmbiguousSession, VaultError."""
        core = self._core
        core.keeper.reconcile()
        session_id = core.find(given).id
        was_open = guard.settle(core.state, session_id)
        core.keeper.saved(session_id, None, b"")
        return was_open

    def edited(self, session_id: str, shown: Collection[str]) -> None:
        """Take in a transcript that the owner has edited. Of the messages that were before their
        eyes none is missing now: they took it out. What came meanwhile may be."""
        core = self._core
        core.keeper.reconcile()
        for loss in core.state.losses_of(session_id):
            names = [name for name, _ in loss.lines]
            if all(name in shown for name in names):
                guard.settle(core.state, session_id, names)
        core.keeper.saved(session_id, None, b"")

"""``ws.transfer``: sessions as files that travel, and the stores of other programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vault_sessions.mirror import queries
from vault_sessions.transfer import checkpoints
from vault_sessions.workspace.core import Core, random_bits

if TYPE_CHECKING:
    from vault_sessions.formats.checkpoint import Format
    from vault_sessions.transfer.checkpoints import Exported, ImportedCheckpoint
    from vault_sessions.transfer.foreign import Imported


class Transfer:
    """Brings sessions out of the vault and into it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def export(
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
        return checkpoints.export(
            self._core.vault,
            self._core.find(given).id,
            path,
            self._core.clock(),
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
        core = self._core
        done = checkpoints.import_checkpoint(
            core.vault,
            core.state,
            path,
            checkpoints.read_input(path) if data is None else data,
            core.clock(),
            random_bits,
            self._holders,
            name=name,
            kind=format,
            include_context=include_context,
            overwrite=overwrite,
            dry_run=dry_run,
        )
        if done.session_id is not None:
            core.keeper.saved(done.session_id, None, b"")
            if done.replaced is not None:
                gone = core.vault.transcript(done.replaced), core.vault.meta(done.replaced)
                core.keeper.changed(gone)
        return done

    def import_store(
        self, path: str, *, name: str | None = None, dry_run: bool = False
    ) -> list[Imported]:
        """Bring over the sessions in another program's database, or the one of that name. Raises
        VaultError."""
        from vault_sessions.transfer import foreign

        core = self._core
        try:
            return foreign.import_store(
                core.vault, core.state, path, core.clock(), random_bits, name=name, dry_run=dry_run
            )
        finally:
            core.keeper.reconcile()

    def _holders(self, name: str) -> list[str]:
        """The sessions that have this name now, on disk, or it for an id."""
        core, now = self._core, self._core.clock()
        core.keeper.reconcile()
        whole = len(name) + 1  # the beginning of an id is none
        found = core.keeper.ask(lambda mirror: queries.find_sessions(mirror, now, name, whole))
        return [session.id for session in found]


def _user() -> str | None:
    """The name of the account that runs the program."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None

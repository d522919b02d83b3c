"""Keeps the mirror open, fresh and whole, whatever happens to its file.

Missing, corrupt, of another version or another vault: rebuilt, with one line for the person. Where
none can be kept: in memory. Busy: what was to be mirrored waits for the next time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import TypeVar

from vault_sessions import folders, sync
from vault_sessions.atomic import Appended
from vault_sessions.errors import MirrorBusy, MirrorDamaged, MirrorError
from vault_sessions.formats.names import storable
from vault_sessions.mirror import store
from vault_sessions.mirror.store import Mirror
from vault_sessions.sync import Changes
from vault_sessions.vault import Vault

T = TypeVar("T")

TURN_WAIT_MS = 200
"""A turn that finds the mirror busy for so long leaves its lines for later."""
WAIT_MS = 1000
QUICK = timedelta(milliseconds=20)
SHARE = 10
"""A look at all files that takes longer than QUICK is made at most a SHARE-th of the time: with
20,000 sessions what others changed is seen after a second, and a search in between is instant."""


class Keeper:
    """The mirror of one vault, opened when it is first needed."""

    def __init__(
        self, vault: Vault, say: Callable[[str], None], clock: Callable[[], datetime]
    ) -> None:
        self._vault = vault
        self._say = say
        self._clock = clock
        self._folder = folders.vault_folder("cache", vault.root)
        self._identity = storable(f"{os.path.realpath(vault.root)}:{vault.folder}")
        self._mirror: Mirror | None = None
        self._later: set[str] = set()
        self._halted: str | None = None
        self._look_again = clock()

    @property
    def path(self) -> str:
        """Where the SQLite file is (or would be)."""
        return os.path.join(self._folder, store.FILE)

    def close(self) -> None:
        """Close the mirror; harmless when done twice."""
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    # --- asking ---

    def ask(self, question: Callable[[Mirror], T]) -> T:
        """An answer of the mirror; one that turns out damaged is rebuilt and asked again."""
        try:
            return question(self._opened())
        except MirrorDamaged as reason:
            return question(self._replace(str(reason)))

    def ask_fresh(self, question: Callable[[Mirror], T]) -> T:
        """As ``ask``, after comparing the stamps of all files with what the mirror knows, unless
        that was done just now and takes long."""
        if self._mirror is not None and self._clock() >= self._look_again:
            self.reconcile()
        return self.ask(question)

    def _opened(self) -> Mirror:
        """The mirror, reconciled with the files when it is opened."""
        if self._mirror is None:
            try:
                self._mirror = store.open_mirror(self._folder, self._identity)
            except MirrorDamaged as reason:
                self._mirror = self._rebuilt(str(reason), perhaps_ready=True)
            except MirrorError as error:
                self._mirror = self._in_memory(str(error))
            self.reconcile()
        return self._mirror

    # --- keeping it fresh ---

    def reconcile(self, sure: Collection[str] | None = None) -> Changes | None:
        """Make the mirror what the files say now. What changed; None if that can't be said.

        ``sure`` as in ``sync``.
        """
        mirror = self._opened()
        started = self._clock()
        try:
            changes = sync.sync(self._vault, mirror, started, sure=sure, wait_ms=WAIT_MS)
        except MirrorBusy:
            self._say("Another program is writing to the mirror; what changed just now is missing.")
            return None
        except MirrorDamaged as reason:
            self._replace(str(reason))
            return None
        except MirrorError as error:
            self.close()
            self._mirror = self._in_memory(str(error))
            return None
        self._later.clear()
        took = self._clock() - started
        self._look_again = started + (took * SHARE if took > QUICK else timedelta(0))
        if changes.halted and changes.halted != self._halted:
            self._say(f"Warning: {changes.halted}")
        self._halted = changes.halted
        return changes

    def saved(self, session_id: str, where: Appended | None, line: bytes) -> None:
        """Mirror what was just written: a line of a transcript, or (``where`` None) its metadata.

        While another process is writing it is left for the next time.
        """
        paths = {self._vault.transcript(session_id), self._vault.meta(session_id)}
        now = self._clock()
        try:
            mirror = self._opened()
            if self._later or where is None:
                sync.sync(self._vault, mirror, now, self._later | paths, wait_ms=TURN_WAIT_MS)
                self._later.clear()
            else:
                sync.appended(self._vault, mirror, now, session_id, where, line)
        except MirrorBusy:
            self._later |= paths
        except MirrorDamaged as reason:
            self._replace(str(reason))
        except MirrorError as error:
            self._mirror = self._in_memory(str(error))

    # --- making it anew ---

    def reindex(self, progress: Callable[[int, int], None] | None = None) -> int:
        """A new mirror, unseen by readers until it is whole. Returns how many sessions it has."""
        mirror = self._replace("", progress)
        self.reconcile()
        return int(mirror.rows("SELECT count(*) FROM sessions")[0][0])

    def _replace(self, reason: str, progress: Callable[[int, int], None] | None = None) -> Mirror:
        self.close()
        self._mirror = self._rebuilt(reason, progress)
        return self._mirror

    def _rebuilt(
        self,
        reason: str,
        progress: Callable[[int, int], None] | None = None,
        *,
        perhaps_ready: bool = False,
    ) -> Mirror:
        """A new mirror from the files; one line says why.

        ``perhaps_ready``: the present one can't be opened; if it can once it is our turn, another
        process has made it anew.
        """
        try:
            with store.new_mirror(self._folder, self._identity) as mirror:
                if perhaps_ready and (ready := self._ready()) is not None:
                    raise _Ready(ready)
                if reason:
                    self._say(f"Building the mirror from the files ({reason}).")
                sync.rebuild(self._vault, mirror, self._clock(), progress)
        except _Ready as found:
            return found.mirror
        except MirrorError as error:
            return self._in_memory(str(error))
        return store.open_mirror(self._folder, self._identity)

    def _ready(self) -> Mirror | None:
        try:
            return store.open_mirror(self._folder, self._identity)
        except MirrorError:
            return None

    def _in_memory(self, reason: str) -> Mirror:
        """A mirror for this run only, where none can be kept."""
        self._say(f"Warning: {reason}; the mirror is kept in memory for now.")
        mirror = store.memory_mirror(self._identity)
        sync.rebuild(self._vault, mirror, self._clock())
        return mirror


class _Ready(Exception):
    """Another process has made the mirror while we waited."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self.mirror = mirror

"""Keeps the mirror open, fresh and whole, whatever happens to its file.

Missing, corrupt, of another version or another vault: rebuilt, with one line for the person. Where
none can be kept: in memory. Busy: what was to be mirrored waits for the next time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from typing import TypeVar

from vault_sessions import folders, sync
from vault_sessions import vault as vaults
from vault_sessions.atomic import Appended
from vault_sessions.errors import MirrorBusy, MirrorDamaged, MirrorError
from vault_sessions.formats.names import TRANSCRIPT, storable
from vault_sessions.mirror import store
from vault_sessions.mirror.store import Mirror
from vault_sessions.state import State
from vault_sessions.sync import Changes
from vault_sessions.vault import Vault

T = TypeVar("T")

TURN_WAIT_MS = 200
"""A turn that finds the mirror busy for so long leaves its lines for later."""
WAIT_MS = 5000
"""Who asks waits longer: with eight writers on two busy cores a second was not always enough."""
QUICK = timedelta(milliseconds=20)
SHARE = 10
"""A look at all files that takes longer than QUICK is made at most a SHARE-th of the time: with
20,000 sessions what others changed is seen after a second, and a search in between is instant."""
PAUSES = (*[0.0002] * 10, *[0.0005] * 10, *[0.001] * 83)
"""How long the process that watches the vault is waited for, 100 ms in all: one that works answers
within the first."""
SILENCE = timedelta(seconds=10)
"""One that did not answer is not asked again for so long."""
JUST_NOW = 2.0
RETURNS, RETURN_STEP = 30, 0.01
"""A transcript that vanished within so many seconds may come back: it is waited for 300 ms."""


class Keeper:
    """The mirror of one vault, opened when it is first needed.

    ``watches``: for the one process that watches the vault. It reconciles when it wants to, asks
    nobody, and has no use for a mirror in memory. ``follows``: another thread of this process does
    that, and tells of every change; here the mirror is only read.
    """

    def __init__(
        self,
        vault: Vault,
        state: State,
        say: Callable[[str], None],
        clock: Callable[[], datetime],
        *,
        watches: bool = False,
        follows: bool = False,
    ) -> None:
        self._vault = vault
        self._state = state
        self._say = say
        self._clock = clock
        self._folder = folders.vault_folder("cache", vault.root)
        self._identity = storable(f"{os.path.realpath(vault.root)}:{vault.folder}")
        self._mirror: Mirror | None = None
        self._later: set[str] = set()
        self._halted: str | None = None
        self._look_again = self._ask_again = clock()
        self._watches = watches
        self._follows = follows
        self._file: tuple[int, int] | None = None

    @property
    def path(self) -> str:
        """Where the SQLite file is (or would be)."""
        return os.path.join(self._folder, store.FILE)

    def close(self) -> None:
        """Close the mirror; harmless when done twice."""
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = self._file = None

    # --- asking ---

    def ask(self, question: Callable[[Mirror], T]) -> T:
        """An answer of the mirror; one that turns out damaged is rebuilt and asked again."""
        try:
            return question(self._opened())
        except MirrorDamaged as reason:
            return question(self._replace(str(reason)))
        except MirrorBusy:
            raise
        except MirrorError as error:
            self.close()
            self._mirror = self._in_memory(str(error))
            return question(self._mirror)

    def ask_fresh(self, question: Callable[[Mirror], T]) -> T:
        """As ``ask``, after comparing the stamps of all files with what the mirror knows, unless
        that was done just now and takes long. Who watches the vault may know without looking."""
        known = self._mirror is not None
        asks = known and not self._follows
        if asks and not self._told_fresh() and self._clock() >= self._look_again:
            self.reconcile()
        return self.ask(question)

    def _told_fresh(self) -> bool:
        """Does the process that watches the vault say that the mirror has every change there was
        when it was asked? False: nobody does, who does is not to be asked, or gives no answer."""
        mirror = self._mirror
        if mirror is None or mirror.path is None or self._clock() < self._ask_again:
            return False
        watcher = self._state.watcher()
        if watcher is None or not watcher.folders:
            return False
        if watcher.generation != self.generation():
            return False
        if watcher.folders != vaults.folders_now(self._vault):
            return False
        cookie = vaults.leave_cookie(self._vault)
        if cookie is None:
            return False
        try:
            if self._taken(cookie):
                return self.generation() == watcher.generation
        finally:
            vaults.take_cookie(self._vault, cookie)
        self._ask_again = self._clock() + SILENCE
        return False

    def _taken(self, cookie: str) -> bool:
        """Is the cookie taken away while we wait?"""
        for pause in PAUSES:
            time.sleep(pause)
            if not vaults.cookie_there(self._vault, cookie):
                return True
        return False

    def generation(self) -> str | None:
        """Which mirror it is: another text for one that was made anew, by whomever."""
        self._let_go_if_replaced()
        return self.ask(lambda mirror: mirror.info("generation"))

    def _opened(self) -> Mirror:
        """The mirror, reconciled with the files when it is opened."""
        if self._mirror is None:
            try:
                self._mirror = store.open_mirror(self._folder, self._identity)
            except MirrorDamaged as reason:
                self._mirror = self._rebuilt(str(reason), perhaps_ready=True)
            except MirrorError as error:
                self._mirror = self._in_memory(str(error))
            self._file = self._file_now()
            if not (self._watches or self._follows) and not self._told_fresh():
                self.reconcile()
        return self._mirror

    # --- keeping it fresh ---

    def reconcile(self) -> Changes | None:
        """Make the mirror what the files say now. What changed; None if that can't be said.

        A transcript that vanished just now is waited for: editors move the old one away before the
        new one is there, and without what the mirror knows nobody would miss its newest messages.
        """
        mirror = self._opened()
        started = self._clock()
        try:
            changes = self._synced(mirror, started, ())
            if changes.vanished:
                self._wait_for(changes.vanished)
                changes = self._synced(mirror, self._clock(), None)
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
        self._tell(changes)
        return changes

    def _synced(self, mirror: Mirror, now: datetime, sure: Collection[str] | None) -> Changes:
        return sync.sync(self._vault, mirror, now, sure=sure, state=self._state, wait_ms=WAIT_MS)

    def _wait_for(self, paths: Collection[str]) -> None:
        """Wait until the transcripts among these are there again, if they went just now."""
        left = [self._vault.absolute(path) for path in paths if path.endswith(TRANSCRIPT)]
        try:
            changed = os.stat(self._vault.absolute(self._vault.sessions)).st_mtime
        except OSError:
            return
        if not left or abs(self._clock().timestamp() - changed) > JUST_NOW:
            return
        for _ in range(RETURNS):
            if all(map(os.path.lexists, left)):
                return
            time.sleep(RETURN_STEP)

    def follow(self, paths: Collection[str] | None, sure: Collection[str] | None) -> Changes:
        """For the one that watches: make the mirror what these paths (None: all) say now.

        ``sure`` as in ``sync``. Raises MirrorError; then nothing was done.
        """
        self._let_go_if_replaced()
        try:
            mirror = self._opened()
            now = self._clock()
            changes = sync.sync(
                self._vault, mirror, now, paths, sure=sure, state=self._state, wait_ms=WAIT_MS
            )
        except MirrorDamaged as reason:
            self._replace(str(reason))
            return Changes()
        except MirrorBusy:
            raise
        except MirrorError:
            self.close()
            raise
        if paths is None:
            if changes.halted and changes.halted != self._halted:
                self._say(f"Warning: {changes.halted}")
            self._halted = changes.halted
        self._tell(changes)
        return changes

    def _let_go_if_replaced(self) -> None:
        """Somebody removed the file, or put another there: nobody would see what we write."""
        if self._watches and self._file is not None and self._file_now() != self._file:
            self.close()

    def _file_now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _tell(self, changes: Changes) -> None:
        for notice in changes.notices:
            self._say(notice)

    def saved(self, session_id: str, where: Appended | None, line: bytes) -> None:
        """Mirror what was just written: a line of a transcript, or (``where`` None) its metadata.

        While another process is writing it is left for the next time.
        """
        if self._follows:
            return
        paths = {self._vault.transcript(session_id), self._vault.meta(session_id)}
        now = self._clock()
        try:
            mirror = self._opened()
            if self._later or where is None:
                changes = sync.sync(
                    self._vault,
                    mirror,
                    now,
                    self._later | paths,
                    sure=(),
                    state=self._state,
                    wait_ms=TURN_WAIT_MS,
                )
                self._later.clear()
            else:
                changes = sync.appended(
                    self._vault, mirror, now, session_id, where, line, self._state
                )
            self._tell(changes)
        except MirrorBusy:
            self._later |= paths
        except MirrorDamaged as reason:
            self._replace(str(reason))
        except MirrorError as error:
            self._mirror = self._in_memory(str(error))

    def changed(
        self,
        paths: Collection[str],
        *,
        for_good: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Mirror these files, which we wrote or took away, however many; ``for_good``: so that
        nothing of what is gone is left in the mirror's file. ``progress(done, total)`` counts
        sessions.

        Raises MirrorBusy for what is to go for good.
        """
        if self._follows:
            return

        def mirror_them() -> None:
            now = self._clock()
            sync.sync(
                self._vault,
                mirror,
                now,
                paths,
                state=self._state,
                wait_ms=WAIT_MS,
                progress=progress,
            )

        try:
            mirror = self._opened()
            if for_good:
                mirror.scrub(mirror_them)
            else:
                mirror_them()
        except MirrorBusy:
            if for_good:
                raise
        except MirrorDamaged as reason:
            self._replace(str(reason))

    def erase(
        self, session_ids: Collection[str], erase_files: Callable[[], Collection[str]]
    ) -> None:
        """Take sessions out so that nothing of them is left in the mirror's files, then
        ``erase_files`` (the paths that are gone).

        In this order: killed in between, the files still say what is to be erased. Raises
        MirrorError; where nothing was erased, it says so.
        """
        try:
            mirror = self._opened()
            if mirror.path is None and os.path.exists(self.path):
                raise MirrorError("the mirror can't be written")
            if mirror.path is not None:
                store.remove_unfinished(self._folder)
            mirror.scrub(lambda: sync.take_out(self._vault, mirror, session_ids))
        except MirrorDamaged as reason:
            mirror = self._replace(str(reason))
            mirror.scrub(lambda: sync.take_out(self._vault, mirror, session_ids))
        except MirrorError as error:
            why = f"Nothing was erased: {error}.\nTry again when no other program uses {self.path}"
            raise type(error)(why) from error
        version = mirror.version()
        paths = erase_files()
        # another may have read the files again before they were gone
        self.changed(paths, for_good=mirror.version() != version)

    # --- making it anew ---

    def reindex(self, progress: Callable[[int, int], None] | None = None) -> int:
        """A new mirror, unseen by readers until it is whole. Returns how many sessions it has.

        Raises MirrorError when it can't be kept.
        """
        self._keep_missing()
        mirror = self._replace("", progress)
        if mirror.path is None:
            raise MirrorError(f"No new mirror could be made in {self._folder}.")
        self.reconcile()
        return int(mirror.rows("SELECT count(*) FROM sessions")[0][0])

    def _keep_missing(self) -> None:
        """Let the present mirror say what was overwritten since its last look: a new one can't."""
        if not os.path.exists(self.path):
            return
        with suppress(MirrorError):
            if self._mirror is None:
                self._mirror = store.open_mirror(self._folder, self._identity)
            now = self._clock()
            self._tell(
                sync.sync(self._vault, self._mirror, now, state=self._state, wait_ms=WAIT_MS)
            )

    def _replace(self, reason: str, progress: Callable[[int, int], None] | None = None) -> Mirror:
        self.close()
        self._mirror = self._rebuilt(reason, progress)
        self._file = self._file_now()
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
            with ExitStack() as gate, store.new_mirror(self._folder, self._identity) as mirror:
                if perhaps_ready and (ready := self._ready()) is not None:
                    raise _Ready(ready)
                if reason:
                    self._say(f"Building the mirror from the files ({reason}).")
                sync.rebuild(self._vault, mirror, self._clock(), progress, self._state)
                # what was mirrored since we read its files: readers must not see it go
                gate.enter_context(store.no_writers(self._folder))
                sync.sync(self._vault, mirror, self._clock(), state=self._state)
            return store.open_mirror(self._folder, self._identity)
        except _Ready as found:
            return found.mirror
        except MirrorError as error:
            return self._in_memory(str(error))

    def _ready(self) -> Mirror | None:
        try:
            return store.open_mirror(self._folder, self._identity)
        except MirrorError:
            return None

    def _in_memory(self, reason: str) -> Mirror:
        """A mirror for this run only, where none can be kept."""
        if self._watches:
            raise MirrorError(reason)
        self._say(f"Warning: {reason}; the mirror is kept in memory for now.")
        mirror = store.memory_mirror(self._identity)
        sync.rebuild(self._vault, mirror, self._clock(), state=self._state)
        return mirror


class _Ready(Exception):
    """Another process has made the mirror while we waited."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self.mirror = mirror

"""Keeps the mirror fresh while a program runs: a thread that hears of changes and reconciles.

One process watches a vault; the others wait until it is gone. Events are hints: at the start, after
a burst, when events were lost, when a thread that listens has died, when a folder was replaced,
after the machine slept and every now and then all files are looked at. What is not there is gone
only after a second look, two seconds later: an editor may be about to put the new file there.

Others ask by a cookie, an empty file beside the transcripts: it is taken away once everything that
came before it is in the mirror. While that can't be promised nobody is to ask.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from vault_sessions import guard, scan
from vault_sessions import vault as vaults
from vault_sessions.errors import MirrorBusy, VaultSessionsError
from vault_sessions.formats.names import file_kind, storable
from vault_sessions.keeper import Keeper
from vault_sessions.mirror import queries
from vault_sessions.model import FileState, Stamp
from vault_sessions.state import State, Watching
from vault_sessions.sync import Changes
from vault_sessions.vault import COOKIE, Vault
from vault_sessions.watch import Batch, Watch, silent

GRACE = 2.0
"""What is not there is gone when it is still so after so many seconds."""
SLOW, SLOW_SHARE = 60.0, 1200
"""All files are looked at so often, or after so many times what the last look took."""
POLL, POLL_SHARE = 10.0, 200
"""The same where changes are not told."""
CHECK = 5.0
"""So often it is checked whether we still hear what we should."""
RETRY, LONGEST_RETRY = 1.0, 60.0
"""Between two tries to hear again; doubled each time."""
AGAIN = 0.02
FORGET = 10_000


class Live:
    """The observer of one vault, in a thread of its own.

    ``heard(kind, text)`` is called in that thread: ``changed``, ``gone`` (a session's name or id),
    ``memory`` (a path), and ``ready`` once the mirror is fresh. As long as another process watches
    nobody knows which: ``changed`` and ``memory`` come with an empty text. ``say`` gets notices for
    a person.
    """

    def __init__(
        self,
        vault: Vault,
        state: State,
        clock: Callable[[], datetime],
        *,
        say: Callable[[str], None],
        heard: Callable[[str, str], None] | None = None,
    ) -> None:
        self._vault = vault
        self._state = state
        self._clock = clock
        self._say = say
        self._heard = heard
        self._holding: Watching | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._watch = Watch(COOKIE)
        self._said: set[str] = set()
        self._ready = False
        self._others: tuple[str | None, int] | None = None
        self._begin()

    def _begin(self) -> None:
        """Know nothing yet."""
        self._keeper = Keeper(self._vault, self._state, self._say, self._clock, watches=True)
        self._real = ""
        self._folders = ""
        self._generation: str | None = None
        self._told: tuple[str, str] | None = None
        self._behind = True  # changes are not told, or not all
        self._current = False  # the last look at all files went well
        self._halted = False
        self._took = 0.0
        self._due = self._not_before = self._check_at = self._hear_at = 0.0
        self._retry = RETRY
        self._away = _away()
        self._missing: dict[str, float] = {}
        self._again: dict[str, tuple[float, float]] = {}
        self._seen: dict[str, Stamp] = {}
        self._stale: dict[str, float] = {}

    # --- the thread ---

    def take(self) -> bool:
        """Be the one that watches this vault; False: another process is. Raises VaultError."""
        if self._holding is None:
            self._holding = self._state.watch()
        return self._holding is not None

    def start(self, delay: float = 0.0) -> None:
        """Watch in the background from now on, or once nobody else does. ``delay``: seconds in
        which nothing is done yet, so that the program's own start goes first."""
        thread = threading.Thread(
            target=self._run, args=(delay,), name="vault-sessions live", daemon=True
        )
        thread.start()
        self._thread = thread  # not before: a kill may come in the middle of its start

    def stop(self) -> None:
        """Watch no more; harmless when done twice."""
        self._stopping.set()
        self._watch.wake()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None
        if self._holding is not None:
            self._holding.release()
            self._holding = None

    def once(self) -> None:
        """Reconcile now, in this thread, and be done. Raises MirrorError."""
        try:
            self._report(self._keeper.follow(None, None))
        finally:
            self._keeper.close()

    def _run(self, delay: float) -> None:
        self._stopping.wait(delay)
        pause = RETRY
        while not self._stopping.is_set():
            try:
                if self.take():
                    self._follow()
                    return
                self._hear_of_others()
            except Exception as error:  # noqa: BLE001  # nothing may end this but the program's end
                self._say_once(f"Warning: the vault can't be watched just now ({error}).")
                pause = min(pause * 2, LONGEST_RETRY)
            self._stopping.wait(pause)
        self._keeper.close()

    def _hear_of_others(self) -> None:
        """Whoever watches mirrors what changes: another version of the mirror is news."""
        if self._heard is None:
            return
        version = (self._keeper.generation(), self._keeper.ask(lambda mirror: mirror.version()))
        if self._others is None:
            self._heard("ready", "")
        elif version != self._others:
            self._heard("changed", "")
            self._heard("memory", "")
        self._others = version

    def _follow(self) -> None:
        """Watch until it is time to stop. What else a running program does now and then (ending
        sessions, making topics) has its place here, behind the look."""
        holding = self._holding
        try:
            while not self._stopping.is_set():
                self._look_after()
                if time.monotonic() >= self._next_look():
                    self._look()
                self._take_in(self._watch.wait(max(0.0, self._next() - time.monotonic())))
        finally:
            if holding is not None:
                holding.tell()
            self._watch.stop()
            self._keeper.close()
            self._begin()

    def _next_look(self) -> float:
        second = min(self._missing.values(), default=self._due) + GRACE
        return max(self._not_before, min(self._due, second))

    def _next(self) -> float:
        again = min((at for at, _ in self._again.values()), default=self._due)
        return min(self._next_look(), self._check_at, again)

    # --- do we hear? ---

    def _look_after(self) -> None:
        """Hear anew when a thread died or a folder was replaced; look when the machine slept."""
        now = time.monotonic()
        alive = self._watch.alive()
        if now < self._check_at and (alive or now < self._hear_at):
            return
        self._check_at = now + (CHECK if alive else RETRY)
        if abs((away := _away()) - self._away) > 1:
            self._away = away
            self._due = now
        if self._generation != self._keeper_generation():
            self._due = now
        folders = vaults.folders_now(self._vault)
        deaf = not alive or self._unwatched()
        if folders != self._folders or (deaf and now >= self._hear_at):
            self._hear(folders)
        elif not alive:
            self._check_at = min(self._check_at, self._hear_at)
            self._tell()

    def _hear(self, folders: str) -> None:
        """Listen to the folders as they are now, and look at all files."""
        now = time.monotonic()
        self._folders = folders
        self._due = now
        # tried again soon, and later and later while it ends soon each time
        self._retry = min(self._retry * 2, LONGEST_RETRY) if now < self._hear_at + SLOW else RETRY
        self._hear_at = now + self._retry
        self._real = os.path.realpath(self._vault.absolute(self._vault.folder))
        reason = ""
        try:
            self._watch.start(self._real)
        except FileNotFoundError:
            reason = " "  # no folder, nothing to watch: it is looked for each time we check
        except OSError as error:
            reason = f"{error.strerror or error}"
        if not reason and (unwatched := self._unwatched()):
            reason = unwatched
        places = (self._vault.folder, self._vault.sessions, self._vault.long_term)
        for path in () if reason else map(self._vault.absolute, places):
            if kind := silent(os.path.realpath(path)):
                reason = f"{kind} does not tell what others change"
        self._behind = bool(reason)
        if reason.strip():
            self._say_once(
                f"Changes in {self._real} are not all told ({reason}): all files are looked at "
                f"every {POLL:.0f} s instead."
            )

    def _unwatched(self) -> str | None:
        """Why we hear nothing of a folder: no watch was left for it, or a link leads there."""
        memory = os.path.dirname(self._vault.sessions)
        for path in (memory, self._vault.sessions, self._vault.long_term, self._vault.identity):
            expected = os.path.join(self._real, os.path.relpath(path, self._vault.folder))
            absolute = self._vault.absolute(path)
            if not os.path.isdir(absolute):
                continue
            if os.path.realpath(absolute) != expected:
                return f"{path} is reached by a link"
            if expected in self._watch.unwatched:
                return f"no watch left for {path}, see fs.inotify.max_user_watches"
        return None

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    # --- looking ---

    def _look(self, fresh: Iterable[str] = ()) -> None:
        """Make the mirror what all files say now. ``fresh``: what we heard of, which another may
        have mirrored already."""
        started = time.monotonic()
        asked = vaults.cookies(self._vault)
        before = self._keeper_generation()
        sure = {path for path, at in self._missing.items() if started - at >= GRACE}
        # after the minute that everything was gone there is no need to look twice
        changes = self._followed(None, None if self._halted else sure)
        now = time.monotonic()
        if changes is None:
            self._tell()
            return
        if changes == Changes():
            self._took = now - started
        share, least = (POLL_SHARE, POLL) if self._behind else (SLOW_SHARE, SLOW)
        self._due = now + max(least, share * self._took)
        self._halted = changes.halted is not None
        self._missing = {p: self._missing.get(p, now) for p in changes.vanished}
        if self._halted:
            self._due = now + POLL
        if guard.is_waiting(self._state):
            self._due = now + max(GRACE, 50 * self._took)
        self._current = True
        self._generation = self._keeper_generation()
        if self._generation != before and before is not None:
            self._current = False
            self._due = now  # it was made anew meanwhile, from older files perhaps
        self._report(_with(changes, self._parts(fresh)))
        self._tell()
        self._answer(asked)
        self._sweep(now)
        if not self._ready and self._current and self._heard is not None:
            self._ready = True
            self._heard("ready", "")

    def _keeper_generation(self) -> str | None:
        try:
            return self._keeper.generation()
        except VaultSessionsError:
            return None

    def _followed(self, paths: list[str] | None, sure: set[str] | None) -> Changes | None:
        """What changed; None when the mirror can't be written now: everything is looked at soon."""
        try:
            return self._keeper.follow(paths, sure)
        except MirrorBusy:
            pause = RETRY / 2
        except (VaultSessionsError, OSError) as error:
            self._say_once(f"Warning: {error}")
            pause = POLL
        self._due = self._not_before = time.monotonic() + pause
        self._current = False
        return None

    def _take_in(self, batch: Batch) -> None:
        """Mirror what changed, then answer who asked."""
        now = time.monotonic()
        again = {path for path, (at, _) in self._again.items() if at <= now}
        for path in again:
            self._again[path] = (now + SLOW, self._again[path][1])
        if not batch.paths and not batch.look and not again:
            return
        asked, paths = [], again
        for path in batch.paths:
            name = os.path.basename(path)
            if name.startswith(COOKIE):
                asked.append(name)
            elif (known := self._from_root(path)) is not None:
                paths.add(known)
                self._again.pop(known, None)
        if batch.look:
            self._heard_of_folders()
            self._look(self._fresh(sorted(paths)))
        elif paths:
            self._mirror(sorted(paths))
        if self._generation != self._keeper_generation():
            self._look()
        if asked:
            self._tell()
            self._answer(asked)

    def _heard_of_folders(self) -> None:
        folders = vaults.folders_now(self._vault)
        if folders != self._folders or (self._unwatched() and not self._behind):
            self._hear(folders)

    def _from_root(self, path: str) -> str | None:
        """A path as the mirror has it; None for what is not in it."""
        folder, name = os.path.split(path)
        inner = os.path.relpath(folder, self._real)
        folder = self._vault.folder if inner == "." else f"{self._vault.folder}/{inner}"
        if folder not in (self._vault.sessions, self._vault.long_term, self._vault.identity):
            return None
        path = f"{folder}/{storable(name)}"
        ignored = folder == self._vault.sessions and file_kind(storable(name)) == "ignored"
        return path if scan.counts(self._vault, path) and not ignored else None

    def _mirror(self, paths: list[str]) -> None:
        """Mirror these; what others have mirrored already is only reported."""
        now = time.monotonic()
        known = {path: self._known(path) for path in paths}
        fresh = self._fresh(paths)
        todo = []
        for path in paths:
            state, stamp = known[path], self._stamp(path)
            if stamp is not None:
                self._missing.pop(path, None)
            known_stamp = state.stamp if state is not None else None
            if known_stamp != stamp or (state is not None and state.unsure):
                todo.append(path)
        if todo:
            changes = self._followed(todo, set())
            if changes is None:
                self._tell()
                return
            for path in changes.vanished:
                self._missing.setdefault(path, now)
                self._seen.pop(path, None)
        self._look_once_more(paths)
        self._report(self._parts(fresh))
        if len(self._seen) > FORGET:
            self._seen.clear()
        self._tell()

    def _fresh(self, paths: Iterable[str]) -> list[str]:
        """Those that are there and are not as we saw them last."""
        fresh = []
        for path in paths:
            stamp = self._stamp(path)
            if stamp is not None and self._seen.get(path) != stamp:
                fresh.append(path)
                self._seen[path] = stamp
        return fresh

    def _known(self, path: str) -> FileState | None:
        return self._keeper.ask(lambda mirror: mirror.file(path))

    def _stamp(self, path: str) -> Stamp | None:
        try:
            return scan.stamp_of(os.lstat(self._vault.absolute(path)))
        except OSError:
            return None

    def _look_once_more(self, paths: Iterable[str]) -> None:
        """A file that was read at once after its last change may have changed again unseen."""
        for path in paths:
            state = self._known(path)
            _, pause = self._again.pop(path, (0.0, AGAIN))
            if state is not None and state.unsure and pause < POLL:
                self._again[path] = (time.monotonic() + pause, pause * 2)

    # --- telling ---

    def _answers(self) -> bool:
        """Is everything in the mirror that we have heard of, and do we hear of everything?"""
        return (
            self._current
            and not (self._behind or self._halted or self._missing)
            and self._watch.alive()
            and not guard.is_waiting(self._state)
        )

    def _tell(self) -> None:
        """Let others know whether they may ask, and about what."""
        what = (self._folders, self._generation or "") if self._answers() else ("", "")
        if what != self._told and self._holding is not None:
            self._holding.tell(*what)
            self._told = what

    def _answer(self, cookies: Iterable[str]) -> None:
        if self._told is not None and self._told[0]:
            for name in cookies:
                vaults.take_cookie(self._vault, name)

    def _sweep(self, now: float) -> None:
        """Take away what was left by those who were killed while they waited."""
        there = vaults.cookies(self._vault)
        for name in there:
            if now - self._stale.get(name, now) > CHECK:
                vaults.take_cookie(self._vault, name)
        self._stale = {name: self._stale.get(name, now) for name in there}

    def _parts(self, paths: Iterable[str]) -> Changes:
        """The sessions and the memory files that these paths belong to."""
        sessions, memory = [], []
        for path in paths:
            kind, name = scan.part_of(self._vault, path)
            if kind == "session" and name not in sessions:
                sessions.append(name)
            elif kind == "memory":
                memory.append(name)
        return Changes(tuple(sessions), tuple(memory))

    def _report(self, changes: Changes) -> None:
        if self._heard is None:
            return
        for session_id in changes.sessions:
            self._heard("changed", self._label(session_id))
        for session_id in changes.gone:
            self._heard("gone", session_id)
        for path in changes.memory:
            self._heard("memory", path)

    def _label(self, session_id: str) -> str:
        """A session's name, or its id where it has none."""
        now = self._clock()
        found = self._keeper.ask(lambda mirror: queries.find_sessions(mirror, now, session_id))
        same = [session for session in found if session.id == session_id]
        return (same[0].name if same else None) or session_id


def _with(changes: Changes, more: Changes) -> Changes:
    """Both, each once; what is gone is not changed."""
    sessions = dict.fromkeys((*changes.sessions, *more.sessions))
    memory = dict.fromkeys((*changes.memory, *more.memory))
    gone = set(changes.gone)
    return changes._replace(
        sessions=tuple(one for one in sessions if one not in gone), memory=tuple(memory)
    )


def _away() -> float:
    """Grows while the machine sleeps, and only then (or when its clock is set)."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return time.time() - time.monotonic()

"""What is done behind a conversation: topics, compactions, endings, in a thread of its own.

It never delays a turn: a model that takes half a minute for a topic is waited for here. Whatever
is cut short, by leaving or by kill -9, the next run finds and completes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from vault_sessions.errors import ProviderError, VaultSessionsError
from vault_sessions.workspace import Workspace

PATIENCE = 10.0
"""Seconds that what was begun gets when the program would leave."""
RETRY = 600.0
"""After a model could not be reached it is left alone for so many seconds."""

_Job = Callable[[Workspace], None]


class Background:
    """Jobs, one after another, in a thread that begins with the first of them.

    ``open_workspace(say)`` makes a workspace for that thread; ``every``: so many seconds after the
    last job it looks after the sessions again; ``delay``: seconds in which nothing is done yet, so
    that the program's own start goes first. ``say`` hears notices at once, in that thread; without
    it they wait in ``notices``.
    """

    def __init__(
        self,
        open_workspace: Callable[[Callable[[str], None]], Workspace],
        *,
        every: float | None = None,
        delay: float = 0.0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._open = open_workspace
        self._every = every
        self._delay = delay
        self._say = say
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._heard: SimpleQueue[str] = SimpleQueue()
        self._said: set[str] = set()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self._leaving = threading.Event()
        self._fails = False

    def after_turn(self, session_id: str) -> None:
        """An answer was given: perhaps a topic is due, or a compaction."""
        self._do(lambda workspace: workspace.endings.after_turn(session_id))

    def end(self, session_id: str) -> None:
        """Complete the ending of a session that is marked so."""
        self._do(lambda workspace: self._end(workspace, session_id))

    def look(self) -> None:
        """End the sessions whose time is over, and make what is missing."""
        self._do(self._look)

    def notices(self) -> list[str]:
        """What there is to tell the person, each thing once."""
        told = []
        while not self._heard.empty():
            told.append(self._heard.get())
        return told

    def finish(self, seconds: float = PATIENCE) -> bool:
        """Let what was begun come to its end, for so long at most; nothing new begins after that.
        Did it?"""
        if self._thread is None:
            return True
        self._jobs.put(None)
        self._hurry.set()
        try:
            self._thread.join(seconds)
        finally:
            self._leaving.set()
        return not self._thread.is_alive()

    # --- in the thread ---

    def _do(self, job: _Job) -> None:
        self._jobs.put(job)
        if self._thread is None:
            thread = threading.Thread(
                target=self._run, name="vault-sessions background", daemon=True
            )
            thread.start()
            self._thread = thread  # not before: a kill may come in the middle of its start

    def _run(self) -> None:
        self._hurry.wait(self._delay)
        try:
            with self._open(self._tell) as workspace:
                while not self._leaving.is_set() and (job := self._next()) is not None:
                    self._try(job, workspace)
        except (VaultSessionsError, OSError) as error:
            self._tell(str(error))

    def _next(self) -> _Job | None:
        pause = self._every and max(self._every, RETRY if self._fails else 0.0)
        try:
            return self._jobs.get(timeout=pause)
        except Empty:
            return self._look

    def _try(self, job: _Job, workspace: Workspace) -> None:
        self._fails = False
        try:
            job(workspace)
        except VaultSessionsError as error:
            self._fails = isinstance(error, ProviderError)
            self._tell(str(error))
        except OSError as error:
            self._tell(f"{error.filename or 'The vault'}: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001  # a thread has nobody above it to tell
            self._tell(f"Work in the background failed ({type(error).__name__}: {error}).")

    def _tell(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            (self._say or self._heard.put)(text)

    def _look(self, workspace: Workspace) -> None:
        for done in workspace.endings.look_after():
            if done.error is not None:
                self._fails = True
                self._tell(f"The end of {done.label!r} waits: {done.error}")
            if self._leaving.is_set():
                return

    def _end(self, workspace: Workspace, session_id: str) -> None:
        try:
            workspace.endings.complete(session_id)
        except VaultSessionsError as error:
            self._fails = isinstance(error, ProviderError)
            label = session_id
            with suppress(VaultSessionsError):
                label = workspace.find(session_id).label
            self._tell(f"The end of {label!r} waits: {error}")

"""Threads that work for the screen: each has a workspace of its own and does one thing at a time.

The screen never waits: it asks a hand and goes on drawing. They are daemon threads, so that one
that waits for a server can't keep the program from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from vault_sessions.assistant.stop import Stop, stoppable
from vault_sessions.workspace import Workspace

T = TypeVar("T")
_Work = tuple[Callable[[Workspace], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Hand:
    """A thread with a workspace, opened in it when it is first asked for something."""

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open = open_workspace
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name="vault-sessions hand", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[Workspace], T]) -> T:
        """What ``work`` gives, done in the thread behind what it has to do already. Raises what it
        raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._work.put((work, future, loop))
        return await future

    def close(self, seconds: float) -> None:
        """Take nothing more; wait so long for what is being done. Servers are waited for no
        more."""
        self._work.put(None)
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        workspace: Workspace | None = None
        while (item := self._work.get()) is not None:
            work, future, loop = item
            result: Any = None
            error: BaseException | None = None
            try:
                if workspace is None:
                    workspace = self._open()
                with stoppable(self._stop):
                    result = work(workspace)
            except BaseException as raised:  # noqa: BLE001  # it is raised where it was asked for
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                break
        if workspace is not None:
            workspace.close()


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception):
        future.set_exception(error)
    else:
        future.set_exception(RuntimeError(repr(error)))

"""Is the terminal still there? One that goes without a word (no SIGHUP) leaves a program that draws
for nobody: it would wait for ever to write, and turn in circles to read."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable


def when_gone(fd: int, leave: Callable[[], None]) -> None:
    """Call ``leave`` in a thread of its own once the other end of a terminal has gone."""
    threading.Thread(
        target=_wait, args=(fd, leave), name="vault-sessions terminal", daemon=True
    ).start()


def _wait(fd: int, leave: Callable[[], None]) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # a hang-up is always told, and nothing else is
    poll.poll()
    leave()

"""Ending, from another thread, what waits for a server.

    with stoppable(stop):
        ...  # every call to a model that is made here ends at once when somebody calls stop.set()

Closing a socket wakes who reads from it, but not who looks up a name, connects or runs a command
for a key. So what may wait is done in a thread of its own: where it can't be woken it is left
behind, and whatever it brings later is thrown away.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Tell = Callable[[str], None]
SIGNAL_SECONDS = 1.0
"""No wait is longer: one that begins just after a signal came is not ended by it."""


class Stop:
    """Set once; ``is_set`` then stays true."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._hearing: set[SimpleQueue[tuple[str, Any]]] = set()

    @property
    def is_set(self) -> bool:
        """Was it stopped?"""
        return self._set.is_set()

    def set(self) -> None:
        """Stop what is being waited for, and all that would be."""
        with self._lock:
            self._set.set()
            for news in self._hearing:
                news.put(("stopped", None))

    def pause(self, seconds: float) -> None:
        """Wait so long. Raises KeyboardInterrupt when stopped."""
        if self._set.wait(seconds):
            raise KeyboardInterrupt

    def run(
        self, work: Callable[[Callable[[str], None], Line], T], hear: Callable[[str], None]
    ) -> T:
        """What ``work(tell, line)`` gives; what it tells is heard in this thread, in order.

        Its sockets belong to ``line``: they are cut when nobody waits for it any more. Raises what
        it raises, what ``hear`` raises, and KeyboardInterrupt when stopped; what was told before
        that has been heard.
        """
        news: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        line = Line()

        def done() -> None:
            try:
                news.put(("result", work(lambda piece: news.put(("told", piece)), line)))
            except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
                news.put(("error", error))

        with self._lock:
            if self._set.is_set():
                raise KeyboardInterrupt
            self._hearing.add(news)
        threading.Thread(target=done, name="vault-sessions call", daemon=True).start()
        try:
            while True:
                try:
                    kind, what = news.get(timeout=SIGNAL_SECONDS)
                except Empty:
                    continue
                if kind == "told":
                    hear(what)
                elif kind == "result":
                    result: T = what
                    return result
                else:
                    raise KeyboardInterrupt if kind == "stopped" else what
        finally:
            with self._lock:
                self._hearing.discard(news)
            line.cut()


class Line:
    """The connection of one call: cut, it and any that is still made for it are dead."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_cut = False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hears of httpx's steps: a connection was made."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            found = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.append(found)
                if self._is_cut:
                    _shut(found)

    def cut(self) -> None:
        """End it."""
        with self._lock:
            self._is_cut = True
            for each in self._sockets:
                _shut(each)


def _shut(found: socket.socket) -> None:
    # not its own method: that of an encrypted socket pulls the rug from under who reads from it
    with suppress(OSError):
        socket.socket.shutdown(found, socket.SHUT_RDWR)


_NOW: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def stoppable(stop: Stop | None) -> Iterator[None]:
    """In this thread, until the block ends, calls to a model end when ``stop`` is set."""
    before = _NOW.set(stop)
    try:
        yield
    finally:
        _NOW.reset(before)


def current() -> Stop | None:
    """What may stop a call that is made here."""
    return _NOW.get()

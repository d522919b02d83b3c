"""Work that is asked for faster than it is done, as by somebody who types: the newest counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Newest:
    """Does one thing at a time. Of what is asked for meanwhile only the newest is done then."""

    def __init__(self) -> None:
        self._next: Callable[[], Awaitable[None]] | None = None
        self._is_busy = False

    async def do(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it now, or leave it to the one who is at work."""
        self._next = work
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._next is not None:
                work, self._next = self._next, None
                await work()
        finally:
            self._is_busy = False

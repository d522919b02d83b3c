"""What is typed is taken one key after another, each when all that the one before it did is done.

Textual gives a key that a screen has first call on (Enter, Esc) to it at once, while the letters
before it still wait in the queue of the line they are typed in; and letters that come before a new
screen has its line go nowhere. Over a slow connection, or from a program, keys come in bursts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol, runtime_checkable

from textual.dom import DOMNode
from textual.events import Event

_PATIENCE = 2.0
"""Seconds after which a key is taken whatever still goes on: nothing may keep it away for ever."""
_STEP = 0.002


@runtime_checkable
class Taking(Protocol):
    """A screen where a key means nothing as long as this is false: it is being filled, or another
    screen is about to come."""

    @property
    def takes_keys(self) -> bool: ...


class InOrder:
    """``take`` does what a key does at once; ``here`` is where it goes to."""

    def __init__(
        self, take: Callable[[Event], Awaitable[None]], here: Callable[[], DOMNode]
    ) -> None:
        self._take = take
        self._here = here
        self._typed: deque[tuple[Event, float]] = deque()
        self._is_taking = False
        self.latest = 0.0
        """When the last key came (``time.monotonic``)."""

    @property
    def is_at_rest(self) -> bool:
        """Is all done that was typed?"""
        return not self._is_taking

    def add(self, event: Event) -> bool:
        """One more was typed; True: ``take_all`` is to be run for it."""
        self.latest = monotonic()
        self._typed.append((event, asyncio.get_running_loop().time() + _PATIENCE))
        is_first, self._is_taking = not self._is_taking, True
        return is_first

    async def take_all(self) -> None:
        """Take what was typed, and what is meanwhile."""
        try:
            while self._typed:
                event, until = self._typed.popleft()
                with suppress(TimeoutError):
                    await self._ready(until)
                place = self._here()  # another one, where the screen has just come
                await self._take(event)
                with suppress(TimeoutError):
                    await _done(place, until)
        finally:
            self._is_taking = False

    async def _ready(self, until: float) -> None:
        """Wait until keys mean something where they would go."""
        async with asyncio.timeout_at(until):
            while isinstance(here := self._here().screen, Taking) and not here.takes_keys:
                await asyncio.sleep(_STEP)
        await _done(self._here(), until)


async def _done(place: DOMNode, until: float) -> None:
    """Wait until this place, and then each that it is in, has done what it was given, and what came
    of that: a letter changes a line, and its new text what can be chosen."""
    async with asyncio.timeout_at(until):
        for node in [*place.ancestors_with_self, *place.ancestors_with_self]:
            done = asyncio.Event()
            if node.is_running and node.call_later(done.set):
                await done.wait()

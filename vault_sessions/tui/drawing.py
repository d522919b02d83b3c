"""How fast an answer is drawn while it comes: no faster than it can be seen, and after the keys."""

from __future__ import annotations

import gc
from asyncio import Lock
from time import monotonic

from textual.screen import Screen

from vault_sessions.tui.in_order import InOrder
from vault_sessions.tui.talk import Flow
from vault_sessions.tui.widgets.conversation import Conversation
from vault_sessions.tui.widgets.status import Status

_DRAW_SECONDS = 0.05
_KEY_SECONDS, _LATE_SECONDS = 0.12, 0.3
"""After a key so long nothing is drawn of an answer, unless that has waited for long enough."""
_TYPING_SECONDS = 1.0


class Drawing:
    """``begin`` with an answer, ``finish`` when all of it has come, ``end`` when it is over.

    ``typed`` knows when the last key came.
    """

    def __init__(self, screen: Screen[None], typed: InOrder) -> None:
        self._screen = screen
        self._typed = typed
        self._flow: Flow | None = None
        self._pen = Lock()
        self._is_drawing = False
        self._next_at = 0.0
        self._timer = screen.set_interval(_DRAW_SECONDS, self._draw, pause=True)

    def begin(self, flow: Flow) -> None:
        """Draw what comes of it from now on."""
        self._flow = flow
        self._timer.resume()

    async def finish(self) -> None:
        """Draw what has not been drawn yet."""
        if self._flow is not None:
            await self._draw_pieces(self._flow)

    def end(self) -> None:
        """Nothing more comes."""
        self._flow = None
        self._timer.pause()
        gc.unfreeze()

    async def _draw(self) -> None:
        """Show what has come; not before the screen has shown what came before, nor what the last
        key did."""
        began = monotonic()
        if self._flow is None or self._is_drawing or began < self._next_at:
            return
        is_late = began > self._next_at + _LATE_SECONDS
        if is_late or began > self._typed.latest + _KEY_SECONDS:
            self._is_drawing = True
            await self._draw_pieces(self._flow)
            self._screen.call_after_refresh(self._has_drawn, began)

    def _has_drawn(self, began: float) -> None:
        """Keys have at least as much time as drawing, and while one types three times as much."""
        self._is_drawing = False
        now = monotonic()
        is_typing = now < self._typed.latest + _TYPING_SECONDS
        self._next_at = now + (now - began) * (3 if is_typing else 1)

    async def _draw_pieces(self, flow: Flow) -> None:
        """Draw what has come. One at a time: the last piece is not drawn, and the answer not taken
        for whole, while the one before it is still on its way to the screen."""
        status = self._screen.query_one(Status)
        conversation = self._screen.query_one(Conversation)
        async with self._pen:
            if flow.waiting:
                status.busy(flow.waiting)
            come_now = flow.take()
            if come_now:
                _begin_answer(flow)
                status.busy("answering")
            for come in come_now:
                if come.is_note:
                    await conversation.between(come.text)
                else:
                    await conversation.add(come.text)


def _begin_answer(flow: Flow) -> None:
    """While it comes, what was there before it is not looked through for garbage: that takes a
    tenth of a second, in which no key is answered."""
    if not flow.has_begun:
        flow.has_begun = True
        gc.freeze()

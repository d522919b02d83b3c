"""The conversation: the newest messages, older ones as one scrolls up to them.

Only so many are on the screen's tree at a time, so that the two thousandth message is as quick as
the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.containers import VerticalScroll
from textual.widget import Widget

from vault_sessions.model import Message
from vault_sessions.rules.branches import Fork
from vault_sessions.tui.widgets.marker import Marker
from vault_sessions.tui.widgets.message import Note, Said, tool_note

STEP, STEP_CHARACTERS = 30, 12_000
"""So many messages are shown at once, fewer where they are long."""
MOST = 90


class Conversation(VerticalScroll):
    """``show`` puts a conversation there; ``say``, ``begin`` and ``add`` go on with it."""

    can_focus = True

    def __init__(self) -> None:
        super().__init__(id="conversation")
        self._messages: tuple[Message, ...] = ()
        self._forks: Mapping[str, Fork] = {}
        self._first = 0
        self._last = 0
        self._answer: Said | None = None

    async def show(
        self,
        messages: Sequence[Message],
        forks: Mapping[str, Fork] | None = None,
        *,
        keep_place: bool = False,
    ) -> None:
        """Show these, the newest at the bottom; ``keep_place``: they are the same ones, changed.
        ``forks``: which of them have others beside them."""
        at = self.scroll_y if keep_place and not self.is_vertical_scroll_end else None
        self._messages = tuple(messages)
        self._forks = forks or {}
        self._last = len(self._messages)
        self._first = self._before(self._last)
        self._answer = None
        with self.app.batch_update():
            await self.remove_children()
            await self.mount_all(self._widgets(self._first, self._last))
        if at is None:
            self._to_end()
        else:
            self.scroll_to(y=at, animate=False)

    def _before(self, last: int) -> int:
        """Where to begin, to show some messages up to that one."""
        first, characters = last, 0
        while first > 0 and last - first < STEP and characters < STEP_CHARACTERS:
            first -= 1
            characters += min(len(self._messages[first].text), STEP_CHARACTERS)
        return first

    def _widgets(self, first: int, last: int) -> list[Widget]:
        widgets: list[Widget] = []
        if first:
            widgets.append(_earlier(first))
        widgets += [w for m in self._messages[first:last] for w in _shown(m, self._forks.get(m.id))]
        return widgets

    async def show_earlier(self) -> bool:
        """Show some more of what came before; False: there is nothing."""
        if not self._first:
            return False
        first = self._before(self._first)
        top = next(iter(self.query(Said)), None)
        with self.app.batch_update():
            await self.query(".earlier").remove()
            new = self._widgets(first, self._first)
            await self.mount_all(new, before=0)
            self._first = first
            await self._drop_beyond()
        if top is not None:
            self.call_after_refresh(self.scroll_to_widget, top, animate=False, top=True)
        return True

    async def _drop_beyond(self) -> None:
        """Of very many at once the newest go from the tree; End brings them back."""
        children = list(self.children)
        if len(children) > MOST and self._answer is None:
            for widget in children[MOST:]:
                await widget.remove()
            self._last = self._first + MOST

    async def go_to(self, message_id: str) -> bool:
        """Show that message, at the top; False: it is not in this conversation."""
        place = next((i for i, m in enumerate(self._messages) if m.id == message_id), None)
        if place is None:
            return False
        if not self._first <= place < self._last:
            self._first = max(0, place - STEP // 3)
            self._last = min(len(self._messages), self._first + STEP)
            with self.app.batch_update():
                await self.remove_children()
                await self.mount_all(self._widgets(self._first, self._last))
        found = [
            widget
            for widget in self.children
            if isinstance(widget, Said | Note) and widget.message_id == message_id
        ]
        for widget in found:
            widget.add_class("found")
        if found:
            self.call_after_refresh(self.scroll_to_widget, found[0], animate=False, top=True)
        return True

    def unmark(self) -> None:
        """No message stands out any more."""
        self.query(".found").remove_class("found")

    async def show_newest(self) -> None:
        """Go to the end."""
        if self._last < len(self._messages):
            await self.show(self._messages, self._forks)
        self._to_end()

    def _to_end(self) -> None:
        self.anchor()
        self.scroll_end(animate=False)

    # --- as it goes on ---

    async def say(self, text: str) -> None:
        """What the user has just said."""
        self._answer = None
        await self.mount(Said("", "user", text))
        self._to_end()

    async def cut(self, message_id: str) -> None:
        """Take away that message and all behind it: it is about to be said again."""
        place = next((i for i, m in enumerate(self._messages) if m.id == message_id), None)
        if place is not None:
            await self.show(self._messages[:place], self._forks)

    async def written(self, messages: Sequence[Message], forks: Mapping[str, Fork]) -> None:
        """What was said and answered since is on disk: these are the messages now."""
        if self._last == len(self._messages):
            self._last = len(messages)
        self._messages, self._forks = tuple(messages), forks
        for role in ("user", "assistant"):
            new = [said for said in self.query(Said) if said.role == role and not said.message_id]
            there = [m for m in messages if m.role == role and m.text.strip()]
            for said, message in zip(reversed(new), reversed(there), strict=False):
                await said.written(message.id, forks.get(message.id))
        self._answer = None
        await self._drop_earlier()

    async def _drop_earlier(self) -> None:
        """Of very many the oldest go from the tree while one looks at the newest; scrolling up
        brings them back."""
        if len(self.children) <= MOST or not self.is_vertical_scroll_end:
            return
        keep = self._before(self._last)
        first_id = self._messages[keep].id
        children = list(self.children)
        place = next(
            (i for i, w in enumerate(children) if isinstance(w, Said) and w.message_id == first_id),
            None,
        )
        if place is None:  # no widget shows that message: it is done after the next answer
            return
        with self.app.batch_update():
            await self.remove_children(children[:place])
            if keep:
                await self.mount(_earlier(keep), before=0)
        self._first = keep

    async def begin(self) -> None:
        """An answer begins."""
        self._answer = Said("", "assistant", "")
        await self.mount(self._answer)

    async def add(self, piece: str) -> None:
        """More of the answer has come."""
        if self._answer is None:
            if not piece.strip():
                return
            await self.begin()
        if self._answer is not None:
            self._answer.add(piece)

    async def between(self, text: str) -> None:
        """A note between two texts of an answer."""
        self._answer = None
        await self.mount(Note(text, classes="note tool"))

    async def note(self, text: str, *, is_error: bool = False) -> None:
        """A line that is no message."""
        await self.mount(Note(text, classes="note error" if is_error else "note"))
        if self.is_vertical_scroll_end:
            self._to_end()


def _earlier(count: int) -> Note:
    return Note(f"↑ {count} earlier messages", classes="note earlier")


def _shown(message: Message, fork: Fork | None) -> list[Widget]:
    widgets: list[Widget] = []
    if message.role in ("user", "assistant") and message.text.strip():
        status = message.fields.get("status")
        known = status if isinstance(status, str) else None
        widgets.append(Said(message.id, message.role, message.text, known, fork))
    elif message.role == "system":
        widgets.append(Note(message.text, message_id=message.id))
    if fork is not None and not any(isinstance(widget, Said) for widget in widgets):
        widgets.insert(0, Marker(fork))
    if note := tool_note(message):
        widgets.append(Note(note, classes="note tool", message_id=message.id))
    return widgets

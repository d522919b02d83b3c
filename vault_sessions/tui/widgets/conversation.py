"""The conversation: of its messages those around the lines that are seen are on the screen's tree.

What one scrolls towards comes and what one leaves behind goes, so that the screen does not grow
with the conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.layout import WidgetPlacement
from textual.widget import Widget

from vault_sessions.model import Message
from vault_sessions.rules.branches import Fork
from vault_sessions.tui.widgets.marker import Marker
from vault_sessions.tui.widgets.message import Note, Said, tool_note
from vault_sessions.tui.widgets.prose import forget

P = ParamSpec("P")

STEP, STEP_CHARACTERS = 30, 12_000
"""So many messages come at once, fewer where they are long."""
NEAR, KEPT, MOST = 1, 2, 4
"""Pages: nearer to an end than the first, more messages come; when something is farther from what
is seen than the third, all that is farther than the second goes."""
_CONTEXT = 3
"""So many lines are seen above what was looked for."""
_MOST_NOTES = 100
"""So many lines behind the last message; of more the oldest go."""


class Conversation(VerticalScroll):
    """``show`` puts a conversation there; ``say``, ``begin`` and ``add`` go on with it.

    Its children, from the top: how many messages came before; the messages from ``_first`` up to
    ``_last`` (those alone know their ids); how many come after; what is being said and answered,
    and notes that are no messages.
    """

    can_focus = True

    def __init__(self) -> None:
        super().__init__(id="conversation")
        self._messages: tuple[Message, ...] = ()
        self._forks: Mapping[str, Fork] = {}
        self._first = 0
        self._last = 0
        self._answer: Said | None = None
        self._above, self._below = _line("earlier"), _line("later")
        self._changing = asyncio.Lock()
        self._is_following = True
        """One is at the end, and stays there whatever comes."""
        self._held: tuple[Widget, int] | None = None
        """A child, and how far below the upper edge it is to stand after the next layout."""
        self._is_coming = False

    def compose(self) -> ComposeResult:
        """How much there is above and below of what is here; the rest is put between."""
        yield self._above
        yield self._below

    async def show(
        self,
        messages: Sequence[Message],
        forks: Mapping[str, Fork] | None = None,
        *,
        keep_place: bool = False,
    ) -> None:
        """Show these, the newest at the bottom; ``keep_place``: they are the same ones, changed.
        ``forks``: which of them have others beside them."""
        await self._alone(self._show, tuple(messages), forks or {}, keep_place)

    async def go_to(self, message_id: str, words: Sequence[str] = ()) -> bool:
        """Show that message, at the top; of a long one the lines where the words stand. False: it
        is not in this conversation."""
        place = self._place_of(message_id)
        if place is None:
            return False
        await self._alone(self._go_to, message_id, place, words)
        return True

    def unmark(self) -> None:
        """No message stands out any more."""
        for widget in self.query(".found"):
            if isinstance(widget, Said):
                widget.unmark()
            else:
                widget.remove_class("found")

    async def show_newest(self) -> None:
        """Go to the end."""
        await self._alone(self._show_newest)

    async def show_oldest(self) -> None:
        """Go to the beginning."""
        await self._alone(self._show_oldest)

    async def page(self, by: int) -> None:
        """A page up (-1) or down (1), whether it is here already or not."""
        if self._is_near_end(by):
            await self._alone(self._come, by)
        rows = by * self.scrollable_content_region.height
        if self._held is not None:
            self._is_following = False
            widget, row = self._held
            self._held = widget, row - rows
        else:
            self.scroll_to(y=self.scroll_y + rows, animate=False, immediate=True)

    def action_scroll_home(self) -> None:
        """(Textual's: Home.) To the first message, not the first that is here."""
        self.call_next(self.show_oldest)

    def action_scroll_end(self) -> None:
        """(Textual's: End.) To the last message."""
        self.call_next(self.show_newest)

    # --- as it goes on ---

    async def say(self, text: str) -> None:
        """What the user has just said."""
        await self._alone(self._say, text)

    async def cut(self, message_id: str) -> None:
        """Take away that message and all behind it: it is about to be said again."""
        place = self._place_of(message_id)
        if place is not None:
            await self.show(self._messages[:place], self._forks)

    async def written(self, messages: Sequence[Message], forks: Mapping[str, Fork]) -> None:
        """What was said and answered since is on disk: these are the messages now."""
        await self._alone(self._written, tuple(messages), forks)

    async def begin(self) -> None:
        """An answer begins."""
        self._answer = Said("", "assistant", "")
        await self._alone(self._append, self._answer)

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
        await self._alone(self._append, Note(text, classes="note tool"))

    async def note(self, text: str, *, is_error: bool = False) -> None:
        """A line that is no message."""
        await self._alone(self._note, Note(text, classes="note error" if is_error else "note"))

    # --- one change after another ---

    async def _alone(
        self, change: Callable[P, Awaitable[None]], *args: P.args, **kw: P.kwargs
    ) -> None:
        """Do it when no other change is being made; who waits for it may go, it is made whole."""

        async def made() -> None:
            async with self._changing:
                await change(*args, **kw)

        making = asyncio.ensure_future(made())
        making.add_done_callback(_take_note)
        await asyncio.shield(making)

    async def _show(
        self, messages: tuple[Message, ...], forks: Mapping[str, Fork], keep_place: bool
    ) -> None:
        seen = self._seen() if keep_place and not self._is_following else []
        self._messages, self._forks, self._answer = messages, forks, None
        there = {message.id: place for place, message in enumerate(messages)}
        stays = next(((there[known], row) for known, row in seen if known in there), None)
        with self.app.batch_update():
            await self._remove(self._shown())
            if stays is None:
                await self._put_newest()
            else:
                place, row = stays
                await self._put_around(place)
                self._hold_at(messages[place].id, row)

    async def _go_to(self, message_id: str, place: int, words: Sequence[str]) -> None:
        if not self._first <= place < self._last:
            await self._put_around(place)
        found = [child for child in self.children if _message_of(child) == message_id]
        for widget in found:
            if isinstance(widget, Said):
                widget.mark(words)
            else:
                widget.add_class("found")
        if found:
            self._hold_at(message_id, 0)

    async def _show_newest(self) -> None:
        if self._last < len(self._messages):
            await self._put_newest()
        self._follow()

    async def _show_oldest(self) -> None:
        if self._first:
            await self._put_around(0)
        self._held = None
        self.scroll_to(y=0, animate=False, immediate=True)

    async def _say(self, text: str) -> None:
        self._answer = None
        if self._last < len(self._messages):
            await self._put_newest()
        await self._append(Said("", "user", text))
        self._follow()
        await self._go(-1)

    async def _written(self, messages: tuple[Message, ...], forks: Mapping[str, Fork]) -> None:
        was_newest = self._last == len(self._messages)
        tail = self._tail()
        self._messages, self._forks, self._answer = messages, forks, None
        if was_newest:
            self._last = len(messages)
            await self._tell_ids(tail)
            if self._is_following:
                await self._go(-1)
        else:  # one reads what was said long before; it comes when one scrolls down to it
            await self._remove(tail)
        self._tell()

    async def _tell_ids(self, tail: Sequence[Widget]) -> None:
        """Tell those which messages they are."""
        for role in ("user", "assistant"):
            new = [said for said in tail if isinstance(said, Said) and said.role == role]
            there = [m for m in self._messages if m.role == role and m.text.strip()]
            for said, message in zip(reversed(new), reversed(there), strict=False):
                await said.written(message.id, self._forks.get(message.id))

    async def _note(self, note: Note) -> None:
        await self._append(note)
        notes = [widget for widget in self._tail() if isinstance(widget, Note)]
        await self._remove(notes[:-_MOST_NOTES])

    # --- which of them are here ---

    def _before(self, last: int) -> int:
        """Where to begin, to have some messages up to that one."""
        first, count, characters = last, 0, 0
        while first > 0 and count < STEP and characters < STEP_CHARACTERS:
            first -= 1
            count += _is_seen(self._messages[first])
            characters += len(self._messages[first].text)
        return first

    def _after(self, first: int) -> int:
        """Where to end, to have some messages from that one on."""
        last, count, characters = first, 0, 0
        while last < len(self._messages) and count < STEP and characters < STEP_CHARACTERS:
            count += _is_seen(self._messages[last])
            characters += len(self._messages[last].text)
            last += 1
        return last

    async def _put_newest(self) -> None:
        last = len(self._messages)
        await self._put(self._before(last), last)
        self._follow()

    async def _put_around(self, place: int) -> None:
        """Have that message here, and some before it and behind it."""
        await self._put(self._before(place), self._after(place))
        self._is_following = False

    async def _put(self, first: int, last: int) -> None:
        """Have those messages here in place of the ones that are; what is no message stays."""
        tail = self._tail()
        with self.app.batch_update():
            await self._remove([child for child in self._shown() if child not in tail])
            await self.mount_all(self._widgets(first, last), before=self._below)
            self._first, self._last = first, last
            self._tell()

    async def _come(self, way: int) -> None:
        """Have some more here, before (-1) or behind (1) those that are; what is seen stays where
        it is, and of what is far from it at the other end some goes."""
        await self.stop_animation("scroll_y")
        self._hold()
        with self.app.batch_update():
            if way < 0:
                first, last = self._before(self._first), self._first
                await self.mount_all(self._widgets(first, last), before=1)
                self._first = first
            else:
                first, last = self._last, self._after(self._last)
                await self.mount_all(self._widgets(first, last), before=self._below)
                self._last = last
            await self._go(-way)
            self._tell()

    async def _go(self, way: int) -> None:
        """Of very many before (-1) or behind (1) what is seen, those that are far from it go."""
        starts = self._starts()
        far = [at for at in starts if self._pages_to(at, way) > KEPT]
        if not far or self._pages_to(starts[-1 if way > 0 else 0], way) <= MOST:
            return
        children, tail = self._shown(), self._tail()
        if way < 0:
            kept = far[-1]
            gone = children[: children.index(kept)]
        else:
            kept = far[0]
            gone = [child for child in children[children.index(kept) :] if child not in tail]
        place = self._place_of(_message_of(kept))
        if place is None:  # it was taken away on disk; what is shown will be changed
            return
        with self.app.batch_update():
            self._hold()
            await self._remove(gone)
            if way < 0:
                self._first = place
            else:
                self._last = place
                self._is_following = False
            self._tell()

    def _pages_to(self, child: Widget, way: int) -> float:
        """How far it is from what is seen, in that direction."""
        region, page = child.virtual_region, self._page
        if not region:
            return 0
        top = round(self.scroll_y)
        rows = top - region.y if way < 0 else region.y - top - self.size.height
        return rows / page

    @property
    def _page(self) -> int:
        return max(self.size.height, 10)

    def _tell(self) -> None:
        """Say how many there are above and below."""
        above, below = self._first, len(self._messages) - self._last
        self._above.update(f"↑ {above} earlier messages")
        self._below.update(f"↓ {below} later messages")
        self._above.display, self._below.display = bool(above), bool(below)
        if below and (behind := self._shown()):
            tail = self._tail()
            if tail:
                self.move_child(self._below, before=tail[0])
            elif self.children[-1] is not self._below:
                self.move_child(self._below, after=behind[-1])

    # --- the children ---

    def _shown(self) -> list[Widget]:
        """All but the lines that say how much more there is."""
        return [child for child in self.children if child not in (self._above, self._below)]

    def _tail(self) -> list[Widget]:
        """What is behind the last message that is on disk."""
        shown = self._shown()
        known = [place for place, child in enumerate(shown) if _message_of(child)]
        return shown[known[-1] + 1 :] if known else shown

    def _starts(self) -> list[Widget]:
        """The first child of each message."""
        starts: list[Widget] = []
        for child in self.children:
            known = _message_of(child)
            if known and not (starts and _message_of(starts[-1]) == known):
                starts.append(child)
        return starts

    def _widgets(self, first: int, last: int) -> list[Widget]:
        return [
            widget
            for message in self._messages[first:last]
            for widget in _widgets(message, self._forks.get(message.id))
        ]

    def _place_of(self, message_id: str | None) -> int | None:
        return next((i for i, m in enumerate(self._messages) if m.id == message_id), None)

    async def _append(self, widget: Widget) -> None:
        await self.mount(widget)

    async def _remove(self, widgets: Sequence[Widget]) -> None:
        """They and what was drawn of them go."""
        every = [part for widget in widgets for part in widget.walk_children(with_self=True)]
        await self.remove_children(widgets)
        for part in every:
            if isinstance(part, Widget):
                forget(part)

    # --- where one is ---

    def _seen(self) -> list[tuple[str, int]]:
        """The messages from the topmost that is seen up to the first, each with how far below the
        upper edge it stands."""
        top = round(self.scroll_y)
        seen = [
            (known, region.y - top)
            for child in self._starts()
            if (known := _message_of(child)) and (region := child.virtual_region)
        ]
        above = [place for place in seen if place[1] <= 0]
        return above[::-1] or seen[:1]

    def _hold(self) -> None:
        """What comes and goes above does not move what is seen."""
        top = round(self.scroll_y)
        for child in self._shown():
            region = child.virtual_region
            if region.bottom > top:
                if self._held is None:
                    self._held = child, region.y - top
                return

    def _hold_at(self, message_id: str, row: int) -> None:
        """That message is to stand there."""
        child = next((c for c in self.children if _message_of(c) == message_id), None)
        if child is None:
            return
        self._is_following = False
        if region := child.virtual_region:
            self._held = None
            row -= self._row_sought(child)
            self.scroll_to(y=region.y - row, animate=False, immediate=True)
        else:  # where it is will be known then
            self._held = child, row

    def _row_sought(self, child: Widget) -> int:
        """How much farther up it is to stand, for what was looked for in it to be seen."""
        if not isinstance(child, Said):
            return 0
        # (not self.size, which may lay everything out while that is being done)
        row = child.row_sought(self.container_size.height - _CONTEXT)
        return max(0, row - _CONTEXT)

    def _follow(self) -> None:
        """Go to the end, and stay there."""
        self._held = None
        self._is_following = True
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)

    def process_layout(self, placements: list[WidgetPlacement]) -> list[WidgetPlacement]:
        """(Textual's: where the children are to be is known, and nothing is drawn yet.)"""
        bottom = max((p.region.bottom for p in placements), default=0)
        end = bottom - self.container_size.height
        if self._is_following:
            self._move_to(end)
        elif self._held is not None:
            held, row = self._held
            row -= self._row_sought(held)
            self._held = held, row
            at = next((p.region.y for p in placements if p.widget is held), None)
            if at is not None:
                self._move_to(min(at - row, end))
        self.call_after_refresh(self._settle)
        return placements

    def _move_to(self, row: int) -> None:
        """Before it is drawn, and whatever is known yet of how far one can go."""
        self.set_scroll(None, max(0, row))
        self.set_reactive(VerticalScroll.scroll_target_y, self.scroll_y)

    def _settle(self) -> None:
        """It was drawn: perhaps more is to come."""
        if self._changing.locked():
            return
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = self.scroll_y
        if self._held is not None:
            held, _ = self._held
            if held.is_attached and not held.virtual_region:
                return  # this was about an earlier layout, without it
            self._held = None
            self._is_following = self._is_at_end()
        self._look()

    def on_resize(self) -> None:
        """Where the end is seen, it is seen also when there is less room."""
        if self._is_following:
            self._follow()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Who goes away from the end does not follow it, who comes there does; near an end of what
        is here more comes."""
        super().watch_scroll_y(old_value, new_value)
        if self._changing.locked():
            self._is_following = self._is_following and self.is_vertical_scroll_end
        else:
            self._is_following = self._is_at_end()
            self._look()
        if self._held is not None:
            widget, row = self._held
            self._held = widget, row - round(new_value) + round(old_value)

    def _is_at_end(self) -> bool:
        return self._is_all_below() and self.is_vertical_scroll_end

    @property
    def is_settled(self) -> bool:
        """Is all here that is to be, and drawn?"""
        return not (self._changing.locked() or self._is_coming or self._held is not None)

    def _is_all_below(self) -> bool:
        return self._last == len(self._messages)

    def _look(self) -> None:
        """Let more come, where one is near an end of what is here."""
        if not self._is_coming and any(self._is_near_end(way) for way in (-1, 1)):
            self._is_coming = True
            self._come_near()

    @work(group="come")
    async def _come_near(self) -> None:
        try:
            for way in (-1, 1):
                if self._is_near_end(way):
                    await self._alone(self._come, way)
                    break
        finally:
            self._is_coming = False

    def _is_near_end(self, way: int) -> bool:
        """Are there more in that direction, and what is seen is near to them?"""
        if not self.size or not self.screen.is_current:
            return False
        if way < 0:
            return self._first > 0 and self.scroll_y < NEAR * self._page
        region = self._below.virtual_region
        return (
            not self._is_all_below()
            and bool(region)
            and region.y - self.scroll_y - self.size.height < NEAR * self._page
        )


def _line(name: str) -> Note:
    line = Note("", classes=f"note {name}")
    line.display = False
    return line


def _take_note(made: asyncio.Future[Any]) -> None:
    """What went wrong is told to who waits, and to nobody where nobody does."""
    if not made.cancelled():
        made.exception()


def _message_of(widget: Widget) -> str | None:
    """The message (its id) that a child shows or belongs to, if it is on disk."""
    return (widget.message_id or None) if isinstance(widget, Said | Note | Marker) else None


def _is_seen(message: Message) -> bool:
    """Is there anything of it to be seen?"""
    if message.role in ("user", "assistant") and message.text.strip():
        return True
    return message.role == "system" or tool_note(message) is not None


def _widgets(message: Message, fork: Fork | None) -> Iterable[Widget]:
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

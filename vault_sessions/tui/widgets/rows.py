"""A list of any length, of which only what is seen is drawn: each item has the same few lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.text import Text
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

T = TypeVar("T")


class Rows(ScrollView, Generic[T], can_focus=True):
    """One item is marked. ``draw`` gives an item's lines; they are cut at the list's width.

    Keys are the screen's: it calls ``move``.
    """

    COMPONENT_CLASSES = {"rows--marked", "rows--found", "rows--faint"}
    at: reactive[int] = reactive(0)

    class Marked(Message):
        """Another item is marked, or the marked place has another item."""

    class Taken(Message):
        """The marked item was clicked."""

    def __init__(self, draw: Callable[[T, int], list[Text]], *, lines: int = 1) -> None:
        super().__init__()
        self._draw = draw
        self._each = lines
        self._items: Sequence[T] = ()
        self._drawn: dict[int, list[Strip]] = {}

    def fill(self, items: Sequence[T], at: int = 0) -> None:
        """Show these, with that one marked."""
        self._items = items
        self._drawn.clear()
        self.virtual_size = Size(self.size.width, len(items) * self._each)
        self.at = max(0, min(at, len(items) - 1))
        self._see()
        self.refresh()
        self.post_message(self.Marked())

    @property
    def marked(self) -> T | None:
        """The item that is marked; None in an empty list."""
        return self._items[self.at] if self.at < len(self._items) else None

    @property
    def page(self) -> int:
        """How many items are seen at once."""
        return max(1, self.size.height // self._each)

    def move(self, by: int) -> bool:
        """Mark the item so many further, or the last one; False: it was marked already."""
        return self.mark(self.at + by)

    def mark(self, place: int) -> bool:
        """Mark the item at a place; False: it was marked already."""
        place = max(0, min(place, len(self._items) - 1))
        if place == self.at:
            return False
        self.at = place
        self._see()
        self.post_message(self.Marked())
        return True

    def _see(self) -> None:
        place = Region(0, self.at * self._each, 1, self._each)
        self.scroll_to_region(place, animate=False, force=True, immediate=True)

    def watch_at(self) -> None:
        """Another item has the mark."""
        self._drawn.clear()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Items are as wide as the list, and the marked one stays in sight."""
        self._drawn.clear()
        self.virtual_size = Size(event.size.width, len(self._items) * self._each)
        self._see()

    def notify_style_update(self) -> None:
        """Colours are others now."""
        self._drawn.clear()
        super().notify_style_update()

    def on_click(self, event: events.Click) -> None:
        """Mark what was clicked; if it is marked, take it."""
        place = (event.y + self.scroll_offset.y) // self._each
        if place < len(self._items) and not self.mark(place):
            self.post_message(self.Taken())

    # --- drawing ---

    def render_line(self, y: int) -> Strip:
        """A line of what is seen."""
        place, line = divmod(y + self.scroll_offset.y, self._each)
        width = self.size.width
        if place >= len(self._items):
            return Strip.blank(width, self.rich_style)
        if place not in self._drawn:
            self._drawn[place] = self._strips(place, width)
        return self._drawn[place][line]

    def _strips(self, place: int, width: int) -> list[Strip]:
        style, is_marked = self.rich_style, place == self.at
        if is_marked:
            style = self.get_component_rich_style("rows--marked")
        room = width - self.styles.scrollbar_size_vertical
        drawn = self._draw(self._items[place], room - 2)
        drawn += [Text()] * (self._each - len(drawn))
        strips = []
        for text in drawn[: self._each]:
            line = Text("▌ " if is_marked else "  ", end="", no_wrap=True)
            line.append_text(text)
            line.truncate(room, overflow="ellipsis")
            strip = Strip(line.render(self.app.console)).apply_style(style)
            strips.append(strip.adjust_cell_length(width, style).crop(0, width))
        return strips

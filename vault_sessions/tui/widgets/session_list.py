"""Rows of sessions, by day; only those that are seen are drawn, so there may be any number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from vault_sessions.formats.display import safe_line
from vault_sessions.formats.times import format_time, local_time
from vault_sessions.model import Session
from vault_sessions.tui.badge import badge

_WITH_BADGE, _WITH_START, _WITH_MODEL = 55, 71, 119
"""From so many columns on there is room for the provider, the day of the start, the model."""
_WIDEST_BADGE, _WIDEST_MODEL, _WIDEST = 14, 24, 150
_MARK = 3
_MARKS = {"ended": "✓", "ending": "…"}


class Row(NamedTuple):
    """A line of the list: a heading (``session`` None), a session, or a passage found in one.

    ``message_id``: where the passage stands.
    """

    text: str
    session: Session | None = None
    snippet: str | None = None
    message_id: str | None = None

    @property
    def key(self) -> tuple[str, str | None] | None:
        """What it is, also in another list; None for a heading."""
        return (self.session.id, self.message_id) if self.session is not None else None


def rows_by_day(sessions: Sequence[Session], now: datetime) -> list[Row]:
    """The sessions, each day's under its date; they come in the order of their activity."""
    rows: list[Row] = []
    day = first = last = ""
    for session in sessions:
        at = session.updated_at or ""
        if not (rows and first <= at < last):  # far quicker than the local day of each
            this = local_time(at)[:10] or "no date"
            first, last = _bounds(this)
            if this != day or not rows:
                day = this
                rows.append(Row(_heading(this, now)))
        rows.append(Row(session.label, session))
    return rows


def _bounds(day: str) -> tuple[str, str]:
    """A local day's first instant and the next one's; of what is no day: nothing is in it."""
    try:
        start = datetime.fromisoformat(day)
        return format_time(start.astimezone()), format_time((start + timedelta(1)).astimezone())
    except (ValueError, OverflowError):
        return "", ""


def _heading(day: str, now: datetime) -> str:
    here = now.astimezone()
    near = {f"{here:%Y-%m-%d}": "Today", f"{here - timedelta(1):%Y-%m-%d}": "Yesterday"}
    try:
        return f"{near.get(day) or f'{datetime.fromisoformat(day):%A}'}, {day}"
    except ValueError:
        return day


class SessionList(ScrollView, can_focus=True, inherit_bindings=False):
    """One row is marked: ``marked``. Keys are the screen's."""

    COMPONENT_CLASSES = {
        "sessions--day",
        "sessions--marked",
        "sessions--found",
    }
    at: reactive[int] = reactive(0)

    class Marked(Message):
        """Another row is marked."""

    class Taken(Message):
        """The marked row was clicked."""

    class Resized(Message):
        """The columns have another width."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Row] = []
        self._words: Sequence[str] = ()
        self._open: str | None = None
        self._badge = 0

    def fill(
        self,
        rows: list[Row],
        *,
        stay: tuple[str, str | None] | None = None,
        is_open: str | None = None,
        words: Sequence[str] = (),
    ) -> None:
        """Show these. ``stay``: the row to be marked; where it is gone, what is at its place now.

        ``is_open``: the session that is open in the chat; ``words`` are marked where they stand.
        """
        self._rows, self._words, self._open = rows, words, is_open
        used = {row.session.provider for row in rows if row.session is not None}
        widths = [cell_len(safe_line(provider)) + 2 for provider in used if provider]
        self._badge = min(_WIDEST_BADGE, max(widths, default=0))
        self.virtual_size = Size(self.size.width, len(rows))
        self.at = self._place_of(stay)
        self._see(self.at)
        self.refresh()
        self.post_message(self.Marked())

    def _place_of(self, stay: tuple[str, str | None] | None) -> int:
        near = 0
        if stay is not None:
            for place, row in enumerate(self._rows):
                if row.session is not None and row.key == stay:
                    return place
            near = min(self.at, len(self._rows) - 1)
        places = (*range(near, len(self._rows)), *range(near - 1, -1, -1))
        return next((place for place in places if self._rows[place].session is not None), 0)

    @property
    def marked(self) -> Row | None:
        """The row that is marked, if it is a session's."""
        row = self._rows[self.at] if self.at < len(self._rows) else None
        return row if row is not None and row.session is not None else None

    @property
    def place(self) -> Region:
        """Where the name of the marked row is on the screen."""
        y = self.content_region.y + self.at - round(self.scroll_y)
        x = self.content_region.x + _MARK
        right = self._right(None, self._room).cell_len
        return Region(x, y, self._room - _MARK - right - 1, 1)

    def move(self, by: int) -> None:
        """Mark the row that is so many rows of sessions further; the last one, if there are
        fewer."""
        step = 1 if by > 0 else -1
        place = at = self.at
        left = abs(by)
        while left and 0 <= at + step < len(self._rows):
            at += step
            if self._rows[at].session is not None:
                place, left = at, left - 1
        if place != self.at:
            self.at = place
            self.post_message(self.Marked())
        self._see(place)

    def _see(self, place: int) -> None:
        """Scroll so that it is seen, and the heading above it."""
        if not self._rows:
            return
        above = place - 1 if place and self._rows[place - 1].session is None else place
        self.scroll_to_region(Region(0, above, 1, place - above + 1), animate=False, force=True)

    def watch_at(self) -> None:
        """Draw the marked row anew."""
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Rows are as wide as the list; what was seen is still."""
        self.virtual_size = Size(event.size.width, len(self._rows))
        self._see(self.at)
        self.post_message(self.Resized())

    def on_click(self, event: events.Click) -> None:
        """Mark what was clicked; what is marked is taken."""
        offset = event.get_content_offset(self) or Offset(0, -1)
        place = offset.y + self.scroll_offset.y
        if offset.y >= 0 and place < len(self._rows) and self._rows[place].session is not None:
            if place == self.at:
                self.post_message(self.Taken())
            else:
                self.at = place
                self.post_message(self.Marked())

    # --- drawing ---

    @property
    def _room(self) -> int:
        """The columns there are beside the scrollbar, as far as the eye stays in a line."""
        return min(_WIDEST, self.size.width - self.styles.scrollbar_size_vertical)

    def headings(self) -> Text:
        """What the columns are, above the list."""
        width = self._room
        line = Text(" " * _MARK + "Name", end="", no_wrap=True, style="dim")
        right = self._right(None, width)
        line.truncate(max(0, width - right.cell_len), pad=True)
        line.append_text(right)
        return line

    def render_line(self, y: int) -> Strip:
        """A line of what is seen."""
        place = y + self.scroll_offset.y
        width = self.size.width
        if place >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[place]
        style = self.rich_style
        if row.session is None:
            style = self.get_component_rich_style("sessions--day")
        elif place == self.at:
            style = self.get_component_rich_style("sessions--marked")
        strip = Strip(list(self._line(row, self._room).render(self.app.console))).apply_style(style)
        return strip.adjust_cell_length(width, style).crop(0, width)

    def _line(self, row: Row, width: int) -> Text:
        faint = Style(dim=True)
        if row.session is None:
            return Text(f" {row.text}", end="")
        if row.snippet is not None:
            line = Text(" " * (_MARK + 2), end="", no_wrap=True)
            line.append(safe_line(row.snippet), faint)
            self._highlight(line)
            line.truncate(width, overflow="ellipsis")
            return line
        session = row.session
        right = self._right(session, width)
        line = Text(f" {self._mark(session)} ", end="", no_wrap=True)
        line.append(safe_line(session.label), "bold" if session.name else "")
        if session.name and session.topic:
            line.append(f"  {safe_line(session.topic)}", faint)
        self._highlight(line)
        line.truncate(max(_MARK + 1, width - right.cell_len - 1), overflow="ellipsis", pad=True)
        line.append(" ")
        line.append_text(right)
        return line

    def _mark(self, session: Session) -> str:
        if session.id == self._open:
            return "●"
        return "!" if session.problems else _MARKS.get(session.status, " ")

    def _highlight(self, line: Text) -> None:
        if not self._words:
            return
        found = self.get_component_rich_style("sessions--found", partial=True)
        line.highlight_words(self._words, found, case_sensitive=False)

    def _right(self, session: Session | None, width: int) -> Text:
        """The columns on the right; of no session: what they are."""
        start, active, count = "Started", "Active", "Msgs"
        provider = Text("Provider") if self._badge else Text()
        if session is not None:
            provider = (
                badge(session.provider, self.app.current_theme) if session.provider else Text()
            )
            start = local_time(session.created_at)[:10]
            active = local_time(session.updated_at)[11:16]
            count = str(session.message_count)
        right = Text(end="", no_wrap=True)
        if width >= _WITH_BADGE and self._badge:
            provider.truncate(self._badge, overflow="ellipsis", pad=True)
            right.append_text(provider)
        if width >= _WITH_MODEL:
            model = Text(f" {safe_line(session.model or '') if session else 'Model'}", end="")
            model.truncate(_WIDEST_MODEL, overflow="ellipsis", pad=True)
            right.append_text(model)
        if width >= _WITH_START:
            right.append(f" {start:<10}", Style(dim=True))
        right.append(f" {active:>6}")
        right.append(f" {count:>4} ", Style(dim=True))
        return right

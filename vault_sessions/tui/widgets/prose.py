"""A text of a message, drawn line by line; of one that grows only its end is drawn again."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from vault_sessions.formats.display import safe
from vault_sessions.tui.finding import places, where
from vault_sessions.tui.prose import Look, Piece, cut, draw, words

LONGEST = 200_000
"""Characters of one message that are shown; the rest is in its file."""
_MOST_STRIPS = 500
_Line = list[Segment]


class Prose(Widget):
    """A text, safe whatever is in it: Markdown, or (``plain``) as it stands."""

    COMPONENT_CLASSES = {"prose--found"}
    DEFAULT_CSS = "Prose { height: auto; width: 1fr; }"

    def __init__(self, text: str, *, plain: bool = False, longest: int = LONGEST) -> None:
        super().__init__()
        self._plain = plain
        self._tail = Piece("")
        """What may still change: the last of the pieces."""
        self._settled: list[Piece] = []
        self._look: Look | None = None
        self._settled_lines: list[_Line] = []
        self._drawn = 0
        self._base = Style()
        self._strips: dict[int, Strip] = {}
        self._lines: list[_Line] = []
        self._words: tuple[str, ...] = ()
        self._feed(shortened(safe(text), longest))

    # --- its text ---

    @property
    def source(self) -> str:
        """What of it is shown."""
        return "\n".join(piece.source for piece in (*self._settled, self._tail))

    def add(self, text: str) -> None:
        """Some more of it; it is to be safe."""
        self._feed(text)
        if self._look is None:
            return
        height, first = len(self._lines), len(self._settled_lines)
        self._draw_tail()
        if len(self._lines) != height:
            self.refresh(layout=True)
        else:
            self.refresh(Region(0, first, self.size.width, height - first))

    def _feed(self, text: str) -> None:
        source = self._tail.source + text
        if self._plain:
            self._tail = Piece(source)
        elif pieces := cut(source, follows=self._tail.follows):
            *settled, self._tail = pieces
            self._settled += settled
        else:
            self._tail = self._tail._replace(source=source)

    # --- its lines ---

    def prepare(self, look: Look) -> None:
        """Draw it, in whatever thread, so that it need not be done when it is shown."""
        self._look = look
        self._settled_lines = []
        self._strips = {}
        self._drawn = 0
        self._draw_tail()

    def _draw_tail(self) -> None:
        """Draw what was settled since it was last drawn, and the end."""
        for piece in self._settled[self._drawn :]:
            self._put(self._settled_lines, piece)
        self._drawn = len(self._settled)
        lines = list(self._settled_lines)
        self._put(lines, self._tail)
        self._lines = lines

    def _put(self, lines: list[_Line], piece: Piece) -> None:
        assert self._look is not None
        new = (words if self._plain else draw)(piece, self._look)
        if lines and new and not piece.follows:
            lines.append([])
        lines += new

    def look_at(self, width: int) -> Look:
        """How it is drawn in so many columns here."""
        theme = self.app.current_theme
        return Look(width, theme.dark, _colour(self.app.theme_variables.get("surface", "")))

    def _drawn_for(self, width: int) -> list[_Line]:
        look = self.look_at(width)
        if look != self._look:
            self.prepare(look)
        return self._lines

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as it takes in so many columns."""
        return len(self._drawn_for(width))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Those that are to be seen."""
        base = self.rich_style
        if base != self._base or len(self._strips) > _MOST_STRIPS:
            self._base, self._strips = base, {}
            forget(self)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One of its lines."""
        width = self.content_size.width
        lines = self._drawn_for(width)
        strip = self._strips.get(y)
        if strip is None:
            strip = Strip(lines[y]) if y < len(lines) else Strip([])
            strip = strip.adjust_cell_length(width, Style()).apply_style(self._base)
            if self._words:
                strip = self._with_marks(strip)
            strip = strip.apply_offsets(0, y)
            if y < len(self._settled_lines):
                self._strips[y] = strip
        return self._selected(strip, y)

    # --- what was looked for ---

    def mark(self, words: Sequence[str]) -> None:
        """Let these words stand out."""
        self._words = tuple(words)
        self._strips = {}
        self.refresh()

    def line_with(self, words: Sequence[str]) -> int:
        """The line where they stand, as it is drawn now; 0 where they don't."""
        return where(["".join(s.text for s in line) for line in self._lines], words) or 0

    def _with_marks(self, strip: Strip) -> Strip:
        style = self.get_component_rich_style("prose--found", partial=True)
        text = strip.text
        for start, end in places(text, self._words):
            strip = _styled(strip, cell_len(text[:start]), cell_len(text[:end]), style)
        return strip

    # --- what is marked with the mouse ---

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The part of it that is marked."""
        text = "\n".join("".join(s.text for s in line).rstrip() for line in self._lines)
        return selection.extract(text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Show what is marked."""
        self.refresh()

    def _selected(self, strip: Strip, y: int) -> Strip:
        selection = self.text_selection
        span = selection.get_span(y) if selection is not None else None
        if span is None:
            return strip
        start, end = span
        end = strip.cell_length if end == -1 else min(end, strip.cell_length)
        if start >= end:
            return strip
        style = self.screen.get_component_rich_style("screen--selection")
        return _styled(strip, start, end, style)


def _styled(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """The strip with that style from one of its cells up to another."""
    before, middle, after = strip.divide([start, end, max(end, strip.cell_length)])
    middle = Strip(Segment.apply_style(list(middle), post_style=style))
    return Strip.join([before, middle, after])


def forget(widget: Widget) -> None:
    """Nothing that was drawn of it is remembered; it is drawn again where it is seen.

    Textual remembers all lines of a widget that were ever seen, and those of a thousand widgets
    that are gone: ``StylesCache.get_inner_outer`` is a method with an ``lru_cache``, which keeps
    what it was called on (https://github.com/Textualize/textual/issues/6665). No public way leads
    there.
    """
    drawn = getattr(widget, "_styles_cache", None)
    if drawn is not None:
        drawn.clear()


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and its end with a line between that says what is left out."""
    if len(text) <= longest:
        return text
    half = longest // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n\n⋯ {left_out:,} characters are not shown ⋯\n\n{text[-half:]}"


def _colour(name: str) -> str:
    """A theme's colour, where it is one that text can stand on."""
    return name if name.startswith("#") and len(name) == 7 else ""

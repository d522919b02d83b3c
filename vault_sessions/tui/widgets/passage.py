"""A page of Markdown of which one passage may stand out."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip

from vault_sessions.tui.widgets.prose import Prose

_ENOUGH = 60


class PassagePage(Prose):
    """``passage``: the source's line that stands out; empty: none does."""

    COMPONENT_CLASSES = {"passage--found"}

    def __init__(self, text: str, passage: str = "") -> None:
        super().__init__(text)
        self._passage = _letters(passage)

    @property
    def place(self) -> range:
        """The lines on which the passage is drawn."""
        if not self._passage:
            return range(0)
        drawn = [_letters("".join(s.text for s in line)) for line in self._lines]
        at = "".join(drawn).find(self._passage[:_ENOUGH])
        if at < 0:
            return range(0)
        ends = [0]
        for letters in drawn:
            ends.append(ends[-1] + len(letters))
        end = at + len(self._passage)
        first = next(i for i in range(len(drawn)) if ends[i + 1] > at)
        last = next((i for i in range(first, len(drawn)) if ends[i + 1] >= end), len(drawn) - 1)
        return range(first, last + 1)

    def render_line(self, y: int) -> Strip:
        """One of its lines."""
        strip = super().render_line(y)
        if y not in self.place:
            return strip
        found = self.get_component_rich_style("passage--found", partial=True)
        return Strip(Segment.apply_style(list(strip), post_style=found), strip.cell_length)


def _letters(text: str) -> str:
    """The letters and digits alone: how a text is marked up and wrapped makes no difference."""
    return "".join(c for c in text if c.isalnum())

"""What is to be known about the open file: that it was edited on disk, or has something wrong."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from vault_sessions.formats.display import safe


class Banner(Static):
    """Lines under the header; none where there is nothing to be known."""

    def __init__(self) -> None:
        super().__init__(classes="hidden")
        self._edited = ""
        self._wrong = ""

    def edited(self, text: str) -> None:
        """The file was edited; empty: that is known by now."""
        self._edited = text
        self._draw()

    def wrong(self, text: str | None) -> None:
        """Something is wrong in the file; None: nothing is."""
        self._wrong = text or ""
        self._draw()

    def _draw(self) -> None:
        lines = [line for text in (self._edited, self._wrong) for line in text.splitlines()]
        self.set_class(not lines, "hidden")
        shown = Text("\n", overflow="ellipsis", no_wrap=True).join(
            Text(safe(line)) for line in lines
        )
        self.update(shown)

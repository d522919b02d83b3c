"""What was said while an answer came: it is said when that is done."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from vault_sessions.formats.display import safe_line


class Waiting(Static):
    """A line for each text that waits; not there while none does."""

    DEFAULT_CSS = "Waiting { height: auto; max-height: 4; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__(classes="hidden")
        self.texts: list[str] = []

    def put(self, text: str) -> None:
        """Behind those that wait already."""
        self._hold([*self.texts, text])

    def next(self) -> str | None:
        """The one whose turn it is; it waits no more."""
        if not self.texts:
            return None
        text, *rest = self.texts
        self._hold(rest)
        return text

    def take_back(self) -> str:
        """All of them, as one text; none waits any more."""
        whole = "\n\n".join(self.texts)
        self._hold([])
        return whole

    def _hold(self, texts: list[str]) -> None:
        self.texts = texts
        self.set_class(not texts, "hidden")
        lines = Text(no_wrap=True, overflow="ellipsis")
        for text in texts:
            lines.append("↳ next, Esc takes it back: ", style="dim")
            lines.append(f"{safe_line(text[:400])}\n")
        lines.rstrip()
        self.update(lines)

"""A question with yes or no for an answer."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from vault_sessions.formats.display import safe
from vault_sessions.tui.widgets.keys import Keys


class AskScreen(ModalScreen[bool]):
    """Enter is yes; Escape is no."""

    BINDINGS = [
        Binding("y,enter", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question, and the keys."""
        with Vertical(classes="card"):
            yield Static(Text(safe(self._question)))
            yield Static("y · Enter  yes     n · Esc  no", classes="answers", markup=False)
        yield Keys()

    def action_answer(self, yes: bool) -> None:
        """Say so."""
        self.dismiss(yes)

"""A line to type in, and what is wrong with it beneath."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Region
from textual.widgets import Input, Static

from vault_sessions.formats.display import safe_line


class Field(Vertical):
    """Hidden until ``open``. It is at the bottom, or over the place of what is being changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="hidden")

    def compose(self) -> ComposeResult:
        """The line, and a place for its fault."""
        yield Input(compact=True, select_on_focus=False)
        yield Static(classes="fault hidden")

    @property
    def value(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    @property
    def has_keys(self) -> bool:
        """Is it typed in now?"""
        return self.query_one(Input).has_focus

    def open(self, prompt: str, text: str = "", place: Region | None = None) -> None:
        """Take keys. ``prompt`` stands there while nothing is typed; ``place``: on the screen."""
        line = self.query_one(Input)
        with line.prevent(Input.Changed):
            line.placeholder = prompt
            line.value = text
        line.cursor_position = len(text)
        self.complain("")
        self.put(place)
        self.remove_class("hidden")
        line.focus()

    def put(self, place: Region | None) -> None:
        """Stand over that place on the screen; None: at the bottom."""
        self.set_class(place is not None, "over")
        if place is not None:
            self.styles.offset = (place.x, place.y)
            self.styles.width = max(12, place.width)
        else:
            self.styles.offset = (0, 0)
            self.styles.width = "1fr"

    def close(self) -> None:
        """Take no keys any more."""
        self.add_class("hidden")

    def complain(self, text: str) -> None:
        """Say what is wrong with what is typed; empty: nothing is."""
        fault = self.query_one(".fault", Static)
        fault.update(Text(safe_line(text)))
        fault.set_class(not text, "hidden")

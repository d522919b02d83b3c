"""A field of a form: anything can be typed, and what is known can be chosen from a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from vault_sessions.formats.display import safe_line


class Known(NamedTuple):
    """Something that can be chosen: ``value`` is put into the field."""

    value: str
    about: str = ""


class Combo(Vertical):
    """The list is there while one types in it: what has the letters typed.

    ``hint`` says what an empty field means.
    """

    def __init__(self, name: str, hint: str, known: Sequence[Known] = ()) -> None:
        super().__init__(id=name)
        self._label = name.capitalize()
        self._hint = hint
        self._known = list(known)
        self._fit: list[Known] = []

    def compose(self) -> ComposeResult:
        """The line, the list, and what there is to say about it."""
        with Horizontal():
            yield Label(self._label)
            yield Input(placeholder=safe_line(self._hint), compact=True, select_on_focus=False)
        options = OptionList(compact=True)
        options.can_focus = False
        options.display = False
        yield options
        yield Static(classes="about hidden")

    @property
    def value(self) -> str:
        """What is typed or was chosen."""
        return self.query_one(Input).value.strip()

    @property
    def has_keys(self) -> bool:
        """Is it typed in now?"""
        return self.query_one(Input).has_focus

    def focus_line(self) -> None:
        """Type here."""
        self.query_one(Input).focus()

    def offer(self, known: Sequence[Known], hint: str = "") -> None:
        """These can be chosen from now on."""
        self._known = list(known)
        self.query_one(Input).placeholder = safe_line(hint or self._hint)
        self._fill()

    def say(self, text: str, *, is_fault: bool = False) -> None:
        """Say something about it, or what is wrong with it; empty: nothing."""
        about = self.query_one(".about", Static)
        about.update(Text(safe_line(text)))
        about.set_class(not text, "hidden")
        about.set_class(is_fault, "fault")

    def on_descendant_focus(self) -> None:
        """The list is there."""
        self._fill()

    def on_descendant_blur(self) -> None:
        """The list goes."""
        self.query_one(OptionList).display = False

    def on_input_changed(self) -> None:
        """Only what has these letters; what was wrong is being changed."""
        if self.query_one(".about").has_class("fault"):
            self.say("")
        self._fill()

    def _fill(self) -> None:
        key = self.value.casefold()
        self._fit = [one for one in self._known if key in one.value.casefold()]
        if len(self._fit) == 1 and self._fit[0].value == self.value:
            self._fit = []  # it is chosen
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(_line(one)) for one in self._fit])
        options.highlighted = None
        options.display = self.has_keys and bool(self._fit)

    def move(self, by: int) -> bool:
        """Mark another one of the list; False: there is none that way."""
        options = self.query_one(OptionList)
        if not options.display:
            return False
        here = -1 if options.highlighted is None else options.highlighted
        if here + by < 0:
            options.highlighted = None
            return here >= 0
        options.highlighted = min(here + by, len(self._fit) - 1)
        return True

    def take(self) -> bool:
        """Put the marked one into the line; False: none is marked."""
        options = self.query_one(OptionList)
        place = options.highlighted
        if not options.display or place is None or place >= len(self._fit):
            return False
        line = self.query_one(Input)
        line.value = self._fit[place].value
        line.cursor_position = len(line.value)
        return True

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click chooses it."""
        event.stop()
        self.query_one(OptionList).highlighted = event.option_index
        self.take()


def _line(one: Known) -> Text:
    line = Text(safe_line(one.value), no_wrap=True, overflow="ellipsis")
    line.append(f"  {safe_line(one.about)}" if one.about else "", style="dim")
    return line

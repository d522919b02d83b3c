"""A list to choose one thing from, by typing a part of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from vault_sessions.formats.display import safe_line
from vault_sessions.tui.widgets.keys import Keys


class Choice(NamedTuple):
    """``value`` is the result; ``label`` and ``about`` are shown. ``fault``: why it can't be
    chosen now."""

    value: str
    label: str
    about: str = ""
    fault: str = ""


class ChooseScreen(ModalScreen[str | None]):
    """Its result is the value chosen, or with ``free`` what was typed.

    ``more`` gives further choices, perhaps after a while; ``what`` says what these are.
    """

    BINDINGS = [
        Binding("enter", "take", "Choose", priority=True),
        Binding("down", "move(1)", "Mark", key_display="↑↓", priority=True),
        Binding("up", "move(-1)", "Mark", show=False, priority=True),
        Binding("escape", "leave", "Back", priority=True),
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        now: str | None = None,
        free: bool = False,
        more: Callable[[], Awaitable[Sequence[Choice]]] | None = None,
        what: str = "",
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = list(choices)
        self._fit: list[Choice] = []
        self._now = now
        self._free = free
        self._more = more
        self._what = what

    def compose(self) -> ComposeResult:
        """A title, where one types, what is wrong or still to come, what fits."""
        hint = "type a part of it, or another one" if self._free else "type a part of it"
        with Vertical(classes="card choose"):
            yield Static(Text(safe_line(self._title)), classes="where")
            yield Input(placeholder=hint, compact=True)
            yield Static(classes="about hidden")
            yield OptionList(compact=True)
        yield Keys()

    def on_mount(self) -> None:
        """Everything, with what is in use marked."""
        self._fill("")
        self.query_one(Input).focus()
        if self._more is not None:
            self._ask(self._more)

    @work(exclusive=True, group="more")
    async def _ask(self, more: Callable[[], Awaitable[Sequence[Choice]]]) -> None:
        self._tell(f"asking for {self._what} …")
        found = await more()
        self._tell("" if found else f"There is no list of {self._what}: type one.")
        options = self.query_one(OptionList)
        marked = self._fit[options.highlighted].value if options.highlighted else None
        self._choices += [one for one in found if one not in self._choices]
        self._fill(self.query_one(Input).value, marked)

    def _tell(self, text: str, *, is_fault: bool = False) -> None:
        about = self.query_one(".about", Static)
        about.update(Text(safe_line(text)))
        about.set_class(not text, "hidden")
        about.set_class(is_fault, "fault")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Only what has these letters."""
        if self.query_one(".about").has_class("fault"):
            self._tell("")
        self._fill(event.value)

    def _fill(self, text: str, marked: str | None = None) -> None:
        typed = text.strip()
        key = typed.casefold()
        fit = [one for one in self._choices if key in f"{one.label} {one.about}".casefold()]
        if self._free and typed and all(one.value != typed for one in self._choices):
            fit.append(Choice(typed, typed, "as typed"))
        self._fit = fit
        options = self.query_one(OptionList)
        options.clear_options()
        none = Option(Text("Nothing has that."), disabled=True)
        options.add_options([Option(self._line(one)) for one in fit] or [none])
        values = [one.value for one in fit]
        wanted = next((v for v in (marked, self._now) if v is not None and v in values), None)
        options.highlighted = values.index(wanted) if wanted is not None else 0 if fit else None

    def _line(self, one: Choice) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("● " if one.value == self._now else "  ")
        line.append(safe_line(one.label), "dim" if one.fault else "")
        line.append(f"  {safe_line(one.about)}" if one.about else "", style="dim")
        return line

    def action_move(self, by: int) -> None:
        """Mark another one."""
        options = self.query_one(OptionList)
        if self._fit:
            options.highlighted = ((options.highlighted or 0) + by) % len(self._fit)

    def action_take(self) -> None:
        """The marked one, or say why not."""
        place = self.query_one(OptionList).highlighted
        if place is None or place >= len(self._fit):
            return
        if self._fit[place].fault:
            self._tell(self._fit[place].fault, is_fault=True)
        else:
            self.dismiss(self._fit[place].value)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click takes it."""
        event.stop()
        self.action_take()

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)

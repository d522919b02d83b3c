"""All keys and commands on one page, as they stand in the code that does them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from vault_sessions.tui.commands import COMMANDS
from vault_sessions.tui.widgets.keys import Keys

_NAMES = {"pageup": "PageUp", "pagedown": "PageDown", "escape": "Esc", "slash": "/", "␣": "Space"}
_NAMES |= {"less_than_sign": "<", "greater_than_sign": ">"}
_SAID = {command.name: command.does for command in COMMANDS}


class Section(NamedTuple):
    """The keys of one place."""

    title: str
    bindings: Sequence[BindingType]


class HelpScreen(ModalScreen[None]):
    """The keys of each place, then the commands. Arrows and PageDown scroll."""

    BINDINGS = [
        Binding("escape,q,f1,enter", "leave", "Back", priority=True),
        Binding("down,j", "turn(2)", "Scroll", key_display="↑↓", priority=True),
        Binding("up,k", "turn(-2)", "Scroll", show=False, priority=True),
        Binding("pagedown,space", "turn(15)", "A page down", show=False, priority=True),
        Binding("pageup", "turn(-15)", "A page up", show=False, priority=True),
    ]

    def __init__(self, sections: Sequence[Section], *, commands: bool = False) -> None:
        super().__init__()
        self._sections = sections
        self._commands = commands

    def compose(self) -> ComposeResult:
        """A heading and a table for each place, and one for the commands."""
        with VerticalScroll(classes="card help", can_focus=False):
            for section in self._sections:
                yield Static(section.title, classes="where")
                yield Static(_table(rows(section.bindings)), classes="keys")
            if self._commands:
                yield Static("Commands", classes="where")
                commands = [
                    (f"/{each.name} {each.argument}".rstrip(), _does(each.does, each.key))
                    for each in COMMANDS
                ]
                yield Static(_table(commands), classes="keys")
        yield Keys()

    def action_turn(self, by: int) -> None:
        """Scroll by so many lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_leave(self) -> None:
        """Back to where one was."""
        self.dismiss(None)


def rows(bindings: Sequence[BindingType]) -> list[tuple[str, str]]:
    """What each key does, keys that do the same together; what has no description is left out."""
    keys: dict[str, list[str]] = {}
    for binding in bindings:
        if isinstance(binding, Binding) and binding.description:
            does = binding.tooltip or _SAID.get(binding.action) or binding.description.lower()
            shown = [binding.key_display] if binding.key_display else binding.key.split(",")
            keys.setdefault(does, []).extend(key_name(key) for key in shown)
    return [(" · ".join(dict.fromkeys(names)), does) for does, names in keys.items()]


def key_name(key: str) -> str:
    """A key as it is written in texts: ``Ctrl+L``, ``PageUp``, ``n``."""
    *modifiers, last = key.strip().split("+")
    shown = _NAMES.get(last, last)
    if modifiers or (shown.isalnum() and len(shown) > 1 and shown == last):
        shown = shown[0].upper() + shown[1:]
    return "+".join([*(each.capitalize() for each in modifiers), shown])


def _does(does: str, key: str) -> str:
    return f"{does} ({key})" if key else does


def _table(shown: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(ratio=2)
    table.add_column(ratio=5)
    for key, does in shown:
        table.add_row(Text(key, "bold"), does)
    return table

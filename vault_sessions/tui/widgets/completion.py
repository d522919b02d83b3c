"""What a slash may become, above the input while its name is typed."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from vault_sessions.tui.commands import Command, matching

_MOST = 8


class Completion(Static):
    """A few lines; Tab takes the marked one, Up and Down mark another."""

    COMPONENT_CLASSES = {"completion--marked"}

    def __init__(self) -> None:
        super().__init__(classes="hidden")
        self.found: list[Command] = []
        self._marked = 0

    def look(self, line: str) -> None:
        """Show what fits to what is typed."""
        self.found = matching(line)
        self._marked = 0
        self._draw()

    @property
    def marked(self) -> Command | None:
        """The one that Tab takes."""
        return self.found[self._marked] if self.found else None

    def move(self, by: int) -> None:
        """Mark another one."""
        self._marked = (self._marked + by) % max(1, len(self.found))
        self._draw()

    def _draw(self) -> None:
        self.set_class(not self.found, "hidden")
        marked = self.get_component_rich_style("completion--marked", partial=True)
        text = Text(no_wrap=True, overflow="ellipsis")
        first = max(0, min(self._marked - _MOST + 1, len(self.found) - _MOST))
        for place, command in enumerate(self.found[first : first + _MOST], first):
            style = marked if place == self._marked else ""
            name = f"/{command.name} {command.argument}".rstrip()
            text.append(f"{name:<24}", style=style)
            text.append(f" {command.does}", style="dim")
            text.append(f"  {command.key}\n" if command.key else "\n", style="dim")
        text.rstrip()
        self.update(text)

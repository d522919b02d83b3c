"""The keys of the place where one is, at the bottom, on as many lines as they need."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Static


class Keys(Static):
    """Every key that is shown and can be pressed now; a click presses it."""

    COMPONENT_CLASSES = {"keys--key"}

    def on_mount(self) -> None:
        """Draw them anew whenever they change."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen and self.is_attached:
            self._draw()

    def on_resize(self) -> None:
        """There is room for another number on a line."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Press it."""
        key = event.style.meta.get("key")
        if isinstance(key, str):
            self.app.simulate_key(key)

    def _draw(self) -> None:
        style = self.get_component_rich_style("keys--key", partial=True)
        lines, left = Text(no_wrap=True), self.size.width
        for key, shown, does in self._shown():
            one = Text.assemble((shown, style), " ", does)
            one.stylize(Style(meta={"key": key}))
            if lines and one.cell_len > left:
                lines.append("\n")
                left = self.size.width
            elif lines:
                lines.append("  ")
            lines.append_text(one)
            left -= one.cell_len + 2
        self.update(lines)

    def _shown(self) -> list[tuple[str, str, str]]:
        """For each: the key, how it is written, what it does."""
        found: dict[str, tuple[str, str, str]] = {}
        places: dict[str, int] = {}
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show and enabled:
                shown = _written(self.app.get_key_display(binding))
                found.setdefault(binding.action, (binding.key, shown, binding.description))
                places.setdefault(binding.action, self._place(binding, node))
        return [found[action] for action in sorted(found, key=places.__getitem__)]

    def _place(self, binding: Binding, node: DOMNode) -> int:
        """First what only the place with the focus has, last what there is everywhere."""
        declared = [one for one in self.screen.BINDINGS if isinstance(one, Binding)]
        for place, one in enumerate(declared):
            if binding.key in one.key.split(","):
                return place
        return len(declared) if node in (self.screen, self.app) else -1


def _written(key: str) -> str:
    """As it stands on the keyboard: ``^L``, ``F1``, ``Esc``."""
    if key.startswith("^"):
        return key.upper()
    if key == "␣":
        return "Space"
    is_name = len(key) > 1 and key.isascii() and key.isalnum()
    return key[0].upper() + key[1:] if is_name else key

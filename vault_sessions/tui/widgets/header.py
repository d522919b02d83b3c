"""The line at the top: which conversation, who answers, since when, how much."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from vault_sessions.formats.display import safe_line
from vault_sessions.formats.times import format_time, local_time
from vault_sessions.tui.badge import badge
from vault_sessions.tui.talk import View


class Header(Static):
    """One line; what there is no room for is left out, the least important first."""

    _view: View | None = None

    def show(self, view: View) -> None:
        """Show this conversation."""
        self._view = view
        self._draw()

    def on_resize(self) -> None:
        """There is more room, or less."""
        self._draw()

    def _draw(self) -> None:
        if self._view is None:
            return
        line = Text(" ", no_wrap=True, overflow="ellipsis", end="")
        label = Text(safe_line(self._view.label), style="bold")
        provider = badge(self._view.provider, self.app.current_theme)
        label.truncate(max(12, self.size.width - provider.cell_len - 3), overflow="ellipsis")
        line.append_text(label).append(" ").append_text(provider)
        for part in _parts(self._view):
            if line.cell_len + part.cell_len > self.size.width:
                break
            line.append_text(part)
        line.truncate(self.size.width, overflow="ellipsis", pad=True)
        self.update(line)


def _parts(view: View) -> list[Text]:
    """What stands behind the name and the provider, the most important first."""
    parts = []
    if view.private:
        parts.append(Text(" private: nothing is stored", style="bold"))
    if view.model and view.model != view.provider:
        parts.append(Text(f" {safe_line(view.model)}"))
    if count := len(view.messages):
        parts.append(Text(f" · {count} message{'s' if count > 1 else ''}"))
        if view.tokens:
            parts.append(Text(f" · {view.tokens:,} tokens"))
        if view.started is not None:
            parts.append(Text(f" · since {local_time(format_time(view.started))[:16]}"))
    if view.skill:
        parts.append(Text(f" · {safe_line(view.skill)}"))
    return parts

"""The line above the input: what is going on, and quiet notes that go by themselves."""

from __future__ import annotations

from time import monotonic

from rich.text import Text
from textual.timer import Timer
from textual.widgets import Static

from vault_sessions.formats.display import safe_line

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_NOTE_SECONDS = 8.0


class Status(Static):
    """``busy`` shows a spinner and the time that has passed, until ``idle``."""

    _since: float | None = None
    _what = ""
    _can_stop = True
    _note = ""
    _note_began = 0.0
    _note_until = 0.0
    _timer: Timer | None = None

    def on_mount(self) -> None:
        """Draw ten times a second, while there is something that moves."""
        self._timer = self.set_interval(0.1, self._draw, pause=True)

    def busy(self, what: str, *, can_stop: bool = True) -> None:
        """Something is being done from now on."""
        self._can_stop = can_stop
        if self._since is None:
            self._since = monotonic()
        self._what = what
        self._wake()

    def idle(self) -> None:
        """Nothing is being done. What was said meanwhile of what goes on (it ends in "…"), or while
        one had to wait, was about that and goes with it, unless it is a warning."""
        is_about_that = self._note.endswith("…") or not self._can_stop
        is_of_now = self._since is not None and self._note_began >= self._since
        if is_of_now and is_about_that and not self._note.startswith("Warning"):
            self._note_until = 0.0
        self._since = None
        self._draw()

    def note(self, text: str) -> None:
        """Say something for some seconds."""
        self._note = safe_line(text)
        self._note_began = monotonic()
        self._note_until = self._note_began + _NOTE_SECONDS
        self._wake()

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.resume()
        self._draw()

    def _draw(self) -> None:
        now = monotonic()
        line = Text(no_wrap=True, overflow="ellipsis")
        if self._since is not None:
            passed = now - self._since
            line.append(f"{_FRAMES[int(passed * 10) % len(_FRAMES)]} {self._what} {passed:.0f} s")
            line.append(" · Esc stops it" if self._can_stop else "")
        if now < self._note_until:
            line.append("  " if line else "")
            line.append(self._note)
        elif self._since is None and self._timer is not None:
            self._timer.pause()
        self.update(line, layout=False)

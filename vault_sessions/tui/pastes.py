"""What a terminal sends, read so that a paste arrives as it is.

Textual's own reading looks for keys inside a paste too: one that holds an escape character (a log
in colours) comes torn, out of order and with parts of it acted on.
"""

from __future__ import annotations

from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable, Generator, Iterator
from functools import partial
from time import monotonic

from textual import constants, events
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.message import Message

START, END = "\x1b[200~", "\x1b[201~"
"""What stands around a paste (xterm's control sequences, "Bracketed Paste Mode")."""


class WholePastes(XTermParser):
    """Hands on all that stands between the two marks as one paste; the rest is read as before."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._held = ""
        """The end of what came: perhaps the beginning of a mark."""
        self._held_at = 0.0
        self._pasted: list[str] | None = None
        """What has come of a paste; None: none is coming."""

    def feed(self, data: str) -> Iterator[Message]:
        """The keys and pastes in some more text."""
        data, self._held = self._held + data, ""
        while data:
            data = yield from (self._typed(data) if self._pasted is None else self._paste(data))

    def tick(self) -> Iterator[Message]:
        """Called now and then: what was held and did not go on is no mark."""
        is_paste = self._pasted is not None
        if self._held and not is_paste and monotonic() > self._held_at + constants.ESCAPE_DELAY:
            held, self._held = self._held, ""
            yield from super().feed(held)
        yield from super().tick()

    def _typed(self, data: str) -> Generator[Message, None, str]:
        before, mark, after = data.partition(START)
        if mark:
            self._pasted = []
        else:
            before = self._hold(before, START)
        if before:
            yield from super().feed(before)
        return after

    def _paste(self, data: str) -> Generator[Message, None, str]:
        assert self._pasted is not None
        before, mark, after = data.partition(END)
        self._pasted.append(before if mark else self._hold(before, END))
        if mark:
            text, self._pasted = "".join(self._pasted), None
            yield events.Paste(text)
        return after

    def _hold(self, text: str, mark: str) -> str:
        """The text without the part of a mark at its end, which is held."""
        # not two characters alone: Alt and [, or Escape, would wait too
        least = 3 if mark == START else 1
        for size in range(len(mark) - 1, least - 1, -1):
            if text.endswith(mark[:size]):
                self._held, self._held_at = mark[:size], monotonic()
                return text[:-size]
        return text


def read_whole() -> None:
    """Let the driver for terminals read so from now on. (It has no place to say so.)"""
    linux_driver.XTermParser = WholePastes  # type: ignore[attr-defined]
    linux_driver.getincrementaldecoder = _decoder  # type: ignore[attr-defined, assignment]


def _decoder(encoding: str) -> Callable[[], IncrementalDecoder]:
    """One that shows a byte that belongs to no character as U+FFFD. (Textual's raises; then the
    thread that reads keys is dead, and none is heard any more.)"""
    return partial(getincrementaldecoder(encoding), "replace")

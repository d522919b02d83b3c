"""An answer on stdout as it arrives, with nothing in it that could control the terminal."""

from __future__ import annotations

import sys

from vault_sessions.formats.display import Flowing


class Stream:
    """Pieces in, safe text out; the line is ended when it is closed."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._flowing = Flowing()
        self._last = "\n"
        self._quiet = quiet

    def feed(self, piece: str) -> None:
        """Print what is certain to be plain text."""
        self._print(self._flowing.feed(piece))

    def close(self) -> None:
        """Print what was held back, and end the line."""
        self._print(self._flowing.close())
        if self._last != "\n" and not self._quiet:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _print(self, text: str) -> None:
        if text and not self._quiet:
            self._last = text[-1]
            sys.stdout.write(text)
            sys.stdout.flush()

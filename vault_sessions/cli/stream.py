"""An answer on stdout as it arrives, with nothing in it that could control the terminal."""

from __future__ import annotations

import re
import sys

from vault_sessions.formats.display import safe

_INTRODUCER = re.compile("[\x1b\x90\x98\x9b\x9d-\x9f\r]")
_PATIENCE = 256


class Stream:
    """Pieces in, safe text out; a control sequence that is cut in two is held back until whole."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._held = ""
        self._last = "\n"
        self._quiet = quiet

    def feed(self, piece: str) -> None:
        """Print what is certain to be plain text."""
        text = self._held + piece
        found = _INTRODUCER.search(text, max(0, len(text) - _PATIENCE))
        cut = len(text)
        if found and "\n" not in text[found.start() :]:
            cut = found.start()
        self._held = text[cut:]
        self._print(text[:cut])

    def close(self) -> None:
        """Print what was held back, and end the line."""
        self._print(self._held)
        self._held = ""
        if self._last != "\n" and not self._quiet:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _print(self, text: str) -> None:
        text = safe(text)
        if text and not self._quiet:
            self._last = text[-1]
            sys.stdout.write(text)
            sys.stdout.flush()

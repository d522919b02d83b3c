"""Untrusted text made safe for a terminal: nothing in it can move the cursor, set a title, write
the clipboard, hide or reorder what is shown."""

from __future__ import annotations

import re
import unicodedata

# whole sequences first (their letters would stay behind), then single characters
_SEQUENCE = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]?"  # CSI
    "|\x9b[0-?]*[ -/]*[@-~]?"
    "|(?:\x1b[]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)?"  # OSC, DCS …
    "|\x1b[ -/]*[0-~]?"
)
_SINGLE = re.compile(
    "[\x00-\x08\x0b-\x0d\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def safe(text: str) -> str:
    """The text with newlines and tabs kept and everything that controls a terminal taken out."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return _SINGLE.sub("", _SEQUENCE.sub("", text))


class Flowing:
    """Text that comes in pieces, made safe: a control sequence that is cut in two is held back
    until it is whole."""

    _INTRODUCER = re.compile("[\x1b\x90\x98\x9b\x9d-\x9f\r]")
    _PATIENCE = 256

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What is certain to be plain text."""
        text = self._held + piece
        found = self._INTRODUCER.search(text, max(0, len(text) - self._PATIENCE))
        is_whole = found is None or "\n" in text[found.start() :]
        cut = len(text) if found is None or is_whole else found.start()
        self._held = text[cut:]
        return safe(text[:cut])

    def close(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return safe(held)


def safe_line(text: str) -> str:
    """The text on one line, white space folded."""
    return " ".join(safe(text).split())


def safe_json(document: bytes) -> bytes:
    """A JSON text with the same meaning, in which such characters are written as escapes."""
    if document.isascii():
        return document.replace(b"\x7f", b"\\u007f")

    def escape(found: re.Match[str]) -> str:
        units = found[0].encode("utf-16-be")
        return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))

    # a JSON text has newlines between its tokens only, and \r, \t and the like never raw in strings
    return _SINGLE.sub(escape, document.decode()).encode()


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user and password, query and fragment."""
    scheme, mark, rest = re.split("[?#]", url, maxsplit=1)[0].partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + mark + authority.rpartition("@")[2] + slash + path


def width(text: str) -> int:
    """How many columns a safe line takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(c) in ("Mn", "Me")
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def fit(text: str, columns: int) -> str:
    """The line cut to at most so many columns, ``…`` at the cut."""
    if width(text) <= columns:
        return text
    if columns < 1:
        return ""
    cut = ""
    room = columns - 1
    for character in text:
        room -= width(character)
        if room < 0:
            break
        cut += character
    return cut + "…"

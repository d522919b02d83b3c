"""Searching while one types: what is looked for meanwhile, and what of a text to make stand out."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from rich.style import Style
from rich.text import Text

from vault_sessions.formats.fulltext import has_cjk, search_query

_BEGINNING = 3
"""Of so many letters a word's beginning is looked for; fewer begin half of what was ever said."""
_SHORTEST_FORM = 4
_ABOVE = 600
"""Characters before the words; more than that are left out, but for half as many."""


def as_typed(text: str) -> str:
    """The query to be asked while this is being typed: its last word is perhaps not whole yet."""
    last = re.split(r"[\s\"]", text)[-1]
    if not last[-1:].isalnum() or last.startswith("-") or has_cjk(last):
        return text
    return f"{text}*" if len(last) >= _BEGINNING else text


def words_of(query: str) -> tuple[str, ...]:
    """What a query looks for, each with nothing but letters and digits around it."""
    found = (re.findall(r"[^\W_]+", word) for word in search_query(query).words)
    return tuple(dict.fromkeys(piece for pieces in found for piece in pieces))


def places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words stand, or other forms of them (``running`` for ``run``), in any case."""
    found: list[tuple[int, int]] = []
    for word in words:
        before, after = ("", "") if has_cjk(word) else (r"(?<![^\W_])", r"[^\W_]*")
        for form in (word, word[:-2], word[:-3]):
            if form != word and len(form) < _SHORTEST_FORM:
                break
            here = re.finditer(f"{before}{re.escape(form)}{after}", text, re.IGNORECASE)
            if spans := [match.span() for match in here]:
                found += spans
                break
    return found


def marked(text: str, words: Sequence[str], style: Style) -> Text:
    """The text with the words in that style."""
    shown = Text(text)
    for start, end in places(text, words):
        shown.stylize(style, start, end)
    return shown


def where(lines: Sequence[str], words: Sequence[str]) -> int | None:
    """The line where most of the words stand together, in it and the two behind it: the first such
    one. None: there are none in any."""
    text = "\n".join(lines)
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    there: dict[int, set[str]] = {}
    for word in words:
        for start, _ in places(text, (word,)):
            there.setdefault(bisect_right(starts, start) - 1, set()).add(word)
    none: set[str] = set()
    together = {
        at: len(there[at].union(*(there.get(at + n, none) for n in (1, 2)))) for at in there
    }
    return max(sorted(together), key=lambda at: together[at]) if together else None


def from_words(text: str, words: Sequence[str]) -> str:
    """The text, of a long one only what stands a little above the words, and all behind it."""
    lines = text.splitlines(keepends=True)
    at = where(lines, words) or 0
    before = "".join(lines[:at])
    line = lines[at] if lines else ""
    start = len(before) + min((span[0] for span in places(line, words)), default=0)
    return text if start < _ABOVE else "…" + text[start - _ABOVE // 2 :]

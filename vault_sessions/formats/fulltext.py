"""Words for the full-text index: what is indexed for scripts without spaces, and how a query is
written in the index's language (FTS5, https://sqlite.org/fts5.html#full_text_query_syntax).

The index's tokenizer takes a run of Chinese, Japanese or Korean for one long word. So a message
that has such text gets a second column, ``grams``: each run of it as overlapping pairs of
characters and its last character alone, other words in between as they are. Any part of a run is
then a phrase of pairs; a single character is the beginning of one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

_CJK = (
    "\u1100-\u11ff\u2e9f\u2ef3\u2f00-\u2fd5\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096"
    "\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97c\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9d\uffa0-\uffdc\U00020000-\U0003347f"
)
_OTHERS = bytes(
    {*range(256)}
    - {0x11, 0xA9, 0xD8, 0xF9, 0xFA, 0xFF}
    - {*range(0x2E, 0xA0)}
    - {*range(0xAC, 0xD8)}
)
"""The high bytes, in UTF-16, of characters that are neither of such a script nor of full width."""
_LONG = 1 << 20
_FULL_WIDTH = re.compile("[\uff10-\uff5a]")
_NARROW = {character: character - 0xFEE0 for character in range(0xFF01, 0xFF5F)}
_WORD = re.compile(r"[^\W_]+")
_HIRAGANA_ONLY = re.compile("[\u3041-\u309f]+")
_TERM = re.compile(r'(-?)(?:"([^"]*)"?(\*?)|([^\s"]+))')


@cache
def _cjk() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """One such character; a run of them or another word. (Compiling these two takes 5 ms, which
    a start without such text need not pay.)"""
    return re.compile(f"[{_CJK}]"), re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")


class Query(NamedTuple):
    """A compiled query. ``expression`` None: nothing to look for. ``words`` are its positive
    words as typed, for cutting snippets; ``terms`` what a question ORs, each an expression;
    ``months`` those that it names (``06``)."""

    expression: str | None
    words: tuple[str, ...]
    terms: tuple[str, ...] = ()
    months: tuple[str, ...] = ()


def has_cjk(text: str) -> bool:
    """Has the text characters of a script that is written without spaces?"""
    return not text.isascii() and _cjk()[0].search(text) is not None


def _pieces(text: str) -> list[str]:
    """The words of a text, and its runs of such characters."""
    if text.isascii():
        return _WORD.findall(text)
    return _cjk()[1].findall(unicodedata.normalize("NFKC", text))


def _is_run(piece: str) -> bool:
    """Is this piece a run of such characters?"""
    return has_cjk(piece[0])


def grams(text: str) -> str | None:
    """What the second column of the index holds for a text: None for most.

    >>> grams('今日はＰython')
    '今日 日は は Python'
    """
    if text.isascii():
        return None
    if len(text) < _LONG:  # in a third of the time
        high = text.encode("utf-16-le", "surrogatepass")[1::2]
        if not high.translate(None, _OTHERS):
            return None
    if not (has_cjk(text) or _FULL_WIDTH.search(text)):
        return None
    return " ".join(_grams(text))


def _grams(text: str) -> list[str]:
    pieces: list[str] = []
    for piece in _pieces(text):
        if _is_run(piece):
            pieces.extend(piece[i : i + 2] for i in range(len(piece) - 1))
            pieces.append(piece[-1])
        else:
            pieces.append(piece)
    return pieces


def search_query(text: str) -> Query:
    """Words ANDed; ``"a phrase"``, ``word*``, ``-not``. Any text is a valid query."""
    wanted: list[str] = []
    unwanted: list[str] = []
    words: list[str] = []
    for minus, quoted, star, word in _TERM.findall(text):
        prefix = bool(star) or (word.endswith("*") and not quoted)
        plain = quoted or word.rstrip("*")
        term = _phrase(plain, prefix)
        if term is None:
            continue
        if minus:
            unwanted.append(term)
        else:
            wanted.append(term)
            words.append(plain)
    if not wanted:
        return Query(None, ())
    expression = " AND ".join(dict.fromkeys(wanted))
    if unwanted:
        expression = f"({expression}) NOT ({' OR '.join(dict.fromkeys(unwanted))})"
    return Query(expression, tuple(words))


def question_query(text: str) -> Query:
    """A question's content words ORed, its stop words dropped (all kept where nothing is left)."""
    pieces = _pieces(text)
    words = [p for p in pieces if p.casefold() not in STOP_WORDS] or pieces
    telling = [w for w in words if len(w) > 1 or w.isdigit() or _is_run(w)]
    words = telling or words
    terms: dict[str, None] = {}
    for word in words:
        if _is_run(word):
            pairs = [word[i : i + 2] for i in range(len(word) - 1)] or [word]
            told = [pair for pair in pairs if not _HIRAGANA_ONLY.fullmatch(pair)] or pairs
            terms.update((phrase, None) for pair in told if (phrase := _phrase(pair, False)))
        elif phrase := _phrase(word, False):
            terms[phrase] = None
    months = tuple(_MONTHS[p.casefold()] for p in pieces if p.casefold() in _MONTHS and p != "may")
    return Query(" OR ".join(terms) or None, tuple(words), tuple(terms), months)


def _phrase(text: str, prefix: bool) -> str | None:
    """A phrase of the index's language; None where the text has no word in it."""
    text = text.translate(_NARROW)
    if has_cjk(text):
        pieces = _grams(text)
        if _is_run(pieces[-1]):
            # the last character alone stands only at the end of a run; inside one it begins a pair
            if len(pieces) > 1 and len(pieces[-2]) == 2 and pieces[-2][1] == pieces[-1]:
                pieces.pop()
            else:
                prefix = True
        return f"grams : {_quoted(' '.join(pieces), prefix)}"
    if not any(character.isalnum() for character in text):
        return None
    return _quoted(text, prefix)


def _quoted(text: str, prefix: bool) -> str:
    text = "".join(c if c.isprintable() else " " for c in text).replace('"', '""')
    return f'"{text}" *' if prefix else f'"{text}"'


def cut_snippet(text: str, words: tuple[str, ...], width: int = 160) -> str:
    """The part of a text around the first of the words that stands in it, as one line.

    (The index's own snippets read the whole text once more: three quarters of a search.)
    """
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    at = _first_place(plain.casefold(), words)
    start = max(0, at - width // 3)
    if start:
        space = plain.find(" ", start, start + 20)
        start = space + 1 if space >= 0 else start
    end = start + width
    if end < len(plain):
        space = plain.rfind(" ", end - 20, end)
        end = space if space > start else end
    cut = " ".join(plain[start:end].split())
    return ("…" if start else "") + cut + ("…" if end < len(plain) else "")


def _first_place(folded: str, words: tuple[str, ...]) -> int:
    """Where the first of the words stands, or a form of it; -1 if none does."""
    for word in words:
        for piece in _pieces(word.casefold()):
            for form in (piece, piece[:-2], piece[:-3]):
                if len(form) >= min(4, len(piece)) and (at := folded.find(form)) >= 0:
                    return at
    return -1


_MONTHS = {
    name: f"{1 + place % 12:02d}"
    for place, name in enumerate(
        """
        january february march april may june july august september october november december
        januar februar märz april mai juni juli august september oktober november dezember
        """.split()  # noqa: SIM905
    )
}
STOP_WORDS = frozenset(
    """
    a about above after again against all also am an and any anybody anyone anything are aren as
    at be became because been before being below between both but by can cannot could couldn d did
    didn do does doesn doing don done down during each either else ever every few for from further
    get gets getting give go goes going got had hadn has hasn have haven having he her here hers
    herself him himself his how however i if in into is isn it its itself just know let like ll m
    make many may maybe me might mightn more most much must mustn my myself need no nor not now of
    off often oh ok okay on once one only or other our ours ourselves out over own per perhaps
    please quite rather re really s said same say says see shall shan she should shouldn since so
    some somebody someone something still such sure t take tell than thank thanks that the their
    theirs them themselves then there these they thing things think this those though through thus
    to together too under until up upon us use used using ve very was wasn way we well went were
    weren what whatever when whenever where wherever whether which while who whoever whom whose why
    will with within without won would wouldn yes yet you your yours yourself yourselves
    mention mentioned talk talked talking discuss discussed discussion conversation chat remember
    kind type much many long ago lot

    aber alle als also am an auch auf aus bei bin bis bist da dann das dass dein dem den der des
    dich die dies diese dieser doch dort du durch ein eine einem einen einer eines er es etwas für
    gegen habe haben hat hatte hatten hier ich ihm ihn ihr ihre im in ins ist ja jetzt kann kein
    keine können man mehr mein mich mir mit nach nicht noch nun nur ob oder ohne schon sehr sein
    seine sich sie sind so über um und uns unser unter vom von vor war waren warum was weil wenn
    wer werden wie wir wird wo zu zum zur welche welcher welches wann worüber
    """.split()  # noqa: SIM905  # a list of literals would be four times as long
)
"""Words that carry no meaning in a question, English and German."""

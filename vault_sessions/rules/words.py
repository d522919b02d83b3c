"""The words that carry what a text says, and whether it says so or denies it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
_CJK = re.compile(rf"[{_UNSPACED}]+")
_LETTERS = rf"[^\W\d_{_UNSPACED}]+"
_WORD = re.compile(rf"\d+(?:[.,:/]\d+)*%?|{_CJK.pattern}|{_LETTERS}(?:['’]{_LETTERS})?")


def word_set(words: str) -> frozenset[str]:
    """The words of a text, for looking up."""
    return frozenset(words.split())


_STOP = word_set(
    """a an the and or but of to in on at for with by from as is are was were be been being am do
    does did has have had i i'm i've me my mine you your yours we us our ours he him his she her
    hers it its they them their theirs this that these those there here user now currently also
    just who which than then so very really about into out up down over per
    der die das den dem des ein eine einen einem einer und oder aber zu im am mit von für bei als
    ist sind war bin hat habe haben ich mich mir mein meine er sie es ihr sein seine wir uns
    unser jetzt auch dass"""
)
_NEGATIONS = word_set(
    """not no never none nothing nobody without stopped quit doesn't don't isn't aren't wasn't
    won't can't cannot didn't hasn't haven't anymore nicht kein keine keinen nie niemals ohne"""
)
_NO_MORE = word_set("longer more anymore any mehr")
_ENDINGS = (("ing", 6), ("ied", 5), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4), ("e", 4))


@lru_cache(maxsize=8192)
def plain_words(text: str) -> list[str]:
    """All words and numbers, in lower case."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return _WORD.findall(text)


@lru_cache(maxsize=8192)
def content_words(text: str) -> list[str]:
    """The words that carry what a text says, as stems, in their order; of scripts without spaces
    pairs of characters.

    >>> content_words("I'm living in Denver, and she lives in Malmö")
    ['liv', 'denver', 'liv', 'malmö']
    """
    found: list[str] = []
    for word in plain_words(text):
        if _CJK.search(word):
            found += [word[i : i + 2] for i in range(max(len(word) - 1, 1))]
        elif word not in _STOP and word not in _NEGATIONS and word not in _NO_MORE:
            found.append(_stem(word))
    return found


def _stem(word: str) -> str:
    """Good enough to see that lives and living are one word."""
    word = word.removesuffix("'s")
    for ending, least in _ENDINGS:
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending in ("ied", "ies") else "")
    return word


def is_among(word: str, others: Iterable[str]) -> bool:
    """Is a word, or one that begins like it, among others?"""
    return any(
        word == other or (len(word) >= 4 and len(other) >= 4 and word[:4] == other[:4])
        for other in others
    )


@lru_cache(maxsize=8192)
def is_denied(text: str) -> bool:
    """Does it say that something is not so?"""
    return not _NEGATIONS.isdisjoint(plain_words(text))

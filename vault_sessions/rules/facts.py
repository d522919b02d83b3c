"""What may become a fact, and what becomes of one that is known already, or is another now."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from vault_sessions.model import Candidate, Message
from vault_sessions.rules.evidence import refused_owner, refused_quote
from vault_sessions.rules.secrets import secret_in
from vault_sessions.rules.slots import slots
from vault_sessions.rules.words import content_words, is_denied, plain_words, word_set

SECTIONS = ("Facts", "Goals", "Preferences", "Relationships", "Projects")
LONGEST = 300


class Entry(NamedTuple):
    """Something in ``facts.md``: ``text`` in one line, without comments; ``line`` from 1.

    ``is_ours``: we wrote it and the owner has left it so. ``source``: the day, session and
    message that its comment names.
    """

    section: str
    line: int
    text: str
    is_ours: bool = False
    source: tuple[str, str, str] | None = None


class Verdict(NamedTuple):
    """What is to be done with a candidate, and why. ``entry``: the one that is concerned."""

    what: Literal["skip", "replace", "offer", "append"]
    entry: Entry | None
    reason: str


def section_named(name: str) -> str | None:
    """The section of that name, in any case."""
    return next((each for each in SECTIONS if each.casefold() == name.strip().casefold()), None)


# --- the text itself -----------------------------------------------------------------------------

_MARK = re.compile(r"^(?:\s*(?:[-*+•‣·–]|#{1,6}|>)\s+)+")
_COMMENT_MARK = re.compile(r"<!-*|-*->|--!>")
_CONTROL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # stand between the letters of several scripts


def clean_text(text: str) -> str:
    """The text as a bullet: one line, nothing that Markdown or a comment could make something else
    of, no full stop at its end."""
    kept = "".join(
        c if unicodedata.category(c) not in _CONTROL or c in _JOINERS else " " for c in text
    )
    kept = unicodedata.normalize("NFC", " ".join(_COMMENT_MARK.sub(" ", kept).split()))
    while (bare := _MARK.sub("", kept).strip()) != kept:
        kept = bare
    if kept.startswith(("```", "~~~")):
        kept = kept.lstrip("`~").strip()
    if kept.endswith((".", "。")) and not kept.endswith(("..", "e.g.", "etc.", "Inc.", "Jr.")):
        kept = kept[:-1].rstrip()
    return kept


@lru_cache(maxsize=8192)
def fold(text: str) -> str:
    """The text less case, white space and punctuation: equal texts say the same."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in text if unicodedata.category(c)[0] in "LNMS")


# --- is it a fact at all? ------------------------------------------------------------------------


def checked(candidate: Candidate, messages: Mapping[str, Message]) -> str | None:
    """Why this is not to be remembered; None: it may be."""
    if section_named(candidate.section) is None:
        return f"there is no section {candidate.section!r}"
    if why := refused_text(candidate.text):
        return why
    message = messages.get(candidate.message_id)
    if message is None:
        return "its message is not there"
    if message.role != "user":
        return "it was not said by the user"
    if not candidate.quote.strip():
        return "no words of the user stand behind it"
    text = clean_text(candidate.text)
    if why := refused_quote(candidate.quote, message.text, text):
        return why
    return refused_owner(text, candidate.section, candidate.quote, message.text)


def refused_text(text: str) -> str | None:
    """Why a text can't be remembered, whoever said it."""
    clean = clean_text(text)
    if not any(c.isalnum() for c in clean):
        return "it says nothing"
    if "\n" in text.strip() or "\r" in text.strip():
        return "it has several lines"
    if len(clean) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if what := secret_in(text):
        return f"it looks like {what}"
    if _COMMANDS.search(clean):
        return "it is an instruction, not a fact"
    return None


_COMMANDS = re.compile(
    r"(?i)\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:previous|prior|above|earlier|all)\b"
    r".{0,20}\b(?:instructions?|rules?|prompts?|messages?)\b"
    r"|\bsystem prompt\b|^(?:assistant|system)\s*:|<\|"
)


# --- merging -------------------------------------------------------------------------------------


def merge(entries: Sequence[Entry], candidate: Candidate) -> Verdict:
    """What is to be done with a candidate that was ``checked``. When in doubt it is appended."""
    text = clean_text(candidate.text)
    folded = fold(text)
    for entry in entries:
        if fold(entry.text) == folded:
            return Verdict("skip", entry, "it is known already")
    named = _named_entry(entries, candidate.replaces or "")
    if named is not None and _concerns(named.text, text):
        if _says_more(named.text, text):
            return Verdict("skip", named, "it is known already, and more of it")
        return _superseded(named, "it says the same thing anew")
    for entry in entries:
        if _says_more(entry.text, text):
            return Verdict("skip", entry, "it is known already, and more of it")
    # one of ours first: the owner's beside it was offered when ours came there
    for entry in sorted(entries, key=lambda one: not one.is_ours):
        if reason := _supersedes(entry.text, text):
            return _superseded(entry, reason)
    return Verdict("append", None, "it is new")


def _superseded(entry: Entry, reason: str) -> Verdict:
    if entry.is_ours:
        return Verdict("replace", entry, reason)
    return Verdict("offer", entry, f"{reason}; but that is the owner's own text")


def _named_entry(entries: Sequence[Entry], text: str) -> Entry | None:
    folded = fold(clean_text(text))
    return next((entry for entry in entries if folded and fold(entry.text) == folded), None)


def _concerns(old: str, new: str) -> bool:
    """Do two texts speak of one thing: the same word, or the same property?"""
    return bool(set(content_words(old)) & set(content_words(new))) or bool(
        slots(old).keys() & slots(new).keys()
    )


def _says_more(old: str, new: str) -> bool:
    """Says the old text all that the new one does?"""
    if is_denied(old) != is_denied(new):
        return False
    had, said = content_words(old), content_words(new)
    if not said or (len(said) < 2 and had != said):
        return False
    mine, others = slots(new), slots(old)
    if any(key in others and not _within(value, others[key]) for key, value in mine.items()):
        return False
    return _in_order(said, had)


def _in_order(few: Sequence[str], many: Sequence[str]) -> bool:
    rest = iter(many)
    return all(any(word == other for other in rest) for word in few)


def _supersedes(old: str, new: str) -> str | None:
    """Why the new text stands for the old one; None: both may be true."""
    mine, others = slots(new), slots(old)
    for key in mine.keys() & others.keys():
        if is_denied(new) == is_denied(old):
            return f"it says another {key.split(' of ')[0]}" if mine[key] != others[key] else None
    had, said = content_words(old), content_words(new)
    if len(had) >= 2 and said[: len(had)] == had and is_denied(old) == is_denied(new):
        return "it says more of it"
    if had and had == said and is_denied(old) != is_denied(new):
        return "it says the opposite"
    if _is_past(new) or _is_past(old):
        return None
    frame = _without_numbers(plain_words(old))
    if frame == _without_numbers(plain_words(new)) and "#" in frame and len(frame) >= 4:
        return "a number or a date is another"
    return None


_PAST = re.compile(
    r"(?i)^(?:\w+ )?(?:ran|went|was|were|did|had|met|saw|bought|sold|won|lost|read|wrote|made|took"
    r"|\w{3,}ed)\b"
)


def _is_past(text: str) -> bool:
    """Does it tell what happened once? Two such things may both be true."""
    return _PAST.match(text) is not None


_MONTHS = word_set(
    """january february march april may june july august september october november december jan feb
    mar apr jun jul aug sep sept oct nov dec januar februar märz mai juni juli oktober
    dezember"""
)


def _without_numbers(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        is_number = word[0].isdigit() or word in _MONTHS
        if not is_number:
            found.append(word)
        elif not found or found[-1] != "#":
            found.append("#")
    return found


def _within(value: str, other: str) -> bool:
    """Is a value another one, less exact?"""
    return _in_order(value.split(), other.split())

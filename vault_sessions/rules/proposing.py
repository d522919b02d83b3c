"""What a correction does to memory: which entry it concerns, and what that says then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vault_sessions.model import Candidate, Proposal
from vault_sessions.rules import facts
from vault_sessions.rules.corrections import Correction
from vault_sessions.rules.slots import slots
from vault_sessions.rules.words import content_words, word_set


class Entry(Protocol):
    """A bullet of ``facts.md``."""

    @property
    def section(self) -> str: ...

    @property
    def text(self) -> str: ...


class Concerned(NamedTuple):
    """An entry of memory and what it is to say: ``new`` None, it is to go."""

    entry: Entry
    new: str | None


_LEAVING = re.compile(
    (
        r"(?:has |have |just |recently )*(?:left|quit|sold|stopped|gave up|given up|resigned"
        r"|renamed|lost"
        r"|broke|split|separated|dropped)\b"
    ),
    re.IGNORECASE,
)
_GENERIC = word_set(
    "job work team company time week month year day new old last next left quit sold stop stopp "
    "gave given give up broke split switch drop thing has have move chang start live got get lot "
    "bit also car house flat today yesterday one two"
)
_OF_KIN = re.compile(r"(?P<kin>\w[\w ]*?) is (?:called |named |now )?(?P<name>[^,;]+)(?:[,;].*)?")
_HERS = re.compile(
    r"(?P<name>[^,;]{1,60}?) is (?P<whose>her|his|their|my|the) (?P<kin>[\w -]+)", re.IGNORECASE
)
_OF_ANOTHER = re.compile(r"(?P<who>(?!there |it )[^;]{1,40}?) (?:is|are|was|has|does|joins) ")


def propose(
    correction: Correction,
    entries: Sequence[Entry],
    *,
    session_id: str | None = None,
    message_id: str | None = None,
) -> Proposal | None:
    """What the owner is asked: a change of the entry concerned, or a new fact where there is none;
    None: memory says it already, or there is nothing to ask."""
    new = correction.new
    if correction.is_sure and correction.kind != "no longer" and new and _is_known(new, entries):
        return None
    found = concerned(correction, entries)
    if found is None and not correction.is_sure:
        return None
    entry, new = found or (None, new)
    new = _as_hers(new, entries)
    if new is not None and facts.refused_text(new):
        return None
    if entry is not None:
        section: str | None = entry.section or None
        return Proposal("facts.md", section, entry.text, new, session_id, message_id)
    if new is None or _is_known(new, entries):
        return None
    return Proposal("facts.md", correction.section, None, new, session_id, message_id)


def concerned(correction: Correction, entries: Sequence[Entry]) -> Concerned | None:
    """The entry of memory that a correction is about; None: it is about none, or it can't be told
    about which."""
    if correction.kind == "not" and not correction.is_sure:
        found = _put_right(correction, entries)
    else:
        found = _renewed(correction, entries) or _no_more(correction, entries)
    if found is not None and found.new and facts.fold(found.new) == facts.fold(found.entry.text):
        return None
    return found


def _is_known(text: str, entries: Sequence[Entry]) -> bool:
    """Does memory say it already?"""
    folded, mine = facts.fold(text), slots(text)
    named = _OF_KIN.fullmatch(text)
    for entry in entries:
        if facts.fold(entry.text) == folded:
            return True
        others = slots(entry.text)
        if mine and all(f" {value} " in f" {others.get(key, '')} " for key, value in mine.items()):
            return True
        hers = _HERS.match(entry.text)
        if named and hers and facts.fold(named["name"]) == facts.fold(hers["name"]):
            return named["kin"].casefold() in hers["kin"].casefold().split()
    return False


def _as_hers(text: str | None, entries: Sequence[Entry]) -> str | None:
    """The text with the pronoun that memory uses of the person."""
    if text is None or "their" not in text:
        return text
    uses = [found[0] for entry in entries if (found := re.search(r"\b(?:her|his)\b", entry.text))]
    whose = max(sorted(set(uses)), key=uses.count) if uses else "their"
    return re.sub(r"\btheir\b", whose, text)


def _best(scores: Sequence[tuple[float, Entry]]) -> Entry | None:
    """The entry with the highest score, if it is alone with it."""
    ranked = sorted(scores, key=lambda each: each[0], reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


# --- another value -------------------------------------------------------------------------------


def _put_right(correction: Correction, entries: Sequence[Entry]) -> Concerned | None:
    """``it's X, not Y``: the entry that says Y says X instead."""
    old, new = _value_of(correction.old or ""), _value_of(correction.new or "")
    if not old or not new:
        return None
    pattern = _whole(old)
    said = set(content_words(correction.quote))
    holding = [entry for entry in entries if pattern.search(entry.text)]
    scores = [(float(len(said & set(content_words(entry.text)))), entry) for entry in holding]
    entry = _best(scores)
    if entry is None:
        return None
    if correction.kind == "not" and new[:1].isupper() and len(new.split()) > 3:  # a sentence
        return Concerned(entry, new)
    return Concerned(entry, pattern.sub(lambda _: new, entry.text, count=1))


def _whole(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)", re.IGNORECASE)


_BEFORE_VALUE = re.compile(r"^(?:(?:on|in|at|the|a|an|by|from|called|until)\s+)+", re.IGNORECASE)


def _value_of(text: str) -> str:
    return _BEFORE_VALUE.sub("", text.strip(" .,!?'"))


def _renewed(correction: Correction, entries: Sequence[Entry]) -> Concerned | None:
    """The entry that gives another value to the same property."""
    new = correction.new
    if new is None:
        return None
    candidate = Candidate(correction.section, new, "", "")
    mine = slots(new)
    for entry in entries:
        known = facts.Entry(correction.section, 0, entry.text)
        if mine.keys() & slots(entry.text).keys():
            return Concerned(entry, _in_form(new, entry.text))
        if facts.merge([known], candidate).what in ("replace", "offer"):
            return Concerned(entry, _in_form(new, entry.text))
    return (
        _of_kin(new, entries)
        or _in_place_of(correction, entries)
        or _preference(correction, entries)
    )


def _of_kin(new: str, entries: Sequence[Entry]) -> Concerned | None:
    """``Sister is Inga`` where memory says ``Ingrid is her sister``."""
    named = _OF_KIN.fullmatch(new)
    if named is None:
        return None
    kin = named["kin"].casefold()
    same = [
        entry
        for entry in entries
        if (hers := _HERS.match(entry.text)) and kin in hers["kin"].casefold().split()
    ]
    return Concerned(same[0], _in_form(new, same[0].text)) if len(same) == 1 else None


def _in_form(new: str, old: str) -> str:
    """``Manager is Lena`` where memory says ``Priya is her manager``: ``Lena is her manager``."""
    named, hers = _OF_KIN.fullmatch(new), _HERS.match(old)
    if named is None or hers is None or named["kin"].casefold() not in hers["kin"].casefold():
        return new
    return f"{named['name'].strip()} is {hers['whose']} {named['kin'].casefold()}"


def _in_place_of(correction: Correction, entries: Sequence[Entry]) -> Concerned | None:
    """``on Fridays, not on Wednesdays``: the entry that says the latter of the same thing."""
    if correction.kind != "not" or correction.old is None or correction.new is None:
        return None
    old, said = set(content_words(correction.old)), set(content_words(correction.new))
    scores = [
        (float(len(said & has)), entry)
        for entry in entries
        if old and old <= (has := set(content_words(entry.text))) and said & has - old
    ]
    entry = _best(scores)
    return Concerned(entry, correction.new) if entry else None


def _preference(correction: Correction, entries: Sequence[Entry]) -> Concerned | None:
    """``Prefers aisle seats``: the one preference that is about seats."""
    if correction.section != "Preferences" or correction.new is None:
        return None
    about = re.split(r"\s(?:in|on|for|with|to|when|over|now)\s", correction.new)[0]
    words = content_words(about)[1:]
    if not words:
        return None
    same = [
        entry
        for entry in entries
        if entry.section == "Preferences" and words[-1] in content_words(entry.text)
    ]
    return Concerned(same[0], correction.new) if len(same) == 1 else None


# --- no longer so --------------------------------------------------------------------------------


def _no_more(correction: Correction, entries: Sequence[Entry]) -> Concerned | None:
    """The entry that says what is no longer so, or speaks of what was left, sold, given up."""
    found = _said_of(correction, entries) if correction.old else None
    if found is None and correction.new and _LEAVING.match(correction.new):
        found = _left(correction.new, entries)
    return found


def _said_of(correction: Correction, entries: Sequence[Entry]) -> Concerned | None:
    old = correction.old or ""
    wanted = list(dict.fromkeys(content_words(old)))
    named = re.findall(r"(?<!^)\b[^\W\d_a-z][\w-]+|\b\w*\d\w*", old)
    names = {word for name in named for word in content_words(name)} & set(wanted)
    least = len(wanted) if len(wanted) < 3 else 0.6 * len(wanted)
    about_another = re.match(r"(?:my|our) |[A-ZÀ-Þ]", old) is not None
    scores = []
    for entry in entries:
        has = set(content_words(entry.text))
        shared = [word for word in wanted if word in has]
        if not set(shared) - _GENERIC or not names <= has or len(shared) < least:
            continue
        if not about_another and not _may_be_own(entry.text, old, correction.kind):
            continue
        scores.append((len(shared) / (1 + abs(len(has) - len(wanted)) / 20), entry))
    best = _best(scores)
    if best is None:
        return None
    if correction.kind == "forget":
        return Concerned(best, None)
    if about_another and correction.kind == "no longer":
        denied = _denied(best.text, wanted[1:])
        return Concerned(best, denied) if denied else None
    return Concerned(best, correction.new)


def _may_be_own(text: str, old: str, kind: str) -> bool:
    """May the entry be about the person? One about another only if that one is named."""
    other = _OF_ANOTHER.match(text)
    if other is None or kind == "forget":
        return True
    return bool(set(content_words(other["who"])) & set(content_words(old)))


def _denied(text: str, words: Sequence[str]) -> str | None:
    """An entry with one thing denied: ``he no longer teaches music``."""
    for found in re.finditer(r"[\w'-]+", text):
        stems = content_words(found[0])
        if found.start() and stems and stems[0] in words:
            return f"{text[: found.start()]}no longer {text[found.start() :]}"
    return None


def _left(new: str, entries: Sequence[Entry]) -> Concerned | None:
    words = {word for word in content_words(new) if not word.isdigit()} - _GENERIC
    own = [
        entry
        for entry in entries
        if entry.section != "Preferences" and not _OF_ANOTHER.match(entry.text)
    ]
    shared = [(float(len(words & set(content_words(each.text)))), each) for each in own]
    best = _best([scored for scored in shared if scored[0]])
    return Concerned(best, new) if best else None

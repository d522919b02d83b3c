"""Does the person correct what is remembered of them?

A message is a candidate when a pattern finds in it, in the writer's own words, something about the
writer or about a thing in memory that is otherwise than before. Nothing is changed by that: the
owner is shown old and new, and asked.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from vault_sessions.rules import correction_patterns as patterns
from vault_sessions.rules.own_words import Clause, clauses
from vault_sessions.rules.statements import lead_of, stated, third_person

READ = 1_200
"""So much of a message's beginning is read, and a third of that of its end: a longer text was
pasted, not typed."""

MOST = 10
"""Clauses that are looked at."""


Kind = Literal["said", "changed", "no longer", "not", "forget", "update"]


class Correction(NamedTuple):
    """What a message corrects.

    ``new``: what is so now, as a bullet; None: it only says what is no longer so. ``old``: the
    words for that, where the message says them. ``section``: where ``new`` would go. ``is_sure``:
    it is about the writer; else it only matters where an entry of memory is concerned.
    """

    kind: Kind
    quote: str
    new: str | None
    old: str | None
    section: str
    is_sure: bool


def detect(text: str) -> Correction | None:
    """The correction that a message of the user's makes, the surest first; None: none."""
    text = _ends_of(text)
    if not patterns.TRIGGER.search(text):
        return None
    unsure = None
    said = clauses(text, MOST, patterns.TRIGGER)
    for number, clause in enumerate(said):
        following = said[number + 1] if number + 1 < len(said) else None
        found = _in_clause(clause, following)
        if found is not None and found.is_sure:
            return found
        unsure = unsure or found
    return unsure


def _ends_of(text: str) -> str:
    """The beginning and the end of a long text; code that is cut stays code."""
    if len(text) <= READ * 4 // 3:
        return text
    at = len(text) - READ // 3
    first_line = text.find("\n", at)
    at = first_line + 1 if first_line >= 0 else at
    is_code = text.count("```", 0, at) % 2 == 1
    was_code = text.count("```", 0, READ) % 2 == 1
    joint = "\n" if is_code == was_code else "\n```\n"
    return f"{text[:READ]}{joint}{text[at:]}"


def _in_clause(clause: Clause, following: Clause | None) -> Correction | None:
    at = lead_of(clause.rest)
    rest = clause.rest[at:]
    if not rest:
        return None
    return (
        _told(clause.rest, following)
        or _became(rest, is_first=not clause.lead.strip())
        or _ceased(rest)
        or _contrasted(rest)
        or (_marked(rest, clause, at) if _is_marked(clause, at) else None)
    )


def _is_marked(clause: Clause, at: int) -> bool:
    """Stands ``actually``, ``for the record``, ``now`` … by it?"""
    return bool(
        patterns.MARK.search(clause.lead[-80:])
        or patterns.MARK.search(clause.rest[:at])
        or patterns.MARK.search(patterns.until(clause.rest[at:]))
    )


def _told(rest: str, following: Clause | None) -> Correction | None:
    """``forget that …``, ``update your memory: …``."""
    if found := patterns.FORGET.match(rest):
        what = patterns.THAT.sub("", patterns.until(found["v"]))
        if not what or patterns.FORGET_NOT.match(found["v"].strip()) or patterns.THING.match(what):
            return None
        if not patterns.ABOUT_OWN.search(what) or patterns.ABOUT_TALK.match(what):
            return None
        return Correction("forget", what, None, what, "Facts", True)
    if found := patterns.UPDATE.match(rest):
        what = patterns.SAYING.sub("", found["v"].strip(" ,:.!-–—"))
        if not what.strip() and following is not None:
            what = following.rest
        if what.strip() and not patterns.OF_A_MACHINE.match(what):
            return _made("update", what, sure=True)
    return None


def _became(rest: str, *, is_first: bool = False) -> Correction | None:
    """``I've moved to …``: something is new."""
    if is_first and patterns.WITHOUT_I.match(rest):
        rest = f"I {rest[:1].lower()}{rest[1:]}"
    for pattern, kind in patterns.changed() if patterns.BECAME.match(rest) else ():
        if not pattern.match(rest):
            continue
        said = patterns.until(rest)
        if not patterns.is_life(said) and kind:
            return None
        if kind == 2 and patterns.SWITCHED_WORK.search(rest):
            return None
        return _made("changed", rest, sure=True)
    return None


def _ceased(rest: str) -> Correction | None:
    """``no longer``, ``not … any more``, ``used to … but now``."""
    for pattern, kind in patterns.no_longer():
        found = pattern.match(rest)
        if not found or (kind == 2 and not _is_no_more(rest, found)):
            continue
        what = patterns.until(found["v"])
        if not patterns.is_life(what):
            return None
        if kind == 1:
            return _used_to(rest, what)
        made = _made("no longer", rest, sure=True)
        whose = f"{found['who']} " if kind == 2 else ""
        return made._replace(old=f"{whose}{what}") if made else None
    return _another_ceased(rest)


def _used_to(rest: str, what: str) -> Correction | None:
    """``I used to … but now …``; what is now may be said with a pronoun only."""
    now = patterns.BUT_NOW.search(rest)
    after = patterns.until(rest[now.end() :]) if now else ""
    if patterns.PRONOUN.search(after):
        new = f"Used to {what}, but no longer"
        return Correction("no longer", patterns.until(rest), new, what, "Facts", True)
    if patterns.TALK.search(after):
        return None
    made = _made("no longer", rest[now.end() :] if now else rest, sure=True)
    return made._replace(old=what) if made else None


def _another_ceased(rest: str) -> Correction | None:
    """``Ingrid doesn't live in Malmö any more``: it matters if memory knows her."""
    found = patterns.OTHERS_NO_LONGER.match(rest)
    if found is None or patterns.NO_NAME.match(found["who"]) or not _is_no_more(rest, found):
        return None
    what = patterns.until(found["v"])
    made = _made("no longer", rest, sure=False) if patterns.is_life(what) else None
    return made._replace(old=f"{found['who']} {what}") if made else None


def _is_no_more(rest: str, found: re.Match[str]) -> bool:
    return patterns.NO_MORE.search(rest, 0, found.end() + 30) is not None


def _contrasted(rest: str) -> Correction | None:
    """``it's X, not Y``, ``I meant X, not Y``, ``I live in X, not Y``."""
    if found := patterns.MEANT.match(rest) or patterns.ITS.match(rest):
        return _instead(found)
    if found := patterns.ITS_NOT.match(rest):
        new, old = found["new"].strip(), found["old"].strip()
        if patterns.is_talk(new) or patterns.is_talk(old) or not patterns.is_value(new):
            return None
        return Correction("not", patterns.until(rest), new, old, "Facts", False)
    if found := patterns.NOT_FIRST.match(rest):
        tail = rest[found.end() :]
        if not patterns.SOMEBODY.match(tail):
            return None
        new = third_person(patterns.until(tail))
        return Correction("not", patterns.until(rest), new, found["old"], "Facts", False)
    return _own_contrast(rest)


def _instead(found: re.Match[str]) -> Correction | None:
    new, old = found["new"].strip(), (found["old"] or "").strip()
    if not old or patterns.is_talk(new) or patterns.is_talk(old):
        return None
    values = (patterns.is_value(new), patterns.is_value(old))
    if not all(values) and not patterns.SPELT.search(found[0]):
        other = old if values[0] else new
        if not any(values) or len(other.split()) > 2 or patterns.VAGUE.match(other):
            return None
    return Correction("not", patterns.until(found[0]), new, old, "Facts", False)


def _own_contrast(rest: str) -> Correction | None:
    """``I live in Boulder, not Denver``."""
    found = patterns.NOT.search(rest, 0, 200) if patterns.OWN.match(rest) else None
    if found is None or found.start() > 120:
        return None
    said, old = rest[: found.start()], found["old"].strip()
    if (
        patterns.is_talk(old)
        or patterns.TALK.search(said)
        or (not patterns.is_value(old) and len(old.split()) > 3)
    ):
        return None
    if not stated(said) and not any(pattern.match(said) for pattern in patterns.said()):
        return None
    made = _made("not", said, sure=True)
    return made._replace(old=old) if made else None


def _marked(rest: str, clause: Clause, at: int) -> Correction | None:
    """A statement about the writer by the side of ``actually``, ``for the record``, ``now`` …"""
    said = patterns.until(rest)
    if patterns.FIRST.match(rest) and stated(rest):
        return _made("said", rest, sure=True)
    if (
        patterns.FIRST.match(rest)
        and any(pattern.match(rest) for pattern in patterns.said())
        and patterns.is_life(said)
    ):
        return _made("said", rest, sure=True)
    if patterns.CORRECTION.search(clause.lead + clause.rest[:at]) and patterns.OWN_IS.search(said):
        return _made("said", rest, sure=True) if patterns.is_life(said) else None
    return None


def _made(kind: Kind, rest: str, *, sure: bool) -> Correction | None:
    """The correction that words make, as a bullet."""
    at = lead_of(rest)
    found = stated(rest, at)
    if found is not None:
        (section, text, _), (start, end) = found
        return Correction(kind, rest[start:end].strip(), text, None, section, sure)
    said = patterns.until(rest[at:])
    text = third_person(patterns.RATHER.sub("", said))
    if len(text) < 3 or (" " not in text and kind not in ("changed", "no longer")):
        return None
    section = "Relationships" if patterns.OF_KIN.match(said) else "Facts"
    if patterns.PREFERS.match(text):
        section = "Preferences"
    return Correction(kind, said, text[: patterns.LONGEST], None, section, sure)

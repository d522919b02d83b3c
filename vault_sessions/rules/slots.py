"""Properties of which somebody has one: where they live, what they work as, who their partner is.

A second text that gives another value to one of them takes the first one's place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from vault_sessions.rules.words import content_words

_NOW = r"(?:now |currently |still |recently |has |have |is |am |are |just )*"
_VALUE = r"(?P<value>.+)"
_SUBJECT = r"(?P<subject>(?:[^\s;,]+ ){0,4}?)"
_WORKS = r"(?:works?|working|employed|arbeitet?)"
_VERBS = {
    "residence": r"(?:lives?|living|resides?|residing|based|relocated|moved|wohn[et]+|leb[et]+) "
    rf"(?:now |currently |jetzt )?(?:in|to|at|near|nach) {_VALUE}",
    "employer": rf"(?:{_WORKS} (?:as [^,;]*? )?(?:at|for|by|bei) {_VALUE}"
    r"|(?:joined|started at) (?P<other>(?!on |in |the |a |us ).+))",
    "job": rf"{_WORKS} (?:as|als) (?:a |an |the |ein |eine )?{_VALUE}",
    "name": rf"(?:called|named|goes by|heißt) {_VALUE}",
    "age": r"(?P<value>\d{1,3})(?: years old| jahre alt)",
    "car": rf"(?:drives?|driving|fährt) (?:a |an |einen |eine ){_VALUE}",
}
_NOUNS = {
    "name": "(?:full |first |last )?name|vorname|nachname",
    "age": "age|alter",
    "birthday": "birthday|date of birth|geburtstag",
    "employer": "employer|company|arbeitgeber",
    "job": "job|job title|occupation|profession|beruf",
    "residence": "residence|home town|hometown|home city|wohnort",
    "address": "(?:home |postal )?address|adresse",
    "phone number": "(?:phone|mobile)(?: number)?|telefonnummer",
    "e-mail address": "e-?mail(?: address)?",
    "time zone": "time ?zone|zeitzone",
    "partner": "partner|husband|wife|spouse|girlfriend|boyfriend|fiancée?|mann|frau",
    "manager": "manager|boss|supervisor|team lead|chef|chefin",
    "diet": "diet",
    "native language": "native language|mother tongue|first language",
}
_WHOSE = r"(?:my|his|her|their|the user's|mein|meine)"
_BY_VERB = [
    (key, re.compile(rf"{_SUBJECT}{_NOW}{verb}", re.IGNORECASE)) for key, verb in _VERBS.items()
]
_BY_NOUN = [
    (
        key,
        re.compile(
            rf"(?:{_WHOSE} |the )?(?:{noun})(?:'s name)? (?:is|ist|:) {_VALUE}", re.IGNORECASE
        ),
    )
    for key, noun in _NOUNS.items()
]
_ROLES = "|".join(_NOUNS[key] for key in ("partner", "manager"))
_BY_ROLE = re.compile(
    rf"(?P<value>[^,;]{{1,60}}?) (?:is|ist) (?:now )?{_WHOSE} (?:new )?(?P<role>{_ROLES})\b",
    re.IGNORECASE,
)
_DIET = re.compile(
    rf"{_SUBJECT}(?:is |am |went |became |now )*(?:a |an )?(?P<value>vegetarian|vegan|pescatarian"
    r"|omnivore|vegetarisch|eats meat|veganer(?:in)?|vegetarier(?:in)?)\b",
    re.IGNORECASE,
)
_USER = {"", "i", "she", "he", "they", "user", "the user", "ich", "er", "sie"}
_FILLERS = {"is", "am", "are", "has", "have", "now", "a", "just", "currently", "still"}
_CLAUSE = re.compile(r";\s*|(?<=\w{3})\.\s+")
_ASIDE = re.compile(r"\s*\([^()]*\)")
_ABOUT = re.compile(r"(\S+(?: \S+){0,3}?) (?:is|ist|was) ")
_VALUE_END = re.compile(
    r";|,(?= (?:with|where|and|but|since|who|in the)\b)| (?:since|with|because|where) "
)
_EMPLOYER = re.compile(r" (?:at|for|bei) ")


@lru_cache(maxsize=8192)
def slots(text: str) -> dict[str, str]:
    """The properties that a text gives a value to, as content words; those of somebody else than
    the user as “residence of ingrid”.

    >>> slots("Ingrid is her sister; she lives in Malmö with two kids")
    {'residence of ingrid': 'malmö'}
    """
    found: dict[str, str] = {}
    subject = ""
    for clause in _CLAUSE.split(" ".join(text.split())):
        clause = _ASIDE.sub("", clause).strip(" .")
        for key, who, value in _in_clause(clause):
            name = who if who not in _USER else subject
            found.setdefault(f"{key} of {name}" if name else key, value)
        if not subject and (about := _ABOUT.match(clause)):
            subject = "" if about[1].casefold() in _USER else about[1].casefold()
    return found


def _in_clause(clause: str) -> Iterator[tuple[str, str, str]]:
    """Property, owner and value."""
    for key, pattern in _BY_VERB:
        if match := pattern.fullmatch(clause):
            value = match["value"] or match.groupdict().get("other") or ""
            if key == "job":  # the employer is another property
                value = _EMPLOYER.split(value)[0]
            yield key, _subject(match["subject"]), _value(value)
    for key, pattern in _BY_NOUN:
        if match := pattern.fullmatch(clause):
            yield key, "", _value(match["value"])
    if match := _BY_ROLE.match(clause):
        role = match["role"].casefold()
        yield next(k for k, n in _NOUNS.items() if re.fullmatch(n, role)), "", _value(match[1])
    if match := _DIET.match(clause):
        yield "diet", _subject(match["subject"]), _value(match["value"])


def _subject(text: str) -> str:
    return " ".join(word for word in text.casefold().split() if word not in _FILLERS)


def _value(text: str) -> str:
    end = _VALUE_END.search(text)
    return " ".join(content_words(text[: end.start()] if end else text))

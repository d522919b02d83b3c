"""What a person says of themselves, found without a model.

Sure patterns only, English first, some in German and Japanese: what is missed can be told again,
what is wrongly remembered has to be found and taken out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from vault_sessions.rules.correction_patterns import TALK
from vault_sessions.rules.own_words import clauses, hide
from vault_sessions.rules.words import word_set

LONGEST = 200
READ = 20_000
"""How much of a message is read, in characters."""


class Statement(NamedTuple):
    """Something a person says of themselves.

    ``section``: where it belongs in facts.md; ``text``: as a bullet, without a subject; ``quote``:
    the words of the message; ``slot``: which property it gives a value to (``residence``,
    ``relation:manager``, …), None where a person may have many.
    """

    section: str
    text: str
    quote: str
    slot: str | None = None


_LEAD = (
    r"(?:(?:oh|ah|hm+|hey|hi|hello|well|so|ok|okay|and|but|also|btw|by the way|fyi|wait"
    r"|no|nope|yes"
    r"|yeah|sorry|actually|anyway|ps|just so you know|you should know(?: that)?"
    r"|for the record"
    r"|for context|for your info|for what it's worth|fwiw|just fyi|one thing|(?:small "
    r"|quick |little )?update"
    r"|that(?:'s| is) (?:wrong|not right|not true|not correct|incorrect)"
    r"|i meant to (?:say|write)(?: that)?"
    r"|i (?:forgot|wanted) to (?:say|tell you|mention)(?: that)?|from (?:next )?\w+ on"
    r"|starting (?:next )?\w+"
    r"|please note(?: that)?|correction|small correction|note(?: that)?|quick note"
    r"|heads up"
    r"|(?:i )?should (?:also |probably |maybe )*(?:mention|say|add|note"
    r"|tell you)(?: that)?"
    r"|i (?:wanted to|have to|must) (?:mention|say|tell you)(?: that)?|as you know"
    r"|recently"
    r"|the thing is(?: that)?|turns out(?: that)?|these days|nowadays|now|today|currently"
    r"|as of (?:this |next |last )?\w+|since (?:\w+ )?(?:\d{4}|yesterday|today|\w+day"
    r"|january|february"
    r"|march|april|may|june|july|august|september|october|november|december|spring|summer"
    r"|autumn"
    r"|fall|winter|last \w+)|last (?:week|month|year|\w+day))\b[\s,:.!–—-]*){0,6}"
)
_I = r"(?:i|we)"
_AM = r"(?:i'?m|i am|we'?re|we are)"
_HAVE = r"(?:i've|ive|i have|we've|we have)"
_ADVERB = (
    r"(?:(?:now|currently|still|also|actually|really|really do|just|always|usually|normally|mostly"
    r"|generally|recently|finally|both|since|already|do)\s+){0,3}"
)
_END = (
    r"(?=\s*(?:[.!?;()\ufffc]|$|\snow,|\s[-–—]+\s|,\s*(?:so|but|and|because|which|who"
    r"|where|not|since|as"
    r"|can|could|please|if|i|we|my|right|thanks|though|he|she|it|they|moved|rather"
    r"|the|our|his|her|their|there|then|also|plus|you|let's)\b"
    r"|\s(?:so|but|because|since|while|though|although|whereas|if|and (?:i|we|my|he|she"
    r"|it|they|now"
    r"|need|want|would|am|was|have|is|work|live|speak|drive|study|teach)|as (?:of|i|we)"
    r"|btw|lol|haha|now\W*$|now,|now (?:and|so"
    r"|but|since)|these days|nowadays|at the moment|right now|by the way|and\W*$|anymore"
    r"|any more"
    r"|not|rather than|instead of|please|thanks)\b))"
)
_VALUE = (
    r"(?P<v>[^\s.,!?;:()\ufffc][^.!?;:()\ufffc\n]{0,120}?(?:\.\w[^.!?;()\ufffc\n]{0,60}?)?)" + _END
)
_NAME = (
    r"(?P<n>(?-i:(?:Dr\.? |Prof\.? )?[A-ZÀ-ÞŁ-Ž][\w'’.-]*[\w'’](?: (?:de|van|von|der|la|del|al|bin)"
    r"| [A-ZÀ-ÞŁ-Ž][\w'’-]+){0,3}))(?=\W|$)"
)
_VAGUE = re.compile(
    (
        r"(?:it|this|that|these|those|them|him|her|you|your|the (?:first|second|third|last"
        r"|other|former"
        r"|latter|same|next|previous|above|idea|way|one|new|old|result|answer|output|code)"
        r"|what|how|to"
        r"|one|both|all|some|any|something|nothing|everything|someone|there|here|when|where"
        r"|which|if"
        r"|like|so|about|fear|hope|peace|trouble|the (?:terminal|shell|browser|command line"
        r"|moment|past|future|present|cloud)|an? (?:bit|lot|few|problem|question|bug|error"
        r"|issue"
        r"|way|new error|function|script|class|file|method|list|dict|string)|another|more"
        r"|less|not"
        r"|such|just|only that|why|who|version|option|doing that)\b"
    ),
    re.IGNORECASE,
)
_KIN = (
    r"partner|wife|husband|spouse|girlfriend|boyfriend|fiancée?|fiance|sister|brother|mother|mum"
    r"|mom|father|dad|son|daughter|cousin|aunt|uncle|nephew|niece|grandmother|grandfather|grandma"
    r"|grandpa|stepson|stepdaughter|roommate|flatmate|neighbou?r|landlord|landlady|best friend"
    r"|boss|manager|team ?lead|mentor|mentee|coach|trainer|teacher|supervisor|advisor|doctor|gp|vet"
    r"|dentist|therapist|physio|physiotherapist|accountant|lawyer|colleague|coworker|co-worker|dog"
    r"|cat|puppy|kitten|horse|rabbit|parrot|tortoise"
)
_ROLE = (
    r"(?:(?:[a-z-]+ ){0,3}(?:engineer|developer|programmer|designer|teacher|nurse|doctor|student"
    r"|lawyer|writer|author|musician|photographer|architect|accountant|scientist|researcher|chef"
    r"|baker|carpenter|electrician|plumber|pilot|farmer|journalist|editor|translator|consultant"
    r"|analyst|administrator|sysadmin|freelancer|contractor|founder|manager|director|professor"
    r"|librarian|pharmacist|dentist|vet|veterinarian|physicist|chemist|biologist|economist|sre|cto"
    r"|ceo|paramedic|firefighter|pensioner|mathematician|historian|psychologist|therapist|surgeon"
    r"|retiree|postdoc|phd student|gardener|mechanic|driver|tailor|potter|painter|sculptor))"
)
_STATE = (
    r"(?:(?:strictly |mostly |a |an )?(?:vegetarian|vegan|pescatarian|coeliac|celiac|diabetic"
    r"|left-handed|right-handed|colou?r-?blind|dyslexic|autistic|deaf|short-sighted|pregnant"
    r"|married|single|divorced|widowed|engaged|retired|unemployed|self-employed|teetotal"
    r"|lactose[- ]intolerant|gluten[- ]intolerant|an? introvert|an? extrovert|an? early bird"
    r"|an? night owl|bilingual|jewish|muslim|christian|buddhist|hindu))"
)
_NUMBER = r"(?:\d{1,3}|two|three|four|five|six|seven|eight|nine|ten|one|an?)"

Make = Callable[[re.Match[str]], tuple[str, str, str | None] | None]


def _to(section: str, form: str, slot: str | None = None) -> Make:
    def make(match: re.Match[str]) -> tuple[str, str, str | None] | None:
        value = clean(match["v"])
        if not value or _VAGUE.match(value):
            return None
        return section, form.format(value), slot

    return make


def _named(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    """``My manager is Priya``: who somebody is."""
    kin = match["kin"].lower()
    name = clean(match["n"])
    return "Relationships", f"{kin[:1].upper()}{kin[1:]} is {name}", f"relation:{kin}"


def _has(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    section = "Facts" if match["what"] else "Relationships"
    return section, f"Has {clean(match['v'])}", None


def _state(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    state = clean(match["v"])
    diet = re.search(r"veg|pesc", state, re.IGNORECASE)
    marital = re.search(r"married|single|divorced|widowed|engaged", state, re.IGNORECASE)
    return "Facts", f"Is {state}", "diet" if diet else "marital status" if marital else None


def _place(form: str) -> Make:
    def make(match: re.Match[str]) -> tuple[str, str, str | None] | None:
        value = re.split(r", (?:with|together|near|close)\b", clean(match["v"]))[0]
        if not value or _VAGUE.match(value) or len(value.split()) > 8:
            return None
        return "Facts", form.format(value), "residence"

    return make


def _moved(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    return "Facts", f"Lives in {clean(match['n'])}", "residence"


def _works(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value, how = clean(match["v"]), match["how"].lower()
    if not value or _VAGUE.match(value):
        return None
    if how in ("at", "for", "with") and not value[:1].isupper():
        return None
    slot = {"at": "employer", "for": "employer", "as": "job"}.get(how)
    return "Facts", f"Works {how} {value}", slot


_TAUGHT = (
    r"(?:german|english|french|spanish|italian|swedish|norwegian|danish|finnish|dutch|polish"
    r"|russian|ukrainian|czech|portuguese|greek|turkish|arabic|hebrew|hindi|japanese|korean"
    r"|chinese|mandarin|cantonese|latin|vietnamese|thai|welsh|irish)"
)


def _born(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value = clean(match["v"])
    if _VAGUE.match(value):
        return None
    grew = "grew up" in match[0].lower()
    slot = "childhood" if grew else "birthday" if any(c.isdigit() for c in value) else "birthplace"
    return "Facts", f"{'Grew up' if grew else 'Was born'} {match['how'].lower()} {value}", slot


def _job(match: re.Match[str]) -> str:
    role = f" as {clean(match['as'])}" if match["as"] else ""
    return f"Works{role} at {clean(match['n'])}"


def _studied(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value = clean(match["v"])
    if _VAGUE.match(value) or not re.search(r"\b(?:at|in|for)\b|[A-Z]", value + match[0]):
        return None
    if match[0].lower().startswith("i studied"):
        return ("Facts", f"Studied {value}", None) if re.search(r"\b(?:at|in)\b", value) else None
    return "Facts", third_person(clean(match[0])), None


def _liked(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value, how = clean(match["v"]), match["how"].lower()
    if _VAGUE.match(value) or len(value.split()) > 6 or value.lower().startswith(("the ", "your ")):
        return None
    verb = "Can't stand" if how == "can't stand" else f"{how.capitalize()}s"
    return "Preferences", f"{verb} {value}", None


def _eats(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value = clean(match["v"])
    if _VAGUE.match(value) or len(value.split()) > 5:
        return None
    return "Facts", f"Doesn't {match['how'].lower()} {value}", None


def _favourite(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value, kind = clean(match["v"]), match["k"].strip()
    if _VAGUE.match(value) or len(value.split()) > 7:
        return None
    return "Preferences", f"Favourite {kind} is {value}", f"favourite:{kind}"


def _rule(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value = clean(match["v"])
    if re.search(r"\b(?:this|that|these|those|above|below|function|variable|file|here)\b", value):
        return None
    return "Preferences", _capital(third_person(value)), None


def _own_goal(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value = clean(match["v"])
    if _VAGUE.match(value) or TALK.search(value):
        return None
    return "Goals", _capital(_inner(value)), None


def _goal(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value = clean(match["v"])
    if re.search(r"\b(?:this|that|these|those|it|file|script|code|test)\b", value, re.IGNORECASE):
        return None
    return "Goals", _capital(_inner(value)), None


_SOON = re.compile(
    r"(?i)\b(?:on (?:mon|tues|wednes|thurs|fri|satur|sun)day|today|tonight|tomorrow|at noon"
    r"|(?:this|next|over the) (?:week|weekend|morning|afternoon|evening|time))\b"
)  # done soon, and then of no more use


def _decided(match: re.Match[str]) -> tuple[str, str, str | None] | None:
    value = clean(match["v"])
    is_cut = match.string[match.end() : match.end() + 1] == "("  # a call in code
    is_soon = _SOON.search(match.string[match.start() :])
    if is_cut or is_soon or _VAGUE.match(value) or len(value) < 5:
        return None
    return (
        "Projects",
        f"{_capital(match['h'].lower())} {match['how'].lower()} {_inner(value)}",
        None,
    )


_ENGLISH: tuple[tuple[str, Make], ...] = (
    (
        (
            rf"(?:{_I} {_ADVERB}(?:live|reside)|{_AM} {_ADVERB}(?:living|based|residing))"
            rf" (?:now |currently |up |down |out |over )?(?:in|near|at|on) {_VALUE}"
        ),
        _place("Lives in {}"),
    ),
    (
        (
            rf"(?:{_I}|{_HAVE}) (?:(?:just|recently|finally|since|now|already|all)\s+){{0,2}}"
            rf"(?:moved|relocated) (?:back |over |up |down |out )?to {_NAME}"
        ),
        _moved,
    ),
    (
        rf"{_I} {_ADVERB}(?:grew up|was born|were born) (?P<how>in|on|near) {_VALUE}",
        _born,
    ),
    (
        rf"{_AM} {_ADVERB}(?:originally )?from {_NAME}",
        lambda m: ("Facts", f"Is from {clean(m['n'])}", "origin"),
    ),
    (
        (
            rf"(?:i {_ADVERB}work|i'?m {_ADVERB}working|i am {_ADVERB}working)"
            rf" (?:now )?(?P<how>as|at|for|from|in|with) {_VALUE}"
        ),
        _works,
    ),
    (
        (
            rf"(?:i|{_HAVE}) (?:(?:just|recently|finally|now)\s+){{0,2}}(?:started(?: (?:a"
            r"|my) new job)?"
            r"|got a (?:new )?job|took a (?:new )?job)(?: as (?P<as>[a-z -]{3,40}?))? (?:at"
            rf"|with) {_NAME}"
        ),
        lambda m: ("Facts", _job(m), "employer"),
    ),
    (
        (
            rf"(?:i'?m|i am) {_ADVERB}(?P<v>an? {_ROLE}(?: (?:at|for|in"
            rf"|with) [^.,!?;:()\ufffc\n]{{2,60}}?)?){_END}"
        ),
        lambda m: ("Facts", f"Is {clean(m['v'])}", "job"),
    ),
    (rf"(?:i'?m|i am|we are|we're) {_ADVERB}(?P<v>{_STATE})\b", _state),
    (
        (
            rf"(?:i'?m|i am) {_ADVERB}(?P<v>(?:severely |mildly )?(?:allergic"
            rf"|intolerant) to [^.!?;:()\ufffc\n]{{2,60}}?){_END}"
        ),
        lambda m: ("Facts", f"Is {clean(m['v'])}", None),
    ),
    (
        (
            rf"(?:i|{_HAVE}) (?:have "
            r"|got )?(?P<v>(?:an? (?:[\w-]+ ){0,2}allergy to [^.!?;:()\ufffc\n]{2,50}?"
            r"|an? [\w-]+ allergy|asthma|diabetes|adhd|epilepsy|coeliac disease|celiac disease"
            r"|migraines"
            rf"|hay fever|tinnitus|dyslexia|arthritis)){_END}"
        ),
        lambda m: ("Facts", f"Has {clean(m['v'])}", None),
    ),
    (
        rf"(?:i|{_HAVE}) (?:was |been |just been |got )?diagnosed with {_VALUE}",
        _to("Facts", "Diagnosed with {}"),
    ),
    (
        (
            r"(?:my (?:full |first |last |real )?name is|my name's|call me|everyone calls me"
            r"|i go by)"
            rf" {_NAME}"
        ),
        lambda m: ("Facts", f"Name is {clean(m['n'])}", "name"),
    ),
    (
        (
            r"(?:(?:i'?m|i am) (?:now )?(?P<v>\d{2})(?: years old| now)?(?=[\s,]*(?:[.!;()]|$|,"
            r"|and\b|now\b))"
            r"|i (?:just |recently )?turned (?P<w>\d{2})\b)"
        ),
        lambda m: ("Facts", f"Is {m['v'] or m['w']} years old", "age"),
    ),
    (rf"my birthday(?: is|'s)(?: on)? {_VALUE}", _to("Facts", "Birthday is {}", "birthday")),
    (
        (
            rf"my (?:\w+ )?(?P<kin>{_KIN})(?:'s name)?(?: is|'s)(?: now)?(?: called"
            rf"| named)? {_NAME}"
            r"(?!\s+(?:is|was|at|in)\b)"
        ),
        _named,
    ),
    (rf"my (?:\w+ )?(?P<kin>{_KIN}) (?:is|was)? ?(?:called|named) {_NAME}", _named),
    (rf"{_NAME} is my (?:new )?(?P<kin>{_KIN})\b(?!')", _named),
    (
        (
            rf"(?:i|we|{_HAVE}) (?:now )?(?:have |got )?(?P<v>{_NUMBER} (?:(?:older|younger|little"
            r"|big|new"
            r"|adult|small|rescue|\w+-year-old) ){0,2}(?:(?P<what>(?:dogs?|cats?|horses?|rabbits?"
            r"|chickens|tortoises?))|sisters?|brothers?|siblings?|kids?|children|sons?|daughters?"
            rf"|grandchildren|cousins|nephews?|nieces?|twins)){_END}"
        ),
        _has,
    ),
    (
        (
            rf"i {_ADVERB}speak (?P<v>(?:(?:some|fluent|a little"
            rf"|native) )?{_TAUGHT}[^.!?;:()\ufffc\n]{{0,60}}?){_END}"
        ),
        _to("Facts", "Speaks {}"),
    ),
    (
        (
            rf"(?:i'?m|i am|{_HAVE} been|{_HAVE} (?:just )?started|i started) {_ADVERB}(?:learning"
            rf"|studying|taking) (?P<v>{_TAUGHT}\b[^.!?;:()\ufffc\n]{{0,50}}?){_END}"
        ),
        _to("Facts", "Is learning {}"),
    ),
    (
        rf"i {_ADVERB}drive (?P<v>an? [^.!?;:()\ufffc\n]{{2,50}}?){_END}",
        _to("Facts", "Drives {}", "car"),
    ),
    (
        (
            rf"i {_ADVERB}play (?P<v>(?:the )?(?:violin|viola|cello|piano|guitar|bass|drums|flute"
            r"|clarinet|saxophone|trumpet|organ|accordion|chess|go|tennis|football|soccer"
            r"|basketball|volleyball|badminton|hockey|rugby"
            rf"|golf)\b[^.!?;:()\ufffc\n]{{0,40}}?){_END}"
        ),
        _to("Facts", "Plays {}"),
    ),
    (
        (
            rf"i {_ADVERB}(?:run|cycle|swim|walk) (?P<v>(?:about |around )?\d+ ?(?:km|k|miles|mi"
            rf"|kilomet(?:er|re)s)\b[^.!?;:()\ufffc\n]{{0,30}}?){_END}"
        ),
        lambda m: ("Facts", third_person(clean(m[0])), "distance"),
    ),
    (
        (
            r"i (?:studied|did my (?:phd|master'?s|degree) in|have a (?:phd|degree"
            rf"|master'?s) in) {_VALUE}"
        ),
        _studied,
    ),
    (
        rf"i (?:really |strongly |generally |always |usually |much |definitely )?prefer {_VALUE}",
        _to("Preferences", "Prefers {}"),
    ),
    (
        rf"i (?:really |absolutely )?(?P<how>love|hate|dislike|can't stand|like|enjoy) {_VALUE}",
        _liked,
    ),
    (
        (
            r"i (?:don't|do not|never|can't|cannot|no longer) (?P<how>eat"
            r"|drink) (?P<v>[^.!?;:()\ufffc\n]{2,60}?)(?=\s+any ?more)?"
        )
        + _END,
        _eats,
    ),
    (rf"my favou?rite (?P<k>[a-z ]{{3,30}}?) is {_VALUE}", _favourite),
    (
        (
            r"(?:please )?(?P<v>(?:always|never) (?:use|write|answer|reply|give|show|include"
            r"|speak|call"
            rf"|address|put|start|end|suggest|recommend|format) [^.!?;()\ufffc\n]{{3,100}}?){_END}"
        ),
        _rule,
    ),
    (
        rf"my (?:\w+ )?goal (?:is|for [^.!?;:()\ufffc\n]{{2,30}}? is)(?: to)? {_VALUE}",
        _own_goal,
    ),
    (
        (
            rf"(?:i'?m|i am) {_ADVERB}(?P<v>(?:training for|saving (?:up )?for"
            rf"|preparing for) [^.!?;:()\ufffc\n]{{3,80}}?){_END}"
        ),
        _goal,
    ),
    (
        (
            r"i (?:really )?(?:want|plan|hope|intend|'m planning"
            r"|am planning) to (?P<v>(?:learn (?!how|about|more|what|why)"
            r"|become |pass |run (?:a|an|the|my) (?:[\w ]{0,30})?(?:marathon|10k|5k|ultra|race)"
            r"|lose \d+"
            r"|quit (?:smoking|drinking|my job)|move to (?-i:[A-Z])|retire|buy a (?:house|flat"
            r"|car)"
            rf"|save |read \w+ (?:books|novels))[^.!?;:()\ufffc\n]{{0,80}}?){_END}"
        ),
        _goal,
    ),
    (
        (
            rf"(?:we|i|{_HAVE}) (?:have |just |finally )?(?P<h>decided|agreed|settled) (?P<how>to"
            rf"|on|for|against) {_VALUE}"
        ),
        _decided,
    ),
    (
        (
            r"(?:my|our) (?P<k>(?:\w+ )?(?:project|company|startup|team|repo|repository|product"
            rf"|app)) is (?:called|named) {_VALUE}"
        ),
        lambda m: (
            "Projects",
            f"{_capital(m['k'])} is called {clean(m['v'])}",
            f"name of {m['k'].lower()}",
        ),
    ),
)

_GERMAN: tuple[tuple[str, Make], ...] = (
    (
        (
            r"ich (?:wohne|lebe) (?:jetzt |nun |inzwischen "
            r"|seit [^,.]{2,25}? )?in (?P<n>(?-i:[A-ZÄÖÜ][\wäöüß-]+(?: (?:am|an der|im|bei"
            r"|a\.) [A-ZÄÖÜ][\wäöüß-]+| [A-ZÄÖÜ][\wäöüß-]+)?))"
        ),
        lambda m: ("Facts", f"Wohnt in {clean(m['n'])}", "residence"),
    ),
    (
        r"ich bin (?:\w+ ){0,3}nach (?P<n>(?-i:[A-ZÄÖÜ][\wäöüß-]+)) (?:um)?gezogen",
        lambda m: ("Facts", f"Wohnt in {clean(m['n'])}", "residence"),
    ),
    (
        (
            r"ich arbeite (?:jetzt |seit [^,.]{2,25}? )?(?P<how>bei|als|für) (?:der |dem "
            r"|die )?(?P<v>[^.,!?;:()\ufffc\n]{2,60}?)(?=\s*(?:[.,!?;()]|$| und ich| aber))"
        ),
        lambda m: (
            "Facts",
            f"Arbeitet {m['how'].lower()} {clean(m['v'])}",
            "job" if m["how"].lower() == "als" else "employer",
        ),
    ),
    (
        (
            r"(?:ich hei(?:ß|ss)e"
            r"|mein name ist) (?P<n>(?-i:[A-ZÄÖÜ][\wäöüß-]+(?: [A-ZÄÖÜ][\wäöüß-]+){0,2}))"
        ),
        lambda m: ("Facts", f"Heißt {clean(m['n'])}", "name"),
    ),
    (
        (
            r"ich bin (?:jetzt |inzwischen )?(?P<v>vegetarier(?:in)?|vegetarisch|vegan(?:er"
            r"|erin)?|verheiratet|ledig|geschieden|linkshänder(?:in)?)\b"
        ),
        lambda m: (
            "Facts",
            f"Ist {clean(m['v'])}",
            "diet" if m["v"].lower().startswith("veg") else None,
        ),
    ),
    (
        r"ich bin (?:jetzt )?(?P<v>\d{2}) jahre alt",
        lambda m: ("Facts", f"Ist {m['v']} Jahre alt", "age"),
    ),
    (
        (
            r"ich bin (?P<v>allergisch (?:gegen|auf) [^.!?;:()\ufffc\n]{2,50}?)(?=\s*(?:[.,!?;()]"
            r"|$| und ich| aber))"
        ),
        lambda m: ("Facts", f"Ist {clean(m['v'])}", None),
    ),
    (
        (
            r"mein(?:e)? (?P<kin>partner(?:in)?|frau|mann|freund(?:in)?|schwester|bruder|mutter"
            r"|vater|sohn|tochter|chef(?:in)?|hund|katze|kater|ärztin|arzt|nachbar(?:in)?"
            r"|vermieter(?:in)?) (?:hei(?:ß|ss)t"
            r"|ist) (?P<n>(?-i:[A-ZÄÖÜ][\wäöüß-]+(?: [A-ZÄÖÜ][\wäöüß-]+)?))"
        ),
        lambda m: (
            "Relationships",
            f"{_capital(m['kin'])} heißt {clean(m['n'])}",
            f"relation:{m['kin'].lower()}",
        ),
    ),
    (
        (
            r"ich spreche (?P<v>(?:flie(?:ß|ss)end |etwas )?(?-i:[A-Z]\w*isch"
            r"|Deutsch)\b[^.!?;:()\ufffc\n]{0,40}?)(?=\s*(?:[.!?;()]|$))"
        ),
        lambda m: ("Facts", f"Spricht {clean(m['v'])}", None),
    ),
    (
        (
            r"ich esse (?P<v>keine?n? [^.!?;:()\ufffc\n]{2,30}?)(?: mehr)?(?=\s*(?:[.,!?;()]|$"
            r"| und ich| aber))"
        ),
        lambda m: ("Facts", f"Isst {clean(m['v'])}", None),
    ),
)

_J = r"[^、。，．！？\s「」はがをに\ufffc]"
_JAPANESE: tuple[tuple[str, Make], ...] = (
    (
        rf"(?:私は|僕は|今は|現在は?)?(?P<v>{_J}{{1,15}})(?:に|で)(?:住んで(?:い)?ます|暮らして(?:い)?ます|住んでいる)(?!か)",
        lambda m: ("Facts", f"{m['v']}に住んでいる", "residence"),
    ),
    (
        rf"(?:私は|僕は)?(?P<v>{_J}{{1,20}})で働いて(?:い)?(?:ます|る)(?!か)",
        lambda m: ("Facts", f"{m['v']}で働いている", "employer"),
    ),
    (
        rf"(?:私の名前は|名前は)(?P<v>{_J}{{1,15}}?)(?:です|といいます|と申します)(?!か)",
        lambda m: ("Facts", f"名前は{m['v']}", "name"),
    ),
    (
        rf"(?:私は|僕は)?(?P<v>{_J}{{1,12}})アレルギー(?:が|も)?(?:あります|です|がある)(?!か)",
        lambda m: ("Facts", f"{m['v']}アレルギーがある", None),
    ),
    (
        r"(?:私は|僕は)(?P<v>ベジタリアン|菜食主義(?:者)?|ヴィーガン|ビーガン)(?:です|だ)(?!か)",
        lambda m: ("Facts", m["v"], "diet"),
    ),
    (
        (
            r"(?:私の|うちの)?(?P<kin>妻|夫|姉|妹|兄|弟|母|父|息子|娘|上司|彼女|彼氏|犬"
            rf"|猫)(?:の名前)?は(?P<v>{_J}{{1,12}}?)(?:です|といいます)(?!か)"
        ),
        lambda m: ("Relationships", f"{m['kin']}は{m['v']}", f"relation:{m['kin']}"),
    ),
    (
        rf"(?:私は|僕は)(?P<v>{_J}{{1,15}})が好きです(?!か)",
        lambda m: ("Preferences", f"{m['v']}が好き", None),
    ),
)


_LEADS = re.compile(_LEAD, re.IGNORECASE)
_REMEMBER = re.compile(
    r"(?:\W*\b(?:please|also|and|so|ok|okay|hey|hi|can you|could you|will you|bitte)\b)*\W*"
    r"(?:(?:remember|note|keep in mind|bear in mind|don't forget|take note|make a note|memori[sz]e)"
    r"(?:\s+(?:for (?:later|the future|next time)|please))?\s*(?:that\b|[,:]+(?:\s*that\b)?)"
    r"|remember(?= (?:i|i'm|im|we|my|our)\b)"
    r"|(?:merk(?:e)? dir|notiere|behalte)(?: bitte)?\s*[,:]*\s*(?:dass\b)?)\s*",
    re.IGNORECASE,
)
_TO_KEEP = re.compile(r"\b(?:remember|memori[sz]e|make a note|merke?|notiere)\b", re.IGNORECASE)
_REMEMBER_JA = re.compile(
    r"(?P<v>[^。！？\n「」\ufffc]{2,100}?)(?:こと)?(?:を|と)?(?:、)?"
    r"(?:覚えて(?:おいて)?|記憶して(?:おいて)?)(?:ください|ね|くれ)?"
)


_TAIL = re.compile(
    r"(?: now| these days| nowadays| right now| btw|,? by the way|,? though| lol| too| as well)$"
)


def clean(value: str) -> str:
    """One line without what stands around it."""
    value = " ".join(value.split()).strip(" ,-–—*_~:;")
    value = _TAIL.sub("", value)
    return value.strip(" ,")[:LONGEST]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_INNER = {
    "my": "their",
    "mine": "theirs",
    "our": "their",
    "me": "them",
    "us": "them",
    "myself": "themselves",
    "i": "they",
    "we": "they",
    "i'm": "they're",
    "i've": "they've",
    "i'd": "they'd",
    "i'll": "they'll",
    "im": "they're",
    "we're": "they're",
    "we've": "they've",
}
_WORDS = re.compile(
    r"\b(?:i'm|i've|i'd|i'll|we're|we've|myself|mine|my|our|me|us|im|i|we)\b(?!')", re.IGNORECASE
)


def _inner(text: str) -> str:
    """The text as another person would say it of the writer."""
    return _WORDS.sub(lambda match: _INNER[match[0].lower()], text)


_SUBJECT = re.compile(
    (
        r"(?P<who>i'?m not|i am not|we'?re not|we are not|i'?m|i am|we're|we are|i'?ve|i have"
        r"|we've"
        r"|we have|i don'?t|i do not|we don'?t|we do not|i can'?t|i cannot|we can'?t"
        r"|we cannot|i was"
        r"|we were|i|we|my|our)\s+(?P<adverb>(?:(?:no longer|now|currently|usually|always"
        r"|never|only|also|still|just"
        r"|recently|mostly|often|actually|really)\s+){0,2})"
    ),
    re.IGNORECASE,
)
_GROUP = {
    "i'm not": "is not",
    "i am not": "is not",
    "i'm": "is",
    "i am": "is",
    "i've": "has",
    "i have": "has",
    "i don't": "doesn't",
    "i do not": "doesn't",
    "i can't": "can't",
    "i cannot": "can't",
    "i was": "was",
}
_PAST = word_set(
    "moved left quit started changed switched got renamed sold bought became began gave grew had"
    " broke lost met stopped turned went decided studied worked lived used made won took joined"
    " finished married retired adopted was were did could should must will can would may might"
    " cut read put let set"
)


def third_person(text: str) -> str:
    """A first-person clause as a bullet: ``I no longer work there`` → ``No longer works there``."""
    text = clean(text)
    found = _SUBJECT.match(text)
    if found is None:
        return _capital(_inner(text))
    who = re.sub(r"^we\b", "i", found["who"].lower())
    who = re.sub(r"^i(?:'re| are|m\b)", "i'm", re.sub(r"^i were", "i was", who))
    who = re.sub(r"^ive\b", "i've", re.sub(r"^i (do|ca)nt\b", r"i \1n't", who))
    adverb = found["adverb"] or ""
    rest = _inner(text[found.end() :])
    if who in ("my", "our"):
        return _capital(f"{adverb}{rest}")
    if who in _GROUP:
        return _capital(f"{_GROUP[who]} {adverb}{rest}")
    verb, space, after = rest.partition(" ")
    return _capital(f"{adverb}{_inflected(verb)}{space}{after}")


def _inflected(verb: str) -> str:
    """``live`` → ``lives``; a past form stays."""
    bare = verb.rstrip(",.!")
    if bare.lower() in ("have", "haven't", "havent"):
        return "has" if bare.lower() == "have" else "hasn't"
    if bare.lower() in _PAST or bare.endswith("ed") or not bare.isalpha():
        return verb
    if bare.endswith(("s", "x", "z", "ch", "sh", "o")):
        return bare + "es" + verb[len(bare) :]
    if bare.endswith("y") and bare[-2:-1] not in "aeiou":
        return bare[:-1] + "ies" + verb[len(bare) :]
    return bare + "s" + verb[len(bare) :]


def statements(text: str) -> list[Statement]:
    """What the writer of a message says of themselves, in its order, each once.

    Left out: quotations, code, questions, conditions, stories, and what is said of others.
    """
    text = text[:READ]
    found: dict[tuple[str, str], Statement] = {}
    for statement in (*_remembered(text), *_own(text)):
        known = found.values()
        if any(statement.quote in other.quote or statement.text == other.text for other in known):
            continue
        found[(statement.section, statement.text.casefold())] = statement
    return list(found.values())


def _own(text: str) -> Iterator[Statement]:
    at = 0
    for clause in clauses(text):
        lead = _LEADS.match(clause.rest)
        begin = lead.end() if lead else 0
        if clause.start + begin < at:
            continue  # inside what was found already
        made = stated(clause.rest, begin)
        if made is None:
            continue
        (section, said, slot), (start, end) = made
        quote = text[clause.start + start : clause.start + end].strip()
        at = clause.start + end
        yield Statement(section, said, quote, slot)


def stated(rest: str, at: int = 0) -> tuple[tuple[str, str, str | None], tuple[int, int]] | None:
    """What a clause states, as (section, text, slot), and from where to where."""
    for pattern, make in _table():
        found = pattern.match(rest, at)
        if found and (made := make(found)) and made[1]:
            return made, (found.start("said"), found.end("said"))
    return None


@functools.cache
def _table() -> list[tuple[re.Pattern[str], Make]]:
    """The patterns, compiled when they are first needed: not every start reads a message."""
    every = (*_ENGLISH, *_GERMAN, *_JAPANESE)
    return [(re.compile(f"(?P<said>{pattern})", re.IGNORECASE), make) for pattern, make in every]


def _sentence_starts(line: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer(r"[.!?]\s+(?=[A-Z])", line))]


def _remembered(text: str) -> Iterator[Statement]:
    """What the writer asks to have remembered."""
    shown = hide(text)
    at = 0
    for line in shown.split("\n"):
        start = at
        at += len(line) + 1
        asked = [found for n in _sentence_starts(line) if (found := _REMEMBER.match(line, n))]
        for found in asked:
            said = re.split(r"(?<!\bDr)[.!?](?=\s|$)", line[found.end() :], maxsplit=1)[0].rstrip()
            after = line[found.end() + len(said) :]
            quote = text[start + found.end() : start + found.end() + len(said)].strip()
            if not said or after.startswith("?") or "\ufffc" in said:
                continue
            if _TO_KEEP.search(found[0]) or stated(said):
                yield _to_remember(said, quote)
        if not asked and ("覚えて" in line or "記憶して" in line):
            for japanese in _REMEMBER_JA.finditer(line):
                said = japanese["v"].strip("、 ")
                begin = start + japanese.start("v")
                quote = text[begin : begin + len(japanese["v"])].strip("、 ")
                if said:
                    yield _to_remember(said, quote)


_GERMAN_VERBS = {
    "esse": "isst",
    "mag": "mag",
    "wohne": "wohnt",
    "lebe": "lebt",
    "arbeite": "arbeitet",
    "heiße": "heißt",
    "habe": "hat",
    "bin": "ist",
    "spreche": "spricht",
    "fahre": "fährt",
    "trinke": "trinkt",
    "lerne": "lernt",
    "spiele": "spielt",
}
_GERMAN_SAID = re.compile(r"ich (?P<v>.+) (?P<verb>\w+)", re.IGNORECASE)


def _as_bullet(said: str) -> str:
    german = _GERMAN_SAID.fullmatch(said)
    if german and german["verb"] in _GERMAN_VERBS:  # dass ich keine Nüsse esse
        return _capital(f"{_GERMAN_VERBS[german['verb']]} {german['v']}")
    return third_person(said)


def _to_remember(said: str, quote: str) -> Statement:
    made = stated(said)
    if made and made[1][0] == 0 and made[1][1] >= len(said) - 2:
        section, text, slot = made[0]
        return Statement(section, text, quote, slot)
    section = made[0][0] if made else "Facts"
    return Statement(section, _as_bullet(said)[:LONGEST], quote, made[0][2] if made else None)


def lead_of(rest: str) -> int:
    """How long the opening words of a clause are: ``well, actually, ``."""
    found = _LEADS.match(rest)
    return found.end() if found else 0

"""Do the user's own words carry a fact? Not: what they quote, ask, or say under an “if”."""

from __future__ import annotations

import re

from vault_sessions.rules.own_words import hide
from vault_sessions.rules.words import content_words, is_among, word_set

_HIDDEN = "\ufffc"
_HYPOTHETICAL = re.compile(
    r"(?i)(?:^|(?<=[\s(,;:.!?—–-]))(?:imagine|suppose|supposing|pretend|assume|assuming"
    r"|hypothetically|let'?s (?:say|pretend|imagine|assume)|let us (?:say|pretend)"
    r"|say (?:i|we|my)\b|for the sake of argument|role-?play|what if|in an alternate|angenommen"
    r"|nehmen wir an|stell dir vor|stellen sie sich vor|was wäre,? wenn|tu so,? als)\b"
    r"|仮に|想像して"
)
_HEDGED = re.compile(r"(?i)\b(?:i|we|ich)\s+(?:can(?:'t| not)?\s+)?$")
_WISHED = re.compile(
    r"(?i)\b(?:i wish|if only|as if|as though|had i|were i|should i|i dreamt|i dreamed"
    r"|in my (?:story|novel|dream|game)|my character|ich wünschte|als ob)\b[^.!?\n]*"
)
_IF = re.compile(
    r"(?i)\b(?:if|unless|in case|provided that|wenn|falls|sofern)\b|(?<![^\s、。])もし"
)
_LEAD = re.compile(r"(?i)\W*(?:(?:and|but|so|then|even|only|und|aber|auch)\W*)*")
_LONGEST_LEAD = 40
_CLAUSE_END = re.compile(r"[,;:.!?\n—–、。]")
_VISIBLE = re.compile(r"[^\n]")
_STOP = re.compile(r"[.!?\n]")
_SENTENCE = re.compile(
    r"[^.!?\n。！？]*(?:[.!?](?!\s|$)[^.!?\n。！？]*)*[.!?。！？]*\n?"  # no full stop inside 3.5
)
_ASKS = re.compile(
    r"(?i)\W*(?:(?:and|but|so|also|or) )?(?:do|does|did|am|is|are|was|were|can|could|should|would"
    r"|will|shall|have|has|had|may|might|what|where|who|whom|whose|how|why|when|which|isn't|aren't"
    r"|don't|doesn't|didn't|bin|bist|ist|sind|habe|hast|hat|kann|kannst|soll|sollte|wo|wer|wie"
    r"|warum|wann|welche[rs]?)\b"
)
_BECAUSE = re.compile(r"(?i)\b(?:since|because|as|given that|now that|considering|weil|da)\s+$")
_OWN_START = re.compile(r"(?i)(?:i|my|we|our|ich|mein\w*|wir)\b")
_NOT_OWN = "the user quotes it, or says it under an if"
_LEAST = 1 / 4
_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "\u00a0": " "})


def own_words(text: str) -> str:
    """What somebody says of themselves, as long as the text: what they quote, code, and what stands
    under an if or an imagine is hidden."""
    text = _without_hypotheses(hide(text))
    return _without_conditions(_WISHED.sub(lambda found: _hidden(found[0]), text))


def _hidden(text: str) -> str:
    return _VISIBLE.sub(_HIDDEN, text)


def _without_hypotheses(text: str) -> str:
    """From an “imagine” to the paragraph's end; from an “I imagine” to that of its sentence."""
    parts: list[str] = []
    at = 0
    while found := _HYPOTHETICAL.search(text, at):
        start, end = found.start(), text.find("\n\n", found.start())
        if _HEDGED.search(text, max(0, start - 20), start):
            stop = _STOP.search(text, found.end())
            end = stop.start() if stop else -1
        end = len(text) if end < 0 else end
        parts += [text[at:start], _hidden(text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def _without_conditions(text: str) -> str:
    """An if-clause; where it comes first, also what follows from it, but not behind a colon."""
    parts: list[str] = []
    for sentence in _SENTENCE.findall(text):
        at = 0
        while found := _IF.search(sentence, at):
            start = found.start()
            if start < _LONGEST_LEAD and _LEAD.fullmatch(sentence, 0, start):
                colon = sentence.find(":", found.end())
                end = colon if colon >= 0 else len(sentence)
            else:
                stop = _CLAUSE_END.search(sentence, found.end())
                end = stop.start() if stop else len(sentence)
            parts += [sentence[at:start], _hidden(sentence[start:end])]
            at = end
        parts.append(sentence[at:])
    return "".join(parts)


def _flat(text: str) -> str:
    """As quotes are compared: white space, case and kinds of quotation marks aside."""
    return " ".join(text.translate(_MARKS).casefold().split())


def _wanted(quote: str) -> str:
    return _flat(quote).strip(" .,;:!?…。")


def refused_quote(quote: str, text: str, fact: str) -> str | None:
    """Why words quoted from a message are nothing that its user says; None: they say so.

    Of the fact's content words one has to be in the quote, and a quarter in the message, where it
    is not hidden.
    """
    wanted = _wanted(quote)
    flat, shown = _flat_and_shown(text)
    places = [found.start() for found in re.finditer(re.escape(wanted), flat)] if wanted else []
    if not places:
        return "the words quoted for it are not in the message"
    parts = [shown[at : at + len(wanted)] for at in places]
    if not any(_shared(part, fact) for part in parts):
        is_hidden = all(_HIDDEN in part for part in parts)
        return _NOT_OWN if is_hidden else "the words quoted for it do not say that"
    if _shared(shown, fact) < _LEAST:
        return _NOT_OWN if _shared(flat, fact) >= _LEAST else "the message does not say that"
    return "the user asks it" if _is_asked(wanted, text) else None


def _flat_and_shown(text: str) -> tuple[str, str]:
    """The text as quotes are compared, and the same with what is hidden in it, place by place."""
    flat: list[str] = []
    shown: list[str] = []
    for char, own in zip(text.translate(_MARKS), own_words(text), strict=True):
        for plain in " " if char.isspace() else char.casefold():
            if plain != " " or (flat and flat[-1] != " "):
                flat.append(plain)
                shown.append(_HIDDEN if own == _HIDDEN and plain != " " else plain)
    return "".join(flat), "".join(shown)


def _shared(said: str, fact: str) -> float:
    """The part of the fact's content words that is said; 1 where it has none."""
    there = content_words(said.replace(_HIDDEN, " "))
    meant = [word for word in content_words(fact) if not word.isdigit()]
    return sum(is_among(word, there) for word in meant) / len(meant) if meant else 1


def _is_asked(wanted: str, text: str) -> bool:
    for sentence in _SENTENCE.findall(text):
        flat = _flat(sentence)
        at = flat.find(wanted)
        if at >= 0:
            is_question = flat.endswith(("?", "？")) and _ASKS.match(flat) is not None
            is_reason = _BECAUSE.search(flat, 0, at) or _OWN_START.match(wanted)
            return is_question and not is_reason
    return False


# --- about whom ----------------------------------------------------------------------------------

_FIRST = re.compile(
    r"(?i)\b(?:i|i'm|i've|i'd|i'll|im|me|my|mine|myself|we|we're|we've|our|ours|us|ich|mich|mir"
    r"|mein\w*|wir|uns|unser\w*)\b|私|僕|俺|自分|うち|わたし|ぼく"
)
_ENGLISH = re.compile(r"(?i)\b(?:the|is|are|was|has|she|he|they|it|lives|works|and|of|in)\b")
_STATES = (
    r"(?:is|was|are|has|had|lives?|works?|likes?|loves?|hates?|eats?|speaks?|drives?|studies|moved"
    r"|prefers?|wants?|owns?|plays?|teaches|got|ist|hat|wohnt|lebt|arbeitet|mag|isst)"
)
_OF_OTHERS = re.compile(
    rf"(?i)\b(?:my|our|mein\w*|unser\w*)\s+((?:\w+[ -]){{0,2}}?\w+)\s+(?:just |also )?{_STATES}\b"
)
_BARE = re.compile(rf"(?i)(?:{_STATES}|allergic|born|grew|vegetarian|vegan|married)\b")
_SELF = re.compile(r"(?i)\b(?:i|i'm|i've|i'll|i'd|im|we|we're|we've|ich|wir|me)\b")
_POSSESSIONS = word_set(
    """name age birthday address home house flat apartment job work employer company diet hometown
    goal plan preference favourite favorite email phone number nationality native language mother
    tongue timezone height weight car bike allergy wohnung beruf arbeit geburtstag ziel"""
)


def refused_owner(text: str, section: str, quote: str, message: str) -> str | None:
    """Whether a fact is about somebody else than the user, as far as words tell; None: it is not.

    What is said without a subject has to be about the user.
    """
    if not _BARE.match(text):
        return None
    sentence = _sentence_of(quote, message)
    if section == "Facts" and _ENGLISH.search(sentence) and not _FIRST.search(sentence):
        return "it is not about the user"
    return "it is about somebody else" if _is_of_another(text, quote, sentence) else None


def _is_of_another(text: str, quote: str, sentence: str) -> bool:
    """Is it said of “my sister”, whom the text does not name?"""
    other = _OF_OTHERS.search(quote) or _OF_OTHERS.search(sentence)
    if other is None or _SELF.search(quote):
        return False
    owner, named = other[1].casefold().split(), content_words(text)
    is_own = not _POSSESSIONS.isdisjoint(owner)
    return not is_own and not any(is_among(word, named) for word in owner)


def _sentence_of(quote: str, text: str) -> str:
    wanted = _wanted(quote)
    return next((s for s in _SENTENCE.findall(text) if wanted in _flat(s)), quote)

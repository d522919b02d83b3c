"""The topic of a session: when one is due, what a model's answer is worth, one without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vault_sessions.formats.transcript import exchanges as exchanges
from vault_sessions.model import Message, Meta
from vault_sessions.rules.prose import CJK, cut, plain, sentences
from vault_sessions.rules.secrets import secret_in

WORDS = 6
LONGEST = 60
_READ = 1_000  # characters of a message, as for a model
_LABEL = re.compile(
    r"(?i)^(?:the |a |suggested |session |chat |conversation )*(?:topic|title|subject|thema|titel"
    r"|betreff|sujet|titre|tema|título|件名|タイトル|トピック|主题|标题|주제|제목)\s*(?:is|ist)?\s*[:：]\s*"
)
_QUOTES = "\"'`“”„‚‘’«»‹›「」『』*_#~ \t"
_STOPS = ".。．!！,，;；:："
_NO_TOPIC = re.compile(
    r"(?i)^(?:i\b|i'|we\b|sorry\b|sure\b|here\b|as an\b|unfortunately\b|none$|null$|n/a$"
    r"|untitled\b|unknown\b|new (?:chat|conversation|session)$"
    r"|(?:the )?(?:conversation|chat|topic|session|title|user|assistant)(?:\b.{0,4})?$"
    r"|the (?:user|conversation|assistant)\b|this (?:conversation|chat)\b"
    r"|申し訳|すみません|抱歉|对不起)"
)
_TRAILING = re.compile(
    r"(?i)(?:of|in|on|at|to|for|from|with|by|and|or|the|a|an|my|our|your|about|und|oder|der|die|das"
    r"|mit|für|von|de|la|le|el|y|et|du|des|en)"
)
_OF_ONESELF = re.compile(r"I (?:live|work|am|have|own|play|study)\b")
_WANTED = re.compile(
    r"(?i)^(?:i|we|my)\b.*?,? (?:and|so|but) (?=(?:i|we) (?:need|want|have to|would like to)\b)"
)
_ERROR = re.compile(r"\b([A-Z]\w*(?:Error|Exception)\b(?:: [^\n]{3,80})?)")


def due(branch: Sequence[Message], meta: Meta) -> bool:
    """Two exchanges, and no topic but one that the rule without a model had made.

    One that was called ``fallback`` and isn't word for word what the rule gives is the owner's.
    """
    if exchanges(branch) < 2:
        return False
    if not meta.topic:
        return True
    return meta.topic_source == "fallback" and meta.topic == fallback_topic(branch)


def clean_topic(text: str) -> str | None:
    """A model's answer as a topic: one line, 60 characters and six words at most, no quotes, no
    final stop. None: it is no topic but a refusal, a sentence, or nothing."""
    lines = [
        line.strip() for line in plain(text).split("\n") if line.strip(_QUOTES + _STOPS + "-=<>")
    ]
    if not lines:
        return None
    line = lines[1] if lines[0].endswith((":", "：")) and len(lines) > 1 else lines[0]
    topic = _LABEL.sub("", line.strip(_QUOTES)).strip(_QUOTES + _STOPS)
    topic = " ".join(topic.replace("**", "").replace("`", "").split())
    if _NO_TOPIC.match(topic) or len(topic) > 4 * LONGEST:
        return None
    words = topic.split()
    if not CJK.search(topic) and len(words) > 2 * WORDS:
        return None
    return _short(words).strip(_QUOTES + _STOPS) or None


def _short(words: list[str]) -> str:
    """As many words as may stand, none at the end that another one must follow."""
    kept = words[:WORDS]
    while len(kept) > 1 and len(" ".join(kept)) > LONGEST:
        kept.pop()
    while len(kept) > 1 and len(kept) < len(words) and _TRAILING.fullmatch(kept[-1]):
        kept.pop()
    return cut(" ".join(kept), LONGEST)


def fallback_topic(messages: Sequence[Message]) -> str:
    """A phrase made from the owner's first request; empty where nothing was asked for yet.

    Made from the first of the owner's messages that a phrase can be made from, so that it stays
    the same while the conversation goes on.
    """
    for message in messages:
        if message.role == "user" and (topic := _topic_of(message.text)):
            return topic
    return ""


def _requests_in(sentence: str) -> list[str]:
    """The sentence, and what is wanted in it behind something about the user."""
    wanted = _WANTED.search(sentence)
    return [sentence, sentence[wanted.end() :]] if wanted else [sentence]


def _topic_of(text: str) -> str:
    from vault_sessions.rules.phrase import phrase  # here: its patterns take 20 ms to compile

    text = text[: 8 * _READ]
    best, worth = "", 0.0
    for index, sentence in enumerate(sentences(text)[:8]):
        found, value = max(map(phrase, _requests_in(sentence)), key=lambda made: made[1])
        value -= 0.3 + 0.3 * index if index else 0
        value -= 1.8 if _OF_ONESELF.match(found) else 0
        if found and value > worth and not secret_in(found):
            best, worth = found, value
    if worth < 1.5 and (error := _ERROR.search(text)):
        best = _short(error[1].split()).strip(_STOPS)
    return cut(best, LONGEST)

"""What the writer of a message says in their own name: no quotation, code, question, request,
story or "if".

A plain reading without grammar: where it is in doubt, a clause is left out.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

MOST_CLAUSES = 200
"""More clauses than these are no message that a person typed."""

_SENTENCE = 300
"""A longer sentence is read so far: nobody has typed the rest of it."""

_BREAKS = 24
_HIDDEN = "\ufffc"
_QUOTED = re.compile(
    r"`[^`\n]{0,500}`"
    r'|"[^"\n]{0,500}"'
    r"|“[^”\n]{0,500}”"
    r"|„[^“”\n]{0,500}[“”]"
    r"|«[^»\n]{0,500}»"
    r"|‹[^›\n]{0,500}›"
    r"|「[^」\n]{0,500}」|『[^』\n]{0,500}』"
    r"|(?<!\w)'[^'\n]{0,300}'(?!\w)"
)
_SENTENCE_END = re.compile(
    r"(?=[.!?…])(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bno)(?<!\bvs)(?<![A-Z])"
    r"[.!?…]+[\"')\]*_]*(?=\s|$)"
    r"|(?<=\b[A-Z])[!?.]+(?=\s*$)|[?!]+[\"')\]*_]*(?=\s|$)"
    r"|[\n;]|[。！？]"
)
_CLAUSE = re.compile(
    r",\s+|\s+[-–—]+\s+|\s*—\s*|:\s+|\s+\(|\s+:?[-/]?[()]\s+"
    r"|\s+(?:and|but|so|because|cause|since|as|that|is)\s+(?=(?:I|I'\w+|im|ive|we|my|our)\b)"
    r"|[、，]",
    re.IGNORECASE,
)
_ASKED_FOR = re.compile(
    r"(?:\W*\b(?:please|hey|hi|ok|also|so|and|now)\b)*\W*(?:can|could|would|will) you"
    r"(?: please| also| just)* (?:forget|update|remember|correct|change|fix|note|add)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"(?!what i mean)(?:and |so |but |or |ok |hey |hi )?"
    r"(?:what|when|where|who|whom|whose|which|why|how|is|are|was|were|do|does|did|can|could|should"
    r"|would|will|have|has|had|am|may|shall|isn't|aren't|don't you|doesn't|didn't|any idea|any tips"
    r"|was|wer|wo|wann|warum|wie|welche[rsnm]?|ist|sind|habe|hast|hat|kannst|könntest|soll|sollte)"
    r"(?:'s|'re|'d)?\b(?! not\b)",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"(?:right|correct|no|yes|ok|okay|true|oder|nicht|ne"
    r"|(?:is|are|do|does|did|have|has|was|were|can|will|am)(?:n't)?"
    r" (?:I|he|she|it|we|they|you|not))"
    r"\W*$",
    re.IGNORECASE,
)
_IF = re.compile(
    r"\b(?:if|unless|whether|in case|as though|wish|hypothetically|as soon as|until|whenever"
    r"|(?:once|before|as long as)(?= (?:i|we|i've|we've)\b)|wenn|falls|angenommen)\b"
    r"|もし|たら|(?:場合)",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\bif (?:that|it|you|this)\b.{0,40}$|\bwhether\b.{0,40}$", re.IGNORECASE)
_STORY = re.compile(
    r"(?:\W*\b(?:please|now|ok|okay|so|but|and|just|let's|let us|can you|could you)\b)*\W*"
    r"(?:imagine|suppose|supposing|pretend|assume|assuming|hypothetically|role-?play|act as"
    r"|let's say|say I|what if|in (?:this|the|a|my|our) (?:\w+ )?(?:scenario|story|novel|game|scene"
    r"|film|movie|play|poem|book|dream|example)|the (?:narrator|hero|heroine|protagonist|character)"
    r"|stell dir vor|angenommen|nehmen wir an)\b|(?:例えば|仮に)",
    re.IGNORECASE,
)
_WRITING = re.compile(
    r"(?:\W*\b(?:please|now|ok|okay|so|then|and|just|hey|hi|i'd like you to|i want you to"
    r"|(?:can|could|would|will) you(?: please| maybe)?|help me(?: to)?|let's|bitte)\b)*\W*"
    r"(?:write|draft|compose|translate|rewrite|rephrase|reword|paraphrase|proofread|correct"
    r"|conjugate|say|spell|explain|summari[sz]e|continue|complete|answer|reply|repeat|print|output"
    r"|generate|invent|pick a name|start with|begin with|analy[sz]e|parse|classify|review|edit"
    r"|polish|quote|type|echo|how (?:do|would|can|should) (?:you|i|we|one) (?:say|write|translate)"
    r"|what does|schreib|schreibe|übersetze?|formuliere?|korrigiere?)\b"
    r"(?!\W+(?:this |that |it )?in (?:your|my) (?:notes|memory|records))",
    re.IGNORECASE,
)
_ALL_WRITTEN = re.compile(
    r"[^\n]{0,200}:\s*(?:\n|\S)|[^\n]{0,200}\b(?:in which|where) ", re.IGNORECASE
)


class Clause(NamedTuple):
    """Words of the writer's own. ``rest``: from the clause to its sentence's end, apostrophes
    straight; ``start``: where that is in the message; ``lead``: the sentence before it."""

    rest: str
    start: int
    lead: str


def clauses(
    text: str, most: int = MOST_CLAUSES, only: re.Pattern[str] | None = None
) -> list[Clause]:
    """The clauses of a message in which its writer states something, in their order; ``most``: no
    more than these; ``only``: of the sentences that have this in them."""
    found: list[Clause] = []
    shown = hide(text)
    at = 0
    while at < len(shown) and len(found) < most:
        end = _SENTENCE_END.search(shown, at)
        stop = end.start() if end else len(shown)
        sentence = shown[at : min(stop, at + _SENTENCE)]
        if _STORY.match(sentence):
            break  # what follows belongs to the story
        written = _WRITING.match(sentence)
        if written and _ALL_WRITTEN.match(shown, at + written.end()):
            break  # what follows is the text to be worked on
        if not written and sentence.strip() and (only is None or only.search(sentence)):
            asked = end is not None and end[0][:1] in "?？"
            found += _stated(sentence, at, asked=asked)
        at = end.end() if end else len(shown)
    return found[:most]


def hide(text: str) -> str:
    """The text with quotations and code made unreadable, each character at its place."""
    text = text.replace("’", "'").replace("‘", "'")
    if "```" in text or "~~~" in text or ">" in text or "\t" in text or "    " in text:
        text = "\n".join(_hidden_lines(text.split("\n")))
    return _QUOTED.sub(_hide_quotation, text)


def _hidden_lines(lines: list[str]) -> list[str]:
    shown = []
    fenced = False
    for line in lines:
        bare = line.lstrip()
        mark = bare.startswith(("```", "~~~"))
        hidden = fenced or mark or bare.startswith(">") or line.startswith(("    ", "\t"))
        if mark:
            fenced = not fenced
        shown.append(_HIDDEN * len(line) if hidden else line)
    return shown


def _hide_quotation(match: re.Match[str]) -> str:
    quoted = match[0]
    inner = quoted[1:-1]
    is_word = inner[:1].isalpha() and " " not in inner and len(inner) < 30
    if quoted[0] != "`" and is_word and max(inner) < "\u2e80":
        return f" {inner} "  # a name or a word, no sentence
    return _HIDDEN * len(quoted)


def _stated(sentence: str, offset: int, *, asked: bool) -> list[Clause]:
    """The clauses of a sentence that state something."""
    if _ASKED_FOR.match(sentence):
        asked = False
    elif _QUESTION.match(sentence.lstrip()):
        return []
    found_breaks = itertools.islice(_CLAUSE.finditer(sentence), _BREAKS)
    breaks = [(0, 0), *(match.span() for match in found_breaks)]
    if asked:
        starts = [end for _, end in breaks]
        asking = next((at for at in starts if _QUESTION.match(sentence, at)), 0)
        if not asking or _TAG.match(sentence, starts[-1]):
            return []
        breaks = [span for span in breaks if span[1] < asking]
        sentence = sentence[:asking].rstrip(" ,-–—(")
    condition = _IF.search(sentence)
    first_if = condition.start() if condition else len(sentence)
    ends = [*(start for start, _ in breaks[1:]), len(sentence)]
    found = []
    for (_, at), end in zip(breaks, ends, strict=True):
        if at > first_if:
            break
        while at < len(sentence) and sentence[at].isspace():
            at += 1
        if at >= len(sentence):
            break
        if first_if < end and not _ASIDE.search(sentence[at:end]):
            continue
        found.append(Clause(sentence[at:].rstrip(), offset + at, sentence[:at]))
    return found

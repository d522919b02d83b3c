"""The assistant without a model: it looks up what the vault says and quotes it with its source.

It never pretends to understand. Given the passages that a full-text search found, it picks the
few sentences that have the most of the question's words in them, and says where each stands.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from vault_sessions.formats.fulltext import has_cjk, question_query
from vault_sessions.formats.times import parse_time
from vault_sessions.model import Hit

QUOTES = 3
LONGEST = 400
_SENTENCE = re.compile(r"(?<=[.!?])[\"')*_]*\s+|(?<=[。！？])|\n+")
_WORD = re.compile(r"\w+")
_WHEN = re.compile(
    r"(?i)\b(when|what (?:date|day|time|year|month)|wann)\b|いつ|\bhow long\b|\bseit wann\b"
)
_WHO = re.compile(r"(?i)\b(who|whose|whom|wer|wem|wen)\b|誰|だれ|\bname of\b")
_DECIDE = re.compile(r"(?i)\bdeci[ds]|\bagree|\bchose|\bchoose|\bsettle|entschied|決め")
_DECIDED = re.compile(
    r"(?i)\b(?:we|i|they|she|he)(?:'ve| have)? (?:\w+ )?(?:decided|agreed|chose|settled|picked)"
    r"|\bdecided (?:on|to|for|against)\b|^\W*(?:decision|decided)|entschieden|決めた|決めまし|決定"
)
_HIRAGANA = re.compile("[\u3041-\u309f]+")
_DATE = re.compile(
    r"(?i)\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez)[a-zä]*\.? \d"
    r"|\d{1,2}\.? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez)"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day|\b(?:19|20)\d\d\b|\d{1,2}:\d\d|\d月|\d日"
)
_REQUEST = re.compile(
    r"(?i)^(?:please|look up|tell me|show me|write|give me|can you|could you|would you|help me"
    r"|what|when|who|where|which|why|how|did|do|does|is|are)\b|\bplease\.?$"
)
_REMEMBER = re.compile(
    r"(?is)^\W*(?:(?:please|ok(?:ay)?|hey|and|also|bitte)[ ,]+"
    r"|(?:can|could|would|will) you (?:please )?)*"
    r"(?:remember|keep in mind|(?:make a )?note|don[’']?t forget|memori[sz]e|merke? dir"
    r"|denke? (?:bitte )?daran|vergiss (?:bitte )?nicht|notiere?)\b"
    r"(?: bitte| for (?:me|later)| down| this| dir)*"
    r"(?:\s*[:：]\s*|\s*,?\s*(?:that|dass)\s*[,:]?\s+"
    r"|\s*,?\s+(?=(?:my|i|i[’']m|we|our|mein|meine|ich)\b))"
    r"(?P<text>\S.*)$"
)
_REMEMBER_JA = re.compile(
    r"(?s)^(?P<text>.+?)(?:という?こと|こと|の)?(?:を|は|、|って|と)*"
    r"(?:覚えて|記憶して|メモして)(?:おいて)?(?:ください|下さい|くれ|ね|よ)*[。.!！]*$"
)
_DASS = re.compile(
    r"((?:[Ii]ch|[Ww]ir|(?:[Mm]eine?|[Uu]nsere?) \w+)) ((?!.*[,;:]).+) ([a-zäöü]\w+)"
)
_NO_FACT = re.compile(
    r"(?i)^(?:time|day|night|moment|when|we (?:talked|spoke|discussed|said))\b|[?？]\W*$"
)
_FORGET = re.compile(
    r"(?i)^\W*(?:please |can you |could you |bitte )*"
    r"(?:forget|delete|remove|erase|vergiss|lösche)\b"
    r"(?! (?:it|about it)\W*$)|(?:忘れて|消して)(?:おいて)?(?:ください|下さい)?[。.!！]*$"
)
_SECTIONS = {
    "Relationships": r"\b(?:my|our|meine?r?) (?:\w+ )?(?:wife|husband|partner|spouse|girlfriend|"
    r"boyfriend|fianc[ée]e?|sisters?|brothers?|mother|father|mum|mom|dad|parents|sons?|daughters?|"
    r"child|children|kids?|friends?|colleagues?|boss|manager|neighbou?rs?|aunt|uncle|cousins?|"
    r"frau|mann|schwester|bruder|mutter|vater|sohn|tochter|freund(?:in)?|chef(?:in)?)\b"
    r"|(?:妻|夫|母|父|姉|妹|兄|弟|息子|娘|友人|友達|上司)",
    "Goals": r"\b(?:i(?:[’']d| would) like to|i (?:want|plan|hope|aim|intend) to|my goals?|"
    r"ich (?:will|möchte)|mein ziel)\b|(?:したい|目標)",
    "Preferences": r"\b(?:i (?:\w+ )?(?:prefer|like|love|hate|dislike|enjoy|can[’']t stand)|"
    r"my favou?rite|ich (?:mag|liebe|hasse|bevorzuge))\b|\blieber\b|(?:好き|嫌い|苦手)",
    "Projects": r"\b(?:my|our|the|mein|unser) (?:\w+ )?(?:project|projekt|deadline|release)\b"
    r"|(?:プロジェクト)",
}
_GREETING = re.compile(
    r"(?i)(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|hallo|moin|servus"
    r"|guten (?:morgen|tag|abend)|thanks?(?: you)?(?: (?:so|very) much| a lot)?|danke(?: schön)?"
    r"|おはよう(?:ございます)?|こんにちは|こんばんは|ありがとう(?:ございます)?)(?: there)?\W*"
)
_THANKS = re.compile(r"(?i)thank|danke|ありがとう")
_BONUS = {"fact": 0.6, "snapshot": 0.4, "summary": 0.5, "message": 0.0}


class Quote(NamedTuple):
    """A sentence or two of the vault, where they stand, and how many of the question's words the
    passage has."""

    text: str
    hit: Hit
    score: float
    words: int


def answer(question: str, hits: Sequence[Hit], zone: tzinfo | None = None) -> str:
    """What the vault says about a question; dates in ``zone`` (None: the system's)."""
    if _GREETING.fullmatch(question.strip()):
        word = "You are welcome" if _THANKS.match(question.strip()) else "Hello"
        return f"{word}. No model is set up, so I can only look things up in your vault: ask me."
    quotes = best_quotes(question, hits)
    if not quotes:
        about = " ".join(dict.fromkeys(question_query(question).words)) or question.strip()
        return (
            f"I found nothing about “{about[:80]}” in this vault.\n\n"
            "I am the offline assistant: without a model I only look things up in your past "
            "conversations and memory. To talk to a model, start one on this machine and use "
            "`vault-sessions chat -p ollama`, or put a key in the environment and use "
            "`vault-sessions chat -p openai`."
        )
    lines = ["No model is set up, so I only looked it up. Your vault says:", ""]
    for quote in quotes:
        quoted = quote.text.replace("\n", "\n> ")
        lines += [f"> {quoted}", f"— {source(quote.hit, zone)}", ""]
    return "\n".join(lines).rstrip()


def told_to_remember(text: str) -> list[tuple[str, str]]:
    """``Remember that …``: each fact with the section of memory that it belongs to; none where
    nothing is to be remembered. A fact in other words than the patterns know stays as it is."""
    from vault_sessions.rules.statements import statements

    text = text.strip()
    found = _REMEMBER.match(text) or _REMEMBER_JA.match(text)
    if found is None:
        return []
    fact = " ".join(found["text"].split()).rstrip(".。!！ ")
    if re.search(r"(?i)\bdass\W*$", text[: found.start("text")]):
        fact = _main_clause(fact)
    if not fact or _NO_FACT.search(fact) or _NO_FACT.search(text):
        return []
    stated = statements(fact)
    if sum(len(one.quote) for one in stated) >= len(fact) * 0.6:
        return [(one.section, one.text) for one in stated]
    sections = (name for name, words in _SECTIONS.items() if re.search(words, fact, re.IGNORECASE))
    return [(next(sections, "Facts"), fact[0].upper() + fact[1:])]


def _main_clause(text: str) -> str:
    """``ich in Köln wohne`` (dass …) with its verb where a main clause has it."""
    found = _DASS.fullmatch(text)
    return f"{found[1]} {found[3]} {found[2]}" if found else text


def told_to_forget(text: str) -> bool:
    """Is something to be taken out of memory?"""
    return _FORGET.search(text.strip()) is not None


def how_to_forget(text: str, hits: Sequence[Hit], zone: tzinfo | None = None) -> str:
    """What memory says of it, and how to take it out."""
    kept = [hit for hit in hits if hit.kind in ("fact", "snapshot")]
    how = (
        "I take nothing out of memory by myself: edit the file, or take back what was learned with "
        "`vault-sessions memory log` and `vault-sessions memory undo`."
    )
    quotes = best_quotes(_FORGET.sub("", text.strip()), kept)
    if not quotes:
        return f"I found nothing of that in your long-term memory.\n\n{how}"
    lines = ["Your memory says:", ""]
    for quote in quotes:
        lines += [f"> {quote.text}", f"— {source(quote.hit, zone)}", ""]
    return "\n".join([*lines, how])


def source(hit: Hit, zone: tzinfo | None = None) -> str:
    """Where a passage stands: session and date, or file and section."""
    at = parse_time(hit.created_at)
    date = f", {at.astimezone(zone):%Y-%m-%d}" if at else ""
    if hit.kind == "fact" and hit.created_at:
        date = f", {hit.created_at[:10]}"  # a fact bears a day, not an instant
    if hit.kind == "message":
        who = "you" if hit.role == "user" else hit.role
        return f"{hit.name or hit.topic or hit.session_id}{date} ({who}, line {hit.line})"
    section = f" › {hit.section}" if hit.section else ""
    return f"{hit.path.rpartition('/')[2]}{section}{date}"


def best_quotes(question: str, hits: Sequence[Hit], count: int = QUOTES) -> list[Quote]:
    """The passages that have the most of the question's words, best first, each once.

    A passage with less than two fifths of them says nothing about the question.
    """
    words = stems(question)
    hits = [hit for hit in hits if hit.role != "tool"]
    if not words or not hits:
        return []
    least = len(words) * (0.15 if has_cjk(question) else 0.4)
    folded = [_fold(hit.text) for hit in hits]
    weights = {}
    for stem in words:
        among = sum(1 for text in folded if _has(text, stem))
        weights[stem] = math.log(1 + len(hits) / (1 + among)) if among else 0.0
    best = [
        quote
        for hit, text in zip(hits, folded, strict=True)
        if sum(_has(text, stem) for stem in words) >= least
        and (quote := _best_of(question, hit, weights))
    ]
    best.sort(key=lambda quote: (quote.score, quote.hit.created_at or ""), reverse=True)
    chosen: list[Quote] = []
    for quote in best:
        if quote.score < best[0].score * 0.6 or len(chosen) == count:
            break
        if quote.words < best[0].words * 0.7:
            continue
        if not any(_alike(quote.text, other.text) for other in chosen):
            chosen.append(quote)
    return chosen


def _best_of(question: str, hit: Hit, weights: dict[str, float]) -> Quote | None:
    """The sentence of a passage that answers best, with what stands around it."""
    sentences = [s.strip() for s in _SENTENCE.split(hit.text) if s and s.strip(" \n`~-*#|")]
    whole = _fold(hit.text)
    words = sum(_has(whole, stem) for stem in weights)
    around = sum(weight for stem, weight in weights.items() if _has(whole, stem))
    best_at, best_score = -1, 0.0
    for index, sentence in enumerate(sentences):
        folded = _fold(sentence)
        score = sum(weight for stem, weight in weights.items() if _has(folded, stem))
        if not score:
            continue
        # the rest of the passage tells what the sentence is about
        score += 0.35 * (around - score)
        if _WHEN.search(question) and _DATE.search(sentence):
            score *= 1.5
        if _DECIDE.search(question) and _DECIDED.search(sentence):
            score *= 1.8
        if sentence.endswith(("?", "？")) or _REQUEST.search(sentence):
            score *= 0.5
        # said in few words is more likely the answer than mentioned among many
        score *= 1.2 - min(len(sentence), LONGEST) / LONGEST * 0.4
        if score > best_score:
            best_at, best_score = index, score
    if best_at < 0:
        return None
    bonus = _BONUS[hit.kind]
    if _WHO.search(question) and hit.section == "Relationships":
        bonus += 0.4
    if _DECIDE.search(question) and hit.section == "Decisions":
        bonus += 0.5
    return Quote(_with_context(sentences, best_at), hit, best_score * (1 + bonus), words)


def _with_context(sentences: list[str], at: int) -> str:
    """The sentence, and the next one where there is room for it."""
    text = sentences[at]
    if len(text) > LONGEST:
        return text[: LONGEST - 1] + "…"
    if at + 1 < len(sentences) and len(text) + len(sentences[at + 1]) < LONGEST // 2:
        text += " " + sentences[at + 1]
    return text


def said_in(words: Sequence[str], text: str) -> set[str]:
    """Which of these stems (of ``stems``) a text has."""
    folded = _fold(text)
    return {stem for stem in words if _has(folded, stem)}


def stems(question: str) -> list[str]:
    """The beginnings of the question's content words, by which their forms are recognised."""
    found: dict[str, None] = {}
    for word in question_query(question).words:
        folded = _fold(word)
        if has_cjk(folded):
            pairs = [folded[i : i + 2] for i in range(max(1, len(folded) - 1))]
            told = [pair for pair in pairs if not _HIRAGANA.fullmatch(pair)]
            found.update(dict.fromkeys(told or pairs))
        else:
            found[_stem(folded)] = None
    return list(found)


def _stem(word: str) -> str:
    if len(word) > 7:
        return word[:-3]
    if len(word) > 5:
        return word[:-2]
    # three letters stand for a whole word and its plural only, so the e of live stays
    least = {"s": 4, "e": 5}.get(word[-1:], len(word) + 1)
    return word[:-1] if len(word) >= least else word


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(c for c in decomposed if not unicodedata.combining(c))
    return unicodedata.normalize("NFKC", kept) if not kept.isascii() else kept


def _has(folded: str, stem: str) -> bool:
    """Does a word of the text begin with the stem, or is it the stem, where that is short?"""
    at = folded.find(stem)
    if has_cjk(stem):
        return at >= 0
    while at >= 0:
        after = folded[at + len(stem) : at + len(stem) + 1]
        whole = len(stem) > 3 or not (after.isalnum() or (after and after in "'’")) or after == "s"
        if whole and (at == 0 or not folded[at - 1].isalnum()):
            return True
        at = folded.find(stem, at + 1)
    return False


def _alike(one: str, other: str) -> bool:
    """Do two quotes say nearly the same words?"""
    a, b = set(_WORD.findall(_fold(one))), set(_WORD.findall(_fold(other)))
    return len(a & b) > 0.7 * min(len(a), len(b))

"""A summary without a model: whole sentences of the conversation, chosen, never reworded.

So nothing in it can be untrue that was not untrue when it was said. What is kept: the request,
the advice, the outcome, decisions, names, numbers, open questions; what is not: greetings, thanks,
code, pasted logs, quotations. The user's sentences stand as they are; what was answered stands
behind an arrow, to the end of its paragraph, so that nobody's words are taken for another's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from vault_sessions.model import OFFLINE, Message
from vault_sessions.rules.cues import Cues, read
from vault_sessions.rules.prose import CJK, cut, plain
from vault_sessions.rules.prose import sentences as sentences
from vault_sessions.rules.secrets import secret_in

ARROW = "↳ "
"""Stands before what was answered."""
CONCAT = 200
"""So many characters of each message stand in a summary that only strings messages together."""

_LONGEST = 320
_READ = 6_000  # characters of a message; what is longer was pasted, not said
_MANY = 120  # messages whose sentences are looked at
_POINTS = re.compile(r"(?i)\b(?:it|this|them|das|es)\b")
_SNIPPET = re.compile(r"`[^`]*[;(][^`]{12,}`")
_QUOTATION = re.compile(r"[„“\"«]([^“”\"»]+)[“”\"»]")
_ASIDE = re.compile(
    r"(?i)\W*(?:if i (?:was|were|had|lived|could)\b|imagine\b|suppose\b|what if\b"
    r"|(?:a friend of mine|someone i know|somebody i know|ein freund von mir)\b"
    r"|stell dir vor\b|angenommen\b|wenn ich .*(?:wäre|hätte|könnte)\b)"
)  # what is not so, or not the user's
_ANSWERS = ("yes, ", "no, ", "yes: ", "no: ", "ja, ", "nein, ")
_CLUES = (
    "decid",
    "agreed",
    "settled",
    "remember",
    "always",
    "prefer",
    "deadline",
    "because",
    "todo",
    "fixed",
    "done",
    "works",
    "entschied",
    "beschlossen",
    "weil",
    "offen",
    "erledigt",
    "決",
    "覚え",
    "目標",
    "まだ",
    "解決",
)


class Minutes(NamedTuple):
    """What is kept of a conversation."""

    summary: str
    decisions: tuple[str, ...]
    open_items: tuple[str, ...]


class _Said(NamedTuple):
    """A sentence, where it was said and what speaks for it."""

    text: str
    turn: int  # the exchange, counted by user messages
    place: int  # the message
    at: int  # the sentence in the message
    is_user: bool
    cues: Cues
    score: float


# --- the summary ---------------------------------------------------------------------------------


def minutes(messages: Sequence[Message], most: int = 1200, before: str = "") -> Minutes:
    """Summary, decisions and open items at once: the conversation is read only once."""
    said = _all_said(messages)
    return Minutes(
        _summary(said, most, before), tuple(_decisions(said)), tuple(_open_items(said, messages))
    )


def summary(messages: Sequence[Message], most: int = 1200, before: str = "") -> str:
    """Whole sentences of a conversation in its order, at most ``most`` characters of them.

    A paragraph for each exchange that something is kept of. ``before``: the summary of what came
    earlier; its best paragraphs stand first, in at most half of the room. Empty: nothing was said.
    """
    return _summary(_all_said(messages), most, before)


def decisions(messages: Sequence[Message]) -> list[str]:
    """The sentences in which the user says what was decided; at most the eight newest."""
    return _decisions(_all_said(messages))


def open_items(messages: Sequence[Message]) -> list[str]:
    """What was said to be open or still to be done, and was not done or decided later.

    A question of the user's that stands last and was not answered is open too. At most six.
    """
    return _open_items(_all_said(messages), messages)


def concat(messages: Iterable[Message]) -> str:
    """The first 200 characters of each message with text, a line each, none of them cut in two."""
    starts = ((m.role, " ".join(plain(m.text[: CONCAT * 8]).split())) for m in messages)
    return "\n".join(f"{role}: {_start(text)}" for role, text in starts if text)


def _start(text: str) -> str:
    what = secret_in(text[: CONCAT * 2])
    return f"(left out: it looks like {what})" if what else cut(text, CONCAT)


def _summary(said: Sequence[_Said], most: int, before: str) -> str:
    earlier = _shortened(before, most // 2)
    chosen = _chosen(said, most - len(earlier))
    return "\n\n".join(part for part in (earlier, _rendered(chosen)) if part)


def _decisions(said: Iterable[_Said]) -> list[str]:
    return [s.text for s in _different([s for s in said if s.is_user and s.cues.decided], 8)]


def _open_items(said: Sequence[_Said], messages: Sequence[Message]) -> list[str]:
    late = min(len(messages) // 2, max(0, len(messages) - 6))
    later = min(len(messages) * 2 // 3, max(0, len(messages) - 6))
    found = [
        s
        for s in said
        if s.cues.is_open and not s.cues.decided and s.place >= (late if s.is_user else later)
    ]
    # what an answer lists as open stands for what an earlier one had listed
    newest = max((s.place for s in found if not s.is_user), default=-1)
    current = [s for s in found if s.is_user or s.place == newest]
    items = [s.text for s in _different(current, 12) if not _is_settled(s, said)]
    if messages and messages[-1].role == "user":
        asked = [s.text for s in said if s.place == len(messages) - 1 and s.cues.asks][-2:]
        items += [text for text in asked if not secret_in(text)]
    return list(dict.fromkeys(items))[-6:]


def _chosen(said: Sequence[_Said], room: int) -> list[_Said]:
    """Request, outcome and advice first, then the best of the rest, as far as there is room."""
    turns = len({s.turn for s in said})
    count = min(14, 5 + (turns + 1) // 2)
    taken: list[_Said] = []
    waiting = _by_worth(said)
    while waiting and len(taken) < count:
        sentence = waiting.pop(0)
        cost = len(sentence.text) + 5  # a stop, the arrow, an empty line
        if (
            cost > room
            or any(_is_same(sentence, other) for other in taken)
            or secret_in(sentence.text)
        ):
            continue
        taken.append(sentence)
        room -= cost
        if sentence.is_user:
            belonging = _replies(sentence, said) if sentence.cues.asks else []
        else:
            belonging = _questions(sentence, said, taken)
        waiting[:0] = belonging
        count += len(belonging)
    first = next((s for s in said if s.is_user and not secret_in(s.text)), None)
    if not taken and first is not None and room > 0:
        taken = [first._replace(text=cut(first.text, room - 1) + "…")]
    return sorted(taken, key=lambda s: (s.place, s.at))


def _by_worth(said: Sequence[_Said]) -> list[_Said]:
    users = [s for s in said if s.is_user]
    answers = [s for s in said if not s.is_user and s.score > 0]
    first: list[_Said] = []
    if users:
        opening = [s for s in users if s.turn == users[0].turn]
        request = max(opening, key=lambda s: (_request_worth(s), -s.at))
        context = [s for s in opening if s is not request and s.score >= 1]
        first += [request, *sorted(context, key=lambda s: -s.score)[:2]]
        turns = sorted({s.turn for s in users})[1:][-3:]
        closing = [s for s in users if s.turn in turns and not s.cues.requests and s.score > 0]
        if closing:
            first.append(
                max(closing, key=lambda s: s.score + 2 * s.cues.done + turns.index(s.turn))
            )
    if answers:
        first.append(max(answers, key=lambda s: s.score))
    rest = sorted((s for s in said if s.score >= 2), key=lambda s: (-s.score, s.place, s.at))
    return list(dict.fromkeys([*first, *rest])) or users[:1]


def _request_worth(sentence: _Said) -> float:
    cues = sentence.cues
    asked = 8.0 if cues.requests else 0.0
    vague = 2.0 if cues.dangling or _POINTS.search(sentence.text) else 0.0
    return sentence.score + asked + min(len(cues.content), 8) * 0.6 - vague


def _replies(question: _Said, said: Sequence[_Said]) -> list[_Said]:
    """The sentence that answers a question best: an early one of the answer."""
    answers = [s for s in said if s.turn == question.turn and not s.is_user and s.score > 0]
    return sorted(answers, key=lambda s: s.at * 0.5 - s.score)[:1]


def _questions(answer: _Said, said: Sequence[_Said], taken: Sequence[_Said]) -> list[_Said]:
    """What was asked, where nothing that the user said before the answer is kept."""
    if any(s.is_user and s.turn == answer.turn for s in taken):
        return []
    users = [s for s in said if s.turn == answer.turn and s.is_user and len(s.text) <= 160]
    users = [s for s in users if s.score > 0 or s.cues.requests]
    return sorted(users, key=lambda s: -s.cues.requests - s.score / 10)[:1]


def _rendered(chosen: Sequence[_Said]) -> str:
    """A paragraph for each exchange: what the user said, then what was answered."""
    turns: dict[int, list[_Said]] = {}
    for sentence in chosen:
        turns.setdefault(sentence.turn, []).append(sentence)
    paragraphs = []
    for spoken in turns.values():
        user = _joined(s for s in spoken if s.is_user)
        answer = _joined(s for s in spoken if not s.is_user)
        paragraphs.append(" ".join(p for p in (user, answer and ARROW + answer) if p))
    return "\n\n".join(paragraphs)


def _joined(said: Iterable[_Said]) -> str:
    text = ""
    for sentence in said:
        space = "" if not text or text[-1] in "。！？" else " "
        text += space + _ended(sentence)
    return text


def _ended(said: _Said) -> str:
    """With a stop, so that two sentences don't run into one."""
    text = said.text
    if not (text[-1].isalnum() or text[-1] in "`%°€") and not text.endswith("`)"):
        return text
    if CJK.search(text[-1]):
        return text + "。"
    return text + ("?" if said.cues.asks else ".")


def _shortened(before: str, most: int) -> str:
    """The best paragraphs of an earlier summary, in their order."""
    before = before.strip()
    if len(before) <= most:
        return before
    paragraphs = [p for p in re.split(r"\n\s*\n", before) if p.strip()]
    worth = {p: _weight(p, read(p), is_user=True) / (1 + len(p) / 200) for p in paragraphs}
    kept: set[str] = set()
    room = most
    for paragraph in sorted(paragraphs, key=lambda p: -worth[p]):
        if len(paragraph) + 2 <= room:
            kept.add(paragraph)
            room -= len(paragraph) + 2
    if not kept:
        return cut(before, max(1, most - 1)).rstrip() + "…"
    return "\n\n".join(p for p in paragraphs if p in kept)


# --- sentences and what they are worth -----------------------------------------------------------


def _all_said(messages: Sequence[Message]) -> list[_Said]:
    """The sentences that may be kept, of the messages most worth a look if there are many."""
    turn = 0
    spoken: list[tuple[int, int, Message]] = []
    for place, message in enumerate(messages):
        if message.role == "user":
            turn += 1
        if message.text and _is_spoken(message):
            spoken.append((turn, place, message))
    said: list[_Said] = []
    read_to, most = (_READ, 40) if len(spoken) <= _MANY else (_READ // 4, 10)
    for turn, place, message in _worth_a_look(spoken):
        is_user = message.role == "user"
        of_message: list[_Said] = []
        for at, text in enumerate(sentences(message.text[:read_to])[:most]):
            text = text.rstrip(",;、 ") if not is_user else text
            if not text or len(text) > _LONGEST:
                continue
            cues = read(text)
            if _is_whole(text, cues):
                score = _weight(text, cues, is_user) - (0 if is_user else min(at, 8) * 0.12)
                of_message.append(_Said(text, turn, place, at, is_user, cues, score))
        if is_user and any(s.cues.done for s in of_message):
            of_message = [s._replace(score=s.score + (not s.cues.asks)) for s in of_message]
        said += of_message
    return _with_subject(said)


def _with_subject(said: list[_Said]) -> list[_Said]:
    """What is about the subject of the conversation, the words of many messages, counts more."""
    places: dict[str, set[int]] = {}
    for sentence in said:
        for word in sentence.cues.content:
            places.setdefault(word, set()).add(sentence.place)
    subject = {word for word, where in places.items() if len(where) >= 3}
    return [
        s._replace(score=s.score + 0.3 * min(4, len(s.cues.content & subject))) if subject else s
        for s in said
    ]


def _is_spoken(message: Message) -> bool:
    """Something said in full; what the assistant without a model says only quotes memory."""
    if message.role == "user":
        return True
    fields = message.fields
    return (
        message.role == "assistant"
        and not fields.get("status")
        and fields.get("provider") != OFFLINE
        and fields.get("model") != OFFLINE
    )


def _worth_a_look(spoken: list[tuple[int, int, Message]]) -> list[tuple[int, int, Message]]:
    """The first and last few, and of the others those with the most clues; in their order."""
    if len(spoken) <= _MANY:
        return spoken
    edge = 8
    inner = range(edge, len(spoken) - edge)
    clues = {i: _clues(spoken[i][2]) for i in inner}
    best = sorted(inner, key=lambda i: -clues[i])[: _MANY - 2 * edge]
    kept = sorted({*range(edge), *best, *range(len(spoken) - edge, len(spoken))})
    return [spoken[i] for i in kept]


def _clues(message: Message) -> int:
    """How much in a message is worth a look, by a cheap guess."""
    text = message.text[:600].lower()
    return sum(clue in text for clue in _CLUES) + 3 * (message.role == "user")


def _is_whole(text: str, cues: Cues) -> bool:
    """Something said in full, that stands for itself: no greeting, no heading, no scrap of code."""
    if text[-1] in ":：" or ARROW[0] in text:
        return False
    if cues.is_cjk:
        return len(text) >= 6 and not (cues.polite and len(text) < 16)
    words = text.count(" ") + 1
    if words < (4 if text.lower().startswith(_ANSWERS) else 7) and cues.polite:
        return cues.decided
    if words < 3:
        return False
    return cues.letters >= 50


def _weight(text: str, cues: Cues, is_user: bool) -> float:
    """How much a sentence is worth keeping."""
    score = 1.0 if is_user else 0.0
    score += (5 if is_user else 3) * cues.decided
    score += (2 if is_user else 0.5) * cues.done
    score += 2 * cues.is_open
    score += (3 if is_user else 0.5) * cues.lasting
    score += cues.reason
    score += 1.5 * (cues.advice and not is_user)
    score += min(2, cues.numbers) * 0.8 + min(2, cues.names) * 0.6
    score -= (0.5 if is_user else 4) * cues.asks
    score -= 4 * cues.empty_talk + 1.5 * cues.dangling + 0.5 * cues.polite
    if (
        is_user
        and not cues.decided
        and not cues.numbers
        and text.count(" ") < 4
        and not cues.is_cjk
    ):
        score -= 2
    if not is_user and (_SNIPPET.search(text) or _is_quotation(text)):
        score -= 2
    if not is_user and text[-1].isalnum():
        score -= 1  # an item of a list, without a stop
    if is_user and _ASIDE.match(text):
        score -= 4
    if cues.numbers > 3 and not (cues.decided or cues.done) and cues.letters < 65:
        score -= 2  # a row of figures
    size = len(text) * (3 if cues.is_cjk else 1)
    return score - (size < 30 and not cues.numbers) - (size > 240)


def _is_quotation(text: str) -> bool:
    return sum(map(len, _QUOTATION.findall(text))) * 2 > len(text)


def _is_same(one: _Said, other: _Said) -> bool:
    """Do two sentences say much the same? An answer has the words of its question."""
    if one.is_user != other.is_user and (one.cues.asks or other.cues.asks):
        return False
    here, there = one.cues.content, other.cues.content
    fewer = min(len(here), len(there))
    both = here & there
    figures = any(word[0].isdigit() for word in here ^ there)
    return bool(fewer) and len(both) > (0.85 if figures else 0.65) * fewer


def _different(said: Sequence[_Said], most: int) -> list[_Said]:
    """The newest of them that don't say the same, in their order."""
    kept: list[_Said] = []
    for sentence in reversed(said):
        if len(kept) == most:
            break
        if not any(_is_same(sentence, s) for s in kept) and not secret_in(sentence.text):
            kept.append(sentence)
    return kept[::-1]


def _is_settled(item: _Said, said: Iterable[_Said]) -> bool:
    """Did the user later say that it is done or decided?"""
    return any(
        later.is_user
        and later.place > item.place
        and (later.cues.decided or later.cues.done)
        and not later.cues.content.isdisjoint(item.cues.content)
        for later in said
    )


# --- a snapshot of the user ----------------------------------------------------------------------

_VERB = re.compile(
    r"(?:Lives|Works|Has|Speaks|Drives|Runs|Grew|Moved|Studies|Studied|Teaches|Plays|Owns|Likes|Loves"
    r"|Prefers|Wants|Uses|Writes|Manages|Leads|Mentors|Was|Is|Eats|Drinks|Reads|Learns|Takes|Rides"
    r"|Collects|Owns|Keeps|Cooks|Bakes|Knows|Needs|Hates|Dislikes|Sings|Swims|Hikes|Volunteers"
    r"|Doesn't|Can't|Always|Never|Heißt|Wohnt|Arbeitet|Ist|Spricht|Isst)\b"
)
_STATE = re.compile(
    r"(?:Allergic|Vegetarian|Vegan|Born|Married|Divorced|Fluent|Retired|Interested|Left-handed"
    r"|Colou?r-?blind|Diabetic|Engaged|Employed|Lactose|Intolerant|Afraid|Based)\b"
)
_NEAR = re.compile(
    r"(?i)\b(?:lives?|works?|job|married|allergic|has|wohnt|arbeitet|partner|wife|husband|sons?|child"
    r"|daughters?|sister|brother|mother|father|manager|boss|frau|mann|sohn|tochter|chef(?:in)?)\b"
    r"|住|働|勤|アレルギー|妻|夫|息子|娘|上司"
)
_OVER = re.compile(r"(?i)\((?:done|reached|erledigt|abandoned)\b")
_EACH = {"Facts": 4, "Goals": 3, "Preferences": 3, "Relationships": 4, "Projects": 3}
_ROOM = 240  # characters of a section


def snapshot(facts: Mapping[str, Collection[str]], name: str | None = None) -> str:
    """Who the user is: a sentence or so for each section of facts that has any.

    What is nearest to a person first (home, work, health, family), then the newest. Nothing is
    reworded but the beginning of a fact that goes on from the name.
    """
    told: dict[str, list[str]] = {}
    for section, most in _EACH.items():
        known = [" ".join(f.split()).rstrip(".。") for f in facts.get(section, ()) if f.strip()]
        if near := _nearest([f for f in known if not _OVER.search(f)], most):
            told[section] = near
    parts = []
    for section, near in told.items():
        if section == "Facts":
            # where little else is known, each is a sentence: three at least make a picture
            apart = len(near) > 1 and len(told) < 3
            rest = [fact[:1].upper() + fact[1:] for fact in near[1:]]
            parts += [_who(name, near[:1]), *rest] if apart else [_who(name, near)]
        elif all(map(_VERB.match, near)):
            parts.append("; ".join([near[0], *map(_lowered, near[1:])]))
        else:
            parts.append(f"{section}: {'; '.join(near)}")
    return " ".join(map(_stopped, parts[:5]))


def _nearest(known: Sequence[str], most: int) -> list[str]:
    """Those worth telling, in their order."""
    near = [f for f in known if _NEAR.search(f)]
    kept: set[str] = set()
    room = _ROOM
    for fact in dict.fromkeys([*near, *reversed(known)]):
        if len(kept) < most and (len(fact) <= room or not kept):
            kept.add(fact)
            room -= len(fact)
    return [f for f in dict.fromkeys(known) if f in kept]


def _who(name: str | None, facts: Sequence[str]) -> str:
    told = [_lowered(f) for f in facts if _VERB.match(f)]
    told += ["is " + _lowered(f) for f in facts if _STATE.match(f)]
    others = [f for f in facts if not _VERB.match(f) and not _STATE.match(f)]
    if not name:
        rest = [_lowered(f) if _VERB.match(f) or _STATE.match(f) else f for f in facts[1:]]
        return "; ".join([facts[0], *rest])
    if not told:
        return f"{name}: {'; '.join(facts)}"
    return "; ".join([f"{name} {'; '.join(told)}", *others])


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _stopped(text: str) -> str:
    return text + ("。" if CJK.search(text[-1:]) else ".")

"""The answers of a model that was asked for JSON: read with patience, never mended, and cleaned.

What stands around the JSON is ignored; what was cut off, or is about something else, is no answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from vault_sessions.errors import BadAnswer
from vault_sessions.formats.fulltext import STOP_WORDS, has_cjk
from vault_sessions.rules.secrets import secret_in

_OBJECTS = 40
"""How many places of an answer are tried as the beginning of an object, at most."""
_THOUGHTS = re.compile(r"(?s)^\s*<think(?:ing)?>.*?</think(?:ing)?>")
_FENCED = re.compile(r"(?s)```[a-zA-Z]*[ \t]*\n(.*?)```")
_LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def object_in(text: str, key: str) -> dict[str, Any]:
    """The one object with that key in an answer, whatever stands around it. Raises BadAnswer.

    Nothing is mended but a comma too many: what was cut off is no answer.
    """
    text = _THOUGHTS.sub("", text).strip().lstrip("\ufeff")
    if not text:
        raise BadAnswer("The model's answer is empty.")
    whole = _parsed(text)
    found = [whole] if isinstance(whole, dict) else []
    if not found:
        found = [one for part in _FENCED.findall(text) if isinstance(one := _parsed(part), dict)]
    if not found:
        found = [one for part in _objects_in(text) if isinstance(one := _parsed(part), dict)]
    found = [one for one in found if key in one]
    if not found:
        raise BadAnswer("The model's answer is not the JSON that was asked for.")
    if any(one != found[0] for one in found):
        raise BadAnswer("The model gave several answers to one question.")
    return found[0]


def _parsed(text: str) -> Any:
    for attempt in (text, _LAST_COMMA.sub(lambda m: m[1] or "", text)):
        try:
            return orjson.loads(attempt)
        except ValueError:
            continue
    return None


def _objects_in(text: str) -> list[str]:
    """The outermost {…} of a text."""
    found = []
    start = text.find("{")
    for _ in range(_OBJECTS):
        if start < 0:
            break
        end = _end_of_object(text, start)
        if end:
            found.append(text[start:end])
        start = text.find("{", end or start + 1)
    return found


_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


def _end_of_object(text: str, start: int) -> int | None:
    depth = 0
    for mark in _MARKS.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return None


def list_in(text: str, key: str) -> list[Any]:
    """The list under a key; or a bare list, which can't mean anything else."""
    bare = _parsed(_THOUGHTS.sub("", text).strip())
    found = bare if isinstance(bare, list) else object_in(text, key)[key]
    if not isinstance(found, list):
        raise BadAnswer(f"The model's answer has no list of {key}.")
    return found


def text_of(found: Mapping[str, Any], key: str, longest: int) -> str:
    """The text under a key, as a clean line. Raises BadAnswer where there is none."""
    value = found[key]
    if not isinstance(value, str) or not (text := clean_line(value, longest)):
        raise BadAnswer(f"The model's answer has no text for {key}.")
    return text


def texts_of(found: Mapping[str, Any], key: str, most: int, longest: int) -> list[str]:
    """The texts under a key, as clean lines, the empty ones left out; a single text is a list of
    one. Raises BadAnswer for another thing, or more texts than so many."""
    value = found.get(key)
    value = [value] if isinstance(value, str) else value or []
    if not isinstance(value, list):
        raise BadAnswer(f"The model's answer has no list of {key}.")
    if len(value) > most:
        raise BadAnswer(f"The model's list of {key} is too long.")
    cleaned = [_whole(one, longest) for one in value if isinstance(one, str)]
    return [one for one in cleaned if any(character.isalnum() for character in one)]


def _whole(text: str, longest: int) -> str:
    """The text as a clean line; only its whole sentences where it goes on to the end of what the
    schema lets through, for there it was cut off. Empty where there is none."""
    line = clean_line(text, 4000)
    if len(text) < longest:
        return line
    ends = [found.end() for found in re.finditer(r"[.!?](?=\s)|[。！？]", line[:longest])]
    return line[: ends[-1]] if ends else ""


def number_of(value: Any) -> int:
    """A whole number, also one that was written as text; -1: it is none."""
    if isinstance(value, bool):
        return -1
    if isinstance(value, int):
        return value
    text = value.strip(" []#.") if isinstance(value, str) else ""
    return int(text) if text.isdecimal() and len(text) < 6 else -1


def clean_line(text: str, longest: int) -> str:
    """One line that can stand in a bullet or a paragraph of ours and be nothing but text."""
    text = unicodedata.normalize("NFC", without_controls(text))
    while True:
        shorter = re.sub(
            r"<!-+|-+!?>|\[/?(?:END )?SUMMARY[^\]]*\]|</?\w+-[0-9a-f]{8}x*>", " ", text
        )
        shorter = re.sub(
            r"^\s*(?:[-*+•·>#|=`~]+\s+|#+|```\w*|---+|<{4,}|>{4,}|={4,})\s*", "", shorter
        )
        shorter = " ".join(shorter.split())
        if shorter == text:
            break
        text = shorter
    if len(text) <= longest:
        return text
    cut = text[: longest - 1]
    return (cut.rpartition(" ")[0] or cut).rstrip(" ,;:") + "…"


def without_controls(text: str) -> str:
    """Without lone surrogates, and without characters that are not seen but change what is."""
    return "".join(map(_seen, text.encode("utf-8", "replace").decode()))


def _seen(character: str) -> str:
    """The character; a space for a control character, nothing for an invisible one."""
    if character.isprintable() or character in "\n\t\u200c\u200d":
        return character
    kind = unicodedata.category(character)
    return " " if kind == "Cc" else "" if kind in ("Cf", "Co") else character


def as_sentence(text: str) -> str:
    """With a full stop, so that sentences can stand behind each other."""
    if text[-1:] in ".!?…。！？":
        return text
    return text + ("。" if has_cjk(text[-3:]) else ".")


# --- does an answer speak of what was quoted? ----------------------------------------------------

_FILLERS = frozenset(
    """
    answer answers ask asked asks assistant document help idea lack message messages noun part
    paragraph phrase question questions request sentence summary text time title topic user users
    want wanted wants work anfrage antwort assistent assistentin frage nutzer thema titel
    zusammenfassung
    """.split()  # noqa: SIM905  # as the index's stop words
)
"""Words that an answer about anything may have; with them, the index's stop words."""
_I = re.compile(r"\b(?:I(?![/.-])|[Ii]ch|[Jj]e)\b")


def share(text: str, source: str) -> float:
    """How much of what a text says, by the words that tell something, the source says too: 0–1."""
    said = telling_words(text)
    return len(said & telling_words(source)) / len(said) if said else 0.0


def backed(texts: Iterable[str], source: str, least: int) -> list[str]:
    """Those, each once, that have so many words or more, and no longer number that the source does
    not have: what a model makes up is most often a year, a price or an address."""
    known = _digits(source)
    return [
        text
        for text in dict.fromkeys(texts)
        if (len(text.split()) >= least or has_cjk(text))
        and all(number in known for number in re.findall(r"\d{3,}", _digits(text)))
    ]


def without_secrets(texts: Iterable[str]) -> list[str]:
    """Those that hold nothing that nobody should find: a model repeats what it read."""
    return [text for text in texts if secret_in(text) is None]


def _digits(text: str) -> str:
    """With numbers in one piece: 2,450 and 2.450 and 2 450 are 2450."""
    narrow = unicodedata.normalize("NFKC", text)
    return re.sub(r"(?<=\d)[,. '’](?=\d{3}(?!\d))", "", narrow)


def telling_words(text: str) -> set[str]:
    """Beginnings of the telling words, numbers, and pairs of characters in scripts without gaps."""
    told: set[str] = set()
    for word in re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()):
        if has_cjk(word):
            told.update(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif (
            len(word) > 2 and word not in STOP_WORDS and word not in _FILLERS
        ) or word.isdecimal():
            told.add(word[:5])
    return told


def must_be_of(text: str, source: str, least: float) -> None:
    """Raises BadAnswer for what is about something else, repeats itself, or tells of an "I"."""
    _must_be_in_language(text, source)
    words = text.casefold().split()
    runs = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    is_loop = len(runs) > 20 and len(set(runs)) < 0.6 * len(runs)
    if is_loop or len(_I.findall(text)) > 2 or share(text, source) < least:
        raise BadAnswer("The model's answer does not speak of what it was asked about.")


def _must_be_in_language(text: str, source: str) -> None:
    """A Japanese conversation is not summed up without a Japanese word, nor the other way round."""
    part = _cjk_part(source)
    if (part > 0.5 and not has_cjk(text)) or (part == 0 and has_cjk(text)):
        raise BadAnswer("The model's answer is not in the language of the conversation.")


def _cjk_part(text: str) -> float:
    letters = [character for character in text[:20000] if character.isalpha()]
    return sum(map(has_cjk, letters)) / len(letters) if letters else 0.0


def one_line(text: str) -> str:
    """The text with a space for each run of white space."""
    return " ".join(text.split())

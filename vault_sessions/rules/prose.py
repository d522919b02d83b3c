"""The sentences of a Markdown text: what a person said, without code, tables, quotations and marks.

Texts of chats are written in a hurry: sentences that begin in lower case, lines instead of full
stops, a log pasted between two words. So a boundary that is missed does less harm than a sentence
that is cut in two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
"""A letter of a language whose words aren't parted by spaces (or seldom are)."""

_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_FENCE = re.compile(r"[ \t]*(?:[-*+] |\d+[.)] )?[ \t]*(`{3,}|~{3,})")
_LIST_MARK = re.compile(
    r"\s*(?:[-*+•–·▪◦]|\d{1,3}[.)]|\([a-z0-9]\)|[a-z]\)|[①-⑳])[ \t]+(?:\[[ xX]\][ \t]+)?"
)
_IMAGE = re.compile(r"!\[[^\]\n]*\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]+)\]\([^)\n]*\)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_MARKS = re.compile(r"\*\*|__|~~|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])|<br ?/?>|<!--|-->")
_PASTED = re.compile(
    r"""\s*(?:
      Traceback\ | File\ "[^"]+",\ line | at\ [\w.$<>]+\( | \$\ \S | >>>\ | E\ {2,}\S
    | [\[{(<}\])][^\w]*$ | [{<][/\w"!?]
    | (?:import|from|def|class|const|let|var|function|public|private|static|return|package|using
        |\#include|SELECT|INSERT|UPDATE|ALTER|CREATE|FROM|WHERE|export|if|for|while)\b
      .*(?:[;{:]|\)|=>)\s*$
    | \d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*\s | \[?(?:ERROR|WARN(?:ING)?|INFO|DEBUG|FATAL|TRACE)\b
    | [\w.\-]+@[\w.\-]+:\S*[$\#]\ | (?:[+-]{3}|@@)\ | diff\ --git | npm\ ERR!
    | .*[;{]\s*$ | \S{1,60}\s?[:+*/|&-]?=\s*\S.*[)\]\d'"]$
    )""",
    re.VERBOSE,
)
_END = re.compile(
    r"[.!?…]+(?:[ \u00a0\u202f]»)?[\"'”’»)\]*_]*(?=\s|$)"
    r"|[。！？｡]+[」』”）)]*"
    r"|[!?]+[」』”）)]*(?=[^\x00-\xff])|(?<=[\u3040-\u9fff])[!?]+"
)
_ABBREVIATION = re.compile(
    r"""(?:^|[\s("„“'])(?:
      (?i:dr|mr|mrs|ms|prof|st|mt|no|nr|vs|etc|approx|ca|fig|vol|inc|ltd|jr|sr|dept|est|bzw|usw|evtl
        |ggf|inkl|exkl|zzgl|str|tel|hr|fr|abs|art|bspw|sog|vgl|min|max|incl|resp|mme|mlle|av
        |sra|sres|sig|dra|aprox|pág|p|pp|cf|al|e\.g|i\.e|z\.\ ?b|d\.\ ?h|u\.\ ?a|o\.\ ?ä|a\.m|p\.m)
    | [A-HJ-Za-zÄÖÜ] | (?:[A-Za-zäöü]\.)+[A-Za-zäöü]
    )\.$""",
    re.VERBOSE,
)
_ORDINAL = re.compile(r"(?<![\d.,])(?:[12]?\d|3[01])\.$")
_AFTER_ORDINAL = re.compile(
    r"\s+(?:[a-zäöüß]|\d|Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez|Jh|Woche|Stock|Klasse)"
)
_QUOTED_ON = re.compile(r"[\s]*[とってのをはがに、,]")
_SPACE = re.compile(r"\s+")
_WIDE = re.compile(r"[ \t]{40,}")

_JOINING = "\u200c\u200d\u0e33\u0eb3"  # no marks by their category, but never alone

LONGEST = 20_000
"""A text is read this far at most, and as far back from its end."""


def plain(text: str) -> str:
    """The text without comments and what controls a terminal or reorders text."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _COMMENT.sub(" ", text).replace("-->", "") if "--" in text else text


def sentences(text: str) -> list[str]:
    """The sentences of a text, each on one line; list items and lines count as sentences."""
    return [sentence for block in blocks(text) for sentence in _split(block)]


def blocks(text: str) -> list[str]:
    """The paragraphs and list items of a text, each on one line, without what is no prose."""
    if len(text) > 2 * LONGEST:
        text = text[:LONGEST] + "\n\n" + text[-LONGEST:]
    text = _WIDE.sub(" " * 40, plain(text))
    found: list[str] = []
    current = ""
    for line in _prose_lines(text):
        stripped = line.strip()
        mark = _LIST_MARK.match(line) if stripped else None
        if mark and line[mark.end() :].strip():
            found.append(current)
            current = line[mark.end() :].strip()
        elif stripped and current and _goes_on(current, stripped):
            current += " " + stripped
        else:
            found.append(current)
            current = stripped
    found.append(current)
    return [own for block in found if (own := _unmarked(block))]


def _prose_lines(text: str) -> Iterator[str]:
    """The lines that are somebody's own words; an empty one where something was left out."""
    fence = ""
    before_is_empty = True
    for line in text.split("\n"):
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if (opened := _FENCE.match(line)) and "`" not in line[opened.end() :]:
            fence = opened[1]
            yield ""
            continue
        is_indented = before_is_empty and line.startswith(("    ", "\t"))
        start = line.lstrip()[:1]
        before_is_empty = not start
        if start and (
            (start in ">|#" and not _is_talk(line.lstrip()))
            or (len(line) < 500 and _PASTED.match(line))
            or (is_indented and not _LIST_MARK.match(line))
        ):
            yield ""
        else:
            yield line


def _is_talk(line: str) -> bool:
    """A line that begins with #1 or #topic is no heading."""
    return line.startswith("#") and not re.match(r"#{1,6}(?:\s|$)", line)


def _goes_on(current: str, line: str) -> bool:
    """Is the new line the rest of a sentence that was wrapped?"""
    if current[-1] in ".!?。！？:：…":
        return False
    return len(current) >= 60 or line[0].islower()


def _unmarked(block: str) -> str:
    """The text without Markdown's marks; inline code keeps its ticks."""
    if not block:
        return ""
    if "](" in block:
        block = _LINK.sub(r"\1", _IMAGE.sub("", block))
    if "*" in block or "_" in block or "~" in block or "<" in block or "-->" in block:
        block = _MARKS.sub("", block)
    block = _SPACE.sub(" ", block).strip()
    return block if any(map(str.isalnum, block)) else ""


def _split(block: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(block):
        if end.end() < len(block) and not _is_end(block, start, end):
            continue
        if sentence := block[start : end.end()].strip():
            yield sentence
        start = end.end()
    if rest := block[start:].strip():
        yield rest


def _is_end(block: str, start: int, end: re.Match[str]) -> bool:
    said = block[start : end.end()]
    after = block[end.end() : end.end() + 12]
    if said.count("(") > said.count(")") or said.count("（") > said.count("）"):
        return len(said) > 400
    if _is_quoting(said, block) and len(said) < 400:
        return False
    if said.count("「") > said.count("」") or (said[-1] in "」』”" and _QUOTED_ON.match(after)):
        return False
    if end[0] == ".":
        if _ORDINAL.search(said) and _AFTER_ORDINAL.match(after):
            return False
        return not _ABBREVIATION.search(said)
    return not ("…" in end[0] or ".." in end[0]) or not after.lstrip()[:1].islower()


def _is_quoting(said: str, block: str) -> bool:
    """Is a quotation open at the end, that is closed later in the block?"""
    if said.count('"') % 2:
        return block.count('"') % 2 == 0
    if "„" in said:
        return said.count("„") > said.count("“") and block.count("„") == block.count("“")
    return said.count("“") > said.count("”") and block.count("“") == block.count("”")


# --- characters ----------------------------------------------------------------------------------


def cut(text: str, most: int) -> str:
    """The first ``most`` code points at most, never half of what a reader takes for a character.

    What goes together: a letter and its accents, a flag, an emoji with its skin or its family, a
    syllable of Hangul in letters, consonants joined by a virama.
    """
    if len(text) <= most:
        return text
    at = most
    while at > 0 and _are_one(text, at):
        at -= 1
    return text[: at or most]


def _are_one(text: str, at: int) -> bool:
    """Do the characters on both sides of a place make one?"""
    before, after = text[at - 1], text[at]
    if after < "\u0300":
        return before == "\r" and after == "\n"
    if unicodedata.category(after) in ("Mn", "Me", "Mc") or after in _JOINING:
        return True
    if before == "\u200d" or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if "\U000e0020" <= after <= "\U000e007f":  # the letters of a flag of a region
        return True
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        flags = 0
        while flags < at and "\U0001f1e6" <= text[at - 1 - flags] <= "\U0001f1ff":
            flags += 1
        return flags % 2 == 1
    if "\u1160" <= after <= "\u11ff":
        return "\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3"
    return unicodedata.combining(before) == 9 and after.isalpha()

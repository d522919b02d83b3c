"""Long-term memory in Markdown, for reading: sections, bullets and paragraphs with their lines."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Literal, NamedTuple

from vault_sessions.formats import plain_yaml
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.model import Passage, Problem, problem

HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")
BULLET = re.compile(r"\s{0,3}(?:[-*+]|\d{1,3}[.)])\s+")
FENCE = re.compile(r"\s*(?:```[^`]*|````+[^`]*|~~~.*)")
SOURCE = re.compile(r"<!-- ([0-9]{4}-[0-9]{2}-[0-9]{2}) ([A-Za-z0-9_-]+)#(\S+) -->")
_FRONT_MATTER = 64 * 1024


class Document(NamedTuple):
    """A Markdown file: front matter, the body behind it, and the body's first line (from 1)."""

    front: dict[str, Any]
    body: str
    body_line: int
    problems: tuple[Problem, ...]


class Block(NamedTuple):
    """A bullet or a paragraph: its heading, its first line, its text without the bullet."""

    section: str | None
    line: int
    text: str


def read_document(data: bytes) -> Document:
    """Front matter and body; a front matter that can't be read is part of the body."""
    problems: list[Problem] = []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.append(problem("memory-unreadable", "not UTF-8 text", line, 1))
        text = data.decode("utf-8-sig", "replace")
    text = text.replace("\r\n", "\n")
    if not text.lstrip().startswith("---"):
        return Document({}, text, 1, tuple(problems))
    import yaml
    from frontmatter.default_handlers import YAMLHandler

    handler = YAMLHandler()
    try:
        front_text, body = handler.split(text.strip())
    except ValueError:  # no second line of dashes
        return Document({}, text, 1, tuple(problems))
    first = text[: text.index("---")].count("\n") + 1
    try:
        if len(front_text) > _FRONT_MATTER:
            raise plain_yaml.NotPlain(f"more than {_FRONT_MATTER:,} characters", 1)
        loader = plain_yaml.check(front_text)
        front = yaml.load(front_text, Loader=loader)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML lets the last four through, for !!int "", !!bool x, !!timestamp x
        why = " ".join(str(error).split())[:200]
        at = first + error.line - 1 if isinstance(error, plain_yaml.NotPlain) else first
        message = f"the front matter can't be read: {why}"
        problems.append(problem("memory-unreadable", message, at, 1))
        return Document({}, text, 1, tuple(problems))
    if front is None:
        front = {}
    if not isinstance(front, dict):  # text between two horizontal rules
        return Document({}, text, 1, tuple(problems))
    body = body.strip()
    at = text.rfind(body) if body else len(text)
    return Document(front, body, text[:at].count("\n") + 1, tuple(problems))


def blocks(text: str, first_line: int = 1) -> list[Block]:
    """The bullets and paragraphs of a Markdown text, each with the heading above it."""
    found: list[Block] = []
    section: str | None = None
    lines: list[str] = []
    start = 0

    def close() -> None:
        joined = "\n".join(lines).strip()
        if joined:
            found.append(Block(section, start, joined))
        lines.clear()

    fenced = False
    for number, line in enumerate(text.split("\n"), first_line):
        if FENCE.fullmatch(line):
            fenced = not fenced
        elif not fenced:
            heading = HEADING.match(line)
            bullet = BULLET.match(line)
            if heading or bullet or not line.strip():
                close()
            if heading:
                section = heading_title(heading[2]) or None
                continue
            if bullet:
                line = line[bullet.end() :]
            if not line.strip():
                continue
        if not lines:
            start = number
        lines.append(line)
    close()
    return found


def heading_title(text: str) -> str:
    """A heading's text without the #s that may close it (a space stands before those)."""
    title = text.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def section_text(text: str, heading: str) -> str:
    """The body of the section with this heading (level 2); empty where there is none."""
    inside = False
    lines = []
    for line in text.split("\n"):
        found = HEADING.match(line)
        if found and len(found[1]) <= 2:
            inside = heading_title(found[2]).casefold() == heading.casefold()
        elif inside:
            lines.append(line)
    return "\n".join(lines).strip()


def read_passages(name: str, data: bytes) -> tuple[list[Passage], list[Problem]]:
    """The passages of a memory file by its name: facts.md, user.md, or else a summary."""
    document = read_document(data)
    kind: Literal["fact", "summary", "snapshot"] = "summary"
    if name == "facts.md":
        kind = "fact"
    elif name == "user.md":
        kind = "snapshot"
    session_id = document.front.get("session_id")
    ended = document.front.get("ended_at") or document.front.get("started_at")
    created_at = _time_text(ended)
    passages = []
    for block in blocks(document.body, document.body_line):
        source = SOURCE.search(block.text)
        text = without_comments(block.text).strip()
        if not text:
            continue
        passages.append(
            Passage(
                kind,
                block.line,
                block.section,
                text,
                source[2] if source else _text(session_id),
                _time_text(f"{source[1]}T00:00:00Z") if source else created_at,
            )
        )
    return passages, list(document.problems)


def without_comments(text: str) -> str:
    """The text less ``<!-- … -->``; one that is not closed stays."""
    kept = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join(kept) + text[at:]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time_text(value: object) -> str | None:
    """A front matter's time (YAML reads an unquoted one as a datetime) in our form."""
    if isinstance(value, date):
        value = value.isoformat()
    at = parse_time(value)
    return format_time(at) if at else None


class Skill(NamedTuple):
    """A skill file: what it is called, what it is for, and the instructions."""

    name: str
    description: str
    instructions: str


def read_skill(stem: str, data: bytes) -> Skill:
    """A skill; name and description fall back to the file's stem and nothing."""
    document = read_document(data)
    name = _text(document.front.get("name")) or stem
    return Skill(name, _text(document.front.get("description")) or "", document.body.strip())

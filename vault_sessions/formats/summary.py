"""A session's summary in long-term memory: values ⇄ ``session-<date>-<slug>.md``."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from datetime import date, datetime, tzinfo
from typing import NamedTuple

from vault_sessions.formats.memory import BULLET, SOURCE, read_document, section_text
from vault_sessions.formats.times import format_time
from vault_sessions.model import Proposal

SLUG_LENGTH = 50
LEARNED, TO_CONFIRM = "Learned", "To confirm"

_PLAIN = re.compile(r"[^\W\d_](?:[\w .,()/&+–—-]*[\w.)])?")
_OUR_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-z]{6}")
_WORDS_OF_YAML = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_OFFER = re.compile(
    r"(?P<file>facts\.md|user\.md) › (?:(?P<section>[^:\n]{1,80}): )?"
    r"(?:new (?:fact|text) “(?P<added>.*)”"
    r"|“(?P<removed>.*)” → \(taken out\)"
    r"|“(?P<old>.*?)” → “(?P<new>.*)”)"
)


class Summary(NamedTuple):
    """What a summary file says. ``model``: who wrote it; ``method``: ai or extractive."""

    session_id: str
    topic: str
    started_at: datetime | None
    ended_at: datetime
    message_count: int
    model: str | None
    method: str
    text: str
    decisions: tuple[str, ...] = ()
    open_items: tuple[str, ...] = ()


class ReadSummary(NamedTuple):
    """A summary file as it is: of which session and how many messages, and whether it is still
    ours (nobody edited the body since)."""

    session_id: str | None
    message_count: int | None
    is_ours: bool


def render(summary: Summary) -> bytes:
    """The whole file, without anything learned yet."""
    parts = [f"# {_line(summary.topic)}", "## Summary", _paragraphs(summary.text)]
    for heading, items in (("Decisions", summary.decisions), ("Open items", summary.open_items)):
        if listed := [f"- {_line(item)}" for item in items if _line(item)]:
            parts += [f"## {heading}", "\n".join(listed)]
    body = "\n\n".join(part for part in parts if part)
    fields = {
        "session_id": _scalar(summary.session_id),
        "topic": _scalar(_line(summary.topic)),
        "started_at": format_time(summary.started_at) if summary.started_at else None,
        "ended_at": format_time(summary.ended_at),
        "message_count": str(summary.message_count),
        "model": _scalar(summary.model) if summary.model else None,
        "method": summary.method,
        "generated_hash": f'"{generated_hash(body)}"',
    }
    front = "\n".join(f"{key}: {value}" for key, value in fields.items() if value is not None)
    return f"---\n{front}\n---\n\n{body}\n".encode("utf-8", "replace")


def _line(text: str) -> str:
    """One line that is neither a heading nor a comment."""
    return " ".join(text.split()).replace("<!--", "‹!--").replace("-->", "--›")


def _paragraphs(text: str) -> str:
    """Prose: its lines can't pass for headings, bullets or the ends of a front matter."""
    lines = []
    for line in text.strip().split("\n"):
        line = _line(line)
        if line.startswith(("#", "---", "```", "~~~")):
            line = f"\\{line}"
        lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _scalar(text: str) -> str:
    """A value of the front matter: plain where that can be nothing but this text."""
    plain = _OUR_ID.fullmatch(text) or (
        _PLAIN.fullmatch(text) and text.casefold() not in _WORDS_OF_YAML
    )
    if plain and "  " not in text:
        return text
    if text.isprintable() and not re.search("[\ud800-\udfff\ufeff]", text):
        return json.dumps(text, ensure_ascii=False)
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def generated_hash(body: str) -> str:
    """The SHA-256 (hex) of a body with LF, outer white space stripped."""
    text = body.replace("\r\n", "\n").strip()
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def read(data: bytes) -> ReadSummary:
    """What is to be known of a file before it is touched; nothing where it is no summary."""
    document = read_document(data)
    front = document.front
    name, count = front.get("session_id"), front.get("message_count")
    return ReadSummary(
        None if name is None else str(name),
        count if isinstance(count, int) else None,
        isinstance(front.get("generated_hash"), str)
        and front["generated_hash"] == generated_hash(document.body),
    )


# --- what is added to it later -------------------------------------------------------------------


def with_section(data: bytes, heading: str, lines: tuple[str, ...]) -> bytes:
    """The file with these bullets as the body of a section: replaced, added at its end, or (none)
    taken away. The hash is made anew; the rest of the body and all else in the front matter stays.

    Only for a summary that is ours.
    """
    text = data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n")
    head, separator, body = text.partition("\n---\n")
    if not separator:
        return data
    body = _without_section(body, heading).rstrip()
    if lines:
        later = _from_heading(body, TO_CONFIRM) if heading == LEARNED else len(body)
        section = f"## {heading}\n\n" + "\n".join(f"- {_line_kept(line)}" for line in lines)
        tail = body[later:].strip()
        body = body[:later].rstrip() + f"\n\n{section}" + (f"\n\n{tail}" if tail else "")
    head = re.sub(
        r"(?m)^generated_hash:.*$", f'generated_hash: "{generated_hash(body)}"', head, count=1
    )
    return f"{head}\n---\n\n{body.strip()}\n".encode("utf-8", "surrogateescape")


def _line_kept(line: str) -> str:
    return " ".join(line.split())


def _from_heading(body: str, heading: str) -> int:
    found = re.search(rf"(?m)^## {re.escape(heading)}[ \t]*$", body)
    return found.start() if found else len(body)


def _without_section(body: str, heading: str) -> str:
    start = _from_heading(body, heading)
    following = re.compile(r"(?m)^#{1,2} ").search(body, start + 3)
    end = following.start() if following else len(body)
    return body[:start] + body[end:]


def section_bullets(data: bytes, heading: str) -> list[str]:
    """The bullets of a section, each a line without its mark."""
    lines = section_text(read_document(data).body, heading).split("\n")
    return [line[found.end() :].strip() for line in lines if (found := BULLET.match(line))]


# --- the name of the file ------------------------------------------------------------------------


def file_name(started: datetime, topic: str, session_id: str, zone: tzinfo | None = None) -> str:
    """``session-2026-11-21-q2-planning-discussion.md``, by the local date of the start."""
    day = started.astimezone(zone).date()
    return f"session-{day.isoformat()}-{slug(topic) or session_id[-6:].strip('-_')}.md"


def slug(topic: str) -> str:
    """Lower case, letters and digits of any script, the rest ``-``, 50 characters at most."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", topic).lower())
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" else "-" for c in text)
    words = re.sub("-+", "-", kept).strip("-")
    if len(words) <= SLUG_LENGTH:
        return words
    cut = words[:SLUG_LENGTH]
    while unicodedata.category(words[len(cut)])[0] == "M" and cut:  # not between letter and accent
        cut = cut[:-1]
    return cut.rstrip("-")


# --- what the owner is asked about ---------------------------------------------------------------


def offer_line(proposal: Proposal, day: date, session_id: str | None = None) -> str:
    """``facts.md › Facts: “old” → “new” <!-- 2026-11-21 session#message -->``, without a bullet.

    ``session_id``: of the session where the proposal names none.
    """
    old, new = (None if text is None else _quoted(text) for text in (proposal.old, proposal.new))
    if old is None:
        what = f"new {'fact' if proposal.file == 'facts.md' else 'text'} {new or '“”'}"
    else:
        what = f"{old} → {new or '(taken out)'}"
    where = f"{proposal.file} › {proposal.section}: " if proposal.section else f"{proposal.file} › "
    source = f"{proposal.session_id or session_id}#{proposal.message_id or '-'}"
    return f"{where}{what} <!-- {day.isoformat()} {source} -->"


def _quoted(text: str) -> str:
    return f"“{_line(text)}”"


def read_offer(text: str) -> Proposal | None:
    """The proposal that a bullet says, with or without the comment behind it; None: none."""
    source = SOURCE.search(text)
    bare = text[: source.start()] if source else text
    mark = BULLET.match(bare)
    found = _OFFER.fullmatch(bare[mark.end() if mark else 0 :].strip())
    if found is None:
        return None
    session_id, message_id = (source[2], source[3]) if source else (None, None)
    old = found["removed"] if found["old"] is None else found["old"]
    new = found["added"] if found["new"] is None else found["new"]
    message_id = None if message_id == "-" else message_id
    return Proposal(found["file"], found["section"], old, new, session_id, message_id)


def offer_key(offer: Proposal) -> tuple[str | None, ...]:
    """What makes two offers the same: where, and from what to what."""
    old, new = (None if text is None else _line(text) for text in (offer.old, offer.new))
    return offer.file, offer.section, old, new

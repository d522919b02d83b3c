"""The values that travel between the floors: frozen, without behaviour that does I/O.

They are NamedTuples, not dataclasses: a dozen frozen dataclasses cost every start of the
program 6 ms, NamedTuples a third of that.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

ROLES = ("system", "user", "assistant", "tool")

Severity = Literal["error", "warning", "note"]

SEVERITIES: dict[str, Severity] = {
    "torn-tail": "error",
    "bad-line": "error",
    "glued": "error",
    "pretty-printed": "error",
    "conflict-marker": "error",
    "not-utf8": "error",
    "too-long": "error",
    "duplicate-id": "warning",
    "unknown-parent": "warning",
    "bad-time": "note",
    "tool-pair": "warning",
    "bom": "note",
    "crlf": "note",
    "meta-unreadable": "error",
    "meta-mismatch": "warning",
    "meta-orphan": "note",
    "future-version": "warning",
    "name-twice": "warning",
    "conflict-copy": "error",
    "not-downloaded": "note",
    "unknown-file": "warning",
    "missing-messages": "error",
    "memory-unreadable": "error",
    "readable-by-others": "note",
    "mirror-differs": "error",
    "driver-missing": "warning",
    "stale-lease": "note",
}
"""Every problem code of the format and how much it weighs. The codes are stable."""


class Problem(NamedTuple):
    """Something wrong in a file: ``line`` and ``column`` count from 1; 0 is the whole file.

    ``column`` counts bytes from the start of the line, as the parser does.
    """

    line: int
    column: int
    code: str
    message: str
    severity: Severity


def problem(
    code: str, message: str, line: int = 0, column: int = 0, severity: Severity | None = None
) -> Problem:
    """A Problem with its code's usual severity."""
    return Problem(line, column, code, message, severity or SEVERITIES[code])


class Message(NamedTuple):
    """One readable line of a transcript.

    ``id`` is the line's own, or derived (``h-…``), or disambiguated (``…~2``); unique in the file.
    ``text`` is the content as plain text (the text parts joined, for a list of parts).
    ``created_at`` is aware and in UTC; None: unknown. ``parent`` is the index of the message
    before it in the conversation, -1 at a start. ``line`` counts from 1. ``fields`` is the whole
    JSON object as written, unknown fields included; never change it.
    """

    id: str
    role: str
    text: str
    created_at: datetime | None
    parent: int
    line: int
    fields: dict[str, Any]


class Transcript(NamedTuple):
    """What a transcript's bytes say: messages in the file's order, and what could not be read.

    ``size`` is the number of bytes read, ``known_end`` the offset behind the last line that ended
    with a newline, ``lines`` the number of lines before it.
    """

    messages: tuple[Message, ...]
    problems: tuple[Problem, ...]
    size: int
    known_end: int
    lines: int


class Stamp(NamedTuple):
    """Has the file changed? ``mtime_ns`` and ``ctime_ns`` in nanoseconds since the epoch."""

    dev: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Compaction(NamedTuple):
    """A record of the meta: the summary that stands for the messages through one of them."""

    id: str
    through_message_id: str
    message_count: int
    message_range: str
    covered_hash: str
    summary: str
    token_count: int | None
    method: str
    provider: str | None
    model: str | None
    compacted_at: str | None


class ContextItem(NamedTuple):
    """Something attached to a session: one value for a type and key."""

    type: str
    key: str
    value: str


class Ending(NamedTuple):
    """The first mark of an ending; such a session is resumed by name only."""

    reason: str
    at: str


class Candidate(NamedTuple):
    """Something that a message of the user says, not yet in memory.

    ``quote`` stands in that message; ``replaces`` is the entry of memory that it puts another
    value to, word for word, where that is known.
    """

    section: str
    text: str
    message_id: str
    quote: str
    replaces: str | None = None


class Change(NamedTuple):
    """A line of ``changes.jsonl``: an edit that we made to memory. ``at`` is RFC 3339 text.

    ``old`` None: something new; ``new`` None: something taken out; ``by``: model, user or doctor;
    ``undoes``: the id of the change that it takes back; ``message_hash``: what the message said
    then, as the first 16 hex digits of its text's SHA-256.
    """

    id: str
    at: str
    file: str
    section: str | None
    old: str | None
    new: str | None
    session_id: str | None = None
    message_id: str | None = None
    by: str = "model"
    undoes: str | None = None
    message_hash: str | None = None


class Proposal(NamedTuple):
    """A change of memory that the owner is asked about: ``old`` None adds, ``new`` None takes out.

    ``file``: ``facts.md`` or ``user.md``; ``section``: the heading it stands or goes under.
    """

    file: str
    section: str | None
    old: str | None
    new: str | None
    session_id: str | None = None
    message_id: str | None = None


class Meta(NamedTuple):
    """What ``<id>.meta.json`` says; every field that is absent or unusable is None or empty.

    Times are RFC 3339 text as written; ``fields`` is the whole object as read.
    """

    version: int = 1
    id: str | None = None
    name: str | None = None
    topic: str | None = None
    topic_source: str | None = None
    created_at: datetime | None = None
    ending: Ending | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    duration_seconds: float | None = None
    learned_through: str | None = None
    pending_facts: tuple[Candidate, ...] = ()
    provider: str | None = None
    model: str | None = None
    skill: str | None = None
    directory: str | None = None
    git_root: str | None = None
    summary_file: str | None = None
    source: dict[str, Any] | None = None
    compactions: tuple[Compaction, ...] = ()
    context: tuple[ContextItem, ...] = ()
    fields: dict[str, Any] = {}


class Session(NamedTuple):
    """A session as the mirror knows it: one row of ``list``. Times are RFC 3339 UTC text.

    ``updated_at`` is the last activity (policies: the newest time of a user or assistant message,
    else the start); ``message_count`` counts the active branch, ``user_messages`` the whole file.
    """

    id: str
    name: str | None
    topic: str | None
    topic_source: str | None
    created_at: str | None
    updated_at: str | None
    ended_at: str | None
    ending: str | None
    message_count: int
    user_messages: int
    model: str | None
    provider: str | None
    skill: str | None
    directory: str | None
    git_root: str | None
    summary_file: str | None
    source_kind: str | None
    source_id: str | None
    problems: int
    path: str

    @property
    def status(self) -> Literal["open", "ended", "ending"]:
        """Ended, marked as ending, or open."""
        return "ended" if self.ended_at else "ending" if self.ending else "open"

    @property
    def label(self) -> str:
        """What a person calls it: the name, else the topic, else the id."""
        return self.name or self.topic or self.id


class FileState(NamedTuple):
    """What the mirror knows of a file: its stamp, and how far it was read.

    ``hash`` is the SHA-256 (hex) of the first ``hash_end`` bytes; ``known_end`` and ``lines`` as in
    Transcript. ``unsure``: it was changed so shortly before it was read that the same stamp may
    hide another change, so it is looked at again.
    """

    path: str
    stamp: Stamp
    unsure: bool
    hash: str
    hash_end: int
    known_end: int
    lines: int


class Found(NamedTuple):
    """A session as its files are now: what ``scan`` sees and ``sync`` mirrors.

    ``problems`` has the path (from the vault's root) of each. ``copy_of``: it is no session but a
    conflict copy of that one. ``data``: the transcript's bytes; None: there is none to be read.
    """

    session: Session
    transcript: Transcript
    meta: Meta
    files: tuple[FileState, ...]
    problems: tuple[tuple[str, Problem], ...]
    copy_of: str | None = None
    data: bytes | None = None


class Passage(NamedTuple):
    """A bullet or paragraph of long-term memory. ``created_at``: RFC 3339 text, where known."""

    kind: Literal["fact", "summary", "snapshot"]
    line: int
    section: str | None
    text: str
    session_id: str | None
    created_at: str | None


class Hit(NamedTuple):
    """One result of a search. ``path`` from the vault's root; a higher ``score`` comes first.

    ``text`` is the whole passage; ``snippet`` the part of it around the words found.
    """

    kind: Literal["message", "fact", "summary", "snapshot"]
    session_id: str | None
    name: str | None
    topic: str | None
    message_id: str | None
    role: str | None
    created_at: str | None
    path: str
    line: int
    snippet: str
    score: float
    text: str
    section: str | None


class Provider(NamedTuple):
    """How to reach a model. ``api_key_env`` names a variable; the key itself is never stored."""

    name: str
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_command: str | None = None
    model: str | None = None
    timeout_seconds: float = 60.0
    context_tokens: int | None = None
    extra_headers: tuple[tuple[str, str], ...] = ()


OFFLINE = "offline"
"""The provider without a model: it looks things up in the vault."""

LOCAL = ("ollama", "lmstudio", "llamacpp")
"""Providers that are a server on this machine: no key, and the model is the server's first."""


class Loss(NamedTuple):
    """Messages that vanished from the end of a transcript; kept in the state folder for 30 days.

    ``lines``: each one's id and its line without the newline, in order; ``after``: the ids that
    stood before them (100 at most, the nearest last). ``status``: ``open`` is a problem,
    ``waiting`` is decided when git is done or the conflict copy that has them is gone, ``settled``
    is only kept. ``head``: where git stood when they were last seen. ``places``: all ids from the
    first missing one on, in the order in which they would stand had nothing been put back at the
    end; empty: those of ``lines``.
    """

    session_id: str
    at: str
    lines: tuple[tuple[str, bytes], ...]
    after: tuple[str, ...]
    status: Literal["open", "waiting", "settled"]
    head: str | None = None
    places: tuple[str, ...] = ()

"""What a conversation is, and what it works with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.atomic import Appended
from vault_sessions.config import Settings
from vault_sessions.errors import VaultError
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.transcript import parse
from vault_sessions.model import Compaction, Hit, Message, Meta, Proposal
from vault_sessions.rules.resume import Place
from vault_sessions.state import Lease, State
from vault_sessions.vault import Vault


class Saved(NamedTuple):
    """Something that was written: a line of a session, or (``where`` None) its metadata."""

    session_id: str
    where: Appended | None = None
    line: bytes = b""


class Desk(NamedTuple):
    """What a conversation works with: the vault, this machine's state, clock, chance and ears.

    ``recall(question, session_id)`` finds passages outside that session; ``named(name)`` the id of
    the session that has that name now; ``saved`` hears of every write; ``ask`` puts a question to
    the person (yes, where there is none); ``invocation_id`` names this run of the program.
    ``wrote`` hears of memory files (paths from the root) that were written; ``confirm`` shows a
    change of memory to the person: the text to save, None for no (or where nobody is there);
    ``say`` tells the person something. ``look_up(query, where, since, limit)`` finds passages that
    have words of the query, the most relevant first; ``where``: sessions, memory or all.
    """

    vault: Vault
    state: State
    settings: Settings
    place: Place
    environment: dict[str, str]
    invocation_id: str
    now: Callable[[], datetime]
    random: Callable[[int], int]
    recall: Callable[[str, str | None], list[Hit]]
    named: Callable[[str], str | None]
    saved: Callable[[Saved], None]
    ask: Callable[[str], bool]
    user_skills: str
    wrote: Callable[[Sequence[str]], None]
    confirm: Callable[[Proposal], str | None]
    say: Callable[[str], None]
    look_up: Callable[[str, str, datetime | None, int], list[Hit]]


@dataclass
class Conversation:
    """An open conversation. ``session_id`` None: nothing has been said yet, no file is there.

    ``messages`` as last read or written; ``seen`` is the file's state at that time. ``own``: the
    ids of what was said here, ``newest`` the last of them; ``put_back``: those of what was put
    back, which is done once. ``meta_seen`` is the metadata's state as last read for a prompt;
    ``force``: the compaction that was found in force, of which ones, and the last message it
    covers; ``folding_failed``: it could not be summarized in this run, so no turn waits for that
    again.
    ``declined``: the changes of memory that the person said no to. ``stand``: a message of the
    branch that one stands on; None: the newest one (``standing``).
    """

    provider: str
    session_id: str | None = None
    name: str | None = None
    model: str | None = None
    skill: str | None = None
    private: bool = False
    opened_at: datetime | None = None
    meta: Meta = field(default_factory=Meta)
    messages: list[Message] = field(default_factory=list)
    seen: os.stat_result | None = None
    lease: Lease | None = None
    switched: bool = False
    own: set[str] = field(default_factory=set)
    newest: str | None = None
    put_back: set[str] = field(default_factory=set)
    meta_seen: os.stat_result | None = None
    force: tuple[tuple[Compaction, int], tuple[Compaction, ...], Message] | None = None
    folding_failed: bool = False
    notices: list[str] = field(default_factory=list)
    declined: set[Proposal] = field(default_factory=set)
    stand: str | None = None


def release(conversation: Conversation) -> None:
    """Give the session free for others."""
    if conversation.lease is not None:
        conversation.lease.release()
        conversation.lease = None


def begin_again(conversation: Conversation) -> None:
    """The transcript is gone: it is not made again; the chat goes on in a new session."""
    conversation.notices.append(
        f"The file of session {conversation.session_id} is gone; going on in a new session."
    )
    release(conversation)
    conversation.session_id = None
    conversation.name = None
    conversation.meta = Meta()
    conversation.messages = []
    conversation.seen = None
    conversation.stand = None


def read(desk: Desk, conversation: Conversation) -> bytes | None:
    """Read both files; the transcript's bytes, None where there is none."""
    session_id = conversation.session_id or ""
    data = None
    try:
        data, conversation.seen = vaults.read_transcript(desk.vault, session_id)
        conversation.messages = list(parse(data).messages)
    except FileNotFoundError:
        conversation.seen, conversation.messages = None, []
    try:
        meta = vaults.read_meta(desk.vault, session_id)
        conversation.meta = parse_meta(meta, session_id)[0] if meta is not None else Meta()
    except VaultError as error:  # no obstacle: everything is derived
        conversation.meta = Meta()
        conversation.notices.append(str(error))
    return data

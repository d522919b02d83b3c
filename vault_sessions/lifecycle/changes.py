"""What others did to the transcript of an open conversation: re-read, told, and guarded."""

from __future__ import annotations

import os
from contextlib import suppress
from time import sleep
from typing import NamedTuple

from vault_sessions import guard
from vault_sessions import vault as vaults
from vault_sessions.atomic import same_state
from vault_sessions.errors import VaultError
from vault_sessions.formats.transcript import message_line
from vault_sessions.lifecycle.desk import Conversation, Desk, Saved, begin_again, read
from vault_sessions.model import Message
from vault_sessions.rules import missing
from vault_sessions.rules.missing import Chat

_QUIET_SECONDS = 0.3
_PATIENCE = 10
_GONE_SECONDS = 2.0
_STEP_SECONDS = 0.02


def refresh(desk: Desk, conversation: Conversation) -> None:
    """Re-read a transcript that changed on disk since it was last seen, and say what changed."""
    if conversation.session_id is None or conversation.private:
        return
    path = desk.vault.absolute(desk.vault.transcript(conversation.session_id))
    try:
        now = os.lstat(path)
    except FileNotFoundError:
        if conversation.seen is not None:
            reread(desk, conversation, conversation.messages)
        return
    if conversation.seen is None or not same_state(now, conversation.seen):
        reread(desk, conversation, conversation.messages)


def look_again(desk: Desk, conversation: Conversation) -> None:
    """As ``refresh``, but nothing is done about a file that is gone."""
    path = desk.vault.absolute(desk.vault.transcript(conversation.session_id or ""))
    with suppress(FileNotFoundError):
        now = os.lstat(path)
        if conversation.seen is not None and not same_state(now, conversation.seen):
            reread(desk, conversation, conversation.messages)


def reread(
    desk: Desk, conversation: Conversation, before: list[Message], new: Message | None = None
) -> None:
    """Read a transcript that somebody else has changed, and say what changed.

    Messages that vanished from its end are kept, and perhaps put back. ``before``: the messages as
    last seen; ``new`` was written behind them just now.
    """
    data, is_quiet = _read_at_rest(desk, conversation, before, new)
    if data is None:
        begin_again(conversation)
        return
    gone = _vanished(desk, conversation, before, new, data)
    if gone and _guard(desk, conversation, before, gone, _Reading(data, is_quiet)):
        read(desk, conversation)
    known = {message.id: message.text for message in before}
    if new is not None:
        known[new.id] = new.text
    changed = _count_changes(known, {m.id: m.text for m in conversation.messages})
    if changed:
        plural = "s" if changed > 1 else ""
        conversation.notices.append(f"{changed} message{plural} changed on disk.")
    stand = conversation.stand
    if stand is not None and all(message.id != stand for message in conversation.messages):
        conversation.stand = None
        conversation.notices.append("That branch is gone from the file; this is the newest one.")


def _count_changes(before: dict[str, str], after: dict[str, str]) -> int:
    """How many messages were edited, added or taken out. A line without an id of its own has
    another one when it is edited."""
    edited = sum(1 for name, text in after.items() if before.get(name, text) != text)
    added, gone = after.keys() - before.keys(), before.keys() - after.keys()
    same = min(sum(name.startswith("h-") for name in names) for names in (added, gone))
    return edited + len(added) + len(gone) - same


class _Reading(NamedTuple):
    """The bytes that were read, and whether nobody wrote to the file for a while then."""

    data: bytes
    is_quiet: bool


def _vanished(
    desk: Desk,
    conversation: Conversation,
    before: list[Message],
    new: Message | None,
    data: bytes,
) -> list[Message]:
    """The messages that are missing from the end of the file, in their places."""
    ids_now = {message.id for message in conversation.messages}
    known = before if new is None or new.id in ids_now else [*before, new]
    ids = [message.id for message in known]
    if ids_now.issuperset(ids):
        return []
    order = guard.in_place(desk.state, conversation.session_id or "", ids)
    gone = missing.missing(ids, order, data, ids_now)
    messages = {message.id: message for message in known}
    return [messages[name] for name in order if name in gone]


def _read_at_rest(
    desk: Desk, conversation: Conversation, before: list[Message], new: Message | None
) -> tuple[bytes | None, bool]:
    """Read the file; where messages are missing, once nobody has written to it for 300 ms.

    Whether it came to rest, too.
    """
    path = desk.vault.absolute(desk.vault.transcript(conversation.session_id or ""))
    data = None
    for _ in range(_PATIENCE):
        data = read(desk, conversation)
        if data is None:
            if not comes_back(path):
                return None, True
            continue
        if not _vanished(desk, conversation, before, new, data):
            return data, True
        sleep(_QUIET_SECONDS)
        with suppress(FileNotFoundError):
            if conversation.seen is not None and same_state(os.lstat(path), conversation.seen):
                return data, True
    return data, False


def comes_back(path: str) -> bool:
    """Is a file there that was not: vim and emacs, when they save, move the old one away first? It
    counts as deleted when it is still gone at the second look."""
    for _ in range(round(_GONE_SECONDS / _STEP_SECONDS)):
        if os.path.lexists(path):
            return True
        sleep(_STEP_SECONDS)
    return os.path.lexists(path)


def _guard(
    desk: Desk,
    conversation: Conversation,
    before: list[Message],
    gone: list[Message],
    reading: _Reading,
) -> bool:
    """Keep what vanished; put it back where it is ours and was clearly not meant to go, or where
    the person says so. Was it put back?"""
    session_id = conversation.session_id or ""
    names = [message.id for message in gone]
    lines = {message.id: message_line(message.fields).rstrip() for message in gone}
    desk.saved(Saved(session_id))  # the mirror knows the lines of others as they were written
    missing_now = set(names)
    left = [message for message in before if message.id not in missing_now]
    ids = list(dict.fromkeys([*(message.id for message in before), *names]))
    order = guard.in_place(desk.state, session_id, ids)
    now = [m for m in conversation.messages if m.id != conversation.newest]
    only_end = [(m.id, m.fields) for m in now] == [(m.id, m.fields) for m in left]
    chat = Chat(
        conversation.own.issuperset(names),
        not conversation.put_back.isdisjoint(names),
        not reading.data.strip(),
        reading.is_quiet,
        only_end,
    )
    try:
        guard.keep(desk.state, guard.loss(session_id, ids, order, lines, desk.now(), None))
        decision = guard.decide_in_chat(desk.vault, desk.state, session_id, names, chat)
        what = "1 message" if len(gone) == 1 else f"{len(gone)} messages"
        if decision.what == "put back" or (
            decision.what == "ask" and desk.ask(f"Put back {what}?")
        ):
            with desk.state.lock(session_id):
                vaults.append_lines(desk.vault, session_id, list(lines.values()))
            conversation.put_back.update(names)
            conversation.notices.append(
                f"Put back {what} that an older copy of the file had overwritten."
            )
            return True
        if decision.what == "ask":
            guard.settle(desk.state, session_id, names)
        elif decision.what == "report":
            conversation.notices.append(
                f"{what} vanished from the end of {desk.vault.transcript(session_id)}, and "
                f"{'is' if len(gone) == 1 else 'are'} kept: vault-sessions doctor --fix puts back, "
                f"doctor --forget {session_id} accepts it."
            )
    except VaultError as error:
        conversation.notices.append(str(error))
    finally:
        desk.saved(Saved(session_id))
    return False

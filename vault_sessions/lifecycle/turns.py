"""A turn: what is said is on disk before anybody is asked, and so is whatever is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.atomic import same_state
from vault_sessions.errors import (
    ProviderError,
    SessionGone,
    VaultError,
)
from vault_sessions.formats.ids import new_session_id, uuid7
from vault_sessions.formats.meta import ENDING, parse_meta
from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import content_text
from vault_sessions.lifecycle.answers import Ears, answer
from vault_sessions.lifecycle.changes import comes_back, look_again, refresh, reread
from vault_sessions.lifecycle.desk import Conversation, Desk, Saved, begin_again, read
from vault_sessions.lifecycle.standing import behind, in_place_of
from vault_sessions.model import OFFLINE, Message
from vault_sessions.rules import branches
from vault_sessions.state import NAMES

if TYPE_CHECKING:
    from vault_sessions.assistant.provider import Reply


_GIVEN = ("id", "created_at", "invocation_id", "parent_id")
"""Fields that a line gets when it is written."""


class Turn(NamedTuple):
    """What came of one user message. ``status`` None: answered; ``error`` says why it was not."""

    session_id: str | None
    text: str
    status: Literal["cancelled", "error"] | None
    error: ProviderError | None
    provider: str
    model: str | None
    usage: dict[str, int] | None


def take_turn(
    desk: Desk,
    conversation: Conversation,
    text: str,
    on_text: Callable[[str], None],
    on_wait: Callable[[float, str], None],
    on_note: Callable[[str], None] = lambda note: None,
    again: str | None = None,
) -> Turn:
    """Say something and get an answer. The message is on disk before anybody is asked.

    ``again``: the user's message (its id) that is said again, as it was or in other words, on a
    branch beside it; one that still waits for its answer, unchanged, gets it. ``on_note`` hears of
    each call of a tool. Whatever goes wrong with the model is in the Turn; Ctrl-C gives one that is
    ``cancelled``. What had arrived is kept. Raises VaultError when the vault can't be written.
    """
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate can't be written
    refresh(desk, conversation)
    if conversation.model is None and conversation.provider != OFFLINE:
        conversation.model = desk.settings.providers[conversation.provider].model
    asked = _ask(desk, conversation, text, again)
    kept: list[str] = []  # the texts of the rounds before
    pieces: list[str] = []

    def receive(piece: str) -> None:
        pieces.append(piece)
        on_text(piece)

    def pause() -> None:
        on_text("\n\n")  # between two texts, in neither of them

    def keep(fields: dict[str, Any], reply: Reply | None) -> Message:
        if conversation.session_id is not None and not conversation.private:
            look_again(desk, conversation)
        model, usage = (reply.model, reply.usage) if reply else (None, None)
        line = _say(desk, conversation, fields, _own(conversation, model, usage) if reply else None)
        if reply is not None:
            pieces.clear()
            kept.append(reply.text)
        return line

    status: Literal["cancelled", "error"] | None = None
    error: ProviderError | None = None
    total: dict[str, int] | None = None
    last: dict[str, int] | None = None
    model = conversation.model
    try:
        model, last, total = answer(
            desk, conversation, asked, Ears(receive, on_wait, on_note, pause, keep)
        )
    except KeyboardInterrupt:
        status = "cancelled"
    except ProviderError as failure:
        status, error = "error", failure
    except BaseException:  # nobody listens any more (a closed pipe): what had arrived is kept
        _keep_answer(desk, conversation, "".join(pieces), conversation.model, None, "cancelled")
        raise
    text = "".join(pieces)
    model = model or conversation.model
    _keep_answer(desk, conversation, text, model, last, status)
    whole = "\n\n".join(part for part in (*kept, text) if part.strip())
    return Turn(conversation.session_id, whole, status, error, conversation.provider, model, total)


def _ask(desk: Desk, conversation: Conversation, text: str, again: str | None) -> Message:
    """The user's message, on disk; from then on its branch is the newest one."""
    if again is None:
        said: dict[str, Any] | Message = {"role": "user", "content": text, **behind(conversation)}
    else:
        said = in_place_of(conversation, again, text)
    if isinstance(said, dict):
        asked = _say(desk, conversation, said)
    else:
        asked = said
        if conversation.session_id is not None and not conversation.private:
            with desk.state.lock(conversation.session_id):
                _write_meta(desk, conversation, desk.now(), fresh=False)
    conversation.stand = None
    return asked


def _own(
    conversation: Conversation,
    model: str | None,
    usage: dict[str, int] | None,
    status: str | None = None,
) -> dict[str, Any]:
    """The fields of an assistant's line that are ours."""
    provider = conversation.provider
    return {"provider": provider, "model": model, "usage": usage, "status": status}


def _keep_answer(
    desk: Desk,
    conversation: Conversation,
    text: str,
    model: str | None,
    usage: dict[str, int] | None,
    status: str | None,
) -> None:
    if text:
        if conversation.session_id is not None and not conversation.private:
            look_again(desk, conversation)
        own = _own(conversation, model, usage, status)
        _say(desk, conversation, {"role": "assistant", "content": text}, own)


def _say(
    desk: Desk,
    conversation: Conversation,
    fields: dict[str, Any],
    own: dict[str, Any] | None = None,
) -> Message:
    """Append one message, durably; a new session gets its files with its first one.

    A new session of a name that another program has given meanwhile goes on in that one.
    """
    new_name = conversation.name if conversation.session_id is None else None
    if new_name is not None and not conversation.private:
        with desk.state.lock(NAMES):
            taken = desk.named(new_name)
            if taken is None:
                return _append(desk, conversation, fields, own)
        conversation.session_id = taken
        conversation.lease = desk.state.lease(taken, desk.now())
        read(desk, conversation)
    return _append(desk, conversation, fields, own)


def _append(
    desk: Desk,
    conversation: Conversation,
    fields: dict[str, Any],
    own: dict[str, Any] | None,
) -> Message:
    now = desk.now()
    line = {
        **fields,
        "id": uuid7(now, desk.random(80)),
        "created_at": format_time(now),
        "invocation_id": desk.invocation_id,
        **{key: value for key, value in (own or {}).items() if value is not None},
    }
    if conversation.private:
        message = _continued(conversation, line, now)
        conversation.messages.append(message)
        return message
    fresh = conversation.session_id is None
    session_id = conversation.session_id or new_session_id(now, desk.random(30))
    create = fresh or conversation.seen is None
    lease = desk.state.lease(session_id, now) if fresh else conversation.lease
    path = desk.vault.absolute(desk.vault.transcript(session_id))
    while True:
        with desk.state.lock(session_id):
            written = b""
            try:
                where, written = vaults.append_message(desk.vault, session_id, line, create=create)
            except SessionGone:
                where = None
            except VaultError:
                if fresh and lease is not None:
                    lease.release()
                raise
            if fresh:
                conversation.session_id, conversation.lease = session_id, lease
            if where is not None and (fresh or fields["role"] == "user"):
                _write_meta(desk, conversation, now, fresh)
        if where is not None or not comes_back(path):
            break
    if where is None:
        turn = [] if fields["role"] == "user" else _this_turn(conversation.messages)
        begin_again(conversation)
        for message in turn:
            _say(desk, conversation, {k: v for k, v in message.fields.items() if k not in _GIVEN})
        return _say(desk, conversation, {k: v for k, v in fields.items() if k not in _GIVEN}, own)
    desk.saved(Saved(session_id, where, written))
    message = _continued(conversation, line, now)
    before = list(conversation.messages)
    conversation.messages.append(message)
    conversation.own.add(message.id)
    conversation.newest = message.id
    # somebody wrote in between: the message stands behind what they wrote, or in a file without
    # what we had written
    undisturbed = where.before is None or (
        conversation.seen is not None and same_state(where.before, conversation.seen)
    )
    if undisturbed:
        conversation.seen = where.after
    else:
        reread(desk, conversation, before, message)
    return message


def _this_turn(messages: Sequence[Message]) -> list[Message]:
    """What was asked last, and what came of it so far."""
    starts = [place for place, message in enumerate(messages) if message.role == "user"]
    return [*messages[starts[-1] :]] if starts else []


def _continued(conversation: Conversation, line: dict[str, Any], now: datetime) -> Message:
    place = len(conversation.messages)
    number = conversation.messages[-1].line + 1 if conversation.messages else 1
    parent: int | None = place - 1
    if "parent_id" in line:
        above = line["parent_id"]
        parent = -1 if above is None else branches.place(conversation.messages, above)
    if parent is None:  # it is gone from the file
        parent = place - 1
    text = content_text(line["content"])
    return Message(line["id"], line["role"], text, now, parent, number, line)


def _write_meta(desk: Desk, conversation: Conversation, now: datetime, fresh: bool) -> None:
    """A new session's metadata; for an old one, that it goes on and with what."""
    session_id = conversation.session_id or ""
    changes: dict[str, Any] = {}
    meta = conversation.meta
    if fresh:
        changes = {
            "name": conversation.name,
            "created_at": now,
            "provider": conversation.provider,
            "model": conversation.model,
            "skill": conversation.skill,
            "directory": desk.place.directory,
            "git_root": desk.place.git_root,
        }
        changes = {k: v for k, v in changes.items() if v is not None or k == "name"}
    else:
        if meta.ended_at is not None or meta.ending is not None:
            changes = dict.fromkeys(ENDING)
        if conversation.skill not in (None, meta.skill):
            changes["skill"] = conversation.skill
        now_used = (conversation.provider, conversation.model)
        switched = conversation.switched or meta.provider in (None, OFFLINE)
        if switched and now_used != (meta.provider, meta.model):
            # another provider does not know the model of the one before: no model is saved too
            changes["provider"], changes["model"] = now_used
    if not changes:
        return
    try:
        vaults.change_meta(desk.vault, session_id, changes)
    except VaultError as error:
        conversation.notices.append(f"{error}")
        return
    data = vaults.read_meta(desk.vault, session_id)
    conversation.meta = parse_meta(data, session_id)[0] if data is not None else meta
    desk.saved(Saved(session_id))

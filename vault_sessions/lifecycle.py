"""A conversation from its opening to its first mark of an ending: turns, resumption, leases.

Everything a turn writes goes through ``Desk.saved``, so that the workspace can mirror it at once;
what it needs from the mirror is handed in (``Desk.recall``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import sleep
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vault_sessions import guard
from vault_sessions import vault as vaults
from vault_sessions.atomic import Appended, same_state
from vault_sessions.config import Settings
from vault_sessions.errors import (
    ContextTooLong,
    ProviderError,
    ProviderUnusable,
    SessionGone,
    VaultError,
)
from vault_sessions.formats.ids import new_session_id, uuid7
from vault_sessions.formats.memory import Skill, read_document, read_skill, section_text
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.names import copy_name
from vault_sessions.formats.session import describe
from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import active_branch, message_line, parse
from vault_sessions.model import OFFLINE, Hit, Message, Meta, Session
from vault_sessions.rules import compaction, context, missing
from vault_sessions.rules.missing import Chat
from vault_sessions.rules.resume import Candidate, Place
from vault_sessions.state import NAMES, Lease, State
from vault_sessions.vault import Vault

if TYPE_CHECKING:
    from vault_sessions.assistant.provider import Reply

EXCERPTS = 6
_EXCERPT_LENGTH = 800


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


@dataclass
class Conversation:
    """An open conversation. ``session_id`` None: nothing has been said yet, no file is there.

    ``messages`` as last read or written; ``seen`` is the file's state at that time. ``own``: the
    ids of what was said here, ``newest`` the last of them; ``put_back``: those of what was put
    back, which is done once.
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
    notices: list[str] = field(default_factory=list)


class Turn(NamedTuple):
    """What came of one user message. ``status`` None: answered; ``error`` says why it was not."""

    session_id: str | None
    text: str
    status: Literal["cancelled", "error"] | None
    error: ProviderError | None
    provider: str
    model: str | None
    usage: dict[str, int] | None


# --- opening -------------------------------------------------------------------------------------


def candidate(session: Session, last_activity: datetime, in_use: bool) -> Candidate:
    """A session as the decision to resume sees it."""
    return Candidate(
        session.id, session.label, last_activity, session.directory, session.git_root, in_use
    )


def open_new(
    desk: Desk,
    *,
    name: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    skill: str | None = None,
    private: bool = False,
) -> Conversation:
    """A conversation without a session yet; its files are written with the first message."""
    chosen = provider or desk.settings.default_provider
    check_provider(desk.settings, chosen)
    skill = skill or desk.settings.default_skill
    if skill:
        find_skill(desk, skill)
    return Conversation(
        chosen, None, name, model, skill, private, desk.now(), switched=bool(provider or model)
    )


def open_session(
    desk: Desk,
    session_id: str,
    *,
    provider: str | None = None,
    model: str | None = None,
    skill: str | None = None,
    private: bool = False,
) -> Conversation:
    """Go on with a session, with the provider, model and skill it was made with."""
    conversation = Conversation(
        desk.settings.default_provider, session_id, private=private, opened_at=desk.now()
    )
    _read(desk, conversation)
    meta = conversation.meta
    conversation.name = meta.name
    if skill:
        find_skill(desk, skill)
    conversation.skill = skill or meta.skill
    _instructions(desk, conversation)
    _choose_provider(desk, conversation, provider, model)
    if not private:
        conversation.lease = desk.state.lease(session_id, desk.now())
        if conversation.lease is None:
            holder = desk.state.holder(session_id)
            who = f" (process {holder.pid}, since {holder.since})" if holder.pid else ""
            conversation.notices.append(
                f"This session is open elsewhere too{who}. Both may go on: each sees what the "
                f"other said at its next turn."
            )
    return conversation


def _choose_provider(
    desk: Desk, conversation: Conversation, provider: str | None, model: str | None
) -> None:
    """The flag's; else the session's own where it is usable here; else the default."""
    default = desk.settings.default_provider
    own, own_model = conversation.meta.provider, conversation.meta.model
    last, last_model = _last_provider(conversation.messages)
    own = own or last
    if own_model is None and own == last:
        own_model = last_model
    conversation.switched = bool(provider or model)
    if provider:
        check_provider(desk.settings, provider)
        conversation.provider = provider
        conversation.model = model or (own_model if provider == own else None)
    elif own in (None, OFFLINE):
        conversation.provider, conversation.model = default, model
    elif own in desk.settings.providers and _usable(desk, own):
        conversation.provider, conversation.model = own, model or own_model
    else:
        conversation.provider, conversation.model = default, model
        conversation.notices.append(
            f"This session was made with {own}, which is not usable here; {default} answers."
        )


def _usable(desk: Desk, provider: str) -> bool:
    from vault_sessions.assistant.provider import usable

    return usable(desk.settings.providers[provider], desk.environment)


def _last_provider(messages: Sequence[Message]) -> tuple[str | None, str | None]:
    for message in reversed(messages):
        if message.role == "assistant" and message.fields.get("provider"):
            return message.fields["provider"], message.fields.get("model")
    return None, None


def check_provider(settings: Settings, name: str) -> None:
    """Raises ProviderUnusable for a provider that is not known."""
    if name != OFFLINE and name not in settings.providers:
        known = ", ".join((OFFLINE, *sorted(settings.providers)))
        raise ProviderUnusable(f"There is no provider {name!r}. Known: {known}.")


def find_skill(desk: Desk, name: str) -> Skill:
    """A skill by the stem of its file or its name. Raises VaultError, listing what there is."""
    skills = list_skills(desk)
    for stem, skill in skills.items():
        if name.casefold() in (stem.casefold(), skill.name.casefold()):
            return skill
    known = ", ".join(skills) or "none"
    raise VaultError(
        f"There is no skill {name!r} (there are: {known}).\n"
        f"A skill is a Markdown file in {desk.vault.skills}/ or {desk.user_skills}/."
    )


def _instructions(desk: Desk, conversation: Conversation) -> str:
    """The text of the conversation's skill; one that is not here any more is told and left."""
    if not conversation.skill:
        return ""
    try:
        return find_skill(desk, conversation.skill).instructions
    except VaultError:
        conversation.notices.append(
            f"The skill {conversation.skill!r} of this session is not here; going on without."
        )
        conversation.skill = None
        return ""


def list_skills(desk: Desk) -> dict[str, Skill]:
    """All skills by stem; the vault's before the user's own."""
    skills: dict[str, Skill] = {}
    own = Vault(os.path.realpath(desk.user_skills), "")
    for vault, folder in ((own, "."), (desk.vault, desk.vault.skills)):
        for name in sorted(vaults.list_names(vault, folder)):
            if name.endswith(".md") and not name.startswith(".") and not _is_copy(name):
                with suppress(VaultError):  # a link out of the vault, say, is no skill
                    data = vaults.read_bytes(vault, f"{folder}/{name}")
                    if data is not None:
                        skills[name[:-3]] = read_skill(name[:-3], data)
    return skills


# --- a turn --------------------------------------------------------------------------------------


def take_turn(
    desk: Desk,
    conversation: Conversation,
    text: str,
    on_text: Callable[[str], None],
    on_wait: Callable[[float, str], None],
) -> Turn:
    """Say something and get an answer. The message is on disk before anybody is asked.

    Whatever goes wrong with the model is in the Turn; Ctrl-C gives one that is ``cancelled``. What
    had arrived is kept. Raises VaultError when the vault can't be written.
    """
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate can't be written
    refresh(desk, conversation)
    if conversation.model is None and conversation.provider != OFFLINE:
        conversation.model = desk.settings.providers[conversation.provider].model
    asked = _say(desk, conversation, {"role": "user", "content": text})
    pieces: list[str] = []

    def receive(piece: str) -> None:
        pieces.append(piece)
        on_text(piece)

    status: Literal["cancelled", "error"] | None = None
    error: ProviderError | None = None
    usage: dict[str, int] | None = None
    model = conversation.model
    try:
        model, usage = _answer(desk, conversation, asked, receive, on_wait)
    except KeyboardInterrupt:
        status = "cancelled"
    except ProviderError as failure:
        status, error = "error", failure
    except BaseException:  # nobody listens any more (a closed pipe): what had arrived is kept
        _keep_answer(desk, conversation, "".join(pieces), conversation.model, None, "cancelled")
        raise
    text = "".join(pieces)
    model = model or conversation.model
    _keep_answer(desk, conversation, text, model, usage, status)
    return Turn(conversation.session_id, text, status, error, conversation.provider, model, usage)


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
            _look_again(desk, conversation)
        own = {"provider": conversation.provider, "model": model, "usage": usage, "status": status}
        _say(desk, conversation, {"role": "assistant", "content": text}, own)


def refresh(desk: Desk, conversation: Conversation) -> None:
    """Re-read a transcript that changed on disk since it was last seen, and say what changed."""
    if conversation.session_id is None or conversation.private:
        return
    path = desk.vault.absolute(desk.vault.transcript(conversation.session_id))
    try:
        now = os.lstat(path)
    except FileNotFoundError:
        if conversation.seen is not None:
            _reread(desk, conversation, conversation.messages)
        return
    if conversation.seen is None or not same_state(now, conversation.seen):
        _reread(desk, conversation, conversation.messages)


def _look_again(desk: Desk, conversation: Conversation) -> None:
    """As ``refresh``, but nothing is done about a file that is gone."""
    path = desk.vault.absolute(desk.vault.transcript(conversation.session_id or ""))
    with suppress(FileNotFoundError):
        now = os.lstat(path)
        if conversation.seen is not None and not same_state(now, conversation.seen):
            _reread(desk, conversation, conversation.messages)


def _reread(
    desk: Desk, conversation: Conversation, before: list[Message], new: Message | None = None
) -> None:
    """Read a transcript that somebody else has changed, and say what changed.

    Messages that vanished from its end are kept, and perhaps put back. ``before``: the messages as
    last seen; ``new`` was written behind them just now.
    """
    data, is_quiet = _read_at_rest(desk, conversation, before, new)
    if data is None:
        _begin_again(conversation)
        return
    gone = _vanished(conversation, before, new, data)
    if gone and _guard(desk, conversation, before, gone, _Reading(data, is_quiet)):
        _read(desk, conversation)
    known = {message.id: message.text for message in before}
    if new is not None:
        known[new.id] = new.text
    changed = _count_changes(known, {m.id: m.text for m in conversation.messages})
    if changed:
        plural = "s" if changed > 1 else ""
        conversation.notices.append(f"{changed} message{plural} changed on disk.")


def _count_changes(before: dict[str, str], after: dict[str, str]) -> int:
    """How many messages were edited, added or taken out. A line without an id of its own has
    another one when it is edited."""
    edited = sum(1 for name, text in after.items() if before.get(name, text) != text)
    added, gone = after.keys() - before.keys(), before.keys() - after.keys()
    same = min(sum(name.startswith("h-") for name in names) for names in (added, gone))
    return edited + len(added) + len(gone) - same


# --- messages that vanish ------------------------------------------------------------------------

_QUIET_SECONDS = 0.3
_PATIENCE = 10
_GONE_SECONDS = 2.0
_STEP_SECONDS = 0.02


class _Reading(NamedTuple):
    """The bytes that were read, and whether nobody wrote to the file for a while then."""

    data: bytes
    is_quiet: bool


def _vanished(
    conversation: Conversation, before: list[Message], new: Message | None, data: bytes
) -> list[Message]:
    """The messages that are missing from the end of the file."""
    ids_now = {message.id for message in conversation.messages}
    known = before if new is None or new.id in ids_now else [*before, new]
    count = missing.count_missing([message.id for message in known], data, ids_now)
    return known[len(known) - count :]


def _read_at_rest(
    desk: Desk, conversation: Conversation, before: list[Message], new: Message | None
) -> tuple[bytes | None, bool]:
    """Read the file; where messages are missing, once nobody has written to it for 300 ms.

    Whether it came to rest, too.
    """
    path = desk.vault.absolute(desk.vault.transcript(conversation.session_id or ""))
    data = None
    for _ in range(_PATIENCE):
        data = _read(desk, conversation)
        if data is None:
            if not _comes_back(path):
                return None, True
            continue
        if not _vanished(conversation, before, new, data):
            return data, True
        sleep(_QUIET_SECONDS)
        with suppress(FileNotFoundError):
            if conversation.seen is not None and same_state(os.lstat(path), conversation.seen):
                return data, True
    return data, False


def _comes_back(path: str) -> bool:
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
    lines = [(message.id, message_line(message.fields).rstrip()) for message in gone]
    desk.saved(Saved(session_id))  # the mirror knows the lines of others as they were written
    left = [message for message in before if message.id not in names]
    ids = [*(message.id for message in left), *names]
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
        guard.keep(desk.state, guard.loss(session_id, ids, lines, desk.now(), None))
        decision = guard.decide_in_chat(desk.vault, desk.state, session_id, names, chat)
        what = "1 message" if len(gone) == 1 else f"{len(gone)} messages"
        if decision.what == "put back" or (
            decision.what == "ask" and desk.ask(f"Put back {what}?")
        ):
            with desk.state.lock(session_id):
                vaults.append_lines(desk.vault, session_id, [line for _, line in lines])
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


def _begin_again(conversation: Conversation) -> None:
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


def release(conversation: Conversation) -> None:
    """Give the session free for others."""
    if conversation.lease is not None:
        conversation.lease.release()
        conversation.lease = None


def _read(desk: Desk, conversation: Conversation) -> bytes | None:
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
        _read(desk, conversation)
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
        if where is not None or not _comes_back(path):
            break
    if where is None:
        question = conversation.messages[-1:] if fields["role"] == "assistant" else []
        _begin_again(conversation)
        for message in question:
            _say(desk, conversation, {"role": message.role, "content": message.text})
        return _say(desk, conversation, fields, own)
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
        _reread(desk, conversation, before, message)
    return message


def _continued(conversation: Conversation, line: dict[str, Any], now: datetime) -> Message:
    place = len(conversation.messages)
    number = conversation.messages[-1].line + 1 if conversation.messages else 1
    return Message(line["id"], line["role"], line["content"], now, place - 1, number, line)


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
            changes = dict.fromkeys(("ending", "ended_at", "end_reason", "duration_seconds"))
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


# --- the answer ----------------------------------------------------------------------------------


def _answer(
    desk: Desk,
    conversation: Conversation,
    asked: Message,
    on_text: Callable[[str], None],
    on_wait: Callable[[float, str], None],
) -> tuple[str | None, dict[str, int] | None]:
    """Say the answer to ``on_text``; which model gave it, and its usage."""
    if conversation.provider == OFFLINE:
        from vault_sessions.assistant import offline

        # a model has this session before it anyway; here it is looked up like any other
        found = [hit for hit in desk.recall(asked.text, None) if hit.message_id != asked.id]
        text = offline.answer(asked.text, found)
        on_text(text)
        return OFFLINE, None
    from vault_sessions.assistant import provider as providers

    found = desk.recall(asked.text, conversation.session_id)
    chosen = desk.settings.providers[conversation.provider]
    call = providers.prepare(chosen, conversation.model, desk.environment)
    conversation.model = call.model
    limits = context.Limits(
        desk.settings.max_history_messages, desk.settings.max_history_tokens, chosen.context_tokens
    )
    material = _material(desk, conversation, asked, found)
    prompt = context.build(material, limits)

    def ask() -> Reply:
        started = desk.now()
        outcome, reply = "cancelled", None
        try:
            reply = providers.stream(call, prompt, on_text, on_wait)
            outcome = "ok"
            return reply
        except ProviderError as error:
            outcome = type(error).__name__
            raise
        finally:
            _log(desk, conversation, call.model, reply, started, outcome)

    try:
        reply = ask()
    except ContextTooLong:
        shorter = context.build(material, context.halved(material, limits))
        if shorter == prompt:
            raise
        prompt = shorter
        reply = ask()
    return reply.model, reply.usage


def _material(
    desk: Desk, conversation: Conversation, asked: Message, found: list[Hit]
) -> context.Material:
    """What this turn's prompt is made of; whatever has become of the file, it ends with what was
    asked."""
    from vault_sessions.assistant.offline import best_quotes, source

    vault, settings = desk.vault, desk.settings
    branch = [m for m in active_branch(conversation.messages) if m.id != asked.id]
    branch.append(asked)
    excerpts = [
        context.Excerpt(quote.text[:_EXCERPT_LENGTH], source(quote.hit))
        for quote in best_quotes(asked.text, found, EXCERPTS)
    ]
    persona = _identity(desk, conversation, "persona.md")
    snapshot = section_text(_identity(desk, conversation, "user.md"), "Snapshot")
    memory_map = _memory_map(vault)
    skill = _instructions(desk, conversation)
    moved = conversation.meta.directory not in (None, desk.place.directory)
    texts = [snapshot, *memory_map, *(part for excerpt in excerpts for part in excerpt)]
    return context.Material(
        branch,
        persona,
        skill,
        snapshot,
        memory_map,
        excerpts,
        compaction.in_force(branch, conversation.meta.compactions),
        settings.show_summary_markers,
        context.safe_fence(f"quoted-{desk.random(32):08x}", texts),
        desk.place.directory if moved else None,
    )


def _identity(desk: Desk, conversation: Conversation, name: str) -> str:
    """The body of persona.md or user.md; one that can't be read is told, and left out."""
    try:
        data = vaults.read_bytes(desk.vault, f"{desk.vault.identity}/{name}")
    except VaultError as error:
        conversation.notices.append(str(error))
        return ""
    return read_document(data).body if data else ""


def _is_copy(name: str) -> bool:
    """Is it a conflict copy, by its name?"""
    copy = copy_name(name)
    return copy is not None and copy.is_certain


def _memory_map(vault: Vault) -> list[str]:
    """The memory files there are: those by name, and the newest summaries."""
    names = sorted(
        name
        for name in vaults.list_names(vault, vault.long_term)
        if name.endswith(".md") and not _is_copy(name)
    )
    summaries = [name for name in names if name.startswith("session-")]
    lines = [f"{vault.long_term}/{name}" for name in names if not name.startswith("session-")]
    lines.append(f"{vault.identity}/user.md")
    if summaries:
        newest = ", ".join(reversed(summaries[-8:]))
        lines.append(f"{len(summaries)} session summaries, the newest: {newest}")
    return lines


def _log(
    desk: Desk,
    conversation: Conversation,
    model: str,
    reply: Reply | None,
    started: datetime,
    outcome: str,
) -> None:
    if conversation.private:
        return
    record = {
        "at": format_time(started),
        "kind": "chat",
        "session": conversation.session_id,
        "provider": conversation.provider,
        "model": reply.model if reply else model,
        "usage": reply.usage if reply else None,
        "seconds": round((desk.now() - started).total_seconds(), 3),
        "outcome": outcome,
    }
    try:
        desk.state.log_call(record)
    except OSError:
        conversation.notices.append("The log of model calls can't be written.")


# --- the first mark of an ending -----------------------------------------------------------------


def mark_ending(desk: Desk, session_id: str, reason: str) -> None:
    """Mark a session as ending: it is resumed by name only. Harmless when it is marked or ended.

    Not one that is open somewhere. Raises VaultError.
    """
    if desk.state.is_leased(session_id):
        return
    with desk.state.lock(session_id):
        data = vaults.read_meta(desk.vault, session_id)
        meta = parse_meta(data, session_id)[0] if data is not None else Meta()
        if meta.ending is not None or _has_ended(desk, session_id, meta):
            return
        changes: dict[str, Any] = {"ending": {"reason": reason, "at": format_time(desk.now())}}
        if meta.ended_at is not None:  # it went on after that
            changes |= dict.fromkeys(("ended_at", "end_reason", "duration_seconds"))
        vaults.change_meta(desk.vault, session_id, changes)
    desk.saved(Saved(session_id))


def _has_ended(desk: Desk, session_id: str, meta: Meta) -> bool:
    """Has it an end that nothing was said after? (On another machine somebody may have.)"""
    if meta.ended_at is None:
        return False
    try:
        transcript = parse(vaults.read_transcript(desk.vault, session_id)[0])
    except FileNotFoundError:
        return True
    return describe(session_id, transcript, meta, 0, "").ended_at is not None


# --- without a chat ------------------------------------------------------------------------------


def create_session(desk: Desk, fields: dict[str, Any]) -> str:
    """A session without messages: metadata only. Its id. The caller holds the lock of names.

    Raises VaultError.
    """
    now = desk.now()
    while True:
        session_id = new_session_id(now, desk.random(30))
        paths = desk.vault.transcript(session_id), desk.vault.meta(session_id)
        with desk.state.lock(session_id):
            if not any(os.path.lexists(desk.vault.absolute(path)) for path in paths):
                changes = {"name": None, "created_at": now, **fields}
                vaults.change_meta(desk.vault, session_id, changes)
                break
    _mark_as_ours(desk, session_id)
    desk.saved(Saved(session_id))
    return session_id


def add_message(
    desk: Desk, session_id: str, role: str, content: str, *, create: bool
) -> dict[str, Any]:
    """Append one message to a session, which need not be open here; the line as it was written.

    ``create``: it may have no transcript yet. Raises SessionGone, VaultError.
    """
    _mark_as_ours(desk, session_id)
    while True:
        now = desk.now()
        fields = {
            "role": role,
            "content": content.encode("utf-8", "replace").decode(),  # no lone surrogates
            "id": uuid7(now, desk.random(80)),
            "created_at": format_time(now),
            "invocation_id": desk.invocation_id,
        }
        try:
            with desk.state.lock(session_id):
                saved = vaults.append_message(desk.vault, session_id, fields, create=create)
        except SessionGone:
            if not _comes_back(desk.vault.absolute(desk.vault.transcript(session_id))):
                raise
        else:
            desk.saved(Saved(session_id, *saved))
            return fields


def _mark_as_ours(desk: Desk, session_id: str) -> None:
    """A session that this machine wrote to has had a lease here."""
    lease = desk.state.lease(session_id, desk.now())
    if lease is not None:
        lease.release()


def unmark_ending(desk: Desk, session_id: str) -> None:
    """Take the marks of an ending from a session that goes on. Raises VaultError."""
    with desk.state.lock(session_id):
        data = vaults.read_meta(desk.vault, session_id)
        meta = parse_meta(data, session_id)[0] if data is not None else Meta()
        if meta.ended_at is None and meta.ending is None:
            return
        marks = ("ending", "ended_at", "end_reason", "duration_seconds")
        vaults.change_meta(desk.vault, session_id, dict.fromkeys(marks))
    desk.saved(Saved(session_id))

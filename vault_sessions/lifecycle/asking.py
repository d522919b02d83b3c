"""Questions to a model beside the conversation: topics, facts, summaries, the user's portrait.

Each call has an end, in time and in length, and is a line in the log of calls. What it is asked
and how its answers are read is in ``assistant.prompts``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vault_sessions.errors import BadAnswer, ContextTooLong, ProviderError, ProviderUnusable
from vault_sessions.formats.times import format_time
from vault_sessions.lifecycle.desk import Desk
from vault_sessions.model import OFFLINE, Candidate, Message, Meta
from vault_sessions.rules import context

if TYPE_CHECKING:
    from vault_sessions.assistant.prompts import Known, Prompt, Summary
    from vault_sessions.assistant.provider import Call, Reply

T = TypeVar("T")

_PATIENCE = 5
"""A call may last so many times as long as the server may be silent (timeout_seconds): a small
machine needs minutes for a summary, and nobody waits for it."""
_ROOM = 8000
"""Tokens of a conversation that are sent at once to a model whose context is not known."""
_LEAST_ROOM = 250
_INSTRUCTIONS = 1000
"""Tokens that the instructions and the answer take of a small context, about."""

_without_format: set[tuple[str | None, str]] = set()
"""Servers and models that refused a schema in this run of the program."""
_rooms: dict[tuple[str | None, str], int] = {}
"""How much a model took, where it was less than was thought."""


class Who(NamedTuple):
    """Who is asked: a provider, and a model where another than the provider's is wanted."""

    provider: str
    model: str | None = None


def who(desk: Desk, meta: Meta) -> Who | None:
    """Who is asked about a session: the provider it was made with where that is usable here, else
    the default one. None: nobody, it is done without a model.

    Nobody either where the owner chose to be offline, whatever a session was made with.
    """
    from vault_sessions.assistant.provider import usable

    settings = desk.settings
    default, own = settings.default_provider, meta.provider
    if default == OFFLINE and (settings.provider_chosen or not _is_from_here(desk, meta)):
        return None
    if own in settings.providers and usable(settings.providers[own], desk.environment):
        return Who(own, meta.model)
    return None if default == OFFLINE else Who(default)


def _is_from_here(desk: Desk, meta: Meta) -> bool:
    """Did somebody talk in it on this machine? A key that is in the environment by chance is not
    used for a vault that was only copied here."""
    return meta.id is not None and desk.state.wrote(meta.id)


def is_hopeless(desk: Desk, session_id: str, kind: str, what: str) -> bool:
    """After nonsense: was it so before, with the same question? Then asking again makes no sense,
    and what can be made without a model is made."""
    name = hashlib.sha256(f"{session_id} {what}".encode()).hexdigest()[:24]
    return not desk.state.first_time(f"bad-{kind}-{name}")


# --- the questions -------------------------------------------------------------------------------


def ask_topic(desk: Desk, who: Who, session_id: str, branch: Sequence[Message]) -> str:
    """A topic, from the first exchanges. Raises ProviderError."""
    from vault_sessions.assistant import prompts

    first = [m for m in branch if m.role in ("user", "assistant") and m.text.strip()][:6]
    if not first:
        raise BadAnswer("There is nothing to make a topic of.")
    return ask(desk, who, session_id, prompts.topic(_word(desk), first))


def ask_facts(
    desk: Desk, who: Who, session_id: str, messages: Sequence[Message], entries: Sequence[Known]
) -> list[Candidate]:
    """What the user's messages say about the user, each with its source. Raises ProviderError.

    ``entries``: what memory has already. What is found is still to be checked.
    """
    from vault_sessions.assistant import prompts

    said = [m for m in messages if m.role == "user" and m.text.strip()]

    def extract(room: int) -> list[Candidate]:
        found: list[Candidate] = []
        for some in _chunks(said, room):
            near = prompts.nearest(entries, some, room)
            new = ask(desk, who, session_id, prompts.facts(_word(desk), some, near))
            found.extend(new)
        return found

    return list(dict.fromkeys(_with_room(desk, who, extract))) if said else []


def ask_summary(
    desk: Desk,
    who: Who,
    session_id: str,
    branch: Sequence[Message],
    before: str | None = None,
) -> Summary:
    """What was said in a session. A long one is read piece by piece. Raises ProviderError.

    ``before``: the summary of what was said before ``branch``.
    """
    from vault_sessions.assistant import prompts

    def summarize(room: int) -> Summary:
        notes, last = _folded(desk, who, session_id, branch, before, "", room)
        return ask(desk, who, session_id, prompts.summary(_word(desk), last, notes))

    return _with_room(desk, who, summarize)


def ask_snapshot(
    desk: Desk, who: Who, session_id: str, facts_text: str, snapshot: str, preferences: str
) -> str:
    """Three to five sentences that say who the user is. Raises ProviderError."""
    from vault_sessions.assistant import prompts

    def draw(room: int) -> str:
        # what is too long loses its beginning: the newest entries of a section are its last ones
        known = facts_text
        if len(known) > room * 3:
            known = known[-room * 3 :].partition("\n")[2]
        prompt = prompts.snapshot(_word(desk), known, snapshot[:3000], preferences[:2000])
        return ask(desk, who, session_id, prompt)

    return _with_room(desk, who, draw)


def ask_compaction(
    desk: Desk,
    who: Who,
    session_id: str,
    messages: Sequence[Message],
    before: str | None,
    keep: str = "",
) -> str:
    """Notes that stand for the messages and for the notes before them. Raises ProviderError.

    ``keep``: what the owner asked to be kept.
    """
    from vault_sessions.assistant import prompts

    def compact(room: int) -> str:
        notes, last = _folded(desk, who, session_id, messages, before, keep, room)
        return ask(desk, who, session_id, prompts.compaction(_word(desk), last, notes, keep))

    return _with_room(desk, who, compact)


def _folded(
    desk: Desk,
    who: Who,
    session_id: str,
    messages: Sequence[Message],
    before: str | None,
    keep: str,
    room: int,
) -> tuple[str | None, Sequence[Message]]:
    """The notes of all but the last messages that fit, and those."""
    from vault_sessions.assistant import prompts

    *earlier, last = _chunks(messages, room) or [[]]
    for some in earlier:
        prompt = prompts.compaction(_word(desk), some, before, keep)
        before = ask(desk, who, session_id, prompt)
    return before, last


def _word(desk: Desk) -> str:
    return f"data-{desk.random(32):08x}"


# --- how much at once ----------------------------------------------------------------------------


def _with_room(desk: Desk, who: Who, work: Callable[[int], T]) -> T:
    """Do it with as much text at once as the model takes; with less, when that is too long."""
    key = (who.provider, who.model or "")
    provider = desk.settings.providers.get(who.provider)
    known = provider.context_tokens if provider else None
    room = max(_LEAST_ROOM, int(known * 0.7) - _INSTRUCTIONS) if known else _ROOM
    room = min(room, _rooms.get(key, room))
    while True:
        try:
            return work(room)
        except ContextTooLong:
            room //= 2
            if room < _LEAST_ROOM:
                raise
            _rooms[key] = room


def _chunks(messages: Sequence[Message], room: int) -> list[list[Message]]:
    """The messages in groups of about so many tokens; a longer message loses its middle."""
    from vault_sessions.assistant.prompts import shortened

    chunks: list[list[Message]] = []
    left = 0
    for message in messages:
        size = context.tokens(message.text)
        if size > room // 2:
            part = max(200, len(message.text) * (room // 2) // size)
            message = message._replace(text=shortened(message.text, part))
            size = room // 2
        size += 8
        if not chunks or size > left:
            chunks.append([])
            left = room
        chunks[-1].append(message)
        left -= size
    return chunks


# --- one call ------------------------------------------------------------------------------------


def ask(desk: Desk, who: Who, session_id: str, prompt: Prompt[T]) -> T:
    """Ask it, and read the answer. Raises ProviderError; BadAnswer where it is none."""
    from vault_sessions.assistant import provider as providers

    chosen = desk.settings.providers.get(who.provider)
    if chosen is None:
        raise ProviderUnusable(f"There is no provider {who.provider!r}.")
    deadline = time.monotonic() + _PATIENCE * chosen.timeout_seconds
    call = providers.prepare(chosen, who.model, desk.environment)
    key = (chosen.base_url, call.model)
    if key not in _without_format:
        try:
            return _once(desk, call, session_id, prompt, _format(prompt), deadline)
        except ProviderError as error:
            if not providers.refuses(error, "response_format", "json_schema", "grammar", "schema"):
                raise
        answer = _once(desk, call, session_id, prompt, {}, deadline)
        _without_format.add(key)
        return answer
    return _once(desk, call, session_id, prompt, {}, deadline)


def _format(prompt: Prompt[Any]) -> dict[str, Any]:
    schema = {"name": prompt.kind, "schema": prompt.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _once(
    desk: Desk,
    call: Call,
    session_id: str,
    prompt: Prompt[T],
    extra: dict[str, Any],
    deadline: float,
) -> T:
    from vault_sessions.assistant import provider as providers

    length = 0

    def receive(piece: str) -> None:
        nonlocal length
        length += len(piece)
        if length > prompt.longest:
            raise BadAnswer("The model's answer does not come to an end.")

    started = desk.now()
    outcome, reply = "cancelled", None
    try:
        reply = providers.stream(call, prompt.messages, receive, extra=extra, deadline=deadline)
        answer = prompt.read(reply.text)
        outcome = "ok"
        return answer
    except ProviderError as error:
        outcome = type(error).__name__
        raise
    finally:
        log_call(desk, prompt.kind, session_id, call, reply, started, outcome)


def log_call(
    desk: Desk,
    kind: str,
    session_id: str | None,
    call: Call,
    reply: Reply | None,
    started: datetime,
    outcome: str,
) -> str | None:
    """Add a call to the log of calls; what to say where that can't be written."""
    record = {
        "at": format_time(started),
        "kind": kind,
        "session": session_id,
        "provider": call.provider.name,
        "model": reply.model if reply else call.model,
        "usage": reply.usage if reply else None,
        "seconds": round((desk.now() - started).total_seconds(), 3),
        "outcome": outcome,
    }
    try:
        desk.state.log_call(record)
    except OSError:
        return "The log of model calls can't be written."
    return None

"""An answer: what the model is sent, and what comes back, over several rounds where it calls tools;
or what the offline assistant finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from vault_sessions.errors import ContextTooLong, ProviderError, VaultError
from vault_sessions.lifecycle.asking import log_call
from vault_sessions.lifecycle.desk import Conversation, Desk
from vault_sessions.lifecycle.material import folded, gather
from vault_sessions.model import OFFLINE, Compaction, Message
from vault_sessions.rules import context

if TYPE_CHECKING:
    from vault_sessions.assistant.provider import Call, Reply
    from vault_sessions.assistant.tools import Call as ToolCall

ROUNDS = 5
"""How often the model may call tools in one answer; after that it has to answer."""
_WITHOUT_TOOLS: set[tuple[str | None, str]] = set()
"""Addresses and models that refused a request for its tools; they are not sent any again."""


class Ears(NamedTuple):
    """Who hears of an answer while it comes: its pieces, a wait before another try, a call of a
    tool, that more text will follow; ``keep(fields, reply)`` writes a line behind the conversation,
    durably."""

    on_text: Callable[[str], None]
    on_wait: Callable[[float, str], None]
    on_note: Callable[[str], None]
    on_pause: Callable[[], None]
    keep: Callable[[dict[str, Any], Reply | None], Message]


class Answered(NamedTuple):
    """Which model gave the answer, what its last text used, and what all its rounds did."""

    model: str
    last: dict[str, int] | None
    total: dict[str, int] | None


def answer(desk: Desk, conversation: Conversation, asked: Message, ears: Ears) -> Answered:
    """Say the answer to ``ears``. The lines of a round with calls are kept; the last text is left
    to the caller. Raises ProviderError."""
    if conversation.provider == OFFLINE:
        ears.on_text(_looked_up(desk, conversation, asked))
        return Answered(OFFLINE, None, None)
    from vault_sessions.assistant import provider as providers
    from vault_sessions.lifecycle import tools

    found = desk.recall(asked.text, conversation.session_id)
    chosen = desk.settings.providers[conversation.provider]
    call = providers.prepare(chosen, conversation.model, desk.environment)
    conversation.model = call.model
    definitions = tools.offered(desk, conversation)
    room = chosen.context_tokens
    limits = context.Limits(
        desk.settings.max_history_messages,
        desk.settings.max_history_tokens,
        room and max(1, room - context.tokens(json.dumps(definitions))),
    )
    material = gather(desk, conversation, asked, found)
    asking = _Asking(desk, conversation, call, ears, limits)
    return _rounds(asking, material, asked, definitions)


class _Asking:
    """The requests of one answer; what one of them taught about the server holds for the next."""

    def __init__(
        self,
        desk: Desk,
        conversation: Conversation,
        call: Call,
        ears: Ears,
        limits: context.Limits,
    ) -> None:
        self.desk = desk
        self.conversation = conversation
        self.call = call
        self.ears = ears
        self.limits = limits
        self.summary: tuple[Compaction, int] | None = None

    def ask(
        self, material: context.Material, tools: list[dict[str, Any]], *, may_call: bool
    ) -> Reply:
        """One round; once more with less where that is too long."""
        material = material._replace(summary=self.summary) if self.summary else material
        prompt = context.build(material, self.limits)
        try:
            return self._with_tools(prompt, tools, may_call)
        except ContextTooLong:
            shorter = self._shorter(material)
            if shorter == prompt:
                raise
            return self._with_tools(shorter, tools, may_call)

    def _shorter(self, material: context.Material) -> list[dict[str, Any]]:
        """A prompt of half of it: summarized, or where that can't be done left out."""
        if found := folded(self.desk, self.conversation, material):
            self.summary = found
            return context.build(material._replace(summary=found), self.limits)
        self.limits = context.halved(material, self.limits)
        return context.build(material, self.limits)

    def _with_tools(
        self, prompt: list[dict[str, Any]], tools: list[dict[str, Any]], may_call: bool
    ) -> Reply:
        """The reply; once more without tools where the server wants none, and never again."""
        server = (self.call.provider.base_url, self.call.model)
        if server in _WITHOUT_TOOLS:
            return self._once(context.without_calls(prompt), {})
        try:
            return self._once(prompt, {"tools": tools} if may_call else {})
        except ProviderError as error:
            if not _refuses_tools(error):
                raise
        if not may_call:  # it wants to know the tools of the calls that were made
            return self._once(prompt, {"tools": tools, "tool_choice": "none"})
        reply = self._once(context.without_calls(prompt), {})
        _WITHOUT_TOOLS.add(server)
        return reply

    def _once(self, prompt: list[dict[str, Any]], extra: Mapping[str, Any]) -> Reply:
        from vault_sessions.assistant import provider as providers

        started = self.desk.now()
        outcome, reply = "cancelled", None
        try:
            reply = providers.stream(
                self.call, prompt, self.ears.on_text, self.ears.on_wait, extra=extra
            )
            outcome = "ok"
            return reply
        except ProviderError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._log(reply, started, outcome)

    def _log(self, reply: Reply | None, started: datetime, outcome: str) -> None:
        if self.conversation.private:
            return
        session_id = self.conversation.session_id
        notice = log_call(self.desk, "chat", session_id, self.call, reply, started, outcome)
        if notice:
            self.conversation.notices.append(notice)


def _refuses_tools(error: ProviderError) -> bool:
    """Does the server say that it, or the model, takes no tools? Servers have no common code."""
    status = getattr(error.__cause__, "status_code", None)
    said = str(error).casefold()
    refused = status is not None and status not in (401, 403, 429)
    return refused and any(word in said for word in ("tool", "function"))


# --- rounds --------------------------------------------------------------------------------------


def _rounds(
    asking: _Asking,
    material: context.Material,
    asked: Message,
    definitions: list[dict[str, Any]],
) -> Answered:
    """Ask, do the calls, ask again, until there is an answer."""
    from vault_sessions.lifecycle import tools

    covered = material.summary[1] if material.summary else 0
    sent = {message.id for message in material.branch[covered:]}
    said = tools.Said(asked, material.branch, sent, set())
    used: dict[str, int] | None = None
    rounds = 0
    while True:
        rounds += 1
        may_call = rounds <= ROUNDS
        reply = asking.ask(material, definitions, may_call=may_call)
        used = _sum(used, reply.usage)
        if not reply.tool_calls:
            return Answered(reply.model, reply.usage, used)
        lines = _do_calls(asking, said, reply, tools.names(definitions) if may_call else ())
        material = material._replace(branch=[*material.branch, *lines])
        if not may_call:
            break
    if not reply.text.strip():
        raise ProviderError(
            f"{asking.call.model} called tools again and again, and gave no answer.\n"
            f"Ask in other words, or choose another model with --model."
        )
    return Answered(reply.model, None, used)


def _do_calls(asking: _Asking, said: Any, reply: Reply, there: tuple[str, ...]) -> list[Message]:
    """Keep the reply and a result for each of its calls, in order; the lines. Interrupted, the
    calls that are left have a result that says so."""
    from vault_sessions.assistant.tools import call_fields, calls_to_keep
    from vault_sessions.lifecycle import tools

    desk, conversation, ears = asking.desk, asking.conversation, asking.ears
    calls = calls_to_keep(reply.tool_calls, f"call_{desk.random(40):010x}")
    fields = {"role": "assistant", "content": reply.text, "tool_calls": call_fields(calls)}
    lines = [ears.keep(fields, reply)]
    done = 0
    try:
        if reply.text.strip():
            ears.on_pause()
        for number, call in enumerate(calls):
            note = None
            if not there:
                result = tools.refused("no more calls in this answer; answer the user now")
            elif number >= tools.CALLS:
                result = tools.refused(f"only {tools.CALLS} calls at once are done; call again")
            else:
                result, note = tools.do(desk, conversation, said, call, there)
            lines.append(ears.keep(_result(call, result), None))
            done += 1
            if note is not None:
                ears.on_note(note)
    except BaseException:
        for call in calls[done:]:
            with suppress(VaultError, OSError):
                ears.keep(_result(call, tools.refused("stopped by the user")), None)
        raise
    return lines


def _result(call: ToolCall, result: str) -> dict[str, Any]:
    return {"role": "tool", "content": result, "tool_call_id": call.id, "name": call.name}


def _sum(used: dict[str, int] | None, more: dict[str, int] | None) -> dict[str, int] | None:
    if used is None or more is None:
        return used or more
    return {key: used.get(key, 0) + more.get(key, 0) for key in {**used, **more}}


# --- without a model -----------------------------------------------------------------------------


def _looked_up(desk: Desk, conversation: Conversation, asked: Message) -> str:
    """What the offline assistant says: it remembers what it is told to, and looks up the rest."""
    from vault_sessions.assistant import offline

    if told := offline.told_to_remember(asked.text):
        return _remembered(desk, conversation, asked, told)
    # a model has this session before it anyway; here it is looked up like any other
    found = [hit for hit in desk.recall(asked.text, None) if hit.message_id != asked.id]
    if offline.told_to_forget(asked.text):
        return offline.how_to_forget(asked.text, found)
    return offline.answer(asked.text, found)


def _remembered(
    desk: Desk, conversation: Conversation, asked: Message, told: list[tuple[str, str]]
) -> str:
    from vault_sessions.lifecycle import tools

    if conversation.private:
        return "This conversation is private: nothing is stored, so I don't remember it."
    notes = []
    for section, text in told:
        try:
            done = tools.remember(desk, conversation, text, section, asked.id, "user")
            notes.append(done.note)
        except (VaultError, OSError) as error:
            notes.append(f"I could not remember it: {error}")
    return "\n".join(notes)

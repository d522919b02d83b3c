"""The open conversation as the screen sees it: values, made in the thread where it lives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from vault_sessions.assistant.stop import Stop, stoppable
from vault_sessions.model import Message
from vault_sessions.rules import branches
from vault_sessions.rules.branches import Fork
from vault_sessions.workspace import Workspace

if TYPE_CHECKING:
    from vault_sessions.lifecycle.compacting import Compacted
    from vault_sessions.lifecycle.desk import Conversation
    from vault_sessions.lifecycle.turns import Turn


class Wanted(NamedTuple):
    """How the chat was asked for: the flags of ``chat``."""

    session: str | None = None
    new: bool = False
    provider: str | None = None
    model: str | None = None
    skill: str | None = None
    private: bool = False


class View(NamedTuple):
    """A conversation at one moment. ``tokens``: of all its answers, as their servers said.

    ``messages`` are those of the branch that one stands on; ``forks`` says which of them have
    others beside them, by id; ``tips``: the last messages of all branches, by id; ``is_newest``:
    it is the branch that the session goes on with.
    ``told``: what there is to say about it, once. ``resumed``: the sentence that says so.
    """

    session_id: str | None
    name: str | None
    topic: str | None
    provider: str
    model: str | None
    skill: str | None
    started: datetime | None
    private: bool
    messages: tuple[Message, ...]
    tokens: int
    told: tuple[str, ...]
    forks: Mapping[str, Fork]
    tips: tuple[str, ...]
    is_newest: bool

    @property
    def at(self) -> int:
        """Which of the branches it is, from 0."""
        last = self.messages[-1].id if self.messages else ""
        return self.tips.index(last) if last in self.tips else 0

    @property
    def label(self) -> str:
        """What it is called: its name, else its topic, else that it is new."""
        return self.name or self.topic or self.session_id or "New conversation"


def look(conversation: Conversation) -> View:
    """The conversation now; what it had to tell is told."""
    from vault_sessions.lifecycle import standing

    branch = tuple(standing.branch(conversation))
    told = tuple(conversation.notices)
    conversation.notices.clear()
    meta = conversation.meta
    first = next((m.created_at for m in branch if m.created_at is not None), None)
    return View(
        conversation.session_id,
        conversation.name,
        meta.topic,
        conversation.provider,
        conversation.model,
        conversation.skill,
        meta.created_at or first or conversation.opened_at,
        conversation.private,
        branch,
        sum(_tokens(message) for message in branch),
        told,
        branches.forks(conversation.messages, branch),
        tuple(branches.tips(conversation.messages)),
        conversation.stand is None,
    )


def _tokens(message: Message) -> int:
    usage = message.fields.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) else 0


def renewed(workspace: Workspace) -> tuple[View, str] | None:
    """A new conversation with the same model and skill, and why, where the reset policy wants one
    before the next message."""
    now, decision = workspace.chat.conversation, workspace.chat.next_session()
    if now is None or decision is None:
        return None
    chosen = (now.provider, now.model) if now.switched else (None, None)
    conversation = workspace.chat.begin(
        decision, provider=chosen[0], model=chosen[1], skill=now.skill, private=now.private
    )
    return look(conversation), decision.reason


class Flow:
    """An answer to ``text``, on its way from the thread that hears it to the screen that shows it.

    Pieces may come by the hundreds a second; the screen takes what has come when it draws.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_kept = False
        """Is what is said on disk, and not in the input alone?"""
        self._come: deque[Come] = deque()
        self.stop = Stop()
        """Set, it ends the answer at once, whatever the server does; what had come is kept."""
        self.waiting: str | None = None
        self.has_begun = False
        """Has a piece of it been drawn?"""

    def feed(self, piece: str) -> None:
        """A piece of the answer has come. Raises KeyboardInterrupt once it was stopped."""
        if self.stop.is_set:
            raise KeyboardInterrupt
        self.waiting = None
        self._come.append(Come(piece))

    def wait(self, seconds: float, why: str) -> None:
        """A call failed and is tried again."""
        self.waiting = f"{why}; trying again in {max(1, round(seconds))} s"

    def note(self, text: str) -> None:
        """A tool was called."""
        self._come.append(Come(text, is_note=True))

    def take(self) -> list[Come]:
        """What has come since it was last asked, pieces that follow each other as one."""
        taken: list[Come] = []
        pieces: list[str] = []
        while self._come:
            come = self._come.popleft()
            if not come.is_note:
                pieces.append(come.text)
            if pieces and (come.is_note or not self._come):
                taken.append(Come("".join(pieces)))
                pieces = []
            if come.is_note:
                taken.append(come)
        return taken


class Come(NamedTuple):
    """Some text of an answer; or a note between two of them."""

    text: str
    is_note: bool = False


def summed_up(ws: Workspace, stop: Stop, session_id: str, keep: str) -> Compacted | str:
    """A session summarized; or why it was not."""
    try:
        with stoppable(stop):
            return ws.compaction.now(session_id, keep=keep)
    except KeyboardInterrupt:
        return "it was stopped"


def turn(ws: Workspace, flow: Flow, again: str | None) -> tuple[Turn, View]:
    """Say something in the open conversation, or say that message again; what came of it."""
    now = ws.chat.conversation
    known = {message.id for message in now.messages} if now is not None else set()
    try:
        with stoppable(flow.stop):
            done = ws.chat.take_turn(
                flow.text, on_text=flow.feed, on_wait=flow.wait, on_note=flow.note, again=again
            )
    finally:
        flow.is_kept = now is not None and (
            again in known or any(m.role == "user" and m.id not in known for m in now.messages)
        )
    assert now is not None
    return done, look(now)


def change_of(
    name: str, given: str, session_id: str | None
) -> tuple[Callable[[Workspace], None], str]:
    """What a slash command does to the open session, and what is said when it is done."""

    def change(ws: Workspace) -> None:
        match name:
            case "title" if session_id is not None:
                ws.set_topic(session_id, given)
                ws.chat.refresh()
            case "export" if session_id is not None:
                ws.transfer.export(session_id, given)
            case "skill":
                ws.chat.use_skill(given if given != "none" else None)
            case "model":
                ws.chat.use_model(*ws.models.named(given))

    told = {"title": "Topic:", "export": "Exported to", "skill": "Skill:", "model": "Model:"}
    return change, f"{told[name]} {given}"


def is_continued(before: Sequence[Message], again: str | None, after: Sequence[Message]) -> bool:
    """Is there nothing new in ``after`` but what was said last, and the answer to it? ``again``:
    the message of ``before`` in whose place it was said."""
    said = max((at for at, message in enumerate(after) if message.role == "user"), default=0)
    cut = next((at for at, message in enumerate(before) if message.id == again), len(before))
    return [(m.id, m.text) for m in before[:cut]] == [(m.id, m.text) for m in after[:said]]

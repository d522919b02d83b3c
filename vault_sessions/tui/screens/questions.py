"""What of memory is to be confirmed while one chats: asked between two messages, never over typing.

A card above the input shows it. It is given the keys when there is nothing in the input, or by F2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical

from vault_sessions.errors import VaultSessionsError
from vault_sessions.model import Proposal
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.cards.correction import CorrectionCard, Question
from vault_sessions.tui.widgets.conversation import Conversation
from vault_sessions.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from vault_sessions.model import Change
    from vault_sessions.workspace import Workspace

OFFERS = 5
"""So many changes that wait for an answer are asked about at the start."""


class Questions(Vertical):
    """The place of the card. Its questions are answered here, in the threads where they can be.

    ``session_now`` gives the open session.
    """

    app: ChatApp

    def __init__(self, session_now: Callable[[], str | None]) -> None:
        super().__init__()
        self._session_now = session_now

    def compose(self) -> ComposeResult:
        """The card; it is not there while nothing is asked."""
        yield CorrectionCard(self._type_on)

    def _type_on(self, text: str) -> None:
        self._prompt.type_on(text)

    @property
    def _card(self) -> CorrectionCard:
        return self.query_one(CorrectionCard)

    @property
    def _prompt(self) -> Prompt:
        return self.screen.query_one(Prompt)

    @property
    def is_waiting(self) -> bool:
        """Is something asked, and the keys are elsewhere?"""
        return self._card.asks is not None and not self._card.has_keys

    # --- where questions come from ---

    @work(group="confirm")
    async def ask_offers(self) -> None:
        """Ask about what came up in the background, in earlier conversations."""
        try:
            offers = await self.app.reader.do(lambda ws: ws.corrections.offers())
        except (VaultSessionsError, OSError) as error:
            await self._say_so(f"Warning: {error}")
            return
        self._put(*(Question(offer, "offer") for offer in offers[:OFFERS]))
        if len(offers) > OFFERS:
            await self._say_so(f"{len(offers) - OFFERS} more will be asked about next time.")

    @work(group="confirm")
    async def look_for_correction(self, text: str) -> None:
        """Ask about the correction in what was just said, if there is one."""
        try:
            proposal = await self.app.talker.do(lambda ws: ws.corrections.find(text))
        except (VaultSessionsError, OSError) as error:  # the answer was given all the same
            await self._say_so(f"Warning: {error}")
            return
        if proposal is not None and proposal.session_id == self._session_now():
            self._put(Question(proposal, "said"))

    def ask_for_tool(self, proposal: Proposal, answer: Callable[[str | None], None]) -> None:
        """A tool waits for the answer."""
        self._put(Question(proposal, "tool", answer))
        if self.app.screen is not self.screen:
            self.notify("The assistant asks something about memory: see the chat.")

    def forget(self) -> None:
        """What was said in another conversation is not asked about any more."""
        now = self._session_now()
        self._card.drop(lambda q: q.origin == "said" and q.proposal.session_id != now)

    def refuse_tools(self) -> None:
        """The answer is stopped: nobody waits for these any more."""
        self._card.drop(lambda q: q.origin == "tool")

    # --- asking ---

    def _put(self, *questions: Question) -> None:
        if questions:
            self._card.ask(*questions)
            self.ask_when_quiet()

    def ask_when_quiet(self) -> None:
        """Let the card have the keys, unless something is being typed."""
        is_quiet = not self._prompt.text and self.screen.focused in (None, self._prompt)
        if is_quiet and self.is_waiting:
            self._card.focus()
        self.refresh_bindings()

    def answer(self) -> None:
        """Give the card the keys, if something is asked."""
        if self._card.asks is not None:
            self._card.focus()

    def on_correction_card_empty(self, event: CorrectionCard.Empty) -> None:
        """There is nothing to be answered any more."""
        if event.had_keys or self.screen.focused is None:
            self._prompt.focus()
        self.refresh_bindings()

    # --- answers ---

    @work(group="confirm")
    async def on_correction_card_answered(self, event: CorrectionCard.Answered) -> None:
        """Do what the person wants."""
        card, question, text = self._card, event.question, event.text
        if question.answer is not None:
            question.answer(text)
        elif text is None:
            card.done(question)
            await self._declined(question)
        else:
            try:
                change = await self.app.reader.do(lambda ws: _saved(ws, question, text))
            except (VaultSessionsError, OSError) as error:
                card.complain(str(error))
                return
            await self._say_so(_told(change))
        card.done(question)
        self.ask_when_quiet()

    async def _declined(self, question: Question) -> None:
        """No is remembered, wherever the question came from."""

        def decline(ws: Workspace) -> None:
            if question.origin == "offer":
                ws.corrections.settle(question.proposal)
            else:
                ws.corrections.decline(question.proposal)

        hand = self.app.reader if question.origin == "offer" else self.app.talker
        try:
            await hand.do(decline)
        except (VaultSessionsError, OSError) as error:
            await self._say_so(f"Warning: {error}")

    def on_correction_card_later(self, event: CorrectionCard.Later) -> None:
        """A tool can't wait for another time."""
        if event.question.answer is not None:
            event.question.answer(None)

    async def _say_so(self, text: str) -> None:
        await self.screen.query_one(Conversation).note(text)


def _saved(ws: Workspace, question: Question, text: str) -> Change:
    """Save it, in a hand's thread; what came up in the background is settled then."""
    change = ws.corrections.save(question.proposal, text)
    if question.origin == "offer":
        ws.corrections.settle(question.proposal)
    return change


def _told(change: Change) -> str:
    what = "taken out" if change.new is None else "added" if change.old is None else "changed"
    return f"Saved: {change.file}, {what}. /memory, then u, takes it back."

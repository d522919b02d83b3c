"""What is going on in the open conversation, and waiting for its end."""

from __future__ import annotations

from asyncio import Event

from vault_sessions.assistant.stop import Stop
from vault_sessions.tui.talk import Flow


class UnderWay:
    """An answer, a summary, both (the one waits for the other), or nothing."""

    def __init__(self) -> None:
        self.answer: Flow | None = None
        self._summary: Stop | None = None
        self._rested = Event()
        self._rested.set()

    @property
    def is_nothing(self) -> bool:
        """Is nothing going on?"""
        return self.answer is None and self._summary is None

    @property
    def what(self) -> str:
        """The sentence that says what is going on."""
        return "An answer is coming" if self.answer is not None else "A summary is being made"

    @property
    def status(self) -> str:
        """The same for the line of status, while nothing of it has come."""
        if self.answer is None:
            return "summarizing"
        return "thinking" if self._summary is None else "summarizing first"

    def begin_answer(self, text: str) -> Flow:
        """Somebody says something; what comes of it."""
        self._rested.clear()
        self.answer = Flow(text)
        return self.answer

    def end_answer(self, flow: Flow) -> None:
        """This answer is done, or there is none."""
        if self.answer is flow:
            self.answer = None
        self._tell()

    def begin_summary(self) -> Stop:
        """A summary is made; set, what comes back ends it."""
        self._rested.clear()
        self._summary = Stop()
        return self._summary

    def end_summary(self) -> None:
        """It is made, or it is not."""
        self._summary = None
        self._tell()

    def stop(self) -> None:
        """End all of it; each says itself when it has ended."""
        if self._summary is not None:
            self._summary.set()
        if self.answer is not None:
            self.answer.stop.set()

    async def rest(self) -> None:
        """Wait until nothing is going on."""
        await self._rested.wait()

    def _tell(self) -> None:
        if self.is_nothing:
            self._rested.set()

"""One message of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static

from vault_sessions.formats.display import Flowing, safe, safe_line
from vault_sessions.model import Message
from vault_sessions.rules.branches import Fork
from vault_sessions.tui.widgets.marker import Marker
from vault_sessions.tui.widgets.prose import Prose, forget

_LONGEST_NOTE = 200
_LONGEST_QUESTION = 20_000
"""Of what somebody pasted so much is shown; all of it was said."""
_MOST_LINES = 5000


class Said(Vertical):
    """What one side said: the user's words as they are, an answer as Markdown."""

    def __init__(
        self,
        message_id: str,
        role: str,
        text: str,
        status: str | None = None,
        fork: Fork | None = None,
    ) -> None:
        super().__init__(classes=f"said {role}")
        self.message_id = message_id
        self.role = role
        self.text = text
        self._status = status
        self._fork = fork
        is_answer = role == "assistant"
        self._prose = (
            Prose(text) if is_answer else Prose(text, plain=True, longest=_LONGEST_QUESTION)
        )
        self._coming = Flowing()
        self._drawn = 0
        self._sought: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        """The text, and what became of an answer that was cut short."""
        if self._fork is not None:
            yield Marker(self._fork)
        yield self._prose
        if self._status == "cancelled":
            yield Note("(stopped; what had arrived is kept)")
        elif self._status == "error":
            yield Note("(broken off; what had arrived is kept)")

    def render_lines(self, crop: Region) -> list[Strip]:
        """What is to be seen of its ground and its border; of the rest nothing is remembered."""
        self._drawn += crop.height
        if self._drawn > _MOST_LINES:
            self._drawn = 0
            forget(self)
        return super().render_lines(crop)

    def mark(self, words: Sequence[str]) -> None:
        """Let it stand out, and these words in it."""
        self.add_class("found")
        self._prose.mark(words)
        self._sought = tuple(words)

    def unmark(self) -> None:
        """It does not stand out any more."""
        self.remove_class("found")
        self._prose.mark(())

    def row_sought(self, rows: int) -> int:
        """How far down in it the words stand that were looked for, once it is laid out; 0 where
        they are among its first ``rows`` rows. It is told once."""
        words, self._sought = self._sought, ()
        row = self._prose.line_with(words) if words else 0
        return row if row >= rows else 0

    def add(self, piece: str) -> None:
        """More of an answer has come."""
        self.text += piece
        self._prose.add(self._coming.feed(piece))

    async def written(self, message_id: str, fork: Fork | None) -> None:
        """It is on disk now, as that message, and there may be others beside it."""
        self.message_id = message_id
        if rest := self._coming.close():
            self._prose.add(rest)
        if fork is not None and self._fork is None:
            self._fork = fork
            await self.mount(Marker(fork), before=0)


class Note(Static):
    """A quiet line between the messages; ``message_id``: the one that it stands for."""

    def __init__(self, text: str, *, classes: str = "note", message_id: str | None = None) -> None:
        super().__init__(Text(safe(text)), classes=classes)
        self.message_id = message_id


def tool_note(message: Message) -> str | None:
    """A line for a tool call or its result; None where the message is neither."""
    if message.role == "tool":
        return f"⤷ {safe_line(message.text)[:_LONGEST_NOTE]}"
    calls = message.fields.get("tool_calls")
    names = []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            names.append(f"{function.get('name')}({str(function.get('arguments'))[:120]})")
    return f"⚒ {safe_line(', '.join(names))[:_LONGEST_NOTE]}" if names else None

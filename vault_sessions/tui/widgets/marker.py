"""Which of several forms of a message is shown: ``‹ 2/3 ›``."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import Static

from vault_sessions.rules.branches import Fork


class Marker(Static):
    """A click on its left half goes to the form before, on its right half to the one after."""

    class Moved(Message):
        """Another form is wanted: the message with this id."""

        def __init__(self, message_id: str) -> None:
            super().__init__()
            self.message_id = message_id

    def __init__(self, fork: Fork) -> None:
        super().__init__(_text(fork), markup=False)
        self._fork = fork

    @property
    def message_id(self) -> str:
        """The form that is shown."""
        return self._fork.ids[self._fork.at]

    def on_click(self, event: events.Click) -> None:
        """Go there, if there is one."""
        event.stop()
        wanted = self._fork.at + (-1 if event.x < self.size.width / 2 else 1)
        if 0 <= wanted < len(self._fork.ids):
            self.post_message(self.Moved(self._fork.ids[wanted]))


def _text(fork: Fork) -> str:
    before = "‹" if fork.at else " "
    after = "›" if fork.at + 1 < len(fork.ids) else " "
    return f"{before} {fork.at + 1}/{len(fork.ids)} {after}"

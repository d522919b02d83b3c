"""Where one types: Enter sends, Ctrl+J begins a new line, Up and Down go through what was said."""

from __future__ import annotations

import re

from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.document._document import Document, EditResult, Location
from textual.document._edit import Edit as Replacement
from textual.message import Message
from textual.widgets import TextArea

from vault_sessions.tui.widgets.completion import Completion

_SHOWN = {code: 0x2400 + code for code in range(0x20) if code != 9} | {0x7F: 0x2421}
_SHOWN |= dict.fromkeys(range(128, 160), 65533) | {0x2028: 0x240A, 0x2029: 0x240A}
"""Characters that could move the cursor, and what stands for them on the screen."""


LONGEST = 20_000
"""A longer text that is pasted or put there stands as a sign for it: each key would draw all of
it."""
_SIGN = re.compile(r"⟦[^⟦⟧\n]*⟧")


class _Lines(Document):
    """Text whose lines end with a newline and with nothing else: not at U+2028, form feeds, …"""

    def __init__(self, text: str) -> None:
        super().__init__("")
        self._newline = "\n"
        self._lines = text.split("\n")

    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        """Put ``text`` in the place of what stands between two locations."""
        top, bottom = sorted((start, end))
        removed = self.get_text_range(top, bottom)
        lines = self._lines
        new = text.split("\n")
        before, after = lines[top[0]][: top[1]], lines[bottom[0]][bottom[1] :]
        new[0] = before + new[0]
        column = len(new[-1])
        new[-1] += after
        lines[top[0] : bottom[0] + 1] = new
        return EditResult((top[0] + len(new) - 1, column), removed)


class Prompt(TextArea):
    """The input. It grows with its text, up to two fifths of the screen."""

    # before the text area has them: it would type them
    BINDINGS = [
        Binding("enter", "submit", "Send", show=False, priority=True),
        Binding("ctrl+j,shift+enter", "new_line", "A new line", show=False, priority=True),
        Binding(
            "up",
            "back",
            "Said before",
            show=False,
            priority=True,
            tooltip="what was said before; in an empty input: edit your last message",
        ),
        Binding("down", "forth", "Said after", show=False, priority=True),
        Binding("tab", "complete", "Complete a command", show=False, priority=True),
    ]

    class Submitted(Message):
        """Enter was pressed; the text stays until the screen takes it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Edit(Message):
        """Up was pressed in an empty input, or Up or Down in a message to be edited that is still
        as it was: the one before (-1) or after it is to be edited."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, completion: Completion) -> None:
        super().__init__(
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            compact=True,
            placeholder="Say something · / for commands",
        )
        self.completion = completion
        self.said: list[str] = []
        self._at = 0
        self._draft = ""
        self._submitted = ""
        self.again: str | None = None
        """The message (its id) that the text says again."""
        self._as_it_was = ""
        self._put_aside = ""
        self._folded: dict[str, str] = {}
        self._changed: dict[int, str] = {}

    @property
    def whole(self) -> str:
        """All of the text, with what only a sign stands for."""
        return self._unfolded(self.text)

    def _unfolded(self, text: str) -> str:
        return _SIGN.sub(lambda sign: self._folded.get(sign[0], sign[0]), text)

    def _fold(self, text: str) -> str:
        if len(text) <= LONGEST:
            return text
        sign = f"⟦{len(text):,} characters, pasted as text {len(self._folded) + 1}⟧"
        self._folded[sign] = text
        return sign

    def _set_document(self, text: str, language: str | None) -> None:
        super()._set_document("", language)
        document = _Lines(text)
        self.document = document
        self.wrapped_document = type(self.wrapped_document)(document, tab_width=self.indent_width)
        self.navigator = type(self.navigator)(self.wrapped_document)
        self.move_cursor((0, 0))
        self._rewrap_and_refresh_virtual_size()

    def get_line(self, line_index: int) -> Text:
        """A line as it may be drawn: what could control the terminal is shown by a sign for it."""
        line = self.document.get_line(line_index).translate(_SHOWN)
        return Text(line, end="", no_wrap=True)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.type_on(event.text)

    def type_on(self, text: str) -> None:
        """Go on here with what was typed or pasted, wherever the keys went before."""
        self.focus()
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
        if result := self._replace_via_keyboard(self._fold(text), *self.selection):
            self.move_cursor(result.end_location)

    # --- keys ---

    def action_submit(self) -> None:
        """Send what is there; a command that is being chosen, once it is whole."""
        command = self.completion.marked
        if command is not None and self.text.strip() != f"/{command.name}":
            self.action_complete()
            if command.argument:
                return
        if self.text.strip():
            self._submitted = self.text
            self.post_message(self.Submitted(self.whole))

    def action_new_line(self) -> None:
        """A new line where the cursor is."""
        self._replace_via_keyboard("\n", *self.selection)

    def edit(self, edit: Replacement) -> EditResult:
        """(Textual's: all that changes the text.) What cuts into a sign takes the whole of it, with
        what it stands for; what is typed in one comes behind it."""
        if self._folded:
            first, last = sorted((edit.from_location, edit.to_location))
            start, end = self._around_sign(*first), self._around_sign(*last)
            edit.from_location = end[1] if first == last else start[0]
            edit.to_location = end[1]
        return super().edit(edit)

    def _around_sign(self, row: int, column: int) -> tuple[Location, Location]:
        """Where the sign begins and ends that this is inside of; else this place, twice."""
        for sign in _SIGN.finditer(self.document.get_line(row)):
            if sign[0] in self._folded and sign.start() < column < sign.end():
                return (row, sign.start()), (row, sign.end())
        return (row, column), (row, column)

    def action_back(self) -> None:
        """A line up; above the first one, what was said before."""
        if self.completion.found:
            self.completion.move(-1)
        elif not self.text and self._at == len(self.said) and self.said:
            self.post_message(self.Edit(-1))
        elif self.again is not None:
            if self.is_as_it_was and self.cursor_at_first_line and not self._is_wrapped_above():
                self.post_message(self.Edit(-1))
            else:
                self.action_cursor_up()
        elif self.cursor_location[0] > 0 or self._is_wrapped_above():
            self.action_cursor_up()
        elif self._at > 0:
            self._show(self._at - 1)

    def action_forth(self) -> None:
        """A line down; below the last one, what was said after, and then the draft again."""
        if self.completion.found:
            self.completion.move(1)
        elif self.again is not None:
            if self.is_as_it_was and self.cursor_at_last_line and not self._is_wrapped_below():
                self.post_message(self.Edit(1))
            else:
                self.action_cursor_down()
        elif self.cursor_location[0] < self.document.line_count - 1 or self._is_wrapped_below():
            self.action_cursor_down()
        elif self._at < len(self.said):
            self._show(self._at + 1)

    def action_complete(self) -> None:
        """Take the command that is marked."""
        if (command := self.completion.marked) is not None:
            self.put(f"/{command.name} " if command.argument else f"/{command.name}")

    def _is_wrapped_above(self) -> bool:
        return self.navigator.get_location_above(self.cursor_location) != (0, 0) and bool(
            self.wrapped_document.location_to_offset(self.cursor_location).y
        )

    def _is_wrapped_below(self) -> bool:
        here = self.wrapped_document.location_to_offset(self.cursor_location).y
        return here < self.wrapped_document.height - 1

    def _show(self, at: int) -> None:
        if self._at == len(self.said):
            self._draft = self.whole
        elif self.whole != self.said[self._at]:
            self._changed[self._at] = self.whole
        self._at = at
        said = self.said[at] if at < len(self.said) else self._draft
        self.put(self._changed.get(at, said))

    def remember(self, said: list[str]) -> None:
        """What Up brings back: the oldest first."""
        self.said = said
        self._at = len(said)
        self._changed = {}

    def taken(self) -> None:
        """The text was taken: it can be brought back, and is in the input no more. What was typed
        behind it meanwhile is."""
        said = self._submitted if self.text.startswith(self._submitted) else self.text
        rest = self.text[len(said) :]
        self.remember([*self.said, self._unfolded(said)])
        self._draft = ""
        self.put(rest)
        self.leave_edit(rest)

    def put(self, text: str) -> None:
        """Put a text there to be edited."""
        self.load_text(self._fold(text))
        self.move_cursor(self.document.end)

    @property
    def is_blank(self) -> bool:
        """Is nothing typed, and nothing to be said again?"""
        return not self.text and self.again is None

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """(Textual's.) As long as nothing is typed the screen may have a use for these."""
        if key in ("less_than_sign", "greater_than_sign") and self.is_blank:
            return False
        return super().check_consume_key(key, character)

    def put_before(self, text: str) -> None:
        """Put a text there before what stands there already, if it is any."""
        if text:
            self.put(f"{text}\n\n{self.whole}" if self.text else text)

    # --- a message that is said again ---

    @property
    def is_as_it_was(self) -> bool:
        """Is the message to be said again unchanged?"""
        return self.again is not None and self.whole == self._as_it_was

    def begin_edit(self, message_id: str, text: str) -> None:
        """Put a message there to be said again; what stands there now comes back afterwards."""
        if self.again is None:
            self._put_aside = self.whole
        self.again, self._as_it_was = message_id, text
        self.refresh_bindings()
        self.border_title = "Say it again · Enter: on a branch of its own · Esc: leave it"
        self.put(text)

    def leave_edit(self, typed: str = "") -> None:
        """Say nothing again; what was being typed before is there, and what was ``typed`` since."""
        if self.again is None:
            return
        self.again = None
        self.refresh_bindings()
        self.border_title = ""
        self.put(self._put_aside + typed)
        self._put_aside = ""

    def recall(self) -> None:
        """What was typed last."""
        if self._at > 0:
            self._show(self._at - 1)

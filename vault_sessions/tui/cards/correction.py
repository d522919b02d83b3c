"""Changes of memory to be confirmed, above the input: old → new, yes, no, or edited first.

Nobody's typing answers them. The card has the keys only when it is given the focus; a letter that
is followed at once by another one begins a word, and all letters but its own are for the input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static, TextArea

from vault_sessions.formats.display import safe, safe_line
from vault_sessions.model import Proposal

_WORD_SECONDS = 0.3
_KEYS = "y · n · e edits first · Esc not now"

Origin = Literal["said", "offer", "tool"]
_QUESTIONS = {
    "said": "Save this correction?",
    "offer": "From an earlier conversation. Save this?",
    "tool": "The assistant wants to change this. Save it?",
}


class Question(NamedTuple):
    """What is asked: a change that the person made in passing (``said``), one that came up in the
    background (``offer``), or one that a tool wants to make, which waits for ``answer``."""

    proposal: Proposal
    origin: Origin
    answer: Callable[[str | None], None] | None = None


class Edited(TextArea):
    """The new text, to be changed; Enter saves it."""

    BINDINGS = [
        Binding("enter", "save", "Save", priority=True),
        Binding("escape", "back", "Back", priority=True),
    ]

    class Done(Message):
        """What was typed, or None: it is left as it was."""

        def __init__(self, text: str | None) -> None:
            super().__init__()
            self.text = text

    def action_save(self) -> None:
        """Save what is there."""
        if self.text.strip():
            self.post_message(self.Done(" ".join(self.text.split())))

    def action_back(self) -> None:
        """Leave the text as it was."""
        self.post_message(self.Done(None))


class CorrectionCard(VerticalScroll, can_focus=True):
    """Shows the first of the questions; hidden where there are none.

    ``typed`` gets what somebody types that is no answer. It is called at once, so that no later
    letter comes before it.
    """

    BINDINGS = [
        Binding("y", "letter('y')", "Save"),
        Binding("n", "letter('n')", "No"),
        Binding("e", "letter('e')", "Edit first"),
        Binding("escape", "later", "Not now"),
    ]

    class Answered(Message):
        """The text to save; empty text takes the entry out; None is no. The question stays until
        ``done`` or ``complain``."""

        def __init__(self, question: Question, text: str | None) -> None:
            super().__init__()
            self.question = question
            self.text = text

    class Later(Message):
        """It was not answered."""

        def __init__(self, question: Question) -> None:
            super().__init__()
            self.question = question

    class Empty(Message):
        """The last question is answered; ``had_keys``: the keys are to go back to the input."""

        def __init__(self, had_keys: bool) -> None:
            super().__init__()
            self.had_keys = had_keys

    def __init__(self, typed: Callable[[str], None]) -> None:
        super().__init__(classes="correction hidden")
        self._typed = typed
        self._questions: deque[Question] = deque()
        self._asked = 0
        self._letter = ""
        self._timer: Timer | None = None
        self._is_sent = False

    def compose(self) -> ComposeResult:
        """What stands there now, what would, and the question."""
        yield Static(classes="old")
        yield Static(classes="new")
        edited = Edited(soft_wrap=True, compact=True, highlight_cursor_line=False)
        edited.add_class("hidden")
        yield edited
        yield Static(classes="fault hidden")
        yield Static(classes="question")

    # --- what is asked ---

    @property
    def asks(self) -> Question | None:
        """The question that is shown."""
        return self._questions[0] if self._questions else None

    @property
    def has_keys(self) -> bool:
        """Is it, or the text that is edited in it, where the keys go?"""
        return self.has_focus or self.query_one(Edited).has_focus

    def ask(self, *questions: Question) -> None:
        """Ask these too."""
        self._questions.extend(questions)
        self._asked += len(questions)
        self._show()

    def done(self, question: Question) -> None:
        """It is answered; show the next one."""
        if question in self._questions:
            self._questions.remove(question)
        self._show()

    def drop(self, which: Callable[[Question], bool]) -> None:
        """Nobody waits for the answer to these any more."""
        before = self.asks
        for question in [q for q in self._questions if which(q)]:
            self._questions.remove(question)
            if question.answer is not None:
                question.answer(None)
        if self.asks is not before:
            self._show()

    def complain(self, text: str) -> None:
        """It could not be saved: say why, and ask again."""
        self._is_sent = False
        fault = self.query_one(".fault", Static)
        fault.update(Text(safe_line(text)))
        fault.remove_class("hidden")

    def _show(self) -> None:
        self._is_sent = False
        self._forget_letter()
        question, had_keys = self.asks, self.has_keys
        self.set_class(question is None, "hidden")
        if question is None:
            self._asked = 0
            self.post_message(self.Empty(had_keys))
            return
        self.query_one(".fault").add_class("hidden")
        self._close_editor()
        one = question.proposal
        where = f"{one.file} › {one.section}" if one.section else one.file
        self.border_title = Content(safe_line(where))
        place = self._asked - len(self._questions) + 1
        self.border_subtitle = f"{place} of {self._asked}" if self._asked > 1 else ""
        old, new = self.query_one(".old", Static), self.query_one(".new", Static)
        old.display = one.old is not None
        old.update(Text(f"− {safe(one.old or '').strip()}"))
        taken = Text("+ (taken out)", "italic")
        new.update(taken if one.new is None else Text(f"+ {safe(one.new).strip()}"))
        self._draw_question(*([_KEYS] if self.has_focus else []))
        self.scroll_home(animate=False)

    def _draw_question(self, keys: str = "F2 answers") -> None:
        if self.asks is None:
            return
        line = Text(_QUESTIONS[self.asks.origin], "bold")
        line.append(f"  {keys}", "not bold")
        self.query_one(".question", Static).update(line)

    # --- keys ---

    def on_descendant_focus(self) -> None:
        """The text is edited."""
        self._draw_question("Enter saves · Esc does not")

    def on_focus(self) -> None:
        """It has the keys."""
        self._draw_question(_KEYS)

    def on_blur(self) -> None:
        """The input has them again."""
        self._draw_question()

    def action_letter(self, letter: str) -> None:
        """An answer, unless it is the beginning of a word."""
        if self._letter:
            self._type(self._letter + letter)
        else:
            self._letter = letter
            self._timer = self.set_timer(_WORD_SECONDS, self._answer)

    def on_key(self, event: events.Key) -> None:
        """What is no answer is for the input. (Bindings would be looked at later, behind keys that
        come meanwhile.)"""
        if not (self.has_focus and event.is_printable and event.character):
            return
        event.stop()
        event.prevent_default()
        if event.character in ("y", "n", "e"):
            self.action_letter(event.character)
        else:
            self._type(self._letter + event.character)

    def on_paste(self, event: events.Paste) -> None:
        """A paste is for the input."""
        if self.has_focus:
            event.stop()
            self._type(self._letter + event.text)

    def _type(self, text: str) -> None:
        self._forget_letter()
        self._typed(text)

    def _forget_letter(self) -> None:
        self._letter = ""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _answer(self) -> None:
        letter, question = self._letter, self.asks
        self._forget_letter()
        if question is None or self._is_sent:
            return
        if letter == "e":
            self._open_editor(question)
        else:
            self._send(question, (question.proposal.new or "") if letter == "y" else None)

    def _send(self, question: Question, text: str | None) -> None:
        self._is_sent = True
        self.post_message(self.Answered(question, text))

    def action_later(self) -> None:
        """Answer it another time."""
        question = self.asks
        if question is not None and not self._is_sent:
            self.post_message(self.Later(question))
            self.done(question)

    # --- editing first ---

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """That is nobody else's."""
        event.stop()

    def _open_editor(self, question: Question) -> None:
        edited = self.query_one(Edited)
        edited.load_text(safe_line(question.proposal.new or question.proposal.old or ""))
        edited.move_cursor(edited.document.end)
        edited.remove_class("hidden")
        self.query_one(".new").display = False
        edited.focus()

    def _close_editor(self) -> None:
        edited = self.query_one(Edited)
        had_keys = edited.has_focus
        edited.add_class("hidden")
        self.query_one(".new").display = True
        if had_keys:
            self.focus()

    @on(Edited.Done)
    def _edited(self, event: Edited.Done) -> None:
        """Save what was typed, or ask again."""
        event.stop()
        if event.text is None:
            self._close_editor()
        elif self.asks is not None and not self._is_sent:
            self._send(self.asks, event.text)

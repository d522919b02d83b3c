"""The terminal UI's frame: hands to work with, what they ask of a person, a theme, and the chat."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock
from time import monotonic
from typing import Any, Protocol, TypeVar, runtime_checkable

from textual import events
from textual.app import App, SuspendNotSupported
from textual.binding import Binding
from textual.dom import DOMNode
from textual.message import Message
from textual.screen import Screen
from textual.worker import WorkerFailed

from vault_sessions.background import Background
from vault_sessions.formats.display import safe, safe_line
from vault_sessions.live import Live
from vault_sessions.model import Proposal
from vault_sessions.tui.cards.ask import AskScreen
from vault_sessions.tui.hands import Hand
from vault_sessions.tui.in_order import InOrder
from vault_sessions.tui.themes import SIGNS_DARK, SIGNS_LIGHT, THEMES, theme_for
from vault_sessions.workspace import Workspace

T = TypeVar("T")
_LEAVING_SECONDS = 10.0
_LISTENING_SECONDS = 0.5
_TWICE_SECONDS = 2.0
_SHORT = 70
"""Characters that a line of status has room for."""


class OpenWorkspace(Protocol):
    """Opens the vault; what it has to say and to ask goes to these."""

    def __call__(
        self,
        *,
        say: Callable[[str], None],
        ask: Callable[[str], bool],
        confirm: Callable[[Proposal], str | None],
    ) -> Workspace: ...


@runtime_checkable
class Hearing(Protocol):
    """A screen that wants to know what changes in the vault."""

    def heard(self, kind: str, text: str) -> None: ...


@runtime_checkable
class Chatting(Protocol):
    """A screen that may have an answer on its way."""

    def interrupt(self) -> None: ...

    def leave(self) -> str | None: ...


@runtime_checkable
class Confirming(Protocol):
    """A screen that puts changes of memory to the person."""

    def confirm(self, proposal: Proposal, answer: Callable[[str | None], None]) -> None: ...


class Told(Message):
    """A hand has something to say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Heard(Message):
    """Something changed in the vault: ``kind`` as ``Live`` has it, ``text`` what."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__()
        self.kind = kind
        self.text = text


@runtime_checkable
class Quiet(Protocol):
    """A screen that has a place for what is said in passing."""

    def note_in_passing(self, text: str) -> None: ...


class ChatApp(App[str | None]):
    """Runs until it is left; its result is the session to come back to, None: there is none."""

    CSS_PATH = "app.tcss"
    TITLE = "vault-sessions"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("ctrl+q", "leave", "Quit", priority=True),
        Binding(
            "ctrl+c",
            "interrupt",
            "Stop",
            show=False,
            priority=True,
            tooltip="stop the answer; twice: leave, nothing is lost",
        ),
    ]

    def __init__(
        self,
        open_workspace: OpenWorkspace,
        first: Callable[[], Screen[None]],
        theme: str = "auto",
        behind: Background | None = None,
    ) -> None:
        super().__init__(ansi_color="NO_COLOR" in os.environ or None)
        for one in THEMES:
            self.register_theme(one)
        self.set_reactive(App.ansi_theme_dark, SIGNS_DARK)
        self.set_reactive(App.ansi_theme_light, SIGNS_LIGHT)
        self.behind = behind
        """Does what is due without being asked: topics, compactions, endings; None: nothing does.
        It is finished by who made it."""
        self.failure: Exception | None = None
        """Why there was nothing to begin with."""
        self.broke: str | None = None
        """What broke the screen, and where; None: nothing did."""
        self._interrupted_at = 0.0
        self._first = first
        self._wanted_theme = theme
        self._open_workspace = open_workspace
        self._waiting: set[SimpleQueue[Any]] = set()
        self._leaving = False
        self._live: Live | None = None
        self._live_lock = Lock()
        self.deleted: list[str] = []
        """The sessions that were deleted here, the latest last: they can be brought back."""
        self.talker = Hand(self._opened)
        """Has the open conversation; an answer may keep it busy."""
        self.reader = Hand(self._opened)
        """Lists, searches and previews, whatever the other one does."""
        self.asker = Hand(self._opened)
        """Asks servers what they offer; it may wait long for one."""
        self.typed = InOrder(super().on_event, self._typed_at)

    def on_mount(self) -> None:
        """Show the first screen; what it holds comes when it has been read."""
        colours = None if self.no_color else self.console.color_system
        self.theme = theme_for(self._wanted_theme, os.environ, colours).name
        self._leave_in_order()
        if self.behind is not None:
            self.set_interval(_LISTENING_SECONDS, self._listen)
        self.push_screen(self._first())

    async def on_event(self, event: events.Event) -> None:
        """What is typed and pasted waits for its turn."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self.typed.add(event):
            self.run_worker(self.typed.take_all(), group="typed")

    def _typed_at(self) -> DOMNode:
        return self.focused or self.screen

    def _leave_in_order(self) -> None:
        """A closed window or a kill ends the program as Ctrl+Q does: what had arrived is kept."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(RuntimeError, ValueError):  # not in the main thread
                loop.add_signal_handler(number, self._leave, 128 + number)

    def _listen(self) -> None:
        """Pass on what the work behind the conversation has to say."""
        for notice in self.behind.notices() if self.behind is not None else ():
            self.tell_quietly(notice)

    def tell_quietly(self, text: str) -> None:
        """Shown where the screen has its status; what is long, or has no place there, over it."""
        if isinstance(self.screen, Quiet) and len(text) <= _SHORT and "\n" not in text:
            self.screen.note_in_passing(text)
        else:
            self.notify(safe(text), markup=False)

    def give_up(self, error: Exception) -> None:
        """Leave before anything was begun; who ran it is told why."""
        self.failure = error
        self._leaving = True
        self.exit(None)

    # --- for the hands, in their threads ---

    def _opened(self) -> Workspace:
        return self._open_workspace(say=self._say, ask=self._ask, confirm=self._confirm)

    def _say(self, text: str) -> None:
        self.post_message(Told(text))

    def _ask(self, question: str) -> bool:
        def put(answer: Callable[[bool | None], None]) -> None:
            self.push_screen(AskScreen(question), answer)

        return self._answer(put, default=True)

    def _confirm(self, proposal: Proposal) -> str | None:
        def put(answer: Callable[[str | None], None]) -> None:
            chats = [screen for screen in self.screen_stack if isinstance(screen, Confirming)]
            if chats:
                chats[-1].confirm(proposal, answer)
            else:
                answer(None)

        return self._answer(put, default=None)

    def _answer(self, put: Callable[[Callable[[T | None], None]], None], default: T) -> T:
        """What the person says when it is put to them; ``default`` when they leave instead."""
        answer: SimpleQueue[T | None] = SimpleQueue()
        if self._leaving:
            return default
        self._waiting.add(answer)
        try:
            self.call_from_thread(put, answer.put)
            said = answer.get()
        except RuntimeError:  # the app has ended
            return default
        finally:
            self._waiting.discard(answer)
        return default if said is None else said

    def _hear(self, kind: str, text: str) -> None:
        self.post_message(Heard(kind, text))

    def watch_vault(self, workspace: Workspace) -> None:
        """Hear of changes from now on; called by a hand."""
        with self._live_lock:  # who leaves meanwhile stops what was started
            if self._live is None and not self._leaving:
                self._live = workspace.live(say=self._say, heard=self._hear)
                self._live.start()

    def on_heard(self, event: Heard) -> None:
        """The screens hear of it; one that is not there yet reads what is new anyway."""
        for screen in self.screen_stack:
            if isinstance(screen, Hearing) and screen.is_mounted:
                screen.heard(event.kind, event.text)

    def on_told(self, event: Told) -> None:
        """Shown for some seconds."""
        self.tell_quietly(event.text)

    def edit(self, path: str) -> None:
        """Open a file in the owner's editor, on this terminal, and come back when it ends."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            with self.suspend():
                subprocess.run([*shlex.split(editor), path], check=False)
        except (OSError, ValueError, SuspendNotSupported) as error:
            self.notify(
                f"The editor {editor!r} can't be run ({error}). Set EDITOR.",
                severity="error",
                markup=False,
            )

    # --- leaving ---

    def action_leave(self) -> None:
        """Leave at once; what had arrived of an answer is kept."""
        self._leave(0)

    def _leave(self, code: int) -> None:
        back = None
        for screen in self.screen_stack:
            if isinstance(screen, Chatting):
                back = screen.leave()
        self._leaving = True
        self.exit(back, code)

    def _handle_exception(self, error: Exception) -> None:
        """(Textual's.) Once it is being left, what still works finds its widgets gone."""
        if not self._leaving:
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """A fault of ours ends it (Textual calls this, and would show the program's insides)."""
        error: BaseException | None = self._exception
        while isinstance(error, WorkerFailed):
            error = error.error
        self.broke = _fault(error)
        for screen in self.screen_stack:
            if isinstance(screen, Chatting):
                with suppress(Exception):  # what is broken may be broken there too
                    screen.leave()
            self._leaving = True
        self._close_messages_no_wait()

    def action_interrupt(self) -> None:
        """Ctrl-C stops an answer, or leaves what is before the chat; twice, it leaves."""
        before, self._interrupted_at = self._interrupted_at, monotonic()
        if self._interrupted_at - before < _TWICE_SECONDS:
            self.action_leave()
        elif isinstance(self.screen, Chatting):
            self.screen.interrupt()
        else:
            self.screen.dismiss(None)

    def close_hands(self) -> None:
        """Let what is being written come to its end."""
        with self._live_lock:
            self._leaving = True
        for answer in list(self._waiting):
            answer.put(None)
        if self._live is not None:
            self._live.stop()
        for hand in (self.talker, self.reader):
            hand.close(_LEAVING_SECONDS)
        self.asker.close(0)  # it writes nothing


def _fault(error: BaseException | None) -> str:
    """What it is, and where in this program."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    ours = [frame for frame in frames if "vault_sessions" in frame.filename]
    where = f", {os.path.basename(ours[-1].filename)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}: {safe_line(str(error))[:200]}{where}"

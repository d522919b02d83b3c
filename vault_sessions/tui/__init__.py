"""The terminal UI. It holds no rule and opens no file: it asks the workspace, in threads."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NamedTuple

from vault_sessions.background import Background
from vault_sessions.tui.app import ChatApp, OpenWorkspace
from vault_sessions.tui.pastes import read_whole
from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.terminal import when_gone

__all__ = ["Left", "Wanted", "run"]


_SWITCH_SECONDS = 0.001
_THRESHOLDS = (700, 10, 100)
"""(Python's ``gc``.) Everything is looked through for garbage a tenth as often as otherwise: each
time no key is answered for a tenth of a second."""


class Left(NamedTuple):
    """How it was left: the session to come back to, if there is one, an exit code, what was typed
    and not said, and what broke the screen, if it did."""

    session: str | None
    code: int
    unsaid: str = ""
    broke: str | None = None


def run(
    open_workspace: OpenWorkspace,
    wanted: Wanted,
    theme: str,
    behind: Background | None = None,
) -> Left:
    """Run it until it is left.

    ``behind`` does what is due beside the conversation, and is finished by who made it. Raises
    what kept it from opening anything.
    """
    chats: list[ChatScreen] = []

    def chat() -> ChatScreen:
        chats.append(ChatScreen(wanted))
        return chats[0]

    # a key waits for no more than this for the thread that hears an answer
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_THRESHOLDS)
    read_whole()
    app = ChatApp(open_workspace, chat, theme, behind)

    def gone() -> None:
        app.close_hands()
        os._exit(128 + signal.SIGHUP)  # the main thread may be waiting for ever to draw

    when_gone(sys.stdin.fileno(), gone)
    try:
        app.run()
    finally:
        app.close_hands()
    if app.failure is not None:
        raise app.failure
    # asked now: only when the hands are still is it known what was said, and in which session
    back, unsaid = (chats[0].back, chats[0].unsaid) if chats else (None, "")
    return Left(back, app.return_code or 0, unsaid, app.broke)

"""``chat`` on a terminal: the terminal UI, and what is said and done once it is left."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from vault_sessions.background import Background
from vault_sessions.cli.door import Door
from vault_sessions.cli.telling import come_back, command
from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import safe

if TYPE_CHECKING:
    from vault_sessions.tui import Wanted


def fits() -> bool:
    """Is there a terminal to draw on, and to read keys from?"""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return os.environ.get("TERM") != "dumb" and all(stream.isatty() for stream in streams)


def converse(door: Door, wanted: Wanted) -> None:
    """Run it. What is wrong with the vault or its settings is said before the screen is taken."""
    workspace = door.workspace
    behind = Background(workspace.another, delay=0.3)
    from vault_sessions import tui

    left = tui.run(workspace.another, wanted, workspace.settings.theme, behind)
    if left.unsaid.strip():
        door.note(f"Typed, and not said:\n{safe(left.unsaid)}")
    if left.session is not None:
        come_back(door, left.session)
    finish(door, behind)
    if left.broke is not None:
        raise VaultSessionsError(
            f"The screen broke ({left.broke}). What was said is kept.\n"
            f"Go on with it, or without a screen: {command(door, 'chat', '--plain')}"
        )
    if left.code:
        raise SystemExit(left.code)


def finish(door: Door, behind: Background) -> None:
    """Let what was begun behind the conversation come to its end; Ctrl-C leaves it for later."""
    if not behind.finish(0.5):
        door.note("Finishing what is due in the background; Ctrl-C leaves it for later.")
        with suppress(KeyboardInterrupt):
            behind.finish()
    for notice in behind.notices():
        door.note(notice)

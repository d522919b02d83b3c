"""Draw docs/picture.svg: the terminal UI at work on a copy of the sample vault.

Nothing is pasted together: keys go in, and what is saved is what the screen shows then.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vault_sessions import Workspace
from vault_sessions.tui import Wanted
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.screens.chat import ChatScreen

ROOT = Path(__file__).resolve().parent.parent
QUESTION = "What did we decide about the VPC?"
SIZE = (110, 32)


def main() -> None:
    """Ask the sample something in one of its sessions, and save the screen."""
    with tempfile.TemporaryDirectory() as scratch:
        vault = Path(scratch) / "notes"
        shutil.copytree(ROOT / "sample_vault", vault)
        for variable in ("CACHE", "STATE", "CONFIG"):
            os.environ[f"VAULT_SESSIONS_{variable}"] = f"{scratch}/{variable.lower()}"
        os.environ["TZ"] = "America/Denver"
        os.environ["TERM"], os.environ["COLORTERM"] = "xterm-256color", "truecolor"
        time.tzset()
        # without the keys of who draws, and their model servers
        offline = {"ai.default_provider": "offline"}
        opened = partial(Workspace.open, vault, environment={}, flags=offline)
        opened().list()  # builds the mirror, so that the picture is of a usual day
        chat = partial(ChatScreen, Wanted(session="vpc-design"))
        app = ChatApp(opened, chat, "dark")
        try:
            asyncio.run(_draw(app))
        finally:
            app.close_hands()


async def _draw(app: ChatApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await _until(app, lambda: "vpc-design" in _text(app))
        await pilot.press(*QUESTION)
        await pilot.press("enter")
        await _until(app, lambda: "Your vault says" in _text(app))
        await pilot.pause()
        picture = app.export_screenshot(title="vault-sessions chat")
        (ROOT / "docs" / "picture.svg").write_text(picture)
        app.action_leave()


def _text(app: ChatApp) -> str:
    """What the screen shows."""
    strips = app.screen._compositor.render_strips()  # no public way gives the screen as text
    return "\n".join(strip.text for strip in strips)


async def _until(app: ChatApp, is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()

"""The terminal UI on a test's vault, without a terminal: keys go in, the screen is read as text.

    async def script(ui: Ui) -> None:
        await ui.shows("vpc-design")           # wait until it is on the screen
        await ui.press("ctrl+l")
        await ui.until(lambda: isinstance(ui.app.screen, SessionsScreen))
        await ui.type("/denver")
        assert "denver" in ui.text

    run(home, script, Wanted(session="vpc-design"), size=(80, 24))

A script waits for what is to come, never for a time; what does not come within ``PATIENCE`` fails
with a picture of the screen. ``run`` gives what the program printed at its end would be made of:
the session to come back to.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.screen import Screen
from watchdog.utils import BaseThread

from vault_sessions import Workspace
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.hands import Hand
from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.talk import Wanted

PATIENCE = 20.0
"""Seconds after which what has not come is taken not to come; a slow machine is no failure."""


class Ui:
    """The running UI as somebody before it sees it."""

    def __init__(self, app: ChatApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        """The lines on the screen."""
        compositor = self.app.screen._compositor  # no public way gives the screen as text
        return [strip.text.rstrip() for strip in compositor.render_strips()]

    @property
    def text(self) -> str:
        """All that is on the screen."""
        return "\n".join(self.lines)

    def line(self, part: str) -> str:
        """The first line that has this in it."""
        found = [line for line in self.lines if part in line]
        assert found, f"no {part!r} on the screen:\n{self.text}"
        return found[0]

    async def press(self, *keys: str) -> None:
        """Press keys by their names (``enter``, ``ctrl+l``, ``a``), in one burst, and wait until
        what they do at once is done."""
        for key in keys:
            self.app.post_message(_key(key))
        arrived = asyncio.Event()
        self.app.call_later(arrived.set)
        await arrived.wait()
        await self.until(lambda: self.app.typed.is_at_rest, f"the end of {keys}")

    async def type(self, text: str) -> None:
        """Type a text, letter by letter."""
        await self.press(*text)

    async def paste(self, text: str) -> None:
        """Paste a text, as a terminal hands it over."""
        self.app.post_message(events.Paste(text))
        await self.pilot.pause(0)

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until it is so."""
        waited = 0.0
        while not condition():
            assert waited < PATIENCE, f"{what or 'it'} did not come; the screen:\n{self.text}"
            await self.pilot.pause(0.01)
            waited += 0.01

    async def drawn(self) -> None:
        """Wait until what was asked for is on the screen."""
        done = asyncio.Event()
        self.app.screen.call_after_refresh(done.set)
        await done.wait()

    async def shows(self, *texts: str) -> None:
        """Wait until these are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), repr(texts))

    async def hides(self, *texts: str) -> None:
        """Wait until none of these is on the screen."""
        await self.until(
            lambda: not any(text in self.text for text in texts), f"the end of {texts}"
        )

    @asynccontextmanager
    async def busy(self, hand: Hand) -> AsyncIterator[None]:
        """As long as this lasts the hand does nothing else."""
        begun, rest = threading.Event(), threading.Event()

        def work(workspace: Workspace) -> None:
            begun.set()
            rest.wait()

        done = asyncio.ensure_future(hand.do(work))
        try:
            await self.until(begun.is_set)
            yield
        finally:
            rest.set()
        await done

    def picture(self, path: str | Path) -> None:
        """Save the screen as SVG, to be looked at."""
        self.app.save_screenshot(os.fspath(path))


_CHARACTERS = {"space": " ", "tab": "\t", "enter": "\r"}


def _key(key: str) -> events.Key:
    """The event that a terminal's key makes; the pilot's own waits for the processor to idle."""
    if len(key) == 1:
        return events.Key(_character_to_key(key), key)
    return events.Key(key, _CHARACTERS.get(key))


@contextmanager
def lived_in(home: Home, variables: Mapping[str, str]) -> Iterator[None]:
    """This process with the folders and the environment of a test's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name not in ("PATH", "PYTEST_CURRENT_TEST"):
                patch.delenv(name)
        for name, value in {**home.environment, "TERM": "xterm-256color", **variables}.items():
            patch.setenv(name, value)
        patch.chdir(home.vault)
        yield


@contextmanager
def no_thread_left() -> Iterator[None]:
    """What works for the screen comes to its end with it, however that ends."""
    before = set(threading.enumerate())
    try:
        yield
    finally:
        ours = [t for t in set(threading.enumerate()) - before if _is_ours(t)]
        for thread in ours:
            thread.join(PATIENCE)
        left = [thread.name for thread in ours if thread.is_alive()]
        assert left == [], f"left behind: {left}"


def _is_ours(thread: threading.Thread) -> bool:
    """A thread of the program, or one that listens for it."""
    return thread.name.startswith("vault-sessions") or isinstance(thread, BaseThread)


def run(
    home: Home,
    script: Callable[[Ui], Awaitable[None]],
    wanted: Wanted | None = None,
    *,
    size: tuple[int, int] = (100, 30),
    first: Callable[[], Screen[None]] | None = None,
    theme: str = "dark",
    **variables: str,
) -> str | None:
    """Run the UI on a vault while ``script`` uses it; the session it would come back to.

    ``first``: another screen to begin with than the chat.
    """

    def open_workspace(**told: Any) -> Workspace:
        return Workspace.open(home.vault, **told)

    def chat() -> Screen[None]:
        return ChatScreen(wanted or Wanted())

    async def used(app: ChatApp) -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await script(Ui(app, pilot))
            if not app._leaving:
                app.action_leave()

    with lived_in(home, variables), no_thread_left():
        app = ChatApp(open_workspace, first or chat, theme)
        try:
            asyncio.run(used(app))
        finally:
            app.close_hands()
            if app.behind is not None:  # a script may have brought it
                app.behind.finish()
    return app.return_value


def configure(home: Home, **settings: Any) -> None:
    """Write the user's own settings file: ``configure(home, ai={…})``."""
    folder = home.folder / "config"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_bytes(orjson.dumps(settings))  # JSON is YAML


def use_server(home: Home, base_url: str, model: str = "test-model", **others: Any) -> None:
    """Let a server answer: the provider ``local``; ``others`` are settings of ``ai``."""
    local = {"base_url": base_url, "model": model}
    providers = {"local": local, **others.pop("providers", {})}
    configure(home, ai={"default_provider": "local", "providers": providers, **others})

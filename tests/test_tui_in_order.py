"""Keys that come in one burst, as over a slow line, do what they do one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from home import Home, make_home
from textual import events
from tui import PATIENCE, Ui, run

from vault_sessions.tui import in_order
from vault_sessions.tui.cards.new_session import NewSessionScreen
from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.screens.search import SearchScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.prompt import Prompt

HERE = Wanted(session="vpc-design")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path, sample=True)


def test_a_name_is_whole_before_it_is_saved(home: Home) -> None:
    """Enter in the list waits for the letters before it."""

    async def script(ui: Ui) -> None:
        await ui.shows("messages")
        await ui.press("ctrl+l", "r", "ctrl+u", *"subnets", "enter")
        await ui.shows("Renamed to subnets.")
        await ui.press("ctrl+q")

    run(home, script, HERE)


def test_what_is_typed_behind_a_new_name_is_for_the_list(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the line that is about to close: / opens the search. (However long that takes: on a
    busy machine it may be more than a key has patience for.)"""
    monkeypatch.setattr(in_order, "_PATIENCE", 20.0)

    async def script(ui: Ui) -> None:
        await ui.shows("messages")
        await ui.press("ctrl+l", "r", "ctrl+u", *"subnets", "enter", "slash", *"denver")
        await ui.shows("found", "denver-move")
        await ui.press("ctrl+q")

    run(home, script, HERE)


def test_enter_goes_to_what_the_whole_of_the_words_finds(home: Home) -> None:
    """Not to what their beginning had found."""

    async def script(ui: Ui) -> None:
        await ui.shows("messages")
        await ui.press("ctrl+f", *"hazelnut", "enter")
        await ui.until(lambda: not isinstance(ui.app.screen, SearchScreen))
        await ui.shows("hazelnut")
        await ui.press("ctrl+q")

    run(home, script, HERE)


def test_a_form_is_filled_in_one_burst(home: Home) -> None:
    """Tab goes to the next field once the one before it has its letters."""

    async def script(ui: Ui) -> None:
        await ui.shows("messages")
        await ui.press("ctrl+n")
        await ui.until(lambda: isinstance(ui.app.screen, NewSessionScreen))
        await ui.press(*"jam", "tab", *"offline", "tab", "tab", "enter")
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
        await ui.shows("jam", "offline")
        await ui.press("ctrl+q")

    run(home, script, HERE)


def test_what_is_chosen_is_what_the_letters_leave(home: Home) -> None:
    """Enter takes from the list as the last letter has made it."""

    async def script(ui: Ui) -> None:
        await ui.shows("messages")
        await ui.press("ctrl+p", *"offl", "enter")
        await ui.shows("offline answers from now on.")
        await ui.press("ctrl+q")

    run(home, script, HERE)


def test_what_is_pasted_stays_between_what_is_typed(home: Home) -> None:
    """A paste is no letter, and waits like one."""

    async def script(ui: Ui) -> None:
        await ui.shows("messages")
        await ui.press(*"one ")
        for event in (events.Paste("two "), *map(_letter, "three")):
            ui.app.post_message(event)
        await ui.until(lambda: ui.app.screen.query_one(Prompt).text == "one two three")
        await ui.press("ctrl+q")

    run(home, script, HERE)


def test_what_never_ends_keeps_no_key_away_for_ever(home: Home) -> None:
    """The line one types in has hung; Ctrl+Q leaves all the same."""

    async def script(ui: Ui) -> None:
        await ui.shows("messages")
        hung, never = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            hung.set()
            await never.wait()

        ui.app.screen.query_one(Prompt).call_later(hang)
        await hung.wait()
        for key in (_letter("a"), events.Key("ctrl+q", None)):
            ui.app.post_message(key)
        async with asyncio.timeout(PATIENCE):
            while not ui.app._leaving:
                await asyncio.sleep(0)
        never.set()

    run(home, script, HERE)


def _letter(letter: str) -> events.Key:
    return events.Key(letter, letter)

"""The forms: a new conversation, another provider, model or skill, and the page of keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home, make_home
from openai_server import OpenAIServer, Reply
from tui import Ui, run, use_server

from vault_sessions.tui.cards.choose import ChooseScreen
from vault_sessions.tui.cards.help import HelpScreen, key_name, rows
from vault_sessions.tui.cards.new_session import NewSessionScreen
from vault_sessions.tui.commands import COMMANDS
from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.screens.sessions import SessionsScreen
from vault_sessions.tui.talk import Wanted

HERE = Wanted(session="vpc-design")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(models=["test-model", "big-model", "small-model"]) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, server: OpenAIServer) -> Home:
    """The sample vault, whose owner has a server of their own."""
    home = make_home(tmp_path, sample=True)
    use_server(home, server.base_url)
    return home


def meta(home: Home, name: str) -> dict[str, Any]:
    """What a session's metadata says now."""
    path = home.output("path", name).strip().replace(".jsonl", ".meta.json")
    found: dict[str, Any] = orjson.loads((home.vault / path).read_bytes())
    return found


def asked(server: OpenAIServer) -> dict[str, Any]:
    """The first question that the server got (it is asked for its models, too)."""
    found: dict[str, Any] = next(one.body for one in server.requests if one.body)
    return found


async def begin(ui: Ui) -> None:
    """The chat, once its conversation is there."""
    await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
    await ui.shows("ADR 7")


async def is_back(ui: Ui) -> None:
    """The chat is the screen again."""
    await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))


async def say(ui: Ui, text: str) -> None:
    """Say something, until it is answered (the server repeats it)."""
    await ui.type(text)
    await ui.press("enter")
    await ui.until(lambda: ui.text.count(text) == 2, "the answer")


# --- a new conversation --------------------------------------------------------------------------


def test_a_new_conversation_by_the_form(home: Home, server: OpenAIServer) -> None:
    """Ctrl+N: a name of any letters, a provider and a skill from the list, a model of the server's;
    the conversation has all of them, and the one before is ended."""

    async def script(ui: Ui) -> None:
        await begin(ui)
        await ui.press("ctrl+n")
        await ui.shows("New conversation", "⏎ Begin")
        await ui.type("jk nq/ trip")
        await ui.press("tab")
        await ui.type("loc")
        await ui.shows("local  test-model")
        await ui.press("down", "enter", "tab")  # taken from the list, then the next field
        await ui.shows("big-model", "small-model")
        await ui.press("down", "down", "tab")  # as Tab does
        await ui.type("code")
        await ui.press("down", "enter")
        await ui.hides("Reviews a change")
        await ui.press("enter")
        await is_back(ui)
        await ui.shows("jk nq/ trip", "local", "big-model", "code-review")
        await say(ui, "hello")

    assert run(home, script, HERE) == "jk nq/ trip"
    assert asked(server)["model"] == "big-model"
    assert "at most three findings" in str(asked(server)["messages"][0])
    new = meta(home, "jk nq/ trip")
    assert (new["provider"], new["model"], new["skill"]) == ("local", "big-model", "code-review")
    assert meta(home, "vpc-design").keys() & {"ending", "ended_at"}


def test_what_is_wrong_stands_beside_its_field(home: Home) -> None:
    """A name that is taken, a provider that is not known or has no key, a skill that is not there:
    said beneath the field, which is typed in; nothing is begun. What is right begins."""

    async def script(ui: Ui) -> None:
        await begin(ui)
        await ui.press("ctrl+n")
        await ui.shows("New conversation")
        await ui.type("denver-move")
        await ui.press("tab")
        await ui.type("nobody")
        await ui.press("tab", "tab")
        await ui.type("juggling")
        await ui.press("enter")
        await ui.shows("That is the name of", "There is no provider", "There is no skill")
        lines = ui.lines
        for value, fault in (
            ("denver-move", "That is the name of"),
            ("nobody", "There is no provider"),
            ("juggling", "There is no skill"),
        ):
            row = next(i for i, line in enumerate(lines) if value in line and "│" in line)
            assert fault in lines[row + 1]
        await ui.type("-2")
        await ui.hides("That is the name of")
        await ui.press("tab", *["backspace"] * 6)
        await ui.type("anthropic")
        await ui.press("tab", "tab", *["backspace"] * 8, "enter")
        await ui.shows("set ANTHROPIC_API_KEY")
        await ui.press(*["backspace"] * 9, "enter")
        await is_back(ui)
        await ui.shows("denver-move-2")

    run(home, script, HERE, size=(100, 40))


def test_the_form_fits_a_small_terminal_and_escape_begins_nothing(home: Home) -> None:
    """At 80×24 all fields are there; Escape leaves everything as it was."""

    async def script(ui: Ui) -> None:
        await begin(ui)
        await ui.press("ctrl+n")
        await ui.shows("Name ", "Provider ", "Model ", "Skill ", "test-model", "Esc Back")
        await ui.press("down")
        await ui.shows("offline", "anthropic")
        await ui.press("up", "escape")
        await is_back(ui)
        await ui.shows("vpc-design")

    run(home, script, HERE, size=(80, 24))
    assert "ending" not in meta(home, "vpc-design")


def test_a_server_without_a_list_and_one_that_is_slow(home: Home, tmp_path: Path) -> None:
    """Where a server gives no list a model's name can be typed. While one is asked everything else
    goes on."""
    with OpenAIServer(models=None) as other:
        use_server(home, other.base_url)

        async def script(ui: Ui) -> None:
            await begin(ui)
            await ui.press("ctrl+n")
            await ui.shows("local gives no list of models: type one's name.")
            await ui.press("tab", "tab")
            await ui.type("my-own")
            await ui.press("enter")
            await is_back(ui)
            await ui.shows("New conversation", "my-own")

        run(home, script, HERE)


# --- another provider, model or skill ------------------------------------------------------------


def test_another_model_for_the_same_conversation(home: Home, server: OpenAIServer) -> None:
    """Ctrl+P: who answers, then with which model; the whole conversation goes along, and it is
    saved at once. A provider without a key says what to set, and is not chosen."""

    async def script(ui: Ui) -> None:
        await begin(ui)
        await ui.press("ctrl+p")
        await ui.shows("Provider", "● local", "⏎ Choose")
        await ui.type("anthropic")
        await ui.press("enter")
        await ui.shows("No key for anthropic: set ANTHROPIC_API_KEY in the environment")
        await ui.press(*["backspace"] * 9)
        await ui.type("local")
        await ui.press("enter")
        await ui.shows("Model of local", "● the provider's own", "big-model")
        await ui.type("big")
        await ui.press("enter")
        await is_back(ui)
        await ui.shows("local answers from now on, with big-model.")
        assert meta(home, "vpc-design")["model"] == "big-model"
        await say(ui, "and now?")

    run(home, script, HERE)
    assert asked(server)["model"] == "big-model"
    assert "full mesh is ten peerings" in str(asked(server)["messages"])

    async def next_day(ui: Ui) -> None:
        await begin(ui)
        await ui.shows("big-model")

    run(home, next_day, HERE)


def test_any_model_can_be_typed_and_the_providers_own_comes_back(home: Home) -> None:
    """What is in no list is taken as typed; the first choice is the provider's own again."""

    async def choose(ui: Ui, text: str) -> None:
        await ui.press("ctrl+p")
        await ui.shows("● local")
        await ui.press("enter")
        await ui.shows("Model of local", "small-model")
        await ui.type(text)
        await ui.press("enter")
        await is_back(ui)

    async def script(ui: Ui) -> None:
        await begin(ui)
        await choose(ui, "big-model-9")
        await ui.shows("with big-model-9.")
        await choose(ui, "own")
        await ui.shows("local answers from now on.")
        assert meta(home, "vpc-design").get("model") is None
        await ui.press("ctrl+p")
        await ui.shows("● local")
        await ui.press("escape")
        await is_back(ui)
        await ui.type("/model nobody")
        await ui.press("enter")
        await ui.shows("Model: nobody")

    run(home, script, HERE)


def test_a_skill_and_none_again(home: Home, server: OpenAIServer) -> None:
    """Ctrl+A: the skills with what they are for; the choice is saved at once, is there again on
    resume, and can be taken back."""

    async def script(ui: Ui) -> None:
        await begin(ui)
        await ui.press("ctrl+a")
        await ui.shows("● none", "meal-planner  Menus, recipes")
        await ui.type("meal")
        await ui.press("enter")
        await is_back(ui)
        await ui.shows("Skill: meal-planner")

    run(home, script, HERE)
    assert meta(home, "vpc-design")["skill"] == "meal-planner"

    async def next_day(ui: Ui) -> None:
        await begin(ui)
        await ui.shows("meal-planner")
        await ui.press("ctrl+a")
        await ui.shows("● meal-planner")
        await ui.press("up")
        await ui.type("none")
        await ui.press("enter")
        await is_back(ui)
        await ui.shows("Skill: none")
        await ui.type("/skill juggling")
        await ui.press("enter")
        await ui.shows("There is no skill 'juggling'")

    run(home, next_day, HERE)
    assert meta(home, "vpc-design").get("skill") is None


def test_while_an_answer_comes(home: Home, server: OpenAIServer) -> None:
    """Skills, models and sessions can be looked at while an answer comes."""
    gate = threading.Event()
    server.script(Reply("It is answered.", before=gate))

    async def script(ui: Ui) -> None:
        await begin(ui)
        await ui.type("go")
        await ui.press("enter")
        await ui.until(lambda: any(one.body for one in server.requests), "the question")
        await ui.press("ctrl+a")
        await ui.until(lambda: isinstance(ui.app.screen, ChooseScreen))
        await ui.press("escape", "ctrl+p")
        await ui.until(lambda: isinstance(ui.app.screen, ChooseScreen))
        await ui.press("escape", "ctrl+l")
        await ui.until(lambda: isinstance(ui.app.screen, SessionsScreen))
        await ui.shows("denver-move")
        await ui.press("escape")
        gate.set()
        await ui.shows("It is answered.")

    try:
        run(home, script, HERE)
    finally:
        gate.set()


# --- the page of keys ----------------------------------------------------------------------------


def test_f1_shows_all_keys_and_commands(home: Home) -> None:
    """F1 and /help: what each key does in each place, and every command; it scrolls."""

    async def script(ui: Ui) -> None:
        await begin(ui)
        await ui.press("f1")
        await ui.shows("Ctrl+L", "all conversations", "All conversations (Ctrl+L)")
        seen = ui.text
        for _ in range(8):
            await ui.press("pagedown")
            seen += ui.text
        assert all(f"/{command.name}" in seen for command in COMMANDS)
        assert "move it to the trash" in seen
        await ui.press("q")
        await is_back(ui)
        await ui.type("/help")
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, HelpScreen))
        await ui.press("escape", "ctrl+l")
        await ui.shows("d Delete")
        await ui.press("f1")
        await ui.shows("search names and contents")

    run(home, script, HERE, size=(100, 50))


def test_every_key_says_what_it_does() -> None:
    """Each key of each place that is written below is described, once, and keys that do the same
    stand together."""
    for screen in (ChatScreen, SessionsScreen, NewSessionScreen, ChooseScreen, HelpScreen):
        shown = rows(screen.BINDINGS)
        assert shown
        assert all(key.strip() and does.strip() for key, does in shown)
    assert ("n · Ctrl+N", "a new conversation, by the form") in rows(SessionsScreen.BINDINGS)
    names = {"ctrl+l": "Ctrl+L", "pageup": "PageUp", "f1": "F1", "slash": "/", "j": "j", "G": "G"}
    assert {key: key_name(key) for key in names} == names

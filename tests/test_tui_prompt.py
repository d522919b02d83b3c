"""Where one types: lines, pastes, what was said before, and nothing typed is lost."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from home import Home, make_home, message, write_session
from tui import Ui, run

from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.prompt import LONGEST, Prompt
from vault_sessions.tui.widgets.prose import Prose

NASTY = (
    "tab\there\u2028line\u2029para\x85next\x0bvt\x0cff\x1cfs\x1b[31mred\x7f é 日本 "
    "\U0001f469\u200d\U0001f467 \u202eevil"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A vault with one session in which two things were said."""
    home = make_home(tmp_path)
    write_session(
        home,
        "20260101-000000-aaaaaa",
        message("first\nthing", id="a"),
        message("yes", "assistant", id="b"),
        message("second", id="c"),
        message("no", "assistant", id="d"),
        name="talk",
    )
    return home


TALK = Wanted(session="talk")


async def opened(ui: Ui) -> Prompt:
    """Where one types, once a conversation is open."""
    screen = ui.app.screen
    assert isinstance(screen, ChatScreen)
    await ui.until(lambda: screen._view is not None)
    return screen.query_one(Prompt)


async def answered(ui: Ui, count: int) -> None:
    """Wait until there are so many messages, and nothing is being answered."""
    screen = ui.app.screen
    assert isinstance(screen, ChatScreen)
    await ui.until(
        lambda: (
            screen._under_way.answer is None
            and screen._view
            and len(screen._view.messages) == count
        )
    )


def said(home: Home) -> str:
    """The user's last words, on disk."""
    lines = (home.sessions / "20260101-000000-aaaaaa.jsonl").read_bytes().splitlines()
    texts = [orjson.loads(line) for line in lines]
    found: str = [each["content"] for each in texts if each["role"] == "user"][-1]
    return found


@pytest.mark.parametrize(
    ("pasted", "kept"),
    [
        (NASTY, NASTY),
        ("a\r\nb\rc\n\nd", "a\nb\nc\n\nd"),
        ("with\0out", "without"),
        ("  spaces at both ends  ", "  spaces at both ends  "),
    ],
)
def test_a_paste_arrives_unaltered(home: Home, pasted: str, kept: str) -> None:
    """But for line ends and NUL; on the screen nothing of it controls the terminal."""

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        await ui.paste(pasted)
        await ui.until(lambda: prompt.text == kept)
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in ui.lines for c in line)
        await ui.press("enter")
        await answered(ui, 6)

    run(home, script, TALK)
    assert said(home) == kept


def test_a_new_line_is_where_the_cursor_is(home: Home) -> None:
    """Ctrl+J, and Shift+Enter where the terminal tells of it; Enter sends from anywhere."""

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        await ui.type("onetwo")
        await ui.press("left", "left", "left", "ctrl+j")
        assert prompt.text == "one\ntwo"
        await ui.press("end", "shift+enter", "3", "up", "up", "enter")
        await answered(ui, 6)

    run(home, script, TALK)
    assert said(home) == "one\ntwo\n3"


def test_what_was_said_comes_back_and_the_draft_too(home: Home) -> None:
    """Up and Down go through it; what was changed there is there again as long as nothing is
    said."""

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        await ui.type("a draft")
        await ui.press("up")
        assert prompt.text == "second"
        await ui.type("!")
        await ui.press("up")
        assert prompt.text == "first\nthing"
        await ui.press("up")  # its first line
        await ui.press("up")  # there is nothing before it
        assert prompt.text == "first\nthing"
        await ui.press("down", "down")
        assert prompt.text == "second!"
        await ui.press("down")
        assert prompt.text == "a draft"
        await ui.press("down")
        assert prompt.text == "a draft"

    run(home, script, TALK)


def test_up_and_down_go_through_the_lines_first(home: Home) -> None:
    """Also through those that are wrapped."""

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        long = "word " * 40
        await ui.paste(long)
        await ui.until(lambda: prompt.text == long and prompt.size.height == 3)
        await ui.press("up", "up")
        assert prompt.text == long
        await ui.press("up")
        assert prompt.text == "second"

    run(home, script, TALK, size=(80, 24))


def test_it_grows_with_its_text_up_to_two_fifths_of_the_screen(home: Home) -> None:
    """The conversation keeps the rest."""

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        assert prompt.size.height == 1
        await ui.paste("a\nb\nc")
        await ui.until(lambda: prompt.size.height == 3)
        await ui.paste("\n".join("lines of it"))
        await ui.until(lambda: prompt.outer_size.height == 9)
        await ui.type("\n")
        assert prompt.outer_size.height == 9

    run(home, script, TALK, size=(80, 24))


def test_a_long_paste_stands_as_a_sign_and_is_said_whole(home: Home) -> None:
    """A million characters; what is typed around it stays around it."""
    million = "no line end anywhere " * 50_000

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        await ui.type("look: ")
        await ui.paste(million)
        await ui.until(lambda: "⟦1,050,000 characters, pasted as text 1⟧" in prompt.text)
        assert len(prompt.text) < 100
        await ui.type(" what is it?")
        await ui.press("enter")
        await answered(ui, 6)
        shown = max(ui.app.screen.query(Prose), key=lambda prose: len(prose.source))
        assert "characters are not shown" in shown.source
        assert len(shown.source) < 30_000
        await ui.press("up")
        await ui.until(lambda: prompt.text)
        assert prompt.whole == f"look: {million} what is it?"

    run(home, script, TALK)
    assert said(home) == f"look: {million} what is it?"


def test_the_sign_of_a_paste_goes_at_once_and_comes_back(home: Home) -> None:
    """Backspace takes it whole; undo brings it back with all it stands for."""
    long = "x" * (LONGEST + 1)

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        await ui.type("a")
        await ui.paste(long)
        await ui.until(lambda: prompt.whole == f"a{long}")
        await ui.press("backspace")
        assert prompt.text == "a"
        await ui.press("ctrl+z")
        assert prompt.whole == f"a{long}"

    run(home, script, TALK)


@pytest.mark.parametrize("key", ["backspace", "delete", "ctrl+w", "ctrl+d"])
def test_no_key_cuts_the_sign_of_a_paste(home: Home, key: str) -> None:
    """Inside it a letter comes behind it, and what would take a part takes all."""
    long = "x" * (LONGEST + 1)

    async def script(ui: Ui) -> None:
        prompt = await opened(ui)
        await ui.type("a")
        await ui.paste(long)
        await ui.press("left", "left", "left", "b")
        assert prompt.whole == f"a{long}b"
        await ui.press("left", "left", "left", "left", key)
        assert prompt.whole == "ab"

    run(home, script, TALK)


def test_what_is_said_while_a_conversation_is_opened_is_said_in_it(home: Home) -> None:
    """It waits for that."""

    async def script(ui: Ui) -> None:
        await ui.until(lambda: ui.app.screen.query(Prompt))
        await ui.type("early")
        await ui.press("enter")
        await answered(ui, 6)

    run(home, script, TALK)
    assert said(home) == "early"

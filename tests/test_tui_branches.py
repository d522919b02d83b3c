"""Branches as one sees them: an earlier message said again, another answer, and the way between."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home, make_home, message, write_session
from openai_server import OpenAIServer
from tui import Ui, run, use_server

from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.marker import Marker
from vault_sessions.tui.widgets.prompt import Prompt

EDITING = "Say it again"
FORKED = "forked"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A vault with one conversation: red → blue, and said again: green, and again: yellow."""
    made = make_home(tmp_path)

    def line(text: str, role: str, name: str, minute: int, **fields: Any) -> bytes:
        at = f"2026-01-01T10:{minute:02}:00.000Z"
        return message(text, role, id=name, created_at=at, **fields)

    write_session(
        made,
        FORKED,
        line("name a colour", "user", "u1", 0),
        line("red it is", "assistant", "a1", 1),
        line("another one", "user", "u2", 2),
        line("blue it is", "assistant", "a2", 3),
        line("a darker one", "user", "u3", 4, parent_id="a1"),
        line("green it is", "assistant", "a3", 5),
        line("name a fruit", "user", "u4", 6, parent_id=None),
        line("a banana", "assistant", "a4", 7),
    )
    return made


def chat(ui: Ui) -> ChatScreen:
    return next(screen for screen in ui.app.screen_stack if isinstance(screen, ChatScreen))


def prompt(ui: Ui) -> Prompt:
    return chat(ui).query_one(Prompt)


async def rested(ui: Ui) -> None:
    """Wait until nothing is being answered, and nothing moved."""

    def is_resting() -> bool:
        screen = chat(ui)
        return screen._view is not None and screen._under_way.answer is None and screen._aim is None

    await ui.until(is_resting, "rest")


async def said(ui: Ui, text: str) -> None:
    """Say it and wait for the answer."""
    await rested(ui)
    await ui.type(text)
    await ui.press("enter")
    await ui.until(lambda: not prompt(ui).text)
    await rested(ui)


def marker(ui: Ui, text: str) -> str:
    """The marker on the line of a message, as (at, of); empty: there is none."""
    return ui.line(text).partition(text)[2].strip(" ‹›▌▁▂▃▄▅▆▇")


def lines(home: Home, session: str | None = None) -> list[dict[str, Any]]:
    (path,) = home.sessions.glob(f"{session or '*'}.jsonl")
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


# --- between branches ----------------------------------------------------------------------------


def test_keys_lead_from_branch_to_branch(home: Home) -> None:
    """``<`` and ``>`` reach all of them; the markers say which forms are shown."""

    async def script(ui: Ui) -> None:
        await ui.shows("▌ name a fruit", "a banana", "< > Branches")
        assert marker(ui, "▌ name a fruit") == "2/2"
        await ui.press("<")
        await ui.shows("green it is", "Branch 2 of 3")
        assert marker(ui, "▌ name a colour") == "1/2"
        assert marker(ui, "▌ a darker one") == "2/2"
        assert "banana" not in ui.text
        await ui.press("<")
        await ui.shows("blue it is", "Branch 1 of 3")
        assert marker(ui, "▌ another one") == "1/2"
        await ui.press("<")
        await ui.shows("first of 3 branches", "blue it is")
        await ui.press(">")
        await ui.shows("green it is")
        await ui.press(">")
        await ui.shows("a banana")
        await ui.press(">")
        await ui.shows("last of 3 branches", "a banana")

    run(home, script, Wanted(session=FORKED))


def test_two_keys_at_once_go_two_branches_on(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.press("<", "<")
        await ui.shows("blue it is")
        await rested(ui)
        assert chat(ui)._view is not None
        assert "another one" in ui.text

    run(home, script, Wanted(session=FORKED))


def test_what_is_said_goes_on_with_the_branch_that_is_shown(
    home: Home, server: OpenAIServer
) -> None:
    """Also where it is said before the branch has come."""

    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.press("<")
        await said(ui, "and now?")
        await ui.shows("green it is", "▌ and now?")
        assert "banana" not in ui.text

    use_server(home, server.base_url)
    run(home, script, Wanted(session=FORKED))
    question, answer = lines(home, FORKED)[-2:]
    assert question["parent_id"] == "a3"
    assert "parent_id" not in answer


def test_the_signs_are_typed_where_something_is_typed_already(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.type("a<b>c")
        assert prompt(ui).text == "a<b>c"
        assert "a banana" in ui.text

    run(home, script, Wanted(session=FORKED))


def test_the_signs_are_typed_where_there_is_one_branch(home: Home) -> None:
    write_session(home, "plain", message("hello"), message("hello yourself", "assistant"))

    async def script(ui: Ui) -> None:
        await ui.shows("hello yourself")
        assert "Branches" not in ui.text
        await ui.type("<>")
        assert prompt(ui).text == "<>"

    run(home, script, Wanted(session="plain"))


def test_a_click_on_the_marker_goes_to_the_other_form(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.pilot.click(Marker, offset=(1, 0))
        await ui.shows("green it is")
        await ui.pilot.click(Marker, offset=(6, 0))
        await ui.shows("a banana")
        await ui.pilot.click(Marker, offset=(6, 0))  # there is none behind it
        await ui.shows("a banana")

    run(home, script, Wanted(session=FORKED))


def test_a_command_goes_to_a_branch(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.type("/branch 1")
        await ui.press("enter")
        await ui.shows("blue it is")
        await ui.type("/branch ")
        await ui.press("enter")
        await ui.shows("green it is")

    run(home, script, Wanted(session=FORKED))


def test_what_takes_the_newest_branch_says_so_on_another(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.press("<")
        await ui.shows("green it is")
        await rested(ui)
        await ui.type("/export out.md")
        await ui.press("enter")
        await ui.shows("/export takes the newest branch")

    run(home, script, Wanted(session=FORKED))
    assert not (home.vault / "out.md").exists()


def test_an_edit_on_disk_leaves_one_on_the_branch_that_is_shown(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.press("<")
        await ui.shows("green it is")
        path = home.sessions / f"{FORKED}.jsonl"
        path.write_bytes(path.read_bytes().replace(b"green it is", b"dark green it is"))
        await ui.shows("dark green it is")
        assert "banana" not in ui.text

    run(home, script, Wanted(session=FORKED))


# --- said again ----------------------------------------------------------------------------------


def test_an_earlier_message_is_said_again(home: Home, server: OpenAIServer) -> None:
    """It and what came behind it make room, and stay on their branch."""

    async def script(ui: Ui) -> None:
        await said(ui, "first")
        await said(ui, "second")
        await ui.press("ctrl+e")
        await ui.shows(EDITING)
        assert prompt(ui).text == "second"
        await ui.press("ctrl+e")
        assert prompt(ui).text == "first"
        await ui.type(" of all")
        await ui.press("enter")
        await ui.shows("▌ first of all", "2/2")
        await rested(ui)
        await ui.hides("second", EDITING)
        assert marker(ui, "▌ first of all") == "2/2"
        await ui.press("<")
        await ui.shows("▌ second", "▌ first")
        assert prompt(ui).text == ""

    use_server(home, server.base_url)
    run(home, script, Wanted(new=True))
    (path,) = [path for path in home.sessions.glob("*.jsonl") if path.stem != FORKED]
    said_last = [(x["role"], x["content"], x.get("parent_id", "-")) for x in lines(home, path.stem)]
    assert said_last[-2:] == [("user", "first of all", None), ("assistant", "first of all", "-")]
    assert len(said_last) == 6


def test_up_in_an_empty_input_goes_back_and_down_comes_forth(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.press("<")
        await ui.shows("green it is")
        await rested(ui)
        await ui.press("up")
        await ui.shows(EDITING)
        assert prompt(ui).text == "a darker one"
        await ui.press("up")
        assert prompt(ui).text == "name a colour"
        await ui.press("up")
        assert prompt(ui).text == "name a colour", "there is none before it"
        await ui.press("down")
        assert prompt(ui).text == "a darker one"
        await ui.press("down")
        assert prompt(ui).text == ""
        await ui.hides(EDITING)

    run(home, script, Wanted(session=FORKED))


def test_leaving_it_brings_back_what_was_being_typed(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.type("a thought")
        await ui.press("ctrl+e")
        assert prompt(ui).text == "name a fruit"
        await ui.type("!")
        await ui.press("ctrl+e")
        await ui.shows("You have changed it")
        await ui.press("up")
        assert prompt(ui).text == "name a fruit!"
        await ui.press("escape")
        assert prompt(ui).text == "a thought"
        await ui.hides(EDITING)

    run(home, script, Wanted(session=FORKED))
    assert len(lines(home, FORKED)) == 8


def test_what_begins_with_a_slash_is_said_again_as_it_was(home: Home, server: OpenAIServer) -> None:
    async def script(ui: Ui) -> None:
        await said(ui, "//etc/hosts is a file")
        await ui.press("up")
        assert prompt(ui).text == "//etc/hosts is a file"
        await ui.press("enter")
        await rested(ui)
        await ui.shows("2/2")

    use_server(home, server.base_url)
    run(home, script, Wanted(new=True))
    (path,) = [path for path in home.sessions.glob("*.jsonl") if path.stem != FORKED]
    assert [x["content"] for x in lines(home, path.stem)] == ["/etc/hosts is a file"] * 4


def test_with_nothing_said_there_is_nothing_to_say_again(home: Home) -> None:
    async def script(ui: Ui) -> None:
        await rested(ui)
        await ui.press("ctrl+e", "up")
        assert EDITING not in ui.text
        await ui.press("ctrl+r")
        await ui.shows("Nothing was said yet")

    run(home, script, Wanted(new=True))


def test_a_message_that_is_gone_is_not_said_again_and_the_text_stays(
    home: Home, server: OpenAIServer
) -> None:
    """The owner took the branch out of the file while it was being changed here."""

    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.press("ctrl+e")
        await ui.type(" please")
        path = home.sessions / f"{FORKED}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:6]))
        await ui.shows("green it is")
        await ui.press("enter")
        await ui.shows("not in this conversation any more")
        await rested(ui)
        assert prompt(ui).text == "name a fruit please"
        await ui.shows("green it is")

    use_server(home, server.base_url)
    run(home, script, Wanted(session=FORKED))


# --- another answer ------------------------------------------------------------------------------


def test_another_answer_is_asked_for_with_one_key(home: Home, server: OpenAIServer) -> None:
    async def script(ui: Ui) -> None:
        await said(ui, "hello")
        await ui.press("ctrl+r")
        await ui.shows("a better answer", "2/2")
        await rested(ui)
        assert marker(ui, "▌ hello") == "2/2"
        assert ui.text.count("▌ hello") == 1
        await ui.press("<")
        await ui.shows("a first answer")

    server.reply("a first answer")
    server.reply("a better answer")
    use_server(home, server.base_url)
    run(home, script, Wanted(new=True))


def test_while_an_answer_comes_one_stays_where_one_is(home: Home, server: OpenAIServer) -> None:
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.type("go on")
        await ui.press("enter")
        await ui.shows("a beginning")
        await ui.press("<", "ctrl+r", "ctrl+e")
        assert "a beginning" in ui.text
        assert EDITING not in ui.text
        rest.set()
        await ui.shows("and an end")
        await rested(ui)
        await ui.press("<")
        await ui.shows("green it is")

    server.reply("a beginning\n\nand an end", chunks=2, between=rest)
    use_server(home, server.base_url)
    run(home, script, Wanted(session=FORKED))
    assert len(lines(home, FORKED)) == 10


def test_after_an_error_the_same_message_is_asked_again_not_said_again(
    home: Home, server: OpenAIServer
) -> None:
    async def script(ui: Ui) -> None:
        await ui.shows("a banana")
        await ui.type("go on")
        await ui.press("enter")
        await ui.shows("Error", EDITING)
        await rested(ui)
        assert prompt(ui).text == "go on"
        await ui.press("enter")
        await ui.shows("here you are")
        await rested(ui)
        assert ui.text.count("▌ go on") == 1

    server.refuse_key()
    server.reply("here you are")
    use_server(home, server.base_url)
    run(home, script, Wanted(session=FORKED))
    assert [x["content"] for x in lines(home, FORKED)][8:] == ["go on", "here you are"]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_the_marker_stands_beside_a_long_message_and_hides_nothing_of_it(
    home: Home, size: tuple[int, int]
) -> None:
    words = " ".join(f"word{n}" for n in range(60))
    write_session(
        home,
        "long",
        message(words, id="1"),
        message("yes", "assistant", id="2"),
        message(words + " 再び言う", id="3", parent_id=None),
        message("yes again", "assistant", id="4"),
    )

    async def script(ui: Ui) -> None:
        await ui.shows("yes again", "2/2", "再び言う")
        for n in range(60):
            assert f"word{n}" in ui.text

    run(home, script, Wanted(session="long"), size=size)

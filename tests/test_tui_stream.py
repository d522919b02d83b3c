"""An answer as it comes: drawn, stopped, broken, waited for; and leaving in the middle of one."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import orjson
import pytest
from home import Home, make_home, message, write_session
from openai_server import OpenAIServer
from tui import Ui, run, use_server

from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets import conversation as conversations
from vault_sessions.tui.widgets.conversation import Conversation
from vault_sessions.tui.widgets.prompt import Prompt
from vault_sessions.tui.widgets.waiting import Waiting


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty vault."""
    return make_home(tmp_path)


def chat(ui: Ui) -> ChatScreen:
    """The chat, whatever is above it."""
    return next(screen for screen in ui.app.screen_stack if isinstance(screen, ChatScreen))


def prompt(ui: Ui) -> Prompt:
    """Where one types."""
    return chat(ui).query_one(Prompt)


async def opened(ui: Ui) -> None:
    """Wait until a conversation is open."""
    await ui.until(lambda: chat(ui)._view is not None, "a conversation")


async def rested(ui: Ui) -> None:
    """Wait until nothing is being answered."""
    await ui.until(lambda: chat(ui)._flow is None, "the end of the answer")


async def say(ui: Ui, text: str) -> None:
    """Type it and press Enter."""
    await ui.type(text)
    await ui.press("enter")


def seen(ui: Ui) -> list[str]:
    """Some lines of the conversation, without the bar at their right."""
    return [line[:60].rstrip() for line in ui.lines[3:12]]


def lines(home: Home) -> list[tuple[str, str, str | None]]:
    """What is on disk: role, text, status; of all sessions."""
    found = []
    for path in sorted(home.sessions.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            fields = orjson.loads(line)
            found.append((fields["role"], fields["content"], fields.get("status")))
    return found


def test_an_answer_is_seen_while_it_comes(home: Home) -> None:
    """Its beginning is there before its end is, and at the end it is all there."""
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("█ hello", "First line", "answering")
        assert "Second line" not in ui.text
        rest.set()
        await ui.shows("Second line")
        await rested(ui)
        assert "Esc stops it" not in ui.text

    with OpenAIServer() as server:
        server.reply("First line.\n\nSecond line.", chunks=2, between=rest)
        use_server(home, server.base_url)
        run(home, script)
    assert lines(home)[1] == ("assistant", "First line.\n\nSecond line.", None)


def test_escape_ends_an_answer_that_has_not_begun(home: Home) -> None:
    """The server may never answer; the conversation goes on."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("thinking")
        server.wait_for_requests()
        await ui.press("escape")
        await rested(ui)
        await ui.shows("(stopped; what had arrived is kept)")
        await say(ui, "again")
        await ui.shows("at your service")

    with OpenAIServer() as server:
        server.reply("too late", before=threading.Event())
        server.reply("at your service")
        use_server(home, server.base_url)
        run(home, script)
        server.wait_for_departures()
    assert lines(home) == [
        ("user", "hello", None),
        ("user", "again", None),
        ("assistant", "at your service", None),
    ]


def test_escape_keeps_what_had_arrived(home: Home) -> None:
    """On the screen and on disk."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "count")
        await ui.shows("one two")
        await ui.press("escape")
        await rested(ui)
        await ui.shows("one two", "(stopped; what had arrived is kept)")

    with OpenAIServer() as server:
        server.reply("one two three", chunks=13, between=(*[None] * 7, threading.Event()))
        use_server(home, server.base_url)
        run(home, script)
    assert lines(home)[1][1:] == ("one two ", "cancelled")


@pytest.mark.parametrize("keys", [("ctrl+q",), ("ctrl+c", "ctrl+c")])
def test_leaving_in_the_middle_of_an_answer_loses_no_word(
    home: Home, keys: tuple[str, ...]
) -> None:
    """What had arrived is on disk when the program has ended."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "count")
        await ui.shows("one two")
        await ui.press(*keys)

    with OpenAIServer() as server:
        server.reply("one two three", chunks=13, between=(*[None] * 7, threading.Event()))
        use_server(home, server.base_url)
        run(home, script)
    assert lines(home) == [("user", "count", None), ("assistant", "one two ", "cancelled")]


def test_one_interrupt_stops_the_answer_only(home: Home) -> None:
    """Ctrl-C is no accident: the second one leaves."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("thinking")
        await ui.press("ctrl+c")
        await rested(ui)
        await ui.shows("Ctrl-C again leaves")

    with OpenAIServer() as server:
        server.reply("late", before=threading.Event())
        use_server(home, server.base_url)
        run(home, script)


def test_a_broken_answer_is_told_and_what_was_said_can_be_said_again(home: Home) -> None:
    """What had arrived stays; the text is in the input; Enter says it again, not twice."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "tell me all")
        await ui.shows("Half of it", "Error: Can't reach local", "Try again")
        await rested(ui)
        assert prompt(ui).text == "tell me all"
        await ui.press("enter")
        await ui.shows("All of it.")
        await rested(ui)

    with OpenAIServer() as server:
        server.disconnect("Half of it", after=2)
        server.reply("All of it.")
        use_server(home, server.base_url)
        run(home, script)
    kept = lines(home)
    assert ("assistant", "Half of it", "error") in kept
    assert ("assistant", "All of it.", None) in kept


def test_another_try_is_told_of(home: Home) -> None:
    """With why, and how long; Esc does not wait for it."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("status 429; trying again in 20 s")
        await ui.press("escape")
        await rested(ui)

    with OpenAIServer() as server:
        server.limit_rate(retry_after=20)
        use_server(home, server.base_url)
        run(home, script)


def test_what_is_said_while_an_answer_comes_is_said_after_it(home: Home) -> None:
    """One after another; until then it stands above the input."""
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "one")
        await ui.shows("thinking")
        await say(ui, "two")
        await say(ui, "three")
        await ui.shows("next, Esc takes it back: two", "next, Esc takes it back: three")
        assert prompt(ui).text == ""
        await ui.type("a draft")
        rest.set()
        await ui.until(lambda: len(lines(home)) == 6)
        await rested(ui)
        await ui.hides("Esc takes it back")
        assert prompt(ui).text == "a draft"

    with OpenAIServer() as server:
        server.reply("first", before=rest)
        server.reply("second")
        server.reply("third")
        use_server(home, server.base_url)
        run(home, script)
    said = [text for _, text, _ in lines(home)]
    assert said == ["one", "first", "two", "second", "three", "third"]


def test_stopping_takes_back_what_waits(home: Home) -> None:
    """Nothing is said to a model that was stopped: it is in the input again, before the draft."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "one")
        await ui.shows("thinking")
        await say(ui, "two")
        await ui.type("dra")
        await ui.press("escape")
        await rested(ui)
        await ui.until(lambda: prompt(ui).text == "two\n\ndra")
        assert chat(ui).query_one(Waiting).texts == []

    with OpenAIServer() as server:
        server.reply("late", before=threading.Event())
        use_server(home, server.base_url)
        run(home, script)
    assert lines(home) == [("user", "one", None)]


def test_what_was_typed_and_not_said_is_handed_back_on_leaving(home: Home) -> None:
    """What waited, and what was being typed."""
    left: list[str] = []

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "one")
        await ui.shows("thinking")
        await say(ui, "two")
        await ui.type("thr")
        await ui.press("ctrl+q")
        left.append(ui.app.unsaid)

    with OpenAIServer() as server:
        server.reply("late", before=threading.Event())
        use_server(home, server.base_url)
        run(home, script)
    assert left == ["two\n\nthr"]


def test_calls_of_tools_are_lines_between_the_texts(home: Home) -> None:
    """In the order in which they came."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "what do you know of Denver?")
        await ui.shows("Let me look.", "Nothing.")
        await rested(ui)
        shown = [line.strip() for line in ui.lines]
        first, last = shown.index("Let me look."), shown.index("Nothing.")
        assert any("denver" in line.casefold() for line in shown[first:last])

    with OpenAIServer() as server:
        server.reply_tool_call("memory_search", {"query": "denver"}, text="Let me look.")
        server.reply("Nothing.")
        use_server(home, server.base_url)
        run(home, script)


def test_nothing_in_an_answer_controls_the_terminal(home: Home) -> None:
    """Not even where it comes in two pieces."""
    text = "red \x1b[31m and \x1b]0;title\x07 end &#x202e; of <b>it</b>"

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("red", "of <b>it</b>")
        await rested(ui)
        shown = ui.line("red")
        assert shown.split() == ["red", "and", "end", "of", "<b>it</b>"]

    with OpenAIServer() as server:
        server.reply(text, chunks=len(text))
        use_server(home, server.base_url)
        run(home, script)
    assert lines(home)[1][1] == text


def test_scrolled_up_one_stays_there_while_it_comes(home: Home) -> None:
    """The newest line is followed only by who looks at it; Ctrl+End goes there again."""
    rest = threading.Event()
    text = "".join(f"paragraph {number}\n\n" for number in range(100))

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "much")
        await ui.shows("paragraph 49")
        await ui.press("pageup", "pageup")
        await ui.hides("paragraph 49")
        place = chat(ui).query_one(Conversation).scroll_y
        before = seen(ui)
        rest.set()
        await rested(ui)
        assert chat(ui).query_one(Conversation).scroll_y == place
        assert seen(ui) == before
        await ui.press("ctrl+end")
        await ui.shows("paragraph 99")

    with OpenAIServer() as server:
        server.reply(text, chunks=2, between=rest)
        use_server(home, server.base_url)
        run(home, script)


def test_a_long_conversation_stays_small_on_the_screen(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand messages, and some more turns: only the newest are on the tree, and scrolling up
    brings the others."""
    monkeypatch.setattr(conversations, "MOST", 34)  # the way there is shorter
    said = [
        message(f"message {n}", "assistant" if n % 2 else "user", id=f"m{n}") for n in range(2000)
    ]
    write_session(home, "20260101-000000-aaaaaa", *said, name="long")

    async def script(ui: Ui) -> None:
        await opened(ui)
        conversation = chat(ui).query_one(Conversation)
        for number in range(4):
            await say(ui, f"q{number}")
            await ui.until(partial(has_messages, ui, 2002 + 2 * number))
            await rested(ui)
            assert len(conversation.children) <= 36
        await ui.shows("q3")
        while "message 1960" not in ui.text:
            await ui.press("pageup")

    with OpenAIServer() as server:
        use_server(home, server.base_url)
        run(home, script, Wanted(session="long"))


def has_messages(ui: Ui, count: int) -> bool:
    """Are there so many messages in the conversation that is shown?"""
    view = chat(ui)._view
    return view is not None and len(view.messages) == count


def test_a_fault_of_the_screen_is_one_line_and_loses_no_word(home: Home) -> None:
    """What had arrived is on disk, and what was typed is handed back."""
    kept: list[object] = []

    async def script(ui: Ui) -> None:
        kept.append(ui.app)
        await opened(ui)
        await say(ui, "count")
        await ui.shows("one two")
        await ui.type("dra")
        ui.app.screen.call_later([].pop)
        await ui.until(lambda: ui.app.broke)

    with OpenAIServer() as server:
        server.reply("one two three", chunks=13, between=(*[None] * 7, threading.Event()))
        use_server(home, server.base_url)
        with pytest.raises(IndexError):  # the harness raises it again; the program does not
            run(home, script)
    assert lines(home)[1] == ("assistant", "one two ", "cancelled")
    (app,) = kept
    assert "IndexError" in str(app.broke)  # type: ignore[attr-defined]
    assert app.unsaid == "dra"  # type: ignore[attr-defined]

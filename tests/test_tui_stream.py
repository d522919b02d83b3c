"""An answer as it comes: drawn, stopped, broken, waited for; and leaving in the middle of one."""

from __future__ import annotations

import gc
import re
import threading
from functools import partial

import orjson
import pytest
from home import Home, message, write_session
from openai_server import OpenAIServer
from textual import events
from textual.strip import Strip
from textual.widget import Widget
from tui import Ui, run, use_server

from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.conversation import Conversation
from vault_sessions.tui.widgets.prompt import Prompt
from vault_sessions.tui.widgets.waiting import Waiting


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
    await ui.until(lambda: chat(ui)._under_way.answer is None, "the end of the answer")


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
        await ui.shows("▌ hello", "First line", "answering")
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
        await ui.until(lambda: server.requests)
        await ui.press("escape")
        await rested(ui)
        await ui.shows("(stopped)")
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


@pytest.mark.parametrize("key", ["ctrl+t", "ctrl+n", "ctrl+l"])
def test_another_conversation_stops_the_answer_if_one_wants_that(home: Home, key: str) -> None:
    """Whichever way it is begun or opened, it is asked; what had come of the answer is kept."""
    write_session(home, "20260101-000000-aaaaaa", message("fruit", id="q"), name="fruit")
    rest = threading.Event()

    async def another(ui: Ui) -> None:
        await ui.press(key)
        if key == "ctrl+n":
            await ui.shows("New conversation", "Skill")
            await ui.press("enter")
        elif key == "ctrl+l":
            await ui.shows("Sessions · ")
            await ui.press("j", "enter")
        await ui.shows("An answer is still coming.")

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("First line")
        await another(ui)
        await ui.press("escape")
        await ui.shows("First line", "answering")
        await another(ui)
        await ui.press("y")
        await ui.hides("First line")
        await rested(ui)

    with OpenAIServer() as server:
        server.reply("First line.\n\nSecond line.", chunks=2, between=rest)
        use_server(home, server.base_url)
        try:
            run(home, script, Wanted(new=True))
        finally:
            rest.set()
    assert ("assistant", "First line.", "cancelled") in [
        (role, text.strip(), status) for role, text, status in lines(home)
    ]


@pytest.mark.parametrize("key", ["ctrl+e", "ctrl+r", "up"])
def test_what_can_only_be_done_after_an_answer_says_so(home: Home, key: str) -> None:
    """No key is without an effect that is seen."""
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("First line")
        await ui.press(key)
        await ui.shows("An answer is coming: Esc stops it")
        rest.set()
        await rested(ui)

    with OpenAIServer() as server:
        server.reply("First line.\n\nSecond line.", chunks=2, between=rest)
        use_server(home, server.base_url)
        run(home, script)


def test_what_was_said_of_work_goes_with_it(home: Home) -> None:
    """A note that ends in dots is about what goes on; another one stays for its seconds."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("thinking")
        chat(ui).note_in_passing("Topic: fruit")
        await ui.shows("Topic: fruit")
        chat(ui).note_in_passing("Summarizing 30 earlier messages …")
        await ui.shows("Summarizing 30 earlier messages …")
        await ui.press("escape")
        await ui.shows("(stopped)")
        await ui.hides("Summarizing")
        await say(ui, "again")
        await ui.shows("thinking")
        chat(ui).note_in_passing("Topic: fruit")
        await ui.press("escape")
        await rested(ui)
        await ui.shows("Topic: fruit")

    with OpenAIServer() as server:
        server.reply("late", before=threading.Event())
        server.reply("late", before=threading.Event())
        use_server(home, server.base_url)
        run(home, script)


def test_escape_stops_a_summary(home: Home) -> None:
    """Nothing is recorded, and the conversation goes on."""
    turns = [message(f"fruit {n}", "assistant" if n % 2 else "user", id=f"m{n}") for n in range(40)]
    write_session(home, "20260101-000000-aaaaaa", *turns, name="fruit")

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "/compact")
        await ui.shows("summarizing", "Esc stops it")
        await ui.until(lambda: server.requests)
        await ui.press("escape")
        await ui.shows("Nothing was summarized: it was stopped.")

    with OpenAIServer() as server:
        server.reply("too late", before=threading.Event())
        use_server(home, server.base_url)
        run(home, script, Wanted(session="fruit"))
        server.wait_for_departures()
    assert "compactions" not in (home.sessions / "20260101-000000-aaaaaa.meta.json").read_text()


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
    left: list[ChatScreen] = []

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "one")
        await ui.shows("thinking")
        await say(ui, "two")
        await ui.type("thr")
        left.append(chat(ui))
        await ui.press("ctrl+q")

    with OpenAIServer() as server:
        server.reply("late", before=threading.Event())
        use_server(home, server.base_url)
        run(home, script)
    assert [screen.unsaid for screen in left] == ["two\n\nthr"]


@pytest.mark.parametrize("answers", [True, False])
def test_what_is_said_with_the_last_key_is_on_disk_or_handed_back(
    home: Home, answers: bool
) -> None:
    """Enter and Ctrl+Q in one burst, or while the one who would say it is busy."""
    left: list[ChatScreen] = []

    async def script(ui: Ui) -> None:
        await opened(ui)
        left.append(chat(ui))
        if answers:
            await ui.press(*"precious", "enter", "ctrl+q")
        else:
            async with ui.busy(ui.app.talker):
                await ui.press(*"precious", "enter")
                await ui.shows("▌ precious")
                await ui.press("ctrl+q")

    with OpenAIServer() as server:
        server.reply("late", before=threading.Event())
        use_server(home, server.base_url)
        run(home, script)
    on_disk = [text for _, text, _ in lines(home)]
    assert on_disk.count("precious") + left[0].unsaid.count("precious") == 1


def test_where_one_went_is_where_one_says_it(home: Home) -> None:
    """Another key right behind Enter does not keep the conversation that was chosen away."""
    write_session(home, "20260101-000000-aaaaaa", message("apple", id="a"), name="fruit")
    write_session(home, "20260102-000000-bbbbbb", message("beech", id="b"), name="trees")

    async def script(ui: Ui) -> None:
        await opened(ui)
        async with ui.busy(ui.app.talker):
            await ui.press("ctrl+l", "j", "enter", "ctrl+p", "escape")
            await ui.shows("opening")
        await ui.shows("apple")
        await say(ui, "pear")
        await ui.shows("▌ pear")
        await rested(ui)

    with OpenAIServer() as server:
        server.reply("a pear")
        use_server(home, server.base_url)
        run(home, script, Wanted(session="trees"))
    said = (home.sessions / "20260101-000000-aaaaaa.jsonl").read_text()
    assert "pear" in said


def test_what_is_said_during_a_summary_is_seen_at_once(home: Home) -> None:
    """It is said when the summary is made."""
    rest = threading.Event()
    turns = [message(f"fruit {n}", "assistant" if n % 2 else "user", id=f"m{n}") for n in range(40)]
    write_session(home, "20260101-000000-aaaaaa", *turns, name="fruit")

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "/compact")
        await ui.shows("summarizing")
        await ui.until(lambda: server.requests)
        await say(ui, "and now?")
        await ui.shows("▌ and now?", "summarizing first")
        rest.set()
        await ui.shows("no more fruit")
        await rested(ui)

    with OpenAIServer() as server:
        server.reply("no summary", before=rest)
        server.reply("no more fruit")
        use_server(home, server.base_url)
        try:
            run(home, script, Wanted(session="fruit"))
        finally:
            rest.set()
    assert [text for _, text, _ in lines(home)][-2:] == ["and now?", "no more fruit"]


def test_what_another_program_says_meanwhile_is_seen_with_the_answer(home: Home) -> None:
    """Both are in the file, and both are on the screen."""
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.until(lambda: server.requests)
        with next(home.sessions.glob("*.jsonl")).open("ab") as file:
            file.write(message("from elsewhere", id="other"))
        rest.set()
        await ui.shows("at your service", "from elsewhere")
        await rested(ui)

    with OpenAIServer() as server:
        server.reply("at your service", before=rest)
        use_server(home, server.base_url)
        run(home, script)


def test_after_an_error_nothing_is_said_by_itself(home: Home) -> None:
    """What waited is in the input again, and is not said in another conversation."""
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "one")
        await ui.until(lambda: server.requests)
        await say(ui, "two")
        await ui.shows("↳ next")
        rest.set()
        await rested(ui)
        assert prompt(ui).text == "two"

    with OpenAIServer() as server:
        server.fail(400, "no", before=rest)
        use_server(home, server.base_url)
        run(home, script)


def test_what_could_not_be_written_is_in_the_input_before_what_was_typed(home: Home) -> None:
    """Nothing of either is lost."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        home.sessions.rename(home.sessions.with_name("away"))
        home.sessions.write_text("in the way")
        async with ui.busy(ui.app.talker):
            await say(ui, "one")
            await ui.type("two")
        await rested(ui)
        await ui.shows("Error")
        assert prompt(ui).text == "one\n\ntwo"

    run(home, script)


def test_a_file_that_can_be_read_no_more_is_told_and_the_chat_goes_on(home: Home) -> None:
    """A folder stands where the transcript was; it is seen again once that is there again."""
    path = write_session(home, "20260101-000000-aaaaaa", message("apple", id="a"), name="fruit")

    async def script(ui: Ui) -> None:
        await opened(ui)
        await ui.shows("apple")
        path.rename(path.with_name("kept"))
        path.mkdir()
        await ui.shows("not a regular file")
        path.rmdir()
        path.with_name("kept").rename(path)
        await ui.hides("not a regular file")
        await ui.shows("apple")

    run(home, script, Wanted(session="fruit"))


def test_letters_are_for_the_input_wherever_one_has_clicked(home: Home) -> None:
    """The conversation has the keys to scroll with, and takes no letters."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        chat(ui).query_one(Conversation).focus()
        await ui.until(lambda: isinstance(chat(ui).focused, Conversation))
        await ui.type("hello there")
        assert prompt(ui).text == "hello there"
        chat(ui).query_one(Conversation).focus()
        await ui.until(lambda: isinstance(chat(ui).focused, Conversation))
        await ui.paste(" and\r\nmore")
        await ui.until(lambda: prompt(ui).text == "hello there and\nmore")

    run(home, script)


def test_the_question_goes_when_the_answer_is_there(home: Home) -> None:
    """There is nothing to be stopped any more: the new conversation begins."""
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "hello")
        await ui.shows("First line")
        await ui.press("ctrl+t")
        await ui.shows("An answer is still coming.")
        rest.set()
        await ui.hides("An answer is still coming.", "First line")
        await ui.shows("A new conversation")

    with OpenAIServer() as server:
        server.reply("First line.\n\nSecond line.", chunks=2, between=rest)
        use_server(home, server.base_url)
        run(home, script)
    assert lines(home)[1] == ("assistant", "First line.\n\nSecond line.", None)


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


def long_session(home: Home, text: str = "message {n}", count: int = 2000) -> Wanted:
    """A session of so many messages."""
    said = [
        message(text.format(n=n), "assistant" if n % 2 else "user", id=f"m{n}")
        for n in range(count)
    ]
    write_session(home, "20260101-000000-aaaaaa", *said, name="long")
    return Wanted(session="long")


def test_what_is_said_in_a_long_conversation_does_not_pile_up(home: Home) -> None:
    """Two thousand messages, and some more turns: only those around what is seen have widgets."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        conversation = chat(ui).query_one(Conversation)
        for number in range(12):
            await ui.paste(f"q{number}")
            await ui.press("enter")
            await ui.until(partial(has_messages, ui, 2002 + 2 * number))
            await rested(ui)
            assert len(conversation.children) <= 80
        await ui.shows("q11")
        while "message 1960" not in ui.text:
            await ui.press("pageup")

    with OpenAIServer() as server:
        use_server(home, server.base_url)
        run(home, script, long_session(home))


def test_all_of_a_long_conversation_can_be_scrolled_through(home: Home) -> None:
    """Up to its first message and down to its last, page by page, no message left out, and only
    those around what is seen have widgets."""
    seen: set[int] = set()

    async def look(ui: Ui) -> None:
        await ui.drawn()
        seen.update(int(number) for number in re.findall(r"message (\d+)\b", ui.text))
        assert len(chat(ui).query_one(Conversation).children) <= 120

    async def script(ui: Ui) -> None:
        await opened(ui)
        await ui.shows("message 1999")
        while 1800 not in seen:
            await look(ui)
            await ui.press("pageup")
        assert seen >= set(range(1800, 2000))
        await ui.press("ctrl+end")
        await ui.shows("message 1999")
        chat(ui).query_one(Conversation).focus()
        await ui.press("home")
        await ui.shows("message 0\n")
        seen.clear()
        while 199 not in seen:
            await look(ui)
            await ui.press("pagedown")
        assert seen >= set(range(200))
        await ui.press("end")
        await ui.shows("message 1999")
        assert "later messages" not in ui.text

    run(home, script, long_session(home))


def test_what_is_seen_stays_where_it_is_while_more_comes(home: Home) -> None:
    """Line by line with the wheel, up and down again: each line is seen where it is to be."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await ui.shows("message 1999")
        conversation = chat(ui).query_one(Conversation)
        for way, event in ((-1, events.MouseScrollUp), (1, events.MouseScrollDown)):
            for _ in range(60):
                before = [line for line in ui.lines[2:20] if "message" in line]
                conversation.post_message(wheel(event, conversation))
                await ui.until(lambda: ui.lines[2:20] != before)  # noqa: B023
                after = [line for line in ui.lines[2:20] if "message" in line]
                kept = set(before) & set(after)
                assert len(kept) >= 4, (way, before, after)

    run(home, script, long_session(home))


def test_an_answer_goes_on_behind_what_one_reads_far_above(home: Home) -> None:
    """However far one has scrolled away meanwhile; at the end it is there whole."""
    rest = threading.Event()

    async def script(ui: Ui) -> None:
        await opened(ui)
        await say(ui, "go on")
        await ui.shows("First line")
        await page_up_to(ui, "message 200")
        assert len(chat(ui).query_one(Conversation).children) <= 120
        before = seen(ui)
        rest.set()
        await rested(ui)
        assert seen(ui) == before
        await ui.press("ctrl+end")
        await ui.shows("go on", "First line", "Second line")

    with OpenAIServer() as server:
        server.reply("First line.\n\nSecond line.", chunks=2, between=rest)
        use_server(home, server.base_url, sessions={"auto_compact": {"enabled": False}})
        run(home, script, long_session(home, count=400))


def test_a_change_on_disk_far_above_is_seen_where_one_reads(home: Home) -> None:
    """What others change is shown without moving what one reads."""
    wanted = long_session(home)
    file = home.sessions / "20260101-000000-aaaaaa.jsonl"

    def read(ui: Ui) -> list[str]:
        return re.findall(r"(?:▌|  ) message \w+", ui.text)[:9]

    async def script(ui: Ui) -> None:
        await opened(ui)
        await page_up_to(ui, "message 1800")
        before = read(ui)
        file.write_bytes(file.read_bytes().replace(b"message 1800", b"message one"))
        chat(ui).heard("changed", "")
        await ui.shows("message one", "1 message changed on disk.")  # a line less for the rest
        assert [text.replace("one", "1800") for text in read(ui)] == before

    run(home, script, wanted)


@pytest.mark.slow
def test_no_message_costs_memory_once_it_is_out_of_sight(home: Home) -> None:
    """Of what was drawn of a widget that is gone nothing is remembered."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await ui.shows("number 1999")
        drawn = []
        for goal in (1900, 1000, 100):
            while f"number {goal}" not in ui.text:
                await ui.press("pageup")
            gc.collect()
            drawn.append(sum(isinstance(thing, Strip) for thing in gc.get_objects()))
        assert max(drawn) < 3 * drawn[0]

    run(home, script, long_session(home, "number {n}\n\n- one\n- two\n- three\n"))


async def page_up_to(ui: Ui, text: str) -> None:
    """Page by page until it is on the screen, and nothing is on its way there any more."""
    conversation = chat(ui).query_one(Conversation)
    while text not in ui.text:
        await ui.press("pageup")
        await ui.until(lambda: conversation.is_settled)


def wheel(event: type[events.MouseEvent], over: Widget) -> events.MouseEvent:
    """A turn of the mouse's wheel."""
    return event(over, 5, 5, 0, 0, 0, False, False, False)


def has_messages(ui: Ui, count: int) -> bool:
    """Are there so many messages in the conversation that is shown?"""
    view = chat(ui)._view
    return view is not None and len(view.messages) == count


def test_a_fault_of_the_screen_is_one_line_and_loses_no_word(home: Home) -> None:
    """What had arrived is on disk, and what was typed is handed back."""
    kept: list[object] = []
    left: list[ChatScreen] = []

    async def script(ui: Ui) -> None:
        kept.append(ui.app)
        await opened(ui)
        left.append(chat(ui))
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
    assert left[0].unsaid == "dra"

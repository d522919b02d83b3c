"""Memory in the UI: read, searched, edited, taken back; and what of it is to be confirmed."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from home import Home, make_home
from openai_server import OpenAIServer
from textual import events
from textual.widgets import OptionList
from tmux import needs_tmux, terminal
from tui import Ui, run, use_server

from vault_sessions.formats.summary import offer_line, with_section
from vault_sessions.model import Proposal
from vault_sessions.tui.cards.choose import ChooseScreen
from vault_sessions.tui.cards.correction import CorrectionCard
from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.screens.memory import MemoryScreen
from vault_sessions.tui.screens.search import SearchScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.passage import PassagePage
from vault_sessions.tui.widgets.prompt import Prompt

DESIGN = Wanted(session="vpc-design")
MOVED = "Actually, I moved to Boulder last week."


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A copy of the sample vault."""
    return make_home(tmp_path, sample=True)


def facts(home: Home) -> str:
    return (home.vault / "atlas/memory/long-term/facts.md").read_text()


async def opened(ui: Ui) -> ChatScreen:
    """The chat, once its conversation is shown."""
    await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
    chat = ui.app.screen
    assert isinstance(chat, ChatScreen)
    await ui.until(lambda: chat.session_now or "A new conversation." in ui.text)
    return chat


async def choosing(ui: Ui) -> None:
    """Wait for the list to choose from, until one may type."""
    await ui.until(lambda: isinstance(ui.app.screen, ChooseScreen) and ui.app.screen.focused)


async def memory(ui: Ui) -> None:
    """Open the screen."""
    await opened(ui)
    await ui.press("ctrl+k")
    await ui.shows("About you", "Decision first, reasons after")


async def asked(ui: Ui, text: str = MOVED) -> CorrectionCard:
    """Say something that corrects memory, and wait for the question."""
    chat = await opened(ui)
    await ui.paste(text)
    await ui.press("enter")
    card = chat.query_one(CorrectionCard)
    await ui.until(lambda: card.has_focus and card.region.height)
    return card


# --- the screen ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_everything_that_is_remembered_can_be_read(home: Home, size: tuple[int, int]) -> None:
    """The picture of the user, facts, changes, summaries: without what programs keep in them."""

    async def script(ui: Ui) -> None:
        await memory(ui)
        await ui.press("j")
        await ui.shows("facts.md", "• Allergic to hazelnuts")
        assert "<!--" not in ui.text
        await ui.press("j")
        await ui.shows("+ The dispatch database runs on Postgres 17")
        await ui.press("down", "down")
        await ui.shows("Postgres 17 upgrade", "blue/green")
        assert "session_id" not in ui.text
        assert "generated_hash" not in ui.text
        await ui.press("G")
        await ui.shows("cardamom-buns-recipe.md")
        await ui.press("g")
        await ui.shows("user.md", "Decision first")
        await ui.press("q")
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
        await ui.press("ctrl+q")

    run(home, script, DESIGN, size=size)


def test_a_vault_that_knows_nothing_says_so(tmp_path: Path) -> None:
    """There are pages all the same."""

    async def script(ui: Ui) -> None:
        await ui.shows("Say something")
        await ui.press("ctrl+k")
        await ui.shows("About you", "Nothing is known yet.")
        await ui.press("j", "j")
        await ui.shows("Nothing was changed yet.")
        await ui.press("w")
        await ui.shows("There is nothing here")
        await ui.press("u")
        await ui.shows("There is no change")
        await ui.press("escape", "ctrl+q")

    run(make_home(tmp_path), script, Wanted(new=True))


def test_a_page_that_is_edited_elsewhere_is_shown_anew(home: Home) -> None:
    """Where one was in it."""

    async def script(ui: Ui) -> None:
        await memory(ui)
        await ui.press("j")
        await ui.shows("• Allergic to hazelnuts")
        await ui.press("space")
        page = ui.app.screen.query_one("#page")
        await ui.until(lambda: page.scroll_y > 0)
        at = page.scroll_y
        path = home.vault / "atlas/memory/long-term/facts.md"
        path.write_text(facts(home) + "- Keeps bees on the roof\n")
        await ui.until(lambda: "bees" in ui.app.screen.query_one(PassagePage).source)
        assert page.scroll_y == at
        await ui.press("escape", "ctrl+q")

    run(home, script, DESIGN, size=(80, 24))


def test_a_change_is_taken_back(home: Home) -> None:
    """The one that is chosen, of all that were made; it is offered no more then."""

    async def script(ui: Ui) -> None:
        await memory(ui)
        await ui.press("u")
        await choosing(ui)
        await ui.type("JLPT N3 in Dec")
        assert ui.app.screen.query_one(OptionList).option_count == 1
        await ui.press("enter")
        await ui.shows("Taken back:")
        assert "JLPT" not in facts(home)
        await ui.press("j", "j")
        await ui.shows("− Pass the JLPT N3", "user · undo", "model · undone")
        await ui.press("u")
        await choosing(ui)
        options = ui.app.screen.query_one(OptionList)
        await ui.until(lambda: options.options)
        offered = [str(one.prompt) for one in options.options]
        assert not [one for one in offered if "JLPT N3 in Dec" in one]
        await ui.press("escape", "escape", "ctrl+q")

    run(home, script, DESIGN)


def test_what_was_edited_since_is_not_taken_back(home: Home) -> None:
    """It is said why, and the file stays as it is."""
    path = home.vault / "atlas/memory/long-term/facts.md"
    path.write_text(facts(home).replace("Pass the JLPT N3 in December 2026", "Rest"))
    before = facts(home)

    async def script(ui: Ui) -> None:
        await memory(ui)
        await ui.press("u")
        await choosing(ui)
        await ui.type("JLPT N3 in Dec")
        await ui.press("enter")
        await ui.shows("it was edited since")
        await ui.press("escape", "ctrl+q")

    run(home, script, DESIGN)
    assert facts(home) == before


def test_memory_is_searched(home: Home) -> None:
    """/ looks in memory alone, and shows the page where it stands."""

    async def script(ui: Ui) -> None:
        await memory(ui)
        await ui.press("slash")
        await ui.until(lambda: isinstance(ui.app.screen, SearchScreen))
        await ui.type("sister")
        await ui.shows("found in memory", "Ingrid is her sister")
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, MemoryScreen))
        await ui.shows("Ingrid is her sister")
        await ui.until(lambda: ui.app.screen.query_one(PassagePage).place)
        await ui.press("escape", "ctrl+q")

    run(home, script, DESIGN, size=(80, 24))


def test_it_leads_to_the_message_it_comes_from(home: Home) -> None:
    """A fact to what was said, a summary to its conversation, a bullet of the owner's nowhere."""

    async def script(ui: Ui) -> None:
        await memory(ui)
        await ui.press("j")
        await ui.shows("• Drives a 2019 RAV4")
        await ui.press("w")
        await choosing(ui)
        await ui.type("RAV4")
        await ui.press("enter")
        await ui.shows("Written by you")
        await ui.press("w")
        await choosing(ui)
        await ui.type("hazelnuts")
        await ui.press("enter")
        chat = await opened(ui)
        await ui.until(lambda: chat.session_now == "20251112-170211-bhp5n4")
        await ui.until(lambda: any(s.has_class("found") for s in chat.query("Said")))
        await memory(ui)
        await ui.press("G")
        await ui.shows("cardamom-buns-recipe.md")
        await ui.press("k")
        await ui.shows("naive-and-aware-datetimes.md", "Summary")
        await ui.press("enter")
        await ui.until(lambda: chat.session_now == "20251203-201142-xvg1ef")
        await ui.press("ctrl+q")

    run(home, script, DESIGN)


def test_the_slash_command_is_the_key(home: Home) -> None:
    """/memory is Ctrl+K."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await ui.type("/memory")
        await ui.press("enter")
        await ui.shows("Decision first, reasons after")
        await ui.press("escape", "ctrl+q")

    run(home, script, DESIGN)


# --- corrections ---------------------------------------------------------------------------------


def test_a_correction_is_shown_old_and_new_and_saved_on_a_yes(home: Home) -> None:
    """In the place of the old one, after the answer; and taken back like every change."""

    async def script(ui: Ui) -> None:
        await asked(ui)
        await ui.shows("facts.md › Facts", "− Lives in Denver", "+ Lives in Boulder", "y · n · e")
        await ui.press("y")
        await ui.shows("Saved: facts.md, changed.")
        assert "- Lives in Boulder" in facts(home)
        assert "Lives in Denver" not in facts(home)
        chat = await opened(ui)
        await ui.until(lambda: chat.query_one(Prompt).has_focus)
        assert not chat.query_one(CorrectionCard).region.height
        await ui.press("ctrl+q")

    run(home, script, DESIGN, size=(80, 24))


def test_no_is_no_for_that_entry_in_this_session(home: Home) -> None:
    """Nothing is changed, and it is not asked again."""
    before = facts(home)

    async def script(ui: Ui) -> None:
        card = await asked(ui)
        await ui.press("n")
        await ui.until(lambda: card.asks is None)
        await ui.paste("Actually, I moved to Boulder last month.")
        await ui.press("enter")
        chat = await opened(ui)
        await ui.until(lambda: len(chat.query("Said.assistant")) and chat._under_way.answer is None)
        await ui.app.talker.do(lambda ws: None)
        assert card.asks is None
        await ui.press("ctrl+q")

    run(home, script, DESIGN)
    assert facts(home) == before


def test_it_can_be_edited_first(home: Home) -> None:
    """Enter saves the text as it is left; Escape goes back to the question."""

    async def script(ui: Ui) -> None:
        card = await asked(ui)
        await ui.press("e")
        await ui.until(lambda: not card.has_focus and card.has_keys)
        await ui.shows("Enter saves")
        await ui.press("escape")
        await ui.until(lambda: card.has_focus)
        await ui.press("e")
        await ui.until(lambda: not card.has_focus and card.has_keys)
        await ui.type(", Colorado")
        await ui.press("enter")
        await ui.shows("Saved: facts.md")
        assert "- Lives in Boulder, Colorado" in facts(home)
        await ui.press("ctrl+q")

    run(home, script, DESIGN)


def test_what_cannot_be_saved_is_said_and_asked_again(home: Home) -> None:
    """A secret is never stored."""

    async def script(ui: Ui) -> None:
        card = await asked(ui)
        await ui.press("e")
        await ui.until(lambda: not card.has_focus and card.has_keys)
        await ui.paste(" with the key AKIAIOSFODNN7EXAMPLE")
        await ui.press("enter")
        await ui.shows("Not saved: it looks like")
        assert card.asks is not None
        await ui.press("escape")
        await ui.until(lambda: card.has_focus)
        await ui.press("escape")
        await ui.until(lambda: card.asks is None)
        await ui.press("ctrl+q")

    before = facts(home)
    run(home, script, DESIGN)
    assert facts(home) == before


def test_typing_never_answers(home: Home) -> None:
    """Letters go to the input, also those that would be an answer; the question waits for F2."""
    before = facts(home)

    async def script(ui: Ui) -> None:
        card = await asked(ui)
        chat = await opened(ui)
        prompt = chat.query_one(Prompt)
        for letter in "yes":  # as fast as somebody types
            ui.app.post_message(events.Key(letter, letter))
        await ui.until(lambda: prompt.text == "yes")
        await ui.type(" and")
        await ui.until(lambda: prompt.text == "yes and")
        assert prompt.has_focus
        await ui.shows("F2 answers")
        assert card.asks is not None
        await ui.press("f2")
        await ui.until(lambda: card.has_focus)
        await ui.paste(" now")
        await ui.until(lambda: prompt.text == "yes and now")
        await ui.press(*["backspace"] * 11)
        await ui.until(lambda: card.has_focus)
        await ui.press("escape")
        await ui.until(lambda: card.asks is None and prompt.has_focus)
        await ui.press("ctrl+q")

    run(home, script, DESIGN)
    assert facts(home) == before


def test_it_is_not_asked_over_a_draft(home: Home) -> None:
    """What is typed while the answer comes is finished first; then it is asked."""

    async def script(ui: Ui) -> None:
        chat = await opened(ui)
        prompt, card = chat.query_one(Prompt), chat.query_one(CorrectionCard)
        await ui.paste(MOVED)
        await ui.press("enter", "n", "o", "w")
        await ui.until(lambda: card.asks)
        await ui.shows("Save this correction?  F2 answers")
        assert prompt.has_focus
        assert prompt.text == "now"
        await ui.press("ctrl+q")

    run(home, script, DESIGN)


def test_another_conversation_is_not_asked_about_this_one(home: Home) -> None:
    """The question goes with the conversation."""

    async def script(ui: Ui) -> None:
        card = await asked(ui)
        await ui.press("ctrl+t")
        await ui.until(lambda: card.asks is None)
        await ui.press("ctrl+q")

    run(home, script, DESIGN)


def test_what_the_model_wants_to_change_waits_for_a_yes(home: Home) -> None:
    """The answer goes on when the person has answered; Escape in the middle is a no."""
    old = "Drives a 2019 RAV4 hybrid"
    wanted = json.dumps({"file": "facts.md", "old_text": old, "new_text": "Drives a Zoe"})
    with OpenAIServer() as server:
        use_server(home, server.base_url)
        server.reply_tool_call("update_memory", wanted)
        server.reply("Noted.")
        server.reply_tool_call("update_memory", wanted.replace("Zoe", "Twingo"))
        server.reply("As you like.")

        async def script(ui: Ui) -> None:
            card = await asked(ui, "please correct what I drive")
            await ui.shows("− Drives a 2019 RAV4 hybrid", "+ Drives a Zoe", "wants to change this")
            await ui.press("y")
            await ui.shows("Noted.")
            assert "- Drives a Zoe" in facts(home)
            assert card.asks is None
            await ui.press("ctrl+q")

        run(home, script, Wanted(new=True))


@pytest.mark.parametrize("key", ["n", "escape", "ctrl+c"])
def test_a_tool_hears_a_no(home: Home, key: str) -> None:
    """Nothing is changed, and nothing waits any more."""
    before = facts(home)
    wanted = {"file": "facts.md", "old_text": "Drives a 2019 RAV4 hybrid", "new_text": "Drives"}
    with OpenAIServer() as server:
        use_server(home, server.base_url)
        server.reply_tool_call("update_memory", json.dumps(wanted))
        server.reply("As you like.")

        async def script(ui: Ui) -> None:
            card = await asked(ui, "please correct what I drive")
            await ui.press(key)
            await ui.shows("stopped" if key == "ctrl+c" else "As you like.")
            await ui.until(lambda: card.asks is None)
            await ui.press("ctrl+q")

        run(home, script, Wanted(new=True))
    assert facts(home) == before


# --- what came up in the background --------------------------------------------------------------


def offer(home: Home, *proposals: Proposal) -> Path:
    """A summary of ours in which these wait for an answer."""
    folder = home.vault / "atlas/memory/long-term"
    path = folder / "session-2026-11-13-tyre-pressure-in-bar-and-psi.md"
    lines = tuple(offer_line(one, date(2026, 11, 13), None) for one in proposals)
    path.write_bytes(with_section(path.read_bytes(), "To confirm", lines))
    return path


OFFERS = (
    Proposal("facts.md", "Facts", "Drives a 2019 RAV4 hybrid", "Drives a Zoe"),
    Proposal("facts.md", "Facts", "Runs about 30 km a week", "Runs about 40 km a week"),
)


def test_what_came_up_in_the_background_is_asked_at_the_start(home: Home) -> None:
    """One after the other; what was answered is not asked again."""
    path = offer(home, *OFFERS)
    assert "## To confirm" in path.read_text()

    async def script(ui: Ui) -> None:
        chat = await opened(ui)
        card = chat.query_one(CorrectionCard)
        await ui.until(lambda: card.has_focus)
        await ui.shows("From an earlier conversation", "+ Drives a Zoe", "1 of 2")
        await ui.press("y")
        await ui.shows("+ Runs about 40 km a week", "2 of 2")
        await ui.press("n")
        await ui.until(lambda: card.asks is None)
        assert await ui.app.reader.do(lambda ws: ws.corrections.offers()) == []
        await ui.press("ctrl+q")

    run(home, script, DESIGN)
    assert "- Drives a Zoe" in facts(home)
    assert "30 km a week" in facts(home)
    assert "## To confirm" not in path.read_text()


def test_what_is_left_is_asked_the_next_time(home: Home) -> None:
    """Escape is no answer, and neither is leaving."""
    offer(home, *OFFERS)

    async def script(ui: Ui) -> None:
        card = (await opened(ui)).query_one(CorrectionCard)
        await ui.until(lambda: card.has_focus)
        await ui.press("escape")
        await ui.shows("2 of 2")
        await ui.press("ctrl+q")

    run(home, script, DESIGN)

    async def again(ui: Ui) -> None:
        card = (await opened(ui)).query_one(CorrectionCard)
        await ui.until(lambda: card.asks)
        await ui.shows("1 of 2")
        await ui.press("ctrl+q")

    run(home, again, DESIGN)


def test_a_private_chat_asks_nothing(home: Home) -> None:
    """Nothing of it goes into memory."""
    offer(home, *OFFERS)

    async def script(ui: Ui) -> None:
        await ui.shows("private")
        await ui.paste(MOVED)
        await ui.press("enter")
        chat = ui.app.screen
        await ui.until(lambda: len(chat.query("Said.assistant")))
        await ui.app.talker.do(lambda ws: None)
        assert chat.query_one(CorrectionCard).asks is None
        await ui.press("ctrl+q")

    run(home, script, Wanted(private=True))


def test_a_proposal_cannot_write_on_the_screen(home: Home) -> None:
    """Neither escapes nor markup in it are obeyed; a long one scrolls in the card."""
    nasty = "Drives [red]a\x1b[2J van\u202e " + "and more of it " * 60
    offer(home, Proposal("facts.md", "Facts", "Drives a 2019 RAV4 hybrid", nasty))

    async def script(ui: Ui) -> None:
        card = (await opened(ui)).query_one(CorrectionCard)
        await ui.until(lambda: card.asks)
        await ui.shows("+ Drives [red]a van")
        assert "\x1b" not in ui.text
        assert card.region.height <= 12
        await ui.press("ctrl+q")

    run(home, script, DESIGN, size=(80, 24))


@needs_tmux
def test_the_owners_editor_is_opened_on_the_page(home: Home) -> None:
    """On the same terminal; what it changed is shown when it has ended."""
    editor = "sed -i 's/a 2019 RAV4 hybrid/a Zoe/'"
    with terminal(home, (100, 30), EDITOR=editor) as at:
        at.run("chat", "-s", "vpc-design")
        at.shows("Say something", "vpc-design")
        at.press("C-k")
        at.shows("About you")
        at.press("j")
        at.shows("Drives a 2019 RAV4 hybrid")
        at.press("o")
        at.shows("Drives a Zoe")
        at.press("j", "o")
        at.shows("not a file")
        at.press("q", "C-q")
        at.shows("code=0")
        assert at.is_clean()

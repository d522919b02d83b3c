"""Search over everything, as one types, and the way to where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from home import make_home, message, write_many, write_session
from textual import events
from tui import Ui, run

from vault_sessions.tui.finding import as_typed, from_words, places, where, words_of
from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.screens.memory import MemoryScreen
from vault_sessions.tui.screens.search import SearchScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.conversation import Conversation
from vault_sessions.tui.widgets.message import Said
from vault_sessions.tui.widgets.passage import PassagePage
from vault_sessions.tui.widgets.prose import Prose
from vault_sessions.tui.widgets.rows import Rows

DESIGN = Wanted(session="vpc-design")


async def opened(ui: Ui) -> None:
    """Wait for the conversation."""
    chat = ui.app.screen
    assert isinstance(chat, ChatScreen)
    await ui.until(lambda: chat.session_now)


async def search(ui: Ui, words: str = "") -> None:
    """Open the search and paste words."""
    await opened(ui)
    await ui.press("ctrl+f")
    await ui.until(lambda: isinstance(ui.app.screen, SearchScreen) and ui.app.screen.focused)
    if words:
        await ui.paste(words)


def marked(ui: Ui) -> str:
    """The first line of what is marked."""
    return next(line for line in ui.lines if line.startswith("▌"))


def standing_out(ui: Ui) -> list[str]:
    """The messages that stand out and can be seen, by their ids."""
    conversation = ui.app.screen.query_one(Conversation)
    seen = conversation.region
    return [
        said.message_id
        for said in conversation.query(Said)
        if said.has_class("found") and said.region.overlaps(seen)
    ]


def underlined(ui: Ui) -> list[str]:
    """What stands out in the conversation, word by word."""
    return [
        segment.text
        for prose in ui.app.screen.query(Prose)
        for row in range(prose.size.height)
        for segment in prose.render_line(row)
        if segment.style is not None and segment.style.underline
    ]


# --- what is looked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("post", "post*"),
        ("new post", "new post*"),
        ("po", "po"),
        ("post ", "post "),
        ('"new post', '"new post*'),
        ('"new post"', '"new post"'),
        ("new -post", "new -post"),
        ("文字", "文字"),
        ("", ""),
    ],
)
def test_the_last_word_may_be_a_beginning(typed: str, asked: str) -> None:
    """From three letters on, as one or two begin half of all words; not what is left out."""
    assert as_typed(typed) == asked


def test_words_stand_out_in_any_case_and_form() -> None:
    """Whole words that begin so; in Chinese and Japanese any part."""
    text = "Posting posts: compost, POST"
    spans = [text[a:b] for a, b in places(text, words_of('"post"'))]
    assert spans == ["Posting", "posts", "POST"]
    assert [text[a:b] for a, b in places("We migrate", ["migrations"])] == []
    assert places("She runs", words_of("running")) == []
    assert places("migrated", ["migrate"]) == [(0, 8)]
    assert places("CSVの文字化け", words_of("文字")) == [(4, 6)]
    assert words_of('-not "a phrase" word*') == ("a", "phrase", "word")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("apple", 0),
        ("pear apple", 3),
        ("apple fig", 3),
        ("fig date", 5),
        ("APPLE", 0),
        ("quince", None),
        ("", None),
    ],
)
def test_the_line_where_most_of_the_words_stand_together(words: str, line: int | None) -> None:
    """In it and the two behind it: a passage may be broken into lines anywhere."""
    lines = ["an apple", "x", "x", "apples", "a pear", "a fig", "", "a date", "a fig, a date"]
    assert where(lines, words_of(words)) == line


def test_of_a_long_passage_what_is_a_little_above_the_words_is_shown() -> None:
    """And all behind it; a short one, and one without them, is shown whole."""
    far = "x " * 1000 + "a medlar" + " y" * 1000
    shown = from_words(far, ["medlar"])
    assert shown.startswith("…x ")
    assert shown.index("medlar") < 310
    assert far.endswith(shown[1:])
    for text in ("a medlar\n" * 300, "x " * 1000, ""):
        assert from_words(text, ["medlar"]) == text


# --- the screen ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_it_finds_as_one_types(tmp_path: Path, size: tuple[int, int]) -> None:
    """Messages, facts, summaries and the picture of the user, each with what it is and its time;
    on a wide screen the whole passage stands beside."""

    async def script(ui: Ui) -> None:
        await search(ui)
        await ui.type("postgr")
        await ui.shows(" 9 found in everything", "summary", "answer", "you", "Facts  Projects")
        assert ui.line("About you").startswith("  About you  Snapshot")
        assert marked(ui).startswith("▌ postgres-upgrade  summary")
        assert "2026-10-27 15:35" in marked(ui)
        if size[0] == 200:
            await ui.shows("│ The dispatch database (RDS, 1.4 TB)")
        else:
            assert "│ The dispatch database" not in ui.text
        await ui.type("eszzz")
        await ui.shows(" nothing found in everything")
        await ui.press(*["backspace"] * 3)
        await ui.shows(" 9 found")
        await ui.press("escape")
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
        await ui.press("ctrl+q")

    assert run(make_home(tmp_path, sample=True), script, DESIGN, size=size) == "vpc-design"


def test_kind_side_time_and_order_are_a_key_each(tmp_path: Path) -> None:
    """What is asked stands above the results."""

    async def script(ui: Ui) -> None:
        await search(ui, "network")
        await ui.shows("found in everything · anybody · any time · newest first")
        await ui.press("ctrl+o")
        await ui.shows("best first")
        await ui.press("tab")
        await ui.shows("found in this conversation")
        assert all("vpc-design" in line for line in ui.lines if "  you  " in line)
        await ui.press("ctrl+r")
        await ui.shows("this conversation · you")
        await ui.hides("  answer")
        await ui.press("tab")
        await ui.shows("found in conversations · you")
        await ui.press("tab")
        await ui.shows("found in memory · any time")
        await ui.press("ctrl+t")
        await ui.shows("found in memory · a day")
        await ui.press("shift+tab", "ctrl+r")
        await ui.shows("in conversations · you · a day")
        await ui.press("escape", "ctrl+q")

    run(make_home(tmp_path, sample=True), script, DESIGN)


def test_enter_goes_to_the_message_in_its_session(tmp_path: Path) -> None:
    """Also when it is far up in another conversation; the search is there again afterwards."""
    home = make_home(tmp_path)
    write_many(home, 2, each=400)

    async def script(ui: Ui) -> None:
        await ui.shows("line 399")
        await search(ui, '"number 0 line 31"')
        await ui.shows(" 1 found")
        await ui.press("enter")
        await ui.until(lambda: standing_out(ui) == ["0-31"])
        await ui.shows("apple number 0 line 31")
        await ui.press("ctrl+f")
        await ui.shows('"number 0 line 31"', " 1 found")
        await ui.type("pear")
        await ui.shows(" nothing found")
        await ui.press("escape", "ctrl+q")

    assert run(home, script, Wanted(session="s001")) == "s000"


def test_the_first_letters_are_not_lost(tmp_path: Path) -> None:
    """Those that come with the key, as a slow line hands them over, are typed too."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        for key in ("ctrl+f", *"hazel"):
            ui.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await ui.shows(" hazel", "Allergic to hazelnuts")
        await ui.press("escape", "ctrl+q")

    run(make_home(tmp_path, sample=True), script, DESIGN)


LONG = "\n\n".join(f"Paragraph {n} speaks of apples and pears." for n in range(300))


@pytest.mark.parametrize("role", ["user", "assistant"])
@pytest.mark.parametrize("is_open", [True, False])
def test_in_a_long_message_it_goes_to_the_words(tmp_path: Path, role: str, is_open: bool) -> None:
    """Whether its conversation is the open one or not; the lines above them are seen too."""
    home = make_home(tmp_path)
    long = LONG.replace("Paragraph 200 speaks", "Paragraph 200 tells the medlar")
    write_session(home, "s000", message("before"), message(long, role), message("x"), name="long")
    write_session(home, "s001", message("another one"), name="other")

    async def script(ui: Ui) -> None:
        await search(ui, "medlar tells")
        await ui.shows(" 1 found")
        await ui.press("enter")
        await ui.shows("Paragraph 199 ", "Paragraph 200 tells the medlar", "Paragraph 203 ")
        await ui.until(lambda: standing_out(ui))
        await ui.press("ctrl+q")

    run(home, script, Wanted(session="long" if is_open else "other"))


def test_words_near_the_beginning_of_a_message_are_seen_with_it(tmp_path: Path) -> None:
    """It stands at the top, from its first line."""
    home = make_home(tmp_path)
    text = LONG.replace("Paragraph 5 speaks", "Paragraph 5 tells the medlar")
    write_session(home, "s000", message("before"), message(text), name="short")

    async def script(ui: Ui) -> None:
        await search(ui, "medlar")
        await ui.shows(" 1 found")
        await ui.press("enter")
        await ui.until(lambda: standing_out(ui))
        await ui.drawn()
        assert "Paragraph 0 " in ui.text
        assert "the medlar" in ui.text
        await ui.press("ctrl+q")

    run(home, script, Wanted(session="short"))


def test_the_words_stand_out_in_their_message(tmp_path: Path) -> None:
    """Behind wide characters too, and no longer once one says something else again."""
    home = make_home(tmp_path)
    write_session(home, "s000", message("果物 a medlar, Medlars"), name="fruit")

    async def script(ui: Ui) -> None:
        await search(ui, "medlar")
        await ui.shows(" 1 found")
        await ui.press("enter")
        await ui.until(lambda: underlined(ui) == ["medlar", "Medlars"])
        await ui.press("ctrl+e", "escape")
        await ui.until(lambda: not underlined(ui))
        await ui.press("ctrl+q")

    run(home, script, Wanted(session="fruit"))


def test_what_a_tool_found_is_gone_to(tmp_path: Path) -> None:
    """It is a line between the messages, and stands out."""
    home = make_home(tmp_path)
    at = "2026-01-01T00:00:0{}Z"
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    write_session(
        home,
        "20260101-000000-aaaaaa",
        message("look it up", id="q", created_at=at.format(0)),
        message("", "assistant", id="a", tool_calls=[call], created_at=at.format(1)),
        message("a pomelo", "tool", id="t", tool_call_id="c", created_at=at.format(2)),
        message("There is one.", "assistant", id="b", created_at=at.format(3)),
        name="fruit",
    )

    async def script(ui: Ui) -> None:
        await search(ui, "pomelo")
        await ui.shows(" 1 found")
        await ui.press("enter")
        await ui.until(lambda: len(ui.app.screen.query("Note.found")) == 1)
        await ui.shows("⤷ a pomelo")
        await ui.press("ctrl+q")

    run(home, script, Wanted(session="fruit"))


def test_it_goes_to_a_message_on_another_branch(tmp_path: Path) -> None:
    """Nothing that was said is out of reach."""
    home = make_home(tmp_path)
    at = "2026-01-01T00:00:0{}Z"
    write_session(
        home,
        "20260101-000000-aaaaaa",
        message("which fruit?", id="q", created_at=at.format(0)),
        message("a quince", "assistant", id="a1", created_at=at.format(1)),
        message("which fruit now?", id="q2", created_at=at.format(2)),
        message("a medlar", "assistant", id="a2", created_at=at.format(3)),
        message("and instead?", id="q3", parent_id="a1", created_at=at.format(4)),
        message("a sorb", "assistant", id="a3", created_at=at.format(5)),
        name="fruit",
    )

    async def script(ui: Ui) -> None:
        await ui.shows("a sorb")
        await ui.hides("a medlar")
        await search(ui, "medlar")
        await ui.shows(" 1 found")
        await ui.press("enter")
        await ui.until(lambda: "a2" in standing_out(ui))
        await ui.shows("a medlar")
        await ui.press("ctrl+q")

    run(home, script, Wanted(session="fruit"))


def test_a_fact_is_shown_where_it_stands_in_memory(tmp_path: Path) -> None:
    """The page with it, scrolled to it."""

    async def script(ui: Ui) -> None:
        await search(ui, "colfax")
        await ui.shows("Facts  Goals")
        while "Facts  Goals" not in marked(ui):
            await ui.press("down")
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, MemoryScreen))
        await ui.shows("facts.md", "Run the Colfax half marathon")
        await ui.until(lambda: ui.app.screen.query_one(PassagePage).place)
        assert ui.lines.index(ui.line("Run the Colfax half marathon")) > 1
        await ui.press("escape", "ctrl+q")

    run(make_home(tmp_path, sample=True), script, DESIGN, size=(80, 24))


def test_one_goes_on_while_more_is_looked_for(tmp_path: Path) -> None:
    """What comes is put behind what is there, and one stays where one is."""
    home = make_home(tmp_path)
    write_many(home, 3, each=100)

    async def script(ui: Ui) -> None:
        await search(ui, "apple")
        await ui.shows(" 100+ found")
        rows = ui.app.screen.query_one(Rows)
        async with ui.busy(ui.app.reader):
            await ui.press(*["pagedown"] * 10)
            assert rows.at == 99
        await ui.shows(" 200+ found")
        assert rows.at == 99
        await ui.press("down")
        assert rows.at == 100
        await ui.press("escape", "ctrl+q")

    run(home, script, Wanted(session="s000"))


def test_there_is_no_end_of_what_is_found(tmp_path: Path) -> None:
    """More comes as one goes down."""
    home = make_home(tmp_path)
    write_many(home, 3, each=100)

    async def script(ui: Ui) -> None:
        await search(ui, "apple")
        await ui.shows(" 100+ found")
        for _ in range(10):
            await ui.press("pagedown")
        await ui.shows(" 200+ found")
        for _ in range(30):
            await ui.press("pagedown")
        await ui.shows(" 300 found")
        for _ in range(30):
            await ui.press("pagedown")
        assert "s000" in marked(ui)
        await ui.press("escape", "ctrl+q")

    run(home, script, Wanted(session="s000"))


def test_what_is_found_cannot_write_on_the_screen(tmp_path: Path) -> None:
    """Neither escapes nor markup in a name, a topic or a text are obeyed; long, wide and
    right-to-left text stays in its place."""
    home = make_home(tmp_path)
    nasty = "needle [bold red]x[/] \x1b[2J\x1b]0;owned\x07 \u202egnisrever\u202c " + "漢字" * 90
    write_session(
        home,
        "20260101-000000-aaaaaa",
        message(nasty, id="m1", created_at="2026-01-01T00:00:00Z"),
        message("needle שלום עולם 👩‍👩‍👧", "assistant", id="m2", created_at="2026-01-01T00:00:01Z"),
        topic="[link=x]\x1b[31mred",
    )

    async def script(ui: Ui) -> None:
        await search(ui, "needle")
        await ui.shows(" 2 found", "[bold red]x[/]", "שלום עולם", "[link=x]red")
        assert "\x1b" not in ui.text
        assert "\u202e" not in ui.text
        assert len({len(line) for line in ui.lines if line}) > 1
        await ui.press("escape", "ctrl+q")

    run(home, script, Wanted(session="20260101-000000-aaaaaa"), size=(60, 20))


def test_what_is_typed_while_the_vault_is_read_is_found(tmp_path: Path) -> None:
    """Of many letters in a row only the last query's results are shown."""
    home = make_home(tmp_path)
    write_many(home, 2, each=10)

    async def script(ui: Ui) -> None:
        await search(ui)
        await ui.type("apple number 1 line 7")
        await ui.shows(" 1 found", "apple number 1 line 7")
        assert "s001" in marked(ui)
        await ui.press("escape", "ctrl+q")

    run(home, script, Wanted(session="s000"))


def test_the_slash_command_begins_with_its_words(tmp_path: Path) -> None:
    """/search WORDS is Ctrl+F and the words."""

    async def script(ui: Ui) -> None:
        await opened(ui)
        await ui.type("/search hazelnuts")
        await ui.press("enter")
        await ui.shows("found in everything", "Allergic to hazelnuts")
        await ui.press("escape", "ctrl+q")

    run(make_home(tmp_path, sample=True), script, DESIGN)


def test_a_click_marks_and_a_second_one_goes_there(tmp_path: Path) -> None:
    """With the mouse as with the keys."""
    home = make_home(tmp_path)
    write_many(home, 1, each=20)

    async def script(ui: Ui) -> None:
        await search(ui, "apple")
        await ui.shows(" 20 found")
        await ui.pilot.click("Rows", offset=(5, 4))
        await ui.until(lambda: ui.lines.index(marked(ui)) == 6)
        await ui.pilot.click("Rows", offset=(5, 4))
        await ui.until(lambda: standing_out(ui) == ["0-17"])
        await ui.press("ctrl+q")

    run(home, script, Wanted(session="s000"))

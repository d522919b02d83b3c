"""The picker: all sessions, found, previewed, renamed, deleted and brought back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from home import Home, make_home, message, write_many, write_session
from rich.cells import cell_len
from tui import Ui, run

from vault_sessions.model import Session
from vault_sessions.tui.cards.ask import AskScreen
from vault_sessions.tui.cards.new_session import NewSessionScreen
from vault_sessions.tui.newest import Newest
from vault_sessions.tui.screens.chat import ChatScreen
from vault_sessions.tui.screens.sessions import SessionsScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.keys import Keys
from vault_sessions.tui.widgets.preview import Preview
from vault_sessions.tui.widgets.session_list import SessionList, rows_by_day

HERE = Wanted(session="vpc-design")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path, sample=True)


async def open_picker(ui: Ui) -> SessionList:
    """Ctrl+L, until the list is whole."""
    await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
    await ui.shows("messages")
    await ui.press("ctrl+l")
    await ui.shows("Sessions · ", "Esc Back")
    return ui.app.screen.query_one(SessionList)


def marked(ui: Ui) -> str:
    """The label of the marked session."""
    row = ui.app.screen.query_one(SessionList).marked
    assert row is not None
    assert row.session is not None
    return row.session.label


async def mark(ui: Ui, label: str) -> None:
    """Go down to that session."""
    await ui.press("home")
    for _ in range(40):
        if marked(ui) == label:
            return
        await ui.press("j")
    raise AssertionError(f"there is no {label}")


def test_all_sessions_by_day_with_their_columns(home: Home) -> None:
    """Newest activity first, each day under its date; name and topic, provider, first day, last
    hour, messages; the open one is marked. Columns stand in line, whatever script a name is in."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await ui.shows("Sessions · 17", "Tuesday, 2026-02-03")
        assert marked(ui) == "vpc-design"
        line = ui.line("vpc-design").rstrip("▁▂▃▄▅▆▇█")  # the end of the scrollbar may be here
        assert line.split()[:2] == ["●", "vpc-design"]
        assert "VPC network design" in line
        assert line.split()[-4:] == ["anthropic", "2026-02-03", "16:30", "16"]
        await ui.press("home")
        await ui.shows("pandas-")
        lines = ui.lines
        assert lines[2].endswith("2026-11-20")
        shown = [ui.line("pandas-"), ui.line("Tyre pressure"), ui.line("sam-onboarding")]
        assert len({cell_len(line[: line.index("2026-")]) for line in shown}) == 1
        assert all(cell_len(line) <= 80 for line in lines)
        await ui.press("ctrl+l")
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))

    run(home, script, HERE, size=(80, 24))


def test_arrows_and_letters_move_and_enter_switches(home: Home) -> None:
    """Up, Down, j, k, g and G move over the sessions; Enter goes on with the marked one."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await ui.press("home", "down", "j", "j")
        assert marked(ui) == "postgres-upgrade"
        await ui.press("up", "k")
        assert marked(ui) == "thanksgiving-2026"
        await ui.press("G")
        assert marked(ui) == "garden-notes"
        await ui.press("g", "down", "enter")
        await ui.shows('Resumed "Thanksgiving menu for seven"')
        await ui.press("ctrl+q")

    assert run(home, script, HERE) == "thanksgiving-2026"


def test_a_click_marks_and_a_second_one_opens(home: Home) -> None:
    """With the mouse: one click marks a session, the next one goes on with it; a click on a key at
    the bottom presses it."""

    async def script(ui: Ui) -> None:
        found = await open_picker(ui)
        await ui.press("home")
        await ui.shows("achilles")
        row = next(i for i, line in enumerate(ui.lines) if "achilles" in line)
        at = (8, row - found.content_region.y)
        await ui.pilot.click(found, offset=at)
        await ui.until(lambda: marked(ui) == "achilles")
        await ui.pilot.click(found, offset=at)
        await ui.shows('Resumed "Achilles tendinopathy')
        await open_picker(ui)
        keys = ui.app.screen.query_one(Keys)
        await ui.pilot.click(keys, offset=(ui.line("Esc Back").index("Esc"), keys.size.height - 1))
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))

    run(home, script, HERE)


def test_search_finds_names_and_contents_as_one_types(home: Home) -> None:
    """A slash searches names and what was said, with the passages; the keys are other ones then.
    Enter goes to the passage that is marked; Escape leads back to all."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await ui.press("slash")
        await ui.hides("d Delete")
        await ui.type("transit")
        await ui.shows("Sessions · 3 found", "They meet in one transit gateway")
        await ui.press("escape")
        await ui.shows("Sessions · 17", "d Delete")
        await ui.press("slash")
        await ui.type("thanksg")
        await ui.shows("thanksgiving-2026")
        await ui.hides("achilles")
        for _ in range(7):
            await ui.press("backspace")
        await ui.type("peerings")
        await ui.shows("a full mesh is ten peerings")
        await ui.press("tab")
        await ui.shows("d Delete")  # the keys are for what was found
        await ui.press("escape", "slash")
        await ui.type("peerings")
        await ui.shows("a full mesh is ten peerings")
        await ui.press("down", "enter")
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
        await ui.shows("ten peerings")

    run(home, script, HERE)


def test_what_finds_nothing_and_what_is_no_query(home: Home) -> None:
    """Nothing found is said; no text that is typed is an error."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await ui.press("slash")
        await ui.type('zzz"(*')
        await ui.shows("Nothing has that.", "0 found")
        await ui.press("enter", "escape", "escape")
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))

    run(home, script, HERE)


def test_the_preview_shows_the_end_of_the_marked_one(home: Home) -> None:
    """Space shows what is known of a session and its last messages; it follows the mark."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await mark(ui, "denver-move")
        await ui.press("space")
        await ui.shows("18 messages", "J/K Scroll")
        columns = ["Name", "Provider", "Active", "Msgs"]
        await ui.until(lambda: ui.lines[1].partition("│")[0].split() == columns)
        await ui.press("up")
        await ui.shows("14 messages")  # achilles
        await ui.press("K", "J", "space")
        await ui.until(lambda: not ui.app.screen.query_one(Preview).display)

    run(home, script, HERE, size=(120, 30))


def test_rename_in_its_place(home: Home) -> None:
    """r puts the name into a field where it stands. What is wrong is said beneath it, and the
    field stays; the chat's header has the new name of the open one."""

    async def script(ui: Ui) -> None:
        found = await open_picker(ui)
        await ui.press("r")
        await ui.shows("⏎ Save")
        row = found.content_region.y + found.at - round(found.scroll_y)
        for _ in range(len("vpc-design")):
            await ui.press("backspace")
        await ui.type("denver-move")
        await ui.until(lambda: "denver-move" in ui.lines[row])
        await ui.press("enter")
        await ui.shows("'denver-move' is the name of")
        await ui.until(lambda: "is the name of" in ui.lines[row + 1])
        await ui.type("s and jkq")
        await ui.hides("is the name of")
        await ui.press("enter")
        await ui.shows("Renamed to denver-moves and jkq.", "● denver-moves and jkq")
        await ui.until(lambda: marked(ui) == "denver-moves and jkq")
        await ui.press("r", "escape")
        await ui.shows("d Delete")
        await ui.press("escape")
        await ui.until(lambda: ui.lines[0].startswith(" denver-moves and jkq"))
        await ui.press("ctrl+q")

    assert run(home, script, HERE) == "denver-moves and jkq"


def test_delete_after_a_yes_and_undo(home: Home) -> None:
    """d asks, and moves the session to the trash; u brings it back. The mark stays at its place;
    the conversation that is open is not deleted, and that is said."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await ui.press("d")
        await ui.shows("This conversation is open.")
        await mark(ui, "achilles")
        await ui.hides("u Undo")
        await ui.press("d")
        await ui.until(lambda: isinstance(ui.app.screen, AskScreen))
        await ui.shows("Move achilles (14 messages) to the trash?")
        await ui.press("n")
        await ui.until(lambda: isinstance(ui.app.screen, SessionsScreen))
        await ui.press("d")
        await ui.until(lambda: isinstance(ui.app.screen, AskScreen))
        await ui.press("y")
        await ui.shows("Sessions · 16", "u Undo")
        assert marked(ui) == "denver-move"
        assert home.json("restore", "--list")
        await ui.press("escape")
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
        await open_picker(ui)  # it can be brought back later, too
        await ui.press("u")
        await ui.shows("achilles is back.", "Sessions · 17")
        await ui.until(lambda: marked(ui) == "achilles")
        await ui.hides("u Undo")

    run(home, script, HERE)


def test_f_goes_through_the_providers_in_use(home: Home) -> None:
    """f shows only one provider's sessions, then the next one's, then all."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        shown = []
        for _ in range(4):
            await ui.press("f")
            shown.append(ui.lines[0].partition("· ")[2])
        assert [text.partition(" of ")[2] for text in shown] == [
            "anthropic",
            "ollama",
            "openai",
            "",
        ]
        assert shown[-1] == "17"

    run(home, script, HERE)


def test_export_to_a_file(home: Home) -> None:
    """e asks for a file, with a name proposed; one that is there is not replaced."""
    (home.vault / "taken.md").write_text("mine")

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await ui.press("e")
        await ui.shows("vpc-design.md")
        for _ in range(len("vpc-design.md")):
            await ui.press("backspace")
        await ui.type("taken.md")
        await ui.press("enter")
        await ui.shows("taken.md exists already.")
        for _ in range(len("taken.md")):
            await ui.press("backspace")
        await ui.type("out.json")
        await ui.press("enter")
        await ui.shows("Exported to out.json.")

    run(home, script, HERE)
    assert (home.vault / "out.json").exists()
    assert (home.vault / "taken.md").read_text() == "mine"


def test_what_changes_on_disk_is_seen_and_the_mark_stays(home: Home) -> None:
    """A session that another program makes appears; one that goes, goes; nothing that is being
    typed is disturbed."""

    async def script(ui: Ui) -> None:
        await open_picker(ui)
        await ui.shows("Sessions · 17")
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        path = write_session(home, "20261121-080000-abcdef", message("fresh bread", created_at=at))
        await ui.shows("Sessions · 18")
        assert marked(ui) == "vpc-design"
        await ui.press("r")
        await ui.type("-x")
        path.unlink()
        await ui.until(lambda: not path.exists())
        await ui.press("enter")
        await ui.shows("vpc-design-x", "Sessions · 17")

    run(home, script, HERE)


def test_many_sessions_and_hostile_names(tmp_path: Path) -> None:
    """There may be any number, and only those that are seen are drawn; a name can neither mark up
    nor control what is shown."""
    home = make_home(tmp_path)
    write_many(home, 300)
    name, topic = "[bold]x[/]", "\x1b[2Jwipe \x1b]0;mine\x07"
    write_session(home, "s299", message("hi", created_at="2026-10-29T00:00:00Z"), name=name)
    write_session(home, "s298", message("hi", created_at="2026-10-28T00:00:00Z"), topic=topic)

    async def script(ui: Ui) -> None:
        await ui.until(lambda: isinstance(ui.app.screen, ChatScreen))
        await ui.press("ctrl+l")
        await ui.shows("Sessions · 300")
        await ui.press("G")
        assert marked(ui) == "s000"
        assert "s000" in ui.text
        await ui.press("pageup", "g")
        await ui.press("slash")
        await ui.type("[bold]")
        await ui.shows("[bold]x[/]")
        assert not any(c < " " for c in ui.text if c != "\n")

    run(home, script, Wanted(new=True), size=(80, 24))


def test_an_empty_vault_and_the_form_from_here(tmp_path: Path) -> None:
    """Where there are none, that is said; n opens the form, and Escape in it leads back."""

    async def script(ui: Ui) -> None:
        await ui.shows("New conversation")
        await ui.press("ctrl+l")
        await ui.shows("There are none yet: n begins one.")
        await ui.press("enter", "r", "d", "space", "space", "n")
        await ui.until(lambda: isinstance(ui.app.screen, NewSessionScreen))
        await ui.press("escape")
        await ui.until(lambda: isinstance(ui.app.screen, SessionsScreen))

    run(make_home(tmp_path), script, Wanted(new=True))


# --- its parts -----------------------------------------------------------------------------------


def _session(at: datetime | None) -> Session:
    text = f"{at:%Y-%m-%dT%H:%M:%S}Z" if at else None
    known = {"id": str(at), "path": "", "updated_at": text}
    counts = dict.fromkeys(("message_count", "user_messages", "problems"), 0)
    return Session._make({**counts, **known}.get(field) for field in Session._fields)


def test_days_are_local_ones_and_named_from_now() -> None:
    """Today, yesterday, then the day of the week; sessions without a time stand by themselves."""
    now = datetime(2026, 11, 21, 12, tzinfo=UTC).astimezone()
    noon = [now - timedelta(days=n, hours=h) for n, h in ((0, 0), (0, 1), (1, 0), (5, 0))]
    rows = rows_by_day([*(_session(at.astimezone(UTC)) for at in noon), _session(None)], now)
    assert [row.text for row in rows if row.session is None] == [
        "Today, 2026-11-21",
        "Yesterday, 2026-11-20",
        "Monday, 2026-11-16",
        "no date",
    ]
    assert [row.session is None for row in rows] == [True, False, False, *[True, False] * 3]


def test_of_what_is_asked_for_meanwhile_the_newest_is_done() -> None:
    """Newest does one thing at a time, and what is asked for last in any case."""
    done: list[int] = []

    async def scene() -> None:
        newest, gate = Newest(), asyncio.Event()

        async def work(number: int) -> None:
            await gate.wait()
            done.append(number)

        asked = [asyncio.create_task(newest.do(partial(work, n))) for n in range(5)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*asked)

    asyncio.run(scene())
    assert done == [0, 4]

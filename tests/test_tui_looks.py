"""How it looks: large and small, light and dark, in any script, with text that would do harm."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from home import Home, make_home, message, write_session
from rich.cells import cell_len
from tui import Ui, run

from vault_sessions.tui import Wanted

SIZES = ((80, 24), (200, 60), (40, 12))
HARM = "\x1b[2J\x1b]0;title\x07 \u202eback\u202c \x9b31m red [bold]no markup[/bold]"
SCRIPTS = "日本語のテキスト שלום עולם مرحبا 👩‍👩‍👧 🇩🇪 e\u0301 ไทย"
CODE = "```python\nprint('全角')\n```"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A conversation in many scripts, with things in it that no screen should obey."""
    home = make_home(tmp_path)
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    write_session(
        home,
        "20260101-000000-aaaaaa",
        message(f"{SCRIPTS} {HARM}", id="1", created_at=at),
        message(f"# {SCRIPTS}\n\n{CODE}\n\n{HARM}\n\nThe end.", "assistant", id="2", created_at=at),
        name="日本語 שלום 👍🏽",
    )
    return home


def is_whole(ui: Ui, width: int) -> bool:
    """Is no line longer than the screen, and does nothing in it control a terminal?"""
    harmless = not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in ui.lines for c in line)
    return harmless and all(cell_len(line) <= width for line in ui.lines)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_size(home: Home, size: tuple[int, int], theme: str) -> None:
    """The header on the first line, the keys on the last ones, where one types above them."""

    async def script(ui: Ui) -> None:
        await ui.shows("Resumed", "Say something", "Quit")
        assert "日本語" in ui.lines[0]
        assert "offline" in ui.lines[0]
        assert is_whole(ui, size[0])
        await ui.press("ctrl+l")
        await ui.shows("Today", "Back")
        assert is_whole(ui, size[0])
        assert "日本語" in ui.line("●")

    run(home, script, Wanted(session="20260101-000000-aaaaaa"), size=size, theme=theme)


def test_without_colours(home: Home) -> None:
    """``NO_COLOR``: all that is seen is a shade of grey."""

    async def script(ui: Ui) -> None:
        await ui.shows("The end.", "Say something")
        assert ui.app.no_color
        picture = ui.app.export_screenshot()
        colours = set(re.findall(r"fill: #([0-9a-f]{6})", picture))
        colours -= {"ff5f57", "febc2e", "28c840", "c5c8c6"}  # of the window around the picture
        assert colours
        assert [one for one in colours if len({one[0:2], one[2:4], one[4:6]}) > 1] == []
        await ui.press("ctrl+l")
        await ui.shows("Today", "Back")

    run(home, script, Wanted(session="20260101-000000-aaaaaa"), NO_COLOR="1")


@pytest.mark.parametrize(
    ("theme", "variable", "is_dark"),
    [
        ("auto", "", True),
        ("auto", "15;0", True),
        ("auto", "0;15", False),
        ("light", "15;0", False),
        ("dark", "0;15", True),
    ],
)
def test_light_or_dark(home: Home, theme: str, variable: str, is_dark: bool) -> None:
    """As the setting says; ``auto``: as the terminal says, else dark."""

    async def script(ui: Ui) -> None:
        await ui.shows("Say something")
        assert ui.app.current_theme.dark is is_dark

    run(home, script, theme=theme, COLORFGBG=variable)


def test_the_keys_fit_a_small_screen(home: Home) -> None:
    """On 80 columns all of the chat's keys are on one line."""

    async def script(ui: Ui) -> None:
        await ui.shows("The end.")
        assert "Sessions" in ui.lines[-1]
        assert "Quit" in ui.lines[-1]

    run(home, script, Wanted(session="20260101-000000-aaaaaa"), size=(80, 24))


def test_a_long_name_leaves_room_for_who_answers(home: Home) -> None:
    """Of what doesn't fit in the header whole parts are left out, from the least important."""
    write_session(home, "20260102-000000-bbbbbb", message("x", id="1"), name="long " * 20)

    async def script(ui: Ui) -> None:
        await ui.until(lambda: "offline" in ui.lines[0])
        assert "…" in ui.lines[0]
        assert cell_len(ui.lines[0]) <= 60

    run(home, script, Wanted(session="20260102-000000-bbbbbb"), size=(60, 20))

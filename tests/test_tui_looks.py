"""How it looks: large and small, light and dark, in any script, with text that would do harm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from home import Home, make_home, message, write_session
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.theme import Theme
from tui import Ui, run

from vault_sessions.tui import Wanted, badge, themes
from vault_sessions.tui.widgets.status import Status

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


XTERM = (
    *("000000", "cd0000", "00cd00", "cdcd00", "0000ee", "cd00cd", "00cdcd", "e5e5e5"),
    *("7f7f7f", "ff0000", "00ff00", "ffff00", "5c5cff", "ff00ff", "00ffff", "ffffff"),
)
"""The sixteen colours of the terminal of that name."""


def segments(ui: Ui) -> Iterator[Segment]:
    """The pieces of what is on the screen, as they are sent to the terminal."""
    compositor = ui.app.screen._compositor  # no public way gives the screen as it is drawn
    return (segment for strip in compositor.render_strips() for segment in strip)


def shown(style: Style, dark: bool) -> tuple[str, str]:
    """The colours of the text and of its ground; the terminal's own ones are black and white."""
    text = rgb(style.color, "e5e5e5" if dark else "000000")
    ground = rgb(style.bgcolor, "000000" if dark else "ffffff")
    if style.reverse:
        text, ground = ground, text
    if style.dim:  # two thirds of it, as most terminals have it
        pairs = [(int(text[i : i + 2], 16), int(ground[i : i + 2], 16)) for i in (0, 2, 4)]
        text = "".join(f"{(2 * one + other) // 3:02x}" for one, other in pairs)
    return text, ground


def rgb(colour: Color | None, own: str) -> str:
    """A colour in six digits; ``own``: what the terminal has where none is named."""
    if colour is None or colour.is_default:
        return own
    return colour.triplet.hex[1:] if colour.triplet is not None else XTERM[colour.number or 0]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as the WCAG reckons it: 1 is none, 21 is black on white."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def hard_to_read(ui: Ui, dark: bool) -> list[tuple[float, str]]:
    """The texts on the screen with a contrast under 4.5, and that."""
    found = []
    for segment in segments(ui):
        if segment.style is not None and any(c.isalnum() for c in segment.text):
            has = contrast(*shown(segment.style, dark))
            if has < 4.5:
                found.append((round(has, 2), segment.text.strip()))
    return found


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
    """``NO_COLOR``: what is sent to the terminal names no colour; a provider is its name, and what
    is marked is reversed."""

    def colours(ui: Ui) -> set[str]:
        styles = [segment.style for segment in segments(ui) if segment.style is not None]
        found = [colour for style in styles for colour in (style.color, style.bgcolor)]
        return {colour.name for colour in found if colour is not None}

    write_session(home, "20260102-000000-bbbbbb", message("x", id="1"), provider="ollama")

    async def script(ui: Ui) -> None:
        await ui.shows("The end.", "Say something", " offline ")
        assert colours(ui) == {"default"}
        await ui.press("ctrl+l")
        await ui.shows("Today", "Back", " ollama ")
        assert colours(ui) == {"default"}
        marked = [one for one in segments(ui) if "日本語" in one.text]
        assert [one.style is not None and one.style.reverse for one in marked] == [True]

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


@pytest.mark.parametrize("terminal", ["xterm-16color", "xterm-256color"])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_all_text_can_be_read(home: Home, theme: str, terminal: str) -> None:
    """Text has a contrast of 4.5 at least with what it stands on, also what is faint, and where
    there are sixteen colours."""
    dark = theme == "dark"
    write_session(home, "20260102-000000-bbbbbb", message("x", id="1"), provider="ollama")

    async def script(ui: Ui) -> None:
        await ui.shows("The end.", "Resumed", "Say something")
        assert hard_to_read(ui, dark) == []
        await ui.type("/")
        await ui.shows("/compact")
        assert hard_to_read(ui, dark) == []
        await ui.press("backspace", "ctrl+l")
        await ui.shows("Today", "Back", "ollama")
        assert hard_to_read(ui, dark) == []
        await ui.press("slash")
        await ui.shows("names and contents")
        assert hard_to_read(ui, dark) == []
        await ui.press("escape", "escape", "ctrl+f")
        await ui.type("harm OR end")
        await ui.shows("found", "Go there")
        assert hard_to_read(ui, dark) == []

    wanted = Wanted(session="20260101-000000-aaaaaa")
    run(home, script, wanted, theme=theme, TERM=terminal)


@pytest.mark.parametrize("theme", themes.THEMES, ids=lambda theme: theme.name)
def test_providers_are_told_apart(theme: Theme) -> None:
    """Each known provider has a colour that no other one has, and its name can be read on it; also
    where there are 256 colours."""
    grounds, numbers = set(), set()
    names = [*badge.KNOWN, "local", "mistral", "deepseek", "groq"]
    for name in names:
        text = badge.badge(name, theme)
        style = Style.parse(str(text.style))
        assert text.plain == f" {name} "
        assert contrast(*shown(style, theme.dark)) >= 4.5
        if name in badge.KNOWN:
            assert style.bgcolor is not None
            grounds.add(style.bgcolor)
            numbers.add(style.bgcolor.downgrade(ColorSystem.EIGHT_BIT).number)
    assert len(grounds) == len(numbers) == len(badge.KNOWN)
    assert not {badge.colour_of(name) for name in names[-4:]} & set(badge.KNOWN.values())


@pytest.mark.parametrize("width", [80, 200])
def test_columns_stand_below_each_other_in_any_script(home: Home, width: int) -> None:
    """In the list of sessions a name in Hebrew, Arabic or Chinese moves no column."""
    names = ("שלום עולם", "مرحبا بالعالم", "漢字の練習", "👩‍👩‍👧 family", "plain")
    for number, name in enumerate(names):
        stem = f"2026010{number + 2}-000000-bbbbb{number}"
        write_session(home, stem, message("x", id="1"), name=name, provider="ollama")

    async def script(ui: Ui) -> None:
        await ui.shows("The end.")
        await ui.press("ctrl+l")
        await ui.until(lambda: ui.text.count(" ollama ") == len(names))
        rows = [line for line in ui.lines if " ollama " in line]
        assert len({cell_len(row[: row.index(" ollama ")]) for row in rows}) == 1
        heads = ui.line("Provider")
        assert heads.index("Provider") == cell_len(rows[0][: rows[0].index("ollama")]) - 1
        assert is_whole(ui, width)

    run(home, script, Wanted(session="20260101-000000-aaaaaa"), size=(width, 30))


def test_prose_is_no_wider_than_one_reads(home: Home) -> None:
    """On a wide screen lines of prose end after some 100 columns."""
    prose = message("word " * 200, "assistant", id="2")
    write_session(home, "20260102-000000-bbbbbb", message("word " * 200, id="1"), prose)

    async def script(ui: Ui) -> None:
        await ui.shows("word word", "Say something")
        assert max(len(line) for line in ui.lines if "word word" in line) <= 105

    run(home, script, Wanted(session="20260102-000000-bbbbbb"), size=(200, 60))


def test_what_is_said_of_opening_goes_with_it(home: Home) -> None:
    """That the mirror is being built is not said any more when it is there; a warning is."""

    async def script(ui: Ui) -> None:
        await ui.shows("The end.", "Resumed")
        assert "Building" not in ui.text
        status = ui.app.screen.query_one(Status)
        status.busy("opening", can_stop=False)
        status.note("Warning: something is odd")
        status.idle()
        await ui.shows("Warning: something is odd")

    run(home, script, Wanted(session="20260101-000000-aaaaaa"))

"""What a screen shows, kept as a text beside the tests: a picture that can be read in a diff.

First the lines of the screen; then, for each of them, which letter's style so many columns have;
then what the letters stand for. A style has the letter that it has in the stored picture: a new
one changes no line but those that have it, another colour only what its letter stands for.

    async def script(ui: Ui) -> None:
        await ui.shows("vpc-design")
        assert await album.difference(ui, "chat-80x24") == ""

Nothing in a picture depends on when, where and how fast it is taken: see ``still``.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import groupby
from pathlib import Path
from string import ascii_letters
from typing import Any, NamedTuple, Self

import pytest
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual.strip import Strip
from textual.widgets import Input, TextArea
from tui import PATIENCE, Ui

from vault_sessions import Workspace
from vault_sessions.tui.screens import sessions
from vault_sessions.tui.widgets.conversation import Conversation
from vault_sessions.tui.widgets.status import Status

FOLDER = Path(__file__).parent / "pictures"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
"""The time in all pictures: the day after the latest of the sample's conversations."""
_STILL = 3
"""So many looks in a row see the same, each behind all that the one before it may have begun."""
_STYLES, _LEGEND = "--- styles ---", "--- legend ---"


class Then(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """The time in all pictures."""
        return cls.fromtimestamp(NOW.timestamp(), tz)


@contextmanager
def still() -> Iterator[None]:
    """As long as this lasts it is one moment in one time zone, and no cursor blinks."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Workspace, "open", partial(Workspace.open, clock=lambda: NOW))
            patch.setattr(sessions, "datetime", Then)
            for line in (Input, TextArea):
                patch.setattr(line, "cursor_blink", False)
            patch.setenv("TZ", "UTC")
            time.tzset()
            yield
    finally:
        time.tzset()


class Album(NamedTuple):
    """The stored pictures. ``spare``: where what differs is put, to be looked at; ``accepts``: what
    is seen is stored instead of compared."""

    spare: Path
    accepts: bool
    folder: Path = FOLDER

    async def difference(self, ui: Ui, name: str) -> str:
        """What is different from the picture of that name in what the screen shows, once nothing
        on it moves any more; empty: nothing is."""
        path = self.folder / f"{name}.txt"
        stored = path.read_text(encoding="utf-8") if path.exists() else ""
        seen = drawn(await at_rest(ui), letters_of(stored))
        if seen == stored:
            return ""
        if self.accepts:
            self.folder.mkdir(exist_ok=True)
            path.write_text(seen, encoding="utf-8", newline="\n")
            return ""
        svg = self.spare / f"{name}.svg"
        ui.picture(svg)
        return _told(name, stored, seen, svg)


def _told(name: str, stored: str, seen: str, svg: Path) -> str:
    """What is different, and what to do."""
    lines = difflib.unified_diff(
        stored.splitlines(), seen.splitlines(), f"stored: {name}", "on the screen", lineterm=""
    )
    what = "is not what the screen shows" if stored else "was never stored"
    return (
        f"The picture tests/pictures/{name}.txt {what}; the screen itself: {svg}\n"
        "If it is meant to look so: scripts/test --accept-pictures tests/test_tui_pictures.py\n\n"
        + "\n".join(lines)
    )


async def at_rest(ui: Ui) -> list[Strip]:
    """The lines of the screen, once all that was asked for is shown and nothing is said in
    passing."""
    same: list[list[Strip]] = []
    waited = 0
    while len(same) < _STILL:
        now = await _after_all(ui)
        same = [*same, now] if _is_quiet(ui) and now in (same or [now]) else []
        waited += 1
        assert waited < PATIENCE * 100, f"it moves on and on; the screen:\n{ui.text}"
        await ui.pilot.pause(0.01)
    return same[-1]


async def _after_all(ui: Ui) -> list[Strip]:
    """The lines of the screen, behind all that was asked of the vault and all that waits."""
    for hand in (ui.app.talker, ui.app.reader):
        await hand.do(lambda workspace: None)
    await ui.pilot.pause(0)
    return [strip.simplify() for strip in ui.app.screen._compositor.render_strips()]


def _is_quiet(ui: Ui) -> bool:
    """Does nothing move, or go by itself?"""
    screen = ui.app.screen
    is_silent = not any(str(status.render()).strip() for status in screen.query(Status))
    return is_silent and all(said.is_settled for said in screen.query(Conversation))


# --- as text -------------------------------------------------------------------------------------


def drawn(strips: list[Strip], letters: Mapping[str, str]) -> str:
    """The picture; ``letters``: those that styles have already."""
    lines = [list(_runs(strip)) for strip in strips]
    known = _lettered([style for line in lines for style, _ in line], letters)
    styles = [
        " ".join([f"{number:>3} ", *(f"{known[style]}{width}" for style, width in line)])
        for number, line in enumerate(lines, 1)
    ]
    legend = sorted(f"{letter}  {style}" for style, letter in known.items())
    screen = [strip.text.rstrip() for strip in strips]
    return "\n".join([*screen, _STYLES, *styles, _LEGEND, *legend, ""])


def _lettered(styles: list[str], letters: Mapping[str, str]) -> dict[str, str]:
    """A letter for each style: the one it has, else the first that none of these has."""
    known = {style: letters[style] for style in styles if style in letters}
    for style in styles:
        if style not in known:
            known[style] = next(x for x in ascii_letters if x not in known.values())
    return known


def letters_of(picture: str) -> dict[str, str]:
    """What its letters stand for, by the styles."""
    legend = picture.partition(f"{_LEGEND}\n")[2].splitlines()
    return {style: letter for letter, _, style in (line.partition("  ") for line in legend)}


def _runs(strip: Strip) -> Iterator[tuple[str, int]]:
    """The styles of a line from left to right, each with its number of columns."""
    pieces = [(described(one.style), cell_len(one.text)) for one in strip if one.text]
    for style, same in groupby(pieces, key=lambda piece: piece[0]):
        yield style, sum(width for _, width in same)


def described(style: Style | None) -> str:
    """``bold #dee1e5 on #22272d``: all of a style that a terminal shows."""
    style = style or Style()
    shown: dict[str, Any] = {
        name: getattr(style, name)
        for name in ("bold", "dim", "italic", "underline", "blink", "reverse", "strike")
    }
    words = [name for name, is_so in shown.items() if is_so]
    return " ".join([*words, _named(style.color), "on", _named(style.bgcolor)])


def _named(colour: Color | None) -> str:
    if colour is None or colour.is_default:
        return "default"
    return colour.triplet.hex if colour.triplet is not None else colour.name

"""A provider's name on its colour, the same one everywhere."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from rich.text import Text
from textual.theme import Theme

from vault_sessions.formats.display import safe_line


class Colour(NamedTuple):
    """Grounds on dark and on light, which 256 colours have too; ``of_16``: text and ground, where
    there are only so many."""

    dark: str
    light: str
    of_16: str


KNOWN = {
    "openai": Colour("#005f00", "#afd7af", "black on green"),
    "anthropic": Colour("#875f00", "#ffd7af", "black on yellow"),
    "gemini": Colour("#005f87", "#afd7ff", "bright_white on blue"),
    "openrouter": Colour("#005f5f", "#afd7d7", "black on cyan"),
    "ollama": Colour("#5f005f", "#ffd7ff", "bright_white on magenta"),
    "lmstudio": Colour("#5f5f87", "#d7d7ff", "black on white"),
    "llamacpp": Colour("#5f5f00", "#d7d7af", "black on bright_red"),
    "offline": Colour("#444444", "#d0d0d0", "black on bright_black"),
}
OTHERS = (
    Colour("#5f0000", "#ffafaf", "bright_white on red"),
    Colour("#87005f", "#ffafd7", "black on bright_magenta"),
    Colour("#000087", "#afafff", "black on bright_cyan"),
    Colour("#875f87", "#d7afff", "black on bright_yellow"),
    Colour("#875f5f", "#ffd7d7", "black on bright_green"),
)
"""None of them is a known one's."""
_TEXT_ON_DARK, _TEXT_ON_LIGHT = "#eeeeee", "#1c1c1c"


def badge(provider: str, theme: Theme) -> Text:
    """The name, legible on the theme's ground; without colours it is the name alone."""
    return Text(f" {safe_line(provider)} ", style=_style(colour_of(provider), theme))


def colour_of(provider: str) -> Colour:
    """A provider's colour, in every run the same one."""
    return KNOWN.get(provider) or OTHERS[zlib.crc32(provider.encode()) % len(OTHERS)]


def _style(colour: Colour, theme: Theme) -> str:
    if theme.ansi:
        return colour.of_16
    if theme.dark:
        return f"{_TEXT_ON_DARK} on {colour.dark}"
    return f"{_TEXT_ON_LIGHT} on {colour.light}"

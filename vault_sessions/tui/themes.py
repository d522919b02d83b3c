"""The colours: light and dark, and for a terminal that has sixteen, or is to show none.

With sixteen colours the ground and the text are the terminal's own; what stands out is bold, dim
or reversed, and only what is legible on that ground is coloured.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.terminal_theme import TerminalTheme
from textual.theme import Theme

DARK = Theme(
    name="dark",
    dark=True,
    primary="#5aa9e6",
    secondary="#5aa9e6",
    accent="#5aa9e6",
    foreground="#dee1e5",
    background="#121417",
    surface="#1a1e22",
    panel="#22272d",
    warning="#e3b341",
    error="#f08a8a",
    success="#7cc68d",
    variables={
        "text-muted": "#99a2ac",
        "text-disabled": "#99a2ac",
        "text-error": "#f08a8a",
        "text-warning": "#e3b341",
        "text-success": "#7cc68d",
        "text-accent": "#5aa9e6",
        "warning-muted": "#33290f",
        "border-blurred": "#3d454e",
        "scrollbar": "#3d454e",
        "scrollbar-hover": "#59636e",
        "scrollbar-background": "#121417",
        "scrollbar-background-hover": "#121417",
        "scrollbar-background-active": "#121417",
        "scrollbar-corner-color": "#121417",
        "block-cursor-background": "#1f4a70",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#1f4a70",
        "block-cursor-blurred-foreground": "#ffffff",
    },
)
LIGHT = Theme(
    name="light",
    dark=False,
    primary="#0b5fb0",
    secondary="#0b5fb0",
    accent="#0b5fb0",
    foreground="#1f2328",
    background="#fbfbfa",
    surface="#f2f3f4",
    panel="#e7e9eb",
    warning="#8a5a00",
    error="#b3261e",
    success="#1a7f37",
    variables={
        "text-muted": "#57606a",
        "text-disabled": "#57606a",
        "text-error": "#b3261e",
        "text-warning": "#805300",
        "text-success": "#166b2e",
        "text-accent": "#0b5fb0",
        "warning-muted": "#fbf0d5",
        "border-blurred": "#aab2ba",
        "scrollbar": "#b9c0c7",
        "scrollbar-hover": "#8c959f",
        "scrollbar-background": "#fbfbfa",
        "scrollbar-background-hover": "#fbfbfa",
        "scrollbar-background-active": "#fbfbfa",
        "scrollbar-corner-color": "#fbfbfa",
        "block-cursor-background": "#cfe3f7",
        "block-cursor-foreground": "#0b2440",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#cfe3f7",
        "block-cursor-blurred-foreground": "#0b2440",
    },
)
_PLAIN = {
    "text-muted": "ansi_default",
    "text-disabled": "ansi_default",
    "warning-muted": "transparent",
    "footer-key-foreground": "ansi_default",
    "block-cursor-background": "ansi_default",
    "block-cursor-foreground": "ansi_default",
    "block-cursor-text-style": "reverse",
    "block-cursor-blurred-background": "ansi_default",
    "block-cursor-blurred-foreground": "ansi_default",
    "block-cursor-blurred-text-style": "reverse",
    "scrollbar-background": "ansi_default",
    "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default",
}
"""Of sixteen colours and of none."""
DARK_16 = Theme(
    name="dark-16",
    dark=True,
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_bright_red",
    success="ansi_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        **_PLAIN,
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "border": "ansi_cyan",
        "border-blurred": "ansi_bright_black",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_white",
        "scrollbar-active": "ansi_white",
    },
)
LIGHT_16 = Theme(
    name="light-16",
    dark=False,
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_blue",
    accent="ansi_blue",
    warning="ansi_magenta",
    error="ansi_red",
    success="ansi_blue",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        **_PLAIN,
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "border": "ansi_blue",
        "border-blurred": "ansi_bright_black",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_blue",
        "scrollbar-active": "ansi_blue",
    },
)
"""Green, yellow and cyan are hardly seen on white."""
THEMES = (DARK, LIGHT, DARK_16, LIGHT_16)

# What the sixteen colours' names stand for where there are more: code is drawn with them.
SIGNS_DARK = TerminalTheme(
    (18, 20, 23),
    (222, 225, 229),
    [
        (18, 20, 23),
        (240, 138, 138),
        (140, 201, 143),
        (227, 179, 101),
        (122, 179, 239),
        (201, 160, 232),
        (111, 197, 208),
        (208, 212, 217),
    ],
    [
        (139, 148, 158),
        (240, 138, 138),
        (140, 201, 143),
        (227, 179, 101),
        (122, 179, 239),
        (201, 160, 232),
        (111, 197, 208),
        (255, 255, 255),
    ],
)
SIGNS_LIGHT = TerminalTheme(
    (251, 251, 250),
    (31, 35, 40),
    [
        (31, 35, 40),
        (179, 38, 30),
        (22, 107, 46),
        (128, 83, 0),
        (11, 95, 176),
        (128, 49, 167),
        (10, 104, 112),
        (231, 233, 235),
    ],
    [
        (99, 108, 118),
        (179, 38, 30),
        (22, 107, 46),
        (128, 83, 0),
        (11, 95, 176),
        (128, 49, 167),
        (10, 104, 112),
        (251, 251, 250),
    ],
)


def theme_for(wanted: str, environment: Mapping[str, str], colours: str | None) -> Theme:
    """Light or dark as asked for; ``auto``: as the terminal says, else dark.

    ``colours``: how many the terminal has, in Rich's words; None: it is to show none.
    """
    if wanted == "auto":
        background = environment.get("COLORFGBG", "").rpartition(";")[2]
        wanted = "light" if background in ("7", "15") else "dark"
    has_few = colours in (None, "standard", "windows")
    if wanted == "light":
        return LIGHT_16 if has_few else LIGHT
    return DARK_16 if has_few else DARK

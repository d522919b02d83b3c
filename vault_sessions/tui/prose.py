"""An answer's Markdown as lines to be drawn.

It is cut into pieces (a paragraph, some items of a list, some lines of code), each drawn by itself
and then never again: an answer that is still coming costs as much at its end as at its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from io import StringIO
from typing import ClassVar, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import ANSI_DARK, ANSI_LIGHT, ANSISyntaxTheme, Syntax
from rich.text import Text
from rich.theme import Theme

from vault_sessions.formats.display import safe

LINES = 40
"""A list, a table or a block of code is cut into pieces of so many lines."""
_STYLES = {
    "markdown.h1": "bold underline",
    "markdown.h2": "bold underline",
    "markdown.h3": "bold",
    "markdown.h4": "bold",
    "markdown.h5": "bold",
    "markdown.h6": "bold dim",
    "markdown.block_quote": "italic",
    "markdown.hr": "dim",
    "markdown.link": "underline",
    "markdown.link_url": "dim",
    "markdown.table.header": "bold",
    "markdown.table.border": "dim",
}
_COLOURED = ("code", "item.bullet", "item.number")
_ON_DARK = {"bright_blue": "bright_magenta"}
_ON_LIGHT = {
    "bright_blue": "blue",
    "bright_red": "red",
    "cyan": "magenta",
    "green": "magenta",
    "yellow": "red",
}
"""What stands for a colour that is hard to read on such a ground, where there are only sixteen."""


class Piece(NamedTuple):
    """Some Markdown that can be drawn by itself. ``follows``: it goes on with what the one before
    it began, with no empty line between them."""

    source: str
    follows: bool = False


class Look(NamedTuple):
    """How it is drawn: how wide, on a dark ground or a light one, and the ground of code."""

    width: int
    dark: bool = True
    code: str = ""


def _parser() -> MarkdownIt:
    """As on GitHub, but HTML is text to be seen and user.md is no link to a site in Moldova."""
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


# --- in pieces -----------------------------------------------------------------------------------


@lru_cache(1)
def _blocks() -> MarkdownIt:
    return _parser().disable("inline")


@lru_cache(1)
def _whole() -> MarkdownIt:
    return _parser()


def cut(source: str, *, follows: bool = False) -> list[Piece]:
    """The pieces of a text; ``follows``: its first one goes on with what stands before it.

    All but the last stay as they are whatever comes behind the text.
    """
    lines = source.split("\n")
    tokens = _blocks().parse(source)
    tops = [place for place, token in enumerate(tokens) if token.level == 0 and token.map]
    pieces: list[Piece] = []
    for number, place in enumerate(tops):
        first, end = tokens[place].map or (0, 0)
        if number + 1 == len(tops):
            end = len(lines)  # what is behind it may yet become a part of it
        for part in _parts(tokens, place, lines[first:end], first):
            pieces.append(part._replace(follows=True) if follows and not pieces else part)
    return pieces


def _parts(tokens: list[Token], place: int, lines: list[str], first: int) -> Iterator[Piece]:
    """A block whole, or in parts where it is long."""
    token = tokens[place]
    if len(lines) <= LINES:
        yield Piece("\n".join(lines))
    elif token.type == "fence":
        yield from _of_code(token, lines)
    elif token.type in ("bullet_list_open", "ordered_list_open"):
        yield from _of_list(tokens, place, lines, first)
    elif token.type == "table_open":
        yield from _of_table(lines)
    else:
        yield Piece("\n".join(lines))


def _of_code(token: Token, lines: list[str]) -> Iterator[Piece]:
    head, *body = lines
    for start in range(0, len(body), LINES):
        part = body[start : start + LINES]
        is_last = start + LINES >= len(body)
        end = [] if is_last else [token.markup]
        yield Piece("\n".join([head, *part, *end]), follows=start > 0)


def _of_list(tokens: list[Token], place: int, lines: list[str], first: int) -> Iterator[Piece]:
    items = []
    for token in tokens[place + 1 :]:
        if token.level == 0:
            break
        if token.type == "list_item_open" and token.level == 1 and token.map:
            items.append((token.map[0] - first, token.info))
    numbers = [int(info) for _, info in items if info]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        items = []  # numbered from its beginning, whatever its numbers say
    starts = [0]
    for line, _ in items:
        if line - starts[-1] >= LINES:
            starts.append(line)
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield Piece("\n".join(lines[start:end]), follows=start > 0)


def _of_table(lines: list[str]) -> Iterator[Piece]:
    head, rows = lines[:2], lines[2:]
    for start in range(0, len(rows), LINES):
        yield Piece("\n".join([*head, *rows[start : start + LINES]]))


# --- as lines ------------------------------------------------------------------------------------


def draw(piece: Piece, look: Look) -> list[list[Segment]]:
    """The lines of a piece, none of them wider than there is room."""
    console = _console(look.dark)
    options = console.options.update(width=max(4, look.width), height=None)
    lines = console.render_lines(_Drawn(piece.source, look), options, pad=False)
    while lines and not any(segment.text.strip() for segment in lines[-1]):
        lines.pop()
    while lines and not any(segment.text.strip() for segment in lines[0]):
        lines.pop(0)
    return lines


def words(piece: Piece, look: Look) -> list[list[Segment]]:
    """The lines of a text that is drawn as it is."""
    console = _console(look.dark)
    options = console.options.update(width=max(4, look.width), height=None)
    return console.render_lines(Text(piece.source, overflow="fold"), options, pad=False)


@lru_cache(2)
def _console(dark: bool) -> Console:
    colour = "cyan" if dark else "blue"
    styles = _STYLES | {f"markdown.{name}": colour for name in _COLOURED}
    theme = Theme(styles)
    return Console(file=StringIO(), force_terminal=True, color_system="truecolor", theme=theme)


@lru_cache(2)
def _code_theme(dark: bool) -> ANSISyntaxTheme:
    styles, instead = (ANSI_DARK, _ON_DARK) if dark else (ANSI_LIGHT, _ON_LIGHT)
    return ANSISyntaxTheme({token: _legible(style, instead) for token, style in styles.items()})


def _legible(style: Style, instead: dict[str, str]) -> Style:
    name = style.color.name if style.color is not None else ""
    return style + Style(color=instead[name]) if name in instead else style


class _Code(CodeBlock):
    """Code, coloured with the sixteen colours that every terminal has."""

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Code:
        made = cls((token.info or "").split(" ")[0] or "text", markdown.code_theme)
        if isinstance(markdown, _Drawn):
            made.look = markdown._look
        return made

    look = Look(0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(
            str(self.text).rstrip("\n"),
            self.lexer_name,
            theme=_code_theme(self.look.dark),
            word_wrap=True,
            padding=(0, 1),
            background_color=self.look.code or "default",
        )


class _Heading(Heading):
    LEVEL_ALIGN: ClassVar = {f"h{level}": "left" for level in range(1, 7)}


class _Drawn(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, source: str, look: Look) -> None:
        super().__init__("", hyperlinks=False)
        self._look = look
        self.parsed = _whole().parse(source)
        for token in self.parsed:
            _make_safe(token)


def _make_safe(token: Token) -> None:
    """An entity (``&#x202e;``) may stand for what the text itself was freed of."""
    token.content = safe(token.content)
    if "href" in token.attrs:
        token.attrs["href"] = safe(str(token.attrs["href"]))
    children = token.children or []
    for child in children:
        _make_safe(child)
    for place, child in enumerate(children):
        if child.type == "link_open" and place + 2 < len(children):
            inner, end = children[place + 1 : place + 3]
            if end.type == "link_close" and inner.content == child.attrs.get("href"):
                child.type = end.type = "text"  # an address need not be said twice
                child.content = end.content = ""

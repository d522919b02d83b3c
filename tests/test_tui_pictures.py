"""The main screens as they are meant to look: each is what its stored picture shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from home import Home, make_home
from openai_server import OpenAIServer
from pictures import FOLDER, Album, drawn, letters_of, still
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from tui import Ui, configure, run

from vault_sessions.tui.cards.ask import AskScreen
from vault_sessions.tui.cards.choose import ChooseScreen
from vault_sessions.tui.cards.correction import CorrectionCard
from vault_sessions.tui.cards.help import HelpScreen
from vault_sessions.tui.cards.new_session import NewSessionScreen
from vault_sessions.tui.screens.memory import MemoryScreen
from vault_sessions.tui.screens.search import SearchScreen
from vault_sessions.tui.screens.sessions import SessionsScreen
from vault_sessions.tui.talk import Wanted
from vault_sessions.tui.widgets.preview import Preview

ONBOARDING = "atlas/memory/sessions/20260902-150538-1k72cy.jsonl"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A copy of the sample, and somebody who answers in it."""
    home = make_home(tmp_path, sample=True)
    with OpenAIServer(
        models=["claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4-5"]
    ) as server:
        server.reply("Noted. Is the lease in Denver over already?")
        providers = {name: {"base_url": server.base_url} for name in ("anthropic", "openai")}
        configure(home, ai={"default_provider": "anthropic", "providers": providers})
        yield home


@pytest.fixture
def album(tmp_path: Path, pytestconfig: pytest.Config) -> Album:
    """The stored pictures."""
    return Album(tmp_path, pytestconfig.getoption("--accept-pictures"))


# --- what leads to each of them ------------------------------------------------------------------


async def chat(ui: Ui, home: Home) -> None:
    """Markdown, notes of tools and of resuming; the header."""
    await ui.shows("Remembered: Sam joins", "Resumed")


async def code(ui: Ui, home: Home) -> None:
    """Blocks of code."""
    await ui.shows("prevent_destroy", "Resumed")


async def edited(ui: Ui, home: Home) -> None:
    """The file was edited by another program: the banner says so."""
    await chat(ui, home)
    path, new = home.vault / ONBOARDING, home.folder / "new"
    new.write_bytes(path.read_bytes().replace(b"Remembered: Sam", b"Noted: Sam"))
    new.replace(path)
    await ui.shows("1 message changed on disk.", "Noted: Sam")


async def correction(ui: Ui, home: Home) -> None:
    """A change of memory to be confirmed."""
    await chat(ui, home)
    await ui.paste("Actually, I moved to Boulder last week.")
    await ui.press("enter")
    card = ui.app.screen.query_one(CorrectionCard)
    await ui.until(lambda: card.has_focus and card.region.height)
    await ui.shows("Lives in Boulder", "y · n · e")


async def completion(ui: Ui, home: Home) -> None:
    """The commands that a slash may become."""
    await chat(ui, home)
    await ui.type("/")
    await ui.shows("/sessions", "/compact")


async def picker(ui: Ui, home: Home) -> None:
    """All sessions by day."""
    await chat(ui, home)
    await ui.press("ctrl+l")
    await ui.until(lambda: isinstance(ui.app.screen, SessionsScreen))
    await ui.shows("Sessions · 17")
    await ui.press("home")
    await ui.shows("Yesterday, 2026-11-20")


async def preview(ui: Ui, home: Home) -> None:
    """The end of one beside the list."""
    await picker(ui, home)
    await ui.press("j", "j", "space")
    await ui.until(lambda: ui.app.screen.query_one(Preview).region.height)
    await ui.shows("llama3.1:8b", "assistant")


async def searching(ui: Ui, home: Home) -> None:
    """The sessions in whose names or contents something is, with the passages."""
    await picker(ui, home)
    await ui.press("slash")
    await ui.type("postgres")
    await ui.shows("found", "postgres-upgrade", "eta-timezone-bug")


async def rename(ui: Ui, home: Home) -> None:
    """A name that another session has."""
    await picker(ui, home)
    await ui.press("j", "r")
    await ui.shows("⏎ Save")
    await ui.press(*["backspace"] * len("thanksgiving-2026"))
    await ui.type("denver-move")
    await ui.press("enter")
    await ui.shows("is the name of")


async def delete(ui: Ui, home: Home) -> None:
    """Is it to be deleted?"""
    await picker(ui, home)
    await ui.press("j", "d")
    await ui.until(lambda: isinstance(ui.app.screen, AskScreen))
    await ui.shows("to the trash?")


async def form(ui: Ui, home: Home) -> None:
    """A new conversation, with a name that is taken and a provider without a key."""
    await chat(ui, home)
    await ui.press("ctrl+n")
    await ui.until(lambda: isinstance(ui.app.screen, NewSessionScreen))
    await ui.type("denver-move")
    await ui.press("tab")
    await ui.type("gemini")
    await ui.press("enter")
    await ui.shows("That is the name of", "GEMINI_API_KEY", "gives no list")


async def model(ui: Ui, home: Home) -> None:
    """The models that a server offers."""
    await chat(ui, home)
    await ui.press("ctrl+p")
    await ui.until(lambda: isinstance(ui.app.screen, ChooseScreen))
    await ui.shows("● anthropic")
    await ui.press("enter")
    await ui.shows("Model of anthropic", "claude-opus-4-5")


async def search(ui: Ui, home: Home) -> None:
    """Passages from everywhere that have some words."""
    await chat(ui, home)
    await ui.press("ctrl+f")
    await ui.until(lambda: isinstance(ui.app.screen, SearchScreen))
    await ui.type("postgres")
    await ui.shows("found in everything")


async def memory(ui: Ui, home: Home) -> None:
    """What is remembered: a page of it."""
    await chat(ui, home)
    await ui.press("ctrl+k")
    await ui.until(lambda: isinstance(ui.app.screen, MemoryScreen))
    await ui.shows("About you", "Decision first, reasons after")


async def keys(ui: Ui, home: Home) -> None:
    """All keys and commands."""
    await chat(ui, home)
    await ui.press("f1")
    await ui.until(lambda: isinstance(ui.app.screen, HelpScreen))
    await ui.shows("The conversation")


Scene = Callable[[Ui, Home], Awaitable[None]]
SCENES: tuple[Scene, ...] = (
    chat,
    code,
    edited,
    correction,
    completion,
    picker,
    preview,
    searching,
    rename,
    delete,
    form,
    model,
    search,
    memory,
    keys,
)
SMALL, LARGE = (80, 24), (120, 40)
SHOWN = [
    *((scene, "dark", (SMALL, LARGE)) for scene in SCENES),
    (chat, "light", (SMALL,)),
    (picker, "light", (SMALL,)),
]


def name_of(scene: Scene, theme: str, size: tuple[int, int]) -> str:
    """What a picture is called: ``chat-80x24``, ``chat-80x24-light``."""
    return f"{scene.__name__}-{size[0]}x{size[1]}" + ("" if theme == "dark" else f"-{theme}")


@pytest.mark.parametrize(
    ("scene", "theme", "sizes"), SHOWN, ids=[f"{one[0].__name__}-{one[1]}" for one in SHOWN]
)
def test_it_looks_as_in_its_picture(
    home: Home, album: Album, scene: Scene, theme: str, sizes: Sequence[tuple[int, int]]
) -> None:
    """Every character, colour and attribute; at two sizes, from the one to the other."""
    differences = []

    async def script(ui: Ui) -> None:
        await scene(ui, home)
        for size in sizes:
            await ui.pilot.resize_terminal(*size)
            differences.append(await album.difference(ui, name_of(scene, theme, size)))

    session = "tfstate-locking" if scene is code else "sam-onboarding"
    wanted, keys = Wanted(session=session), {"ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": "x"}
    with still():
        run(home, script, wanted, size=sizes[0], first=None, theme=theme, **keys)
    if told := "\n\n".join(filter(None, differences)):
        pytest.fail(told, pytrace=False)


def test_every_stored_picture_is_of_something() -> None:
    """None is left of a screen that is not looked at any more."""
    names = {name_of(scene, theme, size) for scene, theme, sizes in SHOWN for size in sizes}
    assert {path.stem for path in FOLDER.iterdir()} == names


# --- the pictures themselves ---------------------------------------------------------------------


def test_a_difference_is_shown_and_can_be_accepted(home: Home, tmp_path: Path) -> None:
    """What is stored, what is seen, how to accept it, and where the screen itself is kept."""
    folder = tmp_path / "pictures"

    async def script(ui: Ui) -> None:
        await chat(ui, home)
        album = Album(tmp_path, False, folder)
        assert "one.txt was never stored" in await album.difference(ui, "one")
        assert await album._replace(accepts=True).difference(ui, "one") == ""
        assert await album.difference(ui, "one") == ""
        await ui.type("Hello")
        told = await album.difference(ui, "one")
        assert "\n-│ Say something" in told
        assert "\n+│ Hello" in told
        assert "--accept-pictures" in told
        assert f"{tmp_path / 'one.svg'}\n" in told
        assert "Hello" in (tmp_path / "one.svg").read_text()

    with still():
        run(home, script, Wanted(session="sam-onboarding"), size=SMALL)


def test_a_new_style_leaves_the_others_their_letters() -> None:
    """A picture's letters are those of the stored one; a style in the place of another takes its
    letter."""

    def strip(*styles: str) -> Strip:
        return Strip([Segment("ab", Style.parse(style)) for style in styles])

    before = drawn([strip("red", "bold red")], {})
    assert before.splitlines() == [
        "abab",
        "--- styles ---",
        "  1  a2 b2",
        "--- legend ---",
        "a  red on default",
        "b  bold red on default",
    ]
    more = drawn([strip("#102030 on blue", "bold red", "red")], letters_of(before))
    assert more.splitlines() == [
        "ababab",
        "--- styles ---",
        "  1  c2 b2 a2",
        "--- legend ---",
        "a  red on default",
        "b  bold red on default",
        "c  #102030 on blue",
    ]
    other = drawn([strip("green", "bold red")], letters_of(before))
    assert other == before.replace("a  red", "a  green")

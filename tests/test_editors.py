"""Old texts are saved over newer messages while a chat goes on, by editors of every kind.

Nothing that was acknowledged is lost, nothing that the owner took out comes back.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from editors import (
    EDITORS,
    PLAIN,
    REAL,
    Account,
    Chat,
    Editor,
    Said,
    Terminal,
    account,
    home_of_an_editor,
    said_in,
    use_server,
)
from home import Home
from openai_server import OpenAIServer

TURNS = 200
"""Of two messages each, in the long runs."""


@pytest.fixture
def home() -> Iterator[Home]:
    with home_of_an_editor() as home:
        yield home


def installed(name: str) -> type[Editor]:
    """The editor of that name; a test that needs another one is skipped."""
    if name in REAL and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    if name == "sed" and sys.platform == "darwin":
        pytest.skip("another sed: it can't be made to wait")
    return EDITORS[name]


# --- while it goes on ----------------------------------------------------------------------------


class Story:
    """A chat of so many turns, and an editor that comes to it again and again."""

    def __init__(self, home: Home, server: OpenAIServer, editor: type[Editor], turns: int) -> None:
        self.home = home
        self.server = server
        self.editor = editor(home)
        self.part = turns // 10
        self.turns = turns
        self.gone: list[Said] = []

    def open(self, chat: Chat) -> None:
        """The editor reads the transcript and takes out one of the first lines."""
        line = 3 + len(self.gone) % 4
        self.gone.append(said_in(chat.path.read_bytes().splitlines()[line - 1]))
        self.editor.open(chat.path, line)

    def between_turns(self, chat: Chat) -> None:
        """Saved while nobody says anything: what is missing is put back before the next turn."""
        self.open(chat)
        chat.take(self.part)
        self.editor.save()
        until_quiet(chat.path)
        chat.take(1)
        assert all_there(account(self.home, chat.said, self.gone), chat.said, self.gone)
        assert chat.notices

    def while_it_talks(self, chat: Chat) -> None:
        """Saved while one turn follows the other."""
        self.open(chat)
        before = chat.turns
        chat.begin(self.part)
        chat.reach(before + self.part // 2)
        self.editor.save()
        chat.reach(before + self.part)

    def while_it_answers(self, chat: Chat) -> None:
        """Saved when the question is on disk and the answer is not."""
        self.open(chat)
        chat.take(self.part)
        hold, asked, before = Hold(self.server), len(self.server.requests), chat.turns
        chat.begin(1)
        self.server.wait_for_requests(asked + 1)
        self.editor.save()
        hold.end()
        chat.reach(before + 1)

    def when_it_is_over(self, chat: Chat) -> None:
        """Saved when the chat has been left."""
        self.open(chat)
        chat.take(self.turns - chat.turns)
        chat.close()
        self.editor.save()

    def tell(self) -> Chat:
        """All of it; returns the chat, which is over."""
        with Chat(self.home, self.server, "trip") as chat:
            chat.take(2 * self.part)
            self.between_turns(chat)
            for _ in range(3):
                self.while_it_talks(chat)
            self.while_it_answers(chat)
            self.while_it_talks(chat)
            self.when_it_is_over(chat)
        return chat


class Hold:
    """The next answer is held back until ``end``."""

    def __init__(self, server: OpenAIServer) -> None:
        self._event = threading.Event()
        server.reply("An answer that took its time.", before=self._event)

    def end(self) -> None:
        self._event.set()


def until_quiet(path: Path) -> None:
    """Wait until nobody has written to the file for as long as the guard wants to see."""
    while time.time() - path.stat().st_mtime < 0.35:
        time.sleep(0.02)


def all_there(found: Account, said: list[Said], gone: list[Said]) -> bool:
    """Is each message there once but those that the owner took out, and all in one session?"""
    assert not found.lost, f"lost: {found.lost}"
    assert not found.double, f"twice: {found.double}"
    assert not found.back, f"deleted and there again: {found.back}"
    assert found.sessions == 1
    return found.once == len(said) - len(set(gone))


def mend(home: Home) -> None:
    """``doctor --fix``, after which there is nothing left to fix, and a second one does nothing."""
    home.run("doctor", "--fix")
    assert problems(home) == []
    before = {path: path.read_bytes() for path in home.sessions.iterdir()}
    home.output("doctor", "--fix")
    assert {path: path.read_bytes() for path in home.sessions.iterdir()} == before


def problems(home: Home) -> list[str]:
    """The codes of what ``doctor`` finds wrong."""
    found = home.run("doctor", "--json")
    return [p["code"] for p in json.loads(found.stdout) if p["severity"] != "note"]


@pytest.mark.parametrize("editor", PLAIN)
def test_a_stale_save_loses_nothing(home: Home, server: OpenAIServer, editor: str) -> None:
    """Forty messages, and what is deleted from the middle stays out."""
    story = Story(home, server, installed(editor), 20)
    chat = story.tell()
    mend(home)
    assert len(chat.said) == 40
    assert all_there(account(home, chat.said, story.gone), chat.said, story.gone)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("editor", EDITORS)
def test_a_stale_save_loses_nothing_of_400(home: Home, server: OpenAIServer, editor: str) -> None:
    """Four hundred messages and real editors."""
    story = Story(home, server, installed(editor), TURNS)
    chat = story.tell()
    mend(home)
    assert len(chat.said) == 2 * TURNS
    found = account(home, chat.said, story.gone)
    assert all_there(found, chat.said, story.gone)
    print(f"{editor}: {found.once} once, {len(story.gone)} deleted, 0 lost, 0 back")


def test_a_save_is_seen_half_way(home: Home, server: OpenAIServer) -> None:
    """For a moment the file is empty, and everything is missing: still, of what is not there
    afterwards only the end was lost, the rest was taken out."""
    with Chat(home, server, "trip") as chat:
        chat.take(4)
        text = chat.path.read_bytes().splitlines(keepends=True)
        chat.take(1)
    gone = [said_in(text.pop(2))]
    with open(chat.path, "wb", buffering=0) as file:
        home.output("list")
        file.write(b"".join(text[:3]))
        home.output("list")
        file.write(b"".join(text[3:]))
    mend(home)
    assert all_there(account(home, chat.said, gone), chat.said, gone)


def test_a_file_is_away_for_a_moment(home: Home, server: OpenAIServer) -> None:
    """vim and emacs move the old file away before they write the new one. That is no deletion:
    the chat waits for it, and goes on in it."""
    with Chat(home, server, "trip") as chat:
        chat.take(3)
        away = chat.path.with_name(chat.path.name + "~")
        chat.path.rename(away)
        chat.begin(1)
        time.sleep(0.3)  # nobody says that it has looked
        away.rename(chat.path)
        chat.reach(4)
    assert all_there(account(home, chat.said, []), chat.said, [])


# --- at any moment -------------------------------------------------------------------------------


def hammer(home: Home, server: OpenAIServer, editor: type[Editor], turns: int, seed: int) -> Chat:
    """Texts of any age are saved all the time while turns are taken."""
    rng = random.Random(seed)
    with Chat(home, server, "trip") as chat:
        chat.take(2)
        chat.begin(turns - 2)
        saves, open_ones = 0, []
        while chat.turns < turns:
            one = editor(home)
            one.open(chat.path)
            open_ones.append(one)
            chat.reach(min(turns, chat.turns + rng.randrange(3)))
            time.sleep(rng.random() * 0.03)  # any moment of a turn will do
            if len(open_ones) > 4 or rng.random() < 0.5:
                open_ones.pop(rng.randrange(len(open_ones))).save()
                saves += 1
    print(f"{saves} saves during {turns} turns")
    return chat


def test_saves_at_any_moment(home: Home, server: OpenAIServer) -> None:
    """Between the look at the file and the writing to it, too."""
    chat = hammer(home, server, EDITORS["renaming"], 12, 1)
    home.run("doctor", "--fix")
    found = account(home, chat.said, [])
    assert all_there(found, chat.said, [])


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("editor", ["renaming", "truncating"])
def test_saves_at_any_moment_of_400(
    home: Home, server: OpenAIServer, editor: str, seed: int
) -> None:
    """The same for a long time."""
    chat = hammer(home, server, EDITORS[editor], TURNS, seed)
    home.run("doctor", "--fix")
    found = account(home, chat.said, [])
    assert all_there(found, chat.said, [])


# --- what the owner gave up ----------------------------------------------------------------------


def give_up(home: Home, server: OpenAIServer, editor: str) -> None:
    with Chat(home, server, "trip") as chat:
        chat.take(5)
        stale = installed(editor)(home)
        stale.open(chat.path)
        chat.take(2)
    stale.save()
    assert problems(home) == ["missing-messages"]
    home.output("doctor", "--forget", "trip")
    mend(home)
    with Chat(home, server, "trip", "the day after") as later:
        later.take(2)
    mend(home)
    said, gone = chat.said + later.said, chat.said[-4:]
    assert all_there(account(home, said, gone), said, gone)


def test_what_was_accepted_stays_out(home: Home, server: OpenAIServer) -> None:
    """``doctor --forget``: no turn and no ``--fix`` brings it back."""
    give_up(home, server, "renaming")


@pytest.mark.soak
@pytest.mark.parametrize("editor", EDITORS)
def test_what_was_accepted_stays_out_of_any_editor(
    home: Home, server: OpenAIServer, editor: str
) -> None:
    """The same with each editor."""
    give_up(home, server, editor)


@pytest.mark.parametrize("reply", ["y", "n"])
def test_the_owner_is_asked(home: Home, server: OpenAIServer, reply: str) -> None:
    """Only the end is gone: it may be on purpose. A no stands, a yes puts it back."""
    use_server(home, server)
    terminal = Terminal(home.command("chat", "--plain", "-s", "trip"), home.environment, home.vault)
    terminal.wait_for("> ")
    said: list[Said] = []

    def say(text: str) -> None:
        terminal.type(f"{text}\r")
        said.extend((Said("user", text), Said("assistant", f"{text} Yes.")))
        server.reply(f"{text} Yes.")

    say("Where to?")
    terminal.wait_for("Where to[?] Yes[.]")
    terminal.wait_for("> ")
    (path,) = home.sessions.glob("*.jsonl")
    stale = EDITORS["renaming"](home)
    stale.open(path)
    say("To the sea?")
    terminal.wait_for("To the sea[?] Yes[.]")
    terminal.wait_for("> ")
    stale.save()
    until_quiet(path)
    say("By train?")
    terminal.wait_for(r"Put back 2 messages\?")
    terminal.type(f"{reply}\r")
    terminal.wait_for("By train[?] Yes[.]")
    terminal.wait_for("> ")
    terminal.type("/quit\r")
    terminal.close()
    gone = said[2:4] if reply == "n" else []
    mend(home)
    assert all_there(account(home, said, gone), said, gone)

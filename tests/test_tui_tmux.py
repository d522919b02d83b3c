"""The whole way in a real terminal, with a real process and a real server: as a person goes it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from home import Home, make_home, message, write_session
from openai_server import OpenAIServer
from tmux import Terminal, needs_tmux, terminal
from tui import use_server

pytestmark = needs_tmux


@pytest.fixture
def home(tmp_path: Path, server: OpenAIServer) -> Home:
    """A vault with one session of last week, and a model to talk to."""
    home = make_home(tmp_path)
    at = f"{datetime.now(UTC) - timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    write_session(
        home,
        "20260101-000000-aaaaaa",
        message("What is in the shed?", id="1", created_at=at),
        message("A **ladder** and paint.", "assistant", id="2", created_at=at),
        name="shed",
    )
    use_server(home, server.base_url)
    return home


def lines(path: Path) -> list[dict[str, object]]:
    """A transcript's messages."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def transcript(home: Home, name: str) -> Path:
    """The transcript of the session of that name."""
    return home.vault / home.output("path", name).strip()


def test_the_whole_way(home: Home, server: OpenAIServer) -> None:
    """Ask, watch the answer come, stop one, choose and rename another session, delete it and take
    that back, edit the file meanwhile, leave, and come back the next day."""
    with terminal(home, (100, 30)) as at:
        at.run("chat", "-s", "bread")
        at.shows("bread", "local", "Say something")
        ask_and_watch(at, server)
        stop_an_answer(at, server)
        path = transcript(home, "bread")
        said = lines(path)
        assert [m["role"] for m in said] == ["user", "assistant"] * 2
        assert [m["content"] for m in said[::2]] == ["How do I bake bread?", "And then?"]
        assert (said[3]["content"], said[3]["status"]) == ("One half,", "cancelled")
        choose_rename_delete(at, home)
        edit_on_disk(at, path)
        at.press("C-q")
        at.shows("Come back: vault-sessions chat -s bread", "code=0")
        assert at.is_clean()
        the_next_day(at, path)


def ask_and_watch(at: Terminal, server: OpenAIServer) -> None:
    """The beginning of an answer is seen before its end has come."""
    held = threading.Event()
    server.reply("Mix flour and water. Wait a day.", chunks=2, between=held)
    at.say("How do I bake bread?")
    at.shows("How do I bake bread?", "Mix flour and w")
    assert "Wait a day." not in at.screen
    held.set()
    at.shows("Mix flour and water. Wait a day.", "2 messages")


def stop_an_answer(at: Terminal, server: OpenAIServer) -> None:
    """Escape stops it; what had arrived is kept."""
    held = threading.Event()
    server.reply("One half, the other", chunks=2, between=held)
    at.say("And then?")
    at.shows("One half,", "Esc stops it")
    at.press("Escape")
    at.shows("what had arrived is kept")
    at.hides("Esc stops it")
    held.set()


def choose_rename_delete(at: Terminal, home: Home) -> None:
    """In the list of sessions: the other one gets a name, goes to the trash, and comes back."""
    at.press("C-l")
    at.shows("shed", "bread", "Rename")
    at.press("j", "Space")
    at.shows("ladder")
    at.press("r")
    at.hides("Rename")  # now one types
    at.say(" and tools")
    path = home.sessions / "20260101-000000-aaaaaa.jsonl"
    about = path.with_suffix(".meta.json")
    at.until(lambda: b'"shed and tools"' in about.read_bytes(), "the new name")
    at.press("d")
    at.shows("trash")
    at.press("y")
    at.shows("Sessions · 1")
    assert not path.exists()
    at.press("u")
    at.shows("Sessions · 2")
    assert path.exists()
    at.press("j")
    at.shows("ladder")
    at.press("Enter")
    at.shows("What is in the shed?", "ladder", "Say something")
    at.press("C-l")
    at.shows("Rename", "bread")
    at.press("k", "Space")
    at.shows("One half,")
    at.press("Enter")
    at.shows("How do I bake bread?", 'Resumed "bread"', "Say something")  # that comes last


def edit_on_disk(at: Terminal, path: Path) -> None:
    """What an editor saves is seen at once, and that it was edited; so is a line it broke."""
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"Wait a day.", b"Wait two days."))
    at.shows("Wait two days.", "1 message changed on disk.")
    path.write_bytes(path.read_bytes() + b"{not a message\n")
    at.shows("doctor --fix")
    path.write_bytes(path.read_bytes().replace(b"{not a message\n", b""))
    at.hides("doctor --fix")


def the_next_day(at: Terminal, path: Path) -> None:
    """By its name it goes on whatever its age; all that was said is there."""
    for file in (path, path.with_suffix(".meta.json")):
        text = file.read_text()
        for day in (0, 1):  # midnight may have been meanwhile
            now = datetime.now(UTC) - timedelta(days=day)
            text = text.replace(f"{now:%Y-%m-%d}T", f"{now - timedelta(days=1):%Y-%m-%d}*")
        file.write_text(text.replace("*", "T"))
    at.run("chat", "-s", "bread")
    at.shows('Resumed "', "1 day ago", "Wait two days.", "One half,")
    at.press("C-c", "C-c")
    at.shows("Come back", "code=0")
    assert at.is_clean()

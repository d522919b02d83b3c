"""What is done behind a conversation: it delays no turn, and what it can't finish waits."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home, make_home, message, write_session
from openai_server import OpenAIServer, Reply
from test_cli import use

from vault_sessions import Workspace
from vault_sessions.background import Background
from vault_sessions.state import State

TALK = "20261120-090000-aaaaaa"
TOPIC = json.dumps({"topic": "Bread with caraway"})
WORDS = ("How do I bake bread with caraway?", "Mix, wait, bake.", "How long?", "Forty minutes.")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty vault; what is opened in this process has its folders there too."""
    home = make_home(tmp_path)
    for name, value in home.environment.items():
        if name.startswith("VAULT_SESSIONS_"):
            monkeypatch.setenv(name, value)
    return home


def talk(
    home: Home, *texts: str, session: str = TALK, ago: timedelta = timedelta(hours=5), **meta: Any
) -> None:
    """A session of these texts, the user's first, that this machine wrote to so long ago."""
    at = datetime.now(UTC) - ago
    lines = [
        message(text, "assistant" if n % 2 else "user", id=f"m{n}", created_at=at.isoformat())
        for n, text in enumerate(texts)
    ]
    fields = {"version": 1, "id": session, "created_at": at.isoformat(), **meta}
    write_session(home, session, *lines, **fields)
    with Workspace.open(home.vault) as workspace:
        lease = workspace.state.lease(session, at)
        assert lease is not None
        lease.release()
        workspace.sync()


def meta(home: Home, session: str = TALK) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads((home.sessions / f"{session}.meta.json").read_bytes())
    return fields


def kinds(home: Home) -> list[str]:
    found = list((home.folder / "state").rglob("calls.jsonl"))
    lines = found[0].read_text().splitlines() if found else []
    return [json.loads(line)["kind"] for line in lines]


def behind(home: Home, clock: Callable[[], datetime] | None = None) -> Background:
    """A background over the vault, as a chat has it."""

    def open_workspace(say: Callable[[str], None]) -> Workspace:
        more: dict[str, Any] = {"clock": clock} if clock is not None else {}
        return Workspace.open(home.vault, say=say, environment=home.environment, **more)

    return Background(open_workspace)


# --- the thread ----------------------------------------------------------------------------------


def test_nothing_to_do_begins_no_thread(home: Home) -> None:
    """And is finished at once."""
    before = threading.active_count()
    work = behind(home)
    assert threading.active_count() == before
    assert work.finish(0)
    assert work.notices() == []


def test_a_topic_is_made_after_two_exchanges(home: Home, server: OpenAIServer) -> None:
    """Not after one; once; and it is the owner's word that stays."""
    use(home, server)
    talk(home, *WORDS[:2])
    work = behind(home)
    work.after_turn(TALK)
    assert work.finish()
    assert "topic" not in meta(home)
    talk(home, *WORDS)
    server.reply(TOPIC)
    work = behind(home)
    work.after_turn(TALK)
    work.after_turn(TALK)
    assert work.finish()
    assert (meta(home)["topic"], meta(home)["topic_source"]) == ("Bread with caraway", "generated")
    assert kinds(home) == ["topic"]


def test_a_topic_that_was_set_meanwhile_wins(home: Home, server: OpenAIServer) -> None:
    """The owner names it while the model thinks."""
    use(home, server)
    talk(home, *WORDS)
    held = threading.Event()
    server.reply(TOPIC, before=held)
    work = behind(home)
    work.after_turn(TALK)
    server.wait_for_requests(1)
    with Workspace.open(home.vault, environment=home.environment) as workspace:
        workspace.set_topic(TALK, "Mine")
    held.set()
    assert work.finish()
    assert (meta(home)["topic"], meta(home)["topic_source"]) == ("Mine", "user")


def test_without_a_model_the_rule_makes_a_topic(home: Home, server: OpenAIServer) -> None:
    """And a model replaces it as soon as there is one, if it is still what the rule gives."""
    talk(home, *WORDS)
    work = behind(home)
    work.after_turn(TALK)
    assert work.finish()
    assert meta(home)["topic_source"] == "fallback"
    assert "bread" in meta(home)["topic"]
    use(home, server)
    server.reply(TOPIC)
    work = behind(home)
    work.after_turn(TALK)
    assert work.finish()
    assert meta(home)["topic"] == "Bread with caraway"


def test_a_topic_can_be_switched_off(home: Home, server: OpenAIServer) -> None:
    """No call, no topic."""
    use(home, server)
    path = home.folder / "config/config.yaml"
    path.write_text(path.read_text() + "topic:\n  auto: false\n")
    talk(home, *WORDS)
    work = behind(home)
    work.after_turn(TALK)
    work.look()
    assert work.finish()
    assert "topic" not in kinds(home)


def test_a_failure_is_told_once_and_tried_again(home: Home, server: OpenAIServer) -> None:
    """After each turn until it works; the person hears of the same trouble once."""
    use(home, server)
    talk(home, *WORDS, ago=timedelta(0))
    server.fail(401, "who are you?")
    server.fail(401, "who are you?")
    server.reply(TOPIC)
    work = behind(home)
    for _ in range(3):
        work.after_turn(TALK)
    assert work.finish()
    told = work.notices()
    assert len(told) == 1, told
    assert "401" in told[0]
    assert meta(home)["topic"] == "Bread with caraway"


def test_a_look_ends_what_is_over(home: Home) -> None:
    """Of this machine, not leased; five at most, the newest first; a mark that was left too."""
    names = [f"20261120-09000{n}-aaaaaa" for n in range(7)]
    for n, name in enumerate(names):
        talk(home, *WORDS, session=name, ago=timedelta(hours=10 + n))
    fresh, theirs = "20261120-100000-bbbbbb", "20261120-110000-cccccc"
    talk(home, *WORDS, session=fresh, ago=timedelta(hours=1))
    talk(home, *WORDS, session=theirs)
    state = State(next((home.folder / "state").iterdir()).as_posix())
    os.unlink(os.path.join(state.folder, "leases", theirs))
    work = behind(home)
    work.look()
    assert work.finish()
    rows = {row["id"]: row["status"] for row in home.json("list")}
    assert [rows[name] for name in names] == ["ended"] * 5 + ["open"] * 2
    assert (rows[fresh], rows[theirs]) == ("open", "open")
    assert meta(home, names[0])["end_reason"] == "window"


def test_a_look_makes_topics_that_are_missing(home: Home) -> None:
    """Of open sessions of this machine that have two exchanges."""
    talk(home, *WORDS, ago=timedelta(hours=1))
    work = behind(home)
    work.look()
    assert work.finish()
    assert meta(home)["topic_source"] == "fallback"
    assert "ended_at" not in meta(home)


def test_an_unreachable_model_leaves_it_ending(home: Home, server: OpenAIServer) -> None:
    """One call, one notice; the other sessions are not tried in vain; the next look completes."""
    use(home, server)
    other = "20261120-100000-bbbbbb"
    talk(home, *WORDS)
    talk(home, *WORDS, session=other, ago=timedelta(hours=9))
    server.fail(401, "no")
    work = behind(home)
    work.look()
    assert work.finish()
    assert len(work.notices()) == 1
    assert len(server.requests) == 1
    rows = {row["id"]: row["status"] for row in home.json("list")}
    assert rows == {TALK: "ending", other: "open"}
    assert meta(home)["ending"]["reason"] == "window"


def test_two_looks_at_once_end_nothing_twice(home: Home, server: OpenAIServer) -> None:
    """Who comes second leaves it to the first."""
    use(home, server)
    talk(home, *WORDS)
    held = threading.Event()
    server.reply(TOPIC, before=held)
    summary = ["Bread with caraway bakes forty minutes."]
    said: list[dict[str, Any]] = [
        {"summary": summary, "decisions": [], "open_items": []},
        {"facts": []},
    ]
    for text in said:
        server.reply(json.dumps(text))
    first, second = behind(home), behind(home)
    first.look()
    server.wait_for_requests(1)
    second.look()
    assert second.finish()
    assert "ended_at" not in meta(home)
    held.set()
    assert first.finish()
    assert meta(home)["ended_at"]
    assert kinds(home) == ["topic", "summary", "facts"]


# --- in a chat -----------------------------------------------------------------------------------


class Terminal:
    """The program on a terminal of its own; ``until`` waits for what it shows."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            home.command(*arguments),
            cwd=home.vault,
            env={**home.environment, "TERM": "dumb", "COLUMNS": "100"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._fresh = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, pattern: str) -> None:
        """Read until what came since the last time shows this."""
        while not (found := re.search(pattern, self._fresh)):
            assert select.select([self._ours], [], [], 30)[0], (pattern, self.shown)
            piece = os.read(self._ours, 65536).decode("utf-8", "replace")
            self._fresh += piece
            self.shown += piece
        self._fresh = self._fresh[found.end() :]

    def end(self) -> int:
        with suppress(OSError):
            while select.select([self._ours], [], [], 30)[0] and os.read(self._ours, 65536):
                pass
        os.close(self._ours)
        return self.process.wait(30)


@contextmanager
def terminal(home: Home, *arguments: str) -> Iterator[Terminal]:
    shown = Terminal(home, *arguments)
    try:
        yield shown
    finally:
        if shown.process.poll() is None:
            shown.process.kill()
            shown.process.wait()


def test_a_slow_topic_delays_no_turn(home: Home, server: OpenAIServer) -> None:
    """While a model thinks about a topic, the next message is taken, sent and answered."""
    use(home, server)
    held = threading.Event()
    with terminal(home, "chat", "--plain") as chat:
        chat.until("> ")
        for number, text in enumerate(("How do I bake bread?", "How long?", "And then?")):
            if number == 2:  # the model is at the topic now
                server.wait_for_requests(3)
            server.reply(f"answer {number}") if number != 1 else server.script(
                Reply("answer 1"), Reply(TOPIC, before=held)
            )
            chat.type(f"{text}\n")
            chat.until(rf"answer {number}\s")
            chat.until("\n> ")
        [path] = home.sessions.glob("*.jsonl")
        session = path.stem
        assert "topic" not in meta(home, session)
        held.set()
        chat.type("/quit\n")
        assert chat.end() == 0
    assert meta(home, session)["topic"] == "Bread with caraway"


def test_new_ends_the_one_before_in_the_background(home: Home, server: OpenAIServer) -> None:
    """``/new`` is ready at once; the summary is there when the chat is left."""
    use(home, server)
    held = threading.Event()
    with terminal(home, "chat", "--plain") as chat:
        chat.until("> ")
        server.reply("Mix, wait, bake.")
        chat.type("How do I bake bread with caraway?\n")
        chat.until("bake.")
        chat.until("> ")
        [path] = home.sessions.glob("*.jsonl")
        server.reply(TOPIC, before=held)
        chat.type("/new\n")
        chat.until("A new session")
        chat.until("> ")
        server.wait_for_requests(2)
        assert meta(home, path.stem)["ending"]["reason"] == "new"
        answers: list[dict[str, Any]] = [
            {"summary": ["Bread with caraway: mix, wait, bake."]},
            {"facts": []},
        ]
        for answer in answers:
            server.reply(json.dumps({"decisions": [], "open_items": [], **answer}))
        held.set()
        chat.type("/quit\n")
        assert chat.end() == 0
    now = meta(home, path.stem)
    assert now["end_reason"] == "new"
    assert (home.vault / now["summary_file"]).exists()


def test_one_turn_from_a_script_makes_the_topic_too(home: Home, server: OpenAIServer) -> None:
    """With ``-m`` the answer is printed, then what is due is done; stdout is the answer alone."""
    use(home, server)
    talk(home, *WORDS[:2], ago=timedelta(hours=1), provider="fake")
    server.reply("Forty minutes.")
    server.reply(TOPIC)
    assert home.output("chat", "-s", TALK, "-m", "How long?") == "Forty minutes.\n"
    assert meta(home)["topic"] == "Bread with caraway"


def test_private_leaves_everything_alone(home: Home) -> None:
    """A private turn ends no session and makes no topic."""
    talk(home, *WORDS)
    home.output("chat", "--private", "-m", "hello")
    assert "ended_at" not in meta(home)
    assert "topic" not in meta(home)


def test_a_chat_ends_what_was_left_over_night(home: Home) -> None:
    """The next chat begins a new session, and the old one has its summary."""
    talk(home, "I live in Denver. How do I bake bread?", *WORDS[1:])
    home.output("chat", "-m", "Good morning. Where do I buy caraway?")
    assert meta(home)["end_reason"] == "window"
    assert (home.vault / meta(home)["summary_file"]).exists()
    assert "Lives in Denver" in (home.vault / "atlas/memory/long-term/facts.md").read_text()


def test_watch_ends_sessions_and_makes_topics(home: Home) -> None:
    """While it runs, without a chat."""
    other = "20261120-100000-bbbbbb"
    talk(home, *WORDS)
    talk(home, *WORDS, session=other, ago=timedelta(hours=1))
    with home.start("watch") as watch:
        try:
            assert watch.stdout is not None
            changed = 0
            while not ("ended_at" in meta(home) and "topic" in meta(home, other)):
                assert watch.stdout.readline(), "it has ended"
                changed += 1
        finally:
            watch.terminate()
            watch.communicate()
    assert changed


def test_watch_once_ends_them_too(home: Home) -> None:
    """As a timer would have it that calls it now and then."""
    talk(home, *WORDS)
    done = home.run("watch", "--once")
    assert done.returncode == 0
    assert "Ended: " in done.stderr
    assert meta(home)["end_reason"] == "window"

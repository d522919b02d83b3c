"""kill -9 at any moment of a live turn: what was acknowledged is there, and the next turn works.

Acknowledged is a message that the server was sent (it was on disk before), that something of an
answer to it was printed, or whose turn ended well. A torn line, as a power cut or another program
leaves it, takes no other with it.
"""

from __future__ import annotations

import random
import shutil
import time
from typing import Any

import faults
import orjson
import pytest
from faults import Faults
from home import Home, make_home
from openai_server import OpenAIServer, Reply
from test_cli import use

from vault_sessions.formats.transcript import parse

ANSWER = "one two three four five six seven eight nine ten"
FRAGMENTS = (
    b'{"role":"assistant","content":"cut o',
    b"{",
    b'{"role":"user","content":"x"}',
    b"\xe2\x82",
)


class Kills:
    """Sessions of many turns, most of which are killed; what was acknowledged of each."""

    def __init__(self, home: Home, driver: Faults, server: OpenAIServer, seed: int) -> None:
        self.home = home
        self.driver = driver
        self.server = server
        self.chance = random.Random(seed)
        self.acknowledged: dict[str, list[str]] = {}
        self.answered: dict[str, list[str]] = {}
        self.torn = 0
        self.killed = 0
        self.whole = 1.0

    def turn(self, name: str, text: str, *, kill_after: float | None = None) -> int:
        """Say something; the exit code. What came back of it is noted as acknowledged."""
        before = len(self.server.requests)
        between = (0, 0.003) * 5
        self.server.script(Reply(ANSWER, chunks=10, between=between[:9]))
        done = self.driver.run(self.home, "chat", "-s", name, "-m", text, kill_after=kill_after)
        if self.server.pending:  # killed before it asked
            self.server._script.clear()
        asked = [request.body for request in self.server.requests[before:] if request.body]
        sent = any(text in str(body["messages"][-1]["content"]) for body in asked)
        if sent or done.out.strip() or done.code == 0:
            self.acknowledged.setdefault(name, []).append(text)
        if done.code == 0:
            self.answered.setdefault(name, []).append(text)
        assert "Traceback" not in done.err, done.err
        return done.code

    def kill(self, name: str, text: str) -> None:
        """A turn that is killed at a moment that is equally likely anywhere in it."""
        code = self.turn(name, text, kill_after=self.chance.uniform(0, self.whole * 1.05))
        assert code in (0, -9)
        self.killed += code == -9

    def tear(self, name: str) -> None:
        """Leave the end of a line that was never finished, where there is a file."""
        for path in self.home.sessions.glob("*.meta.json"):
            if orjson.loads(path.read_bytes()).get("name") == name:
                transcript = path.with_name(path.name.replace(".meta.json", ".jsonl"))
                with open(transcript, "ab") as file:
                    file.write(self.chance.choice(FRAGMENTS))
                self.torn += 1

    def check(self, name: str) -> None:
        """The next turn works, and all that was acknowledged is in the conversation once."""
        text = f"{name}: and then ({self.chance.random()})?"
        started = time.monotonic()
        assert self.turn(name, text) == 0
        self.whole = time.monotonic() - started
        shown = self.driver.run(self.home, "show", name, "--json")
        assert shown.code == 0, shown
        messages: list[dict[str, Any]] = orjson.loads(shown.out)["messages"]
        spoken = [m["content"] for m in messages if m["role"] == "user"]
        for said in self.acknowledged[name]:
            assert spoken.count(said) == 1, f"{said!r} stands there {spoken.count(said)} times"
        for at, message in enumerate(messages):
            if message["content"] in self.answered.get(name, ()):
                answer = messages[at + 1]["content"]
                # the request of one who was killed may have taken the answer that was meant for
                # this one, which the server then echoes
                assert answer == ANSWER or message["content"] in answer

    def finish(self) -> None:
        """No metadata is broken, no line but the torn ones, and the mirror is what it should be."""
        for path in self.home.sessions.glob("*.meta.json"):
            assert isinstance(orjson.loads(path.read_bytes()), dict)
        wrong = [
            p for t in self.home.sessions.glob("*.jsonl") for p in parse(t.read_bytes()).problems
        ]
        assert len(wrong) <= self.torn, wrong
        here = self.driver.run(self.home, "list", "--json")
        fresh = str(self.home.folder / "elsewhere")
        anew = self.driver.run(self.home, "list", "--json", VAULT_SESSIONS_CACHE=fresh)
        assert here.out == anew.out
        shutil.rmtree(fresh)


def kill_many(sessions: int, each: int, seed: int) -> Kills:
    """So many sessions with so many kills; a line is torn before every fourth."""
    with (
        faults.quick_folder() as folder,
        Faults(folder / "driver") as driver,
        OpenAIServer() as server,
    ):
        (folder / "home").mkdir()
        home = make_home(folder / "home")
        use(home, server)
        kills = Kills(home, driver, server, seed)
        for session in range(sessions):
            name = f"talk {session}"
            for number in range(each):
                if number % 4 == 3:
                    kills.tear(name)
                kills.kill(name, f"{name}: message {number}")
                if number % 5 == 4:
                    kills.check(name)
            kills.check(name)
        kills.finish()
    return kills


def test_some_kills() -> None:
    """A few turns, killed anywhere."""
    kills = kill_many(1, 15, seed=5)
    assert kills.killed > 5
    assert kills.torn


@pytest.mark.fault
@pytest.mark.timeout(3600)
def test_many_kills() -> None:
    """Hundreds of turns, killed anywhere."""
    kills = kill_many(36, 20, seed=11)
    acknowledged = sum(map(len, kills.acknowledged.values()))
    print(f"{kills.killed} kills, {kills.torn} torn lines, {acknowledged} messages acknowledged")
    assert kills.killed >= 500

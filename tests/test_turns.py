"""A chat turn, from what is said to what is kept, against a real server on this machine."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import orjson
import pytest
from openai_server import OpenAIServer, Usage

from vault_sessions import Workspace
from vault_sessions.assistant.local import running
from vault_sessions.assistant.provider import Call, stream
from vault_sessions.errors import ProviderError, ProviderUnusable, VaultError
from vault_sessions.formats.times import parse_time
from vault_sessions.lifecycle.desk import Conversation
from vault_sessions.lifecycle.turns import Turn
from vault_sessions.model import Provider

KEY = "sk-the-secret-of-this-test"
OURS = {"id", "created_at", "invocation_id"}


class Place:
    """A vault, the user's own folders, and a server that is the provider "local"."""

    def __init__(self, tmp_path: Path, server: OpenAIServer) -> None:
        self.tmp_path = tmp_path
        self.server = server
        self.vault = tmp_path / "notes"
        self.home = tmp_path / "home"
        self.sessions = self.vault / "atlas/memory/sessions"
        self.sessions.mkdir(parents=True)
        self.home.mkdir()
        self.settings()

    def settings(self, default: str = "local", **fields: Any) -> None:
        """The user's settings file; ``fields`` are the provider's."""
        own = {"base_url": self.server.base_url, "model": "test-model", **fields}
        own = {key: value for key, value in own.items() if value is not None}
        second = {"base_url": self.server.base_url, "model": "second-model"}
        ai = {"default_provider": default, "providers": {"local": own, "second": second}}
        (self.tmp_path / "config").mkdir(exist_ok=True)
        # JSON is YAML
        (self.tmp_path / "config/config.yaml").write_bytes(orjson.dumps({"ai": ai}))

    @contextmanager
    def workspace(self, **options: Any) -> Iterator[Workspace]:
        with Workspace.open(self.vault, directory=str(self.home), **options) as workspace:
            yield workspace

    def turn(self, text: str = "hello", **options: Any) -> Turn:
        """One turn of a program of its own, as ``chat -m`` takes it."""
        with self.workspace() as workspace:
            workspace.chat.begin(workspace.chat.decide(), **options)
            return workspace.chat.take_turn(text)

    @property
    def transcript(self) -> Path:
        """The only one there is."""
        (path,) = self.sessions.glob("*.jsonl")
        return path

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.transcript.read_bytes().splitlines()]

    def said(self) -> list[tuple[str, str]]:
        return [(line["role"], line["content"]) for line in self.lines()]

    def meta(self) -> dict[str, Any]:
        (path,) = self.sessions.glob("*.meta.json")
        found: dict[str, Any] = orjson.loads(path.read_bytes())
        return found

    def asked(self, number: int = -1) -> list[dict[str, Any]]:
        """The conversation that the server got in a request, without the system message and the
        notes of the time between two runs (tests/test_context.py has those)."""
        messages = self.server.requests[number].body["messages"]
        return [
            {**message, "content": re.sub(r"(?m)^\[\d+ seconds? later\]\n", "", message["content"])}
            if isinstance(message.get("content"), str)
            else message
            for message in messages
            if message["role"] != "system"
        ]

    def calls(self) -> list[dict[str, Any]]:
        (path,) = (self.tmp_path / "state").glob("*/calls.jsonl")
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]

    def everything(self) -> dict[str, str]:
        """All that the program may write, by path."""
        found = {}
        for folder in ("notes", "home", "config", "cache", "state"):
            for path in sorted((self.tmp_path / folder).rglob("*")):
                data = path.read_bytes() if path.is_file() else b""
                found[str(path)] = hashlib.sha256(data).hexdigest()
        return found


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("VAULT_SESSIONS_", "OPENAI_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    for kind in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind}", str(tmp_path / kind.lower()))


@pytest.fixture
def place(tmp_path: Path, server: OpenAIServer) -> Place:
    return Place(tmp_path, server)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, which are noted and not waited."""
    noted: list[float] = []
    monkeypatch.setattr("vault_sessions.assistant.provider.time.sleep", noted.append)
    return noted


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


# --- what is written -----------------------------------------------------------------------------


def test_the_message_is_on_disk_before_the_server_is_asked(place: Place) -> None:
    answer = threading.Event()
    place.server.reply("hello yourself", before=answer)
    turn = threading.Thread(target=place.turn, args=("hello",))
    turn.start()
    place.server.wait_for_requests(1)
    assert place.said() == [("user", "hello")]
    assert place.meta()["id"] == place.transcript.stem
    answer.set()
    turn.join()
    assert place.said() == [("user", "hello"), ("assistant", "hello yourself")]


def test_the_fields_of_the_lines(place: Place) -> None:
    place.server.reply("hi", usage=Usage(12, 3))
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    turn = place.turn("hello")
    question, answer = place.lines()
    assert set(question) == {"role", "content", *OURS}
    assert set(answer) == {"role", "content", *OURS, "model", "provider", "usage"}
    assert answer["model"] == "test-model"
    assert answer["provider"] == "local"
    assert answer["usage"] == {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    assert question["invocation_id"] == answer["invocation_id"]
    for line in (question, answer):
        assert UUID(line["id"]).version == UUID(line["invocation_id"]).version == 7
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["created_at"])
        at = parse_time(line["created_at"])
        assert at is not None
        assert before <= at <= datetime.now(UTC)
    assert turn == Turn(place.transcript.stem, "hi", None, None, "local", "test-model", turn.usage)


def test_the_metadata_of_a_new_session(place: Place) -> None:
    (place.home / ".git").mkdir()
    (place.home / "src").mkdir()
    directory = str(place.home / "src")
    with Workspace.open(place.vault, directory=directory) as workspace:
        workspace.chat.begin(workspace.chat.decide_named(" Plan ")[0])
        workspace.chat.take_turn("hello")
    meta = place.meta()
    assert meta == {
        "version": 1,
        "id": place.transcript.stem,
        "name": "Plan",
        "created_at": place.lines()[0]["created_at"],
        "provider": "local",
        "model": "test-model",
        "directory": os.path.realpath(directory),
        "git_root": os.path.realpath(place.home),
    }
    for path in place.sessions.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_model_in_the_settings_the_servers_first_is_taken(place: Place) -> None:
    place.settings(model=None)
    assert place.turn().model == "test-model"
    assert [request.path for request in place.server.requests] == [
        "/v1/models",
        "/v1/chat/completions",
    ]
    # and it stays this session's
    place.server.models = ("another", "test-model")
    assert place.turn().model == "test-model"


def test_a_server_without_any_model(place: Place) -> None:
    place.settings(model=None)
    place.server.models = ()
    turn = place.turn()
    assert isinstance(turn.error, ProviderUnusable)
    check_told(turn.error, "no model loaded")


def test_a_model_by_another_name_in_the_answer_is_noted_but_not_asked_for(place: Place) -> None:
    """A router answers with the model that it chose: the next turn asks the router again."""
    place.settings(model="router/auto")
    place.turn()
    path = place.transcript
    path.write_bytes(path.read_bytes().replace(b'"model":"router/auto"', b'"model":"chosen-1"'))
    place.turn()
    assert place.server.requests[-1].body["model"] == "router/auto"


# --- going on ------------------------------------------------------------------------------------


def test_the_conversation_goes_on_in_another_run(place: Place) -> None:
    place.turn("first")
    place.turn("second")
    assert place.asked() == [user("first"), assistant("first"), user("second")]
    runs = [line["invocation_id"] for line in place.lines()]
    assert runs[0] == runs[1] != runs[2] == runs[3]


def test_a_session_keeps_its_provider_and_model(place: Place) -> None:
    place.turn(provider="second", model="special")
    assert (place.meta()["provider"], place.meta()["model"]) == ("second", "special")
    turn = place.turn()
    assert (turn.provider, turn.model) == ("second", "special")
    assert place.server.requests[-1].body["model"] == "special"


def test_a_switch_is_saved(place: Place) -> None:
    (place.vault / "atlas/skills").mkdir()
    (place.vault / "atlas/skills/verse.md").write_text("Write verse.")
    place.turn(model="one")
    place.turn(provider="second", skill="verse")
    meta = place.meta()
    # the model was the other provider's, so this one's own is taken
    assert (meta["provider"], meta["model"], meta["skill"]) == ("second", "second-model", "verse")
    assert place.server.requests[-1].body["model"] == "second-model"
    place.turn(model="two")
    assert (place.meta()["provider"], place.meta()["model"]) == ("second", "two")
    assert place.turn().model == "two"
    assert "Write verse." in place.server.requests[-1].body["messages"][0]["content"]


def test_a_switch_in_mid_chat_is_saved(place: Place) -> None:
    with place.workspace() as workspace:
        workspace.chat.take_turn("hello")
        workspace.chat.use_model("second", None)
        assert workspace.chat.take_turn("hello").model == "second-model"
        workspace.chat.use_model(None, "three")
        assert workspace.chat.take_turn("hello").model == "three"
    assert (place.meta()["provider"], place.meta()["model"]) == ("second", "three")


def test_an_unknown_provider_or_skill_is_told_before_anything_is_written(place: Place) -> None:
    with place.workspace() as workspace:
        with pytest.raises(ProviderUnusable, match=r"There is no provider 'x'\. Known: offline"):
            workspace.chat.begin(workspace.chat.decide(), provider="x")
        with pytest.raises(VaultError, match="There is no skill 'x'"):
            workspace.chat.begin(workspace.chat.decide(), skill="x")
    assert list(place.sessions.iterdir()) == []


def test_a_skill_that_is_gone_is_told_and_left(place: Place) -> None:
    (place.vault / "atlas/skills").mkdir()
    skill = place.vault / "atlas/skills/verse.md"
    skill.write_text("Write verse.")
    with place.workspace() as workspace:
        conversation = workspace.chat.begin(workspace.chat.decide(), skill="verse")
        workspace.chat.take_turn("hello")
        skill.unlink()
        assert workspace.chat.take_turn("hello").error is None
        assert conversation.notices == [
            "The skill 'verse' of this session is not here; going on without."
        ]
    assert place.meta()["skill"] == "verse"


@pytest.mark.parametrize("made_with", ["gone", "openai"])
def test_a_provider_that_is_not_usable_here_is_said_and_the_default_answers(
    place: Place, made_with: str
) -> None:
    """It is not known here, or its key is not."""
    place.turn()
    (meta,) = place.sessions.glob("*.meta.json")
    meta.write_bytes(meta.read_bytes().replace(b'"local"', f'"{made_with}"'.encode()))
    with place.workspace() as workspace:
        conversation = workspace.chat.begin(workspace.chat.decide())
        assert conversation.notices == [
            f"This session was made with {made_with}, which is not usable here; local answers."
        ]
        assert workspace.chat.take_turn("hello").provider == "local"
    assert place.meta()["provider"] == made_with


def test_a_session_begun_offline_takes_the_configured_provider_once_there_is_one(
    place: Place,
) -> None:
    place.settings(default="offline")
    turn = place.turn("What is it?")
    assert (turn.provider, place.lines()[1]["model"]) == ("offline", "offline")
    assert place.meta()["provider"] == "offline"
    assert place.turn("And now?").provider == "offline"
    assert "model" not in place.meta()
    place.settings()
    turn = place.turn("hello")
    assert (turn.provider, turn.model) == ("local", "test-model")
    assert (place.meta()["provider"], place.meta()["model"]) == ("local", "test-model")


def test_one_that_had_ended_goes_on_by_name(place: Place) -> None:
    with place.workspace() as workspace:
        workspace.chat.take_turn("hello", session="Plan")
    (meta,) = place.sessions.glob("*.meta.json")
    ended = {**place.meta(), "ended_at": "2026-11-21T12:00:00.000Z", "end_reason": "new"}
    meta.write_bytes(orjson.dumps(ended))
    with place.workspace() as workspace:
        workspace.chat.take_turn("hello", session="Plan")
        assert workspace.find("Plan").status == "open"
    assert not {"ended_at", "end_reason", "ending"} & set(place.meta())


# --- failures of the model -----------------------------------------------------------------------


def check_told(error: ProviderError | None, *parts: str) -> None:
    """One line or two; what is wrong, and what to do."""
    assert error is not None
    text = str(error)
    assert 1 <= len(text.splitlines()) <= 2
    assert "Traceback" not in text
    assert KEY not in text
    assert re.search(r"Try|Check|Choose|Is it|Begin|Load|[Ss]et", text), text
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    "fail",
    [
        lambda server: server.limit_rate(0.01),
        lambda server: server.limit_rate(),
        lambda server: server.fail(503, "Overloaded."),
        lambda server: server.fail(500, "Oops."),
        lambda server: server.hang_up(),
    ],
    ids=["429 with Retry-After", "429", "503", "500", "hang-up"],
)
def test_a_passing_failure_is_tried_again(
    place: Place, waits: list[float], fail: Callable[[OpenAIServer], None]
) -> None:
    fail(place.server)
    place.server.reply("at last")
    told: list[str] = []
    with place.workspace() as workspace:
        turn = workspace.chat.take_turn("hello", on_wait=lambda seconds, why: told.append(why))
    assert (turn.text, turn.error) == ("at last", None)
    assert len(waits) == len(told) == 1
    assert 0 < waits[0] <= 0.5
    assert place.said() == [("user", "hello"), ("assistant", "at last")]


def test_the_wait_that_the_server_asks_for_is_kept(place: Place, waits: list[float]) -> None:
    place.server.limit_rate(7)
    place.turn()
    assert waits == [7.0]


def test_a_wait_of_minutes_is_not_waited(place: Place, waits: list[float]) -> None:
    place.server.limit_rate(600)
    check_told(place.turn().error, "429", "Rate limit reached")
    assert waits == []


def test_after_four_failures_it_is_told(place: Place, waits: list[float]) -> None:
    for _ in range(5):
        place.server.fail(500, "Oops.")
    check_told(place.turn().error, "local answered with status 500: Oops.")
    assert place.server.pending == 1
    assert len(waits) == 3
    assert waits == sorted(waits)


@pytest.mark.parametrize(
    ("fail", "parts"),
    [
        (lambda server: server.refuse_key(), ["401", "Incorrect API key provided"]),
        (lambda server: server.fail(403, "Not from your country."), ["403", "Not from your"]),
        (lambda server: server.refuse_model("test-model"), ["has no model 'test-model'"]),
        (lambda server: server.fail(400, "Bad\nrequest."), ["status 400: Bad request."]),
        (lambda server: server.fail(418, f"Not {KEY}."), ["status 418"]),
        (lambda server: server.page(), ["text/html", "not a stream"]),
        (lambda server: server.page(status=404), ["is not its address"]),
        (lambda server: server.malformed(), ["can't be read"]),
        (lambda server: server.fail_midway("The GPU fell off."), ["The GPU fell off."]),
        (lambda server: server.reply(""), ["its answer is empty (stop)"]),
        (lambda server: server.refuse_context(), ["too long for test-model"]),
        (lambda server: server.fail(429, "x", code="insufficient_quota"), ["quota"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_failures_that_trying_again_does_not_help(
    place: Place,
    waits: list[float],
    fail: Callable[[OpenAIServer], None],
    parts: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCAL_KEY", KEY)
    place.settings(api_key_env="LOCAL_KEY")
    fail(place.server)
    turn = place.turn("hello")
    assert (turn.text, turn.status) == ("", "error")
    check_told(turn.error, *parts)
    assert len(waits) == (3 if parts == ["the answer broke off"] else 0)
    assert place.said() == [("user", "hello")]
    # the next turn says both
    place.turn("again")
    assert place.asked() == [user("hello\n\nagain")]


@pytest.mark.parametrize("event", ["[1]", "1", '"x"', '{"choices": [null]}', '{"choices": 3}'])
def test_json_that_is_no_answer(place: Place, waits: list[float], event: str) -> None:
    """Nothing that a server sends ends in a traceback."""
    from openai_server import Document

    body = f"data: {event}\n\ndata: [DONE]\n\n"
    place.server.script(*[Document(200, body, "text/event-stream") for _ in range(4)])
    check_told(place.turn().error)


@pytest.mark.parametrize(
    "break_off",
    [
        lambda server: server.disconnect("Once upon a", after=3),
        lambda server: server.disconnect("Once upon a", after=3, reset=True),
        lambda server: server.malformed("Once upon a", after=3),
        lambda server: server.fail_midway("Out of memory.", "Once upon a", after=3),
        lambda server: server.fail_midway(
            "x", "Once upon a", after=3, code="context_length_exceeded"
        ),
        lambda server: server.reply("Once upon a", chunks=3, finish=None),
        lambda server: server.reply("Once upon a", chunks=3, finish=None, done=False),
    ],
    ids=["close", "reset", "bad json", "error", "too long", "no finish_reason", "nor [DONE]"],
)
def test_an_answer_that_breaks_off_is_kept(
    place: Place, waits: list[float], break_off: Callable[[OpenAIServer], None]
) -> None:
    break_off(place.server)
    turn = place.turn("hello")
    assert (turn.text, turn.status) == ("Once upon a", "error")
    check_told(turn.error)
    assert waits == []
    assert place.said() == [("user", "hello"), ("assistant", "Once upon a")]
    answer = place.lines()[1]
    assert (answer["status"], answer["model"]) == ("error", "test-model")


def test_a_server_that_is_down(place: Place, waits: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place.settings(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        turn = place.turn()
    check_told(turn.error, "Can't reach local at http://127.0.0.1")
    assert len(waits) == 3


@pytest.mark.parametrize("after", [0, 1], ids=["nothing", "a piece"])
def test_a_server_that_is_too_slow(place: Place, after: int) -> None:
    never = threading.Event()
    place.settings(timeout_seconds=0.15)
    if after:
        place.server.reply("Once", chunks=2, between=never)
    else:
        place.server.reply("Once", before=never)
    turn = place.turn()
    check_told(turn.error, "did not answer within 0.15 s", "timeout_seconds")
    assert turn.text == "On" * after


NO_SUMMARY = {"ai.sessions.auto_compact.enabled": "false"}
"""Where nothing is summarized (tests/test_compacting.py), the oldest turns are left out."""


def test_a_conversation_that_is_too_long_is_tried_once_more_with_less(place: Place) -> None:
    for n in range(6):
        place.turn(f"question {n} " + "x" * 100)
    place.server.refuse_context()
    with place.workspace(flags=NO_SUMMARY) as workspace:
        assert workspace.chat.take_turn("now").error is None
    whole, shorter = place.asked(-2), place.asked(-1)
    assert len(whole) == 13
    assert 1 <= len(shorter) <= 7
    assert shorter == whole[-len(shorter) :]
    assert [call["outcome"] for call in place.calls()][-2:] == ["ContextTooLong", "ok"]


def test_what_is_left_out_already_is_not_what_is_halved(place: Place) -> None:
    """Of a long conversation only the newest turns were sent: less than those is tried."""
    for n in range(8):
        place.turn(f"question {n}")
    place.server.refuse_context()
    with place.workspace(flags={**NO_SUMMARY, "ai.max_history_messages": "5"}) as workspace:
        workspace.chat.take_turn("now")
    assert len(place.asked(-1)) < len(place.asked(-2)) == 5


def test_and_only_once(place: Place) -> None:
    place.turn("question")
    place.server.refuse_context()
    place.server.refuse_context()
    with place.workspace(flags=NO_SUMMARY) as workspace:
        check_told(workspace.chat.take_turn("now").error, "Begin a new one")
    assert place.server.pending == 0


def test_half_a_character_waits_for_its_other_half(place: Place) -> None:
    """Some servers send a character as two escapes, in two pieces; a lone one is replaced."""
    place.server.reply("a\ud83d\ude00b", chunks=4)
    place.server.reply("a\ude00b", chunks=3)
    assert place.turn().text == "a😀b"
    assert place.turn().text == "a\ufffdb"
    assert [text for role, text in place.said() if role == "assistant"] == ["a😀b", "a\ufffdb"]


def test_a_message_with_half_a_character(place: Place) -> None:
    place.turn("a\ud83d")
    assert place.said()[0] == ("user", "a?")


# --- stopping ------------------------------------------------------------------------------------


def stop(piece: str) -> NoReturn:
    raise KeyboardInterrupt


def test_ctrl_c_keeps_what_had_arrived_and_closes_the_connection(place: Place) -> None:
    place.server.reply("Once upon a time", chunks=4, between=threading.Event())
    with place.workspace() as workspace:
        turn = workspace.chat.take_turn("hello", on_text=stop)
        assert (turn.text, turn.status, turn.error) == ("Once", "cancelled", None)
        place.server.wait_for_departures(1)
        answer = place.lines()[1]
        assert (answer["content"], answer["status"]) == ("Once", "cancelled")
        assert answer["model"] == "test-model"
        # and the chat goes on
        workspace.chat.take_turn("go on")
    assert place.asked() == [user("hello"), assistant("Once"), user("go on")]
    assert [call["outcome"] for call in place.calls()] == ["cancelled", "ok"]


def test_nobody_listens_any_more(place: Place) -> None:
    """As with ``chat -m … | head``: what had arrived is kept."""

    def closed(piece: str) -> NoReturn:
        raise BrokenPipeError

    place.server.reply("Once upon a time", chunks=4, between=threading.Event())
    with place.workspace() as workspace, pytest.raises(BrokenPipeError):
        workspace.chat.take_turn("hello", on_text=closed)
    place.server.wait_for_departures(1)
    assert place.said() == [("user", "hello"), ("assistant", "Once")]


def chat(place: Place, *arguments: str, text: str = "hello") -> subprocess.Popen[str]:
    """The real program, with one message."""
    command = [sys.executable, "-m", "vault_sessions", "--vault", str(place.vault), "chat"]
    return subprocess.Popen(
        [*command, *arguments, "-m", text],
        cwd=place.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sigint_in_mid_stream(place: Place) -> None:
    place.server.reply("Once upon a time", chunks=4, between=threading.Event())
    with chat(place) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == "Once"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert out == "\n"
    assert "Traceback" not in err
    place.server.wait_for_departures(1)
    assert place.lines()[1]["status"] == "cancelled"
    assert place.said() == [("user", "hello"), ("assistant", "Once")]


def test_sigint_before_the_first_piece(place: Place) -> None:
    place.server.reply("Once", before=threading.Event())
    with chat(place) as process:
        place.server.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    place.server.wait_for_departures(1)
    assert place.said() == [("user", "hello")]


def test_a_failure_in_the_program(place: Place) -> None:
    place.server.disconnect("Once", after=2)
    with chat(place) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, "Once\n")
    *_, first, second = err.splitlines()
    assert first.startswith("Error: ")
    assert second == "Try again, or choose another provider (/model, or -p); what you said is kept."
    assert "Traceback" not in err


def test_an_answer_in_the_program(place: Place) -> None:
    place.server.reply("Hi there.", chunks=3)
    with chat(place) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "Hi there.\n")
    assert err.splitlines()[-1].startswith(f"session {place.transcript.stem} · ")


# --- keys ----------------------------------------------------------------------------------------


def test_nothing_of_the_environment_reaches_a_configured_server(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = "http://127.0.0.1:9/v1"
    leaks = {
        "OPENAI_API_KEY": "leak-1",
        "OPENAI_BASE_URL": elsewhere,
        "OPENAI_ORG_ID": "leak-2",
        "OPENAI_PROJECT_ID": "leak-3",
        "OPENAI_CUSTOM_HEADERS": "X-Leak: leak-4",
        "HTTP_PROXY": elsewhere,
        "http_proxy": elsewhere,
        "ALL_PROXY": elsewhere,
    }
    for name, value in leaks.items():
        monkeypatch.setenv(name, value)
    place.settings(extra_headers={"X-Mine": "yes"})
    assert place.turn().error is None
    (request,) = place.server.requests
    assert "leak" not in repr(request)
    assert request.headers["x-mine"] == "yes"
    assert "openai-organization" not in request.headers
    assert {name: os.environ[name] for name in leaks} == leaks


def test_nor_where_two_threads_ask_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hides the environment from one must not give it back while the other looks."""
    monkeypatch.setenv("OPENAI_ORG_ID", "leak")
    call = Call(Provider("local", place.server.base_url), "none", "test-model")
    asked = ({"role": "user", "content": "hello"},)
    threads = [
        threading.Thread(target=stream, args=(call, asked, lambda piece: None)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(place.server.requests) == 8
    assert "leak" not in repr(place.server.requests)
    assert os.environ["OPENAI_ORG_ID"] == "leak"


@pytest.mark.parametrize("source", ["api_key_env", "api_key_command"])
def test_a_key_is_sent_and_written_nowhere(
    place: Place, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.server.api_key = KEY
    if source == "api_key_env":
        monkeypatch.setenv("LOCAL_KEY", KEY)
        place.settings(api_key_env="LOCAL_KEY")
    else:
        (tmp_path / "key").write_text(KEY + "\n")
        place.settings(api_key_command=f"cat {tmp_path / 'key'}")
    place.server.fail(400, f"Your key {KEY} is fine, the rest is not.")
    with place.workspace() as workspace:
        check_told(workspace.chat.take_turn("hello").error, "Your key … is fine")
        assert workspace.chat.take_turn("hello").error is None
        workspace.sync()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "key":
            assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"api_key_env": "LOCAL_KEY"}, "No key for local: set LOCAL_KEY"),
        ({"api_key_command": "false"}, "The api_key_command of local failed"),
        ({"api_key_command": "/no/such/program"}, "The api_key_command of local failed"),
        ({"api_key_command": "true"}, "The api_key_command of local printed nothing"),
        ({"api_key_command": "printf 'a\\nb'"}, "characters that no key has"),
        ({"base_url": None}, "The provider 'local' has no base_url"),
    ],
)
def test_a_provider_that_is_not_set_up(place: Place, fields: dict[str, Any], told: str) -> None:
    place.settings(**fields)
    turn = place.turn()
    assert isinstance(turn.error, ProviderUnusable)
    assert told in str(turn.error)
    assert place.server.requests == ()
    assert place.said() == [("user", "hello")]


def test_a_server_that_wants_a_key_where_none_is_set(place: Place) -> None:
    place.server.api_key = KEY
    check_told(place.turn().error, "refused to answer without a key", "local.api_key_env")


def test_every_call_is_a_line_in_the_log(place: Place) -> None:
    place.server.reply("hi", usage=Usage(12, 3))
    place.server.fail(400, "No.")
    place.turn("a secret question")
    place.turn()
    first, second = place.calls()
    assert parse_time(first.pop("at")) is not None
    assert first.pop("seconds") >= 0
    assert first == {
        "kind": "chat",
        "session": place.transcript.stem,
        "provider": "local",
        "model": "test-model",
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        "outcome": "ok",
    }
    assert (second["outcome"], second["usage"]) == ("ProviderError", None)


def test_what_never_reached_a_model_is_no_call(place: Place) -> None:
    place.settings(api_key_env="LOCAL_KEY")
    place.turn()
    place.turn(provider="offline")
    assert not list((place.tmp_path / "state").glob("*/calls.jsonl"))


# --- private -------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", [None, "Plan"])
def test_a_private_chat_writes_nothing(place: Place, session: str | None) -> None:
    with place.workspace() as workspace:
        workspace.chat.take_turn("remember Denver", session="Plan")
    place.turn("remember Boulder")
    for path in place.sessions.iterdir():
        os.utime(path, (1, 1))  # long ago: what was changed just now is looked at twice
    with place.workspace() as workspace:
        workspace.list()  # the mirror is up to date
    before = place.everything()
    with place.workspace() as workspace:
        decision = workspace.chat.decide_named(session)[0] if session else workspace.chat.decide()
        workspace.chat.begin(decision, private=True)
        place.server.reply("I do", chunks=2)
        assert workspace.chat.take_turn("Do you know Denver?").text == "I do"
        assert workspace.chat.take_turn("And now?").error is None
        assert workspace.models.unused_keys() == []
        during = place.everything()
    assert place.asked()[-3:] == [user("Do you know Denver?"), assistant("I do"), user("And now?")]
    assert place.everything() == before
    side_files = ("-wal", "-shm")  # SQLite's own, while the mirror is open for reading
    assert {path for path in during if not path.endswith(side_files)} <= set(before)


# --- somebody else writes too --------------------------------------------------------------------


def test_an_edit_between_turns_is_what_the_server_gets(place: Place) -> None:
    with place.workspace() as workspace:
        workspace.chat.take_turn("I live in Boulder")
        path = place.transcript
        path.write_bytes(path.read_bytes().replace(b"I live in Boulder", b"I live in Denver", 1))
        workspace.chat.take_turn("Where do I live?")
        conversation = workspace.chat.begin(workspace.chat.decide())
    assert place.asked()[0] == user("I live in Denver")
    assert conversation.notices == []


def open_chat(workspace: Workspace) -> Conversation:
    conversation = workspace.chat.begin(workspace.chat.decide())
    workspace.chat.take_turn("first")
    return conversation


def test_an_edit_is_said(place: Place) -> None:
    with place.workspace() as workspace:
        conversation = open_chat(workspace)
        path = place.transcript
        path.write_bytes(path.read_bytes().replace(b'"first"', b'"FIRST"', 1))
        workspace.chat.take_turn("second")
        assert conversation.notices == ["1 message changed on disk."]
        conversation.notices.clear()
        workspace.chat.take_turn("third")
        assert conversation.notices == []


def test_a_line_that_is_broken_by_hand_is_kept_and_the_chat_goes_on(place: Place) -> None:
    with place.workspace() as workspace:
        conversation = open_chat(workspace)
        path = place.transcript
        broken = path.read_bytes().replace(b'"role":"assistant"', b'"role":"assistant', 1)
        path.write_bytes(broken)
        workspace.chat.take_turn("second")
        assert conversation.notices == ["1 message changed on disk."]
    assert path.read_bytes().startswith(broken)
    assert place.asked() == [user("first\n\nsecond")]


def test_a_deleted_session_is_never_made_again(place: Place) -> None:
    with place.workspace() as workspace:
        conversation = open_chat(workspace)
        before = place.transcript
        before.unlink()
        turn = workspace.chat.take_turn("second")
        assert conversation.notices == [
            f"The file of session {before.stem} is gone; going on in a new session."
        ]
    assert not before.exists()
    assert turn.session_id == place.transcript.stem != before.stem
    assert place.said() == [("user", "second"), ("assistant", "second")]


def test_one_deleted_while_the_model_answers(place: Place) -> None:
    """The answer is kept in a new session, and the question with it."""
    with place.workspace() as workspace:
        conversation = open_chat(workspace)
        before = place.transcript
        place.server.reply("an answer")
        turn = workspace.chat.take_turn("second", on_text=lambda piece: before.unlink())
        assert "is gone" in conversation.notices[0]
        assert turn.session_id == conversation.session_id != before.stem
        assert workspace.find(str(turn.session_id)).message_count == 2
    assert place.said() == [("user", "second"), ("assistant", "an answer")]


def test_two_at_once_in_one_session_see_each_other_at_the_next_turn(place: Place) -> None:
    with place.workspace() as one, place.workspace() as two:
        open_chat(one)
        name = place.transcript.stem
        other = two.chat.begin(two.chat.decide_named(name)[0])
        assert "open elsewhere too" in other.notices[0]
        two.chat.take_turn("second")
        assert place.asked() == [user("first"), assistant("first"), user("second")]
        one.chat.take_turn("third")
        assert place.asked()[2:] == [user("second"), assistant("second"), user("third")]
        two.chat.take_turn("fourth")
        assert place.asked()[4:] == [user("third"), assistant("third"), user("fourth")]


def test_two_at_the_same_moment(place: Place) -> None:
    """Both ask before either is answered: no line is lost, and the prompt after it is valid."""
    answer = threading.Event()
    with place.workspace() as one, place.workspace() as two:
        open_chat(one)
        two.chat.begin(two.chat.decide_named(place.transcript.stem)[0])
        place.server.reply("to one", before=answer)
        place.server.reply("to two", before=answer)
        asking = threading.Thread(target=one.chat.take_turn, args=("from one",))
        asking.start()
        place.server.wait_for_requests(2)
        other = threading.Thread(target=two.chat.take_turn, args=("from two",))
        other.start()
        place.server.wait_for_requests(3)
        answer.set()
        asking.join()
        other.join()
        one.chat.take_turn("last")
    assert [role for role, _ in place.said()[2:6]] == ["user", "user", "assistant", "assistant"]
    assert {text for _, text in place.said()} >= {"from one", "from two", "to one", "to two"}
    assert place.asked()[2] == user("from one\n\nfrom two")
    assert [message["role"] for message in place.asked()[2:]] == ["user", "assistant", "user"]


def test_tool_calls_of_an_import_are_sent_in_valid_form(place: Place) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": ""}}
    lines = [
        user("a"),
        {"role": "assistant", "content": None, "tool_calls": [call, {"id": "2"}]},
        {"role": "tool", "tool_call_id": "9", "content": "whose?"},
        user("b"),
    ]
    path = place.sessions / "imported.jsonl"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    with place.workspace() as workspace:
        workspace.chat.take_turn("c", session="imported")
    call["function"]["arguments"] = "{}"  # type: ignore[index]  # a plain dict
    assert place.asked() == [
        user("a"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {
            "role": "tool",
            "tool_call_id": "1",
            "content": "(no result: this call was not completed)",
        },
        user("b\n\nc"),
    ]


# --- a vault that can't be written ---------------------------------------------------------------


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """Files can't grow beyond this: a write is short, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_and_leaves_no_half_line(place: Place) -> None:
    long = "x" * (4 << 20)
    with place.workspace() as workspace:
        open_chat(workspace)
        before = place.transcript.read_bytes()
        with little_room(2 << 20), pytest.raises(VaultError) as caught:
            workspace.chat.take_turn(long)
        assert len(str(caught.value).splitlines()) == 1
        assert "The message was not saved." in str(caught.value)
        assert place.transcript.read_bytes() == before
        workspace.chat.take_turn("second")
    assert place.said()[2:] == [("user", "second"), ("assistant", "second")]
    assert len(place.server.requests) == 2


def test_a_first_message_that_can_not_be_saved_begins_no_session(place: Place) -> None:
    with place.workspace() as workspace:
        conversation = workspace.chat.begin(workspace.chat.decide_named("Plan")[0])
        with little_room(2 << 20), pytest.raises(VaultError):
            workspace.chat.take_turn("x" * (4 << 20))
        assert conversation.session_id is None
        assert list(place.sessions.iterdir()) == []
        # there is room again: it is a whole session, with its name
        workspace.chat.take_turn("hello")
    assert place.meta()["name"] == "Plan"
    assert place.meta()["created_at"] == place.lines()[0]["created_at"]


def give_up_root() -> None:
    """From now on permissions count for this thread, as they do not for root."""
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).capset(struct.pack("II", 0x20080522, 0), bytes(24)) == 0


def test_a_read_only_vault(place: Place) -> None:
    caught: list[VaultError] = []

    def try_it() -> None:
        give_up_root()
        with place.workspace() as workspace:
            try:
                workspace.chat.take_turn("hello")
            except VaultError as error:
                caught.append(error)

    place.sessions.chmod(0o500)
    try:
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    finally:
        place.sessions.chmod(0o700)
    assert str(caught[0]).endswith("Permission denied. The message was not saved.")
    assert len(str(caught[0]).splitlines()) == 1
    assert place.server.requests == ()


def test_a_file_in_the_place_of_the_folder(place: Place) -> None:
    place.sessions.rmdir()
    place.sessions.write_text("not a folder")
    with place.workspace() as workspace, pytest.raises(VaultError) as caught:
        workspace.chat.take_turn("hello")
    assert len(str(caught.value).splitlines()) == 1
    assert place.server.requests == ()


# --- servers on this machine ---------------------------------------------------------------------


def timed(*providers: Provider) -> tuple[list[str], float]:
    begin = time.perf_counter()
    found = running(providers)
    return found, time.perf_counter() - begin


def test_a_running_server_is_found(place: Place, server: OpenAIServer) -> None:
    assert timed(Provider("ollama", server.base_url))[0] == ["ollama"]
    assert timed(Provider("ollama", server.base_url + "/"))[0] == ["ollama"]
    server.api_key = KEY
    assert timed(Provider("ollama", server.base_url))[0] == []


def test_it_is_looked_for_only_where_nothing_was_chosen(place: Place) -> None:
    providers = {
        name: {"base_url": place.server.base_url if name == "llamacpp" else "http://127.0.0.1:9/v1"}
        for name in ("ollama", "lmstudio", "llamacpp")
    }
    path = place.tmp_path / "config/config.yaml"
    path.write_bytes(orjson.dumps({"ai": {"providers": providers}}))
    with place.workspace() as workspace:
        assert workspace.models.running() == ["llamacpp"]
    path.write_bytes(orjson.dumps({"ai": {"default_provider": "offline", "providers": providers}}))
    with place.workspace() as workspace:
        assert workspace.models.running() == []
    assert len(place.server.requests) == 1


def test_where_nothing_answers_the_look_is_short() -> None:
    """Nothing listens; or something does, and stays silent; or never comes to an end."""
    stop_dripping = threading.Event()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_server(("127.0.0.1", 0)) as dripping,
        socket.socket() as nobody,
    ):
        nobody.bind(("127.0.0.1", 0))

        def drip() -> None:
            connection, _ = dripping.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not stop_dripping.wait(0.02):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        ports = [listener.getsockname()[1] for listener in (silent, dripping, nobody)]
        found, seconds = timed(*(Provider(str(p), f"http://127.0.0.1:{p}/v1") for p in ports))
        stop_dripping.set()
        thread.join()
    assert found == []
    assert seconds < 0.3


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"object": "list", "data": []}', True),
        (b'HTTP/1.0 200\r\n\r\n{"data": []}', True),
        (b'HTTP/1.1 404 Not 200 OK\r\n\r\n{"data": []}', False),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", False),
        (b"HTTP/1.1 200 OK\r\n\r\n5", False),
        (b"SSH-2.0-OpenSSH_9.6\r\n", False),
        (b"", False),
    ],
)
def test_what_counts_as_an_answer(answer: bytes, found: bool) -> None:
    """Also of a server that keeps the connection open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        looked = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                looked.wait(5)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        names, seconds = timed(Provider("x", f"http://127.0.0.1:{port}/v1"))
        looked.set()
        thread.join()
    assert bool(names) is found
    assert seconds < 0.3


@pytest.mark.parametrize("url", [None, "https://example.org/v1", "http://[", "http://127.0.0.1/v1"])
def test_only_ports_of_this_machine_are_looked_at(url: str | None) -> None:
    assert running([Provider("x", url)]) == []


@pytest.mark.parametrize("kind", [ValueError, TypeError, AttributeError, OSError])
def test_a_failure_of_the_listener_is_not_told_as_the_servers(
    place: Place, kind: type[Exception], waits: list[float]
) -> None:
    """It goes through as it is, and nothing is asked again."""
    call = Call(Provider("local", place.server.base_url), "none", "test-model")

    def fail(piece: str) -> None:
        raise kind("mine")

    with pytest.raises(kind, match="mine"):
        stream(call, ({"role": "user", "content": "hello"},), fail)
    assert (len(place.server.requests), waits) == (1, [])


@pytest.mark.parametrize("url", ["http://[::1", "http://u:hush@host:x/"])
def test_an_address_that_is_none_is_one_clear_line(url: str) -> None:
    """Also for a program that made the provider itself."""
    with pytest.raises(ProviderUnusable, match="can't be called") as caught:
        stream(Call(Provider("x", url), "none", "m"), (), lambda piece: None)
    assert "hush" not in str(caught.value)

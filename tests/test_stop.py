"""A call to a model is ended from another thread, wherever it waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from openai_server import OpenAIServer

from vault_sessions.assistant import provider as providers
from vault_sessions.assistant.stop import Line, Stop, stoppable
from vault_sessions.errors import ProviderError
from vault_sessions.model import Provider

HELLO = [{"role": "user", "content": "hello"}]


def call(base_url: str, model: str = "test-model") -> providers.Call:
    """A call that reaches this server."""
    return providers.Call(Provider("local", base_url=base_url), "none", model)


class Asking:
    """Somebody who asks in a thread of their own, and can be stopped."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.stop = Stop()
        self.ended: BaseException | None = None
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(ask,))
        self._thread.start()

    def _run(self, ask: Callable[[], Any]) -> None:
        try:
            with stoppable(self.stop):
                self.result = ask()
        except BaseException as error:  # noqa: BLE001
            self.ended = error

    def stopped(self) -> BaseException | None:
        """What it ends with when it is stopped now."""
        self.stop.set()
        return self.end()

    def end(self) -> BaseException | None:
        """What it ends with by itself."""
        self._thread.join(10)
        assert not self._thread.is_alive(), "it still waits"
        return self.ended


def test_an_answer_that_has_not_begun_is_ended() -> None:
    """Nothing has to come for that; the server sees that the client has left."""
    with OpenAIServer() as server:
        server.reply("too late", before=threading.Event())
        asking = Asking(lambda: providers.stream(call(server.base_url), HELLO, lambda piece: None))
        server.wait_for_requests()
        assert isinstance(asking.stopped(), KeyboardInterrupt)
        server.wait_for_departures()


def test_what_had_come_was_heard() -> None:
    """The pieces before the stop are heard, in order; then it ends."""
    heard: list[str] = []
    some = threading.Event()

    def hear(piece: str) -> None:
        heard.append(piece)
        if len(heard) == 2:
            some.set()

    with OpenAIServer() as server:
        server.reply("abcd", chunks=4, between=(None, threading.Event()))
        asking = Asking(lambda: providers.stream(call(server.base_url), HELLO, hear))
        assert some.wait(10)
        assert isinstance(asking.stopped(), KeyboardInterrupt)
        server.wait_for_departures()
    assert heard == ["a", "b"]


def test_a_wait_before_another_try_is_ended() -> None:
    """Nobody waits thirty seconds for a busy server after having said stop."""
    waits = threading.Event()
    with OpenAIServer() as server:
        server.limit_rate(retry_after=30)
        asking = Asking(
            lambda: providers.stream(
                call(server.base_url), HELLO, lambda piece: None, lambda *_: waits.set()
            )
        )
        assert waits.wait(10)
        assert isinstance(asking.stopped(), KeyboardInterrupt)


def test_a_connection_that_is_not_made_is_ended() -> None:
    """A server whose queue of connections is full, as one behind a firewall."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        asking = Asking(lambda: providers.stream(call(url), HELLO, lambda piece: None))
        assert isinstance(asking.stopped(), KeyboardInterrupt)


def test_a_command_for_a_key_is_ended() -> None:
    """A password manager may wait for a person."""
    slow = Provider("local", base_url="http://127.0.0.1:9/v1", api_key_command="sleep 20")
    asking = Asking(lambda: providers.prepare(slow, "test-model", {}))
    assert isinstance(asking.stopped(), KeyboardInterrupt)


def test_once_stopped_nothing_is_asked() -> None:
    """Another call within the same block does not begin."""
    stop = Stop()
    stop.set()
    with OpenAIServer() as server:
        with stoppable(stop), pytest.raises(KeyboardInterrupt):
            providers.stream(call(server.base_url), HELLO, lambda piece: None)
        assert server.requests == ()


def test_without_a_stop_all_is_as_it_was() -> None:
    """Answers and failures come through, in the thread that asked."""
    heard: list[tuple[str, int]] = []
    here = threading.get_ident()

    def hear(piece: str) -> None:
        heard.append((piece, threading.get_ident()))

    with OpenAIServer() as server, stoppable(Stop()):
        server.reply("yes", chunks=3)
        reply = providers.stream(call(server.base_url), HELLO, hear)
        assert (reply.text, heard) == ("yes", [("y", here), ("e", here), ("s", here)])
        server.refuse_key()
        with pytest.raises(ProviderError, match="refused"):
            providers.stream(call(server.base_url), HELLO, hear)
        assert providers.models(call(server.base_url)) == ["test-model"]


def test_a_listener_that_fails_ends_the_call() -> None:
    """Its own error comes through, and the server is left."""

    def hear(piece: str) -> None:
        raise BrokenPipeError

    with OpenAIServer() as server, stoppable(Stop()):
        server.reply("abc", chunks=3, between=threading.Event())
        with pytest.raises(BrokenPipeError):
            providers.stream(call(server.base_url), HELLO, hear)
        server.wait_for_departures()


def test_a_connection_made_too_late_is_dead() -> None:
    """Who was left behind while connecting finds nothing to talk to."""
    ours, theirs = socket.socketpair()

    class Stream:
        def get_extra_info(self, name: str) -> socket.socket:
            return ours

    with ours, theirs:
        line = Line()
        line.cut()
        line.trace("connection.connect_tcp.complete", {"return_value": Stream()})
        theirs.settimeout(10)
        assert theirs.recv(1) == b""

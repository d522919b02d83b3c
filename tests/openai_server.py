"""A real local server for the chat-completions protocol, scripted by a test.

Nothing here imports the code under test: whatever passes through this server has
crossed a socket, with the statuses, pieces and breakages a real service shows.
"""

from __future__ import annotations

import json
import select
import socket
import socketserver
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

Pause = float | threading.Event | None
"""How long to hold back: seconds, or until the test sets the event."""

Ending = Literal["done", "no_done", "close", "reset", "bad_json", "error"]
"""How a reply stops.

done: as the protocol says; no_done: an orderly end without [DONE]; close, reset: the
connection breaks; bad_json: an unreadable piece; error: an error object in place of a piece.
"""

_TICK = 0.01
_CREATED = 1_700_000_000


@dataclass(frozen=True)
class Usage:
    """Token counts as the service reports them."""

    prompt: int = 10
    completion: int = 5
    cached: int = 0
    reasoning: int = 0

    def as_json(self) -> dict[str, Any]:
        """The counts in the protocol's own words."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }


@dataclass(frozen=True)
class ToolCall:
    """One call the model asks for; arguments are sent as written, valid JSON or not.

    `index`: its number in the stream, None for its place among the calls.
    """

    name: str
    arguments: str = "{}"
    id: str = "call_1"
    index: int | None = None


@dataclass(frozen=True)
class Reply:
    """An answer of the model, and how it travels."""

    text: str = ""
    chunks: int = 1
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str | None = "stop"
    usage: Usage | None = Usage()
    ending: Ending = "done"
    error: Mapping[str, Any] = field(default_factory=dict)
    before: Pause = None
    between: Pause | tuple[Pause, ...] = None

    def __post_init__(self) -> None:
        if self.chunks < 0 or (self.text and not 1 <= self.chunks <= len(self.text)):
            raise ValueError(f"{self.text!r} cannot travel in {self.chunks} chunks")


@dataclass(frozen=True)
class Document:
    """Any other response: an error of the service, or what a proxy puts in its place."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Pause = None


@dataclass(frozen=True)
class Silence:
    """A success that holds no choice at all."""

    before: Pause = None


@dataclass(frozen=True)
class HangUp:
    """The connection closes before a single byte of response."""

    before: Pause = None


Scripted = Reply | Document | Silence | HangUp


@dataclass(frozen=True)
class Request:
    """What a client sent; header names are lower case, the body is parsed JSON or None."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class OpenAIServer:
    """A chat-completions service on this machine that answers as the test has scripted.

    Chat requests take the scripted replies in order; with none left, the answer repeats
    the last user message. With `api_key` given, any other key is refused and takes no reply.
    `models` is what the service lists; None means it cannot list them.
    """

    def __init__(
        self, *, api_key: str | None = None, models: Sequence[str] | None = ("test-model",)
    ) -> None:
        self.api_key = api_key
        self.models = models
        self._script: deque[Scripted] = deque()
        self._requests: list[Request] = []
        self._departures = 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._http = _HTTPServer(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": _TICK}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.break_connections()
        self._http.server_close()

    @property
    def port(self) -> int:
        """The port this server listens on."""
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        """What a client is given as its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in order of arrival."""
        with self._changed:
            return tuple(self._requests)

    @property
    def departures(self) -> int:
        """How many clients left before their reply was over."""
        with self._changed:
            return self._departures

    @property
    def pending(self) -> int:
        """How many scripted replies nobody has asked for yet."""
        with self._changed:
            return len(self._script)

    def wait_for_requests(self, count: int = 1, timeout: float = 60.0) -> tuple[Request, ...]:
        """The requests so far, once there are at least `count`."""
        self._wait(lambda: len(self._requests) >= count, f"{count} request(s)", timeout)
        return self.requests

    def wait_for_departures(self, count: int = 1, timeout: float = 60.0) -> None:
        """Return once `count` clients have left before their reply was over."""
        self._wait(lambda: self._departures >= count, f"{count} departure(s)", timeout)

    def script(self, *replies: Scripted) -> None:
        """Answer the next requests with these, in order, after those already scripted."""
        with self._changed:
            self._script.extend(replies)

    def reply(
        self,
        text: str,
        *,
        chunks: int = 1,
        reasoning: str = "",
        finish: str | None = "stop",
        usage: Usage | None = Usage(),
        done: bool = True,
        before: Pause = None,
        between: Pause | tuple[Pause, ...] = None,
    ) -> None:
        """Answer with a text; `usage=None` is a service that never counts.

        `reasoning` comes before the text. `before` holds back the first byte; `between`
        each later piece of text, or with a tuple each gap its own.
        """
        self.script(
            Reply(
                text,
                chunks=chunks,
                reasoning=reasoning,
                finish=finish,
                usage=usage,
                ending="done" if done else "no_done",
                before=before,
                between=between,
            )
        )

    def reply_tool_call(
        self,
        name: str,
        arguments: Mapping[str, Any] | str,
        *,
        id: str = "call_1",
        text: str = "",
        chunks: int = 3,
        usage: Usage | None = Usage(),
    ) -> None:
        """Ask for one tool call, its arguments in `chunks` pieces at most."""
        raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
        self.reply_tool_calls(ToolCall(name, raw, id), text=text, chunks=chunks, usage=usage)

    def reply_tool_calls(
        self, *calls: ToolCall, text: str = "", chunks: int = 3, usage: Usage | None = Usage()
    ) -> None:
        """Ask for several tool calls at once, after an optional text."""
        pieces = min(chunks, len(text)) if text else chunks
        self.script(Reply(text, chunks=pieces, tool_calls=calls, finish="tool_calls", usage=usage))

    def fail(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        before: Pause = None,
    ) -> None:
        """Refuse with a status and the service's error object."""
        error = _error(message, type, param, code)
        self.script(Document(status, json.dumps(error), headers=headers or {}, before=before))

    def refuse_key(self) -> None:
        """401: the key is wrong."""
        self.script(_WRONG_KEY)

    def refuse_model(self, model: str) -> None:
        """404: there is no such model."""
        message = f"The model `{model}` does not exist or you do not have access to it."
        self.fail(404, message, code="model_not_found")

    def refuse_context(self, limit: int = 8192, used: int = 9000) -> None:
        """400: the messages are longer than the model's context."""
        message = (
            f"This model's maximum context length is {limit} tokens. However, your messages "
            f"resulted in {used} tokens. Please reduce the length of the messages."
        )
        self.fail(400, message, param="messages", code="context_length_exceeded")

    def refuse_response_format(self) -> None:
        """400: the model does not take this `response_format`."""
        message = "Invalid parameter: 'response_format' is not supported with this model."
        self.fail(400, message, param="response_format", code="unsupported_parameter")

    def limit_rate(self, retry_after: float | str | None = None) -> None:
        """429: too many requests, with the wait the service asks for."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        message = "Rate limit reached for requests."
        self.fail(429, message, type="requests", code="rate_limit_exceeded", headers=headers)

    def disconnect(self, text: str = "", *, after: int = 1, reset: bool = False) -> None:
        """Deliver `text` in `after` pieces, then break the connection."""
        self._break(text, after, "reset" if reset else "close")

    def hang_up(self) -> None:
        """Close the connection without a response."""
        self.script(HangUp())

    def malformed(self, text: str = "", *, after: int = 1) -> None:
        """Deliver `text` in `after` pieces, then something that is not JSON."""
        self._break(text, after, "bad_json")

    def fail_midway(
        self,
        message: str,
        text: str = "",
        *,
        after: int = 1,
        type: str = "server_error",
        code: str | None = None,
    ) -> None:
        """Deliver `text` in `after` pieces, then an error object, all under status 200."""
        self._break(text, after, "error", _error(message, type, None, code))

    def page(self, body: str = "<html><body>Sign in</body></html>", *, status: int = 200) -> None:
        """Answer with an HTML page, as a proxy or a wrong address would."""
        self.script(Document(status, body, content_type="text/html; charset=utf-8"))

    def silence(self) -> None:
        """Succeed with nothing: no choice, no text."""
        self.script(Silence())

    def _break(
        self, text: str, after: int, ending: Ending, error: Mapping[str, Any] | None = None
    ) -> None:
        chunks = after if text else 0
        self.script(Reply(text, chunks=chunks, ending=ending, error=error or {}))

    def _wait(self, ready: Callable[[], bool], what: str, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(ready, timeout):
                seen = f"{len(self._requests)} request(s), {self._departures} departure(s)"
                raise TimeoutError(f"no {what} within {timeout} s; saw {seen}")

    def _arrived(self, request: Request) -> tuple[int, Scripted]:
        """Record a request; its number and what it is owed."""
        with self._changed:
            self._requests.append(request)
            number = len(self._requests)
            self._changed.notify_all()
            shown = request.headers.get("authorization")
            if self.api_key is not None and shown != f"Bearer {self.api_key}":
                return number, _WRONG_KEY
            route = (request.method, request.path.partition("?")[0])
            if route == ("GET", "/v1/models") and self.models is not None:
                return number, _model_list(self.models)
            if route != ("POST", "/v1/chat/completions"):
                error = _error(f"Invalid URL ({request.method} {request.path})")
                return number, Document(404, json.dumps(error))
            if not isinstance(request.body, dict):
                return number, Document(400, json.dumps(_error("The body is not a JSON object.")))
            if self._script:
                return number, self._script.popleft()
            return number, _echo(request.body)

    def _departed(self) -> None:
        with self._changed:
            self._departures += 1
            self._changed.notify_all()


def _error(
    message: str,
    type: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


_WRONG_KEY = Document(
    401, json.dumps(_error("Incorrect API key provided.", code="invalid_api_key"))
)


def _model_list(models: Sequence[str]) -> Document:
    data = [
        {"id": name, "object": "model", "created": _CREATED, "owned_by": "tests"} for name in models
    ]
    return Document(200, json.dumps({"object": "list", "data": data}))


def _echo(body: Mapping[str, Any]) -> Reply:
    said: Any = ""
    for message in body.get("messages") or ():
        if message.get("role") == "user":
            said = message.get("content")
    if isinstance(said, list):
        said = "".join(part.get("text", "") for part in said)
    return Reply(said or "")


def _split(text: str, count: int) -> list[str]:
    """The text in `count` pieces of near equal length, none of them empty."""
    count = min(count, len(text))
    return [text[len(text) * i // count : len(text) * (i + 1) // count] for i in range(count)]


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    """What each piece of the answer adds."""
    for piece in _split(reply.reasoning, max(reply.chunks, 1)):
        yield {"reasoning_content": piece}
    for piece in _split(reply.text, reply.chunks):
        yield {"content": piece}
    for place, call in enumerate(reply.tool_calls):
        index = place if call.index is None else call.index
        function = {"name": call.name, "arguments": ""}
        yield {
            "tool_calls": [
                {"index": index, "id": call.id, "type": "function", "function": function}
            ]
        }
        for piece in _split(call.arguments, reply.chunks):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _completion(reply: Reply, head: Mapping[str, Any]) -> dict[str, Any]:
    """The whole answer as one object."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["content"] = reply.text or None
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in reply.tool_calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": reply.finish}
    whole = {**head, "object": "chat.completion", "choices": [choice]}
    return whole if reply.usage is None else {**whole, "usage": reply.usage.as_json()}


class _HTTPServer(ThreadingHTTPServer):
    """Listens, and knows its open connections so that none outlives it."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, owner: OpenAIServer) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who 127.0.0.1 is."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        """End every connection still open."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no fault of the server; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Carries out the scripted reply to each request of one connection."""

    server: _HTTPServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer(None)

    def do_POST(self) -> None:
        """Answer a POST."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._answer(json.loads(raw))
        except json.JSONDecodeError:
            self._answer(None)

    def _answer(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        number, scripted = self.server.owner._arrived(request)
        try:
            self._hold(scripted.before)
            self._play(scripted, number, body)
        except ConnectionError:
            self.close_connection = True
            if not self.server.owner._closing.is_set():
                self.server.owner._departed()

    def _play(self, scripted: Scripted, number: int, body: Any) -> None:
        if isinstance(scripted, HangUp):
            self._drop()
            return
        if isinstance(scripted, Document):
            self._send(scripted, number)
            return
        head = {"id": f"chatcmpl-{number}", "created": _CREATED, "model": body.get("model")}
        if body.get("stream"):
            options = body.get("stream_options") or {}
            self._stream(scripted, number, head, bool(options.get("include_usage")))
        elif isinstance(scripted, Silence):
            whole = {**head, "object": "chat.completion", "choices": []}
            self._send(Document(200, json.dumps(whole)), number)
        else:
            self._send_whole(scripted, number, head)

    def _send(self, document: Document, number: int, *, cut: int | None = None) -> None:
        """Send a body; with `cut`, promise all of it and send only that many bytes."""
        raw = document.body.encode()
        self.send_response(document.status)
        self.send_header("Content-Type", document.content_type)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("x-request-id", f"req-{number}")
        for name, value in document.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw[:cut])

    def _send_whole(self, reply: Reply, number: int, head: Mapping[str, Any]) -> None:
        whole = json.dumps(_completion(reply, head))
        if reply.ending == "error":
            self._send(Document(200, json.dumps(reply.error)), number)
        elif reply.ending == "bad_json":
            self._send(Document(200, whole[: len(whole) // 2]), number)
        elif reply.ending in ("close", "reset"):
            self._send(Document(200, whole), number, cut=len(whole) // 2)
            self._drop(reset=reply.ending == "reset")
        else:
            self._send(Document(200, whole), number)

    def _stream(
        self, reply: Reply | Silence, number: int, head: Mapping[str, Any], usage: bool
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("x-request-id", f"req-{number}")
        self.end_headers()
        if isinstance(reply, Reply):
            frame = {**head, "object": "chat.completion.chunk"}
            if usage and reply.usage is not None:
                frame["usage"] = None
            self._stream_pieces(reply, frame)
            if reply.ending in ("close", "reset"):
                self._drop(reset=reply.ending == "reset")
                return
            if reply.ending == "bad_json":
                self._event('{"choices": [{"delta": ')
            elif reply.ending == "error":
                self._event(json.dumps(reply.error))
            else:
                if reply.finish is not None:
                    self._piece(frame, {}, reply.finish)
                if usage and reply.usage is not None:
                    last = {**frame, "choices": [], "usage": reply.usage.as_json()}
                    self._event(json.dumps(last))
        if isinstance(reply, Silence) or reply.ending == "done":
            self._event("[DONE]")
        with suppress(ConnectionError):  # whoever has read the last event may leave
            self.wfile.write(b"0\r\n\r\n")

    def _stream_pieces(self, reply: Reply, frame: Mapping[str, Any]) -> None:
        self._piece(frame, {"role": "assistant", "content": None if reply.tool_calls else ""})
        for index, delta in enumerate(_deltas(reply)):
            if index:
                gaps = reply.between
                if isinstance(gaps, tuple):
                    self._hold(gaps[index - 1] if index <= len(gaps) else None)
                else:
                    self._hold(gaps)
            self._piece(frame, delta)

    def _piece(
        self, frame: Mapping[str, Any], delta: Mapping[str, Any], finish: str | None = None
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self._event(json.dumps({**frame, "choices": [choice]}))

    def _event(self, data: str) -> None:
        raw = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))

    def _drop(self, *, reset: bool = False) -> None:
        """Close the socket as it stands."""
        self.close_connection = True
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        self.rfile.close()
        self.connection.close()

    def _hold(self, pause: Pause) -> None:
        """Wait as scripted, but no longer than the client and the server live."""
        if pause is None:
            return
        until = None if isinstance(pause, threading.Event) else time.monotonic() + pause
        closing = self.server.owner._closing
        while not closing.is_set():
            if isinstance(pause, threading.Event):
                if pause.wait(_TICK):
                    return
            elif until is not None:
                left = until - time.monotonic()
                if left <= 0:
                    return
                closing.wait(min(left, _TICK))
            if self._client_left():
                break
        raise ConnectionAbortedError("the client or the server is gone")

    def _client_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

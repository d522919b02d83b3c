"""The scripted server behaves, as the real client sees it, like the service it stands for."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai_server import OpenAIServer, Reply, ToolCall, Usage

HELLO: Any = [{"role": "user", "content": "hello"}]
Connect = Callable[..., OpenAI]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OPENAI_"):
            monkeypatch.delenv(name)


@pytest.fixture
def connect(server: OpenAIServer) -> Iterator[Connect]:
    with ExitStack() as clients:
        yield lambda **options: clients.enter_context(client_of(server.base_url, **options))


def client_of(url: str, key: str = "secret", retries: int = 0, timeout: float = 5.0) -> OpenAI:
    http = httpx2.Client(trust_env=False, timeout=timeout)
    return OpenAI(api_key=key, base_url=url, max_retries=retries, http_client=http, timeout=timeout)


def ask(client: OpenAI, **options: Any) -> ChatCompletion:
    answer = client.chat.completions.create(model="test-model", messages=HELLO, **options)
    assert isinstance(answer, ChatCompletion)
    return answer


def stream(client: OpenAI, **options: Any) -> Stream[ChatCompletionChunk]:
    chunks = client.chat.completions.create(
        model="test-model", messages=HELLO, stream=True, **options
    )
    assert isinstance(chunks, Stream)
    return chunks


def texts(chunks: list[ChatCompletionChunk]) -> list[str]:
    return [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]


def read_until_broken(
    chunks: Stream[ChatCompletionChunk], kind: type[Exception]
) -> tuple[str, Exception]:
    got: list[str] = []

    def read() -> None:
        for chunk in chunks:
            got.extend(texts([chunk]))

    with pytest.raises(kind) as caught:
        read()
    return "".join(got), caught.value


def test_without_a_script_the_last_user_message_comes_back(
    server: OpenAIServer, connect: Connect
) -> None:
    answer = ask(connect())
    assert answer.choices[0].message.content == "hello"
    assert texts(list(stream(connect()))) == ["hello"]
    parts: Any = [
        {"role": "user", "content": [{"type": "text", "text": "in parts"}]},
        {"role": "assistant", "content": "said before"},
    ]
    answer = connect().chat.completions.create(model="m", messages=parts)
    assert (answer.choices[0].message.content, answer.model) == ("in parts", "m")


def test_a_reply_arrives_whole(server: OpenAIServer, connect: Connect) -> None:
    server.reply("good day", usage=Usage(prompt=3, completion=2, cached=1), finish="length")
    answer = ask(connect())
    assert answer.choices[0].message.content == "good day"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 5)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 1


def test_a_reply_streams_in_as_many_chunks_as_scripted(
    server: OpenAIServer, connect: Connect
) -> None:
    server.reply("good day, wörld", chunks=4)
    chunks = list(stream(connect()))
    assert len(texts(chunks)) == 4
    assert "".join(texts(chunks)) == "good day, wörld"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    with pytest.raises(ValueError, match="2 chunks"):
        server.reply("x", chunks=2)


def test_usage_comes_in_a_last_chunk_without_choices_when_asked_for(
    server: OpenAIServer, connect: Connect
) -> None:
    wanted = {"include_usage": True}
    server.reply("good day", chunks=2, usage=Usage(7, 4, reasoning=1))
    *others, last = stream(connect(), stream_options=wanted)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens_details is not None
    assert last.usage.completion_tokens_details.reasoning_tokens == 1
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (7, 4)
    assert all(chunk.usage is None and chunk.choices for chunk in others)
    server.reply("good day", usage=None)
    assert all(chunk.choices for chunk in stream(connect(), stream_options=wanted))
    server.reply("good day", usage=None)
    assert ask(connect()).usage is None


def test_a_tool_call_streams_in_pieces(server: OpenAIServer, connect: Connect) -> None:
    arguments = {"path": "a.txt", "lines": [1, 2]}
    server.reply_tool_call("read", arguments, id="call_9", chunks=4)
    chunks = list(stream(connect()))
    deltas = [d for c in chunks if c.choices for d in c.choices[0].delta.tool_calls or ()]
    assert [d.index for d in deltas] == [0] * 5
    assert [d.id for d in deltas] == ["call_9", None, None, None, None]
    assert deltas[0].function is not None
    assert (deltas[0].function.name, deltas[0].function.arguments) == ("read", "")
    pieces = [d.function.arguments or "" for d in deltas if d.function]
    assert json.loads("".join(pieces)) == arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_several_tool_calls_and_broken_arguments(server: OpenAIServer, connect: Connect) -> None:
    calls = (ToolCall("read", '{"a": 1}', "call_1"), ToolCall("list", '{"b": ', "call_2"))
    server.reply_tool_calls(*calls, text="let me see")
    answer = ask(connect()).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content == "let me see"
    found = [
        (c.id, c.function.name, c.function.arguments)
        for c in answer.message.tool_calls or ()
        if c.type == "function"
    ]
    assert found == [(c.id, c.name, c.arguments) for c in calls]
    server.reply_tool_calls(*calls)
    got: dict[int, str] = {}
    for chunk in stream(connect()):
        for delta in chunk.choices[0].delta.tool_calls or ():
            assert delta.function is not None
            got[delta.index] = got.get(delta.index, "") + (delta.function.arguments or "")
    assert got == {0: '{"a": 1}', 1: '{"b": '}


def test_reasoning_comes_before_the_text_and_without_content(
    server: OpenAIServer, connect: Connect
) -> None:
    server.reply("42", reasoning="thinking hard", chunks=2)
    deltas = [chunk.choices[0].delta for chunk in stream(connect())]
    thoughts = [d for d in deltas if getattr(d, "reasoning_content", None)]
    assert "".join(getattr(d, "reasoning_content", "") for d in thoughts) == "thinking hard"
    assert all(d.content is None for d in thoughts)
    assert deltas.index(thoughts[-1]) < next(i for i, d in enumerate(deltas) if d.content)
    server.reply("42", reasoning="thinking hard")
    message = ask(connect()).choices[0].message
    assert getattr(message, "reasoning_content", None) == "thinking hard"


REFUSALS: list[tuple[Callable[[OpenAIServer], None], type[openai.APIStatusError], Any]] = [
    (lambda s: s.refuse_key(), openai.AuthenticationError, (401, "invalid_api_key", None)),
    (lambda s: s.refuse_model("m"), openai.NotFoundError, (404, "model_not_found", None)),
    (
        lambda s: s.refuse_context(),
        openai.BadRequestError,
        (400, "context_length_exceeded", "messages"),
    ),
    (
        lambda s: s.refuse_response_format(),
        openai.BadRequestError,
        (400, "unsupported_parameter", "response_format"),
    ),
    (lambda s: s.limit_rate(7), openai.RateLimitError, (429, "rate_limit_exceeded", None)),
    (lambda s: s.fail(403, "no"), openai.PermissionDeniedError, (403, None, None)),
    (lambda s: s.fail(500, "oh", code="x"), openai.InternalServerError, (500, "x", None)),
    (lambda s: s.fail(503, "busy"), openai.InternalServerError, (503, None, None)),
]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("refuse", "kind", "facts"), REFUSALS)
def test_a_refusal_says_its_status_code_and_parameter(
    server: OpenAIServer,
    connect: Connect,
    refuse: Callable[[OpenAIServer], None],
    kind: type[openai.APIStatusError],
    facts: tuple[int, str | None, str | None],
    streaming: bool,
) -> None:
    refuse(server)
    with pytest.raises(kind) as caught:
        (stream if streaming else ask)(connect())
    error = caught.value
    assert (error.status_code, error.code, error.param) == facts
    assert isinstance(error.body, dict)
    assert error.body["message"] in str(error)
    assert error.request_id == "req-1"
    if error.status_code == 429:
        assert error.response.headers["retry-after"] == "7"


def test_after_a_refusal_the_client_tries_again(server: OpenAIServer, connect: Connect) -> None:
    server.limit_rate(0.01)
    server.fail(503, "busy", headers={"retry-after-ms": "1"})
    server.reply("at last")
    assert ask(connect(retries=2)).choices[0].message.content == "at last"
    counts = [r.headers["x-stainless-retry-count"] for r in server.requests]
    assert counts == ["0", "1", "2"]
    assert server.pending == 0


def test_a_server_can_insist_on_one_key() -> None:
    with OpenAIServer(api_key="right") as server:
        server.reply("welcome")
        for key, opens in (("wrong", False), ("right", True)):
            with client_of(server.base_url, key) as client:
                if opens:
                    assert ask(client).choices[0].message.content == "welcome"
                else:
                    with pytest.raises(openai.AuthenticationError):
                        ask(client)
                    assert server.pending == 1


@pytest.mark.parametrize("reset", [False, True])
def test_a_stream_breaks_after_the_scripted_pieces(
    server: OpenAIServer, connect: Connect, reset: bool
) -> None:
    server.disconnect("partial text", after=2, reset=reset)
    got, error = read_until_broken(stream(connect()), openai.APIConnectionError)
    assert not isinstance(error, openai.APITimeoutError)
    assert isinstance(error.__cause__, httpx2.ReadError | httpx2.RemoteProtocolError)
    if not reset:
        assert got == "partial text"
    server.disconnect("partial text", after=2, reset=reset)
    with pytest.raises(openai.APIConnectionError):
        ask(connect())
    server.reply("still here")
    assert ask(connect()).choices[0].message.content == "still here"


def test_a_broken_stream_is_not_tried_again(server: OpenAIServer, connect: Connect) -> None:
    server.disconnect("partial text", after=3)
    got, _ = read_until_broken(stream(connect(retries=2)), openai.APIConnectionError)
    assert got == "partial text"
    assert len(server.requests) == 1


def test_a_connection_may_close_without_a_response(server: OpenAIServer, connect: Connect) -> None:
    server.hang_up()
    with pytest.raises(openai.APIConnectionError):
        stream(connect())
    server.hang_up()
    server.reply("second try")
    assert ask(connect(retries=1)).choices[0].message.content == "second try"


def test_nobody_listens_after_the_server_has_closed() -> None:
    with OpenAIServer() as server:
        url = server.base_url
    client = client_of(url)
    with client, pytest.raises(openai.APIConnectionError) as caught:
        ask(client)
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


def test_a_stream_may_end_without_done(server: OpenAIServer, connect: Connect) -> None:
    server.reply("cut short", chunks=3, finish=None, done=False)
    chunks = list(stream(connect()))
    assert "".join(texts(chunks)) == "cut short"
    assert all(c.choices[0].finish_reason is None for c in chunks)
    server.reply("x", done=False)
    with httpx2.Client(trust_env=False) as http:
        raw = http.post(f"{server.base_url}/chat/completions", json={"stream": True}).text
    assert "finish_reason" in raw
    assert "[DONE]" not in raw


def test_unreadable_pieces(server: OpenAIServer, connect: Connect) -> None:
    server.malformed("so far", after=2)
    got, _ = read_until_broken(stream(connect()), json.JSONDecodeError)
    assert got == "so far"
    server.malformed()
    with pytest.raises(json.JSONDecodeError):
        ask(connect())


def test_an_error_object_inside_a_stream(server: OpenAIServer, connect: Connect) -> None:
    server.fail_midway("overloaded", "so far", after=2, code="overloaded")
    got, error = read_until_broken(stream(connect()), openai.APIError)
    assert got == "so far"
    assert isinstance(error, openai.APIError)
    assert not isinstance(error, openai.APIStatusError | openai.APIConnectionError)
    assert (error.message, error.code, error.type) == ("overloaded", "overloaded", "server_error")


def test_a_page_in_place_of_an_answer(server: OpenAIServer, connect: Connect) -> None:
    server.page()
    answer: object = connect().chat.completions.create(model="m", messages=HELLO)
    assert answer == "<html><body>Sign in</body></html>"
    server.page()
    chunks = stream(connect())
    assert chunks.response.headers["content-type"].startswith("text/html")
    assert list(chunks) == []
    server.page("<html>bad gateway</html>", status=502)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(connect())
    assert (caught.value.code, caught.value.body) == (None, "<html>bad gateway</html>")


def test_empty_answers(server: OpenAIServer, connect: Connect) -> None:
    server.reply("")
    assert ask(connect()).choices[0].message.content == ""
    server.reply("")
    chunks = list(stream(connect()))
    assert texts(chunks) == []
    assert chunks[-1].choices[0].finish_reason == "stop"
    server.silence()
    assert ask(connect()).choices == []
    server.silence()
    assert list(stream(connect())) == []


def test_the_first_byte_waits_for_the_test(server: OpenAIServer, connect: Connect) -> None:
    gate = threading.Event()
    server.reply("released", before=gate)
    client = connect()
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(ask(client).choices[0].message.content))
    thread.start()
    server.wait_for_requests(1)
    assert got == []
    gate.set()
    thread.join(5)
    assert got == ["released"]


def test_a_stream_stays_open_until_released(server: OpenAIServer, connect: Connect) -> None:
    first, second = threading.Event(), threading.Event()
    server.reply("abc", chunks=3, between=(first, second))
    chunks = iter(stream(connect()))
    assert texts([next(chunks), next(chunks)]) == ["a"]
    first.set()
    assert texts([next(chunks)]) == ["b"]
    second.set()
    assert texts(list(chunks)) == ["c"]


def test_pauses_may_be_seconds(server: OpenAIServer, connect: Connect) -> None:
    server.reply("abc", chunks=3, before=0.05, between=0.05)
    start = time.monotonic()
    assert len(texts(list(stream(connect())))) == 3
    assert time.monotonic() - start >= 0.15


def test_a_slow_answer_times_out(server: OpenAIServer, connect: Connect) -> None:
    never = threading.Event()
    server.reply("late", before=never)
    with pytest.raises(openai.APITimeoutError):
        ask(connect(timeout=0.2))
    server.reply("late", chunks=2, between=never)
    got, _ = read_until_broken(stream(connect(timeout=0.2)), openai.APITimeoutError)
    assert got == "la"
    server.wait_for_departures(2)


def test_the_server_notices_a_client_that_leaves(server: OpenAIServer, connect: Connect) -> None:
    server.reply("abc", chunks=3, between=threading.Event())
    with stream(connect()) as chunks:
        assert texts([next(chunks), next(chunks)]) == ["a"]
        assert server.departures == 0
    server.wait_for_departures(1)


def test_closing_the_server_ends_a_held_stream() -> None:
    with OpenAIServer() as server:
        server.reply("abc", chunks=3, between=threading.Event())
        client = client_of(server.base_url)
        chunks = stream(client)
        next(chunks)
    read_until_broken(chunks, openai.APIConnectionError)
    client.close()


@pytest.mark.timeout(10)
def test_closing_the_server_does_not_wait_for_an_idle_client() -> None:
    with OpenAIServer() as server:
        client = client_of(server.base_url)
        ask(client)
    client.close()


def test_models_are_listed(server: OpenAIServer, connect: Connect) -> None:
    server.models = ("small", "large")
    assert [model.id for model in connect().models.list()] == ["small", "large"]
    server.models = None
    with pytest.raises(openai.NotFoundError):
        connect().models.list()
    assert [(r.method, r.path) for r in server.requests] == [("GET", "/v1/models")] * 2


def test_requests_are_recorded_in_order(server: OpenAIServer, connect: Connect) -> None:
    server.script(Reply("one"), Reply("two"))
    assert ask(connect(), temperature=0.5).choices[0].message.content == "one"
    assert ask(connect(key="other")).choices[0].message.content == "two"
    first, second = server.wait_for_requests(2)
    assert (first.method, first.path) == ("POST", "/v1/chat/completions")
    assert first.body == {"model": "test-model", "messages": HELLO, "temperature": 0.5}
    assert first.headers["authorization"] == "Bearer secret"
    assert second.headers["authorization"] == "Bearer other"
    with pytest.raises(TimeoutError, match="saw 2 request"):
        server.wait_for_requests(3, timeout=0.01)


def test_requests_are_answered_side_by_side(server: OpenAIServer, connect: Connect) -> None:
    gate = threading.Event()
    server.reply("slow", before=gate)
    client = connect()
    threads = [threading.Thread(target=ask, args=(client,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    server.wait_for_requests(3)
    gate.set()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)

"""One call to a model: streaming, retries, and every failure as one clear line.

The openai package is imported when the first call is made (0.4 s). It reads headers, keys and
proxies from the environment by itself; all of that is switched off here, so that nothing but what
the user configured for this provider is sent to it.
"""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

from vault_sessions.assistant.stop import Line, current
from vault_sessions.errors import ContextTooLong, ProviderError, ProviderUnusable
from vault_sessions.formats.display import shown_url
from vault_sessions.model import LOCAL, Provider

T = TypeVar("T")

TRIES = 4
LONGEST_WAIT = 30.0
_PLACEHOLDER = "none"  # the client wants a key even for a server on this machine
_RETRIED = (408, 409, 429)
_NOTHING: Mapping[str, Any] = {}
_ENVIRONMENT = threading.Lock()
"""Held while variables are hidden: two threads may each make a client."""
_AGAIN = "Try again, or choose another provider (/model, or -p); what you said is kept."


class Reply(NamedTuple):
    """A whole answer. ``usage`` as the server reported it, None where it didn't."""

    text: str
    model: str
    usage: dict[str, int] | None
    tool_calls: tuple[dict[str, Any], ...] = ()


class Call(NamedTuple):
    """What is needed to reach a model: the provider, its key, and which model."""

    provider: Provider
    key: str
    model: str


def check(provider: Provider, environment: Mapping[str, str]) -> None:
    """Could it be called, as far as can be told without calling it or running a command? Raises
    ProviderUnusable, saying what to set."""
    if not provider.base_url:
        raise ProviderUnusable(
            f"The provider {provider.name!r} has no base_url. Set it in your settings: "
            f"ai.providers.{provider.name}.base_url (see: vault-sessions config path)."
        )
    if not provider.api_key_command:
        _key(provider, environment)


def prepare(provider: Provider, model: str | None, environment: Mapping[str, str]) -> Call:
    """Find the key and the model. Raises ProviderUnusable, saying what to set."""
    check(provider, environment)
    key = _key(provider, environment)
    chosen = model or provider.model
    if chosen is None:
        names = models(Call(provider, key, ""))
        if not names:
            raise ProviderUnusable(
                f"{provider.name} has no model loaded. Load one there, or name another one "
                "(/model, or --model)."
            )
        chosen = names[0]
    return Call(provider, key, chosen)


def usable(provider: Provider, environment: Mapping[str, str]) -> bool:
    """Could it be called, as far as can be told without calling it?"""
    if not provider.base_url:
        return False
    if provider.api_key_command or not provider.api_key_env:
        return True
    return bool(environment.get(provider.api_key_env))


def _key(provider: Provider, environment: Mapping[str, str]) -> str:
    if provider.api_key_env and (key := environment.get(provider.api_key_env, "").strip()):
        return _sendable(key, provider.api_key_env)
    if provider.api_key_command:
        return _sendable(_key_from_command(provider), "what api_key_command prints")
    if provider.api_key_env:
        raise ProviderUnusable(
            f"No key for {provider.name}: set {provider.api_key_env} in the environment "
            f"(or ai.providers.{provider.name}.api_key_command in your settings)."
        )
    return _PLACEHOLDER


def _sendable(key: str, source: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise ProviderUnusable(f"The key from {source} has characters that no key has.")
    return key


def _key_from_command(provider: Provider) -> str:
    try:
        done = _waited(
            lambda line: subprocess.run(
                shlex.split(provider.api_key_command or ""),
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ProviderUnusable(
            f"The api_key_command of {provider.name} failed ({type(error).__name__})."
        ) from None
    if not (key := done.stdout.strip()):
        raise ProviderUnusable(f"The api_key_command of {provider.name} printed nothing.")
    return key


def listed(provider: Provider, environment: Mapping[str, str]) -> list[str]:
    """The models that a provider's server names. Raises ProviderError."""
    return models(Call(provider, _key(provider, environment), ""))


def models(call: Call) -> list[str]:
    """The names of the server's models. Raises ProviderError."""
    import openai

    def ask(line: Line | None) -> list[str]:
        with _client(call, line=line) as client:
            return [str(model.id) for model in client.models.list().data or ()]

    try:
        return _waited(ask)
    except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
        _explain(error, call)


def _waited(work: Callable[[Line | None], T]) -> T:
    """What ``work`` gives; it can be stopped where somebody may stop it."""
    stop = current()
    if stop is None:
        return work(None)
    return stop.run(lambda tell, line: work(line), lambda piece: None)


def stream(
    call: Call,
    messages: Iterable[dict[str, Any]],
    on_text: Callable[[str], None],
    on_wait: Callable[[float, str], None] = lambda seconds, why: None,
    *,
    extra: Mapping[str, Any] = _NOTHING,
    deadline: float | None = None,
) -> Reply:
    """Ask for an answer; ``on_text`` gets its pieces as they arrive.

    A call that fails before its first piece is tried again with back-off (429, 5xx, a lost
    connection): ``on_wait(seconds, why)`` hears of it. Ctrl-C, or a Stop that is set, closes the
    connection and goes through. ``extra`` goes into the request as it is (tools, response_format,
    …); ``deadline``, on the clock of ``time.monotonic``: no try, no wait and no answer lasts
    longer. Raises ProviderError.
    """
    import openai

    body = list(messages)
    stop = current()
    failures = 0
    while True:
        pieces: list[str] = []

        def receive(piece: str, pieces: list[str] = pieces) -> None:
            pieces.append(piece)
            try:
                on_text(piece)
            except Exception as error:
                raise _NotHeard(error) from error

        def once(hear: Callable[[str], None], line: Line | None) -> Reply:
            with _client(call, deadline, line) as client:
                return _stream_once(client, call, body, hear, extra, deadline)

        try:
            return once(receive, None) if stop is None else stop.run(once, receive)
        except _NotHeard as failed:
            raise failed.error from None
        except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
            failures += 1
            wait = None if pieces or failures == TRIES else _wait_before(error, failures)
            left = _left(deadline)
            if isinstance(error, _Late | openai.APITimeoutError) and left == 0:
                _explain(_Late("it did not finish in the time that it was given"), call)
            if wait is None or (left is not None and wait >= left):
                _explain(error, call, begun=bool(pieces))
            on_wait(wait, _short(error))
            time.sleep(wait) if stop is None else stop.pause(wait)


def refuses(error: ProviderError, *names: str) -> bool:
    """May the server have refused the request for something that it has in it, by one of these
    names, rather than for all else? It is worth another try without."""
    cause = error.__cause__
    if isinstance(error, ContextTooLong) or cause is None:
        return False
    status = getattr(cause, "status_code", None)
    said = str(error).casefold()
    return status in (400, 404, 422) or any(name.casefold() in said for name in names)


def _left(deadline: float | None) -> float | None:
    """Seconds until then, 0 when it is over; None: no end is set."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _stream_once(
    client: Any,
    call: Call,
    body: list[dict[str, Any]],
    on_text: Callable[[str], None],
    extra: Mapping[str, Any],
    deadline: float | None,
) -> Reply:
    usage: dict[str, int] | None = None
    model = call.model
    half = ""
    reason = None
    pieces: list[str] = []
    calls: list[tuple[int, dict[str, Any]]] = []
    left = _left(deadline)
    if left == 0:
        raise _Late("it did not finish in the time that it was given")
    with client.chat.completions.create(
        model=call.model,
        messages=body,
        stream=True,
        stream_options={"include_usage": True},
        timeout=_timeout(call.provider, left),
        **extra,
    ) as chunks:
        kind = chunks.response.headers.get("content-type", "")
        for chunk in chunks:
            model = chunk.model or model
            usage = _usage(chunk.usage) or usage
            for choice in (chunk.choices or ())[:1]:
                reason = choice.finish_reason or reason
                if choice.delta is None:
                    continue
                if isinstance(piece := choice.delta.content, str) and piece:
                    # half a character: the other half comes with the next piece
                    piece = half + piece
                    half = piece[-1] if "\ud800" <= piece[-1] <= "\udbff" else ""
                    if piece := _whole(piece.removesuffix(half)):
                        pieces.append(piece)
                        on_text(piece)
                _gather(calls, choice.delta.tool_calls or ())
    if reason is None:
        if "event-stream" not in kind:
            raise _Useless(f"its answer is {kind or 'of no known kind'}, not a stream")
        raise _Broken("the answer broke off")
    if not pieces and not calls:
        raise _Useless(f"its answer is empty ({reason})")
    calls.sort(key=lambda numbered: numbered[0])
    return Reply("".join(pieces), model, usage, tuple(call for _, call in calls))


class _NotHeard(Exception):
    """The listener failed: neither the server's fault nor ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Late(ValueError):
    """The time for the whole call is over, whatever arrives."""


class _Broken(ValueError):
    """The stream ended without its end."""


class _Useless(ValueError):
    """No stream at all, or one that ended well with nothing in it; another try gives the same."""


def _whole(text: str) -> str:
    """Text without surrogates: some servers send one character as two escapes, in two pieces."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _gather(calls: list[tuple[int, dict[str, Any]]], deltas: Iterable[Any]) -> None:
    """Put the pieces of streamed tool calls together, by their index. Some servers number all the
    calls of a reply 0: another id begins another call."""
    for delta in deltas:
        index = delta.index if delta.index is not None else (calls[-1][0] if calls else 0)
        whole = next((call for number, call in reversed(calls) if number == index), None)
        if whole is None or (delta.id and whole["id"] not in ("", delta.id)):
            whole = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            calls.append((index, whole))
        whole["id"] = delta.id or whole["id"]
        if delta.function is not None:
            whole["function"]["name"] += delta.function.name or ""
            whole["function"]["arguments"] += delta.function.arguments or ""


def _usage(usage: Any) -> dict[str, int] | None:
    if usage is None:
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    values = {name: getattr(usage, name, None) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, int)} or None


def _timeout(provider: Provider, left: float | None) -> Any:
    """How long the server may be silent."""
    import httpx2

    seconds = provider.timeout_seconds if left is None else min(provider.timeout_seconds, left)
    return httpx2.Timeout(seconds, connect=min(10.0, seconds))


def _limited(deadline: float) -> Callable[[Any], None]:
    """Ends a response that goes on for too long; signs of life without text count as well."""
    import httpx2

    class Limited(httpx2.SyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            for data in self._stream:
                if _left(deadline) == 0:
                    raise _Late("it did not finish in the time that it was given")
                yield data

        def close(self) -> None:
            self._stream.close()

    def limit(response: Any) -> None:
        response.stream = Limited(response.stream)

    return limit


def _client(call: Call, deadline: float | None = None, line: Line | None = None) -> Any:
    """A client that sends what is configured and nothing from the environment. Its connections
    belong to ``line``."""
    import httpx2
    import openai

    def belong(request: Any) -> None:
        if line is not None:
            request.extensions["trace"] = line.trace

    provider = call.provider
    with _ENVIRONMENT:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if _is_openai(name)}
        try:
            address = urlsplit(provider.base_url or "")
            is_here = address.hostname in ("127.0.0.1", "localhost", "::1")
            http = httpx2.Client(
                # a proxy is for servers elsewhere: one on this machine is reached directly
                trust_env=not is_here,
                # where nothing is encrypted, reading all certificates (20 ms) is of no use
                verify=not (is_here and address.scheme == "http"),
                follow_redirects=False,
                timeout=_timeout(provider, None),
                event_hooks={
                    "request": [belong],
                    "response": [] if deadline is None else [_limited(deadline)],
                },
            )
            return openai.OpenAI(
                api_key=call.key,
                base_url=provider.base_url,
                max_retries=0,
                default_headers=dict(provider.extra_headers),
                http_client=http,
            )
        except (OSError, ValueError, httpx2.InvalidURL, openai.OpenAIError) as error:
            said = _without_secrets(str(error), provider)
            raise ProviderUnusable(f"{provider.name} can't be called: {said}") from error
        finally:
            os.environ.update(hidden)


def _without_secrets(text: str, provider: Provider) -> str:
    """The text with the provider's address as it may be shown."""
    url = provider.base_url
    return text.replace(url, shown_url(url)) if url else text


def _is_openai(name: str) -> bool:
    return name.startswith("OPENAI_")


# --- failures ------------------------------------------------------------------------------------


def _wait_before(error: Exception, failures: int) -> float | None:
    """Seconds to wait before the next try; None: trying again would not help."""
    import openai

    if isinstance(error, openai.APIStatusError):
        if error.status_code not in _RETRIED and error.status_code < 500:
            return None
        if error.code == "insufficient_quota":
            return None
        try:
            asked = float(error.response.headers.get("retry-after", ""))
        except ValueError:
            asked = 0.0
        if asked > LONGEST_WAIT:
            return None
        if asked > 0:
            return asked
    elif not isinstance(error, openai.APIConnectionError | _Broken) or isinstance(
        error, openai.APITimeoutError
    ):
        return None
    return min(8.0, 0.5 * 2.0 ** (failures - 1)) * random.uniform(0.75, 1.0)


def _short(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return f"status {status}" if status else "connection lost"


def _explain(error: Exception, call: Call, *, begun: bool = False) -> NoReturn:
    """Raise the one or two lines that tell the user what is wrong and what to do.

    ``begun``: a part of the answer has arrived, so a shorter prompt is not tried.
    """
    import openai

    name, where = call.provider.name, shown_url(call.provider.base_url or "")
    said = _without_secrets(_said(error), call.provider)
    said = said.replace(call.key, "…") if call.key != _PLACEHOLDER else said
    if _is_too_long(error, said):
        kind = ProviderError if begun else ContextTooLong
        raise kind(
            f"The conversation is too long for {call.model}: {said}\n"
            f"Begin a new one (/new, or --new), or lower ai.max_history_messages."
        ) from error
    if isinstance(error, openai.APITimeoutError):
        what = f"{name} did not answer within {call.provider.timeout_seconds:g} s ({where})."
        do = f"Try again, or raise ai.providers.{name}.timeout_seconds in your settings."
    elif isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        reason = _without_secrets(str(cause or ""), call.provider) or "connection lost"
        what = f"Can't reach {name} at {where}: {reason}."
        do = "Is it running?" if name in LOCAL else "Check its base_url and your network."
        do = _AGAIN if begun else do
    elif isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        what = f"{name} refused {_which_key(call)} ({error.status_code}): {said}"
        do = "Check the key, or choose another provider (/model, or -p)."
    elif isinstance(error, openai.NotFoundError):
        what = f"{name} has no model {call.model!r} (or {where} is not its address): {said}"
        do = "Choose another one (/model, or --model)."
    elif isinstance(error, openai.RateLimitError):
        what = f"{name} is busy or out of quota (429): {said}"
        do = "Try again later, or choose another provider (/model, or -p)."
    elif isinstance(error, openai.APIStatusError):
        what = f"{name} answered with status {error.status_code}: {said}"
        do = _AGAIN
    elif isinstance(error, _Late):
        what = f"{name} at {where}: {error}."
        do = f"Try again, or raise ai.providers.{name}.timeout_seconds in your settings."
    elif isinstance(error, _Broken | _Useless):
        what, do = f"{name} at {where}: {error}.", _AGAIN
    elif isinstance(error, openai.APIError):
        what, do = f"{name} broke the answer off: {said}", _AGAIN
    else:
        what = f"{name} at {where} sent what can't be read ({type(error).__name__})."
        do = "Is it an OpenAI-compatible server?"
    raise ProviderError(f"{what}\n{do}") from error


def _which_key(call: Call) -> str:
    if call.key == _PLACEHOLDER:
        return (
            f"to answer without a key (none is set: ai.providers.{call.provider.name}.api_key_env)"
        )
    return "the key"


def _is_too_long(error: Any, said: str) -> bool:
    low = said.casefold()
    return getattr(error, "code", None) == "context_length_exceeded" or (
        "context" in low and any(word in low for word in ("length", "too long", "exceed", "window"))
    )


def _said(error: Exception) -> str:
    """What the server said of it, on one line of at most 300 characters."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and body.get("message"):
        text = str(body["message"])
    elif isinstance(body, str) and body.strip():
        text = body
    else:
        text = str(getattr(error, "message", error))
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:299] + "…"

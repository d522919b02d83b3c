"""Is a model server running on this machine? Asked only when no provider was ever chosen."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import orjson

from vault_sessions.model import Provider

PATIENCE = 0.25
"""Seconds that the look may take; a server on this machine answers in a few milliseconds."""


def running(providers: Iterable[Provider]) -> list[str]:
    """The names of those whose server answers on this machine like an OpenAI-compatible one."""
    local = [p for p in providers if _port(p) is not None]
    with ThreadPoolExecutor(max_workers=max(1, len(local))) as pool:
        answers = list(pool.map(_answers, local))
    return [provider.name for provider, answer in zip(local, answers, strict=True) if answer]


def _port(provider: Provider) -> int | None:
    try:
        parts = urlsplit(provider.base_url or "")
        loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
        return parts.port if loopback else None
    except ValueError:
        return None


def _answers(provider: Provider) -> bool:
    """GET /models by hand: an HTTP library costs more to import than the whole look may take."""
    parts = urlsplit(provider.base_url or "")
    path = f"{parts.path.rstrip('/')}/models"
    request = f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    end = time.monotonic() + PATIENCE
    answer = b""
    try:
        with socket.create_connection((parts.hostname, _port(provider)), PATIENCE) as connection:
            connection.settimeout(max(0.01, end - time.monotonic()))
            connection.sendall(request.encode("ascii"))
            with suppress(TimeoutError):  # what keeps the connection open may have answered
                while (left := end - time.monotonic()) > 0:
                    connection.settimeout(left)
                    if not (piece := connection.recv(65536)):
                        break
                    answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return head.split(b"\r\n")[0].split()[1:2] == [b"200"] and "data" in orjson.loads(body)
    except (OSError, ValueError, TypeError):
        return False

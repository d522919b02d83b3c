"""The terminal UI as somebody before it waits for it: a real process on a real pty.

Part of bench.py. The model's server is a process of its own, which streams Markdown for minutes.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path

COLUMNS, ROWS = 120, 40
PATIENCE = 60.0
PIECES, PAUSE = 20_000, 0.004
"""So many pieces of an answer, and seconds between two: some 250 a second come."""
TEXT = """## What to pack

Take **light** things, and `one` of each: the *list* is long enough without a second pair.

1. A coat that keeps the rain out
2. Shoes that were worn before

```python
def weight(things: list[Thing]) -> float:
    return sum(thing.grams for thing in things) / 1000
```

| what | grams |
|---|---:|
| coat | 480 |

"""


class Screen:
    """``chat`` on a terminal of its own."""

    def __init__(self, command: list[str], **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", **variables}
        self._chat = subprocess.Popen(
            command,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, text: str, pause: float = PATIENCE) -> None:
        """Read what is drawn until this is, for so many seconds at most."""
        end, seen = time.perf_counter() + pause, b""
        while text.encode() not in seen and time.perf_counter() < end:
            seen = seen[-1000:] + self._read(end - time.perf_counter())

    def draws(self) -> None:
        """Read what is drawn next."""
        self._read(5.0)

    def rest(self, seconds: float) -> None:
        """Read for so long, whatever is drawn."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._read(left)

    def _read(self, pause: float) -> bytes:
        with suppress(OSError):  # Linux says so when the other end is closed
            if select.select([self._ours], [], [], max(0.0, pause))[0]:
                return os.read(self._ours, 65536)
        return b""

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        """Leave."""
        self.press("\x11")
        end = time.perf_counter() + PATIENCE
        while self._chat.poll() is None and time.perf_counter() < end:
            self._read(0.05)
        self._chat.kill()
        self._chat.wait()
        os.close(self._ours)


@contextmanager
def chatting(command: list[str], **variables: str) -> Iterator[Screen]:
    """A chat, from its start until it has left."""
    screen = Screen(command, **variables)
    try:
        yield screen
    finally:
        screen.close()


def _since(began: float) -> float:
    return time.perf_counter() - began


def first_paint(command: list[str]) -> float:
    """Seconds from the start until the screen is seen, with the input that takes keys."""
    began = time.perf_counter()
    with chatting([*command, "--new"]) as screen:
        screen.until("ay something")  # the cursor stands on the first letter
        return _since(began)


def picker(command: list[str], keys: int) -> tuple[float, list[float]]:
    """Seconds until the list of all sessions is seen, and from each key until it has moved."""
    with chatting([*command, "--new"]) as screen:
        screen.until("ay something")
        screen.rest(1.5)
        began = time.perf_counter()
        screen.press("\x0c")
        screen.until("Sessions · ")
        opened, moves = _since(began), []
        screen.rest(1.5)
        for _ in range(keys):
            began = time.perf_counter()
            screen.press("j")
            screen.draws()
            moves.append(_since(began))
            screen.rest(0.03)
        return opened, moves


def typing(command: list[str], work: Path, keys: int) -> tuple[list[float], float]:
    """Seconds from a key until its letter is seen while an answer streams, and from Esc until the
    answer has ended."""
    with serving() as address:
        settings = work / "streaming"
        settings.mkdir()
        provider = {"base_url": address, "model": "bench"}
        ai = {"default_provider": "local", "providers": {"local": provider}}
        (settings / "config.yaml").write_text(json.dumps({"ai": ai}))
        with chatting([*command, "--new"], VAULT_SESSIONS_CONFIG=str(settings)) as screen:
            screen.until("ay something")
            screen.press("go on\r")
            screen.until("answering")
            screen.rest(3.0)
            waits = []
            for number in range(keys):
                letter = chr(0x0410 + number % 64)
                began = time.perf_counter()
                screen.press(letter)
                screen.until(letter, 5.0)
                waits.append(_since(began))
                screen.rest(0.08)
            began = time.perf_counter()
            screen.press("\x1b")
            screen.until("(stopped", 10.0)
            stopped = _since(began)
            screen.press("\x03")
            return waits, stopped


# --- the server ----------------------------------------------------------------------------------


@contextmanager
def serving() -> Iterator[str]:
    """A server that answers anything with a long stream; its address."""
    command = [sys.executable, __file__]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        words = cycle(TEXT.replace(" ", " \0").split("\0"))
        with suppress(OSError):  # nobody listens any more
            for _ in range(PIECES):
                choice = {"index": 0, "delta": {"content": next(words)}}
                piece = {"id": "b", "object": "chat.completion.chunk", "choices": [choice]}
                self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                self.wfile.flush()
                time.sleep(PAUSE)
            self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told of requests."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as httpd:
        print(f"http://127.0.0.1:{httpd.server_address[1]}/v1", flush=True)
        httpd.serve_forever()

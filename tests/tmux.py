"""A real terminal for a real process: a shell in tmux, typed into and read like a person does.

with terminal(home) as at:
    at.run("chat", "-s", "vpc-design")
    at.shows("vpc-design")
    at.press("C-q")
    at.shows("Come back")
    assert at.is_clean()
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from home import Home

PATIENCE = 30.0
"""Seconds after which what has not come is taken not to come; a slow machine is no failure."""
PROMPT = "ready>"
"""What the shell says when it waits for a command."""

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A shell in a terminal, in the folder of a vault."""

    def __init__(self, home: Home, socket: Path, size: tuple[int, int], **variables: str) -> None:
        self.home = home
        self._socket = socket
        greeting = socket.with_name("profile")
        greeting.write_text(f"PS1='{PROMPT} '\n")
        environment = {**home.environment, "TERM": "xterm-256color", "ENV": str(greeting)}
        columns, rows = map(str, size)
        shape = ("-x", columns, "-y", rows)
        self._tmux(
            *("-f", "/dev/null", "new-session", "-d", *shape, "-c", str(home.vault), "sh"),
            environment={**environment, **variables},
        )
        self.shows(PROMPT)

    def _tmux(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            env=environment or self.home.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str) -> None:
        """Start the program; its exit code is shown behind it."""
        self.type(f"clear; {shlex.join(self.home.command(*arguments))}; echo code=$?")
        self.press("Enter")

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self._tmux("send-keys", *keys)

    def say(self, text: str) -> None:
        """Type a text, and Enter."""
        self.type(text)
        self.press("Enter")

    @property
    def screen(self) -> str:
        """What is seen."""
        return self._tmux("capture-pane", "-p")

    @property
    def history(self) -> str:
        """What is seen, and what was scrolled away, lines put together that were too long."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def shows(self, *texts: str) -> None:
        """Wait until these are seen."""
        self.until(lambda: all(text in self.screen for text in texts), f"{texts} to come")

    def hides(self, *texts: str) -> None:
        """Wait until none of these is seen."""
        self.until(lambda: not any(text in self.screen for text in texts), f"{texts} to go")

    def until(self, is_so: Callable[[], bool], what: str = "it") -> None:
        """Wait until it is so."""
        end = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < end, f"waited for {what}; the screen:\n{self.screen}"
            time.sleep(0.02)  # tmux tells nobody of a change

    def is_clean(self) -> bool:
        """Is the terminal as the shell had it: no other screen, no mouse, the cursor seen?"""
        flags = "#{alternate_on} #{mouse_any_flag} #{cursor_flag} #{keypad_cursor_flag}"
        return self._tmux("display-message", "-p", flags).split() == ["0", "0", "1", "0"]

    def resize(self, columns: int, rows: int) -> None:
        """Make the window larger or smaller."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def program(self) -> int:
        """The process that runs in front."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        found = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(found[-1])

    def close(self) -> None:
        """Close the window, as a person does who is done with it."""
        self._tmux("kill-server")


@contextmanager
def terminal(home: Home, size: tuple[int, int] = (80, 24), **variables: str) -> Iterator[Terminal]:
    """A terminal, closed at the end."""
    with TemporaryDirectory(prefix="t") as folder:  # a socket's path must be short
        at = Terminal(home, Path(folder) / "s", size, **variables)
        try:
            yield at
        finally:
            at.close()

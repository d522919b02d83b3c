"""Editors that hold an old text of a file and save it, and a chat that goes on meanwhile.

An editor here opens a file, may delete a line of its text, and saves when it is told, whatever has
become of the file since: ``open``, ``save``. Some are real programs, driven by keys in a terminal
of their own; some do in Python what whole families of editors do. ``Chat`` is the program itself,
in a process of its own, with a conversation open.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from home import Home, make_home
from openai_server import OpenAIServer

PATIENCE = 30.0
"""Seconds after which something that should happen is taken not to."""


@contextmanager
def home_of_an_editor() -> Iterator[Home]:
    """A vault below the user's home: under /tmp vim and emacs have other habits."""
    folder = Path(tempfile.mkdtemp(prefix=".vault-sessions-test-", dir=Path.home()))
    try:
        yield make_home(folder)
    finally:
        shutil.rmtree(folder)


# --- the chat ------------------------------------------------------------------------------------


class Said(NamedTuple):
    """One message as the program acknowledged it."""

    role: str
    text: str


class Chat:
    """A process with an open conversation, that takes as many turns as it is told to.

    ``said`` holds what it has acknowledged, in order; ``notices`` what it told its owner. ``day``
    is in every question, so that no two chats say the same.
    """

    def __init__(self, home: Home, server: OpenAIServer, name: str, day: str = "today") -> None:
        self.home = home
        self.said: list[Said] = []
        self.notices: list[str] = []
        self.session = ""
        self.turns = 0
        self._asked = 0
        self._changed = threading.Condition()
        self._ended = False
        use_server(home, server)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(home.vault), name, day],
            env=home.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Chat:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            heard = json.loads(line)
            with self._changed:
                self.session = heard["session"]
                self.said += [Said(*pair) for pair in heard["said"]]
                self.notices += heard["notices"]
                self.turns += 1
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def begin(self, count: int) -> None:
        """Take so many turns from now on, one behind the other; does not wait."""
        assert self._process.stdin is not None
        self._asked += count
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()

    def reach(self, turns: int) -> None:
        """Wait until so many turns have been taken in all."""
        with self._changed:
            there = self._changed.wait_for(lambda: self.turns >= turns or self._ended, PATIENCE)
        if not there or self.turns < turns:
            self._process.kill()
            assert self._process.stderr is not None
            raise AssertionError(f"{self.turns} of {turns} turns: {self._process.stderr.read()}")

    def take(self, count: int) -> None:
        """Take so many turns, and wait for them."""
        self.begin(count)
        self.reach(self._asked)

    @property
    def path(self) -> Path:
        """The transcript of the conversation."""
        return self.home.sessions / f"{self.session}.jsonl"

    def close(self) -> None:
        """Leave the conversation when the turns are taken that were asked for."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


def use_server(home: Home, server: OpenAIServer) -> None:
    """Let the provider that answers by itself be a server on this machine."""
    provider = {"base_url": server.base_url, "model": "test-model"}
    ai = {"default_provider": "local", "providers": {"local": provider}}
    folder = home.folder / "config"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_bytes(orjson.dumps({"ai": ai}))  # JSON is YAML


def _converse(root: str, name: str, day: str) -> None:
    """What the process of a ``Chat`` does: numbers come in, what was said goes out."""
    from vault_sessions import Workspace

    taken = 0
    with Workspace.open(root, directory=root) as workspace:
        decision, _ = workspace.chat.decide_named(name)
        conversation = workspace.chat.begin(decision)
        for line in sys.stdin:
            for _ in range(int(line)):
                taken += 1
                text = f"Question {taken} of {day}."
                turn = workspace.chat.take_turn(text)
                if turn.error is not None:
                    raise turn.error
                heard = {
                    "session": turn.session_id,
                    "said": [("user", text), ("assistant", turn.text)],
                    "notices": conversation.notices[:],
                }
                conversation.notices.clear()
                print(json.dumps(heard), flush=True)


# --- a program in a terminal ---------------------------------------------------------------------


class Terminal:
    """A program on a terminal of its own; keys go in, what it shows is waited for."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self._ours, terminal = pty.openpty()
        # wide enough for every message to stand on one line
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 400, 0, 0))
        self._process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**environment, "TERM": "xterm"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self._shown = b""

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._ours, keys.encode())

    def wait_for(self, pattern: str) -> str:
        """What was shown up to the first match of a pattern, which is returned."""
        wanted = re.compile(pattern.encode())
        end = time.monotonic() + PATIENCE
        while (match := wanted.search(self._shown)) is None:
            if not select.select([self._ours], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{pattern!r} is not in {self._shown!r}")
            try:
                self._shown += os.read(self._ours, 65536)
            except OSError as error:  # Linux says EIO when the program has ended
                raise AssertionError(f"it ended: {self._shown!r}") from error
        self._shown = self._shown[match.end() :]
        return match[0].decode("utf-8", "replace")

    def close(self) -> None:
        """Wait until the program has ended by itself."""
        with suppress(OSError):
            while select.select([self._ours], [], [], PATIENCE)[0] and os.read(self._ours, 65536):
                pass
        try:
            self._process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            os.close(self._ours)


# --- the editors ---------------------------------------------------------------------------------


class Editor:
    """Opens a file, deletes the line of a number (from 1) in its text, saves when told to."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def open(self, path: Path, delete: int | None = None) -> None:
        """Read the file; when this returns, the editor has its text."""
        raise NotImplementedError

    def save(self) -> None:
        """Save over whatever is there, and leave; when this returns, it is done."""
        raise NotImplementedError


class _InPython(Editor):
    path: Path
    text: bytes

    def open(self, path: Path, delete: int | None = None) -> None:
        self.path = path
        lines = path.read_bytes().splitlines(keepends=True)
        if delete is not None:
            del lines[delete - 1]
        self.text = b"".join(lines)


class Renaming(_InPython):
    """Writes a new file and renames it to the place of the old one (most of today's editors)."""

    def save(self) -> None:
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        new.write_bytes(self.text)
        new.rename(self.path)


class Truncating(_InPython):
    """Empties the file and writes its text, in pieces (the simplest ones)."""

    def save(self) -> None:
        with open(self.path, "wb", buffering=0) as file:
            starts = range(0, len(self.text), 1000)
            file.writelines(self.text[start : start + 1000] for start in starts)


class Sed(Editor):
    """``sed -i``, which has read all lines and waits at the last one."""

    def open(self, path: Path, delete: int | None = None) -> None:
        self.fifo = self.home.folder / "sed-waits"
        self.fifo.unlink(missing_ok=True)
        os.mkfifo(self.fifo)
        script = f"$e cat {self.fifo} > /dev/null"
        if delete is not None:
            script = f"{delete}d;{script}"
        self.process = subprocess.Popen(["sed", "-i", script, str(path)])
        # opens when cat has opened it to read: then sed knows that this is the last line
        self.go = open(self.fifo, "wb")  # noqa: SIM115

    def save(self) -> None:
        self.go.close()
        assert self.process.wait(PATIENCE) == 0


class Vim(Editor):
    """vim without settings; told to write all the same when it warns."""

    def open(self, path: Path, delete: int | None = None) -> None:
        arguments = ["vim", "-Nu", "NONE", "-i", "NONE", str(path)]
        self.terminal = Terminal(arguments, self.home.environment, path.parent)
        if delete is not None:
            self.terminal.type(f":{delete}d\r")
        self.terminal.type(':echo "the text " . "is there"\r')
        self.terminal.wait_for("the text is there")

    def save(self) -> None:
        self.terminal.type(":w!\r")
        if "y/n" in self.terminal.wait_for(r"\(y/n\)|B written"):
            self.terminal.type("y")
            self.terminal.wait_for("B written")
        self.terminal.type(":q!\r")
        self.terminal.close()


class Nano(Editor):
    """nano; its question whether to save over a changed file is answered with yes."""

    def open(self, path: Path, delete: int | None = None) -> None:
        self.terminal = Terminal(["nano", "-I", str(path)], self.home.environment, path.parent)
        self.terminal.wait_for(r"Read \d+ lines")
        if delete is not None:
            self.terminal.type(f"\x1f{delete}\r\x0b")  # go to the line, cut it
            self.terminal.wait_for("Modified")
        else:
            self.terminal.type(" \x7f")  # a text that is not changed is not saved

    def save(self) -> None:
        self.terminal.type("\x0f")
        self.terminal.wait_for("File Name to Write")
        self.terminal.type("\r")
        if "disk" in self.terminal.wait_for(r"disk has changed|Wrote \d+ lines"):
            self.terminal.type("y")
            self.terminal.wait_for(r"Wrote \d+ lines")
        self.terminal.type("\x18")
        self.terminal.close()


class Emacs(Editor):
    """emacs without settings; the question whether to save over a changed file gets a yes."""

    def open(self, path: Path, delete: int | None = None) -> None:
        name = orjson.dumps(str(path)).decode()
        line = delete or 1
        change = "(kill-whole-line)" if delete is not None else "(set-buffer-modified-p t)"
        program = (
            f"(progn (find-file {name}) (goto-char (point-min)) (forward-line {line - 1}) {change}"
            '(princ "open\\n") (read-string "") (save-buffer) (princ "saved\\n"))'
        )
        self.process = subprocess.Popen(
            ["emacs", "--batch", "-Q", "--eval", program],
            env=self.home.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"

    def save(self) -> None:
        shown, told = self.process.communicate("go\nyes\n", PATIENCE)
        assert "saved" in shown, (shown, told)


PLAIN: dict[str, type[Editor]] = {"sed": Sed, "renaming": Renaming, "truncating": Truncating}
REAL: dict[str, type[Editor]] = {"vim": Vim, "emacs": Emacs, "nano": Nano}
EDITORS = {**PLAIN, **REAL}


# --- what became of it ---------------------------------------------------------------------------


class Account(NamedTuple):
    """Of what a chat said: how much stands where."""

    once: int
    lost: list[Said]
    double: list[Said]
    back: list[Said]
    """Messages that the owner deleted or gave up and that are there again."""
    sessions: int


def account(home: Home, said: list[Said], gone: list[Said]) -> Account:
    """What all transcripts of a vault say about these messages; ``gone``: the owner's wish."""
    found: dict[Said, int] = {}
    transcripts = sorted(home.sessions.glob("*.jsonl"))
    for path in transcripts:
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError):
                fields: Any = orjson.loads(line)
                key = Said(fields["role"], fields["content"])
                found[key] = found.get(key, 0) + 1
    wanted = [one for one in said if one not in gone]
    return Account(
        sum(found.get(one) == 1 for one in wanted),
        [one for one in wanted if one not in found],
        [one for one in wanted if found.get(one, 0) > 1],
        [one for one in gone if one in found],
        len(transcripts),
    )


def said_in(line: bytes) -> Said:
    """The message of a line."""
    fields = orjson.loads(line)
    return Said(fields["role"], fields["content"])


if __name__ == "__main__":
    _converse(*sys.argv[1:])

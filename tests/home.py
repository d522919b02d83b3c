"""A vault with user folders of its own for a test, and the program run on it as a process.

Nothing of the machine's owner is read or written: settings, cache and state are in the test's
folder, and no variable of the outer environment but ``PATH`` is handed on.
"""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import orjson

SAMPLE = Path(__file__).parent.parent / "sample_vault"
SESSIONS = "atlas/memory/sessions"


class Screen(NamedTuple):
    """What came of a run on a terminal: all that was shown, and the exit code."""

    text: str
    code: int


class Home:
    """A folder with a vault in it; ``run`` runs the command line there."""

    def __init__(self, folder: Path, vault: Path | None = None) -> None:
        self.folder = folder
        self.vault = vault or folder / "vault"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "VAULT_SESSIONS_CACHE": str(folder / "cache"),
            "VAULT_SESSIONS_STATE": str(folder / "state"),
            "VAULT_SESSIONS_CONFIG": str(folder / "config"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def sessions(self) -> Path:
        return self.vault / SESSIONS

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "vault_sessions", *arguments]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """The program, running."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.vault,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, stdin: str = "", cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """The program, run to its end, with pipes for stdin, stdout and stderr."""
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or (self.vault if self.vault.is_dir() else self.folder),
            env={**self.environment, **variables},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def output(self, *arguments: str, **options: Any) -> str:
        """What a run that goes well prints."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str, **options: Any) -> Any:
        """The document that a command prints with ``--json``."""
        return json.loads(self.output(*arguments, "--json", **options))

    def error(self, *arguments: str, code: int = 1, **options: Any) -> str:
        """What a run that fails says: one or two lines that begin with ``Error:``."""
        done = self.run(*arguments, **options)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        if code == 1:
            said = done.stderr[done.stderr.index("Error:") :]
            assert 1 <= said.count("\n") <= 2, said
        return done.stderr

    def screen(
        self, *arguments: str, columns: int = 120, typed: str = "", **variables: str
    ) -> Screen:
        """The program on a terminal of its own."""
        ours, terminal = pty.openpty()
        environment = {**self.environment, "TERM": "xterm-256color", "COLUMNS": str(columns)}
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.vault,
            env={**environment, **variables},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        os.write(ours, typed.encode())
        shown = b""
        with suppress(OSError):  # Linux says EIO when the other end is closed
            while select.select([ours], [], [], 30)[0] and (piece := os.read(ours, 65536)):
                shown += piece
        os.close(ours)
        return Screen(shown.decode("utf-8", "replace"), process.wait(30))


def make_home(folder: Path, *, sample: bool = False) -> Home:
    """An empty vault, or a copy of the sample, in a folder of its own."""
    home = Home(folder)
    if sample:
        shutil.copytree(SAMPLE, home.vault)
    else:
        for part in ("memory/sessions", "memory/long-term", "identity"):
            (home.vault / "atlas" / part).mkdir(parents=True)
        (home.vault / ".vault-sessions").mkdir()
    return home


def message(content: str, role: str = "user", **fields: Any) -> bytes:
    """A line of a transcript."""
    return orjson.dumps({"role": role, "content": content, **fields}) + b"\n"


def write_session(home: Home, stem: str, *lines: bytes, **meta: Any) -> Path:
    """A session with these lines, and metadata if there is any."""
    path = home.sessions / f"{stem}.jsonl"
    path.write_bytes(b"".join(lines))
    if meta:
        (home.sessions / f"{stem}.meta.json").write_bytes(orjson.dumps(meta))
    return path


def write_many(home: Home, count: int, each: int = 2) -> None:
    """Sessions s000, s001, … of so many messages, a minute apart."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        lines = []
        for index in range(each):
            at = start + timedelta(days=number, minutes=index)
            role = "assistant" if index % 2 else "user"
            text = f"apple number {number} line {index}"
            lines.append(
                message(text, role, id=f"{number}-{index}", created_at=f"{at:%Y-%m-%dT%H:%M:%S}Z")
            )
        write_session(home, f"s{number:03}", *lines)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder with its bytes (folders and the like with none)."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else b""
        for path in sorted(folder.rglob("*"))
    }

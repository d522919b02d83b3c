"""Where nothing can be written: reading works, and writing says so and keeps what there was.

A vault mounted read-only, a disk that is full, a folder that is not ours, a file that may not grow:
one error, exit code 1, every byte as it was, and what was typed is not lost.
"""

from __future__ import annotations

import os
import pty
import resource
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from home import Home, make_home, tree

from vault_sessions.formats.transcript import parse

READING = (
    *(
        ("list",),
        ("list", "--json"),
        ("search", "postgres"),
        ("show", "vpc-design"),
        ("path", "denver-move"),
    ),
    *(("show", "vpc-design", "--json"), ("memory", "show"), ("memory", "search", "Priya")),
    *(("config", "show"), ("config", "path"), ("mirror", "path"), ("chat", "--why"), ("reindex",)),
)
WRITING = (
    *(("chat", "-s", "vpc-design", "-m", "hello"), ("chat", "--new", "-m", "hello")),
    *(("rename", "vpc-design", "other"), ("rename", "--topic", "vpc-design", "Other")),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A copy of the sample vault."""
    return make_home(tmp_path, sample=True)


def mount(*words: str) -> None:
    """Mount something, or skip the test where that is not allowed."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def full_disk(home: Home, left: int) -> Iterator[None]:
    """The vault on a disk of its own with so many bytes left on it (whole pages of 4 KiB)."""
    aside = home.folder / "aside"
    home.vault.rename(aside)
    home.vault.mkdir()
    mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(home.vault))
    try:
        shutil.copytree(aside, home.vault, dirs_exist_ok=True)
        with suppress(OSError), open(home.vault / "fill", "wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        os.truncate(home.vault / "fill", os.path.getsize(home.vault / "fill") - left)
        yield
    finally:
        subprocess.run(["umount", str(home.vault)], check=True)


def check_nothing_is_written(home: Home) -> None:
    """Every writing command fails with one error, and every byte is as it was."""
    before = tree(home.vault)
    for words in WRITING:
        home.error(*words)
        assert tree(home.vault) == before, words


def test_a_vault_that_is_read_only(home: Home) -> None:
    """All that reads works, all that writes says so; settings and the mirror are elsewhere."""
    before = tree(home.vault)
    with read_only(home.vault):
        for words in READING:
            done = home.run(*words)
            assert done.returncode == 0, (words, done.stderr)
        check_nothing_is_written(home)
        assert "Read-only file system" in home.error("init", "inside")
        home.output("config", "set", "ai.sessions.resume_window", "9h")
        private = home.run("chat", "--private", "-m", "who is Priya?")
        assert private.returncode == 0, private.stderr
    assert tree(home.vault) == before


def test_everything_is_read_only(home: Home) -> None:
    """Vault, cache, state and settings: reading works, with a mirror in memory."""
    with read_only(home.folder):
        for words in READING[::2]:
            if words != ("reindex",):  # which has nowhere to put it
                done = home.run(*words)
                assert done.returncode == 0, (words, done.stderr)
                assert "Traceback" not in done.stderr
        check_nothing_is_written(home)
        home.error("config", "set", "ai.sessions.resume_window", "9h")


@pytest.mark.parametrize("left", [0, 4096])
def test_a_full_disk(home: Home, left: int) -> None:
    """Not a byte: nothing is changed. A page: what does not fit into it is not begun."""
    long = "word " * 4000
    with full_disk(home, left):
        before = tree(home.vault)
        for words in READING[:4]:
            assert home.run(*words).returncode == 0, words
        for short in WRITING if not left else ():
            home.error(*short)  # "hello" may fit into what is left of a page, its answer not
            after = tree(home.vault)
            assert all(after[path].startswith(data) for path, data in before.items()), short
        before = tree(home.vault)
        for where in (["-s", "vpc-design"], ["--new"]):
            said = home.error("chat", *where, "-m", long)
            assert "not saved" in said
            after = {
                path: data for path, data in tree(home.vault).items() if data or path in before
            }
            assert after == before
        os.truncate(home.vault / "fill", 0)
        assert home.run("chat", "-s", "vpc-design", "-m", long).returncode == 0
        for path in home.sessions.glob("*.jsonl"):
            assert parse(path.read_bytes()).problems == parse(before_of(before, path)).problems


def before_of(before: dict[str, bytes], path: Path) -> bytes:
    return before[f"atlas/memory/sessions/{path.name}"]


def as_another(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    """The program as a user who may read the vault and write nothing in it."""
    free = home.folder / "free"
    free.mkdir(exist_ok=True)
    free.chmod(0o777)
    environment = {
        **home.environment,
        **{f"VAULT_SESSIONS_{k}": str(free / k) for k in ("CACHE", "STATE", "CONFIG")},
    }
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *home.command(*words)]
    return subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, check=False
    )


def test_a_vault_of_another_user(tmp_path: Path) -> None:
    """Permission lost: reading works, writing says "Permission denied"."""
    if os.getuid() or shutil.which("setpriv") is None:
        pytest.skip("needs root, to become another user")
    home = make_home(tmp_path, sample=True)
    for folder in (home.folder, *home.folder.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            if not str(folder).startswith(("/tmp", str(tmp_path.parent.parent))):
                pytest.skip(f"{folder} can't be entered by others")
            folder.chmod(folder.stat().st_mode | 0o055)
    for path in home.vault.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    home.vault.chmod(0o755)
    vault = ("--vault", str(home.vault))
    if as_another(home, *vault, "list").returncode:
        pytest.skip("the other user can't run the program here")
    before = tree(home.vault)
    for words in READING[:4]:
        done = as_another(home, *vault, *words)
        assert done.returncode == 0, (words, done.stderr)
    for change in WRITING:
        done = as_another(home, *vault, *change)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "Permission denied" in done.stderr[done.stderr.index("Error:") :]
    assert tree(home.vault) == before


def small(limit: int) -> Callable[[], None]:
    """Before the program starts: no file may grow beyond so many bytes (Python ignores SIGXFSZ)."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_what_came_from_stdin_is_printed_back(home: Home) -> None:
    """It is nowhere else, so an error must not swallow it; what was saved is not said again."""
    text = "a thought that came\nby a pipe"
    (home.folder / "state").write_text("in the way")
    for words in (("chat", "-m", "-"), ("chat",), ("chat", "-s", "vpc-design", "-m", "-")):
        said = home.error(*words, stdin=text)
        assert text in said
        assert said.index(text) < said.index("Error:")
    assert text not in home.error("chat", "-m", text)
    (home.folder / "state").unlink()
    done = home.run("chat", "-m", "-", stdin=text)
    assert done.returncode == 0
    assert text not in done.stderr


def test_what_was_said_before_is_printed_back_too(home: Home) -> None:
    """The same words of yesterday's message do not count as saved."""
    home.output("chat", "-s", "twice", "-m", "yes please")
    transcript = next(p for p in home.sessions.glob("*.jsonl") if b"yes please" in p.read_bytes())
    size = transcript.stat().st_size
    done = subprocess.run(
        home.command("chat", "-s", "twice", "-m", "-"),
        cwd=home.vault,
        env=home.environment,
        input="yes please",
        capture_output=True,
        text=True,
        preexec_fn=small(size + 8),
        check=False,
    )
    assert done.returncode == 1
    assert "here it is again:\nyes please" in done.stderr
    assert transcript.stat().st_size == size


def test_in_line_mode_the_words_can_be_called_back(home: Home) -> None:
    """The error stands below them, the chat goes on, and the arrow key brings them again."""
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        home.command("chat", "--plain", "-s", "kept"),
        cwd=home.vault,
        env={**home.environment, "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = ""

    def until(text: str) -> None:
        nonlocal shown
        seen = len(shown)
        while text not in shown[seen:]:
            assert select.select([ours], [], [], 30)[0], shown
            shown += os.read(ours, 65536).decode("utf-8", "replace")

    until("> ")
    aside = home.sessions.rename(home.sessions.with_name("aside"))
    home.sessions.write_text("in the way")
    os.write(ours, b"words of mine\n")
    until("> ")
    if "Error:" not in shown:
        until("Error:")
    home.sessions.unlink()
    aside.rename(home.sessions)
    os.write(ours, b"\x1b[A\n")
    until("> ")
    os.write(ours, b"/quit\n")
    with suppress(OSError):
        while select.select([ours], [], [], 30)[0] and os.read(ours, 65536):
            pass
    os.close(ours)
    assert process.wait(30) == 0
    said = [m["content"] for m in home.json("show", "kept")["messages"] if m["role"] == "user"]
    assert said == ["words of mine"], shown

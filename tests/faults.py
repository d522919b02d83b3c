"""System calls that fail, or kill, at the n-th time: the program under strace, quickly.

A driver (``python faults.py``) has the whole program imported and forks a child for each run, so a
run costs a fork and not a start; strace takes hold of the child before it begins. ``Faults`` is the
driver from outside; ``calls`` says which calls a command makes on its own files, and a ``Fault``
names the one that is to fail.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from home import Home

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR")
KINDS = ("KILL", *ERRORS)
CALLS = (
    *("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "open", "openat", "unlink"),
    *("unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat"),
)
_CALL = re.compile(r"^(?:(\d+) +)?(\w+)\((.*)$")
_HERE = re.compile(r"AT_FDCWD<[^>]*>")


class Fault(NamedTuple):
    """The ``number``-th call of this name fails with ``kind``, or (KILL) ends the process."""

    call: str
    number: int
    kind: str

    @property
    def flags(self) -> list[str]:
        """What strace has to be told."""
        what = "signal=KILL" if self.kind == "KILL" else f"error={self.kind}"
        names = ",".join(CALLS)
        return ["-e", f"trace={names}", "-e", f"inject={self.call}:{what}:when={self.number}"]


class Run(NamedTuple):
    """How a run ended: its exit code (a signal's is negative), what it said, the processor's time
    that it took and the most memory that it held."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float


class Call(NamedTuple):
    """A call on one of the program's own files, as counted in its thread."""

    name: str
    number: int
    path: str


def why_not() -> str | None:
    """Why nothing can be traced here; None if it can."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        return "needs strace (Debian: apt install strace)"
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False)
    return None if done.returncode == 0 else "strace may not trace processes here"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory, where there is one: 2,000 runs would wait for the disk most of the
    time."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="vs-faults-") as name:
        yield Path(name)


class Faults:
    """A driver; one run at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self._driver = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._driver.stdin is not None
        self._driver.stdin.close()
        self._driver.wait(30)
        if self._driver.stdout is not None:
            self._driver.stdout.close()

    def run(
        self,
        home: Home,
        *arguments: str,
        stdin: str = "",
        strace: list[str] | None = None,
        kill_after: float | None = None,
        alone: bool = False,
        **variables: str,
    ) -> Run:
        """The program on a home, to its end; under strace when its flags are given. Killed
        (kill -9) after so many seconds, if it is not done by then. ``alone``: only the process
        itself is traced, not the programs (and threads) that it starts."""
        out, err, given = (self.folder / name for name in ("out", "err", "in"))
        given.write_text(stdin, encoding="utf-8")
        cwd = home.vault if home.vault.is_dir() else home.folder
        request = {
            "arguments": arguments,
            "cwd": str(cwd),
            "environment": {**home.environment, **variables},
            "streams": [str(given), str(out), str(err)],
            "strace": strace,
            "kill_after": kill_after,
            "alone": alone,
        }
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        code, seconds, megabytes = json.loads(self._driver.stdout.readline())
        said = [p.read_text(encoding="utf-8", errors="replace") for p in (out, err)]
        return Run(code, said[0], said[1], seconds, megabytes)

    def fail(self, home: Home, fault: Fault, *arguments: str, **options: Any) -> Run:
        """A run in which that call fails."""
        flags = ["-o", str(self.folder / "trace"), *fault.flags]
        return self.run(home, *arguments, strace=flags, **options)

    def calls(self, home: Home, *arguments: str, **options: Any) -> tuple[list[Call], Run]:
        """The calls that a command makes on files of its home, and how it ended."""
        trace = self.folder / "trace"
        flags = ["-o", str(trace), "-y", "-e", f"trace={','.join(CALLS)}"]
        done = self.run(home, *arguments, strace=flags, **options)
        return list(_own_calls(trace.read_text(errors="replace"), str(home.folder))), done


def _own_calls(trace: str, folder: str) -> Iterator[Call]:
    counts: dict[tuple[str | None, str], int] = {}
    seen = set()
    for line in trace.splitlines():
        found = _CALL.match(line)
        if found is None:  # the second half of a call, an exit
            continue
        thread, name, rest = found.groups()
        number = counts[thread, name] = counts.get((thread, name), 0) + 1
        rest = _HERE.sub("", rest)
        at = rest.find(folder + "/")
        if at < 0 or (name, number) in seen:
            continue
        seen.add((name, number))
        yield Call(name, number, re.split(r'[">]', rest[at + len(folder) + 1 :])[0])


# --- the driver ----------------------------------------------------------------------------------


def _import_all() -> None:
    """All that a command could import, so that a child opens next to nothing but its own files."""
    import pkgutil
    from importlib import import_module

    import vault_sessions

    for name in ("difflib", "logging", "secrets", "shlex", "frontmatter", "yaml", "openai"):
        import_module(name)
    for found in pkgutil.walk_packages(vault_sessions.__path__, "vault_sessions."):
        if not found.name.endswith("__main__") and ".tui" not in found.name:
            import_module(found.name)


def _child(request: dict[str, Any], gate: int, readier: int) -> None:
    """One run of the program, once the gate is open."""
    os.setsid()
    for number, path in enumerate(request["streams"]):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = os.open(path, flags, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["cwd"])
    os.close(readier)
    os.read(gate, 1)
    os.close(gate)
    code: Any = 1
    try:
        from vault_sessions.cli import run

        code = run(request["arguments"])
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:  # noqa: BLE001  # what the interpreter would print
        import traceback

        traceback.print_exc()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _serve() -> None:
    import gc

    _import_all()
    gc.freeze()
    answers = os.dup(1)
    for line in sys.stdin:
        request = json.loads(line)
        gate, opener = os.pipe()
        ready, readier = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(opener)
            os.close(ready)
            os.close(answers)
            _child(request, gate, readier)
        os.close(gate)
        os.close(readier)
        os.read(ready, 1)
        os.close(ready)
        tracer = None
        if request["strace"] is not None:
            command = ["strace", "-qq", *request["strace"], "-p", str(child)]
            if not request["alone"]:
                command.insert(1, "-f")
            tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            about = Path(f"/proc/{child}/status")
            while "TracerPid:\t0" in about.read_text():
                assert tracer.poll() is None, "strace could not take hold of the child"
                time.sleep(0.0005)
        os.write(opener, b"x")
        os.close(opener)
        if request["kill_after"] is not None:
            ended = os.pidfd_open(child)
            if not select.select([ended], [], [], request["kill_after"])[0]:
                os.kill(child, signal.SIGKILL)
            os.close(ended)
        _, status, used = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        usage = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
        if tracer is not None:
            tracer.wait()
        os.write(answers, json.dumps([code, *usage]).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve()


# --- at a step of a function ---

_SYSCALLS = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.chmod", "os.link")


def killed_at(number: int, work: Callable[[], Any]) -> bool:
    """Do this in a process of its own, which is killed before its n-th step on files; False: it
    came to its end first."""
    child = os.fork()
    if child == 0:
        left = [number]

        def count(event: str, _: Any) -> None:
            if event in _SYSCALLS:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)

"""``chat`` on a terminal: which of its faces it shows, and how it is left."""

from __future__ import annotations

import os
import pty
import signal as signals
import subprocess
import sys

import pytest
from home import Home
from tmux import PROMPT, needs_tmux, terminal

INPUT = "Say something"


@pytest.mark.parametrize(
    "command", [["chat", "--why"], ["chat", "-m", "hello"], ["chat", "--help"]], ids=" ".join
)
def test_without_a_terminal_no_ui_is_loaded(home: Home, command: list[str]) -> None:
    """What needs no screen doesn't wait for the library that draws one."""
    program = (
        "import sys; from vault_sessions.cli import run; run(sys.argv[1:]); "
        "sys.exit([name for name in ('textual', 'vault_sessions.tui') if name in sys.modules] or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=home.vault,
        env=home.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs_tmux
def test_leaving_says_how_to_come_back(home: Home) -> None:
    """What is printed can be pasted, and opens the same session."""
    with terminal(home, (120, 24)) as at:
        at.run("chat", "-s", "bread & butter")
        at.shows("bread & butter", INPUT)
        at.say("How long does dough rest?")
        at.shows("How long does dough rest?", "2 messages")
        at.press("C-q")
        at.shows("Come back: vault-sessions chat -s 'bread & butter'", "code=0")
        assert at.is_clean()
        at.run("chat", "-s", "bread & butter")
        at.shows("How long does dough rest?", 'Resumed "bread & butter"')
        at.press("C-c", "C-c")
        at.shows("Come back", "code=0")


@needs_tmux
def test_where_nothing_was_said_there_is_nothing_to_come_back_to(home: Home) -> None:
    """Leaving an empty conversation is silent and leaves no file; so is a private one."""
    with terminal(home) as at:
        for arguments in ((), ("-s", "notes"), ("--private",)):
            at.run("chat", *arguments)
            at.shows(INPUT, "offline")
            at.press("C-q")
            at.shows("code=0")
            assert "Come back" not in at.screen
        at.run("chat", "--private")
        at.shows("Private: nothing of this is stored.")
        at.say("A secret")
        at.shows("A secret", "2 messages")
        at.press("C-q")
        at.shows("code=0")
        assert "Come back" not in at.screen
    assert list(home.sessions.iterdir()) == []


@needs_tmux
def test_what_keeps_it_from_beginning_is_said_on_the_terminal(home: Home) -> None:
    """An error before there is anything to see ends the program as any other command."""
    with terminal(home, (120, 24)) as at:
        for arguments, told in (
            (("-p", "nobody"), "There is no provider 'nobody'."),
            (("--skill", "nothing"), "There is no skill 'nothing'"),
            (("--vault", "/nowhere"), "There is no folder /nowhere."),
        ):
            at.run("chat", *arguments)
            at.shows(f"Error: {told}", "code=1")
            assert "Traceback" not in at.history
            assert at.is_clean()
        (home.folder / "config").mkdir(exist_ok=True)
        (home.folder / "config" / "config.yaml").write_text("ui: {theme: 7}\n")
        at.run("chat")
        at.shows("Error:", "ui.theme", "code=1")


@needs_tmux
def test_a_terminal_that_can_draw_nothing_gets_line_mode(home: Home) -> None:
    """``--plain``, ``TERM=dumb`` and a stream that goes elsewhere: no screen is taken."""
    with terminal(home) as at:
        for command in ("chat --plain", "chat"):
            at.type(f"clear; TERM=dumb {sys.executable} -m vault_sessions {command}; echo code=$?")
            at.press("Enter")
            at.shows("A new session")
            at.say("/quit")
            at.shows("code=0", PROMPT)


@needs_tmux
@pytest.mark.parametrize(("signal", "code"), [("TERM", 143), ("HUP", 129)])
def test_a_kill_leaves_in_order(home: Home, signal: str, code: int) -> None:
    """The terminal is the shell's again, and how to come back is said."""
    with terminal(home) as at:
        at.run("chat", "-s", "x")
        at.shows(INPUT, "offline")
        at.say("hello there")
        at.shows("2 messages")
        at.type("still being typed")
        at.shows("still being typed")
        os.kill(at.program, getattr(signals, f"SIG{signal}"))
        at.shows("Come back: vault-sessions chat -s x", f"code={code}")
        assert at.is_clean()


def test_it_does_not_outlive_its_terminal(home: Home) -> None:
    """A terminal that goes without a signal ends it; it draws for nobody and reads nothing."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        home.command("chat"),
        cwd=home.vault,
        env={**home.environment, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,  # not its controlling terminal: nobody tells it
    ) as process:
        os.close(its)
        shown = b""
        while INPUT.encode() not in shown:
            shown += os.read(ours, 65536)
        os.close(ours)
        assert process.wait(60) == 128 + signals.SIGHUP

"""The library: ``from vault_sessions import Workspace`` and three lines that do something."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from home import Home, make_home

import vault_sessions
from vault_sessions import VaultSessionsError, Workspace
from vault_sessions.errors import AmbiguousSession, NameTaken, SessionNotFound


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of the sample vault."""
    home = make_home(tmp_path, sample=True)
    for name in ("CACHE", "STATE", "CONFIG"):
        name = f"VAULT_SESSIONS_{name}"
        monkeypatch.setenv(name, home.environment[name])
    return home


def test_three_lines(home: Home) -> None:
    """List, search, talk."""
    with Workspace.open(home.vault) as ws:
        assert len(ws.list()) == 17
        assert "denver" in ws.search("denver")[0].snippet.lower()
        assert ws.chat.take_turn("When did I move to Denver?").text


def test_a_turn_is_on_disk_and_found(home: Home) -> None:
    """Without a model the offline assistant answers from the vault."""
    with Workspace.open(home.vault) as ws:
        turn = ws.chat.take_turn("What did we decide about the VPC?", session="library")
        assert (turn.provider, turn.status, turn.error) == ("offline", None, None)
        shown = ws.show("library")
        assert [m.role for m in shown.transcript.messages] == ["user", "assistant"]
        assert shown.transcript.messages[1].text == turn.text
        assert ws.search("decide vpc", session="library", role="user")
        assert ws.list(limit=1)[0].name == "library"
    written = home.sessions / f"{turn.session_id}.jsonl"
    assert written.read_text(encoding="utf-8").count("\n") == 2


def test_errors_are_of_one_family(home: Home) -> None:
    """And say what to do, without a prefix."""
    with Workspace.open(home.vault) as ws:
        with pytest.raises(SessionNotFound, match="There is no session 'nobody'"):
            ws.show("nobody")
        with pytest.raises(AmbiguousSession):
            ws.find("2026")
        with pytest.raises(NameTaken):
            ws.rename("achilles", "VPC-design")
    with pytest.raises(VaultSessionsError, match="There is no folder"):
        Workspace.open(home.folder / "nowhere")


def test_close_is_harmless_when_done_twice(home: Home) -> None:
    """And a closed workspace that is asked again opens its mirror again."""
    ws = Workspace.open(home.vault)
    ws.list()
    ws.close()
    ws.close()
    assert len(ws.list()) == 17
    ws.close()


def test_the_public_names() -> None:
    """``__all__`` is sorted, and each of its names is there."""
    assert vault_sessions.__all__ == sorted(vault_sessions.__all__)
    for name in vault_sessions.__all__:
        assert getattr(vault_sessions, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        vault_sessions.Nothing  # noqa: B018


def test_importing_the_package_costs_nothing() -> None:
    """The names are imported when they are asked for."""
    program = "import sys, vault_sessions; print('sqlite3' in sys.modules, 'click' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"


def test_it_is_typed(tmp_path: Path) -> None:
    """``py.typed`` is there, and a user's program passes ``mypy --strict``."""
    assert (Path(vault_sessions.__file__).parent / "py.typed").is_file()
    program = tmp_path / "mine.py"
    program.write_text(
        "from vault_sessions import Hit, Workspace\n\n"
        "with Workspace.open('.') as ws:\n"
        "    hits: list[Hit] = ws.search('x')\n"
        "    reveal_type(ws.list()[0].name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(program)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "str | None"' in done.stdout.replace("Union[str, None]", "str | None")


MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(vault_sessions.__path__, "vault_sessions.")
    if not found.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_alone_and_their_examples_run(name: str) -> None:
    """Every module says what it is for; the examples in docstrings are true."""
    module = importlib.import_module(name)
    if Path(str(module.__file__)).stat().st_size:
        assert module.__doc__
    assert doctest.testmod(module).failed == 0


def until(what: Callable[[], object]) -> None:
    """Wait for something to be so: a look at the files that took long is not repeated at once."""
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_an_open_workspace_sees_what_is_changed_on_disk(home: Home) -> None:
    """Edits by others need no telling: each list and each search looks at the files first."""
    notes = home.sessions / "notes.jsonl"
    with Workspace.open(home.vault) as ws:
        assert len(ws.list()) == 17
        notes.write_text('{"role":"user","content":"quince jam"}\n')
        until(lambda: "notes" in [session.id for session in ws.list()])
        until(lambda: [hit.session_id for hit in ws.search("quince")] == ["notes"])
        notes.unlink()
        until(lambda: len(ws.list()) == 17)

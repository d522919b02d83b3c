"""``memory add``, ``why``, ``log`` and ``undo``, as a person and a script use them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import faults
import pytest
from faults import Fault, Faults
from home import Home, make_home, message, write_session

from vault_sessions.formats import bullets
from vault_sessions.formats.changes import read_changes

SESSION = "20261121-080512-7k3q9d"
OWN = b"""# About

## Facts

- Works at Tallgrass\x20\x20
- Has a dog

## Goals
"""


def facts_file(home: Home) -> Path:
    return home.vault / "atlas/memory/long-term/facts.md"


def log_file(home: Home) -> Path:
    return home.vault / "atlas/memory/changes.jsonl"


def test_a_fact_is_added_found_and_taken_back(home: Home) -> None:
    """In its section, at once in the search, and gone from both again."""
    said = home.output("memory", "add", "* Keeps bees.", "--section", "goals")
    assert said == "facts.md › Goals: “Keeps bees”\n"
    assert "## Goals\n\n- Keeps bees\n\n## Preferences" in facts_file(home).read_text()
    (hit,) = home.json("search", "bees", "--in", "memory")
    assert (hit["kind"], hit["line"]) == ("fact", 7)
    assert home.output("memory", "undo") == (
        "facts.md › Goals: “Keeps bees” → (taken out) (undo)\n"
    )
    assert home.json("search", "bees", "--in", "memory") == []
    assert "Error: There is no change of memory to take back." in home.error("memory", "undo")


def test_what_is_known_is_told_and_not_added(home: Home) -> None:
    """Standard output stays empty."""
    home.output("memory", "add", "Keeps bees")
    done = home.run("memory", "add", "keeps BEES!")
    assert (done.returncode, done.stdout) == (0, "")
    assert "it is known already" in done.stderr
    assert home.json("memory", "add", "Keeps bees") == []


def test_another_value_replaces_what_we_wrote(home: Home) -> None:
    """Old and new are shown, and the log has both."""
    home.output("memory", "add", "Lives in Austin")
    assert home.output("memory", "add", "Lives in Denver") == (
        "facts.md › Facts: “Lives in Austin” → “Lives in Denver”\n"
    )
    (change,) = (home.json("memory", "undo"),)
    assert (change["new"], change["by"]) == ("Lives in Austin", "user")
    log = home.json("memory", "log")
    assert [(c["old"], c["new"]) for c in log] == [
        ("Lives in Denver", "Lives in Austin"),
        ("Lives in Austin", "Lives in Denver"),
        (None, "Lives in Austin"),
    ]
    assert log[0]["undoes"] == log[1]["id"]
    lines = home.output("memory", "log").splitlines()
    assert lines[1].endswith("(taken back)")
    assert home.output("memory", "undo", log[0]["id"]).endswith("“Lives in Denver” (undo)\n")


def test_the_owner_s_own_text_stays_where_nobody_can_be_asked(home: Home) -> None:
    """What was to be added stands beside it, and that is said."""
    facts_file(home).write_bytes(OWN)
    done = home.run("memory", "add", "Works for Brightline")
    assert done.stdout == "facts.md › Facts: “Works for Brightline”\n"
    assert "beside your own text: “Works at Tallgrass”" in done.stderr
    assert facts_file(home).read_bytes() == OWN.replace(
        b"- Has a dog\n", b"- Has a dog\n- Works for Brightline\n"
    )


@pytest.mark.parametrize(
    ("typed", "stands"),
    [("y\n", ["Works for Brightline", "Has a dog"]),
     ("n\n", ["Works at Tallgrass", "Has a dog", "Works for Brightline"])],
)  # fmt: skip
def test_the_owner_is_asked_before_their_text_is_changed(
    home: Home, typed: str, stands: list[str]
) -> None:
    """Old and new are shown; every other byte stays."""
    facts_file(home).write_bytes(OWN)
    screen = home.screen("memory", "add", "Works for Brightline", typed=typed)
    assert screen.code == 0, screen.text
    assert "Works at Tallgrass" in screen.text
    data = facts_file(home).read_bytes()
    assert [b.text for b in bullets.read_bullets(data)] == stands
    assert data.endswith(b"\n## Goals\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("My password is hunter2", "it looks like a password"),
        ("4111 1111 1111 1111", "it looks like a card number"),
        (" - ", "it says nothing"),
        ("x" * 400, "longer than 300"),
    ],
)
def test_what_can_t_be_remembered_is_an_error(home: Home, text: str, why: str) -> None:
    """And stands nowhere."""
    assert why in home.error("memory", "add", "--", text)
    assert not log_file(home).exists()
    assert "There is no section" in home.error("memory", "add", "a b", "--section", "Secrets")


def test_why_shows_the_message(tmp_path: Path) -> None:
    """Of a fact in the sample; with the session, and how it came to be."""
    home = make_home(tmp_path, sample=True)
    shown = home.output("memory", "why", "hazelnuts")
    assert "“Allergic to hazelnuts” (facts.md:7)" in shown
    assert "> Elsa's list also has chopped hazelnuts on top. I'm allergic" in shown
    assert "The message says so still." in shown
    why = home.json("memory", "why", "Lives in Austin, Texas")
    assert (why["file"], why["state"]) == (None, "there")
    assert [c["new"] for c in why["changes"]][1].startswith("Lives in Denver")
    error = home.error("memory", "why", "Denver")
    assert "Several parts of memory" in error
    assert "Written by you" in home.output("memory", "why", "Drives a 2019 RAV4 hybrid")
    assert "The nearest" in home.error("memory", "why", "Drives a bike")


def test_why_says_when_the_message_is_another_or_gone(tmp_path: Path) -> None:
    """Edited and deleted are told apart."""
    home = make_home(tmp_path, sample=True)
    path = home.sessions / "20251112-170211-bhp5n4.jsonl"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"I'm allergic to hazelnuts", b"I eat all nuts"))
    other = data.replace(b"allergic to hazelnuts", b"fond of nuts").replace(b"hazelnuts", b"nuts")
    path.write_bytes(other)
    assert "was edited since" in home.output("memory", "why", "Allergic to hazelnuts")
    lines = [line for line in data.splitlines(keepends=True) if b"chopped hazelnuts" not in line]
    path.write_bytes(b"".join(lines))
    assert "was deleted since" in home.output("memory", "why", "Allergic to hazelnuts")


def test_nothing_in_memory_controls_the_terminal(home: Home) -> None:
    """A session that was imported may say anything."""
    evil = "Owns \x1b]0;pwned\x07 a boat \u202e"
    write_session(home, SESSION, message(evil, id="m1"))
    facts_file(home).write_bytes(
        f"## Facts\n\n- {evil} <!-- 2026-11-21 {SESSION}#m1 -->\n".encode()
    )
    log_file(home).write_bytes(
        b'{"id":"\\u001b[2J","at":"x","file":"facts.md","section":"\\u001b[1m","old":null,'
        b'"new":"Owns \\u001b]0;pwned\\u0007 a boat","session_id":null,"message_id":null}\n'
    )
    for words in (("why", "boat"), ("log",), ("log", "--json"), ("why", "boat", "--json")):
        assert "\x1b" not in home.run("memory", *words).stdout
        assert "\u202e" not in home.run("memory", *words).stdout


def test_several_at_once_lose_nothing(home: Home) -> None:
    """Programs that add a fact each at the same moment."""
    facts_file(home).write_bytes(OWN)
    texts = [f"Owns a boat of {wood}" for wood in ("oak", "ash", "teak", "larch")]
    running = [home.start("memory", "add", text) for text in texts]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    stands = [b.text for b in bullets.read_bullets(facts_file(home).read_bytes())]
    assert sorted(stands) == sorted(["Works at Tallgrass", "Has a dog", *texts])
    log = read_changes(log_file(home).read_bytes())
    assert [change.new for change in log] == stands[2:]


# --- faults --------------------------------------------------------------------------------------


def _prepared(folder: Path) -> Home:
    folder.mkdir()
    home = make_home(folder)
    facts_file(home).write_bytes(OWN)
    return home


OURS = re.compile(r"facts\.md|changes\.jsonl|writing\.json")
CASES = {
    "add": (["memory", "add", "Keeps bees"], []),
    "replace": (["memory", "add", "Lives in Denver"], [["memory", "add", "Lives in Austin"]]),
    "undo": (["memory", "undo"], [["memory", "add", "Lives in Austin"]]),
}


@pytest.mark.fault
@pytest.mark.timeout(1800)
@pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))
@pytest.mark.parametrize("case", CASES)
def test_a_fault_at_every_call_leaves_a_whole_change_or_none(case: str) -> None:
    """Killed, or a disk that fails or is full: the next command finds the file and the log saying
    the same, and the owner's bytes are there; what was said not to be done is not."""
    arguments, before = CASES[case]
    with faults.quick_folder() as folder, Faults(folder / "driver") as driver:
        base = _prepared(folder / "base")
        for words in before:
            assert driver.run(base, *words).code == 0
        assert driver.run(base, "list").code == 0
        calls, done = driver.calls(_copy(base, folder / "counted"), *arguments)
        assert done.code == 0
        wanted = facts_file(_at(folder / "counted")).read_bytes()
        started = facts_file(base).read_bytes()
        tried = 0
        for call in (one for one in calls if OURS.search(one.path)):
            for kind in faults.KINDS:
                home = _copy(base, folder / "tried")
                run = driver.fail(home, Fault(call.name, call.number, kind), *arguments)
                assert "Traceback" not in run.err, (call, kind, run.err)
                _check(driver, home, run.code, started, wanted, (call, kind, run))
                tried += 1
                shutil.rmtree(home.folder)
        print(f"{case}: {tried} faults at {len(calls)} calls")
        assert tried > 50


def _check(
    driver: Faults, home: Home, code: int, started: bytes, wanted: bytes, what: object
) -> None:
    """One whole change, or none, also in the log; the next command completes what was begun."""
    now = facts_file(home).read_bytes()
    assert now in (started, wanted), what
    if code == 0:
        assert now == wanted, what
    again = driver.run(home, "memory", "add", "Sings in a choir")
    assert again.code == 0, (what, again)
    texts = {b.text for b in bullets.read_bullets(facts_file(home).read_bytes())}
    assert texts >= {"Works at Tallgrass", "Has a dog", "Sings in a choir"}, what
    left: set[str] = set()
    for change in read_changes(log_file(home).read_bytes()):
        left.discard(change.old or "")
        left |= {change.new} if change.new else set()
    assert left == texts - {"Works at Tallgrass", "Has a dog"}, what


def _copy(home: Home, folder: Path) -> Home:
    shutil.copytree(home.folder, folder, symlinks=True)
    return _at(folder)


def _at(folder: Path) -> Home:
    return Home(folder)


def test_list_and_search_load_no_memory(home: Home) -> None:
    """They start as fast as before."""
    code = (
        "import sys; from vault_sessions.cli import run; run(['list']); "
        "sys.exit(any(m.startswith('vault_sessions.memory') for m in sys.modules))"
    )
    python = home.command()[0]
    done = subprocess.run(
        [python, "-c", code], cwd=home.vault, env=home.environment, check=False, timeout=60
    )
    assert done.returncode == 0

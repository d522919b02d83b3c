"""Many processes at once: on one transcript, and on one mirror.

A transcript gets whole lines only, each process's in its order. The mirror never says "locked", and
whoever reads it sees a whole one, also while it is made anew.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from home import Home, make_home, write_many

from vault_sessions import Workspace
from vault_sessions.formats.transcript import parse

TALK = "20261121-100000-aaaaaa"


def together(home: Home, programs: list[list[str]]) -> list[str]:
    """Run these, each a program's text and its arguments, at once; what each printed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", *words],
            env=home.environment,
            cwd=home.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in programs
    ]
    said = []
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert err == "", err
        said.append(out)
    return said


# --- one transcript ------------------------------------------------------------------------------

APPEND = """
import hashlib, os, random, sys
from vault_sessions import folders, vault
from vault_sessions.state import State
root, who, lines, huge = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
opened, state = vault.open_vault(root), State(folders.vault_folder("state", root))
chance = random.Random(who)
for number in range(lines):
    size = chance.choice((1 << 10, 1 << 10, 1 << 11, 1 << 12))
    if number % 100 == 50:
        size = chance.randrange(1 << 14, 1 << 18)
    if huge and number % huge == huge // 2:
        size = chance.choice((1 << 22, 1 << 23, 1 << 24))
    text = os.urandom(size // 2).hex()
    sha = hashlib.sha256(text.encode()).hexdigest()
    fields = {"role": "user", "content": text, "id": f"{who}-{number}", "sha": sha}
    with state.lock("20261121-100000-aaaaaa"):
        vault.append_message(opened, "20261121-100000-aaaaaa", fields, create=True)
"""


def append_at_once(folder: Path, lines: int, huge: int) -> tuple[int, int]:
    """Eight processes append so many lines each, every ``huge``-th of 4 to 16 MB. How many lines
    and bytes came of it; all of them whole and in order."""
    home = make_home(folder)
    programs = [[APPEND, str(home.vault), str(who), str(lines), str(huge)] for who in range(8)]
    together(home, programs)
    path = home.sessions / f"{TALK}.jsonl"
    next_of: Counter[str] = Counter()
    count = 0
    with open(path, "rb") as file:
        for line in file:
            count += 1
            assert line.endswith(b"\n")
            fields: dict[str, Any] = orjson.loads(line)
            assert hashlib.sha256(fields["content"].encode()).hexdigest() == fields["sha"]
            who, _, number = fields["id"].partition("-")
            assert int(number) == next_of[who], "out of order"
            next_of[who] += 1
    assert dict(next_of) == {str(who): lines for who in range(8)}
    size = path.stat().st_size
    if size < 1 << 28:
        read = parse(path.read_bytes())
        assert len(read.messages) == count
        assert not read.problems
    path.unlink()
    return count, size


def test_eight_processes_append_to_one_session(tmp_path: Path) -> None:
    """Lines of 1 KB to 16 MB."""
    count, _ = append_at_once(tmp_path, 25, huge=24)
    assert count == 200


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_eight_processes_append_to_one_session_at_length(tmp_path: Path) -> None:
    """Thousands of lines each."""
    count, size = append_at_once(tmp_path, 2600, huge=400)
    print(f"{count} lines, {size / 1e6:.0f} MB, each whole and in its process's order")
    assert count >= 20_000


# --- one mirror ----------------------------------------------------------------------------------

TALKER = """
import sys, time
from vault_sessions import Workspace
vault, name, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
said, slowest = [], 0.0
with Workspace.open(vault, environment={}, say=said.append) as workspace:
    for turn in range(turns):
        started = time.monotonic()
        workspace.chat.take_turn(f"pear {name} {turn}", session=name)
        slowest = max(slowest, time.monotonic() - started)
assert not said, said
print(slowest)
"""
LISTER = """
import sys
from vault_sessions import Workspace
from pathlib import Path
said, most, asked = [], (0, 0), 0
with Workspace.open(sys.argv[1], environment={}, say=said.append) as workspace:
    while not Path(sys.argv[2]).exists():
        rows = workspace.list()
        now = len(rows), sum(row.message_count for row in rows)
        assert now[0] >= most[0] and now[1] >= most[1], (most, now)
        most, asked = now, asked + 1
        workspace.search("pear", limit=50)
assert not said, said
print(asked)
"""
COUNTER = """
import sqlite3, sys
from pathlib import Path
most, asked = (0, 0, 0), 0
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
while not Path(sys.argv[2]).exists():
    now = connection.execute(
        "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM messages), "
        "(SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'apple')").fetchone()
    assert all(n >= m for n, m in zip(now, most)), (most, now)
    most, asked = now, asked + 1
print(asked)
"""
REBUILDER = """
import sys, time
from pathlib import Path
from vault_sessions import Workspace
said, made = [], 0
with Workspace.open(sys.argv[1], environment={}, say=said.append) as workspace:
    while not Path(sys.argv[2]).exists():
        workspace.reindex()
        made += 1
        time.sleep(0.2)
assert not said, said
print(made)
"""
START = """
import subprocess, sys
from pathlib import Path
over, talker, vault, turns = sys.argv[1:]
talkers = [
    subprocess.Popen([sys.executable, "-c", talker, vault, f"writer{n}", turns],
                     stdout=subprocess.PIPE, text=True)
    for n in range(8)
]
said = [talker.communicate()[0] for talker in talkers]
Path(over).touch()
assert all(talker.returncode == 0 for talker in talkers)
print(max(map(float, said)))
"""


def crowd(folder: Path, turns: int) -> dict[str, float]:
    """Eight processes talk, two list and search, two count in SQL, one makes the mirror anew."""
    home = make_home(folder)
    write_many(home, 100, each=6)
    with Workspace.open(home.vault, environment=home.environment) as workspace:
        workspace.sync()
        path = workspace.mirror_path
    vault, over = str(home.vault), str(home.folder / "over")
    said = together(
        home,
        [
            [START, over, TALKER, vault, str(turns)],
            *([LISTER, vault, over] for _ in range(2)),
            *([COUNTER, path, over] for _ in range(2)),
            [REBUILDER, vault, over],
        ],
    )
    slowest, lists, more, counts, others, rebuilds = map(float, said)
    with Workspace.open(home.vault, environment=home.environment) as workspace:
        found = workspace.search("pear", role="user", limit=100_000, where="sessions")
        assert len(found) == 8 * turns
        assert workspace.problems() == []
    return {
        "transactions": 8 * turns * 2,
        "slowest turn": slowest,
        "reads": lists + more + counts + others,
        "rebuilds": rebuilds,
    }


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind}", str(tmp_path / kind.lower()))


def test_eight_talk_and_four_read_while_the_mirror_is_made_anew(tmp_path: Path) -> None:
    """Nobody is told that anything is locked, and no count ever drops."""
    figures = crowd(tmp_path, 8)
    assert figures["rebuilds"]
    assert figures["reads"]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_eight_talk_and_four_read_at_length(tmp_path: Path) -> None:
    """Ten thousand transactions and more."""
    figures = crowd(tmp_path, 650)
    print(figures)
    assert figures["transactions"] >= 10_000

"""Bytes that changed on the disk: flipped, cut off, doubled, of the vault's files and the mirror's.

Reading never fails and never writes; a line that is whole is read whatever became of its
neighbours; the mirror is made anew, or gives the answers of a fresh one, or doctor tells that it
does not.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import pytest
from faults import Faults
from home import Home, make_home, message, tree, write_many, write_session

from vault_sessions import Workspace, config, scan
from vault_sessions.errors import ConfigError
from vault_sessions.formats.meta import UnreadableMeta, changed_meta
from vault_sessions.formats.transcript import active_branch, parse
from vault_sessions.vault import open_vault

NASTY = (
    *(
        b"\x00",
        b"\xff",
        b"\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(
        b"\xe2\x80\xa8",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\\ud800",
        b"\x1b[2J",
        b"\t",
        b"9" * 400,
    ),
    *(
        b"[" * 2000,
        b'{"a":' * 500,
        b"- " * 200,
        b"---\n",
        b"&a *a",
        b"!!python/object:os.system",
        b": ",
    ),
    *(b"<<<<<<< ours\n", b"<!-- ", b"1e999", b"-0", b"NaN", b"null", b"\xc0\x80"),
)


def changed(chance: random.Random, data: bytes) -> bytes:
    """The bytes with something wrong in them."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 100)))
    match chance.randrange(9):
        case 0 | 1 | 2 if at < len(data):
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case 3 if at < len(data):
            return data[:at] + chance.randbytes(end - at) + data[end:]
        case 4:
            return data[:at]
        case 5:
            return data[:at] + data[end:]
        case 6:
            return data[:at] + data[at:end] * 2 + data[end:]
        case 7:
            return data[:at] + bytes(end - at) + data[end:]
        case _:
            return data[:at] + chance.choice(NASTY) + data[at:]


# --- the vault's files ---------------------------------------------------------------------------


def alike(one: bytes, other: bytes) -> int:
    """How many bytes they begin with are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def neighbours_are_read(before: bytes, after: bytes) -> None:
    """Lines behind and before the change are messages as they were."""
    head = alike(before, after)
    first = before[:head].count(b"\n")
    tail = alike(before[:head:-1], after[:head:-1])
    last = before[len(before) - tail :].count(b"\n")
    old, new = parse(before), parse(after)
    lines = before.count(b"\n")
    kept = [(m.role, m.text) for m in old.messages if m.line <= first]
    assert [(m.role, m.text) for m in new.messages][: len(kept)] == kept
    behind = [(m.role, m.text) for m in old.messages if m.line > lines - last + 1]
    if behind:
        assert [(m.role, m.text) for m in new.messages][-len(behind) :] == behind


class Readers:
    """Every kind of file, and what reads it."""

    def __init__(self, folder: Path) -> None:
        self.home = make_home(folder, sample=True)
        root = self.home.vault
        (root / ".vault-sessions/config.yaml").write_bytes(CONFIG)
        rich = [
            message("hi", id="1", created_at="2026-11-20T10:00:00.000Z", parent_id=None),
            message([{"type": "text", "text": "é"}], "user", id="2", parent_id="1"),  # type: ignore[arg-type]
            message("", "assistant", id="3", tool_calls=[{"id": "c", "function": {"name": "f"}}]),
            message("r", "tool", tool_call_id="c"),
            message("ok", "assistant", status="cancelled", usage={"prompt_tokens": 1}),
        ]
        compaction = {"id": "c", "through_message_id": "2", "summary": "s", "covered_hash": "0"}
        write_session(
            self.home,
            "rich",
            *rich,
            name="rich",
            compactions=[compaction],
            context=[{"type": "setting", "key": "k", "value": "v"}],
            ending={"reason": "new", "at": "2026-11-20T10:00:00.000Z"},
        )
        self.vault = open_vault(str(root))
        self.files = [
            path
            for pattern in ("atlas/**/*.jsonl", "atlas/**/*.json", "atlas/**/*.md")
            for path in sorted(root.glob(pattern))
            if path.name not in ("persona.md", "changes.jsonl")
        ] + [root / ".vault-sessions/config.yaml"]
        self.originals = {path: path.read_bytes() for path in self.files}

    def read(self, path: Path, data: bytes) -> None:
        """Have a file with these bytes read by what reads such files, and see it unchanged."""
        path.write_bytes(data)
        inside = path.relative_to(self.home.vault).as_posix()
        if path.suffix == ".yaml":
            try:
                settings = config.load("/nowhere/config.yaml", str(path), {})
                assert settings.scope in ("workspace", "directory", "vault")
            except ConfigError as error:
                if str(path) not in str(error):
                    raise
        elif path.suffix == ".md":
            assert scan.read_memory(self.vault, inside, 0) is not None
        else:
            stem = path.name.partition(".")[0]
            found = scan.read_session(self.vault, stem, 0, lambda _: [])
            assert found is not None
            assert len(active_branch(found.transcript.messages)) == found.session.message_count
            if path.suffix == ".jsonl":
                neighbours_are_read(self.originals[path], data)
            else:
                new = name_it(data)
                assert new is None or new != data
        assert path.read_bytes() == data


CONFIG = b"""\
# mine
ai:
  default_provider: offline
  sessions: {resume_window: 4h, scope: workspace}
  # a comment
  max_history_messages: 50
"""


def name_it(data: bytes) -> bytes | None:
    """Metadata with a name that no file has; None where it can't be changed."""
    try:
        new = changed_meta(data, {"name": "never a name before"})
    except UnreadableMeta:
        return None
    assert b"never a name before" in new
    return new


def read_many(folder: Path, variants: int, seed: int) -> Counter[str]:
    """So many variants, by kind of file."""
    chance = random.Random(seed)
    readers = Readers(folder)
    counts: Counter[str] = Counter()
    for number in range(variants):
        path = readers.files[number % len(readers.files)]
        data = changed(chance, readers.originals[path])
        if chance.random() < 0.3:
            data = changed(chance, data)
        readers.read(path, data)
        path.write_bytes(readers.originals[path])
        counts[path.suffix] += 1
    return counts


def test_files_with_changed_bytes_are_read() -> None:
    """Some thousands."""
    with faults.quick_folder() as folder:
        assert read_many(folder, 2_000, seed=3).total() == 2_000


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_files_with_changed_bytes_are_read() -> None:
    """A hundred thousand and more."""
    with faults.quick_folder() as folder:
        counts = read_many(folder, 110_000, seed=4)
    print(f"{counts.total()} variants: {dict(counts)}")
    assert counts.total() >= 100_000


COMMANDS = (
    *(("list",), ("list", "--json"), ("search", "the"), ("memory", "show"), ("config", "show")),
    *(("show", "rich"), ("show", "rich", "--json"), ("show", "vpc-design"), ("chat", "--why")),
)


def run_many(folder: Path, vaults: int, seed: int) -> int:
    """Vaults in which a third of the files are damaged, under every reading command; how many
    commands were run."""
    chance = random.Random(seed)
    readers = Readers(folder / "home")
    home = readers.home
    runs = 0
    with Faults(folder / "driver") as driver:
        for _ in range(vaults):
            for path, data in readers.originals.items():
                path.write_bytes(changed(chance, data) if chance.random() < 0.3 else data)
            before = tree(home.vault)
            for words in COMMANDS:
                done = driver.run(home, *words)
                assert done.code in (0, 1), done
                assert "Traceback" not in done.err, done
                assert done.code == 0 or "Error:" in done.err, done
                assert tree(home.vault) == before, words
                runs += 1
    return runs


def test_commands_on_damaged_vaults() -> None:
    """A few, under every reading command."""
    with faults.quick_folder() as folder:
        (folder / "home").mkdir()
        assert run_many(folder, 5, seed=5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_commands_on_many_damaged_vaults() -> None:
    """Hundreds."""
    with faults.quick_folder() as folder:
        (folder / "home").mkdir()
        print(f"{run_many(folder, 300, seed=6)} commands")


# --- the mirror ----------------------------------------------------------------------------------


WORDS = ("apple", "number", "quince", "fig*", "zzz")


def answers(home: Home, said: list[str]) -> dict[str, Any]:
    """What a workspace says of the vault."""
    with Workspace.open(home.vault, environment=home.environment, say=said.append) as workspace:
        found: dict[str, Any] = {"list": workspace.list(), "names": workspace.names()}
        for word in WORDS:
            hits = workspace.search(word, limit=1000)
            found[word] = sorted(hit._replace(score=0.0) for hit in hits)
        found["problems"] = sorted(workspace.problems())
        found["find"] = workspace.find("s003")
        return found


class Mirrors:
    """A vault whose mirror is damaged again and again."""

    def __init__(self, folder: Path) -> None:
        self.home = make_home(folder)
        for kind in ("CACHE", "STATE", "CONFIG"):
            os.environ[f"VAULT_SESSIONS_{kind}"] = str(folder / kind.lower())
        write_many(self.home, 30, each=6)
        write_session(self.home, "named", message("a fig"), name="Figs", topic="About figs")
        facts = self.home.vault / "atlas/memory/long-term/facts.md"
        facts.write_text("## Facts\n- A quince.\n- An apple.\n")
        for path in (*self.home.sessions.iterdir(), facts):
            os.utime(
                path, (1_700_000_000.5, 1_700_000_000.5)
            )  # long ago: nothing is looked at again
        with Workspace.open(self.home.vault, environment=self.home.environment) as workspace:
            workspace.sync()
            self.path = Path(workspace.mirror_path)
        self.wanted = answers(self.home, [])
        self.main = self.path.read_bytes()
        self.wal = self._with_wal()

    def _with_wal(self) -> tuple[bytes, bytes]:
        """The mirror as a killed program leaves it: with what was committed last in its log."""
        writer = sqlite3.connect(self.path, isolation_level=None)
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("UPDATE info SET value=value")
        writer.execute("UPDATE sessions SET topic=topic")
        both = self.path.read_bytes(), self.path.with_name("mirror.db-wal").read_bytes()
        writer.close()
        return both

    def put(self, main: bytes, wal: bytes | None) -> None:
        """Put a mirror in place."""
        for name in ("mirror.db-wal", "mirror.db-shm", "mirror.db"):
            self.path.with_name(name).unlink(missing_ok=True)
        self.path.write_bytes(main)
        if wal is not None:
            self.path.with_name("mirror.db-wal").write_bytes(wal)

    def damage(self, chance: random.Random) -> tuple[bytes, bytes | None]:
        """A mirror with something wrong in it, or in its log."""
        if chance.random() < 0.5:
            main, wal = self.wal
            return main, changed(chance, wal)
        return changed(chance, self.main), None


def comes_right(mirrors: Mirrors, said: list[str]) -> bool:
    """SQLite keeps no checksums: a letter changed within a text it gives as it is, and one in the
    full-text index costs a hit. A new mirror gives the right answers. Does ``doctor`` tell?"""
    with Workspace.open(mirrors.home.vault, environment=mirrors.home.environment) as workspace:
        told = any(one.problem.code == "mirror-differs" for one in workspace.repair.examine())
        workspace.reindex()
    assert answers(mirrors.home, said) == mirrors.wanted
    return told


def damage_many(folder: Path, variants: int, seed: int) -> Counter[str]:
    """So many damaged mirrors; how each was met."""
    chance = random.Random(seed)
    mirrors = Mirrors(folder)
    before = tree(mirrors.home.vault)
    met: Counter[str] = Counter()
    for _ in range(variants):
        main, wal = mirrors.damage(chance)
        mirrors.put(main, wal)
        said: list[str] = []
        found = answers(mirrors.home, said)
        wrong = [key for key in found if found[key] != mirrors.wanted[key]]
        if any("Building" in line for line in said):
            met["made anew"] += 1
        elif not wrong:
            met["right"] += 1
        if wrong:
            told = comes_right(mirrors, said)
            index = all(key in WORDS for key in wrong)
            met["told by doctor" if told else "in the index alone" if index else "WRONG"] += 1
        assert len(said) <= 2, said
    assert tree(mirrors.home.vault) == before
    return met


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    for kind in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind}", "")
    return lambda: None


@pytest.mark.usefixtures("own_environment")
def test_damaged_mirrors() -> None:
    """Some tens."""
    with faults.quick_folder() as folder:
        met = damage_many(folder, 60, seed=7)
    assert met["WRONG"] == 0, met


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("own_environment")
def test_many_damaged_mirrors() -> None:
    """A thousand and more."""
    with faults.quick_folder() as folder:
        met = damage_many(folder, 1200, seed=8)
    print(dict(met))
    assert met["WRONG"] == 0, met
    assert met["in the index alone"] < 12, met

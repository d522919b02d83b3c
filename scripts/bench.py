"""How fast is it? A table, and with `--json FILE` the same as JSON; see docs/performance.md.

Every time is a median of runs that alternate with those of its floor, on this machine, now. The
vault that is given is copied first and never written to. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bench_ui
import orjson

from vault_sessions import Workspace, folders, removal, sync
from vault_sessions.formats.fulltext import question_query, search_query
from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import active_branch, covered_hash, parse
from vault_sessions.lifecycle.desk import release
from vault_sessions.lifecycle.material import gather
from vault_sessions.lifecycle.opening import open_session
from vault_sessions.mirror import queries, store
from vault_sessions.rules import context
from vault_sessions.state import State
from vault_sessions.vault import Vault, append_message, open_vault
from vault_sessions.workspace.desk import desk_of

HERE = Path(__file__).resolve().parent
MS = 1e3


class Row(NamedTuple):
    """One line of the table. ``value`` is what ``most`` is about: a ratio, or ours itself."""

    name: str
    ours: float
    floor: float | None
    unit: str
    value: float
    most: float
    must: str
    note: str = ""

    @property
    def met(self) -> bool:
        """Does it keep within the limit?"""
        return self.value <= self.most


class Bench(NamedTuple):
    """What is measured on: copies of a large and a small vault, and words to look for."""

    root: Path
    small: Path
    work: Path
    words: dict[str, list[str]]
    runs: int


# --- measuring -----------------------------------------------------------------------------------


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alternate(runs: int, *works: Callable[[], object]) -> list[float]:
    """The median time of each, all run in turn."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(runs):
        for taken, work in zip(times, works, strict=True):
            taken.append(seconds(work))
    return [statistics.median(taken) for taken in times]


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that this part of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def by_ratio(
    name: str, ours: float, floor: float, most: float, unit: str = "ms", note: str = ""
) -> Row:
    """A row that is measured against its floor."""
    return Row(name, ours, floor, unit, ours / floor, most, f"≤ {most:g}×", note)


def by_time(name: str, ours: float, most: float) -> Row:
    """A row that is measured by the clock, in milliseconds."""
    return Row(name, ours, None, "ms", ours, most, f"≤ {most:g} ms")


def process(*command: str) -> None:
    """Run a program to its end, unseen. One that finds nothing is no failure."""
    null = subprocess.DEVNULL
    subprocess.run(command, stdin=null, stdout=null, stderr=null, check=False)


def program() -> list[str]:
    """The installed command, else the module."""
    installed = shutil.which("vault-sessions", path=str(Path(sys.executable).parent))
    return [installed] if installed else [sys.executable, "-m", "vault_sessions"]


# --- the mirror ----------------------------------------------------------------------------------


def transcripts(root: Path) -> list[Path]:
    """The transcripts of a vault, in the order of their names."""
    return sorted((root / "atlas/memory/sessions").glob("*.jsonl"))


def forget_mirror(root: Path) -> None:
    """Remove a vault's mirror."""
    shutil.rmtree(folders.vault_folder("cache", str(root)), ignore_errors=True)


def rebuild(root: Path) -> None:
    """Ours: the mirror anew, where there is none."""
    with Workspace.open(root) as workspace:
        workspace.reindex()


def rebuild_floor(root: Path, file: Path) -> None:
    """The floor: read, parse, insert, full text; nothing else, as Python and SQLite do it."""
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    connection.execute(
        "CREATE TABLE messages(message INTEGER PRIMARY KEY, session TEXT, id TEXT, role TEXT, "
        "content TEXT, created_at TEXT)"
    )
    connection.execute(
        "CREATE VIRTUAL TABLE found USING fts5(content, content='messages', "
        "content_rowid='message', tokenize='porter unicode61 remove_diacritics 2')"
    )
    number = 0
    for path in transcripts(root):
        rows = []
        for line in path.read_bytes().splitlines():
            try:
                m = orjson.loads(line)
                number += 1
                text = str(m["content"])
                rows.append((number, path.stem, m.get("id"), m["role"], text, m.get("created_at")))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        connection.executemany("INSERT INTO messages VALUES(?, ?, ?, ?, ?, ?)", rows)
        connection.executemany(
            "INSERT INTO found(rowid, content) VALUES(?, ?)", [(row[0], row[4]) for row in rows]
        )
    connection.commit()
    connection.close()


def full_rebuild(bench: Bench) -> Row:
    """A mirror from nothing."""
    floor_file = bench.work / "floor.db"

    def ours() -> None:
        rebuild(bench.root)

    times: list[tuple[float, float]] = []
    for _ in range(min(bench.runs, 3)):
        forget_mirror(bench.root)
        taken = seconds(ours)
        times.append((taken, seconds(lambda: rebuild_floor(bench.root, floor_file))))
    floor_file.unlink()
    mine, floor = (statistics.median(column) for column in zip(*times, strict=True))
    return by_ratio("full rebuild", mine, floor, 1.3, "s")


def mirror_size(bench: Bench) -> Row:
    """The mirror's file against the transcripts'."""
    with Workspace.open(bench.root) as workspace:
        size = os.path.getsize(workspace.mirror_path)
    text = sum(path.stat().st_size for path in transcripts(bench.root))
    return by_ratio("mirror size", size / 1e6, text / 1e6, 1.45, "MB")


# --- appending -----------------------------------------------------------------------------------


def known_mirror(root: Path) -> store.Mirror:
    """The mirror of a vault, when it knows all files."""
    with Workspace.open(root) as workspace:
        workspace.names(limit=1)
    folder = folders.vault_folder("cache", str(root))
    return store.open_mirror(folder, f"{os.path.realpath(root)}:atlas")


class Writer:
    """Appends messages to one session as a turn does, and mirrors them."""

    def __init__(self, root: Path, session: str) -> None:
        self.vault: Vault = open_vault(str(root))
        self.state = State(folders.vault_folder("state", str(root)))
        self.session = session
        self.mirror = known_mirror(root)
        self.count = 0
        self.at = datetime.now(UTC) - timedelta(minutes=30)

    def fields(self) -> dict[str, Any]:
        """A message of some 300 bytes, a second after the one before."""
        self.count += 1
        self.at += timedelta(seconds=1)
        return {
            "role": "user" if self.count % 2 else "assistant",
            "content": f"bench{self.count} " + "a plain sentence of a few words " * 4,
            "id": f"bench-{self.session}-{time.time_ns()}-{self.count}",
            "created_at": format_time(self.at),
        }

    def append(self, create: bool = False) -> tuple[Any, bytes]:
        """On disk."""
        with self.state.lock(self.session):
            return append_message(self.vault, self.session, self.fields(), create=create)

    def mirrored(self) -> float:
        """Append a message; how long it then took to be searchable."""
        where, line = self.append()
        return seconds(
            lambda: sync.appended(
                self.vault, self.mirror, datetime.now(UTC), self.session, where, line
            )
        )


@contextmanager
def writer(root: Path, session: str) -> Iterator[Writer]:
    """A Writer to a session that the mirror knows."""
    it = Writer(root, session)
    try:
        yield it
    finally:
        it.mirror.close()


def write_session(root: Path, session: str, messages: int) -> Path:
    """A session of so many messages of 1 kB, one every ten seconds up to an hour ago."""
    at = datetime.now(UTC) - timedelta(hours=1, seconds=10 * messages)
    path = root / f"atlas/memory/sessions/{session}.jsonl"
    with path.open("wb") as file:
        for number in range(messages):
            fields = {
                "role": "user" if number % 2 == 0 else "assistant",
                "content": f"message {number} " + "some words that fill a line " * 32,
                "id": f"{session}-{number}",
                "created_at": format_time(at + timedelta(seconds=10 * number)),
            }
            file.write(orjson.dumps(fields) + b"\n")
    return path


def appends(bench: Bench) -> list[Row]:
    """The worst append after a rebuild; the usual one, by size of vault and session."""
    rows: list[Row] = []
    for root, size in ((bench.root, "large"), (bench.small, "small")):
        write_session(root, "bench-short", 20)
        write_session(root, "bench-long", bench.runs * 2000)
        forget_mirror(root)
        rebuild(root)
        for session in ("bench-short", "bench-long"):
            with writer(root, session) as it:
                times = [it.mirrored() for _ in range(bench.runs * 200)]
            if not rows:
                rows.append(by_time("the worst of 1,000 appends", max(times) * MS, 50))
            kind = session.removeprefix("bench-")
            name = f"appended, to searchable: {size} vault, {kind} session, p50"
            rows.append(by_time(name, statistics.median(times) * MS, 1))
    return rows


def grown(bench: Bench) -> Row:
    """A line that another program adds to a large transcript, against reading that file."""
    path = write_session(bench.small, "bench-huge", bench.runs * 8000)
    short = str(path.relative_to(bench.small))

    def add() -> None:
        with path.open("ab") as file:
            m = {"role": "user", "content": "more", "id": f"x-{time.time_ns()}"}
            file.write(orjson.dumps({**m, "created_at": format_time(datetime.now(UTC))}) + b"\n")

    with writer(bench.small, "bench-huge") as it:
        times = []
        for _ in range(15):
            add()
            floor = seconds(path.read_bytes)
            ours = seconds(lambda: sync.sync(it.vault, it.mirror, datetime.now(UTC), [short]))
            times.append((ours, floor))
    mine, floor = (statistics.median(column) * MS for column in zip(*times, strict=True))
    size = f"{path.stat().st_size / 1e6:.0f} MB"
    return by_ratio(f"grown by others, {size}: to searchable / read", mine, floor, 2)


def durable_append(bench: Bench) -> Row:
    """An append with every check against write and fsync on a file that is kept open."""
    with writer(bench.small, "bench-append") as it:
        it.append(create=True)
        raw_path = bench.small / "atlas/memory/sessions/bench-raw.jsonl"
        raw = os.open(raw_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def floor() -> None:
            os.write(raw, orjson.dumps(it.fields(), option=orjson.OPT_APPEND_NEWLINE))
            os.fsync(raw)

        ours, base = alternate(max(300, bench.runs * 100), it.append, floor)
        os.close(raw)
    return by_ratio("durable append, all checks / write + fsync", ours * MS, base * MS, 1.2)


# --- starting ------------------------------------------------------------------------------------


def stat_scan(root: Path) -> int:
    """The floor of a start: stat every transcript and every meta file."""
    with os.scandir(root / "atlas/memory/sessions") as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)


def start(bench: Bench) -> Row:
    """Open the vault and be sure that nothing has changed."""

    def ours() -> None:
        with Workspace.open(bench.root) as workspace:
            workspace.names(limit=1)

    ours()
    mine, floor = alternate(bench.runs * 3, ours, lambda: stat_scan(bench.root))
    return by_ratio("start with nothing changed / stat", mine * MS, floor * MS, 2)


def commands(bench: Bench, hundred: Path) -> list[Row]:
    """Whole processes, against a Python that only imports what they can't do without."""
    run = program()
    vaults = (hundred, bench.root)
    for root in vaults:
        process(*run, "list", "--vault", str(root))
    process(*run, "--help")
    times = alternate(
        bench.runs * 5,
        lambda: process(sys.executable, "-I", "-c", "import click, sqlite3"),
        lambda: process(*run, "--help"),
        *[partial(process, *run, "list", "--vault", str(root)) for root in vaults],
        *[partial(stat_scan, root) for root in vaults],
    )
    floor, helped, few, many, scan_few, scan_many = (taken * MS for taken in times)
    count = f"{len(transcripts(bench.root)):,}"
    return [
        by_ratio("--help / import click, sqlite3", helped, floor, 2),
        by_ratio("list, 100 sessions, less the stat scan", few - scan_few, floor, 2),
        by_ratio(
            f"list, {count} sessions, less the stat scan",
            many - scan_many,
            floor,
            2,
            note=f"whole: {many:.0f} ms, of it {scan_many:.0f} ms the scan",
        ),
    ]


# --- searching -----------------------------------------------------------------------------------


def searches(bench: Bench) -> list[Row]:
    """In process, over words of every frequency: the query itself, for a Workspace compares the
    stamps before it, as a start does."""
    words = [word for kind, some in bench.words.items() if kind != "questions" for word in some]
    questions = bench.words["questions"]
    mirror = known_mirror(bench.root)

    def newest(text: str) -> None:
        queries.search(mirror, search_query(text), newest=True, limit=20)

    def ranked(text: str) -> None:
        queries.search(mirror, search_query(text), newest=False, limit=20)

    def asked(text: str) -> None:
        queries.search(mirror, question_query(text), newest=False, limit=20)

    by_age: list[float] = []
    by_rank: list[float] = []
    for _ in range(2):  # the first time warms the cache
        by_age = [seconds(partial(newest, word)) * MS for word in words]
        by_rank = [seconds(partial(ranked, word)) * MS for word in words]
        by_rank += [seconds(partial(asked, question)) * MS for question in questions]
    mirror.close()
    return [
        by_time("search, newest first, p50", percentile(by_age, 0.5), 1),
        by_time("search, newest first, p99", percentile(by_age, 0.99), 10),
        by_time("search by bm25, p50", percentile(by_rank, 0.5), 15),
        by_time("search by bm25, p99", percentile(by_rank, 0.99), 500),
    ]


def against_ripgrep(bench: Bench) -> list[Row]:
    """The command against ripgrep over the vault's folder."""
    if shutil.which("rg") is None:
        return []
    rows = []
    for kind in ("rare", "middling"):
        word = bench.words[kind][0]
        ours, floor = alternate(
            bench.runs * 3,
            partial(process, *program(), "search", word, "--vault", str(bench.root)),
            partial(process, "rg", "-i", word, str(bench.root)),
        )
        row = by_ratio(f"search command, {kind} word / ripgrep", ours * MS, floor * MS, 0.2)
        rows.append(row._replace(must="≤ 0.2× (5 times faster)"))
    return rows


# --- all of it -----------------------------------------------------------------------------------


# --- to files and away ---------------------------------------------------------------------------


def travel(bench: Bench) -> list[Row]:
    """Export and import of a session of 2,000 messages as JSON."""
    source = write_session(bench.small, "bench-travel", 2000)
    file, bare = bench.work / "travel.json", bench.work / "travel.raw"
    with Workspace.open(bench.small) as workspace:
        workspace.sync()

        def export() -> None:
            workspace.transfer.export("bench-travel", str(file), force=True)

        def export_floor() -> None:
            lines = source.read_bytes().splitlines()
            write_durably(bare, orjson.dumps([orjson.loads(line) for line in lines]))

        ours, floor = alternate(max(5, bench.runs), export, export_floor)
        rows = [by_ratio("export, 2,000 messages / read, dumps", ours * MS, floor * MS, 3)]
        data = source.read_bytes()
        copies = source.parent
        number = 0

        def bring() -> None:
            nonlocal number
            number += 1
            workspace.transfer.import_checkpoint(str(file), name=f"travelled {number}")

        def bring_floor() -> None:
            write_durably(copies / f"bench-raw-{number}.jsonl", data)
            workspace.sync()

        ours, floor = alternate(max(5, bench.runs), bring, bring_floor)
    return [*rows, by_ratio("import of it / write, sync", ours * MS, floor * MS, 3)]


def write_durably(path: Path, data: bytes) -> None:
    """Write and fsync."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def prompts(bench: Bench) -> list[Row]:
    """The prompt of a turn in a session of 2,000 messages, of which a compaction covers 1,960: the
    first of a run, which proves that it still holds, and those after it."""
    path = write_session(bench.small, "bench-prompt", 2000)
    branch = active_branch(parse(path.read_bytes()).messages)
    record = {
        "id": "bench",
        "through_message_id": branch[1959].id,
        "covered_hash": covered_hash(branch[:1960]),
        "summary": "a plain sentence of a few words. " * 60,
    }
    path.with_suffix(".meta.json").write_bytes(orjson.dumps({"compactions": [record]}))
    with Workspace.open(bench.small) as workspace:
        desk = desk_of(workspace.core)
        conversation = open_session(desk, "bench-prompt")
        asked = conversation.messages[-2]._replace(id="asked", text="And what was decided then?")

        def build() -> None:
            material = gather(desk, conversation, asked, [])
            assert material.summary is not None
            context.build(material, context.Limits())

        def build_first() -> None:
            conversation.force = None
            build()

        first, later = alternate(bench.runs * 20, build_first, build)
        release(conversation)
    name = "prompt, 2,000 messages with a compaction"
    return [by_time(f"{name}, first", first * MS, 5), by_time(f"{name}, later", later * MS, 5)]


def clean(bench: Bench) -> Row:
    """Half of all sessions to the trash, against the renames alone and the mirror's transaction."""
    with Workspace.open(bench.root) as workspace:
        go = [session.id for session in workspace.list()[1::2]]
        now = datetime.now(UTC)
        paths: list[str] = []
        moving = seconds(
            lambda: paths.extend(removal.delete(workspace.vault, workspace.state, go, "bench", now))
        )
        known = known_mirror(bench.root)
        mirror = seconds(lambda: sync.sync(workspace.vault, known, now, paths))
        known.close()
    here, there = bench.work / "from", bench.work / "to"
    for folder in (here, there):
        folder.mkdir()
    for number in range(len(paths)):
        (here / str(number)).touch()

    def renames() -> None:
        for number in range(len(paths)):
            (here / str(number)).rename(there / str(number))

    floor = seconds(renames) + mirror
    return by_ratio(f"clean of {len(go):,} sessions", moving + mirror, floor, 2, "s")


def screens(bench: Bench) -> list[Row]:
    """The terminal UI: until it is seen, until all sessions are listed, until a key has its effect.

    What a key takes is the 95th percentile.
    """
    chat = [*program(), "--vault", str(bench.root), "chat"]
    paints = [bench_ui.first_paint(chat) for _ in range(bench.runs)]
    opens, moves = zip(*(bench_ui.picker(chat, 40) for _ in range(bench.runs)), strict=True)
    waits, stopped = bench_ui.typing(chat, bench.work, 100)
    move = percentile([each for some in moves for each in some], 0.95)
    return [
        by_time("chat until its screen is seen", statistics.median(paints) * MS, 600),
        by_time("all sessions on the screen", statistics.median(opens) * MS, 200),
        by_time("a key in the list of all, p95", move * MS, 50),
        by_time("a key while an answer streams, p95", percentile(waits, 0.95) * MS, 50),
        by_time("Esc until an answer has ended", stopped * MS, 200),
    ]


def make_vault(folder: Path, sessions: int) -> Path:
    """A generated vault, and its queries beside it."""
    queries = folder.with_name(folder.name + ".queries.json")
    command = [sys.executable, str(HERE / "make_vault.py"), str(folder)]
    command += ["--sessions", str(sessions), "--queries", str(queries)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return queries


def measure(bench: Bench, hundred: Path) -> list[Row]:
    """Every row of the table. What writes to the vault comes last."""
    rows = [full_rebuild(bench), mirror_size(bench), start(bench), *screens(bench)]
    rows += [*commands(bench, hundred), *searches(bench), *against_ripgrep(bench)]
    rows += [*appends(bench), grown(bench), durable_append(bench)]
    return [*rows, *prompts(bench), *travel(bench), clean(bench)]


def machine() -> dict[str, str]:
    """What it was measured on."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def as_json(row: Row) -> dict[str, Any]:
    """A row as an object."""
    ratio = None if row.floor is None else row.ours / row.floor
    return {
        "name": row.name,
        "ours": row.ours,
        "floor": row.floor,
        "unit": row.unit,
        "ratio": ratio,
        "must": row.must,
        "met": row.met,
        "note": row.note,
    }


def table(rows: Iterable[Row]) -> str:
    """The rows for people, as Markdown."""
    lines = ["| | ours | floor | ratio | must | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        floor = "" if row.floor is None else f"{row.floor:.3g} {row.unit}"
        ratio = "" if row.floor is None else f"{row.value:.2f}×"
        name = f"{row.name} ({row.note})" if row.note else row.name
        met = "yes" if row.met else "**no**"
        lines.append(
            f"| {name} | {row.ours:.3g} {row.unit} | {floor} | {ratio} | {row.must} | {met} |"
        )
    return "\n".join(lines)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vault", type=Path, help="measure on a copy of this vault")
    parser.add_argument("--queries", type=Path, help="its words (default: VAULT.queries.json)")
    parser.add_argument("--quick", action="store_true", help="a small vault, few runs")
    parser.add_argument("--sessions", type=int, help="size of the vault that is made")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    given = parser.parse_args()
    if given.vault and given.queries is None:
        given.queries = given.vault.with_name(given.vault.name + ".queries.json")
    if given.vault and not given.queries.is_file():
        parser.error(f"{given.queries} is missing: make_vault.py --queries writes it")
    return given


def prepare(given: argparse.Namespace, work: Path) -> tuple[Bench, Path]:
    """The vaults to measure on, in a folder of our own; caches and settings are there too."""
    for kind in ("CACHE", "STATE", "CONFIG"):
        os.environ[f"VAULT_SESSIONS_{kind}"] = str(work / kind.lower())
    # compiled once, as what pip installs is, but not into the project's folder
    os.environ["PYTHONPYCACHEPREFIX"] = str(work / "compiled")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    large, small, hundred = work / "large", work / "small", work / "hundred"
    if given.vault:
        subprocess.run(["cp", "-a", "--reflink=auto", str(given.vault), str(large)], check=True)
        queries = given.queries
    else:
        queries = make_vault(large, given.sessions or (1_000 if given.quick else 20_000))
    make_vault(hundred, 100)
    make_vault(small, min(given.sessions or 1_000, 1_000))
    words = json.loads(queries.read_bytes())
    return Bench(large, small, work, words, 1 if given.quick else 5), hundred


def main() -> int:
    """Measure, print, write."""
    given = options()
    with tempfile.TemporaryDirectory(prefix="vault-bench-") as folder:
        bench, hundred = prepare(given, Path(folder))
        sessions = len(transcripts(bench.root))
        rows = measure(bench, hundred)
    described = machine()
    print(table(rows))
    print("\n" + "; ".join(f"{key}: {value}" for key, value in described.items()))
    if given.json:
        document = {"machine": described, "sessions": sessions, "rows": [*map(as_json, rows)]}
        given.json.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A fault at every system call of every writing command: nothing acknowledged is lost.

After each: what had been there is there, what was said to be done is done, what was said not to be
done is not; one error, no traceback; and the same command works the next time, with the mirror that
a fresh reading would give. ``pytest -m fault`` tries every call with every fault; the normal run
a few of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import faults
import pytest
from clerk import Clerk
from faults import KINDS, Call, Fault, Faults, Run
from home import Home, make_home, message, tree, write_session

from vault_sessions.cli import COMMANDS
from vault_sessions.formats.transcript import parse

pytestmark = pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))

TALK = "20261120-090000-aaaaaa"
OLD = "20261120-100000-bbbbbb"
QUESTION = "Remember the quince number 4711."


def _nothing(home: Home) -> None:
    """Nothing is prepared."""


class Case(NamedTuple):
    """A writing command. ``done`` says whether it is; ``files`` it may change besides appending to
    transcripts, and in metadata only ``keys``. ``rewrites``: what it takes out is in the trash.
    ``alone``: it starts another program, whose faults are not ours."""

    name: str
    arguments: tuple[str, ...]
    done: Callable[[Home], bool]
    files: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    stdin: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    prepare: Callable[[Home], None] = _nothing
    rewrites: bool = False
    alone: bool = False


CLERK: list[str] = []
"""Where the model's server is, while the tests of this file run."""


@pytest.fixture(scope="module", autouse=True)
def clerk() -> Iterator[None]:
    with Clerk() as server:
        CLERK.append(server.base_url)
        yield
        CLERK.clear()
        if server.asked:
            assert set(server.asked) == {"facts", "summary", "snapshot"}


def transcripts(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.sessions.glob("[!.]*.jsonl")}


def said(home: Home) -> bool:
    """Is the question in a transcript, and an answer behind it?"""
    return any(
        m.text == QUESTION and any(later.role == "assistant" for later in read.messages[at:])
        for data in transcripts(home).values()
        for read in [parse(data)]
        for at, m in enumerate(read.messages)
    )


def meta_says(stem: str, key: str, value: str) -> Callable[[Home], bool]:
    def done(home: Home) -> bool:
        meta = json.loads((home.sessions / f"{stem}.meta.json").read_bytes())
        return bool(meta.get(key) == value)

    return done


def no_mirror(home: Home) -> None:
    shutil.rmtree(home.folder / "cache", ignore_errors=True)


def ended(home: Home) -> None:
    path = home.sessions / f"{TALK}.meta.json"
    meta = json.loads(path.read_bytes())
    meta |= {"ended_at": "2026-11-20T12:00:00.000Z", "end_reason": "command"}
    path.write_text(json.dumps(meta))


ENDED = ("ended_at", "end_reason", "duration_seconds")


def is_ended(home: Home) -> bool:
    meta = json.loads((home.sessions / f"{TALK}.meta.json").read_bytes())
    facts = (home.vault / "atlas/memory/long-term/facts.md").read_text()
    return all(key in meta for key in ENDED) and facts.count("- Lives in Denver") == 1


def lives_in_denver(home: Home) -> None:
    with open(home.sessions / f"{TALK}.jsonl", "ab") as file:
        file.write(message("I live in Denver. And you?", id="a3"))
        file.write(message("Nowhere.", "assistant", id="a4"))


def asks_the_clerk(home: Home) -> None:
    """There is no summary yet, and enough to make one of."""
    lives_in_denver(home)
    with open(home.sessions / f"{TALK}.jsonl", "ab") as file:
        file.write(message("I work at the Mill.", id="a5"))
        file.write(message("Since when?", "assistant", id="a6"))
        file.write(message("I play the cello.", id="a7"))
        file.write(message("How nice.", "assistant", id="a8"))
    next((home.vault / "atlas/memory/long-term").glob("session-*.md")).unlink()
    provider = {"base_url": CLERK[0], "model": "test-model"}
    ai = {"default_provider": "local", "providers": {"local": provider}}
    (home.folder / "config").mkdir(exist_ok=True)
    (home.folder / "config/config.yaml").write_text(json.dumps({"ai": ai}))


def torn(home: Home) -> None:
    with open(home.sessions / f"{TALK}.jsonl", "ab") as file:
        file.write(b'{"role":"user","content":"cut o')


def editor(home: Home) -> None:
    line = message("typed by hand").decode().strip()
    (home.folder / "editor").write_text(f"printf '%s\\n' '{line}' >> \"$1\"\n")


def edited(home: Home) -> bool:
    return b"typed by hand" in transcripts(home)[f"{TALK}.jsonl"]


def set_in(home: Home) -> bool:
    path = home.folder / "config/config.yaml"
    return path.exists() and "resume_window: 9h" in path.read_text()


def made(home: Home) -> bool:
    parts = ("atlas/memory/sessions", "atlas/memory/long-term/facts.md", "atlas/identity/user.md")
    return all((home.folder / "fresh" / part).exists() for part in parts)


def has_mirror(home: Home) -> bool:
    return any((home.folder / "cache").rglob("mirror.db"))


def with_git(home: Home) -> None:
    words = ["git", "init", "-q", str(home.vault)]
    subprocess.run(words, env=home.environment, check=True)


def driver_set(home: Home) -> bool:
    config = (home.vault / ".git/config").read_text()
    attributes = home.vault / ".gitattributes"
    return "merge-driver" in config and attributes.exists() and b"merge=" in attributes.read_bytes()


def broken(home: Home) -> None:
    """A byte order mark, a doubled line, a torn one, and a conflict copy with a message more."""
    path = home.sessions / f"{TALK}.jsonl"
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xef\xbb\xbf" + first * 2 + b"".join(rest) + b'{"role":"user","content":"cu')
    copy = home.sessions / f"{OLD}.sync-conflict-20261120-120000-ABCDEFG.jsonl"
    more = message("quince from elsewhere", id="b9")
    copy.write_bytes((home.sessions / f"{OLD}.jsonl").read_bytes() + more)


def mended(home: Home) -> bool:
    found = transcripts(home)
    whole = [m.id for m in parse(found[f"{TALK}.jsonl"]).messages] == ["a1", "a2"]
    merged = [m.id for m in parse(found[f"{OLD}.jsonl"]).messages][-1] == "b9"
    return whole and merged and len(found) == 2


EDITOR = (("EDITOR", "sh ../editor"),)
WITH = ("provider", "model")
CASES = [
    Case("chat", ("chat", "-s", TALK, "-m", QUESTION), said, keys=WITH),
    Case("chat, the first words", ("chat", "--new", "-m", QUESTION), said, keys=("ending",)),
    Case(
        "chat, no mirror", ("chat", "-s", TALK, "-m", QUESTION), said, keys=WITH, prepare=no_mirror
    ),
    Case("chat from stdin", ("chat", "-s", TALK, "-m", "-"), said, keys=WITH, stdin=QUESTION),
    Case("chat by a new name", ("chat", "-s", "quince", "-m", QUESTION), said),
    Case(
        "chat in an ended session",
        ("chat", "-s", TALK, "-m", QUESTION),
        said,
        keys=("ended_at", "end_reason", "ending", "duration_seconds", *WITH),
        prepare=ended,
    ),
    Case(
        "chat behind a torn line",
        ("chat", "-s", TALK, "-m", QUESTION),
        said,
        keys=WITH,
        prepare=torn,
    ),
    Case("rename", ("rename", TALK, "quinces"), meta_says(TALK, "name", "quinces"), keys=("name",)),
    Case("rename, no meta", ("rename", OLD, "pears"), meta_says(OLD, "name", "pears")),
    Case(
        "topic",
        ("rename", "--topic", TALK, "About quinces"),
        meta_says(TALK, "topic", "About quinces"),
        keys=("topic", "topic_source"),
    ),
    Case(
        "end",
        ("end", TALK),
        is_ended,
        files=(
            "vault/atlas/memory/long-term/facts.md",
            "vault/atlas/memory/long-term/session-2026-11-20-fruit.md",
        ),
        keys=("ending", *ENDED, "learned_through", "pending_facts", "summary_file"),
        prepare=lives_in_denver,
    ),
    Case(
        "end, with a model",
        ("end", TALK),
        is_ended,
        files=(
            "vault/atlas/identity/user.md",
            "vault/atlas/memory/long-term/facts.md",
            "vault/atlas/memory/long-term/session-2026-11-20-fruit.md",
        ),
        keys=("ending", *ENDED, "learned_through", "pending_facts", "summary_file"),
        prepare=asks_the_clerk,
    ),
    Case("edit", ("edit", TALK), edited, prepare=editor, variables=EDITOR, alone=True),
    Case(
        "config set",
        ("config", "set", "ai.sessions.resume_window", "9h"),
        set_in,
        files=("config/config.yaml",),
    ),
    Case("init", ("init", "../fresh"), made),
    Case(
        "init --git",
        ("init", "--git"),
        driver_set,
        files=("vault/.git/config", "vault/.git"),
        prepare=with_git,
        alone=True,
    ),
    Case("doctor --fix", ("doctor", "--fix"), mended, prepare=broken, rewrites=True),
    Case("watch --once", ("watch", "--once"), has_mirror, prepare=no_mirror),
    Case("reindex", ("reindex",), has_mirror),
    Case("reindex, no mirror", ("reindex",), has_mirror, prepare=no_mirror),
]


# --- what must hold ------------------------------------------------------------------------------


def known_files(home: Home) -> dict[str, bytes]:
    """What belongs to the owner: the vault and the settings."""
    files = {f"vault/{name}": data for name, data in tree(home.vault).items()}
    if (home.folder / "config").is_dir():
        files |= {f"config/{n}": data for n, data in tree(home.folder / "config").items()}
    return files


def check_kept(case: Case, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Nothing that was there is gone or changed, but what the command is there to change."""
    thrown = {data for name, data in after.items() if "/trash/" in name}
    for name, old in before.items():
        new = after.get(name)
        if new == old or (case.rewrites and old in thrown):
            continue
        assert new is not None, f"{name} is gone"
        if name.endswith(".jsonl"):
            assert new.startswith(old), f"{name} has lost what it had"
        elif name.endswith(".meta.json"):
            was, now = json.loads(old), json.loads(new)
            changed = {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
            assert changed <= set(case.keys), (name, changed)
        else:
            assert name in case.files, f"{name} was changed"
    for name, data in after.items():
        if name.endswith(".meta.json") and "/trash/" not in name:
            assert isinstance(json.loads(data), dict), f"{name} is broken"


def check_said(case: Case, fault: Fault, path: str, done: Run) -> None:
    """One error and no traceback; an interrupted call is no error at all."""
    assert "Traceback" not in done.err
    assert "Exception" not in done.err
    if fault.kind == "KILL":
        assert done.code in (-9, 0), done
        return
    if case.rewrites and done.code == 1 and done.out and "Error:" not in done.err:
        return  # it tells of problems that remain
    if done.code:
        assert done.code == 1, done
        lines = done.err[done.err.index("Error:") :]
        assert 1 <= lines.count("\n") <= 2, done.err
    else:
        assert "Error:" not in done.err
    if fault.kind == "EINTR" and "cache" not in path:
        assert done.code == 0, done
    # whose whole work is the mirror, fails with it
    if path.startswith("cache/") and case.arguments[0] not in ("reindex", "watch"):
        assert done.code == 0, f"the mirror is a copy: {done}"


def check_true(
    case: Case, home: Home, before: dict[str, bytes], after: dict[str, bytes], done: Run
) -> None:
    """What was said to be done is, what was said not to be done is not."""
    if done.code == 0:
        assert case.done(home), done
    text = QUESTION.encode()
    there = any(text in data for data in transcripts(home).values())
    if "message was not saved" in done.err:
        assert not there, "said not to be saved, and is"
    if case.arguments[0] == "chat" and done.out.strip():
        assert there, "answered and not saved"
    if "Nothing was changed" in done.err:
        files = [name for name in before if name.endswith((".meta.json", "config.yaml"))]
        assert all(after[name] == before[name] for name in files), done.err


def check_next(case: Case, home: Home, driver: Faults) -> None:
    """The command works the next time, and every reader sees what the files say."""
    variables: dict[str, Any] = dict(case.variables)
    again = driver.run(home, *case.arguments, stdin=case.stdin, **variables)
    assert again.code == 0, again
    assert case.done(home)
    for name, data in transcripts(home).items():
        wrong = parse(data).problems
        assert case.prepare is torn or not wrong, (name, wrong)
    fresh = str(home.folder / "elsewhere")
    search = [("search", "--json", "quince")] if len(again.err) % 4 == 0 else []
    for words in (("list", "--json"), *search):
        here = driver.run(home, *words)
        anew = driver.run(home, *words, VAULT_SESSIONS_CACHE=fresh)
        assert here.code == anew.code == 0, here
        assert _facts(here.out) == _facts(anew.out)
        assert not here.err or case.prepare is torn, here.err
    shutil.rmtree(fresh)


def _facts(text: str) -> Any:
    """What is listed or found; how well it fits depends on the order in which it was read."""
    rows = [{k: v for k, v in row.items() if k != "score"} for row in json.loads(text)]
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


# --- trying --------------------------------------------------------------------------------------


class Bench:
    """A home that is as new for every try, and a driver."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home_folder = folder / "home"
        self.driver = Faults(folder / "driver")

    def fresh(self, case: Case) -> Home:
        template = self.folder / "template"
        if not template.exists():
            self._make(template)
        if self.home_folder.exists():
            shutil.rmtree(self.home_folder)
        shutil.copytree(template, self.home_folder, symlinks=True)
        home = Home(self.home_folder)
        case.prepare(home)
        return home

    def _make(self, template: Path) -> None:
        self.home_folder.mkdir()
        home = make_home(self.home_folder)
        at = "2026-11-20T09:00:00.000Z"
        talk = [message("An apple?", id="a1", created_at=at)]
        talk += [message("Yes.", "assistant", id="a2", created_at=at)]
        write_session(home, TALK, *talk, version=1, id=TALK, name=None, mine="kept", topic="Fruit")
        write_session(home, OLD, *(message(f"pear {n}", id=f"b{n}") for n in range(4)))
        long_term = home.vault / "atlas/memory/long-term"
        (long_term / "facts.md").write_text("## Facts\n- The quince is ripe.\n")
        (long_term / "session-2026-11-20-fruit.md").write_text(
            f"---\nsession_id: {TALK}\n---\n# Fruit\n\n## Summary\nApples.\n"
        )
        (home.vault / ".vault-sessions/config.yaml").write_text("# mine\n")
        assert self.driver.run(home, "list").code == 0
        shutil.move(self.home_folder, template)

    def points(self, case: Case, each: int) -> list[tuple[Case, Fault, str]]:
        """Every call on a file of the vault, the settings and the state, and ``each`` of every
        kind of call on every file of the mirror. What changes a file with every fault, the others
        with two of them in turn."""
        home = self.fresh(case)
        options: dict[str, Any] = dict(case.variables)
        options |= {"stdin": case.stdin, "alone": case.alone}
        calls, done = self.driver.calls(home, *case.arguments, **options)
        assert done.code == 0, (case.name, done)
        assert case.done(home)
        kinds: dict[tuple[str, str], list[Call]] = {}
        for call in calls:
            name = "" if call.path.startswith("cache/") else f"{call.path} {call.number}"
            kinds.setdefault((call.name, name or call.path.rsplit("/", 1)[-1]), []).append(call)
        chosen = [
            group[len(group) * index // min(each, len(group))]
            for group in kinds.values()
            for index in range(min(each, len(group)))
        ]
        turn = cycle(KINDS)
        return [
            (case, Fault(call.name, call.number, kind), call.path)
            for call in chosen
            for kind in (
                (next(turn), next(turn))
                if call.name.startswith("open") or call.path.startswith("cache/")
                else KINDS
            )
        ]

    def attempt(self, case: Case, fault: Fault, path: str) -> Run:
        """One fault, and all that must hold after it."""
        home = self.fresh(case)
        before = known_files(home)
        options: dict[str, Any] = dict(case.variables)
        options |= {"stdin": case.stdin, "alone": case.alone}
        done = self.driver.fail(home, fault, *case.arguments, **options)
        after = known_files(home)
        check_kept(case, before, after)
        check_said(case, fault, path, done)
        check_true(case, home, before, after, done)
        check_next(case, home, self.driver)
        return done


@contextmanager
def benches(count: int) -> Iterator[list[Bench]]:
    with faults.quick_folder() as folder:
        made = [Bench(folder / str(number)) for number in range(count)]
        for bench in made:
            bench.driver.__enter__()
        try:
            yield made
        finally:
            for bench in made:
                bench.driver.__exit__()


def attempt_all(
    made: list[Bench], points: list[tuple[Case, Fault, str]]
) -> tuple[list[str], Counter[str]]:
    """Try all points, on all benches at once: what failed, and how the others ended."""
    queue: SimpleQueue[tuple[Case, Fault, str]] = SimpleQueue()
    for point in points:
        queue.put(point)
    failures: list[str] = []
    ends: Counter[str] = Counter()

    def work(bench: Bench) -> None:
        while True:
            try:
                case, fault, path = queue.get_nowait()
            except Empty:
                return
            try:
                done = bench.attempt(case, fault, path)
                end = {0: "done", 1: "error", -9: "killed"}[done.code]
                ends[f"{fault.kind}: {end}"] += 1
            except Exception as failure:  # noqa: BLE001  # told at the end, with all others
                where = re.sub(r"\.\d+-\d+\.tmp", ".tmp", path)
                failures.append(f"{case.name}: {fault} on {where}: {failure!r}"[:1200])

    threads = [threading.Thread(target=work, args=(bench,)) for bench in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures, ends


def usable() -> list[Case]:
    """The cases whose commands there are."""
    return [case for case in CASES if case.arguments[0] in COMMANDS]


def told(failures: list[str]) -> str:
    return f"{len(failures)} points failed:\n" + "\n".join(sorted(failures)[:40])


def test_some_faults() -> None:
    """Every command, a few of its calls."""
    with benches(2) as made:
        points: list[tuple[Case, Fault, str]] = []
        for number, case in enumerate(usable()):
            found = [p for p in made[number % 2].points(case, 1) if not p[2].startswith("cache/")]
            points += found[number :: max(len(found) // 2, 1)][:2]
        failures, _ = attempt_all(made, points)
    assert not failures, told(failures)


@pytest.mark.fault
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", usable(), ids=lambda case: str(case.name))
def test_every_fault(case: Case, record_property: Callable[[str, object], None]) -> None:
    """Every call of the command that is not the mirror's, and some of every kind that are."""
    with benches(min(2, os.cpu_count() or 1)) as made:
        points = made[0].points(case, 2)
        failures, ends = attempt_all(made, points)
    record_property("points", len(points))
    print(f"{case.name}: {len(points)} points: {dict(sorted(ends.items()))}")
    if failures:
        print(told(failures))
    assert not failures, told(failures)

"""A vault made to do harm: nothing outside it is read or written, and no command is held up.

Each attack is one thing wrong in a vault, or one thing said to the program; then every command is
run on it. Outside stands a secret that must not be told and a folder that must not change. Each
command ends by itself within a second of the processor's time and 200 MB.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import faults
import pytest
from faults import Faults, Run
from home import SESSIONS, Home, make_home, message, tree, write_session

from vault_sessions import Workspace
from vault_sessions.errors import VaultSessionsError

SECRET = "TOPSECRET"
SECONDS = 1.0
MEGABYTES = 200.0
LONG_TERM = "atlas/memory/long-term"

Prepare = Callable[[Home], None]


class Attack(NamedTuple):
    """What is wrong in the vault, and what is said to the program besides the usual."""

    name: str
    prepare: Prepare
    words: tuple[tuple[str, ...], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


def usual(home: Home) -> None:
    """Nothing is wrong in the vault."""


def said(*words: str, **variables: str) -> Attack:
    """An attack by the command line alone."""
    shown = " ".join([*words, *variables.values()])
    return Attack(f"said: {ascii(shown)[1:60]}", usual, (words,), tuple(variables.items()))


def put(path: str, data: bytes | str) -> Prepare:
    """A file of the vault has these bytes."""

    def prepare(home: Home) -> None:
        target = home.vault / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode())

    return prepare


def link(path: str, to: str) -> Prepare:
    """A symbolic link stands there; ``to`` is from the folder in which the vault is."""

    def prepare(home: Home) -> None:
        target = home.vault / path
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(home.folder / to)

    return prepare


def hard_link(path: str, to: str) -> Prepare:
    def prepare(home: Home) -> None:
        (home.vault / path).unlink(missing_ok=True)
        os.link(home.folder / to, home.vault / path)

    return prepare


def instead(path: str, kind: str) -> Prepare:
    """A FIFO, a socket, a folder or a link to a device stands there."""

    def prepare(home: Home) -> None:
        target = home.vault / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        match kind:
            case "fifo":
                os.mkfifo(target)
            case "socket":
                here = os.getcwd()
                os.chdir(target.parent)  # the path of a socket is short
                try:
                    with socket.socket(socket.AF_UNIX) as made:
                        made.bind(target.name)
                finally:
                    os.chdir(here)
            case "folder":
                target.mkdir()
            case "file":
                target.write_bytes(b"in the way")
            case device:
                target.symlink_to(f"/dev/{device}")

    return prepare


def hole(path: str, size: int) -> Prepare:
    """A file of so many bytes that takes no room on the disk."""

    def prepare(home: Home) -> None:
        put(path, b"")(home)
        os.truncate(home.vault / path, size)

    return prepare


EVIL = f"{SESSIONS}/evil.jsonl"
META = f"{SESSIONS}/evil.meta.json"
FACTS = f"{LONG_TERM}/facts.md"
SUMMARY = f"{LONG_TERM}/session-2026-11-20-x.md"
SKILL = "atlas/skills/evil.md"
CONFIG = ".vault-sessions/config.yaml"
USER, PERSONA = "atlas/identity/user.md", "atlas/identity/persona.md"

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{this}: &{this} [{','.join(['*' + before] * 9)}]\n"
    for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML = {
    "a billion laughs": LAUGHS,
    "an alias to itself": "a: &a [*a]\n",
    "merged keys": "a: &a {b: c}\nd:\n  <<: *a\n",
    "nesting of brackets": "a: " + "[" * 50_000 + "\n",
    "nesting of braces": "a: " + "{a: " * 20_000 + "\n",
    "nesting of lines": "".join(f"{' ' * n}a:\n" for n in range(1500)),
    "a huge integer": f"a: {'9' * 100_000}\n",
    "a huge float": f"a: 1e{'9' * 10_000}\n",
    "a number to the base of 60": f"a: {':'.join(['59'] * 5000)}\n",
    "a time that is none": "a: 2026-99-99 25:61:61\n",
    "a python object": "a: !!python/object/apply:os.system ['touch /tmp/owned']\n",
    "a python name": "a: !!python/name:os.system\n",
    "a tag of its own": "a: !evil {b: c}\n",
    "binary": f"a: !!binary {'A' * 100_001}\n",
    "a set": "a: !!set {b, c}\n",
    "many documents": "--- {}\n" * 20_000,
    "a directive": "%YAML 9.9\n%TAG ! tag:evil,2026:\n--- !x {}\n",
    "a key that is a list": "? [a, b]\n: c\n",
    "many keys": "".join(f"k{n}: v\n" for n in range(20_000)),
    "a key twice": "session_id: a\nsession_id: b\n",
    "bytes that are no text": b"a: \xff\xfe\x00b\n".decode("latin-1"),
    "a long scalar": f"a: {'x' * 5_000_000}\n",
}


def front_matter(text: str) -> bytes:
    return f"---\n{text}---\n# Title\n\n## Summary\npear\n".encode("utf-8", "surrogateescape")


def meta(**fields: object) -> bytes:
    return json.dumps({"version": 1, "id": "evil", **fields}).encode()


JSON = {
    "deep nesting": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a huge integer": b'{"version":' + b"9" * 100_000 + b"}",
    "a huge float": b'{"duration_seconds":1e99999}',
    "a deep value": b'{"metadata":' + b"[" * 900 + b"]" * 900 + b"}",
    "a name that controls": meta(name="a\x1b]0;owned\x07b\u202e\u2066"),
    "a name of a megabyte": meta(name="n" * 1_000_000),
    "a topic of ten megabytes": meta(topic="t" * 10_000_000),
    "names of every type": meta(name=[], topic={}, created_at=9, ending="x", ended_at=[1]),
    "many compactions": meta(
        compactions=[{"id": str(n), "through_message_id": "1"} for n in range(20_000)]
    ),
    "a summary file elsewhere": meta(summary_file="../../../outside/secret.md"),
    "context from elsewhere": meta(
        context=[{"type": "stack_file", "key": "/outside/secret.md", "value": ""}]
    ),
    "a directory elsewhere": meta(directory="/proc/self/root", git_root="../../outside"),
    "another one's id": meta(id="../../../outside/secret"),
    "a version of the future": meta(version=10**30),
    "a time of no calendar": meta(created_at="99999-99-99T99:99:99Z"),
    "a skill elsewhere": meta(skill="../../../outside/secret"),
    "a provider elsewhere": meta(provider="../x", model="\x1b[2J"),
}
LINES = {
    "a line of 60 MB": b'{"role":"user","content":"' + b"x" * 60_000_000 + b'"}\n',
    "a line that is too long": b"x" * (65 << 20) + b"\n",
    "a million line ends": b"\n" * 1_000_000,
    "a line of brackets": b"[" * 1_000_000 + b"\n",
    "an integer of a megabyte": b'{"role":"user","content":"x","n":' + b"9" * 1_000_000 + b"}\n",
    "a parent of itself": message("a", id="1", parent_id="1") + message("b", id="2", parent_id="3"),
    "ids that are all the same": b"".join(message(f"m{n}", id="same") for n in range(5000)),
    "a role that controls": message("x", "\x1b]0;owned\x07"),
    "parts of every kind": b'{"role":"user","content":[1,null,{"type":"text"},[[]],"x"]}\n',
    "a link to a file": b'{"role":"user","content":[{"type":"file","file":"/etc/passwd"}]}\n',
}
NAMES = (
    *("CON.jsonl", "nul.jsonl", "a" * 200 + ".jsonl", "-rf.jsonl", "..jsonl", "a b.jsonl"),
    *(
        "\u202egnp.jsonl",
        "a\x1b]0;owned\x07.jsonl",
        "a\nb.jsonl",
        "%2e%2e%2fsecret.jsonl",
        "~.jsonl",
    ),
)


def odd_names(home: Home) -> None:
    for name in NAMES:
        (home.sessions / name).write_bytes(message("pear"))


def many_links(home: Home) -> None:
    for number in range(40):
        (home.sessions / f"l{number}.jsonl").symlink_to(f"l{number + 1}.jsonl")
    (home.sessions / "l40.jsonl").symlink_to("l0.jsonl")


def both(*prepare: Prepare) -> Prepare:
    def together(home: Home) -> None:
        for one in prepare:
            one(home)

    return together


UP = "../../../outside/secret"
BY_SKILL = (("chat", "--skill", "evil", "-m", "hi"),)
RUNS = "ai:\n  providers:\n    x: {api_key_command: 'touch ../outside/new'}\n"
ATTACKS = [
    # paths on the command line
    *(
        said("show", path)
        for path in (UP, f"/{UP}", "..", "%2e%2e/secret", "~/secret", "a\x00b", "")
    ),
    *(said("chat", "-m", "hi", "-s", path) for path in (UP, "CON", "\u202ex", "a\nb", "x" * 5000)),
    *(said("rename", "evil", path) for path in (UP, "a\x00b", "\x1b]0;owned\x07")),
    *(said(verb, "../../../outside/secret.jsonl") for verb in ("path", "edit")),
    *(
        said("chat", "-m", "hi", "--skill", name)
        for name in (UP, "../evil", "a\x00b", "/etc/passwd")
    ),
    said("chat", "-m", "hi", "-p", "../../outside"),
    said("search", "topsecret", "--session", UP),
    *(
        said("list", VAULT_SESSIONS_FOLDER=name)
        for name in ("../outside", "/etc", "..", "a/../..", ".")
    ),
    *(
        said("init", VAULT_SESSIONS_FOLDER=name)
        for name in ("../outside", "/proc/x", "a/../../outside")
    ),
    said("list", "--vault", "/proc/self"),
    said("chat", "-m", "hi", "--vault", "/dev/null"),
    # links out of the vault, and what is no file
    Attack("the secret is linked as a summary", link(SUMMARY, "outside/secret.md")),
    Attack("the secret is linked as a skill", link(SKILL, "outside/secret.md"), BY_SKILL),
    Attack("the secret is linked as the persona", link(PERSONA, "outside/secret.md")),
    Attack("the secret is linked as a transcript", link(EVIL, "outside/secret.jsonl")),
    Attack("the secret is linked as metadata", link(META, "outside/secret.json")),
    Attack(
        "a link through another",
        both(link(SUMMARY, "vault/b.md"), link("b.md", "outside/secret.md")),
    ),
    Attack("a link to a folder as a summary", link(SUMMARY, "outside")),
    Attack("links in a circle", many_links),
    Attack("the settings' folder is a link", link(".vault-sessions", "outside")),
    Attack("the settings are a link", link(CONFIG, "outside/secret.yaml")),
    Attack("the skills' folder is a link", link("atlas/skills", "outside")),
    Attack("the folder of memory is a link", link("atlas/memory", "outside")),
    Attack("the folder of sessions is a link", link(SESSIONS, "outside")),
    Attack("the folder of sessions is a link to itself", link(SESSIONS, f"vault/{SESSIONS}")),
    Attack("the trash is a link", link(".vault-sessions/trash", "outside")),
    Attack("metadata shared with a file elsewhere", hard_link(META, "outside/own.json")),
    *(
        Attack(f"a {kind} as {what}", instead(path, kind))
        for what, path in (("a transcript", EVIL), ("metadata", META), ("the settings", CONFIG))
        for kind in ("fifo", "socket", "folder", "zero")
    ),
    *(
        Attack(f"a {kind} as {path}", instead(path, kind))
        for path in (FACTS, USER, PERSONA, SKILL)
        for kind in ("fifo", "tty")
    ),
    Attack("a file as the folder of sessions", instead(SESSIONS, "file")),
    Attack("a file as the folder of long-term memory", instead(LONG_TERM, "file")),
    # holes and floods
    Attack("a transcript of terabytes", hole(EVIL, 1 << 42)),
    Attack("metadata of terabytes", hole(META, 1 << 42)),
    Attack("facts of terabytes", hole(FACTS, 1 << 42)),
    Attack("settings of terabytes", hole(CONFIG, 1 << 42)),
    Attack("a skill of terabytes", hole(SKILL, 1 << 42), BY_SKILL),
    # texts
    *(Attack(f"settings: {name}", put(CONFIG, text)) for name, text in YAML.items()),
    *(
        Attack(f"front matter: {name}", put(SUMMARY, front_matter(text)))
        for name, text in YAML.items()
    ),
    Attack("a skill: a billion laughs", put(SKILL, front_matter(LAUGHS)), BY_SKILL),
    Attack("settings that lead the folder out", put(CONFIG, "folder: ../outside\n")),
    Attack("settings that run a command", put(CONFIG, RUNS)),
    *(Attack(f"metadata: {name}", put(META, data)) for name, data in JSON.items()),
    *(Attack(f"a transcript: {name}", put(EVIL, data)) for name, data in LINES.items()),
    Attack("odd names", odd_names),
]
HEAVY = {
    "a transcript: a line of 60 MB",
    "a transcript: a line that is too long",
    "metadata: a topic of ten megabytes",
}
"""They are read, for they could be somebody's words: some times their size in memory."""

COMMANDS = (
    *(("list",), ("search", "topsecret", "--json"), ("show", "evil"), ("memory", "show")),
    *(("chat", "-s", "evil", "-m", "hello"), ("rename", "evil", "renamed"), ("config", "show")),
)


class Target:
    """A home that is as new for each attack, a secret beside its vault, and a driver."""

    def __init__(self, folder: Path, driver: Faults) -> None:
        self.folder = folder
        self.driver = driver

    def fresh(self, prepare: Prepare) -> Home:
        root = self.folder / "home"
        if root.exists():
            shutil.rmtree(root)
        root.mkdir(parents=True)
        home = make_home(root)
        write_session(home, "evil", message("pear", id="1"), version=1, id="evil", name=None)
        outside = root / "outside"
        outside.mkdir()
        (outside / "secret.jsonl").write_bytes(message(SECRET))
        (outside / "secret.md").write_text(f"## Facts\n- {SECRET}\n")
        (outside / "secret.json").write_text(json.dumps({"name": SECRET, "topic": SECRET}))
        (outside / "secret.yaml").write_text(f"vault: {SECRET}\n{SECRET}: {SECRET}\n")
        (outside / "own.json").write_text('{"version": 1, "id": "evil", "name": "own"}')
        prepare(home)
        return home

    def run(self, home: Home, words: tuple[str, ...], **variables: str) -> Run:
        options: dict[str, Any] = {"EDITOR": "true", **variables}
        return self.driver.run(home, *words, **options)


def unharmed(home: Home) -> dict[str, bytes]:
    """What is neither the vault nor the program's own."""
    own = ("vault/", "cache", "state", "config")
    return {
        path: data for path, data in tree_without_vault(home).items() if not path.startswith(own)
    }


def tree_without_vault(home: Home) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in home.folder.iterdir():
        if path.name != "vault":
            found |= {f"{path.name}/{name}": data for name, data in tree(path).items()}
            found[path.name] = b""
    return found


def withstand(target: Target, attack: Attack) -> None:
    """Every command on it, and what must hold."""
    home = target.fresh(attack.prepare)
    before = unharmed(home)
    for words in (*attack.words, *COMMANDS):
        done = target.run(home, words, **dict(attack.variables))
        where = f"{attack.name}: {words!r}"[:200]
        assert done.code in (0, 1, 2), (where, done.code, done.err[:500])
        assert "Traceback" not in done.err, (where, done.err[-800:])
        assert SECRET not in (done.out + done.err).replace(" ".join(words), ""), where
        assert "\x1b" not in done.out + done.err, where
        assert unharmed(home) == before, f"{where}: something outside the vault has changed"
        assert not Path("/tmp/owned").exists(), where
        if attack.name not in HEAVY:
            assert done.seconds < SECONDS, (where, done.seconds)
            assert done.megabytes < MEGABYTES, (where, done.megabytes)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    if not hasattr(os, "pidfd_open"):
        pytest.skip("needs Linux")
    with faults.quick_folder() as folder, Faults(folder / "driver") as driver:
        yield Target(folder, driver)


def test_the_attacks_are_many_and_have_names_of_their_own() -> None:
    """So that a failure says which."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", ATTACKS[::12], ids=lambda attack: str(attack.name))
def test_some_attacks(target: Target, attack: Attack) -> None:
    """Every twelfth."""
    withstand(target, attack)


@pytest.mark.soak
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: str(attack.name))
def test_all_attacks(target: Target, attack: Attack) -> None:
    """All of them."""
    withstand(target, attack)


# --- in between check and use --------------------------------------------------------------------


@pytest.mark.parametrize("path", [FACTS, PERSONA, EVIL, META])
def test_a_link_that_takes_the_place_of_a_file_meanwhile(tmp_path: Path, path: str) -> None:
    """However often it is swapped, it is never followed."""
    home = make_home(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret"
    secret.write_text(f'{{"role":"user","content":"{SECRET}","name":"{SECRET}"}}\n- {SECRET}\n')
    before = secret.read_bytes()
    write_session(home, "evil", message("pear", id="1"), version=1, id="evil", topic="x")
    place, aside = home.vault / path, home.vault / "aside"
    if not place.exists():
        place.write_text("## Facts\n- pear\n")
    shutil.copy(place, aside)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            new = place.with_name(".new")
            new.symlink_to(secret)
            os.replace(new, place)
            shutil.copy(aside, new)
            os.replace(new, place)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        with Workspace.open(home.vault, environment=home.environment) as workspace:
            for _ in range(25):
                with suppress(VaultSessionsError, OSError):
                    workspace.sync()
                    assert SECRET not in workspace.memory.file("facts")[1]
                    assert SECRET not in str(workspace.show("evil"))
                    workspace.set_topic("evil", "y")
                with suppress(VaultSessionsError, OSError):
                    workspace.chat.take_turn("hello", session="evil")
            assert not workspace.search(SECRET)
    finally:
        over.set()
        swapping.join()
    assert secret.read_bytes() == before
    assert list(outside.iterdir()) == [secret]


def test_a_folder_that_becomes_a_link_meanwhile(tmp_path: Path) -> None:
    """What is said in an open conversation is not written out of the vault."""
    home = make_home(tmp_path)
    outside = tmp_path / "outside"
    with Workspace.open(home.vault, environment=home.environment) as workspace:
        workspace.chat.take_turn("one", session="talk")
        home.sessions.rename(outside)
        home.sessions.symlink_to(outside)
        before = tree(outside)
        for again in range(2):
            with pytest.raises(VaultSessionsError, match="leads out of the vault"):
                workspace.chat.take_turn(f"two {again}")
        assert tree(outside) == before


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind}", str(tmp_path / kind.lower()))

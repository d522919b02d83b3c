"""Conflict copies go back into their originals, whichever tool left them, and nothing is lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from home import Home, make_home, message, tree, write_session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault_sessions import scan, sync
from vault_sessions.mirror import store
from vault_sessions.repair.copies import Healed, heal_copies
from vault_sessions.state import State
from vault_sessions.vault import Vault, trash

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LONG_TERM = "atlas/memory/long-term"


def say(text: str, minute: int, role: str = "user", **fields: Any) -> bytes:
    """A line with an id and a time of its own."""
    at = f"2026-11-21T08:{minute:02}:00.000Z"
    return message(text, role, id=f"m-{text}", created_at=at, **fields)


BOTH = say("one", 1) + say("two", 2, "assistant")
HERE = BOTH + say("here", 5)
THERE = BOTH + say("there", 3) + say("reply", 4, "assistant")
ALL = BOTH + say("there", 3) + say("reply", 4, "assistant") + say("here", 5)


def vault_of(home: Home) -> Vault:
    return Vault(str(home.vault))


def heal(home: Home) -> list[Healed]:
    return heal_copies(vault_of(home), State(str(home.folder / "state")), NOW)


def put(home: Home, path: str, data: bytes | dict[str, Any]) -> Path:
    """A file from the vault's root; by its name alone in the sessions folder."""
    target = home.vault / path if "/" in path else home.sessions / path
    target.write_bytes(data if isinstance(data, bytes) else orjson.dumps(data))
    return target


def names(home: Home) -> list[str]:
    return sorted(path.name for path in home.sessions.iterdir())


def trashed(home: Home) -> list[bytes]:
    """What is in the trash, without the manifests."""
    trash = home.vault / ".vault-sessions" / "trash"
    files = (path for path in trash.rglob("*") if path.is_file())
    return sorted(path.read_bytes() for path in files if path.name != "manifest.json")


def problems(home: Home) -> list[tuple[str, str]]:
    """What a fresh mirror says: file name and code."""
    mirror = store.memory_mirror("")
    sync.rebuild(vault_of(home), mirror, NOW)
    rows = mirror.rows("SELECT path, code FROM problems ORDER BY path")
    mirror.close()
    return [(os.path.basename(path), code) for path, code in rows]


def memory(home: Home) -> list[str]:
    """The passages that a fresh mirror has."""
    mirror = store.memory_mirror("")
    sync.rebuild(vault_of(home), mirror, NOW)
    rows = mirror.rows("SELECT text FROM memory")
    mirror.close()
    return sorted(row[0] for row in rows)


# --- each tool's layout, end to end --------------------------------------------------------------

COPIES = {
    "Dropbox": "a (Maya's conflicted copy 2026-11-21).jsonl",
    "Dropbox in German": "a (In Konflikt stehende Kopie von Maya 2026-11-21).jsonl",
    "Google Drive": "a (1).jsonl",
    "OneDrive": "a-DESKTOP-4F2.jsonl",
    "iCloud": "a 2.jsonl",
    "Syncthing": "a.sync-conflict-20261121-080512-ABCDEFG.jsonl",
    "Nextcloud": "a (conflicted copy 2026-11-21 080512).jsonl",
    "ownCloud": "a_conflict-20261121-080512.jsonl",
    "Resilio": "a.Conflict.jsonl",
    "rclone": "a.jsonl.conflict1",
    "rclone, the old one": "a.jsonl..path1",
    "rclone, keeping endings": "a.conflict1.jsonl",
    "Unison": "a (conflict_on_2026-11-21).jsonl",
    "Obsidian Sync": "a (Conflicted copy laptop 202611210805).jsonl",
}


@pytest.mark.parametrize("name", COPIES.values(), ids=COPIES.keys())
def test_a_copy_of_each_tool_goes_back_into_the_session(home: Home, name: str) -> None:
    """Both sides' messages stand in it once, in time; old and copy are in the trash."""
    write_session(home, "a", HERE)
    put(home, name, THERE)
    assert (name, "conflict-copy") in problems(home)
    (healed,) = heal(home)
    assert healed.original == "atlas/memory/sessions/a.jsonl"
    assert healed.copies == (f"atlas/memory/sessions/{name}",)
    assert healed.error is None
    assert names(home) == ["a.jsonl"]
    assert (home.sessions / "a.jsonl").read_bytes() == ALL
    assert trashed(home) == sorted([HERE, THERE])
    assert problems(home) == []


META_COPIES = {
    "Dropbox": "a.meta (Maya's conflicted copy 2026-11-21).json",
    "Google Drive": "a.meta (1).json",
    "OneDrive": "a.meta-DESKTOP-4F2.json",
    "OneDrive, before .meta": "a-DESKTOP-4F2.meta.json",
    "iCloud": "a.meta 2.json",
    "Syncthing": "a.meta.sync-conflict-20261121-080512-ABCDEFG.json",
    "Resilio": "a.meta.Conflict.json",
    "rclone": "a.meta.json.conflict1",
    "rclone, the old one": "a.meta.json..path2",
    "Unison": "a.meta (conflict #1_on_2026-11-21).json",
}


@pytest.mark.parametrize("name", META_COPIES.values(), ids=META_COPIES.keys())
def test_a_copy_of_the_metadata_alone_is_merged_key_by_key(home: Home, name: str) -> None:
    """No transcript needs to have a copy."""
    write_session(home, "a", BOTH, version=1, id="a", name="plan", topic="x", topic_source="user")
    put(home, name, {"version": 1, "id": "a", "topic": "y", "topic_source": "generated", "n": [1]})
    assert (name, "conflict-copy") in problems(home)
    (healed,) = heal(home)
    assert healed.error is None
    meta = orjson.loads((home.sessions / "a.meta.json").read_bytes())
    assert meta == {"version": 1, "id": "a", "name": "plan", "topic": "x", "topic_source": "user",
                    "n": [1]}  # fmt: skip
    assert names(home) == ["a.jsonl", "a.meta.json"]
    assert problems(home) == []
    assert heal(home) == []


@pytest.mark.parametrize("marks", [(".conflict1", ".conflict2"), ("..path1", "..path2")])
def test_two_copies_without_an_original_become_the_session_again(
    home: Home, marks: tuple[str, str]
) -> None:
    """As rclone leaves them; the metadata too."""
    for mark, lines, topic in zip(marks, (HERE, THERE), ("x", None), strict=True):
        put(home, f"a.jsonl{mark}", lines)
        put(home, f"a.meta.json{mark}", {"version": 1, "id": "a", "topic": topic})
    assert {code for _, code in problems(home)} == {"conflict-copy"}
    assert [one.error for one in heal(home)] == [None, None]
    assert names(home) == ["a.jsonl", "a.meta.json"]
    assert (home.sessions / "a.jsonl").read_bytes() == ALL
    assert orjson.loads((home.sessions / "a.meta.json").read_bytes())["topic"] == "x"
    assert problems(home) == []
    assert heal(home) == []


def test_an_ending_before_the_last_message_of_both_is_none(home: Home) -> None:
    """Somebody went on elsewhere; a stamp in the future says nothing."""
    ended = {"version": 1, "id": "a", "ended_at": "2026-11-21T08:02:30Z", "end_reason": "new"}
    write_session(home, "a", BOTH, **ended)
    put(home, "a.sync-conflict-20261121-080512-ABCDEFG.jsonl", THERE)
    put(home, "a.meta.sync-conflict-20261121-080512-ABCDEFG.json", {"version": 1, "id": "a"})
    assert [one.error for one in heal(home)] == [None, None]
    assert orjson.loads((home.sessions / "a.meta.json").read_bytes()) == {"version": 1, "id": "a"}


def test_a_copied_session_brings_its_metadata_along(home: Home) -> None:
    """Under the id of the original, whatever that in the copy says."""
    write_session(home, "a", HERE, version=1, id="a", name="plan")
    write_session(home, "a-laptop", THERE, version=1, id="a-laptop", topic="trip")
    assert [one.error for one in heal(home)] == [None, None]
    assert names(home) == ["a.jsonl", "a.meta.json"]
    meta = orjson.loads((home.sessions / "a.meta.json").read_bytes())
    assert meta == {"version": 1, "id": "a", "name": "plan", "topic": "trip"}


# --- what is no copy -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a (1).jsonl", "a 2.jsonl", "a [Conflict].jsonl", "b 2.jsonl"])
def test_a_name_that_anybody_may_type_is_a_copy_only_by_its_content(home: Home, name: str) -> None:
    """No message in common, or no original: an unknown file, and left alone."""
    write_session(home, "a", HERE)
    put(home, name, say("another", 9))
    before = tree(home.vault)
    assert problems(home) == [(name, "unknown-file")]
    assert heal(home) == []
    assert tree(home.vault) == before


def test_metadata_of_another_session_is_no_copy(home: Home) -> None:
    """It must say the same id as the original."""
    write_session(home, "a", HERE, version=1, id="a")
    put(home, "a.meta (1).json", {"version": 1, "id": "b"})
    write_session(home, "a-b", say("other", 1), version=1, id="a-b")
    assert problems(home) == [("a.meta (1).json", "unknown-file")]
    assert heal(home) == []


def test_an_ordinary_page_of_memory_stays_one(home: Home) -> None:
    """Numbers, computers and words in its name make it no copy."""
    put(home, f"{LONG_TERM}/facts.md", b"## Facts\n- likes tea\n- lives in Rome\n")
    put(home, f"{LONG_TERM}/facts 2.md", b"## Facts\n- about cats\n")
    put(home, f"{LONG_TERM}/facts-2025.md", b"## Facts\n- likes tea\n- old one\n- and two\n- 3\n")
    for slug, text in (("plan", "a"), ("plan-2", "b")):
        head = f"---\nsession_id: {text}\n---\n# Plan\n\nThe same words.\n"
        put(home, f"{LONG_TERM}/session-2026-11-21-{slug}.md", head.encode())
    before = tree(home.vault)
    assert problems(home) == []
    assert "about cats" in memory(home)
    assert memory(home).count("The same words.") == 2
    assert heal(home) == []
    assert tree(home.vault) == before


def test_a_variant_that_the_owner_made_stays_one(home: Home) -> None:
    """Of the persona, of a skill: with most of its text in common, or all."""
    (home.vault / "atlas" / "skills").mkdir()
    for folder, name in (("identity", "persona"), ("skills", "editor")):
        put(home, f"atlas/{folder}/{name}.md", b"Be kind.\n\nBe short.\n")
        put(home, f"atlas/{folder}/{name}-formal.md", b"Be kind.\n\nBe short.\n\nBe formal.\n")
    put(home, "atlas/skills/editor 2.md", b"Be kind.\n\nBe short.\n")
    before = tree(home.vault)
    assert problems(home) == []
    assert heal(home) == []
    assert tree(home.vault) == before


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "facts (Maya's conflicted copy 2026-11-21).md",
        "facts.sync-conflict-20261121-080512-ABCDEFG.md",
        "facts.md.conflict1",
        "facts 2.md",
        "facts-DESKTOP-4F2.md",
        "facts (Conflicted copy laptop 202611210805).md",
    ],
)
def test_a_copy_of_the_facts_is_merged_by_bullets(home: Home, name: str) -> None:
    """And is not found twice before that."""
    put(home, f"{LONG_TERM}/facts.md", b"## Facts\n- likes tea\n- here\n\n## Goals\n- run\n")
    put(home, f"{LONG_TERM}/{name}", b"## Facts\n- likes tea\n- there\n\n## Goals\n- run\n")
    assert problems(home) == [(name, "conflict-copy")]
    assert memory(home) == ["here", "likes tea", "run"]
    (healed,) = heal(home)
    assert healed.error is None
    assert memory(home) == ["here", "likes tea", "run", "there"]
    assert [path.name for path in (home.vault / LONG_TERM).iterdir()] == ["facts.md"]
    assert problems(home) == []
    assert heal(home) == []


def summary(text: str, *, count: int, edited: bool = False) -> bytes:
    """A summary with its hash, which an edit makes wrong."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    head = f"---\nsession_id: a\nmessage_count: {count}\ngenerated_hash: {digest}\n---\n"
    more = "\n\nMine." if edited else ""
    return f"{head}{text}{more}\n".encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (summary("# Trip\n\nShort.", count=2), summary("# Trip\n\nLonger.", count=4)),
        (summary("# Trip\n\nLonger.", count=9), summary("# Trip\n\nShort.", count=2, edited=True)),
        (b"# Trip\n\nRome\n", b"# Trip\n\nRome\nand Pisa\n"),
        (b"# Trip\r\n\r\nRome\r\n", b"# Trip\n\nRome\nand Pisa"),
    ],
    ids=["later", "edited", "more", "crlf"],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_better_of_two_pages_stays(home: Home, one: bytes, other: bytes, swapped: bool) -> None:
    """What the owner wrote over what we can write again, the later over the earlier."""
    page = put(home, f"{LONG_TERM}/session-2026-11-21-trip.md", other if swapped else one)
    copy = f"{LONG_TERM}/session-2026-11-21-trip (conflicted copy 2026-11-21).md"
    put(home, copy, one if swapped else other)
    (healed,) = heal(home)
    assert (healed.copies, healed.error) == ((copy,), None)
    assert page.read_bytes() == other
    assert one in trashed(home)
    assert any("gave way" in note for note in healed.notes) == (b"generated_hash" in one)


def test_a_second_summary_of_the_same_session_is_a_copy_whatever_its_name(home: Home) -> None:
    """One file a session: an unedited one gives way."""
    page = put(home, f"{LONG_TERM}/session-2026-11-21-trip.md", summary("# Trip\n\nA", count=4))
    put(home, f"{LONG_TERM}/session-2026-11-21-trip-laptop.md", summary("# Trip\n\nB", count=2))
    assert problems(home) == [("session-2026-11-21-trip-laptop.md", "conflict-copy")]
    assert memory(home) == ["A"]
    assert heal(home)[0].error is None
    assert [path.name for path in page.parent.iterdir()] == [page.name]


@pytest.mark.parametrize("name", ["changes (1).jsonl", "changes.jsonl.conflict1"])
def test_the_log_of_changes_is_united(home: Home, name: str) -> None:
    """Each line once, in time."""
    first, here, there = (
        orjson.dumps({"id": str(n), "at": f"2026-11-21T08:0{n}:00Z", "new": n}) + b"\n"
        for n in (1, 3, 2)
    )
    log = put(home, "atlas/memory/changes.jsonl", first + here)
    put(home, f"atlas/memory/{name}", first + there)
    put(home, "atlas/memory/changes 2.jsonl", b'{"other":1}\n')
    (healed,) = heal(home)
    assert healed.copies == (f"atlas/memory/{name}",)
    assert log.read_bytes() == first + there + here
    assert heal(home) == []


def test_a_copy_of_a_skill_goes_when_the_skill_has_all_of_it(home: Home) -> None:
    """By its name alone."""
    (home.vault / "atlas" / "skills").mkdir()
    put(home, "atlas/skills/editor.md", b"Be kind.\n")
    put(home, "atlas/skills/editor (Maya's conflicted copy 2026-11-21).md", b"Be kind.")
    assert heal(home)[0].error is None
    assert os.listdir(home.vault / "atlas" / "skills") == ["editor.md"]


def test_two_edited_pages_are_both_left(home: Home) -> None:
    """A person decides; nothing is touched, however often."""
    put(home, f"{LONG_TERM}/session-2026-11-21-trip.md", summary("# T", count=2, edited=True))
    copy = f"{LONG_TERM}/session-2026-11-21-trip.sync-conflict-20261121-080512-ABCDEFG.md"
    put(home, copy, summary("# Trip", count=2, edited=True))
    before = tree(home.vault)
    for _ in range(2):
        (healed,) = heal(home)
        assert healed.copies == ()
        assert "both it and" in str(healed.error)
        assert tree(home.vault) == before


def test_a_copy_of_the_persona_is_no_memory(home: Home) -> None:
    """It is reported, and goes when the persona has all of it."""
    put(home, "atlas/identity/persona.md", b"You are kind.\nAnd short.\n")
    put(home, "atlas/identity/persona 2.md", b"You are kind.\nAnd short.")
    assert problems(home) == [("persona 2.md", "conflict-copy")]
    assert memory(home) == []
    assert heal(home)[0].error is None
    assert problems(home) == []


# --- whatever stands in them ---------------------------------------------------------------------

TORN = b'{"role":"user","content":"there","id":"m-th'
ODD = {
    "equal": (HERE, HERE),
    "nothing here": (b"", THERE),
    "nothing there": (HERE, b""),
    "bad lines": (HERE + b"not json\n", THERE + b"<<<<<<< HEAD\n\xff\xfe\n"),
    "equal lines": (HERE + b"x\nx\n" + say("one", 1), THERE + b"x\nx\nx\n"),
    "mark and line ends": (b"\xef\xbb\xbf" + HERE.replace(b"\n", b"\r\n"), THERE),
    "torn": (HERE, THERE + TORN),
    "torn of the other's line": (ALL, HERE + say("there", 3)[:40]),
    "both torn": (HERE + TORN[:20], THERE + TORN),
    "no final newline": (HERE[:-1], THERE[:-1]),
    "other order": (say("one", 1) + say("two", 2), say("two", 2) + say("one", 1)),
    "an id with two texts": (HERE, THERE + say("here", 6)),
    "nothing in common": (HERE, say("x", 1)),
    "blank lines": (b"\n\n" + HERE + b"\n", b" \n" + THERE),
}


def texts(data: bytes) -> list[bytes]:
    lines = (line.strip() for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    return sorted(line for line in lines if line)


@pytest.mark.parametrize(("here", "there"), ODD.values(), ids=ODD.keys())
def test_every_line_of_both_is_there_and_two_machines_agree(
    tmp_path: Path, here: bytes, there: bytes
) -> None:
    """Whichever of them is called the copy; and nothing happens the second time."""
    outcomes = []
    for number, (original, copy) in enumerate(((here, there), (there, here))):
        home = make_home(tmp_path / str(number))
        session = write_session(home, "a", original)
        put(home, "a.sync-conflict-20261121-080512-ABCDEFG.jsonl", copy)
        (healed,) = heal(home)
        assert healed.error is None
        assert len(healed.copies) == 1
        merged = session.read_bytes()
        for line in {*texts(here), *texts(there)}:
            wanted = max(texts(here).count(line), texts(there).count(line))
            begun = not line.endswith(b"}") and any(x.startswith(line) for x in texts(merged))
            assert texts(merged).count(line) == wanted or begun
        assert copy in trashed(home)
        assert original in (merged, *trashed(home))
        before = tree(home.vault)
        assert heal(home) == []
        assert tree(home.vault) == before
        outcomes.append(merged)
    assert outcomes[0] == outcomes[1]


def test_many_copies_and_copies_of_copies_go_back_to_the_one_session(home: Home) -> None:
    """In whatever order they are found."""
    write_session(home, "a", HERE)
    put(home, "a-laptop.jsonl", THERE)
    put(home, "a-laptop (conflicted copy 2026-11-21).jsonl", THERE + say("more", 7))
    put(home, "a (Maya's conflicted copy 2026-11-21) (1).jsonl", BOTH + say("again", 8))
    put(home, "a.jsonl.conflict2", BOTH)
    (healed,) = heal(home)
    assert healed.original == "atlas/memory/sessions/a.jsonl"
    assert len(healed.copies) == 4
    assert names(home) == ["a.jsonl"]
    merged = (home.sessions / "a.jsonl").read_bytes()
    assert texts(merged) == texts(ALL + say("more", 7) + say("again", 8))


pieces = st.sampled_from(
    [*BOTH.split(b"\n")[:2], *ALL.split(b"\n")[2:5], b"bad", b"{", b'{"role":"us', b"\xff"]
)
transcripts = st.builds(
    lambda lines, end, last, mark: mark + end.join(lines) + last,
    st.lists(pieces, max_size=6),
    st.sampled_from([b"\n", b"\n", b"\r\n"]),
    st.sampled_from([b"\n", b"\n", b""]),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(versions=st.lists(transcripts, min_size=2, max_size=4), turn=st.integers(1, 3))
def test_it_makes_no_difference_which_version_is_called_the_original(
    versions: list[bytes], turn: int
) -> None:
    """Any versions: no text is lost, none is left, and the outcome is the same to the byte."""
    outcomes = []
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for order in (versions, versions[turn:] + versions[:turn]):
        with tempfile.TemporaryDirectory(dir=fast) as folder:
            home = make_home(Path(folder))
            session = write_session(home, "a", order[0])
            for number, version in enumerate(order[1:]):
                put(home, f"a.jsonl.conflict{number}", version)
            (healed,) = heal(home)
            assert healed.error is None
            assert names(home) == ["a.jsonl"]
            merged = texts(session.read_bytes())
            lines = {text for version in versions for text in texts(version)}
            assert all(any(text.startswith(line) for text in merged) for line in lines)
            outcomes.append(session.read_bytes())
    assert outcomes[0] == outcomes[1]


# --- what is left as it is -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "future", "future original", "stub"])
def test_what_must_not_be_touched_is_left_and_said(home: Home, kind: str) -> None:
    """No regular file, a newer version, not downloaded; the same when it is tried again."""
    ending = ".meta" if kind.startswith("future") else ""
    copy = f"a{ending}.sync-conflict-20261121-080512-ABCDEFG.json{'' if ending else 'l'}"
    if kind == "future":
        write_session(home, "a", BOTH, version=1, id="a")
        put(home, copy, {"version": 2, "id": "a"})
    elif kind == "future original":
        write_session(home, "a", BOTH, version=2, id="a")
        put(home, copy, {"version": 1, "id": "a"})
    elif kind == "stub":
        put(home, ".a.jsonl.icloud", b"")
        put(home, copy, THERE)
    else:
        write_session(home, "a", HERE)
        path = home.sessions / copy
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to("/etc/hostname")
        else:
            path.mkdir()
    before = tree(home.vault) if kind != "fifo" else {}
    for _ in range(2):
        (healed,) = heal(home)
        assert healed.error
        assert healed.copies == ()
        assert copy in names(home)
        if before:
            assert tree(home.vault) == before


def test_a_copy_that_is_no_file_does_not_keep_others_from_being_merged(home: Home) -> None:
    """One is said, the other healed."""
    write_session(home, "a", HERE)
    (home.sessions / "a.jsonl.conflict1").mkdir()
    put(home, "a.jsonl.conflict2", THERE)
    (healed,) = heal(home)
    assert "a.jsonl.conflict1" in str(healed.error)
    assert healed.copies == ("atlas/memory/sessions/a.jsonl.conflict2",)
    assert (home.sessions / "a.jsonl").read_bytes() == ALL


def test_nothing_else_is_touched(home: Home) -> None:
    """Neither other sessions, nor files of other programs, nor what is outside."""
    write_session(home, "a", HERE)
    put(home, "a 2.jsonl", THERE)
    write_session(home, "b", say("b", 1), name="b")
    for name in (".a.jsonl.swp", "a.jsonl~", "notes (1).txt", "x (conflicted copy).txt"):
        put(home, name, b"other")
    outside = home.folder / "a (conflicted copy 2026-11-21).jsonl"
    outside.write_bytes(THERE)
    before = tree(home.vault)
    heal(home)
    after = tree(home.vault)
    changed = {path for path, data in before.items() if after.get(path) != data}
    assert {os.path.basename(path) for path in changed} == {"a.jsonl", "a 2.jsonl"}
    assert outside.read_bytes() == THERE


# --- killed at any step --------------------------------------------------------------------------


def steps(event: str, arguments: tuple[Any, ...]) -> bool:
    """Does this change something on the disk?"""
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    return event in ("os.rename", "os.remove", "os.mkdir", "os.link", "os.truncate", "os.rmdir")


def killed_at(home: Home, number: int) -> bool:
    """Heal in a process of its own that is killed before its n-th change; False: it ended."""
    child = os.fork()
    if not child:
        left = [number]

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if steps(event, arguments):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(watch)
            heal(home)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def layout(home: Home, which: str) -> None:
    if which == "copies":
        write_session(home, "a", HERE, version=1, id="a", name="plan")
        write_session(home, "a-laptop", THERE, version=1, id="a", topic="trip")
        put(home, "a 2.jsonl", BOTH + say("more", 7))
        put(home, f"{LONG_TERM}/facts.md", b"## Facts\n- tea\n- Rome\n- here\n")
        put(home, f"{LONG_TERM}/facts 2.md", b"## Facts\n- tea\n- Rome\n- there\n")
    else:
        for mark, lines in ((".conflict1", HERE), (".conflict2", THERE)):
            put(home, f"a.jsonl{mark}", lines)
            put(home, f"a.meta.json{mark}", {"version": 1, "id": "a", "k": mark})


def everything(home: Home) -> set[bytes]:
    """All lines of all files, wherever."""
    files = (path for path in home.vault.rglob("*") if path.is_file())
    return {line for path in files for line in path.read_bytes().split(b"\n")}


def points(tmp_path: Path, which: str, every: int) -> Iterator[Home]:
    """A vault for each change that healing makes, or every n-th; killed just before it."""
    for number in range(0, 1000, every):
        home = make_home(tmp_path / f"{which}{number}")
        layout(home, which)
        if not killed_at(home, number):
            return
        yield home
        shutil.rmtree(home.folder)


@pytest.mark.parametrize("which", ["copies", "rclone"])
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_nothing_is_lost_and_the_next_run_completes_it(
    tmp_path: Path, which: str, every: int
) -> None:
    """The outcome is the same as without the kill, to the byte."""
    whole = make_home(tmp_path / "whole")
    layout(whole, which)
    lines = everything(whole)
    assert all(one.error is None for one in heal(whole))
    wanted = tree(whole.vault / "atlas")
    assert len(wanted) > 3
    count = 0
    for home in points(tmp_path, which, every):
        assert lines <= everything(home)
        assert all(one.error is None for one in heal(home))
        after = tree(home.vault / "atlas")
        assert {path: data for path, data in after.items() if not path.endswith(".tmp")} == wanted
        assert lines <= everything(home)
        assert heal(home) == []
        count += 1
    assert count > 20 / every


# --- not downloaded ------------------------------------------------------------------------------


class Synced:
    """A mirror that is kept in step."""

    def __init__(self, home: Home) -> None:
        self.vault = vault_of(home)
        self.mirror = store.memory_mirror("")
        sync.rebuild(self.vault, self.mirror, NOW)

    def sync(self) -> sync.Changes:
        return sync.sync(self.vault, self.mirror, NOW)

    def rows(self, table: str, column: str) -> list[str]:
        return sorted(row[0] for row in self.mirror.rows(f"SELECT {column} FROM {table}"))


def test_what_goes_to_the_cloud_stays_in_the_mirror(home: Home) -> None:
    """It is said to be there; it is not deleted; and it is read again when it is back."""
    session = write_session(home, "a", HERE, version=1, id="a", name="plan")
    facts = put(home, f"{LONG_TERM}/facts.md", b"## Facts\n- likes tea\n")
    synced = Synced(home)
    files = (session, home.sessions / "a.meta.json", facts)
    for path in files:
        path.rename(path.with_name(f".{path.name}.icloud"))
    for _ in range(2):
        assert synced.sync().gone == ()
        assert synced.rows("sessions", "name") == ["plan"]
        assert len(synced.rows("messages", "id")) == 3
        assert synced.rows("memory", "text") == ["likes tea"]
        assert synced.rows("problems", "code") == ["not-downloaded"] * 3
    session.with_name(".a.jsonl.icloud").rename(session)
    session.write_bytes(HERE + say("more", 9))
    facts.with_name(".facts.md.icloud").unlink()
    synced.sync()
    assert len(synced.rows("messages", "id")) == 3  # its metadata is still away
    assert synced.rows("memory", "text") == []
    session.with_name(".a.meta.json.icloud").rename(session.with_name("a.meta.json"))
    synced.sync()
    assert len(synced.rows("messages", "id")) == 4
    assert synced.rows("problems", "code") == []
    session.unlink()
    session.with_name("a.meta.json").unlink()
    assert synced.sync().gone == ("a",)


def test_a_file_is_a_copy_as_long_as_its_original_says_the_same(home: Home) -> None:
    """When the original comes, changes or goes, that is looked at again."""
    copy = put(home, "a 2.jsonl", THERE)
    page = put(home, f"{LONG_TERM}/facts 2.md", b"- tea\n- Rome\n")
    synced = Synced(home)
    assert synced.rows("problems", "code") == ["unknown-file"]
    assert synced.rows("memory", "text") == ["Rome", "tea"]
    session = write_session(home, "a", HERE)
    facts = put(home, f"{LONG_TERM}/facts.md", b"- tea\n- Rome\n")
    synced.sync()
    assert synced.rows("problems", "code") == ["conflict-copy", "conflict-copy"]
    assert synced.rows("memory", "path") == [f"{LONG_TERM}/facts.md"] * 2
    session.write_bytes(say("another", 1))
    facts.write_bytes(b"- coffee\n")
    synced.sync()
    assert synced.rows("problems", "code") == ["unknown-file"]
    assert synced.rows("memory", "text") == ["Rome", "coffee", "tea"]
    session.unlink()
    facts.unlink()
    synced.sync()
    assert synced.rows("problems", "code") == ["unknown-file"]
    copy.unlink()
    page.unlink()
    synced.sync()
    assert synced.rows("files", "path") == []


def test_what_is_wrong_names_the_original_and_what_to_do(home: Home) -> None:
    """Whatever tells the copy."""
    write_session(home, "a", HERE)
    put(home, "a 2.jsonl", THERE)
    write_session(home, "a-laptop", THERE)
    synced = Synced(home)
    for said in synced.rows("problems", "message"):
        assert said.startswith("a conflict copy of a")
        assert said.endswith("; doctor --fix merges it")


def test_half_of_all_sessions_in_the_cloud_are_not_gone(home: Home) -> None:
    """They are not counted as deleted."""
    for number in range(30):
        write_session(home, f"s{number}", HERE)
    synced = Synced(home)
    for path in list(home.sessions.iterdir()):
        path.rename(path.with_name(f".{path.name}.icloud"))
    changes = synced.sync()
    assert changes.halted is None
    assert changes.gone == ()
    assert len(synced.rows("sessions", "id")) == 30


def test_a_file_without_its_bytes_is_known_by_its_flag() -> None:
    """macOS says so in the file's state; elsewhere there is no such thing."""
    assert not scan.is_dataless(os.stat("/"))
    away = SimpleNamespace(st_flags=0x40000000 | 0x20)
    assert scan.is_dataless(cast("os.stat_result", away))
    assert not scan.is_dataless(cast("os.stat_result", SimpleNamespace(st_flags=0x20)))


def test_temporary_files_do_not_disturb_the_digest(home: Home) -> None:
    """Our own, an editor's, the watcher's cookies: the vault is as it was."""
    write_session(home, "a", HERE)
    before = scan.look(vault_of(home)).digest()
    for name in (".a.jsonl.1-2.tmp", ".vs-cookie-12-abc", ".a.jsonl.swp"):
        put(home, name, b"")
    put(home, f"{LONG_TERM}/.facts.md.1-2.tmp", b"")
    put(home, f"{LONG_TERM}/.#facts.md", b"")
    assert scan.look(vault_of(home)).digest() == before


def test_the_trash_says_where_things_came_from(home: Home) -> None:
    """And what is said leads there."""
    write_session(home, "a", HERE)
    put(home, "a 2.jsonl", THERE)
    (healed,) = heal(home)
    folder = healed.notes[-1].removeprefix("the copy is in ")
    manifest = orjson.loads((home.vault / folder / trash.MANIFEST).read_bytes())
    assert manifest["moved"] is True
    assert manifest["files"][0]["path"] == "atlas/memory/sessions/a 2.jsonl"

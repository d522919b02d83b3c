"""``doctor`` finds whatever is wrong and says what to do; ``--fix`` mends it and loses nothing.

Every original is in the trash, every line that could be read still can be, and a second run has
nothing to do, however often the first was killed or how many ran at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from faults import KINDS, Fault, Faults, quick_folder, why_not
from home import SESSIONS, Home, make_home, message, tree, write_many, write_session

from vault_sessions.errors import VaultError
from vault_sessions.formats.transcript import parse
from vault_sessions.mirror.store import open_mirror
from vault_sessions.vault import Vault, trash
from vault_sessions.workspace import Workspace

PROBLEMS = Path(__file__).parent / "problem_vault"
NOW = datetime(2026, 11, 21, 8, 5, 12, tzinfo=UTC)

Finding = dict[str, Any]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty vault that nobody else can read."""
    home = make_home(tmp_path)
    close_to_others(home)
    return home


@pytest.fixture
def ill(tmp_path: Path) -> Home:
    """A copy of the vault with problems."""
    home = Home(tmp_path)
    shutil.copytree(PROBLEMS, home.vault)
    close_to_others(home)
    return home


def close_to_others(home: Home) -> None:
    """Take from all others what they may do in the vault."""
    for path in (home.vault, *home.vault.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)


def doctor(home: Home, *words: str, code: int | None = None) -> list[Finding]:
    """What ``doctor --json`` finds; the exit code is what it is to be, or as severities say."""
    done = home.run("doctor", *words, "--json")
    found: list[Finding] = json.loads(done.stdout)
    weighty = any(one["severity"] != "note" for one in found)
    assert done.returncode == (int(weighty) if code is None else code), done.stderr
    return found


def codes(found: list[Finding]) -> list[str]:
    return [one["code"] for one in found]


def said(*texts: str) -> list[bytes]:
    """Lines of a conversation, each with its text for an id."""
    return [
        message(text, "assistant" if n % 2 else "user", id=f"id-of-{text}")
        for n, text in enumerate(texts)
    ]


def lose_the_end(home: Home, stem: str = "s", keep: int = 2) -> bytes:
    """An older copy is saved over a session, which had more when it was last seen; what it was."""
    path = write_session(home, stem, *said(*"abcd"))
    home.output("list")
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:keep]))
    return whole


# --- what is found -------------------------------------------------------------------------------


def test_nothing_is_wrong_in_the_sample_vault(tmp_path: Path) -> None:
    """And so the exit code is 0."""
    home = make_home(tmp_path, sample=True)
    close_to_others(home)
    assert home.output("doctor") == "Nothing is wrong.\n"
    assert home.json("doctor") == []


def test_each_problem_is_found_where_it_is(ill: Home) -> None:
    """Code and line of every file of the vault with problems."""
    expected = {
        (name, one["line"], one["code"])
        for name, problems in json.loads((PROBLEMS / "expected.json").read_text()).items()
        for one in problems
    }
    found = doctor(ill)
    assert {(os.path.basename(o["path"]), o["line"], o["code"]) for o in found} == expected
    assert found == sorted(found, key=lambda o: (o["path"], o["line"], o["column"], o["code"]))
    assert set(found[0]) == {
        *("path", "line", "column", "code", "severity", "message"),
        "fixable",
    }


def test_a_line_says_where_what_and_what_to_do(home: Home) -> None:
    """And the last one counts."""
    write_session(home, "s", *said("a"), b"  ?\n", message("b", created_at="soon"))
    done = home.run("doctor")
    assert done.returncode == 1
    assert done.stdout == (
        f"{SESSIONS}/s.jsonl:2:3: bad-line: not valid JSON: unexpected character, expected a JSON "
        "value; doctor --fix mends it or takes it out, and keeps the original in the trash\n"
        f"{SESSIONS}/s.jsonl:3:1: bad-time: created_at has no offset or can't be read; the message "
        "counts, without time; write it like 2026-11-21T08:05:12.123Z\n"
        "1 error, 1 note in 1 file; doctor --fix mends 1\n"
    )


def test_notes_do_not_count_for_the_exit_code(home: Home) -> None:
    """They are told all the same."""
    write_session(home, "s", message("a", created_at="soon"))
    assert codes(doctor(home, code=0)) == ["bad-time"]


def test_each_says_truly_whether_it_is_mended(ill: Home) -> None:
    """What is fixable is gone after ``--fix``, the rest is as it was."""
    before = doctor(ill)
    after = doctor(ill, "--fix")
    assert not [one for one in after if one["fixable"]]
    assert after == [one for one in before if not one["fixable"]]


def test_folders_that_others_can_read_are_noted_once(home: Home) -> None:
    """One note for a folder, whatever is in it."""
    write_many(home, 3)
    home.sessions.chmod(0o755)
    found = doctor(home, code=0)
    assert [(one["path"], one["code"]) for one in found] == [(SESSIONS, "readable-by-others")]
    home.sessions.chmod(0o711)
    for path in home.sessions.iterdir():
        path.chmod(0o600)
    assert doctor(home) == []
    (home.sessions / "s000.jsonl").chmod(0o644)
    assert codes(doctor(home)) == ["readable-by-others"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE messages SET content='other' WHERE id='1-0'",
        "UPDATE messages SET line=7 WHERE id='1-0'",
        "DELETE FROM messages WHERE id='1-0'",
        "UPDATE sessions SET topic='other' WHERE id='s001'",
        "DELETE FROM sessions WHERE id='s001'",
        "INSERT INTO sessions(id, path) VALUES('gone', 'atlas/memory/sessions/gone.jsonl')",
        "UPDATE files SET size=1 WHERE path LIKE '%s001%'",
        "DELETE FROM files WHERE path LIKE '%s001%'",
        "INSERT INTO problems VALUES('atlas/memory/sessions/s001.jsonl', 1, 1, 'x', 'error', 'x')",
        "INSERT INTO session_context VALUES(1, 'a', 'b', 'c')",
        "UPDATE usage SET tokens_in=7 WHERE session=1",
        "DELETE FROM messages_fts_docsize WHERE id=(SELECT max(message) FROM messages)",
        "UPDATE memory SET text='other'",
    ],
)
def test_a_mirror_that_says_something_else_is_found(
    home: Home, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no file has changed since it was made."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    write_many(home, 3)
    (home.vault / "atlas/memory/long-term/facts.md").write_text("## Facts\n- likes tea\n")
    close_to_others(home)
    with Workspace.open(home.vault) as workspace:
        assert workspace.repair.examine() == []
        spoil_mirror(workspace.mirror_path, home, sql)
        found = workspace.repair.examine()
        assert {one.problem.code for one in found} == {"mirror-differs"}
        assert all(one.fixable for one in found)
        workspace.reindex()
        assert workspace.repair.examine() == []


def spoil_mirror(path: str, home: Home, sql: str) -> None:
    mirror = open_mirror(os.path.dirname(path), f"{os.path.realpath(home.vault)}:atlas")
    mirror.connection.execute(sql)
    mirror.close()


def test_a_mirror_that_says_something_else_is_made_anew(home: Home) -> None:
    """By ``--fix``, which says so."""
    write_many(home, 3)
    close_to_others(home)
    assert doctor(home) == []
    path = home.output("mirror", "path").strip()
    spoil_mirror(path, home, "UPDATE sessions SET topic='other'")
    assert codes(doctor(home)) == ["mirror-differs"] * 3
    assert home.output("doctor", "--fix") == (
        "made a new mirror from the files\nNothing is wrong.\n"
    )


def test_the_trace_of_a_killed_chat_is_noted_and_cleared(home: Home) -> None:
    """A clean end leaves none."""
    home.output("chat", "-s", "one", "-m", "hello")
    assert doctor(home) == []
    hold_a_lease(home)
    (found,) = doctor(home, code=0)
    assert (found["code"], found["severity"]) == ("stale-lease", "note")
    assert doctor(home, "--fix") == []


def hold_a_lease(home: Home) -> None:
    """A process opens a session and is killed."""
    code = (
        "import os, signal, sys\n"
        "from datetime import datetime, UTC\n"
        "from vault_sessions.workspace import Workspace\n"
        "ws = Workspace.open(sys.argv[1])\n"
        "lease = ws.state.lease('killed', datetime.now(UTC))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.vault)], env=home.environment, check=False
    )
    assert done.returncode == -signal.SIGKILL


def test_a_clone_without_the_driver_is_told(home: Home) -> None:
    """Where git's attributes name it; what to do is said with it."""
    home.output("init", "--git")
    assert doctor(home) == []
    subprocess.run(
        ["git", "config", "--remove-section", "merge.vault-sessions"], cwd=home.vault, check=True
    )
    (found,) = doctor(home)
    assert (found["code"], found["fixable"]) == ("driver-missing", False)
    assert "init --git" in found["message"]


def test_conflicts_of_git_in_memory_are_found_and_merged(home: Home) -> None:
    """In facts.md, user.md and the log of changes."""
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text("## Facts\n<<<<<<< a\n- tea\n=======\n- coffee\n>>>>>>> b\n")
    changes = home.vault / "atlas/memory/changes.jsonl"
    changes.write_text('<<<<<<< a\n{"id":"1"}\n=======\n{"id":"2"}\n>>>>>>> b\n')
    close_to_others(home)
    assert codes(doctor(home)) == ["conflict-marker", "conflict-marker"]
    assert doctor(home, "--fix") == []
    assert facts.read_text() == "## Facts\n- coffee\n- tea\n"
    assert changes.read_text() == '{"id":"1"}\n{"id":"2"}\n'


# --- mending -------------------------------------------------------------------------------------


def originals(home: Home) -> dict[str, list[bytes]]:
    """Every version of each file that is in the trash, as its manifest says."""
    kept: dict[str, list[bytes]] = {}
    for place in home.vault.glob(".vault-sessions/trash/*/*/manifest.json"):
        manifest = json.loads(place.read_text())
        for file in manifest["files"]:
            path = place.parent / file["path"]
            if manifest["moved"] and not path.exists():
                continue  # killed before it was moved
            data = path.read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            assert len(data) == file["size"]
            kept.setdefault(file["path"], []).append(data)
    return kept


def test_every_original_is_in_the_trash_and_every_message_in_the_vault(ill: Home) -> None:
    """And what was done is told for each file."""
    before = tree(ill.vault)
    told = ill.run("doctor", "--fix").stdout
    after, kept = tree(ill.vault), originals(ill)
    for path, data in before.items():
        if after.get(path) != data:
            assert data in kept[path]
            assert path in told or "conflict-copy" in path or "DESKTOP" in path
        if path.endswith(".jsonl") and path in after:
            ids = {found.id for found in parse(data).messages}
            assert ids <= {found.id for found in parse(after[path]).messages}


def test_a_second_run_changes_nothing(ill: Home) -> None:
    """Not a byte, not a time, and nothing new in the trash."""
    ill.run("doctor", "--fix")
    before = {path: path.stat().st_mtime_ns for path in ill.vault.rglob("*")}
    done = ill.run("doctor", "--fix")
    assert "mended" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in ill.vault.rglob("*")} == before


def test_list_and_show_agree_after_mending(ill: Home) -> None:
    """The mirror is made new in the same step."""
    ill.run("doctor", "--fix")
    rows = {row["id"]: row for row in ill.json("list")}
    assert rows["glued"]["problems"] == 0
    assert rows["glued"]["message_count"] == 4


def test_a_mode_is_kept(home: Home) -> None:
    """A file that is mended stays as open or closed as it was."""
    path = write_session(home, "s", *said("a"), b"{")
    path.chmod(0o640)
    home.run("doctor", "--fix")
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes() == said("a")[0]


def test_missing_messages_are_put_back_in_their_place(home: Home) -> None:
    """Before what was said since; a second time there is nothing to do."""
    whole = lose_the_end(home)
    path = home.sessions / "s.jsonl"
    with path.open("ab") as file:
        file.write(b"".join(said("e")))
    close_to_others(home)
    (found,) = doctor(home)
    assert (found["code"], found["fixable"]) == ("missing-messages", True)
    assert "--forget s" in found["message"]
    assert doctor(home, "--fix") == []
    assert path.read_bytes() == whole + said("e")[0]
    assert doctor(home, "--fix") == []
    assert path.read_bytes() == whole + said("e")[0]


def test_a_loss_can_be_accepted(home: Home) -> None:
    """Then the file stays as it is, now and later."""
    lose_the_end(home)
    close_to_others(home)
    left = (home.sessions / "s.jsonl").read_bytes()
    assert codes(doctor(home)) == ["missing-messages"]
    done = home.run("doctor", "--forget", "s")
    assert done.returncode == 0, done.stderr
    assert "Accepted" in done.stderr
    assert doctor(home, "--fix") == []
    assert (home.sessions / "s.jsonl").read_bytes() == left
    assert "No messages are missing" in home.error("doctor", "--forget", "s")
    assert "no session" in home.error("doctor", "--forget", "nobody")


def test_missing_messages_come_before_lines(home: Home) -> None:
    """A file that has lost its end and is broken is whole after one run."""
    whole = lose_the_end(home)
    path = home.sessions / "s.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"?\n")
    close_to_others(home)
    assert set(codes(doctor(home))) == {"bad-line", "bom", "missing-messages"}
    assert doctor(home, "--fix") == []
    assert path.read_bytes() == whole


def test_what_a_conflict_deleted_is_no_loss(home: Home) -> None:
    """A line that stood only in the base part of git's conflict, and last."""
    a, b = said("a", "b")
    path = write_session(home, "s", a, b"<<<<<<< x\n||||||| o\n", b, b"=======\n>>>>>>> y\n")
    close_to_others(home)
    home.output("list")
    assert doctor(home, "--fix") == []
    assert path.read_bytes() == a
    assert doctor(home) == []


def test_metadata_of_a_session_is_mended_under_its_lock(home: Home) -> None:
    """A wrong id, a comma too many, a conflict."""
    write_session(home, "s", *said("a"))
    meta = home.sessions / "s.meta.json"
    meta.write_text('{\n<<<<<<< a\n  "name": "x",\n=======\n  "name": "x",\n>>>>>>> b\n"id": "s"}')
    close_to_others(home)
    assert codes(doctor(home)) == ["meta-unreadable"]
    assert doctor(home, "--fix") == []
    assert json.loads(meta.read_text()) == {"name": "x", "id": "s"}
    meta.write_text('{"id": "t",}')
    assert doctor(home, "--fix") == []
    assert meta.read_text() == '{"id": "s"}'


def test_a_file_that_is_saved_meanwhile_is_mended_as_it_is_then(home: Home) -> None:
    """Appends by chats go on while ``doctor --fix`` runs over and over; none is lost."""
    path = write_session(home, "s", *said("a"))
    code = (
        "import sys\n"
        "from vault_sessions.workspace import Workspace\n"
        "from vault_sessions import vault as v\n"
        "ws = Workspace.open(sys.argv[1])\n"
        "for n in range(60):\n"
        "    with ws.state.lock('s'):\n"
        "        v.append_message(ws.vault, 's', {'role': 'user', 'content': str(n), "
        "'id': f'n-{n}'}, create=False)\n"
        "        with open(sys.argv[2], 'ab') as f: f.write(b'broken\\n')\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(home.vault), str(path)], env=home.environment
    )
    menders = [home.start("doctor", "--fix") for _ in range(2)]
    for process in menders:
        process.communicate(timeout=60)
    assert writer.wait(60) == 0
    home.run("doctor", "--fix")
    read = parse(path.read_bytes())
    assert [one.id for one in read.messages] == ["id-of-a", *(f"n-{n}" for n in range(60))]
    assert not read.problems


def small_ill_vault(home: Home) -> None:
    """One session for each way of mending: lines, metadata, a conflict copy, a loss, memory."""
    write_session(home, "lines", *said("a"), b"?\n", *said("b", "c"), b'{"role":')
    write_session(home, "meta", *said("a"), id="other")
    write_session(home, "copied", *said("a", "b"))
    write_session(home, "copied.sync-conflict-20260106-101500-ABCDEFG", *said("a", "c"))
    lose_the_end(home, "lost")
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text("## Facts\n<<<<<<< a\n- tea\n=======\n- coffee\n>>>>>>> b\n")
    close_to_others(home)


def check_faults(folder: Path, each: int, kinds: tuple[str, ...]) -> int:
    """Every so many calls of ``doctor --fix`` fail, each in a run of its own: whatever is changed
    has its original in the trash, and the next run completes it. How many runs there were."""
    home = make_home(folder / "home")
    small_ill_vault(home)
    shutil.copytree(home.folder, folder / "aside")
    before = tree(home.vault / "atlas")
    home.run("doctor", "--fix")
    outcome = tree(home.vault / "atlas")
    assert outcome != before
    tried = 0
    with Faults(folder / "driver") as driver:

        def start() -> None:
            shutil.rmtree(home.folder)
            shutil.copytree(folder / "aside", home.folder, copy_function=shutil.copy)

        start()
        calls, _ = driver.calls(home, "doctor", "--fix")
        for call in calls[:: each or 1]:
            for kind in kinds:
                start()
                done = driver.fail(home, Fault(call.name, call.number, kind), "doctor", "--fix")
                assert "Traceback" not in done.err, (call, kind, done.err)
                kept = originals(home)
                now = tree(home.vault / "atlas")
                for path, data in before.items():
                    where = (call, kind, path)
                    assert now.get(path) == data or data in kept.get(f"atlas/{path}", ()), where
                driver.run(home, "doctor", "--fix")
                left = {
                    path: data
                    for path, data in tree(home.vault / "atlas").items()
                    if not path.endswith(".tmp")
                }
                assert left == outcome, (call, kind)
                tried += 1
    return tried


needs_strace = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@needs_strace
def test_killed_or_failing_here_and_there_the_next_run_completes_it() -> None:
    """And the outcome is that of one run."""
    with quick_folder() as folder:
        assert check_faults(folder, 41, ("KILL",))


@needs_strace
@pytest.mark.fault
@pytest.mark.timeout(3600)
def test_killed_or_failing_at_every_call_the_next_run_completes_it() -> None:
    """Every call with every fault; how many there were is told."""
    with quick_folder() as folder:
        print(f"{check_faults(folder, 1, KINDS)} faults in doctor --fix")


def test_two_at_once_do_it_once(ill: Home) -> None:
    """The files are what one alone would make of them."""
    both = [ill.start("doctor", "--fix") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
    assert not [one for one in doctor(ill) if one["fixable"]]


def test_json_is_one_document_even_while_mending(ill: Home) -> None:
    """What was done is told on stderr."""
    done = ill.run("doctor", "--fix", "--json")
    assert isinstance(json.loads(done.stdout), list)
    assert "mended atlas/memory/sessions/glued.jsonl: objects on one line split" in done.stderr


def test_hostile_names_and_contents_do_not_reach_the_terminal(home: Home) -> None:
    """Escape sequences in a file's name or a field are taken out."""
    (home.sessions / "a\x1b[2J\nb.txt").write_text("x")
    write_session(home, "s", b'{"role":"\\u001b[31muser","content":"x"}\n')
    assert "\x1b" not in home.run("doctor").stdout
    assert len(home.run("doctor").stdout.splitlines()) == 3
    assert "\x1b" not in home.run("doctor", "--fix").stdout


@pytest.mark.slow
def test_a_line_too_long_is_found_and_taken_out(home: Home) -> None:
    """Over 64 MiB."""
    path = write_session(home, "s", *said("a"), b'{"x":"' + b"x" * (65 << 20) + b'"}\n')
    close_to_others(home)
    assert codes(doctor(home)) == ["too-long"]
    assert doctor(home, "--fix") == []
    assert path.read_bytes() == said("a")[0]


# --- where nothing can be written ----------------------------------------------------------------


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def test_a_read_only_vault_is_examined(ill: Home) -> None:
    """``--fix`` says in one line that nothing can be written."""
    expected = doctor(ill)
    mount("--bind", str(ill.vault), str(ill.vault))
    try:
        mount("-o", "remount,bind,ro", str(ill.vault))
        before = tree(ill.vault)
        assert doctor(ill) == expected
        error = ill.run("doctor", "--fix")
        assert error.returncode == 1
        assert "Traceback" not in error.stderr
        assert "Read-only file system" in error.stderr
        assert tree(ill.vault) == before
    finally:
        subprocess.run(["umount", str(ill.vault)], check=True)


def test_a_full_disk_is_one_line(home: Home) -> None:
    """Nothing is changed where the original can't be kept."""
    for n in range(5):
        write_session(home, f"s{n}", *said("a"), b"?\n" * 500)
    aside = home.folder / "aside"
    home.vault.rename(aside)
    home.vault.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(home.vault))
    try:
        shutil.copytree(aside, home.vault, dirs_exist_ok=True)
        with suppress(OSError), open(home.vault / "fill", "wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        before = tree(home.vault / "atlas")
        error = home.error("doctor", "--fix")
        assert "No space left on device" in error
        assert tree(home.vault / "atlas") == before
        (home.vault / "fill").unlink()
        home.run("doctor", "--fix")
        assert not [one for one in doctor(home) if one["severity"] != "note"]
    finally:
        subprocess.run(["umount", str(home.vault)], check=True)


# --- the trash -----------------------------------------------------------------------------------


def in_trash(home: Home, entry: str) -> dict[str, bytes]:
    return {path: data for path, data in tree(home.vault / entry).items() if data}


def test_the_trash_says_what_is_in_it(home: Home) -> None:
    """When, why, and of each file its path, size, hash and mode; only the owner can look."""
    vault = Vault(str(home.vault))
    path = write_session(home, "s", *said("a"))
    path.chmod(0o640)
    entry = trash.keep(vault, [f"{SESSIONS}/s.jsonl"], "a test", NOW, move=False)
    assert entry.startswith(".vault-sessions/trash/2026-11-21/080512-")
    data = said("a")[0]
    assert json.loads(in_trash(home, entry).pop("manifest.json")) == {
        "at": "2026-11-21T08:05:12.000Z",
        "why": "a test",
        "moved": False,
        "files": [
            {
                "path": f"{SESSIONS}/s.jsonl",
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "mode": "0640",
            }
        ],
    }
    assert in_trash(home, entry)[f"{SESSIONS}/s.jsonl"] == data == path.read_bytes()
    assert (home.vault / ".vault-sessions/.gitignore").read_text() == "trash/\n"
    everything = (home.vault / ".vault-sessions/trash").rglob("*")
    assert {p.stat().st_mode & 0o777 for p in everything} == {0o600, 0o700}


def test_what_is_moved_is_gone_from_its_place(home: Home) -> None:
    """All of it under one entry."""
    vault = Vault(str(home.vault))
    write_session(home, "s", *said("a"), name="x")
    paths = [f"{SESSIONS}/s.jsonl", f"{SESSIONS}/s.meta.json"]
    entry = trash.keep(vault, paths, "a test", NOW, move=True)
    assert not list(home.sessions.iterdir())
    assert set(in_trash(home, entry)) == {*paths, "manifest.json"}


def test_what_is_moved_from_another_file_system_is_copied_first(home: Home) -> None:
    """A folder of the vault may be mounted from elsewhere."""
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(home.sessions))
    try:
        write_session(home, "s", *said("a"))
        path = f"{SESSIONS}/s.jsonl"
        entry = trash.keep(Vault(str(home.vault)), [path], "a test", NOW, move=True)
        assert not list(home.sessions.iterdir())
        assert in_trash(home, entry)[path] == said("a")[0]
    finally:
        subprocess.run(["umount", str(home.sessions)], check=True)


@pytest.mark.parametrize("move", [True, False])
@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", f"{SESSIONS}/../s.jsonl", "manifest.json", "link", "in/link"]
)
def test_nothing_from_elsewhere_gets_into_the_trash(home: Home, path: str, move: bool) -> None:
    """No path out of the vault, no link."""
    (home.folder / "x").write_text("secret")
    (home.vault / "link").symlink_to(home.folder / "x")
    (home.vault / "in").symlink_to(home.folder)
    (home.folder / "link").write_text("secret")
    with pytest.raises(VaultError):
        trash.keep(Vault(str(home.vault)), [path], "a test", NOW, move=move)
    assert (home.folder / "x").exists()
    assert (home.folder / "link").exists()
    assert not (home.vault / ".vault-sessions/trash").exists()


def test_a_trash_that_leads_out_of_the_vault_is_not_used(home: Home) -> None:
    """A link in its place is refused."""
    (home.folder / "out").mkdir()
    (home.vault / ".vault-sessions/trash").symlink_to(home.folder / "out")
    path = write_session(home, "s", *said("a"))
    with pytest.raises(VaultError):
        trash.keep(Vault(str(home.vault)), [f"{SESSIONS}/s.jsonl"], "", NOW, move=True)
    assert path.exists()
    assert not list((home.folder / "out").iterdir())


def test_what_the_owner_has_git_ignore_is_kept(home: Home) -> None:
    """His own list is not written over."""
    (home.vault / ".vault-sessions/.gitignore").write_text("mine\n")
    write_session(home, "s", *said("a"))
    trash.keep(Vault(str(home.vault)), [f"{SESSIONS}/s.jsonl"], "", NOW, move=False)
    assert (home.vault / ".vault-sessions/.gitignore").read_text() == "mine\n"

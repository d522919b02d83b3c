"""The mirror is a copy: whatever happens to it, it is right again at the next question.

What docs/mirror.md promises: rebuilt by itself when it is missing, damaged, of another version or
another vault; nobody sees half of it; a writer is not held up by a rebuild; nothing needs locks of
the reader.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from home import Home, make_home, message, write_many, write_session

from vault_sessions.workspace import Workspace

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A vault of five sessions; this process has the same user folders as its own."""
    home = make_home(tmp_path)
    for name in ("CACHE", "STATE", "CONFIG"):
        name = f"VAULT_SESSIONS_{name}"
        monkeypatch.setenv(name, home.environment[name])
    write_many(home, 5)
    return home


class Listener(list[str]):
    """Keeps what a workspace says."""

    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def said() -> Listener:
    """What the workspaces of a test said."""
    return Listener()


def opened(home: Home, said: Callable[[str], None], now: datetime = NOW) -> Workspace:
    """A workspace on the vault, with a clock that stands still."""
    return Workspace.open(home.vault, say=said, clock=lambda: now, environment={})


def built(home: Home) -> Path:
    """The mirror file, made and closed."""
    with Workspace.open(home.vault, environment={}) as workspace:
        assert len(workspace.list()) == len(list(home.sessions.glob("*.jsonl")))
        return Path(workspace.mirror_path)


def rows(path: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """What a person gets who asks the SQLite file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def change(path: Path, *statements: str) -> None:
    """Somebody writes to the mirror, which is not for writing."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


# --- what is wrong with the file -----------------------------------------------------------------


def _missing(path: Path) -> None:
    path.unlink()


def _random(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _barely_there(path: Path) -> None:
    os.truncate(path, 50)


def _zero_length(path: Path) -> None:
    os.truncate(path, 0)


def _text_file(path: Path) -> None:
    path.write_text("This is my shopping list.\n" * 100)


def _older(path: Path) -> None:
    change(path, "PRAGMA user_version = 0")


def _newer(path: Path) -> None:
    change(path, "PRAGMA user_version = 999")


def _other_vault(path: Path) -> None:
    change(path, "UPDATE info SET value = '/elsewhere:atlas' WHERE key = 'vault'")


def _other_database(path: Path) -> None:
    path.unlink()
    change(path, "PRAGMA page_size = 4096", "PRAGMA journal_mode = WAL", "CREATE TABLE mine(x)")


def _without_info(path: Path) -> None:
    change(path, "DROP TABLE info")


def _without_files(path: Path) -> None:
    change(path, "DROP TABLE files")


def _without_sessions(path: Path) -> None:
    change(path, "DROP TABLE sessions")


def _without_index(path: Path) -> None:
    change(path, "DROP TABLE messages_fts")


@pytest.mark.parametrize(
    "harm",
    [
        _missing,
        _random,
        _truncated,
        _barely_there,
        _zero_length,
        _text_file,
        _older,
        _newer,
        _other_vault,
        _other_database,
        _without_info,
        _without_files,
        _without_sessions,
        _without_index,
    ],
    ids=lambda harm: harm.__name__.strip("_"),
)
def test_is_rebuilt_by_itself_with_one_line(
    home: Home, said: Listener, harm: Callable[[Path], None]
) -> None:
    """Every question is answered, one line says what was done, and then it is done."""
    path = built(home)
    harm(path)
    with opened(home, said) as workspace:
        assert len(workspace.list()) == 5
        assert workspace.search("apple")
    assert len(said) == 1
    assert said[0].startswith("Building the mirror from the files (")
    with opened(home, said) as workspace:
        assert len(workspace.search("apple", limit=100)) == 10
    assert len(said) == 1


def test_the_command_says_it_in_one_line_on_stderr(home: Home) -> None:
    """And prints its results as ever."""
    assert home.output("list") == "s004\ns003\ns002\ns001\ns000\n"
    Path(home.output("mirror", "path").strip()).write_bytes(b"garbage" * 1000)
    done = home.run("list")
    assert done.stdout.splitlines() == ["s004", "s003", "s002", "s001", "s000"]
    assert done.stderr.count("\n") == 1
    assert "Building the mirror" in done.stderr
    assert home.run("-q", "list").stderr == ""


@pytest.mark.parametrize("table", ["messages", "messages_fts", "sessions", "files"])
def test_is_rebuilt_when_it_breaks_in_the_middle_of_a_session(
    home: Home, said: Listener, table: str
) -> None:
    """A workspace is open and the mirror loses a table under it: reading and writing go on."""
    path = built(home)
    with opened(home, said) as workspace:
        workspace.list()
        change(path, f"DROP TABLE {table}")
        workspace.chat.take_turn("What about apple number 3?", session="s003")
        assert len(workspace.list()) == 5
        assert workspace.search('"what about apple"')
    assert len(said) == 1


def test_is_rebuilt_when_its_pages_are_overwritten(home: Home, said: Listener) -> None:
    """Garbage from its second page on, with a workspace open."""
    write_many(home, 60, each=20)
    path = built(home)
    with opened(home, said) as workspace:
        workspace.list(limit=1)
        with open(path, "r+b") as file:
            file.seek(8192)
            file.write(random.Random(2).randbytes(path.stat().st_size - 8192))
        write_session(home, "new", message("a pear", id="n1"))
        workspace.sync()
        assert len(workspace.list()) == 61
        assert len(workspace.search("apple", limit=2000)) == 1200
        assert len(workspace.search("pear")) == 1


def test_is_private(home: Home) -> None:
    """The file holds every conversation: only its owner may read it."""
    old = os.umask(0o022)
    try:
        path = built(home)
        with Workspace.open(home.vault, environment={}) as workspace:
            workspace.chat.take_turn("hello")
            files = list(path.parent.iterdir())
            assert path.with_name("mirror.db-wal") in files
            for file in files:
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(old)


# --- where it can't be kept ----------------------------------------------------------------------

READING = (
    ("list",),
    ("list", "--json"),
    ("show", "s003"),
    ("search", "apple"),
    ("path", "s003"),
    ("memory", "show"),
    ("memory", "search", "apple"),
    ("chat", "--why"),
    ("config", "show"),
)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_without_a_cache_folder_it_is_kept_in_memory(home: Home, command: tuple[str, ...]) -> None:
    """A file stands where the cache should be: a warning, and every reading command works."""
    (home.folder / "cache").write_text("in the way")
    done = home.run(*command)
    assert done.returncode == 0, done.stderr
    if command[0] in ("list", "show", "search", "path"):
        assert "s003" in done.stdout
        assert done.stderr.count("kept in memory") == 1
    assert (home.folder / "cache").read_text() == "in the way"


def test_in_memory_chat_works_too(home: Home) -> None:
    """A turn is on disk, whatever becomes of the mirror."""
    (home.folder / "cache").write_text("in the way")
    home.output("chat", "-m", "where is apple number 2?", "-s", "fruit")
    assert "fruit" in home.output("list")


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is denied to root")
def test_a_cache_folder_that_may_not_be_written(home: Home, said: Listener) -> None:
    """The mirror in it is read; what can't be added to it is kept in memory."""
    path = built(home)
    write_session(home, "new", message("pear"))
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with opened(home, said) as workspace:
            assert len(workspace.list()) == 6
            assert workspace.chat.take_turn("plum").session_id
            assert len(workspace.search("plum", role="user")) == 1
        assert len(said) == 1
        assert "kept in memory" in said[0]
    finally:
        path.parent.chmod(0o700)


def test_a_mirror_that_is_a_folder(home: Home, said: Listener) -> None:
    """It is left alone."""
    path = built(home)
    path.unlink()
    path.mkdir()
    with opened(home, said) as workspace:
        assert len(workspace.list()) == 5
    assert len(said) == 1
    assert "kept in memory" in said[0]
    assert path.is_dir()


# --- several at once -----------------------------------------------------------------------------

COUNT = """
import sqlite3, sys, time
seen, until = set(), time.monotonic() + float(sys.argv[2])
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
while time.monotonic() < until:
    seen.add(connection.execute(
        "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM messages), "
        "(SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'apple')").fetchone())
print(sorted(seen))
"""


def test_readers_never_see_half_of_it(home: Home) -> None:
    """One process counts while another makes the mirror anew, again and again."""
    write_many(home, 200, each=10)
    path = built(home)
    reader = subprocess.Popen(
        [sys.executable, "-c", COUNT, str(path), "3"], stdout=subprocess.PIPE, text=True
    )
    with Workspace.open(home.vault, environment={}) as workspace:
        while reader.poll() is None:
            assert workspace.reindex() == 200
    assert reader.stdout is not None
    with reader.stdout as out:
        assert out.read().strip() == "[(200, 2000, 2000)]"


def test_a_rebuild_does_not_hold_up_a_turn(home: Home) -> None:
    """What is said while another process rebuilds is on disk at once, and found afterwards."""
    write_many(home, 300, each=20)
    built(home)
    with Workspace.open(home.vault, environment={}) as workspace:
        workspace.chat.take_turn("before")
        other = home.start("reindex")
        slowest = 0.0
        turns = 0
        while other.poll() is None:
            started = time.monotonic()
            workspace.chat.take_turn(f"pear{turns} said meanwhile")
            slowest = max(slowest, time.monotonic() - started)
            turns += 1
        assert other.wait() == 0
        other.communicate()
        assert turns > 0
        assert slowest < 1
        for turn in range(turns):
            hits = workspace.search(f"pear{turn}", role="user")
            assert [hit.snippet for hit in hits] == [f"pear{turn} said meanwhile"]
    found = home.json("search", "pear0", "--role", "user")
    assert len(found) == 1


def test_two_rebuild_at_once(home: Home) -> None:
    """One after the other; both end well, and so does the mirror."""
    write_many(home, 100)
    both = [home.start("reindex"), home.start("reindex")]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.startswith("100 sessions in ")
    assert len(home.json("list")) == 100


def test_many_that_find_no_mirror_make_one(home: Home) -> None:
    """They wait for the first to make it and say nothing of their own."""
    processes = [home.start("list") for _ in range(4)]
    builders = 0
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.split() == ["s004", "s003", "s002", "s001", "s000"]
        builders += "Building" in err
    assert builders == 1


def test_a_rebuild_may_be_killed_at_any_moment(home: Home) -> None:
    """kill -9, again and again: the next start is as if nothing had been."""
    write_many(home, 150, each=10)
    path = built(home)
    chance = random.Random(3)
    for _ in range(8):
        process = home.start("reindex")
        time.sleep(0.15 + chance.random() * 0.35)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = home.run("list")
        assert done.returncode == 0
        assert done.stderr == ""
        assert len(done.stdout.split()) == 150
    path.unlink()
    process = home.start("list")
    time.sleep(0.3)
    process.kill()
    process.communicate()
    assert len(home.output("list").split()) == 150
    assert home.output("reindex").startswith("150 sessions")
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


WRITE = """
import sys
from vault_sessions import Workspace
vault, name, turns = sys.argv[1:]
said = []
with Workspace.open(vault, environment={}, say=said.append) as workspace:
    for turn in range(int(turns)):
        workspace.chat.take_turn(f"pear {name} {turn}", session=name)
print(said)
"""
READ = """
import sys
from vault_sessions import Workspace
for turn in range(int(sys.argv[2])):
    with Workspace.open(sys.argv[1], environment={}) as workspace:
        workspace.list(), workspace.search("pear", limit=50)
"""


def _at_once(home: Home, turns: int) -> None:
    """Four programs talk, two ask; every one of them must end well and every word be found."""
    built(home)
    vault = str(home.vault)
    command = [sys.executable, "-c"]
    writers = [[*command, WRITE, vault, f"writer{n}", str(turns)] for n in range(4)]
    readers = [[*command, READ, vault, str(turns)] for _ in range(2)]
    processes = [
        subprocess.Popen(
            arguments,
            env=home.environment,
            cwd=home.vault,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for arguments in (*writers, *readers)
    ]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    with Workspace.open(home.vault, environment={}) as workspace:
        assert len(workspace.search("pear", role="user", limit=10_000)) == 4 * turns
        assert workspace.problems() == []


def test_four_writers_and_two_readers(home: Home) -> None:
    """400 turns of two transactions and more each: never "locked", nothing lost."""
    _at_once(home, 50)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_four_writers_and_two_readers_at_length(home: Home) -> None:
    """The same with some thousand turns."""
    _at_once(home, 600)


def test_threads_of_one_program(home: Home) -> None:
    """Each with a workspace of its own, as the terminal interface has them."""
    failures: list[BaseException] = []

    def talk(name: str) -> None:
        try:
            with Workspace.open(home.vault, environment={}) as workspace:
                for turn in range(10):
                    workspace.chat.take_turn(f"pear {turn}", session=name)
        except BaseException as failure:  # noqa: BLE001  # told by the test
            failures.append(failure)

    threads = [threading.Thread(target=talk, args=(f"thread{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Workspace.open(home.vault, environment={}) as workspace:
        assert len(workspace.search("pear", role="user", limit=1000)) == 40


# --- order ---------------------------------------------------------------------------------------


def test_newest_first_however_late_it_arrives(home: Home, said: Listener) -> None:
    """An old message that comes with a sync tool today stands where its time puts it."""
    stamps = ["2026-03-01", "2026-01-01", "2026-02-01"]
    with opened(home, said) as workspace:
        for stamp in stamps:
            line = message(f"pear {stamp}", id=stamp, created_at=f"{stamp}T00:00:00Z")
            write_session(home, f"late-{stamp}", line)
            workspace.sync()
        hits = workspace.search("pear")
    assert [hit.message_id for hit in hits] == ["2026-03-01", "2026-02-01", "2026-01-01"]


def test_equal_times_keep_the_order_of_the_file(home: Home, said: Listener) -> None:
    """An import may give a thousand messages one time; a rebuild and a sync order them alike."""
    lines = [message("pear", id=f"e{n:04}", created_at="2026-05-05T05:05:05Z") for n in range(1000)]
    with opened(home, said) as workspace:
        workspace.list()
        write_session(home, "equal", *lines)
        workspace.sync()
        synced = [hit.message_id for hit in workspace.search("pear", limit=2000)]
        workspace.reindex()
        rebuilt = [hit.message_id for hit in workspace.search("pear", limit=2000)]
    assert synced == rebuilt == [f"e{n:04}" for n in reversed(range(1000))]


def test_many_messages_without_a_time_are_no_slower(home: Home, said: Listener) -> None:
    """A transcript typed by hand, of any length."""
    with opened(home, said) as workspace:
        workspace.list()
        write_session(home, "typed", *(message(f"pear {n}") for n in range(5000)))
        started = time.monotonic()
        workspace.sync()
        assert time.monotonic() - started < 5
        hits = workspace.search("pear", limit=5)
    assert [hit.line for hit in hits] == [5000, 4999, 4998, 4997, 4996]


def test_messages_without_a_time_stand_behind_the_one_before(home: Home, said: Listener) -> None:
    """Their time is unknown, their place is not."""
    write_session(
        home,
        "typed",
        message("pear one", created_at="2026-01-02T00:00:00Z"),
        message("pear two"),
        message("pear three", created_at="2026-01-04T00:00:00Z"),
    )
    write_session(home, "other", message("pear between", created_at="2026-01-03T00:00:00Z"))
    with opened(home, said) as workspace:
        hits = workspace.search("pear")
        rows = workspace.list()
    words = [hit.snippet.split()[1] for hit in hits]
    assert words == ["three", "between", "two", "one"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert next(s.updated_at for s in rows if s.id == "typed") == "2026-01-04T00:00:00.000Z"


# --- by hand -------------------------------------------------------------------------------------


def documented() -> Iterator[tuple[str, set[str]]]:
    """The tables of docs/mirror.md and their columns."""
    page = Path(__file__).parent.parent / "docs" / "mirror.md"
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[1].startswith("`"):
            for name in cells[1].replace("`", "").split(", "):
                columns = cells[3].split("`")[1::2]
                outside = cells[3].split("`")[0::2]
                depth, kept = 0, []
                for column, before in zip(columns, outside, strict=False):
                    depth += before.count("(") - before.count(")")
                    if not depth:
                        kept.append(column)
                yield name, set(kept)


def test_the_tables_are_as_documented(home: Home) -> None:
    """Every table and column of the page is there, and no other column."""
    path = built(home)
    tables = dict(documented())
    assert len(tables) == 12
    for table, columns in tables.items():
        there = {str(row[1]) for row in rows(path, f"PRAGMA table_info({table})")}
        assert there == columns, table


def test_the_questions_of_the_page_are_answered(home: Home) -> None:
    """With nothing but Python's sqlite3, while a workspace is open."""
    with Workspace.open(home.vault, environment={}) as workspace:
        workspace.chat.take_turn("天気予報は？ We decided on the VPC.", session="weather")
        path = Path(workspace.mirror_path)
        newest = rows(
            path,
            "SELECT s.name, m.role, substr(m.content, 1, 80) FROM messages m "
            "JOIN sessions s USING(session) WHERE m.created_at > '2026-11' "
            "ORDER BY m.message DESC LIMIT 20",
        )
        assert [row[:2] for row in newest] == [("weather", "assistant"), ("weather", "user")]
        decided = rows(
            path,
            "SELECT m.content FROM messages_fts f JOIN messages m ON m.message = f.rowid "
            "WHERE messages_fts MATCH 'decided AND vpc' ORDER BY f.rowid DESC LIMIT 5",
        )
        assert ("天気予報は？ We decided on the VPC.",) in decided
        used = rows(
            path,
            "SELECT iif(u.provider || u.model = '', s.model, u.model) AS model, "
            "sum(u.tokens_in + u.tokens_out) FROM usage u JOIN sessions s USING(session) "
            "GROUP BY 1 ORDER BY 2 DESC",
        )
        assert len(used) == 2
        pairs = rows(
            path, "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'grams : \"天気\"'"
        )
        assert pairs[0][0] == len(rows(path, "SELECT 1 FROM messages WHERE content LIKE '%天気%'"))


# --- when much is gone at once -------------------------------------------------------------------


def test_when_most_sessions_vanish_the_mirror_waits(home: Home, said: Listener) -> None:
    """A drive that is not mounted looks like that. After a minute it is believed."""
    write_many(home, 20)
    with opened(home, said) as workspace:
        assert len(workspace.list()) == 20
        for number in range(11):
            (home.sessions / f"s{number:03}.jsonl").unlink()
        workspace.sync()
        assert len(workspace.list()) == 20
        workspace.sync()
    assert len(said) == 2
    assert said[1].startswith("Warning: 11 of 20 sessions are gone from ")
    assert "reindex" in said[1]
    with opened(home, said, NOW + timedelta(seconds=59)) as workspace:
        assert len(workspace.list()) == 20
    with opened(home, said, NOW + timedelta(seconds=60)) as workspace:
        assert len(workspace.list()) == 9
    assert len(said) == 3


@pytest.mark.parametrize(("sessions", "gone"), [(20, 10), (19, 19)])
def test_half_of_them_or_few_may_go(home: Home, said: Listener, sessions: int, gone: int) -> None:
    """That is an owner who tidies up."""
    write_many(home, sessions)
    with opened(home, said) as workspace:
        workspace.list()
        for number in range(gone):
            (home.sessions / f"s{number:03}.jsonl").unlink()
        workspace.sync()
        assert len(workspace.list()) == sessions - gone
    assert len(said) == 1


def test_reindex_believes_at_once(home: Home) -> None:
    """The owner has said so."""
    write_many(home, 30)
    assert len(home.output("list").split()) == 30
    shutil.rmtree(home.sessions)
    home.sessions.mkdir()
    done = home.run("list")
    assert len(done.stdout.split()) == 30
    assert done.returncode == 0
    assert "Warning: 30 of 30 sessions are gone" in done.stderr
    assert home.output("reindex").startswith("0 sessions")
    assert home.run("list").stdout == ""


def test_a_folder_that_is_missing_is_never_believed(home: Home, said: Listener) -> None:
    """However few sessions it held and however long it is away; when it is back, all is well."""
    with opened(home, said) as workspace:
        assert len(workspace.list()) == 5
        away = home.sessions.with_name("away")
        home.sessions.rename(away)
        workspace.sync()
        assert len(workspace.list()) == 5
    with opened(home, said, NOW + timedelta(days=1)) as workspace:
        assert len(workspace.list()) == 5
        away.rename(home.sessions)
        write_session(home, "s005", message("back"))
        workspace.sync()
        assert len(workspace.list()) == 6
    assert [text.startswith("Warning: ") for text in said] == [False, True, True]


def test_an_edit_behind_a_link_inside_the_vault_is_seen(home: Home) -> None:
    """facts.md may be a link to a note elsewhere in the vault, where it is edited."""
    note = home.vault / "facts of mine.md"
    note.write_text("## Facts\n- likes quinces\n")
    (home.vault / "atlas/memory/long-term/facts.md").symlink_to(note)
    assert "quinces" in home.output("search", "quinces")
    note.write_text("## Facts\n- likes pears\n")
    assert "pears" in home.output("search", "pears")
    assert home.output("search", "quinces") == ""

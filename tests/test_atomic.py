"""The one safe writer: what it appends and replaces is whole, or not there at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vault_sessions import atomic
from vault_sessions.atomic import (
    FileChanged,
    NotRegular,
    NotSynced,
    append_line,
    create_file,
    make_folder,
    move_file,
    read_file,
    replace_file,
)

ROOT = Path(__file__).parent.parent


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet, alone in its folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "session.jsonl"


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is given to each ``os.write``."""
    seen: list[bytes] = []
    write = os.write

    def noting(fd: int, data: Any) -> int:
        seen.append(bytes(data))
        return write(fd, data)

    monkeypatch.setattr(os, "write", noting)
    return seen


# --- append --------------------------------------------------------------------------------------


def test_a_line_is_appended_in_one_write(path: Path, writes: list[bytes]) -> None:
    """And the result says where it landed."""
    path.write_bytes(b"one\n")
    done = append_line(str(path), b"two\n", create=False)
    assert path.read_bytes() == b"one\ntwo\n"
    assert writes == [b"two\n"]
    assert done.offset == 4
    assert done.before is not None
    assert (done.before.st_size, done.after.st_size) == (4, 8)
    assert done.after.st_ino == path.stat().st_ino


def test_a_torn_line_is_closed_first_in_the_same_write(path: Path, writes: list[bytes]) -> None:
    """So that the new line stands alone."""
    path.write_bytes(b"one\ntor")
    done = append_line(str(path), b"two\n", create=False)
    assert path.read_bytes() == b"one\ntor\ntwo\n"
    assert writes == [b"\ntwo\n"]
    assert done.offset == 8


def test_a_file_is_made_only_when_wanted(path: Path) -> None:
    """A session that is gone is never recreated by an append."""
    with pytest.raises(FileNotFoundError):
        append_line(str(path), b"one\n", create=False)
    assert not path.exists()
    done = append_line(str(path), b"one\n", create=True)
    assert (done.offset, done.before, path.read_bytes()) == (0, None, b"one\n")
    assert append_line(str(path), b"two\n", create=True).before is not None
    with pytest.raises(FileNotFoundError):
        append_line(str(path.parent / "no" / "folder"), b"one\n", create=True)


def test_an_empty_file_needs_no_newline_first(path: Path) -> None:
    """It has no torn line."""
    path.touch()
    assert append_line(str(path), b"one\n", create=False).offset == 0


def test_a_new_file_is_private_and_the_mode_of_another_is_kept(path: Path) -> None:
    """0600."""
    append_line(str(path), b"one\n", create=True)
    assert mode(path) == 0o600
    path.chmod(0o644)
    append_line(str(path), b"two\n", create=True)
    assert mode(path) == 0o644


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "fifo"])
def test_only_regular_files_are_written(path: Path, kind: str) -> None:
    """Nothing is followed, nothing waited for."""
    other = path.parent / "other"
    if "link" in kind:
        if kind == "link":
            other.write_bytes(b"one\n")
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    for create in (False, True):
        with pytest.raises(NotRegular):
            append_line(str(path), b"two\n", create=create)
    with pytest.raises(NotRegular):
        replace_file(str(path), b"two\n")
    with pytest.raises(NotRegular):
        read_file(str(path))
    assert not other.exists() or other.read_bytes() == b"one\n"
    assert sorted(os.listdir(path.parent)) == sorted({path.name, *(["other"] * other.exists())})


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_file_that_becomes_something_else_is_not_written(
    path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even between the look at it and the opening."""
    path.write_bytes(b"one\n")
    secret = path.parent / "secret"
    secret.write_bytes(b"")
    opening = os.open

    def swapped(name: str, flags: int, *rest: Any) -> int:
        monkeypatch.setattr(os, "open", opening)
        path.unlink()
        if kind == "link":
            path.symlink_to(secret)
        else:
            os.mkfifo(path)
        return opening(name, flags, *rest)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(NotRegular):
        append_line(str(path), b"two\n", create=False)
    assert secret.read_bytes() == b""


def test_the_line_is_in_the_file_that_took_the_place_of_the_opened_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vim, sed -i, git and every sync tool give the path another inode."""
    path.write_bytes(b"one\n")
    opening = os.open

    def swapped(name: str, flags: int, *rest: Any) -> int:
        monkeypatch.setattr(os, "open", opening)
        fd = opening(name, flags, *rest)
        new = path.with_suffix(".new")
        new.write_bytes(b"edited\n")
        new.replace(path)
        return fd

    monkeypatch.setattr(os, "open", swapped)
    done = append_line(str(path), b"two\n", create=False)
    assert path.read_bytes() == b"edited\ntwo\n"
    assert done.after.st_ino == path.stat().st_ino


@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_vanishes_meanwhile_is_made_again_only_when_wanted(
    path: Path, create: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is opened, or after."""
    opening = os.open
    for before in (True, False):
        path.write_bytes(b"one\n")

        def swapped(name: str, flags: int, *rest: Any, before: bool = before) -> int:
            monkeypatch.setattr(os, "open", opening)
            if before:
                path.unlink()
                return opening(name, flags, *rest)
            fd = opening(name, flags, *rest)
            path.unlink()
            return fd

        monkeypatch.setattr(os, "open", swapped)
        if create:
            assert append_line(str(path), b"two\n", create=True).before is None
            assert path.read_bytes() == b"two\n"
        else:
            with pytest.raises(FileNotFoundError):
                append_line(str(path), b"two\n", create=False)
            assert not path.exists()


def test_a_file_that_is_replaced_again_and_again_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an error, not with a line in nowhere."""
    path.write_bytes(b"one\n")
    monkeypatch.setattr(atomic, "_still_there", lambda name, state: None)
    with pytest.raises(OSError, match="replaced again and again"):
        append_line(str(path), b"two\n", create=False)


def test_no_line_is_lost_or_cut_when_threads_append(path: Path) -> None:
    """Even without the lock that callers hold; at most a blank line comes between."""
    path.write_bytes(b"")

    def work(name: int) -> None:
        for number in range(50):
            append_line(str(path), b"%d %d %s\n" % (name, number, b"x" * 500), create=False)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for line in path.read_bytes().splitlines() if line]
    assert len(lines) == len(set(lines)) == 200
    assert all(line.endswith(b"x" * 500) for line in lines)


SHORT_WRITE = """
import resource, sys
from vault_sessions.atomic import append_line, replace_file
path, limit = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if sys.argv[3] == "append":
        append_line(path, b"x" * 100 + b"\\n", create=True)
    else:
        replace_file(path, b"x" * 100)
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("room", [0, 1, 50, 100])
@pytest.mark.parametrize("before", [b"one\n", b"one\ntor"])
def test_a_line_for_which_there_is_no_room_is_cut_off_again(
    path: Path, before: bytes, room: int
) -> None:
    """The file is as it was, and the caller hears of it."""
    path.write_bytes(before)
    said = run_short(path, len(before) + room, "append")
    assert said in (errno.ENOSPC, errno.EFBIG)
    assert path.read_bytes() == before


def test_no_empty_file_is_left_where_there_is_no_room(path: Path) -> None:
    """It would be a session without messages."""
    for limit in (0, 50):
        assert run_short(path, limit, "append")
        assert os.listdir(path.parent) == []


def test_a_file_for_which_there_is_no_room_is_not_replaced(path: Path) -> None:
    """And no temporary file is left."""
    path.write_bytes(b"one\n")
    assert run_short(path, 50, "replace") == errno.EFBIG
    assert path.read_bytes() == b"one\n"
    assert os.listdir(path.parent) == [path.name]


def run_short(path: Path, limit: int, verb: str) -> int:
    """The error of a process whose files can't grow beyond the limit."""
    command = [sys.executable, "-c", SHORT_WRITE, str(path), str(limit), verb]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


def test_behind_a_cut_line_of_another_program_nothing_is_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without our lock may write at the same time."""
    path.write_bytes(b"one\n")
    write = os.write

    def short(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        written = write(fd, data[:2])
        with path.open("ab") as other:
            other.write(b"other\n")
        return written

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="disk is full"):
        append_line(str(path), b"two\n", create=False)
    assert path.read_bytes() == b"one\ntwother\n"


# --- replace -------------------------------------------------------------------------------------


def test_a_whole_file_is_replaced_at_once(path: Path) -> None:
    """By another inode; a new file is private, the mode of another is kept."""
    replace_file(str(path), b"one")
    assert (path.read_bytes(), mode(path)) == (b"one", 0o600)
    inode = path.stat().st_ino
    for bits in (0o644, 0o400, 0o640):
        path.chmod(bits)
        replace_file(str(path), b"two")
        assert (path.read_bytes(), mode(path)) == (b"two", bits)
    assert path.stat().st_ino != inode or path.read_bytes() == b"two"
    assert os.listdir(path.parent) == [path.name]


def test_a_mask_does_not_change_the_mode_that_is_kept(path: Path) -> None:
    """Nor does it open a new file."""
    path.write_bytes(b"one")
    path.chmod(0o666)
    old = os.umask(0o077)
    try:
        replace_file(str(path), b"two")
        os.umask(0)
        replace_file(str(path.with_name("new")), b"two")
    finally:
        os.umask(old)
    assert mode(path) == 0o666
    assert mode(path.with_name("new")) == 0o600


def test_a_file_that_changed_since_it_was_read_is_not_replaced(path: Path) -> None:
    """Edited, replaced or removed."""
    path.write_bytes(b"one")
    _, state = read_file(str(path))
    replace_file(str(path), b"two", must_be=state)
    for change in ("edit", "replace", "remove"):
        _, state = read_file(str(path))
        if change == "edit":
            path.write_bytes(b"edited")
        elif change == "replace":
            other = path.with_name("other")
            other.write_bytes(path.read_bytes())
            other.replace(path)
        else:
            path.unlink()
        left = path.read_bytes() if path.exists() else None
        with pytest.raises(FileChanged):
            replace_file(str(path), b"three", must_be=state)
        assert (path.read_bytes() if path.exists() else None) == left
        assert set(os.listdir(path.parent)) <= {path.name}


def test_a_file_is_made_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never stands there empty; what somebody else put there stays. Without hard links, too."""
    for works in (True, False):
        with monkeypatch.context() as patched:
            if not works:
                patched.setattr(os, "link", failing(errno.EPERM))
            create_file(str(path), b"one")
            assert path.read_bytes() == b"one"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(FileChanged):
                create_file(str(path), b"two")
        assert path.read_bytes() == b"one"
        assert os.listdir(path.parent) == [path.name]
        path.unlink()


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_line_that_is_not_on_disk_is_taken_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told that it was not saved must not find it saved."""
    path.write_bytes(b"one\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            append_line(str(path), b"two\n", create=False)
        assert path.read_bytes() == b"one\n"
        new = path.with_name("new")
        with pytest.raises(OSError, match="Input/output"):
            append_line(str(new), b"two\n", create=True)
        assert not new.exists()


def test_the_first_failure_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that the temporary file could not be removed either."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing(errno.ENOSPC))
        patched.setattr(os, "unlink", failing(errno.EIO))
        with pytest.raises(OSError, match="No space left"):
            replace_file(str(path), b"one")


def test_a_folder_that_is_not_confirmed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new content is there, and it is said that it may not last."""
    path.write_bytes(b"one")
    real = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, "broken")
        real(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(NotSynced, match="the new content is there"):
            replace_file(str(path), b"two")
    assert path.read_bytes() == b"two"


def test_a_signal_in_between_is_no_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python calls again after one, but not for renames and the like."""
    for name in ("replace", "unlink", "mkdir", "link", "rename"):
        real, left = getattr(os, name), [2]

        def call(*given: Any, real: Any = real, left: list[int] = left) -> Any:
            if left[0]:
                left[0] -= 1
                raise InterruptedError(errno.EINTR, "interrupted")
            return real(*given)

        monkeypatch.setattr(os, name, call)
    replace_file(str(path), b"one")
    assert make_folder(str(path.with_name("folder")))
    move_file(str(path), str(path.with_name("moved")))
    create_file(str(path), b"two")
    assert sorted(os.listdir(path.parent)) == ["folder", "moved", path.name]


def test_what_a_killed_program_left_is_removed_a_day_later(path: Path) -> None:
    """And nothing else."""
    old, fresh = path.with_name(".a.1-2.tmp"), path.with_name(".b.1-2.tmp")
    others = [path.with_name(name) for name in (".c.tmp", "d.1-2.tmp", ".e.1-2.tmpx")]
    for left in (old, fresh, *others):
        left.write_bytes(b"x")
        if left is not fresh:
            os.utime(left, (1_700_000_000, 1_700_000_000))
    replace_file(str(path), b"one")
    assert set(os.listdir(path.parent)) == {p.name for p in (fresh, *others, path)}


@pytest.mark.parametrize("call", ["write", "fsync", "fchmod", "replace"])
def test_nothing_is_left_behind_when_it_fails(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails."""
    path.write_bytes(b"one")

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="broken"):
            replace_file(str(path), b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", ["日" * 80, "x" * 250, "a b", "é.md"])
def test_any_file_name_can_be_replaced(path: Path, name: str) -> None:
    """The temporary file's name is not longer than names may be."""
    target = path.with_name(name)
    replace_file(str(target), b"one")
    replace_file(str(target), b"two")
    assert target.read_bytes() == b"two"


def test_the_temporary_file_is_one_that_readers_ignore(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dot-file that ends in .tmp."""
    seen: list[list[str]] = []
    replace = os.replace

    def noting(source: str, target: str) -> None:
        seen.append(os.listdir(path.parent))
        replace(source, target)

    monkeypatch.setattr(os, "replace", noting)
    replace_file(str(path), b"one")
    (names,) = seen
    assert len(names) == 1
    assert names[0].startswith(".")
    assert names[0].endswith(".tmp")


def test_threads_that_replace_one_file_leave_a_whole_one(path: Path) -> None:
    """Each has a temporary file of its own."""
    bodies = [bytes([65 + number]) * 100_000 for number in range(4)]

    def work(body: bytes) -> None:
        for _ in range(10):
            replace_file(str(path), body)

    threads = [threading.Thread(target=work, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in bodies
    assert os.listdir(path.parent) == [path.name]


# --- reading and folders -------------------------------------------------------------------------


def test_reading_gives_the_bytes_and_the_state_before(path: Path) -> None:
    """From any place on."""
    path.write_bytes(b"one\ntwo\n")
    data, state = read_file(str(path))
    assert (data, state.st_size) == (b"one\ntwo\n", 8)
    assert read_file(str(path), 4)[0] == b"two\n"
    assert read_file(str(path), 8)[0] == read_file(str(path), 99)[0] == b""
    path.write_bytes(b"")
    assert read_file(str(path))[0] == b""
    with pytest.raises(FileNotFoundError):
        read_file(str(path) + "x")


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state tells that it was shorter."""
    path.write_bytes(b"one\n")
    fstat = os.fstat

    def grown(fd: int) -> os.stat_result:
        state = fstat(fd)
        with path.open("ab") as file:
            file.write(b"x" * 3_000_000)
        return state

    monkeypatch.setattr(os, "fstat", grown)
    data, state = read_file(str(path))
    assert (len(data), state.st_size) == (3_000_004, 4)


def test_folders_are_made_private_with_those_above(tmp_path: Path) -> None:
    """0700; one that is there is left as it is."""
    tmp_path.chmod(0o755)
    assert make_folder(str(tmp_path / "a" / "b"))
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    assert not make_folder(str(tmp_path))
    assert mode(tmp_path) == 0o755


def test_paths_from_the_current_folder_work(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they do everywhere."""
    monkeypatch.chdir(path.parent)
    append_line("session.jsonl", b"one\n", create=True)
    replace_file("session.jsonl", b"two\n")
    assert make_folder("made")
    assert path.read_bytes() == b"two\n"

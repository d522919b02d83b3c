"""Files, names and moments that are rare: none of them may stop a command or lose a word."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from home import SESSIONS, Home, make_home
from openai_server import OpenAIServer


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A copy of the sample vault."""
    return make_home(tmp_path, sample=True)


def use_server(home: Home, server: OpenAIServer) -> None:
    """Let a server on this machine answer by default."""
    config = home.folder / "config"
    config.mkdir(exist_ok=True)
    (config / "config.yaml").write_text(
        "ai:\n  default_provider: fake\n  providers:\n"
        f"    fake: {{base_url: '{server.base_url}', model: test-model}}\n"
    )


def test_a_stamp_far_in_the_future(home: Home) -> None:
    """A file of the year 2300 has a time that SQLite's integers can't hold as it is."""
    os.utime(home.sessions / "garden-notes.jsonl", (10_413_792_000, 10_413_792_000))
    for _ in range(2):
        assert "garden-notes" in home.run("list").stdout
    assert home.run("search", "halloween").returncode == 0


def test_a_file_name_that_is_no_utf8(home: Home) -> None:
    """It is said to be unknown; all others are listed, and memory is read from it."""
    odd = os.fsencode(home.sessions) + b"/caf\xe9.jsonl"
    Path(os.fsdecode(odd)).write_text("{}\n")
    note = os.fsencode(home.vault) + b"/atlas/memory/long-term/no\xffte.md"
    Path(os.fsdecode(note)).write_text("- unicorn spotted\n")
    done = home.run("list")
    assert done.returncode == 0
    assert len(done.stdout.split("\n")) == 18
    assert "1 file has problems" in done.stderr
    assert "unicorn" in home.run("search", "unicorn").stdout


def test_a_vault_whose_path_is_no_utf8(tmp_path: Path) -> None:
    """Everything works there, too."""
    vault = Path(os.fsdecode(os.fsencode(tmp_path) + b"/v\xe9"))
    vault.mkdir()
    home = Home(tmp_path, vault)
    assert home.run("init").returncode == 0
    assert home.run("chat", "-m", "hello").returncode == 0
    assert home.run("list").returncode == 0


def test_a_working_directory_that_is_no_utf8(home: Home) -> None:
    """A model is asked as from anywhere else, and the session comes back."""
    place = Path(os.fsdecode(os.fsencode(home.folder) + b"/d\xe9"))
    place.mkdir()
    with OpenAIServer() as server:
        use_server(home, server)
        chat = ("--vault", str(home.vault), "chat", "-m")
        assert home.run(*chat, "one", cwd=place).returncode == 0
        done = home.run(*chat, "two", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "Resumed" in done.stderr


def test_one_name_asked_for_by_several_at_once(home: Home) -> None:
    """They meet in one session: names are unique in the vault."""
    started = [home.start("chat", "-s", "brandnew", "-m", f"x{n}") for n in range(4)]
    for process in started:
        process.communicate(timeout=60)
        assert process.returncode == 0
    named = [s for s in home.json("list") if s["name"] == "brandnew"]
    assert len(named) == 1
    assert named[0]["message_count"] == 8


def test_one_name_given_by_several_at_once(home: Home) -> None:
    """One of them gets it, the others are told."""
    targets = ("achilles", "vpc-design", "denver-move")
    started = [home.start("rename", target, "same name") for target in targets]
    for process in started:
        process.communicate(timeout=60)
    assert sorted(process.returncode for process in started) == [0, 1, 1]


def test_a_name_may_not_be_the_id_of_another(home: Home) -> None:
    """The id would then find the wrong session."""
    other = home.json("list")[0]["id"]
    done = home.run("rename", "vpc-design", other)
    assert done.returncode == 1
    assert "already" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_window_keeps_what_had_arrived(home: Home, number: signal.Signals) -> None:
    """As Ctrl-C does: the partial answer is there, with its status."""
    with OpenAIServer() as server:
        use_server(home, server)
        server.reply("one two three four five six", chunks=6, between=(0, 0, 60))
        process = home.start("chat", "-s", "cut", "-m", "count")
        assert process.stdout is not None
        assert process.stdout.read(7) == "one two"
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == 128 + number
    last = home.json("show", "cut")["messages"][-1]
    assert last["role"] == "assistant"
    assert last["content"].startswith("one two")
    assert (last["status"], last["model"]) == ("cancelled", "test-model")


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_metadata_that_is_no_file_is_no_obstacle(home: Home, kind: str) -> None:
    """Everything is derived, and it is said."""
    meta = home.sessions / "garden-notes.meta.json"
    if kind == "folder":
        meta.mkdir()
    elif kind == "link":
        meta.symlink_to("/etc/hostname")
    else:
        os.mkfifo(meta)
    done = home.run("chat", "-s", "garden-notes", "-m", "When does Walt plant garlic?")
    assert done.returncode == 0, done.stderr
    assert "halloween" in done.stdout
    assert "garden-notes.meta.json" in done.stderr


def test_a_private_chat_sets_no_topic(home: Home) -> None:
    """Nothing is stored, whatever is typed."""
    before = (home.sessions / "20260203-160533-kk3gz4.meta.json").read_bytes()
    process = subprocess.run(
        [
            "script",
            "-qec",
            " ".join(home.command("chat", "--plain", "-s", "vpc-design", "--private")),
            "/dev/null",
        ],
        cwd=home.vault,
        env=home.environment,
        input="/title SECRET\n/quit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "nothing is stored" in process.stdout
    assert (home.sessions / "20260203-160533-kk3gz4.meta.json").read_bytes() == before


def test_an_editor_is_not_led_out_of_the_vault(home: Home) -> None:
    """It would follow the link and change what is elsewhere."""
    outside = home.folder / "outside.txt"
    outside.write_text("mine\n")
    (home.sessions / "linked.jsonl").symlink_to(outside)
    done = home.run("edit", "linked", EDITOR="cat")
    assert done.returncode == 1
    assert "mine" not in done.stdout
    assert "not a regular file" in done.stderr


def test_settings_are_not_read_through_a_link_out_of_the_vault(home: Home) -> None:
    """A cloned vault could show the content of any file in an error."""
    outside = home.folder / "outside.yaml"
    outside.write_text("secret: value\n")
    config = home.vault / ".vault-sessions" / "config.yaml"
    config.unlink(missing_ok=True)
    config.symlink_to(outside)
    done = home.run("list")
    assert done.returncode == 1
    assert "leads out of the vault" in done.stderr
    assert "secret" not in done.stderr


def test_times_at_the_ends_of_the_calendar(home: Home) -> None:
    """Local time may lie beyond them."""
    line = '{"role":"user","content":"x","created_at":"9999-12-31T23:59:59Z"}\n'
    (home.sessions / "last.jsonl").write_text(line)
    (home.sessions / "last.meta.json").write_text('{"created_at":"0001-01-01T00:00:00Z"}')
    for zone in ("Pacific/Kiritimati", "America/New_York"):
        assert home.run("show", "last", TZ=zone).returncode == 0
        assert home.run("list", "--json", TZ=zone).returncode == 0


def test_one_bad_file_hides_no_other(home: Home) -> None:
    """A summary that is a folder, a skill that is a link out of the vault."""
    (home.vault / "atlas/memory/long-term/session-2026-01-01-x.md").mkdir()
    (home.vault / "atlas/skills/evil.md").symlink_to("/etc/hostname")
    done = home.run("memory", "show", "summaries")
    assert done.returncode == 0
    assert "Postgres" in done.stdout
    assert home.run("chat", "--skill", "code-review", "-m", "who is Priya?").returncode == 0


def test_a_full_state_folder_is_no_reason_to_refuse_a_message(home: Home, tmp_path: Path) -> None:
    """What can't be noted there is only shown to people."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        home.run("list", VAULT_SESSIONS_STATE=str(small))
        with suppress(OSError), open(small / "fill", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
        done = home.run("chat", "-s", "full", "-m", "kept", VAULT_SESSIONS_STATE=str(small))
        text = "".join(p.read_text() for p in home.sessions.glob("*.jsonl"))
        assert '"kept"' in text, done.stderr
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_the_vault_of_the_tests_is_the_sample(home: Home) -> None:
    """So that what is counted above is what is there."""
    assert len(list((home.vault / SESSIONS).glob("*.jsonl"))) == 17

"""The commands as a person or a script meets them: docs/commands.md, through the program itself.

Every command runs as a process, with pipes or on a terminal; what it prints is the contract.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from home import SESSIONS, Home, make_home, message, tree, write_many, write_session
from openai_server import OpenAIServer

from vault_sessions.cli.door import Door, add_global_options
from vault_sessions.cli.telling import waiting

_LIST = (
    "id name topic topic_source created_at updated_at ended_at message_count model provider skill "
    "directory git_root status problems path"
)
LIST_KEYS = _LIST.split()
_HIT = "kind session_id name topic message_id role created_at path line snippet score"
HIT_KEYS = _HIT.split()
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The sample vault, for commands that only read."""
    return make_home(tmp_path_factory.mktemp("sample"), sample=True)


# --- the program ---------------------------------------------------------------------------------


def test_version_and_help(sample: Home) -> None:
    """``--version``, ``-h``; help pages for every command; without arguments the help."""
    assert re.fullmatch(r"vault-sessions \d+\.\d+\.\d+\n", sample.output("--version"))
    page = sample.output("-h")
    assert page == sample.output("--help")
    for command in re.findall(r"^  (\w+)  ", page.split("Commands:")[1], re.MULTILINE):
        assert f"vault-sessions {command}" in sample.output(command, "--help")
        assert "--vault" in sample.output(command, "-h")
    bare = sample.run()
    assert bare.returncode == 2
    assert "Commands:" in bare.stderr + bare.stdout


def test_the_installed_command_is_the_same() -> None:
    """The script that pip installs."""
    script = Path(sys.executable).with_name("vault-sessions")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("vault-sessions ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serch", "x"], "Did you mean 'search'?"),
        (["frobnicate"], "There is no command 'frobnicate'"),
        (["list", "--sort", "colour"], "'updated'"),
        (["list", "--limit", "-1"], "--limit"),
        (["list", "--since", "yesterday"], "24h, 7d, 2w or 3m"),
        (["list", "--since", "2026-13-01"], "there is no day"),
        (["search"], "QUERY"),
        (["search", "a", "b"], "unexpected extra argument"),
        (["show"], "SESSION"),
        (["list", "--nonsense"], "--nonsense"),
        (["completion", "tcsh"], "'bash'"),
        (["chat", "--new", "-s", "x", "-m", "hi"], "exclude each other"),
        (["chat", "-m", "  "], "empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(sample: Home, arguments: list[str], said: str) -> None:
    """Exit code 2, and what would be right."""
    assert said in sample.error(*arguments, code=2)


def test_global_options_stand_before_or_after_the_command(sample: Home, tmp_path: Path) -> None:
    """``--vault``, ``-q`` and ``-v``, also behind a command of a group."""
    vault = str(sample.vault)
    before = sample.output("--vault", vault, "list", cwd=tmp_path)
    assert before == sample.output("list", "--vault", vault, cwd=tmp_path)
    assert before.count("\n") == 17
    path = sample.output("mirror", "path", "--vault", vault, cwd=tmp_path)
    assert path == sample.output("mirror", "--vault", vault, "path", cwd=tmp_path)
    for quiet in (["-q", "list"], ["list", "-q"], ["list", "--quiet"]):
        assert sample.run(*quiet).stderr == ""
    assert sample.run("-v", "list").returncode == 0
    assert sample.run("list", "--verbose").returncode == 0


def test_every_option_has_a_variable(sample: Home) -> None:
    """``VAULT_SESSIONS_<COMMAND>_<OPTION>``; what is given wins."""
    assert sample.output("list", VAULT_SESSIONS_LIST_LIMIT="3").count("\n") == 3
    assert sample.output("list", "--limit", "2", VAULT_SESSIONS_LIST_LIMIT="3").count("\n") == 2
    byname = sample.output("list", VAULT_SESSIONS_LIST_SORT="name")
    assert byname == sample.output("list", "--sort", "name")
    assert sample.output("search", "the", VAULT_SESSIONS_SEARCH_LIMIT="1").count("\n") == 1
    one = sample.output("show", "achilles", VAULT_SESSIONS_SHOW_LAST="1")
    assert one == sample.output("show", "achilles", "--last", "1")


def test_a_broken_pipe_is_silent(home: Home) -> None:
    """``vault-sessions list | head -1``."""
    write_many(home, 3000, each=1)
    home.output("list")
    for command in ("list", "list --json", "search apple --limit 3000", "show s001 --json"):
        done = subprocess.run(
            f"{sys.executable} -m vault_sessions {command} | head -1",
            shell=True,
            cwd=home.vault,
            env=home.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1


def test_interrupted(home: Home) -> None:
    """Ctrl-C: 130, what had arrived is on disk, and no traceback."""
    with OpenAIServer() as server:
        server.reply("and so on " * 200, chunks=200, between=0.05)
        use(home, server)
        process = home.start("chat", "-m", "go on")
        assert process.stdout is not None
        assert process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    kept = home.json("show", home.json("list")[0]["id"])["messages"]
    assert kept[1]["status"] == "cancelled"
    assert kept[1]["content"].startswith("and so on")


def use(home: Home, server: OpenAIServer) -> None:
    """Settings by which the fake server answers."""
    (home.folder / "config").mkdir()
    (home.folder / "config/config.yaml").write_text(
        f"ai:\n  default_provider: fake\n"
        f"  providers:\n    fake: {{base_url: '{server.base_url}', model: small}}\n"
    )


# --- init, and which vault -----------------------------------------------------------------------


def test_init_makes_a_vault(tmp_path: Path) -> None:
    """Folders and files with private modes; what was made, on stdout; where, on stderr."""
    home = Home(tmp_path)
    done = home.run("init", "notes")
    assert done.returncode == 0
    made = [line.removeprefix("made ") for line in done.stdout.splitlines()]
    assert ".vault-sessions/config.yaml" in made
    assert f"{SESSIONS}/" in made
    root = tmp_path / "notes"
    assert str(root) in done.stderr
    for path in root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert (root / ".vault-sessions/.gitignore").read_text() == "trash/\n"
    assert home.output("list", "--vault", str(root)) == ""


def test_init_is_safe_to_repeat(home: Home) -> None:
    """What is there is not changed, not even its mode."""
    home.output("init")
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text("- mine\n")
    facts.chmod(0o644)
    before = tree(home.vault)
    done = home.run("init")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing was missing" in done.stderr
    assert tree(home.vault) == before
    assert stat.S_IMODE(facts.stat().st_mode) == 0o644
    shutil.rmtree(home.vault / "atlas/skills")
    assert home.output("init") == "made atlas/skills/\n"
    assert home.json("init") == {"vault": str(home.vault), "made": []}


def test_init_that_can_not_be_done(home: Home) -> None:
    """A file is in the way; a folder leads out of the vault."""
    (home.folder / "file").write_text("x")
    assert "no vault made" in home.error("init", str(home.folder / "file"))
    outside = home.folder / "outside"
    outside.mkdir()
    (home.folder / "new").mkdir()
    (home.folder / "new/atlas").symlink_to(outside)
    assert "leads out of the vault" in home.error("init", str(home.folder / "new"))
    assert list(outside.iterdir()) == []


def test_which_vault(tmp_path: Path) -> None:
    """The flag, the variable, the nearest one upward, the setting; else how to make one."""
    home = Home(tmp_path)
    for name in ("flag", "variable", "upward", "setting"):
        home.output("init", name)
        line = message("hi", id=f"in-{name}")
        (tmp_path / name / SESSIONS / f"in-{name}.jsonl").write_bytes(line)
    below = tmp_path / "upward/a/b"
    below.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home.output("config", "set", "vault", str(tmp_path / "setting"), cwd=elsewhere)
    variable = {"VAULT_SESSIONS_VAULT": str(tmp_path / "variable")}
    flag = ["--vault", str(tmp_path / "flag")]
    assert home.output("list", cwd=elsewhere) == "in-setting\n"
    assert home.output("list", cwd=below) == "in-upward\n"
    assert home.output("list", cwd=below, **variable) == "in-variable\n"
    assert home.output("list", *flag, cwd=below, **variable) == "in-flag\n"
    (tmp_path / "config/config.yaml").unlink()
    said = home.error("list", cwd=elsewhere)
    assert "There is no vault here or above" in said
    assert "vault-sessions init" in said


def test_a_folder_with_atlas_memory_is_a_vault(tmp_path: Path) -> None:
    """As the assistant Atlas leaves it, without ``.vault-sessions``."""
    home = make_home(tmp_path)
    (home.vault / ".vault-sessions").rmdir()
    write_session(home, "one", message("hi"))
    assert home.output("list", cwd=home.sessions) == "one\n"
    assert "is no vault" in home.error("list", "--vault", str(tmp_path))
    assert "There is no folder" in home.error("list", "--vault", str(tmp_path / "nowhere"))


# --- list ----------------------------------------------------------------------------------------


def test_list_piped_prints_names(sample: Home) -> None:
    """One name a line, the id where there is none, the newest activity first."""
    names = sample.output("list").splitlines()
    assert len(names) == 17
    assert names[0] == "jetstream-consumer-review"
    assert "20261114-024031-s05taf" in names
    assert "pandas-文字化け" in names


def test_list_json(sample: Home) -> None:
    """All keys, and only those; instants as RFC 3339; paths from the root."""
    sessions = sample.json("list")
    assert [list(session) for session in sessions] == [LIST_KEYS] * 17
    updated = [session["updated_at"] or "" for session in sessions]
    assert updated == sorted(updated, reverse=True)
    for session in sessions:
        assert session["updated_at"] is None or INSTANT.fullmatch(session["updated_at"])
        assert (sample.vault / session["path"]).is_file()
        assert session["status"] in ("open", "ended", "ending")
    one = next(s for s in sessions if s["name"] == "postgres-upgrade")
    assert one["topic"] == "Postgres 17 upgrade"
    assert (one["provider"], one["status"], one["problems"]) == ("anthropic", "ended", 0)


def test_list_which_and_how(sample: Home) -> None:
    """``--provider``, ``--since``, ``--limit``, ``--sort``."""
    everyone = sample.json("list")
    openai = sample.json("list", "--provider", "openai")
    assert [s["id"] for s in openai] == [s["id"] for s in everyone if s["provider"] == "openai"]
    assert sample.json("list", "--provider", "nobody") == []
    since = sample.json("list", "--since", "2026-09-01")
    late = [s["id"] for s in everyone if (s["updated_at"] or "") >= "2026-09"]
    assert [s["id"] for s in since] == late
    assert sample.output("list", "--limit", "0") == ""
    assert sample.output("list", "--limit", "2").count("\n") == 2
    counts = [s["message_count"] for s in sample.json("list", "--sort", "messages")]
    assert counts == sorted(counts, reverse=True)
    created = [s["created_at"] or "" for s in sample.json("list", "--sort", "created")]
    assert created == sorted(created, reverse=True)
    names = [s["name"].casefold() for s in sample.json("list", "--sort", "name") if s["name"]]
    assert names == sorted(names)
    for span in ("24h", "7d", "2w", "3m"):
        sample.output("list", "--since", span)


def test_list_on_a_terminal_is_a_table(sample: Home) -> None:
    """Heads, local times, marks; no line wider than the terminal."""
    for columns in (140, 80):
        shown = sample.screen("list", columns=columns, NO_COLOR="1")
        assert shown.code == 0
        lines = shown.text.replace("\r", "").splitlines()
        for head in ["Name", "Topic", "Created", "Updated", "Messages"]:
            assert head in lines[0]
        assert ("Model" in lines[0] and "Provider" in lines[0]) == (columns > 80)
        lines[0] = lines[0].replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert max(map(_width, lines)) <= columns
        assert "●" in shown.text
        assert re.search(r"thanks.* \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown.text)


def _width(text: str) -> int:
    return sum(2 if ord(character) > 0x2E80 else 1 for character in text)


def test_colour_only_on_a_terminal_that_wants_it(sample: Home) -> None:
    """``NO_COLOR`` and pipes get none."""
    for command in (["list"], ["search", "postgres"], ["show", "achilles"]):
        assert "\x1b[" in sample.screen(*command).text
        plain = sample.screen(*command, NO_COLOR="1").text
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain)
        assert "\x1b" not in sample.output(*command)


def test_an_empty_vault(home: Home) -> None:
    """Nothing, said in words on a terminal only."""
    assert home.output("list") == ""
    assert home.json("list") == []
    assert "No sessions yet" in home.screen("list").text


def test_files_with_problems_are_counted(home: Home) -> None:
    """A footer on stderr; the session is in the list with its mark, the good lines count."""
    write_session(home, "good", message("hi"))
    write_session(home, "bad", message("hi"), b"{broken\n", message("ho", "assistant"))
    done = home.run("list")
    assert sorted(done.stdout.split()) == ["bad", "good"]
    assert "1 file has problems" in done.stderr
    bad = next(s for s in home.json("list") if s["id"] == "bad")
    assert (bad["problems"], bad["message_count"]) == (1, 2)
    assert re.search("●! +bad", home.screen("list", NO_COLOR="1").text)


# --- show ----------------------------------------------------------------------------------------


def test_show_json(sample: Home) -> None:
    """The fields of ``list``, and messages, compactions, problem_list."""
    shown = sample.json("show", "postgres-upgrade")
    assert list(shown) == [*LIST_KEYS, "messages", "compactions", "problem_list"]
    assert len(shown["compactions"]) == 2
    assert shown["problem_list"] == []
    assert len(shown["messages"]) == shown["message_count"]
    for said in shown["messages"]:
        assert {"id", "role", "content", "created_at", "line"} <= set(said)
    listed = next(s for s in sample.json("list") if s["id"] == shown["id"])
    assert {key: shown[key] for key in LIST_KEYS} == listed


def test_show_branches_last_and_raw(sample: Home) -> None:
    """The active branch; ``--all-branches`` the whole file; ``--raw`` its bytes."""
    active = sample.json("show", "freiburg-trip")["messages"]
    everything = sample.json("show", "freiburg-trip", "--all-branches")["messages"]
    assert len(active) < len(everything)
    assert all(said["active"] for said in active)
    assert sample.json("show", "freiburg-trip", "--last", "2")["messages"] == active[-2:]
    assert sample.json("show", "freiburg-trip", "--last", "0")["messages"] == []
    assert sample.json("show", "freiburg-trip", "--last", "999")["messages"] == active
    path = sample.output("path", "freiburg-trip").strip()
    assert sample.output("show", "freiburg-trip", "--raw").encode() == Path(path).read_bytes()


def test_show_piped_is_plain_text(sample: Home) -> None:
    """Name, topic, who said what; Markdown as it was written."""
    text = sample.output("show", "denver-move")
    assert text.startswith("denver-move — Move from Austin to Denver\n")
    assert "\n--- you · 20" in text
    assert "\n--- assistant · 20" in text


def test_show_on_a_terminal_is_rendered(home: Home) -> None:
    """Markdown becomes bold, bullets and code."""
    write_session(home, "md", message("# Title\n\n- one\n- **two**\n\n```py\nx = 1\n```"))
    shown = home.screen("show", "md")
    assert shown.code == 0
    assert "•" in shown.text
    assert "**two**" not in shown.text
    assert "\x1b[1m" in shown.text


def test_show_tells_what_is_wrong(home: Home) -> None:
    """On stderr as ``path:line:column: code: message``."""
    write_session(home, "bad", message("hi"), b"{broken\n", message("ho"))
    done = home.run("show", "bad")
    assert "hi" in done.stdout
    assert f"{SESSIONS}/bad.jsonl:2:2: bad-line: " in done.stderr
    found = home.json("show", "bad")["problem_list"]
    assert [(p["line"], p["column"], p["code"]) for p in found] == [(2, 2, "bad-line")]


def test_a_session_is_named_in_three_ways(sample: Home) -> None:
    """Name (in any case), id, unique beginning of an id; else an error that lists candidates."""
    path = sample.output("path", "q2-planning")
    assert path == sample.output("path", "Q2-PLANNING")
    assert path == sample.output("path", "20260324-141802-4qb7x9")
    assert path == sample.output("path", "20260324")
    said = sample.error("path", "202603")
    assert "ambiguous" in said
    assert "20260317-153120-6e0bfj (Event bus decision)" in said
    assert "20260324-141802-4qb7x9 (q2-planning)" in said
    assert "There is no session 'nobody'" in sample.error("show", "nobody")
    assert "There is no session ''" in sample.error("show", "")


def test_two_sessions_of_one_name(home: Home) -> None:
    """Made on two machines: neither is guessed."""
    write_session(home, "one", message("a"), name="same")
    write_session(home, "two", message("b"), name="SAME")
    said = home.error("show", "same")
    assert "one (same)" in said
    assert "two (SAME)" in said
    assert home.output("path", "one").endswith("one.jsonl\n")


# --- search --------------------------------------------------------------------------------------


def test_search_json(sample: Home) -> None:
    """All keys, and only those; every hit leads to its line."""
    hits = sample.json("search", "postgres", "--limit", "100")
    assert {hit["kind"] for hit in hits} >= {"message", "fact", "summary"}
    for hit in hits:
        assert list(hit) == HIT_KEYS
        assert "postgres" in hit["snippet"].lower()
        lines = (sample.vault / hit["path"]).read_text(encoding="utf-8").split("\n")
        assert 1 <= hit["line"] <= len(lines)
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_search_forms(sample: Home) -> None:
    """Piped ``path:line: snippet``; on a terminal a title and the snippet; none: nothing."""
    for line in sample.output("search", "postgres").splitlines():
        assert re.match(r"atlas/\S+:\d+: ", line)
    assert "postgres-upgrade" in sample.screen("search", "postgres").text
    assert sample.output("search", "xyzzyplugh") == ""
    assert sample.json("search", "xyzzyplugh") == []
    assert "Nothing found" in sample.screen("search", "xyzzyplugh").text
    assert sample.output("search", "--", "-postgres") == ""
    assert sample.run("search", "--session", "nobody", "postgres").returncode == 1


def test_search_options(sample: Home) -> None:
    """``--in``, ``--role``, ``--session``, ``--since``, ``--sort``, ``--any``, ``--limit``."""

    def found(*options: str) -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = sample.json("search", "postgres", "--limit", "200", *options)
        assert hits
        return hits

    assert {hit["kind"] for hit in found("--in", "sessions")} == {"message"}
    assert "message" not in {hit["kind"] for hit in found("--in", "memory")}
    assert {hit["role"] for hit in found("--role", "user")} == {"user"}
    assert {hit["name"] for hit in found("--session", "postgres-upgrade")} == {"postgres-upgrade"}
    assert min(hit["created_at"] for hit in found("--since", "2026-09-01")) >= "2026-09-01"
    newest = [hit["created_at"] or "" for hit in found("--sort", "newest", "--in", "sessions")]
    assert newest == sorted(newest, reverse=True)
    assert sample.json("search", "--any", "When is the Postgres cutover?")


# --- rename, path, edit --------------------------------------------------------------------------


def test_rename(home: Home) -> None:
    """The name in the metadata changes, the files keep theirs, every other byte stays."""
    write_session(home, "one", message("hi"))
    meta = home.sessions / "one.meta.json"
    meta.write_text('{ "version": 1,\n  "mine": [1,2],  "name": "old" }\n')
    assert home.output("rename", "old", "  Zürich  ") == "Name of one: Zürich\n"
    assert meta.read_text() == '{ "version": 1,\n  "mine": [1,2],  "name": "Zürich" }\n'
    assert home.output("list") == "Zürich\n"
    assert home.json("rename", "one", "b")["name"] == "b"
    assert home.output("rename", "b", "b") == "Name of one: b\n"


def test_rename_topic(home: Home) -> None:
    """``--topic``: it is the owner's from now on."""
    write_session(home, "one", message("hi"))
    assert home.output("rename", "one", "A  new\ttopic", "--topic") == "Topic of one: A new topic\n"
    changed = home.json("list")[0]
    assert (changed["topic"], changed["topic_source"]) == ("A new topic", "user")


@pytest.mark.parametrize("new", ["alpha", "ALPHA", "Ａｌｐｈａ", " alpha "])
def test_rename_to_a_name_that_is_taken(home: Home, new: str) -> None:
    """Unique under NFKC and case folding."""
    write_session(home, "one", message("hi"), name="alpha")
    write_session(home, "two", message("hi"))
    assert "is the name of one already" in home.error("rename", "two", new)
    assert "alpha\ntwo\n" in home.output("list", "--sort", "name")


@pytest.mark.parametrize("new", ["", "   ", "x" * 101, "a\nb", "a\x1b[31mb", "a\u2028b"])
def test_rename_to_what_is_no_name(home: Home, new: str) -> None:
    """1–100 characters without control characters."""
    write_session(home, "one", message("hi"))
    said = home.error("rename", "one", new)
    assert "can't be a name" in said
    assert not CONTROL.search(said.replace("\n", ""))


def test_rename_with_broken_or_newer_metadata(home: Home) -> None:
    """It is not changed, and said how to go on."""
    write_session(home, "one", message("hi"))
    for text in ("{broken", "[1]", '{"version": 2}'):
        (home.sessions / "one.meta.json").write_text(text)
        home.error("rename", "one", "new")
        assert (home.sessions / "one.meta.json").read_text() == text


def test_path(home: Home) -> None:
    """Absolute on stdout; from the root in JSON."""
    path = write_session(home, "one", message("hi"))
    assert home.output("path", "one") == f"{path}\n"
    assert home.json("path", "one") == {"id": "one", "path": f"{SESSIONS}/one.jsonl"}


def editor(home: Home, body: str) -> dict[str, Any]:
    """An editor that is a shell script; ``$1`` is the file."""
    script = home.folder / "my editor.sh"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o700)
    return {"EDITOR": f"'{script}'"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (":", "No message changed."),
        ("sed -i s/hello/goodbye/ $1", "Messages: 1 changed."),
        ("""printf '{"role":"user","content":"more"}\\n' >> $1""", "Messages: 1 added."),
        ("""printf '{"role":"user","content":"more"}' >> $1""", "Messages: 1 added."),
        ("sed -i 2d $1", "Messages: 1 removed."),
        ("cp $1 $1.new; echo >> $1.new; mv $1.new $1", "No message changed."),
        (": > $1", "Messages: 2 removed."),
    ],
)
def test_edit_says_what_changed(home: Home, body: str, said: str) -> None:
    """In place or as a new file; the mirror knows it at once."""
    write_session(home, "one", message("hello", id="m1"), message("world", "assistant", id="m2"))
    assert home.output("edit", "one", **editor(home, body)) == f"{said}\n"


def test_edit_takes_out_what_was_shown_but_not_what_came_meanwhile(home: Home) -> None:
    """An editor that saves what it had read overwrites an answer that came in between."""
    path = write_session(home, "one", message("hello", id="m1"), message("world", id="m2"))
    home.output("list")
    home.output("edit", "one", **editor(home, "sed -i 2d $1"))
    assert home.json("list")[0]["problems"] == 0
    late = message("late", id="m3").decode().strip()
    stale = f"cp $1 $1~; echo '{late}' >> $1; {' '.join(home.command('list'))}; cp $1~ $1"
    home.output("edit", "one", **editor(home, stale))
    assert home.json("list")[0]["problems"] == 1
    home.run("doctor", "--fix")
    assert path.read_bytes() == message("hello", id="m1") + message("late", id="m3")


def test_edit_that_breaks_a_line(home: Home) -> None:
    """Which line and why, like a compiler."""
    write_session(home, "one", message("hello", id="m1"), message("world", id="m2"))
    shown = home.output("edit", "one", **editor(home, "sed -i '1s/}$//' $1"))
    lines = shown.splitlines()
    assert lines[0] == "Messages: 1 removed."
    assert lines[1].startswith(f"{SESSIONS}/one.jsonl:1:")
    assert ": bad-line: " in lines[1]


def test_edit_that_fails(home: Home) -> None:
    """The editor's own failure, a missing editor, a file that is gone."""
    write_session(home, "one", message("hello"))
    assert "ended with code 3" in home.error("edit", "one", **editor(home, "exit 3"))
    assert "can't be run" in home.error("edit", "one", EDITOR="/no/such/editor")
    assert "can't be run" in home.error("edit", "one", EDITOR="'unbalanced")
    home.error("edit", "one", **editor(home, "rm $1"))
    assert home.output("list") == ""


# --- memory, mirror, config, completion ----------------------------------------------------------


def test_memory_show(sample: Home) -> None:
    """The files as they are; one of them alone without a heading."""
    facts = (sample.vault / "atlas/memory/long-term/facts.md").read_text(encoding="utf-8")
    assert sample.output("memory", "show", "facts") == facts.rstrip("\n") + "\n"
    everything = sample.output("memory", "show")
    assert "=== atlas/identity/user.md\n" in everything
    documents = sample.json("memory", "show", "summaries")
    assert [list(document) for document in documents] == [["path", "text"]] * len(documents)
    assert len(documents) == 14
    assert documents[0]["path"].endswith("session-2026-11-13-tyre-pressure-in-bar-and-psi.md")


def test_memory_search(sample: Home) -> None:
    """The most relevant first, and nothing but memory."""
    hits = sample.json("memory", "search", "hazelnuts")
    assert [list(hit) for hit in hits] == [HIT_KEYS] * len(hits)
    assert {hit["kind"] for hit in hits} <= {"fact", "summary", "snapshot"}
    assert hits
    assert sample.output("memory", "search", "hazelnuts", "--limit", "0") == ""


def test_nothing_remembered(home: Home) -> None:
    """No files: nothing on stdout, a word on stderr."""
    done = home.run("memory", "show")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Nothing is remembered yet" in done.stderr
    assert home.json("memory", "show") == []


def test_reindex_and_mirror_path(sample: Home) -> None:
    """The number of sessions; where the file is, in the cache and not in the vault."""
    assert re.fullmatch(r"17 sessions in \d+\.\d s\n", sample.output("reindex"))
    document = sample.json("reindex")
    assert list(document) == ["sessions", "seconds"]
    path = sample.output("mirror", "path").strip()
    assert path.startswith(sample.environment["VAULT_SESSIONS_CACHE"])
    assert sample.json("mirror", "path") == {"path": path}
    assert Path(path).is_file()


def test_config_show(home: Home) -> None:
    """Every setting with its origin; a key is never shown."""
    (home.vault / ".vault-sessions/config.yaml").write_text("ai:\n  sessions: {scope: vault}\n")
    document = home.json("config", "show", OPENAI_API_KEY="sk-very-secret")
    assert list(document) == ["settings", "providers"]
    assert all(list(row) == ["key", "value", "from"] for row in document["settings"])
    scope = next(row for row in document["settings"] if row["key"] == "ai.sessions.scope")
    assert scope["value"] == "vault"
    assert scope["from"].endswith("config.yaml:2")
    text = home.output("config", "show", VAULT_SESSIONS_FOLDER="atlas", OPENAI_API_KEY="sk-very")
    assert "VAULT_SESSIONS_FOLDER" in text
    assert "sk-very" not in text + json.dumps(document)
    assert "OPENAI_API_KEY (set)" in text


def test_config_path_and_show_without_a_vault(tmp_path: Path) -> None:
    """Settings can be looked at before there is a vault."""
    home = Home(tmp_path)
    user = str(tmp_path / "config/config.yaml")
    assert home.output("config", "path") == f"{user}\n"
    assert home.json("config", "path") == {"user": user, "vault": None}
    assert "ai.default_provider" in home.output("config", "show")


def test_config_set_keeps_every_other_byte(home: Home) -> None:
    """Comments, order, quotes and blank lines are the owner's."""
    path = home.folder / "config/config.yaml"
    assert home.output("config", "set", "ai.default_provider", "ollama").startswith(
        "ai.default_provider = ollama ("
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = (
        "# mine\n\nui:   {recap_exchanges: 2}  # few\nai:\n    # who\n"
        "    default_provider:   'openai'   # paid\n    sessions:\n      scope: vault\n# end"
    )
    path.write_text(text)
    home.output("config", "set", "ai.default_provider", "anthropic")
    assert path.read_text() == text.replace("'openai'", "anthropic")
    home.output("config", "set", "ui.recap_exchanges", "5")
    home.output("config", "set", "ai.sessions.resume_window", "2h")
    after = path.read_text()
    assert "{recap_exchanges: 5}  # few" in after
    for line in text.replace("'openai'", "anthropic").replace("2}", "5}").splitlines():
        assert line in after
    values = {row["key"]: row["value"] for row in home.json("config", "show")["settings"]}
    assert values["ai.sessions.resume_window"] == "2h"
    assert values["ui.recap_exchanges"] == 5


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ai.default_provder", "x", "did you mean ai.default_provider?"),
        ("ai.sessions.scope", "world", "one of workspace, directory, vault"),
        ("ai.providers.mine.base_url", "not a url", "URL"),
        ("ui.recap_exchanges", "-1", "a whole number"),
    ],
)
def test_config_set_refuses(home: Home, key: str, value: str, said: str) -> None:
    """What is accepted, or the nearest key; nothing is written."""
    assert said in home.error("config", "set", "--", key, value)
    assert not (home.folder / "config/config.yaml").exists()


def test_a_wrong_settings_file(home: Home) -> None:
    """File, line and key; in the vault's file an unknown key is only a warning."""
    (home.folder / "config").mkdir()
    (home.folder / "config/config.yaml").write_text("ai:\n  defualt_provider: openai\n")
    said = home.error("list")
    assert "config.yaml:2: ai.defualt_provider" in said
    (home.folder / "config/config.yaml").unlink()
    (home.vault / ".vault-sessions/config.yaml").write_text("ai:\n  new_thing: 1\n")
    done = home.run("list")
    assert done.returncode == 0
    assert "Warning: " in done.stderr
    (home.vault / ".vault-sessions/config.yaml").write_text("vault: /tmp\n")
    assert "a vault can't set this" in home.error("list")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(home: Home, shell: str) -> None:
    """Accepted by the shell itself, where it is installed."""
    script = home.output("completion", shell)
    assert "vault-sessions" in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, text=True, check=False)
        assert checked.returncode == 0


def test_completion_of_commands_and_sessions(sample: Home) -> None:
    """What the script asks the program for."""

    def complete(words: str, place: int) -> str:
        return sample.run(
            COMP_WORDS=words, COMP_CWORD=str(place), _VAULT_SESSIONS_COMPLETE="bash_complete"
        ).stdout

    assert "plain,reindex" in complete("vault-sessions re", 1)
    assert complete("vault-sessions show pandas", 2) == "plain,pandas-文字化け\n"


# --- chat ----------------------------------------------------------------------------------------


def test_chat_one_turn(home: Home) -> None:
    """``-m``, ``-m -`` and a pipe: the answer on stdout, the session line on stderr."""
    done = home.run("chat", "-m", "hello", "-s", "first", stdin="not read")
    assert done.returncode == 0
    assert done.stdout.endswith("\n")
    assert re.search(r"^session first \(\S+\) · offline$", done.stderr, re.MULTILINE)
    home.output("chat", "-m", "-", "-s", "first", stdin="from stdin\nin two lines\n")
    home.output("chat", "-s", "first", stdin="from a pipe")
    said = [m["content"] for m in home.json("show", "first")["messages"] if m["role"] == "user"]
    assert said == ["hello", "from stdin\nin two lines", "from a pipe"]
    document = home.json("chat", "-m", "again", "-s", "first")
    assert " ".join(document) == "session_id name reply status error provider model usage"
    assert (document["name"], document["status"], document["error"]) == ("first", None, None)


def test_chat_comes_back_and_new_begins_afresh(home: Home) -> None:
    """Within the window the same session; ``--new`` another; ``--why`` says, and writes nothing."""
    first = home.json("chat", "-m", "one")["session_id"]
    assert home.json("chat", "-m", "two")["session_id"] == first
    before = tree(home.vault)
    assert f"Would resume {first}" in home.output("chat", "--why")
    assert home.json("chat", "--why")["session_id"] == first
    assert tree(home.vault) == before
    second = home.json("chat", "-m", "three", "--new")["session_id"]
    assert second != first
    status = {s["id"]: s["status"] for s in home.json("list")}
    assert status == {first: "ended", second: "open"}


def test_chat_private_keeps_nothing(home: Home) -> None:
    """Not in the vault, not in the mirror."""
    done = home.run("chat", "--private", "-m", "a secret")
    assert done.returncode == 0
    assert "nothing was stored" in done.stderr
    assert list(home.sessions.iterdir()) == []
    assert not any(b"a secret" in data for data in tree(home.folder).values())


def test_chat_on_a_terminal(home: Home) -> None:
    """Line mode: what is typed is said; /quit leaves, saying how to come back."""
    shown = home.screen("chat", "--plain", "-s", "lines", typed="hello there\n/quit\n")
    assert shown.code == 0
    assert "Come back: vault-sessions chat -s lines" in shown.text
    assert home.json("show", "lines")["message_count"] == 2


# --- start-up ------------------------------------------------------------------------------------

HEAVY = ("openai", "httpx2", "textual", "rich", "watchdog", "asyncio", "yaml")


@pytest.mark.parametrize("kept", [False, True], ids=["without settings", "settings kept"])
@pytest.mark.parametrize(
    "command",
    [["--help"], ["list"], ["list", "--json"], ["show", "s001"], ["search", "apple"]],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(home: Home, command: list[str], kept: bool) -> None:
    """A start loads no terminal library, no client of a model, no watcher, no YAML."""
    write_many(home, 3)
    if kept:
        home.output("config", "set", "ui.recap_exchanges", "2")
    home.output("list")
    program = (
        "import sys; from vault_sessions.cli import run; code = run(sys.argv[1:]); "
        f"sys.exit([name for name in {HEAVY} if name in sys.modules] or code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=home.vault,
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- nothing but what was asked ------------------------------------------------------------------


def test_reading_commands_change_nothing(sample: Home) -> None:
    """Not a byte of the sample vault, not a time of a file."""
    before = tree(sample.vault)
    times = {p: p.lstat().st_mtime_ns for p in sample.vault.rglob("*")}
    for command in (
        "list",
        "show achilles",
        "show garden-notes --json",
        "search postgres",
        "search --any kafka",
        "memory show",
        "memory search denver",
        "path q2-planning",
        "reindex",
        "mirror path",
        "config show",
        "config path",
        "chat --why",
        "init",
        "completion bash",
    ):
        assert sample.run(*command.split()).returncode == 0
    assert tree(sample.vault) == before
    assert {p: p.lstat().st_mtime_ns for p in sample.vault.rglob("*")} == times


def test_a_vault_full_of_problems(tmp_path: Path) -> None:
    """Every file with a problem is listed and shown; nothing breaks, no byte changes."""
    home = make_home(tmp_path)
    shutil.rmtree(home.vault)
    shutil.copytree(Path(__file__).parent / "problem_vault", home.vault)
    before = tree(home.vault)
    sessions = home.json("list")
    assert len(sessions) == len(home.output("list").splitlines())
    shown = [home.start("show", session["id"], "--json") for session in sessions]
    for session, process in zip(sessions, shown, strict=True):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        document = json.loads(out)
        assert {key: document[key] for key in LIST_KEYS} == session
    for command in (["search", "the"], ["memory", "show"], ["reindex"]):
        assert home.run(*command).returncode == 0
    assert home.screen("list").code == 0
    assert tree(home.vault) == before


def test_two_sessions_of_one_name_are_told(home: Home) -> None:
    """Made on two machines, or by hand: both are listed, and the problem is named."""
    home.run("chat", "-s", "Alpha", "-m", "one")
    home.run("chat", "-s", "Beta", "-m", "two")
    beta = next(s["id"] for s in home.json("list") if s["name"] == "Beta")
    meta = home.vault / SESSIONS / f"{beta}.meta.json"
    meta.write_text(meta.read_text().replace('"Beta"', '"ALPHA"'))
    done = home.run("list")
    assert sorted(done.stdout.split()) == ["ALPHA", "Alpha"]
    assert "2 files have problems" in done.stderr
    codes = [found["code"] for found in home.json("show", beta)["problem_list"]]
    assert codes == ["name-twice"]


# --- found in review -----------------------------------------------------------------------------


def test_variables_are_named_after_the_long_flag(sample: Home) -> None:
    """Not after our own names; of a command within a group too; none for the global options."""
    assert json.loads(sample.output("list", VAULT_SESSIONS_LIST_JSON="1"))
    assert sample.output("search", "zebra achilles", "--any") == sample.output(
        "search", "zebra achilles", VAULT_SESSIONS_SEARCH_ANY="1"
    )
    assert sample.output("search", "zebra achilles", VAULT_SESSIONS_SEARCH_ANY="1")
    found = sample.json("search", "the", VAULT_SESSIONS_SEARCH_IN="memory")
    assert "session" not in {hit["kind"] for hit in found}
    one = sample.json("memory", "search", "the", VAULT_SESSIONS_MEMORY_SEARCH_LIMIT="1")
    assert len(one) == 1
    assert not sample.output("list", VAULT_SESSIONS_LIST_AS_JSON="1").startswith("[")
    sample.output("list", VAULT_SESSIONS_LIST_VAULT="/nowhere")


def test_what_allows_loss_has_no_variable() -> None:
    """Neither has what only prints and leaves."""

    @click.command("x")
    @click.option("--yes", is_flag=True)
    @click.option("-f", "--force", is_flag=True)
    @click.option("-n", "--dry-run", "preview", is_flag=True)
    def command() -> None: ...

    add_global_options(command, "group", "x")
    variables = {str(option.name): getattr(option, "envvar", None) for option in command.params}
    assert variables.pop("preview") == "VAULT_SESSIONS_GROUP_X_DRY_RUN"
    assert set(variables) == {"yes", "force", "vault", "verbose", "quiet"}
    assert set(variables.values()) == {None}


def test_completion_heeds_the_vault_that_is_given(sample: Home, tmp_path: Path) -> None:
    """From elsewhere."""
    done = sample.run(
        cwd=tmp_path,
        COMP_WORDS=f"vault-sessions --vault {sample.vault} show pandas",
        COMP_CWORD="4",
        _VAULT_SESSIONS_COMPLETE="bash_complete",
    )
    assert done.stdout == "plain,pandas-文字化け\n"


@pytest.mark.parametrize("command", [["search", "the"], ["memory", "search", "the"]])
def test_a_limit_beyond_all_bounds_is_wrong_usage(sample: Home, command: list[str]) -> None:
    """No integer of SQLite's."""
    assert "--limit" in sample.error(*command, "--limit", "9" * 20, code=2)


@pytest.mark.parametrize("arguments", [["init", ""], ["--vault", "", "list"]])
def test_an_empty_name_of_a_vault_is_wrong_usage(home: Home, arguments: list[str]) -> None:
    """It comes from an empty variable of the shell, and doesn't mean the place we are in."""
    assert "empty" in home.error(*arguments, code=2)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_the_null_device(home: Home, closed: str) -> None:
    """No file of the vault gets its number."""
    line = f'"$@" {closed}'
    command = home.command("chat", "-m", "hello", "-s", "closed")
    environment = {**home.environment, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command],
        cwd=home.vault,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert home.json("show", "closed")["message_count"] == 2


@pytest.mark.parametrize("encoding", ["latin1", "ascii", "utf-8"])
def test_a_terminal_that_knows_no_unicode(sample: Home, encoding: str) -> None:
    """What it can't show is escaped; JSON stays JSON."""
    text = sample.output("list", PYTHONIOENCODING=encoding)
    assert ("pandas-文字化け" if encoding == "utf-8" else r"pandas-\u6587") in text
    assert sample.json("list", PYTHONIOENCODING=encoding) == sample.json("list")


def test_a_reader_who_leaves_at_once(sample: Home) -> None:
    """Code 0 and not a word."""
    for command in (["list"], ["search", "the"], ["--help"], ["list", "--help"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            sample.command(*command),
            cwd=sample.vault,
            env=sample.environment,
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (0, b""), command


def test_no_color_is_no_style_at_all(sample: Home) -> None:
    """Neither bold nor dim."""
    assert "\x1b[1m" in sample.screen("search", "the").text
    assert "\x1b[" not in sample.screen("search", "the", NO_COLOR="1").text


def test_config_path_when_settings_are_wrong(home: Home) -> None:
    """That is when it is needed."""
    (home.folder / "config").mkdir()
    (home.folder / "config/config.yaml").write_text("nonsense: [\n")
    own = home.vault / ".vault-sessions/config.yaml"
    own.write_text("folder: ../x\n")
    said = home.output("config", "path").splitlines()
    assert said == [str(home.folder / "config/config.yaml"), str(own)]
    assert home.json("--vault", str(home.vault), "config", "path")["vault"] == str(own)
    assert "no folder" in home.error("--vault", "/no/where", "config", "path")


def test_config_show_names_the_file_of_the_resume_window(home: Home) -> None:
    """Whichever of its names set it."""
    own = home.vault / ".vault-sessions/config.yaml"
    own.write_text("ai:\n  session_continue_minutes: 30\n")
    rows = {row["key"]: row for row in home.json("config", "show")["settings"]}
    assert rows["ai.sessions.resume_window"]["value"] == "30m"
    assert rows["ai.sessions.resume_window"]["from"] == f"{own}:2"


def test_config_set_of_a_vault_says_what_it_wrote(home: Home) -> None:
    """The absolute path."""
    assert f"vault = {home.vault / 'w'} (" in home.output("config", "set", "vault", "w")


def test_a_retry_is_told_with_a_second_at_least() -> None:
    """Rounded up."""
    door = Door()
    said: list[str] = []
    door.note = said.append  # type: ignore[assignment, method-assign]
    for seconds in (0.4, 1.2):
        waiting(door)(seconds, "status 503")
    assert said == ["(status 503; trying again in 1 s)", "(status 503; trying again in 2 s)"]

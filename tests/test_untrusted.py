"""A vault may come from anywhere: nothing in it reaches the terminal raw, or leads out of it.

Transcripts hold what models and web pages said. No text of a file, no file name, no answer of a
server can move the cursor, set a title, write the clipboard or hide itself.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from home import SESSIONS, Home, make_home, message, write_session
from openai_server import OpenAIServer
from test_cli import use

ATTACKS = {
    "csi colour": "\x1b[31mred",
    "csi clear screen": "\x1b[2J\x1b[H",
    "osc title": "\x1b]0;owned\x07",
    "osc link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "osc clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "dcs": "\x1bP1$r0m\x1b\\",
    "apc": "\x1b_Gf=32;AAAA\x1b\\",
    "c1 csi": "\x9b31mred",
    "c1 osc": "\x9d0;owned\x9c",
    "unfinished": "\x1b]0;never closed",
    "reset": "\x1bc",
    "cr overwrite": "rm -rf /\rls      ",
    "backspace": "evil\x08\x08\x08\x08good",
    "bell and nul": "ding\x07\x00",
    "bidi": "user\u202egnp.exe\u2066",
    "zero width": "pay\u200bpal\u2060\ufeff",
    "tags": "a\U000e0041\U000e0042\U000e007f",
    "variation": "a\ufe0f\U000e0100",
    "line separator": "one\u2028two\u2029three",
    "hangul filler": "a\u3164\u115fb",
}

HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?2004[hl]|\r\n")
"""What we send to a terminal ourselves: colours, line ends, readline's bracketed paste."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A vault in which a session, a fact and a file name hold each attack wherever text can be."""
    home = make_home(tmp_path_factory.mktemp("attacked"))
    facts = []
    everything = []
    for number, bad in enumerate(ATTACKS.values()):
        lines = [
            message(f"pear {bad} end", name=f"n{bad}", created_at="2026-11-20T10:00:00Z"),
            message(f"`{bad}` [l]({bad})", "assistant", model=f"g{bad}", provider=bad),
            message("", "assistant", tool_calls=[{"function": {"name": bad, "arguments": bad}}]),
            message(f"x{bad}", "tool", name=f"tool{bad}", tool_call_id=bad),
            message("not a role", f"role{bad}"),
        ]
        everything += lines
        write_session(
            home,
            f"s{number}",
            *lines,
            topic=f"topic {bad}",
            directory=f"/home/{bad}",
            skill=bad,
            context=[{"type": bad, "key": bad, "value": bad}],
        )
        write_session(home, f"named{number}", message("hi"), name=f"name {bad}")
        facts.append(f"## S{bad}\n- pear {bad}\n")
        name = bad.replace("/", "").replace("\0", "")
        (home.sessions / f"odd {name}.txt").write_text("x")
    write_session(home, "all", *everything)
    path = home.vault / "atlas/memory/long-term/facts.md"
    path.write_text("".join(facts), encoding="utf-8")
    home.output("list")
    return home


def harmless(text: str) -> bool:
    """Is nothing left in it that a terminal would obey?"""
    return not HARMFUL.search(OURS.sub("", text))


COMMANDS = (
    ["list"],
    ["search", "pear", "--limit", "99"],
    ["memory", "show"],
    ["memory", "search", "pear", "--limit", "99"],
    *(["show", stem] for stem in ("all", "s0", "s3", "s9")),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_piped(attacked: Home, command: list[str]) -> None:
    """Pipes end in terminals."""
    done = attacked.run(*command)
    assert done.returncode == 0
    assert done.stdout
    assert harmless(done.stdout.replace("\n", ""))
    assert harmless(done.stderr.replace("\n", ""))


@pytest.mark.parametrize("command", [*COMMANDS[:2], *COMMANDS[4:]], ids=" ".join)
def test_on_a_terminal(attacked: Home, command: list[str]) -> None:
    """Tables and rendered Markdown."""
    shown = attacked.screen(*command)
    assert shown.code == 0
    assert harmless(shown.text)


def test_json_says_the_same_in_escapes(attacked: Home) -> None:
    """The text comes back whole; on the way it is ASCII escapes."""
    out = attacked.output("show", "all", "--json")
    assert harmless(out.replace("\n", ""))
    said = {said["content"] for said in json.loads(out)["messages"]}
    assert {f"pear {bad} end" for bad in ATTACKS.values()} <= said


@pytest.mark.parametrize(
    "command",
    [
        ["show", "TEXT"],
        ["rename", "s1", "TEXT\x01"],
        ["list", "--vault", "/nowhere/TEXT"],
        ["config", "set", "TEXT", "x"],
        ["chat", "-p", "TEXT", "-m", "hi"],
        ["TEXT"],
        ["list", "--TEXT"],
        ["list", "--since", "TEXT"],
    ],
    ids=" ".join,
)
def test_errors(attacked: Home, command: list[str]) -> None:
    """What was typed is quoted back harmlessly."""
    for text in ("x\n".join(ATTACKS.values()), ATTACKS["tags"]):
        words = [word.replace("TEXT", text.replace("\0", "")) for word in command]
        done = attacked.run(*words)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert harmless((done.stdout + done.stderr).replace("\n", ""))


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
def test_an_answer(tmp_path: Path, terminal: bool) -> None:
    """What a server streams, each attack cut in pieces of every kind."""
    home = make_home(tmp_path)
    text = " ".join(f"{bad} end" for bad in ATTACKS.values())
    with OpenAIServer() as server:
        use(home, server)
        for chunks in (1, 7, len(text)):
            server.reply(text, chunks=chunks)
            if terminal:
                shown = home.screen("chat", "-m", "hi", "--new").text
            else:
                done = home.run("chat", "-m", "hi", "--new")
                assert done.returncode == 0
                shown = (done.stdout + done.stderr).replace("\n", "")
            assert harmless(shown)
            assert "end" in shown
    sessions = home.json("list")
    assert len(sessions) == 3
    kept = home.json("show", sessions[0]["id"])["messages"][1]["content"]
    assert kept == text


def test_an_error_of_a_server(tmp_path: Path) -> None:
    """Its words are shown, not obeyed."""
    home = make_home(tmp_path)
    with OpenAIServer() as server:
        use(home, server)
        server.fail(400, "".join(ATTACKS.values()))
        said = home.error("chat", "-m", "hi")
    assert harmless(said.replace("\n", ""))


# --- out of the vault ----------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty vault, and a secret beside it."""
    home = make_home(tmp_path)
    (tmp_path / "secret.jsonl").write_bytes(message("TOPSECRET"))
    (tmp_path / "secret.md").write_text("- TOPSECRET\n")
    return home


def everything(home: Home) -> str:
    """All that the reading commands print."""
    told = [home.run("list"), home.run("list", "--json"), home.run("search", "topsecret")]
    told += [home.run("show", name) for name in ("link", "link --raw")]
    told += [home.run("show", "--raw", "link"), home.run("memory", "show")]
    for done in told:
        assert "Traceback" not in done.stderr
    return "".join(done.stdout + done.stderr for done in told)


def test_a_transcript_that_is_a_link(home: Home) -> None:
    """It is not followed, and said to be no regular file; nothing is written through it."""
    (home.sessions / "link.jsonl").symlink_to(home.folder / "secret.jsonl")
    assert "TOPSECRET" not in everything(home)
    assert home.json("show", "link")["problem_list"][0]["code"] == "unknown-file"
    before = (home.folder / "secret.jsonl").read_bytes()
    home.run("chat", "-m", "hello", "-s", "link")
    home.run("rename", "link", "new")
    assert (home.folder / "secret.jsonl").read_bytes() == before


def test_metadata_that_is_a_link(home: Home) -> None:
    """Neither read nor written through."""
    write_session(home, "link", message("hi"))
    outside = home.folder / "meta.json"
    outside.write_text('{"name": "TOPSECRET"}')
    (home.sessions / "link.meta.json").symlink_to(outside)
    assert "TOPSECRET" not in everything(home)
    home.error("rename", "link", "new")
    assert outside.read_text() == '{"name": "TOPSECRET"}'


@pytest.mark.parametrize(
    "name", ["long-term/facts.md", "long-term/session-2026-01-01-x.md", "../identity/user.md"]
)
def test_a_memory_file_that_is_a_link(home: Home, name: str) -> None:
    """Reported, not read; the rest of memory is."""
    (home.vault / "atlas/memory" / name).symlink_to(home.folder / "secret.md")
    assert "TOPSECRET" not in everything(home)
    assert home.output("list") == ""


@pytest.mark.parametrize("folder", [SESSIONS, "atlas/memory/long-term", "atlas/identity", "atlas"])
def test_a_folder_that_is_a_link(home: Home, folder: str) -> None:
    """The vault is not opened: an error that names the folder."""
    outside = home.folder / "outside"
    path = home.vault / folder
    path.rename(outside)
    path.symlink_to(outside)
    said = home.error("list")
    assert "leads out of the vault" in said
    assert home.run("chat", "-m", "hi").returncode == 1


def test_ids_do_not_lead_out(home: Home) -> None:
    """``..`` is the name of nothing."""
    for given in ("../secret", "..", "/etc/passwd", "../../secret.jsonl", "a/b", "."):
        assert "There is no session" in home.error("show", given)
    assert "There is no session" in home.error("path", "../secret")
    assert "There is no session" in home.error("edit", "../secret", EDITOR="touch")


@pytest.mark.timeout(30)
def test_what_is_no_file_hangs_nobody(home: Home) -> None:
    """A FIFO, a folder, a socket, a device named like a session, like metadata, like memory."""
    write_session(home, "good", message("pear"))
    os.mkfifo(home.sessions / "fifo.jsonl")
    os.mkfifo(home.sessions / "good.meta.json")
    os.mkfifo(home.vault / "atlas/memory/long-term/facts.md")
    (home.sessions / "folder.jsonl").mkdir()
    (home.sessions / "device.jsonl").symlink_to("/dev/zero")
    for command in (["list"], ["search", "pear"], ["show", "good"], ["reindex"]):
        done = home.run(*command)
        assert done.returncode == 0, done.stderr
        assert "good" in done.stdout or command == ["reindex"] or "pear" in done.stdout
    assert {p["code"] for p in home.json("show", "fifo")["problem_list"]} == {"unknown-file"}
    home.run("memory", "show")
    home.run("edit", "fifo", EDITOR="true")
    for name in ("fifo.jsonl", "good.meta.json"):
        (home.sessions / name).unlink()
    (home.vault / "atlas/memory/long-term/facts.md").unlink()
    (home.sessions / "folder.jsonl").rmdir()
    (home.sessions / "device.jsonl").unlink()
    done = home.run("list")
    assert (done.stdout, done.stderr) == ("good\n", "")


def test_a_files_name_in_the_output_of_search(home: Home) -> None:
    """It is one line without control sequences, on a terminal and in a pipe."""
    facts = home.vault / "atlas/memory/long-term"
    (facts / "no\x1b]0;owned\x07te\nx.md").write_text("## Facts\n- pear\n")
    done = home.run("search", "pear")
    assert done.stdout
    assert not HARMFUL.search(done.stdout)
    assert done.stdout.count("\n") == 1
    assert harmless(home.screen("search", "pear").text)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_topic_in_the_completion(home: Home, shell: str) -> None:
    """One line, nothing that controls the terminal."""
    write_session(home, "good", message("pear"), name="good", topic="a\x1b]0;owned\x07\nplain,b")
    words = "vault-sessions show g"
    done = home.run(
        COMP_WORDS=words if shell != "fish" else "vault-sessions show",
        COMP_CWORD="2" if shell != "fish" else "g",
        _VAULT_SESSIONS_COMPLETE=f"{shell}_complete",
    )
    assert "good" in done.stdout
    assert not HARMFUL.search(done.stdout)
    assert done.stdout.count("\n") == {"bash": 1, "zsh": 3, "fish": 1}[shell], done.stdout


def test_secrets_in_a_url_are_not_shown(home: Home) -> None:
    """Neither by ``config show`` nor in what is said of a failure."""
    (home.folder / "config").mkdir()
    (home.folder / "config/config.yaml").write_text(
        "ai:\n  default_provider: x\n  providers:\n"
        "    x: {base_url: 'http://me:hush@127.0.0.1:9/v1?key=hush#hush', model: m}\n"
    )
    for arguments in (["config", "show"], ["config", "show", "--json"], ["chat", "-m", "hello"]):
        done = home.run(*arguments)
        assert "hush" not in done.stdout + done.stderr
        assert "http://127.0.0.1:9/v1" in done.stdout + done.stderr

"""With git, as a person uses it: real repositories, real merges, our driver and without it.

In the transcripts a word is a line, as in test_merge.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from home import SESSIONS, Home, make_home, message, tree, write_session
from test_merge import FACTS, change, facts, lines, meta, words

from vault_sessions import git, scan
from vault_sessions.formats.transcript import parse
from vault_sessions.model import Found
from vault_sessions.vault import Vault, add_attributes

SESSION = f"{SESSIONS}/s.jsonl"
META = f"{SESSIONS}/s.meta.json"
KNOWN = "atlas/memory/long-term/facts.md"
CHANGES = "atlas/memory/changes.jsonl"

Files = dict[str, bytes]


class Repository:
    """A working tree with a vault at its top, or below it, and git run in it."""

    def __init__(self, home: Home, top: Path | None = None) -> None:
        self.home = home
        self.top = top or home.vault

    def try_git(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", *arguments],
            cwd=self.top,
            env=self.home.environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def git(self, *arguments: str) -> str:
        """What git prints when all goes well."""
        done = self.try_git(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout.decode()

    def commit(self, files: Files | None = None, *gone: str) -> str:
        """Write files, remove others, commit; the commit's name."""
        for name, data in (files or {}).items():
            path = self.top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in gone:
            (self.top / name).unlink()
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD").strip()

    def split(self, base: Files, ours: Files, theirs: Files) -> None:
        """Two branches, ``main`` (checked out) and ``other``, that go on from one commit."""
        self.commit(base)
        self.git("checkout", "--quiet", "-b", "other")
        self.commit(theirs)
        self.git("checkout", "--quiet", "main")
        self.commit(ours)

    def read(self, name: str = SESSION) -> bytes:
        return (self.top / name).read_bytes()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty vault, and git without anybody's settings."""
    home = make_home(tmp_path)
    (tmp_path / "gitconfig").write_text(
        "[user]\nname = Maya\nemail = maya@example.org\n[init]\ndefaultBranch = main\n"
        "[core]\nautocrlf = false\n[commit]\ngpgsign = false\n[gc]\nauto = 0\n"
    )
    variables = {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
    }
    home.environment |= variables
    for name, value in {**variables, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return home


def use(home: Home) -> Repository:
    """The vault as a repository that has our drivers."""
    repository = Repository(home)
    repository.git("init", "--quiet")
    git.set_up(str(home.vault))
    add_attributes(Vault(str(home.vault)), git.attributes("atlas"))
    return repository


@pytest.fixture
def repository(home: Home) -> Repository:
    """The vault in a repository of its own, with our drivers."""
    return use(home)


def found(repository: Repository, session_id: str = "s") -> Found:
    """What our reader says of a session."""
    read = scan.read_session(Vault(str(repository.home.vault)), session_id, 0, lambda _: ())
    assert read is not None
    return read


def codes(repository: Repository) -> list[str]:
    return [problem.code for _, problem in found(repository).problems]


# --- the merge driver, by git --------------------------------------------------------------------

MERGES = {
    "both append": ("A b", "A b C d", "A b E f", "A b C d E f"),
    "both append the same line, and go on": ("A b", "A b C d", "A b C e", "A b C d e"),
    "one deletes while the other appends": ("A b C d", "A b", "A b C d E f", "A b E f"),
    "one deletes in the middle, the other appends": ("A b C d", "A d", "A b C d E", "A d E"),
    "one edits the last line, the other appends": ("A b", "A b'", "A b C d", "A b' C d"),
    "one edits what the other deletes": ("A b C", "A b' C", "A C", "A b' C"),
    "both add the session": (None, "A b C d", "A b E f", "A b C d E f"),
    "an empty file that both fill": ("", "A b", "A c", "A b c"),
}


@pytest.mark.parametrize("name", MERGES)
def test_a_merge_of_a_transcript(repository: Repository, name: str) -> None:
    """No marker, no line lost or brought back, no id twice, whoever merges whose work."""
    base, ours, theirs, expected = MERGES[name]
    repository.split(
        {} if base is None else {SESSION: lines(base)},
        {SESSION: lines(ours)},
        {SESSION: lines(theirs)},
    )
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert words(repository.read(), ours, theirs) == expected
    assert codes(repository) == []
    repository.git("reset", "--quiet", "--hard", "HEAD^")
    repository.git("checkout", "--quiet", "other")
    repository.git("merge", "--quiet", "--no-edit", "main")
    assert words(repository.read(), ours, theirs) == expected
    assert not repository.git("status", "--porcelain")


def test_both_edit_one_line(repository: Repository) -> None:
    """Both forms are there, and it is said."""
    repository.split(
        {SESSION: lines("A b C")}, {SESSION: lines("A b' C")}, {SESSION: lines("A b'' C")}
    )
    done = repository.try_git("merge", "--no-edit", "other")
    assert done.returncode == 0
    note = f"{SESSION}: both sides changed the message b: both forms were kept"
    assert note in done.stderr.decode()
    assert repository.read() == lines("A b' b'' C")
    assert codes(repository) == ["duplicate-id"]


def test_many_notes_are_cut_short(repository: Repository) -> None:
    """Nobody reads a thousand lines."""
    letters = "a b c d e f g h"
    edited = [letters.replace(" ", mark + " ") + mark for mark in ("'", "''")]
    repository.split({SESSION: lines(letters)}, *({SESSION: lines(text)} for text in edited))
    said = repository.try_git("merge", "--no-edit", "other").stderr.decode().splitlines()
    assert len(said) == 6
    assert said[-1] == f"{SESSION}: and 3 more of the kind"


@pytest.mark.parametrize("cut", [b"\n", b"\n\n"])
def test_no_final_newline_on_either_side(repository: Repository, cut: bytes) -> None:
    """Lines are not glued."""
    base, ours, theirs = (lines(text).removesuffix(b"\n") for text in ("A b", "A b C", "A b D"))
    repository.split({SESSION: base}, {SESSION: ours}, {SESSION: theirs + cut[1:]})
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert repository.read() == lines("A b C D")


def test_a_cherry_pick_and_then_a_merge(repository: Repository) -> None:
    """What came twice is there once."""
    repository.commit({SESSION: lines("A b")})
    repository.git("checkout", "--quiet", "-b", "other")
    repository.commit({SESSION: lines("A b C d")})
    picked = repository.commit({SESSION: lines("A b C d E f")})
    repository.git("checkout", "--quiet", "main")
    repository.commit({SESSION: lines("A b G h")})
    repository.git("cherry-pick", picked)
    assert words(repository.read(), "A b E f G h") == "A b E f G h"
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert sorted(repository.read().splitlines()) == sorted(lines("A b C d E f G h").splitlines())
    assert codes(repository) == []


def test_a_rebase_of_several_commits(repository: Repository) -> None:
    """Turns stay whole, each commit's own lines are its own."""
    repository.split({SESSION: lines("A b")}, {}, {SESSION: lines("A b E5 f5")})
    for end in ("C1 d1", "C1 d1 G2 h2", "C1 d1 G2 h2 I9 j9"):
        repository.commit({SESSION: lines(f"A b {end}")})
    repository.git("rebase", "--quiet", "other")
    expected = lines("A b C1 d1 G2 h2 E5 f5 I9 j9")
    assert repository.read() == expected
    added = repository.git("diff", "--no-textconv", "HEAD^", "HEAD", "--", SESSION)
    assert [row for row in added.splitlines() if row[:2] in ("+{", "-{")] == [
        "+" + text for text in lines("I9 j9").decode().splitlines()
    ]
    assert codes(repository) == []


def test_a_revert_and_a_stash(repository: Repository) -> None:
    """A revert takes out only what its commit brought; a stash comes back behind what came."""
    repository.commit({SESSION: lines("A b")})
    gone = repository.commit({SESSION: lines("A b C d")})
    repository.commit({SESSION: lines("A b C d E f")})
    repository.git("revert", "--no-edit", gone)
    assert repository.read() == lines("A b E f")
    (repository.top / SESSION).write_bytes(lines("A b E f G h"))
    repository.git("stash", "--quiet")
    repository.commit({SESSION: lines("A b E f I j")})
    repository.git("stash", "pop", "--quiet")
    assert repository.read() == lines("A b E f G h I j")


def test_a_criss_cross(repository: Repository) -> None:
    """Each side merged the other's work before; git merges the ancestors too, with our driver."""
    repository.split(
        {SESSION: lines("A b")}, {SESSION: lines("A b C d")}, {SESSION: lines("A b E f")}
    )
    mine, yours = (repository.git("rev-parse", name).strip() for name in ("main", "other"))
    repository.git("merge", "--quiet", "--no-edit", yours)
    repository.commit({SESSION: repository.read() + lines("G h")})
    repository.git("checkout", "--quiet", "other")
    repository.git("merge", "--quiet", "--no-edit", mine)
    repository.commit({SESSION: repository.read() + lines("I j")})
    repository.git("merge", "--quiet", "--no-edit", "main")
    assert repository.read() == lines("A b C d E f G h I j")


def test_metadata(repository: Repository) -> None:
    """Key by key; where one ended the session and the other went on, it is open."""
    ended = {"ended_at": "2026-11-21T08:00:01.000Z", "end_reason": "idle", "duration_seconds": 1}
    base = {"version": 1, "id": "s", "topic": "words", "topic_source": "fallback"}
    repository.split(
        {SESSION: lines("A0 b1"), META: meta(**base)},
        {META: meta(**base, **ended) + b"\n"},
        {
            SESSION: lines("A0 b1 C5 d6"),
            META: meta(**{**base, "topic": "Better", "topic_source": "user"}, name="n"),
        },
    )
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert json.loads(repository.read(META)) == {
        **base,
        **ended,
        "topic": "Better",
        "topic_source": "user",
        "name": "n",
    }
    session = found(repository).session
    assert (session.name, session.topic, session.status) == ("n", "Better", "open")


def test_a_session_that_someone_went_on_with_has_not_ended(home: Home) -> None:
    """Whatever its metadata says, and however the line came."""
    path = write_session(home, "s", lines("A0 b1"), ended_at="2026-11-21T08:00:01.000Z")
    assert home.json("list")[0]["status"] == "ended"
    path.write_bytes(lines("A0 b1 C2"))
    assert home.json("list")[0]["status"] == "open"


def test_line_ends_that_git_makes(repository: Repository) -> None:
    """core.autocrlf, and a transcript that has CR LF in the repository: all is read and merged."""
    repository.git("config", "core.autocrlf", "true")
    crlf = lines("A b").replace(b"\n", b"\r\n")
    fact = "- Drives a RAV4"
    repository.split(
        {SESSION: crlf, META: meta(id="s"), KNOWN: FACTS.encode()},
        {SESSION: crlf + lines("C"), META: meta(id="s", topic="t"), KNOWN: facts((fact, "- Rows"))},
        {
            SESSION: lines("A b D"),
            META: meta(id="s", name="n"),
            KNOWN: facts(("## Projects\n", "")),
        },
    )
    for path in (META, KNOWN):  # written anew by git
        (repository.top / path).unlink()
        repository.git("checkout", "--quiet", "--", path)
        assert b"\r\n" in repository.read(path)
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert repository.read() == lines("A b C D"), "-text: git leaves a transcript alone"
    assert json.loads(repository.read(META)) == {"id": "s", "topic": "t", "name": "n"}
    merged = repository.read(KNOWN).decode().replace("\r\n", "\n")
    assert merged == FACTS.replace(fact, "- Rows").replace("\n\n## Projects", "")
    assert codes(repository) == []
    assert not repository.git("status", "--porcelain")


def test_memory(repository: Repository) -> None:
    """Bullet by bullet, in both files."""
    user = "atlas/identity/user.md"
    goals = "## Goals\n\n- Run a half marathon"
    repository.split(
        {KNOWN: FACTS.encode(), user: b"# Me\n\n## Preferences\n\n- tea\n"},
        {
            KNOWN: facts(("- Drives a RAV4\n", ""), (goals, f"{goals}\n- Bake")),
            user: b"# Me\n\n## Preferences\n\n- tea\n- short\n",
        },
        {
            KNOWN: facts((goals, f"{goals}\n- Row")),
            user: b"# Me\n\n## Preferences\n\n- tea\n- kind\n",
        },
    )
    repository.git("merge", "--quiet", "--no-edit", "other")
    expected = FACTS.replace("- Drives a RAV4\n", "").replace(goals, f"{goals}\n- Bake\n- Row")
    assert repository.read(KNOWN).decode() == expected
    assert repository.read(user) == b"# Me\n\n## Preferences\n\n- tea\n- kind\n- short\n"


def test_the_log_of_changes(repository: Repository) -> None:
    """Each line once, in time; what one side removed stays removed."""
    base = change(1, 1) + change(2, 2)
    repository.split(
        {CHANGES: base},
        {CHANGES: base + change(3, 7)},
        {CHANGES: change(1, 1) + change(4, 5) + change(3, 7)},
    )
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert repository.read(CHANGES) == change(1, 1) + change(4, 5) + change(3, 7)


def test_what_it_can_not_merge_is_left_to_git(repository: Repository) -> None:
    """Metadata that can't be read: markers, as ever, and the reader derives what was in it."""
    repository.split(
        {SESSION: lines("A"), META: meta(id="s")},
        {META: b'{"id": "s",\n  "name": "n"\n'},
        {META: meta(id="s", name="m")},
    )
    assert repository.try_git("merge", "--no-edit", "other").returncode == 1
    assert b'<<<<<<< ours\n{"id": "s",' in repository.read(META)
    assert "meta-unreadable" in codes(repository)
    assert found(repository).session.name is None


# --- the driver itself ---------------------------------------------------------------------------


def drive(home: Home, path: str, *versions: bytes) -> tuple[int, bytes]:
    """The exit code of a driver that must be silent, and what our side is then."""
    for name, data in zip("oab", versions, strict=True):
        (home.folder / name).write_bytes(data)
    done = home.run("merge-driver", "o", "a", "b", path, cwd=home.folder)
    assert (done.stdout, done.stderr) == ("", "")
    return done.returncode, (home.folder / "a").read_bytes()


def test_it_fails_without_a_word_and_leaves_our_side_as_it_was(home: Home) -> None:
    """Then the fallback in git's configuration does what git would do."""
    versions = meta(id="s"), b"{", meta(id="s", name="n")
    assert drive(home, META, *versions) == (1, b"{")
    newer = meta(version=2, id="s", new="form")
    assert drive(home, META, meta(id="s"), newer, meta(id="s", name="n")) == (1, newer)
    for path in ("notes/today.md", "x.jsonl", f"{SESSIONS}/s.txt", SESSIONS, ""):
        assert drive(home, path, b"1\n", b"2\n", b"3\n") == (1, b"2\n")
    done = home.run("merge-driver", "o", "nothing", "b", SESSION, cwd=home.folder)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize("folder", ["-v", "--help", "a b", "é", "sessions"])
def test_the_path_may_be_any(home: Home, folder: str) -> None:
    """It is not taken for an option."""
    path = f"{folder}/memory/sessions/changes.jsonl"
    assert drive(home, path, lines("A"), lines("A b"), lines("A c")) == (0, lines("A b c"))


def test_modules_that_lie_in_the_repository_are_not_run(repository: Repository) -> None:
    """git starts the driver at the top of the working tree, where a stranger's file may be."""
    repository.commit({f"{name}.py": b"raise SystemExit(9)\n" for name in ("click", "json", "re")})
    repository.commit({"vault_sessions/__main__.py": b"raise SystemExit(9)\n"})
    test_a_merge_of_a_transcript(repository, "both append")


def test_hidden_commands_are_shown_nowhere(home: Home) -> None:
    """They are git's."""
    for shown in (
        home.output("--help"),
        home.output(_VAULT_SESSIONS_COMPLETE="bash_complete", COMP_WORDS="x ", COMP_CWORD="1"),
    ):
        assert "init" in shown
        assert "merge-driver" not in shown
        assert "textconv" not in shown
    assert "There is no command 'textcon'." in home.error("textcon", code=2)


# --- git diff ------------------------------------------------------------------------------------


def test_a_diff_reads_as_a_conversation(repository: Repository) -> None:
    """Who and when, what was said, indented, other fields; bad lines as they are; nothing that
    could control the terminal."""
    first = message("Hello\n\nthere", id="m1", created_at="2026-11-21T08:00:00.000Z")
    repository.commit({SESSION: first})
    answer = message(
        "\x1b[31mHi\u2028\x07 é", "assistant", id="m2", model="small", usage={"n": 1}, mine=[1]
    )
    parts = b'{"role":"user","content":[{"type":"text","text":"Look:"},{"type":"image_url"}]}\n'
    (repository.top / SESSION).write_bytes(
        first.replace(b"there", b"you") + answer + b"<<<<<<< x\n\n" + parts
    )
    shown = repository.git("diff").partition("@@ ")[2]
    assert shown.splitlines()[1:] == [
        *(" user · 2026-11-21T08:00:00.000Z · m1", "   Hello", " ", "-  there", "+  you", "+"),
        *("+assistant · small · m2", "+  Hi", "+   é", '+  {"mine":[1]}', "+", "+<<<<<<< x", "+"),
        *("+user", "+  Look:", "+  [image_url]"),
    ]
    assert "Hello" in repository.git("log", "-p")
    assert "user · 2026" in repository.git("show", "--format=", "HEAD", "--", SESSION)


def test_a_hunk_says_whose_message_it_is_in(repository: Repository) -> None:
    """Behind the @@."""
    long = message("\\n".join("abcdefgh").replace("\\n", "\n"), id="m1")
    repository.commit({SESSION: long})
    (repository.top / SESSION).write_bytes(long.replace(b"h", b"H"))
    assert "@@ user · m1" in repository.git("diff")


def test_a_diff_without_our_command_shows_the_bytes(repository: Repository) -> None:
    """And no error."""
    repository.commit({SESSION: lines("A b")})
    key = "diff.vault-sessions.textconv"
    command = repository.git("config", key).strip()
    repository.git("config", key, command.replace(sys.executable, "/nowhere/python"))
    (repository.top / SESSION).write_bytes(lines("A b C"))
    done = repository.try_git("diff")
    assert lines("C") in done.stdout
    assert (done.returncode, done.stderr) == (0, b"")


# --- init --git ----------------------------------------------------------------------------------


def test_init_makes_a_repository_where_there_is_none(home: Home) -> None:
    """Says what it made; done again, it changes nothing; what it made works."""
    assert home.output("init", "--git") == (
        "made atlas/skills/\nmade .vault-sessions/config.yaml\nmade .vault-sessions/.gitignore\n"
        "made atlas/identity/persona.md\nmade atlas/identity/user.md\n"
        "made atlas/memory/long-term/facts.md\nmade .git/\nmade .gitattributes\n"
        + "".join(
            f"set {key} in this clone\n"
            for key in (
                *("merge.vault-sessions.name", "merge.vault-sessions.driver"),
                *("diff.vault-sessions.textconv", "diff.vault-sessions.xfuncname"),
            )
        )
    )
    before = tree(home.vault)
    done = home.run("init", "--git")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing was missing" in done.stderr
    assert home.json("init", "--git") == {
        "vault": str(home.vault),
        "made": [],
        "changed": [],
        "git_settings": [],
    }
    assert tree(home.vault) == before
    test_a_merge_of_a_transcript(Repository(home), "both append")


def test_attributes_are_for_our_own_files_alone(repository: Repository) -> None:
    """Not for other notes, nor for other JSON Lines."""

    def told(path: str) -> dict[str, str]:
        rows = repository.git("check-attr", "merge", "diff", "text", "--", path).splitlines()
        return {row.split(": ")[1]: row.split(": ")[2] for row in rows}

    ours = {"merge": "vault-sessions", "diff": "unspecified", "text": "unspecified"}
    assert told(SESSION) == {"merge": "vault-sessions", "diff": "vault-sessions", "text": "unset"}
    assert told(META) == told(KNOWN) == told("atlas/identity/user.md") == ours
    assert told(CHANGES) == {**ours, "text": "unset"}
    for other in (
        "a.jsonl",
        "facts.md",
        f"x/{SESSION}",
        f"{SESSIONS}/x/s.jsonl",
        "x/atlas/user.md",
    ):
        assert set(told(other).values()) == {"unspecified"}


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        (b"*.png binary", b"*.png binary\n"),
        (b"*.png binary\r\n*.x -text\r\n", b"*.png binary\r\n*.x -text\r\n"),
        (b"# no line end\r\n*.x -text", b"# no line end\r\n*.x -text\r\n"),
        (b"\xff\xfe odd\n", b"\xff\xfe odd\n"),
    ],
)
def test_attributes_that_are_there_stay_as_they_are(home: Home, there: bytes, kept: bytes) -> None:
    """Ours stand behind them, with the same line ends."""
    attributes = home.vault / ".gitattributes"
    attributes.write_bytes(there)
    assert "added to .gitattributes\n" in home.output("init", "--git")
    data = attributes.read_bytes()
    assert data.startswith(kept)
    end = "\r\n" if b"\r" in there else "\n"
    ours = data.removeprefix(kept).decode()
    assert ours == "".join(f"{pattern} {how}{end}" for pattern, how in git.attributes("atlas"))
    repository = Repository(home)
    assert "merge: vault-sessions" in repository.git("check-attr", "merge", "--", META)
    edited = data.replace(b" diff=vault-sessions", b"")
    attributes.write_bytes(edited)
    home.output("init", "--git")
    assert attributes.read_bytes() == edited, "what the owner changed in our lines stays, too"


@pytest.mark.parametrize(
    "folder", ["my notes", "a[b]*?", "back\\slash", '"quoted" x', "#x", "!x", " x", "é ü", "-x"]
)
def test_a_folder_of_any_name(home: Home, folder: str) -> None:
    """The patterns mean this folder and no other."""
    repository = Repository(home)
    repository.git("init", "--quiet")
    add_attributes(Vault(str(home.vault), folder), git.attributes(folder))
    for name, merge in ((folder, "vault-sessions"), ("ab", "unspecified"), ("x", "unspecified")):
        path = f"{name}/memory/sessions/s.jsonl"
        told = repository.git("check-attr", "-z", "merge", "--", path)
        assert told == f"{path}\0merge\0{merge}\0"
    assert not add_attributes(Vault(str(home.vault), folder), git.attributes(folder))


def test_a_vault_in_a_subfolder_of_a_repository(home: Home) -> None:
    """The attributes are the vault's, the settings the repository's; no new repository is made."""
    repository = Repository(home, home.folder)
    repository.git("init", "--quiet")
    assert "made .git/" not in home.output("init", "--git")
    assert not (home.vault / ".git").exists()
    assert not (home.folder / ".gitattributes").exists()
    path = f"vault/{SESSION}"
    repository.split({path: lines("A")}, {path: lines("A b")}, {path: lines("A c")})
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert repository.read(path) == lines("A b c")
    assert git.driver_problem(str(home.vault), "atlas") is None
    assert git.equals_head(str(home.vault), SESSION, lines("A b c"))


def test_further_working_trees_and_submodules(home: Home, repository: Repository) -> None:
    """Where .git is a file."""
    repository.commit({SESSION: lines("A")})
    repository.git("worktree", "add", "--quiet", "-b", "other", str(home.folder / "further"))
    further = Home(home.folder, home.folder / "further")
    assert further.output("init", "--git").endswith("persona.md\nmade atlas/identity/user.md\n"
    "made atlas/memory/long-term/facts.md\n")  # fmt: skip
    assert git.driver_problem(str(further.vault), "atlas") is None
    there = Repository(home, further.vault)
    there.commit({SESSION: lines("A c")})
    assert git.head(str(further.vault)) == there.git("rev-parse", "HEAD").strip()
    assert git.head(str(home.vault)) != git.head(str(further.vault))
    repository.commit({SESSION: lines("A b")})
    there.git("merge", "--quiet", "--no-commit", "main")
    assert there.read() == lines("A b c")
    assert git.is_busy(str(further.vault))
    assert not git.is_busy(str(home.vault))

    above = Repository(home, home.folder / "above")
    above.top.mkdir()
    above.git("init", "--quiet")
    above.git("-c", "protocol.file.allow=always", "submodule", "add", str(home.vault), "sub vault")
    sub = Home(home.folder, above.top / "sub vault")
    assert "register it" in (git.driver_problem(str(sub.vault), "atlas") or "")
    assert "set merge.vault-sessions.driver in this clone" in sub.output("init", "--git")
    assert git.driver_problem(str(sub.vault), "atlas") is None
    commit = Repository(home, sub.vault).git("rev-parse", "HEAD").strip()
    assert git.head(str(sub.vault)) == commit


def test_an_interpreter_of_any_name(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With spaces, quotes, and what git and the shell take for their own."""
    odd = tmp_path / """it's a "p%Oth" %% $HOME;"""
    odd.mkdir()
    python = odd / "py thon"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    repository = use(home)
    assert git.driver_problem(str(home.vault), "atlas") is None
    test_a_merge_of_a_transcript(repository, "one deletes while the other appends")
    assert "\n+  E" in repository.git("log", "-p", "--", SESSION)
    python.unlink()
    assert str(python) in (git.driver_problem(str(home.vault), "atlas") or "")


def test_init_without_git_or_where_git_refuses(home: Home) -> None:
    """One line, and nothing was made."""
    before = tree(home.folder)
    assert "git is not installed" in home.error("init", "--git", PATH="/nowhere")
    (home.folder / "bin").mkdir()
    for name, exists in (("git", True), ("git", False)):
        path = home.folder / "bin" / name
        path.write_text("#!/bin/sh\necho 'fatal: no luck' >&2\nexit 128\n" if exists else "")
        path.chmod(0o755)
        said = home.error("init", "--git", PATH=f"{home.folder}/bin")
        assert ("no luck" in said) is exists
        path.unlink()
    (home.folder / "bin").rmdir()
    assert tree(home.folder) == before
    (home.vault / ".gitattributes").symlink_to("elsewhere")
    assert ".gitattributes: not a regular file" in home.error("init", "--git")


# --- a clone without the driver ------------------------------------------------------------------


def without_driver(home: Home) -> Repository:
    repository = use(home)
    repository.git("config", "--remove-section", "merge.vault-sessions")
    return repository


def with_driver_gone(home: Home) -> Repository:
    repository = use(home)
    command = repository.git("config", git.DRIVER).strip()
    repository.git("config", git.DRIVER, command.replace(sys.executable, "/nowhere/python"))
    return repository


@pytest.mark.parametrize("made", [without_driver, with_driver_gone])
def test_a_clone_without_the_driver_gets_markers(home: Home, made: Any) -> None:
    """Nobody's lines are dropped; the reader reads on, around the markers; what is to be done is
    said."""
    repository = made(home)
    base = {SESSION: lines("A b"), META: meta(id="s"), KNOWN: FACTS.encode()}
    fact = "- Drives a RAV4"
    repository.split(
        base,
        {
            SESSION: lines("A b C d"),
            META: meta(id="s", name="n"),
            KNOWN: facts((fact, "- Rows")),
        },
        {
            SESSION: lines("A b E f"),
            META: meta(id="s", name="m"),
            KNOWN: facts((fact, "- Rides")),
        },
    )
    assert repository.try_git("merge", "--no-edit", "other").returncode == 1
    session = found(repository)
    assert [m.text for m in session.transcript.messages] == ["A", "b", "C", "d", "E", "f"]
    assert [p.code for path, p in session.problems if path == SESSION] == ["conflict-marker"] * 3
    assert [p.code for path, p in session.problems if path == META] == ["meta-unreadable"]
    read = scan.read_memory(Vault(str(home.vault)), KNOWN, 0)
    assert read is not None
    texts = "\n".join(passage.text for passage in read[1])
    assert "Rows" in texts
    assert "Rides" in texts
    assert git.is_busy(str(home.vault))
    said = git.driver_problem(str(home.vault), "atlas") or ""
    assert f"vault-sessions init --git {home.vault}" in said
    assert "set merge.vault-sessions.driver in this clone" in home.output("init", "--git")
    assert git.driver_problem(str(home.vault), "atlas") is None
    repository.git("merge", "--abort")
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert repository.read() == lines("A b C d E f")


def test_the_doctor_makes_of_markers_what_the_driver_would_have_made(home: Home) -> None:
    """And git then has nothing against it."""
    repository = without_driver(home)
    repository.split(
        {SESSION: lines("A b")}, {SESSION: lines("A b C d")}, {SESSION: lines("A b E f")}
    )
    assert repository.try_git("merge", "--no-edit", "other").returncode == 1
    assert "conflict-marker" in home.run("doctor").stdout
    home.run("doctor", "--fix")
    assert repository.read() == lines("A b C d E f")
    repository.commit()
    assert codes(repository) == []


def test_no_driver_is_missed_where_none_is_asked_for(home: Home) -> None:
    """No repository, no attributes, or the owner's own choice."""
    root = str(home.vault)
    assert git.driver_problem(root, "atlas") is None
    repository = Repository(home)
    repository.git("init", "--quiet")
    assert git.driver_problem(root, "atlas") is None
    (home.vault / ".gitattributes").write_text("*.jsonl merge=union\n")
    assert git.driver_problem(root, "atlas") is None
    git.set_up(root)
    assert git.driver_problem(root, "atlas") is None


# --- what git's folder says ----------------------------------------------------------------------


def test_head_moves(repository: Repository) -> None:
    """By every way to move it; not by what leaves the files as they were."""
    root = str(repository.home.vault)
    marks = [git.head(root)]

    def moved(*arguments: str) -> bool:
        repository.git(*arguments)
        marks.append(git.head(root))
        return marks[-1] != marks[-2]

    assert moved("commit", "--quiet", "--allow-empty", "-m", "a"), "the first"
    assert marks[-1] == repository.git("rev-parse", "HEAD").strip()
    assert moved("commit", "--quiet", "--allow-empty", "-m", "b")
    assert not moved("pack-refs", "--all")
    assert not moved("checkout", "--quiet", "-b", "x/y")
    assert not moved("pack-refs", "--all")
    assert moved("commit", "--quiet", "--amend", "--allow-empty", "-m", "c"), "over a packed one"
    assert not moved("pack-refs", "--all")
    assert moved("checkout", "--quiet", "main")
    assert moved("reset", "--quiet", "--hard", "HEAD^")
    assert moved("checkout", "--quiet", "--detach", "x/y")
    assert moved("checkout", "--quiet", "main")
    assert not moved("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    assert not moved("symbolic-ref", "HEAD", "refs/heads/alias")
    assert not moved("status")


def test_head_where_branches_are_kept_in_tables(home: Home) -> None:
    """Each change of one makes another list of tables (git calls it reftable)."""
    tables = home.vault / ".git/reftable/tables.list"
    tables.parent.mkdir(parents=True)
    (home.vault / ".git/HEAD").write_text("ref: refs/heads/.invalid\n")
    tables.write_text("0x000000000001-0x000000000001-a.ref\n")
    before = git.head(str(home.vault))
    assert git.head(str(home.vault)) == before
    tables.write_text("0x000000000001-0x000000000002-b.ref\n")
    assert git.head(str(home.vault)) != before


def test_whatever_git_is_in_the_middle_of(repository: Repository) -> None:
    """Only until it is done."""
    root = str(repository.home.vault)
    note = "note.txt"
    repository.split({note: b"a\n"}, {note: b"b\n"}, {note: b"c\n"})
    assert not git.is_busy(root)
    for begin, end in (
        (["merge", "other"], ["merge", "--abort"]),
        (["rebase", "other"], ["rebase", "--abort"]),
        (["rebase", "--apply", "other"], ["rebase", "--abort"]),
        (["cherry-pick", "other"], ["cherry-pick", "--abort"]),
        (["revert", "--no-edit", "other"], ["revert", "--abort"]),
    ):
        assert repository.try_git(*begin).returncode == 1, begin
        assert git.is_busy(root), begin
        repository.git(*end)
        assert not git.is_busy(root), end
    for name in ("index.lock", "MERGE_AUTOSTASH"):
        path = repository.top / ".git" / name
        path.touch()
        assert git.is_busy(root)
        path.unlink()
    repository.git("bisect", "start", "HEAD", "HEAD^")
    assert not git.is_busy(root), "the files are whole"


def test_the_same_as_in_head(repository: Repository) -> None:
    """After git's own filters; not for what HEAD does not have."""
    root = str(repository.home.vault)
    assert not git.equals_head(root, SESSION, lines("A")), "nothing was committed"
    repository.commit({SESSION: lines("A"), META: meta(id="s"), "crlf.md": b"a\r\n"})
    assert git.equals_head(root, SESSION, lines("A"))
    assert not git.equals_head(root, SESSION, lines("A b"))
    assert not git.equals_head(root, "nothing", b"")
    crlf = meta(id="s").replace(b"\n", b"\r\n")
    assert not git.equals_head(root, META, crlf)
    repository.git("config", "core.autocrlf", "true")
    assert git.equals_head(root, META, crlf)
    assert git.equals_head(root, META, meta(id="s"))
    assert git.equals_head(root, "crlf.md", b"a\r\n")
    assert not git.equals_head(root, SESSION, lines("A").replace(b"\n", b"\r\n")), "-text"


def test_a_hook_names_another_repository(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By variables that are not meant for us."""
    root = str(repository.home.vault)
    repository.commit({SESSION: lines("A")})
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_WORK_TREE", "/nowhere")
    assert git.equals_head(root, SESSION, lines("A"))


def broken(home: Home) -> list[tuple[str, Path]]:
    """Folders called .git in which something is wrong."""
    made = []
    for name, files in {
        "empty": {},
        "garbage": {"HEAD": b"\xff\0", "config": b"\xff["},
        "loop": {"HEAD": b"ref: HEAD"},
        "out": {"HEAD": b"ref: ../../secret"},
        "absolute": {"HEAD": b"ref: /etc/passwd"},
        "lost": {"HEAD": b"ref: refs/heads/main", "commondir": b"../nowhere"},
    }.items():
        folder = home.folder / name
        (folder / ".git").mkdir(parents=True)
        for path, data in files.items():
            (folder / ".git" / path).write_bytes(data)
        made.append((name, folder))
    for name, data in {"a file": b"", "a file that lies": b"gitdir: /nowhere\n"}.items():
        (home.folder / name).mkdir()
        (home.folder / name / ".git").write_bytes(data)
        made.append((name, home.folder / name))
    os.mkfifo(home.folder / "fifo")
    (home.folder / "blocks/.git").mkdir(parents=True)
    os.mkfifo(home.folder / "blocks/.git/HEAD")
    (home.folder / "folder/.git/HEAD").mkdir(parents=True)
    return [*made, ("blocks", home.folder / "blocks"), ("folder", home.folder / "folder")]


def test_whatever_is_broken(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised, nothing outside is read, nothing blocks; without git, too."""
    places = [*broken(home), ("gone", home.folder / "gone"), ("root", Path("/"))]
    for path in (os.environ["PATH"], "/nowhere"):
        monkeypatch.setenv("PATH", path)
        for name, folder in places:
            root = str(folder)
            assert "root:" not in (git.head(root) or ""), name
            assert not git.is_busy(root), name
            assert not git.equals_head(root, "x", b""), name
            assert not git.equals_head(root, "\0", b""), name
            assert git.driver_problem(root, "atlas") is None, name
    assert git.head(str(home.folder / "empty")) is None


def test_a_session_that_git_merged_is_read_as_any_other(repository: Repository) -> None:
    """The reader and the driver agree on what a line is."""
    odd = lines("A") + b'{"role":"user","content":"a\xe2\x80\xa8b"}\n\xff\n' + lines("b")
    repository.split(
        {SESSION: odd}, {SESSION: odd + lines("C")}, {SESSION: lines("-x") + odd + lines("D")}
    )
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert repository.read() == lines("-x") + odd + lines("C D")
    assert [m.text for m in parse(repository.read()).messages] == ["A", "a\u2028b", "b", "C", "D"]

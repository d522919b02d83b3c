"""git: what its folder says without asking it, and the few things it is asked.

What only reads (``is_busy``, ``head``, ``equals_head``, ``driver_problem``) answers for whatever is
there, a broken repository and a missing git included, and never raises.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import sys
from typing import NamedTuple

from vault_sessions.errors import VaultError

NAME = "vault-sessions"
"""What our merge driver and our diff driver are called in attributes and configuration."""

DRIVER = f"merge.{NAME}.driver"

_BUSY = (
    *("index.lock", "rebase-merge", "rebase-apply", "sequencer"),
    *("MERGE_HEAD", "MERGE_AUTOSTASH", "CHERRY_PICK_HEAD", "REVERT_HEAD"),
)
_SECONDS = 30


class Places(NamedTuple):
    """A repository's folders: of this working tree, and what all its working trees share."""

    own: str
    shared: str


# --- what the folder says ------------------------------------------------------------------------


def find_repository(root: str) -> Places | None:
    """The repository that a folder is in; None where there is none."""
    here = os.path.abspath(root)
    while True:
        found = _places(os.path.join(here, ".git"))
        if found is not None:
            return found
        parent = os.path.dirname(here)
        if parent == here:
            return None
        here = parent


def _places(path: str) -> Places | None:
    """The folders that a ``.git`` stands for: itself or, if it is a file, the one it names."""
    own = path
    try:
        mode = os.stat(path).st_mode
    except OSError:  # as in most folders; no second look then
        return None
    if stat.S_ISREG(mode):  # a further working tree, or a submodule
        said = _text(path)
        if not said.startswith("gitdir:"):
            return None
        own = os.path.join(os.path.dirname(path), said.removeprefix("gitdir:").strip())
    if not os.path.isfile(os.path.join(own, "HEAD")):
        return None  # git passes such a folder by, too, or would wait for a FIFO for ever
    said = _text(os.path.join(own, "commondir")).strip()
    return Places(own, os.path.join(own, said) if said else own)


def is_busy(root: str) -> bool:
    """Is git in the middle of something, so that the files are not yet what they will be?

    It writes the index, or a merge, rebase, cherry-pick or revert has stopped. Between the steps of
    a bisection the files are whole.
    """
    found = find_repository(root)
    return found is not None and any(
        os.path.lexists(os.path.join(found.own, name)) for name in _BUSY
    )


def head(root: str) -> str | None:
    """A text that is another one whenever HEAD has moved; None where there is no repository."""
    found = find_repository(root)
    if found is None:
        return None
    said = _text(os.path.join(found.own, "HEAD")).strip()
    for _ in range(5):  # a branch may be another name of a branch
        if not said.startswith("ref:"):
            break
        name = said.removeprefix("ref:").strip()
        if name == "refs/heads/.invalid":  # branches are kept in tables, each change in a new one
            tables = (os.path.join(place, "reftable", "tables.list") for place in set(found))
            return said + "".join(sorted(map(_text, tables)))
        at = _loose(found, name) or _packed(found, name)
        if not at:
            break  # nothing was committed yet
        said = at
    return said


def _loose(places: Places, name: str) -> str:
    """What a reference's own file says; empty if it has none."""
    parts = name.split("/")
    if ".." in parts or os.path.isabs(name):
        return ""
    return next(
        (said for place in places if (said := _text(os.path.join(place, *parts)).strip())), ""
    )


def _packed(places: Places, name: str) -> str:
    """What the list of packed references says of one; empty if nothing."""
    for line in _text(os.path.join(places.shared, "packed-refs")).splitlines():
        commit, _, packed = line.partition(" ")
        if packed.strip() == name:
            return commit
    return ""


def _text(path: str) -> str:
    """A small file's text; empty if it can't be read."""
    try:
        # nothing in here is worth waiting for: a FIFO is no file of git's
        if not os.path.isfile(path):
            return ""
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:
        return ""


# --- what git is asked ---------------------------------------------------------------------------


def equals_head(root: str, path: str, data: bytes) -> bool:
    """Would git, asked to add these bytes as the file at ``path``, find what HEAD has there?

    So line ends that git makes on checkout, and filters, make no difference.
    """
    if find_repository(root) is None:
        return False
    try:
        committed = (
            _run(root, "rev-parse", "--verify", "--quiet", f"HEAD:./{path}").decode().strip()
        )
        kind = hashlib.sha256 if len(committed) == 64 else hashlib.sha1
        if kind(b"blob %d\0%b" % (len(data), data)).hexdigest() == committed:
            return True
        filtered = _run(root, "hash-object", "--stdin", f"--path={path}", given=data)
        return filtered.decode().strip() == committed
    except (VaultError, ValueError):
        return False


def driver_problem(root: str, folder: str) -> str | None:
    """What is to be said where git is told to use our merge driver and can't; else None."""
    if find_repository(root) is None:
        return None
    cure = f"register it: vault-sessions init --git {shlex.quote(root)}"
    try:
        path = f"{folder}/memory/sessions/x.jsonl"
        # path, NUL, attribute, NUL, value, NUL
        told = _run(root, "check-attr", "-z", "merge", "--", path).split(b"\0")
        if len(told) < 3 or told[2] != NAME.encode():
            return None
    except (VaultError, ValueError):
        return None
    command = _setting(root, DRIVER)
    if not command:
        return (
            "the attributes name our merge driver, but this clone has none, so git puts conflict "
            f"markers into transcripts; {cure}"
        )
    interpreter = _interpreter(command)
    if not os.access(interpreter, os.X_OK):
        return (
            f"the merge driver of this clone is gone ({interpreter}), so git puts conflict markers "
            f"into transcripts; {cure}"
        )
    return None


def _interpreter(command: str) -> str:
    """The program that a driver's command starts with."""
    try:
        return shlex.split(command.replace("%%", "%"))[0]
    except (ValueError, IndexError):
        return command


def _setting(root: str, key: str) -> str:
    """A setting of git's; empty if it is not set."""
    try:
        return _run(root, "config", "--get", key).decode(errors="surrogateescape").rstrip("\n")
    except (VaultError, ValueError):
        return ""


def _run(root: str, *arguments: str, given: bytes = b"") -> bytes:
    """What git prints. Raises VaultError, with git's own words, when it fails or is not there;
    ValueError for what can be no argument."""
    import subprocess

    # in a hook these name the repository of whoever called us
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("GIT_") or key in _KEPT or key.startswith("GIT_CONFIG_")
    }
    try:
        done = subprocess.run(
            ["git", "-C", root, *arguments],
            input=given,
            capture_output=True,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise VaultError("git is not installed; install it, or leave out --git.") from error
    except OSError as error:
        raise VaultError(f"git can't be started: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise VaultError(f"git {arguments[0]} gave no answer in {_SECONDS} s.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[0] if said else f"exit code {done.returncode}"
        raise VaultError(f"git {arguments[0]} in {root}: {why}")
    return done.stdout


_KEPT = {"GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH"}


# --- setting up ----------------------------------------------------------------------------------


def check_installed() -> None:
    """Raises VaultError where there is no git."""
    _run(os.curdir, "--version")


def set_up(root: str) -> tuple[bool, list[str]]:
    """Register our drivers in the clone that a folder is in; where it is in none, make one.

    Returns whether a repository was made, and the settings that were set. Raises VaultError.
    """
    is_new = find_repository(root) is None
    if is_new:
        _run(root, "init", "--quiet")
    changed = []
    for key, value in _settings(sys.executable).items():
        if _setting(root, key) != value:
            _run(root, "config", "--replace-all", key, value)
            changed.append(key)
    return is_new, changed


def _settings(interpreter: str) -> dict[str, str]:
    """Our part of a clone's configuration.

    -P: else Python would take modules from the top of the repository, where git starts the driver.
    When our command fails or is gone, git merges as ever and leaves markers (without the fallback
    it would keep our side silently), and shows the bytes as they are.
    """
    program = f"{shlex.quote(interpreter)} -P -m vault_sessions"
    driver = f"{program} merge-driver".replace("%", "%%")
    return {
        f"merge.{NAME}.name": "vault-sessions: line by line, nothing lost",
        DRIVER: f"{driver} %O %A %B %P || git merge-file -L ours -L base -L theirs %A %O %B",
        # git hands the file's name to the whole as an argument, so it stands behind cat too
        f"diff.{NAME}.textconv": f'{program} textconv -- "$1" 2>/dev/null || cat --',
        # what stands behind the @@ of a hunk: whose message it is in
        f"diff.{NAME}.xfuncname": "^((user|assistant|system|tool)( .*)?)$",
    }


def attributes(folder: str) -> list[tuple[str, str]]:
    """What ``.gitattributes`` says of our own paths in a vault: pattern, attributes."""
    ours = f"merge={NAME}"
    return [
        (_pattern(folder, "memory/sessions/*.jsonl"), f"-text {ours} diff={NAME}"),
        (_pattern(folder, "memory/sessions/*.meta.json"), ours),
        (_pattern(folder, "memory/changes.jsonl"), f"-text {ours}"),
        (_pattern(folder, "memory/long-term/facts.md"), ours),
        (_pattern(folder, "identity/user.md"), ours),
    ]


_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\*?[!#"})
_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def _pattern(folder: str, rest: str) -> str:
    """A pattern for paths in a folder, whatever the folder is called."""
    pattern = f"{folder.translate(_SPECIAL)}/{rest}"
    if any(character in ' "\t\r\n\v\f' for character in pattern):
        return f'"{pattern.translate(_QUOTED)}"'
    return pattern

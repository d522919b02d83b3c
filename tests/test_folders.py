"""Where the user's own folders are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs
import pytest

from vault_sessions.folders import user_folder, vault_folder

KINDS = ("config", "cache", "state")


def as_platformdirs(kind: str) -> str:
    """What platformdirs gives for it."""
    folders = {
        "config": platformdirs.user_config_dir,
        "cache": platformdirs.user_cache_dir,
        "state": platformdirs.user_state_dir,
    }
    return folders[kind]("vault-sessions", appauthor=False)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home of its own, none of the variables."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for kind in KINDS:
        monkeypatch.delenv(f"XDG_{kind.upper()}_HOME", raising=False)
        monkeypatch.delenv(f"VAULT_SESSIONS_{kind.upper()}", raising=False)


@pytest.mark.parametrize("kind", KINDS)
def test_folders_are_those_of_platformdirs(kind: str) -> None:
    """Without its import."""
    assert user_folder(kind) == as_platformdirs(kind)


@pytest.mark.skipif(sys.platform == "darwin", reason="XDG variables are for Linux")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["/data/xdg", "/data/xdg/", "", "  ", "/data/Ä b"])
def test_folders_follow_the_xdg_variables(
    kind: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As platformdirs does; empty is not set."""
    monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", value)
    assert user_folder(kind) == as_platformdirs(kind)


@pytest.mark.skipif(sys.platform == "darwin", reason="XDG variables are for Linux")
@pytest.mark.parametrize("kind", KINDS)
def test_a_relative_xdg_variable_is_ignored(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The specification says so."""
    plain = user_folder(kind)
    monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", "relative/path")
    assert user_folder(kind) == plain


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_variable_comes_first(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Used as it is: made absolute, ``~`` is the home."""
    monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", "/data/xdg")
    monkeypatch.setenv(f"VAULT_SESSIONS_{kind.upper()}", "~/mine")
    assert user_folder(kind) == os.path.expanduser("~/mine")
    monkeypatch.setenv(f"VAULT_SESSIONS_{kind.upper()}", "here")
    assert user_folder(kind) == os.path.abspath("here")
    monkeypatch.setenv(f"VAULT_SESSIONS_{kind.upper()}", "")
    assert user_folder(kind) == as_platformdirs(kind)


def test_a_vault_has_a_sub_folder_of_its_own(tmp_path: Path) -> None:
    """The same by every path to it, another for a vault of the same name elsewhere."""
    vault, other = tmp_path / "My vault!", tmp_path / "other" / "My vault!"
    vault.mkdir()
    link = tmp_path / "link"
    link.symlink_to(vault)
    folder = vault_folder("state", str(vault))
    assert vault_folder("state", str(link)) == folder
    assert vault_folder("state", f"{vault}/../My vault!/") == folder
    assert vault_folder("state", str(other)) != folder
    parent, name = os.path.split(folder)
    assert parent == user_folder("state")
    assert name.startswith("My-vault-")


@pytest.mark.parametrize("name", ["日本", "...", "x" * 200, "a\nb", "caf\udce9"])
def test_any_vault_name_gives_a_safe_folder_name(name: str, tmp_path: Path) -> None:
    """Short, ASCII, no separators."""
    made = os.path.basename(vault_folder("cache", os.path.join(str(tmp_path), name)))
    assert made.isascii()
    assert made.replace("-", "").isalnum()
    assert len(made) <= 53

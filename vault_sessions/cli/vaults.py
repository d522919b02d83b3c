"""``init``, ``reindex``, ``mirror``."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from vault_sessions.cli.door import Door, json_option, pass_door, print_json, say


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".")
@click.option("--git", "with_git", is_flag=True, help="Let git merge and show transcripts well.")
@json_option
@pass_door
def init_command(door: Door, directory: str, with_git: bool, as_json: bool) -> None:
    """Make a vault in DIR (here, if none is given), or what it lacks. Changes nothing there is.

    --git registers a merge driver and a readable diff in this clone (where there is none, git init
    makes one) and names them for the vault's own files in its .gitattributes.
    """
    from vault_sessions.vault import make_vault

    if not directory:  # an empty variable of the shell, not the place we are in
        raise click.UsageError("DIR is empty.")
    if with_git:
        from vault_sessions.git import check_installed

        check_installed()  # before anything is made
    root = door.vault if directory == "." and door.vault else directory
    absolute = os.path.abspath(os.path.expanduser(root))
    folder = _folder(absolute)
    made = make_vault(absolute, folder)
    told = _tell_git(absolute, folder, made) if with_git else {}
    if as_json:
        print_json({"vault": absolute, "made": made, **told})
        return
    for path in made:
        say(f"made {path}")
    for path in told.get("changed", ()):
        say(f"added to {path}")
    for key in told.get("git_settings", ()):
        say(f"set {key} in this clone")
    if made:
        door.note(f"The vault is {absolute}. Begin: vault-sessions --vault {absolute} chat")
    elif not any(told.values()):
        door.note(f"{absolute} is a vault already; nothing was missing.")


def _folder(root: str) -> str:
    """What the assistant's folder is called there."""
    from vault_sessions import config
    from vault_sessions.folders import user_settings
    from vault_sessions.vault import SETTINGS, Vault

    return config.load(user_settings(), Vault(root).absolute(SETTINGS), dict(os.environ)).folder


def _tell_git(root: str, folder: str, made: list[str]) -> dict[str, list[str]]:
    """Have git use our drivers for this vault: the files that were added to and the settings of
    the clone that were set; what is new is added to ``made``."""
    from vault_sessions import git
    from vault_sessions.vault import ATTRIBUTES, Vault, add_attributes

    vault = Vault(root)
    is_new, settings = git.set_up(root)
    if is_new:
        made.append(".git/")
    changed = [ATTRIBUTES] if os.path.lexists(vault.absolute(ATTRIBUTES)) else []
    if not add_attributes(vault, git.attributes(folder)):
        changed.clear()
    elif not changed:
        made.append(ATTRIBUTES)
    return {"changed": changed, "git_settings": settings}


@click.command("reindex")
@json_option
@pass_door
def reindex_command(door: Door, as_json: bool) -> None:
    """Make a new mirror from the files. Readers keep the old one until it is whole."""
    workspace = door.workspace
    started = time.monotonic()
    if sys.stderr.isatty() and not door.quiet:
        bar: Any = click.progressbar(length=1, label="Reading", file=sys.stderr)

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        with bar:
            count = workspace.reindex(show)
    else:
        count = workspace.reindex()
    seconds = time.monotonic() - started
    if as_json:
        print_json({"sessions": count, "seconds": round(seconds, 3)})
    else:
        say(f"{count} sessions in {seconds:.1f} s")


@click.group("mirror")
def mirror_command() -> None:
    """The SQLite mirror: a copy of the vault for queries; delete it and nothing is lost."""


@mirror_command.command("path")
@json_option
@pass_door
def path_command(door: Door, as_json: bool) -> None:
    """Where the SQLite file is."""
    path = door.workspace.mirror_path
    if as_json:
        print_json({"path": path})
    else:
        sys.stdout.write(path + "\n")

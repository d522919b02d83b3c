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
@json_option
@pass_door
def init_command(door: Door, directory: str, as_json: bool) -> None:
    """Make a vault in DIR (here, if none is given), or what it lacks. Changes nothing there is."""
    from vault_sessions.vault import make_vault

    if not directory:  # an empty variable of the shell, not the place we are in
        raise click.UsageError("DIR is empty.")
    folder = os.environ.get("VAULT_SESSIONS_FOLDER") or "atlas"
    root = door.vault if directory == "." and door.vault else directory
    made = make_vault(root, folder)
    absolute = os.path.abspath(os.path.expanduser(root))
    if as_json:
        print_json({"vault": absolute, "made": made})
        return
    for path in made:
        say(f"made {path}")
    if made:
        door.note(f"The vault is {absolute}. Begin: vault-sessions --vault {absolute} chat")
    else:
        door.note(f"{absolute} is a vault already; nothing was missing.")


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

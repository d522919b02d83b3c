"""``export``, ``import``: conversations to files and back, and other programs' history."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from vault_sessions.cli.door import (
    Door,
    SessionName,
    json_option,
    on_terminal,
    pass_door,
    print_json,
    say,
)
from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import fit, safe, safe_json, safe_line, width

if TYPE_CHECKING:
    from vault_sessions.transfer.checkpoints import Exported, ImportedCheckpoint
    from vault_sessions.transfer.foreign import Imported

_FORMATS = click.Choice(["json", "yaml", "markdown"], case_sensitive=False)
_SWITCH = re.compile(r"--(context|metadata)=(.*)", re.DOTALL)


class WithSwitches(click.Command):
    """A command whose ``--context`` and ``--metadata`` also take ``=true`` and ``=false``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, after those were read."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*map(_switch, args[:end]), *args[end:]])


def _switch(argument: str) -> str:
    found = _SWITCH.fullmatch(argument)
    if found is None:
        return argument
    try:
        is_on = click.BOOL.convert(found[2], None, None)
    except click.BadParameter:
        said = safe_line(found[2])[:40]
        raise click.UsageError(f"--{found[1]}={said}: give true or false.") from None
    return f"--{found[1]}" if is_on else f"--no-{found[1]}"


@click.command("export", cls=WithSwitches)
@click.argument("session", type=SessionName(), required=False)
@click.option("--all", "everything", is_flag=True, help="Every session, to the folder -o names.")
@click.option("-o", "--output", metavar="FILE", required=True, help="Where to; - is stdout.")
@click.option(
    "-f", "--format", "kind", type=_FORMATS, help="Instead of what the file's ending says."
)
@click.option(
    "--context/--no-context",
    "with_context",
    default=False,
    help="Also project instructions, files and the directory (=true, =false).",
)
@click.option(
    "--metadata/--no-metadata",
    "with_metadata",
    default=True,
    help="Without: only messages; no paths, nothing of ours (=true, =false).",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option
@pass_door
def export_command(
    door: Door,
    session: str | None,
    everything: bool,
    output: str,
    kind: Any,
    with_context: bool,
    with_metadata: bool,
    force: bool,
    as_json: bool,
) -> int:
    """A session as one file: JSON, YAML, or Markdown to read.

    The ending of FILE says which (.json .yaml .yml .md .markdown). JSON and YAML bring everything
    back on import, byte for byte; Markdown the messages.
    """
    options: dict[str, Any] = {
        "include_context": with_context,
        "include_metadata": with_metadata,
        "force": force,
    }
    if not output:
        raise click.UsageError("-o is empty.")
    if everything == (session is not None):
        raise click.UsageError("Give a SESSION, or --all." if not everything else _BOTH)
    if everything:
        return _export_all(door, output, kind or "json", options, as_json)
    assert session is not None
    if output == "-":
        _export_to_stdout(door, session, kind, options, as_json)
        return 0
    from vault_sessions.formats.checkpoint import format_of_path

    if kind is None and format_of_path(output) is None:
        said = safe_line(output)
        raise click.UsageError(f"{said!r} does not end in {_ENDINGS}: -f FORMAT is needed.")
    done = door.workspace.transfer.export(session, output, format=kind, **options)
    if done.warning:
        door.note(f"Warning: {done.warning}")
    if as_json:
        print_json(_exported(done))
    else:
        say(f"Session '{safe_line(done.name)}' exported to '{safe_line(output)}'")
    return 0


_BOTH = "Give a SESSION or --all, not both."
_ENDINGS = ".json .yaml .yml .md .markdown"


def _export_to_stdout(
    door: Door, session: str, kind: Any, options: dict[str, Any], as_json: bool
) -> None:
    if kind is None:
        raise click.UsageError("With -o -, -f FORMAT is needed.")
    if as_json:
        raise click.UsageError("--json and -o - both write to stdout; take one.")
    done = door.workspace.transfer.export(session, None, format=kind, **options)
    if not on_terminal():
        sys.stdout.buffer.write(done.data)
    elif kind == "markdown":
        sys.stdout.write(safe(done.data.decode()))
    else:
        sys.stdout.buffer.write(safe_json(bytes(done.data)))
    sys.stdout.flush()


def _export_all(door: Door, folder: str, kind: Any, options: dict[str, Any], as_json: bool) -> int:
    """Every session that has messages, each to a file of its own; 1 if one could not be."""
    from vault_sessions.atomic import make_folder
    from vault_sessions.transfer.checkpoints import check_target

    if folder == "-":
        raise click.UsageError("--all needs a folder: -o DIR.")
    workspace = door.workspace
    ending = {"markdown": "md"}.get(kind, kind)
    sessions = workspace.list(sort="created")
    paths = [os.path.join(folder, _file_name(s.id, s.name, ending)) for s in sessions]
    for path in paths:
        check_target(path, force=options["force"])
    make_folder(os.path.abspath(folder))
    done: list[Exported] = []
    failed = False
    for session, path in zip(sessions, paths, strict=True):
        if not session.message_count:
            door.note(f"{safe_line(session.label)}: no messages, so not exported.")
            continue
        try:
            done.append(workspace.transfer.export(session.id, path, format=kind, **options))
            if done[-1].warning:
                door.note(f"Warning: {done[-1].warning}")
        except VaultSessionsError as error:
            failed = True
            click.echo(f"Error: {safe(str(error))}", err=True)
    if as_json:
        print_json([_exported(one) for one in done])
    else:
        plural = "" if len(done) == 1 else "s"
        say(f"{len(done)} session{plural} exported to '{safe_line(folder)}'")
    return 1 if failed else 0


def _file_name(session_id: str, name: str | None, ending: str) -> str:
    """``20261121-080512-7k3q9d-q2-planning.json``: the id makes it unique, the name readable."""
    slug = re.sub(r"[\W_]+", "-", name or "").strip("-").lower()
    slug = slug.encode()[:100].decode(errors="ignore")
    return f"{session_id}-{slug}.{ending}" if slug else f"{session_id}.{ending}"


def _exported(done: Exported) -> dict[str, Any]:
    return {
        "id": done.session_id,
        "name": done.name,
        "path": done.path,
        "format": done.format,
        "message_count": done.message_count,
    }


@click.command("import", cls=WithSwitches)
@click.argument("file")
@click.option("-n", "--name", metavar="NAME", help="The session's name, instead of the file's.")
@click.option("--overwrite", is_flag=True, help="Replace the session of that name.")
@click.option(
    "--context/--no-context",
    "with_context",
    default=True,
    help="Keep project instructions and files (=true, =false).",
)
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@click.option("-f", "--format", "kind", type=_FORMATS, help="Instead of the ending or the content.")
@json_option
@pass_door
def import_command(
    door: Door,
    file: str,
    name: str | None,
    overwrite: bool,
    with_context: bool,
    dry_run: bool,
    kind: Any,
    as_json: bool,
) -> int:
    """A checkpoint (- is stdin), or the sessions in another program's database.

    A checkpoint is one that export or Atmos wrote: JSON, YAML, or our Markdown. It is checked
    before anything is written; with --overwrite the old session goes to the trash. From Atmos's
    sessions.db and Atuin's ai_sessions.db all sessions come, or the one that -n names; to repeat
    it is safe.
    """
    from vault_sessions.transfer.checkpoints import SQLITE

    if name is not None and not name.strip():
        raise click.UsageError("--name is empty.")
    # a file's bytes are left to those who let them go before there is more to hold
    data = _read_stdin() if file == "-" else None
    if data[: len(SQLITE)] == SQLITE if data is not None else _is_database(file):
        if file == "-":
            raise click.UsageError("A database is read from its file; give its path.")
        if overwrite or kind:
            raise click.UsageError("--overwrite and -f are for checkpoints, not for a database.")
        done_all = door.workspace.transfer.import_store(file, name=name, dry_run=dry_run)
        return _tell_store(done_all, as_json)
    done = door.workspace.transfer.import_checkpoint(
        "stdin" if file == "-" else file,
        data,
        name=name,
        format=kind,
        overwrite=overwrite,
        include_context=with_context,
        dry_run=dry_run,
    )
    del data
    if as_json:
        print_json(_imported(done))
    else:
        _tell(door, done)
    return 0


def _is_database(path: str) -> bool:
    from vault_sessions.transfer.store import is_sqlite

    return os.path.isfile(path) and is_sqlite(path)  # a pipe that is opened and closed is broken


def _read_stdin() -> bytes:
    from vault_sessions.formats.checkpoint import LIMITS

    return sys.stdin.buffer.read(max(LIMITS.values()) + 1)


def _tell(door: Door, done: ImportedCheckpoint) -> None:
    label = safe_line(done.label)
    if done.edited:
        door.note(
            "The file's messages were edited since it was written: they were taken; branches, tool "
            "calls and the like were left out."
        )
    if done.session_id is None:
        say(f"Session '{label}' can be imported: {done.message_count} messages. (Dry run.)")
        if done.replaced:
            say(f"It would replace {done.replaced}.")
        return
    say(f"Session '{label}' imported successfully")
    if done.replaced:
        say(f"The old one is in the trash: {done.replaced}")
    say(f"Resume it: vault-sessions chat -s {shlex.quote(label)}")


def _imported(done: ImportedCheckpoint) -> dict[str, Any]:
    return {
        "id": done.session_id,
        "name": done.name,
        "message_count": done.message_count,
        "replaced": done.replaced,
        "edited": done.edited,
        "dry_run": done.session_id is None,
    }


def _tell_store(done: list[Imported], as_json: bool) -> int:
    """A table of what came of each session; 1 when one failed."""
    if as_json:
        print_json([one._asdict() for one in done])
    else:
        for line in _table(done):
            say(line)
        counts = [
            f"{sum(one.outcome == what for one in done)} {what}"
            for what in ("imported", "updated", "skipped", "failed")
        ]
        say(", ".join(counts))
    return 1 if any(one.outcome == "failed" for one in done) else 0


def _table(done: list[Imported]) -> list[str]:
    """A line for each session: what came of it, its name, its id here, and why."""
    rows = [
        [one.outcome, fit(safe_line(one.name or one.source_id), 40), one.session_id or ""]
        for one in done
    ]
    rooms = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, one in zip(rows, done, strict=True):
        cells = [text + " " * (room - width(text)) for text, room in zip(row, rooms, strict=True)]
        lines.append("  ".join([*cells, safe_line(one.why)]).rstrip())
    return lines

"""The front door: the command line. One short module a command group, imported when it is used."""

from __future__ import annotations

import sys
from typing import Any

import click

from vault_sessions import __version__
from vault_sessions.cli.door import Door, add_global_options, close_door
from vault_sessions.errors import VaultSessionsError

PROGRAM = "vault-sessions"

# name → (module, the line that --help shows); the modules are imported when a command is run
COMMANDS = {
    "init": ("vaults", "Make a vault, or what one lacks."),
    "chat": ("chat", "Talk; comes back to the conversation of this place."),
    "list": ("sessions", "All sessions, the newest activity first."),
    "show": ("sessions", "One conversation."),
    "search": ("searching", "Full-text search in conversations and memory."),
    "rename": ("sessions", "Name a session, or set its topic."),
    "end": ("ending", "End sessions: summary, facts, the picture of you."),
    "delete": ("removing", "Sessions to the trash, or erased for good."),
    "restore": ("removing", "Sessions back from the trash."),
    "clean": ("removing", "Old sessions to the trash; or empty the trash."),
    "path": ("sessions", "Where a transcript is."),
    "edit": ("sessions", "Open a transcript in your editor."),
    "export": ("transferring", "A session as one file that travels."),
    "import": ("transferring", "A checkpoint, or another program's history."),
    "memory": ("memory", "Long-term memory: show, add, search, why, log, undo."),
    "stats": ("counting", "Numbers and pictures: messages and tokens, by model and time."),
    "watch": ("watching", "Keep the mirror fresh while files are edited."),
    "doctor": ("doctoring", "What is wrong in the vault, and its mending."),
    "reindex": ("vaults", "Make a new mirror from the files."),
    "mirror": ("vaults", "Where the SQLite mirror is."),
    "config": ("settings", "Settings in force and where each came from."),
    "completion": ("settings", "A completion script for your shell."),
}
# run by git, not by people: shown nowhere
HIDDEN = {"merge-driver": "gitting", "textconv": "gitting"}


class _ReaderLeft(Exception):
    """A broken pipe, hidden from click, which would end the program with code 1."""


class Root(click.Group):
    """The program; knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the day, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and take it from there."""
        name = HIDDEN.get(cmd_name) or COMMANDS.get(cmd_name, ("",))[0]
        if not name:
            return None
        from importlib import import_module

        module = import_module(f"vault_sessions.cli.{name}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        add_global_options(command, cmd_name)
        return command

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """As click does it, but for a reader who has left."""
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError as error:
            raise _ReaderLeft from error

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it, but for a reader who has left."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderLeft from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown command is told with the nearest one."""
        if args and args[0] not in {**COMMANDS, **HIDDEN} and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.command(
    "main",
    cls=Root,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """AI conversations, and what was learned from them, as plain files in a folder you own."""
    ctx.ensure_object(Door)


add_global_options(main)


def run(args: list[str] | None = None) -> int:
    """Run the program and return its exit code; every foreseen failure is one line on stderr."""
    import os

    _mend_streams()
    door = Door()
    try:
        try:
            code: Any = main.main(args, prog_name=PROGRAM, standalone_mode=False, obj=door)
            sys.stdout.flush()
            return code if isinstance(code, int) else 0
        finally:
            close_door(door)
    except (BrokenPipeError, _ReaderLeft):
        # the reader has left; keep the interpreter from complaining about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("", err=True)
        return 130
    except VaultSessionsError as error:
        _complain(str(error))
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        return 1


def _mend_streams() -> None:
    """A stream that was closed for us is the null device; what can't be encoded is escaped."""
    import os

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # the lowest free number is that of the stream: no file of the vault may get it
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)
            setattr(sys, name, os.fdopen(null, mode, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        kind = (getattr(stream, "encoding", None), getattr(stream, "errors", None))
        # with surrogateescape a path that is no UTF-8 is printed as it is
        if hasattr(stream, "reconfigure") and kind != ("utf-8", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _show(error: click.ClickException) -> None:
    """What click says of wrong usage, which quotes what was typed."""
    from io import StringIO

    from vault_sessions.formats.display import safe

    told = StringIO()
    error.show(told)
    click.echo(safe(told.getvalue()), nl=False, err=True)


def _complain(text: str) -> None:
    from vault_sessions.formats.display import safe

    click.echo(f"Error: {safe(text)}", err=True)

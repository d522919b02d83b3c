"""What every command shares: the vault it works on, results on stdout, all else on stderr."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vault_sessions.formats.display import safe, safe_json, safe_line

MAX_LIMIT = 2**31 - 1
"""The most that a ``--limit`` may be."""

_GIVEN_ONLY = {"--yes", "--force", "--overwrite", "--fix", "--purge", "--version"}
"""Options that no variable can set: what they allow is allowed each time anew."""

if TYPE_CHECKING:
    from vault_sessions.model import Proposal, Session
    from vault_sessions.workspace import Workspace


class Door:
    """The global options as given, and the workspace once it is open.

    ``converses``: a conversation goes on in the terminal, so the person can be asked things.
    """

    def __init__(self) -> None:
        self.vault: str | None = None
        self.verbose = False
        self.quiet = False
        self.converses = False
        self._workspace: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        """The vault at work; opened when it is first asked for."""
        if self._workspace is None:
            from vault_sessions.workspace import Workspace

            self._workspace = Workspace.open(
                self.vault, say=self.note, ask=self.ask, confirm=self.confirm
            )
            self.detail(f"vault  {self._workspace.vault.root}")
            self.detail(f"mirror {self._workspace.mirror_path}")
        return self._workspace

    def said(self, text: str) -> bool:
        """Has it been said, and kept, in the open conversation?"""
        return self._workspace is not None and self._workspace.chat.said(text)

    def note(self, text: str) -> None:
        """A line for the person, on stderr, unless they asked for quiet."""
        if not self.quiet:
            click.echo(safe(text), err=True)

    def ask(self, question: str) -> bool:
        """A question to the person, yes if they only press Enter or no terminal is there."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return True
        return click.confirm(safe(question), default=True, err=True)

    def confirm(self, proposal: Proposal) -> str | None:
        """Ask about a change of memory, as ``cli.confirming`` does."""
        from vault_sessions.cli import confirming

        return confirming.confirm(self, proposal)

    def detail(self, text: str) -> None:
        """A line for the person who asked for more."""
        if self.verbose:
            self.note(text)


def close_door(door: Door) -> None:
    """Close what was opened."""
    if door._workspace is not None:
        door._workspace.close()


pass_door = click.make_pass_decorator(Door, ensure=True)


def add_global_options(command: click.Command, *path: str) -> None:
    """Let ``--vault``, ``-v`` and ``-q`` stand before and after every command, and every option
    of the command at ``path`` be given as a variable, named after its long flag."""
    if any(parameter.name == "vault" for parameter in command.params):
        return

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value == "":  # an empty variable of the shell, not the place we are in
            raise click.BadParameter("it is empty.", ctx, parameter)
        if value not in (None, False):
            setattr(ctx.ensure_object(Door), str(parameter.name), value)

    for option in command.params:
        if isinstance(option, click.Option):
            option.envvar = _variable(option, path)
    for names, options in (
        (["--vault"], {"metavar": "DIR", "help": "The vault to work on."}),
        (["-v", "--verbose"], {"is_flag": True, "help": "Say more."}),
        (["-q", "--quiet"], {"is_flag": True, "help": "Say less."}),
    ):
        added = click.Option(names, callback=keep, expose_value=False, **options)
        if not path:
            added.envvar = _variable(added, path)
        command.params.append(added)
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            add_global_options(sub, *path, name)


def _variable(option: click.Option, path: tuple[str, ...]) -> str | None:
    flag = max(option.opts, key=len)
    if flag in _GIVEN_ONLY:
        return None
    return "_".join(("vault_sessions", *path, flag.strip("-"))).replace("-", "_").upper()


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def print_json(document: Any) -> None:
    """One JSON document on stdout; nothing in it can control a terminal."""
    import orjson

    text = safe_json(orjson.dumps(document, option=orjson.OPT_INDENT_2)).decode()
    if not (sys.stdout.encoding or "utf-8").lower().startswith("utf"):
        import json

        text = json.dumps(json.loads(text), indent=2)
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """A result for a person, on stdout."""
    sys.stdout.write(safe(text) + "\n")


def styled(text: str, **style: Any) -> str:
    """The text in bold, dim or a colour; as it is where the person wants none (NO_COLOR)."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


def on_terminal() -> bool:
    """Is stdout a terminal?"""
    return sys.stdout.isatty()


def now() -> datetime:
    """The present, for reading ``--since``."""
    return datetime.now(UTC)


if TYPE_CHECKING:
    TimeType = click.ParamType[datetime]
    NameType = click.ParamType[str]
else:
    TimeType = NameType = click.ParamType


class Since(TimeType):
    """``24h``, ``7d``, ``2w``, ``3m`` or ``2026-11-21``."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it, or say what is taken."""
        from vault_sessions.formats.times import parse_since

        if isinstance(value, datetime):
            return value
        try:
            return parse_since(str(value), now())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SessionName(NameType):
    """A session's name, id or the beginning of an id; completed from the mirror."""

    name = "session"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """Names and ids that begin so."""
        from click.shell_completion import CompletionItem

        from vault_sessions.errors import VaultSessionsError
        from vault_sessions.workspace import Workspace

        door = ctx.find_object(Door)
        try:
            with Workspace.open(door.vault if door else None) as workspace:
                sessions = workspace.list()
        except (VaultSessionsError, OSError):
            return []
        key = incomplete.casefold()
        return [
            CompletionItem(safe_line(s.name or s.id), help=safe_line(s.topic or ""))
            for s in sessions
            if (s.name or s.id).casefold().startswith(key)
        ]


def session_fields(session: Session) -> dict[str, Any]:
    """The keys of ``list --json``."""
    keys = (
        "id name topic topic_source created_at updated_at ended_at message_count model provider "
        "skill directory git_root status problems path"
    )
    return {key: getattr(session, key) for key in keys.split()}

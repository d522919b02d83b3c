"""``delete``, ``restore``, ``clean``: sessions to the trash and back, and for good."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from vault_sessions.cli.door import Door, SessionName, json_option, pass_door, print_json, say
from vault_sessions.errors import SessionNotFound, VaultError
from vault_sessions.formats.display import safe, safe_line

if TYPE_CHECKING:
    from vault_sessions.model import Session
    from vault_sessions.removal import Learned
    from vault_sessions.workspace import Workspace

    SpanType = click.ParamType[tuple[str, timedelta]]
else:
    SpanType = click.ParamType

_BAR_AFTER = 1000
"""Sessions that are moved in about a second."""


class Span(SpanType):
    """``24h``, ``7d``, ``2w`` or ``3m``; as written, and how long that is."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, timedelta]:
        """Read it, or say what is taken."""
        from vault_sessions.formats.times import parse_span

        try:
            return str(value), parse_span(str(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r}: give a whole number and h, d, w or m (hours, days, weeks, months of "
                f"30 days), such as 24h, 7d, 2w or 3m.",
                param,
                ctx,
            )


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _agreed(question: str, yes: bool) -> bool:
    """Does the person agree? Without a terminal only ``--yes`` does."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("Nobody is here to be asked; --yes says that it is wanted.")
    return click.confirm(safe(question), default=False, err=True)


@click.command("delete")
@click.argument("sessions", nargs=-1, required=True, type=SessionName())
@yes_option
@click.option("--purge", is_flag=True, help="Erase for good: no trash, nothing kept.")
@click.option("--with-memory", is_flag=True, help="Also its summary and the facts from it.")
@json_option
@pass_door
def delete_command(
    door: Door,
    sessions: tuple[str, ...],
    yes: bool,
    purge: bool,
    with_memory: bool,
    as_json: bool,
) -> None:
    """Move SESSIONS to the trash, from where restore brings them back. --purge erases them."""
    workspace = door.workspace
    found = dict(_found(workspace, given, in_trash=purge) for given in sessions)
    learned = {each: workspace.memory.learned_from(each) for each in found} if with_memory else {}
    for session_id, one in learned.items():
        _show_learned(session_id, one)
    what = next(iter(found.values())) if len(found) == 1 else f"{len(found)} sessions"
    how = "Erase {} for good?" if purge else "Move {} to the trash?"
    if not _agreed(how.format(what), yes):
        door.note("Nothing was deleted.")
        return
    # memory first: what is cut short can be asked for again while the session is there
    for session_id, one in learned.items():
        workspace.memory.unlearn(session_id, one, for_good=purge)
    if purge:
        workspace.trash.purge(*found)
    else:
        workspace.trash.delete([*found])
    if as_json:
        print_json({"deleted": [*found], "purged": purge})
        return
    for session_id, label in found.items():
        done = "Erased" if purge else "Deleted"
        say(f"{done} {safe_line(label)} ({session_id})")
    if purge:
        door.note("Copies in backups, in git's history and on other machines are not reached.")
    else:
        door.note("It comes back with: vault-sessions restore " + [*found][-1])
        if any(one.summaries or one.bullets for one in learned.values()):
            door.note("What memory had from it is in the trash too, but not brought back by that.")


def _found(workspace: Workspace, given: str, *, in_trash: bool) -> tuple[str, str]:
    """The id of a session and what a person calls it; perhaps it is in the trash already."""
    try:
        session = workspace.find(given)
    except SessionNotFound:
        trashed = workspace.trash.find(given) if in_trash else None
        if trashed is None:
            raise
        return trashed.session_id, trashed.name or trashed.session_id
    return session.id, session.label


def _show_learned(session_id: str, found: Learned) -> None:
    click.echo(f"From {session_id} memory has:", err=True)
    for path in found.summaries:
        click.echo(safe_line(f"  {path}"), err=True)
    for path, line in found.bullets:
        click.echo(safe_line(f"  {path}: {line.strip()}"), err=True)
    if not found.summaries and not found.bullets:
        click.echo("  nothing", err=True)


@click.command("restore")
@click.argument("sessions", nargs=-1, type=SessionName())
@click.option("--list", "as_list", is_flag=True, help="Show what is in the trash.")
@json_option
@pass_door
def restore_command(door: Door, sessions: tuple[str, ...], as_list: bool, as_json: bool) -> None:
    """Bring SESSIONS back from the trash; --list shows which there are."""
    workspace = door.workspace
    if as_list:
        _list_trash(workspace, as_json)
        return
    if not sessions:
        raise click.UsageError("Which session? --list shows those in the trash.")
    done = []
    for given in sessions:
        session = workspace.trash.restore(given)
        done.append(session.id)
        if not as_json:
            say(f"Restored {safe_line(session.label)} ({session.id})")
    if as_json:
        print_json({"restored": done})


def _list_trash(workspace: Workspace, as_json: bool) -> None:
    from vault_sessions.formats.times import format_time, local_time

    found = workspace.trash.sessions()
    if as_json:
        rows = [
            {
                "id": one.session_id,
                "name": one.name,
                "deleted_at": format_time(one.entry.at) if one.entry.at else None,
                "why": one.entry.why,
                "path": one.entry.folder,
            }
            for one in found
        ]
        print_json(rows)
        return
    for one in found:
        when = local_time(format_time(one.entry.at) if one.entry.at else None)
        say(f"{when}  {one.session_id}  {safe_line(one.name or '')}".rstrip())


@click.command("clean")
@click.option(
    "--older-than",
    "span",
    type=Span(),
    metavar="D",
    help="Last active (--trash: put there) at least so long ago: 24h, 7d, 2w, 3m.  [default: 30d]",
)
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@yes_option
@click.option("--trash", "of_trash", is_flag=True, help="Empty the trash instead.")
@json_option
@pass_door
def clean_command(
    door: Door,
    span: tuple[str, timedelta] | None,
    dry_run: bool,
    yes: bool,
    of_trash: bool,
    as_json: bool,
) -> None:
    """Move sessions to the trash that were last active long ago. Memory is left alone."""
    if of_trash:
        _clean_trash(door, span, dry_run, yes, as_json)
        return
    written, age = span or ("30d", timedelta(days=30))
    workspace = door.workspace
    plan = workspace.trash.old_sessions(age)
    for session in plan.in_use:
        door.note(f"{safe_line(session.label)} is in use; it stays.")
    ids = [session.id for session in plan.go]
    if dry_run or not ids:
        _tell_plan(door, plan.go, written, dry_run, as_json)
        return
    if not _agreed(f"Move {_count(len(ids))} older than {written} to the trash?", yes):
        door.note("Nothing was deleted.")
        return
    leased = workspace.state.leased()
    for session in plan.go:
        if session.id in leased:  # opened while the person was asked
            door.note(f"{safe_line(session.label)} is in use; it stays.")
            ids.remove(session.id)
    with _bar(door, len(ids)) as progress:
        workspace.trash.delete(ids, f"clean --older-than {written}", progress)
    if as_json:
        print_json({"deleted": ids, "dry_run": False})
    else:
        say(f"Deleted {_count(len(ids))} older than {written}")


def _tell_plan(
    door: Door, sessions: Sequence[Session], written: str, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        print_json({"deleted": [session.id for session in sessions], "dry_run": dry_run})
        return
    if not sessions:
        say("No sessions to clean.")
        return
    from vault_sessions.formats.times import local_time

    for session in sessions:
        when = local_time(session.updated_at)
        label = safe_line(session.label) if session.label != session.id else ""
        say(f"{when:<19}  {session.id}  {label}".rstrip())
    door.note(f"Would delete {_count(len(sessions))} older than {written}.")


def _count(number: int) -> str:
    return f"{number} session(s)"


@contextmanager
def _bar(door: Door, sessions: int) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar where it takes a while and somebody sees it."""
    if sessions < _BAR_AFTER or door.quiet or not sys.stderr.isatty():
        yield None
        return
    bar: Any = click.progressbar(length=1, label="Moving", file=sys.stderr)

    def show(done: int, total: int) -> None:
        bar.length = total
        bar.update(done - bar.pos)

    with bar:
        yield show


def _clean_trash(
    door: Door, span: tuple[str, timedelta] | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    age = span[1] if span else timedelta()
    workspace = door.workspace
    if dry_run:
        raise VaultError("--dry-run shows sessions; what is in the trash: restore --list")
    when = f" of at least {span[0]} ago" if span else ""
    if not _agreed(f"Empty the trash{when}? That is for good.", yes):
        door.note("Nothing was removed.")
        return
    gone = workspace.trash.empty(age)
    if as_json:
        print_json({"removed": gone})
    else:
        say(f"Emptied the trash: {gone} entr{'y' if gone == 1 else 'ies'} removed")

"""``end``: what a conversation leaves behind, made now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vault_sessions.cli.door import Door, SessionName, json_option, pass_door, print_json, say
from vault_sessions.errors import VaultError
from vault_sessions.formats.display import safe_line

if TYPE_CHECKING:
    from vault_sessions.lifecycle.endings import Ended

_WHY_NOT: dict[str, str] = {
    "in use": "is open in a chat; leave that first.",
    "busy": "is being worked on by another program just now.",
    "ending": "goes on meanwhile; it has not ended.",
}


@click.command("end")
@click.argument("sessions", nargs=-1, type=SessionName(), metavar="SESSION…")
@click.option("--all", "everything", is_flag=True, help="Every session that has not ended.")
@click.option("--offline", is_flag=True, help="Without a model.")
@click.option("--learn", is_flag=True, help="Learn facts from imported sessions too.")
@json_option
@pass_door
def end_command(
    door: Door,
    sessions: tuple[str, ...],
    everything: bool,
    offline: bool,
    learn: bool,
    as_json: bool,
) -> None:
    """End sessions: topic, summary, facts, the picture of you; prints each summary's path.

    A session that can't be ended because the model fails stays marked as ending, and is tried
    again at the next chat; --offline ends it without a model.
    """
    if everything == bool(sessions):
        raise click.UsageError("Name sessions, or say --all.")
    workspace = door.workspace
    if everything:
        names = [
            session.id for session in reversed(workspace.endings.unended())
        ]  # as they were held
    else:
        names = list(dict.fromkeys(workspace.find(given).id for given in sessions))
    if not names:
        door.note("No sessions to end.")
    done: list[Ended] = []
    for ended in workspace.endings.end_all(names, offline=offline, learn=learn):
        done.append(ended)
        if not as_json:
            _tell(door, ended, everything)
    if as_json:
        print_json([_fields(ended) for ended in done])
    _complain(done, len(names) - len(done), everything, offline)


def _tell(door: Door, ended: Ended, everything: bool) -> None:
    """The summary's path on stdout, or why there is none on stderr."""
    label = safe_line(ended.label)
    if ended.summary is not None:
        say(safe_line(ended.summary))
    elif ended.status == "ended":
        door.note(f"{label} has ended; there was nothing to sum up.")
    if everything and ended.status in _WHY_NOT and ended.error is None:  # else it is an error
        door.note(f"{label} {_WHY_NOT[ended.status]}")
    if ended.learned:
        door.detail(f"{label}: learned {len(ended.learned)}")
    if ended.to_confirm:
        what = "1 change" if ended.to_confirm == 1 else f"{ended.to_confirm} changes"
        door.note(f"{label}: {what} of what you wrote yourself will be asked about at a chat.")


def _complain(done: list[Ended], left: int, everything: bool, offline: bool) -> None:
    """Raises VaultError for what was not done, in two lines at most."""
    failed = [ended for ended in done if ended.error is not None]
    if failed:
        # an earlier step may have changed something
        why = (failed[-1].error or "").split("\n")[0].removesuffix(" Nothing was changed.")
        count = len(failed) + left
        which = failed[-1].session_id if count == 1 else f"{count} sessions"
        again = "--all" if everything else failed[-1].session_id if count == 1 else "SESSION…"
        else_way = "." if offline else f"; without a model: vault-sessions end --offline {again}"
        raise VaultError(f"{which} not ended: {why}\nTried again at the next chat{else_way}")
    skipped = [ended for ended in done if ended.status != "ended"]
    if skipped and not everything:
        one = skipped[0]
        raise VaultError(f"{one.label} {_WHY_NOT[one.status]}")


def _fields(ended: Ended) -> dict[str, Any]:
    return {**ended._asdict(), "learned": list(ended.learned)}

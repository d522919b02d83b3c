"""One session whole, as ``ws.show`` gives it."""

from __future__ import annotations

from typing import NamedTuple

from vault_sessions import guard, scan, sync
from vault_sessions.errors import SessionNotFound
from vault_sessions.formats.transcript import active_branch
from vault_sessions.mirror import queries
from vault_sessions.model import Compaction, Meta, Problem, Session, Transcript
from vault_sessions.rules.compaction import in_force
from vault_sessions.workspace.core import Core


class Shown(NamedTuple):
    """One session, read from its files: its row, its messages and what is wrong in them.

    ``active`` holds the ids of the messages on the active branch, ``covered`` those of them that
    ``in_force``, the compaction in force, stands for.
    """

    session: Session
    transcript: Transcript
    meta: Meta
    problems: tuple[tuple[str, Problem], ...]
    active: frozenset[str]
    in_force: Compaction | None = None
    covered: frozenset[str] = frozenset()


def show(core: Core, given: str) -> Shown:
    """Read it from its files. Raises SessionNotFound, AmbiguousSession."""
    session = core.find(given)
    found = scan.read_session(core.vault, session.id, sync.nanoseconds(core.clock()), _none)
    if found is None:
        raise SessionNotFound(f"The files of {given!r} are gone.")
    losses = guard.open_losses(core.vault, core.state, session.id)
    found = sync.with_losses(found, losses)
    branch = active_branch(found.transcript.messages)
    active = frozenset(message.id for message in branch)
    force, count = in_force(branch, found.meta.compactions) or (None, 0)
    covered = frozenset(message.id for message in branch[:count])
    meta_path = core.vault.meta(session.id)
    twice = [p for p in core.keeper.ask(queries.name_twice) if p[0] == meta_path]
    # the activity in the list leaves out stamps in the future; the row keeps it so
    row = found.session._replace(
        updated_at=session.updated_at, problems=found.session.problems + len(twice)
    )
    problems = (*found.problems, *twice)
    return Shown(row, found.transcript, found.meta, problems, active, force, covered)


def _none(session_id: str) -> list[str]:
    return []

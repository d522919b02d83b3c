"""Which session does ``chat`` open? A decision with its reason; nothing is read or written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal, NamedTuple

QUIET = timedelta(minutes=30)
"""A session active so recently is not cut off by the daily reset."""
LONGEST_LABEL = 200
"""Characters of a name or topic in the line that says what was resumed."""


class Place(NamedTuple):
    """Where the program runs: the directory and the git root around it, real paths.

    ``git_root`` None: in no repository. ``vault_git_root``: the repository the vault itself is in.
    """

    directory: str
    git_root: str | None = None
    vault_git_root: str | None = None


class Candidate(NamedTuple):
    """An open session with at least one user message."""

    id: str
    label: str
    last_activity: datetime
    directory: str | None
    git_root: str | None
    in_use: bool


class Rules(NamedTuple):
    """The settings of resuming. ``zone`` None: the system's time zone, for ``daily``."""

    window: timedelta = timedelta(hours=4)
    scope: str = "workspace"
    reset: str = "manual"
    idle: timedelta = timedelta(minutes=120)
    daily_at: time = time(4)
    zone: tzinfo | None = None


class Decision(NamedTuple):
    """What to open and why. ``session_id`` None: a new session, of ``name`` if one was given.

    ``ends``: a session to be marked as ending. ``considered``: each candidate with what spoke for
    or against it, best first; the first that is not the winner is the ``runner_up``.
    """

    action: Literal["resume", "new"]
    session_id: str | None
    reason: str
    name: str | None = None
    ends: str | None = None
    runner_up: str | None = None
    considered: tuple[tuple[str, str], ...] = ()


def decide(
    candidates: Sequence[Candidate], place: Place, rules: Rules, now: datetime, *, new: bool = False
) -> Decision:
    """Resume the best session of this place within the window, or begin a new one."""
    fit: list[Candidate] = []
    against: list[tuple[str, str]] = []
    for candidate in sorted(candidates, key=lambda c: c.last_activity, reverse=True):
        objection = _objection(candidate, place, rules, now)
        if objection is None:
            fit.append(candidate)
        else:
            against.append((candidate.label, objection))
    # sorted() is stable: within a directory the newest stays first
    fit.sort(key=lambda c: c.directory != place.directory)
    considered = tuple((c.label, _praise(c, place, now)) for c in fit) + tuple(against)
    runner_up = fit[1].label if len(fit) > 1 else against[0][0] if against else None
    if not fit:
        reason = "no open session here was active within the window"
        if rules.window <= timedelta(0):
            reason = "sessions are never resumed by themselves (resume_window is 0)"
        return Decision("new", None, reason, runner_up=runner_up, considered=considered)
    winner = fit[0]
    if new:
        return Decision(
            "new", None, "a new session was asked for", None, winner.id, winner.label, considered
        )
    if refused := reset_due(winner.last_activity, rules, now):
        return Decision("new", None, refused, None, None, winner.label, considered)
    reason = f"it is {_praise(winner, place, now)}"
    return Decision("resume", winner.id, reason, None, None, runner_up, considered)


def _objection(candidate: Candidate, place: Place, rules: Rules, now: datetime) -> str | None:
    """Why a candidate may not be resumed; None if it may."""
    if candidate.in_use:
        return "open in another window"
    age = now - candidate.last_activity
    # a window of 0 is never open, not even for a stamp some seconds in the future
    if not rules.window or age >= rules.window:
        return f"last active {ago(age)}, the window is {span(rules.window)}"
    if not in_scope(candidate, place, rules.scope):
        return f"begun elsewhere ({candidate.git_root or candidate.directory or 'unknown place'})"
    return None


def in_scope(candidate: Candidate, place: Place, scope: str) -> bool:
    """Does the session belong to this place?

    ``workspace``: the same repository, or both in none (the vault's own counts as none).
    ``directory``: the same directory or repository. ``vault``: always.
    """
    if scope == "vault":
        return True
    if scope == "directory":
        same = candidate.directory is not None and candidate.directory == place.directory
        return same or (candidate.git_root is not None and candidate.git_root == place.git_root)
    vault = place.vault_git_root
    here = place.git_root if place.git_root != vault else None
    there = candidate.git_root if candidate.git_root != vault else None
    return here == there


def _praise(candidate: Candidate, place: Place, now: datetime) -> str:
    where = "this directory's" if candidate.directory == place.directory else "this workspace's"
    return f"{where} most recent session, active {ago(now - candidate.last_activity)}"


def reset_due(last_activity: datetime, rules: Rules, now: datetime) -> str | None:
    """Why the reset policy ends a session that was last active then; None: it goes on."""
    quiet = now - last_activity
    if rules.reset == "idle" and quiet >= rules.idle:
        return f"idle for {span(quiet)} (reset: idle, {span(rules.idle)})"
    if rules.reset == "daily":
        since = last_reset(rules.daily_at, rules.zone, now)
        if last_activity < since and quiet >= QUIET:
            return f"a new day began at {rules.daily_at:%H:%M} (reset: daily)"
    return None


def last_reset(at: time, zone: tzinfo | None, now: datetime) -> datetime:
    """The newest instant ≤ now at which local clocks show ``at``.

    The first of two, where clocks are put back; where they are put forward over it, the instant by
    the offset before (PEP 495, fold=0, is just that).
    """
    today = now.astimezone(zone).date()
    for days in range(-1, 3):
        local = datetime.combine(today - timedelta(days=days), at)
        # astimezone would take a naive time in a gap by the offset after it
        instant = datetime.fromtimestamp(local.replace(tzinfo=zone).timestamp(), UTC)
        if instant <= now:
            return instant
    raise AssertionError("a day has at most 26 hours")


def ago(age: timedelta) -> str:
    """``25 minutes ago``; ``just now`` under a minute."""
    return "just now" if age < timedelta(minutes=1) else f"{span(age)} ago"


def span(length: timedelta) -> str:
    """A length of time in its largest whole unit: ``25 minutes``, ``1 hour``, ``3 days``."""
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{max(seconds, 0)} second{'s' if seconds != 1 else ''}"


def resumed_line(label: str, last_activity: datetime | None, now: datetime) -> str:
    """``Resumed "…" (last active 25 minutes ago) · /new starts afresh``."""
    active = f" (last active {ago(now - last_activity)})" if last_activity else ""
    label = label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
    return f'Resumed "{label}"{active} · /new starts afresh'

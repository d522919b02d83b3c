"""The end of a session: which ones end by themselves, and what of an ending is missing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from vault_sessions.formats.times import parse_time
from vault_sessions.model import Change, Session
from vault_sessions.rules.resume import Rules, reset_due

MOST = 5
"""So many endings a run, so that an old vault is not worked through at one start."""

Step = Literal["topic", "summary", "facts", "snapshot"]


class Due(NamedTuple):
    """A session whose end is to be made, and the reason: ``window``, ``idle``, ``daily``, or that
    of the mark it bears already."""

    session_id: str
    reason: str


def ends_by_itself(
    sessions: Sequence[Session],
    rules: Rules,
    now: datetime,
    ours: Collection[str],
    in_use: Collection[str],
    most: int = MOST,
) -> list[Due]:
    """The sessions to end now without being asked, the newest first.

    Only those that this machine wrote to (``ours``) and nobody has open: marked as ending, or
    asked something and too old to be resumed.
    """
    found: list[tuple[datetime, Due]] = []
    for session in sessions:
        if session.status == "ended" or session.id in in_use or session.id not in ours:
            continue
        at = parse_time(session.updated_at)
        if session.ending is not None:
            found.append((at or now, Due(session.id, session.ending)))
        elif at is not None and session.user_messages and (reason := time_is_over(at, rules, now)):
            found.append((at, Due(session.id, reason)))
    found.sort(key=lambda each: each[0], reverse=True)
    return [due for _, due in found[:most]]


def time_is_over(last_activity: datetime, rules: Rules, now: datetime) -> str | None:
    """Why a session that was last active then is never resumed by itself again; None: it may be.

    The reset policy is asked first: it is what the owner chose to end sessions by.
    """
    if reset_due(last_activity, rules, now) is not None:
        return rules.reset
    age = now - last_activity
    # a stamp some seconds in the future is an activity of just now
    return "window" if age >= rules.window and age >= timedelta(0) else None


def lacks_topic(
    sessions: Sequence[Session], ours: Collection[str], *, has_model: bool, most: int = MOST
) -> list[str]:
    """Open sessions of two exchanges and more without a topic (or, where a model could make one,
    with a fallback), the newest first. Whether one is really due their messages say."""
    return [
        session.id
        for session in sessions
        if session.status == "open"
        and session.id in ours
        and session.user_messages >= 2
        and session.message_count >= 4
        and (session.topic is None or (has_model and session.topic_source == "fallback"))
    ][:most]


class Standing(NamedTuple):
    """How far an ending is.

    ``exchanges`` and ``messages`` count the active branch; ``summary_of``: of how many messages
    there is a summary of ours (None: there is none), ``is_owners``: there is one that the owner
    has edited. ``may_learn``: memory may learn from it (imported sessions teach it nothing by
    themselves, which is seen to where facts are found).
    """

    exchanges: int
    messages: int
    has_topic: bool
    topic_wanted: bool
    summary_of: int | None
    is_owners: bool
    may_learn: bool


def missing(standing: Standing) -> tuple[Step, ...]:
    """What is to be made before the marks, in this order. What knows by itself whether it is done
    (facts, the snapshot) is always among them."""
    if standing.exchanges < 1:
        return ()
    steps: list[Step] = []
    if standing.topic_wanted and not standing.has_topic:
        steps.append("topic")
    if not standing.is_owners and standing.summary_of != standing.messages:
        steps.append("summary")
    if standing.may_learn:
        steps += ["facts", "snapshot"]
    return tuple(steps)


def snapshot_due(changes: Sequence[Change], session_id: str, *, is_ours: bool) -> bool:
    """Has a fact changed since the snapshot was written last? Where the owner has edited it, only
    a change because of this session counts: others were offered before."""
    since: list[Change] = []
    for change in changes:
        if change.file == "user.md" and change.section == "Snapshot":
            since = []
        elif change.file == "facts.md":
            since.append(change)
    return any(is_ours or change.session_id == session_id for change in since)


def learned(changes: Sequence[Change], session_id: str) -> tuple[str, ...]:
    """What stands in memory because of this session, in the order in which it was learned."""
    texts: dict[str, str] = {}  # the change's id → what it put there
    for change in changes:
        if change.file != "facts.md":
            continue
        gone = [name for name, text in texts.items() if change.undoes == name or text == change.old]
        for name in gone[-1:]:
            del texts[name]
        if change.session_id == session_id and change.new is not None and change.undoes is None:
            texts[change.id] = change.new
    return tuple(dict.fromkeys(texts.values()))

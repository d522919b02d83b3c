"""The end of a session: its first mark, what is made of it, and the mark that it has ended.

Each step knows whether it was done, so an ending that was cut short is completed by the next one,
which repeats nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.errors import BadAnswer
from vault_sessions.formats.meta import ENDING, parse_meta
from vault_sessions.formats.session import describe
from vault_sessions.formats.summary import Summary
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.formats.transcript import active_branch, exchanges, parse
from vault_sessions.lifecycle.desk import Desk, Saved
from vault_sessions.memory import Kit, summaries
from vault_sessions.model import OFFLINE, Message, Meta, Proposal, Session
from vault_sessions.rules import ending
from vault_sessions.rules.compaction import in_force

if TYPE_CHECKING:
    from vault_sessions.lifecycle.asking import Who


def mark_ending(desk: Desk, session_id: str, reason: str) -> None:
    """Mark a session as ending: it is resumed by name only. Harmless when it is marked or ended.

    Not one that is open somewhere. Raises VaultError.
    """
    if desk.state.is_leased(session_id):
        return
    with desk.state.lock(session_id):
        data = vaults.read_meta(desk.vault, session_id)
        meta = parse_meta(data, session_id)[0] if data is not None else Meta()
        if meta.ending is not None or _has_ended(desk, session_id, meta):
            return
        mark = {"reason": reason, "at": format_time(desk.now())}
        # an older end, after which it went on, is none
        changes: dict[str, Any] = dict.fromkeys(ENDING) if meta.ended_at is not None else {}
        changes["ending"] = mark
        vaults.change_meta(desk.vault, session_id, changes)
    desk.saved(Saved(session_id))


def _has_ended(desk: Desk, session_id: str, meta: Meta) -> bool:
    """Has it an end that nothing was said after? (On another machine somebody may have.)"""
    if meta.ended_at is None:
        return False
    try:
        transcript = parse(vaults.read_transcript(desk.vault, session_id)[0])
    except FileNotFoundError:
        return True
    return describe(session_id, transcript, meta, 0, "").ended_at is not None


def unmark_ending(desk: Desk, session_id: str) -> None:
    """Take the marks of an ending from a session that goes on. Raises VaultError."""
    with desk.state.lock(session_id):
        data = vaults.read_meta(desk.vault, session_id)
        meta = parse_meta(data, session_id)[0] if data is not None else Meta()
        if meta.ended_at is None and meta.ending is None:
            return
        vaults.change_meta(desk.vault, session_id, dict.fromkeys(ENDING))
    desk.saved(Saved(session_id))


# --- the whole of it -----------------------------------------------------------------------------


class Ended(NamedTuple):
    """What came of an ending.

    ``status``: ``ended``; ``ending``: something is still missing; ``in use``: it is open in a
    chat; ``busy``: another program works on it. ``summary``: the path from the root; ``learned``:
    what went into memory from the session; ``to_confirm``: how many changes wait for the owner;
    ``error``: what went wrong.
    """

    session_id: str
    label: str
    status: Literal["ended", "ending", "in use", "busy"]
    summary: str | None = None
    learned: tuple[str, ...] = ()
    to_confirm: int = 0
    error: str | None = None


class _Seen(NamedTuple):
    """A session as it is now: ``row`` as in ``list``, ``branch`` the active one."""

    meta: Meta
    branch: Sequence[Message]
    row: Session


def end_session(
    desk: Desk, session_id: str, reason: str, *, offline: bool = False, learn: bool = False
) -> Ended:
    """End a session, or complete its ending. One that is open somewhere is left alone.

    ``offline``: without a model; ``learn``: memory learns from it though it was imported, also
    when it has ended long ago. Raises ProviderError: it stays marked as ending; VaultError.
    """
    lease = desk.state.lease(session_id, desk.now())  # and this machine has written to it, then
    if lease is None:
        return Ended(session_id, _label(desk, session_id), "in use")
    lease.release()
    work = desk.state.work(session_id)
    if work is None:
        return Ended(session_id, _label(desk, session_id), "busy")
    try:
        mark_ending(desk, session_id, reason)
        seen = _look(desk, session_id)
        if seen.meta.ending is None and not (learn and seen.row.ended_at):
            learned = _learned(desk, session_id)
            return Ended(session_id, seen.row.label, "ended", seen.meta.summary_file, learned)
        return _complete(desk, session_id, seen, offline=offline, learn=learn)
    finally:
        work.release()


def _label(desk: Desk, session_id: str) -> str:
    return _look(desk, session_id).row.label


def _look(desk: Desk, session_id: str) -> _Seen:
    data = vaults.read_meta(desk.vault, session_id)
    meta = parse_meta(data, session_id)[0] if data is not None else Meta()
    try:
        bytes_now = vaults.read_transcript(desk.vault, session_id)[0]
    except FileNotFoundError:
        bytes_now = b""
    transcript = parse(bytes_now)
    row = describe(session_id, transcript, meta, 0, desk.vault.transcript(session_id))
    return _Seen(meta, active_branch(transcript.messages), row)


def _complete(desk: Desk, session_id: str, seen: _Seen, *, offline: bool, learn: bool) -> Ended:
    """Make what is missing, in the order of the steps, and the marks last."""
    from vault_sessions.lifecycle import asking, topics

    who = None if offline else asking.who(desk, seen.meta)
    found = summaries.find(desk.vault, session_id, seen.meta.summary_file)
    standing = ending.Standing(
        exchanges(seen.branch),
        len(seen.branch),
        seen.meta.topic is not None,
        desk.settings.topic_auto,
        found.read.message_count if found is not None else None,
        found is not None and not found.read.is_ours,
        learn or desk.settings.memory_auto,
    )
    steps = ending.missing(standing)
    path = found.path if found is not None else None
    learned: tuple[str, ...] = ()
    offers: list[Proposal] = []
    are_said = False
    if "topic" in steps:
        topics.give_topic(desk, session_id, seen.branch, seen.meta, who, at_the_end=True)
        seen = _look(desk, session_id)
    if "summary" in steps:
        path = _summarise(desk, session_id, seen, who, found)
    if "facts" in steps:
        offers += _learn(desk, session_id, seen, who, learn=learn)
        offers += _picture(desk, session_id, seen, who)
        learned = _learned(desk, session_id)
        if path is not None:
            said = summaries.complete(_kit(desk), path, learned, offers)
            are_said = said.is_said or not offers
            if said.changed:
                desk.wrote([path])
    if offers and not are_said:
        desk.state.wait(session_id)  # the summary is the owner's own: it is asked from the metadata
    done = _mark_ended(desk, session_id, seen, path, settled=are_said)
    return Ended(
        session_id,
        _label(desk, session_id),
        "ended" if done else "ending",
        path,
        learned,
        len(offers),
    )


def _kit(desk: Desk) -> Kit:
    return Kit(desk.vault, desk.state, desk.now(), desk.random)


# --- the steps -----------------------------------------------------------------------------------


def _ended_at(seen: _Seen, now: datetime) -> datetime:
    """The instant of the end: when it was first marked, which a second try does not change. What
    was said after that by another machine's clock was said before it."""
    mark = parse_time(seen.meta.ending.at) if seen.meta.ending is not None else None
    spoken = [m.created_at for m in seen.branch if m.created_at and m.role in _SPEAKERS]
    return max([mark or seen.meta.ended_at or now, *spoken])


_SPEAKERS = ("user", "assistant")


def _summarise(
    desk: Desk, session_id: str, seen: _Seen, who: Who | None, found: summaries.Found | None
) -> str:
    """Write the summary, or renew ours; its path. Raises ProviderError, VaultError."""
    from vault_sessions.lifecycle.asking import is_hopeless

    if not desk.settings.memory_auto:
        who = None
    started = seen.meta.created_at or parse_time(seen.row.created_at)
    ended = _ended_at(seen, desk.now())
    try:
        said = _said(desk, session_id, seen, who)
    except BadAnswer:
        if not is_hopeless(desk, session_id, "summary", str(seen.branch[-1].id)):
            raise
        who, said = None, _said(desk, session_id, seen, None)
    summary = Summary(
        session_id,
        _title(seen),
        started,
        ended,
        len(seen.branch),
        _model(desk, who),
        "ai" if who is not None else "extractive",
        *said,
    )
    path = summaries.write(_kit(desk), summary, found, started or ended)
    desk.wrote([path])
    return path


def _model(desk: Desk, who: Who | None) -> str:
    if who is None:
        return OFFLINE
    provider = desk.settings.providers.get(who.provider)
    return who.model or (provider and provider.model) or who.provider


def _said(
    desk: Desk, session_id: str, seen: _Seen, who: Who | None
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What it was about, what was decided, what is open."""
    if who is not None:
        from vault_sessions.lifecycle.asking import ask_summary

        folded, count = in_force(seen.branch, seen.meta.compactions) or (None, 0)
        before = folded.summary if folded is not None else None
        told = ask_summary(desk, who, session_id, seen.branch[count:], before)
        return told.text, tuple(told.decisions), tuple(told.open_items)
    from vault_sessions.rules import extractive

    return extractive.minutes(seen.branch)


def _title(seen: _Seen) -> str:
    from vault_sessions.rules.topic import fallback_topic

    return seen.meta.topic or seen.meta.name or fallback_topic(seen.branch) or seen.row.id


def _learn(
    desk: Desk, session_id: str, seen: _Seen, who: Who | None, *, learn: bool
) -> list[Proposal]:
    """Facts after ``learned_through`` go into memory; what only the owner may decide comes back."""
    from vault_sessions.lifecycle.learning import learn_through

    through = seen.branch[-1].id if seen.branch else None
    outcome = learn_through(desk, session_id, seen.branch, through, who, learn=learn)
    return list(outcome.offers)


def _learned(desk: Desk, session_id: str) -> tuple[str, ...]:
    from vault_sessions.memory import facts

    return ending.learned(facts.log(desk.vault), session_id)


def _picture(desk: Desk, session_id: str, seen: _Seen, who: Who | None) -> list[Proposal]:
    """The picture of the user, where a fact has changed since it was made."""
    from vault_sessions.memory import facts, snapshot

    if snapshot.recover(_kit(desk)):
        paths = (desk.vault.identity, snapshot.FILE), (desk.vault.long_term, "facts.md")
        desk.wrote([f"{folder}/{name}" for folder, name in paths])
    changes = facts.log(desk.vault)
    picture = snapshot.read(desk.vault, changes)
    if not ending.snapshot_due(changes, session_id, is_ours=picture.is_ours):
        return []
    text = _drawn(desk, session_id, picture, who)
    change, offer = snapshot.update(_kit(desk), picture, text, session_id)
    if change is not None:
        desk.wrote([f"{desk.vault.identity}/{snapshot.FILE}", desk.vault.changes])
    return [offer] if offer is not None else []


def _drawn(desk: Desk, session_id: str, picture: Any, who: Who | None) -> str:
    """Three to five sentences about the user, from what is known; empty where it is too little, or
    the model only talks nonsense."""
    from vault_sessions.memory import facts

    if who is None:
        from vault_sessions.rules import extractive

        by_section: dict[str, list[str]] = {}
        for entry in facts.entries(desk.vault):
            by_section.setdefault(entry.section or "Facts", []).append(entry.text)
        drawn = extractive.snapshot(by_section, picture.name)
        return drawn.encode("utf-8", "replace").decode()  # bytes of the file that are no UTF-8
    from vault_sessions.lifecycle.asking import ask_snapshot

    known = vaults.read_text(desk.vault, f"{desk.vault.long_term}/facts.md") or ""
    try:
        return ask_snapshot(desk, who, session_id, known, picture.text, picture.preferences)
    except BadAnswer as error:
        desk.say(f"The picture of the user stays as it is: {error}")
        return ""


def _mark_ended(
    desk: Desk, session_id: str, seen: _Seen, path: str | None, *, settled: bool
) -> bool:
    """Write that it has ended, if it is still ending by the same mark: somebody may go on with it.

    ``settled``: what waits for the owner stands in the summary.
    """
    mark = seen.meta.fields.get("ending")
    at = _ended_at(seen, desk.now())
    created = seen.meta.created_at or parse_time(seen.row.created_at)
    done = False

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        done = fields.get("ending") == mark
        if not done:
            return {}
        changes: dict[str, Any] = {"pending_facts": None} if settled else {}
        if path is not None:
            changes["summary_file"] = path
        if seen.meta.ending is not None:
            changes |= {
                "ended_at": format_time(at),
                "end_reason": seen.meta.ending.reason,
                "duration_seconds": _seconds(created, at),
                "ending": None,
            }
        return changes

    with desk.state.lock(session_id):
        vaults.change_meta(desk.vault, session_id, change)
    desk.saved(Saved(session_id))
    return done


def _seconds(created: datetime | None, ended: datetime) -> int | None:
    return max(0, int((ended - created).total_seconds())) if created is not None else None

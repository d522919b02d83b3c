"""What a session's two files say together: the fields of ``list``, derived where missing."""

from __future__ import annotations

from datetime import datetime, timedelta

from vault_sessions.formats.ids import started_at
from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import active_branch, parse
from vault_sessions.model import Meta, Session, Transcript

SOON = timedelta(minutes=5)
"""Stamps further in the future than this are ignored."""


def describe(
    session_id: str, transcript: Transcript, meta: Meta, problems: int, path: str
) -> Session:
    """The row of ``list`` for a session. ``problems`` counts its errors and warnings."""
    messages = transcript.messages
    newest: datetime | None = None
    first: datetime | None = None
    user_messages = 0
    straight = True
    provider, model = meta.provider, meta.model
    for index, message in enumerate(messages):
        role = message.role
        at = message.created_at
        if message.parent != index - 1:
            straight = False
        if at is not None:
            if first is None:
                first = at
            if (role == "user" or role == "assistant") and (newest is None or at > newest):
                newest = at
        if role == "user":
            user_messages += 1
    if provider is None or model is None:
        said = _last_answer(transcript)
        provider, model = provider or said[0], model or said[1]
    created = meta.created_at or started_at(session_id) or first
    activity = newest or created
    # someone went on after the end: on another machine, whose metadata was merged with this one's
    has_ended = meta.ended_at is not None and (newest is None or newest <= meta.ended_at)
    source = meta.source or {}
    return Session(
        session_id,
        meta.name,
        meta.topic,
        meta.topic_source,
        format_time(created) if created else None,
        format_time(activity) if activity else None,
        format_time(meta.ended_at) if meta.ended_at and has_ended else None,
        meta.ending.reason if meta.ending else None,
        len(messages) if straight else len(active_branch(messages)),
        user_messages,
        model,
        provider,
        meta.skill,
        meta.directory,
        meta.git_root,
        meta.summary_file,
        _text(source.get("kind")),
        _text(source.get("id")),
        problems,
        path,
    )


def _last_answer(transcript: Transcript) -> tuple[str | None, str | None]:
    """Provider and model of the last answer that says them."""
    for message in reversed(transcript.messages):
        if message.role == "assistant" and message.fields.get("model"):
            return message.fields.get("provider"), message.fields.get("model")
    return None, None


def _text(value: object) -> str | None:
    """A text or a whole number as text; None for anything else."""
    return str(value) if isinstance(value, str | int) else None


def last_activity(data: bytes, now: datetime) -> datetime | None:
    """The newest time of a user or assistant message in a transcript that is not in the future."""
    times = (
        message.created_at
        for message in parse(data).messages
        if message.created_at is not None and message.role in ("user", "assistant")
    )
    return max((at for at in times if at - now <= SOON), default=None)

"""How much was said when and by which model: a transcript counted by quarters of an hour.

All zones of today begin their days at a quarter, so local days, weeks and months add up from them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from vault_sessions.model import Message

QUARTER = 900
"""Seconds."""
_MOST = 10**12
"""A larger count of tokens is none: the sum of many would not fit the mirror's whole numbers."""
_NO_TOKENS = (0, 0)
_NOBODY = ("", "")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = timedelta(seconds=QUARTER)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_LAST = 230 * 365 * 24 * 4  # later instants, as floats, may be rounded into the next quarter
_PLACES = {"user": 0, "assistant": 1, "tool": 2, "system": 3}

UsageRow = tuple[int, str, str, int, int, int, int, int, int]
"""The quarter since 1970 (0: nobody knows when), provider and model, how many messages of user,
assistant, tool and system are on the active branch, and tokens in and out, on whatever branch.

Provider and model are empty for what others than an assistant said, and where an answer names no
other ones than its session has.
"""


def count_usage(
    messages: Iterable[Message],
    active: Container[str] | None,
    own: tuple[str | None, str | None],
) -> list[UsageRow]:
    """A row for each quarter and model. ``active``: ids; None: all are. ``own``: the session's
    provider and model."""
    counts: dict[tuple[int, str, str], list[int]] = {}
    names: dict[tuple[Any, Any], tuple[str, str]] = {(None, None): _NOBODY, own: _NOBODY}
    since, until, quarter = _NEVER, _NEVER, 0
    known, last, row = 0, ("", "none yet"), [0] * 6
    for message in messages:
        at = message.created_at
        if at is None:
            since, until, quarter = _NEVER, _NEVER, 0  # nobody knows when
        elif not since <= at < until:  # most come in the quarter of the one before
            quarter = int(at.timestamp() // QUARTER)
            since = until = _NEVER
            if 0 <= quarter < _LAST:
                since = _EPOCH + quarter * _LENGTH
                until = since + _LENGTH
        role = message.role
        who, tokens = _NOBODY, _NO_TOKENS
        if role == "assistant":
            fields = message.fields
            said = fields.get("provider"), fields.get("model")
            who = names.get(said) or names.setdefault(said, _who(said, own))
            if "usage" in fields:
                tokens = tokens_of(fields["usage"])
        if quarter != known or who is not last:  # as few are
            key = (quarter, *who)
            row = counts.get(key) or counts.setdefault(key, [0] * 6)
            known, last = quarter, who
        if active is None or message.id in active:
            row[_PLACES[role]] += 1
        if tokens is not _NO_TOKENS:
            row[4] += tokens[0]
            row[5] += tokens[1]
    return [(*key, *row) for key, row in counts.items() if any(row)]  # type: ignore[misc]


def _who(said: tuple[Any, Any], own: tuple[str | None, str | None]) -> tuple[str, str]:
    provider, model = (name if isinstance(name, str) else "" for name in said)
    if provider in ("", own[0]) and model in ("", own[1]):
        return _NOBODY
    return provider, model


def tokens_of(usage: object) -> tuple[int, int]:
    """Tokens in and out of a ``usage``, whatever is written there: what is no count is 0."""
    if not isinstance(usage, dict):
        return 0, 0
    given, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(given) is int and type(made) is int and 0 < given <= _MOST and 0 < made <= _MOST:
        return given, made
    return _count(given), _count(made)


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST:
        return value
    return 0

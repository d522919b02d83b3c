"""Instants as text: RFC 3339, written in UTC with milliseconds and ``Z``; any offset is read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo


def parse_time(value: object) -> datetime | None:
    """The instant that a text names, in UTC; None when it is unreadable or has no offset."""
    if not isinstance(value, str):
        return None
    try:
        # RFC 3339 allows a lower-case z, which fromisoformat does not know
        instant = datetime.fromisoformat(value[:-1] + "Z" if value.endswith("z") else value)
        if instant.tzinfo is UTC:
            return instant
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_time(instant: datetime) -> str:
    """``2026-11-21T08:05:12.123Z``.

    >>> format_time(datetime(2026, 11, 21, 8, 5, 12, 123456, tzinfo=UTC))
    '2026-11-21T08:05:12.123Z'
    """
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_DAYS = {"d": 1, "w": 7, "m": 30}


def parse_span(text: str) -> timedelta:
    """``24h``, ``7d``, ``2w``, ``3m`` (months of 30 days). Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,6})([hdwm])", text)
    if not found:
        raise ValueError(f"{text!r} is not a span of time such as 24h, 7d, 2w or 3m")
    count, unit = int(found[1]), found[2]
    return timedelta(hours=count) if unit == "h" else timedelta(days=count * _DAYS[unit])


def parse_since(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The instant a ``--since`` names: a span before now, or the start of a local day.

    Raises ValueError, saying what is taken.
    """
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            day = datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007  # the zone follows
            return (day.replace(tzinfo=zone) if zone else day).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(f"there is no day {text}") from None
    try:
        return now - parse_span(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a span of time such as 24h, 7d, 2w or 3m nor a date such as "
            f"2026-11-21"
        ) from None


def local_time(text: str | None, zone: tzinfo | None = None) -> str:
    """An instant as people read it: ``2026-11-21 08:05:12`` in local time; empty for none."""
    at = parse_time(text)
    try:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}" if at else ""
    except OverflowError:  # at an end of the calendar local time may lie beyond it
        return (text or "")[:19].replace("T", " ")

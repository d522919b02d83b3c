"""Session ids, message ids and file names: what we write and what we accept."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""The characters of an id's random part: no ``i l o u``, which are misread."""

_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_OUR_ID = re.compile(r"([0-9]{8}-[0-9]{6})-[0-9a-hjkmnp-tv-z]{6}")
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])")
_NAME_LENGTH = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_session_id(started: datetime, random: int) -> str:
    """``YYYYMMDD-HHMMSS-xxxxxx``: the start in UTC and six characters from 30 random bits."""
    tail = "".join(ALPHABET[(random >> shift) & 31] for shift in range(0, 30, 5))
    return f"{started.astimezone(UTC):%Y%m%d-%H%M%S}-{tail}"


def is_session_id(stem: str) -> bool:
    """May a file of this stem be a session? (Not: is there one.)

    One of our own ids with anything behind it is a copy of that session, never a session.
    """
    if not _SESSION_ID.fullmatch(stem) or _RESERVED.fullmatch(stem):
        return False
    ours = _OUR_ID.match(stem)
    return ours is None or ours.end() == len(stem)


def started_at(session_id: str) -> datetime | None:
    """The start that one of our ids names; None for a hand-given one, or an impossible date."""
    ours = _OUR_ID.fullmatch(session_id)
    if ours is None:
        return None
    try:
        return datetime.strptime(ours[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def uuid7(instant: datetime, random: int) -> str:
    """A UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then 74 of ``random``'s 80 bits."""
    milliseconds = (instant - _EPOCH) // timedelta(milliseconds=1)
    value = (milliseconds & (1 << 48) - 1) << 80 | (random & (1 << 80) - 1)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_message_id(value: object) -> bool:
    """1–200 printable characters without spaces."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= 200
        and value.isprintable()
        and " " not in value
    )


def name_key(name: str) -> str:
    """Two names are the same when their keys are: NFKC, then case folded."""
    return unicodedata.normalize("NFKC", name).casefold()


def clean_name(name: str) -> str | None:
    """The name as it is stored: trimmed, NFC; None when it can't be a name."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(name) <= _NAME_LENGTH or any(unicodedata.category(c) in _BAD for c in name):
        return None
    return name


_BAD = {"Cc", "Cs", "Zl", "Zp"}

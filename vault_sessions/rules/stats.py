"""Numbers about the sessions of a vault, and the shapes they are drawn in. Nothing is printed here.

Days, weeks and months are local ones. Messages are those of the active branch; tokens are all that
were used, whatever branch they were used on, as the servers reported them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

TOP = 5
"""So many of the longest and the most active sessions are named."""

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


class Said(NamedTuple):
    """What was said in a session at a time, and by one provider and model where there are answers.

    ``at`` may stand for the quarter of an hour that it begins; None: nobody knows when. Messages
    of the active branch by their role; tokens of all.
    """

    session_id: str
    at: datetime | None = None
    provider: str | None = None
    model: str | None = None
    user: int = 0
    assistant: int = 0
    tool: int = 0
    system: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Count(NamedTuple):
    """Sessions with at least one message in it, their messages, and tokens in and out."""

    sessions: int = 0
    messages: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Length(NamedTuple):
    """A session, its messages, and the seconds from its start to its last activity."""

    session_id: str
    name: str | None
    topic: str | None
    messages: int
    seconds: int


class Stats(NamedTuple):
    """All numbers. ``by_model``: provider and model, most tokens first; the weeks by their Monday
    and the months (``2026-11``) with anything in them, and the messages of each day, oldest first.
    """

    total: Count
    roles: dict[str, int]
    by_model: list[tuple[str, str, Count]]
    by_week: list[tuple[date, Count]]
    by_month: list[tuple[str, Count]]
    days: dict[date, int]
    longest: list[Length]
    most_active: list[Length]


def count(
    said: Iterable[Said], lengths: Iterable[Length] = (), zone: tzinfo | None = None
) -> Stats:
    """All numbers, from what was said in any order. ``lengths``: those among which the longest and
    the most active sessions are; ``zone`` None: the system's."""
    total = _Tally()
    roles = [0, 0, 0, 0]
    models: dict[tuple[str, str], _Tally] = {}
    weeks: dict[date, _Tally] = {}
    months: dict[str, _Tally] = {}
    days: Counter[date] = Counter()
    places: dict[datetime | None, tuple[date, _Tally, _Tally] | None] = {None: None}
    for each in said:
        session, at, provider, model, *by_role, tokens_in, tokens_out = each
        messages = sum(by_role)
        total.add(session, messages, tokens_in, tokens_out)
        for role, number in enumerate(by_role):
            roles[role] += number
        if by_role[1] or tokens_in or tokens_out:
            who = provider or "unknown", model or "unknown"
            models.setdefault(who, _Tally()).add(session, by_role[1], tokens_in, tokens_out)
        if at not in places:
            day = _day(at, zone) if at is not None else None
            places[at] = None
            if day is not None:
                week = weeks.setdefault(_monday(day), _Tally())
                places[at] = day, week, months.setdefault(f"{day:%Y-%m}", _Tally())
        if place := places[at]:
            days[place[0]] += messages
            place[1].add(session, messages, tokens_in, tokens_out)
            place[2].add(session, messages, tokens_in, tokens_out)
    lengths = list(lengths)
    return Stats(
        total.counted(),
        {role: number for role, number in zip(Said._fields[4:8], roles, strict=True) if number},
        sorted(
            ((*who, tally.counted()) for who, tally in models.items()),
            key=lambda row: (-row[2].tokens_in - row[2].tokens_out, -row[2].messages, row[:2]),
        ),
        [(monday, weeks[monday].counted()) for monday in sorted(weeks)],
        [(month, months[month].counted()) for month in sorted(months)],
        {day: days[day] for day in sorted(days) if days[day]},
        sorted(lengths, key=lambda x: (-x.seconds, -x.messages, x.session_id))[:TOP],
        sorted(lengths, key=lambda x: (-x.messages, -x.seconds, x.session_id))[:TOP],
    )


class _Tally:
    """A Count that grows."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.messages = self.tokens_in = self.tokens_out = 0

    def add(self, session: str, messages: int, tokens_in: int, tokens_out: int) -> None:
        if messages:
            self.sessions.add(session)
            self.messages += messages
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    def counted(self) -> Count:
        return Count(len(self.sessions), self.messages, self.tokens_in, self.tokens_out)


def _day(at: datetime, zone: tzinfo | None) -> date | None:
    try:
        return at.astimezone(zone).date()
    except (OverflowError, ValueError):  # at an end of the calendar
        return None


def _monday(day: date) -> date:
    try:
        return day - day.weekday() * _DAY
    except OverflowError:
        return day


def as_json(stats: Stats) -> dict[str, Any]:
    """The numbers as a JSON document."""
    return {
        **stats.total._asdict(),
        "roles": stats.roles,
        "by_model": [
            {"provider": provider, "model": model, **counted._asdict()}
            for provider, model, counted in stats.by_model
        ],
        "by_week": [
            {"week": monday.isoformat(), **counted._asdict()} for monday, counted in stats.by_week
        ],
        "by_month": [{"month": month, **counted._asdict()} for month, counted in stats.by_month],
        "by_day": {day.isoformat(): messages for day, messages in stats.days.items()},
        "longest": [_length(length) for length in stats.longest],
        "most_active": [_length(length) for length in stats.most_active],
    }


def _length(length: Length) -> dict[str, Any]:
    fields = length._asdict()
    return {"id": fields.pop("session_id"), **fields}


# --- shapes --------------------------------------------------------------------------------------


def recent_weeks(stats: Stats, today: date, weeks: int) -> list[tuple[date, Count]]:
    """The last so many weeks through this one, the empty ones too, oldest first."""
    known = dict(stats.by_week)
    last = _monday(today)
    wanted = [last - n * _WEEK for n in range(weeks - 1, -1, -1)]
    return [(monday, known.get(monday, Count())) for monday in wanted]


def recent_months(stats: Stats, today: date, months: int) -> list[tuple[str, Count]]:
    """The last so many months through this one, the empty ones too, oldest first."""
    known = dict(stats.by_month)
    newest = today.year * 12 + today.month - 1
    wanted = [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(newest - months + 1, newest + 1)]
    return [(month, known.get(month, Count())) for month in wanted]


class Calendar(NamedTuple):
    """A heat map: seven rows, Monday first, a column a week; 0 (nothing) to 4, None after today.

    ``months``: the columns in which a month begins, and its number. ``steps``: from how many
    messages on a day is of level 1, 2, 3, 4.
    """

    rows: list[list[int | None]]
    months: list[tuple[int, int]]
    steps: tuple[int, int, int, int]


def calendar(days: Mapping[date, int], today: date, weeks: int = 53) -> Calendar:
    """The last so many weeks through this one; a level is a quarter of the days with messages."""
    first = _monday(today) - (weeks - 1) * _WEEK
    shown = [[first + column * _WEEK + row * _DAY for column in range(weeks)] for row in range(7)]
    steps = _steps(sorted(days[day] for row in shown for day in row if days.get(day, 0) > 0))
    rows = [
        [_level(days.get(day, 0), steps) if day <= today else None for day in row] for row in shown
    ]
    months = [
        (column, monday.month)
        for column, monday in enumerate(shown[0])
        if column == 0 or monday.month != shown[0][column - 1].month
    ]
    return Calendar(rows, months, steps)


def _steps(counts: Sequence[int]) -> tuple[int, int, int, int]:
    """Where each quarter of the counts begins; each higher than the one before."""
    found = [1]
    for quarter in (1, 2, 3):
        at = counts[len(counts) * quarter // 4] if counts else 0
        found.append(max(at, found[-1] + 1))
    return found[0], found[1], found[2], found[3]


def _level(messages: int, steps: Sequence[int]) -> int:
    return sum(messages >= step for step in steps)


def bar(value: int, most: int, width: int) -> str:
    """A bar in eighths of a character; what is more than nothing is seen.

    >>> bar(5, 8, 4)
    '██▌'
    """
    if value <= 0 or most <= 0 or width <= 0:
        return ""
    eighths = max(1, round(min(value, most) * width * 8 / most))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()

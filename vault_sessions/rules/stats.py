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
    """A message as the numbers need it. ``at`` None: nobody knows when."""

    session_id: str
    role: str
    at: datetime | None = None
    is_active: bool = True
    provider: str | None = None
    model: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0


class Count(NamedTuple):
    """Sessions with at least one message in it, their messages, and tokens in and out."""

    sessions: int = 0
    messages: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Length(NamedTuple):
    """A session, its messages, and the seconds from its first to its last."""

    session_id: str
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


def tokens_of(usage: object) -> tuple[int, int]:
    """Tokens in and out of a ``usage``, whatever is written there: what is no count is 0."""
    fields = usage if isinstance(usage, dict) else {}
    counts = (fields.get("prompt_tokens"), fields.get("completion_tokens"))
    good = [n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else 0 for n in counts]
    return good[0], good[1]


def count(said: Iterable[Said], zone: tzinfo | None = None) -> Stats:
    """The numbers of all messages, in any order. ``zone`` None: the system's."""
    total = _Tally()
    roles: Counter[str] = Counter()
    models: dict[tuple[str, str], _Tally] = {}
    weeks: dict[date, _Tally] = {}
    months: dict[str, _Tally] = {}
    days: Counter[date] = Counter()
    spans: dict[str, _Span] = {}
    for each in said:
        total.add(each)
        if each.is_active:
            roles[each.role] += 1
            spans.setdefault(each.session_id, _Span()).add(each.at)
        if each.role == "assistant":
            who = each.provider or "unknown", each.model or "unknown"
            models.setdefault(who, _Tally()).add(each)
        day = _day(each.at, zone)
        if day is not None:
            weeks.setdefault(_monday(day), _Tally()).add(each)
            months.setdefault(f"{day:%Y-%m}", _Tally()).add(each)
            days[day] += each.is_active
    lengths = [Length(name, span.messages, span.seconds()) for name, span in spans.items()]
    return Stats(
        total.counted(),
        dict(roles),
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

    def add(self, said: Said) -> None:
        if said.is_active:
            self.sessions.add(said.session_id)
            self.messages += 1
        self.tokens_in += said.tokens_in
        self.tokens_out += said.tokens_out

    def counted(self) -> Count:
        return Count(len(self.sessions), self.messages, self.tokens_in, self.tokens_out)


class _Span:
    """A session's messages, and the first and the last of their times."""

    def __init__(self) -> None:
        self.messages = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, at: datetime | None) -> None:
        self.messages += 1
        if at is not None:
            self.first = at if self.first is None else min(self.first, at)
            self.last = at if self.last is None else max(self.last, at)

    def seconds(self) -> int:
        if self.first is None or self.last is None:
            return 0
        return int((self.last - self.first).total_seconds())


def _day(at: datetime | None, zone: tzinfo | None) -> date | None:
    try:
        return at.astimezone(zone).date() if at is not None else None
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
        "longest": [length._asdict() for length in stats.longest],
        "most_active": [length._asdict() for length in stats.most_active],
    }


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

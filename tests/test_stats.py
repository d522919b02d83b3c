"""Numbers about sessions: counted by model, week and month, and drawn to scale."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_sessions.formats.times import parse_time
from vault_sessions.rules.stats import (
    Count,
    Length,
    Said,
    as_json,
    bar,
    calendar,
    count,
    recent_months,
    recent_weeks,
    tokens_of,
)

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TODAY = date(2026, 11, 21)


def asked(session: str = "s", at: datetime | None = MONDAY, **fields: Any) -> Said:
    return Said(session, "user", at, **fields)


def answered(
    session: str = "s", at: datetime | None = MONDAY, tokens: tuple[int, int] = (0, 0), **f: Any
) -> Said:
    return Said(session, "assistant", at, tokens_in=tokens[0], tokens_out=tokens[1], **f)


def test_an_empty_vault_has_numbers_too() -> None:
    stats = count([], UTC)
    assert stats.total == Count()
    assert as_json(stats)["by_model"] == []
    assert calendar(stats.days, TODAY).rows[0][0] == 0


def test_tokens_are_counted_by_provider_and_model_most_first() -> None:
    stats = count(
        [
            asked(),
            answered(tokens=(10, 5), provider="ollama", model="small"),
            answered("t", tokens=(100, 50), provider="openai", model="large"),
            answered("t", tokens=(1, 1), provider="openai", model="large"),
            answered("u"),
        ],
        UTC,
    )
    assert stats.total == Count(3, 5, 111, 56)
    assert stats.roles == {"user": 1, "assistant": 4}
    assert stats.by_model == [
        ("openai", "large", Count(1, 2, 101, 51)),
        ("ollama", "small", Count(1, 1, 10, 5)),
        ("unknown", "unknown", Count(1, 1, 0, 0)),
    ]


def test_what_was_said_on_another_branch_counts_by_its_tokens_only() -> None:
    stats = count([asked(), answered(tokens=(7, 3), is_active=False)], UTC)
    assert stats.total == Count(1, 1, 7, 3)
    assert stats.days == {MONDAY.date(): 1}


def test_days_weeks_and_months_are_local() -> None:
    """Sunday, 31 May, late in the evening in Denver is Monday, 1 June, in UTC."""
    late = datetime(2026, 6, 1, 4, tzinfo=UTC)
    assert [week for week, _ in count([asked(at=late)], UTC).by_week] == [date(2026, 6, 1)]
    there = count([asked(at=late)], ZoneInfo("America/Denver"))
    assert list(there.days) == [date(2026, 5, 31)]
    assert [week for week, _ in there.by_week] == [date(2026, 5, 25)]
    assert [month for month, _ in there.by_month] == ["2026-05"]


def test_a_message_without_a_time_counts_but_on_no_day() -> None:
    stats = count([asked(at=None)], UTC)
    assert (stats.total.messages, stats.by_week, stats.days) == (1, [], {})


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar_are_no_obstacle(at: str, zone: str) -> None:
    stats = count([asked(at=parse_time(at))], ZoneInfo(zone))
    assert stats.total.messages == 1


def test_the_longest_and_the_most_active_sessions() -> None:
    said = [asked("long", MONDAY), asked("long", MONDAY + 600 * MINUTE)]
    said += [asked("busy", MONDAY + n * MINUTE) for n in range(9)]
    said += [asked(f"small{n}") for n in range(9)]
    stats = count(said, UTC)
    assert stats.longest[:2] == [Length("long", 2, 36_000), Length("busy", 9, 480)]
    assert stats.most_active[0] == Length("busy", 9, 480)
    assert len(stats.longest) == len(stats.most_active) == 5


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, (5, 2)),
        ({"prompt_tokens": 5}, (5, 0)),
        ({"prompt_tokens": "5", "completion_tokens": None}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": -3}, (0, 0)),
        (None, (0, 0)),
        ([], (0, 0)),
    ],
)
def test_a_usage_that_is_none_counts_nothing(usage: object, tokens: tuple[int, int]) -> None:
    assert tokens_of(usage) == tokens


def test_the_recent_weeks_and_months_have_no_gaps() -> None:
    stats = count([asked(), asked(at=MONDAY - timedelta(days=21))], UTC)
    assert [(str(week), counted.messages) for week, counted in recent_weeks(stats, TODAY, 5)] == [
        ("2026-10-19", 0),
        ("2026-10-26", 1),
        ("2026-11-02", 0),
        ("2026-11-09", 0),
        ("2026-11-16", 1),
    ]
    january = recent_months(stats, date(2027, 1, 31), 4)
    assert [(month, counted.messages) for month, counted in january] == [
        ("2026-10", 1),
        ("2026-11", 1),
        ("2026-12", 0),
        ("2027-01", 0),
    ]


def test_the_calendar_ends_today() -> None:
    """The 21st is a Saturday: the Sunday below it has no square."""
    drawn = calendar({TODAY: 3, TODAY - timedelta(days=7): 1}, TODAY, 4)
    assert [len(row) for row in drawn.rows] == [4] * 7
    assert drawn.rows[5] == [0, 0, 1, 3]
    assert drawn.rows[6] == [0, 0, 0, None]
    assert drawn.months == [(0, 10), (1, 11)]


def test_the_levels_of_the_calendar_are_quarters() -> None:
    days = {TODAY - timedelta(days=n): n + 1 for n in range(100)}
    drawn = calendar(days, TODAY)
    assert drawn.steps == (1, 26, 51, 76)
    levels = [level for row in drawn.rows for level in row]
    assert [levels.count(level) for level in (1, 2, 3, 4)] == [25, 25, 25, 25]


@pytest.mark.parametrize(
    ("value", "drawn"),
    [
        (0, ""),
        (1, "▏"),
        (40, "██"),
        (80, "████"),
        (50, "██▌"),
        (79, "████"),
        (999, "████"),
        (-1, ""),
    ],
)
def test_a_bar_is_to_scale_and_never_empty_for_something(value: int, drawn: str) -> None:
    assert bar(value, 80, 4) == drawn
    assert bar(value, 0, 4) == bar(value, 80, 0) == ""


times = st.none() | st.datetimes(timezones=st.just(UTC))
messages = st.builds(
    Said,
    st.sampled_from("abc"),
    st.sampled_from(["user", "assistant", "tool", "system"]),
    times,
    st.booleans(),
    st.sampled_from([None, "p", "q"]),
    st.sampled_from([None, "m"]),
    st.integers(0, 99),
    st.integers(0, 99),
)


@given(st.lists(messages))
def test_the_parts_add_up_to_the_whole(said: list[Said]) -> None:
    stats = count(said, UTC)
    assert sum(stats.roles.values()) == stats.total.messages == sum(m.is_active for m in said)
    dated = [each for each in said if each.at is not None]
    for parts in (stats.by_week, stats.by_month):
        assert sum(counted.tokens_in for _, counted in parts) == sum(m.tokens_in for m in dated)
        assert sum(counted.messages for _, counted in parts) == sum(stats.days.values())
    assert sum(n.messages for *_, n in stats.by_model) == stats.roles.get("assistant", 0)
    assert stats == count(reversed(said), UTC)._replace(roles=stats.roles)
    orjson.dumps(as_json(stats))


@given(st.dictionaries(st.dates(), st.integers(1, 10**9)), st.dates(date(1950, 1, 1)))
def test_a_day_with_more_messages_is_never_of_a_lower_level(
    days: dict[date, int], today: date
) -> None:
    steps = calendar(days, today).steps
    assert list(steps) == sorted(set(steps))

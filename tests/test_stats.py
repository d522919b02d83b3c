"""Numbers about sessions: counted by model, week and month, and drawn to scale."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from home import Home, make_home, message, write_session
from hypothesis import given
from hypothesis import strategies as st

from vault_sessions.formats.display import width
from vault_sessions.formats.times import parse_time
from vault_sessions.formats.transcript import parse
from vault_sessions.formats.usage import UsageRow, count_usage, tokens_of
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
)
from vault_sessions.workspace import Workspace

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TODAY = date(2026, 11, 21)


def asked(session: str = "s", at: datetime | None = MONDAY, user: int = 1) -> Said:
    return Said(session, at, user=user)


def answered(
    session: str = "s", at: datetime | None = MONDAY, tokens: tuple[int, int] = (0, 0), **f: Any
) -> Said:
    return Said(session, at, tokens_in=tokens[0], tokens_out=tokens[1], **{"assistant": 1, **f})


def test_an_empty_vault_has_numbers_too() -> None:
    stats = count([], zone=UTC)
    assert stats.total == Count()
    assert as_json(stats)["by_model"] == []
    assert calendar(stats.days, TODAY).rows[0][0] == 0


def test_tokens_are_counted_by_provider_and_model_most_first() -> None:
    stats = count(
        [
            asked(),
            answered(tokens=(10, 5), provider="ollama", model="small"),
            answered("t", tokens=(101, 51), provider="openai", model="large", assistant=2),
            answered("u"),
        ],
        zone=UTC,
    )
    assert stats.total == Count(3, 5, 111, 56)
    assert stats.roles == {"user": 1, "assistant": 4}
    assert stats.by_model == [
        ("openai", "large", Count(1, 2, 101, 51)),
        ("ollama", "small", Count(1, 1, 10, 5)),
        ("unknown", "unknown", Count(1, 1, 0, 0)),
    ]


def test_what_was_said_on_another_branch_counts_by_its_tokens_only() -> None:
    stats = count([asked(), answered("t", tokens=(7, 3), assistant=0)], zone=UTC)
    assert stats.total == Count(1, 1, 7, 3)
    assert stats.days == {MONDAY.date(): 1}


def test_days_weeks_and_months_are_local() -> None:
    """Sunday, 31 May, late in the evening in Denver is Monday, 1 June, in UTC."""
    late = datetime(2026, 6, 1, 4, tzinfo=UTC)
    assert [week for week, _ in count([asked(at=late)], zone=UTC).by_week] == [date(2026, 6, 1)]
    there = count([asked(at=late)], zone=ZoneInfo("America/Denver"))
    assert list(there.days) == [date(2026, 5, 31)]
    assert [week for week, _ in there.by_week] == [date(2026, 5, 25)]
    assert [month for month, _ in there.by_month] == ["2026-05"]


def test_a_message_without_a_time_counts_but_on_no_day() -> None:
    stats = count([asked(at=None)], zone=UTC)
    assert (stats.total.messages, stats.by_week, stats.days) == (1, [], {})


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar_are_no_obstacle(at: str, zone: str) -> None:
    stats = count([asked(at=parse_time(at))], zone=ZoneInfo(zone))
    assert stats.total.messages == 1


def test_the_longest_and_the_most_active_sessions() -> None:
    long, busy = Length("l", "long", None, 2, 36_000), Length("b", None, "busy", 9, 480)
    small = [Length(f"s{n}", None, None, 1, 0) for n in range(9)]
    stats = count([], [*small, busy, long])
    assert stats.longest[:2] == [long, busy]
    assert stats.most_active[:2] == [busy, long]
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
    stats = count([asked(), asked(at=MONDAY - timedelta(days=21))], zone=UTC)
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
few = st.integers(0, 3)
messages = st.builds(
    Said,
    st.sampled_from("abc"),
    times,
    st.sampled_from([None, "p", "q"]),
    st.sampled_from([None, "m"]),
    few,
    few,
    few,
    few,
    st.integers(0, 99),
    st.integers(0, 99),
)


@given(st.lists(messages))
def test_the_parts_add_up_to_the_whole(said: list[Said]) -> None:
    stats = count(said, zone=UTC)
    assert sum(stats.roles.values()) == stats.total.messages
    assert stats.total.messages == sum(m.user + m.assistant + m.tool + m.system for m in said)
    dated = [each for each in said if each.at is not None]
    for parts in (stats.by_week, stats.by_month):
        assert sum(counted.tokens_in for _, counted in parts) == sum(m.tokens_in for m in dated)
        assert sum(counted.messages for _, counted in parts) == sum(stats.days.values())
    assert sum(n.messages for *_, n in stats.by_model) == stats.roles.get("assistant", 0)
    assert sum(n.tokens_out for *_, n in stats.by_model) == stats.total.tokens_out
    assert stats == count(reversed(said), zone=UTC)
    orjson.dumps(as_json(stats))


@given(st.dictionaries(st.dates(), st.integers(1, 10**9)), st.dates(date(1950, 1, 1)))
def test_a_day_with_more_messages_is_never_of_a_lower_level(
    days: dict[date, int], today: date
) -> None:
    steps = calendar(days, today).steps
    assert list(steps) == sorted(set(steps))


# --- the numbers in the mirror -------------------------------------------------------------------


def spoken(*lines: dict[str, Any], active: set[str] | None = None) -> list[UsageRow]:
    """The rows of a transcript whose session has the provider p and the model m."""
    data = b"".join(orjson.dumps({"role": "assistant", **line}) + b"\n" for line in lines)
    return count_usage(parse(data).messages, active, ("p", "m"))


def test_what_is_said_in_a_quarter_of_an_hour_is_one_row() -> None:
    rows = spoken(
        {"role": "user", "created_at": "2026-11-21T08:14:59Z"},
        {"created_at": "2026-11-21T08:00:00Z", "usage": {"prompt_tokens": 5}},
        {"created_at": "2026-11-21T10:14:59+02:00", "usage": {"completion_tokens": 2}},
        {"created_at": "2026-11-21T08:15:00Z"},
        {"role": "system"},
    )
    at = int(datetime(2026, 11, 21, 8, tzinfo=UTC).timestamp()) // 900
    assert rows == [
        (at, "", "", 1, 2, 0, 0, 5, 2),
        (at + 1, "", "", 0, 1, 0, 0, 0, 0),
        (0, "", "", 0, 0, 0, 1, 0, 0),
    ]


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        ({}, ("", "")),
        ({"provider": "p", "model": "m"}, ("", "")),
        ({"model": "m"}, ("", "")),
        ({"provider": 7, "model": None}, ("", "")),
        ({"provider": "p", "model": "other"}, ("p", "other")),
        ({"model": "other"}, ("", "other")),
        ({"provider": "q"}, ("q", "")),
    ],
)
def test_an_answer_is_of_its_sessions_model_unless_it_names_another(
    said: dict[str, Any], stands: tuple[str, str]
) -> None:
    assert spoken(said)[0][1:3] == stands


def test_another_branch_has_its_tokens_and_no_row_without_any() -> None:
    lines: list[dict[str, Any]]
    lines = [{"id": "1"}, {"id": "2", "usage": {"prompt_tokens": 9}}, {"id": "3", "model": "x"}]
    assert spoken(*lines, active={"1"}) == [(0, "", "", 0, 1, 0, 0, 9, 0)]


def test_a_count_that_the_mirror_could_not_hold_is_none() -> None:
    """2**64 - 1 is the largest whole number that JSON readers give."""
    assert tokens_of({"prompt_tokens": 2**64 - 1, "completion_tokens": 10**12}) == (0, 10**12)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two sessions: one about Denver with two models and two branches, one without any tokens."""
    home = make_home(tmp_path)

    def said(id: str, at: str, role: str = "assistant", **fields: Any) -> bytes:
        return message("Denver", role, id=id, created_at=f"{at}:00Z", **fields)

    large = {"provider": "openai", "model": "large"}
    write_session(
        home,
        "20260531-200000-aaaaaa",
        said("1", "2026-05-31T20:00", "user"),
        said("2", "2026-05-31T20:01", **large, usage=usage(100, 10)),
        said("3", "2026-06-01T04:00", "user"),
        said("4", "2026-06-01T04:01", provider="ollama", model="small", usage=usage(3, 2)),
        said("5", "2026-06-01T04:30", **large, parent_id="3", usage=usage(200, 20)),
        name="denver",
        topic="デンバーへの引っ越し",
    )
    write_session(
        home, "20261120-090000-bbbbbb", *(said(str(n), "2026-11-20T09:00", "user") for n in "678")
    )
    return home


def usage(tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}


def test_the_numbers_as_json(home: Home) -> None:
    """The keys are a contract."""
    assert home.json("stats", TZ="America/Denver") == {
        "sessions": 2,
        "messages": 7,
        "tokens_in": 303,
        "tokens_out": 32,
        "roles": {"user": 5, "assistant": 2},
        "by_model": [
            {"provider": "openai", "model": "large", **numbers(1, 2, 300, 30)},
            {"provider": "ollama", "model": "small", **numbers(0, 0, 3, 2)},
        ],
        "by_week": [
            {"week": "2026-05-25", **numbers(1, 4, 303, 32)},
            {"week": "2026-11-16", **numbers(1, 3, 0, 0)},
        ],
        "by_month": [
            {"month": "2026-05", **numbers(1, 4, 303, 32)},
            {"month": "2026-11", **numbers(1, 3, 0, 0)},
        ],
        "by_day": {"2026-05-31": 4, "2026-11-20": 3},
        "longest": [DENVER, OTHER],
        "most_active": [DENVER, OTHER],
    }
    months = home.json("stats", TZ="UTC")["by_month"]
    assert [(one["month"], one["messages"]) for one in months[:2]] == [
        ("2026-05", 2),
        ("2026-06", 2),
    ]


def numbers(sessions: int, messages: int, tokens_in: int, tokens_out: int) -> dict[str, int]:
    return Count(sessions, messages, tokens_in, tokens_out)._asdict()


DENVER = {
    "id": "20260531-200000-aaaaaa",
    "name": "denver",
    "topic": "デンバーへの引っ越し",
    "messages": 4,
    "seconds": 30_600,
}
OTHER = {
    "id": "20261120-090000-bbbbbb",
    "name": None,
    "topic": None,
    "messages": 3,
    "seconds": 0,
}


def test_piped_it_is_plain_text_without_drawings(home: Home) -> None:
    text = home.output("stats")
    assert text.startswith("sessions  2\nmessages  7\ntokens in  303\ntokens out  32\n\nBy model\n")
    assert "denver                  デンバーへの引っ越し  8 h 30 min         4\n" in text
    assert not set("\x1b█░") & set(text)


def test_an_empty_vault(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    assert home.output("stats") == "sessions  0\nmessages  0\n"
    assert "Nothing was said yet" in home.screen("stats").text
    assert home.json("stats")["sessions"] == 0


def recently(home: Home) -> None:
    """Messages of today, so that there is something to draw."""
    at = datetime.now(UTC).isoformat()
    large = {"provider": "openai", "model": "large" * 9, "usage": usage(1_000_000, 20)}
    lines = [message(f"{n}", "assistant", id=f"n{n}", created_at=at, **large) for n in range(9)]
    write_session(home, "now", *lines, name="今日" * 20)
    home.output("list")  # what is said of a new mirror is not what is looked at


@pytest.mark.parametrize("columns", [1, 2, 4, 5, 12, 20, 33, 57, 80, 109, 110, 200])
def test_on_a_terminal_nothing_is_wider_than_it(home: Home, columns: int) -> None:
    recently(home)
    shown = home.screen("stats", columns=columns, NO_COLOR="1")
    assert shown.code == 0
    lines = shown.text.replace("\r", "").split("\n")
    assert max(map(width, lines)) <= columns or columns < 2


def test_on_a_terminal_it_is_drawn(home: Home) -> None:
    recently(home)
    shown = home.screen("stats", columns=120)
    text = re.sub("\x1b\\[[0-9;]*m", "", shown.text)
    assert "3 sessions · 16 messages · 9,000,303 tokens in · 212 tokens out" in text
    assert "Messages a day" in text
    assert "█" * 5 in text
    assert "\x1b[32m" in shown.text


def test_without_colour_it_is_the_same_picture(home: Home) -> None:
    recently(home)
    plain = home.screen("stats", NO_COLOR="1").text
    assert not re.search("\x1b\\[[0-9;]*[34][0-9]", plain)
    bare = [re.sub("\x1b\\[[0-9;]*m", "", text) for text in (plain, home.screen("stats").text)]
    assert bare[0] == bare[1]


def test_a_terminal_without_utf_8_gets_ascii_bars(home: Home) -> None:
    recently(home)
    shown = home.screen("stats", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert shown.code == 0
    assert "#####" in shown.text
    assert "█" not in shown.text
    assert "\\u2588" not in shown.text


def test_a_name_can_not_control_the_terminal(home: Home) -> None:
    at = datetime.now(UTC).isoformat()
    evil = "\x1b]0;owned\x07[red]x[/red]\n"
    line = message("hi", "assistant", id="e", created_at=at, provider=evil, model=evil)
    write_session(home, "evil", line, name="x", topic=evil)
    for shown in (home.screen("stats", NO_COLOR="1").text, home.output("stats")):
        assert "\x1b]" not in shown
        assert "[red]x[/red]" in shown


def test_a_turn_is_in_the_numbers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And they are what a new mirror would say."""
    home = make_home(tmp_path)
    for name in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{name}", home.environment[f"VAULT_SESSIONS_{name}"])
    with Workspace.open(home.vault, environment={}) as workspace:
        for _ in range(3):
            workspace.chat.take_turn("hello")
        now = workspace.stats()
        assert now.roles == {"user": 3, "assistant": 3}
        assert now.by_model[0][0] == "offline"
        workspace.reindex()
        assert workspace.stats() == now

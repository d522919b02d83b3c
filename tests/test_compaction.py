"""When a conversation is summarized and how much of it: the arithmetic, as a table and as laws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vault_sessions.formats.transcript import active_branch, parse, tool_call_ids
from vault_sessions.model import Message
from vault_sessions.rules.compaction import (
    CompactRules,
    Plan,
    due_by_messages,
    due_by_tokens,
    overflowing,
    plan,
    plan_half,
    plan_now,
    too_often,
    whole_turn_ends,
)
from vault_sessions.rules.context import message_tokens, turn_starts

ROLES = {"u": "user", "a": "assistant", "c": "assistant", "t": "tool", "s": "system"}


def chat(letters: str, text: str = "word") -> list[Message]:
    """A branch: u user, a assistant, s system, c a call, t the result of the newest call."""
    lines = []
    call = 0
    for number, letter in enumerate(letters):
        line: dict[str, Any] = {"role": ROLES[letter], "content": text, "id": f"m{number}"}
        if letter == "c":
            call = number
            function = {"name": "look", "arguments": "{}"}
            line["tool_calls"] = [{"id": f"c{call}", "type": "function", "function": function}]
        if letter == "t":
            line["tool_call_id"] = f"c{call}"
        lines.append(orjson.dumps(line))
    return active_branch(parse(b"\n".join(lines)).messages)


def plain(n: int, first: str = "u") -> str:
    """A plain chat of n messages."""
    return (("ua" if first == "u" else "au") * n)[:n]


def folded(letters: str, **rules: Any) -> int:
    return plan(chat(letters), CompactRules(**rules)).k


# --- the table of the policy ---------------------------------------------------------------------


def test_37_messages_are_not_due() -> None:
    decision = plan(chat(plain(37)), CompactRules())
    assert decision == Plan(0, 37, None, "37 messages, a summary is due at 38")


@pytest.mark.parametrize(
    ("letters", "rules", "k"),
    [
        pytest.param(plain(38), {}, 14, id="38"),
        pytest.param(plain(50), {}, 20, id="50"),
        pytest.param(plain(50, "a"), {}, 19, id="50, assistant first"),
        pytest.param(plain(200), {}, 150, id="200 imported"),
        pytest.param(("ucta" * 10)[:38], {}, 12, id="38 as u t a t a"),
        pytest.param(("ua" + "ct" * 14) * 2, {}, 30, id="60 in two agent turns"),
        pytest.param("ua" + "ct" * 19, {}, 0, id="40 in one agent turn"),
        pytest.param(plain(11), {"max_history_messages": 10}, 0, id="11 of 10, keep 10"),
        pytest.param(
            plain(25),
            {"max_history_messages": 30, "compact_ratio": "0.8", "preserve_recent": 20},
            4,
            id="25 of 30, ratio 0.8, keep 20",
        ),
        pytest.param(plain(38), {"compact_ratio": "1.0", "preserve_recent": 0}, 36, id="ratio 1.0"),
    ],
)
def test_the_cases_of_the_policy(letters: str, rules: dict[str, Any], k: int) -> None:
    assert folded(letters, **rules) == k


def test_the_decision_says_why() -> None:
    assert plan(chat(plain(38)), CompactRules()) == Plan(
        14, 38, "messages", "38 messages, 38 make a summary due; the first 14 are folded in"
    )
    decision = plan(chat(plain(11)), CompactRules(10))
    assert decision.due_by == "messages"
    assert decision.reason == (
        "11 messages, 8 make a summary due; "
        "but there is no whole turn to fold in that leaves the newest 10"
    )


def test_switched_off_nothing_is_due() -> None:
    decision = plan(chat(plain(500)), CompactRules(enabled=False))
    assert (decision.k, decision.due_by) == (0, None)
    assert "ai.sessions.auto_compact.enabled" in decision.reason


# --- exact decimals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "threshold", "due_at"),
    [
        (50, "0.75", 38),
        (100, "0.29", 29),  # 28.999999999999996 in binary
        (100, "0.55", 55),  # 55.00000000000001
        (10, "0.7", 7),
        (4, "1", 4),
        (4, "1.", 4),
        (4, "1.000", 4),
        (50, ".5", 25),
        (50, "0", 0),
        (999_999_999, "0.1", 100_000_000),
        (10, "0.7" + "0" * 80 + "1", 8),
    ],
)
def test_the_threshold_is_exact(limit: int, threshold: str, due_at: int) -> None:
    rules = CompactRules(limit, trigger_threshold=threshold)
    assert due_by_messages(max(due_at, 1), rules) == (True, due_at)
    if due_at > 1:
        assert due_by_messages(due_at - 1, rules) == (False, due_at)


def test_the_ratio_is_exact() -> None:
    """0.58 × 100 is 57.99999999999999 in binary: a turn fewer would be folded in."""
    assert folded(plain(100), max_history_messages=100, compact_ratio="0.58") == 58


def test_an_empty_conversation_is_never_due() -> None:
    assert plan([], CompactRules(trigger_threshold="0")).due_by is None


# --- turns and tool pairs ------------------------------------------------------------------------


def test_questions_in_a_row_are_one_turn() -> None:
    assert whole_turn_ends(chat("uuauua")) == [3]


def test_system_lines_before_a_turn_go_with_it() -> None:
    assert whole_turn_ends(chat("suassua")) == [3]


def test_a_call_and_its_result_stay_together_although_the_owner_spoke_between() -> None:
    assert whole_turn_ends(chat("ucuta" + "ua")) == [5]


def test_a_call_without_a_result_holds_nothing_back() -> None:
    assert whole_turn_ends(chat("ucua")) == [2]


def test_a_result_without_its_call_holds_nothing_back() -> None:
    assert whole_turn_ends(chat("utua")) == [2]


def test_an_id_that_comes_again_belongs_to_the_newest_call() -> None:
    """Some models begin with call_0 in every turn; the first one here was never answered."""
    function = {"name": "look", "arguments": "{}"}
    call = {"role": "assistant", "tool_calls": [{"id": "call_0", "function": function}]}
    result = {"role": "tool", "tool_call_id": "call_0", "content": "x"}
    user = {"role": "user", "content": "x"}
    lines = [user, call, user, call, result]
    branch = active_branch(parse(b"\n".join(map(orjson.dumps, lines))).messages)
    assert whole_turn_ends(branch) == [2]


def test_one_message_with_two_calls_reaches_to_its_last_result() -> None:
    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": name, "function": function} for name in ("x", "y")]
    lines = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "y", "content": "1"},
        {"role": "user", "content": "and?"},
        {"role": "tool", "tool_call_id": "x", "content": "2"},
        {"role": "user", "content": "?"},
    ]
    branch = active_branch(parse(b"\n".join(map(orjson.dumps, lines))).messages)
    assert whole_turn_ends(branch) == [5]


# --- by tokens -----------------------------------------------------------------------------------

BY_TOKENS = CompactRules(0, 8_000)


def test_tokens_alone_make_it_due() -> None:
    assert due_by_tokens(5_999, BY_TOKENS) == (False, 6_000)
    assert due_by_tokens(6_000, BY_TOKENS) == (True, 6_000)
    assert due_by_tokens(10**9, CompactRules()) == (False, None)


def test_without_a_limit_of_messages_no_number_of_them_is_due() -> None:
    decision = plan(chat(plain(5_000)), CompactRules(0))
    assert (decision.k, decision.due_by) == (0, None)
    assert decision.reason == "there is no limit of messages or tokens"


def test_by_tokens_the_newest_messages_give_way() -> None:
    """Six messages, fewer than are to be preserved, but long ones."""
    decision = plan(chat(plain(6), "x" * 4_000), BY_TOKENS)
    assert (decision.k, decision.due_by) == (2, "tokens")
    assert (
        decision.reason == "about 6000 tokens, 6000 make a summary due; the first 2 are folded in"
    )


def test_by_tokens_as_much_is_folded_in_as_it_takes_for_the_rest_to_fit() -> None:
    assert plan(chat(plain(12), "x" * 4_000), BY_TOKENS).k == 4
    assert plan(chat(plain(12), "x" * 8_000), BY_TOKENS).k == 8


def test_by_tokens_the_last_turn_stays_however_long_it_is() -> None:
    assert plan(chat(plain(12), "x" * 400_000), BY_TOKENS).k == 10
    decision = plan(chat("ua", "x" * 400_000), BY_TOKENS)
    assert decision.k == 0
    assert decision.reason.endswith("but there is no whole turn to fold in")


def test_by_tokens_the_part_is_the_same_and_no_number_of_messages_is_preserved() -> None:
    """Twenty messages of 300 tokens, all to be preserved: 40% of them."""
    long = chat(plain(20), "x" * 1_200)
    assert plan(long, BY_TOKENS._replace(preserve_recent=20)).k == 8


def test_tool_calls_count_as_tokens_too() -> None:
    heavy = {"name": "write", "arguments": json.dumps({"text": "x" * 40_000})}
    lines = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": heavy}]},
        {"role": "tool", "tool_call_id": "1", "content": "ok"},
        {"role": "user", "content": "!"},
    ]
    branch = active_branch(parse(b"\n".join(map(orjson.dumps, lines))).messages)
    assert plan(branch, BY_TOKENS).k == 3


# --- a summary at every turn ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "every"),
    [
        (CompactRules(), None),
        (CompactRules(10), 2),
        (CompactRules(30, None, "0.75", "0.8", 20), 4),
        (CompactRules(50, None, "0.75", "0"), 2),
        (CompactRules(50, None, "0.1"), 2),
        (CompactRules(50, None, "0.5", "0.4", 10), None),
        (CompactRules(0, 8_000), None),
        (CompactRules(10, enabled=False), None),
        (CompactRules(999_999_999), None),
    ],
)
def test_settings_that_summarize_at_nearly_every_turn_are_warned_of(
    rules: CompactRules, every: int | None
) -> None:
    warning = too_often(rules)
    assert (warning is None) == (every is None)
    assert every is None or f"after every {every} messages" in str(warning)


@given(st.integers(4, 60), st.integers(0, 60), st.integers(0, 20), st.integers(0, 20))
def test_the_warning_agrees_with_a_chat_that_is_played(
    limit: int, keep: int, threshold: int, ratio: int
) -> None:
    """Once summaries come, how many messages is it from one to the next?"""
    rules = CompactRules(limit, None, str(threshold / 20), str(ratio / 20), keep)
    n, steps = 0, 0
    said: list[int] = []
    while len(said) < 4:
        n += 2
        steps += 2
        if k := plan(chat(plain(n)), rules).k:
            n -= k
            said.append(steps)
            steps = 0
    assert (too_often(rules) is not None) == (said[-1] <= 4)


# --- laws ----------------------------------------------------------------------------------------

letters = st.text("uactsu", max_size=40)
ratios = st.integers(0, 100).map(lambda percent: str(Fraction(percent, 100).__float__()))
some_rules = st.builds(
    CompactRules,
    st.one_of(st.just(0), st.integers(4, 60)),
    st.one_of(st.none(), st.integers(1, 120)),
    ratios,
    ratios,
    st.integers(0, 40),
)


def _is_torn(branch: Sequence[Message], k: int) -> bool:
    """Does a call before k have its result behind it? (In these chats no id comes twice.)"""
    before = {call for message in branch[:k] for call in tool_call_ids(message)}
    answered = {m.fields.get("tool_call_id") for m in branch[:k] if m.role == "tool"}
    later = {m.fields.get("tool_call_id") for m in branch[k:] if m.role == "tool"}
    return bool((before - answered) & later)


@given(letters, some_rules)
@example("ucuta" * 10, CompactRules(10))
def test_no_turn_and_no_tool_pair_is_ever_split(said: str, rules: CompactRules) -> None:
    branch = chat(said)
    k = plan(branch, rules).k
    assert k == 0 or k in turn_starts(branch)
    assert not _is_torn(branch, k)


@given(letters, some_rules)
def test_the_newest_messages_are_preserved_unless_tokens_ask_for_them(
    said: str, rules: CompactRules
) -> None:
    decision = plan(chat(said), rules)
    if decision.k and decision.due_by == "messages":
        assert decision.k <= decision.n - rules.preserve_recent
    if decision.k:
        assert decision.k <= turn_starts(chat(said))[-1]


@given(letters, some_rules)
def test_what_is_left_fits_the_limit_of_tokens_or_is_one_turn(
    said: str, rules: CompactRules
) -> None:
    branch = chat(said)
    decision = plan(branch, rules)
    if decision.due_by == "tokens" and decision.k:
        left = sum(map(message_tokens, branch[decision.k :]))
        last = whole_turn_ends(branch)[-1]
        assert left <= (rules.max_history_tokens or 0) or decision.k == last


@given(st.integers(1, 90), some_rules)
def test_a_longer_plain_chat_folds_in_no_less(n: int, rules: CompactRules) -> None:
    by_messages = rules._replace(max_history_tokens=None)
    assert folded(plain(n + 2), **by_messages._asdict()) >= folded(
        plain(n), **by_messages._asdict()
    )


@given(st.integers(1, 90), some_rules, st.integers(0, 5))
def test_to_preserve_more_folds_in_no_more(n: int, rules: CompactRules, more: int) -> None:
    less = folded(plain(n), **rules._asdict())
    kept = rules._replace(preserve_recent=rules.preserve_recent + more)
    assert folded(plain(n), **kept._asdict()) <= less


@given(letters, some_rules)
def test_nothing_is_folded_in_before_it_is_due(said: str, rules: CompactRules) -> None:
    decision = plan(chat(said), rules._replace(enabled=True))
    due = due_by_messages(decision.n, rules)[0]
    heavy = sum(map(message_tokens, chat(said)))
    assert (decision.due_by is not None) == (due or due_by_tokens(heavy, rules)[0])
    assert decision.due_by is not None or decision.k == 0


# --- when it is not due but done -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "rules", "k"),
    [
        (plain(50), {}, 40),
        (plain(12), {}, 2),
        (plain(10), {}, 8),  # nothing is left by the newest ten: all but the last turn
        (plain(3), {}, 2),
        (plain(2), {}, 0),
        ("", {}, 0),
        (plain(30), {"preserve_recent": 0}, 28),
        ("ucta" + plain(20), {"preserve_recent": 19}, 4),
        (plain(50), {"enabled": False}, 40),
    ],
)
def test_what_is_folded_in_when_the_owner_asks(letters: str, rules: dict[str, Any], k: int) -> None:
    """All whole turns but the newest messages, due or not."""
    assert plan_now(chat(letters), CompactRules(**rules)).k == k


@given(st.text(alphabet="uacts", max_size=60), st.integers(0, 20))
def test_asked_for_it_leaves_the_last_turn_whole(letters: str, preserve: int) -> None:
    since = chat(letters)
    k = plan_now(since, CompactRules(preserve_recent=preserve)).k
    assert k == 0 or (k in whole_turn_ends(since) and k < len(since))


@given(st.text(alphabet="uacts", max_size=60))
def test_half_of_what_is_too_long(letters: str) -> None:
    """At most half of the tokens are left, or only the last turn."""
    since = chat(letters)
    k = plan_half(since, CompactRules()).k
    ends = whole_turn_ends(since)
    left, whole = (sum(map(message_tokens, part)) for part in (since[k:], since))
    if ends:
        assert k in ends
        assert left <= max(1, whole // 2) or k == ends[-1]
    else:
        assert k == 0


def test_what_no_longer_fits() -> None:
    """More messages than the limit, or more tokens; never where it is switched off."""
    assert not overflowing(chat(plain(50)), CompactRules())
    assert overflowing(chat(plain(51)), CompactRules())
    assert not overflowing(chat(plain(51)), CompactRules(enabled=False))
    assert not overflowing(chat(plain(51)), CompactRules(max_history_messages=0))
    assert not overflowing(chat(plain(4)), CompactRules(max_history_tokens=4))
    assert overflowing(chat(plain(5)), CompactRules(max_history_tokens=4))
    assert not overflowing([], CompactRules(max_history_tokens=1))

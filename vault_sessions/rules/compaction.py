"""Which compaction is in force, is another one due, and how much does it fold in?

The numbers are exact: a ratio is the decimal that was written, not the nearest binary fraction
(with which 0.29 × 100 is less than 29).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, floor
from typing import TYPE_CHECKING, Literal, NamedTuple

from vault_sessions.formats.transcript import covered_hash, tool_call_ids
from vault_sessions.model import Compaction, Message
from vault_sessions.rules.context import message_tokens, turn_starts

if TYPE_CHECKING:
    from fractions import Fraction


def in_force(
    branch: Sequence[Message], compactions: Sequence[Compaction]
) -> tuple[Compaction, int] | None:
    """The last compaction that covers the branch as it is now, and how many messages it covers.

    Not one whose last message is not on the branch, nor one that covers a message edited since.
    """
    places = {message.id: index for index, message in enumerate(branch)}
    for compaction in reversed(compactions):
        through = places.get(compaction.through_message_id)
        if through is None:
            continue
        if covered_hash(branch[: through + 1]) == compaction.covered_hash:
            return compaction, through + 1
    return None


# --- the next one --------------------------------------------------------------------------------


class CompactRules(NamedTuple):
    """The settings of compaction, under their own names; ratios as text, so that they are exact.

    ``max_history_messages`` 0: only tokens count; ``max_history_tokens`` None: only messages.
    """

    max_history_messages: int = 50
    max_history_tokens: int | None = None
    trigger_threshold: str = "0.75"
    compact_ratio: str = "0.4"
    preserve_recent: int = 10
    enabled: bool = True


class Plan(NamedTuple):
    """What the next compaction folds in, and why.

    ``k``: the first so many of the ``n`` messages since the compaction in force; 0: none.
    ``due_by``: what has come near its limit; None: nothing has.
    """

    k: int
    n: int
    due_by: Literal["messages", "tokens"] | None
    reason: str


def plan(since: Sequence[Message], rules: CompactRules) -> Plan:
    """Is a compaction due, and what does it fold in? Whole turns only, and no half of a tool pair.

    ``since``: the messages of the active branch behind the compaction in force.
    """
    n = len(since)
    if not rules.enabled:
        return Plan(0, n, None, "compaction is off (ai.sessions.auto_compact.enabled)")
    sizes = [message_tokens(message) for message in since] if rules.max_history_tokens else []
    by_count, at_count = due_by_messages(n, rules)
    by_tokens, at_tokens = due_by_tokens(sum(sizes), rules)
    if not by_count and not by_tokens:
        return Plan(0, n, None, _not_due(n, at_count, sum(sizes), at_tokens))
    what = (
        f"about {sum(sizes)} tokens, {at_tokens} make a summary due"
        if by_tokens
        else f"{n} messages, {at_count} make a summary due"
    )
    ends = whole_turn_ends(since)
    k = _fold_to_fit(sizes, ends, rules) if by_tokens else fold(n, ends, rules)
    due_by: Literal["messages", "tokens"] = "tokens" if by_tokens else "messages"
    if not k:
        left = "" if by_tokens else f" that leaves the newest {rules.preserve_recent}"
        return Plan(0, n, due_by, f"{what}; but there is no whole turn to fold in{left}")
    return Plan(k, n, due_by, f"{what}; the first {k} are folded in")


def overflowing(since: Sequence[Message], rules: CompactRules) -> bool:
    """Are these more than a prompt may hold whole?"""
    if not rules.enabled:
        return False
    if rules.max_history_messages and len(since) > rules.max_history_messages:
        return True
    most = rules.max_history_tokens
    return bool(most) and sum(map(message_tokens, since)) > (most or 0)


def plan_now(since: Sequence[Message], rules: CompactRules) -> Plan:
    """What is folded in when the owner asks for it, due or not: all whole turns but the newest
    ``preserve_recent`` messages; where that leaves none, all but the last turn."""
    n = len(since)
    ends = whole_turn_ends(since)
    if not ends:
        return Plan(0, n, None, "there is no whole turn to fold in before the last one")
    below = bisect_right(ends, n - rules.preserve_recent)
    k = ends[below - 1] if below else ends[-1]
    return Plan(k, n, None, f"asked for; the first {k} of {n} messages are folded in")


def plan_half(since: Sequence[Message], rules: CompactRules) -> Plan:
    """What is folded in when a model finds them too long: as many whole turns as it takes for half
    of the tokens to be left."""
    sizes = [message_tokens(message) for message in since]
    half = max(1, sum(sizes) // 2)
    k = _fold_to_fit(sizes, whole_turn_ends(since), rules._replace(max_history_tokens=half))
    what = f"about {sum(sizes)} tokens are too long for the model"
    if not k:
        return Plan(0, len(since), "tokens", f"{what}; but there is only one turn")
    return Plan(k, len(since), "tokens", f"{what}; the first {k} messages are folded in")


def due_by_messages(n: int, rules: CompactRules) -> tuple[bool, int | None]:
    """Do so many messages make a compaction due, and how many do? (None: no number does.)"""
    if not rules.max_history_messages:
        return False, None
    at = ceil(_part(rules.max_history_messages, rules.trigger_threshold))
    return 0 < n >= at, at


def due_by_tokens(tokens: int, rules: CompactRules) -> tuple[bool, int | None]:
    """Do so many tokens make a compaction due, and how many do? (None: no number does.)"""
    if not rules.max_history_tokens:
        return False, None
    at = ceil(_part(rules.max_history_tokens, rules.trigger_threshold))
    return 0 < tokens >= at, at


def fold(n: int, ends: Sequence[int], rules: CompactRules) -> int:
    """How many of ``n`` messages are folded in when their number makes it due; 0: none.

    ``ends``: the places above 0 at which the messages may be parted, in order.
    """
    k = floor(_part(n, rules.compact_ratio))
    if rules.max_history_messages:
        k = max(k, n - rules.max_history_messages)
    below = bisect_right(ends, min(k, n - rules.preserve_recent))
    if below:
        return ends[below - 1]
    if ends and n - ends[0] >= rules.preserve_recent:
        return ends[0]
    return 0


def _fold_to_fit(sizes: Sequence[int], ends: Sequence[int], rules: CompactRules) -> int:
    """How many are folded in when their tokens make it due: some, and as many as it takes for the
    rest to fit. The newest messages are not preserved then, but for the last turn."""
    k = fold(len(sizes), ends, rules._replace(preserve_recent=0))
    later = bisect_right(ends, k)
    left = sum(sizes[k:])
    while later < len(ends) and left > (rules.max_history_tokens or 0):
        left -= sum(sizes[k : ends[later]])
        k = ends[later]
        later += 1
    return k


def whole_turn_ends(since: Sequence[Message]) -> list[int]:
    """Where messages may be parted: before a turn, unless a tool's result stands behind it and its
    call before it."""
    results = _results(since)
    ends: list[int] = []
    reaches = at = 0  # how far the calls reach that were seen up to here
    for start in turn_starts(since):
        reaches = max(reaches, *results[at:start], 0)
        at = start
        if start > reaches:
            ends.append(start)
    return ends


def _results(since: Sequence[Message]) -> list[int]:
    """For each message the place of the last result of its calls; 0: it has none."""
    results = [0] * len(since)
    waiting: dict[str, list[int]] = {}
    for index, message in enumerate(since):
        calls = tool_call_ids(message)
        # the newest calls of an id: some models begin with call_0 in every turn
        waiting.update((call, [index] * calls.count(call)) for call in calls)
        if message.role == "tool":
            called = waiting.get(str(message.fields.get("tool_call_id")))
            if called:
                results[called.pop()] = index
    return results


def too_often(rules: CompactRules) -> str | None:
    """What to warn of where a plain chat would be summarized at nearly every turn; None: nothing.

    Nearly every: after two turns or fewer.
    """
    if not rules.enabled or not rules.max_history_messages:
        return None
    at = ceil(_part(rules.max_history_messages, rules.trigger_threshold))
    n = max(at, rules.preserve_recent + 2)
    n += n % 2
    k = fold(n, range(2, n, 2), rules)
    if k > 4:
        return None
    return (
        f"a summary would be made again after every {k} messages: preserve_recent "
        f"({rules.preserve_recent}) and compact_ratio ({rules.compact_ratio}) leave little to fold "
        f"in of {rules.max_history_messages} messages (ai.max_history_messages)"
    )


def _not_due(n: int, at_count: int | None, tokens: int, at_tokens: int | None) -> str:
    parts = []
    if at_count is not None:
        parts.append(f"{n} messages, a summary is due at {at_count}")
    if at_tokens is not None:
        parts.append(f"about {tokens} tokens, a summary is due at {at_tokens}")
    return "; ".join(parts) or "there is no limit of messages or tokens"


def _part(count: int, ratio: str) -> Fraction:
    from fractions import Fraction  # here: 2 ms of a start that seldom needs it

    return count * Fraction(ratio)

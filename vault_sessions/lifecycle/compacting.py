"""A compaction: the beginning of a long conversation, summarized for the prompts to come.

One journalled step: facts from the messages that are folded in (``learning``), then the summary of
them and of the summary before, then the record in the metadata. Killed anywhere, the next try goes
on from what was written. The transcript is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vault_sessions import vault as vaults
from vault_sessions.errors import BadAnswer, ProviderError, VaultError, VaultSessionsError
from vault_sessions.formats.ids import uuid7
from vault_sessions.formats.times import format_time
from vault_sessions.formats.transcript import active_branch, covered_hash, parse
from vault_sessions.lifecycle.desk import Conversation, Desk, Saved
from vault_sessions.lifecycle.learning import learn_through, read_meta
from vault_sessions.model import OFFLINE, Compaction, Message
from vault_sessions.rules.compaction import (
    CompactRules,
    Plan,
    in_force,
    overflowing,
    plan,
    plan_half,
    plan_now,
)
from vault_sessions.rules.context import message_tokens, tokens

if TYPE_CHECKING:
    from vault_sessions.config import Settings
    from vault_sessions.lifecycle.asking import Who

EXTRACT = 2400
"""Characters of a summary of sentences: some 400 words."""
LONGEST = 12_000
"""Bytes of a summary of beginnings, which grows each time it is folded in: the oldest go first."""


class Status(NamedTuple):
    """How far a compaction is: ``message_count`` messages are folded in; ``estimated_savings`` the
    tokens that their going saves: an estimate, or (completed) what it came to."""

    stage: Literal["starting", "summarizing", "completed", "failed"]
    message_count: int
    estimated_savings: int
    error: VaultSessionsError | None = None


class Compacted(NamedTuple):
    """What was done: the record, the messages that were folded in now, and the tokens saved."""

    record: Compaction
    folded: tuple[Message, ...]
    saved: int


Chooser = Callable[[Sequence[Message]], Plan]
"""What to fold in of the messages behind the compaction in force."""


def _unheard(status: Status) -> None:
    """Nobody listens."""


def compact_rules(settings: Settings, provider: str | None = None) -> CompactRules:
    """The settings of compaction, as its decisions take them. Of a context that is known, half is
    for the conversation: what does not fit would be left out without a word."""
    chosen = settings.providers.get(provider or "")
    context = chosen.context_tokens if chosen is not None else None
    most = [n for n in (settings.max_history_tokens, context and context // 2) if n]
    return CompactRules(
        settings.max_history_messages,
        min(most) if most else None,
        settings.trigger_threshold,
        settings.compact_ratio,
        settings.preserve_recent,
        settings.compact_enabled,
    )


# --- when ----------------------------------------------------------------------------------------


def compact_if_due(desk: Desk, session_id: str, who: Who | None) -> Compacted | None:
    """After a turn: fold in what is due. None: nothing is, or another program is at it.

    ``who`` None: without a model. Raises ProviderError, VaultError: nothing was recorded, and it is
    due again after the next turn.
    """
    rules = compact_rules(desk.settings, who.provider if who is not None else None)
    done = compact(desk, session_id, who, lambda since: plan(since, rules))
    return done if isinstance(done, Compacted) else None


def compact_now(
    desk: Desk,
    session_id: str,
    who: Who | None,
    *,
    keep: str = "",
    on_status: Callable[[Status], None] = _unheard,
) -> Compacted | str:
    """Because the owner wants it; ``keep``: what they want to be kept of it. A text says why there
    was nothing to do. Raises ProviderError, VaultError."""
    rules = compact_rules(desk.settings)
    choose: Chooser = lambda since: plan_now(since, rules)  # noqa: E731
    return compact(desk, session_id, who, choose, keep=keep, on_status=on_status)


def exactly(messages: Sequence[str]) -> Chooser:
    """A chooser of exactly these messages (ids); VaultError where others stand there by now."""

    def choose(since: Sequence[Message]) -> Plan:
        ids = [message.id for message in since]
        if not messages or ids[: len(messages)] != list(messages):
            raise VaultError("The conversation has changed since the plan was made; plan again.")
        return Plan(len(messages), len(ids), None, "as planned")

    return choose


def make_room(desk: Desk, conversation: Conversation, since: Sequence[Message]) -> bool:
    """Before a prompt is built: fold in what would be left out of it. Was it?

    ``since``: the messages behind the compaction in force. Whatever goes wrong is said, and the
    turn goes on with the newest whole turns that fit; no other turn of this run waits for it.
    """
    rules = compact_rules(desk.settings, conversation.provider)
    if not overflowing(since, rules):
        return False
    return _in_the_turn(desk, conversation, lambda messages: plan(messages, rules))


def fold_half(desk: Desk, conversation: Conversation) -> bool:
    """After a model has found the prompt too long: fold in half of it. Was it done?"""
    rules = compact_rules(desk.settings)
    if not rules.enabled:
        return False
    return _in_the_turn(desk, conversation, lambda messages: plan_half(messages, rules))


def _in_the_turn(desk: Desk, conversation: Conversation, choose: Chooser) -> bool:
    session_id = conversation.session_id
    if session_id is None or conversation.private or conversation.folding_failed:
        return False
    from vault_sessions.lifecycle.asking import Who

    def tell(status: Status) -> None:
        if status.stage == "starting":
            desk.say(f"Summarizing {status.message_count} earlier messages …")

    who = None
    if conversation.provider != OFFLINE:
        who = Who(conversation.provider, conversation.model)
    try:
        return isinstance(compact(desk, session_id, who, choose, on_status=tell), Compacted)
    except (ProviderError, VaultError) as error:
        conversation.folding_failed = True
        said = str(error).splitlines()[0]
        desk.say(f"Not summarized ({said}); the newest messages are sent, and it is tried again.")
        return False


# --- how -----------------------------------------------------------------------------------------


class _Work(NamedTuple):
    """A session as it was read: its active branch, and what the compaction in force says of it."""

    branch: Sequence[Message]
    before: Compaction | None
    covered: int


def compact(
    desk: Desk,
    session_id: str,
    who: Who | None,
    choose: Chooser,
    *,
    keep: str = "",
    use_ai: bool | None = None,
    on_status: Callable[[Status], None] = _unheard,
) -> Compacted | str:
    """Fold in what ``choose`` chooses. A text: why nothing was done.

    ``use_ai`` None: as ``use_ai_summary`` is set. Raises ProviderError, VaultError, and what
    ``choose`` raises: then no record was made; facts that were journalled are not lost.
    """
    lease = desk.state.work(session_id)
    if lease is None:
        return "the session is being worked up just now"
    try:
        work = _read(desk, session_id)
        since = work.branch[work.covered :]
        chosen = choose(since)
        if not chosen.k:
            return chosen.reason
        with desk.state.lock(session_id):  # refused, where it is, before a model is asked
            vaults.change_meta(desk.vault, session_id, {})
        folded = tuple(since[: chosen.k])
        size = sum(map(message_tokens, folded))
        on_status(Status("starting", len(folded), size))
        try:
            record = _make(desk, session_id, who, work, folded, keep, use_ai, on_status)
            if not _keep(desk, session_id, record):
                raise VaultError(
                    f"Session {session_id} was edited while it was summarized; "
                    f"the summary was dropped."
                )
        except VaultSessionsError as error:
            on_status(Status("failed", len(folded), size, error))
            raise
        had = tokens(work.before.summary) if work.before else 0
        saved = size + had - tokens(record.summary)
        on_status(Status("completed", len(folded), saved))
        return Compacted(record, folded, saved)
    finally:
        lease.release()


def _read(desk: Desk, session_id: str) -> _Work:
    branch = _branch(desk, session_id)
    force = in_force(branch, read_meta(desk, session_id).compactions)
    return _Work(branch, *(force or (None, 0)))


def _branch(desk: Desk, session_id: str) -> list[Message]:
    """The active branch as it is on disk."""
    try:
        data, _ = vaults.read_transcript(desk.vault, session_id)
    except FileNotFoundError:
        return []
    return active_branch(parse(data).messages)


def _make(
    desk: Desk,
    session_id: str,
    who: Who | None,
    work: _Work,
    folded: Sequence[Message],
    keep: str,
    use_ai: bool | None,
    on_status: Callable[[Status], None],
) -> Compaction:
    """Learn from the messages, summarize them, and say so in a record."""
    through = folded[-1].id
    learn_through(desk, session_id, work.branch, through, who)
    on_status(Status("summarizing", len(folded), sum(map(message_tokens, folded))))
    if use_ai is None:
        use_ai = desk.settings.use_ai_summary
    before = work.before.summary if work.before else None
    provider = model = summary = None
    if use_ai and who is not None:
        summary = _asked(desk, session_id, who, folded, before, keep)
    if summary is not None and who is not None:
        method = "ai"
        provider, model = who.provider, who.model or desk.settings.providers[who.provider].model
    else:
        method = "extractive" if use_ai else "concat"
        summary = _without_model(folded, before, keep, method)
    covered = work.branch[: work.covered + len(folded)]
    now = desk.now()
    return Compaction(
        uuid7(now, desk.random(80)),
        through,
        len(covered),
        f"Messages 1-{len(covered)}",
        covered_hash(covered),
        summary,
        tokens(summary),
        method,
        provider,
        model,
        format_time(now),
    )


def _asked(
    desk: Desk,
    session_id: str,
    who: Who,
    folded: Sequence[Message],
    before: str | None,
    keep: str,
) -> str | None:
    """The model's summary; None: it only talks nonsense."""
    from vault_sessions.lifecycle.asking import ask_compaction, is_hopeless

    try:
        return ask_compaction(desk, who, session_id, folded, before, keep)
    except BadAnswer:
        if not is_hopeless(desk, session_id, "compaction", folded[0].id):
            raise
        return None


def _without_model(folded: Sequence[Message], before: str | None, keep: str, method: str) -> str:
    """Sentences of theirs, or their beginnings, behind the summary before."""
    from vault_sessions.rules import extractive

    if method == "extractive":
        summary = extractive.summary(folded, EXTRACT, before or "")
        kept = [sentence for sentence in _about(folded, keep) if sentence not in summary]
        if summary := "\n".join([summary, *kept]).strip():
            return summary
    parts = [part for part in (before, extractive.concat(folded)) if part]
    return _newest_lines("\n".join(parts)) or "(nothing was said in words)"


def _about(folded: Sequence[Message], keep: str) -> list[str]:
    """Their sentences that have a word of what the owner wants to be kept."""
    from vault_sessions.rules.extractive import sentences
    from vault_sessions.rules.secrets import secret_in

    words = {word for word in keep.casefold().split() if len(word) > 3 or not word.isascii()}
    return [
        sentence
        for message in folded
        if message.role in ("user", "assistant") and words
        for sentence in sentences(message.text)
        if any(word in sentence.casefold() for word in words) and secret_in(sentence) is None
    ][:20]


def _newest_lines(text: str) -> str:
    """The last whole lines of it that are not too long together; one at least."""
    lines = text.split("\n")
    size = start = 0
    for start in range(len(lines) - 1, -1, -1):
        size += len(lines[start].encode("utf-8", "replace")) + 1
        if size > LONGEST:
            return "\n".join(lines[start + 1 :] or lines[-1:])
    return "\n".join(lines)


def _keep(desk: Desk, session_id: str, record: Compaction) -> bool:
    """Write the record, if the conversation still is what it summarizes. Is it?"""
    with desk.state.lock(session_id):
        if in_force(_branch(desk, session_id), [record]) is None:
            return False

        def change(fields: dict[str, Any]) -> dict[str, Any]:
            there = fields.get("compactions") or []
            records = list(there) if isinstance(there, list) else [there]
            return {"compactions": [*records, record._asdict()]}

        vaults.change_meta(desk.vault, session_id, change)
    desk.saved(Saved(session_id))
    return True

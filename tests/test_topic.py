"""Topics: when one is due, what a model's answer is worth, and phrases made from first requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_sessions.formats.transcript import active_branch, parse
from vault_sessions.model import Message, Meta
from vault_sessions.rules.topic import clean_topic, due, exchanges, fallback_topic

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "sample_vault/atlas/memory/sessions"


def branch(*said: tuple[str, str], **fields: Any) -> list[Message]:
    """A conversation of these (role, text), as read from a file."""
    lines = [orjson.dumps({"role": role, "content": text, **fields}) for role, text in said]
    return active_branch(parse(b"\n".join(lines) + b"\n").messages)


TWO = (
    ("user", "Plan a week in Rome"),
    ("assistant", "Gladly."),
    ("user", "In May"),
    ("assistant", "Ok."),
)


# --- when a topic is due -------------------------------------------------------------------------


def test_a_topic_is_due_after_two_exchanges() -> None:
    """Not before: an answer that is empty or an error is none."""
    assert exchanges(branch(*TWO)) == 2
    assert due(branch(*TWO), Meta())
    assert not due(branch(*TWO[:3]), Meta())
    assert not due(branch(*TWO[:3], ("assistant", "  ")), Meta())
    failed = branch(*TWO, status="error")
    assert exchanges(failed) == 0
    assert not due(failed, Meta())


def test_two_messages_before_one_answer_are_one_exchange() -> None:
    assert exchanges(branch(("user", "a"), ("user", "b"), ("assistant", "c"))) == 1
    assert exchanges(branch(("assistant", "c"), ("user", "b"))) == 0


@pytest.mark.parametrize("source", ["user", "generated", "import", None])
def test_a_topic_that_somebody_gave_is_never_due_again(source: str | None) -> None:
    assert not due(branch(*TWO), Meta(topic="Rome", topic_source=source))


def test_a_fallback_is_due_only_while_it_is_word_for_word_what_the_rule_gives() -> None:
    """One that was edited and kept its source is the owner's."""
    made = fallback_topic(branch(*TWO))
    assert due(branch(*TWO), Meta(topic=made, topic_source="fallback"))
    assert not due(branch(*TWO), Meta(topic=made + "!", topic_source="fallback"))


def test_a_fallback_stays_the_same_while_the_conversation_goes_on() -> None:
    short = branch(
        ("user", "hi"), ("assistant", "Hello!"), ("user", "Review of my CV"), ("assistant", "Ok.")
    )
    longer = branch(
        ("user", "hi"), ("assistant", "Hello!"), ("user", "Review of my CV"), ("assistant", "Ok."),
        ("user", "And write a cover letter for Siemens, please."), ("assistant", "Here it is."),
    )  # fmt: skip
    assert fallback_topic(short) == fallback_topic(longer) != ""


# --- a model's answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "topic"),
    [
        ("Postgres 17 upgrade", "Postgres 17 upgrade"),
        ('"Postgres 17 upgrade."', "Postgres 17 upgrade"),
        ("**Topic:** Postgres 17 upgrade", "Postgres 17 upgrade"),
        ("Title: “Week in Rome”\n\nThis title captures …", "Week in Rome"),
        ("Here is a topic:\nWeek in Rome", "Week in Rome"),
        ("Week\tin\x1b[31m Rome\u202e", "Week in[31m Rome"),
        ("トピック:CSVの文字化け。", "CSVの文字化け"),
        ("„E-Mail an die Vermieterin“", "E-Mail an die Vermieterin"),
        ("Moving from Austin to Denver with a dog in July", "Moving from Austin to Denver"),
        ("# Onboarding", "Onboarding"),
    ],
)  # fmt: skip
def test_what_a_model_writes_is_made_a_topic(answer: str, topic: str) -> None:
    assert clean_topic(answer) == topic


@pytest.mark.parametrize(
    "answer",
    [
        "", "   \n", "...", "null", "Untitled", "New chat", "Topic:", "The conversation",
        "I'm sorry, but I can't help with that.", "Sorry, no topic", "Sure! I would call it Rome",
        "The user asks for a plan for a week in Rome", "すみません、わかりません",
        "A conversation in which the user asks many things about a trip to Rome and Florence",
        "x" * 1000,
    ],
)  # fmt: skip
def test_a_refusal_or_a_sentence_is_no_topic(answer: str) -> None:
    assert clean_topic(answer) is None


@given(st.text())
def test_whatever_a_model_writes_a_topic_is_short_and_on_one_line(answer: str) -> None:
    topic = clean_topic(answer)
    assert topic is None or (0 < len(topic) <= 60 and len(topic.split()) <= 6)
    assert topic is None or (topic == topic.strip() and "\n" not in topic and "\x1b" not in topic)


# --- a phrase from the first request -------------------------------------------------------------

OPENINGS = [tuple(pair) for pair in orjson.loads((HERE / "openings.json").read_bytes())]
"""First messages in several styles and languages, and the phrase that is made of each."""


@pytest.mark.parametrize(("opening", "topic"), OPENINGS)
def test_a_first_request_gives_a_phrase(opening: str, topic: str) -> None:
    assert fallback_topic(branch(("user", opening), ("assistant", "Ok."))) == topic


def test_a_phrase_for_each_session_of_the_sample_vault() -> None:
    """What the rule says of them; the topics in their metadata were written by hand."""
    said = {
        p.stem: fallback_topic(active_branch(parse(p.read_bytes()).messages))
        for p in SAMPLE.glob("*.jsonl")
    }
    assert said == {
        "20251112-170211-bhp5n4": "Grandmother Elsa's kardemummabullar",
        "20251203-201142-xvg1ef": "Crash in ETA job of dispatch-api",
        "20260108-164509-yez6p4": "Remote state bucket",
        "20260203-160533-kk3gz4": "Network for the new AWS accounts",
        "20260317-153120-6e0bfj": "Event bus for dispatch",
        "20260324-141802-4qb7x9": "Q2 planning",
        "20260411-152047-e971xn": "Week after the wedding",
        "20260428-180212-231sga": "E-Mail auf Deutsch",
        "20260609-173054-dwm9tw": "Moving from Austin to Denver",
        "20260805-221015-k5fzfz": "Left heel has hurt",
        "20260902-150538-1k72cy": "One-page note on the network",
        "20260922-012027-n7r8gy": "pandasで読み込むと文字化け",
        "20260929-191003-xdc19d": "Postgres 14 goes end of life",
        "20261114-024031-s05taf": "Conversion from psi to bar",
        "20261119-011549-z0tf0v": "Thanksgiving for seven people",
        "20261120-204412-7qtxzq": "Sam's first consumer for JetStream",
        "garden-notes": "Raised bed in Denver",
    }  # fmt: skip


@pytest.mark.parametrize(
    "greeting",
    ["hi", "Hello!", "Good morning", "thanks", "こんにちは", "👋", "", "```\nx = 1\n```"],
)
def test_a_greeting_gives_none_and_the_next_message_is_taken(greeting: str) -> None:
    assert fallback_topic(branch(("user", greeting), ("assistant", "Hello!"))) == ""
    asked = branch(("user", greeting), ("assistant", "Hello!"), ("user", "Compare Rust and Go"))
    assert fallback_topic(asked) == "Rust and Go"


def test_a_secret_never_stands_in_a_topic() -> None:
    key = "sk-proj-Ab3dEf6hIj9kLmN0pQrS7uVwXyZ12345"
    assert key not in fallback_topic(branch(("user", f"Why is {key} refused by the API?")))


@given(st.text(max_size=400))
def test_whatever_was_asked_the_phrase_is_short_and_on_one_line(text: str) -> None:
    topic = fallback_topic(branch(("user", text)))
    assert len(topic) <= 60
    assert len(topic.split()) <= 6
    assert topic == " ".join(topic.split())


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50_000,
        "1" * 50_000,
        " " * 50_000 + "x",
        "[a](" * 20_000,
        "a, " * 20_000,
        "I want to " * 9_000,
    ],
)
def test_a_pasted_monster_is_no_trouble(text: str) -> None:
    """Seconds would show here at once: each takes a few milliseconds."""
    assert len(fallback_topic(branch(("user", text)))) <= 60


def test_what_is_wanted_goes_before_what_is_told_of_oneself() -> None:
    said = "I work at Northwind as a data engineer and I need to write a resignation letter."
    assert fallback_topic(branch(("user", said))) == "Resignation letter"

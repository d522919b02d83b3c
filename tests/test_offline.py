"""The offline assistant: it quotes what the vault says, with its source, or says that it found
nothing. It never pretends to be a model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from vault_sessions import Workspace
from vault_sessions.assistant.offline import answer, best_quotes, source
from vault_sessions.model import Hit

SAMPLE = Path(__file__).resolve().parent.parent / "sample_vault"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The sample vault at work, in a copy."""
    folder = tmp_path_factory.mktemp("offline")
    shutil.copytree(SAMPLE, folder / "vault")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CACHE", "STATE", "CONFIG"):
            patch.setenv(f"VAULT_SESSIONS_{kind}", str(folder / kind))
        patch.delenv("VAULT_SESSIONS_VAULT", raising=False)
        clock = lambda: datetime(2026, 11, 21, 12, tzinfo=UTC)  # noqa: E731
        with Workspace.open(folder / "vault", clock=clock) as workspace:
            yield workspace


def hit(text: str, kind: str = "message", **more: object) -> Hit:
    """A passage as a search finds it."""
    values: dict[str, object] = {
        "kind": kind,
        "session_id": "s1",
        "name": "vpc-design",
        "topic": None,
        "message_id": "m1",
        "role": "user" if kind == "message" else None,
        "created_at": "2026-02-03T16:05:33.000Z",
        "path": "atlas/memory/sessions/s1.jsonl",
        "line": 11,
        "snippet": "",
        "score": 1.0,
        "text": text,
        "section": None,
    }
    return Hit(**{**values, **more})  # type: ignore[arg-type]


QUESTIONS = [
    ("What did we decide about the VPC?", "10.40.0.0/16", "vpc-design"),
    ("When did I move to Denver?", "July 11, 2026", ""),
    ("Who is Priya?", "manager", ""),
    ("What is the name of my physio?", "Ruth Castellanos", ""),
    ("Why not Kafka?", "JetStream", ""),
    ("When is the Postgres cutover?", "October 25, 2026", ""),
    ("What am I allergic to?", "hazelnuts", ""),
    ("Where does Ingrid live?", "Malmö", ""),
    ("Wo liegt der Schlüssel der Ferienwohnung?", "Kasten neben der Haustür", ""),
    ("佐藤さんのCSVの文字コードは?", "UTF-8", "pandas-文字化け"),
    ("When does Walt plant garlic?", "halloween", "garden-notes"),
    ("who has the spare key?", "Walt", ""),
    ("when does Sam join on-call?", "November 2026", ""),
    ("what did we decide about the event bus?", "NATS JetStream", ""),
]


@pytest.mark.parametrize(("question", "expected", "where"), QUESTIONS, ids=lambda text: text[:30])
def test_questions_about_the_sample_are_answered_with_the_source(
    sample: Workspace, question: str, expected: str, where: str
) -> None:
    turn = sample.chat.take_turn(question)
    assert expected in turn.text
    assert "\n— " in turn.text
    assert where in turn.text


def test_nothing_found_is_said_with_the_way_to_a_model(sample: Workspace) -> None:
    text = sample.chat.take_turn("who won the world cup in 1998?").text
    assert text.startswith("I found nothing about")
    assert "chat -p ollama" in text
    assert "offline assistant" in text


def test_its_own_earlier_answers_are_not_quoted(sample: Workspace) -> None:
    sample.chat.begin_anew()
    sample.chat.take_turn("Who is Priya?")
    sample.chat.begin_anew()
    text = sample.chat.take_turn("Who is Priya?").text
    assert "Your vault says" in text
    assert text.count("Your vault says") == 1


def test_it_says_that_it_is_no_model() -> None:
    assert "No model is set up" in answer("the vpc?", [hit("The VPC is done.")])


def test_a_decision_outranks_a_mention() -> None:
    mention = hit("Please look up the VPC again, what was decided about the VPC?")
    decision = hit("We decided on 10.40.0.0/16 for the VPC.", message_id="m2")
    quotes = best_quotes("what did we decide about the VPC", [mention, decision])
    assert quotes[0].hit is decision


def test_when_prefers_a_sentence_with_a_date() -> None:
    vague = hit("The cutover went well, the cutover was fast.")
    dated = hit("The cutover is on October 25 at 05:00.")
    assert best_quotes("when is the cutover?", [vague, dated])[0].hit is dated


def test_a_passage_with_few_of_the_words_is_no_answer() -> None:
    assert best_quotes("which hotel in Lisbon had the roof terrace", [hit("A hotel.")]) == []


def test_results_of_tools_are_not_quoted() -> None:
    assert best_quotes("the vpc", [hit('{"results": ["vpc"]}', role="tool")]) == []


def test_the_same_thing_is_quoted_once() -> None:
    twice = [hit("Juno is the dog."), hit("Juno is the dog.", kind="fact", section="Facts")]
    assert len(best_quotes("who is Juno the dog", twice)) == 1


def test_sources_name_session_or_file_and_the_local_day() -> None:
    denver = timezone(timedelta(hours=-7))
    late = hit("x", created_at="2026-02-04T01:00:00.000Z")
    assert source(late, denver) == "vpc-design, 2026-02-03 (you, line 11)"
    fact = hit(
        "x",
        kind="fact",
        path="atlas/memory/long-term/facts.md",
        section="Goals",
        created_at="2026-03-17T00:00:00.000Z",
    )
    assert source(fact, denver) == "facts.md › Goals, 2026-03-17"


@pytest.mark.parametrize("question", ["", "?", "\x00", "the", "a" * 5000, '"*:^(', "；。", "🙂"])
def test_any_question_gets_an_answer(sample: Workspace, question: str) -> None:
    assert sample.chat.take_turn(question).text


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Where do I live?", "Lives in Denver"),
        ("Which bike do I have?", "Has two bikes"),
        ("What are my kids called?", "A kid called Jo"),
    ],
)
def test_short_words_are_found_in_their_other_forms(question: str, text: str) -> None:
    assert best_quotes(question, [hit(text, "fact")])


@pytest.mark.parametrize(
    "greeting", ["hello!", "Good morning", "Danke schön.", "おはようございます"]
)
def test_a_greeting_is_no_question(greeting: str) -> None:
    quoted = answer(greeting, [hit("Good morning, said the baker, and thanks, danke, hello")])
    assert ">" not in quoted
    assert "ask me" in quoted

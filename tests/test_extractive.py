"""Summaries without a model: whole sentences that were said, and those that a secretary keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_sessions.formats.transcript import active_branch, parse
from vault_sessions.model import Message
from vault_sessions.rules.extractive import (
    ARROW,
    concat,
    decisions,
    minutes,
    open_items,
    sentences,
    snapshot,
    summary,
)

SAMPLE = Path(__file__).parent.parent / "sample_vault/atlas/memory/sessions"


def branch(*said: tuple[str, str], **fields: Any) -> list[Message]:
    """A conversation of these (role, text), as read from a file."""
    lines = [orjson.dumps({"role": role, "content": text, **fields}) for role, text in said]
    return active_branch(parse(b"\n".join(lines) + b"\n").messages)


def talk(*texts: str) -> list[Message]:
    """A conversation of these texts, the user's first."""
    return branch(*((("user", "assistant")[n % 2], text) for n, text in enumerate(texts)))


def sample(stem: str) -> list[Message]:
    return active_branch(parse((SAMPLE / f"{stem}.jsonl").read_bytes()).messages)


EXPORT = branch(
    ("user", "Hi! The export to Parquet drops time zones in version 2.3. Find out why, please."),
    ("assistant", "I'll look at the exporter first."),
    ("tool", "We decided to use SQLite. It works since 2019 because of Alice."),
    (
        "assistant",
        (
            "Great question!\n\nThe cause is in `writer.py`, line 88: `to_pandas()` casts "
            "every column to naive UTC.\n\n"
            "```python\ntable.to_pandas()  # we decided this in 2021\n```\n\n"
            "| way | cost |\n|---|---|\n| keep pandas | 15% |\n\n"
            "I would keep the Arrow table, because it also halves the memory."
        ),
    ),
    ("user", "ok. We decided to drop pandas and keep the old function until 3.0."),
    ("assistant", "Done, all 213 tests pass.\n\nStill open: the manual mentions the old function."),
    ("user", "thanks! Merged as #412, the export takes 1.8 s now. I'll do the manual on Monday."),
    ("assistant", "You're welcome! Let me know if there is anything else."),
)


# --- what is kept --------------------------------------------------------------------------------


def test_request_advice_decision_and_outcome_are_kept_in_their_order() -> None:
    told = summary(EXPORT)
    kept = [
        "The export to Parquet drops time zones in version 2.3.",
        "I would keep the Arrow table, because it also halves the memory.",
        "We decided to drop pandas and keep the old function until 3.0.",
        "Merged as #412, the export takes 1.8 s now.",
    ]
    assert [told.find(sentence) for sentence in kept] == sorted(map(told.find, kept))
    assert all(sentence in told for sentence in kept)


@pytest.mark.parametrize(
    "dropped",
    ["Hi!", "thanks", "Great question", "welcome", "Let me know", "I'll look", "SQLite", "Alice",
     "2021", "table.to_pandas", "|", "```"],
)  # fmt: skip
def test_politeness_narration_code_tables_and_tools_are_not_kept(dropped: str) -> None:
    assert dropped not in summary(EXPORT)


def test_what_was_answered_stands_behind_an_arrow() -> None:
    """To the end of its paragraph, so nobody's words are taken for another's."""
    theirs = "\n".join(m.text for m in EXPORT if m.role == "assistant")
    for paragraph in summary(EXPORT).split("\n\n"):
        own, _, answer = paragraph.partition(ARROW)
        assert not any(s in theirs for s in sentences(own))
        assert all(s.rstrip(".") in theirs.replace("\n", " ") for s in sentences(answer))


def test_decisions_are_the_users() -> None:
    assert decisions(EXPORT) == ["We decided to drop pandas and keep the old function until 3.0."]


def test_open_items_are_what_was_not_done_later() -> None:
    assert open_items(EXPORT) == [
        "Still open: the manual mentions the old function.",
        "I'll do the manual on Monday.",
    ]
    done = [*EXPORT, *branch(("user", "The manual is done."), ("assistant", "Good."))]
    assert open_items(done) == []


def test_a_last_question_without_an_answer_is_open() -> None:
    asked = branch(("user", "Plan my move to Graz."), ("assistant", "By train or by truck?"),
                   ("user", "By truck. What does a truck for 200 km cost?"))  # fmt: skip
    assert open_items(asked) == ["What does a truck for 200 km cost?"]


def test_minutes_are_the_three_at_once() -> None:
    assert minutes(EXPORT) == (
        summary(EXPORT), tuple(decisions(EXPORT)), tuple(open_items(EXPORT))
    )  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "We decided on Protobuf, not Avro.", "Decided: we drop pg_partman by March.",
        "Talked to Lena; we're going with NATS.", "Let's use Postgres for this one.",
        "container it is.", "I'll take the blue one then.", "We agreed to meet on Mondays.",
        "We decided we'd look at it again if we go over 2,000 events.",
        "Wir haben uns für Malmö entschieden.", "Wir nehmen die Wohnung in der Goethestraße.",
        "会議は水曜日にすることにしました。", "On a décidé de partir en juin.",
        "Hemos decidido alquilar el piso.",
    ],
)  # fmt: skip
def test_sentences_that_are_decisions(said: str) -> None:
    assert decisions(branch(("user", said))) == [said]


@pytest.mark.parametrize(
    "said",
    [
        "We haven't decided anything yet.", "Should we go with NATS or Kafka?",
        "If we decided to move, what would it cost?", "What did we decide about the VPC?",
        "Look up what we decided about the VPC, please.", "Once we agreed on it I can write it.",
        "She is a decisive person.", "I agreed.", "Before we decide I want numbers.",
        "Wenn wir uns entschieden haben, sage ich Bescheid.", "Noch ist nichts beschlossen worden?",
        "まだ決めていません。", "```\nwe decided to use this\n```", "> We decided to leave.",
    ],
)  # fmt: skip
def test_sentences_that_are_no_decisions(said: str) -> None:
    assert decisions(branch(("user", said))) == []


def test_what_is_quoted_is_no_decision_and_nothing_open() -> None:
    said = branch(
        ("user", 'Translate to French: "We decided to sell the house. I\'ll call on Monday."')
    )
    assert minutes(said)[1:] == ((), ())


def test_a_question_is_kept_with_its_answer() -> None:
    said = branch(
        ("user", "My wife Lena is allergic to penicillin, is amoxicillin the same thing?"),
        ("assistant", "Yes, amoxicillin is a penicillin. I can look up alternatives, if you like."),
    )  # fmt: skip
    assert summary(said) == (
        "My wife Lena is allergic to penicillin, is amoxicillin the same thing? "
        f"{ARROW}Yes, amoxicillin is a penicillin."
    )


def test_a_german_conversation() -> None:
    said = branch(
        ("user", "Hallo! Ich plane den Umbau unseres Bads. Es muss bis zum 30. April fertig sein."),
        ("assistant", "Gern! Bei 14.000 Euro würde ich die Leitungen lassen, wo sie sind."),
        ("user", "Wir nehmen die Dusche, Herr Öztürk ist einverstanden. Was fehlt noch?"),
        ("assistant", "Noch offen: Fliesen und der Termin mit dem Installateur."),
        ("user", "Super, danke! Den Installateur muss ich noch anrufen, Firma Kessler."),
        ("assistant", "Viel Erfolg!"),
    )
    told = minutes(said)
    assert told.decisions == ("Wir nehmen die Dusche, Herr Öztürk ist einverstanden.",)
    assert told.open_items == (
        "Noch offen: Fliesen und der Termin mit dem Installateur.",
        "Den Installateur muss ich noch anrufen, Firma Kessler.",
    )
    assert "bis zum 30. April fertig" in told.summary
    assert "Hallo" not in told.summary
    assert "Erfolg" not in told.summary


def test_a_japanese_conversation() -> None:
    said = branch(
        (
            "user",
            "来年の4月に京都へ家族旅行を計画しています。予算は20万円です。プランを教えてください。",
        ),
        (
            "assistant",
            "楽しそうですね!4月上旬は桜の時期なので、宿は早めに予約することをおすすめします。",
        ),
        ("user", "鉄道博物館いいですね。2日目に行くことにします。"),
        ("assistant", "良いと思います。"),
        ("user", "宿は予約しました!新幹線の切符はまだ買っていません。"),
        ("assistant", "良い旅を!"),
    )
    told = minutes(said)
    assert told.decisions == ("2日目に行くことにします。",)
    assert told.open_items == ("新幹線の切符はまだ買っていません。",)
    assert "予算は20万円です。" in told.summary
    assert f"{ARROW}4月上旬は桜の時期なので" in told.summary


def test_what_the_assistant_says_is_no_decision() -> None:
    assert decisions(branch(("user", "ok"), ("assistant", "We decided to use Kafka."))) == []


def test_an_answer_that_was_cut_short_is_not_kept() -> None:
    """The sample's one says what the user had to correct."""
    told = summary(sample("20260609-173054-dwm9tw"))
    assert "Since you live in Austin" not in told
    assert "I moved to Denver on July 11, 2026" in told


def test_what_the_offline_assistant_looked_up_is_not_kept() -> None:
    """It would copy memory into memory."""
    found = branch(("assistant", "You decided on 10.40.0.0/16."), provider="offline")
    assert summary(
        [*branch(("user", "Which range is prod, by the decision of March?")), *found]
    ) == ("Which range is prod, by the decision of March?")


def test_a_secret_is_not_kept() -> None:
    key = "sk-proj-Ab3dEf6hIj9kLmN0pQrS7uVwXyZ12345"
    said = branch(
        ("user", f"We decided to use the key {key} in production. It works since Monday.")
    )
    assert key not in str(minutes(said))


@pytest.mark.parametrize(
    "said",
    [(), (("user", "hi"),), (("user", "hi"), ("assistant", "Hello! How can I help you today?")),
     (("tool", "We decided to use 3 trucks."),), (("system", "Always answer in 3 sentences."),)],
)  # fmt: skip
def test_nothing_said_is_nothing_kept(said: tuple[tuple[str, str], ...]) -> None:
    assert minutes(branch(*said)) == ("", (), ())


def test_a_summary_is_as_long_as_it_may_be() -> None:
    long = sample("20260929-191003-xdc19d")
    for most in (200, 600, 1200, 4000):
        assert 0 < len(summary(long, most)) <= most


def test_the_summary_of_what_came_before_is_folded_in() -> None:
    """Whole, where there is room, else its best paragraphs, in half of the room at most."""
    before = summary(sample("20260317-153120-6e0bfj"))
    assert summary(EXPORT, 4000, before).startswith(before)
    folded = summary(EXPORT, 1000, before)
    earlier = folded.split("The export to Parquet")[0]
    assert 0 < len(earlier) <= 502
    assert all(p in before for p in earlier.strip().split("\n\n"))
    assert "We decided to use NATS JetStream" in earlier
    assert "We decided to drop pandas" in folded


def test_a_long_first_summary_of_one_paragraph_is_cut() -> None:
    folded = summary([], 100, "word " * 200)
    assert len(folded) <= 50
    assert folded.endswith("…")


# --- the sample vault ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "kept"),
    [
        ("20251112-170211-bhp5n4", ["kardemummabullar", "allergic to hazelnuts", "next time 10"]),
        ("20260108-164509-yez6p4", ["until the end of January and then delete it"]),
        ("20260203-160533-kk3gz4", ["prod is 10.40.0.0/16, staging 10.41.0.0/16", "Marcus Okafor"]),
        ("20260317-153120-6e0bfj", ["NATS JetStream", "Protobuf", "because three people"]),
        ("20260324-141802-4qb7x9", ["Priya Raman", "September 30", "stretch goal"]),
        ("20260411-152047-e971xn", ["May 23", "Malmö", "another year"]),
        ("20260428-180212-231sga", ["22:30 Uhr", "Der Schlüssel liegt im Kasten"]),
        ("20260805-221015-k5fzfz", ["Ruth Castellanos", "Colfax half marathon in May 2027"]),
        ("20260902-150538-1k72cy", ["Sam Whitfield", "from November on, not before"]),
        ("20260922-012027-n7r8gy", ["佐藤遥さん", "cp932", "UTF-8"]),
        ("20260929-191003-xdc19d", ["through December 2028", "October 25, 2026", "no rollback"]),
    ],
)
def test_of_a_sample_session_this_is_kept(stem: str, kept: list[str]) -> None:
    told = summary(sample(stem))
    assert [part for part in kept if part not in told] == []


def test_every_sentence_of_a_summary_was_said() -> None:
    for path in SAMPLE.glob("*.jsonl"):
        messages = sample(path.stem)
        said = {s.rstrip(".,;。") for m in messages for s in sentences(m.text)}
        for paragraph in summary(messages).split("\n\n"):
            for part in paragraph.split(ARROW):
                told = part.strip()
                for sentence in sorted(said, key=len, reverse=True):
                    told = told.replace(sentence, "")
                assert told.strip(" .,;?。") == ""


# --- sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? four", ["One.", "Two!", "Three?", "four"]),
        ("Dr. Brandt, e.g. on 3.5 km at 5 p.m. on St. Mark's No. 5.",
         ["Dr. Brandt, e.g. on 3.5 km at 5 p.m. on St. Mark's No. 5."]),
        ("Wir kommen am 16. Mai, z. B. um 9. Dann nicht.",
         ["Wir kommen am 16. Mai, z. B. um 9.", "Dann nicht."]),
        ("works. next one", ["works.", "next one"]),
        ("He said (really. yes) it is so. Ok", ["He said (really. yes) it is so.", "Ok"]),
        ("well… perhaps. No", ["well… perhaps.", "No"]),
        ("読めました!でも、ゼロが消えます。「次から送って。」と頼みます。",
         ["読めました!", "でも、ゼロが消えます。", "「次から送って。」と頼みます。"]),
        ("- one thing\n- another\n  goes on\n1. [x] done",
         ["one thing", "another goes on", "done"]),
        ("a **bold** and *soft* [link](http://x.y) ![img](a.png) `code_b`",
         ["a bold and soft link `code_b`"]),
        ("# Title\n\nText <!-- hidden. --> here.\n\n> quoted\n\n| a | b |", ["Text here."]),
        ("See:\n\n    indented code\n\n~~~\nmore\n~~~\nEnd.", ["See:", "End."]),
        ("```\nnever closed\nWe decided nothing.", []),
        ("a line that is wrapped by the editor somewhere behind sixty characters\ngoes on here.",
         ["a line that is wrapped by the editor somewhere behind sixty characters goes on here."]),
        ("2026-01-01 12:00:00 ERROR failed\nWhat is this?", ["What is this?"]),
        ("one\u202etwo\x00\x1b[31m.", ["onetwo[31m."]),
        ("one\r\ntwo.\r\n", ["one two."]),
        ("!!! ... ---", []),
    ],
)  # fmt: skip
def test_sentences_of_a_text(text: str, found: list[str]) -> None:
    assert sentences(text) == found


@given(st.text())
def test_sentences_are_lines_that_say_something(text: str) -> None:
    for sentence in sentences(text):
        assert sentence == sentence.strip() != ""
        assert not set(sentence) & set("\n\r\x1b\x00\u202e")
        assert "<!--" not in sentence


TURNS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "tool", "system"]), st.text(max_size=300)),
    max_size=8,
)


@given(TURNS)
def test_whatever_was_said_a_summary_is_made(said: list[tuple[str, str]]) -> None:
    told = minutes(branch(*said), 500)
    assert len(told.summary) <= 500
    assert "<!--" not in str(told)
    assert "-->" not in str(told)


@pytest.mark.parametrize(
    "text",
    ["(" * 50_000, "a." * 50_000, "1" * 50_000, " " * 50_000 + "x", "[a](" * 20_000, "が" * 50_000,
     "`" * 50_000, "<!--" * 20_000, "we have " * 20_000, "\n" * 50_000 + "x", "- " * 50_000],
)  # fmt: skip
def test_a_pasted_monster_is_no_trouble(text: str) -> None:
    """Seconds would show here at once: each takes a few milliseconds."""
    assert len(summary(branch(("user", text)))) <= 1200


# --- messages strung together --------------------------------------------------------------------


def test_concat_has_the_first_200_characters_of_each_message() -> None:
    said = branch(("user", "a" * 500), ("assistant", ""), ("assistant", "one\n\ntwo  three"))
    assert concat(said) == f"user: {'a' * 200}\nassistant: one two three"


@pytest.mark.parametrize(
    "character",
    ["e\u0301", "👨‍👩‍👧‍👦", "🇩🇪", "👍🏽", "각", "\u1100\u1161\u11a8", "क्ष", "❤️", "กำ", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"],
)
def test_concat_never_cuts_a_character_in_two(character: str) -> None:
    for before in range(len(character) + 1):
        text = "x" * before + character * 200
        rest = concat(branch(("user", text))).removeprefix("user: " + "x" * before)
        assert rest == character * (len(rest) // len(character))
        assert 200 - len(character) < before + len(rest) <= 200


def test_concat_leaves_out_what_is_no_character() -> None:
    lone = branch(("user", "a"))[0]._replace(text="a\ud83db\x1b")
    assert concat([lone]) == "user: ab"


# --- who the user is -----------------------------------------------------------------------------

FACTS = {
    "Facts": [
        "Lives in Denver, Colorado", "Works as a platform engineer at Tallgrass",
        "Allergic to hazelnuts", "Grew up in Duluth", "Drives a 2019 RAV4 hybrid",
    ],
    "Goals": ["Pass the JLPT N3 in December 2026."],
    "Relationships": ["Tomás is her partner", "Juno is the dog"],
}  # fmt: skip


def test_a_snapshot_is_made_of_facts() -> None:
    assert snapshot(FACTS, "Maya") == (
        "Maya lives in Denver, Colorado; works as a platform engineer at Tallgrass; drives a 2019 "
        "RAV4 hybrid; is allergic to hazelnuts. Goals: Pass the JLPT N3 in December 2026. "
        "Relationships: Tomás is her partner; Juno is the dog."
    )


def test_a_snapshot_without_a_name_or_without_facts() -> None:
    assert snapshot({"Facts": ["Lives in Bonn"]}) == "Lives in Bonn."
    assert snapshot({"Goals": ["Run 10 km"]}, "Maya") == "Goals: Run 10 km."
    assert snapshot({}, "Maya") == ""
    assert snapshot({"Goals": ["On-call pages below 5 (done: 4.2 in June)"]}) == ""
    assert snapshot({"Facts": ["東京に住んでいる"]}, "Maya") == "Maya: 東京に住んでいる。"


def test_a_snapshot_has_at_most_five_sentences() -> None:
    many = {section: [f"Thing {n} of {section}" for n in range(30)] for section in
            ("Facts", "Goals", "Preferences", "Relationships", "Projects")}  # fmt: skip
    told = snapshot(many, "Maya")
    assert len(sentences(told)) == 5
    assert "Thing 29 of Goals" in told
    assert len(told) < 1000


def test_a_snapshot_of_little_has_a_sentence_for_each_fact() -> None:
    known = {
        "Facts": ["Lives in Leipzig", "Works at Northwind", "Doesn't eat pork"],
        "Preferences": ["Prefers small hotels", "Prefers trains"],
    }
    assert snapshot(known) == (
        "Lives in Leipzig. Works at Northwind. Doesn't eat pork. Prefers small hotels; prefers "
        "trains."
    )
    assert snapshot({"Facts": known["Facts"]}, "Maya") == (
        "Maya lives in Leipzig. Works at Northwind. Doesn't eat pork."
    )


def test_the_request_is_kept_beside_what_it_was_asked_for() -> None:
    opening = talk(
        "I have some chicken thighs, a lemon and half a bag of orzo. What could I make for dinner "
        "tonight? My wife is allergic to shellfish and I don't eat pork.",
        "Brown the thighs for 8 minutes, add 500 ml of stock and bake at 200 °C.",
    )
    assert "What could I make for dinner tonight?" in summary(opening)
    assert "allergic to shellfish" in summary(opening)


def test_what_is_said_to_be_open_is_no_question() -> None:
    said = talk("We fly on May 9. What's still open are the flights and a child seat.", "Right.")
    assert open_items(said) == ["What's still open are the flights and a child seat."]


def test_hearsay_and_what_is_not_so_are_no_outcome() -> None:
    said = talk(
        "I need to write a resignation letter.", "Here is a draft of two paragraphs for you.",
        "Great, I'll send it tomorrow by registered mail. If I lived in Berlin I'd hand it over. "
        "A friend of mine works at Contoso, he says they take email.", "Good luck with it.",
    )  # fmt: skip
    assert "Contoso" not in summary(said)
    assert "Berlin" not in summary(said)


def test_beginnings_leave_out_a_secret() -> None:
    said = talk("The password is hunter2-blue, keep it.", "I would not keep it.")
    assert concat(said) == (
        "user: (left out: it looks like a password)\nassistant: I would not keep it."
    )

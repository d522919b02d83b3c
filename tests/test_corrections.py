"""What a person says of themselves, and where they correct what is remembered of them.

``tests/corrections`` has lists of phrases of each kind: the patterns were made with ``dev`` before
the eyes; ``heldout`` was written before any of them and ``heldout2`` when they stood, and neither
was looked at for one.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from home import Home, make_home, message, write_session

from vault_sessions import Workspace
from vault_sessions.memory import Kit
from vault_sessions.memory import facts as long_term
from vault_sessions.model import Candidate, Proposal
from vault_sessions.rules.corrections import detect
from vault_sessions.rules.facts import Entry
from vault_sessions.rules.proposing import propose
from vault_sessions.rules.statements import statements, third_person

PHRASES = Path(__file__).parent / "corrections"


def phrases(name: str) -> list[str]:
    """A list of messages; ``\\n`` in one is a line's end."""
    lines = (PHRASES / f"{name}.txt").read_text("utf-8").split("\n")
    return [line.replace("\\n", "\n") for line in lines if line and not line.startswith("# ")]


# --- finding them --------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["dev", "heldout", "heldout2"])
def test_few_are_missed_and_hardly_any_is_none(which: str) -> None:
    """Precision at least 0.95, recall at least 0.85."""
    are, are_not = phrases(f"{which}_yes"), phrases(f"{which}_no")
    found = sum(detect(text) is not None for text in are)
    wrong = [text for text in are_not if detect(text) is not None]
    assert found / (found + len(wrong)) >= 0.95, wrong
    assert found / len(are) >= 0.85


def test_there_are_enough_phrases_and_none_is_in_both_lists() -> None:
    lists = [phrases(f"{w}_{k}") for w in ("dev", "heldout", "heldout2") for k in ("yes", "no")]
    assert sum(map(len, lists[::2])) >= 120
    assert sum(map(len, lists[1::2])) >= 200
    together = [text for each in lists for text in each]
    assert len(together) == len(set(together))


@pytest.mark.parametrize(
    "text",
    [
        "Actually, I live in Boulder.",
        "no, I meant Denver, not Dallas",
        "I should mention I don't drive any more",
        "Correction: I'm 36",
        "For the record, I have two sisters",
        "I no longer work at Tallgrass",
        "we do not live in Denver any more",
        "I used to live in Austin but now I live in Denver",
        "I've moved to Boulder",
        "I left Tallgrass",
        "i quit my job",
        "I started a new job at Kestrel",
        "I've changed jobs",
        "I switched to decaf",
        "I got married",
        "I renamed the project to Brightline",
        "it's Denver, not Austin",
        "Forget that I'm allergic to hazelnuts",
        "update your memory: I live in Boulder",
    ],
)
def test_every_pattern_of_the_rule(text: str) -> None:
    assert detect(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Do I no longer live in Denver?",
        "Please write that I moved to Boulder.",
        "wait for the build",
        "no longer than 200 words",
        "The server is no longer reachable",
        'He wrote "I moved to Boulder last week"',
        "> I no longer live in Denver\nWhat do I answer?",
        "```\nI no longer live in Denver\n```",
        "`I no longer live in Denver`",
        "If I moved to Boulder, what would change?",
        "Imagine I've moved to Boulder. I no longer own a car.",
        "actually that code fails",
        "",
        " \n ",
    ],
)
def test_the_traps_of_the_rule(text: str) -> None:
    assert detect(text) is None


def test_code_at_the_end_of_a_long_message_stays_code() -> None:
    """Of a long text only the ends are read; the fence may open in what is left out."""
    log = "2026-11-21 12:00:00 request done\n" * 200
    code = f"Why does this fail?\n{log}```\n{log}I no longer live in Denver\n"
    assert detect(code) is None
    assert detect(f"Why?\n```\n{log}```\nBy the way, I no longer live in Denver") is not None


HOSTILE = [
    "I moved the file to src and now the import fails, but I no longer see why. " * 1400,
    "actually, I " * 9000,
    "I no longer " * 9000,
    "it's X, not Y" * 8000,
    "Aa Bb " * 17000,
    '"' * 100_000,
    " " * 100_000,
    "my manager is " * 7000,
    "i used to " * 10_000,
    "if I " * 20_000,
    "(" * 100_000,
    "\n" * 100_000,
    "I've switched to " * 6000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_no_pattern_explodes_on_a_long_message(text: str) -> None:
    """100 kB, many times over: a pattern that takes quadratic time never comes to an end here."""
    for _ in range(20):
        detect(text)
    statements(text)


# --- what they concern ---------------------------------------------------------------------------

KNOWN = [
    Entry("Facts", 3, "Lives in Denver, Colorado (moved there on July 11, 2026)", True),
    Entry("Facts", 4, "Works as a platform engineer at Tallgrass Freight"),
    Entry("Facts", 5, "Allergic to hazelnuts"),
    Entry("Facts", 6, "Drives a 2019 RAV4 hybrid"),
    Entry("Facts", 7, "Works from home on Wednesdays"),
    Entry("Goals", 9, "Run the Colfax half marathon in May 2027"),
    Entry("Preferences", 11, "Always a window seat on trains"),
    Entry("Relationships", 13, "Tomás is her partner; he is vegetarian and teaches music"),
    Entry("Relationships", 14, "Priya Raman is her manager; she took over in January 2026"),
    Entry("Relationships", 15, "Katrin Weber is a friend; her wedding is on May 23, 2026"),
    Entry("Relationships", 16, "Walt is the neighbour on Tennyson St and has the spare key"),
]


def asked(text: str) -> tuple[str | None, str | None] | None:
    """Old and new, as the owner would be asked."""
    found = detect(text)
    proposal = propose(found, KNOWN, session_id="s", message_id="m") if found else None
    return (proposal.old, proposal.new) if proposal else None


@pytest.mark.parametrize(
    ("text", "line", "new"),
    [
        ("Actually I live in Boulder now.", 3, "Lives in Boulder"),
        ("I no longer live in Denver", 3, "No longer lives in Denver"),
        ("I've moved to Oslo", 3, "Lives in Oslo"),
        ("forget that I live in Denver", 3, None),
        ("I started at Kestrel this week", 4, "Works at Kestrel"),
        ("Actually, I work at Northwind, not Tallgrass.", 4, "Works at Northwind"),
        ("Correction: I'm allergic to walnuts, not hazelnuts.", 5, "Is allergic to walnuts"),
        ("I sold my RAV4", 6, "Sold her RAV4"),
        ("I now work from home on Fridays, not Wednesdays.", 7, "Works from home on Fridays"),
        ("I gave up on the marathon", 9, "Gave up on the marathon"),
        ("I prefer aisle seats now", 11, "Prefers aisle seats"),
        (
            "My partner no longer teaches music",
            13,
            "Tomás is her partner; he is vegetarian and no longer teaches music",
        ),
        ("update your memory, my manager is Marcus now", 14, "Marcus is her manager"),
        (
            "sorry, I meant May 24, not May 23",
            15,
            "Katrin Weber is a friend; her wedding is on May 24, 2026",
        ),
        ("forget about Walt having the spare key", 16, None),
    ],
)
def test_the_entry_concerned_is_shown_old_and_new(text: str, line: int, new: str | None) -> None:
    old = next(entry.text for entry in KNOWN if entry.line == line)
    assert asked(text) == (old, new)


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("I got married last weekend", "Got married last weekend"),
        ("For the record, I have two sisters", "Has two sisters"),
        ("I don't live on Tennyson St anymore", "Doesn't live on Tennyson St anymore"),
    ],
)
def test_where_none_is_concerned_a_new_fact_is_asked_about(text: str, new: str) -> None:
    assert asked(text) == (None, new)


@pytest.mark.parametrize(
    "text",
    [
        "Actually I live in Denver",
        "For the record, my partner is Tomás",
        "it's Ruth, not Rita",
        "forget that I have a boat",
        "I've changed my password, it is hunter2-Xy7!kQ",
    ],
)
def test_what_is_known_or_concerns_nothing_or_is_secret_is_not_asked(text: str) -> None:
    assert asked(text) is None


def test_two_entries_that_may_be_meant_are_not_guessed_between() -> None:
    twice = [Entry("Facts", 1, "Likes tea on Mondays"), Entry("Facts", 2, "Likes rum on Mondays")]
    found = detect("it's Sunday, not Mondays")
    assert found is not None
    assert propose(found, twice) is None


# --- statements ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "section", "said"),
    [
        ("I live in Denver.", "Facts", "Lives in Denver"),
        ("im living in Denver now, with my partner", "Facts", "Lives in Denver"),
        ("I moved to Boulder in October", "Facts", "Lives in Boulder"),
        ("I'm a platform engineer at Tallgrass Freight", "Facts", None),
        ("I'm allergic to hazelnuts, so no nutella", "Facts", "Is allergic to hazelnuts"),
        ("I turned 37 last week", "Facts", "Is 37 years old"),
        ("My manager is Priya Raman.", "Relationships", "Manager is Priya Raman"),
        ("Priya is my manager", "Relationships", "Manager is Priya"),
        ("I prefer metric units.", "Preferences", "Prefers metric units"),
        ("My goal is to pass the JLPT N3", "Goals", "Pass the JLPT N3"),
        ("We decided to use NATS JetStream", "Projects", "Decided to use NATS JetStream"),
        ("please remember that Walt has the spare key", "Facts", "Walt has the spare key"),
        ("Remember I hate cilantro", "Preferences", "Hates cilantro"),
        ("Ich wohne in Freiburg und arbeite viel.", "Facts", "Wohnt in Freiburg"),
        ("Merk dir, dass ich keine Nüsse esse.", "Facts", "Isst keine Nüsse"),
        ("Meine Schwester heißt Ingrid.", "Relationships", "Schwester heißt Ingrid"),
        ("東京に住んでいます。", "Facts", "東京に住んでいる"),
        ("私は卵アレルギーがあります。", "Facts", "卵アレルギーがある"),
        (
            "来週の会議は金曜日だと覚えておいてください。",
            "Facts",
            "来週の会議は金曜日だ",
        ),
    ],
)
def test_what_a_person_says_of_themselves(text: str, section: str, said: str | None) -> None:
    found = statements(text)
    assert [one.section for one in found] == [section]
    assert said is None or found[0].text == said
    assert found[0].quote in text


@pytest.mark.parametrize(
    "text",
    [
        "Do you remember that I live in Denver?",
        "I live in Denver, right?",
        "If I live in Denver, what taxes do I pay?",
        'My colleague says "I live in Denver".',
        "> I live in Denver",
        "```\nI live in Denver\n```",
        "Imagine I live on a boat. I work as a sailor.",
        "Write a story: I live in Oslo.",
        "Translate into Swedish: I live in Oslo.",
        "She says I live in Denver",
        "I don't live in Denver",
        "I might live in Oslo next year",
        "I prefer the second one",
        "I love it",
        "I'm a bit confused",
        "I'm 20 minutes late",
        "I want to run the tests",
        "I have two questions",
        "I moved to the next step",
        "I live in the terminal",
        "My goal is a clean diff",
        "Note that the function is recursive",
        "Keep in mind that I haven't tested it",
        "My colleague's manager is Priya",
        "Wohne ich in Freiburg?",
        "Wenn ich in Freiburg wohne, was dann?",
        "どこに住んでいますか？",
        "「東京に住んでいます」を英語に訳して",
        "",
    ],
)
def test_what_is_no_statement_of_theirs(text: str) -> None:
    assert statements(text) == []


def test_several_statements_in_their_order() -> None:
    text = "My name is Maya and I live in Denver. I'm allergic to nuts."
    said = [one.text for one in statements(text)]
    assert said == ["Name is Maya", "Lives in Denver", "Is allergic to nuts"]


@pytest.mark.parametrize(
    ("said", "bullet"),
    [
        ("I no longer work at Tallgrass", "No longer works at Tallgrass"),
        ("I don't eat meat", "Doesn't eat meat"),
        ("we've moved", "Has moved"),
        ("I'm not vegan any more", "Is not vegan any more"),
        ("I am in Oslo", "Is in Oslo"),
        ("i study law", "Studies law"),
        ("I moved in with my sister", "Moved in with their sister"),
        ("my dog is old", "Dog is old"),
    ],
)
def test_as_a_bullet(said: str, bullet: str) -> None:
    assert third_person(said) == bullet


# --- in a conversation ---------------------------------------------------------------------------

FACTS = "atlas/memory/long-term/facts.md"
CTRL_C = b"\x03"
QUESTION = "Save this correction? [y/N/e]"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A vault that knows three things."""
    made = make_home(tmp_path)
    (made.vault / FACTS).write_text(
        "# Facts\r\n\r\n## Facts\n\n- Lives in Denver\n- Allergic to nuts\n\n## Goals\n\n- Run\n"
    )
    return made


def facts(home: Home) -> list[str]:
    text = (home.vault / FACTS).read_text()
    return [line.split(" <!--")[0] for line in text.splitlines() if line.startswith("- ")]


def test_a_yes_changes_that_entry_and_no_other_byte(home: Home) -> None:
    before = (home.vault / FACTS).read_bytes()
    said = home.screen("chat", "--plain", typed="Actually I live in Boulder now.\ny\n/quit\n")
    assert "old: Lives in Denver" in said.text
    assert "new: Lives in Boulder" in said.text
    assert QUESTION in said.text
    assert "Saved: facts.md" in said.text
    assert facts(home) == ["- Lives in Boulder", "- Allergic to nuts", "- Run"]
    after = (home.vault / FACTS).read_bytes().split(b"\n")
    assert [a for a in after if b"Boulder" not in a] == [
        b for b in before.split(b"\n") if b"Denver" not in b
    ]
    [change] = home.json("memory", "log")
    assert (change["old"], change["new"], change["by"]) == (
        "Lives in Denver",
        "Lives in Boulder",
        "user",
    )
    assert change["message_id"]
    home.output("memory", "undo")
    assert facts(home)[0] == "- Lives in Denver"


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_anything_else_changes_nothing(home: Home, answer: str) -> None:
    before = (home.vault / FACTS).read_bytes()
    said = home.screen("chat", "--plain", typed=f"I moved to Boulder\n{answer}/quit\n")
    assert QUESTION in said.text
    assert said.code == 0
    assert (home.vault / FACTS).read_bytes() == before


def test_e_edits_the_text_first(home: Home) -> None:
    typed = "I moved to Boulder\ne\n, Colorado\n/quit\n"
    home.screen("chat", "--plain", typed=typed)
    assert facts(home)[0] == "- Lives in Boulder, Colorado"


def test_forgetting_takes_it_out(home: Home) -> None:
    typed = "Forget that I'm allergic to nuts.\ny\n/quit\n"
    said = home.screen("chat", "--plain", typed=typed)
    assert "(taken out)" in said.text
    assert facts(home) == ["- Lives in Denver", "- Run"]


def test_a_new_fact_is_asked_about_too(home: Home) -> None:
    said = home.screen("chat", "--plain", typed="I got married in May\ny\n/quit\n")
    assert QUESTION in said.text
    assert "- Got married in May" in facts(home)


def test_a_no_is_not_asked_again_in_that_session_also_after_a_restart(home: Home) -> None:
    again = "I moved to Boulder\n"
    said = home.screen("chat", "--plain", "-s", "x", typed=f"{again}n\n{again}/quit\n")
    assert said.text.count(QUESTION) == 1
    said = home.screen("chat", "--plain", "-s", "x", typed=f"{again}/quit\n")
    assert QUESTION not in said.text
    said = home.screen("chat", "--plain", "-s", "y", typed=f"{again}n\n/quit\n")
    assert QUESTION in said.text


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_was_declined_is_not_learned_behind_their_back(home: Home, is_ours: bool) -> None:
    """Neither in place of an entry of ours, nor as an offer for one of the owner's."""
    said = "Actually I moved to Boulder"
    lines = [message(said, id="m1"), message("Nice.", "assistant", id="m2")]
    write_session(home, "s1", *lines)
    if is_ours:
        old = (home.vault / FACTS).read_text()
        (home.vault / FACTS).write_text(old.replace("- Lives in Denver\n", ""))
        home.output("memory", "add", "Lives in Denver")
    with home_workspace(home) as ws:
        ws.chat.begin(ws.chat.decide_named("s1")[0])
        proposal = ws.corrections.find(said)
        assert proposal is not None
        assert (proposal.old, proposal.message_id) == ("Lives in Denver", "m1")
        ws.corrections.decline(proposal)
        assert ws.corrections.find(said) is None
        ws.chat.leave()
        ws.endings.end("s1", offline=True)
        assert "Boulder" not in (home.vault / FACTS).read_text()
        assert not ws.corrections.offers()


def test_what_was_declined_is_not_learned_in_other_words(home: Home) -> None:
    """A no to a new fact holds for the message that it was made of."""
    said = "For the record, I'm allergic to figs."
    write_session(home, "s1", message(said, id="m1"), message("Noted.", "assistant", id="m2"))
    with home_workspace(home) as ws:
        ws.chat.begin(ws.chat.decide_named("s1")[0])
        proposal = ws.corrections.find(said)
        assert proposal is not None
        ws.corrections.decline(proposal)
        ws.chat.leave()
        other = Candidate("Facts", "Can't have figs", "m1", "I'm allergic to figs")
        kit = Kit(ws.vault, ws.state, datetime.now(UTC), lambda bits: 1)
        outcome = long_term.learn(kit, [other], "s1")
    assert outcome.changes == ()
    assert "figs" not in (home.vault / FACTS).read_text()


def home_workspace(home: Home) -> Workspace:
    """The vault at work in this process, with the folders of the test."""
    return Workspace.open(home.vault, environment=home.environment)


def test_without_a_terminal_it_is_only_told(home: Home) -> None:
    before = (home.vault / FACTS).read_bytes()
    for done in (
        home.run("chat", "-m", "Actually I live in Boulder now."),
        home.run("chat", stdin="Actually I live in Boulder now."),
    ):
        assert done.returncode == 0
        assert "Not saved" in done.stderr
        assert "“Lives in Denver” → “Lives in Boulder”" in done.stderr
        assert QUESTION not in done.stdout + done.stderr
    assert (home.vault / FACTS).read_bytes() == before


def test_nothing_is_asked_where_it_is_switched_off_or_private(home: Home) -> None:
    typed = "I moved to Boulder\n/quit\n"
    assert QUESTION not in home.screen("chat", "--plain", "--private", typed=typed).text
    home.output("config", "set", "memory.corrections", "false")
    assert QUESTION not in home.screen("chat", "--plain", typed=typed).text


def test_what_the_model_has_changed_in_answering_is_not_asked(home: Home) -> None:
    write_session(home, "s1", message("I moved to Boulder", id="m1"))
    with home_workspace(home) as ws:
        ws.chat.begin(ws.chat.decide_named("s1")[0])
        proposal = ws.corrections.find("I moved to Boulder")
        assert proposal is not None
        ws.corrections.save(proposal, "Has a flat in Boulder")
        assert ws.corrections.find("I moved to Boulder") is None


# --- what waits for an answer --------------------------------------------------------------------


def offer(home: Home, bullet: str) -> Path:
    """A summary of ours that asks something."""
    from vault_sessions.formats.summary import generated_hash

    body = f"# A move\n\n## Summary\n\nThey moved.\n\n## To confirm\n\n- {bullet}"
    path = home.vault / "atlas/memory/long-term/session-2026-11-20-a-move.md"
    front = f"session_id: s0\ntopic: A move\ngenerated_hash: {generated_hash(body)}"
    path.write_text(f"---\n{front}\n---\n\n{body}\n")
    return path


OFFER = "facts.md › Facts: “Lives in Denver” → “Lives in Boulder” <!-- 2026-11-20 s0#m0 -->"


def test_what_waits_is_asked_at_the_next_chat_once(home: Home) -> None:
    path = offer(home, OFFER)
    said = home.screen("chat", "--plain", typed="y\n/quit\n")
    assert "old: Lives in Denver" in said.text
    assert facts(home)[0] == "- Lives in Boulder"
    assert "To confirm" not in path.read_text()
    assert QUESTION not in home.screen("chat", "--plain", typed="/quit\n").text


@pytest.mark.parametrize("key", [b"\x04", CTRL_C], ids=["Ctrl-D", "Ctrl-C"])
def test_no_answer_settles_nothing(home: Home, key: bytes) -> None:
    """Ctrl-D and Ctrl-C at the question: the chat goes on, and it is asked the next time."""
    path = offer(home, OFFER)
    before = path.read_bytes()
    shown = dialogue(home, (QUESTION, key), ("not saved", b""), ("> ", b"/quit\n"))
    assert "Traceback" not in shown
    assert path.read_bytes() == before
    assert QUESTION in home.screen("chat", "--plain", typed="n\n/quit\n").text


def test_ctrl_c_at_a_correction_leaves_the_chat_open(home: Home) -> None:
    before = (home.vault / FACTS).read_bytes()
    shown = dialogue(
        home,
        ("> ", b"I moved to Boulder\n"),
        (QUESTION, CTRL_C),
        ("not saved", b""),
        ("> ", b"/quit\n"),
    )
    assert "Come back" in shown
    assert "Traceback" not in shown
    assert (home.vault / FACTS).read_bytes() == before


def dialogue(home: Home, *steps: tuple[str, bytes]) -> str:
    """A chat on a terminal: what is typed each time when something has been shown; all of it."""
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        home.command("chat", "--plain"),
        cwd=home.vault,
        env={**home.environment, "TERM": "dumb"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = ""
    at = 0
    left, last = list(steps), b""
    with suppress(OSError):  # Linux says EIO when the other end is closed
        for _ in range(200):
            if not select.select([ours], [], [], 0.3)[0]:
                if last == CTRL_C:  # one that comes between prompt and reading is not heard
                    process.send_signal(signal.SIGINT)
                continue
            piece = os.read(ours, 65536)
            shown += piece.decode("utf-8", "replace")
            while left and (found := shown.find(left[0][0], at)) >= 0:
                at = found + len(left[0][0])
                last = left.pop(0)[1]
                if last == CTRL_C:
                    process.send_signal(signal.SIGINT)
                else:
                    os.write(ours, last)
    os.close(ours)
    assert process.wait(30) == 0, shown
    assert not left, shown
    return shown


def test_a_no_to_it_settles_it(home: Home) -> None:
    path = offer(home, OFFER)
    assert QUESTION in home.screen("chat", "--plain", typed="n\n/quit\n").text
    assert "To confirm" not in path.read_text()
    assert facts(home)[0] == "- Lives in Denver"
    assert QUESTION not in home.screen("chat", "--plain", typed="/quit\n").text


def test_what_memory_does_not_say_any_more_is_not_asked(home: Home) -> None:
    offer(home, OFFER.replace("Denver", "Austin"))
    assert QUESTION not in home.screen("chat", "--plain", typed="/quit\n").text


def test_a_message_of_one_turn_is_never_held_up_by_it(home: Home) -> None:
    path = offer(home, OFFER)
    before = path.read_bytes()
    done = home.run("chat", "-m", "hello")
    assert done.returncode == 0
    assert QUESTION not in done.stderr
    assert path.read_bytes() == before


def test_an_answer_as_the_owner_left_it_is_saved(home: Home) -> None:
    """One that was to go, and got another text instead."""
    with home_workspace(home) as ws:
        ws.corrections.save(Proposal("facts.md", "Facts", "Allergic to nuts", None), "Eats nuts")
    assert facts(home)[1] == "- Eats nuts"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a workspace in this process keeps its things: with those of the test's processes."""
    for kind in ("cache", "state", "config"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind.upper()}", str(tmp_path / kind))
    monkeypatch.delenv("VAULT_SESSIONS_VAULT", raising=False)


def test_a_greeting_makes_no_correction() -> None:
    """The again of a greeting says nothing of what follows."""
    assert detect("Hello again, I live in Boulder, what is BGP?") is None
    assert detect("Again: I live in Boulder, what is BGP?") is not None


@pytest.mark.parametrize(
    "text",
    [
        "We decided to copy table 2 on Monday.",
        "We agreed to register tomorrow.",
        "We decided to go with UniqueConstraint(fields=[1]) and so on.",
    ],
)
def test_what_is_done_soon_or_is_code_is_no_lasting_decision(text: str) -> None:
    assert statements(text) == []


def test_a_fact_ends_where_the_next_thing_is_told() -> None:
    told = statements("I'm allergic to hazelnuts, the kids eat noodles and air.")
    assert [statement.text for statement in told] == ["Is allergic to hazelnuts"]


def test_what_is_to_be_remembered_may_stand_in_the_middle() -> None:
    said = "Let's do that, then. Remember that we always use unsalted butter. How much salt?"
    assert [one.text for one in statements(said)] == ["Always uses unsalted butter"]

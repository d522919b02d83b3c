"""The end of a session: what it leaves behind, in which order, once, whoever is killed."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import faults
import orjson
import pytest
from faults import Fault, Faults, quick_folder
from home import SAMPLE, Home, make_home, message, tree, write_session
from hypothesis import given
from hypothesis import strategies as st
from openai_server import OpenAIServer

from vault_sessions import Workspace
from vault_sessions.errors import ProviderError
from vault_sessions.formats import summary as summaries
from vault_sessions.formats.memory import read_document, section_text
from vault_sessions.memory import Kit
from vault_sessions.memory import summaries as kept
from vault_sessions.model import Change, Proposal, Session
from vault_sessions.rules import ending
from vault_sessions.rules.resume import Rules

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)
TALK = "20261120-090000-aaaaaa"

TOPIC = {"topic": "Move to Denver"}
FACTS = {
    "facts": [
        {
            "message": 1,
            "section": "Facts",
            "fact": "Lives in Denver",
            "quote": "I moved to Denver",
            "replaces": 0,
        }
    ]
}
SUMMARY = {
    "summary": ["Maya moved to Denver on July 11.", "The container costs 2,450 USD."],
    "decisions": ["Container instead of a truck"],
    "open_items": ["Car registration by October 9"],
}
SNAPSHOT = {"sentences": ["The user lives in Denver."]}
DONE = (TOPIC, SUMMARY, FACTS, SNAPSHOT)
ORDER = ["topic", "summary", "facts", "snapshot"]
WORDS = (
    "Hello! I moved to Denver on July 11. Container or truck?",
    "The container costs 2,450 USD, the truck more.",
    "The container instead of a truck, then. What else is there to do?",
    "The car registration in Denver, by October 9.",
)


def a_session(name: str = "s", ago: timedelta = 5 * HOUR, **fields: Any) -> Session:
    """A row of the list, open, asked something, active so long ago."""
    at = f"{(NOW - ago).isoformat(timespec='milliseconds')}".replace("+00:00", "Z")
    row = dict.fromkeys(Session._fields)
    row |= {"id": name, "updated_at": at, "message_count": 4, "user_messages": 2, "problems": 0}
    return Session(**{**row, "path": f"{name}.jsonl", **fields})


def due(*sessions: Session, now: datetime = NOW, in_use: tuple[str, ...] = (), **rules: Any) -> Any:
    ours = {s.id for s in sessions if not s.id.startswith("theirs")}
    found = ending.ends_by_itself(sessions, Rules(**rules), now, ours, in_use)
    return [(one.session_id, one.reason) for one in found]


# --- which sessions end by themselves ------------------------------------------------------------


def test_the_window_ends_what_can_not_be_resumed() -> None:
    """Exactly four hours is too old to be resumed, so it ends; a millisecond less is not."""
    assert due(a_session(ago=4 * HOUR)) == [("s", "window")]
    assert due(a_session(ago=4 * HOUR - MS)) == []
    assert due(a_session(ago=timedelta(0)), window=timedelta(0)) == [("s", "window")]
    assert due(a_session(ago=-timedelta(minutes=2)), window=timedelta(0)) == []


def test_only_what_this_machine_wrote_and_nobody_has_open() -> None:
    """Another machine's, an open, an ended and an empty one are left alone."""
    assert due(a_session("theirs")) == []
    assert due(a_session(), in_use=("s",)) == []
    assert due(a_session(ended_at="2026-11-21T08:00:00.000Z")) == []
    assert due(a_session(user_messages=0)) == []
    assert due(a_session(updated_at=None)) == []


def test_what_was_cut_short_is_tried_again_with_its_reason() -> None:
    """A session that is marked as ending is due whatever its age."""
    assert due(a_session(ago=timedelta(0), ending="new")) == [("s", "new")]
    assert due(a_session("theirs", ending="new")) == []


def test_five_at_most_the_newest_first() -> None:
    """An old vault is not worked through at one start."""
    sessions = [a_session(f"s{n}", ago=timedelta(hours=10 + n)) for n in range(8)]
    assert [name for name, _ in due(*reversed(sessions))] == ["s0", "s1", "s2", "s3", "s4"]


def test_the_reset_policy_ends_with_its_own_reason() -> None:
    """Idle and daily, within the window too; manual ends nothing within it."""
    assert due(a_session(ago=3 * HOUR), reset="idle") == [("s", "idle")]
    assert due(a_session(ago=HOUR), reset="idle") == []
    assert due(a_session(ago=3 * HOUR)) == []
    daily: dict[str, Any] = {"reset": "daily", "zone": UTC, "window": timedelta(days=30)}
    assert due(a_session(ago=9 * HOUR), **daily) == [("s", "daily")]
    assert due(a_session(ago=7 * HOUR), **daily) == []


@pytest.mark.parametrize(
    ("now", "last", "ends"),
    [
        # 29 March 2026, Berlin: 02:00 → 03:00. 02:30 is in the gap: 01:30 UTC, by the offset before
        ("2026-03-29T01:29:59Z", "2026-03-28T22:00:00Z", False),
        ("2026-03-29T01:30:00Z", "2026-03-28T22:00:00Z", True),
        ("2026-03-29T02:30:00Z", "2026-03-29T01:29:59Z", True),
        ("2026-03-29T02:30:00Z", "2026-03-29T01:30:00Z", False),
        # 25 October 2026: 03:00 → 02:00. 02:30 comes twice, the first (00:30 UTC) counts
        ("2026-10-25T00:29:59Z", "2026-10-24T22:00:00Z", False),
        ("2026-10-25T00:30:00Z", "2026-10-24T22:00:00Z", True),
        ("2026-10-25T01:45:00Z", "2026-10-25T00:31:00Z", False),
        # at least half an hour quiet
        ("2026-10-25T00:30:00Z", "2026-10-25T00:00:01Z", False),
        ("2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", True),
    ],
)
def test_daily_over_a_change_of_the_clocks(now: str, last: str, ends: bool) -> None:
    """A day begins at its local time, on the days too on which clocks are changed."""
    session = a_session(updated_at=last)
    zone, window = ZoneInfo("Europe/Berlin"), timedelta(days=30)
    at = datetime.fromisoformat(now)
    found = due(session, now=at, reset="daily", daily_at=time(2, 30), zone=zone, window=window)
    assert found == ([("s", "daily")] if ends else [])


# --- what is missing -----------------------------------------------------------------------------


def test_what_an_ending_has_to_make() -> None:
    """The steps in their order, each only if it is missing; under one exchange nothing."""
    fresh = ending.Standing(2, 4, False, True, None, False, True)
    assert list(ending.missing(fresh)) == ORDER
    assert ending.missing(fresh._replace(exchanges=0)) == ()
    assert "topic" not in ending.missing(fresh._replace(has_topic=True))
    assert "topic" not in ending.missing(fresh._replace(topic_wanted=False))
    assert "summary" not in ending.missing(fresh._replace(summary_of=4))
    assert "summary" in ending.missing(fresh._replace(summary_of=2))
    assert "summary" not in ending.missing(fresh._replace(summary_of=2, is_owners=True))
    assert ending.missing(fresh._replace(may_learn=False)) == ("topic", "summary")


def a_change(new: str | None, old: str | None = None, **fields: Any) -> Change:
    name = f"c-{new}-{old}"
    made = Change(name, "2026-11-21T12:00:00.000Z", "facts.md", "Facts", old, new, "one")
    return made._replace(**fields)


def test_what_was_learned_from_a_session() -> None:
    """What still stands of it: not what was replaced or undone later."""
    lives, works = a_change("Lives in Austin"), a_change("Works at Tallgrass")
    assert ending.learned([lives, works], "one") == ("Lives in Austin", "Works at Tallgrass")
    assert ending.learned([lives, works], "two") == ()
    moved = a_change("Lives in Denver", "Lives in Austin", session_id="two")
    assert ending.learned([lives, works, moved], "one") == ("Works at Tallgrass",)
    undone = a_change(None, "Works at Tallgrass", undoes=works.id)
    assert ending.learned([lives, works, undone], "one") == ("Lives in Austin",)


def test_when_the_picture_is_drawn_anew() -> None:
    """When a fact has changed since; where the owner has edited it, only because of this one."""
    drawn = a_change("A picture.", file="user.md", section="Snapshot")
    fact = a_change("Lives in Denver")
    assert not ending.snapshot_due([], "one", is_ours=True)
    assert not ending.snapshot_due([fact, drawn], "one", is_ours=True)
    assert ending.snapshot_due([drawn, fact], "two", is_ours=True)
    assert ending.snapshot_due([drawn, fact], "one", is_ours=False)
    assert not ending.snapshot_due([drawn, fact], "two", is_ours=False)


# --- the file of a summary -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "slug"),
    [
        ("Q2 planning discussion", "q2-planning-discussion"),
        ("Week after Katrin's wedding", "week-after-katrin-s-wedding"),
        ("E-Mail an die Vermieterin", "e-mail-an-die-vermieterin"),
        ("CSVの文字化けと依頼メール", "csvの文字化けと依頼メール"),
        ("Cafe\u0301 Über", "café-über"),
        ("हिन्दी में पत्र", "हिन्दी-में-पत्र"),
        ("../../etc/passwd\0\n", "etc-passwd"),
        ("!!!", ""),
        ("word " * 20, "word-word-word-word-word-word-word-word-word-word"),
    ],
)
def test_slugs(topic: str, slug: str) -> None:
    """Letters and digits of any script, nothing that a path could trip over, 50 at most."""
    assert summaries.slug(topic) == slug
    assert len(summaries.slug(topic)) <= 50


def test_file_names_have_the_local_date_of_the_start() -> None:
    """A talk that began at 01:20 UTC is of the day before in Denver; no topic: the id's end."""
    at = datetime(2026, 9, 22, 1, 20, tzinfo=UTC)
    zone = ZoneInfo("America/Denver")
    assert summaries.file_name(at, "CSV", TALK, zone) == "session-2026-09-21-csv.md"
    assert summaries.file_name(at, "…", TALK, UTC) == "session-2026-09-22-aaaaaa.md"


ANY = st.text(st.characters(codec="utf-8"), max_size=60)


@given(ANY, ANY, ANY, st.lists(ANY, max_size=3))
def test_a_summary_reads_as_it_was_written(
    topic: str, model: str, text: str, items: list[str]
) -> None:
    """Whatever a model says in it: the front matter is whole, and the file is ours."""
    summary = summaries.Summary(
        TALK, topic, NOW, NOW, 4, model or None, "ai", text, tuple(items), tuple(items)
    )
    data = summaries.render(summary)
    read = summaries.read(data)
    assert read == (TALK, 4, True)
    front = read_document(data).front
    assert front["topic"] == " ".join(topic.split()).replace("<!--", "‹!--").replace("-->", "--›")
    assert front.get("model") == (model or None)
    assert len(re.findall(rb"(?m)^## ", data)) <= 3
    more = summaries.with_section(data, "Learned", ("Lives in Denver",))
    more = summaries.with_section(more, "To confirm", ("x",))
    assert summaries.read(more) == (TALK, 4, True)
    assert summaries.section_bullets(more, "Learned") == ["Lives in Denver"]
    back = summaries.with_section(summaries.with_section(more, "Learned", ()), "To confirm", ())
    assert back == data


def test_the_samples_summaries_are_read() -> None:
    """All but the one that Maya edited are ours, and their names are what the rule gives."""
    edited = []
    for path in sorted((SAMPLE / "atlas/memory/long-term").glob("session-*.md")):
        data = path.read_bytes()
        front = read_document(data).front
        zone = ZoneInfo("America/Chicago" if path.name < "session-2026-07" else "America/Denver")
        name = summaries.file_name(front["started_at"], front["topic"], front["session_id"], zone)
        assert name == path.name
        if not summaries.read(data).is_ours:
            edited.append(path.name)
    assert edited == ["session-2026-06-09-move-from-austin-to-denver.md"]


@pytest.mark.parametrize(
    "offer",
    [
        Proposal("facts.md", "Facts", "Lives in Austin", "Lives in Denver", "one", "m1"),
        Proposal("facts.md", "Facts", None, "Says “hello” → “bye”", "one", "m1"),
        Proposal("facts.md", "Projects", "Kafka: the bus", None, "one", None),
        Proposal("user.md", "Snapshot", "Old. Text.", "New. Text.", "one", None),
        Proposal("user.md", None, None, "Something new", "one", "m1"),
    ],
)
def test_offers_read_as_they_were_written(offer: Proposal) -> None:
    """With the bullet and the comment behind it, and without both."""
    line = summaries.offer_line(offer, NOW.date())
    assert summaries.read_offer(f"- {line}") == offer
    bare = summaries.read_offer(line.split(" <!--")[0])
    assert bare == offer._replace(session_id=None, message_id=None)
    assert summaries.read_offer("- something else") is None


# --- a session ends ------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty vault; what is opened in this process has its folders there too."""
    home = make_home(tmp_path)
    for name, value in home.environment.items():
        if name.startswith("VAULT_SESSIONS_"):
            monkeypatch.setenv(name, value)
    return home


def use(home: Home, server: OpenAIServer, more: str = "") -> None:
    """Settings by which the server on this machine answers."""
    (home.folder / "config").mkdir(exist_ok=True)
    (home.folder / "config/config.yaml").write_text(
        f"ai:\n  default_provider: fake\n"
        f"  providers:\n    fake: {{base_url: '{server.base_url}', model: small}}\n{more}"
    )


def talk(home: Home, *texts: str, session: str = TALK, **meta: Any) -> None:
    """A session of these texts, the user's first, a minute apart."""
    start = datetime(2026, 11, 20, 9, tzinfo=UTC)
    lines = [
        message(
            text,
            "assistant" if n % 2 else "user",
            id=f"m{n}",
            created_at=f"{start + timedelta(minutes=n):%Y-%m-%dT%H:%M:%S}.000Z",
        )
        for n, text in enumerate(texts)
    ]
    fields = {"version": 1, "id": session, "created_at": "2026-11-20T09:00:00.000Z", **meta}
    write_session(home, session, *lines, **fields)


def answer(server: OpenAIServer, *answers: Any) -> None:
    for each in answers:
        server.reply(json.dumps(each))


def meta(home: Home, session: str = TALK) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads((home.sessions / f"{session}.meta.json").read_bytes())
    return fields


def calls(home: Home) -> list[str]:
    """Every call to a model, by its kind."""
    found = list((home.folder / "state").rglob("calls.jsonl"))
    lines = found[0].read_text().splitlines() if found else []
    return [json.loads(line)["kind"] for line in lines]


def memory(home: Home, name: str = "facts") -> str:
    folder = "identity" if name == "user" else "memory/long-term"
    path = home.vault / "atlas" / folder / f"{name}.md"
    return path.read_text() if path.exists() else ""


def summary_of(home: Home) -> Path:
    [path] = (home.vault / "atlas/memory/long-term").glob("session-*.md")
    return path


def test_an_end_leaves_everything_a_secretary_would(home: Home, server: OpenAIServer) -> None:
    """Topic, summary, facts, picture and marks, made in this order; the path is printed."""
    use(home, server)
    talk(home, *WORDS)
    before = (home.sessions / f"{TALK}.jsonl").read_bytes()
    answer(server, *DONE)
    path = "atlas/memory/long-term/session-2026-11-20-move-to-denver.md"
    assert home.output("end", TALK) == f"{path}\n"
    assert calls(home) == ORDER
    now = meta(home)
    assert (now["topic"], now["topic_source"]) == ("Move to Denver", "generated")
    assert now["end_reason"] == "command"
    assert now["summary_file"] == path
    assert now["learned_through"] == "m3"
    assert "ending" not in now
    assert "pending_facts" not in now
    document = read_document((home.vault / path).read_bytes())
    assert document.front["session_id"] == TALK
    assert document.front["message_count"] == 4
    assert document.front["method"] == "ai"
    assert document.front["model"] == "small"
    ended, created = (datetime.fromisoformat(now[key]) for key in ("ended_at", "created_at"))
    assert document.front["ended_at"] == ended
    assert now["duration_seconds"] == int((ended - created).total_seconds())
    assert document.body.startswith("# Move to Denver\n\n## Summary\n\n")
    assert section_text(document.body, "Decisions") == "- Container instead of a truck"
    assert section_text(document.body, "Open items") == "- Car registration by October 9"
    assert section_text(document.body, "Learned") == "- Lives in Denver"
    assert re.search(rf"- Lives in Denver <!-- \d{{4}}-\d\d-\d\d {TALK}#m0 -->\n", memory(home))
    assert section_text(memory(home, "user"), "Snapshot") == "The user lives in Denver."
    assert (home.sessions / f"{TALK}.jsonl").read_bytes() == before
    [row] = home.json("list")
    assert row["status"] == "ended"


def test_a_second_end_repeats_nothing(home: Home, server: OpenAIServer) -> None:
    """No call, no byte; the path is printed again."""
    use(home, server)
    talk(home, *WORDS)
    answer(server, *DONE)
    first = home.output("end", TALK)
    before = tree(home.vault)
    assert home.output("end", TALK) == first
    assert tree(home.vault) == before
    assert calls(home) == ORDER


@pytest.mark.parametrize("kind", ORDER)
def test_a_model_that_fails_leaves_it_ending(home: Home, server: OpenAIServer, kind: str) -> None:
    """What was done before is kept, the error is said, and the next end does only the rest."""
    use(home, server)
    talk(home, *WORDS)
    at = ORDER.index(kind)
    answer(server, *DONE[:at])
    server.fail(401, "who are you?")
    said = home.error("end", TALK)
    assert "--offline" in said
    assert home.json("list")[0]["status"] == "ending"
    assert meta(home)["ending"]["reason"] == "command"
    marked = meta(home)["ending"]["at"]
    answer(server, *DONE[at:])
    home.output("end", TALK)
    assert calls(home) == [*ORDER[: at + 1], *ORDER[at:]]
    assert meta(home)["ended_at"] == marked
    assert memory(home).count("Lives in Denver") == 1
    log = (home.vault / "atlas/memory/changes.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in log] == ["facts.md", "user.md"]
    assert summaries.section_bullets(summary_of(home).read_bytes(), "Learned") == [
        "Lives in Denver"
    ]


def test_offline_finishes_what_the_model_could_not(home: Home, server: OpenAIServer) -> None:
    """``end --offline`` asks no model, and what was there already stays."""
    use(home, server)
    talk(home, *WORDS)
    answer(server, TOPIC)
    server.fail(401, "who are you?")
    home.error("end", TALK)
    home.output("end", "--offline", TALK)
    assert calls(home) == ["topic", "summary"]
    assert meta(home)["topic"] == "Move to Denver"
    front = read_document(summary_of(home).read_bytes()).front
    assert (front["method"], front["model"]) == ("extractive", "offline")
    assert "Lives in Denver" in memory(home) or "Moved to Denver" in memory(home)


def test_without_an_exchange_there_are_only_the_marks(home: Home) -> None:
    """A question that nobody answered leaves no summary, no topic and no fact."""
    talk(home, "I live in Denver. Hello?")
    assert home.output("end", TALK) == ""
    now = meta(home)
    assert now["ended_at"]
    assert "topic" not in now
    assert "summary_file" not in now
    assert memory(home) == ""


def test_what_the_settings_switch_off(home: Home, server: OpenAIServer) -> None:
    """Without ``topic.auto`` and ``memory.auto`` no model is called, and memory is not touched."""
    use(home, server, "topic:\n  auto: false\nmemory:\n  auto: false\n")
    talk(home, *WORDS)
    home.output("end", TALK)
    assert calls(home) == []
    assert "topic" not in meta(home)
    assert memory(home) == ""
    assert summary_of(home).exists()


def test_an_owners_topic_wins(home: Home, server: OpenAIServer) -> None:
    """It is neither replaced nor asked for."""
    use(home, server)
    talk(home, *WORDS, topic="Mine", topic_source="user")
    answer(server, SUMMARY, FACTS, SNAPSHOT)
    home.output("end", TALK)
    assert meta(home)["topic"] == "Mine"
    assert calls(home) == ORDER[1:]


def test_nonsense_for_a_topic_does_not_hold_up_the_end(home: Home, server: OpenAIServer) -> None:
    """A model that answers with no topic is not asked again; the rule makes one."""
    use(home, server)
    talk(home, *WORDS)
    server.reply("I am a large language model. " * 8)
    answer(server, SUMMARY, FACTS, SNAPSHOT)
    home.output("end", TALK)
    assert meta(home)["topic_source"] == "fallback"


# --- what is the owner's -------------------------------------------------------------------------


def test_nonsense_for_a_summary_holds_up_one_end_only(home: Home, server: OpenAIServer) -> None:
    """Asked again the model may do better; if it does not, it is made without it."""
    use(home, server)
    talk(home, *WORDS)
    answer(server, TOPIC)
    server.reply("I am a large language model.")
    home.error("end", TALK)
    server.reply("I am a large language model.")
    answer(server, FACTS, SNAPSHOT)
    home.output("end", TALK)
    assert calls(home) == ["topic", "summary", "summary", "facts", "snapshot"]
    front = read_document(summary_of(home).read_bytes()).front
    assert (front["method"], front["model"]) == ("extractive", "offline")


def test_a_summary_that_was_edited_is_left_alone(home: Home) -> None:
    """Not a byte of it changes when the session goes on and ends again."""
    talk(home, *WORDS)
    home.output("end", TALK)
    path = summary_of(home)
    mine = path.read_text().replace("## Summary\n", "## Summary\n\nNo: it was a truck.\n")
    path.write_text(mine)
    home.output("chat", "-s", TALK, "-m", "And I work at Tallgrass. What about the cat?")
    home.output("end", TALK)
    assert path.read_text() == mine
    assert meta(home)["ended_at"]


def test_a_session_that_goes_on_gets_its_summary_renewed(home: Home) -> None:
    """The same file, also under another name, with the messages that there are now."""
    talk(home, *WORDS)
    home.output("end", TALK)
    other = summary_of(home).with_name("my-move.md")
    summary_of(home).rename(other)
    home.output("chat", "-s", TALK, "-m", "We decided to take the train on Friday.")
    home.output("end", TALK)
    assert not list(other.parent.glob("session-*.md"))
    assert summaries.read(other.read_bytes()) == (TALK, 6, True)
    assert meta(home)["summary_file"] == "atlas/memory/long-term/my-move.md"


def test_two_sessions_of_one_topic_have_two_files(home: Home) -> None:
    """The second gets a number."""
    other = "20261120-100000-bbbbbb"
    talk(home, *WORDS, topic="Move", topic_source="user")
    talk(home, *WORDS, session=other, topic="Move", topic_source="user")
    printed = home.output("end", TALK, other).splitlines()
    assert [Path(line).name for line in printed] == [
        "session-2026-11-20-move.md",
        "session-2026-11-20-move-2.md",
    ]


def test_what_the_owner_wrote_is_offered_never_done(home: Home) -> None:
    """A fact of theirs that is out of date stays; the summary says what to ask them."""
    path = home.vault / "atlas/memory/long-term/facts.md"
    path.write_text("# Mine\n\n## Facts\n\n- Lives in Austin\n")
    talk(home, "I live in Denver now. Where do I register the car?", "At the DMV.")
    done = home.json("end", TALK)[0]
    assert "- Lives in Austin\n" in path.read_text()
    assert "Denver" not in path.read_text()
    assert done["to_confirm"] == 1
    [line] = summaries.section_bullets(summary_of(home).read_bytes(), "To confirm")
    offer = summaries.read_offer(line)
    assert offer is not None
    assert (offer.file, offer.section, offer.old) == ("facts.md", "Facts", "Lives in Austin")
    assert offer.new is not None
    assert "Denver" in offer.new
    assert offer.session_id == TALK
    assert "pending_facts" not in meta(home)


def test_what_an_edited_summary_can_not_say_is_asked_all_the_same(home: Home) -> None:
    """Their summary stays as it is, and the offer comes from the metadata; a no holds."""
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text("# Facts\n\n## Facts\n\n- Lives in Bonn\n")
    talk(home, "How much salt for one kilo of flour?", "20 g of salt for one kilo.")
    home.output("end", TALK, "--offline")
    mine = summary_of(home).read_bytes() + b"\nMy own note.\n"
    summary_of(home).write_bytes(mine)
    now = f"{datetime.now(UTC) + timedelta(seconds=2):%Y-%m-%dT%H:%M:%S}.000Z"
    with (home.sessions / f"{TALK}.jsonl").open("ab") as file:
        file.write(message("I live in Denver. Where do I go?", id="n1", created_at=now))
        file.write(message("To the office.", "assistant", id="n2", created_at=now))
    assert home.json("end", TALK, "--offline")[0]["to_confirm"] == 1
    assert summary_of(home).read_bytes() == mine
    with Workspace.open(home.vault, environment=home.environment) as ws:
        (offer,) = ws.corrections.offers()
        assert (offer.old, offer.new, offer.message_id) == (
            "Lives in Bonn",
            "Lives in Denver",
            "n1",
        )
        ws.corrections.settle(offer)
        assert ws.corrections.offers() == []
        assert ws.state.waiting() == []
    assert "Denver" not in facts.read_text()
    assert summary_of(home).read_bytes() == mine


def test_an_answered_offer_goes_from_the_summary(home: Home) -> None:
    """And is remembered here where the owner has edited the summary."""
    offer = Proposal("facts.md", "Facts", "Lives in Austin", "Lives in Denver", TALK, "m0")
    talk(home, *WORDS)
    home.output("end", TALK)
    path = f"atlas/memory/long-term/{summary_of(home).name}"
    with Workspace.open(home.vault, environment=home.environment) as workspace:
        kit = Kit(workspace.vault, workspace.state, NOW, lambda bits: 0)
        assert kept.complete(kit, path, ["Lives in Denver"], [offer]).is_said
        assert kept.open_offers(kit.vault, kit.state) == [offer]
        edited = offer._replace(new="Lives in Oslo")
        (home.vault / "atlas/memory/long-term/session-x.md").write_text(
            f"---\nsession_id: other\n---\n\n## To confirm\n\n"
            f"- {summaries.offer_line(edited, NOW.date())}\n"
        )
        assert kept.open_offers(kit.vault, kit.state) == [edited, offer]
        assert kept.settle(kit, offer) == [path]
        assert kept.settle(kit, edited) == []
        assert kept.open_offers(kit.vault, kit.state) == []
    assert summaries.read(summary_of_ours(home)).is_ours
    assert "To confirm" not in summary_of_ours(home).decode()


def summary_of_ours(home: Home) -> bytes:
    folder = home.vault / "atlas/memory/long-term"
    [path] = folder.glob("session-2*.md")
    return path.read_bytes()


USER = b"\xef\xbb\xbf# Maya\r\n\r\n## Preferences\r\n\r\n*  No emoji  \r\n\r\n## Snapshot\r\n\r\n"


def test_outside_the_snapshot_no_byte_of_user_md_changes(home: Home) -> None:
    """White space, line ends and all."""
    path = home.vault / "atlas/identity/user.md"
    path.write_bytes(USER + b"\r\n## Mine\r\n\r\ntext \t\r\n")
    talk(home, "I live in Denver. I work at Tallgrass. My dog is called Juno. Well?", "Well.")
    home.output("end", TALK)
    data = path.read_bytes()
    assert data.startswith(USER)
    assert data.endswith(b"\r\n\r\n## Mine\r\n\r\ntext \t\r\n")
    assert b"Denver" in data


def test_an_edited_snapshot_is_offered(home: Home) -> None:
    """The owner's words stay, and the new text waits for a yes."""
    path = home.vault / "atlas/identity/user.md"
    path.write_text("## Snapshot\n\nA pirate.\n")
    talk(home, "I live in Denver. I work at Tallgrass. My dog is called Juno. Well?", "Well.")
    home.output("end", TALK)
    assert path.read_text() == "## Snapshot\n\nA pirate.\n"
    lines = summaries.section_bullets(summary_of(home).read_bytes(), "To confirm")
    offers = [offer for line in lines if (offer := summaries.read_offer(line))]
    assert [(offer.file, offer.section, offer.old) for offer in offers] == [
        ("user.md", "Snapshot", "A pirate.")
    ]


# --- who else is there ---------------------------------------------------------------------------


def test_what_is_erased_with_its_memory_is_not_left_in_the_snapshot(home: Home) -> None:
    """Nor in the log; what the owner wrote in user.md stays, and a later end draws it anew."""
    talk(home, "I live in Denver. How do I bake rye bread?", "Mix, wait and bake it.")
    other = "20261120-120000-cccccc"
    talk(home, "I play the cello. How do I tune it?", "With a tuner.", session=other)
    (home.vault / "atlas/identity/user.md").write_text("# Me\n\n## Snapshot\n\n## Own\n\nMine.\n")
    home.output("end", TALK, "--offline")
    assert "Denver" in memory(home, "user")
    home.output("delete", TALK, "--purge", "--with-memory", "--yes")
    assert memory(home, "user") == "# Me\n\n## Snapshot\n\n## Own\n\nMine.\n"
    for path in home.vault.rglob("*"):
        assert not path.is_file() or b"Denver" not in path.read_bytes(), path
    home.output("end", other, "--offline")
    assert "Plays the cello." in memory(home, "user")


def test_one_that_is_open_is_not_ended(home: Home) -> None:
    """It is said; ``--all`` ends the others."""
    other = "20261120-100000-bbbbbb"
    talk(home, *WORDS)
    talk(home, *WORDS, session=other)
    with Workspace.open(home.vault, environment=home.environment) as workspace:
        workspace.chat.begin(workspace.chat.decide_named(TALK)[0])
        assert workspace.endings.end(TALK).status == "in use"
        found = {done.session_id: done.status for done in workspace.endings.end_all()}
    assert found == {TALK: "in use", other: "ended"}


def test_somebody_goes_on_while_it_ends(home: Home, server: OpenAIServer) -> None:
    """What is said meanwhile takes the mark away, and it has not ended then."""
    use(home, server)
    talk(home, *WORDS)
    with Workspace.open(home.vault, environment=home.environment) as workspace:
        answer(server, TOPIC, SUMMARY, FACTS)
        server.fail(401, "no")
        with pytest.raises(ProviderError):
            workspace.endings.end(TALK)
        workspace.add_message(TALK, "user", "one more thing")
        assert "ending" not in meta(home)
        assert workspace.endings.complete(TALK) is None
        assert "ended_at" not in meta(home)


def test_imported_sessions_teach_nothing_unless_asked(home: Home) -> None:
    """They get a topic and a summary; ``--learn`` learns from them, also when they had ended."""
    source = {"kind": "atmos", "id": "7"}
    talk(home, "I live in Denver. Well?", "Well.", source=source)
    home.output("end", TALK)
    assert "Denver" not in memory(home)
    assert "Snapshot" not in memory(home, "user") or "Denver" not in memory(home, "user")
    ended = meta(home)["ended_at"]
    home.output("end", "--learn", TALK)
    assert "- Lives in Denver <!--" in memory(home)
    assert summaries.section_bullets(summary_of(home).read_bytes(), "Learned") == [
        "Lives in Denver"
    ]
    assert meta(home)["ended_at"] == ended


def test_all_ends_all(home: Home) -> None:
    """A path a line for each; those that have ended are not touched; then there are none."""
    names = [f"20261120-09000{n}-aaaaaa" for n in range(3)]
    for n, name in enumerate(names):
        talk(home, *WORDS, session=name, topic=f"Talk {n}", topic_source="user")
    home.output("end", names[0])
    assert len(home.output("end", "--all").splitlines()) == 2
    done = home.run("end", "--all")
    assert (done.stdout, done.stderr) == ("", "No sessions to end.\n")
    assert {row["status"] for row in home.json("list")} == {"ended"}


def moved_twice(home: Home) -> None:
    """Two conversations, in the second of which another home is told."""
    older = "20261110-090000-bbbbbb"
    talk(home, "I live in Leipzig. Where do I register?", "At the office.", session=older)
    path = home.sessions / f"{older}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"2026-11-20T", b"2026-11-10T"))
    talk(home, "I live in Bonn now. Where do I register?", "At the office.")


def test_what_was_said_later_stays_whatever_ends_first(home: Home) -> None:
    """An older conversation that ends after a newer one does not bring back what is over."""
    moved_twice(home)
    home.output("end", TALK, "--offline")
    home.output("end", "20261110-090000-bbbbbb", "--offline")
    assert "- Lives in Bonn <!--" in memory(home)
    assert "Leipzig" not in memory(home)


def test_all_end_in_the_order_in_which_they_were_held(home: Home) -> None:
    """So the log of memory tells it as it was."""
    moved_twice(home)
    home.output("end", "--all", "--offline")
    log = [change["new"] for change in home.json("memory", "log") if change["file"] == "facts.md"]
    assert log == ["Lives in Bonn", "Lives in Leipzig"]


def test_wrong_usage(home: Home) -> None:
    """Neither names nor ``--all``, or both; a name that nobody has."""
    home.error("end", code=2)
    home.error("end", "--all", "x", code=2)
    assert "There is no session" in home.error("end", "nobody")


def test_an_unreachable_model_is_tried_once(home: Home, server: OpenAIServer) -> None:
    """With ``--all`` the others are not tried in vain, and it is said how many are left."""
    use(home, server)
    names = [f"20261120-09000{n}-aaaaaa" for n in range(3)]
    for name in names:
        talk(home, *WORDS, session=name)
    server.fail(401, "no")
    assert "3 sessions not ended" in home.error("end", "--all")
    assert calls(home) == ["topic"]


# --- killed --------------------------------------------------------------------------------------


def made_of(home: Home) -> dict[str, Any]:
    """What an ending has left, less what each has of its own: ids, times, the hash of them."""
    log = (home.vault / "atlas/memory/changes.jsonl").read_text().splitlines()
    changes = [json.loads(line) for line in log]
    texts = {
        path.name: re.sub(
            r"generated_hash: .*|ended_at: .*|\d{4}-\d\d-\d\d(?= 2026)", "", path.read_text()
        )
        for path in sorted((home.vault / "atlas").rglob("*.md"))
    }
    fields = meta(home)
    for key in ("ended_at", "duration_seconds"):
        assert fields.pop(key) is not None
    return {
        "files": texts,
        "changes": [(c["file"], c["section"], c["old"], c["new"]) for c in changes],
        "meta": fields,
        "transcript": (home.sessions / f"{TALK}.jsonl").read_bytes(),
    }


FACTS_THERE = "# Mine\n\n## Facts\n\n- Lives in Austin\n- Drives a RAV4\n"
TOLD = (
    "I live in Denver now. My dog is called Juno. We decided to use NATS instead of Kafka. Well?",
    "NATS is a good choice for 12 services.",
    "I work at Tallgrass Freight. What is next?",
    "The network, by Friday.",
)


def check_kills(folder: Path, every: int) -> int:
    """Kill an ending at every so many-th of its calls on its own files: the next one completes it,
    and what there is then is what an undisturbed one leaves. How many there were."""
    with Faults(folder / "driver") as driver:

        def fresh(name: str) -> Home:
            shutil.rmtree(folder / "home", ignore_errors=True)
            (folder / "home").mkdir()
            home = make_home(folder / "home")
            (home.vault / "atlas/memory/long-term/facts.md").write_text(FACTS_THERE)
            talk(home, *TOLD)
            assert driver.run(home, "list").code == 0
            return home

        home = fresh("undisturbed")
        found, done = driver.calls(home, "end", TALK)
        assert done.code == 0, done
        wanted = made_of(home)
        assert len(wanted["changes"]) >= 3
        assert "To confirm" in str(wanted["files"])
        points = [call for call in found if not call.path.startswith("cache/")][::every]
        for call in points:
            home = fresh(f"{call.name} {call.number}")
            killed = driver.fail(home, Fault(call.name, call.number, "KILL"), "end", TALK)
            assert killed.code in (-9, 0), killed
            again = driver.run(home, "end", TALK)
            assert again.code == 0, (call, again)
            assert made_of(home) == wanted, call
            status = json.loads(driver.run(home, "list", "--json").out)[0]["status"]
            assert status == "ended", call
        return len(points)


needs_strace = pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))


@needs_strace
def test_an_ending_that_is_killed_is_completed() -> None:
    """At some of its writes."""
    with quick_folder() as folder:
        assert check_kills(folder, 40) >= 3


@needs_strace
@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_an_ending_that_is_killed_anywhere_is_completed() -> None:
    """At each of its writes, opens, renames and syncs."""
    with quick_folder() as folder:
        assert check_kills(folder, 1) > 100


# --- other languages -----------------------------------------------------------------------------

GERMAN = (
    "Ich wohne in Freiburg. Kannst du mir helfen, der Vermieterin Frau Bächle zu schreiben?",
    "Gern: Sehr geehrte Frau Bächle, wir kommen am 16. Mai gegen 22:30 Uhr an.",
    "Gut. Wir haben beschlossen, am 24. Mai um 12 Uhr auszuziehen.",
    "Dann schreibe ich: Auszug am 24. Mai um 12 Uhr, der Schlüssel kommt in den Kasten.",
)
JAPANESE = (
    "関西運送の佐藤さんから届くCSVが文字化けします。どうすればいいですか？",
    "encoding に cp932 を指定してください。郵便番号は文字列として読み込みます。",
    "cp932で読めました。佐藤さんにUTF-8での送付をお願いすることにしました。",
    "依頼のメールを書きました。返事は金曜日までに来る予定です。",
)


@pytest.mark.parametrize(
    ("words", "said", "name"),
    [(GERMAN, "Mai", r"session-2026-11-20-[a-zäöüß0-9-]+\.md"), (JAPANESE, "佐藤", r"session-.+")],
    ids=["German", "Japanese"],
)
def test_other_languages_without_a_model(
    home: Home, words: tuple[str, ...], said: str, name: str
) -> None:
    """Topic, file name and summary are in the language of the conversation."""
    talk(home, *words)
    home.output("end", TALK)
    assert re.fullmatch(name, summary_of(home).name)
    text = section_text(read_document(summary_of(home).read_bytes()).body, "Summary")
    assert said in text
    assert summaries.read(summary_of(home).read_bytes()).is_ours
    assert len(meta(home)["topic"]) <= 60


@pytest.mark.parametrize(
    ("words", "topic", "told", "name"),
    [
        (
            GERMAN,
            "E-Mail an die Vermieterin",
            "Die Vermieterin Frau Bächle erwartet uns am 16. Mai gegen 22:30 Uhr.",
            "session-2026-11-20-e-mail-an-die-vermieterin.md",
        ),
        (
            JAPANESE,
            "CSVの文字化けと依頼メール",
            "関西運送の佐藤さんから届くCSVの文字化けはcp932で解決しました。",
            "session-2026-11-20-csvの文字化けと依頼メール.md",
        ),
    ],
    ids=["German", "Japanese"],
)
def test_other_languages_with_a_model(
    home: Home, server: OpenAIServer, words: tuple[str, ...], topic: str, told: str, name: str
) -> None:
    """As above, in the model's words."""
    use(home, server)
    talk(home, *words)
    answer(server, {"topic": topic}, {"summary": [told], "decisions": [], "open_items": []})
    answer(server, {"facts": []})
    home.output("end", TALK)
    assert summary_of(home).name == name
    assert told in summary_of(home).read_text()

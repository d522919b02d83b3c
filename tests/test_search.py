"""Full-text search: what is found, in which order, in which scripts, and by which questions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, make_home, message, write_session

from vault_sessions.formats.times import parse_time
from vault_sessions.workspace import Workspace

TEXTS = {
    "en": "We decided on ten VPC subnets; the routers were running late.",
    "quote": 'She said "never mind" and left the well-known café on the naïve façade.',
    "code": "def read_config(path): return os.environ['HOME'] + '/.cfg'  # C++ & F#, a.b.c",
    "ja": "明日の天気予報は東京タワーの近くで雨です。pandasでＣＳＶを読む。",
    "kana": "ﾊﾝｶｸのｶﾀｶﾅとひらがな",
    "zh": "我们决定使用消息队列，不用数据库。",
    "ko": "서울에서 회의를 했습니다",
    "wide": "Ｆｕｌｌ ｗｉｄｔｈ ｌｅｔｔｅｒｓ",
    "nfd": unicodedata.normalize("NFD", "Crème brûlée für Zoë"),
    "ru": "Мы решили использовать очередь сообщений",
    "emoji": "party 🎉 tomorrow",
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A vault with a session for each text, and two facts."""
    home = make_home(tmp_path_factory.mktemp("texts"))
    for number, (stem, text) in enumerate(TEXTS.items(), 1):
        line = message(text, id=stem, created_at=f"2026-11-{number:02}T10:00:00Z")
        answer = message(f"noted {stem}", "assistant", created_at=f"2026-11-{number:02}T10:01:00Z")
        write_session(home, stem, line, answer)
    facts = home.vault / "atlas/memory/long-term/facts.md"
    facts.write_text(
        "## Facts\n- The VPC is in Frankfurt <!-- 2026-11-20 en#en -->\n- likes 天気予報\n",
        encoding="utf-8",
    )
    yield from workspace(home)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The sample vault."""
    yield from workspace(make_home(tmp_path_factory.mktemp("sample"), sample=True))


def workspace(home: Home) -> Iterator[Workspace]:
    """A workspace on the vault, with user folders of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "STATE", "CONFIG"):
            patch.setenv(f"VAULT_SESSIONS_{name}", home.environment[f"VAULT_SESSIONS_{name}"])
        with Workspace.open(home.vault, environment={}) as opened:
            opened.list()
            yield opened


def found(workspace: Workspace, query: str, **options: bool) -> set[str]:
    """The sessions in which the query finds something the user said."""
    hits = workspace.search(query, role="user", limit=100, any_word=options.get("any_word", False))
    return {str(hit.session_id) for hit in hits}


@pytest.mark.parametrize(
    ("query", "stems"),
    [
        ("vpc subnets", "en"),
        ("subnets VPC", "en"),
        ("vpc tower", ""),
        ('"vpc subnets"', "en"),
        ('"subnets vpc"', ""),
        ('"never mind"', "quote"),
        ("subn*", "en"),
        ("subn", ""),
        ('"vpc subn"*', "en"),
        ("decided -vpc", ""),
        ("decided -tower", "en"),
        ('decided -"subnets vpc"', "en"),
        ("-vpc", ""),
        ("-vpc -subnets", ""),
        ("", ""),
        ("   ", ""),
        ("*", ""),
        ('"', ""),
        ("decide", "en"),
        ("run", "en"),
        ("router", "en"),
        ("DECIDED", "en"),
        ("cafe", "quote"),
        ("café", "quote"),
        ("naive facade", "quote"),
        ("well-known", "quote"),
        ("read_config", "code"),
        ("os.environ", "code"),
        ("creme brulee", "nfd"),
        ("Crème Brûlée", "nfd"),
        (unicodedata.normalize("NFD", "brûlée"), "nfd"),
        (unicodedata.normalize("NFD", "café"), "quote"),
        ("zoe", "nfd"),
        ("очередь", "ru"),
        ("party", "emoji"),
        ("🎉", ""),
    ],
)
def test_words(texts: Workspace, query: str, stems: str) -> None:
    """ANDed words, phrases, prefixes, exclusions; English forms; accents or none."""
    assert found(texts, query) == set(stems.split())


@pytest.mark.parametrize(
    ("query", "stems"),
    [
        ("天気予報", "ja"),
        ("天気", "ja"),
        ("予報", "ja"),
        ("気予", "ja"),
        ("天", "ja"),
        ("報", "ja"),
        ("雨", "ja"),
        ("タワー", "ja"),
        ("ﾀﾜｰ", "ja"),
        ("ワー", "ja"),
        ("京タ", "ja"),
        ("東京 雨", "ja"),
        ("東京 雪", ""),
        ("東京 -雨", ""),
        ("報天", ""),
        ("pandas", "ja"),
        ("pandasで", "ja"),
        ("CSV", "ja"),
        ("ＣＳＶ", "ja"),
        ("csvを読む", "ja"),
        ("ハンカク", "kana"),
        ("ﾊﾝｶｸ", "kana"),
        ("カタカナ", "kana"),
        ("ひらがな", "kana"),
        ("消息队列", "zh"),
        ("队列", "zh"),
        ("不用数据库", "zh"),
        ("库", "zh"),
        ("서울", "ko"),
        ("울에", "ko"),
        ("회의", "ko"),
        ("회의를 서울에서", "ko"),
        (unicodedata.normalize("NFD", "회의"), "ko"),
        ("full width", "wide"),
        ("ｗｉｄｔｈ", "wide"),
    ],
)
def test_scripts_without_spaces(texts: Workspace, query: str, stems: str) -> None:
    """Any part of a run is found, one character too; Latin words inside; half and full width."""
    assert found(texts, query) == set(stems.split())


def test_any_is_a_question(texts: Workspace) -> None:
    """Content words ORed, stop words dropped, the most relevant first."""
    assert found(texts, "What did we decide about subnets and party?", any_word=True) == {
        "en",
        "emoji",
    }
    assert texts.search("the of and", any_word=True) is not None
    assert {hit.kind for hit in texts.search("vpc frankfurt", any_word=True)} == {"message", "fact"}


def test_where_who_and_when(texts: Workspace) -> None:
    """Sessions, memory or both; a role leaves memory out; since; one session; a limit."""
    both = texts.search("vpc")
    assert [hit.kind for hit in both] == ["fact", "message"]
    assert [hit.kind for hit in texts.search("vpc", where="sessions")] == ["message"]
    assert [hit.kind for hit in texts.search("vpc", where="memory")] == ["fact"]
    assert [hit.kind for hit in texts.search("vpc", role="user")] == ["message"]
    assert texts.search("noted", role="user") == []
    assert len(texts.search("noted", role="assistant")) == len(TEXTS)
    since = next(hit for hit in texts.search("noted") if hit.session_id == "zh").created_at
    assert since is not None
    newer = texts.search("noted", since=parse_time(since))
    assert [hit.session_id for hit in newer] == ["emoji", "ru", "nfd", "wide", "ko", "zh"]
    assert [hit.session_id for hit in texts.search("noted", session="ko")] == ["ko"]
    assert {hit.kind for hit in texts.search("vpc", session="en")} == {"message", "fact"}
    assert texts.search("noted", limit=0) == []
    assert len(texts.search("noted", limit=3)) == 3


def test_order_and_score(texts: Workspace, sample: Workspace) -> None:
    """Newest first, or the most relevant; either way the higher score comes first."""
    dates = [hit.created_at for hit in texts.search("noted")]
    assert dates == sorted(dates, key=str, reverse=True)
    for query in ("postgres", "the", "denver", "garden OR soil", "garlic"):
        for sort in ("newest", "relevance"):
            for any_word in (False, True):
                hits = sample.search(query, sort=sort, any_word=any_word, limit=50)
                scores = [hit.score for hit in hits]
                assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "subnets",
        "routers",
        "tower",
        "天気",
        "雨",
        "CSV",
        "队列",
        "회의",
        "brulee",
        "cutover",
        "Priya",
    ],
)
def test_snippets_hold_the_word(texts: Workspace, sample: Workspace, query: str) -> None:
    """On one line, not much longer than 160 characters, with the word in it."""
    for hit in texts.search(query) + sample.search(query):
        plain = unicodedata.normalize("NFKD", hit.snippet).casefold()
        plain = "".join(c for c in plain if not unicodedata.combining(c))
        word = unicodedata.normalize("NFKD", query).casefold()
        assert word.removesuffix("s") in plain
        assert "\n" not in hit.snippet
        assert len(hit.snippet) <= 170


NASTY = [
    '"',
    '""',
    '"""',
    "'",
    "';--",
    "'; DROP TABLE messages; --",
    '") OR 1=1 --',
    'x" OR "y',
    "content : x",
    "grams : 天",
    "messages_fts",
    "rank",
    "NEAR(a b, 5)",
    "NEAR/3",
    "a NEAR b",
    "AND",
    "OR",
    "NOT",
    "AND AND",
    "NOT NOT x",
    "a AND",
    "OR b",
    "(",
    ")",
    "((((",
    "a)(b",
    "{a b} : c",
    "^first",
    "a + b",
    "a +",
    "*",
    "**",
    "a**",
    "*a",
    "-",
    "--",
    "-*",
    '-"',
    '-""',
    "- a",
    ":",
    "a:b:c",
    "\\",
    "%",
    "_",
    "?",
    "a\tb\nc",
    "a\x00b",
    "\x00",
    "\x1b[31m",
    "\ud800",
    "\u200b",
    "\u0301",
    "a" * 10_000,
    "a " * 3_000,
    "-a " * 500,
    '"' * 999,
    "天" * 3_000,
    "🎉🎉",
    "\U0010ffff",
    "ﷺ",
    "%s%n{0}",
]


@pytest.mark.parametrize("query", NASTY, ids=range(len(NASTY)))
def test_any_input_is_safe(texts: Workspace, query: str) -> None:
    """No error, nothing changed, no syntax of the index leaks through."""
    for any_word in (False, True):
        for hit in texts.search(query, any_word=any_word):
            assert hit.text
    assert len(texts.search("noted", limit=100)) == len(TEXTS)


def test_operators_are_words(texts: Workspace) -> None:
    """``OR`` and ``NEAR`` are looked for as words."""
    assert found(texts, "vpc OR party") == set()
    assert found(texts, "NOT vpc") == set()
    assert found(texts, "content : vpc") == set()


QUESTIONS = {
    "What did we decide about the VPC?": "vpc-design",
    "When did I move to Denver?": "denver-move",
    "Who is Priya?": "q2-planning",
    "What is the name of my physio?": "achilles",
    "Why not Kafka?": "Event bus decision",
    "When is the Postgres cutover?": "postgres-upgrade",
    "Which extension did we drop?": "postgres-upgrade",
    "What am I allergic to?": "cardamom-buns",
    "Where does Ingrid live?": "freiburg-trip",
    "Wo liegt der Schlüssel der Ferienwohnung?": "Ferienwohnung Freiburg",
    "佐藤さんのCSVの文字コードは？": "pandas-文字化け",
    "When does Walt plant garlic?": "garden-notes",
    "How did we fix the Terraform state lock?": "tfstate-locking",
    "Why were the ETAs off by an hour in the time zones?": "eta-timezone-bug",
}


@pytest.mark.parametrize(("question", "name"), QUESTIONS.items(), ids=QUESTIONS.values())
def test_questions_find_their_session(sample: Workspace, question: str, name: str) -> None:
    """Among the first five of ``search --any``: the session, or what memory keeps of it."""
    wanted = sample.find(name).id
    hits = sample.search(question, any_word=True, limit=5)
    assert wanted in [hit.session_id for hit in hits], [hit.snippet for hit in hits]


def test_the_index_is_not_the_files(texts: Workspace, sample: Workspace) -> None:
    """Every hit stands in the file and line that it names."""
    for workspace in (texts, sample):
        for hit in workspace.search("noted") + workspace.search("postgres", limit=100):
            path = Path(workspace.vault.absolute(hit.path))
            line = path.read_text(encoding="utf-8").split("\n")[hit.line - 1]
            if hit.kind == "message":
                assert f'"{hit.message_id}"' in line or '"id"' not in line


def first_sessions(home: Home, question: str) -> list[str | None]:
    """The sessions that a question finds, in their order."""
    for opened in workspace(home):
        hits = opened.search(question, any_word=True, where="sessions")
        return list(dict.fromkeys(hit.session_id for hit in hits))
    return []


def test_a_session_that_speaks_of_it_all_along_comes_first(tmp_path: Path) -> None:
    """A question ranks sessions by all their matches, not by the one best line alone."""
    home = make_home(tmp_path)
    talk = [f"the kayak and its paddle, part {n}: the kayak again" for n in range(6)]
    write_session(home, "talk", *(message(text) for text in talk))
    write_session(home, "mention", message("a kayak paddle kayak paddle"))
    for n in range(5):
        write_session(home, f"other{n}", message("nothing of that kind at all here"))
    assert first_sessions(home, "where is the kayak paddle?")[0] == "talk"


def test_a_month_in_the_question_prefers_what_was_said_then(tmp_path: Path) -> None:
    """The same words in two sessions: the one of the month that is named comes first."""
    home = make_home(tmp_path)
    for stem, month in (("spring", "04"), ("autumn", "10")):
        said = message("we went to the lake house", created_at=f"2026-{month}-05T10:00:00Z")
        write_session(home, stem, said)
    assert first_sessions(home, "what about the lake house in April?")[0] == "spring"
    assert first_sessions(home, "what about the lake house in October?")[0] == "autumn"

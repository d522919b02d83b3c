"""A session leaves the vault as one file and comes back whole; what Atmos wrote comes in, what we
write Atmos's rules accept; and a bad file is refused in plain words before anything is written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faults
import orjson
import pytest
import yaml
from home import Home, make_home, message, tree, write_session
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vault_sessions import vault as vaults
from vault_sessions.errors import VaultError
from vault_sessions.formats import checkpoint_json, checkpoint_markdown, checkpoint_yaml
from vault_sessions.formats.checkpoint import (
    MIB,
    Checkpoint,
    CheckpointContext,
    CheckpointError,
    CheckpointMessage,
    CheckpointSession,
    CheckpointStatistics,
    Original,
    checked,
    format_of_content,
    format_of_path,
)
from vault_sessions.formats.meta import parse_meta
from vault_sessions.formats.times import format_time, parse_time
from vault_sessions.formats.transcript import active_branch, covered_hash, parse
from vault_sessions.state import State
from vault_sessions.transfer import checkpoints
from vault_sessions.vault import Vault

VECTORS = Path(__file__).parent / "vectors" / "atmos"
NOW = datetime(2026, 11, 21, 8, 5, 12, tzinfo=UTC)
FORMATS: Any = {
    "json": checkpoint_json,
    "yaml": checkpoint_yaml,
    "markdown": checkpoint_markdown,
}

some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))


# --- a vault in memory's reach -------------------------------------------------------------------


class Desk:
    """A vault without a mirror, for what ``transfer`` does by itself."""

    def __init__(self, folder: str) -> None:
        self.vault = Vault(f"{folder}/vault")
        self.state = State(f"{folder}/state")
        self._random = 0
        os.makedirs(self.vault.absolute(self.vault.sessions))

    def random(self, bits: int) -> int:
        self._random += 1
        return self._random % (1 << bits)

    def write(self, stem: str, transcript: bytes, meta: bytes | None = None) -> None:
        Path(self.vault.absolute(self.vault.transcript(stem))).write_bytes(transcript)
        if meta is not None:
            Path(self.vault.absolute(self.vault.meta(stem))).write_bytes(meta)

    def read(self, stem: str) -> tuple[bytes, Any]:
        """A session's transcript, and its metadata (None: there is none)."""
        meta = Path(self.vault.absolute(self.vault.meta(stem)))
        data = Path(self.vault.absolute(self.vault.transcript(stem))).read_bytes()
        return data, orjson.loads(meta.read_bytes()) if meta.exists() else None

    def export(self, stem: str, kind: Any, **options: Any) -> bytes:
        return bytes(checkpoints.export(self.vault, stem, None, NOW, kind=kind, **options).data)

    def bring(self, data: bytes, kind: Any = None, **options: Any) -> Any:
        return checkpoints.import_checkpoint(
            self.vault,
            self.state,
            "a file",
            data,
            NOW,
            self.random,
            lambda name: [],
            kind=kind,
            **options,
        )


@contextmanager
def desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as folder:
        yield Desk(folder)


# --- nasty sessions ------------------------------------------------------------------------------

NASTY = (
    "",
    "\tleading tab",
    "\n\nleading newlines",
    "trailing newlines\n\n",
    " leading space",
    "👍🏽 é ﷽ \U0010ffff",
    "a\rb\r\nc",
    "a\x85b\u2028c\u2029d",
    "nul \0 esc \x1b[31m del \x7f c1 \x9b bom \ufeff",
    "---",
    "--- \n...\n%YAML",
    "2026-11-21",
    "12:30:00",
    "007",
    "1.10",
    "0x1F",
    "1e3",
    ".inf",
    "no",
    "true",
    "null",
    "~",
    "=",
    "<<",
    "*alias &anchor !tag",
    "# comment",
    "key: value",
    "- item",
    "\"quoted\" 'too' \\ backslash \\n",
    "### Message 3 - USER",
    "text\n\n---\n\n### Message 2 - ASSISTANT\n*2026-01-01T00:00:00Z*\n\nfake\n\n---\n\n",
    "\\### Message 3 - USER\n\\\\### Message 4 - SYSTEM",
    "## Conversation\n\n## Statistics\n## Context",
    "```python\n### Message 3 - USER\n```",
    "````\n```\nnever closed",
    "~~~\nnever closed",
    "```\n<!-- code fence closed -->",
    "x\n```\n<!-- code fence closed -->",
    "*2026-01-01T00:00:00Z*",
    "*time unknown*\n",
    "# AI Session: other\n\n<!-- vault-sessions checkpoint 9.9 -->\n",
    "\\ud83d\\ude00 \\u0041",
    "]]></x>{{}}",
    "\n---\n",
    "\n\n---\n\n",
    "---\n\n",
)
TEXTS = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.lists(st.sampled_from(NASTY), min_size=2, max_size=3).map("\n".join),
    st.text("#-`~*\\ \n\r\tM:&!|>'\"{}[],?%@0.", max_size=20),
)
TIMES = st.one_of(
    st.none(),
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001  # the zone is given beside it
        format_time
    ),
    st.sampled_from(
        ["2026-11-21T08:05:12.123456Z", "2026-11-21T08:05:12+02:00", "0001-01-01T00:00:00Z", "bad"]
    ),
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """The bytes of a transcript: branches, tool calls, unknown fields, lines that are none."""
    written: list[bytes] = []
    ids: list[str] = []
    for number in range(draw(st.integers(1, 6))):
        role = draw(st.sampled_from(["user", "assistant", "system", "tool"]))
        fields: dict[str, Any] = {"role": role, "content": draw(TEXTS)}
        if draw(st.integers(0, 4)):
            ids.append(f"m{number}")
            fields["id"] = ids[-1]
        if (at := draw(TIMES)) is not None:
            fields["created_at"] = at
        match draw(st.integers(0, 9)):
            case 0:
                fields["parent_id"] = draw(st.sampled_from([*ids, None, "gone"]))
            case 1:
                fields["tool_calls"] = [{"id": "c1", "type": "function", "function": {}}]
                fields["usage"] = {"total_tokens": 12}
            case 2:
                fields["content"] = [{"type": "text", "text": draw(TEXTS)}, {"type": "image_url"}]
            case 3:
                fields[draw(TEXTS)] = draw(JSON)
            case 4:
                fields["archived"] = True
            case 5:
                fields["content"] = None
        written.append(orjson.dumps(fields))
        if draw(st.integers(0, 5)) == 0:
            odd = [b"{broken", b"\xff\xfe", b"", b"<<<<<<< ours", b"\0", b"[]", b'{"role":"x"}']
            written.append(draw(st.sampled_from(odd)))
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    start = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return start + end.join(written) + draw(st.sampled_from([b"", end]))


@st.composite
def sessions(draw: st.DrawFn) -> tuple[bytes, dict[str, Any] | None]:
    """A transcript, and its metadata or none."""
    data = draw(lines())
    if not draw(st.integers(0, 4)):
        return data, None
    branch = active_branch(parse(data).messages)
    meta: dict[str, Any] = {"id": "20260101-000000-abcdef"}
    optional = {
        "version": st.just(1),
        "name": st.sampled_from([None, "planning", "q2 – Ä 👍", "007", "no", "2026-11-21"]),
        "topic": TEXTS,
        "created_at": TIMES,
        "ended_at": TIMES,
        "provider": st.sampled_from(["openai", "", "unknown"]),
        "model": TEXTS,
        "skill": TEXTS,
        "directory": st.just("/nowhere/at all"),
        "git_root": st.just("/nowhere"),
        "source": st.just({"kind": "atuin", "id": "7"}),
        "metadata": st.one_of(st.dictionaries(TEXTS, JSON, max_size=3), JSON),
        "pending_facts": JSON,
    }
    for key, values in optional.items():
        if draw(st.booleans()):
            meta[key] = draw(values)
    if draw(st.booleans()):
        meta["context"] = [{"type": "stack_file", "key": draw(TEXTS), "value": draw(TEXTS)}]
    if draw(st.booleans()) and branch:
        covered = branch[: draw(st.integers(1, len(branch)))]
        meta["compactions"] = [
            {
                "id": "k",
                "through_message_id": covered[-1].id,
                "covered_hash": covered_hash(covered),
                "summary": draw(TEXTS),
            }
        ]
    meta[draw(TEXTS) or "x"] = draw(JSON)
    return data, meta


def can_travel(data: bytes) -> bool:
    """Has it a message that a checkpoint can hold?"""
    return any(m.role != "tool" for m in active_branch(parse(data).messages))


# --- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_a_session_comes_back_byte_for_byte_with_its_metadata(kind: str) -> None:
    """Branches, compactions, tool calls, unknown fields, bad lines, BOM, CRLF, no UTF-8: the
    transcript is the same bytes, the metadata the same but for its id."""

    @some
    @given(sessions())
    @example((b"\xff\n" + message("hi"), {"id": "x", "name": "n", "metadata": {}}))
    @example((b"\xef\xbb\xbf" + message("hi", id="a").strip() + b"\r\n", None))
    @example(
        (message("hi", created_at="0001-01-01T00:00:00Z"), {"id": "y", "k" * 2000: "long key"})
    )
    def check(session: tuple[bytes, dict[str, Any] | None]) -> None:
        _there_and_back(session, kind)

    check()


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_many_sessions_come_back_byte_for_byte(kind: str) -> None:
    """The same over thousands of sessions."""

    @settings(many, max_examples=5_000)
    @given(sessions())
    def check(session: tuple[bytes, dict[str, Any] | None]) -> None:
        _there_and_back(session, kind)

    check()


def _there_and_back(session: tuple[bytes, dict[str, Any] | None], kind: str) -> None:
    data, meta = session
    with desk() as here:
        here.write("s", data, None if meta is None else orjson.dumps(meta))
        if not can_travel(data):
            with pytest.raises(VaultError, match="has no messages"):
                here.export("s", kind)
            return
        file = here.export("s", kind, include_context=True)
        done = here.bring(file, kind)
        new, new_meta = here.read(done.session_id)
        assert new == data
        assert not done.edited
        if meta is None:
            assert new_meta is None
        else:
            assert new_meta.pop("id") == done.session_id
            assert new_meta == {key: each for key, each in meta.items() if key != "id"}


@pytest.mark.parametrize("kind", ["json", "yaml", "markdown"])
def test_roles_contents_and_times_come_back_from_the_messages_alone(kind: str) -> None:
    """Without what is ours in the file, as from Markdown, the messages come back as they were."""

    @some
    @given(sessions())
    def check(session: tuple[bytes, dict[str, Any] | None]) -> None:
        data, meta = session
        if not can_travel(data):
            return
        with desk() as here:
            here.write("s", data, None if meta is None else orjson.dumps(meta))
            before = checkpoints.make_checkpoint(here.vault, "s", NOW)
            file = here.export("s", kind, include_metadata=False)
            done = here.bring(file, kind)
            after = checkpoints.make_checkpoint(here.vault, done.session_id, NOW)
            assert after.messages == before.messages
            assert after.session.provider == before.session.provider or kind == "markdown"

    check()


@pytest.mark.parametrize("kind", ["json", "yaml", "markdown"])
def test_every_text_survives_every_format(kind: str) -> None:
    """Tabs, newlines, emoji, CR, NEL, NUL, dashes, what looks like dates, numbers, booleans or the
    report's own headings."""

    @quick
    @given(st.lists(TEXTS, min_size=1, max_size=4))
    def check(contents: list[str]) -> None:
        _survive(contents, kind)

    for text in NASTY:
        _survive([text], kind)
    _survive(list(NASTY), kind)
    check()


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["json", "yaml", "markdown"])
def test_many_texts_survive_every_format(kind: str) -> None:
    """The same over many thousands."""

    @many
    @given(st.lists(TEXTS, min_size=1, max_size=4))
    def check(contents: list[str]) -> None:
        _survive(contents, kind)

    check()


def _survive(contents: list[str], kind: str) -> None:
    file = _file(_checkpoint(*contents), kind)
    if kind == "yaml":
        assert file.isascii()
        assert [m["content"] for m in yaml.safe_load(file)["messages"]] == contents
    read = checked(FORMATS[kind].decode(file))
    assert [m.content for m in read.messages] == contents
    assert [m.role for m in read.messages] == ["user"] * len(contents)


def _checkpoint(*contents: str, **session: Any) -> Checkpoint:
    messages = tuple(CheckpointMessage("user", text, NOW) for text in contents)
    return Checkpoint(
        "1.0",
        NOW,
        None,
        CheckpointSession("n", "p", "m", **session),
        messages,
        CheckpointContext(),
        CheckpointStatistics(len(messages)),
    )


def _file(checkpoint: Checkpoint, kind: str) -> bytes:
    return b"".join(FORMATS[kind].encode(checkpoint))


@quick
@given(TEXTS.filter(bool), st.lists(TEXTS.filter(str.strip), max_size=3))
def test_the_context_survives_a_report(instructions: str, contents: list[str]) -> None:
    """Project instructions may hold headings and fences; the messages behind them still count."""
    plain = _checkpoint("x", *contents)
    file = _file(
        plain._replace(context=CheckpointContext(instructions, ("a`b",), "/d")), "markdown"
    )
    read = checked(FORMATS["markdown"].decode(file))
    assert [m.content for m in read.messages] == ["x", *contents]
    assert read.context == CheckpointContext(instructions, ("a`b",), "/d")


@quick
@given(st.dictionaries(TEXTS, JSON, min_size=1, max_size=4))
@example({"k" * 3000: {"nested" * 500: [[], {}, [[1]], [{"a": "b"}]]}})
def test_any_metadata_survives_json_and_yaml(metadata: dict[str, Any]) -> None:
    """Keys and values of every kind, written so that any YAML reader sees the same."""
    checkpoint = _checkpoint("x", metadata=metadata)
    for kind in ("json", "yaml"):
        file = _file(checkpoint, kind)
        assert checked(FORMATS[kind].decode(file)).session.metadata == metadata
        if kind == "yaml":
            yaml.safe_load(file)


# --- with Atmos ----------------------------------------------------------------------------------


def cases() -> list[dict[str, Any]]:
    return [
        orjson.loads(line)
        for line in (VECTORS / "validation_cases.jsonl").read_bytes().splitlines()
    ]


MILDER = {"v_1.1.json", "role_tool.json", "upper.YAML"}
"""What Atmos refuses and we take: versions 1.x, tool messages, an ending in capitals."""


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["file"])
def test_our_verdicts_on_files_are_those_of_atmos(case: dict[str, Any]) -> None:
    """What its importer took we take; what it refused we refuse, by the rule in its words."""
    if case["ok"] or case["file"] in MILDER:
        checkpoints.read_checkpoint(case["file"], case["content"].encode())
        return
    with pytest.raises(VaultError) as refused:
        checkpoints.read_checkpoint(case["file"], case["content"].encode())
    said = str(refused.value)
    assert said.startswith(case["file"])
    if not re.match("failed to parse|unsupported checkpoint format", case["error"]):
        assert said.removeprefix(f"{case['file']}: ") == case["error"]


ATMOS_FILES = {
    "vpc-migration.utc.json": "json",
    "vpc-migration.context.utc.yaml": "yaml",
    "vpc-migration.context.utc.md": "markdown",
}


@pytest.mark.parametrize("name", ATMOS_FILES)
def test_what_atmos_exported_imports_in_all_three_formats(home: Home, name: str) -> None:
    """Roles, contents, times (its Markdown has whole seconds), name, model, skill, dates."""
    made = home.json("import", str(VECTORS / name))
    wanted = orjson.loads((VECTORS / "vpc-migration.utc.json").read_bytes())
    shown = home.json("show", made["id"])
    assert made["name"] == shown["name"] == "vpc-migration"
    assert (shown["provider"], shown["model"]) == ("anthropic", "claude-sonnet-4-6")
    assert shown["skill"] == "atmos-terraform"
    digits = 19 if name.endswith("md") else 23
    assert shown["created_at"][:digits] == "2025-10-30T14:30:00.123"[:digits]
    assert [(m["role"], m["content"]) for m in shown["messages"]] == [
        (m["role"], m["content"]) for m in wanted["messages"]
    ]
    for ours, theirs in zip(shown["messages"], wanted["messages"], strict=True):
        at = parse_time(theirs["created_at"])
        assert at is not None
        assert ours["created_at"][:digits] == format_time(at)[:digits]
    if not name.endswith("md"):
        assert meta_of(home, made["id"])["metadata"] == wanted["session"]["metadata"]
    assert shown["directory"] == "/home/dev/acme-infra"


def test_archived_and_context_of_an_atmos_file_are_kept(home: Home) -> None:
    """``archived`` stays on its messages, context becomes items, and all goes out again."""
    file = VECTORS / "archived.derived.json"
    made = home.json("import", str(file))
    archived = [m.get("archived") for m in home.json("show", made["id"])["messages"]]
    assert archived == [True, True, None]
    meta = meta_of(home, made["id"])
    assert {(item["type"], item["key"]) for item in meta["context"]} == {
        ("atmos_md", "ATMOS.md"),
        ("stack_file", "stacks/prod.yaml"),
        ("stack_file", "components/terraform/vpc/main.tf"),
    }
    home.output("export", made["id"], "-o", "again.json", "--context")
    again, first = read(home.vault / "again.json"), read(file)
    assert again["context"] == first["context"]
    assert [{k: m.get(k) for k in ("role", "content", "archived")} for m in again["messages"]] == [
        {k: m.get(k) for k in ("role", "content", "archived")} for m in first["messages"]
    ]
    home.output("import", str(file), "-n", "without", "--no-context")
    assert "context" not in meta_of(home, home.json("show", "without")["id"]) or not meta_of(
        home, home.json("show", "without")["id"]
    ).get("context")


@some
@given(sessions())
def test_atmos_takes_what_we_write(session: tuple[bytes, dict[str, Any] | None]) -> None:
    """Each rule of its importer, and the types of its Go structs, over any session of ours."""
    data, meta = session
    if not can_travel(data):
        return
    with desk() as here:
        here.write("s", data, None if meta is None else orjson.dumps(meta))
        for kind, load in (("json", orjson.loads), ("yaml", yaml.safe_load)):
            _assert_atmos_takes(load(here.export("s", kind, include_context=True, by="me")))
        file = here.export("s", "yaml")
        stock = yaml.safe_load(file)
        if "transcript" in stock["vault_sessions"]:
            assert stock["vault_sessions"]["transcript"].encode() == data


def _assert_atmos_takes(document: dict[str, Any]) -> None:
    session = document["session"]
    assert document["version"] == "1.0"
    assert session["name"]
    assert session["provider"]
    assert session["model"]
    assert document["messages"]
    assert document["statistics"]["message_count"] == len(document["messages"])
    times = [document["exported_at"], session.get("created_at"), session.get("updated_at")]
    for each in document["messages"]:
        assert each["role"] in ("user", "assistant", "system")
        assert isinstance(each["content"], str)
        assert isinstance(each.get("archived", False), bool)
        times.append(each.get("created_at"))
    for at in times:
        assert at is None or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{3}){1,2}Z", at)
    for key in ("skill", "project_path"):
        assert isinstance(session.get(key, ""), str)
    assert isinstance(session.get("metadata", {}), dict)
    counts = document["statistics"].values()
    assert all(type(count) is int for count in counts)


# --- the commands --------------------------------------------------------------------------------


def read(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def meta_of(home: Home, stem: str) -> Any:
    return read(home.sessions / f"{stem}.meta.json")


def planning(home: Home) -> Path:
    """A session of two messages named planning, and a compaction in force over the first."""
    data = message("hi", id="a", created_at="2026-11-21T08:00:00Z") + message(
        "hello", "assistant", id="b", created_at="2026-11-21T08:00:01.500Z", model="m1"
    )
    covered = parse(data).messages[:1]
    record = {
        "id": "k",
        "through_message_id": "a",
        "covered_hash": covered_hash(covered),
        "summary": "said hi",
    }
    return write_session(
        home,
        "20261121-080000-aaaaaa",
        *data.splitlines(keepends=True),
        version=1,
        id="20261121-080000-aaaaaa",
        name="planning",
        created_at="2026-11-21T08:00:00.000Z",
        provider="openai",
        directory=str(home.folder),
        compactions=[record],
        context=[{"type": "atmos_md", "key": "ATMOS.md", "value": "Use /20 subnets."}],
        metadata={"ticket": 7},
    )


def test_export_says_what_it_did_and_the_file_is_private(home: Home) -> None:
    """The sentence that scripts know; mode 0600; two-space JSON with the keys of the format."""
    planning(home)
    said = home.output("export", "planning", "-o", "backup.JSON")
    assert said == "Session 'planning' exported to 'backup.JSON'\n"
    path = home.vault / "backup.JSON"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.startswith('{\n  "version": "1.0",\n  "exported_at": "')
    document = json.loads(text)
    assert text == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert list(document) == [
        *("version", "exported_at", "exported_by", "session", "messages", "statistics"),
        "vault_sessions",
    ]
    assert document["session"] == {
        "name": "planning",
        "provider": "openai",
        "model": "m1",
        "project_path": str(home.folder),
        "created_at": "2026-11-21T08:00:00.000Z",
        "updated_at": "2026-11-21T08:00:01.500Z",
        "metadata": {"ticket": 7},
    }
    assert document["messages"][0] == {
        "role": "user",
        "content": "hi",
        "created_at": "2026-11-21T08:00:00.000Z",
        "archived": True,
    }
    assert document["statistics"] == {
        "message_count": 2,
        "user_messages": 1,
        "assistant_messages": 1,
    }
    assert "context" not in document["vault_sessions"]["meta"]


def test_the_ending_says_the_format_and_f_overrules_it(home: Home) -> None:
    """In any case; without a known ending -f is needed; a folder that is not there is told."""
    planning(home)
    for name, start in (("a.YML", b'version: "1.0"'), ("b.MarkDown", b"# AI Session: planning")):
        home.output("export", "planning", "-o", name)
        assert (home.vault / name).read_bytes().startswith(start)
    home.output("export", "planning", "-o", "c.json", "-f", "yaml")
    assert (home.vault / "c.json").read_bytes().startswith(b"version:")
    for name in ("d.txt", "d", "-"):
        assert "-f FORMAT is needed" in home.error("export", "planning", "-o", name, code=2)
    assert "There is no folder" in home.error("export", "planning", "-o", "no/such.json")
    assert "is a folder" in home.error("export", "planning", "-o", "atlas", "-f", "json")
    assert "There is no session" in home.error("export", "nobody", "-o", "e.json")
    assert not (home.vault / "e.json").exists()


def test_an_existing_file_needs_force(home: Home) -> None:
    """And is then replaced at once, private; a link is never written through."""
    planning(home)
    there = home.vault / "there.json"
    there.write_text("mine")
    there.chmod(0o644)
    assert "--force" in home.error("export", "planning", "-o", "there.json")
    assert there.read_text() == "mine"
    home.output("export", "planning", "-o", "there.json", "--force")
    assert read(there)["version"] == "1.0"
    assert stat.S_IMODE(there.stat().st_mode) == 0o600
    outside = home.folder / "outside"
    outside.write_text("mine")
    (home.vault / "link.json").symlink_to(outside)
    home.error("export", "planning", "-o", "link.json", "--force")
    assert outside.read_text() == "mine"
    assert not list(home.vault.glob(".*.tmp"))


def test_context_and_metadata_are_switches_with_values(home: Home) -> None:
    """``--context``, ``--context=false``, ``--no-metadata``: what each leaves out, there either."""
    planning(home)

    def exported(*flags: str) -> Any:
        return json.loads(home.output("export", "planning", "-o", "-", "-f", "json", *flags))

    plain, full = exported(), exported("--context")
    assert plain == {**exported("--context=false"), "exported_at": plain["exported_at"]}
    assert "context" not in plain
    assert full["context"] == {
        "project_instructions": "Use /20 subnets.",
        "working_directory": str(home.folder),
    }
    assert full["vault_sessions"]["meta"]["context"][0]["value"] == "Use /20 subnets."
    for flags in (("--no-metadata",), ("--metadata=false",), ("--metadata=0",)):
        bare = exported("--context=true", *flags)
        assert {"exported_by", "vault_sessions"}.isdisjoint(bare)
        assert {"metadata", "project_path"}.isdisjoint(bare["session"])
        assert bare["context"] == {"project_instructions": "Use /20 subnets."}
    assert exported("--metadata").keys() == plain.keys()
    assert "give true or false" in home.error(
        "export", "planning", "-o", "x.json", "--context=maybe", code=2
    )


def test_project_instructions_come_from_the_directory_where_no_item_has_them(home: Home) -> None:
    """ATMOS.md before AGENTS.md; a link to somewhere else is not followed."""
    project = home.folder / "project"
    project.mkdir()
    write_session(home, "s1", message("hi"), id="s1", name="n", directory=str(project))

    def instructions() -> Any:
        out = home.output("export", "n", "-o", "-", "-f", "json", "--context")
        return json.loads(out)["context"].get("project_instructions")

    (home.folder / "secret").write_text("key")
    (project / "ATMOS.md").symlink_to(home.folder / "secret")
    assert instructions() is None
    (project / "AGENTS.md").write_text("agents")
    assert instructions() == "agents"
    (project / "ATMOS.md").unlink()
    (project / "ATMOS.md").write_text("atmos")
    assert instructions() == "atmos"


def test_all_sessions_go_to_a_folder(home: Home) -> None:
    """A file each, named so that a person finds it; nothing is replaced without --force; one
    without messages is told and left out."""
    planning(home)
    write_session(home, "s2", message("two"), name="a/../b: Ä?")
    write_session(home, "s3", message("three"))
    write_session(home, "s4", name="empty")
    done = home.run("export", "--all", "-o", "out")
    assert done.returncode == 0
    assert done.stdout == "3 sessions exported to 'out'\n"
    assert "empty: no messages" in done.stderr
    assert sorted(os.listdir(home.vault / "out")) == [
        "20261121-080000-aaaaaa-planning.json",
        "s2-a-b-ä.json",
        "s3.json",
    ]
    before = tree(home.vault / "out")
    assert "exists already" in home.error("export", "--all", "-o", "out")
    assert tree(home.vault / "out") == before
    home.output("export", "--all", "-o", "out", "-f", "markdown")
    assert (home.vault / "out" / "s3.md").exists()
    home.error("export", "--all", "planning", "-o", "out", code=2)
    home.error("export", "-o", "out.json", code=2)


def test_what_is_exported_can_be_imported_under_another_name(home: Home) -> None:
    """The sentence that scripts know, how to resume, fresh id, same bytes; then the old is found
    by its own name still."""
    path = planning(home)
    home.output("export", "planning", "-o", "p.json", "--context")
    assert "exists already" in home.error("import", "p.json")
    said = home.output("import", "p.json", "-n", "second try")
    assert said.splitlines() == [
        "Session 'second try' imported successfully",
        "Resume it: vault-sessions chat -s 'second try'",
    ]
    new = home.json("show", "second try")
    assert re.fullmatch(r"20261121-080000-[0-9a-z]{6}", new["id"])
    assert (home.vault / new["path"]).read_bytes() == path.read_bytes()
    ours = {**meta_of(home, "20261121-080000-aaaaaa"), "id": new["id"], "name": "second try"}
    assert meta_of(home, new["id"]) == ours
    assert home.json("show", "planning")["id"] == "20261121-080000-aaaaaa"
    assert {one["severity"] for one in home.json("doctor")} <= {"note"}


def test_one_without_a_name_goes_out_by_its_id_and_comes_back_without_a_name(home: Home) -> None:
    """With what is ours in the file and without."""
    stem = "20261121-080000-aaaaaa"
    write_session(home, stem, message("hi", created_at="2026-11-21T08:00:00Z"))
    for flags in ((), ("--no-metadata",)):
        out = home.output("export", stem, "-o", "-", "-f", "json", *flags)
        session = json.loads(out)["session"]
        assert (session["name"], session["provider"], session["model"]) == (
            stem,
            "unknown",
            "unknown",
        )
        made = home.json("import", "-", stdin=out)
        assert made["name"] is None
        shown = home.json("show", made["id"])
        assert (shown["provider"], shown["model"]) == (None, None)


def test_overwrite_puts_the_old_one_in_the_trash_once_the_new_is_there(home: Home) -> None:
    """Both files of it, with a manifest; an open session is not replaced."""
    path = planning(home)
    home.output("export", "planning", "-o", "p.yaml")
    old = path.read_bytes()
    said = home.output("import", "p.yaml", "--overwrite")
    assert "in the trash: 20261121-080000-aaaaaa" in said
    assert not path.exists()
    kept = [p for p in (home.vault / ".vault-sessions/trash").rglob("*") if p.is_file()]
    assert sorted(p.name for p in kept) == [
        "20261121-080000-aaaaaa.jsonl",
        "20261121-080000-aaaaaa.meta.json",
        "manifest.json",
    ]
    assert home.json("show", "planning")["message_count"] == 2
    assert [s["name"] for s in home.json("list")] == ["planning"]
    assert next(p for p in kept if p.suffix == ".jsonl").read_bytes() == old
    stem = home.json("show", "planning")["id"]
    (state,) = (home.folder / "state").iterdir()
    lease = State(str(state)).lease(stem, NOW)
    assert lease is not None
    assert "open in a chat" in home.error("import", "p.yaml", "--overwrite")
    lease.release()
    assert [s["id"] for s in home.json("list")] == [stem]


def test_conflict_copies_of_the_replaced_session_go_with_it(home: Home) -> None:
    """Else ``doctor --fix`` would make it again of what is left."""
    path = planning(home)
    name = path.name.replace(".jsonl", ".sync-conflict-20261121-090000-ABCDEFG.jsonl")
    path.with_name(name).write_bytes(path.read_bytes() + message("only in the copy"))
    home.output("export", "planning", "-o", "p.yaml")
    home.output("import", "p.yaml", "--overwrite")
    home.run("doctor", "--fix")
    assert [s["name"] for s in home.json("list")] == ["planning"]
    assert [p.name for p in (home.vault / ".vault-sessions/trash").rglob(name)] == [name]


def test_a_dry_run_checks_everything_and_writes_nothing(home: Home) -> None:
    """Also that the name is free."""
    planning(home)
    home.output("export", "planning", "-o", "p.md")
    home.output("list")
    before = tree(home.vault)
    assert "exists already" in home.error("import", "p.md", "--dry-run")
    assert "2 messages" in home.output("import", "p.md", "--dry-run", "-n", "new")
    assert "replace 20261121" in home.output("import", "p.md", "--dry-run", "--overwrite")
    assert home.json("import", "p.md", "--dry-run", "-n", "new")["id"] is None
    (home.vault / "bad.json").write_text("{}")
    home.error("import", "bad.json", "--dry-run")
    (home.vault / "bad.json").unlink()
    assert tree(home.vault) == before


def test_an_edited_file_brings_its_messages(home: Home) -> None:
    """Somebody changed a message: it counts, and the transcript that came along does not; somebody
    changed the session's name or model: that counts too, and the transcript still does."""
    path = planning(home)
    home.output("export", "planning", "-o", "p.json")
    document = read(home.vault / "p.json")
    document["session"] |= {"name": "renamed", "model": "m2", "metadata": {"ticket": 8}}
    made = home.json("import", "-", stdin=json.dumps(document))
    assert (made["name"], made["edited"]) == ("renamed", False)
    assert (home.sessions / f"{made['id']}.jsonl").read_bytes() == path.read_bytes()
    assert meta_of(home, made["id"])["model"] == "m2"
    assert meta_of(home, made["id"])["metadata"] == {"ticket": 8}
    document["session"]["name"] = "edited"
    document["messages"][1]["content"] = "changed by hand"
    done = home.run("import", "-", stdin=json.dumps(document))
    assert "were edited" in done.stderr
    shown = home.json("show", "edited")
    assert [m["content"] for m in shown["messages"]] == ["hi", "changed by hand"]
    assert shown["compactions"] == []
    wrong: Any
    for wrong in ({"transcript": 5}, {"transcript_base64": "%"}, {"transcript": ""}, 7, None, []):
        document["vault_sessions"] = wrong
        document["session"]["name"] = f"wrong {json.dumps(wrong)[:30]}"
        assert home.json("import", "-", stdin=json.dumps(document))["message_count"] == 2


def test_yaml_scalars_stay_as_they_are_written() -> None:
    """Where text is wanted nothing is guessed; where it is not, YAML 1.2 is."""
    text = """
version: 1.0
session: {name: 007, provider: no, model: 1.10, skill: ~, created_at: 2025-10-31,
  metadata: {a: 007, b: no, c: 1.10, d: ~, e: true, f: "1", g: 2025-10-31, h: 0x10, i: .inf}}
messages:
- {role: user, content: 12:30:00}
- {role: user, content: =, created_at: 2025-10-31 10:00:00}
- {role: assistant, content: no, archived: true}
- {role: user, content: 1_000}
- {role: user, content: "<<"}
- {role: user, content: !!binary aGk=}
statistics: {message_count: 6}
"""
    read = checked(checkpoint_yaml.decode(text.encode()))
    session = read.session
    assert session[:4] == ("007", "no", "1.10", None)
    assert all(type(each) is str for each in session[:3])
    assert session.metadata == {
        "a": 7,
        "b": "no",
        "c": 1.1,
        "d": None,
        "e": True,
        "f": "1",
        "g": "2025-10-31",
        "h": 16,
        "i": ".inf",
    }
    contents = [m.content for m in read.messages]
    assert contents == ["12:30:00", "=", "no", "1_000", "<<", "hi"]
    assert read.messages[1].created_at == datetime(2025, 10, 31, 10, tzinfo=UTC)
    assert read.messages[2].archived


VALID: dict[str, Any] = {
    "version": "1.0",
    "session": {"name": "n", "provider": "p", "model": "m"},
    "messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}],
    "statistics": {"message_count": 2},
}
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("checkpoint version is missing", {"version": ""}),
    ("unsupported checkpoint version: 2.0 (expected: 1.0)", {"version": "2.0", "session": {}}),
    ("checkpoint version is not text", {"version": 1.0}),
    ("session is not an object", {"session": []}),
    ("session name is required", {"session": {}, "messages": []}),
    ("session provider is required", {"session": {"name": "n"}}),
    ("session model is required", {"session": {"name": "n", "provider": "p"}, "messages": []}),
    ("checkpoint must contain at least one message", {"messages": []}),
    ("messages is not a list", {"messages": {}}),
    ("message is not an object: message 1", {"messages": [3]}),
    ("message role is required: message 1", {"messages": [{"content": "x"}, {"role": "x"}]}),
    (
        "invalid message role: message 2 has role 'x' (expected: user, assistant, system, tool)",
        {"messages": [{"role": "user", "content": 1}, {"role": "x"}]},
    ),
    (
        "message content is not text: message 1",
        {"messages": [{"role": "user", "content": [], "created_at": "x"}]},
    ),
    (
        "message time can't be read: message 1 has",
        {"messages": [{"role": "user", "created_at": 1}]},
    ),
    ("session time can't be read", {"session": {**VALID["session"], "created_at": "today"}}),
    ("session skill is not text", {"session": {**VALID["session"], "skill": 3}}),
    ("session metadata is not an object", {"session": {**VALID["session"], "metadata": [1]}}),
    ("context is not an object", {"context": "x"}),
    ("context files_accessed is not a list", {"context": {"files_accessed": "x"}}),
    ("statistics message_count is not a whole number", {"statistics": {"message_count": "2"}}),
    (
        "statistics message count does not match actual messages: count is 5 but found 2",
        {"statistics": {"message_count": 5}},
    ),
]


@pytest.mark.parametrize(("said", "changes"), WRONG, ids=[said[:40] for said, _ in WRONG])
def test_each_rule_is_told_in_order_and_the_first_broken_wins(
    said: str, changes: dict[str, Any]
) -> None:
    """In the words of the documentation."""
    checked({**VALID})
    with pytest.raises(CheckpointError) as refused:
        checked({**VALID, **changes})
    assert str(refused.value).startswith(said)


UNREADABLE = [
    ("x.json", b'{\n  "version": "1.0",\n}', "x.json:2:19: not valid JSON"),
    ("x.json", b"", "x.json:1:1: not valid JSON"),
    ("x.json", b'{"a": "\xff"}', "x.json:1:8: not UTF-8"),
    ("x.json", b"[" * 5000, "x.json:1:"),
    ("x.yaml", b"version: '1.0'\nsession: &a {name: n}\n", "x.yaml:2:10: not valid YAML: aliases"),
    ("x.yaml", b"a: *b", "x.yaml:1:4: not valid YAML: aliases"),
    ("x.yaml", b"a: [", "x.yaml:"),
    ("x.yaml", b"a: !!python/object:os.system {}", "x.yaml:1:4: not valid YAML: the tag"),
    ("x.yaml", b"a: !x y", "x.yaml:1:4: not valid YAML: the tag"),
    ("x.yaml", b"a: 1\nb: 2\na: 3\n", "x.yaml:3:1: not valid YAML: the key 'a' stands on line 1"),
    ("x.yaml", b"a: 1\n---\nb: 2\n", "x.yaml:2:1: not valid YAML: a second document"),
    ("x.yaml", b"[" * 200, "x.yaml:1:101: not valid YAML: nested too deep"),
    ("x.yaml", b"a: \x01", "x.yaml:1:4: not valid YAML"),
    ("x.yaml", b"a\n\xff", "x.yaml:2:1: not UTF-8"),
    ("x.yaml", b"? [a]\n: b\n", "x.yaml:1:3: not valid YAML: a key is not text"),
    ("x.yaml", b"- a\n", "x.yaml:1:1: not a checkpoint"),
    ("x.md", b"# hi\n", "x.md:1:1: not a session's report"),
    ("x.md", b"\xff", "x.md:1:1: not UTF-8"),
    ("x.txt", b"hello", "x.txt:1:1: not a checkpoint"),
    ("x.txt", b"", "x.txt: checkpoint version is missing"),
]


@pytest.mark.parametrize(("name", "data", "said"), UNREADABLE, ids=[s for _, _, s in UNREADABLE])
def test_what_does_not_parse_is_told_with_file_line_and_column(
    name: str, data: bytes, said: str
) -> None:
    """And nothing of it is ever run."""
    with pytest.raises(VaultError) as refused:
        checkpoints.read_checkpoint(name, data)
    assert str(refused.value).startswith(said)


def test_a_file_that_can_not_be_read_is_an_error_of_one_line(home: Home) -> None:
    """Not there, a folder, not ours to read, not a checkpoint; the vault is as before."""
    home.output("list")
    before = tree(home.vault)
    assert "No such file" in home.error("import", "nowhere.json")
    assert "directory" in home.error("import", "atlas")
    (home.folder / "bad.yaml").write_text("a: [\n")
    assert ":2:1:" in home.error("import", str(home.folder / "bad.yaml"))
    assert "stdin" in home.error("import", "-", stdin="{")
    assert "stdin: checkpoint version is missing" in home.error("import", "-", stdin="")
    home.error("import", "-", "-n", " ", stdin="{}", code=2)
    long = json.dumps({**VALID, "session": {**VALID["session"], "name": "x" * 101}})
    assert "can't be a session's name" in home.error("import", "-", stdin=long)
    home.output("import", "-", "-n", "short", "--dry-run", stdin=long)
    nameless = json.dumps({**VALID, "session": {"provider": "p", "model": "m"}})
    assert "session name is required" in home.error("import", "-", stdin=nameless)
    assert tree(home.vault) == before
    assert home.json("import", "-", "-n", "given", stdin=nameless)["name"] == "given"


def test_content_tells_the_format_where_the_ending_does_not() -> None:
    """For stdin and odd endings."""
    for kind in ("json", "yaml", "markdown"):
        assert format_of_content(_file(_checkpoint("hi"), kind)) == kind
    assert format_of_path("a.JSON.gz") is None
    assert format_of_path("A.Yml") == "yaml"
    for name in ATMOS_FILES:
        data = (VECTORS / name).read_bytes()
        assert format_of_content(data) == ATMOS_FILES[name]


def test_limits_are_named_and_export_refuses_what_import_would() -> None:
    """32 MiB of YAML; the same session still fits JSON."""
    with desk() as here:
        here.write("s", message("x" * (12 * MIB)))
        assert len(here.export("s", "yaml")) < 32 * MIB
        here.write("s", message("x" * (17 * MIB)))
        with pytest.raises(VaultError, match="at most 32 MiB"):
            here.export("s", "yaml")
        assert len(here.export("s", "json")) > 34 * MIB
        with pytest.raises(VaultError, match="at most 32 MiB"):
            here.bring(b"#" * (32 * MIB + 1), "yaml")
        huge = Path(here.vault.root) / "huge.json"
        huge.touch()
        os.truncate(huge, 256 * MIB + 1)
        with pytest.raises(VaultError, match="at most 256 MiB"):
            checkpoints.read_input(str(huge))


def test_a_message_that_no_line_can_hold_is_refused() -> None:
    """A line has at most 64 MiB: longer it could not be read again."""
    text = orjson.dumps({**VALID, "messages": [{"role": "user", "content": "x" * (65 * MIB)}],
                         "statistics": {"message_count": 1}})  # fmt: skip
    with desk() as here:
        with pytest.raises(VaultError, match="message 1 is too large"):
            here.bring(text, "json")
        assert os.listdir(here.vault.absolute(here.vault.sessions)) == []


def test_a_report_changed_by_an_editor_still_imports() -> None:
    """CRLF line ends, no newline at the end, trailing spaces behind headings."""
    file = _file(_checkpoint("one\ntwo", "three"), "markdown")
    for changed in (
        file.replace(b"\n", b"\r\n"),
        file.rstrip(),
        file.replace(b"- USER\n", b"- USER  \n"),
        b"\xef\xbb\xbf" + file,
    ):
        read = checked(checkpoint_markdown.decode(changed))
        assert [m.content for m in read.messages] == ["one\ntwo", "three"]
    fewer = file[: file.index(b"### Message 2")]
    with pytest.raises(CheckpointError, match="count is 2 but found 1"):
        checked(checkpoint_markdown.decode(fewer))


def test_a_report_keeps_its_shape_when_code_is_not_closed() -> None:
    """The next heading is seen as a heading; the text comes back as it was."""
    file = _file(_checkpoint("```python\nx = 1", "next"), "markdown").decode()
    assert "x = 1\n```\n" in file
    assert [m.content for m in checked(checkpoint_markdown.decode(file.encode())).messages] == [
        "```python\nx = 1",
        "next",
    ]


JUNK = [
    piece.encode()
    for piece in (
        *("&a ", "*a", "!!x ", "!!int ", "!!timestamp ", "!!binary ", "? ", ": ", "- ", "%", "|\n"),
        *("\n", "\t", "{", "]", '"', "null", "9" * 99, "\\ud800", "\\x", "---\n", "### ", "*"),
    )
]


@pytest.mark.parametrize("kind", ["json", "yaml", "markdown"])
def test_damaged_files_are_refused_or_read_but_never_crash(kind: str) -> None:
    """Bytes removed, doubled, changed, anywhere in a file."""
    whole = _checkpoint(*NASTY, metadata={"a": [1, {"b": None}]})
    file = _file(whole._replace(original=Original("i", {"name": "n"}, b"{}\n")), kind)

    @quick
    @given(st.data())
    def check(data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(file)))
        end = data.draw(st.integers(at, min(len(file), at + 30)))
        junk = data.draw(st.one_of(st.binary(max_size=5), st.sampled_from(JUNK)))
        with suppress(VaultError):
            checkpoints.read_checkpoint("f", file[:at] + junk + file[end:], kind)  # type: ignore[arg-type]

    check()


@quick
@given(JSON)
def test_any_json_value_is_refused_or_read(value: Any) -> None:
    """In the place of any member."""
    for key in ("version", "session", "messages", "context", "statistics", "vault_sessions"):
        for document in ({**VALID, key: value}, value):
            try:
                read = checked(orjson.loads(orjson.dumps(document)))
            except CheckpointError:
                continue
            assert read.messages
    for part in ("created_at", "metadata", "skill", "project_path"):
        with suppress(CheckpointError):
            checked({**VALID, "session": {**VALID["session"], part: value}})


def test_an_import_that_can_not_write_all_of_a_session_leaves_none_of_it() -> None:
    """The place of its metadata is taken: its transcript goes again, what is there stays."""
    with desk() as here:
        folder = Path(here.vault.absolute(here.vault.sessions))
        (folder / "s1.meta.json").write_text("mine")
        with pytest.raises(VaultError, match="Nothing was imported"):
            vaults.make_session(here.vault, "s1", b"{}\n", b"{}\n")
        assert [path.name for path in folder.iterdir()] == ["s1.meta.json"]
        assert (folder / "s1.meta.json").read_text() == "mine"
        here.bring(_file(_checkpoint("hi"), "json"), "json")
        assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in folder.glob("2*"))


@pytest.mark.parametrize(
    "kinds",
    [("KILL",), pytest.param(faults.KINDS, marks=pytest.mark.fault)],
    ids=["kill -9 at some calls", "every fault at every call"],
)
@pytest.mark.timeout(1800)
@pytest.mark.skipif(faults.why_not() is not None, reason=str(faults.why_not()))
def test_a_session_is_imported_whole_or_not_at_all(kinds: tuple[str, ...]) -> None:
    """Killed at any call, or one that fails: no metadata without a transcript, no part of one, what
    was there before stays or is in the trash, and an error means that nothing was written."""
    with faults.quick_folder() as folder, faults.Faults(folder / "driver") as driver:
        (folder / "home").mkdir()
        home = make_home(folder / "home")
        data = planning(home).read_bytes()
        assert driver.run(home, "export", "planning", "-o", "p.json").code == 0
        shutil.copytree(home.folder, folder / "template")
        calls, _ = driver.calls(home, "import", "p.json", "--overwrite")
        points = [
            faults.Fault(call.name, call.number, kind)
            for call in calls
            if "cache/" not in call.path
            for kind in kinds
        ]
        assert len(points) > 10
        for fault in points if len(kinds) > 1 else points[::3]:
            shutil.rmtree(home.folder)
            shutil.copytree(folder / "template", home.folder)
            done = driver.fail(home, fault, "import", "p.json", "--overwrite")
            assert "Traceback" not in done.err, (fault, done)
            found = {path.name: path.read_bytes() for path in home.sessions.glob("2*.jsonl")}
            assert set(found.values()) == {data}, (fault, done)
            for meta in home.sessions.glob("*.meta.json"):
                assert meta.name.removesuffix(".meta.json") + ".jsonl" in found, (fault, done)
                assert orjson.loads(meta.read_bytes())["name"] == "planning"
            if done.code == 1 and "Imported as" not in done.err and "confirm" not in done.err:
                assert len(found) == 1, (fault, done)
            if done.code == 0:
                assert len(found) == 1, (fault, done)


def test_a_long_transcript_is_read_by_pieces_as_it_would_be_whole() -> None:
    """Also where the name of its member stands elsewhere, and where an escape could be cut."""
    tricky = '"transcript": "x", }\n \\}\n \\" 👍'
    lines = b"".join(message(f"{number} {tricky} " * 8, x={"a": {}}) for number in range(20_000))
    assert len(lines) > 4 * MIB
    with desk() as here:
        here.write("s", lines, orjson.dumps({'x"transcript': tricky, "transcript": tricky}))
        file = here.export("s", "json")
        done = here.bring(file, "json")
        assert not done.edited
        assert here.read(done.session_id)[0] == lines
        compact = orjson.dumps(orjson.loads(file))
        turned = orjson.dumps(
            dict(reversed(orjson.loads(file).items())), option=orjson.OPT_INDENT_2
        )
        for other in (compact, turned):
            assert here.read(here.bring(other, "json").session_id)[0] == lines
    plain = orjson.dumps({**VALID, "transcript": "a"}, option=orjson.OPT_INDENT_2)
    assert checkpoint_json.decode(plain)["transcript"] == "a"


# what could be taken for something else where a file is cut into pieces
AT_A_CUT = st.lists(
    st.sampled_from(
        [
            *(
                '"',
                "\\",
                "{",
                "}",
                "},{",
                "} , {",
                "]",
                "[",
                "}\n",
                "\\n",
                ",",
                ":",
                "\n",
                "👍",
                "é",
                "x",
            ),
            *('"messages": [', '"transcript": "', '"context"', '"statistics"', '"vault_sessions"'),
            *("(read by pieces)", "\U0010ffff", "\u2028", "\0"),
        ]
    ),
    max_size=12,
).map("".join)


@st.composite
def large_documents(draw: st.DrawFn) -> bytes:
    """JSON of more than a piece, some of it no checkpoint, some of it no JSON."""
    objects = st.dictionaries(AT_A_CUT, AT_A_CUT, max_size=2)
    some = st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"]), "content": AT_A_CUT},
        optional={"x": objects, "context": st.lists(AT_A_CUT, max_size=2), "messages": objects},
    )
    messages = draw(st.lists(some, min_size=1, max_size=6))
    messages *= 1 + (MIB + draw(st.integers(0, 2000))) // len(orjson.dumps(messages))
    # the piece that ends first may end anywhere in them
    messages.insert(0, {"role": "user", "content": "x" * draw(st.integers(0, 500))})
    named = st.sampled_from(["messages", "transcript", "context", "vault_sessions", "a"])
    document = {
        **VALID,
        "session": {**VALID["session"], "metadata": draw(st.dictionaries(named, objects))},
        "messages": messages,
        "statistics": {"message_count": len(messages)},
    }
    if draw(st.booleans()):
        text = draw(AT_A_CUT.filter(bool))
        text *= 1 + MIB // len(text)
        document["vault_sessions"] = {"transcript": text, "meta": draw(objects)}
    keys = draw(st.permutations(list(document)))
    indent = draw(st.sampled_from([0, orjson.OPT_INDENT_2]))
    data = orjson.dumps({key: document[key] for key in keys}, option=indent)
    at = draw(st.integers(-300, 300))
    return data[:at] + draw(st.sampled_from([b"", b"", b",", b'"', b"}", b"]", b"\\"])) + data[at:]


def verdict(read: Any, data: bytes) -> Any:
    """The checkpoint, or what is wrong."""
    try:
        return checked(read(data))
    except CheckpointError as error:
        return str(error), error.line, error.column


@given(large_documents())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_json_read_by_pieces_is_what_it_is_as_a_whole(data: bytes) -> None:
    """Wherever the pieces end, and whatever is wrong."""
    assert verdict(checkpoint_json.decode, data) == verdict(checkpoint_json._whole, data)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@given(large_documents())
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
def test_much_json_read_by_pieces_is_what_it_is_as_a_whole(data: bytes) -> None:
    assert verdict(checkpoint_json.decode, data) == verdict(checkpoint_json._whole, data)


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d\u0041"])
def test_half_a_character_is_refused_by_pieces_and_as_a_whole(half: str) -> None:
    """JSON can write half of a surrogate pair; no text has it."""
    filler = {"role": "user", "content": "x" * 1000}
    document = {**VALID, "messages": [filler] * 2000, "statistics": {"message_count": 2000}}
    document["vault_sessions"] = {"transcript": "}\n" * MIB}
    for data in (orjson.dumps(document), orjson.dumps(document, option=orjson.OPT_INDENT_2)):
        for behind in (b"x" * 1000, b"}\\n" * 1000):
            broken = (behind + half.encode() + b'"').join(data.rsplit(behind + b'"', 1))
            assert broken != data or behind != b"x" * 1000
            if broken != data:
                said = verdict(checkpoint_json.decode, broken)
                assert said[0].startswith("not valid JSON")
                assert said == verdict(checkpoint_json._whole, broken)


def test_an_escaped_emoji_is_whole_again() -> None:
    """As programs write it that keep to ASCII."""
    transcript = '{"role":"user","content":"👍"}\n' * 60_000
    document = {**VALID, "vault_sessions": {"transcript": transcript}}
    for separators in ((",", ":"), (", ", ": ")):
        data = json.dumps(document, separators=separators).encode()
        read = checked(checkpoint_json.decode(data))
        assert read.original is not None
        assert read.original.transcript == transcript.encode()


def test_rules_are_told_in_their_order_wherever_they_are_broken() -> None:
    """All roles before all contents before all times, though each message is looked at once."""
    good = {"role": "user", "content": "x" * 1000}
    role, content, at = {**good, "role": "x"}, {**good, "content": 1}, {**good, "created_at": "x"}
    flag = {**good, "archived": "x"}
    for bad, said in (
        ((at, content, role), "invalid message role: message 3000"),
        ((content, at, role), "invalid message role: message 3000"),
        ((flag, at, content), "message content is not text: message 3000"),
        ((at, flag, content), "message content is not text: message 3000"),
        ((flag, at, good), "message archived is neither true nor false: message 1"),
        ((at, flag, role), "invalid message role: message 3000"),
        ((at, 1, role), "message is not an object: message 1500"),
    ):
        messages = [bad[0], *[good] * 1498, bad[1], *[good] * 1499, bad[2]]
        document = {**VALID, "messages": messages, "statistics": {"message_count": 1}}
        data = orjson.dumps(document)
        for read in (checkpoint_json.decode, checkpoint_json._whole):
            assert verdict(read, data)[0].startswith(said)
        last = orjson.dumps({**document, "messages": [good, good], "exported_at": "x"})
        assert "exported_at" in verdict(checkpoint_json.decode, last)[0]


# --- memory --------------------------------------------------------------------------------------

MEASURED = """
import atexit, sys
from vault_sessions.__main__ import main

def tell():
    lines = open("/proc/self/status").read().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)

atexit.register(tell)
sys.exit(main())
"""


def peak(home: Home, *arguments: str) -> float:
    """The most memory that a run of the program took, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        cwd=home.vault,
        env=home.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stderr.split()[-1]) / 1024


def spoken(count: int, content: str) -> Iterator[CheckpointMessage]:
    for number in range(count):
        role = "user" if number % 2 == 0 else "assistant"
        yield CheckpointMessage(role, f"{number} {content}", NOW)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc/self/status")
@pytest.mark.parametrize(
    ("kind", "count", "content"),
    [
        ("json", 60_000, "some words of a session 👍 " * 10),
        ("yaml", 30_000, "some words of a session 👍 " * 10),
        ("markdown", 60_000, "some words of a session 👍 " * 10),
    ],
    ids=["json", "yaml", "markdown"],
)
def test_memory_is_no_more_than_four_times_the_file_and_60_mb(
    home: Home, kind: Any, count: int, content: str
) -> None:
    """Of what another program exported, in and out; and of our own file, which has the transcript
    too, in again. 👍 makes a text four bytes wide for every character."""
    session = CheckpointSession("s", "p", "m", created_at=NOW, updated_at=NOW)
    messages = tuple(spoken(count, content))
    foreign = Checkpoint(
        *("1.0", NOW, None, session, messages),
        *(CheckpointContext(), CheckpointStatistics(count)),
    )
    file, ours = home.folder / "foreign", home.folder / "ours"
    file.write_bytes(b"".join(FORMATS[kind].encode(foreign)))
    del messages, foreign
    for name, path in (("foreign", file), ("again", ours)):
        allowed = 4 * path.stat().st_size / MIB + 60
        assert peak(home, "import", str(path), "-f", kind, "-n", name) < allowed
        if name == "foreign":
            for transcript in home.sessions.glob("*.jsonl"):
                os.utime(transcript)  # so that the mirror catches up first
            taken = peak(home, "export", name, "-f", kind, "-o", str(ours))
            assert taken < 4 * ours.stat().st_size / MIB + 60
        home.output("delete", name, "--yes")


def test_two_imports_at_once_give_a_name_to_one_of_them(home: Home) -> None:
    """Names are looked up and given under one lock."""
    planning(home)
    home.output("export", "planning", "-o", "p.json")
    running = [home.start("import", "p.json", "-n", "same") for _ in range(4)]
    codes = [process.wait(60) for process in running]
    for process in running:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
    assert sorted(codes) == [0, 1, 1, 1]
    assert [s["name"] for s in home.json("list")].count("same") == 1


def test_nothing_of_the_settings_is_in_an_export(home: Home) -> None:
    """No key, no command, no URL."""
    (home.folder / "config").mkdir()
    (home.folder / "config/config.yaml").write_text(
        "ai:\n  providers:\n    mine: {base_url: 'http://u:hush@h/v1', api_key_env: MY_KEY}\n"
        "  default_provider: mine\n"
    )
    planning(home)
    out = home.output("export", "planning", "-o", "-", "-f", "json", "--context", MY_KEY="sk-hush")
    assert "hush" not in out
    assert "MY_KEY" not in out


def test_on_a_terminal_nothing_in_a_session_controls_it(home: Home) -> None:
    """``-o -`` shows it; a file and a pipe get it as it is."""
    write_session(home, "s1", message("\x1b]0;title\x07 \x9b31m \u202e"), name="n")
    for kind in ("json", "yaml", "markdown"):
        shown = home.screen("export", "n", "-o", "-", "-f", kind).text
        assert not re.search("[\x07\x1b\x9b\u202e]", shown)


def test_json_says_what_was_done(home: Home) -> None:
    """One document, with ids and paths."""
    planning(home)
    assert home.json("export", "planning", "-o", "x.md") == {
        "id": "20261121-080000-aaaaaa",
        "name": "planning",
        "path": "x.md",
        "format": "markdown",
        "message_count": 2,
    }
    home.error("export", "planning", "-o", "-", "-f", "json", "--json", code=2)
    made = home.json("import", "x.md", "-n", "y")
    assert made.keys() == {"id", "name", "message_count", "replaced", "edited", "dry_run"}


def test_metadata_that_can_not_be_read_is_told(home: Home) -> None:
    """The transcript goes out whole all the same."""
    write_session(home, "s1", message("hi"))
    (home.sessions / "s1.meta.json").write_text("{torn")
    done = home.run("export", "s1", "-o", "s.json")
    assert done.returncode == 0
    assert "can't be read" in done.stderr
    assert parse_meta(b"{torn", "s1")[1]
    assert "meta" not in read(home.vault / "s.json")["vault_sessions"]

"""Whatever happens to the files, a sync leaves the mirror that a rebuild would make.

A machine does to a small vault what people, editors, sync tools and chats do, in any order; after
every sync the mirror is compared with one built from nothing. Its clock is injected: files that a
hand has touched bear its time, so that they are both "just now" and "long ago" when they are read.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from vault_sessions import sync
from vault_sessions import vault as vaults
from vault_sessions.config import Settings
from vault_sessions.errors import VaultError
from vault_sessions.formats.fulltext import search_query
from vault_sessions.mirror import queries, store
from vault_sessions.workspace import Workspace
from vault_sessions.workspace.core import assemble

SESSIONS = "atlas/memory/sessions"
WORDS = ("apple", "banana", "東京タワー", "京", "café", "서울", "ﾀﾜｰ", "run*")

# Stems that could be copies of one another, and one of our own ids.
STEMS = ("a", "a-b", "a_b-c", "20261121-080512-7k3q9d")
OTHERS = (
    "20261121-080512-7k3q9d-HOST.jsonl",
    "a (conflicted copy 2026-01-06).jsonl",
    # copies of another, or not: what they say decides
    "a 2.jsonl",
    "a-b (1).jsonl",
    "a.meta (1).json",
    "a.meta-HOST.json",
    "a-HOST.meta.json",
    "notes.txt",
    ".a.jsonl.tmp",
    "_odd.jsonl",
)
MEMORY = (
    "atlas/memory/long-term/facts.md",
    "atlas/memory/long-term/session-2026-11-21-trip.md",
    "atlas/identity/user.md",
    "atlas/memory/long-term/.#facts.md",
    "atlas/memory/long-term/facts 2.md",
    "atlas/memory/long-term/facts-laptop.md",
    "atlas/memory/long-term/facts (Maya's conflicted copy 2026-11-21).md",
    "atlas/memory/long-term/facts.md.conflict1",
    "atlas/memory/long-term/session-2026-11-21-trip-2.md",
    "atlas/identity/persona.md",
    "atlas/identity/persona (1).md",
)

stems = st.sampled_from(STEMS)
TIMES = (
    "2026-11-21T08:05:12.123Z",
    "2026-11-21T08:05:12.123Z",
    "2026-11-20T08:05:12.000Z",
    "2026-11-20T10:05:12+02:00",
    "1999-01-01T00:00:00.000Z",
    "2027-05-01T00:00:00.000Z",
    "yesterday",
    "2026-11-21T08:05:12",
)


def _line(fields: dict[str, Any]) -> bytes:
    return orjson.dumps({key: value for key, value in fields.items() if value != "absent"})


messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "assistant", "system", "tool"]),
        "content": st.sampled_from(
            ["apple", "banana apple", "東京タワーへ行く", "café running", "서울", "", None]
        ),
        "id": st.sampled_from(["absent", "m1", "m2", "m3", "m4", "m1~2", "bad id"]),
        "created_at": st.sampled_from(["absent", *TIMES]),
        "parent_id": st.sampled_from(["absent"] * 6 + [None, "m1", "m3", "nobody"]),
        "model": st.sampled_from(["absent", "absent", "gpt", "claude", 7]),
        "provider": st.sampled_from(["absent", "openai", "anthropic"]),
        "usage": st.sampled_from(
            ["absent", {"prompt_tokens": 7, "completion_tokens": 3}, {"prompt_tokens": 2**63}, 5]
        ),
        "tool_calls": st.sampled_from(["absent"] * 6 + [[{"id": "c1"}]]),
        "tool_call_id": st.sampled_from(["absent", "c1"]),
    }
).map(_line)
plain = st.builds(
    lambda role, content, usage, n: _line(
        {
            "role": role,
            "content": content,
            "id": f"p{n}",
            "created_at": f"2026-11-21T09:{14 + n // 30}:{n:02d}.5Z",
            "usage": usage,
        }
    ),
    st.sampled_from(["user", "assistant"]),
    st.sampled_from(["apple", "banana", "京都タワー"]),
    st.sampled_from(["absent", {"prompt_tokens": 40, "completion_tokens": 2}]),
    st.integers(0, 59),
)
bad = st.sampled_from(
    [b"", b"{", b"not json", b"<<<<<<< HEAD", b'{"role":"user"}{"role":"user"}', b"\xff\xfe", b"[]"]
)
lines = st.one_of(plain, plain, messages, messages, bad)
texts = st.lists(lines, max_size=6).map(lambda some: b"".join(line + b"\n" for line in some))
conversations = st.lists(plain, max_size=5).map(lambda some: b"".join(x + b"\n" for x in some))
metas = st.one_of(
    st.sampled_from([b"", b"{", b"[]", b'{"version": 2, "name": "later"}']),
    st.fixed_dictionaries(
        {},
        optional={
            "id": stems,
            "name": st.sampled_from(["alpha", "ALPHA", "beta", "", 7]),
            "topic": st.sampled_from(["apples", None]),
            "created_at": st.sampled_from(TIMES),
            "ended_at": st.sampled_from(TIMES),
            "ending": st.just({"reason": "new", "at": TIMES[0]}),
            "provider": st.sampled_from(["openai", "offline"]),
            "model": st.sampled_from(["gpt", "claude"]),
            "context": st.just([{"type": "query", "key": "k", "value": "v"}]),
            "source": st.sampled_from([{"kind": "atuin", "id": 5}, "atuin"]),
            "compactions": st.just(
                [{"id": "k", "through_message_id": "m1", "covered_hash": "0", "summary": "apple"}]
            ),
        },
    ).map(orjson.dumps),
)
memory_texts = st.sampled_from(
    [
        b"# Facts\n\n## Facts\n- likes apple\n- lives in \xe6\x9d\xb1\xe4\xba\xac\n",
        b"## Goals\n- run far <!-- 2026-11-21 a#m1 -->\n- banana\n",
        b"---\nsession_id: a\nended_at: 2026-11-21T08:05:12Z\n---\n# Trip\n\nTo the bananas.\n",
        b"---\n: [\n---\n# Broken\n",
        b"\xff not UTF-8\n",
        b"",
    ]
)


class Vault(RuleBasedStateMachine):
    """One vault, one workspace on it, and a second program that writes to the same mirror."""

    def __init__(self) -> None:
        super().__init__()
        fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="vault-", dir=fast)
        self.variables = {
            name: os.environ.get(name) for name in ("VAULT_SESSIONS_CACHE", "VAULT_SESSIONS_STATE")
        }
        os.environ["VAULT_SESSIONS_CACHE"] = f"{self.folder}/cache"
        os.environ["VAULT_SESSIONS_STATE"] = f"{self.folder}/state"
        self.root = f"{self.folder}/vault"
        vaults.make_vault(self.root)
        self.vault = vaults.open_vault(self.root)
        self.now = datetime.now(UTC).replace(microsecond=123_000) + timedelta(hours=1)
        self.workspace = self.open()
        self.appended = 0

    @initialize(texts=st.lists(conversations, min_size=len(STEMS), max_size=len(STEMS)))
    def begin(self, texts: list[bytes]) -> None:
        """Some sessions are there from the start."""
        for stem, text in zip(STEMS, texts, strict=True):
            if text:
                self.write(f"{SESSIONS}/{stem}.jsonl", text)

    def open(self) -> Workspace:
        """A workspace; its first question builds or reconciles the mirror."""
        core = assemble(
            self.vault, Settings(), clock=lambda: self.now, environment={}, directory=self.root
        )
        workspace = Workspace(core)
        workspace.names()
        return workspace

    def teardown(self) -> None:
        self.workspace.close()
        for name, value in self.variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(self.folder)

    def absolute(self, path: str) -> str:
        return f"{self.root}/{path}"

    def write(self, path: str, data: bytes, *, rename: bool = False) -> None:
        """What an editor does: over the file, or as a new file in its place."""
        absolute = self.absolute(path)
        target = f"{self.folder}/saving" if rename else absolute
        if os.path.lexists(target) and not os.path.isfile(target):
            return
        with open(target, "wb") as file:
            file.write(data)
        stamp = sync.nanoseconds(self.now)
        os.utime(target, ns=(stamp, stamp))
        if rename and not os.path.isdir(absolute):
            os.replace(target, absolute)

    def read(self, stem: str) -> bytes:
        path = self.absolute(f"{SESSIONS}/{stem}.jsonl")
        if not os.path.isfile(path):
            return b""
        with open(path, "rb") as file:
            return file.read()

    # --- what is written by ourselves ---

    @rule(name=st.sampled_from(["alpha", "beta", "b", "a"]), text=st.sampled_from(WORDS))
    def talk(self, name: str, text: str) -> None:
        """A turn in a session of that name, with the offline assistant."""
        # no regular file, metadata of a newer version: said, and nothing written
        with suppress(VaultError):
            self.workspace.chat.take_turn(text, session=name)
        self.workspace.chat.leave()

    @rule(stem=stems, line=st.one_of(plain, messages), told=st.booleans())
    def append(self, stem: str, line: bytes, told: bool) -> None:
        """Another program of ours appends a line, and mirrors it unless it is killed first."""
        try:
            self.appended += 1
            fields = {**orjson.loads(line), "id": f"new{self.appended}"}
            where, written = vaults.append_message(self.vault, stem, fields, create=True)
        except VaultError:
            return
        if told:
            mirror = self.other_program()
            sync.appended(self.vault, mirror, self.now, stem, where, written, self.workspace.state)
            mirror.close()

    def other_program(self) -> store.Mirror:
        folder = os.path.dirname(self.workspace.mirror_path)
        return store.open_mirror(folder, f"{os.path.realpath(self.root)}:atlas")

    # --- what hands, editors and sync tools do ---

    @rule(stem=stems, text=texts, rename=st.booleans())
    def save(self, stem: str, text: bytes, rename: bool) -> None:
        """A whole file is written."""
        self.write(f"{SESSIONS}/{stem}.jsonl", text, rename=rename)

    @rule(stem=stems, added=st.one_of(texts, lines))
    def add(self, stem: str, added: bytes) -> None:
        """Something is added at the end, with a newline behind it or without."""
        self.write(f"{SESSIONS}/{stem}.jsonl", self.read(stem) + added)

    @rule(stem=stems, line=plain, at=st.integers(0, 120))
    def tear(self, stem: str, line: bytes, at: int) -> None:
        """A line arrives in two pieces, with a sync in between."""
        self.write(f"{SESSIONS}/{stem}.jsonl", self.read(stem) + line[:at])
        self.sync()
        self.write(f"{SESSIONS}/{stem}.jsonl", self.read(stem) + line[at:] + b"\n")

    @rule(
        stem=stems,
        at=st.integers(0, 6),
        how=st.sampled_from(["delete", "double", "swap", "change", "insert"]),
        line=lines,
        rename=st.booleans(),
    )
    def edit(self, stem: str, at: int, how: str, line: bytes, rename: bool) -> None:
        """A line in the middle is deleted, doubled, moved, changed or put in."""
        old = self.read(stem).split(b"\n")
        at = min(at, len(old) - 1)
        piece = {
            "delete": [],
            "double": [old[at], old[at]],
            "swap": [*old[at + 1 : at + 2], old[at]],
            "change": [old[at].replace(b"apple", b"berry")],
            "insert": [old[at], line],
        }[how]
        after = at + 2 if how == "swap" else at + 1
        new = [*old[:at], *piece, *old[after:]]
        self.write(f"{SESSIONS}/{stem}.jsonl", b"\n".join(new), rename=rename)

    @rule(stem=stems)
    def windows(self, stem: str) -> None:
        """An editor that writes CR LF and a byte order mark."""
        data = self.read(stem)
        self.write(f"{SESSIONS}/{stem}.jsonl", b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))

    @rule(stem=stems, suffix=st.sampled_from([".jsonl", ".meta.json"]))
    def remove(self, stem: str, suffix: str) -> None:
        """A file is deleted, whatever it is."""
        path = self.absolute(f"{SESSIONS}/{stem}{suffix}")
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        elif os.path.lexists(path):
            os.unlink(path)

    @rule(stem=stems, other=stems, copy=st.booleans())
    def move(self, stem: str, other: str, copy: bool) -> None:
        """A file gets another stem, or a copy of it does."""
        one, two = (self.absolute(f"{SESSIONS}/{name}.jsonl") for name in (stem, other))
        if os.path.isfile(one) and not os.path.lexists(two):
            if copy:
                shutil.copy2(one, two)
            else:
                os.rename(one, two)

    @rule(stem=stems, data=metas, rename=st.booleans())
    def meta(self, stem: str, data: bytes, rename: bool) -> None:
        """Metadata is edited, or broken."""
        self.write(f"{SESSIONS}/{stem}.meta.json", data, rename=rename)

    @rule(path=st.sampled_from(MEMORY), data=memory_texts)
    def remember(self, path: str, data: bytes) -> None:
        """A memory file is edited."""
        self.write(path, data)

    @rule(path=st.sampled_from(MEMORY))
    def forget(self, path: str) -> None:
        """A memory file is deleted."""
        if os.path.lexists(self.absolute(path)):
            os.unlink(self.absolute(path))

    @rule(name=st.sampled_from(OTHERS), data=st.one_of(lines, texts, metas))
    def litter(self, name: str, data: bytes) -> None:
        """Files of other programs."""
        self.write(f"{SESSIONS}/{name}", data)

    @rule(stem=stems, kind=st.sampled_from(["fifo", "folder", "link", "away"]))
    def odd(self, stem: str, kind: str) -> None:
        """What is no regular file, or can't be read, stands where a transcript should."""
        path = self.absolute(f"{SESSIONS}/{stem}.jsonl")
        if os.path.lexists(path):
            return
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            os.mkdir(path)
        elif kind in ("link", "away"):
            os.symlink("a.jsonl" if kind == "link" else "/etc/hostname", path)

    # --- time, and the mirror ---

    @rule(milliseconds=st.sampled_from([0, 1, 9, 11, 1000, 2500, 60_000]))
    def wait(self, milliseconds: int) -> None:
        """The clock goes on."""
        self.now += timedelta(milliseconds=milliseconds)

    @rule()
    def lose_the_mirror(self) -> None:
        """Somebody empties the cache."""
        self.workspace.close()
        shutil.rmtree(f"{self.folder}/cache")
        self.workspace = self.open()
        self.compare()

    @rule(stem=stems)
    def sync_some(self, stem: str) -> None:
        """Paths are synced that an event named, changed or not; all others can wait."""
        mirror = self.other_program()
        paths = [f"{SESSIONS}/{stem}.jsonl", f"{SESSIONS}/{stem}.meta.json"]
        sync.sync(self.vault, mirror, self.now, paths, state=self.workspace.state)
        mirror.close()

    @rule(path=st.sampled_from(MEMORY))
    def sync_memory(self, path: str) -> None:
        """The same for a memory file."""
        mirror = self.other_program()
        sync.sync(self.vault, mirror, self.now, [path], state=self.workspace.state)
        mirror.close()

    @rule()
    def reindex(self) -> None:
        """The owner asks for a new mirror."""
        self.workspace.reindex()
        self.compare()

    @rule()
    def restart(self) -> None:
        """The program ends and is started again."""
        self.workspace.close()
        self.workspace = self.open()
        self.compare()

    @rule()
    def sync(self) -> None:
        """The mirror is what the files say."""
        self.workspace.sync()
        self.compare()

    def compare(self) -> None:
        """The mirror against one that is built from nothing."""
        fresh = store.memory_mirror("")
        sync.rebuild(self.vault, fresh, self.now, state=self.workspace.state)
        mirror = self.other_program()
        try:
            for what, wanted in contents(fresh).items():
                assert contents(mirror)[what] == wanted, what
        finally:
            mirror.close()
            fresh.close()


QUESTIONS = {
    "sessions": "SELECT id, name, topic, topic_source, created_at, updated_at, ended_at, ending, "
    "message_count, user_messages, model, provider, skill, directory, git_root, summary_file, "
    "source_kind, source_id, problems, path, name_key FROM sessions",
    "messages": "SELECT s.id, m.id, role, content, m.created_at, line, active "
    "FROM messages m JOIN sessions s USING(session)",
    "summaries": "SELECT s.id, m.* FROM message_summaries m JOIN sessions s USING(session)",
    "context": "SELECT s.id, type, key, value FROM session_context JOIN sessions s USING(session)",
    "usage": "SELECT s.id, quarter, u.provider, u.model, user, assistant, tool, system, tokens_in, "
    "tokens_out FROM usage u LEFT JOIN sessions s USING(session)",
    "memory": "SELECT path, line, kind, section, text, session_id, created_at FROM memory",
    "problems": 'SELECT path, line, "column", code, severity, message FROM problems',
    "stamps": "SELECT path, dev, inode, size, mtime_ns, ctime_ns FROM files",
    "orphans": "SELECT count(*) FROM messages WHERE session NOT IN (SELECT session FROM sessions)",
}


def contents(mirror: store.Mirror) -> dict[str, Any]:
    """All that a mirror says, without its own numbers."""
    said: dict[str, Any] = {}
    for what, sql in QUESTIONS.items():
        rows = mirror.rows(sql)
        if what == "summaries":
            rows = [(row[0], *row[2:]) for row in rows]
        said[what] = sorted(rows, key=repr)
    for word in WORDS:
        for newest in (True, False):
            hits = queries.search(mirror, search_query(word), newest=newest, limit=10_000)
            said[f"{word} {newest}"] = sorted((h.path, h.line, h.text) for h in hits)
    return said


@pytest.mark.timeout(600)  # to shrink what it finds
def test_a_sync_leaves_what_a_rebuild_would() -> None:
    """Some thousand steps."""
    run_state_machine_as_test(
        Vault,
        settings=settings(
            max_examples=45,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_sync_leaves_what_a_rebuild_would_at_length() -> None:
    """More than ten thousand steps; how many there were is told."""
    count = Counter[str]()

    class Counted(Vault):
        @invariant()
        def step(self) -> None:
            count["steps"] += 1

        def compare(self) -> None:
            super().compare()
            count["comparisons"] += 1

    run_state_machine_as_test(
        Counted,
        settings=settings(
            max_examples=300,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"{count['steps']} steps, {count['comparisons']} comparisons with a rebuild, all equal")
    assert count["steps"] >= 10_000

"""What a file in the sessions folder is, by its name."""

from __future__ import annotations

import pytest

from vault_sessions.formats.names import (
    beginnings,
    copy_name,
    file_kind,
    in_cloud,
    perhaps_copy_of,
    session_of,
    stub_of,
    where_copies_stand,
)

OURS = "20261121-080512-7k3q9d"

ORDINARY = f"""
{OURS} 20260105-100000-abc234 20260105-100000-000000 a A 0 q2-planning q2_planning Meeting
trip-to-freiburg 2026 2026-11-21 2026-11-21-1 notes-2 notes_3 x1 plan-v2 final-final recipe-42
conflict conflicted-copy sync-conflict conflict-resolution copy copy-2 backup temp tmp part
orig bak lock desktop thumbs sed sedation sedabcdef swap swp meta my-meta jsonl json icloud
path1 console nullable com10 com lpt lpt10 aux-cable prn-1 con-1 auxiliary CONtext desktop-ini
Konflikt-Loesung icon path2-x 4913-bytes DESKTOP-4F2 laptop maya-s-session z9 session-1 UPPER
""".split()


@pytest.mark.parametrize("stem", ORDINARY)
def test_ordinary_names_are_sessions(stem: str) -> None:
    """Whatever words stand in them."""
    assert file_kind(stem + ".jsonl") == "transcript"
    assert file_kind(stem + ".meta.json") == "meta"
    assert session_of(stem + ".jsonl") == session_of(stem + ".meta.json") == stem


def test_there_are_enough_ordinary_names() -> None:
    """No name is in the list twice."""
    assert len(set(ORDINARY)) == len(ORDINARY) >= 60


@pytest.mark.parametrize(
    "stem",
    [
        *("con", "CON", "Prn", "aux", "NUL", "com1", "COM9", "com0", "lpt1", "LPT9"),
        *("_a", "-a", "a b", "a.b", "ä", "a" * 81, "", "a/b", "٣", "a\n", "a:b", "ａ"),
    ],
)
def test_reserved_and_unsafe_names_are_no_sessions(stem: str) -> None:
    """Windows reserves some; others are no file name everywhere."""
    assert file_kind(stem + ".jsonl") not in ("transcript", "meta")
    assert file_kind(stem + ".meta.json") not in ("transcript", "meta")


@pytest.mark.parametrize(
    "name",
    [
        *(".DS_Store", ".gitignore", ".a.jsonl.swp", ".a.jsonl.swx", "a.jsonl~", "a.jsonl.swp"),
        *("4913", ".#a.jsonl", "#a.jsonl#", "a.jsonl.tmp", "a.tmp", "a.jsonl.partial", "a.orig"),
        *("sedAbC123", "~$a.jsonl", ".~lock.a.jsonl#", "desktop.ini", "Desktop.ini", "Thumbs.db"),
        *(".stfolder", ".stversions", ".syncthing.a.jsonl.tmp", "~syncthing~a.jsonl.tmp"),
        *(".dropbox.cache", ".goutputstream-ABC123", ".obsidian", ".trash", ".git", "Icon\r"),
        *(f".{OURS}.jsonl.12-34.tmp", f"{OURS}.jsonl~", f"{OURS}.jsonl.bak", "a.crdownload"),
    ],
)
def test_temporary_files_and_those_of_the_system_are_ignored(name: str) -> None:
    """Nothing is said of them."""
    assert file_kind(name) == "ignored"


CERTAIN = {
    "a.jsonl": """
        a (Maya's conflicted copy 2026-01-06).jsonl
        a (Maya's MacBook Pro (2)'s conflicted copy 2026-01-06).jsonl
        a (Maya's conflicted copy 2026-01-06) (1).jsonl
        a (Mayas conflicted copy 2026-01-06).jsonl
        a (conflicted copy).jsonl
        a (Case Conflict).jsonl
        a (Case Conflict 1).jsonl
        a (Selective Sync Conflict).jsonl
        a (Unicode Encoding Conflict).jsonl
        a (Maya's conflicting copy 2026-01-06).jsonl
        a (In Konflikt stehende Kopie von Maya 2026-01-06).jsonl
        a (Mayas in Konflikt stehende Kopie 2026-01-06).jsonl
        a (Konfliktkopie von Maya 2026-01-06).jsonl
        a (Konflikt von Maya 2026-01-06).jsonl
        a (Copie en conflit de Maya 2026-01-06).jsonl
        a (Copia en conflicto de Maya 2026-01-06).jsonl
        a (Copia conflictiva de Maya 2026-01-06).jsonl
        a (Copia in conflitto di Maya 2026-01-06).jsonl
        a (Cópia em conflito de Maya 2026-01-06).jsonl
        a (Maya's conflicterende kopie 2026-01-06).jsonl
        a (Mayas konfliktkopia 2026-01-06).jsonl
        a (kopia powodująca konflikt Maya 2026-01-06).jsonl
        a (конфликтующая копия с компьютера Maya 2026-01-06).jsonl
        a (平川 の競合コピー 2026-01-06).jsonl
        a (Maya 的冲突副本 2026-01-06).jsonl
        a (Maya 충돌 복사본 2026-01-06).jsonl
        a (conflicted copy 2026-01-06 101500).jsonl
        a (conflicted copy maya 2026-01-06 101500).jsonl
        a (case clash from 2026-01-06 101500).jsonl
        a (SFConflict maya@example.org 2026-01-06-10-15-00).jsonl
        a.sync-conflict-20260106-101500-ABCDEFG.jsonl
        a.sync-conflict-20260106-101500.jsonl
        a.sync-conflict-20260106-101500-ABCDEFG.sync-conflict-20260107-101500-HIJKLMN.jsonl
        a.Conflict.jsonl
        a.Conflict1.jsonl
        a.Conflict.Conflict.jsonl
        a.jsonl.Conflict
        a.jsonl.conflict1
        a.jsonl.conflict12
        a.conflict2.jsonl
        a.jsonl.path1
        a.jsonl..path1
        a.jsonl..path2
        a.jsonl.conflict1.conflict2
        a (Conflicted copy laptop 202601061015).jsonl
        a (conflict_on_2026-01-06).jsonl
        a (conflict #1_on_2026-01-06).jsonl
        a (conflict #2 on 2026-01-06).jsonl
        a 2 (conflicted copy 2026-01-06).jsonl
        """,
    "a.meta.json": """
        a (Maya's conflicted copy 2026-01-06).meta.json
        a.meta (Maya's conflicted copy 2026-01-06).json
        a.meta.sync-conflict-20260106-101500-ABCDEFG.json
        a.meta_conflict-20260106-101500.json
        a.meta (conflict_on_2026-01-06).json
        a.meta.Conflict.json
        a.meta.json.conflict2
        a.meta.json..path2
        a.meta.conflict1.json
        """,
    f"{OURS}.jsonl": f"""
        {OURS}-DESKTOP-4F2.jsonl
        {OURS}_2.jsonl
        {OURS}x.jsonl
        {OURS} 2.jsonl
        {OURS} (1).jsonl
        {OURS} copy.jsonl
        {OURS}.old.jsonl
        {OURS}-DESKTOP-4F2.jsonl.conflict1
        {OURS}_conflict-20260106-101500.jsonl
        {OURS}-Maya's MacBook.jsonl
        """,
    f"{OURS}.meta.json": f"""
        {OURS}-DESKTOP-4F2.meta.json
        {OURS}.meta-DESKTOP-4F2.json
        {OURS}.meta 2.json
        {OURS} (1).meta.json
        """,
    "facts.md": """
        facts (Maya's conflicted copy 2026-01-06).md
        facts (Conflicted copy laptop 202601061015).md
        facts (conflict_on_2026-01-06).md
        facts.sync-conflict-20260106-101500-ABCDEFG.md
        facts_conflict-20260106-101500.md
        facts_conflict-maya-20260106-101500.md
        facts.Conflict.md
        facts.md.conflict1
        facts.md..path2
        facts (conflicted copy) 2.md
        """,
    "session-2026-01-06-plan (draft).md": """
        session-2026-01-06-plan (draft) (conflicted copy 2026-01-06 101500).md
        session-2026-01-06-plan (draft).sync-conflict-20260106-101500-ABCDEFG.md
        """,
    "plan 2.md": "plan 2 (Maya's conflicted copy 2026-01-06).md",
    "user.md": "user (Maya's conflicted copy 2026-01-06).md",
    "persona.md": "persona.sync-conflict-20260106-101500-ABCDEFG.md",
}
UNCERTAIN = {
    "a.jsonl": """
        a (1).jsonl
        a(1).jsonl
        a (12).jsonl
        a 2.jsonl
        a 12.jsonl
        a-DESKTOP-4F2.jsonl
        a-DESKTOP-4F2-2.jsonl
        a-Maya's MacBook Pro.jsonl
        a-laptop-safeBackup-0001.jsonl
        a_conflict-20260106-101500.jsonl
        a [Conflict].jsonl
        a (conflicted).jsonl
        """,
    "a.meta.json": """
        a (12).meta.json
        a.meta (1).json
        a.meta 2.json
        a 2.meta.json
        a.meta-DESKTOP-4F2.json
        a-DESKTOP-4F2.meta.json
        """,
    "facts.md": """
        facts (1).md
        facts 2.md
        facts-DESKTOP-4F2.md
        facts.path1.md
        """,
}


def by_name(table: dict[str, str]) -> list[tuple[str, str]]:
    """Each name with that of its original."""
    return [
        (line.strip(), original)
        for original, lines in table.items()
        for line in lines.strip().split("\n")
    ]


@pytest.mark.parametrize(("name", "original"), by_name(CERTAIN))
def test_conflict_copies_are_known_by_their_names(name: str, original: str) -> None:
    """Whichever tool left them, and in the language of its owner; they are no sessions."""
    assert copy_name(name) == (original, True)
    assert file_kind(name) == ("unknown" if original.endswith(".md") else "conflict-copy")


@pytest.mark.parametrize(("name", "original"), by_name(UNCERTAIN))
def test_of_names_that_anybody_may_type_the_content_decides(name: str, original: str) -> None:
    """They are a copy of that one, if of any."""
    assert copy_name(name) == (original, False)
    assert original in perhaps_copy_of(name, copy_name(name))
    assert file_kind(name) in ("unknown", "transcript", "meta")


def test_there_are_enough_names_of_copies_and_temporary_files() -> None:
    """No name is in the lists twice."""
    names = [name for name, _ in (*by_name(CERTAIN), *by_name(UNCERTAIN))]
    assert len(set(names)) == len(names) >= 80


@pytest.mark.parametrize(("name", "original"), [*by_name(CERTAIN), *by_name(UNCERTAIN)])
def test_a_copy_is_found_by_the_name_of_its_original(name: str, original: str) -> None:
    """Between two names, by bytes."""
    between = where_copies_stand(original)
    assert any(first.encode() <= name.encode() < last.encode() for first, last in between) or (
        name.startswith(OURS)  # it is certain, whatever its original says
    )


PAGES = [
    *"""
facts user persona README index notes plan plan-2 plan_2 plan-b Plan 2026 2026-11-21 21-11-2026
session-2026-11-21-plan session-2026-11-21-plan-2 session-2026-11-21-plan-3
session-2026-11-21-conflict-on-the-team session-2026-11-21-conflicted-copy
session-2026-11-21-sync-conflict-in-obsidian session-2026-11-21-copy-of-a-copy
session-2026-11-21-path1-or-path2 session-2026-11-21-conflict1 session-2026-11-21-kopie
session-2026-11-21-konflikt-im-team session-2026-11-21-旅行 session-2026-11-21-競合コピー
session-2026-11-21-q2-planning-discussion session-2026-11-21-case-conflict
session-2026-11-21-7k3q9d session-2026-11-21-iphone-15 session-2026-11-21-catch-22
session-2026-11-21-merge-conflict-20261121 session-2026-11-21-on-call-2026-11-22
conflict conflicts conflicted copy copies conflicted-copy sync-conflict conflict-1 conflict1
merge-conflict my.notes v1.2 release-1.0 path1 path2 path.one on-conflict sconflict
skill-editor travel-planner code_review meeting-notes weekly-review daily recipe-42
conflict-of-interest copy-editing copywriting backup archive facts-of-life user-guide
""".split(),  # noqa: SIM905
    "notes (draft)", "notes (old)", "notes (conflict of interest)", "notes (final version)",
    "notes (for Maya)", "notes (2026)", "notes (2026-11-21)", "notes (the conflict)",
    "notes (copy of the plan)", "notes (conflict with Bob on 2026-11-21)", "(1)", "notes ()",
    "conflict on 2026-11-21", "Conflict resolution", "Copy of facts", "facts copy", "my facts",
    "the conflict (2019 film)", "plan (conflicted copywriting)", "plan (a conflict, resolved)",
    "plan (sync conflicts explained)", "plan (on copies and conflict)", "plan (Konflikt)",
    "plan (Konfliktlösung)", "plan (Kopie)", "plan (copie)", "plan (conflit de générations)",
    "plan (con flict)", "plan (case conflicts)", "plan (read-only)", "plan conflict",
    "plan.conflict", "plan.conflicts", "plan.sync", "plan.sync-conflict", "plan.sync-conflict-1",
    "plan_conflict", "plan_conflict-1", "plan_conflict-2026", "plan - conflict", "plan - copy",
    "summer of 69", "route 66", "apollo 11", "chapter 1", "catch 22", "windows 11", "version 2",
    "area 51", "top 10", "plan-B", "vitamin-D", "plan (1)", "plan (2)", "plan-DESKTOP",
]  # fmt: skip
"""Of the last ones nothing but the content could tell; the names alone alarm nobody."""


@pytest.mark.parametrize("stem", PAGES)
def test_ordinary_names_of_pages_are_no_copies(stem: str) -> None:
    """Whatever words stand in them."""
    copy = copy_name(stem + ".md")
    assert copy is None or not copy.is_certain


@pytest.mark.parametrize("stem", ORDINARY)
def test_ordinary_names_of_sessions_are_no_copies(stem: str) -> None:
    """Whatever words stand in them."""
    for name in (stem + ".jsonl", stem + ".meta.json"):
        copy = copy_name(name)
        assert copy is None or not copy.is_certain


def test_there_are_enough_ordinary_names_of_all_kinds() -> None:
    """No name is in the list twice."""
    assert len(set(PAGES)) == len(PAGES)
    assert len(PAGES) + 2 * len(ORDINARY) >= 200


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "a.json", "a.jsonl.gz", "unknown file.jsonl", "_a.jsonl", "a.JSONL", "a"),
        *(f"{OURS}", f"{OURS}.json", f"{OURS}.txt", f"{OURS}.jsonl.gz", f"{OURS}.meta.yaml"),
        *("Meeting 2026.jsonl", "a (draft).jsonl", "photo (1).png", "photo 2.png", "README.md"),
        *("a (conflicted copy).txt", "plan 2026-11-21.jsonl", "a.meta.jsonl"),
        # copies of what is no session
        *("a b_conflict-20260106-101500.jsonl", "a b (conflicted copy).jsonl"),
    ],
)
def test_other_files_are_unknown(name: str) -> None:
    """They are said to be so, and left alone."""
    assert file_kind(name) == "unknown"


def test_the_stub_of_a_file_in_the_cloud_is_not_downloaded() -> None:
    """macOS leaves it in the place of the file."""
    assert file_kind(f".{OURS}.jsonl.icloud") == "not-downloaded"
    assert file_kind(f".{OURS}.meta.json.icloud") == "not-downloaded"


def test_a_stub_names_the_file_that_is_away() -> None:
    """There and back."""
    assert stub_of("a.jsonl") == ".a.jsonl.icloud"
    assert in_cloud(".a.jsonl.icloud") == "a.jsonl"
    assert in_cloud("a.jsonl.icloud") is None


def test_a_stem_could_be_a_copy_of_what_stands_before_its_hyphens() -> None:
    """The content decides."""
    assert beginnings("plan-laptop_2") == ["plan", "plan-laptop"]
    assert beginnings("plan") == []
    assert beginnings("-x") == []

"""What a file in the sessions folder is, by its name."""

from __future__ import annotations

import pytest

from vault_sessions.formats.names import beginnings, file_kind, session_of

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


@pytest.mark.parametrize(
    "name",
    [
        "a (Maya's conflicted copy 2026-01-06).jsonl",  # Dropbox
        "a (conflicted copy 2026-01-06 101500).jsonl",  # Nextcloud
        "a (Case Conflict).jsonl",
        "a (Konflikt von Maya 2026-01-06).jsonl",
        "a (copie en conflit de Maya 2026-01-06).jsonl",
        "a (copia en conflicto de Maya 2026-01-06).jsonl",
        "a b_conflict-20260106-101500.jsonl",  # ownCloud; without a space the content decides
        "a.sync-conflict-20260106-101500-ABCDEFG.jsonl",  # Syncthing
        "a.meta.sync-conflict-20260106-101500-ABCDEFG.json",
        "a (1).jsonl",  # Google Drive
        "a (12).meta.json",
        "a.meta (1).json",
        "a 2.jsonl",  # iCloud
        "a.meta 2.json",
        "a 2.meta.json",
        "a.Conflict.jsonl",  # Resilio
        "a.jsonl.conflict1",  # rclone
        "a.meta.json.conflict2",
        "a.jsonl.path1",
        "a (Conflicted copy laptop 202601061015).jsonl",  # Obsidian Sync
        "a (conflict #2 on 2026-01-06).jsonl",  # Unison
        f"{OURS}-DESKTOP-4F2.jsonl",  # OneDrive
        f"{OURS}-DESKTOP-4F2.meta.json",
        f"{OURS}.meta-DESKTOP-4F2.json",
        f"{OURS}_2.jsonl",
        f"{OURS}x.jsonl",
        f"{OURS} copy.jsonl",
        f"{OURS}.old.jsonl",
    ],
)
def test_conflict_copies_are_known_by_their_names(name: str) -> None:
    """Whichever tool left them; they are no sessions."""
    assert file_kind(name) == "conflict-copy"


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "a.json", "a.jsonl.gz", "unknown file.jsonl", "_a.jsonl", "a.JSONL", "a"),
        *(f"{OURS}", f"{OURS}.json", f"{OURS}.txt", f"{OURS}.jsonl.gz", f"{OURS}.meta.yaml"),
        *("Meeting 2026.jsonl", "a (draft).jsonl", "photo (1).png", "photo 2.png", "README.md"),
        *("a (conflicted copy).txt", "plan 2026-11-21.jsonl", "a.meta.jsonl"),
    ],
)
def test_other_files_are_unknown(name: str) -> None:
    """They are said to be so, and left alone."""
    assert file_kind(name) == "unknown"


def test_the_stub_of_a_file_in_the_cloud_is_not_downloaded() -> None:
    """macOS leaves it in the place of the file."""
    assert file_kind(f".{OURS}.jsonl.icloud") == "not-downloaded"
    assert file_kind(f".{OURS}.meta.json.icloud") == "not-downloaded"


def test_a_stem_could_be_a_copy_of_what_stands_before_its_hyphens() -> None:
    """The content decides."""
    assert beginnings("plan-laptop_2") == ["plan", "plan-laptop"]
    assert beginnings("plan") == []
    assert beginnings("-x") == []

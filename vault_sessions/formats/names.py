"""What a file in the sessions folder is, by its name alone. See "Files that are not ours"."""

from __future__ import annotations

import re
from typing import Literal

from vault_sessions.formats.ids import is_session_id

FileKind = Literal["transcript", "meta", "ignored", "conflict-copy", "not-downloaded", "unknown"]

TRANSCRIPT = ".jsonl"
META = ".meta.json"

_IGNORED = re.compile(
    r"""
      \..*                                # dot-files, .~lock.*, .stfolder, .syncthing.*.tmp, …
    | .*~ | .*\.sw[a-z] | 4913            # vim, emacs
    | \#.*\# | ~\$.* | ~syncthing~.*
    | .*\.(?:tmp|temp|partial|orig|bak|part|crdownload|lock)
    | sed\w{6}
    | (?i:desktop\.ini | thumbs\.db | icon\r?)
    """,
    re.VERBOSE,
)
_ICLOUD_STUB = re.compile(r"\..+\.icloud")
_CONFLICT = re.compile(
    r"""
      .*\ \(.*(?:[Cc]onfli[ct]|[Kk]onflikt).*\).*       # Dropbox, Nextcloud, Obsidian Sync, Unison
    | .*\.sync-conflict-[0-9]{8}-[0-9]{6}.*            # Syncthing
    | .*_conflict-[0-9]{8}-[0-9]{6}.*                  # ownCloud, Nextcloud (old)
    | .*\.[Cc]onflict[0-9]*(?:\..*)?                   # Resilio; rclone
    | .*\.path[12]                                     # rclone bisync (old)
    | .*\ conflict\ on\ .*                             # Unison (old)
    | .*\ \([0-9]{1,3}\)(?:\.meta)?(?:\.[^.]*)?        # Google Drive
    | .*\ (?:[2-9]|[1-9][0-9])(?:\.meta)?(?:\.[^.]*)?  # iCloud
    """,
    re.VERBOSE,
)
_OURS = re.compile(
    r"[0-9]{8}-[0-9]{6}-[0-9a-hjkmnp-tv-z]{6}(?:.+\.jsonl|\.meta.+\.json|.+\.meta\.json)"
)


def file_kind(name: str) -> FileKind:
    """What the name says; whether a transcript is a conflict copy may need its content too."""
    if name.endswith(META) and is_session_id(name[: -len(META)]):
        return "meta"
    if name.endswith(TRANSCRIPT) and is_session_id(name[: -len(TRANSCRIPT)]):
        return "transcript"
    if _ICLOUD_STUB.fullmatch(name):
        return "not-downloaded"
    if _IGNORED.fullmatch(name):
        return "ignored"
    if ".json" in name and (_CONFLICT.fullmatch(name) or _OURS.fullmatch(name)):
        return "conflict-copy"
    return "unknown"


_BYTES = {0xDC00 + byte: 0xF700 + byte for byte in range(0x80, 0x100)}
_BYTES_BACK = {there: here for here, there in _BYTES.items()}


def storable(name: str) -> str:
    """A file name that is no UTF-8, as text that can be written: its odd bytes as U+F780–F7FF."""
    return name if name.isascii() else name.translate(_BYTES)


def on_disk(name: str) -> str:
    """The name that ``storable`` was given."""
    return name if name.isascii() else name.translate(_BYTES_BACK)


def session_of(name: str) -> str:
    """The session id in the name of a transcript or meta file."""
    return name.removesuffix(TRANSCRIPT).removesuffix(META)


def beginnings(stem: str) -> list[str]:
    """The stems of which this one could be a copy: what stands before each ``-`` and ``_``."""
    return [stem[:i] for i, c in enumerate(stem) if c in "-_" and i]

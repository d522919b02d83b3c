"""What a file is, by its name alone: sessions, copies of files, what is not ours.

See "Files that are not ours" in docs/format.md. Where each tool puts its mark was taken from the
tool itself or its source: Unison, Syncthing, OneDrive and iCloud before the last dot (so also
between ``.meta`` and ``.json``), rclone behind the ending.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

from vault_sessions.formats.ids import is_session_id

FileKind = Literal["transcript", "meta", "ignored", "conflict-copy", "not-downloaded", "unknown"]

TRANSCRIPT = ".jsonl"
META = ".meta.json"
MARKDOWN = ".md"

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
_ICLOUD_STUB = re.compile(r"\.(.+)\.icloud")

_ANY_MARK = re.compile(r"[ (]|[Cc]onflict|\.path|-safeBackup|-[A-Z]")
"""Stands in every name that has a mark; most names have none, and this is soon seen."""

_BEHIND = re.compile(
    r"(.+?\.(?:jsonl|json|md))"
    # rclone bisync, the two dots are the old one's; Resilio
    r"(?:\.\.?(?:conflict[0-9]+|path[12]|Conflict[0-9]*|sync-conflict-[0-9]{8}-[0-9]{6}[^.]*))+"
)
_IN_BRACKETS = re.compile(r"(.+?)( ?)\(((?:[^()]|\([^()]*\))*)\)")
_SAID = re.compile(
    r"""
      \bconflict(?:ed|ing)\ copy\b                             # Dropbox, Nextcloud, Obsidian Sync
    | ^conflict(?:\ \#[0-9]+)?[ _]on[ _][0-9]{4}-[0-9]{2}-[0-9]{2}          # Unison
    | ^case\ clash\ from\ .*[0-9]{4}-[0-9]{2}-[0-9]{2}                       # Nextcloud
    | ^(?:case|selective\ sync|unicode\ encoding|normalization|white\ ?space|read-?only
        |invalid\ name)\ conflict(?:\ [0-9]+)?$                              # Dropbox
    | ^sfconflict\b                                                          # Seafile
      # in the languages of the owner: a word for a copy and one for a conflict, in either order
    | (?=.*(?:copi[ea]|cópia|kopi|kopya|копи[яи]|копія|コピー|副本|複本|複製|사본|salinan))
      .*(?:conflit|conflict[io]|conflicter|konfli[kc]|конфл[иі]кт|競合|問題の|冲突|衝突|충돌
        |çakış|ristirii|motstrid)
    | ^(?:konflikt|conflit|conflicto|conflitto|conflito)\ (?:von|de|di|do|van|med|z)\b
      .*[0-9]{4}-[0-9]{2}-[0-9]{2}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CERTAIN = re.compile(
    r"""
    (.+?)(?:
      \.sync-conflict-[0-9]{8}-[0-9]{6}(?:-[A-Z0-9]+)?        # Syncthing
    | _conflict-(?:[^-]+-)?[0-9]{8}-[0-9]{6}                  # ownCloud, Nextcloud (old)
    | \.Conflict\ ?[0-9]*                                     # Resilio
    | \.conflict[0-9]+                                        # rclone bisync, keeping the ending
    )
    """,
    re.VERBOSE,
)
_UNCERTAIN = re.compile(
    r"""
    (.+?)(?:
      \ (?:[2-9]|[1-9][0-9]{1,2})                             # iCloud
    | \.path[12]                                              # rclone bisync, keeping the ending
    | \ \[[Cc]onflict(?:ed)?\]
    | -(?:[^-]+-)?safeBackup-[0-9]+                           # OneDrive, its client for Linux
    | -[A-Z].*                                                # OneDrive: the name of a computer
    )
    """,
    re.VERBOSE,
)
_UNCERTAIN_IN_BRACKETS = re.compile(r"[0-9]{1,3}|(?i:conflict(?:ed)?)")  # Google Drive; pCloud
_OURS = re.compile(
    r"([0-9]{8}-[0-9]{6}-[0-9a-hjkmnp-tv-z]{6})(?:.+\.jsonl|\.meta.+\.json|.+\.meta\.json)"
)


class Copy(NamedTuple):
    """The name of the file of which another is a copy by its own name.

    ``is_certain``: only a sync tool names a file like this. Otherwise anybody may have typed it,
    and what the files say decides.
    """

    original: str
    is_certain: bool


def file_kind(name: str) -> FileKind:
    """What the name of a file in the sessions folder says.

    What is ``unknown``, or a transcript, may still be a conflict copy by what it says.
    """
    if name.endswith(META) and is_session_id(name[: -len(META)]):
        return "meta"
    if name.endswith(TRANSCRIPT) and is_session_id(name[: -len(TRANSCRIPT)]):
        return "transcript"
    if _ICLOUD_STUB.fullmatch(name):
        return "not-downloaded"
    if _IGNORED.fullmatch(name):
        return "ignored"
    if ".json" in name and (copy := copy_name(name)) is not None and copy.is_certain:
        return "conflict-copy"
    return "unknown"


def is_ignored(name: str) -> bool:
    """Do editors, sync tools or the system leave such a file behind? Nothing is said of it."""
    return _IGNORED.fullmatch(name) is not None and not _ICLOUD_STUB.fullmatch(name)


def copy_name(name: str) -> Copy | None:
    """Of which transcript, metadata or Markdown file is a file of this name a copy?

    One that may be a session by its name is never certainly a copy. None: of none.
    """
    if not (_ANY_MARK.search(name) or _OURS.match(name)) or _IGNORED.fullmatch(name):
        return None
    found: Copy | None = None
    may_be_itself = _is_session_file(name)
    is_certain = False
    for original, by_a_tool in _unmarked(name):
        is_certain = is_certain or by_a_tool
        if original.endswith(MARKDOWN):
            # the inner marks count as far as the innermost that only a tool makes
            if found is None or by_a_tool:
                found = Copy(original, is_certain)
        elif _is_session_file(original):
            return Copy(original, is_certain and not may_be_itself)
    return found


def _unmarked(name: str) -> Iterator[tuple[str, bool]]:
    """The name without its last mark, without the last two, …; and may only a tool have made it?"""
    while True:
        ours = None if _is_session_file(name) else _OURS.fullmatch(name)
        if ours:
            is_transcript = name.endswith(TRANSCRIPT)
            yield ours[1] + (TRANSCRIPT if is_transcript else META), True
            return
        step = _without_mark(name)
        if step is None:
            return
        yield step
        name = step[0]


def _without_mark(name: str) -> tuple[str, bool] | None:
    if behind := _BEHIND.fullmatch(name):
        return behind[1], True
    for ending in (TRANSCRIPT, META, ".json", MARKDOWN):
        if name.endswith(ending):
            body = name[: -len(ending)]
            break
    else:
        return None
    brackets = _IN_BRACKETS.fullmatch(body)
    if brackets:
        inner = unicodedata.normalize("NFC", brackets[3])
        if brackets[2] and _SAID.search(inner):
            return brackets[1] + ending, True
        if _UNCERTAIN_IN_BRACKETS.fullmatch(inner):
            return brackets[1] + ending, False
    if certain := _CERTAIN.fullmatch(body):
        return certain[1] + ending, True
    if uncertain := _UNCERTAIN.fullmatch(body):
        return uncertain[1] + ending, False
    return None


def _is_session_file(name: str) -> bool:
    for ending in (TRANSCRIPT, META):
        if name.endswith(ending) and is_session_id(name[: -len(ending)]):
            return True
    return False


def perhaps_copy_of(name: str, copy: Copy | None) -> list[str]:
    """The names of the files of which one of this name is a copy if what both say agrees.

    ``copy``: what ``copy_name`` says.
    """
    found = {} if copy is None or copy.is_certain else {copy.original: None}
    for ending in (TRANSCRIPT, META, MARKDOWN):
        if name.endswith(ending):
            found.update((f"{stem}{ending}", None) for stem in beginnings(name[: -len(ending)]))
    return list(found)


def where_copies_stand(name: str) -> list[tuple[str, str]]:
    """Between which names, by bytes, stand those for which this one may be the original."""
    for ending in (META, TRANSCRIPT, MARKDOWN):
        if name.endswith(ending):
            stem = name[: -len(ending)]
            # behind it comes a space, a bracket, a hyphen or a dot; or [ or _
            return [(f"{stem} ", f"{stem}/"), (f"{stem}[", f"{stem}`")]
    return []


def stub_of(name: str) -> str:
    """The name of what stands in the place of a file that macOS keeps in the cloud only."""
    return f".{name}.icloud"


def in_cloud(name: str) -> str | None:
    """The name of the file in whose place this one stands; None if it is no such stub."""
    stub = _ICLOUD_STUB.fullmatch(name)
    return stub[1] if stub else None


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

"""``changes.jsonl``: one line for each edit that we made to memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from vault_sessions.formats.meta import BOM
from vault_sessions.model import Change


def change_line(change: Change) -> bytes:
    """The line of a change, with its newline."""
    fields: dict[str, Any] = change._asdict()
    for optional in ("undoes", "message_hash"):
        if fields[optional] is None:
            del fields[optional]
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def read_changes(data: bytes) -> list[Change]:
    """The changes in the file's order; a line that is none is left out, and one id counts once."""
    return list(_read_all(data))


@lru_cache(maxsize=2)  # one ending asks several times
def _read_all(data: bytes) -> tuple[Change, ...]:
    found: dict[str, Change] = {}
    for line in data.removeprefix(BOM).split(b"\n"):
        change = _read(line)
        if change is not None:
            found.setdefault(change.id, change)
    return tuple(found.values())


@lru_cache(maxsize=16_384)  # the log only grows at its end
def _read(line: bytes) -> Change | None:
    try:
        fields = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not all(_text(fields, key) for key in ("id", "at", "file")):
        return None
    values = {key: _text(fields, key) for key in Change._fields}
    if values["old"] is None and values["new"] is None:
        return None
    values["by"] = values["by"] or "model"
    return Change(**values)  # type: ignore[arg-type]  # id, at and file are texts


def _text(fields: dict[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) else None


def is_ours(changes: list[Change], file: str) -> set[str]:
    """The texts in a file that are ours: each the last ``new`` of its bullet or section.

    A text of the owner's that we had changed, and that came back by ``undo``, is theirs again.
    """
    ours: set[str] = set()
    was_ours: dict[str, bool] = {}
    for change in changes:
        if change.file != file:
            continue
        old = None if change.old is None else one_line(change.old)
        was_ours[change.id] = old in ours
        if old is not None:
            ours.discard(old)
        if change.new is not None and (change.undoes is None or was_ours.get(change.undoes, True)):
            ours.add(one_line(change.new))
    return ours


def one_line(text: str) -> str:
    """The text with every white space as one space: so texts of memory are compared."""
    return " ".join(text.split())

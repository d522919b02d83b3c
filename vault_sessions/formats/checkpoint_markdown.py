"""Checkpoints as Markdown: a report for people, laid out as Atmos does, that also imports.

In ours, a line of a message that looks like the report's own structure has a backslash before it,
as Markdown has it, so every message comes back as it was. Atmos escapes nothing: in its reports a
heading counts only if it bears the next number and a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vault_sessions.formats.checkpoint import (
    VERSION,
    Checkpoint,
    CheckpointContext,
    CheckpointError,
    Reading,
    exact_time,
    not_utf8,
)
from vault_sessions.model import ROLES

_MARK = "<!-- vault-sessions checkpoint"
_NO_TIME = "time unknown"
_ROLES = {role.upper(): role for role in ROLES}
_CLOSED = "<!-- code fence closed -->"
_STRUCTURE = (
    r"(?=\\*(?:### (?:Message |Project Instructions|Files Accessed)"
    r"|## (?:Statistics|Context|Conversation)|<!-- code fence closed))"
)
_ESCAPE = re.compile(rf"^{_STRUCTURE}", re.MULTILINE)
_UNESCAPE = re.compile(rf"^\\{_STRUCTURE}", re.MULTILINE)
_OURS = re.compile(rb"(?:\xef\xbb\xbf)?# [^\n]*\n\s*" + _MARK.encode() + rb" ([^\s>]+) -->\r?\n")
_HEADING = re.compile(
    rb"^### Message ([0-9]{1,9}) - ([A-Za-z]+)( \(COMPACTED\))?[ \t]*\n"
    rb"(?:\*([^*\n]+)\*[ \t]*\n)?\n?",
    re.MULTILINE,
)
_ATMOS_TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)")
_END = re.compile(r"\n\n---[ \t]*\n*\Z")
_END_OF_DATA = re.compile(_END.pattern.encode())
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`\n]*$)|~{3,})", re.MULTILINE)
_WE_CLOSED = re.compile(rf"\n(?:`{{3,}}|~{{3,}})\n{_CLOSED}\Z")
_FIELD = re.compile(r"^\*\*([A-Za-z ]+):\*\* (.*?)[ \t]*$", re.MULTILINE)
_INSTRUCTIONS = re.compile(
    r"^### Project Instructions\n\n(`{3,})\n(.*?)\n\1$", re.MULTILINE | re.DOTALL
)
_FILES = re.compile(r"^### Files Accessed\n\n((?:- `[^\n]*`(?:\n|\Z))*)", re.MULTILINE)


# --- writing -------------------------------------------------------------------------------------


def encode(checkpoint: Checkpoint) -> Iterator[bytes]:
    """The report, in pieces."""
    yield _head(checkpoint).encode(errors="replace")
    for number, message in enumerate(checkpoint.messages, 1):
        at = exact_time(message.created_at) if message.created_at else _NO_TIME
        compacted = " (COMPACTED)" if message.archived else ""
        heading = f"### Message {number} - {message.role.upper()}{compacted}\n*{at}*\n\n"
        yield f"{heading}{_content(message.content)}\n\n---\n\n".encode()


def _head(checkpoint: Checkpoint) -> str:
    session, counts = checkpoint.session, checkpoint.statistics
    at = checkpoint.exported_at, session.created_at, session.updated_at
    exported, created, updated = (exact_time(each) if each else None for each in at)
    fields = {
        "Exported": exported,
        "Exported By": checkpoint.exported_by,
        "Provider": session.provider,
        "Model": session.model,
        "Skill": session.skill,
        "Project": session.project_path,
        "Created": created,
        "Updated": updated,
        "Messages": str(counts.message_count),
    }
    numbers = {
        "Total Messages": counts.message_count,
        "User Messages": counts.user_messages,
        "Assistant Messages": counts.assistant_messages,
        "Total Tokens": counts.total_tokens or None,
        "Tool Calls": counts.tool_calls or None,
    }
    said = "".join(f"**{key}:** {_line(value)}\n" for key, value in fields.items() if value)
    counted = "".join(f"- {key}: {each}\n" for key, each in numbers.items() if each is not None)
    return (
        f"# AI Session: {_line(session.name)}\n\n{_MARK} {VERSION} -->\n\n{said}\n"
        f"## Statistics\n\n{counted}\n{_context(checkpoint.context)}## Conversation\n\n"
    )


def _context(context: CheckpointContext) -> str:
    text = ""
    if context.working_directory:
        text += f"**Working Directory:** `{_line(context.working_directory)}`\n\n"
    if context.project_instructions:
        inside = context.project_instructions
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", inside)), 3)
        text += f"### Project Instructions\n\n{fence}\n{_escaped(inside)}\n{fence}\n\n"
    if context.files_accessed:
        files = "".join(f"- `{_line(name)}`\n" for name in context.files_accessed)
        text += f"### Files Accessed\n\n{files}\n"
    return f"## Context\n\n{text}" if text else ""


def _line(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split("\n")).strip()


def _content(text: str) -> str:
    """A message, its code closed and nothing in it to be taken for the report's own."""
    text = _escaped(text)
    fence = _open_fence(text)
    return f"{text}\n{fence}\n{_CLOSED}" if fence else text


def _escaped(text: str) -> str:
    return _ESCAPE.sub(r"\\", text)


def _open_fence(text: str) -> str | None:
    """The fence that would end the code in which the text ends; None: it ends in none."""
    fence = None
    for found in _FENCE.finditer(text):
        if found.start() and text[found.start() - 1] != "\n":
            continue
        mark = found[1]
        if fence is None:
            fence = mark
        elif mark.startswith(fence) and not text[found.end() :].split("\n", 1)[0].strip():
            fence = None
    return fence


# --- reading -------------------------------------------------------------------------------------


def decode(data: bytes) -> Any:
    """The document that a report is. Raises CheckpointError with line and column."""
    if broken := not_utf8(data):
        raise CheckpointError("not UTF-8 text", *broken)
    ours = _OURS.match(data)
    if b"\r\n" in (ours[0] if ours else data[:200]):  # an editor has changed every line
        data = data.replace(b"\r\n", b"\n")
    headings = _HEADING.finditer(data) if ours else _atmos_headings(data)
    reading = Reading()
    before = next(headings, None)
    if before is None and not (ours or data.startswith(b"# Atmos AI Session")):
        why = "not a session's report: it has no line such as '### Message 1 - USER'"
        raise CheckpointError(why, 1, 1)
    head = data[: before.start()] if before else data
    while before is not None:
        heading = next(headings, None)
        # each as a text of its own: one with an emoji takes four bytes for every character
        body = data[before.end() : heading.start() if heading else len(data)].decode()
        reading.add(_message(before, body, escaped=ours is not None))
        before = heading
    version = ours[1].decode() if ours else VERSION
    return {"version": version, **_said(head.decode()), "messages": reading}


def _atmos_headings(data: bytes) -> Iterator[re.Match[bytes]]:
    """Those that bear the next number and a time; what else looks like one was said by somebody."""
    number, end = 1, 0
    for heading in _HEADING.finditer(data):
        at = heading[4]
        follows = number == 1 or _END_OF_DATA.search(data, end, heading.start())
        if int(heading[1]) == number and at and _ATMOS_TIME.fullmatch(at) and follows:
            number, end = number + 1, heading.end()
            yield heading


def _message(heading: re.Match[bytes], body: str, *, escaped: bool) -> dict[str, Any]:
    end = _END.search(body)
    content = body[: end.start()] if end else body.rstrip("\n")
    if escaped:
        content = _UNESCAPE.sub("", _WE_CLOSED.sub("", content))
    said = heading[2].decode()
    fields: dict[str, Any] = {"role": _ROLES.get(said) or said.lower(), "content": content}
    at = heading[4].decode() if heading[4] is not None else _NO_TIME
    if at != _NO_TIME:
        fields["created_at"] = at
    if heading[3]:
        fields["archived"] = True
    return fields


def _said(head: str) -> dict[str, Any]:
    """All but the messages, from what stands before them."""
    context, instructions = "", _INSTRUCTIONS.search(head)
    files = _FILES.search(head, instructions.end() if instructions else 0)
    if instructions is not None:
        context = _UNESCAPE.sub("", instructions[2])
        head = head[: instructions.start()]
    said: dict[str, str] = {}
    for key, value in _FIELD.findall(head):
        said.setdefault(key, value)
    title = re.match(r"\ufeff?# (?:Atmos )?AI Session: *(.*)", head)
    session = {
        "name": title[1].strip() if title else None,
        **{key: said.get(key.capitalize()) for key in ("provider", "model", "skill")},
        "project_path": said.get("Project"),
        "created_at": said.get("Created"),
        "updated_at": said.get("Updated"),
    }
    count = said.get("Messages", "")
    return {
        "exported_at": said.get("Exported"),
        "exported_by": said.get("Exported By"),
        "session": session,
        "context": {
            "project_instructions": context or None,
            "files_accessed": re.findall(r"^- `(.*)`$", files[1], re.MULTILINE) if files else [],
            "working_directory": said.get("Working Directory", "").strip("`") or None,
        },
        "statistics": {"message_count": int(count) if re.fullmatch("[0-9]{1,9}", count) else 0},
    }

"""The slash commands: what there is, what it is for, and what somebody may be typing."""

from __future__ import annotations

import re
from typing import NamedTuple


class Command(NamedTuple):
    """``action`` is done by the chat screen, with what stands behind the name."""

    name: str
    argument: str
    does: str
    key: str = ""


COMMANDS = (
    Command("help", "", "the keys and commands", "F1"),
    Command("new", "", "a new conversation; this one is ended", "Ctrl+T"),
    Command("sessions", "", "all conversations", "Ctrl+L"),
    Command("search", "WORDS", "search everything", "Ctrl+F"),
    Command("title", "TEXT", "set this conversation's topic"),
    Command("skill", "NAME", "use a skill", "Ctrl+A"),
    Command("model", "PROVIDER MODEL", "another provider or model", "Ctrl+P"),
    Command("compact", "WHAT TO KEEP", "summarize what was said so far"),
    Command("export", "FILE", "write this conversation to a file"),
    Command("memory", "", "what is remembered", "Ctrl+K"),
    Command("answer", "", "answer what is asked about memory", "F2"),
    Command("why", "", "why this conversation was opened"),
    Command("retry", "", "ask for another answer", "Ctrl+R"),
    Command("edit", "", "say your last message again, changed", "Ctrl+E"),
    Command("branch", "NUMBER", "another branch of this conversation", "< >"),
    Command("copy", "code", "copy the last answer, or the last block of code", "Ctrl+Y"),
    Command("quit", "", "leave", "Ctrl+Q"),
)


def parse(line: str) -> tuple[str, str] | None:
    """The command's name and what stands behind it; None: it is something to be said."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line.split(" ")[0]:
        return None
    name, _, rest = line[1:].partition(" ")
    return name.strip().casefold(), rest.strip()


def to_say(line: str) -> str:
    """What is said: a line that begins with // has one of them."""
    return line[1:] if line.startswith("//") else line


def to_type(text: str) -> str:
    """What is typed to say this."""
    return f"/{text}" if text.startswith("/") else text


def matching(line: str) -> list[Command]:
    """The commands whose name begins as typed; none once an argument is being typed."""
    parsed = parse(line)
    if parsed is None or " " in line or "\n" in line:
        return []
    return [command for command in COMMANDS if command.name.startswith(parsed[0])]


_CODE = re.compile(r"(?ms)^(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>.*?)^(?P=fence)[`~]*\s*$")


def last_code(text: str) -> str:
    """The last block of code in an answer; empty where there is none."""
    blocks = [found["code"] for found in _CODE.finditer(text)]
    return blocks[-1] if blocks else ""

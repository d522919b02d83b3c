"""A model server that does what it is asked beside the conversation as a good clerk would.

It knows a question by the name of the schema that comes with it. Facts are what the user says in
the words "I live in …" and the like; notes are the user's own sentences.
"""

from __future__ import annotations

import json
import re
from typing import Any

from openai_server import OpenAIServer, Reply, Request, Scripted

_FACT = re.compile(
    r"\[(\d+)\] (?:\([\d-]+\) )?([^\n]*?\b(I (?:live in|work at|play) (?:the )?(\w+)))"
)
_SAYS = {"I live in": ("Facts", "Lives in"), "I work at": ("Facts", "Works at")}


class Clerk(OpenAIServer):
    """``replies`` by kind are given instead, in order; ``asked`` counts the questions by kind.

    ``on`` is called with the kind before a question is answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.replies: dict[str, list[Scripted]] = {}
        self.asked: list[str] = []
        self.on: dict[str, Any] = {}

    def refuse(self, kind: str, times: int = 1) -> None:
        """Say something else so many times instead of an answer of that kind."""
        self.replies.setdefault(kind, []).extend([Reply("I would rather not.")] * times)

    def texts(self, kind: str) -> list[str]:
        """All that was sent with each question of a kind."""
        return [
            "\n".join(str(message["content"]) for message in request.body["messages"])
            for request in self.requests
            if request.body and _kind(request) == kind
        ]

    def _arrived(self, request: Request) -> tuple[int, Scripted]:
        kind = _kind(request)
        if kind == "chat":
            self.asked.append(kind)
            if self.replies.get(kind):
                with self._changed:
                    self._script.append(self.replies[kind].pop(0))
            return super()._arrived(request)
        with self._changed:
            self._requests.append(request)
            number = len(self._requests)
            self._changed.notify_all()
        self.asked.append(kind)
        if kind in self.on:
            self.on[kind]()
        if self.replies.get(kind):
            return number, self.replies[kind].pop(0)
        text = str(request.body["messages"][-1]["content"])
        return number, Reply(json.dumps(_answer(kind, text)))


def _kind(request: Request) -> str:
    """The question's kind; "chat" for a conversation."""
    if not isinstance(request.body, dict):
        return "chat"
    wanted = request.body.get("response_format") or {}
    return str((wanted.get("json_schema") or {}).get("name", "chat"))


def _answer(kind: str, text: str) -> Any:
    if kind == "facts":
        found = []
        messages = text.split("Messages:\n")[-1]
        for number, _, quote, value in _FACT.findall(messages):
            words = quote.rsplit(" ", 1)[0].removesuffix(" the")
            section, lead = _SAYS.get(words, ("Facts", "Plays the"))
            fact = {"message": int(number), "section": section, "fact": f"{lead} {value}"}
            found.append({**fact, "quote": quote, "replaces": 0})
        return {"facts": found}
    said = re.findall(r"(?:User: |Assistant: |^  - |^  )([^\n]+)", text)
    if kind == "compaction":
        return {"notes": said[:8]}
    if kind == "summary":
        return {"summary": said[:3], "decisions": [], "open_items": []}
    if kind == "snapshot":
        known = re.findall(r"^- ([^\n]+)", text, re.MULTILINE)
        return {"sentences": [f"{fact}." for fact in known[:4]] or said[:3]}
    return {"topic": " ".join(said[0].split()[:5]) if said else "Talk"}

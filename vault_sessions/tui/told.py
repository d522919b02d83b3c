"""What the chat says of itself, in words: on opening, of what is wrong in a file, of a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault_sessions.errors import SessionNotFound
from vault_sessions.model import OFFLINE
from vault_sessions.workspace import Workspace

if TYPE_CHECKING:
    from vault_sessions.lifecycle.compacting import Compacted
    from vault_sessions.lifecycle.desk import Conversation

_PROBLEMS = 2


def at_first(workspace: Workspace, *, private: bool) -> list[str]:
    """Once, before anything is opened: what is odd in the settings, and what went to the trash
    because there were more sessions than are to be kept."""
    warnings = [f"Warning: {warning}" for warning in workspace.settings.warnings]
    tidied = [
        f"{session.label} went to the trash (ai.sessions.max_sessions); back: "
        f"vault-sessions restore {session.id}"
        for session in (() if private else workspace.trash.tidy())
    ]
    return [*warnings, *tidied]


def of_a_new_one(conversation: Conversation) -> list[str]:
    """Of a conversation that goes on with none."""
    if conversation.private:
        return ["Private: nothing of this is stored."]
    name = f' "{conversation.name}"' if conversation.name else ""
    told = [f"A new conversation{name}. F1 lists what you can do."]
    if conversation.provider == OFFLINE:
        told.append("No model is set up: the offline assistant looks things up in your vault.")
    return told


def problems_of(workspace: Workspace, session_id: str) -> str | None:
    """What is wrong in a session's files, the first ones by name; None: nothing is."""
    try:
        if not workspace.find(session_id).problems:
            return None
        found = workspace.show(session_id).problems
    except SessionNotFound:
        return None
    if not found:
        return None
    lines = []
    for path, problem in found[:_PROBLEMS]:
        line = f":{problem.line}" if problem.line else ""
        lines.append(f"{path.rpartition('/')[2]}{line}: {problem.message}")
    more = len(found) - len(lines)
    if more:
        lines.append(f"… and {more} more")
    lines.append("`vault-sessions doctor` lists them, `doctor --fix` mends what can be mended.")
    return "\n".join(lines)


def of_a_summary(done: Compacted | str) -> str:
    """What came of summarizing."""
    if isinstance(done, str):
        return f"Nothing was summarized: {done}."
    return (
        f"{done.record.summary}\n\n{done.record.message_range} are sent as this summary from now "
        f"on, which saves about {done.saved} tokens a turn; the transcript is as it was."
    )

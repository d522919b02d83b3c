"""What ``chat`` says about itself on stderr, in one turn as in line mode."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING, Any

from vault_sessions.cli.door import Door
from vault_sessions.cli.stream import Stream
from vault_sessions.formats.display import safe_line

if TYPE_CHECKING:
    from vault_sessions.lifecycle.desk import Conversation
    from vault_sessions.lifecycle.turns import Turn


def tell_notices(door: Door, conversation: Conversation) -> None:
    """Say what the conversation has to say about itself, once."""
    for notice in conversation.notices:
        door.note(notice)
    conversation.notices.clear()


def tell_tidied(door: Door) -> None:
    """Keep to ``max_sessions``, and say what went to the trash."""
    for session in door.workspace.trash.tidy():
        door.note(
            f"{safe_line(session.label)} went to the trash (ai.sessions.max_sessions); back: "
            f"vault-sessions restore {session.id}"
        )


def heard(door: Door, conversation: Conversation, stream: Stream) -> Callable[[str], None]:
    """Prints an answer as it comes; what changed on disk before it is told before it."""

    def on_text(piece: str) -> None:
        tell_notices(door, conversation)
        stream.feed(piece)

    return on_text


def hint_providers(door: Door) -> None:
    """Where nothing was chosen: what could be, said once for a key, each time for a server."""
    for line in door.workspace.models.hints():
        door.note(line)


def come_back(door: Door, name: str) -> None:
    """Say how to go on with a session (its name or id) the next time; it can be pasted."""
    door.note(f"Come back: {command(door, 'chat', '-s', name)}")


def command(door: Door, *arguments: str) -> str:
    """A command on this vault, as it can be pasted."""
    vault = ("--vault", door.vault) if door.vault else ()
    return safe_line(shlex.join(("vault-sessions", *vault, *arguments)))


def waiting(door: Door) -> Any:
    """Tells of a retry before it is waited for."""
    return lambda seconds, why: door.note(f"({why}; trying again in {max(1, ceil(seconds))} s)")


def noting(door: Door) -> Callable[[str], None]:
    """Tells of each call of a tool, once it is done."""
    return lambda note: door.note(f"· {safe_line(note)}")


def session_line(turn: Turn, conversation: Conversation) -> str:
    """The line on stderr that says where the words are."""
    if conversation.private or turn.session_id is None:
        return "private: nothing was stored"
    name = f"{conversation.name} ({turn.session_id})" if conversation.name else turn.session_id
    by = " ".join(part for part in (turn.provider, turn.model) if part and part != turn.provider)
    return f"session {safe_line(name)} · {safe_line(by or turn.provider)}"

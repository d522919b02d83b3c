"""``ws.compaction``: a summary stands for the beginning of a session, in the prompts to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vault_sessions.errors import VaultError
from vault_sessions.lifecycle import compacting
from vault_sessions.lifecycle.compacting import Compacted, Status
from vault_sessions.workspace.core import Core
from vault_sessions.workspace.desk import desk_of, who


class Compaction:
    """Summarizes when it is asked to; after a turn it is done by ``ws.endings.after_turn``."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def now(
        self,
        given: str,
        *,
        keep: str = "",
        on_status: Callable[[Status], None] = lambda status: None,
    ) -> Compacted | str:
        """Summarize a session's messages but for the newest, for the prompts to come; ``keep``:
        what the summary is to keep. A text says why there was nothing to do.

        Raises ProviderError, VaultError: nothing was recorded.
        """
        session_id = self._core.find(given).id
        return compacting.compact_now(
            desk_of(self._core),
            session_id,
            who(self._core, session_id),
            keep=keep,
            on_status=on_status,
        )

    def exactly(
        self,
        session_id: str,
        messages: Sequence[str],
        *,
        use_ai: bool,
        on_status: Callable[[Status], None] = lambda status: None,
    ) -> Compacted:
        """Summarize exactly these messages (ids), which must be the first ones behind the summary
        in force. Raises ProviderError, VaultError: nothing was recorded."""
        done = compacting.compact(
            desk_of(self._core),
            session_id,
            who(self._core, session_id),
            compacting.exactly(messages),
            use_ai=use_ai,
            on_status=on_status,
        )
        if isinstance(done, str):
            raise VaultError(f"Session {session_id} was not summarized: {done}.")
        return done

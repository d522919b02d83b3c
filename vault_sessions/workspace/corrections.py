"""``ws.corrections``: changes of memory that the owner is asked about, and their answers."""

from __future__ import annotations

from vault_sessions.lifecycle import correcting
from vault_sessions.model import Change, Proposal
from vault_sessions.workspace.core import Core
from vault_sessions.workspace.desk import desk_of


class Corrections:
    """What the owner said in passing that memory says otherwise, and what waits for an answer."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def find(self, text: str, message_id: str | None = None) -> Proposal | None:
        """What to ask the owner, who has just said that in the open conversation (``message_id``
        None: in its newest message that says so); None: there is nothing to be asked. Raises
        VaultError."""
        conversation = self._core.held.conversation
        if conversation is None:
            return None
        return correcting.correction(desk_of(self._core), conversation, text, message_id)

    def save(self, proposal: Proposal, text: str) -> Change:
        """Make a change of memory that the owner said yes to, with the text as they left it.
        Raises VaultError: nothing was changed."""
        return correcting.save(desk_of(self._core), proposal, text)

    def decline(self, proposal: Proposal) -> None:
        """The owner said no: it is not asked again in the open conversation."""
        conversation = self._core.held.conversation
        if conversation is not None:
            correcting.decline(desk_of(self._core), conversation, proposal)

    def offers(self) -> list[Proposal]:
        """The changes of memory that came up in the background and wait for the owner's answer.
        Raises VaultError."""
        return correcting.offers(desk_of(self._core))

    def settle(self, offer: Proposal) -> None:
        """The owner has answered one of these: it is not asked again. Raises VaultError."""
        correcting.settle(desk_of(self._core), offer)

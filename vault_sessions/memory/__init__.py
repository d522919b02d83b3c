"""Long-term memory: facts learned, corrected and taken back; summaries; the picture of the user."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from vault_sessions.state import State
from vault_sessions.vault import Vault


class Kit(NamedTuple):
    """What a change of memory needs: the vault, this machine's locks, the time, and chance."""

    vault: Vault
    state: State
    now: datetime
    random: Callable[[int], int]

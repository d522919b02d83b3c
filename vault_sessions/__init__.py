"""vault-sessions: AI conversations, and what was learned from them, as plain files in a folder.

from vault_sessions import Workspace
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vault_sessions.errors import VaultSessionsError

if TYPE_CHECKING:
    from vault_sessions.model import Hit, Message, Problem, Session
    from vault_sessions.session_manager import SessionManager
    from vault_sessions.workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "Hit",
    "Message",
    "Problem",
    "Session",
    "SessionManager",
    "VaultSessionsError",
    "Workspace",
]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: a start must not pay for all."""
    import importlib

    if name == "Workspace":
        return importlib.import_module("vault_sessions.workspace").Workspace
    if name == "SessionManager":
        return importlib.import_module("vault_sessions.session_manager").SessionManager
    if name in __all__:
        return getattr(importlib.import_module("vault_sessions.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

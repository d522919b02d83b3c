"""Every error that vault-sessions raises on purpose.

    VaultSessionsError            exit code 1
    ├── ConfigError               a settings file or variable is wrong
    ├── VaultError                the vault can't be found, read or written
    │   ├── SessionNotFound
    │   ├── AmbiguousSession
    │   ├── NameTaken
    │   └── SessionGone           the file vanished while a chat was writing to it
    ├── MirrorError               the SQLite mirror can't be used at all
    │   ├── MirrorBusy            another process is writing; what was to be written waits
    │   └── MirrorDamaged         it is rebuilt from the files; nobody needs to see this
    └── ProviderError             the model could not answer
        ├── ContextTooLong
        ├── BadAnswer             it answered something that is no answer to what was asked
        └── ProviderUnusable      no key, unknown provider: said before anything is sent

The message is written for the person at the terminal: what is wrong, where (file and line),
and what to do next, in one or two lines.
"""

from __future__ import annotations


class VaultSessionsError(Exception):
    """Base of the hierarchy; its text is shown to the user behind ``Error:``."""

    exit_code = 1


class ConfigError(VaultSessionsError):
    """A setting is unknown, of the wrong type, or stands where it may not."""


class VaultError(VaultSessionsError):
    """The vault, or a file in it, can't be found, read or written."""


class SessionNotFound(VaultError):
    """No session bears this name, id or beginning of an id."""


class AmbiguousSession(VaultError):
    """Several sessions answer to what was given; the message lists them."""


class NameTaken(VaultError):
    """Another session has this name already (NFKC and case folded)."""


class SessionGone(VaultError):
    """The transcript was deleted or moved since it was last seen; it is never recreated."""


class MirrorError(VaultSessionsError):
    """The mirror can't be opened or built, not even in memory."""


class MirrorBusy(MirrorError):
    """Another process is writing to the mirror for longer than the caller wants to wait."""


class MirrorDamaged(MirrorError):
    """Missing, corrupt, of another schema or vault: to be rebuilt from the files."""


class ProviderError(VaultSessionsError):
    """The model gave no answer, or broke off; what had arrived is kept by the caller."""


class ContextTooLong(ProviderError):
    """The server says that the prompt does not fit the model."""


class BadAnswer(ProviderError):
    """The model's answer is not of the form that was asked for, or says nothing of the matter."""


class ProviderUnusable(ProviderError):
    """The provider can't be called as it is set up (no key, no base_url, unknown name)."""

"""Where the user's own folders are: settings, cache (the mirror) and state (locks, leases, log).

The same places as platformdirs gives (a test compares them), without the 7 ms that its import
costs every start. Each vault has a sub-folder of the cache and of the state, named after its real
path.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys

_APP = "vault-sessions"
_KINDS = {
    "config": ("XDG_CONFIG_HOME", ".config", "Application Support"),
    "cache": ("XDG_CACHE_HOME", ".cache", "Caches"),
    "state": ("XDG_STATE_HOME", ".local/state", "Application Support"),
}


def user_folder(kind: str) -> str:
    """The folder for ``config``, ``cache`` or ``state``; it may not exist yet.

    ``VAULT_SESSIONS_CONFIG``, ``…_CACHE`` and ``…_STATE`` override it.
    """
    override = os.environ.get(f"VAULT_SESSIONS_{kind.upper()}")
    if override:
        return os.path.abspath(os.path.expanduser(override))
    variable, fallback, mac = _KINDS[kind]
    given = os.environ.get(variable, "").strip()
    if os.path.isabs(given):
        return os.path.join(given, _APP)
    if sys.platform == "darwin":
        return os.path.expanduser(f"~/Library/{mac}/{_APP}")
    return os.path.expanduser(f"~/{fallback}/{_APP}")


def user_settings() -> str:
    """The path of the user's own settings file."""
    return os.path.join(user_folder("config"), "config.yaml")


def vault_folder(kind: str, vault: str) -> str:
    """The vault's own sub-folder of the cache or the state."""
    real = os.path.realpath(vault)
    slug = re.sub(r"[^A-Za-z0-9]+", "-", os.path.basename(real)).strip("-")[:40]
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    return os.path.join(user_folder(kind), f"{slug or 'vault'}-{digest}")

"""``python -m vault_sessions``, and the installed command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    import gc

    from vault_sessions.cli import run

    # what is loaded by now stays to the end; looking it over again costs a long list 7 ms
    gc.freeze()
    sys.exit(run())


if __name__ == "__main__":
    main()

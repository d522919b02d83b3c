"""Draw docs/picture.svg: the installed program at work on a copy of the sample vault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
SCENES = (
    ["list", "--limit", "5"],
    ["search", "jetstream", "--limit", "2"],
    ["chat", "-m", "What did we decide about the VPC?"],
)


def main() -> None:
    """Run the scenes on a terminal of 120 columns and keep what they print, colours included."""
    with tempfile.TemporaryDirectory() as scratch, open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=120, file=nowhere, force_terminal=True)
        shutil.copytree(ROOT / "sample_vault", f"{scratch}/notes")
        environment = {
            **os.environ,
            "VAULT_SESSIONS_CACHE": f"{scratch}/cache",
            "VAULT_SESSIONS_STATE": f"{scratch}/state",
            "VAULT_SESSIONS_CONFIG": f"{scratch}/config",
            "COLUMNS": "120",
            "TZ": "America/Denver",
        }
        vault = f"{scratch}/notes"
        _run(
            ["list"], vault, environment
        )  # builds the mirror, so that the picture is of a usual day
        for scene in SCENES:
            shown = " ".join(f'"{part}"' if " " in part else part for part in scene)
            console.print(Text(f"$ vault-sessions {shown}", style="bold green"))
            console.print(Text.from_ansi(_run(scene, vault, environment)))
        console.save_svg(str(ROOT / "docs" / "picture.svg"), title="vault-sessions")


def _run(arguments: list[str], vault: str, environment: dict[str, str]) -> str:
    """What a command prints on a terminal."""
    import pty

    program = [sys.executable, "-m", "vault_sessions", "--vault", vault, "-q", *arguments]
    parent, child = pty.openpty()
    process = subprocess.Popen(program, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    printed = b""
    try:
        while piece := os.read(parent, 65536):
            printed += piece
    except OSError:
        pass  # Linux says so when the other end is closed
    process.wait()
    os.close(parent)
    return printed.decode().replace("\r\n", "\n").rstrip("\n") + "\n"


if __name__ == "__main__":
    main()

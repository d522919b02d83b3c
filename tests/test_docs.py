"""The documentation says what is so."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from vault_sessions.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent


def test_the_pages_made_from_the_code_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("docs_script", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["docs_script"] = script
    spec.loader.exec_module(script)
    assert script.write(check=True) == [], "run scripts/docs.py"


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_names_only_commands_that_exist() -> None:
    named = re.findall(
        r"vault-sessions (?:--vault \S+ )?([a-z]+)", (ROOT / "README.md").read_text()
    )
    assert named
    assert set(named) <= set(COMMANDS)

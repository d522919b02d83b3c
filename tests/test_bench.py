"""The bench runs, and writes what docs/performance.md says. How fast is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "scripts" / "bench.py"


def test_the_shape_of_the_json(tmp_path: Path) -> None:
    """A row for each line of the table, each with what was measured and whether it is met."""
    file = tmp_path / "bench.json"
    command = [sys.executable, str(BENCH), "--quick", "--sessions", "50", "--json", str(file)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(file.read_text())
    assert set(found) == {"machine", "sessions", "rows"}
    assert found["sessions"] >= 50
    assert {"cpu", "system", "python", "sqlite", "load"} <= set(found["machine"])
    assert len(found["rows"]) >= 17
    for row in found["rows"]:
        assert set(row) == {"name", "ours", "floor", "unit", "ratio", "must", "met", "note"}
        assert row["ours"] > 0
        assert (row["floor"] is None) == (row["ratio"] is None)
        assert isinstance(row["met"], bool)
        assert row["name"] in shown

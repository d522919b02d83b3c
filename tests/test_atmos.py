"""Somebody comes from Atmos, with the commands and the settings file they know."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from home import Home, message, write_session

PAGE = Path(__file__).resolve().parent.parent / "docs" / "atmos.md"

COMPACTION = """\
ai:
  max_history_messages: 50

  sessions:
    enabled: true
    path: ".atmos/sessions"
    max_sessions: 10
    auto_compact:
      enabled: true                     # Enable auto-compact (default: false)
      trigger_threshold: 0.75           # Compact at 75% capacity
      compact_ratio: 0.4                # Summarize oldest 40%
      preserve_recent: 10               # Always keep last 10 messages verbatim
      use_ai_summary: true              # Use AI for smart summaries
      show_summary_markers: true        # Show [SUMMARY] tags for debugging
"""

EVERYTHING = """\
ai:
  enabled: true                         # Enable AI features
  default_provider: "grok"              # Default provider for CLI commands
  default_skill: "terraform"            # Default AI skill
  send_context: false
  prompt_on_send: true
  max_history_messages: 0
  max_history_tokens: 0
  timeout_seconds: 60
  max_tool_iterations: 25
  providers:
    anthropic:
      model: "claude-sonnet-4-6"
      api_key: !env "MY_ANTHROPIC_KEY"
      max_tokens: 4096
    grok:
      model: "grok-4-latest"
      api_key: !env XAI_API_KEY
      base_url: "https://api.x.ai/v1"
      timeout_seconds: 90
  tools:
    enabled: true
    allowed_tools: []
    blocked_tools: ["shell"]
  sessions:
    enabled: true
    storage: "sqlite"
    path: ".atmos/sessions"
    max_sessions: 10
    auto_save: true
    retention_days: 30
    auto_compact:
      summary_provider: "anthropic"
      summary_model: "claude-haiku-4-5-20251001"
      summary_max_tokens: 2048
  instructions:
    enabled: true
    file: "ATMOS.md"
  context:
    enabled: true
    auto_include: ["stacks/**/*.yaml"]
    exclude:
      - "**/node_modules/**"
  web_search:
    enabled: false
    google_api_key: "a-very-secret-key"
  skills:
    reviewer:
      display_name: "Reviewer"
      allowed_tools: []
"""


def use(home: Home, text: str) -> dict[str, tuple[object, str]]:
    """The settings in force with this file: by key, value and origin."""
    path = home.folder / "config" / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    shown = home.json("config", "show")["settings"]
    return {row["key"]: (row["value"], row["from"]) for row in shown}


def walk() -> list[list[str]]:
    """The commands of the page's walk."""
    block = re.findall(r"\n```\n(vault-sessions .*?)```", PAGE.read_text(), re.DOTALL)[0]
    return [shlex.split(line)[1:] for line in block.splitlines()]


def test_every_example_of_atmos_page_runs(home: Home) -> None:
    """One after the other, each with the outcome that Atmos's page tells of."""
    commands = walk()
    assert len(commands) > 20
    said = {" ".join(command): home.output(*command) for command in commands}
    assert said["clean --older-than 7d"] == "No sessions to clean.\n"
    assert (
        said["export vpc-migration --output session.json"]
        == "Session 'vpc-migration' exported to 'session.json'\n"
    )
    assert said["import backup.yaml --name restored-session"] == (
        "Session 'restored-session' imported successfully\n"
        "Resume it: vault-sessions chat -s restored-session\n"
    )
    assert said["clean --older-than 0d --yes"] == "Deleted 5 session(s) older than 0d\n"
    assert [row["name"] for row in home.json("list")] == ["restored-session"]
    assert home.json("list")[0]["message_count"] == 4


def test_other_projects_are_listed_and_none_is_cut_off(home: Home) -> None:
    """Atmos hides other projects' sessions, and the oldest beyond a limit."""
    for number in range(60):
        write_session(home, f"s{number}", message("hi"), directory=f"/project/{number % 3}")
    use(home, COMPACTION)
    assert len(home.json("list")) == 60


def test_options_have_variables_but_none_overwrites(home: Home) -> None:
    write_session(home, "one", message("hi", created_at="2026-01-01T00:00:00Z"), name="vpc")
    out = str(home.folder / "vpc.txt")
    variables = {"VAULT_SESSIONS_EXPORT_OUTPUT": out, "VAULT_SESSIONS_EXPORT_FORMAT": "yaml"}
    assert home.output("export", "vpc", **variables) == f"Session 'vpc' exported to '{out}'\n"
    said = home.error("import", out, VAULT_SESSIONS_IMPORT_OVERWRITE="true")
    assert "exists already" in said
    home.output("import", out, VAULT_SESSIONS_IMPORT_NAME="again")
    older = {"VAULT_SESSIONS_CLEAN_OLDER_THAN": "20000d"}
    assert home.output("clean", "--yes", **older) == "No sessions to clean.\n"
    assert home.output("clean", "--yes") == "Deleted 2 session(s) older than 30d\n"


def test_the_mirror_answers_sql_as_the_page_says(home: Home) -> None:
    import sqlite3

    write_session(home, "one", message("hi"), name="vpc")
    home.output("list")
    path = home.output("mirror", "path").strip()
    mirror = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = mirror.execute("SELECT name, message_count FROM sessions").fetchall()
    assert rows == [("vpc", 1)]
    assert mirror.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    mirror.close()


def test_a_damaged_mirror_is_made_anew(home: Home) -> None:
    """Where Atmos says: restore a backup, or lose all sessions."""
    write_session(home, "one", message("hi"), name="vpc")
    path = Path(home.output("mirror", "path").strip())
    home.output("list")
    path.write_bytes(b"no database at all" * 1000)
    assert home.output("list") == "vpc\n"


# --- atmos.yaml ----------------------------------------------------------------------------------


def test_the_session_settings_of_atmos_are_in_force(home: Home) -> None:
    settings = use(home, COMPACTION)
    auto = "ai.sessions.auto_compact."
    assert {key: settings[key][0] for key in settings if key.startswith(auto)} == {
        auto + "enabled": True,
        auto + "trigger_threshold": "0.75",
        auto + "compact_ratio": "0.4",
        auto + "preserve_recent": 10,
        auto + "use_ai_summary": True,
        auto + "show_summary_markers": True,
    }
    assert settings["ai.sessions.max_sessions"][0] == 10
    assert settings["ai.sessions.path"][1].endswith("config.yaml:6 (has no effect)")


def test_all_that_atmos_documents_is_accepted(home: Home) -> None:
    """What has a meaning here is in force; of the rest it is said that it has none."""
    settings = use(home, EVERYTHING)
    assert settings["ai.default_provider"][0] == "grok"
    assert settings["ai.default_skill"][0] == "terraform"
    assert settings["ai.max_history_messages"][0] == 0
    assert settings["ai.max_history_tokens"][0] is None
    for key in (
        "ai.send_context",
        "ai.tools.blocked_tools",
        "ai.sessions.retention_days",
        "ai.sessions.auto_compact.summary_model",
        "ai.context.exclude",
        "ai.skills.reviewer.display_name",
    ):
        assert settings[key][0] is None
        assert settings[key][1].endswith("(has no effect)")
    providers = {row["name"]: row for row in home.json("config", "show")["providers"]}
    assert providers["grok"]["key"] == "key in XAI_API_KEY (not set)"
    assert providers["grok"]["timeout_seconds"] == 90
    assert providers["anthropic"]["key"] == "key in MY_ANTHROPIC_KEY (not set)"
    assert providers["anthropic"]["model"] == "claude-sonnet-4-6"


def test_a_secret_without_effect_is_kept_nowhere(home: Home) -> None:
    use(home, EVERYTHING)
    home.output("list")
    kept = [path for name in ("cache", "state") for path in (home.folder / name).rglob("*")]
    assert kept
    assert not any(b"a-very-secret-key" in path.read_bytes() for path in kept if path.is_file())


def test_a_key_itself_is_refused(home: Home) -> None:
    """And not shown."""
    path = home.folder / "config" / "config.yaml"
    path.parent.mkdir()
    path.write_text("ai:\n  providers:\n    openai:\n      api_key: sk-123456\n")
    said = home.error("config", "show")
    assert "did you mean api_key_env?" in said
    assert "sk-123456" not in said


def test_a_vaults_file_may_come_from_atmos_but_names_no_provider(home: Home) -> None:
    file = home.vault / ".vault-sessions" / "config.yaml"
    file.write_text(COMPACTION)
    assert home.run("config", "show").stderr == ""
    file.write_text(EVERYTHING)
    assert "a vault can't set this" in home.error("config", "show")


def test_a_summary_at_nearly_every_turn_is_warned_of(home: Home) -> None:
    path = home.folder / "config" / "config.yaml"
    path.parent.mkdir()
    path.write_text(COMPACTION.replace("preserve_recent: 10", "preserve_recent: 46"))
    said = home.run("config", "show").stderr
    assert said.startswith("Warning: a summary would be made again after every 2 messages")
    path.write_text(COMPACTION)
    assert home.run("config", "show").stderr == ""

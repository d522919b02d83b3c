"""Settings: what is accepted, where each may stand, and what is said when it may not."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from vault_sessions import atomic
from vault_sessions.config import BY_KEY, PRESETS, TABLE, Settings, load, set_value
from vault_sessions.errors import ConfigError
from vault_sessions.model import Provider

GOOD: dict[str, list[tuple[str, Any]]] = {
    "vault": [("/data/vault", "/data/vault"), ("/data/../vault", "/vault")],
    "folder": [("atlas", "atlas"), ("my_assistant", "my_assistant"), ("a.b", "a.b")],
    "ai.default_provider": [("openai", "openai"), ("offline", "offline")],
    "ai.default_skill": [("reviewer", "reviewer")],
    "ai.max_history_messages": [("4", 4), ("50", 50), ("0", 0)],
    "ai.max_history_tokens": [("8000", 8000), ("0", None)],
    "ai.session_continue_minutes": [("30", timedelta(minutes=30)), ("0", timedelta(0))],
    "ai.sessions.resume_window": [
        ("4h", timedelta(hours=4)),
        ("0", timedelta(0)),
        ("30m", timedelta(minutes=30)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("90s", timedelta(seconds=90)),
    ],
    "ai.sessions.scope": [("workspace", "workspace"), ("directory", "directory")],
    "ai.sessions.reset": [("manual", "manual"), ("idle", "idle"), ("daily", "daily")],
    "ai.sessions.idle_minutes": [("120", 120)],
    "ai.sessions.daily_at": [("04:00", "04:00"), ("23:59", "23:59"), ("'00:00'", "00:00")],
    "ai.sessions.max_sessions": [("40", 40)],
    "ai.sessions.auto_compact.enabled": [
        ("true", True),
        ("off", False),
        ("No", False),
        ("1", True),
    ],
    "ai.sessions.auto_compact.trigger_threshold": [("0.75", "0.75"), ("1", "1"), (".5", ".5")],
    "ai.sessions.auto_compact.compact_ratio": [("0.40", "0.40"), ("1.0", "1.0")],
    "ai.sessions.auto_compact.preserve_recent": [("0", 0), ("10", 10)],
    "ai.sessions.auto_compact.use_ai_summary": [("false", False)],
    "ai.sessions.auto_compact.show_summary_markers": [("yes", True)],
    "topic.auto": [("false", False)],
    "memory.auto": [("false", False)],
    "memory.corrections": [("false", False)],
    "ui.theme": [("auto", "auto"), ("light", "light"), ("dark", "dark")],
    "ui.recap_exchanges": [("0", 0), ("5", 5)],
}
BAD: dict[str, list[str]] = {
    "folder": ["../x", ".hidden", "a/b", "''"],
    "ai.default_provider": ["open ai", "nobody"],
    "ai.default_skill": ["a/b"],
    "ai.max_history_messages": ["3", "-1", "many", "1.5", "1e3"],
    "ai.max_history_tokens": ["-1", "x"],
    "ai.session_continue_minutes": ["4h", "-5"],
    "ai.sessions.resume_window": ["4", "4 hours", "h", "-1h", "4h30m", "9999999h"],
    "ai.sessions.scope": ["global", "Workspace"],
    "ai.sessions.reset": ["never"],
    "ai.sessions.idle_minutes": ["0", "2h"],
    "ai.sessions.daily_at": ["4:00", "24:00", "240", "04:00:00"],
    "ai.sessions.max_sessions": ["0", "ten"],
    "ai.sessions.auto_compact.enabled": ["maybe", "2"],
    "ai.sessions.auto_compact.trigger_threshold": ["1.5", "75%", "-0.1", "nan"],
    "ai.sessions.auto_compact.compact_ratio": ["2", "inf"],
    "ai.sessions.auto_compact.preserve_recent": ["-1", "all"],
    "ai.sessions.auto_compact.use_ai_summary": ["si"],
    "ai.sessions.auto_compact.show_summary_markers": ["''"],
    "topic.auto": ["generated"],
    "memory.auto": ["ask"],
    "memory.corrections": ["10"],
    "ui.theme": ["solarized"],
    "ui.recap_exchanges": ["-1", "three"],
}
EFFECTLESS = ("ai.sessions.enabled", "ai.sessions.path", "ai.enabled")


def nested(key: str, value: str) -> str:
    """The YAML of one setting, as a person writes it."""
    *outer, last = key.split(".")
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate(outer)]
    return "\n".join([*lines, f"{'  ' * len(outer)}{last}: {value}"]) + "\n"


class Files:
    """The two settings files and the place where they are kept."""

    def __init__(self, folder: Path) -> None:
        self.user = folder / "user" / "config.yaml"
        self.vault = folder / "vault" / "config.yaml"
        self.kept = folder / "cache" / "settings.json"
        self.user.parent.mkdir()
        self.vault.parent.mkdir()

    def load(self, environment: dict[str, str] | None = None, **flags: str) -> Settings:
        """All settings in force."""
        given = {key.replace("__", "."): text for key, text in flags.items()}
        files = str(self.user), str(self.vault)
        return load(*files, environment or {}, given, str(self.kept))

    def error(self, text: str | bytes, *, vault: bool = False, **environment: str) -> str:
        """What is said of a file with this text."""
        path = self.vault if vault else self.user
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as caught:
            self.load(environment)
        return str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """No settings yet."""
    return Files(tmp_path)


# --- every setting -------------------------------------------------------------------------------


def test_the_examples_cover_every_setting() -> None:
    """A new row of the table needs some too."""
    known = {setting.key for setting in TABLE if setting.field}
    assert set(GOOD) == known
    assert set(BAD) == known - {"vault"}  # every text is a path
    assert set(EFFECTLESS) == set(BY_KEY) - known


def test_without_files_the_defaults_are_in_force(files: Files) -> None:
    """Nothing is made."""
    assert files.load() == Settings()
    assert not files.kept.exists()
    assert load(str(files.user), None, {}) == Settings()


@pytest.mark.parametrize("key", GOOD)
def test_a_good_value_is_read_and_its_origin_known(files: Files, key: str) -> None:
    """Nested as in YAML, or with a dotted key."""
    for text, value in GOOD[key]:
        for written in (nested(key, text), f"# note\n{key}: {text}\n"):
            files.user.write_text(written)
            settings = files.load()
            assert getattr(settings, BY_KEY[key].field or "") == value
            line = written.count("\n")
            assert settings.origins[key] == f"{files.user}:{line}"


@pytest.mark.parametrize("key", BAD)
def test_a_bad_value_is_an_error_that_says_where_and_what_is_accepted(
    files: Files, key: str
) -> None:
    """File, line, key, the value, and what would be right."""
    for text in BAD[key]:
        said = files.error(nested(key, text))
        assert said.startswith(f"{files.user}:{nested(key, text).count(chr(10))}: {key}: ")
        assert text.strip("'") in said
        assert BY_KEY[key].kind.accepts in said or "Known: offline, anthropic" in said


@pytest.mark.parametrize("key", EFFECTLESS)
def test_settings_of_atmos_without_effect_are_accepted(files: Files, key: str) -> None:
    """They have an origin, for ``config show``."""
    files.user.write_text(nested(key, "whatever"))
    settings = files.load()
    assert settings._replace(origins={}) == Settings()
    assert key in settings.origins


def test_an_unknown_key_is_an_error_with_the_nearest(files: Files) -> None:
    """In the user's own file."""
    said = files.error("ai:\n  sessions:\n    resume_windw: 4h\n")
    assert said.startswith(f"{files.user}:3: ai.sessions.resume_windw: ")
    assert "did you mean ai.sessions.resume_window?" in said
    assert "there is no such setting" in files.error("ai: 5\n")
    assert "did you mean" not in files.error("zzz: 1\n")


def test_in_the_vaults_file_an_unknown_key_is_a_warning(files: Files) -> None:
    """Another machine may have a newer program."""
    files.vault.write_text("ui:\n  theme: dark\n  them: x\n")
    for _ in range(2):  # the second time from where they are kept
        settings = files.load()
        assert settings.theme == "dark"
        (warning,) = settings.warnings
        assert warning.startswith(f"{files.vault}:3: ui.them: ")
        assert "ui.theme" in warning


@pytest.mark.parametrize(
    "text",
    [
        "vault: /elsewhere\n",
        nested("ai.providers.openai.base_url", "https://evil.example"),
        nested("ai.providers.x.api_key_command", "curl evil.example"),
        "ai:\n  providers: x\n",
        "ai.providers.x.model: m\n",
        "ai.providers: y\n",
    ],
)
def test_a_vault_can_set_neither_a_vault_nor_a_provider(files: Files, text: str) -> None:
    """A cloned vault must not run a program or send a key anywhere."""
    said = files.error(text, vault=True)
    assert str(files.vault) in said
    assert "a vault can't set this" in said
    assert "Move it to your own settings" in said


def test_a_bad_value_in_the_vaults_file_is_an_error(files: Files) -> None:
    """Only unknown keys may come from a newer program."""
    assert files.error("folder: ../..\n", vault=True).startswith(f"{files.vault}:1: folder: ")


# --- order ---------------------------------------------------------------------------------------


def test_later_wins_user_vault_environment_flags(files: Files) -> None:
    """And the origin tells which it was."""
    key = "ai.max_history_messages"
    files.user.write_text(f"{key}: 10\nfolder: mine\n")
    assert files.load().max_history_messages == 10
    files.vault.write_text(f"{key}: 20\n")
    assert files.load().max_history_messages == 20
    environment = {"VAULT_SESSIONS_MAX_HISTORY_MESSAGES": "30"}
    assert files.load(environment).max_history_messages == 30
    settings = files.load(environment, ai__max_history_messages="40")
    assert settings.max_history_messages == 40
    assert settings.origins == {key: "the command line", "folder": f"{files.user}:2"}


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("VAULT", "/data", "vault", "/data"),
        ("FOLDER", "other", "folder", "other"),
        ("PROVIDER", "openai", "default_provider", "openai"),
        ("MAX_HISTORY_MESSAGES", "8", "max_history_messages", 8),
        ("RESUME_WINDOW", "2h", "resume_window", timedelta(hours=2)),
    ],
)
def test_variables(files: Files, variable: str, text: str, field: str, value: Any) -> None:
    """An empty one counts as not set; a bad one is an error that names it."""
    name = f"VAULT_SESSIONS_{variable}"
    assert getattr(files.load({name: text}), field) == value
    assert files.load({name: ""}) == Settings()
    if variable != "VAULT":
        with pytest.raises(ConfigError, match=f"^{name}: "):
            files.load({name: "no/such thing"})


def test_every_variable_of_the_table_is_tested() -> None:
    """Those with one."""
    known = {setting.variable for setting in TABLE if setting.variable}
    assert known == {"VAULT", "FOLDER", "PROVIDER", "MAX_HISTORY_MESSAGES", "RESUME_WINDOW"}


def test_a_bad_flag_is_an_error(files: Files) -> None:
    """It names the key."""
    with pytest.raises(ConfigError, match=r"^the command line: folder: "):
        files.load(folder="a/b")


def test_both_names_of_the_resume_window_are_an_error(files: Files) -> None:
    """Whichever comes first."""
    said = files.error("ai:\n  session_continue_minutes: 30\n  sessions:\n    resume_window: 1h\n")
    assert f"{files.user}:4: " in said
    assert "ai.session_continue_minutes (line 2)" in said


def test_a_key_in_the_environment_chooses_no_provider(files: Files) -> None:
    """Only the setting does."""
    assert not files.load({"OPENAI_API_KEY": "sk-1"}).provider_chosen
    assert files.load({"VAULT_SESSIONS_PROVIDER": "openai"}).provider_chosen


# --- providers -----------------------------------------------------------------------------------

PROXY = """\
ai:
  default_provider: proxy
  providers:
    proxy:
      base_url: https://proxy.example/v1
      api_key_env: PROXY_KEY
      model: "mistral small"
      timeout_seconds: 2.5
      context_tokens: 32000
"""


def test_a_provider_of_ones_own_has_all_its_fields(files: Files) -> None:
    """Presets stay."""
    files.user.write_text(PROXY + "      extra_headers: {X-Team: a, X-Org: b}\n")
    settings = files.load()
    assert settings.providers["proxy"] == Provider(
        "proxy",
        "https://proxy.example/v1",
        "PROXY_KEY",
        None,
        "mistral small",
        2.5,
        32000,
        (("X-Team", "a"), ("X-Org", "b")),
    )
    assert settings.providers["openai"] == PRESETS["openai"]


def test_a_preset_is_changed_field_by_field(files: Files) -> None:
    """What is not said stays as it was."""
    files.user.write_text(nested("ai.providers.openai.model", "gpt-5"))
    assert files.load().providers["openai"] == PRESETS["openai"]._replace(model="gpt-5")
    assert PRESETS["openai"].model != "gpt-5"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ai.providers.x.base_url", "ftp://x"),
        ("ai.providers.x.base_url", "localhost:1234"),
        ("ai.providers.x.timeout_seconds", "soon"),
        ("ai.providers.x.timeout_seconds", "-1"),
        ("ai.providers.x.context_tokens", "0"),
        ("ai.providers.x.model", "''"),
        ("ai.providers.x.modell", "m"),
        ("ai.providers.x.model.name", "m"),
        ("ai.providers.x.extra_headers", "a"),
        ("ai.providers.x", "m"),
        ("ai.providers.offline.model", "m"),
        ("ai.providers.a b.model", "m"),
    ],
)
def test_a_wrong_provider_is_an_error_with_its_line(files: Files, key: str, value: str) -> None:
    """The nearest field where there is one."""
    said = files.error(nested(key, value))
    assert said.startswith(f"{files.user}:{key.count('.') + 1}: {key}: ")
    if key.endswith("modell"):
        assert "did you mean model?" in said


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("ai.providers.x.api_key_env", "sk-proj-abcdef"),
        ("ai.providers.x.base_url", "user:secret@host"),
        ("ai.providers.x.extra_headers.Authorization", '"Bearer\\nsecret"'),
        ("ai.providers.x.api_key", "sk-proj-abcdef"),
    ],
)
def test_an_error_never_shows_a_secret(files: Files, key: str, secret: str) -> None:
    """A key pasted in the wrong place is not printed, nor kept."""
    said = files.error(nested(key, secret))
    assert key in said
    assert "secret" not in said
    assert "abcdef" not in said
    assert not files.kept.exists()


# --- YAML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: &x 1\nfolder: *x\n", 2, "aliases"),
        ("folder: a\nfolder: b\n", 2, "stands here twice"),
        ("ui:\n  theme: dark\n  theme: light\n", 3, "ui.theme stands here twice"),
        ("folder: [a\n", 2, "not valid YAML"),
        ("ui:\n\ttheme: dark\n", 2, "not valid YAML"),
        ("folder: 'a\n", 2, "not valid YAML"),
        ("ok: 1\n--- \nfolder: b\n", 2, "several documents"),
        (b"folder: a\nui: caf\xe9\n", 2, "not UTF-8"),
        (b"folder: a\0\n", 1, "not valid YAML"),
        ("- a\n- b\n", 1, "settings are a mapping"),
        ("just text\n", 1, "settings are a mapping"),
        ("folder:\n- a\n", 2, "a list is not accepted"),
        ("topic: []\n", 1, "topic: a list is not accepted"),
        ("? [a]\n: b\n", 1, "a key must be a word"),
        ("a: " + "[" * 200_000, 1, "nested too deep"),
        ("a: &a {<<: [*a, *a]}", 1, "aliases"),
        ("#" * (2 << 20), 1, "settings of 2,097,152 bytes"),
    ],
    ids=lambda value: str(value)[:15].replace("\n", " "),
)
def test_yaml_that_is_refused_is_an_error_with_its_line(
    files: Files, text: str | bytes, line: int, says: str
) -> None:
    """Never a crash, never a bomb."""
    said = files.error(text)
    assert said.startswith(f"{files.user}:{line}: ")
    assert says in said


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# only a comment\n", "---\n", "null\n", "~", "{}", "\ufeff", "vault:\n", "ai: ~\n"],
)
def test_nothing_said_is_nothing_set(files: Files, text: str) -> None:
    """Empty, comments, and keys without a value (or null)."""
    files.user.write_text(text)
    assert files.load() == Settings()


def test_null_leaves_the_value_of_the_file_before(files: Files) -> None:
    """It is no value of its own."""
    files.user.write_text("folder: mine\n")
    files.vault.write_text("folder:\nvault: null\nai:\n  providers: {}\n")
    assert files.load().folder == "mine"


def test_values_are_read_as_they_are_written(files: Files) -> None:
    """YAML would make 240 of 04:00, and 0.4 of 0.40."""
    files.user.write_text(
        "ai: {sessions: {daily_at: 04:00, auto_compact: {compact_ratio: 0.40}}}\nfolder: 007\n"
    )
    settings = files.load()
    assert (settings.daily_at, settings.compact_ratio, settings.folder) == ("04:00", "0.40", "007")


def test_a_settings_file_that_can_not_be_read_is_an_error(files: Files) -> None:
    """A folder, or a FIFO (which is not waited for)."""
    files.user.mkdir()
    with pytest.raises(ConfigError, match=f"^{files.user}: can't be read: "):
        files.load()
    files.user.rmdir()
    os.mkfifo(files.user)
    with pytest.raises(ConfigError, match="can't be read"):
        files.load()


def test_a_symbolic_link_to_a_settings_file_is_followed(files: Files) -> None:
    """Many keep their settings in a repository."""
    real = files.user.parent / "dotfiles.yaml"
    real.write_text("folder: linked\n")
    files.user.symlink_to(real)
    assert files.load().folder == "linked"
    real.write_text("folder: linked2\n")
    assert files.load().folder == "linked2"


# --- kept by stamp -------------------------------------------------------------------------------


def test_settings_are_kept_and_used_without_yaml(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While neither file has changed."""
    files.user.write_text(PROXY)
    files.vault.write_text("ui:\n  theme: dark\n")
    first = files.load()
    assert files.kept.stat().st_mode & 0o777 == 0o600
    monkeypatch.setitem(sys.modules, "yaml", None)  # an import of it fails now
    assert files.load() == first
    assert first.default_provider == "proxy"


@pytest.mark.parametrize("which", ["user", "vault"])
def test_kept_settings_are_dropped_when_a_file_changes(files: Files, which: str) -> None:
    """Edited, replaced, removed or new."""
    path: Path = getattr(files, which)
    assert files.load().folder == "atlas"
    (files.vault if which == "user" else files.user).write_text("ui.theme: dark\n")
    path.write_text("folder: one\n")
    assert files.load().folder == "one"
    path.write_text("folder: three\n")
    assert files.load().folder == "three"
    other = path.with_name("other")
    other.write_text("folder: seven\n")
    os.replace(other, path)
    assert files.load().folder == "seven"
    path.unlink()
    assert files.load().folder == "atlas"


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"{}", b'{"files":1}', b"\xff", b"null"])
def test_a_broken_kept_file_is_made_again(files: Files, junk: bytes) -> None:
    """Nobody needs to know."""
    files.user.write_text("folder: mine\n")
    files.load()
    whole = files.kept.read_bytes()
    files.kept.write_bytes(junk)
    assert files.load().folder == "mine"
    assert files.kept.read_bytes() == whole


def test_where_nothing_can_be_kept_settings_are_read_again(files: Files) -> None:
    """It costs time, nothing else."""
    files.user.write_text("folder: mine\n")
    files.kept.parent.write_text("a file where the cache folder should be")
    assert files.load().folder == files.load().folder == "mine"


@pytest.mark.parametrize(
    "secret",
    [
        nested("ai.providers.x.extra_headers.Authorization", "Bearer hush"),
        nested("ai.providers.x.extra_headers.model", "hush"),
        nested("ai.providers.x.api_key_command", "pass show hush"),
        nested("ai.providers.x.base_url", "https://me:hush@host/v1"),
        nested("ai.providers.x.base_url", "https://host/v1?key=hush"),
    ],
)
def test_what_may_hold_a_secret_is_not_kept(files: Files, secret: str) -> None:
    """The cache folder may be backed up or shared; the settings are in force all the same."""
    files.user.write_text(secret)
    assert "hush" in str(files.load().providers["x"])
    assert not files.kept.exists()
    files.user.write_text("folder: mine\n")
    files.load()
    before = files.kept.read_bytes()
    files.user.write_text(secret)
    assert "hush" in str(files.load().providers["x"])
    assert files.kept.read_bytes() == before


def test_the_value_of_an_unknown_key_of_the_vaults_file_is_not_kept(files: Files) -> None:
    """It may be a key that does not belong there."""
    files.vault.write_text("openai_api_key: sk-hush\n")
    assert files.load().warnings
    assert b"hush" not in files.kept.read_bytes()


def test_settings_in_error_are_not_kept(files: Files) -> None:
    """They are an error the next time too."""
    for _ in range(2):
        assert "no such setting" in files.error("openai_api_key: sk-hush\n")
    assert not files.kept.exists()


# --- found in review -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "'http://[::1'"),
        ("base_url", "http://host:port/v1"),
        ("base_url", "http://:80/"),
        ("timeout_seconds", "0"),
        ("timeout_seconds", "0.0"),
        ("timeout_seconds", "9" * 400),
        ("extra_headers.X-Team", "wörld"),
        ("extra_headers.X-Team", '"a\\x1bb"'),
        ("extra_headers.wörld", "a"),
        ("extra_headers.'a b'", "a"),
    ],
)
def test_what_no_request_can_be_made_of_is_an_error(files: Files, field: str, value: str) -> None:
    """It names the line, and never repeats what may be a secret."""
    said = files.error(nested(f"ai.providers.x.{field}", value))
    assert said.startswith(f"{files.user}:")
    assert "b'" not in said


def test_both_names_of_the_resume_window_in_two_files_are_an_error(files: Files) -> None:
    """The same name in both is not: the vault's wins. A variable wins over either name."""
    files.user.write_text("ai.session_continue_minutes: 30\n")
    said = files.error("ai.sessions.resume_window: 1h\n", vault=True)
    assert f"{files.vault}:1: " in said
    assert f"ai.session_continue_minutes ({files.user}:1)" in said
    files.vault.write_text("ai.session_continue_minutes: 40\n")
    settings = files.load()
    assert settings.resume_window == timedelta(minutes=40)
    assert settings.origins["ai.sessions.resume_window"] == f"{files.vault}:1"
    variable = "VAULT_SESSIONS_RESUME_WINDOW"
    assert files.load({variable: "2h"}).origins == {"ai.sessions.resume_window": variable}


@pytest.mark.parametrize(
    ("before", "key", "value", "said"),
    [
        ("", "ai.default_provider", "nobody", "there is no provider 'nobody'"),
        (
            "ai.session_continue_minutes: 30\n",
            "ai.sessions.resume_window",
            "1h",
            "say the same thing",
        ),
        ("", "vault", "/data/\udcff", "not UTF-8"),
        ("", "vault", "", "not a path"),
    ],
)
def test_nothing_is_set_that_every_later_command_would_stumble_over(
    files: Files, before: str, key: str, value: str, said: str
) -> None:
    """The file stays as it was."""
    files.user.write_text(before)
    with pytest.raises(ConfigError, match=said):
        set_value(str(files.user), key, value)
    assert files.user.read_text() == before


def test_a_path_is_set_absolute(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """It means the same from everywhere."""
    monkeypatch.chdir(files.user.parent)
    assert set_value(str(files.user), "vault", "w") == str(files.user.parent / "w")
    assert files.load().vault == str(files.user.parent / "w")


def test_what_is_set_at_the_same_time_is_not_lost(files: Files) -> None:
    """Nor what an editor saves between our reading and our writing."""
    names = [f"p{number}" for number in range(8)]

    def put(name: str) -> None:
        set_value(str(files.user), f"ai.providers.{name}.model", name)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, names))
    assert set(names) <= set(files.load().providers)
    real = atomic.replace_file

    def slow(path: str, data: bytes, **options: Any) -> None:
        if "ui" not in files.user.read_text():
            files.user.write_text(files.user.read_text() + "ui.recap_exchanges: 7\n")
        real(path, data, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "replace_file", slow)
        put("late")
    settings = files.load()
    assert "late" in settings.providers
    assert settings.recap_exchanges == 7

"""Settings: one table, read from the user's file, the vault's file and the environment.

``docs/settings.md`` is made from the table below. A vault's file can't set a path, a provider, a
command or a URL: a cloned vault must not run a program or send a key anywhere. Parsed files are
kept as JSON by stamp in the cache, so that a start need not import yaml.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

import orjson

from vault_sessions import atomic
from vault_sessions.errors import ConfigError
from vault_sessions.formats import plain_yaml
from vault_sessions.model import OFFLINE, Provider

MAX_FILE = 1 << 20


PRESETS = {
    provider.name: provider
    for provider in (
        Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", None, "gpt-5-mini"),
        Provider(
            "anthropic",
            "https://api.anthropic.com/v1/",
            "ANTHROPIC_API_KEY",
            None,
            "claude-sonnet-4-5",
        ),
        Provider(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta/openai/",
            "GEMINI_API_KEY",
            None,
            "gemini-2.5-flash",
        ),
        Provider(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
            None,
            "openrouter/auto",
        ),
        # Ollama cuts a prompt longer than its context (4,096 tokens unless set) without a word
        Provider("ollama", "http://127.0.0.1:11434/v1", context_tokens=4096),
        Provider("lmstudio", "http://127.0.0.1:1234/v1"),
        Provider("llamacpp", "http://127.0.0.1:8080/v1"),
    )
}


class Settings(NamedTuple):
    """All settings in force. ``origins`` says where each one that is not a default came from."""

    vault: str | None = None
    folder: str = "atlas"
    default_provider: str = OFFLINE
    default_skill: str | None = None
    max_history_messages: int = 50
    max_history_tokens: int | None = None
    resume_window: timedelta = timedelta(hours=4)
    scope: str = "workspace"
    reset: str = "manual"
    idle_minutes: int = 120
    daily_at: str = "04:00"
    max_sessions: int | None = None
    compact_enabled: bool = True
    trigger_threshold: str = "0.75"
    compact_ratio: str = "0.4"
    preserve_recent: int = 10
    use_ai_summary: bool = True
    show_summary_markers: bool = False
    topic_auto: bool = True
    memory_auto: bool = True
    memory_corrections: bool = True
    theme: str = "auto"
    recap_exchanges: int = 3
    providers: dict[str, Provider] = PRESETS
    origins: dict[str, str] = {}
    warnings: tuple[str, ...] = ()

    @property
    def provider_chosen(self) -> bool:
        """Did the owner choose a provider, rather than get the default one?"""
        return "ai.default_provider" in self.origins


# --- the table -----------------------------------------------------------------------------------


class Kind(NamedTuple):
    """What a setting accepts, in words, and how its text is read (ValueError: not so)."""

    accepts: str
    read: Callable[[str], Any]


class Setting(NamedTuple):
    """One row: the key, the field of Settings (None: accepted, no effect), kind and meaning."""

    key: str
    field: str | None
    kind: Kind
    meaning: str
    variable: str | None = None
    user_only: bool = False


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _duration(text: str) -> timedelta:
    if text == "0":
        return timedelta(0)
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if not found:
        raise ValueError
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _boolean(text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True}
    words |= {"false": False, "no": False, "off": False, "0": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _integer(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise ValueError
        return int(text)

    return read


def _ratio(text: str) -> str:
    # kept as text: the arithmetic of compaction is done in exact decimals
    if not re.fullmatch(r"\d?\.\d+|[01](\.0*)?", text) or not 0 <= float(text) <= 1:
        raise ValueError
    return text


def _matching(pattern: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return read


def _choice(*words: str) -> Kind:
    return Kind("one of " + ", ".join(words), _matching("|".join(words)))


def _tokens(text: str) -> int | None:
    return _integer(0)(text) or None


def _history(text: str) -> int:
    if text != "0" and not (re.fullmatch(r"\d{1,9}", text) and int(text) >= 4):
        raise ValueError
    return int(text)


def _path(text: str) -> str:
    if not text:
        raise ValueError
    return os.path.abspath(os.path.expanduser(text))


def _url(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(_matching(r"https?://[^\s]+")(text))
    # reading the port raises ValueError when it is none
    if not parts.hostname or parts.port == 0 or not text.isprintable():
        raise ValueError
    return text


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not 0 < float(text) <= 86400:
        raise ValueError
    return float(text)


_NAME = Kind("a name of letters, digits, - and _", _matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"))
_FOLDER = Kind("a folder name", _matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"))
_PATH = Kind("a path", _path)
_BOOL = Kind("true or false", _boolean)
_DURATION = Kind("a duration such as 30m, 4h or 2d; 0 for never", _duration)
_COUNT = Kind("a whole number", _integer(0))
_POSITIVE = Kind("a whole number from 1", _integer(1))
_RATIO = Kind("a number from 0 to 1", _ratio)
_CLOCK = Kind("a time such as 04:00", _matching(r"([01]\d|2[0-3]):[0-5]\d"))
_ANY = Kind("anything", str)
_AUTO = "ai.sessions.auto_compact."

TABLE = (
    Setting("vault", "vault", _PATH, "the vault to use when none is near", "VAULT", True),
    Setting("folder", "folder", _FOLDER, "the assistant's folder in the vault", "FOLDER"),
    Setting(
        "ai.default_provider",
        "default_provider",
        _NAME,
        "who answers; a key in the environment alone chooses nothing",
        "PROVIDER",
    ),
    Setting("ai.default_skill", "default_skill", _NAME, "the skill of a new session"),
    Setting(
        "ai.max_history_messages",
        "max_history_messages",
        Kind("a whole number from 4, or 0 for no limit", _history),
        "messages that are sent to the model at most",
        "MAX_HISTORY_MESSAGES",
    ),
    Setting(
        "ai.max_history_tokens",
        "max_history_tokens",
        Kind("a whole number; 0 for no limit", _tokens),
        "tokens (bytes / 4) of them that are sent at most",
    ),
    Setting(
        "ai.session_continue_minutes",
        "resume_window",
        Kind("a whole number", lambda text: timedelta(minutes=_integer(0)(text))),
        "another name for ai.sessions.resume_window, in minutes; not both",
    ),
    Setting(
        "ai.sessions.resume_window",
        "resume_window",
        _DURATION,
        "how long a session is resumed without being asked for; 0 never",
        "RESUME_WINDOW",
    ),
    Setting(
        "ai.sessions.scope",
        "scope",
        _choice("workspace", "directory", "vault"),
        "which sessions may be resumed from here",
    ),
    Setting(
        "ai.sessions.reset",
        "reset",
        _choice("manual", "idle", "daily"),
        "when a session is not resumed although its window is open",
    ),
    Setting("ai.sessions.idle_minutes", "idle_minutes", _POSITIVE, "for reset: idle"),
    Setting("ai.sessions.daily_at", "daily_at", _CLOCK, "for reset: daily; local time"),
    Setting(
        "ai.sessions.max_sessions",
        "max_sessions",
        _POSITIVE,
        "ended sessions beyond it go to the trash, oldest first",
    ),
    Setting(
        _AUTO + "enabled",
        "compact_enabled",
        _BOOL,
        "long conversations are summarized by themselves, for the prompt only",
    ),
    Setting(
        _AUTO + "trigger_threshold",
        "trigger_threshold",
        _RATIO,
        "the part of the history limits at which a summary is due",
    ),
    Setting(
        _AUTO + "compact_ratio",
        "compact_ratio",
        _RATIO,
        "the part of the messages that is folded into it",
    ),
    Setting(
        _AUTO + "preserve_recent",
        "preserve_recent",
        _COUNT,
        "the newest messages, never folded in by their number",
    ),
    Setting(
        _AUTO + "use_ai_summary",
        "use_ai_summary",
        _BOOL,
        "the model writes it; else it is the beginnings of the messages",
    ),
    Setting(
        _AUTO + "show_summary_markers",
        "show_summary_markers",
        _BOOL,
        "put [SUMMARY: …] marks around a summary in the prompt",
    ),
    Setting("ai.sessions.enabled", None, _ANY, "accepted for files from Atmos; no effect"),
    Setting("ai.sessions.path", None, _ANY, "accepted for files from Atmos; no effect"),
    Setting("ai.enabled", None, _ANY, "accepted for files from Atmos; no effect"),
    Setting("topic.auto", "topic_auto", _BOOL, "sessions get a topic by themselves"),
    Setting(
        "memory.auto",
        "memory_auto",
        _BOOL,
        "learn facts, and let the model sum up, when a session ends or is compacted",
    ),
    Setting(
        "memory.corrections",
        "memory_corrections",
        _BOOL,
        "ask about corrections of memory",
    ),
    Setting(
        "ui.theme",
        "theme",
        _choice("auto", "light", "dark"),
        "colours on the terminal",
    ),
    Setting("ui.recap_exchanges", "recap_exchanges", _COUNT, "exchanges shown on resume"),
)
BY_KEY = {setting.key: setting for setting in TABLE}

_OF_ATMOS = re.compile(
    r"ai\.(send_context|prompt_on_send|timeout_seconds|max_tool_iterations|max_context_files"
    r"|max_context_lines|(tools|instructions|memory|context|web_search|skills)(\..*)?"
    r"|sessions\.(storage|storage_path|auto_save|retention_days"
    r"|auto_compact\.(summary_provider|summary_model|summary_max_tokens|compact_on_resume)))",
    re.DOTALL,
)
"""What else Atmos's documentation has under ``ai``: accepted, so that a copied file works, and
without effect."""
_OF_ATMOS_PROVIDERS = ("max_tokens", "api_version")

_SECRET = re.compile(r"\.(?:api_key_env|api_key_command|base_url|extra_headers)(?:\.|$)")
_NEVER_SECRET = ("api_key_env", "model", "timeout_seconds", "context_tokens")

PROVIDER_FIELDS = {
    "base_url": Kind("an http:// or https:// URL", _url),
    "api_key_env": Kind("the name of a variable", _matching(r"[A-Za-z_][A-Za-z0-9_]*")),
    "api_key_command": Kind("a command", _matching(r"(?s).+")),
    "model": Kind("a model's name", _matching(r"[^\s].*")),
    "timeout_seconds": Kind("a number of seconds above 0, at most 86400", _seconds),
    "context_tokens": _POSITIVE,
    "extra_headers": Kind("a mapping of names to ASCII texts of a line", _matching(r"[ -~]*")),
}


# --- reading -------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A scalar of a settings file: dotted key, text, line."""

    key: str
    text: str
    line: int


Seen = dict[str, tuple[str, Entry]]
"""By field of Settings: the file and the entry that set it."""


def load(
    user_file: str,
    vault_file: str | None,
    environment: dict[str, str],
    flags: dict[str, str] | None = None,
    kept: str | None = None,
) -> Settings:
    """All settings in force. ``kept``: the file in which parsed files are kept by stamp.

    Raises ConfigError, naming file, line, key, what is accepted and the nearest key.
    """
    user_entries, vault_entries, stamps = _entries_of(user_file, vault_file, kept)
    warnings: list[str] = []
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    providers = dict(PRESETS)
    seen: Seen = {}
    _take(user_entries, user_file, values, origins, providers, seen)
    if vault_file is not None:
        known = [e for e in vault_entries if _allowed_in_vault(e, vault_file, warnings)]
        _take(known, vault_file, values, origins, providers, seen)
    for setting in TABLE:
        text = environment.get(f"VAULT_SESSIONS_{setting.variable}") if setting.variable else None
        if text:
            where = f"VAULT_SESSIONS_{setting.variable}"
            _put(setting, text, where, values, origins)
    for key, text in (flags or {}).items():
        _put(BY_KEY[key], text, "the command line", values, origins)
    _check_provider(values, origins, providers)
    if kept is not None and stamps is not None and all(map(_may_be_kept, user_entries)):
        _keep(kept, stamps, user_entries, vault_entries)
    return Settings(**values, providers=providers, origins=origins, warnings=tuple(warnings))


def _check_provider(
    values: dict[str, Any], origins: dict[str, str], providers: dict[str, Provider]
) -> None:
    default = values.get("default_provider", OFFLINE)
    if default != OFFLINE and default not in providers:
        known_names = ", ".join((OFFLINE, *sorted(providers)))
        raise ConfigError(
            f"{origins['ai.default_provider']}: ai.default_provider: there is no provider "
            f"{default!r}. Known: {known_names}{_nearest(default, [OFFLINE, *providers])}"
        )


def _put(
    setting: Setting, text: str, where: str, values: dict[str, Any], origins: dict[str, str]
) -> None:
    if setting.field is not None:
        values[setting.field] = _read(setting.kind, text, where, setting.key)
    if setting.field == "resume_window":
        # it has two names: the origin is that of the value in force
        origins.pop("ai.session_continue_minutes", None)
        origins["ai.sessions.resume_window"] = where
    origins[setting.key] = where


def _allowed_in_vault(entry: Entry, path: str, warnings: list[str]) -> bool:
    """May the vault's file set it? Raises ConfigError for what belongs in the user's file."""
    where = f"{path}:{entry.line}: {entry.key}"
    if entry.key.startswith("ai.providers.") or entry.key in ("vault", "ai.providers"):
        raise ConfigError(
            f"{where}: a vault can't set this, because vaults are copied and cloned.\n"
            f"Move it to your own settings (see: vault-sessions config path)."
        )
    if entry.key not in BY_KEY and not _OF_ATMOS.fullmatch(entry.key):
        warnings.append(f"{where}: unknown setting, ignored{_nearest(entry.key, BY_KEY)}")
        return False
    return True


def _take(
    entries: list[Entry],
    path: str,
    values: dict[str, Any],
    origins: dict[str, str],
    providers: dict[str, Provider],
    seen: Seen,
) -> None:
    for entry in entries:
        where = f"{path}:{entry.line}"
        if entry.key.startswith("ai.providers."):
            _take_provider(entry, where, providers)
            continue
        setting = BY_KEY.get(entry.key)
        if setting is None and _OF_ATMOS.fullmatch(entry.key):
            origins[entry.key] = where
            continue
        if setting is None:
            raise ConfigError(
                f"{where}: {entry.key}: there is no such setting"
                f"{_nearest(entry.key, BY_KEY)}\nAll settings: vault-sessions config show"
            )
        _put(setting, entry.text, where, values, origins)
        if setting.field is not None:
            there, other = seen.get(setting.field, (None, entry))
            if there == path or other.key != entry.key:
                place = f"line {other.line}" if there == path else f"{there}:{other.line}"
                raise ConfigError(
                    f"{where}: {entry.key} and {other.key} ({place}) say the same "
                    f"thing; keep one of them."
                )
            seen[setting.field] = (path, entry)


def _take_provider(entry: Entry, where: str, providers: dict[str, Provider]) -> None:
    _, _, name, *rest = entry.key.split(".", 3)
    if name == OFFLINE or not rest:
        raise ConfigError(f"{where}: {entry.key}: a provider is a mapping with base_url, model, …")
    field, _, header = rest[0].partition(".")
    if field in _OF_ATMOS_PROVIDERS and not header:
        return
    kind = PROVIDER_FIELDS.get(field)
    if kind is None or bool(header) != (field == "extra_headers"):
        raise ConfigError(
            f"{where}: {entry.key}: a provider has no such field"
            f"{_nearest(rest[0], PROVIDER_FIELDS)}"
        )
    if header and not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", header):
        raise ConfigError(f"{where}: {entry.key}: that can't be the name of a header.")
    value = _read(kind, entry.text, where, entry.key)
    provider = providers.get(name) or Provider(_read(_NAME, name, where, entry.key))
    if header:
        others = [pair for pair in provider.extra_headers if pair[0] != header]
        providers[name] = provider._replace(extra_headers=(*others, (header, value)))
    else:
        providers[name] = provider._replace(**{field: value})


def _read(kind: Kind, text: str, where: str, key: str) -> Any:
    try:
        return kind.read(text.strip())
    except ValueError:
        said = repr(text.strip()[:60])
        if key.startswith("ai.providers.") and _SECRET.search(key):
            said = "its value"  # perhaps the key itself, pasted here by mistake
        raise ConfigError(f"{where}: {key}: {said} is not {kind.accepts}.") from None


def _nearest(key: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(key, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


Stamps = list[list[Any]]
"""Path and stamp of each settings file."""


def _entries_of(
    user_file: str, vault_file: str | None, kept: str | None
) -> tuple[list[Entry], list[Entry], Stamps | None]:
    """The scalars of both files, from where they are kept when neither has changed; else also
    the stamps under which they may be kept."""
    files = [user_file, vault_file]
    stamps: Stamps = [[path, _stamp(path)] for path in files]
    if not any(stamp for _, stamp in stamps):
        return [], [], None
    if kept is not None:
        try:
            known = orjson.loads(atomic.read_file(kept)[0])
            if known["files"] == stamps:
                first, second = known["entries"]
                return [Entry(*e) for e in first], [Entry(*e) for e in second], None
        except (OSError, ValueError, KeyError, TypeError):
            pass
    user = _parse_file(user_file) if stamps[0][1] else []
    vault = _parse_file(vault_file) if vault_file and stamps[1][1] else []
    return user, vault, stamps if stamps == [[path, _stamp(path)] for path in files] else None


def _may_be_kept(entry: Entry) -> bool:
    """Is it certain that there is no secret in it? (Commands and headers often hold a key.)"""
    field = entry.key.split(".", 3)[-1]
    if not entry.key.startswith("ai.providers.") or field in _NEVER_SECRET:
        return True
    return field == "base_url" and not set(entry.text) & set("@?#")


def _keep(kept: str, stamps: Stamps, user: list[Entry], vault: list[Entry]) -> None:
    """Keep what was read (an unknown key of the vault's file without its value)."""
    said = [entry if entry.key in BY_KEY else entry._replace(text="") for entry in vault]
    entries = [list(map(list, user)), list(map(list, said))]  # orjson writes no NamedTuple
    try:
        atomic.make_folder(os.path.dirname(kept))
        atomic.replace_file(kept, orjson.dumps({"files": stamps, "entries": entries}))
    except (OSError, TypeError):
        pass  # a cache folder that can't be written (or a path no UTF-8) costs time, nothing else


def _stamp(path: str | None) -> list[int] | None:
    if path is None:
        return None
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _parse_file(path: str) -> list[Entry]:
    """Every scalar of a YAML file, without aliases; raises ConfigError."""
    try:
        data, _ = atomic.read_file(os.path.realpath(path), limit=atomic.LARGEST_TEXT)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    try:
        return parse_yaml(data)
    except ConfigError as error:
        raise ConfigError(f"{path}{error}") from error


def parse_yaml(data: bytes) -> list[Entry]:
    """The scalars of a settings file. ConfigError's text begins with ``:line:``."""
    import yaml

    if len(data) > MAX_FILE:
        raise ConfigError(f":1: settings of {len(data):,} bytes (at most {MAX_FILE:,})")
    try:
        text = data.decode("utf-8-sig")
        root = yaml.compose(text, Loader=plain_yaml.check(text))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f":{line}: the file is not UTF-8 text") from None
    except plain_yaml.NotPlain as error:
        raise ConfigError(f":{error.line}: {error}") from None
    except yaml.YAMLError as error:  # several documents
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(f":{mark.line + 1 if mark else 1}: several documents") from None
    entries: list[Entry] = []
    if root is not None and not _is_null(root):
        _flatten(root, "", entries)
    return entries


def _is_null(node: Any) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _flatten(node: Any, prefix: str, entries: list[Entry]) -> None:
    import yaml

    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f":{key.start_mark.line + 1}: a key must be a word")
            name = str(key.value)
            if name in seen:
                raise ConfigError(f":{key.start_mark.line + 1}: {prefix}{name} stands here twice")
            seen.add(name)
            if not _is_null(value):
                _flatten(value, f"{prefix}{name}.", entries)
    elif isinstance(node, yaml.ScalarNode) and prefix:
        key = prefix.removesuffix(".")
        if node.tag == "!env" and key.endswith(".api_key"):
            key += "_env"  # as Atmos writes it: the name of the variable that holds the key
        # what has no effect is not kept either: it may be a key for a search engine
        entries.append(Entry(key, "" if _OF_ATMOS.fullmatch(key) else str(node.value), line))
    elif prefix and _OF_ATMOS.fullmatch(prefix.removesuffix(".")):
        entries.append(Entry(prefix.removesuffix("."), "", line))
    elif prefix:
        raise ConfigError(f":{line}: {prefix.removesuffix('.')}: a list is not accepted here")
    else:
        raise ConfigError(f":{line}: settings are a mapping of keys to values")


# --- changing ------------------------------------------------------------------------------------


def set_value(path: str, key: str, text: str) -> str:
    """Set one key in the user's settings file; every other byte of it stays. Returns the text as
    it stands there: a path is made absolute.

    Raises ConfigError for an unknown key, a bad value, or a file that must be edited by hand.
    """
    if key.startswith("ai.providers."):
        _take_provider(Entry(key, text, 0), "config set", dict(PRESETS))
    elif key not in BY_KEY:
        raise ConfigError(f"{key}: there is no such setting{_nearest(key, BY_KEY)}")
    else:
        value = _read(BY_KEY[key].kind, text, "config set", key)
        text = value if BY_KEY[key].kind is _PATH else text
    try:
        f"{key}{text}".encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{key}: a settings file can't hold what is not UTF-8 text.") from None
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        atomic.make_folder(folder)
        with _alone(folder):
            while not _set_once(path, target, key, text):
                pass
    except atomic.NotSynced as error:
        raise ConfigError(f"{path}: {error.strerror}.") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}. Nothing was changed.") from error
    return text


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """One ``config set`` after the other, where the file system can."""
    import fcntl

    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _set_once(path: str, target: str, key: str, text: str) -> bool:
    """False: the file was changed while we wrote, so it has to be read again."""
    before, state = b"", None
    with suppress(FileNotFoundError):
        before, state = atomic.read_file(target)
    try:
        known = [entry for entry in parse_yaml(before) if entry.key != key]
    except ConfigError as error:
        raise ConfigError(f"{path}{error}") from error
    after = _with_value(before.decode("utf-8-sig"), key.split("."), text).encode()
    try:
        written = parse_yaml(after)
    except ConfigError:
        written = []
    same = [(e.key, e.text) for e in written if e.key != key] == [(e.key, e.text) for e in known]
    if not same or [e.text for e in written if e.key == key] != [text]:
        raise ConfigError(
            f"{path}: {key} can't be set without rewriting the file; edit it by hand."
        )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    providers = dict(PRESETS)
    try:
        _take(written, path, values, origins, providers, {})
        _check_provider(values, origins, providers)
    except ConfigError as error:
        raise ConfigError(f"{error} (nothing was changed)") from error
    try:
        atomic.replace_file(target, after, must_be=state)
    except atomic.FileChanged:
        return False
    return True


def _with_value(text: str, keys: list[str], value: str) -> str:
    """A YAML text in which the value stands at the place that the keys name."""
    import json

    import yaml

    written = value if re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*", value) else json.dumps(value)
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    depth = 0
    parent: Any = None
    while isinstance(node, yaml.MappingNode) and depth < len(keys):
        found = [child for name, child in node.value if name.value == keys[depth]]
        if not found:
            break
        parent, node = node, found[0]
        depth += 1
    if depth == len(keys):
        return text[: node.start_mark.index] + written + text[node.end_mark.index :]
    column = 0
    at = len(text)
    if isinstance(node, yaml.MappingNode) and node.value:
        column = node.value[0][0].start_mark.column
        # as the first entry of the mapping that is there; comments above it stay where they are
        at = node.start_mark.index - column if depth else at
    elif depth and parent is not None:
        # a key without a value: what is added goes on the lines below it
        column = parent.value[0][0].start_mark.column + 2
        end = text.find("\n", node.start_mark.index)
        at = len(text) if end < 0 else end + 1
    lines = "".join(
        f"{' ' * (column + 2 * step)}{name}:" + (f" {written}\n" if last else "\n")
        for step, name in enumerate(keys[depth:])
        for last in [depth + step == len(keys) - 1]
    )
    before = text[:at]
    if before and not before.endswith("\n"):
        before += "\n"
    return before + lines + text[at:]

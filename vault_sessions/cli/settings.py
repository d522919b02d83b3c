"""``config`` and ``completion``."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import Any

import click

from vault_sessions.cli.door import Door, json_option, pass_door, print_json, say
from vault_sessions.formats.display import shown_url


@click.group("config")
def config_command() -> None:
    """Settings in force, where each came from, and how to change your own."""


@config_command.command("show")
@json_option
@pass_door
def show_command(door: Door, as_json: bool) -> None:
    """Every setting in force and where it came from."""
    from vault_sessions.config import BY_KEY, TABLE

    settings = _settings(door)
    rows = []
    for setting in TABLE:
        origin = settings.origins.get(setting.key)
        if setting.key == "ai.session_continue_minutes" and origin is None:
            continue
        value = plain(getattr(settings, setting.field)) if setting.field else None
        if setting.field is None:
            origin = f"{origin} (has no effect)" if origin else None
            if origin is None:
                continue
        rows.append({"key": setting.key, "value": value, "from": origin or "default"})
    rows += [
        {"key": key, "value": None, "from": f"{origin} (has no effect)"}
        for key, origin in settings.origins.items()
        if key not in BY_KEY
    ]
    if often := _too_often(settings):
        door.note(f"Warning: {often}")
    providers = [_provider(provider) for _, provider in sorted(settings.providers.items())]
    if as_json:
        print_json({"settings": rows, "providers": providers})
        return
    wide = max(len(str(row["key"])) for row in rows)
    for row in rows:
        value = "–" if row["value"] is None else _written(row["value"])
        say(f"{row['key']:<{wide}}  {value:<14}  {row['from']}")
    say("\nProviders (chat -p NAME, or ai.default_provider):")
    for provider in providers:
        parts = [provider["base_url"] or "no base_url", provider["model"] or "the server's model"]
        say(f"  {provider['name']:<12} {' · '.join(parts)} · {provider['key']}")


def _settings(door: Door) -> Any:
    """The settings of the vault, or without one where none is near."""
    from vault_sessions.config import load
    from vault_sessions.errors import VaultError
    from vault_sessions.folders import user_settings

    try:
        return door.workspace.settings
    except VaultError:
        if door.vault:
            raise
        return load(user_settings(), None, dict(os.environ))


def _too_often(settings: Any) -> str | None:
    """Would a summary come at nearly every turn?"""
    from vault_sessions.rules.compaction import CompactRules, too_often

    return too_often(
        CompactRules(
            settings.max_history_messages,
            settings.max_history_tokens,
            settings.trigger_threshold,
            settings.compact_ratio,
            settings.preserve_recent,
            settings.compact_enabled,
        )
    )


def plain(value: Any) -> Any:
    """A setting as it is written: durations in their largest whole unit."""
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
            if seconds and seconds % size == 0:
                return f"{seconds // size}{unit}"
        return f"{seconds}s" if seconds else "0"
    return value


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _provider(provider: Any) -> dict[str, Any]:
    """What may be shown of a provider: never a key, nor what a header holds."""
    if provider.api_key_env:
        there = "set" if os.environ.get(provider.api_key_env) else "not set"
        key = f"key in {provider.api_key_env} ({there})"
    else:
        key = "key from a command" if provider.api_key_command else "no key needed"
    return {
        "name": provider.name,
        "base_url": shown_url(provider.base_url) if provider.base_url else None,
        "model": provider.model,
        "key": key,
        "timeout_seconds": provider.timeout_seconds,
        "context_tokens": provider.context_tokens,
        "extra_headers": [name for name, _ in provider.extra_headers],
    }


@config_command.command("path")
@json_option
@pass_door
def path_command(door: Door, as_json: bool) -> None:
    """Where your own settings file is, and the vault's."""
    from vault_sessions.folders import user_settings
    from vault_sessions.vault import SETTINGS, find_vault, open_vault

    # without reading settings: this is asked for when they are wrong
    paths: dict[str, str | None] = {"user": user_settings(), "vault": None}
    folder = os.environ.get("VAULT_SESSIONS_FOLDER") or "atlas"
    if root := door.vault or find_vault(os.getcwd(), folder):
        paths["vault"] = open_vault(root, folder).absolute(SETTINGS)
    if as_json:
        print_json(paths)
        return
    for path in paths.values():
        if path:
            sys.stdout.write(path + "\n")


@config_command.command("set")
@click.argument("key")
@click.argument("value")
@json_option
@pass_door
def set_command(door: Door, key: str, value: str, as_json: bool) -> None:
    """Set KEY to VALUE in your own settings file; the rest of it stays as it is."""
    from vault_sessions.config import set_value
    from vault_sessions.folders import user_settings

    value = set_value(user_settings(), key, value)
    if as_json:
        print_json({"key": key, "value": value, "path": user_settings()})
    else:
        say(f"{key} = {value} ({user_settings()})")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """A completion script: eval "$(vault-sessions completion bash)"."""
    from click.shell_completion import get_completion_class

    from vault_sessions.cli import PROGRAM, main

    found = get_completion_class(shell)
    assert found is not None
    script = found(main, {}, PROGRAM, "_VAULT_SESSIONS_COMPLETE")
    # source() of bash asks the installed bash for its version; its template needs no asking
    sys.stdout.write(script.source_template % script.source_vars())

"""Write the pages that are made from the code: docs/settings.md and docs/commands.md.

``--check`` writes nothing and fails when a page is not what it would be.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vault_sessions.cli import COMMANDS, PROGRAM, main
from vault_sessions.config import PRESETS, TABLE, Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"

SETTINGS_HEAD = """\
# Settings

<!-- Made by scripts/docs.py from the table in vault_sessions/config.py. -->

YAML, read in this order, later wins: defaults, your own `config.yaml`
(`vault-sessions config path` says where), the vault's `.vault-sessions/config.yaml`, the
environment, flags. `vault-sessions config show` lists what is in force and where it came from;
`vault-sessions config set KEY VALUE` changes your own file and leaves the rest of it as it is.

In your own file an unknown key or a bad value is an error that names file, line, key and what is
accepted. In the vault's file an unknown key is a warning: another machine may be newer. A vault's
file can't set what is marked *yours only*: a cloned vault must not run a program or send a key
anywhere.

| key | default | accepts | environment | |
|---|---|---|---|---|
"""

PROVIDERS_HEAD = """
## Providers

`ai.providers.<name>` (yours only): `base_url`, `api_key_env` (the name of the variable that holds
the key), `api_key_command` (a program that prints it), `model`, `timeout_seconds` (60),
`context_tokens`, `extra_headers`. Any server that speaks the OpenAI protocol will do. These are
there already, each can be overridden:

| name | base_url | key from | model |
|---|---|---|---|
"""

OPTIONS_TAIL = """
## Options as variables

Every option of a command can be given as `VAULT_SESSIONS_<COMMAND>_<OPTION>`, for example
`VAULT_SESSIONS_LIST_LIMIT=20`; not those that do away with a question or a file (`--yes`,
`--force`, `--overwrite`, `--fix`, `--purge`). `VAULT_SESSIONS_CONFIG`, `VAULT_SESSIONS_CACHE` and
`VAULT_SESSIONS_STATE` name other folders for your settings, the mirror, and locks and logs.
"""


COMMANDS_HEAD = """\
# Commands

<!-- Made by scripts/docs.py from the help pages. -->

`--vault DIR`, `-v`, `-q` and `-h` stand before or after every command. SESSION is a name, an id,
or a unique beginning of an id. Results go to stdout, all else to stderr. Exit codes: 0 done, 1 an
error (one or two lines that begin with `Error:`), 2 wrong usage, 130 interrupted.
"""


def settings_page() -> str:
    """docs/settings.md."""
    rows = []
    for setting in TABLE:
        default = getattr(Settings(), setting.field) if setting.field else None
        shown = "" if default is None else f"`{_plain(default)}`"
        variable = f"`VAULT_SESSIONS_{setting.variable}`" if setting.variable else ""
        meaning = setting.meaning + (" (*yours only*)" if setting.user_only else "")
        rows.append(
            f"| `{setting.key}` | {shown} | {setting.kind.accepts} | {variable} | {meaning} |"
        )
    providers = [
        f"| `{p.name}` | `{p.base_url}` | {f'`{p.api_key_env}`' if p.api_key_env else 'no key'} | "
        f"{f'`{p.model}`' if p.model else 'the first one the server lists'} |"
        for p in PRESETS.values()
    ]
    return (
        SETTINGS_HEAD
        + "\n".join(rows)
        + "\n"
        + PROVIDERS_HEAD
        + "\n".join(providers)
        + "\n"
        + (OPTIONS_TAIL)
    )


def _plain(value: object) -> str:
    from vault_sessions.cli.settings import plain

    value = plain(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def commands_page() -> str:
    """docs/commands.md: every help page."""
    parts = [COMMANDS_HEAD]
    root = click.Context(
        main, info_name=PROGRAM, max_content_width=96, help_option_names=["-h", "--help"]
    )
    for name in COMMANDS:
        command = main.get_command(root, name)
        assert command is not None
        parts += _help(command, root, name)
    return "\n".join(parts)


def _help(command: click.Command, parent: click.Context, name: str) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=96)
    text = command.get_help(context)
    pages = [f"## {context.command_path.removeprefix(PROGRAM + ' ')}\n\n```\n{text}\n```\n"]
    if isinstance(command, click.Group):
        for sub, child in command.commands.items():
            pages += _help(child, context, sub)
    return pages


def write(check: bool) -> list[str]:
    """Write both pages, or say which are not up to date."""
    stale = []
    for name, text in (("settings.md", settings_page()), ("commands.md", commands_page())):
        path = DOCS / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    return stale


if __name__ == "__main__":
    found = write("--check" in sys.argv)
    if found and "--check" in sys.argv:
        sys.exit(f"not up to date: {', '.join(found)} (run scripts/docs.py)")

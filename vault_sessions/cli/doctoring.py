"""``doctor``: what is wrong in the vault, and its mending."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from vault_sessions.cli.door import Door, SessionName, json_option, pass_door, print_json, say
from vault_sessions.errors import VaultError
from vault_sessions.formats.display import safe_line

if TYPE_CHECKING:
    from vault_sessions.repair.doctor import Finding, Fixed


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Mend what can be mended; originals go to the trash.")
@click.option(
    "--forget",
    type=SessionName(),
    metavar="SESSION",
    help="Accept that messages are missing from SESSION.",
)
@json_option
@pass_door
def doctor_command(door: Door, fix: bool, forget: str | None, as_json: bool) -> int:
    """Everything that is wrong in the files, the mirror, git's set-up and the locks.

    A line for each: path:line:column: code: what is wrong and what to do. Exit code 1 when errors
    or warnings are left; notes do not count.
    """
    workspace = door.workspace
    if forget is not None:
        if not workspace.repair.forget_loss(forget):
            raise VaultError(f"No messages are missing from {forget!r}.")
        door.note(f"Accepted: the messages that are missing from {forget} stay so.")
    failed = False
    if fix:
        for fixed in workspace.repair.mend():
            failed |= _tell_fixed(door, fixed, as_json)
    found = workspace.repair.examine()
    if fix and any(one.problem.code == "mirror-differs" for one in found):
        workspace.reindex()
        (door.note if as_json else say)("made a new mirror from the files")
        found = workspace.repair.examine()
    if as_json:
        print_json([_fields(one) for one in found])
    else:
        for one in found:
            where = f"{safe_line(one.path)}:{one.problem.line}:{one.problem.column}"
            say(f"{where}: {one.problem.code}: {safe_line(one.problem.message)}")
        say(_count_line(found))
    return 1 if failed or any(one.problem.severity != "note" for one in found) else 0


def _tell_fixed(door: Door, fixed: Fixed, as_json: bool) -> bool:
    """Say what was done to a file; True: something could not be done."""
    if fixed.done:
        kept = f" (the original is {fixed.kept})" if fixed.kept else ""
        text = safe_line(f"mended {fixed.path}: {'; '.join(fixed.done)}{kept}")
        (door.note if as_json else say)(text)
    if fixed.error is not None:
        click.echo(f"Error: {safe_line(fixed.error)}", err=True)
    return fixed.error is not None


def _fields(one: Finding) -> dict[str, object]:
    found = one.problem
    return {
        "path": one.path,
        "line": found.line,
        "column": found.column,
        "code": found.code,
        "severity": found.severity,
        "message": found.message,
        "fixable": one.fixable,
    }


def _count_line(found: list[Finding]) -> str:
    """``2 errors, 1 warning, 3 notes in 4 files; doctor --fix mends 2``."""
    if not found:
        return "Nothing is wrong."
    count = Counter(one.problem.severity for one in found)
    parts = [
        f"{count[severity]} {severity}" + ("s" if count[severity] != 1 else "")
        for severity in ("error", "warning", "note")
        if count[severity]
    ]
    files = len({one.path for one in found})
    fixable = sum(one.fixable for one in found)
    mends = f"; doctor --fix mends {fixable}" if fixable else ""
    return f"{', '.join(parts)} in {files} file{'s' if files != 1 else ''}{mends}"

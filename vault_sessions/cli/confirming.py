"""The question before memory is changed: old → new, ``Save this correction? [y/N/e]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import click

from vault_sessions.formats.display import safe, safe_line

if TYPE_CHECKING:
    from vault_sessions.model import Proposal


class Teller(Protocol):
    """The door, as far as it is needed here."""

    converses: bool

    def note(self, text: str) -> None:
        """A line for the person."""


QUESTION = "Save this correction? [y/N/e] "


def confirm(door: Teller, proposal: Proposal) -> str | None:
    """Show a change of memory and ask: the text to save, ``""`` to take the old one out, None for
    no. Only in a conversation on a terminal; elsewhere it is told on stderr, and the answer is no.

    Ctrl-C goes through.
    """
    if not can_ask(door):
        door.note(f"Not saved, as nobody could be asked: {described(proposal)}")
        return None
    try:
        return asked(proposal)
    except EOFError:
        click.echo(err=True)
        return None
    except KeyboardInterrupt:
        click.echo(err=True)
        raise


def can_ask(door: Teller) -> bool:
    """Is there a person at a terminal, in a conversation?"""
    return door.converses and sys.stdin.isatty() and sys.stderr.isatty()


def asked(proposal: Proposal) -> str | None:
    """As ``confirm``, where somebody can be asked. Raises EOFError: they leave instead."""
    for line in _shown(proposal):
        click.echo(line, err=True)
    with _no_history():
        while True:
            said = input(QUESTION).strip()
            match said.casefold():
                case "y" | "yes":
                    return proposal.new or ""
                case "e" | "edit":
                    return _edited(proposal.new or proposal.old or "")
                case "" | "n" | "no":
                    return None
                case _:
                    _remember(said)
                    click.echo("y saves it, n does not, e lets you edit it first.", err=True)


def described(proposal: Proposal) -> str:
    """A change of memory on one line: ``facts.md › Facts: “old” → “new”``."""
    where = _where(proposal)
    old, new = (_quoted(text) for text in (proposal.old, proposal.new))
    if old is None:
        return f"{where}: {new}"
    return f"{where}: {old} → {new or '(taken out)'}"


def _where(proposal: Proposal) -> str:
    section = f" › {proposal.section}" if proposal.section else ""
    return safe_line(f"{proposal.file}{section}")


def _quoted(text: str | None) -> str | None:
    return f"“{safe_line(text)}”" if text else None


def _shown(proposal: Proposal) -> list[str]:
    """The change as the owner is to read it, whole."""
    lines = [_where(proposal)]
    for name, text in (("old", proposal.old), ("new", proposal.new)):
        said = safe(text).strip().replace("\n", "\n       ") if text else None
        if said or name == "new":
            lines.append(f"  {name}: {said or '(taken out)'}")
    return lines


def _edited(text: str) -> str | None:
    """The text as the person changes it: on the line, or in ``$EDITOR`` where it has several; None
    when nothing is left of it."""
    text = safe(text).strip()
    if "\n" in text:
        try:
            changed = click.edit(text)
        except click.ClickException as error:  # no such editor
            click.echo(f"Error: {safe(error.format_message())}", err=True)
            return None
        return (changed or "").strip() or None
    try:
        import readline
    except ImportError:
        return input("new text: ").strip() or None
    readline.set_startup_hook(lambda: readline.insert_text(text))
    try:
        return input("  new: ").strip() or None
    finally:
        readline.set_startup_hook()


@contextmanager
def _no_history() -> Iterator[None]:
    """Answers are no messages: the arrow keys don't bring them back."""
    try:
        import readline
    except ImportError:
        yield
        return
    readline.set_auto_history(False)
    try:
        yield
    finally:
        readline.set_auto_history(True)


def _remember(said: str) -> None:
    """What was typed before the question came is not lost."""
    with suppress(ImportError):
        import readline

        readline.add_history(said)

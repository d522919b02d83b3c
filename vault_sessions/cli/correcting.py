"""Corrections of memory in line mode: what was said in passing is shown, old and new, and asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vault_sessions.cli import confirming
from vault_sessions.cli.door import Door
from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import safe

if TYPE_CHECKING:
    from vault_sessions.model import Proposal

OFFERS = 5
"""So many changes that wait for an answer are asked about at the start of a chat."""


def after_turn(door: Door, text: str) -> None:
    """Ask about the correction in what was just said, if there is one; where nobody can be asked,
    a note on stderr says what was not saved."""
    workspace = door.workspace
    try:
        proposal = workspace.corrections.find(text)
    except VaultSessionsError as error:  # the answer was given all the same
        door.note(f"Warning: {error}")
        return
    if proposal is None:
        return
    answered, answer = _asked(door, proposal)
    if answer is not None:
        _saved(door, proposal, answer)
    elif answered:
        workspace.corrections.decline(proposal)


def ask_offers(door: Door) -> None:
    """Ask about the changes of memory that came up in the background."""
    if not confirming.can_ask(door):
        return
    offers = door.workspace.corrections.offers()
    if not offers:
        return
    door.note("From earlier conversations, to be confirmed:")
    for offer in offers[:OFFERS]:
        answered, answer = _asked(door, offer)
        if not answered:
            return
        try:
            if answer is not None:
                _saved(door, offer, answer)
        except VaultSessionsError as error:
            click.echo(f"Error: {safe(str(error))}", err=True)
        else:
            door.workspace.corrections.settle(offer)
    if len(offers) > OFFERS:
        door.note(f"{len(offers) - OFFERS} more will be asked about next time.")


def _asked(door: Door, proposal: Proposal) -> tuple[bool, str | None]:
    """Has the person answered, and what? Ctrl-C and Ctrl-D are no answer."""
    if not confirming.can_ask(door):
        return False, confirming.confirm(door, proposal)
    try:
        return True, confirming.asked(proposal)
    except (KeyboardInterrupt, EOFError):
        click.echo("\n(not saved)", err=True)
        return False, None


def _saved(door: Door, proposal: Proposal, answer: str) -> None:
    change = door.workspace.corrections.save(proposal, answer)
    what = "taken out" if change.new is None else "added" if change.old is None else "changed"
    door.note(f"Saved: {change.file}, {what}. `vault-sessions memory undo` takes it back.")

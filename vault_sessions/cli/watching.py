"""``watch``: keeps the mirror fresh and says what changed."""

from __future__ import annotations

import signal
import sys
from functools import partial
from queue import Empty, SimpleQueue

import click

from vault_sessions.assistant.stop import SIGNAL_SECONDS
from vault_sessions.background import Background
from vault_sessions.cli.door import Door, json_option, pass_door, print_json, say
from vault_sessions.cli.telling import tell_tidied
from vault_sessions.errors import VaultError
from vault_sessions.formats.display import safe_json, safe_line

LOOK_SECONDS = 60.0
"""So often the sessions are looked after: endings whose time has come, topics that are missing."""


@click.command("watch")
@click.option("--once", is_flag=True, help="Reconcile, end what is due, and leave.")
@json_option
@pass_door
def watch_command(door: Door, once: bool, as_json: bool) -> None:
    """Keep the mirror fresh while files are edited, a line for each change; one a vault.

    Ends the sessions whose time has come and makes missing topics, too.
    Searches and lists elsewhere are then as fast with 20,000 sessions as with ten. With --json
    each change is a document on a line of its own (with --once: one list).
    """
    if once:
        _once(door, as_json)
        return
    _leave_in_order()
    heard: SimpleQueue[tuple[str, str]] = SimpleQueue()
    live = door.workspace.live(say=door.note, heard=lambda kind, text: heard.put((kind, text)))
    if not live.take():
        watcher = door.workspace.state.watcher()
        who = f"Process {watcher.pid}" if watcher is not None and watcher.pid else "Another process"
        raise VaultError(
            f"{who} is watching this vault already (watch, or an open chat); one is enough."
        )
    another = partial(door.workspace.another, follows=True)
    behind = Background(another, every=LOOK_SECONDS, say=door.note)
    try:
        tell_tidied(door)
        live.start()
        while True:
            try:
                kind, text = heard.get(timeout=SIGNAL_SECONDS)
            except Empty:
                continue
            if kind == "ready":
                door.note(f"Watching {door.workspace.vault.root}. Ctrl-C ends it.")
                behind.look()
            else:
                _tell(kind, text, as_json)
    finally:
        behind.finish(0)
        live.stop()


def _once(door: Door, as_json: bool) -> None:
    heard: list[tuple[str, str]] = []
    door.workspace.live(say=door.note, heard=lambda kind, text: heard.append((kind, text))).once()
    if as_json:
        print_json([{"change": kind, "what": text} for kind, text in heard])
    for kind, text in () if as_json else heard:
        _tell(kind, text, as_json)
    sys.stdout.flush()
    for ended in door.workspace.endings.look_after():
        if ended.error is not None:
            door.note(f"The end of {safe_line(ended.label)!r} waits: {ended.error}")
        elif ended.status == "ended":
            door.note(f"Ended: {safe_line(ended.label)}")


def _tell(kind: str, text: str, as_json: bool) -> None:
    """A line on stdout, at once: somebody may be reading it through a pipe."""
    if as_json:
        import orjson

        click.echo(safe_json(orjson.dumps({"change": kind, "what": text})).decode())
    else:
        say(f"{kind} {safe_line(text)}")
    sys.stdout.flush()


def _leave_in_order() -> None:
    """A kill or a closed window ends the program as Ctrl-C does: no cookie, no lock is left."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, leave)

"""``merge-driver`` and ``textconv``: what git runs once ``init --git`` has told it to. Hidden."""

from __future__ import annotations

import sys

import click

_NOTES = 5


@click.command(
    "merge-driver",
    hidden=True,
    # the path may begin with a dash; what stands before it are names of git's own
    context_settings={"allow_interspersed_args": False},
)
@click.argument("base")
@click.argument("ours")
@click.argument("theirs")
@click.argument("path")
def merge_driver_command(base: str, ours: str, theirs: str, path: str) -> int:
    """Merge three files; the outcome takes the place of OURS. Exit code 1: not to be merged so.

    Then OURS is as it was and nothing is said: git goes on to the ordinary merge, with markers.
    """
    import gc

    from vault_sessions import atomic

    gc.disable()  # a long transcript is a hundred thousand objects, none of which will be in a ring
    try:
        versions = [atomic.read_file(name)[0] for name in (base, ours, theirs)]
        merged = _merged(path, versions[0] or None, versions[1], versions[2])
        if merged is None:
            return 1
        data, notes = merged
        if data != versions[1]:
            # in one step: what follows a failure must find our side whole
            atomic.replace_file(ours, data)
    except atomic.NotSynced:
        pass  # nor does git wait for the disk
    except Exception:  # noqa: BLE001  whatever it is: with markers nothing is lost
        return 1
    else:
        from vault_sessions.formats.display import safe_line

        for note in notes[:_NOTES]:
            click.echo(safe_line(f"{path}: {note}"), err=True)
        if len(notes) > _NOTES:
            click.echo(safe_line(f"{path}: and {len(notes) - _NOTES} more of the kind"), err=True)
    return 0


def _merged(
    path: str, base: bytes | None, ours: bytes, theirs: bytes
) -> tuple[bytes, tuple[str, ...]] | None:
    """The outcome and its notes, by what the path says the file is; None: git is to merge it.

    ``base`` None: git gives an empty one where both sides added the file. Is it a file that was
    empty, no line of it is lost either.

    Of a session's metadata only what its own versions say: git merges the transcript before or
    after, and puts neither in place until both are done. An end that came before the other side's
    last message is seen when the session is read.
    """
    folder, _, name = path.rpartition("/")
    if folder.endswith("/memory/sessions") and name.endswith(".meta.json"):
        from vault_sessions.formats.merge_meta import merge_meta

        merged = merge_meta(base, ours, theirs)
        # they tell of a side that can't be read, or is too new, and so was left out
        return None if merged.notes else merged
    if folder.endswith("/memory/sessions") and name.endswith(".jsonl"):
        from vault_sessions.formats.merge import merge_transcript

        return merge_transcript(base, ours, theirs)
    if name == "changes.jsonl":
        from vault_sessions.formats.merge import merge_changes

        return merge_changes(base, ours, theirs)
    if name in ("facts.md", "user.md"):
        from vault_sessions.formats.merge_memory import merge_bullets

        return merge_bullets(base, ours, theirs)
    return None


@click.command("textconv", hidden=True)
@click.argument("file")
def textconv_command(file: str) -> int:
    """Print a transcript as a conversation, for ``git diff``. Exit code 1: it can't be read."""
    from vault_sessions import atomic

    try:
        text = _conversation(atomic.read_file(file)[0])
    except Exception:  # noqa: BLE001  whatever it is: git is to show the bytes
        return 1
    sys.stdout.buffer.write(text.encode(errors="replace"))
    return 0


_HEAD = ("role", "created_at", "model", "status", "id")
_LEFT_OUT = {*_HEAD, "content", "invocation_id", "provider", "usage"}


def _conversation(data: bytes) -> str:
    """Each message: who and when, and indented what was said. Any other line as it is."""
    import orjson

    from vault_sessions.formats.display import safe, safe_line
    from vault_sessions.formats.transcript import parse

    messages = {message.line: message for message in parse(data).messages}
    shown: list[str] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        message = messages.get(number)
        if message is None:
            if raw.strip():
                shown.append(safe(raw.decode(errors="replace").strip()) + "\n")
            continue
        fields = message.fields
        head = [fields[key] for key in _HEAD if isinstance(fields.get(key), str)]
        said = safe(message.text).split("\n")
        more = {key: value for key, value in fields.items() if key not in _LEFT_OUT}
        if more:
            said.append(safe(orjson.dumps(more).decode()))
        indented = "".join(f"  {line}".rstrip() + "\n" for line in said)
        shown.append(f"{safe_line(' · '.join(head))}\n{indented}")
    return "\n".join(shown)

"""The vault's folder: the only module that writes vault files.

Paths are absolute inside, from the vault's root with ``/`` outside. Nothing outside the vault is
read or written through a symbolic link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from vault_sessions import atomic
from vault_sessions.errors import SessionGone, VaultError
from vault_sessions.formats.ids import is_session_id
from vault_sessions.formats.meta import UnreadableMeta, changed_meta, meta_fields
from vault_sessions.formats.names import META, TRANSCRIPT, on_disk, storable
from vault_sessions.formats.transcript import message_line

_NO_NAMES = ("", ".", "..")
MARK = ".vault-sessions"
SETTINGS = f"{MARK}/config.yaml"

_CONFIG_TEXT = """\
# Settings that travel with this vault. Everything is optional; the values shown are the defaults.
# Never in here: keys, passwords, commands, URLs (see: vault-sessions config path).

# ai:
#   default_provider: offline       # openai, anthropic, gemini, openrouter, ollama, lmstudio, …
#   sessions:
#     resume_window: 4h             # come back within it and the conversation goes on
#     scope: workspace              # workspace, directory or vault
"""
_PERSONA_TEXT = """\
You are a thoughtful, concise assistant. You remember what is in the vault and say where you know
something from.
"""
_USER_TEXT = "# About me\n\n## Preferences\n\n## Snapshot\n"
_FACTS_TEXT = (
    "# Facts\n\n## Facts\n\n## Goals\n\n## Preferences\n\n## Relationships\n\n## Projects\n"
)


class Vault(NamedTuple):
    """An open vault: its root (absolute) and the name of the assistant's folder in it."""

    root: str
    folder: str = "atlas"

    @property
    def sessions(self) -> str:
        """The folder of transcripts and metadata, from the root."""
        return f"{self.folder}/memory/sessions"

    @property
    def long_term(self) -> str:
        """The folder of facts and summaries, from the root."""
        return f"{self.folder}/memory/long-term"

    @property
    def changes(self) -> str:
        """The log of every edit that we made to memory, from the root."""
        return f"{self.folder}/memory/changes.jsonl"

    @property
    def identity(self) -> str:
        """The folder of persona.md and user.md, from the root."""
        return f"{self.folder}/identity"

    @property
    def skills(self) -> str:
        """The folder of skills, from the root."""
        return f"{self.folder}/skills"

    def absolute(self, path: str) -> str:
        """The absolute path of a path from the root."""
        return os.path.join(self.root, on_disk(path))

    def transcript(self, session_id: str) -> str:
        """A transcript's path, from the root. Raises VaultError for what can't be an id."""
        return self._session_file(session_id, TRANSCRIPT)

    def meta(self, session_id: str) -> str:
        """A meta file's path, from the root. Raises VaultError for what can't be an id."""
        return self._session_file(session_id, META)

    def _session_file(self, session_id: str, suffix: str) -> str:
        if not is_session_id(session_id):
            raise VaultError(f"{session_id!r} can't be the id of a session.")
        return f"{self.sessions}/{session_id}{suffix}"


def find_vault(start: str, folder: str = "atlas") -> str | None:
    """The nearest folder upward from ``start`` that is a vault."""
    here = os.path.abspath(start)
    while True:
        if os.path.isdir(os.path.join(here, MARK)) or os.path.isdir(
            os.path.join(here, folder, "memory")
        ):
            return here
        parent = os.path.dirname(here)
        if parent == here:
            return None
        here = parent


def open_vault(root: str, folder: str = "atlas") -> Vault:
    """A vault that exists. Raises VaultError when it doesn't, or leads out of itself by links."""
    root = os.path.abspath(os.path.expanduser(root))
    vault = Vault(root, folder)
    if not os.path.isdir(root):
        raise VaultError(f"There is no folder {root}.\nMake a vault: vault-sessions init {root}")
    if not os.path.isdir(vault.absolute(folder)) and not os.path.isdir(vault.absolute(MARK)):
        raise VaultError(f"{root} is no vault.\nMake it one: vault-sessions init {root}")
    for path in (vault.sessions, vault.long_term, vault.identity, vault.skills):
        check_inside(vault, path)
    return vault


def check_inside(vault: Vault, path: str) -> str:
    """The absolute path, if it stays inside the vault when links are followed; else VaultError."""
    if not _is_without_links(vault, path):
        real_path_inside(vault, path)
    return vault.absolute(path)


def _is_without_links(vault: Vault, path: str) -> bool:
    """Is all of it there, and none of it a link? Then it is inside, wherever the vault itself is;
    to follow every link would take a fifth of the time of an append."""
    here = vault.root
    for part in on_disk(path).split("/"):
        here = f"{here}/{part}"
        try:
            if part in _NO_NAMES or stat.S_ISLNK(os.lstat(here).st_mode):
                return False
        except OSError:
            return False
    return True


def real_path_inside(vault: Vault, path: str) -> str:
    """As ``check_inside``, but the place to which the links lead."""
    real, root = os.path.realpath(vault.absolute(path)), os.path.realpath(vault.root)
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        raise VaultError(f"{path} leads out of the vault (to {real}); it is not followed.")
    return real


def make_vault(root: str, folder: str = "atlas") -> list[str]:
    """Make what a vault lacks; never changes what is there. Returns what was made, from the root.

    Raises VaultError.
    """
    vault = Vault(os.path.abspath(os.path.expanduser(root)), folder)
    made = []
    folders = (MARK, vault.identity, vault.skills, vault.long_term, vault.sessions)
    files = {
        SETTINGS: _CONFIG_TEXT,
        f"{MARK}/.gitignore": "trash/\n",
        f"{vault.identity}/persona.md": _PERSONA_TEXT,
        f"{vault.identity}/user.md": _USER_TEXT,
        f"{vault.long_term}/facts.md": _FACTS_TEXT,
    }
    try:
        made += [f"{path}/" for path in folders if atomic.make_folder(check_inside(vault, path))]
        for path, text in files.items():
            if not os.path.lexists(vault.absolute(path)):
                atomic.replace_file(vault.absolute(path), text.encode())
                made.append(path)
    except OSError as error:
        raise VaultError(f"{error.filename or root}: {error.strerror}; no vault made.") from error
    return made


def append_message(
    vault: Vault, session_id: str, fields: dict[str, Any], *, create: bool
) -> tuple[atomic.Appended, bytes]:
    """Append one message; on disk when this returns. The caller holds the session's lock.

    Returns where the line landed and its bytes. Raises SessionGone when the file is not there and
    may not be made, VaultError when it can't be written; then nothing of the line is left.
    """
    path = vault.transcript(session_id)
    check_inside(vault, vault.sessions)  # it may have become a link since the vault was opened
    line = message_line(fields)
    try:
        if create:
            atomic.make_folder(vault.absolute(vault.sessions))
        return atomic.append_line(vault.absolute(path), line, create=create), line
    except FileNotFoundError as error:
        raise SessionGone(f"{path} is gone; it is not made again.") from error
    except OSError as error:
        what = "answer" if fields["role"] == "assistant" else "message"
        raise VaultError(f"{path}: {error.strerror}. The {what} was not saved.") from error


def append_lines(vault: Vault, session_id: str, lines: Iterable[bytes]) -> None:
    """Append whole lines as they are, all or none; on disk when this returns.

    The caller holds the session's lock. Raises SessionGone, VaultError.
    """
    path = vault.transcript(session_id)
    data = b"".join(line + b"\n" for line in lines)
    try:
        atomic.append_line(vault.absolute(path), data, create=False)
    except FileNotFoundError as error:
        raise SessionGone(f"{path} is gone; it is not made again.") from error
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}. Nothing was put back.") from error


def read_transcript(vault: Vault, session_id: str) -> tuple[bytes, os.stat_result]:
    """A transcript's bytes and state. Raises FileNotFoundError, VaultError."""
    path = vault.transcript(session_id)
    try:
        return atomic.read_file(vault.absolute(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}.") from error


def read_meta(vault: Vault, session_id: str) -> bytes | None:
    """A meta file's bytes; None where there is none. Raises VaultError."""
    path = vault.meta(session_id)
    try:
        return atomic.read_file(vault.absolute(path), limit=atomic.LARGEST_TEXT)[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}.") from error


def change_meta(
    vault: Vault,
    session_id: str,
    changes: dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    """Set our own keys in a meta file (None removes one); the rest stays, byte for byte.

    ``changes`` may be made from what the file says at that moment. The caller holds the session's
    lock. Raises VaultError: unreadable, newer, or not writable.
    """
    path = vault.meta(session_id)
    check_inside(vault, vault.sessions)
    absolute = vault.absolute(path)
    for _ in range(20):
        try:
            try:
                data, state = atomic.read_file(absolute)
            except FileNotFoundError:
                wanted = changes({}) if callable(changes) else changes
                new = changed_meta(None, {"version": 1, "id": session_id, **wanted})
                atomic.make_folder(os.path.dirname(absolute))
                return atomic.replace_file(absolute, new)
            check_version(path, data)
            wanted = changes(meta_fields(data)) if callable(changes) else changes
            new = changed_meta(data, wanted)
            if new == data:
                return None
            return atomic.replace_file(absolute, new, must_be=state)
        except atomic.FileChanged:
            continue
        except UnreadableMeta as error:
            raise VaultError(
                f"{path}: not a readable JSON object, so it is not changed ({error}).\n"
                f"Mend it: vault-sessions edit {session_id}, or delete that file"
            ) from error
        except atomic.NotSynced as error:
            raise VaultError(f"{path}: {error.strerror}.") from error
        except OSError as error:
            raise VaultError(f"{path}: {error.strerror}. Nothing was changed.") from error
    raise VaultError(f"{path} is being changed by another program again and again; try later.")


def check_version(path: str, data: bytes) -> None:
    """Raises VaultError for metadata that a newer program wrote."""
    import orjson

    from vault_sessions.formats.meta import VERSION

    try:
        version = orjson.loads(data.removeprefix(b"\xef\xbb\xbf")).get("version", 1)
    except (ValueError, AttributeError):
        return
    if isinstance(version, int) and version > VERSION:
        raise VaultError(
            f"{path} is of version {version}, newer than this program; it is not changed.\n"
            f"Update vault-sessions to write to it."
        )


def read_text(vault: Vault, path: str) -> str | None:
    """A Markdown file of the vault, from the root; None where there is none.

    Links inside the vault are followed. Bytes that are not UTF-8 are replaced for reading.
    Raises VaultError.
    """
    data = read_bytes(vault, path)
    return None if data is None else data.decode("utf-8-sig", "replace")


def read_bytes(vault: Vault, path: str) -> bytes | None:
    """As read_text, undecoded."""
    try:
        # the place that was checked, wherever a link points by now
        return atomic.read_file(real_path_inside(vault, path), limit=atomic.LARGEST_TEXT)[0]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}.") from error


def list_names(vault: Vault, path: str) -> list[str]:
    """The names in a folder; empty if it is not there. Raises VaultError."""
    try:
        return [storable(name) for name in atomic.names_in(vault.absolute(path))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}.") from error


def is_link_inside(vault: Vault, path: str) -> bool:
    """Is it a symbolic link to a regular file that is in the vault too?"""
    try:
        return stat.S_ISREG(os.stat(check_inside(vault, path)).st_mode)
    except (OSError, VaultError):
        return False


# --- for git -------------------------------------------------------------------------------------

ATTRIBUTES = ".gitattributes"


def add_attributes(vault: Vault, lines: Iterable[tuple[str, str]]) -> bool:
    """Add what ``.gitattributes`` lacks of these lines (pattern, attributes), at its end; False if
    it lacks none.

    A line whose pattern stands there already with something of ours is not added: the owner may
    have changed it. Line ends are the file's own. Raises VaultError.
    """
    absolute = vault.absolute(ATTRIBUTES)
    wanted = [(pattern.encode(errors="surrogateescape"), how.encode()) for pattern, how in lines]
    for _ in range(20):
        try:
            try:
                data, state = atomic.read_file(absolute)
            except FileNotFoundError:
                data, state = b"", None
            new = _with_attributes(data, wanted)
            if new != data:
                atomic.replace_file(absolute, new, must_be=state)
            return new != data
        except atomic.FileChanged:
            continue
        except OSError as error:
            raise VaultError(f"{ATTRIBUTES}: {error.strerror}. Nothing was changed.") from error
    raise VaultError(f"{ATTRIBUTES} is being changed by another program again and again.")


def _with_attributes(data: bytes, wanted: list[tuple[bytes, bytes]]) -> bytes:
    end = b"\r\n" if b"\r\n" in data else b"\n"
    ours = [there.strip() for there in data.split(b"\n") if b"vault-sessions" in there]
    added = [
        pattern + b" " + how + end
        for pattern, how in wanted
        if not any(there.startswith(pattern + b" ") for there in ours)
    ]
    if added and data and not data.endswith(b"\n"):
        added.insert(0, end)
    return data + b"".join(added)


# --- asking the process that watches -------------------------------------------------------------

COOKIE = ".vs-cookie-"


def folders_now(vault: Vault) -> str:
    """Which folders these are now, by device and inode: another text when one was replaced."""
    parts = []
    for path in ("", vault.folder, vault.sessions, vault.long_term, vault.identity):
        try:
            status = os.stat(os.path.join(vault.root, path))
            parts.append(f"{status.st_dev}:{status.st_ino}")
        except OSError:
            parts.append("-")
    return " ".join(parts)


def leave_cookie(vault: Vault) -> str | None:
    """Put an empty file beside the transcripts, for the watching process to take away once it has
    heard of everything before it. Its name; None where nothing can be written."""
    name = f"{COOKIE}{os.getpid()}-{os.urandom(6).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path = os.path.join(check_inside(vault, vault.sessions), name)
        os.close(os.open(path, flags, atomic.FILE_MODE))
    except (OSError, VaultError):
        return None
    return name


def cookie_there(vault: Vault, name: str) -> bool:
    """Has nobody taken it away yet?"""
    return os.path.lexists(os.path.join(vault.absolute(vault.sessions), name))


def take_cookie(vault: Vault, name: str) -> None:
    """Take a cookie away; a file that is not empty is none."""
    try:
        path = os.path.join(check_inside(vault, vault.sessions), name)
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and not status.st_size:
            os.unlink(path)
    except (OSError, VaultError):
        pass


def cookies(vault: Vault) -> list[str]:
    """The cookies that are there."""
    try:
        names = atomic.names_in(vault.absolute(vault.sessions))
    except OSError:
        return []
    return [name for name in names if name.startswith(COOKIE)]


def write_file(vault: Vault, path: str, data: bytes, *, must_be: os.stat_result | None) -> None:
    """Put a whole file (from the root) in the place of one that was read in this state, or where
    none is (None). The caller holds the lock.

    Raises FileChanged (an OSError) when another is there by now, VaultError, OSError.
    """
    absolute = vault.absolute(path)
    check_inside(vault, os.path.dirname(path))
    if must_be is None:
        atomic.create_file(absolute, data)
    else:
        atomic.replace_file(absolute, data, must_be=must_be)


def make_session(vault: Vault, session_id: str, transcript: bytes, meta: bytes | None) -> None:
    """A new session, whole: its transcript, and its metadata if it has any.

    The transcript comes first: without metadata it is a session too, the other way about it would
    be one without messages. Raises VaultError; then nothing is there.
    """
    files = [(vault.transcript(session_id), transcript)]
    if meta is not None:
        files.append((vault.meta(session_id), meta))
    check_inside(vault, vault.sessions)
    try:
        atomic.make_folder(vault.absolute(vault.sessions))
        atomic.create_files([(vault.absolute(path), data) for path, data in files])
    except atomic.NotSynced as error:
        raise VaultError(f"{files[0][0]}: {error.strerror}.") from error
    except OSError as error:
        raise VaultError(f"{files[0][0]}: {error.strerror}. Nothing was imported.") from error


def change_file(vault: Vault, path: str, change: Callable[[bytes], bytes]) -> None:
    """Make a file (from the root) what ``change`` makes of its bytes; one that is not there stays
    away. The caller holds the lock. Raises VaultError."""
    absolute = os.path.realpath(check_inside(vault, path))
    for _ in range(20):
        try:
            data, state = atomic.read_file(absolute)
            new = change(data)
            if new != data:
                atomic.replace_file(absolute, new, must_be=state)
            return
        except atomic.FileChanged:
            continue
        except FileNotFoundError:
            return
        except OSError as error:
            raise VaultError(f"{path}: {error.strerror}. Nothing was changed.") from error
    raise VaultError(f"{path} is being changed by another program again and again; try later.")


def make_file(vault: Vault, path: str, data: bytes) -> bool:
    """Put a whole file (from the root), and the folders above it, where nothing is yet; False:
    something is. The caller holds the lock. Raises VaultError."""
    folder = os.path.dirname(path)
    check_inside(vault, folder)
    try:
        atomic.make_folder(vault.absolute(folder))
        atomic.create_file(vault.absolute(path), data)
    except atomic.FileChanged:
        return False
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}. It was not written.") from error
    return True


def erase(vault: Vault, paths: Iterable[str]) -> None:
    """Remove files (from the root) for good; durable when this returns. Raises VaultError."""
    folders = set()
    for path in paths:
        check_inside(vault, os.path.dirname(path))
        absolute = vault.absolute(path)
        try:
            atomic.remove_file(absolute)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise VaultError(f"{path}: {error.strerror}. It was not erased.") from error
        folders.add(os.path.dirname(absolute))
    for folder in folders:
        atomic.sync_folder(folder)


def append_changes(vault: Vault, lines: Iterable[bytes]) -> atomic.Appended:
    """Append lines (with their newlines) to the log of changes, all or none; on disk when this
    returns. The caller holds the lock. Raises VaultError."""
    check_inside(vault, os.path.dirname(vault.changes))
    path = vault.absolute(vault.changes)
    try:
        atomic.make_folder(os.path.dirname(path))
        return atomic.append_line(path, b"".join(lines), create=True)
    except OSError as error:
        raise VaultError(f"{vault.changes}: {error.strerror}. Nothing was changed.") from error


def take_back_changes(vault: Vault, appended: atomic.Appended) -> bool:
    """Take back what was appended to the log of changes, if nobody has written to it since."""
    try:
        return atomic.take_back(vault.absolute(vault.changes), appended)
    except OSError:
        return False

"""The operating system's events as a debounced set of paths; knows no meaning.

What watchdog does not tell a handler is taken from the layer below it: that events were lost, that
a folder could not be watched (the kernel's limit), that a thread of its own has died.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers.api import BaseObserver

QUIET = 0.012
"""A path is handed on after so many seconds without an event: an append makes four and more, and
a file that is read later than 10 ms after its last change need not be read again."""
LONGEST = 0.1
"""… or so long after the first one, whatever comes: who writes all the time is heard too."""
BURST = 100
"""More paths than that are no list any more: everything is to be looked at, once."""
BURST_QUIET, BURST_LONGEST = 0.05, 0.5

_SILENT = re.compile(
    r"nfs.*|cifs|smb.*|fuse\..*|9p|drvfs|v9fs|virtiofs|vboxsf|vmhgfs|prl_fs|afs|ceph|lustre"
    r"|glusterfs|gfs2|ocfs2|beegfs|davfs|coda|ncpfs"
)


class Batch(NamedTuple):
    """What came since the last one: absolute paths; ``look``: look at everything, because events
    were lost, folders came or went, or there were too many."""

    paths: tuple[str, ...] = ()
    look: bool = False


class Watch:
    """Hears of every change under one folder.

    ``at_once`` begins the names that are not debounced: with such a path everything that was noted
    before it is handed on.
    """

    def __init__(self, at_once: str) -> None:
        self.unwatched: set[str] = set()
        """Folders whose changes are not told, because the limit of watches is reached."""
        self._at_once = at_once
        self._bell = threading.Condition(threading.Lock())
        self._noted: dict[str, tuple[float, float]] = {}
        self._latest = 0.0
        self._now = False
        self._look = False
        self._observer: BaseObserver | None = None

    # --- listening ---

    def start(self, folder: str) -> None:
        """Hear of changes under ``folder`` (a real path) from now on. Raises OSError."""
        self.stop()
        self.unwatched.clear()
        observer = _observer(self)
        self._observer = observer
        try:
            observer.schedule(
                _handler(self), folder, recursive=True, event_filter=_events_that_count()
            )
            observer.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Hear of nothing any more; harmless when done twice."""
        observer, self._observer = self._observer, None
        if observer is not None:
            with suppress(OSError, RuntimeError):
                observer.stop()
            with suppress(RuntimeError):  # was never started
                observer.join(2)

    def alive(self) -> bool:
        """Do all threads that listen still run?"""
        observer = self._observer
        if observer is None or not observer.is_alive() or not observer.emitters:
            return False
        threads = list(observer.emitters)
        if (reader := getattr(observer, "reader", None)) is not None:
            threads.append(reader)
        return all(thread.is_alive() for thread in threads)

    # --- what was heard ---

    def note(self, path: str) -> None:
        """A path has changed somehow; wakes who waits, and does nothing else."""
        now = time.monotonic()
        with self._bell:
            before = self._noted.get(path)
            self._noted[path] = (now if before is None else before[0], now)
            self._latest = now
            urgent = path.rpartition("/")[2].startswith(self._at_once)
            self._now = self._now or urgent
            if before is None or urgent:
                self._bell.notify()

    def look_at_all(self) -> None:
        """Something happened that no path tells."""
        with self._bell:
            self._look = True
            self._bell.notify()

    def wake(self) -> None:
        """Let ``wait`` return."""
        with self._bell:
            self._now = True
            self._bell.notify()

    def wait(self, seconds: float) -> Batch:
        """What has changed and is quiet now; empty after so many seconds without anything."""
        end = time.monotonic() + seconds
        with self._bell:
            while (now := time.monotonic()) < (due := min(end, self._due(now))):
                self._bell.wait(due - now)
            return self._taken(now)

    def _due(self, now: float) -> float:
        """When the first of what was noted is to be handed on."""
        if self._now or self._look:
            return now
        if not self._noted:
            return float("inf")
        if len(self._noted) > BURST:
            first = min(first for first, _ in self._noted.values())
            return min(self._latest + BURST_QUIET, first + BURST_LONGEST)
        return min(map(_ripe, self._noted.values()))

    def _taken(self, now: float) -> Batch:
        noted = self._noted
        look = self._look or len(noted) > BURST
        if look and not self._now and self._due(now) > now:
            return Batch()
        if self._now or look:
            paths = tuple(noted)
        else:
            paths = tuple(path for path, times in noted.items() if _ripe(times) <= now)
        for path in paths:
            del noted[path]
        self._now = self._look = False
        return Batch(paths, look)


def _ripe(times: tuple[float, float]) -> float:
    return min(times[1] + QUIET, times[0] + LONGEST)


# --- watchdog ------------------------------------------------------------------------------------


def _events_that_count() -> list[type]:
    """Not opened and not closed without writing: with those we would hear of our own reading, and
    answer it with reading, for ever."""
    from watchdog import events

    return [
        events.FileCreatedEvent,
        events.FileModifiedEvent,
        events.FileAttribEvent,
        events.FileClosedEvent,
        events.FileDeletedEvent,
        events.FileMovedEvent,
        events.DirCreatedEvent,
        events.DirDeletedEvent,
        events.DirMovedEvent,
    ]


def _handler(watch: Watch) -> FileSystemEventHandler:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        """An exception in here would end watchdog's thread, so it does next to nothing."""

        def dispatch(self, event: FileSystemEvent) -> None:
            if event.is_directory:
                watch.look_at_all()
            else:
                watch.note(os.fsdecode(event.src_path))
                if event.dest_path:
                    watch.note(os.fsdecode(event.dest_path))

    return Handler()


def _observer(watch: Watch) -> BaseObserver:
    """The observer for this system; it need not be asked whether there is something new."""
    if not sys.platform.startswith("linux"):
        from watchdog.observers import Observer

        return Observer()
    from dataclasses import replace

    from watchdog.observers.api import BaseObserver
    from watchdog.observers.inotify import InotifyEmitter
    from watchdog.observers.inotify_c import (
        CallbackId,
        InotifyConstants,
        InotifyEvent,
        InotifyFD,
        Mask,
        WatchCallback,
        WatchDescriptor,
    )

    apart = Mask(InotifyConstants.IN_MOVE)

    class Reader(InotifyFD):
        """Reads the kernel's events, and tells what the layers above keep to themselves."""

        empty = 0

        def run(self) -> None:
            _until_it_ends(watch, super().run)

        def read_events(self, **options: int) -> list[InotifyEvent]:
            """A descriptor that was closed under us reads as nothing, at once, for ever."""
            found = super().read_events(**options)
            self.empty = 0 if found else self.empty + 1
            if self.empty > 100 and self.should_keep_running():
                raise OSError("the descriptor of inotify is gone")
            return found

        def handle_event(self, event: InotifyEvent) -> None:
            """A file that moves is one that goes and one that comes: watchdog would hold back
            everything for half a second in case the two belong together."""
            if not event.is_directory and event.mask & apart:
                new = (
                    InotifyConstants.IN_DELETE
                    if event.is_moved_from
                    else InotifyConstants.IN_CREATE
                )
                event = replace(event, mask=Mask(event.mask & ~apart | new), cookie=0)
            super().handle_event(event)
            if event.is_queue_overflow:  # only now: watchdog has watched everything anew
                watch.look_at_all()

        def add_callback(
            self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
        ) -> WatchDescriptor:
            """A folder for which there is no watch left is left out without a word."""
            name = os.fsdecode(path)
            watch.unwatched.add(name)
            number = super().add_callback(path, mask, callback, id_)
            if number != -1:  # else it is not ours to read
                watch.unwatched.discard(name)
            return number

    class Emitter(InotifyEmitter):
        def run(self) -> None:
            _until_it_ends(watch, super().run)

    class Observer(BaseObserver):
        def __init__(self, reader: InotifyFD) -> None:
            self.reader = reader
            super().__init__(Emitter, inotify_fd=reader)

        def run(self) -> None:
            _until_it_ends(watch, super().run)

        def on_thread_stop(self) -> None:
            super().on_thread_stop()
            self.reader.stop()
            self.reader.join(2)

    reader = Reader()
    reader.start()
    return Observer(reader)


def _until_it_ends(watch: Watch, run: Callable[[], None]) -> None:
    """Run a thread; when it ends, however it does, that is told."""
    try:
        run()
    except Exception:  # noqa: BLE001  # of whatever kind: the thread is made anew
        pass
    finally:
        watch.wake()


# --- file systems --------------------------------------------------------------------------------


def silent(folder: str, mounts: str = "/proc/self/mountinfo") -> str | None:
    """The kind of the file system that ``folder`` (a real path) is on, if others can change files
    there without this machine's kernel telling: a network, FUSE, the host of a virtual machine."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        inside = folder == place or folder.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, after.split(" ")[0]
    return kind if _SILENT.fullmatch(kind) else None

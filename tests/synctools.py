"""Two machines that keep one vault, and the real tools that carry it from one to the other.

A machine is a ``Home``: a vault with user folders of its own. All tools are the installed programs,
on this machine's loopback at most: no discovery, relay, report or upgrade.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from home import Home

FACTS = "atlas/memory/long-term/facts.md"
PATIENCE = 60.0
"""Seconds after which something that should happen is taken not to."""


# --- machines ------------------------------------------------------------------------------------


class Machine(Home):
    """One of the two; ``written`` are the lines that it wrote, by session id."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.written: dict[str, list[bytes]] = {}

    def begin(self, name: str, text: str) -> str:
        """A new session of that name, and its first turn; returns its id."""
        said = self.json("chat", "-s", name, "-p", "offline", "-m", text)
        self.written[said["session_id"]] = self.lines(said["session_id"])
        return str(said["session_id"])

    def chat(self, session: str, *texts: str) -> None:
        """Turns in a session, each by a program of its own, with the offline assistant."""
        for text in texts:
            before = set(self.lines(session))
            said = self.json("chat", "-s", session, "-p", "offline", "-m", text)
            assert said["session_id"] == session
            new = [line for line in self.lines(session) if line not in before]
            assert len(new) == 2, new
            self.written.setdefault(session, []).extend(new)

    def path(self, session: str) -> Path:
        """The transcript of a session."""
        return self.sessions / f"{session}.jsonl"

    def lines(self, session: str) -> list[bytes]:
        """The lines of a transcript."""
        return self.path(session).read_bytes().splitlines()

    def delete_line(self, session: str, number: int) -> bytes:
        """Take a line out of the file, as an editor would; returns it."""
        lines = self.path(session).read_bytes().splitlines(keepends=True)
        line = lines.pop(number)
        self.path(session).write_bytes(b"".join(lines))
        return line.rstrip()

    def add_fact(self, fact: str) -> None:
        """Add a bullet to the first section of facts.md, as an editor would."""
        path = self.vault / FACTS
        path.write_text(path.read_text().replace("## Facts\n", f"## Facts\n- {fact}\n", 1))

    def meta(self, session: str) -> dict[str, Any]:
        """The metadata of a session."""
        found: dict[str, Any] = json.loads(
            self.path(session).with_suffix(".meta.json").read_bytes()
        )
        return found

    def problems(self) -> list[str]:
        """``path: code`` of what ``doctor`` finds wrong; notes are not."""
        found = json.loads(self.run("doctor", "--json").stdout)
        return [f"{p['path']}: {p['code']}" for p in found if p["severity"] != "note"]


def kept_files(vault: Path) -> dict[str, bytes]:
    """What of a vault has to be the same on both machines: all but the trash and the tools' own."""
    return {
        str(path.relative_to(vault)): path.read_bytes()
        for path in sorted((vault / "atlas").rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


# --- tools ---------------------------------------------------------------------------------------


class Tool:
    """Carries the vault between two machines: what has changed, when ``sync`` is called; some
    also in between, until ``part`` is called."""

    name = ""
    program = ""
    keeps_copies = True
    """Is of a file that was changed on both sides the one kept that is not taken?"""
    mended_on_both = True
    """Are two files that came to be the same on both sides no conflict?"""

    def __init__(self, folder: Path, one: Path, other: Path) -> None:
        self.folder = folder
        self.one = one
        self.other = other
        folder.mkdir()

    def start(self) -> None:
        """Join the two vaults; the second is empty."""
        self.sync()

    def sync(self) -> None:
        """Carry over what has changed since the last time, in both directions."""
        raise NotImplementedError

    def part(self) -> None:
        """Carry nothing over until the next ``sync``; most tools do so by nature."""

    def stop(self) -> None:
        """End what was started."""

    def settle(self) -> None:
        """Sync until the two vaults hold the same files: what a tool set aside on one side it
        carries over the next time."""
        for _ in range(4):
            self.sync()
            if kept_files(self.one) == kept_files(self.other):
                return
        raise AssertionError(f"{self.name} leaves the two vaults different")

    def run(self, *arguments: str) -> str:
        """The program, run to its end; what it said."""
        done = subprocess.run(
            [self.program, *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


class Unison(Tool):
    """Asks nobody; of two changed files the newer one is taken, the other one is kept as a copy."""

    name = "unison"
    program = "unison"
    options: tuple[str, ...] = ("-prefer", "newer", "-copyonconflict")

    def sync(self) -> None:
        common = ("-ui", "text", "-batch", "-auto", "-times", "-confirmbigdel=false")
        self.run(str(self.one), str(self.other), *common, *self.options)


class UnisonWithoutCopies(Unison):
    """Of two changed files the newer one is taken, and the other one is gone."""

    name = "unison, no copies"
    options = ("-prefer", "newer")
    keeps_copies = False


class Rclone(Tool):
    """``rclone bisync``: renames both when both were changed."""

    name = "rclone bisync"
    program = "rclone"
    mended_on_both = False

    def start(self) -> None:
        self._bisync("--resync")

    def sync(self) -> None:
        self._bisync("--force")  # small vaults: most files may have changed, or be gone

    def _bisync(self, *options: str) -> None:
        (self.folder / "rclone.conf").touch()
        work = ("--workdir", str(self.folder / "work"))
        config = ("--config", str(self.folder / "rclone.conf"))
        self.run("bisync", str(self.one), str(self.other), *work, *config, *options)


class Syncthing(Tool):
    """Two instances, each with the other as its only device; they carry over all the time."""

    name = "syncthing"
    program = "syncthing"
    copies = 10
    """How many conflict copies of a file are kept: this many, if nobody says otherwise."""

    def start(self) -> None:
        self.sides: list[_Instance] = []  # what was started is stopped, whatever comes
        for name, vault in (("one", self.one), ("other", self.other)):
            self.sides.append(_Instance(self, self.folder / name, vault))
        one, other = self.sides
        one.configure(other)
        other.configure(one)
        for side in self.sides:
            side.start()
        self.sync()

    def sync(self) -> None:
        one, other = self.sides
        for side in self.sides:
            side.scan()
        for side, peer in ((one, other), (other, one)):
            side.join(peer)
        self._until_carried()

    def part(self) -> None:
        one, other = self.sides
        for side, peer in ((one, other), (other, one)):
            side.part(peer)

    def _until_carried(self) -> None:
        """Wait until both are connected, have each other's index, and lack nothing."""
        one, other = self.sides
        end = time.monotonic() + PATIENCE
        since = [side.last_event() for side in self.sides]
        while not (one.agrees_with(other) and other.agrees_with(one)):
            if time.monotonic() > end:
                states = [side.state() for side in self.sides]
                raise AssertionError(f"not carried over: {states}")
            for number, side in enumerate(self.sides):
                since[number] = side.wait_for_event(since[number])

    def stop(self) -> None:
        for side in self.sides:
            side.stop()


class SyncthingWithoutCopies(Syncthing):
    """Of two changed files the newer one is taken, and the other one is gone."""

    name = "syncthing, no copies"
    copies = 0
    keeps_copies = False


class _Instance:
    """One Syncthing with its own keys, driven through its REST API."""

    def __init__(self, tool: Syncthing, home: Path, vault: Path) -> None:
        self.home = home
        self.vault = vault
        self.tool = tool
        self.process: subprocess.Popen[bytes] | None = None
        self.port, self.gui = free_ports(2)
        said = tool.run(
            "generate", "--home", str(home), "--no-default-folder", "--skip-port-probing"
        )
        found = re.search(r"Device ID: (\S+)", said)
        assert found is not None, said
        self.device = found[1]

    def configure(self, peer: _Instance) -> None:
        """Write a config that speaks to one peer on the loopback and to nobody else."""
        path = self.home / "config.xml"
        root = ElementTree.parse(path).getroot()
        options = root.find("options")
        gui = root.find("gui")
        own = root.find("device")
        assert options is not None
        assert gui is not None
        assert own is not None
        for name, value in _OPTIONS.items():
            _set(options, name, value)
        _set(options, "listenAddress", f"tcp://127.0.0.1:{self.port}")
        _set(gui, "address", f"127.0.0.1:{self.gui}")
        self.key = gui.findtext("apikey", "")
        _set(own, "address", f"tcp://127.0.0.1:{self.port}")
        root.append(
            ElementTree.fromstring(
                f'<device id="{peer.device}" name="peer" compression="never">'
                f"<address>tcp://127.0.0.1:{peer.port}</address><paused>true</paused></device>"
            )
        )
        # what it is by default, but for where it is, with whom, and how soon it is looked at
        folder = copy.deepcopy(root.find("defaults/folder"))
        assert folder is not None
        fast = {"rescanIntervalS": "5", "fsWatcherDelayS": "1"}
        folder.attrib.update(id="vault", label="vault", path=str(self.vault), **fast)
        for device in folder.findall("device"):
            folder.remove(device)
        for device_id in (self.device, peer.device):
            ElementTree.SubElement(folder, "device", id=device_id)
        _set(folder, "maxConflicts", str(self.tool.copies))
        root.append(folder)
        ElementTree.ElementTree(root).write(path)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = ["serve", "--home", str(self.home), "--no-browser", "--no-restart"]
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["syncthing", *arguments, "--no-upgrade"],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.home),
                    "STNOUPGRADE": "1",
                    "STMONITORED": "1",  # one process, which ends when it is told to
                },
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE
        while True:
            with suppress(urllib.error.URLError, ConnectionError):
                self.ask("system/ping")
                return
            assert self.process.poll() is None, (self.home / "log").read_text()
            assert time.monotonic() < end, (self.home / "log").read_text()
            time.sleep(0.05)  # no event says that a port is open

    def stop(self) -> None:
        """Shut it down."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def ask(self, what: str, body: object = None, method: str | None = None) -> Any:
        """A question to the REST API; with ``method`` POST or PATCH, an order."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.gui}/rest/{what}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self.key},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def scan(self) -> None:
        """Look at all files now; returns when it has."""
        self.ask("db/scan?folder=vault", method="POST")

    def join(self, peer: _Instance) -> None:
        """Connect to the peer."""
        self.ask(f"config/devices/{peer.device}", {"paused": False}, "PATCH")

    def part(self, peer: _Instance) -> None:
        """Disconnect."""
        self.ask(f"config/devices/{peer.device}", {"paused": True}, "PATCH")

    def state(self) -> dict[str, Any]:
        """How the folder stands."""
        found: dict[str, Any] = self.ask("db/status?folder=vault")
        return found

    def agrees_with(self, peer: _Instance) -> bool:
        """Is it connected, idle, and has the peer all that this one has, by this one's word?"""
        connections = self.ask("system/connections")["connections"]
        if not connections.get(peer.device, {}).get("connected"):
            return False
        state = self.state()
        if state["state"] != "idle" or state["needTotalItems"]:
            return False
        theirs = self.ask(f"db/completion?folder=vault&device={peer.device}")
        if theirs["completion"] != 100 or theirs["needItems"] or theirs["needDeletes"]:
            return False
        # each has heard of all that the other one has
        return bool(theirs.get("remoteState", "valid") == "valid" and theirs["sequence"])

    def last_event(self) -> int:
        """The number of the newest event."""
        events = self.ask("events?since=0&limit=1&timeout=0")
        return events[-1]["id"] if events else 0

    def wait_for_event(self, since: int) -> int:
        """Return when something has happened, after a second at most."""
        events = self.ask(f"events?since={since}&timeout=1")
        return events[-1]["id"] if events else since


_OPTIONS = {
    "globalAnnounceEnabled": "false",
    "localAnnounceEnabled": "false",
    "relaysEnabled": "false",
    "natEnabled": "false",
    "urAccepted": "-1",
    "autoUpgradeIntervalH": "0",
    "crashReportingEnabled": "false",
    "stunKeepaliveStartS": "0",
    "startBrowser": "false",
    "reconnectionIntervalS": "1",
    "setLowPriority": "false",
}


def _set(parent: ElementTree.Element, name: str, value: str) -> None:
    for found in parent.findall(name)[1:]:
        parent.remove(found)
    element = parent.find(name)
    if element is None:
        element = ElementTree.SubElement(parent, name)
    element.text = value


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


TOOLS: dict[str, type[Tool]] = {
    tool.name: tool
    for tool in (Syncthing, SyncthingWithoutCopies, Rclone, Unison, UnisonWithoutCopies)
}


def is_installed(tool: type[Tool]) -> bool:
    """Is the program there?"""
    return shutil.which(tool.program) is not None

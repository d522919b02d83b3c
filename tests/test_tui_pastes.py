"""A paste arrives as it is, whatever it holds and however the terminal's bytes are cut."""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from vault_sessions.tui.pastes import END, START, WholePastes, read_whole

COLOURED = "\x1b[31mred\x1b[0m \x1b, \x1b[A, U+2029 \u2029, 👩\u200d💻, \x00 and \x1b[200 as well"


def read(*pieces: str) -> list[tuple[str, str | None]]:
    """What the keys and pastes are that were read: ("paste", text) or (key, character)."""
    parser = WholePastes()
    return [_seen(message) for piece in pieces for message in parser.feed(piece)]


def _seen(message: Message) -> tuple[str, str | None]:
    if isinstance(message, events.Paste):
        return "paste", message.text
    assert isinstance(message, events.Key)
    return message.key, message.character


@pytest.mark.parametrize("text", [COLOURED, "", "plain", "a" * 10_000, "\x1b", "\x1b[201"])
def test_between_the_marks_everything_is_text(text: str) -> None:
    assert read(f"a{START}{text}{END}b") == [("a", "a"), ("paste", text), ("b", "b")]


@given(st.integers(0, 100), st.integers(0, 100))
def test_where_the_bytes_are_cut_makes_no_difference(first: int, second: int) -> None:
    """Only Escape and [ alone, before a paste, can't be held back: they may be keys."""
    whole = f"a{START}{COLOURED}{END}b{START}two{END}"
    cuts = sorted((first, second))
    second_mark = whole.rindex(START)
    if any(cut - at in (1, 2) for cut in cuts for at in (1, second_mark)):
        return
    pieces = (whole[: cuts[0]], whole[cuts[0] : cuts[1]], whole[cuts[1] :])
    assert read(*pieces) == [("a", "a"), ("paste", COLOURED), ("b", "b"), ("paste", "two")]


def test_keys_are_read_as_before() -> None:
    """A function key begins as a paste does."""
    assert [key for key, _ in read("x\x1b[A\x1b[20~\x1b[20", "~é")] == [
        *("x", "up", "f9", "f9"),
        "é",
    ]


def test_what_does_not_go_on_is_no_paste() -> None:
    """It is handed on after a moment."""
    parser = WholePastes()
    assert list(parser.feed("\x1b[20")) == []
    seen: list[Message] = []
    while not seen:
        seen += parser.tick()
    assert all(isinstance(message, events.Key) for message in seen)


class Reading(LinuxDriver):
    """What Textual does with a terminal's bytes, and nothing else of it."""

    def __init__(self, fileno: int) -> None:
        self.fileno = fileno
        self.exit_event = threading.Event()
        self._debug = False
        self.seen: SimpleQueue[tuple[str, str | None]] = SimpleQueue()

    def process_message(self, message: Message) -> None:
        """Hand it on."""
        self.seen.put(_seen(message))


def test_bytes_that_are_no_text_do_not_end_the_reading() -> None:
    """As a terminal sends them that is not set to UTF-8; a character cut in two is one."""
    read_whole()
    out, into = os.pipe()
    reading = Reading(out)
    thread = threading.Thread(target=reading.run_input_thread, daemon=True)
    thread.start()
    try:
        for piece in (b"a", b"\xe9", b"b", "é".encode()[:1]):
            os.write(into, piece)
        seen = [reading.seen.get(timeout=30) for _ in "a?b"]
        os.write(into, "é".encode()[1:])
        assert [*seen, reading.seen.get(timeout=30)] == [
            *(("a", "a"), ("replacement_character", "�"), ("b", "b")),
            ("é", "é"),
        ]
    finally:
        reading.exit_event.set()
        os.close(into)
        thread.join(30)
        os.close(out)

"""Untrusted text on a terminal."""

from __future__ import annotations

import json

import pytest

from vault_sessions.formats.display import fit, safe, safe_json, safe_line, width

SEQUENCES = {
    "CSI colour": "\x1b[1;31m",
    "CSI clear": "\x1b[2J\x1b[H",
    "CSI with intermediates": "\x1b[?25l\x1b[0 q\x1b[>0c",
    "CSI in C1 form": "\x9b31m",
    "OSC title with BEL": "\x1b]0;owned\x07",
    "OSC title with ST": "\x1b]2;owned\x1b\\",
    "OSC link with ST": "\x1b]8;;https://evil.example\x1b\\",
    "OSC link with BEL": "\x1b]8;;https://evil.example\x07",
    "OSC clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "OSC in C1 form": "\x9d52;c;cm0gLXJmIH4=\x9c",
    "OSC 1337": "\x1b]1337;File=inline=1:AAAA\x07",
    "DCS": "\x1bPq#0;2;0;0;0\x1b\\",
    "DCS in C1 form": "\x90q#0\x9c",
    "APC": "\x1b_Gf=24;AAAA\x1b\\",
    "PM": "\x1b^private\x1b\\",
    "SOS": "\x1bXstring\x1b\\",
    "charset": "\x1b(0",
    "reset": "\x1bc",
    "save cursor": "\x1b7\x1b8",
    "keypad": "\x1b=\x1b>",
    "ESC twice": "\x1b\x1b[31m",
    "ESC in a sequence": "\x1b]0;a\x1b[31m",
    "bell": "\x07",
    "backspaces": "\b\b\b",
    "carriage return": "\r",
    "NUL and DEL": "\x00\x7f",
    "shift out": "\x0e\x0f",
    "form feed and vertical tab": "\x0c\x0b",
    "NEL": "\x85",
    "bidi override": "\u202e\u202d\u202a\u202b\u202c",
    "bidi isolates": "\u2066\u2067\u2068\u2069",
    "bidi marks": "\u200e\u200f\u061c",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "soft hyphen": "\xad",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "variation selectors": "\ufe00\ufe0f\U000e0100\U000e01ef",
    "fillers": "\u115f\u1160\u3164\uffa0",
    "invisible operators": "\u2061\u2064\u206f",
    "interlinear annotation": "\ufff9\ufffa\ufffb",
    "Mongolian selectors": "\u180b\u180e",
    "half a surrogate pair": "\ud800",
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_nothing_of_it_is_shown(name: str) -> None:
    """The words around it stay."""
    assert safe(f"before {SEQUENCES[name]}after") == "before after"
    assert safe_line(f"before {SEQUENCES[name]}after") == "before after"


@pytest.mark.parametrize("begin", ["\x1b]0;", "\x1b]52;c;", "\x1bP", "\x1b_", "\x1b^", "\x9d0;"])
def test_what_is_not_ended_ends_with_its_line(begin: str) -> None:
    """The text below it is not lost."""
    assert safe(f"a{begin}swallowed\nnext line") == "a\nnext line"
    assert safe(f"a{begin}") == safe("a\x1b") == "a"


def test_newlines_and_tabs_stay_and_others_become_newlines() -> None:
    """CR LF, U+2028 and U+2029."""
    assert safe("a\n\tb") == "a\n\tb"
    assert safe("a\r\nb\u2028c\u2029d") == "a\nb\nc\nd"


def test_a_carriage_return_can_not_overwrite() -> None:
    """What was before it is still there."""
    assert safe("rm -rf ~\rls") == "rm -rf ~ls"


def test_a_line_is_one_line_with_its_white_space_folded() -> None:
    """Also when it is all ASCII."""
    assert safe_line("  a \t b\n\nc\u2028d  ") == "a b c d"
    assert safe_line("a  b") == "a b"


def test_words_of_every_script_are_left_alone() -> None:
    """Emoji lose their joiners and selectors, which could hide text."""
    for text in ("Straße", "日本語", "עברית", "العربية", "e\u0301", "한국어", "😀", "100 % {x}"):
        assert safe(text) == safe_line(text) == text


@pytest.mark.parametrize("name", [name for name in SEQUENCES if "surrogate" not in name])
def test_json_keeps_them_as_escapes(name: str) -> None:
    """The same value is read again; no byte of it reaches the terminal."""
    value = {"a": [f"x{SEQUENCES[name]}y"]}
    shown = safe_json(json.dumps(value, ensure_ascii=False).encode())
    assert json.loads(shown) == value
    assert shown.decode().isprintable()


def test_json_on_several_lines_keeps_its_lines() -> None:
    """Its line ends are between its tokens."""
    assert safe_json('{\n  "a": "é\u202e"\n}\n'.encode()) == '{\n  "a": "é\\u202e"\n}\n'.encode()


def test_width_counts_columns() -> None:
    """Two for wide characters, none for marks."""
    assert [width(text) for text in ("abc", "日本", "e\u0301", "กำ่", "")] == [3, 4, 1, 2, 0]


def test_fit_cuts_at_a_whole_character() -> None:
    """With an ellipsis, never wider than there is room."""
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdef", 5) == "abcd…"
    assert fit("日本語", 4) == "日…"
    assert fit("abc", 1) == "…"
    assert fit("abc", 0) == ""

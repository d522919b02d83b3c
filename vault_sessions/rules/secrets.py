"""Does a text hold a secret? What looks like one is not remembered, and that is said."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from math import log2

from vault_sessions.rules.words import word_set

_MARKED = (
    ("a private key", r"-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE|PGP MESSAGE)"),
    ("a key", r"\b(?:sk|pk|rk)[-_](?:[a-z]+[-_])*[A-Za-z0-9_-]{16,}"),
    ("a token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,})"),
    ("a key", r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}\b"),
    ("a key", r"\bAIza[\w-]{30,}"),
    ("a token", r"\bxox[abeoprs]-[\w-]{10,}"),
    ("a token", r"\b(?:hf|npm|pypi|dop_v1|shpat|lin_api|tvly|gsk|nvapi)[-_][A-Za-z0-9_-]{16,}"),
    ("a token", r"\bya29\.[\w-]{20,}"),
    ("a token", r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
    ("a token", r"(?i)\bbearer\s+[\w.~+/-]{16,}"),
    ("a key", r"\bssh-(?:rsa|ed25519) AAAA[\w+/]{30,}"),
    ("a key", r"\bAGE-SECRET-KEY-1[A-Z0-9]{20,}"),
    ("a password", r"://[^\s/:@]+:[^\s/@]{3,}@"),
)
_MARKS = [(what, re.compile(pattern)) for what, pattern in _MARKED]
_NAMES = (
    ("a password", r"pass(?:word|phrase|code)?s?|pwd|passwor[dt]|kennwort|パスワード|暗証番号"),
    ("a PIN", r"pin(?:[ -]?(?:code|number|nummer))?"),
    ("a key", r"(?:api|access|secret|private|encryption|licen[sc]e)[ _-]?keys?|api[ _-]?schlüssel"),
    ("a token", r"(?:[a-z]+[ _-])?tokens?|secret"),
    ("a security code", r"cvv2?|cvc2?|security code|one-time code|otp|tan"),
    ("a recovery phrase", r"(?:seed|recovery|mnemonic)[ -](?:phrase|words|code)"),
)
_IS = r"\s*(?::|=|=>|\bis\b|\bwas\b|\bare\b|\bist\b|\blautet\b|は|：)\s*"
_FOR = r"(?:\s+(?:for|of|to|on|in|at|für|von)\s+[^:=]{1,40}?)?"
_NAMED = [
    (what, re.compile(rf"(?i)(?<![A-Za-z])(?:{names}){_FOR}{_IS}[\"'“„`]?(?P<value>\S+)"))
    for what, names in _NAMES
]
_PLAIN_WORDS = word_set(
    """a an the in on at it its my your our not no none never too very so stored kept saved changed
    rotated expired expiring managed handled required needed optional safe secure weak strong
    written hidden different same new old missing wrong right correct empty long short good bad
    for from with by only always also still now being used set reset required due valid invalid
    unknown forgotten lost gone shared secret limited unlimited important annoying that what why
    how when where nicht kein keine im in der die das ein eine bei"""
)
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_SOCIAL = re.compile(r"(?i)\b(?:ssn|social security)\D{0,20}\d{3}-?\d{2}-?\d{4}\b")
_TOKEN = re.compile(r"(?<![\w/.@-])[A-Za-z0-9+/_-]{20,}={0,2}(?![\w@])")
_HEX = re.compile(r"[0-9a-fA-F-]+")
_ID = re.compile(
    r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|\d{8}-\d{6}-[0-9a-z]{6}"  # a session's
)
_WORDS = re.compile(
    r"(?:[A-Za-z]?[a-z]{2,}|[A-Z]{2,}|\d{1,8})(?:[-_/+](?:[A-Za-z]?[a-z]*|[A-Z]+|\d{1,8}))*"
)


def secret_in(text: str) -> str | None:
    """What the text seems to hold that nobody should find in memory; None: nothing of the kind.

    >>> secret_in("My password is hunter2!")
    'a password'
    >>> secret_in("Moved the password manager to Bitwarden")
    """
    for what, mark in _MARKS:
        if mark.search(text):
            return what
    for what, named in _NAMED:
        for found in named.finditer(text):
            if _is_value(found["value"], what):
                return what
    if any(_is_card(found[0]) for found in _CARD.finditer(text)):
        return "a card number"
    if any(_is_iban(found[0]) for found in _IBAN.finditer(text)):
        return "an account number"
    if _SOCIAL.search(text):
        return "a social security number"
    if any(_is_random(found[0]) for found in _TOKEN.finditer(text)):
        return "a key"
    return None


def _is_value(word: str, what: str) -> bool:
    """Is what stands behind “password is” one, and no word of the sentence?"""
    bare = word.strip("\"'“”„`.,;:!?()。、です")
    if not bare or bare.casefold() in _PLAIN_WORDS:
        return False
    if what in ("a PIN", "a security code"):
        return bare.isdigit() and 3 <= len(bare) <= 8
    if what == "a token":  # “my token is …” is said of many things
        return len(bare) >= 8 and any(c.isdigit() for c in bare)
    return True


def _is_card(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    number = "".join(str(int(c, 36)) for c in plain[4:] + plain[:4])
    return int(number) % 97 == 1


def _is_random(token: str) -> bool:
    """No word, path, date, hash or UUID, but letters and digits by chance."""
    bare = token.rstrip("=")
    if _ID.fullmatch(bare) or _HEX.fullmatch(bare) or _WORDS.fullmatch(bare):
        return False
    kinds = [any(map(kind, bare)) for kind in (str.isdigit, str.islower, str.isupper)]
    if sum(kinds) < 2 or not kinds[0]:
        return False
    counts = Counter(bare)
    bits = -sum(n / len(bare) * log2(n / len(bare)) for n in counts.values())
    changes = sum(_kind(a) != _kind(b) for a, b in pairwise(bare))
    return bits >= 3.4 and changes >= len(bare) / 4


def _kind(char: str) -> int:
    return 0 if char.isdigit() else 1 if char.islower() else 2 if char.isupper() else 3

# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts for people: made plain, shortened and quoted; errors, numbers and durations as words; the nearest known word.

Redacting secrets belongs to `redaction.py`.
"""

import json
import math
import re
from collections.abc import Iterable

from btcore.errors import BtcoreError

MIN_SIMILARITY = 0.6
"""The similarity, 0 to 1, from which a known word is suggested for an unknown one."""

MIN_PART_SIMILARITY = 0.4
"""The similarity that each part of the word must have; parts are separated by _ or -."""

MAX_WORD = 100
"""The most characters of a word that is compared with others."""

MAX_SUGGESTIONS = 3
"""The most words that are suggested; if more are equally similar, none is."""

KILO = 1000
BYTE_UNITS = ("kB", "MB", "GB", "TB")

_UNFIT = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: they end lines and steer terminals
    "\u2028\u2029"  # line and paragraph separators
    "\u202a-\u202e\u2066-\u2069"  # what reverses the order of letters on the screen
    "]+"
)
_SURROGATES = re.compile("[\ud800-\udfff]")  # half characters, as in names that are not UTF-8: no encoding has them


def plain(text: str) -> str:
    """Return a text that is one line and cannot steer a terminal; letters of all languages stay."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", _UNFIT.sub(" ", text))


def plain_lines(text: str) -> str:
    """Return a text of several lines, each of them plain."""
    return "\n".join(map(plain, text.split("\n")))


def shortened(text: str, maximum: int) -> str:
    """Return the beginning of a text that is longer than `maximum` characters, and how much there was."""
    return text if len(text) <= maximum else f"{text[:maximum]}... ({len(text) - maximum} more characters)"


def quoted(text: str) -> str:
    """Return a text in quotes, as JSON and TOML read it, with everything escaped that is not plain."""
    printable = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    return _UNFIT.sub(_escaped, json.dumps(printable, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in found[0])


def describe_error(error: BaseException) -> str:
    """Return the text of an exception, with its type unless the text is meant for people."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - the exception of a plugin, whose __str__ may fail
        text = ""
    if isinstance(error, BtcoreError | OSError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def format_duration(seconds: float) -> str:
    """Return a duration in words: `3 s`, `5 min`, `2 d 1 h`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join(part for part in parts if part) or f"{rest} s"


def format_bytes(count: int) -> str:
    """Return a size in words, in the units of disks: `625 bytes`, `1.3 MB`."""
    if count < KILO:
        return plural(count, "byte")
    power = min(int(math.log10(count)) // 3, len(BYTE_UNITS))
    return f"{count / KILO**power:.1f} {BYTE_UNITS[power - 1]}"


def plural(number: int, thing: str) -> str:
    """Return a number with a noun: `1 sink`, `2 sinks`."""
    return either(number, thing, f"{thing}s")


def either(number: int, one: str, several: str) -> str:
    """Return a number with the words for one or for several: `1 sink is`, `2 sinks are`."""
    return f"{number} {one if number == 1 else several}"


class Count(int):
    """A number that a template can format with a noun: `{count:packet}` is `1 packet`, `2 packets`."""

    def __format__(self, thing: str) -> str:
        """Return the number, with the noun if one is given."""
        return plural(self, thing) if thing else str(int(self))


def closest(word: str, known: Iterable[str]) -> str:
    """Return the most similar known word, whatever it means, or "": for a number among numbers."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    found = difflib.get_close_matches(word[:MAX_WORD], list(known), n=1)
    return found[0] if found else ""


def likely(word: str, known: Iterable[str]) -> list[str]:
    """Return the known words of which this one may be a misspelling: all of the highest similarity.

    A word with another meaning is not one, however similar: `max_wait` is not `min_wait`, `gem36` is not `gem32`.
    """
    if len(word) > MAX_WORD:
        return []
    near = {other: _similarity(word, other) for other in known if not _means_something_else(word, other)}
    best = max(near.values(), default=0.0)
    return [other for other, similarity in near.items() if similarity == best] if best >= MIN_SIMILARITY else []


def nearest(word: str, known: Iterable[str], before: str = "") -> str:
    """Return `; did you mean "x"?` for the most similar known words, or "".

    `before` is put before each suggested word.
    """
    found = likely(word, known)
    several = " or ".join(f'"{before}{other}"' for other in found)
    return f"; did you mean {several}?" if 0 < len(found) <= MAX_SUGGESTIONS else ""


def _similarity(word: str, other: str) -> float:
    import difflib  # noqa: PLC0415 - only a mistake needs it

    return difflib.SequenceMatcher(None, word.lower(), other.lower()).ratio()


def _means_something_else(word: str, other: str) -> bool:
    """Whether two words differ in a number, or in an entire part: then neither is a misspelling of the other."""
    numbers = re.findall(r"\d+", word), re.findall(r"\d+", other)
    if all(numbers) and sorted("".join(numbers[0])) != sorted("".join(numbers[1])):
        return True
    parts = re.split(r"[_-]", word), re.split(r"[_-]", other)
    return len(parts[0]) == len(parts[1]) and any(
        _similarity(one, two) < MIN_PART_SIMILARITY for one, two in zip(*parts, strict=True)
    )

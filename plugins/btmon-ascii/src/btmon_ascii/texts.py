# SPDX-License-Identifier: GPL-3.0-or-later
"""What the text formats have in common: how a packet is found at the start of a buffer, and its numbers are read.

A text has no checksum. So each format is a regular expression that a packet matches from its first byte to its end,
and one that the beginning of a packet matches: anything else is damaged at once, and nothing behind it waits. Both are
possessive: no text takes longer than it is long.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from btcore import Damaged, Format, Incomplete, Number, Packet
from btcore.light import frozen

MAX_SIZE = 8192
"""Bytes of the longest text: three times those of 48 channels with everything."""

NUMBER = rb"-?+(?:\d{1,13}+(?:\.\d{0,6}+)?+|\.\d{1,6}+)"
"""A number as a GEM writes it: `223.19`, `.82`, `-5`."""

END = rb"(?:\r?+\n|\r(?!\Z)|[ \t\0])"
"""What stands behind a text that has no end of its own: a line end, which is waited for after CR, or a blank."""

WORDS = (
    *(b"$", b"Alive"),  # keep-alives
    *(b"_ON", b"OFF", b"ON", b"OK", b"IVL", b"PKT", b"PKF", b"DTM", b"KAI", b"VAL"),  # answers to commands
    *(b"GET ", b"PUT ", b"POST ", b"\xfe\xff"),  # a request, a binary packet
)
"""What may follow the last field of a text instead, at once."""

NEXT = b"(?=%b)" % b"|".join(map(re.escape, WORDS))
NEXT_BEGUN = b"(?:%b)?" % b"|".join(
    sorted({re.escape(word[:end]) for word in (*WORDS, b"\r\n") for end in range(1, len(word))})
)

Values = Mapping[str, Number]
Answer = Packet | Incomplete | Damaged

WS_PER_WH = 3600


@frozen
class Text:
    """One text format.

    `header` is what it begins with. `candidate` matches where one may begin, `packet` a complete one, `begun` the
    beginning of one. `serial` and `raw` make the serial number and the bytes to keep of a match; `read` returns the
    numbers of these bytes by label, and raises ValueError for those that no meter sends.
    """

    header: bytes
    candidate: bytes
    packet: re.Pattern[bytes]
    begun: re.Pattern[bytes]
    serial: Callable[[re.Match[bytes]], str]
    raw: Callable[[re.Match[bytes]], bytes]
    read: Callable[[bytes], Values]
    format: Format

    def look(self, buffer: bytes) -> Answer:
        """Look for a packet at the start of a buffer."""
        found = self.packet.match(buffer)
        if found is None:
            is_begun = len(buffer) < MAX_SIZE and self.begun.fullmatch(buffer)
            return Incomplete() if is_begun else Damaged("not a complete text")
        raw = self.raw(found)
        try:
            self.read(raw)
        except ValueError as error:
            return Damaged(str(error), found.end())
        return Packet(found.end(), self.format, self.serial(found), raw)


def unpack(read: Callable[[bytes], Values], labels: Sequence[str]) -> Callable[[bytes], Sequence[Number]]:
    """Return the function that unpacks the numbers of a text in the order of the labels."""

    def numbers(raw: bytes) -> Sequence[Number]:
        values = read(raw)
        return tuple(values.get(label) for label in labels)

    return numbers


def distinct(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the fields of a text by name. Raises ValueError for a name that is there twice: two texts ran together."""
    found: dict[str, str] = {}
    for name, value in fields:
        key = name.decode("ascii")
        if key in found:
            raise ValueError("a field is there twice")
        found[key] = value.decode("ascii")
    return found


def number(text: str) -> Number:
    """Return a number, whole where it is whole; None for an empty text."""
    if not text:
        return None
    value = float(text)
    return int(value) if value == int(value) else value


def counter(text: str, bits: int, scale: int = 1) -> int | None:
    """Return a counter, to the whole unit; None for an empty text, and for a number below zero, which none counts.

    Raises ValueError for one of more bits.
    """
    if not text or text[0] == "-":
        return None
    value = round(float(text) * scale) if "." in text else int(text) * scale
    if value >= 1 << bits:
        raise ValueError("a counter is out of its range")
    return value


def tenths(text: str) -> Number:
    """Return volts that are written without their point."""
    value = number(text)
    return None if value is None else value / 10


def serial_number(found: re.Match[bytes]) -> str:
    """Return the serial number in the first group, with the zeros in front that a program on the way may drop."""
    return found[1].decode("ascii").zfill(8)

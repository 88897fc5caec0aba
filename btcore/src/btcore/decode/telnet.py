# SPDX-License-Identifier: GPL-3.0-or-later
"""Transformers that undo what a telnet port does to the bytes of a meter.

A telnet port sends every FF twice, mixes the negotiation of its options (`FF FB 01`) into the bytes, and may send a NUL
after every CR (RFC 854). A transformer undoes one such change. Whether the change was made is decided where packets are
found (`framing.py`). The result does not depend on how the bytes were split.
"""

import re
from collections.abc import Callable, Iterator
from typing import Protocol

IAC = b"\xff"

MIN_PACKET = 24
"""The fewest bytes that may be a packet."""

MAX_HELD = 65_536
"""The most bytes that are held back until an FF comes twice: no packet is longer."""

MIN_RETURNS = 4
"""CRs in one packet that, if each has a NUL behind it, do not have it by chance."""

_MAX_OPTION = 32
"""The most bytes of a subnegotiation (`FF FA ... FF F0`); what is longer is something else."""

_BODY = b"(?:[^\xff]|\xff[^\xf0]){0,%d}+" % _MAX_OPTION
_TOKEN = re.compile(
    b"(?P<text>(?:[^\xff]++|\xff\xff)++)"
    b"|\xff(?:[\xec-\xf9]|[\xfb-\xfe].|\xfa%b\xff\xf0)"  # a command, the offer of an option, a subnegotiation
    b"|(?P<begun>\xff(?:[\xfb-\xfe]|\xfa%b\xff?)?\\Z)"
    b"|(?P<alone>\xff)" % (_BODY, _BODY),
    re.DOTALL,
)


IsPacket = Callable[[bytes], bool]
"""Whether some bytes are one packet."""


class Transformer(Protocol):
    """Undoes one kind of change in a stream of bytes."""

    def undo(self, data: bytes) -> Iterator[bytes | None]:
        """Yield the bytes without the change; None where they were not changed, which ends the packet before."""

    @staticmethod
    def proves(found: bytes, is_packet: IsPacket) -> bool:
        """Whether a packet in the result is there only because the change was undone."""


class Doubled:
    """Undoes that every FF comes twice, with telnet's negotiation between the bytes.

    Bytes between two single FFs that begin no negotiation are passed on only if they are long enough for a packet and
    an FF came twice in them. So it costs little to find that bytes were not changed in this way.
    """

    def __init__(self) -> None:
        """Begin with nothing held back."""
        self._begun = b""  # bytes not looked at yet, or the beginning of a negotiation
        self._text = bytearray()
        self._is_doubled = False
        self._is_long = False

    def undo(self, data: bytes) -> Iterator[bytes | None]:
        """Yield the bytes with each FF once and without negotiation; None at a single FF that begins none."""
        buffer, self._begun = self._begun + data, b""
        if not self._is_doubled and IAC * 2 not in buffer:  # nothing to undo so far
            if len(buffer) > MAX_HELD:
                self._text.clear()
            self._begun = buffer[-MAX_HELD:]
            return
        for token in _TOKEN.finditer(buffer):
            if token.lastgroup == "text":
                self._add(token[0])
            elif token.lastgroup == "begun":
                self._begun = token[0]
            elif token.lastgroup == "alone":
                yield from self._take(at_end=True)
        yield from self._take(at_end=False)

    def _add(self, text: bytes) -> None:
        if not self._is_doubled:
            self._is_doubled = IAC in text
            first = text.find(IAC) if self._is_doubled else len(text)
            self._text += text[:first]
            del self._text[:-MAX_HELD]
            text = text[first:]
        self._text += text.replace(IAC * 2, IAC)

    def _take(self, *, at_end: bool) -> Iterator[bytes | None]:
        self._is_long = self._is_long or (self._is_doubled and len(self._text) >= MIN_PACKET)
        if self._is_long and self._text:
            yield bytes(self._text)
        if self._is_long and at_end:
            yield None
        if self._is_long or at_end:
            self._text.clear()
        self._is_long = self._is_long and not at_end
        self._is_doubled = self._is_doubled and not at_end

    @staticmethod
    def proves(found: bytes, is_packet: IsPacket) -> bool:
        """Whether there is an FF in it, which was doubled, and no other packet when `Stuffed` undoes its change, too.

        A NUL changes no checksum, so a BIN48-NET packet with six of them would be taken for a BIN48-NET-TIME one.
        """
        returns = found.count(b"\r")
        is_stuffed = returns >= MIN_RETURNS and returns == found.count(b"\r\0")
        return IAC in found and not (is_stuffed and is_packet(found.replace(b"\r\0", b"\r")))


class Stuffed:
    """Undoes that a NUL comes after every CR."""

    def __init__(self) -> None:
        """Begin with no CR before."""
        self._after_return = False

    def undo(self, data: bytes) -> Iterator[bytes | None]:
        """Yield the bytes without the NUL after each CR."""
        start = 1 if self._after_return and data[:1] == b"\0" else 0
        self._after_return = data.endswith(b"\r")
        yield data[start:].replace(b"\r\0", b"\r")

    @staticmethod
    def proves(found: bytes, _is_packet: IsPacket) -> bool:
        """Whether there is a CR in it, which had a NUL behind it, and an FF, which was doubled."""
        return b"\r" in found and IAC in found

"""What a telnet port does to the bytes of a meter, undone: transformers of bytes, and no more.

A telnet port sends every FF twice, mixes the negotiation of its options (`FF FB 01`) into the bytes, and may send a NUL
after every CR (RFC 854). Here bytes become what they were if that is what happened; whether it happened is not decided
here but where packets are found. Each transformer gives the same for every splitting of the bytes.
"""

import re
from collections.abc import Iterator
from typing import Protocol

IAC = b"\xff"

SHORTEST = 24
"""Bytes that may be a packet: fewer prove nothing."""

HELD = 65_536
"""Bytes that are held back until an FF comes twice: no packet is longer."""

MANY = 4
"""CRs of one packet that do not all have a NUL behind them by chance."""

_LONGEST_OPTION = 32
"""Bytes of a subnegotiation (`FF FA ... FF F0`) that are believed to be one."""

_BODY = b"(?:[^\xff]|\xff[^\xf0]){0,%d}+" % _LONGEST_OPTION
_TOKEN = re.compile(
    b"(?P<text>(?:[^\xff]++|\xff\xff)++)"
    b"|\xff(?:[\xec-\xf9]|[\xfb-\xfe].|\xfa%b\xff\xf0)"  # a command, the offer of an option, a subnegotiation
    b"|(?P<begun>\xff(?:[\xfb-\xfe]|\xfa%b\xff?)?\\Z)"
    b"|(?P<alone>\xff)" % (_BODY, _BODY),
    re.DOTALL,
)


class Transformer(Protocol):
    """Undoes one kind of change in a stream of bytes."""

    def undo(self, data: bytes) -> Iterator[bytes | None]:
        """Yield what the bytes were; None where they were not changed in this way, which ends what was before."""

    @staticmethod
    def proves(found: bytes) -> bool:
        """Whether a packet in the result can only have come about by a change that was undone."""


class Doubled:
    """Every FF twice, and telnet's negotiation between the bytes.

    What is between two FFs that are neither is passed on only where it is long enough to prove anything, and an FF
    came twice in it: it costs little to find that bytes were not changed in this way.
    """

    def __init__(self) -> None:
        """Begin with nothing held back."""
        self._begun = b""  # what was not looked at yet, or an FF begins that is not complete
        self._text = bytearray()
        self._is_doubled = False
        self._is_long = False

    def undo(self, data: bytes) -> Iterator[bytes | None]:
        """Yield the bytes with each FF once and without negotiation; None at an FF that is neither."""
        buffer, self._begun = self._begun + data, b""
        if not self._is_doubled and IAC * 2 not in buffer:  # nothing to undo so far
            if len(buffer) > HELD:
                self._text.clear()
            self._begun = buffer[-HELD:]
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
            del self._text[:-HELD]
            text = text[first:]
        self._text += text.replace(IAC * 2, IAC)

    def _take(self, *, at_end: bool) -> Iterator[bytes | None]:
        self._is_long = self._is_long or (self._is_doubled and len(self._text) >= SHORTEST)
        if self._is_long and self._text:
            yield bytes(self._text)
        if self._is_long and at_end:
            yield None
        if self._is_long or at_end:
            self._text.clear()
        self._is_long = self._is_long and not at_end
        self._is_doubled = self._is_doubled and not at_end

    @staticmethod
    def proves(found: bytes) -> bool:
        """Whether there is an FF in it: it was doubled. Not where each of its many CRs has a NUL: see `Stuffed`.

        For a NUL changes no checksum: six of them make of a BIN48-NET packet what passes for a BIN48-NET-TIME one.
        """
        returns = found.count(b"\r")
        return IAC in found and not (returns >= MANY and returns == found.count(b"\r\0"))


class Stuffed:
    """A NUL after every CR."""

    def __init__(self) -> None:
        """Begin."""
        self._after_return = False

    def undo(self, data: bytes) -> Iterator[bytes | None]:
        """Yield the bytes without the NUL after each CR."""
        start = 1 if self._after_return and data[:1] == b"\0" else 0
        self._after_return = data.endswith(b"\r")
        yield data[start:].replace(b"\r\0", b"\r")

    @staticmethod
    def proves(found: bytes) -> bool:
        """Whether there is a CR in it, after which a NUL came, and an FF, which was doubled."""
        return b"\r" in found and IAC in found

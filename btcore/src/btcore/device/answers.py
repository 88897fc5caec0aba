# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in on a line without the packets in it: an answer may come before, after or between two packets.

Pure: bytes go in, the bytes of answers come out. The packets themselves go to the decoders by another way.
"""

from btcore.classes import define
from btcore.decode.brultech import HEADER, Brultech
from btcore.records import Incomplete, Packet

_DECODER = Brultech()

MAX_OUTSIDE = 1 << 14
"""Bytes that are kept of what is no packet: the longest answer has 1542."""


@define
class AnswerBytes:
    """The bytes outside of packets, and how many packets there were."""

    outside: bytes = b""
    packets: int = 0
    total: int = 0
    _held: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take what came in. The beginning of a packet is held until the rest of it is there."""
        self.total += len(data)
        self._held += data
        view = memoryview(self._held)
        start = 0
        found = b""
        while start < len(view):
            seen = _DECODER.decode_packet(view[start:])
            if isinstance(seen, Incomplete):
                break
            if isinstance(seen, Packet):
                self.packets += 1
                start += seen.size
            else:
                end = self._held.find(HEADER[0], start + 1)
                end = len(view) if end < 0 else end
                found += self._held[start:end]
                start = end
        self._held = self._held[start:]
        self.outside = (self.outside + found)[-MAX_OUTSIDE:]

    def settle(self) -> None:
        """Take note that the line is quiet: what looked like the beginning of a packet was none."""
        held, self._held = self._held, b""
        self.outside = (self.outside + held)[-MAX_OUTSIDE:]

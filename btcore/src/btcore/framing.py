"""Finding packets in a stream of bytes: any mix of formats, any splitting of the bytes, any junk between.

Pure: no socket, clock, thread or log. The strategy: ask the decoders at the first place where a packet could start. A
whole packet is taken; an incomplete one is waited for; anything else costs one byte, and the next place is tried. So a
damaged packet costs only itself: an intact one that began within it is found as soon as the damaged one is known to be
damaged. As nothing is looked at beyond a packet that is still incomplete, the packets do not depend on how the bytes
were split.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

import attrs

from btcore.records import Damaged, More, Packet

Decode = Callable[[memoryview], Packet | More | Damaged | None]

LONGEST_PACKET = 1 << 16
"""Bytes after which a decoder that still asks for more is not believed."""


@attrs.define
class Counts:
    """What was found: whole packets, bytes that belong to none, and packets that were begun but are not whole."""

    packets: int = 0
    junk: int = 0
    damaged: int = 0

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.packets} packets, {self.junk} junk bytes, {self.damaged} damaged packets"


class Stream:
    """The framing buffer of one stream.

    `decode` looks at the start of a buffer. `headers` are the bytes that packets start with, when all decoders tell
    them: then whatever is between is skipped without asking. `counts` may be shared by several streams.
    """

    def __init__(self, decode: Decode, headers: tuple[bytes, ...] = (), counts: Counts | None = None) -> None:
        """Begin with an empty buffer."""
        self.counts = counts or Counts()
        self.quiet_bytes = 0
        self._decode = decode
        self._headers = headers
        self._rest = b""
        self._arrivals: deque[tuple[int, datetime | Iterator[datetime]]] = deque()

    def feed(self, data: bytes, time: datetime | Iterator[datetime]) -> Iterator[tuple[Packet, datetime]]:
        """Yield the packets that these bytes complete, each with the time at which its last byte came in.

        `time` is that of these bytes, or an iterator that is asked once for each packet that ends in them.
        `quiet_bytes` counts the bytes since the last packet.
        """
        self._arrivals.append((len(self._rest) + len(data), time))
        self.quiet_bytes += len(data)
        return self._packets(self._rest + data, final=False)

    def close(self) -> Iterator[tuple[Packet, datetime]]:
        """Yield what is left when no more bytes will come: an incomplete packet is a damaged one now."""
        return self._packets(self._rest, final=True)

    def _packets(self, buffer: bytes, *, final: bool) -> Iterator[tuple[Packet, datetime]]:
        view = memoryview(buffer)
        at = 0
        while (at := self._skip(buffer, at)) < len(buffer):
            answer = self._decode(view[at:])
            if isinstance(answer, Packet) and 0 < answer.size <= len(buffer) - at:
                at += answer.size
                self.counts.packets += 1
                self.quiet_bytes = len(buffer) - at
                yield answer, self._arrival(at)
            elif isinstance(answer, More) and not final and len(buffer) - at < LONGEST_PACKET:
                break
            else:
                self._give_up(answer, len(buffer) - at)
                at += 1
        self._rest = buffer[at:]
        self._arrivals = deque((end - at, time) for end, time in self._arrivals if end > at)

    def _skip(self, buffer: bytes, at: int) -> int:
        """Move to the next place where a packet could start, which may be a header that is not complete yet."""
        if not self._headers:
            return at
        places = [place for place in (buffer.find(header, at) for header in self._headers) if place >= 0]
        longest = max(map(len, self._headers))
        place = min(places) if places else max(at, len(buffer) - longest + 1)
        self.counts.junk += place - at
        return place

    def _give_up(self, answer: Packet | More | Damaged | None, left: int) -> None:
        self.counts.junk += 1
        # an incomplete packet at the end counts as damaged once its header is there, not for a lone header byte
        begun = isinstance(answer, More) and left > max(map(len, self._headers), default=0)
        if isinstance(answer, Damaged) or begun:
            self.counts.damaged += 1

    def _arrival(self, end: int) -> datetime:
        time = next(time for place, time in self._arrivals if place >= end)
        return time if isinstance(time, datetime) else next(time)

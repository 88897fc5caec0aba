"""Finding packets in a stream of bytes: any mix of formats, any splitting of the bytes, any junk between.

Pure: no socket, clock, thread or log. The strategy: ask the decoders at the first place where a packet could start. A
whole packet is taken; an incomplete one is waited for; anything else costs one byte (or as many as are known to belong
to it), and the next place is tried. So a damaged packet costs only itself: an intact one that began within it is found
as soon as the damaged one is known to be damaged. As nothing is looked at beyond a packet that is still incomplete, the
packets do not depend on how the bytes were split.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

import attrs

from btcore.records import Damaged, More, Packet, Unwanted
from btcore.wording import counted

Answer = Packet | More | Damaged | Unwanted | None
Decode = Callable[[memoryview], Answer]

Time = datetime | Iterator[datetime]

LONGEST_PACKET = 1 << 16
"""Bytes after which a decoder that still asks for more is not believed."""


@attrs.define
class Counts:
    """What was found: whole packets, bytes that belong to none, and packets that were begun but are not whole."""

    packets: int = 0
    junk: int = 0
    damaged: int = 0

    def __str__(self) -> str:
        """One line, always of this form: other programs read it."""
        return f"{self.packets} packets, {self.junk} junk bytes, {self.damaged} damaged packets"

    def told(self) -> str:
        """Tell them as a person says it."""
        found = ((self.packets, "packet"), (self.junk, "junk byte"), (self.damaged, "damaged packet"))
        return ", ".join(counted(number, thing) for number, thing in found)


class Stream:
    """The framing buffer of one stream.

    `decode` looks at the start of a buffer. `headers` are the bytes that packets start with, when all decoders tell
    them: then whatever is between is skipped without asking. `candidates` are regular expressions that are true where
    asking is worth it, when all decoders tell those too: a header where none of them is true begins a damaged packet.
    `counts` may be shared by several streams. `quiet_bytes` counts the bytes since the last packet.
    """

    def __init__(
        self,
        decode: Decode,
        headers: tuple[bytes, ...] = (),
        counts: Counts | None = None,
        candidates: tuple[bytes, ...] = (),
    ) -> None:
        """Begin with an empty buffer."""
        self.counts = counts or Counts()
        self.quiet_bytes = 0
        self._decode = decode
        self._header = re.compile(b"|".join(map(re.escape, headers)))
        self._header_size = max(map(len, headers), default=0)
        self._candidate = re.compile(b"|".join(b"(?s:%b)" % one for one in candidates)) if candidates else None
        self._rest = b""
        self._end = 0  # place of the last byte that came in, counted from the first of all
        self._arrivals: deque[tuple[int, Time]] = deque()

    def feed(self, data: bytes, time: Time) -> list[tuple[Packet, datetime]]:
        """Return the packets that these bytes complete, each with the time at which its last byte came in.

        `time` is that of these bytes, or an iterator that is asked once for each packet that ends in them.
        """
        if not data:
            return []
        self._end += len(data)
        self._arrivals.append((self._end, time))
        self.quiet_bytes += len(data)
        return self._packets(self._rest + data, final=False)

    def close(self) -> list[tuple[Packet, datetime]]:
        """Return what is left when no more bytes will come: an incomplete packet is a damaged one now."""
        return self._packets(self._rest, final=True)

    def _packets(self, buffer: bytes, *, final: bool) -> list[tuple[Packet, datetime]]:
        found: list[tuple[Packet, datetime]] = []
        view = memoryview(buffer)
        begin = self._end - len(buffer)
        at = 0
        while (at := self._skip(buffer, at)) < len(buffer):
            left = len(buffer) - at
            answer = self._decode(view[at:])
            if isinstance(answer, Packet) and 0 < answer.size <= left:
                at += answer.size
                found.append((answer, self._arrival(begin + at)))
                self.counts.packets += 1
                self.quiet_bytes = len(buffer) - at
            elif isinstance(answer, More) and not final and left < LONGEST_PACKET:
                break
            else:
                size = min(answer.size, left) if isinstance(answer, Damaged | Unwanted) else 1
                at += size
                self.counts.junk += size
                self.counts.damaged += self._is_damaged(answer, left)
        self._rest = buffer[at:]
        self._forget(begin + at + 1)
        return found

    def _skip(self, buffer: bytes, at: int) -> int:
        """Move to the next place where a packet could start, which may be a header that is not complete yet."""
        found = (self._candidate or self._header).search(buffer, at)
        place = found.start() if found else max(at, len(buffer) - self._header_size + 1)
        if self._candidate is not None:
            self.counts.damaged += len(self._header.findall(buffer, at, place))
        self.counts.junk += place - at
        return place

    def _is_damaged(self, answer: Answer, left: int) -> bool:
        """Whether what was given up is a packet that is not whole, and not a lone header at the end."""
        return isinstance(answer, Damaged) or (isinstance(answer, More) and left > self._header_size)

    def _arrival(self, end: int) -> datetime:
        self._forget(end)
        time = self._arrivals[0][1]
        return time if isinstance(time, datetime) else next(time)

    def _forget(self, place: int) -> None:
        """Drop the arrivals of bytes before a place."""
        while self._arrivals and self._arrivals[0][0] < place:
            self._arrivals.popleft()

"""Finding packets in a stream of bytes: any mix of formats, any splitting of the bytes, any junk between.

Pure: no socket, clock, thread or log. The strategy: ask the decoders at the first place where a packet could start. A
whole packet is taken; an incomplete one is waited for; anything else costs one byte (or as many as are known to belong
to it), and the next place is tried. So a damaged packet costs only itself: an intact one that began within it is found
as soon as the damaged one is known to be damaged. As nothing is looked at beyond a packet that is still incomplete, the
packets do not depend on how the bytes were split.

What is known to be junk may be looked at again, as what a transformer makes of it (a telnet port's doubled FF, undone).
So bytes that make a packet as they are never depend on a transformer, and cost nothing by it.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

import attrs

from btcore.decode.telnet import Transformer
from btcore.records import Damaged, Incomplete, Packet, Unwanted
from btcore.text import plural

Answer = Packet | Incomplete | Damaged | Unwanted | None
Decode = Callable[[memoryview], Answer]

Time = datetime | Iterator[datetime]
Found = list[tuple[Packet, datetime]]

LONGEST_PACKET = 1 << 16
"""Bytes after which a decoder that still asks for more is not believed."""


@attrs.define
class Counts:
    """What was found: whole packets, bytes that belong to none, and packets that were begun but are not whole."""

    packets: int = 0
    junk: int = 0
    damaged: int = 0

    def __str__(self) -> str:
        """Tell them as a person says it."""
        found = ((self.packets, "packet"), (self.junk, "junk byte"), (self.damaged, "damaged packet"))
        return ", ".join(plural(number, thing) for number, thing in found)


class Stream:
    """The framing buffer of one stream.

    `decode` looks at the start of a buffer. `headers` are the bytes that packets start with, when all decoders tell
    them: then whatever is between is skipped without asking. `candidates` are regular expressions that are true where
    asking is worth it, when all decoders tell those too: a header where none of them is true begins a damaged packet.
    `counts` may be shared by several streams. `bytes_since_packet` counts the bytes since the last packet. `again`
    makes what looks at junk once more, and `undone` counts the packets that were found so. `unwanted` is the format of
    the last packet that was found and not taken.
    """

    def __init__(
        self,
        decode: Decode,
        headers: tuple[bytes, ...] = (),
        counts: Counts | None = None,
        candidates: tuple[bytes, ...] = (),
        again: "Callable[[], Again] | None" = None,
    ) -> None:
        """Begin with an empty buffer."""
        self.counts = counts or Counts()
        self.bytes_since_packet = 0
        self.undone = 0
        self.unwanted = ""
        self._make_again = again
        self._again: Again | None = None
        self._is_undoing = False  # junk came since the last packet
        self._decode = decode
        self._header = re.compile(b"|".join(map(re.escape, headers)))
        self._header_size = max(map(len, headers), default=0)
        self._candidate = re.compile(b"|".join(b"(?s:%b)" % one for one in candidates)) if candidates else None
        self._rest = b""
        self._end = 0  # place of the last byte that came in, counted from the first of all
        self._arrivals: deque[tuple[int, Time]] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether what came last may be the beginning of a packet."""
        return bool(self._rest) or (self._again is not None and self._again.is_waiting)

    def feed(self, data: bytes, time: Time) -> Found:
        """Return the packets that these bytes complete, each with the time at which its last byte came in.

        `time` is that of these bytes, or an iterator that is asked once for each packet that ends in them.
        """
        if not data:
            return []
        self._end += len(data)
        self._arrivals.append((self._end, time))
        self.bytes_since_packet += len(data)
        return self._packets(self._rest + data, final=False)

    def close(self) -> Found:
        """Return what is left when no more bytes will come: an incomplete packet is a damaged one now."""
        return self._packets(self._rest, final=True)

    def _packets(self, buffer: bytes, *, final: bool) -> Found:
        found: Found = []
        view = memoryview(buffer)
        begin = self._end - len(buffer)
        at = junk = 0
        while (at := self._skip(buffer, at)) < len(buffer):
            left = len(buffer) - at
            answer = self._decode(view[at:])
            if isinstance(answer, Packet) and 0 < answer.size <= left:
                found += self._undo(buffer[junk:at], begin + junk, final=True)
                at += answer.size
                found.append((answer, self._arrival(begin + at)))
                self.counts.packets += 1
                self.bytes_since_packet = len(buffer) - at
                junk = at
            elif isinstance(answer, Incomplete) and not final and left < LONGEST_PACKET:
                break
            else:
                size = min(answer.size, left) if isinstance(answer, Damaged | Unwanted) else 1
                self.unwanted = answer.format if isinstance(answer, Unwanted) else self.unwanted
                at += size
                self.counts.junk += size
                self.counts.damaged += self._is_damaged(answer, left)
        found += self._undo(buffer[junk:at], begin + junk, final=final)
        self._rest = buffer[at:]
        self._forget(begin + at + 1)
        return found

    def _undo(self, junk: bytes, begin: int, *, final: bool) -> Found:
        """Return the packets in junk once it is undone; `final`: a packet comes after it, or nothing."""
        if self._make_again is None or not (junk or (final and self._is_undoing)):
            return []
        self._again = self._again or self._make_again()
        found = [each for piece, time in self._pieces(junk, begin) for each in self._again.feed(piece, time)]
        if final:
            found += self._again.close()
        self._is_undoing = not final
        if found:
            self.undone += len(found)
            self.counts.packets += len(found)
            self.counts.junk -= sum(packet.size for packet, _ in found)
            self.bytes_since_packet = self._again.bytes_since_packet + self._end - begin - len(junk)
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
        return isinstance(answer, Damaged) or (isinstance(answer, Incomplete) and left > self._header_size)

    def _arrival(self, end: int) -> datetime:
        self._forget(end)
        time = self._arrivals[0][1]
        return time if isinstance(time, datetime) else next(time)

    def _pieces(self, data: bytes, begin: int) -> Iterator[tuple[bytes, Time]]:
        """Cut bytes, the first of which has this place, by when they came in."""
        for end, time in self._arrivals:
            if end > begin and data:
                yield data[: end - begin], time
                data, begin = data[end - begin :], end

    def _forget(self, place: int) -> None:
        """Drop the arrivals of bytes before a place."""
        while self._arrivals and self._arrivals[0][0] < place:
            self._arrivals.popleft()


class Again:
    """A stream of what a transformer makes of junk."""

    def __init__(self, make: Callable[[], Transformer], stream: Stream) -> None:
        """Take a stream of its own, and what makes the transformer anew where junk begins."""
        self._make = make
        self._transformer = make()
        self._stream = stream

    @property
    def bytes_since_packet(self) -> int:
        """The bytes since the last packet."""
        return self._stream.bytes_since_packet

    @property
    def is_waiting(self) -> bool:
        """Whether what came last may be the beginning of a packet."""
        return self._stream.is_waiting

    def feed(self, data: bytes, time: Time) -> Found:
        """Return the packets that these bytes complete."""
        found: Found = []
        for piece in self._transformer.undo(data):
            found += self._stream.close() if piece is None else self._stream.feed(piece, time)
        return found

    def close(self) -> Found:
        """Return what is left when what comes next does not belong to it."""
        self._transformer = self._make()
        return self._stream.close()

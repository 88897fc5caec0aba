# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding packets in a stream of bytes: any mix of formats, any splitting of the bytes, any junk between.

Pure: no socket, clock, thread or log. The strategy: ask the decoders at the first byte where a packet could start. A
complete packet is taken, an incomplete one is waited for. Anything else is junk: one byte of it is skipped (or as many
as the decoder says), and the next byte is tried. So a damaged packet costs only itself: an intact packet that begins
within it is found once the damage is known. Nothing behind an incomplete packet is looked at, so the packets do not
depend on how the bytes were split.

Junk may be searched a second time, after a transformer has undone a change (a telnet port doubles each FF). Bytes that
are a packet without it never reach the transformer.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from itertools import repeat

from btcore.classes import define
from btcore.decode.arrivals import Arrivals, Time
from btcore.decode.frames import FindPackets
from btcore.decode.telnet import Transformer
from btcore.records import Damaged, Incomplete, Packet, Unwanted
from btcore.text import plural

Answer = Packet | Incomplete | Damaged | Unwanted | None
Decode = Callable[[memoryview], Answer]

Found = list[tuple[Packet, datetime]]
OnPiece = Callable[[bytes, Packet | None], object]
"""Called with the bytes of each packet, and with the bytes between packets, in the order of the stream."""

Ahead = tuple[list[Packet], int]
"""What `find` has found at the beginning of a buffer."""

MAX_PACKET = 1 << 16
"""Bytes of the longest packet: a decoder that asks for more is not waited for."""


@define
class StreamCounts:
    """Counts of what was found in streams: complete packets, junk bytes, and damaged packets."""

    packets: int = 0
    junk: int = 0
    damaged: int = 0

    def __str__(self) -> str:
        """Format them for a person."""
        found = ((self.packets, "packet"), (self.junk, "junk byte"), (self.damaged, "damaged packet"))
        return ", ".join(plural(number, thing) for number, thing in found)


class Stream:
    """The framing buffer of one stream.

    `decode` looks at the start of a buffer. `headers` are the bytes that packets start with, if all decoders name them:
    other bytes are skipped without asking a decoder. `candidates` are regular expressions that match where a packet may
    start, if all decoders have one: a header where none matches begins a damaged packet. `counts` may be shared by
    several streams. `second_look` makes a `SecondLook` at junk. `find` is a shorter way to the packets that follow each
    other without a byte between.

    `undone` counts the packets that were found by the second look. `unwanted` is the format of the last packet of a
    format that is not taken.
    """

    def __init__(
        self,
        decode: Decode,
        headers: tuple[bytes, ...] = (),
        counts: StreamCounts | None = None,
        candidates: tuple[bytes, ...] = (),
        second_look: "Callable[[], SecondLook] | None" = None,
        find: FindPackets | None = None,
    ) -> None:
        """Begin with an empty buffer."""
        self.counts = counts or StreamCounts()
        self.undone = 0
        self.unwanted = ""
        self.on_piece: OnPiece | None = None
        self._make_second_look = second_look
        self._second_look: SecondLook | None = None
        self._is_undoing = False  # junk came since the last packet
        self._decode = decode
        self._header, self._candidate = _patterns(headers, candidates)
        self._header_size = max(map(len, headers), default=0)
        self._find = find
        self._rest = b""  # what was looked at, and may be the beginning of a packet
        self._pieces: list[bytes] = []  # what came in since
        self._times: list[Time] = []  # and when
        self._asked = self._missing = 0  # bytes that had to come in then, and those of them that have not yet
        self._since = 0  # bytes that have been looked at since the last packet
        self._arrivals = Arrivals()

    @property
    def is_waiting(self) -> bool:
        """Whether the last bytes may be the beginning of a packet."""
        return bool(self.rest) or (self._second_look is not None and self._second_look.is_waiting)

    @property
    def rest(self) -> bytes:
        """The last bytes, which may be the beginning of a packet."""
        if len(self._pieces) == 1 and not self._rest:
            return self._pieces[0]  # it may be large, and is not copied
        return b"".join((self._rest, *self._pieces)) if self._pieces else self._rest

    @property
    def bytes_since_packet(self) -> int:
        """The bytes since the last packet."""
        return self._since + self._asked - self._missing

    def feed(self, data: bytes, time: Time) -> Found:
        """Return the packets that these bytes complete, each with the time at which its last byte came in.

        `time` is that of these bytes, or an iterator that is asked once for each packet that ends in them.
        """
        if not data:
            return []
        ahead = None
        if self._find is not None and not (self._rest or self._pieces or self._is_undoing):
            ahead = self._find(data, 0)
            if ahead[0] and isinstance(time, datetime) and sum([packet.size for packet in ahead[0]]) == len(data):
                return self._alone(ahead[0], len(data), time)  # nearly always so, where a meter has a connection
        # what cannot be complete yet is not even put together: 0.1 µs for a byte
        self._pieces.append(data)
        self._times.append(time)
        self._missing = missing = self._missing - len(data)
        return [] if missing > 0 else self._packets(final=False, ahead=ahead)

    def _alone(self, packets: list[Packet], size: int, time: datetime) -> Found:
        """Return packets that came in at once, with nothing before, between or behind them: nothing has to be kept."""
        self._arrivals.end += size
        self._since = 0
        self.counts.packets += len(packets)
        if self.on_piece is not None:
            for packet in packets:
                self.on_piece(packet.raw, packet)
        return [(packet, time) for packet in packets]

    def close(self) -> Found:
        """Return the last packets, as no more bytes will come: an incomplete packet counts as damaged now."""
        return self._packets(final=True)

    def _take(self) -> bytes:
        """Return what was left and what came in, and note when each of it came."""
        pieces, buffer = self._pieces, self.rest
        if pieces:
            size = self._asked - self._missing
            self._since += size
            self._arrivals.add(size, [*map(len, pieces)], self._times)
            self._pieces, self._times = [], []
        self._asked = self._missing = 0
        return buffer

    def _packets(self, *, final: bool, ahead: Ahead | None = None) -> Found:
        found: Found = []
        buffer = self._take()
        begin = self._arrivals.end - len(buffer)
        at, size = self._intact(buffer, 0, begin, found, ahead)
        junk = at
        while not (size and not final) and (at := self._skip(buffer, at)) < len(buffer):
            left = len(buffer) - at
            answer = self._decode(memoryview(buffer)[at:])
            if isinstance(answer, Packet) and 0 < answer.size <= left:
                if at > junk or self._is_undoing:
                    found += self._junk(buffer[junk:at], begin + junk, final=True)
                self._piece(buffer[at : at + answer.size], answer)  # as it came: `raw` may leave out a key
                at += answer.size
                found.append((answer, self._arrivals.time_at(begin + at)))
                self.counts.packets += 1
                self._since = len(buffer) - at
                at, size = self._intact(buffer, at, begin, found)
                junk = at
            elif isinstance(answer, Incomplete) and not final and left < MAX_PACKET:
                self._asked = self._missing = max(min(answer.size, MAX_PACKET) - left, 0)
                break
            else:
                skipped = min(answer.size, left) if isinstance(answer, Damaged | Unwanted) else 1
                self.unwanted = answer.format if isinstance(answer, Unwanted) else self.unwanted
                at += skipped
                self.counts.junk += skipped
                self.counts.damaged += self._is_damaged(answer, left)
        if size and not final:
            self._asked = self._missing = size - (len(buffer) - at)
        else:
            found += self._junk(buffer[junk:at], begin + junk, final=final)
        self._rest = buffer[at:]
        self._arrivals.forget(begin + at + 1)
        return found

    def _intact(self, buffer: bytes, at: int, begin: int, found: Found, ahead: Ahead | None = None) -> tuple[int, int]:
        """Add the packets that follow each other from here on, as `find` finds them, or has found them already.

        Return where the last one ends, and the bytes of the next one, if it is known not to be complete; else 0.
        """
        if self._find is None or self._is_undoing:
            return at, 0
        packets, size = ahead or self._find(buffer, at)
        if not packets:
            return at, size
        time = self._arrivals.only() if at + packets[0].size < len(buffer) else None
        if time is not None:
            found += zip(packets, repeat(time))
            at += sum(packet.size for packet in packets)
        else:
            for packet in packets:
                at += packet.size
                found.append((packet, self._arrivals.time_at(begin + at)))
        if self.on_piece is not None:
            for packet in packets:
                self.on_piece(packet.raw, packet)
        self.counts.packets += len(packets)
        self._since = len(buffer) - at
        return at, size

    def _junk(self, junk: bytes, begin: int, *, final: bool) -> Found:
        """Return the packets that a second look finds in junk. They are its pieces; without any, the junk is one."""
        found = self._undo(junk, begin, final=final)
        for packet, _ in found:
            self._piece(packet.raw, packet)
        if junk and not found:
            self._piece(junk, None)
        return found

    def _piece(self, data: bytes, packet: Packet | None) -> None:
        if self.on_piece is not None:
            self.on_piece(data, packet)

    def _undo(self, junk: bytes, begin: int, *, final: bool) -> Found:
        """Return the packets that a second look finds in junk; `final`: the junk ends here."""
        if self._make_second_look is None or not (junk or (final and self._is_undoing)):
            return []
        self._second_look = self._second_look or self._make_second_look()
        found = [
            each for piece, time in self._arrivals.split(junk, begin) for each in self._second_look.feed(piece, time)
        ]
        if final:
            found += self._second_look.close()
        self._is_undoing = not final
        if found:
            self.undone += len(found)
            self.counts.packets += len(found)
            self.counts.junk -= sum(packet.size for packet, _ in found)
            self._since = self._second_look.bytes_since_packet + self._arrivals.end - begin - len(junk)
        return found

    def _skip(self, buffer: bytes, at: int) -> int:
        """Return the next index at which a packet could start, which may be a header that is not complete yet."""
        found = (self._candidate or self._header).search(buffer, at)
        start = found.start() if found else max(at, len(buffer) - self._header_size + 1)
        if start == at:
            return start
        if self._candidate is not None:
            self.counts.damaged += len(self._header.findall(buffer, at, start))
        self.counts.junk += start - at
        return start

    def _is_damaged(self, answer: Answer, left: int) -> bool:
        """Whether the junk is a damaged packet, and not a lone header at the end."""
        return isinstance(answer, Damaged) or (isinstance(answer, Incomplete) and left > self._header_size)


@lru_cache(maxsize=64)
def _patterns(
    headers: tuple[bytes, ...], candidates: tuple[bytes, ...]
) -> tuple[re.Pattern[bytes], re.Pattern[bytes] | None]:
    """Return what finds headers, and what finds candidates, if there are any."""
    either = b"|".join(b"(?s:%b)" % one for one in candidates)
    return re.compile(b"|".join(map(re.escape, headers))), re.compile(either) if candidates else None


class SecondLook:
    """A second search for packets in junk, in what a transformer makes of it."""

    def __init__(self, make: Callable[[], Transformer], stream: Stream) -> None:
        """Take a stream of its own, and the function that makes a new transformer where junk begins."""
        self._make = make
        self._transformer = make()
        self._stream = stream

    @property
    def bytes_since_packet(self) -> int:
        """The bytes since the last packet."""
        return self._stream.bytes_since_packet

    @property
    def is_waiting(self) -> bool:
        """Whether the last bytes may be the beginning of a packet."""
        return self._stream.is_waiting

    def feed(self, data: bytes, time: Time) -> Found:
        """Return the packets that these bytes complete."""
        found: Found = []
        for piece in self._transformer.undo(data):
            found += self._stream.close() if piece is None else self._stream.feed(piece, time)
        return found

    def close(self) -> Found:
        """Return the last packets, as the junk ends here."""
        self._transformer = self._make()
        return self._stream.close()

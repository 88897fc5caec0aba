# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of a network as files: frames with their times are read from classic pcap and from pcapng.

What a frame contains is read in `tcp_streams.py`. A file that is cut off or damaged gives the frames before the damage,
as these formats have no mark by which the next frame could be found. One frame at a time is in memory.
"""

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BufferedReader

from btcore.classes import define, field, frozen

MAX_FRAME = 1 << 18
"""Bytes of the longest frame that any tool records; a longer one is damaged."""

MAX_BLOCK = 1 << 24
"""Bytes of the longest block of pcapng; a longer one is damaged."""

MAX_INTERFACES = 1024

CLASSIC = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">"}
"""The first bytes of a classic file, and its byte order; the last two have times in nanoseconds."""
NANOSECONDS = (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")

SECTION = b"\x0a\x0d\x0d\x0a"
"""The first bytes of each section of pcapng, and so of the file."""

_INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 1, 2, 3, 6
_RESOLUTION = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Damaged = Callable[[str], None]


@frozen
class Frame:
    """One frame of a network. `link` is the type of the link, by the numbers of tcpdump.org.

    `time` is None if the file has none. `size` is the length on the network, which is more than was recorded if the
    frame was cut.
    """

    time: datetime | None
    link: int
    data: bytes
    size: int


class _Broken(Exception):
    """The file is damaged from here on; the text says why."""


def is_pcap(head: bytes) -> bool:
    """Whether a file that begins so is a recording in either format."""
    return head[:4] in CLASSIC or head[:4] == SECTION


def read_pcap(file: BufferedReader, damaged: Damaged) -> Iterator[Frame]:
    """Yield the frames of a recording, in the order of the file; `damaged` gets the reason if it is damaged."""
    try:
        magic = _exactly(file, 4)
        yield from _sections(file) if magic == SECTION else _classic(file, magic)
    except _Broken as error:
        damaged(str(error))


def _exactly(file: BufferedReader, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise _Broken("it ends in the middle of a packet")
    return data


def _classic(file: BufferedReader, magic: bytes) -> Iterator[Frame]:
    order, unit = CLASSIC[magic], 1_000 if magic in NANOSECONDS else 1
    (link,) = struct.unpack(f"{order}16xI", _exactly(file, 20))
    record = struct.Struct(f"{order}4I")
    while head := file.read(record.size):
        if len(head) < record.size:
            raise _Broken("it ends in the middle of a packet")
        seconds, fraction, kept, size = record.unpack(head)
        _check(kept)
        time = _time(seconds * 1_000_000 + fraction // unit)
        yield Frame(time, link & 0xFFFF, _exactly(file, kept), size)


def _check(kept: int) -> None:
    if kept > MAX_FRAME:
        raise _Broken(f"it has a packet of {kept} bytes, which is not possible: it is damaged from here on")


def _time(microseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


@frozen
class _Interface:
    """One interface: the type of its link, and how many ticks its clock has in a second."""

    link: int
    ticks: int


@define
class _Section:
    """One section: its byte order, and the interfaces so far."""

    order: str
    interfaces: list[_Interface] = field(factory=list)

    def block(self, kind: int, body: bytes) -> Frame | None:
        """Return the frame of a block; None if it has none."""
        try:
            if kind == _INTERFACE and len(self.interfaces) < MAX_INTERFACES:
                self.interfaces.append(self._interface(body))
            elif kind == _PACKET:
                number, high, low, kept, size = struct.unpack_from(f"{self.order}5I", body)
                return self._frame(number, high << 32 | low, body[20:], kept, size)
            elif kind == _OLD_PACKET:
                number, high, low, kept, size = struct.unpack_from(f"{self.order}H2x4I", body)
                return self._frame(number, high << 32 | low, body[20:], kept, size)
            elif kind == _SIMPLE:
                (size,) = struct.unpack_from(f"{self.order}I", body)
                return self._frame(0, None, body[4:], min(size, len(body) - 4), size)
        except struct.error:
            raise _Broken("it has a block that is too short: it is damaged from here on") from None
        return None

    def _frame(self, number: int, ticks: int | None, data: bytes, kept: int, size: int) -> Frame:
        _check(kept)
        if number >= len(self.interfaces) or kept > len(data):
            raise _Broken("it has a packet without an interface, or one that is cut: it is damaged from here on")
        interface = self.interfaces[number]
        time = None if ticks is None else _time(ticks * 1_000_000 // interface.ticks)
        return Frame(time, interface.link, data[:kept], size)

    def _interface(self, body: bytes) -> _Interface:
        (link,) = struct.unpack_from(f"{self.order}H6x", body)
        at, ticks = 8, 1_000_000
        while len(body) - at >= 4:  # noqa: PLR2004 - an option's head
            code, size = struct.unpack_from(f"{self.order}2H", body, at)
            if code == _RESOLUTION and size == 1 and at + 4 < len(body):
                ticks = _ticks(body[at + 4])
            at += 4 + -(-size // 4) * 4
            if code == 0:
                break
        return _Interface(link, ticks)


def _ticks(resolution: int) -> int:
    """Return how many ticks a second has: a power of two if the highest bit is set, else a power of ten."""
    return int(2 ** (resolution & 0x7F)) if resolution & 0x80 else int(10**resolution)


def _sections(file: BufferedReader) -> Iterator[Frame]:
    section = _begin(file)
    while head := file.read(4):
        if head == SECTION:
            section = _begin(file)
            continue
        if len(head) < 4:  # noqa: PLR2004 - the type of a block
            raise _Broken("it ends in the middle of a packet")
        (kind,) = struct.unpack(f"{section.order}I", head)
        frame = section.block(kind, _body(file, section.order, _exactly(file, 4), 8))
        if frame is not None:
            yield frame


def _begin(file: BufferedReader) -> _Section:
    """Read the rest of a section's first block."""
    size, magic = _exactly(file, 4), _exactly(file, 4)
    order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(magic)
    if order is None:
        raise _Broken("it has a section with an unknown byte order: it is damaged from here on")
    _body(file, order, size, 12)
    return _Section(order)


def _body(file: BufferedReader, order: str, size: bytes, before: int) -> bytes:
    """Return the rest of a block, without its length, which is repeated at the end; `before` bytes were read of it."""
    (length,) = struct.unpack(f"{order}I", size)
    if length % 4 or not before + 4 <= length <= MAX_BLOCK:
        raise _Broken(f"it has a block of {length} bytes, which is not possible: it is damaged from here on")
    return _exactly(file, length - before)[:-4]

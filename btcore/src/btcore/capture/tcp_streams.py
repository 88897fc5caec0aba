# SPDX-License-Identifier: GPL-3.0-or-later
"""The payloads of TCP connections, reassembled from the frames of a network: in order, and without retransmissions.

Frames are read in `pcap.py`. Each direction of a connection is a stream of its own. Memory is bounded: segments wait
only for a while for one that was not recorded, and the missing bytes are counted. Fragments of IP, and all that is not
TCP, are skipped.
"""

import ipaddress
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime

from btcore.capture.pcap import Frame
from btcore.classes import define, field, frozen

MAX_FLOWS = 4096
"""Directions of connections that are followed at once; above it, the one silent for longest is ended."""

MAX_WAITING = 1 << 18
"""Bytes of one direction that wait for an earlier segment."""

MAX_TOTAL_WAITING = 1 << 24
"""The same for all directions together."""

MAX_WAITING_SEGMENTS = 256
"""Segments of one direction that wait for an earlier one."""

WINDOW = 1 << 28
"""A segment whose sequence number is farther away is of another connection between the same two ports."""

LINKS = {1: "Ethernet", 113: "Linux cooked", 276: "Linux cooked", 101: "IP", 12: "IP", 14: "IP", 228: "IP", 229: "IP"}
LOOPBACK = (0, 108)

_ETHERNET, _COOKED, _COOKED_2 = 1, 113, 276
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = {0x8100, 0x88A8, 0x9100}
_TCP = 6
_EXTENSIONS = {0, 43, 60, 135}
_FRAGMENT = 44
_FIN, _SYN, _RST = 1, 2, 4

Address = tuple[bytes, int]


@frozen
class Payload:
    """Bytes of one direction of a connection, in order; `end`: they are the last ones."""

    data: bytes
    stream: str
    time: datetime | None
    end: bool = False


@frozen
class _Segment:
    """One TCP segment. `sequence` is its sequence number, `missing` how many of its bytes were not recorded."""

    source: Address
    target: Address
    sequence: int
    flags: int
    data: bytes
    missing: int


class TcpStreams:
    """Reassembles the payloads of frames. `skipped` counts what could not be used, by what it is and why."""

    def __init__(self) -> None:
        """Begin with no connection."""
        self.skipped: Counter[tuple[str, str]] = Counter()
        self._flows: OrderedDict[tuple[Address, Address], _Flow] = OrderedDict()
        self._waiting = 0
        self._count = 0

    def payloads(self, frames: Iterable[Frame]) -> Iterator[Payload]:
        """Yield the payloads of all connections; after the last frame, also those that still wait for a segment."""
        for frame in frames:
            segment = self._segment(frame)
            if segment is not None:
                yield from self._take(segment, frame.time)
        for flow in list(self._flows.values()):
            yield from self._end(flow)

    def _take(self, segment: _Segment, time: datetime | None) -> Iterator[Payload]:
        key = (segment.source, segment.target)
        flow = self._flows.get(key)
        if flow is not None and flow.is_repeated(segment):
            return
        if flow is not None and (flow.has_ended or segment.flags & _SYN or not flow.is_near(segment.sequence)):
            yield from self._end(flow)
            flow = None
        if flow is None:
            if not (segment.data or segment.flags & _SYN):
                return
            flow = self._flows[key] = self._begin(segment)
        self._flows.move_to_end(key)
        yield from self._feed(flow, segment, time)
        if len(self._flows) > MAX_FLOWS:
            oldest = next(iter(self._flows))
            yield from self._end(self._flows[oldest])
            del self._flows[oldest]

    def _begin(self, segment: _Segment) -> "_Flow":
        self._count += 1
        name = f"{_format_address(segment.source)}>{_format_address(segment.target)}#{self._count}"
        return _Flow(name, segment.sequence + bool(segment.flags & _SYN))

    def _feed(self, flow: "_Flow", segment: _Segment, time: datetime | None) -> Iterator[Payload]:
        before = flow.waiting
        flow.add(segment.sequence + bool(segment.flags & _SYN), segment.data, time)
        if segment.missing:
            self.skipped["byte", "not recorded (tcpdump -s 0 records all)"] += segment.missing
        if segment.flags & (_FIN | _RST):
            flow.last = segment.sequence + len(segment.data) + segment.missing
        self._waiting += flow.waiting - before
        yield from self._ready(flow)
        while flow.is_full or (flow.waiting and self._waiting > MAX_TOTAL_WAITING):
            yield from self._skip(flow)
        if flow.is_over or segment.flags & _RST:
            yield from self._end(flow)

    def _ready(self, flow: "_Flow") -> Iterator[Payload]:
        before = flow.waiting
        for data, time in flow.ready():
            yield Payload(data, flow.name, time)
        self._waiting += flow.waiting - before

    def _skip(self, flow: "_Flow") -> Iterator[Payload]:
        self.skipped["byte", "of TCP missing between others"] += flow.skip()
        yield from self._ready(flow)

    def _end(self, flow: "_Flow") -> Iterator[Payload]:
        while flow.waiting:
            yield from self._skip(flow)
        if flow.has_sent and not flow.has_ended:
            yield Payload(b"", flow.name, flow.time, end=True)
        flow.has_ended = True  # it is kept, so that a retransmission does not open it again

    # --- from a frame to a segment

    def _segment(self, frame: Frame) -> _Segment | None:
        try:
            kind, data = _network(frame.link, frame.data)
            return self._ip(kind, data, frame.size - len(frame.data))
        except (struct.error, IndexError):
            self.skipped["packet", "too short to be read"] += 1
        except LookupError as error:
            self.skipped["packet", f"of a link of type {error.args[0]}, which is not known"] += 1
        return None

    def _ip(self, kind: int, data: bytes, cut: int) -> _Segment | None:
        if kind == _IPV4:
            source, target, protocol, data = self._ipv4(data)
        elif kind == _IPV6:
            source, target, protocol, data = self._ipv6(data)
        else:
            return None
        return _tcp(source, target, data, max(cut, 0)) if protocol == _TCP else None

    def _ipv4(self, data: bytes) -> tuple[bytes, bytes, int, bytes]:
        length, fragment, protocol = struct.unpack_from(">2xH2xHxB", data)
        head = (data[0] & 0xF) * 4
        if fragment & 0x3FFF:
            self.skipped["packet", "skipped: fragments of IP"] += 1
            protocol = -1
        # the length is 0 in a large segment that the network card cuts only after it was recorded
        return data[12:16], data[16:20], protocol, data[head : length or len(data)]

    def _ipv6(self, data: bytes) -> tuple[bytes, bytes, int, bytes]:
        length, protocol = struct.unpack_from(">4xHB", data)
        source, target = data[8:24], data[24:40]
        rest = data[40 : 40 + length] if length else data[40:]
        while protocol in _EXTENSIONS:
            protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
        if protocol == _FRAGMENT:
            self.skipped["packet", "skipped: fragments of IP"] += 1
        return source, target, protocol, rest


def _network(link: int, data: bytes) -> tuple[int, bytes]:
    """Return the type of the packet in a frame, and the packet. Raises LookupError for an unknown type of link."""
    if link == _ETHERNET:
        at = 12
        while (kind := struct.unpack_from(">H", data, at)[0]) in _VLAN:
            at += 4
        return kind, data[at + 2 :]
    if link == _COOKED:
        return struct.unpack_from(">H", data, 14)[0], data[16:]
    if link == _COOKED_2:
        return struct.unpack_from(">H", data)[0], data[20:]
    if link in LOOPBACK:
        return _by_version(data[4:]), data[4:]
    if link in LINKS:
        return _by_version(data), data
    raise _Unknown(link)


class _Unknown(LookupError):
    """A type of link that cannot be read."""


def _by_version(data: bytes) -> int:
    return {4: _IPV4, 6: _IPV6}.get(data[0] >> 4, 0)


def _tcp(source: bytes, target: bytes, data: bytes, cut: int) -> _Segment:
    from_port, to_port, number, offset, flags = struct.unpack_from(">HHI4xBB", data)
    payload = data[(offset >> 4) * 4 :]
    return _Segment((source, from_port), (target, to_port), number, flags, payload, cut)


def _format_address(address: Address) -> str:
    host, port = ipaddress.ip_address(address[0]), address[1]
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"  # noqa: PLR2004 - IPv6


@define(eq=False)
class _Flow:
    """One direction of one connection. Starts are counted in bytes from the first one on."""

    name: str
    first: int
    time: datetime | None = None
    last: int | None = None
    has_sent: bool = False
    has_ended: bool = False
    waiting: int = 0
    _next: int = 0
    _held: dict[int, tuple[bytes, datetime | None]] = field(factory=dict)

    def _start(self, sequence: int) -> int:
        """Return where a segment starts; of all starts with this 32-bit number, the one nearest to the next byte."""
        ahead = (sequence - self.first - self._next) & 0xFFFFFFFF
        return self._next + (ahead - (1 << 32) if ahead >= 1 << 31 else ahead)

    def is_near(self, sequence: int) -> bool:
        """Whether a sequence number can be of this connection."""
        return abs(self._start(sequence) - self._next) < WINDOW

    def is_repeated(self, segment: _Segment) -> bool:
        """Whether a segment is a retransmission: of the one that opened the connection, or one before its end."""
        if segment.flags & _SYN:
            return segment.sequence + 1 == self.first and not segment.data
        return self.has_ended and self.is_near(segment.sequence) and self._start(segment.sequence) < self._next

    @property
    def is_full(self) -> bool:
        """Whether so much is waiting that the missing segment must be given up."""
        return self.waiting > MAX_WAITING or len(self._held) > MAX_WAITING_SEGMENTS

    @property
    def is_over(self) -> bool:
        """Whether all bytes up to the end of the connection have come in."""
        return self.last is not None and self._start(self.last) <= self._next

    def add(self, sequence: int, data: bytes, time: datetime | None) -> None:
        """Add a segment, without the bytes that have come in already."""
        start = self._start(sequence)
        data, start = data[max(self._next - start, 0) :], max(start, self._next)
        held = self._held.get(start)
        if data and (held is None or len(held[0]) < len(data)):
            self.waiting += len(data) - (len(held[0]) if held else 0)
            self._held[start] = (data, time)

    def ready(self) -> Iterator[tuple[bytes, datetime | None]]:
        """Yield the data that is next in order, as far as it has come in."""
        while self._held and (start := min(self._held)) <= self._next:
            data, time = self._held.pop(start)
            self.waiting -= len(data)
            data = data[self._next - start :]
            if data:
                self._next += len(data)
                self.time = time if self.time is None or (time is not None and time > self.time) else self.time
                self.has_sent = True
                yield data, self.time

    def skip(self) -> int:
        """Continue after the missing bytes; return how many they are."""
        missing = min(self._held) - self._next
        self._next += missing
        return missing

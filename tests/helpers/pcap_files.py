# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of a network, made byte by byte: links, IP, TCP, and the files that tcpdump and Wireshark write."""

import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from ipaddress import ip_address
from itertools import accumulate

from helpers.pieces import pieces_of

SYN, FIN, RST, ACK = 2, 1, 4, 16
METER_ADDRESS, COMPUTER_ADDRESS = "192.168.1.20", "192.168.1.10"

Frames = Iterable[tuple[float, bytes]]


def tcp(number: int, data: bytes, flags: int = ACK, ports: tuple[int, int] = (5000, 8083)) -> bytes:
    """Make a TCP segment, with options."""
    return struct.pack(">HHIIBBHHH", *ports, number & 0xFFFFFFFF, 1, 6 << 4, flags, 1024, 0, 0) + b"\1\1\1\0" + data


def ipv4(
    inner: bytes, source: str = METER_ADDRESS, target: str = COMPUTER_ADDRESS, fragment: int = 0, protocol: int = 6
) -> bytes:
    """Put IPv4 around it."""
    addresses = ip_address(source).packed + ip_address(target).packed
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(inner), 7, fragment, 64, protocol, 0) + addresses + inner


def ipv6(inner: bytes, extended: bool = False) -> bytes:
    """Put IPv6 around it, with an extension of its header."""
    inner = bytes([6, 0, 0, 0, 0, 0, 0, 0]) + inner if extended else inner
    addresses = ip_address("fe80::1").packed + ip_address("fe80::2").packed
    return struct.pack(">IHBB", 6 << 28, len(inner), 0 if extended else 6, 64) + addresses + inner


def ethernet(inner: bytes, kind: int = 0x0800, vlans: int = 0) -> bytes:
    """Put Ethernet around it, with tags of VLANs, and what fills a short frame up."""
    return bytes(12) + b"\x81\0\0\5" * vlans + struct.pack(">H", kind) + inner + bytes(max(46 - len(inner), 0))


LINKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "Ethernet": (1, lambda segment: ethernet(ipv4(segment))),
    "Ethernet, IPv6": (1, lambda segment: ethernet(ipv6(segment), 0x86DD)),
    "Ethernet, IPv6 with an extension": (1, lambda segment: ethernet(ipv6(segment, extended=True), 0x86DD)),
    "two VLANs": (1, lambda segment: ethernet(ipv4(segment), vlans=2)),
    "cooked": (113, lambda segment: bytes(14) + b"\x08\0" + ipv4(segment)),
    "cooked 2": (276, lambda segment: b"\x08\0" + bytes(18) + ipv4(segment)),
    "cooked 2, IPv6": (276, lambda segment: b"\x86\xdd" + bytes(18) + ipv6(segment)),
    "raw": (101, ipv4),
    "raw IPv6": (101, ipv6),
    "BSD raw": (12, ipv4),
    "loopback": (0, lambda segment: b"\2\0\0\0" + ipv4(segment)),
}
"""Each type of link, and what puts it around a segment."""


def pcap(frames: Frames, link: int = 1, order: str = "<", nanoseconds: bool = False, cut: int = 1 << 16) -> bytes:
    """Make a classic file; of each frame, at most `cut` bytes are in it."""
    magic, unit = (0xA1B23C4D, 10**9) if nanoseconds else (0xA1B2C3D4, 10**6)
    made = struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, cut, link)
    for time, frame in frames:
        whole, part = divmod(round(Fraction(time) * unit), unit)
        made += struct.pack(f"{order}IIII", whole, part, len(frame[:cut]), len(frame)) + frame[:cut]
    return made


def pcapng_block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Make a block of pcapng."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def pcapng(frames: Frames, link: int = 1, order: str = "<", resolution: int | None = None) -> bytes:
    """Make a file of one section; `resolution` as its option says it (6 where it says nothing)."""
    made = pcapng_block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    options = struct.pack(f"{order}HHB3xHH", 9, 1, resolution, 0, 0) if resolution is not None else b""
    made += pcapng_block(1, struct.pack(f"{order}HHI", link, 0, 0) + options, order)
    made += pcapng_block(5, bytes(12), order)  # statistics, which hold nothing
    ticks = 10**6 if resolution is None else 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    for time, frame in frames:
        high, low = divmod(round(Fraction(time) * ticks), 1 << 32)
        made += pcapng_block(6, struct.pack(f"{order}IIIII", 0, high, low, len(frame), len(frame)) + frame, order)
    return made


def segments(data: bytes, sizes: Sequence[int], start: int = 1000) -> list[bytes]:
    """Cut a stream into TCP segments of these sizes, over and over; the first byte has the number `start`."""
    pieces = pieces_of(data, sizes)
    starts = accumulate(map(len, pieces), initial=start)
    return [tcp(at, piece) for at, piece in zip(starts, pieces, strict=False)]

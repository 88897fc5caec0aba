# SPDX-License-Identifier: GPL-3.0-or-later
"""The shortest way to intact packets of Brultech's formats: they stand one behind the other, and nearly all are intact.

It finds only what `decode_packet` would find at the same byte. Where it finds nothing, the decoders are asked. For a
packet of a GEM it takes 1.6 µs, where they take 13.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from struct import Struct
from zlib import adler32

from btcore.decode.brultech import FOOTER, FORMATS, HEADER, LAYOUTS, Layout
from btcore.formats import Format
from btcore.records import Packet, found_packet

FindPackets = Callable[[bytes, int], list[Packet]]
"""Returns the packets that follow each other from an index of a buffer on; then the decoders have to be asked."""

Frame = tuple[int, int, Struct, int, int, Callable[[bytes], str], Format]
"""Of a layout: its size, where its footer begins, its parts for the checksum and how many, where its serial number is,
and what reads that."""

PART = 256
"""Bytes of which the low half of an Adler-32 is the sum and 1: it is modulo 65521."""


def packet_finder(names: Collection[str]) -> FindPackets:
    """Return what finds packets of the formats of these names."""
    frames: dict[bytes, list[Frame]] = {}
    for layout in LAYOUTS:
        if layout.name in names:
            frames.setdefault(HEADER + bytes([layout.code]), []).append(_frame(layout))
    frames_of, start = frames.get, len(HEADER) + 1

    def find(buffer: bytes, at: int) -> list[Packet]:
        packets: list[Packet] = []
        length = len(buffer)
        while True:
            for size, footer, parts, ones, serial, read_serial, form in frames_of(buffer[at : at + start], ()):
                end = at + size
                if end > length:
                    return packets
                if (
                    buffer[at + footer : end - 1] == FOOTER
                    and sum(map(adler32, parts.unpack_from(buffer, at))) - ones & 0xFF == buffer[end - 1]
                ):
                    number = buffer[at + serial : at + serial + 4]
                    packets.append(found_packet(size, form, read_serial(number), buffer[at:end]))
                    at = end
                    break
            else:
                return packets

    return find


def _frame(layout: Layout) -> Frame:
    """Return what is needed to find a layout's packets."""
    summed = layout.size - 1
    sizes = [min(PART, summed - at) for at in range(0, summed, PART)]
    parts = Struct("<" + "".join(f"{size}s" for size in sizes))
    read_serial = _gem_serial if layout.gem else _ecm_serial
    serial = 5 + 5 * layout.counters if layout.gem else 29
    return layout.size, layout.size - 1 - len(FOOTER), parts, len(sizes), serial, read_serial, FORMATS[layout.name]


@lru_cache(maxsize=1024)
def _gem_serial(found: bytes) -> str:
    """Read a GEM's serial number: the number, high byte first, a byte of something else, and the unit id."""
    return f"{found[3]:03d}{found[0] << 8 | found[1]:05d}"


@lru_cache(maxsize=1024)
def _ecm_serial(found: bytes) -> str:
    """Read an ECM's serial number: the number, low byte first, a byte of something else, and the unit id."""
    return f"{found[3] % 10}{found[0] | found[1] << 8:05d}"

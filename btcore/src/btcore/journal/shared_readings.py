# SPDX-License-Identifier: GPL-3.0-or-later
"""The packets that came in last, and the readings that were made of journal entries last, for all workers.

Sinks that read at about the same time are given the same reading, and its packet is not decoded again. How a reading
is made is in `decode/decoders.py`.
"""

from collections.abc import Iterable

from btcore.journal import Entry
from btcore.records import Packet, Reading

SIZE = 512
"""Packets, and readings, that are kept: somewhat more than a sink reads at once. The numbers of a GEM take 6 kB."""


class SharedReadings:
    """Keeps the last packets and readings. Safe between threads, as each slot holds one value.

    To recall a packet of a GEM takes 17 µs of the processor, most of it to decode it again; a reading that another sink
    has recalled takes 1.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._readings: list[tuple[Entry, Reading] | None] = [None] * SIZE
        self._packets: list[Packet | None] = [None] * SIZE

    def find(self, entry: Entry) -> Reading | None:
        """Return the reading of an entry; None where it has to be made."""
        found = self._readings[entry.offset % SIZE]
        return found[1] if found is not None and (found[0] is entry or found[0] == entry) else None

    def add(self, entry: Entry, reading: Reading) -> None:
        """Add the reading of an entry."""
        self._readings[entry.offset % SIZE] = entry, reading

    def packet_of(self, entry: Entry) -> Packet | None:
        """Return the packet whose bytes, the very same, are in an entry; None where they have to be decoded."""
        packet = self._packets[_slot(entry.raw)]
        is_it = packet is not None and packet.raw is entry.raw and packet.format.name == entry.format
        return packet if is_it else None

    def add_packet(self, packet: Packet) -> Packet:
        """Add a packet that was checked; return it."""
        self._packets[_slot(packet.raw)] = packet
        return packet

    def add_packets(self, packets: Iterable[Packet]) -> None:
        """Add packets that were checked."""
        kept = self._packets
        for packet in packets:
            kept[_slot(packet.raw)] = packet


def _slot(raw: bytes) -> int:
    """Return the slot of the packet of these very bytes: by where they lie in memory, which takes no look at them."""
    return (id(raw) >> 4) % SIZE

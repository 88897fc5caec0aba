# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workers of one site know of the readings that came in last: the sources tell it, and all sinks use it.

A packet is decoded once, and once it is found out that its meter continues. Sinks that read at about the same time are
given the same reading. How a reading is made is in `decode/decoders.py`.
"""

from collections.abc import Iterable
from threading import Lock

from btcore.classes import define
from btcore.journal import Entry
from btcore.records import Packet, Reading

SIZE = 1024
"""Packets, and readings, that are kept: as many as the journal has in memory. The numbers of a GEM take 5 kB."""


@define(eq=False)
class _Taken:
    """A packet that a source has found, and, once it has followed it, its reading as the source has made it."""

    packet: Packet
    reading: Reading | None = None


class SharedReadings:
    """Keeps the last packets and readings. Safe between threads.

    To recall a packet of a GEM takes 17 µs of the processor, most of it to decode it again; a reading that another sink
    has recalled takes 1.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._readings: list[tuple[Entry, Reading] | None] = [None] * SIZE
        self._lock = Lock()
        self._taken: dict[int, _Taken] = {}  # by where the bytes lie in memory, which takes no look at them

    def find(self, entry: Entry) -> Reading | None:
        """Return the reading of an entry; None where it has to be made."""
        found = self._readings[entry.offset % SIZE]
        return found[1] if found is not None and (found[0] is entry or found[0] == entry) else None

    def add(self, entry: Entry, reading: Reading) -> None:
        """Add the reading of an entry; what its source has told is not needed any more."""
        self._readings[entry.offset % SIZE] = entry, reading
        with self._lock:
            self._taken.pop(id(entry.raw), None)

    def packet_of(self, entry: Entry) -> Packet | None:
        """Return the packet whose bytes, the very same, are in an entry; None where they have to be decoded."""
        found = self._taken.get(id(entry.raw))
        is_it = found is not None and found.packet.raw is entry.raw and found.packet.format.name == entry.format
        return found.packet if found is not None and is_it else None

    def reading_of(self, entry: Entry) -> Reading | None:
        """Return the reading that a source has made of these very bytes, at the same time by the same clock."""
        found = self._taken.get(id(entry.raw))
        reading = None if found is None else found.reading
        if reading is None or reading.raw is not entry.raw or reading.format.name != entry.format:
            return None
        stamps = (reading.key, reading.monotonic, reading.boot)
        return reading if stamps == (entry.key, entry.monotonic, entry.boot) else None

    def add_packet(self, packet: Packet) -> Packet:
        """Add a packet that was checked; return it."""
        self.add_packets((packet,))
        return packet

    def add_packets(self, packets: Iterable[Packet]) -> None:
        """Add packets that were checked."""
        with self._lock:
            for packet in packets:
                self._taken[id(packet.raw)] = _Taken(packet)
            while len(self._taken) > SIZE:
                del self._taken[next(iter(self._taken))]

    def add_taken(self, reading: Reading) -> None:
        """Add the reading that a source has made of a packet, and followed: what it found out is noted there."""
        found = self._taken.get(id(reading.raw))
        if found is not None and found.packet.raw is reading.raw:
            found.reading = reading

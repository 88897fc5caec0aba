# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workers of one site know of the readings that came in last: the sources tell it, and all sinks use it.

A packet is decoded once, and once it is found out that its meter continues. Sinks that read at about the same time are
given the same reading. How a reading is made is in `decode/decoders.py`.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from operator import attrgetter
from threading import Lock

from btcore.journal import Entry
from btcore.records import Packet, Reading

SIZE = 1024
"""Packets, and readings, that are kept: as many as the journal has in memory. The numbers of a GEM take 5 kB."""


SPARE = 64
"""So many are dropped at once: where the oldest one is in a dict takes as long as many were dropped before it."""

_raw = attrgetter("raw")


class SharedReadings:
    """Keeps the last packets and readings. Safe between threads.

    To recall a packet of a GEM takes 17 µs of the processor, most of it to decode it again; a reading that another sink
    has recalled takes 1.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._readings: list[tuple[Entry, Reading] | None] = [None] * SIZE
        self._lock = Lock()
        self._taken: dict[int, Packet] = {}  # by where the bytes lie in memory, which takes no look at them
        self._followed: dict[int, Reading] = {}  # of those that the source has followed, the reading as it has made it

    def find(self, entry: Entry) -> Reading | None:
        """Return the reading of an entry; None where it has to be made."""
        found = self._readings[entry.offset % SIZE]
        return found[1] if found is not None and (found[0] is entry or found[0] == entry) else None

    def add(self, entry: Entry, reading: Reading) -> None:
        """Add the reading of an entry; what its source has told is not needed any more."""
        self._readings[entry.offset % SIZE] = entry, reading
        with self._lock:
            self._taken.pop(id(entry.raw), None)
            self._followed.pop(id(entry.raw), None)

    def packet_of(self, entry: Entry) -> Packet | None:
        """Return the packet whose bytes, the very same, are in an entry; None where they have to be decoded."""
        packet = self._taken.get(id(entry.raw))
        return packet if packet is not None and packet.raw is entry.raw and packet.format.name == entry.format else None

    def reading_of(self, entry: Entry) -> Reading | None:
        """Return the reading that a source has made of these very bytes, at the same time by the same clock."""
        reading = self._followed.get(id(entry.raw))
        if reading is None or reading.raw is not entry.raw or reading.format.name != entry.format:
            return None
        stamps = (reading.key, reading.monotonic, reading.boot)
        return reading if stamps == (entry.key, entry.monotonic, entry.boot) else None

    def add_packet(self, packet: Packet) -> Packet:
        """Add a packet that was checked; return it."""
        self.add_packets((packet,))
        return packet

    def add_packets(self, packets: Sequence[Packet]) -> None:
        """Add packets that were checked."""
        taken = self._taken
        with self._lock:
            taken.update(zip(map(id, map(_raw, packets)), packets, strict=True))
            if len(taken) > SIZE:
                for oldest in [*islice(taken, len(taken) - SIZE + SPARE)]:
                    del taken[oldest]
                    self._followed.pop(oldest, None)

    def add_taken(self, readings: Iterable[Reading]) -> None:
        """Add the readings that a source has made of packets, and followed: what it found out is noted there."""
        with self._lock:
            taken, followed = self._taken.get, self._followed
            for reading in readings:
                at = id(reading.raw)
                packet = taken(at)
                if packet is not None and packet.raw is reading.raw:
                    followed[at] = reading

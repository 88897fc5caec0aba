# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workers of one site know of the readings that came in last: the sources tell it, and all sinks use it.

A packet is decoded once, and once it is found out that its meter continues. Sinks that read at about the same time are
given the same reading. How a reading is made is in `decode/decoders.py`.
"""

from collections.abc import Sequence
from itertools import islice
from operator import attrgetter
from threading import Lock
from weakref import ReferenceType, ref

from btcore.journal import Entry
from btcore.records import Packet, Reading

SIZE = 1024
"""Packets that are kept, and entries whose reading is known as long as anybody has it: as many as the journal has in
memory."""

HELD = 64
"""Readings that are kept even where no sink has them: those of a GEM take 5 kB each, and a sink has its batch."""

SPARE = 64
"""So many are dropped at once: where the oldest one is in a dict takes as long as many were dropped before it."""

_raw = attrgetter("raw")

_way = attrgetter("key", "monotonic", "boot", "source", "address")
"""When and which way a reading came."""


class SharedReadings:
    """Keeps the last packets and readings. Safe between threads.

    To recall a packet of a GEM takes 17 µs of the processor, most of it to decode it again; a reading that another sink
    has recalled takes 1.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._readings: list[tuple[Entry, ReferenceType[Reading]] | None] = [None] * SIZE
        self._held: list[Reading | None] = [None] * HELD
        self._lock = Lock()
        self._taken: dict[int, Packet] = {}  # by where the bytes lie in memory, which takes no look at them
        # of those that the source has followed, the reading as it has made it, and the serial number of its packet
        self._followed: dict[int, tuple[str, Reading]] = {}

    def find(self, entry: Entry) -> Reading | None:
        """Return the reading of an entry; None where it has to be made."""
        found = self._readings[entry.offset % SIZE]
        if found is None or (found[0] is not entry and (found[0].offset != entry.offset or found[0] != entry)):
            return None
        return found[1]()

    def find_newest(self, entries: Sequence[Entry]) -> list[Reading | None]:
        """Return the reading of each of these entries; None also where another sink was given a copy of the entry."""
        made = self._readings
        return [
            one[1]() if (one := made[entry.offset % SIZE]) is not None and one[0] is entry else None
            for entry in entries
        ]

    def add(self, entry: Entry, reading: Reading) -> None:
        """Add the reading of an entry; what its source has told is not needed any more."""
        self._readings[entry.offset % SIZE] = entry, ref(reading)
        self._held[entry.offset % HELD] = reading
        with self._lock:
            self._taken.pop(id(entry.raw), None)
            self._followed.pop(id(entry.raw), None)

    def packet_of(self, entry: Entry) -> Packet | None:
        """Return the packet whose bytes, the very same, are in an entry; None where they have to be decoded."""
        packet = self._taken.get(id(entry.raw))
        return packet if packet is not None and packet.raw is entry.raw and packet.format.name == entry.format else None

    def taken(self, entry: Entry) -> tuple[str, Reading] | None:
        """Return what a source has made of these very bytes, at the same time by the same clock.

        That is the serial number that the packet shows, and the reading.
        """
        found = self._followed.get(id(entry.raw))
        if found is None:
            return None
        reading = found[1]
        is_same = reading.raw is entry.raw and reading.format.name == entry.format and _way(reading) == _way(entry)
        return found if is_same else None

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

    def add_taken(self, readings: Sequence[Reading]) -> None:
        """Add readings that a source has made of packets, and followed: what it found out is noted there."""
        taken, followed = self._taken.get, self._followed
        with self._lock:
            for reading in readings:
                raw = reading.raw
                packet = taken(id(raw))
                if packet is not None and packet.raw is raw:
                    followed[id(raw)] = packet.serial, reading

# SPDX-License-Identifier: GPL-3.0-or-later
"""On which stream each meter of a source was heard last, and what its own clock showed: where a command finds it.

Serial numbers here are those of the packets, which the meter itself knows. Nothing is sent here.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Lock

from btcore.classes import evolve, frozen
from btcore.formats import Format
from btcore.records import Packet

MAX_METERS = 4096
"""Meters of one source that are remembered; above the limit, the one unheard for longest is forgotten."""


@frozen
class HeardMeter:
    """A meter: the stream of its last packet, its format and time, and what the meter's clock showed in it.

    `stream` is None once that stream has ended.
    """

    serial: str
    stream: str | None
    format: Format
    time: datetime
    clock: datetime | None = None

    def clock_error(self, *, utc: bool) -> float | None:
        """Return by how many seconds the meter's clock was ahead of this computer's; None without a clock."""
        if self.clock is None:
            return None
        return (self.clock - zone_time(self.time, utc=utc)).total_seconds()


def zone_time(time: datetime, *, utc: bool) -> datetime:
    """Return a time as the clock of a meter should show it: in UTC, or in the time of this computer's zone."""
    return time.astimezone(UTC if utc else None).replace(tzinfo=None)


class HeardMeters:
    """The meters of one source, the last heard last. Safe between threads."""

    def __init__(self) -> None:
        """Begin without a meter."""
        self._lock = Lock()
        self._meters: OrderedDict[str, HeardMeter] = OrderedDict()
        self._streams: dict[str, set[str]] = {}  # of each stream that has not ended, the meters heard on it last

    def add(self, stream: str, packets: Sequence[tuple[Packet, datetime]]) -> None:
        """Take note of packets, each with the time at which it came in: of each meter, the last counts."""
        last: dict[str, tuple[Packet, datetime]] = {}
        for packet, time in reversed(packets):
            last.setdefault(packet.serial, (packet, time))
        with self._lock:
            for serial, (packet, time) in reversed(last.items()):
                before = self._meters.get(serial)
                if before is None or before.stream != stream:
                    self._leave_stream(before)
                    self._streams.setdefault(stream, set()).add(serial)
                self._meters[serial] = HeardMeter(serial, stream, packet.format, time, _clock(packet))
                self._meters.move_to_end(serial)
                if len(self._meters) > MAX_METERS:
                    self._leave_stream(self._meters.popitem(last=False)[1])

    def _leave_stream(self, meter: HeardMeter | None) -> None:
        if meter is None or meter.stream is None:
            return
        serials = self._streams[meter.stream]
        serials.discard(meter.serial)
        if not serials:
            del self._streams[meter.stream]

    def end(self, stream: str) -> None:
        """Take note that a stream has ended."""
        with self._lock:
            for serial in self._streams.pop(stream, ()):
                self._meters[serial] = evolve(self._meters[serial], stream=None)

    def get(self, serial: str) -> HeardMeter | None:
        """Return a meter; None if it has not been heard."""
        with self._lock:
            return self._meters.get(serial)

    def __iter__(self) -> Iterator[HeardMeter]:
        """Iterate over the meters, the last heard first."""
        with self._lock:
            return iter([*reversed(self._meters.values())])

    def on_stream(self, stream: str | None) -> list[HeardMeter]:
        """Return the meters that are heard on one stream."""
        return [meter for meter in self if meter.stream == stream]


def _clock(packet: Packet) -> datetime | None:
    """Return what the meter's clock shows; None where the format has none, or it is not set."""
    try:
        return packet.format.clock(packet.raw) if packet.format.clock else None
    except Exception:  # noqa: BLE001 - a plugin's function; the time of a reading is checked elsewhere
        return None

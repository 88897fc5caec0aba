# SPDX-License-Identifier: GPL-3.0-or-later
"""On which stream each meter of a source was heard last, and what its own clock showed: where a command finds it.

Serial numbers here are those of the packets, which the meter itself knows. Nothing is sent here.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Lock

from btcore.classes import frozen
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


_Heard = tuple[str | None, Format, datetime, bytes]
"""Of a meter: the stream of its last packet, its format and time, and its bytes, which nearly nobody asks about."""


class HeardMeters:
    """The meters of one source, the last heard last. Safe between threads."""

    def __init__(self) -> None:
        """Begin without a meter."""
        self._lock = Lock()
        self._meters: OrderedDict[str, _Heard] = OrderedDict()
        self._of_stream: dict[str, set[str]] = {}  # a thousand meters may lose their connections at once

    def add(self, stream: str, packets: Sequence[tuple[Packet, datetime]]) -> None:
        """Take note of packets, each with the time at which it came in: of each meter, the last counts."""
        meters = self._meters
        with self._lock:
            for packet, time in packets:
                serial, before = packet.serial, meters.get(packet.serial)
                if before is None or before[0] != stream:
                    self._leave(serial, before)
                    self._of_stream.setdefault(stream, set()).add(serial)
                meters[serial] = stream, packet.format, time, packet.raw
                meters.move_to_end(serial)
                if len(meters) > MAX_METERS:
                    self._leave(*meters.popitem(last=False))

    def _leave(self, serial: str, heard: "_Heard | None") -> None:
        """Take note that a meter is not heard on its stream any more."""
        if heard is None or heard[0] is None:
            return
        on_it = self._of_stream[heard[0]]
        on_it.discard(serial)
        if not on_it:
            del self._of_stream[heard[0]]

    def end(self, stream: str) -> None:
        """Take note that a stream has ended."""
        with self._lock:
            for serial in self._of_stream.pop(stream, ()):
                self._meters[serial] = None, *self._meters[serial][1:]

    def get(self, serial: str) -> HeardMeter | None:
        """Return a meter; None if it has not been heard."""
        with self._lock:
            heard = self._meters.get(serial)
        return heard and _meter(serial, *heard)

    def __iter__(self) -> Iterator[HeardMeter]:
        """Iterate over the meters, the last heard first."""
        with self._lock:
            heard = [*reversed(self._meters.items())]
        return (_meter(serial, *one) for serial, one in heard)

    def on_stream(self, stream: str | None) -> list[HeardMeter]:
        """Return the meters that are heard on one stream."""
        return [meter for meter in self if meter.stream == stream]


def _meter(serial: str, stream: str | None, form: Format, time: datetime, raw: bytes) -> HeardMeter:
    return HeardMeter(serial, stream, form, time, _clock(form, raw))


def _clock(form: Format, raw: bytes) -> datetime | None:
    """Return what the meter's clock shows; None where the format has none, or it is not set."""
    try:
        return form.clock(raw) if form.clock else None
    except Exception:  # noqa: BLE001 - a plugin's function; the time of a reading is checked elsewhere
        return None

# SPDX-License-Identifier: GPL-3.0-or-later
"""What each meter of a source has sent in this run: how many readings, and when the last of them was taken.

Whether a meter is silent is `silence.py`'s.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock

from btcore.classes import frozen

MAX_METERS = 4096
"""Meters of one source that are counted; above the limit, the one unheard for longest is forgotten."""


@frozen
class MeterActivity:
    """How many readings a meter has sent; the time of the last, in microseconds since 1970."""

    readings: int
    last: int


class Activity:
    """Counts the readings of the meters of one source. Safe between threads."""

    def __init__(self) -> None:
        """Begin without a meter."""
        self._lock = Lock()
        self._meters: OrderedDict[str, tuple[int, int]] = OrderedDict()  # how many, and the time of the last

    def add(self, serial: str, time: int) -> None:
        """Count a reading of a meter; its time is in microseconds since 1970."""
        with self._lock:
            self._add(serial, time, 1)

    def add_all(self, readings: Sequence[tuple[str, int]]) -> None:
        """Count readings: of each the serial number, and the time in microseconds since 1970."""
        found: dict[str, tuple[int, int]] = {}
        for serial, time in readings:
            count, _ = found.pop(serial, (0, 0))
            found[serial] = count + 1, time
        with self._lock:
            for serial, (count, time) in found.items():
                self._add(serial, time, count)

    def _add(self, serial: str, time: int, count: int) -> None:
        before = self._meters.pop(serial, None)
        self._meters[serial] = (before[0] + count if before else count), time
        if len(self._meters) > MAX_METERS:
            self._meters.popitem(last=False)

    def meters(self) -> Iterator[tuple[str, MeterActivity]]:
        """Yield the meters, the last heard first."""
        with self._lock:
            meters = list(self._meters.items())
        return ((serial, MeterActivity(*found)) for serial, found in reversed(meters))

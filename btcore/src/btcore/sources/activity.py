# SPDX-License-Identifier: GPL-3.0-or-later
"""What each meter of a source has sent in this run: how many readings, and when the last of them was taken.

Whether a meter is silent is `silence.py`'s.
"""

from collections import OrderedDict
from collections.abc import Iterator
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
        self._meters: OrderedDict[str, MeterActivity] = OrderedDict()

    def add(self, serial: str, time: int, readings: int = 1) -> None:
        """Count so many readings; the time of the last is in microseconds since 1970."""
        with self._lock:
            before = self._meters.pop(serial, None)
            self._meters[serial] = MeterActivity(before.readings + readings if before else readings, time)
            if len(self._meters) > MAX_METERS:
                self._meters.popitem(last=False)

    def meters(self) -> Iterator[tuple[str, MeterActivity]]:
        """Yield the meters, the last heard first."""
        with self._lock:
            meters = list(self._meters.items())
        return reversed(meters)

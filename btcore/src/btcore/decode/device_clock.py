# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter's own clock, which is set to local time: the time in UTC that it shows.

Pure: it asks no clock of the computer, and knows no zone by itself. A local time names two moments in the hour that is
repeated in autumn, and none in the hour that is skipped in spring; and a meter may be set to summer time late, early or
never. The seconds counter of the meter decides between them, as setting the clock does not change it. Where the counter
cannot decide (the meter restarted, or its clock was set), the zone's rule holds. Whether a meter's clock is used at all
is a setting of its source, and is not decided here.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from btcore.classes import frozen
from btcore.records import from_microseconds, to_microseconds

Offset = Callable[[datetime], timedelta]
"""Returns by how much a zone is ahead of UTC at a local time; `fold` says which of two moments is meant (PEP 495)."""

MAX_METERS = 4096
"""Meters of one source whose last reading is remembered; above it, the one silent for longest is forgotten."""

SECOND = 1_000_000
HOUR = 3600 * SECOND

SLACK = 900 * SECOND
"""By how much a clock that was not set may differ from the seconds counter: half of the smallest summer time change."""

EARLY_SLACK = 300 * SECOND
"""The same for a clock that is assumed to be set to summer or winter time before its zone changed."""

EARLY = timedelta(weeks=4)
"""How early a meter may change to summer or winter time: it may follow the rule of another country, or an older one."""

MAX_DELAY = HOUR
"""By how much the time of arrival may differ from the meter's time; after a longer delay, it decides nothing."""

MIN_MODULUS = 24 * HOUR
"""A seconds counter that overflows sooner than this cannot tell hours apart."""


@frozen
class _Last:
    """The last reading of a meter, in microseconds.

    `is_guess`: the local time of the meter's first reading named two moments, and nothing decided between them.
    """

    utc: int
    offset: int
    seconds: int
    is_guess: bool


class DeviceClock:
    """Turns what the clocks of one source's meters show into UTC, reading by reading, in the order they were sent."""

    def __init__(self, offset: Offset) -> None:
        """Begin without any meter. `offset` is that of the zone to which the meters' clocks are set."""
        self._offset = offset
        self._meters: OrderedDict[str, _Last] = OrderedDict()

    def utc(self, serial: str, local: datetime, seconds: int, bits: int, arrival: datetime | None) -> datetime:
        """Return the time in UTC that a meter's clock shows.

        `local` is what the clock shows. `seconds` is the meter's seconds counter, which overflows at 2 to the power
        `bits`. `arrival` is when the packet came in, live or by a recording; None if that is not known. Raises
        OverflowError or ValueError for a time outside the range of dates in UTC.
        """
        zone = self._zone(local)
        last = self._meters.get(serial)
        if last is not None and last.is_guess and not self._is_ambiguous(local):
            last = None  # a guess holds while times are ambiguous; after that, the zone's rule decides
        found = last and self._continued(last, local, zone, seconds * SECOND, SECOND << bits)
        current = found or _by_zone(last, _local_microseconds(local), zone, seconds * SECOND, arrival)
        time = from_microseconds(current.utc)
        self._remember(serial, current)
        return time

    def _remember(self, serial: str, last: _Last) -> None:
        self._meters[serial] = last
        self._meters.move_to_end(serial)
        if len(self._meters) > MAX_METERS:
            self._meters.popitem(last=False)

    def _zone(self, local: datetime) -> tuple[int, ...]:
        """Return the zone's offsets at a local time: two if it names two moments, that of the earlier moment first.

        In the hour that is skipped in spring, it is the offset before: a clock that shows it has not been set yet.
        """
        first, second = (self._offset(local.replace(fold=fold)) // _MICROSECOND for fold in (0, 1))
        return (first, second) if first > second else (first,)

    def _is_ambiguous(self, local: datetime) -> bool:
        """Whether a local time names two moments, or did an hour before."""
        return any(len(self._zone(time)) > 1 for time in (local, local - timedelta(hours=1)))

    def _continued(
        self, last: _Last, local: datetime, zone: tuple[int, ...], seconds: int, modulus: int
    ) -> _Last | None:
        """Continue from the last reading, by the offset that fits best; None if the seconds counter confirms none."""
        if modulus < MIN_MODULUS:
            return None

        def error(offset: int) -> int:
            passed = _local_microseconds(local) - offset - last.utc
            return _nearest_zero(passed - (seconds - last.seconds), modulus)

        offset = min((last.offset, *zone), key=lambda offset: abs(error(offset)))
        if abs(error(offset)) > SLACK:
            offset = self._offset(min(local, _LATEST) + EARLY) // _MICROSECOND
            if abs(error(offset)) > EARLY_SLACK:
                return None
        utc = _local_microseconds(local) - offset
        if utc - error(offset) >= last.utc:  # by its seconds, time did not go back: the clock was only corrected
            utc = max(utc, last.utc)
        return _Last(utc, offset, seconds, last.is_guess)


def _local_microseconds(local: datetime) -> int:
    """Return what a clock shows as microseconds since 1970, as if its zone were UTC."""
    return to_microseconds(local.replace(tzinfo=UTC))


def _by_zone(last: _Last | None, local: int, zone: tuple[int, ...], seconds: int, arrival: datetime | None) -> _Last:
    """Apply the zone's rule; of several moments, take the one nearest to the arrival, or else the first."""
    if arrival is not None:
        received = to_microseconds(arrival)
        offsets = zone if last is None else (*zone, last.offset)
        offset = min(offsets, key=lambda offset: abs(local - offset - received))
        if abs(local - offset - received) <= MAX_DELAY:
            return _Last(local - offset, offset, seconds, is_guess=False)
    first, second = local - zone[0], local - zone[-1]
    is_second = last is not None and first < last.utc <= second + HOUR
    offset = zone[-1] if is_second else zone[0]
    return _Last(local - offset, offset, seconds, is_guess=len(zone) > 1)


def _nearest_zero(number: int, modulus: int) -> int:
    """Return the number that is nearest to zero among those that differ from this one by a multiple of the modulus."""
    return (number + modulus // 2) % modulus - modulus // 2


_MICROSECOND = timedelta(microseconds=1)

_LATEST = datetime.max - EARLY  # noqa: DTZ901 - a local time has no zone

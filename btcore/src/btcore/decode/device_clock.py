"""The meter's own clock, set to local time: which moment in UTC it shows.

Pure: no clock of the computer, no zone of its own. A local time names two moments in the hour that is repeated in
autumn, and none in the hour that is left out in spring; and a meter may be set to summer time late, early or never.
What tells is the order of its readings: its seconds counter goes on, whatever is done to its clock. Where that tells
nothing (the meter restarted, its clock was set), the zone's rule holds. Whether a meter's clock is trusted at all is
its source's setting, not decided here.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from btcore.records import from_microseconds, to_microseconds

Offset = Callable[[datetime], timedelta]
"""By how much a zone is ahead of UTC at a local time; `fold` tells which of two moments is meant (PEP 495)."""

MOST_METERS = 4096
"""Meters of one source whose last reading is remembered; beyond this the one unheard for longest is forgotten."""

SECOND = 1_000_000
HOUR = 3600 * SECOND

SLACK = 900 * SECOND
"""By how much a clock that goes on may differ from the meter's seconds: half of the smallest change of summer time."""

TIGHT = 300 * SECOND
"""The same where a clock would have been set to summer or winter time before its zone was."""

EARLY = timedelta(weeks=4)
"""By how much a meter may be set early: it may follow another country's rule, or an older one."""

NEAR = HOUR
"""By how much the time of arrival may differ from what it is to decide; what was held back for longer tells nothing."""

SHORTEST = 24 * HOUR
"""Where a seconds counter begins again sooner, it cannot tell hours apart."""


@attrs.frozen
class _Last:
    """The last reading of a meter, in microseconds.

    `is_guess`: its meter's first was one of two moments, and nothing told which.
    """

    utc: int
    offset: int
    seconds: int
    is_guess: bool


class DeviceClock:
    """Tells what the clocks of one source's meters show, reading by reading, in the order in which they were sent."""

    def __init__(self, offset: Offset) -> None:
        """Know no meter yet. `offset` is that of the zone to which the meters are set."""
        self._offset = offset
        self._meters: OrderedDict[str, _Last] = OrderedDict()

    def utc(self, serial: str, shown: datetime, seconds: int, bits: int, arrival: datetime | None) -> datetime:
        """Return the moment that a meter's clock shows.

        `seconds` is its seconds counter, which begins again at 2 to the power `bits`. `arrival` is when the packet came
        in, now or as a recording tells; None where that is not known. Raises OverflowError or ValueError for a time
        that is beyond all dates in UTC.
        """
        zone = self._zone(shown)
        last = self._meters.get(serial)
        if last is not None and last.is_guess and not self._is_open(shown):
            last = None  # a meter that follows the zone would by now have been an hour off for an hour
        found = last and self._continued(last, shown, zone, seconds * SECOND, SECOND << bits)
        made = found or _by_zone(last, to_microseconds(shown), zone, seconds * SECOND, arrival)
        time = from_microseconds(made.utc)
        self._remember(serial, made)
        return time

    def _remember(self, serial: str, made: _Last) -> None:
        self._meters[serial] = made
        self._meters.move_to_end(serial)
        if len(self._meters) > MOST_METERS:
            self._meters.popitem(last=False)

    def _zone(self, shown: datetime) -> tuple[int, ...]:
        """Return the zone's offsets at a local time: two where it is shown twice, the earlier moment first.

        In the hour that is left out, it is that of before: a clock that shows it has not been set yet.
        """
        first, second = (self._offset(shown.replace(fold=fold)) // _MICROSECOND for fold in (0, 1))
        return (first, second) if first > second else (first,)

    def _is_open(self, shown: datetime) -> bool:
        """Whether a local time is shown twice, or was an hour before."""
        return any(len(self._zone(time)) > 1 for time in (shown, shown - timedelta(hours=1)))

    def _continued(
        self, last: _Last, shown: datetime, zone: tuple[int, ...], seconds: int, modulus: int
    ) -> _Last | None:
        """Go on from the last reading, by the offset that fits best; None where the seconds do not confirm any."""
        if modulus < SHORTEST:
            return None

        def error(offset: int) -> int:
            passed = to_microseconds(shown) - offset - last.utc
            return _nearest_zero(passed - (seconds - last.seconds), modulus)

        offset = min((last.offset, *zone), key=lambda offset: abs(error(offset)))
        if abs(error(offset)) > SLACK:
            offset = self._offset(min(shown, _LATEST) + EARLY) // _MICROSECOND
            if abs(error(offset)) > TIGHT:
                return None
        utc = to_microseconds(shown) - offset
        if utc - error(offset) >= last.utc:  # its seconds went on, so time did not go back: its clock was put right
            utc = max(utc, last.utc)
        return _Last(utc, offset, seconds, last.is_guess)


def _by_zone(last: _Last | None, shown: int, zone: tuple[int, ...], seconds: int, arrival: datetime | None) -> _Last:
    """Take the zone's rule; of several moments, the one that is nearest to what is expected, else the first."""
    if arrival is not None:
        came = to_microseconds(arrival)
        offsets = zone if last is None else (*zone, last.offset)
        offset = min(offsets, key=lambda offset: abs(shown - offset - came))
        if abs(shown - offset - came) <= NEAR:
            return _Last(shown - offset, offset, seconds, is_guess=False)
    first, second = shown - zone[0], shown - zone[-1]
    is_second = last is not None and first < last.utc <= second + HOUR
    offset = zone[-1] if is_second else zone[0]
    return _Last(shown - offset, offset, seconds, is_guess=len(zone) > 1)


def _nearest_zero(number: int, modulus: int) -> int:
    """Return the number that is nearest to zero among those that differ from this one by a multiple of the modulus."""
    return (number + modulus // 2) % modulus - modulus // 2


_MICROSECOND = timedelta(microseconds=1)

_LATEST = datetime.max - EARLY  # noqa: DTZ901 - a local time has no zone

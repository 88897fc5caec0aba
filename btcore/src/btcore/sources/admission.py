# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meters a source admits, and how many packets of each: no sender may fill the disk with invented meters.

The meters that are remembered are bounded: the one unheard for longest is forgotten. Readings are not changed here.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

from btcore import clocks
from btcore.classes import define
from btcore.logs.tally import SummarizedCount

MAX_METERS = 4096
"""Meters that a source remembers."""

BURST = 20_000
"""Packets of one meter that may come at once: a gateway may have held back hours."""

LINES_PER_HOUR = 8
"""Meters an hour that are logged one by one."""

SECOND = 1_000_000
DAY = 86_400 * SECOND


@define
class _Meter:
    """How many packets a meter may send at once (a token bucket), and whether it was heard in this run."""

    left: float = BURST
    time: int = 0
    is_heard: bool = False

    def take(self, time: int, rate: float) -> bool:
        """Take a packet that came at a time in microseconds; return whether there was room for it.

        A time that goes back adds none.
        """
        if time != self.time:
            self.left = min(self.left + max(time - self.time, 0) * rate / SECOND, BURST)
            self.time = time
        is_taken = self.left >= 1
        self.left -= is_taken
        return is_taken


class Admission:
    """Admits the meters and packets of one source. Times are microseconds."""

    def __init__(
        self,
        meters: Iterable[str],
        max_new_meters_per_day: int,
        max_packets_per_second: float,
        log: logging.Logger,
        clock: Callable[[], int] = clocks.steady,
    ) -> None:
        """Take these meters, or, where there are none, up to `max_new_meters_per_day` new ones a day; 0 is no limit."""
        self.refused = 0
        self.heard = 0
        self._listed = frozenset(meters)
        self._max_new_meters = max_new_meters_per_day
        self._rate = max_packets_per_second
        self._clock = clock
        self._known: OrderedDict[str, _Meter] = OrderedDict()
        self._unlisted_serials: OrderedDict[str, None] = OrderedDict()
        self._new_meter_times: deque[int] = deque(maxlen=max_new_meters_per_day)
        self._heard_meters = SummarizedCount(
            log=log, level=logging.INFO, first=LINES_PER_HOUR, summary="heard {count:more meter}; last: {last}"
        )
        self._unlisted = SummarizedCount(
            log=log, first=LINES_PER_HOUR, summary="refused {count:more meter} that are not in `meters`; last: {last}"
        )
        self._over_limit = SummarizedCount(
            log=log, summary="refused {count:more packet}: `max_new_meters_per_day` is reached; last: {last}"
        )
        self._too_fast = SummarizedCount(
            log=log, summary="refused {count:more packet}: above `max_packets_per_second`; last: meter {last}"
        )

    def add_known(self, serials: Iterable[str]) -> None:
        """Remember meters of earlier runs, the last heard last: they are not new."""
        for serial in serials:
            self._remember(serial, self._known.get(serial) or _Meter())

    def admitted(self, serial: str, form: str, time: int, *, is_live: bool) -> bool:
        """Return whether a packet of this meter and format is admitted, that came at this time.

        The number of meters in a recording is not limited: a person chose it.
        """
        return self.admitted_of(serial, form, (time,), is_live=is_live)[0]

    def admitted_of(self, serial: str, form: str, times: Sequence[int], *, is_live: bool) -> list[bool]:
        """Return of each packet of this meter and format whether it is admitted; they came at these times."""
        meter = self._meter(serial, is_live=is_live, packets=len(times))
        if meter is None:
            self.refused += len(times)
            return [False] * len(times)
        if not meter.is_heard:
            meter.is_heard = True
            self.heard += 1
            self._heard_meters.add(f"heard meter {serial} ({form})", serial)
        rate = self._rate
        if not rate:
            return [True] * len(times)
        admitted = [meter.take(time, rate) for time in times]
        if refused := admitted.count(False):
            self.refused += refused
            what = f"refused packets of meter {serial}: more than {rate:g} per second (`max_packets_per_second`)"
            for _ in range(refused):
                self._too_fast.add(what, serial)
        return admitted

    def check(self) -> None:
        """Log the summaries that are due."""
        for tally in self._tallies():
            tally.report_due()

    def finish(self) -> None:
        """Log the remaining summaries."""
        for tally in self._tallies():
            tally.report_rest()

    def _tallies(self) -> tuple[SummarizedCount, ...]:
        return (self._heard_meters, self._unlisted, self._over_limit, self._too_fast)

    def _meter(self, serial: str, *, is_live: bool, packets: int) -> _Meter | None:
        """Return what is known of a meter; None where it is not admitted."""
        meter = self._known.get(serial)
        if self._listed and serial not in self._listed:
            self._refuse_unlisted(serial)
            return None
        if meter is None:
            if not self._listed and is_live and not self._may_begin():
                self._refuse_over_limit(serial, packets)
                return None
            meter = _Meter()
        self._remember(serial, meter)
        return meter

    def _remember(self, serial: str, meter: _Meter) -> None:
        self._known[serial] = meter
        self._known.move_to_end(serial)
        if len(self._known) > MAX_METERS:
            self._known.popitem(last=False)

    def _may_begin(self) -> bool:
        """Count a new meter, if the limit of new meters a day allows one more."""
        now = self._clock()
        if (
            self._max_new_meters
            and len(self._new_meter_times) == self._max_new_meters
            and now - self._new_meter_times[0] < DAY
        ):
            return False
        self._new_meter_times.append(now)
        return True

    def _refuse_unlisted(self, serial: str) -> None:
        """Report each unlisted meter once, while they are few."""
        if serial not in self._unlisted_serials:
            self._unlisted.add(f"refused meter {serial}: it is not in `meters`", serial)
            self._unlisted_serials[serial] = None
            if len(self._unlisted_serials) > MAX_METERS:
                self._unlisted_serials.popitem(last=False)

    def _refuse_over_limit(self, serial: str, packets: int) -> None:
        what = f"refused meter {serial}: {self._max_new_meters} meters were new within a day (`max_new_meters_per_day`)"
        for _ in range(packets):
            self._over_limit.add(f"{what}; list your meters in `meters`", f"meter {serial}")

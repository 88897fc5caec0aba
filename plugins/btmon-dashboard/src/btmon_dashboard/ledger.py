# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: what flowed in the house in each hour, and what it cost, from the sums in the store.

It is made of the hours of one billing cycle at a time, as prices may depend on what was used before in the cycle. The
days of cycles that are over are remembered.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import pairwise

import attrs

from btcore import BtcoreError, Tariff
from btmon_dashboard.costs import charge_of, cost_of, credit_of, day_of, price_key
from btmon_dashboard.house import Flow, House, flow_of, total_of
from btmon_dashboard.spans import DAY, HOUR, MINUTE, SECOND, end_of, hours_of, midnight, start_of
from btmon_dashboard.store import Store
from btmon_dashboard.sums import Sums

FRESH_SECONDS = 15.0
"""For how long the cycle that goes on is good."""

MAX_CYCLES = 200
"""The most cycles whose days are remembered."""

RESTS = 9.0
MIN_REST = 0.05
"""How many times as long as a cycle took is rested before the next one is prepared; and seconds at least."""

FREE = Tariff(currency="XXX", price=0.0)
"""The tariff of a house that has none."""

Timed = tuple[int, Flow]
"""When an hour or a day begins, in microseconds, and what flowed in it."""


@attrs.define(eq=False)
class Cycle:
    """A billing cycle: its days that are over, what they took from the grid, and those that go on."""

    days: list[Timed] = attrs.field(factory=list)
    taken: int = 0
    open_days: list[Timed] = attrs.field(factory=list)
    made: float = -FRESH_SECONDS


@attrs.define(eq=False)
class Ledger:
    """The ledger of a house. Any thread may ask; who asks while another one's answer is made waits for it."""

    store: Store
    house: Callable[[], House]
    tariff: Tariff | None
    _cycles: dict[date, Cycle] = attrs.field(factory=dict)
    _made_of: tuple[object, ...] = ()
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def days(self, start: int, end: int) -> list[Timed]:
        """Return the days that begin within a time."""
        found: list[Timed] = []
        for cycle in self._dates(start, end):
            with self._lock:  # of one cycle at a time: who asks for today does not wait for ten years
                self._forget_what_changed()
                found += self._days_of(*cycle)
        return [one for one in found if start <= one[0] < end]

    def prepare(self, stop: threading.Event) -> None:
        """Make all cycles, the latest first, with long rests between them, so that nobody waits for ten years later."""
        for first, last in reversed(self._dates(0, _now())):
            begun = time.thread_time()
            with suppress(BtcoreError):  # whoever asks will be told
                self.days(_midnight(first), _midnight(last))
            if stop.wait(max(RESTS * (time.thread_time() - begun), MIN_REST)):
                return

    def hours(self, start: int, end: int) -> list[Timed]:
        """Return the hours that begin within a time."""
        day = start_of(DAY, start)
        found: list[Timed] = []
        for first, last in self._dates(start, end):
            begin, until = max(_midnight(first), day), min(_midnight(last), end)
            taken = sum(flow.taken for _, flow in self.days(_midnight(first), begin))
            found += self._hours_of(begin, until, taken)
        return [one for one in found if start <= one[0] < end]

    def cycle(self, moment: int) -> tuple[int, int]:
        """Return when the billing cycle of a moment begins and ends."""
        first, last = (self.tariff or FREE).cycle(day_of(moment))
        return _midnight(first), _midnight(last)

    def cycles(self) -> list[tuple[int, int]]:
        """Return when each billing cycle begins and ends, as far as there is anything."""
        return [(_midnight(first), _midnight(last)) for first, last in self._dates(0, _now())]

    def _dates(self, start: int, end: int) -> Sequence[tuple[date, date]]:
        """Return the billing cycles of a time, as far as there is anything."""
        first, last = self._first(), min(end - 1, _now())
        if first is None or max(start, first) > last:
            return ()
        return (self.tariff or FREE).cycles(day_of(max(start, first)), day_of(last))

    def _first(self) -> int | None:
        """Return when the first day of the store begins."""
        starts = [self.store.first(serial) for serial in list(self.store.meters)]
        return min((start for start in starts if start is not None), default=None)

    def _forget_what_changed(self) -> None:
        changed, made_of = self.store.take_changed(), (self.house(), time.tzname)
        if made_of != self._made_of or len(self._cycles) > MAX_CYCLES:
            self._made_of = made_of
            self._cycles.clear()
        if changed is not None:
            first = (self.tariff or FREE).cycle(day_of(changed))[0]
            self._cycles = {start: cycle for start, cycle in self._cycles.items() if start < first}

    def _days_of(self, first: date, last: date) -> list[Timed]:
        cycle = self._cycles.setdefault(first, Cycle())
        start = end_of(DAY, cycle.days[-1][0]) if cycle.days else _midnight(first)
        if start < _midnight(last) and not 0 <= time.monotonic() - cycle.made < FRESH_SECONDS:
            days = by_day(self._hours_of(start, _midnight(last), cycle.taken))
            over = [one for one in days if end_of(DAY, one[0]) + HOUR * SECOND < _now()]
            for _, flow in over:
                flow.compact()
            cycle.days += over
            cycle.taken += sum(flow.taken for _, flow in over)
            cycle.open_days, cycle.made = days[len(over) :], time.monotonic()
        return cycle.days + cycle.open_days

    def _hours_of(self, start: int, end: int, taken: int) -> Iterator[Timed]:
        """Yield hours of one billing cycle, in which so many Ws were taken before."""
        house, tariff = self.house(), self.tariff or FREE
        start, end = max(start, self._first() or 0), min(end, _now() + 1)
        serials = {serial for columns in (house.grid, house.solar, house.battery, house.loads) for serial, _ in columns}
        rows = {serial: dict(self.store.read(serial, HOUR, start, end)) for serial in serials}
        for day, until in _days_between(start, end):
            rate, hours = tariff.rate(day_of(day)), hours_of(day, until)
            for at, hour in enumerate(hours):
                if hour >= end:
                    return
                flows = []
                for part, prices in self._parts(tariff, hour, {serial: one.get(hour) for serial, one in rows.items()}):
                    found = flow_of(house, part)
                    found.cost, found.credit = cost_of(rate, prices, taken, found.taken), credit_of(rate, found.given)
                    found.share_cost()
                    taken += found.taken
                    flows.append(found)
                flow = flows[0] if len(flows) == 1 else total_of(flows)
                flow.charge = charge_of(rate, day_of(day), at, len(hours))
                yield hour, flow

    def _parts(
        self, tariff: Tariff, hour: int, rows: Mapping[str, Sums | None]
    ) -> Iterator[tuple[Mapping[str, Sums | None], tuple[int, ...]]]:
        """Yield the sums of an hour with their prices: in parts, where a price changes within it."""
        if not tariff.rate(day_of(hour)).has_parts_of_hours():
            yield rows, price_key(tariff, hour)
            return
        minutes = [price_key(tariff, hour + at * MINUTE * SECOND) for at in range(60)]
        bounds = [0, *(at for at in range(1, 60) if minutes[at] != minutes[at - 1]), 60]
        left = {serial: Sums(0, list(row.ws)) for serial, row in rows.items() if row is not None}
        later = []
        for start, end in pairwise(bounds[1:]):
            part = {serial: self._minutes(serial, hour, start, end) for serial in left}
            for serial, sums in part.items():
                left[serial].add(0, [-ws for ws in sums.ws])
            later.append((part, minutes[start]))
        yield left, minutes[0]  # with what has no minutes, as after a long gap
        yield from later

    def _minutes(self, serial: str, hour: int, start: int, end: int) -> Sums:
        total = Sums()
        for _, sums in self.store.read(serial, MINUTE, hour + start * MINUTE * SECOND, hour + end * MINUTE * SECOND):
            total.add(sums.length, sums.ws)
        return total


def by_day(hours: Iterator[Timed]) -> list[Timed]:
    """Return the sums of days of hours in their order."""
    days: dict[int, Flow] = {}
    for hour, flow in hours:
        days.setdefault(start_of(DAY, hour), Flow()).add(flow)
    return sorted(days.items())


def grouped(times: Sequence[Timed], start: Callable[[int], int]) -> list[Timed]:
    """Return the sums of longer times, of which `start` returns the start of the one that a moment is in."""
    found: dict[int, Flow] = {}
    for moment, flow in times:
        found.setdefault(start(moment), Flow()).add(flow)
    return sorted(found.items())


def _days_between(start: int, end: int) -> Iterator[tuple[int, int]]:
    day = start_of(DAY, start)
    while day < end:
        until = end_of(DAY, day)
        yield day, until
        day = until


def _midnight(day: date) -> int:
    return midnight(day.year, day.month, day.day)


def _now() -> int:
    return round(time.time() * SECOND)

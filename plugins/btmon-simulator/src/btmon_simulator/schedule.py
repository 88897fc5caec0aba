# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedule of all meters: in order of time, which one sends, when, and with which fault.

No waiting and no clock: the times are those of the schedule. `simulator.py` waits for them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from random import Random

from btcore.light import define, frozen
from btmon_simulator.faults import TRANSMISSION_FAULTS, Fault
from btmon_simulator.meter import SimulatedMeter

MIN_GAP = 3
MAX_GAP = 12
"""Packets that are missing in a gap."""


@define(eq=False)
class Transmission:
    """What arrives from one meter at one moment. It is made when it is looked at: the meter may be told to be quiet."""

    time: datetime
    meter: SimulatedMeter
    fault: Fault | None
    chance: Random
    _pieces: list[bytes] | None = None

    @property
    def serial(self) -> str:
        """The meter's serial number."""
        return self.meter.serial

    @property
    def pieces(self) -> list[bytes]:
        """The bytes in the pieces they arrive in; none where the meter sends nothing now."""
        if self._pieces is None:
            self._pieces = self._make() if self.meter.real_time and not self.meter.is_silent(self.time) else []
        return self._pieces

    def _make(self) -> list[bytes]:
        if self.fault == "reset":
            self.meter.reset(self.time)
        packet = self.meter.packet(self.time, sensors=self.fault != "missing-sensor")
        return TRANSMISSION_FAULTS[self.fault](packet, self.chance) if self.fault in TRANSMISSION_FAULTS else [packet]


@frozen
class Schedule:
    """The times of all packets: every meter once an interval, the meters evenly spread over it.

    A meter that was told another interval has its own. `packets` ends it after so many a meter (0: never). `rate` is
    the share of packets, 0 to 1, that have one of the `faults`.
    """

    start: datetime
    interval: timedelta
    packets: int = 0
    faults: Sequence[Fault] = ()
    rate: float = 0.0

    def transmissions(self, meters: Sequence[SimulatedMeter], seed: int) -> Iterator[Transmission]:
        """Yield what the meters send, in order of time: the same for the same meters and seed."""
        chance = Random(f"{seed} faults")  # noqa: S311 - faults that can be had again, no secret
        silent = dict.fromkeys(range(len(meters)), 0)
        left = dict.fromkeys(silent, self.packets or -1)
        queue = [(self.start + self.interval * index / len(meters), index) for index in silent]
        while queue:
            time, index = heappop(queue)
            meter = meters[index]
            fault = chance.choice(self.faults) if self.faults and chance.random() < self.rate else None
            if silent[index]:
                silent[index] -= 1
            elif fault == "gap":
                silent[index] = chance.randrange(MIN_GAP, MAX_GAP + 1) - 1
            else:
                transmission = Transmission(time, meter, fault, chance)
                yield transmission
                if not transmission.pieces and meter.is_silent(time):  # it is sent when the pause is over
                    heappush(queue, (meter.silent_until, index))
                    continue
            left[index] -= 1
            if left[index]:
                heappush(queue, (time + (meter.interval or self.interval), index))

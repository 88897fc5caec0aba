"""The schedule of all meters: in order of time, which one sends, when, and with which fault.

No waiting and no clock: the times are those of the schedule. `simulator.py` waits for them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from random import Random

import attrs

from btmon_simulator.faults import TRANSMISSION_FAULTS, Fault
from btmon_simulator.meter import SimulatedMeter

MIN_GAP = 3
MAX_GAP = 12
"""Packets that are missing in a gap."""


@attrs.frozen
class Transmission:
    """The bytes that arrive from one meter at one moment, in the pieces they arrive in."""

    time: datetime
    serial: str
    pieces: list[bytes]


@attrs.frozen
class Schedule:
    """The times of all packets: every meter once an interval, the meters evenly spread over it.

    `packets` ends it after so many a meter (0: never). `rate` is the share of packets, 0 to 1, that have one of
    the `faults`.
    """

    start: datetime
    interval: timedelta
    packets: int = 0
    faults: Sequence[Fault] = ()
    rate: float = 0.0

    def transmissions(self, meters: Sequence[SimulatedMeter], seed: int) -> Iterator[Transmission]:
        """Yield what the meters send: the same for the same meters and seed."""
        chance = Random(f"{seed} faults")  # noqa: S311 - faults that can be had again, no secret
        silent = dict.fromkeys(range(len(meters)), 0)
        for turn in count() if not self.packets else range(self.packets * len(meters)):
            index = turn % len(meters)
            fault = chance.choice(self.faults) if self.faults and chance.random() < self.rate else None
            if silent[index]:
                silent[index] -= 1
            elif fault == "gap":
                silent[index] = chance.randrange(MIN_GAP, MAX_GAP + 1) - 1
            else:
                yield _transmit(meters[index], self.start + self.interval * turn / len(meters), fault, chance)


def _transmit(meter: SimulatedMeter, time: datetime, fault: Fault | None, chance: Random) -> Transmission:
    if fault == "reset":
        meter.reset(time)
    packet = meter.packet(time, sensors=fault != "missing-sensor")
    pieces = TRANSMISSION_FAULTS[fault](packet, chance) if fault in TRANSMISSION_FAULTS else [packet]
    return Transmission(time, meter.serial, pieces)

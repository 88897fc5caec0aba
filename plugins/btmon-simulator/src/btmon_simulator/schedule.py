"""What all meters send, in order of time: who is next, when, and which fault befalls it.

No waiting and no clock: the times are those of the schedule. `simulator.py` waits for them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from random import Random

import attrs

from btmon_simulator.faults import ON_THE_WAY, Fault
from btmon_simulator.meter import Meter

SHORTEST_GAP = 3
LONGEST_GAP = 12
"""Packets that a gap swallows."""


@attrs.frozen
class Sending:
    """The bytes that arrive from one meter at one moment, in the pieces they arrive in."""

    time: datetime
    serial: str
    pieces: list[bytes]


@attrs.frozen
class Schedule:
    """Who sends when: every meter once an interval, the meters evenly spread over it.

    `packets` ends it after so many a meter (0: never). `rate` is the share of packets, 0 to 1, that one of the
    `faults` befalls.
    """

    start: datetime
    interval: timedelta
    packets: int = 0
    faults: Sequence[Fault] = ()
    rate: float = 0.0

    def sendings(self, meters: Sequence[Meter], seed: int) -> Iterator[Sending]:
        """Yield what the meters send: the same for the same meters and seed."""
        chance = Random(f"{seed} faults")  # noqa: S311 - faults that can be had again, no secret
        silent = dict.fromkeys(range(len(meters)), 0)
        for turn in count() if not self.packets else range(self.packets * len(meters)):
            place = turn % len(meters)
            fault = chance.choice(self.faults) if self.faults and chance.random() < self.rate else None
            if silent[place]:
                silent[place] -= 1
            elif fault == "gap":
                silent[place] = chance.randrange(SHORTEST_GAP, LONGEST_GAP + 1) - 1
            else:
                yield _send(meters[place], self.start + self.interval * turn / len(meters), fault, chance)


def _send(meter: Meter, time: datetime, fault: Fault | None, chance: Random) -> Sending:
    if fault == "reset":
        meter.reset(time)
    packet = meter.packet(time, sensors=fault != "missing-sensor")
    pieces = ON_THE_WAY[fault](packet, chance) if fault in ON_THE_WAY else [packet]
    return Sending(time, meter.serial, pieces)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What simulated meters have sent before their first live packet: when, and how far it has come. No waiting, no clock.

It goes the way of all packets, through the journal to every sink, so there is little of it: a packet an hour, and more
often toward its end, where a person looks closer.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from btcore import Chunk, SourceCheckpoint
from btcore.light import frozen
from btmon_simulator.meter import SimulatedMeter

HOUR = timedelta(hours=1)
PACES = (
    (timedelta(days=7), timedelta(minutes=15)),
    (timedelta(days=1), timedelta(minutes=5)),
    (timedelta(hours=2), timedelta(minutes=1)),
)
"""From how long before the end on packets are how far apart; before that, an hour."""

PORTION = 500
"""Times between two checkpoints."""

DONE = "history: all"
REACHED = "history: until "


@frozen
class History:
    """The packets of so many seconds before an end."""

    end: datetime
    seconds: float

    def times(self) -> Iterator[datetime]:
        """Yield when each meter sends."""
        time = _full(self.end - timedelta(seconds=self.seconds), HOUR)
        while time < self.end:
            yield time
            time += self._interval(time)

    def _interval(self, time: datetime) -> timedelta:
        closer = [interval for before, interval in PACES if time >= _full(self.end - before, HOUR)]
        return closer[-1] if closer else HOUR

    def items(self, meters: Sequence[SimulatedMeter], checkpoint: str) -> Iterator[Chunk | SourceCheckpoint]:
        """Yield the packets of all meters, and how far they have come; nothing of what a checkpoint says is there."""
        if checkpoint == DONE:
            return
        reached = _reached(checkpoint)
        for number, time in enumerate(self.times(), 1):
            if reached is None or time > reached:
                for meter in meters:
                    yield Chunk(meter.packet(time), stream=meter.serial, time=time)
                if number % PORTION == 0:
                    yield SourceCheckpoint(f"{REACHED}{time.isoformat()}")
        yield SourceCheckpoint(DONE)


def _full(time: datetime, unit: timedelta) -> datetime:
    """Return the beginning of the hour that a time is in."""
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    return begin + (time - begin) // unit * unit


def _reached(checkpoint: str) -> datetime | None:
    try:
        reached = datetime.fromisoformat(checkpoint.removeprefix(REACHED))
    except ValueError:  # there is none yet
        return None
    return reached if reached.tzinfo else None

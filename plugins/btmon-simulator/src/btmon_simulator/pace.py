# SPDX-License-Identifier: GPL-3.0-or-later
"""The pace of a replayed capture: chunks with the pauses of the recording. No file is read here."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Event

from btcore import Chunk
from btcore.light import define

PIECE_SIZE = 32
"""Bytes: fewer than any packet has, so that at most one packet is complete after each piece."""

MAX_PAUSE = timedelta(days=1)


@define
class CountingClock:
    """A clock that counts its calls: one for each packet that was found."""

    clock: Iterator[datetime]
    calls: int = 0

    def __iter__(self) -> "CountingClock":
        """Iterate over itself, as iterators do."""
        return self

    def __next__(self) -> datetime:
        """Return the time of one packet."""
        self.calls += 1
        return next(self.clock)


def with_recorded_pauses(chunks: Iterator[Chunk], interval: timedelta, stop: Event) -> Iterator[Chunk]:
    """Yield chunks with the pauses between their times, a day at most; without times, `interval` after each packet.

    Ends early when `stop` is set.
    """
    before: datetime | None = None
    clock: CountingClock | None = None
    for chunk in chunks:
        if chunk.clock is not None:
            clock = clock or CountingClock(chunk.clock)
            yield from _packet_by_packet(chunk.data, clock, interval, stop)
        elif _wait_between(before, chunk.time, stop):
            return
        else:
            before = chunk.time or before
            yield chunk
        if stop.is_set():
            return


def _wait_between(before: datetime | None, now: datetime | None, stop: Event) -> bool:
    if before is None or now is None:
        return stop.is_set()
    wait = min(max(now - before, timedelta()), MAX_PAUSE)
    return stop.wait(wait.total_seconds())


def _packet_by_packet(data: bytes, clock: CountingClock, interval: timedelta, stop: Event) -> Iterator[Chunk]:
    for index in range(0, len(data), PIECE_SIZE):
        found = clock.calls
        yield Chunk(data[index : index + PIECE_SIZE], clock=clock)
        if clock.calls > found and stop.wait(interval.total_seconds()):
            return

"""Playing a capture as slowly as it was recorded. Nothing here reads files."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Event

import attrs

from btcore import Chunk

PIECE = 32
"""Bytes: fewer than any packet has, so that at most one packet is complete after each piece."""

LONGEST_PAUSE = timedelta(days=1)


@attrs.define
class CountedClock:
    """A clock that counts how often it was asked: once for each packet that was found."""

    clock: Iterator[datetime]
    asked: int = 0

    def __iter__(self) -> "CountedClock":
        """Iterate over itself, as iterators do."""
        return self

    def __next__(self) -> datetime:
        """Tell the time of one packet."""
        self.asked += 1
        return next(self.clock)


def recorded(chunks: Iterator[Chunk], interval: timedelta, stop: Event) -> Iterator[Chunk]:
    """Yield chunks with the pauses between their times, a day at most; without times, `interval` after each packet.

    Ends early when `stop` is set.
    """
    before: datetime | None = None
    clock: CountedClock | None = None
    for chunk in chunks:
        if chunk.clock is not None:
            clock = clock or CountedClock(chunk.clock)
            yield from _packet_by_packet(chunk.data, clock, interval, stop)
        elif _pause(before, chunk.time, stop):
            return
        else:
            before = chunk.time or before
            yield chunk
        if stop.is_set():
            return


def _pause(before: datetime | None, now: datetime | None, stop: Event) -> bool:
    if before is None or now is None:
        return stop.is_set()
    pause = min(max(now - before, timedelta()), LONGEST_PAUSE)
    return stop.wait(pause.total_seconds())


def _packet_by_packet(data: bytes, clock: CountedClock, interval: timedelta, stop: Event) -> Iterator[Chunk]:
    for place in range(0, len(data), PIECE):
        found = clock.asked
        yield Chunk(data[place : place + PIECE], clock=clock)
        if clock.asked > found and stop.wait(interval.total_seconds()):
            return

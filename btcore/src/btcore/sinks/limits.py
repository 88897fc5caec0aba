# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of a sink: when it may be called, and how much of a backlog is too old, or too many bytes.

The journal says how much waits; only what is above the limits is looked at one by one. Nothing here takes long, so
nobody waits for it. Moving the checkpoint over it does not belong here.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator

from btcore.journal import EntrySize, Journal, Offset

HOUR = 3600.0

PORTION = 1000
"""Entries that are asked for at once."""


class RateLimit:
    """Limits the calls of one sink. Times are seconds of a monotonic clock."""

    def __init__(self, min_interval: float, max_per_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no call made. `min_interval` is in seconds; `max_per_hour` 0 means no limit."""
        self._min_interval = min_interval
        self._max_per_hour = max_per_hour
        self._clock = clock
        self._calls: deque[float] = deque(maxlen=max(self._max_per_hour, 1))

    def wait(self) -> float:
        """Return the seconds to wait before the next call may be made."""
        if not self._calls:
            return 0.0
        now = self._clock()
        wait = self._calls[-1] + self._min_interval - now
        if self._max_per_hour and len(self._calls) == self._max_per_hour:
            wait = max(wait, self._calls[0] + HOUR - now)
        return max(wait, 0.0)

    def spare_wait(self) -> float:
        """Return the seconds until a call that can wait: half of an hour's calls are left to the others."""
        share = max(self._max_per_hour // 2, 1)
        wait = self.wait()
        if self._max_per_hour and len(self._calls) >= share:
            wait = max(wait, self._calls[-share] + HOUR - self._clock())
        return wait

    def called(self) -> None:
        """Count a call."""
        self._calls.append(self._clock())


def find_excess(journal: Journal, after: Offset, max_bytes: int, oldest: int) -> tuple[Offset, int]:
    """Return the offset up to which entries after an offset are above the limits, and how many they are.

    `max_bytes` is of packets, 0 for any number; `oldest` is a key, 0 for any age. Raises Unavailable.
    """
    lag = journal.lag(after)
    surplus = lag.size - max_bytes if max_bytes else 0
    limit, count = after, 0
    if surplus <= 0 and lag.oldest >= oldest:
        return limit, count
    is_old = True
    for entry in _sizes(journal, after):
        is_old = is_old and entry.key < oldest
        if surplus <= 0 and not is_old:
            break
        limit, count, surplus = entry.offset, count + 1, surplus - entry.size
    return limit, count


def _sizes(journal: Journal, after: Offset) -> Iterator[EntrySize]:
    while some := journal.sizes(after, PORTION):
        yield from some
        after = some[-1].offset

# SPDX-License-Identifier: GPL-3.0-or-later
"""When a sink may be called: the minimum interval between calls, and the calls per hour."""

import time
from collections import deque
from collections.abc import Callable

HOUR = 3600.0


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

"""When a sink may be called: the pause between calls, the calls an hour, and the wait after a failure."""

import random
import time
from collections import deque
from collections.abc import Callable

HOUR = 3600.0

LONGEST_WISH = 86_400.0
"""Seconds: a service that wants to be left alone for longer is asked again after these."""


class Limiter:
    """Holds calls back to the sink's own pace. Times are seconds of a clock that never goes back."""

    def __init__(self, pause: float, per_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no call made. `pause` is in seconds; `per_hour` 0 means any number."""
        self._pause = pause
        self._per_hour = per_hour
        self._clock = clock
        self._calls: deque[float] = deque(maxlen=max(self._per_hour, 1))

    def wait(self) -> float:
        """Return the seconds to wait before the next call may be made."""
        if not self._calls:
            return 0.0
        now = self._clock()
        wait = self._calls[-1] + self._pause - now
        if self._per_hour and len(self._calls) == self._per_hour:
            wait = max(wait, self._calls[0] + HOUR - now)
        return max(wait, 0.0)

    def called(self) -> None:
        """Count a call."""
        self._calls.append(self._clock())


class Backoff:
    """The wait after each failure in a row: doubled up to the longest, with jitter so that many do not come at once."""

    def __init__(self, first: float, longest: float) -> None:
        """Begin with no failure."""
        self._first = first
        self._longest = max(first, longest)
        self.failures = 0

    def failed(self, wish: float | None = None) -> float:
        """Count a failure; return the seconds to wait: as long as the other side wishes, where it says so."""
        wait = min(self._first * 2.0 ** min(self.failures, 32), self._longest)
        self.failures += 1
        if wish is not None and wish > 0:
            return min(wish, LONGEST_WISH)
        return wait * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, keeps no secret

    def worked(self) -> None:
        """Forget the failures."""
        self.failures = 0

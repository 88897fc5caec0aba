"""The wait after a failure, before the next try."""

import random

MAX_REQUESTED = 86_400.0
"""Seconds: a service that wants to be left alone for longer is asked again after these."""


class Backoff:
    """The wait after each failure in a row: doubled up to the longest, with jitter so that many do not come at once."""

    def __init__(self, first: float, longest: float) -> None:
        """Begin with no failure."""
        self._first = first
        self._longest = max(first, longest)
        self.failures = 0

    def failed(self, requested: float | None = None) -> float:
        """Count a failure; return the seconds to wait: as long as the other side wishes, where it says so."""
        wait = min(self._first * 2.0 ** min(self.failures, 32), self._longest)
        self.failures += 1
        if requested is not None and requested > 0:
            return min(requested, MAX_REQUESTED)
        return wait * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, keeps no secret

    def worked(self) -> None:
        """Forget the failures."""
        self.failures = 0

# SPDX-License-Identifier: GPL-3.0-or-later
"""The wait after a failure, before the next try."""

import os

MAX_REQUESTED = 86_400.0
"""The most seconds that a service can ask to wait."""


class Backoff:
    """The wait after each failure in a row: it doubles up to the longest, with jitter to spread the load."""

    def __init__(self, first: float, longest: float) -> None:
        """Begin with no failure."""
        self._first = first
        self._longest = max(first, longest)
        self.failures = 0

    def failed(self, requested: float | None = None) -> float:
        """Count a failure; return the seconds to wait: as many as the service requests, if it does."""
        wait = min(self._first * 2.0 ** min(self.failures, 32), self._longest)
        self.failures += 1
        if requested is not None and requested > 0:
            return min(requested, MAX_REQUESTED)
        return wait * (0.5 + _fraction() / 2)

    def worked(self) -> None:
        """Forget the failures."""
        self.failures = 0


def _fraction() -> float:
    """Return a random number from 0 up to 1: of the system, as `random` is a module of three others."""
    return int.from_bytes(os.urandom(4), "big") / 2**32

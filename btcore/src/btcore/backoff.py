# SPDX-License-Identifier: GPL-3.0-or-later
"""The wait after a failure, before the next try."""

import random

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
        return wait * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, keeps no secret

    def worked(self) -> None:
        """Forget the failures."""
        self.failures = 0

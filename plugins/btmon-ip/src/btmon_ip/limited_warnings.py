# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about connections, of which a port scan makes thousands: the first of a kind, then now and then how many."""

import time
from collections import Counter
from logging import Logger

from btcore.light import define, field

WARNING_INTERVAL = 600.0
"""Seconds between two warnings of one kind about connections: a port scan must not fill the log."""


@define
class LimitedWarnings:
    """Warns at the first of a kind, then at most once in a while."""

    _log: Logger
    _counts: Counter[str] = field(factory=Counter)
    _warned_at: dict[str, float] = field(factory=dict)

    def warn(self, what: str, whose: str = "") -> None:
        """Count one of a kind; warn, if it is time to. `whose` connection it was, if it was one's."""
        self._counts[what] += 1
        now = time.monotonic()
        if now - self._warned_at.get(what, -WARNING_INTERVAL) >= WARNING_INTERVAL:
            self._warned_at[what] = now
            self._log.warning("%s (%d so far%s)", what, self._counts[what], f", the last: {whose}" if whose else "")

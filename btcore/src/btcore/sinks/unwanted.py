# SPDX-License-Identifier: GPL-3.0-or-later
"""A warning about a sink whose settings select nothing in the readings: that may be a mistake in them."""

import math
import time
from collections.abc import Callable

from btcore.classes import define, field
from btcore.text import plural

FIRST_REPORT = 60.0
"""Seconds before the warning about a sink whose settings never selected anything."""

REPORT_INTERVAL = 3600.0
"""The same for a sink whose settings did, and the seconds between two warnings about one whose did not."""


@define
class UnwantedWatch:
    """Knows since when the settings selected nothing. Seconds are of a monotonic clock."""

    warn: Callable[[str], object]
    clock: Callable[[], float] = time.monotonic
    _since: float = field(init=False)
    _before: int = field(init=False, default=0)
    _reported_at: float = field(init=False, default=-math.inf)

    @_since.default
    def _now(self) -> float:
        return self.clock()

    def wanted(self, total: int) -> None:
        """Record that something was selected; `total` readings were not, until now."""
        self._since, self._before, self._reported_at = self.clock(), total, -math.inf

    def check(self, total: int, *, is_proven: bool) -> None:
        """Warn if nothing was selected for long: once for settings that are proven, again and again for new ones."""
        is_reported = self._reported_at > -math.inf
        wait = REPORT_INTERVAL if is_proven or is_reported else FIRST_REPORT
        if self.clock() - max(self._since, self._reported_at) >= wait and not (is_proven and is_reported):
            self._report(total)

    def finish(self, total: int, *, is_proven: bool) -> None:
        """Warn at the end of a run, if the settings are new and no warning was logged."""
        if not is_proven and self._reported_at == -math.inf:
            self._report(total)

    def _report(self, total: int) -> None:
        if count := total - self._before:
            self._reported_at = self.clock()
            self.warn(
                f"its settings select nothing in {plural(count, 'reading')}, so nothing was sent: if that is a mistake,"
                " correct the settings and restart. The journal keeps the readings for as long as `retention` says"
            )

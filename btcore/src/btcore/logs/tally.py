# SPDX-License-Identifier: GPL-3.0-or-later
"""Counting what may happen very often and logging it rarely: the first of an hour, then a summary once an hour."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from btcore.classes import define, field
from btcore.text import Count

HOUR = 3600.0


@define(kw_only=True)
class SummarizedCount:
    """Counts one kind of thing.

    Within an hour the `first` few are logged one by one, the others by `summary`, in which `{count:packet}` is replaced
    by the number of packets and `{last}` by the last one. `total` is how many there were in all.
    """

    log: logging.Logger
    summary: str
    level: int = logging.WARNING
    first: int = 1
    total: int = 0
    clock: Callable[[], float] = time.monotonic
    _since: float = field(default=-math.inf, init=False)
    _reported: int = field(default=0, init=False)
    _unreported: int = field(default=0, init=False)
    _last: Any = field(default="", init=False)

    def add(self, line: str, last: object, count: int = 1) -> None:
        """Count some. `line` is what is logged where they are logged by themselves."""
        self.total += count
        self.report_due()
        now = self.clock()
        if not self._reported:
            self._since = now
        if self._reported < self.first:
            self._reported += 1
            self.log.log(self.level, "%s", line)
        else:
            self._unreported += count
            self._last = last

    def report_due(self) -> None:
        """Log the summary of an hour that has passed."""
        if self._reported and self.clock() - self._since >= HOUR:
            self.report_rest()
            self._reported = 0

    def report_rest(self) -> None:
        """Log the summary of what is not logged yet."""
        if self._unreported:
            self.log.log(self.level, "%s", self.summary.format(count=Count(self._unreported), last=self._last))
            self._unreported = 0

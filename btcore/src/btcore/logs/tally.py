"""Counting what may happen very often, and telling it seldom: the first of an hour, then once an hour how many."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import attrs

from btcore.text import Count

HOUR = 3600.0


@attrs.define(kw_only=True)
class SummarizedCount:
    """Counts one kind of thing.

    Within an hour the `first` few are told one by one, the others by `summary`, in which `{count:packet}` and `{last}`
    stand for how many packets there were and what the last one was. `total` is how many there were in all.
    """

    log: logging.Logger
    summary: str
    level: int = logging.WARNING
    first: int = 1
    total: int = 0
    clock: Callable[[], float] = time.monotonic
    _since: float = attrs.field(default=-math.inf, init=False)
    _singly: int = attrs.field(default=0, init=False)
    _untold: int = attrs.field(default=0, init=False)
    _last: Any = attrs.field(default="", init=False)

    def add(self, line: str, last: object, count: int = 1) -> None:
        """Count some; `line` tells one by itself."""
        self.total += count
        self.look()
        now = self.clock()
        if not self._singly:
            self._since = now
        if self._singly < self.first:
            self._singly += 1
            self.log.log(self.level, "%s", line)
        else:
            self._untold += count
            self._last = last

    def look(self) -> None:
        """Tell what there was within an hour that has passed."""
        if self._singly and self.clock() - self._since >= HOUR:
            self.finish()
            self._singly = 0

    def finish(self) -> None:
        """Tell what was not told yet."""
        if self._untold:
            self.log.log(self.level, "%s", self.summary.format(count=Count(self._untold), last=self._last))
            self._untold = 0

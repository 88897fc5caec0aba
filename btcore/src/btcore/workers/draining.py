# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sinks still have to deliver when the sources of a `once` run have ended: told, where it is much.

An import reads a store faster than a database takes it: the bar of the reading would stand at its end for minutes.
"""

import logging
import time
from collections.abc import Callable

from btcore.classes import define
from btcore.import_progress import BAR_INTERVAL, ImportProgress

log = logging.getLogger("btcore")

MUCH = 10_000
"""Readings from which on it is told how far the delivery is."""


@define
class Draining:
    """Tells how far the sink is that has most to deliver. `waiting` returns how many readings that are."""

    _waiting: Callable[[], int]
    _clock: Callable[[], float] = time.monotonic
    _next: float = 0.0
    _progress: ImportProgress | None = None

    def check(self) -> None:
        """Look, if it is time to, and tell."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + BAR_INTERVAL  # each look asks the journal
        waiting = self._waiting()
        if self._progress is None and waiting >= MUCH:
            self._progress = ImportProgress(waiting, log, "delivering", "readings", clock=self._clock)
        if self._progress is not None:
            self._progress.add(self._progress.total - waiting - self._progress.done)

    def finish(self) -> None:
        """Tell how much it was, where it was much."""
        if self._progress is not None:
            self._progress.add(self._progress.total - self._waiting() - self._progress.done)
            self._progress.finish()

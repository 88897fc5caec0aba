# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sinks this program cannot deliver to now, though others might: all its workers have stopped, or fail for long.

One partition that fails says nothing of the program: it may be what is in it. One without readings says nothing either:
a program whose other partitions fail is not known to deliver by it. After a while the program tries again;
where a sink has just been left to others, it is left again after a few seconds of failing.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from time import monotonic

from btcore.sinks.worker import SinkWorker
from btcore.text import format_duration

log = logging.getLogger("btcore")

FAILING = 120.0
"""Seconds of failing after which a sink is left to others."""

FAILING_AGAIN = 10.0
"""Seconds of failing after which a sink is left again that has not worked since."""

RETURN = 600.0
"""Seconds for which this program does not come back for what it has left."""


class Fitness:
    """The sinks of a journal with partitions. Only the thread that runs the site calls it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin with all fit. `clock` is in seconds."""
        self._clock = clock
        self._until: dict[str, float] = {}
        self._doubted: set[str] = set()
        self._reported: set[str] = set()
        self._delivered: dict[str, tuple[int, float]] = {}  # by worker, and since when it is so many

    def look(self, tables: Iterable[str], workers: Collection[SinkWorker]) -> frozenset[str]:
        """Return which of these sinks this program cannot deliver to."""
        self._note_deliveries(workers)
        for table in tables:
            mine = [one for one in workers if one.table == table and not one.is_left and not one.has_ended]
            if self._are_unfit(mine):
                self._until[table] = self._clock() + RETURN
                self._doubted.add(table)
            elif mine or self._clock() >= self._until.get(table, 0.0):
                self._until.pop(table, None)
                self._reported.discard(table)
            if any(one.failing_for is None and one.delivered for one in mine):
                self._doubted.discard(table)
        return frozenset(self._until)

    def left(self, worker: SinkWorker) -> None:
        """Tell that shares of a sink are left to others, once."""
        if worker.table not in self._reported:
            self._reported.add(worker.table)
            why, wait = worker.stop_reason or worker.state, format_duration(RETURN)
            log.warning(
                "%s: its partitions are left to other programs, as it cannot be delivered to from here (%s);"
                " this program tries again in %s",
                worker.table,
                why,
                wait,
            )

    def forget(self, tables: Iterable[str]) -> None:
        """Begin anew with these sinks: their settings have changed."""
        for table in tables:
            self._until.pop(table, None)
            self._doubted.discard(table)
            self._reported.discard(table)

    def _note_deliveries(self, workers: Collection[SinkWorker]) -> None:
        known, now = self._delivered, self._clock()
        since = {one.name: known.get(one.name, (-1, now)) for one in workers}
        self._delivered = {
            one.name: since[one.name] if since[one.name][0] == one.delivered else (one.delivered, now)
            for one in workers
        }

    def _are_unfit(self, workers: Collection[SinkWorker]) -> bool:
        """Whether some of the workers of a sink fail for long, and none of the others shows that it can deliver."""
        unfit = [one for one in workers if self._is_unfit(one)]
        return bool(unfit) and all(one in unfit or self._shows_nothing(one) for one in workers)

    def _is_unfit(self, worker: SinkWorker) -> bool:
        return worker.failing_for is not None and worker.failing_for >= self._patience(worker)

    def _shows_nothing(self, worker: SinkWorker) -> bool:
        """Whether nothing waits for a worker, and nothing came to it for as long as another has to fail."""
        is_silent = self._clock() - self._delivered[worker.name][1] >= self._patience(worker)
        return worker.failing_for is None and is_silent and worker.is_idle

    def _patience(self, worker: SinkWorker) -> float:
        return FAILING_AGAIN if worker.table in self._doubted else FAILING

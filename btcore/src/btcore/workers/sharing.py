# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the workers of a site's sinks follow the partitions that are this program's: a worker for each share.

Which those are is agreed in the journal. A share that was lost, or that another program has taken, ends its worker; one
that was gained starts one. In a dry run nothing is agreed: all is shown, and nothing moves. Which sinks this program
cannot deliver to is in `fitness.py`.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from btcore.journal.partitions import PartitionedJournal, Share
from btcore.sinks.worker import SinkWorker
from btcore.text import plural
from btcore.workers.fitness import Fitness
from btcore.workers.group import WorkerGroup

log = logging.getLogger("btcore")


class Sharing:
    """The shares of one run. `make` makes the workers of shares. Only the thread that runs the site calls it."""

    def __init__(
        self,
        journal: PartitionedJournal,
        sinks: WorkerGroup[SinkWorker],
        make: Callable[[Iterable[Share]], list[SinkWorker]],
        *,
        dry_run: bool,
    ) -> None:
        """Begin with none."""
        self._journal = journal
        self._sinks = sinks
        self._make = make
        self._dry_run = dry_run
        self._count = -1
        self.fitness = Fitness()

    def turn(self, tables: Sequence[str]) -> None:
        """Start and end workers; `tables` are those of all sinks. It asks nobody, and waits for nothing."""
        workers = {worker.share: worker for worker in self._sinks.workers if worker.share is not None}
        unfit = self.fitness.look(tables, workers.values())
        held = self._held(tables, unfit)
        ending = [worker.name for share, worker in workers.items() if self._is_over(worker, share in held, unfit)]
        # a share whose worker has still to end gets the next one when that has ended
        starting = [share for share in sorted(held) if share not in workers and not self._sinks.is_waiting(str(share))]
        if ending or starting:
            self._sinks.replace(ending, self._make(starting), [str(share) for share in self._all(tables)])
        if len(held) != self._count:
            self._count = len(held)
            log.info("this program works %s of %d", plural(len(held), "partition"), len(self._all(tables)))

    def _held(self, tables: Sequence[str], unfit: Collection[str]) -> frozenset[Share]:
        if self._dry_run:
            return frozenset(self._all(tables))
        workers = [worker for worker in self._sinks.workers if worker.thread.is_alive() or not worker.stop_reason]
        working = {worker.share for worker in workers if worker.share is not None}
        return frozenset(self._journal.hold(tables, working, unfit))

    def _is_over(self, worker: SinkWorker, is_held: bool, unfit: Collection[str]) -> bool:
        """Whether a worker is to end. One that has stopped stays to be seen, while others work its share."""
        if is_held:
            return worker.is_superseded or worker.is_left
        if worker.table in unfit:
            self.fitness.left(worker)
        worker.is_left = worker.table in unfit and bool(worker.stop_reason)
        return not worker.is_left

    def _all(self, tables: Sequence[str]) -> list[Share]:
        return [Share(table, number) for table in tables for number in range(self._journal.partitions)]

# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a running site, from its workers and its journal."""

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from btcore import clocks
from btcore.config.site import Site
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.journal.partitions import partitioned
from btcore.sinks.worker import SinkWorker
from btcore.sources.worker import SourceWorker
from btcore.status import ErrorStatus, JournalStatus, SinkStatus, SiteStatus
from btcore.status.disk import journal_status
from btcore.version import __version__

CLOCK_TOLERANCE = timedelta(seconds=2)
"""By how much the computer's clock is corrected without being set."""


class LiveStatus:
    """Makes the status of a running site, whenever it is asked. Safe from any thread."""

    def __init__(
        self,
        site: Site,
        journal: Journal,
        sources: Sequence[SourceWorker],
        sinks: Sequence[SinkWorker],
        redact: Callable[[str], str],
        *,
        dry_run: bool = False,
    ) -> None:
        """Take note of when the site was started."""
        self.site = site
        self._journal = journal
        self._sources = sources
        self._sinks = sinks
        self._redact = redact
        self._dry_run = dry_run
        self._started, self._began = datetime.now(UTC), clocks.steady()

    def __call__(self) -> SiteStatus:
        """Return the status now. Raises Unavailable."""
        now, site = datetime.now(UTC), self.site
        sources, sinks = tuple(self._sources), tuple(self._sinks)  # a reload may replace some meanwhile
        return SiteStatus(
            running=True,
            time=now,
            file=str(site.file.absolute()),
            version=__version__,
            sources=tuple(source.status(self._redact) for source in sources),
            sinks=tuple(self._sink_statuses(sinks)),
            journal=self._journal_status(now),
            process=os.getpid(),
            started=self._started_at(now),
            dry_run=self._dry_run,
        )

    def _started_at(self, now: datetime) -> datetime:
        """Return when the site was started, by the clock as it is now: it may have been set since then."""
        started = now - timedelta(microseconds=clocks.steady() - self._began)
        if abs(started - self._started) > CLOCK_TOLERANCE:
            self._started = started
        return self._started

    def _sink_statuses(self, workers: Sequence[SinkWorker]) -> Iterable[SinkStatus]:
        """Return the status of each sink: of its worker, or of the workers of its partitions."""
        if partitioned(self._journal) is None:
            return [worker.status() for worker in workers]
        from btcore.status.merged import left, merge  # noqa: PLC0415 - most journals have no partitions

        parts = [(worker, worker.share, worker.status()) for worker in workers if not worker.has_ended]
        return [
            merge(
                sink.name,
                sink.plugin,
                [
                    left(one) if worker.is_left else (share.partition, one)
                    for worker, share, one in parts
                    if share and share.sink == sink.table
                ],
            )
            for sink in self.site.sinks
        ]

    def _journal_status(self, now: datetime) -> JournalStatus:
        journal, retention = self._journal, self.site.retention
        try:
            return journal_status(journal, retention, now)
        except Unavailable as error:
            why = ErrorStatus(self._redact(str(error)), now)
            return JournalStatus(journal.location, retention=retention, free=journal.free(), last_error=why)

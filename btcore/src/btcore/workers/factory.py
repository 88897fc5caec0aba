# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the workers of a site's sources and sinks, with what they share. Nothing is started here."""

import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from threading import Event
from typing import Any

from btcore.calculate.sampling import SampleCache
from btcore.classes import evolve, frozen, has_fields, values_of
from btcore.config.site import Decoder, Sink, Site, Source, context_of
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.journal.clock_watch import ClockWatch
from btcore.journal.pace import Pace
from btcore.journal.partitions import Share, partitioned
from btcore.journal.shared_readings import SharedReadings
from btcore.replay.requests import RequestBook
from btcore.settings import Context
from btcore.sinks.worker import SinkWorker
from btcore.sources.identity import Identities, last_readings
from btcore.sources.worker import SourceWorker

log = logging.getLogger("btcore")


@frozen
class RunOptions:
    """How a site is run. `grace` is in seconds, for writes to a failing journal when the program stops."""

    once: bool = False
    dry_run: bool = False
    redact: Callable[[str], str] = str
    grace: float = 0.0


@frozen
class Hosting:
    """What plugins may ask the run for: see `Context`."""

    site_status: Callable[[], Mapping[str, Any]] = dict
    dead_letters: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _request: {"letters": []}


class WorkerFactory:
    """Makes workers of one configuration of a site. `stop` and `drain` are those of the run."""

    def __init__(
        self,
        site: Site,
        journal: Journal,
        stop: Event,
        drain: Event,
        options: RunOptions,
        requests: RequestBook,
        clock_watch: ClockWatch | None = None,
        hosting: Hosting | None = None,
    ) -> None:
        """Prepare; `identities` is made by `restore_identities`. `clock_watch` and `hosting` are the run's."""
        self._site = site
        self._journal = journal
        self._stop = stop
        self._drain = drain
        self._options = options
        self._requests = requests
        self._cache = SampleCache()
        self._shared = SharedReadings()
        self._pace = Pace()
        self._clock_watch = clock_watch
        self._hosting = hosting or Hosting()
        self.identities = Identities(site.meters, lambda notice: log.warning("%s", notice))

    def restore_identities(self) -> None:
        """Restore which meters were heard before, and their names. Raises Unavailable."""
        if not self._journal.newest():
            return
        decoders = self.decoders(()).for_worker(log)
        decoders.open(skip_failing=True)
        try:
            self.identities.restore(last_readings(self._journal, decoders))
        finally:
            decoders.close()

    def sources(self, sources: Iterable[Source]) -> list[SourceWorker]:
        """Make the workers of some sources."""
        return [self._source(source) for source in sources]

    def _source(self, source: Source) -> SourceWorker:
        worker = SourceWorker(
            self._reading(source),
            self._journal,
            self.decoders(source.formats),
            self._context(source),
            Event(),
            shutdown=self._stop,
            identities=self.identities,
            once=self._options.once,
            grace=self._options.grace,
        )
        worker.doubt_clock(self._clock_watch)
        worker.keep_pace(self._pace)
        return worker

    def _reading(self, source: Source) -> Source:
        """Give the source of virtual channels the journal that it reads."""
        if not isinstance(source.instance, tuple):
            return source
        from btcore.virtual.collector import Collector  # noqa: PLC0415 - for sites with virtual channels

        return evolve(source, instance=Collector(source.instance, self._journal, self.decoders(())))

    def sinks(self, sinks: Iterable[Sink]) -> list[SinkWorker]:
        """Make the workers of some sinks."""
        return [self._sink(sink) for sink in sinks]

    def shares(self, shares: Iterable[Share]) -> list[SinkWorker]:
        """Make the workers of some shares of sinks; the journal is one with partitions."""
        tables = {sink.table: sink for sink in self._site.sinks}
        return [self._sink(own_instance(tables[share.sink]), share) for share in shares if share.sink in tables]

    def _sink(self, sink: Sink, share: Share | None = None) -> SinkWorker:
        journal = partition_of(self._journal, share)
        requests = self._requests.of(sink.table) if share is None else self._requests.of_share(share)
        context = evolve(self._context(sink), replay=requests.ask_for_all)
        worker = SinkWorker(
            sink,
            journal,
            self.decoders(()),
            self._cache,
            context,
            stop=Event(),
            drain=self._drain,
            redact=self._options.redact,
            requests=requests,
            share=share,
        )
        worker.wait_for_clock(self._clock_watch)
        worker.keep_pace(self._pace)
        return worker

    def _context(self, part: Source | Sink | Decoder) -> Context:
        context = context_of(self._site, part, dry_run=self._options.dry_run)
        return evolve(context, **values_of(self._hosting))

    def decoders(self, formats: tuple[str, ...] = ()) -> Decoders:
        """Make the decoders of the site, for packets of these formats; of all, where there are none."""
        decoders = self._site.decoders
        contexts = [self._context(one) for one in decoders]
        return Decoders(
            [one.instance for one in decoders],
            formats,
            contexts,
            name_meter=self._site.meters.current_serial,
            shared=self._shared,
        )


def partition_of(journal: Journal, share: Share | None) -> Journal:
    """Return the partition of a share; the journal where there is none."""
    with_partitions = partitioned(journal) if share else None
    return with_partitions.partition(share.partition) if share and with_partitions else journal


def own_instance(sink: Sink) -> Sink:
    """Return a sink with an instance of its plugin of its own: several workers cannot use one."""
    instance: Any = sink.instance
    own = evolve(instance) if has_fields(type(instance)) else copy.copy(instance)
    return evolve(sink, instance=own, settings=sink.settings)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the workers of a site's sources and sinks, with what they share. Nothing is started here."""

import logging
from collections.abc import Callable, Iterable, Mapping
from threading import Event
from typing import Any

import attrs

from btcore.calculate.sampling import SampleCache
from btcore.classes import frozen
from btcore.config.site import Decoder, Sink, Site, Source, context_of
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.journal.clock_watch import ClockWatch
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
        return worker

    def _reading(self, source: Source) -> Source:
        """Give the source of virtual channels the journal that it reads."""
        if not isinstance(source.instance, tuple):
            return source
        from btcore.virtual.collector import Collector  # noqa: PLC0415 - for sites with virtual channels

        return attrs.evolve(source, instance=Collector(source.instance, self._journal, self.decoders(())))

    def sinks(self, sinks: Iterable[Sink]) -> list[SinkWorker]:
        """Make the workers of some sinks."""
        return [self._sink(sink) for sink in sinks]

    def _sink(self, sink: Sink) -> SinkWorker:
        requests = self._requests.of(sink.table)
        context = attrs.evolve(self._context(sink), replay=requests.ask_for_all)
        worker = SinkWorker(
            sink,
            self._journal,
            self.decoders(()),
            self._cache,
            context,
            stop=Event(),
            drain=self._drain,
            redact=self._options.redact,
            requests=requests,
        )
        worker.wait_for_clock(self._clock_watch)
        return worker

    def _context(self, part: Source | Sink | Decoder) -> Context:
        context = context_of(self._site, part, dry_run=self._options.dry_run)
        return attrs.evolve(context, **attrs.asdict(self._hosting, recurse=False))

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

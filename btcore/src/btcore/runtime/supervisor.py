"""Running a site: its sources and sinks at once, from the lock on its state to the last commit."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event, Thread

import attrs

from btcore.calculate.sampling import SampleCache
from btcore.config.site import Decoder, Sink, Site, Source, context_of
from btcore.control.server import ControlServer, Handler
from btcore.decode.decoders import Decoders
from btcore.errors import ConfigurationError
from btcore.journal import Journal, Retention
from btcore.journal.opening import open_journal
from btcore.mending.commands import Mending
from btcore.runtime import state_directory
from btcore.runtime.health import RunHealth
from btcore.runtime.http import open_monitoring
from btcore.runtime.names import NameCheck
from btcore.runtime.observation import Observation
from btcore.runtime.reporting import ActivityReport
from btcore.runtime.retention import Upkeep
from btcore.runtime.status import LiveStatus
from btcore.settings import Context
from btcore.sinks.worker import SinkWorker
from btcore.sources.identity import Identities, last_readings
from btcore.sources.worker import SourceWorker
from btcore.status.report import answer
from btcore.text import either, plural

log = logging.getLogger("btcore")

STOP_TIMEOUT = 30.0
"""Seconds that the workers may take to finish when the program stops."""
JOURNAL_SHARE = 0.5
"""The share of STOP_TIMEOUT in which writes to a failing journal are retried; the rest is for the last try."""
POLL_INTERVAL_ONCE = 0.05
"""Seconds between two checks of the workers, in a `once` run."""
POLL_INTERVAL = 1.0
"""The same in a run that goes on."""


class Supervisor:
    """Runs a site until `stop` is set, or, with `once`, until its sources have ended and its sinks are up to date.

    It also ends when no source or no sink works until a restart.
    """

    def __init__(
        self,
        site: Site,
        stop: Event,
        *,
        once: bool = False,
        dry_run: bool = False,
        redact: Callable[[str], str] = str,
        patience: float = STOP_TIMEOUT,
    ) -> None:
        """Prepare; nothing is opened yet. `patience` is in seconds, for what hangs when the program stops."""
        self._site = site
        self._stop = stop
        self._drain = Event()
        self._once = once
        self._dry_run = dry_run
        self._redact = redact
        self._patience = patience

    def run(self) -> bool:
        """Run; return whether no source and no sink stopped with an error. Raises Unavailable."""
        serving = ExitStack()
        with ExitStack() as opened:
            opened.callback(os.close, state_directory.lock(self._site.state))
            _claim(self._site)
            journal = open_site_journal(self._site)
            opened.callback(journal.close)
            identities = Identities(self._site.meters, lambda notice: log.warning("%s", notice))
            sinks, sources = self._sinks(journal), self._sources(journal, identities)
            self._restore_identities(identities, journal)
            name_check = NameCheck.of(self._site, journal.heard_meters)
            health = RunHealth(sources, sinks)
            held = opened.pop_all()  # from here on by the workers: what one that hangs still uses stays open
        what = f"{plural(len(sources), 'source')}, {plural(len(sinks), 'sink')}"
        log.info("%s; the journal is in %s", what, journal.location)
        status = LiveStatus(self._site, journal, sources, sinks, self._redact)
        try:
            self._serve(status, self._mending(journal, sinks), Observation(sources, journal, self._stop), serving)
            for thread in _threads(sources, sinks):
                thread.start()
            self._watch(journal, sources, sinks, name_check, health)
        finally:
            serving.close()
            self._stop.set()
            journal.wake()
            finished = _join(_threads(sources, sinks), self._patience)
            if not finished:
                _report_lost(sources)
            name_check.finish()
            _report_totals(sources, sinks)
            failure = health.describe_failure()
            if finished:
                held.close()
        if failure:
            log.error("ended with an error: %s", failure)
        return finished and not failure

    def _mending(self, journal: Journal, sinks: list[SinkWorker]) -> Mending:
        requests = {sink.name: sink.redelivery.requests for sink in sinks}
        return Mending(self._site, journal, requests, {sink.name: sink for sink in sinks}, self._stop)

    def _serve(self, status: LiveStatus, mending: Mending, observation: Observation, serving: ExitStack) -> None:
        """Answer the commands of this machine's user, and a monitoring system if there is to be one."""
        handlers: dict[str, Handler] = {
            "status": lambda _request: [answer(status())],
            "undecoded": observation.undecoded,
            "newest": observation.newest,
            "capture": observation.capture,
            **mending.handlers,
        }
        control = ControlServer(self._site.state, handlers)
        serving.callback(control.close)
        control.open()
        address = self._site.metrics.address
        if address is not None and (monitoring := open_monitoring(address, status)) is not None:
            serving.callback(monitoring.close)

    def _watch(
        self,
        journal: Journal,
        sources: list[SourceWorker],
        sinks: list[SinkWorker],
        name_check: NameCheck,
        health: RunHealth,
    ) -> None:
        reporting = ActivityReport(sources, sinks, log)
        tables = [sink.table for sink in self._site.sinks]
        requests = [sink.redelivery.requests for sink in sinks]
        upkeep = Upkeep(
            journal,
            tables,
            Retention(self._site.retention),
            held=lambda: [name for one in requests for name in one.held()],
        )
        while any(thread.is_alive() for thread in _threads(sources, sinks)):
            if not self._dry_run:
                upkeep.turn()
            name_check.check()
            reporting.check()
            for worker in sources:
                worker.check()
            for sink in sinks:
                sink.check()  # whatever its worker does: stopped, waiting, or in a call that hangs
            if self._once and not any(worker.thread.is_alive() for worker in sources):
                self._drain.set()
                journal.wake()
            if not self._once and health.has_failed():
                return
            if self._stop.wait(POLL_INTERVAL_ONCE if self._once or upkeep.is_busy else POLL_INTERVAL):
                log.info("stopping: the work in progress may take %.0f s more", self._patience)
                return

    def _context(self, part: Source | Sink | Decoder) -> Context:
        return context_of(self._site, part, dry_run=self._dry_run)

    def _restore_identities(self, identities: Identities, journal: Journal) -> None:
        """Restore which meters were heard before, and their names."""
        if not journal.newest():
            return
        decoders = self._decoders(()).for_worker(log)
        decoders.open(skip_failing=True)
        try:
            identities.restore(last_readings(journal, decoders))
        finally:
            decoders.close()

    def _sources(self, journal: Journal, identities: Identities) -> list[SourceWorker]:
        return [
            SourceWorker(
                source,
                journal,
                self._decoders(source.formats),
                self._context(source),
                self._stop,
                identities=identities,
                once=self._once,
                grace=self._patience * JOURNAL_SHARE,
            )
            for source in self._site.sources
        ]

    def _sinks(self, journal: Journal) -> list[SinkWorker]:
        decoders, cache = self._decoders(()), SampleCache()
        return [
            SinkWorker(
                sink,
                journal,
                decoders,
                cache,
                self._context(sink),
                stop=self._stop,
                drain=self._drain,
                redact=self._redact,
            )
            for sink in self._site.sinks
        ]

    def _decoders(self, formats: tuple[str, ...]) -> Decoders:
        decoders = self._site.decoders
        contexts = [self._context(one) for one in decoders]
        return Decoders(
            [one.instance for one in decoders], formats, contexts, name_meter=self._site.meters.current_serial
        )


def _report_totals(sources: list[SourceWorker], sinks: list[SinkWorker]) -> None:
    for worker in sources:
        refused = f", {worker.refused} refused" if worker.refused else ""
        log.info("%s: %s; %s%s", worker.name, worker.counts, worker.stored, refused)
    for sink in sinks:
        total = str(sink)  # at once: it asks the journal, which is closed soon
        log.info("%s: %s", sink.name, total)


def _threads(sources: list[SourceWorker], sinks: list[SinkWorker]) -> list[Thread]:
    return [*(sink.thread for sink in sinks), *(source.thread for source in sources)]


def _join(threads: list[Thread], patience: float) -> bool:
    """Wait for the workers to finish; return whether all did."""
    deadline = time.monotonic() + patience
    for thread in threads:
        if thread.ident is not None:  # it was started
            thread.join(max(deadline - time.monotonic(), 0.0))
        if thread.is_alive():
            log.warning(
                "%s does not stop and is abandoned: the next run delivers again what it did not finish",
                thread.name,
            )
    return not any(thread.is_alive() for thread in threads)


def _report_lost(sources: list[SourceWorker]) -> None:
    for worker in sources:
        if worker.thread.is_alive() and worker.waiting:
            what = either(worker.waiting, "reading is", "readings are")
            log.error("%s: %s lost: not yet written to the journal", worker.name, what)


def open_site_journal(site: Site, *, must_exist: bool = False) -> Journal:
    """Open the journal that a configuration chooses. Raises Unavailable, ConfigurationError."""
    try:
        return open_journal(site.journal, site.state, site.max_journal_bytes, must_exist=must_exist)
    except ConfigurationError as error:
        problems = [attrs.evolve(problem, file=str(site.file)) for problem in error.problems]
        raise ConfigurationError(problems) from None


def _claim(site: Site) -> None:
    """Claim the state directory for this configuration. Raises ConfigurationError if it belongs to another."""
    try:
        if warning := state_directory.claim(site.state, site.file):
            log.warning("%s", warning)
    except OSError as error:  # on a full disk too, readings are kept
        log.warning(
            "cannot note in the state directory %s which configuration it belongs to: %s", site.state, error.strerror
        )

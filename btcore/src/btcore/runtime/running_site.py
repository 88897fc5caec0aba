# SPDX-License-Identifier: GPL-3.0-or-later
"""A site that runs: its workers, and what is checked and reported about them; it can take another configuration.

When it starts, ends and takes one is decided in `supervisor.py` and `reload.py`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from btcore.classes import evolve
from btcore.config.named_channels import labels_by_format, named_channels
from btcore.config.site import Site
from btcore.decode.decoders import Decoders
from btcore.errors import Unavailable
from btcore.journal import Journal, Retention
from btcore.journal.clock_watch import ClockWatch
from btcore.journal.partitions import PartitionedJournal, Share, partitioned
from btcore.logs.recent import recent_warnings
from btcore.replay.requests import RequestBook
from btcore.runtime.retention import Upkeep
from btcore.runtime.status import LiveStatus
from btcore.sinks.worker import SinkWorker
from btcore.sources.worker import SourceWorker
from btcore.text import plural
from btcore.workers.factory import Hosting, RunOptions, WorkerFactory
from btcore.workers.group import WorkerGroup
from btcore.workers.health import RunHealth
from btcore.workers.reporting import ActivityReport

if TYPE_CHECKING:
    from btcore.mending.commands import Mending
    from btcore.runtime.names import NameCheck
    from btcore.status.present import Present
    from btcore.workers.changes import SiteChanges
    from btcore.workers.clock_sync import ClockSync
    from btcore.workers.sharing import Sharing

log = logging.getLogger("btcore")

SOURCE_HANG_TIMEOUT = 600.0
"""Seconds after which a source that does not move, or its write to the journal, hangs."""

SINK_HANG_TIMEOUT = 1800.0
"""Seconds after which a call of a sink hangs; it is reported earlier."""


class RunningSite:
    """The workers of a site. Only the thread that made it calls it, but for `status` and `tell_present`."""

    def __init__(
        self, site: Site, journal: Journal, stop: Event, drain: Event, options: RunOptions, patience: float
    ) -> None:
        """Make the workers; `stop` and `drain` are those of the run. Raises Unavailable."""
        self.site = site
        self.journal = journal
        self._options = options
        self._stop = stop
        self.requests = RequestBook(journal)
        is_clock_ours = not options.dry_run and partitioned(journal) is None
        self._clock_watch = ClockWatch(journal) if is_clock_ours else None
        self._make_factory: Callable[[Site], WorkerFactory] = lambda site: WorkerFactory(
            site,
            journal,
            stop,
            drain,
            options,
            self.requests,
            self._clock_watch,
            Hosting(self._facts, self._dead_letters),
        )
        self._factory = self._make_factory(site)
        self.sources: WorkerGroup[SourceWorker] = WorkerGroup(
            self._factory.sources(site.running_sources), self._replaced, patience
        )
        shared = partitioned(journal)
        self.sinks: WorkerGroup[SinkWorker] = WorkerGroup(
            [] if shared else self._factory.sinks(site.sinks), self._replaced, patience
        )
        self._sharing = self._make_sharing(shared) if shared else None
        self._are_identities_restored = not self._is_journal_pending
        if self._are_identities_restored:
            self._factory.restore_identities()
        self.health = RunHealth(self.sources.workers, self.sinks.workers)
        self.status = LiveStatus(
            site, journal, self.sources.workers, self.sinks.workers, options.redact, dry_run=options.dry_run
        )
        self._clock_sync: ClockSync | None = None
        self._present: Present | None = None
        self._present_lock = Lock()
        self._report = ActivityReport(self.sources.workers, self.sinks.workers, log)
        self._name_check = self._make_name_check(site)
        self._upkeep = self._make_upkeep()

    # --- what it does

    def start(self) -> None:
        """Start the workers."""
        self.sinks.start()
        self._share()
        self.sinks.advance()
        self.sources.start()
        self._sync_clocks(self.site)

    def _sync_clocks(self, site: Site) -> None:
        """Keep the clocks of meters right from now on, where any source of a configuration is to."""
        is_wanted = any(source.sync_clock for source in site.running_sources) and not self._options.dry_run
        if not is_wanted or self._clock_sync is not None:
            return
        from btcore.workers.clock_sync import ClockSync  # noqa: PLC0415 - most clocks are never set

        self._clock_sync = ClockSync(self.sources.workers, self._stop)
        self._clock_sync.thread.start()

    def _make_sharing(self, journal: PartitionedJournal) -> "Sharing":
        from btcore.workers.sharing import Sharing  # noqa: PLC0415 - most journals have no partitions

        return Sharing(journal, self.sinks, self._make_shares, dry_run=self._options.dry_run)

    def _make_shares(self, shares: Iterable[Share]) -> list[SinkWorker]:
        return self._factory.shares(shares)  # that of the configuration now

    def _share(self) -> None:
        """Have the workers follow the partitions that are this program's, where the journal has any."""
        if self._sharing is not None:
            self._sharing.turn([sink.table for sink in self.site.sinks])

    def check(self) -> None:
        """Report what is due, and keep the journal small; called about every second."""
        if self._clock_watch is not None:
            with suppress(Unavailable):  # whoever needs the journal reports that it is
                self._clock_watch.check()
        if not self._options.dry_run:
            self._upkeep.turn()
        if not self._are_identities_restored and not self._is_journal_pending:
            self._restore_identities()
        self._share()
        if self._name_check is not None:
            self._name_check.check()
        self._report.check()
        if self._present is not None:
            self._present.check()
        for worker in self.workers:
            worker.check()  # whatever its thread does: stopped, waiting, or in a call that hangs
        self.sources.advance()
        self.sinks.advance()

    @property
    def _is_journal_pending(self) -> bool:
        return bool(getattr(self.journal, "is_pending", False))

    def _restore_identities(self) -> None:
        """Restore which meters were heard before, as the journal could not be opened at the start."""
        with suppress(Unavailable):
            self._factory.restore_identities()
            self._are_identities_restored = True

    def end(self) -> None:
        """Tell all workers to end."""
        self.sources.end()
        self.sinks.end()
        self.journal.wake()

    def finish(self) -> None:
        """Report what was done, when the workers have ended."""
        if self._name_check is not None:
            self._name_check.finish()
        for worker in self.workers:
            total = str(worker)  # at once: it asks the journal, which is closed soon
            log.info("%s: %s", worker.name, total)

    # --- how it is

    @property
    def workers(self) -> list[SourceWorker | SinkWorker]:
        """All workers, the sources first."""
        return [*self.sources.workers, *self.sinks.workers]

    @property
    def threads(self) -> list[Thread]:
        """The threads of the workers."""
        return [*self.sinks.threads, *self.sources.threads]

    @property
    def is_alive(self) -> bool:
        """Whether any worker runs, or is about to."""
        is_standing_by = self._sharing is not None and not self._options.once  # for partitions that others leave
        return is_standing_by or not self.is_settled or any(thread.is_alive() for thread in self.threads)

    @property
    def are_sources_over(self) -> bool:
        """Whether no source runs, or is about to. Those that are derived from others end when the others have."""
        running = [worker for worker in self.sources.workers if worker.thread.is_alive()]
        if not self.sources.is_settled or any(not worker.source.is_derived for worker in running):
            return False
        for worker in running:
            worker.end()
        return not running

    @property
    def is_settled(self) -> bool:
        """Whether every worker runs with the settings of the configuration."""
        return self.sources.is_settled and self.sinks.is_settled

    @property
    def is_busy(self) -> bool:
        """Whether `check` has more to do at once."""
        return self._upkeep.is_busy

    @property
    def has_opened(self) -> bool:
        """Whether each source and sink works, or has failed at least once."""
        return all(worker.has_opened for worker in self.workers)

    def _facts(self) -> Mapping[str, Any]:
        """Return what a plugin may know of the site."""
        from btcore.status.report import facts  # noqa: PLC0415 - few plugins ask

        return {**facts(self.status()), "warnings": recent_warnings()}

    def tell_present(self, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Tell what is measured now; see `Present.answer`. From any thread."""
        with self._present_lock:
            if self._present is None:
                from btcore.status.present import Present  # noqa: PLC0415 - most runs are never asked

                self._present = Present(lambda: self.site, self.journal, self._decoders)
        return self._present.answer(request)

    def mending(self) -> "Mending":
        """Return what mends the site: dead letters, replays, imports."""
        from btcore.mending.commands import Mending  # noqa: PLC0415 - most runs are never asked

        return Mending(self.journal, lambda: self.site, lambda: self.sinks.workers, self._stop, self.requests)

    def _dead_letters(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what a plugin asks for with dead letters, as `btcore dead-letters` would."""
        return next(self.mending().dead_letters(request))

    def hang(self) -> str:
        """Describe a worker that does not move, and that only a restart can cure; "" if there is none."""
        found = [(worker.name, worker.hang(SOURCE_HANG_TIMEOUT)) for worker in self.sources.workers]
        found += [(worker.name, worker.hang(SINK_HANG_TIMEOUT)) for worker in self.sinks.workers]
        return "; ".join(f"{name}: {hang}" for name, hang in found if hang)

    def describe(self) -> str:
        """Describe the run in a line, for the service manager."""
        sources, sinks = self.sources.workers, self.sinks.workers
        meters = sum(source.meters for source in sources)
        counts = ", ".join(
            [plural(len(sources), "source"), plural(meters, "meter"), plural(len(sinks), "sink")],
        )
        bad = [worker.name for worker in self.workers if worker.is_failing]
        silent = [serial for source in sources for serial in source.silent]
        return counts + _listed("; failing: ", bad) + _listed("; silent: ", silent)

    # --- another configuration

    def change(self, new: Site, accept: Callable[[Site], None]) -> "SiteChanges":
        """Take another configuration: restart what depends on what has changed, and nothing else.

        `accept` is called when all is prepared, and may refuse it. The workers that are replaced end and start later,
        in `check`. Raises Unavailable; nothing is changed then.
        """
        from btcore.workers.changes import ON_RESTART, site_changes  # noqa: PLC0415 - most runs never have another

        old = self.site
        stopped = [one.name for one in self.sources.workers if one.failure]
        stopped += [one.table for one in self.sinks.workers if one.stop_reason]
        changes = site_changes(old, new, stopped)
        new = evolve(new, **{name: getattr(old, name) for name in ON_RESTART})
        factory = self._make_factory(new)
        if changes.is_naming_changed:
            factory.restore_identities()
        else:
            factory.identities = self._factory.identities
        sources = factory.sources(one for one in new.running_sources if one.table in changes.sources.starting)
        starting = () if self._sharing else (one for one in new.sinks if one.table in changes.sinks.starting)
        sinks = factory.sinks(starting)  # those of shares are made once the ones before them have ended
        name_check = self._make_name_check(new)
        self._sync_clocks(new)
        accept(new)
        self.site, self.status.site, self._factory = new, new, factory
        self._announce(sources)
        self.sources.replace(changes.sources.ending, sources, [one.table for one in new.running_sources])
        ending = {one.name for one in self.sinks.workers if one.table in changes.sinks.ending}
        if self._sharing:
            self._sharing.fitness.forget(changes.sinks.ending)
        self.sinks.replace(ending, sinks, [one.table for one in new.sinks])
        self.journal.wake()
        self._name_check = name_check
        self._upkeep = self._make_upkeep()
        return changes

    def _announce(self, successors: Iterable[SourceWorker]) -> None:
        """Tell the sources that end which of them have a successor of their kind: they may leave it what they hold."""
        kinds = {worker.name: type(worker.source.instance) for worker in successors}
        for worker in self.sources.workers:
            worker.is_replaced = kinds.get(worker.name) is type(worker.source.instance)

    def _replaced(self, worker: SourceWorker | SinkWorker) -> None:
        self._report.forget(worker.name)
        log.info("%s: %s", worker.name, worker)

    def _make_name_check(self, site: Site) -> "NameCheck | None":
        """Make the check of the names in a configuration; None where it names no meter and no channel."""
        names = named_channels(site)
        if not names:
            return None
        from btcore.runtime.names import NameCheck  # noqa: PLC0415 - for sites with names

        return NameCheck(names, labels_by_format(site), self.journal.heard_meters)

    def _make_upkeep(self) -> Upkeep:
        tables = [sink.table for sink in self.site.sinks]
        return Upkeep(self.journal, tables, Retention(self.site.retention), held=self._held)

    def _decoders(self) -> Decoders:
        return self._factory.decoders()

    def _held(self) -> list[str]:
        """Return the names whose checkpoints hold what is to be delivered again."""
        derived = [one.name for one in self.site.running_sources if one.is_derived]
        if self._sharing is not None:
            return derived  # the stream forgets by its own limits
        return derived + [name for worker in self.sinks.workers for name in worker.redelivery.requests.held()]


def _listed(what: str, names: Iterable[str]) -> str:
    texts = list(names)
    return what + ", ".join(texts) if texts else ""

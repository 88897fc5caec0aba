# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a site: its sources and sinks at once, from the lock on its state to the last commit."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from btcore.classes import evolve
from btcore.config.site import Site
from btcore.control.requests import RequestQueue
from btcore.control.server import ControlServer, Handler, Request
from btcore.errors import ConfigurationError, JournalNotReady
from btcore.journal import Journal
from btcore.journal.opening import check_url, open_journal
from btcore.runtime import state_directory
from btcore.runtime.http import Monitoring
from btcore.runtime.reload import Reloader
from btcore.runtime.running_site import RunningSite
from btcore.runtime.service_manager import ServiceManager
from btcore.sources.worker import SourceWorker
from btcore.text import either, plural
from btcore.workers.factory import RunOptions
from btcore.workers.journal_watch import JournalWatch

if TYPE_CHECKING:
    from btcore.workers.draining import Draining

log = logging.getLogger("btcore")

STOP_TIMEOUT = 30.0
"""Seconds that the workers may take to finish when the program stops."""
JOURNAL_SHARE = 0.5
"""The share of STOP_TIMEOUT in which writes to a failing journal are retried; the rest is for the last try."""
READY_TIMEOUT = 15.0
"""Seconds after which a run counts as started, even if a service has not answered yet."""
POLL_INTERVAL_ONCE = 0.05
"""Seconds between two checks of the workers, in a `once` run and while some are replaced."""
POLL_INTERVAL = 1.0
"""The same in a run that goes on."""
OBSERVATION_REQUESTS = ("undecoded", "newest", "capture")
"""What `runtime/observation.py` answers."""

MENDING_REQUESTS = ("dead-letters", "replay", "journal", "import")
"""What `mending/commands.py` answers."""

DEVICE_REQUESTS = ("device-list", "device-show", "device-plan", "device-set")
"""The requests of `btcore device`, which `workers/devices.py` answers."""


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
        load: Callable[[], Site] | None = None,
        reloads: RequestQueue | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        """Prepare; nothing is opened yet. `patience` is in seconds, for what hangs when it stops or is replaced.

        `load` reads the configuration again when `reloads` has a request. `manager` is told how the run is.
        """
        self._site = site
        self._stop = stop
        self._drain = Event()
        self._once = once
        self._options = RunOptions(once=once, dry_run=dry_run, redact=redact, grace=patience * JOURNAL_SHARE)
        self._patience = patience
        self._load = load or (lambda: site)
        self._reloads = reloads or RequestQueue()
        self._manager = manager or ServiceManager({})

    def run(self) -> bool:
        """Run; return whether no source and no sink stopped with an error. Raises Unavailable."""
        control, serving = ControlServer(self._site.state), ExitStack()
        with ExitStack() as opened:
            lock = state_directory.Lock(self._site.state)
            opened.callback(lock.close)
            opened.callback(control.close)
            control.open()  # at once: whoever asks while the journal is opened waits for the answer
            _claim(self._site)
            journal = self._open_journal()
            opened.callback(journal.close)
            running = RunningSite(self._site, journal, self._stop, self._drain, self._options, self._patience)
            held = opened.pop_all()  # from here on by the workers: what one that hangs still uses stays open
        what = f"{plural(len(self._site.sources), 'source')}, {plural(len(self._site.sinks), 'sink')}"
        log.info("%s; the journal is in %s", what, journal.location)
        watch = JournalWatch(journal, partial(self._check_directory, lock, control), self._stop)
        try:
            watch.turn()  # what was found at the start
            watch.thread.start()
            control.serve(self._handlers(running))
            monitoring = self._monitor(running, serving)
            running.start()
            self._watch(running, journal, monitoring)
        finally:
            self._manager.stopping()
            control.refuse()
            serving.close()
            self._stop.set()
            running.end()
            finished = _join(running.threads, self._patience)
            if not finished:
                _report_lost(running.sources.workers)
            watch.end()
            finished = _join([watch.thread], self._patience) and finished
            if finished:
                watch.turn()  # what happened since it looked last
            running.finish()
            failure = running.health.describe_failure() or watch.failure
            if finished:
                held.close()
            else:
                control.close()
        if failure:
            log.error("ended with an error: %s", failure)
        return finished and not failure

    def _open_journal(self) -> Journal:
        """Open the journal; where its disk must be waited for, return what opens it later. Raises Unavailable."""
        try:
            return open_site_journal(self._site)
        except JournalNotReady as error:
            if self._once:  # somebody waits for its end
                raise
            from btcore.journal.pending import pending  # noqa: PLC0415 - most journals can be opened

            return pending(self._open_journal_later, error)

    def _open_journal_later(self) -> Journal:
        journal = open_site_journal(self._site)
        _claim(self._site)  # which may have had no room
        return journal

    def _check_directory(self, lock: state_directory.Lock, control: ControlServer) -> str:
        """See that the state directory is this program's, with socket and note; return what was done about its lock."""
        done = lock.check()
        control.check()
        if done:
            _claim(self._site)
        return done

    def _handlers(self, running: RunningSite) -> dict[str, Handler]:
        """Return what answers the commands of this machine's user."""
        return {
            "status": partial(_tell_status, running),
            "now": running.tell_present,
            "reload": lambda _request: [self._reloads.put().wait(2 * self._patience)],
            **{name: partial(_observe, running, self._stop, name) for name in OBSERVATION_REQUESTS},
            **{name: partial(_mend, running, name) for name in MENDING_REQUESTS},
            **{name: partial(_ask_device, running, name) for name in DEVICE_REQUESTS},
        }

    def _monitor(self, running: RunningSite, serving: ExitStack) -> Monitoring:
        """Serve a monitoring system, if there is to be one."""
        monitoring = Monitoring(running.status)
        serving.callback(monitoring.close)
        if problem := monitoring.begin(self._site.metrics.address):
            log.error("%s", problem)
        return monitoring

    def _watch(self, running: RunningSite, journal: Journal, monitoring: Monitoring) -> None:
        def changed(site: Site) -> Iterator[str]:
            if problem := monitoring.change(site.metrics.address):
                yield problem

        reloader = Reloader(self._load, self._reloads, self._manager, changed, self._patience)
        ready_at = time.monotonic() + READY_TIMEOUT
        draining = _draining(running) if self._once else None
        while running.is_alive:
            running.check()
            reloader.turn(running)
            self._notify(running, reloader.notice, ready_at)
            if draining is not None and running.are_sources_over:
                self._drain.set()
                journal.wake()
                draining.check()
            # what has failed may be corrected by the configuration that is being read
            if not self._once and running.is_settled and not reloader.is_busy and running.health.has_failed():
                return
            is_busy = self._once or running.is_busy or reloader.is_busy
            if self._stop.wait(POLL_INTERVAL_ONCE if is_busy else POLL_INTERVAL):
                log.info("stopping: the work in progress may take %.0f s more", self._patience)
                return
        if draining is not None:
            draining.finish()

    def _notify(self, running: RunningSite, notice: str, ready_at: float) -> None:
        """Tell the service manager how the run is, and that it moves."""
        if not self._manager.is_ready and (running.has_opened or time.monotonic() >= ready_at):
            self._manager.ready()
        if self._manager.is_listening:
            self._manager.status(running.describe() + notice)
        if self._manager.has_watchdog:
            self._manager.feed(running.hang())


def _tell_status(running: RunningSite, _request: Request) -> Iterable[Any]:
    from btcore.status.report import answer  # noqa: PLC0415 - most runs are never asked

    return [answer(running.status())]


def _observe(running: RunningSite, stop: Event, name: str, request: Request) -> Iterable[Any]:
    from btcore.runtime.observation import Observation  # noqa: PLC0415 - most runs are never asked

    answer: Handler = getattr(Observation(running.sources.workers, running.journal, stop), name)
    return answer(request)


def _mend(running: RunningSite, name: str, request: Request) -> Iterable[Any]:
    return running.mending().handlers[name](request)


def _ask_device(running: RunningSite, name: str, request: Request) -> Iterable[Any]:
    from btcore.workers.devices import DeviceRequests  # noqa: PLC0415 - most runs are never asked

    return DeviceRequests(running.sources.workers).handlers()[name](request)


def _draining(running: RunningSite) -> "Draining":
    from btcore.workers.draining import Draining  # noqa: PLC0415 - of a run that ends by itself

    return Draining(lambda: max((sink.behind for sink in running.sinks.workers), default=0))


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
    with _naming_the_file(site):
        return open_journal(site.journal, site.state, site.max_journal_bytes, must_exist=must_exist, sync=site.sync)


def check_site_journal(site: Site) -> str:
    """Raise ConfigurationError where the journal that a configuration chooses cannot be had; nothing is opened.

    Return what would keep it from being opened now, though not later; "" for nothing.
    """
    with _naming_the_file(site):
        return check_url(site.journal, site.state)


@contextmanager
def _naming_the_file(site: Site) -> Iterator[None]:
    """Let mistakes say in which configuration they are."""
    try:
        yield
    except ConfigurationError as error:
        problems = [evolve(problem, file=str(site.file)) for problem in error.problems]
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

# SPDX-License-Identifier: GPL-3.0-or-later
"""Source workers: each runs one collector in its own thread, and sends every packet to the journal at once.

What a meter sends must reach the journal whatever else is broken: a collector that fails is started again, and entries
wait in `write_queue.py` while the journal cannot write.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from threading import Event, Thread
from time import monotonic

from btcore.backoff import Backoff
from btcore.classes import evolve
from btcore.config.meters import Meters
from btcore.config.site import Source
from btcore.decode.decoders import Decoders
from btcore.decode.framing import StreamCounts
from btcore.decode.splitting import PacketSplitter
from btcore.device.heard import HeardMeters
from btcore.errors import JournalNotReady, Retry, Stop, Unavailable
from btcore.heartbeat import Heartbeat
from btcore.hook_calls import hook_caller
from btcore.journal import Journal, known_serials
from btcore.journal.clock_watch import ClockWatch
from btcore.journal.keys import Append
from btcore.journal.pace import Pace
from btcore.journal.retry import ShuttingDown
from btcore.logs.failures import FailureReporter
from btcore.meter_commands import MeterCommands
from btcore.records import SourceCheckpoint
from btcore.settings import Context
from btcore.sources.activity import Activity
from btcore.sources.admission import Admission
from btcore.sources.entries import EntryMaker
from btcore.sources.identity import Identities
from btcore.sources.intake import Intake
from btcore.sources.recent_bytes import Undecoded
from btcore.sources.silence import SilenceWatch
from btcore.sources.status import meter_statuses, source_status
from btcore.sources.taps import Taps
from btcore.sources.validation import checked_items
from btcore.sources.write_queue import WriteQueue
from btcore.status import BAD, SourceStatus, State
from btcore.text import describe_error

RECENT = 1000
"""Readings at the end of the journal whose meters are known, also where no sink has had them yet."""

RESTORE_INTERVAL = 1.0
"""Seconds between two tries to read from the journal which meters were known before."""

ROOM_INTERVAL = 0.5
"""Seconds between two looks of a source that reads a store, whether the journal has room."""

MAX_ROOM_WAIT = 600.0
"""Seconds after which it goes on without: a sink that has stopped gives none back."""

MAX_FRUITLESS_ATTEMPTS = 3
"""Attempts in a row without a new reading after which a `once` run gives up a source."""


class SourceWorker:
    """Runs one source until it ends or is told to stop."""

    def __init__(
        self,
        source: Source,
        journal: Journal,
        decoders: Decoders,
        context: Context,
        stop: Event,
        *,
        shutdown: Event | None = None,
        identities: Identities | None = None,
        once: bool = False,
        grace: float = 0.0,
    ) -> None:
        """Prepare; `once`: give up a source that fails and brings no new readings. `grace` is as in `WriteQueue`.

        `stop` ends this worker, `shutdown` the program (default: `stop`): until then, the journal is waited for.
        `identities` are those of the whole site.
        """
        self.name = source.table
        self.failure = ""
        self.has_ended = False  # of itself, or because it was told to
        self.heartbeat = Heartbeat()
        self.thread = Thread(target=self._run, name=source.table, daemon=True)
        self._source = source
        self._origin = source.origin
        self._decoders = decoders.for_worker(context.log)
        self.is_replaced = False  # another worker of this table is ready
        self._stop = stop
        self._once = once
        self._log = context.log
        self._hooks = hook_caller(source.instance, source.table)
        self._reporter = FailureReporter(self._log)
        self._backoff = Backoff(source.min_backoff, source.max_backoff)
        self._write_queue = WriteQueue(source.table, journal, self._log, shutdown or stop, grace, source.name)
        self._journal = journal
        self._identities = identities or Identities(Meters(), lambda notice: self._log.warning("%s", notice))
        self._admission = Admission(
            source.meters, source.max_new_meters_per_day, source.max_packets_per_second, self._log
        )
        self._silence_watch = SilenceWatch(self._log)
        self._activity = Activity()
        self._entries = EntryMaker(
            source, self._decoders, self._identities, self._admission, self._silence_watch, self._activity
        )
        self._are_meters_restored = False
        self._restore_at = 0.0  # when it is tried again
        self._is_open = False
        self._is_waiting_reported = False
        self._intake = Intake(
            source, self._decoders, self._entries, self._admission, self._write_queue, self._worked, self._log
        )
        self._context = evolve(
            context,
            stream_status=self._intake.stream_status,
            commands=self._intake.commands,
            splitter=lambda: PacketSplitter(self._decoders.stream()),
            is_replaced=lambda: self.is_replaced and self._stop.is_set(),
        )

    @property
    def counts(self) -> StreamCounts:
        """What was found in its streams."""
        return self._intake.counts

    @property
    def without_packets(self) -> int:
        """How many readings came without packets."""
        return self._intake.without_packets

    @property
    def taps(self) -> Taps:
        """Those who are given what comes in."""
        return self._intake.taps

    @property
    def commands(self) -> MeterCommands:
        """What is sent to its meters."""
        return self._intake.commands

    @property
    def heard(self) -> HeardMeters:
        """The meters that were heard, and on which stream."""
        return self._intake.heard

    def doubt_clock(self, clock_watch: ClockWatch | None) -> None:
        """Let readings be kept without a time while it is not known. Called before the worker starts."""
        self._entries.clock_watch = clock_watch

    def append_by(self, append: Append) -> None:
        """Let this append the entries, in place of the journal itself. Called before the worker starts."""
        self._write_queue.append = append

    def keep_pace(self, pace: Pace) -> None:
        """Let a burst wait briefly for the sinks that keep up. Called before the worker starts."""
        self._write_queue.pace = pace

    @property
    def kept(self) -> int:
        """How many readings were new to the journal."""
        return self._write_queue.kept

    @property
    def stored(self) -> str:
        """How many readings the journal has of it, for a message: `0 kept, 30 already there`."""
        duplicates = self._write_queue.duplicates
        return f"{self.kept} kept" + (f", {duplicates} already there" if duplicates else "")

    @property
    def refused(self) -> int:
        """How many readings were refused."""
        return self._admission.refused + self._write_queue.refused.total

    @property
    def waiting(self) -> int:
        """How many readings are not in the journal yet."""
        return self._write_queue.waiting

    @property
    def meters(self) -> int:
        """How many meters were heard in this run."""
        return max(self._admission.heard, self._silence_watch.meters)  # of one serial number there may be several

    @property
    def silent(self) -> list[str]:
        """The meters that are silent now."""
        return self._silence_watch.silent

    @property
    def is_failing(self) -> bool:
        """Whether a person should see to it."""
        return self._state() in BAD

    def __str__(self) -> str:
        """Describe what was done, for a log line."""
        refused = f", {self.refused} refused" if self.refused else ""
        return f"{self.counts}; {self.stored}{refused}"

    def status(self, redact: Callable[[str], str] = str) -> SourceStatus:
        """Return how the source stands. Safe from any thread."""
        return evolve(
            source_status(self._source, self._state(), self.counts, self._write_queue, self._reporter, redact),
            meters=tuple(meter_statuses(self._activity, self._silence_watch)),
            bytes=self._intake.received_bytes,
            refused=self.refused,
        )

    def undecoded(self) -> list[Undecoded]:
        """Return the last bytes in which no packet was found. Safe from any thread."""
        return self._intake.undecoded()

    def _state(self) -> State:
        if self.failure:
            return "stopped"
        if self.thread.ident is not None and not self.thread.is_alive():
            return "ended"
        if self._reporter.failing_for is not None or self._write_queue.failure_now:
            return "failing"
        return "ok" if self.meters else "waiting"

    @property
    def source(self) -> Source:
        """The source as it is configured."""
        return self._source

    def check(self) -> None:
        """Report what is due by time alone; called about every second, whatever the source's thread does."""
        self._intake.packet_watch.check()
        if not self._write_queue.is_full:  # its meters may well be sending
            self._silence_watch.check()

    def end(self) -> None:
        """Tell it to end; what came in is written to the journal first."""
        self._stop.set()

    @property
    def has_opened(self) -> bool:
        """Whether it receives, or it is known why not."""
        return self._is_open or bool(self.failure) or self.has_ended or self._reporter.failing_for is not None

    def hang(self, timeout: float) -> str:
        """Describe what has not moved for so many seconds, and only a restart can cure; "" if nothing."""
        queue = self._write_queue
        if self.thread.ident is not None and not self.thread.is_alive() and not (self.failure or self.has_ended):
            return "its thread has died"
        if queue.has_died:
            return "the thread that writes to the journal has died"
        # a source that waits for room does not hang: its queue does, or the journal is known to fail
        return queue.heartbeat.hang(timeout) or ("" if queue.is_full else self.heartbeat.hang(timeout))

    def _run(self) -> None:
        self._write_queue.start()
        try:
            self._collect()
            self.has_ended = True
        finally:
            self.commands.interrupt(self.failure or "it has ended")
            self._write_queue.close()
            self._admission.finish()
            self._silence_watch.finish()
            self._intake.packet_watch.finish(has_ended=not self._stop.is_set() and not self.failure)

    def _collect(self) -> None:
        fruitless = 0
        while not self._stop.is_set():
            before = self.kept
            try:
                self._attempt()
            except ShuttingDown:
                return
            except Stop as error:
                self._give_up("stopped until a restart", error)
                return
            except BaseException as error:  # noqa: BLE001 - whatever a collector raises: wait, start it again
                if self._once:
                    self._write_queue.flush()  # what was new is known after that
                fruitless = 0 if self.kept > before else fruitless + 1
                if self._once and fruitless >= MAX_FRUITLESS_ATTEMPTS:
                    self._give_up("given up", error)
                    return
                self._wait_after_failure(error)
            else:
                return

    def _worked(self) -> None:
        self._backoff.worked()
        self._reporter.worked()

    def _give_up(self, what: str, error: BaseException) -> None:
        self.failure = describe_error(error)
        self._reporter.gave_up(self.failure)
        self._log.error("%s: %s", what, self.failure)

    def _wait_after_failure(self, error: BaseException) -> None:
        self._log.debug("details", exc_info=error)
        wait = self._backoff.failed(error.after if isinstance(error, Retry) else None)
        self.commands.interrupt(describe_error(error))
        self._reporter.failed(describe_error(error), wait)
        self._stop.wait(wait)

    def _attempt(self) -> None:
        with ExitStack() as last:
            if self._origin:
                self._entries.restart_clock()  # a recording begins anew, and has the same times again
            last.callback(self._decoders.close)
            self._decoders.open()
            self._restore_meters()
            last.callback(self._close)
            last.callback(self._intake.end_streams)
            with self.heartbeat.during("open"):
                self._hooks.open(context=self._opening_context())
            self._is_open = True
            last.callback(self._intake.packet_watch.close)
            self._intake.packet_watch.open()
            collected = self._hooks.collect(stop=self._stop)
            items = checked_items(collected, self._source.plugin, self._source.formats)
            last.callback(items.close)
            reading = self.heartbeat.during("reading what came in")
            for item in items:
                if not self._are_meters_restored:
                    self._restore_meters()
                with reading:
                    self._intake.take(item)
                    if isinstance(item, SourceCheckpoint):
                        self._wait_for_room()
        if not self._stop.is_set():
            self._write_queue.flush()  # what was new is known after that
            refused = f", {self.refused} refused" if self.refused else ""
            self._log.info("ended: %s; %s%s", self.counts, self.stored, refused)

    def _wait_for_room(self) -> None:
        """Wait while the journal is nearly full: a store keeps what it has, a meter that sends meanwhile does not."""
        if self._journal.is_full and not self._is_waiting_reported:
            self._is_waiting_reported = True
            self._log.warning("the journal is nearly full: the source waits until every sink has had some of it")
        end = monotonic() + MAX_ROOM_WAIT
        while self._journal.is_full and monotonic() < end and not self._stop.wait(ROOM_INTERVAL):
            self.heartbeat.beat()

    def _restore_meters(self) -> None:
        """Restore the meters that were admitted by earlier runs: they are not new."""
        now = monotonic()
        if self._are_meters_restored or now < self._restore_at:
            return
        is_first, self._restore_at = not self._restore_at, now + RESTORE_INTERVAL
        try:
            mine = [one for one in self._journal.heard(RECENT) if one.boot and one.source == self._source.name]
            recent = self._journal.recent(self._journal.newest(), RECENT)
            self._admission.add_known([*reversed(known_serials(self._journal)), *(entry.serial for entry in recent)])
            found = filter(None, map(self._decoders.read_entry_and_serial, mine))  # by what [meters] calls them now
            self._silence_watch.expect({reading.serial: reading.timestamp for _, reading in found})
            self._are_meters_restored = True
        except Unavailable as error:
            level = logging.WARNING if is_first and not isinstance(error, JournalNotReady) else logging.DEBUG
            self._log.log(level, "cannot read the meters of earlier runs, so all meters count as new: %s", error)

    def _close(self) -> None:
        self._is_open = False
        try:
            self._hooks.close()
        except BaseException:  # noqa: BLE001 - a plugin's bug must not end the source
            self._log.exception("failed to close")

    def _opening_context(self) -> Context:
        checkpoint: str | Callable[[], str] = partial(self._journal.source_checkpoint, self._source.name)
        with suppress(Unavailable):  # a source that needs none, as most do, is opened all the same
            checkpoint = self._journal.source_checkpoint(self._source.name)
        return evolve(self._context, checkpoint=checkpoint, once=self._once)

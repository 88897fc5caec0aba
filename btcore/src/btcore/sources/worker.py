# SPDX-License-Identifier: GPL-3.0-or-later
"""Source workers: each runs one collector in its own thread, and sends every packet to the journal at once.

What a meter sends must reach the journal whatever else is broken: a collector that fails is started again, and entries
wait in `write_queue.py` while the journal cannot write.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event, Thread

import attrs

from btcore.backoff import Backoff
from btcore.config.meters import Meters
from btcore.config.site import Source
from btcore.decode.decoder import hook_caller
from btcore.decode.decoders import Decoders
from btcore.decode.framing import StreamCounts
from btcore.decode.recognition import UNDONE
from btcore.device.heard import HeardMeters
from btcore.errors import Retry, Stop, Unavailable
from btcore.heartbeat import Heartbeat
from btcore.journal import Entry, Journal, known_serials
from btcore.journal.clock_watch import ClockWatch
from btcore.journal.retry import ShuttingDown
from btcore.logs.failures import FailureReporter
from btcore.meter_commands import MeterCommands
from btcore.records import Chunk, Reading, SourceCheckpoint
from btcore.settings import Context, StreamStatus
from btcore.sources.activity import Activity
from btcore.sources.admission import Admission
from btcore.sources.entries import EntryMaker, SourceStream
from btcore.sources.identity import Identities
from btcore.sources.no_packets import PacketWatch
from btcore.sources.recent_bytes import RecentBytes, Undecoded
from btcore.sources.silence import SilenceWatch
from btcore.sources.status import meter_statuses
from btcore.sources.taps import Taps
from btcore.sources.validation import checked_items
from btcore.sources.write_queue import WriteQueue
from btcore.status import BAD, SourceStatus, State
from btcore.status.failures import attempt_at, error_status, next_attempt
from btcore.text import describe_error

MAX_STREAMS = 4096
"""Framing buffers of one source; above the limit, the one unused for longest is closed."""

RECENT = 1000
"""Readings at the end of the journal whose meters are known, also where no sink has had them yet."""

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
        self.counts = StreamCounts()
        self.received_bytes = 0
        self.without_packets = 0  # readings that came without packets
        self.taps = Taps()
        self.failure = ""
        self.has_ended = False  # of itself, or because it was told to
        self.heartbeat = Heartbeat()
        self.thread = Thread(target=self._run, name=source.table, daemon=True)
        self._source = source
        self._origin = source.origin
        self._decoders = decoders.for_worker(context.log)
        self.commands = MeterCommands()
        self.heard = HeardMeters()
        self._context = attrs.evolve(context, stream_status=self._stream_status, commands=self.commands)
        self._stop = stop
        self._once = once
        self._log = context.log
        self._hooks = hook_caller(source.instance)
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
        self._is_open = False
        self._streams: OrderedDict[str, SourceStream] = OrderedDict()
        self._packet_watch = PacketWatch(
            self._log, source.formats, _patience(source.instance), examine=self._decoders.find_other_format
        )
        self._recent_bytes = RecentBytes()
        self._is_undoing_reported = False

    def doubt_clock(self, clock_watch: ClockWatch | None) -> None:
        """Let readings be kept without a time while it is not known. Called before the worker starts."""
        self._entries.clock_watch = clock_watch

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
        counts, queue = self.counts, self._write_queue
        unkept = None if self.failure else queue.failure_now
        return SourceStatus(
            name=self._source.name,
            plugin=self._source.plugin,
            state=self._state(),
            meters=tuple(meter_statuses(self._activity, self._silence_watch)),
            packets=counts.packets,
            bytes=self.received_bytes,
            junk=counts.junk,
            damaged=counts.damaged,
            kept=queue.kept,
            duplicates=queue.duplicates,
            refused=self.refused,
            unwritten=queue.waiting,
            last_error=error_status(unkept or self._reporter.last_failure, redact),
            next_attempt=attempt_at(unkept) if unkept else next_attempt(self._reporter),
        )

    def undecoded(self) -> list[Undecoded]:
        """Return the last bytes in which no packet was found. Safe from any thread."""
        return self._recent_bytes.undecoded()

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
        self._packet_watch.check()
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
            self._packet_watch.finish(has_ended=not self._stop.is_set() and not self.failure)

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
            last.callback(self._end_streams)
            with self.heartbeat.during("open"):
                self._hooks.open(context=self._opening_context())
            self._is_open = True
            last.callback(self._packet_watch.close)
            self._packet_watch.open()
            collected = self._hooks.collect(stop=self._stop)
            items = checked_items(collected, self._source.plugin, self._source.formats)
            last.callback(items.close)
            for item in items:
                with self.heartbeat.during("reading what came in"):
                    self._take(item)
        if not self._stop.is_set():
            self._write_queue.flush()  # what was new is known after that
            refused = f", {self.refused} refused" if self.refused else ""
            self._log.info("ended: %s; %s%s", self.counts, self.stored, refused)

    def _restore_meters(self) -> None:
        """Restore the meters that were admitted by earlier runs: they are not new."""
        if self._are_meters_restored:
            return
        try:
            recent = self._journal.recent(self._journal.newest(), RECENT)
            self._admission.add_known([*reversed(known_serials(self._journal)), *(entry.serial for entry in recent)])
            mine = [one for one in self._journal.heard(RECENT) if one.boot and one.source == self._source.name]
            found = filter(None, map(self._decoders.read_entry_and_serial, mine))  # by what [meters] calls them now
            self._silence_watch.expect({reading.serial: reading.timestamp for _, reading in found})
            self._are_meters_restored = True
        except Unavailable as error:
            self._log.warning("cannot read the meters of earlier runs, so all meters count as new: %s", error)

    def _close(self) -> None:
        self._is_open = False
        try:
            self._hooks.close()
        except BaseException:  # noqa: BLE001 - a plugin's bug must not end the source
            self._log.exception("failed to close")

    def _opening_context(self) -> Context:
        checkpoint = self._journal.source_checkpoint(self._source.name)
        return attrs.evolve(self._context, checkpoint=checkpoint, once=self._once)

    def _take(self, item: Chunk | Reading | SourceCheckpoint) -> None:
        if isinstance(item, SourceCheckpoint):
            self._write_queue.commit(item.state)
            return
        if isinstance(item, Reading):
            self._packet_watch.packet()
            self.without_packets += 1
            self._write([self._entries.of_reading(item)])
            self._admission.check()
            return
        self.taps.put(item)
        line = self._line(item.stream)
        if item.data:
            when = item.clock or item.time or line.arrived()
            line.address = item.address
            line.is_timed = item.clock is None
            damaged = self.counts.damaged
            self.received_bytes += len(item.data)
            is_answer = self.commands.came_in(item.stream, item.data)
            found = line.stream.feed(item.data, when)
            self._write([self._entries.of_packet(line, *one) for one in found])
            if found:
                self._found(item.stream, line)
                self.heard.add(item.stream, found)
            elif not is_answer:  # which is not expected to be a packet
                without = (item.stream, item.data, self.counts.damaged - damaged, line.stream.unwanted)
                self._packet_watch.received(*without)
                self._recent_bytes.received(*without)
                line.stream.unwanted = ""
            self._admission.check()
        if item.end:
            self._end(item.stream)

    def _stream_status(self, name: str) -> StreamStatus:
        """Return what was found in a stream so far, for the source."""
        line = self._streams.get(name)
        return StreamStatus(line.packets, line.stream.bytes_since_packet) if line is not None else StreamStatus()

    def _line(self, name: str) -> SourceStream:
        line = self._streams.get(name)
        if line is None:
            line = self._streams[name] = SourceStream(self._decoders.stream(self.counts))
            if len(self._streams) > MAX_STREAMS:
                self._end(next(iter(self._streams)))
        self._streams.move_to_end(name)
        return line

    def _end(self, name: str) -> None:
        line = self._streams.pop(name)
        self.commands.ended(name)
        self.heard.end(name)
        if found := line.stream.close():
            self._write([self._entries.of_packet(line, *one) for one in found])
            self._found(name, line)
        self._packet_watch.end(name)
        self._recent_bytes.end(name)

    def _end_streams(self) -> None:
        for name in list(self._streams):
            self._end(name)

    def _write(self, found: list[Entry | None]) -> None:
        if entries := [entry for entry in found if entry is not None]:
            self._backoff.worked()
            self._reporter.worked()
            self._write_queue.put(entries)

    def _found(self, name: str, line: SourceStream) -> None:
        """Record that packets were found in a stream; warn once if telnet escapes were undone for that."""
        self._packet_watch.packet(name)
        self._recent_bytes.packet(name)
        if line.stream.undone and not self._is_undoing_reported:
            self._is_undoing_reported = True
            self._log.warning("on %s %s", name or "this line", UNDONE)


def _patience(instance: object) -> float:
    """Return how many seconds a source itself waits for a packet; 0 where it has no such setting."""
    try:
        patience = getattr(instance, "patience", 0)
    except Exception:  # noqa: BLE001 - a plugin's property
        patience = 0
    return float(patience) if isinstance(patience, int | float) and 0 < patience < math.inf else 0.0

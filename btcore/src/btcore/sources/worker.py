"""Source workers: each runs one collector in a thread of its own, and hands every packet to the journal at once.

What a meter sends must end in the journal whatever else is broken: a collector that fails is started again, and what
waits for a journal that cannot write now waits in `write_queue.py`.
"""

import math
import time
from collections import OrderedDict
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import attrs

from btcore import clocks
from btcore.backoff import Backoff
from btcore.config.load import Source
from btcore.config.meters import Meters
from btcore.decode.decoders import Decoders, hooks
from btcore.decode.device_clock import DeviceClock
from btcore.decode.framing import Counts, Stream
from btcore.decode.packetless import to_values
from btcore.decode.recognition import UNDONE
from btcore.errors import Retry, Stop, Unavailable
from btcore.formats import SECONDS
from btcore.journal import Entry, Journal
from btcore.journal.retry import ShuttingDown
from btcore.logs.failures import FailureReporter
from btcore.records import Chunk, Packet, Reading, from_microseconds, reading_of, to_microseconds
from btcore.settings import Context, StreamStatus
from btcore.sources.admission import Admission
from btcore.sources.identity import Identities
from btcore.sources.no_packets import PacketWatch
from btcore.sources.silence import SilenceWatch
from btcore.sources.validation import checked_items
from btcore.sources.write_queue import WriteQueue
from btcore.text import describe_error

MAX_STREAMS = 4096
"""Framing buffers of one source; beyond this the one unused for longest is closed."""

RECENT = 1000
"""Readings at the end of the journal whose meters are known, also where no sink has had them yet."""

BOOT = clocks.boot()
"""The clock of this process, by its number."""

MAX_LIVE_AGE = 600.0
"""Seconds within which a whole reading was made, where its source is one that goes on."""

MAX_FRUITLESS_ATTEMPTS = 3
"""Attempts in a row that brought nothing new, after which a run that waits for its sources to end gives one up."""


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
        identities: Identities | None = None,
        once: bool = False,
        grace: float = 0.0,
    ) -> None:
        """Prepare; `once`: give up a source that fails and brings nothing new. `grace` is as in `Intake`.

        `identities` are those of the whole site.
        """
        self.name = source.table
        self.counts = Counts()
        self.without_packets = 0  # readings that came without packets
        self.failure = ""
        self.thread = Thread(target=self._run, name=source.table, daemon=True)
        self._source = source
        self._origin = source.origin
        self._decoders = decoders.anew(context.log)
        self._context = attrs.evolve(context, stream_status=self._stream_status)
        self._stop = stop
        self._once = once
        self._log = context.log
        self._hooks = hooks(source.instance)
        self._clock = DeviceClock(_local_offset)
        self._reporter = FailureReporter(self._log)
        self._backoff = Backoff(source.min_backoff, source.max_backoff)
        self._write_queue = WriteQueue(source.table, journal, self._log, stop, grace)
        self._journal = journal
        self._identities = identities or Identities(Meters(), lambda notice: self._log.warning("%s", notice))
        self._admission = Admission(
            source.meters, source.max_new_meters_per_day, source.max_packets_per_second, self._log
        )
        self._silence_watch = SilenceWatch(self._log)
        self._are_meters_restored = False
        self._streams: OrderedDict[str, _Line] = OrderedDict()
        self._packet_watch = PacketWatch(
            self._log, source.formats, _patience(source.instance), examine=self._decoders.left_out
        )
        self._is_undoing_reported = False

    @property
    def kept(self) -> int:
        """How many readings were new to the journal."""
        return self._write_queue.kept

    @property
    def stored(self) -> str:
        """How many readings the journal has of it, as it is told: `0 kept, 30 already there`."""
        duplicates = self._write_queue.duplicates
        return f"{self.kept} kept" + (f", {duplicates} already there" if duplicates else "")

    @property
    def refused(self) -> int:
        """How many readings were not taken in."""
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

    def check(self) -> None:
        """Tell what time alone brings about; called about every second, whatever the source's thread is at."""
        self._packet_watch.check()
        if not self._write_queue.is_full:  # its meters may well be sending
            self._silence_watch.check()

    def _run(self) -> None:
        self._write_queue.start()
        try:
            self._collect()
        finally:
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
        self._log.error("%s: %s", what, self.failure)

    def _wait_after_failure(self, error: BaseException) -> None:
        self._log.debug("details", exc_info=error)
        wait = self._backoff.failed(error.after if isinstance(error, Retry) else None)
        self._reporter.failed(describe_error(error), wait)
        self._stop.wait(wait)

    def _attempt(self) -> None:
        with ExitStack() as last:
            if self._origin:
                self._clock = DeviceClock(_local_offset)  # a recording begins anew, and has the same times again
            last.callback(self._decoders.close)
            self._decoders.open()
            self._restore_meters()
            last.callback(self._close)
            last.callback(self._end_streams)
            self._hooks.open(context=self._context)
            last.callback(self._packet_watch.close)
            self._packet_watch.open()
            collected = self._hooks.collect(stop=self._stop)
            items = checked_items(collected, self._source.plugin, self._source.formats)
            last.callback(items.close)
            for item in items:
                self._take(item)
        if not self._stop.is_set():
            self._write_queue.flush()  # what was new is known after that
            refused = f", {self.refused} refused" if self.refused else ""
            self._log.info("ended: %s; %s%s", self.counts, self.stored, refused)

    def _restore_meters(self) -> None:
        """Learn which meters were accepted before: they are not new."""
        if self._are_meters_restored:
            return
        try:
            recent = self._journal.read(max(self._journal.newest() - RECENT, 0), RECENT)
            self._admission.add_known([*reversed(self._journal.serials()), *(entry.serial for entry in recent)])
            mine = [one for one in self._journal.heard(RECENT) if one.boot and one.source == self._source.name]
            found = filter(None, map(self._decoders.recall_sent, mine))  # by what [meters] calls them now
            self._silence_watch.expect({reading.serial: reading.timestamp for _, reading in found})
            self._are_meters_restored = True
        except Unavailable as error:
            self._log.warning("cannot read the meters of earlier runs, so all meters count as new: %s", error)

    def _close(self) -> None:
        try:
            self._hooks.close()
        except BaseException:  # noqa: BLE001 - a plugin's bug must not end the source
            self._log.exception("failed to close")

    def _take(self, item: Chunk | Reading) -> None:
        if isinstance(item, Reading):
            self._packet_watch.packet()
            self.without_packets += 1
            self._keep([self._whole(item)])
            self._admission.check()
            return
        line = self._line(item.stream)
        if item.data:
            when = item.clock or item.time or line.arrived()
            line.address = item.address
            line.is_timed = item.clock is None
            damaged = self.counts.damaged
            found = line.stream.feed(item.data, when)
            self._keep([self._entry(line, *one) for one in found])
            if found:
                self._found(item.stream, line)
            else:
                self._packet_watch.received(item.stream, item.data, self.counts.damaged - damaged, line.stream.unwanted)
                line.stream.unwanted = ""
            self._admission.check()
        if item.end:
            self._end(item.stream)

    def _stream_status(self, name: str) -> StreamStatus:
        """Tell a source what was found in a stream so far."""
        line = self._streams.get(name)
        return StreamStatus(line.packets, line.stream.bytes_since_packet) if line is not None else StreamStatus()

    def _line(self, name: str) -> "_Line":
        line = self._streams.get(name)
        if line is None:
            line = self._streams[name] = _Line(self._decoders.stream(self.counts))
            if len(self._streams) > MAX_STREAMS:
                self._end(next(iter(self._streams)))
        self._streams.move_to_end(name)
        return line

    def _end(self, name: str) -> None:
        line = self._streams.pop(name)
        if found := line.stream.close():
            self._keep([self._entry(line, *one) for one in found])
            self._found(name, line)
        self._packet_watch.end(name)

    def _end_streams(self) -> None:
        for name in list(self._streams):
            self._end(name)

    def _entry(self, line: "_Line", packet: Packet, arrived: datetime) -> Entry | None:
        """Make the entry of a packet; None where it is not taken in."""
        key = line.distinct(to_microseconds(self._device_time(line, packet, arrived) or arrived))
        steady, boot = line.steady(arrived)
        time = steady if boot else to_microseconds(arrived)
        serial = self._identities.serial_of(self._source.name, line.address, packet.serial)
        if not self._admission.admits(serial, packet.format.name, time, is_live=bool(boot)):
            return None
        line.packets += 1
        place = self._identities.next_offset()
        way = (self._source.name, place, steady, boot, line.address)
        name = self._identities.name(reading_of(packet, from_microseconds(key), serial, *way))
        if boot:
            self._silence_watch.heard(name)
        stamps = (0, steady, boot, line.address, self._origin)
        return Entry(key, self._source.name, name, packet.format.name, packet.raw, False, *stamps)  # noqa: FBT003 - no whole reading

    def _device_time(self, line: "_Line", packet: Packet, arrived: datetime) -> datetime | None:
        """Return the time by the meter's own clock, where the source trusts it and it is set."""

        def from_local(shown: datetime) -> datetime:
            form = packet.format
            numbers = form.numbers(packet.raw) if packet.numbers is None else packet.numbers
            seconds = int(numbers[form.index[SECONDS]] or 0)
            return self._clock.utc(packet.serial, shown, seconds, form.seconds_bits, arrived if line.is_timed else None)

        if self._source.clock == "arrival":
            return None
        return self._decoders.device_time(packet, _from_utc if self._source.clock == "device-utc" else from_local)

    def _whole(self, reading: Reading) -> Entry | None:
        key = to_microseconds(reading.time)
        source, address = self._source.name, reading.address
        serial = self._identities.serial_of(source, address, reading.serial)
        if not self._admission.admits(serial, reading.format.name, key, is_live=False):
            return None
        place = self._identities.next_offset()
        named = attrs.evolve(reading, serial=serial, source=source, offset=place, numbers=reading.numbers)
        of_reading = (self._identities.name(named), reading.format.name, to_values(reading))
        if abs(time.time() - reading.timestamp) < MAX_LIVE_AGE:
            self._silence_watch.heard(of_reading[0], reading.timestamp)
        origin = reading.origin or self._origin
        return Entry(key, source, *of_reading, whole=True, address=address, origin=origin)

    def _keep(self, found: list[Entry | None]) -> None:
        if entries := [entry for entry in found if entry is not None]:
            self._backoff.worked()
            self._reporter.worked()
            self._write_queue.put(entries)

    def _found(self, name: str, line: "_Line") -> None:
        """Take note that packets were found in a stream; tell once where that took undoing what a telnet port did."""
        self._packet_watch.packet(name)
        if line.stream.undone and not self._is_undoing_reported:
            self._is_undoing_reported = True
            self._log.warning("on %s %s", name or "this line", UNDONE)


class _Line:
    """A stream, and the times given to its packets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.packets = 0
        self.address = ""
        self.is_timed = False  # whether it is known when its bytes came in
        self._time = 0
        self._same = 0
        self._ahead: int | None = (
            None  # to_microseconds of the steady clock before the time of day, when it was live last
        )

    def arrived(self) -> datetime:
        """Return the time of what comes in now."""
        now = clocks.now()
        self._ahead = clocks.steady() - to_microseconds(now)
        return now

    def steady(self, arrived: datetime) -> tuple[int, int]:
        """Return when that was by the clock that nobody sets, and which clock that is; 0 and 0 of a recording."""
        return (0, 0) if self._ahead is None else (to_microseconds(arrived) + self._ahead, BOOT)

    def distinct(self, time: int) -> int:
        """Return a time of its own for each of several packets that came in at once; the same on every replay."""
        self._same = self._same + 1 if time == self._time else 0
        self._time = time
        return time + self._same


def _patience(instance: object) -> float:
    """Return for how many seconds a source would wait for a packet; 0 where it does not say."""
    try:
        patience = getattr(instance, "patience", 0)
    except Exception:  # noqa: BLE001 - a plugin's property
        patience = 0
    return float(patience) if isinstance(patience, int | float) and 0 < patience < math.inf else 0.0


def _from_utc(shown: datetime) -> datetime:
    return shown.replace(tzinfo=UTC)


def _local_offset(shown: datetime) -> timedelta:
    return shown.astimezone().utcoffset() or timedelta(0)

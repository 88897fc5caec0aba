"""Source workers: each runs one collector in a thread of its own, and hands every packet to the journal at once.

What a meter sends must end in the journal whatever else is broken: a collector that fails is started again, and what
waits for a journal that cannot write now waits in `intake.py`.
"""

import math
import time
from collections import OrderedDict
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Event, Thread

import attrs

from btcore import clocks
from btcore.admission import Admission
from btcore.configuration import Source
from btcore.decoders import Decoders, hooks
from btcore.errors import Retry, Stop, Unavailable
from btcore.framing import Counts, Stream
from btcore.intake import Intake
from btcore.journal import Entry, Journal
from btcore.limits import Backoff
from btcore.outcome import Outcome, told
from btcore.patience import Stopping
from btcore.records import Chunk, Packet, Reading, microseconds
from btcore.settings import Context, Heard
from btcore.validation import checked_items
from btcore.whole_readings import to_values

MOST_STREAMS = 4096
"""Framing buffers of one source; beyond this the one unused for longest is closed."""

QUIET = 1 << 14
"""Bytes of one stream without a packet after which somebody is told: the longest packet 26 times over."""

RECENT = 1000
"""Readings at the end of the journal whose meters are known, also where no sink has had them yet."""

QUIET_TOLD = 3600.0
"""Seconds between two such messages of one source."""

BOOT = clocks.boot()
"""The clock of this process, by its number."""

FRUITLESS = 3
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
        once: bool = False,
        grace: float = 0.0,
    ) -> None:
        """Prepare; `once`: give up a source that fails and brings nothing new. `grace` is as in `Intake`."""
        self.name = source.table
        self.counts = Counts()
        self.failure = ""
        self.thread = Thread(target=self._run, name=source.table, daemon=True)
        self._source = source
        self._decoders = decoders.anew(context.log)
        self._context = attrs.evolve(context, heard=self._heard)
        self._stop = stop
        self._once = once
        self._log = context.log
        self._hooks = hooks(source.instance)
        self._outcome = Outcome(self._log)
        self._backoff = Backoff(source.retry, source.retry_max)
        self._intake = Intake(source.table, journal, self._log, stop, grace)
        self._journal = journal
        self._admission = Admission(source.meters, source.max_meters, source.max_rate, self._log)
        self._knows_meters = False
        self._streams: OrderedDict[str, _Line] = OrderedDict()
        self._quiet_told = -math.inf
        self._fruitless = 0  # bytes of connections that ended without a packet

    @property
    def kept(self) -> int:
        """How many readings were new to the journal."""
        return self._intake.kept

    @property
    def refused(self) -> int:
        """How many readings were not taken in."""
        return self._admission.refused + self._intake.refused.total

    @property
    def waiting(self) -> int:
        """How many readings are not in the journal yet."""
        return self._intake.waiting

    def _run(self) -> None:
        self._intake.start()
        try:
            self._collect()
        finally:
            self._intake.close()
            self._admission.finish()

    def _collect(self) -> None:
        fruitless = 0
        while not self._stop.is_set():
            before = self.kept
            try:
                self._attempt()
            except Stopping:
                return
            except Stop as error:
                self._give_up("stopped until a restart", error)
                return
            except BaseException as error:  # noqa: BLE001 - whatever a collector raises: wait, start it again
                if self._once:
                    self._intake.flush()  # what was new is known after that
                fruitless = 0 if self.kept > before else fruitless + 1
                if self._once and fruitless >= FRUITLESS:
                    self._give_up("given up", error)
                    return
                self._failed(error)
            else:
                return

    def _give_up(self, what: str, error: BaseException) -> None:
        self.failure = told(error)
        self._log.error("%s: %s", what, self.failure)

    def _failed(self, error: BaseException) -> None:
        self._log.debug("details", exc_info=error)
        wait = self._backoff.failed(error.after if isinstance(error, Retry) else None)
        self._outcome.failed(told(error), wait)
        self._stop.wait(wait)

    def _attempt(self) -> None:
        with ExitStack() as last:
            self._know_meters()
            last.callback(self._decoders.close)
            self._decoders.open()
            last.callback(self._close)
            last.callback(self._end_streams)
            self._hooks.open(context=self._context)
            collected = self._hooks.collect(stop=self._stop)
            items = checked_items(collected, self._source.plugin, self._source.formats)
            last.callback(items.close)
            for item in items:
                self._take(item)
        if not self._stop.is_set():
            self._log.info("ended: %s", self.counts.told())

    def _know_meters(self) -> None:
        """Learn which meters were accepted before: they are not new."""
        if self._knows_meters:
            return
        try:
            recent = self._journal.read(max(self._journal.last() - RECENT, 0), RECENT)
            self._admission.know([*reversed(self._journal.serials()), *(entry.serial for entry in recent)])
            self._knows_meters = True
        except Unavailable as error:
            self._log.warning("the meters of earlier runs are not known, and count as new: %s", error)

    def _close(self) -> None:
        try:
            self._hooks.close()
        except BaseException:  # noqa: BLE001 - a plugin's bug must not end the source
            self._log.exception("failed to close")

    def _take(self, item: Chunk | Reading) -> None:
        if isinstance(item, Reading):
            self._keep([self._whole(item)])
            self._admission.look()
            return
        line = self._line(item.stream)
        if item.data:
            when = item.clock or item.time or line.arrived()
            self._keep([self._entry(line, *found) for found in line.stream.feed(item.data, when)])
            self._tell_quiet(item.stream, line)
            self._admission.look()
        if item.end:
            self._end(item.stream)

    def _heard(self, name: str) -> Heard:
        """Tell a source what was found in a stream so far."""
        line = self._streams.get(name)
        return Heard(line.packets, line.stream.quiet_bytes) if line is not None else Heard()

    def _line(self, name: str) -> "_Line":
        line = self._streams.get(name)
        if line is None:
            line = self._streams[name] = _Line(self._decoders.stream(self.counts))
            if len(self._streams) > MOST_STREAMS:
                self._end(next(iter(self._streams)))
        self._streams.move_to_end(name)
        return line

    def _end(self, name: str) -> None:
        line = self._streams.pop(name)
        self._keep([self._entry(line, *found) for found in line.stream.close()])
        if not line.packets:
            self._fruitless += line.stream.quiet_bytes

    def _end_streams(self) -> None:
        for name in list(self._streams):
            self._end(name)

    def _entry(self, line: "_Line", packet: Packet, arrived: datetime) -> Entry | None:
        """Make the entry of a packet; None where it is not taken in."""
        key = line.distinct(microseconds(self._device_time(packet) or arrived))
        steady, boot = line.steady(arrived)
        time = steady if boot else microseconds(arrived)
        if not self._admission.takes(packet.serial, packet.format.name, time, is_live=bool(boot)):
            return None
        line.packets += 1
        return Entry(key, self._source.name, packet.serial, packet.format.name, packet.raw, steady=steady, boot=boot)

    def _device_time(self, packet: Packet) -> datetime | None:
        """Return the time by the meter's own clock, where the source trusts it and it is set."""
        if self._source.clock == "arrival":
            return None
        return self._decoders.device_time(packet, _from_utc if self._source.clock == "device-utc" else _from_local)

    def _whole(self, reading: Reading) -> Entry | None:
        key = microseconds(reading.time)
        if not self._admission.takes(reading.serial, reading.format.name, key, is_live=False):
            return None
        return Entry(key, self._source.name, reading.serial, reading.format.name, to_values(reading), whole=True)

    def _keep(self, found: list[Entry | None]) -> None:
        if entries := [entry for entry in found if entry is not None]:
            self._backoff.worked()
            self._outcome.worked()
            self._intake.put(entries)

    def _tell_quiet(self, name: str, line: "_Line") -> None:
        """Tell of bytes without a packet: of this stream, and of those before it that never had one."""
        others = 0 if line.packets else self._fruitless
        quiet, now = line.stream.quiet_bytes, time.monotonic()
        if quiet and quiet + others > QUIET and now - self._quiet_told > QUIET_TOLD:
            self._quiet_told = now
            self._fruitless -= others
            where = f"{name or 'this line'}{' and on connections before it' if others else ''}"
            self._log.warning(
                "%d bytes without a packet on %s: no meter, or one set to a format that is not binary (docs/meters.md)",
                quiet + others,
                where,
            )


class _Line:
    """A stream, and the times given to its packets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.packets = 0
        self._time = 0
        self._same = 0
        self._ahead: int | None = None  # microseconds of the steady clock before the time of day, when it was live last

    def arrived(self) -> datetime:
        """Return the time of what comes in now."""
        now = clocks.now()
        self._ahead = clocks.steady() - microseconds(now)
        return now

    def steady(self, arrived: datetime) -> tuple[int, int]:
        """Return when that was by the clock that nobody sets, and which clock that is; 0 and 0 of a recording."""
        return (0, 0) if self._ahead is None else (microseconds(arrived) + self._ahead, BOOT)

    def distinct(self, time: int) -> int:
        """Return a time of its own for each of several packets that came in at once; the same on every replay."""
        self._same = self._same + 1 if time == self._time else 0
        self._time = time
        return time + self._same


def _from_utc(shown: datetime) -> datetime:
    return shown.replace(tzinfo=UTC)


def _from_local(shown: datetime) -> datetime:
    return shown.astimezone(UTC)

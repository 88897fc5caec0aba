"""Source workers: each runs one collector in a thread of its own, and journals every packet at once.

What a meter sends must end in the journal whatever else is broken: a collector that fails is started again, a journal
that cannot write now is tried until it can.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

from btcore.configuration import Source
from btcore.decoders import Decoders, manager, to_values
from btcore.errors import Stop, Unavailable
from btcore.framing import Counts, Stream
from btcore.journal import Entry, Journal
from btcore.limits import Backoff
from btcore.outcome import Outcome
from btcore.records import Chunk, Packet, Reading, microseconds
from btcore.settings import Context

MOST_STREAMS = 4096
"""Framing buffers of one source; beyond this the one unused for longest is closed."""

QUIET = 1 << 14
"""Bytes of one stream without a packet after which somebody is told: the longest packet 26 times over."""

QUIET_TOLD = 3600.0
"""Seconds between two such messages of one source."""

FRUITLESS = 3
"""Attempts in a row that brought nothing, after which a run that waits for its sources to end gives one up."""


class SourceWorker:
    """Runs one source until it ends or is told to stop."""

    def __init__(
        self, source: Source, journal: Journal, decoders: Decoders, context: Context, stop: Event, *, once: bool = False
    ) -> None:
        """Prepare; `once`: give up a source that never brings anything."""
        self.name = source.table
        self.counts = Counts()
        self.kept = 0
        self.failure = ""
        self.thread = Thread(target=self._run, name=source.table, daemon=True)
        self._source = source
        self._journal = journal
        self._decoders = decoders
        self._context = context
        self._stop = stop
        self._once = once
        self._log = context.log
        self._hook: Any = manager([source.instance]).hook
        self._outcome = Outcome(self._log)
        self._backoff = Backoff(source.retry, source.retry_max)
        self._streams: OrderedDict[str, _Line] = OrderedDict()
        self._quiet_told = -QUIET_TOLD
        self._meters: set[str] = set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._attempt()
            except Stop as error:
                self.failure = str(error)
                self._log.error("stopped until a restart: %s", error)
                return
            except Exception as error:  # noqa: BLE001 - whatever a collector raises: wait, start it again
                if self._once and self._backoff.failures + 1 >= FRUITLESS:
                    self.failure = _told(error)
                    self._log.error("given up: %s", self.failure)
                    return
                self._failed(error)
            else:
                return

    def _failed(self, error: Exception) -> None:
        self._log.debug("details", exc_info=error)
        wait = self._backoff.failed()
        self._outcome.failed(_told(error), wait)
        self._stop.wait(wait)

    def _attempt(self) -> None:
        try:
            self._hook.open(context=self._context)
            items: Iterator[Chunk | Reading] = self._hook.collect(stop=self._stop)
            try:
                for item in items:
                    self._take(item)
            finally:
                if hasattr(items, "close"):
                    items.close()
        finally:
            self._end_streams()
            self._hook.close()
        if not self._stop.is_set():
            self._log.info("ended: %s", self.counts)

    def _take(self, item: Chunk | Reading) -> None:
        self._backoff.worked()
        self._outcome.worked()
        if isinstance(item, Reading):
            self._keep([self._whole(item)])
            return
        line = self._line(item.stream)
        if item.data:
            when = item.clock or item.time or datetime.now(UTC)
            self._keep([self._entry(line, *found) for found in line.stream.feed(item.data, when)])
            self._tell_quiet(item.stream, line.stream)
        if item.end:
            self._end(item.stream)

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

    def _end_streams(self) -> None:
        for name in list(self._streams):
            self._end(name)

    def _entry(self, line: "_Line", packet: Packet, arrived: datetime) -> Entry:
        if packet.serial not in self._meters and len(self._meters) < MOST_STREAMS:
            self._meters.add(packet.serial)
            self._log.info("heard meter %s (%s)", packet.serial, packet.format.name)
        key = line.distinct(microseconds(self._device_time(packet) or arrived))
        return Entry(key, self._source.name, packet.serial, packet.format.name, packet.raw)

    def _device_time(self, packet: Packet) -> datetime | None:
        """Return the time by the meter's own clock, where the source trusts it and it is set."""
        if self._source.clock == "arrival" or packet.format.clock is None:
            return None
        shown = packet.format.clock(packet.raw)
        if shown is None:
            return None
        return shown.replace(tzinfo=UTC) if self._source.clock == "device-utc" else shown.astimezone(UTC)

    def _whole(self, reading: Reading) -> Entry:
        key = microseconds(reading.time)
        return Entry(key, self._source.name, reading.serial, reading.format.name, to_values(reading), whole=True)

    def _keep(self, entries: list[Entry]) -> None:
        """Journal the entries, and do not give up: the meter's bytes are nowhere else."""
        outcome, backoff = Outcome(self._log), Backoff(1, 30)
        while entries:
            try:
                self.kept += len(self._journal.append(entries))
            except Unavailable as error:
                wait = backoff.failed()
                outcome.failed(f"{len(entries)} readings wait: {error}", wait)
                if self._stop.wait(wait):
                    self._log.error("stopping with %d readings that could not be kept: %s", len(entries), error)
                    return
            else:
                outcome.worked()
                return

    def _tell_quiet(self, name: str, stream: Stream) -> None:
        now = time.monotonic()
        if stream.quiet_bytes > QUIET and now - self._quiet_told > QUIET_TOLD:
            self._quiet_told = now
            self._log.warning(
                "%d bytes without a packet on %s: no meter, or one set to a format that is not binary (docs/meters.md)",
                stream.quiet_bytes,
                name or "this line",
            )


class _Line:
    """A stream, and the times given to its packets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._time = 0
        self._same = 0

    def distinct(self, time: int) -> int:
        """Return a time of its own for each of several packets that came in at once; the same on every replay."""
        self._same = self._same + 1 if time == self._time else 0
        self._time = time
        return time + self._same


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__ if isinstance(error, OSError) else f"{type(error).__name__}: {error}"

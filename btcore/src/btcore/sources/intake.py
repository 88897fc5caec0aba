# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in by a source: bytes of its streams, in which packets are found, and readings; counted, and passed on.

When a source is opened and closed is in `worker.py`, how entries are written in `write_queue.py`.
"""

import logging
import math
from collections import OrderedDict
from collections.abc import Callable

from btcore.config.site import Source
from btcore.decode.decoders import Decoders
from btcore.decode.framing import StreamCounts
from btcore.decode.recognition import UNDONE
from btcore.device.heard import HeardMeters
from btcore.journal import Entry
from btcore.meter_commands import MeterCommands
from btcore.records import Chunk, Reading, SourceCheckpoint
from btcore.settings import StreamStatus
from btcore.sources.admission import Admission
from btcore.sources.entries import EntryMaker, SourceStream
from btcore.sources.no_packets import PacketWatch
from btcore.sources.recent_bytes import RecentBytes, Undecoded
from btcore.sources.taps import Taps
from btcore.sources.write_queue import WriteQueue

MAX_STREAMS = 4096
"""Framing buffers of one source; above the limit, the one unused for longest is closed."""


class Intake:
    """Takes what one source yields. `take` and `end_streams` are for the source's thread, the rest for any."""

    def __init__(
        self,
        source: Source,
        decoders: Decoders,
        entries: EntryMaker,
        admission: Admission,
        queue: WriteQueue,
        worked: Callable[[], None],
        log: logging.Logger,
    ) -> None:
        """Prepare. `worked` is called when readings have come in."""
        self.counts = StreamCounts()
        self.received_bytes = 0
        self.without_packets = 0  # readings that came without packets
        self.taps = Taps()
        self.commands = MeterCommands()
        self.heard = HeardMeters()
        self.packet_watch = PacketWatch(
            log, source.formats, _patience(source.instance), examine=decoders.find_other_format
        )
        self._decoders = decoders
        self._entries = entries
        self._admission = admission
        self._write_queue = queue
        self._worked = worked
        self._log = log
        self._streams: OrderedDict[str, SourceStream] = OrderedDict()
        self._recent_bytes = RecentBytes()
        self._is_undoing_reported = False

    def undecoded(self) -> list[Undecoded]:
        """Return the last bytes in which no packet was found."""
        return self._recent_bytes.undecoded()

    def take(self, item: Chunk | Reading | SourceCheckpoint) -> None:
        """Take one item."""
        if isinstance(item, SourceCheckpoint):
            self._write_queue.commit(item.state)
            return
        if isinstance(item, Reading):
            self.packet_watch.packet()
            self.without_packets += 1
            if (entry := self._entries.of_reading(item)) is not None:
                self._write([entry])
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
            if found:
                self._write(self._entries.of_packets(line, found))
                self._found(item.stream, line)
                self.heard.add(item.stream, found)
            elif not is_answer:  # which is not expected to be a packet
                without = (item.stream, item.data, self.counts.damaged - damaged, line.stream.unwanted)
                self.packet_watch.received(*without)
                self._recent_bytes.received(*without)
                line.stream.unwanted = ""
            self._admission.check()
        if item.end:
            self._end(item.stream)

    def stream_status(self, name: str) -> StreamStatus:
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
            self._write(self._entries.of_packets(line, found))
            self._found(name, line)
        self.packet_watch.end(name)
        self._recent_bytes.end(name)

    def end_streams(self) -> None:
        """End all streams: what is left in them is no packet any more."""
        for name in list(self._streams):
            self._end(name)

    def _write(self, entries: list[Entry]) -> None:
        if entries:
            self._worked()
            self._write_queue.put(entries)

    def _found(self, name: str, line: SourceStream) -> None:
        """Record that packets were found in a stream; warn once if telnet escapes were undone for that."""
        self.packet_watch.packet(name)
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

# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening to one source of a site that does not run: what comes in, for so long, without a journal.

For `btcore doctor` and `btcore capture`. Whoever calls this holds the lock of the state directory, so that no other
btcore has the line.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Event, Timer

from btcore.classes import evolve
from btcore.config.site import Site, Source, context_of
from btcore.decode.decoders import Decoders
from btcore.decode.framing import Stream, StreamCounts
from btcore.hook_calls import hook_caller
from btcore.records import Chunk, Reading, reading_of
from btcore.settings import Context, StreamStatus
from btcore.sources.recent_bytes import RecentBytes
from btcore.sources.validation import checked_items

MAX_READINGS = 100
"""Readings that are kept."""

MUTE = logging.Logger("btcore.listening", logging.CRITICAL + 1)  # noqa: LOG001 - what a source logs belongs to a run


def site_decoders(site: Site, formats: tuple[str, ...] = ()) -> Decoders:
    """Return the decoders of a site. They log nothing."""
    contexts = [Context(one.table, MUTE) for one in site.decoders]
    return Decoders([one.instance for one in site.decoders], formats, contexts, MUTE)


class Listening:
    """What comes in on a source, and what the decoders find in it.

    `serials` are the meters that were heard, `readings` their first ones; `counts` counts packets.
    """

    def __init__(self, site: Site, source: Source, stop: Event | None = None) -> None:
        """Prepare; nothing is opened yet. `stop` ends it early."""
        self.stop = stop or Event()
        self.counts = StreamCounts()
        self.serials: dict[str, None] = {}
        self.recent_bytes = RecentBytes()
        self._site = site
        self._source = source
        self._decoders = site_decoders(site, source.formats)
        self._streams: dict[str, Stream] = {}
        self._packets: dict[str, int] = {}
        self.readings: list[Reading] = []

    def chunks(self, seconds: float) -> Iterator[Chunk]:
        """Open the source, and yield what comes in until the time is over. What the source raises is passed on."""
        with ExitStack() as last:
            self._decoders.open(skip_failing=True)
            last.callback(self._decoders.close)
            hooks = hook_caller(self._source.instance)
            last.callback(hooks.close)
            hooks.open(context=self._context())
            timer = Timer(seconds, self.stop.set)
            timer.daemon = True
            timer.start()
            last.callback(timer.cancel)
            items = checked_items(hooks.collect(stop=self.stop), self._source.plugin, self._source.formats)
            last.callback(items.close)
            until = time.monotonic() + seconds
            for item in items:
                if isinstance(item, Chunk):
                    self._decode(item)
                    yield item
                elif isinstance(item, Reading):
                    self.serials[item.serial] = None
                    self.readings = [*self.readings, item][:MAX_READINGS]
                if time.monotonic() >= until or self.stop.is_set():
                    return

    def _context(self) -> Context:
        context = context_of(self._site, self._source, dry_run=True)
        return evolve(context, log=MUTE, stream_status=self._stream_status)

    def _stream_status(self, name: str) -> StreamStatus:
        stream = self._streams.get(name)
        return StreamStatus(self._packets.get(name, 0), stream.bytes_since_packet) if stream else StreamStatus()

    def _decode(self, chunk: Chunk) -> None:
        stream = self._streams.get(chunk.stream)
        if stream is None:
            stream = self._streams[chunk.stream] = self._decoders.stream(self.counts)
        damaged = self.counts.damaged
        found = list(stream.feed(chunk.data, chunk.time or datetime.now(UTC))) if chunk.data else []
        if chunk.end:
            found += stream.close()
        for packet, arrived in found:
            self.serials[packet.serial] = None
            if len(self.readings) < MAX_READINGS:
                self.readings.append(
                    reading_of(packet, arrived, packet.serial, self._source.name, 0, 0, 0, chunk.address)
                )
        if found:
            self._packets[chunk.stream] = self._packets.get(chunk.stream, 0) + len(found)
            self.recent_bytes.packet(chunk.stream)
        elif chunk.data:
            self.recent_bytes.received(chunk.stream, chunk.data, self.counts.damaged - damaged, stream.unwanted)
        if chunk.end:
            self.recent_bytes.end(chunk.stream)
            del self._streams[chunk.stream]

# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running program tells on the control socket: bytes that it cannot decode, its newest readings, and all bytes.

`btcore doctor` asks for the former, `btcore capture` for the latter. The states of sources and sinks are in
`status.py`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any

import attrs

from btcore.errors import Unavailable
from btcore.journal import Entry, Journal
from btcore.records import Chunk
from btcore.sources.taps import Tap
from btcore.sources.worker import SourceWorker

HEARTBEAT = 2.0
"""Seconds after which an answer without bytes is sent: so both sides know that the other is there."""

MAX_SECONDS = 7 * 86_400.0
"""Seconds of the longest capture."""

MAX_ENTRIES = 10_000
"""Entries of the journal that are told at once."""

PORTION = 100
"""Entries of one answer."""

Answer = dict[str, Any]


class Observation:
    """Answers requests about the sources of a run, from any thread, until `stop` is set."""

    def __init__(self, sources: Sequence[SourceWorker], journal: Journal, stop: Event) -> None:
        """Prepare."""
        self._journal = journal
        self._sources = sources
        self._stop = stop

    def undecoded(self, _request: Mapping[str, Any]) -> Iterator[Answer]:
        """Yield one answer: the last bytes of each source in which no packet was found."""
        yield {
            "sources": {
                source.name: [
                    {"stream": one.stream, "hex": one.data.hex(), "damaged": one.damaged, "not_taken": one.not_taken}
                    for one in source.undecoded()
                ]
                for source in self._sources
            }
        }

    def newest(self, request: Mapping[str, Any]) -> Iterator[Answer]:
        """Yield the meters that were ever heard, then at most `limit` of the newest entries, oldest first.

        Raises Unavailable.
        """
        yield {"meters": [list(meter) for meter in self._journal.heard_meters()]}
        entries = newest_entries(self._journal, _limit(request.get("limit")))
        for begin in range(0, len(entries), PORTION):
            yield {"entries": [_encode(entry) for entry in entries[begin : begin + PORTION]]}

    def capture(self, request: Mapping[str, Any]) -> Iterator[Answer]:
        """Yield the chunks of a source as they come in, for so many `seconds`. Raises Unavailable.

        An answer without `hex` has no bytes: it says that the source is still listened to, and how many were lost.
        """
        source = self._source(request.get("source"))
        until = time.monotonic() + _seconds(request.get("seconds"))
        with source.taps.attached() as tap:
            yield {"source": source.name, "lost": 0}
            while (left := until - time.monotonic()) > 0 and source.thread.is_alive() and not self._stop.is_set():
                yield _answer(tap, tap.get(min(left, HEARTBEAT)))

    def _source(self, name: object) -> SourceWorker:
        found = [source for source in self._sources if name in (source.name, source.name.partition(".")[2])]
        if not found:
            names = ", ".join(source.name for source in self._sources)
            raise Unavailable(f"no source {name!r} runs; there are {names}")
        return found[0]


def newest_entries(journal: Journal, limit: int) -> Sequence[Entry]:
    """Return the newest entries of a journal, oldest first. Raises Unavailable."""
    newest = journal.newest()
    return [*journal.recent(newest, limit)]


def _encode(entry: Entry) -> list[object]:
    values = attrs.astuple(entry)
    return [value.hex() if isinstance(value, bytes) else value for value in values]


def decode_entry(values: Sequence[Any]) -> Entry:
    """Return an entry of an answer to `newest`."""
    names = [field.name for field in attrs.fields(Entry)]
    named = dict(zip(names, values, strict=True))
    return Entry(**{**named, "raw": bytes.fromhex(named["raw"])})


def _limit(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given <= MAX_ENTRIES:
        raise Unavailable(f"limit: expected a number up to {MAX_ENTRIES}, found {given!r:.40}")
    return given


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= MAX_SECONDS:
        raise Unavailable(f"seconds: expected a number up to {MAX_SECONDS:.0f}, found {given!r:.40}")
    return float(given)


def _answer(tap: Tap, chunk: Chunk | None) -> Answer:
    if chunk is None or not chunk.data:
        return {"lost": tap.lost}
    time = chunk.time or (None if chunk.clock else datetime.now(UTC))
    return {"time": time.timestamp() if time else None, "stream": chunk.stream, "hex": chunk.data.hex()}

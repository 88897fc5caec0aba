# SPDX-License-Identifier: GPL-3.0-or-later
"""Taps on a source: whoever attaches one is given the chunks as they come in, beside the decoder.

A tap that is not emptied loses chunks, and counts them: it never holds the source up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Lock

from btcore.records import Chunk

MAX_WAITING = 10_000
"""Chunks that wait in a tap."""


class Tap:
    """One tap. `lost` counts the chunks for which there was no room."""

    def __init__(self) -> None:
        """Begin empty."""
        self.lost = 0
        self._chunks: Queue[Chunk] = Queue(MAX_WAITING)

    def put(self, chunk: Chunk) -> None:
        """Add a chunk, if there is room."""
        try:
            self._chunks.put_nowait(chunk)
        except Full:
            self.lost += 1

    def get(self, seconds: float) -> Chunk | None:
        """Return the next chunk; None if none came for so long."""
        try:
            return self._chunks.get(timeout=seconds)
        except Empty:
            return None


class Taps:
    """The taps of one source. Thread-safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = Lock()
        self._taps: tuple[Tap, ...] = ()

    def put(self, chunk: Chunk) -> None:
        """Give a chunk to every tap."""
        for tap in self._taps:
            tap.put(chunk)

    @contextmanager
    def attached(self) -> Iterator[Tap]:
        """Attach a tap for as long as the block runs."""
        tap = Tap()
        with self._lock:
            self._taps = (*self._taps, tap)
        try:
            yield tap
        finally:
            with self._lock:
                self._taps = tuple(one for one in self._taps if one is not tap)

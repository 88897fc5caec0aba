# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits to be sent to one reader. Pure: who sends it, and when, is in `readers`.

Packets have counters, so a later one makes up for an earlier one: where there is no room, the oldest are dropped. Only
complete pieces are, and never one that was begun, so the other side always finds its packets.
"""

from collections import deque

import attrs

MAX_WAITING = 1 << 18
"""Bytes that wait for a reader: some hundred packets of a GEM."""


@attrs.define
class Outbox:
    """A bounded queue of pieces. `dropped` counts those for which there was no room."""

    max_waiting: int = MAX_WAITING
    dropped: int = attrs.field(default=0, init=False)
    waiting: int = attrs.field(default=0, init=False)
    _pieces: deque[bytes] = attrs.field(factory=deque, init=False)
    _begun: int = attrs.field(default=0, init=False)
    """Bytes of the first piece that are sent."""

    def add(self, piece: bytes) -> None:
        """Add a piece; drop the oldest as long as there is no room."""
        self._pieces.append(piece)
        self.waiting += len(piece)
        while self.waiting > self.max_waiting and len(self._pieces) > 1 + bool(self._begun):
            self._drop()

    def next(self) -> memoryview:
        """Return what is to be sent next; empty if there is nothing."""
        return memoryview(self._pieces[0])[self._begun :] if self._pieces else memoryview(b"")

    def sent(self, size: int) -> None:
        """Take note that so many bytes of `next` were sent."""
        self.waiting -= size
        self._begun += size
        if self._begun >= len(self._pieces[0]):
            self._pieces.popleft()
            self._begun = 0

    def _drop(self) -> None:
        """Drop the oldest piece that was not begun."""
        first = self._pieces.popleft()
        oldest = first
        if self._begun:
            oldest = self._pieces.popleft()
            self._pieces.appendleft(first)
        self.waiting -= len(oldest)
        self.dropped += 1

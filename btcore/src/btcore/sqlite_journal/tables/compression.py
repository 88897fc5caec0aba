# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets in the SQLite journal that are stored compressed: an earlier one of the same meter is zlib's dictionary.

A packet is much like the one before it: that of a GEM takes a tenth to a half of its 625 bytes. A dictionary is an
entry that has its packet as it came, and was inserted within the same transaction: so where one of the two is on the
disk, so is the other. What is compressed by it is lost with it, and therefore is not much.
"""

import zlib
from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple

from btcore.journal import Entry, Offset

MIN_SAVED = 128
"""Bytes that have to be saved, else a packet is stored as it came: it is read with less work then."""

MAX_OF_ONE = 63
"""Entries that are compressed by one dictionary: so many are lost with it."""

SPAN = 1000
"""Offsets after a dictionary within which it is used: retention looks no further for what needs it."""

MAX_DICTIONARIES = 512
"""Meters, each with one format, that have a dictionary."""

MAX_RATE = 100
"""Packets a second of which any is compressed: where more come, the processor is scarcer than what the disk bears."""

ROW = 110
"""Bytes of the file that an entry takes beside its packet, in its row and in the index."""

LEVEL, WINDOW, MEMORY = 1, 12, 5
"""Of zlib: its level, how far it looks back (a power of two), and its memory.

Its defaults take 100 µs for a packet, as they clear 256 kB each time. These take 10, and make it no longer.
"""


class Stored(NamedTuple):
    """How a packet is stored: as it came, with no dictionary; or compressed, and of so many bytes before."""

    raw: bytes
    dictionary: Offset = 0
    size: int = 0


class _Dictionary:
    """An entry by which others are compressed, and how many there are."""

    __slots__ = ("count", "offset", "raw")

    def __init__(self, offset: Offset, raw: bytes) -> None:
        self.offset = offset
        self.raw = raw
        self.count = 0


class Dictionaries:
    """The dictionaries of one transaction; `bytes_inserted` is how many bytes of the file its entries take."""

    def __init__(self) -> None:
        """Begin with none."""
        self.bytes_inserted = 0
        self._dictionaries: dict[str, _Dictionary] = {}
        self._second = self._in_second = 0

    def forget(self) -> None:
        """Forget all: the transaction has ended, or what was inserted in it was taken back."""
        self._dictionaries.clear()
        self.bytes_inserted = 0

    def insert(self, entry: Entry, offset: Offset, insert: Callable[[Stored], bool]) -> bool:
        """Have an entry inserted at an offset, compressed where that pays; return whether it was not there before."""
        stream = f"{entry.source}\0{entry.serial}\0{entry.format}"
        is_short = len(entry.raw) <= MIN_SAVED
        dictionary = None if is_short else self._within_span(stream, offset)
        stored = _compressed(entry.raw, dictionary) if dictionary else None
        if not insert(stored or Stored(entry.raw)):
            return False
        self.bytes_inserted += ROW + len(stored.raw if stored else entry.raw)
        if dictionary and stored:
            dictionary.count += 1
            if dictionary.count >= MAX_OF_ONE:
                del self._dictionaries[stream]
        elif not is_short and (dictionary or len(self._dictionaries) < MAX_DICTIONARIES):
            self._dictionaries[stream] = _Dictionary(offset, entry.raw)
        return True

    def inserted_without(self, entries: Sequence[Entry]) -> None:
        """Count entries that were inserted without this: their packets are stored as they came."""
        self.bytes_inserted += sum([ROW + len(entry.raw) for entry in entries])

    def _within_span(self, stream: str, at: Offset) -> _Dictionary | None:
        """Return the dictionary of a stream for an entry at an offset; one that is too far from it is given up."""
        dictionary = self._dictionaries.get(stream)
        if dictionary and not 0 < at - dictionary.offset <= SPAN:
            del self._dictionaries[stream]
            return None
        return dictionary

    def too_many_of(self, count: int) -> int:
        """Count packets that came in; return how many of them, the last ones, are too many in this second.

        What is brought back from the tail is not counted: it must not take more room than it had.
        """
        second = int(monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += count
        return min(max(self._in_second - MAX_RATE, 0), count)


def _compressed(raw: bytes, dictionary: _Dictionary) -> Stored | None:
    """Return a packet compressed; None where that does not pay."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW, MEMORY, zlib.Z_DEFAULT_STRATEGY, dictionary.raw)
    data = deflate.compress(raw) + deflate.flush()
    return Stored(data, dictionary.offset, len(raw)) if len(data) + MIN_SAVED <= len(raw) else None


def unpacked(stored: Stored, dictionary: bytes | None) -> bytes | None:
    """Return a packet as it came, by the packet that is its dictionary; None where that cannot be."""
    if not stored.dictionary:
        return stored.raw
    if dictionary is None or not isinstance(stored.size, int) or stored.size <= 0:
        return None
    try:
        inflate = zlib.decompressobj(-WINDOW, dictionary)
        found = inflate.decompress(stored.raw, stored.size)
    except (zlib.error, ValueError, TypeError, OverflowError):  # what is damaged may be anything
        return None
    return found if len(found) == stored.size and not inflate.unconsumed_tail else None

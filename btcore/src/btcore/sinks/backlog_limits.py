"""How much of a backlog is more than its sink's bounds allow: too old, or too many bytes.

What the journal holds is never added up twice: sums over blocks of places are kept in memory, and a look costs what
came in since the last one. No question to the journal takes long, so nobody waits for it.
"""

from collections import deque
from collections.abc import Iterator

import attrs

from btcore.journal import EntrySize, Journal

BLOCK = 1000
"""Entries that are added up together, and asked for at once."""


@attrs.define
class _Block:
    """The sum of some entries that follow each other: the place of the last one, how many they are, their bytes."""

    last: int
    count: int = 0
    size: int = 0

    def add(self, entry: EntrySize) -> None:
        """Add the next entry."""
        self.last = entry.offset
        self.count += 1
        self.size += entry.size


class Bounds:
    """Finds what is beyond the bounds of one backlog. Not safe between threads."""

    def __init__(self, journal: Journal, most_bytes: int) -> None:
        """Begin with nothing added up. `most_bytes` of packets; 0 for any number."""
        self._journal = journal
        self._most = most_bytes
        self._blocks: deque[_Block] = deque()
        self._read_to = 0

    def beyond(self, after: int, oldest: int) -> tuple[int, int]:
        """Return the place up to which entries after a place are beyond the bounds, and how many they are.

        `oldest` is in microseconds since 1970, 0 for any age. Raises Unavailable.
        """
        return max(self._too_old(after, oldest), self._too_many(after))

    def _too_old(self, after: int, oldest: int) -> tuple[int, int]:
        """Count the entries up to the first that is not too old."""
        place, count = after, 0
        if oldest:
            for entry in self._outlines(after):
                if entry.key >= oldest:
                    break
                place, count = entry.offset, count + 1
        return place, count

    def _too_many(self, after: int) -> tuple[int, int]:
        """Count the oldest entries that have to go for the others to be no more than the bound."""
        place, count = after, 0
        if not self._most:
            return place, count
        self._add_up(after)
        rest = sum(block.size for block in self._blocks) - self._most
        for block in self._blocks:
            if block.size > rest:
                break
            place, count, rest = block.last, count + block.count, rest - block.size
        for entry in self._outlines(place) if rest > 0 else ():
            place, count, rest = entry.offset, count + 1, rest - entry.size
            if rest <= 0:
                break
        return place, count

    def _add_up(self, after: int) -> None:
        """Add up what came in since the last time; let go of what was delivered."""
        self._read_to = max(self._read_to, after)
        for entry in self._outlines(self._read_to):
            if not self._blocks or self._blocks[-1].count == BLOCK:
                self._blocks.append(_Block(entry.offset))
            self._blocks[-1].add(entry)
            self._read_to = entry.offset
        while self._blocks and self._blocks[0].last <= after:
            self._blocks.popleft()
        if self._blocks:  # of the oldest, a part may be delivered
            self._blocks[0] = self._rest(self._blocks[0].last, after)

    def _rest(self, last: int, after: int) -> _Block:
        block = _Block(last)
        for entry in self._outlines(after):
            if entry.offset > last:
                break
            block.add(entry)
        block.last = last
        return block

    def _outlines(self, after: int) -> Iterator[EntrySize]:
        while some := self._journal.sizes(after, BLOCK):
            yield from some
            after = some[-1].offset

# SPDX-License-Identifier: GPL-3.0-or-later
"""The energy of several meters, brought to the intervals of one of them.

Meters send at times of their own. The intervals of a virtual channel are those of its first meter, the lead; what the
others counted is divided among these intervals by time, and no watt-second is lost or counted twice. Times are in
microseconds since 1970, energies integers in a unit that the caller chooses. Pure, but for a memory that is bounded.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from btcore.classes import define, evolve, field, frozen

MAX_PIECES = 64
"""Pieces of a meter that are kept while another is waited for; above it, two that follow each other become one."""


@frozen
class Piece:
    """What a meter counted from `start` to `end`. `seconds` is how long that took by its own clock; None: not known."""

    start: int
    end: int
    energy: int
    seconds: int | None = None

    @property
    def length(self) -> int:
        """Its seconds, by the times of its ends where the meter's own are not known."""
        return max(self.end - self.start, 0) // 1_000_000 if self.seconds is None else self.seconds

    def joined(self, later: "Piece") -> "Piece":
        """Return one piece of this one and the next."""
        return Piece(self.start, later.end, self.energy + later.energy, self.length + later.length)


@define
class _Part:
    """The pieces of one meter that no interval has yet, and up to when it is known what it counted."""

    pieces: deque[Piece] = field(factory=deque)
    known_to: int = 0

    def add(self, piece: Piece) -> None:
        """Add the next piece. Where there are too many, the two shortest neighbours become one."""
        self.pieces.append(piece)
        if len(self.pieces) > MAX_PIECES:
            at = min(range(len(self.pieces) - 1), key=lambda at: self.pieces[at].length + self.pieces[at + 1].length)
            self.pieces[at] = self.pieces[at].joined(self.pieces[at + 1])
            del self.pieces[at + 1]

    def take(self, until: int) -> int:
        """Take the energy up to a time. A piece that goes on behind it is cut there."""
        energy = 0
        while self.pieces and self.pieces[0].end <= until:
            energy += self.pieces.popleft().energy
        if self.pieces and self.pieces[0].start < until:
            first = self.pieces[0]
            share = first.energy * (until - first.start) // (first.end - first.start)
            energy += share
            self.pieces[0] = Piece(until, first.end, first.energy - share)
        return energy


class Timeline:
    """Brings the pieces of some meters to the intervals of the first of them."""

    def __init__(self, meters: Sequence[str]) -> None:
        """Begin without pieces. `meters` are serial numbers, the lead first."""
        self._parts = {serial: _Part() for serial in meters}
        self._lead = self._parts[meters[0]]
        self._others = [self._parts[serial] for serial in meters[1:]]

    def heard(self, serial: str, time: int, piece: Piece | None) -> Iterator[Piece]:
        """Take that a meter was heard, and what it counted since it was heard before, if that is known.

        Yield the intervals that are complete now: those of the lead, with the energy of all.
        """
        part = self._parts[serial]
        part.known_to = max(part.known_to, time)
        if piece is not None:
            part.add(piece)
        while self._lead.pieces and all(other.known_to >= self._lead.pieces[0].end for other in self._others):
            first = self._lead.pieces.popleft()
            yield evolve(first, energy=first.energy + sum(other.take(first.end) for other in self._others))

    @property
    def waits_for(self) -> list[str]:
        """The meters for which intervals of the lead wait."""
        if not self._lead.pieces:
            return []
        end = self._lead.pieces[0].end
        return [serial for serial, part in self._parts.items() if part is not self._lead and part.known_to < end]

    def state(self) -> dict[str, object]:
        """Return what it remembers, as JSON can hold it."""
        return {
            serial: [part.known_to, *([one.start, one.end, one.energy, one.seconds] for one in part.pieces)]
            for serial, part in self._parts.items()
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from what was remembered; of a meter that is not there any more nothing is kept.

        Raises TypeError or ValueError for what `state` did not return.
        """
        for serial, remembered in state.items():
            if serial in self._parts and isinstance(remembered, list):
                known_to, *pieces = remembered
                self._parts[serial].known_to = int(known_to)
                self._parts[serial].pieces.extend(Piece(*piece) for piece in pieces)

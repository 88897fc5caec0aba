# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines up two sequences of readings, btmon's and btcore's: which are of one packet, and which only one of them has.

Two readings are of one packet if the meter's counters are the same in both, or else if they are of about one time.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import attrs

from btmon_migrate.printed import Printed

NEAR = timedelta(seconds=5)
"""How far apart the two programs may note the time of one packet."""


@attrs.frozen
class Pair:
    """A packet: btmon's reading of it, and btcore's; None for who has none."""

    btmon: Printed | None
    ours: Printed | None

    @property
    def at(self) -> datetime:
        """When it came in: as btcore has it, or else btmon."""
        return self._one.at

    @property
    def serial(self) -> str:
        """The meter's serial number."""
        return self._one.serial

    @property
    def _one(self) -> Printed:
        one = self.ours or self.btmon
        assert one is not None  # noqa: S101 - one of them has it
        return one


def pair_up(btmon: Iterable[Printed], ours: Iterable[Printed]) -> list[Pair]:
    """Return the packets, meter by meter, in the order of time; of ours only those of the time that btmon's are of."""
    of: defaultdict[str, tuple[list[Printed], list[Printed]]] = defaultdict(lambda: ([], []))
    for which, readings in enumerate((btmon, ours)):
        for one in readings:
            of[one.serial][which].append(one)
    return [pair for theirs, mine in of.values() if theirs for pair in _of_a_meter(theirs, mine)]


def _of_a_meter(btmon: Sequence[Printed], ours: Sequence[Printed]) -> Iterator[Pair]:
    """Yield the packets of a meter."""
    found = _by_energies(btmon, ours)
    found |= _by_time(btmon, ours, found)
    pairs = [Pair(one, ours[found[index]] if index in found else None) for index, one in enumerate(btmon)]
    taken = set(found.values())
    first, last = min(one.at for one in btmon) - NEAR, max(one.at for one in btmon) + NEAR
    within = [one for index, one in enumerate(ours) if index not in taken and first <= one.at <= last]
    yield from sorted([*pairs, *(Pair(None, one) for one in within)], key=lambda pair: pair.at)


def _by_energies(btmon: Sequence[Printed], ours: Sequence[Printed]) -> dict[int, int]:
    """Return which of ours has the same counters as each of btmon's, if there is one that is not taken."""
    waiting: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    titles = {key for one in btmon for key in one.numbers}
    for index, one in enumerate(ours):
        waiting[_energies(one, titles)].append(index)
    found = {}
    for index, one in enumerate(btmon):
        same = waiting[_energies(one, titles)]
        if same:
            nearest = min(same, key=lambda other: abs(ours[other].at - one.at))
            same.remove(nearest)
            found[index] = nearest
    return found


def _energies(one: Printed, titles: set[tuple[str, str]]) -> tuple[str, ...]:
    """Return the counters that both programs print: btmon knew 32 channels of a GEM (B4)."""
    return tuple(text.lstrip("-") for key, text in one.numbers.items() if key[1] == "KWh" and key in titles)


def _by_time(btmon: Sequence[Printed], ours: Sequence[Printed], found: dict[int, int]) -> dict[int, int]:
    """Return which of ours is of about the same time as each of btmon's that has no counterpart yet."""
    taken = set(found.values())
    free = sorted((one.at, index) for index, one in enumerate(ours) if index not in taken)
    more = {}
    for index, one in enumerate(btmon):
        if index not in found:
            near = free[bisect_left(free, (one.at - NEAR, 0)) : bisect_right(free, (one.at + NEAR, len(ours)))]
            if near:
                nearest = min(near, key=lambda other: abs(other[0] - one.at))
                free.remove(nearest)
                more[index] = nearest[1]
    return more

# SPDX-License-Identifier: GPL-3.0-or-later
"""How a writer chooses the keys of its readings, without a look at what the journal has.

A key is the reading's time. Where another reading of the same meter has it (its clock stands still, or two packets came
at once), the writer tries other keys in a fixed order that follows from the reading alone. So a reading that comes
again tries the same keys, and is found where it is. How a journal keeps keys apart does not belong here.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence

from btcore.classes import evolve
from btcore.journal import Appended, Entry

RUN = 8
"""Microseconds from a reading's time on that are tried one by one."""

PER_SPREAD = 16
"""Keys that are tried within one spread behind those."""

SPREAD = 100_000
"""Microseconds within which these keys are at first: a tenth of a second. Each further spread is four times as wide."""

STEP = 1_664_525
"""Makes each key of the one before it: any multiplier that goes through all numbers of 32 bits would do."""


Append = Callable[[Sequence[Entry]], Appended]
"""Keeps entries up to the first whose key is taken, as a journal's `append`."""


def candidate_keys(entry: Entry) -> Iterator[int]:
    """Yield the keys that a reading may have, the first choice first; they follow from its time and its packet."""
    yield from range(entry.key, entry.key + RUN)
    mark, spread = zlib.crc32(entry.raw), SPREAD
    while True:
        for _ in range(PER_SPREAD):
            mark = (mark * STEP + 1) % (1 << 32)
            yield entry.key + RUN + mark % spread
        spread *= 4


def append_all(append: Append, entries: Sequence[Entry]) -> list[Entry]:
    """Append entries in order, each with the first of its keys that is not taken; return those that were new.

    `append` is that of the journal. Where it raises, what was appended before stays, and may be appended again.
    """
    kept: list[Entry] = []
    rest = entries
    while rest:
        done = append(rest)
        kept += done.kept
        rest = done.rest
        if rest:
            added, rest = _append_first(append, rest[0]), rest[1:]
            kept += added
    return kept


def _append_first(append: Append, entry: Entry) -> Sequence[Entry]:
    """Append an entry whose first key is taken, with the next one that is not."""
    keys = candidate_keys(entry)
    next(keys)
    for key in keys:
        done = append([evolve(entry, key=key)])
        if not done.rest:
            return done.kept
    raise AssertionError("there is no end of keys")


def append_once_per_time(append: Append, entries: Sequence[Entry]) -> Appended:
    """Append entries; of a meter that has a reading of the same time, a reading without a packet is there already.

    It is for files in which the same reading may have other numbers, as they count from the beginning of the file.
    """
    kept: list[Entry] = []
    rest = entries
    while rest:
        done = append(rest)
        kept += done.kept
        rest = done.rest
        if not rest or not rest[0].packetless:
            break
        rest = rest[1:]
    return Appended(kept, rest)

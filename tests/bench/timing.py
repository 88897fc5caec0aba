# SPDX-License-Identifier: GPL-3.0-or-later
"""How long work takes: of the processor, not of the clock, so that what else the machine does is not counted.

A work returns how many things it has done. Works that are compared take turns, so that both meet the same caches and
the same speed of the processor.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

Work = Callable[[], int]

ROUNDS = 21
SLICE = 0.03
"""Seconds of the processor for one round of one work: short, so that works that are compared are near each other."""

MAX_WORKS = 256
"""Works between two looks at the clock."""


@attrs.frozen
class Spread:
    """The median of several rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Make it of what the rounds measured."""
        return cls(statistics.median(values), min(values), max(values))


def seconds_each(work: Work, least: float = SLICE) -> float:
    """Return the seconds of the processor for one thing.

    A look at that clock takes 1.7 µs, as long as some works do: so there is one after twice as many works each time.
    """
    done, works, began = 0, 1, time.process_time()
    while (used := time.process_time() - began) < least:
        for _ in range(works):
            done += work()
        works = min(2 * works, MAX_WORKS)
    return used / done


def take_turns(works: Sequence[Work], rounds: int = ROUNDS) -> list[list[float]]:
    """Return for each work the seconds for one thing, in each round; all works take turns."""
    for work in works:
        work()
    found: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for each, work in zip(found, works, strict=True):
            each.append(seconds_each(work))
    return found


def used_by(pid: int) -> float:
    """Return the seconds of the processor that a process has used, in all its threads, to the nanosecond."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks(pid)) / 1e9


def tasks(pid: int) -> list[Path]:
    """Return the folders of a process's threads."""
    return list(Path(f"/proc/{pid}/task").iterdir())


def memory_of(pid: int) -> float:
    """Return the megabytes of memory that a process has resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

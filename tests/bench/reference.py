# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the machine is at the moment: what the peer takes for one packet, and nothing else.

What must be reached in packets a second, or ms, was set where the peer takes 163 µs. Machines differ, and one whose
cores are shared is half as fast from one minute to the next, so the peer is measured beside each such work.
"""

from collections.abc import Callable, Sequence

from bench.micro import PARSE, peer_parse
from bench.rows import Must, Row
from bench.timing import Spread, seconds_each

BRIEFLY = 0.1
"""Seconds of the processor for which the peer is measured."""


def speed() -> float:
    """Return how many times as fast this machine is now as the one where what must be reached was set."""
    return PARSE / (1e6 * seconds_each(peer_parse, BRIEFLY))


def beside(work: Callable[[], float]) -> tuple[float, float]:
    """Do what returns a figure; return the figure, and the speed of the machine: the mean of before and after."""
    before = speed()
    figure = work()
    return figure, (before + speed()) / 2


def row(work: str, unit: str, found: Sequence[tuple[float, float]], must: Must | None = None) -> Row:
    """Make a row of figures, each with the speed of the machine beside it."""
    made = Row(work, unit, Spread.of([figure for figure, _ in found]), must)
    there = [figure * fast if made.is_cost else figure / fast for figure, fast in found]
    return Row(work, unit, made.found, must, there=Spread.of(there).median)

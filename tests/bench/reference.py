# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the machine is at the moment: what the peer takes for one packet, and nothing else.

What must be reached in packets a second, or ms, was set where the peer takes 163 µs. Machines differ, and one whose
cores are shared is half as fast from one minute to the next, so the peer is measured beside each such work.
"""

from collections.abc import Callable

from bench.micro import PARSE, peer_parse
from bench.timing import seconds_each

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

# SPDX-License-Identifier: GPL-3.0-or-later
"""What flowed through a channel one way, worked out from the packets alone: what services have to be told of it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from btcore import Reading


class Flow(NamedTuple):
    """A moment in seconds since 1970, mean W of the interval that ended then, and Wh so far."""

    time: int
    watts: float
    energy: float


def expected_flows(readings: Sequence[Reading], channel: str, *, exported: bool = False) -> list[Flow]:
    """Return what flowed through a channel, of each two consecutive packets of one meter."""
    made = []
    for older, newer in pairwise(readings):
        before, after = (_counted(one, channel, exported) for one in (older, newer))
        watts = (after - before) / (newer.seconds - older.seconds)
        made.append(Flow(int(newer.timestamp), watts, after / 3600))
    return made


def _counted(reading: Reading, channel: str, exported: bool) -> float:
    """Return the Ws of one direction; an auxiliary channel counts all that flows."""
    if channel.startswith("aux"):
        return reading.get(f"{channel}_ws") or 0
    polarized = reading.get(f"{channel}_pws") or 0
    return polarized if exported else (reading.get(f"{channel}_aws") or 0) - polarized

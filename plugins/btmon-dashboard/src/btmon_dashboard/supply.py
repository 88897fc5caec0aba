# SPDX-License-Identifier: GPL-3.0-or-later
"""The supply of a house with several mains: what flows in on one and out on another at once is no import and no export.

The sum of a meter's mains is made of each sample, and stored as a column of its own: later, of an hour, it is not known
any more. The name of the column begins with a mark, so it is not taken for a channel. Pure.
"""

from collections.abc import Sequence

from btmon_dashboard.sensors import NET
from btmon_dashboard.sums import MAX_CLOSE

COLUMN = f"{NET}grid"

ROUNDING = 32
"""Ws by which the net of the sum may be off that of the mains: each is cut at the bounds of an hour by itself."""


def sum_of(ws: Sequence[int], columns: Sequence[int], length: int) -> tuple[int, int]:
    """Return what the sum of columns imported and exported in a length of microseconds.

    Of a longer time it is not known when each flowed in and out, so all that each has is counted.
    """
    pairs = [(ws[2 * at], ws[2 * at + 1]) for at in columns if 2 * at < len(ws)]
    taken, given = sum(one for one, _ in pairs), sum(other for _, other in pairs)
    return (taken, given) if length > MAX_CLOSE else (max(taken - given, 0), max(given - taken, 0))


def is_sum(net: tuple[int, int], parts: tuple[int, int]) -> bool:
    """Whether a stored sum is that of these mains: before it was stored, or when others were the mains, it is not."""
    return abs((net[0] - net[1]) - (parts[0] - parts[1])) <= ROUNDING

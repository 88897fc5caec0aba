# SPDX-License-Identifier: GPL-3.0-or-later
"""How many pulses each pulse counter counted between two readings of one meter: pure.

A pulse counter begins again by itself (its owner resets it), with its meter, or because it overflowed. What is not
certain to be an overflow is none: too few pulses are a small error, sixteen million too many are a large one.
"""

from btcore.calculate.counters import MAX_PULSES, MAX_WATTS
from btcore.calculate.energy import CounterRules, rules_between
from btcore.calculate.links import Link
from btcore.formats import PULSE_BITS, Number


def pulses_of(link: Link) -> dict[str, int]:
    """Return how many pulses each pulse counter of a link's reading counted; 0 for those that are not known."""
    older, newer = link.before, link.reading
    if older is None or link.transition is None or not newer.format.pulses:
        return dict.fromkeys(newer.format.pulses, 0)
    rules = rules_between(older, newer, link.transition)
    return {label: _pulses(older.get(label), newer.get(label), rules) for label in newer.format.pulses}


def _pulses(before: Number, after: Number, rules: CounterRules) -> int:
    if before is None or after is None:
        return 0
    most = rules.max_rise / MAX_WATTS * MAX_PULSES
    rise = after - before
    if rules.from_zero and after <= most:
        rise = after
    elif rise < 0:
        overflowed = rise + (1 << PULSE_BITS)
        is_overflow = rules.seconds is not None and overflowed <= min(most, 1 << PULSE_BITS - 1)
        rise = overflowed if is_overflow else after
    return int(rise) if rise <= most else 0

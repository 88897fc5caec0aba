# SPDX-License-Identifier: GPL-3.0-or-later
"""What a good engineer would find in the ledger: always-on load, what is unusual today, what the sun is used for. Pure.

Habits are medians, so that one odd day, or a clamp that is off by a little, is none.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from btmon_dashboard.bills import circuit, first_of, numbers_of
from btmon_dashboard.history import WH
from btmon_dashboard.house import Flow, total_of
from btmon_dashboard.ledger import Timed
from btmon_dashboard.spans import DAY, SECOND, start_of

NIGHT = range(6)
"""The hours of the night, of which the lowest is what is always on."""

MIN_NIGHTS = 3
MIN_DAYS = 7
"""So many nights and days are a habit."""

MIN_UNUSUAL = 300 * WH
"""Ws by which a circuit is off its habit, at least, before that is worth a line."""

RARE = 0.1
"""On a smaller share of days a circuit used as much, or as little: then it is unusual."""

MIN_SHARE = 0.3
"""The share of the usual energy by which a circuit is off, at least."""

MIN_RATIO_WH = 50
"""Wh below which a share of them says nothing."""

Table = dict[int, list[Flow]]
"""The hours of each day, by its start."""


def insight(hours: Sequence[Timed], total: Flow, names: Sequence[str], now: int) -> dict[str, Any]:
    """Return all findings. `hours` are those of the last weeks, `total` is what flowed in the time asked for."""
    days = by_days(hours)
    nights = [lowest for lowest in map(lowest_of, days.values()) if lowest is not None]
    circuits = [
        {"id": name, **first_of(circuit([total], at)), "share": ratio(total.loads_cost[at], total.cost)}
        | {"always_on": always_on([loads[at] for _, loads in nights])}
        for at, name in enumerate(names)
        if total.loads
    ]
    return {
        "nights": len(nights),
        "days": len(days),
        "house": {**first_of(numbers_of([total])), **ratios(total), **rest(hours, total)}
        | {"always_on": always_on([used for used, _ in nights])},
        "circuits": circuits,
        "unusual": list(unusual(days, names, now)),
    }


def by_days(hours: Sequence[Timed]) -> Table:
    """Return hours by the day that they are of."""
    days: Table = {}
    for start, flow in hours:
        days.setdefault(start_of(DAY, start), []).append(flow)
    return days


def lowest_of(flows: Sequence[Flow]) -> tuple[int, list[int]] | None:
    """Return the lowest hour of a night, in Ws: of the house, and of each circuit by itself; None without a night."""
    night = [flow for flow in flows[: len(NIGHT)] if flow.used > 0]
    if len(night) < len(NIGHT):
        return None
    return min(flow.used for flow in night), [min(column) for column in zip(*(one.loads for one in night), strict=True)]


def always_on(lowest: Sequence[int]) -> float | None:
    """Return the watts that are always on: the median of the nights' lowest hours; None where there are too few."""
    return round(median(lowest) / WH, 1) if len(lowest) >= MIN_NIGHTS else None


def ratios(total: Flow) -> Mapping[str, float | None]:
    """Return the share of what was used that did not come from the grid, and that of the sun that was used."""
    return {
        "autarky": ratio(total.own, total.used),
        "self_consumption": ratio(max(total.solar - total.given, 0), total.solar),
    }


def ratio(part: int, total: int) -> float | None:
    """Return a share; None of nothing."""
    return round(part / total, 4) if total > MIN_RATIO_WH * WH else None


def rest(hours: Sequence[Timed], total: Flow) -> Mapping[str, float | None]:
    """Return what no circuit has: its energy, and the watts of the median hour."""
    found = [flow.used - sum(flow.loads) for _, flow in hours if flow.used > 0]
    return {
        "rest": (total.used - sum(total.loads)) / WH,
        "rest_median": round(median(found) / WH, 1) if found else None,
    }


def unusual(days: Table, names: Sequence[str], now: int) -> Iterator[dict[str, Any]]:
    """Yield the circuits that used much more or less today, in the hours that are over, than is their habit."""
    today = start_of(DAY, now)
    hours = time.localtime(now // SECOND).tm_hour
    before = [total_of(flows[:hours]) for day, flows in days.items() if day != today and len(flows) >= hours]
    if len(before) < MIN_DAYS or not hours or today not in days:
        return
    used = total_of(days[today][:hours]).loads
    for at, name in enumerate(names if used else ()):
        habit = [flow.loads[at] for flow in before if flow.loads]
        usual = median(habit)
        if is_unusual(used[at], usual, habit):
            yield {"id": name, "wh": used[at] / WH, "usual": usual / WH, "hours": hours}


def is_unusual(found: int, usual: float, habit: Sequence[int]) -> bool:
    """Whether an energy is off the usual one by much, and as on few days."""
    off = found - usual
    alike = sum(one >= found if off > 0 else one <= found for one in habit)
    return abs(off) > max(MIN_UNUSUAL, MIN_SHARE * usual) and alike < RARE * len(habit)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger as an answer: what the house and its circuits used in a time, in steps, and what it cost."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from btmon_dashboard.costs import money
from btmon_dashboard.history import MAX_POINTS, WH, QueryError, Step
from btmon_dashboard.house import Flow, total_of
from btmon_dashboard.ledger import Ledger, Timed, grouped
from btmon_dashboard.spans import DAY, HOUR, SECOND

CYCLE = "cycle"
"""The step that is a billing cycle."""

AMOUNTS = ("cost", "credit", "charge", "total")
ENERGIES = ("taken", "given", "used", "own", "solar")
NAMES = {"taken": "wh_import", "given": "wh_export", "used": "wh_used", "own": "wh_own", "solar": "wh_solar"}


def timed(ledger: Ledger, span: tuple[int, int], step: Step | None) -> list[Timed]:
    """Return what flowed in each step of a time in microseconds; without a step, in each billing cycle.

    Raises QueryError.
    """
    if step is None:
        return grouped(ledger.days(ledger.cycle(span[0])[0], span[1]), lambda moment: ledger.cycle(moment)[0])
    if step.seconds < HOUR or step.seconds % HOUR:
        raise QueryError("step: expected hours, days, months or years: costs are known by the hour")
    if (span[1] - span[0]) // (step.seconds * SECOND) > MAX_POINTS:
        raise QueryError(f"step: expected one with at most {MAX_POINTS} points between `from` and `to`")
    found = ledger.days(*span) if step.seconds % DAY == 0 or step.calendar else ledger.hours(*span)
    return grouped(found, step.start)


def bill(times: Sequence[Timed], names: Sequence[str], wanted: Iterable[str]) -> dict[str, Any]:
    """Return times as an answer. `names` are the circuits of the ledger, `wanted` those that are asked for.

    Each number is of a step; `sum` has that of all. What a circuit cost is its share of what came from the grid.
    """
    flows = [flow for _, flow in times]
    columns = {name: names.index(name) for name in wanted if name in names}
    total = total_of(flows)
    return {
        "times": [start // SECOND for start, _ in times],
        **numbers_of(flows),
        "channels": {name: circuit(flows, at) for name, at in columns.items()},
        "sum": {key: values[0] for key, values in numbers_of([total]).items()},
        "sums": {name: first_of(circuit([total], at)) for name, at in columns.items()},
    }


def numbers_of(flows: Sequence[Flow]) -> dict[str, list[float]]:
    """Return the numbers of the house in each step: amounts in units of the currency, energy in Wh."""
    amounts = {name: [money(getattr(flow, name)) for flow in flows] for name in AMOUNTS}
    return amounts | {NAMES[name]: [getattr(flow, name) / WH for flow in flows] for name in ENERGIES}


def circuit(flows: Sequence[Flow], column: int) -> dict[str, list[float]]:
    """Return the numbers of a circuit in each step."""

    def of(name: str, convert: Callable[[int], float]) -> list[float]:
        return [convert(values[column]) if (values := getattr(flow, name)) else 0.0 for flow in flows]

    def wh(ws: int) -> float:
        return ws / WH

    return {"wh": of("loads", wh), "wh_own": of("loads_own", wh), "cost": of("loads_cost", money)}


def first_of(table: dict[str, list[float]]) -> dict[str, float]:
    """Return a table of lists of one as numbers."""
    return {key: values[0] for key, values in table.items()}

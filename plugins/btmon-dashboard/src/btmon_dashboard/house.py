# SPDX-License-Identifier: GPL-3.0-or-later
"""The house in one hour: what came from the grid and the sun, what was used, and by whom. Pure.

All energy is in Ws, as integers. What a circuit used came from the grid in the proportion in which all that was used in
that hour came from it; so the circuits add up to the house, whatever the sun did within the hour.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import add

import attrs

from btmon_dashboard import supply
from btmon_dashboard.roles import BATTERY, GRID, LOAD, SOLAR, Name
from btmon_dashboard.sums import Sums


@attrs.frozen
class House:
    """Where the energy of each role stands: serial number and column. `loads` are all circuits that are counted."""

    grid: tuple[tuple[str, int], ...] = ()
    solar: tuple[tuple[str, int], ...] = ()
    battery: tuple[tuple[str, int], ...] = ()
    loads: tuple[tuple[str, int], ...] = ()
    names: tuple[str, ...] = ()
    """Of each load, SERIAL_CHANNEL."""
    nets: tuple[tuple[str, int], ...] = ()
    """Of each meter with several mains, where their sum stands."""

    def mains(self, serial: str) -> list[int]:
        """Return the columns of the mains of a meter."""
        return [column for of, column in self.grid if of == serial]


def house_of(roles: Mapping[Name, str], columns: Mapping[Name, int], nets: Iterable[tuple[str, int]] = ()) -> House:
    """Return the house of channels with their roles. `nets`: where the sum of the mains of a meter stands."""

    def of(role: str) -> tuple[tuple[str, int], ...]:
        return tuple((name[0], columns[name]) for name, one in roles.items() if one == role and name in columns)

    names = tuple("_".join(name) for name, role in roles.items() if role == LOAD and name in columns)
    grid = of(GRID)
    several = tuple(one for one in nets if sum(serial == one[0] for serial, _ in grid) > 1)
    return House(grid, of(SOLAR), of(BATTERY), of(LOAD), names, several)


@attrs.define(eq=False)
class Flow:
    """What flowed: in Ws, for the house, and for each load. `cost`, `credit` and `charge` are amounts (`costs.py`).

    `taken` and `given` are what came from the grid and went to it, `used` what the house used, `own` what of it did not
    come from the grid, `solar` what the sun gave.
    """

    taken: int = 0
    given: int = 0
    used: int = 0
    own: int = 0
    solar: int = 0
    cost: int = 0
    credit: int = 0
    charge: int = 0
    loads: Sequence[int] = attrs.field(factory=list)
    loads_own: Sequence[int] = attrs.field(factory=list)
    loads_cost: Sequence[int] = attrs.field(factory=list)

    def add(self, other: "Flow") -> None:
        """Add another time of the same house."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in LISTS:
            mine, more = getattr(self, name), getattr(other, name)
            setattr(self, name, list(map(add, mine, more)) if mine else list(more))

    def compact(self) -> None:
        """Take less memory: this is kept."""
        with suppress(OverflowError):  # in a currency with many zeros they stay as they are
            self.loads, self.loads_own, self.loads_cost = (
                array("q", values) for values in (self.loads, self.loads_own, self.loads_cost)
            )

    @property
    def total(self) -> int:
        """The amount of the bill."""
        return self.cost - self.credit + self.charge

    def share_cost(self) -> None:
        """Give each load its share of what the energy from the grid cost."""
        taken = self.taken
        self.loads_cost = [
            self.cost * (ws - own) // taken if taken else 0 for ws, own in zip(self.loads, self.loads_own, strict=True)
        ]


NUMBERS = ("taken", "given", "used", "own", "solar", "cost", "credit", "charge")
LISTS = ("loads", "loads_own", "loads_cost")


def flow_of(house: House, rows: Mapping[str, Sums | None]) -> Flow:
    """Return what flowed in an hour, without its cost. `rows` has the sums of each meter."""
    grid_in, grid_out = supply_of(house, rows)
    charged, discharged = _sum(house.battery, rows)
    made, back = _sum(house.solar, rows)
    solar = abs(made - back)
    loads = list(_consumed(house.loads, rows))
    if house.grid:
        used = max(grid_in - grid_out + solar + discharged - charged, 0)
    else:  # the circuits are all that is known
        used = sum(loads)
        net = used + charged - solar - discharged
        grid_in, grid_out = max(net, 0), max(-net, 0)
    into_battery = max(charged - max(solar - grid_out, 0), 0)
    own = used - min(max(grid_in - into_battery, 0), used)
    most = max(used, sum(loads), 1)
    return Flow(grid_in, grid_out, used, own, solar, loads=loads, loads_own=[ws * own // most for ws in loads])


def supply_of(house: House, rows: Mapping[str, Sums | None]) -> tuple[int, int]:
    """Return what came from the grid and went to it: of several mains of one meter, what their sum did."""
    taken, given = _sum(house.grid, rows)
    for serial, column in house.nets:
        parts = _sum([(serial, one) for one in house.mains(serial)], rows)
        net = _of((serial, column), rows)
        if supply.is_sum(net, parts):
            taken, given = taken + net[0] - parts[0], given + net[1] - parts[1]
    return taken, given


def _consumed(columns: Sequence[tuple[str, int]], rows: Mapping[str, Sums | None]) -> Iterator[int]:
    """Yield what each circuit consumed. It is done for 30 circuits in each hour of ten years."""
    ws = {serial: row.ws for serial, row in rows.items() if row is not None}
    for serial, column in columns:
        numbers = ws.get(serial, ())
        net = numbers[2 * column] - numbers[2 * column + 1] if 2 * column < len(numbers) else 0
        yield max(0, net)


def _of(column: tuple[str, int], rows: Mapping[str, Sums | None]) -> tuple[int, int]:
    row = rows.get(column[0])
    return row.of(column[1]) if row is not None else (0, 0)


def _sum(columns: Sequence[tuple[str, int]], rows: Mapping[str, Sums | None]) -> tuple[int, int]:
    found = [_of(column, rows) for column in columns]
    return sum(one for one, _ in found), sum(other for _, other in found)


def total_of(flows: Iterable[Flow]) -> Flow:
    """Return the sum of some times."""
    total = Flow()
    for flow in flows:
        total.add(flow)
    return total

# SPDX-License-Identifier: GPL-3.0-or-later
"""What energy costs: no millionth of a cent is lost or made, however a time is cut."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import Rate, RateChange, Tariff, Tier, TimePrice
from btmon_dashboard.costs import MILLIONTHS, UNIT, WS, charge_of, cost_of, day_of, money
from btmon_dashboard.counting import Meter
from btmon_dashboard.house import House, flow_of, total_of
from btmon_dashboard.ledger import Ledger
from btmon_dashboard.spans import DAY, HOUR, MINUTE, SECOND, end_of, start_of
from btmon_dashboard.store import Store
from btmon_dashboard.sums import Sums, parts

BERLIN = ZoneInfo("Europe/Berlin")
SERIAL = "01021234"
TIERED = Rate(price=0.3, tiers=(Tier(above=1, price=0.4), Tier(above=2.5, price=0.1)))
NIGHT = (TimePrice(hours="22:30-6", price=0.2), TimePrice(hours="17-20", days="mon-fri", price=0.5))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an open store."""
    with closing(Store(tmp_path / "dashboard.db")) as opened:
        yield opened


def fill(store: Store, start: int, end: int, watts: Callable[[int], list[int]]) -> None:
    """Put the power of some channels into each minute; negative is what they export."""
    meter = store.meters.setdefault(SERIAL, store_meter(len(watts(start))))
    for minute in range(start, end, MINUTE * SECOND):
        ws = [part for one in watts(minute) for part in (max(one, 0) * 60, max(-one, 0) * 60)]
        for level, begin, length, numbers in parts(minute, minute + MINUTE * SECOND, ws):
            store._pending.setdefault((meter.id, level, begin), Sums()).add(length, numbers)


def store_meter(channels: int) -> Meter:
    """Return a meter with so many channels."""
    meter = Meter(1, SERIAL)
    for at in range(channels):
        meter.column(f"ch{at + 1}")
    return meter


def moment(*parts: int) -> int:
    """Return a time of Berlin in microseconds."""
    return round(datetime(*parts, tzinfo=BERLIN).timestamp()) * SECOND  # type: ignore[arg-type, misc]


HOUSE = House(grid=((SERIAL, 0),), solar=((SERIAL, 1),), loads=((SERIAL, 2), (SERIAL, 3)), names=("a", "b"))


@given(st.lists(st.integers(0, 5 * WS), max_size=6))
def test_a_tier_costs_the_same_however_it_is_cut(pieces: list[int]) -> None:
    """What is taken in pieces costs what it costs at once, to the last unit."""
    prices = tuple(round(one.price * MILLIONTHS) for _, one in TIERED.steps())
    at_once, before, cost = cost_of(TIERED, prices, 0, sum(pieces)), 0, 0
    for ws in pieces:
        cost += cost_of(TIERED, prices, before, ws)
        before += ws
    assert cost == at_once


def test_a_tier_holds_above_its_bound() -> None:
    """Three kWh: one at 0.30, one and a half at 0.40, the rest at 0.10."""
    prices = tuple(round(one.price * MILLIONTHS) for _, one in TIERED.steps())
    assert money(cost_of(TIERED, prices, 0, 3 * WS)) == pytest.approx(0.3 + 0.6 + 0.05)


@pytest.mark.parametrize("year", [2025, 2026, 2028])
def test_the_hours_of_a_month_add_up_to_its_standing_charge(year: int) -> None:
    """Exactly, for each month, also where a day has 23 or 25 hours."""
    rate = Rate(price=0.3, standing_charge=12.37)
    day = date(year, 1, 1)
    months: dict[int, int] = {}
    while day.year == year:
        hours = 23 if day.month == 3 and day.day == 29 else 25 if day.month == 10 and day.day == 25 else 24
        months[day.month] = months.get(day.month, 0) + sum(charge_of(rate, day, hour, hours) for hour in range(hours))
        day += timedelta(1)
    assert set(months.values()) == {round(12.37 * MILLIONTHS) * WS}


@given(st.lists(st.integers(-3000, 9000), min_size=4, max_size=4), st.integers(0, 4000))
def test_the_circuits_have_no_more_than_the_house(watts: list[int], charged: int) -> None:
    """Nor more of the sun, or of the cost; nothing is negative."""
    house = House(
        grid=((SERIAL, 0),), solar=((SERIAL, 1),), battery=((SERIAL, 4),), loads=HOUSE.loads, names=("a", "b")
    )
    ws = [part for one in (*watts, charged) for part in (max(one, 0), max(-one, 0))]
    flow = flow_of(house, {SERIAL: Sums(1, ws)})
    flow.cost = 1000 * flow.taken
    flow.share_cost()
    assert 0 <= flow.own <= flow.used
    assert sum(flow.loads_own) <= flow.own
    assert all(0 <= own <= load for own, load in zip(flow.loads_own, flow.loads, strict=True))
    assert sum(flow.loads) > flow.used or sum(flow.loads_cost) <= flow.cost


def test_what_the_sun_gives_costs_nothing() -> None:
    """2 kWh of the sun, of which one goes to the grid: the circuits share the other, and one from the grid."""
    flow = flow_of(HOUSE, {SERIAL: Sums(1, [WS, WS, 0, 2 * WS, WS, 0, WS // 2, 0])})
    assert (flow.used, flow.own, flow.solar) == (2 * WS, WS, 2 * WS)
    assert flow.loads_own == [WS // 2, WS // 4]
    flow.cost = 100 * WS
    flow.share_cost()
    assert flow.loads_cost == [50 * WS, 25 * WS]


def test_without_a_grid_the_circuits_are_the_house() -> None:
    """What they use and the sun does not give comes from the grid."""
    house = House(solar=((SERIAL, 0),), loads=((SERIAL, 1), (SERIAL, 2)), names=("a", "b"))
    flow = flow_of(house, {SERIAL: Sums(1, [0, 600, 1000, 0, 1000, 0])})
    assert (flow.used, flow.taken, flow.given, flow.own) == (2000, 1400, 0, 600)


def test_a_battery_that_the_sun_fills_takes_nothing_from_the_grid() -> None:
    """What it gives later is the house's own."""
    house = House(grid=((SERIAL, 0),), solar=((SERIAL, 1),), battery=((SERIAL, 2),), loads=(), names=())
    noon = flow_of(house, {SERIAL: Sums(1, [0, 0, 0, 3000, 2000, 0])})
    assert (noon.used, noon.own) == (1000, 1000)
    night = flow_of(house, {SERIAL: Sums(1, [200, 0, 0, 0, 0, 800])})
    assert (night.used, night.own) == (1000, 800)


@pytest.mark.parametrize("day", [(2025, 3, 30), (2025, 10, 26), (2025, 6, 19)])
def test_hours_days_and_bills_add_up(day: tuple[int, int, int], store: Store, zone: Callable[[str], None]) -> None:
    """To the last unit, over the change of the clock, with tiers, and with a price that changes within an hour."""
    zone("Europe/Berlin")
    tariff = Tariff(currency="EUR", price=0.3, times=NIGHT, tiers=TIERED.tiers, standing_charge=9.99)
    ledger = Ledger(store, lambda: HOUSE, tariff)
    start = start_of(DAY, moment(*day, 12))
    end = end_of(DAY, start)
    fill(store, start, end, lambda at: [1000 + at // SECOND // 60 % 7 * 100, -300, 700, 200])
    (bill,) = ledger.days(start, end)
    hours = [flow for _, flow in ledger.hours(start, end)]
    total = total_of(hours)
    assert (bill[1].cost, bill[1].taken, bill[1].charge) == (total.cost, total.taken, total.charge)
    assert list(bill[1].loads_cost) == list(total.loads_cost)
    expected, before = 0, 0
    for minute in range(start, end, MINUTE * SECOND):
        ws = (1000 + minute // SECOND // 60 % 7 * 100) * 60
        local = datetime.fromtimestamp(minute / SECOND, BERLIN)
        prices = tuple(
            one.at(local.month, local.weekday(), local.hour * 60 + local.minute) for _, one in tariff.steps()
        )
        expected += cost_of(tariff, prices, before, ws)
        before += ws
    assert bill[1].cost == pytest.approx(expected, abs=UNIT // 100)  # of an hour with two prices, both are in order


def test_a_price_holds_from_its_day_on(store: Store, zone: Callable[[str], None]) -> None:
    """And what was before keeps the old one; what goes to the grid earns its own price."""
    zone("Europe/Berlin")
    change = RateChange(from_=date(2025, 6, 20), price=0.5, export_price=0.1)
    tariff = Tariff(currency="EUR", price=0.25, changes=(change,))
    ledger = Ledger(store, lambda: HOUSE, tariff)
    start = moment(2025, 6, 19)
    fill(store, start, start + 2 * DAY * SECOND, lambda at: [1000 if at // SECOND // HOUR % 2 else -500, 0, 0, 0])
    days = [flow for _, flow in ledger.days(start, start + 2 * DAY * SECOND)]
    assert [money(day.cost) for day in days] == [12 * 0.25, 12 * 0.5]
    assert [money(day.credit) for day in days] == [0, 0.6]


def test_what_comes_late_is_in_the_bill(store: Store, zone: Callable[[str], None]) -> None:
    """Days that are over are remembered until something changes in them."""
    zone("Europe/Berlin")
    ledger = Ledger(store, lambda: HOUSE, Tariff(currency="EUR", price=1.0))
    start = moment(2025, 6, 19)
    end = start + DAY * SECOND
    fill(store, start, end, lambda _: [1000, 0, 0, 0])
    assert [money(flow.cost) for _, flow in ledger.days(start, end)] == [24.0]
    fill(store, start, start + HOUR * SECOND, lambda _: [1000, 0, 0, 0])
    assert [money(flow.cost) for _, flow in ledger.days(start, end)] == [24.0]
    store._changed = start  # as the store notes it
    assert [money(flow.cost) for _, flow in ledger.days(start, end)] == [25.0]


def test_bills_are_prepared_while_nobody_asks(store: Store, zone: Callable[[str], None]) -> None:
    """All cycles, until it is told to stop; then a question finds them made."""
    zone("Europe/Berlin")
    tariff = Tariff(currency="EUR", price=1.0)
    ledger = Ledger(store, lambda: HOUSE, tariff)
    now = round(time.time()) * SECOND
    start = start_of(DAY, now - 40 * DAY * SECOND)
    fill(store, start, start + HOUR * SECOND, lambda _: [1000, 0, 0, 0])
    stopped = threading.Event()
    stopped.set()
    ledger.prepare(stopped)
    assert len(ledger._cycles) == 1
    ledger.prepare(threading.Event())
    assert set(ledger._cycles) == {first for first, _ in tariff.cycles(day_of(start), day_of(now))}
    assert len(ledger._cycles) > 1


def test_a_circuit_has_the_sun_of_its_own_hours(store: Store, zone: Callable[[str], None]) -> None:
    """What runs at noon is the sun's, what runs at night the grid's: also in a day, a month and a bill, to the Ws."""
    zone("Europe/Berlin")
    day, noon, night = moment(2026, 6, 21), moment(2026, 6, 21, 12), moment(2026, 6, 21, 22)

    def watts(at: int) -> list[int]:
        sun, kettle = (-3000 if noon <= at < noon + 2 * HOUR * SECOND else 0), noon <= at < noon + HOUR * SECOND
        heater = night <= at < night + HOUR * SECOND
        loads = [1000 if kettle else 0, 2000 if heater else 0]
        return [sum(loads) + sun, sun, *loads]

    fill(store, day, moment(2026, 6, 22), watts)
    ledger = Ledger(store, lambda: HOUSE, Tariff(currency="EUR", price=0.3))
    (total,) = [flow for _, flow in ledger.days(day, moment(2026, 6, 22))]
    assert list(total.loads) == [1000 * 3600, 2000 * 3600]
    assert list(total.loads_own) == [1000 * 3600, 0]
    hours = [flow for _, flow in ledger.hours(day, moment(2026, 6, 22))]
    assert [sum(column) for column in zip(*(flow.loads_own for flow in hours), strict=True)] == list(total.loads_own)
    assert money(total.loads_cost[0]) == 0
    assert money(total.loads_cost[1]) == pytest.approx(0.6)

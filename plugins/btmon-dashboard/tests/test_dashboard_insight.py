# SPDX-License-Identifier: GPL-3.0-or-later
"""What part a channel has in the house, and what is found in its habits."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from btcore import ChannelDescription, ChannelRef
from btmon_dashboard.house import Flow
from btmon_dashboard.insight import insight
from btmon_dashboard.roles import BATTERY, GRID, LOAD, PART, SOLAR, Roles
from btmon_dashboard.spans import HOUR, SECOND

WH = 3600
BERLIN = ZoneInfo("Europe/Berlin")
NONE: Mapping[str, tuple[ChannelRef, ...]] = {GRID: (), SOLAR: (), BATTERY: ()}


def assigned(names: Mapping[str, Any], settings: Mapping[str, tuple[ChannelRef, ...]] | None = None) -> dict[str, str]:
    """Return the role of each of some channels, with what [channels] says of them."""
    about = {
        name: one if isinstance(one, ChannelDescription) else ChannelDescription(name=one)
        for name, one in names.items()
    }
    roles = Roles({**NONE, **(settings or {})}, lambda serial, channel: about[f"{serial}_{channel}"])
    found = roles.assign([(serial, channel) for serial, _, channel in (name.rpartition("_") for name in names)])
    return {"_".join(name): role for name, role in found.items()}


def virtual(name: str, *parts: str) -> ChannelDescription:
    """Return what [channels] says of a virtual channel."""
    return ChannelDescription(name=name, parts=parts)


def test_a_channel_is_known_by_its_name() -> None:
    """By a word of it, not by a part of a word."""
    names = {"1_ch1": "mains_a", "1_ch2": "Solar roof", "1_ch3": "battery", "1_ch4": "solarium", "1_ch5": "PV2 east"}
    assert [*assigned(names).values()] == [GRID, SOLAR, BATTERY, LOAD, SOLAR]


def test_mains_that_are_a_sum_are_counted_once() -> None:
    """Whether their parts are called mains too, or have no name that says so."""
    by_name = {"1_ch1": "mains a", "1_ch2": "mains b", "house_ch1": virtual("mains", "1_ch1", "1_ch2")}
    assert [*assigned(by_name).values()] == [PART, PART, GRID]
    plain = {"1_ch1": "1_ch1", "1_ch2": "1_ch2", "house_ch1": virtual("mains", "ch1", "ch2"), "1_ch3": "oven"}
    assert [*assigned(plain).values()] == [PART, PART, GRID, LOAD]
    chosen = {GRID: (ChannelRef("house", "ch1"),)}
    total = {"1_ch1": "mains a", "1_ch2": "mains b", "house_ch1": virtual("house", "1_ch1", "1_ch2")}
    assert [*assigned(total, chosen).values()] == [PART, PART, GRID]


def test_a_sum_of_circuits_is_no_further_load() -> None:
    """Nor is what is left of the mains, as that is what is left anyway."""
    names = {
        "1_ch1": "mains",
        "1_ch2": "oven",
        "1_ch3": "fridge",
        "kitchen_ch1": virtual("kitchen", "1_ch2", "1_ch3"),
        "rest_ch1": virtual("the rest", "1_ch1", "1_ch2", "1_ch3"),
    }
    assert [*assigned(names).values()] == [GRID, LOAD, LOAD, PART, PART]


def test_a_part_with_a_role_of_its_own_keeps_it() -> None:
    """A house that is calculated of grid and sun does not take them away."""
    names = {"1_ch1": "mains", "1_ch2": "solar", "all_ch1": virtual("grid and sun", "1_ch1", "1_ch2")}
    chosen = {BATTERY: (ChannelRef("all", "ch1"),)}
    assert [*assigned(names, chosen).values()] == [GRID, SOLAR, BATTERY]


def test_the_settings_come_before_the_name() -> None:
    """A channel that is called mains and is not the grid of the settings is a part of the supply, and no load."""
    names = {"1_ch1": "mains of the barn", "1_ch2": "house"}
    assert [*assigned(names, {GRID: (ChannelRef("1", "ch2"),)}).values()] == [PART, GRID]


def weeks(load: Callable[[int, int], list[int]], hours: int = 22) -> list[tuple[int, Flow]]:
    """Return the hours of four weeks and of so much of today: `load` has the Wh of the circuits, by day and hour."""
    start = round(datetime(2026, 6, 1, tzinfo=BERLIN).timestamp())
    found = []
    for hour in range(28 * 24 + hours):
        loads = [wh * WH for wh in load(hour // 24, hour % 24)]
        used = sum(loads) + 50 * WH
        flow = Flow(used, 0, used, loads=loads, loads_own=[0] * len(loads), loads_cost=[0] * len(loads))
        found.append(((start + hour * HOUR) * SECOND, flow))
    return found


def findings(load: Callable[[int, int], list[int]], hours: int = 22) -> dict[str, Any]:
    """Return what is found in four weeks, with a total of them."""
    made = weeks(load, hours)
    total = Flow()
    for _, flow in made:
        total.add(flow)
    now = made[-1][0] + HOUR * SECOND
    return insight(made, total, ["fridge", "oven"], now)


@pytest.fixture(autouse=True)
def berlin(zone: Callable[[str], None]) -> None:
    """Be in Berlin."""
    zone("Europe/Berlin")


def test_always_on_is_the_lowest_hour_of_the_usual_night() -> None:
    """One night with a party changes nothing; a circuit that is off in some hour of the night is not always on."""
    found = findings(lambda day, hour: [80 + (900 if day == 5 else 0), 0 if hour < 2 else 300])
    assert [one["always_on"] for one in found["circuits"]] == [80.0, 0.0]
    assert found["house"]["always_on"] == 130.0
    assert found["house"]["rest_median"] == 50.0


def test_what_is_unusual_is_off_its_own_habit() -> None:
    """Much more than on other days until the same hour; what happens every third day is a habit."""
    assert findings(lambda _day, hour: [80, 500 if hour == 18 else 0])["unusual"] == []
    assert findings(lambda day, hour: [80, 9000 if day % 3 == 1 and hour == 3 else 0])["unusual"] == []
    found = findings(lambda day, _hour: [80 if day < 28 else 200, 0])["unusual"]
    assert found == [{"id": "fridge", "wh": 200 * 22, "usual": 80 * 22, "hours": 22}]
    silent = findings(lambda day, _hour: [80 if day < 28 else 0, 0])["unusual"]
    assert [(one["id"], one["wh"]) for one in silent] == [("fridge", 0)]


def test_a_new_house_has_no_habits_yet() -> None:
    """Nothing is said before there are enough nights and days."""
    made = [(start, flow) for start, flow in weeks(lambda _day, _hour: [80, 0])[:30]]
    found = insight(made, made[0][1], ["fridge", "oven"], made[-1][0])
    assert (found["unusual"], found["house"]["always_on"], found["nights"]) == ([], None, 2)
    empty = insight([], Flow(), [], made[-1][0])
    assert (empty["circuits"], empty["unusual"], empty["house"]["autarky"]) == ([], [], None)

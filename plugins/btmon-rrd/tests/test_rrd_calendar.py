# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner's hours, days and months, and the labels of a time axis."""

from collections.abc import Callable
from datetime import datetime

import pytest

from btmon_rrd.calendar import DAY, HOUR, divide, grid, midnight, unit_of

SetZone = Callable[[str], None]


def at(text: str) -> int:
    """Return the second of a local time."""
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("zone", "changed", "hours"),
    [
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-03-29", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Asia/Kathmandu", "2026-10-25", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ],
)
def test_a_day_is_the_owners(zone: str, changed: str, hours: float, set_zone: SetZone) -> None:
    """Each day begins at the midnight of the clock on the wall, also where clocks are changed."""
    set_zone(zone)
    noon = at(f"{changed} 12:00")
    spans = divide(noon - 4 * DAY, noon + 4 * DAY)
    assert len(spans) == 9
    assert {f"{datetime.fromtimestamp(one.begin).astimezone():%H:%M}" for one in spans} == {"00:00"}
    assert [one.end for one in spans[:-1]] == [one.begin for one in spans[1:]]
    (day,) = (one for one in spans if one.begin <= noon < one.end)
    assert (day.end - day.begin) / HOUR == hours


def test_hours_are_those_of_the_clock(set_zone: SetZone) -> None:
    """Where a zone is half an hour off, so are its hours; a day has 25 of them if clocks are changed."""
    set_zone("Asia/Kolkata")
    first, *_, last = divide(at("2026-10-25 06:20"), at("2026-10-25 09:10"))
    assert (first.begin, last.end) == (at("2026-10-25 06:00"), at("2026-10-25 10:00"))
    set_zone("Europe/Berlin")
    assert len(divide(at("2026-10-25"), at("2026-10-26"))) == 25
    assert unit_of(at("2026-10-24"), at("2026-10-27")) == "hour"


def test_a_long_time_has_months(set_zone: SetZone) -> None:
    """A year is twelve months, each from the first of it."""
    set_zone("Europe/Berlin")
    spans = divide(at("2026-01-01"), at("2027-01-01"))
    assert len(spans) == 12
    assert spans[1].begin == at("2026-02-01")
    assert spans[1].end == at("2026-03-01")
    assert [one.begin for one in divide(at("2026-01-15"), at("2026-06-15"))][:2] == [at("2026-01-01"), at("2026-02-01")]


@pytest.mark.parametrize("pixels", [304, 804, 1104, 7904])
def test_labels_are_as_many_as_fit(pixels: int) -> None:
    """From a minute to a century there is a grid whose labels have room."""
    begin = at("2026-01-01")
    formats = set()
    for seconds in (60, 600, HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 31 * DAY, 92 * DAY, 365 * DAY, 36_525 * DAY):
        words = grid(begin, begin + seconds, pixels).split(":", 7)
        labels = int(words[5]) * {"MINUTE": 60, "HOUR": HOUR, "DAY": DAY, "WEEK": 7 * DAY, "MONTH": 30 * DAY}.get(
            words[4], 365 * DAY
        )
        assert seconds / labels < pixels / 20 or words[4] == "YEAR"
        formats.add(words[7])
    assert {"%H:%M", "%-d %b", "%Y"} <= formats


def test_a_label_in_the_middle_of_the_last_day_is_moved(set_zone: SetZone) -> None:
    """At noon of the last day its label, which would be cut off, is earlier in the day."""
    set_zone("Europe/Berlin")
    for end, middle in (("2026-11-20 12:10", DAY // 2), ("2026-11-20 15:00", DAY), ("2026-11-20 11:50", DAY)):
        assert grid(at("2026-11-13"), at(end), 1000).split(":", 7)[6] == str(middle)
    assert midnight(datetime.fromtimestamp(at("2026-11-20 12:10")).astimezone().date()) == at("2026-11-20")

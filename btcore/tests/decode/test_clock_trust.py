# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter's clock is believed while it can be right; that it is not is told once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.decode.clock_trust import MAX_METERS, UNSET, ClockTrust

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INTERVAL = timedelta(seconds=10)


class Meter:
    """A meter whose packets are judged: what was told of its clock, and whether each was believed."""

    def __init__(self) -> None:
        """Begin."""
        self.told: list[str] = []
        self.trust = ClockTrust(HOUR, lambda _serial, fault: self.told.append(fault))
        self.believed: list[bool] = []

    def send(self, count: int, error: timedelta, *, since: int = 0, jitter: tuple[int, ...] = (0,)) -> None:
        """Let packets come in as they are made, with a clock that is wrong by `error`, each late by some seconds."""
        for n in range(since, since + count):
            made = NOON + n * INTERVAL
            late = timedelta(seconds=jitter[n % len(jitter)])
            self.believed.append(self.trust.believes("1", made + error, made + late))


@given(st.floats(-1, 1), st.lists(st.integers(0, 60), min_size=1).map(tuple))
def test_a_clock_that_is_about_right_is_believed(error: float, jitter: tuple[int, ...]) -> None:
    """Wrong by less than the tolerance, whatever the delays of its packets: it is believed, and nothing is told."""
    meter = Meter()
    meter.send(100, error * (HOUR - timedelta(seconds=60)), jitter=jitter)
    assert (all(meter.believed), meter.told) == (True, [])


@pytest.mark.parametrize("error", [2 * HOUR, timedelta(days=20_000), timedelta(days=-9000)])
def test_a_clock_that_cannot_be_right_is_not_believed(error: timedelta) -> None:
    """Ahead of the arrival, or years behind: from the first packet on; told once, with both times."""
    meter = Meter()
    meter.send(100, error)
    assert not any(meter.believed)
    assert meter.told == [f"its clock shows {NOON + error:%Y-%m-%d %H:%M} UTC when it is 2026-06-21 12:00 UTC"]


def test_a_clock_that_is_not_set_is_told_and_so_is_that_it_is_set() -> None:
    """Once when it is not, once when it is right again."""
    meter = Meter()
    found = [meter.trust.believes("1", shown, NOON) for shown in (None, None, NOON, NOON)]
    assert (found, meter.told) == ([False, False, True, True], [UNSET, ""])


@given(st.lists(st.integers(0, 60), min_size=1).map(tuple))
def test_a_clock_that_is_hours_behind_is_found_by_the_pace(jitter: tuple[int, ...]) -> None:
    """Packets that come as they are made, though late by up to a minute, are not stored: within minutes it is told."""
    meter = Meter()
    meter.send(100, -5 * HOUR, jitter=jitter)
    assert meter.believed[:30] == [True] * 30
    assert not any(meter.believed[62:])
    assert len(meter.told) == 1


@given(st.integers(2, 300), st.integers(100, 3000))
def test_stored_packets_have_the_time_at_which_they_were_made(faster: int, count: int) -> None:
    """A gateway that was cut off for hours sends what it stored, faster than it was made: the clock is believed."""
    meter = Meter()
    back = NOON + count * INTERVAL + 2 * HOUR
    for n in range(count):
        meter.believed.append(meter.trust.believes("1", NOON + n * INTERVAL, back + n * INTERVAL / (2 * faster)))
    assert (all(meter.believed), meter.told) == (True, [])


def test_a_clock_that_drifts_away_and_is_set() -> None:
    """A clock that loses a minute a day is told when it is an hour behind, and when it was put right."""
    meter = Meter()
    for n in range(61 * 1440):
        made = NOON + timedelta(minutes=n)
        meter.trust.believes("1", made - timedelta(minutes=n / 1440), made)
    assert [bool(fault) for fault in meter.told] == [True]
    assert meter.trust.believes("1", NOON + timedelta(days=61), NOON + timedelta(days=61))
    assert meter.told[1:] == [""]


def test_what_is_remembered_is_bounded() -> None:
    """However many meters are invented, so many are remembered."""
    meter = Meter()
    for n in range(2 * MAX_METERS):
        meter.trust.believes(str(n), NOON, NOON)
    assert len(meter.trust._meters) == MAX_METERS

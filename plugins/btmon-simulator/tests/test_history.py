# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of simulated meters: when its packets were sent, once, and how it meets the live ones."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Event

from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Chunk, Context, Duration, SourceCheckpoint
from btmon_simulator.history import PORTION, History
from btmon_simulator.meter import make_meters
from btmon_simulator.simulator import Simulator

DAY = 86_400
END = datetime(2026, 6, 21, 6, 7, 9, tzinfo=UTC)
FORMAT = FORMATS["gem48ptbin"]
HOUR = timedelta(hours=1)


def collect(simulator: Simulator, checkpoint: str = "") -> list[Chunk | SourceCheckpoint]:
    """Return all that a source yields which continues from a checkpoint."""
    simulator.open(Context("source.demo", logging.getLogger("source.demo"), checkpoint=checkpoint))
    return list(simulator.collect(Event()))


def simulator(history: int = 30 * DAY) -> Simulator:
    """Make one that has a history, and then sends three packets."""
    return Simulator(start=END.isoformat(), history=Duration(history), packets=3, interval=Duration(2), house="year")


def times(items: list[Chunk | SourceCheckpoint]) -> list[datetime]:
    """Return the times of packets."""
    return [one.time for one in items if isinstance(one, Chunk) and one.data and one.time is not None]


def checkpoints(items: list[Chunk | SourceCheckpoint]) -> list[str]:
    """Return the checkpoints, as their texts."""
    return [one.state for one in items if isinstance(one, SourceCheckpoint)]


@given(end=st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1)), days=st.integers(1, 40))  # noqa: DTZ001 - made aware below
def test_times_rise_to_the_end_and_fewer_than_an_hour_apart(end: datetime, days: int) -> None:
    """Each time is later than the one before, by an hour at most; the last ones are a minute apart, before the end."""
    end = end.replace(tzinfo=UTC)
    found = list(History(end, days * DAY).times())
    steps = [after - before for before, after in pairwise(found)]
    assert all(timedelta() < step <= HOUR for step in steps)
    assert set(steps[-60:]) == {timedelta(minutes=1)}
    assert timedelta() < end - found[-1] <= timedelta(minutes=1)
    assert end - timedelta(days=days) - HOUR < found[0] <= end - timedelta(days=days)


def test_counters_go_on_from_the_history_to_the_live_packets() -> None:
    """No counter falls from the first packet of the history to the last live one."""
    found = [one for one in collect(simulator()) if isinstance(one, Chunk) and one.data]
    assert times(list(found)) == sorted(times(list(found)))
    assert times(list(found))[-3:] == [END + timedelta(seconds=2 * n) for n in range(3)]
    counted = [dict(zip(FORMAT.labels, FORMAT.numbers(one.data), strict=True)) for one in found]
    names = [f"ch{n}_{kind}" for n in range(1, 14) for kind in ("aws", "pws")]
    for before, after in pairwise(counted):
        assert all((after[name] or 0) >= (before[name] or 0) for name in names)


def test_history_comes_once() -> None:
    """What continues from the last checkpoint has the live packets alone."""
    first = collect(simulator())
    again = collect(simulator(), checkpoints(first)[-1])
    assert len(times(again)) == 3
    assert checkpoints(again) == []


def test_a_history_that_was_interrupted_goes_on() -> None:
    """From a checkpoint in the midst, the rest comes: nothing is missing, and nothing comes twice."""
    first = collect(simulator())
    middle = checkpoints(first)[0]
    at = first.index(SourceCheckpoint(middle))
    assert len(times(first[:at])) == PORTION
    assert times(first[:at]) + times(collect(simulator(), middle)) == times(first)


def test_a_stop_ends_it() -> None:
    """Nothing more comes once the source is told to stop."""
    stop, source = Event(), simulator()
    items: Iterator[Chunk | SourceCheckpoint] = source.collect(stop)
    next(items)
    stop.set()
    assert list(items) == []


def test_without_history_there_is_no_checkpoint() -> None:
    """A source without history keeps nothing, as before."""
    assert checkpoints(collect(simulator(0))) == []


def test_houses_of_a_year_are_in_one_season() -> None:
    """Meters of houses that live a year are minutes apart; no neighbour has summer in winter."""
    meters = make_meters("gem48ptbin", "", 5, 1, UTC, lives_a_year=True)
    assert max(meter.shift for meter in meters) < 1200
    assert len({meter.shift for meter in meters}) == 5

# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual channels of a recording in a sink with intervals: each interval has what its parts counted in it."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import attrs
from helpers.counter_readings import reading_at
from helpers.property_tests import examples
from helpers.samplers import feed_all, intervals, samples_of
from helpers.times import MINUTE
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Reading, Sample
from btcore.calculate.intervals import MAX_DERIVED_LAG
from btcore.virtual.counting import Terms, VirtualChannel
from btcore.virtual.following import Follower, Running

METER = "312345"
NET = VirtualChannel("net", Terms({(METER, "ch1"): Fraction(1), (METER, "aux1"): Fraction(-2)}))
INTERVAL = 5 * MINUTE


@attrs.frozen
class Passed:
    """What happens until the next reading: seconds, Ws of ch1 either way and of aux1, whether the meter restarts."""

    seconds: int
    imported: int
    exported: int
    aux1: int
    restarts: bool


PASSED = st.builds(
    Passed,
    st.one_of(st.integers(1, 120), st.integers(300, 4000)),
    *(st.integers(0, 100_000) for _ in range(3)),
    st.booleans().flatmap(lambda one: st.booleans() if one else st.just(value=False)),
)


def readings_of(history: Sequence[Passed]) -> Iterator[Reading]:
    """Make the readings of a meter that has run for long."""
    time, secs, resets = 0, 50_000, 0
    imported, exported, aux1 = 10**9, 10**8, 10**8
    for one in history:
        time += one.seconds
        if one.restarts:
            secs, imported, exported, aux1 = 0, 0, 0, 0
            resets += 1
        secs += one.seconds if not one.restarts else one.seconds // 2
        imported, exported, aux1 = imported + one.imported, exported + one.exported, aux1 + one.aux1
        counters = {"ch1_aws": imported + exported, "ch1_pws": exported, "aux1_ws": aux1}
        yield reading_at(secs, time, flag=resets % 8, **counters)


def journalled(readings: Iterable[Reading], bursts: Sequence[bool]) -> list[Reading]:
    """Return readings with those of the virtual channel behind them, which come in bursts, with their offsets."""
    follower = Follower([Running.new(NET)])
    late: deque[Reading] = deque()
    found: list[Reading] = []
    for reading, comes in zip(readings, bursts, strict=True):
        placed = attrs.evolve(reading, offset=len(found) + 1)
        found.append(placed)
        late.extend(follower.feed(placed))
        while comes and late:
            found.append(attrs.evolve(late.popleft(), offset=len(found) + 1))
    return [*found, *(attrs.evolve(one, offset=len(found) + n) for n, one in enumerate(late, 1))]


def net_by_interval(samples: Iterable[Sample]) -> tuple[Counter[int], Counter[int]]:
    """Return the Ws of each interval: what the parts counted, and what the virtual channel did."""
    parts, virtual = Counter[int](), Counter[int]()
    for sample in samples:
        end = -(-sample.newer.key // INTERVAL)
        ch1 = round(3600 * (sample.values["ch1_dwh"] or 0))
        if sample.serial == METER:
            parts[end] += ch1 - 2 * round(3600 * (sample.values["aux1_dwh"] or 0))
        else:
            virtual[end] += ch1
    return parts, virtual


def without_nothing(energies: Counter[int]) -> dict[int, int]:
    """Leave out the intervals in which nothing was counted."""
    return {end: energy for end, energy in energies.items() if energy}


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(PASSED, min_size=20, max_size=100), st.integers(1, 30), st.integers(0, 29))
def test_each_interval_has_the_energy_of_its_parts(history: list[Passed], late: int, first: int) -> None:
    """Over gaps and restarts of the meter, and however late the readings of the virtual channel are in the journal."""
    readings = journalled(readings_of(history), [n % late == first % late for n in range(len(history))])
    parts, virtual = net_by_interval(samples_of(feed_all(intervals(INTERVAL), readings)))
    assert without_nothing(virtual) == without_nothing(parts)


def test_a_virtual_channel_that_comes_no_more_is_not_waited_for_without_end() -> None:
    """In a recording it is waited for by the number of readings; once there are live readings, by time as any meter."""
    history = [Passed(10, 100, 0, 10, restarts=False)] * 60
    first, *rest = journalled(readings_of(history), [n < 10 for n in range(60)])[:-50]
    sampler = intervals(INTERVAL)
    assert [*sampler.feed(first), *(step for one in rest for step in sampler.feed(one))] == []
    sampler._count += MAX_DERIVED_LAG
    later = [attrs.evolve(one, offset=1000 + n) for n, one in enumerate(readings_of([*history, history[0]]))][-1:]
    assert [step for one in later for step in sampler.feed(one)]

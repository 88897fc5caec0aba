# SPDX-License-Identifier: GPL-3.0-or-later
"""Meters that send no seconds counter: intervals are those between the arrivals, energy is what the counters say."""

from datetime import datetime, timedelta

import pytest
from helpers.property_tests import hundred_examples
from helpers.times import NOON
from hypothesis import given
from hypothesis import strategies as st

from btcore import Channel, Format, Reading, Sample
from btcore.calculate.chains import Chains
from btcore.calculate.links import Link
from btcore.calculate.samples import between, over
from btcore.calculate.transition import NoSample, Transition, is_delayed, transition_between

LABELS = ("volts", "ch1_aws", "ch2_aws")
PLAIN = Format(
    "plain", LABELS, tuple(Channel(name, f"{name}_aws") for name in ("ch1", "ch2")), unpack=lambda _: (), seconds_bits=0
)
BOOT = 7


def reading(
    seconds: float, *energies: int | None, time: datetime | None = None, offset: int = 0, source: str = "panel"
) -> Reading:
    """Return a reading that came so many seconds after noon by the steady clock, whatever the time of day was."""
    at = time or NOON + timedelta(seconds=seconds)
    steady = 1_000_000_000 + round(seconds * 1e6)
    return Reading(at, PLAIN, "77", repr(energies).encode(), source, offset, steady, BOOT, numbers=(230.0, *energies))


def sample(older: Reading, newer: Reading) -> Sample:
    """Return the sample between two readings."""
    found = between(older, newer)
    assert isinstance(found, Sample)
    return found


def test_power_is_energy_by_the_time_between_the_arrivals() -> None:
    """Power is the energy of the counters by the time between the arrivals, to the millisecond."""
    found = sample(reading(0, 1000, 5), reading(2.5, 3500, 5))
    assert (found.seconds, found.get("ch1_w"), found.get("ch2_w")) == (2.5, 1000, 0)
    assert found.get("ch1_dwh") == 2500 / 3600


def test_a_clock_that_is_set_changes_no_interval() -> None:
    """The time between arrivals is that of the clock that nobody sets."""
    set_back = NOON - timedelta(hours=1)
    assert sample(reading(0, 0, 0), reading(10, 5000, 0, time=set_back)).get("ch1_w") == 500


def test_counters_that_fell_restarted() -> None:
    """Counters that fell count from zero, the others go on; no power is known of the interval."""
    found = sample(reading(0, 7200, 100), reading(10, 3600, 3700))
    assert (found.reset, found.seconds) == (True, None)
    assert [found.get(label) for label in ("ch1_dwh", "ch2_dwh", "ch1_w", "ch2_w")] == [1, 1, None, None]


NO_SAMPLE = {
    "the same again, at once": (reading(0, 5, 5), reading(0, 5, 5), NoSample.DUPLICATE),
    "other counters, at once": (reading(0, 5, 5), reading(0, 6, 5), NoSample.OUT_OF_ORDER),
    "more than a panel can have": (reading(0, 5, 5), reading(1, 5_000_000, 5), NoSample.NEW_BASELINE),
    "a fall to more than can be since": (reading(0, 2**39, 5), reading(1, 2**38, 5), NoSample.NEW_BASELINE),
}


@pytest.mark.parametrize(("older", "newer", "expected"), NO_SAMPLE.values(), ids=NO_SAMPLE)
def test_what_gives_no_sample(older: Reading, newer: Reading, expected: NoSample) -> None:
    """What a meter cannot have counted between two arrivals gives no sample."""
    assert transition_between(older, newer) is expected


def test_a_counter_that_is_missing_says_nothing() -> None:
    """A channel without a counter has no energy and keeps no other from having it."""
    found = sample(reading(0, 0, None), reading(10, 3600, None))
    assert (found.get("ch1_dwh"), found.get("ch2_dwh"), found.get("ch2_w")) == (1, None, None)


def test_the_same_text_again_is_no_duplicate() -> None:
    """An idle meter sends the same text for hours: each is a reading of its own, and none is late."""
    assert not is_delayed(reading(10, 5, 5), reading(0, 5, 5))
    chains = Chains({})
    links = [chains.follow(reading(10 * step, 5, 5, offset=step + 1)) for step in range(20)]
    assert [link.transition for link in links[1:]] == [Transition.CONTINUED] * 19


def test_the_same_text_by_two_routes_is_one() -> None:
    """A text that comes by a second route, too, is a repetition of the first."""
    chains = Chains({})
    chains.follow(reading(0, 5, 5, offset=1))
    assert chains.follow(reading(0.1, 5, 5, offset=2, source="other")).is_repeat


@hundred_examples
@given(st.lists(st.tuples(st.floats(0.01, 600), st.integers(0, 9000), st.integers(0, 9000)), min_size=1, max_size=12))
def test_energy_is_the_same_however_the_span_is_cut(steps: list[tuple[float, int, int]]) -> None:
    """The energy of a span is that of its parts, and its length the time between its ends."""
    readings, at, one, other = [reading(0, 0, 0)], 0.0, 0, 0
    for seconds, first, second in steps:
        at, one, other = at + seconds, one + first, other + second
        readings.append(reading(at, one, other))
    whole = over(readings)
    assert whole is not None
    assert (whole.get("ch1_dwh"), whole.get("ch2_dwh")) == pytest.approx((one / 3600, other / 3600))
    assert whole.seconds == pytest.approx(at, abs=0.001 * (len(steps) + 1))


def test_each_link_of_a_chain_has_its_baseline() -> None:
    """A chain goes on across a restart of the meter, and its lifetime counters with it."""
    chains = Chains({})
    links: list[Link] = []
    for index, energy in enumerate((0, 3600, 7200, 1800, 5400)):
        links.append(chains.follow(reading(10 * index, energy, energy, offset=index + 1)))
    assert [link.transition for link in links[1:]] == [Transition.CONTINUED] * 2 + [Transition.RESET] + [
        Transition.CONTINUED
    ]
    assert links[-1].lifetime["ch1_aws"] + 5400 == 7200 + 5400

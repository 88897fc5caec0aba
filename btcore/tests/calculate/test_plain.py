# SPDX-License-Identifier: GPL-3.0-or-later
"""The short ways for readings that plainly continue: whatever was sent, they give what the long ways give."""

from collections.abc import Sequence
from itertools import pairwise

import attrs
import pytest
from helpers.counter_readings import GEM, POLARITIES, counter_starts, reading_at, readings_after, usage_histories
from helpers.faulty_histories import random_history
from helpers.property_tests import hundred_examples
from hypothesis import given
from hypothesis import strategies as st

from btcore import Format, Polarity, Reading, Sample
from btcore.calculate.chain import SerialState
from btcore.calculate.chains import Chains
from btcore.calculate.lifetime import grow_lifetime
from btcore.calculate.links import Lifetime, Link
from btcore.calculate.plain import plain_values
from btcore.calculate.samples import between, continues_in_step, examined_values
from btcore.calculate.sampling import Consecutive, SampleCache
from btcore.calculate.transition import Transition, continues_plainly, elapsed_between, explain, transition_between
from btcore.records import is_known_to_continue

FAULTS = ("absurd", "set seconds", "restart", "clock", "gap")

lifetimes = st.dictionaries(
    st.sampled_from(["ch1_aws", "ch1_pws", "ch2_aws", "aux1_ws", "ch1"]), st.integers(0, 1 << 40)
)

pairs = st.tuples(counter_starts, usage_histories).map(lambda both: readings_after(*both))


def links_of(readings: list[Reading]) -> list[Link]:
    """Follow readings from the first one on."""
    chains = Chains({})
    return [chains.follow(reading) for reading in readings]


@hundred_examples
@given(pairs, lifetimes, st.sampled_from(POLARITIES))
def test_plain_values_are_those_of_each_counter_by_itself(
    readings: list[Reading], lifetime: Lifetime, polarity: Polarity
) -> None:
    """Where there are plain values, each of them is exactly what examining each counter gives."""
    for older, newer in pairwise(readings):
        link = Link(newer, "312345", older, Transition.CONTINUED, lifetime=lifetime)
        found = plain_values(older, newer, lifetime, polarity)
        assert found is None or list(found.items()) == list(examined_values(link, polarity).items())


@hundred_examples
@given(pairs, st.sampled_from(POLARITIES))
def test_a_sample_that_was_made_the_short_way_has_the_values_of_each_counter(
    readings: list[Reading], polarity: Polarity
) -> None:
    """Where a meter continued plainly, its sample has exactly what examining each counter gives."""
    for older, newer in pairwise(readings):
        if continues_plainly(older, newer):
            sample = between(older, newer, polarity)
            assert isinstance(sample, Sample)
            expected = examined_values(Link(newer, "", older, Transition.CONTINUED), polarity)
            assert list(sample.values.items()) == list(expected.items())


@pytest.mark.parametrize("form", [GEM], ids=lambda form: form.name)
def test_a_meter_that_only_counts_has_plain_values(form: Format) -> None:
    """The usual reading takes the short way; one with a counter that overflowed, or is not known, does not."""
    start = {"ch1_aws": 1 << 39, "ch1_pws": 5, "ch32_aws": 7}
    older = reading_at(100, 0, form, **start)
    usual = reading_at(110, 10, form, **start | {"ch1_aws": (1 << 39) + 3600, "ch1_pws": 3605})
    fell = reading_at(110, 10, form, **start | {"ch32_aws": 6})
    assert plain_values(older, usual, {}, "brultech") is not None
    assert plain_values(older, fell, {}, "brultech") is None
    assert continues_plainly(older, usual)
    assert not continues_plainly(older, fell)
    assert not continues_in_step(Link(usual, "", older, Transition.RESET))


@pytest.mark.parametrize(("arrival", "is_plain"), [(100, True), (1 << 25, False)])
def test_a_recording_with_invented_times_is_examined_once(arrival: int, is_plain: bool) -> None:
    """Times that differ from the meter's need the long way once; a counter that may have overflowed is never plain."""
    older, newer = attrs.evolve(reading_at(100_000, 0, GEM), offset=7), reading_at(100_010, arrival, GEM)
    assert continues_plainly(older, newer) == is_plain
    assert is_known_to_continue(newer, older) == is_plain


@hundred_examples
@given(
    st.integers(0, (1 << 24) - 2),
    st.one_of(st.integers(1, 1000), st.integers(1, (1 << 24) - 1)),
    st.one_of(st.integers(-1000, 2000), st.integers(-(1 << 25), 1 << 25)),
)
def test_the_times_alone_say_what_the_long_way_says(start: int, seconds: int, late: int) -> None:
    """Of counters that only rose, the short way finds that the meter continued exactly where the long way does."""
    older = reading_at(start, 0, GEM)
    newer = reading_at(min(start + seconds, (1 << 24) - 1), seconds + late, GEM)
    elapsed = elapsed_between(older, newer)
    is_continued = explain(older, newer, elapsed) is Transition.CONTINUED
    assert continues_plainly(older, newer) == (is_continued and elapsed.seconds == newer.seconds - older.seconds)


@hundred_examples
@given(st.integers(0, 1 << 30), st.integers(1, 2), st.booleans(), lifetimes)
def test_what_continues_plainly_continues(seed: int, meters: int, steady: bool, lifetime: Lifetime) -> None:
    """Of any two readings: where they continue plainly, the long way says so, and the lifetime stays as it is."""
    readings = random_history(seed, meters=meters, steady=steady, faults=FAULTS).readings
    for older, newer in pairwise(readings):
        if continues_plainly(older, newer):
            assert transition_between(older, newer) is Transition.CONTINUED
            without = {label: ahead for label, ahead in lifetime.items() if label != "ch1"}
            link = Link(newer, "1", older, Transition.CONTINUED)
            assert grow_lifetime(older, without, link) == without


@hundred_examples
@given(st.integers(0, 1 << 30), st.integers(1, 2), st.booleans())
def test_the_links_are_the_same_without_the_short_way(seed: int, meters: int, steady: bool) -> None:
    """Whatever goes wrong in a history, each reading continues from the one that the long way finds."""
    readings = random_history(seed, meters=meters, steady=steady, faults=FAULTS).readings
    found = links_of(readings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SerialState, "continue_plainly", lambda _state, _reading: None)
        assert links_of(readings) == found


def steps_of(readings: Sequence[Reading], cache: SampleCache) -> list[tuple[object, ...]]:
    """Return what the steps of a sink say, which has these readings."""
    sampler = Consecutive("brultech", Chains({}), cache)
    return [
        (step.readings, step.offset, step.baselines, [(one.older, one.newer, one.seconds) for one in step.samples])
        for reading in readings
        for step in sampler.feed(reading)
    ]


@hundred_examples
@given(st.integers(0, 1 << 30), st.integers(1, 2), st.booleans(), st.sets(st.integers(0, 40)), st.integers(0, 10))
def test_a_sink_that_follows_another_finds_what_it_would_find_alone(
    seed: int, meters: int, steady: bool, left_out: set[int], first: int
) -> None:
    """Whatever another sink was given before it, a sink's steps are those of a sink that is alone."""
    history = random_history(seed, meters=meters, steady=steady, faults=FAULTS).readings
    readings = [attrs.evolve(one, offset=at) for at, one in enumerate(history, 1)]
    own = [one for at, one in enumerate(readings) if at >= first and at not in left_out]
    alone = steps_of(own, SampleCache())
    shared = SampleCache()
    steps_of(readings, shared)
    assert steps_of(own, shared) == alone
    assert steps_of(readings, shared) == steps_of(readings, SampleCache())


def test_a_sink_that_follows_another_takes_its_steps() -> None:
    """Two sinks that are given the same readings are given the very same steps, also of readings after a gap."""
    readings = [attrs.evolve(reading_at(100 + 10 * at, 10 * at, GEM), offset=at) for at in range(1, 9)]
    cache = SampleCache()
    first, second = (Consecutive("brultech", Chains({}), cache) for _ in range(2))
    for reading in readings:
        (made,), (found,) = first.feed(reading), second.feed(reading)
        assert found is made

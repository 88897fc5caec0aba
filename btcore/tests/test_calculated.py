# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculated values of a sample: a mapping like any other, whose values may be picked by their indexes."""

from itertools import pairwise
from operator import itemgetter
from types import MappingProxyType

import pytest
from helpers.counter_readings import POLARITIES, Usage, counter_starts, readings_after, usage_histories
from helpers.property_tests import hundred_examples
from hypothesis import given
from hypothesis import strategies as st

from btcore import Polarity, Sample
from btcore.calculate.samples import between
from btcore.calculated import Calculated, Indexes, calculated, picker
from btcore.records import calculated_of

labels = st.lists(st.text("abc", min_size=1, max_size=3), min_size=2, max_size=6, unique=True)


def both(names: list[str], seed: int) -> tuple[Calculated, dict[str, float | None]]:
    """Return values whose indexes are in another order than their labels, and a dict of the same."""
    order = [(at * 7 + seed) % len(names) for at in range(len(names))] if len(names) % 7 else list(range(len(names)))
    numbers = tuple(None if at == 1 else at / 2 for at in range(len(names)))
    index = dict(zip(names, order, strict=True))
    return calculated(Indexes(index), numbers), {name: numbers[at] for name, at in index.items()}


@hundred_examples
@given(labels, st.integers(0, 5))
def test_it_is_a_mapping_like_a_dict(names: list[str], seed: int) -> None:
    """It has the labels, the values and the order of a dict, and raises for what it does not have as one does."""
    found, same = both(names, seed)
    assert found == same
    assert list(found.items()) == list(same.items()) == list(found.copy().items())
    assert [found.get(name) for name in [*names, "none"]] == [same.get(name) for name in [*names, "none"]]
    assert ("none" in found, len(found)) == (False, len(same))
    with pytest.raises(KeyError):
        found["none"]


@hundred_examples
@given(labels, st.integers(0, 5))
def test_values_are_picked_from_either_kind_of_mapping(names: list[str], seed: int) -> None:
    """The same labels give the same values, with indexes or without, the first time and the next ones."""
    found, same = both(names, seed)
    other, other_same = both(names[::-1], seed)
    pick = picker(names)
    for values, expected in ((found, same), (other, other_same), (found, same)):
        assert pick(values) == pick(MappingProxyType(expected)) == itemgetter(*names)(expected)
    with pytest.raises(KeyError):
        picker([*names, "none"])(found)


@hundred_examples
@given(counter_starts, usage_histories, st.sampled_from(POLARITIES), st.booleans())
def test_a_sample_says_the_same_whatever_is_asked_first(
    start: dict[str, int], history: list[Usage], polarity: Polarity, is_mapping: bool
) -> None:
    """`values` is a mapping that nobody can change; `get` says what it says, before and after."""
    readings = readings_after(start, history)
    for older, newer in pairwise(readings):
        sample = between(older, newer, polarity)
        if not isinstance(sample, Sample):
            continue
        first = dict(sample.values) if is_mapping else {label: sample.get(label) for label in calculated_of(sample)}
        assert first == sample.values == calculated_of(sample)
        assert {label: sample.get(label) for label in sample.values} == first
        assert type(sample.values) is MappingProxyType
        assert sample.values is sample.values
        assert (sample.get("volts"), sample.get("none")) == (newer.get("volts"), None)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Formulas that are written out for a format: the same numbers as one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.calculate.written_out import all_rose_by_at_most, values_of_use

numbers = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)), min_size=1, max_size=60)


@given(numbers, st.integers(1, 1 << 24), st.integers(0, 3))
def test_values_are_those_of_the_formula_for_each_counter(
    pairs: list[tuple[int, int]], seconds: int, first: int
) -> None:
    """Watts, Wh and Wh of the interval of each counter, in integers until they are divided; a 0 and the pulses."""
    before, after = [one for one, _ in pairs], [two for _, two in pairs]
    counters = range(min(first, len(pairs) - 1), len(pairs))
    rises = [after[one] - before[one] for one in counters]
    found = values_of_use(counters, [0])(after, before, seconds)
    watts, deltas = [rise / seconds for rise in rises], [rise / 3600 for rise in rises]
    assert found == (*watts, *(after[one] / 3600 for one in counters), *deltas, 0.0, after[0])


@given(numbers, st.integers(0, 1 << 40))
def test_counters_rose_where_each_of_them_did(pairs: list[tuple[int, int]], most: int) -> None:
    """By no more than the most, and none fell."""
    before, after = [one for one, _ in pairs], [two for _, two in pairs]
    is_so = all(0 <= two - one <= most for one, two in pairs)
    assert all_rose_by_at_most(range(len(pairs)))(after, before, most) == is_so
    assert all_rose_by_at_most(range(len(pairs)))(after, after, most)


def test_a_format_without_counters_and_pulses() -> None:
    """There is nothing to fall, and only the 0; a counter that is not known is refused."""
    assert all_rose_by_at_most([])([], [], 0)
    assert values_of_use([], [])([], [], 1.0) == (0.0,)
    with pytest.raises(TypeError):
        all_rose_by_at_most([0])([None], [1], 5)

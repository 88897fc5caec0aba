# SPDX-License-Identifier: GPL-3.0-or-later
"""Formulas that are written out for a format: the same numbers as one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.calculate.written_out import rose_plainly, values_of_use

numbers = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)), min_size=1, max_size=60)
steps = st.integers(-2, 5)
moves = st.lists(st.tuples(steps, steps), min_size=1, max_size=60)
"""By how much the two counters of each channel rose."""


@given(numbers, st.integers(1, 1 << 24), st.integers(0, 3))
def test_values_are_those_of_the_formula_for_each_counter(
    pairs: list[tuple[int, int]], seconds: int, first: int
) -> None:
    """Watts, Wh and Wh of the interval of each counter, in integers until they are divided; a 0 and the pulses."""
    before, after = [one for one, _ in pairs], [two for _, two in pairs]
    counters = range(min(first, len(pairs) - 1), len(pairs))
    rises = [after[one] - before[one] for one in counters]
    found = values_of_use([(one, None) for one in counters], [0])(after, before, seconds)
    watts, deltas = [rise / seconds for rise in rises], [rise / 3600 for rise in rises]
    assert found == (*watts, *(after[one] / 3600 for one in counters), *deltas, 0.0, after[0])


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_where_any_energy_was_fed_in_there_are_no_values_of_use(polarized: list[int]) -> None:
    """One polarized counter that is not 0 is enough; a channel that has none feeds nothing in."""
    after = [*polarized, 7]
    pairs = [(len(polarized), None), *((len(polarized), index) for index in range(len(polarized)))]
    assert (values_of_use(pairs, [])(after, after, 1) is None) == any(polarized)


@given(moves, st.lists(steps, max_size=4), st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans())
def test_counters_rose_plainly_where_each_of_them_did(
    moved: list[tuple[int, int]], pulsed: list[int], most: int, most_pulses: int, together: bool, known: bool
) -> None:
    """The absolute ones by no more than the most, the polarized ones by no more than those, and none fell."""
    count, each = len(moved), range(len(moved))
    after = [5, *(one for pair in moved for one in pair), *pulsed]
    pairs: list[tuple[int, int | None]] = [(2 * at + 1, 2 * at + 2) for at in each]
    if together:
        after = [5, *(one for one, _ in moved), *(two for _, two in moved), *pulsed]
        pairs = [(at + 1, at + 1 + count) for at in each]
    pulses = range(2 * count + 1, len(after))
    is_so = all(0 <= one <= most and 0 <= two <= one for one, two in moved)
    is_so = is_so and all(0 <= one <= most_pulses for one in pulsed)
    rose = rose_plainly(pairs, pulses, known=known)
    assert rose(after, [5] + [0] * (len(after) - 1), most, most_pulses) == is_so
    assert rose(after, after, most, most_pulses)
    absolute = rose_plainly([(one, None) for one, _ in pairs], [], known=known)
    assert absolute(after, [0] * len(after), most, 0) == all(0 <= one <= most for one, _ in moved)


def test_a_format_without_counters_and_pulses() -> None:
    """There is nothing to fall, and only the 0; a counter that is not known is refused."""
    assert rose_plainly([], [], known=True)([], [], 0, 0)
    assert values_of_use([], [])([], [], 1.0) == (0.0,)
    for pair, known in (((0, None), True), ((1, 0), False)):
        with pytest.raises(TypeError):
            rose_plainly([pair], [], known=known)([None, 1], [None, 1], 5, 5)

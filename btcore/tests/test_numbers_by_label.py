# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a reading by label: the dict that Python makes of the two."""

from hypothesis import given
from hypothesis import strategies as st

from btcore.numbers_by_label import MAX_DISPLAY, by_label

labels = st.text(min_size=1).filter(str.isprintable)


@given(st.lists(labels, unique=True, max_size=2 * MAX_DISPLAY))
def test_each_number_is_under_its_label_in_their_order(labels: list[str]) -> None:
    """Whatever the labels are, and however many; each dict is the asker's own."""
    numbers = tuple(range(len(labels)))
    make, expected = by_label(labels), dict(zip(labels, numbers, strict=True))
    found = make(numbers)
    assert list(found.items()) == list(expected.items())
    found.clear()
    assert make(numbers) == expected

# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a reading by label: the dict that Python makes of the two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.numbers_by_label import MAX_ATTRIBUTES, by_label

names = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True)
labels = names | st.text(min_size=1).filter(str.isprintable)


def check(labels: list[str]) -> None:
    """Each number is under its label, in their order, and each dict is the asker's own."""
    numbers = tuple(range(len(labels)))
    make, expected = by_label(labels), dict(zip(labels, numbers, strict=True))
    found, other = make(numbers), make(numbers)
    assert type(found) is dict
    assert list(found.items()) == list(expected.items())
    found["more"] = found.pop(next(iter(labels), "more"), 0)
    found.clear()
    assert list(other.items()) == list(make(numbers).items()) == list(expected.items())


@given(st.lists(labels, unique=True, max_size=2 * MAX_ATTRIBUTES))
def test_each_number_is_under_its_label_in_their_order(labels: list[str]) -> None:
    """Whatever the labels are, and however many; each dict is the asker's own."""
    check(labels)


@given(st.lists(names, unique=True, min_size=1, max_size=MAX_ATTRIBUTES + 2))
def test_labels_that_can_be_attributes_are_no_different(labels: list[str]) -> None:
    """They are those of nearly all meters, and are put into a dict in a way of their own."""
    check(labels)


@pytest.mark.parametrize("label", ["class", "__class__", "__dict__", "it", "numbers", "make", "ﬁ", "1a", "a b", "a.b"])
def test_a_label_may_be_what_means_something_to_python(label: str) -> None:
    """It is text like any other: a keyword, a name that Python uses, or one that Python writes in another way."""
    check(["volts", label])

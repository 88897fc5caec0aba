# SPDX-License-Identifier: GPL-3.0-or-later
"""A packet that comes twice is recognized among the last ones, and no other one is."""

from hypothesis import given
from hypothesis import strategies as st

from btcore.calculate.chain import MAX_RECENT, SerialState, is_among

marks = st.binary(min_size=4, max_size=4).map(lambda mark: mark.translate(bytes(at % 2 for at in range(256))))
"""Of zeros and ones, so that the bytes of two of them often look like a third one."""


@given(st.lists(marks, max_size=8), marks)
def test_a_mark_is_found_where_it_is(kept: list[bytes], mark: bytes) -> None:
    """And not where parts of two others look like it."""
    assert is_among(b"".join(kept), mark) == (mark in kept)


@given(st.lists(st.integers(0, 2 * MAX_RECENT), max_size=4 * MAX_RECENT))
def test_the_last_packets_are_remembered(sent: list[int]) -> None:
    """So many different ones, and none from before."""
    state, last = SerialState([]), list[int]()
    for number in sent:
        assert state.is_repeated(number.to_bytes(2)) == (number in last[-MAX_RECENT:])
        if number not in last[-MAX_RECENT:]:
            last.append(number)

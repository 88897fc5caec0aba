# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits: a sink is called at its own pace, and failures are waited for longer and longer, within reason."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.backoff import MAX_REQUESTED, Backoff
from btcore.sinks.limits import HOUR, RateLimit
from btcore.testing import Clock


def test_without_limits_nothing_waits(clock: Clock) -> None:
    """A sink without limits is called at any time."""
    limiter = RateLimit(0, 0, clock)
    waits = []
    for _ in range(3):
        waits.append(limiter.wait())
        limiter.called()
    assert waits == [0, 0, 0]


def test_between_two_calls_is_the_pause(clock: Clock) -> None:
    """The first call is free; the next waits for what is left of the pause."""
    limiter = RateLimit(10, 0, clock)
    waits = [limiter.wait()]
    limiter.called()
    for passed in (0, 4, 20):
        clock.now += passed
        waits.append(limiter.wait())
    assert waits == [0, 10, 6, 0]


def test_an_hour_has_so_many_calls(clock: Clock) -> None:
    """After as many calls as an hour may have, the next waits until the first of them is an hour ago."""
    limiter = RateLimit(0, 3, clock)
    for _ in range(3):
        assert limiter.wait() == 0
        limiter.called()
        clock.now += 60
    assert limiter.wait() == HOUR - 180
    clock.now += HOUR - 180
    assert limiter.wait() == 0


def test_a_call_that_can_wait_leaves_half_of_the_hour(clock: Clock) -> None:
    """With half of the calls made, such a call waits until one of these is an hour ago; the others need not."""
    limiter = RateLimit(0, 4, clock)
    for _ in range(2):
        assert limiter.spare_wait() == 0
        limiter.called()
        clock.now += 60
    assert (limiter.spare_wait(), limiter.wait()) == (HOUR - 120, 0)
    clock.now += HOUR - 120
    assert limiter.spare_wait() == 0


@given(
    min_call_interval=st.floats(0, 300),
    per_hour=st.integers(0, 20),
    work=st.lists(st.floats(0, 500), min_size=1, max_size=80),
)
def test_the_limits_hold_whatever_the_calls_take(min_call_interval: float, per_hour: int, work: list[float]) -> None:
    """No two calls are closer than the pause, and no hour has more than its calls."""
    clock = Clock()
    limiter = RateLimit(min_call_interval, per_hour, clock)
    calls = []
    for length in work:
        clock.now += limiter.wait()
        limiter.called()
        calls.append(clock.now)
        clock.now += length
    assert all(later - earlier >= min_call_interval - 1e-6 for earlier, later in pairwise(calls))
    if per_hour:
        assert all(last - first >= HOUR - 1e-6 for first, last in zip(calls, calls[per_hour:], strict=False))


@given(first=st.floats(0.001, 100), longest=st.floats(0.001, 1000), failures=st.integers(1, 60))
def test_waits_double_up_to_the_longest(first: float, longest: float, failures: int) -> None:
    """Each failure in a row is waited for twice as long as the one before, half of it by chance, up to the longest."""
    backoff = Backoff(first, longest)
    for n in range(failures):
        full = min(first * 2.0**n, max(first, longest))
        assert full / 2 <= backoff.failed() <= full
    assert backoff.failures == failures


def test_success_begins_anew() -> None:
    """After something worked, the next failure is the first again."""
    backoff = Backoff(1, 600)
    for _ in range(9):
        backoff.failed()
    backoff.worked()
    assert (backoff.failures, backoff.failed() <= 1) == (0, True)


@pytest.mark.parametrize(
    ("requested", "expected"), [(30, 30), (0.5, 0.5), (1e9, MAX_REQUESTED), (math.inf, MAX_REQUESTED)], ids=str
)
def test_a_service_is_left_alone_as_long_as_it_wishes(requested: float, expected: float) -> None:
    """The wait that the other side names counts, but not for more than a day."""
    assert Backoff(1, 600).failed(requested) == expected


@pytest.mark.parametrize("requested", [None, 0, -5, math.nan], ids=str)
def test_a_wish_that_is_none_is_not_followed(requested: float | None) -> None:
    """Where the other side names no sensible wait, its own waits hold: never a call without a pause."""
    backoff = Backoff(8, 600)
    assert 4 <= backoff.failed(requested) <= 8
    assert 8 <= backoff.failed(requested) <= 16


def test_waits_are_spread() -> None:
    """Many that fail at once do not come again at once."""
    waits = {Backoff(64, 600).failed() for _ in range(100)}
    assert len(waits) == 100
    assert max(waits) - min(waits) > 10

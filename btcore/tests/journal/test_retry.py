# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a journal: longer and longer while it cannot be used, and after a stop no longer than there is grace."""

import logging
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import pytest

from btcore.errors import Unavailable
from btcore.journal import retry
from btcore.journal.retry import FIRST, LONGEST, JournalRetry, ShuttingDown
from btcore.testing import Clock


@pytest.fixture(autouse=True)
def sleeping(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Let sleeping move the clock, and each wait be as long as it may."""

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=clock, sleep=sleep))
    monkeypatch.setattr("btcore.backoff._fraction", lambda: 1.0)


def failing(clock: Clock, times: int, stop_after: int = 0) -> tuple[Callable[[], str], list[float]]:
    """Make work that fails so many times, and the list of when it was tried; the program stops after one of them."""
    tried: list[float] = []

    def work() -> str:
        tried.append(clock.now)
        if len(tried) == stop_after:
            clock.set()
        if len(tried) <= times:
            raise Unavailable("cannot write: disk full")
        return "done"

    return work, tried


def test_waits_grow_up_to_the_longest(clock: Clock) -> None:
    """What cannot be done now is done when it can be, after waits that double."""
    work, tried = failing(clock, 9)
    assert JournalRetry(clock, logging.getLogger("retry"))(work) == "done"
    waits = [after - before for before, after in pairwise(tried)]
    assert waits == [min(FIRST * 2**n, LONGEST) for n in range(9)]


def test_a_stop_without_grace_ends_it_at_once(clock: Clock) -> None:
    """What fails after the program was told to stop is given up with its reason."""
    work, tried = failing(clock, 9, stop_after=3)
    with pytest.raises(ShuttingDown, match="cannot write: disk full"):
        JournalRetry(clock, logging.getLogger("retry"))(work)
    assert len(tried) == 3


@pytest.mark.parametrize(("grace", "tries"), [(0.25, [0, 0.25]), (3, [0, 0.5, 1.5, 3])])
def test_a_stop_leaves_the_grace(clock: Clock, grace: float, tries: list[float]) -> None:
    """After a stop it is tried on, for the last time when the grace is over: no wait is longer than what is left."""
    work, tried = failing(clock, 9, stop_after=1)
    with pytest.raises(ShuttingDown):
        JournalRetry(clock, logging.getLogger("retry"), grace)(work)
    assert tried == tries


def test_what_works_within_the_grace_is_done(clock: Clock) -> None:
    """A journal that recovers after the stop still takes what waits."""
    work, tried = failing(clock, 4, stop_after=1)
    assert JournalRetry(clock, logging.getLogger("retry"), 100)(work) == "done"
    assert tried == [0, 0.5, 1.5, 3.5, 7.5]

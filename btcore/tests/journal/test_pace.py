# SPDX-License-Identifier: GPL-3.0-or-later
"""The pace of a burst: sinks that keep up are waited for, and no other."""

import threading

import pytest

from btcore.journal.pace import LEAD, NEAR, PORTION, Pace
from btcore.testing import wait_for


def waiting(pace: Pace, newest: int) -> threading.Thread:
    """Wait in a thread of its own."""
    thread = threading.Thread(target=pace.wait, args=[newest], daemon=True)
    thread.start()
    return thread


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as the test takes."""
    monkeypatch.setattr("btcore.journal.pace.TIMEOUT", 60)


@pytest.mark.usefixtures("patient")
def test_all_sinks_that_keep_up_are_waited_for() -> None:
    """The wait ends when the last sink that keeps up has read far enough, and not before."""
    pace = Pace()
    pace.has_read("sink.a", 100)
    pace.has_read("sink.b", 100)
    thread = waiting(pace, 101 + LEAD)
    wait_for(lambda: pace.is_waiting)
    pace.has_read("sink.a", 101 + LEAD)
    assert pace.is_waiting
    pace.has_read("sink.b", 101)
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("read", [None, 0, NEAR, 2 * NEAR - LEAD, 2 * NEAR])
def test_nobody_else_is_waited_for(read: int | None) -> None:
    """Without sinks, and for one that is far behind or near the end, there is no wait at all."""
    pace = Pace()
    if read is not None:
        pace.has_read("sink.a", read)
    pace.wait(2 * NEAR)


def test_a_sink_that_does_not_move_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that hangs costs a burst one wait; it is waited for again once it has read on."""
    monkeypatch.setattr("btcore.journal.pace.TIMEOUT", 0.01)
    pace = Pace()
    pace.has_read("sink.a", 100)
    pace.wait(500)
    monkeypatch.setattr("btcore.journal.pace.TIMEOUT", 60)
    pace.wait(500)  # returns at once
    pace.has_read("sink.a", 101)
    thread = waiting(pace, 500)
    wait_for(lambda: pace.is_waiting)
    pace.has_read("sink.a", 500)
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.usefixtures("patient")
def test_a_sink_that_catches_up_waits_for_those_a_portion_behind() -> None:
    """The wait ends when the other one has read as far, and not before."""
    pace = Pace()
    pace.has_read("sink.a", 3 * PORTION)
    pace.has_read("sink.b", 2 * PORTION)
    thread = threading.Thread(target=pace.wait_for_others, args=[3 * PORTION], daemon=True)
    thread.start()
    wait_for(lambda: pace.is_waiting)
    pace.has_read("sink.b", 3 * PORTION)
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("read", [0, 3 * PORTION - NEAR, 2 * PORTION + 1, 3 * PORTION, 4 * PORTION])
def test_a_sink_that_catches_up_waits_for_no_other(read: int) -> None:
    """One that is far behind, nearly as far, or ahead is not waited for."""
    pace = Pace()
    pace.has_read("sink.a", 3 * PORTION)
    pace.has_read("sink.b", read)
    pace.wait_for_others(3 * PORTION)


def test_a_sink_that_catches_up_waits_once_for_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that does not move costs the others one wait."""
    monkeypatch.setattr("btcore.journal.pace.TIMEOUT", 0.01)
    pace = Pace()
    pace.has_read("sink.b", 2 * PORTION)
    pace.wait_for_others(3 * PORTION)
    monkeypatch.setattr("btcore.journal.pace.TIMEOUT", 60)
    pace.wait_for_others(3 * PORTION)  # returns at once

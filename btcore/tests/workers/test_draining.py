# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a delivery is that goes on after everything was read."""

import logging

import pytest

from btcore.workers.draining import MUCH, Draining


def drain(waiting: list[int], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is told of a backlog that is looked at once a minute."""
    caplog.set_level(logging.INFO)
    left, clock = iter([*waiting, waiting[-1]]), [0.0]
    draining = Draining(lambda: next(left), lambda: clock[0])
    for minute in range(len(waiting)):
        clock[0] = 60.0 * minute
        draining.check()
        draining.check()  # too early: it does not look
    draining.finish()
    return caplog.messages


def test_a_long_delivery_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Of the sink that has most to deliver: how much it has had, how fast, how long the rest takes; at its end, all."""
    assert drain([3 * MUCH, 2 * MUCH, 0], caplog) == [
        "delivering: 10,000 of 30,000 readings, 167 readings/s, 2 min left",
        "delivering: 30,000 of 30,000 readings, 250 readings/s",
        "delivering: 30,000 of 30,000 readings, 250 readings/s",
    ]


def test_a_short_delivery_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """What is delivered in a second needs no line."""
    assert drain([MUCH - 1, 5, 0], caplog) == []

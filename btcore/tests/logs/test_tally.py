# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens very often is told seldom, and its number is right."""

import logging

import pytest
from helpers.captured_log import logged

from btcore.logs.tally import HOUR, SummarizedCount


def test_the_first_are_told_and_the_others_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The first few of an hour are told one by one; the others once the hour has passed, and at the end."""
    now = 0.0
    log = logging.getLogger("tally")
    tally = SummarizedCount(log=log, first=2, summary="{count} more, last {last}", clock=lambda: now)
    for hour in range(3):
        for n in range(10):
            now = hour * HOUR + n
            tally.add(f"one: {n}", n)
    tally.report_rest()
    tally.report_rest()
    assert logged(caplog) == ["one: 0", "one: 1", "8 more, last 9"] * 3
    assert tally.total == 30


def test_one_is_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    """A summary tells a single thing by the name of one."""
    tally = SummarizedCount(log=logging.getLogger("tally"), first=0, summary="{count:packet} of {last}")
    for count in (1, 2):
        tally.add("", "meter 7", count)
        tally.report_rest()
    assert logged(caplog) == ["1 packet of meter 7", "2 packets of meter 7"]


def test_an_hour_that_passed_is_told_without_another(caplog: pytest.LogCaptureFixture) -> None:
    """What was counted is told when its hour is over, also when nothing more comes."""
    now = 0.0
    tally = SummarizedCount(log=logging.getLogger("tally"), summary="{count} more, last {last}", clock=lambda: now)
    tally.add("one", "one", 5)
    tally.add("two", "{two}", 5)
    tally.report_due()
    assert logged(caplog) == ["one"]
    now = HOUR
    tally.report_due()
    assert logged(caplog) == ["one", "5 more, last {two}"]

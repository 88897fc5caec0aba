# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a replay: the bar on a terminal, and the line of a status."""

from btcore.cli.replay import bar
from btcore.status import ReplayStatus
from btcore.status.report import replay_line


def test_the_bar_has_share_rate_and_time_left() -> None:
    """Of a quarter that took ten seconds, thirty are left."""
    status = ReplayStatus("a1b2c3", total=4000, examined=1000, delivered=900)
    assert bar(status, 10.0) == (
        "[########......................] 25%, 100 readings/s, 30 s left; 1000 of 4000 readings examined, 900 delivered"
    )


def test_the_bar_begins_at_nothing() -> None:
    """Before anything is known there is no rate and no time left."""
    assert bar(ReplayStatus("a1b2c3"), 0.0) == f"[{30 * '.'}] 0%, 0 readings/s; 0 delivered"


def test_a_status_says_what_keeps_a_replay_waiting() -> None:
    """Counts that are zero are left out; why it waits comes last."""
    status = ReplayStatus("a1b2c3", delivered=5, refused=2, stored=7, missing=7, waiting=1, last_error="too old")
    expected = "5 delivered, 7 missing, 7 already there, 2 refused, 1 request after it, last: too old"
    assert replay_line(status) == expected

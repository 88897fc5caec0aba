# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a sink whose partitions are worked apart."""

from datetime import UTC, datetime, timedelta

from btcore.status import ErrorStatus, ReplayStatus, SinkStatus
from btcore.status.merged import merge

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


def test_counts_are_added_and_the_worst_is_told() -> None:
    """What waits and was delivered is that of all; the state is the worst, the error the last, the time the first."""
    one = SinkStatus("a", "p", "ok", 9, 2, LATER, 10, 1, 0, 3, ErrorStatus("early", NOON))
    two = SinkStatus("a", "p", "failing", 5, 4, NOON, 20, 0, 1, 0, ErrorStatus("late", LATER), LATER)
    assert merge("a", "p", [(7, one), (2, two)]) == SinkStatus(
        *("a", "p", "failing", 5, 6, NOON, 30, 1, 1, 3, ErrorStatus("late", LATER), LATER), partitions=(2, 7)
    )


def test_a_program_without_a_partition_waits() -> None:
    """It has nothing to deliver, and no state of its own."""
    assert merge("a", "p", []) == SinkStatus("a", "p", "waiting", delivered=0, unwanted=0, dropped=0, partitions=())


def test_what_does_not_run_has_no_counts() -> None:
    """Where nothing runs, what was delivered is not known, and stays so."""
    assert merge("a", "p", [(0, SinkStatus("a", "p", "not running", waiting=3))]).delivered is None


def test_a_replay_is_that_of_all_partitions() -> None:
    """The same request in several partitions is one; another that comes after it is not added."""
    first, same, other = ReplayStatus("x", 10, 4, 3), ReplayStatus("x", 10, 5, 5), ReplayStatus("y", 99, 9, 9)
    parts = [SinkStatus("a", "p", "ok", replay=one) for one in (first, same, other)]
    assert merge("a", "p", enumerate(parts)).replay == ReplayStatus("x", 20, 9, 8)

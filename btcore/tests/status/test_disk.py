# SPDX-License-Identifier: GPL-3.0-or-later
"""When the disk of the journal will be full."""

from datetime import UTC, datetime, timedelta

import pytest

from btcore.status.disk import full_at

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY = 86_400.0


@pytest.mark.parametrize(
    ("days", "free", "retention", "expected"),
    [
        (10, 5_000, 30, 5),  # 100 bytes a day: it grows for 20 days more, and fits 50
        (10, 500, 30, 5),
        (30, 500, 30, None),
        (10, 1_999, 30, 19.99),
        (10, 2_000, 30, None),
    ],
)
def test_it_grows_by_its_mean_rate_until_the_retention(
    days: int, free: int, retention: int, expected: float | None
) -> None:
    """A journal grows until its oldest reading may be forgotten; a disk that holds that much is never full."""
    size = 100 * days if free != 5_000 else 10_000 * days
    found = full_at(size, free, NOW - timedelta(days=days), NOW, retention * DAY, NOW)
    rate = size / days
    assert found == (None if expected is None else NOW + timedelta(days=free / rate))


def test_without_a_rate_nothing_is_told() -> None:
    """An empty journal, one of minutes, and a disk that cannot be asked tell no day."""
    for oldest, free in ((None, 1), (NOW - timedelta(minutes=5), 1), (NOW - timedelta(days=5), None)):
        assert full_at(10**9, free, oldest, NOW, 30 * DAY, NOW) is None

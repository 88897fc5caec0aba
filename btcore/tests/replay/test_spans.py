# SPDX-License-Identifier: GPL-3.0-or-later
"""A time is read as a person types it."""

from datetime import UTC, datetime

import pytest

from btcore.records import from_microseconds
from btcore.replay.spans import parse_moment

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01T12:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00:30.5+02:00", datetime(2026, 11, 1, 10, 0, 30, 500_000, tzinfo=UTC)),
        ("2026-11-01 12:00", datetime(2026, 11, 1, 12).astimezone()),
        ("2026-11-01", datetime(2026, 11, 1).astimezone()),
        ("-7d", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("- 90m", datetime(2026, 11, 27, 10, 30, tzinfo=UTC)),
        ("1700000000.25", datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text: str, expected: datetime) -> None:
    """ISO 8601, a date, how long ago, seconds since 1970; local time where there is no zone."""
    assert from_microseconds(parse_moment(text, NOW)) == expected


def test_a_date_at_the_end_is_all_of_that_day() -> None:
    """As the end of a span, a date is its last microsecond."""
    last = datetime(2026, 11, 1, 23, 59, 59, 999_999).astimezone()
    assert from_microseconds(parse_moment("2026-11-01", NOW, is_end=True)) == last


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "-7", "-100y", "9999-01-01", "7d"])
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    """The message shows it and says what a time looks like."""
    with pytest.raises(ValueError, match="expected a time"):
        parse_moment(text, NOW)

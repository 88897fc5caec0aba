# SPDX-License-Identifier: GPL-3.0-or-later
"""Full hours: what a counter showed at the end of each hour that a sample reaches into. Pure.

An hour is known by its beginning, in seconds since 1970, as Home Assistant knows its rows.
"""

from collections.abc import Iterator

HOUR = 3600

DAY = 24 * HOUR

MAX_GAP = 366 * DAY
"""Seconds: the energy of a longer gap is not spread over its hours; a clock that began in 1970 makes such gaps."""


def hour_of(time: float) -> int:
    """Return the hour that a moment ends or is within: 11:00 is the end of the hour that begins at 10:00."""
    return int(-(-time // HOUR) - 1) * HOUR


def totals_by_hour(start: float, end: float, total: float, rise: float | None) -> Iterator[tuple[int, float]]:
    """Yield the hours that end within a sample, each with the counter at its end, and the hour of the sample's end.

    `total` is the counter at the end of the sample, which rose evenly by `rise`. Where the rise is not known, only the
    end is: then all is in its hour.
    """
    if rise is not None and 0 < end - start <= MAX_GAP:
        for hour in range(hour_of(start), hour_of(end), HOUR):
            if (boundary := hour + HOUR) > start:
                yield hour, total - rise * (end - boundary) / (end - start)
    yield hour_of(end), total

# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments and lengths of time that tests share."""

import time
from datetime import UTC, datetime, timedelta

START = 1_699_999_200_000_000
"""Microseconds since 1970, at a full hour."""

SECOND = 1_000_000
AFTER_NOW = int(time.time()) + 1_000_000
"""Seconds since 1970: everything that these tests append was added before."""

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
NOON_KEY = round(NOON.timestamp()) * SECOND

MINUTE = 60 * SECOND
FIVE_MINUTES = 5 * MINUTE


def moment_of(microseconds: int) -> datetime:
    """Return a time by its microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)

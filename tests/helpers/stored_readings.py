# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings for tests that store them and look at what is there: ten seconds apart, each with a counter of its own."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from logging import getLogger
from threading import Event

from btcore import FORMATS, Batch, Context, Reading, pack
from btcore.sql import SqlHooks

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
TABLE = "ecm1240bin_counters"


def numbered_reading(number: int) -> Reading:
    """Make one of them."""
    raw = pack("ecm1240bin", "312345", {"volts": 121.5, "secs": 5000 + 10 * number, "ch1_aws": 1000 * number})
    return Reading(START + timedelta(seconds=10 * number), FORMATS["ecm1240bin"], "312345", raw)


def numbered_batch(first: int, last: int) -> Batch:
    """Make a batch of them."""
    return Batch(tuple(map(numbered_reading, range(first, last))))


def keys_of(numbers: Iterable[int]) -> list[tuple[int]]:
    """Return the keys of some of them, as rows."""
    return [(numbered_reading(number).key,) for number in numbers]


def read_once(source: SqlHooks) -> list[Reading]:
    """Return the readings that a source yields of what there is."""
    source.open(Context("source.old", getLogger("source.old"), once=True))
    try:
        return [one for one in source.collect(Event()) if isinstance(one, Reading)]
    finally:
        source.close()

"""Entries of a journal with packets of one's own, and what is set aside; for tests of the journal alone."""

import time
from datetime import UTC, datetime, timedelta

from made import METER

from btcore.journal import DeadLetter, Entry

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
SOON = int(time.time()) + 1_000_000
"""Seconds since 1970: everything that these tests append was added before."""


def small(key: int, raw: bytes = b"", serial: str = METER) -> Entry:
    """Make an entry with a packet of one's own."""
    return Entry(key, "panel", serial, "ecm1220bin", raw or str(key).encode())


def aside(sink: str, *places: int) -> DeadLetter:
    """Make something set aside."""
    return DeadLetter(sink, METER, NOON, NOON + timedelta(seconds=10), "too sunny", places)

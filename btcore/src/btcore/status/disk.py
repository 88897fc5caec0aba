# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of the journal, and when its disk will be full if readings go on coming as they do."""

from datetime import UTC, datetime, timedelta

from btcore.journal import START, Journal
from btcore.records import from_microseconds
from btcore.status import ErrorStatus, JournalStatus

MIN_SPAN = 3600.0
"""Seconds that the entries must span before a rate is told."""


def journal_status(journal: Journal, retention: float, now: datetime) -> JournalStatus:
    """Return the status of a journal; `retention` is in seconds. Raises Unavailable."""
    kept, size, free = journal.lag(START), journal.size(), journal.free()
    oldest = from_microseconds(kept.oldest) if kept.entries else None
    newest = next((from_microseconds(one.key) for one in journal.recent(journal.newest(), 1)), None)
    return JournalStatus(
        location=journal.location,
        bytes=size,
        entries=kept.entries,
        oldest=oldest,
        newest=newest,
        retention=retention,
        free=free,
        full=full_at(size, free, oldest, newest, retention, now),
        damages=len(journal.damages),
        lost=sum(one.lost or 0 for one in journal.damages),
        last_damage=next((ErrorStatus(one.text, one.time) for one in reversed(journal.damages)), None),
    )


def full_at(
    size: int, free: int | None, oldest: datetime | None, newest: datetime | None, retention: float, now: datetime
) -> datetime | None:
    """Return when the disk will be full: it grows by the mean rate so far, until the oldest reading may be forgotten.

    None where that will not be, or is not known. `size` and `free` are in bytes, `retention` in seconds.
    """
    span = (newest - oldest).total_seconds() if oldest is not None and newest is not None else 0.0
    if free is None or span < MIN_SPAN:
        return None
    rate = size / span
    left = max(retention - span, 0.0)  # seconds for which it still grows
    if free / rate >= left:
        return None
    return now.astimezone(UTC) + timedelta(seconds=free / rate)

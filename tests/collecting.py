"""A source's items collected, and what of them is kept; for tests of collection."""

from datetime import UTC, datetime
from typing import Any

from made import SECOND, Collecting, Yielding

from btcore import Channel, Format
from btcore.journal.sqlite import SqliteJournal

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
NOON_KEY = round(NOON.timestamp()) * SECOND

METER_FORMAT = Format(
    name="meter",
    labels=("secs", "in_ws", "out_ws"),
    channels=(Channel("grid", "in_ws", "out_ws"),),
    unpack=lambda _raw: (),
)
"""The format of readings that come without packets."""


def collected(journal: SqliteJournal, *items: object, **options: Any) -> Collecting:  # noqa: ANN401 - of any kind
    """Collect these items once; return how it was done."""
    work = Collecting(journal, Yielding(items=lambda _stop: items), **options)
    with work:
        work.finish()
    return work


def kept(journal: SqliteJournal) -> list[tuple[int, bytes]]:
    """Return the times, as microseconds after noon, and the packets that are kept."""
    return [(entry.key - NOON_KEY, entry.raw) for entry in journal.read(0, 10_000)]

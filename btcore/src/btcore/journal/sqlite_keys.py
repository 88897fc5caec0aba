"""Where an entry's key is in the SQLite journal: its time, or, where that is taken, a place that it always finds again.

No two entries have the same key. A reading whose microsecond is taken goes to the next free one; where that run is long
(a meter's clock that stands still), to one of places that follow from its packet. So a reading that comes again looks
where it is, whatever its meter is called by then, and neither costs more however many readings have one time.
"""

import sqlite3
import zlib
from collections.abc import Iterator

from btcore.journal import Entry

RUN = 64
"""Microseconds behind a reading's time that are tried one by one."""

PLACES = 16
"""Places that are tried at once behind those."""

SPREAD = 100_000
"""Microseconds over which these places are spread at first: a tenth of a second."""

STEP = 1_664_525
"""Makes each place of the one before it: any multiplier that goes through all numbers of 32 bits would do."""

IS_TAKEN = "SELECT 1 FROM entry WHERE key = ?"
SAME = "raw = ? AND (packetless = 0 OR serial = ?)"
"""Whether an entry is of the same packet; a whole reading's raw has no serial number in it."""

IN_RUN = f"SELECT key, {SAME} FROM entry WHERE key BETWEEN ? AND ?"  # noqa: S608 - a fixed text
AT_PLACES = f"SELECT key, {SAME} FROM entry WHERE key IN ({','.join('?' * PLACES)})"  # noqa: S608 - the same, and marks


def free_key(connection: sqlite3.Connection, entry: Entry) -> int | None:
    """Return the key of an entry that is new; None where it is there already."""
    if not connection.execute(IS_TAKEN, (entry.key,)).fetchone():
        return entry.key
    run = range(entry.key, entry.key + RUN)
    taken = dict(connection.execute(IN_RUN, (entry.raw, entry.serial, run.start, run.stop - 1)))
    for key in run:
        if key not in taken:
            return key
        if taken[key]:
            return None
    return _scattered(connection, entry)


def _scattered(connection: sqlite3.Connection, entry: Entry) -> int | None:
    for places in _places(entry):
        taken = dict(connection.execute(AT_PLACES, (entry.raw, entry.serial, *places)))
        for key in places:
            if key not in taken:
                return key
            if taken[key]:
                return None
    raise AssertionError("there is no end of places")


def _places(entry: Entry) -> Iterator[tuple[int, ...]]:
    """Yield places by what the entry is, each time over four times the range of before."""
    data = (entry.serial.encode(errors="surrogatepass") + b"\0" if entry.whole else b"") + entry.raw
    mark, spread = zlib.crc32(data), SPREAD
    while True:
        marks = []
        for _ in range(PLACES):
            mark = (mark * STEP + 1) % (1 << 32)
            marks.append(entry.key + RUN + mark % spread)
        yield tuple(marks)
        spread *= 4

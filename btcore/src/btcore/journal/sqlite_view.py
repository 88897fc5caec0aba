"""A look into a journal in SQLite, beside the program that writes it, or while nothing runs.

The file is opened read-only: nothing in it is changed, upgraded or made.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import attrs

from btcore.errors import Unavailable
from btcore.journal import Entry, HeardMeter
from btcore.journal.sqlite_schema import VERSION

TIMEOUT = 5.0
"""Seconds to wait for a lock of the program that writes."""

NEWEST = """SELECT key, source, serial, format, raw, packetless, offset, monotonic, boot, address, origin, added
    FROM entry ORDER BY offset DESC LIMIT ?"""


@attrs.frozen
class JournalView:
    """What a journal holds, in short.

    `entries` are the newest, oldest first, each with when the journal got it; `meters` those that were ever heard,
    `dead_letters` how many there are by sink.
    """

    entries: tuple[tuple[Entry, datetime], ...] = ()
    meters: tuple[HeardMeter, ...] = ()
    dead_letters: Mapping[str, int] = attrs.field(factory=dict)


def view_journal(file: Path, limit: int) -> JournalView:
    """Return what a journal holds, with at most `limit` entries. Raises Unavailable.

    Of a journal that an older btcore wrote, nothing is returned: the next run brings it up to date.
    """
    try:
        with closing(sqlite3.connect(_url(file), timeout=TIMEOUT, uri=True)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > VERSION:
                raise Unavailable(f"the journal {file} was written by a newer btcore (version {version})")
            return _view(connection, limit) if version == VERSION else JournalView()
    except sqlite3.Error as error:
        raise Unavailable(f"cannot read the journal {file}: {error}") from error


def _view(connection: sqlite3.Connection, limit: int) -> JournalView:
    rows = connection.execute(NEWEST, (limit,)).fetchall()
    meters = connection.execute("SELECT serial, format, offset FROM meter").fetchall()
    letters = connection.execute("SELECT sink, count(*) FROM dead_letter GROUP BY sink").fetchall()
    return JournalView(
        tuple((_entry(*row[:-1]), datetime.fromtimestamp(row[-1], UTC)) for row in reversed(rows)),
        tuple(HeardMeter(*row) for row in meters),
        dict(letters),
    )


def _url(file: Path) -> str:
    """Return how to open it: without a write-ahead log nobody writes, and then SQLite needs no file beside it."""
    has_log = file.with_name(f"{file.name}-wal").exists()
    return f"file:{quote(str(file.absolute()))}?mode=ro{'' if has_log else '&immutable=1'}"


def _entry(key: int, source: str, serial: str, form: str, raw: bytes, packetless: int, *more: object) -> Entry:
    return Entry(key, source, serial, form, raw, bool(packetless), *more)  # type: ignore[arg-type]

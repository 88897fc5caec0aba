"""The newest entries of a journal in SQLite, read beside the program that writes it, or while nothing runs.

The file is opened read-only: nothing in it is changed, upgraded or made.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from btcore.errors import Unavailable
from btcore.journal import Entry
from btcore.journal.sqlite_schema import VERSION

TIMEOUT = 5.0
"""Seconds to wait for a lock of the program that writes."""

NEWEST = """SELECT key, source, serial, format, raw, packetless, offset, monotonic, boot, address, origin, added
    FROM entry ORDER BY offset DESC LIMIT ?"""


class NewestEntry(NamedTuple):
    """An entry, and when the journal got it, in seconds since 1970."""

    entry: Entry
    added: int


def newest_entries(file: Path, limit: int) -> list[NewestEntry]:
    """Return the newest entries, oldest first; none of a journal that an older btcore wrote. Raises Unavailable."""
    try:
        with closing(sqlite3.connect(_url(file), timeout=TIMEOUT, uri=True)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > VERSION:
                raise Unavailable(f"the journal {file} was written by a newer btcore (version {version})")
            rows = connection.execute(NEWEST, (limit,)).fetchall() if version == VERSION else []
    except sqlite3.Error as error:
        raise Unavailable(f"cannot read the journal {file}: {error}") from error
    return [NewestEntry(_entry(*row[:-1]), row[-1]) for row in reversed(rows)]


def _url(file: Path) -> str:
    """Return how to open it: without a write-ahead log nobody writes, and then SQLite needs no file beside it."""
    has_log = file.with_name(f"{file.name}-wal").exists()
    return f"file:{quote(str(file.absolute()))}?mode=ro{'' if has_log else '&immutable=1'}"


def _entry(key: int, source: str, serial: str, form: str, raw: bytes, packetless: int, *more: object) -> Entry:
    return Entry(key, source, serial, form, raw, bool(packetless), *more)  # type: ignore[arg-type]

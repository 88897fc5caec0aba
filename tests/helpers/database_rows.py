# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the databases of a btcore that a test ran as a process."""

import sqlite3
import zlib
from pathlib import Path
from typing import Any

JOURNAL_FILE = Path("state", "journal.db")
"""Where the journal is, in the folder of a configuration that says `state = "state"`."""


def table_rows(database: Path, table: str, columns: str = "serial, secs") -> list[tuple[Any, ...]]:
    """Return what is in a table; nothing while there is none."""
    if not database.exists():
        return []
    connection = sqlite3.connect(database, timeout=30)
    try:
        return connection.execute(f"SELECT {columns} FROM {table}").fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


PACKETS = """entry LEFT JOIN entry AS other ON other.offset = entry.dictionary AND entry.dictionary
    ORDER BY entry.offset"""


def kept_packets(journal: Path) -> list[tuple[str, str, int, bytes]]:
    """Return what is in the file of a journal, as docs/journal.md says: format, serial number, key and packet."""
    columns = "entry.format, entry.serial, entry.key, entry.raw, other.raw"
    return [
        (form, serial, key, raw if known is None else zlib.decompressobj(-15, known).decompress(raw))
        for form, serial, key, raw, known in table_rows(journal, PACKETS, columns)
    ]

# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the databases of a btcore that a test ran as a process."""

import sqlite3
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

# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore as a user runs it, as `btcore.testing` has it, and what is in its databases afterwards."""

import sqlite3
from pathlib import Path
from typing import Any

from btcore.testing.kit.process import BtcoreProcess, free_port

__all__ = ["JOURNAL_FILE", "BtcoreProcess", "free_port", "table_rows"]

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

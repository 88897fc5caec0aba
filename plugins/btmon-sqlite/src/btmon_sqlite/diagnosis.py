# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the database file: missing directory, missing rights, or no database. It is opened read-only."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from btcore import Finding
from btmon_sqlite.errors import translate_error

RIGHTS = "Let the user that runs btcore write the file and its directory (chown), or name another `file`"


def diagnose(file: Path, *, is_written: bool = True) -> Iterator[Finding]:
    """Yield what is wrong with a file, which may not be there yet; one that is only read needs fewer rights."""
    folder = file.parent
    if not is_written:
        if file.exists():
            yield from _database(file)
        return
    if not folder.is_dir():
        advice = "Create it, mount it, or correct `file`"
        yield Finding("sink-directory", f"there is no directory {folder}", advice)
    elif not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.R_OK | os.W_OK)):
        yield Finding("sink-rights", f"this user may not write {file}", RIGHTS)
    elif file.exists():
        yield from _database(file)


def _database(file: Path) -> Iterator[Finding]:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return  # another program writes it now
        why = str(translate_error(error, file) or error)
        text, _, advice = why.partition(": ")
        yield Finding("sink-database", text, advice or "Name another `file`, or move this one away")

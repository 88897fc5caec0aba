# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of SQLite: for each, the kind by which `btcore.sql` knows what to do, and the message for a person."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from btcore.sql import ErrorKind, SqlError

DAMAGED = (
    "{file} is damaged ({error}): save what is in it with `sqlite3 {file} .recover`, and move it away;"
    " a sink makes a new one at its next start"
)
LOCKED = "{file} is locked by another program; btcore tries again until the lock is gone"
READ_ONLY = "{file} is read-only ({error}): let the user that runs btcore write it and its directory"
UNWRITABLE = "{file} cannot be written ({error}): let the user that runs btcore write it and its directory"
CONSTRAINT = "{file} refuses every row ({error}) by a constraint of its table; name another `table`"
STATEMENT = "{file} refuses a statement ({error}): check its table, or name another `table`"
NO_SPACE = "no space left for {file}: free space on its disk; the readings wait in the journal"

MEANINGS: Mapping[int, tuple[ErrorKind, str]] = {
    sqlite3.SQLITE_BUSY: (ErrorKind.CONFLICT, LOCKED),
    sqlite3.SQLITE_LOCKED: (ErrorKind.CONFLICT, LOCKED),
    sqlite3.SQLITE_FULL: (ErrorKind.SPACE, NO_SPACE),
    sqlite3.SQLITE_IOERR: (ErrorKind.UNAVAILABLE, "{file} cannot be read or written ({error}): check its disk"),
    sqlite3.SQLITE_NOMEM: (ErrorKind.UNAVAILABLE, "no memory left to write {file}"),
    sqlite3.SQLITE_PROTOCOL: (ErrorKind.CONFLICT, "{file} cannot be locked ({error})"),
    sqlite3.SQLITE_NOTADB: (
        ErrorKind.STATEMENT,
        "{file} is not an SQLite database: name another `file`, or move this one away",
    ),
    sqlite3.SQLITE_CORRUPT: (ErrorKind.DAMAGED, DAMAGED),
    sqlite3.SQLITE_READONLY: (ErrorKind.PERMISSION, READ_ONLY),
    sqlite3.SQLITE_PERM: (ErrorKind.PERMISSION, UNWRITABLE),
    sqlite3.SQLITE_CONSTRAINT: (ErrorKind.STATEMENT, CONSTRAINT),
    sqlite3.SQLITE_ERROR: (ErrorKind.STATEMENT, STATEMENT),
}
"""Kind and message of an error, by SQLite's primary result code."""

MISSING: Mapping[str, ErrorKind] = {
    "no such table": ErrorKind.NO_TABLE,
    "has no column named": ErrorKind.NO_COLUMN,
    "no such column": ErrorKind.NO_COLUMN,
}
"""What SQLite has no code for: parts of its messages."""

FORBIDDEN = "{file} cannot be opened: let the user that runs btcore write it and its directory"

SERVICE_HINT = '{forbidden}; a service may write below {state}: file = "{state}/{name}"'
"""The service manager names the directory that a service may write in its environment."""

DUPLICATE_CODES = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
"""Extended result codes of a row that violates a unique constraint."""


SYSTEM_DIRECTORY = Path("/etc")
"""The directory of the configuration, which a service with its own user may not write."""


def path_problem(file: Path) -> str:
    """Describe what is wrong with the directory of a file, "" where nothing is known. Opens nothing."""
    if SYSTEM_DIRECTORY in file.parents:
        return (
            f"{file} is below {SYSTEM_DIRECTORY}, where a service may not write; /var/lib/btcore/{file.name} would work"
        )
    try:
        is_there = file.parent.is_dir()
    except OSError:  # it may not be seen by this user
        is_there = True
    return "" if is_there else f"the directory {file.parent} does not exist, and btcore does not make it"


@contextmanager
def translate_errors(file: Path) -> Iterator[None]:
    """Make SqlErrors of the errors of SQLite; errors that Python itself raises pass unchanged."""
    try:
        yield
    except sqlite3.Error as error:
        translated = translate_error(error, file)
        if translated is None:
            raise
        raise translated from error


def translate_error(error: sqlite3.Error, file: Path) -> SqlError | None:
    """Return the meaning of an error; None if it does not come from the database."""
    extended: int = getattr(error, "sqlite_errorcode", 0)  # errors that Python itself raises have none
    if extended in DUPLICATE_CODES:
        return SqlError(ErrorKind.DUPLICATE, f"{file} has a row like this already ({error})")
    code = extended & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN:
        return _cannot_open(error, file)
    if code not in MEANINGS:
        return None
    kind, message = MEANINGS[code]
    missing = (kind for part, kind in MISSING.items() if part in str(error)) if code == sqlite3.SQLITE_ERROR else ()
    return SqlError(next(iter(missing), kind), message.format(file=file, error=error))


def _cannot_open(error: sqlite3.Error, file: Path) -> SqlError:
    if _is_hidden(file):
        return SqlError(ErrorKind.PERMISSION, _forbidden(file))
    if file.is_dir():
        example = file / "energy.db"
        message = f"{file} is a directory: `file` must name a file, such as {example}"
        return SqlError(ErrorKind.STATEMENT, message)
    if not file.parent.is_dir():
        message = f"{file} cannot be made: there is no directory {file.parent}; create it, mount it, or correct `file`"
        return SqlError(ErrorKind.NO_DATABASE, message)
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return SqlError(ErrorKind.PERMISSION, _forbidden(file))
    return SqlError(ErrorKind.UNAVAILABLE, f"{file} cannot be opened now ({error})")


def _forbidden(file: Path) -> str:
    message = FORBIDDEN.format(file=file)
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return SERVICE_HINT.format(forbidden=message, state=state, name=file.name) if state else message


def _is_hidden(file: Path) -> bool:
    """Whether this user may not enter a directory of the path, so that nothing is known about the file."""
    try:
        file.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return False

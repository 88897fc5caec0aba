"""The errors of SQLite: for each, the outcome for the core and the message for a person.

An error that passes by itself, or once there is space, is a Retry; one that needs a person is a Stop, and the readings
wait in the journal; a row that the table has already is a Reject.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from btcore import Reject, Retry, Stop

RETRY_MESSAGES: Mapping[int, str] = {
    sqlite3.SQLITE_BUSY: "{file} is locked by another program; btcore tries again until the lock is gone",
    sqlite3.SQLITE_LOCKED: "{file} is locked by another program; btcore tries again until the lock is gone",
    sqlite3.SQLITE_FULL: "no space left for {file}: free space on its disk; the readings wait in the journal",
    sqlite3.SQLITE_IOERR: "{file} cannot be read or written ({error}): check its disk",
    sqlite3.SQLITE_NOMEM: "no memory left to write {file}",
    sqlite3.SQLITE_PROTOCOL: "{file} cannot be locked ({error})",
}
"""Messages of errors that pass, by SQLite's primary result code."""

STOP_MESSAGES: Mapping[int, str] = {
    sqlite3.SQLITE_NOTADB: "{file} is not an SQLite database: name another `file`, or move this one away",
    sqlite3.SQLITE_CORRUPT: (
        "{file} is damaged ({error}): save what is in it with `sqlite3 {file} .recover`, and move it away;"
        " a new one is made at the next start"
    ),
    sqlite3.SQLITE_READONLY: "{file} is read-only ({error}): let the user that runs btcore write it and its directory",
    sqlite3.SQLITE_PERM: "{file} cannot be written ({error}): let the user that runs btcore write it and its directory",
    sqlite3.SQLITE_CONSTRAINT: "{file} refuses every row ({error}) by a constraint of its table; name another `table`",
    sqlite3.SQLITE_ERROR: "{file} refuses a statement ({error}): check its table, or name another `table`",
}
"""Messages of errors that need a person."""

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
    """Translate errors of SQLite into Retry, Stop or Reject; errors that Python itself raises pass unchanged."""
    try:
        yield
    except sqlite3.Error as error:
        outcome = classify_error(error, file)
        if outcome is None:
            raise
        raise outcome from error


def classify_error(error: sqlite3.Error, file: Path) -> Retry | Stop | Reject | None:
    """Return the outcome of an error; None if it does not come from the database."""
    extended: int = getattr(error, "sqlite_errorcode", 0)  # errors that Python itself raises have none
    if extended in DUPLICATE_CODES:
        return Reject(f"{file} has a row like this already ({error})")
    code = extended & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN:
        return _cannot_open(error, file)
    if code in RETRY_MESSAGES:
        return Retry(RETRY_MESSAGES[code].format(file=file, error=error))
    if code in STOP_MESSAGES:
        return Stop(STOP_MESSAGES[code].format(file=file, error=error))
    return None


def _cannot_open(error: sqlite3.Error, file: Path) -> Retry | Stop:
    if _is_hidden(file):
        return Stop(_forbidden(file))
    if file.is_dir():
        return Stop(f"{file} is a directory: `file` must name a file, such as {file / 'energy.db'}")
    if not file.parent.is_dir():
        return Stop(
            f"{file} cannot be made: there is no directory {file.parent}; create it, mount it, or correct `file`"
        )
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return Stop(_forbidden(file))
    return Retry(f"{file} cannot be opened now ({error})")


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

"""Trouble with the file: what an error of SQLite asks of the core, and what it says to a person.

What passes by itself, or once there is room, is tried again; what needs a person stops the sink, which keeps its
readings; a row that the table has already is rejected alone.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from btcore import Reject, Retry, Stop

LATER: Mapping[int, str] = {
    sqlite3.SQLITE_BUSY: "{file} is locked by another program; this one waits until it is done",
    sqlite3.SQLITE_LOCKED: "{file} is locked by another program; this one waits until it is done",
    sqlite3.SQLITE_FULL: "no space left for {file}: make room on its disk; until then the readings wait in the journal",
    sqlite3.SQLITE_IOERR: "{file} cannot be read or written ({error}): look at its disk",
    sqlite3.SQLITE_NOMEM: "no memory left to write {file}",
    sqlite3.SQLITE_PROTOCOL: "{file} cannot be locked ({error})",
}
"""What passes, by SQLite's primary result code."""

NEVER: Mapping[int, str] = {
    sqlite3.SQLITE_NOTADB: "{file} is not an SQLite database: name another `file`, or move this one away",
    sqlite3.SQLITE_CORRUPT: (
        "{file} is damaged ({error}): save what is in it with `sqlite3 {file} .recover`, and move it away;"
        " a new one is made at the next start"
    ),
    sqlite3.SQLITE_READONLY: "{file} is read-only ({error}): let the user that runs btcore write it and its directory",
    sqlite3.SQLITE_PERM: "{file} cannot be written ({error}): let the user that runs btcore write it and its directory",
    sqlite3.SQLITE_CONSTRAINT: "{file} refuses every row ({error}): a rule of its table; name another `table`",
    sqlite3.SQLITE_ERROR: "{file} refuses a statement ({error}): look at its table, or name another `table`",
}
"""What needs a person."""

FORBIDDEN = "{file} cannot be opened: let the user that runs btcore write it and its directory"

SERVICE = '{forbidden}; a service may write below {state}: file = "{state}/{name}"'
"""What a service manager lets a service write is in the environment."""

TAKEN = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
"""Extended result codes for a row that is like another where the table allows no two."""


SYSTEM = Path("/etc")
"""Where a configuration is, and a service that has a user of its own may not write."""


def place_fault(file: Path) -> str:
    """Say what is wrong with where a file is to be, "" where nothing is known to be; looks, and opens nothing."""
    if SYSTEM in file.parents:
        return f"{file} is below {SYSTEM}, where a service may not write; /var/lib/btcore/{file.name} would do"
    try:
        is_there = file.parent.is_dir()
    except OSError:  # it may not be seen by this user
        is_there = True
    return "" if is_there else f"there is no directory {file.parent} yet, and none is made"


@contextmanager
def answered(file: Path) -> Iterator[None]:
    """Turn what SQLite raises into what the core acts on: Retry, Stop or Reject. Mistakes of our own pass unchanged."""
    try:
        yield
    except sqlite3.Error as error:
        answer = answer_to(error, file)
        if answer is None:
            raise
        raise answer from error


def answer_to(error: sqlite3.Error, file: Path) -> Retry | Stop | Reject | None:
    """Tell what an error asks for; None if it does not come from the database."""
    extended: int = getattr(error, "sqlite_errorcode", 0)  # errors that Python itself raises have none
    if extended in TAKEN:
        return Reject(f"{file} has a row like this already ({error})")
    code = extended & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN:
        return _cannot_open(error, file)
    if code in LATER:
        return Retry(LATER[code].format(file=file, error=error))
    if code in NEVER:
        return Stop(NEVER[code].format(file=file, error=error))
    return None


def _cannot_open(error: sqlite3.Error, file: Path) -> Retry | Stop:
    if _is_out_of_sight(file):
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
    told = FORBIDDEN.format(file=file)
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return SERVICE.format(forbidden=told, state=state, name=file.name) if state else told


def _is_out_of_sight(file: Path) -> bool:
    """Whether a directory on the way to it may not be entered: then not even what is there can be told."""
    try:
        file.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return False

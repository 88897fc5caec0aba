# SPDX-License-Identifier: GPL-3.0-or-later
"""Many rows at once for PostgreSQL: by its COPY, through the driver psycopg. What is stored is `btcore.sql`'s."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from btcore.sql import Value, row_writer

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHUNK = 200
"""Rows that are sent at once."""

DATA_ERROR = "22"
"""The SQLSTATEs of a value that does not fit a column begin with this."""

ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""What has a meaning of its own in the lines of a COPY."""


def copy_rows(connection: "Connection", insert: str, rows: Sequence[Sequence[Value]]) -> bool:
    """Store rows as an INSERT does; return False where a column takes a value from an INSERT alone.

    COPY converts nothing: into a column for whole numbers that another program made goes no 1.5, which an INSERT
    rounds. Then nothing is stored. Raises SQLAlchemy's DBAPIError.
    """
    import psycopg  # noqa: PLC0415 - a site with another driver does not have it
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see address.py

    names, _, _ = insert.removeprefix("INSERT INTO ").rpartition(" VALUES ")
    driver: Any = connection.connection.driver_connection
    try:
        with (
            driver.transaction(),
            driver.cursor() as statement,
            statement.copy(f"COPY {names.replace('%%', '%')} FROM STDIN") as copy,
        ):
            write = row_writer("\t", "\\N", lambda text: text.translate(ESCAPED))
            for first in range(0, len(rows), CHUNK):
                copy.write("".join([write(row) + "\n" for row in rows[first : first + CHUNK]]))
    except psycopg.Error as error:
        if str(error.sqlstate).startswith(DATA_ERROR):
            return False
        lost: Any = error  # SQLAlchemy names the error by a protocol that no driver declares
        is_lost = connection.dialect.is_disconnect(lost, driver, None)
        raise DBAPIError("COPY", None, error, connection_invalidated=is_lost) from error
    return True

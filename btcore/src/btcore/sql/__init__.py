# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing in SQL databases and reading from them, for plugins that bring a driver: all that is not the driver.

Public, as `btcore` itself: `from btcore.sql import SqlWriter, Connection, SqlError`. It needs nothing but the standard
library, and only plugins that use it load it. What belongs here: the tables and their rows, the statements and what
differs in them between databases, what an error means, how a table that is there is continued, how a row is stored
once, what is wrong where none can be. A plugin wraps its driver's connection (`Connection`), makes its exceptions
`SqlError`s, and passes its hooks on to an `SqlWriter`.
"""

from typing import TYPE_CHECKING, Any

from btcore.sql.dialect import DIALECTS, MYSQL, POSTGRESQL, SQLITE, Connection, Dialect, Value
from btcore.sql.errors import ErrorKind, SqlError, mysql_kind, postgresql_kind
from btcore.sql.hooks import SqlHooks
from btcore.sql.row_text import row_writer
from btcore.sql.table import Schema
from btcore.sql.writer import SqlWriter, check_format, check_table_name

if TYPE_CHECKING:
    from btcore.sql.reader import SqlReader

__all__ = [
    "DIALECTS",
    "MYSQL",
    "POSTGRESQL",
    "SQLITE",
    "Connection",
    "Dialect",
    "ErrorKind",
    "Schema",
    "SqlError",
    "SqlHooks",
    "SqlReader",
    "SqlWriter",
    "Value",
    "check_format",
    "check_table_name",
    "mysql_kind",
    "postgresql_kind",
    "row_writer",
]


if not TYPE_CHECKING:  # a type checker would believe that there is every name

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class
        """Import what reads a database: most only store in it."""
        if name != "SqlReader":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from btcore.sql.reader import SqlReader  # noqa: PLC0415

        return SqlReader

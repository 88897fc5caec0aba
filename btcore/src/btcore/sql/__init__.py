# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing in SQL databases and reading from them, for plugins that bring a driver: all that is not the driver.

Public, as `btcore` itself: `from btcore.sql import SqlWriter, Connection, SqlError`. It needs nothing but the standard
library, and only plugins that use it load it. What belongs here: the tables and their rows, the statements and what
differs in them between databases, what an error means, how a table that is there is continued, how a row is stored
once, what is wrong where none can be. A plugin wraps its driver's connection (`Connection`), makes its exceptions
`SqlError`s, and passes its hooks on to an `SqlWriter`.
"""

from btcore.sql.dialect import DIALECTS, MYSQL, POSTGRESQL, SQLITE, Connection, Dialect, Value
from btcore.sql.errors import ErrorKind, SqlError, mysql_kind, postgresql_kind
from btcore.sql.hooks import SqlHooks
from btcore.sql.reader import SqlReader
from btcore.sql.row_text import row_writer
from btcore.sql.table import Schema
from btcore.sql.writer import SqlWriter, check_format, check_table_name

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

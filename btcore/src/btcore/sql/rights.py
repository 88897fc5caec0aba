# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the user has the rights that storing rows needs, found out by statements that change nothing."""

from collections.abc import Iterator, Sequence

from btcore.sql.dialect import Connection, Dialect
from btcore.sql.errors import ErrorKind, SqlError

NOWHERE = "btcore_rights"
"""A table that does not exist: whether it may be used is looked at before whether it is there."""

ALLOWED = frozenset({ErrorKind.STATEMENT, ErrorKind.NO_TABLE})
"""What statements that are allowed, and do nothing, may end with."""


def check_rights(connection: Connection, dialect: Dialect, tables: Sequence[str], *, deletes: bool) -> None:
    """Raise SqlError for a right that is missing: to store into these tables, or with none of them to create tables."""
    for statement in _statements(dialect, tables, deletes=deletes):
        try:
            with connection.transaction():
                connection.execute(statement)
        except SqlError as error:
            if error.kind not in ALLOWED:
                raise


def _statements(dialect: Dialect, tables: Sequence[str], *, deletes: bool) -> Iterator[str]:
    if not tables:
        # a table cannot have two columns of one name: it is not created, but only where it might have been
        integer = dialect.types["integer"]
        yield f"CREATE TABLE {dialect.quote_name(NOWHERE)} (a {integer}, a {integer})"
    for name in map(dialect.quote_name, tables or (NOWHERE,)):
        yield f"INSERT INTO {name} SELECT * FROM {name} WHERE 1 = 0"  # noqa: S608 - names are quoted
        if deletes:
            yield f"DELETE FROM {name} WHERE 1 = 0"  # noqa: S608 - as above

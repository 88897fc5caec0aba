# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a database: the way to it, the account, its rights, a table. Nothing is created or stored.

Rights are found out by statements that change nothing; `check --create` tries them too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

from btcore.errors import Stop
from btcore.findings import Finding
from btcore.sql.dialect import SQLITE, Connection, Dialect
from btcore.sql.errors import ErrorKind, SqlError
from btcore.sql.existing import find_table
from btcore.sql.preparation import Preparation
from btcore.sql.table import Table

ADVICE: Mapping[ErrorKind, str] = {
    ErrorKind.CREDENTIALS: "Correct the user and the password",
    ErrorKind.PERMISSION: "Have an administrator give the right",
    ErrorKind.ADDRESS: "Correct what says where the database is",
    ErrorKind.DAMAGED: "Repair it, or name another database",
    ErrorKind.STATEMENT: "Name another `table`, or another database",
}

NOWHERE = "btcore_rights"
"""A table that does not exist: whether it may be used is looked at before whether it is there."""

ALLOWED = frozenset({ErrorKind.STATEMENT, ErrorKind.EXISTS, ErrorKind.NO_TABLE})
"""What statements that are allowed, and do nothing, may end with."""

UNREACHABLE = "Check that the server runs, and what says where it is; readings wait meanwhile"


def diagnose_sink(
    connect: Callable[[], Connection], dialect: Dialect, where: str, tables: Sequence[Table], *, deletes: bool
) -> Iterator[Finding]:
    """Yield what keeps a sink from storing into these tables, of which some may be there."""
    try:
        with closing(connect()) as connection:
            preparation = Preparation(connection, dialect, where, set())
            found = [(table, find_table(connection, dialect, table.name)) for table in tables]
            there = {table.name: (table, known) for table, known in found if known is not None}
            for table, known in there.values():
                preparation.check_is_ours(table, known)
            if dialect is not SQLITE:  # a file has no rights within, and these statements would lock it
                check_rights(connection, dialect, list(there), deletes=deletes)
    except SqlError as error:
        yield from describe(error, dialect)


def diagnose_source(open_and_look: Callable[[], None], dialect: Dialect) -> Iterator[Finding]:
    """Yield what keeps a source from reading its tables; `open_and_look` raises it."""
    try:
        open_and_look()
    except Stop as error:
        yield Finding("wrong-table", str(error), "Correct `table` or `format`, or name another database")
    except SqlError as error:
        yield from describe(error, dialect)


def describe(error: SqlError, dialect: Dialect) -> Iterator[Finding]:
    """Yield the finding of an error; none where something is only not there yet."""
    if error.kind is ErrorKind.NO_DATABASE or (dialect is SQLITE and error.kind is ErrorKind.UNAVAILABLE):
        return
    advice = ADVICE.get(error.kind, UNREACHABLE)
    if error.kind is ErrorKind.CREDENTIALS:
        yield Finding("credentials", str(error), advice)
    elif error.kind is ErrorKind.PERMISSION:
        yield Finding("database-rights", str(error), advice)
    elif error.kind is ErrorKind.STATEMENT:
        yield Finding("wrong-table", str(error), advice)
    elif error.kind in {ErrorKind.ADDRESS, ErrorKind.DAMAGED}:
        yield Finding("sink-database", str(error), advice)
    else:
        yield Finding("unreachable", str(error), advice)


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

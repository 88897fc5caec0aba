# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting by SQLAlchemy, and the connection as `btcore.sql` wants it. What is stored is `btcore.sql`'s.

Statements are sent as they are (`exec_driver_sql`): they are made for each database already.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from btcore.sql import ErrorKind, SqlError, Value, mysql_kind, postgresql_kind
from btmon_sql.address import Address
from btmon_sql.copying import copy_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection as AlchemyConnection

CONNECT_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    # a network that swallows everything is noticed after a minute
    "psycopg": {"connect_timeout": 10, "tcp_user_timeout": 60_000, "application_name": "btcore"},
    "psycopg2": {"connect_timeout": 10, "tcp_user_timeout": 60_000, "application_name": "btcore"},
    "pymysql": {"connect_timeout": 10, "read_timeout": 300, "write_timeout": 300, "charset": "utf8mb4"},
    "pysqlite": {"timeout": 2.0, "isolation_level": None},
    "": {"timeout": 2.0, "isolation_level": None},
}
"""By driver."""

FIRST_STATEMENTS: Mapping[str, Sequence[str]] = {
    "mysql": ("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",),
    "sqlite": ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"),
    "postgresql": (),
}
"""By database: strict, so that a number that does not fit is refused and not cut; safe where the power fails."""

BEGIN: Mapping[str, str] = {"sqlite": "BEGIN IMMEDIATE"}

COPYING = "psycopg"
"""The driver that speaks PostgreSQL's COPY."""

MAINTENANCE: Mapping[str, str | None] = {"postgresql": "postgres", "mysql": None}
"""The database from which another one is created."""

AT_CONNECTING: Mapping[str, ErrorKind] = {
    r"certificate verify failed|does not match host name": ErrorKind.UNTRUSTED,
    r"root certificate file .* does not exist": ErrorKind.ADDRESS,
    r"does not exist$": ErrorKind.NO_DATABASE,
    r"password authentication failed|no password supplied|no pg_hba.conf entry|role \S+ is not permitted|"
    r"role \S+ does not exist|authentication failed": ErrorKind.CREDENTIALS,
    r"permission denied": ErrorKind.PERMISSION,
    r"^(?:connection is bad: )?invalid ": ErrorKind.ADDRESS,  # port, sslmode, an option that there is not
}
"""What PostgreSQL says before there is a connection has no SQLSTATE: it is known by its words."""

SQLITE_KINDS: Mapping[int, ErrorKind] = {
    sqlite3.SQLITE_BUSY: ErrorKind.CONFLICT,
    sqlite3.SQLITE_LOCKED: ErrorKind.CONFLICT,
    sqlite3.SQLITE_FULL: ErrorKind.SPACE,
    sqlite3.SQLITE_IOERR: ErrorKind.UNAVAILABLE,
    sqlite3.SQLITE_CORRUPT: ErrorKind.DAMAGED,
}

GRANTS: Mapping[str, str] = {
    r"must be owner of (?:table|relation) (\S+)": 'ALTER TABLE "{0}" OWNER TO "{user}"',
    r"permission denied to create database": 'CREATE DATABASE "{database}" OWNER "{user}"',
    r"permission denied for database": 'GRANT CONNECT, CREATE ON DATABASE "{database}" TO "{user}"',
    r"permission denied for schema (\S+)": 'GRANT USAGE, CREATE ON SCHEMA "{0}" TO "{user}"',
    r"permission denied for (?:table|relation|view) (\S+)": 'GRANT SELECT, INSERT, DELETE ON "{0}" TO "{user}"',
    r".*": "GRANT SELECT, INSERT, DELETE, CREATE, ALTER, INDEX, CREATE VIEW ON `{database}`.* TO '{user}'",
}
"""By the server's words, the statement that gives the right: PostgreSQL's, and behind them MySQL's."""


@attrs.define(eq=False)
class SqlConnection:
    """An open connection. All methods but `close` raise SqlError."""

    address: Address
    connection: "AlchemyConnection"

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a query; return all its rows."""
        with translate_errors(self.address), self._own_transaction():
            return [tuple(row) for row in self.connection.exec_driver_sql(sql, tuple(values))]

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; return how many rows it concerned."""
        with translate_errors(self.address), self._own_transaction():
            return int(self.connection.exec_driver_sql(sql, tuple(values)).rowcount)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run an INSERT for each row; on PostgreSQL by one COPY, which takes half the time."""
        with translate_errors(self.address), self._own_transaction():
            if self.connection.dialect.driver == COPYING and copy_rows(self.connection, sql, rows):
                return
            self.connection.exec_driver_sql(sql, [tuple(row) for row in rows])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction: all of it or nothing."""
        with translate_errors(self.address):
            transaction = self.connection.begin()
        try:
            if begin := BEGIN.get(self.address.dialect.name):
                self.execute(begin)
            yield
            with translate_errors(self.address):
                transaction.commit()
        except BaseException:
            with suppress(Exception):  # a connection that is lost has ended it already
                transaction.rollback()
            raise

    def close(self) -> None:
        """Close it."""
        with suppress(Exception):  # whatever a driver raises about a connection that is gone
            self.connection.close()
            self.connection.engine.dispose()

    @contextmanager
    def _own_transaction(self) -> Iterator[None]:
        """Outside of `transaction`, end what SQLAlchemy has begun by itself."""
        if self.connection.in_transaction():
            yield
            return
        try:
            yield
            self.connection.commit()
        except BaseException:
            with suppress(Exception):  # a connection that is lost has ended it already
                self.connection.rollback()
            raise


def connect(address: Address, *, create: bool = True) -> SqlConnection:
    """Connect, and create the database if it does not exist and may be created. Raises SqlError."""
    if not create and address.dialect.name == "sqlite" and not Path(address.database).exists():
        raise SqlError(ErrorKind.UNAVAILABLE, f"there is no file {address.database}: it is read once it is there")
    if not create and address.dialect.name == "sqlite":
        return _read_only(address)
    try:
        return _connect(address)
    except SqlError as error:
        if not create or error.kind is not ErrorKind.NO_DATABASE or address.dialect.name not in MAINTENANCE:
            raise
    try:
        _create(address)
    except SqlError as error:
        with suppress(SqlError):  # another worker, or another program, has created it meanwhile
            return _connect(address)
        raise error from None
    return _connect(address)


def _read_only(address: Address) -> SqlConnection:
    """Connect to a file of which nothing is changed, and which may be damaged."""
    connection = _connect(address, statements=("PRAGMA query_only = ON",))
    driver: Any = connection.connection.connection.driver_connection
    driver.text_factory = partial(bytes.decode, errors="replace")
    return connection


def _connect(address: Address, *, autocommit: bool = False, statements: Sequence[str] | None = None) -> SqlConnection:
    from sqlalchemy import create_engine  # noqa: PLC0415 - see address.py
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    arguments = dict(CONNECT_ARGUMENTS.get(address.url.drivername.partition("+")[2], {}))
    options = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    with translate_errors(address):
        engine = create_engine(address.url, poolclass=NullPool, connect_args=arguments, **options)
        connection = SqlConnection(address, engine.connect())
    for statement in FIRST_STATEMENTS[address.dialect.name] if statements is None else statements:
        connection.execute(statement)
    return connection


def _create(address: Address) -> None:
    """Create the database."""
    first = attrs.evolve(address, url=address.url.set(database=MAINTENANCE[address.dialect.name]))
    connection = _connect(first, autocommit=True)
    try:
        with translate_errors(address):  # so that a missing right is told of the database that was to be created
            name = address.dialect.quote_name(address.database)
            connection.connection.exec_driver_sql(f"CREATE DATABASE {name}")
    finally:
        connection.close()


@contextmanager
def translate_errors(address: Address) -> Iterator[None]:
    """Make SqlErrors of the errors of SQLAlchemy; others pass unchanged."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError  # noqa: PLC0415 - see address.py

    try:
        yield
    except DBAPIError as error:
        words = _words(error.orig, address)
        kind = ErrorKind.LOST if error.connection_invalidated else _kind(error.orig, words, address)
        raise SqlError.at(address.where, kind, words, _grant(words, address)) from error
    except SQLAlchemyError as error:
        raise SqlError.at(address.where, ErrorKind.STATEMENT, _words(error, address)) from error


def _words(error: BaseException | None, address: Address) -> str:
    """Return the driver's words on one line, without the password."""
    first = " ".join(str(error).split())
    return first.replace(address.secret, "***") if address.secret else first


def _kind(error: BaseException | None, words: str, address: Address) -> ErrorKind:
    name = address.dialect.name
    if name == "mysql":
        return mysql_kind(error.args[0] if error and error.args else None, words)
    if name == "sqlite":
        return _sqlite_kind(error, words)
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if sqlstate:
        return postgresql_kind(str(sqlstate))
    return next((kind for part, kind in AT_CONNECTING.items() if re.search(part, words)), ErrorKind.UNAVAILABLE)


def _sqlite_kind(error: BaseException | None, words: str) -> ErrorKind:
    if "no such table" in words:
        return ErrorKind.NO_TABLE
    if "has no column named" in words or "no such column" in words:
        return ErrorKind.NO_COLUMN
    if "UNIQUE constraint failed" in words:
        return ErrorKind.DUPLICATE
    if "unable to open database file" in words or "file is not a database" in words:
        return ErrorKind.ADDRESS
    return SQLITE_KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, ErrorKind.STATEMENT)


def _grant(words: str, address: Address) -> str:
    """Return the statement by which an administrator gives what is missing."""
    for part, statement in GRANTS.items():
        if found := re.search(part, words):
            names = (group.strip('"') for group in found.groups())
            return statement.format(*names, database=address.database, user=address.user)
    return ""

# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: connecting to it, its database, and the rights of the user there.

PyMySQL is imported here alone. What is stored is `btcore.sql`'s.
"""

import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import attrs
import pymysql

from btcore.sql import MYSQL, ErrorKind, SqlError, Value, mysql_kind, row_writer

Ssl = Literal["preferred", "required", "verify", "off"]

CONNECT_TIMEOUT = 10
ANSWER_TIMEOUT = 300
"""Seconds; adding a column or an index to a table of ten years takes minutes."""

MAX_STATEMENT = 500_000
"""Characters of a statement; a server takes a million at least (max_allowed_packet)."""

SQL_MODE = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
"""Strict: a number that does not fit is refused, and not cut."""

RIGHTS = "SELECT, INSERT, DELETE, CREATE, ALTER, INDEX, CREATE VIEW"

GRANT = "GRANT {rights} ON {database}.* TO {account}"

NO_CRYPTOGRAPHY = (
    '{where} asks for the password in a way that needs encryption: set ssl = "required", or pip install cryptography'
)


@attrs.frozen
class Server:
    """Where a database is, and as whom it is used. `where` is its name in messages."""

    host: str
    port: int
    user: str
    password: str = attrs.field(repr=False)
    database: str
    unix_socket: str = ""
    ssl: Ssl = "preferred"
    ssl_ca: Path | None = None

    @property
    def address(self) -> str:
        """Where the server is."""
        return self.unix_socket or f"{self.host}:{self.port}"

    @property
    def where(self) -> str:
        """Name the database in a message."""
        return f"database {self.database} at {self.address}"

    def connect(self, *, create: bool = True) -> "MysqlConnection":
        """Connect, and create the database if it does not exist and may be created. Raises SqlError."""
        connection = MysqlConnection(self, self._open())
        try:
            connection.use(create=create)
        except BaseException:
            connection.close()
            raise
        return connection

    def grant(self, account: str) -> str:
        """Return the statement that gives an account all rights that are needed."""
        return GRANT.format(rights=RIGHTS, database=MYSQL.quote_name(self.database).replace("%%", "%"), account=account)

    def _open(self) -> "pymysql.Connection[Any]":
        with translate_errors(self):
            try:
                return pymysql.connect(**self._arguments())
            except RuntimeError as error:  # PyMySQL's way to say that a package is missing
                raise SqlError(ErrorKind.CREDENTIALS, NO_CRYPTOGRAPHY.format(where=self.where)) from error

    def _arguments(self) -> dict[str, Any]:
        timeouts = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": ANSWER_TIMEOUT, "write_timeout": ANSWER_TIMEOUT}
        return {
            "host": self.host,
            "port": self.port,
            "unix_socket": self.unix_socket or None,
            "user": self.user,
            "password": self.password,
            "charset": "utf8mb4",
            "init_command": f"SET SESSION sql_mode = '{SQL_MODE}'",
            **timeouts,
            **self._encryption(),
        }

    def _encryption(self) -> dict[str, Any]:
        if self.ssl == "off":
            return {"ssl_disabled": True}
        if self.ssl == "preferred":
            return {}
        try:
            context = ssl.create_default_context(cafile=str(self.ssl_ca) if self.ssl_ca else None)
        except OSError as error:
            raise SqlError(
                ErrorKind.ADDRESS, f"{self.ssl_ca} has no certificates ({error}): correct `ssl_ca`"
            ) from error
        if self.ssl == "required":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return {"ssl": context}


@attrs.define(eq=False)
class MysqlConnection:
    """An open connection. All methods but `close` raise SqlError."""

    server: Server
    connection: "pymysql.Connection[Any]"
    account: str = ""
    is_in_transaction: bool = False

    def use(self, *, create: bool) -> None:
        """Use the database; create it if it does not exist and may be created."""
        self.account = _quote_account(self.query("SELECT CURRENT_USER()")[0][0])
        name = MYSQL.quote_name(self.server.database)
        try:
            self.execute(f"USE {name}")
        except SqlError as error:
            if error.kind is not ErrorKind.NO_DATABASE or not create:
                raise
            self.execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4")
            self.execute(f"USE {name}")

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a query; return all its rows."""
        with translate_errors(self.server, self.account), self.connection.cursor() as results:
            results.execute(sql, tuple(values))
            rows = list(results.fetchall())
            if not self.is_in_transaction:
                self.connection.commit()  # or the next query would see what this one saw
            return rows

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; return how many rows it concerned."""
        with translate_errors(self.server, self.account), self.connection.cursor() as results:
            return int(results.execute(sql, tuple(values)))

    def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run an INSERT for each row, as few long statements."""
        beginning, _, _ = sql.rpartition(" VALUES ")
        escape = self.connection.escape
        with translate_errors(self.server, self.account), self.connection.cursor() as results:
            for statement in long_statements(f"{beginning.replace('%%', '%')} VALUES ", rows, escape):
                results.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction: all of it or nothing (in tables of the engine InnoDB)."""
        with translate_errors(self.server, self.account):
            self.connection.begin()
        self.is_in_transaction = True
        try:
            yield
            with translate_errors(self.server, self.account):
                self.connection.commit()
        except BaseException:
            with suppress(pymysql.Error):  # a connection that is lost has ended it already
                self.connection.rollback()
            raise
        finally:
            self.is_in_transaction = False

    def close(self) -> None:
        """Close it."""
        with suppress(pymysql.Error):
            self.connection.close()


def long_statements(beginning: str, rows: Iterable[Sequence[Value]], escape: Callable[[str], str]) -> Iterator[str]:
    """Yield statements that store many rows each: PyMySQL's own way takes three times as long at least.

    A number is one that a reading may have: no NaN, not infinite.
    """
    parts: list[str] = []
    size = 0
    write = row_writer(",", "NULL", escape)
    for row in rows:
        part = f"({write(row)})"
        if parts and size + len(part) > MAX_STATEMENT:
            yield beginning + ",".join(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield beginning + ",".join(parts)


@contextmanager
def translate_errors(server: Server, account: str = "") -> Iterator[None]:
    """Make SqlErrors of the errors of PyMySQL; others pass unchanged."""
    try:
        yield
    except pymysql.Error as error:
        code, text = (*error.args, "", "")[:2]
        # an answer that PyMySQL does not understand has no code: the connection is of no more use
        kind = mysql_kind(code, str(text)) if isinstance(code, int) else ErrorKind.LOST
        account = account or f"'{server.user}'"
        words = f"{code}: {text}" if text else str(code or "it is closed")
        raise SqlError.at(server.where, kind, words, server.grant(account)) from error


def _quote_account(account: str) -> str:
    """Quote `user@host`, as the server tells it, for a statement."""
    user, _, host = account.rpartition("@")
    return f"'{user}'@'{host}'"

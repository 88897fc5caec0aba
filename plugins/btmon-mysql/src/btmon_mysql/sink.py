# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. Connecting is `server.py`'s; what is stored is `btcore.sql`'s."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from btcore import (
    Claim,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Secret,
    plugin,
    setting,
)
from btcore.sql import MYSQL, Schema, SqlHooks, SqlReader, SqlWriter, check_format, check_table_name
from btmon_mysql.server import Server, Ssl


@plugin(api=1)
class Mysql(SqlHooks):
    """Stores readings in a MySQL or MariaDB database, in tables laid out as btmon's."""

    host: str = setting(default="localhost", help="the server's name or address")
    port: int = setting(
        default=3306,
        help="its TCP port",
        validator=attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(65535)),
    )
    unix_socket: str = setting(default="", help="connect by this socket of the server's computer, instead of TCP")
    user: str = setting(help="the user's name", example="btcore")
    password: Secret = setting(default=Secret(""), help="the user's password")
    database: str = setting(
        help="the database; it is created if it does not exist",
        example="energy",
        validator=attrs.validators.min_len(1),
    )
    ssl: Ssl = setting(
        default="preferred",
        help="encryption: preferred (where the server offers it), required, verify (the server's certificate), off",
    )
    ssl_ca: Path | None = setting(default=None, help="the certificates to trust with verify; left out: the system's")
    schema: Schema = setting(
        default="counters",
        help="counters: every reading, with all its counters; ecmread: amperes and watts; ecmreadext: energies as well;"
        " samples: a row for each channel and interval",
    )
    table: str = setting(
        default="",
        help="the table; empty: one for each packet format, named FORMAT_SCHEMA (of samples: samples)",
        validator=check_table_name,
    )
    retention: Duration = setting(default=Duration(0), help="as a sink: delete rows that are older; 0: never")
    format: str = setting(
        default="",
        help="as a source: the packet format of the table's rows; empty: as the table's name says",
        validator=check_format,
    )
    poll_interval: Duration = setting(
        default=Duration(60), help="as a source: how often new rows are asked for", validator=attrs.validators.gt(0)
    )
    _server: Server = attrs.field(init=False, repr=False)
    _writer: SqlWriter = attrs.field(init=False, repr=False)
    _reader: SqlReader = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Begin without a connection."""
        self._server = Server(
            *(self.host, self.port, self.user, self.password.reveal(), self.database),
            *(self.unix_socket, self.ssl, self.ssl_ca),
        )
        self._writer = SqlWriter(
            MYSQL, self.schema, self.table, self._server.where, self._server.connect, retention=self.retention
        )
        self._reader = SqlReader(
            *(MYSQL, self.table, self.format, self._server.where, self.poll_interval),
            connect=lambda: self._server.connect(create=False),
        )

    def check(self) -> Iterator[Problem]:
        """Find certificates that are given and not used, or not there."""
        if self.ssl_ca and self.ssl != "verify":
            yield Problem('it is used with ssl = "verify" alone', key="ssl_ca")
        elif self.ssl_ca and not self.ssl_ca.is_file():
            yield Problem(f"there is no file {self.ssl_ca}", key="ssl_ca")
        yield from self._writer.check()

    def claims(self) -> Iterator[Claim]:
        """Claim the tables of the database."""
        return self._writer.claims(f"{self.database} at {self._server.address}", key="database")

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the server takes the user; nothing is stored."""
        from btmon_mysql.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self._server)

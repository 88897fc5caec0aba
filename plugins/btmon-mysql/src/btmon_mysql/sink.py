# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. Connecting is `server.py`'s; what is stored is `btcore.sql`'s."""

from collections.abc import Iterator
from pathlib import Path

import attrs

from btcore import (
    Claim,
    Problem,
    Secret,
    file_problems,
    host_problems,
    plugin,
    setting,
)
from btcore.sql import MYSQL, SqlHooks
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
    _server: Server = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Begin without a connection."""
        self._server = Server(
            *(self.host, self.port, self.user, self.password.reveal(), self.database),
            *(self.unix_socket, self.ssl, self.ssl_ca),
        )
        server = self._server
        self.connect_by(MYSQL, server.where, server.connect, lambda: server.connect(create=False))

    def check(self) -> Iterator[Problem]:
        """Find a host that is none, and certificates that are given and not used, or not there."""
        if not self.unix_socket:
            yield from host_problems(self, "host")
        if self.ssl_ca and self.ssl != "verify":
            yield Problem('it is used with ssl = "verify" alone', key="ssl_ca")
        else:
            yield from file_problems(self, "ssl_ca")
        yield from super().check()

    def claims(self) -> Iterator[Claim]:
        """Claim the tables of the database."""
        return self._writer.claims(f"{self.database} at {self._server.address}", key="database")

# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. Connecting is `connection.py`'s; what is stored is `btcore.sql`'s."""

import os
from collections.abc import Iterator
from typing import Any

import attrs

from btcore import (
    Claim,
    Problem,
    Secret,
    plugin,
    setting,
)
from btcore.sql import SqlHooks
from btmon_sql.address import Address, driver_problem, parse_address
from btmon_sql.connection import connect


def check_url(_instance: object, _attribute: Any, url: Secret) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what is no URL of a database."""
    parse_address(url.reveal())


@plugin(api=1)
class Sql(SqlHooks):
    """Stores readings in a database that a URL names: PostgreSQL, MySQL, MariaDB or SQLite."""

    url: Secret = setting(
        help="the database, as SQLAlchemy has it; it is created if it does not exist",
        example='"postgresql+psycopg://btcore@localhost/energy"',
        validator=check_url,
    )
    password: Secret = setting(default=Secret(""), help="the user's password; left out: the one in the URL")
    _address: Address = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Begin without a connection."""
        self._address = address = parse_address(self.url.reveal(), self.password.reveal())
        self.connect_by(
            address.dialect, address.where, lambda: connect(address), lambda: connect(address, create=False)
        )

    def check(self) -> Iterator[Problem]:
        """Find a driver that is not installed."""
        if problem := driver_problem(self._address):
            yield Problem(problem, key="url")
        yield from super().check()

    def claims(self) -> Iterator[Claim]:
        """Claim the tables of the database, by the names that other plugins have for it."""
        address = self._address
        file = os.path.realpath(address.database)
        return self._writer.claims(f"{address.database} at {address.server}" if address.server else file, key="url")

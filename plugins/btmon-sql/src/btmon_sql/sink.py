# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. Connecting is `connection.py`'s; what is stored is `btcore.sql`'s."""

import os
from collections.abc import Iterator
from threading import Event
from typing import Any

import attrs

from btcore import (
    Batch,
    Claim,
    Context,
    Duration,
    Format,
    Problem,
    Reading,
    Secret,
    SourceCheckpoint,
    hookimpl,
    plugin,
    setting,
)
from btcore.sql import Schema, SqlReader, SqlWriter, check_format, check_table_name
from btmon_sql.address import Address, driver_problem, parse_address
from btmon_sql.connection import connect


def check_url(_instance: object, _attribute: Any, url: Secret) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what is no URL of a database."""
    parse_address(url.reveal())


SOURCE = "source."
"""What the name of a source's table begins with."""


@plugin(api=1)
class Sql:
    """Stores readings in a database that a URL names: PostgreSQL, MySQL, MariaDB or SQLite."""

    url: Secret = setting(
        help="the database, as SQLAlchemy has it; it is created if it does not exist",
        example='"postgresql+psycopg://btcore@localhost/energy"',
        validator=check_url,
    )
    password: Secret = setting(default=Secret(""), help="the user's password; left out: the one in the URL")
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
    _address: Address = attrs.field(init=False, repr=False)
    _writer: SqlWriter = attrs.field(init=False, repr=False)
    _reader: SqlReader = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Begin without a connection."""
        self._address = address = parse_address(self.url.reveal(), self.password.reveal())
        self._writer = SqlWriter(
            *(address.dialect, self.schema, self.table, address.where, lambda: connect(address)),
            retention=self.retention,
        )
        self._reader = SqlReader(
            *(address.dialect, self.table, self.format, address.where, self.poll_interval),
            connect=lambda: connect(address, create=False),
        )

    def check(self) -> Iterator[Problem]:
        """Find a driver that is not installed."""
        if problem := driver_problem(self._address):
            yield Problem(problem, key="url")
        yield from self._writer.check()

    def claims(self) -> Iterator[Claim]:
        """Claim the tables of the database, by the names that other plugins have for it."""
        address = self._address
        file = os.path.realpath(address.database)
        return self._writer.claims(f"{address.database} at {address.server}" if address.server else file, key="url")

    @hookimpl
    def create_storage(self, context: Context, formats: tuple[Format, ...]) -> list[str]:
        """Create the database and its tables."""
        return self._writer.create(context, formats)

    @hookimpl
    def open(self, context: Context) -> None:
        """Connect. Raises Retry where the server is not there, Stop where a person has to act."""
        (self._reader if context.name.startswith(SOURCE) else self._writer).open(context)

    @hookimpl
    def close(self) -> None:
        """End the connection."""
        self._writer.close()
        self._reader.close()

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        """Yield the readings of `counters` tables, those that are there and those that come."""
        return self._reader.collect(stop)

    @hookimpl
    def process_batch(self, batch: Batch) -> int | None:
        """Store what a batch holds, in one transaction, each row once however often the batch comes."""
        return self._writer.process_batch(batch)

    @hookimpl
    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Return serial number and key of what a batch holds that is stored already."""
        return self._writer.find_stored(batch)

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the rows that would be stored."""
        return self._writer.preview_batch(batch)

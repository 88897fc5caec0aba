# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of a plugin for SQL databases: the settings that all have, and what each hook passes on.

As a sink it passes on to its writer, as a source to its reader. A plugin adds what says where its database is.
"""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import TYPE_CHECKING

from btcore.classes import field
from btcore.errors import Problem
from btcore.formats import Format
from btcore.hookspecs import hookimpl
from btcore.records import Batch, Reading, SourceCheckpoint
from btcore.settings import Context, Duration, plugin
from btcore.settings import light_setting as setting
from btcore.sql.dialect import Connection, Dialect
from btcore.sql.table import Schema
from btcore.sql.writer import SqlWriter, check_format, check_table_name
from btcore.validators import gt

if TYPE_CHECKING:
    from btcore.findings import DiagnosisContext, Finding
    from btcore.sql.reader import SqlReader

SOURCE = "source."
"""What the name of a source's table begins with."""


@plugin(api=1)
class SqlHooks:
    """Base of such a plugin. It calls `connect_by` once it knows where its database is."""

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
        default=Duration(60), help="as a source: how often new rows are asked for", validator=gt(0)
    )
    _writer: SqlWriter = field(init=False, repr=False)
    _make_reader: "Callable[[], SqlReader]" = field(init=False, repr=False)
    _only_reader: "SqlReader | None" = field(init=False, default=None, repr=False)

    def connect_by(
        self, dialect: Dialect, where: str, connect: Callable[[], Connection], to_read: Callable[[], Connection]
    ) -> None:
        """Use these functions to connect: the first may create the database, the second creates nothing.

        Both raise SqlError. `where` names the database in messages.
        """
        self._writer = SqlWriter(dialect, self.schema, self.table, where, connect, retention=self.retention)

        def make_reader() -> "SqlReader":
            from btcore.sql.reader import SqlReader  # noqa: PLC0415 - few are sources

            return SqlReader(dialect, self.table, self.format, where, self.poll_interval, connect=to_read)

        self._make_reader = make_reader

    @property
    def _reader(self) -> "SqlReader":
        """Its reader, which it has from the first use on."""
        if self._only_reader is None:
            self._only_reader = self._make_reader()
        return self._only_reader

    def check(self) -> Iterator[Problem]:
        """Find what is wrong between the settings."""
        return self._writer.check()

    def diagnose(self, context: "DiagnosisContext") -> "Iterable[Finding]":
        """Find out whether the database can be reached and used; nothing is created or stored."""
        if context.name.startswith(SOURCE):
            return self._reader.diagnose(context)
        return self._writer.diagnose(self._reader.connect)

    @hookimpl
    def create_storage(self, context: Context, formats: tuple[Format, ...]) -> list[str]:
        """Create the database and its tables."""
        return self._writer.create(context, formats)

    @hookimpl
    def open(self, context: Context) -> None:
        """Connect. Raises Retry where the database is not to be reached, Stop where a person has to act."""
        (self._reader if context.name.startswith(SOURCE) else self._writer).open(context)

    @hookimpl
    def close(self) -> None:
        """End the connection."""
        self._writer.close()
        if self._only_reader is not None:
            self._only_reader.close()

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

# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. The file is opened in `database.py`; what is stored is `btcore.sql`'s."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from btcore import (
    Batch,
    Claim,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    hookimpl,
    plugin,
    setting,
)
from btcore.sql import SQLITE, Schema, SqlHooks, SqlReader, SqlWriter, check_format, check_table_name
from btmon_sqlite.database import SqliteConnection, open_file, open_to_read
from btmon_sqlite.errors import path_problem


# a commit writes at least two pages and waits for the disk: one for each reading wears out an SD card
@plugin(api=1, delivery=Delivery(flush_interval=Duration(60)))
class Sqlite(SqlHooks):
    """Stores readings in an SQLite file, in tables laid out as btmon's."""

    file: Path = setting(help="the database file; it is created if it does not exist", example="energy.db")
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
    _writer: SqlWriter = attrs.field(init=False, repr=False)
    _reader: SqlReader = attrs.field(init=False, repr=False)
    _connection: SqliteConnection | None = attrs.field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        """Begin without a connection."""
        self._writer = SqlWriter(
            SQLITE, self.schema, self.table, str(self.file), self._connect, retention=self.retention
        )
        self._reader = SqlReader(
            *(SQLITE, self.table, self.format, str(self.file), self.poll_interval),
            connect=lambda: open_to_read(self.file),
        )

    def check(self) -> Iterator[Problem]:
        """Find a path that is a directory, and a directory that does not exist or is not writable for a service."""
        if self.file.is_dir():
            yield Problem(f"{self.file} is a directory: name a file, such as {self.file / 'energy.db'}", key="file")
        elif problem := path_problem(self.file):
            yield Problem(problem, key="file", warning=True)
        yield from self._writer.check()

    def claims(self) -> Iterator[Claim]:
        """Claim the tables of the file."""
        return self._writer.claims(os.path.realpath(self.file), key="file")

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the file can be written, or read. It is not made, and nothing in it is changed."""
        from btmon_sqlite.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self.file, is_written=not context.name.startswith("source."))

    @hookimpl
    def process_batch(self, batch: Batch) -> int | None:
        """Store what a batch holds, in one transaction, each row once however often the batch comes."""
        self._close_if_gone()
        return super().process_batch(batch)

    @hookimpl
    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Return serial number and key of what a batch holds that is stored already."""
        self._close_if_gone()
        return super().find_stored(batch)

    def _close_if_gone(self) -> None:
        """Close a file that was moved or deleted: a new one is opened."""
        if self._writer.is_open and self._connection is not None and self._connection.is_gone:
            self._writer.log.warning("%s was moved or deleted: a new file is created", self.file)
            self._writer.close()

    def _connect(self) -> SqliteConnection:
        self._connection = open_file(self.file)
        return self._connection

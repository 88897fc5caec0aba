# SPDX-License-Identifier: GPL-3.0-or-later
"""The hooks of a plugin for SQL databases: what each passes on to its writer, as a sink, or its reader, as a source."""

from collections.abc import Iterator
from threading import Event

from btcore.formats import Format
from btcore.hookspecs import hookimpl
from btcore.records import Batch, Reading, SourceCheckpoint
from btcore.settings import Context
from btcore.sql.reader import SqlReader
from btcore.sql.writer import SqlWriter

SOURCE = "source."
"""What the name of a source's table begins with."""


class SqlHooks:
    """Base of such a plugin, which has settings, and makes `_writer` and `_reader` of them."""

    _writer: SqlWriter
    _reader: SqlReader

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

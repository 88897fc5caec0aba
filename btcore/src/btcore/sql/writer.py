# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sinks for SQL databases do: store batches through a connection that comes and goes.

A plugin has the settings, the driver, and one `SqlWriter`, to which its hooks pass on what they are given.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from logging import Logger, getLogger
from typing import TYPE_CHECKING, Any, TypeVar

from btcore.classes import define, field
from btcore.decode.brultech import FORMATS
from btcore.errors import Problem
from btcore.formats import Format
from btcore.records import Batch
from btcore.settings import Claim, Context
from btcore.sql.database import Database
from btcore.sql.dialect import Connection, Dialect
from btcore.sql.errors import AT_ONCE, DISCONNECTED, SqlError
from btcore.sql.table import Record, Schema, Table, describe_row, records_of, wide_table, wide_tables

if TYPE_CHECKING:
    from btcore.findings import Finding
    from btcore.sql.retention import Retention
    from btcore.sql.samples import SamplesTable

Done = TypeVar("Done")

LONGEST_TABLE = 60
LONGEST_TABLE_WITH_VIEWS = 54
"""Bytes of a table's name; with `_monthly` a name has to be shorter than 64."""

SHORTEST_RETENTION = 86_400.0
"""Seconds: less than a day would delete what was just stored."""


@define(eq=False)
class SqlWriter:
    """Stores the batches of one sink. `connect` opens a connection; it raises SqlError. `where` names the database."""

    dialect: Dialect
    schema: Schema
    table: str
    where: str
    connect: Callable[[], Connection]
    retention: float = 0.0
    _context: Context = field(init=False, factory=lambda: Context("sink", getLogger(__name__)))
    _database: Database | None = field(init=False, default=None)
    _retention: "Retention | None" = field(init=False, default=None)
    _reported: set[str] = field(init=False, factory=set)
    _samples: "SamplesTable | None" = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """Begin without a connection."""
        if self.retention:
            from btcore.sql.retention import Retention  # noqa: PLC0415 - most rows are never deleted

            others = [] if self.table or self.schema == "samples" else self.tables(FORMATS.values())
            self._retention = Retention(self.retention, others)

    @property
    def log(self) -> Logger:
        """The sink's logger."""
        return self._context.log

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._database is not None

    def open(self, context: Context) -> None:
        """Connect, but not in a dry run. Raises Retry, or Stop where a person has to act."""
        self._context = context
        self._samples = None
        if not context.dry_run:
            self._run(lambda _database: None)

    def close(self) -> None:
        """Close the connection."""
        if self._database is not None:
            self._database.connection.close()
            self._database = None

    def process_batch(self, batch: Batch) -> int | None:
        """Store what a batch holds, in one transaction, each row once. Raises Retry, Reject or Stop."""
        if records := self._records(batch):
            self._run(lambda database: database.store(records))
            self._delete_old(records)
        return None if self.schema == "counters" else batch.sampled

    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Return serial number and key of what a batch holds that is stored already. Raises Retry or Stop."""
        records = self._records(batch)
        found = self._run(lambda database: database.find_stored(records)) if records else []
        return [(serial, key) for key, serial in found]

    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the rows that would be stored."""
        for table, records in self._records(batch).items():
            for record in records:
                yield from (describe_row(table, row) for row in table.rows(record, self.dialect))

    def create(self, context: Context, formats: Iterable[Format]) -> list[str]:
        """Create what is missing; return what was created, a line each. Raises Retry or Stop."""
        self._context = context
        from btcore.sql.diagnosis import check_rights  # noqa: PLC0415 - a run does not need it

        tables = self.tables(formats)
        created = self._run(lambda database: database.prepare(tables))
        names, deletes = [table.name for table in tables], bool(self.retention)
        self._run(lambda database: check_rights(database.connection, self.dialect, names, deletes=deletes))
        if not tables:
            created.append(f"{self.where} can be used; a table is created with the first reading of a packet format")
        return created

    def diagnose(self, connect: Callable[[], Connection]) -> "Iterator[Finding]":
        """Find out whether rows can be stored; `connect` opens a connection by which nothing is created."""
        from btcore.sql.diagnosis import diagnose_sink  # noqa: PLC0415 - as above

        tables = self.tables(FORMATS.values())
        return diagnose_sink(connect, self.dialect, self.where, tables, deletes=bool(self.retention))

    def tables(self, formats: Iterable[Format]) -> list[Table]:
        """Return the tables for readings of these formats."""
        if self.schema == "samples":
            return [self._samples_table()]
        return [wide_table(one, self.schema, self.table) for one in formats]

    def claims(self, database: str, key: str) -> Iterator[Claim]:
        """Claim the tables of a database for this sink."""
        for name in table_names(self.schema, self.table):
            # two sinks of one meter would each take the rows of the other for its own
            yield Claim(f"table {name.lower()} of {database}", key=key, per_meter=True)
            if self.retention:  # a source that reads the table claims these too: it would miss what is deleted
                yield Claim(f"old rows of table {name.lower()} of {database}", key="retention", per_meter=True)

    def check(self) -> Iterator[Problem]:
        """Find what is wrong between the settings."""
        if 0 < self.retention < SHORTEST_RETENTION:
            yield Problem("expected at least a day, or 0: nothing is deleted", key="retention")
        if self.schema == "samples" and len(self.table.encode()) > LONGEST_TABLE_WITH_VIEWS:
            problem = f"at most {LONGEST_TABLE_WITH_VIEWS} letters with this schema: its views have longer names"
            yield Problem(problem, key="table")

    def _records(self, batch: Batch) -> Mapping[Table, Sequence[Record]]:
        records = records_of(batch, self.schema)
        if self.schema != "samples":
            return wide_tables(records, self.schema, self.table)
        return {self._samples_table(): records} if records else {}

    def _samples_table(self) -> "SamplesTable":
        if self._samples is None:
            from btcore.sql.samples import SamplesTable  # noqa: PLC0415 - of one schema

            context = self._context
            self._samples = SamplesTable(self.table or "samples", context.channel_name, context.polarity)
        return self._samples

    def _run(self, work: Callable[[Database], Done]) -> Done:
        """Do something with the open database; once more at once where that may help."""
        try:
            try:
                return work(self._ensure_open())
            except SqlError as error:
                if error.kind not in AT_ONCE:
                    raise
                self._recover(error)
                return work(self._ensure_open())
        except SqlError as error:
            self._recover(error)
            raise error.outcome() from error

    def _recover(self, error: SqlError) -> None:
        if self._database is not None:
            self._database.forget()
        if error.kind in DISCONNECTED:
            self.close()

    def _ensure_open(self) -> Database:
        if self._database is None:
            self._database = Database(self.connect(), self.dialect, self.where, self.log, self._reported)
        return self._database

    def _delete_old(self, records: Mapping[Table, Sequence[Record]]) -> None:
        """Delete a slice of what is too old; a failure is reported, and delays no delivery."""
        if self._database is None or self._retention is None:
            return
        newest = max(reading.key for some in records.values() for reading, _ in some)
        try:
            self._retention.turn(self._database, newest)
        except SqlError as error:
            self._recover(error)
            self._retention.rest()
            self.log.warning("old rows were not deleted: %s", error)


def check_table_name(_instance: object, _attribute: Any, name: str) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what cannot be a table's name; for the `validator` of a setting."""
    is_short = bool(re.fullmatch(r"\w*", name)) and len(name.encode()) <= LONGEST_TABLE
    if not is_short or name.lower().startswith(("sqlite_", "pg_")):
        raise ValueError(
            "expected letters, digits and underscores, at most 60 (fewer of those beyond ASCII), not starting with"
            " sqlite_ or pg_"
        )


def check_format(_instance: object, _attribute: Any, name: str) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what is no packet format; for the `validator` of a setting."""
    if name and name not in FORMATS:
        raise ValueError(f"expected one of {', '.join(FORMATS)}, found {name}")


def table_names(schema: str, table: str) -> list[str]:
    """Return the tables that a sink may store into."""
    if table or schema == "samples":
        return [table or schema]
    return [f"FORMAT_{schema}", *(f"{one}_{schema}" for one in FORMATS)]

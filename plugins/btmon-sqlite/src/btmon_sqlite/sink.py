"""The sink: its settings and hooks. SQL is in `table.py` and `database.py`."""

import os
import re
from collections.abc import Iterable, Iterator
from logging import Logger, getLogger
from pathlib import Path
from typing import Any

import attrs

from btcore import FORMATS, Batch, Claim, Context, DiagnosisContext, Finding, Problem, hookimpl, plugin, setting
from btmon_sqlite.database import Database, open_database
from btmon_sqlite.errors import path_problem, translate_errors
from btmon_sqlite.table import Record, Schema, tables_for


def check_table_name(_instance: object, _attribute: Any, name: str) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what cannot be a table's name."""
    if name and (not re.fullmatch(r"\w+", name) or name.lower().startswith("sqlite_")):
        raise ValueError("expected letters, digits and underscores, not starting with sqlite_")


@plugin(api=1)
class Sqlite:
    """Stores readings in an SQLite file, in tables laid out as btmon's."""

    file: Path = setting(help="the database file; it is created if it does not exist", example="energy.db")
    schema: Schema = setting(
        default="counters",
        help="counters: every reading, with all its counters; ecmread: amperes and watts; ecmreadext: energies as well",
    )
    table: str = setting(
        default="", help="the table; empty: one for each packet format, named FORMAT_SCHEMA", validator=check_table_name
    )
    _log: Logger = attrs.field(init=False, factory=lambda: getLogger(__name__), repr=False)
    _database: Database | None = attrs.field(init=False, default=None, repr=False)

    def check(self) -> Iterator[Problem]:
        """Find a path that is a directory, and a directory that does not exist or is not writable for a service."""
        if self.file.is_dir():
            yield Problem(f"{self.file} is a directory: name a file, such as {self.file / 'energy.db'}", key="file")
        elif problem := path_problem(self.file):
            yield Problem(problem, key="file", warning=True)

    def claims(self) -> Iterator[Claim]:
        """Claim the tables: with two sinks on one table, the rows of the second would be taken for duplicates."""
        schema_columns = [f"FORMAT_{self.schema}", *(f"{one}_{self.schema}" for one in FORMATS)]
        file = os.path.realpath(self.file)
        for name in (
            [self.table.lower()] if self.table else schema_columns
        ):  # SQL does not tell capitals from small letters
            yield Claim(f"table {name} of {file}", key="file", per_meter=True)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the file can be written. It is not made, and nothing in it is changed."""
        from btmon_sqlite.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self.file)

    @hookimpl
    def open(self, context: Context) -> None:
        """Open the file. Raises Retry where it is locked, Stop where a person has to act."""
        self._log = context.log
        if not context.dry_run:
            self._ensure_open()

    @hookimpl
    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    @hookimpl
    def process_batch(self, batch: Batch) -> int | None:
        """Store what a batch holds, in one transaction, each row once however often the batch comes."""
        if records := tables_for(self._records(batch), self.schema, self.table):
            with translate_errors(self.file):
                self._ensure_open().store(records)
        return None if self.schema == "counters" else batch.sampled

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the rows that would be stored."""
        found = tables_for(self._records(batch), self.schema, self.table)
        return (table.describe(table.row(*record)) for table, records in found.items() for record in records)

    def _ensure_open(self) -> Database:
        if self._database is not None and self._database.is_gone:
            self._log.warning("%s was moved or deleted: a new file is created", self.file)
            self.close()
        if self._database is None:
            with translate_errors(self.file):
                self._database = open_database(self.file, self._log)
        return self._database

    def _records(self, batch: Batch) -> Iterator[Record]:
        """Yield the records that the rows of a batch are made of."""
        if self.schema == "counters":
            return ((reading, reading) for reading in batch.readings)
        return ((sample.newer, sample) for sample in batch.samples)

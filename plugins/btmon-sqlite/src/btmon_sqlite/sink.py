"""The sink: its settings, and what it does with a batch. SQL is in `table.py` and `database.py`."""

import os
import re
from collections.abc import Iterator
from logging import Logger, getLogger
from pathlib import Path
from typing import Any

import attrs

from btcore import FORMATS, Batch, Claim, Context, Problem, hookimpl, plugin, setting
from btmon_sqlite.database import Database, open_database
from btmon_sqlite.table import Record, Schema, tables_for
from btmon_sqlite.trouble import answered, place_fault


def valid_table(_instance: object, _attribute: Any, name: str) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what cannot be a table's name."""
    if name and (not re.fullmatch(r"\w+", name) or name.lower().startswith("sqlite_")):
        raise ValueError("expected letters, digits and underscores, not starting with sqlite_")


@plugin(api=1)
class Sqlite:
    """Stores readings in an SQLite file, in tables laid out as btmon's."""

    file: Path = setting(help="the database file, made if there is none", example="energy.db")
    schema: Schema = setting(
        default="counters",
        help="counters: every reading, with all it counted; ecmread: amperes and watts; ecmreadext: those and energies",
    )
    table: str = setting(
        default="", help="the table; left out: one for each packet format, FORMAT_SCHEMA", validator=valid_table
    )
    _log: Logger = attrs.field(init=False, factory=lambda: getLogger(__name__), repr=False)
    _database: Database | None = attrs.field(init=False, default=None, repr=False)

    def check(self) -> Iterator[Problem]:
        """Find a file that cannot be one, and a directory where a service would not find or make it."""
        if self.file.is_dir():
            yield Problem(f"{self.file} is a directory: name a file, such as {self.file / 'energy.db'}", key="file")
        elif fault := place_fault(self.file):
            yield Problem(fault, key="file", warning=True)

    def claims(self) -> Iterator[Claim]:
        """Claim the tables: of two sinks with other settings the rows of the second would be left out, as known."""
        usual = [f"FORMAT_{self.schema}", *(f"{one}_{self.schema}" for one in FORMATS)]
        file = os.path.realpath(self.file)
        for name in [self.table.lower()] if self.table else usual:  # SQL does not tell capitals from small letters
            yield Claim(f"table {name} of {file}", key="file", per_meter=True)

    @hookimpl
    def open(self, context: Context) -> None:
        """Open the file. Raises Retry where it is locked, Stop where a person has to act."""
        self._log = context.log
        if not context.dry_run:
            self._opened()

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
            with answered(self.file):
                self._opened().store(records)
        return None if self.schema == "counters" else batch.sampled

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Tell the rows that would be stored."""
        found = tables_for(self._records(batch), self.schema, self.table)
        return (table.describe(table.row(*record)) for table, records in found.items() for record in records)

    def _opened(self) -> Database:
        if self._database is not None and self._database.gone:
            self._log.warning("%s was moved or deleted: a new one is made", self.file)
            self.close()
        if self._database is None:
            with answered(self.file):
                self._database = open_database(self.file, self._log)
        return self._database

    def _records(self, batch: Batch) -> Iterator[Record]:
        """Yield the records that the rows of a batch are made of."""
        if self.schema == "counters":
            return ((reading, reading) for reading in batch.readings)
        return ((sample.newer, sample) for sample in batch.samples)

"""A table: its columns, its statements, and the row that a reading or a sample makes in it.

No connection here: what is done with the statements is `database.py`'s work.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Literal

import attrs

from btcore import (
    Channel,
    Column,
    Format,
    Reading,
    Sample,
    active_further_channels,
    channels_in,
    columns,
    serial_column,
)

Schema = Literal["counters", "ecmread", "ecmreadext"]

Row = tuple[int | float | str | None, ...]

Record = tuple[Reading, Reading | Sample]
"""The reading that gives a row its key and time, and what gives it its values."""

KEY = "id"
TIME = "time_created"


@attrs.frozen(eq=False, slots=False)
class Table:
    """The table for readings of one packet format: btmon's columns, in btmon's order.

    `id` is the reading's key, microseconds since 1970; `time_created` whole seconds since 1970; then the serial number
    and the columns of the schema; then those of `further` channels, which btmon did not have.
    """

    name: str
    format: Format
    schema: Schema
    further: frozenset[Channel] = frozenset()

    @property
    def serial(self) -> str:
        """The column of the serial number."""
        return serial_column(self.schema)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the schema."""
        return columns(self.format, self.schema, self.further)

    def with_further_channels(self, channels: Iterable[Channel]) -> "Table":
        """Return the table with the columns of these further channels too."""
        further = self.further.union(channels)
        return self if further == self.further else table_for(self.format, self.schema, self.name, further)

    def with_found_columns(self, names: Sequence[str]) -> "Table":
        """Return the table with all columns of its own that are there already, by the names of those."""
        return self.with_further_channels(channels_in(self.format, self.schema, names))

    @cached_property
    def further_columns(self) -> dict[str, str]:
        """The columns of further channels, each with the name of its channel."""
        schema_columns = len(columns(self.format, self.schema))
        return {column.name: column.label.rpartition("_")[0] for column in self.columns[schema_columns:]}

    @cached_property
    def types(self) -> dict[str, str]:
        """The SQL type of every column, by its name."""
        own = {KEY: "INTEGER", TIME: "INTEGER", self.serial: "TEXT"}
        return own | {column.name: column.kind.upper() for column in self.columns}

    @cached_property
    def create(self) -> str:
        """The statement that makes the table, unless there is one."""
        fields = ", ".join(f"{quote_name(name)} {kind}" for name, kind in self.types.items() if name != KEY)
        return f"CREATE TABLE IF NOT EXISTS {quote_name(self.name)} ({KEY} INTEGER PRIMARY KEY, {fields})"

    @cached_property
    def insert(self) -> str:
        """The statement that stores a row, unless its key is there already."""
        names = ", ".join(quote_name(name) for name in self.types)
        placeholders = ", ".join("?" * len(self.types))
        return f"INSERT INTO {quote_name(self.name)} ({names}) VALUES ({placeholders}) ON CONFLICT ({KEY}) DO NOTHING"  # noqa: S608 - names are quoted

    def row(self, reading: Reading, values: Reading | Sample) -> Row:
        """Return the row of a reading, in the order of `types`; what is not known is None."""
        own = (reading.key, reading.key // 1_000_000, reading.serial)
        return own + tuple(values.get(column.label) for column in self.columns)

    def describe(self, row: Row) -> str:
        """Format a row as one line for a person."""
        values = ("NULL" if value is None else str(value) for value in row)
        return f"{self.name}: " + ", ".join(f"{name}={value}" for name, value in zip(self.types, values, strict=True))


@lru_cache(maxsize=64)
def table_for(format: Format, schema: Schema, name: str, further: frozenset[Channel] = frozenset()) -> Table:
    """Return the table for readings of a packet format; an empty name means `<format>_<schema>`."""
    return Table(name or f"{format.name}_{schema}", format, schema, further)


def tables_for(records: Iterable[Record], schema: Schema, name: str) -> dict[Table, list[Record]]:
    """Group records by table. A table has the columns of each further channel that is active in one of its records."""
    by_format: dict[Format, list[Record]] = {}
    for record in records:
        by_format.setdefault(record[0].format, []).append(record)
    return {
        table_for(form, schema, name).with_further_channels(
            {channel for _, values in some for channel in active_further_channels(values)}
        ): some
        for form, some in by_format.items()
    }


def quote_name(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def missing_columns(types: dict[str, str], present: Sequence[str]) -> dict[str, str]:
    """Return the columns that a table lacks. SQL does not tell capitals from small letters in names."""
    there = {name.lower() for name in present}
    return {name: kind for name, kind in types.items() if name.lower() not in there}

# SPDX-License-Identifier: GPL-3.0-or-later
"""A table: its columns, and the rows that a reading or a sample makes in it.

`WideTable` is btmon's: a row for each reading, or for each interval, with a column for each number. The table with a
row for each channel is in `samples.py`. No SQL here: statements are `statements.py`'s.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Literal, Protocol

from btcore.calculated import picker
from btcore.classes import frozen
from btcore.formats import Channel, Format, Number
from btcore.further_channels import active_in
from btcore.records import Batch, Reading, Sample, calculated_of
from btcore.schemas import Column, channels_in, columns, serial_column
from btcore.sql.dialect import Dialect, Kind, Value
from btcore.sql.stored_rows import StoredRows

Schema = Literal["counters", "ecmread", "ecmreadext", "samples"]

Row = tuple[Value, ...]

Record = tuple[Reading, Reading | Sample]
"""The reading that gives a row its key and time, and what gives it its values."""

READINGS = 512
SAMPLES = 256
"""Rows of each table that are remembered: those of a batch, and half as many of samples, which have more columns."""

KEY = "id"
TIME = "time_created"


class Table(Protocol):
    """What a sink stores into. Its rows are identified by the columns `key` and `serial`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def key(self) -> str:
        """The column of the key: microseconds, or a time."""

    @property
    def serial(self) -> str:
        """The column of the serial number."""

    @property
    def time(self) -> str:
        """The column by which old rows are found."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kind of every column, by its name, in order."""

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key of a new table."""

    @property
    def indexes(self) -> tuple[tuple[str, ...], ...]:
        """The columns of each further index of a new table."""

    @property
    def further_columns(self) -> Mapping[str, str]:
        """The columns of channels that came later, each with the name of its channel."""

    @property
    def measured(self) -> frozenset[str]:
        """The columns whose numbers have few digits, and fit into any type."""

    def with_found_columns(self, names: Sequence[str]) -> "Table":
        """Return the table with all columns of its own that are there already, by the names of those."""

    def rows(self, record: Record, dialect: Dialect) -> Iterator[Row]:
        """Yield the rows of a record, in the order of `kinds`; what is not known is None."""

    def views(self, dialect: Dialect) -> Mapping[str, str]:
        """Return the views of the table, by name, each with the statement that makes it. One with views is by time."""


@frozen(eq=False, slots=False)
class WideTable:
    """The table for readings of one packet format: btmon's columns, in btmon's order.

    `id` is the reading's key, microseconds since 1970; `time_created` whole seconds since 1970; then the serial number
    and the columns of the schema; then those of `further` channels, which btmon did not have.
    """

    name: str
    format: Format
    schema: str
    further: frozenset[Channel] = frozenset()
    key: str = KEY
    time: str = TIME
    indexes: tuple[tuple[str, ...], ...] = ()

    @property
    def serial(self) -> str:
        """The column of the serial number."""
        return serial_column(self.schema)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The time comes first: rows are asked for by time."""
        return (self.key, self.serial)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the schema."""
        return columns(self.format, self.schema, self.further)

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        """The kind of every column, by its name."""
        own: dict[str, Kind] = {KEY: "key", TIME: "seconds", self.serial: "serial"}
        return own | {column.name: column.kind for column in self.columns}

    @cached_property
    def further_columns(self) -> Mapping[str, str]:
        """The columns of further channels, each with the name of its channel."""
        usual = len(columns(self.format, self.schema))
        return {column.name: column.label.rpartition("_")[0] for column in self.columns[usual:]}

    @cached_property
    def measured(self) -> frozenset[str]:
        """What Brultech's meters measure beside their counters has at most six digits."""
        if not self.format.family:
            return frozenset()
        return frozenset(column.name for column in self.columns if column.label in self.format.index)

    def with_further_channels(self, channels: Iterable[Channel]) -> "WideTable":
        """Return the table with the columns of these further channels too."""
        further = self.further.union(channels)
        return self if len(further) == len(self.further) else wide_table(self.format, self.schema, self.name, further)

    def views(self, _dialect: Dialect) -> Mapping[str, str]:
        """Return none: btmon's tables have none."""
        return {}

    def with_found_columns(self, names: Sequence[str]) -> "WideTable":
        """Return the table with all columns of its own that are there already, by the names of those."""
        return self.with_further_channels(channels_in(self.format, self.schema, names))

    def rows(self, record: Record, _dialect: Dialect) -> Iterator[Row]:
        """Yield the one row of a record."""
        yield self.row(record)

    @cached_property
    def stored(self) -> StoredRows:
        """Makes rows for all sinks that store into a table like this."""
        return StoredRows(self.row, READINGS if self.schema == "counters" else SAMPLES)

    def row(self, record: Record) -> Row:
        """Return the row of a record."""
        reading, values = record
        key = reading.key
        return (key, key // 1_000_000, reading.serial, *self._values_of(values))

    def _values_of(self, values: Reading | Sample) -> tuple[Value, ...]:
        if isinstance(values, Reading) and values.format is self.format:
            return self._pick(values.numbers)  # 2 µs for a GEM instead of 28
        if isinstance(values, Sample) and values.format is self.format and self._pick_of_sample is not None:
            calculated, measured, ordered = self._pick_of_sample
            try:  # 9 µs for a GEM instead of 70
                return ordered((*calculated(calculated_of(values)), *measured(values.newer.numbers)))
            except KeyError:  # a value that this sample does not have
                pass
        return tuple(values.get(column.label) for column in self.columns)

    @cached_property
    def _pick_of_sample(self) -> tuple[Callable[..., tuple[Value, ...]], ...] | None:
        """What picks the calculated values of a sample, the numbers of its reading, and of both the row, in order."""
        labels = [column.label for column in self.columns]
        calculated = [label for label in labels if label not in self.format.index]
        measured = [label for label in labels if label in self.format.index]
        if min(len(calculated), len(measured)) <= 1:  # with a single one, itemgetter makes no tuple
            return None
        order = {label: at for at, label in enumerate((*calculated, *measured))}
        indexes = [self.format.index[label] for label in measured]
        return picker(calculated), itemgetter(*indexes), itemgetter(*(order[label] for label in labels))

    @cached_property
    def _pick(self) -> Callable[[tuple[Number, ...]], tuple[Value, ...]]:
        """What picks the values of the columns from the numbers of a reading."""
        index = self.format.index
        indexes = [index.get(column.label, len(index)) for column in self.columns]
        pick = itemgetter(*indexes)
        if len(indexes) > 1 and max(indexes) < len(index):
            return pick
        return lambda numbers: pick((*numbers, None))  # where a column has no number, None stands behind them


@lru_cache(maxsize=64)
def wide_table(format: Format, schema: str, name: str = "", further: frozenset[Channel] = frozenset()) -> WideTable:
    """Return the table for readings of a packet format; an empty name means `<format>_<schema>`."""
    return WideTable(name or f"{format.name}_{schema}", format, schema, further)


def wide_tables(records: Sequence[Record], schema: str, name: str) -> dict[Table, Sequence[Record]]:
    """Group records by table. A table has the columns of each further channel that is active in one of its records."""
    by_format: dict[Format, Sequence[Record]] = {}
    for form in dict.fromkeys(reading.format for reading, _ in records):
        by_format[form] = [record for record in records if record[0].format is form]
    return {
        wide_table(form, schema, name).with_further_channels(active_in(form, [values for _, values in some])): some
        for form, some in by_format.items()
    }


def records_of(batch: Batch, schema: str) -> list[Record]:
    """Return the records that the rows of a batch are made of: readings for `counters`, else samples."""
    if schema == "counters":
        return [*zip(batch.readings, batch.readings, strict=True)]
    return [(sample.newer, sample) for sample in batch.samples]


def describe_row(table: Table, row: Row) -> str:
    """Format a row as one line for a person."""
    values = ("NULL" if value is None else str(value) for value in row)
    return f"{table.name}: " + ", ".join(f"{name}={value}" for name, value in zip(table.kinds, values, strict=True))

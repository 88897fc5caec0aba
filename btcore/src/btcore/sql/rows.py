# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings out of the rows of a `counters` table, of btmon's making or of ours: pure functions of a row.

Which rows are read, and when, is `reader.py`'s.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cached_property
from math import isfinite
from operator import itemgetter
from types import NoneType
from typing import Any

from btcore.classes import frozen
from btcore.errors import Stop
from btcore.formats import SECONDS, Format, Number
from btcore.further_channels import further_channels
from btcore.records import Reading, from_microseconds
from btcore.schemas import columns
from btcore.sql.database import STEP
from btcore.sql.table import KEY, TIME

SERIAL = "serial"

MAX_PLAIN = 64
"""Combinations of types that are remembered of a table."""


@frozen(eq=False, slots=False)
class RowFormat:
    """How a row of a table becomes a reading. `names` are the columns to ask for, as the table writes them.

    The first three are the key (None where the table has none), the time and the serial number; the others belong to
    the labels of the format, each at its index. `zeros` are the indexes of numbers that are 0 where a row has none: of
    channels that had counted nothing yet. `integers` are those of counters.
    """

    format: Format
    names: tuple[str, ...]
    indexes: tuple[int, ...]
    zeros: frozenset[int]
    integers: frozenset[int]

    def reading(self, row: Sequence[Any]) -> Reading | None:
        """Return the reading of a row; None for a row whose time, serial number or seconds are none that can be."""
        # a row of a GEM as sinks store it: 16 µs instead of 38, as no number is converted
        found = self._reading(row, self._pick((*row[3:], None, 0))) if self._is_plain(row) else None
        return found or self._reading(row, self.converted(row))

    def converted(self, row: Sequence[object]) -> tuple[Number, ...]:
        """Return the numbers of a row, in the order of the labels, whatever types its columns have."""
        numbers: list[Number] = [None] * len(self.format.labels)
        for index in self.zeros:
            numbers[index] = 0
        for index, value in zip(self.indexes, row[3:], strict=True):
            found = number(value, is_integer=index in self.integers)
            if found is not None:
                numbers[index] = found
        return tuple(numbers)

    def _reading(self, row: Sequence[object], numbers: tuple[Number, ...]) -> Reading | None:
        key, serial = key_of_row(row[0], row[1]), serial_of(row[2])
        if key is None or not serial or numbers[self.format.index[SECONDS]] is None:
            return None
        try:
            return Reading(from_microseconds(key), self.format, serial, b"", numbers=numbers)
        except ValueError:  # seconds that no meter counts, a serial number that cannot be printed
            return None

    @cached_property
    def _pick(self) -> Callable[[Sequence[Number]], tuple[Number, ...]]:
        """What picks the numbers, in the order of the labels, from the values of a row and behind them None and 0."""
        columns = [len(self.indexes) + (index in self.zeros) for index in range(len(self.format.labels))]
        for column, index in enumerate(self.indexes):
            columns[index] = column
        return itemgetter(*columns)

    @cached_property
    def _plain(self) -> set[tuple[type, ...]]:
        """The types of the values of rows of which no number must be converted, as far as they were met."""
        return set()

    def _is_plain(self, row: Sequence[object]) -> bool:
        """Whether each number of a row is of the type that a reading has."""
        types = tuple(map(type, row[3:]))
        if types in self._plain:
            return True
        is_plain = all(map(self._is_kept, self.indexes, types))
        if is_plain and len(self._plain) < MAX_PLAIN:
            self._plain.add(types)
        return is_plain

    def _is_kept(self, index: int, kind: type) -> bool:
        """Whether a number of a type stays as it is: no float is a counter, and some are 0 where there is none."""
        if kind is NoneType:
            return index not in self.zeros
        return kind is int or (kind is float and index not in self.integers)


def row_format(format: Format, present: Sequence[str], table: str) -> RowFormat:
    """Return how the rows of a table become readings; `present` are its columns. Raises Stop for another schema."""
    written = {name.lower(): name for name in present}
    of_labels = {one.label: one.name for one in columns(format, "counters", further_channels(format))}
    there = {label: written[name.lower()] for label, name in of_labels.items() if name.lower() in written}
    counters = {counter for one in format.channels for counter in (one.absolute, one.polarized) if counter}
    missing = [name for name in (TIME, SERIAL, SECONDS) if name not in written]
    if missing or not counters & set(there):
        lacks = ", ".join(missing) or "the counters of its channels"
        raise Stop(
            f"table {table} is no table of the schema counters for {format.name}: it lacks {lacks}. Only counters can"
            " be read back; amperes and watts of ecmread and ecmreadext cannot. Name another `table`, or another"
            " `format`"
        )
    index = format.index
    idle = {one.absolute for one in further_channels(format)} | {one.polarized for one in further_channels(format)}
    return RowFormat(
        format,
        (written.get(KEY, ""), written[TIME], written[SERIAL], *there.values()),
        tuple(index[label] for label in there),
        frozenset(index[label] for label in idle if label),
        frozenset(index[label] for label in (*counters, SECONDS) if label in index),
    )


def key_of_row(key: object, time: object) -> int | None:
    """Return the key of the reading that a row was made of, in microseconds; None where the row has no time.

    Rows of ours have it in `id`, those of btmon the time in whole seconds alone. No meter measured before 1970, or
    later than a key can tell.
    """
    own = abs(key) % STEP if isinstance(key, int) else 0
    if isinstance(time, int | float | Decimal):
        if not isfinite(time) or not 0 <= time < STEP // 1_000_000:
            return None
        return own if own // 1_000_000 == int(time) else int(time) * 1_000_000
    return own if own >= STEP // 8 else None  # numbers that a database gives to rows are far below


def serial_of(value: object) -> str:
    """Return the serial number of a row; empty for what is none."""
    if isinstance(value, bytes):  # of a column BINARY or BLOB
        value = value.decode(errors="ignore")
    return "" if value is None else str(value).strip(" \0")


def number(value: object, *, is_integer: bool) -> Number:
    """Return the number of a column, whichever of its types a database has for it; None for what is none."""
    if isinstance(value, Decimal):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        return None
    return int(value) if is_integer else value

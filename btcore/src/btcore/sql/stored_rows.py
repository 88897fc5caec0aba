# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a wide table as they are stored: made once for all sinks, and without the columns that are idle.

A house without solar panels has 0 in half of the columns of a GEM, and NULL in those of the sensors that it lacks. Such
a value is a part of the statement. What a row has in each column is `table.py`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from weakref import ReferenceType, ref

from btcore.classes import frozen
from btcore.records import Reading, Sample
from btcore.sql.dialect import Value

OWN = 3
"""Columns at the beginning that are never idle: the key, the time and the serial number."""

FEWEST = 2
"""Of fewer idle columns nothing is gained."""

Values = tuple[Value, ...]
"""Those of a row, in the order of the columns: all of them, or some."""

NO_TEXTS: Mapping[int, str] = {}
"""Of a statement that is given the values of all columns."""


@frozen(eq=False)
class IdleColumns:
    """Columns that have one value in every row: by index, as the statement has it. `values` are those of a row.

    `others` returns the values of all other columns.
    """

    texts: Mapping[int, str] = NO_TEXTS
    values: Values = ()
    of: Callable[[Values], Values] = lambda _row: ()
    others: Callable[[Values], Values] = tuple


NO_IDLE = IdleColumns()
"""Where each value is given to the statement."""


class StoredRows:
    """Makes the rows of one table. Safe between threads: what they share is replaced at once.

    A column that was not idle once is not taken to be idle again: each change is another statement.
    """

    def __init__(self, make: Callable[[tuple[Reading, Reading | Sample]], Values], size: int) -> None:
        """Make each row by `make`, and remember the last `size` ones."""
        self._make = make
        self._size = size
        self._idle: IdleColumns | None = None
        self._made: list[tuple[ReferenceType[Reading | Sample], IdleColumns, Values] | None] = [None] * size

    def of(
        self, records: Sequence[tuple[Reading, Reading | Sample]], *, can_be_idle: bool
    ) -> tuple[IdleColumns, list[Values]]:
        """Return the rows of records, without the values of the columns that are idle in all of them."""
        idle = self._idle if can_be_idle else NO_IDLE
        if idle is None:
            idle = self._idle = _idle_in([self._make(record) for record in records])
        made, rows, size = self._made, [], self._size
        for record in records:
            reading, values = record
            at = reading.offset % size
            found = made[at]
            if found is not None and found[0]() is values and found[1] is idle:
                rows.append(found[2])
                continue
            row = self._make(record)
            if idle.of(row) != idle.values:
                self._idle = _idle_in([self._make(one) for one in records], idle)
                return self.of(records, can_be_idle=can_be_idle)
            short = idle.others(row)
            made[at] = ref(values), idle, short
            rows.append(short)
        return idle, rows


def _idle_in(rows: Sequence[Values], before: IdleColumns | None = None) -> IdleColumns:
    """Return the columns that are idle in all of these rows, and were so before."""
    first = rows[0]
    candidates = range(OWN, len(first)) if before is None else before.texts
    idle = [at for at in candidates if not first[at] and all(row[at] == first[at] for row in rows)]
    if len(idle) < FEWEST:
        return NO_IDLE
    of, others = itemgetter(*idle), itemgetter(*(at for at in range(len(first)) if at not in idle))
    return IdleColumns({at: _text(first[at]) for at in idle}, of(first), of, others)


def _text(value: Value) -> str:
    return "NULL" if value is None else repr(value)

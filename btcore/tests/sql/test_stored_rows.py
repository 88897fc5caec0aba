# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows as they are stored: without the values of idle columns, made once for all sinks, and the same in the end."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Number, Reading
from btcore.sql import SQLITE
from btcore.sql.statements import create_table, insert
from btcore.sql.stored_rows import NO_IDLE, StoredRows
from btcore.sql.table import Record, wide_table

ECM = FORMATS["ecm1240bin"]
TABLE = wide_table(ECM, "counters")
START = datetime(2024, 3, 1, tzinfo=UTC)


def record(offset: int, numbers: Sequence[Number]) -> Record:
    """Make the record of a reading of the journal."""
    given = [5 if label == "secs" else number for label, number in zip(ECM.labels, numbers, strict=True)]
    time = START + timedelta(seconds=offset)
    one = Reading(time, ECM, "312345", b"", offset=offset, numbers=tuple(given))
    return one, one


def stored(batches: Sequence[tuple[str, Sequence[Sequence[object]]]]) -> list[tuple[object, ...]]:
    """Return what a table has after these statements, and the type of each value."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(create_table(SQLITE, TABLE))
        for statement, rows in batches:
            connection.executemany(statement, rows)
        types = ", ".join(f'typeof("{name}")' for name in TABLE.kinds)
        return connection.execute(f"SELECT *, {types} FROM {TABLE.name} ORDER BY id").fetchall()


def idle_number(label: str) -> st.SearchStrategy[Number]:
    """Return numbers of a label, most of them those of an idle column."""
    return st.sampled_from([0, 0, 0, None, 7]) if label.endswith(("s", "_raw")) else st.sampled_from([0.0, None, 1.5])


a_number = st.tuples(*(idle_number(label) for label in ECM.labels))


@given(st.lists(st.lists(a_number, min_size=1, max_size=4), min_size=1, max_size=5))
def test_what_is_stored_is_what_all_values_store(found: list[list[tuple[Number, ...]]]) -> None:
    """Whichever columns are idle, and as long as they are, a table has what it has of whole rows; so it has twice."""
    offsets = iter(range(1, 100))
    batches = [[record(next(offsets), numbers) for numbers in some] for some in found]
    plain = stored([(insert(SQLITE, TABLE), [TABLE.row(one) for one in some]) for some in batches])
    made = StoredRows(TABLE.row, 8)
    for _ in range(2):
        parts = [made.of(some, can_be_idle=True) for some in batches]
        assert stored([(insert(SQLITE, TABLE, idle.texts), rows) for idle, rows in parts]) == plain


def test_a_second_sink_is_given_the_same_rows() -> None:
    """What one sink has stored, another one with the same table need not make."""
    records = [record(offset, [0] * len(ECM.labels)) for offset in range(1, 5)]
    made = StoredRows(TABLE.row, 8)
    (idle, first), (same, second) = (made.of(records, can_be_idle=True) for _ in range(2))
    assert idle is same
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_idle_columns_are_no_values_of_a_row() -> None:
    """Of a reading with nothing but zeros, the statement is given its key, time, serial number, and what is not 0."""
    made = StoredRows(TABLE.row, 8)
    idle, (row,) = made.of([record(1, [0] * len(ECM.labels))], can_be_idle=True)
    key = int(START.timestamp()) + 1
    assert row == (key * 1_000_000, key, "312345", 5)
    assert set(idle.texts.values()) == {"0"}


def test_a_column_that_was_used_once_stays_a_value() -> None:
    """A channel that counts and then shows 0 again changes the statement once, not with each row."""
    made = StoredRows(TABLE.row, 8)
    zeros = [0] * len(ECM.labels)
    made.of([record(1, zeros)], can_be_idle=True)
    used, _ = made.of([record(2, [7] * len(ECM.labels))], can_be_idle=True)
    again, (row,) = made.of([record(3, zeros)], can_be_idle=True)
    assert (used, again) == (NO_IDLE, NO_IDLE)
    assert row == TABLE.row(record(3, zeros))

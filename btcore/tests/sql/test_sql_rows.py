# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and readings, the keys of rows, and the names and statements of a dialect."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Format, Reading
from btcore.further_channels import further_channels
from btcore.sql import MYSQL, POSTGRESQL, SQLITE, Dialect, Value, row_writer
from btcore.sql.database import substitutes
from btcore.sql.dialect import key_of
from btcore.sql.rows import RowFormat, row_format
from btcore.sql.table import wide_table

KEYS = st.integers(1, (1 << 52) - 1)

each_dialect = pytest.mark.parametrize("dialect", [SQLITE, MYSQL, POSTGRESQL], ids=lambda one: one.name)


@given(KEYS, KEYS)
def test_rows_of_two_times_never_share_a_key(one: int, other: int) -> None:
    """In a table with the key alone, what a key may be replaced by is never what another may be."""
    first, second = set(islice(substitutes(one), 20)), set(islice(substitutes(other), 20))
    assert (first & second == set()) == (one != other)


@each_dialect
@given(key=st.integers(0, 4_000_000_000_000_000))
def test_a_time_comes_back_as_its_key(dialect: Dialect, key: int) -> None:
    """A time is exact to the microsecond, as a text or as the driver's datetime, with a zone or without."""
    text = dialect.time_value(key)
    assert key_of(text) == key
    assert key_of(datetime.fromisoformat(text)) == key


def test_what_is_no_time_has_no_key() -> None:
    """NULL, as btmon's rows have it in SQLite, is the key of no reading."""
    assert (key_of(None), key_of(7), key_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))) == (None, 7, 1_000_000)


@pytest.mark.parametrize(
    ("dialect", "quoted"), [(SQLITE, '"a""b`c%"'), (MYSQL, '`a"b``c%%`'), (POSTGRESQL, '"a""b`c%%"')]
)
def test_any_name_can_be_quoted(dialect: Dialect, quoted: str) -> None:
    """A meter of another make may name its channels as it likes."""
    assert dialect.quote_name('a"b`c%') == quoted


GEM, ECM = FORMATS["gem48ptbin"], FORMATS["ecm1240bin"]

TABLE = wide_table(GEM, "counters", "", frozenset(further_channels(GEM)[:4]))
ROWS = row_format(GEM, list(TABLE.kinds), "a table")

usual_values = st.integers(0, 1 << 40) | st.floats(0, 1e9) | st.none()
odd_values = st.sampled_from([Decimal("1.5"), Decimal(7), float("inf"), float("nan"), "text", b"7", True, -1])


def numbers_of(reading: Reading | None) -> object:
    """Return what a reading says; None where there is none."""
    return reading and (reading.serial, reading.key, [(type(number), number) for number in reading.numbers])


@given(st.data(), st.sets(st.integers(0, len(TABLE.kinds) - 1), max_size=4))
def test_a_row_is_the_same_reading_by_the_short_way(data: st.DataObject, odd: set[int]) -> None:
    """Whatever types a database has for the numbers of a row, they are those of a number converted by itself."""
    row: list[object] = [1_700_000_000_000_000, 1_700_000_000, "01021234", 7]
    row += data.draw(st.lists(usual_values, min_size=len(TABLE.kinds) - 4, max_size=len(TABLE.kinds) - 4))
    for place in odd:
        row[place] = data.draw(odd_values)
    slow = attrs.evolve(ROWS)
    slow.__dict__["_is_plain"] = lambda _row: False
    for _ in range(2):  # the types of the first are remembered
        assert numbers_of(ROWS.reading(row)) == numbers_of(slow.reading(row))


def test_a_row_of_our_own_making_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sink has stored of a reading is read without converting a number, and is the reading."""
    monkeypatch.setattr(RowFormat, "converted", None)
    numbers = tuple(7 if label.endswith("s") and label != "volts" else 1.5 for label in GEM.labels)
    reading = Reading(datetime(2024, 3, 1, tzinfo=UTC), GEM, "01021234", b"", numbers=numbers)
    columns = wide_table(GEM, "counters", "", frozenset(further_channels(GEM)))
    (row,) = columns.rows((reading, reading), SQLITE)
    found = row_format(GEM, list(columns.kinds), "a table").reading(row)
    assert found is not None
    known = [label for label in GEM.labels if not label.endswith("_a")]
    assert [found.get(label) for label in known] == [reading.get(label) for label in known]


@pytest.mark.parametrize("form", [GEM, ECM], ids=lambda form: form.name)
def test_the_row_of_a_reading_has_the_value_of_each_column(form: Format) -> None:
    """Columns of the table are picked from the numbers of a reading, whichever order the format has."""
    numbers = tuple(7 if label == "secs" else 1000 + place for place, label in enumerate(form.labels))
    reading = Reading(datetime(2024, 3, 1, tzinfo=UTC), form, "1", b"", numbers=numbers)
    table = wide_table(form, "counters", "", frozenset(further_channels(form)[:2]))
    (row,) = table.rows((reading, reading), SQLITE)
    assert row == (reading.key, reading.key // 1_000_000, "1", *(reading.get(one.label) for one in table.columns))


@given(st.lists(st.lists(st.integers() | st.floats(allow_nan=False) | st.none() | st.text(), min_size=1), max_size=5))
def test_a_row_is_written_as_value_by_value(rows: list[list[Value]]) -> None:
    """Numbers are written so that they are read the same, texts escaped, whatever a per cent sign is in them."""

    def escape(text: str) -> str:
        return f"<{text}>"

    write = row_writer("%,", "NULL%", escape)
    for row in rows:
        expected = ["NULL%" if one is None else escape(one) if isinstance(one, str) else repr(one) for one in row]
        assert write(row) == "%,".join(expected)

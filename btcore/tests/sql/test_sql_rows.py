# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of rows, and the names and statements of a dialect."""

from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.sql import MYSQL, POSTGRESQL, SQLITE, Dialect
from btcore.sql.database import substitutes
from btcore.sql.dialect import key_of

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

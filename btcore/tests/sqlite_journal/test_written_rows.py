# SPDX-License-Identifier: GPL-3.0-or-later
"""The shares of rows in a checkpoint's checksum are remembered, and are those of the rows that are in the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.sqlite_journal.tables import checksum
from btcore.sqlite_journal.tables.checksum import WrittenRows, combined

a_row = st.tuples(
    st.sampled_from(["sink.a", "sink.b"]), st.sampled_from(["1", "2", "3"]), st.integers(0, 3), st.just("{}")
)


@given(st.lists(st.tuples(st.lists(a_row, max_size=6), st.lists(a_row, max_size=6)), max_size=8), st.integers(0, 6))
def test_what_is_remembered_is_what_would_be_found_anew(
    steps: list[tuple[list[tuple[object, ...]], list[tuple[object, ...]]]], most: int
) -> None:
    """Whatever is in the file by now, deleted, older or changed, its checksum is that of the rows that are there."""
    rows = WrittenRows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checksum, "MAX_WRITTEN", most)
        for written, there in steps:
            assert rows.write(written) == combined(written)
            assert rows.combined(there) == combined(there)


def test_a_row_is_summed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was written, and is in the file as it was written, is not summed again."""
    rows, row = WrittenRows(), ("sink.a", "355555", 7, "{}", 1)
    found = rows.write([row])
    monkeypatch.setattr(checksum, "checksum_of_row", None)
    assert rows.combined([row]) == found

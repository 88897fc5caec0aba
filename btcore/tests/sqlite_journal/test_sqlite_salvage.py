# SPDX-License-Identifier: GPL-3.0-or-later
"""Records are found in the pages of a SQLite file, whatever is damaged; nothing is believed that is not whole."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from helpers.journal_damage import log_of, made, overwrite
from hypothesis import given
from hypothesis import strategies as st

from btcore.journal import Entry
from btcore.sqlite_journal.files.pages import PAGE_SIZE, Row, Value, page_size_of, rows_of
from btcore.sqlite_journal.files.wal import find_fault, frames
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.salvage import Salvage

VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.binary(max_size=5000))


def found_rows(file: Path) -> list[Row]:
    """Return all rows that are found in a file."""
    data = file.read_bytes()
    size = page_size_of(data)
    pages = [data[at : at + size] for at in range(0, len(data), size)]
    return [row for page in pages[1:] for row in rows_of(page, lambda number: pages[number - 1])]


@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=20))
def test_every_row_is_found_as_it_was_written(tmp_path_factory: object, rows: list[tuple[Value, ...]]) -> None:
    """Of whatever values a row is, and however long: it is found once, with its number."""
    file = tmp_path_factory.mktemp("rows") / "any.db"  # type: ignore[attr-defined]
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE one (a BLOB, b BLOB, c BLOB)")
        connection.executemany("INSERT INTO one VALUES (?, ?, ?)", rows)
    assert sorted(found_rows(file)) == [Row(number, values) for number, values in enumerate(rows, 1)]


@given(page=st.binary(max_size=600), first=st.sampled_from([0x0D, 0x0A]))
def test_any_bytes_are_read_without_a_fault(page: bytes, first: int) -> None:
    """Whatever a page holds, reading its rows ends, and raises nothing."""
    for row in rows_of(bytes([first]) + page, lambda _number: page):
        assert isinstance(row, Row)


def test_a_long_reading_is_saved(tmp_path: Path) -> None:
    """A reading that goes on in pages of its own is found with all of it."""
    file = tmp_path / "journal.db"
    long = Entry(1, "old", "1", "f", random.Random(1).randbytes(20_000), packetless=True)
    with closing(SqliteJournal(file)) as journal:
        journal.append([long, made(2)])
    assert [one.raw for one in salvaged(file, tmp_path)] == [long.raw, made(2).raw]


def test_an_entry_with_a_changed_bit_is_not_saved(tmp_path: Path) -> None:
    """Whichever byte of an entry was changed, it is left out, and the others are saved."""
    file = tmp_path / "journal.db"
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(key) for key in range(1, 11)])
    at = file.read_bytes().index(made(5).raw)
    overwrite(file, at + 300, at + 301, lambda _size: bytes([made(5).raw[300] ^ 1]))
    assert [one.key for one in salvaged(file, tmp_path)] == [1, 2, 3, 4, 6, 7, 8, 9, 10]


def salvaged(file: Path, folder: Path) -> list[Entry]:
    """Return what a new journal has of a file."""
    with closing(SqliteJournal(folder / "new.db")) as journal:
        salvage = Salvage(file, 1000)
        while not salvage.is_done:
            salvage.portion(journal._transaction)
        assert salvage.saved == journal.lag(0).entries
        return list(journal.read(0, 1000))


# --- the log


def test_the_log_of_a_killed_program_is_in_order(tmp_path: Path) -> None:
    """What SQLite has written is in order, also where the log was begun anew, or its last page is half written."""
    file = tmp_path / "journal.db"
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(key) for key in range(1, 500)])
        assert find_fault(log_of(file)) == ""
        journal._writer.execute("PRAGMA wal_checkpoint(RESTART)")
        journal.append([made(500)])
        assert find_fault(log_of(file)) == ""
        size = log_of(file).stat().st_size
        assert len(list(frames(log_of(file)))) == (size - 32) // (24 + PAGE_SIZE)
        copy = tmp_path / "copy-wal"
        copy.write_bytes(log_of(file).read_bytes()[: 32 + 24 + PAGE_SIZE + 2000])
        assert find_fault(copy) == ""


def test_a_page_that_is_damaged_hides_those_after_it(tmp_path: Path) -> None:
    """Where SQLite would take the log to be at its end though more follows, this is said, with how much."""
    file = tmp_path / "journal.db"
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(key) for key in range(1, 100)])
        copy = tmp_path / "copy-wal"
        copy.write_bytes(log_of(file).read_bytes())
    overwrite(copy, 32 + 3 * (24 + PAGE_SIZE) + 100, 32 + 3 * (24 + PAGE_SIZE) + 101, lambda _size: b"\xff")
    count = (copy.stat().st_size - 32) // (24 + PAGE_SIZE)
    assert find_fault(copy) == f"{count - 4} pages in it come after damage, and would be ignored"

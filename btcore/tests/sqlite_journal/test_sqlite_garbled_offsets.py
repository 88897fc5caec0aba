# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQLite journal with an offset garbled in its file: no reading is believed at an offset that is not its own."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from helpers.journal_entries import raw_entry
from hypothesis import given
from hypothesis import strategies as st

from btcore.errors import Unavailable
from btcore.journal import START, Checkpoint, Damage, Entry
from btcore.sqlite_journal import mending
from btcore.sqlite_journal.files.pages import PAGE_SIZE, ROWS
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.salvage import Salvage
from btcore.sqlite_journal.tables.checksum import LAST, checksum_of, is_damaged
from btcore.testing import wait_for

SINK = "sink.roof"

KEPT = 60

OFFSETS = st.integers(1, 2**32 - 1)

ENTRIES = st.builds(
    Entry,
    st.integers(0, 2**62),
    st.text(max_size=8),
    st.text(max_size=8),
    st.text(max_size=8),
    st.binary(max_size=80),
    packetless=st.booleans(),
    monotonic=st.integers(0, 2**62),
    boot=st.integers(-(2**40), 2**40),
)


def earlier_checksum(entry: Entry) -> int:
    """Return the checksum that an entry had before format 11: the CRC-32, whatever its offset."""
    texts = f"{entry.source}\0{entry.serial}\0{entry.format}\0{entry.address}\0{entry.origin}"
    numbers = f"\0{entry.key}\0{int(entry.packetless)}\0{entry.monotonic}\0{entry.boot}"
    return zlib.crc32((texts + numbers).encode("utf-8", "surrogatepass"), zlib.crc32(entry.raw))


def fill(file: Path) -> list[Entry]:
    """Write a journal of some pages; return its entries."""
    with closing(SqliteJournal(file)) as journal:
        kept = [one for key in range(1, KEPT + 1) for one in journal.append([raw_entry(key, bytes(range(120)))]).kept]
        journal.commit(SINK, Checkpoint(40))
        return kept


def number_places(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield the offset of each entry in a file, below 128, and where the byte is that says it."""
    for begin in range(PAGE_SIZE, len(data), PAGE_SIZE):
        page = data[begin : begin + PAGE_SIZE]
        if page[0] == ROWS and b"ecm1220bin" in page:
            for at in range(8, 8 + 2 * int.from_bytes(page[3:5], "big"), 2):
                cell = int.from_bytes(page[at : at + 2], "big")
                cell += 1 if page[cell] < 0x80 else 2  # the size of the row
                yield page[cell], begin + cell


def garble(file: Path, offset: int, other: int) -> None:
    """Have the entry at an offset say another one, as a bit that the disk has lost would."""
    data = bytearray(file.read_bytes())
    places = dict(number_places(data))
    assert places.keys() == {*range(1, KEPT + 1)}
    data[places[offset]] = other
    file.write_bytes(data)


def salvaged(file: Path, folder: Path) -> list[Entry]:
    """Return what a salvage finds in a file."""
    with closing(SqliteJournal(folder / "new.db")) as journal:
        salvage = Salvage(file, 1000)
        while not salvage.is_done:
            salvage.portion(journal._transaction)
        return list(journal.read(START, 1000))


# --- the checksum


@given(entry=ENTRIES, offset=OFFSETS, other=OFFSETS)
def test_an_entry_is_whole_at_its_own_offset_alone(entry: Entry, offset: int, other: int) -> None:
    """With the checksum of one offset, an entry at another is damaged, whatever it holds."""
    checksum = checksum_of(entry, offset)
    assert checksum < -1
    assert is_damaged(attrs.evolve(entry, offset=other), checksum) is (other != offset)


@given(entry=ENTRIES, offset=OFFSETS)
def test_a_checksum_of_before_format_11_stays_valid(entry: Entry, offset: int) -> None:
    """It is known by its sign, and says nothing of the offset."""
    assert earlier_checksum(entry) >= 0
    assert not is_damaged(attrs.evolve(entry, offset=offset), earlier_checksum(entry))
    assert is_damaged(attrs.evolve(entry, offset=offset, key=entry.key ^ 1), earlier_checksum(entry))


@given(entry=ENTRIES, offset=OFFSETS)
def test_no_new_checksum_passes_as_an_earlier_one(entry: Entry, offset: int) -> None:
    """Were its sign lost too, an entry that is otherwise as it was written would still be damaged."""
    checksum = checksum_of(entry, offset)
    assert is_damaged(attrs.evolve(entry, offset=offset), LAST - checksum)


# --- a real file


@pytest.mark.parametrize("other", [49, 51, 1, 61, 90, 127], ids=str)
def test_a_salvage_leaves_out_an_entry_whose_offset_is_garbled(file: Path, tmp_path: Path, other: int) -> None:
    """It is saved nowhere: neither in another's place, nor where none was; the others are saved at their own."""
    kept = fill(file)
    garble(file, 50, other)
    assert salvaged(file, tmp_path) == [one for one in kept if one.offset != 50]


@given(at=st.integers(0, 2**20), byte=st.integers(0, 255))
def test_no_byte_that_changes_makes_a_reading_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    """Whichever byte of the pages with entries is another: what is saved was kept, each reading at its own offset."""
    folder = tmp_path_factory.mktemp("garbled")
    file = folder / "journal.db"
    kept = fill(file)
    data = bytearray(file.read_bytes())
    pages = sorted({place // PAGE_SIZE for _, place in number_places(data)})
    number, rest = divmod(at % (len(pages) * PAGE_SIZE), PAGE_SIZE)
    data[pages[number] * PAGE_SIZE + rest] = byte
    file.write_bytes(data)
    found = salvaged(file, folder)
    assert [one for one in found if one not in kept or one != kept[one.offset - 1]] == []
    assert len(found) >= KEPT - 63


def read_after_mending(journal: SqliteJournal) -> tuple[list[Entry], list[Damage]]:
    """Read all entries, as a worker does that tries again; return them, and what was told."""
    told = [*journal.damages]
    found: list[Entry] = []

    def is_mended() -> bool:
        told.extend(journal.inspect())
        try:
            found[:] = journal.read(START, 1000)
            journal.checkpoint(SINK)
        except Unavailable:
            return False
        return any("brought into a new one" in one.text for one in told)

    wait_for(is_mended, "the damage to be told", 8)
    return found, list(dict.fromkeys(told))


@pytest.mark.parametrize("other", [49, 51, 1, 61, 90, 127], ids=str)
def test_an_offset_that_is_garbled_at_rest_costs_that_entry(file: Path, other: int) -> None:
    """Opened again, it is told with the number; no reading has another's offset, and new ones come behind all."""
    kept = fill(file)
    garble(file, 50, other)
    with closing(SqliteJournal(file)) as journal:
        journal._mender.suspicions.check_soon()
        found, told = read_after_mending(journal)
        assert found == [one for one in kept if one.offset != 50]
        assert sum(one.lost or 0 for one in told) == 1
        (new,) = journal.append([raw_entry(KEPT + 1, b"new")]).kept
        assert new.offset > KEPT
        assert list(journal.read(KEPT, 10)) == [new]
        assert list(journal.check()) == []
    with closing(SqliteJournal(file)) as again:
        assert list(again.inspect()) == []
        assert again.newest() == new.offset


@pytest.mark.parametrize("other", [51, 90], ids=str)
def test_an_offset_that_is_garbled_under_the_running_program_costs_nothing(file: Path, other: int) -> None:
    """The newest readings are in memory, so all are there again."""
    with closing(SqliteJournal(file)) as journal:
        kept = [one for key in range(1, KEPT + 1) for one in journal.append([raw_entry(key, bytes(range(120)))]).kept]
        journal.inspect()
        journal._commit()
        journal._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        garble(file, 50, other)
        journal._mender.suspicions.check_soon()
        _, told = read_after_mending(journal)
        assert sum(one.lost or 0 for one in told) == 0
        journal._newest.forget()
        assert list(journal.read(START, 1000)) == kept
        assert list(journal.check()) == []


def test_an_offset_that_was_not_given_is_found_before_a_new_entry_comes_to_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has looked, the append that would have it fails, and after the mending it is kept."""
    monkeypatch.setattr(mending, "RETRY", 0.0)
    kept = fill(file)
    with closing(SqliteJournal(file)) as journal:
        journal._meters.read(journal._writer)
        with closing(sqlite3.connect(file)) as other, other:
            other.execute("UPDATE entry SET offset = ? WHERE offset = 50", (KEPT + 1,))
            other.execute("UPDATE sqlite_sequence SET seq = ?", (KEPT,))
        with pytest.raises(Unavailable, match="was not given yet"):
            journal.append([raw_entry(KEPT + 1, b"new")])
        journal.inspect()
        (new,) = journal.append([raw_entry(KEPT + 1, b"new")]).kept
        wait_for(lambda: not journal._mender._recovery.is_under_way or bool(journal.inspect()), "the salvage", 8)
        assert list(journal.read(START, 1000)) == [*kept, new]  # the file itself has it still, before its log


# --- an upgrade


def test_a_file_of_the_tenth_version_keeps_its_entries_and_their_checksums(file: Path) -> None:
    """No row is written for the upgrade; what is restamped, and what is new, has a checksum that covers its offset."""
    kept = fill(file)
    with closing(sqlite3.connect(file)) as tenth, tenth:
        tenth.executemany(
            "UPDATE entry SET checksum = ? WHERE offset = ?", [(earlier_checksum(one), one.offset) for one in kept]
        )
        tenth.execute("PRAGMA user_version = 10")
    with closing(SqliteJournal(file)) as journal:
        assert list(journal.read(START, 1000)) == kept
        assert list(journal.check()) == []
        journal.append([raw_entry(KEPT + 1, b"new")])
        journal.restamp([attrs.evolve(kept[6], key=10**6)])
        journal.compact()
        assert list(journal.check()) == []
    with closing(sqlite3.connect(file)) as now:
        rows = now.execute("SELECT offset, checksum >= 0 FROM entry").fetchall()
        assert [offset for offset, is_earlier in rows if not is_earlier] == [7, KEPT + 1]
        assert now.execute("PRAGMA user_version").fetchone() == (11,)


def test_a_salvage_takes_entries_of_the_tenth_version(file: Path, tmp_path: Path) -> None:
    """They are believed, and keep the checksum that they had: nobody knows more of their offsets."""
    kept = fill(file)
    with closing(sqlite3.connect(file)) as tenth, tenth:
        tenth.executemany(
            "UPDATE entry SET checksum = ? WHERE offset = ?", [(earlier_checksum(one), one.offset) for one in kept]
        )
    assert salvaged(file, tmp_path) == kept
    with closing(sqlite3.connect(tmp_path / "new.db")) as new:
        assert new.execute("SELECT count(*) FROM entry WHERE checksum >= 0").fetchone() == (KEPT,)

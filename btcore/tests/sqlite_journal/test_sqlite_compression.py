# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that the SQLite journal stores compressed: they are read as they came, and are lost with their dictionary."""

import random
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from helpers.journal_damage import overwrite
from helpers.journal_death import MortalJournal
from helpers.journal_entries import raw_entry
from hypothesis import given
from hypothesis import strategies as st

from btcore.journal import START, Baseline, Checkpoint, Entry, Lag
from btcore.sqlite_journal import gathering
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.salvage import Salvage
from btcore.sqlite_journal.tables import compression, retention
from btcore.sqlite_journal.tables.compression import MAX_OF_ONE, Dictionaries, Stored, unpacked
from btcore.testing.journal_entries import forget

SIZE = 625

COMMON = random.Random(1).randbytes(SIZE)

LIKE_A_GEM = st.dictionaries(st.integers(0, SIZE - 1), st.integers(0, 255), max_size=60)
"""What of a packet is another than in all others: byte by place."""


def alike(key: int, serial: str = "1") -> Entry:
    """Make an entry whose packet differs from others in its first bytes."""
    return raw_entry(key, key.to_bytes(8, "big") + COMMON[8:], serial)


def fill(journal: SqliteJournal, keys: range) -> list[Entry]:
    """Append entries one by one, as a meter sends them."""
    return [one for key in keys for one in journal.append([alike(key)]).kept]


def rows(file: Path) -> list[tuple[int, int, int, int]]:
    """Return of each entry in a file its offset, its dictionary, its size there, and its packet's size."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT offset, dictionary, length(raw), size FROM entry ORDER BY offset").fetchall()


@pytest.fixture(autouse=True)
def _however_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compress what is appended faster than a meter sends it, too."""
    monkeypatch.setattr(compression, "MAX_RATE", 1_000_000)


def test_of_a_burst_most_is_stored_as_it_came(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more packets come in a second than the rate, the others cost no work for the disk's sake."""
    monkeypatch.setattr(compression, "MAX_RATE", 10)
    monkeypatch.setattr(compression, "monotonic", lambda: 7.5)
    with closing(SqliteJournal(file)) as journal:
        kept = fill(journal, range(1, 51))
        assert journal.read(START, 100) == kept
    assert [bool(dictionary) for _, dictionary, _, _ in rows(file)] == [False] + 9 * [True] + 40 * [False]


# --- what is read is what came


@given(changes=st.lists(LIKE_A_GEM, max_size=20))
def test_any_packet_is_read_as_it_came(changes: list[dict[int, int]]) -> None:
    """Whatever differs in a packet from those before it: by its dictionary it is the same again."""
    dictionaries, stored, raws = Dictionaries(), [], []
    for number, change in enumerate(changes, 1):
        raw = bytearray(COMMON)
        for at, byte in change.items():
            raw[at] = byte
        raws.append(bytes(raw))
        dictionaries.insert(raw_entry(number, bytes(raw)), number, lambda one: stored.append(one) or True)  # type: ignore[func-returns-value]
    assert [unpacked(one, raws[one.dictionary - 1] if one.dictionary else None) for one in stored] == raws
    assert all(one.dictionary for one in stored[1:])


@given(
    stored=st.tuples(st.binary(max_size=50), st.integers(), st.integers()),
    dictionary=st.none() | st.binary(max_size=50),
)
def test_any_bytes_are_unpacked_without_a_fault(stored: tuple[bytes, int, int], dictionary: bytes | None) -> None:
    """What is damaged is no packet, or one of the size that is said; nothing is raised."""
    found = unpacked(Stored(*stored), dictionary)
    assert found is None or not stored[1] or len(found) == stored[2]


def test_every_way_to_read_gives_the_packet_as_it_came(file: Path) -> None:
    """Entries, sizes and what waits are those of the packets, before a commit, after it, and opened again."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill(journal, range(1, 2000))
        for _ in range(2):
            assert list(journal.get([1, 2, 1999])) == [kept[0], kept[1], kept[-1]]
            assert list(journal.recent(1999, 3)) == kept[-3:]
            assert [one.size for one in journal.sizes(START, 2000)] == [SIZE] * 1999
            assert journal.lag(500) == Lag(1499, 1499 * SIZE, 501)
            assert list(journal.check()) == []  # commits what is gathered
    with closing(SqliteJournal(file)) as again:
        assert list(again.read(START, 2000)) == kept
    stored = rows(file)
    assert sum(size for _, _, size, _ in stored) < 0.1 * SIZE * len(stored)


def test_other_programs_can_read_the_packets(file: Path) -> None:
    """A packet is raw deflate with an earlier one as the dictionary, as docs/journal.md says."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill(journal, range(1, 4))
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("""SELECT entry.raw, other.raw FROM entry
            JOIN entry AS other ON other.offset = entry.dictionary ORDER BY entry.offset""").fetchall()
    assert [zlib.decompressobj(-15, dictionary).decompress(raw) for raw, dictionary in found] == [
        one.raw for one in kept[1:]
    ]


def test_a_reading_that_comes_again_is_known(journal: SqliteJournal) -> None:
    """Stored compressed or not, the same packet is not kept twice, and another one finds its key taken."""
    fill(journal, range(1, 4))
    other = attrs.evolve(alike(9), key=2)
    assert journal.append([alike(1), alike(2), alike(3)]).kept == []
    assert list(journal.append([other]).rest) == [other]


def test_each_meter_has_its_base_and_it_is_for_few(file: Path) -> None:
    """What one lost packet costs is bounded: a dictionary is of the same meter, and for 63 entries at most."""
    with closing(SqliteJournal(file)) as journal:
        for key in range(1, 301):
            journal.append([alike(key, str(key % 2))])
    dictionaries = [dictionary for _, dictionary, _, _ in rows(file)]
    assert all(dictionary % 2 == offset % 2 for offset, dictionary in enumerate(dictionaries, 1) if dictionary)
    assert max(dictionaries.count(one) for one in set(dictionaries) - {0}) == MAX_OF_ONE
    assert {dictionaries[one - 1] for one in dictionaries if one} == {0}


def test_what_does_not_pay_is_stored_as_it_came(file: Path) -> None:
    """Packets that are not alike, short ones, and those that come many at a time have no dictionary."""
    with closing(SqliteJournal(file)) as journal:
        for key in range(1, 5):
            journal.append([raw_entry(key, random.Random(key).randbytes(SIZE), "1")])
            journal.append([raw_entry(key, bytes(100), "2")])
        journal.append([alike(key, "3") for key in range(10, 40)])
    assert {(dictionary, size) for _, dictionary, _, size in rows(file)} == {(0, 0)}


# --- dictionary and entry are of one transaction


def test_what_was_taken_back_is_no_dictionary(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry whose insertion failed later is not there: the next ones do not need it."""

    def fail(*_arguments: object) -> None:
        raise sqlite3.OperationalError("the disk went away")

    with closing(SqliteJournal(file)) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(journal._meters, "write", fail)
            with pytest.raises(Exception, match="the disk went away"):
                journal.append([alike(1)])
        kept = fill(journal, range(2, 5))
        assert list(journal.read(START, 10)) == kept
        assert list(journal.check()) == []
    assert [dictionary for _, dictionary, _, _ in rows(file)] == [0, 1, 1]


def test_a_commit_ends_the_use_of_a_dictionary(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a power cut never leaves an entry on the disk whose dictionary is not there."""
    with closing(SqliteJournal(file)) as journal:
        fill(journal, range(1, 4))
        journal._gathering.commit()
        fill(journal, range(4, 6))
        monkeypatch.setattr(gathering, "MAX_AGE", 0.0)
        fill(journal, range(6, 8))
    assert [dictionary for _, dictionary, _, _ in rows(file)] == [0, 1, 1, 0, 4, 4, 0]


def test_what_is_restored_after_a_death_is_compressed_too(file: Path) -> None:
    """It needs no more room than it had, and is the same."""
    journal = MortalJournal(file)
    kept = fill(journal, range(1, 4))
    journal.die()
    with closing(MortalJournal(file)) as again:
        assert list(again.read(START, 10)) == kept
    assert [dictionary for _, dictionary, _, _ in rows(file)] == [0, 1, 1]


# --- what is forgotten


def test_a_dictionary_stays_as_long_as_it_is_needed(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever portion ends where: what stays can be read, and its dictionary goes when nothing needs it."""
    monkeypatch.setattr(retention, "PORTION", 7)
    kept = fill(journal, range(1, 101))
    first = journal.commit("a", Checkpoint(50, {"1": Baseline(20)}))
    forget(journal, ["a"])
    assert [one for one in journal.read(START, 200) if one.offset > 50 or one.offset == 20] == [kept[19], *kept[50:]]
    journal.commit("a", first.moved(100, {"1": Baseline(100)}))
    for _ in range(2):
        forget(journal, ["a"])
    left = [one.offset for one in journal.read(START, 200)]
    assert left[-1] == 100
    assert len(left) <= 2
    assert list(journal.check()) == []


@pytest.mark.parametrize("at_once", [1, 20])
def test_what_comes_long_after_its_like_does_not_need_it(file: Path, at_once: int) -> None:
    """However many entries of others come between: a clean-up that looks no further than the span costs nothing."""
    others = [raw_entry(key, key.to_bytes(8, "big") + bytes(57), "2") for key in range(2, 2002)]
    with closing(SqliteJournal(file)) as journal:
        journal.append([alike(1)])
        for first in range(0, len(others), at_once):
            journal.append(others[first : first + at_once])
        kept = fill(journal, range(2002, 2004))
        journal.commit("a", Checkpoint(2001, {}, 2001))
        forget(journal, ["a"])
        assert list(journal.read(2001, 10)) == kept
        assert list(journal.check()) == []


def test_what_is_restored_long_after_its_like_does_not_need_it(file: Path) -> None:
    """What the tail brings back after a death is as near to its dictionary as what was appended."""
    journal = MortalJournal(file)
    fill(journal, range(1, 2))
    for key in range(2, 2002):
        journal.append([raw_entry(key, key.to_bytes(8, "big") + bytes(57), "2")])
    kept = fill(journal, range(2002, 2004))
    journal.die()
    with closing(MortalJournal(file)) as again:
        assert list(again.read(2001, 10)) == kept
    assert [dictionary for _, dictionary, _, _ in rows(file)][-2:] == [0, 2002]


# --- damage


def with_a_damaged_dictionary(file: Path) -> tuple[list[Entry], range]:
    """Write a file of which the second dictionary is damaged; return what was kept, and which offsets that costs."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill(journal, range(1, 201))
    at = file.read_bytes().index(kept[MAX_OF_ONE + 1].raw)
    overwrite(file, at + 100, at + 110)
    return kept, range(MAX_OF_ONE + 2, 2 * MAX_OF_ONE + 3)


def test_a_damaged_dictionary_costs_what_was_compressed_by_it(file: Path) -> None:
    """The entries that cannot be read any more are left out, told with their number, and no others."""
    kept, gone = with_a_damaged_dictionary(file)
    with closing(SqliteJournal(file)) as journal:
        assert list(journal.check()) == [
            f"{len(gone)} readings are not as they were written: the first has offset {gone[0]}"
        ]
        assert list(journal.read(START, 300)) == [one for one in kept if one.offset not in gone]
        assert sum(one.lost or 0 for one in journal.inspect()) == len(gone)
        assert list(journal.check()) == []


def test_a_damaged_dictionary_that_is_in_memory_is_written_again(journal: SqliteJournal) -> None:
    """Then nothing is lost, nor of what was compressed by it."""
    kept = fill(journal, range(1, 11))
    journal._gathering.commit()
    with journal._transaction() as connection:
        connection.execute("UPDATE entry SET raw = zeroblob(length(raw)) WHERE offset IN (1, 5)")
    assert len(list(journal.check())) == 1
    assert journal.get([5]) == []
    assert journal.get([1]) == []
    assert [one.lost for one in journal.inspect()] == [0]
    assert list(journal.get(range(1, 11))) == kept
    assert list(journal.check()) == []


def salvaged(file: Path, saved: int | None = None) -> list[Entry]:
    """Return what a new journal has of a file; `saved` of it, or all, are saved by this."""
    with closing(SqliteJournal(file.with_name("new.db"))) as journal:
        salvage = Salvage(file, 1000)
        while not salvage.is_done:
            salvage.portion(journal._transaction)
        assert salvage.saved == (journal.lag(0).entries if saved is None else saved)
        assert list(journal.check()) == []
        return list(journal.read(0, 1000))


def test_what_is_salvaged_has_its_dictionary(file: Path) -> None:
    """Of a dictionary that is lost, those that were compressed by it are lost as well, and no others."""
    kept, gone = with_a_damaged_dictionary(file)
    assert salvaged(file) == [one for one in kept if one.offset not in gone]


def test_a_dictionary_may_come_after_what_needs_it(file: Path) -> None:
    """Wherever the pages are in the file: an entry whose dictionary is found later is saved."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill(journal, range(1, 61))
    page = 4096
    data = file.read_bytes()
    found_at = data.index(kept[0].raw) // page
    pages = [data[at : at + page] for at in range(0, len(data), page)]
    file.write_bytes(b"".join([*pages[:found_at], *pages[found_at + 1 :], pages[found_at]]))
    assert salvaged(file) == kept


@pytest.fixture(scope="module")
def of_the_dead(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry]]:
    """Return the folder of a journal whose process died, and what it had: all of it in the file."""
    folder = tmp_path_factory.mktemp("dead")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "MAX_RATE", 1_000_000)
        journal = MortalJournal(folder / "journal.db")
        kept = fill(journal, range(1, 1201))
        journal._gathering.commit()
        journal.inspect()
        journal._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        journal.die()
    return folder, kept


@pytest.mark.parametrize("seed", range(20))
def test_what_a_damaged_page_costs_is_told(of_the_dead: tuple[Path, list[Entry]], tmp_path: Path, seed: int) -> None:
    """Whichever pages are overwritten, each reading is there as it was, or counted as lost."""
    folder, kept = of_the_dead
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "journal.db"
    chosen = random.Random(seed).randrange(1, file.stat().st_size // 4096)
    overwrite(file, 4096 * chosen, 4096 * (chosen + 1))
    with closing(SqliteJournal(file)) as again:
        told = [*again.damages]
        list(again.check())
        told += again.inspect()
        found = again.read(START, 2000)
        assert [one for one in found if one != kept[one.offset - 1]] == []
        assert sum(one.lost or 0 for one in dict.fromkeys(told)) == len(kept) - len(found)
        assert len(found) >= len(kept) - 60 - 2 * MAX_OF_ONE


def test_a_dictionary_that_is_compressed_by_now_is_one_all_the_same(file: Path) -> None:
    """What the new file has got otherwise stays; an entry that needs it is saved, and is stored as it came."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill(journal, range(1, 4))
        journal._gathering.commit()
        kept += fill(journal, range(4, 7))
    new = file.with_name("new.db")
    with closing(SqliteJournal(new)) as journal:
        fill(journal, range(1, 5))
    assert salvaged(file, 2) == kept
    assert [dictionary for _, dictionary, _, _ in rows(new)] == [0, 1, 1, 1, 0, 0]


def test_the_bounds_hold_together() -> None:
    """What retention looks at beyond what it forgets has all that a dictionary may be for."""
    assert compression.MAX_OF_ONE < compression.SPAN

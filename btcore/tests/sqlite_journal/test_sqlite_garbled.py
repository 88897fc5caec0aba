# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQLite journal with single values garbled, of which SQLite itself says nothing: it costs what was garbled."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers.journal_damage import overwrite
from helpers.journal_entries import dead_letter, raw_entry

from btcore.errors import Unavailable
from btcore.journal import START, Baseline, Checkpoint, Damage, Entry, Lag, Retention
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for

SINK = "sink.roof"

KEPT = 60

NO_TEXT = b"\xff"


def fill(file: Path) -> list[Entry]:
    """Write a journal with all kinds of things; return its entries."""
    with closing(SqliteJournal(file)) as journal:
        kept = [one for key in range(1, KEPT + 1) for one in journal.append([raw_entry(key, bytes(range(200)))]).kept]
        journal.commit(SINK, Checkpoint(40, {"1": Baseline(40, {"wh_total": 7})}, 40))
        journal.keep_dead_letters([dead_letter(SINK, 39)])
        journal.commit_source("source.old", "far")
        return kept


def change(file: Path, statement: str) -> None:
    """Change the file as damage would, behind SQLite's back and within its rules."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def read_after_mending(journal: SqliteJournal) -> tuple[list[Entry], list[Damage]]:
    """Read all entries, as a worker does that tries again; return them, and what was told."""
    told = [*journal.damages]
    for _ in range(10):
        told += journal.inspect()
        try:
            found = journal.read(START, 1000)
            journal.inspect()
            list(journal.apply_retention([SINK], Retention(age=-1)))
        except Unavailable:
            continue
        return list(found), list(dict.fromkeys([*told, *journal.inspect(), *journal.damages]))
    pytest.fail("the journal cannot be read")


@pytest.mark.parametrize(
    "damage",
    [
        "source = CAST(x'ff61' AS TEXT)",
        "serial = CAST(x'c3' AS TEXT)",
        "format = CAST(x'80' AS TEXT)",
        "address = CAST(x'ff' AS TEXT)",
        "origin = CAST(x'ff' AS TEXT)",
        "key = x''",
        "key = 'noon'",
        "monotonic = x'01'",
        "raw = 5",
        "raw = 'a text'",
        "size = x'0101'",
        "dictionary = 'no number'",
        "dictionary = 20, size = 1 << 62",
        "packetless = x'01'",
    ],
)
def test_a_garbled_value_of_an_entry_costs_that_entry(file: Path, damage: str) -> None:
    """It is left out, told and counted; all others are read, and a clean-up goes on."""
    kept = fill(file)
    change(file, f"UPDATE entry SET {damage} WHERE offset = 50")
    with closing(SqliteJournal(file)) as journal:
        found, told = read_after_mending(journal)
        assert found == [one for one in kept if one.offset != 50]
        assert sum(one.lost or 0 for one in told) == 1
        assert journal.checkpoint(SINK) is not None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE baseline SET lifetime = '{\"wh_total\" 7}'",
        "UPDATE baseline SET lifetime = CAST(x'ff' AS TEXT)",
        "UPDATE dead_letter SET entries = '[39'",
        "UPDATE dead_letter SET keys = ''",
        "UPDATE dead_letter SET start_time = 'noon'",
        "UPDATE dead_letter SET why = CAST(x'ff' AS TEXT)",
        "UPDATE meter SET format = CAST(x'ff' AS TEXT)",
        "UPDATE source_checkpoint SET state = CAST(x'ff' AS TEXT)",
        "UPDATE checkpoint SET settings = CAST(x'ff' AS TEXT)",
    ],
)
def test_what_is_garbled_besides_costs_no_reading(file: Path, damage: str) -> None:
    """The journal opens, tells that it is damaged, and is whole again; nobody waits for a file that no start mends."""
    kept = fill(file)
    change(file, damage)
    with closing(SqliteJournal(file)) as journal:
        for look in (
            lambda: journal.checkpoint(SINK),
            journal.dead_letters,
            lambda: journal.source_checkpoint("source.old"),
        ):
            for _ in range(3):
                try:
                    look()
                except Unavailable:
                    journal.inspect()
        found, told = read_after_mending(journal)
        assert found == kept
        assert [one.lost for one in told] == [0]
        assert list(journal.check()) == []
        journal.checkpoint(SINK)
        journal.dead_letters()
    with closing(SqliteJournal(file)) as again:
        assert list(again.inspect()) == []


@pytest.mark.parametrize("name", [b"offset ", b"key  ", b"format ", b"sink ", b"CREATE TABLE block", b"state "])
@pytest.mark.parametrize("byte", [b"\xff", b"q"])
def test_garbled_tables_are_damage(file: Path, name: bytes, byte: bytes) -> None:
    """Whatever is garbled in what SQLite knows of the tables: the journal opens, with all readings."""
    kept = fill(file)
    at = file.read_bytes().index(name) + len(name) // 2 - 1
    file.write_bytes(file.read_bytes()[:at] + byte + file.read_bytes()[at + 1 :])
    with closing(SqliteJournal(file)) as journal:
        found, told = read_after_mending(journal)
        assert found == kept
        assert [one.lost for one in told] == [0]
        assert journal.append([raw_entry(KEPT + 1, bytes(200))]).kept


def test_who_only_looks_is_told_of_garbled_tables(file: Path) -> None:
    """`btcore status` changes nothing, and says what to do."""
    fill(file)
    at = file.read_bytes().index(b"offset ")
    overwrite(file, at, at + 3)
    before = file.read_bytes()
    with pytest.raises(Unavailable, match="the next `btcore run` moves it away"):
        SqliteJournal(file, mends=False)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "damage", ["examined = 55", "offset = 41", "offset = 5000", "settings = 'b'", "examined = 1 << 50", "checksum = 7"]
)
def test_a_garbled_checkpoint_passes_over_no_reading(file: Path, damage: str) -> None:
    """A sink looks again at what it has not had for certain, and a clean-up takes nothing of that."""
    kept = fill(file)
    change(file, f"UPDATE checkpoint SET {damage}")
    with closing(SqliteJournal(file)) as journal:
        told: list[Damage] = []
        for _ in range(5):
            try:
                found = journal.checkpoint(SINK)
                break
            except Unavailable:
                told += journal.inspect()
        assert found is not None
        assert found.offset <= 41
        assert found.examined == found.offset
        assert found.baselines == {"1": Baseline(40, {"wh_total": 7})}
        assert [one.lost for one in told] == [0]
        list(journal.apply_retention([SINK], Retention(age=-1)))
        assert list(journal.read(found.offset, 100)) == kept[found.offset :]
        assert list(journal.check()) == []
        assert journal.append([raw_entry(KEPT + 1, bytes(200))]).kept


@pytest.mark.parametrize(
    "damage", ["UPDATE block SET bytes = 1 << 40", "DELETE FROM block", "UPDATE checkpoint SET examined = 55"]
)
def test_what_nobody_reads_is_found_in_the_background(file: Path, damage: str) -> None:
    """A running program whose file somebody has written to tells it, and mends it from memory and the file."""
    kept = fill(file)
    with closing(SqliteJournal(file)) as journal:
        before = journal.checkpoint(SINK)
        journal.inspect()
        change(file, damage)
        journal._mender.suspicions.check_soon()
        told: list[Damage] = []

        def is_mended() -> bool:
            told.extend(journal.inspect())
            return any(one.lost == 0 for one in told)

        wait_for(is_mended, "the damage to be told", 8)
        assert journal.checkpoint(SINK) == before
        assert list(journal.read(START, 100)) == kept
        assert list(journal.check()) == []
        assert journal.lag(START) == Lag(KEPT, 200 * KEPT, 1)

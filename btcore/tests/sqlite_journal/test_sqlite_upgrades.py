# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of earlier versions of the journal: they are brought up, all at once, and keep what is in them."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from helpers.journal_entries import raw_entry
from helpers.packets import METER

from btcore.errors import Unavailable
from btcore.journal import Baseline, Checkpoint, Entry, Lag
from btcore.sqlite_journal.journal import SqliteJournal

FIRST = """
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL UNIQUE, added INTEGER NOT NULL, source TEXT NOT NULL,
    serial TEXT NOT NULL, format TEXT NOT NULL, whole INTEGER NOT NULL, raw BLOB NOT NULL
);
CREATE TABLE cursor (sink TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE base (
    sink TEXT NOT NULL, serial TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (sink, serial)
) WITHOUT ROWID;
CREATE TABLE aside (
    sink TEXT NOT NULL, serial TEXT NOT NULL, start_time TEXT NOT NULL, end_time TEXT NOT NULL, why TEXT NOT NULL,
    entries TEXT NOT NULL
);
PRAGMA user_version = 1;
"""


def test_a_file_of_the_first_version_is_brought_up_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    """What an older btcore has kept is there after an upgrade, and new readings go beside it."""
    file = tmp_path / "journal.db"
    with closing(sqlite3.connect(file)) as first:
        first.executescript(FIRST)
        first.execute("INSERT INTO entry VALUES (1, 5, 0, 'panel', '312345', 'ecm1220bin', 0, x'01')")
        first.execute("INSERT INTO cursor VALUES ('sink.roof', 1)")
        first.commit()
    with closing(SqliteJournal(file)) as journal:
        journal.append([Entry(6, "panel", "312345", "ecm1220bin", b"\x02", monotonic=7, boot=8)])
        kept = [(one.key, one.raw, one.monotonic, one.boot, one.origin) for one in journal.read(0, 10)]
        assert [(one.serial, one.format) for one in journal.heard_meters()] == [("312345", "ecm1220bin")]
        assert journal.checkpoint("sink.roof") == Checkpoint(1, examined=1)
    assert kept == [(5, b"\x01", 0, 0, ""), (6, b"\x02", 7, 8, "")]


FOURTH = """
CREATE TABLE entry (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    key    INTEGER NOT NULL UNIQUE,
    added  INTEGER NOT NULL,
    source TEXT NOT NULL,
    serial TEXT NOT NULL,
    format TEXT NOT NULL,
    whole  INTEGER NOT NULL,
    raw    BLOB NOT NULL,
    steady INTEGER NOT NULL DEFAULT 0,
    boot   INTEGER NOT NULL DEFAULT 0,
    address TEXT NOT NULL DEFAULT '',
    origin TEXT NOT NULL DEFAULT ''
);
CREATE TABLE cursor (
    sink     TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    seen     INTEGER NOT NULL DEFAULT 0,
    missed   INTEGER NOT NULL DEFAULT 0,
    settings TEXT NOT NULL DEFAULT '',
    accepted TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE base (
    sink   TEXT NOT NULL,
    serial TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    lifetime TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (sink, serial)
) WITHOUT ROWID;
CREATE TABLE aside (
    sink       TEXT NOT NULL,
    serial     TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time   TEXT NOT NULL,
    why        TEXT NOT NULL,
    entries    TEXT NOT NULL,
    added      INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE meter (
    serial TEXT NOT NULL,
    format TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (serial, format)
) WITHOUT ROWID;
INSERT INTO entry VALUES (3, 70, 1, 'panel', '312345', 'ecm1220bin', 0, x'01', 11, 12, '10.0.0.1', 'recorded');
INSERT INTO entry VALUES (4, 80, 1, 'panel', '312345', 'ecm1220bin', 1, x'02', 0, 0, '', '');
INSERT INTO cursor VALUES ('sink.roof', 3, 4, 2, 'some', 'others');
INSERT INTO base VALUES ('sink.roof', '312345', 3, '{"ch1_aws": 9}');
INSERT INTO aside VALUES ('sink.roof', '312345', '2026-06-21T12:00:00+00:00', '2026-06-21T12:00:10+00:00',
    'no', '[3, 4]', 5);
INSERT INTO aside VALUES ('sink.roof', '312345', '2026-06-21T12:00:00+00:00', '2026-06-21T12:00:10+00:00',
    'no', '[3, 4]', 6);
INSERT INTO aside VALUES ('sink.roof', '312345', '2026-06-21T12:00:10+00:00', '2026-06-21T12:00:10+00:00',
    'no', '[4]', 7);
INSERT INTO meter VALUES ('312345', 'ecm1220bin', 3);
PRAGMA user_version = 4;
"""


@pytest.fixture
def fourth(tmp_path: Path) -> Path:
    """Return a file of version 4."""
    file = tmp_path / "journal.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(FOURTH)
        connection.commit()
    return file


def test_a_file_of_the_fourth_version_keeps_everything(fourth: Path) -> None:
    """Entries, checkpoint, baselines and meters are as before; a dead letter that was there twice is there once."""
    with closing(SqliteJournal(fourth)) as journal:
        assert list(journal.read(0, 9)) == [
            Entry(70, "panel", METER, "ecm1220bin", b"\x01", False, 3, 11, 12, "10.0.0.1", "recorded"),  # noqa: FBT003
            Entry(80, "panel", METER, "ecm1220bin", b"\x02", True, 4),  # noqa: FBT003 - as the row
        ]
        checkpoint = journal.checkpoint("sink.roof")
        assert checkpoint == Checkpoint(3, {METER: Baseline(3, {"ch1_aws": 9})}, 4, 2, "some", "others")
        assert [(one.entries, one.keys) for one in journal.dead_letters()] == [((3, 4), (70, 80)), ((4,), (80,))]
        assert [one.serial for one in journal.heard_meters()] == [METER]
        journal.keep_dead_letters(journal.dead_letters())
        assert len(journal.dead_letters()) == 2
        assert checkpoint is not None
        journal.commit("sink.roof", checkpoint.moved(4, {}))


FIFTH = """
CREATE TABLE entry (
    offset     INTEGER PRIMARY KEY AUTOINCREMENT,
    key        INTEGER NOT NULL UNIQUE,
    added      INTEGER NOT NULL,
    source     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    format     TEXT NOT NULL,
    packetless INTEGER NOT NULL,
    raw        BLOB NOT NULL,
    monotonic  INTEGER NOT NULL DEFAULT 0,
    boot       INTEGER NOT NULL DEFAULT 0,
    address    TEXT NOT NULL DEFAULT '',
    origin     TEXT NOT NULL DEFAULT ''
);
CREATE TABLE checkpoint (
    sink           TEXT PRIMARY KEY,
    offset         INTEGER NOT NULL,
    examined       INTEGER NOT NULL DEFAULT 0,
    first_unwanted INTEGER NOT NULL DEFAULT 0,
    settings       TEXT NOT NULL DEFAULT '',
    accepted       TEXT NOT NULL DEFAULT '',
    revision       INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE TABLE baseline (
    sink     TEXT NOT NULL,
    serial   TEXT NOT NULL,
    offset   INTEGER NOT NULL,
    lifetime TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (sink, serial)
) WITHOUT ROWID;
CREATE TABLE dead_letter (
    sink       TEXT NOT NULL,
    serial     TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time   TEXT NOT NULL,
    why        TEXT NOT NULL,
    entries    TEXT NOT NULL,
    added      INTEGER NOT NULL DEFAULT 0,
    keys       TEXT NOT NULL DEFAULT '[]'
);
CREATE UNIQUE INDEX dead_letter_identity ON dead_letter (sink, serial, keys);
CREATE TABLE meter (
    serial TEXT NOT NULL,
    format TEXT NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (serial, format)
) WITHOUT ROWID;
INSERT INTO checkpoint VALUES ('sink.roof', 3, 4, 2, 'some', 'others', 7);
INSERT INTO dead_letter VALUES ('sink.roof', '312345', '2026-06-21T12:00:00+00:00', '2026-06-21T12:00:10+00:00',
    'no', '[3, 4]', 5, '[70, 80]');
PRAGMA user_version = 5;
"""

INSERT_FIFTH = """INSERT INTO entry (key, added, source, serial, format, packetless, raw)
    VALUES (?, 1, 'panel', '312345', 'ecm1220bin', 0, ?)"""

MANY = 3000
"""Entries of the file of version 5: its index has many pages."""


@pytest.fixture
def fifth(tmp_path: Path) -> Path:
    """Return a file of version 5, in which the key alone is unique."""
    file = tmp_path / "journal.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(FIFTH)
        connection.executemany(INSERT_FIFTH, [(10 * n, b"%d" % n) for n in range(MANY)])
        connection.commit()
    return file


def test_a_file_of_the_fifth_version_keeps_everything(fifth: Path) -> None:
    """Entries, checkpoint and dead letters are as before, and the file is sound."""
    with closing(SqliteJournal(fifth)) as journal:
        assert [(one.offset, one.key, one.raw) for one in journal.read(0, MANY + 1)] == [
            (n + 1, 10 * n, b"%d" % n) for n in range(MANY)
        ]
        checkpoint = journal.checkpoint("sink.roof")
        assert (checkpoint, checkpoint and checkpoint.revision) == (Checkpoint(3, {}, 4, 2, "some", "others"), 7)
        assert [one.identity for one in journal.dead_letters()] == [("sink.roof", METER, (70, 80))]
    with closing(sqlite3.connect(fifth)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_how_far_a_sink_is_behind_is_known_after_an_upgrade(fifth: Path) -> None:
    """What was there before counts as what comes in after it, wherever a sink is."""
    with closing(SqliteJournal(fifth)) as journal:
        journal.append([raw_entry(10 * MANY)])
        for after in (0, 1, 999, 1000, 1500, MANY):
            rest = journal.read(after, MANY + 1)
            assert journal.lag(after) == Lag(len(rest), sum(len(one.raw) for one in rest), rest[0].key)


def test_a_file_of_the_fifth_version_takes_two_meters_at_one_time(fifth: Path) -> None:
    """After the upgrade a reading is identified by its meter and its key: what is there is known, others are kept."""
    with closing(SqliteJournal(fifth)) as journal:
        known, other = raw_entry(10, b"1"), raw_entry(10, b"of another meter", "420467")
        assert [one.offset for one in journal.append([known, other]).kept] == [MANY + 1]
        taken = raw_entry(10, b"of the same meter")
        assert list(journal.append([taken]).rest) == [taken]


def test_an_upgrade_of_the_fifth_version_does_not_copy_the_entries(fifth: Path) -> None:
    """The entries stay where they are in the file: a large journal needs room for its new index alone."""
    with closing(sqlite3.connect(fifth)) as connection:
        before = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entry'").fetchall()
    SqliteJournal(fifth).close()
    with closing(sqlite3.connect(fifth)) as connection:
        assert connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entry'").fetchall() == before


DYING = """
import os, sqlite3, sys
from btcore.sqlite_journal.tables.schema import bring_up

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA cache_size = 5")  # so that pages are written before the end of the transaction
connection.execute("BEGIN IMMEDIATE")
bring_up(connection)
os._exit(9)
"""


@pytest.mark.servers
def test_an_upgrade_in_which_the_program_dies_is_done_later(fifth: Path) -> None:
    """Where the program dies before the upgrade is complete, the file is of version 5, and is brought up later."""
    assert subprocess.run([sys.executable, "-c", DYING, str(fifth)], check=False).returncode == 9
    with closing(sqlite3.connect(fifth)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with pytest.raises(sqlite3.IntegrityError, match=r"entry\.key"):
            connection.execute(INSERT_FIFTH, (10, b"again"))
    with closing(SqliteJournal(fifth)) as journal:
        assert len(journal.read(0, MANY + 1)) == MANY
        assert len(journal.append([raw_entry(10, b"of another meter", "420467")]).kept) == 1


def test_an_upgrade_that_fails_at_its_end_changes_nothing(fifth: Path) -> None:
    """Where the last step of an upgrade is not possible, the file is as it was, and sound."""
    with closing(sqlite3.connect(fifth)) as connection:
        connection.execute("CREATE INDEX entry_identity ON meter (offset)")
        connection.commit()
    with pytest.raises(Unavailable, match=r"cannot open the journal .*entry_identity already exists"):
        SqliteJournal(fifth)
    with closing(sqlite3.connect(fifth)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (MANY,)


def columns(file: Path) -> dict[str, list[tuple[str, str, int, str, int]]]:
    """Return the columns of each table, by name: type, whether it may be null, default, place in the primary key."""
    with closing(sqlite3.connect(file)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})")) for name in tables}


def indexes(file: Path) -> set[tuple[str, str, str]]:
    """Return the indexes: name, table, statement."""
    with closing(sqlite3.connect(file)) as connection:
        return set(connection.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index'"))


@pytest.mark.parametrize("earlier", [FIRST, FOURTH, FIFTH], ids=["1", "4", "5"])
def test_a_file_that_was_brought_up_is_as_a_new_one(tmp_path: Path, earlier: str) -> None:
    """After the upgrade the tables have the columns and the indexes of a new file."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(earlier)
        connection.commit()
    for file in (old, new):
        SqliteJournal(file).close()
    assert columns(old) == columns(new)
    assert indexes(old) == indexes(new)


def test_an_upgrade_is_done_whole_or_not_at_all(fourth: Path) -> None:
    """Where a file cannot be brought up, it is as it was: of version 4, with all of its tables."""
    with closing(sqlite3.connect(fourth)) as connection:
        connection.execute("CREATE TABLE dead_letter (in_the_way TEXT)")
        connection.commit()
    with pytest.raises(Unavailable, match=r"cannot open the journal"):
        SqliteJournal(fourth)
    with closing(sqlite3.connect(fourth)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
        assert connection.execute("SELECT position FROM cursor").fetchall() == [(3,)]

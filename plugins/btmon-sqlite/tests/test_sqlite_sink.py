# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing: once each, whatever comes how often in what order, and what is said where it cannot be done."""

import logging
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Batch, Channel, Context, Format, Reading, Reject, Retry, Stop, pack
from btmon_sqlite import database
from btmon_sqlite.sink import Sqlite

START = datetime(2024, 3, 1, 12, tzinfo=UTC)

Opened = Callable[..., Sqlite]


def reading(microseconds: int = 0, serial: str = "312345", name: str = "ecm1240bin", **values: float) -> Reading:
    """Make a reading, so many microseconds from the start."""
    raw = pack(name, serial, {"volts": 121.5, "secs": 5000, **values})
    return Reading(START + timedelta(microseconds=microseconds), FORMATS[name], serial, raw)


def query(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def execute(file: Path, sql: str) -> None:
    """Change the file."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(sql)


def count(file: Path, table: str = "ecm1240bin_counters") -> int:
    """Count the rows of a table."""
    (number,) = query(file, f"SELECT count(*) FROM {table}")[0]
    return int(number)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the file as a program does that is about to write."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for locks hardly at all."""
    monkeypatch.setattr(database, "LOCK_TIMEOUT", 0.01)


def test_the_same_batch_twice_is_stored_once(opened: Opened, tmp_path: Path) -> None:
    """A batch that comes again, as after a crash, changes nothing."""
    sink = opened(file=tmp_path / "energy.db")
    batch = Batch(readings=tuple(recorded_readings("ecm1240bin_steady")))
    sink.process_batch(batch)
    sink.process_batch(batch)
    assert count(tmp_path / "energy.db") == len(batch.readings)


def test_two_packets_of_one_second_are_both_stored(opened: Opened, tmp_path: Path) -> None:
    """Readings received within a second are rows of their own, with the same time_created."""
    opened(file=tmp_path / "energy.db").process_batch(Batch((reading(0), reading(1), reading(2))))
    seconds = int(START.timestamp())
    expected = [(seconds * 1_000_000 + n, seconds) for n in range(3)]
    assert query(tmp_path / "energy.db", "SELECT id, time_created FROM ecm1240bin_counters") == expected


READINGS = [reading(n * 400_000, ch1_aws=1000 * n) for n in range(12)]


@given(st.lists(st.lists(st.sampled_from(READINGS), unique_by=id), max_size=8), st.permutations(READINGS))
def test_any_order_and_splitting_gives_the_same_table(parts: list[list[Reading]], rest: list[Reading]) -> None:
    """However readings are split, ordered and repeated, the table is the same in the end."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "energy.db"
        sink = Sqlite(file=file)
        sink.open(Context("sink.test", logging.getLogger("sink.test")))
        for part in [*parts, rest]:
            sink.process_batch(Batch(tuple(part)))
        sink.close()
        expected = [(r.key, "312345", 1000 * n) for n, r in enumerate(READINGS)]
        assert query(file, "SELECT id, serial, ch1_aws FROM ecm1240bin_counters ORDER BY id") == expected


def test_formats_have_tables_of_their_own(opened: Opened, tmp_path: Path) -> None:
    """A batch of several packet formats goes to one table each."""
    names = ("ecm1220bin", "ecm1240bin", "gem48pbin", "gem48ptbin")
    readings = [item for name in names for item in recorded_readings(f"{name}_steady")]
    opened(file=tmp_path / "energy.db").process_batch(Batch(tuple(readings)))
    assert {name: count(tmp_path / "energy.db", f"{name}_counters") for name in names} == dict.fromkeys(names, 8)


def test_a_named_table_takes_all_formats(opened: Opened, tmp_path: Path) -> None:
    """With `table`, all formats share one table that has the columns of each; what a format does not have is NULL."""
    file = tmp_path / "energy.db"
    sink = opened(file=file, table="house")
    sink.process_batch(Batch((reading(0, ch1_a=1.5), reading(1, "01021234", "gem48ptbin", t1=21.5))))
    rows = query(file, "SELECT serial, volts, ch1_a, t1 FROM house ORDER BY id")
    assert rows == [("312345", 121.5, 1.5, None), ("01021234", 121.5, None, 21.5)]


@pytest.mark.parametrize("schema", ["ecmread", "ecmreadext"])
def test_calculated_schemas_store_samples_only(schema: str, opened: Opened, tmp_path: Path) -> None:
    """A row is made for each sample, with the key and time of its newer reading; readings alone make none."""
    file, newer = tmp_path / "energy.db", reading(10_000_000, secs=5010, ch1_aws=36_000)
    sink = opened(file=file, schema=schema)
    sink.process_batch(Batch(readings=(newer,)))
    assert not query(file, "SELECT name FROM sqlite_master")
    sink.process_batch(Batch((newer,), tuple(samples_between([reading(), newer], "btmon"))))
    rows = query(file, f"SELECT id, time_created, ecm_serial, ch1_w FROM ecm1240bin_{schema}")
    assert rows == [(newer.key, int(newer.timestamp), "312345", -3600.0)]


def test_what_is_unknown_after_a_restart_is_null(opened: Opened, tmp_path: Path) -> None:
    """Power over an interval in which the meter restarted is NULL; what it counted since is there."""
    older = reading(ch1_aws=7_200_000, flag=1)
    newer = reading(10_000_000, secs=5, ch1_aws=36_000, flag=2)
    opened(file=tmp_path / "e.db", schema="ecmreadext").process_batch(
        Batch((), tuple(samples_between([older, newer], "btmon")))
    )
    assert query(tmp_path / "e.db", "SELECT ch1_w, ch1_dwh FROM ecm1240bin_ecmreadext") == [(None, -10.0)]


def test_an_empty_batch_touches_nothing(opened: Opened, tmp_path: Path) -> None:
    """A batch without anything to store makes no table."""
    opened(file=tmp_path / "energy.db").process_batch(Batch())
    assert not query(tmp_path / "energy.db", "SELECT name FROM sqlite_master")


def test_the_file_is_in_wal_mode(opened: Opened, tmp_path: Path) -> None:
    """Readers of the file are not locked out while rows are written."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        sink.process_batch(Batch((reading(0),)))
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM ecm1240bin_counters").fetchone() == (1,)
        sink.process_batch(Batch((reading(1),)))
        assert reader.execute("SELECT count(*) FROM ecm1240bin_counters").fetchone() == (1,)
    assert query(file, "PRAGMA journal_mode") == [("wal",)]


def test_missing_columns_are_added_and_said_once(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that lacks columns gets them, capitals or not, its rows stay, and the log says so one time."""
    file = tmp_path / "energy.db"
    execute(file, "CREATE TABLE house (id integer primary key, time_created int, Serial text, VOLTS float, note text);")
    execute(file, "INSERT INTO house (id, volts, note) VALUES (7, 1.5, 'old');")
    sink = opened(file=file, table="house")
    for microsecond in range(3):
        sink.process_batch(Batch((reading(microsecond),)))
    assert (
        query(file, "SELECT note, volts, secs FROM house ORDER BY id")
        == [("old", 1.5, None)] + [(None, 121.5, 5000)] * 3
    )
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"added missing columns to table house of {file}: secs, ch1_a")


@pytest.mark.parametrize("columns", ["time_created int", "id int, serial text"])
def test_a_table_without_a_key_becomes_safe_to_repeat(columns: str, opened: Opened, tmp_path: Path) -> None:
    """In a table that another program made without a primary key, a batch that comes again is stored once too."""
    file = tmp_path / "energy.db"
    execute(
        file, f"CREATE TABLE house ({columns}); INSERT INTO house DEFAULT VALUES; INSERT INTO house DEFAULT VALUES;"
    )
    sink = opened(file=file, table="house")
    sink.process_batch(Batch((reading(0), reading(1))))
    sink.process_batch(Batch((reading(0), reading(1))))
    assert count(file, "house") == 4


def test_a_table_whose_rows_repeat_is_continued(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where rows are there twice already no unique key can be made: each row is looked for first, which is reported."""
    file = tmp_path / "energy.db"
    execute(file, "CREATE TABLE house (id int, serial text); INSERT INTO house VALUES (0, 'a'), (0, 'a');")
    sink = opened(file=file, table="house")
    for _ in range(2):
        sink.process_batch(Batch((reading(0), reading(1))))
    assert count(file, "house") == 4
    assert f"table house of {file} has rows with the same id, serial, so it gets no unique key" in caplog.text


def test_two_meters_may_have_the_same_key(opened: Opened, tmp_path: Path) -> None:
    """Readings of two meters at the same microsecond are two rows, and each is there once."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    for _ in range(2):
        sink.process_batch(Batch((reading(0), reading(0, "420467"))))
        sink.process_batch(Batch((reading(0, "420467"),)))
    key = reading(0).key
    assert query(file, "SELECT id, serial FROM ecm1240bin_counters ORDER BY serial") == [
        (key, "312345"),
        (key, "420467"),
    ]


@pytest.mark.parametrize("key_type", ["INTEGER", "bigint"])
def test_a_table_with_the_key_alone_takes_two_meters(key_type: str, opened: Opened, tmp_path: Path) -> None:
    """A table of an earlier btcore, or of btmon, in which `id` alone is unique, takes readings of one microsecond.

    The second gets a number below zero; a third, and the next reading of the second, are told from it.
    """
    file = tmp_path / "energy.db"
    execute(file, f"CREATE TABLE house (id {key_type} PRIMARY KEY, time_created int, serial text);")
    same = [reading(0, serial) for serial in ("312345", "420467", "350001")]
    later = [reading(1, "420467"), reading(1)]
    for batch in ((*same, *later), (same[2], later[1]), (same[1], later[0])):
        opened(file=file, table="house").process_batch(Batch(batch))
    key = same[0].key
    assert query(file, "SELECT id, serial FROM house ORDER BY id") == [
        (-(key + (1 << 52)), "350001"),
        (-(key + 1), "312345"),
        (-key, "420467"),
        (key, "312345"),
        (key + 1, "420467"),
    ]


def test_a_rule_of_the_table_for_two_rows_rejects(opened: Opened, tmp_path: Path) -> None:
    """A row that the table's own uniqueness refuses is rejected, so that the core sets it aside alone."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    sink.process_batch(Batch((reading(0),)))
    execute(file, "CREATE UNIQUE INDEX once ON ecm1240bin_counters (time_created, serial);")
    with pytest.raises(Reject, match="has a row like this already"):
        sink.process_batch(Batch((reading(1),)))


def test_a_rule_of_the_table_for_every_row_stops(opened: Opened, tmp_path: Path) -> None:
    """Where no row can be stored the sink stops, rather than setting aside everything."""
    file = tmp_path / "energy.db"
    execute(file, "CREATE TABLE house (id integer primary key, serial text, note text NOT NULL);")
    with pytest.raises(Stop, match=r"NOT NULL constraint failed: house.note.*name another `table`"):
        opened(file=file, table="house").process_batch(Batch((reading(),)))


def test_a_view_stops(opened: Opened, tmp_path: Path) -> None:
    """What is no table is said to refuse."""
    file = tmp_path / "energy.db"
    execute(file, "CREATE VIEW house AS SELECT 1 AS id, 2 AS serial;")
    with pytest.raises(Stop, match=f"{re.escape(str(file))} refuses a statement"):
        opened(file=file, table="house").process_batch(Batch((reading(),)))


@pytest.mark.usefixtures("impatient")
def test_a_locked_file_is_tried_again(opened: Opened, tmp_path: Path) -> None:
    """While another program holds the file, the batch waits; nothing is lost and nothing stored twice."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    with held(file), pytest.raises(Retry, match=f"{re.escape(str(file))} is locked by another program"):
        sink.process_batch(Batch((reading(),)))
    sink.process_batch(Batch((reading(),)))
    assert count(file) == 1


@pytest.mark.usefixtures("impatient")
def test_a_file_locked_at_the_start_is_tried_again(opened: Opened, tmp_path: Path) -> None:
    """A file that is held when the sink opens is opened later, by the same sink."""
    file = tmp_path / "energy.db"
    sink = Sqlite(file=file)
    with held(file), pytest.raises(Retry, match="is locked by another program"):
        sink.open(Context("sink.test", logging.getLogger("sink.test")))
    sink.process_batch(Batch((reading(),)))
    sink.close()
    assert count(file) == 1


def test_a_full_disk_is_tried_again(opened: Opened, tmp_path: Path) -> None:
    """Without space the whole batch waits, and is stored once there is room."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    sink.process_batch(Batch((reading(0),)))
    assert sink._connection is not None
    sink._connection.connection.execute("PRAGMA max_page_count = 3")
    batch = Batch(tuple(reading(n) for n in range(500)))
    with pytest.raises(Retry, match=f"no space left for {re.escape(str(file))}: free space"):
        sink.process_batch(batch)
    assert count(file) == 1
    sink._connection.connection.execute("PRAGMA max_page_count = 100000")
    sink.process_batch(batch)
    assert count(file) == 500


def test_a_file_that_is_no_database_stops(opened: Opened, tmp_path: Path) -> None:
    """A file of another kind is named, and left as it is."""
    file = tmp_path / "notes.txt"
    file.write_text("remember the milk " * 100)
    with pytest.raises(Stop, match=f"{re.escape(str(file))} is not an SQLite database: name another `file`"):
        opened(file=file)
    assert file.read_text() == "remember the milk " * 100


def test_a_damaged_file_stops(opened: Opened, tmp_path: Path) -> None:
    """A database with a page of rubbish is said to be damaged, with how to save what is in it."""
    file = tmp_path / "energy.db"
    batch = Batch(tuple(recorded_readings("gem48pbin_steady")))
    sink = opened(file=file)
    sink.process_batch(batch)
    sink.close()
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    with pytest.raises(Stop, match=f"{re.escape(str(file))} is damaged .* .recover"):
        opened(file=file).process_batch(batch)


def test_a_read_only_file_stops(opened: Opened, tmp_path: Path) -> None:
    """A database that may be read but not written stops the sink, with whom to give the right to."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    sink.process_batch(Batch((reading(0),)))
    sink.close()
    data = bytearray(file.read_bytes())
    data[18] = 3  # a write version of the future makes a file read-only to everyone, the administrator included
    file.write_bytes(data)
    with pytest.raises(Stop, match=f"{re.escape(str(file))} is read-only .* and its directory"):
        opened(file=file).process_batch(Batch((reading(1),)))


def test_a_file_that_was_moved_away_is_made_anew(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After the file was moved, rows go to a new file of its name, which is said, and the old one is whole."""
    file, old = tmp_path / "energy.db", tmp_path / "old.db"
    sink = opened(file=file)
    sink.process_batch(Batch((reading(0),)))
    file.rename(old)
    sink.process_batch(Batch((reading(1), reading(2))))
    assert (count(old), count(file)) == (1, 2)
    assert [record.getMessage() for record in caplog.records] == [f"{file} was moved or deleted: a new file is created"]


def test_a_table_that_was_dropped_is_made_anew(opened: Opened, tmp_path: Path) -> None:
    """A table may be dropped while the sink runs."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    sink.process_batch(Batch((reading(0),)))
    execute(file, "DROP TABLE ecm1240bin_counters;")
    sink.process_batch(Batch((reading(1),)))
    assert count(file) == 1


def test_a_dry_run_writes_nothing(opened: Opened, tmp_path: Path) -> None:
    """A preview tells every row with its table and values, and makes no file."""
    gem = reading(0, "01021234", "gem48ptbin")
    sink = opened(file=tmp_path / "energy.db", dry_run=True)
    (line,) = sink.preview_batch(Batch((gem,)))
    own = f"id={gem.key}, time_created={gem.key // 1_000_000}, serial=01021234"
    assert line.startswith(f"gem48ptbin_counters: {own}, secs=5000, volts=121.5, ch1_aws=0, ch1_pws=0, ch2_aws=0")
    assert line.endswith("t8=NULL")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "sqlite_master", 'x"; DROP TABLE y', "\0"])
def test_a_name_that_no_table_can_have_is_refused(name: str, tmp_path: Path) -> None:
    """A wrong `table` is told before anything is opened, with what was expected."""
    with pytest.raises(ValueError, match="expected letters, digits and underscores"):
        Sqlite(file=tmp_path / "energy.db", table=name)


def test_columns_of_any_name_are_stored(opened: Opened, tmp_path: Path) -> None:
    """A meter of another make may name its channels as it likes: names are quoted."""
    channel = 'left "side"'
    labels = ("secs", "volts", f"{channel}_aws")
    form = Format("clamp", labels, (Channel(channel, f"{channel}_aws"),), unpack=lambda _: (1, 230.0, 5))
    opened(file=tmp_path / "energy.db").process_batch(Batch((Reading(START, form, "c1", b""),)))
    assert query(tmp_path / "energy.db", "SELECT * FROM clamp_counters")[0][2:] == ("c1", 1, 230.0, 5)


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


QUERIES = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("sql", [one for one in QUERIES if "samples" not in one])
def test_the_queries_of_the_readme_work(sql: str, opened: Opened, tmp_path: Path) -> None:
    """What the README shows is run."""
    now = (datetime.now(UTC) - START) // timedelta(microseconds=1)
    hours = [reading(now - n * 3_600_000_000, "01021234", "gem48ptbin", ch1_aws=(9 - n) * 7_200_000) for n in range(3)]
    opened(file=tmp_path / "energy.db").process_batch(Batch(tuple(hours)))
    rows = query(tmp_path / "energy.db", sql)
    assert len(rows) == 3
    assert "kwh" not in sql or [kwh for _, kwh in rows] == [2.0, 2.0, None]


def test_the_readme_shows_the_sample() -> None:
    """The README's sample is the file of that name."""
    assert (Path(__file__).parents[1] / "sample.toml").read_text("utf-8") in README


def test_not_everybody_may_read_the_database(opened: Opened, tmp_path: Path) -> None:
    """A new file is for its owner and its group, whatever the umask; one that is there stays as it is."""
    umask = os.umask(0)
    try:
        sink = opened(file=tmp_path / "energy.db")
        sink.process_batch(Batch(readings=(reading(),)))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(umask)
    assert modes["energy.db"] == 0o640
    assert not any(mode & 0o007 for mode in modes.values())

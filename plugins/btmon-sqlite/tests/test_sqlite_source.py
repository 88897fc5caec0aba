# SPDX-License-Identifier: GPL-3.0-or-later
"""An SQLite file as a source: its rows become the readings that were put in, each once."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.running_source import RunningSource

from btcore import FORMATS, Batch, Context, Reading, SourceCheckpoint, pack
from btcore.config.load import load_site
from btcore.errors import ConfigurationError
from btcore.schemas import columns
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for
from btmon_sqlite.sink import Sqlite

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
RECORDED = sorted((GOLDEN / "sql").glob("sqlite.*counters*.json"))


def reading(secs: float, serial: str = "312345", **values: float) -> Reading:
    """Make a reading, so many seconds from the start."""
    raw = pack("ecm1240bin", serial, {"volts": 121.5, "secs": 5000 + int(secs), **values})
    return Reading(START + timedelta(seconds=secs), FORMATS["ecm1240bin"], serial, raw)


def store(file: Path, *readings: Reading, **settings: str) -> None:
    """Store readings as the sink does."""
    sink = Sqlite(file=file, **settings)  # type: ignore[arg-type]
    sink.open(Context("sink.test", logging.getLogger("sink.test")))
    sink.process_batch(Batch(readings))
    sink.close()


def execute(file: Path, sql: str) -> None:
    """Change the file."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(sql)


@pytest.fixture(name="journal")
def journal_fixture(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Open a journal."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        yield journal


def read_once(journal: SqliteJournal, file: Path, **settings: str) -> RunningSource:
    """Let the source read what there is, as `run --once` does; return the worker that has."""
    work = RunningSource(journal, Sqlite(file=file, **settings), once=True)  # type: ignore[arg-type]
    with work:
        work.finish()
    return work


def kept(journal: SqliteJournal) -> list[tuple[int, str]]:
    """Return key and serial number of what is in the journal, in order."""
    return [(entry.key, entry.serial) for entry in journal.read(0, 100_000)]


def identities(*readings: Reading) -> list[tuple[int, str]]:
    """Return key and serial number of readings."""
    return [(one.key, one.serial) for one in readings]


def collected(file: Path, checkpoint: str = "", **settings: str) -> list[Reading | SourceCheckpoint]:
    """Return what the source yields of what there is."""
    source = Sqlite(file=file, **settings)  # type: ignore[arg-type]
    source.open(Context("source.old", logging.getLogger("source.old"), checkpoint=checkpoint, once=True))
    try:
        return list(source.collect(Event()))
    finally:
        source.close()


def test_what_was_stored_is_read(tmp_path: Path) -> None:
    """Every reading that the sink stored comes back, with its exact time, its meter and its numbers."""
    file = tmp_path / "energy.db"
    put_in = [
        one
        for name in ("ecm1220bin", "ecm1240bin", "gem48pbin", "gem48ptbin")
        for one in recorded_readings(f"{name}_steady")
    ]
    store(file, *put_in)
    found = [one for one in collected(file) if isinstance(one, Reading)]
    assert sorted(identities(*found)) == sorted(identities(*put_in))
    by_identity = {(one.key, one.serial): one for one in found}
    for one in put_in:
        again = by_identity[one.key, one.serial]
        for column in columns(one.format, "counters", one.format.channels):
            assert (column.label, again.get(column.label)) == (column.label, one.get(column.label))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_file_of_btmon_is_read(path: Path, tmp_path: Path) -> None:
    """Rows of btmon, which have no id, are readings of their second, all of them (QUIRKS G6)."""
    recording, file = json.loads(path.read_text("utf-8")), tmp_path / "ecm.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("\n".join(recording["dump"]))
    form = recording["input"]["format"]
    table = recording["options"].get("sqlite_table", "")
    found = [one for one in collected(file, table=table, format=form) if isinstance(one, Reading)]
    names = recording["columns"]
    for one, row in zip(found, recording["rows"], strict=True):
        assert (one.key, one.serial) == (row[names.index("time_created")] * 1_000_000, row[names.index("serial")])
        for column in columns(one.format, "counters"):
            assert one.get(column.label) == row[names.index(column.name)]


def test_rows_that_come_are_read_each_once(tmp_path: Path, journal: SqliteJournal) -> None:
    """Rows that are stored while the source runs are read: newer ones, one of the same time, and one that is late."""
    file = tmp_path / "energy.db"
    first, late, same, newer = reading(10), reading(5), reading(10, "420467"), reading(20)
    store(file, first)
    with RunningSource(journal, Sqlite(file=file, poll_interval=0.01)):  # type: ignore[arg-type]
        wait_for(lambda: len(kept(journal)) == 1, "the first row to be read")
        for n, one in enumerate((late, same, newer), 2):
            store(file, one)
            wait_for(lambda count=n: len(kept(journal)) == count, "the row to be read")  # type: ignore[misc]
    assert kept(journal) == identities(first, late, same, newer)


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "bigint primary key"])
def test_tables_of_earlier_programs_are_read(key: str, tmp_path: Path, journal: SqliteJournal) -> None:
    """Where the key alone is unique, late rows and those of a second meter are read as well, while the source runs."""
    file = tmp_path / "energy.db"
    execute(file, f"CREATE TABLE ecm1240bin_counters (id {key}, time_created int, serial text)")
    first, late, same = reading(10), reading(5), reading(10, "420467")
    store(file, first)
    with RunningSource(journal, Sqlite(file=file, poll_interval=0.01)):  # type: ignore[arg-type]
        wait_for(lambda: len(kept(journal)) == 1, "the first row to be read")
        for n, one in enumerate((same, late), 2):
            store(file, one)
            wait_for(lambda count=n: len(kept(journal)) == count, "the row to be read")  # type: ignore[misc]
    assert kept(journal) == identities(first, same, late)


def test_a_restart_goes_on_behind_the_last_row(tmp_path: Path, journal: SqliteJournal) -> None:
    """What was read is not read again after a restart, and what came meanwhile is, also what is late."""
    file = tmp_path / "energy.db"
    store(file, *(reading(10 * n) for n in range(2500)))
    assert read_once(journal, file).worker.kept == 2500
    again = read_once(journal, file)
    assert (again.worker.kept, again.worker.without_packets) == (0, 0)
    store(file, reading(15), reading(10, "420467"), reading(30_000))
    third = read_once(journal, file)
    assert (third.worker.kept, len(kept(journal))) == (3, 2503)
    assert read_once(journal, file).worker.without_packets == 0


def test_a_checkpoint_comes_with_each_page(tmp_path: Path) -> None:
    """Wherever a reading of a history is broken off, it goes on at most a page before that."""
    file = tmp_path / "energy.db"
    put_in = [reading(10 * n) for n in range(2500)]
    store(file, *put_in)
    items = collected(file)
    places = [n for n, one in enumerate(items) if isinstance(one, SourceCheckpoint)]
    assert places == [1000, 2001, 2502]
    first = items[places[0]]
    assert isinstance(first, SourceCheckpoint)
    rest = [one for one in collected(file, first.state) if isinstance(one, Reading)]
    assert identities(*rest) == identities(*put_in[1000:])


def test_an_empty_and_a_missing_table_are_waited_for(
    tmp_path: Path, journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    """A file, a table or a row that is not there yet is read once it is there (QUIRKS G6)."""
    file = tmp_path / "energy.db"
    with RunningSource(journal, Sqlite(file=file, poll_interval=0.01)):  # type: ignore[arg-type]
        wait_for(lambda: f"there is no file {file}" in caplog.text, "the missing file to be told")
        execute(file, "CREATE TABLE other (id int)")
        wait_for(lambda: f"there is no table FORMAT_counters in {file}" in caplog.text, "the missing table to be told")
        execute(file, "CREATE TABLE ecm1240bin_counters (time_created bigint, serial text, secs int, ch1_aws bigint)")
        store(file, reading(0))
        wait_for(lambda: kept(journal), "the row to be read")
    assert kept(journal) == identities(reading(0))


def test_another_schema_is_told(tmp_path: Path, journal: SqliteJournal) -> None:
    """A table of amperes and watts stops the source, with what it lacks (QUIRKS G6)."""
    file = tmp_path / "energy.db"
    execute(file, "CREATE TABLE ecm1240bin_ecmread (id int, time_created int, ecm_serial text, volts real, ch1_w real)")
    work = read_once(journal, file, table="ecm1240bin_ecmread")
    assert work.worker.failure == (
        f"table ecm1240bin_ecmread of {file} is no table of the schema counters for ecm1240bin: it lacks serial, secs."
        " Only counters can be read back; amperes and watts of ecmread and ecmreadext cannot. Name another `table`, or"
        " another `format`"
    )


def test_the_format_of_a_table_with_another_name_is_a_setting(tmp_path: Path, journal: SqliteJournal) -> None:
    """Where the table's name does not begin with a packet format, `format` says it; without it the source stops."""
    file = tmp_path / "energy.db"
    store(file, reading(0), table="house")
    assert "set `format`, to one of ecm1220bin" in read_once(journal, file, table="house").worker.failure
    assert read_once(journal, file, table="house", format="ecm1240bin").worker.kept == 1


def test_rows_without_time_or_seconds_are_left_out(
    tmp_path: Path, journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    """A row of which no reading can be made is left out, which is told once, and the others are read."""
    file = tmp_path / "energy.db"
    store(file, reading(0))
    execute(file, "INSERT INTO ecm1240bin_counters (id, serial, secs) VALUES (5, '312345', 7)")
    execute(file, "INSERT INTO ecm1240bin_counters (id, time_created, serial) VALUES (6, 1700000000, '312345')")
    assert read_once(journal, file).worker.kept == 1
    assert caplog.text.count("are left out: time, serial or secs are missing") == 1


def test_rows_with_values_that_no_meter_has_stop_no_import(tmp_path: Path, journal: SqliteJournal) -> None:
    """SQLite takes anything in any column: a time without end, seconds beyond the counter; all other rows are read."""
    file = tmp_path / "energy.db"
    store(file, reading(0))
    table = "(id INTEGER PRIMARY KEY, time_created, serial, secs, volts, ch1_aws)"
    execute(file, "DROP TABLE ecm1240bin_counters")
    execute(file, f"CREATE TABLE ecm1240bin_counters {table}")
    invalid: tuple[str, ...] = ("9e999, '312345', 7", "1e18, '312345', 7", "-5, '312345', 7", "'noon', '312345', 7")
    invalid += ("1700000000, '31\n', 7", f"1700000000, '{'x' * 300}', 7", "1700000000, '312345', 9e999")
    invalid += ("1700000000, '312345', 1000000000000",)
    for row in invalid:
        execute(file, f"INSERT INTO ecm1240bin_counters VALUES (NULL, {row}, 121.5, 3600)")
    execute(file, "INSERT INTO ecm1240bin_counters VALUES (NULL, 1700000000, CAST('312345' AS BLOB), 7, 9e999, 9e999)")
    assert read_once(journal, file).worker.kept == 1


@pytest.mark.parametrize("made", ["VIEW house AS SELECT * FROM other", "TABLE house ({}) WITHOUT ROWID"])
def test_a_table_without_an_order_is_told(made: str, tmp_path: Path, journal: SqliteJournal) -> None:
    """A view has no rowid, nor has a table that was made without: that is said, with what to do."""
    file = tmp_path / "energy.db"
    columns = "id INTEGER PRIMARY KEY, time_created, serial, secs, ch1_aws"
    execute(file, f"CREATE TABLE other ({columns})")
    execute(file, "INSERT INTO other VALUES (1, 1700000000, '312345', 7, 3600)")
    execute(file, f"CREATE {made.format(columns)}")
    failure = read_once(journal, file, table="house", format="ecm1240bin").worker.failure
    assert "house of " in failure
    assert "has no rowid, by which rows are read in order: it is a view, or made WITHOUT ROWID" in failure


def test_the_file_is_not_changed(tmp_path: Path, journal: SqliteJournal) -> None:
    """A source only reads: the file of btmon's, which may not be ours to write, stays as it is, to the byte."""
    file = tmp_path / "ecm.db"
    execute(file, "CREATE TABLE ecm1240bin_counters (time_created bigint, serial text, secs int, ch1_aws bigint)")
    execute(file, "INSERT INTO ecm1240bin_counters VALUES (1700000000, '312345', 7, 3600)")
    before = file.read_bytes()
    file.chmod(0o400)
    assert read_once(journal, file).worker.kept == 1
    assert file.read_bytes() == before


def test_a_source_and_a_sink_of_one_table_are_told(tmp_path: Path) -> None:
    """What a source reads would come back into its table: that is told before anything is opened."""
    site = tmp_path / "site.toml"
    old, new = '[source.old]\nuse = "sqlite"\nfile = "a.db"\n', '[sink.new]\nuse = "sqlite"\nfile = "a.db"\n'
    site.write_text(f'state = "state"\n{old}{new}')
    with pytest.raises(ConfigurationError, match=r"table format_counters of .*a.db is already used by \[source.old\]"):
        load_site(site)
    site.write_text(f'state = "state"\n{old}{new}schema = "samples"\n')
    assert [one.name for one in load_site(site).sinks] == ["new"]


def test_two_readings_of_one_second_are_both_read(tmp_path: Path, journal: SqliteJournal) -> None:
    """Rows of btmon with the same second and different counters are two readings, also when read again."""
    file = tmp_path / "ecm.db"
    execute(file, "CREATE TABLE ecm1240bin_counters (time_created bigint, serial text, secs int, ch1_aws bigint)")
    for secs in (7, 8):
        execute(file, f"INSERT INTO ecm1240bin_counters VALUES (1700000000, '312345', {secs}, {secs * 1000})")
    assert read_once(journal, file).worker.kept == 2
    journal.commit_source("panel", "")
    assert read_once(journal, file).worker.kept == 0

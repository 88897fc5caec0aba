# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB database as a source: rows of btmon's and of ours become readings, each once."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.btmon_mysql_tables import RECORDED, fill_as_btmon, load, recorded_rows, table_of
from helpers.running_source import RunningSource
from helpers.stored_readings import read_once

from btcore import FORMATS, Batch, Reading, Stop, pack
from btcore.cli import OK, main
from btcore.schemas import columns
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for
from btmon_mysql.sink import Mysql

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers

Opened = Callable[..., Mysql]
START = datetime(2024, 3, 1, 12, tzinfo=UTC)


def reading(microseconds: int = 0, serial: str = "312345", **values: float) -> Reading:
    """Make a reading, so many microseconds from the start."""
    raw = pack("ecm1240bin", serial, {"volts": 121.5, "secs": 5000 + microseconds // 1_000_000, **values})
    return Reading(START + timedelta(microseconds=microseconds), FORMATS["ecm1240bin"], serial, raw)


def batch(first: int, last: int) -> Batch:
    """Make a batch of readings, ten seconds apart."""
    return Batch(tuple(reading(10_000_000 * n, ch1_aws=1000 * n) for n in range(first, last)))


@pytest.fixture(name="journal")
def journal_fixture(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Open a journal."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        yield journal


def kept(journal: SqliteJournal) -> list[tuple[int, str]]:
    """Return key and serial number of what is in the journal, in order."""
    return [(entry.key, entry.serial) for entry in journal.read(0, 100_000)]


COUNTERS = [path for path in RECORDED if load(path)["options"]["db_schema"] == "counters"]


@pytest.mark.parametrize("path", COUNTERS, ids=lambda path: path.stem)
def test_a_database_of_btmon_is_read(path: Path, energy: "Energy") -> None:
    """Every row that btmon stored is a reading of its second, with its numbers (QUIRKS G6)."""
    recording = load(path)
    fill_as_btmon(energy, recording)
    found = read_once(Mysql(**energy.settings(table=table_of(recording), format=recording["input"]["format"])))
    for one, row in zip(found, recorded_rows(recording), strict=True):
        assert (one.key, one.serial) == (int(row["time_created"]) * 1_000_000, row["serial"])
        for column in columns(one.format, "counters"):
            assert one.get(column.label) == pytest.approx(row[column.name], rel=1e-6)


def test_what_was_stored_is_read(energy: "Energy", opened: Opened) -> None:
    """Every reading that the sink stored comes back, with its exact time."""
    opened(**energy.settings()).process_batch(batch(0, 2500))
    assert [one.key for one in read_once(Mysql(**energy.settings()))] == [one.key for one in batch(0, 2500).readings]


def test_rows_that_come_are_read_each_once(energy: "Energy", opened: Opened, journal: SqliteJournal) -> None:
    """Rows stored while the source runs are read: newer ones, one of the same time, and one that is late."""
    sink = opened(**energy.settings())
    first, late, same = reading(10_000_000), reading(5_000_000), reading(10_000_000, "420467")
    sink.process_batch(Batch((first,)))
    with RunningSource(journal, Mysql(**energy.settings(poll_interval=0.01))):
        for n, one in enumerate((late, same, reading(20_000_000)), 2):
            wait_for(lambda count=n: len(kept(journal)) == count - 1, "the row to be read")  # type: ignore[misc]
            sink.process_batch(Batch((one,)))
        wait_for(lambda: len(kept(journal)) == 4, "the row to be read")
    assert [key for key, _ in kept(journal)] == [first.key, late.key, same.key, reading(20_000_000).key]


def test_an_outage_costs_no_row(energy: "Energy", opened: Opened, journal: SqliteJournal) -> None:
    """A connection that is lost is made again, and what came meanwhile is read."""
    sink = opened(**energy.settings())
    sink.process_batch(batch(0, 3))
    with RunningSource(journal, Mysql(**energy.settings(poll_interval=0.01))):
        wait_for(lambda: len(kept(journal)) == 3, "the first rows to be read")
        for (own,) in energy.sql("SELECT id FROM information_schema.processlist WHERE user = 'btcore'"):
            energy.sql(f"KILL {own}")
        sink.process_batch(batch(3, 6))
        wait_for(lambda: len(kept(journal)) == 6, "the other rows to be read")


def test_a_database_that_is_missing_is_not_created(energy: "Energy", journal: SqliteJournal) -> None:
    """A source creates nothing: a database that is not there is waited for."""
    work = RunningSource(journal, Mysql(**energy.settings()), once=True)
    with work:
        work.finish()
    assert "database energy at 127.0.0.1" in work.worker.failure
    assert "does not exist" in work.worker.failure
    assert energy.server.sql("SHOW DATABASES LIKE 'energy'") == []


def test_a_history_is_imported_by_run_once(
    energy: "Energy",
    opened: Opened,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`run --once` brings all rows of a database into `samples`, and tells how far it is; again, it adds nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("btcore.import_progress.LINE_INTERVAL", 0.2)
    opened(**energy.settings()).process_batch(batch(0, 12_000))
    server = f'use = "mysql"\nhost = "127.0.0.1"\nport = {energy.server.port}\nuser = "btcore"\npassword = "secret"\n'
    old = f'[source.old]\n{server}database = "energy"\n'
    new = '[sink.new]\nuse = "sqlite"\nfile = "new.db"\n'
    samples = f'[sink.samples]\n{server}database = "energy"\nschema = "samples"\n'
    Path("site.toml").write_text(f'state = "state"\n{old}{new}{samples}')
    for _ in range(2):
        assert main(["run", "--once"]) == OK
    assert energy.sql("SELECT COUNT(*), SUM(wh_delta) FROM samples WHERE channel = 'ch1'") == [
        (11_999, pytest.approx(11_999 / 3.6))
    ]
    told = capsys.readouterr().err
    assert "of 12,000 rows, " in told
    assert "source.old: 0 packets, 0 junk bytes, 0 damaged packets" in told


def test_a_column_id_that_has_no_order_is_told(energy: "Energy") -> None:
    """Rows are read in the order of `id`: a text stops the source, and rows without one are left out, which is told."""
    energy.server.sql("CREATE DATABASE energy")
    columns = "time_created bigint, serial varchar(10), secs int, ch1_aws bigint"
    energy.sql(f"CREATE TABLE house (id varchar(20), {columns})")
    with pytest.raises(Stop, match=r"column id of table house of .* is VARCHAR: .* must be an integer"):
        read_once(Mysql(**energy.settings(table="house", format="ecm1240bin")))
    energy.sql("DROP TABLE house")
    energy.sql(f"CREATE TABLE house (id bigint, {columns})")
    energy.sql("INSERT INTO house VALUES (NULL, 1700000000, '1', 5, 7), (1, 1700000010, '1', 15, 8)")
    assert [one.timestamp for one in read_once(Mysql(**energy.settings(table="house", format="ecm1240bin")))] == [
        1700000010
    ]

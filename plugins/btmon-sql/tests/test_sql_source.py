# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL database as a source, and an SQLite file by its URL: rows become the readings that were put in."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.golden_streams import recorded_readings
from helpers.running_source import RunningSource
from helpers.stored_readings import read_once

from btcore import FORMATS, Batch, Reading, Secret, pack
from btcore.schemas import columns
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for
from btmon_sql.sink import Sql

if TYPE_CHECKING:
    from conftest import Energy

START = datetime(2024, 3, 1, 12, tzinfo=UTC)

Opened = Callable[..., Sql]


def reading(secs: float, serial: str = "312345", **values: float) -> Reading:
    """Make a reading, so many seconds from the start."""
    raw = pack("ecm1240bin", serial, {"volts": 121.5, "secs": 5000 + int(secs), **values})
    return Reading(START + timedelta(seconds=secs), FORMATS["ecm1240bin"], serial, raw)


@pytest.fixture(name="journal")
def journal_fixture(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Open a journal."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        yield journal


def kept(journal: SqliteJournal) -> list[tuple[int, str]]:
    """Return key and serial number of what is in the journal, in order."""
    return [(entry.key, entry.serial) for entry in journal.read(0, 100_000)]


@pytest.mark.servers
def test_what_was_stored_is_read(energy: "Energy", opened: Opened) -> None:
    """Every reading that the sink stored comes back, with its exact time, its meter and its numbers."""
    names = ("ecm1220bin", "ecm1240bin", "gem48pbin", "gem48ptbin")
    put_in = [one for name in names for one in recorded_readings(f"{name}_steady")]
    opened(**energy.settings()).process_batch(Batch(tuple(put_in)))
    found = {(one.key, one.format.name): one for one in read_once(Sql(**energy.settings()))}
    assert len(found) == len(put_in)
    for one in put_in:
        again = found[one.key, one.format.name]
        for column in columns(one.format, "counters", one.format.channels):
            assert (column.label, again.get(column.label)) == (column.label, one.get(column.label))


@pytest.mark.servers
def test_rows_that_come_are_read_each_once(energy: "Energy", opened: Opened, journal: SqliteJournal) -> None:
    """Rows stored while the source runs are read, late ones too, also where the connection is lost meanwhile."""
    sink = opened(**energy.settings())
    first, late, same, newer = reading(10), reading(5), reading(10, "420467"), reading(20)
    sink.process_batch(Batch((first,)))
    with RunningSource(journal, Sql(**energy.settings(poll_interval=0.01))):
        for n, one in enumerate((late, same, newer), 2):
            wait_for(lambda count=n: len(kept(journal)) == count - 1, "the row to be read")  # type: ignore[misc]
            energy.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'btcore'")
            sink.process_batch(Batch((one,)))
        wait_for(lambda: len(kept(journal)) == 4, "the row to be read")
    assert kept(journal) == [(one.key, one.serial) for one in (first, late, same, newer)]


@pytest.mark.servers
def test_a_database_that_is_missing_is_not_created(energy: "Energy", journal: SqliteJournal) -> None:
    """A source creates nothing: a database that is not there is waited for."""
    work = RunningSource(journal, Sql(**energy.settings()), once=True)
    with work:
        work.finish()
    assert "does not exist" in work.worker.failure
    assert energy.server.sql("SELECT 1 FROM pg_database WHERE datname = 'energy'") == []


def test_an_sqlite_file_by_its_url(tmp_path: Path, opened: Opened) -> None:
    """What is stored in a file by its URL is read by it; a file that is missing is not made by a source."""
    url = Secret(f"sqlite:///{tmp_path / 'energy.db'}")
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        work = RunningSource(journal, Sql(url=url), once=True)
        with work:
            work.finish()
    assert work.worker.failure == f"there is no file {tmp_path / 'energy.db'}: it is read once it is there"
    put_in = (reading(0), reading(10), reading(10, "420467"))
    for _ in range(2):
        opened(url=url).process_batch(Batch(put_in))
    assert [(one.key, one.serial) for one in read_once(Sql(url=url))] == [(one.key, one.serial) for one in put_in]

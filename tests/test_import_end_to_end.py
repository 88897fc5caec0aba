# SPDX-License-Identifier: GPL-3.0-or-later
"""A history is imported from a table: complete, each reading once, though the program is killed in the middle."""

import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows

from btcore import FORMATS, Batch, Context, Reading
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import BtcoreProcess, wait_for
from btmon_sqlite.sink import Sqlite

pytestmark = pytest.mark.servers

ROWS = 20_000
ECM = FORMATS["ecm1240bin"]
START = datetime(2024, 3, 1, tzinfo=UTC)

SITE = """
state = "state"

[source.old]
use = "sqlite"
file = "old.db"

[sink.counters]
use = "sqlite"
file = "new.db"

[sink.energy]
use = "sqlite"
file = "new.db"
schema = "ecmreadext"
"""


def reading(n: int) -> Reading:
    """Make a reading of an ECM, one each ten seconds."""
    known = {"secs": 10 * n, "volts": 120 + n % 20 / 10, "ch1_aws": 7200 * n, "ch2_aws": 500 * n, "ch2_pws": 100 * n}
    numbers = tuple(known.get(label, 0) for label in ECM.labels)
    return Reading(START + timedelta(seconds=10 * n), ECM, "312345", b"", numbers=numbers)


def fill(file: Path) -> None:
    """Store a history."""
    sink = Sqlite(file=file)
    sink.open(Context("sink.old", logging.getLogger("sink.old")))
    for first in range(0, ROWS, 2000):
        sink.process_batch(Batch(tuple(reading(n) for n in range(first, first + 2000))))
    sink.close()


def test_an_import_that_is_killed_is_complete_in_the_end(tmp_path: Path) -> None:
    """Killed twice in the middle and started again, each row is in each table once, with the same numbers."""
    fill(tmp_path / "old.db")
    for share in (0.2, 0.6):
        with BtcoreProcess(tmp_path, SITE, "--once") as process:
            enough = int(share * ROWS)
            wait_for(lambda at=enough: _stored(tmp_path) >= at or process.process.poll() is not None)  # type: ignore[misc]
            assert process.process.poll() is None, process.log
            process.process.kill()
            process.process.wait()
    assert _stored(tmp_path) < ROWS
    with BtcoreProcess(tmp_path, SITE, "--once") as process:
        assert process.finish() == 0, process.log
    columns = "id, time_created, serial, secs, volts, ch1_aws, ch2_aws, ch2_pws"
    old, new = (table_rows(tmp_path / name, "ecm1240bin_counters", columns) for name in ("old.db", "new.db"))
    assert new == old
    energy = "COUNT(*), COUNT(DISTINCT id), SUM(ch1_dwh)"
    ((count, keys, sum_of),) = table_rows(tmp_path / "new.db", "ecm1240bin_ecmreadext", energy)
    assert (count, keys, sum_of) == (ROWS - 1, ROWS - 1, pytest.approx((ROWS - 1) * 2))
    with closing(SqliteJournal(tmp_path / JOURNAL_FILE)) as journal:
        assert journal.lag(0).entries == ROWS


def _stored(folder: Path) -> int:
    """Return how many rows the slower of the two tables has."""
    tables = ("ecm1240bin_counters", "ecm1240bin_ecmreadext")
    return min(int((table_rows(folder / "new.db", table, "COUNT(*)") or [(0,)])[0][0]) for table in tables)

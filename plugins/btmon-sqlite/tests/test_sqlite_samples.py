# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema `samples` and the retention, in an SQLite file."""

import logging
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.samplers import samples_between

from btcore import FORMATS, Batch, Context, Polarity, Problem, Reading, Sample, Stop, pack
from btmon_sqlite.sink import Sqlite

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAY = 86_400
METER = "01021234"

Opened = Callable[..., Sqlite]


def reading(secs: int, **values: float) -> Reading:
    """Make a reading of a GEM, so many seconds from the start."""
    raw = pack("gem48ptbin", METER, {"volts": 121.5, "secs": secs % 1_000_000, **values})
    return Reading(START + timedelta(seconds=secs), FORMATS["gem48ptbin"], METER, raw)


def query(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def store(file: Path, readings: list[Reading], polarity: Polarity = "brultech", times: int = 1) -> None:
    """Store the samples between readings."""
    sink = Sqlite(file=file, schema="samples")
    sink.open(Context("sink.test", logging.getLogger("sink.test"), {f"{METER}_ch1": "solar"}, polarity))
    for _ in range(times):
        sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings, polarity))))
    sink.close()


def test_a_row_is_made_for_each_channel_and_sensor(tmp_path: Path) -> None:
    """A channel's row has its power and energy, a sensor's its value; a batch that comes again changes nothing."""
    file = tmp_path / "energy.db"
    store(file, [reading(0), reading(10, ch1_aws=36_000, ch1_a=2.5, ch2_aws=7200, ch2_pws=7200, t1=21.5)], times=2)
    columns = "time, serial, name, seconds, watts, volts, amps, wh_delta, value"
    rows = query(file, f"SELECT {columns} FROM samples WHERE channel IN ('ch1', 'ch2', 't1') ORDER BY channel")
    time = "2024-03-01 12:00:10.000000"
    assert rows == [
        (time, METER, "solar", 10, 3600, 121.5, 2.5, 10, None),
        (time, METER, "01021234_ch2", 10, -720, 121.5, 0, -2, None),
        (time, METER, "01021234_t1", None, None, None, None, None, 21.5),
    ]


def with_totals(sample: Sample, taken: float, given: float) -> Sample:
    """Return a sample whose first channel has counted so much in all its life."""
    more = {"ch1_pwh_total": taken, "ch1_nwh_total": given}
    return Sample(sample.older, sample.newer, sample.seconds, sample.reset, lambda: {**sample.values, **more})


@pytest.mark.parametrize(("polarity", "sign"), [("brultech", 1), ("btmon", -1)])
def test_what_is_imported_does_not_depend_on_the_sign(polarity: Polarity, sign: int, tmp_path: Path) -> None:
    """Imported is what the house takes; net power and energy have the sign of the site."""
    file = tmp_path / "energy.db"
    readings = [reading(0), reading(10, ch1_aws=36_000)]
    totals = (10, 2) if polarity == "brultech" else (2, 10)
    sink = Sqlite(file=file, schema="samples")
    sink.open(Context("sink.test", logging.getLogger("sink.test"), polarity=polarity))
    samples = [with_totals(one, *totals) for one in samples_between(readings, polarity)]
    sink.process_batch(Batch(tuple(readings), tuple(samples)))
    sink.close()
    columns = "watts, wh_delta, wh_import, wh_export"
    assert query(file, f"SELECT {columns} FROM samples WHERE channel = 'ch1'") == [(3600 * sign, 10 * sign, 10, 2)]


def test_views_have_the_energy_of_days_and_months(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Net energy is added up; what was imported and exported is by how much the life's counters rose since before."""
    monkeypatch.setenv("TZ", "UTC")
    file = tmp_path / "energy.db"
    readings = [reading(n * DAY // 2, ch1_aws=3600 * n) for n in range(64)]
    samples = [with_totals(one, 100 + n, 2 * n) for n, one in enumerate(samples_between(readings))]
    sink = Sqlite(file=file, schema="samples")
    sink.open(Context("sink.test", logging.getLogger("sink.test")))
    sink.process_batch(Batch(tuple(readings), tuple(samples)))
    sink.close()
    days = query(file, "SELECT day, wh, wh_import, wh_export FROM samples_daily WHERE channel = 'ch1' ORDER BY day")
    assert days[:2] == [("2024-03-02", 2, 1, 2), ("2024-03-03", 2, 2, 4)]
    months = "SELECT month, wh, wh_import, wh_export FROM samples_monthly WHERE channel = 'ch1' ORDER BY month"
    assert query(file, months) == [("2024-03-01", 60, 59, 118), ("2024-04-01", 3, 3, 6)]


def test_the_last_value_and_a_day_are_found_by_an_index(tmp_path: Path) -> None:
    """No question that people ask reads the whole table."""
    file = tmp_path / "energy.db"
    store(file, [reading(0), reading(10)])
    of_channel = f"WHERE serial = '{METER}' AND channel = 'ch1'"
    for sql in (
        f"SELECT watts FROM samples {of_channel} ORDER BY time DESC LIMIT 1",
        f"SELECT watts FROM samples {of_channel} AND time >= '2024-03-01' AND time < '2024-03-02'",
        "SELECT watts FROM samples WHERE time >= '2024-03-01' AND time < '2024-04-01'",
    ):
        (plan,) = query(file, f"EXPLAIN QUERY PLAN {sql}")
        assert "SEARCH samples USING INDEX" in plan[3]


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
QUERIES = [one for one in re.findall(r"```sql\n(.*?)```", README, re.DOTALL) if "samples" in one]


@pytest.mark.parametrize("sql", QUERIES)
def test_the_queries_of_the_readme_work(sql: str, tmp_path: Path) -> None:
    """What the README shows is run."""
    now = int((datetime.now(UTC) - START).total_seconds())
    store(tmp_path / "energy.db", [reading(now), reading(now + 10, ch1_aws=3_600_000)])
    assert {row[1:] for row in query(tmp_path / "energy.db", sql)} >= {("solar", 1.0)}


def test_old_rows_are_deleted_in_slices(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a retention, what is older than it goes, a slice with each batch; rows of btmon, without an id, too."""
    monkeypatch.setattr("btcore.sql.retention.SLICE", 40)
    file, old = tmp_path / "energy.db", int(START.timestamp()) - 3 * DAY
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE gem48ptbin_counters (id bigint primary key, time_created bigint, serial text)")
        rows = [(old + 2 * DAY * half + n,) for half in range(2) for n in range(100)]
        connection.executemany("INSERT INTO gem48ptbin_counters (time_created) VALUES (?)", rows)
        connection.commit()
    sink, left = opened(file=file, retention=2 * DAY), []
    for n in range(4):
        sink.process_batch(Batch((reading(n),)))
        left += query(file, f"SELECT count(*) FROM gem48ptbin_counters WHERE time_created < {old + DAY}")
    assert left == [(60,), (20,), (0,), (0,)]
    assert query(file, "SELECT count(*) FROM gem48ptbin_counters") == [(104,)]
    (plan,) = query(file, f"EXPLAIN QUERY PLAN DELETE FROM gem48ptbin_counters WHERE time_created < {old}")
    assert "USING COVERING INDEX gem48ptbin_counters_time_created" in plan[3] or "USING INDEX" in plan[3]


def test_tables_of_formats_that_no_meter_sends_grow_old_too(opened: Opened, tmp_path: Path) -> None:
    """A table of an earlier run is looked at as well, and a table of somebody else's never."""
    file = tmp_path / "energy.db"
    with closing(sqlite3.connect(file)) as connection:
        for name in ("ecm1240bin_counters", "somebody_counters"):
            connection.execute(f"CREATE TABLE {name} (id bigint, time_created bigint, serial text)")
            connection.execute(f"INSERT INTO {name} (time_created) VALUES (1)")
        connection.commit()
    opened(file=file, retention=2 * DAY).process_batch(Batch((reading(0),)))
    counts = [query(file, f"SELECT count(*) FROM {name}_counters")[0][0] for name in ("ecm1240bin", "somebody")]
    assert counts == [0, 1]


def test_samples_grow_old(opened: Opened, tmp_path: Path) -> None:
    """In the table `samples` old rows go by their time."""
    file = tmp_path / "energy.db"
    readings = [reading(0), reading(10, ch1_aws=1), reading(5 * DAY, ch1_aws=2)]
    sink = opened(file=file, schema="samples", retention=2 * DAY)
    sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings))))
    assert query(file, "SELECT DISTINCT time FROM samples") == [("2024-03-06 12:00:00.000000",)]


def test_a_clock_that_is_ahead_deletes_nothing(opened: Opened, tmp_path: Path) -> None:
    """Time is counted from the newest reading where the computer's clock is years ahead of it."""
    file = tmp_path / "energy.db"
    opened(file=file, retention=2 * DAY).process_batch(Batch((reading(0), reading(DAY))))
    assert query(file, "SELECT count(*) FROM gem48ptbin_counters") == [(2,)]


def test_a_retention_of_less_than_a_day_is_refused(tmp_path: Path) -> None:
    """What would delete at once what was stored is told before anything is opened."""
    problems = list(Sqlite(file=tmp_path / "energy.db", retention=3600.0).check())  # type: ignore[arg-type]
    assert problems == [Problem("expected at least a day, or 0: nothing is deleted", key="retention")]


def test_a_table_of_somebody_else_under_the_name_is_told(opened: Opened, tmp_path: Path) -> None:
    """A view called samples is no table to store into."""
    file = tmp_path / "energy.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE VIEW samples AS SELECT 1 AS time")
    readings = [reading(0), reading(10)]
    with pytest.raises(Stop, match="refuses a statement"):
        opened(file=file, schema="samples").process_batch(Batch(tuple(readings), tuple(samples_between(readings))))

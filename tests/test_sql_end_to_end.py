# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources and sinks for SQL databases and RRD files in one site: histories and a capture, in files and real servers."""

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.needed import needs
from helpers.rrd_files import START as RRD_START
from helpers.rrd_files import batch_of, rates, rrd_reading
from servers.database_servers import MariaDB, PostgreSQL
from servers.rrdcached import BINDING_MISSING

from btcore import FORMATS, Batch, Context, Reading, pack
from btcore.cli import OK, main
from btmon_rrd.plugin import Rrd
from btmon_sqlite.sink import Sqlite

START = datetime(2024, 3, 1, tzinfo=UTC)
HISTORY, CAPTURE = 2500, 20
IN_RRD = 300
FROM_RRD = IN_RRD - 2
"""The first reading has no sample, and of the first row RRDtool knows no rate."""

GEM, ECM, RRD_METER = "01021234", "312345", "399999"


def gem(n: int) -> Reading:
    """Make a reading of a GEM."""
    raw = pack("gem48ptbin", GEM, {"volts": 121.5, "secs": 10 * n, "ch1_aws": 36_000 * n, "ch40_aws": 10 * n})
    return Reading(START + timedelta(seconds=10 * n), FORMATS["gem48ptbin"], GEM, raw)


def fill(file: Path) -> None:
    """Store a history."""
    sink = Sqlite(file=file)
    sink.open(Context("sink.old", logging.getLogger("sink.old")))
    sink.process_batch(Batch(tuple(gem(n) for n in range(HISTORY))))
    sink.close()


def fill_rrd(folder: Path) -> None:
    """Store another meter's history in RRD files."""
    sink = Rrd(dir=folder, archives=["10s:2h"], min_max=False)
    sink.open(Context("sink.old", logging.getLogger("sink.old")))
    at = (START - datetime.fromtimestamp(RRD_START, UTC)).total_seconds()
    sink.process_batch(
        batch_of(rrd_reading(at + 10 * n, n, RRD_METER, ch1_aws=1000 * n, secs=10 * n) for n in range(IN_RRD))
    )
    sink.close()


def in_sqlite(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask a file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.servers
@needs(BINDING_MISSING)
def test_three_sources_and_five_sinks_have_each_reading_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes by any source is in each database once, also when all is run again."""
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "old.db")
    fill_rrd(tmp_path / "old-rrd")
    (tmp_path / "capture").write_bytes(
        b"".join(pack("ecm1240bin", ECM, {"volts": 121.5, "secs": 5000 + 10 * n}) for n in range(CAPTURE))
    )
    with MariaDB() as mariadb, PostgreSQL() as postgresql:
        mariadb.sql("CREATE USER btcore IDENTIFIED BY 'secret'")
        mariadb.sql("GRANT ALL ON *.* TO btcore")
        postgresql.sql("CREATE USER btcore PASSWORD 'secret' CREATEDB")
        login = (
            f'host = "127.0.0.1"\nport = {mariadb.port}\nuser = "btcore"\npassword = "secret"\ndatabase = "energy"\n'
        )
        url = f"postgresql://btcore@127.0.0.1:{postgresql.port}/energy"
        Path("site.toml").write_text(
            'state = "state"\n'
            '[source.old]\nuse = "sqlite"\nfile = "old.db"\n'
            '[source.rrd]\ndir = "old-rrd"\n'
            '[source.file]\npath = "capture"\n'
            '[sink.new]\nuse = "sqlite"\nfile = "new.db"\ntable = "house"\n'
            f'[sink.counters]\nuse = "mysql"\n{login}'
            f'[sink.samples]\nuse = "mysql"\nschema = "samples"\n{login}'
            f'[sink.postgresql]\nuse = "sql"\nurl = "{url}"\npassword = "secret"\nschema = "ecmreadext"\n'
            '[sink.rrd]\ndir = "new-rrd"\narchives = ["10s:12h"]\nmin_max = false\n'
        )
        for _ in range(2):
            assert main(["run", "--once"]) == OK
        house = "SELECT COUNT(*), COUNT(DISTINCT id), COUNT(DISTINCT serial) FROM house"
        assert in_sqlite(tmp_path / "new.db", house)[0][::2] == (HISTORY + CAPTURE + FROM_RRD, 3)
        for table, count in (("gem48ptbin_counters", HISTORY), ("ecm1240bin_counters", CAPTURE + FROM_RRD)):
            assert mariadb.sql(f"SELECT COUNT(*) FROM {table}", "energy") == [(count,)]
        energy = "SELECT COUNT(*), SUM(wh_delta) FROM samples WHERE channel = 'ch1' AND serial = '01021234'"
        assert mariadb.sql(energy, "energy") == [(HISTORY - 1, pytest.approx((HISTORY - 1) * 10))]
        begin = int(START.timestamp())
        stored = rates(tmp_path / "new-rrd" / f"{GEM}_ch1_aws.rrd", begin, begin + 10 * HISTORY)
        assert len(stored) == HISTORY - 2
        assert list(stored.values()) == pytest.approx([3600] * len(stored))
        assert len(rates(tmp_path / "new-rrd" / f"{RRD_METER}_ch1_aws.rrd", begin, begin + 10 * IN_RRD)) > IN_RRD - 5
        rows = "SELECT COUNT(*), SUM(ch1_dwh) FROM gem48ptbin_ecmreadext"
        assert postgresql.sql(rows, "energy") == [(HISTORY - 1, pytest.approx((HISTORY - 1) * 10))]

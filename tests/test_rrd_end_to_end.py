# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore with RRD files as a user runs it: stored, read back, drawn, and a directory of btmon's that is continued."""

import subprocess
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from helpers.needed import needs
from helpers.rrd_files import START, file_info, rates
from servers.rrdcached import MISSING, Rrdcached

from btcore.testing import BtcoreProcess

pytestmark = [pytest.mark.servers, needs(MISSING)]

METER = "312345"
COUNT = 360

MEASURED = f"""
state = "state"

[source.simulator]
format = "ecm1240bin"
serial = "{METER}"
start = "2023-11-14T22:13:20+00:00"
packets = {COUNT}
pace = "fast"
"""

STORED = """
[sink.rrd]
dir = "{dir}"
daemon = "{daemon}"
"""

READ = """
state = "read"

[source.old]
use = "rrd"
dir = "{dir}"
daemon = "{daemon}"

[sink.sqlite]
file = "energy.db"
flush_interval = 0
"""


def run_once(folder: Path, site: str) -> None:
    """Run a configuration until everything is delivered."""
    with BtcoreProcess(folder, site, "--once") as btcore:
        assert btcore.finish() == 0, btcore.log


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    """An hour of a meter goes into files through rrdcached, and comes back into a database, each reading once."""
    with Rrdcached(tmp_path) as daemon:
        where = {"dir": daemon.files, "daemon": daemon.address}
        run_once(tmp_path, MEASURED + STORED.format(**where) + '[sink.sqlite]\nfile = "first.db"\n')
        for _ in range(2):
            run_once(tmp_path, READ.format(**where))
    columns = "time_created, ch1_aws, ch1_pws, ch2_aws, aux1_ws"
    put_in = table_rows(tmp_path / "first.db", "ecm1240bin_counters", columns)
    come_back = table_rows(tmp_path / "energy.db", "ecm1240bin_counters", columns)
    assert len(put_in) == COUNT
    assert come_back == put_in[1:]


def test_a_directory_of_btmon_is_continued(tmp_path: Path) -> None:
    """Files as btmon made them are continued by a run, and no energy between is made up."""
    files = tmp_path / "rrd"
    files.mkdir()
    path = files / f"{METER}_ch1_aws.rrd"
    options = ["--step", "10", "--start", str(START - 61), "DS:ch1_aws:DERIVE:20:U:U", "RRA:AVERAGE:0.5:1:1000"]
    subprocess.run(["rrdtool", "create", str(path), *options], check=True)
    points = [f"{START - 60 + 10 * n}:{n * 1000}" for n in range(5)]
    subprocess.run(["rrdtool", "update", str(path), *points], check=True)
    with Rrdcached(tmp_path) as daemon:
        run_once(tmp_path, MEASURED + STORED.format(dir=files, daemon=daemon.address))
    shown = rates(path, START - 60, START + 10 * COUNT)
    assert [shown[at] for at in (-40, -30, -20)] == [100, 100, 100]
    assert [at for at in (-10, 0, 10) if at in shown] == []
    assert len(shown) > COUNT
    assert max(shown.values()) < 25_000
    assert min(shown.values()) >= 0
    assert file_info(path)["ds[ch1_aws].type"] == "DERIVE"

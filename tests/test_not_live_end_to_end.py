# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated house and a recording in a whole run: stored at home, and sent to no account unless that is said."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from helpers.golden_streams import stream_file

from btcore.testing import BtcoreProcess, HostedService, Reply, free_port

pytestmark = pytest.mark.servers

SITE = """
state = "state"

[source.demo]
use = "simulator"
format = "ecm1240bin"
start = "2026-06-21T06:00:00"
pace = "fast"
packets = 20

[source.old]
use = "file"
path = "{capture}"
start = "2026-06-20T06:00:00"

[sink.sqlite]
file = "energy.db"
flush_interval = 0

[sink.mine]
use = "emoncms"
url = "{url}"
token = "KEY"

[sink.theirs]
use = "emoncms"
token = "KEY"
{more}
"""

REMARK = "the readings of [source.demo] are simulated, the readings of [source.old] are recorded: they "


def text(url: str, more: str = "") -> str:
    """Return the configuration, with an emoncms of one's own, and that of everybody."""
    return SITE.format(url=url, capture=stream_file("ecm1240bin_steady"), more=more)


def test_nothing_that_is_not_live_goes_to_an_account(tmp_path: Path) -> None:
    """The database and a server at home have all; the hosted service has none, which is told and is no failure."""
    with HostedService(Reply(200, "ok")) as server, BtcoreProcess(tmp_path, text(server.url), "--once") as process:
        assert process.finish() == 0
        assert server.requests
    assert len(table_rows(tmp_path / "energy.db", "ecm1240bin_counters")) == 28
    assert process.log.count(f"{REMARK}do not go to [sink.theirs], a hosted service (only_live = false") == 1
    assert process.log.count("sink.theirs: passing over readings that are ") == 1
    (told,) = [line for line in process.log.splitlines() if "sink.theirs: 0 readings delivered" in line]
    assert "20 simulated readings" in told
    assert "8 recorded readings" in told


def dry_run(folder: Path, site: str) -> subprocess.CompletedProcess[str]:
    """Run a configuration without sending anything."""
    (folder / "site.toml").write_text(site)
    command = [sys.executable, "-m", "btcore", "run", "--once", "--dry-run", "--config", str(folder / "site.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_a_dry_run_shows_who_would_get_what(tmp_path: Path) -> None:
    """Nothing for the hosted service is shown, unless its table says that it takes what is not live."""
    url = f"http://127.0.0.1:{free_port()}"
    spared, told = (dry_run(tmp_path, text(url, more)) for more in ("", "only_live = false"))
    assert ("sink.mine: POST" in spared.stdout, "sink.theirs: POST" in spared.stdout) == (True, False)
    assert ("sink.mine: POST" in told.stdout, "sink.theirs: POST" in told.stdout) == (True, True)
    assert f"{REMARK}go to [sink.theirs], as only_live = false says" in told.stderr

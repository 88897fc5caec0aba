# SPDX-License-Identifier: GPL-3.0-or-later
"""A deliverer whose line to the cluster is cut for longer than its lease, and mended: each reading once, in order."""

import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.needed import need
from servers.nats_cluster import MISSING, NatsCluster
from servers.network_line import at_the_other_end, network_line

from btcore import BtcoreError
from btcore.control.client import ask_once
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

PARTITIONS = 4
METERS = 4
ENOUGH = 3
"""Readings of each meter that have to arrive after each blow."""

BACKOFF = 'min_backoff = "100ms"\nmax_backoff = "1s"'


def place(folder: Path, name: str, site: str) -> Path:
    """Make the folder of a program, with its configuration."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "site.toml").write_text(site)
    return folder / name


def deliverer(folder: Path, host: str, port: int) -> str:
    """Return the configuration of a deliverer; all store in one file, which no cut keeps them from."""
    return (
        f'state = "state"\njournal = "nats://{host}:{port}/energy?partitions={PARTITIONS}&timeout=2"\n'
        f'[sink.store]\nuse = "sqlite"\nfile = "{folder / "store.db"}"\ntable = "readings"\nflush_interval = 0\n'
        f"only_live = false\n{BACKOFF}\n"
    )


def partitions(folder: Path) -> list[int]:
    """Return which partitions a deliverer says that it works."""
    try:
        return list(ask_once(folder / "state", "status")["status"]["sinks"][0]["partitions"])
    except BtcoreError:  # it is not up yet
        return []


def test_who_is_cut_off_for_longer_than_its_lease_moves_nothing(tmp_path: Path) -> None:
    """Another has its partitions; it ends its workers though it reaches the sink, and comes back when it can."""
    need(MISSING)
    rows = tmp_path / "store.db"

    def wait_for_more(what: str) -> None:
        before = Counter(serial for (serial,) in table_rows(rows, "readings", "serial"))

        def is_more() -> bool:
            now = Counter(serial for (serial,) in table_rows(rows, "readings", "serial"))
            return len(now) == METERS and all(now[one] >= before[one] + ENOUGH for one in now)

        wait_for(is_more, f"more of each meter {what}")

    def wait_for_shares(near_count: int, far_count: int) -> None:
        def is_shared() -> bool:
            found = partitions(near), partitions(far)
            return (len(found[0]), len(found[1])) == (near_count, far_count) and not set(found[0]) & set(found[1])

        wait_for(is_shared, f"{near_count} and {far_count} partitions")

    with network_line() as line, NatsCluster(tmp_path, 1, host=line.host) as cluster:
        port = cluster.servers[0].port
        near = place(tmp_path, "near", deliverer(tmp_path, line.host, port))
        far = place(tmp_path, "far", deliverer(tmp_path, line.host, line.port_of(port)))
        setup = [sys.executable, "-m", "btcore", "nats", "setup", "--replicas", "1"]
        subprocess.run(setup, cwd=near, check=True, capture_output=True, timeout=60)
        sink = f'[sink.nats]\nservers = ["nats://{line.host}:{port}"]\npublisher = "house-1"\n{BACKOFF}\n'
        house = f'state = "state"\n[source.simulator]\ncount = {METERS}\ninterval = "1s"\n{sink}'
        with (
            BtcoreProcess(place(tmp_path, "house", house), house) as publishing,
            BtcoreProcess(near, (near / "site.toml").read_text()) as delivering,
            at_the_other_end(far, line),
        ):
            wait_for_shares(2, 2)
            wait_for_more("from both")
            line.cut()
            wait_for_shares(PARTITIONS, 0)
            wait_for_more("from the one that is left")
            line.mend()
            wait_for_shares(2, 2)
            wait_for_more("from both again")
            assert publishing.stop() == 0
            drained = house.replace("[source.simulator]", '[source.file]\npath = "none.bin"').replace(
                f'count = {METERS}\ninterval = "1s"\n', ""
            )
            (place(tmp_path, "house", drained) / "none.bin").write_bytes(b"")
            once = [sys.executable, "-m", "btcore", "run", "--once", "--quiet"]
            subprocess.run(once, cwd=tmp_path / "house", check=True, timeout=60)
            sent = Counter(serial for (serial,) in table_rows(tmp_path / "house" / JOURNAL_FILE, "entry", "serial"))
            wait_for(lambda: len(table_rows(rows, "readings", "serial")) >= sent.total(), "all to be stored")
            assert delivering.stop() == 0
    stored: dict[str, list[int]] = defaultdict(list)
    for serial, time in table_rows(rows, "readings", "serial, time_created"):
        stored[serial].append(time)
    assert {serial: len(times) for serial, times in stored.items()} == sent
    assert all(times == sorted(set(times)) for times in stored.values())

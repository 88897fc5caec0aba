# SPDX-License-Identifier: GPL-3.0-or-later
"""A house whose line to the cluster is cut, again and again: it goes on, and the archive has each reading once."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.needed import need
from servers.nats_cluster import MISSING, NatsCluster
from servers.network_line import at_the_other_end, network_line

from btcore.testing import wait_for

pytestmark = pytest.mark.servers

ENOUGH = 3
"""Readings that have to come in after each blow."""

SINK = (
    '[sink.nats]\npublisher = "house-1"\ntimeout = "2s"\nmin_backoff = "100ms"\nmax_backoff = "1s"\nservers = ["{}"]\n'
)


def btcore(folder: Path, *words: str, may_fail: bool = False) -> str:
    """Run a command to its end; return what it says."""
    command = [sys.executable, "-m", "btcore", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert may_fail or done.returncode == 0, done.stderr
    return done.stdout


def journalled(folder: Path) -> set[tuple[str, int]]:
    """Return what the journal of a house has."""
    return set(table_rows(folder / JOURNAL_FILE, "entry", "serial, key"))


def kept(folder: Path) -> int:
    """Return how many readings the running house says that its journal has."""
    return int(json.loads(btcore(folder, "status", "--json", may_fail=True))["journal"]["entries"])


def wait_for_more(count: Callable[[], int], what: str) -> None:
    """Wait until there is more of something."""
    before = count()
    wait_for(lambda: count() >= before + ENOUGH, what)


def test_a_cut_line_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """While the line is cut readings come in; when it is back the sink connects anew, and the archive has each once."""
    need(MISSING)
    folder, archive = tmp_path / "house", tmp_path / "archive"
    folder.mkdir()
    archive.mkdir()
    with network_line() as line, NatsCluster(tmp_path, 1, host=line.host) as cluster:
        server = cluster.servers[0]
        direct = f"nats://{line.host}:{server.port}"
        source = '[source.simulator]\ninterval = "1s"\ncount = 2\n'
        (folder / "site.toml").write_text(
            f'state = "state"\n{source}{SINK.format(f"nats://{line.host}:{line.port_of(server.port)}")}'
        )
        fleet = f'[source.fleet]\nuse = "nats-stream"\nservers = ["{direct}"]\n'
        (archive / "site.toml").write_text(
            f'state = "state"\n{fleet}[sink.db]\nuse = "sqlite"\nfile = "a.db"\ntable = "r"\n'
        )
        btcore(archive, "nats", "setup", "--replicas", "1")

        def published() -> int:
            streams = server.ask("jsz?streams=true&accounts=true")["account_details"][0]["stream_detail"]
            return int(streams[0]["state"]["messages"])

        with at_the_other_end(folder, line):
            for _ in range(2):
                wait_for_more(published, "more in the stream")
                line.cut()
                wait_for_more(lambda: kept(folder), "more in the journal")
                line.mend()
            wait_for_more(published, "more in the stream")
        (folder / "none.bin").write_bytes(b"")
        lines = SINK.format(direct)
        (folder / "site.toml").write_text(f'state = "state"\n[source.file]\npath = "none.bin"\n{lines}')
        btcore(folder, "run", "--once", "--quiet")
        btcore(archive, "run", "--once", "--quiet")
    stored = Counter(table_rows(archive / "a.db", "r", "serial, id"))
    assert set(stored) == journalled(folder)
    assert max(stored.values()) == 1

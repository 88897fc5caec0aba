# SPDX-License-Identifier: GPL-3.0-or-later
"""A deliverer whose sink waits for an hour before its next try: the other has its shares, each meter's in order."""

import json
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.needed import need
from servers.nats_cluster import MISSING, NatsCluster

from btcore import BtcoreError
from btcore.control.client import ask_once
from btcore.testing import BtcoreProcess, HostedService, Reply, Request, wait_for

pytestmark = pytest.mark.servers

PARTITIONS = 4
METERS = 4

RUN = """
import sys
from btcore.cli import main
from btcore.workers import fitness
fitness.FAILING = 2.0  # of 120 s
sys.exit(main(["run", "--config", "site.toml"]))
"""


def folder_of(folder: Path, name: str, site: str) -> Path:
    """Make the folder of a program, with its configuration."""
    (folder / name).mkdir()
    (folder / name / "site.toml").write_text(site)
    return folder / name


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Run a deliverer that leaves a sink to others after two seconds of failing."""
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", RUN], cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def partitions(folder: Path) -> list[int]:
    """Return which partitions a deliverer says that it works."""
    try:
        return list(ask_once(folder / "state", "status")["status"]["sinks"][0]["partitions"])
    except BtcoreError:  # it is not up yet
        return []


def test_who_waits_for_long_leaves_its_shares(tmp_path: Path) -> None:
    """The waits end at once, also where a partition has no readings; nothing is passed over, or sent out of order."""
    need(MISSING)
    refused = threading.Event()

    def answer(request: Request) -> Reply:
        return Reply(503 if refused.is_set() and request.path == "/one" else 200)

    with NatsCluster(tmp_path, 1) as cluster, HostedService(answer) as service:
        url = cluster.servers[0].url

        def deliverer(name: str) -> Path:
            site = (
                f'state = "state"\njournal = "{url}/energy?partitions={PARTITIONS}"\n'
                f'[sink.hook]\nuse = "pipe-webhook"\nurl = "{service.url}/{name}"\ncontent = "readings"\n'
                'flush_interval = 0\nonly_live = false\nmin_backoff = "1h"\nmax_backoff = "1h"\n'
            )
            return folder_of(tmp_path, name, site)

        def sent() -> dict[str, list[int]]:
            """Return the keys of each meter that were taken, in the order in which they were first."""
            found: dict[str, dict[int, None]] = defaultdict(dict)
            for request in service.taken:
                for line in request.text.splitlines():
                    one = json.loads(line)
                    found[one["meter"]][one["key"]] = None
            return {meter: list(keys) for meter, keys in found.items()}

        one, two = deliverer("one"), deliverer("two")
        setup = [sys.executable, "-m", "btcore", "nats", "setup", "--replicas", "1"]
        subprocess.run(setup, cwd=one, check=True, capture_output=True, timeout=60)
        sink = f'[sink.nats]\nservers = ["{url}"]\npublisher = "house-1"\nmin_backoff = "100ms"\nmax_backoff = "1s"\n'
        house = f'state = "state"\n[source.simulator]\ncount = {METERS}\ninterval = "1s"\n{sink}'
        with BtcoreProcess(folder_of(tmp_path, "house", house), house) as publishing, running(one), running(two):
            wait_for(lambda: (len(partitions(one)), len(partitions(two))) == (2, 2), "both to have half")
            wait_for(lambda: len(sent()) == METERS, "something of each meter")
            refused.set()
            wait_for(lambda: partitions(two) == list(range(PARTITIONS)), "two to have all")
            assert partitions(one) == []
            before = {meter: len(keys) for meter, keys in sent().items()}
            wait_for(lambda: all(len(keys) > before[meter] + 2 for meter, keys in sent().items()), "more of each meter")
            assert publishing.stop() == 0
            kept = table_rows(tmp_path / "house" / JOURNAL_FILE, "entry", "serial, key")
            published = Counter(serial for serial, _ in kept)
            wait_for(lambda: Counter({m: len(keys) for m, keys in sent().items()}) == published, "all to be sent")
    assert "partitions are left to other programs" in (one / "log.txt").read_text()
    assert {meter: sorted(keys) for meter, keys in sent().items()} == sent()

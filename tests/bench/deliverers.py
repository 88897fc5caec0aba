# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures deliverers: a stream is the journal of one or two, which store what is in it in PostgreSQL.

From the first connection of a sink on, as a start takes seconds. The argument is how many readings (40,000).
"""

import logging
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.fleet import BTCORE, READINGS, batches, children, database, stored
from servers.nats_cluster import NatsCluster

from btcore import Batch, Context
from btcore.testing import wait_for
from btmon_nats.connection import Connection
from btmon_nats.sink import Nats
from btmon_nats.stream import StreamPlan, make_buckets, set_up

PATIENCE = 300.0


def measure(partitions: int, deliverers: int, all_batches: Sequence[Batch]) -> None:
    """Print the rate at which a stream on one server comes into PostgreSQL."""
    with (
        tempfile.TemporaryDirectory() as name,
        NatsCluster(Path(name), 1) as cluster,
        database() as (server, url),
        ExitStack() as stack,
    ):
        publish(cluster, partitions, all_batches)
        host = cluster.urls[0].removeprefix("nats://")
        before, running = children(), []
        for number in range(deliverers):
            folder = Path(name, f"deliverer{number}")
            folder.mkdir()
            (folder / "site.toml").write_text(
                f'state = "state"\njournal = "nats://{host}/energy?partitions={partitions}"\n'
                f'[sink.db]\nuse = "sql"\nurl = "{url}"\n'
            )
            one = subprocess.Popen([*BTCORE, "run", "--quiet"], cwd=folder)
            running.append(stack.enter_context(one))
            stack.callback(one.terminate)
        wait_for(lambda: stored(server), "the first rows", PATIENCE)
        first, started = stored(server), time.monotonic()
        wait_for(lambda: stored(server) >= READINGS, "all rows", PATIENCE)
        seconds = time.monotonic() - started
        for one in running:
            one.terminate()
            one.wait()
        own = 1_000_000 * (children() - before) / READINGS
        what = f"delivered, {partitions} partitions, {deliverers} at work"
        print(f"{what:<40} {(READINGS - first) / seconds:10,.0f} readings/s {own:6.1f} µs each, starts included")


def publish(cluster: NatsCluster, partitions: int, all_batches: Sequence[Batch]) -> None:
    """Make the stream, and publish all."""
    make_sink: Any = Nats
    sink = make_sink(servers=cluster.urls, timeout=30.0)
    setup, plan = Connection(sink, "bench"), StreamPlan("energy", partitions, 1)
    setup.use(lambda stream: set_up(stream, plan), 60.0)
    setup.use(lambda stream: make_buckets(stream, plan), 60.0)
    setup.close()
    sink.open(Context("sink.nats", logging.getLogger("bench")))
    for batch in all_batches:
        sink.process_batch(batch)
    sink.close()


def main() -> None:
    """Print the figures."""
    all_batches = batches()
    for partitions in (1, 4, 16):
        for deliverers in (1, 2):
            measure(partitions, deliverers, all_batches)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures both ends of a NATS stream: readings of 200 GEMs are published, and collected again.

One server, or three, on the same computer bring each message to the disk before they acknowledge it. Rates are of one
sink, and of one source, in one process each.
"""

import logging
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from servers.nats_cluster import NatsCluster

from btcore import FORMATS, Batch, Context, Reading, pack
from btmon_nats.connection import Connection
from btmon_nats.sink import Nats
from btmon_nats.source import NatsStream
from btmon_nats.stream import StreamPlan, set_up

START = datetime(2026, 6, 21, tzinfo=UTC)
METERS = 200
READINGS = 40_000
BATCH = 1000


def batches() -> list[Batch]:
    """Return readings of all meters, one of each every ten seconds."""
    form, made = FORMATS["gem48ptbin"], []
    for n in range(READINGS):
        serial, second = f"01{n % METERS:06}", 10 * (n // METERS)
        values = {f"ch{channel}_aws": 1000 * second * channel + 7 * n for channel in range(1, 33)}
        raw = pack("gem48ptbin", serial, {"volts": 121.5, "secs": second, **values})
        made.append(Reading(START + timedelta(seconds=second, microseconds=n), form, serial, raw))
    return [Batch(tuple(made[at : at + BATCH])) for at in range(0, READINGS, BATCH)]


def measure(servers: int, partitions: int, all_batches: Sequence[Batch]) -> None:
    """Print the rates of one size of cluster."""
    with tempfile.TemporaryDirectory() as folder, NatsCluster(Path(folder), servers) as cluster:
        make_sink: Any = Nats
        make_source: Any = NatsStream
        sink = make_sink(servers=cluster.urls, timeout=30.0)
        setup = Connection(sink, "bench")
        setup.use(lambda stream: set_up(stream, StreamPlan("energy", partitions, servers)), 60.0)
        setup.close()
        sink.open(Context("sink.nats", logging.getLogger("bench")))
        started, processor = time.monotonic(), time.process_time()
        for batch in all_batches:
            sink.process_batch(batch)
        report(f"published, R{servers}, {partitions} partitions", started, processor)
        sink.close()
        source = make_source(servers=cluster.urls, timeout=30.0)
        source.open(Context("source.fleet", logging.getLogger("bench"), once=True))
        started, processor = time.monotonic(), time.process_time()
        found = sum(isinstance(one, Reading) for one in source.collect(Event()))
        report(
            f"collected, R{servers}, {partitions} partitions", started + 1.0, processor
        )  # it waits a second for more
        source.close()
        assert found == READINGS


def report(what: str, started: float, processor: float) -> None:
    """Print a rate, and what a reading takes of a processor here, without that of the servers."""
    seconds, own = time.monotonic() - started, time.process_time() - processor
    print(f"{what:<36} {READINGS / seconds:10,.0f} readings/s {1_000_000 * own / READINGS:6.1f} µs each")


def main() -> None:
    """Print the figures."""
    all_batches = batches()
    for servers, partitions in ((1, 1), (1, 4), (1, 16), (3, 1), (3, 4), (3, 16)):
        measure(servers, partitions, all_batches)


if __name__ == "__main__":
    main()

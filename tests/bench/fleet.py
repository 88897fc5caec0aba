# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a fleet: readings of 200 GEMs are published to a NATS stream, collected again, and stored in PostgreSQL.

One server, or three, on the same computer bring each message to the disk before they acknowledge it. Rates are of one
sink, and of one source, in one process each. The whole way is a house with all readings in a file, and an archive that
stores them in PostgreSQL, as processes of `btcore run`. In the end the leader of the stream is killed, again and again.
The argument is how many readings (40,000).
"""

import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
from nats.js.api import ClusterInfo
from servers.database_servers import PostgreSQL
from servers.nats_cluster import NatsCluster, NatsServer

from btcore import FORMATS, Batch, Context, Reading, Retry, Secret, pack
from btcore.testing import wait_for
from btmon_nats.connection import Connection
from btmon_nats.sink import Nats
from btmon_nats.source import NatsStream
from btmon_nats.stream import StreamPlan, set_up
from btmon_sql.sink import Sql

START = datetime(2026, 6, 21, tzinfo=UTC)
METERS = 200
READINGS = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
BATCH = 1000
DEATHS = 5
FOLLOWERS = 2
BTCORE = (sys.executable, "-m", "btcore")


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


def archive(all_batches: Sequence[Batch]) -> None:
    """Print the rates of PostgreSQL: of readings that are new, and of the same again."""
    with database() as (_, url):
        sink = Sql(url=Secret(url))
        sink.open(Context("sink.db", logging.getLogger("bench")))
        sink.process_batch(all_batches[0])
        for what in ("stored in PostgreSQL", "stored already"):
            started, processor = time.monotonic(), time.process_time()
            for batch in all_batches:
                sink.process_batch(batch)
            report(what, started, processor)
        sink.close()


@contextmanager
def database() -> Iterator[tuple[PostgreSQL, str]]:
    """Run PostgreSQL; yield it, and the URL of a database in it."""
    with PostgreSQL() as server:
        server.sql("CREATE USER btcore PASSWORD 'secret' CREATEDB")
        yield server, f"postgresql+psycopg://btcore:secret@127.0.0.1:{server.port}/energy"


def whole_way(servers: int, all_batches: Sequence[Batch]) -> None:
    """Print the rate from a file of packets in a house to the rows in PostgreSQL."""
    with (
        tempfile.TemporaryDirectory() as name,
        NatsCluster(Path(name), servers) as cluster,
        database() as (server, url),
    ):
        folder = Path(name)
        raw = b"".join(one.raw for batch in all_batches for one in batch.readings)
        (folder / "house.bin").write_bytes(raw)
        nats = f"servers = {cluster.urls}\n"
        source = '[source.file]\npath = "house.bin"\nstart = "2026-06-21T00:00:00Z"\ninterval = "50ms"\n'
        limits = "max_new_meters_per_day = 0\nmax_packets_per_second = 0\n"
        sink = f'[sink.db]\nuse = "sql"\nurl = "{url}"\n'
        sites = {
            "house": f'state = "house"\n{source}{limits}[sink.nats]\n{nats}',
            "archive": f'state = "archive"\n[source.fleet]\nuse = "nats-stream"\n{limits}{nats}{sink}',
        }
        for site, text in sites.items():
            (folder / f"{site}.toml").write_text(text)
        btcore(folder, "nats", "setup", "--config", "house.toml", "--replicas", str(servers))
        started, before = time.monotonic(), children()
        with subprocess.Popen([*BTCORE, "run", "--quiet", "archive.toml"], cwd=folder) as running:
            btcore(folder, "run", "--once", "--quiet", "house.toml")
            published, house = time.monotonic() - started, children()
            while stored(server) < READINGS and time.monotonic() < started + 600:
                time.sleep(0.2)
            running.terminate()
        seconds = time.monotonic() - started
        for what, took, own in (
            (f"a house, R{servers}", published, house - before),
            (f"whole way, R{servers}; the archive", seconds, children() - house),
        ):
            print(f"{what:<36} {READINGS / took:10,.0f} readings/s {1_000_000 * own / READINGS:6.1f} µs each")


def children() -> float:
    """Return the seconds of processor that processes have taken which ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def stored(server: PostgreSQL) -> int:
    """Return how many readings PostgreSQL has."""
    try:
        return int(server.sql("SELECT COUNT(*) FROM gem48ptbin_counters", "energy")[0][0])
    except psycopg.Error:  # there is no table yet
        return 0


def btcore(folder: Path, *words: str) -> None:
    """Run a command to its end."""
    subprocess.run([*BTCORE, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def leader_s_death(all_batches: Sequence[Batch]) -> None:
    """Print for how long nothing is taken in when the leader of the stream is killed."""
    with tempfile.TemporaryDirectory() as folder, NatsCluster(Path(folder), 3) as cluster:
        make_sink: Any = Nats
        sink = make_sink(servers=cluster.urls, timeout=5.0)
        setup = Connection(sink, "bench")
        setup.use(lambda stream: set_up(stream, StreamPlan("energy", 16, 3)), 60.0)
        setup.close()
        waited = []
        for batch in all_batches[:DEATHS]:
            leader = leader_now(cluster)
            leader.kill()
            waited.append(until_taken(sink, batch))
            leader.start()
            wait_for(cluster.is_ready, "all servers")
            wait_for(lambda: len(current(cluster)) == FOLLOWERS, "all servers to have all")
        sink.close()
        print(
            f"leader killed {DEATHS} times: readings wait {statistics.median(waited):.1f} s (median),"
            f" {max(waited):.1f} s at most: {', '.join(f'{one:.1f}' for one in waited)}"
        )


def cluster_of(cluster: NatsCluster) -> ClusterInfo:
    """Return what the leader of the stream says of its servers: one that has just started may name another."""
    make_sink: Any = Nats
    connection = Connection(make_sink(servers=cluster.urls, timeout=30.0), "bench")
    try:
        found = connection.use(lambda stream: stream.stream_info("energy")).cluster
    finally:
        connection.close()
    assert found is not None
    return found


def leader_now(cluster: NatsCluster) -> NatsServer:
    """Return the server that leads the stream."""
    name = cluster_of(cluster).leader
    return next(one for one in cluster.servers if one.name == name)


def current(cluster: NatsCluster) -> list[str]:
    """Return the followers that have all of the stream."""
    return [one.name for one in cluster_of(cluster).replicas or () if one.current and not one.offline and one.name]


def until_taken(sink: Nats, batch: Batch) -> float:
    """Return the seconds until a batch was taken, tried as the core does."""
    started = time.monotonic()
    while True:
        try:
            sink.open(Context("sink.nats", logging.getLogger("bench")))
            sink.process_batch(batch)
        except Retry:
            time.sleep(0.2)
        else:
            return time.monotonic() - started


def report(what: str, started: float, processor: float) -> None:
    """Print a rate, and what a reading takes of a processor here, without that of the servers."""
    seconds, own = time.monotonic() - started, time.process_time() - processor
    print(f"{what:<36} {READINGS / seconds:10,.0f} readings/s {1_000_000 * own / READINGS:6.1f} µs each")


def main() -> None:
    """Print the figures."""
    all_batches = batches()
    for servers, partitions in ((1, 1), (1, 4), (1, 16), (3, 1), (3, 4), (3, 16)):
        measure(servers, partitions, all_batches)
    archive(all_batches)
    whole_way(1, all_batches)
    whole_way(3, all_batches)
    leader_s_death(all_batches)


if __name__ == "__main__":
    main()

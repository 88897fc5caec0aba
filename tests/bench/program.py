# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole program at work: what it uses of the processor and of memory while meters send to it over TCP."""

import json
import os
import resource
import selectors
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import attrs
from bench.timing import memory_of, tasks, used_by

from btcore import pack
from btcore.testing import BtcoreProcess

PATIENCE = 120.0
SETTLE = 0.5
"""Seconds after which the program has started."""
BETWEEN = 0.05
"""Seconds between two packets of the honest meter."""
HONEST = 2000
"""The number of its address."""
SIZE = 625
"""Bytes of the packets that are sent."""
LOOK = 0.02
"""Seconds between two looks at what is stored."""

SITE = """
state = "state"
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0
max_new_meters_per_day = 0
max_packets_per_second = 0
max_connections = 2000
"""

SINK = """
[sink.s{number}]
use = "sqlite"
file = "{number}.db"
flush_interval = "{flush}"
schema = "{schema}"
"""


IDLE_SINK = """
[sink.idle{number}]
use = "sqlite"
file = "idle{number}.db"
{setting}
"""

IDLE = {
    "that gather for an hour": 'schema = "counters"\nflush_interval = "1h"',
    "with an interval of an hour": 'interval = "1h"',
    "of another meter": 'schema = "counters"\nmeters = ["99999999"]',
}
"""What makes a sink have nothing to deliver for a packet, and the setting that does."""


@attrs.frozen
class Load:
    """What is sent: so many packets, of so many meters, each on a connection of its own, into so many sinks."""

    packets: int = 8000
    meters: int = 100
    sinks: int = 1
    schema: str = "counters"
    flush: str = "0s"
    is_gateway: bool = False
    """Whether all meters share one connection."""
    idle: str = ""
    """A setting of `IDLE` that seven further sinks have."""

    @property
    def site(self) -> str:
        """The configuration."""
        sinks = [SINK.format(number=number, schema=self.schema, flush=self.flush) for number in range(self.sinks)]
        if self.idle:
            sinks += [IDLE_SINK.format(number=number, setting=IDLE[self.idle]) for number in range(7)]
        return SITE + "".join(sinks)


@attrs.frozen
class Used:
    """What a load took: seconds of the processor for a packet, seconds of the clock for all, megabytes of memory."""

    seconds_each: float
    elapsed: float
    memory: float


def packet(meter: int, second: int) -> bytes:
    """Make the packet of a meter in one second of its life: a house without solar panels."""
    values = {f"ch{channel}_aws": 1_000_000 * channel + 100 * channel * second for channel in range(1, 33)}
    numbers = {"volts": 120.5, "secs": 1000 + second, **values}
    return pack("gem48ptbin", f"001{meter:05}", numbers, clock=CLOCK)


def lines(load: Load) -> list[bytes]:
    """Make what each meter sends."""
    each = max(load.packets // load.meters, 2)
    if load.is_gateway:
        return [b"".join(packet(meter, second) for second in range(each) for meter in range(load.meters))]
    return [b"".join(packet(meter, second) for second in range(each)) for meter in range(load.meters)]


def connected(port: int, number: int) -> socket.socket:
    """Connect, each meter from an address of its own."""
    return socket.create_connection(
        ("127.0.0.1", port), source_address=(f"127.1.{number // 250}.{number % 250 + 1}", 0)
    )


def send(port: int, data: Sequence[bytes]) -> None:
    """Send all, each line on a connection of its own, a packet's worth at a time, and keep the connections open."""
    left = {connected(port, number): memoryview(one) for number, one in enumerate(data)}
    with selectors.DefaultSelector() as ready:
        for line in left:
            line.settimeout(0)
            ready.register(line, selectors.EVENT_WRITE)
        while left:
            for key, _ in ready.select():
                one = key.fileobj
                assert isinstance(one, socket.socket)
                with suppress(BlockingIOError):
                    left[one] = left[one][one.send(left[one][:SIZE]) :]
                if not left[one]:
                    ready.unregister(one)
                    del left[one]
                    _kept.append(one)


CLOCK = datetime(2026, 1, 1)  # noqa: DTZ001 - what a meter shows has no zone

_kept: list[socket.socket] = []


def stored(file: Path, table: str) -> int:
    """Return how many rows there are."""
    with suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(file)
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            connection.close()
    return 0


def wait_for_rows(folder: Path, load: Load, rows: int) -> None:
    """Wait until all sinks have so many rows."""
    deadline = time.monotonic() + PATIENCE
    table = f"gem48ptbin_{load.schema}"
    while any(stored(folder / f"{number}.db", table) < rows for number in range(load.sinks)):
        if time.monotonic() > deadline:
            raise SystemExit(f"not all of {rows} packets came to the sinks: {folder}")
        time.sleep(LOOK)


@contextmanager
def running(site: str) -> Iterator[tuple[BtcoreProcess, Path]]:
    """Run the program with a configuration, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name, BtcoreProcess(Path(name), site, "--quiet") as process:
        yield process, Path(name)


def port_of(pid: int) -> int:
    """Return the port that a process listens on, once it does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        inodes = set()
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(one.readlink()))
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                return int(fields[1].partition(":")[2], 16)
        time.sleep(0.001)
    raise SystemExit("the program does not listen")


def measure(load: Load) -> Used:
    """Run the program under a load; a child sends, so that it is on a processor of its own where there are two."""
    allow_many_files()
    with running(load.site) as (process, folder):
        pid, data = process.process.pid, lines(load)
        port = port_of(pid)
        # one packet of each meter first: tables are made, threads and connections are there
        before, began = used_by(pid), time.monotonic()
        sender = subprocess.Popen(
            [sys.executable, __file__, str(port), json.dumps(attrs.asdict(load))], env=_environment()
        )
        packets = sum(map(len, data)) // SIZE
        # the first packet of a meter has no sample
        wait_for_rows(folder, load, packets if load.schema == "counters" else packets - load.meters)
        used = Used((used_by(pid) - before) / packets, time.monotonic() - began, memory_of(pid))
        sender.kill()
        sender.wait()
        return used


@attrs.frozen
class Start:
    """What a start takes until the program listens: seconds of the processor; and megabytes of memory after it."""

    seconds: float
    memory: float


def start(site: str) -> Start:
    """Start the program."""
    with running(site) as (process, _):
        pid = process.process.pid
        port_of(pid)
        seconds = used_by(pid)
        time.sleep(SETTLE)
        return Start(seconds, memory_of(pid))


def lateness(load: Load, packets: int, *, one_core: bool = False) -> list[float]:
    """Return for each packet of an honest meter the ms until it is in the first sink; a load is sent beside it."""
    allow_many_files()
    with running(load.site) as (process, folder):
        pid = process.process.pid
        port = port_of(pid)
        if one_core:
            for task in tasks(pid):
                os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})
        file, table = folder / "0.db", "ecm1220bin_counters"
        honest = connected(port, HONEST)
        honest.sendall(honest_packet(0))
        wait_for_row(file, table, 1)
        others = [connected(port, number) for number in range(load.meters)]
        waits = []
        for number in range(1, packets + 1):
            for meter, one in enumerate(others):  # as many meters send in this second as in any other
                if meter % packets == number % packets:
                    one.sendall(packet(meter, number))
            began = time.perf_counter()
            honest.sendall(honest_packet(number))
            wait_for_row(file, table, number + 1)
            waits.append(1000 * (time.perf_counter() - began))
            time.sleep(BETWEEN)
        return waits


def honest_packet(number: int) -> bytes:
    """Make a packet of the honest meter, which no other has."""
    return pack("ecm1220bin", "300001", {"secs": 100 + number, "ch1_aws": 5000 * number})


def wait_for_row(file: Path, table: str, rows: int) -> None:
    """Wait until a table has so many rows."""
    deadline = time.monotonic() + PATIENCE
    while stored(file, table) < rows:
        if time.monotonic() > deadline:
            raise SystemExit(f"{table} has no {rows} rows")
        time.sleep(0.0005)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def allow_many_files() -> None:
    """Allow a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))


def main() -> None:
    """Be the sender: of a load, to a port."""
    allow_many_files()
    send(int(sys.argv[1]), lines(Load(**json.loads(sys.argv[2]))))
    time.sleep(PATIENCE)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the journal survives: the program is killed at random moments, and in the end nothing is missing."""

import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, kept_packets, table_rows
from helpers.forked_btcore import ForkedBtcore, Run
from helpers.solar_house import (
    CONSUMPTION,
    ECM_FORMAT,
    GEM_FORMAT,
    GENERATION,
    PVOUTPUT_SETTINGS,
    SLOT,
    HouseReading,
    Status,
    expected_statuses,
    house_capture_line,
    house_packet,
    house_readings,
    read_house_packet,
)
from servers.pvoutput import PVOutputServer

from btcore.testing import BtcoreProcess, free_port
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

KILLS = 80
TIMES = 1.5
"""How many times as long as the first run took to deliver a run has, at most."""
PATIENCE = 30
"""Seconds that the first run has to deliver, on any machine."""
JUST_NOW = 0.004
"""Seconds, at most, that a run has after its sink was seen to deliver: its checkpoint has moved by then, or not."""

METERS = {"00160001": GEM_FORMAT, "412345": ECM_FORMAT, "412346": ECM_FORMAT}
"""The meters that send over TCP."""
PAUSE = 0.015
"""Seconds between two packets of a meter."""

HOUSE = (GENERATION, CONSUMPTION)
"""The meters in the capture, whose times are hours; PVOutput is told of them alone."""
EVERY = 60
NEW = 20
"""Readings of the capture that a run finds added to those that the runs before it could read."""
AGAIN = 4
"""Runs that find the same readings again, as a capture that is played from its beginning."""

SITE = """
state = "state"

[sink.sqlite]
file = "energy.db"
flush_interval = 0

[source.file]
path = "capture.json"
"""

TCP = """
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
"""

ROOF = f"""
[sink.roof]{PVOUTPUT_SETTINGS}
meters = ["{GENERATION}", "{CONSUMPTION}"]
max_calls_per_hour = 0
flush_interval = 0
"""


@pytest.fixture
def chance() -> random.Random:
    """Return a random generator, and show its seed when the test fails."""
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed: {seed}\n")
    return random.Random(seed)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PVOutputServer]:
    """Run a PVOutput that takes any number of requests: minutes here are days of the meters."""
    monkeypatch.setenv("PVO_KEY", PVOutputServer.key)
    with PVOutputServer(limit=1_000_000) as running:
        yield running


@contextmanager
def playing(port: int) -> Iterator[None]:
    """Let all meters send, each packet once, while the block runs; they connect again whenever they are cut off."""
    over = threading.Event()

    def play(serial: str) -> None:
        seconds = count(1)
        while not over.wait(PAUSE):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                while not over.wait(PAUSE):
                    second = next(seconds)
                    told = HouseReading(METERS[serial], serial, 0, second, 900 * second, 100 * second, 120)
                    connection.sendall(house_packet(told))

    with in_background(over, *(partial(play, serial) for serial in METERS)):
        yield


def site(server: PVOutputServer, port: int = 0) -> str:
    """Return the configuration; without a port, there are only sources that end."""
    tcp = f"{TCP}port = {port}\n" if port else ""
    return f'{SITE}{tcp}{ROOF}url = "{server.url}"\n'


def first_delivery(btcore: ForkedBtcore, folder: Path) -> float:
    """Return the seconds that a run takes until a sink has delivered, here and now: machines differ by ten times."""
    start = time.monotonic()
    with btcore.run() as run:
        run.wait_for_change(lambda: written(folder / "energy.db-wal"), PATIENCE)
    return time.monotonic() - start


def let_work(run: Run, folder: Path, server: PVOutputServer, chance: random.Random, work: float) -> None:
    """Let a run work for at most `work` seconds, which may end before it listens; or until a sink delivers."""
    delivers = chance.choice([None, lambda: len(server.requests), lambda: written(folder / "energy.db-wal")])
    if delivers is None:
        run.wait(chance.uniform(0, work))
    else:
        run.wait_for_change(delivers, work)
        run.wait(chance.uniform(0, JUST_NOW))


def written(file: Path) -> int:
    """Return when a file was last written, in nanoseconds; 0 where there is none."""
    return file.stat().st_mtime_ns if file.exists() else 0


def test_kill_at_any_moment(tmp_path: Path, server: PVOutputServer, chance: random.Random) -> None:
    """Whenever it is killed: what is in the journal gets into the database once, and each slot of it to PVOutput."""
    length = KILLS * NEW // len(HOUSE)
    start = int(time.time()) // SLOT * SLOT - length * EVERY
    capture = [house_capture_line(counted) for counted in house_readings(start, EVERY, length)]
    port = free_port()
    (tmp_path / "site.toml").write_text(site(server, port))
    (tmp_path / "capture.json").write_text("".join(capture[:NEW]))
    with playing(port), ForkedBtcore(tmp_path) as btcore:
        work = TIMES * first_delivery(btcore, tmp_path)
        for number in range(KILLS):
            (tmp_path / "capture.json").write_text("".join(capture[max(number - AGAIN, 0) * NEW : (number + 1) * NEW]))
            with btcore.run() as run:
                let_work(run, tmp_path, server, chance, work)
    with BtcoreProcess(tmp_path, site(server), "--once") as btcore:
        assert btcore.finish() == 0, btcore.log
        assert "Traceback" not in btcore.log
    kept = journalled(tmp_path)
    fewest = min(Counter(counted.serial for counted in kept).values())
    assert fewest > KILLS // 4, "the runs are too short to prove anything"
    assert stored(tmp_path) == Counter((counted.time, counted.serial, counted.seconds) for counted in kept)
    assert set(Counter((counted.serial, counted.seconds) for counted in kept).values()) == {1}
    assert items(server.accepted) == items(expected_statuses(counted for counted in kept if counted.serial in HOUSE))


def journalled(folder: Path) -> list[HouseReading]:
    """Return what the journal has, oldest first."""
    return [read_house_packet(*entry) for entry in kept_packets(folder / JOURNAL_FILE)]


def stored(folder: Path) -> Counter[tuple[object, ...]]:
    """Return what the database has: key, meter and seconds of each reading."""
    tables = [f"{format}_counters" for format in (GEM_FORMAT, ECM_FORMAT)]
    return Counter(row for table in tables for row in table_rows(folder / "energy.db", table, "id, serial, secs"))


def items(statuses: Iterable[Status]) -> set[tuple[tuple[str, str], ...]]:
    """Return which statuses there are."""
    return {tuple(sorted(status.items())) for status in statuses}

"""What is in the journal survives: the program is killed at random moments, and in the end nothing is missing."""

import random
import socket
import subprocess
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
from helpers.btcore_process import JOURNAL_FILE, BtcoreProcess, free_port, table_rows
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
from helpers.waiting import in_background
from servers.pvoutput import PVOutputServer

pytestmark = pytest.mark.servers

KILLS = 200
WORK = 0.35
"""Seconds that a run may have, at most, once it listens."""

METERS = {"00160001": GEM_FORMAT, "412345": ECM_FORMAT, "412346": ECM_FORMAT}
"""The meters that send over TCP."""
PAUSE = 0.004
"""Seconds between two packets of a meter."""

HOUSE = (GENERATION, CONSUMPTION)
"""The meters in the capture, whose times are hours; PVOutput is told of them alone."""
EVERY = 60
NEW = 60
"""Readings of the capture that a run finds added to those that the runs before it could read."""
AGAIN = 4
"""Runs that find the same readings again, as a capture that is played from its beginning."""

SITE = """
state = "state"

[sink.sqlite]
file = "energy.db"

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


def startup(folder: Path, site: str) -> float:
    """Return how many seconds the program takes until it listens."""
    folder.mkdir()
    (folder / "capture.json").touch()
    begin = time.monotonic()
    with BtcoreProcess(folder, site) as btcore:
        btcore.port()
        took = time.monotonic() - begin
        assert btcore.stop() == 0
    return took


def killed(folder: Path, site: str, moment: float) -> None:
    """Run for so many seconds, and kill."""
    with BtcoreProcess(folder, site) as btcore, suppress(subprocess.TimeoutExpired):
        code = btcore.process.wait(moment)
        raise AssertionError(f"it ended by itself, with {code}: {btcore.log}")


def test_kill_at_any_moment(tmp_path: Path, server: PVOutputServer, chance: random.Random) -> None:
    """Whenever it is killed: what is in the journal gets into the database once, and each slot of it to PVOutput."""
    length = KILLS * NEW // len(HOUSE)
    start = int(time.time()) // SLOT * SLOT - length * EVERY
    capture = [house_capture_line(counted) for counted in house_readings(start, EVERY, length)]
    port = free_port()
    with playing(port):
        longest = startup(tmp_path / "another", site(server, port)) + WORK
        for run in range(KILLS):
            (tmp_path / "capture.json").write_text("".join(capture[max(run - AGAIN, 0) * NEW : (run + 1) * NEW]))
            killed(tmp_path, site(server, port), chance.uniform(0, longest))
    with BtcoreProcess(tmp_path, site(server), "--once") as btcore:
        assert btcore.finish() == 0, btcore.log
        assert "Traceback" not in btcore.log
    kept = journalled(tmp_path)
    assert min(Counter(counted.serial for counted in kept).values()) > KILLS, "the runs are too short to prove anything"
    assert stored(tmp_path) == Counter((counted.time, counted.serial, counted.seconds) for counted in kept)
    assert set(Counter((counted.serial, counted.seconds) for counted in kept).values()) == {1}
    assert items(server.accepted) == items(expected_statuses(counted for counted in kept if counted.serial in HOUSE))


def journalled(folder: Path) -> list[HouseReading]:
    """Return what the journal has, oldest first."""
    entries = table_rows(folder / JOURNAL_FILE, "entry ORDER BY offset", "format, serial, key, raw")
    return [read_house_packet(*entry) for entry in entries]


def stored(folder: Path) -> Counter[tuple[object, ...]]:
    """Return what the database has: key, meter and seconds of each reading."""
    tables = [f"{format}_counters" for format in (GEM_FORMAT, ECM_FORMAT)]
    return Counter(row for table in tables for row in table_rows(folder / "energy.db", table, "id, serial, secs"))


def items(statuses: Iterable[Status]) -> set[tuple[tuple[str, str], ...]]:
    """Return which statuses there are."""
    return {tuple(sorted(status.items())) for status in statuses}

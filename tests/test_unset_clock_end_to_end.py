# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole program on a computer whose clock is wrong at first, as a Raspberry Pi's is, and is set later."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.clock_file import LIBRARY, ClockFile, remove_leftovers
from helpers.database_rows import table_rows
from helpers.needed import need
from test_tcp_end_to_end import long_lived

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

SITE = """
state = "state"

[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0

[sink.sqlite]
file = "energy.db"
flush_interval = "0s"
"""

TABLE = "gem48pbin_counters"
IN_1970 = "@1970-01-01 00:01:00"
RIGHT = "+0"


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the file that says what time it is for every program that is started."""
    need("" if LIBRARY else "apt install libfaketime: it is missing")
    file = tmp_path / "clock"
    for name, value in ClockFile(file).environment.items():
        monkeypatch.setenv(name, value)
    yield file
    remove_leftovers()


def test_a_program_can_sleep_while_its_clock_is_ahead(clock: Path) -> None:
    """With libfaketime `time.sleep` fails then: a program that is tested with it must not end by that."""
    clock.write_text("+60")
    code = "import time; began = time.monotonic(); time.sleep(0.01); print(time.monotonic() - began >= 0.01)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "True\n"


def packet(n: int) -> bytes:
    """Make a packet of one meter."""
    return pack("gem48pbin", "01000777", {"volts": 120.0, "secs": 100 + n, "ch1_aws": 500 * n})


def kept(folder: Path) -> int:
    """Return how many readings the running program has kept."""
    command = [sys.executable, "-m", "btcore", "status", "--json", "--config", str(folder / "site.toml")]
    found = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | {"LD_PRELOAD": ""})
    status: dict[str, Any] = json.loads(found.stdout)
    return sum(source["kept"] for source in status["sources"])


def has_said(btcore: BtcoreProcess, text: str, before: int) -> bool:
    """Whether the log has a text more often than before."""
    return btcore.log.count(text) > before


def rows(folder: Path) -> list[tuple[int, int]]:
    """Return the seconds counter and the time of each row."""
    return table_rows(folder / "energy.db", TABLE, "secs, time_created")


def test_readings_of_1970_get_their_time_when_the_clock_is_set(tmp_path: Path, clock: Path) -> None:
    """Started in 1970, killed, started again, then the clock is set: every reading is there once, with its time."""
    clock.write_text(IN_1970)
    began = time.time()
    for run in range(2):
        with BtcoreProcess(tmp_path, SITE) as btcore:
            wait_for(partial(has_said, btcore, "clock is not set yet", run), "btcore to doubt the clock")
            wait_for(partial(has_said, btcore, "listening on", run), "btcore to listen")
            long_lived(btcore.port(), [packet(10 * run + n) for n in range(3)])
            wait_for(lambda: kept(tmp_path) == 3, "the readings to be kept")
            assert rows(tmp_path) == []
            if run:
                clock.write_text(RIGHT)
                wait_for(lambda: len(rows(tmp_path)) == 6, "all readings to be delivered")
                long_lived(btcore.port(), [packet(50)])
                wait_for(lambda: len(rows(tmp_path)) == 7, "the next reading")
                assert btcore.stop() == 0
    found = rows(tmp_path)
    assert [seconds for seconds, _ in found] == [100, 101, 102, 110, 111, 112, 150]
    assert all(began - 1 <= at <= time.time() for _, at in found)
    assert [at for _, at in found] == sorted(at for _, at in found)


@pytest.mark.parametrize("step", ["+1h", "-1h", "+1d", "-1d"])
def test_a_clock_that_is_set_loses_and_doubles_nothing(tmp_path: Path, clock: Path, step: str) -> None:
    """An hour or a day, forward or back, while readings come in: each is delivered once."""
    clock.write_text(RIGHT)
    with BtcoreProcess(tmp_path, SITE) as btcore:
        port = btcore.port()
        long_lived(port, [packet(n) for n in range(3)])
        wait_for(lambda: len(rows(tmp_path)) == 3, "the readings before")
        clock.write_text(step)
        wait_for(lambda: "clock was set" in btcore.log, "btcore to notice the step")
        long_lived(port, [packet(10 + n) for n in range(3)])
        wait_for(lambda: len(rows(tmp_path)) == 6, "the readings after")
        assert btcore.stop() == 0
    assert sorted(seconds for seconds, _ in rows(tmp_path)) == [100, 101, 102, 110, 111, 112]


@pytest.mark.parametrize("change", [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)])
def test_summer_time_begins_and_ends_without_a_trace(
    tmp_path: Path, clock: Path, monkeypatch: pytest.MonkeyPatch, change: datetime
) -> None:
    """Where local time jumps by an hour, forward or back, the times of readings go on as before."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("FAKETIME_FMT", "%s")
    before = 8
    clock.write_text(f"@{change.timestamp() - before:.0f}")  # when a program starts
    started = time.monotonic()
    with BtcoreProcess(tmp_path, SITE) as btcore:
        port = btcore.port()
        long_lived(port, [packet(n) for n in range(3)])
        wait_for(lambda: len(rows(tmp_path)) == 3, "the readings before")
        wait_for(lambda: time.monotonic() > started + before + 2, "the hour to change")
        long_lived(port, [packet(10 + n) for n in range(3)])
        wait_for(lambda: len(rows(tmp_path)) == 6, "the readings after")
        assert btcore.stop() == 0
        assert "clock was set" not in btcore.log
    times = [at for _, at in sorted(rows(tmp_path))]
    assert times == sorted(times)
    assert times[-1] > change.timestamp()
    assert times[-1] - times[0] < 600

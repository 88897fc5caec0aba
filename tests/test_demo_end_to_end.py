# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: its history comes once, over a kill too, and its counters go on from it to the live packets."""

import json
import signal
import sqlite3
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from btcore.testing import BtcoreProcess, free_port, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[1]
DEMO = (ROOT / "demo.toml").read_text()
SERIAL = "01000101"
HISTORY = 1300
"""More readings than a history of 20 days has, by some live ones."""


def site(port: int) -> str:
    """Return the demonstration's configuration with a shorter history and a port of its own."""
    shorter = DEMO.replace('history = "1y"', 'history = "20d"').replace('interval = "2s"', 'interval = "1s"')
    assert shorter.count("20d") == shorter.count('"1s"') == 1
    return shorter.replace("[sink.dashboard]", f"[sink.dashboard]\nport = {port}")


def readings(folder: Path) -> list[tuple[float, int, int]]:
    """Return when readings were and what mains has counted, absolute and polarized, by time."""
    file = folder / "demo" / "energy.db"
    if not file.exists():
        return []
    with closing(sqlite3.connect(file, timeout=30)) as connection, suppress(sqlite3.OperationalError):
        (table,) = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchone() or ("",)
        query = f"SELECT time_created, ch1_aws, ch1_pws FROM {table} ORDER BY time_created"
        return connection.execute(query).fetchall()
    return []


def hours(port: int, start: float, end: float) -> list[float]:
    """Return the Wh of mains of each hour, as the dashboard has them."""
    path = f"/api/history?channel={SERIAL}_ch1&from={start}&to={end}&step=hour"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
    return list(found["wh"])


def test_history_comes_once_and_goes_on_to_the_present(tmp_path: Path) -> None:
    """Killed in the midst and started twice: each reading is there once, no counter falls, sums are the counters'."""
    (tmp_path / "demo").mkdir()
    port = free_port()
    with BtcoreProcess(tmp_path, site(port)) as run:
        wait_for(lambda: len(readings(tmp_path)) > 300, "a part of the history")
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
    with BtcoreProcess(tmp_path, site(port)) as run:
        wait_for(lambda: len(readings(tmp_path)) > HISTORY, "the history, and live readings")
        assert run.stop() == 0, run.log
    with BtcoreProcess(tmp_path, site(port)) as run:
        before = len(readings(tmp_path))
        wait_for(lambda: len(readings(tmp_path)) > before + 2, "more live readings")
        found = readings(tmp_path)
        start = found[0][0]
        end = max(time for time, _, _ in found if time % 3600 == 0)
        (last,) = (row for row in found if row[0] == end)
        net = (last[1] - found[0][1]) - 2 * (last[2] - found[0][2])
        wait_for(lambda: len(hours(port, start, end)) == (end - start) / 3600, "the dashboard")
        assert sum(hours(port, start, end)) == pytest.approx(net / 3600, abs=0.001)
    times = [time for time, _, _ in found]
    assert len(times) == len(set(times)) < HISTORY + 300
    assert all(after >= before for index in (1, 2) for before, after in zip(*columns(found, index), strict=True))


def columns(found: list[tuple[float, int, int]], index: int) -> tuple[list[int], list[int]]:
    """Return a column without its last and without its first."""
    column = [int(row[index]) for row in found]
    return column[:-1], column[1:]

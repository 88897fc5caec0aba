# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard in a run of btcore: filled from the journal, equal to the counters, and killed meanwhile."""

import json
import re
import signal
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from btcore.testing import BtcoreProcess, free_port, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

SOURCE = """
state = "state"
[source.simulator]
start = "2026-03-28T00:00:00Z"
pace = "fast"
interval = "1m"
packets = 2000
[sink.sqlite]
file = "energy.db"
schema = "counters"
[channels]
"01000101_ch1" = "mains"
"""


def sink(port: int) -> str:
    """Return the tables of the dashboard and the tariff."""
    return f'[sink.dashboard]\nport = {port}\nfile = "dashboard.db"\n[tariff]\ncurrency = "EUR"\nprice = 0.3\n'


def ask(port: int, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what the dashboard answers; None while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return json.load(answer)
    except OSError:
        return None


def retried(port: int, sink: str) -> Any:  # noqa: ANN401 - any JSON
    """Have the dead letters of a sink delivered again, as the page does; return the answer."""
    found = ask(port, "/api/dead-letters")
    assert found["letters"] == []
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/dead-letters/retry",
        json.dumps({"sink": sink}).encode(),
        {"X-Btcore-Token": found["token"], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def counted(folder: Path) -> tuple[float, float, float]:
    """Return what the simulated meter counted on ch1, in Wh net, and the times of its first and its last reading."""
    with closing(sqlite3.connect(folder / "energy.db")) as connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchone()
        rows = connection.execute(
            f"SELECT time_created, ch1_aws, ch1_pws FROM {table} ORDER BY time_created"
        ).fetchall()
    (first, *before), (last, *after) = rows[0], rows[-1]
    net = (after[0] - before[0]) - 2 * (after[1] - before[1])
    return net / 3600, float(first), float(last)


def test_what_the_journal_has_is_in_the_dashboard(tmp_path: Path) -> None:
    """A first start fills it, or one without its file; after a kill it goes on; all is the counters' difference."""
    with BtcoreProcess(tmp_path, SOURCE, "--once") as run:
        assert run.process.wait(60) == 0, run.log
    port = free_port()
    net, first, last = counted(tmp_path)
    idle = re.sub(r"\[source.*?(?=\[sink)", f"[source.tcp-server]\nport = {free_port()}\n", SOURCE, flags=re.DOTALL)
    span = f"from={first - 86_400}&to={last + 86_400}"

    def total(step: str) -> float:
        found = ask(port, f"/api/history?channel=01000101_ch1&{span}&step={step}")
        return sum(found["wh"]) if found else 0.0

    for end in (signal.SIGKILL, signal.SIGTERM):
        with BtcoreProcess(tmp_path, idle + sink(port)) as run:
            wait_for(lambda: ask(port, "/healthz") == {"status": "ok"}, "the dashboard")
            if end == signal.SIGTERM:
                wait_for(lambda: abs(total("hour") - net) < 0.01, "the dashboard to be filled")
                assert [total(step) for step in ("minute", "day", "year")] == pytest.approx([net] * 3, abs=0.01)
                health = ask(port, "/api/health")
                assert [one["name"] for one in health["sinks"]] == ["sqlite", "dashboard"]
                assert (health["problems"], health["warnings"]) == ([], [])
                assert retried(port, "sqlite") == {"count": 0}
                bill = ask(port, f"/api/bill?{span}&step=day")["sum"]
                assert bill["cost"] == pytest.approx(0.3 * bill["wh_import"] / 1000, abs=1e-6)
                assert bill["wh_import"] - bill["wh_export"] == pytest.approx(net, abs=0.01)
            run.process.send_signal(end)
            run.process.wait(60)
    with BtcoreProcess(tmp_path, idle + sink(port)) as run:
        wait_for(lambda: ask(port, "/healthz"), "the dashboard")
        assert total("day") == pytest.approx(net, abs=0.01)
    for file in tmp_path.glob("dashboard.db*"):
        file.unlink()
    with BtcoreProcess(tmp_path, idle + sink(port)) as run:
        wait_for(lambda: abs(total("hour") - net) < 0.01, "the dashboard to be filled again")
        assert [total(step) for step in ("minute", "day", "year")] == pytest.approx([net] * 3, abs=0.01)
        assert "dashboard.db is new: the journal's readings are delivered to it again" in run.log

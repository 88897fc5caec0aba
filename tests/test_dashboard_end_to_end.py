# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard in a run of btcore: filled from the journal, equal to the counters, and killed meanwhile."""

import json
import re
import shutil
import signal
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.needed import needs
from playwright.sync_api import expect, sync_playwright

from btcore.testing import BtcoreProcess, HostedService, Reply, Request, free_port, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

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
    span = f"from={first - 86_400}&to={last + 86_400}"

    def total(step: str) -> float:
        found = ask(port, f"/api/history?channel=01000101_ch1&{span}&step={step}")
        return sum(found["wh"]) if found else 0.0

    for end in (signal.SIGKILL, signal.SIGTERM):
        with BtcoreProcess(tmp_path, idle(SOURCE) + sink(port)) as run:
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
    with BtcoreProcess(tmp_path, idle(SOURCE) + sink(port)) as run:
        wait_for(lambda: ask(port, "/healthz"), "the dashboard")
        assert total("day") == pytest.approx(net, abs=0.01)
    for file in tmp_path.glob("dashboard.db*"):
        file.unlink()
    with BtcoreProcess(tmp_path, idle(SOURCE) + sink(port)) as run:
        wait_for(lambda: abs(total("hour") - net) < 0.01, "the dashboard to be filled again")
        assert [total(step) for step in ("minute", "day", "year")] == pytest.approx([net] * 3, abs=0.01)
        assert "dashboard.db is new: the journal's readings are delivered to it again" in run.log


def idle(source: str) -> str:
    """Return a configuration whose source waits for a meter that never comes."""
    return re.sub(r"\[source.*?(?=\[sink)", f"[source.tcp-server]\nport = {free_port()}\n", source, flags=re.DOTALL)


def hourly(folder: Path) -> dict[int, float]:
    """Return what the simulated meter counted on ch1 in each hour, in Wh net, by the time of its beginning."""
    with closing(sqlite3.connect(folder / "energy.db")) as connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchone()
        query = f"SELECT time_created, ch1_aws - 2 * ch1_pws FROM {table} WHERE time_created % 3600 = 0"
        net = {int(time): int(ws) for time, ws in connection.execute(query)}
    return {time: (net[time + 3600] - ws) / 3600 for time, ws in net.items() if time + 3600 in net}


def test_kills_while_it_is_filled_cost_nothing(tmp_path: Path) -> None:
    """Killed twice in the midst of what the journal has, it goes on: each hour has what the meter counted in it."""
    with BtcoreProcess(tmp_path, SOURCE.replace("packets = 2000", "packets = 3001"), "--once") as run:
        assert run.process.wait(120) == 0, run.log
    hours, port = hourly(tmp_path), free_port()
    assert len(hours) == 50
    span = f"from={min(hours)}&to={max(hours) + 3600}&step=hour"

    def filled() -> dict[int, float]:
        found = ask(port, f"/api/history?channel=01000101_ch1&{span}") or {"times": [], "wh": []}
        return dict(zip(found["times"], found["wh"], strict=True))

    for least in (5, 20):
        with BtcoreProcess(tmp_path, idle(SOURCE) + sink(port)) as run:
            wait_for(lambda least=least: len(filled()) > least, "a part of the journal")  # type: ignore[misc]
            run.process.kill()
            run.process.wait()
    with BtcoreProcess(tmp_path, idle(SOURCE) + sink(port)) as run:
        wait_for(lambda: len(filled()) == len(hours) and len(filled()), "the dashboard to be filled")
        wait_for(lambda: filled() == pytest.approx(hours, abs=0.01), "each hour to have what was counted")
        assert run.stop() == 0, run.log


LATE = re.compile(r"T00:(1[1-9])")
"""In lines whose samples end later than ten past midnight. A service that never took anything is waited for."""

LETTERS = """
state = "state"
[source.simulator]
pace = "fast"
interval = "1m"
packets = 20
start = "2026-03-28T00:00:00Z"
[source.tcp-server]
port = {panel}
[sink.hook]
use = "pipe-webhook"
url = "{url}"
flush_interval = 0
[sink.dashboard]
port = {port}
file = "dashboard.db"
"""


@needs("" if BROWSER else "there is no browser: apt-get install chromium")
def test_dead_letters_of_a_sink_are_delivered_by_the_button(tmp_path: Path) -> None:
    """What a service refused is on the page Health; a click, and the service has each reading once."""
    refuses, port = [True], free_port()

    def answer(request: Request) -> Reply:
        return Reply(400, "the format is not known") if refuses and LATE.search(request.text) else Reply()

    with HostedService(answer) as service:
        site = LETTERS.format(panel=free_port(), url=service.url, port=port)
        with BtcoreProcess(tmp_path, site) as run, sync_playwright() as playwright:

            def letters() -> int:
                found = (ask(port, "/api/health") or {"sinks": []})["sinks"]
                return sum(one["dead_letters"] for one in found if one["name"] == "hook")

            wait_for(lambda: letters() == 9, "the later samples to be refused")
            browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(30_000)
            page.goto(f"http://127.0.0.1:{port}/health")
            row = page.locator("#letters tbody tr")
            expect(row).to_contain_text("the format is not known", timeout=30_000)
            refuses.clear()
            page.get_by_role("button", name="Deliver the dead letters of sink.hook again").click()
            expect(page.locator("#letters-note")).to_contain_text("9 are being delivered again", timeout=30_000)
            wait_for(lambda: letters() == 0, "no letter to be left")
            expect(row).to_have_count(0, timeout=30_000)
            browser.close()
            assert run.stop() == 0, run.log
        lines = [json.loads(line) for request in service.taken for line in request.text.splitlines()]
        times = [line["time"] for line in lines]
        assert len(times) == len(set(times)) == 19

# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how long the dashboard takes to answer with ten years of one GEM's minutes in its store.

The store is written here, some minutes long; `--years 1` takes a tenth. Then Chromium opens the pages, and 50 browsers
watch the present while samples come in.
"""

import argparse
import json
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
from helpers.metered import batch_of, readings
from playwright.sync_api import sync_playwright

from btcore import ChannelDescription, Context, Tariff
from btmon_dashboard.counting import Meter
from btmon_dashboard.sink import Dashboard
from btmon_dashboard.spans import DAY, HOUR, MINUTE, SECOND, end_of, start_of
from btmon_dashboard.store import Store
from btmon_dashboard.sums import Sums

SERIAL = "01000101"
CHANNELS = [f"ch{at}" for at in range(1, 33)]
USED = 20
"""The channels that measure anything."""

TARIFF = Tariff(currency="EUR", price=0.3, export_price=0.08, standing_charge=12)
NAMES = {f"{SERIAL}_ch1": "mains", f"{SERIAL}_ch2": "solar"}

Row = tuple[int, int, int, int, bytes]


def day_rows(day: int, end: int, chance: random.Random) -> Iterator[Row]:
    """Yield the rows of a day: its minutes, its hours, and itself."""
    base = [chance.randrange(90_000) for _ in range(USED)]
    total = Sums()
    for start in range(day, end, HOUR * SECOND):
        hour = Sums()
        for minute in range(start, start + HOUR * SECOND, MINUTE * SECOND):
            bits = chance.getrandbits(10 * USED)
            ws = [0] * (2 * len(CHANNELS))
            ws[: 2 * USED : 2] = [one + (bits >> (10 * at) & 1023) for at, one in enumerate(base)]
            yield 1, MINUTE, minute, MINUTE * SECOND, Sums(0, ws).pack()
            hour.add(MINUTE * SECOND, ws)
        yield 1, HOUR, start, hour.length, hour.pack()
        total.add(hour.length, hour.ws)
    yield 1, DAY, day, total.length, total.pack()


def write(file: Path, years: float) -> None:
    """Write a store."""
    now, chance = start_of(DAY, round(time.time()) * SECOND), random.Random(1)
    with closing(Store(file)) as store:
        meter = store.meters[SERIAL] = Meter(1, SERIAL)
        for channel in CHANNELS:
            meter.column(channel)
        meter.key = now
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        day = start_of(DAY, now - round(years * 365) * DAY * SECOND)
        while day < now:
            connection.execute("BEGIN")
            rows = day_rows(day, end_of(DAY, day), chance)
            connection.executemany("INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
            day = end_of(DAY, day)


def questions(now: float, years: float) -> dict[str, str]:
    """Return what the pages ask, by what a person sees."""
    start = now - years * 365 * 86_400
    several = [("channel", f"{SERIAL}_{channel}") for channel in CHANNELS[:6]]

    def history(begin: float, end: float, step: object) -> str:
        return f"/api/history?{urlencode([*several, ('from', begin), ('to', end), ('step', step)])}"

    def bill(begin: float, end: float, step: str) -> str:
        return f"/api/bill?{urlencode([*several, ('from', begin), ('to', end), ('step', step)])}"

    return {
        "now": "/api/now",
        "the last hour of all circuits": "/api/recent",
        "all years, six circuits, by year": history(start, now, "year"),
        "all years, six circuits, by day": history(start, now, 86_400),
        "a year, six circuits, by month": history(now - 365 * 86_400, now, "month"),
        "a month, six circuits, by hour": history(now - 30 * 86_400, now, 3600),
        "a day in the middle, six circuits, by minute": history((start + now) / 2, (start + now) / 2 + 86_400, 60),
        "the cost of a month, by day": bill(now - 30 * 86_400, now, "day"),
        "the cost of a year, by month": bill(now - 365 * 86_400, now, "month"),
        "the cost of all years": bill(start, now, "year"),
        "insight of a month": f"/api/insight?{urlencode({'from': now - 30 * 86_400, 'to': now})}",
    }


def measure(url: str) -> tuple[float, int]:
    """Return the seconds of processor time of an answer, read and all, and its points."""
    begun = time.process_time()
    with urllib.request.urlopen(url, timeout=600) as answer:
        found = json.load(answer)
    taken = time.process_time() - begun
    first: dict[str, Any] = (
        next(iter(found["channels"].values()), {}) if isinstance(found.get("channels"), dict) else {}
    )
    return taken, len(found.get("times") or first.get("times") or ())


def opened(file: Path, tariff: Tariff | None) -> Dashboard:
    """Return a dashboard that serves a store."""
    sink = Dashboard(file=file, port=0)
    described = {name: ChannelDescription(name=text) for name, text in NAMES.items()}
    log = logging.getLogger("bench")
    sink.open(Context("sink.dashboard", log, NAMES, tariff=tariff, channel_descriptions=described))
    return sink


def show(file: Path, tariff: Tariff | None, asked: dict[str, str]) -> None:
    """Print what each question takes; with a tariff, once the bills are prepared."""
    begun = time.process_time()
    sink = opened(file, tariff)
    for thread in threading.enumerate():
        if thread.name == "dashboard ledger":
            thread.join()
            print(f"{'all bills, in the background':45} {1000 * (time.process_time() - begun):8.0f} ms")
    for what, path in asked.items():
        first, points = measure(f"{sink.url}{path}")
        again = min(measure(f"{sink.url}{path}")[0] for _ in range(3))
        print(f"{what:45} {1000 * first:8.0f} ms, again {1000 * again:6.0f} ms, {points:5} points")
    sink.close()


VIEWS = {
    "a browser: all years, from the start": "/history#span=decade",
    "a browser: all years by day, as lines": "/history#span=decade&kind=power",
    "a browser: a month by day": "/history#span=month",
    "a browser: a day by minute": "/history#span=day",
}


def show_pages(file: Path) -> None:
    """Print the seconds from the address to the picture, with a tariff whose bills are not prepared yet."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("there is no Chromium: the pages are not measured")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for what, path in VIEWS.items():
            sink = opened(file, TARIFF)
            page = browser.new_page()
            page.goto(f"{sink.url}{path}")
            page.wait_for_selector("#figures tbody tr", timeout=60_000)
            page.wait_for_selector("#plot canvas")
            print(f"{what:45} {page.evaluate('performance.now()'):8.0f} ms to the picture")
            page.close()
            sink.close()
        browser.close()


BROWSERS = 50
SAMPLES = 20
PACE = 0.5
WATCH = """
import selectors, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
waiting = selectors.DefaultSelector()
for _ in range(count):
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(b"GET /api/events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    waiting.register(one, selectors.EVENT_READ)
heard = set()
while True:
    for key, _ in waiting.select():
        heard.add(key.fd)
        if not key.fileobj.recv(1 << 16):
            sys.exit()
    if len(heard) == count:
        print("all", flush=True)
        heard.add(-1)
"""


def show_browsers(folder: Path) -> None:
    """Print what a call of the sink takes, and the processor's share of all of it, without browsers and with them."""
    for count in (0, BROWSERS):
        sink = opened(folder / f"watched-{count}.db", TARIFF)
        watchers = subprocess.Popen(
            [sys.executable, "-c", WATCH, sink.url.rpartition(":")[2], str(count)], stdout=subprocess.PIPE
        )
        if count and watchers.stdout is not None:
            watchers.stdout.readline()
        calls, cpu, begun = deliver(sink), os.times(), time.monotonic()
        share = (cpu.user + cpu.system - calls.cpu) / (begun - calls.begun)
        print(f"{f'{count} browsers watch: a call of the sink':45} {calls.mean:8.1f} ms, at most {calls.most:.1f} ms")
        print(f"{'':45} {100 * share:8.1f} % of a processor, with a packet each {PACE} s")
        watchers.kill()
        watchers.wait()
        sink.close()


@attrs.frozen
class Calls:
    """What calls of the sink took, in ms, and when they began, by the clock and by the processor."""

    mean: float
    most: float
    begun: float
    cpu: float


def deliver(sink: Dashboard) -> Calls:
    """Deliver samples as a meter sends them."""
    made = readings(SAMPLES + 1, start=int(time.time()) - 10 * SAMPLES, form="gem48ptbin", serial=SERIAL)
    times, cpu, begun = [], os.times(), time.monotonic()
    for at in range(SAMPLES):
        batch = batch_of(made[at : at + 2])
        start = time.monotonic()
        sink.process_batch(batch)
        times.append(1000 * (time.monotonic() - start))
        time.sleep(PACE)
    return Calls(sum(times) / len(times), max(times), begun, cpu.user + cpu.system)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--file", type=Path, help="a store that was written before, or is to be kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = given.file or Path(folder, "dashboard.db")
        if not file.exists():
            write(file, given.years)
        print(f"{given.years:g} years of minutes: {file.stat().st_size / 1e6:.0f} MB")
        print("processor time, of the server and of who asks:")
        asked = questions(time.time(), given.years)
        show(file, None, {what: path for what, path in asked.items() if "/bill" not in path})
        show(file, TARIFF, {what: path for what, path in asked.items() if "/bill" in path})
        show_pages(file)
        show_browsers(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the pictures of the README, from the demonstration as it runs: `nox -s pictures`.

It runs in a time zone in which it is a little past noon, so that the sun shines.
"""

import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import ViewportSize, sync_playwright

from btcore.testing import BtcoreProcess, free_port, wait_for

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
SIZE: ViewportSize = {"width": 1000, "height": 860}
SCHEMES: Mapping[str, Any] = {"light": "light", "dark": "dark"}
MAX_BYTES = 150_000
NOON = 12

READINGS = 9000
"""How many a year has, at least."""

MOST_WAITING = 3
"""Readings that wait while one comes in every two seconds."""

PATIENCE = 300.0
"""Seconds that the year may take to come in."""


def sunny_zone() -> str:
    """Return the name of a zone in which it is noon now, or some minutes later. Its sign is the other way round."""
    hours = (NOON - datetime.now(UTC).hour + 11) % 24 - 11
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"


def ask(port: int, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what the dashboard answers; None while it does not."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return json.load(answer)
    return None


def is_filled(port: int) -> bool:
    """Whether the dashboard has all that the meter has sent."""
    health = ask(port, "/api/health") or {"sources": [], "sinks": []}
    is_live = any(meter["readings"] > READINGS for source in health["sources"] for meter in source["meters"])
    return is_live and all(sink["state"] == "ok" and sink["waiting"] < MOST_WAITING for sink in health["sinks"])


def take(port: int, zone: str) -> None:
    """Take the pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, scheme in SCHEMES.items():
            page = browser.new_page(viewport=SIZE, color_scheme=scheme, timezone_id=zone, locale="en-US")
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("text=heat pump")
            page.wait_for_timeout(5000)  # some packets come in
            file = PICTURES / f"dashboard-{name}.png"
            page.screenshot(path=file)
            size = file.stat().st_size
            sys.stdout.write(f"{file.relative_to(ROOT)}: {size:,} bytes\n")
            if size > MAX_BYTES:
                sys.exit(f"{file.name} is larger than {MAX_BYTES:,} bytes: choose another SIZE")
        browser.close()


def main() -> None:
    """Run the demonstration, and take the pictures once its year is there."""
    os.environ["TZ"] = zone = sunny_zone()
    port = free_port()
    demo = (ROOT / "demo.toml").read_text().replace("[sink.dashboard]", f"[sink.dashboard]\nport = {port}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "demo").mkdir()
        with BtcoreProcess(folder, demo) as run:
            wait_for(lambda: is_filled(port), f"the year; the log: {folder / 'log.txt'}", PATIENCE)
            take(port, zone)
            run.stop()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual channels of a simulated house, by the program itself: over a day in which the meter restarts."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers

SITE = """
state = "state"
[source.house]
use = "simulator"
packets = 1440
interval = "60s"
pace = "fast"
start = "2026-06-21T00:00:00"
faults = ["reset", "gap"]
fault_rate = 0.005
[channels]
01000101_ch1 = "mains"
01000101_ch2 = "solar"
rest = { expression = "mains - solar - 2 * 01000101_ch3 - 0.5 * 01000101_ch4" }
house = { expression = "mains - solar" }
[sink.sqlite]
file = "energy.db"
schema = "samples"
[sink.quarters]
use = "sqlite"
file = "quarters.db"
schema = "samples"
interval = "15m"
"""


def energies(file: Path) -> dict[tuple[str, float], float]:
    """Return the Wh of each channel and time in a database."""
    rows = sqlite3.connect(file).execute("SELECT serial, channel, time, wh_delta FROM samples")
    return {(f"{serial}_{channel}", time): wh for serial, channel, time, wh in rows}


def test_the_rest_of_a_house_is_what_its_channels_leave(tmp_path: Path) -> None:
    """In each interval of a day, and over restarts of the meter, a virtual channel has what its parts counted."""
    (tmp_path / "site.toml").write_text(SITE)
    command = [sys.executable, "-m", "btcore", "run", "--once", "site.toml"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    check(energies(tmp_path / "energy.db"), 1000)
    check(energies(tmp_path / "quarters.db"), 90)


def check(energy: dict[tuple[str, float], float], least: int) -> None:
    """See that virtual channels have what their parts have, each time, at so many times at least."""
    times = sorted({time for channel, time in energy if channel == "rest_ch1"})
    assert len(times) > least
    for time in times:
        mains, solar, three, four = (energy[f"01000101_ch{number}", time] for number in (1, 2, 3, 4))
        assert energy["house_ch1", time] == pytest.approx(mains - solar, abs=0.001)
        assert energy["rest_ch1", time] == pytest.approx(mains - solar - 2 * three - 0.5 * four, abs=0.001)
    assert {time for channel, time in energy if channel == "01000101_ch1"} == set(times)

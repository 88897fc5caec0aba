# SPDX-License-Identifier: GPL-3.0-or-later
"""The night when clocks go back, and a capture that is played again: through the whole program."""

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.database_rows import table_rows

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

SINK = """
[sink.sqlite]
file = "energy.db"
flush_interval = 0
"""
LIVE = f"""
state = "state"
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0
clock = "device-local"
{SINK}
"""
RECORDED = f"""
state = "state"
[source.panel]
use = "file"
path = "capture"
clock = "device-local"
{SINK}
"""

COUNT = 30
STEP = 300


def last_night() -> datetime:
    """Return the last first Sunday of November, which is over, in UTC: a packet of years ago would not be believed."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    days = (datetime(yesterday.year - back, 11, day, tzinfo=UTC) for back in (0, 1) for day in range(1, 8))
    return next(day for day in days if day.weekday() == SUNDAY and day < yesterday)


SUNDAY = 6
NIGHT = last_night()
BEGIN = round((NIGHT + timedelta(hours=4, minutes=50)).timestamp())


def night() -> list[bytes]:
    """Make what a meter in New York sends: 0:50 to 1:55, 1:00 to 2:15; each five minutes later."""
    start = NIGHT.replace(minute=50, tzinfo=None)
    shown = [start + timedelta(seconds=STEP * n) for n in range(COUNT)]
    clocks = [time - timedelta(hours=n >= 14) for n, time in enumerate(shown)]
    values = [{"volts": 120, "secs": 1000 + STEP * n, "ch1_aws": 10**8 + 1000 * STEP * n} for n in range(COUNT)]
    return [pack("gem48ptbin", "01000777", number, clock=time) for number, time in zip(values, clocks, strict=True)]


def times(folder: Path) -> list[tuple[int, int]]:
    """Return the times in the database, by the meter's seconds."""
    return sorted(table_rows(folder / "energy.db", "gem48ptbin_counters", "secs, time_created"))


EXPECTED = [(1000 + STEP * n, BEGIN + STEP * n) for n in range(COUNT)]


def test_the_repeated_hour_of_a_meter_that_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second pass of the hour is an hour later than the first, and no time goes back."""
    monkeypatch.setenv("TZ", "America/New_York")
    with BtcoreProcess(tmp_path, LIVE) as btcore, socket.create_connection(("127.0.0.1", btcore.port())) as meter:
        for packet in night():
            meter.sendall(packet)
        wait_for(lambda: len(times(tmp_path)) == COUNT, "all readings in the database")
        assert btcore.stop() == 0
    assert times(tmp_path) == EXPECTED


@pytest.mark.parametrize("kind", ["bytes", "lines"])
def test_a_recording_of_the_repeated_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The same of a recording, with times of its own or without; played again, all of it is already there."""
    monkeypatch.setenv("TZ", "America/New_York")
    lines = [json.dumps({"time": 1_900_000_000 + n, "hex": raw.hex()}) + "\n" for n, raw in enumerate(night())]
    (tmp_path / "capture").write_bytes(b"".join(night()) if kind == "bytes" else "".join(lines).encode())
    logs = []
    for _ in range(2):
        with BtcoreProcess(tmp_path, RECORDED, "--once") as btcore:
            assert btcore.finish() == 0
            logs.append(btcore.log)
        assert times(tmp_path) == EXPECTED
    found = f"{COUNT} packets, 0 junk bytes, 0 damaged packets"
    assert logs[0].count(f"source.panel: ended: {found}; {COUNT} kept\n") == 1
    assert logs[0].count(f"btcore: source.panel: {found}; {COUNT} kept\n") == 1
    again = logs[1].removeprefix(logs[0])
    assert again.count(f"source.panel: ended: {found}; 0 kept, {COUNT} already there\n") == 1
    assert again.count(f"btcore: source.panel: {found}; 0 kept, {COUNT} already there\n") == 1

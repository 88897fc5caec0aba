# SPDX-License-Identifier: GPL-3.0-or-later
"""Meters that do not exist, sent to the whole program: they cost little memory, and the meter that exists nothing."""

import re
import socket
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

SITE = """
state = "state"

[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0
{setting}

[sink.one]
use = "sqlite"
file = "one.db"
flush_interval = 0

[sink.two]
use = "sqlite"
file = "two.db"
flush_interval = 0
"""

HONEST = "01000001"
WARM = 1500
"""Packets of the honest meter before the others: what the program needs for its work is there after them."""

INVENTED = 20_000
CONNECTIONS = 4
MEGABYTE = 1024
"""In kilobytes."""


def resident(process: int) -> int:
    """Return the kilobytes of memory that a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1])


def send(port: int, packets: list[bytes]) -> None:
    """Send everything over one connection, and wait until all was read."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for packet in packets:
            connection.sendall(packet)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def delivered(folder: Path, count: int) -> bool:
    """Whether both databases have so many readings."""
    return all(
        table_rows(folder / name, "gem48pbin_counters", "count(*)") == [(count,)] for name in ("one.db", "two.db")
    )


@pytest.mark.parametrize(
    ("setting", "taken", "most"),
    [("", 255, 20 * MEGABYTE), ("max_new_meters_per_day = 0", INVENTED, 64 * MEGABYTE)],
    ids=["a day's", "any number"],
)
def test_invented_meters_cost_little(tmp_path: Path, setting: str, taken: int, most: int) -> None:
    """20,000 meters that do not exist cost a bounded memory and few lines of the log; the one that exists goes on."""
    own = [pack("gem48pbin", HONEST, {"secs": 10 * n, "ch1_aws": 1000 * n}) for n in range(WARM + 1)]
    invented = [pack("gem48pbin", f"{2_000_000 + n:08}", {"secs": n}) for n in range(INVENTED)]
    with BtcoreProcess(tmp_path, SITE.format(setting=setting)) as btcore:
        port = btcore.port()
        send(port, own[:WARM])
        wait_for(lambda: delivered(tmp_path, WARM), "the meter's readings")
        before = resident(btcore.process.pid)
        for n in range(CONNECTIONS):
            send(port, invented[n::CONNECTIONS])
        send(port, own[WARM:])
        wait_for(lambda: delivered(tmp_path, WARM + taken + 1), "what was taken in", 120)
        cost = resident(btcore.process.pid) - before
        assert btcore.stop() == 0
    assert cost < most
    serials = [serial for (serial,) in table_rows(tmp_path / JOURNAL_FILE, "entry", "serial")]
    assert (serials.count(HONEST), len(serials)) == (WARM + 1, WARM + 1 + taken)
    assert f"{WARM + 1 + INVENTED} packets, 0 junk bytes, 0 damaged packets; {WARM + 1 + taken} kept" in btcore.log
    assert len(btcore.log.splitlines()) < 60

# SPDX-License-Identifier: GPL-3.0-or-later
"""An honest meter beside junk, floods, port scanners and silent connections: nothing of it is lost.

All of them come from one address, as behind a port forward.
"""

import contextlib
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from helpers.database_rows import table_rows

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for
from btcore.testing.kit.waiting import in_background

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

METER = "312345"

SITE = f"""
state = "state"
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0
[sink.sqlite]
file = "energy.db"
flush_interval = 0
meters = ["{METER}"]
"""


def connected(port: int) -> socket.socket:
    """Connect."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def junk(port: int) -> None:
    """Send nothing but headers, until hung up on."""
    with contextlib.suppress(OSError), connected(port) as client:
        for _ in range(100):
            client.sendall(b"\xfe\xff\x05" * 1000)


def flood(port: int) -> None:
    """Send packets of another meter as fast as they go."""
    with contextlib.suppress(OSError), connected(port) as client:
        for n in range(2000):
            client.sendall(pack("ecm1240bin", "420467", {"secs": n}))


def scan(port: int) -> None:
    """Connect and go."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            connected(port).close()


def burst(port: int) -> None:
    """Open a thousand connections at once, all silent; or as many as this process may have."""
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            with contextlib.suppress(OSError):
                stack.enter_context(connected(port))


def until_it_ends(work: Callable[[int], None], port: int, ended: Event) -> None:
    """Do something, and tell when it has ended."""
    work(port)
    ended.set()


ATTACKS: dict[str, list[Callable[[int], None]]] = {
    "junk": [junk] * 10,
    "flood": [flood],
    "scanners": [scan] * 10,
    "bursts": [burst],
    "all": [*[junk] * 10, flood, scan, burst],
}


@pytest.mark.parametrize("short", [False, True], ids=["one connection", "a connection for each packet"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_honest_meter_loses_nothing(tmp_path: Path, attack: str, short: bool) -> None:
    """Whatever else connects from the same address, each packet of the meter is stored once."""
    with BtcoreProcess(tmp_path, SITE) as btcore:
        check(tmp_path, btcore, btcore.port(), attack, short=short)
        assert btcore.stop() == 0


def test_few_descriptors_are_enough_for_the_meters_that_are_there(tmp_path: Path) -> None:
    """With 64 descriptors, a thousand connections at once do not push the meter out, and it stops as usual."""
    with BtcoreProcess(tmp_path, SITE, descriptors=64) as btcore:
        check(tmp_path, btcore, btcore.port(), "bursts", short=False)
        assert btcore.stop() == 0


def check(folder: Path, btcore: BtcoreProcess, port: int, attack: str, *, short: bool) -> None:
    """Let a meter send beside an attack until that is over, and a little longer; look whether all is there."""
    over, sent = Event(), 0
    meter = connected(port)
    meter.sendall(pack("ecm1240bin", METER, {"secs": 0}))
    wait_for(lambda: table_rows(folder / "energy.db", "ecm1240bin_counters"), "the first packet")
    going_on = [Event() for _ in ATTACKS[attack]]
    works = [partial(until_it_ends, work, port, ended) for work, ended in zip(ATTACKS[attack], going_on, strict=True)]
    with in_background(over, *works):
        while sent < 50 or not all(ended.is_set() for ended in going_on):
            over.wait(0.005)  # a steady pace
            sent += 1
            if short:
                meter.close()
                meter = connected(port)
            meter.sendall(pack("ecm1240bin", METER, {"secs": sent}))
    meter.close()
    wanted = [(METER, n) for n in range(sent + 1)]
    wait_for(
        lambda: len(table_rows(folder / "energy.db", "ecm1240bin_counters")) >= len(wanted), "all to be stored", 30
    )
    assert sorted(table_rows(folder / "energy.db", "ecm1240bin_counters")) == wanted, btcore.log
    assert len(btcore.log.splitlines()) < 40


def has(folder: Path, count: int) -> bool:
    """Whether so many packets are stored."""
    return len(table_rows(folder / "energy.db", "ecm1240bin_counters")) == count


def test_a_meter_that_is_silent_meanwhile_is_not_pushed_out(tmp_path: Path) -> None:
    """A meter that sends before and after, but not while a thousand others connect, keeps its connection."""
    with BtcoreProcess(tmp_path, SITE) as btcore:
        port = btcore.port()
        with connected(port) as meter, contextlib.ExitStack() as others:
            for n in range(4):
                meter.sendall(pack("ecm1240bin", METER, {"secs": n}))
                wait_for(partial(has, tmp_path, n + 1), "a packet to be stored")
                for _ in range(1000):
                    with contextlib.suppress(OSError):
                        others.enter_context(connected(port))
                others.pop_all().close()
        assert btcore.stop() == 0

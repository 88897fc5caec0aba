# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told: datagrams to the socket of NOTIFY_SOCKET, as sd_notify(3) describes them."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from btcore.runtime.service_manager import STATUS_INTERVAL, ServiceManager
from btcore.testing import Clock


class Listener:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        """Listen at an address as NOTIFY_SOCKET has it."""
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def received(self) -> list[str]:
        """Return what was sent since the last call."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    """Listen, at a path and in the abstract namespace."""
    made = Listener(str(tmp_path / "notify") if request.param == "path" else f"@btcore-test-{os.getpid()}")
    yield made
    made.close()


def test_it_tells_of_the_start_a_reload_and_the_end(listener: Listener) -> None:
    """READY=1 at the start and after a reload, RELOADING=1 with the time of the monotonic clock, STOPPING=1."""
    manager = ServiceManager({"NOTIFY_SOCKET": listener.address})
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert not manager.is_ready
    manager.ready()
    manager.reloading()
    manager.ready()
    manager.stopping()
    ready, reloading, again, stopping = listener.received()
    assert (ready, again, stopping.split("\n")[0]) == ("READY=1", "READY=1", "STOPPING=1")
    kind, _, when = reloading.partition("\nMONOTONIC_USEC=")
    assert kind == "RELOADING=1"
    assert before <= int(when) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.is_ready


def test_the_status_is_told_when_it_changes_and_not_all_the_time(listener: Listener) -> None:
    """A status line is sent when it is another one, at most once within the interval, and is one line."""
    clock = Clock()
    manager = ServiceManager({"NOTIFY_SOCKET": listener.address}, clock)
    manager.status("1 source\nREADY=1")
    manager.status("1 source\nREADY=1")
    manager.status("2 sources")
    assert [text.count("\n") for text in listener.received()] == [0]
    clock.now += STATUS_INTERVAL
    manager.status("2 sources")
    assert listener.received() == ["STATUS=2 sources"]


def test_the_watchdog_is_fed_in_time_and_not_while_something_hangs(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    """A sign of life comes three times in what the watchdog waits; none while a worker hangs, which is logged once."""
    clock = Clock()
    environment = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    manager = ServiceManager(environment, clock)
    assert manager.has_watchdog
    for _ in range(30):
        clock.now += 1
        manager.feed("")
    assert listener.received() == ["WATCHDOG=1"] * 3
    for _ in range(30):
        clock.now += 1
        manager.feed("sink.roof: process_batch has not ended for 30 min")
    assert listener.received() == []
    assert [record.getMessage().partition(": only")[0] for record in caplog.records] == [
        "sink.roof: process_batch has not ended for 30 min"
    ]
    clock.now += 10
    manager.feed("")
    assert listener.received() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}], ids=str
)
def test_there_is_a_watchdog_only_for_this_process(environment: dict[str, str]) -> None:
    """Without WATCHDOG_USEC, or where it is meant for another process, nothing is fed."""
    assert not ServiceManager(environment).has_watchdog


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}], ids=str)
def test_it_needs_no_service_manager(environment: dict[str, str]) -> None:
    """Without a socket, or with one that is gone, nothing happens."""
    manager = ServiceManager(environment)
    manager.ready()
    manager.status("1 source")
    assert manager.is_ready

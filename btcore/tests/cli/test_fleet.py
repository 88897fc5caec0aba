# SPDX-License-Identifier: GPL-3.0-or-later
"""Many meters from a few processes: each is heard, and comes back when the other side was away."""

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Thread

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import pack
from btcore.cli import OK, USAGE, main
from btcore.cli.fleet import line, shares
from btcore.cli.fleet_part import Counts
from btcore.testing import free_port, wait_for

SIZE = len(pack("gem48ptbin", "01000101", {}))
"""Bytes of a packet of the usual format."""


@attrs.define(eq=False)
class Listener:
    """Takes connections, and counts the packets of each meter by what its serial number is made of."""

    port: int
    packets: Counter[bytes] = attrs.field(factory=Counter)
    connections: int = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take connections until the end, and close all then."""
        stop = Event()
        with socket.create_server(("127.0.0.1", self.port)) as server, DefaultSelector() as waiting:
            waiting.register(server, EVENT_READ, None)
            thread = Thread(target=self._serve, args=(server, waiting, stop))
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
                for key in list(waiting.get_map().values()):
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]

    def _serve(self, server: socket.socket, waiting: DefaultSelector, stop: Event) -> None:
        while not stop.is_set():
            for key, _ in waiting.select(0.1):
                if key.data is None:
                    waiting.register(server.accept()[0], EVENT_READ, bytearray())
                    self.connections += 1
                else:
                    self._read(key.fileobj, key.data)  # type: ignore[arg-type]

    def _read(self, connection: socket.socket, data: bytearray) -> None:
        with suppress(OSError):
            data += connection.recv(4096)
        while len(data) >= SIZE:
            packet, data[:SIZE] = bytes(data[:SIZE]), b""
            self.packets[packet[485:487] + packet[488:489]] += 1  # GEM-PKT 2.1: serial number and unit id


@contextmanager
def fleet(port: int, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a fleet."""
    command = [sys.executable, "-m", "btcore", "simulate", "--connect", f"127.0.0.1:{port}", "--interval", "1s", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.servers
def test_each_meter_is_heard_and_comes_back() -> None:
    """All meters send over connections of their own; where the other side was away, they connect again."""
    listener = Listener(free_port())
    with fleet(listener.port, "--fleet", "30", "--processes", "3") as process:
        with listener.listening():
            wait_for(lambda: len(listener.packets) == 30, "each meter")
        listener.packets.clear()
        with listener.listening():
            wait_for(lambda: len(listener.packets) == 30, "each meter again")
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert process.returncode == OK
    assert "packets sent over" in said.splitlines()[-1]
    assert listener.connections >= 60


def test_nobody_who_listens_is_told() -> None:
    """A fleet whose packets were all lost ends with the reason, and what to do."""
    with fleet(free_port(), "--fleet", "3", "--packets", "3") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode not in (OK, USAGE)
    assert "check that a source listens there" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--fleet", "5"], "--fleet needs --connect HOST:PORT"),
        (["--fleet", "5", "--meters", "5", "--connect", "localhost:1"], "omit --meters"),
        (["--fleet", "0", "--connect", "localhost:1"], "expected 1 to 25000 meters"),
        (["--fleet", "5", "--processes", "6", "--connect", "localhost:1"], "--processes: expected 1 to 5"),
        (["--fleet", "5", "--serial", "7", "--connect", "localhost:1"], "'7' is no serial number"),
    ],
)
def test_what_cannot_be_meant_is_told(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that do not fit end with the usage."""
    try:
        code = main(["simulate", *words])
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == USAGE
    assert why in capsys.readouterr().err


@given(st.integers(1, 25_000), st.integers(1, 16))
def test_shares_are_all_meters_once(count: int, processes: int) -> None:
    """No meter is in two processes, none is left out, and no process has more than one above another."""
    found = list(shares(count, processes))
    assert [meter for share in found for meter in share] == list(range(count))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_a_line_says_why_meters_are_missing() -> None:
    """The reason is shown as long as a meter is not connected."""
    total = Counts(2, 3, 40, 1) + Counts(connected=1, sent=2)
    expected = "btcore simulate: 3 of 4 meters connected, 5 packets/s, 1 lost"
    assert line(total, 4, 5.0, ["", "Connection refused"]) == f"{expected} (Connection refused)"
    assert (
        line(total, 3, 5.0, ["Connection refused"]) == "btcore simulate: 3 of 3 meters connected, 5 packets/s, 1 lost"
    )

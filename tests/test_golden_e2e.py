# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients did to btmon as a process (`golden/e2e`), done to btcore: of what btmon lost, nothing is lost."""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

import attrs
import pytest
from helpers.database_rows import table_rows
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_packets, recorded_readings

from btcore.testing import BtcoreProcess, wait_for
from btcore.testing.kit.waiting import PATIENCE

pytestmark = pytest.mark.servers

SCENARIOS = sorted(path.stem for path in (GOLDEN / "e2e").glob("*.json"))
POLLED = [name for name in SCENARIOS if name.startswith("poll_")]
PUSHED = [name for name in SCENARIOS if name not in POLLED]

SINK = '[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'
SERVER = f'state = "state"\n[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = 0\n{SINK}'

JUNK = bytes(range(1, 19))

Sent = set[tuple[str, int]]
"""Packets by serial number and seconds."""


@cache
def scenario(name: str) -> Mapping[str, Any]:
    """Return what was recorded."""
    found: Mapping[str, Any] = json.loads((GOLDEN / "e2e" / f"{name}.json").read_text())
    return found


@attrs.define
class Clients:
    """The clients of a scenario, by name; `sent` are the packets that they have sent entirely."""

    port: int
    stream: str
    opened: ExitStack
    connections: dict[str, socket.socket] = attrs.field(factory=dict)
    sent: Sent = attrs.field(factory=set)

    def connect(self, client: str) -> None:
        """Connect, once more where it was connected."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.connections[client] = self.opened.enter_context(connection)

    def close(self, client: str) -> None:
        """Hang up."""
        self.connections.pop(client).close()

    def send(self, client: str, packets: list[int]) -> None:
        """Send packets in one write; raise where btcore has hung up."""
        self.connections[client].sendall(b"".join(recorded_packets(self.stream)[n] for n in packets))
        readings = recorded_readings(self.stream)
        self.sent |= {(readings[n].serial, readings[n].seconds) for n in packets}

    def play(self, name: str) -> None:
        """Do what the clients of a scenario did."""
        for event in scenario(name)["events"]:
            self._do(event)

    def _do(self, event: Mapping[str, Any]) -> None:
        everything = list(range(len(recorded_packets(self.stream))))
        if "connection" in event and "then" in event:  # one for each cycle
            self.connect("A")
            self.send("A", event["sent_packets"])
            self.close("A")
        elif "send" in event or "sent_packets" in event:  # one connection for all of them
            if "A" not in self.connections:
                self.connect("A")
            self.send("A", [event["packet"]] if "packet" in event else event["sent_packets"])
        elif event["action"].startswith(("connects", "new connection", "sends")):
            self._act(event["client"], event["action"], event.get("packet"), everything)

    def _act(self, client: str, action: str, packet: int | None, everything: list[int]) -> None:
        if not action.startswith("sends"):
            self.connect(client)
        if part := re.search(r"sends the first (\d+) bytes|sends (\d+) bytes of junk", action):
            raw = recorded_packets(self.stream)[0] if part[1] else JUNK
            self.connections[client].sendall(raw[: int(part[1] or part[2])])
        elif named := re.search(r"sends packet (\d+)", action):
            self.send(client, [int(named[1])])
        elif "sends all packets" in action:
            self.send(client, everything)
        elif packet is not None:
            self.send(client, [packet])
        if "closes" in action:
            self.close(client)


def stored(folder: Path, name: str) -> list[tuple[str, int]]:
    """Return what is in the database: serial number and seconds of each row."""
    form = re.search(r"packet-format=(\w+)", " ".join(scenario(name)["arguments"]))
    assert form is not None
    return [(str(serial), secs) for serial, secs in table_rows(folder / "energy.db", f"{form[1]}_counters")]


def rest_of(name: str, clients: Clients) -> None:
    """Send over the same connection what btmon's client no longer could: it had been hung up on."""
    if name.startswith("persistent_connection."):
        done = len(scenario(name)["events"])
        for n in range(done, len(recorded_packets(clients.stream))):
            clients.send("A", [n])


@pytest.mark.parametrize("name", PUSHED)
def test_what_clients_send_is_stored_once(name: str, tmp_path: Path) -> None:
    """Over lasting and short connections, beside idle ones and junk: each packet that was sent is a row."""
    with BtcoreProcess(tmp_path, SERVER) as btcore, ExitStack() as opened:
        clients = Clients(btcore.port(), scenario(name)["stream"], opened)
        clients.play(name)
        rest_of(name, clients)
        assert len(clients.sent) > scenario(name)["readings_printed"]
        wait_for(lambda: len(stored(tmp_path, name)) >= len(clients.sent), "all packets")
        assert btcore.stop() == 0
    assert sorted(stored(tmp_path, name)) == sorted(clients.sent)


class PolledMeters:
    """The meters behind a gateway: they answer what they are asked, packet after packet, as the recording does."""

    def __init__(self, name: str) -> None:
        """Listen."""
        self._answers = {asked: packets_of(name, asked) for asked in scenario(name)["streams"]}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._over = Event()
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    @property
    def is_done(self) -> bool:
        """Whether all packets were sent."""
        return not any(self._answers.values())

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(PATIENCE)
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        device, unread = "", b""
        while not self._over.is_set() and (data := connection.recv(100)):
            unread += data
            if unread in (b"\xfc", b"\xfd"):
                device, unread = unread.hex(), b""
                connection.sendall(b"\xfc")
            elif unread == b"SPK":
                unread = b""
                connection.sendall(b"\xfc" + self._next(device))
            elif unread.endswith(b"APISPK"):
                asked, unread = unread.decode(), b""
                connection.sendall(self._next(asked))

    def _next(self, asked: str) -> bytes:
        return self._answers[asked].pop(0) if self._answers[asked] else b""


def packets_of(name: str, asked: str) -> list[bytes]:
    """Return what the meter that is asked so sends: of a recording of two, the packets of one."""
    stream = scenario(name)["streams"][asked]
    if not stream.endswith("two_devices stream"):
        return recorded_packets(stream)[:4]
    form = name.rpartition(".")[2]
    readings = recorded_readings(f"{form}_two_devices")
    serials = list(dict.fromkeys(reading.serial for reading in readings))
    number = re.search(r"NMB(\d{5})", asked)
    serial = next(one for one in serials if one.endswith(number[1])) if number else serials[asked == "fd"]
    return [reading.raw for reading in readings if reading.serial == serial][:4]


@contextmanager
def polled(name: str) -> Iterator[PolledMeters]:
    """Have the meters of a scenario."""
    meters = PolledMeters(name)
    try:
        yield meters
    finally:
        meters.close()


@pytest.mark.parametrize("name", POLLED)
def test_what_is_polled_is_stored_once(name: str, tmp_path: Path) -> None:
    """Each meter of the list is asked in turn, and each packet that one sends is a row."""
    listed = re.search(r"device-list=(\S+)", " ".join(scenario(name)["arguments"]))
    devices = f"devices = {json.dumps(listed[1].split(','))}\n" if listed else ""
    with polled(name) as meters:
        source = f'use = "tcp-client"\nhost = "127.0.0.1"\nport = {meters.port}\npoll_interval = "1s"\n{devices}'
        expected = sum(len(packets_of(name, asked)) for asked in scenario(name)["streams"])
        with BtcoreProcess(tmp_path, f'state = "state"\n[source.panel]\n{source}{SINK}') as btcore:
            wait_for(lambda: len(stored(tmp_path, name)) >= expected, "all packets")
            assert btcore.stop() == 0
    found = stored(tmp_path, name)
    assert (len(set(found)), len(found)) == (expected, expected)

# SPDX-License-Identifier: GPL-3.0-or-later
"""From the meters' TCP connections to the database, through the whole program."""

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.database_rows import table_rows

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

SITE = """
state = "state"

[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0

[sink.sqlite]
file = "energy.db"
flush_interval = 0
"""

PACKETS = 12
TABLE = "gem48pbin_counters"

Send = Callable[[int, list[bytes]], None]


def packets(serial: str) -> list[bytes]:
    """Make the packets that one meter sends."""
    return [
        pack("gem48pbin", serial, {"volts": 120.0, "secs": 100 + 10 * n, "ch1_aws": 5000 * n, "ch1_pws": 100 * n})
        for n in range(PACKETS)
    ]


def long_lived(port: int, data: list[bytes]) -> None:
    """Send everything over one connection, as a GEM does."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for packet in data:
            connection.sendall(packet)


def one_each(port: int, data: list[bytes]) -> None:
    """Connect anew for every packet, as some gateways do."""
    for packet in data:
        long_lived(port, [packet])


@contextmanager
def hostile(port: int) -> Iterator[None]:
    """Keep port scanners, half-open, silent, resetting and junk clients around while the block runs."""
    over = threading.Event()

    def scan() -> None:
        while not over.wait(0.005):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def junk() -> None:
        while not over.wait(0.005):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"\xfe\xff\x05" * 100)

    silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(20)]
    silent[0].sendall(packets("00160000")[0][:300])
    try:
        with in_background(over, scan, junk):
            yield
    finally:
        for client in silent:
            client.close()


@pytest.mark.parametrize("send", [long_lived, one_each])
@pytest.mark.parametrize("meters", [1, 3, 200])
def test_every_packet_reaches_the_database_once(tmp_path: Path, meters: int, send: Send) -> None:
    """Whatever the number of connections and their kind, and among hostile clients, each packet is stored once."""
    serials = [f"001{n:05d}" for n in range(1, meters + 1)]
    expected = Counter((serial, 100 + 10 * n) for serial in serials for n in range(PACKETS))
    with BtcoreProcess(tmp_path, SITE) as btcore:
        port = btcore.port()
        with hostile(port):
            threads = [threading.Thread(target=send, args=(port, packets(serial))) for serial in serials]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", TABLE)) >= len(expected), "all packets in the database")
        assert btcore.stop() == 0
    assert Counter(table_rows(tmp_path / "energy.db", TABLE)) == expected


def test_an_ecm_and_a_gem_on_one_port(tmp_path: Path) -> None:
    """Both on one connection in pieces, as a DashBox mixes them, and each on its own: every packet is stored once."""
    mixed, alone = [("01000001", "300001"), ("01000002", "300002")]
    tables = {TABLE: ("01000001", "01000002"), "ecm1240bin_counters": ("300001", "300002")}
    expected = {
        table: Counter((serial, 100 + 10 * n) for serial in serials for n in range(PACKETS))
        for table, serials in tables.items()
    }

    def made(gem: str, ecm: str) -> list[bytes]:
        ecms = [pack("ecm1240bin", ecm, {"volts": 120.0, "secs": 100 + 10 * n}) for n in range(PACKETS)]
        return [packet for pair in zip(packets(gem), ecms, strict=True) for packet in pair]

    def found() -> dict[str, Counter[tuple[str, int]]]:
        return {table: Counter(table_rows(tmp_path / "energy.db", table)) for table in tables}

    with BtcoreProcess(tmp_path, SITE) as btcore:
        port = btcore.port()
        stream = b"".join(made(*mixed))
        long_lived(port, [stream[at : at + 333] for at in range(0, len(stream), 333)])
        one_each(port, made(*alone))
        wait_for(lambda: found() == expected, "all packets in the database")
        assert btcore.stop() == 0
    assert found() == expected

# SPDX-License-Identifier: GPL-3.0-or-later
"""A GEM's text, through the whole program: over HTTP, over TCP and a serial line beside binary packets."""

import socket
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from helpers.gem_texts import Circuit, ascii_wh, emon, http_get, seg
from servers.serial_line import Wire

from btcore import pack
from btcore.cli import main
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

SITE = """
state = "state"

{source}

[sink.sqlite]
file = "energy.db"
schema = "{schema}"
flush_interval = 0
"""
HTTP = '[source.gem]\nuse = "http"\nhost = "127.0.0.1"\nport = 0\n'


def rows(folder: Path, table: str, columns: str) -> Callable[[], list[tuple[object, ...]]]:
    """Return what returns what is in a table by now."""
    return lambda: table_rows(folder / "energy.db", table, columns)


def circuit(step: int) -> tuple[Circuit]:
    """Return a circuit that has had 1000 W for so many steps of ten seconds."""
    return (Circuit(1_000_000 + 10_000 * step, 0, 1000, 8.3),)


def test_over_http_with_its_table_alone(tmp_path: Path) -> None:
    """Three readings of HTTP GET are two samples of 1000 W; the table of the source is all that it needs."""
    with BtcoreProcess(tmp_path, SITE.format(source=HTTP, schema="ecmreadext")) as btcore:
        client = HTTPConnection("127.0.0.1", btcore.port(), timeout=60)
        for step in range(3):
            client.request("GET", "/gem/?" + http_get(circuit(step), seconds=1000 + 10 * step).decode())
            assert client.getresponse().read() == b"ok\n"
        power = rows(tmp_path, "gemhttpget_ecmreadext", "ecm_serial, ch1_w")
        wait_for(lambda: power() == [("01000010", 1000.0)] * 2, "the samples")
        client.close()
        assert btcore.stop() == 0


def test_a_meter_that_is_set_to_another_format_goes_on(tmp_path: Path) -> None:
    """What a GEM counted between a binary packet and a text is in the first sample of the text."""
    source = '[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = 0\n[decoder.ascii]\n'
    with BtcoreProcess(tmp_path, SITE.format(source=source, schema="ecmreadext")) as btcore:
        binary = pack("gem48pbin", "01000010", {"secs": 990, "ch1_aws": 990_000, "ch2_aws": 5})
        with socket.create_connection(("127.0.0.1", btcore.port()), 60) as client:
            client.sendall(binary + b"$GET /?" + http_get(circuit(0), seconds=1000) + b" HTTP/1.1\r\n\r\nAlive\r\n")
            power = rows(tmp_path, "gemhttpget_ecmreadext", "ecm_serial, ch1_w, ch1_dwh")
            wait_for(lambda: power() == [("01000010", 1000.0, 10_000 / 3600)], "the sample")
        assert btcore.stop() == 0


def test_on_a_serial_line_beside_binary_packets(tmp_path: Path) -> None:
    """Text and binary packets of two meters on one line, the words of a GEM between them, are all stored."""
    wire = Wire(tmp_path / "ttyUSB0")
    source = f'[source.panel]\nuse = "serial"\nport = "{wire.path}"\n[decoder.ascii]\n'
    with BtcoreProcess(tmp_path, SITE.format(source=source, schema="counters")) as btcore:

        def heard() -> bool:
            wire.send(pack("ecm1220bin", "355555", {}))
            return "heard meter 355555" in btcore.log

        # a port that is being opened throws away what has come in; another meter's packets do not count here
        wait_for(heard, "the line to be listened to")
        for step in range(3):
            binary = pack("gem48pbin", "01000011", {"secs": 10 * step, "ch1_aws": step})
            for piece in (b"Alive\r\n", ascii_wh(circuit(step)), binary, b"_ON\r\n", seg(circuit(step)), b"$"):
                wire.send(piece)
        texts, nodes, packets = (
            rows(tmp_path, f"{name}_counters", "ch1_aws") for name in ("gemascii", "gemseg", "gem48pbin")
        )
        wait_for(lambda: len(texts()) == len(nodes()) == len(packets()) == 3, "three of each")
        assert texts() == nodes() == [(1_000_008,), (1_010_016,), (1_019_988,)]  # to 0.01 Wh
        assert btcore.stop() == 0
    wire.unplug()


def test_a_reload_keeps_connection_and_request(tmp_path: Path) -> None:
    """A request on a connection that was open before a reload is taken and answered after it."""
    with BtcoreProcess(tmp_path, SITE.format(source=HTTP, schema="counters")) as btcore:
        client = HTTPConnection("127.0.0.1", btcore.port(), timeout=60)
        client.request("GET", "/?json=" + emon(circuit(0), seconds=10).decode())
        assert client.getresponse().read() == b"ok\n"
        site = tmp_path / "site.toml"
        site.write_text(site.read_text().replace("port = 0", 'port = 0\nidle_timeout = "5m"'))
        assert main(["reload", "--config", str(site)]) == 0
        client.request("GET", "/?json=" + emon(circuit(1), seconds=20).decode())
        assert client.getresponse().read() == b"ok\n"
        energy = rows(tmp_path, "gememon_counters", "secs, ch1_aws")
        wait_for(lambda: energy() == [(10, 1_000_000), (20, 1_010_000)], "both")
        client.close()
        assert btcore.stop() == 0

# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening: meters in real-time mode, on real ptys and behind pyserial's URLs."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import pytest
import serial
import serial.rfc2217
from helpers.golden_streams import recorded_packets

from btcore import Duration
from btmon_serial.line import SerialLine

pytestmark = pytest.mark.servers

if TYPE_CHECKING:
    from conftest import Ear, Packets
    from servers.serial_line import Wire

    Listen = Callable[[SerialLine], Ear]

STREAMS = ["ecm1220bin_steady", "ecm1240_multi_gem", "gem48ptbin_two_devices"]


@pytest.fixture
def gateway() -> Iterator[socket.socket]:
    """Listen on a port as a network gateway does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def url(gateway: socket.socket, scheme: str = "socket") -> str:
    """Return the address of a gateway."""
    return f"{scheme}://127.0.0.1:{gateway.getsockname()[1]}"


@pytest.mark.parametrize("name", STREAMS)
def test_what_a_meter_sends(name: str, wire: Wire, listen: Listen) -> None:
    """Every byte that a meter sends by itself comes in once."""
    sent = b"".join(recorded_packets(name))
    ear = listen(SerialLine(port=wire.path))
    wire.send(sent)
    assert sent == ear.hears(sent)


def test_bytes_in_pieces(wire: Wire, listen: Listen) -> None:
    """Pieces with pauses between them come in as they are, each without waiting for the next."""
    sent = b"".join(recorded_packets("ecm1240bin_steady"))
    ear = listen(SerialLine(port=wire.path))
    for start in range(0, len(sent), 37):
        wire.send(sent[start : start + 37])
        assert ear.hears(sent[: start + 37]) == sent[: start + 37]


def test_stop_on_a_silent_line(wire: Wire, listen: Listen) -> None:
    """A source that hears nothing stops within two seconds, without a failure."""
    ear = listen(SerialLine(port=wire.path))
    assert (ear.stop() < 2, ear.failure) == (True, "")


def test_an_adapter_that_is_unplugged(wire: Wire, listen: Listen, packets_in: Packets) -> None:
    """When the port vanishes the source fails and says so; opened again after the port is back, it goes on."""
    first, *others = recorded_packets("gem48pbin_steady")
    source = SerialLine(port=wire.path)
    ear = listen(source)
    wire.send(first)
    ear.hears(first)
    wire.unplug()
    failure = ear.fails()
    wire.plug()
    again = listen(source)
    wire.send(b"".join(others))
    heard = packets_in(ear.data + again.hears(b"".join(others)))
    assert (heard, f"Retry: {wire.path} is gone" in failure) == ([first, *others], True)


def test_a_gateway(gateway: socket.socket, listen: Listen) -> None:
    """The bytes of a TCP connection come in once, however many come at once, in chunks of a bounded size."""
    sent = b"".join(recorded_packets("gem48ptbin_steady") * 20)
    ear = listen(SerialLine(port=url(gateway)))
    with gateway.accept()[0] as meter:
        meter.sendall(sent)
        assert (ear.hears(sent) == sent, max(ear.sizes) <= 4096) == (True, True)


def test_a_gateway_that_hangs_up(gateway: socket.socket, listen: Listen) -> None:
    """When the other end closes the connection the source fails and names the port; what was sent before comes in."""
    sent = b"".join(recorded_packets("ecm1240bin_steady"))
    ear = listen(SerialLine(port=url(gateway)))
    with gateway.accept()[0] as meter:
        meter.sendall(sent)
    failure = ear.fails()
    assert (ear.data, failure.startswith(f"Retry: {url(gateway)} failed: ")) == (sent, True)


def test_a_gateway_that_says_nothing(
    gateway: socket.socket, listen: Listen, packets_in: Packets, caplog: pytest.LogCaptureFixture
) -> None:
    """A port where nothing comes in is opened anew, time after time, which is logged once; what comes then is heard."""
    caplog.set_level(logging.INFO)
    packet = recorded_packets("ecm1240bin_steady")[0]
    ear = listen(SerialLine(port=url(gateway), idle_timeout=Duration(0.1)))
    with gateway.accept()[0], gateway.accept()[0], gateway.accept()[0] as meter:
        while packet not in packets_in(ear.data):  # what comes while the port is being opened is thrown away
            meter.sendall(packet)
            ear.pause()
        ear.stop()
    levels = [record.levelname for record in caplog.records]
    advice = [
        f"{url(gateway)}: nothing has come in for 0.1 s" in caplog.messages[0],
        'poll_interval = "10s"' in caplog.messages[0],
    ]
    assert (levels, advice) == (["WARNING", "INFO"], [True, True])


def test_a_line_that_never_said_anything_is_told_early(
    wire: Wire,
    listen: Listen,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If nothing came since the start, a warning comes before `idle_timeout`; the first bytes are logged, too."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("btmon_serial.line.SILENCE_WARNING_AFTER", 0.1)
    ear = listen(SerialLine(port=wire.path))
    while not caplog.messages:
        ear.pause()
    packet = recorded_packets("ecm1240bin_steady")[0]
    wire.send(packet)
    ear.hears(packet)
    ear.stop()
    told, again = caplog.messages
    assert f"{wire.path}: nothing has come in for 0.1 s" in told
    assert again == f"{wire.path}: bytes are coming in again"


def test_how_long_it_may_be_without_a_packet() -> None:
    """Its patience is its `idle_timeout`; where it asks, that of two polls and every answer."""
    assert SerialLine(port="/dev/null", idle_timeout=Duration(30)).patience == 30
    assert (
        SerialLine(port="/dev/null", poll_interval=Duration(60), devices=["fc", "fd"], timeout=Duration(2)).patience
        == 124
    )


def echo(gateway: socket.socket) -> None:
    """Serve one connection as a gateway for a whole serial port, with what is sent to it coming back."""
    port: Any = serial.serial_for_url("loop://", timeout=0)
    with gateway.accept()[0] as connection, connection.makefile("wb", buffering=0) as answers:
        manager = serial.rfc2217.PortManager(port, cast("Any", answers))
        while data := connection.recv(1024):
            port.write(b"".join(manager.filter(data)))
            answers.write(b"".join(manager.escape(port.read(port.in_waiting))))


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")
def test_a_shared_serial_port(gateway: socket.socket, listen: Listen) -> None:
    """A serial port that another computer shares (RFC 2217) is opened, written and read."""
    server = Thread(target=echo, args=[gateway])
    server.start()
    ear = listen(SerialLine(port=url(gateway, "rfc2217"), poll_interval=Duration(3600)))
    heard = ear.hears(b"^^^APISPK")
    ear.stop()
    server.join()
    assert heard == b"^^^APISPK"


def test_a_loop(listen: Listen) -> None:
    """On a line whose two ends are joined, the request itself comes in, as it is no acknowledgement."""
    ear = listen(SerialLine(port="loop://", poll_interval=Duration(3600), devices=["21234"]))
    assert ear.hears(b"^^^NMB21234APISPK") == b"^^^NMB21234APISPK"

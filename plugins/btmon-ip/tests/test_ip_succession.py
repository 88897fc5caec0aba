# SPDX-License-Identifier: GPL-3.0-or-later
"""A `tcp-server` that a reload replaces leaves its port and connections to the next one, and to nobody else."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from btcore import Context, StreamStatus
from btcore.testing import wait_for
from btmon_ip import succession
from btmon_ip.server import TcpServer

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

PACKET = b"x" * 40


def context(*, is_replaced: bool = False, within: int = 0) -> Context:
    """Return what a server is given; `within`: how many bytes of a packet came after the last one."""
    return Context(
        name="source.panel",
        log=logging.getLogger("test.ip.succession"),
        is_replaced=lambda: is_replaced,
        stream_status=lambda _stream: StreamStatus(1, within),
    )


@contextlib.contextmanager
def served(server: TcpServer, given: Context) -> Iterator[list[bytes]]:
    """Run a server in a thread; yield what comes in."""
    came: list[bytes] = []
    stop = threading.Event()
    server.open(given)

    def collect() -> None:
        came.extend(chunk.data for chunk in server.collect(stop))
        server.close()

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield came
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def port_of(server: TcpServer) -> int:
    """Return the port that it listens on."""
    assert server._connections is not None
    keys = server._connections._selector.get_map().values()
    return int(next(iter(keys)).fileobj.getsockname()[1])  # type: ignore[union-attr]


@pytest.fixture
def left() -> Iterator[tuple[socket.socket, int]]:
    """Have a server leave its port and one connection; return the client's end, and the port."""
    first = TcpServer(host="127.0.0.1", port=0)
    with served(first, context(is_replaced=True)) as came:
        port = port_of(first)
        client = socket.create_connection(("127.0.0.1", port), 20)
        client.sendall(PACKET)
        wait_for(lambda: b"".join(came) == PACKET)
    yield client, port
    client.close()
    succession.take("source.panel", ("", 1))


def test_the_next_one_reads_on(left: tuple[socket.socket, int]) -> None:
    """What came in between is read, and a new connection needs no new port."""
    client, port = left
    client.sendall(b"between")
    with socket.create_connection(("127.0.0.1", port), 20) as new:
        new.sendall(b"new")
        following = TcpServer(host="127.0.0.1", port=0)
        with served(following, context()) as came:
            wait_for(lambda: sorted(filter(None, came)) == [b"between", b"new"])
            assert port_of(following) == port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 20)


def test_who_is_not_allowed_any_more_is_cut_off(left: tuple[socket.socket, int]) -> None:
    """The settings of the next one decide who may stay."""
    client, _ = left
    with served(TcpServer(host="127.0.0.1", port=0, allow=["10.0.0.0/8"]), context()):
        client.settimeout(20)
        assert client.recv(9) == b""


@pytest.mark.parametrize("port", [("127.0.0.1", 1), ("", 0)])
def test_another_port_takes_nothing_over(left: tuple[socket.socket, int], port: tuple[str, int]) -> None:
    """Where host or port has changed, all that was left is closed."""
    client, before = left
    assert succession.take("source.panel", port).listeners == ()
    client.settimeout(20)
    assert client.recv(9) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", before), 20)


def test_what_nobody_takes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, and not what was left later."""
    monkeypatch.setattr(succession, "PATIENCE", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    succession.leave("source.panel", ("127.0.0.1", 0), succession.Sockets((listener,)))
    wait_for(lambda: listener.fileno() == -1)
    assert succession.take("source.panel", ("127.0.0.1", 0)).listeners == ()


def test_the_end_of_a_packet_is_waited_for_and_no_longer() -> None:
    """A packet that has begun may end within a second; a meter that never ends one holds nothing up."""
    server = TcpServer(host="127.0.0.1", port=0)
    with (
        served(server, context(is_replaced=True, within=7)) as came,
        socket.create_connection(("127.0.0.1", port_of(server)), 20) as client,
    ):
        client.sendall(PACKET)
        wait_for(lambda: b"".join(came) == PACKET)
    assert server._connections is None
    succession.take("source.panel", ("", 1))

# SPDX-License-Identifier: GPL-3.0-or-later
"""`tcp-server`: what meters send comes out byte for byte, whoever else is connected."""

import contextlib
import errno
import itertools
import logging
import os
import random
import re
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import pytest
from helpers.folders import GOLDEN

from btcore import Chunk, Context, Duration
from btcore.testing import wait_for
from btmon_ip.addresses import plain_address
from btmon_ip.connections import ServerConnections
from btmon_ip.server import TcpServer

STREAMS = [path.read_bytes() for path in sorted(GOLDEN.glob("streams/*.bin"))]
PACKET = STREAMS[-1][:625]
PATIENCE = 20.0
LOG = logging.getLogger("test.ip.server")
CONTEXT = Context(name="source.test", log=LOG)

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@attrs.define(eq=False)
class Running:
    """A server whose `collect` runs in a thread, and what it yielded."""

    server: TcpServer
    port: int
    stop: threading.Event = attrs.field(factory=threading.Event)
    chunks: list[Chunk] = attrs.field(factory=list)
    news: threading.Condition = attrs.field(factory=threading.Condition)
    cpu: float = 0.0
    thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def finish(self) -> float:
        """Stop, and return how many seconds that took."""
        asked = time.monotonic()
        self.stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return time.monotonic() - asked

    def run(self) -> None:
        """Collect until told to stop."""
        for chunk in self.server.collect(self.stop):
            with self.news:
                self.chunks.append(chunk)
                self.news.notify_all()
        self.cpu = time.thread_time()

    def wait(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so, which can only become so by a new chunk."""
        with self.news:
            assert self.news.wait_for(reached, PATIENCE), f"{len(self.chunks)} chunks, and still not so"

    def connect(self, data: bytes = b"") -> socket.socket:
        """Connect, and send."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(data)
        return client

    def streams(self) -> dict[str, bytes]:
        """Join the bytes of each stream."""
        joined: dict[str, bytes] = defaultdict(bytes)
        for chunk in list(self.chunks):
            joined[chunk.stream] += chunk.data
        return dict(joined)

    def ended(self) -> list[str]:
        """Name the streams that have ended, in that order."""
        return [chunk.stream for chunk in list(self.chunks) if chunk.end]

    def received(self) -> list[bytes]:
        """Sort the bytes of each stream that had any."""
        return sorted(data for data in self.streams().values() if data)


Start = Callable[..., Running]


def opened(server: TcpServer, caplog: pytest.LogCaptureFixture) -> int:
    """Open, and read the port from the log, as a person would."""
    caplog.set_level(logging.DEBUG)
    server.open(CONTEXT)
    told = re.findall(r"listening on \S+:(\d+)$", "\n".join(caplog.messages), re.MULTILINE)
    return int(told[-1])


@pytest.fixture
def start(caplog: pytest.LogCaptureFixture) -> Iterator[Start]:
    """Start servers, and stop them in the end."""
    started: list[Running] = []

    def begin(idle_timeout: float = 600, max_connections: int = 512) -> Running:
        server = TcpServer(
            host="127.0.0.1", port=0, idle_timeout=Duration(idle_timeout), max_connections=max_connections
        )
        started.append(Running(server, opened(server, caplog)))
        return started[-1]

    yield begin
    for running in started:
        running.finish()
        running.server.close()


@pytest.fixture
def server_side(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Give the connections that servers accept."""
    accepted: list[socket.socket] = []
    accept = socket.socket.accept

    def remember(listener: socket.socket) -> Any:  # noqa: ANN401 - as socket's
        new, address = accept(listener)
        accepted.append(new)
        return new, address

    monkeypatch.setattr(socket.socket, "accept", remember)
    return accepted


@pytest.fixture
def server(caplog: pytest.LogCaptureFixture) -> Iterator[tuple[TcpServer, int]]:
    """Open a server whose `collect` the test drives by itself."""
    server = TcpServer(host="127.0.0.1", port=0)
    yield server, opened(server, caplog)
    server.close()


def send_pieces(client: socket.socket, data: bytes, seed: int) -> None:
    """Send as a gateway does: in pieces of any size."""
    pick = random.Random(seed)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data:
        size = pick.randint(1, 900)
        client.sendall(data[:size])
        data = data[size:]


def send_all(running: Running, payloads: Sequence[bytes], *, at_once: int) -> None:
    """Send each payload over a connection of its own, so many of them side by side."""

    def work(mine: Sequence[bytes]) -> None:
        for number, payload in enumerate(mine):
            with running.connect() as client:
                send_pieces(client, payload, number)

    threads = [threading.Thread(target=work, args=(payloads[place::at_once],)) for place in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)


def reset(client: socket.socket) -> None:
    """Break a connection off, as a machine that loses its power or a scanner does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("at_once", [1, 3])
def test_every_stream_comes_through(start: Start, at_once: int) -> None:
    """The bytes of every recorded stream come out as sent, over one connection after another and over three at once."""
    running = start()
    send_all(running, STREAMS, at_once=at_once)
    running.wait(lambda: len(running.ended()) == len(STREAMS))
    assert sorted(STREAMS) == running.received()


def test_two_hundred_connections_at_once(start: Start) -> None:
    """Two hundred connections stay open side by side and send in turns, and no stream holds a byte of another."""
    running = start()
    payloads = [struct.pack("<H", place) + STREAMS[place % len(STREAMS)] for place in range(200)]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in payloads]
        for part in (slice(0, 100), slice(100, 700), slice(700, None)):
            for client, payload in zip(clients, payloads, strict=True):
                client.sendall(payload[part])
        running.wait(lambda: sum(len(chunk.data) for chunk in running.chunks) == sum(map(len, payloads)))
        assert (sorted(payloads), []) == (running.received(), running.ended())


def test_a_connection_for_each_packet(start: Start) -> None:
    """Three hundred connections that bring one packet each and close all come out, each as a stream that ended once."""
    running = start()
    packets = [PACKET + bytes([number % 256]) for number in range(300)]
    send_all(running, packets, at_once=5)
    running.wait(lambda: len(running.ended()) == len(packets))
    last = {chunk.stream: chunk.end for chunk in running.chunks}
    assert (sorted(packets), 300, {True}) == (running.received(), len(set(running.ended())), set(last.values()))


def test_hostile_company(start: Start) -> None:
    """Port scanners, half-open connections, junk and broken connections disturb no meter, and junk comes out too."""
    running = start()
    junk = random.Random(1).randbytes(20_000)
    with running.connect() as meter, running.connect(), running.connect(PACKET[:40]):
        for number, packet in enumerate([PACKET] * 30):
            running.connect().close()
            reset(running.connect())
            reset(running.connect(junk[:9]))
            if number % 10 == 0:
                running.connect(junk).close()
            meter.sendall(packet)
        running.wait(lambda: PACKET * 30 in running.streams().values())
        running.wait(lambda: running.received().count(junk) == 3)


def test_data_before_a_reset(start: Start) -> None:
    """What was sent before a connection broke comes out before the end of its stream."""
    running = start()
    reset(running.connect(STREAMS[0]))
    running.wait(lambda: len(running.ended()) == 1)
    assert [STREAMS[0]] == running.received()


def test_half_closed(start: Start) -> None:
    """A meter that says that it has nothing more to send has its stream ended, and its connection closed."""
    running = start()
    with running.connect(PACKET) as client:
        client.shutdown(socket.SHUT_WR)
        assert (client.recv(1), running.received()) == (b"", [PACKET])


def test_nobody_starves(server: tuple[TcpServer, int]) -> None:
    """A connection that sends without a pause gets one bounded read a turn, so that others get theirs."""
    collecting = server[0].collect(threading.Event())
    greedy = socket.create_connection(("127.0.0.1", server[1]), PATIENCE)
    greedy.sendall(bytes(5 * 16_384))
    first = next(collecting)
    with greedy, socket.create_connection(("127.0.0.1", server[1]), PATIENCE) as modest:
        modest.sendall(PACKET)
        chunks = [next(collecting) for _ in range(4)]
    others = [chunk for chunk in chunks if chunk.stream != first.stream]
    assert (max(len(chunk.data) for chunk in chunks), [chunk.data for chunk in others if chunk.data]) == (
        16_384,
        [PACKET],
    )


def test_a_delay_of_the_reader_is_no_silence(caplog: pytest.LogCaptureFixture) -> None:
    """Bytes that came in while the server was held up are read, and not lost to the idle limit."""
    server = TcpServer(host="127.0.0.1", port=0, idle_timeout=Duration(1e-9))  # all silence is too long
    with socket.create_connection(("127.0.0.1", opened(server, caplog)), PATIENCE) as client:
        client.sendall(b"first")
        collecting = server.collect(threading.Event())
        first = next(collecting)
        client.sendall(b"second")
        rest = [next(collecting), next(collecting)]
    server.close()
    assert [(c.data, c.end) for c in (first, *rest)] == [(b"first", False), (b"second", False), (b"", True)]


def test_idle_connections_are_closed(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """A silent connection is closed after the idle time and the log says so; waiting for that costs no computing."""
    running = start(idle_timeout=0.7)
    with running.connect(PACKET) as client:
        assert client.recv(1) == b""
    running.wait(lambda: len(running.ended()) == 1)
    running.finish()
    told = [record.levelname for record in caplog.records if "nothing came for" in record.getMessage()]
    assert (told, running.received(), running.cpu < 0.2) == (["INFO"], [PACKET], True)


@pytest.mark.parametrize("connects", [False, True])
def test_nobody_is_told(start: Start, caplog: pytest.LogCaptureFixture, connects: bool) -> None:
    """Where nobody connects, or nobody sends anything, it is told once, with what to set; after that it is not."""
    running = start(idle_timeout=0.6)
    assert running.server.patience == 0.6
    expected = "nothing was sent on any connection for " if connects else "nobody has connected for "

    def told() -> list[str]:
        return [text for text in caplog.messages if text.startswith(expected)]

    with contextlib.ExitStack() as stack:
        if connects:
            stack.enter_context(running.connect())
        wait_for(told)
    with running.connect(b"$"):
        running.wait(lambda: bool(running.received()))
    running.finish()
    assert len(told()) == 1
    assert "to send to an address of this computer and to this port" in told()[0]


def test_active_connections_are_not_idle(start: Start) -> None:
    """A meter that goes on sending is kept while one beside it that fell silent is closed."""
    running = start(idle_timeout=0.6)
    with running.connect(PACKET) as meter, running.connect(b"junk") as silent:
        silent.settimeout(0.05)
        while not running.ended():
            meter.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                silent.recv(1)
        meter.sendall(PACKET)
        running.wait(lambda: any(data.endswith(PACKET) and data != PACKET for data in running.received()))
        assert [running.streams()[stream] for stream in running.ended()] == [b"junk"]


def test_full_house(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """At the most connections the one silent for longest makes room for a new one; the log says so, once."""
    running = start(max_connections=3)
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(3):
            clients.append(stack.enter_context(running.connect(b"%d" % number)))
            running.wait(lambda: len(running.received()) == len(clients))
        clients[0].sendall(b"again")
        running.wait(lambda: b"0again" in running.received())
        late = [stack.enter_context(running.connect(b"late%d" % number)) for number in range(2)]
        running.wait(lambda: {b"late0", b"late1"} <= set(running.received()))
        assert [running.streams()[stream] for stream in running.ended()] == [b"1", b"2"]
        for client in (clients[0], *late):
            client.sendall(b"!")
        running.wait(lambda: running.received() == [b"0again!", b"1", b"2", b"late0!", b"late1!"])
    assert [record.levelname for record in caplog.records if "longest" in record.getMessage()] == ["WARNING"]


def test_a_flood(start: Start) -> None:
    """Ten times more connections than allowed leave the server working, with no more than allowed open."""
    running = start(max_connections=20)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(running.connect())
        stack.enter_context(running.connect(PACKET))
        running.wait(lambda: PACKET in running.received())
        running.wait(lambda: len(running.ended()) == 181)


def test_stop(start: Start) -> None:
    """A stop is answered within two seconds, with connections open and silent."""
    running = start()
    with running.connect(PACKET), running.connect():
        running.wait(lambda: running.received() == [PACKET])
        assert running.finish() < 2


def test_a_refusal_closes_nothing_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another thread takes the descriptor that a refusal freed, nothing fails, and its file stays open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        connections = ServerConnections(
            [], idle_timeout=1.0, max_connections=1, numbers=itertools.count(), context=CONTEXT
        )
        taken: list[int] = []
        opening = os.open

        def open_after_another(*args: Any) -> int:  # noqa: ANN401 - as os.open's
            taken.append(opening(os.devnull, os.O_RDONLY))
            raise OSError(errno.EMFILE, "too many open files", *args[:1])

        monkeypatch.setattr(os, "open", open_after_another)
        connections._refuse(listener)
        monkeypatch.undo()
        connections.close()
        os.close(taken[0])  # would fail, had the server closed it


def test_a_connection_that_is_lost_without_a_word(start: Start, server_side: list[socket.socket]) -> None:
    """The system asks a silent meter within minutes whether it is there: one behind a router may be gone for hours."""
    running = start()
    with running.connect(PACKET):
        running.wait(lambda: running.received() == [PACKET])
        (accepted,) = server_side
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        patience = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) + accepted.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_KEEPINTVL
        ) * accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        assert patience <= 180


def test_half_open_connections_cost_no_meter_its_place(start: Start) -> None:
    """A meter that connects again and again, and leaves each connection open in a packet, is read all the same."""
    running = start(idle_timeout=0.7)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(running.connect(PACKET[:200]))
        meter = stack.enter_context(running.connect())
        while len(running.ended()) < 40:  # it sends now and then, so it is not idle
            meter.sendall(PACKET)
            running.stop.wait(0.05)
        assert max(running.received(), key=len).startswith(PACKET)
        assert all(running.streams()[stream] == PACKET[:200] for stream in running.ended())


@pytest.mark.parametrize(
    ("host", "shown"), [("192.168.1.20", "192.168.1.20"), ("::ffff:192.168.1.20", "192.168.1.20"), ("::1", "::1")]
)
def test_an_address_is_written_as_a_person_knows_it(host: str, shown: str) -> None:
    """An address of IPv4 that comes as a part of IPv6 is that of IPv4."""
    assert plain_address(host) == shown


def test_chunks_say_from_which_address_they_come(start: Start) -> None:
    """Whatever its port, a meter that connects again has the same address: it is known by that."""
    running = start()
    for _ in range(2):
        with running.connect(PACKET):
            running.wait(lambda: bool(running.chunks) and not running.chunks[-1].end)
        running.wait(lambda: running.chunks[-1].end)
    brought = [chunk for chunk in running.chunks if chunk.data]
    assert {chunk.address for chunk in brought} == {"127.0.0.1"}
    assert len({chunk.stream for chunk in brought}) == 2

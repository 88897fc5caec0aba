# SPDX-License-Identifier: GPL-3.0-or-later
"""`tcp-client`: a meter that sends, meters that are asked, and meters and gateways that fail."""

import contextlib
import itertools
import json
import logging
import re
import socket
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.folders import GOLDEN

from btcore import Chunk, Context, Duration, Retry, StreamStatus, pack
from btmon_ip.client import TcpClient
from btmon_ip.server import TcpServer

HERE = Path(__file__).parent
STREAMS = b"".join(path.read_bytes() for path in sorted(GOLDEN.glob("streams/*.bin")))
SIZES = {"ecm1240bin": 65, "gem48ptbin": 625}
ECM = pack("ecm1240bin", "312345", {"volts": 120.1, "ch1_aws": 0xFCFCFCFCFC, "secs": 0xFCFC})
GEM = pack("gem48ptbin", "01021234", {"volts": 121.3, "secs": 5000})
PATIENCE = 20.0
CONTEXT = Context(name="source.test", log=logging.getLogger("test.ip.client"))

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60)]

Play = Callable[[socket.socket], None]
Device = Callable[[Play], int]


@pytest.fixture
def device() -> Iterator[Device]:
    """Play meters that listen: each connection is handed to `play`, one after the other. Answers with the port."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket, play: Play) -> None:
        with contextlib.suppress(OSError):  # closed by the end of the test, or broken off by the client
            while True:
                connection = listener.accept()[0]
                with connection:
                    connection.settimeout(PATIENCE)
                    play(connection)

    def begin(play: Play) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=serve, args=(listener, play), daemon=True))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield begin
    for listener, thread in zip(listeners, threads, strict=True):
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE)


@attrs.define
class Collected:
    """What a client yielded, and why it ended, if it was not told to."""

    chunks: list[Chunk] = attrs.field(factory=list)
    failure: str = ""

    @property
    def data(self) -> bytes:
        """All bytes, joined."""
        return b"".join(chunk.data for chunk in self.chunks)


def collect(client: TcpClient, until: Callable[[Collected], bool] = lambda _: False) -> Collected:
    """Collect until something is so, or until the client gives up."""
    stop, collected = threading.Event(), Collected()
    watchdog = threading.Timer(PATIENCE, stop.set)
    watchdog.start()
    client.open(CONTEXT)
    try:
        for chunk in client.collect(stop):
            collected.chunks.append(chunk)
            if until(collected):
                stop.set()
    except Retry as failure:
        collected.failure = str(failure)
    watchdog.cancel()
    return collected


def read(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes; fewer when the other side closes."""
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def polling(port: int, *devices: str, timeout: float = 5) -> TcpClient:
    """Make a client that asks all the time."""
    return TcpClient(
        host="127.0.0.1", port=port, poll_interval=Duration(0.01), devices=list(devices), timeout=Duration(timeout)
    )


def listening(port: int, idle: float = 600) -> TcpClient:
    """Make a client that only listens."""
    return TcpClient(host="127.0.0.1", port=port, idle_timeout=Duration(idle))


def test_a_meter_that_sends(device: Device) -> None:
    """All that a meter sends comes out byte for byte, however it is cut, as one stream."""

    def play(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(0, len(STREAMS), 701):
            connection.sendall(STREAMS[place : place + 701])
        connection.recv(1)

    collected = collect(listening(device(play)), lambda so_far: len(so_far.data) >= len(STREAMS))
    assert (collected.data, len({chunk.stream for chunk in collected.chunks})) == (STREAMS, 1)


def test_a_connection_that_is_lost(device: Device) -> None:
    """When the meter closes, its stream ends and the failure names it; the next connection is a stream of its own."""
    client = listening(port := device(lambda connection: connection.sendall(GEM)))
    first, second = collect(client), collect(client)
    assert f"connection to 127.0.0.1:{port}: closed by the other side" == first.failure
    assert [(first.chunks[-1].data, first.chunks[-1].end), second.data] == [(b"", True), GEM]
    assert [{f"127.0.0.1:{port}#1"}, {f"127.0.0.1:{port}#2"}] == [
        {chunk.stream for chunk in collected.chunks} for collected in (first, second)
    ]


def test_a_connection_that_brings_nothing(device: Device) -> None:
    """A connection that is closed before it brought anything yields nothing: it is no sign of life."""
    assert collect(listening(device(lambda _: None))).chunks == []


def test_a_silent_meter(device: Device) -> None:
    """A meter that falls silent for too long is given up, and the message names the commonest reason."""

    def play(connection: socket.socket) -> None:
        connection.sendall(GEM)
        connection.recv(1)

    collected = collect(listening(device(play), idle=0.2))
    assert ("nothing came for 0.2 s. A meter whose real-time mode is off" in collected.failure, GEM, True) == (
        True,
        collected.data,
        collected.chunks[-1].end,
    )


def test_a_meter_that_sends_no_packets(device: Device) -> None:
    """Bytes without a packet keep no connection: the wait is for packets, as the core finds them, and both are told."""

    def play(connection: socket.socket) -> None:
        connection.sendall(GEM)
        with contextlib.suppress(OSError):  # given up by the client
            while True:
                connection.sendall(b"$")
                time.sleep(0.02)

    client, got = listening(device(play), idle=0.3), b""

    def heard(_stream: str) -> StreamStatus:
        return StreamStatus(1, max(0, len(got) - len(GEM)))

    client.open(attrs.evolve(CONTEXT, stream_status=heard))
    failure = ""
    try:
        for chunk in client.collect(threading.Event()):
            got += chunk.data
    except Retry as error:
        failure = str(error)
    said = f"no packet came for 0.3 s, only {len(got) - len(GEM)} bytes. A meter whose real-time mode is off"
    assert (said in failure, got[: len(GEM)], got[len(GEM) :].strip(b"$")) == (True, GEM, b"")


def test_a_meter_that_never_sent_anything_is_told_early(
    device: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing ever came, it is told long before the connection is made anew; once."""
    monkeypatch.setattr("btmon_ip.client.SILENCE_WARNING_AFTER", 0.1)

    def play(connection: socket.socket) -> None:
        connection.recv(1)

    client = listening(device(play), idle=1.7)
    assert "nothing came for 1.7 s" in collect(client).failure
    (told,) = [record.getMessage() for record in caplog.records]
    assert "nothing came for 0.1 s. A meter whose real-time mode is off sends only when it is asked" in told


def test_nobody_there() -> None:
    """A refused connection is told with the address and what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    failure = collect(listening(port)).failure
    assert f"cannot connect to 127.0.0.1:{port}: Connection refused. Check the address" in failure


@pytest.fixture
def black_hole() -> Iterator[int]:
    """Make a port that lets nobody in and says nothing: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        yield int(full.getsockname()[1])


def test_no_answer_to_the_connection(black_hole: int) -> None:
    """A connection that is not answered at all is given up after the time-out."""
    client = TcpClient(host="127.0.0.1", port=black_hole, timeout=Duration(0.2))
    assert "no answer within 0.2 s" in collect(client).failure


def test_stop_while_connecting(black_hole: int) -> None:
    """A stop is answered within two seconds while a connection is being made."""
    assert stopping_time(TcpClient(host="127.0.0.1", port=black_hole, timeout=Duration(60))) < 2


@pytest.mark.parametrize("make", [listening, lambda port: polling(port, "fc", timeout=60)])
def test_stop_while_waiting(device: Device, make: Callable[[int], TcpClient]) -> None:
    """A stop is answered within two seconds while a meter is silent, whether it was asked or not."""

    def play(connection: socket.socket) -> None:
        read(connection, 1000)

    assert stopping_time(make(device(play))) < 2


def test_stop_between_polls(device: Device) -> None:
    """A stop is answered at once during the pause between two polls."""
    client = polling(device(lambda connection: connection.sendall(GEM)))
    client.poll_interval = Duration(3600)
    assert stopping_time(client) < 2


def stopping_time(client: TcpClient) -> float:
    """Collect in a thread, and measure how long it takes to stop."""
    stop = threading.Event()
    client.open(CONTEXT)
    thread = threading.Thread(target=lambda: list(client.collect(stop)), daemon=True)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    asked = time.monotonic()
    stop.set()
    thread.join(PATIENCE)
    return time.monotonic() - asked


def packets_of(recording: dict[str, object], word: str) -> list[bytes]:
    """Return the packets that the recording's device had for one request."""
    name, devices = re.findall(r"(ecm1240bin|gem48ptbin)", str(recording["scenario"]))[0], recording["streams"]
    assert isinstance(devices, dict)
    steady = (GOLDEN / f"streams/{name}_steady.bin").read_bytes()
    size, place = SIZES[name], list(devices).index(word)
    return [steady[at : at + size] for at in range(place * size, len(steady), size * len(devices))]


@pytest.mark.parametrize("path", sorted(HERE.glob("golden/e2e/poll_client*.json")), ids=lambda path: path.stem)
def test_golden_polls(path: Path, device: Device) -> None:
    """The conversation with each kind of device is the recorded one, and every packet comes out."""
    recording = json.loads(path.read_text())
    ecm = "ecm" in recording["scenario"]
    expected = recording["events"][:2]
    seen: list[list[list[str]]] = []
    sent: list[bytes] = []
    done = threading.Event()

    def listen_for(connection: socket.socket, what: str) -> str:
        said = read(connection, len(what) // 2 if ecm and what != "closes" else len(what))
        return (said.hex() if ecm else said.decode()) or "closes"

    def say(connection: socket.socket, what: str) -> str:
        number_and_word = re.findall(r"packet (\d+) of (.*)", what)
        for number, word in number_and_word:
            sent.append(packets_of(recording, word)[int(number)])
        connection.sendall(sent[-1] if number_and_word else bytes.fromhex(what))
        return str(what)

    def play(connection: socket.socket) -> None:
        if len(seen) == len(expected):
            return
        seen.append([])
        for who, what in expected[len(seen) - 1]:
            seen[-1].append([who, (listen_for if who == "program" else say)(connection, what)])
        if len(seen) == len(expected):
            done.set()

    devices = [word.removeprefix("^^^NMB").removesuffix("APISPK") for word in recording["streams"]]
    client = polling(device(play), *(name for name in devices if name != "^^^"))
    collected = collect(client, lambda so_far: sum(chunk.end for chunk in so_far.chunks) == 2)
    assert done.wait(PATIENCE)
    assert (expected, b"".join(sent)) == (seen, collected.data)


def test_the_poll_interval(device: Device) -> None:
    """Polls begin an interval apart, however long the answer takes."""
    began: list[float] = []

    def play(connection: socket.socket) -> None:
        began.append(time.monotonic())
        read(connection, len("^^^APISPK"))
        connection.sendall(GEM)
        connection.recv(1)

    client = polling(device(play))
    client.poll_interval = Duration(0.6)
    collect(client, lambda so_far: so_far.data == GEM * 3)
    assert [pytest.approx(0.6, abs=0.25)] * 2 == [later - earlier for earlier, later in itertools.pairwise(began)]


def test_real_time_packets_before_the_answer(device: Device) -> None:
    """Packets that a meter in real-time mode sends in between come out too, and the acknowledgements do not."""

    def play(connection: socket.socket) -> None:
        read(connection, 1)
        connection.sendall(ECM + b"\xfc")
        read(connection, 3)
        connection.sendall(b"\xfc" + ECM)
        connection.recv(1)

    assert collect(polling(device(play), "fc"), lambda so_far: so_far.chunks[-1].end).data == ECM * 2


def test_a_dead_device(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    """A device that does not answer is skipped and logged once, and the next one is asked, each time."""

    def play(connection: socket.socket) -> None:
        while word := read(connection, 1):
            if word == b"\xfd":
                connection.sendall(b"\xfc")
                read(connection, 3)
                connection.sendall(b"\xfc" + ECM)

    collected = collect(polling(device(play), "fe", "fd", timeout=0.2), lambda so_far: so_far.data == ECM * 3)
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert (collected.data, [text.split(":")[0] for text in told]) == (
        ECM * 3,
        ["meter fe was asked, but sent nothing within 0.2 s"],
    )


def test_a_gateway_that_closes_after_the_answer(device: Device) -> None:
    """A gateway that closes as soon as it has passed on the packet is no failure: it is asked again in time."""
    client = polling(device(lambda connection: connection.sendall(read(connection, 9) and GEM)))
    collected = collect(client, lambda so_far: so_far.data == GEM * 2 and so_far.chunks[-1].end)
    assert (collected.failure, collected.data) == ("", GEM * 2)


def test_a_connection_lost_while_asking(device: Device) -> None:
    """When the connection is lost in the middle of a packet, what came comes out, the stream ends, and it is told."""
    collected = collect(polling(device(lambda connection: connection.sendall(GEM[:300]))))
    assert "connection to 127.0.0.1" in collected.failure
    assert [(GEM[:300], False), (b"", True)] == [(chunk.data, chunk.end) for chunk in collected.chunks]


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "10.0.0.1:5000"},
        {"port": 70_000},
        {"devices": ["fa"]},
        {"timeout": 0},
        {"idle_timeout": -1},
        {"poll_interval": -1},
        {"host": "a..b"},
        {"host": "meter/1"},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    """Settings that make no sense are refused with what was expected."""
    with pytest.raises(ValueError, match=r"expected|must be"):
        TcpClient(**{"host": "10.0.0.1", **wrong})


def test_how_long_it_may_be_without_a_packet() -> None:
    """Its patience is its `idle_timeout`; where it asks, that of two polls and every answer."""
    assert TcpClient(host="10.0.0.1", idle_timeout=Duration(30)).patience == 30
    asking = TcpClient(host="10.0.0.1", poll_interval=Duration(60), devices=["fc", "fd"], timeout=Duration(2))
    assert asking.patience == 124


def test_devices_without_poll() -> None:
    """Devices that would never be asked are a mistake, which is told before anything is opened."""
    problems = list(TcpClient(host="10.0.0.1", devices=["fc"]).check())
    assert [problem.key for problem in problems] == ["devices"]


def test_no_host() -> None:
    """An address that is empty is a mistake, not this computer."""
    assert [problem.key for problem in TcpClient(host="").check()] == ["host"]


def test_the_sample() -> None:
    """The sample holds only settings that there are, and the README shows all of it."""
    sample = (HERE.parent / "sample.toml").read_text()
    plugins = {entry.name: entry.load() for entry in entry_points(group="btcore.plugins") if "btmon_ip" in entry.value}
    tables = tomllib.loads(re.sub(r"^# (\w+ =)", r"\1", sample, flags=re.MULTILINE))["source"]
    settings = {name: {field.name for field in attrs.fields(plugin) if field.init} for name, plugin in plugins.items()}
    assert {"tcp-client": TcpClient, "tcp-server": TcpServer} == plugins
    assert set() == {key for table in tables.values() for key in set(table) - {"use"} - settings[table["use"]]}
    assert sample in (HERE.parent / "README.md").read_text()

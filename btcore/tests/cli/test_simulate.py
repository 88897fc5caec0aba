# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore simulate`: what it writes is a capture, what it sends is what a meter sends, and it ends cleanly."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from btcore import Chunk, read_capture
from btcore.cli.destinations import Connections
from btcore.decode.brultech import Brultech
from btcore.decode.framing import Stream
from btcore.errors import Unavailable

FIXED = ["--start", "2026-06-21T12:00:00Z"]
PATIENCE = 30.0

pytestmark = pytest.mark.servers


def simulate(*options: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "btcore", "simulate", *options]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)


def started(*options: str) -> "subprocess.Popen[bytes]":
    """Start the command."""
    command = [sys.executable, "-m", "btcore", "simulate", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def last_line(output: bytes) -> str:
    """Return the last line of an output."""
    return output.decode().splitlines()[-1]


def serials(data: bytes) -> list[str]:
    """Find the packets in bytes; tell whose they are."""
    return [packet.serial for packet, _ in Stream(Brultech().decode_packet).feed(data, datetime.now(UTC))]


def by_stream(chunks: Iterator[Chunk]) -> dict[str, bytes]:
    """Put the bytes of each stream together."""
    streams: dict[str, bytes] = defaultdict(bytes)
    for chunk in chunks:
        streams[chunk.stream] += chunk.data
    return streams


def until(happened: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.005)


class Reader:
    """A server that reads meters: it keeps what each connection sent."""

    def __init__(self) -> None:
        """Listen on a random port."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", int(self._socket.getsockname()[1]))
        self.heard: list[bytes] = []
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with self._socket:
            while True:
                connection, _ = self._socket.accept()
                thread = threading.Thread(target=self._read, args=(connection,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _read(self, connection: socket.socket) -> None:
        data = b""
        with connection:
            connection.sendall(b"a meter does not listen to this")
            while piece := connection.recv(4096):
                data += piece
        self.heard.append(data)


@pytest.fixture
def reader() -> Reader:
    """Start a server that reads meters."""
    return Reader()


def test_five_packets_are_a_valid_capture(tmp_path: Path) -> None:
    """`--packets 5` writes five lines, each a chunk with time and stream that decodes to a packet."""
    done = simulate("--packets", "5")
    path = tmp_path / "capture"
    path.write_bytes(done.stdout)
    chunks = list(read_capture(path))
    assert done.returncode == 0
    assert len(chunks) == 5
    assert [serial for chunk in chunks for serial in serials(chunk.data)] == ["01000101"] * 5
    assert {"01000101"} == {chunk.stream for chunk in chunks}
    assert all(chunk.time for chunk in chunks)
    assert last_line(done.stderr) == "5 packets of 1 meter"


def test_options_are_the_settings_of_the_simulator(tmp_path: Path) -> None:
    """Format, serial number, meters, interval, seed, start and faults are obeyed."""
    options = "--format ecm1240bin --serial 312345 --meters 2 --interval 1m --seed 3 --packets 50"
    path = tmp_path / "capture.json"
    done = simulate(
        *options.split(), *FIXED, "--faults", "truncated, gap", "--fault-rate", "0.3", "--output", str(path)
    )
    chunks = list(read_capture(path))
    times = [chunk.time.timestamp() for chunk in chunks if chunk.time]
    assert done.returncode == 0
    assert {"312345", "312346"} == {chunk.stream for chunk in chunks}
    assert min(times) == 1_782_043_200
    assert {0} == {moment % 30 for moment in times}
    assert 10 < sum(len(chunk.data) == 65 for chunk in chunks) < len(chunks) < 95


def test_all_ways_of_writing_hold_the_same_bytes(tmp_path: Path) -> None:
    """Lines, a .bin file and `--binary` on standard output hold the same packets."""
    simulate(*FIXED, "--output", str(tmp_path / "lines"))
    simulate(*FIXED, "--output", str(tmp_path / "plain.bin"))
    plain = (tmp_path / "plain.bin").read_bytes()
    assert len(plain) == 60 * 625
    assert {"01000101": plain} == by_stream(read_capture(tmp_path / "lines"))
    assert plain == simulate(*FIXED, "--binary").stdout


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    """When the reader of its output has seen enough, it ends with 0 and no traceback."""
    process = started("--packets", "0")
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"time": ')
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0
    assert last_line(said).endswith(" of 1 meter")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    """In real time it goes on until a signal, writes each packet when it is there, and ends with 0 and its count."""
    with started("--realtime", "--interval", "1s") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(number)
        # not communicate(): it passes over what came in with the first line
        rest, said = process.stdout.read(), process.stderr.read()
    assert first.endswith(b"}\n")
    assert process.returncode == 0
    packets = 1 + len(rest.splitlines())
    assert last_line(said) == f"{packets} packet{'s' if packets > 1 else ''} of 1 meter"


def test_each_meter_has_a_connection(reader: Reader) -> None:
    """Over TCP, each meter sends all its packets over one connection of its own, and all arrive."""
    place = "127.0.0.1:{1}".format(*reader.address)
    options = ["--connect", place, "--no-realtime", "--meters", "3", "--packets", "20", "--faults", "pieces,duplicate"]
    done = simulate(*options)
    until(lambda: len(reader.heard) == 3)
    assert done.returncode == 0
    assert {("01000101",), ("01000102",), ("01000103",)} == {tuple(set(serials(data))) for data in reader.heard}
    assert all(len(serials(data)) >= 20 for data in reader.heard)
    assert last_line(done.stderr) == f"60 packets of 3 meters: 3 connections to {place}, 0 chunks lost"


def test_nobody_who_listens_is_told() -> None:
    """When nothing listens, it says so once, says in the end that nothing was received, and exits with 69."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    done = simulate("--connect", f"127.0.0.1:{port}", "--no-realtime", "--packets", "5")
    assert done.returncode == 69
    said = done.stderr.decode().splitlines()
    assert said[0] == f"btcore: 127.0.0.1:{port}: Connection refused; retrying with each packet"
    assert said[1] == "5 packets of 1 meter"
    assert "5 chunks lost: nothing was received" in said[2]
    assert len(said) == 3


def test_a_connection_that_was_closed_is_opened_again() -> None:
    """A meter whose connection the server closed connects again, before it sends into the void."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = Connections("127.0.0.1", server.getsockname()[1], lambda _stream, _data: None)
        connections.send(Chunk(b"one", "a"))
        first, _ = server.accept()
        assert first.recv(10) == b"one"
        first.close()
        deadline = time.monotonic() + PATIENCE
        while connections.opened < 2 and time.monotonic() < deadline:
            connections.send(Chunk(b"two", "a"))
        second, _ = server.accept()
        assert second.recv(3) == b"two"
        assert connections.close().startswith("2 connections to 127.0.0.1:")
        second.close()


def test_what_cannot_be_sent_is_lost_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a server packets are lost, and told once until it works again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    connections = Connections("127.0.0.1", port, lambda _stream, _data: None)
    for _ in range(3):
        connections.send(Chunk(b"lost", "a"))
    assert (connections.lost, connections.sent) == (3, 0)
    assert capsys.readouterr().err.count("retrying") == 1
    with pytest.raises(Unavailable, match="nothing was received"):
        connections.close()


def test_an_ipv6_address_may_be_given() -> None:
    """An address in brackets is one of IPv6, and is shown in brackets."""
    done = simulate("--connect", "[::1]:1", "--no-realtime", "--packets", "1")
    assert done.returncode == 69
    assert done.stderr.startswith(b"btcore: [::1]:1: ")
    assert b"Name or service" not in done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--format", "gem48"], '--format: expected one of "ecm1220bin"'),
        (["--faults", "junk,jnk"], '--faults item 2: expected one of "junk"'),
        (["--interval", "soon"], "--interval: expected a duration"),
        (["--interval", "10"], '--interval: a duration needs a unit: "10s", "10m" or "10d"?'),
        (["--interval", "0"], "--interval: "),
        (["--meters", "0"], "--meters: "),
        (["--fault-rate", "2"], "--fault-rate: "),
        (["--start", "tomorrow"], "--start: expected a time like 2026-06-21T06:00:00"),
        (["--serial", "1"], "--serial: '1' is no serial number of a gem48ptbin meter"),
        (["--connect", "localhost"], "--connect: expected HOST:PORT"),
        (["--connect", "localhost:99999"], "--connect: expected HOST:PORT"),
        (["--connect", "localhost:1", "--output", "x"], "not allowed with argument"),
        (["--http", "https://localhost/"], "--http: expected the URL of a source http, such as http://localhost:8080/"),
        (["--http", "http://localhost:99999/"], "--http: expected the URL of a source http"),
        (["--http", "http://localhost:1/", "--format", "gem48pbin"], "--format: gem48pbin is not sent over HTTP"),
    ],
)
def test_a_wrong_option_is_told(options: list[str], text: str) -> None:
    """An option with a wrong value ends it with 2 and says which, and what was expected."""
    done = simulate(*options)
    assert done.returncode == 2
    assert text in done.stderr.decode()
    assert done.stdout == b""


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file that cannot be written ends it with 69 and says why."""
    done = simulate("--output", str(tmp_path / "nowhere" / "file"))
    assert done.returncode == 69
    assert last_line(done.stderr).endswith("file: No such file or directory")


def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    """An output that takes no more ends it with 69 and says so."""
    path = tmp_path / "capture"
    command = f"ulimit -f 8; exec '{sys.executable}' -m btcore simulate --output '{path}'"
    # Python itself dies of the limit where it writes bytecode before it has set its signals
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 69
    assert last_line(done.stderr) == f"btcore: cannot write to {path}: File too large"

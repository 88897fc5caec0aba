# SPDX-License-Identifier: GPL-3.0-or-later
"""A source that brings bytes and never a packet, through the whole program: the log says what comes, and what to do.

Each is a trouble that owners of these meters ran into, or a relative of one.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest
from helpers.database_rows import table_rows
from servers.serial_line import Wire

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

REPORTED = Path(__file__).parent / "golden" / "reported" / "telnet_doubled.bin"
SINK = '\n[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'
SERVER = 'state = "state"\n[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = 0\n'
CLIENT = 'state = "state"\n[source.g]\nuse = "tcp-client"\nhost = "127.0.0.1"\nport = {}\n'
GEM = [pack("gem48pbin", "01000777", {"volts": 120, "secs": 10 * n, "ch1_aws": 5000 * n}) for n in range(5)]

ASCII = b"n=01012345&m=16&v=121.1&" + b"&".join(b"wh_%d=123.4&p_%d=50" % (n, n) for n in range(1, 33)) + b"\r\n"
HTTP_GET = b"GET /own/?SN=01000123&SC=13399560&V=1202&c1=35634,12 HTTP/1.1\r\nHost: 10.0.0.5\r\n\r\n"
SEG = b"PUT /sites/abc HTTP/1.1\r\n\r\n(site abc (node panel ? (e_1 278.23)(p_1 3155)(a_1 29.10)))"


def doubled(data: bytes) -> bytes:
    """Send it through a telnet port."""
    return data.replace(b"\xff", b"\xff\xff")


def send(port: int, *pieces: bytes, each: bool = False) -> None:
    """Connect, and send; or connect anew for each piece."""
    for part in [[piece] for piece in pieces] if each else [list(pieces)]:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            for piece in part:
                client.sendall(piece)


@contextmanager
def dripping(port: int, drop: bytes) -> Iterator[list[bytes]]:
    """Keep a connection on which a drop comes again and again; give those that were sent."""
    over = Event()
    sent: list[bytes] = []

    def drip() -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            while not over.wait(0.1):
                client.sendall(drop)
                sent.append(drop)

    with in_background(over, drip):
        yield sent


def told(log: str) -> str:
    """Return the one line that tells of bytes without a packet."""
    (line,) = [line for line in log.splitlines() if "without a packet on" in line]
    return line


@pytest.mark.parametrize("drop", [b"$", b"Alive\r\n", b"$\r\nOK\r\n"[:3]])
def test_a_keep_alive_is_no_life(tmp_path: Path, drop: bytes) -> None:
    """A GEM that sends only its keep-alive is told after the source's `idle_timeout`, while it goes on, once."""
    with BtcoreProcess(tmp_path, SERVER + 'idle_timeout = "1s"' + SINK) as program:
        with dripping(program.port(), drop) as sent:
            wait_for(lambda: "without a packet" in program.log)
            before = len(sent)
            wait_for(lambda: len(sent) > before + 12)
        assert program.stop() == 0
    assert "only the keep-alive of a GEM ($ or Alive). Its real-time mode is off" in told(program.log)


def test_a_keep_alive_beside_a_healthy_meter_is_no_trouble(tmp_path: Path) -> None:
    """Keep-alives on the connection of a meter that sends its packets are nothing to tell."""
    with BtcoreProcess(tmp_path, SERVER + 'idle_timeout = "1s"' + SINK) as program:
        send(program.port(), b"$", GEM[0], b"$$OK\r\n", GEM[1], b"Alive\r\n" * 300)
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", "gem48pbin_counters")) == 2)
        assert program.stop() == 0
    assert "WARNING" not in program.log


@contextmanager
def gateway(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Play a gateway that listens, and treats each connection so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        over = Event()

        def serve() -> None:
            while not over.is_set():
                with suppress(OSError):
                    client, _ = listener.accept()
                    with client:
                        client.settimeout(0.1)
                        answer(client)

        with in_background(over, serve):
            yield int(listener.getsockname()[1])


def sending(data: bytes) -> Callable[[socket.socket], None]:
    """Make what sends this, again and again, until the other side is gone."""

    def answer(client: socket.socket) -> None:
        while True:
            client.sendall(data)
            with suppress(TimeoutError):
                if not client.recv(100):
                    return

    return answer


GATEWAYS = {
    "keep-alive": (b"$", "only the keep-alive of a GEM"),
    "a web page": (b"HTTP/1.1 408 Request Timeout\r\n\r\n<html>", "a web page, or a web server's answer. This is the"),
    "a login": (b"\xff\xfb\x01\xff\xfb\x03\r\nLogin: ", "the login, or the menu, of a gateway. Connect to the port"),
    "a port in use": (b"Port already in use\r\n", "the gateway says that its port is in use. Stop the other program"),
    "the wrong speed": (b"\x80\x00\xf8\x1c\x00\xe0\x06\x98", "bytes that make no sense. The speed of the line may be"),
    "seven bits": (bytes(byte & 0x7F for byte in GEM[1]), "packets whose highest bits were cut off. Set the line to 8"),
    "damage": (GEM[1][:300] + GEM[1][310:], "packets, but all of them damaged. Bytes are lost or changed"),
}


@pytest.mark.parametrize(("data", "expected"), GATEWAYS.values(), ids=GATEWAYS)
def test_what_a_gateway_sends_in_place_of_packets_is_told(tmp_path: Path, data: bytes, expected: str) -> None:
    """Connected to a gateway that sends anything but packets, the log says within `idle_timeout` what it is; once."""
    with gateway(sending(data)) as port:
        site = (
            f'state = "state"\n[source.g]\nuse = "tcp-client"\nhost = "127.0.0.1"\nport = {port}\n'
            f'idle_timeout = "1s"\n{SINK}'
        )
        with BtcoreProcess(tmp_path, site) as program:
            wait_for(lambda: "without a packet" in program.log and "trying again" in program.log)
            assert program.stop() == 0
    assert expected in told(program.log)
    assert "no packet came for 1 s, only " in program.log


TEXTS = {"ASCII with Wh (2)": ASCII, "HTTP GET (3)": HTTP_GET, "SEG (6 or 14)": SEG}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("each", [True, False], ids=["a connection each", "one connection"])
def test_a_text_format_is_told_by_its_name(tmp_path: Path, name: str, each: bool) -> None:
    """A GEM that sends text is told which, and to what to set it, at once, however it connects; once."""
    count = 20_000 // len(TEXTS[name])
    with BtcoreProcess(tmp_path, SERVER + SINK) as program:
        send(program.port(), *[TEXTS[name]] * count, each=each)
        wait_for(lambda: "without a packet" in program.log)
        assert program.stop() == 0
    line = told(program.log)
    assert (
        f"text in the GEM's format {name}. Set the GEM's packet format to BIN48-NET-TIME (4) or BIN48-NET (5)" in line
    )
    assert each or "connections, the last of them" not in line  # on a busy computer the first one may be told alone


def test_a_short_run_tells_what_it_saw(tmp_path: Path) -> None:
    """A run that is stopped after one text packet tells what that was."""
    with BtcoreProcess(tmp_path, SERVER + SINK, "--verbose") as program:
        send(program.port(), ASCII)
        wait_for(lambda: "closed by the other side" in program.log)
        assert program.stop() == 0
    assert "text in the GEM's format ASCII with Wh (2)" in told(program.log)


def test_nobody_who_connects_is_told(tmp_path: Path) -> None:
    """A server to which nobody connects says so, and how a meter is set."""
    with BtcoreProcess(tmp_path, SERVER + 'idle_timeout = "1s"' + SINK) as program:
        wait_for(
            lambda: "nobody has connected for 1 s. Set the meter, or its gateway, to real-time mode" in program.log
        )


def test_a_format_that_is_left_out_is_named(tmp_path: Path) -> None:
    """`formats` that leave out what the meter sends: the log names both, and says what to add."""
    sent = pack("gem48ptbin", "01000777", {"secs": 5})
    with BtcoreProcess(tmp_path, SERVER + 'formats = ["gem48pbin"]' + SINK) as program:
        send(program.port(), *[sent] * 30)
        wait_for(lambda: "without a packet" in program.log)
    expected = 'packets of gem48ptbin, which formats = ["gem48pbin"] leaves out. Add "gem48ptbin" to formats'
    assert expected in told(program.log)


# --- a telnet port ----------------------------------------------------------------------------------------------------


def test_a_telnet_port_loses_no_packet(tmp_path: Path) -> None:
    """What comes through a telnet port is kept from the first packet on, and told once with what to set."""
    data = b"\xff\xfd\x00\xff\xfb\x00" + REPORTED.read_bytes()
    with BtcoreProcess(tmp_path, SERVER + SINK) as program:
        send(program.port(), *[data[at : at + 100] for at in range(0, len(data), 100)])
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", "gem48pbin_counters")) == 40)
        assert program.stop() == 0
    assert program.log.count("every FF comes twice, as a telnet port sends it: that is undone") == 1
    assert program.log.count("WARNING") == 1
    assert "source.panel: 40 packets" in program.log


def test_a_meter_is_asked_through_a_telnet_port(tmp_path: Path) -> None:
    """Asking through a telnet port works, and no answer is taken for none."""

    def answer(client: socket.socket) -> None:
        client.sendall(b"\xff\xfd\x01")
        for packet in GEM:
            while not client.recv(100):
                pass
            client.sendall(doubled(packet))

    with (
        gateway(answer) as port,
        BtcoreProcess(tmp_path, CLIENT.format(port) + 'poll_interval = "100ms"' + SINK) as program,
    ):
        wait_for(lambda: table_rows(tmp_path / "energy.db", "gem48pbin_counters"))
        assert program.stop() == 0
    assert "was asked" not in program.log
    assert "every FF comes twice" in program.log


# --- several meters on one line ---------------------------------------------------------------------------------------


class Bus:
    """Meters on a serial line: what answers is told by who was asked."""

    def __init__(self, wire: Wire, answers: dict[bytes, bytes]) -> None:
        """Take which meter's serial number answers for which device byte."""
        self._wire, self._answers = wire, answers
        self._secs = 0
        self.over = Event()

    def run(self) -> None:
        """Answer until it is over."""
        asked = b""
        while not self.over.is_set():
            heard = self._wire.hear()
            if heard in self._answers:
                asked = heard
                self._wire.send(b"\xfc")
            elif heard == b"SPK":
                self._secs += 1
                packet = pack("ecm1240bin", self._answers[asked].decode(), {"secs": self._secs})
                self._wire.send(b"\xfc" + packet)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({b"\xfc": b"412345", b"\xfd": b"412345"}, 'device "fd" was asked, and meter 412345 answered, as it does when'),
        ({b"\xfc": b"000000", b"\xfd": b"000000"}, 'device "fd" was asked, and meter 000000 answered, as it does when'),
        ({b"\xfc": b"312345", b"\xfd": b"412345"}, ""),
    ],
)
def test_the_answer_of_another_meter_is_told(tmp_path: Path, answers: dict[bytes, bytes], expected: str) -> None:
    """One meter that answers for two devices is told once; what it sends is kept, and two meters are no trouble."""
    wire = Wire(tmp_path / "ttyUSB0")
    bus = Bus(wire, answers)
    site = (
        f'state = "state"\n[source.l]\nuse = "serial"\nport = "{wire.path}"\npoll_interval = "500ms"\n'
        'devices = ["fc", "fd"]\n'
    )
    with in_background(bus.over, bus.run), BtcoreProcess(tmp_path, site + SINK) as program:
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", "ecm1240bin_counters")) >= 8)
        assert program.stop() == 0
    wire.unplug()
    assert program.log.count("WARNING") == bool(expected)
    assert expected in program.log

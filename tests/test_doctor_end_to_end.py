# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore doctor` of real sites with real faults: lines, ports, programs, files, services; and of healthy ones."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from servers.pvoutput import PVOutputServer
from servers.serial_line import Meters, Wire

from btcore import pack
from btcore.cli import CONFIGURATION, main
from btcore.control.client import ask_once
from btcore.runtime import state_directory
from btcore.testing import BtcoreProcess, HostedService, Reply, free_port, wait_for
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

GEM = "01000777"
ECM = "312345"
PRINT = "[sink.print]\n"


def gem(secs: int = 100_000, **values: float) -> bytes:
    """Make a packet of a GEM that is well."""
    return pack("gem48pbin", GEM, {"volts": 120.0, "secs": secs, "t1": None, **values})


class Doctor:
    """The command, and a folder for the site."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def write(self, text: str) -> Path:
        """Write the configuration, which others may not read."""
        site = self.folder / "site.toml"
        site.write_text(f'state = "state"\n{text}')
        site.chmod(0o600)
        return site

    def find(self, text: str | None = None, seconds: str = "1s") -> list[dict[str, str]]:
        """Return what is found of a configuration, checking the exit code."""
        site = self.write(text) if text is not None else self.folder / "site.toml"
        self._capsys.readouterr()
        code = main(["doctor", "--config", str(site), "--json", "--for", seconds])
        found: list[dict[str, str]] = json.loads(self._capsys.readouterr().out)
        assert code == (1 if found else 0)
        assert all(finding.keys() == {"code", "where", "text", "advice"} for finding in found)
        return found

    def codes(self, text: str | None = None, seconds: str = "1s") -> list[str]:
        """Return the codes of what is found."""
        return [finding["code"] for finding in self.find(text, seconds)]


@pytest.fixture
def doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Give the command."""
    return Doctor(tmp_path, capsys)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Plug a serial line in."""
    made = Wire(tmp_path / "ttyUSB0")
    yield made
    made.unplug()


@contextmanager
def sending(wire: Wire, data: Callable[[], bytes], pause: float = 0.1) -> Iterator[None]:
    """Send on a line again and again."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(pause):
            wire.send(data())

    with in_background(over, run):
        yield


@contextmanager
def connecting(port: int, data: Callable[[], bytes], pause: float = 0.1) -> Iterator[None]:
    """Connect to a port, as soon as it is listened on, and send again and again, each time on a connection."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(pause):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                    connection.sendall(data())
            except OSError:
                continue

    with in_background(over, run):
        yield


@contextmanager
def program(folder: Path, code: str, *arguments: str) -> Iterator[int]:
    """Run a program of others until the block ends; return its number once it says that it is ready."""
    script = folder / "other.py"
    script.write_text(f"import sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()\n")
    command = [sys.executable, str(script), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.close()


def serial_site(wire: Wire, more: str = "") -> str:
    """Return the configuration of a serial line."""
    return f'[source.panel]\nuse = "serial"\nport = "{wire.path}"\n{more}\n{PRINT}'


def server_site(port: int, more: str = "") -> str:
    """Return the configuration of a port that meters connect to."""
    return f'[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = {port}\n{more}\n{PRINT}'


def client_site(port: int, more: str = "") -> str:
    """Return the configuration of a connection to a gateway."""
    return f'[source.panel]\nuse = "tcp-client"\nhost = "127.0.0.1"\nport = {port}\n{more}\n{PRINT}'


# --- healthy sites


def test_a_healthy_serial_line(doctor: Doctor, wire: Wire) -> None:
    """Of a meter that sends by itself nothing is found, and no state directory is made."""
    with sending(wire, gem):
        assert doctor.find(serial_site(wire), "20s") == []
    assert not (doctor.folder / "state").exists()


def test_a_healthy_polled_meter(doctor: Doctor, wire: Wire) -> None:
    """Nothing is found of a meter that is asked and answers."""
    meters = Meters(wire, {"fc": [pack("ecm1240bin", ECM, {"volts": 120.0, "secs": n}) for n in range(50)]})
    try:
        assert doctor.find(serial_site(wire, 'poll_interval = "1s"\ndevices = ["fc"]'), "20s") == []
    finally:
        meters.switch_off()


def test_a_healthy_running_site(doctor: Doctor) -> None:
    """The running program is asked, goes on, and loses nothing; nothing is found."""
    count = iter(range(1_000_000))
    port = free_port()
    doctor.write(server_site(port).replace(PRINT, '[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'))
    site = (doctor.folder / "site.toml").read_text()
    database = doctor.folder / "energy.db"
    with BtcoreProcess(doctor.folder, site) as btcore:
        assert btcore.port() == port
        with connecting(port, lambda: gem(100_000 + next(count))):
            wait_for(lambda: len(table_rows(database, "gem48pbin_counters")) > 3, "readings")
            assert doctor.find() == []
            before = len(table_rows(database, "gem48pbin_counters"))
            wait_for(lambda: len(table_rows(database, "gem48pbin_counters")) > before, "more readings")
        assert btcore.stop() == 0
    seconds = sorted(row[1] for row in table_rows(database, "gem48pbin_counters"))
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))


# --- the line


def test_a_port_that_is_not_there(doctor: Doctor) -> None:
    """A device that does not exist."""
    assert doctor.codes(f'[source.serial]\nport = "{doctor.folder}/ttyUSB9"\n{PRINT}') == ["port-missing"]


def test_a_port_that_another_process_holds(doctor: Doctor, wire: Wire) -> None:
    """The process is named."""
    code = "import serial\nline = serial.Serial(sys.argv[1], exclusive=True)"
    with program(doctor.folder, code, wire.path) as number:
        (found,) = doctor.find(serial_site(wire))
    assert (found["code"], f"other.py (process {number})" in found["text"]) == ("port-in-use", True)


def without_rights(site: Path) -> list[str]:
    """Return the codes that a user finds who is not root, or is root without the right to override those of files."""
    root = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    line = [*root, sys.executable, "-m", "btcore", "doctor", "--config", str(site), "--json", "--for", "1s"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return [finding["code"] for finding in json.loads(done.stdout)]


def test_a_port_without_rights(doctor: Doctor, wire: Wire) -> None:
    """A user who may not use the device is told the group."""
    Path(wire.path).chmod(0o000)
    assert without_rights(doctor.write(serial_site(wire))) == ["port-permission"]


def test_a_file_without_rights(doctor: Doctor) -> None:
    """A sink's file that this user may not write."""
    with closing(sqlite3.connect(doctor.folder / "energy.db")) as database:
        database.execute("CREATE TABLE t (x)")
    (doctor.folder / "energy.db").chmod(0o400)
    (doctor.folder / "capture").write_bytes(gem())
    site = doctor.write('[source.file]\npath = "capture"\n[sink.sqlite]\nfile = "energy.db"\n')
    assert without_rights(site) == ["sink-rights"]


def test_a_wrong_speed(doctor: Doctor, wire: Wire) -> None:
    """A meter that sends at another speed is found by trying it."""

    def data() -> bytes:
        speed = termios.tcgetattr(wire._near)[4]
        return gem() if speed == termios.B115200 else bytes(byte * 37 % 251 for byte in range(90, 200))

    with sending(wire, data):
        (found,) = doctor.find(serial_site(wire), "2s")
    assert (found["code"], found["advice"]) == ("wrong-baud", "Set baud = 115200 in this table")


def test_a_speed_that_is_wrong_whichever(doctor: Doctor, wire: Wire) -> None:
    """Bytes without a sense at both speeds are shown."""
    with sending(wire, lambda: bytes(byte * 37 % 251 for byte in range(90, 200))):
        (found,) = doctor.find(serial_site(wire))
    assert found["code"] == "wrong-baud"


@pytest.mark.parametrize(
    ("device", "serial", "form"), [("", GEM, "gem48pbin"), ("fd", ECM, "ecm1240bin")], ids=["gem", "ecm"]
)
def test_real_time_mode_is_off(doctor: Doctor, wire: Wire, device: str, serial: str, form: str) -> None:
    """A silent meter that answers when it is asked is named, with the settings that ask it."""
    meters = Meters(wire, {device: [pack(form, serial, {"volts": 120.0})] * 3})
    try:
        (found,) = doctor.find(serial_site(wire))
    finally:
        meters.switch_off()
    assert (found["code"], serial in found["text"]) == ("real-time-off", True)
    assert (f'devices = ["{device}"]' in found["advice"]) is bool(device)


def test_a_line_with_nothing_on_it(doctor: Doctor, wire: Wire) -> None:
    """A meter that does not even answer has no power, or no cable."""
    assert doctor.codes(serial_site(wire)) == ["nothing-received"]


def test_a_dashbox_that_swallows_commands(doctor: Doctor, wire: Wire) -> None:
    """A meter that is to be asked, sends by itself, and answers no command."""
    with sending(wire, gem, 0.4):
        assert doctor.codes(serial_site(wire, 'poll_interval = "1s"'), "5s") == ["commands-swallowed"]


def test_a_meter_that_understands_commands(doctor: Doctor, wire: Wire) -> None:
    """A meter that sends by itself, and answers commands too, is no finding."""

    def data() -> bytes:
        return gem() + (b"00777\r\n" if b"RQSSRN" in wire.hear() else b"")

    with sending(wire, data, 0.4):
        assert doctor.find(serial_site(wire, 'poll_interval = "1s"'), "5s") == []


def test_a_tcp_port_that_another_process_has(doctor: Doctor) -> None:
    """The process is named."""
    port = free_port()
    code = "import socket\nserver = socket.create_server(('127.0.0.1', int(sys.argv[1])))"
    with program(doctor.folder, code, str(port)) as number:
        (found,) = doctor.find(server_site(port))
    assert (found["code"], f"process {number}" in found["text"]) == ("port-in-use", True)


def test_a_gateway_in_the_other_mode(doctor: Doctor) -> None:
    """A gateway that nobody listens on, and a port that nobody connects to, may be the other way round."""
    assert doctor.codes(client_site(free_port())) == ["gateway-mode"]
    assert doctor.codes(server_site(free_port())) == ["gateway-mode"]


@contextmanager
def gateway(answer: Callable[[bytes], bytes], greeting: bytes = b"") -> Iterator[int]:
    """Run a gateway that sends a greeting, and answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    talk(connection)

        def talk(connection: socket.socket) -> None:
            connection.settimeout(0.05)
            connection.sendall(greeting)
            while not over.is_set():
                try:
                    data = connection.recv(1000)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not data:
                    return
                connection.sendall(answer(data))

        with in_background(over, serve):
            yield server.getsockname()[1]


def test_a_silent_meter_behind_a_gateway(doctor: Doctor) -> None:
    """A keep-alive alone, from a GEM that answers when it is asked."""
    with gateway(lambda asked: gem() if b"APISPK" in asked else b"", b"$") as port:
        (found,) = doctor.find(client_site(port))
    assert (found["code"], GEM in found["text"]) == ("real-time-off", True)


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (b"Port already in use\r\n", "gateway-in-use"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "gateway-port"),
        (b"\xfe\xff\xff\x05" + bytes(700), "telnet-port"),
    ],
)
def test_a_gateway_that_says_something_else(doctor: Doctor, greeting: bytes, code: str) -> None:
    """What a gateway sends is recognized."""
    with gateway(lambda _asked: b"", greeting) as port:
        assert doctor.codes(client_site(port)) == [code]


# --- what comes in


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"n=01000777&m=4&wh_1=223.19&p_1=3065&a_1=28.28&v=114.4\r\n", "text-format"),
        (b"GET /?SN=01000777&SC=5956977&V=1149&c1=1,2 HTTP/1.1\r\n\r\n", "text-format"),
        (b"Alive\r\n", "real-time-off"),
        (b"GET / HTTP/1.1\r\nHost: panel\r\n\r\n", "no-meter"),
        (bytes(range(128, 250, 7)) * 4, "unknown-format"),
        (b"\xfe\xff\x05" + bytes(range(200)) * 4, "damaged-packets"),
    ],
)
def test_what_is_no_packet(doctor: Doctor, data: bytes, code: str) -> None:
    """Text, keep-alives, strangers and bytes that nobody knows, on short connections."""
    port = free_port()
    with connecting(port, lambda: data):
        assert doctor.codes(server_site(port), "2s") == [code]


def test_a_format_that_is_left_out(doctor: Doctor) -> None:
    """Packets that the source's `formats` leave out."""
    port = free_port()
    with connecting(port, gem):
        assert doctor.codes(server_site(port, 'formats = ["ecm1240bin"]'), "2s") == ["format-left-out"]


def test_a_running_program_is_asked_for_its_bytes(doctor: Doctor) -> None:
    """Text that a running program cannot decode is known without its port."""
    port = free_port()
    site = doctor.write(server_site(port).replace(PRINT, '[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'))
    with (
        BtcoreProcess(doctor.folder, site.read_text()) as btcore,
        connecting(btcore.port(), lambda: b"n=01000777&m=4&wh_1=2&p_1=3\r\n"),
    ):
        state = doctor.folder / "state"
        wait_for(lambda: ask_once(state, "undecoded")["sources"]["source.panel"], "bytes")
        assert doctor.codes() == ["text-format"]
        assert btcore.stop() == 0


def test_a_running_program_without_its_line(doctor: Doctor, wire: Wire) -> None:
    """A program that cannot open its line, as another process has it: that one is named, and not the program."""
    site = doctor.write(serial_site(wire))
    code = "import serial\nline = serial.Serial(sys.argv[1], exclusive=True)"
    with program(doctor.folder, code, wire.path) as number, BtcoreProcess(doctor.folder, site.read_text()) as btcore:
        wait_for(lambda: "in use by another program" in btcore.log, "the failure")
        (found,) = doctor.find()
        assert btcore.stop() == 0
    assert (found["code"], found["text"].count("process")) == ("port-in-use", 1)
    assert f"process {number}" in found["text"]


def test_two_meters_with_one_serial_number(doctor: Doctor) -> None:
    """Two meters on two connections, whose counters do not fit together."""
    count = iter(range(1_000_000))

    def data() -> bytes:
        number = next(count)
        return gem((100_000 if number % 2 else 9_000_000) + number)

    port = free_port()
    site = doctor.write(server_site(port).replace(PRINT, '[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'))
    database = doctor.folder / "energy.db"
    with BtcoreProcess(doctor.folder, site.read_text()) as btcore, connecting(btcore.port(), data):
        wait_for(lambda: len(table_rows(database, "gem48pbin_counters")) > 12, "readings")
        found = doctor.codes()
        assert btcore.stop() == 0
    assert found == ["two-meters-one-serial"]


# --- the meters, from the journal


def test_the_journal_is_read_at_rest(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    """Readings of an earlier run tell of a voltage, a clamp, a channel, and a name that nobody has."""
    lines = [
        {"time": 1_782_000_000.0 + 60 * n, "stream": "a", "hex": gem(100_000 + 60 * n, **values).hex()}
        for n in range(30)
        for values in [{"volts": 12.0, "ch2_aws": 60_000 * n, "ch2_pws": 60_000 * n}]
    ]
    (doctor.folder / "capture.json").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    site = doctor.write(
        '[source.file]\npath = "capture.json"\n[sink.sqlite]\nfile = "energy.db"\nmeters = ["399999"]\n'
        f'[channels]\n"{GEM}_ch2" = "heat pump"\n"{GEM}_ch3" = "kitchen"\n"{GEM}_t1" = "cellar"\n'
    )
    assert main(["run", "--config", str(site), "--once", "--quiet"]) == 0
    capsys.readouterr()
    assert sorted(doctor.codes()) == [
        "channel-never-moves",
        "clamp-reversed",
        "no-sensor",
        "unknown-channel",
        "voltage",
    ]


# --- the sinks


def pvoutput_site(url: str, key: str) -> str:
    """Return the configuration of a sink for PVOutput, which plays no recording."""
    return (
        f'[source.file]\npath = "capture"\n[sink.pvoutput]\nurl = "{url}"\napi_key = "{key}"\nsystem_id = "12345"\n'
        f'generation = "{GEM}_ch1"\n'
    )


@pytest.mark.parametrize(("key", "codes"), [("0123456789abcdef", []), ("wrong-key", ["credentials"])])
def test_the_credentials_of_pvoutput(doctor: Doctor, key: str, codes: list[str]) -> None:
    """A wrong key is found, a right one is not; no data is sent, and the key is not shown."""
    (doctor.folder / "capture").write_bytes(gem())
    with PVOutputServer() as server:
        found = doctor.find(pvoutput_site(server.url, key))
    assert [finding["code"] for finding in found] == codes
    assert "wrong-key" not in json.dumps(found)
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["getsystem.jsp"]


@pytest.mark.parametrize(("code", "codes"), [(200, []), (401, ["credentials"])])
def test_the_credentials_of_emoncms(doctor: Doctor, code: int, codes: list[str]) -> None:
    """A wrong key is found, a right one is not; no data is sent."""
    (doctor.folder / "capture").write_bytes(gem())
    with HostedService(Reply(code, "Invalid API key" if codes else "[]")) as server:
        site = f'[source.file]\npath = "capture"\n[sink.emoncms]\nurl = "{server.url}"\ntoken = "0123456789"\n'
        assert doctor.codes(site) == codes
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/feed/list.json")]


def test_a_service_that_does_not_answer(doctor: Doctor) -> None:
    """A service that is not there."""
    (doctor.folder / "capture").write_bytes(gem())
    assert doctor.codes(pvoutput_site(f"http://127.0.0.1:{free_port()}", "0123456789abcdef")) == ["unreachable"]


def test_a_database_that_is_none(doctor: Doctor) -> None:
    """A file that is no database stays as it is."""
    (doctor.folder / "capture").write_bytes(gem())
    (doctor.folder / "energy.db").write_text("no database, but a long text that SQLite does not know" * 30)
    before = (doctor.folder / "energy.db").read_bytes()
    assert doctor.codes('[source.file]\npath = "capture"\n[sink.sqlite]\nfile = "energy.db"\n') == ["sink-database"]
    assert (doctor.folder / "energy.db").read_bytes() == before


def test_a_directory_that_is_not_there(doctor: Doctor) -> None:
    """The configuration warns of it, and so does the sink."""
    (doctor.folder / "capture").write_bytes(gem())
    found = doctor.codes('[source.file]\npath = "capture"\n[sink.sqlite]\nfile = "none/energy.db"\n')
    assert found == ["configuration", "sink-directory"]


def test_a_recording_that_is_not_there(doctor: Doctor) -> None:
    """The configuration warns of it, and so does the source."""
    assert doctor.codes(f'[source.file]\npath = "none"\n{PRINT}') == ["configuration", "capture-file"]


# --- this machine


def test_secrets_that_everybody_can_read(doctor: Doctor) -> None:
    """A configuration with a key that every user may read."""
    (doctor.folder / "capture").write_bytes(gem())
    with PVOutputServer() as server:
        site = doctor.write(pvoutput_site(server.url, server.key))
        doctor.folder.chmod(0o755)
        site.chmod(0o644)
        assert doctor.codes() == ["file-rights"]


def test_a_state_directory_without_rights(doctor: Doctor) -> None:
    """A state directory that this user may not write into."""
    (doctor.folder / "capture").write_bytes(gem())
    site = doctor.write(f'[source.file]\npath = "capture"\n{PRINT}')
    assert main(["run", "--once", "--quiet", "--config", str(site)]) == 0
    (doctor.folder / "state").chmod(0o500)
    try:
        assert without_rights(site) == ["state-rights"]
    finally:
        (doctor.folder / "state").chmod(0o700)


def test_a_state_directory_of_another_user(doctor: Doctor, wire: Wire) -> None:
    """Where nobody can say whether a program runs, no line is opened: one finding says as whom to run it."""
    site = doctor.write(serial_site(wire))
    (doctor.folder / "state").mkdir(mode=0o000)
    try:
        assert without_rights(site) == ["state-rights"]
    finally:
        (doctor.folder / "state").chmod(0o700)


def test_a_program_that_does_not_answer(doctor: Doctor, wire: Wire) -> None:
    """Where another program has the state directory and cannot be asked, no line is opened."""
    site = doctor.write(serial_site(wire))
    held = state_directory.lock(doctor.folder / "state")
    try:
        assert doctor.codes() == ["program-silent"]
    finally:
        os.close(held)
    assert site.exists()


def test_a_mistake_in_the_configuration(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake is reported as by every command, with its code."""
    site = doctor.write('[source.panel]\nuse = "serial"\n')
    assert main(["doctor", "--config", str(site), "--json"]) == CONFIGURATION
    assert "a required setting is missing" in capsys.readouterr().err


def test_for_a_person(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    """Each finding is two lines, with its code; in the end stands where they are explained."""
    site = doctor.write(f'[source.serial]\nport = "{doctor.folder}/ttyUSB9"\n{PRINT}')
    assert main(["doctor", "--config", str(site)]) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == f"source.serial: {doctor.folder}/ttyUSB9 does not exist [port-missing]"
    assert second.startswith("    ")
    assert last == "1 finding; docs/doctor.md explains each code"

# SPDX-License-Identifier: GPL-3.0-or-later
"""Meters that are asked for packets, or are silent, and are given commands meanwhile: asking and telling do not mix."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Event, Thread

import pytest
from helpers.running_source import RunningSource
from servers.serial_line import Wire

from btcore import Duration, pack
from btcore.decode.brultech import Brultech
from btcore.journal.memory import MemoryJournal
from btcore.meter_commands import CommandFailed
from btcore.records import Packet
from btcore.testing import wait_for
from btcore.testing.kit.waiting import in_background
from btcore.workers.clock_sync import ClockSync
from btcore.workers.devices import DeviceRequests
from btmon_ip.client import TcpClient
from btmon_serial.line import SerialLine
from btmon_simulator.ecm import SimulatedEcm
from btmon_simulator.gem import SimulatedGem
from btmon_simulator.meter import make_meters
from btmon_simulator.simulator import Simulator

pytestmark = pytest.mark.servers

SOON = Duration(0.1)
LOG = logging.getLogger("source.panel")


@pytest.fixture(autouse=True)
def no_packet_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a packet that may be under way: these meters send none by themselves."""
    monkeypatch.setattr("btcore.device.meters.PACKET_UNDER_WAY", 0.0)


def simulated(format: str) -> SimulatedGem | SimulatedEcm:
    """Return a meter whose real-time mode is off."""
    (meter,) = make_meters(format, "", 1, 1, timezone(timedelta()))
    meter.real_time = False
    return SimulatedGem(meter, 10) if format.startswith("gem") else SimulatedEcm(meter, 10)


class Polled:
    """A meter that answers what it is sent, and counts the packets it was asked for."""

    def __init__(self, format: str) -> None:
        """Switch it on."""
        self.meter = simulated(format)
        self.asked = 0

    def answer(self, data: bytes) -> bytes:
        """Answer."""
        self.asked += data.count(b"SPK")
        return self.meter.receive(data, datetime.now(UTC))


@contextmanager
def on_a_serial_line(folder: Path, meter: Polled) -> Iterator[SerialLine]:
    """Have the meter at the far end of a serial line."""
    wire, over = Wire(folder / "ttyUSB0"), Event()

    def run() -> None:
        while not over.is_set():
            if data := wire.hear():
                wire.send(meter.answer(data))

    devices = ["fc"] if isinstance(meter.meter, SimulatedEcm) else []
    try:
        with in_background(over, run):
            yield SerialLine(port=wire.path, poll_interval=SOON, devices=devices)
    finally:
        wire.unplug()


@contextmanager
def behind_a_gateway(_folder: Path, meter: Polled) -> Iterator[TcpClient]:
    """Have the meter behind a gateway, which takes one connection at a time."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # it is closed
            with client:
                while data := client.recv(4096):
                    client.sendall(meter.answer(data))

    devices = ["fc"] if isinstance(meter.meter, SimulatedEcm) else []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        yield TcpClient(host="127.0.0.1", port=listener.getsockname()[1], poll_interval=SOON, devices=devices)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("place", [on_a_serial_line, behind_a_gateway])
@pytest.mark.parametrize(("format", "serial"), [("gem48ptbin", "01000101"), ("ecm1240bin", "300101")])
def test_a_meter_that_is_polled_is_changed(
    tmp_path: Path, place: Callable[..., Iterator[object]], format: str, serial: str
) -> None:
    """A command comes between two polls, polling goes on after it, and every packet that was asked for is kept."""
    journal, meter = MemoryJournal(), Polled(format)

    def kept() -> int:
        return len(journal.read(0, 10_000))

    with place(tmp_path, meter) as source:  # type: ignore[attr-defined]
        work = RunningSource(journal, source)
        with work:
            wait_for(lambda: kept() >= 2, "packets")
            done = DeviceRequests([work.worker]).set({"target": serial, "changes": ["interval=7"]})
            before = kept()
            wait_for(lambda: kept() > before + 1, "packets after the command")
        assert (done["device"]["interval"], done["changes"][0]["confirmed"]) == (7, True)
        assert meter.asked - kept() in {0, 1}  # one may be asked for, and not yet read, when the source is stopped


def test_a_meter_that_never_sends_is_shown(tmp_path: Path) -> None:
    """A meter whose real-time mode is off, and that nobody asks for packets, answers all the same."""
    meter = Polled("gem48ptbin")
    with on_a_serial_line(tmp_path, meter) as source:
        source.poll_interval = Duration(0)
        with RunningSource(MemoryJournal(), source) as work:
            shown = DeviceRequests([work.worker]).show({"target": "panel"})
    assert (shown["device"]["meter"], shown["device"]["real_time"]) == ("01000101", False)


def test_two_who_ask_at_once_get_their_own_answers() -> None:
    """Of two meters of one source, each conversation has the answers of its own, whoever asks meanwhile."""
    source = Simulator(count=2, interval=Duration(3600), format="gem48pbin")
    with RunningSource(MemoryJournal(), source) as work:
        requests, answers = DeviceRequests([work.worker]), dict[str, str]()

        def ask(serial: str) -> None:
            answers[serial] = requests.show({"target": serial})["device"]["meter"]

        wait_for(lambda: work.worker.heard.get("01000101"), "the first meter")
        work.worker.heard.add("01000102", [(packet("01000102", datetime.now()), datetime.now(UTC))])  # noqa: DTZ005 - as a meter's clock
        threads = [Thread(target=ask, args=(serial,)) for serial in ("01000101", "01000102")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {"01000101": "01000101", "01000102": "01000102"}


def packet(serial: str, clock: datetime) -> Packet:
    """Return a packet whose clock shows this time."""
    found = Brultech().decode_packet(memoryview(pack("gem48ptbin", serial, {"volts": 120.0}, clock=clock)))
    assert isinstance(found, Packet)
    return found


SYNCED = {"sync_clock": True}
LATE = datetime(2020, 1, 1)  # noqa: DTZ001 - a meter's clock has no zone


def test_a_clock_that_is_wrong_twice_is_set(caplog: pytest.LogCaptureFixture) -> None:
    """One packet with a wrong time may have come late; after a second one the clock is set, and not again at once."""
    caplog.set_level(logging.INFO)
    with RunningSource(
        MemoryJournal(), Simulator(interval=Duration(3600), format="gem48pbin"), settings=SYNCED
    ) as work:
        sync = ClockSync([work.worker], work.stop)
        wait_for(lambda: work.worker.heard.get("01000101"), "the meter")
        for count in (0, 1, 1):
            work.worker.heard.add("01000101", [(packet("01000101", LATE), datetime.now(UTC))])
            sync.check()
            sync.check()  # of the same packet
            assert caplog.text.count("set the clock of meter 01000101, which was") == count


def test_a_clock_that_is_right_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A clock that shows the time of this computer is not set."""
    with RunningSource(MemoryJournal(), Simulator(interval=Duration(3600)), settings=SYNCED) as work:
        sync = ClockSync([work.worker], work.stop)
        for _ in range(3):
            work.worker.heard.add("01000101", [(packet("01000101", datetime.now()), datetime.now(UTC))])  # noqa: DTZ005 - as above
            sync.check()
    assert "clock" not in caplog.text


def test_a_clock_that_cannot_be_set_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Where the meter does not answer, the log says why once."""
    source = Simulator(interval=Duration(3600), format="ecm1240bin")  # it does not understand the commands of a GEM
    with RunningSource(MemoryJournal(), source, settings=SYNCED) as work:
        sync = ClockSync([work.worker], work.stop)
        for _ in range(3):
            work.worker.heard.add("300101", [(packet("01000101", LATE), datetime.now(UTC))])
            sync.check()
    assert caplog.text.count("cannot set the clock of meter 01000101: the command SYSDTM") == 1


def test_a_source_that_has_ended_is_no_line() -> None:
    """A command to a source that does not run any more says so."""
    source = Simulator(packets=1, pace="fast")
    with RunningSource(MemoryJournal(), source) as work:
        work.finish()
        with pytest.raises(CommandFailed, match="its line is closed"):
            DeviceRequests([work.worker]).show({"target": "01000101"})

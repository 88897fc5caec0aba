# SPDX-License-Identifier: GPL-3.0-or-later
"""USB adapters by what they are: found, not found, several, and unplugged and plugged in under another name."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers.running_source import RunningSource
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo
from servers.serial_line import Wire

from btcore import Context, Retry, pack
from btcore.journal.memory import MemoryJournal
from btcore.testing import wait_for
from btmon_serial import nearby, usb
from btmon_serial.line import SerialLine

pytestmark = pytest.mark.servers

FTDI = "usb:0403:6001:A600ABCD"


def adapter(device: str, serial: str | None = "A600ABCD", vendor: int = 0x0403) -> ListPortInfo:
    """Return an adapter as the system describes it."""
    info = ListPortInfo(device)
    info.vid, info.pid, info.serial_number = vendor, 0x6001, serial
    return info


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> list[ListPortInfo]:
    """Give the adapters that are plugged in: none, and the computer's own port, which is no USB adapter."""
    adapters = [ListPortInfo("/dev/ttyS0")]
    monkeypatch.setattr(list_ports, "comports", lambda: adapters)
    return adapters


def test_an_adapter_is_found(plugged: list[ListPortInfo]) -> None:
    """By vendor, product and serial number, in capitals or not; without the serial number if there is one such."""
    plugged += [adapter("/dev/ttyUSB3"), adapter("/dev/ttyUSB4", "B", vendor=0x10C4)]
    assert [usb.device_of(name) for name in (FTDI, "USB:0403:6001:A600ABCD", "usb:0403:6001", "usb:10c4:6001")] == [
        *["/dev/ttyUSB3"] * 3,
        "/dev/ttyUSB4",
    ]


def test_a_port_that_is_named_otherwise() -> None:
    """It stays as it is."""
    assert [usb.device_of(name) for name in ("/dev/ttyUSB0", "COM3", "socket://a:1")] == [
        "/dev/ttyUSB0",
        "COM3",
        "socket://a:1",
    ]


def test_two_such_adapters(plugged: list[ListPortInfo]) -> None:
    """Where two fit, none is taken: both are named, and what to do."""
    plugged += [adapter("/dev/ttyUSB1"), adapter("/dev/ttyUSB0", None)]
    with pytest.raises(OSError, match=r"several adapters are so \(/dev/ttyUSB0, /dev/ttyUSB1\): add the serial number"):
        usb.device_of("usb:0403:6001")


def test_an_adapter_that_is_not_there(plugged: list[ListPortInfo]) -> None:
    """The message names those that are there, as they are written in `port`."""
    plugged.append(adapter("/dev/ttyUSB0", "B7"))
    with pytest.raises(Retry) as raised:
        SerialLine(port=FTDI).open(Context(name="source.a", log=logging.getLogger("a")))
    assert str(raised.value) == f"{FTDI} is not plugged in; present now: usb:0403:6001:B7 (/dev/ttyUSB0)"


@pytest.mark.parametrize("wrong", ["usb:", "usb:403:6001", "usb:0403", "usb:0403:6001:", "usb:04g3:6001:A"])
def test_a_name_that_is_none(wrong: str) -> None:
    """It is a mistake in the configuration, with what was expected."""
    with pytest.raises(ValueError, match="expected usb:VENDOR:PRODUCT:SERIAL"):
        SerialLine(port=wrong)


def test_two_names_of_one_adapter(plugged: list[ListPortInfo], tmp_path: Path) -> None:
    """A line is claimed by its device: two tables that name it differently are found."""
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    plugged.append(adapter(str(tmp_path / "ttyUSB0")))
    claims = [[claim.what for claim in SerialLine(port=name).claims()] for name in (FTDI, str(tmp_path / "by-id"))]
    assert claims[0] == claims[1] == [f"serial line {tmp_path / 'ttyUSB0'}"]
    plugged.clear()
    assert [claim.what for claim in SerialLine(port=FTDI).claims()] == [f"serial line {FTDI.lower()}"]


@pytest.fixture
def wires(tmp_path: Path) -> Iterator[Callable[[str], Wire]]:
    """Give what plugs lines in under a name, which are unplugged in the end."""
    with ExitStack() as stack:

        def plug(name: str) -> Wire:
            wire = Wire(tmp_path / name)
            stack.callback(wire.unplug)
            return wire

        yield plug


def test_an_adapter_that_comes_back_under_another_name(
    plugged: list[ListPortInfo], wires: Callable[[str], Wire], caplog: pytest.LogCaptureFixture
) -> None:
    """It is unplugged while it is read, and plugged in as another device: the source says so, finds it, and goes on."""
    packets = [pack("gem48ptbin", "01000777", {"secs": 10 * number}) for number in range(4)]
    journal = MemoryJournal()
    first = wires("ttyUSB0")
    plugged.append(adapter(first.path))

    def send(wire: Wire, packet: bytes, count: int) -> None:
        def is_kept() -> bool:
            wire.send(packet)  # a port that is being opened throws away what has come in
            return work.worker.kept >= count

        wait_for(is_kept, "a packet in the journal")

    with RunningSource(journal, SerialLine(port=FTDI)) as work:
        send(first, packets[0], 1)
        plugged.pop()
        first.unplug()
        wait_for(lambda: f"{FTDI} is gone (unplugged?); no USB adapter is present" in caplog.text)
        second = wires("ttyUSB1")
        plugged.append(adapter(second.path))
        send(second, packets[1], work.worker.kept + 1)
    assert packets[1] in [entry.raw for entry in journal.read(0, 10_000)]


def test_each_adapter_is_offered_by_a_name_that_stays(plugged: list[ListPortInfo], tmp_path: Path) -> None:
    """A socket's name goes before an adapter's; at last a port that is to be named is offered. Nothing is opened."""
    device, folder = tmp_path / "ttyUSB3", tmp_path / "by-path"
    device.touch()
    folder.mkdir()
    (folder / "pci-1").symlink_to(device)
    plugged += [adapter(str(device)), adapter("/dev/ttyUSB4", "B")]
    *found, named = nearby.discover(folder)
    assert [one.settings for one in found] == [{"port": "usb:0403:6001:B"}, {"port": str(folder / "pci-1")}]
    assert [(one.kind, one.is_present) for one in found] == [("source", True)] * 2
    assert (named.is_present, named.ask) == (False, ("port", "baud"))
    assert [one.settings.get("port") for one in nearby.discover(tmp_path / "none")][:1] == ["usb:0403:6001:B"]

# SPDX-License-Identifier: GPL-3.0-or-later
"""From a serial line to the database, through the whole program: meters that send, and meters that are asked."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from servers.serial_line import Meters, Wire

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

PACKETS = 5
GEM, ECM = "gem48ptbin", "ecm1240bin"


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Plug a line in."""
    made = Wire(tmp_path / "ttyUSB0")
    yield made
    made.unplug()


def site(wire: Wire, settings: str = "") -> str:
    """Return the configuration."""
    source = f'[source.line]\nuse = "serial"\nport = "{wire.path}"\n{settings}'
    return f'state = "state"\n{source}\n[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'


def packets(format: str, serial: str) -> list[bytes]:
    """Make the packets that one meter sends."""
    return [
        pack(format, serial, {"volts": 120.0, "secs": 100 + 10 * n, "ch1_aws": 5000 * n, "ch1_pws": 100 * n})
        for n in range(PACKETS)
    ]


def sent(*serials: str) -> Counter[tuple[str, int]]:
    """Return what the database is to hold of meters that sent all their packets."""
    return Counter((serial, 100 + 10 * n) for serial in serials for n in range(PACKETS))


def stored(folder: Path, format: str) -> Counter[tuple[str, int]]:
    """Return what the database holds."""
    return Counter(table_rows(folder / "energy.db", f"{format}_counters"))


@contextmanager
def switched_on(wire: Wire, meters: Mapping[str, list[bytes]]) -> Iterator[Meters]:
    """Have these meters on the line, with their packets to send, while the block runs."""
    on = Meters(wire, meters)
    try:
        yield on
    finally:
        on.switch_off()


def test_a_gem_that_sends_by_itself(tmp_path: Path, wire: Wire) -> None:
    """Each packet is stored once, though the line brings them in pieces, with noise between them."""
    call = pack("ecm1220bin", "355555", {})
    with BtcoreProcess(tmp_path, site(wire)) as btcore:

        def heard() -> bool:
            wire.send(call)
            return "heard meter 355555" in btcore.log

        # a port that is being opened throws away what has come in; another meter's packets do not count here
        wait_for(heard, "the line to be listened to", patience=20)
        line = b"\xfe\xff\x05noise".join(packets(GEM, "01130567"))
        for place in range(0, len(line), 100):
            wire.send(line[place : place + 100])
        wait_for(lambda: stored(tmp_path, GEM).total() >= PACKETS, "all packets in the database")
        assert btcore.stop() == 0
    assert stored(tmp_path, GEM) == sent("01130567")


def test_two_ecms_that_are_asked(tmp_path: Path, wire: Wire) -> None:
    """Two ECMs on one line are asked in turn, and each packet of both is stored once."""
    serials = {"fc": "312345", "fd": "420467"}
    on_line = {device: packets(ECM, serial) for device, serial in serials.items()}
    settings = 'poll_interval = "100ms"\ndevices = ["fc", "fd"]\n'
    with switched_on(wire, on_line), BtcoreProcess(tmp_path, site(wire, settings)) as btcore:
        wait_for(lambda: stored(tmp_path, ECM).total() >= 2 * PACKETS, "all packets in the database")
        assert btcore.stop() == 0
    assert stored(tmp_path, ECM) == sent(*serials.values())


def test_a_gem_that_is_asked_by_its_serial_number(tmp_path: Path, wire: Wire) -> None:
    """Of two GEMs on one line the one that is named is asked, and each of its packets is stored once."""
    on_line = {"30567": packets(GEM, "01130567"), "21234": packets(GEM, "01021234")}
    settings = 'poll_interval = "100ms"\ndevices = ["01130567"]\n'
    with switched_on(wire, on_line) as meters, BtcoreProcess(tmp_path, site(wire, settings)) as btcore:
        wait_for(lambda: stored(tmp_path, GEM).total() >= PACKETS, "all packets in the database")
        assert btcore.stop() == 0
    assert stored(tmp_path, GEM) == sent("01130567")
    assert {name for name, _ in meters.asked} == {"30567"}


def test_an_adapter_that_is_unplugged_and_comes_back(tmp_path: Path, wire: Wire) -> None:
    """It goes on with the line as soon as it is back, however often that happens, and says what is missing."""
    settings = 'baud = 115200\nmin_backoff = "100ms"\nmax_backoff = "200ms"\n'
    with BtcoreProcess(tmp_path, site(wire, settings)) as btcore:
        for number in range(3):
            packet = pack(GEM, "01000777", {"secs": 100 + 10 * number})

            def is_stored(number: int = number, packet: bytes = packet) -> bool:
                wire.send(packet)  # a port that is being opened throws away what has come in
                return stored(tmp_path, GEM)["01000777", 100 + 10 * number] > 0

            wait_for(is_stored, f"packet {number}")
            wire.unplug()
            # the log sums up what fails again and again
            wait_for(lambda: "ttyUSB0 is gone (unplugged?)" in btcore.log, "the adapter to be missed")
            wire.plug()
        assert btcore.stop() == 0

# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated GEM that sends text: what it writes is what the decoders read; `btcore simulate --http` sends it."""

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Event

import pytest

from btcore import Chunk, Context, MeterCommand, Packet
from btcore.testing import BtcoreProcess, wait_for
from btmon_ascii.decoder import CANDIDATES, Ascii
from btmon_http.packets import has_token, packet_of
from btmon_http.requests import Request, RequestReader
from btmon_simulator.meter import SimulatedMeter, make_meters
from btmon_simulator.simulator import Simulator
from btmon_simulator.texts import NUMBERS

TIME = datetime(2026, 6, 21, 12, tzinfo=UTC)
FORMATS: dict[str, str] = {name: "gemseg" if name == "gemseg6" else name for name in NUMBERS.values()}
"""What the meter is set to, and the format that is read."""

KNOWN = {
    "gemascii": ["t1", "t2", "p1", "ch2_watts", "ch2_aws"],
    "gemhttpget": ["secs", "t1", "t2", "p1", "ch2_pws", "ch2_aws"],
    "gemseg6": ["t1", "t2", "ch2_watts"],
    "gememon": ["secs", "t1", "t2", "ch2_watts", "ch2_aws"],
    "gemcosm": ["t1", "t2", "ch2_watts"],
    "gemseg": ["t1", "t2", "ch2_watts", "ch2_aws"],
}
"""What each format has of some numbers."""

SITE = """
state = "state"
[source.gem]
use = "http"
host = "127.0.0.1"
port = 0
token = "WORD"
[sink.sqlite]
file = "energy.db"
"""
PATIENCE = 60.0


def meter(form: str, target: str = "") -> SimulatedMeter:
    """Return the meter of a house."""
    (made,) = make_meters(form, "01000777", 1, 1, timezone(timedelta()), target)
    return made


def shown(packet: Packet) -> dict[str, object]:
    """Return the numbers of a packet by label."""
    return dict(zip(packet.format.labels, packet.format.numbers(packet.raw), strict=True))


def check(packet: Packet | None, form: str, house: SimulatedMeter) -> None:
    """See that a packet has what its meter shows."""
    assert packet is not None
    assert packet.format.name == FORMATS[form]
    assert packet.serial == ("1000777" if form == "gemcosm" else "01000777")
    found, wanted = shown(packet), house.values(TIME)
    known = [
        label for label in ("secs", "t1", "t2", "p1", "ch2_watts", "ch2_pws", "ch2_aws") if found.get(label) is not None
    ]
    assert known == KNOWN[form]
    for label in known:
        assert found[label] == pytest.approx(wanted[label], abs=18 if label == "ch2_aws" else 0)
    assert found["volts"] == pytest.approx(wanted["volts"])


@pytest.mark.parametrize("form", FORMATS)
def test_a_text_of_a_simulated_meter_is_read(form: str) -> None:
    """The decoder finds in each format what the meter shows, energy to what the format has of it."""
    house = meter(form)
    text = house.packet(TIME)
    (found,) = CANDIDATES.finditer(text)
    answer = Ascii().decode_packet(memoryview(text)[found.start() :])
    assert isinstance(answer, Packet)
    check(answer, form, house)


@pytest.mark.parametrize("form", FORMATS)
def test_a_request_of_a_simulated_meter_is_read(form: str) -> None:
    """It has no Host, as a GEM's has none, and the token where its format has a place for it."""
    house = meter(form, "/some/WORD/")
    request = house.packet(TIME)
    assert b"host:" not in request.lower()
    (found,) = RequestReader().feed(request)
    assert isinstance(found, Request)
    assert (has_token(found, "WORD"), has_token(found, "OTHER"), found.stays) == (True, False, True)
    check(packet_of(found), form, house)


def test_a_gem_is_set_to_a_text_format_by_a_command() -> None:
    """As a real one is: SYSPKT with the number of the format."""
    simulator = Simulator(format="gem48pbin", packets=1)
    stop = Event()
    context = Context("source.a", logging.getLogger("a"))
    simulator.open(context=context)
    context.commands.post(MeterCommand(b"^^^SYSPKT03", "01000101"))
    sent = b"".join(one.data for one in simulator.collect(stop=stop) if isinstance(one, Chunk))
    assert sent.startswith(b"PKT\r\nSN=01000101&SC=")


def simulate(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "btcore", "simulate", *options]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, text=True)


@pytest.mark.servers
def test_btmon_http_can_be_tried_without_a_meter(tmp_path: Path) -> None:
    """Each format is sent, in pieces and beside junk; what is taken and what is refused is counted."""
    with BtcoreProcess(tmp_path, SITE) as btcore:
        url = f"http://127.0.0.1:{btcore.port()}"
        for n, form in enumerate(FORMATS):
            made = ("--serial", f"0100010{n}", "--format", form, "--packets", "3", "--no-realtime")
            done = simulate(*made, "--faults", "pieces", "--http", f"{url}/WORD/")
            assert (done.returncode, done.stdout) == (0, "")
            assert "3 packets of 1 meter: 3 requests taken by 127.0.0.1" in done.stderr
        damaged = ("--packets", "30", "--no-realtime", "--faults", "junk,truncated", "--fault-rate", "0.3")
        done = simulate(*damaged, "--http", f"{url}/WORD")
        assert "30 packets of 1 meter" in done.stderr
        assert "refused (400)" in done.stderr
        done = simulate("--packets", "2", "--no-realtime", "--http", url)
        assert (done.returncode, "0 requests taken" in done.stderr, "2 refused (403)" in done.stderr) == (
            69,
            True,
            True,
        )
        for n in range(len(FORMATS)):
            number = f"100010{n}" if list(FORMATS)[n] == "gemcosm" else f"0100010{n}"
            wait_for(lambda number=number: f"heard meter {number} " in btcore.log)  # type: ignore[misc]
        assert btcore.stop() == 0

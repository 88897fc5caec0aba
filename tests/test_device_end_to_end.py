# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore device` through the whole program: meters are changed while it reads them, and not one packet is lost."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import attrs
import pytest
from helpers.database_rows import table_rows

from btcore import pack
from btcore.testing import BtcoreProcess, free_port, wait_for
from btcore.testing.kit.waiting import PATIENCE, in_background

pytestmark = pytest.mark.servers

FORMATS = ("gem48ptbin", "gem48pbin", "ecm1240bin")
LEAD = timedelta(seconds=8)
"""How long after the simulation is started its first packet is sent: until then the sources have connected."""


def command(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of btcore to its end."""
    arguments = [sys.executable, "-m", "btcore", *words]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def at_a_terminal(folder: Path, reply: str, *words: str) -> str:
    """Run a command of btcore for somebody at a terminal, who replies so; return what it writes."""
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, f"{reply}\n".encode())
        arguments = [sys.executable, "-m", "btcore", *words]
        done = subprocess.run(
            arguments,
            cwd=folder,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    return done.stdout


def answer(folder: Path, *words: str) -> Any:  # noqa: ANN401 - JSON
    """Run a command that prints JSON, and return it."""
    done = command(folder, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@attrs.define
class Simulation:
    """`btcore simulate` as a process, with one meter that sends every second."""

    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """Stop it; return how many packets it has sent."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=PATIENCE)
        (count,) = re.findall(r"^(\d+) packets? of", errors, re.MULTILINE)
        return int(count)


@contextmanager
def simulated(folder: Path, *words: str) -> Iterator[Simulation]:
    """Simulate a meter while the block runs; one that listens can be connected to at once."""
    start = (datetime.now().astimezone() + LEAD).isoformat(timespec="seconds")
    arguments = [sys.executable, "-m", "btcore", "simulate", "--interval", "1s", "--start", start, *words]
    process = subprocess.Popen(arguments, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        if "--listen" in words and process.stderr is not None:
            assert "listening on" in process.stderr.readline()
        yield Simulation(process)
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def stored(folder: Path, serial: str, formats: tuple[str, ...] = FORMATS) -> int:
    """Return how many packets of a meter are in the database."""
    rows = [row for name in formats for row in table_rows(folder / "energy.db", f"{name}_counters", "serial")]
    return rows.count((serial,))


METERS = {
    "line-gem": ("gem48ptbin", "01000101", ["interval=2", "format=gem48pbin"]),
    "line-ecm": ("ecm1240bin", "300102", ["interval=2"]),
    "gate-gem": ("gem48pbin", "01000103", ["format=gem48ptbin", "interval=2"]),
    "gate-ecm": ("ecm1240bin", "300104", ["interval=2"]),
    "panel": ("gem48ptbin", "01000105", ["interval=2", "clock=2020-01-01T00:00:00"]),
}
"""The source of each meter, its format and serial number, and what it is told."""


def site(gem_port: int, ecm_port: int, panel_port: int) -> str:
    """Return the configuration: two serial lines, two gateways, and a port that a GEM connects to."""
    retry = 'min_backoff = "100ms"\nmax_backoff = "200ms"\n'
    return f"""
state = "state"
[source.line-gem]
use = "serial"
port = "ttyGEM"
{retry}
[source.line-ecm]
use = "serial"
port = "ttyECM"
{retry}
[source.gate-gem]
use = "tcp-client"
host = "127.0.0.1"
port = {gem_port}
{retry}
[source.gate-ecm]
use = "tcp-client"
host = "127.0.0.1"
port = {ecm_port}
{retry}
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = {panel_port}
sync_clock = true
[sink.sqlite]
file = "energy.db"
flush_interval = 0
"""


def test_meters_are_changed_while_btcore_reads_them(tmp_path: Path) -> None:
    """By serial line, by gateway, by a GEM that connects: each meter has what it was told, and no packet is lost."""
    gem_port, ecm_port, panel_port = free_port(), free_port(), free_port()
    ways = {
        "line-gem": ["--serial-port", "ttyGEM"],
        "line-ecm": ["--serial-port", "ttyECM"],
        "gate-gem": ["--listen", f"127.0.0.1:{gem_port}"],
        "gate-ecm": ["--listen", f"127.0.0.1:{ecm_port}"],
        "panel": ["--connect", f"127.0.0.1:{panel_port}"],
    }
    with BtcoreProcess(tmp_path, site(gem_port, ecm_port, panel_port)) as btcore, ExitStack() as running:
        btcore.port()
        simulations = {
            source: running.enter_context(simulated(tmp_path, "--format", form, "--serial", serial, *ways[source]))
            for source, (form, serial, _) in METERS.items()
        }
        for _, serial, _ in METERS.values():
            wait_for(lambda serial=serial: stored(tmp_path, serial) >= 2, f"packets of {serial}")  # type: ignore[misc]
        with ThreadPoolExecutor() as pool:  # at once: each source is asked for itself
            changes = [
                pool.submit(answer, tmp_path, "device", "set", serial, *words, "--yes")
                for _, serial, words in METERS.values()
            ]
        for (source, (_, serial, words)), change in zip(METERS.items(), changes, strict=True):
            told = change.result()
            assert (told["meter"], told["source"], told["interval"]) == (serial, source, 2)
            expected = [(*word.split("="), None if word.startswith("clock") else True) for word in words]
            rows = [(row["name"], row["new"].replace(" ", "T"), row["confirmed"]) for row in told["changes"]]
            assert rows == expected
        for serial, form in (("01000101", "gem48pbin"), ("01000103", "gem48ptbin")):
            wait_for(lambda s=serial, f=form: stored(tmp_path, s, (f,)) >= 2, f"{form} of {serial}")  # type: ignore[misc]
        wait_for(lambda: "set the clock of meter 01000105" in btcore.log, "the clock to be set")
        sent = {source: simulation.stop() for source, simulation in simulations.items()}
        for source, (_, serial, _) in METERS.items():
            wait_for(lambda: stored(tmp_path, serial) >= sent[source], f"all of {serial}")  # noqa: B023 - at once
        assert btcore.stop() == 0
    assert {source: stored(tmp_path, serial) for source, (_, serial, _) in METERS.items()} == sent


def dashbox(data: bytes) -> bytes:
    """Answer as a DashBox does: not at all, and packets go on."""
    return b""


def garbage(data: bytes) -> bytes:
    """Answer nonsense."""
    return b"ERROR 7\r\n"


@contextmanager
def gem_at(port: int, serial: str, answer: Callable[[bytes], bytes | None]) -> Iterator[None]:
    """Have a GEM connected that sends a packet now and then; it hangs up where its answer is None."""
    over = Event()

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            line.settimeout(0.2)
            seconds = 0
            while not over.is_set():
                seconds += 1
                line.sendall(pack("gem48ptbin", serial, {"volts": 120.0, "secs": seconds}))
                try:
                    data = line.recv(4096)
                except TimeoutError:
                    continue
                reply = answer(data)
                if reply is None or not data:
                    return
                line.sendall(reply)

    with in_background(over, run):
        yield


def test_every_way_in_which_no_answer_comes_is_told(tmp_path: Path) -> None:
    """Garbage, a DashBox that swallows commands and a meter that vanishes: each has its message, and packets go on."""
    panel = '[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = 0\n'
    with BtcoreProcess(
        tmp_path, f'state = "state"\n{panel}[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'
    ) as btcore:
        port = btcore.port()
        with (
            gem_at(port, "01000201", dashbox),
            gem_at(port, "01000202", garbage),
            gem_at(port, "01000203", lambda _data: None),
        ):
            for serial in ("01000201", "01000202", "01000203"):
                wait_for(lambda serial=serial: stored(tmp_path, serial) >= 1, serial)  # type: ignore[misc]
            with ThreadPoolExecutor() as pool:  # one after the other: it is one source
                shown = [pool.submit(command, tmp_path, "device", "show", f"0100020{n}") for n in (1, 2, 3)]
            listed = command(tmp_path, "device", "list").stdout
            refused = command(tmp_path, "device", "show", "panel")
        swallowed, nonsense, vanished = (one.result() for one in shown)
        assert btcore.stop() == 0
    assert all(done.returncode == 69 for done in (swallowed, nonsense, vanished, refused))
    assert "swallows commands. A DashBox does that" in swallowed.stderr
    assert 'what came was "ERROR 7"' in nonsense.stderr
    assert "ended in the middle of the command" in vanished.stderr
    assert all(serial in listed for serial in ("source.panel (tcp-server): sends commands", "01000201", "01000203"))
    assert "several meters: say which one is meant" in refused.stderr


def test_a_meter_is_asked_beside_no_running_btcore(tmp_path: Path) -> None:
    """Where btcore does not run, the command opens the source itself; without a terminal, nothing changes unasked."""
    port = free_port()
    config = tmp_path / "site.toml"
    config.write_text(
        f'state = "state"\n[source.gate]\nuse = "tcp-client"\nhost = "127.0.0.1"\nport = {port}\n[sink.print]\n'
    )
    with simulated(tmp_path, "--format", "ecm1240bin", "--listen", f"127.0.0.1:{port}"):
        shown = answer(tmp_path, "device", "show", "gate")
        asked = command(tmp_path, "device", "set", "gate", "interval=7")
        declined = at_a_terminal(tmp_path, "n", "device", "set", "gate", "interval=9")
        calibrated = command(tmp_path, "device", "set", "gate", "ch1.ct_type=146", "--yes")
        changed = command(
            tmp_path, "device", "set", "gate", "interval=7", "ch2.ct_range=1", "--yes", "--yes-lose-counters"
        )
    assert (shown["meter"], shown["family"], shown["interval"], shown["device"]) == ("300101", "ecm", 1, "fc")
    assert "  interval: 1 -> 7" in asked.stdout.splitlines()
    assert (asked.returncode, "--yes changes it without asking" in asked.stderr) == (2, True)
    assert ("  interval: 1 -> 9" in declined, "Change it? [y/N]" in declined, "nothing was changed" in declined) == (
        True,
        True,
        True,
    )
    assert (calibrated.returncode, "--yes-lose-counters" in calibrated.stderr) == (2, True)
    assert changed.stdout.splitlines() == [
        "meter 300101 (ECM)",
        "  interval: 1 -> 7: done",
        "  ch2.ct_range: 3 -> 1: done",
    ]


def test_the_answer_of_a_meter_is_no_packet_that_is_damaged(tmp_path: Path) -> None:
    """A GEM answers with text and sends no packet for a while: that is no reason to change its format."""
    port = free_port()
    (tmp_path / "site.toml").write_text(
        f'state = "state"\n[source.gate]\nuse = "tcp-client"\nhost = "127.0.0.1"\nport = {port}\n[sink.print]\n'
    )
    with simulated(tmp_path, "--format", "gem48ptbin", "--listen", f"127.0.0.1:{port}"):
        shown = command(tmp_path, "device", "show", "gate")
    assert (shown.returncode, "(GEM)" in shown.stdout, shown.stderr) == (0, True, "")


def test_a_mistake_is_told_before_any_meter_is_asked(tmp_path: Path) -> None:
    """A change that there is not is the usage's exit code; a meter that is not known is named with those that are."""
    config = tmp_path / "site.toml"
    config.write_text('state = "state"\n[source.a]\nuse = "simulator"\n[source.b]\nuse = "simulator"\n[sink.print]\n')
    wrong = command(tmp_path, "device", "set", "300101", "interval=0", "--yes")
    assert (wrong.returncode, "seconds from 1 to 255" in wrong.stderr) == (2, True)
    unknown = command(tmp_path, "device", "show", "300101")
    assert unknown.returncode == 69

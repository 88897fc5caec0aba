# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration that changes while meters send: SIGHUP and `btcore reload`, through the whole program."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from helpers.packets import METER, packet

from btcore.testing import BtcoreProcess, free_port, wait_for
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

TABLE = "ecm1220bin_counters"


@pytest.fixture(autouse=True)
def hang_up_is_heard() -> Iterator[None]:
    """Have what is started here hear SIGHUP, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def site(port: int, **sinks: str) -> str:
    """Return a configuration: a port that meters connect to, and sinks by their names."""
    parts = ['state = "state"', f'[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = {port}']
    return "\n".join([*parts, *(f"[sink.{name}]\n{text}" for name, text in sinks.items())]) + "\n"


def sqlite(name: str, more: str = "") -> str:
    """Return the settings of a database."""
    at_once = "" if "flush_interval" in more else "flush_interval = 0\n"
    return f'use = "sqlite"\nfile = "{name}.db"\n{at_once}{more}\n'


class Meter:
    """A meter that sends numbered packets over one connection."""

    def __init__(self, port: int) -> None:
        """Prepare."""
        self._port = port
        self.over = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Send until it is over, or the program is."""
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            for number in count():
                connection.sendall(packet(secs=number, energy=100 * number))
                self.sent = number + 1
                if self.over.wait(0.002):
                    break


class Reloaded:
    """A program whose configuration is changed while a meter sends."""

    def __init__(self, folder: Path, process: BtcoreProcess, meter: Meter) -> None:
        """Take them."""
        self.folder = folder
        self.process = process
        self.meter = meter

    def write(self, text: str) -> None:
        """Write a configuration."""
        (self.folder / "site.toml").write_text(text)

    def hang_up(self, expected: str) -> str:
        """Send SIGHUP; return what was logged, once this is in it, and the meter has sent more."""
        before = len(self.process.log)
        self.process.process.send_signal(signal.SIGHUP)
        wait_for(lambda: expected in self.process.log[before:], f"the log to have {expected!r}")
        sent = self.meter.sent
        wait_for(lambda: self.meter.sent > sent + 20)
        return self.process.log[before:]

    def ask(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run `btcore reload`."""
        command = [sys.executable, "-m", "btcore", "reload", "--config", "site.toml", *options]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=100, check=False)

    def stored(self, name: str) -> set[int]:
        """Return the numbers of the packets in a database."""
        return {secs for _, secs in table_rows(self.folder / f"{name}.db", TABLE)}


@contextmanager
def running(folder: Path, port: int, text: str) -> Iterator[Reloaded]:
    """Run a configuration, with a meter that sends."""
    meter = Meter(port)
    with BtcoreProcess(folder, text) as process:
        process.port()
        with in_background(meter.over, meter.run):
            wait_for(lambda: meter.sent > 20)
            yield Reloaded(folder, process, meter)


def test_no_packet_is_lost_while_sinks_are_changed_added_and_removed(tmp_path: Path) -> None:
    """SIGHUP with a sink changed, added and removed, and with a mistake: every packet of the connection is stored."""
    port = free_port()
    with running(tmp_path, port, site(port, kept=sqlite("kept"), gone=sqlite("gone"))) as run:
        run.write(site(port, kept=sqlite("kept", 'flush_interval = "100ms"'), gone=sqlite("gone")))
        run.hang_up("sink.kept: restarted (flush_interval)")
        run.write(site(port, kept=sqlite("kept", 'flush_interval = "100ms"'), gone=sqlite("gone"), more=sqlite("more")))
        run.hang_up("sink.more: added")
        run.write(site(port, kept=sqlite("kept", 'flush_interval = "100ms"'), more=sqlite("more")))
        run.hang_up("sink.gone: removed")
        run.write(site(port, kept="use = sqlite"))
        run.hang_up("the configuration that runs stays in use")
        run.write(site(port, kept=sqlite("kept"), more=sqlite("more", "batch_size = 3")))
        run.hang_up("sink.more: restarted (batch_size)")
        run.meter.over.set()
        wait_for(lambda: run.stored("kept") == run.stored("more") == {*range(run.meter.sent)}, "all to be stored")
        assert run.process.stop() == 0
    assert run.meter.sent > 100
    assert "source.panel: restarted" not in run.process.log
    assert run.process.log.count("listening on") == 1
    assert f"heard meter {METER}" in run.process.log


def test_no_packet_is_lost_while_the_source_is_changed(tmp_path: Path) -> None:
    """The port and the connections of a tcp-server outlast its change: what is sent meanwhile is read as well."""
    port = free_port()
    with running(tmp_path, port, site(port, kept=sqlite("kept"))) as run:
        for seconds in (50, 60, 70):
            run.write(site(port, kept=sqlite("kept")).replace("[sink", f'idle_timeout = "{seconds}s"\n[sink', 1))
            run.hang_up("source.panel: restarted (idle_timeout)")
        run.meter.over.set()
        wait_for(lambda: run.stored("kept") == {*range(run.meter.sent)}, "all to be stored")
        assert run.process.stop() == 0
    assert run.process.log.count("listening on") == 1


def test_a_port_that_is_changed_or_given_up_is_closed(tmp_path: Path) -> None:
    """After a reload with another port nobody listens on the one before, and the meter that sent there is cut off."""
    port, other = free_port(), free_port()
    with running(tmp_path, port, site(port, kept=sqlite("kept"))) as run:
        run.write(site(other, kept=sqlite("kept")))
        assert run.ask().returncode == 0
        wait_for(lambda: f"listening on 127.0.0.1:{other}" in run.process.log)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=20)
        assert run.process.stop() == 0


def test_a_mistake_is_logged_as_check_reports_it(tmp_path: Path) -> None:
    """A configuration with a mistake changes nothing: it is logged as `check` reports it, and `reload` exits 78."""
    port = free_port()
    with running(tmp_path, port, site(port, kept=sqlite("kept"))) as run:
        run.write(site(port, kept=sqlite("kept", "flsh_interval = 1")))
        command = [sys.executable, "-m", "btcore", "check", "--config", str(tmp_path / "site.toml")]
        checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        answered = run.ask()
        assert (checked.returncode, answered.returncode, answered.stdout) == (78, 78, "")
        assert "flsh_interval" in checked.stderr
        assert checked.stderr == answered.stderr
        assert checked.stderr.strip() in run.process.log
        assert run.process.stop() == 0
    assert run.stored("kept") >= {0, 20}


def test_reload_answers_what_has_changed(tmp_path: Path) -> None:
    """`btcore reload` prints a line for each change and exits 0; what takes a restart is a warning."""
    port = free_port()
    with running(tmp_path, port, site(port, kept=sqlite("kept"))) as run:
        assert run.ask().stdout == "nothing has changed\n"
        run.write("max_journal_bytes = 7_000_000_000\n" + site(port, kept=sqlite("other"), more=sqlite("more")))
        answered = run.ask()
        assert answered.stdout == "sink.more: added\nsink.kept: restarted (file)\n"
        assert answered.stderr == "max_journal_bytes: the new value is used after a restart\n"
        assert answered.returncode == 0
        assert run.process.stop() == 0
    assert run.ask().returncode == 69


def notifications(listener: socket.socket, until: str) -> list[str]:
    """Return what the program tells its service manager, up to some line."""
    found: list[str] = []
    listener.settimeout(0)

    def is_told() -> bool:
        with suppress(BlockingIOError):
            while until not in found:
                found.extend(listener.recv(4096).decode().splitlines())
        return until in found

    wait_for(is_told, f"{until} to be told")
    return found


def test_a_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready when it listens, feeds the watchdog, tells of a reload, even if it fails, and of its end."""
    port = free_port()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        with BtcoreProcess(tmp_path, site(port, kept=sqlite("kept"))) as process:
            status = "STATUS=1 source, 0 meters, 1 sink"
            if status not in notifications(listener, "READY=1"):
                notifications(listener, status)
            assert "listening on" in process.log
            notifications(listener, "WATCHDOG=1")
            (tmp_path / "site.toml").write_text("[sink.kept")
            process.process.send_signal(signal.SIGHUP)
            told = [line.partition("=")[0] for line in notifications(listener, "READY=1") if "WATCHDOG" not in line]
            assert told == ["RELOADING", "MONOTONIC_USEC", "READY"]
            notifications(listener, "STATUS=1 source, 0 meters, 1 sink; the last reload has failed")
            assert process.stop() == 0
            assert notifications(listener, "STOPPING=1")

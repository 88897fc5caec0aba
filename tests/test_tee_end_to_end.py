# SPDX-License-Identifier: GPL-3.0-or-later
"""One simulated GEM behind a gateway, and all who read it, through the whole program."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread

import attrs
import pytest
from helpers.database_rows import table_rows

from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.records import EPOCH
from btcore.testing import BtcoreProcess, free_port, wait_for
from btcore.testing.kit.waiting import PATIENCE

pytestmark = pytest.mark.servers

SERIAL = "01000777"
TABLE = "gem48ptbin_counters"


def site(gateway: int, readers: int, copies: int) -> str:
    """Return the configuration of the btcore that has the only connection to the gateway."""
    return f"""
state = "state"
[source.panel]
use = "proxy"
listen = "127.0.0.1:{readers}"
tcp_client = {{ host = "127.0.0.1", port = {gateway} }}
min_backoff = "100ms"
max_backoff = "200ms"
[sink.sqlite]
file = "energy.db"
[sink.copy]
use = "tee"
listen = "127.0.0.1:{copies}"
"""


@contextmanager
def simulated_gem(port: int) -> Iterator["subprocess.Popen[str]"]:
    """Have a GEM behind a gateway that sends a packet each second, and answers commands."""
    arguments = ["simulate", "--format", "gem48ptbin", "--serial", SERIAL, "--interval", "1s"]
    listening = [*arguments, "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen([sys.executable, "-m", "btcore", *listening], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@attrs.define(eq=False)
class Reader:
    """A program that reads; `data` is what it was sent."""

    connection: socket.socket
    data: bytearray = attrs.field(factory=bytearray)

    def listen(self) -> None:
        """Read from now on."""
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while data := self.connection.recv(4096):
                self.data += data

    @property
    def seconds(self) -> list[int]:
        """The seconds counters of the packets that came."""
        found = Decoders([Brultech()]).stream().feed(bytes(self.data), EPOCH)
        return [int(dict(zip(p.format.labels, p.numbers or (), strict=True))["secs"] or 0) for p, _ in found]


def connect(stack: ExitStack, btcore: BtcoreProcess, port: int) -> Reader:
    """Connect a reader, and wait until it is served."""
    before = btcore.log.count(" reads, ")
    wait_for(lambda: f"listening on 127.0.0.1:{port}" in btcore.log, "the port for readers")
    reader = Reader(stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)))
    wait_for(lambda: btcore.log.count(" reads, ") > before, "a reader to be served")
    return reader


def stored(folder: Path) -> list[int]:
    """Return the seconds counters in the database."""
    return sorted(int(secs) for serial, secs in table_rows(folder / "energy.db", TABLE) if serial == SERIAL)


def test_three_readers_of_one_meter(tmp_path: Path) -> None:
    """One reader is slow and one sends commands: the third has all that is stored, and so has one of the sink."""
    gateway, readers, copies = free_port(), free_port(), free_port()
    running = BtcoreProcess(tmp_path, site(gateway, readers, copies))
    with simulated_gem(gateway), running as btcore, ExitStack() as stack:
        quick, slow, asking = (connect(stack, btcore, readers) for _ in range(3))
        copy = connect(stack, btcore, copies)
        for one in (quick, asking, copy):
            one.listen()  # the slow one takes nothing until the end
        for number, answer in enumerate([SERIAL.encode(), b"4.63", b"ON"]):
            asking.connection.sendall([b"^^^RQSSRN", b"^^^RQSVR1", b"^^^RQSRTL"][number])
            wait_for(lambda answer=answer: answer + b"\r\n" in asking.data, f"the answer {answer!r}")  # type: ignore[misc]
        asking.connection.sendall(b"^^^SYSIVL002")
        wait_for(lambda: b"IVL\r\n" in asking.data, "the interval to be set")
        wait_for(lambda: len(copy.seconds) >= 3, "packets")
        assert btcore.stop() == 0
        slow.listen()
        wait_for(lambda: slow.seconds[-1:] == quick.seconds[-1:], "the slow reader's packets")
    kept = stored(tmp_path)
    assert slow.seconds == quick.seconds[-len(slow.seconds) :]
    assert quick.seconds == kept[-len(quick.seconds) :]
    assert copy.seconds == kept[kept.index(copy.seconds[0]) :][: len(copy.seconds)]
    assert not re.search(rb"\d\r\n|ON|IVL", bytes(quick.data))


def test_another_btcore_reads_and_asks_through_the_proxy(tmp_path: Path) -> None:
    """A second btcore whose source is the proxy's port stores the same, and shows the meter's settings through it."""
    gateway, readers, copies = free_port(), free_port(), free_port()
    (second := tmp_path / "second").mkdir()
    source = f'[source.panel]\nuse = "tcp-client"\nhost = "127.0.0.1"\nport = {readers}\nmin_backoff = "100ms"\n'
    configuration = f'state = "state"\n{source}[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'
    running = BtcoreProcess(tmp_path, site(gateway, readers, copies))
    with simulated_gem(gateway), running as btcore, BtcoreProcess(second, configuration) as other:
        wait_for(lambda: len(stored(second)) >= 2, "packets in the second database")
        shown = subprocess.run(
            [sys.executable, "-m", "btcore", "device", "show", SERIAL, "--json"],
            cwd=second,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (other.stop(), btcore.stop()) == (0, 0)
    assert shown.returncode == 0, shown.stderr
    assert (json.loads(shown.stdout)["meter"], json.loads(shown.stdout)["interval"]) == (SERIAL, 1)
    assert set(stored(second)) <= set(stored(tmp_path))

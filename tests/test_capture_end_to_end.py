# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore capture`: of a running program and of a source at rest; what it records is played again."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.database_rows import table_rows

from btcore import pack, read_capture
from btcore.cli import OK, UNAVAILABLE, main
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.records import from_microseconds
from btcore.testing import BtcoreProcess, free_port, wait_for
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

GEM = "01000777"


def packet(secs: int) -> bytes:
    """Make a packet."""
    return pack("gem48pbin", GEM, {"volts": 120.0, "secs": secs})


@contextmanager
def meter(port: int) -> Iterator[None]:
    """Connect, and send a packet again and again, in two pieces."""
    over = threading.Event()

    def run() -> None:
        secs = 1000
        while not over.wait(0.05):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                    while not over.wait(0.05):
                        secs += 1
                        connection.sendall(packet(secs)[:100])
                        connection.sendall(packet(secs)[100:])
            except OSError:
                continue

    with in_background(over, run):
        yield


def site(folder: Path, port: int) -> Path:
    """Write a configuration."""
    file = folder / "site.toml"
    file.write_text(
        f'state = "state"\n[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = {port}\n'
        '[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'
    )
    return file


def serials(capture: Path) -> set[str]:
    """Return the meters in a capture."""
    streams = Decoders([Brultech()])
    stream = streams.stream()
    return {
        found.serial for chunk in read_capture(capture) for found, _ in stream.feed(chunk.data, from_microseconds(0))
    }


def seconds_in(database: Path) -> set[int]:
    """Return the seconds counters of what was stored."""
    return {row[1] for row in table_rows(database, "gem48pbin_counters")}


def test_beside_a_running_program(tmp_path: Path) -> None:
    """The program goes on; the capture has packets that it stored too, and plays back to the same readings."""
    port = free_port()
    config = site(tmp_path, port)
    capture = tmp_path / "capture.json"
    with BtcoreProcess(tmp_path, config.read_text()) as btcore, meter(btcore.port()):
        wait_for(lambda: seconds_in(tmp_path / "energy.db"), "readings")
        assert main(["capture", "-o", str(capture), "--config", str(config), "--for", "2s"]) == OK
        assert btcore.stop() == 0
    live = seconds_in(tmp_path / "energy.db")
    again = tmp_path / "again"
    again.mkdir()
    (again / "site.toml").write_text(
        f'state = "state"\n[source.file]\npath = "{capture}"\n[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\n'
    )
    assert main(["run", "--once", "--quiet", "--config", str(again / "site.toml")]) == OK
    played = seconds_in(again / "energy.db")
    assert len(played) > 5
    assert played <= live


def test_of_a_source_at_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing runs, the source is opened; with --obfuscate the meter is not known any more, and decodes."""
    port = free_port()
    config = site(tmp_path, port)
    capture = tmp_path / "capture.json"
    with meter(port):
        line = ["capture", "panel", "-o", str(capture), "--config", str(config), "--for", "2s", "--obfuscate"]
        assert main(line) == OK
    assert serials(capture) == {"01000001"}
    assert "1 serial number replaced" in capsys.readouterr().err
    assert capture.stat().st_mode & 0o077 == 0
    assert main(["decode", str(capture), "--json"]) == OK
    assert {json.loads(one)["serial"] for one in capsys.readouterr().out.splitlines()} == {"01000001"}
    assert not (tmp_path / "state").exists()


def test_a_capture_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there is refused, and stays."""
    (tmp_path / "capture.json").write_text("dear")
    config = site(tmp_path, free_port())
    line = ["capture", "-o", str(tmp_path / "capture.json"), "--config", str(config), "--for", "1s"]
    assert main(line) == UNAVAILABLE
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "capture.json").read_text() == "dear"


def test_nothing_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing came in, the exit code says so."""
    config = site(tmp_path, free_port())
    assert main(["capture", "-o", "-", "--config", str(config), "--for", "1s"]) == UNAVAILABLE
    assert "nothing came in by source." in capsys.readouterr().err


def test_a_capture_of_nothing_is_no_file(tmp_path: Path) -> None:
    """The same command can be given again, once the meter sends."""
    config, capture = site(tmp_path, free_port()), tmp_path / "capture.json"
    assert main(["capture", "-o", str(capture), "--config", str(config), "--for", "1s"]) == UNAVAILABLE
    assert not capture.exists()


@pytest.mark.parametrize("option", ["", "--obfuscate"])
def test_a_disk_that_takes_no_capture_is_told(tmp_path: Path, option: str) -> None:
    """In one line, without a traceback: here no file may have any content.

    Python itself dies of the limit where it writes bytecode before it has set its signals.
    """
    (tmp_path / "site.toml").write_text('state = "state"\n[source.simulator]\ninterval = "1s"\n[sink.print]\n')
    command = f"ulimit -f 0; exec {sys.executable} -m btcore capture -o capture.json --for 3s {option}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (
        UNAVAILABLE,
        ["btcore: cannot write the capture: File too large"],
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "capture.json").exists()


@pytest.mark.parametrize("words", [[], ["roof"]])
def test_which_source(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Of two sources one has to be named, and it has to be there."""
    config = site(tmp_path, free_port())
    config.write_text(config.read_text() + f'[source.cellar]\nuse = "tcp-server"\nport = {free_port()}\n')
    assert main(["capture", *words, "-o", "-", "--config", str(config)]) == UNAVAILABLE
    assert "panel, cellar" in capsys.readouterr().err

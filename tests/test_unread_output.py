# SPDX-License-Identifier: GPL-3.0-or-later
"""Output that nobody reads: it holds up neither what comes in, nor what goes out, nor a stop."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.database_rows import table_rows

from btcore import pack
from btcore.cli import CONFIGURATION, OK, UNAVAILABLE, USAGE
from btcore.testing import free_port, wait_for

pytestmark = pytest.mark.servers

PACKETS = 3000


@pytest.fixture
def pipe() -> Iterator[int]:
    """Return the end to write to of a pipe that nobody reads, and that is full after some kilobytes."""
    read, write = os.pipe()
    yield write
    os.close(read)


def start(
    folder: Path,
    port: int,
    sink: str,
    *options: str,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start btcore with a TCP server and a database."""
    config = folder / "site.toml"
    config.write_text(
        f'state = "state"\n[source.panel]\nuse = "tcp-server"\nhost = "127.0.0.1"\nport = {port}\n'
        f'[sink.kept]\nuse = "sqlite"\nfile = "energy.db"\nflush_interval = 0\n{sink}'
    )
    command = [sys.executable, "-m", "btcore", "run", "--config", str(config), *options]
    return subprocess.Popen(command, cwd=folder, stdout=stdout, stderr=stderr)


def send(port: int) -> None:
    """Send packets, each over a connection of its own now and then, so that there is much to log."""
    sent = 0
    while sent < PACKETS:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as meter:
            for _ in range(30):
                meter.sendall(pack("ecm1240bin", "312345", {"secs": sent, "ch1_aws": 1000 * sent}))
                sent += 1


def listening(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("output", "sink", "options", "code"),
    [
        ("stderr", "", ("--verbose",), OK),
        ("stdout", '[sink.screen]\nuse = "print"\n', (), None),
    ],
)
def test_what_nobody_reads_holds_nothing_up(
    tmp_path: Path, pipe: int, output: str, sink: str, options: tuple[str, ...], code: int | None
) -> None:
    """With stderr or standard output into a pipe that stands still, all is stored, and a stop ends the program."""
    port = free_port()
    unread = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, output: pipe}
    process = start(tmp_path, port, sink, *options, stdout=unread["stdout"], stderr=unread["stderr"])
    try:
        wait_for(lambda: listening(port), "btcore to listen")
        send(port)
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", "ecm1240bin_counters")) == PACKETS, "all to be stored")
        process.send_signal(signal.SIGTERM)
        ended = process.wait(45)
        assert code is None or ended == code
        assert ended >= 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_files_are_no_harm(tmp_path: Path, closed: str) -> None:
    """Started without stderr, or without any standard file, it runs, and nothing of its log goes into its own files."""
    port = free_port()
    process = start(tmp_path, port, "")
    process.kill()
    process.wait()
    command = f'exec "{sys.executable}" -m btcore run --config site.toml {closed}'
    process = subprocess.Popen(["/bin/sh", "-c", command], cwd=tmp_path)
    try:
        wait_for(lambda: listening(port), "btcore to listen")
        send(port)
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", "ecm1240bin_counters")) == PACKETS, "all to be stored")
        process.send_signal(signal.SIGTERM)
        assert process.wait(45) == OK
    finally:
        process.kill()
        process.wait()


def shell(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run btcore from a shell."""
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("btcore", f'"{sys.executable}" -m btcore', 1)],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        timeout=60,
        text=True,
        check=False,
    )


COMMANDS = ["plugins", "check --config site.toml", "decode capture", "init --output -", "simulate"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with what the commands read."""
    (tmp_path / "site.toml").write_text('[source.file]\npath = "capture"\n[sink.print]\n')
    (tmp_path / "capture").write_bytes(pack("ecm1240bin", "312345", {"secs": 1}))
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("to", "why"), [(">&-", "closed"), (">/dev/full", "No space left on device")])
def test_a_command_that_cannot_write_says_so(folder: Path, command: str, to: str, why: str) -> None:
    """Where standard output is closed or full, a command says so, with the exit code for that."""
    done = shell(folder, f"btcore {command} {to}")
    assert (done.returncode, why in done.stderr, "Traceback" in done.stderr) == (UNAVAILABLE, True, False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_in_the_characters_that_there_are(folder: Path, command: str) -> None:
    """On a terminal that knows ASCII alone, no command fails."""
    done = shell(folder, f"btcore {command}", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, "Traceback" in done.stderr) == (OK, False)


def test_a_path_that_the_locale_cannot_write_is_a_mistake_at_its_setting(folder: Path) -> None:
    """Where names of files are in ASCII alone, no command ends with a traceback."""
    (folder / "site.toml").write_text('state = "zähler"\n[source.simulator]\n[sink.print]\n')
    done = shell(folder, "btcore check", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    start = "site.toml:1: state: the names of files are in ascii here, which lacks a letter of this one; "
    assert (done.returncode, done.stderr[: len(start)]) == (CONFIGURATION, start)


def test_errors_of_use_steer_no_terminal(folder: Path) -> None:
    """What a person mistyped is repeated as plain text, in one line."""
    done = shell(folder, "btcore check site.toml \"$(printf 'a\\033[2J\\nb')\"")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        USAGE,
        "btcore check: error: unrecognized arguments: a [2J b",
    )
    done = shell(folder, "btcore check --config \"$(printf 'a\\033[2J\\nb')\"")
    assert (done.returncode, "\x1b" in done.stderr, len(done.stderr.splitlines())) == (CONFIGURATION, False, 1)

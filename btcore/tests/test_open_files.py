# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process holds a file or a port."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from btcore import processes_holding, processes_listening
from btcore.testing import free_port

pytestmark = pytest.mark.servers

HOLD = """
import socket, sys
file = open(sys.argv[1])
server = socket.create_server(("127.0.0.1", int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(file: Path, port: int) -> Iterator[int]:
    """Run a program that has a file open and listens on a port."""
    script = file.with_name("holder.py")
    script.write_text(HOLD)
    command = [sys.executable, str(script), str(file), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.close()


def test_the_process_that_holds_a_file_and_a_port_is_named(tmp_path: Path) -> None:
    """A script is named by its own name, with its number; the one that may have it is not, nor this process."""
    file, link, port = tmp_path / "line", tmp_path / "by-path", free_port()
    file.touch()
    link.symlink_to(file)
    with file.open(), holder(file, port) as number:
        expected = [f"holder.py (process {number})"]
        assert processes_holding(str(link)) == expected
        assert processes_listening(port) == expected
        assert processes_holding(str(file), besides=number) == []
        assert processes_listening(port, besides=number) == []


def test_nobody_holds_what_is_free(tmp_path: Path) -> None:
    """No process is named for a file that nobody has, or a port that this process alone listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert processes_listening(server.getsockname()[1]) == []
    assert processes_holding(str(tmp_path / "none")) == []

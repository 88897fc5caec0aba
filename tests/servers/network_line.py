# SPDX-License-Identifier: GPL-3.0-or-later
"""A line between a program and a server that can be cut: what is under way is swallowed, and nobody is told.

Where the computer lets us (Linux, root, iproute2), the program is in a network namespace of its own, and its interface
is taken down. Elsewhere a proxy stops forwarding, which to both ends looks the same: no answer, and no end.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

import attrs

from btcore.testing import free_port


class Line(Protocol):
    """A line that is there. `host` is the address of this side, at which servers listen."""

    host: str

    def command(self) -> Sequence[str]:
        """Return what a command begins with that is to be at the other end."""

    def port_of(self, port: int) -> int:
        """Return the port by which the other end reaches one at `host`."""

    def cut(self) -> None:
        """Let nothing through."""

    def mend(self) -> None:
        """Let everything through again."""


@contextmanager
def network_line() -> Iterator[Line]:
    """Make a line; it is gone in the end."""
    with ExitStack() as stack:
        try:
            line: Line = stack.enter_context(_namespace())
        except (OSError, subprocess.CalledProcessError):
            line = ProxyLine(stack)
        yield line


@contextmanager
def at_the_other_end(folder: Path, line: Line) -> Iterator[None]:
    """Run btcore at the other end of a line; it is stopped as a service manager does."""
    command = [*line.command(), sys.executable, "-m", "btcore", "run"]
    with (folder / "log.txt").open("ab") as log, subprocess.Popen(command, cwd=folder, stderr=log) as process:
        try:
            yield
            process.terminate()
            assert process.wait(60) == 0, (folder / "log.txt").read_text()
        finally:
            process.kill()


@attrs.define
class NamespaceLine:
    """A pair of interfaces, of which one is in a namespace."""

    name: str
    interface: str
    host: str

    def command(self) -> Sequence[str]:
        """Return what runs a command in the namespace."""
        return ["ip", "netns", "exec", self.name]

    def port_of(self, port: int) -> int:
        """Return the same port: it is reached as it is."""
        return port

    def cut(self) -> None:
        """Take the interface down: packets are dropped, in both directions."""
        _ip("link", "set", self.interface, "down")

    def mend(self) -> None:
        """Take it up again."""
        _ip("link", "set", self.interface, "up")


@contextmanager
def _namespace() -> Iterator[NamespaceLine]:
    if os.geteuid() or not shutil.which("ip"):
        raise PermissionError
    number = os.getpid() % 16_384
    name, near, far = f"btcore{number}", f"bt{number}a", f"bt{number}b"
    net = f"10.213.{number // 64}.{number % 64 * 4}".rpartition(".")
    host, other = (f"{net[0]}.{int(net[2]) + one}" for one in (1, 2))
    with ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "del", name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("addr", "add", f"{host}/30", "dev", near)
        _ip("link", "set", near, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{other}/30", "dev", far),
            ("link", "set", far, "up"),
        ):
            _ip("-netns", name, *words)
        yield NamespaceLine(name, near, host)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class ProxyLine:
    """A proxy for each port, whose threads wait while the line is cut."""

    host = "127.0.0.1"

    def __init__(self, stack: ExitStack) -> None:
        """Begin with a line that is whole; what is opened is closed by `stack`."""
        self._stack = stack
        self._is_whole = Event()
        self._is_whole.set()
        stack.callback(self._is_whole.set)

    def command(self) -> Sequence[str]:
        """Return nothing: the other end is here."""
        return []

    def port_of(self, port: int) -> int:
        """Forward a new port."""
        listener = self._stack.enter_context(socket.create_server((self.host, free_port())))
        Thread(target=self._accept, args=(listener, port), daemon=True).start()
        return int(listener.getsockname()[1])

    def cut(self) -> None:
        """Stop forwarding."""
        self._is_whole.clear()

    def mend(self) -> None:
        """Go on."""
        self._is_whole.set()

    def _accept(self, listener: socket.socket, port: int) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                self._is_whole.wait()
                far = socket.create_connection((self.host, port))
                for pair in ((near, far), (far, near)):
                    Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(65_536):
                self._is_whole.wait()
                target.sendall(data)

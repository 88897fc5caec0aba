# SPDX-License-Identifier: GPL-3.0-or-later
"""Destinations of a simulation: a file, TCP connections, a TCP port, or a serial line.

Each destination has `send` and `close`; all but a file pass on what comes in: commands. What is sent, and
when, is decided by the plugin of btmon-simulator.
"""

import contextlib
import os
import select
import socket
import sys
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Protocol

from btcore.capture.files import capture_line
from btcore.errors import Unavailable
from btcore.logs.handler import say
from btcore.records import Chunk
from btcore.text import plural

Heard = Callable[[str, bytes], None]
"""Takes what came in on a stream: commands to the meter."""

READ_SIZE = 4096

TIMEOUT = 5.0
"""The most seconds to open a connection, or to send a packet."""


class Destination(Protocol):
    """Takes the chunks of a simulation, one after another."""

    def send(self, chunk: Chunk) -> None:
        """Take a chunk."""

    def close(self) -> str:
        """Finish; return a summary for people. Raises Unavailable if everything was lost."""


class Recording:
    """A file, or standard output: lines of JSON, or the plain bytes. `at_once`: write without a buffer."""

    def __init__(self, file: BinaryIO, *, plain: bool, at_once: bool) -> None:
        """Write to an open file."""
        self._file = file
        self._plain = plain
        self._at_once = at_once

    def send(self, chunk: Chunk) -> None:
        """Write a chunk."""
        self._file.write(chunk.data if self._plain else capture_line(chunk).encode())
        if self._at_once:
            self._file.flush()

    def close(self) -> str:
        """Write what is still in the buffer; standard output stays open."""
        self._file.flush() if self._file is sys.stdout.buffer else self._file.close()
        return ""


class Connections:
    """A TCP connection for each meter, opened again after a loss. As with a meter, what cannot be sent is lost."""

    def __init__(self, host: str, port: int, heard: Heard) -> None:
        """Connect when there is something to send. `heard` is given what the other side sends."""
        self.opened = 0
        self.sent = 0
        self.lost = 0
        self._address = (host, port)
        self._heard = heard
        self._sockets: dict[str, socket.socket] = {}
        self._closed: set[socket.socket] = set()
        self._failing = False

    def send(self, chunk: Chunk) -> None:
        """Send a chunk over its meter's connection."""
        try:
            self._connection(chunk.stream).sendall(chunk.data)
        except OSError as error:
            self.lost += 1
            self._drop(chunk.stream)
            self._report(error)
        else:
            self.sent += 1
            self._failing = False

    def close(self) -> str:
        """Close all connections, so that what was sent still arrives."""
        for stream in list(self._sockets):
            with contextlib.suppress(OSError):
                self._sockets[stream].shutdown(socket.SHUT_WR)
            self._drop(stream)
        counts = f"{plural(self.opened, 'connection')} to {self._target}, {plural(self.lost, 'chunk')} lost"
        if self.lost and not self.sent:
            raise Unavailable(f"{counts}: nothing was received; check that a source listens there")
        return counts

    @property
    def _target(self) -> str:
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _connection(self, stream: str) -> socket.socket:
        if self._sockets.get(stream) in self._closed:
            self._drop(stream)
        if stream not in self._sockets:
            made = self._sockets[stream] = socket.create_connection(self._address, TIMEOUT)
            Thread(target=self._listen, args=(stream, made), daemon=True).start()
            self.opened += 1
        return self._sockets[stream]

    def _listen(self, stream: str, connection: socket.socket) -> None:
        """Pass on what the other side sends, until it closes the connection."""
        for data in _received(connection):
            self._heard(stream, data)
        self._closed.add(connection)

    def _drop(self, stream: str) -> None:
        if stream in self._sockets:
            dropped = self._sockets.pop(stream)
            self._closed.discard(dropped)
            dropped.close()

    def _report(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            say(f"btcore: {self._target}: {error.strerror or error}; retrying with each packet")


class Gateway:
    """A TCP port, as a gateway in front of a serial line has it: all meters are on one line, and clients connect."""

    def __init__(self, host: str, port: int, heard: Heard) -> None:
        """Listen. Raises OSError."""
        self._heard = heard
        self._clients: list[socket.socket] = []
        self._listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        say(f"btcore simulate: listening on {host}:{self._listener.getsockname()[1]}")
        Thread(target=self._accept, daemon=True).start()

    def send(self, chunk: Chunk) -> None:
        """Send a chunk to every client."""
        for client in list(self._clients):
            try:
                client.sendall(chunk.data)
            except OSError:
                self._drop(client)

    def close(self) -> str:
        """Close all connections, so that what was sent still arrives."""
        self._listener.close()
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            self._drop(client)
        return ""

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                client.settimeout(TIMEOUT)
                self._clients.append(client)
                Thread(target=self._listen, args=(client,), daemon=True).start()

    def _listen(self, client: socket.socket) -> None:
        for data in _received(client):
            self._heard("", data)
        self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        with contextlib.suppress(ValueError):  # two threads may find it closed
            self._clients.remove(client)
        client.close()


class SerialPort:
    """The far end of a serial line: a pseudo-terminal, which a program opens under a name of its own."""

    def __init__(self, name: Path, heard: Heard) -> None:
        """Make the line, and the name. Raises OSError, also if there is something of that name."""
        self._heard = heard
        self._name = name
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        name.symlink_to(os.ttyname(self._near))
        Thread(target=self._listen, daemon=True).start()

    def send(self, chunk: Chunk) -> None:
        """Send a chunk; what the line does not take, because nobody reads it, is lost, as with a meter."""
        data = memoryview(chunk.data)
        with contextlib.suppress(BlockingIOError):
            while data:
                data = data[os.write(self._far, data) :]

    def close(self) -> str:
        """Remove the name. What was sent can be read as long as the other program has the line open."""
        self._name.unlink(missing_ok=True)
        return ""

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while select.select([self._far], [], []):
                self._heard("", os.read(self._far, READ_SIZE))


def _received(connection: socket.socket) -> Iterator[bytes]:
    """Yield what comes in on a connection, until it is closed."""
    while True:
        try:
            data = connection.recv(READ_SIZE)
        except TimeoutError:
            continue
        except OSError:
            return
        if not data:
            return
        yield data

"""Destinations of a simulation: a file, with lines of a capture or plain bytes, or TCP connections.

Each destination has `send` and `close`. What is sent, and when, is decided by the plugin of btmon-simulator.
"""

import contextlib
import socket
import sys
from typing import BinaryIO, Protocol

from btcore.capture.files import capture_line
from btcore.errors import Unavailable
from btcore.logs.handler import say
from btcore.records import Chunk
from btcore.text import plural

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

    def __init__(self, host: str, port: int) -> None:
        """Connect when there is something to send."""
        self.opened = 0
        self.sent = 0
        self.lost = 0
        self._address = (host, port)
        self._sockets: dict[str, socket.socket] = {}
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
                _is_open(self._sockets[stream])
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
        if stream in self._sockets and not _is_open(self._sockets[stream]):
            self._drop(stream)
        if stream not in self._sockets:
            self._sockets[stream] = socket.create_connection(self._address, TIMEOUT)
            self.opened += 1
        return self._sockets[stream]

    def _drop(self, stream: str) -> None:
        if stream in self._sockets:
            self._sockets.pop(stream).close()

    def _report(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            say(f"btcore: {self._target}: {error.strerror or error}; retrying with each packet")


def _is_open(connection: socket.socket) -> bool:
    """Whether the other side has not closed the connection. What it sends is discarded: a meter does not listen."""
    connection.settimeout(0)
    try:
        return connection.recv(1 << 16) != b""
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(TIMEOUT)

# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of raw TCP: what it does with a connection is a function that a test gives it.

with RawServer(dribbling(b"HTTP/1.1 200 OK", b" ")) as service:
    ...  # ask service.url; it answers with the first bytes, then goes on with the second for ever
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

Talk = Callable[[socket.socket, threading.Event], None]
"""What is done with a connection, until it is done or the event is set."""

STEP = 0.02
"""Seconds between two pieces that dribble."""


class RawServer:
    """A listening socket of this machine, and a thread for each connection; started by `with`.

    `connections` counts those that came.
    """

    def __init__(self, talk: Talk) -> None:
        """Listen."""
        self.connections = 0
        self._talk = talk
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, name="raw server")]
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Accept connections."""
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End them all."""
        self._closing.set()
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                came, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(came)
                thread = threading.Thread(target=self._serve, args=(came,), name="raw server")
                self._threads.append(thread)
                thread.start()

    def _serve(self, came: socket.socket) -> None:
        with suppress(OSError), came:
            self._talk(came, self._closing)


def read_request(connection: socket.socket) -> bool:
    """Read a request without a body, and tell whether one came."""
    came = b""
    while not came.endswith(b"\r\n\r\n"):
        some = connection.recv(4096)
        if not some:
            return False
        came += some
    return True


def answering(answer: bytes) -> Talk:
    """Answer a request so, and end the connection."""

    def talk(connection: socket.socket, _closing: threading.Event) -> None:
        if read_request(connection):
            connection.sendall(answer)

    return talk


def dribbling(first: bytes, piece: bytes, after: int = 0) -> Talk:
    """Answer with the first bytes, then with a piece again and again.

    `after` so many requests that are answered at once, on the same connection.
    """

    def talk(connection: socket.socket, closing: threading.Event) -> None:
        for _ in range(after):
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if read_request(connection):
            connection.sendall(first)
            while not closing.wait(STEP):
                connection.sendall(piece)

    return talk


def silent(_connection: socket.socket, closing: threading.Event) -> None:
    """Say nothing at all."""
    closing.wait()

# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP connection from this computer to a meter. What is sent, and when, does not belong here."""

import errno
import os
import selectors
import socket
import time
from threading import Event
from types import TracebackType
from typing import Any, Self

from btcore.light import frozen
from btmon_ip.addresses import keep_alive

MAX_WAIT = 0.5
"""Seconds of the longest wait, and so the longest delay until a stop is noticed."""
READ_SIZE = 4096


@frozen
class ClientConnection:
    """An open connection. As a context manager it closes itself."""

    socket: socket.socket
    timeout: float

    def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError, also when that takes longer than the time-out."""
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)

    def receive(self, seconds: float) -> bytes:
        """Wait for bytes, at most so long; b"" if none came. Raises OSError when the connection is at an end."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(READ_SIZE)
        except (TimeoutError, BlockingIOError):
            return b""
        if not data:
            raise ConnectionResetError("closed by the other side")
        return data

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.socket.close()


def connect(host: str, port: int, timeout: float, stop: Event) -> ClientConnection | None:
    """Connect to the first address of `host` that answers; None when `stop` is set.

    Each address has `timeout` seconds. Raises the OSError of the last one when none answers.
    """
    failure = OSError(f"{host} has no address")
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            if _connected(connection, address, timeout, stop):
                keep_alive(connection)
                return ClientConnection(connection, timeout)
        except OSError as error:
            failure = error
        connection.close()
        if stop.is_set():
            return None
    raise failure


def _connected(connection: socket.socket, address: Any, timeout: float, stop: Event) -> bool:  # noqa: ANN401 - of any family
    """Connect, looking at `stop` meanwhile. Raises OSError."""
    deadline = time.monotonic() + timeout
    connection.settimeout(0)
    code = connection.connect_ex(address)
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        while code == errno.EINPROGRESS and not stop.is_set():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no answer within {timeout:g} s")
            if selector.select(MAX_WAIT):
                code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code not in {0, errno.EINPROGRESS}:
        raise OSError(code, os.strerror(code))
    return code == 0

# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter on the network: it sends its bytes to whoever connects, and then keeps still, or hangs up."""

import socket
import threading
from contextlib import suppress
from typing import Self


class MeterServer:
    """A TCP server of this machine that sends what a meter would; started by `with`. Afterwards nothing is left.

    `hangs_up`: it closes the connection when it has sent all.
    """

    def __init__(self, data: bytes = b"", *, hangs_up: bool = False) -> None:
        """Listen, on a port that the system chooses."""
        self.data = data
        self.hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="meter")

    def __enter__(self) -> Self:
        """Accept connections."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Close them all."""
        for one in (self._listener, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in (self._listener, *self._connections):
            one.close()

    def _serve(self) -> None:
        with suppress(OSError):  # what ends it: the listening socket is shut down
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._send(connection)

    def _send(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(self.data)
            if self.hangs_up:
                connection.close()

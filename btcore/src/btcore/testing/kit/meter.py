# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter on the network: it sends its bytes to whoever connects, and then keeps still, or hangs up."""

import socket
import threading
from contextlib import suppress
from typing import Self


class MeterServer:
    """A TCP server of this machine that sends what a meter would; started by `with`. Afterwards nothing is left.

    It serves one connection at a time, until the other side closes it. `hangs_up`: it closes it when it has sent all.
    """

    def __init__(self, data: bytes = b"", *, hangs_up: bool = False) -> None:
        """Listen, on a port that the system chooses."""
        self.data = data
        self.hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="meter")

    def __enter__(self) -> Self:
        """Accept connections."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Close all."""
        for one in (self._listener, self._connection):
            with suppress(OSError):
                if one is not None:
                    one.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # what ends it: the listening socket is shut down
            while True:
                self._connection, _ = self._listener.accept()
                with self._connection as connection, suppress(OSError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.sendall(self.data)
        while not self.hangs_up and connection.recv(4096):
            pass

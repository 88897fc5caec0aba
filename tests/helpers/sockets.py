# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading from sockets that have a time-out."""

import socket


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes; fewer when the other side closes."""
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data

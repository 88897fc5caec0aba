# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: how a command on the same machine asks the running program.

One socket in the state directory, for its owner alone. A request is one line of JSON, an answer is one or more. What is
asked and answered is decided elsewhere: `server.py` is given a handler for each command, `client.py` sends requests.
"""

import os
from pathlib import Path

SOCKET = "control"
"""The socket's name in the state directory."""

MAX_REQUEST = 1 << 16
"""Bytes of a request."""

MAX_ANSWER = 1 << 24
"""Bytes of one line of an answer."""

TIMEOUT = 10.0
"""Seconds that either side waits for the other's next bytes."""


def socket_path(state: Path, descriptor: int, name: str = SOCKET) -> str:
    """Return a short path of the socket, by an open descriptor of its directory: the system's limit is 107 bytes."""
    path = str(state / name)
    return path if len(os.fsencode(path)) <= MAX_SOCKET_PATH else f"/proc/self/fd/{descriptor}/{name}"


MAX_SOCKET_PATH = 107
"""Bytes of a path that the system takes for a socket (`sun_path` in unix(7), without the byte that ends it)."""

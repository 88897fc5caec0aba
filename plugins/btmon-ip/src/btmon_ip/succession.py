# SPDX-License-Identifier: GPL-3.0-or-later
"""What a `tcp-server` leaves to the one that a reload puts in its place: the port and the connections, all still open.

So no meter has to connect again, and nothing of what it sends is lost. Reading them belongs to `connections.py`.
"""

import socket
from collections.abc import Iterable
from threading import Lock, Timer

from btcore.light import define, frozen

PATIENCE = 60.0
"""Seconds after which what nobody has taken is closed."""


@frozen(eq=False)
class Sockets:
    """The listening sockets of a port, and the connections to it."""

    listeners: tuple[socket.socket, ...] = ()
    connections: tuple[socket.socket, ...] = ()

    def close(self) -> None:
        """Close all."""
        for one in (*self.listeners, *self.connections):
            one.close()


@define
class _Left:
    port: tuple[str, int]
    sockets: Sockets


_left: dict[str, _Left] = {}
_lock = Lock()


def leave(table: str, port: tuple[str, int], sockets: Sockets) -> None:
    """Leave the sockets of a host and port to the next instance of a table."""
    left = _Left(port, sockets)
    with _lock:
        before, _left[table] = _left.get(table), left
    _close([before] if before else [])
    timer = Timer(PATIENCE, _expire, (table, left))
    timer.daemon = True
    timer.start()


def take(table: str, port: tuple[str, int]) -> Sockets:
    """Take what was left to a table, nothing for another port; what others were left of that port is closed."""
    with _lock:
        mine = _left.pop(table, None)
        same = [name for name, one in _left.items() if one.port[1] == port[1] != 0]
        others = [_left.pop(name) for name in same]
    _close([*others, *([mine] if mine and mine.port != port else [])])
    return mine.sockets if mine and mine.port == port else Sockets()


def _expire(table: str, left: _Left) -> None:
    with _lock:
        is_there = _left.get(table) is left
        if is_there:
            del _left[table]
    _close([left] if is_there else [])


def _close(some: Iterable[_Left]) -> None:
    for one in some:
        one.sockets.close()

"""Many connections in one thread: who is ready, what came in, who is new, who is gone or silent for too long.

One bounded read for each that is ready, so that nobody waits for anybody. What the bytes mean is unknown here.
"""

import errno
import selectors
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from logging import Logger

import attrs

from btcore import Chunk
from btmon_ip.addresses import keep_alive, written

TURN = 0.5
"""Seconds of the longest wait: how soon a stop is seen."""
READ = 4096
LAST_READS = 64
"""Reads of `READ` bytes at most from a connection that is being closed."""
ACCEPTS = 64
"""New connections taken in before the open ones have their turn again."""

SAY_EVERY = 600.0
"""Seconds between two lines of the log about too many connections: a port scan must not fill it."""

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""The system has no room for one more connection."""
PASSING = {
    errno.ECONNABORTED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EPROTO,
    errno.ETIMEDOUT,
}
"""A new connection was gone before it was taken in: accept(2) hands on whatever became of it."""


@attrs.define(eq=False)
class Connection:
    """One connection: the name of its stream, and when it was last heard of (seconds of the monotonic clock)."""

    socket: socket.socket
    stream: str
    heard: float


class Connections:
    """The listening sockets and all that has connected to them."""

    def __init__(
        self, listeners: Sequence[socket.socket], *, idle: float, most: int, numbers: Iterator[int], log: Logger
    ) -> None:
        """Take over the listeners. `idle` is in seconds, `most` the connections that may be open at once."""
        self._selector = selectors.DefaultSelector()
        self._open: OrderedDict[Connection, None] = OrderedDict()  # the one silent for longest is the first
        self._idle, self._most, self._numbers, self._log = idle, most, numbers, log
        self._made_room = 0
        self._said_at = -SAY_EVERY
        for listener in listeners:
            listener.settimeout(0)
            self._selector.register(listener, selectors.EVENT_READ)

    def turn(self) -> Iterator[Chunk]:
        """Wait for something, half a second at most; read once from each that is ready, then take in who is new."""
        ready = [key for key, _ in self._selector.select(TURN)]
        now = time.monotonic()
        for key in ready:
            if isinstance(key.data, Connection):
                yield from self._read(key.data)
        yield from self._close_idle(now)
        for key in ready:
            if isinstance(key.fileobj, socket.socket) and key.data is None:
                yield from self._take_in(key.fileobj)

    def close(self) -> None:
        """Close everything."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._open.clear()

    def _read(self, connection: Connection) -> Iterator[Chunk]:
        try:
            data = connection.socket.recv(READ)
        except (BlockingIOError, InterruptedError):
            return  # the system said ready, and thought better of it
        except OSError as error:
            yield self._end(connection, error.strerror or str(error))
            return
        if not data:
            yield self._end(connection, "closed by the other side")
            return
        connection.heard = time.monotonic()
        self._open.move_to_end(connection)
        yield Chunk(data, stream=connection.stream)

    def _end(self, connection: Connection, why: str) -> Chunk:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        del self._open[connection]
        self._log.debug("%s: %s; %d still connected", connection.stream, why, len(self._open))
        return Chunk(b"", stream=connection.stream, end=True)

    def _hang_up(self, connection: Connection, why: str) -> Iterator[Chunk]:
        """Close a connection from this side; what came in meanwhile is not lost."""
        for _ in range(LAST_READS):
            try:
                data = connection.socket.recv(READ)
            except OSError:
                break
            if not data:
                break
            yield Chunk(data, stream=connection.stream)
        yield self._end(connection, why)

    def _close_idle(self, now: float) -> Iterator[Chunk]:
        while self._open and now - (silent := next(iter(self._open))).heard >= self._idle:
            self._log.info("%s: nothing came for %g s, closed", silent.stream, now - silent.heard)
            yield from self._hang_up(silent, "idle")

    def _take_in(self, listener: socket.socket) -> Iterator[Chunk]:
        for _ in range(ACCEPTS):
            try:
                new, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                yield from self._cannot_accept(error)
                return
            self._add(new, written(*address[:2]))
            if len(self._open) > self._most:
                yield from self._make_room(f"more than {self._most} connections")

    def _add(self, new: socket.socket, peer: str) -> None:
        try:
            new.settimeout(0)
            keep_alive(new)
        except OSError:  # gone already
            new.close()
            return
        connection = Connection(new, f"{peer}#{next(self._numbers)}", time.monotonic())
        self._open[connection] = None
        self._selector.register(new, selectors.EVENT_READ, connection)
        self._log.debug("%s: connected, %d now", connection.stream, len(self._open))

    def _cannot_accept(self, error: OSError) -> Iterator[Chunk]:
        """One connection less makes room for the new one; without any, the core has to start anew, after a while."""
        if error.errno in EXHAUSTED and self._open:
            yield from self._make_room(error.strerror or str(error))
        elif error.errno in PASSING:
            self._log.debug("a connection was gone before it was taken in: %s", error)
        else:
            raise error

    def _make_room(self, why: str) -> Iterator[Chunk]:
        self._made_room += 1
        now = time.monotonic()
        if now - self._said_at >= SAY_EVERY:
            self._log.warning("%s: closed the one silent for longest (%d so far)", why, self._made_room)
            self._said_at = now
        yield from self._hang_up(next(iter(self._open)), why)

"""Many connections in one thread: who is ready, what came in, who is new, who is gone or silent for too long.

One bounded read for each that is ready, so that nobody waits for anybody. What the bytes mean is unknown here.
"""

import errno
import os
import resource
import selectors
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from btcore import Chunk, Context
from btmon_ip.addresses import keep_alive, plain, written
from btmon_ip.guests import FRUITLESS, Guest, Guests, Network

TURN = 0.5
"""Seconds of the longest wait: how soon a stop is seen."""
READ = 4096
LAST_READS = 8
"""Reads of `READ` bytes at most from a connection that is being closed: some packets, and not what a flood has."""
ACCEPTS = 64
"""New connections taken in before the open ones have their turn again."""

SAY_EVERY = 600.0
"""Seconds between two lines of the log about too many connections: a port scan must not fill it."""

SILENT = 120.0
"""Seconds from the beginning on in which nothing was sent, after which that is told, and again every so often."""
SAY_AGAIN = 3600.0

ADVICE = (
    "The meter, or its gateway, has to be set to send to an address of this computer and to this port, in real-time"
    " mode, and a firewall has to let it in; a gateway that waits for us (a WIZ110SR) needs tcp-client (docs/meters.md)"
)

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


RESERVE = 16
"""Descriptors that are left to the rest of the program."""


@attrs.define(eq=False)
class Connection:
    """One connection: its stream, the address it comes from, and when it was last heard of (of the monotonic clock)."""

    socket: socket.socket
    stream: str
    address: str
    heard: float
    guest: Guest


class Connections:
    """The listening sockets and all that has connected to them. Who may stay is decided by `guests.py`."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        *,
        idle: float,
        most: int,
        numbers: Iterator[int],
        context: Context,
        allow: Sequence[Network] = (),
    ) -> None:
        """Take over the listeners. `idle_timeout` is in seconds, `most` the connections that may be open at once."""
        self._selector = selectors.DefaultSelector()
        self._open: OrderedDict[Connection, None] = OrderedDict()  # the one silent for longest is the first
        self._by_guest: dict[Guest, Connection] = {}
        self._idle, self._numbers, self._log, self._heard = idle, numbers, context.log, context.stream_status
        self._began = time.monotonic()
        self._taken_in, self._has_read, self._silence_told = 0, False, -SAY_AGAIN
        self._spare = _spare()
        self._guests = Guests(min(most, _room()), allow)
        self._counts: Counter[str] = Counter()
        self._said: dict[str, float] = {}
        for listener in listeners:
            listener.settimeout(0)
            self._selector.register(listener, selectors.EVENT_READ)

    def turn(self) -> Iterator[Chunk]:
        """Wait for something, half a second at most; read once from each that is ready, then take in who is new."""
        ready = [key for key, _ in self._selector.select(TURN)]
        now = time.monotonic()
        for key in ready:
            if isinstance(key.data, Connection) and key.data in self._open:
                yield from self._read(key.data)
        yield from self._close_idle(now)
        self._tell_silence(now)
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
        self._let_go_of_spare()

    def _let_go_of_spare(self) -> None:
        """Close the spare descriptor, once: its number may be another thread's file a moment later."""
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)

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
        self._has_read = True
        connection.heard = time.monotonic()
        self._open.move_to_end(connection)
        self._guests.heard(connection.guest)
        yield Chunk(data, stream=connection.stream, address=connection.address)
        yield from self._look_at(connection)

    def _look_at(self, connection: Connection) -> Iterator[Chunk]:
        """See what the core found in what was read: a packet proves a connection, much without one ends it."""
        found, now = self._heard(connection.stream), time.monotonic()
        if found.packets and found.bytes_since_packet < READ:
            self._guests.prove(connection.guest, now)
        if found.bytes_since_packet >= FRUITLESS:
            self._guests.penalize(connection.guest, now)
            self._say(f"closed a connection on which {FRUITLESS} bytes without a packet came", connection.stream)
            yield self._end(connection, "no packets")

    def _end(self, connection: Connection, why: str) -> Chunk:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        del self._open[connection]
        del self._by_guest[connection.guest]
        self._guests.leave(connection.guest)
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
            yield Chunk(data, stream=connection.stream, address=connection.address)
        yield self._end(connection, why)

    def _close_idle(self, now: float) -> Iterator[Chunk]:
        while self._open and now - (silent := next(iter(self._open))).heard >= self._idle:
            self._log.info("%s: nothing came for %g s, closed", silent.stream, now - silent.heard)
            yield from self._hang_up(silent, "idle")

    def _tell_silence(self, now: float) -> None:
        """Tell that nothing was ever sent here: it is where a new installation fails most."""
        wait = min(self._idle, SILENT)
        if self._has_read or now - self._began < wait or now - self._silence_told < SAY_AGAIN:
            return
        self._silence_told = now
        who = "nothing was sent on any connection" if self._taken_in else "nobody has connected"
        self._log.warning("%s for %.0f s. %s", who, now - self._began, ADVICE)

    def _take_in(self, listener: socket.socket) -> Iterator[Chunk]:
        for _ in range(ACCEPTS):
            try:
                new, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                yield from self._cannot_accept(listener, error)
                return
            if refusal := self._guests.refusal(address[0], time.monotonic()):
                new.close()
                self._say(f"refused a connection: {refusal}", written(*address[:2]))
                continue
            yield from self._add(new, address)

    def _add(self, new: socket.socket, address: tuple[Any, ...]) -> Iterator[Chunk]:
        try:
            new.settimeout(0)
            keep_alive(new)
        except OSError:  # gone already
            new.close()
            return
        guest = self._guests.enter(address[0])
        stream = f"{written(*address[:2])}#{next(self._numbers)}"
        connection = Connection(new, stream, plain(address[0]), time.monotonic(), guest)
        self._taken_in += 1
        self._open[connection] = None
        self._by_guest[guest] = connection
        self._selector.register(new, selectors.EVENT_READ, connection)
        self._log.debug("%s: connected, %d now", connection.stream, len(self._open))
        if surplus := self._guests.surplus(guest):
            yield from self._make_room(self._by_guest[surplus], "more connections than may be open")

    def _cannot_accept(self, listener: socket.socket, error: OSError) -> Iterator[Chunk]:
        """One connection less makes room for a new one; where all bring packets, the new one is refused."""
        if error.errno in EXHAUSTED and self._open:
            unproven = self._guests.first_to_go()
            if unproven is not None:
                yield from self._make_room(self._by_guest[unproven], error.strerror or str(error))
            else:
                self._refuse(listener)
        elif error.errno in PASSING:
            self._log.debug("a connection was gone before it was taken in: %s", error)
        else:
            raise error

    def _refuse(self, listener: socket.socket) -> None:
        """Take in a connection with the spare descriptor, to close it: left alone, it would be ready for ever."""
        self._let_go_of_spare()
        try:
            new, _ = listener.accept()
            new.close()
        except OSError as error:
            self._log.debug("cannot refuse a connection: %s", error)
        self._spare = _spare()  # another thread may have been faster: then the next refusal has to do without
        self._say("refused a connection: no room for one more, and all that are open bring packets", "")

    def _make_room(self, connection: Connection, why: str) -> Iterator[Chunk]:
        self._say(f"{why}: closed the one silent for longest that has brought no packet", connection.stream)
        yield from self._hang_up(connection, why)

    def _say(self, what: str, whose: str) -> None:
        """Tell the first of a kind, then now and then how many there were."""
        self._counts[what] += 1
        now = time.monotonic()
        if now - self._said.get(what, -SAY_EVERY) >= SAY_EVERY:
            self._said[what] = now
            self._log.warning("%s (%d so far%s)", what, self._counts[what], f", the last: {whose}" if whose else "")


def _spare() -> int | None:
    """Return a descriptor that is held to be given up; None where there is none to be had."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _room() -> int:
    """Return how many connections this process can have, by the descriptors that it may have and those in use."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only, and many of them
    except OSError:
        used = RESERVE
    return max(limit - used - min(RESERVE, limit // 4), 1)  # of few, few are left

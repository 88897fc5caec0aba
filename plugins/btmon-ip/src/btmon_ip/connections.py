# SPDX-License-Identifier: GPL-3.0-or-later
"""Many connections in one thread: who is ready, what came in, who is new, who is gone or silent for too long.

One bounded read for each that is ready, so that nobody waits for anybody. What the bytes mean is unknown here:
`btmon-http`, whose meters expect answers, overrides what is done with them.
"""

import selectors
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from btcore import Chunk, Context
from btcore.light import define
from btmon_ip.addresses import format_address, keep_alive, plain_address
from btmon_ip.descriptors import EXHAUSTION_ERRORS, TRANSIENT_ERRORS, SpareDescriptor, max_open_connections
from btmon_ip.limited_warnings import LimitedWarnings
from btmon_ip.peers import MAX_JUNK_BYTES, Network, Peer, Peers
from btmon_ip.succession import Sockets

MAX_WAIT = 0.5
"""Seconds of the longest wait, and so the longest delay until a stop is noticed."""
COMMAND_WAIT = 0.05
"""The same while a meter is given commands: the next one follows as soon as it has answered."""
SEND_TIMEOUT = 1.0
"""Seconds in which a connection must take a command, which is a few bytes."""
READ_SIZE = 1 << 14
"""Bytes that are read at once: 26 packets of a GEM, of a connection that has fallen behind. With 4096, what is done for
each read took a tenth of such a packet's time."""
MAX_UNPROVEN_BYTES = 4096
"""Bytes behind the last packet at most, for that packet to prove its connection."""
MAX_FINAL_READS = 2
"""Reads of `READ_SIZE` bytes at most from a connection that is being closed: some packets, and not what a flood has."""
MAX_FINISH = 1.0
"""Seconds for which packets that have begun are waited for before another instance takes over."""
MAX_ACCEPTS = 256
"""New connections accepted at once, before the open ones are read again: as many as one address may have unproven."""

SILENCE_WARNING_AFTER = 120.0
"""Seconds after which a warning says that nothing has been sent yet; it is repeated after the next constant."""
SILENCE_WARNING_INTERVAL = 3600.0

ADVICE = (
    "Set the meter, or its gateway, to real-time mode and to send to an address of this computer and to this port, and"
    " let it through the firewall. A gateway that waits for a connection (WIZ110SR) needs tcp-client (docs/meters.md)"
)


@define(eq=False)
class ServerConnection:
    """One connection: its stream, the address it comes from, and when it was last heard of (of the monotonic clock)."""

    socket: socket.socket
    stream: str
    address: str
    heard: float
    peer: Peer


class ServerConnections:
    """The listening sockets and all that has connected to them. Who may stay is decided by `peers.py`.

    `advice` is for a port on which nothing comes in.
    """

    advice = ADVICE

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        *,
        idle_timeout: float,
        max_connections: int,
        numbers: Iterator[int],
        context: Context,
        allow: Sequence[Network] = (),
        connected: Sequence[socket.socket] = (),
    ) -> None:
        """Take over the listeners, and those that are connected already.

        `idle_timeout` is in seconds; at most `max_connections` are open at once.
        """
        self._selector = selectors.DefaultSelector()
        self._open: OrderedDict[ServerConnection, None] = OrderedDict()  # the one silent for longest is the first
        self._by_peer: dict[Peer, ServerConnection] = {}
        self._idle_timeout, self._numbers, self._log = idle_timeout, numbers, context.log
        self._stream_status, self._commands = context.stream_status, context.commands
        self._began = time.monotonic()
        self._accepted, self._has_read, self._silence_warned_at = 0, False, -SILENCE_WARNING_INTERVAL
        self._spare = SpareDescriptor()
        self._peers = Peers(self._room(max_connections), allow)
        self._warnings = LimitedWarnings(context.log)
        for listener in listeners:
            listener.settimeout(0)
            self._selector.register(listener, selectors.EVENT_READ)
        self._connected = list(connected)

    def _room(self, wanted: int) -> int:
        """Return how many connections may be open; say so where that is fewer than the setting allows."""
        found = max_open_connections(wanted)
        if found < wanted:
            text = "max_connections is %d, but the system allows this program %d: raise its number of open files"
            self._log.warning(text + " (LimitNOFILE= of its service, or ulimit -n)", wanted, found)
        return found

    def serve_once(self) -> Iterator[Chunk]:
        """Send the commands that wait; wait for something, half a second at most; read once from each that is ready.

        Then take in who is new.
        """
        while self._connected:
            yield from self._admit(self._connected.pop())
        self._send_commands()
        ready = [key for key, _ in self._selector.select(COMMAND_WAIT if self._commands.is_busy else MAX_WAIT)]
        now = time.monotonic()
        for key in ready:
            if isinstance(key.data, ServerConnection) and key.data in self._open:
                yield from self._read(key.data)
        yield from self._close_idle(now)
        self._warn_of_silence(now)
        for key in ready:
            if isinstance(key.fileobj, socket.socket) and key.data is None:
                yield from self._accept(key.fileobj)

    def _send_commands(self) -> None:
        """Send what is to be sent to meters, once one is connected."""
        if not (self._commands.is_busy and self._open):
            return
        for command in self._commands.take():
            connection = self._connection_for(command.stream)
            if connection is not None:
                self._send(connection, command.data)

    def _connection_for(self, stream: str) -> ServerConnection | None:
        """Return the connection of a stream, or the only one."""
        found = [connection for connection in self._open if stream in {"", connection.stream}]
        if len(found) == 1:
            return found[0]
        self._commands.refuse(
            "the meter's connection has been closed: try again when it is connected"
            if stream
            else f"{len(found)} meters are connected: say which one is meant, by its serial number"
        )
        return None

    def _send(self, connection: ServerConnection, data: bytes) -> None:
        try:
            connection.socket.settimeout(SEND_TIMEOUT)
            connection.socket.sendall(data)
        except OSError as error:  # the next read finds the connection at its end, if it is
            self._commands.refuse(f"{connection.stream}: {error.strerror or error}")
        finally:
            connection.socket.settimeout(0)

    def finish_packets(self) -> Iterator[Chunk]:
        """Read on for a moment from those that are within a packet: whoever takes them over begins with the next."""
        deadline = time.monotonic() + MAX_FINISH
        while time.monotonic() < deadline:
            within = [one for one in self._open if self._is_within_packet(one)]
            if not within:
                return
            selected = self._selector.select(COMMAND_WAIT)
            for key in [key for key, _ in selected if key.data in within]:
                yield from self._read(key.data)

    def _is_within_packet(self, connection: ServerConnection) -> bool:
        """Whether a packet has begun on a connection."""
        return self._stream_status(connection.stream).bytes_since_packet > 0

    def release(self) -> Sockets:
        """Give away all sockets as they are, and close the rest."""
        all_keys = list(self._selector.get_map().values())
        listeners = tuple(key.fileobj for key in all_keys if isinstance(key.fileobj, socket.socket) and not key.data)
        sockets = Sockets(listeners, tuple(one.socket for one in self._open))
        self._selector.close()
        self._open.clear()
        self._spare.release()
        return sockets

    def close(self) -> None:
        """Close everything."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._open.clear()
        self._spare.release()

    def _read(self, connection: ServerConnection) -> Iterator[Chunk]:
        try:
            data = connection.socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return  # a socket may be reported as ready, and not be
        except OSError as error:
            yield self._end(connection, error.strerror or str(error))
            return
        if not data:
            yield self._end(connection, "closed by the other side")
            return
        self._has_read = True
        connection.heard = time.monotonic()
        self._open.move_to_end(connection)
        self._peers.note_activity(connection.peer)
        yield from self._take(connection, data)

    def _take(self, connection: ServerConnection, data: bytes) -> Iterator[Chunk]:
        """Pass on what was read, and see what the core found in it."""
        yield from self._chunks(connection, data)
        yield from self._check_packets(connection)

    def _chunks(self, connection: ServerConnection, data: bytes) -> Iterator[Chunk]:
        """Yield what the core is to find packets in."""
        yield Chunk(data, stream=connection.stream, address=connection.address)

    def _check_packets(self, connection: ServerConnection) -> Iterator[Chunk]:
        """See what the core found in what was read: a packet proves a connection, much without one ends it."""
        found, now = self._stream_status(connection.stream), time.monotonic()
        if found.packets and found.bytes_since_packet < MAX_UNPROVEN_BYTES:
            self._peers.prove(connection.peer, now)
        if found.bytes_since_packet >= MAX_JUNK_BYTES:
            self._peers.penalize(connection.peer, now)
            self._warnings.warn(
                f"closed a connection on which {MAX_JUNK_BYTES} bytes without a packet came", connection.stream
            )
            yield self._end(connection, "no packets")

    def _end(self, connection: ServerConnection, why: str) -> Chunk:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        del self._open[connection]
        del self._by_peer[connection.peer]
        self._peers.remove(connection.peer)
        self._log.debug("%s: %s; %d still connected", connection.stream, why, len(self._open))
        return Chunk(b"", stream=connection.stream, end=True)

    def _drain_and_close(self, connection: ServerConnection, why: str) -> Iterator[Chunk]:
        """Close a connection from this side; what came in meanwhile is not lost."""
        for _ in range(MAX_FINAL_READS):
            try:
                data = connection.socket.recv(READ_SIZE)
            except OSError:
                break
            if not data:
                break
            yield from self._chunks(connection, data)
        yield self._end(connection, why)

    def _close_idle(self, now: float) -> Iterator[Chunk]:
        while self._open and now - (silent := next(iter(self._open))).heard >= self._idle_timeout:
            self._log.info("%s: nothing came for %g s, closed", silent.stream, now - silent.heard)
            yield from self._drain_and_close(silent, "idle")

    def _warn_of_silence(self, now: float) -> None:
        """Warn that nothing was ever sent here: this is where a new installation fails most often."""
        wait = min(self._idle_timeout, SILENCE_WARNING_AFTER)
        if self._has_read or now - self._began < wait or now - self._silence_warned_at < SILENCE_WARNING_INTERVAL:
            return
        self._silence_warned_at = now
        who = "nothing was sent on any connection" if self._accepted else "nobody has connected"
        self._log.warning("%s for %.0f s. %s", who, now - self._began, self.advice)

    def _accept(self, listener: socket.socket) -> Iterator[Chunk]:
        for _ in range(MAX_ACCEPTS):
            try:
                new, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                yield from self._cannot_accept(listener, error)
                return
            yield from self._admit_from(new, address)

    def _admit(self, new: socket.socket) -> Iterator[Chunk]:
        """Take in one that was connected to an instance before this one."""
        try:
            address = new.getpeername()
        except OSError:  # gone meanwhile
            new.close()
            return
        yield from self._admit_from(new, address)

    def _admit_from(self, new: socket.socket, address: tuple[Any, ...]) -> Iterator[Chunk]:
        if refusal_reason := self._peers.refusal_reason(address[0], time.monotonic()):
            new.close()
            self._warnings.warn(f"refused a connection: {refusal_reason}", format_address(*address[:2]))
            return
        yield from self._add(new, address)

    def _add(self, new: socket.socket, address: tuple[Any, ...]) -> Iterator[Chunk]:
        try:
            new.settimeout(0)
            keep_alive(new)
        except OSError:  # gone already
            new.close()
            return
        peer = self._peers.add(address[0])
        stream = f"{format_address(*address[:2])}#{next(self._numbers)}"
        connection = ServerConnection(new, stream, plain_address(address[0]), time.monotonic(), peer)
        self._accepted += 1
        self._open[connection] = None
        self._by_peer[peer] = connection
        self._selector.register(new, selectors.EVENT_READ, connection)
        self._log.debug("%s: connected, %d now", connection.stream, len(self._open))
        if peer_to_close := self._peers.peer_to_close(peer):
            yield from self._make_room(self._by_peer[peer_to_close], "more connections than may be open")

    def _cannot_accept(self, listener: socket.socket, error: OSError) -> Iterator[Chunk]:
        """Close a connection to make room for a new one; where all bring packets, refuse the new one."""
        if error.errno in EXHAUSTION_ERRORS and self._open:
            unproven = self._peers.longest_silent_unproven()
            if unproven is not None:
                yield from self._make_room(self._by_peer[unproven], error.strerror or str(error))
            else:
                self._refuse(listener)
        elif error.errno in TRANSIENT_ERRORS:
            self._log.debug("a connection failed before it was accepted: %s", error)
        else:
            raise error

    def _refuse(self, listener: socket.socket) -> None:
        try:
            self._spare.refuse(listener)
        except OSError as error:
            self._log.debug("cannot refuse a connection: %s", error)
        self._warnings.warn("refused a connection: no room for one more, and all that are open bring packets")

    def _make_room(self, connection: ServerConnection, why: str) -> Iterator[Chunk]:
        self._warnings.warn(f"{why}: closed the one silent for longest that has brought no packet", connection.stream)
        yield from self._drain_and_close(connection, why)

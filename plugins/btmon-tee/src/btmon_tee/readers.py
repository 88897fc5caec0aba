# SPDX-License-Identifier: GPL-3.0-or-later
"""All readers of one meter, in one thread: what is passed on to them, and what they send.

`pass_on` never waits: a reader that is slow loses packets of its own. What a reader sends is not understood here.
"""

import logging
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from threading import Event, Lock, Thread

import attrs

from btmon_ip.addresses import format_address, keep_alive
from btmon_ip.peers import Network, is_allowed
from btmon_tee.outbox import Outbox

READ_SIZE = 4096
MAX_SENDS = 32
"""Pieces that one reader is sent at once, before the others."""

ACCEPT_PAUSE = 0.05
"""Seconds after a connection that could not be accepted: where the system has no room, the next one cannot either."""

MAX_BACKLOG_OF_SYSTEM = 1 << 16
"""Bytes of a reader's own buffer in the system, so that a slow one is noticed, and is not given what is hours old."""


@attrs.define(eq=False)
class Reader:
    """One reader. `gone` is set when its connection has ended."""

    name: str
    connection: socket.socket = attrs.field(repr=False)
    outbox: Outbox = attrs.field(factory=Outbox, repr=False)
    gone: Event = attrs.field(factory=Event, repr=False)
    is_slow: bool = attrs.field(default=False, init=False, repr=False)
    reported: int = attrs.field(default=0, init=False, repr=False)
    """How many dropped packets the log has."""


class Readers:
    """The readers that are connected.

    `received` is called with what one sends, and returns whether it may stay; `left` is called when one is gone.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        *,
        max_readers: int,
        allow: Sequence[Network],
        received: Callable[[Reader, bytes], bool],
        left: Callable[[Reader], object],
        log: logging.Logger,
    ) -> None:
        """Take over the listeners, and begin."""
        self._listeners, self._max_readers, self._allow = listeners, max_readers, allow
        self._received, self._left, self._log = received, left, log
        self._numbers: Iterator[int] = count(1)
        self._lock = Lock()
        self._readers: dict[Reader, None] = {}
        self._closing = False
        self._is_refusal_reported = False
        self._waker, self._wakened = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for one in (*listeners, self._wakened):
            one.settimeout(0)
            self._selector.register(one, selectors.EVENT_READ)
        self._waker.settimeout(0)
        self._thread = Thread(target=self._run, name=f"readers of {log.name}", daemon=True)
        self._thread.start()

    # --- from any thread

    @property
    def count(self) -> int:
        """How many readers are connected."""
        return len(self._readers)

    def pass_on(self, piece: bytes, only: Reader | None = None) -> None:
        """Have a piece sent to all readers, or to one."""
        with self._lock:
            if self._closing:
                return
            for reader in self._readers:
                if only in {None, reader}:
                    reader.outbox.add(piece)
        self._wake()

    def add(self, connection: socket.socket, name: str) -> Reader:
        """Take in a reader that was connected to."""
        reader = Reader(name, connection)
        with suppress(OSError):  # gone already: the next read tells
            connection.settimeout(0)
            keep_alive(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # answers are short, and waited for
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_BACKLOG_OF_SYSTEM)
        with self._lock:
            is_late = self._closing
            if not is_late:
                self._readers[reader] = None
        if is_late:
            connection.close()
            reader.gone.set()
            return reader
        self._log.info("%s reads, %d now", name, self.count)
        self._wake()
        return reader

    def close(self) -> None:
        """Close all."""
        with self._lock:
            self._closing = True
        self._wake()
        self._thread.join()
        for one in (*self._listeners, self._waker, self._wakened):
            one.close()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it will wake anyway
            self._waker.send(b"!")

    # --- in its own thread

    def _run(self) -> None:
        while not self._closing:
            self._watch()
            for key, events in self._selector.select():
                if isinstance(key.data, Reader):
                    self._serve(key.data, events)
                elif key.fileobj is self._wakened:
                    with suppress(OSError):
                        self._wakened.recv(READ_SIZE)
                elif isinstance(key.fileobj, socket.socket):
                    self._accept(key.fileobj)
        for reader in list(self._readers):
            with suppress(OSError):
                self._send(reader)
            self._end(reader, "closed")
        self._selector.close()

    def _watch(self) -> None:
        """Look at each reader for what it sends, and for room if there is something for it."""
        known = self._selector.get_map()
        for reader in list(self._readers):
            self._report_dropped(reader)
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if reader.outbox.waiting else 0)
            if reader.connection not in known:
                self._selector.register(reader.connection, wanted, reader)
            elif known[reader.connection].events != wanted:
                self._selector.modify(reader.connection, wanted, reader)

    def _serve(self, reader: Reader, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(reader)
            data = reader.connection.recv(READ_SIZE) if events & selectors.EVENT_READ else None
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(reader, error.strerror or str(error))
            return
        if data:
            if not self._received(reader, data):
                self._log.warning("%s sends more than is taken from it, and is hung up on", reader.name)
                self._end(reader, "hung up on")
        elif data is not None:
            self._end(reader, "closed by the other side")

    def _send(self, reader: Reader) -> None:
        """Send what there is room for, which the lock is held for: a packet must not be dropped while it is sent."""
        with self._lock, suppress(BlockingIOError):
            for _ in range(MAX_SENDS):
                if waiting := reader.outbox.next():
                    reader.outbox.sent(reader.connection.send(waiting))

    def _report_dropped(self, reader: Reader) -> None:
        """Warn when a reader begins to lose packets; say how many, once it has caught up."""
        if not reader.is_slow and reader.outbox.dropped > reader.reported:
            reader.is_slow = True
            self._log.warning("%s is too slow: the oldest packets that wait for it are dropped", reader.name)
        elif reader.is_slow and not reader.outbox.waiting:
            reader.is_slow, reader.reported = False, reader.outbox.dropped
            self._log.warning(
                "%s has caught up; it has lost %d packets since it connected", reader.name, reader.reported
            )

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, address = listener.accept()
        except OSError as error:
            self._log.debug("a reader's connection failed before it was accepted: %s", error)
            time.sleep(ACCEPT_PAUSE)
            return
        name = f"reader {format_address(*address[:2])}#{next(self._numbers)}"
        if why := self._refusal_reason(address[0]):
            if not self._is_refusal_reported:
                self._is_refusal_reported = True
                self._log.warning("refused %s: %s; further ones are not reported", name, why)
            connection.close()
            return
        self.add(connection, name)

    def _refusal_reason(self, host: str) -> str:
        if self._allow and not is_allowed(host, self._allow):
            return "its address is in none of the networks of `allow`"
        if self.count >= self._max_readers:
            return f"max_readers = {self._max_readers} are connected"
        return ""

    def _end(self, reader: Reader, why: str) -> None:
        with self._lock:
            del self._readers[reader]
        with suppress(KeyError):
            self._selector.unregister(reader.connection)
        reader.connection.close()
        lost = f"; it has lost {reader.outbox.dropped} packets" if reader.outbox.dropped else ""
        self._log.info("%s: %s%s; %d still read", reader.name, why, lost, self.count)
        self._left(reader)
        reader.gone.set()

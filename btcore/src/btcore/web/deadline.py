# SPDX-License-Identifier: GPL-3.0-or-later
"""One deadline for everything that a request waits for: the look-up of a name, the connection, each byte.

A timeout of a socket limits one operation: a service that sends a byte now and then is never timed out. So a timer
shuts the sockets of a request down at the deadline, and whatever waits for them returns. Nothing here is about HTTP.
"""

import errno
import os
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Thread, Timer
from time import monotonic
from typing import Any, ClassVar, Self

MAX_SECONDS = 3600.0
"""The most seconds of a request, whatever its plugin sets."""

AddressInfo = tuple[int, int, int, str, Any]
"""One address, as `socket.getaddrinfo` returns it."""

SocketOptions = Iterable[tuple[int, int, int | bytes]]


class NameResolver:
    """Looks names up, each in a thread: a look-up may not return, and cannot be ended.

    While a look-up has not returned, no other is started, so there is at most one such thread.
    """

    def __init__(self) -> None:
        """Start without a look-up."""
        self._thread: Thread | None = None

    @property
    def is_hanging(self) -> bool:
        """Whether a look-up has not returned."""
        return self._thread is not None and self._thread.is_alive()

    def look_up(self, host: str, port: int, seconds: float) -> Sequence[AddressInfo]:
        """Return the addresses of a host. Raises OSError, also if it takes longer than these seconds."""
        with suppress(OSError, UnicodeError):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        if self.is_hanging:
            raise OSError(errno.EAGAIN, "an earlier look-up of a name has not returned")
        found: list[Sequence[AddressInfo] | OSError] = []
        self._thread = Thread(target=_look_up, args=(host, port, found), name="look-up", daemon=True)
        start_thread(self._thread)
        self._thread.join(seconds)
        if not found:
            raise TimeoutError(errno.ETIMEDOUT, "the look-up of its name does not return")
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]


def _look_up(host: str, port: int, found: list[Sequence[AddressInfo] | OSError]) -> None:
    try:
        found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        found.append(error)
    except Exception:  # noqa: BLE001 - such as UnicodeError: a name that no system can look up
        found.append(OSError(errno.EINVAL, "not a valid host name"))


class Deadline:
    """The time limit of one request, in seconds. It starts and ends with the `with` block."""

    _current: ClassVar = threading.local()

    def __init__(self, seconds: float, names: NameResolver) -> None:
        """Prepare; the time runs from `__enter__` on."""
        self.over = False
        """Whether the deadline passed before the request was done."""
        self._seconds = min(seconds, MAX_SECONDS)
        self._names = names
        self._end_time = monotonic() + self._seconds
        self._handles: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = Timer(self._seconds, self._expire)
        self._timer.name = "deadline"
        self._timer.daemon = True

    @classmethod
    def current(cls) -> "Deadline | None":
        """Return the deadline of this thread's request, if there is one."""
        return getattr(cls._current, "deadline", None)

    def __enter__(self) -> Self:
        """Start. Raises OSError if the system cannot start a thread for the timer."""
        start_thread(self._timer)
        self._end_time = monotonic() + self._seconds
        self._current.deadline = self
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the timer, and close the handles of the sockets."""
        self._current.deadline = None
        self._timer.cancel()
        self._timer.join()
        self.over = self.over or self.remaining <= 0
        for handle in self._handles:
            handle.close()
        self._handles.clear()

    @property
    def remaining(self) -> float:
        """The remaining seconds."""
        return self._end_time - monotonic()

    def watch(self, descriptor: int) -> None:
        """Shut this socket down at the deadline.

        It keeps a handle of its own, as the user of the socket may close or wrap it at any time.
        """
        handle = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)
        with self._lock:
            self._handles.append(handle)
            if self.over:
                _shut(handle)

    def connect(
        self, host: str, port: int, source: tuple[str, int] | None = None, options: SocketOptions | None = None
    ) -> socket.socket:
        """Connect to the first address that answers; each gets an equal share of the time. Raises OSError."""
        addresses = self._names.look_up(host, port, self.remaining)
        failure: OSError = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        for others, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return self._connect(address, self.remaining / others, source, options or ())
            except OSError as error:
                failure = error
            if self.remaining <= 0:
                break
        raise failure

    def _connect(
        self, address: AddressInfo, seconds: float, source: tuple[str, int] | None, options: SocketOptions
    ) -> socket.socket:
        family, kind, protocol, _, socket_address = address
        connection = socket.socket(family, kind, protocol)
        try:
            for option in options:
                connection.setsockopt(*option)
            connection.settimeout(max(seconds, 0.001))
            if source:
                connection.bind(source)
            connection.connect(socket_address)
            connection.settimeout(max(self.remaining, 0.001))
            self.watch(connection.fileno())
        except BaseException:
            connection.close()
            raise
        return connection

    def _expire(self) -> None:
        with self._lock:
            self.over = True
            for handle in self._handles:
                _shut(handle)


def start_thread(thread: Thread) -> None:
    """Start a thread. Raises OSError if the system cannot start another one now."""
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "the system cannot start another thread") from None


def _shut(handle: socket.socket) -> None:
    with suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)

# SPDX-License-Identifier: GPL-3.0-or-later
"""File descriptors, of which a process has few: how many connections may be open, and what to do where none is left."""

import errno
import math
import os
import resource
import socket
from contextlib import suppress

EXHAUSTION_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""The system has no room for one more connection."""
TRANSIENT_ERRORS = {
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
"""A new connection failed before it was accepted: accept(2) returns its pending network errors."""

RESERVED_DESCRIPTORS = 16
"""File descriptors that are left for the rest of the program."""


class SpareDescriptor:
    """A descriptor that is kept in reserve, so that a connection can be accepted, and closed, where none is left.

    A connection that is not accepted would keep its listener ready for ever.
    """

    def __init__(self) -> None:
        """Open it, if one is available."""
        self._number = _open_any()

    def refuse(self, listener: socket.socket) -> None:
        """Accept a connection and close it. Raises OSError where it could not be accepted."""
        self.release()
        try:
            listener.accept()[0].close()
        finally:
            self._number = _open_any()  # another thread may have been faster: the next refusal has to do without

    def release(self) -> None:
        """Close it, once: its number may be another thread's file a moment later."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)


def max_open_connections(wanted: int) -> int:
    """Return how many connections this process can have, at most `wanted`, by the descriptors that it may have.

    Where these are not enough, the bound is raised as far as the system lets a process do that by itself.
    """
    try:
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only, and many of them
    except OSError:
        used = RESERVED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _room(soft, used) < wanted:
        with suppress(OSError, ValueError):  # a system may have a lower bound that it does not name
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return int(min(wanted, max(_room(soft, used), 1)))


def _room(limit: int, used: int) -> float:
    if limit == resource.RLIM_INFINITY:
        return math.inf
    return limit - used - min(RESERVED_DESCRIPTORS, limit // 4)  # of few, few are left


def _open_any() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None

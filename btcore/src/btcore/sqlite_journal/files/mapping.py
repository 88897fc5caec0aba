# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing to a file through a mapping of it, so that the file system need not note each time that it has changed.

`pwrite` gives a file a new time of change with each call, and ext4 writes that down in its own log with each of its
commits, every five seconds: three blocks and more for a few bytes. What is written to a mapping changes the time once
for each write-out of a page, about every half minute. It survives the death of this process as what `pwrite` wrote.

Where a mapping cannot be written, as that of a file that was cut short, whoever stores to it is ended by a signal
(SIGBUS). So nobody stores to it or reads from it here: the system does, when it is told to read a pipe into it,
and says what failed (EFAULT).
"""

import mmap
import os
from contextlib import suppress
from time import monotonic

PORTION = 4096
"""Bytes that are given to the pipe at once: each system's pipe has room for them."""

PAGE = 4096

WRITE_OUT = 35.0
"""Seconds after which the system has written out a page that was changed, as it is usually set."""

MAX_AHEAD = 64 << 10
"""Bytes that are changed beforehand, at most."""


class Mapping:
    """So many bytes of an open file from its beginning, in whole pages."""

    def __init__(self, descriptor: int, size: int) -> None:
        """Map them. Raises OSError, and ValueError where the file is shorter."""
        self._memory = mmap.mmap(descriptor, size)
        self._view = memoryview(self._memory)
        self._descriptor = descriptor
        self.size = size
        self._changed, self._changed_at = 0, monotonic()  # when, as the file says, and by our clock
        self._changed_to = 0
        try:
            self._out, self._in = os.pipe()
        except OSError:
            self._unmap()
            raise
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self._is_whole = True

    def write(self, data: bytes, at: int) -> None:
        """Write there. Raises OSError: then some of it may be written, and the mapping is of no more use."""
        if not self._is_whole:
            raise OSError("an earlier write to a mapping was broken off")
        self._is_whole = False  # whatever ends this, as Ctrl-C: what is left in the pipe would be written next time
        for begin in range(0, len(data), PORTION):
            portion = data[begin : begin + PORTION]
            first = at + begin
            with self._view[first : first + len(portion)] as target:
                if os.write(self._in, portion) != len(portion) or os.readv(self._out, [target]) != len(portion):
                    raise OSError("only a part was written to a mapping")
        self._is_whole = True

    def change_ahead(self, end: int) -> None:
        """After a write that ends there: change what the next half minute needs, if the file's time has just changed.

        Else the system would note, and write down, that the file has changed with the first write to each further
        page. To be called after each write to a file that is written from its beginning to its end, again and again;
        what is behind the end means nothing. Raises OSError.
        """
        if time_of_change(self._descriptor) == self._changed:
            return
        now = monotonic()
        grown = end - self._changed_to if end >= self._changed_to else end
        ahead = min(int(grown * WRITE_OUT / max(now - self._changed_at, 1.0)), MAX_AHEAD)
        for at in range(-(-end // PAGE) * PAGE, min(end + ahead, self.size), PAGE):
            self.write(b"\0", at)
        self._changed, self._changed_at = time_of_change(self._descriptor), now
        self._changed_to = end

    def close(self) -> None:
        """Let go of it; what was written stays written."""
        self._unmap()
        os.close(self._out)
        os.close(self._in)

    def _unmap(self) -> None:
        self._view.release()
        self._memory.close()


def time_of_change(descriptor: int) -> int:
    """Return when an open file has changed, in nanoseconds, as it says itself. Raises OSError."""
    return os.fstat(descriptor).st_mtime_ns


def map_file(descriptor: int, size: int) -> Mapping | None:
    """Map so many bytes of a file; None where that cannot be, as on some file systems."""
    with suppress(OSError, ValueError):
        return Mapping(descriptor, size)
    return None

# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of lines for stderr, which may be slow, block or fail: only the thread of the queue waits for it.

Nothing is formatted here.
"""

import os
import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread
from typing import TextIO

MAX_LINES = 4000
"""Lines that may wait; above the limit they are dropped and counted. The last quarter is reserved for urgent lines."""

MAX_BYTES = 1 << 20
"""The same in bytes."""

LINES_PER_WRITE = 100
"""Lines that are written together."""

IDLE = 30.0
"""Seconds after which the thread calls `idle` when nothing is logged."""

UNREAD = "nobody read stderr"


class LogQueue:
    """Writes lines to a stream in the order in which they were put in. No method but `flush` ever waits."""

    def __init__(
        self, stream: TextIO | None, dropped: Callable[[int, str], str], idle: Callable[[], None] = lambda: None
    ) -> None:
        """Prepare. `dropped` formats the line about dropped lines: how many, and why. `idle` is called now and then.

        Without a stream all lines are discarded.
        """
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._describe_dropped = dropped
        self._idle = idle
        # its lock can be taken twice: a finalizer that logs may run in the midst of `put`
        self._changed = Condition()
        self._lines: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._why = UNREAD
        self._failing = False
        self._writing = False
        self._timed_out = False
        self._closed = False
        self._thread: Thread | None = None

    def accepts(self, *, urgent: bool = False) -> bool:
        """Return whether there is room for a line; where there is none, count it as dropped."""
        with self._changed:
            # once something was dropped, half of the room has to be free again: reported once, not at every other line
            share = (0.5 if self._dropped else 0.75) + 0.25 * urgent
            if len(self._lines) < MAX_LINES * share and self._bytes < MAX_BYTES * share:
                return True
            self._dropped += 1
            if not self._failing:
                self._why = UNREAD
            return False

    def put(self, text: str) -> None:
        """Add a line (or several, with their line ends) that was accepted."""
        with self._changed:
            self._add_dropped()
            self._add(text, 1)
            self._start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is written, at most this long; return whether it is.

        After a timeout, no later call waits until something was written: many lines in a row wait once.
        """
        with self._changed:
            if self._lines:
                self._start()
            done = self._changed.wait_for(self._is_drained, 0 if self._timed_out else seconds)
            self._timed_out = not done
            return done

    def close(self) -> None:
        """Let the thread end once everything is written."""
        with self._changed:
            self._closed = True
            if self._thread is None or not self._thread.is_alive():
                self._close_stream()
            self._changed.notify_all()

    # --- all below with the lock held

    def _add_dropped(self) -> None:
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._add(self._describe_dropped(count, self._why), count)

    def _add(self, text: str, count: int) -> None:
        data = text.encode(self._encoding, "backslashreplace")
        self._lines.append((data, count))
        self._bytes += len(data)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # a process that was forked has no thread
            self._thread = Thread(target=self._run, name="log", daemon=True)
            with suppress(RuntimeError):  # too many threads now: the next line tries again
                self._thread.start()

    def _close_stream(self) -> None:
        """Close the descriptor; later lines are discarded."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._stream = None

    def _is_drained(self) -> bool:
        return not self._lines and not self._writing and (self._failing or not self._dropped)

    def _has_work(self) -> bool:
        return bool(self._lines) or self._closed or (self._dropped > 0 and not self._failing)

    # --- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                news = self._changed.wait_for(self._has_work, IDLE)
                lines = self._take()
                if not lines and self._closed:
                    self._close_stream()
                    return
            if lines:
                self._deliver(lines)
            if not news:
                self._idle()

    def _take(self) -> list[tuple[bytes, int]]:
        if not self._lines and not (self._closed and self._failing):
            self._add_dropped()
        lines = [self._lines.popleft() for _ in range(min(LINES_PER_WRITE, len(self._lines)))]
        self._bytes -= sum(len(data) for data, _ in lines)
        self._writing = bool(lines)
        return lines

    def _deliver(self, lines: list[tuple[bytes, int]]) -> None:
        why = ""
        try:
            self._write(b"".join(data for data, _ in lines))
        except Exception as error:  # noqa: BLE001 - a full disk, a reader that ended, a closed stream: the program goes on
            why = f"cannot write to stderr: {getattr(error, 'strerror', None) or error}"
        with self._changed:
            self._writing = False
            self._failing = bool(why)
            self._timed_out = False
            if why:
                self._why = why
                self._dropped += sum(count for _, count in lines)
            self._changed.notify_all()

    def _write(self, data: bytes) -> None:
        if self._descriptor is not None:
            write_all(self._descriptor, data)
        elif self._stream is not None:
            self._stream.write(data.decode(self._encoding))
            self._stream.flush()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all data to a descriptor that may take only a part of it, or be non-blocking."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()


def _descriptor(stream: TextIO | None) -> int | None:
    # past Python's own buffer: who waits with its lock held makes the interpreter abort at its end. And a number of its
    # own: when a plugin closes the stream, the next file that is opened gets the stream's
    try:
        return os.dup(stream.fileno()) if stream is not None else None
    except (OSError, ValueError, AttributeError):
        return None

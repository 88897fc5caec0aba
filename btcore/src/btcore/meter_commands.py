# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to meters on the line of a source: what is to be sent, and what comes in meanwhile.

A collector owns its line, so it alone sends: it takes the commands that wait, at a moment that suits it, and goes on
yielding all that comes in. One conversation with a meter at a time has the line of a source. What a command means, and
what its answer must be, belongs to `device/`.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Lock

from btcore.classes import field, frozen
from btcore.errors import Unavailable

MAX_WAITING = 1024
"""MeterCommands that wait to be taken; a collector that takes none does not fill the memory."""

MAX_RECEIVED = 1 << 16
"""Bytes that are kept for the one who waits for an answer; above it, the oldest are dropped."""

FIRST_TAKE = 15.0
"""Seconds in which a collector must take a command if it has never looked for one."""

LATER_TAKE = 45.0
"""Seconds more for one that has: it may first finish asking all its devices for a packet, or wait for a meter."""


class CommandFailed(Unavailable):
    """A command could not be sent, or no usable answer came; the text says what happened and what to do."""


@frozen(eq=False)
class MeterCommand:
    """Bytes to send to a meter: on this stream, or on the only line of the source if `stream` is empty."""

    data: bytes
    stream: str = ""


class MeterCommands:
    """The commands to the meters of one source. Safe between threads.

    For a collector: `take`, `wait`, `is_busy` and `refuse`. For a source that passes on commands of others, also
    `conversation`, in another thread than its collector's. The rest is for the core.
    """

    def __init__(self) -> None:
        """Begin with nothing to send."""
        self._changed = Condition()
        self._turn = Lock()
        self._waiting: deque[MeterCommand] = deque()
        self._received = bytearray()
        self._stream = ""
        self._failure = ""
        self._is_busy = False
        self._is_taken = False  # whether the collector has taken a command of this conversation
        self._is_known = False  # whether the collector has ever looked for commands

    # --- for a collector

    @property
    def is_busy(self) -> bool:
        """Whether a conversation with a meter is under way: until it ends, ask no meter for a packet."""
        self._is_known = True
        return self._is_busy

    def take(self) -> tuple[MeterCommand, ...]:
        """Return the commands to send now, in order; mostly none. Send each as it is, all of it."""
        self._is_known = True
        if not self._waiting:  # without the lock: this is called for every read of a line
            return ()
        with self._changed:
            taken = tuple(self._waiting)
            self._waiting.clear()
            self._is_taken = True
            self._changed.notify_all()
        return taken

    def wait(self, seconds: float) -> bool:
        """Wait for a command, so many seconds at most; return whether there is one."""
        self._is_known = True
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._waiting), seconds)

    def refuse(self, why: str) -> None:
        """Say that a command cannot be sent, and what to do about it; the conversation ends with this text."""
        self._fail(why)

    # --- for the core

    @property
    def are_taken(self) -> bool:
        """Whether the collector has ever looked for commands: one that never does cannot send any."""
        return self._is_known

    @contextmanager
    def conversation(self, stream: str = "", patience: float = 30.0) -> Iterator["CommandLine"]:
        """Have the line for one conversation; one that others have is waited for. Raises CommandFailed."""
        if not self._turn.acquire(timeout=patience):
            raise CommandFailed(
                f"another command has had the line for {patience:.0f} s: try again when that one has ended"
            )
        try:
            self._reset(stream, busy=True)
            yield CommandLine(self)
        finally:
            self._reset("", busy=False)
            self._turn.release()

    def post(self, command: MeterCommand) -> None:
        """Add a command, and do not wait for it to be sent. Raises CommandFailed."""
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                raise CommandFailed("the source takes no commands now: too many are waiting")
            self._waiting.append(command)
            self._changed.notify_all()

    def send(self, data: bytes, streams: Sequence[str] = ()) -> None:
        """Add a command of the conversation, and wait until the collector has taken it. Raises CommandFailed.

        It is sent on each of these streams; by default, on that of the conversation.
        """
        for stream in streams or (self._stream,):
            self.post(MeterCommand(data, stream))
        with self._changed:
            if not self._wait_until_taken(FIRST_TAKE) and not (self._is_known and self._wait_until_taken(LATER_TAKE)):
                raise CommandFailed(self._why_not_taken())
            self._check()

    def _wait_until_taken(self, seconds: float) -> bool:
        return self._changed.wait_for(lambda: not self._waiting or bool(self._failure), seconds)

    def receive(self, seconds: float) -> bytes:
        """Return what came in since the last call; wait for it, so many seconds at most. Raises CommandFailed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._received or self._failure), seconds)
            received = bytes(self._received)
            self._received.clear()
            if not received:
                self._check()
            return received

    def came_in(self, stream: str, data: bytes) -> bool:
        """Take note of bytes that the source has brought; return whether they may be the answer to a command."""
        if not (self._is_busy and self._stream in {"", stream}):
            return False
        with self._changed:
            self._received += data
            del self._received[:-MAX_RECEIVED]
            self._changed.notify_all()
        return True

    def ended(self, stream: str) -> None:
        """Take note that a stream has ended: nothing more will come on it.

        Before the first command is sent, a collector that connects anew for each request may still do so.
        """
        if not self._is_busy or self._stream not in {"", stream}:
            return
        if not self._is_taken:
            self._stream = ""
        else:
            self._fail(
                "the connection to the meter ended in the middle of the command: ask again, for what it has done"
            )

    def interrupt(self, why: str) -> None:
        """Take note that the source has failed or ended."""
        if self._is_busy:
            self._fail(f"the source failed in the middle of the command: {why}")

    def _fail(self, why: str) -> None:
        with self._changed:
            self._failure = why
            self._waiting.clear()
            self._changed.notify_all()

    def _check(self) -> None:
        if self._failure:
            raise CommandFailed(self._failure)

    def _reset(self, stream: str, *, busy: bool) -> None:
        with self._changed:
            self._waiting.clear()
            self._received.clear()
            self._failure = ""
            self._stream = stream
            self._is_busy = busy
            self._is_taken = False
            self._changed.notify_all()

    def _why_not_taken(self) -> str:
        if not self._is_known:
            within = f"{FIRST_TAKE:.0f} s"
            return f"the source took no command within {within}: its plugin sends none, or cannot reach the meter"
        within = f"{FIRST_TAKE + LATER_TAKE:.0f} s"
        return f"the source did not send the command within {within}: no meter is connected, or its line hangs"


@frozen
class CommandLine:
    """The line of a source for one conversation."""

    commands: MeterCommands = field(repr=False)

    def send(self, data: bytes, streams: Sequence[str] = ()) -> None:
        """Send bytes to the meter; return when the collector has taken them. Raises CommandFailed.

        They go to each of these streams; by default, to that of the conversation.
        """
        self.commands.send(data, streams)

    def receive(self, seconds: float) -> bytes:
        """Return what comes in within so many seconds, packets included; b"" if nothing. Raises CommandFailed."""
        return self.commands.receive(seconds)

    def drain(self, seconds: float) -> bytes:
        """Return all that comes in for so many seconds. Raises CommandFailed."""
        until, received = time.monotonic() + seconds, b""
        while (left := until - time.monotonic()) > 0:
            received += self.receive(left)
        return received[-MAX_RECEIVED:]

# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is to talk to the meter: the commands of one reader, and what the meter answers, before the next's.

A turn is a conversation of the core (`context.commands`), so `btcore device` waits for it too, and no meter is asked
for a packet meanwhile. The commands are not understood, so silence ends a turn.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Condition, Thread

from btcore import CommandFailed, CommandLine, MeterCommands
from btmon_tee.readers import Reader

QUIET = 1.0
"""Seconds without a command or an answer after which a turn ends."""

ANSWER_TIMEOUT = 5.0
"""The same, as long as no answer has come: a gateway or a packet under way may delay it."""

MAX_TURN = 30.0
"""Seconds after which a turn ends if others wait."""

HELD = 0.4
"""Seconds of silence after which what may be the beginning of a packet is shown to whom it may be an answer."""

MAX_COMMANDS = 4096
"""Bytes of commands that wait for one reader's turn."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a turn may take to end at the end."""

ASKS_FOR_PACKET = b"SPK"
"""In the command of an ECM and a GEM alike: the answer is a packet, as those that come unasked are."""


class Turns:
    """The commands that wait, and the reader whose turn it is. `streams` returns where the meters are."""

    def __init__(
        self,
        commands: MeterCommands,
        streams: Callable[[], Sequence[str]],
        settle: Callable[[], object],
        log: logging.Logger,
    ) -> None:
        """Begin."""
        self._commands, self._streams, self._settle, self._log = commands, streams, settle, log
        self._changed = Condition()
        self._waiting: OrderedDict[Reader, bytearray] = OrderedDict()
        self._owner: Reader | None = None
        self._heard = 0.0
        self._is_answered = self._awaits_packet = self._is_closing = self._is_failing = False
        self._thread = Thread(target=self._run, name=f"commands of the readers of {log.name}", daemon=True)
        self._thread.start()

    @property
    def owner(self) -> Reader | None:
        """The reader whose turn it is."""
        return self._owner

    def add(self, reader: Reader, data: bytes) -> bool:
        """Add commands of a reader; return whether there is room for them."""
        with self._changed:
            waiting = self._waiting.setdefault(reader, bytearray())
            if len(waiting) + len(data) > MAX_COMMANDS:
                return False
            waiting += data
            self._changed.notify_all()
            return True

    def forget(self, reader: Reader) -> None:
        """Take note that a reader is gone. A turn that it had goes on until the meter has answered."""
        with self._changed:
            self._waiting.pop(reader, None)

    def answered(self, *, by_packet: bool) -> None:
        """Take note that something came from the meter: a packet, or what is none."""
        if by_packet and not self._awaits_packet:
            return
        with self._changed:
            self._is_answered, self._heard = True, time.monotonic()

    def close(self) -> None:
        """End."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._owner is not None:
            self._commands.refuse("the readers are closed")
        self._thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        while (reader := self._next()) is not None:
            try:
                with self._commands.conversation() as line:
                    self._owner = reader
                    self._talk(reader, line)
                self._is_failing = False
            except CommandFailed as failure:
                self._failed(reader, failure)
            finally:
                self._owner = None

    def _next(self) -> Reader | None:
        """Wait for a reader that has commands; the one that waits for longest. None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return None if self._is_closing else next(iter(self._waiting))

    def _talk(self, reader: Reader, line: CommandLine) -> None:
        began = self._heard = time.monotonic()
        self._is_answered = self._awaits_packet = False
        while not self._is_over(began):
            if data := self._take(reader):
                self._awaits_packet = self._awaits_packet or ASKS_FOR_PACKET in data
                self._is_answered = False
                line.send(data, self._streams())
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard >= HELD:
                self._settle()
            line.receive(0)  # a failure of the line ends the turn

    def _take(self, reader: Reader) -> bytes:
        """Return the reader's next commands; wait a moment for some."""
        with self._changed:
            self._changed.wait_for(lambda: reader in self._waiting or self._is_closing, HELD / 4)
            return bytes(self._waiting.pop(reader, b""))

    def _is_over(self, began: float) -> bool:
        now = time.monotonic()
        silence = QUIET if self._is_answered else ANSWER_TIMEOUT
        has_others = any(other is not self._owner for other in list(self._waiting))
        return self._is_closing or now - self._heard >= silence or (has_others and now - began >= MAX_TURN)

    def _failed(self, reader: Reader, failure: CommandFailed) -> None:
        self.forget(reader)
        if not self._is_failing and not self._is_closing:
            self._is_failing = True
            self._log.warning("a command of %s was not sent, or has no answer: %s", reader.name, failure)

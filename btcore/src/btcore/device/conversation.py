# SPDX-License-Identifier: GPL-3.0-or-later
"""One conversation with a meter: what is sent, which answer is waited for, and what is said where it does not come.

It is given a line (`send`, `receive`, `drain`). Every wait has an end. Which line that is belongs to `runtime/`.
"""

import re
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from btcore.classes import define
from btcore.decode.recognition import recognize
from btcore.device.answers import AnswerBytes
from btcore.meter_commands import CommandFailed
from btcore.text import quoted, shortened

T = TypeVar("T")

TIMEOUT = 5.0
"""Seconds that a meter has for an answer."""

QUIET = 0.4
"""Seconds of silence after which what looked like the beginning of a packet is none."""

MAX_QUOTED = 60
"""Characters of an unexpected answer that a message shows."""


class Line(Protocol):
    """A line to a meter. Each method raises CommandFailed when the line is gone."""

    def send(self, data: bytes) -> None:
        """Send all of these bytes."""

    def receive(self, seconds: float) -> bytes:
        """Return what comes in within so many seconds, or b""."""

    def drain(self, seconds: float) -> bytes:
        """Return all that comes in for so many seconds."""


class NoAnswer(CommandFailed):
    """A meter sent nothing that can be an answer in time."""


@define
class Conversation:
    """Asks one meter, one question after the other. `name` is how messages call the meter."""

    line: Line
    name: str
    timeout: float = TIMEOUT
    clock: Callable[[], float] = time.monotonic
    packets: int = 0

    def send_unanswered(self, data: bytes, seconds: float) -> None:
        """Send a command that has no answer, and let pass what is under way."""
        self.line.send(data)
        self._count(self.line.drain(seconds))

    def settle(self, seconds: float) -> None:
        """Let pass what is under way, before the first question."""
        self._count(self.line.drain(seconds))

    def ask(self, data: bytes, read: Callable[[bytes], T | None], what: str, expected: str) -> T:
        """Send bytes, and return what `read` finds in the bytes outside of packets. Raises NoAnswer.

        `read` returns None as long as the answer is not complete; it raises ValueError, with what was expected, for
        bytes that are no answer.
        """
        came = AnswerBytes()
        self.line.send(data)
        deadline = self.clock() + self.timeout
        while True:
            try:
                found = read(_without_echo(came.outside, data))
            except ValueError as error:
                raise NoAnswer(
                    f"{what}: {self.name} answered {_describe_bytes(came.outside)}, which is not {error}"
                ) from None
            if found is not None:
                self.packets += came.packets
                return found
            left = deadline - self.clock()
            if left <= 0:
                self.packets += came.packets
                raise NoAnswer(f"{what}: {self._describe(came, expected)}")
            if received := self.line.receive(min(left, QUIET)):
                came.feed(received)
            else:
                came.settle()

    def _count(self, data: bytes) -> None:
        came = AnswerBytes()
        came.feed(data)
        self.packets += came.packets

    def _describe(self, came: AnswerBytes, expected: str) -> str:
        """Describe what came instead of an answer, and what to do about it."""
        within = f"within {self.timeout:g} s"
        if came.outside:
            kind = recognize(came.outside)
            seen = f": {kind.seen}" if kind.seen and not came.packets else ""
            return (
                f"{self.name} did not answer {expected} {within}; what came was {_describe_bytes(came.outside)}{seen}"
            )
        if came.packets or self.packets:
            return (
                f"{self.name} did not answer {within}, though packets came in: something in between passes packets on"
                " and swallows commands. A DashBox does that (change the meter on its own web page), and so does a"
                " gateway that passes bytes one way only"
            )
        return (
            f"{self.name} did not answer {within}, and nothing else came in: check its power and its line, the speed"
            " (an ECM has 19200 baud), and whether the gateway passes bytes both ways. A DashBox in between swallows"
            " commands"
        )


def _without_echo(data: bytes, sent: bytes) -> bytes:
    """Return an answer without what was sent, which comes back on a line of two wires (RS-485).

    A single byte stays: the acknowledgement of an ECM is the byte that addresses it.
    """
    return data.replace(sent, b"", 1) if len(sent) > 1 else data


def line_reader(answer: str) -> Callable[[bytes], bool | None]:
    """Return a reader that waits for one line, which acknowledges a command; another line is no answer."""
    pattern = re.compile(re.escape(answer.encode()) + b"\r\n")

    def read(data: bytes) -> bool | None:
        return True if pattern.search(data) else None

    return read


def _describe_bytes(data: bytes) -> str:
    """Return bytes as text if they are, else as hexadecimal digits; shortened."""
    text = data.decode("ascii", "replace").strip()
    if text and text.isascii() and all(letter.isprintable() or letter in "\r\n\t" for letter in text):
        return quoted(shortened(text, MAX_QUOTED))
    return f"{shortened(data.hex(' '), MAX_QUOTED)} (hexadecimal)"

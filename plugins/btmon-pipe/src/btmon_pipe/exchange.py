# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines go to another program, and answers come back, through file descriptors that never block.

What the other program is (a child process, the end of a socket) is not known here.
"""

import os
import selectors
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs

MAX_ANSWER = 1000
"""The most characters of an answer."""

BLOCK = 65_536

OK, RETRY, REJECT = "ok", "retry", "reject"


class Ended(Exception):
    """The other side has closed: it takes nothing any more."""


class TimedOut(Exception):
    """The other side has neither read nor answered for too long."""


class Senseless(Exception):
    """The other side has answered what is no answer; the text is it."""


@attrs.frozen
class Answer:
    """What the other side says of one line: `ok`, `retry` or `reject`, and why."""

    verdict: str
    why: str


def parse_answer(line: bytes) -> Answer:
    """Read an answer: `ok`, or `retry` or `reject` and the reason. Raises Senseless."""
    text = line.decode(errors="replace").strip()
    verdict, _, why = text.replace(":", " ", 1).partition(" ")
    if verdict.lower() not in (OK, RETRY, REJECT):
        raise Senseless(text[:MAX_ANSWER])
    return Answer(verdict.lower(), why.strip())


@attrs.define
class Exchange:
    """Writes to one descriptor, and reads from another or the same. `timeout` is in seconds without any progress."""

    out: int
    back: int | None
    timeout: float
    _received: bytearray = attrs.field(init=False, factory=bytearray)

    def __attrs_post_init__(self) -> None:
        """Let neither block."""
        os.set_blocking(self.out, False)
        if self.back is not None:
            os.set_blocking(self.back, False)

    def send(self, lines: Sequence[bytes], answered: Callable[[int, Answer], object] | None) -> None:
        """Write lines; with `answered`, wait for the answer to each, which it is given with the number of its line.

        Without it, what comes back is not looked at. Raises Ended, TimedOut or Senseless; each line of which the answer
        has come by then was given.
        """
        waiting = deque(range(len(lines)) if answered else ())
        try:
            self._send(memoryview(b"".join(lines)), waiting, answered)
        except Ended:
            with suppress(Ended, Senseless):  # it may have answered some lines before it ended
                while self._is_readable():
                    self._read(waiting, answered)
            raise
        if self._is_readable():
            self._read(deque(), None)

    def _send(self, left: memoryview, waiting: deque[int], answered: Callable[[int, Answer], object] | None) -> None:
        with selectors.DefaultSelector() as selector:
            if self.back is not None:
                selector.register(self.back, selectors.EVENT_READ)
            while left or waiting:
                self._watch(selector, writing=bool(left))
                ready = selector.select(self.timeout)
                if not ready:
                    raise TimedOut
                for _, events in ready:
                    if events & selectors.EVENT_READ:
                        self._read(waiting, answered)
                    if events & selectors.EVENT_WRITE:
                        left = left[self._write(left) :]

    def _watch(self, selector: selectors.BaseSelector, *, writing: bool) -> None:
        """Wait for the descriptor to write to while there is something to write."""
        reading = selectors.EVENT_READ if self.out == self.back else 0
        wanted = reading | (selectors.EVENT_WRITE if writing else 0)
        known = selector.get_map().get(self.out)
        if known is not None and known.events != wanted:
            selector.unregister(self.out)
            known = None
        if known is None and wanted:
            selector.register(self.out, wanted)

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self.out, data[:BLOCK])
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionError) as error:
            raise Ended from error

    def _read(self, waiting: deque[int], answered: Callable[[int, Answer], object] | None) -> None:
        assert self.back is not None  # noqa: S101 - it is ready
        try:
            data = os.read(self.back, BLOCK)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise Ended from error
        if not data:
            raise Ended
        if answered is None:
            return
        self._received += data
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            answer = parse_answer(line)
            if not waiting:
                raise Senseless(f"{answer.verdict}, to no line")
            answered(waiting.popleft(), answer)
        if len(self._received) > MAX_ANSWER:
            raise Senseless(f"more than {MAX_ANSWER} characters without the end of a line")

    def _is_readable(self) -> bool:
        """Whether something has come back, or the other side has closed."""
        if self.back is None:
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(self.back, selectors.EVENT_READ)
            return bool(selector.select(0))

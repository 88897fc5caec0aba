# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal of 80 columns, and a person at it: a program on a real pty that is its controlling terminal."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from btcore.testing.kit.waiting import PATIENCE

COLUMNS, ROWS = 80, 24
INTERRUPT, ECHO = b"\x03", "^C"
"""What Ctrl-C sends, and what a terminal shows of it."""


class Terminal:
    """A program at a terminal, ended by the end of the `with`."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        """Start it in a folder."""
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.text = ""
        self._unseen = ""
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: _take(theirs),  # noqa: PLW1509 - nothing that a thread may hold
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program, and close the terminal."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)

    def read_until(self, pattern: str) -> str:
        """Return what the program writes up to a pattern, each run of blanks and ends of lines as one blank."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._unseen)):
            left = until - time.monotonic()
            assert left > 0, f"{pattern!r} does not come after:\n{self.text}"
            assert self._read(left), f"the program ended without {pattern!r}:\n{self.text}"
        self._unseen = self._unseen[found.end() :]
        return found.string[: found.end()]

    def answer(self, question: str, reply: str = "") -> str:
        """Wait for a question, give a reply; return what came before."""
        before = self.read_until(question)
        self.type(reply)
        return before

    def type(self, reply: str) -> None:
        """Type a reply, and press Enter."""
        os.write(self._ours, f"{reply}\n".encode())

    def close_input(self) -> None:
        """Press Ctrl-D."""
        os.write(self._ours, b"\x04")

    def interrupt(self) -> None:
        """Press Ctrl-C, and again where nothing follows: `input` misses a signal that comes as it begins."""
        echo = len(self.text) + len(ECHO)
        while len(self.text) <= echo:
            os.write(self._ours, INTERRUPT)
            while self._read(1.0):
                pass

    def finish(self) -> int:
        """Wait for the end of the program; return its exit code."""
        while self._read(PATIENCE):
            pass
        return self._process.wait(PATIENCE)

    def widest(self, typed: str) -> int:
        """Return how many columns the longest line took, without what was typed."""
        return max(map(len, self.text.replace("\r", "").replace(typed, "").splitlines()))

    def _read(self, seconds: float) -> bool:
        """Take in what comes; return whether the program still has the terminal."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._ours, 4096)
        except OSError:  # Linux' word for: nobody has the other end
            return False
        self.text += data.decode()
        self._unseen = re.sub(r"\s+", " ", self._unseen + data.decode())
        return bool(data)


def _take(terminal: int) -> None:
    """Make a terminal the controlling one; Ctrl-C means what it means there, whatever started the tests ignores."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)

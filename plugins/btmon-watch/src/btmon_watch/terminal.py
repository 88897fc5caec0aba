# SPDX-License-Identifier: GPL-3.0-or-later
"""The terminal: its other screen, keys, and size. It is left as it was found, however the program ends."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import attrs
from rich.console import Console
from rich.text import Text

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"

KEYS = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "k": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "j": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    " ": "page down",
    **dict.fromkeys(("\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"), "first"),
    **dict.fromkeys(("\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~"), "last"),
    "q": "leave",
    "Q": "leave",
    "h": "health",
    "n": "now",
}
"""What keys send, and what is meant."""

MAX_KEYS = 256
"""Bytes of keys that are read at once."""

CONTROL_CHARACTERS = 6
"""Where `termios` has the characters that mean something."""

USUAL_SIZE = (80, 24)

NOBODY = "leave"
"""The key of a terminal that is gone."""


@attrs.define(eq=False)
class Terminal:
    """A terminal that is being drawn on."""

    console: Console
    _keys: int
    _alarm: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Its columns and rows now. A serial line does not tell them."""
        columns, rows = os.get_terminal_size(self.console.file.fileno())
        return columns or USUAL_SIZE[0], rows or USUAL_SIZE[1]

    def draw(self, lines: Sequence[Text]) -> None:
        """Draw lines over what is there; none may be as wide as the terminal."""
        self.console.width = 10_000  # the lines have their width already
        with self.console.capture() as drawn:
            for line in lines:
                self.console.print(line, no_wrap=True, crop=False, overflow="ignore")
        rows = drawn.get().split("\n")[:-1]
        self.console.file.write(HOME + "\r\n".join(row + CLEAR_LINE for row in rows) + CLEAR_REST)
        self.console.file.flush()

    def wake(self) -> None:
        """Let `wait` return. Any thread may call it."""
        with suppress(OSError):  # it is closed, or full: then it returns anyway
            os.write(self._alarm[1], b".")

    def wait(self, seconds: float) -> list[str]:
        """Wait for keys, for `wake`, for another size, or for so many seconds; return the keys."""
        ready, _, _ = select.select([self._keys, self._alarm[0]], [], [], seconds)
        if self._alarm[0] in ready:
            with suppress(BlockingIOError):
                os.read(self._alarm[0], MAX_KEYS)
        if self._keys not in ready:
            return []
        try:
            sent = os.read(self._keys, MAX_KEYS)
        except OSError:
            sent = b""
        return keys_of(sent.decode("ascii", "replace")) if sent else [NOBODY]


def keys_of(sent: str) -> list[str]:
    """Return what was meant by what keys sent; anything else is passed over."""
    found = []
    while sent:
        key = next((key for key in KEYS if sent.startswith(key)), sent[0])
        found += [KEYS[key]] if key in KEYS else []
        sent = sent[len(key) :]
    return found


@contextmanager
def terminal(console: Console) -> Iterator[Terminal]:
    """Draw on the other screen of a terminal, and put everything back at the end."""
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    alarm = os.pipe()
    for end in alarm:
        os.set_blocking(end, False)
    earlier = signal.set_wakeup_fd(alarm[1], warn_on_full_buffer=False)
    handlers = {one: signal.signal(one, _end) for one in (signal.SIGTERM, signal.SIGHUP)}
    handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, _noted)
    try:
        _listen_to_each_key(keys)
        console.file.write(ENTER)
        yield Terminal(console, keys, alarm)
    finally:
        signal.set_wakeup_fd(earlier)
        for one, handler in handlers.items():
            signal.signal(one, handler)
        with suppress(OSError, termios.error):  # the terminal may be gone
            console.file.write(LEAVE)
            console.file.flush()
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
        for end in alarm:
            os.close(end)


def _listen_to_each_key(keys: int) -> None:
    """Let each key come at once, unseen; Ctrl-Z does nothing, as the shell would be left on the other screen."""
    tty.setcbreak(keys)
    settings: list[Any] = termios.tcgetattr(keys)
    settings[CONTROL_CHARACTERS][termios.VSUSP] = b"\x00"
    termios.tcsetattr(keys, termios.TCSADRAIN, settings)


def _noted(_signal: int, _frame: FrameType | None) -> None:
    """Take note: the wait ends by it."""


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)

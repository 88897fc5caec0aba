# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a source that reads a store is: a bar on a terminal, a line in the log now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from logging import Logger
from typing import TextIO

from btcore.classes import define, field
from btcore.text import format_duration

WIDTH = 30
BAR_INTERVAL = 0.5
LINE_INTERVAL = 30.0
"""Seconds between two changes of the bar, and until the first line."""

MAX_LINE_INTERVAL = 300.0
"""Seconds between two lines in the end; each wait is twice the one before. Of more lines the log leaves some out."""


@define
class ImportProgress:
    """Tells how many rows of how many were read, how fast, and how long the rest takes; nothing where that is soon."""

    total: int
    log: Logger
    what: str
    unit: str = "rows"
    out: TextIO = field(factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    _started: float = field(init=False)
    _next: float = field(init=False)
    _interval: float = field(init=False)
    _is_shown: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        """Begin to count."""
        self._started = self.clock()
        self._interval = BAR_INTERVAL if self.is_bar else LINE_INTERVAL
        self._next = self._started + self._interval

    @property
    def is_bar(self) -> bool:
        """Whether there is a terminal to draw on."""
        return self.out is not None and self.out.isatty()

    def add(self, rows: int) -> None:
        """Count rows, and tell how far it is if it is time to."""
        self.done += rows
        if self.clock() >= self._next:
            if not self.is_bar:
                self._interval = min(2 * self._interval, MAX_LINE_INTERVAL)
            self._next = self.clock() + self._interval
            self._is_shown = True
            self._show("\r" if self.is_bar else "")

    def finish(self) -> None:
        """Tell how much it was, where it was much."""
        if self._is_shown:
            self._show("\r", end="\n")

    def _show(self, start: str, end: str = "") -> None:
        if self.is_bar:
            self.out.write(f"{start}{self.bar()} {self}\x1b[K{end}")
            self.out.flush()
        else:
            self.log.info("%s: %s", self.what, str(self))  # formatted later, by another thread

    def bar(self) -> str:
        """Draw the bar."""
        full = WIDTH if self.total <= 0 else min(WIDTH * self.done // self.total, WIDTH)
        return f"[{'#' * full}{'.' * (WIDTH - full)}]"

    def __str__(self) -> str:
        """As a person reads it."""
        passed = self.clock() - self._started
        rate = self.done / passed if passed > 0 else 0.0
        text = f"{self.done:,} of {max(self.total, self.done):,} {self.unit}, {rate:,.0f} {self.unit}/s"
        left = max(self.total - self.done, 0)
        return text + (f", {format_duration(left / rate)} left" if rate and left else "")

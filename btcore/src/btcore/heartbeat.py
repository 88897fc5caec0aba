# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker is doing, and since when: so another thread can find out that it hangs.

What follows from a hang is decided elsewhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from btcore.text import format_duration


class Heartbeat:
    """Written by the thread of one worker, read by others. `clock` counts seconds and is monotonic."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin with nothing to do."""
        self._clock = clock
        self.current: tuple[str, float] | None = None
        """What is being done, and since when, by the clock; None if the worker waits for work."""

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Do something that is a sign of life when it ends; what was being done before continues then."""
        before = self.current
        self.current = what, self._clock()
        try:
            yield
        finally:
            self.current = before and (before[0], self._clock())

    def beat(self) -> None:
        """Give a sign of life in what is being done."""
        if self.current is not None:
            self.current = self.current[0], self._clock()

    @property
    def age(self) -> float:
        """Seconds since the last sign of life; 0 if the worker waits for work."""
        current = self.current
        return self._clock() - current[1] if current is not None else 0.0

    def hang(self, timeout: float) -> str:
        """Describe what has been done for `timeout` seconds without a sign of life; "" if nothing has."""
        current, age = self.current, self.age
        if current is None or age < timeout:
            return ""
        return f"{current[0]} has not ended for {format_duration(age)}"

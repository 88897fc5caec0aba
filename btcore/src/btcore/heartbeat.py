# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker is doing, and since when: so another thread can find out that it hangs.

What follows from a hang is decided elsewhere.
"""

from collections.abc import Callable
from time import monotonic

from btcore.text import format_duration


class _During:
    """A context manager: no generator, which takes three times as long, as a source enters one for each packet."""

    __slots__ = ("_before", "_clock", "_heartbeat", "_what")

    def __init__(self, heartbeat: "Heartbeat", what: str, clock: Callable[[], float]) -> None:
        self._heartbeat = heartbeat
        self._what = what
        self._clock = clock
        self._before: tuple[str, float] | None = None

    def __enter__(self) -> None:
        self._before = self._heartbeat.current
        self._heartbeat.current = self._what, self._clock()

    def __exit__(self, *_: object) -> None:
        before = self._before
        self._heartbeat.current = before and (before[0], self._clock())


class Heartbeat:
    """Written by the thread of one worker, read by others. `clock` counts seconds and is monotonic."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin with nothing to do."""
        self._clock = clock
        self.current: tuple[str, float] | None = None
        """What is being done, and since when, by the clock; None if the worker waits for work."""

    def during(self, what: str) -> "_During":
        """Do something that is a sign of life when it ends; what was being done before continues then.

        What is returned may be entered again and again, but not within itself.
        """
        return _During(self, what, self._clock)

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

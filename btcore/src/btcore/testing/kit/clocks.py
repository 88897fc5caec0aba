# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock for tests of what time brings about: it stands still until it is set, or until somebody waits with it."""

from threading import Event


class Clock(Event):
    """Seconds, and the event that whoever waits for them waits for: waiting takes no time, it moves the clock."""

    def __init__(self, now: float = 0.0) -> None:
        """Begin at a time in seconds."""
        super().__init__()
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass, unless the event is set."""
        if not self.is_set():
            self.now += timeout or 0.0
        return self.is_set()

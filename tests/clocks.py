"""A clock that is set by hand, for tests of what time brings about. One that waiting moves is in `uploads.py`."""


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, now: float = 0.0) -> None:
        """Begin."""
        self.now = now

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

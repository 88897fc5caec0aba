"""Telling a person how work goes without filling the log: the first failure, summaries, and that it works again."""

import logging
import math
import time
from collections.abc import Callable

from btcore.errors import BtcoreError
from btcore.wording import counted

SUMMARY = 3600.0
"""Seconds between two reports of a failure that goes on."""


class Outcome:
    """Reports the failures of one worker. Times are seconds of a clock that never goes back."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing wrong."""
        self._log = log
        self._clock = clock
        self._since = 0.0
        self._told = 0.0
        self._count = 0

    def failed(self, what: str, wait: float) -> None:
        """Report a failure: the first at once, those that follow summed up every hour, all of them at debug level."""
        now = self._clock()
        self._count += 1
        if self._count == 1:
            self._since = self._told = now
            self._log.warning("%s; trying again in %s", what, length(math.ceil(wait)))
        elif now - self._told >= SUMMARY:
            self._told = now
            self._log.warning("still failing after %s, %d times: %s", length(now - self._since), self._count, what)
        else:
            self._log.debug("%s; trying again in %s", what, length(math.ceil(wait)))

    def worked(self) -> None:
        """Report that it works again, if it did not."""
        if self._count:
            lasted = length(math.ceil(self._clock() - self._since))
            self._log.info("recovered after %s and %s", lasted, counted(self._count, "failure"))
            self._count = 0


def told(error: BaseException) -> str:
    """Tell an exception: those that are meant for people by their text alone, others with their type."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - the exception of a plugin, which may fail to tell itself
        text = ""
    if isinstance(error, BtcoreError | OSError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def length(seconds: float) -> str:
    """Tell a length of time: `3 s`, `5 min`, `2 d 1 h`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join(part for part in parts if part) or f"{rest} s"

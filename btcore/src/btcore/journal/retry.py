# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for the journal: what cannot be kept or read now is tried until it can, or until the program stops.

How often a sink or a source is tried again is not decided here, but by its own settings.
"""

import math
import time
from collections.abc import Callable
from logging import Logger
from threading import Event
from typing import TypeVar

from btcore.backoff import Backoff
from btcore.errors import JournalFull, JournalNotReady, Unavailable
from btcore.heartbeat import Heartbeat
from btcore.logs.failures import FailureReporter

FIRST = 0.5
"""Seconds of the first wait for a journal that cannot be used now, such as one on a full disk."""

LONGEST = 30.0
"""Seconds of the longest."""

Done = TypeVar("Done")


class ShuttingDown(Exception):
    """The program stops while a worker waits."""


class JournalRetry:
    """Does what needs the journal for one worker; `reporter` knows whether that fails now."""

    def __init__(self, stop: Event, log: Logger, grace: float = 0.0, heartbeat: Heartbeat | None = None) -> None:
        """Wait until `stop` is set at most, and `grace` seconds more. `heartbeat` is that of the worker."""
        self._stop = stop
        self._heartbeat = heartbeat or Heartbeat()
        self._grace = grace
        self._end = math.inf
        self.reporter = FailureReporter(log)

    def __call__(self, work: Callable[[], Done], meanwhile: Callable[[], str] = str) -> Done:
        """Do something, at least once, and until it can be done. Raises ShuttingDown.

        `meanwhile` returns what the failure means for the reader, for the message.
        """
        backoff = Backoff(FIRST, LONGEST)
        while True:
            self._heartbeat.beat()
            try:
                done = work()
            except JournalFull:
                raise  # no waiting helps: what is to be kept is refused
            except Unavailable as error:
                wait = backoff.failed()
                is_known = isinstance(error, JournalNotReady)  # said once for all workers
                self.reporter.failed(f"{error}{meanwhile()}", wait, is_known=is_known)
                if self._stop.wait(wait) and not self._has_grace(wait):
                    raise ShuttingDown(str(error)) from error
            else:
                self.reporter.worked()
                return done

    def _has_grace(self, wait: float) -> bool:
        """Wait on after the program was asked to stop; return whether there was time for another try."""
        now = time.monotonic()
        self._end = min(self._end, now + self._grace)
        if now >= self._end:
            return False
        time.sleep(min(wait, self._end - now))
        return True

# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the journal and the lock of its directory inspected about every second, and logs what was found.

A thread of its own does it. What is found in the journal, and how it is mended, is its own affair.
"""

import logging
from collections.abc import Callable
from threading import Event, Thread

from btcore.errors import Unavailable
from btcore.journal import Damage, Journal

log = logging.getLogger("btcore")

INTERVAL = 1.0
"""Seconds between two inspections."""


class JournalWatch:
    """The inspections of one journal. They end before the journal is closed.

    `check_lock` returns what was done about the lock; where it raises Unavailable, another program has the directory,
    and the run is told to end: `stop` is set.
    """

    def __init__(self, journal: Journal, check_lock: Callable[[], str] = str, stop: Event | None = None) -> None:
        """Prepare."""
        self.failure = ""
        self._journal = journal
        self._check_lock = check_lock
        self._stop_run = stop or Event()
        self._stop = Event()
        self._faults = 0
        self.thread = Thread(target=self._run, name="journal watch", daemon=True)

    def end(self) -> None:
        """Tell it to end."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.turn()

    def turn(self) -> None:
        """Inspect once."""
        try:
            self._look_at_lock()
            for damage in self._journal.inspect():
                report(damage)
        except Unavailable as error:
            log.debug("the journal cannot be inspected now: %s", error)
        except Exception as error:
            self._faults += 1
            level = logging.ERROR if self._faults == 1 else logging.DEBUG
            log.log(level, "the journal cannot be inspected: a fault of btcore", exc_info=error)

    def _look_at_lock(self) -> None:
        """Take the lock again where it is needed: before the journal makes its file again."""
        try:
            if text := self._check_lock():
                log.warning("%s", text)
        except Unavailable as error:
            if not self._stop_run.is_set():
                self.failure = str(error)
                log.error("%s; this one ends, so that not both write", error)  # noqa: TRY400 - no traceback for a person
                self._stop_run.set()
            raise


def report(damage: Damage) -> None:
    """Log a damage: as an error where readings are lost, or may be."""
    log.log(logging.WARNING if damage.lost == 0 else logging.ERROR, "%s", damage.text)

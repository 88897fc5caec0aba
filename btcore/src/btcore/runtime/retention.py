# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping the journal small: what every sink has had is forgotten, a portion at a time, between other things.

What is forgotten is the journal's own decision; when, and what the log says of it, is decided here.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from btcore.errors import JournalNotReady, Unavailable
from btcore.journal import Forgotten, Journal, Retention
from btcore.text import plural

log = logging.getLogger("btcore")

INTERVAL = 3600.0
"""Seconds between two clean-ups of the journal."""

URGENT_INTERVAL = 10.0
"""The same where the journal has no room."""


class Upkeep:
    """The clean-ups of one journal: `turn` does a little, and returns soon."""

    def __init__(
        self,
        journal: Journal,
        sinks: Sequence[str],
        retention: Retention,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Prepare. `sinks` are all sinks of the configuration: what one of them has not had stays.

        `held` returns further names whose checkpoints hold readings now. It may raise Unavailable.
        """
        self._journal = journal
        self._sinks = sinks
        self._retention = retention
        self._clock = clock
        self._held = held
        self._began = self._warned = -INTERVAL
        self._portions: Iterator[Forgotten] | None = None
        self._entries = 0
        self._dead_letters: Counter[str] = Counter()

    @property
    def is_busy(self) -> bool:
        """Whether a clean-up is under way: there is more to do at once."""
        return self._portions is not None

    def turn(self) -> None:
        """Begin a clean-up when it is time, or continue with it; what the journal cannot do now is tried later."""
        try:
            if self._portions is None and self._is_due():
                self._began = self._clock()
                self._portions = iter(self._journal.apply_retention([*self._sinks, *self._held()], self._retention))
            if self._portions is not None:
                self._continue(self._portions)
        except Unavailable as error:
            level = logging.DEBUG if isinstance(error, JournalNotReady) else logging.WARNING
            log.log(level, "the journal cannot be cleaned up now: %s", error)
            self._end()

    def _is_due(self) -> bool:
        is_full = self._journal.is_full
        if is_full and self._clock() - self._warned >= INTERVAL:
            self._warned = self._clock()
            log.warning(
                "the journal is full, or nearly: readings that every sink has had are deleted now, before `retention`"
                " is over"
            )
        return self._clock() - self._began >= (URGENT_INTERVAL if is_full else INTERVAL)

    def _continue(self, portions: Iterator[Forgotten]) -> None:
        forgotten = next(portions, None)
        if forgotten is None:
            self._end()
        else:
            self._entries += forgotten.entries
            self._dead_letters.update(forgotten.dead_letters)

    def _end(self) -> None:
        for sink, count in self._dead_letters.items():
            log.warning("%s: deleted %s, as they are too old or too many", sink, plural(count, "dead letter"))
        log.debug("deleted %s", plural(self._entries, "delivered reading"))
        self._portions, self._entries = None, 0
        self._dead_letters.clear()

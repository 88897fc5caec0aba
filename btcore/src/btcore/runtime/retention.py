"""Keeping the journal small: what every sink has had is forgotten, a portion at a time, between other things."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.text import plural

log = logging.getLogger("btcore")

EVERY = 3600.0
"""Seconds between two clean-ups of the journal."""

URGENT = 10.0
"""The same where the journal has no room."""

ANY_AGE = 1 << 60
"""Seconds since 1970: everything was added before."""

ASIDE_KEPT = 90 * 86_400
"""Seconds for which readings that a sink refused are kept."""


class Upkeep:
    """The clean-ups of one journal: `turn` does a little, and returns soon."""

    def __init__(
        self, journal: Journal, sinks: Sequence[str], keep: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare. `retention` is for how many seconds readings stay after every one of the sinks has had them."""
        self._journal = journal
        self._sinks = sinks
        self._keep = keep
        self._clock = clock
        self._began = self._told = -EVERY
        self._portions: Iterator[int] | None = None
        self._gone = 0
        self._is_full = False

    @property
    def is_busy(self) -> bool:
        """Whether a clean-up is under way: there is more to do at once."""
        return self._portions is not None

    def turn(self) -> None:
        """Begin a clean-up when it is time, or go on with it; what the journal cannot do now is tried later."""
        try:
            if self._portions is None and self._is_due():
                self._begin()
            if self._portions is not None:
                self._go_on(self._portions)
        except Unavailable as error:
            log.warning("cannot clean up: %s", error)
            self._portions = None

    def _is_due(self) -> bool:
        full = self._journal.is_full
        if full and self._clock() - self._told >= EVERY:
            self._told = self._clock()
            log.warning("the journal has no room: what no sink waits for is forgotten now, before `retention` is over")
        self._is_full = full
        return self._clock() - self._began >= (URGENT if full else EVERY)

    def _begin(self) -> None:
        self._began, self._gone = self._clock(), 0
        self._portions = self._all_portions()

    def _all_portions(self) -> Iterator[int]:
        """Forget what was set aside, then what was delivered: whatever its age, where there is no room."""
        now = int(time.time())
        forgotten: Counter[str] = Counter()
        while found := self._journal.forget_dead_letters(now - ASIDE_KEPT):
            forgotten.update(found)
            yield 0
        for sink, count in forgotten.items():
            what = plural(count, "reading")
            log.warning("%s: forgot %s that were set aside, as they are too old or too many", sink, what)
        yield from self._journal.trim(self._sinks, ANY_AGE if self._is_full else int(now - self._keep))

    def _go_on(self, portions: Iterator[int]) -> None:
        gone = next(portions, None)
        if gone is None:
            self._portions = None
            log.debug("%s forgotten", plural(self._gone, "delivered reading"))
        else:
            self._gone += gone

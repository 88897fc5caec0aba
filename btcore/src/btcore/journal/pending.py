# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal that cannot be opened yet, as its disk is full: it is opened as soon as that can be done.

Until then it stands for the journal. What is to be kept or read raises JournalNotReady, so sources keep readings in
memory, and sinks wait, as with a journal whose disk has failed. Why a journal cannot be opened is its own affair.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from btcore.backoff import Backoff
from btcore.errors import BtcoreError
from btcore.journal import START, Damage, Forgotten, HeardMeter, Journal, JournalNotReady, Offset
from btcore.text import format_duration

FIRST, LONGEST = 1.0, 10.0
"""Seconds until it is tried again to open the journal: of the first wait, and of the longest."""

REPEAT_INTERVAL = 3600.0
"""Seconds after which it is said again that the journal is not open."""

log = logging.getLogger("btcore")


def pending(open_it: Callable[[], Journal], error: JournalNotReady) -> Journal:
    """Return what stands for a journal that could not be opened, with the error that said so.

    `open_it` opens it. It is called in `inspect`, about every second at most.
    """
    return cast("Journal", PendingJournal(open_it, error))


class PendingJournal:
    """Stands for one journal. `is_pending`: it is not open yet.

    What is not here is the journal's own: whoever has taken such a method keeps it when the journal is open.
    """

    def __init__(self, open_it: Callable[[], Journal], error: JournalNotReady) -> None:
        """Say why it is not open."""
        self._open = open_it
        self._location = error.location
        self._journal: Journal | None = None
        self._began = self._logged_at = time.monotonic()
        self._backoff = Backoff(FIRST, LONGEST)
        self._error: BtcoreError = error
        self._due = self._began + self._backoff.failed()
        log.error("%s. Until then readings wait in memory, up to 16 MB of each source", error)

    @property
    def is_pending(self) -> bool:
        """Whether it is not open yet."""
        return self._journal is None

    def inspect(self) -> Sequence[Damage]:
        """Open it, if it is time to try; once it is open, do what it does."""
        if self._journal is None and time.monotonic() >= self._due:
            self._try()
        return () if self._journal is None else self._journal.inspect()

    def _try(self) -> None:
        try:
            journal = self._open()
        except BtcoreError as error:
            self._failed(error)
        else:
            lasted = format_duration(time.monotonic() - self._began)
            log.info("the journal %s is open now, after %s: what waits is written", journal.location, lasted)
            self._journal = journal

    def _failed(self, error: BtcoreError) -> None:
        now = time.monotonic()
        self._error, self._due = error, now + self._backoff.failed()
        is_news = now - self._logged_at >= REPEAT_INTERVAL
        self._logged_at = now if is_news else self._logged_at
        level = logging.ERROR if is_news else logging.DEBUG
        log.log(level, "still, after %s: %s", format_duration(now - self._began), error)

    def _opened(self) -> Journal:
        if self._journal is None:
            raise JournalNotReady(str(self._error), self._location)
        return self._journal

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what a journal has of that name
        """Return a method of the journal; until it is open, one that asks for it when it is called."""
        if self._journal is not None:
            return getattr(self._journal, name)
        if name not in vars(Journal) or name.startswith("_"):
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - what the method takes and returns
        return getattr(self._opened(), name)(*given, **named)

    # --- what can be said of a journal that is not open

    @property
    def location(self) -> str:
        """Where it is."""
        return self._location if self._journal is None else self._journal.location

    @property
    def is_full(self) -> bool:
        """Whether there is no room: it can forget nothing for that yet."""
        return self._journal is not None and self._journal.is_full

    @property
    def damages(self) -> Sequence[Damage]:
        """What was found of late."""
        return () if self._journal is None else self._journal.damages

    def free(self) -> int | None:
        """Return the free bytes of its disk, where it is on one."""
        if self._journal is not None:
            return self._journal.free()
        with suppress(OSError):
            disk = os.statvfs(Path(self._location).parent)
            return disk.f_bavail * disk.f_frsize
        return None

    def newest(self) -> Offset:
        """Return the newest offset."""
        return START if self._journal is None else self._journal.newest()

    def heard_meters(self) -> Sequence[HeardMeter]:
        """Return which meters were heard."""
        return () if self._journal is None else self._journal.heard_meters()

    def apply_retention(self, *given: Any) -> Iterator[Forgotten]:  # noqa: ANN401 - what the journal's own takes
        """Forget what nobody needs."""
        return iter(()) if self._journal is None else self._journal.apply_retention(*given)

    def wake(self) -> None:
        """Make every `wait` return now."""
        if self._journal is not None:
            self._journal.wake()

    def close(self) -> None:
        """Give everything back."""
        if self._journal is not None:
            self._journal.close()

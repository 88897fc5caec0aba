# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings that came in before the time of day was known, and giving them their time once it is.

A computer without a battery for its clock starts in 1970, or at its last shutdown, until a time server has set it. The
steady clock runs from the start. So such a reading is kept with a negative `boot`, which says that its key is a guess;
no sink gets it. Once the clock is right, the steady clock tells when it came in.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from btcore import clocks
from btcore.classes import evolve
from btcore.journal import Entry, Journal, Offset, Unavailable
from btcore.records import to_microseconds
from btcore.text import either, format_duration

log = logging.getLogger("btcore")

NAME = "(clock)"
"""The source whose checkpoint says after which offset readings may lack a time."""

PATIENCE = 180_000_000
"""Microseconds after the start of the system for which a time server is waited for, where the time may be right."""

STEP = 5_000_000
"""Microseconds by which the clock has to be set for a line in the log."""

PORTION = 500
"""Entries that are looked at at once."""


class ClockWatch:
    """Watches the clocks of this computer, for one journal. `is_set`: the time of day is held to be right.

    Only the thread that calls `check` changes anything.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        now: Callable[[], datetime] = clocks.now,
        steady: Callable[[], int] = clocks.steady,
        is_synchronized: Callable[[], bool | None] = clocks.is_synchronized,
        boot: int = 0,
    ) -> None:
        """Look at the clocks. Where the journal cannot be read or written now, `check` does that later."""
        self._journal = journal
        self._now = now
        self._steady = steady
        self._is_synchronized = is_synchronized
        self._boot = boot or clocks.boot()
        self._ahead = self._read_ahead()
        self._from: Offset | None = None
        self._is_read = False
        self.is_set = self._is_right()
        if not self.is_set:
            log.warning(
                "this computer's clock is not set yet, it shows %s: readings are kept, and delivered once it is right",
                f"{self._now():%Y-%m-%d %H:%M}Z",
            )
        with suppress(Unavailable):
            self._read()

    @property
    def is_holding(self) -> bool:
        """Whether there may be readings whose time is not known."""
        return not self.is_set or not self._is_read or self._from is not None

    def found(self, entry: Entry) -> None:
        """Take note of an entry without a time that a sink has come to: it was written late."""
        if self._from is None:
            self._from = entry.offset - 1

    def check(self) -> None:
        """See whether the time of day is known now, or was set; called about every second. Raises Unavailable."""
        self._notice_step()
        if not self._is_read:
            self._read()
        if not self.is_set and self._is_right():
            self.is_set = True
            log.info("this computer's clock is right now: readings that waited for it get their times")
        if self.is_set and self._from is not None:
            self._correct(self._from)

    def _is_right(self) -> bool:
        if clocks.is_absurd(self._now()):
            return False
        return self._steady() > PATIENCE or self._is_synchronized() is not False

    def _read_ahead(self) -> int:
        """Return the microseconds by which the time of day is ahead of the steady clock."""
        return to_microseconds(self._now()) - self._steady()

    def _notice_step(self) -> None:
        ahead = self._read_ahead()
        step, self._ahead = ahead - self._ahead, ahead
        if abs(step) > STEP:
            way = "forward" if step > 0 else "back"
            what = "their times are kept" if self.is_set else "they get their right times"
            log.warning(
                "this computer's clock was set %s by %s; of the readings before that, %s",
                *(way, format_duration(abs(step) / 1e6), what),
            )

    def _read(self) -> None:
        """Read what an earlier run has left without a time; where this one will too, say from where on."""
        state = self._journal.source_checkpoint(NAME)
        known = int(state) if state.isdecimal() else None
        if known is None and not self.is_set:
            known = self._journal.newest()
            self._journal.commit_source(NAME, str(known))
        self._from = known if self._from is None or known is None else min(known, self._from)
        self._is_read = True

    def _correct(self, after: Offset) -> None:
        """Give the entries after an offset that have no time theirs."""
        before = self._journal.recent(after, 1)
        last = before[-1] if before else None
        corrected = 0
        while entries := self._journal.read(after, PORTION):
            changed: list[Entry] = []
            for entry in entries:
                last = self._with_time(entry, last) if entry.boot < 0 else entry
                changed += [last] if entry.boot < 0 else []
            self._journal.restamp(changed)
            corrected += len(changed)
            after = entries[-1].offset
        self._journal.commit_source(NAME, "")
        self._from = None
        if corrected:
            log.info("%s the right time", either(corrected, "reading has", "readings have"))
        self._journal.wake()

    def _with_time(self, entry: Entry, before: Entry | None) -> Entry:
        """Return an entry with its time: exact, or, of an earlier start of the system, as early as it can have been."""
        boot = -entry.boot
        if boot == self._boot:
            return evolve(entry, key=entry.monotonic + self._ahead, boot=boot)
        if before is None:
            return evolve(entry, boot=boot, key=max(entry.key, to_microseconds(clocks.EARLIEST)))
        passed = entry.monotonic - before.monotonic if before.boot == boot else entry.monotonic
        return evolve(entry, boot=boot, key=before.key + max(passed, 1))


def without_time(entries: Sequence[Entry]) -> tuple[Sequence[Entry], Entry | None]:
    """Return the entries up to the first that has no time yet, and that one."""
    for index, entry in enumerate(entries):
        if entry.boot < 0:
            return entries[:index], entry
    return entries, None

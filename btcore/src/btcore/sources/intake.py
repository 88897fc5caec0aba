"""Between a source and the journal: the readings that wait for it, and the thread that writes them.

So a journal that is slow or cannot be written now holds no source up: what comes in meanwhile has the time at which it
came in. Which readings are taken in is not decided here.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from threading import Condition, Event, Thread

from btcore.errors import JournalFull
from btcore.journal import Appended, Entry, Journal
from btcore.journal.keys import append_all
from btcore.journal.retry import JournalRetry, Stopping
from btcore.logs.failures import FailureReporter
from btcore.logs.tally import SummarizedCount
from btcore.text import describe_error, either

ROOM = 16 << 20
"""Bytes of memory for the readings of one source that wait; beyond this the source waits too."""

OVERHEAD = 400
"""Bytes of memory that one costs beside its packet."""

LOT = 500
"""Readings that are written at once."""

PROMPT = 0.05
"""Seconds in which a journal that works has written a lot: the source is asked for more after that."""

BRISK = 64
"""Times within a second after which a source is one that brings much at once: it waits once a lot, not every time."""


class Intake:
    """Takes the readings of one source, and writes them to the journal in order, by a thread of its own.

    `kept` counts what was new to the journal, `already` what it had before, `waiting` what is not written yet, `lost`
    what a stop leaves unwritten, `refused` what the journal had no room for. `is_full`: the source is kept waiting.
    """

    def __init__(self, name: str, journal: Journal, log: logging.Logger, stop: Event, grace: float = 0.0) -> None:
        """Prepare. `grace`: seconds after `stop` for which a journal that cannot be written is still tried."""
        self.kept = 0
        self.already = 0
        self.lost = 0
        self.is_full = False
        self._journal = journal
        self._log = log
        self._patiently = JournalRetry(stop, log, grace)
        self._outcome = FailureReporter(log)
        self.refused = SummarizedCount(
            log=log, level=logging.ERROR, summary="the journal did not take {count:reading} more; last: {last}"
        )
        self._thread = Thread(target=self._run, name=f"{name} (journal)", daemon=True)
        self._waiting: deque[Entry] = deque()
        self._size = 0
        self._written = 0
        self._is_late = False
        self._times: deque[float] = deque(maxlen=BRISK)
        self._is_closed = False
        self._failure = ""
        self._change = Condition()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many readings are not written yet."""
        return len(self._waiting)

    # --- of the source's thread

    def put(self, entries: Sequence[Entry]) -> None:
        """Take readings. Waits for a journal that works, and while there is no room. Raises Stopping: they are lost."""
        if not entries:
            return
        with self._change:
            if self._failure:
                self.lost += len(entries)
                raise Stopping(self._failure)
            self._waiting.extend(entries)
            self._size += sum(map(_size, entries))
            self._change.notify_all()
            if not self._is_late and (not self._is_brisk() or len(self._waiting) >= LOT):
                self._is_late = not self._change.wait_for(self._is_level, PROMPT)
            if self._size > ROOM:
                self._wait_for_room()

    def _is_brisk(self) -> bool:
        now = time.monotonic()
        self._times.append(now)
        return len(self._times) == BRISK and now - self._times[0] < 1

    def _is_level(self) -> bool:
        return not self._waiting or bool(self._failure)

    def _wait_for_room(self) -> None:
        what = either(len(self._waiting), "reading waits", "readings wait")
        self._outcome.note(f"{what} for the journal: no more are taken till then")
        self.is_full = True
        self._change.wait_for(lambda: self._size <= ROOM // 2 or self._failure)
        self.is_full = False

    def flush(self) -> None:
        """Wait until everything is written, or never will be."""
        with self._change:
            self._change.wait_for(self._is_level)

    def close(self) -> None:
        """Take no more, wait until everything is written or never will be, and tell what is lost."""
        with self._change:
            self._is_closed = True
            self._change.notify_all()
        self._thread.join()
        self.refused.finish()
        if self.lost:
            self._log.error(
                "%s lost by stopping now: %s", either(self.lost, "reading is", "readings are"), self._failure
            )

    # --- of the writer's thread

    def _run(self) -> None:
        while lot := self._next():
            try:
                self._write(lot)
            except Stopping as error:
                self._give_up(str(error))
                return
            self._forget(len(lot))

    def _next(self) -> list[Entry]:
        """Return what is to be written next; nothing when there never will be more."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._is_closed)
            return list(islice(self._waiting, LOT))

    def _forget(self, count: int) -> None:
        with self._change:
            for _ in range(count):
                self._size -= _size(self._waiting.popleft())
            self._is_late = self._is_late and bool(self._waiting)
            self._change.notify_all()

    def _give_up(self, why: str) -> None:
        with self._change:
            self._failure = why or "the journal cannot be written"
            self.lost += len(self._waiting) - self._written
            self._waiting.clear()
            self._size = 0
            self._change.notify_all()

    def _write(self, lot: Sequence[Entry]) -> None:
        """Write a lot, by halves where no journal can hold one of it: that one is told, and left out."""
        self._written = 0
        parts = [lot]
        while parts:
            part = parts.pop()
            before, half = self._written, len(part) // 2
            error = self._refusal(part)
            self._written = before
            if error is not None and half:
                parts += [part[half:], part[:half]]
                continue
            if error is not None:
                self._outcome.set_aside(*_unfit(part[0], error))
            self._written += len(part)

    def _refusal(self, part: Sequence[Entry]) -> BaseException | None:
        """Write some, whenever that can be done; return the error that no waiting mends."""
        before = self._written
        try:
            append_all(self._append, part)
        except Stopping:
            raise
        except JournalFull as error:
            count = len(part) - (self._written - before)
            self.refused.add(f"{error}: no new readings are kept", error, count)
        except BaseException as error:  # noqa: BLE001 - of any kind: what is behind it must be written all the same
            return error
        return None

    def _append(self, part: Sequence[Entry]) -> Appended:
        """Append some to the journal, up to the first whose key is taken; count what became of them."""
        done = self._patiently(partial(self._journal.append, part), self._meanwhile)
        written = len(part) - len(done.rest)
        self._written += written
        self.kept += len(done.kept)
        self.already += written - len(done.kept)
        return done

    def _meanwhile(self) -> str:
        return f" (readings that wait for it: {len(self._waiting) - self._written})"


def _size(entry: Entry) -> int:
    return len(entry.raw) + OVERHEAD


def _unfit(entry: Entry, error: BaseException) -> tuple[str, str]:
    """Tell of a reading that no journal can hold: all of it, and in short."""
    detail = f"meter {entry.serial!r:.80}, {describe_error(error)}"
    return f"a reading that the journal cannot hold is left out: {detail}", detail

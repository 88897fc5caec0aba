# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounded queue between a source and the journal, and the thread that writes it.

So a journal that is slow or not writable does not block a source: readings keep the time at which they came in. Which
readings are admitted is not decided here.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from threading import Condition, Event, Thread

from btcore.errors import JournalFull
from btcore.heartbeat import Heartbeat
from btcore.journal import Appended, Entry, Journal
from btcore.journal.keys import Append, append_all
from btcore.journal.pace import Pace
from btcore.journal.retry import JournalRetry, ShuttingDown
from btcore.logs.failures import FailureReporter, LastFailure
from btcore.logs.tally import SummarizedCount
from btcore.text import describe_error, either

MAX_QUEUE_BYTES = 16 << 20
"""Bytes of memory for the waiting readings of one source; above the limit, the source waits."""

ENTRY_OVERHEAD = 400
"""Bytes of memory that a reading needs beside its packet."""

MAX_ENTRIES_PER_WRITE = 256
"""Readings that one call of the journal writes."""

WRITE_TIMEOUT = 0.05
"""Seconds that `put` waits for the journal to write; after that, the source goes on."""

BURST_TIMEOUT = 0.25
"""The same where a burst has filled a write: a slow board takes so long for it, and what is written is safe."""

BURST_PUTS = 64
"""Calls of `put` within a second that are a burst: the source then waits once per write, not at every call."""

MANY_AT_ONCE = 32
"""Readings of one `put` that are part of a burst however rare such calls are: the blocks of a recording are."""

GATHER = 0.002
"""Seconds for which readings of a burst are gathered before a write: a write takes 70 µs, however many there are."""


class WriteQueue:
    """Takes the readings of one source, and writes them to the journal in order, in its own thread.

    `kept` counts what was new to the journal, `duplicates` what it had before, `waiting` what is not written yet,
    `lost` what a stop leaves unwritten, `refused` what the journal had no room for. `is_full`: the source waits.
    """

    def __init__(
        self, name: str, journal: Journal, log: logging.Logger, stop: Event, grace: float = 0.0, source: str = ""
    ) -> None:
        """Prepare. `grace`: seconds after `stop` for which a journal that cannot be written is still tried.

        `source` is the one whose checkpoint `commit` keeps.
        """
        self.kept = 0
        self.duplicates = 0
        self.lost = 0
        self.is_full = False
        self._journal = journal
        self.append: Append = journal.append
        self.pace = Pace()
        self._log = log
        self.heartbeat = Heartbeat()  # of the writer's thread
        self._retry = JournalRetry(stop, log, grace, self.heartbeat)
        self._reporter = FailureReporter(log)
        self.refused = SummarizedCount(
            log=log, level=logging.ERROR, summary="the journal refused {count:more reading}; last: {last}"
        )
        self._thread = Thread(target=self._run, name=f"{name} (journal)", daemon=True)
        self._waiting: deque[Entry] = deque()
        self._size = 0
        self._written = 0
        self._is_late = False
        self._is_bursting = False
        self._unpaced = 0  # readings of large puts since the sinks were waited for
        self._put_times: deque[float] = deque(maxlen=BURST_PUTS)
        self._is_closed = False
        self._failure = ""
        self._full: LastFailure | None = None
        self._refused_before = 0
        self._source = source
        self._change = Condition()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many readings are not written yet."""
        return len(self._waiting)

    @property
    def failure_now(self) -> LastFailure | None:
        """Why the journal takes nothing now; None where it does. Safe from any thread."""
        reporter = self._retry.reporter
        return self._full or (reporter.last_failure if reporter.failing_for is not None else None)

    @property
    def has_died(self) -> bool:
        """Whether the writer's thread has ended, though nothing has told it to."""
        is_over = self._is_closed or bool(self._failure)
        return self._thread.ident is not None and not self._thread.is_alive() and not is_over

    # --- of the source's thread

    def put(self, entries: Sequence[Entry]) -> None:
        """Take readings; wait briefly for the journal, and for room. Raises ShuttingDown: they are lost."""
        if not entries:
            return
        with self._change:
            if self._failure:
                self.lost += len(entries)
                raise ShuttingDown(self._failure)
            self._waiting.extend(entries)
            self._size += sum(map(_size, entries))
            self._change.notify_all()
            self._is_bursting = self._is_burst()
            is_much = len(self._waiting) >= MAX_ENTRIES_PER_WRITE
            if not self._is_late and (not self._is_bursting or is_much):
                self._is_late = not self._change.wait_for(self._is_empty, BURST_TIMEOUT if is_much else WRITE_TIMEOUT)
            if self._size > MAX_QUEUE_BYTES:
                self._wait_for_room()
        self._unpaced += len(entries) if len(entries) >= MANY_AT_ONCE else 0
        is_paced = is_much or self._unpaced >= MAX_ENTRIES_PER_WRITE
        if is_paced and not self._is_late:  # what came in before is in the journal
            self._unpaced = 0
            self.pace.wait(self._journal.newest())

    def _is_burst(self) -> bool:
        now = time.monotonic()
        self._put_times.append(now)
        return len(self._put_times) == BURST_PUTS and now - self._put_times[0] < 1

    def _is_empty(self) -> bool:
        return not self._waiting or bool(self._failure)

    def _wait_for_room(self) -> None:
        what = either(len(self._waiting), "reading waits", "readings wait")
        self._reporter.warn(f"{what} for the journal: the source waits until they are written")
        self.is_full = True
        self._change.wait_for(lambda: self._size <= MAX_QUEUE_BYTES // 2 or self._failure)
        self.is_full = False

    def flush(self) -> None:
        """Wait until everything is written, or never will be."""
        with self._change:
            self._change.wait_for(self._is_empty)

    def commit(self, state: str) -> None:
        """Keep how far the source has come, after everything before it. Raises ShuttingDown, JournalFull."""
        self.flush()
        if self._failure:
            raise ShuttingDown(self._failure)
        if self.refused.total > self._refused_before:
            self._refused_before = self.refused.total
            raise JournalFull("the journal has refused readings, which the source is asked for again")
        self._retry(partial(self._journal.commit_source, self._source, state), self._describe_waiting)

    def close(self) -> None:
        """Close the queue: wait until everything is written or never will be, and log what is lost."""
        with self._change:
            self._is_closed = True
            self._change.notify_all()
        self._thread.join()
        self.refused.report_rest()
        if self.lost:
            self._log.error(
                "%s lost because the program stops: %s", either(self.lost, "reading is", "readings are"), self._failure
            )

    # --- of the writer's thread

    def _run(self) -> None:
        while entries := self._next():
            try:
                with self.heartbeat.during("writing to the journal"):
                    self._write(entries)
            except ShuttingDown as error:
                self._give_up(str(error))
                return
            self._forget(len(entries))

    def _next(self) -> list[Entry]:
        """Return the entries to write next; none at the end."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._is_closed)
        if self._is_bursting and not self._is_closed and len(self._waiting) < MAX_ENTRIES_PER_WRITE:
            time.sleep(GATHER)  # without the lock: what comes in meanwhile does not wake this thread
        with self._change:
            return list(islice(self._waiting, MAX_ENTRIES_PER_WRITE))

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

    def _write(self, entries: Sequence[Entry]) -> None:
        """Write entries; where one of them cannot be stored, write by halves, and leave that one out."""
        self._written = 0
        parts = [entries]
        while parts:
            part = parts.pop()
            before, half = self._written, len(part) // 2
            error = self._try_append(part)
            self._written = before
            if error is not None and half:
                parts += [part[half:], part[:half]]
                continue
            if error is not None:
                self._reporter.dead_lettered(*_describe_unwritable(part[0], error))
            self._written += len(part)

    def _try_append(self, part: Sequence[Entry]) -> BaseException | None:
        """Write entries, however long that takes; return an error that a retry does not solve."""
        before = self._written
        try:
            append_all(self._append, part)
        except ShuttingDown:
            raise
        except JournalFull as error:
            count = len(part) - (self._written - before)
            self._full = LastFailure(f"{error}: no new readings are kept", time.time(), math.inf)
            self.refused.add(f"{error}: no new readings are kept", error, count)
        except BaseException as error:  # noqa: BLE001 - of any kind: the entries after it must still be written
            return error
        return None

    def _append(self, part: Sequence[Entry]) -> Appended:
        """Append entries to the journal, up to the first whose key is taken; count what became of them."""
        done = self._retry(partial(self.append, part), self._describe_waiting)
        self._full = None
        written = len(part) - len(done.rest)
        self._written += written
        self.kept += len(done.kept)
        self.duplicates += written - len(done.kept)
        return done

    def _describe_waiting(self) -> str:
        return f" (readings that wait for it: {len(self._waiting) - self._written})"


def _size(entry: Entry) -> int:
    return len(entry.raw) + ENTRY_OVERHEAD


def _describe_unwritable(entry: Entry, error: BaseException) -> tuple[str, str]:
    """Describe a reading that no journal can store: for a line, and for a summary."""
    detail = f"meter {entry.serial!r:.80}, {describe_error(error)}"
    return f"a reading is lost, because the journal cannot store it: {detail}", detail

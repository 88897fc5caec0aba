"""What one sink has not had yet: it is read on from the sink's cursor, and the cursor is moved when it is delivered.

Always in portions: however much there is, memory holds one batch. Calling the sink is `delivery.py`'s work.
"""

from collections.abc import Mapping, Sequence
from logging import DEBUG, ERROR
from threading import Lock
from time import monotonic, time_ns

from btcore.bounds import Bounds
from btcore.chains import HEARD, MOST_METERS, Chains, Notice
from btcore.decoders import Decoders
from btcore.errors import Unavailable
from btcore.journal import Aside, Cursor, Entry, Journal
from btcore.outcome import Outcome, told
from btcore.patience import Patience
from btcore.records import Reading
from btcore.sampling import Consecutive, Intervals, SampleCache, Sampler, Step
from btcore.settings import Context, Delivery

READ = 500
"""Journal entries read at once."""

BOUND = 60.0
"""Seconds between two looks at the bounds of the backlog."""


class Backlog:
    """The part of the journal that one sink has not had."""

    def __init__(
        self,
        journal: Journal,
        decoders: Decoders,
        cache: SampleCache,
        context: Context,
        delivery: Delivery,
        patiently: Patience,
        outcome: Outcome,
    ) -> None:
        """Prepare; nothing is read before `begin`."""
        self.dropped = 0
        self.passed_over = 0
        self.broken = 0
        self._journal = journal
        self._decoders = decoders
        self._cache = cache
        self._context = context
        self._delivery = delivery
        self._patiently = patiently
        self._outcome = outcome
        self._cursor = Cursor()
        self._read_to = 0
        self._bounds = Bounds(journal, delivery.backlog_bytes)
        self._lock = Lock()
        self._has_begun = False
        self._looked = -BOUND
        self._outdated = False
        self._sampler: Sampler = Consecutive(context.polarity, Chains({}), cache)

    def begin(self, whole: str = "") -> None:
        """Find the sink's place in the journal, or give it one; `resume` goes on from there.

        `whole` is the table that the sink was a part of before it was split: it goes on from there.
        """
        cursor = self._patiently(lambda: self._journal.cursor(self._context.name))
        if cursor is None:
            before = self._patiently(lambda: self._journal.cursor(whole)) if whole else None
            first = before or Cursor(self._journal.last() if self._delivery.start == "now" else 0)
            self._move(first.position, first.bases)
        else:
            self._cursor = cursor
        self._has_begun = True

    def resume(self) -> None:
        """Go on from the cursor."""
        self._read_to = self._cursor.position
        kept = self._patiently(lambda: self._journal.get(list(self._cursor.bases.values())))
        keys = {place: key for key, place in self._cursor.bases.items()}
        bases = {keys[entry.seq]: reading for entry in kept if (reading := self._decoders.recall(entry)) is not None}
        most = max(MOST_METERS, 2 * self._delivery.batch_size)  # none is forgotten before its readings are delivered
        chains = Chains(bases, heard=self._heard(), recall=self._recall, tell=self._tell, most=most)
        every = round(self._delivery.every * 1e6)
        polarity = self._context.polarity
        self._sampler = Intervals(every, polarity, chains) if every else Consecutive(polarity, chains, self._cache)

    def _heard(self) -> list[tuple[str, bytes]]:
        """Return what was read last before the cursor."""
        place = self._cursor.position
        before = self._patiently(lambda: self._journal.read(max(place - HEARD, 0), HEARD))
        return [(entry.serial, entry.raw) for entry in before if entry.seq <= place]

    def _recall(self, key: str) -> Reading | None:
        """Return the baseline of a meter that was not heard for so long that it is not in memory."""
        place = self._patiently(lambda: self._journal.base(self._context.name, key))
        kept = self._patiently(lambda: self._journal.get([place])) if place else ()
        return self._decoders.recall(kept[0]) if kept else None

    def _tell(self, notice: Notice) -> None:
        if self._cache.is_news(notice):
            self._context.log.warning("%s", notice)

    def read(self, most: int) -> tuple[list[Step], bool]:
        """Return the next steps, of at most so many entries, and whether there were none."""
        newest = self._journal.last()  # asked before reading: nothing comes in before it any more
        entries = self._patiently(lambda: self._journal.read(self._read_to, min(most, READ)))
        if not entries:
            self._read_to = max(self._read_to, newest)  # what was there is trimmed
        steps: list[Step] = []
        for entry in entries:
            self._read_to = entry.seq
            reading = self._wanted(entry)
            if reading is not None:
                self._feed(reading, steps)
        return steps, not entries

    def _feed(self, reading: Reading, steps: list[Step]) -> None:
        """Add the steps that a reading completes; one that no step can be made of costs itself alone."""
        try:
            for step in self._sampler.feed(reading):
                steps.append(step)  # noqa: PERF402 - those that were made before it raises count
        except BaseException as error:
            self.broken += 1
            level = ERROR if self.broken == 1 else DEBUG
            when = f"of meter {reading.serial} at {reading.time}"
            self._context.log.log(level, "passing over a reading %s: a fault of btcore", when, exc_info=error)

    def _wanted(self, entry: Entry) -> Reading | None:
        if self._delivery.meters and entry.serial not in self._delivery.meters:
            return None
        reading = self._decoders.recall(entry)
        self.passed_over += reading is None
        return reading

    @property
    def is_read(self) -> bool:
        """Whether all that the journal has was read. Safe from any thread."""
        return self._read_to >= self._journal.last()

    def wait(self, timeout: float) -> None:
        """Wait for more to read."""
        self._journal.wait(self._read_to, timeout)

    def flush(self) -> list[Step]:
        """Return what is incomplete, because nothing more will come."""
        return list(self._sampler.flush())

    def look(self) -> None:
        """Drop, now and then, what is beyond the sink's bounds, and tell how much. Safe from any thread.

        It waits for nothing: where the journal cannot now, or the worker is about to move the cursor, the next look
        will do. The worker notices by `is_outdated`.
        """
        age, most = self._delivery.backlog_age, self._delivery.backlog_bytes
        if not (age or most) or monotonic() - self._looked < BOUND or not self._lock.acquire(blocking=False):
            return
        try:
            if self._has_begun:
                self._looked = monotonic()
                self._drop(*self._bounds.beyond(self._cursor.position, _long_ago(age)))
        except Unavailable as error:  # whoever needs the journal tells that it cannot
            self._context.log.debug("the bounds of the backlog cannot be kept now: %s", error)
        except Exception as error:  # noqa: BLE001 - our own bug must not end the thread of another
            self._outcome.note(f"the bounds of the backlog cannot be kept, by a fault of btcore: {told(error)}")
        finally:
            self._lock.release()

    def _drop(self, place: int, count: int) -> None:
        if not count:
            return
        cursor = self._cursor.moved(place, {})
        if not self._context.dry_run:
            self._journal.commit(self._context.name, cursor)
        self._cursor = cursor
        self._outdated = True
        self.dropped += count
        self._outcome.dropped(count)

    def is_outdated(self) -> bool:
        """Whether anything was dropped that may have been read already; if so, go on from the cursor."""
        self.look()
        if not self._outdated:
            return False
        self._outdated = False
        self.resume()
        return True

    def delivered(self, steps: Sequence[Step], aside: Sequence[Aside] = ()) -> None:
        """Move the cursor behind these steps; keep what of them was refused."""
        bases = {serial: place for step in steps for serial, place in step.bases.items()}
        self._move(steps[-1].position, bases, aside)

    def settle(self) -> None:
        """Move the cursor over what was read and is not for this sink, when all that is has been delivered."""
        place = self._sampler.settled(self._read_to)
        if place > self._cursor.position:
            self._move(place, {})

    def _move(self, place: int, bases: Mapping[str, int], aside: Sequence[Aside] = ()) -> None:
        """Move the cursor, never back: what was dropped meanwhile stays dropped, also where it was delivered late."""
        with self._lock:
            cursor = self._cursor.moved(max(place, self._cursor.position), bases)
            if not self._context.dry_run:
                self._patiently(lambda: self._journal.commit(self._context.name, cursor, list(bases), aside))
            self._cursor = cursor

    def __str__(self) -> str:
        """Tell what was passed over or dropped, for a line of the log; nothing where all was delivered."""
        counts = dict(self._sampler.skipped)
        if self.passed_over:
            counts["passed over, as no decoder reads them"] = self.passed_over
        if self.broken:
            counts["passed over by a fault of btcore"] = self.broken
        if self.dropped:
            counts["dropped"] = self.dropped
        return ", ".join(f"{count} {what}" for what, count in counts.items())


def _long_ago(age: float) -> int:
    """Return the time, in microseconds since 1970, that is so many seconds ago; 0 where no age is too old."""
    return time_ns() // 1000 - round(age * 1e6) if age else 0

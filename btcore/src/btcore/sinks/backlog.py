"""What one sink has not had yet: it is read on from the sink's cursor, and the cursor is moved when it is delivered.

Always in portions: however much there is, memory holds one batch. How the cursor moves is in `offset.py`; calling the
sink is `worker.py`'s work.
"""

from collections import Counter
from collections.abc import Sequence
from logging import DEBUG, ERROR
from time import monotonic, time_ns

from btcore.calculate.chain import ChainBaseline
from btcore.calculate.chains import MAX_HEARD, MAX_METERS, Chains
from btcore.calculate.intervals import Intervals
from btcore.calculate.sampling import Consecutive, SampleCache, Sampler, Step
from btcore.decode.decoders import Decoders
from btcore.errors import Unavailable
from btcore.journal import Baseline, DeadLetter, Entry, Journal
from btcore.journal.retry import JournalRetry
from btcore.logs.failures import FailureReporter
from btcore.records import Reading
from btcore.settings import Context, Delivery
from btcore.sinks.backlog_limits import Bounds
from btcore.sinks.offset import Place
from btcore.text import describe_error, plural
from btcore.values.fingerprint import Fingerprint

READ = 500
"""Journal entries read at once."""

BOUND = 60.0
"""Seconds between two looks at the bounds of the backlog."""


class Outdated(Exception):
    """What is being delivered was dropped meanwhile, by the bounds of the backlog."""


class Backlog:
    """The part of the journal that one sink has not had."""

    def __init__(
        self,
        journal: Journal,
        decoders: Decoders,
        cache: SampleCache,
        context: Context,
        delivery: Delivery,
        patiently: JournalRetry,
        outcome: FailureReporter,
        fingerprint: Fingerprint,
    ) -> None:
        """Prepare; nothing is read before `begin`. The fingerprint is that of the sink's settings."""
        self.unwanted = 0
        self.dropped = 0
        self.passed_over = 0
        self.broken = 0
        self.not_live: Counter[str] = Counter()  # by their origin
        self._journal = journal
        self._decoders = decoders
        self._cache = cache
        self._context = context
        self._delivery = delivery
        self._patiently = patiently
        self._reporter = outcome
        self._place = Place(journal, context, patiently, fingerprint)
        self._read_to = 0
        self._bounds = Bounds(journal, delivery.max_backlog_bytes)
        self._looked = -BOUND
        self._outdated = False
        self._sampler: Sampler = Consecutive(context.polarity, Chains({}), cache)

    def begin(self, whole: str = "") -> None:
        """Find the sink's place in the journal, or give it one; `resume` goes on from there.

        `whole` is the table that the sink was a part of before it was split: it goes on from there.
        """
        self._place.begin(self._delivery.start_at, whole)

    @property
    def behind(self) -> int:
        """How many readings came in that the sink has not had, and that it has not found to be none of its own."""
        return self._journal.lag(self._place.checkpoint.examined) if self._place.has_begun else 0

    @property
    def is_level(self) -> bool:
        """Whether everything that came in was read: what is not delivered is gathered for an interval or a call."""
        return self._place.has_begun and self._read_to >= self._journal.newest()

    @property
    def is_proven(self) -> bool:
        """Whether anything was ever accepted with these settings."""
        return self._place.is_proven

    def resume(self) -> None:
        """Go on from the cursor."""
        self._read_to = self._place.checkpoint.offset
        places = {base.offset for base in self._place.checkpoint.baselines.values()}
        kept = self._patiently(lambda: self._journal.get(sorted(places)))
        readings = {entry.offset: reading for entry in kept if (reading := self._base(entry)) is not None}
        found = self._place.checkpoint.baselines.items()
        bases = {
            key: ChainBaseline(readings[base.offset], base.lifetime) for key, base in found if base.offset in readings
        }
        most = max(MAX_METERS, 2 * self._delivery.batch_size)  # none is forgotten before its readings are delivered
        chains = Chains(bases, heard=self._heard(), recall=self._recall, max_meters=most)
        interval = round(self._delivery.interval * 1e6)
        polarity = self._context.polarity
        self._sampler = (
            Intervals(interval, polarity, chains) if interval else Consecutive(polarity, chains, self._cache)
        )

    def _heard(self) -> list[tuple[str, bytes]]:
        """Return what was read last before the cursor."""
        place = self._place.checkpoint.offset
        before = self._patiently(lambda: self._journal.recent(place, MAX_HEARD))
        taken = (entry for entry in before if self._takes(entry))
        return [
            (reading.serial, reading.raw)
            for entry in taken
            if (reading := self._decoders.read_entry(entry)) is not None
        ]

    def _recall(self, key: str) -> ChainBaseline | None:
        """Return the baseline of a meter that was not heard for so long that it is not in memory."""
        base = self._place.base(key)
        kept = self._patiently(lambda: self._journal.get([base.offset])) if base else ()
        reading = self._base(kept[0]) if kept else None
        return ChainBaseline(reading, base.lifetime) if base and reading else None

    def _base(self, entry: Entry) -> Reading | None:
        """Return the reading of a baseline; None where it is none that this sink takes any more."""
        return self._decoders.read_entry(entry) if self._takes(entry) else None

    def read(self, most: int) -> tuple[list[Step], bool]:
        """Return the next steps, of at most so many entries, and whether there were none."""
        newest = self._journal.newest()  # asked before reading: nothing comes in before it any more
        entries = self._read_patiently(self._read_to, min(most, READ))
        if not entries:
            self._read_to = max(self._read_to, newest)  # what was there is trimmed
        steps: list[Step] = []
        for entry in entries:
            self._read_to = entry.offset
            reading = self._wanted(entry)
            if reading is not None:
                self._feed(reading, steps)
        return steps, not entries

    def _read_patiently(self, after: int, most: int) -> Sequence[Entry]:
        return self._patiently(lambda: self._journal.read(after, most))

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
        reading = self._decoders.read_entry(entry)
        self.passed_over += reading is None
        # not by the entry: [meters] may call its meter otherwise now
        if reading is not None and self._delivery.meters and reading.serial not in self._delivery.meters:
            self.unwanted += 1
            self._place.unwanted(entry.offset)
            return None
        if reading is not None and not self._takes(entry):
            self._count_not_live(entry)
            self._place.unwanted(entry.offset)
            return None
        return reading

    def _takes(self, entry: Entry) -> bool:
        """Whether readings from there are for this sink: a hosted service takes none that is not live."""
        return not (entry.origin and self._delivery.only_live)

    def _count_not_live(self, entry: Entry) -> None:
        if not self.not_live:
            self._reporter.warn(
                f"passing over readings that are {entry.origin}, such as those of source {entry.source}:"
                " only_live = false in this sink's table sends them"
            )
        self.not_live[entry.origin] += 1

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
        age, most = self._delivery.max_backlog_age, self._delivery.max_backlog_bytes
        if not (age or most) or monotonic() - self._looked < BOUND or not self._place.lock.acquire(blocking=False):
            return
        try:
            if self._place.has_begun:
                self._looked = monotonic()
                self._drop(*self._bounds.beyond(self._place.checkpoint.examined, _long_ago(age)))
        except Unavailable as error:  # whoever needs the journal tells that it cannot
            self._context.log.debug("the bounds of the backlog cannot be kept now: %s", error)
        except Exception as error:  # noqa: BLE001 - our own bug must not end the thread of another
            self._reporter.warn(
                f"the bounds of the backlog cannot be kept, by a fault of btcore: {describe_error(error)}"
            )
        finally:
            self._place.lock.release()

    def _drop(self, place: int, count: int) -> None:
        if not count:
            return
        self._place.drop(place)
        self._outdated = True
        self.dropped += count
        self._reporter.dropped(count)

    def is_outdated(self) -> bool:
        """Whether anything was dropped that may have been read already; if so, go on from the cursor."""
        self.look()
        if not self._outdated:
            return False
        self._outdated = False
        self.resume()
        return True

    def delivered(
        self,
        steps: Sequence[Step],
        aside: Sequence[DeadLetter] = (),
        *,
        is_missed: bool = False,
        is_proof: bool = False,
    ) -> None:
        """Move the cursor behind these steps; keep what of them was refused.

        `is_missed`: the settings did not want all of them. `is_proof`: they were accepted, so the settings work.
        """
        self._place.delivered(steps[-1].offset, _bases(steps), aside, is_missed=is_missed, is_proof=is_proof)

    def passed(self, steps: Sequence[Step], *, is_missed: bool) -> None:
        """Take note of steps of which nothing was wanted: the cursor moves behind them with what is wanted after them.

        `is_missed`: because of the settings, not because there was nothing to want.
        """
        self._place.passed(_bases(steps), is_missed=is_missed)

    def settle(self) -> None:
        """Take note of how far the sink has looked, when all that is wanted of it has been delivered."""
        self._place.seen(self._sampler.settled(self._read_to))

    def __str__(self) -> str:
        """Tell what was passed over or dropped, for a line of the log; nothing where all was delivered."""
        counts = dict(self._sampler.skipped)
        if self.passed_over:
            counts["passed over, as no decoder reads them"] = self.passed_over
        if self.broken:
            counts["passed over by a fault of btcore"] = self.broken
        if self.dropped:
            counts["dropped"] = self.dropped
        told = [f"{count} {what}" for what, count in counts.items()]
        if self.not_live:
            kinds = [(count, f"{origin} reading") for origin, count in self.not_live.items()]
            unsent = " and ".join(plural(count, kind) for count, kind in kinds)
            told.append(f"{unsent} not sent (only_live = false sends them)")
        return ", ".join(told)


def _bases(steps: Sequence[Step]) -> dict[str, Baseline]:
    return {key: base for step in steps for key, base in step.baselines.items()}


def _long_ago(age: float) -> int:
    """Return the time, in microseconds since 1970, that is so many seconds ago; 0 where no age is too old."""
    return time_ns() // 1000 - round(age * 1e6) if age else 0

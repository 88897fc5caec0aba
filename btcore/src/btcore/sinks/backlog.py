# SPDX-License-Identifier: GPL-3.0-or-later
"""What one sink has not had yet: it is read from the sink's checkpoint on, which moves when it is delivered.

Always in portions: however much there is, memory holds one batch. How the checkpoint moves is in `progress.py`; calling
the sink is the work of `worker.py`.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from logging import DEBUG, ERROR
from time import monotonic, time_ns

from btcore.calculate.chain import ChainBaseline
from btcore.calculate.chains import MAX_HEARD, MAX_METERS, Chains
from btcore.calculate.sampling import Consecutive, SampleCache, Sampler, Step
from btcore.decode.decoders import Decoders
from btcore.errors import Unavailable
from btcore.journal import START, Baseline, DeadLetter, Entry, Journal, Lag, Offset
from btcore.journal.clock_watch import ClockWatch, without_time
from btcore.journal.pace import LEAD, NEAR, PORTION, Pace
from btcore.journal.retry import JournalRetry
from btcore.logs.failures import FailureReporter
from btcore.records import Reading, from_microseconds
from btcore.settings import Context, Delivery
from btcore.sinks.limits import find_excess
from btcore.sinks.progress import Progress
from btcore.text import describe_error, plural
from btcore.values.fingerprint import Fingerprint

READ = PORTION
"""Journal entries read at once."""

MAX_LEFT = LEAD // 2
"""Entries that are left unread, at most, while nothing is to be delivered: a burst waits for who leaves twice that."""

LIMITS_INTERVAL = 60.0
"""Seconds between two looks at the limits of the backlog."""


class Outdated(Exception):
    """What is being delivered was dropped meanwhile, by the limits of the backlog."""


class Backlog:
    """The part of the journal that one sink has not had."""

    def __init__(
        self,
        journal: Journal,
        decoders: Decoders,
        cache: SampleCache,
        context: Context,
        delivery: Delivery,
        retry: JournalRetry,
        reporter: FailureReporter,
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
        self._retry = retry
        self._reporter = reporter
        self._progress = Progress(journal, context, retry, fingerprint)
        self.pace = Pace()
        self.clock_watch: ClockWatch | None = None  # readings wait until their time is known
        self._is_held = False  # the next reading has no time yet
        self._read_to: Offset = START
        self._left = 0  # entries that may be left unread for now
        self._lag = Lag()
        self._dead_letters = 0
        self._looked = -LIMITS_INTERVAL
        self._outdated = False
        self._sampler: Sampler = Consecutive(context.polarity, Chains({}), cache)

    def begin(self, split_from: str = "") -> None:
        """Find the sink's checkpoint in the journal, or make it; `resume` continues from there.

        `split_from` is the table that the sink was a part of before it was split: it continues from there.
        """
        self._progress.begin(self._delivery.start_at, split_from)

    @property
    def behind(self) -> int:
        """How many readings wait that the sink has not looked at; as last known where the journal is unavailable."""
        if self._progress.has_begun:
            with suppress(Unavailable):
                self._lag = self._journal.lag(self._progress.checkpoint.examined)
        return self._lag.entries

    @property
    def offset(self) -> Offset:
        """The offset of the sink's checkpoint."""
        return self._progress.checkpoint.offset if self._progress.has_begun else START

    @property
    def oldest_waiting(self) -> datetime | None:
        """The time of the oldest reading that waits; as last known where the journal is unavailable."""
        return from_microseconds(self._lag.oldest) if self.behind else None

    def dead_letters(self) -> int:
        """Return how many dead letters of the sink the journal keeps; as last known where it is unavailable."""
        with suppress(Unavailable):
            self._dead_letters = len(self._journal.dead_letters(self._context.name))
        return self._dead_letters

    @property
    def is_up_to_date(self) -> bool:
        """Whether everything that came in was read, but for what is left for now.

        What is not delivered is gathered for an interval or a call.
        """
        return self._progress.has_begun and self._read_to + self._left >= self._journal.newest()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, as far as is known: nobody is asked."""
        return self._progress.has_begun and self._progress.checkpoint.examined >= self._journal.newest()

    @property
    def is_proven(self) -> bool:
        """Whether anything was ever accepted with these settings."""
        return self._progress.is_proven

    def resume(self) -> None:
        """Continue from the checkpoint."""
        self._read_to = self._progress.checkpoint.offset
        found = self._progress.checkpoint.baselines
        kept = self._retry(lambda: self._journal.get(sorted({one.offset for one in found.values()})))
        readings = {entry.offset: reading for entry in kept if (reading := self._baseline_reading(entry)) is not None}
        baselines = {
            key: ChainBaseline(readings[one.offset], one.lifetime)
            for key, one in found.items()
            if one.offset in readings
        }
        most = max(MAX_METERS, 2 * self._delivery.batch_size)  # none is forgotten before its readings are delivered
        chains = Chains(baselines, heard=self._heard(), recall=self._recall, max_meters=most)
        self._sampler = self._make_sampler(chains)

    def _make_sampler(self, chains: Chains) -> Sampler:
        """Make what gathers intervals where the settings ask for them, or else what takes each reading by itself."""
        interval = round(self._delivery.interval * 1e6)
        if not interval:
            return Consecutive(self._context.polarity, chains, self._cache)
        from btcore.calculate.intervals import Intervals  # noqa: PLC0415 - many sinks take each reading

        return Intervals(interval, self._context.polarity, chains)

    def _heard(self) -> list[tuple[str, bytes]]:
        """Return what was read last before the checkpoint."""
        offset = self._progress.checkpoint.offset
        before = self._retry(lambda: self._journal.recent(offset, MAX_HEARD))
        taken = (entry for entry in before if self._takes(entry))
        return [
            (reading.serial, reading.raw)
            for entry in taken
            if (reading := self._decoders.read_entry(entry)) is not None
        ]

    def _recall(self, key: str) -> ChainBaseline | None:
        """Return the baseline of a meter that was not heard for so long that it is not in memory."""
        found = self._progress.baseline(key)
        kept = self._retry(lambda: self._journal.get([found.offset])) if found else ()
        reading = self._baseline_reading(kept[0]) if kept else None
        return ChainBaseline(reading, found.lifetime) if found and reading else None

    def _baseline_reading(self, entry: Entry) -> Reading | None:
        """Return the reading of a baseline; None where it is none that this sink takes any more."""
        return self._decoders.read_entry(entry) if self._takes(entry) else None

    def read(self, most: int) -> tuple[list[Step], bool]:
        """Return the next steps, of at most so many entries, and whether there were none."""
        newest = self._journal.newest()  # asked before reading: nothing comes in before it any more
        if newest - self._read_to > NEAR:
            self.pace.wait_for_others(self._read_to)
        entries = self._with_times(self._read_entries(self._read_to, min(most, READ)))
        if not entries and not self._is_held:
            self._read_to = max(self._read_to, newest)  # what was there is trimmed
        steps: list[Step] = []
        takes_all = not (self._delivery.meters or self._delivery.only_live)
        after, feed = self._read_to, self._sampler.feed
        for entry, reading in zip(entries, self._decoders.read_entries(entries), strict=True):
            if reading is None:
                self.passed_over += 1
            elif takes_all or self._is_wanted(entry, reading):
                try:
                    # one after the other: those that were made before it raises count
                    steps.extend(feed(reading, after))
                except BaseException as error:  # noqa: BLE001 - our own bug: one that no step can be made of costs itself alone
                    self._pass_over(reading, error)
            after = entry.offset
        self._read_to = after
        self.pace.has_read(self._context.name, self._read_to)
        return steps, not entries

    def _with_times(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries up to the first that has no time yet."""
        if self.clock_watch is None:
            return entries
        found, without = without_time(entries)
        self._is_held = without is not None
        if without is not None:
            self.clock_watch.found(without)
        return found

    def _read_entries(self, after: int, most: int) -> Sequence[Entry]:
        return self._retry(lambda: self._journal.read(after, most))

    def _pass_over(self, reading: Reading, error: BaseException) -> None:
        self.broken += 1
        level = ERROR if self.broken == 1 else DEBUG
        when = f"of meter {reading.serial} at {reading.time}"
        self._context.log.log(level, "passing over a reading %s: a fault of btcore", when, exc_info=error)

    def _is_wanted(self, entry: Entry, reading: Reading) -> bool:
        """Whether the settings select a reading; one that they do not is counted."""
        # not by the entry: [meters] may call its meter otherwise now
        if self._delivery.meters and reading.serial not in self._delivery.meters:
            self.unwanted += 1
        elif not self._takes(entry):
            self._count_not_live(entry)
        else:
            return True
        self._progress.unwanted(entry.offset)
        return False

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

    def wait(self, timeout: float, room: int = 1) -> None:
        """Wait for more to read; or, with room for so many entries in what is delivered next, until that is full."""
        count = min(room, MAX_LEFT)
        self._left = count - 1
        self._journal.wait(self._journal.newest() if self._is_held else self._read_to, timeout, count)

    def read_left(self, limit: int) -> list[Step]:
        """Return what was left unread while more was gathered, as the program stops."""
        has_left = 0 < self._journal.newest() - self._read_to <= self._left
        return self.read(limit)[0] if has_left else []

    def flush(self) -> list[Step]:
        """Return what is incomplete, because nothing more will come."""
        return list(self._sampler.flush())

    def look(self) -> None:
        """Drop, now and then, what is above the sink's limits, and log how much. Safe from any thread.

        It waits for nothing: where the journal is unavailable, or the worker is about to move the checkpoint, the next
        look does it. The worker notices by `is_outdated`.
        """
        if self.clock_watch is not None and self.clock_watch.is_holding:
            return  # how old a reading is, is not known
        age, size = self._delivery.max_backlog_age, self._delivery.max_backlog_bytes
        is_due = bool(age or size) and monotonic() - self._looked >= LIMITS_INTERVAL
        if not is_due or not self._progress.lock.acquire(blocking=False):
            return
        try:
            if self._progress.has_begun:
                self._looked = monotonic()
                self._drop(*find_excess(self._journal, self._progress.checkpoint.examined, size, _long_ago(age)))
        except Unavailable as error:  # whoever needs the journal logs that it is
            self._context.log.debug("the limits of the backlog cannot be checked now: %s", error)
        except Exception as error:  # noqa: BLE001 - our own bug must not end the thread of another
            self._reporter.warn(
                f"the limits of the backlog cannot be checked, by a fault of btcore: {describe_error(error)}"
            )
        finally:
            self._progress.lock.release()

    def _drop(self, offset: Offset, count: int) -> None:
        if not count:
            return
        self._progress.drop(offset)
        self._outdated = True
        self.dropped += count
        self._reporter.dropped(count)

    def is_outdated(self) -> bool:
        """Whether anything was dropped that may have been read already; if so, continue from the checkpoint."""
        self.look()
        if not self._outdated:
            return False
        self._outdated = False
        self.resume()
        return True

    def delivered(
        self,
        steps: Sequence[Step],
        letters: Sequence[DeadLetter] = (),
        *,
        is_missed: bool = False,
        is_proof: bool = False,
    ) -> None:
        """Move the checkpoint behind these steps; keep the dead letters among them.

        `is_missed`: the settings did not select all of them. `is_proof`: they were accepted, so the settings work.
        """
        if is_missed:
            self._progress.unwanted(_first_offset(steps))
        self._progress.delivered(steps[-1].offset, _baselines(steps), letters, is_proof=is_proof)

    def passed(self, steps: Sequence[Step], *, is_missed: bool) -> None:
        """Remember steps of which nothing was selected: the checkpoint moves with what is selected after them.

        `is_missed`: because of the settings, not because there was nothing to select.
        """
        if is_missed:
            self._progress.unwanted(_first_offset(steps))
        self._progress.passed(_baselines(steps))

    def settle(self) -> None:
        """Keep how far the sink has looked, when all that is selected of it was delivered."""
        self._progress.examined(self._sampler.settled(self._read_to))

    def finish(self) -> None:
        """Keep how far the sink has looked, as it ends."""
        self._progress.write()

    def __str__(self) -> str:
        """Describe what was passed over or dropped, for a line of the log; nothing where all was delivered."""
        counts = dict(self._sampler.skipped)
        if self.passed_over:
            counts["passed over, as no decoder reads them"] = self.passed_over
        if self.broken:
            counts["passed over by a fault of btcore"] = self.broken
        if self.dropped:
            counts["dropped"] = self.dropped
        parts = [f"{count} {what}" for what, count in counts.items()]
        if self.not_live:
            kinds = [(count, f"{origin} reading") for origin, count in self.not_live.items()]
            unsent = " and ".join(plural(count, kind) for count, kind in kinds)
            parts.append(f"{unsent} not sent (only_live = false sends them)")
        return ", ".join(parts)


def _baselines(steps: Sequence[Step]) -> dict[str, Baseline]:
    found: dict[str, Baseline] = {}
    for step in steps:
        found |= step.baselines
    return found


def _first_offset(steps: Sequence[Step]) -> Offset:
    return min((reading.offset for step in steps for reading in step.readings), default=steps[-1].offset)


def _long_ago(age: float) -> int:
    """Return the time, in microseconds since 1970, that is so many seconds ago; 0 where no age is too old."""
    return time_ns() // 1000 - round(age * 1e6) if age else 0

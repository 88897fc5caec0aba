"""Sink workers: each delivers the journal to one sink, in a thread of its own, at that sink's pace.

A sink that is slow, down, hung or broken delays nobody: what it has not had yet is in the journal. Its cursor moves
only after a call returned, so everything is delivered at least once, in order.
"""

from collections.abc import Callable, Iterator, Sequence
from threading import Event, Thread
from time import monotonic, time_ns
from typing import Any

from btcore.configuration import Sink
from btcore.decoders import Decoders, manager
from btcore.errors import Reject, Retry, Stop
from btcore.journal import Aside, Cursor, Journal
from btcore.limits import Backoff, Limiter
from btcore.outcome import Outcome
from btcore.records import Batch, Sample
from btcore.sampling import Consecutive, Intervals, SampleCache, Sampler, Step
from btcore.settings import Context

MOST_BUGS = 5
"""Calls that end in an unexpected exception before what they were given is held to be undeliverable."""

READ = 500
"""Journal entries read at once."""

POLL = 1.0
"""Seconds after which a worker that waits for news looks around."""

BOUND = 600.0
"""Seconds between two looks at the bounds of the backlog."""


class Stopping(Exception):
    """The program stops while a worker waits."""


class SinkWorker:
    """Delivers to one sink until told to stop, or, once `drain` is set, until it has had everything."""

    def __init__(
        self,
        sink: Sink,
        journal: Journal,
        decoders: Decoders,
        cache: SampleCache,
        context: Context,
        *,
        stop: Event,
        drain: Event,
        redact: Callable[[str], str] = str,
        out: Callable[[str], object] = print,
    ) -> None:
        """Prepare. `redact` takes secrets out of texts that are kept; `out` shows the lines of a dry run."""
        self.name = sink.table
        self.parked = ""
        self.delivered = 0
        self.aside = 0
        self.dropped = 0
        self.thread = Thread(target=self._run, name=sink.table, daemon=True)
        self._delivery = sink.delivery
        self._journal = journal
        self._decoders = decoders
        self._cache = cache
        self._context = context
        self._stop = stop
        self._drain = drain
        self._redact = redact
        self._out = out
        self._log = context.log
        self._hook: Any = manager([sink.instance]).hook
        self._limiter = Limiter(sink.delivery)
        self._outcome = Outcome(self._log)
        self._backoff = Backoff(sink.delivery.retry, sink.delivery.retry_max)
        self._cursor = Cursor()
        self._read_to = 0
        self._level = False
        self._last_call = -sink.delivery.period
        self._bounded = -BOUND
        self._unknown = 0
        self._sampler: Sampler

    def _run(self) -> None:
        try:
            self._persist(self._open)
            self._cursor = self._begin()
            self._sampler = self._resume()
            while not self._level:
                self._deliver(self._gather())
        except Stopping:
            self._log.debug("stopping")
        except Stop as error:
            self.parked = self._redact(str(error))
            self._log.error("stopped until a restart, its readings are kept: %s", error)
        except Exception as error:  # noqa: BLE001 - our own bug, or a journal that cannot be read: park, the others go on
            self.parked = self._redact(f"{type(error).__name__}: {error}")
            self._log.exception("stopped until a restart by an unexpected failure, its readings are kept")
        finally:
            self._close()

    def _open(self) -> None:
        self._hook.open(context=self._context)

    def _close(self) -> None:
        try:
            self._hook.close()
        except Exception:  # noqa: BLE001 - a plugin's bug
            self._log.exception("failed to close")

    def _persist(self, work: Callable[[], None]) -> str | None:
        """Do something until it works; return why it never will, None when it worked."""
        bugs = 0
        while True:
            self._look_for_stop()
            try:
                work()
            except Retry as error:
                self._failed(str(error), error.after)
            except Reject as error:
                return str(error)
            except OSError as error:
                # the world outside failed: a plugin need not translate what its library raises
                self._failed(str(error) or type(error).__name__, None)
            except Stop:
                raise
            except Exception as error:  # noqa: BLE001 - a plugin's bug: tried again, then set aside
                bugs += 1
                if bugs == MOST_BUGS and work != self._open:
                    return f"{type(error).__name__}: {error}"
                self._log.debug("details", exc_info=error)
                self._failed(f"{type(error).__name__}: {error}", None)
            else:
                self._backoff.worked()
                self._outcome.worked()
                return None

    def _failed(self, what: str, after: float | None) -> None:
        wait = self._backoff.failed() if after is None else max(after, 0.0)
        self._outcome.failed(what, wait)
        self._wait(wait)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._stop.wait(seconds)
        self._look_for_stop()

    def _look_for_stop(self) -> None:
        if self._stop.is_set():
            raise Stopping

    # --- where to begin

    def _begin(self) -> Cursor:
        cursor = self._journal.cursor(self._context.name)
        if cursor is None:
            cursor = Cursor(self._journal.last() if self._delivery.start == "now" else 0)
            self._commit(cursor)
        return cursor

    def _resume(self) -> Sampler:
        """Make the sampler that goes on from the cursor."""
        self._read_to = self._cursor.position
        kept = map(self._decoders.recall, self._journal.get(list(self._cursor.bases.values())))
        bases = {reading.serial: reading for reading in kept if reading is not None}
        polarity = self._context.polarity
        if self._delivery.every:
            return Intervals(round(self._delivery.every * 1e6), polarity, bases, self._cursor.closed)
        return Consecutive(polarity, bases, self._cache)

    # --- what to deliver next

    def _gather(self) -> list[Step]:
        """Return the next steps: a full batch, or what there is once the period is over."""
        steps: list[Step] = []
        while len(steps) < self._delivery.batch_size:
            self._look_for_stop()
            if not steps:
                self._keep_bounds()
            drained = self._drain.is_set()  # asked before reading: nothing is added after it is set
            found = self._read(self._delivery.batch_size - len(steps))
            steps += found
            if found or self._read_to < self._journal.last():
                continue
            if drained:
                steps += self._sampler.flush()
                self._level = True
                break
            due = self._last_call + self._delivery.period - monotonic()
            if steps and due <= 0:
                break
            self._journal.wait(self._read_to, min(due, POLL) if steps else POLL)
        return steps

    def _read(self, most: int) -> list[Step]:
        steps: list[Step] = []
        for entry in self._journal.read(self._read_to, min(most, READ)):
            self._read_to = entry.seq
            reading = self._decoders.recall(entry)
            if reading is None:
                self._tell_unknown(entry.format)
            wanted = reading is not None and (not self._delivery.meters or reading.serial in self._delivery.meters)
            steps += self._sampler.feed(reading) if reading is not None and wanted else ()
        if not steps and self._read_to > self._cursor.position and not self._delivery.every:
            steps.append(Step((), (), self._read_to))  # nothing for this sink, but the cursor goes on
        return steps

    def _tell_unknown(self, name: str) -> None:
        self._unknown += 1
        if self._unknown == 1:
            self._log.warning(
                "passing over readings of format %s: the plugin that decoded them is not configured", name
            )

    def _keep_bounds(self) -> None:
        """Drop what the backlog holds beyond its bounds, now and then; say how much."""
        if monotonic() - self._bounded < BOUND or not (self._delivery.backlog_age or self._delivery.backlog_bytes):
            return
        self._bounded = monotonic()
        age = self._delivery.backlog_age
        oldest = time_ns() // 1000 - round(age * 1e6) if age else 0
        place, count = self._journal.beyond(
            self._cursor.position, oldest=oldest, most_bytes=self._delivery.backlog_bytes
        )
        if count:
            self.dropped += count
            self._log.warning("dropped %d readings that were never delivered: the backlog is beyond its bounds", count)
            self._commit(self._cursor.moved(place, self._cursor.closed, {}))
            self._sampler = self._resume()

    # --- delivering it

    def _deliver(self, steps: Sequence[Step]) -> None:
        """Deliver these steps in order; halve what is refused until it stands alone, and set that aside."""
        parts = [steps] if steps else []
        while parts:
            part = parts.pop()
            batch = Batch(
                tuple(r for step in part for r in step.readings), tuple(s for step in part for s in step.samples)
            )
            refused = self._call(batch) if batch.readings or batch.samples else None
            if refused is None:
                self.delivered += len(batch.readings)
                self._commit_steps(part)
            elif len(part) == 1:
                self._commit_steps(part, self._set_aside(part[0], refused))
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]

    def _call(self, batch: Batch) -> str | None:
        """Call the plugin until it takes the batch; return why it never will, None when it did."""
        if self._context.dry_run:
            self._preview(batch)
            return None

        def work() -> None:
            self._wait(self._limiter.wait())
            self._limiter.called()
            self._hook.process_batch(batch=batch)

        try:
            return self._persist(work)
        finally:
            self._last_call = monotonic()

    def _preview(self, batch: Batch) -> None:
        lines = self._hook.preview_batch(batch=batch)
        if lines is None:
            lines = [f"{len(batch.readings)} readings, {len(batch.samples)} samples"]
        for line in lines:
            self._out(self._redact(f"{self.name}: {line}"))

    def _set_aside(self, step: Step, why: str) -> list[Aside]:
        why = self._redact(why)
        refused = list(_refused(self._context.name, step, why))
        self.aside += len(refused)
        for one in refused:
            self._log.warning(
                "refused for good, set aside: meter %s, %s to %s: %s", one.serial, one.start, one.end, why
            )
        return refused

    def _commit_steps(self, steps: Sequence[Step], aside: Sequence[Aside] = ()) -> None:
        bases = {serial: seq for step in steps for serial, seq in step.bases.items()}
        self._commit(self._cursor.moved(steps[-1].position, steps[-1].closed, bases), list(bases), aside)

    def _commit(self, cursor: Cursor, changed: Sequence[str] = (), aside: Sequence[Aside] = ()) -> None:
        self._cursor = cursor
        if not self._context.dry_run:
            self._journal.commit(self._context.name, cursor, changed, aside)


def _refused(sink: str, step: Step, why: str) -> Iterator[Aside]:
    for sample in step.samples:
        yield Aside(sink, sample.serial, sample.start, sample.end, why, _ends(sample))
    sampled = {sample.newer.seq for sample in step.samples}
    for reading in step.readings:
        if reading.seq not in sampled:
            yield Aside(sink, reading.serial, reading.time, reading.time, why, (reading.seq,))


def _ends(sample: Sample) -> tuple[int, int]:
    return sample.older.seq, sample.newer.seq

"""Sink workers: each delivers the journal to one sink, in a thread of its own, at that sink's pace.

A sink that is slow, down, hung or broken delays nobody: what it has not had yet is in the journal. Its cursor moves
only after a call returned, so everything is delivered at least once, in order. How a call is made is in `calls.py`.
"""

import logging
import math
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic

import attrs

from btcore.backoff import Backoff
from btcore.calculate.sampling import SampleCache, Step
from btcore.config.site import Sink
from btcore.decode.decoders import Decoders
from btcore.errors import InvalidPluginResult, Stop
from btcore.journal import DeadLetter, Journal, Superseded
from btcore.journal.retry import JournalRetry, Stopping
from btcore.logs.failures import FailureReporter
from btcore.records import Batch
from btcore.settings import Context
from btcore.sinks.backlog import Backlog, Outdated
from btcore.sinks.calls import Calls, Refusal
from btcore.sinks.dead_letters import Refused, faults, without
from btcore.sinks.preview import lines_of, show, show_all
from btcore.sinks.rate_limit import RateLimit
from btcore.sinks.results import BatchResult, check_result
from btcore.sinks.state import sink_state
from btcore.sinks.trial import Doubt, Trial, where
from btcore.sinks.unwanted import Unwanted
from btcore.text import describe_error, plural
from btcore.values.fingerprint import fingerprint

MOST_BUGS = 5
"""Calls that end in an unexpected exception before what they were given is held to be undeliverable."""

POLL = 1.0
"""Seconds after which a worker that waits for news looks around."""


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
        out: Callable[[str], object] = show,
    ) -> None:
        """Prepare. `redact` takes secrets out of texts that are kept; `out` shows the lines of a dry run."""
        self.name = sink.table
        self._split_from = sink.split_from
        self.parked = ""
        self.delivered = 0
        self.unsampled = 0
        self.aside = 0
        self.thread = Thread(target=self._run, name=sink.table, daemon=True)
        self._decoders = decoders.for_worker(context.log)
        self._delivery = sink.delivery
        self._context = context
        self._drain = drain
        self._redact = redact
        self._out = out
        self._log = context.log
        self._outcome = FailureReporter(context.log)
        self._limiter = RateLimit(sink.delivery.min_call_interval, sink.delivery.max_calls_per_hour)
        self._backoff = Backoff(sink.delivery.min_backoff, sink.delivery.max_backoff)
        self._refused = Refused(context.name, self._outcome, redact)
        self._trial = Trial(where(sink))
        self._unwanted = Unwanted(self._outcome.note)
        chosen = [*sink.delivery.meters, *(["only live"] if sink.only_live else [])]
        self.backlog = Backlog(
            journal,
            self._decoders,
            cache,
            context,
            attrs.evolve(sink.delivery, only_live=sink.only_live),
            JournalRetry(stop, context.log),
            self._outcome,
            fingerprint(sink.instance, chosen),
        )
        self._calls = Calls(sink.instance, self._backoff, self._outcome, context.log, stop, self.backlog.look)
        self._passed = 0  # readings of which the plugin wanted nothing
        self._opened = False
        self._close_fails = 0
        self._is_misunderstood = False
        self._level = False
        self._idle = False
        self._last_call = -math.inf

    @property
    def unwanted(self) -> int:
        """Of how many readings the sink's settings wanted nothing."""
        return self.backlog.unwanted + self._passed

    @property
    def behind(self) -> int:
        """How many readings it has not had."""
        return self.backlog.behind

    @property
    def state(self) -> str:
        """How it stands, in a few words."""
        backlog = self.backlog
        failing = self._outcome.failing
        return sink_state(parked=self.parked, failing=failing, behind=backlog.behind, is_level=backlog.is_level)

    def _run(self) -> None:
        try:
            # before opening, which may take long: with start_at = "end" too, what comes in meanwhile is delivered
            self.backlog.begin(self._split_from)
            for opened in (self._decoders.open, self.backlog.resume, self._open):
                self._calls.prepare(opened)
            while not self._level:
                self._go_on()
            self._trial.end()
            self._unwanted.finish(self.unwanted, is_proven=self.backlog.is_proven)
        except Stopping:
            self._log.debug("stopping")
        except Superseded as error:
            self.parked = str(error)
            self._log.warning("stopped: %s", error)
        except Stop as error:
            self.parked = self._redact(describe_error(error))
            self._log.error("stopped until a restart, its readings are kept: %s", describe_error(error))
        except BaseException as error:  # noqa: BLE001 - our own bug: this sink is parked, the others go on
            self.parked = self._redact(describe_error(error))
            self._log.critical("stopped until a restart by a fault of btcore, its readings are kept", exc_info=error)
        finally:
            self._close()
            self._decoders.close()

    def _open(self) -> None:
        self.backlog.is_outdated()
        self._opened = True
        try:
            self._calls.call("open", context=self._context)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._opened:
            self._opened = False
            try:
                self._calls.call("close")
            except BaseException as error:  # noqa: BLE001 - a plugin's bug must not end the worker
                self._close_fails += 1
                level = logging.ERROR if self._close_fails == 1 else logging.DEBUG
                self._log.log(level, "failed to close", exc_info=error)

    def look(self) -> None:
        """Look after the sink, from another thread, whatever its own is at: keep its bounds, tell what is not well."""
        self.backlog.look()
        self._calls.look()
        if not self.parked:
            self._unwanted.look(self.unwanted, is_proven=self.backlog.is_proven)

    @property
    def has_had_all(self) -> bool:
        """Whether all that there is was delivered, but for an interval that is still open. Safe from any thread."""
        return self._idle and self.backlog.is_level

    def _go_on(self) -> None:
        try:
            self._deliver(self._gather())
            self._settle()
        except Outdated:
            self._trial.settled()  # what was refused was dropped
            self._level = False

    def _settle(self) -> None:
        if not self._trial.doubts:  # what waits for others to be tried was not looked past
            self.backlog.settle()

    # --- what to deliver next

    def _gather(self) -> list[Step]:
        """Return the next steps: a full batch, or what there is once the period is over."""
        steps: list[Step] = []
        while len(steps) < self._delivery.batch_size:
            self._calls.look_for_stop()
            if not steps:
                self._look_for_drops()
            drained = self._drain.is_set()  # asked before reading: nothing is added after it is set
            found, level = self.backlog.read(self._delivery.batch_size - len(steps))
            steps += found
            self._idle = level and not steps
            if not level:
                continue
            if drained:
                self._level = True
                return steps + self.backlog.flush()
            if not steps:
                self._settle()
            due = self._last_call + self._delivery.flush_interval - monotonic()
            if steps and due <= 0:
                break
            self.backlog.wait(min(due, POLL) if steps else POLL)
        return steps

    def _look_for_drops(self) -> None:
        if self.backlog.is_outdated():
            self._trial.settled()  # what was refused was dropped

    # --- delivering it

    def _deliver(self, steps: Sequence[Step]) -> None:
        """Deliver these steps in order; halve what is refused until it is so as a whole, and set that aside."""
        parts = [steps] if steps else []
        broken: list[DeadLetter] = []
        while parts:
            part = parts.pop()
            if self._trial.doubts and len(part) > 1:
                parts.append(part[1:])
                part = part[:1]
            # a bug that is being looked for is not waited for: where everything fails, the single steps are
            tries = 1 if 1 < len(part) < len(steps) else MOST_BUGS
            answer = self._call(part, tries)
            if isinstance(answer, BatchResult):
                self._take(part, answer, broken)
                broken = []
            elif len(part) == 1 and (broken_ones := faults(part[0])):
                broken = self._refused.broken(part[0], broken_ones)
                parts.append([without(part[0], broken_ones)])
            elif answer.is_whole or (len(part) == 1 and not self._is_in_doubt(answer)):
                self._trial.has_judge = self._trial.has_judge or answer.is_whole
                self._move_on(part, [*broken, *self._refused.set_aside(part, answer.why)])
                broken = []
            elif len(part) == 1:
                self._doubt(Doubt(part[0], answer.why, broken))
                broken = []
            else:
                first = 1 if self._is_in_doubt(answer) and not self._trial.has_judge else len(part) // 2
                parts += [part[first:], part[:first]]

    def _take(self, steps: Sequence[Step], answer: BatchResult, broken: Sequence[DeadLetter]) -> None:
        """Count what the plugin took, and move the cursor where it was anything."""
        self.delivered += answer.delivered
        self.unsampled += answer.unsampled
        self._passed += answer.unwanted
        # what proves nothing does not move the cursor over what is in doubt
        is_held = self._trial.doubts and not answer.is_proof
        if broken or (answer.is_wanted and not is_held):
            self._move_on(steps, broken, answer)
        else:
            self.backlog.passed(steps, is_missed=answer.unwanted > 0)

    def _is_in_doubt(self, refusal: Refusal) -> bool:
        """Whether what was refused may be so because of the settings: nothing was accepted with them yet."""
        return not (self.backlog.is_proven or refusal.is_whole or refusal.is_bug)

    def _doubt(self, doubt: Doubt) -> None:
        """Keep what was refused while nothing was accepted yet. Raises Stop where it is enough."""
        if not self._trial.doubts:
            what = "refused, and as nothing was accepted with these settings yet, the next readings are tried"
            self._outcome.note(f"{what}: {doubt.why}")
        self._trial.doubt(doubt)

    def _move_on(self, steps: Sequence[Step], aside: Sequence[DeadLetter], answer: BatchResult | None = None) -> None:
        """Move the cursor behind steps, and behind what was refused before them while that was in doubt."""
        doubts = self._trial.settled()
        settled = [
            one for doubt in doubts for one in (*doubt.broken, *self._refused.set_aside([doubt.step], doubt.why))
        ]
        self.backlog.delivered(
            [*(doubt.step for doubt in doubts), *steps],
            [*settled, *aside],
            is_missed=answer is not None and answer.unwanted > 0,
            is_proof=answer is not None and answer.is_proof,
        )
        self._unwanted.wanted(self.unwanted)
        self.aside += len(settled) + len(aside)  # not before they are kept

    def _call(self, steps: Sequence[Step], tries: int) -> BatchResult | Refusal:
        """Call the plugin until it takes the steps; return what it says, or why it never will."""
        readings = tuple(reading for step in steps for reading in step.readings)
        samples = tuple(sample for step in steps for sample in step.samples)
        try:
            return self._calls.persist(lambda: self._attempt(Batch(readings, samples)), tries)
        finally:
            self._last_call = monotonic()

    def _attempt(self, batch: Batch) -> BatchResult:
        if not self._context.dry_run:
            self._calls.wait(self._limiter.wait())
        if self.backlog.is_outdated():
            raise Outdated
        if self._context.dry_run:
            return self._preview(batch)
        self._limiter.called()
        said = self._calls.call("process_batch", batch=batch)
        try:
            return check_result(said, batch)
        except InvalidPluginResult as error:
            if not self._is_misunderstood:
                self._is_misunderstood = True
                self._log.error("%s; all of the batch counts as delivered", error)
            return BatchResult.all(batch)

    def _preview(self, batch: Batch) -> BatchResult:
        """Show what would be sent; where that is nothing, nothing of the batch is wanted."""
        lines = lines_of(batch, self._calls.call("preview_batch", batch=batch))
        # none of them is shown before all are made: those of a call that fails would be shown again
        show_all([self._redact(f"{self.name}: {line}") for line in lines], self._out)
        return BatchResult.all(batch) if lines else check_result(0, batch)

    def __str__(self) -> str:
        """Tell what was done, for a line of the log."""
        what = "shown, none sent" if self._context.dry_run else f"delivered, {self.aside} set aside"
        done = f"{plural(self.delivered, 'reading')} {what}"
        unwanted = f"{self.unwanted} not wanted by its settings" if self.unwanted else ""
        unsampled = f"{self.unsampled} without a sample" if self.unsampled else ""
        waiting = f"{self.behind} waiting for the next run" if self.behind and not self._context.dry_run else ""
        return ", ".join(part for part in (done, unwanted, unsampled, str(self.backlog), waiting) if part)

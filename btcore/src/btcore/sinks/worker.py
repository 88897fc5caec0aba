# SPDX-License-Identifier: GPL-3.0-or-later
"""Sink workers: each delivers the journal to one sink, in a thread of its own, at that sink's pace.

A sink that is slow, down, hung or broken delays no other: its backlog is in the journal. Its checkpoint moves only
after a call returned, so everything is delivered at least once, in order. How a call is made is in `calls.py`.
"""

import logging
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic

import attrs

from btcore.backoff import Backoff
from btcore.calculate.sampling import SampleCache, Step
from btcore.config.site import Sink
from btcore.decode.decoders import Decoders
from btcore.errors import InvalidPluginResult, Stop
from btcore.heartbeat import Heartbeat
from btcore.journal import DeadLetter, Journal, Superseded
from btcore.journal.clock_watch import ClockWatch
from btcore.journal.retry import JournalRetry, ShuttingDown
from btcore.logs.failures import FailureReporter
from btcore.records import Batch
from btcore.settings import Context
from btcore.sinks.backlog import Backlog, Outdated
from btcore.sinks.calls import HookCalls, Rejection
from btcore.sinks.dead_letters import DeadLetters, faults, without
from btcore.sinks.preview import describe_batch, print_line, print_lines
from btcore.sinks.rate_limit import RateLimit
from btcore.sinks.redelivery import Redelivery
from btcore.sinks.results import BatchResult, check_result
from btcore.sinks.state import sink_state
from btcore.sinks.unproven import HeldStep, UnprovenSettings, describe_location
from btcore.sinks.unwanted import UnwantedWatch
from btcore.status import BAD, ReplayStatus, SinkStatus, State
from btcore.status.failures import error_status, next_attempt
from btcore.text import describe_error, plural
from btcore.values.fingerprint import fingerprint

MAX_UNEXPECTED_ERRORS = 5
"""Calls that end in an unexpected exception before the readings become dead letters."""

BEHIND_AFTER = 60.0
"""Seconds after which a reading that waits makes its sink `behind`, beside what its intervals let it wait."""

POLL_INTERVAL = 1.0
"""Seconds between two looks of a worker that waits for new readings."""


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
        out: Callable[[str], object] = print_line,
    ) -> None:
        """Prepare. `redact` removes secrets from texts that are kept; `out` prints the lines of a dry run."""
        self.name = sink.table
        self._sink = sink
        self._split_from = sink.split_from
        self.stop_reason = ""
        self.has_ended = False  # because it has had everything, or was told to
        self._is_prepared = False
        self.heartbeat = Heartbeat()
        self.delivered = 0
        self.without_sample = 0
        self.dead_letters = 0
        self.thread = Thread(target=self._run, name=sink.table, daemon=True)
        self._decoders = decoders.for_worker(context.log)
        self._delivery = sink.delivery
        self._context = context
        self._stop = stop
        self._drain = drain
        self._redact = redact
        self._out = out
        self._log = context.log
        self._reporter = FailureReporter(context.log)
        self._limiter = RateLimit(sink.delivery.min_call_interval, sink.delivery.max_calls_per_hour)
        self._backoff = Backoff(sink.delivery.min_backoff, sink.delivery.max_backoff)
        self._letters = DeadLetters(context.name, self._reporter, redact)
        self._unproven = UnprovenSettings(describe_location(sink))
        self._unwanted_watch = UnwantedWatch(self._reporter.warn)
        chosen = [*sink.delivery.meters, *(["only live"] if sink.only_live else [])]
        delivery = attrs.evolve(sink.delivery, only_live=sink.only_live)
        self.backlog = Backlog(
            journal,
            self._decoders,
            cache,
            context,
            delivery,
            JournalRetry(stop, context.log, heartbeat=self.heartbeat),
            self._reporter,
            fingerprint(sink.instance, chosen),
        )
        self._calls = HookCalls(
            sink.instance, self._backoff, self._reporter, context.log, stop, self.backlog.look, self.heartbeat
        )
        self.redelivery = Redelivery(journal, self._decoders, context, delivery, self._limiter, redact)
        self._unwanted = 0  # readings of which the plugin wanted nothing
        self._is_open = False
        self._close_failures = 0
        self._is_result_reported = False
        self._is_finished = False
        self._idle = False
        self._last_call = -math.inf

    def wait_for_clock(self, clock_watch: ClockWatch | None) -> None:
        """Let readings wait until their time is known. Called before the worker starts."""
        self.backlog.clock_watch = clock_watch

    @property
    def unwanted(self) -> int:
        """In how many readings the sink's settings selected nothing."""
        return self.backlog.unwanted + self._unwanted

    @property
    def behind(self) -> int:
        """How many readings it has not had."""
        return self.backlog.behind

    @property
    def state(self) -> str:
        """Its state, in a few words."""
        backlog = self.backlog
        failing = self._reporter.failing_for
        return sink_state(
            stop_reason=self.stop_reason,
            failing_for=failing,
            behind=backlog.behind,
            is_up_to_date=backlog.is_up_to_date,
        )

    @property
    def is_failing(self) -> bool:
        """Whether a person should see to it."""
        return self._status_state() in BAD

    def status(self) -> SinkStatus:
        """Return how the sink stands. Safe from any thread."""
        backlog = self.backlog
        return SinkStatus(
            name=self._sink.name,
            plugin=self._sink.plugin,
            state=self._status_state(),
            offset=backlog.offset,
            waiting=backlog.behind,
            oldest_waiting=backlog.oldest_waiting,
            delivered=self.delivered,
            unwanted=self.unwanted,
            dropped=backlog.dropped,
            dead_letters=backlog.dead_letters(),
            last_error=error_status(self._reporter.last_failure, self._redact),
            next_attempt=next_attempt(self._reporter),
            replay=self.replay_status(),
        )

    def replay_status(self) -> ReplayStatus | None:
        """Return how far what is delivered again has come, and what keeps it waiting. Safe from any thread."""
        found = self.redelivery.status()
        last = self._reporter.last_failure
        is_waiting = self._reporter.failing_for is not None or bool(self.stop_reason)
        if found is None or last is None or not is_waiting:
            return found
        return attrs.evolve(found, last_error=self._redact(f"it waits for the live delivery: {last.text}"))

    def _status_state(self) -> State:
        if self.stop_reason:
            return "stopped"
        if self._reporter.failing_for is not None:
            last = self._reporter.last_failure
            return "waiting" if last is not None and last.requested else "failing"
        delivery, oldest = self._delivery, self.backlog.oldest_waiting
        usual = BEHIND_AFTER + 2 * (delivery.interval + delivery.flush_interval + delivery.min_call_interval)
        is_late = oldest is not None and (datetime.now(UTC) - oldest).total_seconds() > usual
        return "behind" if is_late else "ok"

    def end(self) -> None:
        """Tell it to end; the batch under way is finished first."""
        self._stop.set()

    @property
    def has_opened(self) -> bool:
        """Whether it delivers, or it is known why not."""
        return self._is_prepared or bool(self.stop_reason) or self.has_ended or self._reporter.failing_for is not None

    def hang(self, timeout: float) -> str:
        """Describe what has not moved for so many seconds, and only a restart can cure; "" if nothing."""
        if self.thread.ident is not None and not self.thread.is_alive() and not (self.stop_reason or self.has_ended):
            return "its thread has died"
        return self.heartbeat.hang(timeout)

    def _run(self) -> None:
        with self.heartbeat.during("delivering"):
            self._work()

    def _work(self) -> None:
        try:
            # before opening, which may take long: with start_at = "end" too, what comes in meanwhile is delivered
            self.backlog.begin(self._split_from)
            for opened in (self._decoders.open, self.backlog.resume, self._open):
                self._calls.retry_until_prepared(opened)
            self._is_prepared = True
            while not self._is_finished:
                self._deliver_next()
            self._unproven.end()
            if not self._context.dry_run:
                self.redelivery.finish(self._calls)
            self._unwanted_watch.finish(self.unwanted, is_proven=self.backlog.is_proven)
            self.has_ended = True
        except ShuttingDown:
            self.has_ended = True
            self._log.debug("stopping")
        except Superseded as error:
            self._stopped(error)
            self._log.warning("stopped: %s", error)
        except Stop as error:
            self._stopped(error)
            self._log.error("stopped until a restart: %s; its readings are kept", describe_error(error))
        except BaseException as error:  # noqa: BLE001 - our own bug: this sink stops, the others go on
            self._stopped(error)
            self._log.critical("stopped until a restart: a fault of btcore; its readings are kept", exc_info=error)
        finally:
            self._close()
            self._decoders.close()

    def _stopped(self, error: BaseException) -> None:
        self.stop_reason = self._redact(describe_error(error))
        self._reporter.gave_up(self.stop_reason)

    def _open(self) -> None:
        self.backlog.is_outdated()
        self._is_open = True
        try:
            self._calls.call("open", context=self._context)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            try:
                self._calls.call("close")
            except BaseException as error:  # noqa: BLE001 - a plugin's bug must not end the worker
                self._close_failures += 1
                level = logging.ERROR if self._close_failures == 1 else logging.DEBUG
                self._log.log(level, "failed to close", exc_info=error)

    def check(self) -> None:
        """Apply the limits of the backlog and report what is wrong, from another thread than the worker's."""
        self.backlog.look()
        self._calls.check_hang()
        if not self.stop_reason:
            self._unwanted_watch.check(self.unwanted, is_proven=self.backlog.is_proven)

    @property
    def is_up_to_date(self) -> bool:
        """Whether all that there is was delivered, but for an interval that is still open. Safe from any thread."""
        return self._idle and self.backlog.is_up_to_date

    def _deliver_next(self) -> None:
        try:
            self._deliver(self._gather())
            self._settle()
        except Outdated:
            self._unproven.release()  # the held steps were dropped
            self._is_finished = False

    def _settle(self) -> None:
        if not self._unproven.held:  # held steps are not passed
            self.backlog.settle()

    # --- what to deliver next

    def _gather(self) -> list[Step]:
        """Return the next steps: a full batch, or what there is once the flush interval is over."""
        steps: list[Step] = []
        while len(steps) < self._delivery.batch_size:
            self._calls.raise_if_stopping()
            self.heartbeat.beat()
            if not steps:
                self._release_if_dropped()
            drained = self._drain.is_set()  # asked before reading: nothing is added after it is set
            found, has_read_all = self.backlog.read(self._delivery.batch_size - len(steps))
            steps += found
            self._idle = has_read_all and not steps
            if not has_read_all:
                continue
            if drained:
                self._is_finished = True
                return steps + self.backlog.flush()
            if not steps:
                self._settle()
            due = self._last_call + self._delivery.flush_interval - monotonic()
            if steps and due <= 0:
                break
            if not self._deliver_again():
                longest = min(POLL_INTERVAL, self.redelivery.next_turn_in)
                self.backlog.wait(min(due, longest) if steps else longest)
        return steps

    def _deliver_again(self) -> bool:
        """Do some of what was asked to be delivered again, as nothing else is due; return whether there is more."""
        return not self._context.dry_run and self.redelivery.turn(self._calls)

    def _release_if_dropped(self) -> None:
        if self.backlog.is_outdated():
            self._unproven.release()  # the held steps were dropped

    # --- delivering it

    def _deliver(self, steps: Sequence[Step]) -> None:
        """Deliver these steps in order. A rejected batch is halved; a single rejected step becomes a dead letter."""
        parts = [steps] if steps else []
        broken: list[DeadLetter] = []
        while parts:
            part = parts.pop()
            if self._unproven.held and len(part) > 1:
                parts.append(part[1:])
                part = part[:1]
            # halving does not wait for retries: if everything fails, the single steps do
            tries = 1 if 1 < len(part) < len(steps) else MAX_UNEXPECTED_ERRORS
            answer = self._call(part, tries)
            if isinstance(answer, BatchResult):
                self._count_delivered(part, answer, broken)
                broken = []
            elif len(part) == 1 and (uncalculated := faults(part[0])):
                broken = self._letters.of_uncalculated(part[0], uncalculated)
                parts.append([without(part[0], uncalculated)])
            elif answer.is_entire_batch or (len(part) == 1 and not self._may_be_settings(answer)):
                self._unproven.rejects_entire_batches = self._unproven.rejects_entire_batches or answer.is_entire_batch
                self._move_on(part, [*broken, *self._letters.of_rejected(part, answer.why)])
                broken = []
            elif len(part) == 1:
                self._hold(HeldStep(part[0], answer.why, broken))
                broken = []
            else:
                first = (
                    1 if self._may_be_settings(answer) and not self._unproven.rejects_entire_batches else len(part) // 2
                )
                parts += [part[first:], part[:first]]

    def _count_delivered(self, steps: Sequence[Step], answer: BatchResult, broken: Sequence[DeadLetter]) -> None:
        """Count what was delivered, and move the checkpoint if it was anything."""
        self.delivered += answer.delivered
        self.without_sample += answer.without_sample
        self._unwanted += answer.unwanted
        # a result that proves nothing does not move the checkpoint past steps that are held
        is_held = self._unproven.held and not answer.proves_settings
        if broken or (answer.is_any_wanted and not is_held):
            self._move_on(steps, broken, answer)
        else:
            self.backlog.passed(steps, is_missed=answer.unwanted > 0)

    def _may_be_settings(self, rejection: Rejection) -> bool:
        """Whether the settings may be the reason of a rejection: nothing was accepted with them yet."""
        return not (self.backlog.is_proven or rejection.is_entire_batch or rejection.is_bug)

    def _hold(self, step: HeldStep) -> None:
        """Hold a step that was rejected while nothing was accepted yet. Raises Stop at the limit."""
        if not self._unproven.held:
            what = (
                "nothing was accepted with these settings yet, so the next readings are tried; a reading was rejected"
            )
            self._reporter.warn(f"{what}: {step.why}")
        self._unproven.hold(step)

    def _move_on(
        self, steps: Sequence[Step], dead_letters: Sequence[DeadLetter], answer: BatchResult | None = None
    ) -> None:
        """Move the checkpoint past steps, and past the held steps before them, which become dead letters."""
        held = self._unproven.release()
        rejected = [one for each in held for one in (*each.broken, *self._letters.of_rejected([each.step], each.why))]
        self.backlog.delivered(
            [*(each.step for each in held), *steps],
            [*rejected, *dead_letters],
            is_missed=answer is not None and answer.unwanted > 0,
            is_proof=answer is not None and answer.proves_settings,
        )
        self._unwanted_watch.wanted(self.unwanted)
        self.dead_letters += len(rejected) + len(dead_letters)  # not before they are kept

    def _call(self, steps: Sequence[Step], tries: int) -> BatchResult | Rejection:
        """Call the plugin until it accepts the steps; return its result, or why it never will."""
        readings = tuple(reading for step in steps for reading in step.readings)
        samples = tuple(sample for step in steps for sample in step.samples)
        try:
            return self._calls.retry_until_done(lambda: self._attempt(Batch(readings, samples)), tries)
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
        returned = self._calls.call("process_batch", batch=batch)
        try:
            return check_result(returned, batch)
        except InvalidPluginResult as error:
            if not self._is_result_reported:
                self._is_result_reported = True
                self._log.error("%s; the entire batch counts as delivered", error)
            return BatchResult.all(batch)

    def _preview(self, batch: Batch) -> BatchResult:
        """Print what would be sent; if that is nothing, the settings select nothing in the batch."""
        lines = describe_batch(batch, self._calls.call("preview_batch", batch=batch))
        # all are made before the first is printed: a call that fails is repeated with all its lines
        print_lines([self._redact(f"{self.name}: {line}") for line in lines], self._out)
        return BatchResult.all(batch) if lines else check_result(0, batch)

    def __str__(self) -> str:
        """Describe what was done, for a log line."""
        what = "shown, none sent" if self._context.dry_run else f"delivered, {plural(self.dead_letters, 'dead letter')}"
        done = f"{plural(self.delivered, 'reading')} {what}"
        unwanted = f"{self.unwanted} not selected by its settings" if self.unwanted else ""
        without_sample = f"{self.without_sample} without a sample" if self.without_sample else ""
        waiting = f"{self.behind} waiting for the next run" if self.behind and not self._context.dry_run else ""
        return ", ".join(part for part in (done, unwanted, without_sample, str(self.backlog), waiting) if part)

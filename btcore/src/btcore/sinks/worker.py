# SPDX-License-Identifier: GPL-3.0-or-later
"""Sink workers: each delivers the journal to one sink, in a thread of its own, at that sink's pace.

A sink that is slow, down, hung or broken delays no other: its backlog is in the journal. Its checkpoint moves only
after a call returned, so everything is delivered at least once, in order. How a call is made is in `calls.py`.
"""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from threading import Event, Thread
from time import monotonic

from btcore.backoff import Backoff
from btcore.calculate.sampling import SampleCache, Step
from btcore.classes import evolve
from btcore.config.site import Sink
from btcore.decode.decoders import Decoders
from btcore.errors import InvalidPluginResult, Stop
from btcore.heartbeat import Heartbeat
from btcore.journal import Journal, Superseded
from btcore.journal.clock_watch import ClockWatch
from btcore.journal.pace import Pace
from btcore.journal.partitions import Share
from btcore.journal.retry import JournalRetry, ShuttingDown
from btcore.logs.failures import FailureReporter
from btcore.records import Batch
from btcore.replay.requests import Requests
from btcore.settings import Context
from btcore.sinks.backlog import Backlog, Outdated
from btcore.sinks.calls import HookCalls, Rejection
from btcore.sinks.limits import RateLimit
from btcore.sinks.preview import describe_batch, print_line, print_lines
from btcore.sinks.redelivery import Redelivery
from btcore.sinks.results import BatchResult, check_result
from btcore.sinks.settling import Settling
from btcore.sinks.state import SinkState
from btcore.status import BAD, ReplayStatus, SinkStatus
from btcore.text import describe_error, plural
from btcore.values.fingerprint import fingerprint

POLL_INTERVAL = 1.0
"""Seconds between two looks of a worker that waits for new readings."""


GATHER = 0.05
"""Seconds between two calls at least, where readings come in that fast: each costs two commits, however many it has,
and a baseline of each meter in it, however many readings a meter has."""


class SinkWorker:
    """Delivers to one sink until told to stop, or, once `drain` is set, until it has had everything."""

    def __init__(  # noqa: PLR0913 - what one sink has, and what it shares with the others
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
        requests: Requests | None = None,
        share: Share | None = None,
    ) -> None:
        """Prepare. `redact` removes secrets from texts that are kept; `out` prints the lines of a dry run.

        `requests` are what is to be delivered again, where others see them too. `share` says which partition of a
        journal with partitions `journal` is.
        """
        self.share = share
        self.is_superseded = False  # another program delivers this share now
        self.is_left = False  # it has stopped, and its share was left to other programs
        self.table = sink.table
        self.name = str(share or sink.table)
        self._split_from = sink.split_from
        self.has_ended = False  # because it has had everything, or was told to
        self._is_prepared = False
        self.heartbeat = Heartbeat()
        self.thread = Thread(target=self._run, name=self.name, daemon=True)
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
        chosen = [*sink.delivery.meters, *(["only live"] if sink.only_live else [])]
        delivery = evolve(sink.delivery, only_live=sink.only_live)
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
        self.redelivery = Redelivery(journal, self._decoders, context, delivery, self._limiter, redact, requests)
        self._state = SinkState(sink, self.backlog, self._reporter, self.redelivery, redact)
        self._settling = Settling(sink, self.backlog, self._reporter, self._call, redact)
        self._is_open = False
        self._close_failures = 0
        self._is_result_reported = False
        self._is_finished = False
        self._idle = False
        self._is_last = False  # what was gathered is delivered once more, as the program stops
        self._last_call = -math.inf

    def wait_for_clock(self, clock_watch: ClockWatch | None) -> None:
        """Let readings wait until their time is known. Called before the worker starts."""
        self.backlog.clock_watch = clock_watch

    def keep_pace(self, pace: Pace) -> None:
        """Let the writers of bursts know how far it has read. Called before the worker starts."""
        self.backlog.pace = pace

    @property
    def delivered(self) -> int:
        """How many readings were delivered."""
        return self._settling.delivered

    @property
    def without_sample(self) -> int:
        """How many readings were delivered without a sample."""
        return self._settling.without_sample

    @property
    def dead_letters(self) -> int:
        """How many dead letters were made."""
        return self._settling.dead_letters

    @property
    def unwanted(self) -> int:
        """In how many readings the sink's settings selected nothing."""
        return self._settling.unwanted

    @property
    def behind(self) -> int:
        """How many readings it has not had."""
        return self.backlog.behind

    @property
    def stop_reason(self) -> str:
        """Why it has stopped until a restart; "" if it has not."""
        return self._state.stop_reason

    @property
    def state(self) -> str:
        """Its state, in a few words."""
        return str(self._state)

    def status(self) -> SinkStatus:
        """Return how the sink stands. Safe from any thread."""
        return self._state.status(self.delivered, self.unwanted)

    def replay_status(self) -> ReplayStatus | None:
        """Return how far what is delivered again has come, and what keeps it waiting. Safe from any thread."""
        return self._state.replay_status()

    @property
    def failing_for(self) -> float | None:
        """For how many seconds it has failed; `math.inf`: it has stopped; None: it works, or was asked to wait."""
        return self._state.failing_for

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for it."""
        return self._state.is_idle

    @property
    def is_dry_run(self) -> bool:
        """Whether it shows what it would deliver, and delivers nothing."""
        return self._context.dry_run

    @property
    def is_failing(self) -> bool:
        """Whether a person should see to it."""
        return self._state.word in BAD

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
            self._settling.end()
            if not self._context.dry_run:
                self.redelivery.finish(self._calls)
            self._settling.finish()
            self.backlog.finish()
            self.has_ended = True
        except ShuttingDown:
            with suppress(ShuttingDown, Superseded):  # then it looks once more
                self.backlog.finish()
            self.has_ended = True
            self._log.debug("stopping")
        except Superseded as error:
            self._log.warning("stopped: %s%s", error, f" (partition {self.share.partition})" if self.share else "")
            if self.share:  # that is how partitions change hands
                self.is_superseded = self.has_ended = True
            else:
                self._stopped(error)
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
        self._state.stop_reason = self._redact(describe_error(error))
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
            self._settling.check()

    @property
    def is_up_to_date(self) -> bool:
        """Whether all that there is was delivered, but for an interval that is still open. Safe from any thread."""
        return self._idle and self.backlog.is_up_to_date

    def _deliver_next(self) -> None:
        try:
            self._settling.deliver(self._gather())
            self._settling.settle()
        except Outdated:
            self._settling.release()  # the held steps were dropped
            self._is_finished = False

    # --- what to deliver next

    def _gather(self) -> list[Step]:
        """Return the next steps: a full batch, or what there is when a call is due or the program stops."""
        steps: list[Step] = []
        while len(steps) < self._delivery.batch_size:
            if self._calls.is_stopping:
                steps += self.backlog.read_left(self._delivery.batch_size - len(steps))
                self._is_last = bool(steps)
                break
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
                self._settling.settle()
            due = self._last_call + max(self._delivery.flush_interval, GATHER) - monotonic()
            if steps and due <= 0:
                break
            if not self._deliver_again():
                self._wait(due, len(steps))
        if not self._is_last:
            self._calls.raise_if_stopping()
        return steps

    def _wait(self, due: float, gathered: int) -> None:
        """Wait for more, with so many steps gathered; a call is due in so many seconds."""
        longest, size = min(POLL_INTERVAL, self.redelivery.next_turn_in), self._delivery.batch_size
        if gathered or due > GATHER:  # until then nothing is delivered, but for a full batch
            self.backlog.wait(min(due, longest), size - gathered)
        elif interval := self._delivery.interval:  # so late its rows may be: it is not woken for each reading
            self.backlog.wait(min(longest, interval / 10), size)
        else:
            self.backlog.wait(longest)

    def _deliver_again(self) -> bool:
        """Do some of what was asked to be delivered again, as nothing else is due; return whether there is more."""
        return not self._context.dry_run and self.redelivery.turn(self._calls)

    def _release_if_dropped(self) -> None:
        if self.backlog.is_outdated():
            self._settling.release()  # the held steps were dropped

    # --- calling it

    def _call(self, steps: Sequence[Step], tries: int) -> BatchResult | Rejection:
        """Call the plugin until it accepts the steps; return its result, or why it never will."""
        readings = tuple(chain.from_iterable([step.readings for step in steps]))
        samples = tuple(chain.from_iterable([step.samples for step in steps]))
        try:
            return self._calls.retry_until_done(
                lambda: self._attempt(Batch(readings, samples)), tries, is_last=self._is_last
            )
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

"""Sink workers: each delivers the journal to one sink, in a thread of its own, at that sink's pace.

A sink that is slow, down, hung or broken delays nobody: what it has not had yet is in the journal. Its cursor moves
only after a call returned, so everything is delivered at least once, in order.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Event, Thread
from time import monotonic

import attrs

from btcore.backlog import BOUND, Backlog
from btcore.configuration import Sink
from btcore.decoders import Decoders, hooks
from btcore.errors import Reject, Retry, Stop
from btcore.journal import Aside, Journal
from btcore.limits import Backoff, Limiter
from btcore.outcome import Outcome, length, told
from btcore.patience import Patience, Stopping
from btcore.records import Batch
from btcore.refused import faults, refused, without
from btcore.sampling import SampleCache, Step
from btcore.settings import Context
from btcore.text import plain
from btcore.wording import counted

MOST_BUGS = 5
"""Calls that end in an unexpected exception before what they were given is held to be undeliverable."""

POLL = 1.0
"""Seconds after which a worker that waits for news looks around."""

HANG = 600.0
"""Seconds after which a call that has not returned is told."""

LONGEST_WHY = 500
"""Characters of the reason that is kept with what was set aside."""


class Outdated(Exception):
    """What is being delivered was dropped meanwhile, by the bounds of the backlog."""


def show(line: str) -> None:
    """Show a line at once, also where standard output is a pipe; it cannot steer a terminal."""
    # in one piece: the line of another sink does not come in between
    print(f"{plain(line)}\n", end="", flush=True)  # noqa: T201 - what a dry run is for


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
        self._whole = sink.whole
        self.parked = ""
        self.delivered = 0
        self.aside = 0
        self._decoders = decoders.anew(context.log)
        self._outcome = Outcome(context.log)
        patiently = Patience(stop, context.log)
        self.backlog = Backlog(journal, self._decoders, cache, context, sink.delivery, patiently, self._outcome)
        self.thread = Thread(target=self._run, name=sink.table, daemon=True)
        self._delivery = sink.delivery
        self._context = context
        self._stop = stop
        self._drain = drain
        self._redact = redact
        self._out = out
        self._log = context.log
        self._hooks = hooks(sink.instance)
        self._limiter = Limiter(sink.delivery.pause, sink.delivery.calls_per_hour)
        self._backoff = Backoff(sink.delivery.retry, sink.delivery.retry_max)
        self._opened = False
        self._calling: tuple[str, float] | None = None
        self._hang_told: tuple[str, float] | None = None
        self._close_fails = 0
        self._level = False
        self._idle = False
        self._last_call = -math.inf

    def _run(self) -> None:
        try:
            # before opening, which may take long: with start = "now" too, what comes in meanwhile is delivered
            self.backlog.begin(self._whole)
            for opened in (self._decoders.open, self.backlog.resume, self._open):
                self._persist(partial(_prepared, opened))
            while not self._level:
                self._go_on()
        except Stopping:
            self._log.debug("stopping")
        except Stop as error:
            self.parked = self._redact(told(error))
            self._log.error("stopped until a restart, its readings are kept: %s", told(error))
        except BaseException as error:  # noqa: BLE001 - our own bug: this sink is parked, the others go on
            self.parked = self._redact(told(error))
            self._log.critical("stopped until a restart by a fault of btcore, its readings are kept", exc_info=error)
        finally:
            self._close()
            self._decoders.close()

    def _open(self) -> None:
        self.backlog.is_outdated()
        self._opened = True
        try:
            self._called("open", context=self._context)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._opened:
            self._opened = False
            try:
                self._called("close")
            except BaseException as error:  # noqa: BLE001 - a plugin's bug must not end the worker
                self._close_fails += 1
                level = logging.ERROR if self._close_fails == 1 else logging.DEBUG
                self._log.log(level, "failed to close", exc_info=error)

    def _called(self, hook: str, **given: object) -> None:
        self._calling = (hook, monotonic())
        try:
            getattr(self._hooks, hook)(**given)
        finally:
            self._calling = None

    def look(self) -> None:
        """Look after the sink, from another thread, whatever its own is at: keep its bounds, tell of what hangs."""
        self.backlog.look()
        call = self._calling
        if call is not None and call is not self._hang_told and monotonic() - call[1] >= HANG:
            self._hang_told = call
            self._outcome.note(f"{call[0]} has not returned for {length(HANG)}: this sink hangs, and its readings wait")

    @property
    def has_had_all(self) -> bool:
        """Whether all that there is was delivered, but for an interval that is still open. Safe from any thread."""
        return self._idle and self.backlog.is_read

    def _go_on(self) -> None:
        try:
            self._deliver(self._gather())
            self.backlog.settle()
        except Outdated:
            self._level = False

    def _persist(self, work: Callable[[], None], tries: float = math.inf) -> Reject | None:
        """Do something until it works: return None. Or return why it never will: it was refused, or is a plugin's bug.

        `tries` is how many unexpected exceptions it may end in.
        """
        bugs = 0
        while True:
            self._look_for_stop()
            try:
                work()
            except (Stop, Stopping, Outdated):
                raise
            except Retry as error:
                self._failed(told(error), _after(error))
            except Reject as error:
                self._worked()
                return error
            except OSError as error:
                # the world outside failed: a plugin need not translate what its library raises
                self._failed(told(error))
            except BaseException as error:  # noqa: BLE001 - a plugin's bug: tried again, then set aside
                bugs += 1
                self._log.debug("details", exc_info=error)
                if bugs >= tries:
                    return Reject(told(error))
                self._failed(told(error))
            else:
                self._worked()
                return None

    def _worked(self) -> None:
        self._backoff.worked()
        self._outcome.worked()

    def _failed(self, what: str, after: float | None = None) -> None:
        wait = self._backoff.failed(after)
        self._outcome.failed(what, wait, asked=bool(after))
        self._wait(wait)

    def _wait(self, seconds: float) -> None:
        """Wait, however long, within the bounds of the backlog."""
        while seconds > 0:
            self._stop.wait(min(seconds, BOUND))
            self._look_for_stop()
            self.backlog.look()
            seconds -= BOUND

    def _look_for_stop(self) -> None:
        if self._stop.is_set():
            raise Stopping

    # --- what to deliver next

    def _gather(self) -> list[Step]:
        """Return the next steps: a full batch, or what there is once the period is over."""
        steps: list[Step] = []
        while len(steps) < self._delivery.batch_size:
            self._look_for_stop()
            if not steps:
                self.backlog.is_outdated()
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
                self.backlog.settle()
            due = self._last_call + self._delivery.period - monotonic()
            if steps and due <= 0:
                break
            self.backlog.wait(min(due, POLL) if steps else POLL)
        return steps

    # --- delivering it

    def _deliver(self, steps: Sequence[Step]) -> None:
        """Deliver these steps in order; halve what is refused until it is so as a whole, and set that aside."""
        parts = [steps] if steps else []
        broken: list[Aside] = []
        while parts:
            part = parts.pop()
            # a bug that is being looked for is not waited for: where everything fails, the single steps are
            tries = 1 if 1 < len(part) < len(steps) else MOST_BUGS
            refusal = self._call(part, tries)
            if refusal is None:
                self.delivered += sum(len(step.readings) for step in part)
                self._move_on(part, broken)
                broken = []
            elif len(part) == 1 and (broken_ones := faults(part[0])):
                broken = self._set_aside_broken(part[0], broken_ones)
                parts.append([without(part[0], broken_ones)])
            elif _is_whole(refusal) or len(part) == 1:
                self._move_on(part, [*broken, *self._set_aside(part, told(refusal))])
                broken = []
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]

    def _move_on(self, steps: Sequence[Step], aside: Sequence[Aside]) -> None:
        self.backlog.delivered(steps, aside)
        self.aside += len(aside)  # not before they are kept

    def _set_aside_broken(self, step: Step, whys: Mapping[int, str]) -> list[Aside]:
        """Set aside the samples of a step that cannot be calculated; what else is in it goes its way."""
        one = attrs.evolve(step, readings=(), samples=tuple(step.samples[place] for place in whys))
        why = f"cannot be calculated, which is a fault of btcore: {next(iter(whys.values()))}"
        return self._set_aside([one], why)

    def _call(self, steps: Sequence[Step], tries: int) -> Reject | None:
        """Call the plugin until it takes the steps; return why it never will, None when it did."""
        readings = tuple(reading for step in steps for reading in step.readings)
        samples = tuple(sample for step in steps for sample in step.samples)
        try:
            return self._persist(lambda: self._attempt(Batch(readings, samples)), tries)
        finally:
            self._last_call = monotonic()

    def _attempt(self, batch: Batch) -> None:
        if not self._context.dry_run:
            self._wait(self._limiter.wait())
        if self.backlog.is_outdated():
            raise Outdated
        if self._context.dry_run:
            self._preview(batch)
            return
        self._limiter.called()
        self._called("process_batch", batch=batch)

    def _preview(self, batch: Batch) -> None:
        lines = self._hooks.preview_batch(batch=batch)
        if lines is None:
            lines = [f"{counted(len(batch.readings), 'reading')}, {counted(len(batch.samples), 'sample')}"]
        self._show([self._redact(f"{self.name}: {line}") for line in lines])

    def _show(self, lines: Sequence[str]) -> None:
        """Show lines, none of them before all are made: those of a call that fails would be shown again."""
        try:
            for line in lines:
                self._out(line)
        except OSError as error:
            raise Stop(f"nobody reads what would be sent: {error}") from error

    def _set_aside(self, steps: Sequence[Step], why: str) -> list[Aside]:
        why = " ".join(self._redact(why).split())[:LONGEST_WHY]
        kept = [one for step in steps for one in refused(self._context.name, step, why)]
        if len(steps) > 1:
            until = max(one.end for one in kept)
            line = f"set aside {len(kept)}, as none of them is ever taken: until {until}: {why}"
            self._outcome.set_aside(line, f"until {until}: {why}", len(kept))
        else:
            for one in kept:
                detail = f"meter {one.serial} until {one.end}: {why}"
                self._outcome.set_aside(f"set aside, as it is never taken: {detail}", detail)
        return kept

    def __str__(self) -> str:
        """Tell what was done, for a line of the log."""
        what = "shown, none sent" if self._context.dry_run else f"delivered, {self.aside} set aside"
        done = f"{counted(self.delivered, 'reading')} {what}"
        return ", ".join(part for part in (done, str(self.backlog)) if part)


def _prepared(work: Callable[[], None]) -> None:
    """Prepare something; to be refused there means no more than to have failed."""
    try:
        work()
    except Reject as error:
        raise Retry(told(error)) from error


def _after(error: Retry) -> float | None:
    """Return how long the other side wants to be left alone; None where a plugin's own class has nonsense there."""
    after = getattr(error, "after", None)
    return after if isinstance(after, int | float) and 0 < after < math.inf else None


def _is_whole(error: Reject) -> bool:
    return getattr(error, "whole", False) is True

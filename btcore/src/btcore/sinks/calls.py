# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of one sink's hooks: a failed call is retried with backoff, a call that hangs is reported.

Which batch is delivered, and what follows from the answer, is decided in `worker.py`.
"""

import logging
import math
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import Any, TypeVar

from btcore.backoff import Backoff
from btcore.classes import frozen
from btcore.errors import UPGRADED, Reject, Retry, Stop, is_upgraded
from btcore.heartbeat import Heartbeat
from btcore.hook_calls import hook_caller
from btcore.journal.retry import ShuttingDown
from btcore.logs.failures import FailureReporter
from btcore.sinks.backlog import LIMITS_INTERVAL, Outdated
from btcore.text import describe_error, format_duration

HANG_TIMEOUT = 600.0
"""Seconds after which a call that has not returned is reported."""

Done = TypeVar("Done")


@frozen
class Rejection:
    """Why a call will never succeed. `is_entire_batch`: nor will any part of the batch.

    `is_bug`: the plugin raised an unexpected exception, not Reject.
    """

    why: str
    is_entire_batch: bool = False
    is_bug: bool = False


@frozen
class Failure:
    """Why a call did not succeed this time, and the seconds that the service asks to wait. `is_bug`: as above."""

    why: str
    after: float | None = None
    is_bug: bool = False


class HookCalls:
    """The calls of one sink's worker, in its thread; `check_hang` is for other threads."""

    def __init__(
        self,
        instance: object,
        backoff: Backoff,
        outcome: FailureReporter,
        log: logging.Logger,
        stop: Event,
        meanwhile: Callable[[], object],
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """Prepare. `meanwhile` is called now and then during a long wait. `heartbeat` is that of the worker."""
        self._hooks = hook_caller(instance, log.name)
        self._backoff = backoff
        self._reporter = outcome
        self._log = log
        self._stop = stop
        self._meanwhile = meanwhile
        self._heartbeat = heartbeat or Heartbeat()
        self._current_call: tuple[str, float] | None = None
        self._reported_hang: tuple[str, float] | None = None

    def call(self, hook: str, **given: object) -> Any:  # noqa: ANN401 - what a plugin answers
        """Call a hook."""
        self._current_call = (hook, monotonic())
        try:
            with self._heartbeat.during(hook):
                return getattr(self._hooks, hook)(**given)
        finally:
            self._current_call = None

    def check_hang(self) -> None:
        """Report a call that hangs, once."""
        call = self._current_call
        if call is not None and call is not self._reported_hang and monotonic() - call[1] >= HANG_TIMEOUT:
            self._reported_hang = call
            self._reporter.warn(
                f"{call[0]} has not returned for {format_duration(HANG_TIMEOUT)}: this sink hangs;"
                " its readings wait in the journal"
            )

    def retry_until_done(
        self, work: Callable[[], Done], tries: float = math.inf, *, is_last: bool = False
    ) -> Done | Rejection:
        """Call `work` until it succeeds; return its result, or why it never will succeed.

        After `tries` unexpected exceptions, that is a bug of the plugin. `is_last`: also where the program stops, it is
        called once.
        """
        bugs = 0
        while True:
            if not is_last:
                self.raise_if_stopping()
            done = self.try_once(work)
            if not isinstance(done, Failure):
                self._worked()
                return done
            bugs += done.is_bug
            if bugs >= tries:
                return Rejection(done.why, is_bug=True)
            self._failed(done.why, done.after)
            is_last = False

    def try_once(self, work: Callable[[], Done]) -> Done | Rejection | Failure:
        """Call `work` once; return its result, why it never will succeed, or why it did not this time."""
        try:
            return work()
        except (Stop, ShuttingDown, Outdated):
            raise
        except Retry as error:
            return Failure(describe_error(error), _requested_wait(error))
        except Reject as error:
            return Rejection(describe_error(error), getattr(error, "whole_batch", False) is True)
        except OSError as error:
            # the network or a file failed: a plugin need not translate what its library raises
            return Failure(describe_error(error))
        except ImportError as error:  # no reading is to be a dead letter for an upgrade
            return Failure(UPGRADED) if is_upgraded(error) else self._bug(error)
        except BaseException as error:  # noqa: BLE001 - a plugin's bug: tried again, then a dead letter
            return self._bug(error)

    def _bug(self, error: BaseException) -> Failure:
        self._log.debug("details", exc_info=error)
        return Failure(describe_error(error), is_bug=True)

    def retry_until_prepared(self, work: Callable[[], None]) -> None:
        """Call `work`, which precedes the first delivery, until it succeeds; Reject is retried there like a failure."""

        def prepared() -> None:
            try:
                work()
            except Reject as error:
                raise Retry(describe_error(error)) from error

        self.retry_until_done(prepared)

    def wait(self, seconds: float) -> None:
        """Wait this many seconds. Raises ShuttingDown."""
        while seconds > 0:
            self._stop.wait(min(seconds, LIMITS_INTERVAL))
            self.raise_if_stopping()
            self._heartbeat.beat()
            self._meanwhile()
            seconds -= LIMITS_INTERVAL

    @property
    def is_stopping(self) -> bool:
        """Whether the program stops."""
        return self._stop.is_set()

    def raise_if_stopping(self) -> None:
        """Raise ShuttingDown if the program stops."""
        if self.is_stopping:
            raise ShuttingDown

    def _worked(self) -> None:
        self._backoff.worked()
        self._reporter.worked()

    def _failed(self, what: str, after: float | None = None) -> None:
        wait = self._backoff.failed(after)
        self._reporter.failed(what, wait, requested=bool(after))
        self.wait(wait)


def _requested_wait(error: Retry) -> float | None:
    """Return the wait that the service asks for; None where there is none, or where it is no positive number."""
    after = getattr(error, "after", None)
    return after if isinstance(after, int | float) and 0 < after < math.inf else None

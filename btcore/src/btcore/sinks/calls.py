"""Calling the hooks of one sink: what fails is tried again, with growing waits; what hangs is told.

What it is called with, and what becomes of that, is `worker.py`'s.
"""

import logging
import math
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import Any, TypeVar

import attrs

from btcore.backoff import Backoff
from btcore.decode.decoder import hook_caller
from btcore.errors import Reject, Retry, Stop
from btcore.journal.retry import Stopping
from btcore.logs.failures import FailureReporter
from btcore.sinks.backlog import BOUND, Outdated
from btcore.text import describe_error, format_duration

HANG = 600.0
"""Seconds after which a call that has not returned is told."""

Done = TypeVar("Done")


@attrs.frozen
class Refusal:
    """Why something will never work. `is_whole`: nor will any part of it. `is_bug`: as far as is known.

    A plugin that does not know what happened raises anything; one that does, Reject.
    """

    why: str
    is_whole: bool = False
    is_bug: bool = False


class Calls:
    """The calls of one sink's worker, in its thread; `look` is for others."""

    def __init__(
        self,
        instance: object,
        backoff: Backoff,
        outcome: FailureReporter,
        log: logging.Logger,
        stop: Event,
        meanwhile: Callable[[], object],
    ) -> None:
        """Prepare. `meanwhile` is done now and then during a long wait."""
        self._hooks = hook_caller(instance)
        self._backoff = backoff
        self._outcome = outcome
        self._log = log
        self._stop = stop
        self._meanwhile = meanwhile
        self._calling: tuple[str, float] | None = None
        self._hang_told: tuple[str, float] | None = None

    def call(self, hook: str, **given: object) -> Any:  # noqa: ANN401 - what a plugin answers
        """Call a hook."""
        self._calling = (hook, monotonic())
        try:
            return getattr(self._hooks, hook)(**given)
        finally:
            self._calling = None

    def look(self) -> None:
        """Tell of a call that hangs."""
        call = self._calling
        if call is not None and call is not self._hang_told and monotonic() - call[1] >= HANG:
            self._hang_told = call
            self._outcome.note(
                f"{call[0]} has not returned for {format_duration(HANG)}: this sink hangs, and its readings wait"
            )

    def persist(self, work: Callable[[], Done], tries: float = math.inf) -> Done | Refusal:
        """Do something until it works. Or return why it never will: it was refused, or is a plugin's bug.

        `tries` is how many unexpected exceptions it may end in.
        """
        bugs = 0
        while True:
            self.look_for_stop()
            try:
                done = work()
            except (Stop, Stopping, Outdated):
                raise
            except Retry as error:
                self._failed(describe_error(error), _after(error))
            except Reject as error:
                self._worked()
                return Refusal(describe_error(error), getattr(error, "whole_batch", False) is True)
            except OSError as error:
                # the world outside failed: a plugin need not translate what its library raises
                self._failed(describe_error(error))
            except BaseException as error:  # noqa: BLE001 - a plugin's bug: tried again, then set aside
                bugs += 1
                self._log.debug("details", exc_info=error)
                if bugs >= tries:
                    return Refusal(describe_error(error), is_bug=True)
                self._failed(describe_error(error))
            else:
                self._worked()
                return done

    def prepare(self, work: Callable[[], None]) -> None:
        """Do something before the first delivery; to be refused there means no more than to have failed."""

        def prepared() -> None:
            try:
                work()
            except Reject as error:
                raise Retry(describe_error(error)) from error

        self.persist(prepared)

    def wait(self, seconds: float) -> None:
        """Wait, however long."""
        while seconds > 0:
            self._stop.wait(min(seconds, BOUND))
            self.look_for_stop()
            self._meanwhile()
            seconds -= BOUND

    def look_for_stop(self) -> None:
        """Raise Stopping where the program stops."""
        if self._stop.is_set():
            raise Stopping

    def _worked(self) -> None:
        self._backoff.worked()
        self._outcome.worked()

    def _failed(self, what: str, after: float | None = None) -> None:
        wait = self._backoff.failed(after)
        self._outcome.failed(what, wait, asked=bool(after))
        self.wait(wait)


def _after(error: Retry) -> float | None:
    """Return how long the other side wants to be left alone; None where a plugin's own class has nonsense there."""
    after = getattr(error, "after", None)
    return after if isinstance(after, int | float) and 0 < after < math.inf else None

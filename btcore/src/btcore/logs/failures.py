# SPDX-License-Identifier: GPL-3.0-or-later
"""Reporting the failures of one worker without filling the log: a new one at once, a lasting one once an hour.

However a service behaves, one worker logs at most `BURST` + `LINES_PER_HOUR` * h lines in h hours.
"""

import logging
import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from btcore.classes import define, frozen
from btcore.text import either, format_duration, plural

SUMMARY_INTERVAL = 3600.0
"""Seconds between two reports of a failure that lasts."""

BURST = 6
"""Lines that may be logged at once after a quiet time."""

LINES_PER_HOUR = 3
"""Lines an hour on average: the failure, the recovery, and the losses."""

FIRST_DEAD_LETTERS = 3
"""Dead letters that are logged one by one; later ones are counted and summarized."""

LONG_WAIT = 600.0
"""Seconds: a longer wait is logged even where a failure was logged just before."""


@define
class _Budget:
    """How many lines may be logged now (a token bucket)."""

    now: float
    left: float = BURST

    def take(self, now: float) -> bool:
        """Take a line, if there is one left."""
        self.left = min(self.left + (now - self.now) * LINES_PER_HOUR / SUMMARY_INTERVAL, BURST)
        self.now = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@frozen
class LastFailure:
    """The last failure: its text, when it was, and when the next try is due; both in seconds since 1970.

    `requested`: the service asked for that wait.
    """

    text: str
    time: float
    retry_at: float
    requested: bool = False


@define
class _Losses:
    """What the sink lost and is not logged yet, with the last of it. `logged_at`: when a loss was logged last."""

    logged_at: float = -math.inf
    logged: int = 0
    dead_letters: int = 0
    dropped: int = 0
    last: str = ""
    has_dropped: bool = False


class FailureReporter:
    """Reports failures, recoveries and losses of one worker. Times are seconds of a monotonic clock."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing wrong."""
        self._log = log
        self._clock = clock
        self._budget = _Budget(clock())
        self._since = 0.0
        self._logged_at = -math.inf
        self._count = 0
        self._unlogged = 0
        self._last = ""
        self._is_logged = False
        self.last_failure: LastFailure | None = None
        self._losses = _Losses()
        self._lock = Lock()  # other threads than the worker's report drops of the backlog

    @property
    def failing_for(self) -> float | None:
        """For how many seconds the worker has failed; None where it works."""
        return self._clock() - self._since if self._count else None

    # --- failures

    def failed(self, what: str, wait: float, *, requested: bool = False, is_known: bool = False) -> None:
        """Report a failure, and the seconds until the next try; `requested`: the service asks for that wait.

        The first is logged at once, later ones in a summary once an hour, and each of them at debug level. One that
        `is_known`, as somebody else has logged it, is at debug level only.
        """
        with self._lock:
            now = self._clock()
            self._since = self._since if self._count else now
            self._count += 1
            self._unlogged += not is_known
            self._last = what
            self.last_failure = LastFailure(what, at := time.time(), at + wait, requested)
            then = _format_requested_wait(wait) if requested else f"trying again in {format_duration(math.ceil(wait))}"
            is_long = requested and wait >= LONG_WAIT
            if is_known or not (
                (is_long or now - self._logged_at >= SUMMARY_INTERVAL)
                and self._log_failure(now, what, then, is_long=is_long)
            ):
                self._log.debug("%s; %s", what, then)
            self._summarize_losses()

    def gave_up(self, what: str) -> None:
        """Remember why the worker stops, for its status; the worker itself logs it."""
        with self._lock:
            self.last_failure = LastFailure(what, time.time(), math.inf)

    def _log_failure(self, now: float, what: str, then: str, *, is_long: bool) -> bool:
        if self._unlogged == 1 or is_long:
            done = self._log_line(logging.WARNING, "%s; %s", what, then)
        elif self._unlogged > self._count:
            done = self._log_line(
                logging.WARNING,
                "failed %d times within %s; last: %s",
                self._unlogged,
                _format_span(now - self._logged_at),
                what,
            )
        else:
            lasts = format_duration(now - self._since)
            done = self._log_line(logging.WARNING, "still failing after %s, %d times: %s", lasts, self._count, what)
        if done:
            self._logged_at, self._unlogged, self._is_logged = now, 0, True
        return done

    def worked(self) -> None:
        """Report a success: after a failure that was logged, the recovery is logged too."""
        with self._lock:
            now = self._clock()
            if self._count:
                self._recovered(now)
            if self._unlogged and now - self._logged_at >= SUMMARY_INTERVAL:
                self._log_flapping(now)
            self._summarize_losses()

    def _recovered(self, now: float) -> None:
        lasted, count = format_duration(math.ceil(now - self._since)), plural(self._count, "failure")
        self._count = 0
        if self._is_logged and self._log_line(logging.INFO, "recovered after %s and %s", lasted, count):
            self._is_logged = False
            self._unlogged = 0
        else:
            self._log.debug("recovered after %s and %s", lasted, count)

    def _log_flapping(self, now: float) -> None:
        what = "failed %s and recovered within %s; last: %s"
        if self._log_line(
            logging.WARNING, what, plural(self._unlogged, "time"), _format_span(now - self._logged_at), self._last
        ):
            self._logged_at, self._unlogged, self._is_logged = now, 0, False

    def warn(self, text: str) -> None:
        """Log a warning, at debug level where no line is left."""
        with self._lock:
            if not self._log_line(logging.WARNING, "%s", text):
                self._log.debug("%s", text)

    # --- losses

    def dead_lettered(self, line: str, detail: str, count: int = 1) -> None:
        """Report new dead letters: the first at once, later ones by their number and the last detail."""
        with self._lock:
            losses = self._losses
            if losses.logged < FIRST_DEAD_LETTERS and self._log_line(logging.WARNING, "%s", line):
                losses.logged += 1
                losses.logged_at = self._clock()
                return
            self._log.debug("%s", line)
            losses.dead_letters += count
            losses.last = detail
            self._summarize_losses()

    def dropped(self, count: int) -> None:
        """Report readings that were dropped: the first at once, later ones once an hour."""
        with self._lock:
            self._log.debug("dropped %s", plural(count, "reading"))
            losses = self._losses
            losses.dropped += count
            if not losses.has_dropped:
                losses.has_dropped = True
                losses.logged_at = -math.inf
            self._summarize_losses()

    def _summarize_losses(self) -> None:
        """Log a summary of the losses that are not logged yet, once an hour."""
        losses = self._losses
        if not (losses.dead_letters or losses.dropped) or self._clock() - losses.logged_at < SUMMARY_INTERVAL:
            return
        texts = []
        if losses.dropped:
            readings = plural(losses.dropped, "reading")
            texts.append(
                f"dropped {readings} before they were delivered:"
                " the backlog was above max_backlog_age or max_backlog_bytes"
            )
        if losses.dead_letters:
            more = either(losses.dead_letters, "more reading became a dead letter", "more readings became dead letters")
            texts.append(f"{more}; last: {losses.last}")
        if self._log_line(logging.WARNING, "%s", "; ".join(texts)):
            self._losses = _Losses(self._clock(), losses.logged, has_dropped=losses.has_dropped)

    def _log_line(self, level: int, text: str, *values: object) -> bool:
        """Log a line, if one is left; return whether it was logged."""
        if not self._budget.take(self._clock()):
            return False
        self._log.log(level, text, *values)
        return True


def _format_requested_wait(wait: float) -> str:
    """Describe a wait that the service asks for: when it ends, in local time."""
    now = datetime.now().astimezone()
    end = now + timedelta(seconds=math.ceil(wait))
    if wait < 60:  # noqa: PLR2004 - a minute: a time of day would say no more
        return f"waits {format_duration(math.ceil(wait))}, as the service asks"
    day = "" if end.date() == now.date() else f"{end:%Y-%m-%d} "
    return f"waits until {day}{end:%H:%M}, as the service asks"


def _format_span(seconds: float) -> str:
    return "the last hour" if seconds < 2 * SUMMARY_INTERVAL else f"the last {format_duration(seconds)}"
